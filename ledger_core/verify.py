"""Check the laws again over every posted row, each with a name; the alarm for whatever got past the triggers.

Law: a check that could not run says `not_run`, never `ok`. Repairs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final

import psycopg

from ledger_core.errors import LedgerError
from ledger_core.sql import queries, savepoint, translated_errors

CHECKS: Final[dict[str, str]] = {
    "entry_zero_sum": "every entry sums to zero in each asset",
    "asset_zero_sum": "the whole ledger sums to zero in each asset",
    "entry_complete": "every entry has the lines its header counts, at its time",
    "line_account": "every line is on an account of its asset",
    "reversal_mirror": "every reversal mirrors what it reverses",
    "not_overdrawn": "no guarded account is overdrawn",
}

_SQL: Final = queries(Path(__file__).with_suffix(".sql"))


class CheckOutcome(Enum):
    """How a check ended."""

    OK = "ok"
    FAILED = "failed"
    NOT_RUN = "not_run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One law looked at: `offences` rows contradict it, `detail` names the first or says why it was not run."""

    code: str
    name: str
    outcome: CheckOutcome
    offences: int
    detail: str


def verify(connection: psycopg.Connection[Any]) -> tuple[Check, ...]:
    """Run all checks, in a fixed order. Reads every line several times; needs no lock and stops no writer."""
    return tuple(_run(connection, code, name) for code, name in CHECKS.items())


def _run(connection: psycopg.Connection[Any], code: str, name: str) -> Check:
    try:
        with translated_errors(), savepoint(connection):
            row = connection.execute(_SQL["verify"], {"check": code}).fetchone()
    except LedgerError as error:
        return Check(code=code, name=name, outcome=CheckOutcome.NOT_RUN, offences=0, detail=str(error))
    offences, first = row or (0, None)
    outcome = CheckOutcome.FAILED if offences else CheckOutcome.OK
    return Check(code=code, name=name, outcome=outcome, offences=offences, detail=first or "")
