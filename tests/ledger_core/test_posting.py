"""Posting: one key is one entry, whole or not at all, and no guarded account is overdrawn under any concurrency."""

import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from ledger_core.balance import fold, trial_balance
from ledger_core.errors import LedgerError, OutOfRangeError, RequestError
from ledger_core.posting import EntryLine, EntryRequest, post, post_lines
from ledger_core.read_port import ledger_lines
from ledger_core.sql import translated_errors
from ledger_core.verify import CheckOutcome, verify
from tests.ledger_core.books import (
    BANK,
    NOON,
    OLD,
    SALES,
    WALLET,
    YEN,
    balance,
    deposit,
    fund,
    lines,
    outcomes,
    payment,
    request,
    sale,
    together,
    waiting,
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


def test_what_was_refused_stays_refused_under_its_key_though_money_came_later(book: Connection) -> None:
    first = post(book, [payment("pay", 50)])[0]
    fund(book, 100)
    again = post(book, [payment("pay", 50)])[0]
    assert first == again
    assert (again.outcome, again.code) == ("refused", "overdrawn")
    assert "would be by 50 minor units" in (again.detail or "")
    assert outcomes(post(book, [payment("pay", 40)])) == ["conflict"]
    assert outcomes(post(book, [payment("pay again", 50)])) == ["posted"]
    assert balance(book, WALLET).balance_minor == -50
    assert ledger_lines(book, [WALLET], effective_before=None)["entry_key"].to_pylist() == [
        "fund",
        "pay again",
    ]


def test_a_refusal_is_known_again_whatever_its_neighbours_of_the_call_say(book: Connection) -> None:
    said = EntryLine(account=BANK, amount_minor=1, asset="EUR", layer="planned", detail={"kind": "fee"})
    mate = request("mate", said, EntryLine(account=SALES, amount_minor=-1, asset="EUR", layer="planned"))
    first = post(book, [payment("pay", 50)])[0]
    answers = post(book, [payment("pay", 50), mate])
    assert answers[0] == first
    assert outcomes(answers) == ["refused", "posted"]
    assert outcomes(post_lines(book, lines(("pay", WALLET, 50), ("pay", BANK, -50)))) == ["refused"]


def test_refusals_are_listed_with_code_words_and_who_asked(book: Connection) -> None:
    post(book, [payment("pay", 50)])
    rows = book.execute(
        "SELECT entry_key, code, detail, posted_by = session_user FROM ledger.refusal_v1"
    ).fetchall()
    assert rows == [
        ("pay", "overdrawn", "account liabilities:wallet: it may not be overdrawn, and would be by 50 minor "
         "units of EUR", True),
    ]  # fmt: skip


BROKEN = [
    ([("k", BANK, 5), ("k", SALES, -4)], {}, "unbalanced", "must be 0 minor units"),
    ([("k", BANK, 5), ("k", YEN, -5)], {}, "unbalanced", "EUR"),
    ([("k", BANK, 5)], {}, "too_few_lines", "at least 2 lines"),
    ([("k", BANK, 0), ("k", SALES, 0)], {}, "amount_invalid", "other than 0"),
    ([("k", BANK, -(2**63)), ("k", SALES, 1)], {}, "amount_invalid", "negative fits"),
    ([("k", SALES, -(2**63)), ("k", BANK, 1)], {}, "amount_invalid", "negative fits"),
    ([("k", BANK, None), ("k", SALES, -1)], {}, "amount_invalid", "expected an amount"),
    ([("k", "assets:nobody", 1), ("k", SALES, -1)], {}, "account_unknown", "assets:nobody"),
    ([("k", None, 1), ("k", SALES, -1)], {}, "account_unknown", "NULL"),
    ([("k", OLD, 1), ("k", SALES, -1)], {}, "account_closed", "assets:old"),
    ([("k", BANK, 1), ("k", SALES, -1)], {"asset": ["JPY"] * 2}, "asset_mismatch", "holds EUR, found 'JPY'"),
    ([("k", BANK, 1), ("k", SALES, -1)], {"asset": ["EUX"] * 2}, "asset_mismatch", "'EUX'"),
    ([("k", BANK, 1), ("k", SALES, -1)], {"asset": [None] * 2}, "asset_mismatch", "NULL"),
    ([("k", BANK, 1), ("k", SALES, -1)], {"ref_psp": ["", None]}, "detail_invalid", ""),
    ([("k", BANK, 1), ("k", SALES, -1)], {"kind": ["x" * 65, None]}, "detail_invalid", ""),
    ([("k", BANK, 1), ("k", SALES, -1)], {"fx_asset": ["USD", None]}, "detail_invalid", ""),
    ([("k", BANK, 1), ("k", SALES, -1)], {"metadata": ["[1]", None]}, "detail_invalid", ""),
    ([("k", BANK, 1), ("k", SALES, -1)], {"corrects": ["none"] * 2}, "corrected_unknown", "'none'"),
]


@pytest.mark.parametrize("alone", [True, False], ids=["alone", "beside a good one"])
@pytest.mark.parametrize(("rows", "columns", "code", "words"), BROKEN)
def test_a_broken_entry_is_refused_with_a_code_and_in_words_and_others_are_posted(
    book: Connection, rows: Any, columns: dict[str, Any], code: str, words: str, alone: bool
) -> None:
    table = lines(*rows)
    for name, values in columns.items():
        if name in table.column_names:
            table = table.drop_columns([name])
        table = table.append_column(name, pa.array(values, pa.string()))
    good = sale("good").select([name for name in sale("good").column_names if name in table.column_names])
    sent = table if alone else pa.concat_tables([good, table], promote_options="default")
    answer = post_lines(book, sent).to_pylist()
    assert [item["outcome"] for item in answer] == (["refused"] if alone else ["posted", "refused"])
    assert answer[-1]["code"] == code
    assert words in answer[-1]["detail"]
    assert post_lines(book, sent).to_pylist()[-1] == answer[-1]
    assert ledger_lines(book, [BANK], effective_before=None).num_rows == (0 if alone else 1)


@pytest.mark.parametrize("at", ["infinity", "-infinity"])
def test_an_entry_at_no_finite_time_is_refused_and_stays_so(book: Connection, at: str) -> None:
    call = (
        "SELECT p.outcome, p.code FROM ledger.post_entries(ARRAY['k', 'k'], ARRAY[%(at)s, %(at)s]::timestamptz[], "
        "ARRAY['assets:bank', 'income:sales'], ARRAY[1, -1]::bigint[], ARRAY['EUR', 'EUR']) AS p"
    )
    for _ in range(2):
        assert book.execute(call, {"at": at}).fetchall() == [("refused", "time_invalid")]


def test_one_key_with_two_times_is_refused(book: Connection) -> None:
    later = lines(("k", SALES, -100), at=datetime(2026, 1, 16, tzinfo=UTC))
    answer = post_lines(book, pa.concat_tables([lines(("k", BANK, 100)), later]))
    assert (answer["outcome"].to_pylist(), answer["code"].to_pylist()) == (["refused"], ["several_times"])


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
        [request("good", GOOD, BACK), EntryRequest(entry_key="k", effective_at=None, lines=[GOOD, BACK])],  # type: ignore[arg-type]
        [EntryRequest(entry_key="k", effective_at=NOON.replace(tzinfo=None), lines=[GOOD, BACK])],
        [request("k", EntryLine(account=BANK, amount_minor=1, asset="EUR", layer="hopes"), BACK)],
        [request("k", EntryLine(account=BANK, amount_minor=1, asset="EUR", detail={"kinds": "fee"}), BACK)],
        [request("k", EntryLine(account=BANK, amount_minor=1, asset="EUR", detail={"fx_rate": "x"}), BACK)],
    ],
    ids=["a key twice", "no lines", "no time", "no zone", "unknown layer", "unknown detail", "no number"],
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
        "ARRAY['k', 'k'], ARRAY[now(), now()], ARRAY['a'], ARRAY[1, -1]::bigint[], ARRAY['EUR', 'EUR']",
        "ARRAY['k', 'k'], ARRAY[now()], ARRAY['assets:bank', 'income:sales'], ARRAY[1, -1]::bigint[], "
        "ARRAY['EUR', 'EUR']",
        "ARRAY['k', 'k'], ARRAY[now(), now()], ARRAY['assets:bank', 'income:sales'], ARRAY[1, -1]::bigint[], "
        "ARRAY['EUR', 'EUR'], ARRAY['outgoing']::ledger.layer[]",
        "ARRAY['k', NULL], ARRAY[now(), now()], ARRAY['assets:bank', 'income:sales'], ARRAY[1, -1]::bigint[], "
        "ARRAY['EUR', 'EUR']",
    ],
    ids=["accounts", "times", "layers", "a key missing"],
)
def test_arrays_that_do_not_fit_together_are_refused(book: Connection, arrays: str) -> None:
    with pytest.raises(RequestError), translated_errors():
        book.execute(f"SELECT p.outcome FROM ledger.post_entries({arrays}) AS p")  # noqa: S608 - no input


def test_anybody_who_speaks_sql_posts_by_a_plain_select(own_book: Connection, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as plain:
        rows = plain.execute(
            "SELECT * FROM ledger.post_entries(ARRAY['a', 'a', 'b', 'b'], "
            "array_fill('2026-01-15 12:00Z'::timestamptz, ARRAY[4]), "
            "ARRAY['assets:bank', 'liabilities:wallet', 'liabilities:wallet', 'assets:bank'], "
            "ARRAY[30, -30, 31, -31], ARRAY['EUR', 'EUR', 'EUR', 'EUR'], p_with_balances => true)"
        ).fetchall()
    assert [(row[0], row[1], row[3]) for row in rows] == [("a", "posted", None), ("b", "refused", "overdrawn")]
    assert rows[0][5]["liabilities:wallet"] == dict.fromkeys(
        ("posted", "pending", "available", "projected"), -30
    )
    assert balance(own_book, BANK).balance_minor == 30


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

    def work(connection: Connection, number: int) -> int:
        batch = [
            request(key, (BANK, 100), (SALES, -99 if wrong and int(key[1:]) % 13 == 0 else -100))
            for key in (keys if number % 2 else keys[::-1])
        ]
        answer = outcomes(post(connection, batch))
        connection.commit()
        assert answer.count("refused") == (4 if wrong else 0)
        return answer.count("posted")

    answers = together(database_url, 6, work)
    assert [error for error in answers if isinstance(error, Exception)] == []
    assert sum(answers) == (36 if wrong else 40)
    assert balance(own_book, BANK).balance_minor == (3600 if wrong else 4000)


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
