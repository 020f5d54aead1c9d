"""Many at once, and many in a row: reserved money is never lost to others, one move wins, a plain model agrees."""

import contextlib
import itertools
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger_core.errors import TransactionError
from ledger_core.posting import EntryLine, EntryRequest, post
from ledger_core.transactions import Step, expire_holds, history, hold, initiate, release, reverse, settle
from tests.ledger_core.books import BANK, NOON, SALES, WALLET, balance, fund
from tests.ledger_core.payments import ADA, BOB, HOUR, held, now, pay, residue, spend, wallet

Answer = TypeVar("Answer")
Work = Callable[[psycopg.Connection[Any]], Answer]
Together = Callable[[Sequence[Work[Any]]], list[Any]]


@pytest.fixture
def together(database_url: str) -> Together:
    """Runs pieces of work at the same time, each with a connection of its own that commits each statement."""

    def run(pieces: Sequence[Work[Any]]) -> list[Any]:
        barrier = threading.Barrier(len(pieces))

        def one(work: Work[Any]) -> Any:
            with contextlib.closing(psycopg.connect(database_url, autocommit=True)) as connection:
                barrier.wait()
                return work(connection)

        with ThreadPoolExecutor(len(pieces)) as threads:
            return list(threads.map(one, pieces))

    return run


def test_what_holds_reserved_is_there_while_others_drain_the_account(
    own_book: psycopg.Connection[Any], together: Together
) -> None:
    fund(own_book, 6000)
    for number in range(40):
        held(own_book, f"t{number}", 100)
    own_book.commit()

    def settles(first: int) -> Work[list[str]]:
        return lambda connection: [
            settle(connection, f"t{n}", f"t{n}:s", ADA, pay(100)).outcome for n in range(first, 40, 4)
        ]

    def drains(name: int) -> Work[int]:
        return lambda connection: sum(spend(connection, f"d{name}-{n}", 37) == "posted" for n in range(30))

    answers = together([work for n in range(4) for work in (settles(n), drains(n))])
    assert {outcome for settled in answers[::2] for outcome in settled} == {"posted"}
    assert sum(answers[1::2]) == 2000 // 37
    rest = 6000 - 40 * 100 - 2000 // 37 * 37
    assert wallet(own_book) == (rest, rest, rest)


def test_holds_that_fall_due_while_they_settle_and_the_account_is_drained_spend_nothing_twice(
    own_book: psycopg.Connection[Any], together: Together
) -> None:
    fund(own_book, 4000)
    start = now(own_book) + timedelta(seconds=1)
    due = [start + timedelta(milliseconds=10 * number) for number in range(40)]
    for number, moment in enumerate(due):
        held(own_book, f"t{number}", 100, expires_at=moment)
    own_book.commit()

    def settles(first: int) -> Work[int]:
        def work(connection: psycopg.Connection[Any]) -> int:
            done = 0
            for number in range(first, 40, 4):
                while now(connection) < due[number] - timedelta(milliseconds=3):
                    pass  # at the last moment, and often just after it
                with contextlib.suppress(TransactionError):
                    step = settle(connection, f"t{number}", f"t{number}:s", ADA, pay(100))
                    done += step.outcome == "posted"
            return done

        return work

    def drains(name: int) -> Work[int]:
        def work(connection: psycopg.Connection[Any]) -> int:
            taken = 0
            for turn in itertools.count():
                asked_at = now(connection)
                was_posted = spend(connection, f"d{name}-{turn}", 90) == "posted"
                taken += was_posted
                if not was_posted and asked_at > due[-1]:
                    break
                expire_holds(connection, limit=1 + name)
            return taken

        return work

    answers = together([work for n in range(4) for work in (settles(n), drains(n))])
    expire_holds(own_book)
    settled, drained = sum(answers[::2]), sum(answers[1::2])
    left = 4000 - 100 * settled - 90 * drained
    assert wallet(own_book) == (left, left, left)
    assert 0 <= left < 90
    ends = Counter(history(own_book, f"t{number}")[-1].state for number in range(40))
    assert ends == Counter({"settled": settled, "released": 40 - settled})
    assert not any(residue(own_book, f"t{number}") for number in range(40))


def test_a_hold_that_falls_due_while_its_settlement_waits_is_not_counted_as_released_and_free(
    own_book: psycopg.Connection[Any], together: Together
) -> None:
    fund(own_book, 1000)
    due = now(own_book) + timedelta(seconds=1)
    held(own_book, "t", 600, expires_at=due)
    own_book.commit()
    assert spend(own_book, "first", 1) == "posted"  # holds the wallet's row until it commits

    def drains(connection: psycopg.Connection[Any]) -> str:
        waiting = "SELECT FROM pg_locks AS l WHERE NOT l.granted AND l.pid <> pg_backend_pid()"
        while now(connection) < due or not connection.execute(waiting).fetchall():
            pass
        outcome = spend(own_book, "the rest", 999)
        own_book.commit()
        return outcome

    def settles(connection: psycopg.Connection[Any]) -> str:
        with pytest.raises(TransactionError, match="counts as released since"):
            settle(connection, "t", "t:s", ADA, pay(600))
        return "too late"

    assert together([drains, settles]) == ["posted", "too late"]
    assert wallet(own_book) == (0, 0, 0)


def test_of_two_moves_at_once_one_wins_and_the_same_move_from_eight_gives_one_answer(
    own_book: psycopg.Connection[Any], together: Together
) -> None:
    fund(own_book, 1000)
    held(own_book, "one", 100)
    held(own_book, "other", 100)
    own_book.commit()

    def mine(number: int) -> Work[str]:
        def work(connection: psycopg.Connection[Any]) -> str:
            try:
                if number % 2:
                    return release(connection, "one", f"one:{number}", ADA).outcome
                return settle(connection, "one", f"one:{number}", ADA, pay(100)).outcome
            except TransactionError as refused:
                return str(refused).partition(", and cannot")[0]

        return work

    ended = together([mine(n) for n in range(8)])
    winner = history(own_book, "one")[-1].state
    assert Counter(ended) == {"posted": 1, f"transaction 'one': it is {winner}": 7}
    steps = together([lambda c: settle(c, "other", "other:s", ADA, pay(100)) for _ in range(8)])
    assert Counter(step.outcome for step in steps) == {"posted": 1, "replayed": 7}
    assert len({(step.state, step.event_no, step.entry_id) for step in steps}) == 1
    begun = together([lambda c: initiate(c, "new", "new:i", ADA).outcome for _ in range(8)])
    assert Counter(begun) == {"posted": 1, "replayed": 7}


def test_jobs_that_expire_holds_side_by_side_release_each_once(
    own_book: psycopg.Connection[Any], together: Together
) -> None:
    fund(own_book, 1000)
    for number in range(30):
        held(own_book, f"t{number}", 10, expires_at=NOON + HOUR)
    own_book.commit()
    assert (
        sum(together([lambda c: expire_holds(c, limit=20) for _ in range(4)])) + expire_holds(own_book) == 30
    )
    assert wallet(own_book) == (1000, 1000, 1000)
    assert {len(history(own_book, f"t{number}")) for number in range(30)} == {3}


OTHER = "liabilities:other"
WALLETS = (WALLET, OTHER)


@dataclass
class Payment:
    state: str = "none"
    held: Counter[str] = field(default_factory=Counter)
    is_due: bool = False
    settled: Counter[str] = field(default_factory=Counter)


@dataclass
class Model:
    """What the ledger should say, in plain numbers: credits positive."""

    posted: Counter[str] = field(default_factory=Counter)
    payments: dict[str, Payment] = field(default_factory=dict)

    def reserved(self, account: str) -> int:
        return sum(p.held[account] for p in self.payments.values() if not p.is_due)

    def short(self, wanted: Counter[str], given_back: Counter[str]) -> bool:
        return any(
            amount > self.posted[a] - self.reserved(a) + given_back[a]
            for a, amount in wanted.items()
            if amount
        )

    def take(self, wanted: Counter[str], sign: int = 1) -> None:
        for account, amount in wanted.items():
            self.posted[account] -= sign * amount
            self.posted[SALES] += sign * amount

    def step(self, payment: Payment, name: str, wanted: Counter[str], *, is_due: bool) -> str:
        """Takes a step and says how it ends: posted, overdrawn or illegal."""
        after = {
            "initiate": ({"none"}, "initiated"),
            "hold": ({"initiated"}, "held"),
            "part": ({"held", "partly_released"}, "partly_released"),
            "rest": ({"initiated", "held", "partly_released"}, "released"),
            "settle": ({"initiated", "held", "partly_released"}, "settled"),
            "reverse": ({"settled"}, "reversed"),
        }[name]
        if payment.state not in after[0] or (payment.is_due and name in {"part", "settle"}):
            return "illegal"
        if name == "part" and (not wanted <= payment.held or wanted == payment.held):
            return "illegal"
        if name == "hold" and self.short(wanted, Counter()):
            return "overdrawn"
        if name == "settle" and self.short(wanted, payment.held):
            return "overdrawn"
        payment.state = after[1]
        if name == "hold":
            payment.held, payment.is_due = wanted, is_due
        elif name == "part":
            payment.held = payment.held - wanted
        elif name == "settle":
            payment.settled = wanted
            self.take(wanted)
        elif name == "reverse":
            self.take(payment.settled, -1)
        if name in {"rest", "settle"}:
            payment.held, payment.is_due = Counter(), False
        return "posted"

    def expire(self) -> int:
        due = [p for p in self.payments.values() if p.is_due]
        for payment in due:
            payment.state, payment.held, payment.is_due = "released", Counter(), False
        return len(due)


AMOUNTS = st.one_of(
    st.tuples(st.integers(1, 90), st.integers(0, 90)), st.tuples(st.integers(0, 90), st.integers(1, 90))
)
NAMES = ["initiate", "hold", "hold", "part", "rest", "settle", "settle", "settle", "reverse", "reverse"]
MOVES = st.tuples(st.sampled_from(NAMES), st.sampled_from("abc"), AMOUNTS, st.booleans())
STEPS = st.one_of(
    *[MOVES] * 8,
    st.tuples(st.just("fund"), st.sampled_from(WALLETS), st.integers(1, 40)),
    st.tuples(st.just("expire")),
)
START: list[Any] = [
    ("fund", WALLET, 70),
    ("fund", OTHER, 70),
    *(("initiate", key, (1, 1), False) for key in "ab"),
]


def take(
    connection: psycopg.Connection[Any], key: str, name: str, step: str, *, wanted: Counter[str], is_due: bool
) -> Step:
    total = sum(wanted.values())
    lines = [
        EntryLine(account=account, amount_minor=amount, asset="EUR")
        for account, amount in (*wanted.items(), (SALES, -total))
        if amount
    ]
    match name:
        case "initiate":
            return initiate(connection, key, step, ADA)
        case "hold":
            return hold(connection, key, step, ADA, lines, expires_at=NOON + HOUR if is_due else None)
        case "part":
            return release(connection, key, step, ADA, lines)
        case "rest":
            return release(connection, key, step, ADA)
        case "settle":
            return settle(connection, key, step, ADA, lines)
        case _:
            return reverse(connection, key, step, BOB)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=st.lists(STEPS, min_size=10, max_size=30))
def test_the_ledger_and_a_plain_model_agree_after_every_step(
    book: psycopg.Connection[Any], steps: list[Any]
) -> None:
    model = Model(payments={key: Payment() for key in "abc"})
    with book.transaction(force_rollback=True):
        book.execute(
            "SELECT ledger.open_accounts(ARRAY[%s], ARRAY['Other'], ARRAY['liability'], ARRAY['EUR'], ARRAY[false])",
            (OTHER,),
        )
        for number, (name, *rest) in enumerate(START + steps):
            if name == "fund":
                account, amount = rest
                paid = [
                    EntryLine(account=BANK, amount_minor=amount, asset="EUR"),
                    EntryLine(account=account, amount_minor=-amount, asset="EUR"),
                ]
                post(book, [EntryRequest(entry_key=f"fund{number}", effective_at=NOON, lines=paid)])
                model.posted[account] += amount
            elif name == "expire":
                assert expire_holds(book) == model.expire()
            else:
                key, amounts, is_due = rest
                if name == "part":  # mostly less than what a hold has
                    amounts = [-(-amount // 5) for amount in amounts]
                wanted = +Counter(dict(zip(WALLETS, amounts, strict=True)))
                expected = model.step(model.payments[key], name, wanted, is_due=is_due)
                try:
                    first = take(book, key, name, f"{key}:{number}", wanted=wanted, is_due=is_due)
                    assert (first.code or first.outcome) == expected
                    again = take(book, key, name, f"{key}:{number}", wanted=wanted, is_due=is_due)
                    assert again.outcome == ("refused" if expected == "overdrawn" else "replayed")
                    assert (again.entry_id, again.state) == (first.entry_id, first.state)
                except TransactionError:
                    assert expected == "illegal"
            for account in WALLETS:
                found = balance(book, account)
                free = model.posted[account] - model.reserved(account)
                assert (-found.balance_minor, -found.pending_minor, -found.available_minor) == (
                    model.posted[account],
                    free,
                    free,
                )
            sales = balance(book, SALES)
            coming = sum(model.reserved(account) for account in WALLETS)
            assert (-sales.balance_minor, -sales.pending_minor) == (
                model.posted[SALES],
                model.posted[SALES] + coming,
            )
        for key, payment in model.payments.items():
            assert payment.state not in {"released", "settled", "reversed"} or residue(book, key) == 0
