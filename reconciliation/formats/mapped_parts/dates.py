"""Dates and times of a mapped file by the patterns that the mapping states.

Law: a text that fits no pattern, that names no real day, or that fits two patterns with two meanings is refused. Days
are as written, unless the mapping asks for the day in its zone; an instant needs an offset or that zone. Two-digit
years from 80 on are of the last century. Month names are English.
"""

import re
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Final
from zoneinfo import ZoneInfo

from reconciliation.formats.mapped_parts.numbers import BLANKS
from reconciliation.formats.values import refused, shown
from reconciliation.mapping import DateRules

_MONTHS: Final = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
_MONTH_NO: Final = {name: number for number, name in enumerate(_MONTHS, 1)} | {
    name[:3]: number for number, name in enumerate(_MONTHS, 1)
}
_PARTS: Final = {
    "%d": r"(?P<day>\d\d)",
    "%-d": r"(?P<day>\d\d?)",
    "%m": r"(?P<month>\d\d)",
    "%-m": r"(?P<month>\d\d?)",
    "%y": r"(?P<short_year>\d\d)",
    "%Y": r"(?P<year>\d{4})",
    "%b": r"(?P<name>[A-Za-z]{3})",
    "%B": r"(?P<name>[A-Za-z]{3,9})",
    "%H": r"(?P<hour>\d\d)",
    "%-H": r"(?P<hour>\d\d?)",
    "%I": r"(?P<hour>\d\d)",
    "%-I": r"(?P<hour>\d\d?)",
    "%p": r"(?P<half>[AaPp][Mm])",
    "%M": r"(?P<minute>\d\d)",
    "%-M": r"(?P<minute>\d\d?)",
    "%S": r"(?P<second>\d\d)",
    "%f": r"(?P<fraction>\d{1,9})",
    "%z": r"(?P<offset>Z|[+-]\d\d:?\d\d)",
    "%%": "%",
    "%*": r".*",
}
_DIRECTIVE: Final = re.compile(r"%-?.", re.DOTALL)
_TYPED: Final = (
    "%Y-%m-%d",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%dT%H:%M:%S.%f",
    "%Y-%m-%dT%H:%M:%S%z",
    "%Y-%m-%dT%H:%M:%S.%f%z",
)
"""How a workbook or a Parquet file writes what it knows to be a date."""

_TEXT_LENGTH_MAX: Final = 60
_CACHE_MAX: Final = 50_000
_OFFSET_MAX: Final = timedelta(hours=14)

_Moment = tuple[
    datetime, bool
]  # local as written, with its zone if it has an offset; whether it has a time at all


class Dates:
    """Reads days and instants, and remembers what it has read.

    >>> from reconciliation.mapping import DateRules
    >>> Dates(DateRules(patterns="%d.%m.%Y")).day("16.11.2026", "row 2")
    datetime.date(2026, 11, 16)
    """

    def __init__(self, rules: DateRules, *, typed: bool = False) -> None:
        extra = _TYPED if typed else ()
        self._days = _compiled((*rules.patterns, *extra))
        self._events = _compiled((*(rules.event_patterns or rules.patterns), *extra))
        self._said = ", ".join(rules.patterns)
        self._events_said = ", ".join(rules.event_patterns) or self._said
        self._zone = ZoneInfo(rules.time_zone) if rules.time_zone else None
        self._local_day = rules.local_day
        self._day_of: dict[str, date] = {}
        self._instant_of: dict[str, datetime] = {}

    def day(self, text: str, place: str) -> date:
        """The day that a text names. Code ``date``."""
        known = self._day_of.get(text)
        if known is not None:
            return known
        moment, has_time = _read(text, self._days, self._said, place)
        if self._local_day and has_time:
            day = _in_zone(moment, self._zone, place).astimezone(self._zone).date()
        else:
            day = moment.date()
        if len(self._day_of) >= _CACHE_MAX:
            self._day_of.clear()
        self._day_of[text] = day
        return day

    def instant(self, text: str, place: str) -> datetime:
        """The instant that a text names, in UTC. Code ``date``."""
        known = self._instant_of.get(text)
        if known is not None:
            return known
        moment, _ = _read(text, self._events, self._events_said, place)
        instant = _in_zone(moment, self._zone, place)
        if len(self._instant_of) >= _CACHE_MAX:
            self._instant_of.clear()
        self._instant_of[text] = instant
        return instant


def _compiled(patterns: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(_regex(pattern), re.ASCII) for pattern in dict.fromkeys(patterns))


def _regex(pattern: str) -> str:
    parts: list[str] = []
    position = 0
    for found in _DIRECTIVE.finditer(pattern):
        parts += [re.escape(pattern[position : found.start()]), _PARTS[found.group()]]
        position = found.end()
    return "".join((*parts, re.escape(pattern[position:])))


def _read(text: str, patterns: tuple[re.Pattern[str], ...], said: str, place: str) -> _Moment:
    text = text.strip(BLANKS)
    found: set[_Moment] = set()
    if len(text) <= _TEXT_LENGTH_MAX:
        for pattern in patterns:
            matched = pattern.fullmatch(text)
            if matched is not None:
                moment = _moment(matched.groupdict())
                if moment is not None:
                    found.add(moment)
    if not found:
        raise refused("date", place, f"a real day as {said}", shown(text))
    if len({moment for moment, _ in found}) > 1:
        raise refused("date", place, f"one meaning by {said}", f"{shown(text)}, which fits two of them")
    return found.pop()


def _moment(parts: dict[str, str]) -> _Moment | None:
    """The moment that the parts name, or None if there is no such moment."""
    month = int(parts["month"]) if parts.get("month") else _MONTH_NO.get(parts.get("name", "").lower(), 0)
    if parts.get("short_year"):
        year = int(parts["short_year"]) + (1900 if parts["short_year"] >= "80" else 2000)
    else:
        year = int(parts["year"])
    hour = int(parts.get("hour") or 0)
    if parts.get("half"):
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if parts["half"].lower() == "pm" else 0)
    try:
        moment = datetime(
            year,
            month,
            int(parts["day"]),
            hour,
            int(parts.get("minute") or 0),
            int(parts.get("second") or 0),
            int((parts.get("fraction") or "0").ljust(6, "0")[:6]),
            tzinfo=_offset(parts.get("offset")),
        )
    except ValueError:
        return None
    return moment, "hour" in parts


def _offset(text: str | None) -> timezone | None:
    if text is None:
        return None
    if text == "Z":
        return UTC
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    offset = timedelta(minutes=-minutes if text[0] == "-" else minutes)
    if abs(offset) > _OFFSET_MAX:
        raise ValueError("no such offset")
    return timezone(offset)


def _in_zone(moment: datetime, zone: ZoneInfo | None, place: str) -> datetime:
    """The instant of a local time. A time that a change of clocks repeats is the first of the two."""
    if moment.tzinfo is None:
        if zone is None:
            raise refused("date", place, "a time with an offset, or a time_zone in the mapping", "neither")
        moment = moment.replace(tzinfo=zone)
    try:
        return moment.astimezone(UTC)
    except (OverflowError, ValueError):
        raise refused("date", place, "an instant that there is", moment.isoformat()[:40]) from None
