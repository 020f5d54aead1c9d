"""The ledger's worker: folds new lines into balances, releases holds that are due, numbers the feed. All the time.

Law: nothing waits for it to be right. Without it balances are read over longer tails, holds past their time still read
as released, and whoever reads the feed numbers it first; two at once only share the work. Each chore is a transaction
of its own; one that fails is told of once and tried again, later each time, while the others go on. Posts nothing but
the release of holds that are due.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
import psycopg

from dagster_project.database import connect, reach
from dagster_project.errors import ServerError
from dagster_project.processes import stop_signals
from dagster_project.settings import read_settings
from ledger_core import feed
from ledger_core.errors import LedgerError
from ledger_core.sql import queries, translated_errors

INTERVAL_MS = 250
THOROUGH_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 30.0
_MANY_LINES = 64  # an account is folded often when so many lines wait, and once a minute when any do
_SQL: Final = queries(Path(__file__).with_suffix(".sql"))

Tell = Callable[[str], None]
Chore = Callable[[psycopg.Connection], int]


def fold(connection: psycopg.Connection, *, lines: int = 1) -> int:
    """Take into the sums what waits of accounts with at least so many new lines; returns how many accounts."""
    return _number(connection, "fold", lines)


def expire_holds(connection: psycopg.Connection) -> int:
    """Release the holds that are past their time; returns how many transactions."""
    return _number(connection, "expire_holds")


@contextlib.contextmanager
def poster(url: str) -> Iterator[psycopg.Connection]:
    """A connection under the poster's role for work that never ends: every statement is a transaction of its own."""
    with contextlib.closing(connect(url)) as connection, translated_errors():
        connection.execute(_SQL["enter"])
        yield connection


def work_once(url: str) -> Mapping[str, int]:
    """Every chore once: accounts folded, holds released, the newest position of the feed. Raises what they raise."""
    with poster(url) as connection:
        return {
            "folded": fold(connection),
            "released": expire_holds(connection),
            "newest_position": feed.relay(connection),
        }


def work(url: str, *, stop: threading.Event, tell: Tell, interval_seconds: float) -> None:
    """Work until told to stop, whatever the database does."""
    with contextlib.closing(Worker(url, tell, interval_seconds=interval_seconds)) as worker:
        while not stop.is_set():
            worker.round(time.monotonic())
            stop.wait(interval_seconds)


@dataclass(slots=True)
class _Plan:
    """When a chore is done next, and how often it has failed since it last went well."""

    do: Chore
    every_seconds: float
    due_at: float = float("-inf")
    failures: int = 0


class Worker:
    """The chores on one connection, which is opened when it is needed and again when it was lost."""

    def __init__(self, url: str, tell: Tell, *, interval_seconds: float) -> None:
        self._url, self._tell = url, tell
        self._open = contextlib.ExitStack()
        self._connection: psycopg.Connection | None = None
        self._trouble: dict[str, str] = {}
        self._plans = {
            "fold": _Plan(lambda connection: fold(connection, lines=_MANY_LINES), interval_seconds),
            "fold all": _Plan(fold, THOROUGH_SECONDS),
            "expire holds": _Plan(expire_holds, interval_seconds),
            "relay": _Plan(feed.relay, interval_seconds),
        }

    def round(self, now: float) -> None:
        """Do what is due at an instant of the monotonic clock, in seconds. Never raises what the database does."""
        for name, plan in self._plans.items():
            if plan.due_at > now:
                continue
            try:
                plan.do(self._entered())
            except (LedgerError, ServerError) as error:
                plan.failures += 1
                plan.due_at = now + min(plan.every_seconds * 2**plan.failures, LONGEST_PAUSE_SECONDS)
                self._failed(name, str(error))
            else:
                plan.failures, plan.due_at = 0, now + plan.every_seconds
                self._went_well(name)

    def close(self) -> None:
        """Give the connection back."""
        self._connection = None
        self._open.close()

    def _entered(self) -> psycopg.Connection:
        if self._connection is None or self._connection.closed:
            self.close()
            self._connection = self._open.enter_context(poster(self._url))
        return self._connection

    def _failed(self, name: str, words: str) -> None:
        if words not in self._trouble.values():
            self._tell(f"{name}: {words}; it is tried again.")
        self._trouble[name] = words

    def _went_well(self, name: str) -> None:
        if self._trouble.pop(name, None) and not self._trouble:
            self._tell("All goes well again.")


def _number(connection: psycopg.Connection, query: str, *wanted: object) -> int:
    with translated_errors():
        row = connection.execute(_SQL[query], wanted).fetchone()
    return int(row[0]) if row else 0


def main() -> None:
    """The worker as `tieout up` starts it: settings from the environment, words to the log with their time."""
    settings = read_settings(os.environ, Path.cwd())
    with stop_signals() as stop:
        work(
            settings.database_url or reach(settings).url,
            stop=stop,
            tell=lambda words: click.echo(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {words}"),
            interval_seconds=INTERVAL_MS / 1000,
        )


if __name__ == "__main__":
    main()
