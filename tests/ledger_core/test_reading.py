"""Reversals, balances now and at a past moment, the trial balance, and the port that reconciliation reads through."""

import contextlib
from datetime import timedelta
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ledger_core.balance import trial_balance
from ledger_core.errors import (
    AccountError,
    IdempotencyConflictError,
    OverdrawnError,
    ReversalError,
)
from ledger_core.posting import post_lines
from ledger_core.read_port import (
    BALANCE_SCHEMA,
    LEDGER_LINE_SCHEMA,
    balances_before,
    current_snapshot,
    ledger_lines,
    lines_posted_since,
)
from ledger_core.reversal import reverse
from tests.ledger_core.books import BANK, NOON, SALES, WALLET, YEN, balance, fund, hold, lines, sale

Connection = psycopg.Connection[Any]
DAY = timedelta(days=1)


def test_a_reversal_mirrors_the_entry_with_its_references_and_names_who_and_why(book: Connection) -> None:
    post_lines(book, sale("sale").append_column("ref_psp", pa.array(["ch_1", None])))
    done = reverse(book, "sale", reason="charged twice", authoriser="Ada", effective_at=NOON + DAY)
    assert (done.entry_key, done.is_new) == ("reversal:sale", True)
    mirrored = ledger_lines(book, [BANK, SALES], effective_from=NOON + DAY, effective_before=None)
    assert mirrored["amount_minor"].to_pylist() == [-100, 100]
    assert mirrored["ref_psp"].to_pylist() == ["ch_1", None]
    assert mirrored["reverses_entry_key"].to_pylist() == ["sale", "sale"]
    assert balance(book, BANK).balance_minor == 0
    who = book.execute(
        "SELECT DISTINCT reason, authoriser FROM ledger.journal_line_v1 WHERE reverses_entry_key = 'sale'"
    ).fetchall()
    assert who == [("charged twice", "Ada")]


def test_asking_for_the_same_reversal_again_gives_the_first_and_another_reason_is_a_conflict(
    book: Connection,
) -> None:
    post_lines(book, sale("sale"))
    first = reverse(book, "sale", reason="typo", authoriser="Ada")
    again = reverse(book, "sale", reason="typo", authoriser="Ada")
    assert (again.entry_id, again.is_new) == (first.entry_id, False)
    with pytest.raises(IdempotencyConflictError, match="'sale'"):
        reverse(book, "sale", reason="other", authoriser="Ada")


@pytest.mark.parametrize(
    ("key", "reason", "authoriser", "words"),
    [
        ("nothing", "r", "a", "entry 'nothing': expected a posted entry to reverse, found none"),
        ("sale", " ", "a", "needs a reason and an authoriser"),
        ("sale", "r", "", "needs a reason and an authoriser"),
    ],
)
def test_a_reversal_without_its_facts_is_refused(
    book: Connection, key: str, reason: str, authoriser: str, words: str
) -> None:
    post_lines(book, sale("sale"))
    with pytest.raises(ReversalError, match=words):
        reverse(book, key, reason=reason, authoriser=authoriser)


@pytest.mark.parametrize("length", [246, 247, 255])
def test_a_key_of_any_length_can_be_reversed_and_so_can_its_reversal(book: Connection, length: int) -> None:
    key = "k" * length
    post_lines(book, sale(key))
    first = reverse(book, key, reason="typo", authoriser="Ada")
    assert first.is_new
    assert not reverse(book, key, reason="typo", authoriser="Ada").is_new
    assert reverse(book, first.entry_key, reason="it was right", authoriser="Ada").is_new
    assert balance(book, BANK).balance_minor == 100


def test_a_reversal_may_not_overdraw_either(book: Connection) -> None:
    fund(book, 100)
    post_lines(book, lines(("pay", WALLET, 100), ("pay", BANK, -100)))
    with pytest.raises(OverdrawnError):
        reverse(book, "fund", reason="bounced", authoriser="Ada")


def test_an_account_outside_the_chart_is_named(book: Connection) -> None:
    for ask in (
        lambda: ledger_lines(book, [BANK, "assets:nobody"], effective_before=None),
        lambda: balances_before(book, ["assets:nobody"], [NOON]),
    ):
        with pytest.raises(AccountError, match="assets:nobody"):
            ask()


def test_a_trial_balance_lists_every_account_on_its_side_and_each_asset_ties(book: Connection) -> None:
    fund(book, 30)
    post_lines(book, pa.concat_tables([sale("sale"), lines(("yen", YEN, 5), ("yen", YEN, -5))]))
    rows = (
        trial_balance(book)
        .select(["account", "asset", "exponent", "debit_minor", "credit_minor"])
        .to_pylist()
    )
    assert [tuple(row.values()) for row in rows] == [
        ("assets:bank", "EUR", 2, 130, 0),
        ("assets:old", "EUR", 2, 0, 0),
        ("assets:yen", "JPY", 0, 0, 0),
        ("income:sales", "EUR", 2, 0, 100),
        ("liabilities:wallet", "EUR", 2, 0, 30),
    ]
    assert pc.sum(trial_balance(book, effective_before=NOON)["debit_minor"]).as_py() == 0


def test_lines_are_given_by_account_and_half_open_period_in_the_documented_schema(book: Connection) -> None:
    for number in range(4):
        post_lines(book, lines((f"d{number}", BANK, 1), (f"d{number}", SALES, -1), at=NOON + number * DAY))
    found = ledger_lines(book, [BANK], effective_from=NOON + DAY, effective_before=NOON + 3 * DAY)
    assert found.schema.equals(LEDGER_LINE_SCHEMA)
    assert found["entry_key"].to_pylist() == ["d1", "d2"]
    assert ledger_lines(book, [], effective_before=None).num_rows == 0


def test_what_is_held_or_planned_is_no_line_of_the_port(book: Connection) -> None:
    fund(book, 100)
    hold(book, "hold", (WALLET, 60), (BANK, -60))
    post_lines(book, lines(("plan", BANK, 5), ("plan", SALES, -5), layer=["planned", "planned"]))
    assert ledger_lines(book, [BANK, SALES, WALLET], effective_before=None)["entry_key"].to_pylist() == [
        "fund",
        "fund",
    ]
    assert balances_before(book, [BANK], [NOON + DAY])["balance_minor"].to_pylist() == [100]
    snapshot = "1:1:"
    assert lines_posted_since(book, [SALES], snapshot) is None


def test_balances_are_given_before_each_instant(book: Connection) -> None:
    post_lines(book, sale("sale"))
    found = balances_before(book, [SALES, BANK], [NOON, NOON + DAY])
    assert found.schema.equals(BALANCE_SCHEMA)
    assert found["balance_minor"].to_pylist() == [0, 100, 0, -100]
    assert found["account"].to_pylist() == [BANK, BANK, SALES, SALES]


def test_a_line_committed_late_is_not_missed_by_the_next_question(
    own_book: Connection, database_url: str
) -> None:
    with contextlib.closing(psycopg.connect(database_url)) as slow:
        post_lines(slow, lines(("slow", BANK, 1), ("slow", SALES, -1), at=NOON - 5 * DAY))
        post_lines(own_book, sale("quick"))
        own_book.commit()
        snapshot = current_snapshot(own_book)
        own_book.commit()
        assert lines_posted_since(own_book, [BANK], snapshot) is None
        own_book.commit()
        slow.commit()
        assert lines_posted_since(own_book, [BANK], snapshot) == NOON - 5 * DAY
        assert lines_posted_since(own_book, [YEN], snapshot) is None
        own_book.commit()
        assert lines_posted_since(own_book, [BANK], current_snapshot(own_book)) is None
