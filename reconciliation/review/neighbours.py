"""Who stands before and after an exception in the list that somebody came from. Reads by key, never by counting.

Law: the neighbours are those of the list's own order and filter, also when the exception itself has left the list by
what was just done to it.

Example:
    neighbours(visit, 17)  # (12, 31): b and n go there
"""

from typing import Any

import psycopg
from psycopg.rows import class_row

from reconciliation.review import listing
from reconciliation.review.filters import Filter, FilterProblem
from reconciliation.review.forms import queue_query
from reconciliation.review.web import Visit


def neighbours(visit: Visit, exception_id: int) -> tuple[int | None, int | None]:
    """Numbers of the exceptions before and after it; None where the list ends, or the address is no list's."""
    row = _row(visit.connection, exception_id)
    if row is None:
        return None, None
    try:
        filter_ = Filter.from_query(queue_query(visit))
        place = listing.place_of(listing.ORDERS[filter_.order], row)
        asked: dict[str, Any] = {"today": visit.today, "me": visit.visitor.login, "limit": 1}
        before = listing.read_page(visit.connection, filter_, before=place, **asked)
        after = listing.read_page(visit.connection, filter_, after=place, **asked)
    except FilterProblem:
        return None, None
    next_id = after.rows[0].exception_id if after.rows else None
    before_id = before.rows[0].exception_id if before.rows else None
    # with nothing before it, the list answers with its beginning
    return None if before_id in (exception_id, next_id) else before_id, next_id


def _row(connection: psycopg.Connection[Any], exception_id: int) -> listing.Row | None:
    query = f"{listing.SQL['rows']} WHERE e.exception_id = %(exception)s"
    cursor = connection.cursor(row_factory=class_row(listing.Row))
    return cursor.execute(query.encode(), {"exception": exception_id}).fetchone()
