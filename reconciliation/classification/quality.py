"""Whether timing differences really cleared: precision and recall of the label, from what became of the items. Pure.

    precision   of the items first called timing whose due date has passed, the share that a match cleared by then
    recall      of the items that a match cleared by their due date, the share called timing from the first

Laws: counts and parts per million, never a float; a share of nothing is None, not a hundred percent; the order of the
rows changes nothing. An item that is still timing past its due date waits for a file that has not come: it is counted
as waiting, and neither right nor wrong yet. The due date is the contract's latest, as it was when the label was given.

Example: 200 payments were called timing, 196 arrived in time, 3 were promoted, 1 waits for a missing statement:
precision 196 of 199 = 984 925 parts per million.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute

kernel: Any = pyarrow.compute  # its stubs do not know that kernels take plain values

_FIELDS: Final[list[Any]] = [
    pa.field("first_class", pa.string(), nullable=False),  # the label it was first given
    pa.field("is_waiting", pa.bool_(), nullable=False),  # open and still timing past its due date
    pa.field("due_on", pa.date32()),
    pa.field("cleared_on", pa.date32()),  # by a match; null while open, and for what went away otherwise
    pa.field("item_count", pa.int64(), nullable=False),  # items of which all this holds
]
TIMING_ITEM_SCHEMA: Final = pa.schema(_FIELDS)

_PARTS_PER_MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TimingQuality:
    """Counts, and the two shares they give in parts per million; None where there is nothing to judge."""

    as_of: date
    timing_count: int  # first called timing
    not_due_count: int  # of these: due date not passed
    waiting_count: int  # of these: past it, waiting for a file
    judged_count: int  # of these: past it, and judged
    cleared_in_time_count: int  # of the judged
    self_cleared_count: int  # cleared by a match on or before the due date, whatever they were called
    self_cleared_timing_count: int  # of these: called timing from the first

    @property
    def precision_ppm(self) -> int | None:
        """Share of the judged items that cleared in time."""
        return _ppm(self.cleared_in_time_count, self.judged_count)

    @property
    def recall_ppm(self) -> int | None:
        """Share of the self-cleared items that were called timing from the first."""
        return _ppm(self.self_cleared_timing_count, self.self_cleared_count)


def timing_quality(items: pa.Table, *, as_of: date) -> TimingQuality:
    """The quality of the label over ``items`` (TIMING_ITEM_SCHEMA) as known on ``as_of``."""
    rows = items.cast(TIMING_ITEM_SCHEMA)
    is_timing = kernel.equal(rows["first_class"], "timing")
    is_past = kernel.fill_null(kernel.less(rows["due_on"], pa.scalar(as_of, pa.date32())), False)
    in_time = kernel.fill_null(kernel.less_equal(rows["cleared_on"], rows["due_on"]), False)
    waits = kernel.and_(is_past, rows["is_waiting"])
    judged = kernel.and_(is_timing, kernel.and_(is_past, kernel.invert(rows["is_waiting"])))

    def count(flags: Any) -> int:
        return int(kernel.sum(rows["item_count"].filter(flags)).as_py() or 0)

    return TimingQuality(
        as_of=as_of,
        timing_count=count(is_timing),
        not_due_count=count(kernel.and_(is_timing, kernel.invert(is_past))),
        waiting_count=count(kernel.and_(is_timing, waits)),
        judged_count=count(judged),
        cleared_in_time_count=count(kernel.and_(judged, in_time)),
        self_cleared_count=count(in_time),
        self_cleared_timing_count=count(kernel.and_(is_timing, in_time)),
    )


def _ppm(part: int, whole: int) -> int | None:
    return (part * _PARTS_PER_MILLION * 2 + whole) // (2 * whole) if whole else None
