"""The calendar of files: for which dates a source owes a file, and from which instant an absent one is overdue.

Law: no clock. Whoever asks says what time it is; ``None`` means that every file which is owed counts as overdue. A file
is due on the business day after its business date, at its deadline on the wall clock of the source; a date on which
the calendars are closed belongs to the next business day, and its file is due together with that day's.

A listed weekday that the calendars open in other weeks is owed nothing on a holiday; one that they never open (a
Saturday) is meant as it is said.

Example, TARGET, deadline 07:00 in Berlin: Thursday's file is due on Friday at 07:00, Friday's on Monday; one for
Saturday belongs to Monday and is due on Tuesday.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final

from reconciliation.classification.calendars import BusinessCalendar
from reconciliation.file_schedule import BUSINESS_DAYS, EVERY_DAY, NEVER, WEEKDAYS, AccountFiles
from reconciliation.sources import Source

_ONE_DAY: Final = timedelta(days=1)
_SAME_WEEKDAYS: Final = tuple(timedelta(weeks=weeks) for weeks in (-2, -1, 1, 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class FileCalendar:
    """The expected files of one source, by ledger account."""

    source: Source
    calendar: BusinessCalendar

    @property
    def places(self) -> tuple[str, ...]:
        """The accounts that stand for a file: each where it is owed its own, the first one where one serves all."""
        accounts = self.source.ledger_accounts
        return accounts if self.source.files.per == "account" else accounts[:1]

    def days(self, account: str) -> tuple[str, ...]:
        """The days that an account is owed a file for, as the sources file says them."""
        own = self._own(account)
        return own.days if own is not None and own.days is not None else self.source.files.days

    def deadline(self, account: str) -> time:
        """Until when a file of an account has to be there, on the wall clock of the source."""
        own = self._own(account)
        return own.deadline if own is not None and own.deadline is not None else self.source.files.deadline

    def is_owed(self, account: str, day: date) -> bool:
        """Whether an account is owed a file for a date."""
        words = self.days(account)
        if day < self.source.start_date or words == (NEVER,):
            return False
        if words == (EVERY_DAY,):
            return True
        if words == (BUSINESS_DAYS,):
            return self.calendar.is_business_day(day)
        if WEEKDAYS[day.weekday()] not in words:
            return False
        return self.calendar.is_business_day(day) or not any(
            self.calendar.is_business_day(day + weeks) for weeks in _SAME_WEEKDAYS
        )

    def owed(self, account: str, first: date, last: date) -> tuple[date, ...]:
        """The dates from ``first`` to ``last``, both included, that an account is owed a file for."""
        span = range((last - first).days + 1)
        days = (first + timedelta(days=offset) for offset in span)
        return tuple(day for day in days if self.is_owed(account, day))

    def due_at(self, account: str, day: date) -> datetime:
        """The instant from which an absent file of an account for a date is overdue."""
        business_date = self.calendar.roll_forward(day)
        due_on = self.calendar.roll_forward(business_date + _ONE_DAY)
        return datetime.combine(due_on, self.deadline(account), self.source.zone)

    def is_overdue(self, account: str, day: date, now: datetime | None) -> bool:
        """Whether an absent file is missing rather than still to come."""
        return now is None or self.due_at(account, day) <= now

    def _own(self, account: str) -> AccountFiles | None:
        return next((mapping.files for mapping in self.source.accounts if mapping.ledger == account), None)
