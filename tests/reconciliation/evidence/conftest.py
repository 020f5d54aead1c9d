"""A desk on a database of its own."""

import pytest

from tests.reconciliation.daily.desk import Desk


@pytest.fixture
def desk(database_url: str) -> Desk:
    """Two small sources on a fresh database."""
    return Desk(database_url)
