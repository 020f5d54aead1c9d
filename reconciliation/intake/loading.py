"""Moves a checked file into the store: names its lines, compares them with what was told before, writes the difference.

Law: all or nothing, and afterwards the store holds exactly what the file says, proved by sums in SQL. Unchanged lines
keep their rows; nothing is updated, a correction adds and closes. Everything in bulk; the statements are in load.sql.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final, Literal

import psycopg
import pyarrow as pa

from ledger_core.sql import copy_in, queries
from reconciliation.errors import RefusedFile
from reconciliation.intake.checks import BOOKING_WINDOW_DAYS, KnownStatement, place_of

Connection = psycopg.Connection[Any]
Outcome = Literal["accepted", "redelivered", "corrected", "rejected"]

PAIRINGS: Final = ("same", "reference", "renumbered", "changed")
MANY_LINES: Final = 1_000  # fewer cannot mislead the planner by much
QUALIFIERS: Final = ("nothing", "statement", "everything")

_QUERIES: Final = queries(Path(__file__).with_name("load.sql"))
_WRONG_LINE: Final = {
    "statement": ("structure", "a line of a statement of this file", "one of none"),
    "asset": ("currency", "the currency of its statement", "another one"),
    "booking_date": (
        "date",
        f"a booking date within {BOOKING_WINDOW_DAYS} days of its statement",
        "one far away",
    ),
    "text": ("sensitive_data", "no card number in free text", "one"),
    "counterparty": ("sensitive_data", "no card number in the counterparty", "one"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a file changes against what was there; lines unless said otherwise. ``same_as``: delivery last told from."""

    added_count: int
    changed_count: int
    withdrawn_count: int
    unchanged_count: int
    new_statement_count: int
    changed_statement_count: int
    same_as: int | None

    @property
    def outcome(self) -> Outcome:
        """``accepted``, ``corrected``, or ``redelivered`` when nothing changes."""
        if self.changed_count or self.withdrawn_count or self.changed_statement_count:
            return "corrected"
        if self.new_statement_count:
            return "accepted"
        return "corrected" if self.added_count else "redelivered"


def run(connection: Connection, name: str, **params: Any) -> psycopg.Cursor[Any]:
    """Execute a query of load.sql; without parameters it may hold several statements."""
    return connection.execute(_QUERIES[name], params or None)


def stage(connection: Connection, statements: Sequence[KnownStatement], lines: pa.Table) -> None:
    """Put a file into temporary tables and prove there that its lines add up to its statements.

    Raises:
        RefusedFile: sums or counts differ, or a line cannot belong to its statement.
    """
    run(connection, "make_tables")
    run(connection, "put_statements", statements=json.dumps([_statement_row(known) for known in statements]))
    position = pa.array(range(lines.num_rows), pa.int64())
    copy_in(connection, lines.append_column(pa.field("position", pa.int64()), position), "pg_temp.told_line")
    run(connection, "analyze_told")
    strange = run(connection, "find_strange_line", window_days=BOOKING_WINDOW_DAYS).fetchone()
    if strange is not None:
        record_no, statement_no, wrong = strange
        code, expected, found = _WRONG_LINE[wrong]
        raise RefusedFile(
            code=code,
            place=f"{place_of(statement_no)}, record {record_no}",
            expected=expected,
            found=found,
            remedy="Ask the sender for a corrected file.",
        )
    _refuse_sum(run(connection, "find_wrong_sum").fetchone(), statements, "its lines")


def compare(connection: Connection, source_id: str) -> Changes:
    """Name the staged lines and say what they change. Writes temporary tables only."""
    run(connection, "make_keys")
    run(connection, "find_known_statements", source_id=source_id)
    run(connection, "find_known_lines", source_id=source_id)
    run(connection, "analyze_known")
    if _some_known(connection):
        for pairing in PAIRINGS:
            run(connection, "pair_lines", by=pairing)
        run(connection, "mark_dropped_lines")
        run(connection, "number_new_lines")
    for qualifier in QUALIFIERS:
        unnamed = run(connection, "find_unnamed_line").fetchone()
        if unnamed is None:
            break
        run(connection, "name_new_lines", source_id=source_id, qualified_by=qualifier)
    unnamed = run(connection, "find_unnamed_line").fetchone()
    if unnamed is not None:
        raise RefusedFile(
            code="conflict",
            place=f"{place_of(unnamed[1])}, record {unnamed[0]}",
            expected="an id that can be told from the other ids of this source",
            found="one that other lines use already, alone and with its statement's reference",
            remedy="Ask the sender for distinct ids, or name other columns as natural_key in sources.yaml.",
        )
    row = run(connection, "count_changes").fetchone()
    assert row is not None  # noqa: S101 - one row of counts, always
    return Changes(
        added_count=row[0],
        changed_count=row[1],
        withdrawn_count=row[2],
        unchanged_count=row[3],
        new_statement_count=row[4],
        changed_statement_count=row[5],
        same_as=row[6],
    )


def write(
    connection: Connection, source_id: str, delivery_id: int, statements: Sequence[KnownStatement]
) -> None:
    """Write what changes under a delivery, and prove in SQL that the store now holds what the file says.

    Raises:
        RefusedFile: it does not; the caller rolls back.
    """
    run(connection, "write_statements", source_id=source_id, delivery_id=delivery_id)
    run(connection, "make_written")
    written = run(connection, "write_lines", source_id=source_id, delivery_id=delivery_id).rowcount
    run(connection, "analyze_written")
    if written >= MANY_LINES:
        run(connection, "refresh_statistics")
    run(connection, "write_closures", delivery_id=delivery_id)
    wrong = run(connection, "find_unproved_statement", source_id=source_id).fetchone()
    _refuse_sum(wrong, statements, "its lines in the store")


def _statement_row(known: KnownStatement) -> dict[str, Any]:
    told = known.told
    dates: dict[str, date] = {"from_date": told.from_date, "to_date": told.to_date}
    return {
        "statement_no": known.statement_no,
        "account": known.account,
        "external_account": told.account,
        "statement_ref": told.statement_ref,
        "asset": told.asset,
        "sequence_no": told.sequence_no,
        "opening_minor": told.opening_minor,
        "closing_minor": told.closing_minor,
        "movement_minor": told.movement_minor,
        "line_count": told.line_count,
        "pending_count": told.pending_count,
        "proofs": list(told.proofs),
    } | {name: day.isoformat() for name, day in dates.items()}


def _refuse_sum(wrong: tuple[Any, ...] | None, statements: Sequence[KnownStatement], what: str) -> None:
    if wrong is None:
        return
    statement_no, movement_minor, line_count, found_minor, found_count = wrong
    asset = statements[statement_no].told.asset
    raise RefusedFile(
        code="control_total",
        place=place_of(statement_no),
        expected=f"{what} to be {line_count} with a sum of {movement_minor} {asset} in minor units",
        found=f"{found_count} with a sum of {found_minor}",
        remedy="The file contradicts itself or what was delivered before; ask the sender for the statement again.",
    )


def _some_known(connection: Connection) -> bool:
    row = connection.execute("SELECT EXISTS (SELECT FROM pg_temp.known_line)").fetchone()
    return bool(row and row[0])
