"""Step ``chained_run``: a payout line pays an unbroken run of members in the order in which they were processed.

A run starts right behind the last member of the run before, and ends where the sum of its members is the amount of
the line: one look at the prefix sums, whatever the size. Where no start is known every start is possible, and the run
must be the only one and chance must not be expected to give one. Payout lines of one day have no order among
themselves: which of them comes next is known only if one alone fits.

    cursor behind a; members b 10.00, c 20.00, d 5.00, e 7.00     lines 30.00, 12.00     runs b c and d e

Law: a start is never guessed. The run of a line stands only if the run it starts behind stands.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from reconciliation.matching import subset_sums
from reconciliation.matching.books import Books
from reconciliation.matching.candidates import counted_up
from reconciliation.matching.columns import Column, IntArray, kernel
from reconciliation.matching.group_windows import Finding, Findings, Search, decimal_text
from reconciliation.matching.result import Limit
from reconciliation.matching.subset_sums import EXPLICIT_MAX, MICRO
from reconciliation.matching.window_sums import EXPECTED_MAX_MICRO

_NEAR: Final = (
    4  # mean amounts on either side of a target within which sums are counted to know their density
)

Amounts = npt.NDArray[Any]


def order_keys(items: pa.Table) -> Column:
    """Texts that sort as members were processed: by instant, then entry key, then line number.

    ``items`` is of ``LEDGER_ITEM_SCHEMA``, or any table with these four columns; where an instant is missing the
    business date begins it.
    """
    instants = kernel.cast(items["effective_at"], pa.timestamp("us"))
    days = kernel.cast(items["business_date"], pa.timestamp("us"))
    whole = kernel.cast(kernel.coalesce(instants, days), pa.string())
    numbers = kernel.utf8_lpad(kernel.cast(items["line_no"], pa.string()), 10, "0")
    keys = kernel.binary_join_element_wise(whole, items["entry_key"], numbers, " ")
    return keys.combine_chunks() if isinstance(keys, pa.ChunkedArray) else keys


def order_key(books: Books, row: int) -> str:
    """The order key of one ledger row: what ``MatchContext.chain_cursors`` holds."""
    return str(order_keys(books.ledger.table.slice(row, 1))[0].as_py())


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
    keys = order_keys(search.books.ledger.table.take(np.sort(members)))
    members = np.sort(members)[kernel.sort_indices(keys).to_numpy()]
    cursor = search.context.chain_cursors.get(
        search.books.external.column("account")[int(payouts[0])].as_py()
    )
    chain = _Chain(start=0, is_known=False)
    if cursor is not None:
        chain = _Chain(start=int(kernel.sum(kernel.less_equal(keys, cursor)).as_py()), is_known=True)
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
    why = search.objection(payout, left[0])
    if not chain.is_known and runs.expected_micro > EXPECTED_MAX_MICRO:
        why = (
            "where the run starts is not known, and among so many starts chance alone may give one that fits"
        )
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
    )


def _expected_micro(amounts: Amounts, ordered: Amounts, wanted: Amounts) -> int:
    """Runs that chance would give: how densely the sums lie around the target, on the lattice of the amounts."""
    near = _NEAR * max(int(np.abs(amounts).sum()) // len(amounts), 1)
    lattice = int(np.gcd.reduce(amounts))
    found = np.searchsorted(ordered, wanted + near, side="right") - np.searchsorted(
        ordered, wanted - near, "left"
    )
    return int(found.sum()) * lattice * MICRO // (2 * near + 1)
