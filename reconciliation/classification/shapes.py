"""What classification takes and gives: the tables of exceptions and their members, and the small values around them.

An exception's key is a digest of source, side, the item's natural key and the *family* of its cause, so that a timing
item that turns out to be missing is the same exception, while a duplicate of the same line would be another.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Any, Final

import pyarrow as pa

KEY_MARK: Final = "\x1f"  # parts the parts of a natural key

_EXCEPTION_FIELDS: Final[list[pa.Field[Any]]] = [
    pa.field("exception_key", pa.string(), nullable=False),
    pa.field("class", pa.string(), nullable=False),  # vocabulary.EXCEPTION_CLASSES
    pa.field("kind", pa.string(), nullable=False),  # vocabulary.EXCEPTION_KINDS
    pa.field("severity", pa.string(), nullable=False),  # vocabulary.SEVERITIES
    pa.field("side", pa.string(), nullable=False),
    pa.field("account", pa.string()),  # ledger account; null for a file that serves the whole source
    pa.field("line_key", pa.string()),
    pa.field("line_id", pa.int64()),
    pa.field("entry_key", pa.string()),
    pa.field("entry_id", pa.int64()),
    pa.field("line_no", pa.int32()),
    pa.field("amount_minor", pa.int64(), nullable=False),
    pa.field("difference_minor", pa.int64(), nullable=False),  # external less ledger, over the members
    pa.field("asset", pa.string()),
    pa.field("item_date", pa.date32(), nullable=False),  # the business date that ages it
    pa.field("due_on", pa.date32()),  # as_of after it is late
    pa.field("expected_clear_on", pa.date32()),  # null where nothing clears by itself
    pa.field("age_business_days", pa.int32(), nullable=False),
    pa.field("factors", pa.string(), nullable=False),  # canonical JSON: what made the severity, and why
]
EXCEPTION_SCHEMA: Final = pa.schema(_EXCEPTION_FIELDS)

_MEMBER_FIELDS: Final[list[pa.Field[Any]]] = [
    pa.field("exception_key", pa.string(), nullable=False),
    pa.field("side", pa.string(), nullable=False),
    pa.field("line_id", pa.int64()),
    pa.field("entry_id", pa.int64()),
    pa.field("line_no", pa.int32()),
]
MEMBER_SCHEMA: Final = pa.schema(_MEMBER_FIELDS)

FAMILY_OF_KIND: Final = MappingProxyType(
    {
        "missing_in_ledger": "open",
        "missing_at_source": "open",
        "amount_mismatch": "mismatch",
        "fee_variance": "mismatch",
        "fx_variance": "mismatch",
        "currency_mismatch": "mismatch",
        "sign_mismatch": "mismatch",
        "conflicting_version": "mismatch",
        "withdrawn": "mismatch",
        "duplicate_external": "duplicate",
        "duplicate_ledger": "duplicate",
        "unrecorded_charge": "charge",
        "chargeback_unbooked": "charge",
        "ambiguous": "review",
        "missing_file": "file",
        "control_total": "file",
        "sequence_gap": "sequence",
        "balance_break": "balance",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Classified:
    """``exceptions`` (EXCEPTION_SCHEMA) and ``members`` (MEMBER_SCHEMA), sorted by their keys."""

    exceptions: pa.Table
    members: pa.Table


@dataclass(frozen=True, slots=True, kw_only=True)
class AmbiguousCase:
    """Several equally good explanations: external lines, and ledger lines as (entry_id, line_no), that compete."""

    line_ids: tuple[int, ...]
    ledger_lines: tuple[tuple[int, int], ...]
    reason: str = "several equally good explanations"


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedStatement:
    """A statement that was taken in: ``account`` is the ledger account, None where the source has one file for all.

    It covers the days from ``from_date`` (its ``to_date`` if not stated) to ``to_date``.
    """

    account: str | None
    to_date: date
    sequence_no: int | None = None
    from_date: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedDelivery:
    """A refused delivery by the date it was for; ``account`` None if for all. ``code`` is that of RefusedFile."""

    for_date: date
    code: str
    account: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnexplainedRest:
    """What the bridge of an account and day leaves unexplained, in minor units of ``asset``; not zero."""

    account: str
    asset: str
    business_date: date
    unexplained_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitNote:
    """A bound of matching that was met, with what it left open; the fields are those of matching's own note."""

    match_pass: str
    what: str
    account: str
    asset: str
    reference: str
    external_count: int
    ledger_count: int
    limit: int


def exception_key(source_id: str, side: str, natural_key: str, family: str) -> str:
    """The stable key: SHA-256 in hex. ``natural_key`` is a line key, ``ledger_natural_key``, or a file's place."""
    return hashlib.sha256(f"{source_id}\x1f{side}\x1f{natural_key}\x1f{family}".encode()).hexdigest()


def ledger_natural_key(entry_key: str, line_no: int) -> str:
    """The natural key of a ledger line."""
    return f"{entry_key}{KEY_MARK}{line_no}"
