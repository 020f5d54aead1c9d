"""Business days of the sources between two dates: tied out or not, signed or not, changed since, a file missing.

Law: a day has exactly one state, and every business day of a source since its start has one; dashboard and calendar
count from this one reading, so that they cannot disagree. Reads only.

Example: a day that was signed and changed since is ``changed``, not ``signed``; one with a file missing is
``file_missing`` although its balances tie out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import psycopg
from psycopg.rows import dict_row

from ledger_core.sql import queries
from reconciliation.classification import BusinessCalendar
from reconciliation.sources import Source

SQL: Final = queries(Path(__file__).with_suffix(".sql"))
WINDOW_DAYS: Final = 35
STATES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "signed": "signed",
        "changed": "changed since sign-off",
        "prepared": "prepared, waits for review",
        "to_sign": "tied out, to sign",
        "not_tied_out": "not tied out",
        "file_missing": "file missing",
        "not_reconciled": "not reconciled",
    }
)
"""States of a day with the words for them."""
GROUPS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "signed": ("signed",),
        "changed": ("changed",),
        "to_sign": ("prepared", "to_sign"),
        "blocked": ("not_tied_out", "file_missing", "not_reconciled"),
    }
)
"""The states as the dashboard counts them: every state in one group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Dates from a Monday to a Sunday, both included."""

    from_date: date
    to_date: date

    @classmethod
    def around(cls, day: date) -> "Window":
        """Five weeks, the last of which holds the day."""
        sunday = day + timedelta(days=6 - day.weekday())
        return cls(from_date=sunday - timedelta(days=WINDOW_DAYS - 1), to_date=sunday)

    @property
    def dates(self) -> tuple[date, ...]:
        """Every date."""
        return tuple(
            self.from_date + timedelta(days=number)
            for number in range((self.to_date - self.from_date).days + 1)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DayState:
    """One business day of a source. Counts are of lines in play; ``changed`` says what changed since it was signed."""

    source_id: str
    day: date
    is_proved: bool = False
    tied_out: bool = False
    matched_count: int = 0
    decided_count: int = 0
    line_count: int = 0
    timing_count: int = 0
    genuine_count: int = 0
    missing_count: int = 0
    sign_off_id: int | None = None
    signature: str | None = None
    prepared_by: str | None = None
    reviewed_by: str | None = None
    reviewed_at: datetime | None = None
    changed: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """One of ``STATES``."""
        if self.signature == "signed":
            return "changed" if self.changed else "signed"
        if self.missing_count:
            return "file_missing"
        if not self.is_proved:
            return "not_reconciled"
        if not self.tied_out:
            return "not_tied_out"
        return "prepared" if self.signature == "prepared" else "to_sign"

    @property
    def matched_permille(self) -> int | None:
        """The share of lines in play that the engine explained by itself; None where there was no line."""
        if not self.line_count:
            return None
        return max(self.matched_count - self.decided_count, 0) * 1000 // self.line_count


def read_days(
    connection: psycopg.Connection[Any], sources: Sequence[Source], window: Window, *, today: date
) -> dict[str, dict[date, DayState]]:
    """Every business day of each source in the window that is over, by source and date; other days if there is news."""
    wanted = {
        "sources": [source.id for source in sources],
        "from_date": window.from_date,
        "to_date": window.to_date,
    }
    states: dict[str, dict[date, DayState]] = {
        source.id: {
            day: DayState(source_id=source.id, day=day)
            for day in _business_days(source, window)
            if source.start_date <= day < today
        }
        for source in sources
    }
    for row in connection.cursor(row_factory=dict_row).execute(SQL["days"], wanted):
        states[row["source_id"]][row["day"]] = DayState(**row | {"changed": tuple(row["changed"])})
    return {source_id: dict(sorted(days.items())) for source_id, days in states.items()}


def last_days(connection: psycopg.Connection[Any], sources: Sequence[Source]) -> dict[str, date]:
    """The last day that each source was reconciled to; sources that never were are left out."""
    wanted = {"sources": [source.id for source in sources]}
    return dict(connection.execute(SQL["last_days"], wanted).fetchall())


def default_window(last: Iterable[date], *, today: date) -> Window:
    """The window that ends this week; where the last reconciled day lies before it, the one that ends there."""
    window = Window.around(today)
    latest = max(last, default=today)
    return window if latest >= window.from_date else Window.around(latest)


def count_states(days: Iterable[DayState]) -> dict[str, int]:
    """How many days are in each of ``GROUPS``."""
    states = [day.state for day in days]
    return {name: sum(state in members for state in states) for name, members in GROUPS.items()}


def _business_days(source: Source, window: Window) -> tuple[date, ...]:
    return BusinessCalendar.of(source.calendars).business_days(window.from_date, window.to_date)
