"""The guard before Dagster's real webserver: who sees what, what changes something, and what never does."""

import contextlib
import gzip
import hashlib
import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import psycopg
import pytest
import uvicorn
from playwright.sync_api import Browser
from psycopg_pool import ConnectionPool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from dagster_project.database import Database
from dagster_project.web.dagster_ui import private_socket
from dagster_project.web.guard import Guard, GuardConfig
from dagster_project.web.guard_graphql import (
    UnreadableRequest,
    asks_change,
    documents_of_body,
    documents_of_frame,
)
from dagster_project.web.serve_guard import server, visitors
from reconciliation.people.registry import enrol
from reconciliation.people.sessions import end_sessions_of, open_session
from tests.browser.chromium import person

REVIEW_URL = "http://127.0.0.1:8600"
COUNT = "{ runsOrError { ... on Runs { count } } }"
LAUNCH = """
mutation Launch { launchRun(executionParams: {runConfigData: "{}", selector: {
    repositoryName: "__repository__", repositoryLocationName: "tiny", jobName: "idle"}}) {
  __typename ... on LaunchRunSuccess { run { runId } } } }
"""
LOGS = "subscription Logs { pipelineRunLogs(runId: %s, cursor: null) { __typename } }"
INSTANCE = """
telemetry: {enabled: false}
nux: {enabled: false}
run_coordinator: {module: dagster.core.run_coordinator, class: QueuedRunCoordinator}
"""  # nobody takes runs out of the queue: they are there to be counted
DEFINITIONS = """
import dagster as dg

@dg.op
def nothing(): pass

@dg.job
def idle(): nothing()

defs = dg.Definitions(jobs=[idle])
"""
WORKSPACE = {"load_from": [{"python_file": {"relative_path": "definitions.py", "location_name": "tiny"}}]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """A guard that serves, and sessions of a viewer and a controller."""

    port: int
    tokens: dict[str, str]
    home: Path
    url: str

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def headers(self, who: str, **more: str) -> dict[str, str]:
        own = {"Sec-Fetch-Site": "same-origin", "Cookie": f"other=1; tieout={self.tokens.get(who, who)}"}
        return own | {name.replace("_", "-"): value for name, value in more.items()}

    def send(self, method: str, path: str, who: str, body: object = None, **headers: str) -> httpx2.Response:
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        told = {"Content-Type": "application/json"} | self.headers(who, **headers)
        with httpx2.Client(trust_env=False, timeout=60) as client:
            return client.request(method, self.address + path, content=content, headers=told)  # type: ignore[arg-type]

    def ask(self, document: str, who: str, **headers: str) -> httpx2.Response:
        return self.send("POST", "/graphql", who, {"query": document}, **headers)

    @property
    def run_count(self) -> int:
        return int(self.ask(COUNT, "vera").json()["data"]["runsOrError"]["count"])

    def websocket(self, who: str, **more: object) -> ClientConnection:
        return connect(
            f"ws://127.0.0.1:{self.port}/graphql",
            additional_headers={"Cookie": f"tieout={self.tokens[who]}"},
            subprotocols=[Subprotocol("graphql-ws")],
            proxy=None,
            **({"origin": Origin(self.address)} | more),  # type: ignore[arg-type]
        )


@contextlib.contextmanager
def guarded(path: Path, url: str) -> Iterator[int]:
    """The guard before whatever listens on a socket, in a thread; the port where it answers."""
    with (
        ConnectionPool(url, kwargs={"autocommit": True}, min_size=1, max_size=3, open=False) as pool,
        socket.socket() as listener,
    ):
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
        base_url = f"http://127.0.0.1:{port}"
        config = GuardConfig(base_url=base_url, review_url=REVIEW_URL, socket=path, visitor=visitors(pool))
        with serving(server(Guard(config), port), listener):
            yield port


@contextlib.contextmanager
def serving(one: uvicorn.Server, listener: object) -> Iterator[None]:
    thread = threading.Thread(target=one.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield
    finally:
        one.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def people(
    make_database: Callable[..., AbstractContextManager[str]], template: str
) -> Iterator[tuple[str, dict[str, str]]]:
    """A database that knows a viewer and a controller, and the tokens of their sessions."""
    with make_database(template) as url:
        tokens = {}
        with Database(url=url, dagster_libpq_url=url).session("tieout_doorkeeper") as connection:
            for login, role in (("vera", "viewer"), ("cora", "controller"), ("lea", "controller")):
                enrol(connection, login, name=login.title(), roles=[role], known_by="users", by_whom="tests")
                tokens[login] = secrets.token_urlsafe(32)
                open_session(connection, login, token=tokens[login], channel="browser")
        yield url, tokens


@pytest.fixture(scope="module")
def front(people: tuple[str, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """Dagster's webserver over a small instance of its own, with the guard before it."""
    url, tokens = people
    folder = tmp_path_factory.mktemp("dagster")
    (folder / "dagster.yaml").write_text(INSTANCE)
    (folder / "definitions.py").write_text(DEFINITIONS)
    (folder / "workspace.yaml").write_text(json.dumps(WORKSPACE))
    command = [sys.executable, "-m", "dagster_project.web.dagster_ui", "--socket", "ui.sock"]
    with (
        subprocess.Popen(
            [*command, "--workspace", "workspace.yaml"],
            cwd=folder,
            env={**os.environ, "DAGSTER_HOME": str(folder), "DAGSTER_DISABLE_TELEMETRY": "yes"},
        ) as webserver,
        guarded(folder / "ui.sock", url) as port,
    ):
        try:
            found = Front(port=port, tokens=tokens, home=folder, url=url)
            deadline = time.monotonic() + 100
            while found.send("GET", "/_tieout/health", "nobody").status_code != 200:
                assert time.monotonic() < deadline
                assert webserver.poll() is None
                time.sleep(0.1)
            yield found
        finally:
            webserver.terminate()


def test_without_a_session_there_is_a_way_to_the_login_and_nothing_else(front: Front) -> None:
    page = front.send("GET", "/assets/bank?view=list", "nobody", Accept="text/html")
    assert page.status_code == 303
    wanted = f"http%3A%2F%2F127.0.0.1%3A{front.port}%2Fassets%2Fbank%3Fview%3Dlist"
    assert page.headers["location"] == f"{REVIEW_URL}/login?next={wanted}"
    for method, path in (("POST", "/graphql"), ("GET", "/server_info"), ("GET", "/logs/a/b"), ("GET", "/")):
        refused = front.send(method, path, "nobody", {"query": COUNT} if method == "POST" else None)
        assert refused.status_code == 401, path
        assert f"log in at {REVIEW_URL}/login" in refused.text
    assert front.send("GET", "/_tieout/health", "nobody").text == "Dagster"
    with pytest.raises(InvalidStatus, match="403"):
        connect(f"ws://127.0.0.1:{front.port}/graphql", origin=Origin(front.address), proxy=None)


def test_the_socket_of_the_webserver_is_for_its_owner_alone(front: Front) -> None:
    assert (front.home / "ui.sock").stat().st_mode & 0o777 == 0o600


def test_a_viewer_sees_all_and_starts_nothing_and_a_controller_does(front: Front) -> None:
    page = front.send("GET", "/", "vera", Accept="text/html")
    assert page.status_code == 200
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "dagster_webserver_version" in front.send("GET", "/server_info", "vera").json()

    before = front.run_count
    batch = [{"query": COUNT}, {"query": LAUNCH}]
    for body in ({"query": LAUNCH}, {"query": COUNT + LAUNCH, "operationName": None}, batch):
        refused = front.send("POST", "/graphql", "vera", body)
        assert (refused.status_code, "change nothing" in refused.text) == (403, True)
    assert front.send("POST", "/report_asset_materialization/a", "vera").status_code == 403
    assert front.run_count == before

    permissions = "{ permissions { permission value } }"
    told = {who: front.ask(permissions, who).json()["data"]["permissions"] for who in ("vera", "cora")}
    may = {who: {p["permission"] for p in listed if p["value"]} for who, listed in told.items()}
    assert may["vera"] == set()  # Dagster itself refuses, and its pages offer nothing that would fail
    assert "launch_pipeline_execution" in may["cora"]
    assert front.ask(LAUNCH, "cora").json()["data"]["launchRun"]["__typename"] == "LaunchRunSuccess"
    assert front.run_count == before + 1


def test_nothing_is_changed_by_an_address_or_by_words_that_can_be_read_in_two_ways(front: Front) -> None:
    before = front.run_count
    address = "/graphql?" + str(httpx2.QueryParams({"query": LAUNCH}))
    doubled = json.dumps({"query": COUNT})[:-1] + "," + json.dumps({"query": LAUNCH})[1:]
    hidden = "/graphql?" + str(httpx2.QueryParams([("query", COUNT), ("query", LAUNCH)]))
    told = {
        405: [("GET", address, None), ("HEAD", address, None), ("PUT", address, None), ("GET", hidden, None)],
        400: [
            ("POST", address, b""),
            ("POST", address, {"query": COUNT}),
            ("GET", "/graphql?query=mutation%7B", None),
            ("GET", address.replace("graphql", "graphql%0A", 1), None),
            ("POST", "/graphql", doubled.encode()),
            ("POST", "/graphql", b"mutation"),
            ("POST", "/graphql", {"query": ["x"]}),
            ("POST", "/graphql", {"query": "{ a " * 5_000}),
            ("POST", "/graphql", b"[" * 100_000),
            ("POST", "/graphql", b" " * 4_000_001),
        ],
        414: [("GET", address + "&a=" + "b" * 16_000, None)],
    }
    for status, requests in told.items():
        for method, path, body in requests:
            assert front.send(method, path, "cora", body).status_code == status, (method, path[:80], body)
    plain = front.ask(LAUNCH, "cora", Content_Type="text/plain;application/json")
    assert (plain.status_code, "application/json" in plain.text) == (400, True)
    assert (
        front.send("GET", "/graphql?" + str(httpx2.QueryParams({"query": COUNT})), "vera").status_code == 200
    )
    assert front.run_count == before


def test_pages_of_other_sites_and_names_that_are_not_ours_are_refused(front: Front) -> None:
    before = front.run_count
    there = "http://127.0.0.1:9"
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": there},
        {"Origin": "null"},
        {},
    ):
        cookie = {"Cookie": f"tieout={front.tokens['cora']}", "Content-Type": "application/json"}
        with httpx2.Client(trust_env=False) as client:
            refused = client.post(
                front.address + "/graphql", json={"query": LAUNCH}, headers=cookie | headers
            )
        assert refused.status_code == 403, headers
    assert (
        front.send("GET", "/graphql?query={version}", "cora", Sec_Fetch_Site="cross-site").status_code == 403
    )
    assert front.send("GET", "/logs/a", "cora", Sec_Fetch_Site="same-site").status_code == 403
    followed = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
    assert (
        front.send("GET", "/runs", "cora", Accept="text/html", **followed).status_code == 200
    )  # a link in a mail
    framed = followed | {"Sec_Fetch_Dest": "iframe"}
    assert front.send("GET", "/runs", "cora", Accept="text/html", **framed).status_code == 403
    assert front.send("GET", "/runs", "cora", Host="rebound.example:3000").status_code == 421
    assert front.run_count == before


class HostilePage(BaseHTTPRequestHandler):
    """Pages of another site: one shows an image from Dagster, one sends it a form."""

    target = ""

    def do_GET(self) -> None:
        address = f"{self.target}/graphql?{httpx2.QueryParams({'query': LAUNCH})}"
        image = f'<img src="{address}" alt="">'
        form = f'<form method="post" enctype="text/plain" action="{address}"></form>'
        script = "<script>document.forms[0].submit()</script>"
        shown = image if self.path == "/image" else form + script
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(
            f'<!doctype html><link rel="icon" href="data:,"><title>Kittens</title>{shown}'.encode()
        )

    def log_message(self, *what: object) -> None:
        pass


def test_a_page_of_another_site_starts_no_run_in_a_real_browser(front: Front, chromium: Browser) -> None:
    before = front.run_count
    HostilePage.target = front.address
    with ThreadingHTTPServer(("127.0.0.1", 0), HostilePage) as site, person(chromium) as (page, errors):
        threading.Thread(target=site.serve_forever, daemon=True).start()
        page.context.add_cookies([{"name": "tieout", "value": front.tokens["cora"], "url": front.address}])
        for host in ("127.0.0.1", "localhost"):  # another origin of the same site, and another site
            there = f"http://{host}:{site.server_port}"
            with page.expect_event("requestfailed", lambda asked: "/graphql" in asked.url):
                page.goto(f"{there}/image")  # Chromium hides the answer: what counts is that nothing was done
            with page.expect_response(lambda answer: "/graphql" in answer.url) as told:
                page.goto(f"{there}/form")
            assert told.value.status == 403
        site.shutdown()
        errors.found.clear()  # the refusals, as Chromium tells of them

        page.goto(front.address + "/locations/tiny/jobs/idle/playground")
        page.get_by_role("button", name="Launch Run").wait_for()  # the UI itself works, its websocket too
    assert front.run_count == before


def test_subscriptions_pass_both_ways_and_changes_do_not(front: Front) -> None:
    run_id = front.ask(LAUNCH, "cora").json()["data"]["launchRun"]["run"]["runId"]
    with front.websocket("vera") as websocket:
        assert websocket.subprotocol == "graphql-ws"
        websocket.send(json.dumps({"type": "connection_init", "payload": {}}))
        assert json.loads(websocket.recv(30)) == {"type": "connection_ack"}
        start = {"id": "1", "type": "start", "payload": {"query": LOGS % json.dumps(run_id)}}
        websocket.send(json.dumps(start))
        told = json.loads(websocket.recv(30))
        assert (
            told["payload"]["data"]["pipelineRunLogs"]["__typename"] == "PipelineRunLogsSubscriptionSuccess"
        )

    before = front.run_count
    frames: list[tuple[str | bytes, str]] = [
        (json.dumps({"id": "1", "type": "start", "payload": {"query": LAUNCH}}), "change nothing"),
        (json.dumps({"id": "1", "type": "subscribe", "payload": {"query": LAUNCH}}), "change nothing"),
        (json.dumps({"type": "surprise"}), "expected a message"),
        ("[]", "expected a message"),
        (b"{}", "frames of text"),
    ]
    for frame, reason in frames:
        with front.websocket("vera") as websocket:
            websocket.send(frame)
            with pytest.raises(ConnectionClosed) as closed:
                websocket.recv(30)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, reason in closed.value.rcvd.reason) == (1008, True), frame
    with pytest.raises(InvalidStatus, match="403"):
        front.websocket("cora", origin=Origin("http://127.0.0.1:9"))
    assert front.run_count == before


def test_who_is_logged_out_gets_nothing_more_not_even_on_an_open_websocket(front: Front) -> None:
    with front.websocket("lea") as websocket:
        websocket.send(json.dumps({"type": "connection_init"}))
        websocket.recv(30)
        assert front.ask(COUNT, "lea").status_code == 200
        with Database(url=front.url, dagster_libpq_url=front.url).session("tieout_doorkeeper") as connection:
            end_sessions_of(connection, "lea", by_whom="tests")
        assert front.ask(COUNT, "lea").status_code == 401
        websocket.send(json.dumps({"type": "ping"}))
        with pytest.raises(ConnectionClosed, match="the session has ended"):
            websocket.recv(30)


def test_looking_by_itself_keeps_no_session_open_and_opening_a_page_does(front: Front) -> None:
    digest = hashlib.sha256(front.tokens["cora"].encode()).digest()
    with psycopg.connect(front.url, autocommit=True) as connection:

        def idle_minutes() -> int:
            found = connection.execute(
                "SELECT round(extract(epoch FROM idle_until - now()) / 60)::int FROM recon.session "
                "WHERE token_sha256 = %s",
                (digest,),
            ).fetchone()
            assert found is not None
            return int(found[0])

        connection.execute(
            "UPDATE recon.session SET seen_at = seen_at - interval '20 min', "
            "idle_until = idle_until - interval '20 min' WHERE token_sha256 = %s",
            (digest,),
        )
        assert front.ask(COUNT, "cora").status_code == 200
        assert idle_minutes() <= 10
        assert front.send("GET", "/runs", "cora", Accept="text/html").status_code == 200
        assert idle_minutes() == 30


def test_what_dagster_offers_to_download_comes_through(front: Front) -> None:
    run_id = front.ask(LAUNCH, "cora").json()["data"]["launchRun"]["run"]["runId"]
    debug = front.send("GET", f"/download_debug/{run_id}", "vera")
    assert run_id.encode() in gzip.decompress(debug.content)
    log = front.home / "storage" / run_id / "compute_logs" / "step.out"
    log.parent.mkdir(parents=True)
    log.write_bytes(b"printed\n" * 500_000)
    printed = front.send("GET", f"/logs/{run_id}/compute_logs/step/out", "vera")
    assert printed.content == log.read_bytes()
    assert "attachment" in printed.headers["content-disposition"]


def test_the_webserver_learns_nothing_that_is_not_its_business(
    people: tuple[str, dict[str, str]], tmp_path: Path
) -> None:
    url, tokens = people

    async def tell(scope: dict[str, object], receive: object, send: object) -> None:
        request = Request(scope, receive)  # type: ignore[arg-type]
        response: Response = JSONResponse(request.headers.items() if request.url.path == "/told" else None)
        response.headers["Set-Cookie"] = "tieout=mine"
        response.headers["Connection"] = "close"
        response.headers["Content-Security-Policy"] = "default-src 'self'"
        await response(scope, receive, send)  # type: ignore[arg-type]

    listener = private_socket(tmp_path / "ui.sock")
    one = uvicorn.Server(uvicorn.Config(tell, log_level="warning", lifespan="off"))  # type: ignore[arg-type]
    with listener, serving(one, listener), guarded(tmp_path / "ui.sock", url) as port:
        front = Front(port=port, tokens=tokens, home=tmp_path, url=url)
        deadline = time.monotonic() + 30
        while front.send("GET", "/_tieout/health", "nobody").status_code != 200:
            assert time.monotonic() < deadline
        lies = {"X-Tieout-May-Operate": "yes", "Authorization": "Basic eA==", "X-Forwarded-For": "1.2.3.4"}
        answer = front.send("GET", "/told", "vera", If_None_Match='"x"', **lies)
        heard = dict(answer.json())
        assert heard["host"] == "dagster"
        assert heard["if-none-match"] == '"x"'
        assert heard.keys().isdisjoint(
            {"cookie", "authorization", "x-tieout-may-operate", "x-forwarded-for", "origin"}
        )
        assert answer.headers.keys().isdisjoint({"set-cookie"})
        policies = answer.headers.get_list("content-security-policy")
        assert policies == ["default-src 'self'", "frame-ancestors 'none'"]
        told = dict(front.send("POST", "/told", "cora", {}).json())
        assert told["x-tieout-may-operate"] == "yes"
    with guarded(tmp_path / "ui.sock", url) as port:
        alone = Front(port=port, tokens=tokens, home=tmp_path, url=url)
        assert alone.ask(COUNT, "vera").status_code == 502
        assert alone.send("GET", "/_tieout/health", "nobody").status_code == 503


@pytest.mark.parametrize(
    ("document", "change"),
    [
        ("{ version }", False),
        ("query A { version } fragment F on Run { id }", False),
        ("subscription { a }", False),
        ("mutation { a }", True),
        ("query A { version } mutation B { a }", True),
        ("# mutation { a }\n{ mutation }", False),
        ('{ a(b: "mutation { c }") }', False),
        ("\ufeffmutation { a }", True),
    ],
)
def test_a_change_is_known_by_the_grammar(document: str, change: bool) -> None:
    assert asks_change(document) is change
    assert documents_of_body(json.dumps({"query": document}).encode()) == (document,)
    assert documents_of_frame(json.dumps({"type": "start", "payload": {"query": document}})) == (document,)


@pytest.mark.parametrize(
    "document",
    [
        "",
        "{",
        "fragment F on Run { id }",
        "type A { b: Int } { c }",
        "{a" * 3_000,
        "{ " + "a " * 20_001 + "}",
        "x" * 200_001,
    ],
)
def test_what_cannot_be_read_is_refused(document: str) -> None:
    with pytest.raises(UnreadableRequest, match="expected"):
        asks_change(document)
