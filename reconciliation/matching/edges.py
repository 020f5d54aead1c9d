"""Candidate pairs of rows that the weighed step decides on, and what their finders share: keys, bounds, the join.

Laws: a pair stands between items of one account and asset whose amounts have one sign, with dates within the window;
each pair is named once, with the strongest way in which its references relate; blocks are counted before they are
joined, and one that costs more than the bounds allow gives no pair and is named as a limit. Decides no match.

    external 0, 1      ledger 0, 1      0-1 NEAR, 0-1 IN_TEXT, 1-0 NO_REFERENCE   ->   0-1 IN_TEXT, 1-0 NO_REFERENCE
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np

from reconciliation.matching.books import Books
from reconciliation.matching.candidates import equal_pairs, limit_at
from reconciliation.matching.columns import BoolArray, IntArray
from reconciliation.matching.context import MatchContext
from reconciliation.matching.references import ABSENT
from reconciliation.matching.result import Limit
from reconciliation.sources import MatchLimits

NO_REFERENCE: Final = 0
NEAR: Final = 1  # one edit apart after normalising
LOST_PREFIX: Final = 2  # one is the end or the beginning of the other
IN_TEXT: Final = 3  # what the ledger knows stands as a word in a text of the external line
NORMALISED: Final = 4
EXACT: Final = 5

_SIMILARITIES: Final = 8  # room for the above in one integer with a pair

REFERENCE_LENGTH_MIN: Final = (
    6  # of a normalised reference; shorter ones are near too many others by accident
)

# pairs of one search, all its blocks together: sorting and weighing them takes some 100 bytes each
EDGES_MAX: Final = 5_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Edges:
    """Pairs of rows, parallel, ascending by (external, ledger), each once; ``similarity``: how references relate."""

    external: IntArray
    ledger: IntArray
    similarity: IntArray

    @classmethod
    def of(cls, external: IntArray, ledger: IntArray, similarity: IntArray) -> Self:
        """The pairs in order, of equal ones the strongest."""
        stride = int(ledger.max(initial=0)) + 1
        named = np.sort((external * stride + ledger) * _SIMILARITIES + similarity)
        pair = named // _SIMILARITIES
        strongest = np.ones(len(named), dtype=np.bool_)
        strongest[:-1] = pair[1:] != pair[:-1]
        pair = pair[strongest]
        return cls(external=pair // stride, ledger=pair % stride, similarity=named[strongest] % _SIMILARITIES)

    def __len__(self) -> int:
        return len(self.external)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyed:
    """Rows under integer keys, a row once for each of its keys; a negative key equals nothing."""

    rows: IntArray
    key: IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """In whose name blocks are limited, and how far. ``ledger_rows``: what one block may have of the ledger's side."""

    match_pass: str
    limits: MatchLimits
    ledger_rows: int | None = None


def merged(*edges: Edges) -> Edges:
    """All pairs, each with its strongest similarity."""
    nothing = np.empty(0, dtype=np.int64)
    return Edges.of(
        np.concatenate([nothing, *(part.external for part in edges)]),
        np.concatenate([nothing, *(part.ledger for part in edges)]),
        np.concatenate([nothing, *(part.similarity for part in edges)]),
    )


def money_codes(books: Books, external_rows: IntArray, ledger_rows: IntArray) -> tuple[IntArray, IntArray]:
    """Codes of (account, asset, sign of the amount); -1 for a ledger row in a purse that no external line is in."""
    left = books.external_purse[external_rows] * 3 + np.sign(books.external.amount_minor[external_rows]) + 1
    purse = books.ledger_purse[ledger_rows]
    right = purse * 3 + np.sign(books.ledger.amount_minor[ledger_rows]) + 1
    return left, np.where(purse == ABSENT, -1, right)


def within_window(books: Books, external_rows: IntArray, ledger_rows: IntArray) -> BoolArray:
    """Which pairs of rows lie at most the window's calendar days apart."""
    if books.window_days is None:
        return np.ones(len(external_rows), dtype=np.bool_)
    apart = np.abs(books.external.business_date[external_rows] - books.ledger.business_date[ledger_rows])
    return np.asarray(apart <= books.window_days, dtype=np.bool_)


def agreeing(books: Books, external_rows: IntArray, ledger_rows: IntArray) -> IntArray:
    """``EXACT`` or ``NORMALISED`` where a configured pair of references agrees, else ``NO_REFERENCE``."""
    result = np.full(len(external_rows), NO_REFERENCE, dtype=np.int64)
    for as_written, similarity in ((False, NORMALISED), (True, EXACT)):
        for pair in books.references:
            agreement = books.agreement(pair, as_written=as_written)
            code = agreement.external[external_rows]
            result[(code != ABSENT) & (code == agreement.ledger[ledger_rows])] = similarity
    return result


def business_day_numbers(context: MatchContext, days: IntArray) -> IntArray:
    """Places of dates among the business days, so that a difference is a lag; a closed date is the next open one."""
    if not len(context.business_days):
        return days
    return np.searchsorted(context.business_days, days, side="left").astype(np.int64)


def cap_for(sizes: IntArray, pairs_max: int, edges_max: int = EDGES_MAX) -> int:
    """Pairs a block may have: ``pairs_max``, or less, so that all blocks within it stay below ``edges_max``."""
    ascending = np.sort(sizes[sizes <= pairs_max])
    fitting = int(np.searchsorted(np.cumsum(ascending), edges_max, side="right"))
    return pairs_max if fitting == len(ascending) else int(ascending[fitting]) - 1


def places(keys: IntArray, known: IntArray) -> IntArray:
    """Where each key stands among the known ones; -1 for others."""
    if not len(known):
        return np.full(len(keys), -1, dtype=np.int64)
    place = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.where(known[place] == keys, place, -1)


def joined(
    books: Books, left: Keyed, right: Keyed, bound: Bound, name: Callable[[int], str]
) -> tuple[IntArray, IntArray, tuple[Limit, ...]]:
    """Pairs of rows with equal keys, without the blocks that are too large, each of which is a limit.

    ``name`` gives the shared value at a position of ``left``, for the limit.
    """
    both = np.intersect1d(left.key[left.key >= 0], right.key[right.key >= 0])
    codes = [places(side.key, both) for side in (left, right)]
    counts = [np.bincount(code[code >= 0], minlength=len(both)).astype(np.int64) for code in codes]
    sizes = counts[0] * counts[1]
    cap = cap_for(sizes, bound.limits.candidate_pairs)
    too_large = sizes > cap
    if bound.ledger_rows is not None:
        too_large |= counts[1] > bound.ledger_rows
    limits = []
    order = np.argsort(codes[0], kind="stable")
    ordered = codes[0][order]
    for block in np.flatnonzero(too_large):
        first = int(order[np.searchsorted(ordered, block)])
        found = limit_at(
            books,
            int(left.rows[first]),
            match_pass=bound.match_pass,
            what="block_too_large",
            counts=(int(counts[0][block]), int(counts[1][block])),
            limit=cap if sizes[block] > cap else int(bound.ledger_rows or cap),
        )
        limits.append(replace(found, reference=name(first)))
    kept = [np.where(np.append(too_large, True)[code], -1, code) for code in codes]
    at_left, at_right = equal_pairs(kept[0], kept[1])
    return left.rows[at_left], right.rows[at_right], tuple(limits)
