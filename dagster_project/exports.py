"""`tieout export`: the contract's columns as CSV or Parquet, in bulk and whole or not at all.

Law: the columns and their order are what people's scripts rely on. A text that a spreadsheet would run as a formula
is defused in CSV; a half-written file never takes the place of a whole one.
"""

import os
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Final

import psycopg
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet

from dagster_project.errors import SettingsError
from ledger_core.sql import copy_out, queries
from reconciliation.vocabulary import REFERENCE_COLUMNS

kernel: Any = pyarrow.compute  # its stubs do not know that kernels take plain values

SQL: Final = queries(Path(__file__).with_suffix(".sql"))
_TEXT, _NUMBER, _SMALL, _DAY = pa.string(), pa.int64(), pa.int32(), pa.date32()
_BITS = pa.decimal128(18, 3)


def _schema(columns: Mapping[str, pa.DataType]) -> pa.Schema:
    return pa.schema([pa.field(name, kind) for name, kind in columns.items()])


KINDS: Final[Mapping[str, pa.Schema]] = {
    "lines": _schema(
        {
            "source": _TEXT, "line_key": _TEXT, "file_name": _TEXT, "file_sha256": _TEXT, "record_no": _NUMBER,
            "statement_ref": _TEXT, "booking_date": _DAY, "value_date": _DAY, "amount_minor": _NUMBER, "asset": _TEXT,
            "fee_minor": _NUMBER, **dict.fromkeys(REFERENCE_COLUMNS, _TEXT), "batch_ref": _TEXT, "counterparty": _TEXT,
            "text": _TEXT, "kind": _TEXT, "version": _SMALL, "status": _TEXT,
        }
    ),
    "matches": _schema(
        {
            "group_id": _NUMBER, "source": _TEXT, "as_of": _DAY, "match_pass": _TEXT, "state": _TEXT, "side": _TEXT,
            "line_key": _TEXT, "entry_key": _TEXT, "line_no": _SMALL, "allocated_minor": _NUMBER, "asset": _TEXT,
            "role": _TEXT, "evidence_bits": _BITS, "margin_bits": _BITS, "solutions": _NUMBER,
        }
    ),
    "exceptions": _schema(
        {
            "exception_id": _NUMBER, "source": _TEXT, "opened_on": _DAY, "as_of": _DAY, "class": _TEXT, "kind": _TEXT,
            "severity": _TEXT, "status": _TEXT, "side": _TEXT, "line_key": _TEXT, "entry_key": _TEXT, "line_no": _SMALL,
            "amount_minor": _NUMBER, "difference_minor": _NUMBER, "asset": _TEXT, "due_on": _DAY,
            "expected_clear_on": _DAY, "age_business_days": _SMALL, "assignee": _TEXT, "cleared_by_group": _NUMBER,
        }
    ),
    "statements": _schema(
        {
            "source": _TEXT, "account": _TEXT, "asset": _TEXT, "business_date": _DAY, "basis": _TEXT,
            **dict.fromkeys(
                (
                    "opening_minor", "movement_minor", "closing_minor", "ledger_minor", "timing_external_minor",
                    "timing_ledger_minor", "genuine_external_minor", "genuine_ledger_minor",
                    "excluded_external_minor", "excluded_ledger_minor",
                    "allocation_difference_minor", "unexplained_minor", "matched_count", "timing_count",
                    "genuine_count", "excluded_count", "line_count",
                ),
                _NUMBER,
            ),
        }
    ),
}  # fmt: skip
"""What can be exported, with the columns in their order."""


def export_table(
    connection: psycopg.Connection[Any],
    what: str,
    out: Path,
    *,
    source_id: str | None = None,
    from_date: date | None = None,
    to_date: date | None = None,
) -> int:
    """Write one kind of ``KINDS`` to a .csv or .parquet file; returns the number of rows.

    Dates bound the booking date of lines and the ``as_of`` of the others, both included.

    Raises:
        SettingsError: the file ends in neither, or cannot be written; what was there before stays.
    """
    if out.suffix not in (".csv", ".parquet"):
        raise SettingsError(
            f"{out}: expected a name that ends in .csv or .parquet, found {out.suffix or 'no ending'}"
        )
    wanted = {"source": source_id, "from_date": from_date, "to_date": to_date}
    table = copy_out(connection, SQL[what], wanted, KINDS[what])
    draft = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        if out.suffix == ".csv":
            pa.csv.write_csv(_defused(table), draft)
        else:
            pa.parquet.write_table(table, draft)
        draft.replace(out)
    except OSError as error:
        raise SettingsError(f"{out}: expected a place that can be written, found: {error.strerror}") from None
    finally:
        draft.unlink(missing_ok=True)
    return table.num_rows


def _defused(table: pa.Table) -> pa.Table:
    """Text cells that begin like a formula get an apostrophe in front; numbers stay numbers."""
    for place, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            column = table.column(place)
            risky = kernel.fill_null(
                kernel.match_substring_regex(column, "^[\\s]*[=+\\-@\\t\\r\\n＝＋－＠]"), False
            )
            marked = kernel.binary_join_element_wise("'", column, "")
            table = table.set_column(place, field, kernel.if_else(risky, marked, column))
    return table
