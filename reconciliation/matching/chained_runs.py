"""Step ``chained_run``: a payout line pays an unbroken run of members in the order in which they were processed.

A run starts right behind the last member of the run before, and ends where the sum of its members is the amount of
the line: one look at the prefix sums, whatever the size. Where no start is known every start is possible, and the run
must be the only one and chance must not be expected to give one; behind nothing that is open there is one start, the
first member of all, and chance is reckoned for that one alone. Payout lines of one day have no order among
themselves: which of them comes next is known only if one alone fits.

    cursor behind a; members b 10.00, c 20.00, d 5.00, e 7.00     lines 30.00, 12.00     runs b c and d e

Law: a start is never guessed. The run of a line stands only if the run it starts behind stands.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from reconciliation.matching import subset_sums
from reconciliation.matching.candidates import counted_up
from reconciliation.matching.columns import IntArray
from reconciliation.matching.group_windows import Finding, Findings, Search, decimal_text
from reconciliation.matching.processing_order import in_order
from reconciliation.matching.result import Limit
from reconciliation.matching.subset_sums import EXPLICIT_MAX, MICRO
from reconciliation.matching.window_sums import whole_windows

_NEAR: Final = (
    4  # mean amounts on either side of a target within which sums are counted to know their density
)

Amounts = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chain:
    """Where the next run starts among the members of a purse: at ``start``, or anywhere from there if not known."""

    start: int
    is_known: bool
    after: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Runs:
    """Runs that sum to a line's amount, as places among ``rows``: first, and one past the last."""

    rows: IntArray
    places: IntArray  # of the rows in the order of the purse
    first: IntArray
    last: IntArray
    count: int
    expected_micro: int
    expected_first_micro: int  # of them those from the first member on


def chained_runs(search: Search) -> Findings:
    """Payout lines that pay a run, by purse."""
    findings: list[Finding] = []
    limits: list[Limit] = []
    purses = search.books.external_purse[search.payouts]
    for purse in np.unique(purses).tolist():
        members = search.members[search.books.ledger_purse[search.members] == purse]
        if len(members):
            of_purse = _in_purse(search, search.payouts[purses == purse], members, limits)
            findings.extend(of_purse)
    return Findings(findings=tuple(findings), limits=tuple(limits))


def _in_purse(search: Search, payouts: IntArray, members: IntArray, limits: list[Limit]) -> list[Finding]:
    cursor = search.cursor(int(payouts[0]))
    members, passed = in_order(search.books, np.sort(members), cursor)
    chain = _Chain(start=passed, is_known=cursor is not None)
    findings: list[Finding] = []
    days = search.books.external.business_date[payouts]
    for day in np.unique(days).tolist():
        chain, found = _of_day(search, payouts[days == day], members, chain, limits)
        findings.extend(found)
    return findings


def _of_day(
    search: Search, payouts: IntArray, members: IntArray, chain: _Chain, limits: list[Limit]
) -> tuple[_Chain, list[Finding]]:
    """The lines of one day: one behind the other as long as one alone fits, or each for itself."""
    left = payouts.tolist()
    if not chain.is_known:
        found = [_finding(search, payout, members, chain, limits) for payout in left]
        certain = [each for each in found if each is not None]
        if len(left) == 1 and certain and _stands(certain[0]):
            chain = _behind(certain[0], members)
        return chain, certain
    findings: list[Finding] = []
    while left and chain.is_known:
        fitting = [each for payout in left if (each := _finding(search, payout, members, chain, limits))]
        findings.extend(fitting)
        if len(fitting) == 1 and _stands(fitting[0]):
            chain = _behind(fitting[0], members)
            left.remove(fitting[0].payout)
        else:  # a line that fits nothing is not searched for elsewhere: its run starts here or it is none
            chain = replace(chain, is_known=False)
    return chain, findings


def _stands(finding: Finding) -> bool:
    return finding.solutions == 1 and finding.why is None


def _behind(finding: Finding, members: IntArray) -> _Chain:
    last = int(np.flatnonzero(np.isin(members, finding.members)).max())
    return _Chain(start=last + 1, is_known=True, after=finding.payout)


def _finding(
    search: Search, payout: int, members: IntArray, chain: _Chain, limits: list[Limit]
) -> Finding | None:
    runs = _runs(search, payout, members, chain, limits)
    if runs is None or not runs.count:
        return None
    spans = list(zip(runs.first.tolist(), runs.last.tolist(), strict=True))[:EXPLICIT_MAX]
    explained = [runs.rows[first:last] for first, last in spans]
    if not chain.is_known:
        explained = _told_apart(search, explained)
    hidden = runs.count - len(spans)
    left = [rows for rows in explained if not search.is_undone(payout, rows)]
    if not left:
        return None
    why = search.objection(payout, left[0]) or _rival(search, payout, members, chain, left[0])
    if not chain.is_known and why is None:
        begins = int(runs.places[np.flatnonzero(runs.rows == left[0][0])[0]]) == 0
        why = search.chance(runs.expected_first_micro if begins else runs.expected_micro)
    claimed = np.unique(np.concatenate(left)) if not hidden else np.sort(runs.rows)
    return Finding(
        payout=payout,
        members=np.sort(left[0]),
        solutions=len(left) + hidden,
        candidates=len(runs.rows),
        expected_micro=runs.expected_micro,
        claimed=claimed,
        claimed_count=np.ones(len(claimed), dtype=np.int64),
        others=tuple(np.sort(rows) for rows in left[1:3]),
        why=why,
        after=chain.after if chain.is_known else None,
        details={
            "expected_accidental": decimal_text(runs.expected_micro),
            "start": "known" if chain.is_known else "searched",
        },
    )


def _rival(search: Search, payout: int, members: IntArray, chain: _Chain, rows: IntArray) -> str | None:
    """What else explains the line: a whole window less a few members, other ones than this run leaves out.

    A member that came late and the last one of the run may have one price; then the run ends one too early.
    """
    open_rows = np.setdiff1d(search.window(payout), members[: chain.start] if chain.is_known else members[:0])
    found = whole_windows(search, payout, open_rows, bound=None)
    if isinstance(found, Limit):
        return "whether late members explain the line as well is more than the bound on steps allows to say"
    if found is None or (found.count == 1 and _alike(search, found.explained[0], rows)):
        return None
    return f"so do {found.count} whole windows less a few late members"


def _alike(search: Search, rows: IntArray, others: IntArray) -> bool:
    return np.array_equal(np.sort(search.alike[rows]), np.sort(search.alike[others]))


def _told_apart(search: Search, explained: list[IntArray]) -> list[IntArray]:
    """The runs without those that hold alike members only as one before: either leaves the same open."""
    known: set[bytes] = set()
    apart = []
    for rows in explained:
        content = np.sort(search.alike[rows]).tobytes()
        if content not in known:
            known.add(content)
            apart.append(rows)
    return apart


def _runs(search: Search, payout: int, members: IntArray, chain: _Chain, limits: list[Limit]) -> _Runs | None:
    """All runs of the line from the chain's start on; None where the bound on steps was met."""
    window = search.window(payout)
    places = np.flatnonzero(np.isin(members, window))
    places = places[places >= chain.start]
    rows = members[places]
    if not len(rows):
        return None
    if len(rows) > search.rules.group_size_max:
        limits.append(
            search.limit(payout, "group_size", members=len(rows), limit=search.rules.group_size_max)
        )
        return None
    amounts = subset_sums.exact(search.books.ledger.amount_minor[rows])
    sums = np.concatenate([np.zeros(1, dtype=amounts.dtype), np.cumsum(amounts)])
    target = search.amount(payout)
    starts = np.arange(1 if chain.is_known else len(rows), dtype=np.int64)
    order = np.argsort(sums, kind="stable")
    ordered = sums[order]
    wanted = sums[starts] + target
    begin = np.searchsorted(ordered, wanted, side="left")
    count = np.searchsorted(ordered, wanted, side="right") - begin
    steps = int(count.sum()) + len(starts)
    if steps > search.rules.limits.search_steps:
        limits.append(
            search.limit(payout, "search_steps", members=len(rows), limit=search.rules.limits.search_steps)
        )
        return None
    first, last = np.repeat(starts, count), order[counted_up(begin, count)]
    keep = last > first
    first, last = first[keep], last[keep]
    place = np.lexsort((last, first))
    return _Runs(
        rows=rows,
        places=places,
        first=first[place],
        last=last[place],
        count=int(keep.sum()),
        expected_micro=_expected_micro(amounts, ordered, wanted),
        expected_first_micro=_expected_micro(amounts, ordered, wanted[:1]),
    )


def _expected_micro(amounts: Amounts, ordered: Amounts, wanted: Amounts) -> int:
    """Runs that chance would give: how densely the sums lie around the target, on the lattice of the amounts."""
    near = _NEAR * max(int(np.abs(amounts).sum()) // len(amounts), 1)
    lattice = int(np.gcd.reduce(amounts))
    found = np.searchsorted(ordered, wanted + near, side="right") - np.searchsorted(
        ordered, wanted - near, "left"
    )
    return int(found.sum()) * lattice * MICRO // (2 * near + 1)
