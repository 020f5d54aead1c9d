"""Derive every law and projection again from the journal, each with a name: the alarm for what got past the triggers.

Law: a check that could not run says `not_run`, never `ok`. Needs no lock and stops no writer; repairs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import psycopg

from ledger_core.errors import LedgerError
from ledger_core.seal import seals
from ledger_core.sql import queries, savepoint, translated_errors

# What one statement finds out, in one snapshot. Tables are read once for all checks of a pass.
PASSES: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "entries": {
            "entry_zero_sum": "every entry sums to zero in each asset, entity and layer",
            "entry_complete": "every entry has the lines its header counts, at its time, from its transaction",
            "entry_outcome": "every request has lines or a refusal, never both",
            "line_account": "every line is on a leaf of the chart",
            "line_detail": "every detail belongs to a line",
            "reversal_mirror": "every reversal mirrors what it reverses, with reason and authoriser",
            "correction_exists": "every correction names an entry that was posted",
            "period_respected": "no entry took effect in a period closed before",
            "feed_complete": "the feed has every entry its last batch could see, and nothing else",
            "feed_dense": "the positions of the feed have no gaps",
        },
        "balances": {
            "asset_zero_sum": "the whole ledger sums to zero in each asset, entity and layer",
            "not_overdrawn": "no guarded account is overdrawn",
            "balance_sums": "every balance is the sum of the lines its snapshot shows",
            "balance_spent": "what guarded accounts spent and received is what their lines say",
            "balance_spans": "hours and days are the sums of the lines that take effect in them",
        },
        "structure": {
            "account_leaf": "no account lies below one that takes lines",
            "account_closed": "no entry was recorded on an account after it was closed",
            "period_chain": "every period starts where the one before ended",
            "transaction_chain": "every step of a transaction follows from the one before and has its entry",
            "open_hold": "what is on record as held is what the entries of open transactions hold",
            "hold_residue": "nothing is held for a transaction that ended",
            "fold_mark": "there is one mark of how far balances were folded",
            "xid_current": "every transaction number and snapshot is of this server",
        },
        "seals": {"period_seals": "every seal follows from its period's entries and the seal before"},
    }
)
CHECKS: Final[dict[str, str]] = {code: name for checks in PASSES.values() for code, name in checks.items()}

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


def verify(
    connection: psycopg.Connection[Any], *, kept_seals: Mapping[datetime, str] | None = None
) -> tuple[Check, ...]:
    """Run all checks, in the order of CHECKS.

    `kept_seals`: seals by the end of their period, in hex, as they were kept outside of this database; given, they are
    compared by one more check, `seals_kept`. Only that one sees the newest seals cut off.
    """
    checks = [check for name in PASSES for check in _run_pass(connection, name)]
    if kept_seals is not None:
        checks.append(_compare(connection, kept_seals))
    return tuple(checks)


def _run_pass(connection: psycopg.Connection[Any], pass_name: str) -> list[Check]:
    found: dict[str, tuple[int, str | None]] = {}
    reason = "the database did not answer for it"
    try:
        with translated_errors(), savepoint(connection):
            rows = connection.execute(_SQL["verify"], {"pass": pass_name}).fetchall()
        found = {code: (offences, first) for code, offences, first in rows}
    except LedgerError as error:
        reason = str(error)
    return [
        _check(code, name, *found[code])
        if code in found
        else Check(code=code, name=name, outcome=CheckOutcome.NOT_RUN, offences=0, detail=reason)
        for code, name in PASSES[pass_name].items()
    ]


def _compare(connection: psycopg.Connection[Any], kept: Mapping[datetime, str]) -> Check:
    code, name = "seals_kept", "every seal kept outside is on record, unchanged"
    try:
        with savepoint(connection):
            present = {seal.ends_at: seal.seal for seal in seals(connection)}
    except LedgerError as error:
        return Check(code=code, name=name, outcome=CheckOutcome.NOT_RUN, offences=0, detail=str(error))
    wrong = sorted(ends_at for ends_at, seal in kept.items() if present.get(ends_at) != seal.lower())
    first = wrong and (
        f"period ending {wrong[0].isoformat()}: its seal is {'another' if wrong[0] in present else 'gone'}"
    )
    return _check(code, name, len(wrong), first or None)


def _check(code: str, name: str, offences: int, first: str | None) -> Check:
    outcome = CheckOutcome.FAILED if offences else CheckOutcome.OK
    return Check(code=code, name=name, outcome=outcome, offences=offences, detail=first or "")
