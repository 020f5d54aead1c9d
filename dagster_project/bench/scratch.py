"""Where benchmarks run: a database of their own on the project's server, and an invented world in a temporary folder.

Law: what was made is dropped again, however the run ends; the project's own database is only asked to make it.
"""

import contextlib
import secrets
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from dagster_project.database import Database, connect, migrate
from dagster_project.errors import ServerError
from dagster_project.pipeline import register
from dagster_project.project import Project, open_project, packaged_sources
from dagster_project.settings import read_settings
from fixtures.world import simulate
from ledger_core.chart import load_accounts
from ledger_core.migrate import upgrade as upgrade_ledger
from reconciliation.sources import Source

DAY = date(2026, 11, 9)
SEED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Scratch:
    """A project that will be gone: one source's day, its accounts loaded, nothing posted or taken in yet."""

    project: Project
    source: Source
    folder: Path
    environment: Mapping[str, str]

    @property
    def entries(self) -> Path:
        """The day's journal entries."""
        return self.folder / "world" / "days" / DAY.isoformat() / "ledger" / "entries.csv"

    @property
    def deliveries(self) -> Sequence[Path]:
        """The day's files of the source: one, or one for each account."""
        arrived = self.folder / "world" / "days" / DAY.isoformat() / self.source.id
        return sorted(arrived.iterdir())


@contextlib.contextmanager
def scratch(server: Database, source_id: str, lines: int) -> Iterator[Scratch]:
    """A migrated database and a world of ``lines`` outside lines of one source on one day, without faults.

    Raises:
        ServerError: the login may not make a database.
    """
    with (
        tempfile.TemporaryDirectory(prefix="tieout-bench-") as name,
        _database(server) as url,
    ):
        folder = Path(name)
        project, environment = _opened(folder, url, packaged_sources())
        simulate(SEED, DAY, days=1, lines=lines, faults="none", sources=[source_id]).write(folder / "world")
        with project.database.session("tieout_poster") as connection:
            load_accounts(connection, folder / "world" / "ledger" / "accounts.csv")
        yield Scratch(
            project=project, source=project.sources[source_id], folder=folder, environment=environment
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeScratch:
    """A project that will be gone, with sources and nothing else."""

    project: Project
    folder: Path
    environment: Mapping[str, str]


@contextlib.contextmanager
def intake_scratch(server: Database, sources_text: str) -> Iterator[IntakeScratch]:
    """A migrated database with the sources of a text, nothing taken in yet.

    Raises:
        ServerError: the login may not make a database.
    """
    with tempfile.TemporaryDirectory(prefix="tieout-bench-") as name, _database(server) as url:
        project, environment = _opened(Path(name), url, sources_text)
        yield IntakeScratch(project=project, folder=Path(name), environment=environment)


@contextlib.contextmanager
def ledger_scratch(server: Database) -> Iterator[Database]:
    """A database that holds an empty ledger and nothing else.

    Raises:
        ServerError: the login may not make a database.
    """
    with _database(server) as url:
        upgrade_ledger(url)
        yield replace(server, url=url)


def _opened(folder: Path, url: str, sources_text: str) -> tuple[Project, Mapping[str, str]]:
    """The project of a folder, its database migrated and its sources known; and what its commands need to find it."""
    sources = folder / "sources.yaml"
    sources.write_text(sources_text, encoding="utf-8")
    environment = {
        "TIEOUT_HOME": str(folder),
        "TIEOUT_SOURCES": str(sources),
        "TIEOUT_DATABASE_URL": url,
        "TIEOUT_CARD_KEY": "00" * 32,  # invented cards
    }
    migrate(url)
    project = open_project(read_settings(environment, folder))
    register(project)
    return project, environment


@contextlib.contextmanager
def _database(server: Database) -> Iterator[str]:
    name = f"tieout_bench_{secrets.token_hex(6)}"
    with contextlib.closing(connect(server.url)) as connection:
        try:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        except psycopg.errors.InsufficientPrivilege:
            raise ServerError(
                "bench: expected a login that may create a scratch database, found one that may not; grant it "
                "CREATEDB, or unset TIEOUT_DATABASE_URL to measure on the embedded server."
            ) from None
    try:
        yield make_conninfo(server.url, dbname=name)
    finally:
        with contextlib.closing(connect(server.url)) as connection:
            _drop(connection, name)


def _drop(connection: psycopg.Connection, name: str) -> None:
    """Not by force at first: the server itself sends its housekeeping away, which a plain login may not."""
    drop = sql.SQL("DROP DATABASE {}").format(sql.Identifier(name))
    try:
        connection.execute(drop)
    except psycopg.errors.ObjectInUse:  # a session of a command that was broken off
        connection.execute(drop + sql.SQL(" WITH (FORCE)"))
