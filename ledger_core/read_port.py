"""The only thing reconciliation may read of the ledger: lines, balances, and what was posted since a moment.

Law: reading never misses a line. "Since" is a PostgreSQL snapshot, not a time or a number: a line whose transaction
was still open when the snapshot was taken is reported by the next question, however late it commits. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import psycopg
import pyarrow as pa

from ledger_core.errors import AccountError
from ledger_core.sql import copy_out, queries, translated_errors

REFERENCE_COLUMNS: Final = (
    "batch_ref",
    "ref_end_to_end",
    "ref_uetr",
    "ref_servicer",
    "ref_psp",
    "ref_merchant",
    "ref_payout",
    "ref_arn",
    "ref_rrn",
    "ref_auth_code",
)

_INSTANT: Final = pa.timestamp("us", tz="UTC")

# amount_minor and fx_amount_minor: signed minor units, debit positive. fx_rate: exact, up to 18 decimals.
_LINE_FIELDS: Final[list[pa.Field[Any]]] = [
    pa.field("entry_id", pa.int64(), nullable=False),
    pa.field("entry_key", pa.string(), nullable=False),
    pa.field("line_no", pa.int32(), nullable=False),
    pa.field("account", pa.string(), nullable=False),
    pa.field("asset", pa.string(), nullable=False),
    pa.field("amount_minor", pa.int64(), nullable=False),
    pa.field("effective_at", _INSTANT, nullable=False),
    pa.field("kind", pa.string()),
    pa.field("description", pa.string()),
    pa.field("counterparty", pa.string()),
    *(pa.field(name, pa.string()) for name in REFERENCE_COLUMNS),
    pa.field("fx_rate", pa.decimal128(38, 18)),
    pa.field("fx_asset", pa.string()),
    pa.field("fx_amount_minor", pa.int64()),
    pa.field("reverses_entry_key", pa.string()),
]
LEDGER_LINE_SCHEMA: Final = pa.schema(_LINE_FIELDS)

_BALANCE_FIELDS: Final[list[pa.Field[Any]]] = [
    pa.field("account", pa.string(), nullable=False),
    pa.field("asset", pa.string(), nullable=False),
    pa.field("instant", _INSTANT, nullable=False),
    pa.field("balance_minor", pa.int64(), nullable=False),
]
BALANCE_SCHEMA: Final = pa.schema(_BALANCE_FIELDS)

_SQL: Final = queries(Path(__file__).with_suffix(".sql"))


def ledger_lines(
    connection: psycopg.Connection[Any],
    accounts: Sequence[str],
    *,
    effective_before: datetime | None,
    effective_from: datetime | None = None,
) -> pa.Table:
    """Lines of these accounts with effective_from <= effective_at < effective_before, as LEDGER_LINE_SCHEMA.

    None means without that bound. Ordered by entry_id and line_no. Raises AccountError for an account not in the chart.
    """
    wanted = {
        "accounts": list(accounts),
        "effective_from": effective_from,
        "effective_before": effective_before,
    }
    with translated_errors():
        _refuse_unknown(connection, accounts)
        return copy_out(connection, _SQL["ledger_lines"], wanted, LEDGER_LINE_SCHEMA)


def current_snapshot(connection: psycopg.Connection[Any]) -> str:
    """What is visible now, as text for `lines_posted_since`; take it before reading lines, in the same transaction."""
    with translated_errors():
        row = connection.execute(_SQL["current_snapshot"]).fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM has exactly one row
    return str(row[0])


def lines_posted_since(
    connection: psycopg.Connection[Any], accounts: Sequence[str], snapshot: str
) -> datetime | None:
    """Earliest effective_at of the lines on these accounts that `snapshot` did not show yet; None if there is none.

    Snapshots are meaningful only within the server that made them: after a dump and restore, start from the beginning.
    """
    with translated_errors():
        wanted = {"accounts": list(accounts), "snapshot": snapshot}
        row = connection.execute(_SQL["lines_posted_since"], wanted).fetchone()
    earliest: datetime | None = row[0] if row else None
    return earliest


def balances_before(
    connection: psycopg.Connection[Any],
    accounts: Sequence[str],
    instants: Sequence[datetime],
    *,
    seen_by: str | None = None,
) -> pa.Table:
    """Balance of each account over lines effective strictly before each instant, as BALANCE_SCHEMA (debit positive).

    With ``seen_by``, a snapshot of ``current_snapshot``, over those lines alone that it shows.
    One row per account and instant, ordered by both. Raises AccountError for an account not in the chart.
    """
    wanted = {"accounts": list(accounts), "instants": list(instants), "seen_by": seen_by}
    with translated_errors():
        _refuse_unknown(connection, accounts)
        return copy_out(connection, _SQL["balances_before"], wanted, BALANCE_SCHEMA)


def _refuse_unknown(connection: psycopg.Connection[Any], accounts: Sequence[str]) -> None:
    rows = connection.execute(_SQL["unknown_accounts"], {"accounts": list(accounts)}).fetchall()
    if rows:
        raise AccountError(f"account {', '.join(row[0] for row in rows)}: expected in the chart, found none")
