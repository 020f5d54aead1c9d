"""Many at once: in every snapshot the books are exact, and who meets whom under a key or an account decides nothing."""

import contextlib
import itertools
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import IsolationLevel

from ledger_core.balance import fold, rebuild
from ledger_core.feed import read, relay
from ledger_core.posting import EntryRequest, EntryResult, post
from ledger_core.read_port import current_snapshot
from ledger_core.verify import CheckOutcome, verify
from tests.ledger_core.books import BANK, NOON, SALES, WALLET, balance, fund
from tests.ledger_core.crowd import request, together, until, waiting_for_locks

Connection = psycopg.Connection[Any]

SECONDS = 8.0
WRITERS, ROLLED_BACK, FROM_HOT = 8, 0.05, 0.30
HOT, WALLETS = "liabilities:hot", [f"liabilities:w{number}" for number in range(5)]
FEES = "income:fees"

MORE_ACCOUNTS = """
SELECT ledger.open_accounts(
  %(codes)s, %(codes)s, array_fill('liability'::text, ARRAY[6]) || 'income'::text,
  array_fill('EUR'::text, ARRAY[7]), array_fill(false, ARRAY[6]) || true)
"""
MOVE = """
SELECT m.outcome FROM ledger.move_transaction(
  %(key)s, %(event)s, %(state)s, 'Ada', %(at)s, %(accounts)s::text[], %(amounts)s::bigint[], %(assets)s::text[]) AS m
"""
# Per account: what the product says and what the journal says, in one snapshot.
EXACT = """
SELECT a.account, a.may_overdraw, a.normal_sign * b.posted AS owned, a.normal_sign * b.available AS free,
       ARRAY[b.posted, b.pending, b.available, b.projected] AS told,
       ARRAY[coalesce(j.posted, 0), coalesce(j.posted + j.outgoing + j.incoming, 0), coalesce(j.posted + j.outgoing, 0),
             coalesce(j.posted + j.outgoing + j.incoming + j.planned, 0)] AS summed
FROM ledger.account_v1 AS a
CROSS JOIN LATERAL ledger.balances(a.account, %(before)s::timestamptz, NULL, %(seen_by)s::pg_snapshot) AS b
LEFT JOIN (
  SELECT l.account, coalesce(sum(l.amount_minor) FILTER (WHERE l.layer = 'posted'), 0) AS posted,
         coalesce(sum(l.amount_minor) FILTER (WHERE l.layer = 'outgoing'), 0) AS outgoing,
         coalesce(sum(l.amount_minor) FILTER (WHERE l.layer = 'incoming'), 0) AS incoming,
         coalesce(sum(l.amount_minor) FILTER (WHERE l.layer = 'planned'), 0) AS planned
  FROM ledger.journal_line_v1 AS l
  WHERE l.effective_at < coalesce(%(before)s::timestamptz, 'infinity')
    AND (%(seen_by)s::text IS NULL OR pg_visible_in_snapshot(l.xid, %(seen_by)s::pg_snapshot))
  GROUP BY l.account
) AS j ON j.account = a.account
ORDER BY a.account
"""


@pytest.fixture
def url(own_book: Connection, database_url: str) -> str:
    """The chart of `books` and more guarded accounts with money in them, committed."""
    own_book.execute(MORE_ACCOUNTS, {"codes": [HOT, *WALLETS, FEES]})
    post(own_book, [request(f"open {name}", (BANK, 5000), (name, -5000)) for name in (HOT, *WALLETS)])
    own_book.commit()
    return database_url


def inexact(connection: Connection, before: datetime | None = None, seen_by: str | None = None) -> list[Any]:
    """Accounts whose balance is not the sum of their lines, or that are below zero now, and sums that are not zero."""
    rows = connection.execute(EXACT, {"before": before, "seen_by": seen_by}).fetchall()
    wrong = [row for row in rows if row[4] != row[5]]
    if before is None:
        wrong += [row for row in rows if not row[1] and min(row[2], row[3]) < 0]
    totals = [sum(row[4][0] for row in rows if row[0] != "assets:yen")]
    return wrong + [total for total in totals if total]


class Writer:
    """Posts whatever comes to its mind, and remembers what the ledger acknowledged by a commit."""

    def __init__(self, url: str, number: int, seed: int) -> None:
        self.connection = psycopg.connect(url)
        self.number = number
        self.random = random.Random(seed * 100 + number)
        self.count = itertools.count()
        self.acknowledged: dict[str, str] = {}
        self.holds: list[tuple[str, str, int, bool]] = []

    def run(self, stop: threading.Event) -> None:
        with contextlib.closing(self.connection):
            while not stop.is_set():
                known_holds = list(self.holds)
                answers = self.step()
                if self.random.random() < ROLLED_BACK:
                    self.connection.rollback()
                    self.holds = known_holds
                else:
                    self.connection.commit()
                    self.acknowledged.update(answers)

    def step(self) -> dict[str, str]:
        chance = self.random.random()
        if chance < FROM_HOT:
            return self.posted([self.entry(HOT, BANK)])
        if chance < 0.45:
            return self.posted([self.entry(BANK, HOT, 60)])
        if chance < 0.60:
            return self.posted([self.entry(*self.random.sample([*WALLETS, BANK], 2)) for _ in range(6)])
        if chance < 0.70:
            steps = self.random.sample(WALLETS, 3)
            return self.posted([self.entry(*pair, group=1) for pair in itertools.pairwise(steps)])
        if chance < 0.80 or not self.holds:
            return self.hold()
        if chance < 0.95:
            return self.end_hold(self.random.randrange(len(self.holds)))
        return self.posted([self.entry(self.random.choice(WALLETS), FEES)])

    def key(self) -> str:
        return f"{self.number}-{next(self.count)}"

    def at(self) -> datetime:
        return NOON - timedelta(minutes=self.random.randrange(3 * 24 * 60))

    def entry(self, payer: str, payee: str, most: int = 400, group: int | None = None) -> EntryRequest:
        amount = self.random.randint(1, most)
        return request(self.key(), (payer, amount), (payee, -amount), at=self.at(), group=group)

    def posted(self, requests: list[EntryRequest]) -> dict[str, str]:
        return {result.entry_key: result.outcome for result in post(self.connection, requests)}

    def move(self, transaction: str, state: str, payer: str = "", amount: int = 0) -> dict[str, str]:
        event = self.key()
        lines = [payer, BANK] if amount else None
        given = {"key": transaction, "event": event, "state": state, "at": self.at(), "accounts": lines}
        given |= {"amounts": lines and [amount, -amount], "assets": lines and ["EUR", "EUR"]}
        row = self.connection.execute(MOVE, given).fetchone()
        assert row is not None
        return {event: row[0]} if state != "initiated" else {}

    def hold(self) -> dict[str, str]:
        transaction, payer, amount = f"tx {self.key()}", self.random.choice([HOT, *WALLETS]), 50
        self.move(transaction, "initiated")
        answer = self.move(transaction, "held", payer, amount)
        if "posted" in answer.values():
            self.holds.append((transaction, payer, amount, False))
        return answer

    def end_hold(self, place: int) -> dict[str, str]:
        transaction, payer, amount, is_partial = self.holds.pop(place)
        if not is_partial and self.random.random() < 0.3:
            self.holds.append((transaction, payer, amount - 20, True))
            return self.move(transaction, "partly_released", payer, 20)
        if self.random.random() < 0.3:
            return self.move(transaction, "released")
        return self.move(transaction, "settled", payer, amount)


@contextlib.contextmanager
def beside(*work: Callable[[threading.Event], object]) -> Iterator[list[BaseException]]:
    """Each work runs in a thread of its own until the block ends; yields what went wrong in them so far."""
    stop, errors = threading.Event(), []

    def run(one: Callable[[threading.Event], object]) -> None:
        try:
            one(stop)
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            errors.append(error)

    threads = [threading.Thread(target=run, args=(one,), daemon=True) for one in work]
    for thread in threads:
        thread.start()
    try:
        yield errors
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    assert not any(thread.is_alive() for thread in threads), "some never came back"
    assert not errors, errors


def again_and_again(url: str, *works: Callable[[Connection], object]) -> Callable[[threading.Event], None]:
    """Does the works in turn over a connection of its own, each in its own transaction, until told to stop."""

    def run(stop: threading.Event) -> None:
        with contextlib.closing(psycopg.connect(url, autocommit=True)) as connection:
            for work in itertools.cycle(works):
                if stop.is_set():
                    return
                work(connection)

    return run


def test_in_every_snapshot_the_books_are_exact_while_eight_write_two_fold_and_one_relays(
    own_book: Connection, url: str, request: pytest.FixtureRequest
) -> None:
    seed = random.SystemRandom().randrange(10**6)
    writers = [Writer(url, number, seed) for number in range(WRITERS)]
    folders = [
        again_and_again(url, lambda connection: fold(connection, 1), lambda connection: fold(connection, 8)),
        again_and_again(url, lambda connection: fold(connection, 3)),
    ]
    over, rounds, snapshots, wrong = threading.Event(), 0, [], []
    timer = threading.Timer(SECONDS, over.set)
    chance = random.Random(seed)
    with (
        beside(*[writer.run for writer in writers], *folders, again_and_again(url, relay)) as errors,
        contextlib.closing(psycopg.connect(url)) as checker,
    ):
        timer.start()
        checker.isolation_level = IsolationLevel.REPEATABLE_READ
        while not (over.is_set() or errors or wrong):
            wrong += inexact(checker)
            wrong += inexact(checker, before=NOON - timedelta(minutes=chance.randrange(3 * 24 * 60)))
            snapshots.append(current_snapshot(checker))
            wrong += inexact(checker, seen_by=chance.choice(snapshots))
            if rounds % 5 == 0:
                wrong += [check for check in verify(checker) if check.outcome is not CheckOutcome.OK]
            checker.rollback()
            rounds += 1
        timer.cancel()
    assert not wrong, seed
    assert rounds > 3
    acknowledged = {key: outcome for writer in writers for key, outcome in writer.acknowledged.items()}
    assert_kept(own_book, acknowledged)
    assert Counter(acknowledged.values()).keys() == {"posted", "refused"}


def assert_kept(connection: Connection, acknowledged: dict[str, str]) -> None:
    """Every acknowledged key is there once, as it was answered, and nothing else is; feed and sums are whole."""
    relay(connection)
    connection.commit()
    kept = connection.execute(
        "SELECT entry_key, CASE line_count WHEN 0 THEN 'refused' ELSE 'posted' END FROM ledger.journal_entry "
        "WHERE entry_key ~ '^[0-9]+-[0-9]+$'"
    ).fetchall()
    assert dict(kept) == acknowledged
    assert len(kept) == len(acknowledged)
    events = read(connection, 0, 10**6)
    posted = connection.execute("SELECT DISTINCT entry_key FROM ledger.journal_line_v1").fetchall()
    assert [event.position for event in events] == list(range(1, len(events) + 1))
    assert sorted(event.entry_key for event in events) == sorted(key for (key,) in posted)
    assert [check for check in verify(connection) if check.outcome is not CheckOutcome.OK] == []
    connection.commit()
    for again in (fold, rebuild):
        assert not inexact(connection)
        again(connection)
        connection.commit()
        assert not inexact(connection)


def same_answers(answers: list[Any]) -> set[tuple[Any, ...]]:
    """What is left of the answers when the one who was first is called like the others."""
    failed = [answer for answer in answers if isinstance(answer, Exception)]
    assert not failed, failed
    return {
        tuple(
            (one.entry_key, one.outcome.replace("posted", "replayed"), one.entry_id, one.code, one.detail)
            for one in answer
        )
        for answer in answers
    }


@pytest.mark.parametrize("amount_minor", [100, 5001], ids=["posted", "refused"])
@pytest.mark.parametrize("others", [0, 9], ids=["single", "batch"])
def test_the_same_keys_from_eight_threads_are_one_journal_with_eight_equal_answers(
    own_book: Connection, url: str, amount_minor: int, others: int
) -> None:
    for attempt in range(5):
        requests = [request(f"{attempt} same", (HOT, amount_minor), (BANK, -amount_minor))]
        requests += [request(f"{attempt} {number}", (WALLETS[0], 1), (BANK, -1)) for number in range(others)]

        def work(_: int, requests: list[EntryRequest] = requests) -> list[EntryResult]:
            with psycopg.connect(url) as connection:
                return post(connection, requests)

        answers = together(8, work)
        assert len(same_answers(answers)) == 1
        outcomes = [one.outcome for answer in answers for one in answer]  # type: ignore[union-attr]
        refused = 8 if amount_minor > 5000 else 0
        assert Counter(outcomes) == Counter(
            posted=others + (not refused), replayed=7 * (others + (not refused))
        ) + Counter(refused=refused)
    row = own_book.execute("SELECT count(*) FROM ledger.journal_entry WHERE entry_key LIKE '_ %'").fetchone()
    assert row == (5 * (1 + others),)


@pytest.mark.parametrize(
    ("payer", "amount_minor"),
    [(BANK, 1), (HOT, 1), (BANK, 0), (HOT, 400)],
    ids=["recorded", "decided", "one refused", "some overdrawn"],
)
def test_batches_with_the_same_keys_in_opposite_order_answer_alike_and_do_not_deadlock(
    own_book: Connection, url: str, payer: str, amount_minor: int
) -> None:
    for attempt in range(4):
        requests = [
            request(
                f"{attempt} {number}", (payer, amount_minor or number), (SALES, -(amount_minor or number))
            )
            for number in range(30)
        ]

        def work(number: int, requests: list[EntryRequest] = requests) -> list[EntryResult]:
            with psycopg.connect(url) as connection:
                given = requests if number % 2 else requests[::-1]
                return sorted(post(connection, given), key=lambda result: result.entry_key)

        assert len(same_answers(together(6, work))) == 1


def test_single_posts_and_batches_share_refused_keys_without_deadlock(own_book: Connection, url: str) -> None:
    for attempt in range(4):
        poor = [request(f"{attempt} {number}", (HOT, 9999), (BANK, -9999)) for number in range(4)]
        rich = [request(f"{attempt} ok {number}", (HOT, 1), (BANK, -1)) for number in range(4)]

        def work(number: int, poor: list[EntryRequest] = poor, rich: list[EntryRequest] = rich) -> list[str]:
            given = rich + poor if number % 2 else [poor[number // 2]]
            with psycopg.connect(url) as connection:
                return [
                    result.outcome for result in post(connection, given) if " ok " not in result.entry_key
                ]

        answers = together(8, work)
        assert all(isinstance(answer, list) and set(answer) == {"refused"} for answer in answers), answers


def test_a_settlement_never_fails_for_money_that_its_hold_reserved(own_book: Connection, url: str) -> None:
    move = {"at": NOON, "accounts": None, "amounts": None, "assets": None}
    lines = {"accounts": [HOT, BANK], "amounts": [700, -700], "assets": ["EUR", "EUR"]}
    for number in range(7):
        own_book.execute(MOVE, move | {"key": f"t{number}", "event": f"t{number} i", "state": "initiated"})
        held = own_book.execute(
            MOVE, move | lines | {"key": f"t{number}", "event": f"t{number} h", "state": "held"}
        )
        assert held.fetchone() == ("posted",)
    own_book.commit()

    def work(number: int) -> list[str]:
        with psycopg.connect(url) as connection:
            if number < 7:
                wanted = {"key": f"t{number}", "event": f"t{number} s", "state": "settled"}
                return [connection.execute(MOVE, move | lines | wanted).fetchone()[0]]  # type: ignore[index]
            drained = []
            for i in itertools.count():
                drained += post(connection, [request(f"{number} {i}", (HOT, 7), (BANK, -7))])
                connection.commit()
                if drained[-1].outcome == "refused":
                    return [result.outcome for result in drained]
        raise AssertionError("unreachable")

    answers: list[Any] = together(11, work)
    assert answers[:7] == [["posted"]] * 7
    drained = sum(outcome == "posted" for answer in answers[7:] for outcome in answer)
    assert drained == 100 // 7
    assert balance(own_book, HOT).available_minor == -(100 % 7)
    assert not inexact(own_book)


@pytest.mark.parametrize("what", ["account", "period"])
def test_nothing_slips_in_behind_a_closure(own_book: Connection, url: str, what: str) -> None:
    to_and_fro = [(FEES, 5), (FEES, -5)]
    closure = {
        "account": "SELECT ledger.close_account('income:fees', 'over', 'Ada')",
        "period": "SELECT ledger.close_period('2026-01-16Z', 'over', 'Ada')",
    }[what]
    count = "SELECT count(*) FROM ledger.journal_line_v1 WHERE account = 'income:fees'"
    started = threading.Semaphore(0)

    def work(number: int) -> Any:
        with psycopg.connect(url) as connection:
            if number == 0:
                for _ in range(60):
                    started.acquire()
                connection.execute(closure)
                return connection.execute(count).fetchone()
            outcomes = []
            while outcomes.count("refused") < 2:
                key = f"{number}-{len(outcomes)}"
                (result,) = post(connection, [request(key, *to_and_fro)])
                connection.commit()
                outcomes.append(result.outcome)
                started.release()
            return outcomes

    closed, *answers = together(7, work)
    assert not isinstance(closed, Exception), closed
    for outcomes in answers:
        assert outcomes == ["posted"] * (len(outcomes) - 2) + ["refused"] * 2
    assert closed == own_book.execute(count).fetchone()
    assert closed == (2 * sum(len(outcomes) - 2 for outcomes in answers),)


def test_money_that_moves_to_and_fro_is_never_seen_twice_or_missing_while_it_is_folded(
    own_book: Connection, url: str
) -> None:
    first, second = WALLETS[:2]

    def shuffle(stop: threading.Event) -> None:
        with contextlib.closing(psycopg.connect(url)) as connection:
            for number in itertools.count():
                if stop.is_set():
                    return
                pair = (first, second) if number % 2 else (second, first)
                post(connection, [request(f"shuffle {number}", (pair[0], 10), (pair[1], -10))])
                connection.commit()

    fold_all = again_and_again(url, lambda connection: fold(connection, 1))
    with (
        beside(shuffle, fold_all, fold_all, again_and_again(url, rebuild)),
        contextlib.closing(psycopg.connect(url)) as reader,
    ):
        for isolation in [IsolationLevel.READ_COMMITTED, IsolationLevel.REPEATABLE_READ] * 150:
            reader.isolation_level = isolation
            row = reader.execute(
                "SELECT a.posted + b.posted, c.posted FROM ledger.balances(%(a)s) AS a, ledger.balances(%(b)s) AS b, "
                "ledger.balances('liabilities') AS c",
                {"a": first, "b": second},
            ).fetchone()
            assert row == (-10_000, -30_000)
            reader.rollback()


def test_what_is_posted_after_a_fold_in_one_transaction_is_not_lost(own_book: Connection, url: str) -> None:
    with psycopg.connect(url) as folder:
        folder.execute("SELECT pg_current_xact_id()")
        post(own_book, [request("beside", (BANK, 1), (SALES, -1))])
        own_book.commit()
        fold(folder, 1)
        post(folder, [request("after", (BANK, 100), (SALES, -100))])
    assert not inexact(own_book)
    fold(own_book, 1)
    assert not inexact(own_book)
    assert balance(own_book, SALES).balance_minor == -101


def test_an_account_is_not_closed_by_an_eye_that_looks_at_the_past(own_book: Connection, url: str) -> None:
    with contextlib.closing(psycopg.connect(url)) as late:
        late.isolation_level = IsolationLevel.REPEATABLE_READ
        late.execute("SELECT 1 FROM ledger.account")
        post(own_book, [request("sale", (BANK, 1), (FEES, -1))])
        own_book.commit()
        with pytest.raises(psycopg.Error, match="READ COMMITTED"):
            late.execute("SELECT ledger.close_account('income:fees', 'over', 'Ada')")


def test_a_rebuild_and_a_folder_wait_for_each_other_one_way_round_only(
    own_book: Connection, url: str
) -> None:
    with (
        contextlib.closing(psycopg.connect(url)) as folder,
        contextlib.closing(psycopg.connect(url, autocommit=True)) as watcher,
    ):
        folder.execute("SELECT FROM ledger.fold_mark FOR NO KEY UPDATE")  # as fold does it first
        with beside(again_once(url, rebuild)):
            until(lambda: waiting_for_locks(watcher))
            assert fold(folder, 1) >= 0
            folder.commit()
    assert not inexact(own_book)


def again_once(url: str, work: Callable[[Connection], object]) -> Callable[[threading.Event], None]:
    def run(_: threading.Event) -> None:
        with psycopg.connect(url) as connection:
            work(connection)

    return run


def test_who_waited_for_a_decision_decides_by_what_is_there_then(own_book: Connection, url: str) -> None:
    fund(own_book, 100)
    own_book.commit()
    answers: list[list[EntryResult]] = []

    def wait_and_take(_: threading.Event) -> None:
        with psycopg.connect(url) as second:
            answers.append(post(second, [request("second", (WALLET, 60), (BANK, -60))]))

    post(own_book, [request("first", (WALLET, 60), (BANK, -60))])
    with beside(wait_and_take), contextlib.closing(psycopg.connect(url, autocommit=True)) as watcher:
        until(lambda: waiting_for_locks(watcher))
        own_book.commit()
    assert [(one.outcome, one.code) for one in answers[0]] == [("refused", "overdrawn")]
