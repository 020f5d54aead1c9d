"""Many threads at once, for tests of what only goes wrong then."""

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import psycopg

from ledger_core.posting import EntryLine, EntryRequest
from tests.ledger_core.books import NOON, YEN

PATIENCE_SECONDS = 60
Answer = TypeVar("Answer")


def request(
    key: str,
    *rows: tuple[Any, ...],
    at: datetime = NOON,
    group: int | None = None,
    corrects: str | None = None,
) -> EntryRequest:
    """Rows of (account, amount_minor) or (account, amount_minor, layer), in the asset of the account of `books`."""
    sent = [
        EntryLine(
            account=row[0],
            amount_minor=row[1],
            asset="JPY" if row[0] == YEN else "EUR",
            layer=(*row, "posted")[2],
        )
        for row in rows
    ]
    return EntryRequest(entry_key=key, effective_at=at, lines=sent, group=group, corrects=corrects)


def together(count: int, work: Callable[[int], Answer]) -> list[Answer | Exception]:
    """What `work` gave or raised in each of `count` threads that start at once."""
    gate = threading.Barrier(count)
    answers: list[Any] = [None] * count

    def run(number: int) -> None:
        gate.wait()
        try:
            answers[number] = work(number)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            answers[number] = error

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert not any(thread.is_alive() for thread in threads), "some threads never came back"
    return answers


def until(condition: Callable[[], object]) -> None:
    """Returns when the condition holds; fails when it never does."""
    pause = threading.Event()
    for _ in range(PATIENCE_SECONDS * 200):
        if condition():
            return
        pause.wait(0.005)
    raise AssertionError("what was waited for never happened")


def waiting_for_locks(connection: psycopg.Connection[Any]) -> int:
    """How many sessions of this database wait for a lock at this moment."""
    row = connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    ).fetchone()
    return int(row[0]) if row else 0
