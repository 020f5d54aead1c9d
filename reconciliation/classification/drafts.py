"""Drafts of exceptions: what is wrong with which lines, before keys, ages and severities are added (``finishing``).

Shapes and how to fill and join them; decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from reconciliation.classification.calendars import Days
from reconciliation.classification.shapes import EXCEPTION_SCHEMA, MEMBER_SCHEMA

_COPIED: Final = (
    "class", "kind", "side", "account", "line_key", "line_id", "entry_key", "entry_id", "line_no", "amount_minor",
    "difference_minor", "asset", "item_date", "due_on", "expected_clear_on",
)  # fmt: skip

# One row per exception; no field is required while drafting, EXCEPTION_SCHEMA demands what must be there.
DRAFT_SCHEMA: Final = pa.schema(
    [
        *[EXCEPTION_SCHEMA.field(name).with_nullable(True) for name in _COPIED],
        pa.field("natural_key", pa.string()),
        pa.field("why", pa.string()),
        pa.field("family", pa.string()),  # where it is not the one of its kind
        pa.field("late", pa.int64()),  # business days past due, where its own calendar says otherwise
        pa.field("calendar", pa.string()),  # the version of that calendar
        pa.field("facts", pa.string()),  # further factors as a JSON object
        pa.field("floor", pa.string()),  # a severity that it never falls below
    ]
)

# ``draft_row`` is the row of the member's exception in the draft.
MEMBER_DRAFT_SCHEMA: Final = pa.schema(
    [pa.field("draft_row", pa.int64()), *[MEMBER_SCHEMA.field(name) for name in MEMBER_SCHEMA.names[1:]]]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """``exceptions`` (DRAFT_SCHEMA) and ``members`` (MEMBER_DRAFT_SCHEMA)."""

    exceptions: pa.Table
    members: pa.Table


def draft_table(columns: Mapping[str, Any], row_count: int, schema: pa.Schema = DRAFT_SCHEMA) -> pa.Table:
    """A table of ``schema`` from arrays, or single values that hold for all rows; columns left out are null."""
    arrays = [_column(columns.get(field.name), row_count, field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def joined(drafts: list[Draft]) -> Draft:
    """One draft of several, the members still pointing at their exceptions."""
    offset = 0
    members = []
    for draft in drafts:
        rows = draft.members["draft_row"].to_numpy() + offset
        members.append(draft.members.set_column(0, MEMBER_DRAFT_SCHEMA.field(0), pa.array(rows, pa.int64())))
        offset += draft.exceptions.num_rows
    return Draft(
        exceptions=pa.concat_tables([DRAFT_SCHEMA.empty_table(), *[draft.exceptions for draft in drafts]]),
        members=pa.concat_tables([MEMBER_DRAFT_SCHEMA.empty_table(), *members]),
    )


def days_of(column: pa.ChunkedArray[Any] | pa.Array[Any]) -> Days:
    """Dates without nulls as days since 1970-01-01."""
    return column.cast(pa.int32()).to_numpy().astype(np.int64)


def dates_from(days: Days) -> pa.Array[Any]:
    """Days since 1970-01-01 as date32."""
    return pa.array(days.astype(np.int32)).cast(pa.date32())


def _column(value: Any, row_count: int, column_type: pa.DataType) -> pa.Array[Any]:
    if isinstance(value, pa.ChunkedArray):
        value = value.combine_chunks()
    column: pa.Array[Any]
    if isinstance(value, pa.Array):
        column = value.cast(column_type)
    elif isinstance(value, np.ndarray | list):
        column = pa.array(value, column_type)
    else:
        column = pa.array([value], column_type).take(np.zeros(row_count, dtype=np.int64))
    return column
