"""The page on which an analyst works one exception, and the deeds that its forms post to.

Laws: every form carries the version that was seen; who acts on another gets 409 with what changed and who did it, the
case as it is now, and everything they had typed. What moves money or overrides the engine is proposed here and judged
elsewhere, by another person. The filter of the list that one came from stays in the address.

Example:
    /exceptions/17?source=bank&sort=due&pick=match-12
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlsplit

from starlette.responses import Response

from ledger_core.sql import savepoint
from reconciliation.errors import (
    NotAllowed,
    NotTheirs,
    ReconciliationError,
    RefusedProposal,
    StaleView,
    UnknownItem,
)
from reconciliation.exceptions.attachments import attach, read_attachment
from reconciliation.exceptions.work import ItemSeen, work
from reconciliation.review import group_pages, words
from reconciliation.review.candidates import Candidate
from reconciliation.review.detail import (
    Case,
    accounts_for,
    events_since,
    people_to_assign,
    read_case,
    read_row,
    source_of,
)
from reconciliation.review.forms import address, queue_query, typed, work_deed
from reconciliation.review.neighbours import neighbours
from reconciliation.review.proposing import propose_from
from reconciliation.review.web import BadInput, Handler, Page, Visit

STATUS_OF_OUTCOME: Final = {"stale": 409, "closed": 409, "absent": 404, "refused": 403}
DONE: Final = {
    "take": "Taken: it is yours.",
    "give_back": "Given back: it is nobody's.",
    "assign": "Assigned.",
    "assign_team": "Assigned to the team.",
    "pass_back": "Passed back to the owner before.",
    "snooze": "Snoozed; it comes back by itself.",
    "wake": "Awake again.",
    "carry": "Carried forward.",
    "comment": "Noted.",
}
_NOTHING: Final[Mapping[str, str]] = {}


def show(visit: Visit) -> Response:
    """The case."""
    return page_of(visit, visit.id("exception_id"))


def page_of(
    visit: Visit,
    exception_id: int,
    *,
    status: int = 200,
    problem: str = "",
    kept: Mapping[str, str] = _NOTHING,
) -> Response:
    """The page of a case; with a problem, what somebody typed and what happened since they looked."""
    if kept.get("part") == "group":
        since = _since(visit, exception_id, kept)
        return group_pages.page_of(visit, status=status, problem=problem, since=since)
    case = read_case(visit.connection, visit.config.sources, exception_id)
    source = source_of(visit.config.sources, case.row.source)
    query = queue_query(visit)
    picked = case.candidate(kept.get("pick") or visit.request.query_params.get("pick", ""))
    before, after = neighbours(visit, exception_id) if not problem else (None, None)
    may_act = case.row.is_open and visit.may("work")
    sides = picked.sides if picked else case.own
    return visit.page(
        "detail.html",
        status=status,
        case=case,
        row=case.row,
        source=source,
        picked=picked,
        sides=sides,
        suggested_reason=reason_for(case, picked),
        problem=problem,
        kept=kept,
        since=_since(visit, exception_id, kept) if problem else (),
        may_act=may_act,
        people=people_to_assign(visit.connection) if may_act else [],
        teams=sorted({rule.team for rule in source.review.teams}) if source else [],
        accounts=accounts_for(visit.connection, case.row.asset, source) if may_act and case.row.asset else [],
        write_off=source.review.write_off.get(case.row.asset or "") if source else None,
        query=query,
        list_address=address("/exceptions", query),
        before=before and address(f"/exceptions/{before}", query),
        after=after and address(f"/exceptions/{after}", query),
        link=lambda **more: address(f"/exceptions/{exception_id}", query, _query(more)),
        deed=lambda name: address(f"/exceptions/{exception_id}/{name}", query),
        today=visit.today,
    )


def reason_for(case: Case, picked: Candidate | None) -> str:
    """The coded reason that a form begins with; people choose another where it does not fit."""
    if case.row.kind in ("fee_variance", "unrecorded_charge"):
        return "fee_not_booked"
    if case.row.kind.startswith("duplicate"):
        return "duplicate"
    days = {line.day for line in picked.sides.lines} if picked else set()
    references_agree = picked is not None and any("same reference" in one.words for one in picked.reasons)
    return "timing" if references_agree and len(days) > 1 else "data_correction"


def _since(visit: Visit, exception_id: int, kept: Mapping[str, str]) -> tuple[Any, ...]:
    """What happened after the page was made that somebody acted on."""
    seen = kept.get("seen_event", "")
    is_number = seen.isascii() and seen.isdigit() and len(seen) < 19
    return events_since(visit.connection, exception_id, int(seen)) if is_number else ()


def _query(more: Mapping[str, str]) -> str:
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in more.items() if value)


def refused(visit: Visit, exception_id: int, error: ReconciliationError) -> Response:
    """The page again, with what stands against the deed; nothing that was typed is lost."""
    statuses = (
        (BadInput, 400),
        (NotAllowed, 403),
        (NotTheirs, 403),
        (StaleView, 409),
        (RefusedProposal, 422),
    )
    status = next((status for kind, status in statuses if isinstance(error, kind)), 422)
    return page_of(visit, exception_id, status=status, problem=str(error), kept=typed(visit))


def _doing(name: str) -> Handler:
    def act(visit: Visit) -> Response:
        exception_id = visit.id("exception_id")
        try:
            deed, detail = work_deed(visit, name)
            version = visit.number("version")
            with savepoint(visit.connection):
                seen = ItemSeen(exception_id=exception_id, version=version)
                (outcome,) = work(visit.connection, [seen], deed, detail)
        except (BadInput, RefusedProposal) as error:
            return refused(visit, exception_id, error)
        if not outcome.is_done:
            if outcome.outcome == "absent":
                raise UnknownItem(outcome.said or f"exception {exception_id}: there is none")
            status = STATUS_OF_OUTCOME[outcome.outcome]
            return page_of(visit, exception_id, status=status, problem=outcome.said or "", kept=typed(visit))
        return visit.see(_from_list(visit) or _back(visit, exception_id), said=DONE[deed])

    act.__doc__ = f"Do it: {words.deed(name)}."
    return act


def _from_list(visit: Visit) -> str:
    """The list, when a key on it posted the deed; browsers tell our own pages where one came from."""
    came_from = urlsplit(visit.request.headers.get("referer", ""))
    if came_from.path != "/exceptions" or came_from.netloc != visit.request.url.netloc:
        return ""
    return address("/exceptions", came_from.query)


def _back(visit: Visit, exception_id: int) -> str:
    pick = visit.text("pick")
    return address(f"/exceptions/{exception_id}", queue_query(visit), _query({"pick": pick}))


def enclose(visit: Visit) -> Response:
    """Take a file in."""
    exception_id = visit.id("exception_id")
    upload = visit.uploads.get("file")
    try:
        if upload is None:
            raise BadInput("file: expected a file, found none")
        with savepoint(visit.connection):
            attach(visit.connection, exception_id, file_name=upload.file_name, content=upload.content)
    except (BadInput, RefusedProposal) as error:
        return refused(visit, exception_id, error)
    return visit.see(_back(visit, exception_id), said=f"{upload.file_name[:80]} is enclosed.")


def download(visit: Visit) -> Response:
    """A file that was enclosed: never shown, always saved."""
    found, content = read_attachment(visit.connection, visit.id("attachment_id"))
    disposition = f"attachment; filename*=UTF-8''{quote(found.file_name, safe='')}"
    headers = {
        "Content-Disposition": disposition,
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox; default-src 'none'",
    }
    return Response(content, media_type=found.media_type, headers=headers)


def propose(visit: Visit) -> Response:
    """Ask for a decision about the case."""
    exception_id = visit.id("exception_id")
    try:
        with savepoint(visit.connection):
            made = propose_from(visit, exception_id)
    except UnknownItem as error:
        row = read_row(visit.connection, exception_id)  # of one that never was, this says so
        return page_of(
            visit, exception_id, status=422 if row.is_open else 409, problem=str(error), kept=typed(visit)
        )
    except ReconciliationError as error:
        return refused(visit, exception_id, error)
    said = f"Proposal {made.proposal_id} ({words.action(made.action)}) waits for another person."
    return visit.see(address(f"/exceptions/{exception_id}", queue_query(visit)), said=said)


_CASE: Final = "/exceptions/{exception_id}"

PAGES: Final = (
    Page(path=_CASE, handler=show, deed="look"),
    *(
        Page(
            path=f"{_CASE}/{name.replace('_', '-')}",
            handler=_doing(name),
            deed="work",
            methods=("POST",),
            reads_form=True,
        )
        for name in ("take", "give_back", "assign", "snooze", "carry", "comment")
    ),
    Page(path=f"{_CASE}/attach", handler=enclose, deed="work", methods=("POST",), reads_form=True),
    Page(path=f"{_CASE}/propose", handler=propose, deed="propose", methods=("POST",), reads_form=True),
    *group_pages.PAGES,
    Page(path="/attachments/{attachment_id}", handler=download, deed="look"),
)
