"""Posting: one key is one entry, whole or not at all, and no guarded account is overdrawn under any concurrency."""

import contextlib
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from ledger_core.balance import trial_balance
from ledger_core.chart import close_account
from ledger_core.errors import (
    AccountError,
    LedgerError,
    OutOfRangeError,
    OverdrawnError,
    RequestError,
    UnbalancedEntryError,
)
from ledger_core.posting import post_lines
from ledger_core.read_port import ledger_lines
from ledger_core.sql import translated_errors
from ledger_core.verify import CheckOutcome, verify
from tests.ledger_core.books import BANK, NOON, OLD, SALES, WALLET, YEN, fund, lines, outcomes, sale

Connection = psycopg.Connection[Any]


def together(url: str, count: int, work: Callable[[Connection, int], object]) -> list[object]:
    """Runs `work` in `count` threads with a connection each, all starting at once; returns what each gave or raised."""
    gate, answers = threading.Barrier(count), [None] * count

    def run(number: int) -> None:
        with contextlib.closing(psycopg.connect(url)) as connection:
            gate.wait()
            try:
                answers[number] = work(connection, number)
            except Exception as error:  # noqa: BLE001 - the test looks at it
                answers[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_an_entry_is_posted_once_and_then_replayed(book: Connection) -> None:
    first, again = post_lines(book, sale("sale")), post_lines(book, sale("sale"))
    assert outcomes(first) == ["posted"]
    assert outcomes(again) == ["replayed"]
    assert first["entry_id"] == again["entry_id"]
    assert balance(book, BANK).balance_minor == 100


def test_the_order_of_an_entrys_lines_does_not_matter_for_replay(book: Connection) -> None:
    post_lines(book, lines(("k", BANK, 60), ("k", BANK, 40), ("k", SALES, -100)))
    assert outcomes(post_lines(book, lines(("k", SALES, -100), ("k", BANK, 40), ("k", BANK, 60)))) == ["replayed"]


@pytest.mark.parametrize(
    "other",
    [
        sale("sale", 101),
        lines(("sale", BANK, 100), ("sale", WALLET, -100)),
        lines(("sale", BANK, 100), ("sale", SALES, -100), at=datetime(2026, 1, 15, 12, 0, 0, 1, UTC)),
        lines(("sale", BANK, 100), ("sale", SALES, -100), ref_psp=["ch_1", None]),
        lines(("sale", BANK, 100), ("sale", SALES, -100), metadata=['{"a": 1}', None]),
        lines(("sale", BANK, 99), ("sale", BANK, 1), ("sale", SALES, -100)),
    ],
    ids=["amount", "account", "a microsecond", "reference", "metadata", "split"],
)
def test_the_same_key_with_other_content_is_a_conflict_that_names_the_first(
    book: Connection, other: pa.Table
) -> None:
    first = post_lines(book, sale("sale"))
    answer = post_lines(book, pa.concat_tables([other, sale("new")], promote_options="default"))
    assert outcomes(answer) == ["conflict", "posted"]
    assert answer["entry_id"][0] == first["entry_id"][0]
    assert balance(book, SALES).balance_minor == -200


def test_metadata_that_differs_in_spelling_only_is_the_same_request(book: Connection) -> None:
    post_lines(book, sale("k").append_column("metadata", pa.array(['{"b": 1, "a": [1,2]}', None])))
    assert outcomes(
        post_lines(book, sale("k").append_column("metadata", pa.array(['{"a":[1, 2],"b":1}', None])))
    ) == ["replayed"]


def test_outcomes_come_in_the_order_of_first_appearance(book: Connection) -> None:
    mixed = lines(("z", BANK, 1), ("a", BANK, 2), ("z", SALES, -1), ("a", SALES, -2))
    assert post_lines(book, mixed)["entry_key"].to_pylist() == ["z", "a"]


def test_eight_threads_with_one_key_make_one_entry_and_get_one_answer(
    own_book: Connection, database_url: str
) -> None:
    def work(connection: Connection, _: int) -> tuple[str, int]:
        answer = post_lines(connection, sale("sale"))
        connection.commit()
        return answer["outcome"][0].as_py(), answer["entry_id"][0].as_py()

    answers = together(database_url, 8, work)
    assert sorted(str(outcome) for outcome, _ in answers) == ["posted"] + ["replayed"] * 7  # type: ignore[misc]
    assert len({entry_id for _, entry_id in answers}) == 1  # type: ignore[misc]
    assert balance(own_book, BANK).balance_minor == 100


def test_batches_that_share_keys_in_opposite_order_do_not_block_each_other(
    own_book: Connection, database_url: str
) -> None:
    keys = [f"k{number}" for number in range(40)]

    def work(connection: Connection, number: int) -> int:
        ordered = keys if number % 2 else keys[::-1]
        answer = post_lines(connection, pa.concat_tables([sale(key) for key in ordered]))
        connection.commit()
        return outcomes(answer).count("posted")

    assert sum(together(database_url, 6, work)) == 40  # type: ignore[arg-type]
    assert balance(own_book, BANK).balance_minor == 4000


def test_a_guarded_account_is_never_overdrawn_by_eight_threads(
    own_book: Connection, database_url: str
) -> None:
    fund(own_book, 100)
    own_book.commit()
    below_zero = []

    def work(connection: Connection, number: int) -> int:
        paid = 0
        for turn in range(10):
            with contextlib.suppress(OverdrawnError), connection.transaction():
                post_lines(connection, lines((f"{number}-{turn}", WALLET, 5), (f"{number}-{turn}", BANK, -5)))
                paid += 1
            if balance(connection, WALLET).balance_minor > 0:
                below_zero.append(number)
            connection.rollback()
        return paid

    answers = together(database_url, 8, work)
    assert sum(answers) == 20  # type: ignore[arg-type]
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
    post_lines(own_book, lines(("pay", WALLET, 60), ("pay", BANK, -60)))
    answers: list[object] = []

    def second() -> None:
        answers.extend(
            together(database_url, 1, lambda c, _: post_lines(c, lines(("two", WALLET, 60), ("two", BANK, -60))))
        )

    thread = threading.Thread(target=second)
    thread.start()
    thread.join(0.3)
    assert thread.is_alive()
    own_book.commit()
    thread.join()
    assert isinstance(answers[0], OverdrawnError)
    assert "would be by 20 minor units of EUR" in str(answers[0])


def test_a_batch_that_ends_above_zero_may_pay_out_what_it_brings_in(book: Connection) -> None:
    batch = lines(("out", WALLET, 50), ("out", BANK, -50), ("in", BANK, 50), ("in", WALLET, -50))
    assert outcomes(post_lines(book, batch)) == ["posted", "posted"]


@pytest.mark.parametrize(
    "level", [psycopg.IsolationLevel.REPEATABLE_READ, psycopg.IsolationLevel.SERIALIZABLE]
)
def test_an_isolation_that_would_not_see_others_is_refused(
    own_book: Connection, level: psycopg.IsolationLevel
) -> None:
    own_book.set_isolation_level(level)
    with pytest.raises(RequestError, match="READ COMMITTED"):
        post_lines(own_book, sale("sale"))


@pytest.mark.parametrize(
    ("table", "error", "words"),
    [
        (
            lines(("k", BANK, 5), ("k", SALES, -4)),
            UnbalancedEntryError,
            "entry 'k': debits minus credits in EUR must be 0 minor units, found 1",
        ),
        (lines(("k", BANK, 5), ("k", YEN, -5)), UnbalancedEntryError, "entry 'k'"),
        (lines(("k", BANK, 5)), UnbalancedEntryError, "at least 2 lines"),
        (lines(("k", BANK, 0), ("k", SALES, 0)), RequestError, "must not be 0"),
        (lines(("", BANK, 1), ("", SALES, -1)), RequestError, "entry_key must have 1 to 255 characters"),
        (lines(("reversal:x", BANK, 1), ("reversal:x", SALES, -1)), RequestError, "belong to reverse_entry"),
        (lines(("k", BANK, -(2**63)), ("k", SALES, 1)), RequestError, "never be reversed"),
        (lines(("k", "assets:nobody", 1), ("k", SALES, -1)), AccountError, "account 'assets:nobody'"),
        (lines(("k", OLD, 1), ("k", SALES, -1)), AccountError, "account assets:old: it is closed"),
        (
            lines(("k", BANK, 1), ("k", SALES, -1)).set_column(4, "asset", pa.array(["JPY", "JPY"])),
            AccountError,
            "holds EUR, found a line in JPY",
        ),
        (
            lines(("k", BANK, 1), ("k", SALES, -1)).set_column(4, "asset", pa.array(["EUX", "EUX"])),
            AccountError,
            "asset 'EUX'",
        ),
        (lines(("k", BANK, 1), ("k", SALES, -1), ref_psp=["", None]), RequestError, "reference"),
    ],
)
def test_a_broken_entry_refuses_the_whole_call_in_words(
    book: Connection, table: pa.Table, error: type[LedgerError], words: str
) -> None:
    good = sale("good").select(table.column_names[:5])
    with pytest.raises(error, match=words):
        post_lines(book, pa.concat_tables([good, table], promote_options="default"))
    assert ledger_lines(book, [BANK], effective_before=None).num_rows == 0


def test_one_key_with_two_times_is_refused(book: Connection) -> None:
    later = lines(("k", SALES, -100), at=datetime(2026, 1, 16, tzinfo=UTC))
    with pytest.raises(RequestError, match="entry 'k': expected one effective_at"):
        post_lines(book, pa.concat_tables([lines(("k", BANK, 100)), later]))


@pytest.mark.parametrize(
    ("table", "words"),
    [
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
def test_a_table_of_other_columns_is_refused(book: Connection, table: pa.Table, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        post_lines(book, table)


def test_posting_nothing_is_nothing(book: Connection) -> None:
    assert post_lines(book, sale("k").slice(0, 0)).num_rows == 0


def test_amounts_up_to_the_edge_of_64_bits_are_kept_and_a_balance_beyond_is_a_clear_refusal(
    book: Connection,
) -> None:
    edge = 2**63 - 1
    post_lines(book, lines(("a", BANK, edge), ("a", SALES, -edge), ("b", BANK, edge), ("b", SALES, -edge)))
    assert balance(book, BANK).balance_minor == 2 * edge
    with pytest.raises(LedgerError):
        trial_balance(book)


def test_arrays_of_unequal_length_are_refused(book: Connection) -> None:
    with pytest.raises(RequestError, match="arrays of one length"), translated_errors():
        book.execute(
            "SELECT ledger.post_entries(ARRAY['k', 'k'], ARRAY[now(), now()], ARRAY['a'], "
            "ARRAY[1, -1]::bigint[], ARRAY['EUR', 'EUR'])"
        )


def test_a_number_too_large_for_the_database_is_out_of_range(book: Connection) -> None:
    with pytest.raises(OutOfRangeError), translated_errors():
        book.execute("SELECT 9223372036854775808::bigint")


def test_closing_waits_for_postings_under_way(own_book: Connection, database_url: str) -> None:
    post_lines(own_book, sale("sale"))
    answers: list[object] = []
    thread = threading.Thread(
        target=lambda: answers.extend(
            together(database_url, 1, lambda c, _: close_account(c, SALES, reason="r", authoriser="Ada"))
        )
    )
    thread.start()
    thread.join(0.3)
    assert thread.is_alive()
    own_book.commit()
    thread.join()
    assert isinstance(answers[0], AccountError)
    assert "expected a balance of 0" in str(answers[0])


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
    assert {check.outcome for check in verify(book)} == {CheckOutcome.OK}
