"""What arrived, and what became of it. Reads only."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import psycopg
import pyarrow as pa

from ledger_core.sql import copy_out, queries

SQL: Final = queries(Path(__file__).with_name("deliveries.sql"))

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
