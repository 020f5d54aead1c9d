"""Balances: the sum of lines, whatever was folded, backdated or committed late, and the same again under a snapshot."""

import contextlib
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger_core.balance import Balance, balances, fold, rebuild, trial_balance
from ledger_core.errors import AccountError, RequestError
from ledger_core.posting import post, post_lines
from ledger_core.read_port import current_snapshot
from tests.ledger_core.books import (
    BANK,
    NOON,
    SALES,
    WALLET,
    balance,
    deposit,
    fund,
    lines,
    open_chart,
    payment,
    request,
    sale,
    together,
)

Connection = psycopg.Connection[Any]
DAY = timedelta(days=1)
SUMS = """
SELECT b.account_id, NULL, NULL, b.spent, b.received, b.posted, b.outgoing, b.incoming, b.planned
FROM ledger.balance AS b
UNION ALL
SELECT s.account_id, s.is_day, s.starts_at, 0, 0, s.posted, s.outgoing, s.incoming, s.planned
FROM ledger.balance_span AS s
ORDER BY 1, 2, 3
"""


def committed(connection: Connection, *entries: Any) -> None:
    post(connection, entries)
    connection.commit()


def folded(connection: Connection, lines_min: int = 1) -> int:
    """Folds in a transaction of its own."""
    count = fold(connection, lines_min)
    connection.commit()
    return count


def test_a_balance_is_asked_before_an_instant_and_as_known_at_another(own_book: Connection) -> None:
    post_lines(own_book, sale("today"))
    own_book.commit()
    row = own_book.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    known_at = row[0]
    own_book.commit()
    post_lines(own_book, lines(("late", BANK, 7), ("late", SALES, -7), at=NOON - DAY))
    own_book.commit()
    for _ in range(2):
        assert balance(own_book, BANK) == Balance(
            account=BANK,
            entity="main",
            asset="EUR",
            exponent=2,
            balance_minor=107,
            pending_minor=107,
            available_minor=107,
            projected_minor=107,
        )
        assert balance(own_book, BANK, effective_before=NOON).balance_minor == 7
        assert balance(own_book, BANK, effective_before=NOON + timedelta(microseconds=1)).balance_minor == 107
        assert balance(own_book, BANK, known_at=known_at).balance_minor == 100
        assert balance(own_book, BANK, effective_before=NOON, known_at=known_at).balance_minor == 0
        own_book.commit()
        folded(own_book)


def test_an_account_outside_the_chart_is_named(book: Connection) -> None:
    with pytest.raises(AccountError, match="'assets:nobody'"):
        balances(book, "assets:nobody")


def test_a_report_asked_again_with_its_snapshot_gives_the_same_rows(
    own_book: Connection, database_url: str
) -> None:
    committed(own_book, request("one", (BANK, 10), (SALES, -10)), deposit("two", 5))
    with contextlib.closing(psycopg.connect(database_url)) as slow:
        post(slow, [request("slow", (BANK, 1000), (SALES, -1000), at=NOON - DAY)])
        snapshot = current_snapshot(own_book)
        first = report(own_book, snapshot)
        slow.commit()
    committed(own_book, request("late", (BANK, 200), (SALES, -200), at=NOON - 9 * DAY), payment("out", 3))
    for change in (lambda: None, lambda: folded(own_book), lambda: rebuild(own_book)):
        change()
        own_book.commit()
        assert report(own_book, snapshot) == first
    assert balance(own_book, BANK).balance_minor == 1212
    assert balance(own_book, BANK, seen_by=snapshot).balance_minor == 15


def report(connection: Connection, snapshot: str) -> list[Any]:
    """The books as that snapshot shows them: accounts, a summary, and a past instant."""
    found = [
        balances(connection, account, effective_before=before, seen_by=snapshot)
        for account in (BANK, SALES, WALLET, "assets")
        for before in (None, NOON, NOON + DAY)
    ]
    tables = [trial_balance(connection, seen_by=snapshot, effective_before=when) for when in (None, NOON)]
    return [*found, *(table.to_pylist() for table in tables)]


def test_a_summary_account_has_the_balance_of_everything_below_it(own_book: Connection) -> None:
    own_book.execute(
        "SELECT ledger.open_accounts(ARRAY['fees', 'fees:card', 'fees:card:visa', 'fees:bank', 'fees:yen', 'fees:b', "
        "'fees-not'], array_fill('x'::text, ARRAY[7]), array_fill('expense'::text, ARRAY[7]), "
        "ARRAY['EUR', 'EUR', 'EUR', 'EUR', 'JPY', 'EUR', 'EUR'], array_fill(true, ARRAY[7]), "
        "ARRAY['main', 'main', 'main', 'main', 'main', 'branch', 'main'])"
    )
    committed(
        own_book,
        request("visa", ("fees:card:visa", 5), (BANK, -5)),
        request("bank", ("fees:bank", 7), (BANK, -7), at=NOON + DAY),
        request("not", ("fees-not", 100), (BANK, -100)),
    )
    for _ in range(2):
        found = {(b.entity, b.asset): b.balance_minor for b in balances(own_book, "fees")}
        assert found == {("main", "EUR"): 12, ("main", "JPY"): 0, ("branch", "EUR"): 0}
        assert balance(own_book, "fees:card").balance_minor == 5
        earlier = balances(own_book, "fees", effective_before=NOON + DAY)
        assert {(b.entity, b.asset): b.balance_minor for b in earlier}["main", "EUR"] == 5
        own_book.commit()
        folded(own_book)


def test_a_deposit_not_folded_yet_counts_and_can_be_spent(own_book: Connection) -> None:
    fund(own_book, 10)
    own_book.commit()
    assert folded(own_book) == 2
    committed(own_book, deposit("more", 90))
    assert balance(own_book, WALLET).balance_minor == -100
    answers = post(own_book, [payment("all", 100), payment("one more", 1)])
    assert [answer.outcome for answer in answers] == ["posted", "refused"]


def test_folding_twice_changes_nothing_and_only_accounts_with_enough_new_lines_are_folded(
    own_book: Connection,
) -> None:
    committed(own_book, deposit("one", 10), deposit("two", 10), request("sale", (BANK, 1), (SALES, -1)))
    assert folded(own_book, 3) == 1
    first = own_book.execute(SUMS).fetchall()
    assert folded(own_book, 3) == 0
    assert own_book.execute(SUMS).fetchall() == first
    committed(own_book, deposit("three", 10))
    assert folded(own_book) == 3  # also what the first two left
    assert folded(own_book) == 0


def test_sums_built_anew_are_the_same(own_book: Connection) -> None:
    hour = timedelta(hours=1)
    for number in range(12):
        at = NOON + (number % 5) * DAY - number * hour
        committed(own_book, deposit(f"in{number}", 10, at=at), payment(f"out{number}", 4, at=at))
        if number % 3 == 0:
            folded(own_book)
    folded(own_book)
    built = own_book.execute(SUMS).fetchall()
    own_book.execute("UPDATE ledger.balance SET posted = 0, received = 0")
    own_book.execute("DELETE FROM ledger.balance_span WHERE is_day")
    assert rebuild(own_book) == 2
    own_book.commit()
    assert own_book.execute(SUMS).fetchall() == built
    assert balance(own_book, WALLET).balance_minor == -72


def test_a_transaction_that_posts_or_sees_an_old_world_cannot_fold(own_book: Connection) -> None:
    post_lines(own_book, sale("sale"))
    with pytest.raises(RequestError, match="posts nothing"):
        fold(own_book, 1)
    own_book.rollback()
    own_book.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
    with pytest.raises(RequestError, match="READ COMMITTED"):
        fold(own_book, 1)


def test_what_is_posted_after_a_fold_in_the_same_transaction_is_not_lost(own_book: Connection) -> None:
    committed(own_book, deposit("one", 10))
    fold(own_book, 1)
    post(own_book, [deposit("two", 5), payment("out", 1)])
    own_book.commit()
    assert balance(own_book, WALLET).balance_minor == -14
    folded(own_book)
    assert balance(own_book, WALLET).balance_minor == -14
    assert folded(own_book) == 0


def test_a_line_committed_after_a_fold_is_folded_by_the_next_one(
    own_book: Connection, database_url: str
) -> None:
    with contextlib.closing(psycopg.connect(database_url)) as slow:
        post(slow, [deposit("slow", 5, at=NOON - DAY)])
        committed(own_book, deposit("quick", 10))
        folded(own_book)
        assert balance(own_book, WALLET).balance_minor == -10
        own_book.commit()
        slow.commit()
    for expected in (2, 0):
        assert balance(own_book, WALLET).balance_minor == -15
        assert balance(own_book, WALLET, effective_before=NOON).balance_minor == -5
        own_book.commit()
        assert folded(own_book) == expected


def test_folders_at_once_fold_each_line_once(own_book: Connection, database_url: str) -> None:
    def work(connection: Connection, number: int) -> None:
        for turn in range(10):
            if number < 2:
                fold(connection, 1)
            else:
                post(connection, [deposit(f"{number}-{turn}", 10), payment(f"{number}-{turn}-out", 9)])
            connection.commit()

    assert together(database_url, 4, work) == [None] * 4
    assert balance(own_book, WALLET).balance_minor == -20
    own_book.commit()
    folded(own_book)
    built = own_book.execute(SUMS).fetchall()
    rebuild(own_book)
    assert own_book.execute(SUMS).fetchall() == built


STEPS = st.lists(
    st.one_of(
        st.just("fold"),
        st.tuples(st.integers(-1000, 1000).filter(bool), st.integers(0, 4 * 24 * 60)),
    ),
    min_size=1,
    max_size=25,
)
START = datetime(2026, 1, 10, 23, 30, tzinfo=UTC)
EXAMPLES = itertools.count()


@pytest.fixture
def any_book(connection: Connection) -> Connection:
    open_chart(connection)
    connection.commit()
    return connection


@given(steps=STEPS, asked=st.lists(st.integers(0, 4 * 24 * 60 + 1), max_size=4))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_balance_at_any_instant_is_the_sum_of_its_lines_however_they_came(
    any_book: Connection, steps: list[Any], asked: list[int]
) -> None:
    account = f"tills:{next(EXAMPLES)}"
    any_book.execute(
        "SELECT ledger.open_accounts(ARRAY[%s], ARRAY['Till'], ARRAY['asset'], ARRAY['EUR'], ARRAY[true])",
        (account,),
    )
    posted: list[tuple[int, int]] = []
    for number, step in enumerate(steps):
        if step == "fold":
            folded(any_book)
            continue
        amount, minute = step
        at = START + timedelta(minutes=minute)
        committed(any_book, request(f"{account}-{number}", (account, amount), (BANK, -amount), at=at))
        posted.append((minute, amount))
    for minute in {0, *asked, *(when + late for when, _ in posted for late in (0, 1))}:
        found = balance(any_book, account, effective_before=START + timedelta(minutes=minute))
        assert found.balance_minor == sum(amount for when, amount in posted if when < minute)
    assert balance(any_book, account).balance_minor == sum(amount for _, amount in posted)
    any_book.commit()
