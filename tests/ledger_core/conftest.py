"""A ledger with a small chart, shared by the tests that roll back."""

import contextlib
from collections.abc import Callable, Iterator

import psycopg
import pytest

from tests.ledger_core.books import open_chart


@pytest.fixture(scope="session")
def book_url(
    make_database: Callable[..., contextlib.AbstractContextManager[str]], template: str
) -> Iterator[str]:
    """One database with the chart of `books`, for all tests that commit nothing."""
    with make_database(template) as url:
        with psycopg.connect(url) as connection:
            open_chart(connection)
        yield url


@pytest.fixture
def book(book_url: str) -> Iterator[psycopg.Connection]:
    """A connection to that database; whatever the test does is rolled back."""
    with contextlib.closing(psycopg.connect(book_url)) as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def own_book(connection: psycopg.Connection) -> psycopg.Connection:
    """The same chart, committed in a database of the test's own."""
    open_chart(connection)
    connection.commit()
    return connection
