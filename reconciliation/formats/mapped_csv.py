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
from collections.abc import Iterator
from typing import BinaryIO, Final, cast

from reconciliation.formats.canonical import Emit, ParsedDelivery, ReadOptions
from reconciliation.formats.delimited_rows import DelimitedRows
from reconciliation.formats.mapped_parts.cells import NOT_THIS_LAYOUT, Cells
from reconciliation.formats.mapped_parts.rows import RowTable, TableRow
from reconciliation.formats.mapped_parts.table import read_table, rules_of
from reconciliation.formats.values import refused
from reconciliation.mapping import MappingRules

NAME: Final = "mapped.csv"

_ROWS_AT_ONCE: Final = 10_000
_CHUNK_BYTES: Final = 1 << 18
_LINE_BYTES_MAX: Final = 1 << 20
_OPEN_END: Final = (
    "Fetch it again; if this sender never ends the last line, say open_end: true in the mapping."
)


def sniff(head: bytes) -> bool:  # noqa: ARG001  # by contract
    """Never: only a source knows that a file is read by its mapping."""
    return False


def read(stream: BinaryIO, options: ReadOptions, emit: Emit) -> ParsedDelivery:
    """Read and prove one file by ``options.mapping``, or raise ``RefusedFile``; ``SourcesError`` without a mapping."""
    rules = rules_of(options, NAME)
    return read_table(_Table(stream, rules, options), rules, options, emit, name=NAME)


class _Table(RowTable):
    def __init__(self, stream: BinaryIO, rules: MappingRules, options: ReadOptions) -> None:
        table = rules.table
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
        super().__init__(self._one_by_one(), rules)

    def batches(self) -> Iterator[Cells]:
        """The rows between header and footer; whole columns at once where every row is the table's own."""
        table = self._rules.table
        if table.footer_rows or table.ragged_rows == "skip":
            yield from super().batches()
        else:
            if self._first:
                yield self.cells(self._first)
            for batch in self._rows.batches(self._width):
                self._demand_end()
                yield Cells(
                    column=batch.column,
                    row_nos=batch.row_nos,
                    byte_offsets=batch.byte_offsets if self._addressable else None,
                    byte_lengths=batch.byte_lengths if self._addressable else None,
                )
        self._demand_end()

    def _demand_end(self) -> None:
        """A last line that is not ended was cut, unless the mapping says that the sender never ends it."""
        if not self._rows.last_line_ended and not self._rules.table.open_end:
            expected = "the end of the last line"
            raise refused("truncated", "end of file", expected, "the end of the file inside it", _OPEN_END)

    def _one_by_one(self) -> Iterator[TableRow]:
        """Rows as they come. In the beginning one by one: a row that was parsed in advance is lost to the columns."""
        while True:
            given = 0
            for row in self._rows.rows(limit=1 if self._width == 0 else _ROWS_AT_ONCE):
                given += 1
                yield TableRow(
                    row_no=row.row_no,
                    fields=row.fields,
                    byte_offset=row.byte_offset if self._addressable else None,
                    byte_length=row.byte_length if self._addressable else None,
                )
            if not given:
                return


class _AsUtf8:
    """A stream of UTF-16 text as UTF-8, for what counts in ASCII; its byte places are no longer the file's."""

    def __init__(self, stream: BinaryIO, encoding: str, bytes_max: int) -> None:
        self._stream = stream
        self._encoding = encoding.upper()
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
            except UnicodeError as error:
                raise refused("structure", "file", self._encoding, str(error)[:60], NOT_THIS_LAYOUT) from None
            self._rest += (text if self._started else text.removeprefix("\ufeff")).encode()
            self._started = self._started or bool(text)
        given, self._rest = self._rest[:size], self._rest[size:]
        return given
