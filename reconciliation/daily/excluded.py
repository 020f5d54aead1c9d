"""Lines that people took out of the reckoning: from the day of the decision on they are in no group and no exception.

Law: an excluded line is counted on the day it leaves and stays in the bridge for ever after, so that nothing vanishes;
a decision holds for the version of the line it was made about. Pure.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute

from reconciliation.exceptions.decisions import DecidedLine

kernel: Any = pyarrow.compute  # its stubs do not know that kernels take plain values


@dataclass(frozen=True, slots=True, kw_only=True)
class Parted:
    """Items of one side: those in play, and those that leave it today."""

    in_play: pa.Table
    leaving: pa.Table


def parted(items: pa.Table, excluded: Iterable[DecidedLine], *, side: str, day: date) -> Parted:
    """Items with those set apart that a decision up to ``day`` names."""
    key, number = ("line_key", "version") if side == "external" else ("entry_key", "line_no")
    names = {(item.key, item.number) for item in excluded if item.side == side and item.as_of <= day}
    if not names or items.num_rows == 0:
        return Parted(in_play=items, leaving=items.slice(0, 0))
    wanted = kernel.is_in(items[key], value_set=pa.array(sorted({name for name, _ in names}), pa.string()))
    if not kernel.any(wanted).as_py():
        return Parted(in_play=items, leaving=items.slice(0, 0))
    pairs = zip(items[key].to_pylist(), items[number].to_pylist(), strict=True)
    named = pa.array([pair in names for pair in pairs], pa.bool_())
    return Parted(in_play=items.filter(kernel.invert(named)), leaving=items.filter(named))


def added_minor(
    before: Mapping[tuple[str, str], int], side: str, leaving: pa.Table
) -> dict[tuple[str, str], int]:
    """Sums by (account, side) with what leaves today."""
    sums = dict(before)
    totals = leaving.group_by("account").aggregate([("amount_minor", "sum")])
    for row in totals.to_pylist():
        place = (row["account"], side)
        sums[place] = sums.get(place, 0) + row["amount_minor_sum"]
    return sums
