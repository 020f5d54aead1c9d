"""Step ``key_sum``: a payout line pays all open members that share a key, such as a batch, a day or a counterparty.

Law: a key's members are taken whole or not at all. A batch that reaches out of the line's days is not complete, and
is no explanation.

    members 10.00 and 20.00 of batch K1, 40.00 of batch K2     line 30.00     K1
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from reconciliation.matching.bundles import Bundles, bundle, sums
from reconciliation.matching.candidates import combined, counted_up, equal_pairs
from reconciliation.matching.columns import BoolArray, IntArray
from reconciliation.matching.group_windows import Finding, Findings, Search
from reconciliation.matching.result import Limit


@dataclass(frozen=True, slots=True, kw_only=True)
class _Keyed:
    """Members by key, with exact sums and the first and the last day of each key."""

    bundles: Bundles
    purse: IntArray
    sum_minor: npt.NDArray[Any]
    earliest: IntArray
    latest: IntArray

    def rows(self, number: int) -> IntArray:
        start = int(self.bundles.start[number])
        return self.bundles.lines[start : start + int(self.bundles.size[number])]


def key_sums(search: Search) -> Findings:
    """Payout lines with the keys whose complete sums are theirs; sums that are off by rounding where none is exact."""
    keyed = _keyed(search)
    if not len(keyed.purse) or not len(search.payouts):
        return Findings()
    payouts = search.payouts
    amounts = search.books.external.amount_minor[payouts]
    purses = search.books.external_purse[payouts]
    codes = combined(np.concatenate([purses, keyed.purse]), _shared(amounts, keyed.sum_minor))
    left, right = codes[: len(payouts)], codes[len(payouts) :]
    allowed, limits = _within_limit(search, left, right)
    edges = equal_pairs(np.where(allowed, left, -1), right)
    edges = _admitted(search, keyed, *edges)
    findings = []
    for at, payout in enumerate(payouts.tolist()):
        keys = edges[1][edges[0] == at]
        exact = _exact(search, keyed, payout, keys)
        if exact is not None:
            findings.append(exact)
        elif not len(keys):
            near = _near(search, keyed, at)
            findings.extend([near] if near is not None else [])
    return Findings(findings=tuple(findings), limits=limits)


def _keyed(search: Search) -> _Keyed:
    side, rows = search.books.ledger, np.sort(search.members)
    codes = [search.books.ledger_purse[rows]]
    present = np.ones(len(rows), dtype=np.bool_)
    for name in search.rule.by:
        if name == "business_date":
            codes.append(side.business_date[rows])
        else:
            code = side.content_codes(name, rows)
            present &= code != 0
            codes.append(code)
    rows = rows[present]
    bundles = bundle(side, rows, combined(*(code[present] for code in codes)))
    lines, start = bundles.lines, bundles.start
    days = side.business_date[lines]
    return _Keyed(
        bundles=bundles,
        purse=search.books.ledger_purse[bundles.units.rows],
        sum_minor=sums(side.amount_minor[lines], start),
        earliest=np.minimum.reduceat(days, start) if len(start) else start,
        latest=np.maximum.reduceat(days, start) if len(start) else start,
    )


def _shared(left: npt.NDArray[Any], right: npt.NDArray[Any]) -> IntArray:
    """Codes of amounts over both arrays."""
    return np.asarray(np.unique(np.concatenate([left, right]), return_inverse=True)[1], dtype=np.int64)


def _within_limit(search: Search, left: IntArray, right: IntArray) -> tuple[BoolArray, tuple[Limit, ...]]:
    """Payout lines whose amount does not meet too many keys; the others are told of."""
    size = int(max(left.max(), right.max())) + 1
    lines, keys = np.bincount(left, minlength=size), np.bincount(right, minlength=size)
    limit = search.rules.limits.candidate_pairs
    too_many = np.flatnonzero(lines * keys > limit)
    limits = tuple(
        search.limit(
            int(search.payouts[np.flatnonzero(left == code)[0]]),
            "candidate_pairs",
            members=int(keys[code]),
            limit=limit,
        )
        for code in too_many.tolist()
    )
    return np.asarray(~np.isin(left, too_many), dtype=np.bool_), limits


def _admitted(search: Search, keyed: _Keyed, at: IntArray, keys: IntArray) -> tuple[IntArray, IntArray]:
    """The edges whose key lies within the line's days and has no member that names another whole."""
    payouts = search.payouts[at]
    keep = _in_days(search, keyed, payouts, keys) & (keyed.bundles.size[keys] <= search.rules.group_size_max)
    at, keys, payouts = at[keep], keys[keep], payouts[keep]
    size = keyed.bundles.size[keys]
    rows = keyed.bundles.lines[counted_up(keyed.bundles.start[keys], size)]
    barred = search.barred(np.repeat(payouts, size), rows)
    spoiled = np.bincount(np.repeat(np.arange(len(keys)), size)[barred], minlength=len(keys)) > 0
    return at[~spoiled], keys[~spoiled]


def _in_days(search: Search, keyed: _Keyed, payouts: IntArray, keys: IntArray) -> BoolArray:
    day = search.books.external.business_date[payouts]
    inside = (keyed.earliest[keys] >= day - search.rule.lag_days_max) & (keyed.latest[keys] <= day)
    return np.asarray(inside, dtype=np.bool_)


def _exact(search: Search, keyed: _Keyed, payout: int, keys: IntArray) -> Finding | None:
    explained = [rows for key in keys.tolist() if not search.is_undone(payout, rows := keyed.rows(key))]
    if not explained:
        return None
    claimed = np.unique(np.concatenate(explained))
    return Finding(
        payout=payout,
        members=explained[0],
        solutions=len(explained),
        candidates=len(claimed),
        expected_micro=None,
        claimed=claimed,
        claimed_count=np.ones(len(claimed), dtype=np.int64),
        others=tuple(explained[1:3]),
        why=search.objection(payout, explained[0]),
        details={"key": _key(search, explained[0])},
    )


def _near(search: Search, keyed: _Keyed, at: int) -> Finding | None:
    """The one key whose sum is off by no more than a minor unit for each member; several say nothing."""
    payout = int(search.payouts[at])
    keys = np.flatnonzero(keyed.purse == search.books.external_purse[payout])
    off = keyed.sum_minor[keys] - search.amount(payout)
    keys = keys[(np.abs(off) <= keyed.bundles.size[keys]) & (off != 0)]
    keys = _admitted(search, keyed, np.full(len(keys), at), keys)[1]
    if len(keys) != 1:
        return None
    rows = keyed.rows(int(keys[0]))
    if search.is_undone(payout, rows):
        return None
    off_minor = int(keyed.sum_minor[int(keys[0])]) - search.amount(payout)
    return Finding(
        payout=payout,
        members=rows,
        solutions=1,
        candidates=len(rows),
        expected_micro=None,
        claimed=rows[:0],  # no rival to a line that this key explains exactly
        claimed_count=rows[:0],
        why=f"the members sum to {off_minor:+d} minor units of the line's amount: rounding, or chance",
        details={"key": _key(search, rows)},
    )


def _key(search: Search, rows: IntArray) -> dict[str, str]:
    """What the members share, as text."""
    side, row = search.books.ledger, int(rows[0])
    return {name: str(side.column(name)[row].as_py()) for name in search.rule.by}
