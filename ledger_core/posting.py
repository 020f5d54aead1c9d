"""Post journal entries in bulk: Arrow tables and files in, one outcome per entry out.

Laws: all lines of a call become final together or none does; one key is one entry, and the same key with other content
is a conflict. The rules live in the database (`ledger.post_entries`); this module only brings the lines there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import psycopg
import pyarrow as pa

from ledger_core.errors import IdempotencyConflictError, RequestError
from ledger_core.input_file import (
    Column,
    Kind,
    arrow,
    nearest,
    read_table,
    refuse_problems,
    row_problems,
    schema_of,
)
from ledger_core.read_port import REFERENCE_COLUMNS
from ledger_core.sql import copy_in, copy_out, queries, savepoint, translated_errors

# The contract of entry files and of `post`: one row per line, debit positive, minor units.
ENTRY_COLUMNS: Final = (
    Column(name="entry_key", required=True),
    Column(name="effective_at", kind=Kind.INSTANT, required=True),
    Column(name="account", required=True, max_length=200),
    Column(name="amount_minor", kind=Kind.INTEGER, required=True),
    Column(name="asset", required=True, max_length=16),
    Column(name="kind", max_length=64),
    Column(name="description", max_length=1000),
    Column(name="counterparty"),
    *(Column(name=name) for name in REFERENCE_COLUMNS),
    Column(name="fx_rate", kind=Kind.DECIMAL),
    Column(
        name="fx_asset",
        max_length=16,
        pattern="[A-Z0-9][A-Z0-9._-]{0,15}",
        expected="an asset code such as EUR",
    ),
    Column(name="fx_amount_minor", kind=Kind.INTEGER),
    Column(name="metadata", kind=Kind.OBJECT),
)
ENTRY_SCHEMA: Final = schema_of(ENTRY_COLUMNS)

_OUTCOME_FIELDS: Final[list[pa.Field[Any]]] = [
    pa.field("entry_key", pa.string(), nullable=False),
    pa.field("outcome", pa.string(), nullable=False),
    pa.field("entry_id", pa.int64(), nullable=False),
]
OUTCOME_SCHEMA: Final = pa.schema(_OUTCOME_FIELDS)

_SHOWN_KEYS: Final = 20
_SQL: Final = queries(Path(__file__).with_suffix(".sql"))


def post(connection: psycopg.Connection[Any], lines: pa.Table) -> pa.Table:
    """Post the entries these lines form; returns OUTCOME_SCHEMA, one row per key in order of first appearance.

    `lines` has the first five columns of ENTRY_SCHEMA and any of the others. Outcomes: `posted`; `replayed` - the key
    holds the same content, whatever the order of its lines; `conflict` - the key holds other content, entry_id says
    where. Anything else wrong refuses the whole call (PostingRefusedError) and changes nothing.
    """
    ready = _as_entry_schema(lines)
    if ready.num_rows == 0:
        return OUTCOME_SCHEMA.empty_table()
    numbered = ready.add_column(0, "ordinal", pa.array(range(ready.num_rows), pa.int64()))
    with translated_errors(), savepoint(connection):
        connection.execute(_SQL["create_staging"])
        copy_in(connection, numbered, "pg_temp.tieout_posting")
        outcomes = copy_out(connection, _SQL["post_staged"], None, OUTCOME_SCHEMA)
        connection.execute(_SQL["drop_staging"])
    return outcomes


def load_entries(connection: psycopg.Connection[Any], path: Path) -> pa.Table:
    """Post a CSV or Parquet file of ENTRY_COLUMNS, whole or not at all; returns OUTCOME_SCHEMA (posted, replayed).

    Raises InputFileError with every bad row, IdempotencyConflictError with the keys used before for other content,
    PostingRefusedError where a law of the ledger is broken.
    """
    lines = read_table(path, ENTRY_COLUMNS)
    with translated_errors(), savepoint(connection):
        refuse_problems(path, _row_problems(connection, lines))
        outcomes = post(connection, lines)
        conflicts: list[Any] = outcomes.filter(arrow.equal(outcomes["outcome"], "conflict"))[
            "entry_key"
        ].to_pylist()
        if conflicts:
            more = f" and {len(conflicts) - _SHOWN_KEYS} more" if len(conflicts) > _SHOWN_KEYS else ""
            raise IdempotencyConflictError(
                f"{path.name}: refused as a whole; expected the content these keys were first used with, found other: "
                f"{', '.join(conflicts[:_SHOWN_KEYS])}{more}; to correct an entry, reverse it"
            )
    return outcomes


def _as_entry_schema(lines: pa.Table) -> pa.Table:
    unknown = [name for name in lines.column_names if name not in ENTRY_SCHEMA.names]
    if unknown:
        raise RequestError(f"post: unknown column {unknown[0]!r}{nearest(unknown[0], ENTRY_SCHEMA.names)}")
    missing = [
        column.name for column in ENTRY_COLUMNS if column.required and column.name not in lines.column_names
    ]
    if missing:
        raise RequestError(f"post: required column {missing[0]!r} is missing")
    schema = pa.schema([field for field in ENTRY_SCHEMA if field.name in lines.column_names])
    chosen = lines.select(schema.names)
    for field, given in zip(schema, chosen.schema, strict=True):
        # Arrow would happily turn 1.0 into 1 and a time without zone into UTC; neither is what the caller said.
        zoneless = pa.types.is_timestamp(given.type) and given.type.tz is None
        if pa.types.is_floating(given.type) or zoneless:
            raise RequestError(f"post: column {field.name!r}: expected {field.type}, found {given.type}")
    try:
        return chosen.cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError):
        raise RequestError(
            "post: the columns do not fit ENTRY_SCHEMA; cast them without loss first"
        ) from None


def _row_problems(connection: psycopg.Connection[Any], lines: pa.Table) -> list[str]:
    """Rows the database would refuse one at a time: unknown, closed or other-asset accounts, zeros, half FX pairs."""
    held = {row[0]: (row[1], row[2]) for row in connection.execute(_SQL["accounts"]).fetchall()}
    codes, assets = lines["account"].to_pylist(), lines["asset"].to_pylist()
    problems = []
    for row, (code, asset) in enumerate(zip(codes, assets, strict=True), start=1):
        if code not in held:
            problems.append(f"row {row}, column account: expected an account of the chart, found {code!r}")
        elif held[code][0] != asset:
            problems.append(
                f"row {row}, column asset: expected {held[code][0]}, the asset of {code}, found {asset!r}"
            )
        elif held[code][1]:
            problems.append(
                f"row {row}, column account: expected an open account, found {code!r}, which is closed"
            )
    half = arrow.xor(arrow.is_null(lines["fx_asset"]), arrow.is_null(lines["fx_amount_minor"]))
    problems += row_problems(
        lines["fx_asset"], half, column="fx_asset", expected="it together with fx_amount_minor"
    )
    zeros = arrow.equal(lines["amount_minor"], 0)
    return problems + row_problems(
        lines["amount_minor"], zeros, column="amount_minor", expected="an amount other than 0"
    )
