"""The combiner: each of many callers gets the answer of its own request, and nobody another's fate."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from ledger_core import combiner as combiner_module
from ledger_core.combiner import Combiner
from ledger_core.errors import LedgerError, OutOfRangeError, RequestError, StoreError
from ledger_core.posting import EntryRequest, EntryResult, post
from tests.ledger_core.books import BANK, SALES, WALLET, balance, fund
from tests.ledger_core.crowd import request, together, until

Connection = psycopg.Connection[Any]


class Watched(Combiner):
    """Notes the keys of every call it makes."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.calls: list[list[str]] = []

    def _posted(self, requests: list[EntryRequest]) -> list[EntryResult]:
        self.calls.append([request.entry_key for request in requests])
        return super()._posted(requests)

    @property
    def waiting(self) -> int:
        return len(self._pending)


@pytest.fixture
def connect(own_book: Connection, database_url: str) -> Callable[[], Connection]:
    """Connections whose server process can be told from others."""
    return lambda: psycopg.connect(database_url, application_name="combiner")


@contextlib.contextmanager
def held_up(own_book: Connection) -> Iterator[None]:
    """Nothing can be posted inside the block."""
    own_book.execute("LOCK TABLE ledger.journal_entry IN SHARE MODE")
    try:
        yield
    finally:
        own_book.rollback()


def sale(key: str, amount_minor: int = 100, **named: Any) -> EntryRequest:
    return request(key, (BANK, amount_minor), (SALES, -amount_minor), **named)


def in_one_batch(own_book: Connection, combiner: Watched, requests: list[EntryRequest]) -> list[Any]:
    """Their answers, when all of them wait while an earlier request is being posted."""

    def work(number: int) -> EntryResult:
        if number:
            until(lambda: combiner.calls)
        return combiner.post_one(sale("first") if number == 0 else requests[number - 1])

    def release() -> None:
        with held_up(own_book):
            ready.set()
            until(lambda: combiner.waiting == len(requests))

    ready = threading.Event()
    releasing = threading.Thread(target=release, daemon=True)
    releasing.start()
    ready.wait()
    answers = together(len(requests) + 1, work)
    releasing.join()
    return answers[1:]


@pytest.mark.parametrize(("threads", "posts"), [(8, 25), (64, 5)])
def test_every_caller_gets_one_answer_the_one_to_its_own_request(
    own_book: Connection, connect: Callable[[], Connection], threads: int, posts: int
) -> None:
    with Watched(connect) as combiner:

        def work(number: int) -> list[EntryResult]:
            return [combiner.post_one(sale(f"{number}-{i}", number * 100 + i + 1)) for i in range(posts)]

        answers = together(threads, work)
    stored = dict(
        own_book.execute(
            "SELECT entry_key, (entry_id, amount_minor)::text FROM ledger.journal_line_v1 WHERE account = %s",
            (BANK,),
        ).fetchall()
    )
    expected = {}
    for number, results in enumerate(answers):
        assert isinstance(results, list), results
        for i, result in enumerate(results):
            assert (result.entry_key, result.outcome) == (f"{number}-{i}", "posted")
            expected[result.entry_key] = f"({result.entry_id},{number * 100 + i + 1})"
    assert stored == expected
    assert sum(map(len, combiner.calls)) == threads * posts
    assert len(combiner.calls) < threads * posts, "nothing was ever gathered"


def test_what_is_wrong_with_one_request_concerns_its_own_caller_only(
    own_book: Connection, connect: Callable[[], Connection]
) -> None:
    fund(own_book, 30)
    post(own_book, [sale("used", 1)])
    own_book.commit()
    wrong: dict[str, tuple[EntryRequest, Any]] = {
        "overdrawn": (request("poor", (WALLET, 31), (BANK, -31)), "refused"),
        "account_unknown": (request("nowhere", ("assets:none", 1), (BANK, -1)), "refused"),
        "unbalanced": (request("uneven", (SALES, 2), (BANK, -1)), "refused"),
        "too_few_lines": (request("single", (BANK, 1)), "refused"),
        "key_conflict": (sale("used", 2), "conflict"),
        "float": (sale("fraction", 1.5), RequestError),  # type: ignore[arg-type]
        "huge": (sale("huge", 2**70), OutOfRangeError),
        "empty": (request("empty"), RequestError),
        "reserved": (sale("reversal:mine"), RequestError),
        "nul": (sale("a\x00b"), LedgerError),
        "no time": (sale("timeless", at=None), RequestError),
    }
    good = [sale(f"good {number}", 7) for number in range(20)]
    names, mixed = list(wrong), [sent for sent, _ in wrong.values()]
    with Watched(connect) as combiner:
        answers = in_one_batch(own_book, combiner, good[:9] + mixed + good[9:])
    middle = answers[9 : 9 + len(mixed)]
    assert [result.outcome for result in answers[:9] + answers[9 + len(mixed) :]] == ["posted"] * 20
    for name, answer in zip(names, middle, strict=True):
        expected = wrong[name][1]
        if isinstance(expected, str):
            assert (answer.outcome, answer.code) == (expected, name)
        else:
            assert isinstance(answer, expected), (name, answer)
    assert balance(own_book, SALES).balance_minor == -(20 * 7 + 100 + 1)


def test_a_key_that_is_no_text_is_refused_at_once(connect: Callable[[], Connection]) -> None:
    with Combiner(connect) as combiner:
        with pytest.raises(RequestError, match="text as entry_key"):
            combiner.post_one(sale(["a", "list"]))  # type: ignore[arg-type]
        assert combiner.post_one(sale("next")).outcome == "posted"


def test_requests_of_two_callers_never_form_a_group(
    own_book: Connection, connect: Callable[[], Connection]
) -> None:
    poor = request("poor", (WALLET, 1), (BANK, -1), group=1)
    with Watched(connect) as combiner:
        answers = in_one_batch(own_book, combiner, [sale("a", group=1), poor, sale("b", group=1)])
    assert [(answer.outcome, answer.code) for answer in answers] == [
        ("posted", None),
        ("refused", "overdrawn"),
        ("posted", None),
    ]


@pytest.mark.parametrize("threads", [2, 16])
def test_the_same_key_from_several_threads_is_one_entry_and_never_twice_in_a_call(
    own_book: Connection, connect: Callable[[], Connection], threads: int
) -> None:
    with Watched(connect) as combiner:
        answers = in_one_batch(own_book, combiner, [sale("same")] * threads)
    assert sorted(answer.outcome for answer in answers) == ["posted"] + ["replayed"] * (threads - 1)
    assert len({answer.entry_id for answer in answers}) == 1
    assert all(len(set(call)) == len(call) for call in combiner.calls)
    assert balance(own_book, BANK).balance_minor == 200


def test_the_same_key_with_other_content_is_a_conflict_for_the_later_caller(
    own_book: Connection, connect: Callable[[], Connection]
) -> None:
    with Watched(connect) as combiner:
        answers = in_one_batch(own_book, combiner, [sale("same", 1), sale("same", 2), sale("other", 3)])
    assert sorted(answer.outcome for answer in answers) == ["conflict", "posted", "posted"]
    assert balance(own_book, BANK).balance_minor in (104, 105)


def test_the_connection_is_killed_again_and_again_and_nobody_notices(
    own_book: Connection, connect: Callable[[], Connection]
) -> None:
    killing, over = threading.Event(), threading.Event()

    def kill() -> None:
        with contextlib.closing(connect()) as killer:
            killer.autocommit = True
            killer.execute("SET application_name = 'killer'")
            while not over.is_set():
                row = killer.execute(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                    "WHERE application_name = 'combiner' AND datname = current_database()"
                ).fetchone()
                if row and row[0]:
                    killing.set()
                over.wait(0.05)

    killer = threading.Thread(target=kill, daemon=True)
    with Combiner(connect) as combiner:
        killer.start()

        def work(number: int) -> list[EntryResult]:
            results = [combiner.post_one(sale(f"{number}-{i}", 1)) for i in range(40)]
            killing.wait(10)
            return results

        answers = together(8, work)
        over.set()
        killer.join()
    assert killing.is_set(), "nothing was killed"
    for results in answers:
        assert isinstance(results, list), results
        assert {result.outcome for result in results} <= {"posted", "replayed"}
    assert balance(own_book, BANK).balance_minor == 8 * 40


def test_closing_waits_for_what_is_pending_and_a_closed_one_refuses(
    own_book: Connection, connect: Callable[[], Connection]
) -> None:
    combiner = Watched(connect)
    with pytest.raises(StoreError, match="found it closed"):
        combiner.post_one(sale("early"))
    combiner.__enter__()
    closing = threading.Thread(target=combiner.__exit__, args=(None, None, None), daemon=True)
    answers: list[Any] = []
    callers = threading.Thread(
        target=lambda: answers.extend(together(6, lambda i: combiner.post_one(sale(f"{i}")))), daemon=True
    )
    with held_up(own_book):
        callers.start()
        until(lambda: sum(map(len, combiner.calls)) + combiner.waiting == 6)
        closing.start()
        until(lambda: not combiner._is_open)
        with pytest.raises(StoreError, match="found it closed"):
            combiner.post_one(sale("late"))
        assert closing.is_alive()
        assert not answers
    closing.join(60)
    callers.join(60)
    assert [answer.outcome for answer in answers] == ["posted"] * 6


def test_a_lone_caller_never_waits_for_company(connect: Callable[[], Connection]) -> None:
    # Each wait for company would be longer than the whole test may take.
    with Combiner(connect, wait_seconds=3600) as combiner:
        done = together(1, lambda _: [combiner.post_one(sale(str(i))).outcome for i in range(50)])
    assert done == [["posted"] * 50]


def test_a_caller_left_alone_by_others_is_answered(connect: Callable[[], Connection]) -> None:
    with Combiner(connect) as combiner:
        together(8, lambda number: [combiner.post_one(sale(f"{number}-{i}")) for i in range(3)])
        assert [combiner.post_one(sale(str(i))).outcome for i in range(3)] == ["posted"] * 3


def test_a_batch_takes_no_more_than_its_limit(
    own_book: Connection, connect: Callable[[], Connection]
) -> None:
    with Watched(connect, items_max=4) as combiner:
        answers = in_one_batch(own_book, combiner, [sale(str(number)) for number in range(10)])
    assert [answer.outcome for answer in answers] == ["posted"] * 10
    assert max(map(len, combiner.calls)) == 4


def test_a_database_that_stays_out_of_reach_is_said_to_every_caller(
    monkeypatch: pytest.MonkeyPatch, connect: Callable[[], Connection]
) -> None:
    monkeypatch.setattr(combiner_module, "_PAUSES_SECONDS", (0, 0))
    reachable = threading.Event()

    def perhaps() -> Connection:
        return connect() if reachable.is_set() else psycopg.connect("host=/nowhere dbname=none")

    with Combiner(perhaps) as combiner:
        refused = together(8, lambda number: combiner.post_one(sale(str(number))))
        assert all(isinstance(answer, StoreError) and "out of reach" in str(answer) for answer in refused)
        reachable.set()
        assert combiner.post_one(sale("0")).outcome == "posted"


def test_what_connect_began_is_kept_and_what_was_answered_is_committed(
    own_book: Connection, connect: Callable[[], Connection]
) -> None:
    def as_poster() -> Connection:
        connection = connect()
        connection.execute("SET ROLE tieout_poster")
        return connection

    with Combiner(as_poster) as combiner:
        assert combiner.post_one(sale("sale")).outcome == "posted"
        assert balance(own_book, BANK).balance_minor == 100
        row = own_book.execute(
            "SELECT state FROM pg_stat_activity WHERE application_name = 'combiner'"
        ).fetchone()
        assert row == ("idle",)
