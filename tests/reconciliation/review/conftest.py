"""A desk with a bank on a database of its own, and a hall that a module's tests share."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from tests.reconciliation.daily.desk import Desk
from tests.reconciliation.review.hall import Hall, open_hall


@pytest.fixture
def desk(database_url: str) -> Desk:
    """Two small sources on a fresh database."""
    return Desk(database_url)


@pytest.fixture(scope="module")
def hall(make_database: Callable[..., AbstractContextManager[str]], template: str) -> Iterator[Hall]:
    """The app with a person of each role, on a database of the module's own."""
    with make_database(template) as url, open_hall(Desk(url)) as opened:
        yield opened
