"""Finder ``amount_and_lag``: equal amounts, or gross and predicted net, a number of business days apart that may be.

Each lag that is agreed or was learned is an equality join on (account, asset, amount, business day less the lag): no
join of ranges, and no block on the amount alone, which explodes under price points. A block is what shares money and
the ledger's business day. One that costs too much is refined: only equal counterparties, then each lag counted by
itself. What still costs too much, and lines for which no equal counterparty was left, are named as a limit by amount.

    external 97.00 on Wednesday, lags 0 to 2, fee 3 %   ledger +97.00 Monday, +100.00 Tuesday: two pairs

Demands nothing of references; a pair whose references contradict is for the weighing to refuse.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
import pyarrow as pa

from reconciliation.matching.books import Books, Side
from reconciliation.matching.candidates import combined, counted_up, limit_at
from reconciliation.matching.columns import BoolArray, Column, IntArray, kernel
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
from reconciliation.matching.references import normalised, present, shared_codes
from reconciliation.matching.result import Limit
from reconciliation.sources import FeeSchedule, MatchLimits

_NAME: Final = "amount_and_lag"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Offer:
    """Rows of one side with what they are joined by; ``money`` codes are shared with the other side."""

    rows: IntArray
    money: IntArray
    day: IntArray  # number of the business day

    def only(self, keep: BoolArray) -> Self:
        return replace(self, rows=self.rows[keep], money=self.money[keep], day=self.day[keep])


@dataclass(frozen=True, slots=True)
class _Joined:
    """Positions of pairs in both offers, and who stands in a block that was too large to join."""

    left: IntArray
    right: IntArray
    left_crowded: BoolArray
    right_crowded: BoolArray
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
    left = _Offer(rows=np.tile(rows[0], len(shifts)), money=money[:ends], day=np.tile(days[0], len(shifts)))
    right = _Offer(rows=rows[1], money=money[ends:], day=days[1])
    whole = _join(left, right, search.lags, search.limits, EDGES_MAX)
    pairs = [(left.rows[whole.left], right.rows[whole.right])]
    if not whole.right_crowded.any():
        return *pairs[0], ()
    crowded = left.only(whole.left_crowded), right.only(whole.right_crowded)
    refined, given_up = _refined(search, *crowded)
    pairs.extend(refined)
    external, ledger = (np.concatenate(part) for part in zip(*pairs, strict=True))
    left_alone = ~np.isin(crowded[0].rows, external)
    return external, ledger, _met(search.books, crowded, left_alone | given_up, whole.cap)


def _join(left: _Offer, right: _Offer, lags: tuple[int, ...], limits: MatchLimits, edges_max: int) -> _Joined:
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
    cap = cap_for(sizes, limits, edges_max)
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
    return _Joined(np.concatenate(at_left), np.concatenate(at_right), left_crowded, crowded[block], cap)


def _refined(
    search: _Search, left: _Offer, right: _Offer
) -> tuple[list[tuple[IntArray, IntArray]], BoolArray]:
    """Pairs of crowded blocks among equal counterparties, and which of ``left`` stand in a part still too large."""
    given_up = np.zeros(len(left.rows), dtype=np.bool_)
    party = shared_codes(
        _parties(search.books.external, left.rows), _parties(search.books.ledger, right.rows)
    )
    at = np.flatnonzero(party[0] > 0), np.flatnonzero(party[1] > 0)
    money = combined(
        np.concatenate([left.money[at[0]], right.money[at[1]]]),
        np.concatenate([party[0][at[0]], party[1][at[1]]]),
    )
    named = replace(left.only(party[0] > 0), money=money[: len(at[0])])
    others = replace(right.only(party[1] > 0), money=money[len(at[0]) :])
    by_party = _join(named, others, search.lags, search.limits, EDGES_MAX)
    pairs = [(named.rows[by_party.left], others.rows[by_party.right])]
    if by_party.right_crowded.any():
        at_last = np.flatnonzero(by_party.left_crowded)
        named, others = named.only(by_party.left_crowded), others.only(by_party.right_crowded)
        for lag in search.lags:
            by_day = _join(named, others, (lag,), search.limits, EDGES_MAX // len(search.lags))
            pairs.append((named.rows[by_day.left], others.rows[by_day.right]))
            given_up[at[0][at_last[by_day.left_crowded]]] = True
    return pairs, given_up


def _parties(side: Side, rows: IntArray) -> Column:
    return normalised(present(side.column("counterparty").take(pa.array(rows))))


def _met(books: Books, crowded: tuple[_Offer, _Offer], left_open: BoolArray, cap: int) -> tuple[Limit, ...]:
    """One limit for each amount with external rows that its crowded blocks leave without some or all candidates."""
    left, right = crowded
    order = np.argsort(left.money[left_open], kind="stable")
    rows, money = left.rows[left_open][order], left.money[left_open][order]
    limits = []
    for code in np.unique(money):
        members = np.unique(rows[np.searchsorted(money, code) : np.searchsorted(money, code, side="right")])
        found = limit_at(
            books,
            int(members[0]),
            match_pass=_NAME,
            what="block_too_large",
            counts=(len(members), len(np.unique(right.rows[right.money == code]))),
            limit=cap,
        )
        limits.append(replace(found, reference=str(books.external.amount_minor[members[0]])))
    return tuple(limits)
