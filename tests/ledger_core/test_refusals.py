"""Refusals: each says why, is kept under its key, and leaves the other requests of the call alone."""

from datetime import UTC, datetime
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from ledger_core.posting import EntryLine, post, post_lines
from ledger_core.read_port import ledger_lines
from tests.ledger_core.books import (
    BANK,
    OLD,
    SALES,
    WALLET,
    YEN,
    balance,
    fund,
    lines,
    outcomes,
    payment,
    request,
    sale,
)

Connection = psycopg.Connection[Any]


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


def test_a_refused_correction_is_known_again_and_another_one_is_a_conflict(book: Connection) -> None:
    post_lines(book, pa.concat_tables([sale("one"), sale("two")]))
    asked = [payment("pay", 50, corrects=key) for key in ("one", "one", "two")]
    assert [outcomes(post(book, [item])) for item in asked] == [["refused"], ["refused"], ["conflict"]]


def test_refusals_are_listed_with_code_words_and_who_asked(book: Connection) -> None:
    post(book, [payment("pay", 50)])
    rows = book.execute(
        "SELECT entry_key, code, detail, posted_by = session_user FROM ledger.refusal_v1"
    ).fetchall()
    assert rows == [
        (
            "pay",
            "overdrawn",
            f"account {WALLET}: it may not be overdrawn, and would be by 50 minor units of EUR",
            True,
        )
    ]


# Rows, other columns, then what the refusal says: its code and a part of its sentence.
BROKEN = [
    ([("k", BANK, 5), ("k", SALES, -4)], {}, ("unbalanced", "must be 0 minor units")),
    ([("k", BANK, 5), ("k", YEN, -5)], {}, ("unbalanced", "EUR")),
    ([("k", BANK, 5)], {}, ("too_few_lines", "at least 2 lines")),
    ([("k", BANK, 0), ("k", SALES, 0)], {}, ("amount_invalid", "other than 0")),
    ([("k", BANK, -(2**63)), ("k", SALES, 1)], {}, ("amount_invalid", "negative fits")),
    ([("k", SALES, -(2**63)), ("k", BANK, 1)], {}, ("amount_invalid", "negative fits")),
    ([("k", BANK, None), ("k", SALES, -1)], {}, ("amount_invalid", "expected an amount")),
    ([("k", "assets:nobody", 1), ("k", SALES, -1)], {}, ("account_unknown", "assets:nobody")),
    ([("k", None, 1), ("k", SALES, -1)], {}, ("account_unknown", "NULL")),
    ([("k", OLD, 1), ("k", SALES, -1)], {}, ("account_closed", "assets:old")),
    (
        [("k", BANK, 1), ("k", SALES, -1)],
        {"asset": ["JPY"] * 2},
        ("asset_mismatch", "holds EUR, found 'JPY'"),
    ),
    ([("k", BANK, 1), ("k", SALES, -1)], {"asset": ["EUX"] * 2}, ("asset_mismatch", "'EUX'")),
    ([("k", BANK, 1), ("k", SALES, -1)], {"asset": [None] * 2}, ("asset_mismatch", "NULL")),
    ([("k", BANK, 1), ("k", SALES, -1)], {"ref_psp": ["", None]}, ("detail_invalid", "")),
    ([("k", BANK, 1), ("k", SALES, -1)], {"kind": ["x" * 65, None]}, ("detail_invalid", "")),
    ([("k", BANK, 1), ("k", SALES, -1)], {"fx_asset": ["USD", None]}, ("detail_invalid", "")),
    ([("k", BANK, 1), ("k", SALES, -1)], {"metadata": ["[1]", None]}, ("detail_invalid", "")),
    ([("k", BANK, 1), ("k", SALES, -1)], {"corrects": ["none"] * 2}, ("corrected_unknown", "'none'")),
]


@pytest.mark.parametrize("alone", [True, False], ids=["alone", "beside a good one"])
@pytest.mark.parametrize(("rows", "columns", "said"), BROKEN)
def test_a_broken_entry_is_refused_with_a_code_and_in_words_and_others_are_posted(
    book: Connection, rows: Any, columns: dict[str, Any], said: tuple[str, str], alone: bool
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
    assert answer[-1]["code"] == said[0]
    assert said[1] in answer[-1]["detail"]
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
