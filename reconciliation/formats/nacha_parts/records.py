"""NACHA's physical layer: 94-character records, with line ends or without, and the small fields that all of them share.

Law: a record is 94 characters; shorter ones are padded (blanks at the end are often lost on the way), longer ones are
several records only if they are a multiple of 94. Numbers are digits, dates exist, or the file is refused.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import BinaryIO, Final

from reconciliation.errors import RefusedFile
from reconciliation.formats.notes import Notes
from reconciliation.formats.text_lines import decoded, text_lines
from reconciliation.formats.values import implied_minor, refused, short_day_of, shown

RECORD_LENGTH: Final = 94

Record = tuple[int, int, int, str]
"""Record number, byte offset, byte length, the 94 characters."""

_HEAD_BYTES: Final = 4_096  # line ends show within two records
_LINE_BYTES_MAX: Final = (
    40 * RECORD_LENGTH
)  # a block of ten records on one line, each character up to four bytes
_RECORDS_PER_READ: Final = 2_000
_BLANK: Final = " \t\x1a"  # 0x1A ended files of older systems


def records(stream: BinaryIO, notes: Notes, *, bytes_max: int) -> Iterator[Record]:
    """Records in order, blank lines left out. Codes ``structure``, ``limit``, ``unsafe``."""
    head = b""
    while len(head) < _HEAD_BYTES and (more := stream.read(_HEAD_BYTES - len(head))):
        head += more
    whole = _Rejoined(head, stream)
    if b"\n" in head or b"\r" in head or len(head) <= RECORD_LENGTH:
        return _from_lines(whole, notes, bytes_max)
    return _from_blocks(whole, bytes_max)


class _Rejoined:
    """A stream whose head was looked at already."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head, self._rest = head, rest

    def read(self, size: int) -> bytes:
        """Up to so many bytes; none at the end."""
        if self._head:
            taken, self._head = self._head[:size], self._head[size:]
            return taken
        return self._rest.read(size)


def _from_lines(stream: _Rejoined, notes: Notes, bytes_max: int) -> Iterator[Record]:
    number = 0
    lines = text_lines(stream, bytes_max=bytes_max, line_bytes_max=_LINE_BYTES_MAX)  # type: ignore[arg-type]
    for line_no, (offset, size, text) in enumerate(lines, start=1):
        if len(text) == RECORD_LENGTH:
            number += 1
            yield number, offset, size, text
            continue
        stripped = text.rstrip(_BLANK)
        if not stripped:
            continue
        if len(stripped) <= RECORD_LENGTH:
            number += 1
            if len(text) < RECORD_LENGTH:
                notes.add(
                    "records shorter than 94 characters, read with blanks at their end", f"line {line_no}"
                )
            yield number, offset, size, stripped.ljust(RECORD_LENGTH)
            continue
        if len(text) % RECORD_LENGTH or len(text) != size:
            raise refused(
                "structure", f"line {line_no}", "94 characters, or a multiple of it", f"{len(text)}"
            )
        for start in range(0, len(text), RECORD_LENGTH):
            number += 1
            yield number, offset + start, RECORD_LENGTH, text[start : start + RECORD_LENGTH]


def _from_blocks(stream: _Rejoined, bytes_max: int) -> Iterator[Record]:
    number = offset = 0
    rest = b""
    while chunk := stream.read(_RECORDS_PER_READ * RECORD_LENGTH):
        chunk = rest + chunk
        if offset + len(chunk) > bytes_max:
            raise refused("limit", f"byte {bytes_max + 1}", f"at most {bytes_max} bytes", "more")
        whole = len(chunk) - len(chunk) % RECORD_LENGTH
        for start in range(0, whole, RECORD_LENGTH):
            number += 1
            text = decoded(chunk[start : start + RECORD_LENGTH], f"record {number}")
            if not text.isspace():
                yield number, offset + start, RECORD_LENGTH, text.ljust(RECORD_LENGTH)
        offset += whole
        rest = chunk[whole:]
    text = decoded(rest, f"record {number + 1}").rstrip(_BLANK + "\r\n")
    if text:
        yield number + 1, offset, len(rest), text.ljust(RECORD_LENGTH)


def number_of(text: str, place: str) -> int:
    """An unsigned number of at most 18 digits, zero-filled. Code ``amount``."""
    return implied_minor(text, place, decimals=0, exponent=0)


def total_of(text: str, place: str) -> int:
    """A total of up to 20 digits whose first two must be zero to fit 64 bits. Code ``amount``."""
    return number_of(text.removeprefix("00") if len(text) == 20 else text, place)


def optional_day(text: str, place: str) -> date | None:
    """A date as YYMMDD; None for blanks and zeros. Code ``date``."""
    return short_day_of(text, place) if text.strip(" 0") else None


def settlement_day(text: str, near: date, place: str) -> date | None:
    """The day of the year that an operator wrote, in the year that brings it nearest to ``near``. Code ``date``.

    >>> settlement_day("002", date(2026, 12, 31), "batch header").isoformat()
    '2027-01-02'
    """
    if not text.strip(" 0"):
        return None
    days = []
    if text.isascii() and text.isdecimal():
        for year in (near.year - 1, near.year, near.year + 1):
            day = date(year, 1, 1) + timedelta(days=int(text) - 1)
            if day.year == year:
                days.append(day)
    if not days:
        raise refused("date", place, "a day of the year, 001 to 366", shown(text))
    return min(days, key=lambda day: abs(day - near))


def unknown_record(record_no: int, text: str, expected: str) -> RefusedFile:
    """What to say of a record that is not the expected one."""
    return refused("structure", f"record {record_no}, record type", expected, shown(text[:1]))
