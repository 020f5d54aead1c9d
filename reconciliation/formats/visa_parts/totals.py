"""Counts and sums of BASE II batches and files, while their records go by. No behaviour but addition."""

from dataclasses import dataclass, field
from datetime import date


@dataclass(slots=True)
class Sums:
    """What trailers state, as read."""

    transaction_count: int = 0
    tcr_count: int = 0
    monetary_count: int = 0
    source_amount: int = 0
    destination_amount: int = 0

    def add(self, other: "Sums") -> None:
        """A batch that ended becomes a part of its file."""
        self.transaction_count += other.transaction_count
        self.tcr_count += other.tcr_count
        self.monetary_count += other.monetary_count
        self.source_amount += other.source_amount
        self.destination_amount += other.destination_amount


@dataclass(slots=True)
class AssetTotals:
    """What the lines of one asset come to."""

    statement_no: int
    movement_minor: int = 0
    line_count: int = 0


@dataclass(slots=True, kw_only=True)
class LogicalFile:
    """What was read so far of a logical file whose trailer has not come yet."""

    name: str  # processing BIN and date
    file_id: str
    file_date: date
    batches: int = 0
    sums: Sums = field(default_factory=Sums)
    batch: Sums = field(default_factory=Sums)
    totals: dict[str, AssetTotals] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)
