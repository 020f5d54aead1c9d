"""The worker keeps projections fresh, shares its work with another, and outlives the database's troubles."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from dagster_project.ledger_worker import LONGEST_PAUSE_SECONDS, Worker, work, work_once
from ledger_core import feed
from ledger_core.posting import EntryLine, EntryRequest, post
from tests.ledger_core.books import BANK, NOON, SALES, WALLET

REPOSITORY = Path(__file__).resolve().parents[2]
WRONG_SUMS = """
SELECT a.account, b.posted, s.total
FROM ledger.account_v1 AS a
CROSS JOIN LATERAL ledger.balances(a.account) AS b
CROSS JOIN LATERAL (
  SELECT coalesce(sum(l.amount_minor), 0) AS total FROM ledger.journal_line_v1 AS l
  WHERE l.account = a.account AND l.layer = 'posted') AS s
WHERE b.posted <> s.total
"""


@pytest.fixture
def worker(database_url: str, told: list[str]) -> Iterator[Worker]:
    with contextlib.closing(Worker(database_url, told.append, interval_seconds=1)) as opened:
        yield opened


@pytest.fixture
def told() -> list[str]:
    return []


def sell(
    connection: psycopg.Connection, *keys: str, account: str = SALES, amount_minor: int = 100
) -> list[str]:
    """One entry for each key: into the bank, from the account."""
    requests = [
        EntryRequest(
            entry_key=key,
            effective_at=NOON,
            lines=[
                EntryLine(account=BANK, amount_minor=amount_minor, asset="EUR"),
                EntryLine(account=account, amount_minor=-amount_minor, asset="EUR"),
            ],
        )
        for key in keys
    ]
    return [result.outcome for result in post(connection, requests)]


def folded_minor(connection: psycopg.Connection, account: str = BANK) -> int:
    """What the sums alone say, without the tail."""
    row = connection.execute(
        "SELECT coalesce(sum(b.posted), 0) FROM ledger.balance AS b "
        "JOIN ledger.account AS a ON a.account_id = b.account_id WHERE a.code = %s",
        (account,),
    ).fetchone()
    assert row is not None
    return int(row[0])


def wait_for(happened: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"not within {seconds} seconds"
        time.sleep(0.05)


def test_an_account_is_folded_at_once_when_much_waits_and_the_feed_is_numbered(
    books: psycopg.Connection, worker: Worker, told: list[str]
) -> None:
    worker.round(0)
    sell(books, *(f"few {number}" for number in range(3)))
    worker.round(1)
    assert (folded_minor(books), feed.newest(books)) == (0, 3)
    sell(books, *(f"many {number}" for number in range(70)))
    worker.round(1.5)  # not due yet
    assert (folded_minor(books), feed.newest(books)) == (0, 3)
    worker.round(2)
    assert (folded_minor(books), feed.newest(books)) == (7300, 73)
    assert told == []


def test_after_a_minute_the_rest_is_folded_too(books: psycopg.Connection, worker: Worker) -> None:
    worker.round(0)
    sell(books, "one")
    worker.round(1)
    sell(books, "two")
    worker.round(60)
    assert folded_minor(books) == 200


def test_once_does_all_there_is_and_says_how_much(books: psycopg.Connection, database_url: str) -> None:
    sell(books, "one", "two")
    assert work_once(database_url) == {"folded": 2, "released": 0, "newest_position": 2}
    assert work_once(database_url) == {"folded": 0, "released": 0, "newest_position": 2}
    assert folded_minor(books) == 200


def test_a_hold_past_its_time_is_released(books: psycopg.Connection, database_url: str) -> None:
    sell(books, "fund", account=WALLET, amount_minor=50)
    move = "SELECT ledger.move_transaction('t', %s, %s, 'ada', now(), %s, %s, %s, p_kind => %s, p_expires_at => %s)"
    books.execute(move, ("t:1", "initiated", None, None, None, "payment", None))
    held = ([WALLET, SALES], [20, -20], ["EUR", "EUR"], None, datetime.now(UTC) + timedelta(milliseconds=20))
    books.execute(move, ("t:2", "held", *held))
    books.execute("SELECT pg_sleep(0.03)")
    assert work_once(database_url)["released"] == 1
    states = books.execute(
        "SELECT state, reason FROM ledger.transaction_event_v1 ORDER BY event_no"
    ).fetchall()
    assert states[-1] == ("released", "expired")


def test_a_lost_connection_is_told_once_and_opened_again(
    books: psycopg.Connection, worker: Worker, told: list[str]
) -> None:
    worker.round(0)
    books.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tieout'")
    sell(books, "meanwhile")
    worker.round(10)
    worker.round(20)
    assert feed.newest(books) == 1
    assert len(told) == 2
    assert told[0].startswith("fold: database: ")
    assert told[1] == "All goes well again."


def test_a_chore_that_keeps_failing_is_told_once_and_tried_ever_later_while_the_others_go_on(
    books: psycopg.Connection, worker: Worker, told: list[str]
) -> None:
    books.execute("REVOKE EXECUTE ON FUNCTION ledger.relay() FROM tieout_poster")
    for now in range(100):
        worker.round(now)
    assert len(told) == 1
    assert told[0].startswith("relay: database: refused")
    sell(books, *(f"many {number}" for number in range(70)))
    worker.round(100)
    assert folded_minor(books) == 7000
    books.execute("GRANT EXECUTE ON FUNCTION ledger.relay() TO tieout_poster")
    worker.round(100 + LONGEST_PAUSE_SECONDS)
    assert told[1:] == ["All goes well again."]
    assert feed.newest(books) == 70


def test_two_workers_beside_writers_leave_every_balance_right(
    books: psycopg.Connection, database_url: str
) -> None:
    sell(books, "fund", account=WALLET, amount_minor=3000)
    stop, told = threading.Event(), list[str]()

    def write(number: int) -> None:
        with contextlib.closing(psycopg.connect(database_url)) as connection:
            for step in range(60):
                sell(connection, f"{number}-{step}")
                sell(connection, f"{number}-{step}-out", account=WALLET, amount_minor=-17)
                if step % 7 == 3:
                    connection.rollback()
                else:
                    connection.commit()

    def check() -> list[object]:
        wrong: list[object] = []
        with contextlib.closing(psycopg.connect(database_url, autocommit=True)) as connection:
            while not stop.is_set():
                wrong += connection.execute(WRONG_SUMS).fetchall()
        return wrong

    with ThreadPoolExecutor() as pool:
        workers = [
            pool.submit(work, database_url, stop=stop, tell=told.append, interval_seconds=0.005)
            for _ in range(2)
        ]
        checking = pool.submit(check)
        try:
            list(pool.map(write, range(4)))
        finally:
            stop.set()
        assert [future.result() for future in workers] == [None, None]
        assert checking.result() == []
    assert told == []
    work_once(database_url)
    assert books.execute(WRONG_SUMS).fetchall() == []
    posted = books.execute("SELECT count(DISTINCT entry_key) FROM ledger.journal_line_v1").fetchone()
    assert posted == (feed.newest(books),)


def test_the_process_of_up_works_until_it_is_asked_to_stop(
    books: psycopg.Connection, database_url: str, tmp_path: Path
) -> None:
    environment = {**os.environ, "TIEOUT_DATABASE_URL": database_url, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-P", "-m", "dagster_project.ledger_worker"]
    with subprocess.Popen(
        command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            sell(books, "one")
            wait_for(lambda: feed.newest(books) == 1)
            books.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tieout'"
            )
            sell(books, "two")
            wait_for(lambda: feed.newest(books) == 2)
            process.send_signal(signal.SIGTERM)
            said, _ = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 0
    assert "Traceback" not in said
