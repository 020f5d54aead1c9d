"""A deadline of files passes between two runs: what is told then, what is not told before, and what clears it."""

from dataclasses import dataclass
from datetime import UTC, date, datetime

import pytest

from reconciliation.daily.reconcile import RunOutcome, reconcile
from tests.reconciliation.daily.desk import MONDAY, SOURCES, TUESDAY, Desk

NIGHT = datetime(
    2026, 11, 11, 3, tzinfo=UTC
)  # the bank's files for Tuesday are due on Wednesday at 09:00 UTC
BEFORE = datetime(2026, 11, 11, 8, 59, 59, tzinfo=UTC)
DEADLINE = datetime(2026, 11, 11, 9, tzinfo=UTC)
NOON = datetime(2026, 11, 11, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Clock:
    desk: Desk

    def run(self, as_of: date, now: datetime) -> RunOutcome:
        with self.desk.session("tieout_matcher") as connection:
            return reconcile(
                connection,
                SOURCES["bank"],
                as_of=as_of,
                actor="tests",
                code_version="1",
                started_at=now,
                now=now,
            )

    def alerts(self) -> list[str]:
        return self.desk.ask("SELECT a.cause_key FROM recon.alert AS a ORDER BY 1")


@pytest.fixture
def clock(desk: Desk) -> Clock:
    desk.statement(MONDAY)
    return Clock(desk)


def test_a_run_before_the_deadline_calls_no_file_missing_and_one_at_the_deadline_does(clock: Clock) -> None:
    for now in (NIGHT, BEFORE):
        clock.run(TUESDAY, now)
        assert clock.desk.kinds() == []
        assert clock.alerts() == []
    told = clock.run(TUESDAY, DEADLINE)  # nothing came meanwhile: it is the deadline that is news
    assert not told.unchanged
    assert clock.desk.kinds() == ["source_gap missing_file"]
    assert clock.alerts() == ["exceptions:bank:2026-11-10:missing_file:high"]


def test_a_missing_file_is_told_once_and_running_again_changes_nothing(clock: Clock) -> None:
    for now in (NIGHT, DEADLINE):
        clock.run(TUESDAY, now)
    for now in (DEADLINE, NOON, NOON):
        assert clock.run(TUESDAY, now).unchanged
    assert len(clock.alerts()) == 1


def test_a_late_file_clears_the_missing_one(clock: Clock) -> None:
    for now in (NIGHT, DEADLINE):
        clock.run(TUESDAY, now)
    (exception,) = clock.desk.exceptions()
    clock.desk.statement(TUESDAY)
    clock.run(TUESDAY, NOON)
    assert clock.desk.kinds() == []
    assert clock.desk.events(exception["exception_id"]) == ["opened", "cleared"]


def test_a_deadline_that_passes_over_a_file_which_is_there_is_no_news(clock: Clock) -> None:
    clock.desk.statement(TUESDAY)
    clock.run(TUESDAY, NIGHT)
    assert clock.run(TUESDAY, NOON).unchanged


def test_the_order_of_the_clock_does_not_matter_in_the_end(clock: Clock, twin: Desk) -> None:
    other = Clock(twin)
    twin.statement(MONDAY)
    for now in (NIGHT, BEFORE, DEADLINE):
        clock.run(TUESDAY, now)
    other.run(TUESDAY, DEADLINE)
    assert clock.desk.kinds() == other.desk.kinds() == ["source_gap missing_file"]


def test_what_we_booked_for_a_day_whose_file_is_not_yet_due_is_timing_and_no_balance_break(
    clock: Clock,
) -> None:
    clock.desk.post("sale", TUESDAY, 500, ref_end_to_end="INV-1")
    clock.run(TUESDAY, NIGHT)
    assert clock.desk.kinds() == ["timing missing_at_source"]
