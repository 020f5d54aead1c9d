"""How fast the ledger answers: balances of an account with a long history, and every law checked while others post.

The account has as many lines as the day has outside lines, times fifty: a million by default, over a hundred days, some
backdated after the rest was folded, and a tail that was not folded yet.
"""

import contextlib
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from statistics import median

import psycopg

from dagster_project.bench.figures import Figure, at_least, within
from dagster_project.bench.ledger_load import SQL, p99, posting_session
from dagster_project.bench.measure import ROUNDS, timed
from dagster_project.database import Database, connect
from dagster_project.errors import ServerError
from ledger_core import verify

LINES_PER_LINE = 50
CALLS = 500
TAIL_LINES = 300
CHUNK_ENTRIES = 100_000
FIRST_DAY = datetime(2026, 8, 1, tzinfo=UTC)
DAYS = 100


def measure_reading(server: Database, lines: int) -> list[Figure]:
    """The promises about balances and verification; builds the long history first."""
    entries = lines * LINES_PER_LINE
    _write_history(server, entries)
    calls = max(50, min(CALLS, lines // 10))
    return [*_balances(server, entries, calls), _verification(server)]


def _write_history(server: Database, entries: int) -> None:
    """Most of it folded, a hundredth of it backdated and folded after that, the tail not folded."""
    backdated, tail = entries // 100, min(TAIL_LINES, entries // 10)
    ends = sorted(
        {*range(CHUNK_ENTRIES, entries - backdated - tail, CHUNK_ENTRIES), entries - backdated - tail}
    )
    with contextlib.closing(connect(server.url)) as connection:
        connection.execute("SET ROLE tieout_owner")
        first = 1
        for last in (*ends, entries - tail, entries):
            if last == entries:
                connection.execute(SQL["fold"], {"lines": 1})
            connection.execute(SQL["post_history"], {"first": first, "last": last})
            if last == ends[-1]:
                connection.execute(SQL["fold"], {"lines": 1})
            first = last + 1
        connection.execute(SQL["relay"])
        connection.execute(SQL["analyze"])


def _balances(server: Database, entries: int, calls: int) -> list[Figure]:
    """99 of 100 calls are faster; one connection, prepared statements, an instant of its own for every call."""
    cases = {"balance now": SQL["balance_now"], "balance at an instant": SQL["balance_at"]}
    taken: dict[str, list[float]] = {name: [] for name in cases}
    with posting_session(server) as connection:
        connection.prepare_threshold = 0
        for number in range(ROUNDS + 1):
            for name, query in cases.items():
                microseconds = []
                for call in range(calls):
                    seconds = (call * calls + number) * 7919 % (DAYS * 86_400)
                    instant = {"instant": FIRST_DAY + timedelta(seconds=seconds)}
                    started = time.perf_counter_ns()
                    connection.execute(query, instant).fetchone()
                    microseconds.append((time.perf_counter_ns() - started) // 1000)
                taken[name].append(p99(microseconds) / 1000)
    return [
        within(
            area="ledger",
            name=f"{name}, account of {entries:,} lines, p99",
            unit="ms",
            measured=median(rounds[1:]),  # the first warms up
            limit=1.0,
        )
        for name, rounds in taken.items()
    ]


def _verification(server: Database) -> Figure:
    """Every check over the whole ledger while a client posts, in entries per second."""
    rates = []
    for number in range(ROUNDS):
        with _posting_beside(server, number), contextlib.closing(connect(server.url)) as connection:
            row = connection.execute(SQL["count_entries"]).fetchone()
            cost = timed(partial(_verify_all, connection))
            rates.append((row[0] if row else 0) / cost.wall_seconds)
    return at_least(
        area="ledger",
        name="verify while posting goes on",
        unit="entries/s",
        measured=median(rates),
        limit=500_000.0,
    )


def _verify_all(connection: psycopg.Connection) -> None:
    bad = [check for check in verify.verify(connection) if check.outcome is not verify.CheckOutcome.OK]
    if bad:
        raise ServerError(f"bench: expected every check of the ledger to be ok, found {bad[0]}")


@contextlib.contextmanager
def _posting_beside(server: Database, number: int) -> Iterator[None]:
    """One client posts entry after entry until the block ends.

    Raises:
        ServerError: it could not post.
    """
    over = threading.Event()
    posted: list[bool] = []

    def post() -> None:
        with posting_session(server) as connection:
            turn = 0
            while not over.is_set():
                sent = {
                    "entry_key": [f"v{number}-{turn}"] * 2,
                    "effective_at": [FIRST_DAY] * 2,
                    "account": ["wallet:0", "wallet:1"],
                    "amount_minor": [5, -5],
                    "asset": ["EUR", "EUR"],
                }
                posted.append(connection.execute(SQL["post_batch"], sent, binary=True).fetchone() == (1,))
                turn += 1

    thread = threading.Thread(target=post, name="bench-writer")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if not posted or not all(posted):
        raise ServerError(
            "bench: expected somebody to post while the ledger was verified, found nothing posted"
        )
