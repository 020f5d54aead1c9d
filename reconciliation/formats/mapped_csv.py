"""Reads a delimited text file of no standard by the mapping of its source: any bank's or processor's own export.

Law: strict rows (RFC 4180 quoting), each as wide as its header unless the mapping says otherwise; the mapping names the
encoding, and a byte that is not in it refuses the file. ``proof`` of the mapping is demanded; rows are read as written
and never guessed. Takes no settings, only ``mapping``.

>>> import io
>>> from reconciliation.formats.canonical import ReadOptions, read_whole
>>> from reconciliation.formats.card_numbers import KeyedCardTokens
>>> from reconciliation.mapping import MappingRules
>>> rules = MappingRules.model_validate({
...     "proof": "none", "columns": {"booking_date": "Day"}, "amount": {"column": "Sum"}, "asset": {"fixed": "EUR"},
...     "dates": {"patterns": "%d.%m.%Y"}, "numbers": {"decimal_mark": ","}, "table": {"delimiter": ";"}})
>>> options = ReadOptions(card_tokens=KeyedCardTokens(bytes(32)), mapping=rules)
>>> import sys
>>> whole = read_whole(sys.modules[__name__], io.BytesIO(b"Day;Sum\\n16.11.2026;-12,50\\n"), options)
>>> whole.lines.column("amount_minor").to_pylist()
[-1250]
"""

import codecs
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import BinaryIO, Final, cast

import numpy as np

from reconciliation.formats.canonical import LINES_PER_BATCH, Emit, ParsedDelivery, ReadOptions
from reconciliation.formats.delimited_rows import DelimitedRows, Row
from reconciliation.formats.mapped_cells import NOT_THIS_LAYOUT, Cells
from reconciliation.formats.mapped_layout import is_header
from reconciliation.formats.mapped_table import read_table, rules_of
from reconciliation.formats.values import refused
from reconciliation.mapping import MappingRules

NAME: Final = "mapped.csv"

_HEADER_ROWS_MAX: Final = 200  # how far down a header is looked for
_CHUNK_BYTES: Final = 1 << 18
_LINE_BYTES_MAX: Final = 1 << 20


def sniff(head: bytes) -> bool:  # noqa: ARG001  # by contract
    """Never: only a source knows that a file is read by its mapping."""
    return False


def read(stream: BinaryIO, options: ReadOptions, emit: Emit) -> ParsedDelivery:
    """Read and prove one file by ``options.mapping``, or raise ``RefusedFile``; ``SourcesError`` without a mapping."""
    rules = rules_of(options, NAME)
    return read_table(_Table(stream, rules, options), rules, options, emit, name=NAME)


class _Table:
    typed = False

    def __init__(self, stream: BinaryIO, rules: MappingRules, options: ReadOptions) -> None:
        table = rules.table
        self._rules = rules
        self._addressable = not table.encoding.startswith("utf-16")
        if not self._addressable:
            stream = cast("BinaryIO", _AsUtf8(stream, table.encoding, options.bytes_max))
        self._rows = DelimitedRows(
            stream,
            bytes_max=options.bytes_max,
            field_length_max=options.field_length_max,
            line_bytes_max=_LINE_BYTES_MAX,
            delimiter=table.delimiter,
            encoding=table.encoding if self._addressable else "utf-8",
            quote=None if table.quote == "none" else table.quote,
        )
        self._width = 0
        self._skipped = 0
        self._first: tuple[Row, ...] = ()  # a row that was read to see how wide a table without header is
        self._held: deque[Row] = deque()  # the last rows, which may be the footer

    def header(self) -> tuple[Sequence[str | None], Mapping[int, Sequence[str | None]], str]:
        """The row that the mapping numbers, else the first that has all its columns."""
        wanted = self._rules.table.header_row
        above: dict[int, list[str]] = {}
        if wanted == 0:
            return self._without_header()
        while row := self._next():
            above[row.row_no] = row.fields
            if row.row_no == wanted or (wanted is None and is_header(row.fields, self._rules)):
                self._width = len(row.fields)
                return row.fields, above, f"row {row.row_no}"
            if row.row_no >= (wanted or _HEADER_ROWS_MAX):
                break
        where = f"row {wanted}" if wanted else f"the first {_HEADER_ROWS_MAX} rows"
        found = f"none in {len(above)} rows"
        raise refused("not_this_format", where, "a header with the mapping's columns", found, NOT_THIS_LAYOUT)

    def _without_header(self) -> tuple[Sequence[str | None], Mapping[int, Sequence[str | None]], str]:
        """Columns by their places; values above the rows are where the mapping says there are any."""
        above: dict[int, list[str]] = {}
        while len(above) < self._rules.header_rows_used and (row := self._next()):
            above[row.row_no] = row.fields
        first = self._next()
        if first is None:
            raise refused("truncated", "row 1", "rows", "an empty file", NOT_THIS_LAYOUT)
        self._width = len(first.fields)
        self._first = (first,)
        return [""] * self._width, above, f"row {first.row_no}"

    def batches(self) -> Iterator[Cells]:
        """The rows between header and footer; those of another width are refused, or skipped and counted."""
        table = self._rules.table
        if not table.footer_rows and table.ragged_rows == "refuse":
            if self._first:
                yield self._cells(list(self._first))
            for batch in self._rows.batches(self._width):
                yield Cells(
                    column=batch.column,
                    row_nos=batch.row_nos,
                    byte_offsets=batch.byte_offsets if self._addressable else None,
                    byte_lengths=batch.byte_lengths if self._addressable else None,
                )
            return
        kept: list[Row] = []
        held = self._held
        for row in chain(self._first, self._rows.rows()):
            held.append(row)
            if len(held) > table.footer_rows:
                self._take(held.popleft(), kept)
            if len(kept) >= LINES_PER_BATCH:
                yield self._cells(kept)
                kept = []
        if kept:
            yield self._cells(kept)

    def footer(self) -> Sequence[Sequence[str | None]]:
        """The last rows of the file, as many as the mapping says."""
        return [row.fields for row in self._held] if self._rules.table.footer_rows else []

    def notes(self) -> tuple[str, ...]:
        """Rows that were skipped for their width."""
        if not self._skipped:
            return ()
        return (f"{self._skipped} rows of another width than {self._width} skipped, as the mapping says",)

    def _next(self) -> Row | None:
        return next(self._rows.rows(limit=1), None)

    def _take(self, row: Row, kept: list[Row]) -> None:
        if len(row.fields) == self._width:
            kept.append(row)
        elif self._rules.table.ragged_rows == "skip":
            self._skipped += 1
        else:
            found = f"{len(row.fields)}"
            raise refused("structure", f"row {row.row_no}", f"{self._width} fields", found, NOT_THIS_LAYOUT)

    def _cells(self, rows: list[Row]) -> Cells:
        columns = list(zip(*(row.fields for row in rows), strict=True))
        offsets = np.array([row.byte_offset for row in rows], dtype=np.int64)
        lengths = np.array([row.byte_length for row in rows], dtype=np.int64)
        return Cells(
            column=columns.__getitem__,
            row_nos=np.array([row.row_no for row in rows], dtype=np.int64),
            byte_offsets=offsets if self._addressable else None,
            byte_lengths=lengths if self._addressable else None,
        )


class _AsUtf8:
    """A stream of UTF-16 text as UTF-8, for what counts in ASCII; its byte places are no longer the file's."""

    def __init__(self, stream: BinaryIO, encoding: str, bytes_max: int) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._bytes_left = bytes_max
        self._rest = b""
        self._started = self._ended = False

    def read(self, size: int) -> bytes:
        """The next bytes, as many as asked for unless the stream ends."""
        while not self._ended and len(self._rest) < size:
            chunk = self._stream.read(_CHUNK_BYTES)
            self._ended = not chunk
            self._bytes_left -= len(chunk)
            if self._bytes_left < 0:
                raise refused("limit", "file", "fewer bytes", "more", NOT_THIS_LAYOUT)
            try:
                text = self._decoder.decode(chunk, final=self._ended)
            except UnicodeDecodeError as error:
                raise refused(
                    "structure", "file", error.encoding.upper(), error.reason[:60], NOT_THIS_LAYOUT
                ) from None
            self._rest += (text if self._started else text.removeprefix("\ufeff")).encode()
            self._started = self._started or bool(text)
        given, self._rest = self._rest[:size], self._rest[size:]
        return given
