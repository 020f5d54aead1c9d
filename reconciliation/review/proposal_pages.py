"""Proposals: what waits for me, what I asked for, what was judged; and one of them, frozen as it was proposed.

Laws: nobody is shown a button for their own approval, and who sends it anyway gets 403 with the reason; the lines are
those that were proposed, beside what has become of them since. What two people want posted is handed to the shell after
the commit.

Example:
    /proposals/5    approve: y, reject: r
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Final

from psycopg.rows import class_row, dict_row
from starlette.background import BackgroundTask
from starlette.responses import Response

from ledger_core.sql import savepoint
from reconciliation.errors import NotAllowed, NotTheirs, ReconciliationError, RefusedProposal, UnknownItem
from reconciliation.exceptions.proposals import POSTING_ACTIONS, Proposal, Verdict, judge, read_proposal
from reconciliation.review import words
from reconciliation.review.book_lines import Bookkeeper
from reconciliation.review.detail import SQL, Event, events_since, read_row, source_of
from reconciliation.review.forms import typed
from reconciliation.review.side_by_side import BookLine, Sides
from reconciliation.review.web import BadInput, Handler, Page, Visit

WAITING_MAX: Final = 500
JUDGED_MAX: Final = 50
_NOTHING: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalRow:
    """A proposal in a list."""

    proposal_id: int
    source: str
    exception_id: int | None
    action: str
    state: str
    reason_code: str
    reason: str
    proposed_by: str
    proposed_at: datetime
    expires_on: date | None
    stake_minor: int | None
    asset: str | None
    judged_by: str | None
    judged_at: datetime | None
    posting: str | None
    kind: str | None
    severity: str | None
    is_own: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging:
    """What stands between the visitor and a verdict. ``limit_minor``: None without limit, -1 where nothing is."""

    is_own: bool
    limit_minor: int | None
    stake_minor: int | None

    @property
    def is_too_much(self) -> bool:
        """Whether it is more than the visitor may approve."""
        return self.limit_minor is not None and (self.stake_minor or 0) > self.limit_minor


def overview(visit: Visit) -> Response:
    """All that waits, and what was judged last."""
    waiting = _rows(visit, "proposals_waiting", WAITING_MAX)
    return visit.page(
        "proposals.html",
        for_me=[row for row in waiting if not row.is_own and row.state == "waiting"],
        mine=[row for row in waiting if row.is_own and row.state == "waiting"],
        expired=[row for row in waiting if row.state != "waiting"],
        judged=_rows(visit, "proposals_judged", JUDGED_MAX),
        is_cut=len(waiting) >= WAITING_MAX,
    )


def _rows(visit: Visit, query: str, most: int) -> list[ProposalRow]:
    cursor = visit.connection.cursor(row_factory=class_row(ProposalRow))
    return cursor.execute(SQL[query], {"most": most, "me": visit.visitor.login}).fetchall()


def show(visit: Visit) -> Response:
    """One proposal."""
    return page_of(visit, visit.id("proposal_id"))


def page_of(
    visit: Visit,
    proposal_id: int,
    *,
    status: int = 200,
    problem: str = "",
    kept: Mapping[str, str] = _NOTHING,
) -> Response:
    """The page of a proposal, with what stands against a verdict, if something does."""
    proposal = read_proposal(visit.connection, proposal_id)
    source = source_of(visit.config.sources, proposal.source)
    bookkeeper = Bookkeeper(visit.connection, proposal.source, source)
    sides, changes = frozen_sides(proposal.members, bookkeeper)
    row = read_row(visit.connection, proposal.exception_id) if proposal.exception_id else None
    next_row = visit.connection.execute(
        SQL["next_waiting"], {"proposal": proposal_id, "me": visit.visitor.login}
    ).fetchone()
    return visit.page(
        "proposal.html",
        status=status,
        proposal=proposal,
        row=row,
        sides=sides,
        changes=changes,
        events=_events_after(visit, proposal),
        judging=_judging(visit, proposal),
        next_id=next_row and next_row[0],
        problem=problem,
        kept=kept,
    )


def frozen_sides(members: Sequence[Mapping[str, Any]], bookkeeper: Bookkeeper) -> tuple[Sides, list[str]]:
    """The lines as they were proposed, and what has become of them since, in words."""
    names = {_name(member): member for member in members}
    now = {line.name: line for line in bookkeeper.named(names)}
    lines, changes = [], []
    for name, member in names.items():
        line = now.get(name)
        if line is None:
            changes.append(f"{name}: it is on the accounts of the source no more")
            continue
        if line.problem:
            changes.append(f"{line.key} {line.problem}")
        if line.amount_minor != member.get("amount_minor", line.amount_minor):
            changes.append(f"{line.key}: its amount is another than was proposed")
        lines.append(_as_proposed(line, member))
    return Sides.of(lines), changes


def _name(member: Mapping[str, Any]) -> str:
    if member["side"] == "external":
        return f"external:{member['line_key']}/{member['version']}"
    return f"ledger:{member['entry_key']}/{member['line_no']}"


def _as_proposed(line: BookLine, member: Mapping[str, Any]) -> BookLine:
    amount_minor = int(member.get("amount_minor", line.amount_minor))
    return replace(line, role=str(member.get("role", "principal")), amount_minor=amount_minor)


def _events_after(visit: Visit, proposal: Proposal) -> list[Event]:
    """What happened to the exception after the proposal, the oldest first."""
    if proposal.exception_id is None or proposal.state != "waiting":
        return []
    events = events_since(visit.connection, proposal.exception_id)
    return [
        event for event in reversed(events) if event.at > proposal.proposed_at and event.event != "proposed"
    ]


def _judging(visit: Visit, proposal: Proposal) -> Judging:
    wanted = {
        "proposer": proposal.proposed_by,
        "me": visit.visitor.login,
        "source": proposal.source,
        "roles": list(visit.visitor.roles),
        "asset": proposal.asset,
        "action": proposal.action,
        "reason": proposal.reason_code,
    }
    found = visit.connection.cursor(row_factory=dict_row).execute(SQL["judging"], wanted).fetchone()
    assert found is not None  # noqa: S101 - a query without a table always gives a row
    return Judging(stake_minor=proposal.stake_minor, **found)


def _judging_as(verdict: Verdict) -> Handler:
    def act(visit: Visit) -> Response:
        proposal_id = visit.id("proposal_id")
        try:
            note = visit.text("note")
            if verdict == "rejected" and not note:
                raise BadInput("note: expected a sentence why, for whoever proposed it; found none")
            with savepoint(visit.connection):
                judged = judge(visit.connection, proposal_id, verdict, note=note or None)
        except UnknownItem as error:
            read_proposal(visit.connection, proposal_id)  # of one that never was, this says so
            return page_of(visit, proposal_id, status=409, problem=str(error), kept=typed(visit))
        except ReconciliationError as error:
            status = _status(error)
            return page_of(visit, proposal_id, status=status, problem=str(error), kept=typed(visit))
        response = visit.see(f"/proposals/{proposal_id}", said=_said(judged))
        if judged.state == "approved":
            response.background = BackgroundTask(visit.config.after_approval, judged.source)
        return response

    act.__doc__ = f"Judge it: {verdict}."
    return act


def _status(error: ReconciliationError) -> int:
    kinds = ((BadInput, 400), (NotTheirs, 403), (NotAllowed, 403), (RefusedProposal, 422))
    return next((status for kind, status in kinds if isinstance(error, kind)), 422)


def _said(judged: Proposal) -> str:
    if judged.state != "approved":
        return f"Proposal {judged.proposal_id} is {judged.state}."
    what = "its entry is being posted" if judged.action in POSTING_ACTIONS else _carried_out(judged)
    return f"Proposal {judged.proposal_id} ({words.action(judged.action)}) is approved; {what}."


def _carried_out(judged: Proposal) -> str:
    return f"it is being carried out, and acts from {judged.acts_from} on"


_ONE: Final = "/proposals/{proposal_id}"

PAGES: Final = (
    Page(path="/proposals", handler=overview, deed="look"),
    Page(path=_ONE, handler=show, deed="look"),
    Page(
        path=f"{_ONE}/approve",
        handler=_judging_as("approved"),
        deed="judge",
        methods=("POST",),
        reads_form=True,
    ),
    Page(
        path=f"{_ONE}/reject",
        handler=_judging_as("rejected"),
        deed="propose",
        methods=("POST",),
        reads_form=True,
    ),
)
