"""Read a CSV or Parquet file of declared columns into typed Arrow, or say every place where it errs.

Laws: a file is taken whole or not at all; nothing is guessed - a column has the type it is declared with; an empty
field is a missing value. Rows are counted from 1 without the header. Knows nothing of accounts, entries or PostgreSQL.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet

from ledger_core.errors import InputFileError

# Arrow's stubs know the compute functions for plain arrays only, not for the chunked ones that files give.
arrow: Any = pyarrow.compute
Values = Any  # pa.ChunkedArray or pa.Array

MAX_PROBLEMS: Final = (
    100  # a file wrong in every row is one mistake, and nobody reads a million lines about it
)


class Kind(Enum):
    """What a column holds, named as messages say it."""

    TEXT = "text"
    INTEGER = "a whole number of at most 64 bits, plain digits"
    INSTANT = "an ISO 8601 time with zone, such as 2026-01-31T09:30:00Z"
    DECIMAL = "a positive decimal with at most 20 digits before and 18 after the point"
    BOOLEAN = "true or false"
    OBJECT = "a JSON object"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One declared column. `pattern` must match a text whole; `max_length` counts characters."""

    name: str
    kind: Kind = Kind.TEXT
    required: bool = False
    max_length: int = 255
    pattern: str | None = None
    expected: str | None = None

    @property
    def arrow_type(self) -> pa.DataType:
        return _ARROW_TYPES[self.kind]


_ARROW_TYPES: Final[dict[Kind, pa.DataType]] = {
    Kind.TEXT: pa.string(),
    Kind.INTEGER: pa.int64(),
    Kind.INSTANT: pa.timestamp("us", tz="UTC"),
    Kind.DECIMAL: pa.decimal128(38, 18),
    Kind.BOOLEAN: pa.bool_(),
    Kind.OBJECT: pa.string(),
}
_FORMS: Final[dict[Kind, str]] = {
    Kind.INTEGER: r"-?[0-9]{1,19}",
    Kind.INSTANT: r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:?\d{2})",
    Kind.DECIMAL: r"[0-9]{1,20}(\.[0-9]{1,18})?",
    Kind.BOOLEAN: "true|false",
}

_NATIVE: Final[dict[Kind, Callable[[Any], bool]]] = {
    Kind.INTEGER: pa.types.is_integer,
    Kind.INSTANT: lambda kind: pa.types.is_timestamp(kind) and kind.tz is not None,
    Kind.DECIMAL: pa.types.is_decimal,
    Kind.BOOLEAN: pa.types.is_boolean,
}


def read_table(path: Path, columns: Sequence[Column]) -> pa.Table:
    """All declared columns of the file, in declared order and type; absent optional ones are NULL throughout.

    `.parquet` is read as Parquet, everything else as CSV (UTF-8, comma, header row). Raises InputFileError naming file,
    row, column, expected and found for every bad place (the first MAX_PROBLEMS of them).
    """
    if not path.is_file():
        raise InputFileError(f"{path.name}: expected a file, found none")
    raw = _read_parquet(path) if path.suffix.lower() == ".parquet" else _read_csv(path)
    refuse_problems(path, _header_problems(raw.column_names, columns))
    found = {
        column.name: _typed(raw.column(column.name), column)
        for column in columns
        if column.name in raw.column_names
    }
    refuse_problems(path, [problem for _, problems in found.values() for problem in problems])
    nothing: Any = pa.nulls(raw.num_rows)
    arrays = [found[c.name][0] if c.name in found else nothing.cast(c.arrow_type) for c in columns]
    return pa.table(arrays, schema=schema_of(columns))


def schema_of(columns: Sequence[Column]) -> pa.Schema:
    """The Arrow schema that `read_table` returns for these columns."""
    return pa.schema([pa.field(column.name, column.arrow_type) for column in columns])


def refuse_problems(path: Path, problems: Sequence[str]) -> None:
    """Raise InputFileError when there are problems, with the first MAX_PROBLEMS of them."""
    if problems:
        shown = [f"{path.name} {problem}" for problem in problems[:MAX_PROBLEMS]]
        if len(problems) > MAX_PROBLEMS:
            shown.append(f"{path.name} and {len(problems) - MAX_PROBLEMS} more")
        raise InputFileError(
            f"{path.name}: refused as a whole, {len(problems)} problem(s); nothing was loaded", tuple(shown)
        )


def row_problems(values: Values, is_bad: Values, *, column: str, expected: str) -> list[str]:
    """One problem per row where `is_bad` is true."""
    rows = arrow.indices_nonzero(
        is_bad.combine_chunks() if isinstance(is_bad, pa.ChunkedArray) else is_bad
    ).to_pylist()
    return [
        f"row {row + 1}, column {column}: expected {expected}, found {_shown(values[row])}" for row in rows
    ]


def nearest(name: str, known: Sequence[str]) -> str:
    """'; did you mean x?' for the closest known name, or nothing."""
    close = get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _read_csv(path: Path) -> pa.Table:
    problems: list[str] = []

    def remember(row: pa.csv.InvalidRow) -> Literal["skip"]:
        place = f"row {row.number - 1}" if row.number is not None else "a row"
        problems.append(f"{place}: expected {row.expected_columns} fields, found {row.actual_columns}")
        return "skip"

    try:
        only_names = pa.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=lambda _: "skip")
        with pa.csv.open_csv(path, parse_options=only_names) as probe:
            names = probe.schema.names
        table = pa.csv.read_csv(
            path,
            read_options=pa.csv.ReadOptions(use_threads=False),
            parse_options=pa.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=remember),
            convert_options=pa.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.binary()), strings_can_be_null=True, null_values=[""]
            ),
        )
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        # Arrow's own words may quote a row; they are not passed on.
        reason = "no header row" if "Empty CSV" in str(error) else "something else"
        raise InputFileError(f"{path.name}: expected CSV with a header row, found {reason}") from None
    refuse_problems(path, problems)
    return table


def _read_parquet(path: Path) -> pa.Table:
    try:
        return pa.parquet.read_table(path)
    except (pa.ArrowInvalid, OSError):
        raise InputFileError(f"{path.name}: expected Parquet, found something else") from None


def _header_problems(found: Sequence[str], columns: Sequence[Column]) -> list[str]:
    known = [column.name for column in columns]
    problems = [
        f"header: unknown column {name!r}{nearest(name, known)}"
        for name in dict.fromkeys(found)
        if name not in known
    ]
    problems += [
        f"header: column {name!r} comes {found.count(name)} times" for name in known if found.count(name) > 1
    ]
    problems += [
        f"header: required column {c.name!r} is missing"
        for c in columns
        if c.required and c.name not in found
    ]
    return problems


def _typed(values: Values, column: Column) -> tuple[Values, list[str]]:
    """The column in its declared type and what is wrong with it; the array is of use only without problems."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_binary(values.type) or pa.types.is_large_binary(values.type):
        values, problems = _decoded(values, column)
        if problems:
            return values, problems
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        values = arrow.if_else(arrow.equal(values, ""), pa.scalar(None, values.type), values).cast(
            pa.string()
        )
        typed, problems = _from_text(values, column)
    else:
        typed, problems = _from_native(values, column)
    if column.required:
        expected = column.expected or column.kind.value
        problems += row_problems(values, arrow.is_null(values), column=column.name, expected=expected)
    return typed, problems


def _decoded(values: Values, column: Column) -> tuple[Values, list[str]]:
    try:
        return values.cast(pa.string()), []
    except pa.ArrowInvalid:
        rows = [row for row, value in enumerate(values.to_pylist(), start=1) if not _is_utf8(value)]
        return values, [f"row {row}, column {column.name}: expected UTF-8, found other bytes" for row in rows]


def _from_text(texts: Values, column: Column) -> tuple[Values, list[str]]:
    expected = column.expected or column.kind.value
    form = column.pattern or _FORMS.get(column.kind)
    if form is not None:
        wrong = arrow.invert(arrow.match_substring_regex(texts, rf"\A(?:{form})\z"))
        if problems := row_problems(
            texts, arrow.fill_null(wrong, False), column=column.name, expected=expected
        ):
            return texts, problems
    if column.kind is Kind.TEXT:
        too_long = arrow.fill_null(arrow.greater(arrow.utf8_length(texts), column.max_length), False)
        return texts, row_problems(
            texts, too_long, column=column.name, expected=f"at most {column.max_length} characters"
        )
    try:
        typed = texts.cast(column.arrow_type)
    except pa.ArrowInvalid:
        return texts, _one_by_one(texts, column, expected)
    if column.kind is Kind.OBJECT and texts.null_count < len(texts):  # Arrow has no kernel for JSON
        return typed, _one_by_one(texts, column, expected)
    return typed, _not_positive(typed, column)


def _one_by_one(texts: Values, column: Column, expected: str) -> list[str]:
    """The slow way: for JSON, and to name the rows a bulk conversion stumbled over."""
    parse = _PARSERS[column.kind]
    bad: list[bool] = []
    for text in texts.to_pylist():
        try:
            bad.append(text is not None and not parse(text))
        except (ValueError, ArithmeticError, RecursionError):
            bad.append(True)
    return row_problems(texts, pa.array(bad, pa.bool_()), column=column.name, expected=expected)


def _from_native(values: Values, column: Column) -> tuple[Values, list[str]]:
    fits = _NATIVE.get(column.kind, pa.types.is_null)
    if not (fits(values.type) or pa.types.is_null(values.type)):
        return values, [
            f"column {column.name}: expected {column.kind.value}, found values of type {values.type}"
        ]
    try:
        typed = values.cast(column.arrow_type)
    except pa.ArrowInvalid:
        return values, [
            f"column {column.name}: expected {column.kind.value}, found values of {values.type} outside it"
        ]
    return typed, _not_positive(typed, column)


def _not_positive(typed: Values, column: Column) -> list[str]:
    if column.kind is not Kind.DECIMAL:
        return []
    wrong = arrow.fill_null(arrow.less_equal(typed, pa.scalar(Decimal(0), typed.type)), False)
    return row_problems(typed, wrong, column=column.name, expected=column.kind.value)


def _is_utf8(value: bytes | None) -> bool:
    try:
        return value is None or isinstance(value.decode("utf-8"), str)
    except UnicodeDecodeError:
        return False


def _is_integer(text: str) -> bool:
    return -(2**63) <= int(text) < 2**63


def _is_instant(text: str) -> bool:
    return datetime.fromisoformat(text).astimezone(UTC).tzinfo is not None


def _is_object(text: str) -> bool:
    return isinstance(json.loads(text), dict)


def _is_decimal(text: str) -> bool:
    return Decimal(text) > 0


_PARSERS: Final[dict[Kind, Callable[[str], bool]]] = {
    Kind.INTEGER: _is_integer,
    Kind.INSTANT: _is_instant,
    Kind.OBJECT: _is_object,
    Kind.DECIMAL: _is_decimal,
}


def _shown(value: Any) -> str:
    plain = value.as_py() if isinstance(value, pa.Scalar) else value
    if plain is None:
        return "nothing"
    text = str(plain)
    return repr(text if len(text) <= 60 else text[:57] + "...")
