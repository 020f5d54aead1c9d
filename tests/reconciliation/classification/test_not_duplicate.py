"""People's word that a line is no duplicate binds every later day, for that line alone."""

from typing import Any

import pytest

from reconciliation.classification.shapes import ledger_natural_key
from tests.reconciliation.classification.situations import Item, decide, entry, kinds, line

AGAIN, FIRST = line(2, -58_230, "PAY-3", ref_servicer="S2"), line(1, -58_230, "PAY-3", ref_servicer="S1")
BOOKED_AGAIN, BOOKED = entry(2, 91_475, "INV-3"), entry(1, 91_475, "INV-3")


def found(lines: list[Item], entries: list[Item], *decisions: tuple[str, str]) -> list[Any]:
    return kinds(
        decide(
            lines, entries, taken_lines=[FIRST], taken_entries=[BOOKED], not_duplicate=frozenset(decisions)
        )
    )


def test_a_line_that_people_found_to_be_single_is_missing_in_the_ledger_and_no_duplicate() -> None:
    assert found([AGAIN], []) == [("duplicate_external", ["L2"])]
    assert found([AGAIN], [], ("external", "L2")) == [("missing_in_ledger", ["L2"])]


def test_an_entry_that_people_found_to_be_single_is_missing_at_the_source_and_no_duplicate() -> None:
    assert found([], [BOOKED_AGAIN]) == [("duplicate_ledger", ["E2/1"])]
    assert found([], [BOOKED_AGAIN], ("ledger", ledger_natural_key("E2", 1))) == [
        ("missing_at_source", ["E2/1"])
    ]


@pytest.mark.parametrize(
    "decision",
    [
        ("external", "L1"),
        ("external", "L22"),
        ("ledger", "L2"),
        ("external", ledger_natural_key("E2", 1)),
        ("ledger", ledger_natural_key("E2", 2)),
        ("ledger", ledger_natural_key("E21", 1)),
    ],
)
def test_a_decision_about_another_line_or_the_other_side_says_nothing_here(decision: tuple[str, str]) -> None:
    assert found([AGAIN], [BOOKED_AGAIN], decision) == [
        ("duplicate_external", ["L2"]),
        ("duplicate_ledger", ["E2/1"]),
    ]


def test_a_decision_holds_for_the_line_and_not_for_the_next_repetition_of_it() -> None:
    third = AGAIN | {"line_id": 3, "line_key": "L3"}
    assert found([AGAIN, third], [], ("external", "L2")) == [
        ("duplicate_external", ["L3"]),
        ("missing_in_ledger", ["L2"]),
    ]
