"""Candidate edges between two sides: equal purse, equal amount, an agreeing reference, dates within the window.

Every join is an equality join of integers. A reference that one unit of either side carries needs no more than a look
at its two carriers; only what several share is keyed. Items that cannot be told apart (same content, same day) are
joined once, by the first of them, so a thousand twins cost one edge and not a million. A key that would still cost
more than ``CANDIDATE_PAIRS_MAX`` edges is left open and named as a limit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np

from reconciliation.matching.books import Agreement, Books, Side
from reconciliation.matching.columns import BoolArray, IntArray, distinct, ranks
from reconciliation.matching.references import ABSENT
from reconciliation.matching.result import Limit
from reconciliation.sources import EXTERNAL_REFERENCE_COLUMNS

CANDIDATE_PAIRS_MAX: Final = (
    250_000  # edges of one key; 1 000 x 250 lines of one reference and amount is no identification
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What may be paired at all. Both take parallel arrays of external and ledger unit numbers.

    ``admits``: nothing in the content speaks against the pair; the same for all twins. ``undone``: people took exactly
    this pair apart; a matter of the two items alone.
    """

    admits: Callable[[IntArray, IntArray], BoolArray]
    undone: Callable[[IntArray, IntArray], BoolArray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """What one side offers for pairing: lines, or bundles of lines standing for their sum. In canonical order.

    ``rows``: the item, or the first item of the bundle, whose references and content stand for the unit.
    ``content``: a code that tells bundles apart whose first lines look alike; None for single lines.
    """

    rows: IntArray
    amount_minor: IntArray
    business_date: IntArray
    content: IntArray | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def at(self, places: IntArray) -> Self:
        """The units at these places."""
        return replace(
            self,
            rows=self.rows[places],
            amount_minor=self.amount_minor[places],
            business_date=self.business_date[places],
            content=None if self.content is None else self.content[places],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """What is to be paired one to one: units of both sides, in the name of a pass, as far as the gate admits."""

    books: Books
    external: Units
    ledger: Units
    match_pass: str
    gate: Gate

    def within_window(self, left: IntArray, right: IntArray) -> BoolArray:
        """Which pairs of units lie at most ``window_days`` calendar days apart."""
        if self.books.window_days is None:
            return np.ones(len(left), dtype=np.bool_)
        apart = np.abs(self.external.business_date[left] - self.ledger.business_date[right])
        return np.asarray(apart <= self.books.window_days, dtype=np.bool_)

    def allows(self, left: IntArray, right: IntArray) -> BoolArray:
        """Which pairs of units, one by one, may be made: in the window, admitted, and not undone by people."""
        possible = self.within_window(left, right) & self.gate.admits(left, right)
        return np.asarray(possible & ~self.gate.undone(left, right), dtype=np.bool_)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Edges between representatives. ``external_cell[u]`` is the unit that stands for unit ``u``; itself if alone."""

    external_cell: IntArray
    ledger_cell: IntArray
    external: IntArray  # edge ends: unit numbers of representatives
    ledger: IntArray
    limits: tuple[Limit, ...]


def lines(side: Side, rows: IntArray) -> Units:
    """Single lines of a side as units."""
    return Units(rows=rows, amount_minor=side.amount_minor[rows], business_date=side.business_date[rows])


def find(task: Pairing, agreements: Sequence[Agreement]) -> Candidates:
    """Edges between units on which any of the agreements holds and that the gate lets through."""
    external, ledger = task.external, task.ledger
    stride = max(len(ledger), 1)
    shares = [_shared(task, agreement) for agreement in agreements]
    keys = _keys(task, [share for share in shares if len(share.left) and len(share.right)])
    external_crowded, ledger_crowded = _crowded(keys, len(external), len(ledger))
    external_cell = _cells(task.books, task.books.external, external, external_crowded)
    ledger_cell = _cells(task.books, task.books.ledger, ledger, ledger_crowded)
    limits: list[Limit] = []
    edges = [share.alone[0] * stride + share.alone[1] for share in shares if len(share.alone[0])]
    for key in keys:
        left = np.where(external_cell[key.left_at] == key.left_at, key.left, -1)
        right = np.where(ledger_cell[key.right_at] == key.right_at, key.right, -1)
        ends = equal_pairs(*_within_limit(task, replace(key, left=left, right=right), limits))
        if len(ends[0]):
            edges.append(key.left_at[ends[0]] * stride + key.right_at[ends[1]])
    edge = distinct(np.concatenate([np.empty(0, dtype=np.int64), *edges]))
    at_external, at_ledger = edge // stride, edge % stride
    keep = task.within_window(at_external, at_ledger) & task.gate.admits(at_external, at_ledger)
    at_external, at_ledger = at_external[keep], at_ledger[keep]
    sizes = [np.bincount(cell, minlength=1) for cell in (external_cell, ledger_cell)]
    single = sizes[0][at_external] * sizes[1][at_ledger] == 1
    keep = ~(single & task.gate.undone(at_external, at_ledger))
    return Candidates(
        external_cell=external_cell,
        ledger_cell=ledger_cell,
        external=at_external[keep],
        ledger=at_ledger[keep],
        limits=tuple(limits),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shared:
    """By one agreement: pairs of units whose reference nobody else carries, and the units that share one with others.

    ``alone`` are joined without further ado; only ``left`` and ``right`` need keys.
    """

    agreement: Agreement
    alone: tuple[IntArray, IntArray]
    left: IntArray
    right: IntArray


def _shared(task: Pairing, agreement: Agreement) -> _Shared:
    left, right = agreement.external[task.external.rows], agreement.ledger[task.ledger.rows]
    width = int(max(left.max(initial=ABSENT), right.max(initial=ABSENT))) + 1
    counts = [np.bincount(codes, minlength=width) for codes in (left, right)]
    for count in counts:
        count[ABSENT] = 0
    both = counts[0] * counts[1]
    carrier = np.empty(width, dtype=np.int64)
    carrier[right] = np.arange(len(right))
    at_left = np.flatnonzero((both == 1)[left])
    at_right = carrier[left[at_left]]
    same = task.external.amount_minor[at_left] == task.ledger.amount_minor[at_right]
    purses = task.books.external_purse, task.books.ledger_purse
    same &= purses[0][task.external.rows[at_left]] == purses[1][task.ledger.rows[at_right]]
    several = both > 1
    return _Shared(
        agreement=agreement,
        alone=(at_left[same], at_right[same]),
        left=np.flatnonzero(several[left]),
        right=np.flatnonzero(several[right]),
    )


def equal_pairs(left: IntArray, right: IntArray) -> tuple[IntArray, IntArray]:
    """All positions with equal keys, as parallel arrays; a negative key equals nothing."""
    right_at = np.flatnonzero(right >= 0)
    right_at = right_at[np.argsort(right[right_at], kind="stable")]
    ordered = right[right_at]
    first = np.searchsorted(ordered, left, side="left")
    count = np.where(left >= 0, np.searchsorted(ordered, left, side="right") - first, 0)
    at_left = np.repeat(np.arange(len(left)), count)
    return at_left, right_at[counted_up(first, count)]


def counted_up(first: IntArray, count: IntArray) -> IntArray:
    """For each position ``first, first + 1, …`` up to ``count`` numbers, one after the other."""
    ends = np.cumsum(count)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) - np.repeat(ends - count - first, count)


def combined(*codes: IntArray) -> IntArray:
    """One code per distinct row of parallel integer arrays."""
    result = ranks(codes[0])
    for code in codes[1:]:
        dense = ranks(code)
        width = int(dense.max(initial=0)) + 1
        result = ranks(result * width + dense)
    return result


@dataclass(frozen=True, slots=True, kw_only=True)
class _Keys:
    """Dense codes of (reference, purse, amount) of the units at these places; -1 where one side alone has it."""

    left_at: IntArray
    right_at: IntArray
    left: IntArray
    right: IntArray


def _money(books: Books, external: Units, ledger: Units) -> tuple[IntArray, IntArray]:
    """Codes of (purse, amount), equal on both sides when they agree; -1 for ledger units no external one equals."""
    amounts = distinct(external.amount_minor)
    if not len(amounts):
        return np.empty(0, dtype=np.int64), np.full(len(ledger), -1, dtype=np.int64)
    place = np.minimum(np.searchsorted(amounts, ledger.amount_minor), len(amounts) - 1)
    purse = books.ledger_purse[ledger.rows]
    known = (amounts[place] == ledger.amount_minor) & (purse != ABSENT)
    external_amount = np.searchsorted(amounts, external.amount_minor)
    external_money = books.external_purse[external.rows] * len(amounts) + external_amount
    return external_money, np.where(known, purse * len(amounts) + place, -1)


def _keys(task: Pairing, shares: Sequence[_Shared]) -> list[_Keys]:
    found = []
    for share in shares:
        external, ledger = task.external.at(share.left), task.ledger.at(share.right)
        money = _money(task.books, external, ledger)
        width = int(money[0].max(initial=0)) + 1
        left = share.agreement.external[external.rows] * width + money[0]
        right = np.where(money[1] >= 0, share.agreement.ledger[ledger.rows] * width + money[1], -1)
        known = distinct(left)
        both = known[np.isin(known, distinct(right))]
        keys = _Keys(
            left_at=share.left, right_at=share.right, left=_dense(left, both), right=_dense(right, both)
        )
        found.append(keys)
    return found


def _dense(keys: IntArray, known: IntArray) -> IntArray:
    if not len(known):
        return np.full(len(keys), -1, dtype=np.int64)
    place = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.where(known[place] == keys, place, -1)


def _crowded(keys: list[_Keys], external: int, ledger: int) -> tuple[BoolArray, BoolArray]:
    """Units that share a key with others of their own side, or meet several of the other side."""
    left_crowded = np.zeros(external, dtype=np.bool_)
    right_crowded = np.zeros(ledger, dtype=np.bool_)
    for key in keys:
        many = np.append(_pair_counts(key.left, key.right) > 1, False)
        left_crowded[key.left_at] |= many[key.left]
        right_crowded[key.right_at] |= many[key.right]
    return left_crowded, right_crowded


def _pair_counts(left: IntArray, right: IntArray) -> IntArray:
    size = int(max(left.max(initial=-1), right.max(initial=-1))) + 1
    counted = [np.bincount(side[side >= 0], minlength=size).astype(np.int64) for side in (left, right)]
    return counted[0] * counted[1]


def _cells(books: Books, side: Side, units: Units, crowded: BoolArray) -> IntArray:
    """For each unit the first crowded unit with the same content and day; itself where it is not crowded."""
    cell = np.arange(len(units), dtype=np.int64)
    at = np.flatnonzero(crowded)
    if not len(at):
        return cell
    rows = units.rows[at]
    codes = [units.amount_minor[at], units.business_date[at], _purses(books, side)[rows]]
    if units.content is not None:
        codes.append(units.content[at])
    told = told_by_content(books, side, combined(*codes), rows)
    first, inverse = np.unique(told, return_index=True, return_inverse=True)[1:]
    cell[at] = at[first[inverse]]
    return cell


def told_by_content(books: Books, side: Side, codes: IntArray, rows: IntArray) -> IntArray:
    """The codes of these rows, refined so that they are equal only where nothing in the content differs either.

    Only rows that still share a code are looked at, so the more columns there are, the fewer rows.
    """
    result = ranks(codes)
    at = np.arange(len(rows))
    for name in telling_columns(books, side):
        at = at[(np.bincount(result, minlength=1) > 1)[result[at]]]
        if not len(at):
            break
        fine = combined(result[at], side.content_codes(name, rows[at]))
        result[at] = fine + int(result.max()) + 1
    return ranks(result)


def telling_columns(books: Books, side: Side) -> tuple[str, ...]:
    """Columns that tell two items of a side apart, beside account, asset, amount and date."""
    answerable = (name for name in EXTERNAL_REFERENCE_COLUMNS if _is_answerable(books, side, name))
    return (*side.content, *answerable)


def _purses(books: Books, side: Side) -> IntArray:
    return books.external_purse if side is books.external else books.ledger_purse


def _is_answerable(books: Books, side: Side, name: str) -> bool:
    """Whether the other side holds anything that this reference could agree or disagree with."""
    other = books.ledger if side is books.external else books.external
    return any(
        other.reference(partner).null_count < len(other)
        for partner in partners(books, name, of_external=side is books.external)
    )


def partners(books: Books, name: str, *, of_external: bool) -> tuple[str, ...]:
    """Columns of the other side that a reference column is compared with: the configured ones and its namesake."""
    if of_external:
        configured = [pair.ledger for pair in books.references if pair.external == name]
    else:
        configured = [pair.external for pair in books.references if pair.ledger == name]
    return tuple(dict.fromkeys((*configured, name)))


def _within_limit(task: Pairing, key: _Keys, limits: list[Limit]) -> tuple[IntArray, IntArray]:
    """The keys without those that cost too many edges, each of which is named in ``limits``."""
    too_many = np.flatnonzero(_pair_counts(key.left, key.right) > CANDIDATE_PAIRS_MAX)
    for code in too_many:
        members = key.left_at[key.left == code]
        found = limit_at(
            task.books,
            int(task.external.rows[members[0]]),
            match_pass=task.match_pass,
            what="candidate_pairs",
            counts=(len(members), int((key.right == code).sum())),
            limit=CANDIDATE_PAIRS_MAX,
        )
        limits.append(found)
    return (
        np.where(np.isin(key.left, too_many), -1, key.left),
        np.where(np.isin(key.right, too_many), -1, key.right),
    )


def limit_at(
    books: Books, row: int, *, match_pass: str, what: str, counts: tuple[int, int], limit: int
) -> Limit:
    """A limit met around this external row; ``counts``: items of either side."""
    names = dict.fromkeys((*(pair.external for pair in books.references), "batch_ref"))
    values = [books.external.reference(name)[row].as_py() for name in names]
    return Limit(
        match_pass=match_pass,
        what=what,
        account=books.external.column("account")[row].as_py(),
        asset=books.external.column("asset")[row].as_py(),
        reference=next((value for value in values if value), ""),
        external_count=counts[0],
        ledger_count=counts[1],
        limit=limit,
    )
