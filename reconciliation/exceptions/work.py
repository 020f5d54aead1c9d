"""What people do with exceptions beside deciding: take them, pass them on, talk of them, put them off.

Laws: many at once are one statement, and each has its own outcome: who is stale or not open any more is told so, and
the others are done. Each deed is one event, of the person whose session the transaction entered. Card numbers in notes
are masked before they are sent.

Example:
    work(connection, [ItemSeen(exception_id=17, version=3)], "snooze", {"until": "2026-11-20", "note": "bank asked"})
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, get_args

import psycopg
from psycopg.rows import class_row

from ledger_core.sql import queries
from reconciliation.exceptions.doors import refusals
from reconciliation.formats.card_numbers import masked_text

SQL: Final = queries(Path(__file__).with_suffix(".sql"))

Deed = Literal[
    "take", "give_back", "assign", "assign_team", "pass_back", "snooze", "wake", "carry", "comment"
]
DEEDS: Final[tuple[Deed, ...]] = get_args(Deed)


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemSeen:
    """An exception as somebody saw it; without a version it is meant whatever has become of it."""

    exception_id: int
    version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one of the items: done, stale, closed, absent or refused, and why in words."""

    exception_id: int
    outcome: str
    said: str | None

    @property
    def is_done(self) -> bool:
        """Whether the deed was done to it."""
        return self.outcome == "done"


def work(
    connection: psycopg.Connection[Any],
    items: Sequence[ItemSeen],
    deed: Deed,
    detail: Mapping[str, Any] = MappingProxyType({}),
) -> list[Outcome]:
    """Do one deed to every item; an outcome for each, in the order they were named.

    Args:
        connection: a transaction of the analyst's role that entered a session.
        items: each exception once.
        deed: one of ``DEEDS``.
        detail: ``to`` a person, ``team``, ``until`` a date, ``reason`` a coded one, ``note``; what the deed wants.

    Raises:
        NoSession: nobody acts, or the session has ended.
        NotAllowed: the person's roles do not let them.
        RefusedProposal: the deed wants something that was not told, or not so.
    """
    wanted = {
        "ids": [item.exception_id for item in items],
        "versions": [item.version for item in items],
        "deed": deed,
        "detail": json.dumps({name: _plain(value) for name, value in detail.items() if value is not None}),
    }
    with refusals():
        cursor = connection.cursor(row_factory=class_row(Outcome))
        found = {row.exception_id: row for row in cursor.execute(SQL["work"], wanted)}
    return [found[item.exception_id] for item in items]


def undo_match(connection: psycopg.Connection[Any], group_id: int, *, reason: str, note: str) -> None:
    """Take a match apart, or turn a suggestion down: no later run makes it again.

    Raises:
        UnknownItem: there is no such match, or it was taken apart already.
    """
    with refusals():
        connection.execute(
            SQL["undo_match"], {"group": group_id, "reason": reason, "note": masked_text(note)}
        )


def clearing_group(connection: psycopg.Connection[Any], exception_id: int) -> int | None:
    """The match that cleared an exception, if one did."""
    row = connection.execute(SQL["cleared_by"], {"exception": exception_id}).fetchone()
    return row[0] if row else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainProblem:
    """A place where the history of a source is not as it was written."""

    source_id: str
    origin: str
    chain_no: int | None
    event_id: int | None
    problem: str


def chain_problems(connection: psycopg.Connection[Any]) -> list[ChainProblem]:
    """What is wrong with the chains of events; empty when all are sound. Reads every event."""
    cursor = connection.cursor(row_factory=class_row(ChainProblem))
    return cursor.execute(SQL["chain_problems"]).fetchall()


def _plain(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    return masked_text(value) if isinstance(value, str) else value
