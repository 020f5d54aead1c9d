"""When an open item will clear: the learned lags over the contract's, given that it has not cleared so far. Pure.

Laws: everything is an integer, shares are parts per million rounded half up; the most likely day is never later than
the contract's latest, and of equally likely days the earliest is named. Nothing here decides timing or genuine: that
is the contract's word alone.

The contract counts like a handful of observations, so that it speaks where nothing is learned and fades where much is:
its expected lag as ``PRIOR_EXPECTED``, its other lags as ``PRIOR_WITHIN`` each, the day after its latest as
``PRIOR_LATER``.

Example: lags 0, 1, 2 by contract, expected 1; learned 0: 70 times, 1: 20, 2: 5, 3: 3. An item one business day old
clears on its second day (5 + 2 of 5 + 2 + 3 + 1) with a chance of 636 364 parts per million, and else is late.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from reconciliation.sources import Lag

PRIOR_EXPECTED: Final = 4
PRIOR_WITHIN: Final = 2
PRIOR_LATER: Final = 1
_PARTS_PER_MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LagCounts:
    """How often each lag in business days (zero or more) counts: the contract's pseudo-counts and what was seen."""

    contract: Lag
    counts: Mapping[int, int]
    observations: int

    @classmethod
    def of(cls, contract: Lag, seen: Iterable[tuple[int, int]]) -> LagCounts:
        """The contract's lags with those seen; negative ones, which this side cannot have, are left out."""
        counts = dict.fromkeys(range(contract.earliest, contract.latest + 1), PRIOR_WITHIN)
        counts[contract.expected] = PRIOR_EXPECTED
        counts[contract.latest + 1] = PRIOR_LATER
        observations = 0
        for lag, count in seen:
            if lag >= 0:
                counts[lag] = counts.get(lag, 0) + count
                observations += count
        return cls(contract=contract, counts=counts, observations=observations)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """The most likely lag, and the shares (of all lags that are still possible) that are no longer than a lag."""

    expected_lag: int
    by_due_ppm: int
    by_expected_ppm: int


def forecast(lags: LagCounts, *, passed: int, awaited: Collection[int] = ()) -> Forecast:
    """What is to be expected of an item that has not cleared at any lag up to ``passed``, but for the ``awaited`` ones.

    ``passed`` is -1 where not even lag 0 has been seen; ``awaited`` are lags whose day's file has not come. Without a
    possible lag up to the latest, the latest is named, with no chance.
    """
    possible = {lag: count for lag, count in lags.counts.items() if lag > passed or lag in awaited}
    total = sum(possible.values())
    latest = lags.contract.latest
    in_time = [lag for lag in sorted(possible) if lag <= latest]
    expected = max(in_time, key=lambda lag: (possible[lag], -lag), default=latest)
    return Forecast(
        expected_lag=expected,
        by_due_ppm=_ppm(sum(possible[lag] for lag in in_time), total),
        by_expected_ppm=_ppm(sum(possible[lag] for lag in in_time if lag <= expected), total),
    )


def _ppm(part: int, total: int) -> int:
    return (part * _PARTS_PER_MILLION * 2 + total) // (2 * total) if total else 0
