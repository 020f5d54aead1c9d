"""Ledger lines taken together: those that share a reference, of one entry or of several.

A bundle stands for the sum of its lines, is dated by its latest, and is placed by its first in the canonical order.
Sums are exact: where 64 bits might not hold them they are computed with unbounded integers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from reconciliation.matching.books import Side
from reconciliation.matching.candidates import Units, combined, counted_up
from reconciliation.matching.columns import BoolArray, IntArray, flags, kernel
from reconciliation.matching.proposals import Membership
from reconciliation.sources import EXTERNAL_REFERENCE_COLUMNS


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundles:
    """``units[i]`` has the lines ``lines[start[i] : start[i] + size[i]]`` (rows in canonical order)."""

    units: Units
    lines: IntArray
    start: IntArray
    size: IntArray

    def members(self, units: IntArray) -> Membership:
        """Lines of these bundles, one group for each bundle named."""
        size = self.size[units]
        return Membership(
            group=np.repeat(np.arange(len(units)), size), rows=self.lines[counted_up(self.start[units], size)]
        )


def bundle(side: Side, rows: IntArray, keys: IntArray) -> Bundles:
    """Rows with equal keys as bundles; parallel arrays, rows ascending."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    start = np.flatnonzero(np.diff(ordered, prepend=ordered[:1] - 1))
    size = np.diff(np.append(start, len(ordered)))
    lines = rows[order]
    place = np.argsort(lines[start], kind="stable")
    start, size = start[place], size[place]
    lines, start = lines[counted_up(start, size)], np.cumsum(size) - size
    return Bundles(units=_units(side, lines, start), lines=lines, start=start, size=size)


def selected(side: Side, bundles: Bundles, keep: BoolArray) -> Bundles:
    """The kept bundles."""
    at = np.flatnonzero(keep)
    members, size = bundles.members(at), bundles.size[at]
    start = np.cumsum(size) - size
    return Bundles(units=_units(side, members.rows, start), lines=members.rows, start=start, size=size)


def told_apart(side: Side, bundles: Bundles, keys: Sequence[IntArray]) -> Bundles:
    """The bundles with a content code where several share the same ``keys``: equal lines, equal code."""
    same = combined(bundles.units.amount_minor, *keys)
    crowded = np.flatnonzero((np.bincount(same, minlength=1) > 1)[same])
    content = np.zeros(len(bundles.size), dtype=np.int64)
    if len(crowded):
        content[crowded] = _content(side, bundles, crowded)
    units = bundles.units
    return Bundles(
        units=Units(
            rows=units.rows,
            amount_minor=units.amount_minor,
            business_date=units.business_date,
            content=content,
        ),
        lines=bundles.lines,
        start=bundles.start,
        size=bundles.size,
    )


def sums(values: IntArray, start: IntArray) -> npt.NDArray[Any]:
    """Exact sums of consecutive runs; unbounded integers where 64 bits could overflow."""
    if not len(start):
        return np.empty(0, dtype=np.int64)
    largest = max(int(values.max()), -int(values.min()))
    if largest * len(values) < 2**63:
        return np.add.reduceat(values, start)
    return np.asarray(np.add.reduceat(values.astype(object), start))


def is_fee_kind(side: Side) -> BoolArray:
    """Which items of a side are of kind fee."""
    return flags(kernel.equal(side.column("kind"), "fee"))


def _units(side: Side, lines: IntArray, start: IntArray) -> Units:
    total = sums(side.amount_minor[lines], start)
    if total.dtype == object:  # a sum that no line can equal is out of reach anyway
        total = np.array([min(max(value, -(2**63)), 2**63 - 1) for value in total], dtype=np.int64)
    latest = (
        np.maximum.reduceat(side.business_date[lines], start) if len(start) else np.empty(0, dtype=np.int64)
    )
    return Units(rows=lines[start], amount_minor=total, business_date=latest)


def _content(side: Side, bundles: Bundles, at: IntArray) -> IntArray:
    """Codes of bundles by the multiset of their lines' content; only for the few that could be taken for each other."""
    members = bundles.members(at)
    names = (*side.content, *EXTERNAL_REFERENCE_COLUMNS)
    line = combined(
        side.amount_minor[members.rows], *(side.content_codes(name, members.rows) for name in names)
    )
    ends = np.cumsum(bundles.size[at])[:-1]
    known: dict[tuple[int, ...], int] = {}
    return np.array(
        [known.setdefault(tuple(sorted(part.tolist())), len(known)) for part in np.split(line, ends)],
        dtype=np.int64,
    )
