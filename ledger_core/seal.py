"""Close periods and seal them: one fingerprint per closed period, over all that its entries say.

Laws: periods close in order and for ever; seals follow each other without a gap, each built on the one before. A seal
proves something to whoever keeps it outside of the database. Checks nothing: `ledger_core.verify` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import psycopg

from ledger_core.sql import queries, translated_errors

_SQL: Final = queries(Path(__file__).with_suffix(".sql"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """The seal of the period that ends before `ends_at`; `root` and `seal` are 64 hex digits."""

    ends_at: datetime
    format_version: int
    entry_count: int
    root: str
    seal: str


def close_period(
    connection: psycopg.Connection[Any], ends_at: datetime, *, reason: str, authoriser: str
) -> bool:
    """Close the time before `ends_at`: no entry can take effect in it any more. False when it was closed before.

    Waits for postings under way. Raises PeriodError for an end in the future or before the newest one.
    """
    wanted = {"ends_at": ends_at, "reason": reason, "authoriser": authoriser}
    with translated_errors():
        row = connection.execute(_SQL["close_period"], wanted).fetchone()
    return row is not None and row[0] == "closed"


def seal_periods(connection: psycopg.Connection[Any], until: datetime | None = None) -> int:
    """Seal the closed periods not sealed yet, up to the one ending at `until` (None: all); returns how many.

    Raises PeriodError for an end no period has, and where the feed has not numbered all their entries: `feed.relay`
    does that, in a transaction before this one.
    """
    with translated_errors():
        return len(connection.execute(_SQL["seal_period"], {"ends_at": until}).fetchall())


def seals(connection: psycopg.Connection[Any]) -> tuple[Seal, ...]:
    """All seals on record, oldest first."""
    with translated_errors():
        rows = connection.execute(_SQL["seals"]).fetchall()
    return tuple(
        Seal(ends_at=ends_at, format_version=version, entry_count=count, root=root, seal=seal)
        for ends_at, version, count, root, seal in rows
    )
