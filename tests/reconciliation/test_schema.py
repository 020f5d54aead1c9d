"""The schema for reading is what the migrations build, and its word lists are the program's."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, get_args

import psycopg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from psycopg import Connection

import reconciliation
from ledger_core.migrate import upgrade as upgrade_ledger
from reconciliation import vocabulary
from reconciliation.formats.canonical import WAIVABLE_CODES
from reconciliation.formats.card_numbers import masked_text
from reconciliation.migrate import upgrade
from reconciliation.sources import MatchPass

FOLDER = Path(reconciliation.__file__).parent
CATALOGUE = """
    WITH relation AS (
        SELECT oid, relname, relacl, relowner, relkind FROM pg_class WHERE relnamespace = 'recon'::regnamespace
    )
    SELECT 'column', c.relname || '.' || a.attname,
        concat_ws(' ', format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
            pg_get_expr(d.adbin, d.adrelid), a.attacl)
    FROM pg_attribute AS a
    JOIN relation AS c ON c.oid = a.attrelid AND c.relkind IN ('r', 'v')
    LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE a.attnum > 0
    UNION ALL
    SELECT 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'recon'::regnamespace
    UNION ALL
    SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'recon'
    UNION ALL
    SELECT 'view', viewname, definition FROM pg_views WHERE schemaname = 'recon'
    UNION ALL
    SELECT 'function', oid::regprocedure::text,
        concat_ws(' ', CASE WHEN prokind <> 'a' THEN pg_get_functiondef(oid) END, proacl, proowner::regrole)
    FROM pg_proc WHERE pronamespace = 'recon'::regnamespace
    UNION ALL
    SELECT 'trigger', c.relname || '.' || t.tgname, concat_ws(' ', pg_get_triggerdef(t.oid), t.tgenabled)
    FROM pg_trigger AS t JOIN relation AS c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal
    UNION ALL
    SELECT 'grant', relname, concat_ws(' ', relkind, relacl, relowner::regrole) FROM relation
    UNION ALL
    SELECT 'schema', nspname, concat_ws(' ', nspacl, nspowner::regrole) FROM pg_namespace WHERE nspname = 'recon'
    ORDER BY 1, 2, 3
"""


def catalogue(connection: Connection) -> list[tuple[Any, ...]]:
    return [row for row in connection.execute(CATALOGUE).fetchall() if "alembic_version" not in row[1]]


def test_migrating_from_nothing_gives_the_schema_for_reading(
    empty_database_url: str, database_url: str
) -> None:
    upgrade_ledger(empty_database_url)
    with psycopg.connect(empty_database_url) as read, psycopg.connect(database_url) as migrated:
        read.execute("CREATE SCHEMA recon AUTHORIZATION tieout_owner")
        read.execute("SET ROLE tieout_owner")
        read.execute((FOLDER / "schema.sql").read_bytes())
        assert catalogue(read) == catalogue(migrated)


def test_migrating_again_changes_nothing(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        before = catalogue(connection)
        assert upgrade(database_url) == "r0004"
        assert catalogue(connection) == before


@pytest.mark.parametrize(
    ("constraint", "words"),
    [
        ("line_kind", vocabulary.LINE_KINDS),
        ("provisional_line_status", (vocabulary.LINE_STATUSES - {"booked"}) | {"interim"}),
        ("release_waives_a_proof", WAIVABLE_CODES),
        ("exception_class", vocabulary.EXCEPTION_CLASSES),
        ("exception_kind", vocabulary.EXCEPTION_KINDS),
        ("exception_severity", vocabulary.SEVERITIES),
        ("alert_severity", vocabulary.SEVERITIES),
        ("exception_side", vocabulary.SIDES),
        ("exception_status", vocabulary.EXCEPTION_STATUSES),
        ("exception_reason", vocabulary.REASON_CODES),
        ("proposal_reason", vocabulary.REASON_CODES),
        ("proposal_action", vocabulary.PROPOSAL_ACTIONS),
        ("person_roles", vocabulary.PERSON_ROLES),
        ("exception_line_side", vocabulary.SIDES),
        ("match_member_side", vocabulary.SIDES),
        ("exception_member_side", vocabulary.SIDES),
        ("match_leg", vocabulary.LEGS),
        ("match_pass", vocabulary.MATCH_PASSES),
        ("match_pass", (*get_args(MatchPass), "decision")),  # which no rules file names
        ("match_state", vocabulary.MATCH_STATES),
        ("match_member_role", vocabulary.ALLOCATION_ROLES),
        ("decision_member_side", vocabulary.SIDES),
        ("decision_member_role", vocabulary.ALLOCATION_ROLES),
    ],
)
def test_the_word_lists_of_program_and_database_are_equal(
    connection: Connection, constraint: str, words: Any
) -> None:
    found = connection.execute(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE connamespace = 'recon'::regnamespace AND conname = %s",
        (constraint,),
    ).fetchone()
    assert found is not None
    assert sorted(re.findall(r"'([a-z_]+)'", found[0])) == sorted(words)


def test_the_references_of_lines_are_those_of_the_program(connection: Connection) -> None:
    found = connection.execute(
        "SELECT attname FROM pg_attribute "
        r"WHERE attrelid = 'recon.line'::regclass AND attname LIKE 'ref\_%' ORDER BY attnum"
    ).fetchall()
    assert tuple(name for (name,) in found) == vocabulary.REFERENCE_COLUMNS


@pytest.fixture(scope="module")
def card_law(make_database: Callable[..., AbstractContextManager[str]], template: str) -> Any:
    """Asks the database whether it finds a card number in a text."""
    with make_database(template) as url, psycopg.connect(url, autocommit=True) as connection:

        def holds(text: str) -> bool:
            row = connection.execute("SELECT recon.holds_card_number(%s)", (text,)).fetchone()
            return row == (True,)

        yield holds


# Numbers that schemes publish for tests.
@pytest.mark.parametrize(
    "number",
    ["4111111111111111", "4222222222222", "5555555555554444", "2223003122003222", "378282246310005",
     "6011111111111117", "3566002020360505", "38520000023237", "6759649826438453"],
)  # fmt: skip
def test_the_database_finds_the_card_numbers_that_schemes_issue(
    card_law: Callable[[str], bool], number: str
) -> None:
    assert card_law(number)
    assert card_law(f"paid by {number}, thanks")
    assert not card_law(f"{number[:-1]}{(int(number[-1]) + 1) % 10}")
    assert not card_law(f"7{number * 2}")


@given(
    st.text("0123456789 -.x", max_size=40)
    | st.from_regex(r"\A[a-z ]{0,3}[2-6][0-9]{12,18}[a-z ]{0,3}\Z")
    | st.from_regex(r"\A[0-9]{1,6}[ -][2-6][0-9]{12,18}\Z")
)
@example("41234567890127")
def test_the_database_never_finds_what_the_parsers_leave(card_law: Callable[[str], bool], text: str) -> None:
    assert not card_law(masked_text(text))
