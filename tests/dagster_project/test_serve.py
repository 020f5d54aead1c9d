"""`tieout up` and `tieout down` for real: what starts, where it listens, how it ends, and what a killed one leaves."""

import contextlib
import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from dagster_project.database import Database
from dagster_project.processes import ProcessMark
from ledger_core.feed import newest
from ledger_core.posting import post_lines
from reconciliation.people.registry import enrol
from reconciliation.people.sessions import open_session
from tests.ledger_core.books import open_chart, sale

TIEOUT = Path(sys.executable).with_name("tieout")
REPOSITORY = Path(__file__).resolve().parents[2]
LOOPBACK = {
    "0100007F",  # 127.0.0.1, as the kernel's tables write it
    "0000000000000000FFFF00000100007F",  # the same as IPv6 writes it
    "00000000000000000000000001000000",  # ::1
}
CHILDREN = {"ledger-worker", "code-server", "webserver", "daemon", "guard", "review"}


class Home:
    """A project's folder, and the commands run in it."""

    def __init__(self, folder: Path, database_url: str, dagster_url: str) -> None:
        self.folder = folder
        self.state = folder / ".tieout"
        self.environment = {
            **os.environ,
            "TIEOUT_HOME": str(folder),
            "TIEOUT_DATABASE_URL": database_url,
            "TIEOUT_DAGSTER_DATABASE_URL": dagster_url,
            "http_proxy": "http://127.0.0.1:9",  # nothing of ours may ask a proxy for this machine
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [TIEOUT, *arguments]
        return subprocess.run(
            command,
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    @contextlib.contextmanager
    def up(self, port: int, review_port: int = 0, *, deaf: bool = False) -> Iterator[subprocess.Popen[str]]:
        """A running `up`; ``deaf`` starts it as a shell does behind `&`, with the signals ignored."""

        def ignore() -> None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)

        with subprocess.Popen(
            [TIEOUT, "up", "--dagster-port", str(port), "--review-port", str(review_port or free_port())],
            env=self.environment,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=ignore if deaf else None,  # noqa: PLW1509 - no threads here
        ) as process:
            try:
                yield process
            finally:
                self.run("down")
                process.kill()

    @property
    def children(self) -> dict[str, ProcessMark]:
        """The marks that `up` wrote down."""
        try:
            written = json.loads((self.state / "up.json").read_text())["children"]
        except FileNotFoundError:
            return {}
        found = {name: ProcessMark.parse(text) for name, text in written.items()}
        return {name: mark for name, mark in found.items() if mark is not None}


@pytest.fixture
def home(tmp_path: Path, database_url: str, empty_database_url: str) -> Home:
    folder = tmp_path / "a home"
    folder.mkdir()
    return Home(folder, database_url, empty_database_url)


def free_port() -> int:
    with socket.socket() as attempt:
        attempt.bind(("127.0.0.1", 0))
        return int(attempt.getsockname()[1])


def wait_for(happened: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"not within {seconds} seconds"
        time.sleep(0.1)


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """What `up` says, to the line that holds the words."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if words in line:
            return said
    raise AssertionError(f"`up` ended without {words!r}: {said}")


def session_of(home: Home, login: str) -> str:
    """The token of a new session of a new controller."""
    url, token = home.environment["TIEOUT_DATABASE_URL"], secrets.token_urlsafe(32)
    with Database(url=url, dagster_libpq_url=url).session("tieout_doorkeeper") as connection:
        enrol(connection, login, name=login, roles=["controller"], known_by="users", by_whom="tests")
        open_session(connection, login, token=token, channel="browser")
    return token


def answer(port: int, token: str, path: str, query: str | None = None) -> str:
    """What is answered to somebody's session, by GET or to a question of GraphQL."""
    headers = {
        "Content-Type": "application/json",
        "Cookie": f"tieout={token}",
        "Sec-Fetch-Site": "same-origin",
    }
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(connection):
        connection.request("POST" if query else "GET", path, query and json.dumps({"query": query}), headers)
        told = connection.getresponse()
        assert told.status == 200
        return told.read().decode()


def listening(process_ids: set[int]) -> set[str]:
    """Addresses of the network that any of the processes listens on, as the kernel writes them."""
    inodes = set()
    for process_id in process_ids:
        for link in Path(f"/proc/{process_id}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                inodes.add(str(link.readlink()))
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().split("\n")[1:]:
            fields = line.split()
            if len(fields) > 9 and fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                found.add(fields[1].partition(":")[0])
    return found


def test_up_serves_on_loopback_alone_and_down_ends_all_of_it(home: Home) -> None:
    port, review_port = free_port(), free_port()
    with home.up(port, review_port, deaf=True) as process:
        said = read_until(process, "Files arrive")
        assert f"Dagster: http://127.0.0.1:{port}\n" in said
        assert f"Review app: http://127.0.0.1:{review_port}\n" in said
        assert "Nobody can log in yet: tieout users add" in said
        marks = home.children
        assert set(marks) == CHILDREN
        assert listening({mark.process_id for mark in marks.values()}) <= LOOPBACK
        assert listening({marks["webserver"].process_id}) == set()  # the guard is the way to it
        assert (home.state / "dagster" / "ui.sock").stat().st_mode & 0o777 == 0o600

        token = session_of(home, "cora")  # one session for both
        assert "cora" in answer(review_port, token, "/")
        told = answer(
            port,
            token,
            "/graphql",
            "{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus } } } "
            "assetNodes { id } shouldShowNux }",
        )
        found = json.loads(told)["data"]
        assert found["workspaceOrError"] == {"locationEntries": [{"name": "tieout", "loadStatus": "LOADED"}]}
        assert len(found["assetNodes"]) == 16
        assert found["shouldShowNux"] is False

        with psycopg.connect(home.environment["TIEOUT_DATABASE_URL"], autocommit=True) as books:
            open_chart(books)
            post_lines(books, sale("while it is up"))
            wait_for(lambda: newest(books) == 1)  # the worker numbers it; nobody else was asked to

        second = home.run("up", "--dagster-port", str(free_port()))
        assert (second.returncode, "found `tieout up` at work" in second.stderr) == (1, True)

        stopped = home.run("down", "--json")
        assert json.loads(stopped.stdout) == {"stopped": ["tieout up"]}
        assert process.wait(timeout=30) == 0
        assert not any(mark.is_alive for mark in marks.values())
        assert not (home.state / "up.json").exists()
    assert json.loads(home.run("down", "--json").stdout) == {"stopped": []}


def test_when_one_process_ends_all_end_and_the_log_is_named(home: Home) -> None:
    with home.up(free_port()) as process:
        wait_for(lambda: "code-server" in home.children)
        mark = home.children["code-server"]
        os.kill(mark.process_id, signal.SIGKILL)
        said = read_until(process, "tieout: ")
        assert "code-server: expected to run, found ended with code -9" in said
        assert str(home.state / "logs" / "code-server.log") in said
        assert process.wait(timeout=60) == 1
        assert not home.children


def test_up_can_be_interrupted_before_it_is_ready(home: Home) -> None:
    with home.up(free_port()) as process:
        wait_for(lambda: "code-server" in home.children)
        marks = home.children
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
        assert not any(mark.is_alive for mark in marks.values())


def test_a_port_that_is_taken_is_refused_by_name(home: Home) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ports = {"--dagster-port": free_port(), "--review-port": free_port()}
        for option in ports:
            words = [word for pair in (ports | {option: port}).items() for word in map(str, pair)]
            refused = home.run("up", *words)
            assert refused.returncode == 1
            assert f"port {port}: expected it to be free" in refused.stderr
            assert f"choose another by {option}" in refused.stderr
            assert "Traceback" not in refused.stderr


@contextlib.contextmanager
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A program that sleeps, and ends when asked even where whoever started these tests ignores that."""
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_DFL); print(flush=True); time.sleep(600)"
    with subprocess.Popen(
        [sys.executable, "-c", code], start_new_session=True, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


def test_down_ends_what_a_killed_up_left_and_no_other_program(home: Home) -> None:
    with sleeper() as left, sleeper() as other:
        left_mark, other_mark = ProcessMark.of(left.pid), ProcessMark.of(other.pid)
        assert left_mark is not None
        assert other_mark is not None
        home.state.mkdir()
        reused = ProcessMark(other_mark.process_id, other_mark.started - 1)  # its id, of an earlier program
        state = {"owner": "4194305:1", "children": {"webserver": left_mark.text, "daemon": reused.text}}
        (home.state / "up.json").write_text(json.dumps(state))
        assert json.loads(home.run("down", "--json").stdout) == {
            "stopped": ["what a killed `tieout up` had left"]
        }
        assert left.wait(timeout=10) == -signal.SIGTERM
        assert other.poll() is None


def test_down_is_safe_where_nothing_ever_ran(home: Home) -> None:
    done = home.run("down")
    assert (done.returncode, done.stdout) == (0, "Nothing was running.\n")
    assert not home.state.exists()
