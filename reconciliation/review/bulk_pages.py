"""One deed on many exceptions: first what it would touch, in money and rows, then what became of each.

Laws: what is done is what was previewed, by number and version: a row that somebody changed in between is not touched
and says so; all of it is one call of the command layer. More than ``ITEMS_MAX`` of a filter are never taken in silence.

Example:
    POST /bulk  item=17:3 item=18:1, or filter=source=bank and whole=1
    POST /bulk/do  items="17:3 18:1", deed=take
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from psycopg.rows import class_row, dict_row
from starlette.responses import Response

from ledger_core.sql import savepoint
from reconciliation.errors import RefusedProposal
from reconciliation.exceptions.work import ItemSeen, work
from reconciliation.review import listing
from reconciliation.review.detail import SQL, people_to_assign
from reconciliation.review.filters import Filter
from reconciliation.review.forms import ITEMS_MAX, items_of, typed, work_deed
from reconciliation.review.web import BadInput, Page, Visit

FIRST_ROWS: Final = 15
TOLD_MAX: Final = 500  # of those that were not done, on the page
FORMS: Final = ("take", "give_back", "assign", "snooze", "carry", "comment")
_NOTHING: Final[Mapping[str, str]] = {}
Items = list[tuple[int, int | None]]


def preview(visit: Visit) -> Response:
    """What a selection, or all of a filter, holds."""
    items, is_cut = _whole(visit) if visit.text("whole") else (items_of(visit.form.getlist("item")), False)
    return _preview(visit, items, is_cut=is_cut)


def _preview(
    visit: Visit,
    items: Items,
    *,
    is_cut: bool = False,
    status: int = 200,
    problem: str = "",
    kept: Mapping[str, str] = _NOTHING,
) -> Response:
    ids = [number for number, _ in items]
    asked = {"ids": ids, "versions": [version for _, version in items]}
    dicts = visit.connection.cursor(row_factory=dict_row)
    return visit.page(
        "bulk.html",
        status=status,
        count=len(items),
        items=_as_text(items),
        is_cut=is_cut,
        most=ITEMS_MAX,
        state=dicts.execute(SQL["bulk_items"], asked).fetchone(),
        money_by_asset=dicts.execute(SQL["bulk_money"], {"ids": ids}).fetchall(),
        statuses=dicts.execute(SQL["bulk_statuses"], {"ids": ids}).fetchall(),
        rows=_first_rows(visit, ids[:FIRST_ROWS]),
        people=people_to_assign(visit.connection),
        list_address=_list_address(visit),
        filter=visit.text("filter"),
        problem=problem,
        kept=kept,
    )


def _whole(visit: Visit) -> tuple[Items, bool]:
    """All rows of a filter, up to the bound, in the list's order; and whether there are more."""
    filter_ = Filter.from_query(visit.text("filter"))
    found: Items = []
    page = listing.read_page(
        visit.connection, filter_, today=visit.today, me=visit.visitor.login, limit=ITEMS_MAX
    )
    found += [(row.exception_id, row.version) for row in page.rows]
    return found, page.after is not None


def _first_rows(visit: Visit, ids: Sequence[int]) -> list[listing.Row]:
    query = f"{listing.SQL['rows']} WHERE e.exception_id = ANY(%(ids)s)"
    cursor = visit.connection.cursor(row_factory=class_row(listing.Row))
    by_id = {row.exception_id: row for row in cursor.execute(query.encode(), {"ids": list(ids)})}
    return [by_id[number] for number in ids if number in by_id]


def _as_text(items: Items) -> str:
    """Numbers and versions in one field: a form of ten thousand fields takes longer to read than to do."""
    return " ".join(str(number) if version is None else f"{number}:{version}" for number, version in items)


def _list_address(visit: Visit) -> str:
    """The list that the selection came from; its filter is read again, never trusted."""
    return Filter.from_query(visit.text("filter")).path()


def do(visit: Visit) -> Response:
    """Do it, and say what became of each."""
    items = items_of([visit.form.get("items", "")])
    try:
        name = visit.text("deed")
        if name not in FORMS:
            raise BadInput(f"deed: expected one of {', '.join(FORMS)}, found {name[:40]!r}")
        if not items:
            raise BadInput("items: expected exceptions to do it to, found none")
        deed, detail = work_deed(visit, name)
        with savepoint(visit.connection):
            seen = [ItemSeen(exception_id=number, version=version) for number, version in items]
            outcomes = work(visit.connection, seen, deed, detail)
    except (BadInput, RefusedProposal) as error:
        status = 400 if isinstance(error, BadInput) else 422
        return _preview(visit, items, status=status, problem=str(error), kept=typed(visit))
    others = [outcome for outcome in outcomes if not outcome.is_done]
    values: dict[str, Any] = {
        "deed": deed,
        "done": len(outcomes) - len(others),
        "count": len(outcomes),
        "by_outcome": sorted(Counter(outcome.outcome for outcome in others).items()),
        "others": others[:TOLD_MAX],
        "untold": max(len(others) - TOLD_MAX, 0),
        "list_address": _list_address(visit),
    }
    return visit.page("bulk_done.html", **values)


PAGES: Final = (
    Page(
        path="/bulk", handler=preview, deed="work", methods=("POST",), reads_form=True, role="tieout_auditor"
    ),
    Page(path="/bulk/do", handler=do, deed="work", methods=("POST",), reads_form=True, seconds=60),
)
