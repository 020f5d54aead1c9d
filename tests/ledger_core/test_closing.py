"""Closed accounts and closed periods take nothing more, whoever was posting at that moment."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from ledger_core.chart import close_account, close_period
from ledger_core.errors import AccountError, LedgerError, PeriodError, RequestError
from ledger_core.posting import post, post_lines
from ledger_core.reversal import reverse
from ledger_core.sql import translated_errors
from tests.ledger_core.books import (
    BANK,
    NOON,
    SALES,
    WALLET,
    balance,
    fund,
    hold,
    outcomes,
    payment,
    request,
    sale,
    waiting,
)

Connection = psycopg.Connection[Any]
FEBRUARY, MARCH = datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)


def close(connection: Connection, ends_at: datetime = FEBRUARY) -> bool:
    return close_period(connection, ends_at, reason="month end", authoriser="Ada")


def entry(key: str, at: datetime = NOON, **header: Any) -> Any:
    return request(key, (BANK, 1), (SALES, -1), at=at, **header)


def test_a_closed_period_takes_nothing_and_the_adjusting_entry_goes_into_the_next(book: Connection) -> None:
    post_lines(book, sale("sale"))
    assert close(book)
    last = FEBRUARY - timedelta(microseconds=1)
    answers = post(book, [entry("late", last), entry("adjusting", FEBRUARY, corrects="sale")])
    assert [(answer.outcome, answer.code) for answer in answers] == [
        ("refused", "period_closed"),
        ("posted", None),
    ]
    assert balance(book, BANK, effective_before=FEBRUARY).balance_minor == 100
    assert outcomes(post(book, [entry("late", last)])) == ["refused"]
    assert outcomes(post_lines(book, sale("sale"))) == ["replayed"]


def test_a_reversal_of_what_lies_in_a_closed_period_takes_effect_after_it(book: Connection) -> None:
    post_lines(book, sale("sale"))
    close(book)
    with pytest.raises(PeriodError, match="closed period"), book.transaction():
        reverse(book, "sale", reason="typo", authoriser="Ada", effective_at=NOON)
    assert reverse(book, "sale", reason="typo", authoriser="Ada", effective_at=FEBRUARY).is_new
    assert balance(book, BANK, effective_before=FEBRUARY).balance_minor == 100
    assert balance(book, BANK).balance_minor == 0


def test_closing_the_same_period_again_changes_nothing_and_periods_only_move_on(book: Connection) -> None:
    assert (close(book, MARCH), close(book, MARCH)) == (True, False)
    for ends_at in (FEBRUARY, datetime(2999, 1, 1, tzinfo=UTC)):
        with pytest.raises(PeriodError, match="expected an end after"), book.transaction():
            close(book, ends_at)
    for words in ({"reason": ""}, {"authoriser": ""}):
        with pytest.raises(LedgerError), book.transaction():
            close_period(book, MARCH + timedelta(days=1), **{"reason": "r", "authoriser": "a"} | words)
    assert book.execute("SELECT starts_at::text, reason, authoriser FROM ledger.period_v1").fetchall() == [
        ("-infinity", "month end", "Ada")
    ]


def test_closing_a_period_waits_for_a_posting_under_way(own_book: Connection, database_url: str) -> None:
    post(own_book, [entry("slow")])
    with waiting(own_book, database_url, close_and_commit) as answers:
        own_book.commit()
    assert answers == [True]
    assert balance(own_book, BANK).balance_minor == 1
    assert outcomes(post(own_book, [entry("later")])) == ["refused"]


def close_and_commit(connection: Connection) -> bool:
    done = close(connection)
    connection.commit()
    return done


def test_a_posting_waits_for_a_period_that_is_being_closed_and_is_refused(
    own_book: Connection, database_url: str
) -> None:
    close(own_book)
    with waiting(own_book, database_url, lambda c: post(c, [entry("late")])[0].code) as answers:
        own_book.commit()
    assert answers == ["period_closed"]


def test_an_account_with_money_or_holds_on_it_cannot_be_closed(book: Connection) -> None:
    fund(book, 10)
    with pytest.raises(AccountError, match="found -10 minor units posted"), book.transaction():
        close_account(book, WALLET, reason="r", authoriser="Ada")
    hold(book, "hold", (BANK, 5), (SALES, -5))
    with pytest.raises(AccountError, match="5 held or planned"):
        close_account(book, SALES, reason="r", authoriser="Ada")


def test_a_closed_account_stays_closed_and_what_happened_on_it_is_still_read(book: Connection) -> None:
    fund(book, 10)
    post(book, [payment("out", 10)])
    assert close_account(book, WALLET, reason="left", authoriser="Ada")
    assert not close_account(book, WALLET, reason="left again", authoriser="Bob")
    assert [(item.outcome, item.code) for item in post(book, [payment("more", 1)])] == [
        ("refused", "account_closed")
    ]
    assert balance(book, WALLET).balance_minor == 0
    with pytest.raises(AccountError, match="'assets:nobody'"):
        close_account(book, "assets:nobody", reason="r", authoriser="Ada")


def test_a_reversal_onto_a_closed_account_is_refused(book: Connection) -> None:
    fund(book, 10)
    post(book, [payment("out", 10)])
    close_account(book, WALLET, reason="left", authoriser="Ada")
    with pytest.raises(AccountError, match="it closed"):
        reverse(book, "out", reason="typo", authoriser="Ada")


def test_closing_an_account_waits_for_postings_under_way(own_book: Connection, database_url: str) -> None:
    post_lines(own_book, sale("sale"))
    work = lambda c: close_account(c, SALES, reason="r", authoriser="Ada")  # noqa: E731
    with waiting(own_book, database_url, work) as answers:
        own_book.commit()
    assert isinstance(answers[0], AccountError)
    assert "expected a balance of 0" in str(answers[0])


def test_with_an_old_snapshot_no_account_is_opened_or_closed(own_book: Connection) -> None:
    """It would show neither the money that came since nor the leaf that was opened above."""
    own_book.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
    with pytest.raises(RequestError, match="READ COMMITTED"):
        close_account(own_book, SALES, reason="r", authoriser="Ada")
    own_book.rollback()
    with pytest.raises(RequestError, match="READ COMMITTED"), translated_errors():
        own_book.execute(
            "SELECT ledger.open_accounts(ARRAY['x'], ARRAY['X'], ARRAY['asset'], ARRAY['EUR'], ARRAY[true])"
        )
