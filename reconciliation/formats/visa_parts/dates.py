"""Dates that BASE II writes without a century or a year, made whole by the processing date of the file."""

from datetime import date
from typing import Final

EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()


def day_without_year(text: str, file_date: date) -> date | None:
    """The latest MMDD that does not lie after the file's date (a day apart is let through: time zones).

    >>> day_without_year("1231", date(2026, 1, 2))
    datetime.date(2025, 12, 31)
    """
    if not (text.isascii() and text.isdecimal()):
        return None
    for year in range(file_date.year + 1, file_date.year - 9, -1):
        try:
            day = date(year, int(text[:2]), int(text[2:]))
        except ValueError:
            continue
        if (day - file_date).days <= 1:
            return day
    return None


def day_of_short_year(text: str, file_date: date) -> date | None:
    """The YDDD nearest to the file's date: last digit of the year, day of the year.

    >>> day_of_short_year("9365", date(2030, 1, 2))
    datetime.date(2029, 12, 31)
    """
    if not (text.isascii() and text.isdecimal()):
        return None
    years = [year for year in range(file_date.year - 5, file_date.year + 6) if year % 10 == int(text[0])]
    days = [day for year in years if (day := day_of_year(year, int(text[1:]))) is not None]
    return min(days, key=lambda day: abs((day - file_date).days), default=None)


def day_of_year(year: int, number: int) -> date | None:
    """The date of a day number, 1 to 365 or 366."""
    try:
        day = date.fromordinal(date(year, 1, 1).toordinal() + number - 1)
    except (ValueError, OverflowError):
        return None
    return day if number >= 1 and day.year == year else None


def day_of_century(text: str) -> date | None:
    """The date of YYDDD, 20yy, or of CCYYDDD.

    >>> day_of_century("26320") == day_of_century("2026320") == date(2026, 11, 16)
    True
    """
    if len(text) not in (5, 7) or not (text.isascii() and text.isdecimal()):
        return None
    year = int(text[:-3]) + (2000 if len(text) == 5 else 0)
    return day_of_year(year, int(text[-3:])) if year else None
