"""When a business day of a source ends. Pure; the cut-off, the zone and the calendars are the source's own.

Example, cut-off 23:59:59 in Berlin: Friday 13 November 2026 ends at 23:00 UTC, and so do Saturday and Sunday, for what
happens on them belongs to Monday.
"""

from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from reconciliation.classification import BusinessCalendar
from reconciliation.sources import Source

_END_OF_DAY: Final = time(23, 59, 59)


def end_of_business_day(day: date, source: Source, calendar: BusinessCalendar) -> datetime:
    """The first instant, in UTC, that no longer belongs to ``day`` or an earlier business date of the source.

    For a day that is not a business day this is the end of the business day before: what happens on a Saturday belongs
    to Monday.
    """
    while not calendar.is_business_day(day):
        day -= timedelta(days=1)
    if source.cut_off >= _END_OF_DAY:
        local = datetime.combine(day + timedelta(days=1), time(0), source.zone)
        return local.astimezone(UTC)
    local = datetime.combine(day, source.cut_off, source.zone).replace(fold=1)
    return local.astimezone(UTC) + timedelta(microseconds=1)
