"""The bridge from the ledger's balance to the source's, for one account on one business day. Pure.

    closing of the source = ledger balance + open external lines - open ledger lines + excluded external lines
    - excluded ledger lines + allocation differences + unexplained

Open lines are told apart as timing and genuine; excluded ones are those that people took out of the reckoning: counted
on the day they leave, in the sums from then on. ``unexplained`` is what is left when all else is known: zero, or a
balance break. Where the source states no balances, the closing is derived from the ledger's balance at the start plus
all lines since, and the bridge proves that nothing was lost in between, not that the source agrees.

Worked example: a bank states 1 000.00, the ledger says 1 250.00; a payout of 300.00 that the ledger booked is under
way and a bank fee of 50.00 is not booked yet: 1 000.00 = 1 250.00 + (-50.00) - 300.00 + 100.00 unexplained, which is
a break.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal

import pyarrow as pa

Basis = Literal["stated", "carried", "derived"]

_PROOF_FIELDS: Final[list[Any]] = [
    pa.field("account", pa.string(), nullable=False),
    pa.field("asset", pa.string(), nullable=False),
    pa.field("business_date", pa.date32(), nullable=False),
    pa.field("basis", pa.string(), nullable=False),
    *[
        pa.field(name, pa.int64(), nullable=False)
        for name in (
            "opening_minor",
            "movement_minor",
            "closing_minor",
            "ledger_minor",
            "timing_external_minor",
            "timing_ledger_minor",
            "genuine_external_minor",
            "genuine_ledger_minor",
            "excluded_external_minor",
            "excluded_ledger_minor",
            "allocation_difference_minor",
            "unexplained_minor",
            "matched_count",
            "timing_count",
            "genuine_count",
            "excluded_count",
            "line_count",
        )
    ],
]
PROOF_SCHEMA: Final = pa.schema(_PROOF_FIELDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedBalance:
    """What a source says of an account: the balances of the latest statement up to a day."""

    to_date: date
    opening_minor: int | None
    closing_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountDay:
    """Everything the bridge of one account and day is made of, in minor units of ``asset``.

    ``external_minor`` is the sum of all external lines since the source's start, ``ledger_start_minor`` the ledger's
    balance there. ``open_minor`` and ``open_count`` are keyed by (class bucket, side): ("timing" | "genuine",
    "external" | "ledger"). ``line_count`` counts the lines in play independently: those brought forward plus those of
    the day.
    """

    account: str
    asset: str
    business_date: date
    stated: StatedBalance | None
    external_minor: int
    movement_minor: int
    ledger_start_minor: int
    ledger_minor: int
    open_minor: Mapping[tuple[str, str], int]
    open_count: Mapping[tuple[str, str], int]
    allocation_difference_minor: int
    matched_count: int
    line_count: int
    excluded_external_minor: int = 0
    excluded_ledger_minor: int = 0
    excluded_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """One row of ``PROOF_SCHEMA``."""

    account: str
    asset: str
    business_date: date
    basis: Basis
    opening_minor: int
    movement_minor: int
    closing_minor: int
    ledger_minor: int
    timing_external_minor: int
    timing_ledger_minor: int
    genuine_external_minor: int
    genuine_ledger_minor: int
    excluded_external_minor: int
    excluded_ledger_minor: int
    allocation_difference_minor: int
    unexplained_minor: int
    matched_count: int
    timing_count: int
    genuine_count: int
    excluded_count: int
    line_count: int

    def __post_init__(self) -> None:
        """Keeps the two laws of the bridge; a ValueError here is a broken program, not bad data."""
        explained = (
            self.ledger_minor
            + self.timing_external_minor
            + self.genuine_external_minor
            - self.timing_ledger_minor
            - self.genuine_ledger_minor
            + self.excluded_external_minor
            - self.excluded_ledger_minor
            + self.allocation_difference_minor
        )
        if self.closing_minor != explained + self.unexplained_minor:
            raise ValueError(f"{self.account} on {self.business_date}: the bridge does not add up")
        buckets = self.matched_count + self.timing_count + self.genuine_count + self.excluded_count
        if self.line_count != buckets:
            raise ValueError(
                f"{self.account} on {self.business_date}: {self.line_count} lines in play, {buckets} in buckets"
            )

    @property
    def tied_out(self) -> bool:
        """Whether nothing is left unexplained."""
        return self.unexplained_minor == 0


def prove(day: AccountDay) -> Proof:
    """The bridge of one account and day."""
    basis, opening_minor, closing_minor = _balances(day)
    timing_external, timing_ledger = (
        day.open_minor.get(("timing", "external"), 0),
        day.open_minor.get(("timing", "ledger"), 0),
    )
    genuine_external, genuine_ledger = (
        day.open_minor.get(("genuine", "external"), 0),
        day.open_minor.get(("genuine", "ledger"), 0),
    )
    explained = (
        day.ledger_minor
        + timing_external
        + genuine_external
        - timing_ledger
        - genuine_ledger
        + day.excluded_external_minor
        - day.excluded_ledger_minor
        + day.allocation_difference_minor
    )
    count = day.open_count
    return Proof(
        account=day.account,
        asset=day.asset,
        business_date=day.business_date,
        basis=basis,
        opening_minor=opening_minor,
        movement_minor=day.movement_minor,
        closing_minor=closing_minor,
        ledger_minor=day.ledger_minor,
        timing_external_minor=timing_external,
        timing_ledger_minor=timing_ledger,
        genuine_external_minor=genuine_external,
        genuine_ledger_minor=genuine_ledger,
        excluded_external_minor=day.excluded_external_minor,
        excluded_ledger_minor=day.excluded_ledger_minor,
        allocation_difference_minor=day.allocation_difference_minor,
        unexplained_minor=closing_minor - explained,
        matched_count=day.matched_count,
        timing_count=count.get(("timing", "external"), 0) + count.get(("timing", "ledger"), 0),
        genuine_count=count.get(("genuine", "external"), 0) + count.get(("genuine", "ledger"), 0),
        excluded_count=day.excluded_count,
        line_count=day.line_count,
    )


def _balances(day: AccountDay) -> tuple[Basis, int, int]:
    """Basis, opening and closing balance of the day, from the statement or derived."""
    stated = day.stated
    if stated is None:
        closing = day.ledger_start_minor + day.external_minor
        return "derived", closing - day.movement_minor, closing
    if stated.to_date < day.business_date:
        return "carried", stated.closing_minor, stated.closing_minor
    opening = stated.opening_minor
    if opening is None:
        opening = stated.closing_minor - day.movement_minor
    return "stated", opening, stated.closing_minor


def proof_table(proofs: list[Proof]) -> pa.Table:
    """Proofs as ``PROOF_SCHEMA``."""
    return pa.table(
        {name: [getattr(proof, name) for proof in proofs] for name in PROOF_SCHEMA.names}, schema=PROOF_SCHEMA
    )
