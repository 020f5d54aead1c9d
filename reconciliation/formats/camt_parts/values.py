"""Dates of camt elements, each checked before it is used: a date is kept as written, never moved to another zone."""

import re
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Final

from reconciliation.formats.values import refused, shown

_DATE: Final = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[T+Z-].*)?", re.ASCII | re.DOTALL)
_INSTANT: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})", re.ASCII
)


@lru_cache(maxsize=4096)
def local_date(text: str, place: str) -> date:
    """The calendar date as written, zone and time left aside. Code ``date``."""
    matched = _DATE.fullmatch(text)
    try:
        if matched is not None:
            return date.fromisoformat(matched.group(1))
    except ValueError:
        pass
    raise refused("date", place, "a date such as 2026-11-16", shown(text))


def instant(text: str | None) -> datetime | None:
    """The UTC instant of a date-time with offset; None where the sender states no offset, so that none is invented."""
    if text is None or not _INSTANT.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
