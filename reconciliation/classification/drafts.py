"""From a draft of exceptions to the finished tables: key, age, severity and factors, the same way for every kind.

A draft says what is wrong with which lines. Law: everything added here is a function of the draft's row, the source's
settings, the calendar and ``as_of``; the order of the rows does not matter. Per distinct combination of factors one
JSON text is written, not per row; only the digest of the key is made row by row.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from reconciliation.classification.calendars import BusinessCalendar, Days, map_days
from reconciliation.classification.severity import assess, exposure_levels
from reconciliation.classification.shapes import (
    EXCEPTION_SCHEMA,
    FAMILY_OF_KIND,
    MEMBER_SCHEMA,
    Classified,
    exception_key,
)
from reconciliation.sources import Source

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


def finished(
    draft: Draft, *, source: Source, as_of: date, calendar: BusinessCalendar, exponents: Mapping[str, int]
) -> Classified:
    """The exceptions with keys, ages, severities and factors, sorted by key; the members sorted likewise."""
    rows = draft.exceptions
    kinds, sides, keys = (rows[name].to_numpy() for name in ("kind", "side", "natural_key"))
    exception_keys = pa.array(
        [
            exception_key(source.id, side, key, FAMILY_OF_KIND[kind])
            for kind, side, key in zip(kinds, sides, keys, strict=True)
        ],
        pa.string(),
    )
    ages = map_days(days_of(rows["item_date"]), lambda day: calendar.business_days_between(day, as_of))
    severities, factors = _weighed(rows, source=source, as_of=as_of, calendar=calendar, exponents=exponents)
    added = {
        "exception_key": exception_keys,
        "severity": severities,
        "age_business_days": ages,
        "factors": factors,
    }
    columns: dict[str, Any] = {name: rows[name] for name in _COPIED} | added
    exceptions = draft_table(columns, rows.num_rows, EXCEPTION_SCHEMA)
    member_columns: dict[str, Any] = {name: draft.members[name] for name in MEMBER_SCHEMA.names[1:]}
    member_columns["exception_key"] = exception_keys.take(draft.members["draft_row"].combine_chunks())
    members = draft_table(member_columns, draft.members.num_rows, MEMBER_SCHEMA)
    return Classified(
        exceptions=exceptions.sort_by("exception_key"),
        members=members.sort_by([(name, "ascending") for name in MEMBER_SCHEMA.names]),
    )


def days_of(column: pa.ChunkedArray[Any] | pa.Array[Any]) -> Days:
    """Dates without nulls as days since 1970-01-01."""
    return column.cast(pa.int32()).to_numpy().astype(np.int64)


def dates_from(days: Days) -> pa.Array[Any]:
    """Days since 1970-01-01 as date32."""
    return pa.array(days.astype(np.int32)).cast(pa.date32())


def _weighed(
    rows: pa.Table, *, source: Source, as_of: date, calendar: BusinessCalendar, exponents: Mapping[str, int]
) -> tuple[pa.Array[Any], pa.Array[Any]]:
    """Severity and factors of every row; one assessment per distinct combination of what they depend on."""
    difference = rows["difference_minor"].to_numpy().astype(np.int64)
    amount = rows["amount_minor"].to_numpy().astype(np.int64)
    is_review = np.asarray(rows["class"].to_pandas() == "review", dtype=bool)
    exposure = np.where(is_review, amount, difference)  # candidates compete: only the line itself is in doubt
    assets = np.array(rows["asset"].to_pylist(), dtype=object)
    frame = pd.DataFrame(
        {
            "class": rows["class"].to_pandas(),
            "kind": rows["kind"].to_pandas(),
            "why": rows["why"].to_pandas(),
            "exposure": exposure_levels(exposure, assets, source.severity, exponents=exponents),
            "shortfall": source.severity.client_money & (difference < 0),
            "late": map_days(days_of(rows["due_on"]), lambda day: calendar.business_days_between(day, as_of)),
        }
    )
    grouped = frame.groupby(list(frame.columns), sort=False, dropna=False)
    places = grouped.ngroup().to_numpy(dtype=np.int64)
    severities, factors = [], []
    for row in frame[~pd.Series(places).duplicated().to_numpy()].itertuples(index=False, name=None):
        exception_class, kind, why, level, shortfall, late = row
        assessment = assess(
            kind=kind,
            exception_class=exception_class,
            exposure=int(level),
            client_money_shortfall=bool(shortfall),
            late_business_days=int(late),
        )
        severities.append(assessment.severity)
        content = {**assessment.factors, "calendar": calendar.version, "why": why}
        factors.append(json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False))
    picks = pa.array(places, pa.int64())
    return pa.array(severities, pa.string()).take(picks), pa.array(factors, pa.string()).take(picks)


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
