"""What a correction does to matches: before the run it is what holds; after it, what it touches is undone."""

import pytest
from psycopg import connect

from fixtures.model import BankLine
from tests.reconciliation.daily.desk import MONDAY, OPENING_MINOR, TUESDAY, WEDNESDAY, Desk, movement
from tests.reconciliation.daily.stored import assert_same, state


@pytest.fixture
def desk(database_url: str) -> Desk:
    desk = Desk(database_url)
    for number, amount in ((1, 100), (2, 200), (3, 300)):
        desk.post(f"sale-{number}", MONDAY, amount, ref_end_to_end=f"INV-{number}")
    return desk


def lines(second: int = 200, ids: str = "N") -> list[BankLine]:
    return [
        movement("INV-1", 100, native_id=f"{ids}1"),
        movement("INV-2", second, native_id=f"{ids}2"),
        movement("INV-3", 300, native_id=f"{ids}3"),
    ]


def test_a_correction_before_the_first_run_is_what_the_run_finds(desk: Desk) -> None:
    desk.statement(MONDAY, *lines(second=210))
    assert desk.statement(MONDAY, *lines(), version="b").outcome == "corrected"
    outcome = desk.run(MONDAY)
    assert (outcome.groups_made, outcome.groups_revoked) == (3, 0)
    assert desk.kinds() == []


def test_a_correction_after_the_run_undoes_its_own_match_and_no_other(desk: Desk) -> None:
    desk.statement(MONDAY, *lines())
    desk.run(MONDAY)
    before = desk.live_groups()
    desk.statement(MONDAY, *lines(second=210), version="b")
    assert desk.live_groups() == before  # the intake flags; undoing is the next run's work
    outcome = desk.run(MONDAY)
    assert (outcome.groups_made, outcome.groups_revoked) == (0, 1)
    kept = desk.live_groups()
    assert len(kept) == 2
    assert kept.items() <= before.items()
    assert "genuine conflicting_version" in desk.kinds()


def test_a_correction_that_renumbers_its_lines_leaves_their_matches(desk: Desk) -> None:
    desk.statement(MONDAY, *lines())
    desk.run(MONDAY)
    before = desk.live_groups()
    outcome = desk.statement(MONDAY, *lines(ids="R"), version="b")
    assert (outcome.changed_count, outcome.withdrawn_count, outcome.unchanged_count) == (0, 0, 3)
    desk.run(MONDAY)
    assert desk.live_groups() == before


def test_a_withdrawn_line_gives_its_entry_back(desk: Desk) -> None:
    desk.statement(MONDAY, *lines())
    desk.run(MONDAY)
    outcome = desk.statement(MONDAY, *lines()[:2], version="b")
    assert outcome.withdrawn_count == 1
    assert desk.run(MONDAY).groups_revoked == 1
    assert "genuine withdrawn" in desk.kinds() or "review withdrawn" in desk.kinds()


def test_days_out_of_order_are_proved_provisionally_and_then_as_in_order(
    database_url: str, desk: Desk, make_database: object, template: str
) -> None:
    days = {
        MONDAY: (OPENING_MINOR, lines()),
        TUESDAY: (OPENING_MINOR + 600, [movement("INV-4", 40)]),
        WEDNESDAY: (OPENING_MINOR + 640, [movement("INV-5", 5)]),
    }
    with make_database(template) as other_url:  # type: ignore[operator]
        twin = Desk(other_url)
        for number, amount in ((1, 100), (2, 200), (3, 300)):
            twin.post(f"sale-{number}", MONDAY, amount, ref_end_to_end=f"INV-{number}")
        for day, (opening, told) in days.items():
            twin.statement(day, *told, opening_minor=opening)
            twin.run(day)
        for day in (WEDNESDAY, MONDAY, TUESDAY):
            opening, told = days[day]
            desk.statement(day, *told, opening_minor=opening)
            desk.run(WEDNESDAY)
        for one in (desk, twin):
            one.run(WEDNESDAY)
        with connect(database_url) as one, connect(other_url) as other:
            assert_same(state(other), state(one))
