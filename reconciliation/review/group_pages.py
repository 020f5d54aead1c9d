"""Build a match by hand: tick lines of both books, see what they leave, propose when nothing is left or a role owns it.

Laws: the difference is the server's and is checked again by the database when it is proposed; what was ticked survives
every search; all of it works without a script, by a button that recalculates.

Example:
    /exceptions/17/group?line=external:N-1/1&line=ledger:E-9/1
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from starlette.responses import Response

from ledger_core.errors import AmountError
from ledger_core.money import ISO_4217_EXPONENTS, parse_amount_minor
from reconciliation.review.book_lines import Bookkeeper
from reconciliation.review.detail import Event, ExceptionRow, read_row, source_of
from reconciliation.review.forms import Chosen, address, chosen_lines, queue_query
from reconciliation.review.side_by_side import BookLine, Sides
from reconciliation.review.web import Page, Visit
from reconciliation.vocabulary import ALLOCATION_ROLES

ROLES: Final = ("principal", *sorted(ALLOCATION_ROLES - {"principal"}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """What stands on the page: ``shown`` lines of both sides, of which ``chosen`` are ticked."""

    shown: Sides
    chosen: Sides
    ticked: frozenset[str]
    roles: dict[str, str]
    problem: str
    near_is_cut: bool


def build(visit: Visit) -> Response:
    """The page, or its sums when the script asks."""
    return page_of(visit)


def page_of(visit: Visit, *, status: int = 200, problem: str = "", since: Sequence[Event] = ()) -> Response:
    """The page with everything that was ticked; with what stands against a proposal, if something does."""
    exception_id = visit.id("exception_id")
    row = read_row(visit.connection, exception_id)
    source = source_of(visit.config.sources, row.source)
    bookkeeper = Bookkeeper(visit.connection, row.source, source)
    builder = _builder(visit, row, bookkeeper)
    query = queue_query(visit)
    values: dict[str, Any] = {
        "row": row,
        "builder": builder,
        "problem": problem,
        "since": since,
        "find": _sent(visit, "find"),
        "amount": _sent(visit, "amount"),
        "roles": ROLES,
        "query": query,
        "note": visit.text("note") if visit.form else "",
        "reason": visit.text("reason") if visit.form else "data_correction",
        "case_address": address(f"/exceptions/{exception_id}", query),
        "builder_address": address(f"/exceptions/{exception_id}/group", query),
        "propose_address": address(f"/exceptions/{exception_id}/propose", query),
        "may_act": row.is_open and visit.may("propose"),
    }
    if visit.wants_fragment:
        return visit.fragment("group_sums.html", **values)
    return visit.page("group.html", status=status, **values)


def _builder(visit: Visit, row: ExceptionRow, bookkeeper: Bookkeeper) -> Builder:
    own = list(bookkeeper.lines(bookkeeper.of_exception(row.exception_id)).values())
    pairs = visit.form.multi_items() if visit.form else visit.request.query_params.multi_items()
    told = chosen_lines(pairs)
    if not any(name == "built" for name, _ in pairs):
        told = (
            *(Chosen(name=line.name) for line in own if line.name not in {one.name for one in told}),
            *told,
        )
    roles = {one.name: one.role for one in told}
    chosen = [replace(line, role=roles[line.name]) for line in bookkeeper.named(roles)]
    found, problem = _found(visit, row, bookkeeper)
    near, near_is_cut = _near(row, bookkeeper, Sides.of(chosen))
    by_place = {line.place: line for line in (*near, *found, *own, *chosen)}
    return Builder(
        shown=Sides.of(by_place.values()),
        chosen=Sides.of(chosen),
        ticked=frozenset(line.name for line in chosen),
        roles=roles,
        problem=problem,
        near_is_cut=near_is_cut,
    )


def _found(visit: Visit, row: ExceptionRow, bookkeeper: Bookkeeper) -> tuple[Sequence[BookLine], str]:
    """Lines that the search gives, and what is wrong with it."""
    lines = list(bookkeeper.found(_sent(visit, "find")))
    text = _sent(visit, "amount")
    if not text or row.asset is None:
        return lines, ""
    try:
        amount_minor = parse_amount_minor(text, ISO_4217_EXPONENTS.get(row.asset, 0))
    except AmountError as error:
        return lines, f"amount: {error}"
    more, _ = bookkeeper.near(
        0, asset=row.asset, wanted_minor=amount_minor, sides=["external", "ledger"], day=row.item_date
    )
    return lines + more, "" if lines or more else "No open line has about this amount."


def _near(row: ExceptionRow, bookkeeper: Bookkeeper, chosen: Sides) -> tuple[list[BookLine], bool]:
    """Open lines that would bring what is chosen to zero, of either side."""
    missing_minor = chosen.difference_minor
    if row.asset is None or not missing_minor or len(chosen.totals) != 1:
        return [], False
    ours, ours_cut = bookkeeper.near(
        row.exception_id, asset=row.asset, wanted_minor=missing_minor, sides=["ledger"], day=row.item_date
    )
    theirs, theirs_cut = bookkeeper.near(
        row.exception_id, asset=row.asset, wanted_minor=-missing_minor, sides=["external"], day=row.item_date
    )
    return ours + theirs, ours_cut or theirs_cut


def _sent(visit: Visit, name: str) -> str:
    """A field of the form, or of the address where there is none."""
    if visit.form:
        return visit.text(name, longest=200)
    return visit.request.query_params.get(name, "").strip()[:200]


PAGES: Final = (
    Page(path="/exceptions/{exception_id}/group", handler=build, deed="look"),
    Page(
        path="/exceptions/{exception_id}/group",
        handler=build,
        deed="propose",
        methods=("POST",),
        reads_form=True,
        role="tieout_auditor",
    ),
)
