"""The app with one person of each role, all ways in, and requests as browsers and programs send them."""

import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from psycopg_pool import ConnectionPool
from starlette.testclient import TestClient

from reconciliation.people.permissions import ROLES
from reconciliation.people.registry import set_password
from reconciliation.review.app import create_app
from reconciliation.review.security import csrf_of
from reconciliation.review.web import ReviewConfig
from tests.reconciliation.daily.desk import SOURCES, Desk

BASE_URL = "http://127.0.0.1:8600"
PASSWORD = "correct horse battery"
NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}


@dataclass(frozen=True, slots=True)
class Hall:
    """A desk with people whose logins are their roles, and a pool; ``client`` opens the app in some configuration."""

    desk: Desk
    config: ReviewConfig

    @contextmanager
    def client(self, **changed: Any) -> Iterator[TestClient]:
        """The app; what is not said is as people have it by default. Errors of the program fail the test."""
        config = replace(self.config, **changed)
        with TestClient(create_app(config), base_url=config.base_url, follow_redirects=False) as client:
            yield client

    def headers(self, login: str, **more: str) -> dict[str, str]:
        """A new session's cookie."""
        return self.holding(self.desk.token(login), **more)

    def holding(self, token: str, **more: str) -> dict[str, str]:
        """The cookie of a token."""
        return {"Cookie": f"tieout={token}"} | more


def form(token: str, fields: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A form of our own page."""
    return {"csrf": csrf_of(token)} | dict(fields or {})


@contextmanager
def open_hall(desk: Desk) -> Iterator[Hall]:
    """The hall while the block lasts."""
    for role in ROLES:
        desk.enrol(role, role)
    with desk.session("tieout_doorkeeper") as connection:
        set_password(connection, "analyst", PASSWORD, salt=bytes(16), by_whom="tests")
    numbers = itertools.count(1)
    pool: ConnectionPool[Any] = ConnectionPool(desk.url, min_size=1, max_size=4, open=True)
    with pool:
        yield Hall(
            desk,
            ReviewConfig(
                pool=pool,
                sources=SOURCES,
                now=lambda: NOW,
                token=lambda: f"token number {next(numbers)}",
                salt=lambda: bytes(16),
                base_url=BASE_URL,
                dagster_url="http://127.0.0.1:3000",
            ),
        )
