"""A bound that matching met becomes one exception that says which, how many, and what to do."""

import json
from datetime import date
from typing import Any

from reconciliation.classification import (
    EXCEPTION_SCHEMA,
    AmbiguousCase,
    LimitNote,
    limit_exceptions,
    severity_of,
)
from tests.reconciliation.classification.situations import (
    EUR,
    TARGET,
    TUESDAY,
    Item,
    decide,
    entry,
    line,
    only,
    source,
)

STANDARD: dict[str, Any] = {
    "match_pass": "amount_and_lag",
    "what": "candidate_pairs",
    "account": EUR,
    "asset": "EUR",
    "reference": "9.99",
    "external_count": 900,
    "ledger_count": 700,
    "limit": 250_000,
}


def note(**changes: Any) -> LimitNote:
    return LimitNote(**(STANDARD | changes))


def told(*notes: LimitNote, as_of: date = TUESDAY) -> list[Item]:
    table = limit_exceptions(notes, as_of=as_of, source=source(), calendar=TARGET)
    assert table.schema == EXCEPTION_SCHEMA
    return table.to_pylist()


def test_a_limit_is_for_review_and_says_what_was_left_open_and_what_to_do() -> None:
    (row,) = told(note())
    assert (row["class"], row["kind"], row["severity"], row["account"], row["asset"]) == (
        "review", "ambiguous", "medium", EUR, "EUR",
    )  # fmt: skip
    factors = json.loads(row["factors"])
    assert {
        name: factors[name]
        for name in ("bound", "external_count", "ledger_count", "limit", "match_pass", "met", "setting")
    } == {
        "bound": "candidate_pairs",
        "external_count": 900,
        "ledger_count": 700,
        "limit": 250_000,
        "match_pass": "amount_and_lag",
        "met": 1,
        "setting": "match.limits.candidate_pairs",
    }
    assert factors["why"] == (
        "amount_and_lag met its limit of 250000 candidate pairs of reference '9.99': 900 external and 700 ledger lines "
        "were left open; give these lines a reference that tells them apart, or raise match.limits.candidate_pairs in "
        "sources.yaml"
    )
    assert severity_of(factors) == row["severity"]


def test_it_names_no_line_and_moves_no_sum() -> None:
    (row,) = told(note())
    assert [row[name] for name in ("line_key", "entry_key", "amount_minor", "difference_minor")] == [
        None,
        None,
        0,
        0,
    ]


def test_it_is_the_same_exception_from_day_to_day_and_whatever_the_counts() -> None:
    (first,), (later,) = told(note()), told(note(external_count=5), as_of=date(2025, 3, 5))
    assert first["exception_key"] == later["exception_key"]
    others = [
        note(what="component_items"),
        note(match_pass="in_text"),
        note(account="x"),
        note(reference="1"),
    ]
    assert len({row["exception_key"] for row in told(note(), *others)}) == 5


def test_it_is_not_the_exception_of_an_ambiguous_line_that_is_called_like_it() -> None:
    key = "\x1f".join(STANDARD[name] for name in ("match_pass", "what", "account", "asset", "reference"))
    case = AmbiguousCase(line_ids=(1,), ledger_lines=((1, 1),))
    of_line = only(decide([line(1, 5) | {"line_key": key}], [entry(1, 5)], ambiguous=[case]))
    (row,) = told(note())
    assert (of_line["kind"], of_line["side"]) == (row["kind"], row["side"])
    assert of_line["exception_key"] != row["exception_key"]


def test_notes_about_the_same_place_are_one_exception_with_the_largest_counts_in_any_order() -> None:
    notes = [note(external_count=10), note(external_count=2_000), note(ledger_count=3)]
    (row,) = told(*notes)
    assert told(*reversed(notes)) == [row]
    factors = json.loads(row["factors"])
    assert (factors["external_count"], factors["met"]) == (2_000, 3)


def test_a_bound_of_a_name_that_no_setting_has_still_says_what_to_do() -> None:
    (row,) = told(note(what="patience", reference=""))
    assert json.loads(row["factors"])["setting"] is None
    assert json.loads(row["factors"])["why"].endswith(
        "left open; give these lines a reference that tells them apart"
    )
    assert json.loads(told(note(what="group_size"))[0]["factors"])["setting"] == "match.group_size_max"


def test_a_day_without_limits_has_no_such_exception() -> None:
    assert told() == []
