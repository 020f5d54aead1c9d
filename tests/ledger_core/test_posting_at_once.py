"""Posting by many at once: one entry per key, no guarded account below zero, and nobody waits without need."""

import contextlib
from typing import Any

import psycopg
import pytest

from ledger_core.balance import fold
from ledger_core.posting import post, post_lines
from tests.ledger_core.books import (
    BANK,
    SALES,
    WALLET,
    balance,
    fund,
    lines,
    outcomes,
    payment,
    request,
    together,
    waiting,
)

Connection = psycopg.Connection[Any]


def test_eight_threads_with_one_key_make_one_entry_and_get_one_answer(
    own_book: Connection, database_url: str
) -> None:
    def work(connection: Connection, number: int) -> tuple[str, int]:
        answer = post(connection, [request("sale", (BANK, 100), (SALES, -100))])[0]
        connection.commit()
        return answer.outcome, answer.entry_id

    answers = together(database_url, 8, work)
    assert sorted(outcome for outcome, _ in answers) == ["posted"] + ["replayed"] * 7
    assert len({entry_id for _, entry_id in answers}) == 1
    assert balance(own_book, BANK).balance_minor == 100


def test_eight_threads_with_one_refused_key_get_one_refusal(own_book: Connection, database_url: str) -> None:
    def work(connection: Connection, _: int) -> Any:
        answer = post(connection, [payment("pay", 1)])[0]
        connection.commit()
        return answer

    answers = together(database_url, 8, work)
    assert {answer.outcome for answer in answers} == {"refused"}
    assert len(set(map(repr, answers))) == 1


@pytest.mark.parametrize("wrong", [False, True], ids=["all right", "some wrong"])
def test_batches_that_share_keys_in_opposite_order_do_not_block_each_other(
    own_book: Connection, database_url: str, wrong: bool
) -> None:
    keys = [f"k{number}" for number in range(40)]

    def work(connection: Connection, number: int) -> list[str]:
        batch = [
            request(key, (BANK, 100), (SALES, -99 if wrong and int(key[1:]) % 13 == 0 else -100))
            for key in (keys if number % 2 else keys[::-1])
        ]
        answer = outcomes(post(connection, batch))
        connection.commit()
        return answer

    answers = together(database_url, 6, work)
    assert [error for error in answers if isinstance(error, Exception)] == []
    assert [answer.count("refused") for answer in answers] == [4 if wrong else 0] * 6
    assert sum(answer.count("posted") for answer in answers) == (36 if wrong else 40)
    assert balance(own_book, BANK).balance_minor == (3600 if wrong else 4000)


def test_batches_that_share_keys_and_a_payer_who_has_too_little_do_not_block_each_other(
    own_book: Connection, database_url: str
) -> None:
    fund(own_book, 100)
    own_book.commit()
    keys = [f"k{number}" for number in range(30)]

    def work(connection: Connection, number: int) -> list[str]:
        answer = post(connection, [payment(key, 10) for key in (keys if number % 2 else keys[::-1])])
        connection.commit()
        return sorted(f"{item.entry_key} {item.outcome}" for item in answer if item.outcome != "refused")

    answers = together(database_url, 6, work)
    assert [error for error in answers if isinstance(error, Exception)] == []
    assert [len(answer) for answer in answers] == [10] * 6
    assert len({line.split()[0] for answer in answers for line in answer}) == 10
    assert balance(own_book, WALLET).balance_minor == 0


def test_a_guarded_account_is_never_overdrawn_by_eight_threads(
    own_book: Connection, database_url: str
) -> None:
    fund(own_book, 100)
    own_book.commit()
    below_zero = []

    def work(connection: Connection, number: int) -> int:
        paid = 0
        for turn in range(10):
            paid += outcomes(post(connection, [payment(f"{number}-{turn}", 5)])).count("posted")
            if balance(connection, WALLET).balance_minor > 0:
                below_zero.append(number)
            connection.commit()
            if turn == number:
                fold(connection, 1)
                connection.commit()
        return paid

    assert sum(together(database_url, 8, work)) == 20
    assert below_zero == []
    assert balance(own_book, WALLET).balance_minor == 0


def test_raising_a_guarded_account_waits_for_nobody(own_book: Connection, database_url: str) -> None:
    fund(own_book, 100)
    own_book.commit()
    post_lines(own_book, lines(("pay", WALLET, 60), ("pay", BANK, -60)))
    with contextlib.closing(psycopg.connect(database_url, options="-c lock_timeout=2s")) as other:
        fund(other, 50, key="more")
        other.commit()
    own_book.commit()
    assert balance(own_book, WALLET).balance_minor == -90


def test_a_payment_waits_for_the_one_before_and_then_sees_it(own_book: Connection, database_url: str) -> None:
    fund(own_book, 100)
    own_book.commit()
    post(own_book, [payment("pay", 60)])
    with waiting(own_book, database_url, lambda c: post(c, [payment("two", 60)])[0]) as answers:
        own_book.commit()
    assert (answers[0].outcome, answers[0].code) == ("refused", "overdrawn")
    assert "would be by 20 minor units of EUR" in answers[0].detail
