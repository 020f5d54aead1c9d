"""The canonical external line and statement: what every format module produces, whatever the standard.

One row per atomic movement (``LINE_SCHEMA``), one ``Statement`` per account (or per asset, where the standard has no
account) for the proofs. Lines leave a reader in batches while it reads, so that memory does not follow the file; what
proves them comes at the end. Says nothing about storage, matching or who the lines belong to.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, BinaryIO, Final, Protocol

import pyarrow as pa

from reconciliation.errors import RefusedFile
from reconciliation.mapping import MappingRules
from reconciliation.vocabulary import REFERENCE_COLUMNS

_LINE_FIELDS: Final[list[Any]] = [
    pa.field("statement_no", pa.int32(), nullable=False),  # index into ParsedDelivery.statements
    pa.field("record_no", pa.int64(), nullable=False),  # 1-based record, row or entry number in the file
    pa.field("detail_no", pa.int32()),  # 1-based place in a batch booking; null where the line is the record
    pa.field("native_id", pa.string()),  # the source's own stable id of the movement, if it has one
    pa.field(
        "status", pa.string(), nullable=False
    ),  # one of vocabulary.LINE_STATUSES; only booked ones count
    pa.field("booking_date", pa.date32(), nullable=False),  # local date as written, never shifted by zone
    pa.field("value_date", pa.date32()),
    pa.field("settlement_date", pa.date32()),  # when institutions pay each other, where the standard says so
    pa.field("event_at", pa.timestamp("us", tz="UTC")),  # instant of the customer event, where stated
    pa.field("amount_minor", pa.int64(), nullable=False),  # net effect on our balance; positive raises it
    pa.field("asset", pa.string(), nullable=False),  # ISO 4217 code, upper case
    pa.field(
        "fee_minor", pa.int64(), nullable=False
    ),  # kept back from gross; gross = amount_minor + fee_minor
    pa.field(
        "fees", pa.string()
    ),  # JSON by values.fees_json: each fee with type, amount, asset, included or not
    pa.field("original_amount_minor", pa.int64()),  # what the customer paid, in original_asset, same sign
    pa.field("original_asset", pa.string()),
    pa.field("fx_rate", pa.string()),  # exact decimal text as the source states it
    pa.field(
        "fx_numerator", pa.int64()
    ),  # amount = original amount x numerator / denominator, in major units;
    pa.field("fx_denominator", pa.int64()),  # both null where the direction of the rate is not certain
    *[pa.field(name, pa.string()) for name in REFERENCE_COLUMNS],
    pa.field(
        "other_refs", pa.string()
    ),  # JSON by values.other_refs_json: vocabulary.OTHER_REFERENCES to text
    pa.field("batch_ref", pa.string()),  # declared group: payment batch, clearing file id
    pa.field("batch_minor", pa.int64()),  # the batch booking this line is a part of; its parts sum to it
    pa.field("counterparty", pa.string()),
    pa.field("counterparty_account", pa.string()),
    pa.field("counterparty_bic", pa.string()),
    pa.field("text", pa.string()),  # remittance or description, card numbers masked, one line per part
    pa.field("kind", pa.string(), nullable=False),  # one of vocabulary.LINE_KINDS
    pa.field("type_code", pa.string()),  # the standard's own type, as evidence
    pa.field(
        "reason_code", pa.string()
    ),  # why it was returned, charged back or reversed, in the standard's code
    pa.field("reversal", pa.bool_(), nullable=False),  # the source's own mark; the sign is already settled
    pa.field("card_token", pa.string()),  # keyed token of the card number
    pa.field("card_truncated", pa.string()),  # first six, last four
    pa.field("byte_offset", pa.int64()),  # where the record stands in the unpacked file, and how long it is;
    pa.field("byte_length", pa.int32()),  # null where the standard has no byte positions
]
LINE_SCHEMA: Final = pa.schema(_LINE_FIELDS)

WAIVABLE_CODES: Final = frozenset({"balance", "control_total", "sequence"})
"""Refusals that say "readable, but not proved". A person may waive these for one file; nothing else can be waived."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One account's report for a period, or one asset's part of a file that knows no accounts.

    Balances are booked balances in minor units of ``asset``; None where the standard states none, or where they failed
    and a person waived it. ``movement_minor`` is the sum of the statement's booked lines, ``line_count`` their number.
    """

    statement_ref: str  # the source's own identification; a correction carries the same one
    account: str | None  # account as the source writes it (IBAN, merchant account); None if not stated
    asset: str
    sequence_no: int | None  # unbroken per account where the source numbers its statements
    from_date: date
    to_date: date  # the business date of the statement
    opening_minor: int | None
    closing_minor: int | None
    movement_minor: int
    line_count: int
    proofs: tuple[str, ...] = ()  # what was proved, in words with the figures
    flags: tuple[str, ...] = ()  # proofs that failed and were waived, in words with the figures
    pending_count: int = 0  # lines that are not booked
    interim: bool = False  # intraday: an end-of-day statement will replace it, so that its lines never count


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedDelivery:
    """All that one file says, but for its lines, which went to ``emit``; their sums equal the statements' movements."""

    format_name: str  # for example "camt.053"
    format_version: str  # for example "001.08"
    file_reference: str | None  # message id or file id: a second file with it is a correction or a duplicate
    test_mode: bool
    statements: tuple[Statement, ...]
    notes: tuple[str, ...] = ()  # deviations from the standard that are tolerated and were seen
    ids_may_repeat: bool = (
        True  # then an id of several lines names none of them; else a repeated id refuses the file
    )


class CardTokens(Protocol):
    """Replaces card numbers. Holds the key; formats never see it."""

    def token(self, card_number: str) -> str:
        """Keyed token of a card number: equal numbers give equal tokens under one key."""
        ...

    def masked(self, text: str) -> str:
        """Free text with every Luhn-valid run of 13 to 19 digits truncated to its first six and last four."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """What a reader may know about its source. No clock, no store, no environment."""

    card_tokens: CardTokens
    bytes_max: int = 2**33
    field_length_max: int = 20_000
    acquirer_view: bool = True  # card clearing: presentments raise our balance
    settings: Mapping[str, str] = field(default_factory=dict)  # format's own options from sources.yaml
    tables: Mapping[str, str] = field(default_factory=dict)  # texts of the tables that sources.yaml names
    mapping: MappingRules | None = None  # how to read a file that follows no standard
    waived: frozenset[str] = frozenset()  # codes of WAIVABLE_CODES that a person waived for this file

    def demand(self, refusal: RefusedFile) -> str:
        """Raise the refusal of a proof that failed; or, where its code was waived, give the sentence to flag."""
        if refusal.code not in self.waived & WAIVABLE_CODES:
            raise refusal
        return f"waived: {refusal.code}: {refusal.place}: expected {refusal.expected}, found {refusal.found}"


Emit = Callable[[pa.RecordBatch], None]
"""Takes a batch of lines (``LINE_SCHEMA``) while the file is still being read."""


class Format(Protocol):
    """What a format module offers."""

    NAME: str

    def sniff(self, head: bytes) -> bool:
        """Whether the first bytes (64 KiB or all) look like this format."""
        ...

    def read(self, stream: BinaryIO, options: ReadOptions, emit: Emit) -> ParsedDelivery:
        """Read the whole file or raise ``RefusedFile``. Lines that were emitted before a refusal count for nothing."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeDelivery:
    """A file with its lines in one table: for small files, tests and measurements."""

    parsed: ParsedDelivery
    lines: pa.Table


def read_whole(reader: Format, stream: BinaryIO, options: ReadOptions) -> WholeDelivery:
    """Read a file and keep its lines; memory follows the file."""
    batches: list[pa.RecordBatch] = []
    parsed = reader.read(stream, options, batches.append)
    return WholeDelivery(parsed=parsed, lines=pa.Table.from_batches(batches, schema=LINE_SCHEMA))


LINES_PER_BATCH: Final = 5_000  # more would be memory, not speed

_DEFAULTS: Final[Mapping[str, Any]] = {"fee_minor": 0, "reversal": False, "status": "booked"}


class LineWriter:
    """Takes lines one by one and emits them as Arrow batches; the last one by ``flush``.

    >>> batches = []
    >>> writer = LineWriter(batches.append)
    >>> writer.add(statement_no=0, record_no=1, booking_date=date(2026, 11, 16), amount_minor=1250, asset="EUR",
    ...            kind="transfer")
    >>> writer.flush()
    >>> batches[0].num_rows
    1
    """

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._rows: list[dict[str, Any]] = []

    def add(self, **values: Any) -> None:
        """Add one line; columns left out are null (``fee_minor`` 0, ``reversal`` false, ``status`` booked)."""
        self._rows.append(values)
        if len(self._rows) >= LINES_PER_BATCH:
            self.flush()

    def flush(self) -> None:
        """Emit what was added since the last batch. Unknown names raise KeyError."""
        rows, self._rows = self._rows, []
        if not rows:
            return
        used = set().union(*rows)
        if not used <= set(LINE_SCHEMA.names):
            raise KeyError(f"not columns of a line: {sorted(used - set(LINE_SCHEMA.names))}")
        arrays: list[pa.Array[Any]] = []
        for column in LINE_SCHEMA:
            name, default = column.name, _DEFAULTS.get(column.name)
            if name in used:
                arrays.append(pa.array([row.get(name, default) for row in rows], type=column.type))
            elif default is None:
                arrays.append(pa.nulls(len(rows), column.type))
            else:
                arrays.append(pa.array([default] * len(rows), type=column.type))
        self._emit(pa.RecordBatch.from_arrays(arrays, schema=LINE_SCHEMA))


class RowWriter:
    """Like ``LineWriter``, for a reader whose lines all fill the same columns: a line is a tuple in their order.

    Dates may be days since 1970-01-01, which Arrow takes ten times faster than ``date``.

    >>> batches = []
    >>> columns = ("statement_no", "record_no", "booking_date", "amount_minor", "asset", "kind")
    >>> writer = RowWriter(batches.append, columns)
    >>> writer.add((0, 1, 20773, 1250, "EUR", "transfer"))
    >>> writer.flush()
    >>> batches[0]["booking_date"].to_pylist()
    [datetime.date(2026, 11, 16)]
    """

    def __init__(self, emit: Emit, columns: tuple[str, ...]) -> None:
        unknown = sorted(set(columns) - set(LINE_SCHEMA.names))
        if unknown:
            raise KeyError(f"not columns of a line: {unknown}")
        self._emit = emit
        self._columns = columns
        self._rows: list[tuple[Any, ...]] = []

    def add(self, row: tuple[Any, ...]) -> None:
        """Add one line: a value for each column, in their order."""
        self._rows.append(row)
        if len(self._rows) >= LINES_PER_BATCH:
            self.flush()

    def extend(self, rows: list[tuple[Any, ...]]) -> None:
        """Add several lines, for a reader that gathers those of a block."""
        self._rows += rows
        while len(self._rows) >= LINES_PER_BATCH:
            self._write(self._rows[:LINES_PER_BATCH])
            del self._rows[:LINES_PER_BATCH]

    def flush(self) -> None:
        """Emit what was added since the last batch."""
        rows, self._rows = self._rows, []
        if rows:
            self._write(rows)

    def _write(self, rows: list[tuple[Any, ...]]) -> None:
        given = dict(zip(self._columns, zip(*rows, strict=True), strict=True))
        arrays: list[pa.Array[Any]] = []
        for column in LINE_SCHEMA:
            values, default = given.get(column.name), _DEFAULTS.get(column.name)
            if values is None and default is None:
                arrays.append(pa.nulls(len(rows), column.type))
            else:
                arrays.append(pa.array(values or [default] * len(rows), type=column.type))
        self._emit(pa.RecordBatch.from_arrays(arrays, schema=LINE_SCHEMA))
