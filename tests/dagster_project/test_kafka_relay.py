"""The relay to Kafka, against a broker that speaks the real protocol: librdkafka's mock cluster, and a consumer."""

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import confluent_kafka
import psycopg
import pytest
from click.testing import CliRunner

from dagster_project.cli.ledger_feed import feed as feed_command
from dagster_project.cli.ledger_feed import publish as publish_command
from dagster_project.cli.ledger_feed import work as work_command
from dagster_project.cli.output import Context
from dagster_project.errors import BrokerError, SettingsError
from dagster_project.kafka_relay import (
    client_settings,
    consumer_name,
    keep_publishing,
    open_producer,
    publish,
    publish_all,
)
from dagster_project.ledger_worker import poster
from dagster_project.settings import read_settings
from ledger_core import feed
from ledger_core.posting import EntryLine, EntryRequest, post
from tests.dagster_project.test_ledger_worker import sell, wait_for
from tests.ledger_core.books import BANK, NOON, SALES

REPOSITORY = Path(__file__).resolve().parents[2]
TOPIC = "journal"
WAITING = (
    "SELECT l.pid FROM pg_locks AS l WHERE l.relation = 'ledger.feed_consumer'::regclass AND NOT l.granted"
)
Message = tuple[int, str, str, bytes]  # position, type, key, value


class Cluster:
    """Three brokers inside this process, on ports of the loopback address, for as long as it is open."""

    def __init__(self) -> None:
        self._home = confluent_kafka.Producer({"bootstrap.servers": "ignored", "test.mock.num.brokers": 3})
        self.servers = ",".join(
            f"{b.host}:{b.port}" for b in self._home.list_topics(timeout=30).brokers.values()
        )

    def messages(self, count: int, topic: str = TOPIC) -> list[Message]:
        """The first `count` messages of a topic, read by a consumer of its own, partition by partition in order."""
        settings = {"bootstrap.servers": self.servers, "group.id": "reader", "auto.offset.reset": "earliest"}
        found: list[Message] = []
        with contextlib.closing(
            confluent_kafka.Consumer({**settings, "enable.auto.commit": False})
        ) as consumer:
            partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
            begin = confluent_kafka.OFFSET_BEGINNING
            consumer.assign([confluent_kafka.TopicPartition(topic, number, begin) for number in partitions])
            deadline = time.monotonic() + 60
            while len(found) < count:
                assert time.monotonic() < deadline, f"{len(found)} of {count} messages came"
                message = consumer.poll(0.5)
                if message is not None and message.error() is None:
                    headers = dict(message.headers() or [])
                    found.append(
                        (
                            int(headers["position"] or b""),
                            (headers["type"] or b"").decode(),
                            (message.key() or b"").decode(),
                            message.value() or b"",
                        )
                    )
            assert consumer.poll(0.2) is None  # and no more
        return found

    def close(self) -> None:
        """The brokers go away."""
        del self._home


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def client(cluster: Cluster, tmp_path: Path) -> dict[str, Any]:
    return client_settings(read_settings({"TIEOUT_KAFKA_SERVERS": cluster.servers}, tmp_path))


@pytest.fixture
def posting(database_url: str) -> Iterator[psycopg.Connection]:
    with poster(database_url) as connection:
        yield connection


def as_sent(connection: psycopg.Connection) -> list[Message]:
    """The feed as it should arrive."""
    events = feed.read(connection, 0, feed.newest(connection))
    return [(e.position, "JournalEntryPosted", e.entry_key, e.text.encode()) for e in events]


def test_every_event_arrives_with_its_key_its_position_and_its_bytes_and_only_once_when_nothing_fails(
    books: psycopg.Connection, database_url: str, cluster: Cluster, client: dict[str, Any]
) -> None:
    sell(books, *(f"sale {number} ünder" for number in range(2500)))
    assert publish_all(database_url, client, TOPIC, stop=threading.Event()) == 2500
    assert publish_all(database_url, client, TOPIC, stop=threading.Event()) == 0
    arrived = cluster.messages(2500)
    assert sorted(arrived) == as_sent(books)
    assert json.loads(arrived[0][3])["entry_key"] == arrived[0][2]
    assert feed.acknowledged(books, consumer_name(TOPIC)) == 2500


def test_another_topic_has_a_position_of_its_own_and_one_can_go_back_on_purpose(
    books: psycopg.Connection,
    posting: psycopg.Connection,
    database_url: str,
    cluster: Cluster,
    client: dict[str, Any],
) -> None:
    sell(books, "a", "b", "c")
    stop = threading.Event()
    assert [publish_all(database_url, client, topic, stop=stop) for topic in (TOPIC, "other")] == [3, 3]
    feed.acknowledge(posting, consumer_name(TOPIC), 1, rewind=True)
    assert publish_all(database_url, client, TOPIC, stop=stop) == 2
    assert sorted(position for position, *_ in cluster.messages(5)) == [1, 2, 2, 3, 3]
    assert sorted(cluster.messages(3, "other")) == as_sent(books)


def test_a_kill_between_the_broker_and_the_acknowledgement_sends_again_and_loses_nothing(
    books: psycopg.Connection, database_url: str, cluster: Cluster, client: dict[str, Any]
) -> None:
    sell(books, "a", "b", "c")
    feed.relay(books)
    code = (
        "import sys, json, threading; from dagster_project.kafka_relay import publish_all; "
        "publish_all(sys.argv[1], json.loads(sys.argv[2]), sys.argv[3], stop=threading.Event())"
    )
    command = [sys.executable, "-c", code, database_url, json.dumps(client), TOPIC]
    with psycopg.connect(database_url) as blocker:
        blocker.execute("LOCK TABLE ledger.feed_consumer IN EXCLUSIVE MODE")  # nobody's position can move now
        with subprocess.Popen(command, cwd=REPOSITORY) as process:
            try:
                wait_for(lambda: waiting(books))
                first = cluster.messages(3)
            finally:
                process.kill()
        # What it had asked the server for goes with it, as when the machine of the relay is gone.
        for (process_id,) in books.execute(WAITING).fetchall():
            books.execute("SELECT pg_terminate_backend(%s)", (process_id,))
        wait_for(lambda: not waiting(books))
    assert process.returncode == -9
    assert feed.acknowledged(books, consumer_name(TOPIC)) == 0
    sell(books, "d")
    assert publish_all(database_url, client, TOPIC, stop=threading.Event()) == 4
    arrived = cluster.messages(7)
    assert sorted(arrived) == sorted(first + as_sent(books))
    assert {position: rest for position, *rest in arrived} == {
        position: rest for position, *rest in as_sent(books)
    }


def waiting(connection: psycopg.Connection) -> bool:
    """Whether somebody waits to acknowledge."""
    return bool(connection.execute(WAITING).fetchall())


def test_a_broker_that_is_gone_does_not_move_the_position_and_is_told_of_once(
    books: psycopg.Connection, posting: psycopg.Connection, database_url: str, client: dict[str, Any]
) -> None:
    sell(books, "a")
    gone = {**client, "bootstrap.servers": "127.0.0.1:1", "message.timeout.ms": 300}
    with pytest.raises(
        BrokerError, match="topic journal, position 1: expected the broker to take the event, found: "
    ):
        publish(posting, open_producer(gone), TOPIC, stop=threading.Event())
    assert feed.acknowledged(posting, consumer_name(TOPIC)) == 0

    stop, told = threading.Event(), list[str]()
    arguments = {"stop": stop, "tell": told.append, "interval_seconds": 0.01}
    thread = threading.Thread(target=keep_publishing, args=(database_url, gone, TOPIC), kwargs=arguments)
    thread.start()
    wait_for(lambda: bool(told))
    gone["bootstrap.servers"] = client["bootstrap.servers"]  # it is back; a new producer finds it
    wait_for(lambda: len(told) == 2)
    stop.set()
    thread.join(timeout=60)
    assert not thread.is_alive()
    assert told[0].endswith("it is tried again.")
    assert told[1:] == ["All goes well again."]
    assert feed.acknowledged(posting, consumer_name(TOPIC)) == 1


def test_what_comes_before_an_event_the_broker_refuses_is_acknowledged_and_nothing_after_it(
    books: psycopg.Connection,
    posting: psycopg.Connection,
    database_url: str,
    cluster: Cluster,
    client: dict[str, Any],
) -> None:
    sell(books, "a", "b")
    long = {"description": "x" * 1000}
    lines = [
        EntryLine(account=BANK, amount_minor=1, asset="EUR", detail=long),
        EntryLine(account=SALES, amount_minor=-1, asset="EUR"),
    ]
    post(books, [EntryRequest(entry_key="c", effective_at=NOON, lines=lines)])
    sell(books, "d")
    small = {**client, "message.max.bytes": 1000}
    with pytest.raises(BrokerError, match=r"position 3: .*Message size too large"):
        publish(posting, open_producer(small), TOPIC, stop=threading.Event())
    assert feed.acknowledged(posting, consumer_name(TOPIC)) == 2
    assert publish(posting, open_producer(client), TOPIC, stop=threading.Event()) == 2
    assert sorted(cluster.messages(4)) == as_sent(books)


def test_settings_of_the_client_come_from_a_file_but_never_weaken_the_promise(tmp_path: Path) -> None:
    (tmp_path / "client").write_text("# ours\n\nsasl.password = a=secret \nacks=0\nlinger.ms=50\n")
    given = {"TIEOUT_KAFKA_SERVERS": "one:9092,two:9092", "TIEOUT_KAFKA_FILE": "client"}
    found = client_settings(read_settings(given, tmp_path))
    assert (found["sasl.password"], found["acks"], found["enable.idempotence"], found["linger.ms"]) == (
        "a=secret", "all", True, "50",
    )  # fmt: skip
    (tmp_path / "client").write_text("secret\n")
    with pytest.raises(SettingsError, match="client, line 1: expected name=value") as refusal:
        client_settings(read_settings(given, tmp_path))
    assert "secret" not in str(refusal.value)
    with pytest.raises(SettingsError, match="TIEOUT_KAFKA_SERVERS: expected the brokers"):
        client_settings(read_settings({}, tmp_path))
    with pytest.raises(SettingsError, match=r'No such configuration property: "no\.such"'):
        open_producer({"no.such": 1})


def test_without_the_client_a_sentence_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    with pytest.raises(SettingsError, match=r"install it with: pip install 'tieout\[kafka\]'"):
        open_producer({})


@pytest.fixture
def run(books: psycopg.Connection, database_url: str, cluster: Cluster, tmp_path: Path) -> Callable[..., str]:
    """Runs a command of the group on a project of its own; its output."""
    given = {
        "TIEOUT_HOME": str(tmp_path),
        "TIEOUT_DATABASE_URL": database_url,
        "TIEOUT_KAFKA_SERVERS": cluster.servers,
    }
    (tmp_path / "sources.yaml").write_text((REPOSITORY / "dagster_project" / "demo_sources.yaml").read_text())

    def command(command: Any, *arguments: str) -> str:
        done = CliRunner().invoke(command, arguments, obj=Context(read_settings(given, tmp_path)))
        assert done.exit_code == 0, done.output
        return done.output

    return command


def test_the_commands_work_read_and_publish(
    books: psycopg.Connection, run: Callable[..., str], cluster: Cluster
) -> None:
    sell(books, "a", "b")
    assert (
        run(work_command, "--once") == "2 account(s) folded, 0 transaction(s) released, feed at position 2.\n"
    )
    assert json.loads(run(work_command, "--once", "--json")) == {
        "folded": 0,
        "released": 0,
        "newest_position": 2,
    }
    sell(books, "c")
    assert run(feed_command, "--after", "2").splitlines()[1].split()[:2] == ["3", "c"]
    (event,) = json.loads(run(feed_command, "--after", "1", "--limit", "1", "--json"))
    assert (event["position"], event["entry_key"], len(event["lines"])) == (2, "b", 2)
    assert run(feed_command, "--after", "9") == "Nothing there yet.\n"
    assert run(publish_command, "--once", "--topic", TOPIC) == "3 event(s) sent to journal.\n"
    assert json.loads(run(publish_command, "--once", "--topic", TOPIC, "--from", "1", "--json")) == {
        "topic": TOPIC,
        "sent": 2,
    }
    assert sorted(position for position, *_ in cluster.messages(5)) == [1, 2, 2, 3, 3]
