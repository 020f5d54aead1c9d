"""The review app over a desk's database, and browsers of people at it who hold no session but their own."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from psycopg_pool import ConnectionPool
from starlette.testclient import TestClient

from reconciliation.review.app import PAGES, create_app
from reconciliation.review.security import csrf_of, session_cookie
from reconciliation.review.web import Page, ReviewConfig
from reconciliation.sources import Sources
from tests.reconciliation.daily.desk import SOURCES, Desk

BASE_URL = "http://127.0.0.1:8600"
NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Browser:
    """Somebody's browser: GET and POST as they would send them."""

    client: TestClient
    token: str

    def get(self, path: str) -> Any:
        """A page, whatever its status; redirects are not followed."""
        return self.client.get(path, headers=self._headers(), follow_redirects=False)

    def post(self, path: str, **fields: str) -> Any:
        """A form of one of our own pages."""
        headers = self._headers() | {"Sec-Fetch-Site": "same-origin"}
        data = {"csrf": csrf_of(self.token), **fields}
        return self.client.post(path, data=data, headers=headers, follow_redirects=False)

    def _headers(self) -> dict[str, str]:
        return {"Cookie": f"{session_cookie(BASE_URL)}={self.token}"}


@dataclass(frozen=True, slots=True)
class AppOnDesk:
    """The app, and the desk whose people use it."""

    desk: Desk
    client: TestClient

    def browser(self, login: str) -> Browser:
        """A browser with a new session of somebody who is enrolled."""
        return Browser(self.client, self.desk.token(login))


@contextmanager
def app_on_desk(
    desk: Desk, *, now: datetime = NOW, sources: Sources = SOURCES, pages: Sequence[Page] = PAGES, **told: Any
) -> Iterator[AppOnDesk]:
    """The app while the block lasts; ``told`` is more of its configuration."""
    pool: ConnectionPool[Any] = ConnectionPool(
        desk.url, kwargs={"autocommit": True}, min_size=1, max_size=3, open=True
    )
    config = ReviewConfig(
        pool=pool,
        sources=sources,
        now=lambda: now,
        token=lambda: "unused",
        salt=lambda: b"unused",
        base_url=BASE_URL,
        dagster_url="http://127.0.0.1:3000",
        code_version="1",
        **told,
    )
    with pool, TestClient(create_app(config, pages), base_url=BASE_URL) as client:
        yield AppOnDesk(desk, client)
