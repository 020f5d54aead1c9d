"""Reversals, balances now and at a past moment, the trial balance, and the port that reconciliation reads through."""

import contextlib
from datetime import timedelta
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger_core.balance import Balance, trial_balance
from ledger_core.errors import (
    AccountError,
    IdempotencyConflictError,
    LedgerError,
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
from ledger_core.verify import CHECKS, CheckOutcome, verify
from tests.ledger_core.books import BANK, NOON, SALES, WALLET, YEN, fund, lines, outcomes, sale

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


def test_a_reversal_may_not_overdraw_either(book: Connection) -> None:
    fund(book, 100)
    post_lines(book, lines(("pay", WALLET, 100), ("pay", BANK, -100)))
    with pytest.raises(OverdrawnError):
        reverse(book, "fund", reason="bounced", authoriser="Ada")


def test_a_balance_is_asked_before_an_instant_and_as_known_at_another(own_book: Connection) -> None:
    post_lines(own_book, sale("today"))
    own_book.commit()
    row = own_book.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    known_at = row[0]
    own_book.commit()
    post_lines(own_book, lines(("late", BANK, 7), ("late", SALES, -7), at=NOON - DAY))
    assert balance(own_book, BANK) == Balance(account=BANK, asset="EUR", exponent=2, balance_minor=107)
    assert balance(own_book, BANK, effective_before=NOON).balance_minor == 7
    assert balance(own_book, BANK, effective_before=NOON + timedelta(microseconds=1)).balance_minor == 107
    assert balance(own_book, BANK, known_at=known_at).balance_minor == 100
    assert balance(own_book, BANK, effective_before=NOON, known_at=known_at).balance_minor == 0


def test_an_account_outside_the_chart_is_named(book: Connection) -> None:
    for ask in (
        lambda: balance(book, "assets:nobody"),
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


def test_a_check_that_cannot_run_says_so_and_the_others_go_on(book: Connection) -> None:
    book.execute("ALTER FUNCTION ledger.verify(text) RENAME TO verify_away")
    found = verify(book)
    assert [check.code for check in found] == list(CHECKS)
    assert {check.outcome for check in found} == {CheckOutcome.NOT_RUN}


ENTRIES = st.lists(
    st.tuples(
        st.sampled_from(["k0", "k1", "k2", "k3", "k4", "k5"]),
        st.lists(
            st.tuples(st.sampled_from([BANK, SALES, WALLET]), st.integers(-1000, 1000).filter(bool)),
            min_size=1,
            max_size=5,
        ),
        st.sampled_from([0, 0, 0, 1]),
        st.integers(0, 3),
    ),
    unique_by=lambda entry: entry[0],
    min_size=1,
    max_size=5,
)


@given(batches=st.lists(ENTRIES, min_size=1, max_size=5))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_sent_balances_equal_what_was_posted_and_every_law_holds(
    book: Connection, batches: list[Any]
) -> None:
    book.rollback()
    model: dict[str, Any] = {}
    for batch in batches:
        wanted = {key: _entry(key, rows, skew, day) for key, rows, skew, day in batch}
        known = {
            key: "replayed" if model[key] == entry else "conflict"
            for key, entry in wanted.items()
            if key in model
        }
        fresh = {key: entry for key, entry in wanted.items() if key not in model}
        table = pa.concat_tables([lines(*rows, at=NOON + day * DAY) for rows, day in wanted.values()])
        unbalanced = any(sum(amount for _, _, amount in rows) for rows, _ in wanted.values())
        wallet = sum(
            amount
            for rows, _ in [*model.values(), *fresh.values()]
            for _, account, amount in rows
            if account == WALLET
        )
        lowers = (
            sum(amount for rows, _ in fresh.values() for _, account, amount in rows if account == WALLET) > 0
        )
        try:
            answer = dict(
                zip(*post_lines(book, table).select(["entry_key", "outcome"]).to_pydict().values(), strict=True)
            )
        except OverdrawnError:
            assert wallet > 0
            assert lowers
            continue
        except LedgerError:
            assert unbalanced
            continue
        assert not any(sum(amount for _, _, amount in rows) for rows, _ in fresh.values())
        assert wallet <= 0 or not lowers
        assert answer == known | dict.fromkeys(fresh, "posted")
        model |= fresh
        assert "posted" not in outcomes(post_lines(book, table))
    for account in (BANK, SALES, WALLET):
        expected = sum(amount for rows, _ in model.values() for _, on, amount in rows if on == account)
        assert balance(book, account).balance_minor == expected
    assert {check.outcome for check in verify(book)} == {CheckOutcome.OK}
    book.rollback()


def _entry(
    key: str, rows: list[tuple[str, int]], skew: int, day: int
) -> tuple[list[tuple[str, str, int]], int]:
    """Rows made to balance on the bank, or not, by `skew`."""
    rest = -sum(amount for _, amount in rows) + skew
    return sorted((key, account, amount) for account, amount in [*rows, (BANK, rest)] if amount), day
