"""Balances and the trial balance, derived from the journal on every question.

Law: a balance is the sum of lines and nothing else. Bounds are half-open: `effective_before` leaves out what takes
effect at that very instant, so the balance at the end of a day is asked with the midnight that ends it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import psycopg
import pyarrow as pa

from ledger_core.errors import AccountError
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
    """Debits minus credits of one account, in minor units of its asset."""

    account: str
    asset: str
    exponent: int
    balance_minor: int


def balance(
    connection: psycopg.Connection[Any],
    account: str,
    *,
    effective_before: datetime | None = None,
    known_at: datetime | None = None,
) -> Balance:
    """Balance over lines effective strictly before one instant, as recorded up to and including another.

    None means without that bound. Raises AccountError for an account not in the chart.
    """
    wanted = {"account": account, "effective_before": effective_before, "known_at": known_at}
    with translated_errors():
        row = connection.execute(_SQL["balance"], wanted).fetchone()
    if row is None:
        raise AccountError(f"account {account!r}: expected an account of the chart, found none")
    return Balance(account=account, asset=row[0], exponent=row[1], balance_minor=int(row[2]))


def trial_balance(
    connection: psycopg.Connection[Any], *, effective_before: datetime | None = None
) -> pa.Table:
    """Every account with its balance on the side it falls, as TRIAL_BALANCE_SCHEMA ordered by account.

    Per asset the two columns have equal sums. One of the two is 0 in every row.
    """
    with translated_errors():
        return copy_out(
            connection, _SQL["trial_balance"], {"effective_before": effective_before}, TRIAL_BALANCE_SCHEMA
        )
