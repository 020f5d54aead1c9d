"""Ada proposes, Bob approves: the words of the tests about decisions, on a desk where one payment was not recognised.

The bank told of 5.00 as ``PAID`` on Monday; our book has 5.12 as entry ``sale``. No pass may bring them together.
"""

from datetime import date
from typing import Any

from reconciliation.exceptions.proposals import Action, Proposal, judge, propose
from tests.reconciliation.daily.desk import MONDAY, SOURCES, Desk, movement

LINE, ENTRY = "N-PAID", "sale/1"


def unrecognised(desk: Desk) -> tuple[int, int]:
    """Monday at the desk; the exceptions of the line and of the entry."""
    desk.post("sale", MONDAY, 512, ref_end_to_end="INV-1")
    desk.statement(MONDAY, movement("PAID", 500))
    desk.run(MONDAY)
    by_side = {row["side"]: row["exception_id"] for row in desk.exceptions()}
    return by_side["external"], by_side["ledger"]


def proposed(
    desk: Desk, exception_id: int, action: Action, *more: str, by: str = "ada", **words: Any
) -> Proposal:
    """What a person proposes, in one transaction."""
    with desk.session("tieout_analyst") as connection:
        words = {"reason": "same payment"} | words
        return propose(connection, SOURCES, exception_id, action, actor=by, more=more, **words)


def approved(
    desk: Desk, proposal: Proposal, *, by: str = "bob", acts_from: date | None = None, note: str | None = None
) -> Proposal:
    """What another person approves, in one transaction."""
    with desk.session("tieout_analyst") as connection:
        return judge(connection, proposal.proposal_id, "approved", actor=by, acts_from=acts_from, note=note)


def rejected(desk: Desk, proposal: Proposal, *, by: str) -> Proposal:
    """What a person rejects or takes back, in one transaction."""
    with desk.session("tieout_analyst") as connection:
        return judge(connection, proposal.proposal_id, "rejected", actor=by, note="no")


def undone(desk: Desk, group_id: int) -> None:
    """A match taken apart."""
    with desk.session("tieout_analyst") as connection:
        connection.execute("SELECT recon.reject_match(%s, 'not the same', 'carl')", (group_id,))
