"""Business days: which dates count, how far apart two dates are, and on which business date an instant falls.

Law: a date is a business day only if every named calendar is open, because money that crosses two rails waits for
both. Counting starts on a business day: a closed date is first rolled forward, so ``add_business_days(date, 0)`` is
always a business day and ``business_days_between(date, add_business_days(date, n))`` is ``n``. Holidays come from
the ``holidays`` library, whose version is part of ``version``. No clock, no store.

Example, TARGET around May Day: Wednesday 30 April 2025 + 1 business day = Friday 2 May; + 2 = Monday 5 May.
"""

from __future__ import annotations

import calendar as civil_calendar
import difflib
import importlib.metadata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

import holidays
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from reconciliation.errors import ReconciliationError

WEEKENDS: Final = "weekends"  # Saturdays and Sundays alone
EVERY_DAY: Final = "every_day"  # closes nothing: instant rails, processors that report daily
_LIBRARY_VERSION: Final = importlib.metadata.version("holidays")
_SATURDAY: Final = 5
_EPOCH: Final = date(1970, 1, 1)
_ONE_DAY: Final = timedelta(days=1)
_LONGEST_CLOSURE_DAYS: Final = 60  # above this the union of calendars has no business days worth the name
_MICROSECONDS_PER_DAY: Final = 86_400_000_000
# Since 1973 every offset in the tz database changes on a whole minute of UTC; Newfoundland did so at one minute past.
_MICROSECONDS_PER_MINUTE: Final = 60_000_000
_END_OF_DAY: Final = time(23, 59, 59)

Days = npt.NDArray[np.int64]  # days since 1970-01-01, as date32 counts them


@dataclass(frozen=True, slots=True, kw_only=True)
class BusinessCalendar:
    """The union of closed days of several calendars. Make one with ``of``; equal names make equal calendars."""

    names: tuple[str, ...]  # sorted, each once

    @classmethod
    def of(cls, names: Sequence[str]) -> BusinessCalendar:
        """The calendar that is closed whenever one of ``names`` is.

        Names: ``ECB`` (TARGET) and the library's other financial calendars such as ``NYSE``; ISO 3166 country
        codes such as ``DE`` or ``GB``, with ``/`` and a subdivision such as ``DE/BY``; ``weekends``; ``every_day``.
        A country's weekend is its own (Friday and Saturday in Kuwait).

        Raises:
            ReconciliationError: no name at all, or one that is not known; the message names the nearest.
        """
        if not names:
            raise ReconciliationError(
                f"calendars: expected at least one name, found none; '{EVERY_DAY}' closes no day"
            )
        for name in names:
            _check_name(name)
        return cls(names=tuple(sorted(set(names))))

    @property
    def version(self) -> str:
        """Library version and names: two runs with equal versions saw equal calendars."""
        return f"holidays {_LIBRARY_VERSION}: {' + '.join(self.names)}"

    def is_business_day(self, day: date) -> bool:
        """Whether every named calendar is open."""
        return day not in _closed_days(self.names, day.year)

    def roll_forward(self, day: date) -> date:
        """``day`` if it is a business day, else the next one.

        Raises:
            ReconciliationError: there is none within 60 days.
        """
        rolled = day
        while not self.is_business_day(rolled):
            rolled += _ONE_DAY
            if (rolled - day).days > _LONGEST_CLOSURE_DAYS:
                raise ReconciliationError(
                    f"calendars {', '.join(self.names)}: expected a business day within {_LONGEST_CLOSURE_DAYS} days"
                    f" of {day}, found none; drop a calendar from the list"
                )
        return rolled

    def add_business_days(self, day: date, count: int) -> date:
        """The business day ``count`` (zero or more) business days after ``day`` rolled forward."""
        if count < 0:
            raise ValueError(f"count of business days: expected 0 or more, found {count}")
        reached = self.roll_forward(day)
        for _ in range(count):
            reached = self.roll_forward(reached + _ONE_DAY)
        return reached

    def business_days_between(self, earlier: date, later: date) -> int:
        """Business days after ``earlier`` (rolled forward) up to and with ``later``; zero if that is not later."""
        return len(self.business_days(self.roll_forward(earlier) + _ONE_DAY, later))

    def business_days(self, from_day: date, to_day: date) -> tuple[date, ...]:
        """Every business day from ``from_day`` to ``to_day``, both included; empty if they are the wrong way round."""
        span = range((to_day - from_day).days + 1)
        days = (from_day + timedelta(days=offset) for offset in span)
        return tuple(day for day in days if self.is_business_day(day))


def map_days(days: Days, function: Callable[[date], date | int]) -> Days:
    """``function`` of every day, computed once per distinct day; results that are dates become days again."""
    distinct, places = np.unique(days, return_inverse=True)
    results = (function(_EPOCH + timedelta(days=int(day))) for day in distinct)
    numbers = [(result - _EPOCH).days if isinstance(result, date) else result for result in results]
    return np.array(numbers, dtype=np.int64)[places]


def business_date_of(
    effective_at: pa.Array[Any] | pa.ChunkedArray[Any],
    *,
    zone: ZoneInfo,
    cut_off: time,
    calendar: BusinessCalendar,
) -> pa.Array[Any]:
    """The business date (date32) of every instant (timestamp with zone, no nulls).

    The local date in ``zone``; after ``cut_off`` on the wall clock, the next day; rolled forward to a business day.
    The cut-off instant itself still belongs to its day. A cut-off of 23:59:59 is the end of the day: nothing comes
    after it, not even the fractions of that second.

    Raises:
        ValueError: the timestamps have no zone, or some are null: what they mean would be a guess.
    """
    if (
        not pa.types.is_timestamp(effective_at.type)
        or effective_at.type.tz is None
        or effective_at.null_count
    ):
        raise ValueError(
            f"effective_at: expected instants with a zone and no nulls, found {effective_at.type}"
            f" with {effective_at.null_count} nulls"
        )
    whole = effective_at.combine_chunks() if isinstance(effective_at, pa.ChunkedArray) else effective_at
    instants = (
        whole.cast(pa.timestamp("us", tz="UTC"), safe=False).cast(pa.int64()).to_numpy(zero_copy_only=False)
    )
    local = instants + _utc_offsets(instants, zone)
    days = local // _MICROSECONDS_PER_DAY
    if cut_off < _END_OF_DAY:
        days = days + (local % _MICROSECONDS_PER_DAY > _microseconds(cut_off))
    return pa.array(map_days(days, calendar.roll_forward).astype(np.int32)).cast(pa.date32())


def _utc_offsets(instants: npt.NDArray[np.int64], zone: ZoneInfo) -> npt.NDArray[np.int64]:
    """What to add to UTC to get the wall clock, in microseconds; asked of the zone once per distinct minute.

    Arrow could do it, but reads a tz database of its own, which need not be there nor be the one ``zoneinfo`` has.
    """
    minutes, places = np.unique(instants // _MICROSECONDS_PER_MINUTE, return_inverse=True)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    offsets = [
        (epoch + timedelta(minutes=int(minute))).astimezone(zone).utcoffset() or timedelta()
        for minute in minutes
    ]
    return np.array([offset // timedelta(microseconds=1) for offset in offsets], dtype=np.int64)[places]


def _microseconds(clock: time) -> int:
    return ((clock.hour * 60 + clock.minute) * 60 + clock.second) * 1_000_000 + clock.microsecond


@lru_cache(maxsize=1024)
def _closed_days(names: tuple[str, ...], year: int) -> frozenset[date]:
    """Closed days of a year over all names. Cached: a pure function of its arguments and the library's version."""
    first = date(year, 1, 1)
    days = [first + timedelta(days=n) for n in range(366 if civil_calendar.isleap(year) else 365)]
    openings = [_openings(name, year) for name in names]
    return frozenset(day for day in days if not all(is_open(day) for is_open in openings))


def _openings(name: str, year: int) -> Callable[[date], bool]:
    if name == EVERY_DAY:
        return lambda _: True
    if name == WEEKENDS:
        return lambda day: day.weekday() < _SATURDAY
    if name in holidays.list_supported_financial():
        return holidays.financial_holidays(name, years=year).is_working_day
    country, _, subdivision = name.partition("/")
    return holidays.country_holidays(country, subdiv=subdivision or None, years=year).is_working_day


def _check_name(name: str) -> None:
    financial, countries = holidays.list_supported_financial(), holidays.list_supported_countries()
    if name in (EVERY_DAY, WEEKENDS) or name in financial:
        return
    country, slash, subdivision = name.partition("/")
    if country not in countries:
        raise _unknown(name, (EVERY_DAY, WEEKENDS, *financial, *countries))
    if slash and subdivision not in countries[country]:
        raise _unknown(name, [f"{country}/{known}" for known in countries[country]] or [country])


def _unknown(name: str, known: Sequence[str]) -> ReconciliationError:
    folded = {candidate.casefold(): candidate for candidate in reversed(known)}
    near = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.0)
    return ReconciliationError(
        f"calendar {name!r}: expected ECB, an ISO country code such as DE or DE/BY, a market such as NYSE, {WEEKENDS}"
        f" or {EVERY_DAY}; no such calendar found, the nearest is {folded[near[0]]!r}"
    )
