"""Ada proposes, Bob approves: the words of the tests about decisions, on a desk where one payment was not recognised.

Each of them, and Eve, analyses and approves; Carl analyses alone. Whoever acts has a session of their own.

The bank told of 5.00 as ``PAID`` on Monday; our book has 5.12 as entry ``sale``. No pass may bring them together.
"""

from datetime import date
from typing import Any

from reconciliation.exceptions.proposals import Action, Proposal, judge, propose
from reconciliation.exceptions.work import undo_match
from tests.reconciliation.daily.desk import MONDAY, SOURCES, Desk, movement

LINE, ENTRY = "N-PAID", "sale/1"


def staff(desk: Desk) -> None:
    """Everybody is enrolled."""
    for login in ("ada", "bob", "eve"):
        desk.enrol(login, "analyst", "approver")
    desk.enrol("carl", "analyst")


def unrecognised(desk: Desk) -> tuple[int, int]:
    """Monday at the desk; the exceptions of the line and of the entry."""
    staff(desk)
    desk.post("sale", MONDAY, 512, ref_end_to_end="INV-1")
    desk.statement(MONDAY, movement("PAID", 500))
    desk.run(MONDAY)
    by_side = {row["side"]: row["exception_id"] for row in desk.exceptions()}
    return by_side["external"], by_side["ledger"]


def proposed(
    desk: Desk, exception_id: int, action: Action, *more: str, by: str = "ada", **words: Any
) -> Proposal:
    """What a person proposes, in one transaction."""
    with desk.acting(by) as connection:
        words = {"reason_code": "data_correction", "reason": "same payment"} | words
        return propose(connection, SOURCES, exception_id, action, more=more, **words)


def approved(
    desk: Desk, proposal: Proposal, *, by: str = "bob", acts_from: date | None = None, note: str | None = None
) -> Proposal:
    """What another person approves, in one transaction."""
    with desk.acting(by) as connection:
        return judge(connection, proposal.proposal_id, "approved", acts_from=acts_from, note=note)


def rejected(desk: Desk, proposal: Proposal, *, by: str) -> Proposal:
    """What a person rejects or takes back, in one transaction."""
    with desk.acting(by) as connection:
        return judge(connection, proposal.proposal_id, "rejected", note="no")


def undone(desk: Desk, group_id: int, *, by: str = "carl") -> None:
    """A match taken apart."""
    with desk.acting(by) as connection:
        undo_match(connection, group_id, reason="data_correction", note="not the same")
