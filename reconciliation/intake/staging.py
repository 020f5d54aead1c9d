"""Puts what a reader tells into temporary tables, while it is still reading, and proves there that it adds up.

Law: readers are not trusted. Whatever they prove about a file, what the store relies on is proved here again, in SQL,
where sums cannot overflow. Writes temporary tables only. Batches are copied by a thread of their own, so that parsing
and copying each have a core; nothing else may use the connection meanwhile.
"""

import json
import queue
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from ledger_core.sql import copy_in, queries
from reconciliation.errors import RefusedFile
from reconciliation.formats.canonical import LINE_SCHEMA
from reconciliation.intake.card_sweep import CardSweep, account_without_cards
from reconciliation.intake.checks import BOOKING_WINDOW_DAYS, KnownStatement, place_of
from reconciliation.intake.natural_keys import DEFAULT_KEY, with_natural_keys

Connection = psycopg.Connection[Any]

BATCHES_WAITING: Final = 2  # more would be memory, not speed
SQL: Final = queries(Path(__file__).with_name("stage.sql"))

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


def run(connection: Connection, name: str, **params: Any) -> psycopg.Cursor[Any]:
    """Execute a query of stage.sql; without parameters it may hold several statements."""
    return connection.execute(SQL[name], params or None)


class Staging(AbstractContextManager["Staging"]):
    """Takes batches of lines (``LINE_SCHEMA``) for as long as the context lasts; leaving it waits for the last one."""

    def __init__(
        self, connection: Connection, natural_key: Sequence[str], sweep: CardSweep | None = None
    ) -> None:
        with_natural_keys(
            LINE_SCHEMA.empty_table(), natural_key
        )  # a column that does not exist is said at once
        self._connection = connection
        self._natural_key = tuple(natural_key)
        self._sweep = sweep
        self._waiting: queue.Queue[pa.Table | None] = queue.Queue(maxsize=BATCHES_WAITING)
        self._failure: BaseException | None = None
        self._copier = threading.Thread(target=self._copy, name="tieout-copy", daemon=True)

    def __enter__(self) -> Self:
        run(self._connection, "make_tables")
        self._copier.start()
        return self

    def take(self, batch: pa.RecordBatch) -> None:
        """Check a batch, sweep card numbers out of it and hand it to the copier."""
        if self._failure is not None:
            raise self._failure
        if not batch.schema.equals(LINE_SCHEMA):
            raise TypeError("a reader's lines do not have LINE_SCHEMA")
        _refuse_nul(batch)
        lines = with_natural_keys(pa.Table.from_batches([batch]), self._natural_key)
        self._waiting.put(lines if self._sweep is None else self._sweep.lines(lines))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._waiting.put(None)
        self._copier.join()
        if error is None and self._failure is not None:
            raise self._failure

    def _copy(self) -> None:
        """Copies until there is no more. After a failure it only empties the queue, so that nobody waits for ever."""
        while (table := self._waiting.get()) is not None:
            if self._failure is None:
                try:
                    copy_in(self._connection, table, "pg_temp.told_line")
                except BaseException as failure:  # noqa: BLE001 - handed to the thread that waits for it
                    self._failure = failure


def prove(
    connection: Connection,
    statements: Sequence[KnownStatement],
    *,
    natural_key: Sequence[str],
    ids_may_repeat: bool,
) -> tuple[str, ...]:
    """Prove that the staged lines are those of the statements; notes on ids that name nothing.

    Raises:
        RefusedFile: sums or counts differ, a line cannot belong to its statement, an id that must be unique is not.
    """
    rows = json.dumps([_statement_row(known) for known in statements])
    run(connection, "put_statements", statements=rows)
    run(connection, "analyze_told")
    strange = run(connection, "find_strange_line", window_days=BOOKING_WINDOW_DAYS).fetchone()
    if strange is not None:
        raise wrong_line(strange)
    refuse_sum(run(connection, "find_wrong_sum").fetchone(), statements, "its lines")
    if tuple(natural_key) != DEFAULT_KEY:
        return ()
    if not ids_may_repeat:
        _refuse_repeated_id(run(connection, "find_repeated_id").fetchone())
        return ()
    dropped = run(connection, "drop_shared_ids").rowcount
    return (f"{dropped} lines share an id with others, which names none of them",) if dropped else ()


def wrong_line(found: tuple[Any, ...]) -> RefusedFile:
    """The refusal for a row of ``find_strange_line`` or ``find_card_number``."""
    record_no, statement_no, wrong = found
    code, expected, what = _WRONG_LINE[wrong]
    return RefusedFile(
        code=code,
        place=f"{place_of(statement_no)}, record {record_no}",
        expected=expected,
        found=what,
        remedy="Ask the sender for a corrected file.",
    )


def refuse_sum(wrong: tuple[Any, ...] | None, statements: Sequence[KnownStatement], what: str) -> None:
    """Raise for a row that says which statement does not add up, if there is one."""
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


def _refuse_repeated_id(found: tuple[Any, ...] | None) -> None:
    if found is None:
        return
    statement_no, first_record_no, last_record_no = found
    raise RefusedFile(
        code="conflict",
        place=f"{place_of(statement_no)}, record {last_record_no}",
        expected="each id of the source once",
        found=f"the id of record {first_record_no} again",
        remedy="Ask the sender which of the two holds.",
    )


def _refuse_nul(batch: pa.RecordBatch) -> None:
    for place, column in enumerate(batch.schema):
        values = batch.column(place)
        if not pa.types.is_string(column.type) or values.null_count == len(values):
            continue
        found = pc.index(pc.match_substring(values, pattern="\0"), pa.scalar(True)).as_py()
        if found >= 0:
            record_no = batch.column(batch.schema.get_field_index("record_no"))[found].as_py()
            raise RefusedFile(
                code="structure",
                place=f"record {record_no}, {column.name}",
                expected="text without NUL characters",
                found="one",
                remedy="Ask the sender for a corrected file.",
            )


def _statement_row(known: KnownStatement) -> dict[str, Any]:
    told = known.told
    dates: dict[str, date] = {"from_date": told.from_date, "to_date": told.to_date}
    return {
        "statement_no": known.statement_no,
        "account": known.account,
        "external_account": account_without_cards(told.account),
        "statement_ref": told.statement_ref,
        "asset": told.asset,
        "sequence_no": told.sequence_no,
        "opening_minor": told.opening_minor,
        "closing_minor": told.closing_minor,
        "movement_minor": told.movement_minor,
        "line_count": told.line_count,
        "pending_count": told.pending_count,
        "proofs": list(told.proofs),
        "flags": list(told.flags),
        "interim": told.interim,
    } | {name: day.isoformat() for name, day in dates.items()}
