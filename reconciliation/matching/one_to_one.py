"""Passes ``exact`` and ``normalised``: one external line and one ledger line with equal signed amount and a shared
reference.

Demands equal account, asset and amount, at least one configured reference pair equal (as written, or normalised),
dates within the window, and that the pair is the only explanation of both. Refund and sale may share a reference:
their signs differ.
"""

import numpy as np

from reconciliation.matching import candidates, resolution
from reconciliation.matching.books import Books
from reconciliation.matching.candidates import Gate, Pairing, Units
from reconciliation.matching.columns import BoolArray, IntArray
from reconciliation.matching.counterparties import doubtful
from reconciliation.matching.proposals import (
    Membership,
    Outcome,
    Proposal,
    Sums,
    Undecided,
    explanation,
    undone_pairs,
)
from reconciliation.matching.resolution import Resolution
from reconciliation.sources import MatchPass


def pair_by_reference(
    books: Books,
    external_rows: IntArray,
    ledger_rows: IntArray,
    *,
    as_written: bool,
    rejected: frozenset[str],
    hold_doubtful: bool = False,
) -> Outcome:
    """Pairs among the open rows; ``as_written`` compares references as they are, otherwise normalised.

    ``hold_doubtful``: pairs whose counterparties speak strongly against them are left to be weighed later on.
    """
    match_pass: MatchPass = "exact" if as_written else "normalised"
    external = candidates.lines(books.external, external_rows)
    ledger = candidates.lines(books.ledger, ledger_rows)
    agreements = [books.agreement(pair, as_written=as_written) for pair in books.references]
    gate = line_gate(books, external, ledger, rejected, hold_doubtful=hold_doubtful)
    task = Pairing(books=books, external=external, ledger=ledger, match_pass=match_pass, gate=gate)
    decided = resolution.resolve(task, candidates.find(task, agreements))
    return Outcome(
        proposals=(_proposal(books, external, ledger, decided, match_pass),) if len(decided) else (),
        undecided=(undecided_lines(external, ledger, decided, match_pass),),
        limits=decided.limits,
    )


def line_gate(
    books: Books, external: Units, ledger: Units, rejected: frozenset[str], *, hold_doubtful: bool = False
) -> Gate:
    """Nothing that contradicts in an identifying column, and nothing that people took apart."""

    def admits(left: IntArray, right: IntArray) -> BoolArray:
        rows = external.rows[left], ledger.rows[right]
        admitted = ~books.contradicts(*rows)
        if hold_doubtful:  # a slip of the hand can turn a reference into somebody else's
            admitted &= ~doubtful(books, *rows)
        return admitted

    def undone(left: IntArray, right: IntArray) -> BoolArray:
        pair = Membership.single(external.rows[left]), Membership.single(ledger.rows[right])
        return undone_pairs(books, rejected, *pair, count=len(left))

    return Gate(admits=admits, undone=undone)


def undecided_lines(external: Units, ledger: Units, decided: Resolution, match_pass: str) -> Undecided:
    """The ambiguity of single lines, in rows."""
    found = decided.ambiguity
    return Undecided(
        match_pass=match_pass,
        external_rows=external.rows[found.external],
        ledger_rows=ledger.rows[found.ledger],
        component=found.component,
        reasons=found.reasons,
    )


def _proposal(books: Books, external: Units, ledger: Units, decided: Resolution, match_pass: str) -> Proposal:
    order = np.argsort(decided.external, kind="stable")
    left, right = decided.external[order], decided.ledger[order]
    ones = np.ones(len(left), dtype=np.int64)
    sums = Sums(
        external_minor=external.amount_minor[left],
        ledger_minor=ledger.amount_minor[right],
        external_date=external.business_date[left],
        ledger_date=ledger.business_date[right],
        external_count=ones,
        ledger_count=ones,
        twins_external=decided.twins_external[order],
        twins_ledger=decided.twins_ledger[order],
    )
    rows = external.rows[left], ledger.rows[right]
    evidence = explanation(
        books, match_pass, sums, external_rows=rows[0], ledger_rows=rows[1], pairs=books.references
    )
    no_fee = np.zeros(len(left), dtype=np.bool_)
    return Proposal(
        match_pass=match_pass,
        external=Membership.single(rows[0]),
        ledger=Membership.single(rows[1]),
        external_is_fee=no_fee,
        ledger_is_fee=no_fee,
        evidence=evidence,
    )
