"""Post journal entries: requests, Arrow tables and files in, one result per entry out.

Laws: all lines of an entry become final together or none does; one key is one entry, and the same key with other
content is a conflict; what was refused stays refused under its key. The rules live in the database
(`ledger.post_entries`); this module only brings the lines there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import psycopg
import pyarrow as pa

from ledger_core.errors import IdempotencyConflictError, InputFileError, RequestError
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
    Column(
        name="layer",
        pattern="posted|outgoing|incoming|planned",
        expected="posted, outgoing, incoming or planned",
    ),
    Column(name="corrects"),
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
    pa.field("code", pa.string()),
    pa.field("detail", pa.string()),
]
OUTCOME_SCHEMA: Final = pa.schema(_OUTCOME_FIELDS)

_PLAIN_COLUMNS: Final = frozenset(ENTRY_SCHEMA.names[:7])  # the rest says something of a line
_SHOWN: Final = 20
_SQL: Final = queries(Path(__file__).with_suffix(".sql"))


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryLine:
    """One signed amount on one account, debit positive, in minor units. `detail`: any other column of an entry file."""

    account: str
    amount_minor: int
    asset: str
    layer: str = "posted"
    detail: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryRequest:
    """An entry to post. Requests of one call whose `group` is the same are posted together or not at all."""

    entry_key: str
    effective_at: datetime
    lines: Sequence[EntryLine]
    corrects: str | None = None
    group: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryResult:
    """What became of a request: `posted`, `replayed` (same key and content), `conflict` (same key, other content) or
    `refused`, the last two with a code and a sentence. `balances`, if asked for: posted, pending, available and
    projected minor units of each of the entry's accounts after the call.
    """

    entry_key: str
    outcome: str
    entry_id: int
    code: str | None = None
    detail: str | None = None
    balances: Mapping[str, Mapping[str, int]] | None = None


def post(
    connection: psycopg.Connection[Any], requests: Sequence[EntryRequest], *, with_balances: bool = False
) -> list[EntryResult]:
    """Post requests by one call; one result each, in their order. The caller commits.

    Raises RequestError where the call as a whole is malformed (no key, no time, no line, one key twice); nothing is
    posted then. All else is an outcome.
    """
    if not requests:
        return []
    if len({request.entry_key for request in requests}) < len(requests) or not all(r.lines for r in requests):
        raise RequestError(
            "post: expected each key once and lines in every request, found a key again or none"
        )
    pairs = [(request, line) for request in requests for line in request.lines]
    said = {name for _, line in pairs for name in line.detail or ()} - set(ENTRY_SCHEMA.names[7:])
    if said:
        raise RequestError(f"post: unknown detail {min(said)!r}{nearest(min(said), ENTRY_SCHEMA.names[7:])}")
    if not all(getattr(request.effective_at, "tzinfo", None) for request in requests):
        raise RequestError("post: expected effective_at with its zone, found a time without one")
    if not all(type(line.amount_minor) is int for _, line in pairs):  # the server would round a fraction away
        raise RequestError("post: expected amounts as whole numbers of minor units (int), found another type")
    details = [None if line.detail is None else json.dumps(line.detail) for _, line in pairs]
    corrects = [request.corrects for request, _ in pairs]
    groups = [request.group for request, _ in pairs]
    sent = {
        "entry_key": [request.entry_key for request, _ in pairs],
        "effective_at": [request.effective_at for request, _ in pairs],
        "account": [line.account for _, line in pairs],
        "amount_minor": [line.amount_minor for _, line in pairs],
        "asset": [line.asset for _, line in pairs],
        "layer": [line.layer for _, line in pairs] if any(ln.layer != "posted" for _, ln in pairs) else None,
        "detail": details if any(details) else None,
        "corrects": corrects if any(corrects) else None,
        "group": groups if any(number is not None for number in groups) else None,
        "with_balances": with_balances,
    }
    with translated_errors(), savepoint(connection):
        rows = connection.execute(_SQL["post"], sent).fetchall()
    return [
        EntryResult(
            entry_key=row[0], outcome=row[1], entry_id=row[2], code=row[3], detail=row[4], balances=row[5]
        )
        for row in rows
    ]


def post_lines(connection: psycopg.Connection[Any], lines: pa.Table) -> pa.Table:
    """Post the entries that the lines of a table form; returns OUTCOME_SCHEMA, one row per key in order of appearance.

    `lines` has the required columns of ENTRY_SCHEMA and any of the others, in any order. The bulk form of `post`, with
    the same outcomes; memory grows with the table.
    """
    ready = _as_entry_schema(lines)
    if ready.num_rows == 0:
        return OUTCOME_SCHEMA.empty_table()
    numbered = ready.add_column(0, "ordinal", pa.array(range(ready.num_rows), pa.int64()))
    given = {
        "has_layer": "layer" in ready.column_names,
        "has_corrects": "corrects" in ready.column_names,
        "has_detail": not _PLAIN_COLUMNS.issuperset(ready.column_names),
    }
    with translated_errors(), savepoint(connection):
        connection.execute(_SQL["create_staging"])
        copy_in(connection, numbered, "pg_temp.tieout_posting")
        outcomes = copy_out(connection, _SQL["post_staged"], given, OUTCOME_SCHEMA)
        connection.execute(_SQL["drop_staging"])
    return outcomes


def load_entries(connection: psycopg.Connection[Any], path: Path) -> pa.Table:
    """Post a CSV or Parquet file of ENTRY_COLUMNS, whole or not at all; returns OUTCOME_SCHEMA (posted, replayed).

    Raises InputFileError with every bad row or entry, IdempotencyConflictError with the keys used before for other
    content. A refused file leaves nothing, no stored refusal either: corrected, it may come again under the same keys.
    """
    lines = read_table(path, ENTRY_COLUMNS)
    with translated_errors(), savepoint(connection):
        refuse_problems(path, _row_problems(connection, lines))
        outcomes = post_lines(connection, lines)
        conflicts = _described(outcomes, "conflict", "{entry_key}")
        if conflicts:
            raise IdempotencyConflictError(
                f"{path.name}: refused as a whole; expected the content these keys were first used with, found other: "
                f"{', '.join(conflicts)}; to correct an entry, reverse it"
            )
        refused = _described(outcomes, "refused", "entry {entry_key!r}: {code}: {detail}")
        if refused:
            raise InputFileError(f"{path.name}: refused as a whole; nothing of it was posted", tuple(refused))
    return outcomes


def _described(outcomes: pa.Table, outcome: str, form: str) -> list[str]:
    """The entries of one outcome in words, the first of many."""
    found: list[dict[str, Any]] = outcomes.filter(arrow.equal(outcomes["outcome"], outcome)).to_pylist()
    more = [f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
    return [form.format(**row) for row in found[:_SHOWN]] + more


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
    held = {row[0]: row[1:] for row in connection.execute(_SQL["accounts"]).fetchall()}
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
        elif not held[code][2]:
            problems.append(
                f"row {row}, column account: expected an account without others below it, found {code!r}"
            )
    half = arrow.xor(arrow.is_null(lines["fx_asset"]), arrow.is_null(lines["fx_amount_minor"]))
    problems += row_problems(
        lines["fx_asset"], half, column="fx_asset", expected="it together with fx_amount_minor"
    )
    zeros = arrow.equal(lines["amount_minor"], 0)
    return problems + row_problems(
        lines["amount_minor"], zeros, column="amount_minor", expected="an amount other than 0"
    )
