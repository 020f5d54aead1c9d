"""Finder ``amount_and_lag``: equal amounts, or gross and predicted net, a number of business days apart that may be.

Each lag that is agreed or was learned is an equality join on (account, asset, amount, business day less the lag): no
join of ranges, and no block on the amount alone, which explodes under price points. Pairs that carry well-formed and
different identifiers are left out by the same join: the weighing would refuse them, and at a price point they are
nearly all. (What is near in spite of that is the business of the other finders.) A block, which is what shares money
and the ledger's business day, that costs too much is refined: only equal counterparties, then each lag counted by
itself. Lines that this leaves without candidates, or without some, are named as a limit by amount.

    external 97.00 on Wednesday, lags 0 to 2, fee 3 %   ledger +97.00 Monday, +100.00 Tuesday: two pairs
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
import pyarrow as pa

from reconciliation.matching.books import Books, Side
from reconciliation.matching.candidates import combined, counted_up, limit_at
from reconciliation.matching.columns import BoolArray, IntArray, kernel
from reconciliation.matching.context import MatchContext
from reconciliation.matching.edges import (
    EDGES_MAX,
    Edges,
    agreeing,
    business_day_numbers,
    cap_for,
    money_codes,
    places,
    within_window,
)
from reconciliation.matching.fees import scheduled_fee
from reconciliation.matching.references import ABSENT, normalised, present, shared_codes
from reconciliation.matching.result import Limit
from reconciliation.sources import FeeSchedule, MatchLimits

_NAME: Final = "amount_and_lag"
_FEW: Final = (
    25  # pairs of a block, five lines by five, that are worth naming though their references contradict
)
_IDENTIFIERS_MAX: Final = 4  # columns by which rows are parted, so into 16 parts at most
_CARRIES_NONE: Final = -1
_NOBODY: Final = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Offer:
    """Rows of one side with what they are joined by; ``money`` codes are shared with the other side."""

    rows: IntArray
    money: IntArray
    day: IntArray  # number of the business day
    told: IntArray  # the money code that a limit is told by, whatever else was added to ``money``

    @classmethod
    def of(cls, rows: IntArray, money: IntArray, day: IntArray) -> Self:
        return cls(rows=rows, money=money, day=day, told=money)

    @classmethod
    def together(cls, parts: Sequence[Self]) -> Self:
        return cls(
            rows=np.concatenate([part.rows for part in parts]),
            money=np.concatenate([part.money for part in parts]),
            day=np.concatenate([part.day for part in parts]),
            told=np.concatenate([part.told for part in parts]),
        )

    def only(self, at: BoolArray | IntArray) -> Self:
        """The rows at these places."""
        return replace(self, rows=self.rows[at], money=self.money[at], day=self.day[at], told=self.told[at])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Joined:
    """Pairs of rows, and who stands in a block that was too large to join."""

    pairs: tuple[IntArray, IntArray]
    left_crowded: _Offer
    right_crowded: _Offer
    cap: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    """What one question needs: how near amounts must be, which lags may be, and the bounds."""

    books: Books
    lags: tuple[int, ...]
    limits: MatchLimits
    context: MatchContext


def find_by_amount_and_lag(  # noqa: PLR0917 - as the other finders, and two more
    books: Books,
    external_rows: IntArray,
    ledger_rows: IntArray,
    limits: MatchLimits,
    context: MatchContext,
    fees: Sequence[FeeSchedule],
) -> tuple[Edges, tuple[Limit, ...]]:
    """Pairs of open rows with equal amount, or with the ledger's amount less the scheduled fee, at an allowed lag."""
    search = _Search(books=books, lags=allowed_lags(context), limits=limits, context=context)
    amounts = books.external.amount_minor[external_rows], books.ledger.amount_minor[ledger_rows]
    kinds = sorted({schedule.kind for schedule in fees})
    found = [
        _pairs(search, (external_rows, ledger_rows), amounts, width=1),
        *(_net_pairs(search, external_rows, ledger_rows, kind, fees) for kind in kinds),
    ]
    external = np.concatenate([part[0] for part in found])
    ledger = np.concatenate([part[1] for part in found])
    keep = within_window(books, external, ledger)
    external, ledger = external[keep], ledger[keep]
    edges = Edges.of(external, ledger, agreeing(books, external, ledger))
    return edges, tuple(dict.fromkeys(limit for part in found for limit in part[2]))


def allowed_lags(context: MatchContext) -> tuple[int, ...]:
    """Business days from ledger to external line, ascending: as agreed, the ledger's own lateness, and as learned."""
    agreed = range(min(context.lag.earliest, -context.ledger_lag_latest), context.lag.latest + 1)
    return tuple(sorted({*agreed, *(lag for lag, count in context.lag_counts if count > 0)}))


def _net_pairs(
    search: _Search, external_rows: IntArray, ledger_rows: IntArray, kind: str, fees: Sequence[FeeSchedule]
) -> tuple[IntArray, IntArray, tuple[Limit, ...]]:
    """External lines of a kind and ledger lines of the gross: the difference is the fee, within its tolerance."""
    books = search.books
    of_kind = kernel.equal(books.external.column("kind").take(pa.array(external_rows)), kind)
    external_rows = external_rows[of_kind.to_numpy(zero_copy_only=False)]
    fee, tolerance = _fees(books.ledger, ledger_rows, kind, fees)
    gross = books.ledger.amount_minor
    net = gross[ledger_rows] - fee
    charged = (fee != 0) & (np.sign(net) == np.sign(gross[ledger_rows]))  # a fee never turns money around
    ledger_rows, net = ledger_rows[charged], net[charged]
    amounts = books.external.amount_minor[external_rows], net
    width = int(tolerance[charged].max(initial=0)) + 1
    left, right, met = _pairs(search, (external_rows, ledger_rows), amounts, width=width)
    fee, tolerance = _fees(books.ledger, right, kind, fees)
    paid = books.external.amount_minor[left]
    keep = (np.abs(gross[right] - fee - paid) <= tolerance) & (np.sign(paid) == np.sign(gross[right]))
    return left[keep], right[keep], met


def _fees(side: Side, rows: IntArray, kind: str, fees: Sequence[FeeSchedule]) -> tuple[IntArray, IntArray]:
    """The scheduled fee and its tolerance of ledger rows taken for the gross; 0 without a schedule."""
    found = scheduled_fee(
        fees,
        asset=side.column("asset").take(pa.array(rows)),
        kind=pa.repeat(kind, len(rows)),
        days=side.business_date[rows],
        gross_minor=side.amount_minor[rows],
    )
    tolerances = np.array([*(schedule.tolerance_minor for schedule in fees), 0], dtype=np.int64)
    return found.expected_minor, tolerances[found.schedule]


def _pairs(
    search: _Search, rows: tuple[IntArray, IntArray], amounts: tuple[IntArray, IntArray], *, width: int
) -> tuple[IntArray, IntArray, tuple[Limit, ...]]:
    """Pairs of rows whose amounts fall into one span of ``width`` minor units, or, above 1, into neighbouring spans.

    So amounts less than ``width`` apart meet, by equality of a key; the caller looks at the amounts again.
    """
    purse = money_codes(search.books, *rows)
    spans = [amount // width for amount in amounts]
    shifts = (0,) if width == 1 else (-1, 0, 1)
    span = np.concatenate([*(spans[0] + shift for shift in shifts), spans[1]])
    money = combined(np.concatenate([*(purse[0] for _ in shifts), purse[1]]), span)
    ends = len(rows[0]) * len(shifts)
    days = [
        business_day_numbers(search.context, side.business_date[at])
        for side, at in zip((search.books.external, search.books.ledger), rows, strict=True)
    ]
    left = _Offer.of(np.tile(rows[0], len(shifts)), money[:ends], np.tile(days[0], len(shifts)))
    right = _Offer.of(rows[1], money[ends:], days[1])
    return _bounded(search, *_uncontradicted(search.books, left, right))


def _bounded(search: _Search, left: _Offer, right: _Offer) -> tuple[IntArray, IntArray, tuple[Limit, ...]]:
    """Pairs at all lags; in blocks that cost too much among equal counterparties, then lag by lag."""
    pairs_max = search.limits.candidate_pairs
    whole = _join(left, right, search.lags, pairs_max)
    if not len(whole.right_crowded.rows):
        return *whole.pairs, ()
    crowded = whole.left_crowded, whole.right_crowded
    named = _join(*_of_equal_party(search.books, *crowded), search.lags, pairs_max)
    refined = [named.pairs]
    given_up = [_NOBODY]
    if len(named.right_crowded.rows):
        edges_max = EDGES_MAX // len(search.lags)
        for lag in search.lags:
            daily = _join(named.left_crowded, named.right_crowded, (lag,), pairs_max, edges_max)
            refined.append(daily.pairs)
            given_up.append(daily.left_crowded.rows)
    external, ledger = (np.concatenate(part) for part in zip(*refined, strict=True))
    left_open = ~np.isin(crowded[0].rows, external) | np.isin(crowded[0].rows, np.concatenate(given_up))
    met = _met(search.books, crowded[0].only(left_open), crowded[1], whole.cap)
    return np.concatenate([whole.pairs[0], external]), np.concatenate([whole.pairs[1], ledger]), met


def _join(
    left: _Offer, right: _Offer, lags: tuple[int, ...], pairs_max: int, edges_max: int = EDGES_MAX
) -> _Joined:
    """Pairs with equal money at any of the lags, without the blocks (money, the right's day) that cost too much."""
    low = min(int(left.day.min(initial=0)) - lags[-1], int(right.day.min(initial=0)))
    high = max(int(left.day.max(initial=0)) - lags[0], int(right.day.max(initial=0)))
    keys = right.money * (high - low + 1) + right.day - low
    blocks, block, count = np.unique(keys, return_inverse=True, return_counts=True)
    members = np.argsort(block, kind="stable")
    starts = np.cumsum(count) - count
    seekers = left.money * (high - low + 1) + left.day - low
    load = np.zeros(len(blocks), dtype=np.int64)
    for lag in lags:
        place = places(seekers - lag, blocks)
        load += np.bincount(place[place >= 0], minlength=len(blocks))
    sizes = load * count
    cap = cap_for(sizes, pairs_max, edges_max)
    crowded = np.append(sizes > cap, False)  # at the end: where nothing was found
    left_crowded = np.zeros(len(left.rows), dtype=np.bool_)
    nothing = np.empty(0, dtype=np.int64)
    at_left, at_right = [nothing], [nothing]
    for lag in lags:
        place = places(seekers - lag, blocks)
        left_crowded |= crowded[place]
        at = np.flatnonzero((place >= 0) & ~crowded[place])
        at_left.append(np.repeat(at, count[place[at]]))
        at_right.append(members[counted_up(starts[place[at]], count[place[at]])])
    return _Joined(
        pairs=(left.rows[np.concatenate(at_left)], right.rows[np.concatenate(at_right)]),
        left_crowded=left.only(left_crowded),
        right_crowded=right.only(crowded[block]),
        cap=cap,
    )


def _uncontradicted(books: Books, left: _Offer, right: _Offer) -> tuple[_Offer, _Offer]:
    """Both sides keyed so that only pairs meet whose identifiers, where both carry one, are equal.

    Rows are parted by which identifiers they carry; parts are then joined two by two, on the codes of those that both
    carry. A row stands once for each part of the other side.
    """
    columns = [books.well_formed(name) for name in books.own_name_columns()[:_IDENTIFIERS_MAX]]
    codes = [
        (
            np.where(sound_left[left.rows], agreement.external[left.rows], _CARRIES_NONE),
            np.where(sound_right[right.rows], agreement.ledger[right.rows], _CARRIES_NONE),
        )
        for agreement, sound_left, sound_right in columns
    ]
    parts = [
        _carried([code[side] for code in codes], len(offer.rows)) for side, offer in enumerate((left, right))
    ]
    lefts, rights = [left.only(_NOBODY)], [right.only(_NOBODY)]
    offset = 0
    for left_part in np.unique(parts[0]):
        for right_part in np.unique(parts[1]):
            at = np.flatnonzero(parts[0] == left_part), np.flatnonzero(parts[1] == right_part)
            both = [code for bit, code in enumerate(codes) if left_part & right_part & (1 << bit)]
            pair = _rekeyed(
                left.only(at[0]), right.only(at[1]), [(a[at[0]], b[at[1]]) for a, b in both], offset
            )
            lefts.append(pair[0])
            rights.append(pair[1])
            offset += len(at[0]) + len(at[1])
    return _Offer.together(lefts), _Offer.together(rights)


def _carried(codes: list[IntArray], count: int) -> IntArray:
    """For each row a number whose bits say which identifiers it carries."""
    result = np.zeros(count, dtype=np.int64)
    for bit, code in enumerate(codes):
        result |= (code != _CARRIES_NONE).astype(np.int64) << bit
    return result


def _rekeyed(
    left: _Offer, right: _Offer, equal: list[tuple[IntArray, IntArray]], offset: int
) -> tuple[_Offer, _Offer]:
    """Both sides with money codes, from ``offset`` on, that are equal only where these codes are, too."""
    money = combined(np.concatenate([left.money, right.money]), *(np.concatenate(codes) for codes in equal))
    ends = len(left.rows)
    return replace(left, money=money[:ends] + offset), replace(right, money=money[ends:] + offset)


def _of_equal_party(books: Books, left: _Offer, right: _Offer) -> tuple[_Offer, _Offer]:
    """Both sides without rows that name no counterparty, keyed by that too."""
    texts = [
        normalised(present(side.column("counterparty").take(pa.array(offer.rows))))
        for side, offer in ((books.external, left), (books.ledger, right))
    ]
    party = shared_codes(texts[0], texts[1])
    named = [codes != ABSENT for codes in party]
    return _rekeyed(left.only(named[0]), right.only(named[1]), [(party[0][named[0]], party[1][named[1]])], 0)


def _met(books: Books, left: _Offer, right: _Offer, cap: int) -> tuple[Limit, ...]:
    """One limit for each amount of external rows that the bounds leave without some or all of their candidates."""
    order = np.lexsort((left.rows, left.told))
    rows, told = left.rows[order], left.told[order]
    limits = []
    for code in np.unique(told):
        members = np.unique(rows[np.searchsorted(told, code) : np.searchsorted(told, code, side="right")])
        found = limit_at(
            books,
            int(members[0]),
            match_pass=_NAME,
            what="block_too_large",
            counts=(len(members), len(np.unique(right.rows[right.told == code]))),
            limit=cap,
        )
        limits.append(replace(found, reference=str(books.external.amount_minor[members[0]])))
    return tuple(limits)
