"""Shared SQL helper: named queries from .sql files, bulk moves between Arrow and PostgreSQL, locks, safe errors.

Laws: NULL and the empty string stay different in both directions; types come from the caller and are never guessed;
an error that leaves `translated_errors` carries no row content. Knows nothing of what the tables mean.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.csv
from psycopg import sql
from psycopg.pq import TransactionStatus

from ledger_core.errors import BY_SQLSTATE, BulkCopyError, LedgerError, SqlFileError, StoreError

__all__ = [
    "BulkCopyError",
    "LedgerError",
    "SqlFileError",
    "StoreError",
    "copy_in",
    "copy_out",
    "execute_script",
    "lock",
    "queries",
    "savepoint",
    "translated_errors",
]

Parameters = Sequence[Any] | Mapping[str, Any]

_HEADER = re.compile(r"-- name: ([a-z][a-z0-9_]*)")
_ROWS_PER_WRITE = 65_536  # about 10 MB of text at once: large enough to be fast, small enough not to matter
_OWN_SQLSTATE = re.compile(r"T[A-Z]\d{3}")  # conditions raised by our own SQL; their wording is ours


@cache
def queries(path: Path) -> Mapping[str, str]:
    """Load the `-- name: x` blocks of a .sql file, by name.

    Raises SqlFileError for a header that is not exactly `-- name: lower_snake`, a name used twice, an empty block,
    or SQL before the first header.
    """
    blocks: dict[str, list[str]] = {}
    current: list[str] | None = None
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if re.match(r"\s*--\s*name\b", line):
            matched = _HEADER.fullmatch(line)
            if matched is None or matched.group(1) in blocks:
                raise SqlFileError(
                    f"{path.name} line {number}: expected a new '-- name: lower_snake', found {line!r}"
                )
            current = blocks[matched.group(1)] = []
        elif current is not None:
            current.append(line)
        elif line.strip() and not line.startswith("--"):
            raise SqlFileError(f"{path.name} line {number}: SQL before the first '-- name:' header")
    loaded = {name: "\n".join(lines).strip().removesuffix(";") for name, lines in blocks.items()}
    for name, text in loaded.items():
        if not text:
            raise SqlFileError(f"{path.name}: query {name!r} is empty")
    return MappingProxyType(loaded)


def execute_script(connection: psycopg.Connection[Any], path: Path) -> None:
    """Run a whole .sql file of many statements, as it stands, in the caller's transaction."""
    connection.execute(path.read_bytes())


def copy_in(connection: psycopg.Connection[Any], table: pa.Table, target: str) -> int:
    """Append an Arrow table to `target` (`name` or `schema.name`) through COPY; returns the number of rows.

    The table's column names are the target's. NULL stays NULL, '' stays ''. Lists, structs, binary and floats are
    refused (BulkCopyError): none of them survives CSV exactly.
    """
    ready = _csv_ready(table)
    if ready.num_rows == 0:
        return 0
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(
        sql.Identifier(*target.split(".")), sql.SQL(", ").join(map(sql.Identifier, ready.column_names))
    )
    options = pa.csv.WriteOptions(include_header=False, batch_size=_ROWS_PER_WRITE)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for batch in ready.to_batches(max_chunksize=_ROWS_PER_WRITE):
            text = io.BytesIO()
            pa.csv.write_csv(batch, text, options)
            copy.write(text.getbuffer())
    return ready.num_rows


def copy_out(
    connection: psycopg.Connection[Any], query: str, params: Parameters | None, schema: pa.Schema
) -> pa.Table:
    """Run a query through COPY and return its rows as an Arrow table of exactly `schema`.

    The query's columns must come in the schema's order; a NULL in a field declared not nullable and a value that does
    not fit its type are errors (BulkCopyError). Parameters are written into the text on the client, as COPY takes none.
    """
    if not (connection.info.parameter_status("DateStyle") or "ISO").startswith("ISO"):
        raise BulkCopyError("DateStyle: expected ISO on this connection, found another; remove the setting")
    text = query if params is None else psycopg.ClientCursor(connection).mogrify(query, params)
    received = pa.BufferOutputStream()
    with connection.cursor() as cursor:
        # The header is skipped again; it stands in front so that no value can be taken for a byte order mark.
        statement = sql.SQL("COPY ({}) TO STDOUT (FORMAT csv, HEADER)").format(sql.SQL(text))
        with cursor.copy(statement) as copy:
            for chunk in copy:
                received.write(chunk)
    return _read_csv(memoryview(received.getvalue()), schema)


def lock(connection: psycopg.Connection[Any], name: str, *, wait: bool) -> bool:
    """Take the advisory lock `name` until the transaction ends; False only when not waiting and somebody holds it."""
    if wait:
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (name,))
        return True
    row = connection.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", (name,)).fetchone()
    return bool(row and row[0])


@contextmanager
def savepoint(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """All of the block or nothing of it, without ending the caller's transaction.

    psycopg's own `transaction()` commits when it happens to come first on a connection; here only the caller commits.
    On an autocommit connection outside any transaction the block is a transaction of its own.
    """
    if not connection.autocommit and connection.info.transaction_status == TransactionStatus.IDLE:
        connection.execute("SELECT")
    with connection.transaction():
        yield


@contextmanager
def translated_errors(
    classes: Mapping[str, type[Exception]] = BY_SQLSTATE, *, otherwise: type[Exception] = StoreError
) -> Iterator[None]:
    """Turn driver errors into error classes, without DETAIL, CONTEXT or values.

    `classes` is keyed by constraint name, full SQLSTATE or SQLSTATE class (its first two letters), tried in that
    order. Only conditions raised by our own SQL (SQLSTATE `T?nnn`) keep their sentence and hint; all others are
    described by what was violated, not by what was in the row.
    """
    try:
        yield
    except psycopg.Error as error:
        sqlstate, found = error.sqlstate or "", error.diag
        keys = (found.constraint_name or "", sqlstate, sqlstate[:2])
        chosen = next((classes[key] for key in keys if key in classes), otherwise)
        raise chosen(_described(error, sqlstate)) from None


def _described(error: psycopg.Error, sqlstate: str) -> str:
    found = error.diag
    if _OWN_SQLSTATE.fullmatch(sqlstate):
        return "; ".join(part for part in (found.message_primary, found.message_hint) if part)
    if not sqlstate:
        return f"database: the connection failed or was used wrongly ({type(error).__name__})"
    place = ".".join(part for part in (found.schema_name, found.table_name, found.column_name) if part)
    constraint = f" by {found.constraint_name}" if found.constraint_name else ""
    return (
        f"database: refused{constraint}{' in ' + place if place else ''} ({type(error).__name__}, {sqlstate})"
    )


def _csv_ready(table: pa.Table) -> pa.Table:
    for index, field in enumerate(table.schema):
        kind = field.type
        if pa.types.is_dictionary(kind):
            table = table.set_column(index, field.name, table.column(index).cast(kind.value_type))
        elif pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_floating(kind):
            raise BulkCopyError(
                f"column {field.name!r}: a {kind} does not travel through COPY; convert it to text"
            )
    return table


def _read_csv(data: memoryview, schema: pa.Schema) -> pa.Table:
    try:
        table = pa.csv.read_csv(
            io.BytesIO(data),
            read_options=pa.csv.ReadOptions(column_names=schema.names, skip_rows=1),
            parse_options=pa.csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            convert_options=pa.csv.ConvertOptions(
                column_types=schema,
                null_values=[""],
                true_values=["t"],
                false_values=["f"],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid:
        # Arrow quotes the offending value; that may be personal data, so its text is not passed on.
        raise BulkCopyError("query result: the columns do not fit the expected schema") from None
    for field in schema:
        if not field.nullable and table.column(field.name).null_count:
            raise BulkCopyError(f"query result: column {field.name!r} must not be NULL but is")
    return table.cast(schema)
