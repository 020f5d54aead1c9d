"""Rows of a delimited text file (RFC 4180), strict and bounded, with their numbers and byte positions.

Law: no byte is dropped or guessed. Text is UTF-8 (a byte order mark is let through), lines end in LF, CRLF or CR, a
quote that is not closed, a NUL, a ragged row and anything over a limit refuse the file. Memory holds one chunk. A last
line that is not ended is read, and ``last_line_ended`` says so: whether such a file is complete is for the caller to
prove or to refuse. Blank lines are no rows, but they are counted.

>>> import io
>>> table = DelimitedRows(io.BytesIO(b"id,net\\n1,2.50\\n2,\\"3.00\\"\\n"))
>>> table.header()
['id', 'net']
>>> [list(batch.column(1)) for batch in table.batches(2)]
[['2.50', '3.00']]
"""

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import BinaryIO, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from reconciliation.errors import RefusedFile
from reconciliation.formats.text_lines import decoded
from reconciliation.formats.values import refused

_CHUNK_BYTES: Final = 1 << 18
_DAMAGED: Final = "The file is damaged, incomplete or another one; fetch it again from the sender."
_LF, _CR = 10, 13

Integers = npt.NDArray[np.int64]
_Places = tuple[Integers, Integers, Integers]  # row numbers, byte offsets, byte lengths


@dataclass(frozen=True, slots=True, kw_only=True)
class RowBatch:
    """Rows of one width as columns. Row 1 is the first of the file; offsets are those of its bytes."""

    fields: Sequence[str]  # of all rows, one row after another
    width: int
    row_nos: Integers
    byte_offsets: Integers
    byte_lengths: Integers  # without the line end

    @property
    def count(self) -> int:
        """Number of rows."""
        return len(self.row_nos)

    def column(self, index: int) -> Sequence[str]:
        """Fields of one column."""
        return self.fields[index :: self.width]


class Row(NamedTuple):
    """One row of a file whose rows differ in width."""

    row_no: int
    byte_offset: int
    byte_length: int
    fields: list[str]


class DelimitedRows:
    """Rows of one file, once: ``header``, then ``batches`` of one width, or ``rows`` of any width."""

    def __init__(
        self,
        stream: BinaryIO,
        *,
        bytes_max: int = 2**33,
        field_length_max: int = 20_000,
        line_bytes_max: int = 1 << 20,
        delimiter: str = ",",
        quote: str | None = '"',  # one ASCII character; None where nothing is quoted
        encoding: str = "utf-8",  # one that keeps ASCII as it is
        windows_1252: bool = False,  # whether a line that is not in the encoding may be read as Windows-1252
    ) -> None:
        self.last_line_ended = True
        self.blank_lines = 0
        self._stream = stream
        self._bytes_max, self._line_bytes_max = bytes_max, line_bytes_max
        self._field_length_max = field_length_max
        self._delimiter, self._encoding, self._windows_1252 = delimiter, encoding, windows_1252
        self._quote = quote
        self._rest = b""  # the beginning of a line that the next chunk goes on with
        self._position = 0  # of the first byte that is not loaded
        self._started, self._stream_goes_on = False, True
        self._chunk = b""
        self._starts = self._ends = np.empty(
            0, dtype=np.int64
        )  # of the lines that are loaded and not given out
        self._line_no = 0  # lines given out
        self._row_no = 0

    def header(self) -> list[str]:
        """The first row that is not blank. Code ``truncated`` for a file without one."""
        for row in self.rows(limit=1):
            return row.fields
        raise refused("truncated", "row 1", "a header row", "an empty file", _DAMAGED)

    def rows(self, *, limit: int | None = None) -> Iterator[Row]:
        """The next rows as they are, whatever their width; all that remain unless there is a limit."""
        given = 0
        while (limit is None or given < limit) and (len(self._starts) or self._load()):
            if self._all_blank():
                continue
            rows, places = self._parsed(None if limit is None else limit - given)
            given += len(rows)
            for fields, row_no, offset, length in zip(rows, *(one.tolist() for one in places), strict=True):
                yield Row(row_no=row_no, byte_offset=offset, byte_length=length, fields=fields)

    def batches(self, width: int) -> Iterator[RowBatch]:
        """The remaining rows, which must have so many fields each. Code ``structure`` for a ragged one."""
        while len(self._starts) or self._load():
            batch = self._split(width)
            if batch is None:
                rows, places = self._parsed(None)
                batch = _as_columns(rows, places, width)
            if batch.count:
                yield batch

    def _split(self, width: int) -> RowBatch | None:
        """All loaded lines at once where no field is quoted and all have the width; None where that is not so."""
        starts, ends, chunk = self._starts, self._ends, self._loaded()
        if (self._quote is not None and self._quote.encode() in chunk) or int(
            (ends - starts).max()
        ) > self._field_length_max:
            return None
        first = int(starts[0])
        marks = np.flatnonzero(np.frombuffer(chunk, dtype=np.uint8) == ord(self._delimiter))
        widths = np.diff(np.searchsorted(marks, np.append(starts - first, len(chunk)))) + 1
        if (widths != width).any() or (ends == starts).any():
            return None
        text = self._text(chunk, first)
        if b"\r" in chunk:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        fields = text.removesuffix("\n").replace("\n", self._delimiter).split(self._delimiter)
        row_nos = np.arange(self._row_no + 1, self._row_no + 1 + len(starts))
        self._give_out(lines=len(starts), rows=len(starts))
        return RowBatch(
            fields=fields,
            width=width,
            row_nos=row_nos,
            byte_offsets=starts,
            byte_lengths=ends - starts,
        )

    def _parsed(self, limit: int | None) -> tuple[list[list[str]], _Places]:
        """Rows of the loaded lines by the ``csv`` module, with their places; at most so many."""
        reader = csv.reader(
            chain.from_iterable(self._texts()),
            delimiter=self._delimiter,
            quotechar=self._quote,
            quoting=csv.QUOTE_NONE if self._quote is None else csv.QUOTE_MINIMAL,
            strict=True,
        )
        rows: list[list[str]] = []
        lines_after: list[int] = []
        try:
            for row in reader:
                rows.append(row)
                lines_after.append(reader.line_num)
                if len(rows) == limit or reader.line_num >= len(self._starts):
                    break
        except csv.Error as error:
            line_no = self._line_no + (lines_after[-1] if lines_after else 0) + 1
            place = f"row {self._row_no + len(rows) + 1}, which begins in line {line_no}"
            code = "limit" if "field limit" in str(error) else "structure"
            raise refused(code, place, "well-formed rows to the last one", str(error), _DAMAGED) from None
        return self._placed(rows, np.array(lines_after, dtype=np.int64))

    def _texts(self) -> Iterator[io.StringIO]:
        """Lines of what is loaded, and of more for as long as a row goes on."""
        yield io.StringIO(self._text(self._loaded(), int(self._starts[0])), newline="")
        while self._load():
            yield io.StringIO(self._text(self._chunk, self._position - len(self._chunk)), newline="")

    def _placed(self, rows: list[list[str]], lines_after: Integers) -> tuple[list[list[str]], _Places]:
        """Rows that are not blank, with their numbers, offsets and lengths."""
        offsets = self._starts[np.append(0, lines_after[:-1])]
        lengths = self._ends[lines_after - 1] - offsets
        row_nos = np.arange(self._row_no + 1, self._row_no + 1 + len(rows))
        self._give_out(lines=int(lines_after[-1]), rows=len(rows))
        for place in np.flatnonzero(lengths > self._field_length_max).tolist():
            longest = max(map(len, rows[place]))
            if longest > self._field_length_max:
                expected = f"at most {self._field_length_max} characters a field"
                raise refused("limit", f"row {row_nos[place]}", expected, f"{longest}", _DAMAGED)
        if not all(rows):
            kept = np.array([bool(row) for row in rows])
            self.blank_lines += len(rows) - int(kept.sum())
            return [row for row in rows if row], (row_nos[kept], offsets[kept], lengths[kept])
        return rows, (row_nos, offsets, lengths)

    def _loaded(self) -> bytes:
        """Bytes of the lines that are loaded and not given out."""
        return self._chunk[int(self._starts[0]) - (self._position - len(self._chunk)) :]

    def _all_blank(self) -> bool:
        """Give out the blank lines in front at once: one by one, a file of nothing else takes for ever."""
        filled = np.flatnonzero(self._ends > self._starts)
        blank = int(filled[0]) if len(filled) else len(self._starts)
        self.blank_lines += blank
        self._give_out(lines=blank, rows=blank)
        return not len(filled)

    def _give_out(self, *, lines: int, rows: int) -> None:
        self._line_no += lines
        self._row_no += rows
        self._starts, self._ends = self._starts[lines:], self._ends[lines:]

    def _load(self) -> bool:
        """Load the next chunk up to the last line end in it; False at the end of the file."""
        while chunk := self._read():
            # a CR may be the first half of a CRLF: the next chunk tells
            end = len(chunk) - chunk.endswith(b"\r")
            cut = (
                max(chunk.rfind(b"\n"), chunk.rfind(b"\r", 0, end)) + 1
                if self._stream_goes_on
                else len(chunk)
            )
            self._rest = chunk[cut:]
            if len(self._rest) > self._line_bytes_max:
                raise self._line_too_long(self._line_no + len(self._starts) + 1)
            if cut:
                self._add_lines(chunk[:cut])
                return True
        return False

    def _read(self) -> bytes:
        """What is left of the last chunk and the next one."""
        more = self._stream.read(_CHUNK_BYTES) if self._stream_goes_on else b""
        self._stream_goes_on = bool(more)
        if more.endswith(b"\r"):
            next_byte = self._stream.read(1)
            self._stream_goes_on = bool(next_byte)
            more += next_byte
        if not self._started and more.startswith(codecs.BOM_UTF8):
            self._position = len(codecs.BOM_UTF8)
            more = more[self._position :]
        self._started = True
        chunk, self._rest = self._rest + more, b""
        if self._position + len(chunk) > self._bytes_max:
            place = f"byte {self._bytes_max + 1}"
            raise refused("limit", place, f"at most {self._bytes_max} bytes", "more", _DAMAGED)
        return chunk

    def _add_lines(self, chunk: bytes) -> None:
        """Find the lines of a chunk that ends with one, or with the file."""
        codes = np.frombuffer(chunk, dtype=np.uint8)
        returns, feeds = codes == _CR, codes == _LF
        returns_alone = returns & ~np.append(feeds[1:], False)
        marks = np.flatnonzero(feeds | returns_alone)
        after, ends = marks + 1, marks - (np.append(False, returns[:-1])[marks] & feeds[marks])
        if not len(after) or after[-1] != len(chunk):
            self.last_line_ended = False
            after, ends = np.append(after, len(chunk)), np.append(ends, len(chunk))
        starts = np.append(0, after[:-1])
        first_line_no = self._line_no + len(self._starts) + 1
        too_long = (ends - starts) > self._line_bytes_max
        if too_long.any():
            raise self._line_too_long(first_line_no + int(np.argmax(too_long)))
        if b"\0" in chunk:
            line_no = first_line_no + int(np.searchsorted(after, chunk.index(b"\0"), side="right"))
            raise refused("unsafe", f"line {line_no}", "text", "a NUL byte", _DAMAGED)
        self._starts = np.append(self._starts, starts + self._position)
        self._ends = np.append(self._ends, ends + self._position)
        self._position += len(chunk)
        self._chunk = chunk

    def _line_too_long(self, line_no: int) -> RefusedFile:
        return refused("limit", f"line {line_no}", f"at most {self._line_bytes_max} bytes", "more", _DAMAGED)

    def _text(self, chunk: bytes, offset: int) -> str:
        try:
            return chunk.decode(self._encoding)
        except UnicodeDecodeError as error:
            place = f"byte {offset + error.start + 1}"
            if not self._windows_1252:
                found = f"0x{chunk[error.start]:02x}"
                raise refused("structure", place, self._encoding.upper(), found, _DAMAGED) from None
            lines = chunk.splitlines(keepends=True)
            return "".join(decoded(line, f"a line from {place}") for line in lines)


def _as_columns(rows: list[list[str]], places: _Places, width: int) -> RowBatch:
    row_nos, offsets, lengths = places
    ragged = next((place for place, row in enumerate(rows) if len(row) != width), None)
    if ragged is not None:
        found = f"{len(rows[ragged])}"
        raise refused("structure", f"row {row_nos[ragged]}", f"{width} fields", found, _DAMAGED)
    fields = list(chain.from_iterable(rows))
    return RowBatch(fields=fields, width=width, row_nos=row_nos, byte_offsets=offsets, byte_lengths=lengths)
