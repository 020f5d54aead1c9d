"""Moves staged and proved lines into the store: at once where all of them are new, else by what they change.

Law: all or nothing, and afterwards the store holds exactly what the file says, proved by sums in SQL. Unchanged lines
keep their rows; nothing is updated, a correction adds and closes. First written, then asked why not: the unique keys of
the store say whether something is known, and only then is it compared.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg

from ledger_core.sql import queries, savepoint
from reconciliation.errors import RefusedFile
from reconciliation.intake import staging
from reconciliation.intake.checks import KnownStatement, place_of
from reconciliation.intake.outcome import Outcome

Connection = psycopg.Connection[Any]

PAIRINGS: Final = ("same", "reference", "renumbered", "changed")
MANY_LINES: Final = 1_000  # fewer cannot mislead the planner by much
QUALIFIERS: Final = ("nothing", "statement", "everything")

_COMPARING: Final = queries(Path(__file__).with_name("compare.sql"))
_PROVISIONAL: Final = queries(Path(__file__).with_name("provisional.sql"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a file changes against what was there; lines unless said otherwise. ``same_as``: delivery last told from."""

    added_count: int = 0
    changed_count: int = 0
    withdrawn_count: int = 0
    unchanged_count: int = 0
    new_statement_count: int = 0
    changed_statement_count: int = 0
    provisional_count: int = 0
    provisional_changed: bool = False  # a statement told before has other pending lines now
    same_as: int | None = None

    @property
    def outcome(self) -> Outcome:
        """``accepted``, ``corrected``, or ``redelivered`` when nothing changes."""
        if (
            self.changed_count or self.withdrawn_count or self.changed_statement_count or self.provisional_changed
        ):
            return "corrected"
        if self.new_statement_count or self.same_as is None:
            return "accepted"
        return "corrected" if self.added_count else "redelivered"


Record = Callable[[Changes], int]
"""Writes the row of the delivery and gives its number."""


def load(
    connection: Connection,
    source_id: str,
    statements: Sequence[KnownStatement],
    record: Record,
    *,
    ids_hold: bool = True,
) -> tuple[int, Changes]:
    """Write what is staged; the number of its delivery and what it changed.

    ``ids_hold``: an id names one movement for good, whichever file tells of it; else it may come again on other days.

    Raises:
        RefusedFile: an id that cannot be told from others, a card number in words; the caller rolls back.
    """
    try:
        connection.execute(_PROVISIONAL["name_provisional_lines"])
        _compare(connection, "find_known_statements", source_id=source_id)
        if not _asks(connection, "some_statement_known"):
            try:
                with savepoint(connection):
                    return _load_fresh(connection, source_id, statements, record)
            except psycopg.errors.UniqueViolation as violation:
                if violation.diag.constraint_name != "line_version_once":
                    raise
        with savepoint(connection):
            return _load_changes(connection, source_id, statements, record, ids_hold)
    except psycopg.errors.CheckViolation as violation:
        if "card_number" not in (violation.diag.constraint_name or ""):
            raise
    raise _card_number(connection)


def _load_fresh(
    connection: Connection, source_id: str, statements: Sequence[KnownStatement], record: Record
) -> tuple[int, Changes]:
    """Everything as new. A unique violation means that something is not."""
    counted = staging.run(connection, "count_booked").fetchone()
    booked = int(counted[0]) if counted else 0
    told = sum(1 for known in statements if not known.told.interim)
    changes = Changes(
        added_count=booked, new_statement_count=told, provisional_count=_provisional_count(connection)
    )
    delivery_id = record(changes)
    staging.run(connection, "write_fresh_statements", source_id=source_id, delivery_id=delivery_id)
    staging.run(connection, "write_fresh_lines", source_id=source_id, delivery_id=delivery_id)
    if booked >= MANY_LINES:
        staging.run(connection, "refresh_statistics")
    wrong = staging.run(connection, "find_unproved_fresh_statement", delivery_id=delivery_id).fetchone()
    staging.refuse_sum(wrong, statements, "its lines in the store")
    _write_provisional(connection, source_id, delivery_id)
    return delivery_id, changes


def _load_changes(
    connection: Connection,
    source_id: str,
    statements: Sequence[KnownStatement],
    record: Record,
    ids_hold: bool,
) -> tuple[int, Changes]:
    """Name every line, compare it with what was told before, write the difference."""
    changes = _changes(connection, source_id, ids_hold)
    delivery_id = record(changes)
    if changes.outcome == "redelivered":
        return delivery_id, changes
    _compare(connection, "write_statements", source_id=source_id, delivery_id=delivery_id)
    _compare(connection, "make_written")
    written = _compare(connection, "write_lines", source_id=source_id, delivery_id=delivery_id).rowcount
    _compare(connection, "analyze_written")
    if written >= MANY_LINES:
        staging.run(connection, "refresh_statistics")
    _compare(connection, "write_closures", delivery_id=delivery_id)
    wrong = _compare(connection, "find_unproved_statement", source_id=source_id).fetchone()
    staging.refuse_sum(wrong, statements, "its lines in the store")
    _write_provisional(connection, source_id, delivery_id)
    return delivery_id, changes


def _changes(connection: Connection, source_id: str, ids_hold: bool) -> Changes:
    _compare(connection, "make_keys")
    _compare(connection, "find_known_lines", source_id=source_id)
    _compare(connection, "analyze_known")
    if _asks(connection, "some_line_known"):
        for pairing in PAIRINGS:
            _compare(connection, "pair_lines", by=pairing, ids_hold=ids_hold)
        _compare(connection, "mark_dropped_lines")
        _compare(connection, "number_new_lines")
    for qualifier in QUALIFIERS:
        if _compare(connection, "find_unnamed_line").fetchone() is None:
            break
        _compare(connection, "name_new_lines", source_id=source_id, qualified_by=qualifier)
    unnamed = _compare(connection, "find_unnamed_line").fetchone()
    if unnamed is not None:
        raise RefusedFile(
            code="conflict",
            place=f"{place_of(unnamed[1])}, record {unnamed[0]}",
            expected="an id that can be told from the other ids of this source",
            found="one that other lines use already, alone and with its statement's reference",
            remedy="Ask the sender for distinct ids, or name other columns as natural_key in sources.yaml.",
        )
    row = _compare(connection, "count_changes").fetchone()
    assert row is not None  # noqa: S101 - one row of counts, always
    return Changes(
        added_count=row[0],
        changed_count=row[1],
        withdrawn_count=row[2],
        unchanged_count=row[3],
        new_statement_count=row[4],
        changed_statement_count=row[5],
        provisional_count=_provisional_count(connection),
        provisional_changed=_provisional(connection, "provisional_changed", source_id=source_id),
        same_as=row[6],
    )


def _provisional_count(connection: Connection) -> int:
    row = connection.execute(_PROVISIONAL["count_provisional"]).fetchone()
    return int(row[0]) if row else 0


def _provisional(connection: Connection, question: str, **params: Any) -> bool:
    row = connection.execute(_PROVISIONAL[question], params).fetchone()
    return bool(row and row[0])


def _write_provisional(connection: Connection, source_id: str, delivery_id: int) -> None:
    """Write what is not booked for good, and end what statements have replaced, in whatever order they came."""
    wanted = {"source_id": source_id, "delivery_id": delivery_id}
    connection.execute(_PROVISIONAL["write_provisional_lines"], wanted)
    if _provisional(connection, "some_provisional", source_id=source_id):
        connection.execute(_PROVISIONAL["end_dropped_lines"], wanted)
        connection.execute(_PROVISIONAL["end_provisional_lines"], wanted)


def _card_number(connection: Connection) -> Exception:
    found = staging.run(connection, "find_card_number").fetchone()
    return (
        staging.wrong_line(found)
        if found
        else RuntimeError("the store refused a card number; none is staged")
    )


def _compare(connection: Connection, name: str, **params: Any) -> psycopg.Cursor[Any]:
    return connection.execute(_COMPARING[name], params or None)


def _asks(connection: Connection, name: str) -> bool:
    row = _compare(connection, name).fetchone()
    return bool(row and row[0])
