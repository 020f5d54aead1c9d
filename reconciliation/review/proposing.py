"""From a form to a proposal: which lines are meant, which entry is to be posted, in the words of the command layer.

Law: the lines that are proposed are those that stood on the page that was sent, no others; whether they make a sound
proposal is for the command layer and the database to say.

Example:
    propose_from(visit, 17).proposal_id
"""

from typing import Any, Final, cast

from reconciliation.exceptions.adjustments import Share
from reconciliation.exceptions.proposals import (
    POSTING_ACTIONS,
    Action,
    Proposal,
    ReasonCode,
    draft,
    propose,
)
from reconciliation.review import words
from reconciliation.review.book_lines import Bookkeeper
from reconciliation.review.detail import read_row, source_of
from reconciliation.review.forms import Chosen, ProposalForm, more_and_without, proposal_form
from reconciliation.review.web import BadInput, Visit

_MATCH: Final = "match-"
_LINE: Final = "line-"


def propose_from(visit: Visit, exception_id: int) -> Proposal:
    """Propose what a form says about an exception.

    Raises:
        BadInput: the form holds what is no value.
        RefusedProposal, UnknownItem, StaleView, NotAllowed: as the command layer says.
    """
    form = proposal_form(visit)
    lines = _lines(visit, exception_id, form)
    action, entry = cast(Action, form.action), None
    if action in POSTING_ACTIONS:
        entry = draft(
            visit.connection,
            visit.config.sources,
            exception_id,
            action,
            shares=_shares(form),
            effective_date=form.effective_date,
            description=form.description or None,
            **lines,
        )
    return propose(
        visit.connection,
        visit.config.sources,
        exception_id,
        action,
        reason_code=cast(ReasonCode, form.reason_code),
        reason=form.note or words.reason(form.reason_code),
        version=form.version,
        expires_on=form.expires_on,
        entry=entry,
        **lines,
    )


def _lines(visit: Visit, exception_id: int, form: ProposalForm) -> dict[str, Any]:
    """What the command layer starts from, and what is added to it or left out."""
    if form.chosen:
        row = read_row(visit.connection, exception_id)
        bookkeeper = Bookkeeper(visit.connection, row.source, source_of(visit.config.sources, row.source))
        own = bookkeeper.lines(bookkeeper.of_exception(exception_id)).values()
        more, without = more_and_without(form.chosen, own)
        return {"more": more, "without": without}
    if form.action != "force_match" or form.pick in ("", "own"):
        return {}
    if form.pick.startswith(_MATCH) and form.pick.removeprefix(_MATCH).isdecimal():
        return {"suggestion": int(form.pick.removeprefix(_MATCH)[:18])}
    if form.pick.startswith(_LINE):
        return {"more": (Chosen(name=form.pick.removeprefix(_LINE)).word,)}
    raise BadInput(f"pick: expected a candidate of this exception, found {form.pick[:60]!r}")


def _shares(form: ProposalForm) -> tuple[Share, ...]:
    """The account that takes the difference; a write-off has its own by the source's rules."""
    if form.action == "write_off":
        return ()
    if not form.account:
        raise BadInput("account: expected the account that the entry is booked against, found none")
    return (Share(account=form.account),)
