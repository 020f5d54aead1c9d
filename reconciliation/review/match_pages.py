"""A match explained: which pass or person made it, of which lines, by what evidence, and how it is undone.

Law: everything shown is what was stored when it was made; undoing hides nothing, its lines are open again and no later
run makes it so. A suggestion is turned down the same way.

Example:
    /matches/12
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from psycopg.rows import dict_row
from starlette.background import BackgroundTask
from starlette.responses import Response

from ledger_core.sql import savepoint
from reconciliation.errors import NotAllowed, ReconciliationError, UnknownItem
from reconciliation.exceptions.work import undo_match
from reconciliation.review import words
from reconciliation.review.book_lines import Bookkeeper
from reconciliation.review.candidates import Candidate, Suggestion, candidates_of
from reconciliation.review.detail import SQL, settled, source_of
from reconciliation.review.forms import typed
from reconciliation.review.side_by_side import Sides
from reconciliation.review.web import BadInput, Page, Visit

PASSES: Final[Mapping[str, str]] = {
    "exact": "the same reference and amount on both sides",
    "normalised": "the same reference but for the way it is written, and the same amount",
    "net_of_fee": "the same reference, and the amount is what is left after the fee",
    "converted": "the same reference, and the amount is the converted one",
    "declared_group": "the source itself says which lines belong together",
    "reversal_family": "lines that take each other back",
    "in_text": "our reference stands in their text, weighed with all else that agrees",
    "near_reference": "references that are nearly the same, weighed with all else that agrees",
    "amount_and_lag": "no reference: amount, days and names, weighed against all rivals",
    "key_sum": "lines of one key that sum to the amount",
    "chained_run": "the lines that follow those of the payout before",
    "window_less_few": "all lines of the window but a few",
    "bounded_subset": "the one set of lines that sums to the amount, searched within bounds",
    "many_to_many": "several lines with several, divided so that the fewest stay open",
    "decision": "people decided it: one proposed, another approved",
}
_SHOWN_OTHERWISE: Final = frozenset(
    {"bits", "why_not_automatic", "alternatives", "pass", "asset", "amounts", "decided_by"}
)
_NOTHING: Final[Mapping[str, str]] = {}


def show(visit: Visit) -> Response:
    """The match."""
    return page_of(visit, visit.id("group_id"))


def page_of(
    visit: Visit, group_id: int, *, status: int = 200, problem: str = "", kept: Mapping[str, str] = _NOTHING
) -> Response:
    """The page of a match, with what stands against undoing it, if something does."""
    cursor = visit.connection.cursor(row_factory=dict_row)
    group = cursor.execute(SQL["match"], {"group": group_id}).fetchone()
    if group is None:
        raise UnknownItem(f"match {group_id}: expected one that exists, found none")
    source = source_of(visit.config.sources, group["source"])
    bookkeeper = Bookkeeper(visit.connection, group["source"], source)
    lines = tuple(settled(bookkeeper, group_id))
    told = Suggestion(
        group_id=group_id, match_pass=group["match_pass"], evidence=group["evidence"], lines=lines
    )
    (weighed,) = candidates_of(Sides(), [told], [])
    exceptions = [row[0] for row in visit.connection.execute(SQL["exceptions_of_match"], {"group": group_id})]
    return visit.page(
        "match.html",
        status=status,
        group=group,
        why=PASSES.get(group["match_pass"], group["match_pass"]),
        sides=Sides.of(lines),
        weighed=weighed if _was_weighed(weighed) else None,
        evidence=_evidence(group["evidence"]),
        decided_by=group["evidence"].get("decided_by") or [],
        exceptions=exceptions,
        can_undo=group["state"] in ("confirmed", "suggested") and visit.may("propose"),
        problem=problem,
        kept=kept,
    )


def _was_weighed(candidate: Candidate) -> bool:
    return candidate.is_weighed or candidate.why_not != "the engine left it to people"


def _evidence(evidence: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the evidence holds beside what the page shows otherwise, as plain text."""
    return [
        (name.replace("_", " "), value if isinstance(value, str) else json.dumps(value, sort_keys=True))
        for name, value in sorted(evidence.items())
        if name not in _SHOWN_OTHERWISE and value not in (None, [], {})
    ]


def undo(visit: Visit) -> Response:
    """Take it apart, or turn it down."""
    group_id = visit.id("group_id")
    try:
        reason, note, exception_id = visit.text("reason"), visit.text("note"), visit.number("exception")
        if reason not in words.REASONS:
            raise BadInput(
                f"reason: expected one of {', '.join(sorted(words.REASONS))}, found {reason[:40]!r}"
            )
        if not note:
            raise BadInput("note: expected a sentence why, found nothing")
        with savepoint(visit.connection):
            undo_match(visit.connection, group_id, reason=reason, note=note)
    except UnknownItem as error:
        return page_of(visit, group_id, status=409, problem=str(error), kept=typed(visit))
    except ReconciliationError as error:
        status = 400 if isinstance(error, BadInput) else 403 if isinstance(error, NotAllowed) else 422
        return page_of(visit, group_id, status=status, problem=str(error), kept=typed(visit))
    path = f"/exceptions/{exception_id}" if exception_id else f"/matches/{group_id}"
    response = visit.see(path, said=f"Match {group_id} is undone; no later run makes it again.")
    undone = visit.connection.cursor(row_factory=dict_row).execute(SQL["match"], {"group": group_id}).fetchone()
    if undone is not None and undone["made_as"] == "confirmed":
        response.background = BackgroundTask(visit.config.after_approval, undone["source"])
    return response


PAGES: Final = (
    Page(path="/matches/{group_id}", handler=show, deed="look"),
    Page(path="/matches/{group_id}/undo", handler=undo, deed="propose", methods=("POST",), reads_form=True),
)
