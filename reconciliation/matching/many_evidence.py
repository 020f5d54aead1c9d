"""How a division of several lines and several members is told: suggestions, with what was proved. Decides nothing."""

import json
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from reconciliation.matching import json_text
from reconciliation.matching.books import Books
from reconciliation.matching.bundles import is_fee_kind
from reconciliation.matching.columns import IntArray
from reconciliation.matching.proposals import Membership, Proposal, Sums, explanation

_NAME: Final = "many_to_many"


@dataclass(frozen=True, slots=True, kw_only=True)
class Division:
    """Groups of (external rows, ledger rows) of one set. ``considered``: groups of equal sums chosen among."""

    groups: tuple[tuple[IntArray, IntArray], ...]
    external_count: int
    ledger_count: int
    considered: int
    proof: str
    is_cut: bool


def suggestion(books: Books, division: Division) -> Proposal:
    """The groups of a division as suggestions."""
    external, ledger = (_membership([group[side] for group in division.groups]) for side in (0, 1))
    count = len(division.groups)
    ones = np.ones(count, dtype=np.int64)
    starts = [np.searchsorted(side.group, np.arange(count)) for side in (external, ledger)]
    days = books.external.business_date, books.ledger.business_date
    sums = Sums(
        external_minor=np.add.reduceat(books.external.amount_minor[external.rows], starts[0]),
        ledger_minor=np.add.reduceat(books.ledger.amount_minor[ledger.rows], starts[1]),
        external_date=np.maximum.reduceat(days[0][external.rows], starts[0]),
        ledger_date=np.maximum.reduceat(days[1][ledger.rows], starts[1]),
        external_count=external.sizes(count),
        ledger_count=ledger.sizes(count),
        twins_external=ones,
        twins_ledger=ones,
    )
    evidence = explanation(
        books,
        _NAME,
        sums,
        external_rows=external.rows[starts[0]],
        ledger_rows=ledger.rows[starts[1]],
        pairs=[],
        extra={
            "alternatives": pa.array(["[]"] * count, pa.string()),
            "search": pa.array([_searched(division)] * count, pa.string()),
            "why_not_automatic": json_text.quoted(pa.array([_why(division)] * count, pa.string())),
        },
    )
    return Proposal(
        match_pass=_NAME,
        external=external,
        ledger=ledger,
        external_is_fee=np.zeros(len(external.rows), dtype=np.bool_),
        ledger_is_fee=is_fee_kind(books.ledger)[ledger.rows],
        evidence=evidence,
    )


def _membership(groups: list[IntArray]) -> Membership:
    sizes = [len(rows) for rows in groups]
    return Membership(group=np.repeat(np.arange(len(groups)), sizes), rows=np.concatenate(groups))


def _searched(division: Division) -> str:
    told = {
        "candidates": division.external_count + division.ledger_count,
        "considered": division.considered,
        "is_cut": division.is_cut,
        "proof": division.proof,
        "step": _NAME,
    }
    return json.dumps(told, sort_keys=True, separators=(",", ":"))


def _why(division: Division) -> str:
    """Why people decide, with what is known of the division."""
    of = f"{division.external_count} lines and {division.ledger_count} members"
    among = " among the smaller groups" if division.is_cut else ""
    proved = (
        "is proved to leave the fewest open" if division.proof == "optimal" else "is the best that was found"
    )
    return f"which of {of} belong together is for people to say; this division {proved}{among}"
