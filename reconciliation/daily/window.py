"""Which business days a run computes. Pure: what changed and when is told, nothing is read."""

from dataclasses import dataclass
from datetime import date, timedelta

from reconciliation.classification.calendars import BusinessCalendar


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The days of a run. Groups dated ``first`` or later are computed anew; ``days`` are the steps, in order.

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
    if as_of < start_date:
        return None
    new_from = start_date if done_to is None else done_to + timedelta(days=1)
    if changed_from is not None and changed_from <= max(as_of, done_to or as_of):
        new_from = max(start_date, min(new_from, changed_from))
    last = as_of if done_to is None else max(as_of, done_to)
    if new_from > last:
        return None
    days = [day for day in calendar.business_days(new_from, last) if day < last]
    return Window(first=new_from, days=(*days, last), done_to=done_to)
