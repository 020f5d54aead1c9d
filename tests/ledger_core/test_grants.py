"""Who may do what, for every role, object and verb; and the doors tried for real."""

from typing import Any

import psycopg
import pytest

from ledger_core.chart import close_account
from ledger_core.posting import post_lines
from ledger_core.read_port import ledger_lines
from ledger_core.reversal import reverse
from tests.ledger_core.books import BANK, OLD, SALES, sale

Connection = psycopg.Connection[Any]

TABLES = ("asset", "account", "account_closure", "journal_entry", "journal_line")
VIEWS = ("asset_v1", "account_v1", "journal_line_v1")
READ_FUNCTIONS = ("balance", "trial_balance", "verify")
WRITE_FUNCTIONS = ("define_assets", "open_accounts", "close_account", "post_entries", "reverse_entry")
INNER_FUNCTIONS = ("check_request", "enforce_entry_laws", "enforce_line_laws", "refuse_change")
VERBS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
READERS = ("tieout_ledger_reader", "tieout_matcher", "tieout_analyst", "tieout_auditor")
ROLES = ("tieout_poster", "tieout_intake", *READERS)


@pytest.mark.parametrize("role", ROLES)
def test_no_role_but_the_owner_has_a_right_on_a_table_and_readers_have_views_only(
    book: Connection, role: str
) -> None:
    held = {
        (name, verb)
        for name in TABLES + VIEWS
        for verb in VERBS
        if book.execute("SELECT has_table_privilege(%s, %s, %s)", (role, f"ledger.{name}", verb)).fetchone()
        == (True,)
    }
    assert held == ({(name, "SELECT") for name in VIEWS} if role != "tieout_intake" else set())


@pytest.mark.parametrize("role", ROLES)
def test_functions_that_write_are_the_posters_alone(book: Connection, role: str) -> None:
    rows = book.execute(
        "SELECT proname, has_function_privilege(%s, oid, 'EXECUTE') FROM pg_proc "
        "WHERE pronamespace = 'ledger'::regnamespace",
        (role,),
    ).fetchall()
    assert {name for name, _ in rows} == {*READ_FUNCTIONS, *WRITE_FUNCTIONS, *INNER_FUNCTIONS}
    allowed = {"tieout_poster": {*READ_FUNCTIONS, *WRITE_FUNCTIONS}, "tieout_intake": set()}.get(
        role, set(READ_FUNCTIONS)
    )
    assert {name for name, may in rows if may} == allowed


def test_every_function_that_runs_as_the_owner_fixes_its_search_path(book: Connection) -> None:
    rows = book.execute(
        "SELECT proname, proconfig FROM pg_proc WHERE pronamespace = 'ledger'::regnamespace"
    ).fetchall()
    assert [
        name for name, settings in rows if "search_path=pg_catalog, pg_temp" not in (settings or [])
    ] == []


def test_everything_belongs_to_the_owner_who_cannot_log_in(book: Connection) -> None:
    rows = book.execute(
        "SELECT c.relname, r.rolname, r.rolcanlogin FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner "
        "WHERE c.relnamespace = 'ledger'::regnamespace"
    ).fetchall()
    assert {(owner, may_log_in) for _, owner, may_log_in in rows} == {("tieout_owner", False)}


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
