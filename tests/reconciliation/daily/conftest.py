"""A desk on a database of its own, and a finished world of five days to copy."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from fixtures.world import simulate
from tests.reconciliation.daily.desk import Desk
from tests.reconciliation.daily.office import FIRST_DAY, Finished, Office


@pytest.fixture
def desk(database_url: str) -> Desk:
    """Two small sources on a fresh database."""
    return Desk(database_url)


@pytest.fixture(scope="session")
def finished(
    make_database: Callable[..., AbstractContextManager[str]],
    template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Finished]:
    """A small world with every fault, reconciled day by day."""
    folder = tmp_path_factory.mktemp("five days") / "world"
    world = simulate(1, FIRST_DAY, days=5, lines=8)
    world.write(folder)
    with make_database(template) as url:
        office = Office.open(url, folder.parent / "home", folder)
        for day in world.days:
            office.business_day(day)
        yield Finished(world, folder, str(conninfo_to_dict(url)["dbname"]))


@pytest.fixture
def finished_office(
    finished: Finished, make_database: Callable[..., AbstractContextManager[str]], tmp_path: Path
) -> Iterator[Office]:
    """A copy of the finished world's database to do as one likes with."""
    with make_database(finished.template) as url:
        yield Office(url, tmp_path / "home", finished.folder)


@pytest.fixture
def twin(make_database: Callable[..., AbstractContextManager[str]], template: str) -> Iterator[Desk]:
    """A second desk, to be told the same in another order."""
    with make_database(template) as url:
        yield Desk(url)
