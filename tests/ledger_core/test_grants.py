"""Who may do what, for every role, object and verb; and the doors tried for real."""

from typing import Any

import psycopg
import pytest

from ledger_core.chart import close_account
from ledger_core.posting import post, post_lines
from ledger_core.read_port import ledger_lines
from ledger_core.reversal import reverse
from tests.ledger_core.books import BANK, OLD, SALES, payment, sale

Connection = psycopg.Connection[Any]

VIEWS = {
    "asset_v1",
    "account_v1",
    "journal_line_v1",
    "refusal_v1",
    "period_v1",
    "fx_quote_v1",
    "transaction_event_v1",
}
READ_FUNCTIONS = {"balances", "trial_balance", "verify", "read_feed", "feed_position"}
WRITE_FUNCTIONS = {
    "define_assets",
    "open_accounts",
    "close_account",
    "close_period",
    "seal_period",
    "post_entries",
    "reverse_entry",
    "record_quote",
    "move_transaction",
    "expire_holds",
    "fold",
    "rebuild_balances",
    "relay",
    "acknowledge_feed",
}
VERBS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
COLUMN_VERBS = ("SELECT", "INSERT", "UPDATE", "REFERENCES")
READERS = ("tieout_ledger_reader", "tieout_matcher", "tieout_analyst", "tieout_auditor")
ROLES = ("tieout_poster", "tieout_intake", *READERS)


def relations(connection: Connection, kinds: str) -> set[str]:
    """Tables, views or sequences of the schema, as the catalogue knows them."""
    rows = connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'ledger'::regnamespace AND relkind = ANY (%s)",
        (list(kinds),),
    ).fetchall()
    return {name for (name,) in rows}


def test_every_view_is_named_here(book: Connection) -> None:
    assert relations(book, "vm") == VIEWS


@pytest.mark.parametrize("role", ["public", *ROLES])
def test_no_role_but_the_owner_has_a_right_on_a_table_and_readers_have_views_only(
    book: Connection, role: str
) -> None:
    tables = relations(book, "rpvmf")
    assert tables > VIEWS
    held = {
        (name, verb)
        for name in tables
        for verb in VERBS
        if book.execute("SELECT has_table_privilege(%s, %s, %s)", (role, f"ledger.{name}", verb)).fetchone()
        == (True,)
    }
    columns = {
        (name, verb)
        for name in tables
        for verb in COLUMN_VERBS
        if book.execute(
            "SELECT has_any_column_privilege(%s, %s, %s)", (role, f"ledger.{name}", verb)
        ).fetchone()
        == (True,)
    }
    allowed = {(name, "SELECT") for name in VIEWS} if role not in ("public", "tieout_intake") else set()
    assert held == columns == allowed


@pytest.mark.parametrize("role", ["public", *ROLES])
def test_no_role_but_the_owner_takes_numbers_or_makes_objects(book: Connection, role: str) -> None:
    for name in relations(book, "S"):
        for verb in ("USAGE", "SELECT", "UPDATE"):
            query = "SELECT has_sequence_privilege(%s, %s, %s)"
            assert book.execute(query, (role, f"ledger.{name}", verb)).fetchone() == (False,)
    query = "SELECT has_schema_privilege(%s, 'ledger', 'CREATE')"
    assert book.execute(query, (role,)).fetchone() == (False,)


@pytest.mark.parametrize("role", ["public", *ROLES])
def test_the_doors_are_the_posters_alone_and_inner_functions_nobodys(book: Connection, role: str) -> None:
    rows = book.execute(
        "SELECT proname, has_function_privilege(%s, oid, 'EXECUTE') FROM pg_proc "
        "WHERE pronamespace = 'ledger'::regnamespace",
        (role,),
    ).fetchall()
    assert {name for name, _ in rows} > READ_FUNCTIONS | WRITE_FUNCTIONS
    allowed = {
        "public": set(),
        "tieout_intake": set(),
        "tieout_poster": READ_FUNCTIONS | WRITE_FUNCTIONS,
    }.get(role, READ_FUNCTIONS)
    assert {name for name, may in rows if may} == allowed


def test_the_doors_run_as_the_owner_and_everything_that_does_fixes_its_search_path(book: Connection) -> None:
    """Inner functions and triggers run within a door, and with its path."""
    rows = book.execute(
        "SELECT proname, proconfig FROM pg_proc WHERE pronamespace = 'ledger'::regnamespace AND prosecdef"
    ).fetchall()
    assert {name for name, _ in rows} == READ_FUNCTIONS | WRITE_FUNCTIONS
    assert [name for name, set_to in rows if "search_path=pg_catalog, pg_temp" not in (set_to or [])] == []


def test_a_posters_own_objects_are_never_taken_for_the_ledgers(book: Connection) -> None:
    book.execute("SET LOCAL ROLE tieout_poster")
    book.execute("CREATE TEMPORARY TABLE account (code text, account_id bigint, asset text) ON COMMIT DROP")
    book.execute("CREATE FUNCTION pg_temp.sha256(bytea) RETURNS bytea LANGUAGE sql AS $$ SELECT ''::bytea $$")
    book.execute("SET LOCAL search_path = pg_temp, ledger, pg_catalog")
    assert [item.outcome for item in post(book, [payment("pay", -5)])] == ["posted"]


def test_everything_belongs_to_the_owner_who_cannot_log_in(book: Connection) -> None:
    rows = book.execute(
        "SELECT r.rolname, r.rolcanlogin FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner "
        "WHERE c.relnamespace = 'ledger'::regnamespace "
        "UNION SELECT r.rolname, r.rolcanlogin FROM pg_proc p JOIN pg_roles r ON r.oid = p.proowner "
        "WHERE p.pronamespace = 'ledger'::regnamespace "
        "UNION SELECT r.rolname, r.rolcanlogin FROM pg_type t JOIN pg_roles r ON r.oid = t.typowner "
        "WHERE t.typnamespace = 'ledger'::regnamespace"
    ).fetchall()
    assert rows == [("tieout_owner", False)]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("verb", ["INSERT", "UPDATE", "DELETE", "TRUNCATE", "SELECT"])
def test_a_role_that_tries_a_table_is_refused(book: Connection, role: str, verb: str) -> None:
    statements = {
        "INSERT": "INSERT INTO ledger.account_closure (account_id, reason, authoriser) VALUES (1, 'r', 'a')",
        "UPDATE": "UPDATE ledger.journal_line SET amount_minor = 1",
        "DELETE": "DELETE FROM ledger.journal_entry",
        "TRUNCATE": "TRUNCATE ledger.journal_line",
        "SELECT": "SELECT count(*) FROM ledger.journal_line",
    }
    book.execute(f"SET LOCAL ROLE {role}")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        book.execute(statements[verb])


def test_the_poster_posts_reverses_and_closes_through_functions(book: Connection) -> None:
    book.execute("SET LOCAL ROLE tieout_poster")
    post_lines(book, sale("sale"))
    assert reverse(book, "sale", reason="typo", authoriser="Ada").is_new
    assert close_account(book, SALES, reason="moved", authoriser="Ada")
    assert not close_account(book, OLD, reason="again", authoriser="Ada")


@pytest.mark.parametrize("role", READERS)
def test_readers_read_lines_and_cannot_post(book: Connection, role: str) -> None:
    post_lines(book, sale("sale"))
    book.execute(f"SET LOCAL ROLE {role}")
    assert ledger_lines(book, [BANK], effective_before=None).num_rows == 1
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        book.execute("SELECT ledger.close_account('income:sales', 'r', 'a')")
