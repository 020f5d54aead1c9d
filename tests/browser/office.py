"""A bank's Monday with everything people meet in the app, the app served for real, and people with passwords.

One charge that nobody booked, one amount that differs from its entry, one pair that nothing but the amount ties, and a
hundred lines that have no entry: enough for three pages of the list.
"""

import contextlib
import json
import secrets
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import uvicorn
from playwright.sync_api import Page

from dagster_project.database import Database
from dagster_project.pipeline import reconcile_source
from dagster_project.project import Project
from dagster_project.settings import read_settings
from dagster_project.web.review_settings import review_settings
from dagster_project.web.serve_review import review_config, server
from ledger_core.chart import define_assets
from reconciliation.formats.card_numbers import KeyedCardTokens
from reconciliation.intake.source_versions import register_sources
from reconciliation.people.registry import enrol, set_password
from reconciliation.people.sessions import open_session
from reconciliation.sources import Sources, parse_sources
from tests.reconciliation.daily.desk import MONDAY, SOURCES, Desk, movement

PASSWORD: Final = "correct horse battery staple"
PEOPLE: Final = {
    "ada": "analyst",
    "ben": "approver",
    "cora": "controller",
    "dora": "controller",
    "vera": "viewer",
    "otto": "auditor",
}
FEES, WRITE_OFFS = "expenses:bank-fees", "expenses:write-offs"
WITHOUT_ENTRY: Final = 110


def sources() -> Sources:
    """The desk's bank alone, with rules for what people may book."""
    told: dict[str, Any] = SOURCES.model_dump(mode="json")
    told["sources"] = told["sources"][:1]
    told["sources"][0]["review"] = {
        "write_off": {"EUR": WRITE_OFFS},
        "entry_accounts": [FEES, WRITE_OFFS],
        "limits": [{"role": "approver", "asset": "EUR", "amount_minor": 100_000}],
    }
    return parse_sources(json.dumps(told))


def furnish(desk: Desk) -> Sources:
    """Monday's books and statement, not reconciled yet; and the people."""
    known = sources()
    with desk.session("tieout_poster") as connection:
        define_assets(connection, {"EUR": 2})
        codes = [FEES, WRITE_OFFS]
        connection.execute(
            "SELECT ledger.open_accounts(%s, %s, %s, %s, %s)",
            (codes, codes, ["expense"] * 2, ["EUR"] * 2, [True] * 2),
        )
    with desk.session("tieout_intake") as connection:
        register_sources(connection, known)
    desk.post("paid", MONDAY, 5_000, ref_end_to_end="INV-1")
    desk.post("short", MONDAY, 10_000, ref_end_to_end="INV-2")
    desk.post("nameless", MONDAY, 7_531, ref_end_to_end="OURS-3")
    desk.statement(
        MONDAY,
        movement("INV-1", 5_000),
        movement("INV-2", 9_963),
        movement("THEIRS-3", 7_531),
        movement("FEE", -250),
        *(movement(f"LONE-{number:03}", 20_000 + 7 * number) for number in range(WITHOUT_ENTRY)),
    )
    with desk.session("tieout_doorkeeper") as connection:
        for login, role in PEOPLE.items():
            enrol(connection, login, name=login.title(), roles=[role], known_by="users", by_whom="tests")
            set_password(connection, login, PASSWORD, salt=login.rjust(16).encode(), by_whom="tests")
    return known


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserOffice:
    """The app where people reach it, and the desk behind it."""

    address: str
    desk: Desk

    def come_in(self, page: Page, login: str) -> None:
        """Give a page a session of somebody, as their login would."""
        token = secrets.token_urlsafe(32)
        with self.desk.session("tieout_doorkeeper") as connection:
            open_session(connection, login, token=token, channel="browser")
        page.context.add_cookies([{"name": "tieout", "value": token, "url": self.address}])

    def exception_of(self, reference: str, kind: str | None = None) -> int:
        """The number of the exception about a line of the statement."""
        found = self.desk.ask(
            "SELECT exception_id FROM recon.exception WHERE reference = %s AND (%s::text IS NULL OR kind = %s)",
            reference,
            kind,
            kind,
        )
        assert len(found) == 1, (reference, found)
        return int(found[0])


@contextlib.contextmanager
def served(desk: Desk, folder: Path) -> Iterator[BrowserOffice]:
    """The app over a furnished desk while the block lasts."""
    environment = {"TIEOUT_HOME": str(folder), "TIEOUT_DATABASE_URL": desk.url}
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
        project = Project(
            settings=read_settings(environment, folder),
            database=Database(url=desk.url, dagster_libpq_url=desk.url),
            sources=furnish(desk),
            card_tokens=KeyedCardTokens(bytes(32)),
        )
        reconcile_source(project, project.sources["bank"], MONDAY, actor="tests")
        told = review_settings(project.settings, review_port=port)
        with review_config(project, told) as config, running(server(config, port), listener):
            yield BrowserOffice(address=told.base_url, desk=desk)


@contextlib.contextmanager
def running(one: uvicorn.Server, listener: socket.socket) -> Iterator[None]:
    """A server in a thread, on a socket that is bound already."""
    thread = threading.Thread(target=one.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield
    finally:
        one.should_exit = True
        thread.join()
