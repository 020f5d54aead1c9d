"""The figures of the dashboard: what is open, in every way it is shown, and how far each source's days are.

Laws: every figure carries the filter of the list that makes it, and is that list's count and sums; sums are by asset,
never across; all is read in one transaction of one snapshot, so that the figures agree with each other.

Example: the figure for value at risk is everything genuine that is high or critical, and its address is
``/exceptions?severity=critical,high&class=genuine``.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import psycopg
from psycopg.rows import dict_row

from ledger_core.sql import queries
from reconciliation.review import words
from reconciliation.review.conditions import AGES, NOBODY
from reconciliation.review.days import (
    DayState,
    Window,
    count_states,
    default_window,
    last_days,
    read_days,
)
from reconciliation.review.filters import OPEN_STATUSES, Filter
from reconciliation.sources import Source

SQL: Final = queries(Path(__file__).with_suffix(".sql"))
AT_RISK_CLASS: Final = "genuine"
AT_RISK_SEVERITIES: Final = ("critical", "high")
TREND_DAYS: Final = 20
OWNERS_SHOWN: Final = 25
_AGE_WORDS: Final = ("< 1", "1 – 3", "3 – 7", "7 – 30", "> 30")
_AGE_BOUNDS: Final = [first for first, _ in AGES.values()][1:]
_AT_RISK: Final = [f"{AT_RISK_CLASS} {severity}" for severity in AT_RISK_SEVERITIES]
_AT_RISK_FILTER: Final[Mapping[str, Any]] = {"class_": (AT_RISK_CLASS,), "severity": AT_RISK_SEVERITIES}
_MISSING: Final = "missing_file"
_NOTHING: Final[Mapping[str, int]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A number of exceptions, their value by asset in minor units, and the list that they are."""

    item_count: int = 0
    sums: Mapping[str, int] = field(default_factory=lambda: _NOTHING)  # without those that have no asset
    age_max: int = 0
    filter: Filter

    @property
    def path(self) -> str:
        """Address of the list."""
        return self.filter.path()


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One row of a breakdown."""

    code: str
    words: str
    figure: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """How far a source is. ``trend`` is the share that was explained without people, in permille, day by day."""

    source: Source
    last_day: DayState | None
    trend: tuple[int, ...]
    figure: Figure
    at_risk: Figure
    missing: Figure
    states: Mapping[str, int]  # by group of days.GROUPS


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """Everything the page shows."""

    filter: Filter
    assets: tuple[str, ...]
    everything: Figure
    at_risk: Figure
    late: Figure
    unassigned: Figure
    waiting: Figure
    missing: Figure
    oldest: Figure
    breakdowns: Mapping[str, tuple[Line, ...]]
    sources: tuple[SourceState, ...]
    window: Window


def read_dashboard(
    connection: psycopg.Connection[Any], sources: Sequence[Source], base: Filter, *, today: date
) -> Dashboard:
    """The figures of what a filter of sources and assets lets through; other parts of the filter are left out."""
    base = Filter(source=base.source, asset=base.asset)
    figures = _Figures(_rows(connection, base, today), base)
    chosen = [source for source in sources if not base.source or source.id in base.source]
    last = last_days(connection, chosen)
    window = default_window(last.values(), today=today)
    days = read_days(connection, chosen, window, today=today)
    owners = figures.lines("owner", sort_by_count=True)
    return Dashboard(
        filter=base,
        assets=figures.assets,
        everything=figures.of("all", [""]),
        at_risk=figures.of("class and severity", _AT_RISK, **_AT_RISK_FILTER),
        late=figures.of("late", ["t"], due="late"),
        unassigned=figures.of("owner", [""], owner=NOBODY),
        waiting=figures.of("status", ["proposed"], status=("proposed",)),
        missing=figures.of("kind", [_MISSING], kind=(_MISSING,)),
        oldest=figures.of("all", [""], sort="age"),
        breakdowns={
            "class": figures.lines("class", list(words.CLASSES)),
            "severity": figures.lines("severity", list(words.SEVERITIES)),
            "age": figures.lines("age", [str(number) for number in range(len(AGES))]),
            "status": figures.lines("status", list(OPEN_STATUSES)),
            "kind": figures.lines("kind", sort_by_count=True),
            "owner": owners[:OWNERS_SHOWN],
        },
        sources=tuple(
            _source_state(source, days[source.id], last.get(source.id), figures) for source in chosen
        ),
        window=window,
    )


class _Figures:
    """Rows of the one query by what they show, ready to be added up."""

    def __init__(self, rows: Iterable[Mapping[str, Any]], base: Filter) -> None:
        self._base = base
        self._cells: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
        for row in rows:
            self._cells.setdefault(row["shown"], {}).setdefault(row["value"], []).append(row)
        found = {row["asset"] for row in self._cells.get("all", {}).get("", []) if row["asset"]}
        self.assets = tuple(sorted(found))

    def of(self, shown: str, values: Sequence[str], **changed: Any) -> Figure:
        """The figure of some values of a column, with the filter that lists them."""
        rows = [row for value in values for row in self._cells.get(shown, {}).get(value, [])]
        sums: dict[str, int] = {}
        for row in rows:
            if row["asset"]:
                sums[row["asset"]] = sums.get(row["asset"], 0) + int(row["value_minor"])
        return Figure(
            item_count=sum(row["item_count"] for row in rows),
            sums=dict(sorted(sums.items())),
            age_max=max((row["age_max"] for row in rows), default=0),
            filter=self._base.but(**changed) if changed else self._base,
        )

    def lines(
        self, shown: str, codes: Sequence[str] | None = None, *, sort_by_count: bool = False
    ) -> tuple[Line, ...]:
        """A breakdown: the codes in their order, or all there are, the most first."""
        found = sorted(self._cells.get(shown, {})) if codes is None else codes
        told = [self._line(shown, code) for code in found]
        if sort_by_count:
            told.sort(key=lambda line: (-line.figure.item_count, line.code))
        return tuple(told)

    def _line(self, shown: str, code: str) -> Line:
        said, changed = _EXPLAINED[shown](code)
        return Line(code=code, words=said, figure=self.of(shown, [code], **changed))


_EXPLAINED: Final[Mapping[str, Any]] = {
    "class": lambda code: (words.exception_class(code), {"class_": (code,)}),
    "severity": lambda code: (code, {"severity": (code,)}),
    "age": lambda code: (_AGE_WORDS[int(code)], {"age": list(AGES)[int(code)]}),
    "status": lambda code: (words.status(code), {"status": (code,)}),
    "kind": lambda code: (words.kind(code), {"kind": (code,)}),
    "owner": lambda code: (code or "nobody", {"owner": code or NOBODY}),
}
"""For each breakdown: the words for a value, and what it changes in the filter."""


def _rows(connection: psycopg.Connection[Any], base: Filter, today: date) -> list[dict[str, Any]]:
    condition, values = base.where(today=today)
    query = SQL["open_figures"].replace("{condition}", condition)
    wanted = values | {"ages": _AGE_BOUNDS, "today": today}
    cursor = connection.cursor(row_factory=dict_row)
    return cursor.execute(query.encode(), wanted, prepare=False).fetchall()


def _source_state(
    source: Source, days: Mapping[date, DayState], last_day: date | None, figures: _Figures
) -> SourceState:
    of_source = (source.id,)
    proved = [day for day in days.values() if day.is_proved]
    trend = [share for day in proved if (share := day.matched_permille) is not None]
    return SourceState(
        source=source,
        last_day=days.get(last_day) if last_day else None,
        trend=tuple(trend[-TREND_DAYS:]),
        figure=figures.of("source", [source.id], source=of_source),
        at_risk=figures.of(
            "class, severity and source",
            [f"{cell} {source.id}" for cell in _AT_RISK],
            source=of_source,
            **_AT_RISK_FILTER,
        ),
        missing=figures.of(
            "kind and source", [f"{_MISSING} {source.id}"], source=of_source, kind=(_MISSING,)
        ),
        states=count_states(days.values()),
    )
