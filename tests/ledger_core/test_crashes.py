"""Servers and connections die in the middle: what was acknowledged is there once, the rest is whole or absent.

On a server of its own, which the tests kill; the suite's server is only ever asked through a proxy that loses answers.
"""

import contextlib
import os
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from dagster_project.embedded_postgres import EmbeddedPostgres
from dagster_project.embedded_postgres.places import recorded
from ledger_core.balance import fold, rebuild
from ledger_core.combiner import Combiner
from ledger_core.errors import StoreError
from ledger_core.feed import read, relay
from ledger_core.migrate import upgrade
from ledger_core.posting import EntryRequest, EntryResult, post
from ledger_core.verify import CheckOutcome, verify
from tests.conftest import quick_folder
from tests.ledger_core.books import BANK, SALES, WALLET, balance, fund, open_chart
from tests.ledger_core.crowd import request, until

Connection = psycopg.Connection[Any]
LOST = (psycopg.OperationalError, StoreError)


class Server:
    """A PostgreSQL of the test's own, and the ways to hurt it."""

    def __init__(self, home: Path) -> None:
        self.postgres = EmbeddedPostgres(home)
        self.postgres.start()
        self.url = self.postgres.url()

    def sessions(self, connection: Connection) -> list[int]:
        rows = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'load' AND state <> 'idle'"
        )
        return [process_id for (process_id,) in rows.fetchall()]

    def terminate(self) -> None:
        """Ends every session that is posting at this moment."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            until(lambda: self.sessions(connection))
            for process_id in self.sessions(connection):
                connection.execute("SELECT pg_terminate_backend(%s)", (process_id,))

    def kill(self) -> None:
        """Kills one posting process; the server then throws all sessions out and recovers as from a power cut."""
        with contextlib.closing(psycopg.connect(self.url, autocommit=True)) as connection:
            until(lambda: self.sessions(connection))
            os.kill(self.sessions(connection)[0], signal.SIGKILL)
            until(lambda: is_lost(connection))

    def stop_at_once(self) -> None:
        """Stops the server without letting it write anything down, and starts it again."""
        places = recorded(self.postgres.home)
        assert places is not None
        done = places.account.run(
            places.program("pg_ctl"), "-D", places.data, "stop", "-m", "immediate", "-w"
        )
        assert done.returncode == 0, done.stdout
        self.postgres.start()


def is_lost(connection: Connection) -> bool:
    try:
        connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return True
    return False


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    home = Path(tempfile.mkdtemp(prefix="tieout crashes ", dir=quick_folder()))
    home.chmod(0o711)  # as root, the server's account must pass through
    own = Server(home)
    try:
        yield own
    finally:
        own.postgres.stop()
        shutil.rmtree(home)


@pytest.fixture
def crash_url(server: Server) -> Iterator[str]:
    """A ledger with the chart of `books` and money in the wallet, on the server that will be hurt."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE crash")
    url = make_conninfo(server.url, dbname="crash", application_name="load")
    upgrade(url)
    with psycopg.connect(url) as connection:
        open_chart(connection)
        fund(connection, 3000)
    yield url
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("DROP DATABASE crash WITH (FORCE)")


@dataclass
class Load:
    """Clients that post until they lose their server; each then knows which of its requests was not answered."""

    url: str
    acknowledged: dict[str, str] = field(default_factory=dict)
    unanswered: list[list[EntryRequest]] = field(default_factory=list)
    hurt: threading.Event = field(default_factory=threading.Event)

    def requests(self, number: int) -> Iterator[list[EntryRequest]]:
        """Sales, payments out of the wallet until it is empty and beyond, batches and groups."""
        for i in range(100_000):
            key = f"{number}-{i}"
            if number % 3 == 0:
                yield [request(key, (BANK, 7), (SALES, -7))]
            elif number % 3 == 1:
                yield [request(key, (WALLET, 5), (BANK, -5))]
            else:
                yield [
                    request(f"{key}-{n}", (BANK, n + 1), (SALES, -n - 1), group=n % 2 or None)
                    for n in range(8)
                ]

    def post_until_lost(self, number: int) -> None:
        with contextlib.closing(psycopg.connect(self.url)) as connection:
            for sent in self.requests(number):
                try:
                    answers = post(connection, sent)
                    connection.commit()
                except LOST:
                    self.unanswered.append(sent)
                    return
                self.acknowledged.update((answer.entry_key, answer.outcome) for answer in answers)
                if self.hurt.is_set() and number % 3 == 1:
                    return  # some end by themselves, so that there are answers after the fault, too

    def combine(self, number: int, combiner: Combiner) -> None:
        """A client of the combiner never notices."""
        after = 0
        for (sent,) in self.requests(number):
            answer = combiner.post_one(sent)
            self.acknowledged[answer.entry_key] = answer.outcome.replace("replayed", "posted")
            after += self.hurt.is_set()
            if after > 5:
                return

    def keep_up(self, work: Callable[[Connection], object]) -> None:
        """A job that folds or relays all the time, and starts again when it lost its server."""
        while not self.hurt.is_set():
            with (
                contextlib.suppress(*LOST),
                contextlib.closing(psycopg.connect(self.url, autocommit=True)) as own,
            ):
                while not self.hurt.is_set():
                    work(own)


@pytest.mark.parametrize(
    "fault", [Server.terminate, Server.kill, Server.stop_at_once], ids=lambda f: f.__name__
)
def test_what_was_acknowledged_survives_once_and_the_rest_is_whole_or_absent(
    server: Server, crash_url: str, fault: Callable[[Server], None]
) -> None:
    load, errors = Load(crash_url), []

    def guarded(work: Callable[..., object], *given: object) -> threading.Thread:
        def run() -> None:
            try:
                work(*given)
            except Exception as error:  # noqa: BLE001 - the test looks at it
                errors.append(error)

        return threading.Thread(target=run, daemon=True)

    with Combiner(lambda: psycopg.connect(crash_url)) as combiner:
        threads = [guarded(load.post_until_lost, number) for number in range(8)]
        threads += [guarded(load.combine, number, combiner) for number in (30, 31, 33)]
        threads += [guarded(load.keep_up, lambda own: fold(own, 1)), guarded(load.keep_up, relay)]
        for thread in threads:
            thread.start()
        until(lambda: len(load.acknowledged) > 400)
        fault(server)
        load.hurt.set()
        if fault is Server.terminate:  # those that did not happen to be posting then
            until(lambda: try_to(server.terminate) and not any(t.is_alive() for t in threads[:8]))
        for thread in threads:
            thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert not errors, errors
    assert load.unanswered, "nobody was in the middle of anything"
    until(lambda: reachable(crash_url))
    with contextlib.closing(psycopg.connect(crash_url)) as connection:
        assert_survived(connection, load)


def try_to(work: Callable[[], object]) -> bool:
    with contextlib.suppress(AssertionError):
        work()
    return True


def reachable(url: str) -> bool:
    with contextlib.suppress(psycopg.OperationalError), contextlib.closing(psycopg.connect(url)):
        return True
    return False


def outcomes_of(connection: Connection) -> dict[str, str]:
    rows = connection.execute(
        "SELECT e.entry_key, CASE e.line_count WHEN 0 THEN 'refused' ELSE 'posted' END, e.line_count, count(l.xid) "
        "FROM ledger.journal_entry AS e LEFT JOIN ledger.journal_line AS l ON l.entry_id = e.entry_id "
        "GROUP BY e.entry_id HAVING e.entry_key <> 'fund'"
    ).fetchall()
    assert len({key for key, *_ in rows}) == len(rows)
    assert [key for key, _, said, there in rows if said != there] == []
    return {key: outcome for key, outcome, _, _ in rows}


def assert_survived(connection: Connection, load: Load) -> None:
    kept = outcomes_of(connection)
    assert {key: kept.get(key) for key in load.acknowledged} == load.acknowledged
    in_doubt = {one.entry_key for sent in load.unanswered for one in sent}
    assert kept.keys() - load.acknowledged.keys() <= in_doubt
    assert [check for check in verify(connection) if check.outcome is not CheckOutcome.OK] == []
    for sent in load.unanswered:
        there = {one.entry_key for one in sent} & kept.keys()
        assert len(there) in (0, len(sent)), "a part of a call was committed"
        answers = {answer.entry_key: answer.outcome for answer in post(connection, sent)}
        expected = "replayed" if there else "posted"
        assert set(answers.values()) <= {expected, "refused"}
        assert {key for key, outcome in answers.items() if outcome == "refused"} <= {
            key for key in answers if int(key.partition("-")[0]) % 3 == 1
        }
        connection.commit()
    fed = [event.position for event in read(connection, 0, 10**6)]
    assert fed == list(range(1, len(fed) + 1))
    relay(connection)
    connection.commit()
    everything = outcomes_of(connection)
    assert len(read(connection, 0, 10**6)) == 1 + sum(outcome == "posted" for outcome in everything.values())
    assert_exact(connection)
    for work in (fold, rebuild):
        work(connection)
        connection.commit()
        assert_exact(connection)
    assert [check for check in verify(connection) if check.outcome is not CheckOutcome.OK] == []


def assert_exact(connection: Connection) -> None:
    for account in (BANK, SALES, WALLET):
        row = connection.execute(
            "SELECT coalesce(sum(amount_minor), 0) FROM ledger.journal_line_v1 WHERE account = %s", (account,)
        ).fetchone()
        assert row == (balance(connection, account).balance_minor,)
    assert balance(connection, WALLET).balance_minor <= 0
    connection.rollback()


class LosesAnswers:
    """Stands between client and server. Armed, it delivers the next COMMIT, keeps the answer and hangs up."""

    def __init__(self, url: str) -> None:
        self.given = conninfo_to_dict(url)
        self.folder = tempfile.mkdtemp(prefix="tp")
        self.url = make_conninfo(url, host=self.folder, port="5432")
        self.is_armed, self.lost = False, 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(f"{self.folder}/.s.PGSQL.5432")
        self.listener.listen()
        self.threads = [threading.Thread(target=self.accept, daemon=True)]
        self.threads[0].start()

    def accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self.serve, args=(client,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def to_server(self) -> socket.socket:
        host, port = str(self.given["host"]), self.given.get("port") or "5432"
        if not host.startswith("/"):
            return socket.create_connection((host, int(port)))
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{host}/.s.PGSQL.{port}")
        return server

    def serve(self, client: socket.socket) -> None:
        with client, self.to_server() as server:
            keep_answer = threading.Event()

            def answers() -> None:
                with contextlib.suppress(OSError):
                    while data := server.recv(65536):
                        if not keep_answer.is_set():
                            client.sendall(data)
                        elif data.endswith(b"Z\0\0\0\5I"):  # ready for the next: it is committed
                            self.lost += 1
                            break
                with contextlib.suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)

            back = threading.Thread(target=answers, daemon=True)
            back.start()
            with contextlib.suppress(OSError):
                while data := client.recv(65536):
                    if self.is_armed and b"COMMIT" in data:
                        self.is_armed = False
                        keep_answer.set()
                    server.sendall(data)
                server.shutdown(socket.SHUT_RDWR)
            back.join()

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join(60)
        shutil.rmtree(self.folder)


@pytest.fixture
def proxy(own_book: Connection, database_url: str) -> Iterator[LosesAnswers]:
    between = LosesAnswers(database_url)
    yield between
    between.close()


@pytest.mark.parametrize(("account", "outcome"), [(BANK, "replayed"), (WALLET, "refused")])
def test_a_commit_whose_answer_was_lost_is_found_by_asking_again(
    own_book: Connection, proxy: LosesAnswers, account: str, outcome: str
) -> None:
    sent = [request("sale", (account, 100), (SALES, -100))]
    with contextlib.closing(psycopg.connect(proxy.url)) as connection:
        (first,) = post(connection, sent)
        proxy.is_armed = True
        with pytest.raises(psycopg.OperationalError):
            connection.commit()
    assert proxy.lost == 1
    with contextlib.closing(psycopg.connect(proxy.url)) as connection:
        (again,) = post(connection, sent)
        connection.commit()
    assert (again.outcome, again.entry_id) == (outcome, first.entry_id)
    assert balance(own_book, SALES).balance_minor == (-100 if outcome == "replayed" else 0)


def test_the_combiner_asks_again_by_itself_when_the_answer_to_its_commit_is_lost(
    own_book: Connection, proxy: LosesAnswers
) -> None:
    answers: list[EntryResult] = []
    with Combiner(lambda: psycopg.connect(proxy.url)) as combiner:
        for number in range(4):
            proxy.is_armed = number % 2 == 1
            answers.append(combiner.post_one(request(f"sale {number}", (BANK, 100), (SALES, -100))))
    assert [answer.outcome for answer in answers] == ["posted", "replayed", "posted", "replayed"]
    assert proxy.lost == 2
    assert balance(own_book, SALES).balance_minor == -400
