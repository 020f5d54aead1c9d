"""Finding entries by what is said of them: a reference, metadata, a key; and what became of a key that was refused.

Every way in has an index. Writes nothing, judges nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg.rows import dict_row

from ledger_core.errors import AccountError
from ledger_core.sql import queries, translated_errors

_SQL: Final = queries(Path(__file__).with_suffix(".sql"))


def find_lines(
    connection: psycopg.Connection[Any],
    *,
    reference: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    entry_key: str | None = None,
    account: str | None = None,
    from_day: date | None = None,
    to_day: date | None = None,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """All lines of the newest ``limit`` entries of which one line is all that is asked for; newest entry first.

    ``reference`` is any of the references but ref_auth_code, whole; ``metadata`` is contained in the line's;
    ``account`` takes in all below it; days are UTC and included. Amounts are signed minor units, debit positive; every
    layer counts. Raises AccountError for an account not in the chart.
    """
    wanted: dict[str, Any] = {
        "reference": reference,
        "entry_key": entry_key,
        "from_day": from_day,
        "to_day": to_day,
    }
    wanted |= {"metadata": json.dumps(metadata) if metadata else None, "codes": None, "limit": limit}
    with translated_errors(), connection.cursor(row_factory=dict_row) as cursor:
        if account is not None:
            leaves = cursor.execute(_SQL["leaves"], {"account": account}).fetchall()
            if not leaves:
                raise AccountError(f"account {account!r}: expected an account of the chart, found none")
            wanted["codes"] = [row["account"] for row in leaves]
        return cursor.execute(_SQL["find"], wanted).fetchall()


def find_refusal(connection: psycopg.Connection[Any], entry_key: str) -> dict[str, Any] | None:
    """What a refused request was told (entry_key, code, detail, recorded_at, posted_by); None for other keys."""
    with translated_errors(), connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_SQL["refusal"], {"entry_key": entry_key}).fetchone()
