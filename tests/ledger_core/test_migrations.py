"""A database built by migrations is the one in schema.sql; building it is safe to repeat and to run at once."""

import contextlib
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy
from psycopg import sql

from ledger_core.errors import MigrationError
from ledger_core.migrate import LEDGER_PROGRAMS, LEDGER_SCRIPTS, migrate, upgrade
from ledger_core.posting import post_lines
from ledger_core.verify import CheckOutcome, verify
from tests.ledger_core.books import BANK, WALLET, balance, lines, open_chart, outcomes

ROLES = (
    "tieout_owner",
    "tieout_poster",
    "tieout_ledger_reader",
    "tieout_intake",
    "tieout_matcher",
    "tieout_analyst",
    "tieout_auditor",
)
NEWEST = "r0002"
PACKAGE = Path(__file__).parents[2] / "ledger_core"
CATALOGUE = {
    "columns": """
        SELECT c.relname, c.relkind, a.attname, a.attnum, format_type(a.atttypid, a.atttypmod), a.attnotnull,
               a.attidentity, a.attgenerated, pg_get_expr(d.adbin, d.adrelid),
               pg_get_userbyid(c.relowner), c.relacl::text
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relnamespace = 'ledger'::regnamespace AND c.relname NOT LIKE 'alembic%' ORDER BY 1, 4""",
    "constraints": """
        SELECT conname, contype, conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'ledger'::regnamespace AND conname NOT LIKE 'alembic%' ORDER BY 1, 3""",
    "indexes": """
        SELECT indexname, indexdef FROM pg_indexes
        WHERE schemaname = 'ledger' AND tablename NOT LIKE 'alembic%' ORDER BY 1""",
    "triggers": """
        SELECT tgname, pg_get_triggerdef(oid), tgenabled FROM pg_trigger
        WHERE NOT tgisinternal AND tgrelid::regclass::text LIKE 'ledger.%' ORDER BY 1, 2""",
    "functions": """
        SELECT proname, pg_get_functiondef(oid), proacl::text, pg_get_userbyid(proowner) FROM pg_proc
        WHERE pronamespace = 'ledger'::regnamespace ORDER BY 1, 2""",
    "views": """
        SELECT viewname, definition, viewowner FROM pg_views WHERE schemaname = 'ledger' ORDER BY 1""",
    "types": """
        SELECT typname, typtype, format_type(typbasetype, typtypmod), typacl::text FROM pg_type
        WHERE typnamespace = 'ledger'::regnamespace AND typname NOT LIKE '%alembic%' ORDER BY 1""",
    "schema": "SELECT pg_get_userbyid(nspowner), nspacl::text FROM pg_namespace WHERE nspname = 'ledger'",
}


def catalogue(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Everything the catalogue says of schema ledger."""
    with psycopg.connect(url) as connection:
        return {name: connection.execute(query).fetchall() for name, query in CATALOGUE.items()}


def test_migrating_from_nothing_gives_the_schema_for_reading(postgres_url: str, make_database: Any) -> None:
    with make_database() as migrated, make_database() as written:
        upgrade(migrated)
        with psycopg.connect(written) as connection:
            connection.execute("CREATE SCHEMA ledger AUTHORIZATION tieout_owner")
            connection.execute("SET LOCAL ROLE tieout_owner")
            for path in (PACKAGE / "schema.sql", *LEDGER_PROGRAMS):
                connection.execute(path.read_bytes())
        assert catalogue(migrated) == catalogue(written)
        assert len(catalogue(migrated)["functions"]) > 20


def test_migrating_again_changes_nothing_and_keeps_what_is_posted(empty_database_url: str) -> None:
    assert upgrade(empty_database_url) == NEWEST
    with psycopg.connect(empty_database_url) as connection:
        open_chart(connection)
    before = catalogue(empty_database_url)
    assert upgrade(empty_database_url) == NEWEST
    assert catalogue(empty_database_url) == before
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("SELECT count(*) FROM ledger.account").fetchone() == (5,)


def test_processes_that_migrate_at_once_all_succeed(make_database: Any) -> None:
    with make_database() as one, make_database() as two:
        answers: list[object] = []

        def run(url: str) -> None:
            try:
                answers.append(upgrade(url))
            except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
                answers.append(error)

        threads = [threading.Thread(target=run, args=(url,)) for url in (one, one, two, two)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == [NEWEST] * 4


@pytest.mark.parametrize("form", ["sqlalchemy url", "open connection"])
def test_a_sqlalchemy_url_or_connection_will_do(empty_database_url: str, form: str) -> None:
    parts = psycopg.conninfo.conninfo_to_dict(empty_database_url)
    url = sqlalchemy.URL.create(
        "postgresql+psycopg",
        username=parts.pop("user", None),
        password=parts.pop("password", None),
        database=parts.pop("dbname"),
        query={name: str(value) for name, value in parts.items()},
    )
    if form == "sqlalchemy url":
        assert upgrade(url.render_as_string(hide_password=False)) == NEWEST
    else:
        engine = sqlalchemy.create_engine(url)
        with engine.begin() as connection:
            assert upgrade(connection) == NEWEST
        engine.dispose()
    with psycopg.connect(empty_database_url) as connection:
        open_chart(connection)


def test_the_login_that_migrates_may_take_every_role(connection: psycopg.Connection) -> None:
    """On the embedded server this login is no superuser: it may create roles and databases, as on a managed one."""
    for role in ROLES:
        connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
        assert connection.execute("SELECT current_user::text").fetchone() == (role,)
        connection.execute("RESET ROLE")


def test_a_revision_that_fails_leaves_nothing_behind(empty_database_url: str, tmp_path: Path) -> None:
    versions = tmp_path / "versions"
    versions.mkdir()
    first = (
        (LEDGER_SCRIPTS / "versions" / "r0001_ledger.py")
        .read_text()
        .replace("__file__", repr(str(LEDGER_SCRIPTS / "versions" / "r0001_ledger.py")))
    )
    (versions / "r0001_ledger.py").write_text(first)
    (versions / "r0002_bad.py").write_text(
        'from alembic import op\nimport sqlalchemy\nrevision = "r0002"\ndown_revision = "r0001"\n'
        'def upgrade():\n    op.get_bind().connection.driver_connection.execute("SELECT 1/0")\n'
    )
    with pytest.raises(Exception, match="22012"):
        migrate(empty_database_url, script_folder=tmp_path, schema="ledger")
    with contextlib.closing(psycopg.connect(empty_database_url)) as connection:
        assert connection.execute(
            "SELECT count(*) FROM pg_namespace WHERE nspname = 'ledger'"
        ).fetchone() == (0,)


def test_a_database_of_a_newer_program_is_refused(empty_database_url: str) -> None:
    upgrade(empty_database_url)
    with psycopg.connect(empty_database_url) as connection:
        connection.execute("UPDATE ledger.alembic_version SET version_num = 'r9999'")
    with pytest.raises(MigrationError, match="r9999"):
        upgrade(empty_database_url)


def test_a_folder_without_revisions_is_refused(empty_database_url: str, tmp_path: Path) -> None:
    with pytest.raises(MigrationError, match="versions"):
        migrate(empty_database_url, script_folder=tmp_path, schema="ledger")


FIRST_REVISION_BOOK = """
INSERT INTO ledger.asset (code, exponent) VALUES ('EUR', 2);
INSERT INTO ledger.account (code, name, type, asset_id, may_overdraw) VALUES
  ('assets:bank', 'Bank', 'asset', 1, true), ('liabilities:wallet', 'Wallet', 'liability', 1, false),
  ('assets:old', 'Old', 'asset', 1, true);
INSERT INTO ledger.account_closure (account_id, reason, authoriser) VALUES (3, 'bank left', 'Ada');
WITH head AS (
  INSERT INTO ledger.journal_entry (entry_key, request_hash, effective_at, line_count)
  VALUES ('in', decode(repeat('01', 32), 'hex'), '2026-01-15 12:00Z', 2) RETURNING entry_id)
INSERT INTO ledger.journal_line
  (entry_id, line_no, account_id, asset_id, amount_minor, effective_at, kind, ref_psp, metadata)
SELECT h.entry_id, l.n, l.account, 1, l.amount, '2026-01-15 12:00Z', l.kind, l.ref, l.metadata::jsonb
FROM head AS h,
  (VALUES (1, 1, 100, 'deposit', 'ch_1', '{"rail": "sepa"}'), (2, 2, -100, NULL, NULL, NULL))
    AS l (n, account, amount, kind, ref, metadata);
WITH head AS (
  INSERT INTO ledger.journal_entry (entry_key, request_hash, effective_at, line_count)
  VALUES ('out', decode(repeat('02', 32), 'hex'), '2026-01-16 12:00Z', 2) RETURNING entry_id)
INSERT INTO ledger.journal_line (entry_id, line_no, account_id, asset_id, amount_minor, effective_at)
SELECT h.entry_id, l.n, l.account, 1, l.amount, '2026-01-16 12:00Z'
FROM head AS h, (VALUES (1, 1, -70), (2, 2, 70)) AS l (n, account, amount);
"""


@pytest.fixture
def first_revision_url(empty_database_url: str, tmp_path: Path) -> str:
    """A database as the first revision made it, with money in it."""
    versions = tmp_path / "versions"
    versions.mkdir()
    for name in ("r0001_ledger.py", "r0001_schema.sql"):
        (versions / name).write_bytes((LEDGER_SCRIPTS / "versions" / name).read_bytes())
    assert migrate(empty_database_url, script_folder=tmp_path, schema="ledger") == "r0001"
    with psycopg.connect(empty_database_url) as connection:
        connection.execute(FIRST_REVISION_BOOK)
    return empty_database_url


def test_what_the_first_revision_holds_is_all_there_after_the_second(first_revision_url: str) -> None:
    assert upgrade(first_revision_url) == NEWEST
    with psycopg.connect(first_revision_url) as connection:
        assert balance(connection, BANK).balance_minor == 30
        assert balance(connection, WALLET).available_minor == -30
        kept = connection.execute(
            "SELECT entry_key, kind, ref_psp, metadata->>'rail', xid::text::bigint > 2 "
            "FROM ledger.journal_line_v1 ORDER BY entry_key, line_no"
        ).fetchall()
        assert kept == [
            ("in", "deposit", "ch_1", "sepa", True),
            ("in", None, None, None, True),
            ("out", None, None, None, True),
            ("out", None, None, None, True),
        ]
        assert [check for check in verify(connection) if check.outcome is not CheckOutcome.OK] == []


def test_a_key_of_the_first_revision_is_still_known_by_its_content(first_revision_url: str) -> None:
    upgrade(first_revision_url)
    with psycopg.connect(first_revision_url) as connection:
        same = lines(("out", BANK, -70), ("out", WALLET, 70), at=datetime(2026, 1, 16, 12, tzinfo=UTC))
        other = lines(("out", BANK, -71), ("out", WALLET, 71), at=datetime(2026, 1, 16, 12, tzinfo=UTC))
        assert outcomes(post_lines(connection, same)) == ["replayed"]
        assert outcomes(post_lines(connection, other)) == ["conflict"]
        spend = lines(("more", BANK, -31), ("more", WALLET, 31))
        assert outcomes(post_lines(connection, spend)) == ["refused"]
        assert outcomes(post_lines(connection, sale_of_rest())) == ["posted"]


def sale_of_rest() -> Any:
    """The wallet's last 30."""
    return lines(("rest", BANK, -30), ("rest", WALLET, 30))


def test_another_version_of_the_programs_is_written_over_the_old_one(empty_database_url: str) -> None:
    upgrade(empty_database_url)
    with psycopg.connect(empty_database_url) as connection:
        connection.execute("COMMENT ON SCHEMA ledger IS 'tieout programs of another version'")
        connection.execute("DROP VIEW ledger.refusal_v1")
    upgrade(empty_database_url)
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("SELECT count(*) FROM ledger.refusal_v1").fetchone() == (0,)
