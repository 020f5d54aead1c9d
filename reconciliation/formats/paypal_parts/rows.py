"""Rows of PayPal's reports, each with where it stands, and the columns that its column header names.

Law: strict comma-separated rows (RFC 4180 quoting) in UTF-8, each as long as its header; bounded in bytes, in number of
columns and in length of field; a quote that is never closed refuses the file.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import BinaryIO, Final

from reconciliation.formats.delimited_rows import DelimitedRows, Row
from reconciliation.formats.values import refused, shown

_LINE_BYTES_MAX: Final = 1 << 18  # sixty columns, notes of a few thousand characters
_ROWS_AT_ONCE: Final = 10_000
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


def rows_of(stream: BinaryIO, *, bytes_max: int, field_length_max: int) -> Iterator[Row]:
    """Each row that is not blank. Codes ``limit``, ``unsafe``, ``structure``."""
    table = DelimitedRows(
        stream, bytes_max=bytes_max, field_length_max=field_length_max, line_bytes_max=_LINE_BYTES_MAX
    )
    while True:
        count = 0
        for row in table.rows(limit=_ROWS_AT_ONCE):
            count += 1
            if len(row.fields) > _COLUMNS_MAX:
                found = f"{len(row.fields)}"
                raise refused(
                    "limit", f"row {row.row_no}", f"at most {_COLUMNS_MAX} columns", found, _DAMAGED
                )
            if row.fields[0] or any(row.fields):
                yield row
        if not count:
            return


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


def instant_of(text: str, place: str, field: str) -> tuple[date, datetime]:
    """Local date as written and the instant of ``2026/01/06 23:31:39 -0800``. Code ``date``.

    >>> instant_of("2026/01/06 23:31:39 -0800", "row 5", "begin")
    (datetime.date(2026, 1, 6), datetime.datetime(2026, 1, 7, 7, 31, 39, tzinfo=datetime.timezone.utc))
    """
    found = _instant(text)
    if found is None:
        raise refused("date", f"{place}, {field}", "a time as YYYY/MM/DD HH:MM:SS +HHMM", shown(text))
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
