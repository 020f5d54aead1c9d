"""Balances and the trial balance, exact on every question, and the sums that make them fast.

Law: a balance is the sum of lines and nothing else; what is materialised is never ahead of them. Bounds are
half-open: `effective_before` leaves out what takes effect at that very instant, so the balance at the end of a day is
asked with the midnight that ends it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import psycopg
import pyarrow as pa

from ledger_core.sql import copy_out, queries, translated_errors

_TRIAL_BALANCE_FIELDS: Final[list[pa.Field[Any]]] = [
    pa.field("account", pa.string(), nullable=False),
    pa.field("name", pa.string(), nullable=False),
    pa.field("type", pa.string(), nullable=False),
    pa.field("asset", pa.string(), nullable=False),
    pa.field("exponent", pa.int16(), nullable=False),
    pa.field("debit_minor", pa.int64(), nullable=False),
    pa.field("credit_minor", pa.int64(), nullable=False),
]
TRIAL_BALANCE_SCHEMA: Final = pa.schema(_TRIAL_BALANCE_FIELDS)

_SQL: Final = queries(Path(__file__).with_suffix(".sql"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """Debits minus credits in minor units of the asset, of an account or of everything below a summary account.

    `balance_minor` happened; `pending_minor` adds what is held in and out, `available_minor` only what is held out;
    `projected_minor` adds to `pending_minor` what is planned.
    """

    account: str
    entity: str
    asset: str
    exponent: int
    balance_minor: int
    pending_minor: int
    available_minor: int
    projected_minor: int


def balances(
    connection: psycopg.Connection[Any],
    account: str,
    *,
    effective_before: datetime | None = None,
    known_at: datetime | None = None,
    seen_by: str | None = None,
) -> tuple[Balance, ...]:
    """Balances over lines effective strictly before one instant, one for each entity and asset below `account`.

    `seen_by` is a snapshot (`read_port.current_snapshot`): the answer is the same for ever. `known_at` is a time: as
    recorded up to and including it; a transaction still open at that time is missing until it commits. None means
    without that bound. Raises AccountError for an account that is not in the chart.
    """
    wanted = {
        "account": account,
        "effective_before": effective_before,
        "known_at": known_at,
        "seen_by": seen_by,
    }
    with translated_errors():
        rows = connection.execute(_SQL["balance"], wanted).fetchall()
    return tuple(
        Balance(
            account=account,
            entity=row[0],
            asset=row[1],
            exponent=row[2],
            balance_minor=int(row[3]),
            pending_minor=int(row[4]),
            available_minor=int(row[5]),
            projected_minor=int(row[6]),
        )
        for row in rows
    )


def fold(connection: psycopg.Connection[Any], lines: int = 64) -> int:
    """Take the new lines of every account that has at least so many into its sums; returns the number of accounts.

    For a job, in a transaction of its own, as often as it likes: balances are exact without it, and slower.
    """
    with translated_errors():
        row = connection.execute(_SQL["fold"], {"lines": lines}).fetchone()
    return int(row[0]) if row else 0


def rebuild(connection: psycopg.Connection[Any]) -> int:
    """Drop every materialised balance and build it anew from the journal; postings wait until this commits."""
    with translated_errors():
        row = connection.execute(_SQL["rebuild"]).fetchone()
    return int(row[0]) if row else 0


def rebase(connection: psycopg.Connection[Any]) -> int:
    """Make a ledger that came in a dump this server's own; returns the number of accounts whose sums were built anew.

    As the owner (`tieout_owner`), before anything is posted. Until then balances are exact, and summed line by line.
    """
    with translated_errors():
        row = connection.execute(_SQL["rebase"]).fetchone()
    return int(row[0]) if row else 0


def trial_balance(
    connection: psycopg.Connection[Any],
    *,
    effective_before: datetime | None = None,
    seen_by: str | None = None,
) -> pa.Table:
    """Every leaf with its posted balance on the side it falls, as TRIAL_BALANCE_SCHEMA ordered by account.

    Per asset the two columns have equal sums. One of the two is 0 in every row.
    """
    with translated_errors():
        wanted = {"effective_before": effective_before, "seen_by": seen_by}
        return copy_out(connection, _SQL["trial_balance"], wanted, TRIAL_BALANCE_SCHEMA)
