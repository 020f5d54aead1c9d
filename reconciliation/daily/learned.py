"""What the days before teach the matching of a day: how long money takes, and where runs of payouts go on. Pure.

Law: a day learns from the 180 days before it and never from itself, so that what it knows follows from the data alone,
whichever days a run computes again. Only pairs with an agreeing reference teach; what was weighed by a lag does not
confirm that lag.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import date, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute

from reconciliation.classification import BusinessCalendar
from reconciliation.matching import MatchResult, order_keys
from reconciliation.matching.columns import IntArray

kernel: Any = pyarrow.compute  # its stubs do not know that kernels take plain values

REMEMBERED: Final = timedelta(days=180)
_EPOCH: Final = date(1970, 1, 1)
_ORDERING: Final = ("entry_key", "business_date", "effective_at")
_MARGIN: Final = timedelta(days=60)  # the lag of an item at the edge of the window is counted on known days

LagCounts = tuple[tuple[int, int], ...]
"""Pairs of (business days, how often), ascending."""

Lessons = Mapping[date, LagCounts]
"""What each day confirmed."""

NOTHING: Final[Lessons] = MappingProxyType({})


def known_lags(lessons: Lessons, day: date) -> LagCounts:
    """How often each lag was confirmed in the days before this one."""
    total: Counter[int] = Counter()
    for learned_on, counts in lessons.items():
        if day - REMEMBERED <= learned_on < day:
            total.update(dict(counts))
    return tuple(sorted(total.items()))


def with_lesson(lessons: Lessons, day: date, counts: LagCounts) -> Lessons:
    """The lessons with what a day confirmed, without what is too old for the days after it."""
    kept = {learned_on: known for learned_on, known in lessons.items() if learned_on >= day - REMEMBERED}
    return MappingProxyType(kept | ({day: counts} if counts else {}))


def moved_cursors(
    cursors: Mapping[str, str], result: MatchResult, matched_ledger: pa.Table
) -> Mapping[str, str]:
    """Per account the order key of the last ledger line that a payout's run took, after a day's groups.

    A payout that came late took lines from before: the cursor stays where it was.
    """
    runs = result.groups.filter(kernel.equal(result.groups["match_pass"], "chained_run"))
    if runs.num_rows == 0:
        return cursors
    keys = runs["group_key"].combine_chunks()
    members = result.members.filter(kernel.is_in(result.members["group_key"], value_set=keys))
    lines = members.select(["entry_id", "line_no"]).join(
        matched_ledger.select(["entry_id", "line_no", "account", *_ORDERING]),
        keys=["entry_id", "line_no"],
        join_type="inner",
    )
    reached = last_in_order(lines)
    moved = {account: max(key, cursors.get(account, "")) for account, key in reached.items()}
    return MappingProxyType({**cursors, **moved})


def last_in_order(lines: pa.Table) -> dict[str, str]:
    """The greatest order key of each account; the table has account and what orders a ledger line."""
    keyed = lines.select(["account"]).append_column("key", order_keys(lines))
    last = keyed.group_by("account")
    return {str(row["account"]): str(row["key_max"]) for row in last.aggregate([("key", "max")]).to_pylist()}


@lru_cache(maxsize=64)
def business_days(calendar: BusinessCalendar, first: date, last: date) -> IntArray:
    """Business days from well before ``first`` to well after ``last``, as days since 1970-01-01."""
    days = calendar.business_days(first - _MARGIN, last + _MARGIN)
    return np.array([(day - _EPOCH).days for day in days], dtype=np.int64)
