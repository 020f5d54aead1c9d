"""What became of the timing differences of a source, as the books tell it. Reads only.

Law: set-based, however many items; what they come to is said by ``classification.timing_quality`` alone. An item
counts by the label and due date it was first given, and as cleared when a match took it that no decision of people
made. "Passed" is judged by the last business date that was reconciled, for there is no clock here.
"""

from datetime import date
from pathlib import Path
from typing import Any, Final

import psycopg
import pyarrow as pa
from psycopg.rows import dict_row

from ledger_core.sql import queries
from reconciliation.classification import TIMING_ITEM_SCHEMA, TimingQuality, timing_quality

SQL: Final = queries(Path(__file__).with_name("timing.sql"))


def read_timing_quality(
    connection: psycopg.Connection[Any],
    source_id: str,
    *,
    from_date: date | None = None,
    to_date: date | None = None,
) -> TimingQuality | None:
    """The quality of the timing label over items of these dates, both included; None where nothing was reconciled."""
    wanted = {"source": source_id, "from": from_date, "to": to_date}
    latest = connection.execute(SQL["latest_run"], wanted).fetchone()
    if latest is None or latest[0] is None:
        return None
    rows = connection.cursor(row_factory=dict_row).execute(SQL["timing_items"], wanted).fetchall()
    return timing_quality(pa.Table.from_pylist(rows, TIMING_ITEM_SCHEMA), as_of=latest[0])
