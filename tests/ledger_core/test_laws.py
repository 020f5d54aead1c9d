"""Each law of the ledger is kept by a named object of the database, and removing that object is noticed.

Every case breaks one law past the doors, by hand, as the owner. With the object in place the row is refused by that
object's name; with it removed the row goes in, and where the books are wrong `verify` raises the alarm.

On purpose no trigger refuses a header without lines or refusal: each single posting would pay for it. Nobody but the
owner can write one, and `verify` names it.
"""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg import sql

from ledger_core.balance import fold
from ledger_core.errors import AppendOnlyError
from ledger_core.posting import post_lines
from ledger_core.sql import translated_errors
from ledger_core.verify import CheckOutcome, verify
from tests.ledger_core.books import raw_entry, sale
from tests.ledger_core.law_cases import APPEND_ONLY, CASES, WITHOUT_CASE
from tests.ledger_core.law_deeds import GOOD, Case, header, row, two_more_lines

Connection = psycopg.Connection[Any]


def attempt(connection: Connection, do: Callable[[Connection], object]) -> psycopg.Error | None:
    """What refuses it; None when it goes in."""
    try:
        with connection.transaction():
            do(connection)
    except psycopg.Error as error:
        return error
    return None


def alarms(connection: Connection) -> set[str]:
    """The checks that fail."""
    return {check.code for check in verify(connection) if check.outcome is not CheckOutcome.OK}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_law_has_teeth_and_pulling_them_is_noticed(book: Connection, case: Case) -> None:
    post_lines(book, sale("sale"))
    refused = attempt(book, case.do)
    assert refused is not None
    assert refused.diag.constraint_name == case.law
    assert alarms(book) == set()
    book.execute(case.remove)
    assert attempt(book, case.do) is None
    if case.alarm:
        assert case.alarm in alarms(book)


def test_no_constraint_index_or_trigger_is_without_a_case(book: Connection) -> None:
    """NOT NULL belongs to a column's type; everything else in the catalogue is named by a case."""
    found = book.execute(
        "SELECT conname FROM pg_constraint WHERE connamespace = 'ledger'::regnamespace "
        "AND contype <> 'n' AND conname <> 'alembic_version_pkc' "
        "UNION SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
        "WHERE c.relnamespace = 'ledger'::regnamespace AND i.indisunique "
        "AND NOT EXISTS (SELECT FROM pg_constraint o WHERE o.conindid = i.indexrelid) "
        "UNION SELECT t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
        "WHERE c.relnamespace = 'ledger'::regnamespace AND NOT t.tgisinternal"
    ).fetchall()
    removed = {word for case in CASES for word in case.remove.replace("ledger.", "").split()}
    named = {name for (name,) in found if name in removed}
    assert {name for (name,) in found} - named == {
        *(f"{table}_append_only" for table in APPEND_ONLY),
        *WITHOUT_CASE,
    }


def test_every_law_of_the_line_trigger_has_a_case(book: Connection) -> None:
    rows = book.execute(
        "SELECT DISTINCT m[1] FROM pg_proc AS p, "
        "regexp_matches(p.prosrc, 'CONSTRAINT = ''([a-z_]+[a-z])''', 'g') AS m "
        "WHERE p.pronamespace = 'ledger'::regnamespace AND p.prorettype = 'trigger'::regtype"
    ).fetchall()
    assert {name for (name,) in rows} <= {case.law for case in CASES}
    assert "journal_line_zero_sum" in {name for (name,) in rows}


def test_a_second_name_for_one_place_in_a_life_is_refused_by_either_key(book: Connection) -> None:
    """The one constraint without a case: with the primary key gone it refuses in its stead."""
    twice = [row("transaction_event", transaction_id=1, event_no=1, previous_state="none", state="initiated",
                 event_key=name, request_hash=bytes(32), authoriser="Ada") for name in ("a", "b")]  # fmt: skip
    row("business_transaction", transaction_id=1, transaction_key="t", kind="p")(book)
    book.execute("ALTER TABLE ledger.transaction_event DROP CONSTRAINT transaction_event_pkey")
    refused = attempt(book, lambda c: [deed(c) for deed in twice])
    assert refused is not None
    assert refused.diag.constraint_name == "transaction_event_state_key"


def test_a_header_without_lines_or_refusal_raises_the_alarm(book: Connection) -> None:
    header(line_count=2)(book)
    header(entry_key="neither", line_count=0)(book)
    assert alarms(book) == {"entry_complete", "entry_outcome"}


def test_a_refusal_of_what_was_posted_raises_the_alarm(book: Connection) -> None:
    post_lines(book, sale("sale"))
    book.execute("INSERT INTO ledger.refusal SELECT entry_id, 'c', 'd' FROM ledger.journal_entry")
    assert alarms(book) == {"entry_outcome"}


def test_a_correction_of_nothing_raises_the_alarm(book: Connection) -> None:
    raw_entry(book, GOOD, corrects_entry_id=4711)
    assert alarms(book) == {"correction_exists"}


@pytest.mark.parametrize(
    ("change", "alarm"),
    [
        ("UPDATE ledger.balance SET posted = posted + 1 WHERE account_id = 1", "balance_sums"),
        ("UPDATE ledger.balance SET spent = spent + 1 WHERE account_id = 5", "balance_spent"),
        ("UPDATE ledger.balance SET received = received + 1 WHERE account_id = 5", "balance_spent"),
        ("DELETE FROM ledger.balance WHERE account_id = 1", "balance_spans"),
        ("UPDATE ledger.balance_span SET posted = posted + 1 WHERE is_day", "balance_spans"),
        ("DELETE FROM ledger.fold_mark", "fold_mark"),
        ("UPDATE ledger.balance SET snap = '9000000000000:9000000000000:'", "xid_current"),
    ],
)
def test_sums_that_are_not_those_of_the_journal_raise_the_alarm(
    own_book: Connection, change: str, alarm: str
) -> None:
    post_lines(own_book, sale("sale"))
    own_book.commit()
    fold(own_book, 1)
    assert alarms(own_book) == set()
    own_book.execute(change)
    assert alarm in alarms(own_book)


def test_an_entry_of_an_earlier_transaction_takes_no_more_lines(own_book: Connection) -> None:
    post_lines(own_book, sale("sale"))
    own_book.commit()
    refused = attempt(own_book, two_more_lines)
    assert refused is not None
    assert refused.diag.constraint_name == "journal_line_entry_closed"


def test_nothing_more_is_said_of_a_line_of_an_earlier_transaction(own_book: Connection) -> None:
    post_lines(own_book, sale("sale"))
    own_book.commit()
    refused = attempt(own_book, row("journal_line_detail", entry_id=1, line_no=1, kind="late"))
    assert refused is not None
    assert refused.diag.constraint_name == "journal_line_detail_line"


def change(connection: Connection, verb: str, table: str) -> None:
    """A change of every row of a table that leaves their values as they are."""
    query = "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum = 1"
    found = connection.execute(query, (f"ledger.{table}",)).fetchone()
    assert found is not None
    first = "reason" if table == "journal_entry" else "name" if table == "account" else found[0]
    first = "kind" if table == "business_transaction" else first
    statement = {
        "UPDATE": sql.SQL("UPDATE ledger.{table} SET {column} = {column}"),
        "DELETE": sql.SQL("DELETE FROM ledger.{table}"),
        "TRUNCATE": sql.SQL("TRUNCATE ledger.{table} CASCADE"),
    }[verb]
    connection.execute(statement.format(table=sql.Identifier(table), column=sql.Identifier(first)))


@pytest.mark.parametrize("role", ["tieout_owner", None], ids=["owner", "login"])
@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize("verb", ["UPDATE", "DELETE", "TRUNCATE"])
def test_posted_rows_never_change_by_anybodys_hand(
    book: Connection, role: str | None, table: str, verb: str
) -> None:
    if role:
        book.execute(f"SET LOCAL ROLE {role}")
    with pytest.raises(AppendOnlyError, match=f"ledger.{table}: {verb} is refused"), translated_errors():
        change(book, verb, table)


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize("verb", ["UPDATE", "DELETE", "TRUNCATE"])
def test_without_its_trigger_a_table_could_be_changed(book: Connection, table: str, verb: str) -> None:
    for name in APPEND_ONLY:
        if name != table:
            book.execute(f"ALTER TABLE ledger.{name} DISABLE TRIGGER {name}_append_only")
    for name in {"asset": ["account_closure", "account"], "account": ["account_closure"]}.get(table, []):
        if verb == "DELETE":  # what refers to it goes first
            book.execute(f"DELETE FROM ledger.{name}")  # noqa: S608 - no input
    assert attempt(book, lambda c: change(c, verb, table)) is not None
    book.execute(f"DROP TRIGGER {table}_append_only ON ledger.{table}")
    assert attempt(book, lambda c: change(c, verb, table)) is None


def test_the_hole_that_remains_raises_the_alarm(book: Connection) -> None:
    book.execute("SET LOCAL session_replication_role = replica")
    raw_entry(book, [GOOD[0], GOOD[1] | {"amount_minor": -4}])
    assert alarms(book) == {"entry_zero_sum", "asset_zero_sum"}


@pytest.mark.parametrize(
    ("tamper", "alarm"),
    [
        (
            "UPDATE ledger.journal_line SET amount_minor = amount_minor * 2 WHERE line_no = 1",
            "entry_zero_sum",
        ),
        ("UPDATE ledger.journal_line SET account_id = 5 WHERE line_no = 1", "balance_sums"),
        ("DELETE FROM ledger.journal_line WHERE line_no = 2", "entry_complete"),
        ("DELETE FROM ledger.journal_entry", "entry_complete"),
    ],
)
def test_a_posted_row_changed_past_the_triggers_raises_the_alarm(
    own_book: Connection, tamper: str, alarm: str
) -> None:
    post_lines(own_book, sale("sale"))
    own_book.commit()
    fold(own_book, 1)
    own_book.execute("SET LOCAL session_replication_role = replica")
    own_book.execute(tamper)
    assert alarm in alarms(own_book)
