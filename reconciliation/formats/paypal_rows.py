"""Rows of PayPal's reports, each with where it stands, and the columns that its column header names.

Law: strict comma-separated rows (RFC 4180 quoting), each as long as its header; bounded in bytes, in number of columns
and in length of field; a quote that is never closed refuses the file.
"""

import csv
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import BinaryIO, Final

from reconciliation.formats.text_lines import text_lines
from reconciliation.formats.values import refused, shown

_LINE_BYTES_MAX: Final = 1 << 18  # sixty columns, notes of a few thousand characters
_ROW_LINES_MAX: Final = 1_000  # a note may hold line ends
_COLUMNS_MAX: Final = 250
_OFFSET_MAX: Final = timedelta(hours=14)
_DAMAGED: Final = "The file is damaged or incomplete; fetch it again from PayPal."

REQUIRED: Final = (
    "Transaction ID",
    "Transaction Event Code",
    "Transaction Completion Date",
    "Transaction Debit or Credit",
    "Gross Transaction Amount",
    "Gross Transaction Currency",
)
STATUS_COLUMN: Final = "Transactional Status"

Row = tuple[int, int, int, list[str]]
"""Number of the first line, byte offset, length in bytes, cells."""


def rows_of(stream: BinaryIO, *, bytes_max: int, field_length_max: int) -> Iterator[Row]:
    """Each row that is not blank. Codes ``limit``, ``unsafe``, ``structure``, ``truncated``."""
    feed = _Feed(stream, bytes_max)
    reader = csv.reader(feed, strict=True)
    while True:
        feed.begin()
        try:
            row = next(reader, None)
        except csv.Error as error:
            place = f"line {feed.first_line}"
            if "unexpected end of data" in str(error):
                raise refused(
                    "truncated", place, "a closing quote", "the end of the file", _DAMAGED
                ) from None
            raise refused("structure", place, "comma-separated values", str(error)[:60], _DAMAGED) from None
        if row is None:
            return
        if len(row) > _COLUMNS_MAX:
            raise refused(
                "limit", f"line {feed.first_line}", f"at most {_COLUMNS_MAX} columns", str(len(row))
            )
        if feed.length > field_length_max and max(map(len, row)) > field_length_max:
            place = f"line {feed.first_line}"
            raise refused("limit", place, f"fields of at most {field_length_max} characters", "a longer one")
        if any(row):
            yield feed.first_line, feed.offset, feed.length, row


class _Feed:
    """Lines for the ``csv`` module; knows which bytes its row in hand is made of."""

    def __init__(self, stream: BinaryIO, bytes_max: int) -> None:
        self._lines = text_lines(stream, bytes_max=bytes_max, line_bytes_max=_LINE_BYTES_MAX)
        self._line_no = 0
        self.begin()

    def begin(self) -> None:
        """A new row starts with the next line."""
        self.first_line = 0
        self.offset = 0
        self.length = 0

    def __iter__(self) -> "_Feed":
        return self

    def __next__(self) -> str:
        offset, length, text = next(self._lines)
        self._line_no += 1
        if not self.first_line:
            self.first_line, self.offset = self._line_no, offset
        elif self._line_no - self.first_line >= _ROW_LINES_MAX:
            raise refused(
                "limit", f"line {self.first_line}", f"rows of at most {_ROW_LINES_MAX} lines", "more"
            )
        self.length = offset + length - self.offset
        return text + "\n"


class Columns:
    """Where each named column stands; -1 for a column that this report does not have."""

    def __init__(self, header: list[str], place: str) -> None:
        names = [name.strip() for name in header]
        while names and not names[-1]:
            names.pop()
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise refused("structure", place, "each column once", f"{shown(twice)} twice")
        for name in REQUIRED:
            if name not in names:
                remedy = (
                    "Check which report this is: only settlement (STL) and transaction (TRR) reports fit."
                )
                raise refused("not_this_format", place, f"a column {name!r}", "other columns", remedy)
        self.count = len(names)
        self._places = {name: index for index, name in enumerate(names)}

    def __getitem__(self, name: str) -> int:
        return self._places.get(name, -1)

    def __contains__(self, name: str) -> bool:
        return name in self._places


def instant_of(text: str, place: str) -> tuple[date, datetime]:
    """Local date as written and the instant of ``2026/01/06 23:31:39 -0800``. Code ``date``.

    >>> instant_of("2026/01/06 23:31:39 -0800", "line 5")
    (datetime.date(2026, 1, 6), datetime.datetime(2026, 1, 7, 7, 31, 39, tzinfo=datetime.timezone.utc))
    """
    found = _instant(text)
    if found is None:
        raise refused("date", place, "a time as YYYY/MM/DD HH:MM:SS +HHMM", shown(text))
    return found


@lru_cache(maxsize=8192)
def _instant(text: str) -> tuple[date, datetime] | None:
    marks = text[4:5] + text[7:8] + text[10:11] + text[13:14] + text[16:17] + text[19:20]
    digits = text[:4] + text[5:7] + text[8:10] + text[11:13] + text[14:16] + text[17:19] + text[21:]
    if len(text) != 25 or marks != "// :: " or text[20] not in "+-":
        return None
    if not (digits.isascii() and digits.isdecimal()):
        return None
    year, *rest = int(digits[:4]), *(int(digits[place : place + 2]) for place in range(4, 18, 2))
    month, day, hour, minute, second, offset_hours, offset_minutes = rest
    offset = timedelta(hours=offset_hours, minutes=offset_minutes)
    if offset > _OFFSET_MAX:
        return None
    try:
        local = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        return local.date(), local - offset if text[20] == "+" else local + offset
    except (ValueError, OverflowError):
        return None
