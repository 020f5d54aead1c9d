"""The feed: every posted entry once, at a dense position, for whoever wants to follow the ledger.

Laws: positions run 1, 2, 3 … without gaps; what stands at a position stays there, to the byte; a late commit gets a
later position and is never skipped; what was refused or rolled back has none. A consumer keeps the position it has
done with, here by `acknowledge` or where its effect is kept: it gets every event at least once. Sends nothing itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import psycopg

from ledger_core.sql import queries, translated_errors

_SQL: Final = queries(Path(__file__).with_suffix(".sql"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One `JournalEntryPosted`; `text` is its JSON, the same bytes at every reading."""

    position: int
    entry_key: str
    text: str

    @property
    def body(self) -> dict[str, Any]:
        """The event as a dict; amounts are integers of minor units, rates are Decimals."""
        parsed: dict[str, Any] = json.loads(self.text, parse_float=Decimal)
        return parsed


def relay(connection: psycopg.Connection[Any]) -> int:
    """Number what has been committed since the last call; returns the newest position, 0 when there is none.

    For a short transaction of its own: other relays wait until it ends. Harmless at any time and as often as one likes.
    Raises RequestError in a transaction that posts, or that is not READ COMMITTED.
    """
    return _number(connection, "relay")


def newest(connection: psycopg.Connection[Any]) -> int:
    """The newest position, 0 when there is none."""
    return _number(connection, "newest")


def read(connection: psycopg.Connection[Any], after: int, limit: int = 1000) -> tuple[Event, ...]:
    """Events at the positions `after` + 1 to `after` + `limit`, in order, as far as they are numbered."""
    with translated_errors():
        rows = connection.execute(_SQL["read"], {"after": after, "limit": limit}).fetchall()
    return tuple(Event(position=position, entry_key=key, text=text) for position, key, text in rows)


def acknowledged(connection: psycopg.Connection[Any], consumer: str) -> int:
    """The position up to which a consumer is done, 0 when it never said so."""
    return _number(connection, "acknowledged", consumer=consumer)


def acknowledge(
    connection: psycopg.Connection[Any], consumer: str, position: int, *, rewind: bool = False
) -> int:
    """A consumer is done with everything up to a position; returns where it stands now.

    An older position changes nothing, unless it asks to `rewind`. Raises RequestError for a position outside the feed.
    """
    return _number(connection, "acknowledge", consumer=consumer, position=position, rewind=rewind)


def _number(connection: psycopg.Connection[Any], query: str, **wanted: object) -> int:
    with translated_errors():
        row = connection.execute(_SQL[query], wanted).fetchone()
    return int(row[0]) if row else 0
