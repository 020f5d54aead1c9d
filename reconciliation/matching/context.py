"""What matching is told beside the items and the rules: the business calendar, what was learned, what people decided.

Law: all of it is data, so that a result follows from its arguments alone. Holds no behaviour.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from reconciliation.matching.columns import IntArray
from reconciliation.sources import Lag


@dataclass(frozen=True, slots=True, kw_only=True)
class ForcedMember:
    """An item of a match that people made, by content: ``key`` and ``number`` are line key and version, or entry key
    and line number.
    """

    side: str
    key: str
    number: int
    role: str = "principal"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForcedGroup:
    """A match that people made; it holds as long as all its members are open and its two sides agree or name why not.

    ``reason`` and ``decided_by`` are for the explanation: who proposed it, who approved it.
    """

    members: tuple[ForcedMember, ...]
    reason: str
    decided_by: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchContext:
    """``as_of``: the day that is matched, in days since 1970-01-01; None takes every due window as over.

    ``business_days``: ascending days since 1970-01-01 on which lags are counted; where empty, every day counts.

    ``lag_counts``: lags in business days (external less ledger) with how often they were confirmed; ``lag`` and
    ``ledger_lag_latest`` say what is agreed, for as long as little is learned. ``chain_cursors``: per account the
    order key of the last ledger line that a payout's run took. ``rejected``: keys of groups that people undid.
    """

    as_of: int | None = None
    business_days: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    lag_counts: tuple[tuple[int, int], ...] = ()
    lag: Lag = field(default_factory=Lag)
    ledger_lag_latest: int = 1
    chain_cursors: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    forced: tuple[ForcedGroup, ...] = ()
    rejected: frozenset[str] = frozenset()
