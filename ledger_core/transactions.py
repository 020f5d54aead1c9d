"""The life of a business transaction: initiated, held, released in part or in full, settled, reversed.

Laws: each step names its authoriser and time, is appended and never changed, and posts its entry in the same database
transaction; a step that its state does not allow is refused; what a hold reserved is there when it settles; from the
moment it is due a hold counts as released. The rules live in the database (`ledger.move_transaction`).

Every step has a key of its own. Asked again with the same content it gives the first answer; a step refused by a rule
of posting, such as money that is missing, stays refused under its key. The caller commits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg.rows import class_row

from ledger_core.errors import BY_SQLSTATE, ChartError, IdempotencyConflictError, LedgerError, RequestError
from ledger_core.posting import EntryLine
from ledger_core.sql import queries, savepoint, translated_errors

_SQL: Final = queries(Path(__file__).with_suffix(".sql"))
_ERRORS: Final[Mapping[str, type[LedgerError]]] = {
    **BY_SQLSTATE,
    "transaction_event_key_key": IdempotencyConflictError,  # two transactions used one step key at the same moment
    "fx_quote_from_fkey": ChartError,
    "fx_quote_to_fkey": ChartError,
}


@dataclass(frozen=True, slots=True)
class Step:
    """What became of a step: `posted`, `replayed` (same key and content), `conflict` (the key was used for something
    else) or `refused`, the last two with a code and a sentence. `state` and `event_no`: of the step, or, where it did
    not happen, of the transaction as it stands. `entry_id`: the entry posted, or the one that has the key.
    """

    outcome: str
    state: str
    event_no: int
    entry_id: int | None = None
    code: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A step that happened, as the ledger keeps it."""

    event_no: int
    state: str
    event_key: str
    authoriser: str
    reason: str | None
    entry_key: str | None
    quote_key: str | None
    expires_at: datetime | None
    recorded_at: datetime
    recorded_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLine:
    """A line that a step posted; debit positive, in minor units of the asset."""

    event_no: int
    entry_key: str
    line_no: int
    effective_at: datetime
    account: str
    layer: str
    amount_minor: int
    asset: str
    exponent: int
    kind: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A rate as it was quoted: major units of `to_asset` for one of `from_asset`, `locked` or for `settlement`."""

    quote_key: str
    from_asset: str
    to_asset: str
    rate: Decimal
    purpose: str
    origin: str
    quoted_at: datetime
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mover:
    """Who takes a step, and when it takes effect."""

    authoriser: str
    effective_at: datetime
    reason: str | None = None


def initiate(
    connection: psycopg.Connection[Any],
    transaction_key: str,
    event_key: str,
    by: Mover,
    *,
    kind: str = "transaction",
    metadata: Mapping[str, Any] | None = None,
) -> Step:
    """Begin a transaction of a kind (1 to 64 characters), with whatever is known of it. Moves no money."""
    said = None if metadata is None else json.dumps(metadata)
    return _move(connection, transaction_key, event_key, by, "initiated", kind=kind, metadata=said)


def hold(
    connection: psycopg.Connection[Any],
    transaction_key: str,
    event_key: str,
    by: Mover,
    lines: Sequence[EntryLine],
    *,
    expires_at: datetime | None = None,
    quote_key: str | None = None,
) -> Step:
    """Reserve amounts, said as they will be posted; with `quote_key` at a locked rate, which must live at that time.

    From `expires_at` on the hold reads as released. Refused (`overdrawn`) where a guarded account has not that much.
    """
    return _move(
        connection,
        transaction_key,
        event_key,
        by,
        "held",
        lines=lines,
        expires_at=expires_at,
        quote_key=quote_key,
    )


def release(
    connection: psycopg.Connection[Any],
    transaction_key: str,
    event_key: str,
    by: Mover,
    lines: Sequence[EntryLine] = (),
) -> Step:
    """Give back a part of what is held, said as it would have been posted; without lines all the rest, which is final.

    Raises TransactionError where the part is all that is held, or more.
    """
    state = "partly_released" if lines else "released"
    return _move(connection, transaction_key, event_key, by, state, lines=lines)


def settle(
    connection: psycopg.Connection[Any],
    transaction_key: str,
    event_key: str,
    by: Mover,
    lines: Sequence[EntryLine],
    *,
    quote_key: str | None = None,
) -> Step:
    """Post what happened; what is still held is given back with it. Also without a hold.

    What its hold reserved cannot be missing; beyond that it can be refused (`overdrawn`). Raises TransactionError once
    the hold is due, and where a locked rate settles without a settlement quote of the same assets.
    """
    return _move(connection, transaction_key, event_key, by, "settled", lines=lines, quote_key=quote_key)


def reverse(connection: psycopg.Connection[Any], transaction_key: str, event_key: str, by: Mover) -> Step:
    """Mirror the settlement, linked to it; `by` must say a reason.

    Raises OverdrawnError, AccountError or PeriodError where the mirror cannot be posted.
    """
    return _move(connection, transaction_key, event_key, by, "reversed")


def expire_holds(connection: psycopg.Connection[Any], *, limit: int = 1000) -> int:
    """Write down the release of up to `limit` transactions whose hold is due, as of that moment; how many it did.

    Nothing depends on when this runs: a due hold reads as released already. Safe to repeat and to run side by side.
    """
    with translated_errors(_ERRORS), savepoint(connection):
        (found,) = connection.execute(_SQL["expire_holds"], {"limit": limit}).fetchall()
    return int(found[0])


def record_quote(connection: psycopg.Connection[Any], quote: Quote) -> bool:
    """Keep a quote for ever; False when it was there already.

    Raises ChartError for an undefined asset and for other content under the key, RequestError for a rate that is not
    positive or has more than 18 decimals.
    """
    with translated_errors(_ERRORS), savepoint(connection):
        (found,) = connection.execute(_SQL["record_quote"], asdict(quote)).fetchall()
    return bool(found[0] == "recorded")


def history(connection: psycopg.Connection[Any], transaction_key: str) -> tuple[Event, ...]:
    """The steps of a transaction in their order; none where nobody initiated it."""
    with translated_errors(), connection.cursor(row_factory=class_row(Event)) as cursor:
        return tuple(cursor.execute(_SQL["history"], {"transaction_key": transaction_key}).fetchall())


def history_lines(connection: psycopg.Connection[Any], transaction_key: str) -> tuple[EventLine, ...]:
    """What the steps of a transaction posted, line by line."""
    with translated_errors(), connection.cursor(row_factory=class_row(EventLine)) as cursor:
        return tuple(cursor.execute(_SQL["lines"], {"transaction_key": transaction_key}).fetchall())


def _move(
    connection: psycopg.Connection[Any],
    transaction_key: str,
    event_key: str,
    by: Mover,
    state: str,
    *,
    lines: Sequence[EntryLine] = (),
    expires_at: datetime | None = None,
    quote_key: str | None = None,
    kind: str | None = None,
    metadata: str | None = None,
) -> Step:
    if any(line.layer != "posted" for line in lines):
        raise RequestError(
            f"transaction {transaction_key!r}: the layer of a line follows from the step; leave it out"
        )
    details = [None if line.detail is None else json.dumps(line.detail) for line in lines]
    sent = {
        "transaction_key": transaction_key,
        "event_key": event_key,
        "state": state,
        "authoriser": by.authoriser,
        "effective_at": by.effective_at,
        "reason": by.reason,
        "account": [line.account for line in lines] or None,
        "amount_minor": [line.amount_minor for line in lines] or None,
        "asset": [line.asset for line in lines] or None,
        "detail": details if any(details) else None,
        "expires_at": expires_at,
        "quote_key": quote_key,
        "kind": kind,
        "metadata": metadata,
    }
    with translated_errors(_ERRORS), savepoint(connection):
        (answer,) = connection.execute(_SQL["move"], sent).fetchall()
    return Step(*answer)
