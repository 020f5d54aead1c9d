"""Bring a schema to its newest revision with Alembic, from code, for any package that keeps revisions in a folder.

Tables are versioned. Functions, triggers and views - the programs - are not: they are written anew from their files
whenever those differ from what the schema was last given, so that there is one text of each to read.

Laws: one transaction per schema (nothing or everything), one process at a time (advisory lock), objects belong to the
role `tieout_owner`. There is no way down: posted rows must outlive any revision.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import psycopg
import sqlalchemy
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, RevisionStep
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from psycopg import sql

from ledger_core.errors import MigrationError
from ledger_core.sql import execute_script, lock, translated_errors

LEDGER_SCHEMA: Final = "ledger"
LEDGER_SCRIPTS: Final = Path(__file__).parent / "migrations"
LEDGER_PROGRAMS: Final = tuple(
    Path(__file__).parent / "programs" / f"{name}.sql"
    for name in ("laws", "chart", "posting", "judging", "balances", "life", "feed", "verify", "seal", "views")
)
OWNER_ROLE: Final = "tieout_owner"
OLDEST_SERVER: Final = 150_000  # PostgreSQL 15: the oldest release this is tested on
_ONE_AT_A_TIME: Final = threading.Lock()  # Alembic keeps the running environment in one place per process
_ROLES_FILE: Final = Path(__file__).parent / "roles.sql"


def migrate(
    target: str | sqlalchemy.Connection,
    *,
    script_folder: Path,
    schema: str,
    version_table: str = "alembic_version",
    programs: Sequence[Path] = (),
) -> str:
    """Create `schema` and the product's roles if absent, run all outstanding revisions, return the newest one's name.

    `target` is a SQLAlchemy URL naming psycopg 3, a libpq URL or conninfo (own connection, committed at the end), or an
    open SQLAlchemy connection on psycopg 3 (the caller commits). `script_folder` holds `versions/*.py`; `programs` are
    scripts that may be run again over themselves. The connecting user needs CREATE on the database, and CREATEROLE
    unless the roles exist and are granted to it. Safe to repeat and to run from two processes at once.
    Raises MigrationError, or StoreError where PostgreSQL refuses.
    """
    if isinstance(target, sqlalchemy.Connection):
        return _migrated(target, script_folder, schema, version_table, programs)
    engine = _engine(target)
    try:
        with translated_errors(), engine.begin() as connection:
            return _migrated(connection, script_folder, schema, version_table, programs)
    except sqlalchemy.exc.DBAPIError as error:
        reason = type(error.orig).__name__
        raise MigrationError(
            f"migrations of {schema}: the database could not be reached ({reason})"
        ) from None
    finally:
        engine.dispose()


def upgrade(target: str | sqlalchemy.Connection) -> str:
    """Bring schema `ledger` to its newest revision; see `migrate`."""
    return migrate(target, script_folder=LEDGER_SCRIPTS, schema=LEDGER_SCHEMA, programs=LEDGER_PROGRAMS)


def _migrated(
    connection: sqlalchemy.Connection,
    script_folder: Path,
    schema: str,
    version_table: str,
    programs: Sequence[Path],
) -> str:
    driver = _driver(connection)
    if driver.info.server_version < OLDEST_SERVER:
        raise MigrationError(
            f"PostgreSQL: expected version 15 or newer, found {driver.info.server_version // 10_000}"
        )
    if not (script_folder / "versions").is_dir():
        raise MigrationError(f"migrations: expected a folder {script_folder / 'versions'}, found none")
    with translated_errors():
        lock(driver, f"tieout.migrate.{schema}", wait=True)
        execute_script(driver, _ROLES_FILE)
        exists = driver.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (schema,)).fetchone()
        if exists is None:
            create = sql.SQL("CREATE SCHEMA {} AUTHORIZATION {}")
            driver.execute(create.format(sql.Identifier(schema), sql.Identifier(OWNER_ROLE)))
        driver.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(OWNER_ROLE)))
        newest = _upgraded(connection, script_folder, schema, version_table)
        _write_programs(driver, schema, newest, programs)
        driver.execute("RESET ROLE")
    return newest


def _write_programs(
    driver: psycopg.Connection[Any], schema: str, newest: str, programs: Sequence[Path]
) -> None:
    texts = [path.read_bytes() for path in programs]
    digest = hashlib.sha256(b"".join((newest.encode(), *texts))).hexdigest()
    wanted = f"tieout programs {digest}"
    row = driver.execute("SELECT obj_description(%s::regnamespace)", (schema,)).fetchone()
    if not programs or (row and row[0] == wanted):
        return
    for text in texts:
        driver.execute(text)
    comment = sql.SQL("COMMENT ON SCHEMA {} IS {}")
    driver.execute(comment.format(sql.Identifier(schema), sql.Literal(wanted)))


def _upgraded(connection: sqlalchemy.Connection, script_folder: Path, schema: str, version_table: str) -> str:
    config = Config()
    config.set_main_option("script_location", str(script_folder).replace("%", "%%"))
    scripts = ScriptDirectory.from_config(config)

    def outstanding(current: Any, _context: MigrationContext) -> list[RevisionStep]:
        # Alembic's own `upgrade` command passes exactly this to its environment; there is no public name for it.
        return list(scripts._upgrade_revs("head", current))

    try:
        with _ONE_AT_A_TIME, EnvironmentContext(config, scripts, fn=outstanding) as environment:
            environment.configure(
                connection=connection,
                version_table=version_table,
                version_table_schema=schema,
                transactional_ddl=True,
            )
            environment.run_migrations()
    except CommandError as error:
        raise MigrationError(f"migrations of {schema}: {error}") from None
    head = scripts.get_current_head()
    if head is None:
        raise MigrationError(f"migrations: expected one newest revision in {script_folder}, found none")
    return head


def _engine(url: str) -> sqlalchemy.Engine:
    if url.startswith("postgresql+"):
        return sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    # libpq reads its own URLs and words; SQLAlchemy would not understand all of them (a socket folder as host).
    return sqlalchemy.create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=sqlalchemy.NullPool
    )


def _driver(connection: sqlalchemy.Connection) -> psycopg.Connection[Any]:
    driver = connection.connection.driver_connection
    if not isinstance(driver, psycopg.Connection):
        raise MigrationError(f"SQLAlchemy driver: expected psycopg 3, found {type(driver).__module__}")
    return driver
