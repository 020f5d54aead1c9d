"""The review app as its process serves it: over the real network, against a real database and a real provider."""

import contextlib
import re
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from click.testing import CliRunner

from dagster_project.project import Project
from dagster_project.web.review_settings import OidcSettings, ReviewSettings
from dagster_project.web.serve_review import OneAtATime, main, review_config, server
from reconciliation.people.registry import change_person, enrol, find_person, set_password
from tests.dagster_project.identity_provider import CLIENT_ID, CLIENT_SECRET, Provider

PASSWORD = "correct horse battery"
OURS = {"Sec-Fetch-Site": "same-origin"}


@contextlib.contextmanager
def served(project: Project, **said: Any) -> Iterator[httpx2.Client]:
    """A browser without a window before the served app."""
    with socket.socket() as attempt:
        attempt.bind(("127.0.0.1", 0))
        port = int(attempt.getsockname()[1])
    base_url = f"http://127.0.0.1:{port}"
    told = ReviewSettings(
        **{"base_url": base_url, "dagster_url": "http://127.0.0.1:3000", "identity": "password"} | said
    )
    with review_config(project, told) as config:
        assert urlsplit(config.base_url).port == port
        running = server(config, port)
        thread = threading.Thread(target=running.run)
        thread.start()
        try:
            while not running.started:
                assert thread.is_alive()
                time.sleep(0.02)
            with httpx2.Client(base_url=base_url, trust_env=False) as client:
                yield client
        finally:
            running.should_exit = True
            thread.join()


def make(project: Project, login: str, *roles: str) -> None:
    with project.database.session("tieout_doorkeeper") as connection:
        enrol(connection, login, name=login.title(), roles=roles, known_by="users", by_whom="root")
        set_password(connection, login, PASSWORD, salt=secrets.token_bytes(16), by_whom="root")


def test_somebody_logs_in_by_password_and_is_out_when_disabled(project: Project) -> None:
    make(project, "ada", "analyst")
    with served(project) as client:
        sent_away = client.get("/help")
        assert sent_away.status_code == 303
        assert sent_away.headers["location"].startswith("/login")
        form = {"login": "ada", "password": PASSWORD, "next": "/help"}
        wrong = client.post("/login", data=form | {"password": "wrong again"}, headers=OURS)
        assert wrong.status_code == 401
        assert client.post("/login", data=form, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
        inside = client.post("/login", data=form, headers=OURS)
        assert (inside.status_code, inside.headers["location"]) == (303, "/help")
        assert re.search(r"tieout=\S{43}; HttpOnly;.*SameSite=strict", inside.headers["set-cookie"])
        assert client.get("/help").status_code == 200
        with project.database.session("tieout_doorkeeper") as connection:
            change_person(connection, "ada", state="disabled", by_whom="root")
        assert client.get("/help").status_code == 303
        assert client.post("/login", data=form, headers=OURS).status_code == 401


@pytest.fixture
def provider() -> Iterator[Provider]:
    opened = Provider()
    yield opened
    opened.close()


def test_somebody_logs_in_at_the_provider_and_a_stranger_does_not(
    project: Project, provider: Provider
) -> None:
    make(project, "ada", "analyst")
    oidc = OidcSettings(issuer=provider.issuer, client_id=CLIENT_ID, client_secret=CLIENT_SECRET)

    def come(client: httpx2.Client) -> httpx2.Response:
        sent = client.get("/login", params={"next": "/help", "go": "1"})
        assert sent.status_code == 303, sent.text
        return client.get("/login/back", params=provider.consent(sent.headers["location"]))

    with served(project, identity="oidc", oidc=oidc) as client:
        inside = come(client)
        assert inside.status_code in (200, 303), inside.text
        assert "/help" in inside.headers.get("location", inside.text)
        assert client.get("/help").status_code == 200
        assert (
            client.post("/login", data={"login": "ada", "password": PASSWORD}, headers=OURS).status_code
            == 403
        )
        client.cookies.clear()
        provider.claims["preferred_username"] = "eve"
        stranger = come(client)
        assert stranger.status_code == 403
        assert client.get("/help").status_code == 303
        provider.claims = {"sub": "7", "preferred_username": "ada", "nonce": "of another login"}
        assert come(client).status_code == 403
    with project.database.session("tieout_auditor") as connection:
        assert find_person(connection, "eve") is None


def test_a_proxy_is_believed_by_its_secret_alone(project: Project) -> None:
    make(project, "ada", "analyst")
    secret = "0123456789abcdef" * 2
    believed = {"X-Remote-User": "Ada", "X-Tieout-Proxy-Secret": secret}
    with served(project, identity="proxy", proxy_header="X-Remote-User", proxy_secret=secret) as client:
        for wrong in (
            {"X-Remote-User": "ada"},
            {"X-Remote-User": "ada", "X-Tieout-Proxy-Secret": secret[:-1]},
            {"X-Remote-User": "eve", "X-Tieout-Proxy-Secret": secret},
        ):
            assert client.get("/login", headers=wrong).status_code in (200, 403), wrong
            assert not client.cookies
        inside = client.get("/login", params={"next": "/help"}, headers=believed)
        assert (inside.status_code, inside.headers["location"]) == (303, "/help")
        assert client.get("/help", headers=believed).status_code == 200
        assert client.get("/help", headers=believed | {"X-Remote-User": "bob"}).status_code == 303
        assert client.get("/help").status_code == 303  # a stolen cookie is worth nothing past the proxy
        form = {"login": "ada", "password": PASSWORD}
        assert client.post("/login", data=form, headers=OURS).status_code == 403


def test_the_process_does_not_start_on_weak_settings(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIEOUT_HOME", str(project.settings.home))
    monkeypatch.setenv("TIEOUT_REVIEW_URL", "http://0.0.0.0:8600")
    done = CliRunner().invoke(main, ["--port", "8600"])
    assert done.exit_code == 2
    assert "tieout review: TIEOUT_REVIEW_URL: expected https, found http for 0.0.0.0" in done.output


def test_calls_while_it_is_being_done_are_one_more_time_however_many_they_are() -> None:
    started, go_on = threading.Event(), threading.Event()
    done: list[str] = []

    def do(name: str) -> None:
        done.append(name)
        started.set()
        assert go_on.wait(10)

    once = OneAtATime(do)
    first = threading.Thread(target=once, args=("bank",))
    first.start()
    assert started.wait(10)
    for _ in range(100):
        once("bank")  # returns at once
    go_on.set()
    first.join(10)
    once("stripe")
    assert done == ["bank", "bank", "stripe"]
