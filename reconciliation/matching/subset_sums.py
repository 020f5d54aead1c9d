"""Which members of a window sum to an amount: whole window less a few, or any subset; counted, never guessed.

Law: explanations that differ only in which of several alike members they take are one; members come as classes of
alike ones, and an explanation says how many of each class it takes. ``count`` is the exact number of explanations.
All sums are exact: 64 bits where they hold them, else unbounded integers. Does not know lines, dates or references.

    classes 30.00 (two alike), 20.00, 50.00     target 80.00     30+30+20 and 30+50: two explanations
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from reconciliation.matching.candidates import counted_up
from reconciliation.matching.columns import IntArray

EXPLICIT_MAX: Final = 16  # explanations that are kept one by one; a person reads far fewer
MICRO: Final = 1_000_000
_BITS_MAX: Final = (
    1 << 26
)  # range of sums, in minor units, up to which a bit set of them is the quickest answer

Amounts = npt.NDArray[Any]  # int64, or unbounded integers as objects


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanations:
    """``first``: some of them, as numbers taken of each class; ``most``: the most that any of them takes."""

    count: int
    first: tuple[IntArray, ...]
    most: IntArray
    steps: int


def exact(values: IntArray) -> Amounts:
    """The values in a form in which no sum of them, nor twice that, can overflow."""
    largest = max(int(values.max(initial=0)), -int(values.min(initial=0)))
    return values if largest * (len(values) + 1) < 2**61 else values.astype(object)


def states(sizes: IntArray) -> int:
    """How many sums the two halves of a search over these classes have."""
    return sum(math.prod(int(sizes[at]) + 1 for at in half) for half in _halves(sizes))


def expected_accidental_micro(amounts: IntArray, target: int) -> int:
    """Subsets of the members that sum to the target by chance, in millionths: ``2^n * phi((t - mu) / s) / s``.

    ``phi`` is the normal density, ``mu`` half the sum of the amounts, ``s`` half the root of the sum of their squares.
    It rules searches out: for amounts on a lattice (price points) chance is far better than it says.
    """
    values = [int(amount) for amount in amounts]
    spread = np.sqrt(np.array([sum(value * value for value in values)], dtype=np.float64)) / 2
    if not spread[0] > 0:
        return 0
    off = np.array([2 * target - sum(values)], dtype=np.float64) / 2 / spread
    bits = len(values) - np.log2(spread * np.sqrt(2 * np.pi)) - off * off / 2 * np.log2(np.e)
    return int(np.rint(np.exp2(np.minimum(bits, 40)) * MICRO)[0])


def expected_left_out_micro(amounts: IntArray, residual: int, few: int) -> int:
    """Choices of ``few`` members that sum to the residual by chance, in millionths, as their sums were normal."""
    values = [int(amount) for amount in amounts]
    count = len(values)
    variance = count * sum(value * value for value in values) - sum(values) ** 2
    if few == 0 or variance <= 0:
        return 0
    spread = np.sqrt(np.array([variance * few], dtype=np.float64)) / count
    off = np.array([residual * count - few * sum(values)], dtype=np.float64) / count / spread
    density = np.exp(-off * off / 2) / (spread * np.sqrt(2 * np.pi))
    return int(np.rint(np.minimum(density * math.comb(count, few), MICRO) * MICRO)[0])


def in_range(amounts: IntArray, target: int) -> bool:
    """Whether the target lies between the lowest and the highest sum, on the lattice of all sums."""
    values = [int(amount) for amount in amounts]
    lowest = sum(value for value in values if value < 0)
    highest = sum(value for value in values if value > 0)
    return lowest <= target <= highest and target % (math.gcd(*values) or 1) == 0


def reachable(amounts: IntArray, target: int) -> bool:
    """Whether any subset may reach the target: False is proof, True may only mean that it was too wide to look."""
    values = [int(amount) for amount in amounts]
    lowest = sum(value for value in values if value < 0)
    highest = sum(value for value in values if value > 0)
    if not in_range(amounts, target):
        return False
    if highest - lowest > _BITS_MAX:
        return True
    sums = 1 << -lowest
    for value in values:
        sums |= sums << value if value > 0 else sums >> -value
    return bool(sums >> (target - lowest) & 1)


def subsets(amounts: IntArray, sizes: IntArray, target: int) -> Explanations:
    """All ways to reach the target with up to ``sizes`` members of each class: meet in the middle."""
    left, right = _halves(sizes)
    values = exact(np.repeat(amounts, sizes))
    values = amounts.astype(values.dtype)
    left_sums, right_sums = (_all_sums(values[list(half)], sizes[list(half)]) for half in (left, right))
    order = np.argsort(right_sums, kind="stable")
    ordered = right_sums[order]
    wanted = target - left_sums
    first = np.searchsorted(ordered, wanted, side="left")
    count = np.searchsorted(ordered, wanted, side="right") - first
    hits = np.flatnonzero(count)
    few = hits[:EXPLICIT_MAX]
    at_left = np.repeat(few, count[few])[:EXPLICIT_MAX]
    at_right = order[counted_up(first[few], count[few])[:EXPLICIT_MAX]]
    most = np.zeros(len(amounts), dtype=np.int64)
    for half, at in ((left, hits), (right, np.flatnonzero(np.isin(right_sums, wanted[hits])))):
        if len(half) and len(at):
            most[list(half)] = np.max(_digits(at, sizes[list(half)]), axis=1)
    taken = np.zeros((len(at_left), len(amounts)), dtype=np.int64)
    taken[:, list(left)] = _digits(at_left, sizes[list(left)]).T
    taken[:, list(right)] = _digits(at_right, sizes[list(right)]).T
    return Explanations(
        count=int(count.sum()), first=tuple(taken), most=most, steps=len(left_sums) + len(right_sums)
    )


def left_out(amounts: IntArray, sizes: IntArray, residual: int, few: int) -> Explanations:
    """All ways in which exactly ``few`` (at most 3) members sum to the residual; by look-up of the last of them."""
    if few == 0:
        whole = np.zeros((1 if residual == 0 else 0, len(amounts)), dtype=np.int64)
        return Explanations(count=len(whole), first=tuple(whole), most=np.zeros_like(sizes), steps=1)
    values = exact(np.repeat(amounts, sizes))
    values = amounts.astype(values.dtype)
    order = np.argsort(values, kind="stable")
    chosen = [np.empty((0, few), dtype=np.int64)]
    opening = [()] if few == 1 else _openings(len(amounts), few - 1)
    steps = 0
    for head in opening:
        block, looked = (
            _last_two(values, order, residual, head) if few > 1 else _last(values, order, residual)
        )
        steps += looked
        chosen.append(block)
    found = np.concatenate(chosen)
    taken = np.zeros((len(found), len(amounts)), dtype=np.int64)
    for column in found.T:
        np.add.at(taken, (np.arange(len(found)), column), 1)
    taken = taken[np.all(taken <= sizes, axis=1)]
    most = np.max(taken, axis=0, initial=0) if len(taken) else np.zeros_like(sizes)
    return Explanations(count=len(taken), first=tuple(taken[:EXPLICIT_MAX]), most=most, steps=steps)


def in_reach(amounts: IntArray, residual: int, few: int) -> bool:
    """Whether ``few`` members could sum to the residual at all, by the largest and the smallest of them."""
    if len(amounts) <= few:
        return False
    lowest, highest = np.partition(amounts, few - 1)[:few], np.partition(amounts, -few)[-few:]
    return sum(map(int, lowest)) <= residual <= sum(map(int, highest))


def _openings(classes: int, few: int) -> list[tuple[int, ...]]:
    """What comes before the last two: nothing for pairs, each class for triples."""
    return [()] if few == 1 else [(at,) for at in range(classes)]


def _last(values: Amounts, order: IntArray, residual: int) -> tuple[IntArray, int]:
    return np.sort(order[values[order] == residual]).reshape(-1, 1), len(values)


def _last_two(values: Amounts, order: IntArray, residual: int, head: Sequence[int]) -> tuple[IntArray, int]:
    """Classes that complete ``head``, in ascending order, none before the last of it."""
    begin = head[-1] if head else 0
    third = np.arange(begin, len(values))
    wanted = residual - sum(int(values[at]) for at in head) - values[third]
    ordered = values[order]
    first = np.searchsorted(ordered, wanted, side="left")
    count = np.searchsorted(ordered, wanted, side="right") - first
    one, other = np.repeat(third, count), order[counted_up(first, count)]
    keep = other >= one
    one, other = one[keep], other[keep]
    place = np.lexsort((other, one))
    parts = [np.full(len(one), at, dtype=np.int64) for at in head]
    return np.stack([*parts, one[place], other[place]], axis=1), len(third)


def _halves(sizes: IntArray) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Classes in two parts with about equally many sums: the largest first, each to the smaller part."""
    parts: tuple[list[int], list[int]] = ([], [])
    products = [1, 1]
    for at in sorted(range(len(sizes)), key=lambda place: (-int(sizes[place]), place)):
        side = 0 if products[0] <= products[1] else 1
        parts[side].append(at)
        products[side] *= int(sizes[at]) + 1
    return tuple(sorted(parts[0])), tuple(sorted(parts[1]))


def _all_sums(amounts: Amounts, sizes: IntArray) -> Amounts:
    """The sum of every choice; the last class changes fastest."""
    sums = np.zeros(1, dtype=amounts.dtype)
    for amount, size in zip(amounts, sizes, strict=True):
        sums = (sums[:, None] + amount * np.arange(int(size) + 1).astype(amounts.dtype)[None, :]).ravel()
    return sums


def _digits(at: IntArray, sizes: IntArray) -> IntArray:
    """How many of each class the choices at these places take, one row for each class."""
    digits = np.zeros((len(sizes), len(at)), dtype=np.int64)
    rest = at.copy()
    for place in range(len(sizes) - 1, -1, -1):
        rest, digits[place] = np.divmod(rest, int(sizes[place]) + 1)
    return digits
