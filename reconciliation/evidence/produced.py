"""Tables that leave the house, each with a footer from which anybody can prove it whole and unchanged. Pure.

Laws: what was asked, the number of rows, the exact total of every amount per asset, a sha256 over the rows, who made it
and when stand in the file itself; an independent script can compute rows, totals and digest again from the file alone;
CSV, XLSX and JSON of the same rows have the same digest; no text is ever run as a formula; no amount passes through a
floating point number.

The digest is over the rows in their order. A row is its cells in the order of the columns, each as ``length:text,``
with the length in characters, and a line feed behind the last: 17, null, "ab" is ``2:17,0:,2:ab,`` and a line feed.
Nothing is the empty text; numbers are written plainly with the decimals of their column; dates and instants as ISO
8601, instants in UTC with six decimals; text as it was before it was marked for spreadsheets (``spreadsheet_text``).

A CSV ends with its footer in lines that begin with ``#``, each ``# name: value`` with the value in JSON, from the line
``# footer: "tieout 1"`` on. Readers leave it out with ``comment='#'``.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.compute
import pyarrow.csv

from reconciliation.evidence.spreadsheet_text import marked_table, shown_column

kernel: Any = pyarrow.compute  # its stubs do not know that kernels take plain values

FOOTER_VERSION: Final = "tieout 1"
CANONICAL_FORM: Final = (
    "sha256 over the rows in order; a row is its cells as length:text, and a line feed; an apostrophe before a text"
    " that a spreadsheet might run is not part of it"
)
HOW_TO_READ: Final = "leave out the lines that begin with #, as with comment='#'"
_AMOUNT_SUFFIX: Final = "_minor"
_ROWS_AT_ONCE: Final = 16_384
_WIDE: Final = pa.decimal128(38, 0)  # no sum of 64-bit amounts leaves it

Rows = pa.Table | pa.RecordBatchReader


@dataclass(frozen=True, slots=True, kw_only=True)
class Production:
    """What is produced, for what question, by whom and when.

    ``query`` says the question in words or as an address; ``parameters`` are its parts. ``system`` is the program with
    its version. ``first_date`` and ``last_date`` are what was asked for, None where that side is open. What must be the
    same bytes whoever makes it again names neither person nor instant, and ``known_at`` instead.
    """

    what: str
    query: str
    produced_by: str | None = None
    produced_at: datetime | None = None
    system: str
    known_at: str | None = None
    parameters: Mapping[str, str | int | bool | None] = field(default_factory=dict)
    source: str | None = None
    first_date: date | None = None
    last_date: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Produced:
    """What was produced: the footer. ``control_totals`` are keyed by column and asset ("" where there is none)."""

    production: Production
    rows: int
    control_totals: Mapping[tuple[str, str], int]
    sha256: str

    def items(self) -> Iterator[tuple[str, str | int | bool | None]]:
        """The lines of the footer, in order."""
        made = self.production
        yield "footer", FOOTER_VERSION
        yield "what", made.what
        yield "query", made.query
        for name, value in sorted(made.parameters.items()):
            yield f"parameter {name}", value
        yield "source", made.source
        yield "from", made.first_date.isoformat() if made.first_date else None
        yield "to", made.last_date.isoformat() if made.last_date else None
        yield "rows", self.rows
        for (column, asset), total_minor in sorted(self.control_totals.items()):
            yield f"control_total {column} {asset}".rstrip(), total_minor
        yield "sha256", self.sha256
        yield "sha256_is", CANONICAL_FORM
        if made.known_at is not None:
            yield "known_at", made.known_at
        if made.produced_by is not None:
            yield "produced_by", made.produced_by
        if made.produced_at is not None:
            yield "produced_at", instant(made.produced_at)
        yield "system", made.system

    def as_value(self) -> dict[str, Any]:
        """The footer as one JSON object."""
        return dict(self.items())


class Proof:
    """Adds batches up to the row count, the control totals and the digest."""

    def __init__(self, schema: pa.Schema) -> None:
        self._names = schema.names
        self._amounts = [field.name for field in schema if is_amount(field)]
        self._rows = 0
        self._totals: Counter[tuple[str, str]] = Counter()
        self._digest = hashlib.sha256()

    def add(self, table: pa.Table) -> None:
        """Count these rows in."""
        self._rows += table.num_rows
        self._digest.update(canonical_bytes(table))
        if not self._amounts or not table.num_rows:
            return
        assets: Any = table.column("asset") if "asset" in self._names else pa.array([""] * table.num_rows)
        wide: dict[str, Any] = {name: table.column(name).cast(_WIDE) for name in self._amounts}
        keyed = pa.table({"asset": kernel.fill_null(assets, "").cast(pa.string())} | wide)
        summed = keyed.group_by("asset").aggregate([(name, "sum") for name in self._amounts])
        for row in summed.to_pylist():
            for name in self._amounts:
                self._totals[name, row["asset"]] += int(row[f"{name}_sum"] or 0)

    def of(self, production: Production) -> Produced:
        """The footer of all rows so far."""
        return Produced(
            production=production,
            rows=self._rows,
            control_totals=dict(self._totals),
            sha256=self._digest.hexdigest(),
        )


def proved(rows: Rows, production: Production) -> Produced:
    """The footer of a table that is written by somebody else."""
    proof = Proof(rows.schema)
    for table in parts(rows):
        proof.add(table)
    return proof.of(production)


def write_csv(out: BinaryIO, rows: Rows, production: Production, *, exact: bool = False) -> Produced:
    """Write rows and footer as CSV; text is quoted and marked, numbers are neither.

    ``exact`` keeps control characters as they are, where other digests are over the text.
    """
    proof = Proof(rows.schema)
    options = pa.csv.WriteOptions(include_header=False)
    out.write((",".join(f'"{name}"' for name in rows.schema.names) + "\n").encode())
    for table in parts(rows):
        told = sheet_table(table, exact=exact)
        proof.add(told)
        pa.csv.write_csv(marked_table(told), out, options)
    produced = proof.of(production)
    lines = [*produced.items(), ("read_rows", HOW_TO_READ)]
    out.write("".join(f"# {_flat_name(name)}: {flat(value)}\n" for name, value in lines).encode())
    return produced


def write_json(out: BinaryIO, rows: Rows, production: Production) -> Produced:
    """Write one JSON object: ``columns``, ``rows`` as objects of plain values, ``footer``. Decimals are text."""
    proof = Proof(rows.schema)
    columns = [{"name": field.name, "type": str(field.type)} for field in rows.schema]
    out.write(f'{{"columns": {_json(columns)},\n"rows": ['.encode())
    before = "\n"
    for table in parts(rows):
        told = sheet_table(table)
        proof.add(told)
        for row in _plain_numbers(told).to_pylist():
            out.write(f"{before}{_json(row)}".encode())
            before = ",\n"
    produced = proof.of(production)
    out.write(f'\n],\n"footer": {_json(produced.as_value())}}}\n'.encode())
    return produced


def sheet_table(table: pa.Table, *, exact: bool = False) -> pa.Table:
    """The table as every file tells it: instants as text, text as a sheet can hold it (as it is, if ``exact``)."""
    for place, field_ in enumerate(table.schema):
        column = table.column(place)
        if pa.types.is_timestamp(field_.type):
            column = instants(column)
        elif pa.types.is_string(field_.type) and not exact:
            column = shown_column(column)
        else:
            continue
        table = table.set_column(place, field_.name, column)
    return table


def canonical_bytes(table: pa.Table) -> bytes:
    """What the digest is over: see the module."""
    if not table.num_rows:
        return b""
    cells = []
    for column in table.columns:
        text = kernel.fill_null(_as_text(column), "")
        cells.append(kernel.binary_join_element_wise(kernel.utf8_length(text).cast(pa.string()), text, ":"))
    ends = pa.array(["\n"] * table.num_rows)
    lines = kernel.binary_join_element_wise(*cells, ends, ",").cast(pa.large_string())
    return "".join(lines.to_pylist()).encode()


def is_amount(column: Any) -> bool:
    """Whether a column is an amount of minor units, which has a control total."""
    return column.name.endswith(_AMOUNT_SUFFIX) and pa.types.is_integer(column.type)


def instant(at: datetime) -> str:
    """An instant in UTC with six decimals."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def flat(value: object) -> str:
    """A value in JSON on one line in which nothing parts cells: however a sheet splits it, no part begins a formula."""
    text = json.dumps(value, ensure_ascii=False)
    for character in ",;|\t\u2028\u2029\x85":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _flat_name(name: str) -> str:
    return flat(name)[1:-1].replace(":", "\\u003a")


def parts(rows: Rows) -> Iterator[pa.Table]:
    """Tables of a bounded number of rows."""
    if isinstance(rows, pa.Table):
        for start in range(0, rows.num_rows, _ROWS_AT_ONCE):
            yield rows.slice(start, _ROWS_AT_ONCE)
    else:
        for batch in rows:
            yield pa.Table.from_batches([batch])


def _as_text(column: Any) -> Any:
    if pa.types.is_string(column.type):
        return column
    return instants(column) if pa.types.is_timestamp(column.type) else column.cast(pa.string())


def instants(column: Any) -> Any:
    """A column of instants as text: in UTC with six decimals."""
    told = kernel.strftime(column.cast(pa.timestamp("us", tz="UTC")), "%Y-%m-%dT%H:%M:%S")
    return kernel.binary_join_element_wise(told, "Z", "")


def _plain_numbers(table: pa.Table) -> pa.Table:
    """Decimals and dates as text, for JSON has neither."""
    for place, field_ in enumerate(table.schema):
        if pa.types.is_decimal(field_.type) or pa.types.is_date(field_.type):
            table = table.set_column(place, field_.name, table.column(place).cast(pa.string()))
    return table


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
