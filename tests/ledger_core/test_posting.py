"""Posting: one key is one entry, whole or not at all, and no guarded account is overdrawn under any concurrency."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from ledger_core.balance import trial_balance
from ledger_core.errors import LedgerError, OutOfRangeError, RequestError
from ledger_core.posting import EntryLine, EntryRequest, post, post_lines
from ledger_core.read_port import ledger_lines
from ledger_core.sql import translated_errors
from ledger_core.verify import CheckOutcome, verify
from tests.ledger_core.books import (
    BANK,
    NOON,
    SALES,
    WALLET,
    balance,
    deposit,
    fund,
    lines,
    outcomes,
    payment,
    request,
    sale,
)

Connection = psycopg.Connection[Any]


def test_an_entry_is_posted_once_and_then_replayed(book: Connection) -> None:
    first, again = post_lines(book, sale("sale")), post_lines(book, sale("sale"))
    assert outcomes(first) == ["posted"]
    assert outcomes(again) == ["replayed"]
    assert first["entry_id"] == again["entry_id"]
    assert balance(book, BANK).balance_minor == 100


def test_the_order_of_an_entrys_lines_does_not_matter_for_replay(book: Connection) -> None:
    post_lines(book, lines(("k", BANK, 60), ("k", BANK, 40), ("k", SALES, -100)))
    turned = lines(("k", SALES, -100), ("k", BANK, 40), ("k", BANK, 60))
    assert outcomes(post_lines(book, turned)) == ["replayed"]


@pytest.mark.parametrize(
    "other",
    [
        sale("sale", 101),
        lines(("sale", BANK, 100), ("sale", WALLET, -100)),
        lines(("sale", BANK, 100), ("sale", SALES, -100), at=datetime(2026, 1, 15, 12, 0, 0, 1, UTC)),
        lines(("sale", BANK, 100), ("sale", SALES, -100), ref_psp=["ch_1", None]),
        lines(("sale", BANK, 100), ("sale", SALES, -100), metadata=['{"a": 1}', None]),
        lines(("sale", BANK, 100), ("sale", SALES, -100), layer=["planned", "planned"]),
        lines(("sale", BANK, 100), ("sale", SALES, -100), corrects=["before", "before"]),
        lines(("sale", BANK, 99), ("sale", BANK, 1), ("sale", SALES, -100)),
    ],
    ids=["amount", "account", "a microsecond", "reference", "metadata", "layer", "corrects", "split"],
)
def test_the_same_key_with_other_content_is_a_conflict_that_names_the_first(
    book: Connection, other: pa.Table
) -> None:
    post_lines(book, sale("before", 1))
    first = post_lines(book, sale("sale"))
    answer = post_lines(book, pa.concat_tables([other, sale("new")], promote_options="default"))
    assert outcomes(answer) == ["conflict", "posted"]
    assert answer["code"].to_pylist() == ["key_conflict", None]
    assert answer["entry_id"][0] == first["entry_id"][0]
    assert balance(book, SALES).balance_minor == -201


def test_metadata_that_differs_in_spelling_only_is_the_same_request(book: Connection) -> None:
    post_lines(book, sale("k").append_column("metadata", pa.array(['{"b": 1, "a": [1,2]}', None])))
    same = sale("k").append_column("metadata", pa.array(['{"a":[1, 2],"b":1}', None]))
    assert outcomes(post_lines(book, same)) == ["replayed"]


def test_outcomes_come_in_the_order_of_first_appearance(book: Connection) -> None:
    mixed = lines(("z", BANK, 1), ("a", BANK, 2), ("z", SALES, -1), ("a", SALES, -2))
    assert post_lines(book, mixed)["entry_key"].to_pylist() == ["z", "a"]


def test_each_request_of_a_batch_gets_its_own_outcome(book: Connection) -> None:
    post(book, [deposit("fund", 100), request("known", (BANK, 1), (SALES, -1))])
    batch = [
        request("unknown", ("assets:nobody", 5), (SALES, -5)),
        request("known", (BANK, 1), (SALES, -1)),
        payment("small", 60),
        request("known too", (BANK, 2), (SALES, -2)),
        payment("large", 60),
        deposit("fund", 99),
        payment("rest", 40),
    ]
    answers = post(book, batch)
    assert [answer.entry_key for answer in answers] == [item.entry_key for item in batch]
    assert [(answer.outcome, answer.code) for answer in answers] == [
        ("refused", "account_unknown"),
        ("replayed", None),
        ("posted", None),
        ("posted", None),
        ("refused", "overdrawn"),
        ("conflict", "key_conflict"),
        ("posted", None),
    ]
    assert balance(book, WALLET).balance_minor == 0


@pytest.mark.parametrize("count", [2, 3, 17, 64])
def test_wrong_requests_anywhere_in_a_batch_leave_the_others_alone(book: Connection, count: int) -> None:
    wrong = {0, count // 2, count - 1}
    batch = [request(f"k{n}", (BANK, n + 1), (SALES, -n - 1 - (n in wrong))) for n in range(count)]
    answers = post(book, batch)
    assert {n for n, answer in enumerate(answers) if answer.outcome == "refused"} == wrong
    assert {answer.code for answer in answers} == ({None, "unbalanced"} if count > 3 else {"unbalanced"})
    posted = sum(n + 1 for n in range(count) if n not in wrong)
    assert balance(book, BANK).balance_minor == posted
    assert outcomes(post(book, batch)) == ["refused" if n in wrong else "replayed" for n in range(count)]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (lines(("", BANK, 1), ("", SALES, -1)), "entry_key must have 1 to 255 characters"),
        (lines(("x" * 256, BANK, 1), ("x" * 256, SALES, -1)), "entry_key must have 1 to 255 characters"),
        (lines(("reversal:x", BANK, 1), ("reversal:x", SALES, -1)), "belong to reverse_entry"),
        (
            sale("k").append_column("ref_pspp", pa.array(["x", "y"])),
            "unknown column 'ref_pspp'; did you mean ref_psp",
        ),
        (sale("k").drop_columns(["asset"]), "required column 'asset' is missing"),
        (sale("k").set_column(3, "amount_minor", pa.array([1.0, -1.0])), "amount_minor.*found double"),
        (
            sale("k").set_column(1, "effective_at", pa.array([NOON.replace(tzinfo=None)] * 2)),
            "effective_at.*found timestamp",
        ),
        (sale("k").set_column(3, "amount_minor", pa.array(["1", "x"])), "do not fit"),
    ],
)
def test_a_malformed_table_is_refused_as_a_whole_and_leaves_nothing(
    book: Connection, table: pa.Table, words: str
) -> None:
    both = pa.concat_tables([sale("good"), table], promote_options="default") if "belong" in words else table
    with pytest.raises(RequestError, match=words):
        post_lines(book, both)
    assert ledger_lines(book, [BANK], effective_before=None).num_rows == 0
    assert book.execute("SELECT count(*) FROM ledger.refusal_v1").fetchone() == (0,)


GOOD = EntryLine(account=BANK, amount_minor=1, asset="EUR")
BACK = EntryLine(account=SALES, amount_minor=-1, asset="EUR")


@pytest.mark.parametrize(
    "requests",
    [
        [request("k", GOOD, BACK), request("k", GOOD, BACK)],
        [request("good", GOOD, BACK), request("k")],
        [EntryRequest(entry_key="k", effective_at=NOON.replace(tzinfo=None), lines=[GOOD, BACK])],
        [request("k", EntryLine(account=BANK, amount_minor=1, asset="EUR", layer="hopes"), BACK)],
        [request("k", EntryLine(account=BANK, amount_minor=1, asset="EUR", detail={"kinds": "fee"}), BACK)],
        [request("k", EntryLine(account=BANK, amount_minor=1, asset="EUR", detail={"fx_rate": "x"}), BACK)],
    ],
    ids=["a key twice", "no lines", "no zone", "unknown layer", "unknown detail", "no number"],
)
def test_a_malformed_call_is_refused_as_a_whole_and_leaves_nothing(
    book: Connection, requests: Sequence[EntryRequest]
) -> None:
    with pytest.raises(RequestError):
        post(book, requests)
    assert ledger_lines(book, [BANK], effective_before=None).num_rows == 0


def test_posting_nothing_is_nothing(book: Connection) -> None:
    assert post_lines(book, sale("k").slice(0, 0)).num_rows == 0
    assert post(book, []) == []


def test_amounts_up_to_the_edge_of_64_bits_are_kept_and_a_balance_beyond_is_a_clear_refusal(
    book: Connection,
) -> None:
    edge = 2**63 - 1
    post_lines(book, lines(("a", BANK, edge), ("a", SALES, -edge), ("b", BANK, edge), ("b", SALES, -edge)))
    assert balance(book, BANK).balance_minor == 2 * edge
    with pytest.raises(LedgerError):
        trial_balance(book)


def test_amounts_beyond_64_bits_are_out_of_range(book: Connection) -> None:
    with pytest.raises(OutOfRangeError):
        post(book, [request("k", (BANK, 2**63), (SALES, -(2**63)))])


@pytest.mark.parametrize(
    "arrays",
    [
        {"account": "ARRAY['assets:bank']"},
        {"at": "ARRAY[now()]"},
        {"layer": "ARRAY['planned']::ledger.layer[]"},
        {"key": "ARRAY['k', NULL]"},
        {"at": "ARRAY[now(), NULL]"},
    ],
    ids=["accounts", "times", "layers", "a key missing", "a time missing"],
)
def test_arrays_that_do_not_fit_together_are_refused(book: Connection, arrays: dict[str, str]) -> None:
    right = {
        "key": "ARRAY['k', 'k']",
        "at": "ARRAY[now(), now()]",
        "account": "ARRAY['assets:bank', 'income:sales']",
        "amount": "ARRAY[1, -1]",
        "asset": "ARRAY['EUR', 'EUR']",
        "layer": "NULL",
    }
    call = ", ".join((right | arrays).values())
    with pytest.raises(RequestError), translated_errors():
        book.execute(f"SELECT p.outcome FROM ledger.post_entries({call}) AS p")  # noqa: S608 - no input


def test_anybody_who_speaks_sql_posts_by_a_plain_select(own_book: Connection, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as plain:
        rows = plain.execute(
            "SELECT * FROM ledger.post_entries(ARRAY['a', 'a', 'b', 'b'], "
            "array_fill('2026-01-15 12:00Z'::timestamptz, ARRAY[4]), "
            "ARRAY['assets:bank', 'liabilities:wallet', 'liabilities:wallet', 'assets:bank'], "
            "ARRAY[30, -30, 31, -31], ARRAY['EUR', 'EUR', 'EUR', 'EUR'], p_with_balances => true)"
        ).fetchall()
    assert [(row[0], row[1], row[3]) for row in rows] == [
        ("a", "posted", None),
        ("b", "refused", "overdrawn"),
    ]
    assert rows[0][5]["liabilities:wallet"] == dict.fromkeys(
        ("posted", "pending", "available", "projected"), -30
    )
    assert balance(own_book, BANK).balance_minor == 30


def test_money_that_was_not_folded_yet_can_be_spent(book: Connection) -> None:
    post(book, [deposit("one", 30), deposit("two", 30)])
    assert outcomes(post(book, [payment("pay", 45), payment("more", 16), payment("rest", 15)])) == [
        "posted",
        "refused",
        "posted",
    ]


def test_a_batch_that_ends_above_zero_may_pay_out_what_it_brings_in(book: Connection) -> None:
    assert outcomes(post(book, [payment("out", 50), deposit("in", 50)])) == ["posted", "posted"]


@pytest.mark.parametrize(
    "level", [psycopg.IsolationLevel.REPEATABLE_READ, psycopg.IsolationLevel.SERIALIZABLE]
)
def test_an_isolation_that_would_not_see_others_is_refused(
    own_book: Connection, level: psycopg.IsolationLevel
) -> None:
    own_book.set_isolation_level(level)
    for batch in ([request("k", GOOD, BACK)], [request("k", GOOD, BACK), request("l", GOOD, BACK)]):
        with pytest.raises(RequestError, match="READ COMMITTED"):
            post(own_book, batch)
        own_book.rollback()


def test_one_session_keeps_its_pace_from_an_empty_ledger_to_a_full_one(book: Connection) -> None:
    """A trigger planned on empty tables must not keep a plan that reads them whole: late postings would cost more."""
    early = _seconds_for(book, [f"early{number}" for number in range(60)])
    post_lines(book, pa.concat_tables([sale(f"bulk{number}") for number in range(3000)]))
    late = _seconds_for(book, [f"late{number}" for number in range(60)])
    assert late < early * 3


def _seconds_for(connection: Connection, keys: Sequence[str]) -> float:
    backend = connection.execute("SELECT pg_backend_pid()").fetchone()
    assert backend is not None
    started = _cpu_seconds(backend[0])
    for key in keys:
        post_lines(connection, sale(key))
    return max(_cpu_seconds(backend[0]) - started, 0.05)


def _cpu_seconds(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def test_everything_posted_here_verifies(book: Connection) -> None:
    fund(book, 1000)
    post_lines(book, sale("sale"))
    post(book, [payment("too much", 2000), payment("pay", 1, at=NOON + timedelta(days=1))])
    assert {check.outcome for check in verify(book)} == {CheckOutcome.OK}
