"""The relay to Kafka: the ledger's feed, in its order, to one topic.

Law: at least once. The position is kept in the ledger, and moves on only when the broker has acknowledged every event
up to it (`acks=all`, idempotent producer). A kill in between sends some events again, the same to the byte: the key is
the entry's key, the headers are `position` and `type`, so consumers know what they have. Where a topic has several
partitions, positions are in order within each. The client, confluent-kafka, is the optional extra `kafka`.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from dagster_project.errors import BrokerError, ServerError, SettingsError
from dagster_project.ledger_worker import LONGEST_PAUSE_SECONDS, Tell, poster
from dagster_project.settings import Settings
from ledger_core import feed
from ledger_core.errors import LedgerError

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Producer

EVENT_TYPE = b"JournalEntryPosted"
MESSAGE_TIMEOUT_MS = 30_000
_POLL_SECONDS = 0.5


def client_settings(settings: Settings) -> dict[str, Any]:
    """What the Kafka client is told: the file's lines over our defaults, and over both what the law needs.

    Raises SettingsError without brokers, or where the file is not lines of `name=value`.
    """
    if settings.kafka_servers is None:
        raise SettingsError(
            "TIEOUT_KAFKA_SERVERS: expected the brokers as host:port, commas between, found nothing."
        )
    return {
        "client.id": "tieout",
        "linger.ms": 5,
        "message.timeout.ms": MESSAGE_TIMEOUT_MS,
        "log_level": 2,  # what matters comes back as an error of the delivery
        **(_read_lines(settings.kafka_file) if settings.kafka_file else {}),
        "bootstrap.servers": settings.kafka_servers,
        "enable.idempotence": True,
        "acks": "all",
    }


def open_producer(client: dict[str, Any]) -> Producer:
    """A producer. Raises SettingsError where the client is not installed, or does not know a setting."""
    try:
        from confluent_kafka import KafkaException, Producer  # noqa: PLC0415 - an optional extra
    except ImportError:
        raise SettingsError(
            "Kafka: expected the client confluent-kafka, found none; install it with: pip install 'tieout[kafka]'"
        ) from None
    try:
        return Producer(client)
    except KafkaException as error:
        raise SettingsError(f"Kafka: expected settings of the client, found: {error.args[0].str()}") from None


def consumer_name(topic: str) -> str:
    """Under which name the ledger keeps the position of a topic."""
    return f"kafka:{topic}"


def publish(
    connection: psycopg.Connection[Any],
    producer: Producer,
    topic: str,
    *,
    stop: threading.Event,
    limit: int = 1000,
) -> int:
    """Send what comes after the acknowledged position, at most `limit` events; returns how many the broker has.

    `connection` is in autocommit under the poster's role: nothing is held open while the broker is waited for.
    Raises BrokerError when it did not take all; what it took before the first failure is acknowledged all the same.
    """
    consumer = consumer_name(topic)
    feed.relay(connection)
    after = feed.acknowledged(connection, consumer)
    events = feed.read(connection, after, limit)
    sending = _Sending(producer, topic)
    sending.send(events, stop)
    taken = 0
    while taken < len(events) and sending.outcomes.get(events[taken].position, False) is None:
        taken += 1
    if taken:
        feed.acknowledge(connection, consumer, after + taken)
    if taken < len(events) and not stop.is_set():
        found = sending.outcomes.get(events[taken].position)
        raise BrokerError(
            f"topic {topic}, position {after + taken + 1}: expected the broker to take the event, found: "
            f"{found.str() if found else 'no answer'}"
        )
    return taken


def publish_all(url: str, client: dict[str, Any], topic: str, *, stop: threading.Event) -> int:
    """Send everything there is now; returns how many events. Raises what `publish` and `open_producer` raise."""
    sent = 0
    producer = open_producer(client)
    with poster(url) as connection:
        while taken := publish(connection, producer, topic, stop=stop):
            sent += taken
    return sent


def keep_publishing(
    url: str,
    client: dict[str, Any],
    topic: str,
    *,
    stop: threading.Event,
    tell: Tell,
    interval_seconds: float,
) -> None:
    """Send until told to stop, whatever brokers and database do: a failure is told once, and tried again ever later."""
    trouble, pause_seconds = "", interval_seconds
    while not stop.is_set():
        try:
            producer = open_producer(client)  # a new one after each failure: some leave the old one unfit
            with poster(url) as connection:
                while not stop.is_set():
                    taken = publish(connection, producer, topic, stop=stop)
                    if trouble:
                        tell("All goes well again.")
                    trouble, pause_seconds = "", interval_seconds
                    if not taken:
                        stop.wait(interval_seconds)
        except (BrokerError, LedgerError, ServerError) as error:
            if str(error) != trouble:
                tell(f"{error}; it is tried again.")
            trouble, pause_seconds = str(error), min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)
            stop.wait(pause_seconds)


class _Sending:
    """One batch on its way. `outcomes`: by position None for what the broker has, else why not."""

    def __init__(self, producer: Producer, topic: str) -> None:
        self._producer, self._topic = producer, topic
        self.outcomes: dict[int, KafkaError | None] = {}

    def send(self, events: Sequence[feed.Event], stop: threading.Event) -> None:
        """Return when every event has its outcome, one could not even be handed over, or we are told to stop."""
        from confluent_kafka import KafkaException  # noqa: PLC0415 - an optional extra

        for event in events:
            try:
                self._hand_over(event, stop)
            except KafkaException as refusal:
                self.outcomes[event.position] = refusal.args[0]
                break
        while self._producer.flush(_POLL_SECONDS) and not stop.is_set():
            pass

    def _hand_over(self, event: feed.Event, stop: threading.Event) -> None:
        def came_back(error: KafkaError | None, _message: object) -> None:
            self.outcomes[event.position] = error

        while not stop.is_set():
            try:
                self._producer.produce(
                    self._topic,
                    key=event.entry_key.encode(),
                    value=event.text.encode(),
                    headers=[("position", str(event.position).encode()), ("type", EVENT_TYPE)],
                    on_delivery=came_back,
                )
            except BufferError:
                self._producer.poll(_POLL_SECONDS)
            else:
                return


def _read_lines(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: expected a readable UTF-8 text, found: {error}") from None
    found = {}
    for number, line in enumerate(lines, start=1):
        name, separator, value = line.partition("=")
        if not line.strip() or line.startswith("#"):
            continue
        if not separator or not name.strip():
            raise SettingsError(
                f"{path}, line {number}: expected name=value, found no such line"
            )  # it may be secret
        found[name.strip()] = value.strip()
    return found
