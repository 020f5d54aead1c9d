"""A transaction lives by its rules: what was reserved is there at settlement; no step is skipped or taken twice."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from ledger_core.errors import (
    ChartError,
    OutOfRangeError,
    OverdrawnError,
    RequestError,
    ReversalError,
    TransactionError,
)
from ledger_core.posting import EntryLine
from ledger_core.reversal import reverse as reverse_entry
from ledger_core.transactions import (
    Quote,
    Step,
    expire_holds,
    history,
    history_lines,
    hold,
    initiate,
    record_quote,
    release,
    reverse,
    settle,
)
from tests.ledger_core.books import BANK, NOON, SALES, WALLET, balance, fund
from tests.ledger_core.payments import ADA, BOB, HOUR, begin, held, now, pay, residue, spend, wallet


def test_a_payment_is_initiated_held_partly_released_settled_and_reversed(
    book: psycopg.Connection[Any],
) -> None:
    fund(book, 1000)
    begin(book)
    assert hold(book, "t", "h", ADA, pay(600, fee=40)).state == "held"
    assert wallet(book) == (1000, 400, 400)
    assert release(book, "t", "p", ADA, pay(100)).state == "partly_released"
    assert wallet(book) == (1000, 500, 500)
    assert settle(book, "t", "s", BOB, pay(300)).event_no == 4
    assert wallet(book) == (700, 700, 700)  # 500 were held: the rest came back in the same step
    assert residue(book, "t") == 0
    reversed_step = reverse(book, "t", "r", BOB)
    assert wallet(book) == (1000, 1000, 1000)
    mirror = [line for line in history_lines(book, "t") if line.event_no == reversed_step.event_no]
    assert [(m.account, m.amount_minor, m.layer) for m in mirror] == [
        (WALLET, -300, "posted"),
        (SALES, 300, "posted"),
    ]
    told = history(book, "t")
    assert [(e.event_no, e.state, e.authoriser) for e in told] == [
        (1, "initiated", "Ada"),
        (2, "held", "Ada"),
        (3, "partly_released", "Ada"),
        (4, "settled", "Bob"),
        (5, "reversed", "Bob"),
    ]
    times = [event.recorded_at for event in told]
    assert times == sorted(times)
    assert told[-1].entry_key == "reversal:s"


def test_a_step_asked_again_gives_the_first_answer_and_another_one_under_its_key_is_a_conflict(
    book: psycopg.Connection[Any],
) -> None:
    fund(book, 1000)
    assert initiate(book, "t", "i", ADA, kind="payment", metadata={"rail": "sepa"}).outcome == "posted"
    assert initiate(book, "t", "i", ADA, kind="payment", metadata={"rail": "sepa"}).outcome == "replayed"
    assert initiate(book, "t", "i", ADA, kind="payment").code == "key_conflict"
    first = hold(book, "t", "h", ADA, pay(600))
    settle(book, "t", "s", ADA, pay(600))
    again = hold(book, "t", "h", ADA, pay(600))  # the transaction has moved on since
    assert again == replace(first, outcome="replayed")
    assert hold(book, "t", "h", ADA, pay(601)).outcome == "conflict"
    assert hold(book, "t", "h", BOB, pay(600)).outcome == "conflict"
    assert reverse(book, "t", "r", BOB).outcome == "posted"
    assert reverse(book, "t", "r", BOB).outcome == "replayed"
    assert initiate(book, "other", "i", ADA).outcome == "conflict"
    with pytest.raises(TransactionError, match="initiated first"):  # that conflict left no transaction behind
        settle(book, "other", "other:s", ADA, pay(1))
    assert wallet(book) == (1000, 1000, 1000)


def test_a_key_that_an_entry_has_taken_is_a_conflict_even_with_the_same_lines(
    book: psycopg.Connection[Any],
) -> None:
    fund(book, 1000)
    assert held(book, "t", 200).outcome == "posted"
    assert spend(book, "taken", 200) == "posted"
    assert settle(book, "t", "taken", ADA, pay(200)).code == "key_conflict"
    assert spend(book, "s:release", 1) == "posted"  # the key under which the rest would be given back
    assert settle(book, "t", "s", ADA, pay(200)).code == "key_conflict"
    assert wallet(book) == (799, 599, 599)
    assert settle(book, "t", "s2", ADA, pay(200)).outcome == "posted"


def test_a_refused_hold_stays_refused_under_its_key_although_money_arrives(
    book: psycopg.Connection[Any],
) -> None:
    fund(book, 100)
    refused = held(book, "t", 600)
    assert (refused.outcome, refused.code, refused.state) == ("refused", "overdrawn", "initiated")
    fund(book, 1000, "later")
    assert hold(book, "t", "t:h", ADA, pay(600)) == refused
    assert hold(book, "t", "t:h", ADA, pay(50)).outcome == "conflict"
    assert hold(book, "t", "t:h2", ADA, pay(600)).outcome == "posted"
    assert hold(book, "t", "t:h", ADA, pay(600)) == replace(refused, state="held", event_no=2)
    assert [event.state for event in history(book, "t")] == ["initiated", "held"]


def test_a_settlement_cannot_lack_what_its_hold_reserved_and_only_the_excess_is_decided(
    book: psycopg.Connection[Any],
) -> None:
    fund(book, 1000)
    held(book, "t", 600)
    assert spend(book, "drain", 400) == "posted"
    assert spend(book, "one more", 1) == "overdrawn"
    more = settle(book, "t", "s", ADA, pay(601))
    assert (more.code, more.state) == ("overdrawn", "held")
    assert wallet(book) == (600, 0, 0)  # the refusal left the hold as it was
    assert settle(book, "t", "s", ADA, pay(601)) == more
    assert settle(book, "t", "s2", ADA, pay(600)).outcome == "posted"
    assert wallet(book) == (0, 0, 0)
    fund(book, 50, "more")
    held(book, "u", 40)
    assert (
        settle(book, "u", "u:s", ADA, pay(50)).outcome == "posted"
    )  # 10 more than held, and they were there
    assert wallet(book) == (0, 0, 0)


def test_without_a_hold_a_settlement_is_decided_and_a_release_moves_nothing(
    book: psycopg.Connection[Any],
) -> None:
    fund(book, 100)
    begin(book, "a")
    assert settle(book, "a", "a:s", ADA, pay(101)).code == "overdrawn"
    assert settle(book, "a", "a:s2", ADA, pay(100)).outcome == "posted"
    begin(book, "b")
    assert release(book, "b", "b:r", ADA) == Step("posted", "released", 2)
    assert wallet(book) == (0, 0, 0)


def test_parts_are_released_account_by_account_up_to_all_but_the_last(book: psycopg.Connection[Any]) -> None:
    fund(book, 1000)
    rows = [(WALLET, 300), (BANK, 20), (SALES, -320)]
    begin(book)
    hold(book, "t", "h", ADA, [EntryLine(account=a, amount_minor=m, asset="EUR") for a, m in rows])
    for too_much in (pay(301), pay(1000), [replace(p, amount_minor=-p.amount_minor) for p in pay(1)]):
        with pytest.raises(TransactionError, match="part of what is held"), book.transaction():
            release(book, "t", "p", ADA, too_much)
    assert (
        release(book, "t", "p", ADA, pay(300)).outcome == "posted"
    )  # all of the wallet's, not all that is held
    assert wallet(book) == (1000, 1000, 1000)
    rest = [EntryLine(account=a, amount_minor=m, asset="EUR") for a, m in ((BANK, 20), (SALES, -20))]
    with pytest.raises(TransactionError, match="release the rest"), book.transaction():
        release(book, "t", "q", ADA, rest)
    assert release(book, "t", "r", ADA).outcome == "posted"
    assert residue(book, "t") == 0
    assert balance(book, BANK).pending_minor == balance(book, BANK).balance_minor


def test_a_due_hold_reads_as_released_from_that_moment_before_any_job_ran(
    book: psycopg.Connection[Any],
) -> None:
    fund(book, 1000)
    due = NOON + HOUR
    assert held(book, "t", 600, expires_at=due).outcome == "posted"
    assert wallet(book, effective_before=due - timedelta(seconds=1)) == (1000, 400, 400)
    assert wallet(book, effective_before=due) == wallet(book) == (1000, 1000, 1000)
    assert spend(book, "all of it", 1000) == "posted"  # decided with the money that came back
    for late in (ADA, BOB):
        with pytest.raises(TransactionError, match="counts as released since"), book.transaction():
            settle(book, "t", "s", late, pay(600))
        with pytest.raises(TransactionError, match="counts as released since"), book.transaction():
            release(book, "t", "p", late, pay(1))
    with pytest.raises(TransactionError, match="counts as released since"), book.transaction():
        release(book, "t", "r", replace(BOB, effective_at=due + HOUR))
    assert expire_holds(book) == 1
    assert expire_holds(book) == 0
    assert wallet(book) == (0, 0, 0)
    assert wallet(book, effective_before=due - timedelta(seconds=1)) == (0, -600, -600)
    last = history(book, "t")[-1]
    assert (last.state, last.reason, last.event_key) == ("released", "expired", "t:expired")
    assert {line.effective_at for line in history_lines(book, "t") if line.event_no == 3} == {due}
    assert residue(book, "t") == 0


def test_a_part_of_a_hold_expires_like_the_whole(book: psycopg.Connection[Any]) -> None:
    fund(book, 1000)
    soon = now(book) + HOUR
    assert held(book, "t", 600, expires_at=soon).outcome == "posted"
    release(book, "t", "p", ADA, pay(100))
    assert (wallet(book), wallet(book, effective_before=soon)) == ((1000, 500, 500), (1000, 1000, 1000))
    with pytest.raises(TransactionError, match="counts as released since"), book.transaction():
        settle(book, "t", "s", replace(ADA, effective_at=soon), pay(500))  # would take effect when it is due
    assert expire_holds(book) == 0
    assert settle(book, "t", "s", ADA, pay(500)).outcome == "posted"


def test_an_expiry_in_a_closed_period_lands_in_the_next(book: psycopg.Connection[Any]) -> None:
    fund(book, 1000)
    held(book, "t", 600, expires_at=NOON + HOUR)
    month_end = datetime.fromisoformat("2026-02-01T00:00:00Z")
    book.execute("SELECT ledger.close_period(%s, 'month end', 'Ada')", (month_end,))
    assert expire_holds(book) == 1
    assert {line.effective_at for line in history_lines(book, "t") if line.event_no == 3} == {month_end}
    assert wallet(book) == (1000, 1000, 1000)


def test_a_step_that_its_state_does_not_allow_is_refused_with_both_states(
    book: psycopg.Connection[Any],
) -> None:
    fund(book, 1000)
    with pytest.raises(TransactionError, match="'t': expected it to be initiated first"), book.transaction():
        hold(book, "t", "h", ADA, pay(1))
    begin(book)
    with (
        pytest.raises(TransactionError, match="it is initiated, and cannot become 'reversed'"),
        book.transaction(),
    ):
        reverse(book, "t", "r", BOB)
    hold(book, "t", "h", ADA, pay(1))
    with pytest.raises(TransactionError, match="it is held, and cannot become 'held'"), book.transaction():
        hold(book, "t", "h2", ADA, pay(1))
    settle(book, "t", "s", ADA, pay(1))
    for again in (lambda: settle(book, "t", "s2", ADA, pay(1)), lambda: release(book, "t", "r", ADA)):
        with pytest.raises(TransactionError, match="it is settled"), book.transaction():
            again()
    with (
        pytest.raises(TransactionError, match="it is settled, and cannot become 'initiated'"),
        book.transaction(),
    ):
        initiate(book, "t", "i2", ADA)


def test_a_reversal_needs_a_reason_and_money_that_is_there(book: psycopg.Connection[Any]) -> None:
    lines = [replace(line, amount_minor=-line.amount_minor) for line in pay(100)]
    begin(book)
    settle(book, "t", "s", ADA, lines)  # a refund to the wallet
    with pytest.raises(ReversalError, match="reason"), book.transaction():
        reverse(book, "t", "r", ADA)
    spend(book, "spent", 100)
    with pytest.raises(OverdrawnError), book.transaction():
        reverse(book, "t", "r", BOB)
    fund(book, 100)
    reverse_entry(book, "s", reason="by hand", authoriser="Bob")
    assert (
        reverse(book, "t", "r", BOB).outcome == "conflict"
    )  # its entry was reversed already, in other words


def test_a_hold_too_large_to_be_given_back_is_refused_at_once(book: psycopg.Connection[Any]) -> None:
    most = 2**63 - 1
    rows = [(BANK, most), (BANK, most), (SALES, -most), (SALES, -most)]
    begin(book)
    with pytest.raises(OutOfRangeError):
        hold(book, "t", "h", ADA, [EntryLine(account=a, amount_minor=m, asset="EUR") for a, m in rows])


def test_the_layer_of_a_line_follows_from_the_step(book: psycopg.Connection[Any]) -> None:
    begin(book)
    with pytest.raises(RequestError, match="layer"):
        hold(book, "t", "h", ADA, [replace(line, layer="planned") for line in pay(5)])
    refused = hold(
        book, "t", "h", ADA, [EntryLine(account="nobody", amount_minor=5, asset="EUR"), *pay(5)[1:]]
    )
    assert refused.code == "account_unknown"


def test_a_quote_never_changes_and_belongs_to_defined_assets(book: psycopg.Connection[Any]) -> None:
    quote = Quote(
        quote_key="q",
        from_asset="EUR",
        to_asset="JPY",
        rate=Decimal("161.370"),
        purpose="locked",
        origin="desk",
        quoted_at=NOON,
    )
    assert record_quote(book, quote)
    assert not record_quote(book, replace(quote, rate=Decimal("161.37")))
    with pytest.raises(ChartError, match="never changes"), book.transaction():
        record_quote(book, replace(quote, rate=Decimal("161.38")))
    with pytest.raises(ChartError), book.transaction():
        record_quote(book, replace(quote, quote_key="r", to_asset="XXX"))
    for rate in (Decimal(0), Decimal("0.1") ** 19, Decimal("1e20")):
        with pytest.raises(RequestError), book.transaction():
            record_quote(book, replace(quote, quote_key="r", rate=rate))
    begin(book)
    with pytest.raises(TransactionError, match="found 'nothing' for held"), book.transaction():
        hold(book, "t", "h", ADA, pay(5), quote_key="nothing")
