"""Pass ``declared_group``: a batch both sides name. All open external lines of it against all open ledger lines of it.

Matched only if the complete open sums tie, or tie less the fee the external lines declare; a partial sum is never
searched for. A batch is known by ``batch_ref`` on both sides, and by each configured reference pair with
``batch_ref`` on one side (a bank books a collection under an end-to-end id that our lines carry as their batch).

    bank entry 295.00, batch B     ledger lines 100.00 + 120.00 + 75.00, batch B      one group of four
    bank entry 294.00, fee 1.00    the same ledger lines                              one group, difference -1.00
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from reconciliation.matching import bundles, candidates, json_text
from reconciliation.matching.books import Agreement, Books
from reconciliation.matching.columns import BoolArray, IntArray
from reconciliation.matching.proposals import Membership, Outcome, Proposal, Sums, explanation, undone_pairs
from reconciliation.matching.references import ABSENT
from reconciliation.sources import MatchRules, ReferencePair

_NAME: Final = "declared_group"


def declared_pairs(rules: MatchRules) -> tuple[ReferencePair, ...]:
    """The pairs of columns by which either side may name a batch."""
    batch = ReferencePair(external="batch_ref", ledger="batch_ref")
    configured = (pair for pair in rules.references if "batch_ref" in (pair.external, pair.ledger))
    return tuple(dict.fromkeys((batch, *configured)))


@dataclass(frozen=True, slots=True)
class _Batches:
    """Batches named on both sides, with their open rows and sums."""

    external: Membership
    ledger: Membership
    external_minor: npt.NDArray[Any]
    ledger_minor: npt.NDArray[Any]
    fee_minor: npt.NDArray[Any]
    external_date: IntArray
    ledger_date: IntArray

    def __len__(self) -> int:
        return len(self.external_minor)


def match_declared_groups(
    books: Books,
    external_rows: IntArray,
    ledger_rows: IntArray,
    pair: ReferencePair,
    *,
    rules: MatchRules,
    rejected: frozenset[str],
) -> Outcome:
    """Batches whose complete open sums tie, named through one pair of columns."""
    batches = _batches(books, books.agreement(pair, as_written=False), external_rows, ledger_rows)
    count = len(batches)
    if not count:
        return Outcome()
    external_size, ledger_size = batches.external.sizes(count), batches.ledger.sizes(count)
    apart = np.abs(batches.external_date - batches.ledger_date)
    near = apart <= (rules.window_days if books.window_days is None else books.window_days)
    too_large = external_size + ledger_size > rules.group_size_max
    limits = tuple(
        candidates.limit_at(
            books,
            int(batches.external.rows[batches.external.group == at][0]),
            match_pass=_NAME,
            what="group_size",
            counts=(int(external_size[at]), int(ledger_size[at])),
            limit=rules.group_size_max,
        )
        for at in np.flatnonzero(too_large)
    )
    equal = batches.external_minor == batches.ledger_minor
    less_fee = batches.external_minor + batches.fee_minor == batches.ledger_minor
    keep = np.asarray((equal | less_fee) & near & ~too_large, dtype=np.bool_) & ~_contradicts(books, batches)
    tied = _only(batches, keep)
    undone = undone_pairs(books, rejected, tied.external, tied.ledger, count=len(tied))
    tied = _only(tied, ~undone)
    return Outcome(proposals=(_proposal(books, pair, tied),) if len(tied) else (), limits=limits)


def _batches(books: Books, agreement: Agreement, external_rows: IntArray, ledger_rows: IntArray) -> _Batches:
    width = int(max(books.external_purse.max(initial=0), books.ledger_purse.max(initial=0))) + 1
    sides = []
    for codes, purse, rows in (
        (agreement.external, books.external_purse, external_rows),
        (agreement.ledger, books.ledger_purse, ledger_rows),
    ):
        named = rows[(codes[rows] != ABSENT) & (purse[rows] != ABSENT)]
        sides.append((named, codes[named] * width + purse[named]))
    both = np.intersect1d(sides[0][1], sides[1][1])
    members = [_membership(rows, keys, both) for rows, keys in sides]
    starts = [np.searchsorted(member.group, np.arange(len(both))) for member in members]
    external_rows, ledger_rows = (member.rows for member in members)
    return _Batches(
        external=members[0],
        ledger=members[1],
        external_minor=bundles.sums(books.external.amount_minor[external_rows], starts[0]),
        ledger_minor=bundles.sums(books.ledger.amount_minor[ledger_rows], starts[1]),
        fee_minor=bundles.sums(books.external.integers("fee_minor")[external_rows], starts[0]),
        external_date=_latest(books.external.business_date[external_rows], starts[0]),
        ledger_date=_latest(books.ledger.business_date[ledger_rows], starts[1]),
    )


def _membership(rows: IntArray, keys: IntArray, both: IntArray) -> Membership:
    at = np.isin(keys, both)
    group = np.searchsorted(both, keys[at])
    order = np.argsort(group, kind="stable")
    return Membership(group=group[order], rows=rows[at][order])


def _latest(days: IntArray, starts: IntArray) -> IntArray:
    return np.maximum.reduceat(days, starts) if len(starts) else np.empty(0, dtype=np.int64)


def _contradicts(books: Books, batches: _Batches) -> BoolArray:
    """Batches in which every item of both sides carries its own identifying reference, and none is shared.

    Such items name each other's absence: a sale we lack and a sale they lack may sum alike by chance.
    """
    found = np.zeros(len(batches), dtype=np.bool_)
    for column in books.own_name_columns():
        if column == "batch_ref":
            continue
        agreement, sound_external, sound_ledger = books.well_formed(column)
        external, ledger = batches.external, batches.ledger
        blank = np.bincount(external.group[~sound_external[external.rows]], minlength=len(batches))
        blank += np.bincount(ledger.group[~sound_ledger[ledger.rows]], minlength=len(batches))
        width = int(agreement.external.max(initial=0)) + 1
        shared = np.intersect1d(
            external.group * width + agreement.external[external.rows],
            (ledger.group * width + agreement.ledger[ledger.rows])[agreement.ledger[ledger.rows] != ABSENT],
        )
        has_shared = np.bincount(shared // width, minlength=len(batches)) > 0
        found |= (blank == 0) & ~has_shared
    return found


def _only(batches: _Batches, keep: BoolArray) -> _Batches:
    return _Batches(
        external=batches.external.only(keep),
        ledger=batches.ledger.only(keep),
        external_minor=batches.external_minor[keep],
        ledger_minor=batches.ledger_minor[keep],
        fee_minor=batches.fee_minor[keep],
        external_date=batches.external_date[keep],
        ledger_date=batches.ledger_date[keep],
    )


def _proposal(books: Books, pair: ReferencePair, batches: _Batches) -> Proposal:
    count = len(batches)
    ones = np.ones(count, dtype=np.int64)
    first = [
        member.rows[np.searchsorted(member.group, np.arange(count))]
        for member in (batches.external, batches.ledger)
    ]
    order = np.argsort(
        first[0], kind="stable"
    )  # the canonical order, which the codes of references know nothing of
    sums = Sums(
        external_minor=batches.external_minor.astype(np.int64),
        ledger_minor=batches.ledger_minor.astype(np.int64),
        external_date=batches.external_date,
        ledger_date=batches.ledger_date,
        external_count=batches.external.sizes(count),
        ledger_count=batches.ledger.sizes(count),
        twins_external=ones,
        twins_ledger=ones,
    )
    fee = json_text.objects({"declared_minor": json_text.numbers(batches.fee_minor.astype(np.int64))})
    evidence = explanation(
        books, _NAME, sums, external_rows=first[0], ledger_rows=first[1], pairs=[pair], fee=fee
    )
    external, ledger = _reordered(batches.external, order), _reordered(batches.ledger, order)
    short = (sums.external_minor != sums.ledger_minor)[order]
    kept_back = books.external.integers("fee_minor")[external.rows] != 0
    return Proposal(
        match_pass=_NAME,
        external=external,
        ledger=ledger,
        external_is_fee=short[external.group] & kept_back,
        ledger_is_fee=bundles.is_fee_kind(books.ledger)[ledger.rows],
        evidence=evidence.take(order),
    )


def _reordered(members: Membership, order: IntArray) -> Membership:
    """The same groups, numbered by their place in ``order``."""
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    group = place[members.group]
    at = np.argsort(group, kind="stable")
    return Membership(group=group[at], rows=members.rows[at])
