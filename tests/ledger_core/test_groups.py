"""What a request says beyond account and amount: groups, corrections, details, layers, entities, balances wanted."""

from typing import Any

import psycopg
import pytest

from ledger_core.errors import RequestError
from ledger_core.posting import EntryLine, post, post_lines
from ledger_core.read_port import ledger_lines
from ledger_core.transactions import Mover, release
from tests.ledger_core.books import (
    BANK,
    NOON,
    OLD,
    SALES,
    WALLET,
    balance,
    deposit,
    fund,
    hold,
    lines,
    outcomes,
    payment,
    request,
    sale,
)

Connection = psycopg.Connection[Any]
SHOP = "income:sales:shop"
BRANCH_CHART = """
SELECT ledger.open_accounts(
  ARRAY['branch:bank', 'branch:sales'], ARRAY['Bank', 'Sales'], ARRAY['asset', 'income'], ARRAY['EUR', 'EUR'],
  ARRAY[true, true], ARRAY['branch', 'branch'])
"""


def line(account: str, amount_minor: int, layer: str = "posted", **detail: Any) -> EntryLine:
    """A line in EUR, with whatever is said of it."""
    return EntryLine(
        account=account, amount_minor=amount_minor, asset="EUR", layer=layer, detail=detail or None
    )


@pytest.mark.parametrize(
    "wrong",
    [
        payment("wrong", 61, group=1),
        request("wrong", (BANK, 5), (SALES, -4), group=1),
        request("wrong", (OLD, 5), (SALES, -5), group=1),
    ],
    ids=["overdrawn", "unbalanced", "closed account"],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_group_is_posted_whole_or_not_at_all(book: Connection, wrong: Any, place: int) -> None:
    fund(book, 100)
    group = [payment("one", 20, group=1), payment("two", 20, group=1)]
    group.insert(place, wrong)
    batch = [request("before", (BANK, 1), (SALES, -1)), *group, payment("after", 100)]
    answers = post(book, batch)
    assert outcomes(answers) == ["posted", "refused", "refused", "refused", "posted"]
    assert all(answer.code and answer.detail for answer in answers[1:4])
    assert balance(book, WALLET).balance_minor == 0
    assert outcomes(post(book, [payment("one", 20), payment("two", 20)])) == ["refused", "refused"]


def test_a_group_that_is_right_is_posted_beside_one_that_is_not(book: Connection) -> None:
    fund(book, 100)
    batch = [payment("a", 30, group=7), payment("b", 90, group=8), payment("c", 30, group=7)]
    assert outcomes(post(book, [*batch, payment("d", 1, group=8)])) == [
        "posted",
        "refused",
        "posted",
        "refused",
    ]
    assert balance(book, WALLET).balance_minor == -40


def test_a_group_may_spend_what_it_brings_in(book: Connection) -> None:
    batch = [payment("out", 50, group=1), deposit("in", 50, group=1), payment("more", 1)]
    assert outcomes(post(book, batch)) == ["posted", "posted", "refused"]


def test_a_group_goes_with_its_member_known_from_before(book: Connection) -> None:
    fund(book, 100)
    post(book, [payment("known", 10), payment("refused", 1000)])
    answers = post(book, [payment("known", 10, group=1), payment("new", 10, group=1)])
    assert outcomes(answers) == ["replayed", "posted"]
    answers = post(book, [payment("refused", 1000, group=1), payment("mate", 10, group=1)])
    assert [(answer.outcome, answer.code) for answer in answers] == [
        ("refused", "overdrawn"),
        ("refused", "group_refused"),
    ]
    answers = post(book, [payment("known", 11, group=1), payment("other mate", 10, group=1)])
    assert [(answer.outcome, answer.code) for answer in answers] == [
        ("conflict", "key_conflict"),
        ("refused", "group_refused"),
    ]
    assert balance(book, WALLET).balance_minor == -80


def test_an_entry_whose_lines_name_two_groups_is_still_one_entry(book: Connection) -> None:
    rows = book.execute(
        "SELECT p.entry_key, p.outcome FROM ledger.post_entries(ARRAY['a', 'a', 'wrong', 'wrong', 'a', 'a'], "
        "array_fill('2026-01-15 12:00Z'::timestamptz, ARRAY[6]), ARRAY['assets:bank', 'income:sales', 'assets:bank', "
        "'income:sales', 'assets:bank', 'income:sales'], ARRAY[5, -5, 1, -2, 7, -7], "
        "array_fill('EUR'::text, ARRAY[6]), p_group => ARRAY[1, 1, NULL, NULL, NULL, NULL]) AS p"
    ).fetchall()
    assert rows == [("a", "posted"), ("wrong", "refused")]
    assert balance(book, BANK).balance_minor == 12


def test_balances_asked_for_are_those_after_the_call(book: Connection) -> None:
    fund(book, 100)
    hold(book, "hold", (WALLET, 30), (BANK, -30))
    paid, refused, sold = post(
        book,
        [payment("pay", 10), payment("all", 61), request("sale", (BANK, 5), (SALES, -5))],
        with_balances=True,
    )
    wallet = {"posted": -90, "pending": -60, "available": -60, "projected": -60}
    bank = {"posted": 95, "pending": 65, "available": 65, "projected": 65}
    assert paid.balances == {WALLET: wallet, BANK: bank}
    assert (refused.outcome, refused.balances) == ("refused", None)
    assert sold.balances == {BANK: bank, SALES: dict.fromkeys(bank, -5)}
    again = post(book, [payment("pay", 10)], with_balances=True)[0]
    assert (again.outcome, again.balances) == ("replayed", paid.balances)


def test_a_correction_names_the_entry_it_corrects_and_leaves_it_as_it_is(book: Connection) -> None:
    post_lines(book, sale("sale"))
    fixes = [request(key, (BANK, -3), (SALES, 3), corrects="sale") for key in ("fix", "fix again")]
    assert outcomes(post(book, fixes)) == ["posted", "posted"]
    assert outcomes(post(book, fixes)) == ["replayed", "replayed"]
    assert outcomes(post(book, [request("fix", (BANK, -3), (SALES, 3))])) == ["conflict"]
    rows = book.execute(
        "SELECT DISTINCT entry_key, corrects_entry_key FROM ledger.journal_line_v1 ORDER BY entry_key"
    ).fetchall()
    assert rows == [("fix", "sale"), ("fix again", "sale"), ("sale", None)]
    assert balance(book, BANK).balance_minor == 94


def test_what_is_said_of_a_line_is_kept_as_it_was_said(book: Connection) -> None:
    said = {
        "kind": "fee",
        "description": 'Käse, "gut" (\\.)',
        "ref_psp": "ch_1",
        "fx_rate": "1.100",
        "fx_asset": "USD",
        "fx_amount_minor": 2**60,
        "metadata": {"rail": "sepa", "product": {"id": 1}},
    }
    entry = request("k", line(BANK, 5, **said), line(SALES, -5))
    assert outcomes(post(book, [entry])) == ["posted"]
    assert outcomes(post(book, [entry, request("plain", (BANK, 1), (SALES, -1))])) == ["replayed", "posted"]
    row = book.execute(
        "SELECT kind, description, ref_psp, fx_rate::text, fx_asset, fx_amount_minor, metadata "
        "FROM ledger.journal_line_v1 WHERE entry_key = 'k' ORDER BY line_no"
    ).fetchall()
    assert row == [tuple(said.values()), (None,) * 7]
    found = book.execute(
        'SELECT entry_key FROM ledger.journal_line_v1 WHERE metadata @> \'{"rail": "sepa"}\''
    ).fetchall()
    assert found == [("k",)]


@pytest.mark.parametrize(
    ("rows", "outcome"),
    [
        ([line(WALLET, 5, "planned"), line(BANK, -5, "planned")], "posted"),
        ([line(WALLET, 5, "planned"), line(BANK, -5, "planned"), line(BANK, 9), line(SALES, -9)], "posted"),
        ([line(WALLET, 5), line(BANK, -5, "planned")], "refused"),
        ([line(BANK, 5, "planned"), line(SALES, -5)], "refused"),
    ],
)
def test_each_layer_balances_in_itself(book: Connection, rows: list[EntryLine], outcome: str) -> None:
    fund(book, 100)
    answer = post(book, [request("k", *rows)])[0]
    assert (answer.outcome, answer.code) == (outcome, "unbalanced" if outcome == "refused" else None)


@pytest.mark.parametrize("layer", ["outgoing", "incoming"])
def test_nothing_is_held_outside_of_a_transaction(book: Connection, layer: str) -> None:
    fund(book, 100)
    with pytest.raises(RequestError, match="move_transaction"):
        post(book, [payment("pay", 1), request("k", line(WALLET, 5, layer), line(BANK, -5, layer))])
    assert balance(book, WALLET).available_minor == -100


def test_held_money_cannot_be_spent_and_what_is_held_in_or_planned_is_not_there_yet(book: Connection) -> None:
    fund(book, 100)
    hold(book, "hold", (WALLET, 60), (BANK, -60))
    hold(book, "coming", (WALLET, -500), (BANK, 500))
    post(book, [request("hoped", line(WALLET, -700, "planned"), line(BANK, 700, "planned"))])
    assert outcomes(post(book, [payment("too much", 41), payment("pay", 40)])) == ["refused", "posted"]
    found = balance(book, WALLET)
    assert (found.balance_minor, found.available_minor) == (-60, 0)
    assert (found.pending_minor, found.projected_minor) == (-500, -1200)
    assert release(book, "hold", "hold:r", Mover(authoriser="Ada", effective_at=NOON)).outcome == "posted"
    assert outcomes(post(book, [payment("rest", 60)])) == ["posted"]


def test_an_entry_across_two_entities_balances_in_each(book: Connection) -> None:
    book.execute(BRANCH_CHART)
    apart = [line(BANK, 5), line(SALES, -5), line("branch:bank", 7), line("branch:sales", -7)]
    mixed = [line(BANK, 5), line("branch:sales", -5)]
    answers = post(book, [request("apart", *apart), request("mixed", *mixed)])
    assert [(answer.outcome, answer.code) for answer in answers] == [
        ("posted", None),
        ("refused", "unbalanced"),
    ]
    assert balance(book, "branch").entity == "branch"
    assert balance(book, "branch").balance_minor == 0


def test_a_summary_account_takes_no_lines(book: Connection) -> None:
    book.execute(
        "SELECT ledger.open_accounts(ARRAY['fees', 'fees:card'], ARRAY['Fees', 'Card'], ARRAY['expense', 'expense'], "
        "ARRAY['EUR', 'EUR'], ARRAY[true, true])"
    )
    sent = [request(code, line(code, 5), line(BANK, -5)) for code in ("fees", "fees:card")]
    assert [(answer.outcome, answer.code) for answer in post(book, sent)] == [
        ("refused", "account_summary"),
        ("posted", None),
    ]
    assert balance(book, "fees").balance_minor == 5


@pytest.mark.parametrize(("code", "words"), [(SHOP, "below income:sales"), ("income", "which takes lines")])
def test_nothing_lies_below_an_account_that_takes_lines(book: Connection, code: str, words: str) -> None:
    with pytest.raises(psycopg.Error, match=words) as refused:
        book.execute(
            "SELECT ledger.open_accounts(ARRAY[%s], ARRAY['X'], ARRAY['income'], ARRAY['EUR'], ARRAY[true])",
            (code,),
        )
    assert refused.value.sqlstate == "TL009"


def test_a_table_of_lines_carries_layers_and_corrections(book: Connection) -> None:
    fund(book, 100)
    plan = lines(("plan", WALLET, 60), ("plan", BANK, -60), layer=["planned", "planned"])
    fix = lines(("fix", BANK, 1), ("fix", SALES, -1), corrects=["fund", "fund"])
    assert outcomes(post_lines(book, plan)) == outcomes(post_lines(book, fix)) == ["posted"]
    assert balance(book, WALLET).projected_minor == -40
    assert ledger_lines(book, [WALLET], effective_before=None)["entry_key"].to_pylist() == ["fund"]
