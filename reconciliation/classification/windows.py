"""The due window of every open item: which rails it crosses, when it is due, when it will probably clear.

    due window = the next business day after the cut-off + lag, in the union of closed days of every rail it crosses

An item crosses the source's own calendars, those of the rail of its kind, and where two assets meet those of both.
Law: ``due_on`` is the contract's latest, nothing learned moves it; on that day an item is timing, on the business day
after it no longer is, unless a file in which it may stand has not come, which it waits for and names. Lateness counts
in the item's own calendar. Each window is worked out once per account, day, rail and pair of assets, not per item.

Example: a card sale at 16:30 on a Friday, cut-off of its rail 16:00, lag 2 at the latest: due on Wednesday; on
Thursday if Monday is a holiday of the rail.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from reconciliation.classification.calendars import EVERY_DAY, BusinessCalendar, Days, business_date_of
from reconciliation.classification.drafts import days_of
from reconciliation.classification.gaps import file_gap_key
from reconciliation.classification.lags import LagCounts, forecast
from reconciliation.classification.references import true_where
from reconciliation.sources import Lag, Rail, Source

_EPOCH: Final = date(1970, 1, 1)
_NO_RAIL: Final = -1
_KEYS: Final = ["account", "day", "rail", "asset", "other"]
_EVERY_DAY: Final = BusinessCalendar.of([EVERY_DAY])

_MakeWindow = Callable[[str, date, Rail | None, BusinessCalendar], dict[str, Any]]  # of an account and day


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """What windows are worked out from beside the items. ``lag_counts``: lags (external less ledger), how often."""

    source: Source
    calendar: BusinessCalendar
    as_of: date
    waiting_for_file: Mapping[str, Collection[date]] = field(default_factory=dict)
    lag_counts: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """Per row: dates as days since 1970-01-01, business days past due, and JSON texts of further factors."""

    due_on: Days
    contract_clear_on: Days  # by the contract's expected lag
    expected_clear_on: Days  # most likely, given that it has not cleared; what a timing item is told to do
    is_timing: npt.NDArray[np.bool_]
    late: Days
    calendar: npt.NDArray[np.object_]
    why: npt.NDArray[np.object_]
    facts: npt.NDArray[np.object_]  # of an item that is not timing
    timing_facts: npt.NDArray[np.object_]


def ledger_windows(rows: pa.Table, clock: Clock) -> Windows:
    """Windows of ledger lines (LEDGER_ITEM_SCHEMA) that the source has not reported."""
    rails = _rails_of(rows, clock.source)
    keys = _keys(rows, _after_cut_off(rows, rails, clock.source), rails, other="fx_asset")
    seen = clock.lag_counts

    def window(account: str, day: date, rail: Rail | None, calendar: BusinessCalendar) -> dict[str, Any]:
        lag = (rail.lag if rail else None) or clock.source.lag
        own = seen if lag == clock.source.lag else _within(seen, lag)
        due = calendar.add_business_days(day, lag.latest)
        earliest = calendar.add_business_days(day, lag.earliest)
        absent = sorted(
            {
                late
                for late in clock.waiting_for_file.get(account, ())
                if earliest <= late <= min(due, clock.as_of)
            }
        )
        if absent:
            why = f"waits for the file of {', '.join(late.isoformat() for late in absent)}"
        elif clock.as_of <= due:
            why = "the source may still report it"
        else:
            why = "the source should have reported it by now"
        gaps = [
            {"date": late.isoformat(), "exception_key": file_gap_key(clock.source, account, late)}
            for late in absent
        ]
        waits_for = {"waits_for": gaps} if gaps else {}
        return _window(day, calendar, LagCounts.of(lag, own), clock, absent=absent, rail=rail) | {
            "why": why,
            "added": waits_for,
        }

    return _windows(keys, clock, window)


def external_windows(rows: pa.Table, clock: Clock) -> Windows:
    """Windows of external lines (EXTERNAL_ITEM_SCHEMA) that our own book does not have."""
    keys = _keys(rows, days_of(rows["business_date"]), _rails_of(rows, clock.source), other="original_asset")
    latest = clock.source.ledger_lag_latest
    lag = Lag(earliest=0, expected=latest, latest=latest)
    seen = [(-days, count) for days, count in clock.lag_counts]

    def window(_: str, day: date, rail: Rail | None, calendar: BusinessCalendar) -> dict[str, Any]:
        is_due = clock.as_of <= calendar.add_business_days(day, lag.latest)
        why = "our book may still be behind" if is_due else "our book should have it by now"
        return _window(day, calendar, LagCounts.of(lag, seen), clock, absent=(), rail=rail) | {
            "why": why,
            "added": {},
        }

    return _windows(keys, clock, window)


def _window(
    day: date,
    calendar: BusinessCalendar,
    lags: LagCounts,
    clock: Clock,
    *,
    absent: Collection[date],
    rail: Rail | None,
) -> dict[str, Any]:
    begins = calendar.roll_forward(day)
    due = calendar.add_business_days(day, lags.contract.latest)
    passed = calendar.business_days_between(begins, clock.as_of) if begins <= clock.as_of else -1
    awaited = {calendar.business_days_between(begins, late) for late in absent if begins <= late}
    seen = forecast(lags, passed=passed, awaited=awaited)
    facts = {"rail": rail.name} if rail else {}
    chances = {
        "clears_by_due_ppm": seen.by_due_ppm,
        "clears_by_expected_ppm": seen.by_expected_ppm,
        "lag_observations": lags.observations,
    }
    return {
        "due_on": _number(due),
        "contract_clear_on": _number(calendar.add_business_days(day, lags.contract.expected)),
        "expected_clear_on": _number(calendar.add_business_days(day, seen.expected_lag)),
        "is_timing": bool(absent) or clock.as_of <= due,
        "late": calendar.business_days_between(due, clock.as_of),
        "calendar": calendar.version,
        "facts": facts,
        "chances": chances,
    }


def _windows(keys: pd.DataFrame, clock: Clock, window: _MakeWindow) -> Windows:
    """The window of every row of ``keys``, made once for each distinct one."""
    places = keys.groupby(_KEYS, sort=False).ngroup().to_numpy(dtype=np.int64)
    distinct = keys[~pd.Series(places).duplicated().to_numpy()]
    calendars: dict[tuple[int, str, str], BusinessCalendar] = {}
    made = []
    for account, number, place, asset, other in distinct.itertuples(index=False, name=None):
        rail = clock.source.rails[place] if place != _NO_RAIL else None
        crossed = (place, asset, other)
        if crossed not in calendars:
            calendars[crossed] = _union(clock, rail, asset, other)
        made.append(window(account, _EPOCH + timedelta(days=int(number)), rail, calendars[crossed]))

    def spread(values: Iterable[Any], kind: Any) -> Any:
        return np.array(list(values), dtype=kind)[places]

    return Windows(
        due_on=spread((one["due_on"] for one in made), np.int64),
        contract_clear_on=spread((one["contract_clear_on"] for one in made), np.int64),
        expected_clear_on=spread((one["expected_clear_on"] for one in made), np.int64),
        is_timing=spread((one["is_timing"] for one in made), np.bool_),
        late=spread((one["late"] for one in made), np.int64),
        calendar=spread((one["calendar"] for one in made), object),
        why=spread((one["why"] for one in made), object),
        facts=spread((_text(one["facts"]) for one in made), object),
        timing_facts=spread((_text(one["facts"] | one["chances"] | one["added"]) for one in made), object),
    )


def _union(clock: Clock, rail: Rail | None, asset: str, other: str) -> BusinessCalendar:
    """The calendar that is closed whenever the source, the rail, or one of two assets that meet is."""
    names = [*clock.calendar.names, *(rail.calendars if rail else ())]
    if other:
        known = clock.source.asset_calendars
        names += [*known.get(asset, ()), *known.get(other, ())]
    return BusinessCalendar.of(names)


def _keys(rows: pa.Table, days: Days, rails: Days, *, other: str) -> pd.DataFrame:
    other_asset = pc.if_else(pc.equal(rows[other], rows["asset"]), "", rows[other])
    return pd.DataFrame(
        {
            "account": rows["account"].to_numpy(),
            "day": days,
            "rail": rails,
            "asset": rows["asset"].to_numpy(),
            "other": pc.fill_null(other_asset, "").to_numpy(),
        }
    )


def _rails_of(rows: pa.Table, source: Source) -> Days:
    """The place of each row's rail among the source's: the one that names its kind, else the one for every kind."""
    for_every = next((place for place, rail in enumerate(source.rails) if not rail.kinds), _NO_RAIL)
    found = np.full(rows.num_rows, for_every, dtype=np.int64)
    for place, rail in enumerate(source.rails):
        if rail.kinds:
            found[true_where(pc.is_in(rows["kind"], value_set=pa.array(rail.kinds, pa.string())))] = place
    return found


def _after_cut_off(rows: pa.Table, rails: Days, source: Source) -> Days:
    """The day a ledger line starts on: its business date, or by the instant and the cut-off of its own rail."""
    days = days_of(rows["business_date"])
    known = true_where(pc.is_valid(rows["effective_at"]))
    for place, rail in enumerate(source.rails):
        if rail.cut_off is not None:
            chosen = np.flatnonzero(known & (rails == place))
            instants = rows["effective_at"].combine_chunks().take(chosen)
            days[chosen] = days_of(
                business_date_of(instants, zone=source.zone, cut_off=rail.cut_off, calendar=_EVERY_DAY)
            )
    return days


def _within(seen: tuple[tuple[int, int], ...], lag: Lag) -> list[tuple[int, int]]:
    """Of lags seen at the source those inside a rail's own window: what lies outside may be another rail's."""
    return [(days, count) for days, count in seen if lag.earliest <= days <= lag.latest]


def _number(day: date) -> int:
    return (day - _EPOCH).days


def _text(facts: Mapping[str, Any]) -> str:
    return json.dumps(facts, sort_keys=True, separators=(",", ":"))
