"""Queues: filters with a name and a letter. Some are everybody's, the others people's own.

Example:
    [queue.name for queue in BUILT_IN]  # "My open", "Unassigned critical", …
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg

from ledger_core.sql import queries
from reconciliation.review.filters import Filter

SQL: Final = queries(Path(__file__).with_name("listing.sql"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A filter to come back to: ``g`` and the letter open it. One's own need no letter and have no words."""

    name: str
    letter: str
    path: str
    what: str = ""


BUILT_IN: Final = (
    Queue(
        name="My open",
        letter="m",
        path=Filter(owner="me", snoozed="no").path(),
        what="what I have, but what is snoozed",
    ),
    Queue(
        name="Unassigned critical",
        letter="u",
        path=Filter(severity=("critical",), owner="nobody").path(),
        what="critical, and nobody has it",
    ),
    Queue(name="Late", letter="l", path=Filter(due="late", sort="due").path(), what="past its due day"),
    Queue(name="Waiting for my approval", letter="w", path="/proposals", what="proposals of others"),
    Queue(
        name="Timing",
        letter="t",
        path=Filter(class_=("timing",), sort="age").path(),
        what="expected to clear by itself",
    ),
    Queue(name="All open", letter="o", path=Filter().path(), what="everything that is open"),
)


def built_in(letter: str) -> Queue | None:
    """Everybody's queue of a letter."""
    return next((queue for queue in BUILT_IN if queue.letter == letter), None)


def own_queues(connection: psycopg.Connection[Any]) -> tuple[Queue, ...]:
    """The queues that the person of this session keeps, by name."""
    return tuple(
        Queue(name=name, letter=letter or "", path=f"/exceptions?{query}" if query else "/exceptions")
        for name, query, letter in connection.execute(SQL["saved"])
    )
