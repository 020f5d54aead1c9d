"""Deadlines: which of files have passed unheard since the last run, and by when people deal with what is open.

Reads what is covered and what was told already.

Law: a deadline that passes is told once, although no file, line or entry came with it; one that passed over a file
which is there, or is told already, is no news, so that running again changes nothing.
"""

from datetime import date, datetime, timedelta
from typing import Any, Final

import psycopg

from reconciliation.classification import BusinessCalendar, FileCalendar
from reconciliation.daily.universe import SQL
from reconciliation.sources import Review

_LOOKED_BACK: Final = timedelta(days=120)  # two closures, the longest that a calendar may have


def due_by_severity(review: Review, day: date, calendar: BusinessCalendar) -> dict[str, date]:
    """By when what opens on a business day is to be dealt with; ``info`` never is."""
    days = review.sla_days.model_dump()
    return {severity: calendar.add_business_days(day, count) for severity, count in days.items()}


def newly_overdue(
    connection: psycopg.Connection[Any], files: FileCalendar, *, last: date, since: datetime, now: datetime
) -> date | None:
    """The earliest date up to ``last`` whose file became overdue after ``since``, is absent, and is not yet told of."""
    source = files.source
    first = max(source.start_date, since.astimezone(source.zone).date() - _LOOKED_BACK)
    crossed = [
        (day, account)
        for account in files.places
        for day in files.owed(account, first, last)
        if since < files.due_at(account, day) <= now
    ]
    if not crossed:
        return None
    wanted = {"source": source.id, "first": min(crossed)[0]}
    covered = connection.execute(SQL["covered_from"], wanted).fetchall()
    told = set(connection.execute(SQL["gaps_told"], wanted).fetchall())
    per_account = source.files.per == "account"
    return min(
        (
            day
            for day, account in crossed
            if (account if per_account else None, day) not in told
            and not any(
                from_date <= day <= to_date
                for covering, from_date, to_date in covered
                if not per_account or covering == account
            )
        ),
        default=None,
    )
