"""What speaks for a pair of rows, in bits: how much likelier it is that one movement left both than that chance did.

    amount        12.34, on 3 of 50 000 ledger lines besides its twins    14.024
    reference     one slip apart, among 20 000 references                 12.288, less where many are that near
    lag           2 business days, which 60 of 100 take                    3.170 in a window of 15
    counterparty  "J SMITH" for "John Smith"                               4.907, as these books have taught

Every feature is an integer of thousandths of a bit, clipped, and kept beside the total. Laws: what is absent is zero;
two well-formed, different values where both sides carry one are a veto; sums are sums of integers. A pair is held
against its rivals: the open lines of the other side, in its account and window, that chance could have met as well.
Decides no match.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from rapidfuzz import process
from rapidfuzz.distance import OSA

from reconciliation.matching import fees
from reconciliation.matching.books import Books
from reconciliation.matching.candidates import combined, told_by_content
from reconciliation.matching.columns import BoolArray, IntArray, flags, kernel
from reconciliation.matching.context import MatchContext
from reconciliation.matching.counterparties import counterparty_millibits, joined_by_reference
from reconciliation.matching.edges import (
    IN_TEXT,
    LOST_PREFIX,
    NEAR,
    NO_REFERENCE,
    Edges,
    business_day_numbers,
)
from reconciliation.matching.references import ABSENT
from reconciliation.matching.same_numbers import numbers_of
from reconciliation.sources import FeeSchedule

SEEN_ONCE: Final = 1_024  # what is seen once counts as one in this many at least: small books prove little
PRICED_ONCE: Final = (
    64  # of an amount that ends as prices do: it is not rare only because a small book has it once
)
_PRICE_ENDINGS: Final = np.array([0, 50, 80, 90, 95, 98, 99])
DIFFERENT_AMOUNT_MILLIBITS: Final = -10_000
NET_OF_FEE_MILLIBITS: Final = (
    -1_000
)  # a schedule predicts it to a minor unit, not quite as sharply as equality

EQUAL_AMOUNT: Final = 0
NET_AMOUNT: Final = 1
OTHER_AMOUNT: Final = 2

# One true pair in so many, as a power of two, has its reference in this state rather than intact.
_RARER_MILLIBITS: Final = {NEAR: 2_000, LOST_PREFIX: 2_000, IN_TEXT: 2_000}
_PRESENCE_CLIP_MILLIBITS: Final = 5_000  # one line in 32 may have no partner, however good the others are
_LAG_CLIP_MILLIBITS: Final = 8_000
_LAG_PRIOR_COUNT: Final = 20  # confirmed pairs that the agreed lag counts for
_LAG_SHARES: Final = (8.0, 4.0, 1.0, 0.05)  # as expected, as agreed, booked late by us, none of these
_DAYS_WITHOUT_WINDOW: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Millibits of each feature per pair; ``rivals``: the logarithm of how many lines chance could have met.

    ``presence``: how sure it is, before anything of the pair is seen, that the external line has a partner at all.
    """

    amount: IntArray
    reference: IntArray
    lag: IntArray
    counterparty: IntArray
    rivals: IntArray
    presence: IntArray
    amount_is: IntArray  # EQUAL_AMOUNT, NET_AMOUNT, OTHER_AMOUNT

    @property
    def total(self) -> IntArray:
        return self.amount + self.reference + self.lag + self.counterparty

    def only(self, keep: BoolArray | IntArray) -> "Scores":
        """The scores of the kept pairs."""
        return Scores(**{name: getattr(self, name)[keep] for name in self.__slots__})


def score(
    books: Books,
    edges: Edges,
    external_rows: IntArray,
    ledger_rows: IntArray,
    *,
    context: MatchContext,
    schedules: Sequence[FeeSchedule],
) -> Scores:
    """Bits of every pair; ``*_rows`` are what is open, in canonical order."""
    left, right = edges.external, edges.ledger
    amount_is = _amount_is(books, left, right, schedules)
    twins = _ledger_twins(books)[right]
    unknown = np.zeros(len(edges), dtype=np.int64)
    of_the_pair = Scores(
        amount=_amount(books, right, amount_is, twins),
        reference=unknown,
        lag=_lag(books, left, right, context),
        counterparty=counterparty_millibits(books, left, right, twins),
        rivals=unknown,
        presence=unknown,
        amount_is=amount_is,
    )
    return held_against(books, edges, of_the_pair, external_rows, ledger_rows, context=context)


def held_against(
    books: Books,
    edges: Edges,
    scores: Scores,
    external_rows: IntArray,
    ledger_rows: IntArray,
    *,
    context: MatchContext,
) -> Scores:
    """The scores anew where they depend on what is still open: rivals, presence, and what is near by accident."""
    rivals = rivals_of(books, external_rows, ledger_rows)
    return replace(
        scores,
        reference=_reference(books, edges, _ledger_twins(books)[edges.ledger], int(rivals.sum())),
        rivals=millibits(rivals[np.searchsorted(external_rows, edges.external)]),
        presence=_presence(books, external_rows, context)[edges.external],
    )


def millibits(times: IntArray | npt.NDArray[np.float64]) -> IntArray:
    """Thousandths of the binary logarithm, rounded half up; of less than one, zero where counts are meant."""
    return np.floor(1_000 * np.log2(np.maximum(times, 1e-12)) + 0.5).astype(np.int64)


def rivals_of(books: Books, external_rows: IntArray, ledger_rows: IntArray) -> IntArray:
    """For each open external row the open ledger rows of its purse within the window, one at least."""
    days = _DAYS_WITHOUT_WINDOW if books.window_days is None else books.window_days
    ours, theirs = books.ledger.business_date[ledger_rows], books.external.business_date[external_rows]
    first = int(min(ours.min(initial=0), theirs.min(initial=0))) - days
    width = int(max(ours.max(initial=0), theirs.max(initial=0))) + days + 1 - first
    keys = np.sort(books.ledger_purse[ledger_rows] * width + ours - first)
    wanted = books.external_purse[external_rows] * width + theirs - first
    found = np.searchsorted(keys, wanted + days, side="right") - np.searchsorted(keys, wanted - days)
    return np.asarray(np.maximum(found, 1), dtype=np.int64)


def _presence(books: Books, external_rows: IntArray, context: MatchContext) -> IntArray:
    """Per external row: of the lines that carry a reference so many found their partner, and so one that carries none
    most likely has one too. A line whose reference found nobody gets no such credit. What days before confirmed counts
    among the found, and then what they left open counts among the open.
    """
    before = sum(often for _, often in context.lag_counts)
    carries = np.zeros(len(books.external), dtype=np.bool_)
    for pair in books.references:
        values, answers = books.external.reference(pair.external), books.ledger.reference(pair.ledger)
        if "batch_ref" not in (pair.external, pair.ledger) and answers.null_count < len(answers):
            carries |= flags(kernel.is_valid(values))
    # a day of which most is open is a day whose found lines are here no more
    day = books.external.business_date - books.external.business_date.min(initial=0)
    of_day = np.bincount(day[carries], minlength=1)
    open_of_day = np.bincount(day[external_rows[carries[external_rows]]], minlength=len(of_day))
    telling = 2 * open_of_day <= of_day if before == 0 else open_of_day > -1
    still_open = int(open_of_day[telling].sum())
    found = before + int(of_day[telling].sum()) - still_open
    credit = int(millibits(np.array([(found + 1) / (still_open + 1)]))[0])
    return np.where(carries, 0, min(max(credit, 0), _PRESENCE_CLIP_MILLIBITS))


def vetoed(books: Books, edges: Edges) -> BoolArray:
    """Pairs with two well-formed, different values where both sides carry one.

    A value one slip away or cut short is no other value, and a ledger's reference that stands in the line's text
    outweighs what stands in its field.
    """
    left, right = edges.external, edges.ledger
    found = np.zeros(len(left), dtype=np.bool_)
    for column in books.own_name_columns():
        agreement, sound_external, sound_ledger = books.well_formed(column)
        differs = sound_external[left] & sound_ledger[right]
        differs &= agreement.external[left] != agreement.ledger[right]
        excusable = (edges.similarity == NEAR) | (edges.similarity == LOST_PREFIX)
        at = np.flatnonzero(differs & excusable)
        differs[at] = ~_nearly_equal(books, column, left[at], right[at])
        found |= differs & (edges.similarity != IN_TEXT)
    return found


def _nearly_equal(books: Books, column: str, external_rows: IntArray, ledger_rows: IntArray) -> BoolArray:
    """Pairs whose values in this column are one slip apart, one a part of the other, or one number twice."""
    ours = books.ledger.normalised_at(column, ledger_rows).to_pylist()
    theirs = books.external.normalised_at(column, external_rows).to_pylist()
    if not ours:
        return np.zeros(0, dtype=np.bool_)
    one_edit = process.cpdist(theirs, ours, scorer=OSA.distance, score_cutoff=1, workers=1) <= 1
    cut = [_is_cut(left[1:], right[1:]) for left, right in zip(theirs, ours, strict=True)]
    same_number = kernel.equal(
        numbers_of(books.external, column, external_rows), numbers_of(books.ledger, column, ledger_rows)
    )
    return np.asarray(one_edit | np.array(cut, dtype=np.bool_) | flags(same_number), dtype=np.bool_)


def _is_cut(left: str, right: str) -> bool:
    short, whole = sorted((left, right), key=len)
    return whole.startswith(short) or whole.endswith(short)


def _amount_is(
    books: Books, external_rows: IntArray, ledger_rows: IntArray, schedules: Sequence[FeeSchedule]
) -> IntArray:
    """Whether the amounts are equal, or what a schedule leaves of the ledger's, or neither."""
    paid, booked = books.external.amount_minor[external_rows], books.ledger.amount_minor[ledger_rows]
    result = np.where(paid == booked, EQUAL_AMOUNT, OTHER_AMOUNT)
    if schedules:
        declared = books.external.integers("fee_minor")[external_rows]
        predicted = net_fee(books, external_rows, ledger_rows, schedules)
        explained = fees.explains(schedules, predicted, booked - paid)
        explained &= (declared == 0) | (declared == booked - paid)
        result[explained & (paid != booked) & (np.sign(paid) == np.sign(booked))] = NET_AMOUNT
    return result


def net_fee(
    books: Books, external_rows: IntArray, ledger_rows: IntArray, schedules: Sequence[FeeSchedule]
) -> fees.ScheduledFee:
    """What the ledger's gross should have cost, by the version of the schedule on the ledger's day."""
    at = pa.array(external_rows)
    return fees.scheduled_fee(
        schedules,
        asset=books.external.column("asset").take(at),
        kind=books.external.column("kind").take(at),
        days=books.ledger.business_date[ledger_rows],
        gross_minor=books.ledger.amount_minor[ledger_rows],
    )


def _amount(books: Books, ledger_rows: IntArray, amount_is: IntArray, twins: IntArray) -> IntArray:
    """By the share of this amount among the lines in play of the purse, the pair's own and its twins left out."""
    counts = books.kept("amount counts", lambda: _amount_counts(books))
    size = np.where(
        np.isin(books.ledger.amount_minor[ledger_rows] % 100, _PRICE_ENDINGS), PRICED_ONCE, SEEN_ONCE
    )
    bits = _rarity(counts[0][ledger_rows] - twins, counts[1][ledger_rows], size)
    bits = bits + np.where(amount_is == NET_AMOUNT, NET_OF_FEE_MILLIBITS, 0)
    return np.where(amount_is == OTHER_AMOUNT, DIFFERENT_AMOUNT_MILLIBITS, np.maximum(bits, 0))


def _amount_counts(books: Books) -> tuple[IntArray, IntArray]:
    """For each ledger row: lines of its purse with its amount, lines of its purse."""
    money = combined(books.ledger_purse, books.ledger.amount_minor)
    return np.bincount(money)[money], np.bincount(books.ledger_purse)[books.ledger_purse]


def _rarity(others: IntArray, population: IntArray, at_least: int | IntArray = SEEN_ONCE) -> IntArray:
    """Millibits of an agreement that so many others of a population, of ``at_least`` so many, would show as well."""
    share = np.maximum(others, 0) / np.maximum(population, 1) + 1 / np.maximum(population, at_least)
    return millibits(1 / share)


def _ledger_twins(books: Books) -> IntArray:
    """For each ledger row how many lines, with itself, nothing tells apart from it."""
    return books.kept("ledger twins", lambda: _count_twins(books))


def _count_twins(books: Books) -> IntArray:
    side = books.ledger
    rows = np.arange(len(side))
    twins = combined(books.ledger_purse, side.amount_minor, side.business_date)
    crowded = np.flatnonzero(np.bincount(twins, minlength=1)[twins] > 1)
    result = np.ones(len(side), dtype=np.int64)
    if len(crowded):
        fine = told_by_content(books, side, twins[crowded], rows[crowded])
        result[crowded] = np.bincount(fine)[fine]
    return result


def _reference(books: Books, edges: Edges, twins: IntArray, chances: int) -> IntArray:
    """By how many lines share the reference where it agrees; where it is only like, by how many are like by chance.

    ``chances``: pairs of an open line with any of its rivals.
    """
    result = np.zeros(len(edges), dtype=np.int64)
    population = 0
    for pair in books.references:
        agreement = books.agreement(pair, as_written=False)
        known = int(len(books.ledger) - books.ledger.reference(pair.ledger).null_count)
        population = max(population, known)
        code = agreement.external[edges.external]
        at = np.flatnonzero((code != ABSENT) & (code == agreement.ledger[edges.ledger]))
        count = np.bincount(agreement.ledger)[code[at]]
        bits = _rarity(count - twins[at], np.full(len(at), known, dtype=np.int64))
        result[at] = np.maximum(result[at], bits)
    for similarity, rarer in _RARER_MILLIBITS.items():
        at = edges.similarity == similarity
        accidental = int(at.sum()) - len(np.unique(edges.external[at]))
        share = accidental / max(chances, 1) + 1 / max(population, SEEN_ONCE)
        result[at] = max(int(millibits(np.array([1 / share]))[0]) - rarer, 0)
    result[edges.similarity == NO_REFERENCE] = 0
    return result


def _lag(books: Books, external_rows: IntArray, ledger_rows: IntArray, context: MatchContext) -> IntArray:
    lags = _lags(books, external_rows, ledger_rows, context)
    own = _lags(books, *joined_by_reference(books), context)
    values, counts = np.unique(own, return_counts=True)
    seen = (*context.lag_counts, *zip(values.tolist(), counts.tolist(), strict=True))
    window_days = _DAYS_WITHOUT_WINDOW if books.window_days is None else books.window_days
    return lag_millibits(lags, replace(context, lag_counts=seen), window_days)


def _lags(books: Books, external_rows: IntArray, ledger_rows: IntArray, context: MatchContext) -> IntArray:
    """Business days from the ledger's to the external line."""
    days = books.external.business_date[external_rows], books.ledger.business_date[ledger_rows]
    numbers = [business_day_numbers(context, of) for of in days]
    return numbers[0] - numbers[1]


def lag_millibits(lags: IntArray, context: MatchContext, window_days: int) -> IntArray:
    """How much likelier these lags (business days) are among true pairs than anywhere in the window.

    True pairs keep the agreed lag until enough of them, earlier or in these books, say better.
    """
    reach = window_days if not len(context.business_days) else -(-window_days * 5 // 7)
    reach = max(reach, context.lag.latest, context.ledger_lag_latest, 1)
    reach = max(reach, int(np.abs(lags).max(initial=0)))
    span = np.arange(-reach, reach + 1)
    agreed = context.lag
    shares = np.select(
        [
            span == agreed.expected,
            (span >= agreed.earliest) & (span <= agreed.latest),
            (span >= -context.ledger_lag_latest) & (span < agreed.earliest),
        ],
        _LAG_SHARES[:3],
        _LAG_SHARES[3],
    )
    seen = np.zeros(len(span), dtype=np.int64)
    for lag, count in context.lag_counts:
        if -reach <= lag <= reach:
            seen[lag + reach] += count
    likely = (seen + shares / shares.sum() * _LAG_PRIOR_COUNT) / (seen.sum() + _LAG_PRIOR_COUNT)
    table = np.clip(millibits(likely * len(span)), -_LAG_CLIP_MILLIBITS, _LAG_CLIP_MILLIBITS)
    return np.asarray(table[lags + reach], dtype=np.int64)
