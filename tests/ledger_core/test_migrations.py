"""A database built by migrations is the one in schema.sql; building it is safe to repeat and to run at once."""

import contextlib
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy
from psycopg import sql

from ledger_core.errors import MigrationError
from ledger_core.migrate import LEDGER_SCRIPTS, migrate, upgrade
from tests.ledger_core.books import SCHEMA_FILES, open_chart

ROLES = (
    "tieout_owner",
    "tieout_poster",
    "tieout_ledger_reader",
    "tieout_intake",
    "tieout_matcher",
    "tieout_analyst",
    "tieout_auditor",
)
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
            for name in SCHEMA_FILES:
                connection.execute((PACKAGE / name).read_bytes())
        assert catalogue(migrated) == catalogue(written)
        assert len(catalogue(migrated)["functions"]) == 12


def test_migrating_again_changes_nothing_and_keeps_what_is_posted(empty_database_url: str) -> None:
    assert upgrade(empty_database_url) == "r0001"
    with psycopg.connect(empty_database_url) as connection:
        open_chart(connection)
    before = catalogue(empty_database_url)
    assert upgrade(empty_database_url) == "r0001"
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
        assert answers == ["r0001"] * 4


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
        assert upgrade(url.render_as_string(hide_password=False)) == "r0001"
    else:
        engine = sqlalchemy.create_engine(url)
        with engine.begin() as connection:
            assert upgrade(connection) == "r0001"
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
        .replace("Path(__file__).parent", f"Path({str(LEDGER_SCRIPTS / 'versions')!r})")
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
