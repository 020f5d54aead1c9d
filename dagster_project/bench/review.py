"""The review app at size: a list of which a tenth is open, asked over the real network, beside the least it could take.

Law: pages are asked of the app as its process serves it, one after the other, by one client; every page of the walk is
counted, so that a fast wrong answer is no answer. The reference is the same number of bytes from a handler that does
nothing. Nothing here is a limit but what is promised in the README.
"""

import contextlib
import hashlib
import re
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2
import uvicorn
from psycopg import Connection
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from dagster_project.bench.figures import Figure, at_most_times, within
from dagster_project.bench.scratch import intake_scratch
from dagster_project.database import Database, connect
from dagster_project.project import Project, packaged_sources
from dagster_project.web.review_settings import LOOPBACK, review_settings
from dagster_project.web.serve_review import review_config, server
from ledger_core.sql import queries
from reconciliation.people.registry import enrol
from reconciliation.people.sessions import open_session
from reconciliation.review.security import csrf_of, session_cookie

SQL: Final = queries(Path(__file__).with_suffix(".sql"))

ASKED: Final = 200  # times each page is asked for
DEEP_PAGES: Final = 600
STALE: Final = 3
BULK: Final = 5_000
PAGE_KILOBYTES_MAX, PAGE_P50_MAX, PAGE_P99_MAX = 30.0, 20.0, 60.0  # kilobytes, milliseconds, milliseconds
EXPORT_SECONDS_MAX: Final = 2.0
_ROW: Final = re.compile(r"<tr data-row [^>]*data-id=([0-9]+)")
_NEXT: Final = re.compile(r'href="([^"]*[?&;]after=[^"]*)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Somebody's browser, as far as the app can tell."""

    client: httpx2.Client
    token: str
    connection: Connection[Any]

    def get(self, path: str) -> httpx2.Response:
        """A page that answers."""
        answer = self.client.get(path)
        answer.raise_for_status()
        return answer

    def post(self, path: str, **fields: str) -> httpx2.Response:
        """A form that is taken."""
        answer = self.client.post(
            path, data={"csrf": csrf_of(self.token), **fields}, headers={"Sec-Fetch-Site": "same-origin"}
        )
        answer.raise_for_status()
        return answer


def measure_review(server_place: Database, lines: int) -> list[Figure]:
    """Promises of the app on ``lines`` exceptions, a tenth of them open."""
    with intake_scratch(server_place, packaged_sources()) as place:
        database = place.project.database
        started = time.perf_counter()
        with database.session(None) as connection:
            connection.execute(SQL["fill"], {"rows": lines})
        filled_seconds = time.perf_counter() - started
        with contextlib.closing(connect(database.url)) as connection:
            connection.execute(SQL["analyze"])
            with _visit(place.project, connection) as visitor:
                return [
                    _written(lines, filled_seconds),
                    *_pages(visitor),
                    *_walk(visitor),
                    _export(visitor),
                    _bulk(visitor),
                ]


def _written(lines: int, seconds: float) -> Figure:
    return Figure(
        area="review",
        name=f"write {lines:,} exceptions with event and link",
        unit="µs each",
        measured=seconds / lines * 1e6,
        reference=1.0,
        of="one microsecond",
    )


def _pages(visitor: Visitor) -> list[Figure]:
    first = visitor.get("/exceptions").content
    with _served(_of_bytes(first)) as address, httpx2.Client(base_url=address, trust_env=False) as bare:
        nothing = _times(lambda: bare.get("/"))
    query = _times(lambda: visitor.connection.execute(SQL["first_page"]).fetchall())
    deep = _deep(visitor)
    one = _ROW.search(first.decode())
    figures = [
        within(
            area="review",
            name="first page",
            unit="kB",
            measured=len(first) / 1000,
            limit=PAGE_KILOBYTES_MAX,
        )
    ]
    asked = [
        ("first page", "/exceptions"),
        ("page at row 30,000", deep),
        ("of one source", "/exceptions?source=bank"),
    ]
    for name, path in asked:
        taken = _times(lambda path=path: visitor.get(path))  # type: ignore[misc]  # bound at once
        figures += [
            within(area="review", name=f"{name}, p50", unit="ms", measured=_p50(taken), limit=PAGE_P50_MAX),
            within(area="review", name=f"{name}, p99", unit="ms", measured=_p99(taken), limit=PAGE_P99_MAX),
        ]
    figures.append(
        _beside(
            "first page again, p50",
            _p50(_times(lambda: visitor.get("/exceptions"))),
            _p50(nothing),
            "bare bytes",
        )
    )
    others = [("count and sums", "/exceptions/count"), ("dashboard", "/")]
    if one is not None:
        others.append(("an exception", f"/exceptions/{one[1]}"))
    for name, path in others:
        taken = _times(lambda path=path: visitor.get(path), of=4)  # type: ignore[misc]
        figures.append(_beside(f"{name}, p50", _p50(taken), _p50(query), "bare query of a page"))
    return figures


def _beside(name: str, measured: float, reference: float, of: str) -> Figure:
    return at_most_times(
        area="review", name=name, unit="ms", measured=measured, reference=reference, of=of, times=None
    )


def _deep(visitor: Visitor) -> str:
    """The address of the page at row 30,000, or of the last one."""
    path = "/exceptions"
    for _ in range(DEEP_PAGES):
        following = _NEXT.search(visitor.get(path).text)
        if following is None:
            return path
        path = following[1].replace("&amp;", "&")
    return path


def _walk(visitor: Visitor) -> list[Figure]:
    """Every page in a row: each open exception is on one of them, and on no other."""
    seen: list[int] = []
    taken: list[float] = []
    path: str | None = "/exceptions"
    while path is not None:
        started = time.perf_counter()
        text = visitor.get(path).text
        taken.append((time.perf_counter() - started) * 1000)
        seen += map(int, _ROW.findall(text))
        following = _NEXT.search(text)
        path = following[1].replace("&amp;", "&") if following else None
    there = {number for number, _ in visitor.connection.execute(SQL["open_ids"])}
    wrong = len(seen) - len(set(seen)) + len(there ^ set(seen))
    tenth = max(len(taken) // 10, 1)
    return [
        within(
            area="review",
            name=f"walk of {len(taken):,} pages: twice or missing",
            unit="rows",
            measured=float(wrong),
            limit=0.0001,
        ),
        at_most_times(
            area="review",
            name="last tenth of the walk, p50",
            unit="ms",
            measured=_p50(taken[-tenth:]),
            reference=_p50(taken[:tenth]),
            of="first tenth",
            times=2,
        ),
    ]


def _export(visitor: Visitor) -> Figure:
    started = time.perf_counter()
    answer = visitor.get("/export/exceptions.csv")
    seconds = time.perf_counter() - started
    rows = int(answer.headers["x-tieout-rows"])
    return within(
        area="review",
        name=f"export of {rows:,} rows as CSV",
        unit="s",
        measured=seconds,
        limit=EXPORT_SECONDS_MAX,
    )


def _bulk(visitor: Visitor) -> Figure:
    """Take many, of which others changed three meanwhile."""
    items = visitor.connection.execute(SQL["open_ids"]).fetchall()[:BULK]
    visitor.connection.execute(SQL["change"], {"ids": [number for number, _ in items[:STALE]]})
    named = " ".join(f"{number}:{version}" for number, version in items)
    started = time.perf_counter()
    text = visitor.post("/bulk/do", deed="take", items=named).text
    seconds = time.perf_counter() - started
    stale = min(STALE, len(items))
    if f"{len(items) - stale:,}" not in text:
        raise RuntimeError(
            f"bulk: expected {len(items) - stale:,} of {len(items):,} to be done; the page says otherwise"
        )
    return Figure(
        area="review",
        name=f"take {len(items):,}, {stale} of them stale",
        unit="s",
        measured=seconds,
        reference=1.0,
        of="one second",
    )


def _times(ask: Callable[[], object], *, of: int = 1) -> list[float]:
    """Milliseconds of each time, after some that warm up; a part of the usual number of times."""
    for _ in range(10):
        ask()
    taken = []
    for _ in range(max(ASKED // of, 1)):
        started = time.perf_counter()
        ask()
        taken.append((time.perf_counter() - started) * 1000)
    return taken


def _p50(taken: list[float]) -> float:
    return statistics.median(taken)


def _p99(taken: list[float]) -> float:
    return sorted(taken)[int(len(taken) * 0.99) - 1]


@contextlib.contextmanager
def _visit(project: Project, connection: Connection[Any]) -> Iterator[Visitor]:
    """The app served as its process does it, and an analyst who is in."""
    token = hashlib.sha256(b"bench").hexdigest()  # of a database that is gone in a minute
    with project.database.session("tieout_doorkeeper") as door:
        enrol(door, "ada", name="Ada", roles=("analyst",), known_by="users", by_whom="bench")
        open_session(door, "ada", token=token, channel="browser", idle_minutes=600, absolute_minutes=600)
    told = review_settings(project.settings)
    with review_config(project, told) as config:
        port = _free_port()
        with (
            _running(server(config, port)),
            httpx2.Client(
                base_url=f"http://{LOOPBACK}:{port}",
                cookies={session_cookie(told.base_url): token},
                timeout=120,
                trust_env=False,
            ) as client,
        ):
            yield Visitor(client=client, token=token, connection=connection)


def _of_bytes(content: bytes) -> Starlette:
    def handler(_request: Request) -> HTMLResponse:
        return HTMLResponse(content)

    return Starlette(routes=[Route("/", handler)])


@contextlib.contextmanager
def _served(app: Starlette) -> Iterator[str]:
    port = _free_port()
    told = uvicorn.Config(
        app, host=LOOPBACK, port=port, log_level="warning", access_log=False, lifespan="off"
    )
    with _running(uvicorn.Server(told)):
        yield f"http://{LOOPBACK}:{port}"


@contextlib.contextmanager
def _running(serving: uvicorn.Server) -> Iterator[None]:
    thread = threading.Thread(target=serving.run, daemon=True)
    thread.start()
    while not serving.started:
        if not thread.is_alive():
            raise RuntimeError("review: expected the app to serve, found that it ended")
        time.sleep(0.01)
    try:
        yield
    finally:
        serving.should_exit = True
        thread.join()


def _free_port() -> int:
    with socket.socket() as attempt:
        attempt.bind((LOOPBACK, 0))
        return int(attempt.getsockname()[1])
