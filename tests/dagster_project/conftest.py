"""A project of the test's own: real settings, a real database, the demo's sources, and an invented world to feed it."""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import psycopg
import pytest

from dagster_project.pipeline import initialise
from dagster_project.project import Project, packaged_sources
from dagster_project.settings import read_settings
from fixtures.world import simulate
from ledger_core.chart import load_accounts
from ledger_core.posting import load_entries
from tests.ledger_core.books import open_chart

MONDAY = date(2026, 11, 9)
TUESDAY = date(2026, 11, 10)


@pytest.fixture
def project(database_url: str, empty_database_url: str, tmp_path: Path) -> Project:
    """The demo's three sources on a migrated database with nothing in it, and a database for Dagster's history."""
    environment = {
        "TIEOUT_HOME": str(tmp_path / "home"),
        "TIEOUT_DATABASE_URL": database_url,
        "TIEOUT_DAGSTER_DATABASE_URL": empty_database_url,
    }
    return initialise(read_settings(environment, tmp_path), sources_text=packaged_sources())


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of an invented world without faults: two business days of three sources."""
    folder = tmp_path_factory.mktemp("world")
    simulate(7, MONDAY, days=2, lines=12, faults="none").write(folder)
    return folder


@pytest.fixture
def arrive(project: Project, world: Path) -> Callable[..., None]:
    """Lets a day of the world come in: our own entries are posted, and what the sources sent lands."""
    with project.database.session("tieout_poster") as connection:
        load_accounts(connection, world / "ledger" / "accounts.csv")

    def come(day: date, *, without: str = "nothing") -> None:
        folder = world / "days" / day.isoformat()
        with project.database.session("tieout_poster") as connection:
            load_entries(connection, folder / "ledger" / "entries.csv")
        for source in project.sources.sources:
            for path in (folder / source.id).glob("*"):
                if without not in path.name:
                    shutil.copyfile(path, project.settings.landing / source.id / path.name)

    return come


@pytest.fixture
def books(database_url: str) -> Iterator[psycopg.Connection]:
    """A connection in autocommit to a database with the small chart of the ledger's tests."""
    with contextlib.closing(psycopg.connect(database_url, autocommit=True)) as connection:
        open_chart(connection)
        yield connection
