"""What arrived, what became of it, and what people decided about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import psycopg
import pyarrow as pa
from psycopg.rows import dict_row

from ledger_core.sql import copy_out, queries
from reconciliation.errors import UnknownItem

SQL: Final = queries(Path(__file__).with_name("deliveries.sql"))
_PROVISIONAL: Final = queries(Path(__file__).with_name("provisional.sql"))

_FIELDS: Final[list[pa.Field[Any]]] = [
    pa.field("delivery_id", pa.int64(), nullable=False),
    pa.field("source", pa.string(), nullable=False),
    pa.field("file_name", pa.string(), nullable=False),
    pa.field("file_sha256", pa.string(), nullable=False),
    pa.field("byte_count", pa.int64(), nullable=False),
    pa.field("for_date", pa.date32()),
    pa.field("outcome", pa.string(), nullable=False),  # accepted, redelivered, corrected, rejected
    pa.field("format_name", pa.string()),
    pa.field("format_version", pa.string()),
    pa.field("file_reference", pa.string()),
    pa.field("same_as", pa.int64()),  # the delivery that a redelivered file repeats
    pa.field("line_count", pa.int64(), nullable=False),
    pa.field("added_count", pa.int64(), nullable=False),
    pa.field("changed_count", pa.int64(), nullable=False),
    pa.field("withdrawn_count", pa.int64(), nullable=False),
    pa.field("unchanged_count", pa.int64(), nullable=False),
    pa.field("provisional_count", pa.int64(), nullable=False),  # not booked for good, counted apart
    pa.field("package_name", pa.string()),  # the archive it came in
    pa.field("refusal_code", pa.string()),
    pa.field("refusal", pa.string()),  # place, expected, found, what to do
    pa.field("notes", pa.string(), nullable=False),
    pa.field("received_at", pa.timestamp("us", tz="UTC"), nullable=False),
    pa.field("received_by", pa.string(), nullable=False),
]
DELIVERY_SCHEMA: Final = pa.schema(_FIELDS)


def list_deliveries(
    connection: psycopg.Connection[Any], *, source_id: str | None = None, outcome: str | None = None
) -> pa.Table:
    """Deliveries in the order of their arrival, of one source or outcome or all, as ``DELIVERY_SCHEMA``."""
    wanted = {"source_id": source_id, "outcome": outcome}
    return copy_out(connection, SQL["list_deliveries"], wanted, DELIVERY_SCHEMA)


def find_delivery(connection: psycopg.Connection[Any], delivery_id: int) -> dict[str, Any]:
    """One delivery by its number: source, digests, outcome, refusal code, and who released it why.

    Raises:
        UnknownItem: there is none of that number.
    """
    cursor = connection.cursor(row_factory=dict_row)
    found = cursor.execute(SQL["find_delivery"], {"delivery_id": delivery_id}).fetchone()
    if found is None:
        raise UnknownItem(
            f"delivery {delivery_id}: expected one that arrived, found none; tieout deliveries lists them"
        )
    return found


def find_line_record(connection: psycopg.Connection[Any], source_id: str, line_key: str) -> dict[str, Any]:
    """Where the newest version of a line stands: ``content_sha256``, ``byte_offset``, ``byte_length``, ``file_name``.

    Raises:
        UnknownItem: there is no such line.
    """
    cursor = connection.cursor(row_factory=dict_row)
    wanted = {"source_id": source_id, "line_key": line_key}
    found = cursor.execute(SQL["find_line_record"], wanted).fetchone()
    if found is None:
        raise UnknownItem(f"line {line_key!r} of source {source_id}: expected one that was told, found none")
    return found


def list_provisional(
    connection: psycopg.Connection[Any], *, source_id: str | None = None
) -> list[dict[str, Any]]:
    """Provisional lines by account and report day, live ones and those that a statement has replaced."""
    cursor = connection.cursor(row_factory=dict_row)
    return cursor.execute(_PROVISIONAL["list_provisional"], {"source_id": source_id}).fetchall()


def release_delivery(connection: psycopg.Connection[Any], delivery_id: int, *, reason: str) -> None:
    """Record that the person whose session the transaction has waives the proof that a refused delivery failed."""
    connection.execute(SQL["release_delivery"], {"delivery_id": delivery_id, "reason": reason})
