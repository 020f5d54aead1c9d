"""A day learns from the days before it, never from itself, and forgets what is too old."""

from datetime import date, timedelta

from reconciliation.classification import BusinessCalendar
from reconciliation.daily.learned import NOTHING, REMEMBERED, business_days, known_lags, with_lesson

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


def test_business_days_are_known_beyond_both_ends() -> None:
    days = business_days(BusinessCalendar.of(["ECB"]), DAY, DAY)
    assert days[0] < (DAY - date(1970, 1, 1)).days < days[-1]
    assert (date(2026, 11, 8) - date(1970, 1, 1)).days not in days  # a Sunday
