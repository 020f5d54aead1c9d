"""Which business days a run computes. Pure: what changed and when is told, nothing is read."""

from dataclasses import dataclass
from datetime import date, timedelta

from reconciliation.classification.calendars import BusinessCalendar


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The days of a run. Groups dated ``first`` or later are computed anew; ``days`` are the steps, in order.

    Steps are business days, and ``first`` is the day after a business day: what is dated on a day off belongs to the
    step of the next business day, whoever runs when.

    ``news`` are those whose exceptions are written: days nobody had reached before, and the last one. A day that is
    computed again keeps the story its exceptions had; what a late file settles is settled on the day that knew.
    """

    first: date
    days: tuple[date, ...]
    done_to: date | None = None

    @property
    def news(self) -> tuple[date, ...]:
        return tuple(
            day for day in self.days if day == self.last or self.done_to is None or day > self.done_to
        )

    @property
    def last(self) -> date:
        return self.days[-1]


def last_business_day(day: date, calendar: BusinessCalendar) -> date:
    """The day itself if it is a business day, else the last one before it."""
    while not calendar.is_business_day(day):
        day -= timedelta(days=1)
    return day


def window_of(
    *,
    start_date: date,
    as_of: date,
    done_to: date | None,
    changed_from: date | None,
    calendar: BusinessCalendar,
) -> Window | None:
    """The window of a run up to ``as_of``; None when everything up to there is done and nothing changed.

    ``done_to`` is the last business date that any run reached, ``changed_from`` the earliest business date of
    whatever came since. A change before ``done_to`` folds all days up to ``done_to`` again, also when ``as_of`` is
    earlier: a corrected day must not leave later days resting on what it was before.
    """
    last = as_of if done_to is None else max(as_of, done_to)
    first = start_date if done_to is None else done_to + timedelta(days=1)
    if changed_from is not None and changed_from <= last:
        first = min(first, last_business_day(changed_from - timedelta(days=1), calendar) + timedelta(days=1))
    first = max(start_date, first)
    days = calendar.business_days(first, last)
    return Window(first=first, days=days, done_to=done_to) if days else None
