"""A connection on which every transaction block is a transaction of its own."""

import pytest
from psycopg import Connection


@pytest.fixture
def store(connection: Connection) -> Connection:
    """The test's own database, in autocommit."""
    connection.autocommit = True
    return connection
