"""Precision and recall of the timing label from what the books say became of the items."""

from dataclasses import asdict
from typing import Any

import pytest

from reconciliation.evidence.timing import read_timing_quality
from reconciliation.exceptions.work import undo_match
from tests.reconciliation.daily.desk import (
    FRIDAY,
    MONDAY,
    OPENING_MINOR,
    THURSDAY,
    TUESDAY,
    WEDNESDAY,
    Desk,
    movement,
)


@pytest.fixture
def desk(database_url: str) -> Desk:
    """Two small sources on a fresh database."""
    return Desk(database_url)


def quality(desk: Desk, **dates: Any) -> dict[str, Any]:
    with desk.session("tieout_auditor") as connection:
        found = read_timing_quality(connection, "bank", **dates)
    assert found is not None
    return asdict(found) | {"precision_ppm": found.precision_ppm, "recall_ppm": found.recall_ppm}


def a_week(desk: Desk) -> None:
    """Monday: one payment that arrives on Tuesday, one on its due date, one too late, one never; and a bank line that
    our book has a day later.
    """
    for name, amount in (("SOON", 500), ("JUST", 600), ("LATE", 700), ("NEVER", 800)):
        desk.post(name, MONDAY, amount, ref_end_to_end=name)
    told = {
        MONDAY: [movement("OURS", 300)],
        TUESDAY: [movement("SOON", 500)],
        WEDNESDAY: [movement("JUST", 600)],
        THURSDAY: [],
        FRIDAY: [movement("LATE", 700)],
    }
    balance = OPENING_MINOR
    for day, lines in told.items():
        if day == TUESDAY:
            desk.post("OURS", TUESDAY, 300, ref_end_to_end="OURS")
        desk.statement(day, *lines, opening_minor=balance)
        balance += sum(line.amount_minor for line in lines)
        desk.run(day)


def test_every_item_of_a_week_is_counted_by_what_became_of_it(desk: Desk) -> None:
    a_week(desk)
    assert quality(desk) == {
        "as_of": FRIDAY,
        "timing_count": 5,
        "not_due_count": 0,
        "waiting_count": 0,
        "judged_count": 5,
        "cleared_in_time_count": 3,
        "self_cleared_count": 3,
        "self_cleared_timing_count": 3,
        "precision_ppm": 600_000,
        "recall_ppm": 1_000_000,
    }


def test_running_again_measures_the_same(desk: Desk) -> None:
    a_week(desk)
    before = quality(desk)
    desk.run(FRIDAY)
    assert quality(desk) == before


def test_items_are_chosen_by_their_own_date(desk: Desk) -> None:
    a_week(desk)
    desk.post("NEXT", FRIDAY, 100, ref_end_to_end="NEXT")
    desk.run(FRIDAY)
    assert quality(desk)["timing_count"] == 6
    assert quality(desk, from_date=FRIDAY)["timing_count"] == 1
    assert quality(desk, from_date=FRIDAY)["not_due_count"] == 1
    assert quality(desk, to_date=THURSDAY)["timing_count"] == 5
    assert quality(desk, from_date=TUESDAY, to_date=THURSDAY)["precision_ppm"] is None


def test_what_waits_for_a_missing_statement_is_judged_when_it_comes(desk: Desk) -> None:
    desk.post("PAY", TUESDAY, 500, ref_end_to_end="PAY")
    desk.statement(MONDAY)
    for day in (MONDAY, TUESDAY):
        desk.run(day)
    for day in (WEDNESDAY, THURSDAY, FRIDAY):
        desk.statement(day, opening_minor=OPENING_MINOR + 500)
        desk.run(day)
    waits = quality(desk)
    assert (waits["waiting_count"], waits["judged_count"], waits["precision_ppm"]) == (1, 0, None)

    desk.statement(TUESDAY, movement("PAY", 500))
    desk.run(FRIDAY)

    came = quality(desk)
    assert (came["waiting_count"], came["judged_count"], came["precision_ppm"]) == (0, 1, 1_000_000)


def test_a_match_that_is_undone_no_longer_counts_as_cleared(desk: Desk) -> None:
    a_week(desk)
    (group,) = desk.ask(
        "SELECT e.cleared_by_group FROM recon.exception AS e WHERE e.entry_key = 'SOON' AND e.status = 'cleared'"
    )
    desk.enrol("ana")
    with desk.acting("ana") as connection:
        undo_match(connection, group, reason="data_correction", note="other customer")
    desk.run(FRIDAY)
    assert quality(desk)["cleared_in_time_count"] == 2


def test_a_source_that_was_never_reconciled_has_no_quality(desk: Desk) -> None:
    with desk.session("tieout_auditor") as connection:
        assert read_timing_quality(connection, "bank") is None
