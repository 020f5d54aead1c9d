"""What a file is to what was there before: new, known, corrected, overlapping, refused."""

import random
from datetime import date
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import Connection

from reconciliation.intake import list_deliveries, register_sources
from tests.reconciliation.intake.builder import (
    BANK,
    SOURCES,
    STRIPE,
    Charge,
    Entry,
    bank_file,
    bank_statement,
    closures,
    current_lines,
    deliver,
    digests,
    keys_and_amounts,
    stripe_file,
)

DAYS = ("2026-11-16", "2026-11-17", "2026-11-18")


def bank(*entries: Entry, day: str = DAYS[0], message_id: str = "M1") -> bytes:
    return bank_file(bank_statement(*entries, day=day), message_id=message_id)


def test_a_statement_is_taken_in_with_its_lines(store: Connection) -> None:
    outcome = deliver(store, bank(Entry(2500, "A1"), Entry(-700, "A2")), for_date=date(2026, 11, 16))
    assert outcome.sentence == "statement.xml: accepted: 2 lines in 1 statement"
    assert keys_and_amounts(store) == {"A1": (1, 2500), "A2": (1, -700)}


def test_a_redelivered_file_changes_nothing(store: Connection) -> None:
    content = bank(Entry(2500, "A1"), Entry(-700))
    first = deliver(store, content)
    before = digests(store)
    for name in ("statement.xml", "again.xml", "statement.xml"):
        outcome = deliver(store, content, file_name=name)
        assert (outcome.outcome, outcome.same_as, outcome.unchanged_count) == (
            "redelivered",
            first.delivery_id,
            2,
        )
    assert digests(store) == before


def test_the_same_content_in_other_bytes_changes_nothing(store: Connection) -> None:
    entries = (Entry(2500, "A1"), Entry(-700))
    first = deliver(store, bank(*entries))
    before = digests(store)
    for _ in range(2):
        outcome = deliver(store, bank(*entries, message_id="M2"))
        assert (outcome.outcome, outcome.same_as) == ("redelivered", first.delivery_id)
    assert digests(store) == before


def test_rows_in_another_order_are_the_same_content(store: Connection) -> None:
    entries = [Entry(2500, "A1"), Entry(-700), Entry(-700), Entry(40, "A2")]
    deliver(store, bank(*entries))
    assert deliver(store, bank(*reversed(entries))).outcome == "redelivered"


def test_a_correction_touches_only_what_it_changes(store: Connection) -> None:
    deliver(store, bank(Entry(100, "A1"), Entry(200, "A2"), Entry(300, "A3")))
    rows = {row[0]: row[5] for row in current_lines(store)}
    outcome = deliver(store, bank(Entry(100, "A1"), Entry(250, "A2"), Entry(400, "A4")))
    assert outcome.sentence == ("statement.xml: corrected: 1 line changed, 1 added, 1 withdrawn, 1 unchanged")
    assert keys_and_amounts(store) == {"A1": (1, 100), "A2": (2, 250), "A4": (1, 400)}
    assert closures(store) == [("A2", "superseded", 200), ("A3", "withdrawn", 300)]
    assert next(row[5] for row in current_lines(store) if row[0] == "A1") == rows["A1"]


def test_a_withdrawn_line_that_comes_back_is_its_next_version(store: Connection) -> None:
    deliver(store, bank(Entry(100, "A1"), Entry(200, "A2")))
    deliver(store, bank(Entry(100, "A1")))
    deliver(store, bank(Entry(100, "A1"), Entry(200, "A2"), message_id="M3"))
    assert keys_and_amounts(store) == {"A1": (1, 100), "A2": (2, 200)}


def test_a_correction_of_the_balances_alone_is_a_new_version_of_the_statement(store: Connection) -> None:
    deliver(store, bank_file(bank_statement(Entry(100, "A1"), opening_minor=10_000)))
    outcome = deliver(store, bank_file(bank_statement(Entry(100, "A1"), opening_minor=20_000)))
    assert (outcome.outcome, outcome.unchanged_count) == ("corrected", 1)
    found = store.execute("SELECT version, opening_minor FROM recon.statement ORDER BY 1").fetchall()
    assert found == [(1, 10_000), (2, 20_000)]


def test_lines_whose_ids_alone_moved_on_keep_their_keys(store: Connection) -> None:
    deliver(store, bank(Entry(100, "1", "rent"), Entry(200, "2", "wages"), Entry(300, "3", "tax")))
    before = digests(store, ("line", "line_closure"))
    deliver(store, bank(Entry(100, "2", "rent"), Entry(200, "3", "wages"), Entry(300, "4", "tax")))
    assert digests(store, ("line", "line_closure")) == before


def test_twins_without_ids_both_count(store: Connection) -> None:
    deliver(store, bank(Entry(700), Entry(700), Entry(700)))
    assert sorted(amount for _, amount in keys_and_amounts(store).values()) == [700, 700, 700]
    outcome = deliver(store, bank(Entry(700), Entry(700)))
    assert (outcome.outcome, outcome.withdrawn_count, outcome.unchanged_count) == ("corrected", 1, 2)


def test_an_id_that_the_bank_uses_again_on_another_day_names_another_line(store: Connection) -> None:
    for day, amount in zip(DAYS, (100, 200, 300), strict=True):
        assert deliver(store, bank(Entry(amount, "0001"), day=day)).outcome == "accepted"
    assert keys_and_amounts(store) == {
        "0001": (1, 100),
        "0001@S-2026-11-17": (1, 200),
        "0001@S-2026-11-18": (1, 300),
    }
    deliver(store, bank(Entry(250, "0001"), day=DAYS[1]))
    assert keys_and_amounts(store)["0001@S-2026-11-17"] == (2, 250)


def test_two_accounts_whose_statements_share_ids_and_references_stay_apart(store: Connection) -> None:
    for day in DAYS[:2]:
        for asset in ("EUR", "JPY"):
            deliver(store, bank_file(bank_statement(Entry(500, "1"), day=day, ref="S", asset=asset)))
    assert sorted(keys_and_amounts(store)) == [
        "1",
        "1@S",
        "1@S@assets:bank:main-eur@2026-11-17",
        "1@S@assets:bank:main-jpy@2026-11-17",
    ]


def test_a_natural_key_used_twice_in_a_statement_names_two_lines(store: Connection) -> None:
    by_reference = BANK.model_copy(update={"natural_key": ("ref_end_to_end",)})
    entries = [
        Entry(500, "1", end_to_end="E1"),
        Entry(900, "2", end_to_end="E1"),
        Entry(100, "3", end_to_end="E2"),
    ]
    deliver(store, bank(*entries), source=by_reference)
    found = keys_and_amounts(store)
    assert sorted(found) == ["E1", "E1#2", "E2"]
    assert sorted(amount for _, amount in found.values()) == [100, 500, 900]
    for amount in (501, 1, 777):
        entries[0] = Entry(amount, "1", end_to_end="E1")
        outcome = deliver(store, bank(*entries), source=by_reference)
        assert (outcome.changed_count, outcome.added_count, outcome.unchanged_count) == (1, 0, 2)
    assert next(key for key, (_, amount) in keys_and_amounts(store).items() if amount == 900) == next(
        key for key, (_, amount) in found.items() if amount == 900
    )


@pytest.mark.parametrize("overlap", range(6))
def test_overlapping_reports_hold_each_line_once(store: Connection, overlap: int) -> None:
    charges = [Charge(f"txn_{number}", 100 + number, day=f"2026-11-{10 + number}") for number in range(10)]
    deliver(store, stripe_file(*charges[:5]), source=STRIPE)
    outcome = deliver(store, stripe_file(*charges[5 - overlap :]), source=STRIPE)
    assert (outcome.outcome, outcome.added_count, outcome.unchanged_count) == ("accepted", 5, overlap)
    assert keys_and_amounts(store, STRIPE) == {
        charge.balance_id: (1, charge.gross_minor) for charge in charges
    }


def test_a_report_of_one_day_says_nothing_about_the_week_before(store: Connection) -> None:
    week = [Charge(f"txn_{number}", 100, day=f"2026-11-{16 + number}") for number in range(5)]
    deliver(store, stripe_file(*week), source=STRIPE)
    outcome = deliver(store, stripe_file(week[-1], Charge("txn_9", 7, day="2026-11-20")), source=STRIPE)
    assert (outcome.outcome, outcome.withdrawn_count, outcome.added_count) == ("accepted", 0, 1)
    assert len(current_lines(store, STRIPE)) == 6


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_order_in_which_days_arrive_decides_nothing(store: Connection, order: tuple[int, ...]) -> None:
    for place in order:
        deliver(store, bank(Entry(100 * place, f"A{place}"), Entry(5), day=DAYS[place]))
    assert {row[1:4] for row in current_lines(store)} == {
        (1, amount, date.fromisoformat(day))
        for day, first in zip(DAYS, (0, 100, 200), strict=True)
        for amount in (first, 5)
    }
    assert {f"A{place}" for place in range(3)} <= set(keys_and_amounts(store))


@settings(max_examples=12)
@given(
    st.lists(st.lists(st.integers(1, 3), max_size=4), min_size=3, max_size=3),
    st.randoms(use_true_random=False),
)
def test_any_split_and_order_of_statements_gives_the_same_lines(
    make_database: Any, template: str, amounts: list[list[int]], chance: random.Random
) -> None:
    statements = [
        bank_statement(
            *(Entry(amount, f"{day}/{place}" if amount < 3 else "") for place, amount in enumerate(found)),
            day=day,
        )
        for day, found in zip(DAYS, amounts, strict=True)
    ]
    parts: dict[int, list[str]] = {}
    for statement in statements:
        parts.setdefault(chance.randrange(3), []).append(statement)
    with (
        make_database(template) as url,
        Connection.connect(url, autocommit=True) as store,
        make_database(template) as other_url,
        Connection.connect(other_url, autocommit=True) as other,
    ):
        deliver(store, bank_file(*statements))
        for number, part in enumerate(chance.sample(sorted(parts.items()), len(parts))):
            deliver(other, bank_file(*part[1], message_id=f"M{number}"))
        assert [row[:5] for row in current_lines(store)] == [row[:5] for row in current_lines(other)]


@settings(max_examples=12)
@given(
    st.lists(st.lists(st.integers(1, 9_999), max_size=3), min_size=5, max_size=5),
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=4),
    st.randoms(use_true_random=False),
)
def test_any_overlap_and_order_of_reports_gives_the_same_lines(
    make_database: Any,
    template: str,
    days: list[list[int]],
    spans: list[tuple[int, int]],
    chance: random.Random,
) -> None:
    charges = [
        [
            Charge(f"txn_{day}_{place}", amount, day=f"2026-11-{10 + day}")
            for place, amount in enumerate(found)
        ]
        for day, found in enumerate(days)
    ]
    reports = [charges[min(span) : max(span) + 1] for span in (*spans, (0, 2), (2, 4))]
    chance.shuffle(reports)
    with make_database(template) as url, Connection.connect(url, autocommit=True) as store:
        for number, report in enumerate(reports):
            told = [charge for day in report for charge in day]
            if told:
                deliver(store, stripe_file(*told), source=STRIPE, file_name=f"{number}.csv")
        expected = {charge.balance_id: (1, charge.gross_minor) for day in charges for charge in day}
        assert keys_and_amounts(store, STRIPE) == expected


def test_the_rules_of_a_source_are_recorded_once_per_version(store: Connection) -> None:
    with store.transaction():
        store.execute("SET LOCAL ROLE tieout_intake")
        assert register_sources(store, SOURCES) == 2
        assert register_sources(store, SOURCES) == 0


def test_what_arrived_is_listed_with_the_reason_of_a_refusal(store: Connection) -> None:
    deliver(store, bank(Entry(100, "A1")))
    deliver(store, b"<html/>", file_name="page.xml")
    listed = list_deliveries(store, source_id=BANK.id).to_pylist()
    assert [row["outcome"] for row in listed] == ["accepted", "rejected"]
    assert ": expected " in listed[1]["refusal"]
    assert list_deliveries(store, outcome="rejected").num_rows == 1


def test_the_digest_of_a_content_never_changes_its_form(store: Connection) -> None:
    """A golden value: with another form every line ever taken in would look corrected. Time zones must not matter."""
    store.execute("SET TimeZone = 'Asia/Kathmandu'")
    deliver(store, bank(Entry(100, "A1", "rent", "E2E-1")))
    deliver(store, stripe_file(Charge("txn_1", 500, 15)), source=STRIPE)
    found = store.execute("SELECT content_digest FROM recon.line ORDER BY line_key").fetchall()
    assert [digest for (digest,) in found] == [
        "037d9dbb86c250f10e64bbd356648c8a43db343d88d81d1520a367accfb4d7b4",
        "a94c7693ef29da87aff596c4a0f6cfae025f38c549b60482e321862ebadb0e25",
    ]
