"""What was known at a moment: PostgreSQL snapshots as values, and the words in which people ask for one.

Law: a moment that is not over is no knowledge time. Old evidence is found by what a snapshot shows, so one that would
show a transaction which is still running, or still to come, is refused: its answer would change. Writes nothing.

Example: a run whose own transaction is 17 saw ``12:15:13``; what was known when it was done is ``13:18:13,15,16``.
"""

import re
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

import psycopg

from ledger_core.sql import queries
from reconciliation.errors import UnknownItem

SQL: Final = queries(Path(__file__).with_name("knowledge.sql"))
SIGN_OFF: Final = "sign-off:"
_SHAPE: Final = re.compile(r"[0-9]{1,19}:[0-9]{1,19}:(?:[0-9]{1,19}(?:,[0-9]{1,19})*)?", re.ASCII)
_FIRST: Final = 1  # smaller than every transaction that wrote anything


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Transactions below ``end`` are shown but those ``running``; all below ``start`` are."""

    start: int
    end: int
    running: tuple[int, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Snapshot | None":
        """The snapshot of a text as PostgreSQL writes it; None if it is none."""
        if not _SHAPE.fullmatch(text):
            return None
        start, end, running = text.split(":")
        found = cls(start=int(start), end=int(end), running=tuple(map(int, filter(None, running.split(",")))))
        in_order = all(one < other for one, other in zip(found.running, found.running[1:], strict=False))
        inside = all(found.start <= number < found.end for number in found.running)
        return found if 0 < found.start <= found.end and in_order and inside else None

    @classmethod
    def nothing(cls) -> "Snapshot":
        """Before anything was written."""
        return cls(start=_FIRST, end=_FIRST)

    def shows(self, number: int) -> bool:
        """Whether it shows what a transaction wrote."""
        return number < self.end and number not in self.running

    def with_own(self, number: int) -> "Snapshot":
        """What it shows, and what the transaction that took it wrote."""
        if number < self.end:
            left = tuple(other for other in self.running if other != number)
            return Snapshot(start=min((*left, self.end)), end=self.end, running=left)
        running = (*self.running, *range(self.end, number))
        return Snapshot(start=min((*running, number + 1)), end=number + 1, running=running)

    def __str__(self) -> str:
        """As PostgreSQL writes it."""
        return f"{self.start}:{self.end}:{','.join(map(str, self.running))}"


def snapshot_of(
    connection: psycopg.Connection[Any], source_id: str, day: date, asked: str | None
) -> Snapshot:
    """The snapshot that is meant by nothing (now), ``sign-off:ID``, PostgreSQL's text, or an instant with its zone.

    An instant means what was known when the last run of the source that was over by then was done.

    Raises:
        UnknownItem: there is no such sign-off, no run by then, or the text is none of these.
    """
    now = _snapshot(connection)
    if asked is None:
        return now
    if asked.startswith(SIGN_OFF):
        return _signed(connection, source_id, day, asked.removeprefix(SIGN_OFF))
    found = Snapshot.parse(asked)
    if found is None:
        return _after_run(connection, source_id, asked)
    unsettled = [number for number in now.running if found.shows(number)]
    if found.end > now.end or unsettled:
        raise UnknownItem(
            f"known at {asked}: expected a moment that is over, found one with transactions that are still running or"
            f" to come; the newest is {now}"
        )
    return found


def after_run(data_snapshot: str, number: str) -> Snapshot:
    """What was known when a run was done: what it could see, and what it wrote."""
    seen = Snapshot.parse(data_snapshot)
    if seen is None:
        raise ValueError(f"run of transaction {number}: {data_snapshot!r} is no snapshot")
    return seen.with_own(int(number))


def _snapshot(connection: psycopg.Connection[Any]) -> Snapshot:
    row = connection.execute(SQL["snapshot_now"]).fetchone()
    found = Snapshot.parse(row[0]) if row else None
    if found is None:
        raise RuntimeError("the database has no snapshot of now")
    return found


def _signed(connection: psycopg.Connection[Any], source_id: str, day: date, number: str) -> Snapshot:
    wanted = {"sign_off": int(number) if re.fullmatch("[0-9]{1,18}", number) else -1, "source": source_id, "day": day}
    row = connection.execute(SQL["signed_snapshot"], wanted).fetchone()
    found = Snapshot.parse(row[0]) if row else None
    if found is None:
        raise UnknownItem(
            f"{SIGN_OFF}{number}: expected a sign-off of {source_id} {day}, found none; `tieout sign-off --status`"
            " lists them"
        )
    return found


def _after_run(connection: psycopg.Connection[Any], source_id: str, asked: str) -> Snapshot:
    try:
        instant = datetime.fromisoformat(asked)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise UnknownItem(
            f"known at {asked!r}: expected an instant with its zone such as 2026-11-13T18:00:00+01:00, sign-off:ID, or"
            " a snapshot such as 812:815:813, found none of them"
        )
    row = connection.execute(SQL["last_run_by"], {"source": source_id, "instant": instant}).fetchone()
    if row is None:
        raise UnknownItem(f"known at {asked}: expected a run of {source_id} that was over by then, found none")
    return after_run(row[0], row[1])
