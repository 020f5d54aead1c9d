"""The canonical external line and statement: what every format module produces, whatever the standard.

One row per atomic movement (``LINE_SCHEMA``), one ``Statement`` per account (or per asset, where the standard has no
account) for the proofs. Says nothing about storage, matching or who the lines belong to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, BinaryIO, Final, Protocol

import pyarrow as pa

from reconciliation.vocabulary import REFERENCE_COLUMNS

_LINE_FIELDS: Final[list[Any]] = [
    pa.field("statement_no", pa.int32(), nullable=False),  # index into ParsedDelivery.statements
    pa.field("record_no", pa.int64(), nullable=False),  # 1-based record, row or entry number in the file
    pa.field("native_id", pa.string()),  # the source's own stable id of the movement, if it has one
    pa.field("booking_date", pa.date32(), nullable=False),  # local date as written, never shifted by zone
    pa.field("value_date", pa.date32()),
    pa.field("event_at", pa.timestamp("us", tz="UTC")),  # instant of the customer event, where stated
    pa.field("amount_minor", pa.int64(), nullable=False),  # net effect on our balance; positive raises it
    pa.field("asset", pa.string(), nullable=False),  # ISO 4217 code, upper case
    pa.field(
        "fee_minor", pa.int64(), nullable=False
    ),  # kept back from gross; gross = amount_minor + fee_minor
    pa.field("original_amount_minor", pa.int64()),  # what the customer paid, in original_asset, same sign
    pa.field("original_asset", pa.string()),
    pa.field("fx_rate", pa.string()),  # exact decimal text as the source states it
    *[pa.field(name, pa.string()) for name in REFERENCE_COLUMNS],
    pa.field("batch_ref", pa.string()),  # declared group: payment batch, clearing file id
    pa.field("counterparty", pa.string()),
    pa.field("text", pa.string()),  # remittance or description, card numbers masked
    pa.field("kind", pa.string(), nullable=False),  # one of vocabulary.LINE_KINDS
    pa.field("type_code", pa.string()),  # the standard's own type, as evidence
    pa.field("reversal", pa.bool_(), nullable=False),  # the source's own mark; the sign is already settled
    pa.field("card_token", pa.string()),  # keyed token of the card number
    pa.field("card_truncated", pa.string()),  # first six, last four
]
LINE_SCHEMA: Final = pa.schema(_LINE_FIELDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One account's report for a period, or one asset's part of a file that knows no accounts.

    Balances are booked balances in minor units of ``asset``; None where the standard states none.
    ``movement_minor`` is the sum of the statement's lines and ``line_count`` their number.
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
    pending_count: int = 0  # lines the source marks as not booked; they are counted, not loaded


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedDelivery:
    """All that one file says. ``lines`` has ``LINE_SCHEMA``; its sums per statement equal the statements' movements."""

    format_name: str  # for example "camt.053"
    format_version: str  # for example "001.08"
    file_reference: str | None  # message id or file id: a second file with it is a correction or a duplicate
    test_mode: bool
    statements: tuple[Statement, ...]
    lines: pa.Table
    notes: tuple[str, ...] = ()  # deviations from the standard that are tolerated and were seen


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
    bytes_max: int = 2**31
    field_length_max: int = 20_000
    acquirer_view: bool = True  # card clearing: presentments raise our balance
    settings: Mapping[str, str] = field(default_factory=dict)  # format's own options from sources.yaml


class Format(Protocol):
    """What a format module offers."""

    NAME: str

    def sniff(self, head: bytes) -> bool:
        """Whether the first bytes (64 KiB or all) look like this format."""
        ...

    def read(self, stream: BinaryIO, options: ReadOptions) -> ParsedDelivery:
        """Read the whole file or raise ``RefusedFile``."""
        ...


LINES_PER_BATCH: Final = 20_000


class LineCollector:
    """Collects lines as columns and turns them into Arrow batch by batch, so that no list of row objects grows.

    >>> collector = LineCollector()
    >>> collector.add(statement_no=0, record_no=1, booking_date=date(2026, 11, 16), amount_minor=1250, asset="EUR",
    ...               kind="transfer")
    >>> collector.table().num_rows
    1
    """

    def __init__(self) -> None:
        self._columns: dict[str, list[Any]] = {name: [] for name in LINE_SCHEMA.names}
        self._batches: list[pa.RecordBatch] = []

    def add(self, **values: Any) -> None:
        """Add one line; columns left out are null (``fee_minor`` 0, ``reversal`` false). Unknown names raise
        KeyError.
        """
        values.setdefault("fee_minor", 0)
        values.setdefault("reversal", False)
        unknown = values.keys() - self._columns.keys()
        if unknown:
            raise KeyError(f"not columns of a line: {sorted(unknown)}")
        for name, column in self._columns.items():
            column.append(values.get(name))
        if len(self._columns["record_no"]) >= LINES_PER_BATCH:
            self._flush()

    def table(self) -> pa.Table:
        """Everything added so far, in order, as one table with ``LINE_SCHEMA``."""
        self._flush()
        return pa.Table.from_batches(self._batches, schema=LINE_SCHEMA)

    def _flush(self) -> None:
        if not self._columns["record_no"]:
            return
        arrays: Sequence[pa.Array[Any]] = [
            pa.array(self._columns[column.name], type=column.type) for column in LINE_SCHEMA
        ]
        self._batches.append(pa.RecordBatch.from_arrays(arrays, schema=LINE_SCHEMA))
        for column in self._columns.values():
            column.clear()
