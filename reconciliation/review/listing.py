"""A page of the list by key, and what the whole list adds up to.

Laws: a page begins after a place in the order and not after a number of rows, so that each row comes once, however far
one walks and whatever happens before it; every order is one that an index gives; a place is strictly typed. Sums are of
integers, without a bound.

Example:
    page = read_page(connection, Filter(), Place.first(), today=day)
    read_page(connection, Filter(), page.after, today=day)  # the next fifty
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg.rows import class_row

from ledger_core.sql import queries
from reconciliation.review.filters import Filter, FilterProblem

SQL: Final = queries(Path(__file__).with_suffix(".sql"))
ROWS_PER_PAGE: Final = 50
NO_DAY: Final = date.max  # where nothing is due: the database puts it behind all days
_BIGINT: Final = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order of rows: by some columns one way, then by number. ``shapes`` are those of the columns in a place."""

    columns: tuple[str, ...]
    falls: bool
    number_falls: bool
    shapes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An exception as the list shows it."""

    exception_id: int
    version: int
    source: str
    class_: str
    kind: str
    severity: str
    severity_rank: int
    status: str
    value_minor: int
    amount_minor: int
    difference_minor: int
    asset: str | None
    age_days: int
    opened_on: date
    cleared_on: date | None
    due_on: date | None
    snoozed_until: date | None
    reference: str | None
    counterparty: str | None
    best_millibits: int | None
    candidates: int
    assignee: str | None
    team: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Rows in their order, and the places to go on from; None where there is nothing more."""

    rows: tuple[Row, ...]
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetTotal:
    """What the rows of one asset add up to: signed, and by absolute value."""

    asset: str | None
    count: int
    amount_minor: int
    value_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """How many rows, and their sums by asset."""

    count: int
    by_asset: tuple[AssetTotal, ...]


ORDERS: Final[Mapping[str, Order]] = {
    "worst": Order(
        columns=("severity_rank", "value_minor"), falls=True, number_falls=False, shapes=("rank", "number")
    ),
    "value": Order(columns=("value_minor",), falls=True, number_falls=False, shapes=("number",)),
    "due": Order(columns=("due_key",), falls=False, number_falls=False, shapes=("day",)),
    "age": Order(columns=("opened_on",), falls=False, number_falls=False, shapes=("day",)),
    "newest": Order(columns=(), falls=True, number_falls=True, shapes=()),
    "cleared": Order(columns=("cleared_on",), falls=True, number_falls=False, shapes=("day",)),
}
_SHAPES: Final = {
    "rank": re.compile(r"[0-4]", re.ASCII),
    "number": re.compile(r"0|[1-9]\d{0,18}", re.ASCII),
    "day": re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII),
}


def read_page(
    connection: psycopg.Connection[Any],
    filter_: Filter,
    *,
    today: date,
    me: str = "",
    after: str = "",
    before: str = "",
    limit: int = ROWS_PER_PAGE,
) -> Page:
    """The first rows, those after a place, or those before one. A page before that is not full is the first.

    Raises:
        FilterProblem: a place that is none in this order.
    """
    if after and before:
        raise FilterProblem("before", "expected one of after and before, found both")
    order = ORDERS[filter_.order]
    place = _place(order, "before" if before else "after", before or after)
    condition, values = filter_.where(today=today, me=me)
    rows = _rows(connection, order, condition, values, place=place, backwards=bool(before), limit=limit + 1)
    if before and len(rows) <= limit:
        return read_page(connection, filter_, today=today, me=me, limit=limit)
    has_more, shown = len(rows) > limit, rows[:limit]
    if before:
        shown.reverse()
    first, last = (place_of(order, shown[0]), place_of(order, shown[-1])) if shown else (None, None)
    return Page(
        rows=tuple(shown),
        before=first if before or after else None,
        after=last if has_more or before else None,
    )


def count_and_sum(
    connection: psycopg.Connection[Any], filter_: Filter, *, today: date, me: str = ""
) -> Totals:
    """What all rows of a filter add up to, by asset in order of the alphabet; rows without an asset come last."""
    condition, values = filter_.where(today=today, me=me)
    query = " ".join((SQL["totals"], "WHERE", condition, "GROUP BY e.asset ORDER BY e.asset NULLS LAST"))
    rows = connection.execute(query.encode(), values, prepare=False).fetchall()
    totals = tuple(
        AssetTotal(asset=asset, count=count, amount_minor=int(amount_minor), value_minor=int(value_minor))
        for asset, count, amount_minor, value_minor in rows
    )
    return Totals(count=sum(total.count for total in totals), by_asset=totals)


def place_of(order: Order, row: Row) -> str:
    """The place of a row in an order, for an address."""
    values = {
        "severity_rank": str(row.severity_rank),
        "value_minor": str(row.value_minor),
        "due_key": (row.due_on or NO_DAY).isoformat(),
        "opened_on": row.opened_on.isoformat(),
        "cleared_on": row.cleared_on.isoformat() if row.cleared_on else "",
    }
    return "_".join((*(values[column] for column in order.columns), str(row.exception_id)))


def _rows(
    connection: psycopg.Connection[Any],
    order: Order,
    condition: str,
    values: dict[str, Any],
    *,
    place: dict[str, Any] | None,
    backwards: bool,
    limit: int,
) -> list[Row]:
    """Two walks of the index: the rest of the rows that are equal but for their number, then those beyond."""
    found: list[Row] = []
    for where in _ranges(order, place is not None, backwards=backwards):
        text = " ".join(
            (
                SQL["rows"],
                "WHERE",
                condition,
                *where,
                "ORDER BY",
                _ordering(order, backwards=backwards),
                "LIMIT %(limit)s",
            )
        )
        bound = values | (place or {}) | {"limit": limit - len(found)}
        # Never prepared: the plan must know the values, or it could not tell a rare one from a common one.
        found += connection.cursor(row_factory=class_row(Row)).execute(text.encode(), bound, prepare=False)
        if len(found) >= limit:
            break
    return found


def _ranges(order: Order, has_place: bool, *, backwards: bool) -> tuple[tuple[str, ...], ...]:
    """Conditions of the walks, each one a range of an index: row comparison needs columns that run the same way."""
    if not has_place:
        return ((),)
    number = f"AND e.exception_id {'<' if order.number_falls != backwards else '>'} %(place_number)s"
    if not order.columns:
        return ((number,),)
    columns = ", ".join(f"e.{column}" for column in order.columns)
    places = ", ".join(f"%(place_{column})s" for column in order.columns)
    equal = tuple(f"AND e.{column} = %(place_{column})s" for column in order.columns)
    beyond = f"AND ({columns}) {'<' if order.falls != backwards else '>'} ({places})"
    return ((*equal, number), (beyond,))


def _ordering(order: Order, *, backwards: bool) -> str:
    way = " DESC" if order.falls != backwards else ""
    number = " DESC" if order.number_falls != backwards else ""
    return ", ".join((*(f"e.{column}{way}" for column in order.columns), f"e.exception_id{number}"))


def _place(order: Order, name: str, text: str) -> dict[str, Any] | None:
    if not text:
        return None
    parts = text.split("_")
    shapes = (*order.shapes, "number")
    if len(parts) != len(shapes) or not all(
        _SHAPES[shape].fullmatch(part) for shape, part in zip(shapes, parts, strict=True)
    ):
        raise FilterProblem(name, "expected a place in this order as our own links have it")
    names = (*order.columns, "number")
    return {
        f"place_{column}": _typed(name, shape, part)
        for column, shape, part in zip(names, shapes, parts, strict=True)
    }


def _typed(name: str, shape: str, part: str) -> int | date:
    if shape in {"rank", "number"}:
        if int(part) > _BIGINT:
            raise FilterProblem(name, "expected a place in this order as our own links have it")
        return int(part)
    try:
        return date.fromisoformat(part)
    except ValueError:
        raise FilterProblem(name, "expected a place in this order as our own links have it") from None
