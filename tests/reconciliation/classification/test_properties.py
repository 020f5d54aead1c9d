"""Laws over invented days full of colliding references: nobody left out, nobody twice, and no order anywhere."""

import json
import random
from datetime import date, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciliation.classification import AmbiguousCase, Classified, severity_of
from tests.reconciliation.classification.situations import (
    EUR,
    EUR_2,
    JPY,
    TUESDAY,
    Item,
    all_of,
    decide,
    entry,
    line,
    source,
)
from tests.reconciliation.classification.slow_reading import SlowReading

REFERENCES = st.sampled_from(
    [None, "INV-1001", "inv 1001", "INV-1002", "INV1002", "0001003", "1003", "77", "NOTPROVIDED"]
)
AMOUNTS = st.sampled_from([500, -500, 490, -490, 510, 10, -10, -20, 0])
PLACES = st.sampled_from([(EUR, "EUR"), (EUR, "EUR"), (EUR_2, "EUR"), (JPY, "JPY")])
DATES = st.integers(-8, 0).map(lambda days: TUESDAY + timedelta(days=days))
LINE_KINDS = st.sampled_from(["transfer", "presentment", "chargeback", "refund", "fee"])


@st.composite
def external_items(draw: st.DrawFn, first: int) -> list[Item]:
    items = []
    for number in range(first, first + draw(st.integers(0, 6))):
        account, asset = draw(PLACES)
        original = draw(st.sampled_from([{}, {}, {"original_amount_minor": 550, "original_asset": "USD"}]))
        items.append(
            line(
                number,
                draw(AMOUNTS),
                draw(REFERENCES),
                account=account,
                asset=asset,
                ref_arn=draw(REFERENCES),
                ref_servicer=draw(st.sampled_from([None, f"S-{number:05d}"])),
                kind=draw(LINE_KINDS),
                version=draw(st.sampled_from([1, 1, 1, 2])),
                fee_minor=draw(st.sampled_from([0, 0, 10])),
                business_date=draw(DATES),
                **original,
            )
        )
    return items


@st.composite
def ledger_items(draw: st.DrawFn, first: int) -> list[Item]:
    items = []
    for number in range(first, first + draw(st.integers(0, 6))):
        (account, asset), reference = draw(PLACES), draw(REFERENCES)
        for line_no in range(1, 1 + draw(st.integers(1, 3))):
            original = draw(st.sampled_from([{}, {}, {"fx_amount_minor": 550, "fx_asset": "USD"}]))
            items.append(
                entry(
                    number,
                    draw(AMOUNTS),
                    reference,
                    line_no=line_no,
                    account=account,
                    asset=asset,
                    ref_arn=draw(st.one_of(st.none(), REFERENCES)),
                    kind=draw(st.sampled_from(["transfer", "presentment", "chargeback", "fee", None])),
                    counterparty=draw(st.sampled_from([None, "Ada", "Bea"])),
                    business_date=draw(DATES),
                    **original,
                )
            )
    return items


@st.composite
def couples(draw: st.DrawFn, first: int) -> tuple[list[Item], list[Item]]:
    """Lines and entries that name the same thing and nearly agree, or agree, so that the finer kinds occur."""
    lines, entries = [], []
    for number in range(first, first + draw(st.integers(0, 4))):
        reference, (account, asset) = f"CPL-{number:05d}", draw(PLACES)
        booked = draw(st.sampled_from([1_000, -1_000]))
        amount = draw(st.sampled_from([booked, booked + 7, -booked, booked - 10]))
        kind, fx = (
            draw(st.sampled_from(["transfer", "chargeback"])),
            draw(st.sampled_from([{}, {"fx_asset": "USD"}])),
        )
        original = {"original_amount_minor": 1_100, "original_asset": "USD"} if fx else {}
        settings: Item = {"account": account, "asset": asset, "business_date": draw(DATES)}
        lines.append(line(number, amount, reference, kind=kind, **settings, **original))
        lines[-1]["fee_minor"] = draw(st.sampled_from([0, booked - amount]))
        entries.append(entry(number, booked, reference, kind=kind, **settings, **fx))
        entries[-1]["fx_amount_minor"] = draw(st.sampled_from([1_100, -1_100, 1_200])) if fx else None
        if draw(st.booleans()):
            entries.append(entry(number, -3, reference, line_no=2, kind="fee", **settings))
        if draw(st.booleans()):
            entries.append(entry(number + 30, -4, reference, kind="fee", **settings))
        if draw(st.booleans()):
            lines.append(lines[-1] | {"line_id": number + 50, "line_key": f"L{number + 50}"})
    return lines, entries


@st.composite
def days(draw: st.DrawFn) -> dict[str, Any]:
    lines, entries = draw(external_items(1)), draw(ledger_items(1))
    (open_lines, open_entries), (taken_lines, taken_entries) = draw(couples(21)), draw(couples(21))
    lines, entries = lines + open_lines, entries + open_entries
    # The same couples once more as matched ones: their second lines are duplicates of them.
    taken_lines = [item | {"line_key": f"M{item['line_id']}"} for item in taken_lines]
    taken_entries = [item | {"entry_key": f"F{item['entry_id']}"} for item in taken_entries]
    names = [(item["entry_id"], item["line_no"]) for item in entries] or [(1, 1)]
    cases = st.builds(
        AmbiguousCase,
        line_ids=st.lists(st.integers(1, 7), max_size=2).map(tuple),
        ledger_lines=st.lists(st.sampled_from(names), max_size=3).map(tuple),
    )
    return {
        "lines": lines,
        "entries": entries,
        "taken_lines": draw(external_items(101)) + taken_lines,
        "taken_entries": draw(ledger_items(101)) + taken_entries,
        "withdrawn": draw(external_items(201)),
        "ambiguous": draw(st.lists(cases, max_size=3)),
        "waiting_for_file": draw(
            st.sampled_from([{}, {EUR: {TUESDAY}}, {JPY: {date(2025, 2, 28), date(2025, 3, 3)}}])
        ),
    }


def names_of(day: dict[str, Any]) -> list[str]:
    return sorted(SlowReading.name(item) for item in (*day["lines"], *day["entries"]))


def written(classified: Classified) -> tuple[list[Item], list[Item]]:
    return classified.exceptions.to_pylist(), classified.members.to_pylist()


@settings(max_examples=40)
@given(day=days())
def test_every_open_item_is_in_exactly_one_exception(day: dict[str, Any]) -> None:
    rows = all_of(decide(**day))
    assert sorted(name for row in rows for name in row["members"]) == names_of(day)
    assert len({row["exception_key"] for row in rows}) == len(rows)
    assert all(row["members"] for row in rows)


@settings(max_examples=40)
@given(day=days())
def test_differences_add_up_to_what_is_open(day: dict[str, Any]) -> None:
    items = {SlowReading.name(item): item for item in (*day["lines"], *day["entries"])}
    for row in all_of(decide(**day)):
        members = [items[name] for name in row["members"] if items[name]["asset"] == row["asset"]]
        open_minor = sum(
            item["amount_minor"] if "line_id" in item else -item["amount_minor"] for item in members
        )
        assert row["difference_minor"] == open_minor


@settings(max_examples=40)
@given(day=days(), seed=st.integers(0, 1_000))
def test_the_order_of_the_items_changes_nothing(day: dict[str, Any], seed: int) -> None:
    chance = random.Random(seed)
    shuffled = {
        name: chance.sample(items, len(items)) if isinstance(items, list) else items
        for name, items in day.items()
    }
    assert written(decide(**shuffled)) == written(decide(**day))


SETTLED = source(
    rails=[
        {"name": "cards", "kinds": ["presentment", "refund"], "calendars": ["US"], "cut_off": "16:00:00"},
        {"name": "every", "lag": {"earliest": 0, "expected": 1, "latest": 4}},
    ],
    asset_calendars={"USD": ["US"]},
    severity={
        "safeguarding_accounts": [EUR_2],
        "materiality_minor": {"EUR": 100},
        "de_minimis_minor": {"EUR": 200},
        "systemic_count": 2,
    },
)


@settings(max_examples=40)
@given(day=days(), seed=st.integers(0, 1_000), data=st.data())
def test_severity_follows_from_what_is_stored_and_no_order_moves_rails_lags_or_causes(
    day: dict[str, Any], seed: int, data: st.DataObject
) -> None:
    chance = random.Random(seed)
    for item in (*day["lines"], *day["entries"]):
        item["batch_ref"] = data.draw(st.sampled_from([None, "po_1", "po_2"]))
    known = {
        "of": SETTLED,
        "lag_counts": data.draw(st.lists(st.tuples(st.integers(-2, 5), st.integers(1, 30)), max_size=4)),
        "balances": {EUR: 12_000, JPY: 0},
        "not_duplicate": [("external", "L1"), ("ledger", "E2\x1f1")],
    }
    found = decide(**day, **known)
    for row in found.exceptions.to_pylist():
        assert severity_of(json.loads(row["factors"])) == row["severity"]
    shuffled = {
        name: chance.sample(items, len(items)) if isinstance(items, list) else items
        for name, items in (day | known).items()
    }
    assert written(decide(**shuffled)) == written(found)


@given(day=days())
def test_every_kind_agrees_with_a_slow_reading_of_the_precedence(day: dict[str, Any]) -> None:
    day["ambiguous"] = []
    slow = SlowReading(
        day["lines"], day["entries"], day["taken_lines"], day["taken_entries"], day["withdrawn"]
    )
    assert {frozenset(row["members"]): row["kind"] for row in all_of(decide(**day))} == slow.kinds


@settings(max_examples=40)
@given(day=days())
def test_timing_is_only_information_and_only_of_what_may_still_come(day: dict[str, Any]) -> None:
    for row in all_of(decide(**day)):
        assert (row["class"] == "timing") == (row["severity"] == "info")
        if row["class"] == "timing":
            assert row["kind"] in ("missing_in_ledger", "missing_at_source")
            assert row["expected_clear_on"] is not None
            assert row["due_on"] >= TUESDAY or row["factors"]["why"].startswith("waits for the file of")
        assert row["age_business_days"] >= 0
