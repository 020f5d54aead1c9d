"""The app with several people at it at once, and what it hands to the shell after an approval."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from psycopg_pool import ConnectionPool
from starlette.testclient import TestClient

from reconciliation.review.app import create_app
from reconciliation.review.security import csrf_of
from reconciliation.review.web import ReviewConfig
from reconciliation.sources import Sources, parse_sources
from tests.reconciliation.daily.desk import SOURCES, Desk
from tests.reconciliation.review.app_on_desk import BASE_URL, NOW, Browser

WRITE_OFFS, FEES = "expenses:write-offs", "expenses:bank-fees"


@dataclass(frozen=True, slots=True)
class Counter:
    """The app before a desk; ``approved``: sources that it asked the shell to carry out."""

    desk: Desk
    client: TestClient
    approved: list[str]

    def browser(self, login: str) -> Browser:
        """A browser with a new session of somebody who is enrolled."""
        return Browser(self.client, self.desk.token(login))

    def upload(self, login: str, path: str, name: str, content: bytes, media_type: str) -> int:
        """The status of posting a file."""
        token = self.desk.token(login)
        headers = {"Cookie": f"tieout={token}", "Sec-Fetch-Site": "same-origin"}
        files = {"file": (name, content, media_type)}
        return self.client.post(
            path, data={"csrf": csrf_of(token)}, files=files, headers=headers, follow_redirects=False
        ).status_code


def same_desk(url: str) -> Desk:
    """A desk on a copy of a database that has one already."""
    desk = object.__new__(Desk)
    desk.url, desk.numbers = url, {}
    return desk


def with_review(**review: object) -> Sources:
    """The desk's sources, with rules for people at the bank."""
    told = SOURCES.model_dump(mode="json")
    told["sources"][0]["review"] = review
    return parse_sources(json.dumps(told))


@contextmanager
def counter(desk: Desk, sources: Sources = SOURCES) -> Iterator[Counter]:
    """The app while the block lasts."""
    approved: list[str] = []
    pool: ConnectionPool = ConnectionPool(desk.url, min_size=1, max_size=8, open=True)
    config = ReviewConfig(
        pool=pool,
        sources=sources,
        now=lambda: NOW,
        token=lambda: "unused",
        salt=lambda: b"unused",
        base_url=BASE_URL,
        after_approval=approved.append,
        code_version="1",
    )
    with pool, TestClient(create_app(config), base_url=BASE_URL) as client:
        yield Counter(desk, client, approved)
