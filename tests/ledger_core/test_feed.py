"""The feed keeps its promises: every posted entry once, dense, in one order for ever, late commits included."""

import contextlib
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from ledger_core.errors import RequestError
from ledger_core.feed import acknowledge, acknowledged, newest, read, relay
from ledger_core.posting import EntryLine, EntryRequest, post, post_lines
from ledger_core.reversal import reverse
from ledger_core.sql import translated_errors
from tests.ledger_core.books import BANK, NOON, SALES, WALLET, open_chart, sale

Open = Callable[[], psycopg.Connection[Any]]


@pytest.fixture
def connect(database_url: str) -> Iterator[Open]:
    """Opens connections to a database of the test's own that holds the chart."""
    with contextlib.ExitStack() as opened:

        def open_one() -> psycopg.Connection[Any]:
            return opened.enter_context(contextlib.closing(psycopg.connect(database_url)))

        first = open_one()
        open_chart(first)
        first.commit()
        yield open_one


def test_what_is_posted_is_in_the_feed_with_all_that_was_said_of_it(book: psycopg.Connection[Any]) -> None:
    said = {
        "kind": "fee",
        "fx_rate": "1.250000000000000001",
        "metadata": {"rail": "sepa", "none": None, "deep": {"a": None}},
    }
    post(
        book,
        [
            EntryRequest(
                entry_key="one",
                effective_at=NOON,
                lines=[
                    EntryLine(account=BANK, amount_minor=100, asset="EUR", detail=said),
                    EntryLine(account=SALES, amount_minor=-100, asset="EUR"),
                ],
            )
        ],
    )
    reverse(book, "one", reason="typo", authoriser="Ada", effective_at=NOON)
    as_committed(book)
    first, second = read(book, 0)
    assert (first.position, first.entry_key, second.position) == (1, "one", 2)
    body = first.body
    assert (body["type"], body["version"], body["position"], body["entry_key"]) == (
        "JournalEntryPosted",
        1,
        1,
        "one",
    )
    assert (body["effective_at"], "recorded_at" in body, "reverses" in body) == (
        "2026-01-15T12:00:00+00:00",
        True,
        False,
    )
    assert body["lines"] == [
        {
            "line_no": 1,
            "account": BANK,
            "asset": "EUR",
            "entity": "main",
            "layer": "posted",
            "amount_minor": 100,
        }
        | {**said, "fx_rate": Decimal("1.250000000000000001")},
        {
            "line_no": 2,
            "account": SALES,
            "asset": "EUR",
            "entity": "main",
            "layer": "posted",
            "amount_minor": -100,
        },
    ]
    assert (second.body["reverses"], second.body["reason"], second.body["authoriser"]) == (
        "one",
        "typo",
        "Ada",
    )


def as_committed(book: psycopg.Connection[Any]) -> None:
    """Numbers this transaction's entries, which the relay itself would refuse, so that it can be rolled back."""
    book.execute(
        "INSERT INTO ledger.feed SELECT row_number() OVER (ORDER BY entry_id), entry_id FROM ledger.journal_entry"
    )


def test_a_refused_request_is_not_in_the_feed(connect: Open) -> None:
    one = connect()
    post_lines(one, sale("good"))
    post(
        one,
        [
            EntryRequest(
                entry_key="bad",
                effective_at=NOON,
                lines=[
                    EntryLine(account=WALLET, amount_minor=5, asset="EUR"),
                    EntryLine(account=BANK, amount_minor=-5, asset="EUR"),
                ],
            )
        ],
    )
    one.commit()
    assert relay(one) == 1
    assert [event.entry_key for event in read(one, 0)] == ["good"]
    assert [*one.execute("SELECT entry_key FROM ledger.refusal_v1")] == [("bad",)]


def test_a_transaction_that_begins_first_and_commits_last_comes_later_and_is_never_skipped(
    connect: Open,
) -> None:
    late, early, teller = connect(), connect(), connect()
    post_lines(late, sale("began first"))
    post_lines(early, sale("committed first"))
    early.commit()
    assert relay(teller) == 1
    teller.commit()
    assert relay(teller) == 1
    teller.commit()
    late.commit()
    assert relay(teller) == 2
    assert [(event.position, event.entry_key) for event in read(teller, 0)] == [
        (1, "committed first"),
        (2, "began first"),
    ]


def test_a_relay_in_a_posting_transaction_is_refused_and_one_before_it_hides_nothing(connect: Open) -> None:
    mixed, other, teller = connect(), connect(), connect()
    mixed.execute(
        "SELECT pg_current_xact_id()"
    )  # its id is older than the next entry's, which is committed first
    post_lines(other, sale("other"))
    other.commit()
    assert relay(mixed) == 1
    post_lines(mixed, sale("mine"))
    with pytest.raises(RequestError, match="posts nothing"), mixed.transaction():
        relay(mixed)
    mixed.commit()
    assert relay(teller) == 2
    assert [event.entry_key for event in read(teller, 0)] == ["other", "mine"]
    repeatable = connect()
    repeatable.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    with pytest.raises(RequestError, match="READ COMMITTED"):
        relay(repeatable)


def test_after_a_restore_on_a_server_whose_transactions_count_from_the_start_nothing_is_missed(
    connect: Open,
) -> None:
    one = connect()
    post_lines(one, sale("before"))
    one.commit()
    relay(one)
    one.execute("SET LOCAL session_replication_role = replica")
    one.execute("UPDATE ledger.feed_batch SET snap = '9000000000:9000000000:'")
    one.commit()
    post_lines(one, sale("after"))
    one.commit()
    assert [relay(one), relay(one)] == [2, 2]
    assert [event.entry_key for event in read(one, 0)] == ["before", "after"]


def test_many_writers_and_several_relays_give_one_dense_feed_that_replays_alike(connect: Open) -> None:
    stop, seed = threading.Event(), random.Random(5)
    writers = [(connect(), connect(), random.Random(seed.random())) for _ in range(6)]
    relays = [connect() for _ in range(3)]

    def write(number: int) -> list[str]:
        """Two overlapping transactions at a time: either may commit first, linger, or be rolled back."""
        one, two, chance = writers[number]
        kept = []
        for round_number in range(25):
            pending = {one: [f"{number}-{round_number}-a"], two: [f"{number}-{round_number}-b"]}
            for connection, keys in pending.items():
                post_lines(connection, sale(keys[0]))
            for connection in chance.sample([one, two], 2):
                connection.execute("SELECT pg_sleep(%s)", (chance.random() / 200,))
                if chance.random() < 0.2:
                    connection.rollback()
                else:
                    connection.commit()
                    kept += pending[connection]
        return kept

    def number_on(connection: psycopg.Connection[Any]) -> list[tuple[int, str, str]]:
        """Relays and follows the feed until the writers are done; what it read, position by position."""
        seen: list[tuple[int, str, str]] = []
        done, last = False, 0
        while not done or len(seen) < last:
            done = stop.is_set()  # before the relay: what was committed by then is numbered now
            last = relay(connection)
            connection.commit()
            seen += [
                (event.position, event.entry_key, event.text) for event in read(connection, len(seen), 7)
            ]
            connection.commit()
        return seen

    with ThreadPoolExecutor() as pool:
        following = [pool.submit(number_on, connection) for connection in relays]
        try:
            kept = [key for keys in pool.map(write, range(len(writers))) for key in keys]
        finally:
            stop.set()
        followed = [future.result() for future in following]
    teller = connect()
    last = relay(teller)
    replay = [(event.position, event.entry_key, event.text) for event in read(teller, 0, last)]
    assert [position for position, _, _ in replay] == list(range(1, last + 1))
    assert sorted(key for _, key, _ in replay) == sorted(kept)
    assert followed == [replay] * len(relays)
    assert [(event.position, event.entry_key, event.text) for event in read(teller, last - 5, 3)] == replay[
        -5:-2
    ]
    assert newest(teller) == last


def test_the_relay_does_not_wait_for_writers_nor_writers_for_it(connect: Open) -> None:
    writer, other, teller = connect(), connect(), connect()
    for connection in (writer, other, teller):
        connection.execute("SET lock_timeout = '2s'")
        connection.commit()
    post_lines(writer, sale("open"))
    post_lines(other, sale("done"))
    other.commit()
    assert relay(teller) == 1  # not ended yet
    post_lines(other, sale("meanwhile"))
    other.commit()
    writer.commit()


def test_a_consumer_keeps_its_position_which_only_goes_back_on_purpose(connect: Open) -> None:
    one = connect()
    post_lines(one, sale("a"))
    post_lines(one, sale("b"))
    one.commit()
    relay(one)
    assert acknowledged(one, "kafka") == 0
    assert [acknowledge(one, "kafka", position) for position in (1, 2, 1)] == [1, 2, 2]
    assert acknowledge(one, "kafka", 0, rewind=True) == acknowledged(one, "kafka") == 0
    assert acknowledge(one, "another", 1) == 1
    for wrong in (-1, 3):
        with (
            pytest.raises(RequestError, match=f"expected a position from 0 to 2, found {wrong}"),
            one.transaction(),
        ):
            acknowledge(one, "kafka", wrong)


def test_readers_read_the_feed_and_only_posters_number_and_acknowledge(connect: Open) -> None:
    one = connect()
    one.execute("SET ROLE tieout_ledger_reader")
    assert (read(one, 0), newest(one), acknowledged(one, "kafka")) == ((), 0, 0)
    for door in ("relay()", "acknowledge_feed('kafka', 0)"):
        with pytest.raises(Exception, match="InsufficientPrivilege"), translated_errors(), one.transaction():
            one.execute(f"SELECT ledger.{door}")
    one.execute("SET ROLE tieout_poster")
    assert (relay(one), acknowledge(one, "kafka", 0)) == (0, 0)
    for statement in (
        "INSERT INTO ledger.feed VALUES (1, 1)",
        "UPDATE ledger.feed_consumer SET position = 9",
    ):
        with pytest.raises(Exception, match="InsufficientPrivilege"), translated_errors(), one.transaction():
            one.execute(statement)
