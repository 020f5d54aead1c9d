"""Correct an entry by its exact mirror, linked to it, with reason, authoriser and time.

Law: an entry is reversed at most once; asking again with the same words gives the first answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import psycopg

from ledger_core.errors import IdempotencyConflictError
from ledger_core.sql import queries, translated_errors

_SQL: Final = queries(Path(__file__).with_suffix(".sql"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reversal:
    """The entry that reverses; `is_new` is False when an earlier call had posted it."""

    entry_key: str
    entry_id: int
    is_new: bool


def reverse(
    connection: psycopg.Connection[Any],
    entry_key: str,
    *,
    reason: str,
    authoriser: str,
    effective_at: datetime | None = None,
) -> Reversal:
    """Post the mirror of an entry; without `effective_at` it takes effect now, by the database's clock.

    Raises ReversalError for an unknown entry or empty reason, IdempotencyConflictError when it was reversed before with
    another reason, authoriser or time.
    """
    wanted = {
        "entry_key": entry_key,
        "reason": reason,
        "authoriser": authoriser,
        "effective_at": effective_at,
    }
    with translated_errors():
        row = connection.execute(_SQL["reverse_entry"], wanted).fetchone()
    if row is None or row[1] == "conflict":
        raise IdempotencyConflictError(
            f"entry {entry_key!r}: expected the reason, authoriser and time of its first reversal, found others"
        )
    return Reversal(entry_key=row[0], entry_id=row[2], is_new=row[1] == "posted")
