"""Reads what a run works on: the open items of both sides, balances and statements, all as of one snapshot.

Law: a line is read if and only if it is in play in the window, and everything is read at one moment. Decides nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import psycopg
import pyarrow as pa

from ledger_core.read_port import balances_before
from ledger_core.sql import copy_in, copy_out, queries
from reconciliation.classification.calendars import BusinessCalendar, business_date_of
from reconciliation.daily.learned import REMEMBERED, Lessons, last_in_order
from reconciliation.daily.window import Window
from reconciliation.evidence.business_time import end_of_business_day
from reconciliation.exceptions.decisions import Decisions, read_decisions
from reconciliation.items import EXTERNAL_ITEM_SCHEMA, LEDGER_ITEM_SCHEMA
from reconciliation.sources import Source

SQL: Final = queries(Path(__file__).with_suffix(".sql"))

_LEDGER_READ_FIELDS: Final[list[Any]] = [
    field for field in LEDGER_ITEM_SCHEMA if field.name != "business_date"
]
_LEDGER_READ_SCHEMA: Final = pa.schema(_LEDGER_READ_FIELDS)

_STATEMENT_FIELDS: Final[list[Any]] = [
    pa.field("account", pa.string(), nullable=False),
    pa.field("asset", pa.string(), nullable=False),
    pa.field("from_date", pa.date32(), nullable=False),
    pa.field("to_date", pa.date32(), nullable=False),
    pa.field("sequence_no", pa.int64()),
    pa.field("opening_minor", pa.int64()),
    pa.field("closing_minor", pa.int64()),
]
STATEMENT_SCHEMA: Final = pa.schema(_STATEMENT_FIELDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A file that was refused: what the calendar of files needs to know of it."""

    delivery_id: int
    file_name: str
    for_date: date | None
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Universe:
    """All that the fold needs, read at one snapshot.

    ``external`` and ``ledger`` hold the items of the window and what was open before it. ``ledger_balances`` is keyed
    by (account, day), and so is ``unexplained_before``, what earlier proofs left where it was not zero;
    ``external_before``, ``differences_before`` and ``ledger_start`` are keyed by account.
    """

    external: pa.Table
    ledger: pa.Table
    withdrawn: pa.Table
    statements: pa.Table
    refusals: tuple[Refusal, ...]
    decisions: Decisions
    excluded_before: Mapping[tuple[str, str], int]
    lessons: Lessons
    cursors: Mapping[str, str]
    ledger_start: Mapping[str, int]
    ledger_balances: Mapping[tuple[str, date], int]
    external_before: Mapping[str, int]
    differences_before: Mapping[str, int]
    unexplained_before: Mapping[tuple[str, date], int]


def read_universe(
    connection: psycopg.Connection[Any],
    source: Source,
    calendar: BusinessCalendar,
    window: Window,
    snapshot: str,
    *,
    same_rules: bool,
) -> Universe:
    """Read everything the window needs. The caller holds the source's lock, so deliveries stand still meanwhile.

    With the ``same_rules`` as the last run, what was open after it is on record and older history need not be read.
    """
    start_end = end_of_business_day(source.start_date - timedelta(days=1), source, calendar)
    wanted: dict[str, Any] = {
        "source": source.id,
        "accounts": list(source.ledger_accounts),
        "start_date": source.start_date,
        "first": window.first,
        "last": window.last,
        "from": start_end,
        "first_from": end_of_business_day(window.first - timedelta(days=1), source, calendar),
        "same_rules": same_rules,
        "before": end_of_business_day(window.last, source, calendar),
        "snapshot": snapshot,
        "remembered_from": window.first - REMEMBERED,
    }
    external = _external(connection, "open_external", wanted)
    ledger = _ledger(connection, "open_ledger", wanted, source, calendar)
    withdrawn = _external(connection, "withdrawn", wanted)
    ends = {day: end_of_business_day(day, source, calendar) for day in window.days}
    balances = _ledger_balances(connection, source, [start_end, *ends.values()], snapshot)
    return Universe(
        external=external,
        ledger=ledger,
        withdrawn=withdrawn,
        statements=copy_out(connection, SQL["statements"], wanted, STATEMENT_SCHEMA),
        refusals=tuple(
            Refusal(delivery_id=row[0], file_name=row[1], for_date=row[2], code=row[3])
            for row in connection.execute(SQL["refusals"], wanted)
        ),
        decisions=read_decisions(connection, source.id, until=window.last),
        excluded_before={
            (account, side): amount_minor
            for account, side, amount_minor in connection.execute(SQL["excluded_before"], wanted)
        },
        lessons=_lessons(connection, wanted),
        cursors=last_in_order(_ledger(connection, "last_in_runs", wanted, source, calendar)),
        ledger_start={account: balances[account, start_end] for account in source.ledger_accounts},
        ledger_balances={
            (account, day): balances[account, end]
            for day, end in ends.items()
            for account in source.ledger_accounts
        },
        external_before=dict(connection.execute(SQL["external_totals"], wanted).fetchall()),
        differences_before=dict(connection.execute(SQL["allocation_differences"], wanted).fetchall()),
        unexplained_before={
            (account, day): unexplained_minor
            for account, day, unexplained_minor in connection.execute(SQL["unexplained_before"], wanted)
        },
    )


def read_taken(
    connection: psycopg.Connection[Any],
    source: Source,
    calendar: BusinessCalendar,
    window: Window,
    *,
    open_external: pa.Table,
    open_ledger: pa.Table,
) -> tuple[pa.Table, pa.Table]:
    """Items matched before the window that share an identifying reference with an open one, on both sides."""
    references: Any = pa.chunked_array(
        [
            *(open_external.column(pair.external).unique() for pair in source.match.references),
            *(open_ledger.column(pair.ledger).unique() for pair in source.match.references),
        ],
        type=pa.string(),
    )
    wanted = {"source": source.id, "accounts": list(source.ledger_accounts), "first": window.first}
    connection.execute(SQL["wanted_references"])
    copy_in(connection, pa.table({"reference": references.unique().drop_null()}), "wanted_reference")
    connection.execute(SQL["analyze_references"])
    return (
        _external(connection, "taken_external", wanted),
        _ledger(connection, "taken_ledger", wanted, source, calendar),
    )


def _lessons(connection: psycopg.Connection[Any], wanted: Mapping[str, Any]) -> Lessons:
    lessons: dict[date, list[tuple[int, int]]] = {}
    for day, lag, observations in connection.execute(SQL["lessons"], wanted):
        lessons.setdefault(day, []).append((lag, observations))
    return {day: tuple(counts) for day, counts in lessons.items()}


def _external(connection: psycopg.Connection[Any], query: str, wanted: Mapping[str, Any]) -> pa.Table:
    return copy_out(connection, SQL[query], wanted, EXTERNAL_ITEM_SCHEMA)


def _ledger(
    connection: psycopg.Connection[Any],
    query: str,
    wanted: Mapping[str, Any],
    source: Source,
    calendar: BusinessCalendar,
) -> pa.Table:
    rows = copy_out(connection, SQL[query], wanted, _LEDGER_READ_SCHEMA)
    dates = business_date_of(
        rows.column("effective_at"), zone=source.zone, cut_off=source.cut_off, calendar=calendar
    )
    dated = rows.append_column(LEDGER_ITEM_SCHEMA.field("business_date"), dates)
    return dated.select(LEDGER_ITEM_SCHEMA.names).cast(LEDGER_ITEM_SCHEMA)


def _ledger_balances(
    connection: psycopg.Connection[Any], source: Source, instants: Sequence[datetime], snapshot: str
) -> dict[tuple[str, datetime], int]:
    """Balance of every account before every instant, as this run sees the ledger."""
    found = balances_before(connection, source.ledger_accounts, instants, seen_by=snapshot).to_pylist()
    return {(row["account"], row["instant"]): row["balance_minor"] for row in found}
