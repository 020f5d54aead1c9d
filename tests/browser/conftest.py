"""One served office for a module, since building it takes longer than what is tried in it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from tests.browser.office import BrowserOffice, served
from tests.reconciliation.daily.desk import Desk


@pytest.fixture(scope="module")
def office(
    make_database: Callable[..., AbstractContextManager[str]],
    template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[BrowserOffice]:
    """The app over a bank's Monday."""
    with make_database(template) as url, served(Desk(url), tmp_path_factory.mktemp("office")) as opened:
        yield opened
