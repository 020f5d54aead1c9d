"""An alert waits until somebody has it: sent at least once, once in normal operation, and marked."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import date
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import psycopg
import pytest
from psycopg import Connection

from reconciliation.alerts import Alert, deliver_waiting, write_alerts
from reconciliation.alerts.channels import AppriseChannel, FileChannel, apprise_channels
from reconciliation.errors import ReconciliationError

Sessions = Callable[[], AbstractContextManager[Connection]]
ALERT = Alert(
    cause_key="exceptions:bank:2026-11-16:fee_variance:high",
    source_id="bank",
    business_date=date(2026, 11, 16),
    severity="high",
    title="bank 2026-11-16: 2 exceptions",
    body="EUR: 2 of 12.00 in all",
    item_count=2,
    sums={"EUR": 1200},
)


@pytest.fixture
def sessions(database_url: str) -> Sessions:
    """Opens a transaction under the matcher's role, as the shell does."""

    @contextlib.contextmanager
    def session() -> Iterator[Connection]:
        with psycopg.connect(database_url) as connection:
            connection.execute("SET LOCAL ROLE tieout_matcher")
            yield connection

    return session


@dataclass
class Recorder:
    """A real channel whose far end is this list; it fails, or breaks down, when told to."""

    name: str = "list"
    fails: bool = False
    breaks: bool = False
    received: list[str] = field(default_factory=list)

    def send(self, title: str, body: str) -> bool:
        if self.fails:
            return False
        self.received.append(f"{title}\n{body}")
        if self.breaks:
            raise KeyboardInterrupt
        return True


def put(sessions: Sessions, *alerts: Alert) -> int:
    with sessions() as connection:
        return write_alerts(connection, alerts or (ALERT,))


def attempts(sessions: Sessions) -> list[tuple[str, str]]:
    with sessions() as connection:
        return connection.execute(
            "SELECT channel, outcome FROM recon.alert_attempt ORDER BY attempt_id"
        ).fetchall()


def test_a_cause_is_told_once_and_again_only_when_it_has_grown(sessions: Sessions) -> None:
    assert put(sessions) == 1
    assert put(sessions) == 0
    assert put(sessions, replace(ALERT, item_count=1)) == 0
    assert put(sessions, replace(ALERT, item_count=5)) == 1
    assert put(sessions, replace(ALERT, item_count=5), replace(ALERT, item_count=4)) == 0
    assert put(sessions, replace(ALERT, cause_key="exceptions:bank:2026-11-16:fee_variance:critical")) == 1


def test_an_alert_of_a_transaction_that_failed_does_not_exist(sessions: Sessions) -> None:
    with contextlib.suppress(ZeroDivisionError), sessions() as connection:
        write_alerts(connection, [ALERT])
        raise ZeroDivisionError
    assert deliver_waiting(sessions, [Recorder()]) == 0


def test_what_was_sent_is_marked_and_not_sent_again(sessions: Sessions) -> None:
    put(sessions)
    channel = Recorder()
    assert [deliver_waiting(sessions, [channel]) for _ in range(3)] == [1, 0, 0]
    assert channel.received == ["bank 2026-11-16: 2 exceptions\nEUR: 2 of 12.00 in all\n\nAlert 1"]
    assert attempts(sessions) == [("list", "sent")]


def test_a_source_with_routes_goes_by_them_alone(sessions: Sessions) -> None:
    put(sessions)
    desk, pager = Recorder(), Recorder(name="pager")
    routes = {"bank": ["pager"], "stripe": ["list"]}
    assert [deliver_waiting(sessions, [desk, pager], routes=routes) for _ in range(2)] == [1, 0]
    assert (len(desk.received), len(pager.received)) == (0, 1)
    assert attempts(sessions) == [("pager", "sent")]


def test_a_channel_that_fails_leaves_the_alert_waiting_for_it_alone(sessions: Sessions) -> None:
    put(sessions)
    good, bad = Recorder("good"), Recorder("bad", fails=True)
    assert deliver_waiting(sessions, [good, bad]) == 1
    assert deliver_waiting(sessions, [good, bad]) == 0, "asked again before the time to wait was over"
    bad.fails = False
    assert deliver_waiting(sessions, [good, bad], retry_seconds=0) == 1
    assert (len(good.received), len(bad.received)) == (1, 1)
    assert attempts(sessions) == [("bad", "failed"), ("good", "sent"), ("bad", "sent")]


def test_a_new_channel_is_not_told_old_news(sessions: Sessions) -> None:
    put(sessions)
    deliver_waiting(sessions, [Recorder()])
    late = Recorder("late")
    assert deliver_waiting(sessions, [late]) == 0
    assert late.received == []


def test_a_channel_that_is_down_is_not_asked_for_every_alert(sessions: Sessions) -> None:
    put(sessions, *(replace(ALERT, cause_key=f"refused:bank:{number}") for number in range(10)))
    assert deliver_waiting(sessions, [Recorder(fails=True)]) == 0
    assert attempts(sessions) == [("list", "failed")] * 3


def test_a_crash_between_sending_and_marking_sends_again(sessions: Sessions) -> None:
    put(sessions)
    channel = Recorder(breaks=True)
    with pytest.raises(KeyboardInterrupt):
        deliver_waiting(sessions, [channel])
    channel.breaks = False
    assert deliver_waiting(sessions, [channel]) == 1
    assert len(channel.received) == 2


def test_workers_at_once_send_each_alert_once(sessions: Sessions) -> None:
    put(sessions, *(replace(ALERT, cause_key=f"refused:bank:{number}") for number in range(20)))
    channel = Recorder()
    start = threading.Barrier(4)
    delivered: list[int] = []

    def work() -> None:
        start.wait()
        delivered.append(deliver_waiting(sessions, [channel]))

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sum(delivered) == 20
    assert len(set(channel.received)) == len(channel.received) == 20


def test_two_channels_of_one_name_are_a_mistake(sessions: Sessions) -> None:
    with pytest.raises(ValueError, match="name of its own"):
        deliver_waiting(sessions, [Recorder(), Recorder()])


def test_the_file_has_one_line_for_each_alert(tmp_path: Path) -> None:
    (channel,) = apprise_channels([(tmp_path / "a b" / "alerts.jsonl").as_uri()])
    assert channel.send("title", "two\nlines, 日本")
    assert channel.send("second", "")
    lines = (tmp_path / "a b" / "alerts.jsonl").read_text(encoding="utf-8").split("\n")
    assert [json.loads(line) for line in lines[:-1]] == [
        {"title": "title", "body": "two\nlines, 日本"},
        {"title": "second", "body": ""},
    ]


def test_a_file_that_cannot_be_written_is_a_failed_attempt(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert not FileChannel(tmp_path / "folder").send("title", "body")
    assert not FileChannel(Path("/dev/full")).send("title", "body")


@pytest.mark.filterwarnings("ignore")  # whatever Apprise and its many services warn about is theirs
def test_a_webhook_receives_plain_text() -> None:
    received: list[dict[str, str]] = []

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200 if len(received) == 1 else 500)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Says nothing on the terminal."""

    with HTTPServer(("127.0.0.1", 0), Webhook) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        (channel,) = apprise_channels([f"json://127.0.0.1:{server.server_port}/secret-token"])
        assert channel.name == "json-1"
        assert "secret-token" not in repr(channel)
        assert channel.send("title", "<b>not markup</b>")
        assert not channel.send("title", "refused")
        server.shutdown()
    assert (received[0]["title"], received[0]["message"]) == ("title", "<b>not markup</b>")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "url", ["hunter2", "nosuchservice://hunter2", "file:relative/hunter2", "file://host/hunter2"]
)
def test_a_url_that_is_none_is_named_by_its_place_and_not_repeated(url: str) -> None:
    with pytest.raises(ReconciliationError, match="alert URL 2") as caught:
        apprise_channels(["file:///var/alerts.jsonl", url])
    assert "hunter2" not in str(caught.value)


def test_a_channel_never_shows_its_url() -> None:
    assert "hunter2" not in repr(AppriseChannel(name="json-1", url="json://user:hunter2@host"))
