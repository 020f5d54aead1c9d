"""A day learns from the days before it, never from itself, and forgets what is too old."""

from datetime import UTC, date, datetime, timedelta

import pyarrow as pa

from reconciliation.classification import BusinessCalendar
from reconciliation.daily.learned import (
    NOTHING,
    REMEMBERED,
    business_days,
    known_lags,
    last_in_order,
    moved_cursors,
    with_lesson,
)
from reconciliation.matching import MatchResult, match_day
from reconciliation.sources import GroupRule
from tests.reconciliation.matching.cases import EUR, external, externals, ledger, ledgers, rules

DAY = date(2026, 11, 9)


def test_what_a_day_confirms_is_known_from_the_next_day_on() -> None:
    lessons = with_lesson(NOTHING, DAY, ((0, 5), (1, 90)))
    assert known_lags(lessons, DAY) == ()
    assert known_lags(lessons, DAY + timedelta(days=1)) == ((0, 5), (1, 90))


def test_lessons_add_up_over_the_days() -> None:
    lessons = with_lesson(with_lesson(NOTHING, DAY, ((1, 2),)), DAY + timedelta(days=1), ((0, 1), (1, 3)))
    assert known_lags(lessons, DAY + timedelta(days=2)) == ((0, 1), (1, 5))


def test_a_day_that_is_done_again_teaches_once() -> None:
    lessons = with_lesson(with_lesson(NOTHING, DAY, ((1, 2),)), DAY, ((1, 7),))
    assert known_lags(lessons, DAY + timedelta(days=1)) == ((1, 7),)


def test_what_is_half_a_year_old_is_forgotten() -> None:
    lessons = with_lesson(NOTHING, DAY, ((1, 2),))
    assert known_lags(lessons, DAY + REMEMBERED) == ((1, 2),)
    assert known_lags(lessons, DAY + REMEMBERED + timedelta(days=1)) == ()


def run_of(name: str, day: date) -> tuple[MatchResult, pa.Table]:
    """A day on which a payout's run took two entries, and what was matched."""
    theirs = [external("P", 1_237, kind="payout")]
    at = datetime(day.year, day.month, day.day, tzinfo=UTC)
    ours = [ledger(f"{name}{part}", amount, effective_at=at) for part, amount in (("a", 411), ("b", 826))]
    by = rules(passes=("chained_run",), groups=(GroupRule(kind="payout"),))
    return match_day(externals(theirs), ledgers(ours), by), ledgers(ours)


def test_a_run_moves_the_cursor_to_the_last_line_it_took() -> None:
    result, taken = run_of("L1", DAY)
    assert result.groups["match_pass"].to_pylist() == ["chained_run"]
    assert moved_cursors({"other": "z"}, result, taken) == {"other": "z", EUR: last_in_order(taken)[EUR]}


def test_a_payout_that_comes_late_does_not_move_the_cursor_back() -> None:
    later, taken_later = run_of("L2", DAY + timedelta(days=1))
    earlier, taken_earlier = run_of("L1", DAY)
    reached = moved_cursors({}, later, taken_later)
    assert reached
    assert earlier.groups.num_rows == 1
    assert moved_cursors(reached, earlier, taken_earlier) == reached


def test_business_days_are_known_beyond_both_ends() -> None:
    days = business_days(BusinessCalendar.of(["ECB"]), DAY, DAY)
    assert days[0] < (DAY - date(1970, 1, 1)).days < days[-1]
    assert (date(2026, 11, 8) - date(1970, 1, 1)).days not in days  # a Sunday
