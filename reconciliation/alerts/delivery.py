"""Delivers waiting alerts: at least once, and marked.

Law: an alert is marked as sent only after a channel took it, so a crash between the two sends it again and never loses
it. Two workers at once do not send the same alert: one holds its lock. A channel that fails leaves its alerts waiting.
The clock is the database's.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Any, Final

import psycopg

from ledger_core.sql import lock
from reconciliation.alerts.channels import Channel
from reconciliation.alerts.outbox import SQL

ALERTS_MAX: Final = 100  # per call: the rest waits for the next one
FAILURES_MAX: Final = 3  # in one call: a channel that is down is not asked a hundred times
RETRY_SECONDS: Final = 30

Connection = psycopg.Connection[Any]


def deliver_waiting(
    sessions: Callable[[], AbstractContextManager[Connection]],
    channels: Sequence[Channel],
    *,
    routes: Mapping[str, Sequence[str]] = MappingProxyType({}),
    alerts_max: int = ALERTS_MAX,
    retry_seconds: int = RETRY_SECONDS,
) -> int:
    """Hand waiting alerts to the channels; how many alerts at least one channel took.

    ``sessions`` opens a connection in a transaction of its own, committed at its end, under a role that may read
    ``recon.alert`` and write ``recon.alert_attempt``; one for each alert, so that what was sent is marked at once.
    ``routes`` names the channels of a source that is not told by all of them. ``retry_seconds`` is the wait after a
    first failure; it doubles with each further one, up to an hour.
    """
    by_name = {channel.name: channel for channel in channels}
    if len(by_name) != len(channels):
        raise ValueError("channels: expected a name of its own for each, found one twice")
    with sessions() as connection:
        waiting = [
            alert_id for alert_id, _ in _waiting(connection, by_name, routes, alerts_max, retry_seconds)
        ]
    failures: Counter[str] = Counter()
    delivered = 0
    for alert_id in waiting:
        open_channels = {name: channel for name, channel in by_name.items() if failures[name] < FAILURES_MAX}
        if not open_channels:
            break
        with sessions() as connection:
            sent = _deliver(
                connection,
                alert_id,
                channels=open_channels,
                routes=routes,
                failures=failures,
                retry_seconds=retry_seconds,
            )
        delivered += bool(sent)
    return delivered


def _deliver(
    connection: Connection,
    alert_id: int,
    *,
    channels: dict[str, Channel],
    routes: Mapping[str, Sequence[str]],
    failures: Counter[str],
    retry_seconds: int,
) -> int:
    if not lock(connection, f"alert:{alert_id}", wait=False):
        return 0  # another worker has it in hand
    still_waiting = _waiting(connection, channels, routes, 1, retry_seconds, alert_id=alert_id)
    row = connection.execute(SQL["read_alert"], {"alert_id": alert_id}).fetchone()
    if not still_waiting or row is None:
        return 0  # another worker was here since
    title, body = row
    sent = 0
    for name in still_waiting[0][1]:
        taken = channels[name].send(title, f"{body}\n\nAlert {alert_id}")
        connection.execute(
            SQL["mark"], {"alert_id": alert_id, "channel": name, "outcome": "sent" if taken else "failed"}
        )
        failures[name] = 0 if taken else failures[name] + 1
        sent += taken
    return sent


def _waiting(
    connection: Connection,
    channels: dict[str, Channel],
    routes: Mapping[str, Sequence[str]],
    alerts_max: int,
    retry_seconds: int,
    *,
    alert_id: int | None = None,
) -> list[tuple[int, list[str]]]:
    wanted = {
        "channels": sorted(channels),
        "routes": json.dumps({source_id: list(names) for source_id, names in routes.items()}),
        "retry_seconds": retry_seconds,
        "alert_id": alert_id,
        "alerts_max": alerts_max,
    }
    return connection.execute(SQL["waiting"], wanted).fetchall()
