"""What matching hands back: groups, their members, what stayed ambiguous, and which limits were met.

Law: ``external_minor`` and ``ledger_minor`` of a group are the sums of its members' allocations by side,
``difference_minor`` is the first less the second, and no item is a member twice. Shapes only; nothing here decides a
match.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa


def _schema(*fields: "pa.Field[Any]") -> pa.Schema:
    return pa.schema(fields)


GROUP_SCHEMA: Final = _schema(
    pa.field("group_key", pa.string(), nullable=False),  # SHA-256 over leg and members: content alone
    pa.field("leg", pa.string(), nullable=False),
    pa.field("match_pass", pa.string(), nullable=False),
    pa.field("as_of", pa.date32(), nullable=False),  # latest business date of the members
    pa.field("asset", pa.string(), nullable=False),
    pa.field("external_minor", pa.int64(), nullable=False),
    pa.field("ledger_minor", pa.int64(), nullable=False),
    pa.field("difference_minor", pa.int64(), nullable=False),  # external_minor - ledger_minor
    pa.field("evidence", pa.string(), nullable=False),  # canonical JSON: sorted keys, no blanks
    pa.field("state", pa.string(), nullable=False),  # confirmed; suggested: takes nothing
    pa.field("evidence_millibits", pa.int64()),  # null where nothing was weighed
    pa.field("margin_millibits", pa.int64()),  # how much worse the best assignment without it is
    pa.field("solutions", pa.int64()),  # explanations that fit, of a group that was searched for
)

MEMBER_SCHEMA: Final = _schema(
    pa.field("group_key", pa.string(), nullable=False),
    pa.field("side", pa.string(), nullable=False),  # external, ledger
    pa.field("line_id", pa.int64()),  # external side
    pa.field("entry_id", pa.int64()),  # ledger side
    pa.field("line_no", pa.int32()),
    pa.field("allocated_minor", pa.int64(), nullable=False),
    pa.field("asset", pa.string(), nullable=False),
    pa.field("role", pa.string(), nullable=False),  # principal, fee, fx, rounding
)

AMBIGUOUS_SCHEMA: Final = _schema(
    pa.field("ambiguity_key", pa.string(), nullable=False),  # shared by rows that compete for the same items
    pa.field("line_id", pa.int64(), nullable=False),
    pa.field("match_pass", pa.string(), nullable=False),
    pa.field("entry_ids", pa.list_(pa.int64()), nullable=False),  # candidates, parallel to line_nos
    pa.field("line_nos", pa.list_(pa.int32()), nullable=False),
    pa.field("candidate_line_ids", pa.list_(pa.int64()), nullable=False),  # between two sources: their lines
    pa.field("reason", pa.string(), nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A bound that was met: what it left open, with counts. Nothing is cut without one of these."""

    match_pass: str
    what: str  # candidate_pairs, group_size, ambiguous_candidates
    account: str
    asset: str
    reference: str  # the shared value, as the external line writes it
    external_count: int
    ledger_count: int
    limit: int

    def __str__(self) -> str:
        return (
            f"{self.match_pass}: {self.what} of {self.account} {self.asset} reference {self.reference!r}: "
            f"{self.external_count} external and {self.ledger_count} ledger items, limit {self.limit}; left open"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PassCount:
    """What one pass explained."""

    groups: int = 0
    external_items: int = 0
    ledger_items: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchResult:
    """Groups found in one step (``GROUP_SCHEMA``, ``MEMBER_SCHEMA``), and what could not be decided.

    ``ambiguous`` (``AMBIGUOUS_SCHEMA``) has one row per external line that several explanations fit equally well and
    that are not interchangeable; every item in it is still open. ``counts`` has an entry for each pass that was run.
    ``suggested_groups`` and ``suggested_members`` have the same shapes, take nothing, and may overlap.
    ``lag_counts``: lags in business days of the pairs that a reference confirmed, with how often each occurred.
    """

    groups: pa.Table
    members: pa.Table
    suggested_groups: pa.Table
    suggested_members: pa.Table
    ambiguous: pa.Table
    counts: Mapping[str, PassCount]
    limits: tuple[Limit, ...] = ()
    lag_counts: tuple[tuple[int, int], ...] = ()
