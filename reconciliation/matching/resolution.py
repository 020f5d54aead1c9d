"""Decides candidate edges one to one: pairs what has one explanation, names what has several.

Edges fall into connected components. Within one,

- one external unit and one ledger unit are a pair;
- if all external units are interchangeable and all ledger units are, they are paired in canonical order (business
  date, then key) and the rest stays open: which of the twins is paired changes no balance and no customer;
- anything else is ambiguous, and nothing in it is paired.

    E1 E2 same content, L1: E1-L1, E2 open          E1, L1 (customer A), L2 (customer B): ambiguous

Interchangeable means equal in everything that could tell items apart: kind, counterparty, fee, original amount, and
each reference the other side of the component could answer. A reference nobody on the other side knows (the bank's
own number of a line, when the ledger never heard of it) tells nothing apart.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from reconciliation.matching.books import Side
from reconciliation.matching.candidates import (
    Candidates,
    Pairing,
    Units,
    counted_up,
    limit_at,
    partners,
)
from reconciliation.matching.columns import BoolArray, IntArray
from reconciliation.matching.result import Limit
from reconciliation.matching.twins import canonical_walk, most_pairs
from reconciliation.sources import EXTERNAL_REFERENCE_COLUMNS

AMBIGUOUS_PAIRS_MAX: Final = 100_000  # candidates listed for one component; a person reads far fewer


@dataclass(frozen=True, slots=True, kw_only=True)
class Ambiguity:
    """Candidates of undecided components as parallel arrays of unit numbers; ``reasons`` by component number."""

    external: IntArray
    ledger: IntArray
    component: IntArray
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """Pairs of unit numbers; ``twins_*``: how many interchangeable units of either side the pair was chosen from."""

    external: IntArray
    ledger: IntArray
    twins_external: IntArray
    twins_ledger: IntArray
    ambiguity: Ambiguity
    limits: tuple[Limit, ...]

    def __len__(self) -> int:
        return len(self.external)


@dataclass(frozen=True, slots=True)
class _Component:
    """Units of either side with the number of their component."""

    external: IntArray
    external_of: IntArray
    ledger: IntArray
    ledger_of: IntArray
    count: int


def resolve(task: Pairing, found: Candidates) -> Resolution:
    """The decision over the candidates found for ``task``."""
    external_size = np.bincount(found.external_cell, minlength=1)
    ledger_size = np.bincount(found.ledger_cell, minlength=1)
    external_load = external_size * np.bincount(found.external, minlength=len(external_size))
    ledger_load = ledger_size * np.bincount(found.ledger, minlength=len(ledger_size))
    alone = external_load[found.external] * ledger_load[found.ledger] == 1
    component = _components(found.external[~alone], found.ledger[~alone])
    differing = _differing(task, component)
    undecided = np.zeros(component.count, dtype=np.bool_)
    for differs in differing.values():
        undecided |= differs
    left, right, twins_left, twins_right = _pair_twins(task, _with_twins(component, found, ~undecided))
    ambiguity, limits = _ambiguity(task, found, component, differing, undecided)
    ones = np.ones(int(alone.sum()), dtype=np.int64)
    return Resolution(
        external=np.concatenate([found.external[alone], left]),
        ledger=np.concatenate([found.ledger[alone], right]),
        twins_external=np.concatenate([ones, twins_left]),
        twins_ledger=np.concatenate([ones, twins_right]),
        ambiguity=ambiguity,
        limits=(*found.limits, *limits),
    )


def _components(left: IntArray, right: IntArray) -> _Component:
    """Connected components of the edges, numbered by their first external unit."""
    external, at_external = np.unique(left, return_inverse=True)
    ledger, at_ledger = np.unique(right, return_inverse=True)
    a, b = at_external, at_ledger + len(external)
    label = np.arange(len(external) + len(ledger))
    while True:
        low = np.minimum(label[a], label[b])
        new = label.copy()
        for ends in (a, b, label[a], label[b]):
            np.minimum.at(new, ends, low)
        new = new[new]
        if np.array_equal(new, label):
            break
        label = new
    numbers = np.unique(label, return_inverse=True)[1]
    count = int(numbers.max(initial=-1)) + 1
    return _Component(external, numbers[: len(external)], ledger, numbers[len(external) :], count)


def _differing(task: Pairing, component: _Component) -> dict[str, BoolArray]:
    """For each column and component, whether units of one side differ in it and the other side could tell."""
    result: dict[str, BoolArray] = {}
    if not component.count:
        return result
    books = task.books
    sides = (
        (books.external, task.external, component.external, component.external_of),
        (books.ledger, task.ledger, component.ledger, component.ledger_of),
    )
    for own, other in (sides, sides[::-1]):
        side, units, at, of = own
        rows = units.rows[at]
        for name in side.content:
            result[f"{side.name} {name}"] = _varies(side.content_codes(name, rows), of, component.count)
        if units.content is not None:
            result[f"{side.name} lines"] = _varies(units.content[at], of, component.count)
        for name in EXTERNAL_REFERENCE_COLUMNS:
            varies = _varies(side.content_codes(name, rows), of, component.count)
            if varies.any():
                known = _known(
                    other, partners(books, name, of_external=side is books.external), component.count
                )
                result[f"{side.name} {name}"] = varies & known
    return result


def _varies(codes: IntArray, of: IntArray, count: int) -> BoolArray:
    low = np.full(count, np.iinfo(np.int64).max)
    high = np.full(count, -1)
    np.minimum.at(low, of, codes)
    np.maximum.at(high, of, codes)
    return np.asarray(low < high, dtype=np.bool_)


def _known(other: tuple[Side, Units, IntArray, IntArray], names: tuple[str, ...], count: int) -> BoolArray:
    """In which components the other side holds a value in any of these reference columns."""
    side, units, at, of = other
    known = np.zeros(count, dtype=np.bool_)
    for name in names:
        known[of[side.content_codes(name, units.rows[at]) > 0]] = True
    return known


def _with_twins(component: _Component, found: Candidates, wanted: BoolArray) -> _Component:
    """The wanted components with every unit that a representative stands for, in canonical order."""
    sides = []
    for at, of, cell in (
        (component.external, component.external_of, found.external_cell),
        (component.ledger, component.ledger_of, found.ledger_cell),
    ):
        number = np.full(len(cell), -1, dtype=np.int64)
        number[at] = np.where(wanted[of], of, -1)
        number = number[cell]
        units = np.flatnonzero(number >= 0)
        units = units[np.argsort(number[units], kind="stable")]
        sides.append((units, number[units]))
    return _Component(*sides[0], *sides[1], component.count)


def _pair_twins(task: Pairing, members: _Component) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Pairs of interchangeable units in canonical order, with the numbers of twins on either side.

    All dates within one window: the first with the first, in bulk. Otherwise a walk along both; and where a pair so
    found may not be (people undid it), the most pairs there can be, earliest first.
    """
    count = [np.bincount(of, minlength=members.count) for of in (members.external_of, members.ledger_of)]
    start = [np.cumsum(number) - number for number in count]
    pairs = np.minimum(count[0], count[1])
    of = np.repeat(np.arange(members.count), pairs)
    left = members.external[counted_up(start[0], pairs)]
    right = members.ledger[counted_up(start[1], pairs)]
    again = np.zeros(members.count, dtype=np.bool_)
    again[of[~task.allows(left, right)]] = True
    window_days = task.books.window_days
    if window_days is not None:
        again |= _spread(task, members) > window_days
    keep = ~again[of]
    found = [(left[keep], right[keep], of[keep])]
    for number in np.flatnonzero(again & (pairs > 0)):
        lefts = members.external[start[0][number] : start[0][number] + count[0][number]]
        rights = members.ledger[start[1][number] : start[1][number] + count[1][number]]
        one = canonical_walk(
            lefts, rights, task.external.business_date, task.ledger.business_date, window_days=window_days
        )
        if not task.allows(*one).all():
            one = most_pairs(lefts, rights, task.allows)
        found.append((*one, np.full(len(one[0]), number)))
    left, right, of = (np.concatenate(part) for part in zip(*found, strict=True))
    return left, right, count[0][of], count[1][of]


def _spread(task: Pairing, members: _Component) -> IntArray:
    """Days between the first and the last unit of each component."""
    low = np.full(members.count, np.iinfo(np.int32).max, dtype=np.int64)
    high = np.full(members.count, np.iinfo(np.int32).min, dtype=np.int64)
    for units, at, of in (
        (task.external, members.external, members.external_of),
        (task.ledger, members.ledger, members.ledger_of),
    ):
        np.minimum.at(low, of, units.business_date[at])
        np.maximum.at(high, of, units.business_date[at])
    return high - low


def _ambiguity(
    task: Pairing,
    found: Candidates,
    component: _Component,
    differing: dict[str, BoolArray],
    undecided: BoolArray,
) -> tuple[Ambiguity, list[Limit]]:
    """Candidate pairs of the undecided components, unit by unit; one too large to list is named as a limit."""
    if not undecided.any():
        nothing = np.empty(0, dtype=np.int64)
        return Ambiguity(external=nothing, ledger=nothing, component=nothing, reasons=()), []
    members = _with_twins(component, found, undecided)
    counts = [np.bincount(of, minlength=component.count) for of in (members.external_of, members.ledger_of)]
    number = np.full(len(found.external_cell), -1, dtype=np.int64)
    number[members.external] = members.external_of
    twins = [_listed(cell) for cell in (found.external_cell, found.ledger_cell)]
    sizes = twins[0][1][found.external] * twins[1][1][found.ledger]
    edge_of = number[found.external]
    total = np.zeros(component.count, dtype=np.int64)
    np.add.at(total, edge_of[edge_of >= 0], sizes[edge_of >= 0])
    limits = []
    for too_large in np.flatnonzero(total > AMBIGUOUS_PAIRS_MAX):
        row = int(task.external.rows[members.external[members.external_of == too_large][0]])
        size = (int(counts[0][too_large]), int(counts[1][too_large]))
        limits.append(
            limit_at(
                task.books,
                row,
                match_pass=task.match_pass,
                what="ambiguous_candidates",
                counts=size,
                limit=AMBIGUOUS_PAIRS_MAX,
            )
        )
    edges = np.flatnonzero((edge_of >= 0) & (total[edge_of] <= AMBIGUOUS_PAIRS_MAX))
    left, right = _expanded(found.external[edges], found.ledger[edges], twins)
    order = np.lexsort((right, left))
    left, right = left[order], right[order]
    used, dense = np.unique(number[left], return_inverse=True)
    reasons = tuple(_reason(differing, int(of), int(counts[0][of]), int(counts[1][of])) for of in used)
    return Ambiguity(external=left, ledger=right, component=dense, reasons=reasons), limits


def _listed(cell: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Units ordered by the one that stands for them, with the number and the start of each cell."""
    size = np.bincount(cell, minlength=len(cell))
    return np.argsort(cell, kind="stable"), size, np.cumsum(size) - size


def _expanded(
    left: IntArray, right: IntArray, twins: list[tuple[IntArray, IntArray, IntArray]]
) -> tuple[IntArray, IntArray]:
    """Edges between representatives as edges between all the units they stand for."""
    for units, size, start in twins:
        each = counted_up(start[left], size[left])
        right = np.repeat(right, size[left])
        left, right = right, units[each]  # the ends change places, so after two turns they are back
    return left, right


def _reason(differing: dict[str, BoolArray], component: int, external_count: int, ledger_count: int) -> str:
    """Why no pair was chosen, in a sentence."""
    names = [name for name, differs in differing.items() if differs[component]]
    counted = f"{external_count} external and {ledger_count} ledger items agree in a reference and the amount"
    return f"{counted}, and are not interchangeable: they differ in {', '.join(names)}"
