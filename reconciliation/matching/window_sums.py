"""Steps ``window_less_few`` and ``bounded_subset``: which of the open members of a window a payout line pays.

Law: an explanation counts once, however many alike members could stand in for one another; how many explanations
there are is counted exactly, and a search that is left out for its size is a limit. A window ends with a day: it is
everything open up to it, so what came late for one payout line is part of the next one's window.

    open 30.00, 20.00, 45.00 (late)     line 50.00     the whole window less one: 30.00 and 20.00

A subset is not searched for where chance alone would give explanations (``subset_sums.expected_accidental_micro``), and
is only suggested where chance is not unlikely enough to give the one that was found.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from reconciliation.matching import subset_sums
from reconciliation.matching.columns import IntArray
from reconciliation.matching.group_windows import (
    Finding,
    Findings,
    Search,
    classes_of,
    decimal_text,
    rows_taken,
)
from reconciliation.matching.processing_order import in_order
from reconciliation.matching.result import Limit
from reconciliation.matching.subset_sums import EXPLICIT_MAX

EXPECTED_MAX_MICRO: Final = 50_000  # 0.05 accidental explanations: above, one found says nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeWindows:
    """Whole windows less as few members as will do. ``explained``: rows of some of them; ``count``: of all."""

    explained: tuple[IntArray, ...]
    count: int
    expected_micro: int


_One = Callable[[Search, int], Finding | Limit | None]


def window_less_few(search: Search) -> Findings:
    """Payout lines that pay the whole open window up to a day, less no more than ``late_max`` late members."""
    return _each(search, _window_less_few)


def bounded_subset(search: Search) -> Findings:
    """Payout lines that pay any of the members of their window, where chance leaves that a question worth asking."""
    return _each(search, _bounded_subset)


def _each(search: Search, one: _One) -> Findings:
    found = [one(search, int(payout)) for payout in search.payouts]
    return Findings(
        findings=tuple(each for each in found if isinstance(each, Finding)),
        limits=tuple(each for each in found if isinstance(each, Limit)),
    )


def _window_less_few(search: Search, payout: int) -> Finding | Limit | None:
    rows = search.window(payout)
    bound = search.rules.limits.group_candidates
    found = whole_windows(search, payout, rows, bound=bound) if len(rows) else None
    if found is None or isinstance(found, Limit):
        return found
    runs = [
        run
        for run in _runs_from_the_start(search, payout, rows)
        if not any(_is_alike(search, run, members) for members in found.explained)
    ]
    first = found.explained[0]
    late = np.setdiff1d(_until(search, rows, first), first)
    return _settled(
        search,
        payout,
        (*found.explained, *runs),
        found.count + len(runs),
        rows=rows,
        expected=found.expected_micro,
        claims=_claims(search, [*found.explained, *runs] if len(found.explained) == found.count else [rows]),
        details={"left_out": search.books.ledger.column("entry_key").take(late).to_pylist()},
    )


def whole_windows(
    search: Search, payout: int, rows: IntArray, *, bound: int | None
) -> WholeWindows | Limit | None:
    """Whole windows less as few members as will do; ``bound``: the most members a window less any may have."""
    if not len(rows):
        return None
    limits, steps = search.rules.limits, 0
    amounts = subset_sums.exact(search.books.ledger.amount_minor[rows])
    days = search.books.ledger.business_date[rows]
    ends = np.append(np.flatnonzero(np.diff(days)) + 1, len(rows))
    residuals = [int(residual) for residual in np.cumsum(amounts)[ends - 1] - search.amount(payout)]
    for few in range(search.rule.late_max + 1):
        windows = [
            (rows[:end], residual)
            for end, residual in zip(ends.tolist(), residuals, strict=True)
            if (residual == 0 if few == 0 else subset_sums.in_reach(amounts[:end], residual, few))
        ]
        largest = max((len(window) for window, _ in windows), default=0)
        if few and bound is not None and largest > bound:
            return search.limit(payout, "group_candidates", members=largest, limit=bound)
        steps += sum(len(window) ** max(few - 1, 0) for window, _ in windows)
        if steps > limits.search_steps:
            return search.limit(payout, "search_steps", members=largest, limit=limits.search_steps)
        found = _less(search, windows, few)
        if found.count:
            return found
    return None


def _less(search: Search, windows: Sequence[tuple[IntArray, int]], few: int) -> WholeWindows:
    """Windows less exactly so many members."""
    explained: list[IntArray] = []
    count = expected = 0
    for window, residual in windows:
        classes, values, sizes = classes_of(search, window)
        found = subset_sums.left_out(values, sizes, residual, few)
        count += found.count
        explained += [rows_taken(search, window, classes, sizes - out) for out in found.first]
        expected += subset_sums.expected_left_out_micro(
            search.books.ledger.amount_minor[window], residual, few
        )
    return WholeWindows(explained=tuple(explained), count=count, expected_micro=expected)


def _runs_from_the_start(search: Search, payout: int, rows: IntArray) -> list[IntArray]:
    """Unbroken runs from the cursor, or from the first open member, that pay the line: rivals of a window less a few.

    A member that came late and the last one of a run may have one price; then either may be the one that is open.
    """
    ordered, passed = in_order(search.books, rows, search.cursor(payout))
    ordered = ordered[passed:]
    sums = np.cumsum(subset_sums.exact(search.books.ledger.amount_minor[ordered]))
    ends = np.flatnonzero(sums == search.amount(payout))[:EXPLICIT_MAX]
    return [np.sort(ordered[: end + 1]) for end in ends.tolist()]


def _is_alike(search: Search, rows: IntArray, others: IntArray) -> bool:
    return np.array_equal(np.sort(search.alike[rows]), np.sort(search.alike[others]))


def _until(search: Search, rows: IntArray, members: IntArray) -> IntArray:
    """The rows of the window up to the last day of these members."""
    days = search.books.ledger.business_date
    return rows[days[rows] <= int(days[members].max())]


def _bounded_subset(search: Search, payout: int) -> Finding | Limit | None:
    rows, target, limits = search.window(payout), search.amount(payout), search.rules.limits
    amounts = search.books.ledger.amount_minor[rows]
    if not len(rows) or not subset_sums.in_range(amounts, target):
        return None
    expected = subset_sums.expected_accidental_micro(amounts, target)
    if expected > EXPECTED_MAX_MICRO:
        return None
    if len(rows) > limits.subset_candidates:
        return search.limit(payout, "subset_candidates", members=len(rows), limit=limits.subset_candidates)
    classes, values, sizes = classes_of(search, rows)
    if subset_sums.states(sizes) > limits.search_steps:
        return search.limit(payout, "search_steps", members=len(rows), limit=limits.search_steps)
    if not subset_sums.reachable(amounts, target):
        return None
    found = subset_sums.subsets(values, sizes, target)
    if not found.count:
        return None
    explained = [rows_taken(search, rows, classes, taken) for taken in found.first]
    used = found.most > 0
    return _settled(
        search,
        payout,
        explained,
        found.count,
        rows=rows,
        expected=expected,
        claims=(classes[used], found.most[used]),
        details={},
        chance=search.chance(expected),
    )


def _claims(search: Search, explained: Sequence[IntArray]) -> tuple[IntArray, IntArray]:
    """The most that any explanation takes of each class."""
    most: dict[int, int] = {}
    for rows in explained:
        classes, counts = np.unique(search.alike[rows], return_counts=True)
        for code, count in zip(classes.tolist(), counts.tolist(), strict=True):
            most[code] = max(most.get(code, 0), count)
    codes = np.array(sorted(most), dtype=np.int64)
    return codes, np.array([most[code] for code in codes.tolist()], dtype=np.int64)


def _settled(
    search: Search,
    payout: int,
    explained: Sequence[IntArray],
    count: int,
    *,
    rows: IntArray,
    expected: int,
    claims: tuple[IntArray, IntArray],
    details: dict[str, object],
    chance: str | None = None,
) -> Finding | None:
    """The finding without the explanations that people took apart; they are no rivals either."""
    left = [members for members in explained[:EXPLICIT_MAX] if not search.is_undone(payout, members)]
    solutions = count - (min(len(explained), EXPLICIT_MAX) - len(left))
    if not left:
        return None
    return Finding(
        payout=payout,
        members=left[0],
        solutions=solutions,
        candidates=len(rows),
        expected_micro=expected,
        claimed=claims[0],
        claimed_count=claims[1],
        others=tuple(left[1:3]),
        why=search.objection(payout, left[0]) or chance,
        details={**details, "expected_accidental": decimal_text(expected)},
    )
