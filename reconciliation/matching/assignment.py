"""Which of the weighed pairs go together one to one, and by how much the choice beats every other.

Pairs fall into connected components. Within one the most pairs are taken, and of all ways to take that many the one
with the most weight; a pair not half as good as the best of either of its ends does not count towards "the most", so
that one sound pair is not given up for two that hardly are. The margin of a pair is the weight taken less the most
that could be taken without it, whether in as many pairs or in fewer:

    A-L1 9, A-L2 8, B-L1 8        A-L2 and B-L1 (16), margin 7 each: without either, A-L1 (9) is the best
    A-L1 9, A-L2 9                A-L1, margin 0: nothing to choose by

Lines that nothing tells apart are one class: their number counts, and which of them is taken is settled by canonical
order. A margin therefore compares choices among classes; to swap twins is no other choice. Law: the result follows
from weights and canonical order alone. A component too large for an exact answer is left whole and named.

Optimum by ``scipy``'s assignment solvers on whole numbers; margins by shortest paths between the classes over what
each change of the optimum would cost.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components, dijkstra, min_weight_full_bipartite_matching

from reconciliation.matching.candidates import combined
from reconciliation.matching.columns import BoolArray, IntArray

MARGIN_MAX_MILLIBITS: Final = 60_000  # beyond, a margin says no more
SPARSE_FACTOR: Final = 5  # components up to so many times the dense bound are solved sparsely
WORK_MAX: Final = 1_000_000_000  # edges looked at for the margins of one component: some seconds

_MIX: Final = np.uint64(0x9E3779B97F4A7C15)  # odd; spreads codes over 64 bits
_SHIFT: Final = np.uint64(29)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigned:
    """Chosen pairs as positions among the pairs given, with margin and number of twins on either side.

    ``component``: of every pair given, numbered by its first pair. ``too_large``: components left undecided.
    """

    pair: IntArray
    margin_millibits: IntArray
    twins_external: IntArray
    twins_ledger: IntArray
    component: IntArray
    too_large: IntArray


@dataclass(frozen=True, slots=True)
class _Classes:
    """Pairs between classes of units; parallel ``left``, ``right``, ``weight``. Units are listed by class."""

    left: IntArray
    right: IntArray
    weight: IntArray
    left_of: IntArray  # class of each external unit
    right_of: IntArray
    left_size: IntArray
    right_size: IntArray


def assign(
    external: IntArray,
    ledger: IntArray,
    weight: IntArray,
    *,
    external_content: IntArray,
    ledger_content: IntArray,
    items_max: int,
) -> Assigned:
    """The best one-to-one choice among pairs of row numbers with positive weights, in millibits.

    Args:
        external: rows of the pairs; a row number is a place in canonical order.
        ledger: parallel to it; no pair twice.
        weight: what each pair is worth over leaving both its rows alone.
        external_content: by row, equal where nothing in the content tells two rows apart; likewise ``ledger_content``.
        ledger_content: see there.
        items_max: rows of both sides that one component may have for the dense solver.
    """
    left_rows, left = np.unique(external, return_inverse=True)
    right_rows, right = np.unique(ledger, return_inverse=True)
    left_of = _classes(external_content[left_rows], left, right, weight)
    right_of = _classes(ledger_content[right_rows], right, left, weight)
    stride = max(len(right_rows), 1)
    pairs, first = np.unique(left_of[left] * stride + right_of[right], return_index=True)
    classes = _Classes(
        left=pairs // stride,
        right=pairs % stride,
        weight=weight[first],
        left_of=left_of,
        right_of=right_of,
        left_size=np.bincount(left_of, minlength=1),
        right_size=np.bincount(right_of, minlength=1),
    )
    component = _components(classes)
    flow, margin, too_large = _decide(classes, component, items_max)
    chosen = _units(classes, flow)
    position = dict(zip((left * stride + right).tolist(), range(len(left)), strict=True))
    named = (chosen[0] * stride + chosen[1]).tolist()
    return Assigned(
        pair=np.array([position[name] for name in named], dtype=np.int64),
        margin_millibits=margin[chosen[2]],
        twins_external=classes.left_size[classes.left[chosen[2]]],
        twins_ledger=classes.right_size[classes.right[chosen[2]]],
        component=component[np.searchsorted(pairs, left_of[left] * stride + right_of[right])],
        too_large=too_large,
    )


def _classes(content: IntArray, own: IntArray, other: IntArray, weight: IntArray) -> IntArray:
    """Class of each unit: same content, and the same weights with the same units; numbered in canonical order."""
    mixed = (other.astype(np.uint64) * _MIX + weight.astype(np.uint64) + np.uint64(1)) * _MIX
    mixed = (mixed ^ (mixed >> _SHIFT)) * _MIX
    signature = np.zeros(len(content), dtype=np.uint64)
    np.add.at(signature, own, mixed)
    code = combined(content, np.unique(signature, return_inverse=True)[1])
    first, inverse = np.unique(code, return_index=True, return_inverse=True)[1:]
    number = np.empty(len(first), dtype=np.int64)
    number[np.argsort(first)] = np.arange(len(first))
    return number[inverse]


def _components(classes: _Classes) -> IntArray:
    """Component of each class pair, numbered by its first."""
    lefts, rights = len(classes.left_size), len(classes.right_size)
    ones = np.ones(len(classes.left), dtype=np.int8)
    graph = coo_array((ones, (classes.left, classes.right + lefts)), shape=(lefts + rights,) * 2)
    label = connected_components(graph.tocsr(), directed=False)[1][classes.left].astype(np.int64)
    first, inverse = np.unique(label, return_index=True, return_inverse=True)[1:]
    number = np.empty(len(first), dtype=np.int64)
    number[np.argsort(first)] = np.arange(len(first))
    return number[inverse]


def _decide(classes: _Classes, component: IntArray, items_max: int) -> tuple[IntArray, IntArray, IntArray]:
    """How many units go over each class pair, its margin, and the components that were too large."""
    flow = np.zeros(len(component), dtype=np.int64)
    margin = np.zeros(len(component), dtype=np.int64)
    size = np.bincount(component, minlength=1)
    alone = np.flatnonzero((size == 1)[component])
    flow[alone] = np.minimum(classes.left_size[classes.left[alone]], classes.right_size[classes.right[alone]])
    margin[alone] = np.minimum(classes.weight[alone], MARGIN_MAX_MILLIBITS)
    order = np.argsort(component, kind="stable")
    start = np.cumsum(size) - size
    too_large = []
    for number in np.flatnonzero(size > 1).tolist():
        at = order[start[number] : start[number] + size[number]]
        found = _solved(_Component.of(classes, at), items_max)
        if found is None:
            too_large.append(number)
        else:
            flow[at], margin[at] = found
    return flow, margin, np.array(too_large, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class _Component:
    """One component with its own numbers for classes."""

    left: IntArray
    right: IntArray
    weight: IntArray
    left_size: IntArray
    right_size: IntArray

    @classmethod
    def of(cls, classes: _Classes, at: IntArray) -> "_Component":
        lefts, left = np.unique(classes.left[at], return_inverse=True)
        rights, right = np.unique(classes.right[at], return_inverse=True)
        left_size, right_size = classes.left_size[lefts], classes.right_size[rights]
        # of a thousand twins no more are needed than there are units to go with
        left_met = np.bincount(left, weights=right_size[right]).astype(np.int64)
        right_met = np.bincount(right, weights=left_size[left]).astype(np.int64)
        return cls(
            left,
            right,
            classes.weight[at],
            np.minimum(left_size, left_met + 1),  # one more, so that it is still seen that not all are taken
            np.minimum(right_size, right_met + 1),
        )

    def __len__(self) -> int:
        return int(self.left_size.sum() + self.right_size.sum())


def _solved(one: _Component, items_max: int) -> tuple[IntArray, IntArray] | None:
    """Units over each class pair and margins; None for a component beyond the bounds."""
    work = len(one.left) * min(int(one.left_size.sum()), int(one.right_size.sum()))
    if len(one) > items_max * SPARSE_FACTOR or work > WORK_MAX:
        return None
    dense = len(one) <= items_max
    heaviest = _flow(one, one.weight, dense=dense)
    one_more = int(one.weight.max()) * min(int(one.left_size.sum()), int(one.right_size.sum())) + 1
    most = _flow(one, one.weight + np.where(_sound(one), one_more, 0), dense=dense)
    behind = int((heaviest * one.weight).sum() - (most * one.weight).sum())
    heaviest = most if behind == 0 else heaviest
    margin = np.where(most <= heaviest, _margins(one, heaviest), 0) - behind
    return most, np.clip(margin, -MARGIN_MAX_MILLIBITS, MARGIN_MAX_MILLIBITS)


def _sound(one: _Component) -> BoolArray:
    """Pairs at least half as good as the best of either end."""
    best_left = np.zeros(len(one.left_size), dtype=np.int64)
    best_right = np.zeros(len(one.right_size), dtype=np.int64)
    np.maximum.at(best_left, one.left, one.weight)
    np.maximum.at(best_right, one.right, one.weight)
    best = np.maximum(best_left[one.left], best_right[one.right])
    return np.asarray(2 * one.weight >= best, dtype=np.bool_)


def _flow(one: _Component, weight: IntArray, *, dense: bool) -> IntArray:
    """Units over each class pair in the choice with the greatest sum of weights; a weight of 0 is no pair."""
    lefts = np.repeat(np.arange(len(one.left_size)), one.left_size)
    rights = np.repeat(np.arange(len(one.right_size)), one.right_size)
    table = np.full((len(one.left_size), len(one.right_size)), -1, dtype=np.int64)
    used = np.flatnonzero(weight > 0)
    table[one.left[used], one.right[used]] = used
    edge = table[lefts][:, rights]
    pairs = _dense(edge, weight) if dense else _sparse(edge, weight)
    return np.bincount(pairs, minlength=len(weight)).astype(np.int64)


def _dense(edge: IntArray, weight: IntArray) -> IntArray:
    """Chosen edges; what is no edge is worth nothing, and is dropped where the solver took it."""
    value = np.append(weight, 0)[edge]  # -1, no edge, is the last
    rows, columns = linear_sum_assignment(value, maximize=True)
    chosen = edge[rows, columns]
    return np.asarray(chosen[chosen >= 0], dtype=np.int64)


def _sparse(edge: IntArray, weight: IntArray) -> IntArray:
    """As ``_dense``: every row may also have a place of its own, which is worth nothing."""
    rows, columns = np.nonzero(edge >= 0)
    count = len(edge)
    own = np.arange(count)
    value = np.concatenate([weight[edge[rows, columns]] + 1, np.ones(count, dtype=np.int64)])
    ends = np.concatenate([rows, own]), np.concatenate([columns, edge.shape[1] + own])
    graph = csr_array((value, ends), shape=(count, edge.shape[1] + count))
    at, to = min_weight_full_bipartite_matching(graph, maximize=True)
    real = to < edge.shape[1]
    return np.asarray(edge[at[real], to[real]], dtype=np.int64)


def _margins(one: _Component, flow: IntArray) -> IntArray:
    """For each class pair with units over it, what the best choice with one unit less over it costs.

    Nodes are the classes and one for "alone". An arc is a change by one unit: to a pair (costs its weight, negative),
    from a pair, into or out of being alone. With potentials from the optimum no arc is negative, and a shortest path
    from one end of a pair to the other, not over the pair itself, is its margin.
    """
    lefts, rights = len(one.left_size), len(one.right_size)
    alone = lefts + rights
    used = flow > 0
    left, right = one.left, one.right + lefts
    left_free = np.flatnonzero(one.left_size > np.bincount(one.left, weights=flow, minlength=lefts))
    right_free = (
        np.flatnonzero(one.right_size > np.bincount(one.right, weights=flow, minlength=rights)) + lefts
    )
    source = np.concatenate(
        [
            left,
            right[used],
            np.arange(lefts),
            np.full(len(left_free), alone),
            np.full(rights, alone),
            right_free,
        ]
    )
    target = np.concatenate(
        [
            right,
            left[used],
            np.full(lefts, alone),
            left_free,
            np.arange(lefts, alone),
            np.full(len(right_free), alone),
        ]
    )
    cost = np.zeros(len(source), dtype=np.int64)
    cost[: len(left)] = -one.weight
    cost[len(left) : len(left) + int(used.sum())] = one.weight[used]
    cost += _potential_drops(source, target, cost, alone + 1)
    graph = csr_array((cost.astype(np.float64), (source, target)), shape=(alone + 1, alone + 1))
    graph.sort_indices()
    return _shortest_ways_round(graph, left, right, used)


def _potential_drops(source: IntArray, target: IntArray, cost: IntArray, count: int) -> IntArray:
    """Per arc, the difference of potentials that makes its cost non-negative; there is no negative cycle."""
    height = np.zeros(count, dtype=np.int64)
    while True:
        lower = height.copy()
        np.minimum.at(lower, target, height[source] + cost)
        if np.array_equal(lower, height):
            return np.asarray(height[source] - height[target], dtype=np.int64)
        height = lower


def _shortest_ways_round(
    graph: "csr_array[np.float64]", left: IntArray, right: IntArray, used: BoolArray
) -> IntArray:
    """Shortest paths from ``left`` to ``right`` of the used pairs, each without the arc of the pair itself."""
    result = np.full(len(left), MARGIN_MAX_MILLIBITS, dtype=np.int64)
    data: npt.NDArray[np.float64] = graph.data
    for at in np.flatnonzero(used).tolist():
        start, end = graph.indptr[left[at]], graph.indptr[left[at] + 1]
        arc = start + int(np.searchsorted(graph.indices[start:end], right[at]))
        kept, data[arc] = data[arc], np.inf
        way = dijkstra(graph, indices=[int(left[at])], limit=MARGIN_MAX_MILLIBITS)[0, right[at]]
        data[arc] = kept
        if np.isfinite(way):
            result[at] = np.int64(way)
    return result


def _units(classes: _Classes, flow: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Pairs of units with the class pair each stands for: classes' units in canonical order, first come first."""
    pair = np.repeat(np.arange(len(flow)), flow)
    found = []
    for of, ends in ((classes.left_of, classes.left), (classes.right_of, classes.right)):
        units = np.argsort(of, kind="stable")
        size = np.bincount(of, minlength=1)
        start = np.cumsum(size) - size
        by_class = np.argsort(ends[pair], kind="stable")
        taken = np.bincount(ends[pair], minlength=len(size))
        rank = np.arange(len(pair)) - np.repeat(np.cumsum(taken) - taken, taken)
        chosen = np.empty(len(pair), dtype=np.int64)
        chosen[by_class] = units[start[ends[pair][by_class]] + rank]
        found.append(chosen)
    return found[0], found[1], pair
