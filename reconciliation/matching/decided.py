"""Pass ``decision``: the matches that people made, before any pass of the engine's own.

Law: a decision holds for exactly the content it was made about. All its members are open, share account and asset, and
add up as they did, or it makes nothing and its lines are judged like any others. A difference that is not zero is
allowed only where a member's role (fee, fx, rounding) owns up to it. Who may decide is not known here.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np
import pyarrow as pa

from reconciliation.matching import json_text
from reconciliation.matching.books import Books, Side
from reconciliation.matching.columns import IntArray, kernel
from reconciliation.matching.context import ForcedGroup, ForcedMember, MatchContext
from reconciliation.matching.proposals import Membership, Outcome, Proposal, Sums, explanation

_NAME: Final = "decision"
_KEYS: Final = {"external": ("line_key", "version"), "ledger": ("entry_key", "line_no")}


def match_decided(
    books: Books, external_rows: IntArray, ledger_rows: IntArray, context: MatchContext
) -> Outcome:
    """The forced groups whose members are all open; of two that want one line, the first by its members."""
    if not context.forced:
        return Outcome()
    members = [member for group in context.forced for member in group.members]
    places = _places(books.external, external_rows, members) | _places(books.ledger, ledger_rows, members)
    taken: set[tuple[str, int]] = set()
    found = []
    for group in sorted(context.forced, key=_content):
        rows = [(member.side, places.get(_name(member), -1)) for member in group.members]
        if any(row < 0 or (side, row) in taken for side, row in rows) or not _sound(books, group, rows):
            continue
        taken.update(rows)
        found.append(_proposal(books, group, rows))
    return Outcome(proposals=tuple(found))


def _name(member: ForcedMember) -> tuple[str, str, int]:
    return member.side, member.key, member.number


def _content(group: ForcedGroup) -> tuple[tuple[str, str, int], ...]:
    return tuple(sorted(_name(member) for member in group.members))


def _places(side: Side, rows: IntArray, members: Iterable[ForcedMember]) -> dict[tuple[str, str, int], int]:
    """Open rows of the wanted items, by their names."""
    key, number = _KEYS[side.name]
    wanted = sorted({member.key for member in members if member.side == side.name})
    keys = side.column(key).take(pa.array(rows))
    at = np.flatnonzero(np.asarray(kernel.is_in(keys, value_set=pa.array(wanted, pa.string()))))
    numbers = side.column(number).take(pa.array(rows[at])).to_pylist()
    return {
        (side.name, text, int(count)): int(row)
        for text, count, row in zip(keys.take(pa.array(at)).to_pylist(), numbers, rows[at], strict=True)
    }


def _sound(books: Books, group: ForcedGroup, rows: list[tuple[str, int]]) -> bool:
    """Whether both sides have a part, all share one purse, and a difference is owned up to by a role."""
    sides = {"external": books.external, "ledger": books.ledger}
    purses = {
        tuple(sides[side].column(name)[row].as_py() for name in ("account", "asset")) for side, row in rows
    }
    difference_minor = sum(
        int(books.external.amount_minor[row]) if side == "external" else -int(books.ledger.amount_minor[row])
        for side, row in rows
    )
    owned = any(member.role != "principal" for member in group.members)
    both = len({side for side, _ in rows}) == len(sides)
    return len(purses) == 1 and both and (difference_minor == 0 or owned)


def _proposal(books: Books, group: ForcedGroup, rows: list[tuple[str, int]]) -> Proposal:
    sides = {name: sorted(row for side, row in rows if side == name) for name in ("external", "ledger")}
    external, ledger = (np.array(sides[name], dtype=np.int64) for name in ("external", "ledger"))
    roles = {row: member.role for row, member in zip(rows, group.members, strict=True)}
    residual = sorted({role for role in roles.values() if role != "principal"})
    sums = Sums(
        external_minor=books.external.amount_minor[external].sum(keepdims=True),
        ledger_minor=books.ledger.amount_minor[ledger].sum(keepdims=True),
        external_date=_latest(books.external.business_date[external]),
        ledger_date=_latest(books.ledger.business_date[ledger]),
        external_count=np.array([len(external)]),
        ledger_count=np.array([len(ledger)]),
        twins_external=np.ones(1, dtype=np.int64),
        twins_ledger=np.ones(1, dtype=np.int64),
    )
    extra = {
        "decided_by": json_text.lists(
            [json_text.quoted(pa.array([name], pa.string())) for name in group.decided_by], 1
        ),
        "reason": json_text.quoted(pa.array([group.reason], pa.string())),
    }
    evidence = explanation(
        books,
        _NAME,
        sums,
        external_rows=external[:1],
        ledger_rows=ledger[:1],
        pairs=books.references,
        extra=extra,
    )
    return Proposal(
        match_pass=_NAME,
        external=Membership(group=np.zeros(len(external), dtype=np.int64), rows=external),
        ledger=Membership(group=np.zeros(len(ledger), dtype=np.int64), rows=ledger),
        external_is_fee=np.array(
            [roles["external", row] != "principal" for row in external.tolist()], dtype=np.bool_
        ),
        ledger_is_fee=np.array(
            [roles["ledger", row] != "principal" for row in ledger.tolist()], dtype=np.bool_
        ),
        evidence=evidence,
        residual_role=residual[0] if residual else "fee",
        solutions=np.ones(1, dtype=np.int64),
    )


def _latest(days: IntArray) -> IntArray:
    return np.array([days.max(initial=0)], dtype=np.int64)
