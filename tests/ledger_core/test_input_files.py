"""Charts and entries from files: typed strictly, whole or not at all, every bad place named."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from ledger_core.chart import define_assets, load_accounts
from ledger_core.errors import (
    ChartError,
    IdempotencyConflictError,
    InputFileError,
    LedgerError,
)
from ledger_core.posting import ENTRY_SCHEMA, load_entries
from ledger_core.read_port import ledger_lines
from tests.ledger_core.books import BANK, NOON, SALES, outcomes

Connection = psycopg.Connection[Any]

ENTRY = "entry_key,effective_at,account,amount_minor,asset"
SALE = "s1,2026-01-15T12:00:00Z,assets:bank,100,EUR\ns1,2026-01-15T12:00:00Z,income:sales,-100,EUR\n"
ACCOUNT = "code,name,type,asset,may_overdraw"


def write(folder: Path, text: str | bytes, name: str = "in.csv") -> Path:
    """A file of that text."""
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def problems(read: Callable[[], object]) -> tuple[str, ...]:
    """The problems with which `read` refuses its file."""
    with pytest.raises(InputFileError) as caught:
        read()
    return caught.value.problems


def test_a_file_of_entries_is_posted_and_posting_it_again_changes_nothing(
    book: Connection, tmp_path: Path
) -> None:
    path = write(tmp_path, f"{ENTRY}\n{SALE}")
    assert outcomes(load_entries(book, path)) == ["posted"]
    assert outcomes(load_entries(book, path)) == ["replayed"]
    assert ledger_lines(book, [BANK, SALES], effective_before=None).num_rows == 2


def test_every_column_of_the_contract_arrives_as_it_was_written(book: Connection, tmp_path: Path) -> None:
    row: dict[str, Any] = {
        "entry_key": "full",
        "effective_at": datetime(2026, 1, 15, 23, 59, 59, 999999, UTC),
        "account": BANK,
        "amount_minor": 5,
        "asset": "EUR",
        "kind": "charge",
        "description": 'Käse, "gut"\n\\.',
        "counterparty": "Ünal & Sons",
        "batch_ref": "B,1",
        "ref_end_to_end": "E2E",
        "ref_uetr": "11111111-2222",
        "ref_servicer": "S",
        "ref_psp": "ch_1",
        "ref_merchant": "order 1",
        "ref_payout": "po_1",
        "ref_arn": "00000000000000000000001",
        "ref_rrn": "000000000001",
        "ref_auth_code": "000123",
        "fx_rate": Decimal("1.234567890123456789"),
        "fx_asset": "USD",
        "fx_amount_minor": 6,
        "metadata": '{"a": {"b": [1, "x"]}}',
    }
    table = pa.Table.from_pylist([row, row | {"account": SALES, "amount_minor": -5}], schema=ENTRY_SCHEMA)
    pa.csv.write_csv(table, tmp_path / "full.csv")
    pa.parquet.write_table(table, tmp_path / "full.parquet")
    assert outcomes(load_entries(book, tmp_path / "full.parquet")) == ["posted"]
    assert outcomes(load_entries(book, tmp_path / "full.csv")) == ["replayed"]
    found = ledger_lines(book, [BANK], effective_before=None).to_pylist()[0]
    assert {name: found[name] for name in row if name != "metadata"} == {
        name: value for name, value in row.items() if name != "metadata"
    }
    assert book.execute("SELECT DISTINCT metadata #>> '{a,b,1}' FROM ledger.journal_line_v1").fetchall() == [
        ("x",)
    ]


def test_columns_come_in_any_order_and_empty_optional_fields_are_no_values(
    book: Connection, tmp_path: Path
) -> None:
    text = (
        "ref_psp,asset,amount_minor,account,effective_at,entry_key,fx_rate\n"
        ",EUR,1,assets:bank,2026-01-15 13:00+01:00,k,\n"
        '"",EUR,-1,income:sales,2026-01-15T12:00Z,k,\n'
    )
    load_entries(book, write(tmp_path, text))
    found = ledger_lines(book, [BANK, SALES], effective_before=None)
    assert found["ref_psp"].null_count == 2
    assert found["effective_at"].to_pylist() == [datetime(2026, 1, 15, 12, tzinfo=UTC)] * 2


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (
            "k,2026-01-15T12:00:00,assets:bank,1,EUR",
            "row 1, column effective_at: expected an ISO 8601 time with zone",
        ),
        (
            "k,2026-02-30T12:00:00Z,assets:bank,1,EUR",
            "row 1, column effective_at: expected an ISO 8601 time with zone",
        ),
        (
            "k,2026-01-15T25:00:00Z,assets:bank,1,EUR",
            "row 1, column effective_at: expected an ISO 8601 time with zone",
        ),
        (
            "k,2026-01-15T12:00:00.1234567Z,assets:bank,1,EUR",
            "row 1, column effective_at: expected an ISO 8601 time with zone",
        ),
        (
            "k,2026-01-15T12:00:00Z,assets:bank,1.00,EUR",
            "row 1, column amount_minor: expected a whole number",
        ),
        ("k,2026-01-15T12:00:00Z,assets:bank,1e3,EUR", "row 1, column amount_minor: expected a whole number"),
        ("k,2026-01-15T12:00:00Z,assets:bank, 1,EUR", "row 1, column amount_minor: expected a whole number"),
        (
            "k,2026-01-15T12:00:00Z,assets:bank,9223372036854775808,EUR",
            "row 1, column amount_minor: expected a whole number",
        ),
        (
            "k,2026-01-15T12:00:00Z,assets:bank,,EUR",
            "row 1, column amount_minor: expected a whole number of at most 64 bits, plain digits, found nothing",
        ),
        (
            "k,2026-01-15T12:00:00Z,assets:bank,0,EUR",
            "row 1, column amount_minor: expected an amount other than 0",
        ),
        (",2026-01-15T12:00:00Z,assets:bank,1,EUR", "row 1, column entry_key: expected text, found nothing"),
        (
            "k,2026-01-15T12:00:00Z,assets:bnk,1,EUR",
            "row 1, column account: expected an account of the chart, found 'assets:bnk'",
        ),
        (
            "k,2026-01-15T12:00:00Z,assets:old,1,EUR",
            "row 1, column account: expected an open account, found 'assets:old'",
        ),
        (
            "k,2026-01-15T12:00:00Z,assets:bank,1,JPY",
            "row 1, column asset: expected EUR, the asset of assets:bank, found 'JPY'",
        ),
        (
            "k" * 256 + ",2026-01-15T12:00:00Z,assets:bank,1,EUR",
            "row 1, column entry_key: expected at most 255 characters",
        ),
        ("k,2026-01-15T12:00:00Z", "row 1: expected 5 fields, found 2"),
    ],
)
def test_a_bad_field_is_named_with_row_column_expected_and_found(
    book: Connection, tmp_path: Path, rows: str, expected: str
) -> None:
    found = problems(lambda: load_entries(book, write(tmp_path, f"{ENTRY}\n{rows}\n{SALE}")))
    assert [text[: len("in.csv ") + len(expected)] for text in found] == [f"in.csv {expected}"]
    assert ledger_lines(book, [BANK, SALES], effective_before=None).num_rows == 0


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("metadata", "[1]", "a JSON object"),
        ("metadata", "{", "a JSON object"),
        ("fx_rate", "0", "a positive decimal"),
        ("fx_rate", "-1", "a positive decimal"),
        ("fx_rate", "1.0000000000000000001", "a positive decimal"),
        ("fx_asset", "usd", "an asset code such as EUR"),
        ("fx_asset", "USD", "it together with fx_amount_minor"),
        ("kind", "x" * 65, "at most 64 characters"),
    ],
)
def test_a_bad_optional_field_is_named_too(
    book: Connection, tmp_path: Path, column: str, value: str, expected: str
) -> None:
    quoted = value.replace('"', '""')
    rows = (
        f'k,2026-01-15T12:00:00Z,assets:bank,1,EUR,"{quoted}"\nk,2026-01-15T12:00:00Z,income:sales,-1,EUR,\n'
    )
    text = f"{ENTRY},{column}\n{rows}"
    found = problems(lambda: load_entries(book, write(tmp_path, text)))
    assert len(found) == 1
    assert found[0].startswith(f"in.csv row 1, column {column}: expected {expected}")


def test_every_bad_row_is_named_up_to_a_limit(book: Connection, tmp_path: Path) -> None:
    bad = "k,2026-01-15T12:00:00Z,assets:bank,x,EUR\n"
    assert len(problems(lambda: load_entries(book, write(tmp_path, f"{ENTRY}\n{bad * 7}")))) == 7
    many = problems(lambda: load_entries(book, write(tmp_path, f"{ENTRY}\n{bad * 150}")))
    assert (len(many), many[-1]) == (101, "in.csv and 50 more")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (f"{ENTRY},refpsp", "in.csv header: unknown column 'refpsp'; did you mean ref_psp?"),
        (f"{ENTRY},kind,kind", "in.csv header: column 'kind' comes 2 times"),
        ("entry_key,effective_at,account,amount_minor", "in.csv header: required column 'asset' is missing"),
    ],
)
def test_a_header_outside_the_contract_is_refused(
    book: Connection, tmp_path: Path, header: str, expected: str
) -> None:
    assert problems(
        lambda: load_entries(book, write(tmp_path, header + "\n" + "x," * header.count(",") + "x\n"))
    ) == (expected,)


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        (b"", "in.csv", "expected CSV with a header row"),
        (b"not parquet", "in.parquet", "expected Parquet"),
        (
            f"{ENTRY}\nk\xe4,2026-01-15T12:00:00Z,assets:bank,1,EUR\n".encode("latin-1"),
            "in.csv",
            "row 1, column entry_key: expected UTF-8",
        ),
        (b"\x89PNG\r\n\x1a\n\x00\xff\xfe", "in.csv", "in.csv"),
    ],
)
def test_what_is_no_table_at_all_is_refused_without_a_traceback(
    book: Connection, tmp_path: Path, content: bytes, name: str, words: str
) -> None:
    with pytest.raises(InputFileError, match=words):
        load_entries(book, write(tmp_path, content, name))


def test_a_missing_file_is_named(book: Connection, tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"absent\.csv: expected a file, found none"):
        load_entries(book, tmp_path / "absent.csv")


@pytest.mark.parametrize("column", ["amount_minor", "effective_at", "ref_arn"])
def test_a_parquet_column_of_another_type_is_not_converted_by_guessing(
    book: Connection, tmp_path: Path, column: str
) -> None:
    columns: dict[str, Any] = {
        "entry_key": ["k", "k"],
        "effective_at": [datetime(2026, 1, 15, tzinfo=UTC)] * 2,
        "account": [BANK, SALES],
        "amount_minor": [1, -1],
        "asset": ["EUR", "EUR"],
        "ref_arn": ["7", None],
    }
    wrong: dict[str, Any] = {
        "amount_minor": [1.0, -1.0],
        "effective_at": [NOON.replace(tzinfo=None)] * 2,
        "ref_arn": [7, None],
    }
    pa.parquet.write_table(pa.table(columns | {column: wrong[column]}), tmp_path / "in.parquet")
    assert problems(lambda: load_entries(book, tmp_path / "in.parquet"))[0].startswith(
        f"in.parquet column {column}: expected"
    )


def test_one_refused_entry_refuses_the_whole_file_and_corrected_it_may_come_again(
    book: Connection, tmp_path: Path
) -> None:
    bad = "s2,2026-01-15T12:00:00Z,assets:bank,100,EUR\ns2,2026-01-15T12:00:00Z,income:sales,-99,EUR\n"
    found = problems(lambda: load_entries(book, write(tmp_path, f"{ENTRY}\n{SALE}{bad}")))
    assert len(found) == 1
    assert found[0].startswith("entry 's2': unbalanced: ")
    assert ledger_lines(book, [BANK, SALES], effective_before=None).num_rows == 0
    assert book.execute("SELECT count(*) FROM ledger.refusal_v1").fetchone() == (0,)
    good = write(tmp_path, f"{ENTRY}\n{SALE}{bad.replace('-99', '-100')}")
    assert outcomes(load_entries(book, good)) == ["posted", "posted"]


def test_layers_corrections_and_summary_accounts_come_by_file_too(book: Connection, tmp_path: Path) -> None:
    load_accounts(
        book,
        write(tmp_path, f"{ACCOUNT}\nfees,Fees,expense,EUR,true\nfees:card,Card,expense,EUR,true\n"),
    )
    load_entries(book, write(tmp_path, f"{ENTRY}\n{SALE}"))
    plan = "p,2026-01-16T12:00:00Z,fees:card,3,EUR,planned,s1\np,2026-01-16T12:00:00Z,assets:bank,-3,EUR,planned,s1\n"
    assert outcomes(load_entries(book, write(tmp_path, f"{ENTRY},layer,corrects\n{plan}"))) == ["posted"]
    rows = book.execute(
        "SELECT account, layer::text, corrects_entry_key FROM ledger.journal_line_v1 "
        "WHERE entry_key = 'p' ORDER BY line_no"
    ).fetchall()
    assert rows == [("fees:card", "planned", "s1"), ("assets:bank", "planned", "s1")]
    found = problems(
        lambda: load_entries(book, write(tmp_path, f"{ENTRY}\n{SALE.replace('assets:bank', 'fees')}"))
    )
    assert found == (
        "in.csv row 1, column account: expected an account without others below it, found 'fees'",
    )


def test_one_conflict_refuses_the_whole_file_and_names_the_key(book: Connection, tmp_path: Path) -> None:
    load_entries(book, write(tmp_path, f"{ENTRY}\n{SALE}"))
    changed = SALE.replace("100", "101") + SALE.replace("s1", "s2")
    with pytest.raises(IdempotencyConflictError, match=r"found other: s1; "):
        load_entries(book, write(tmp_path, f"{ENTRY}\n{changed}"))
    assert ledger_lines(book, [BANK, SALES], effective_before=None).num_rows == 2


def test_a_chart_is_loaded_and_loading_it_again_changes_nothing(book: Connection, tmp_path: Path) -> None:
    path = write(
        tmp_path, f"{ACCOUNT}\nassets:till:kwd,Till,asset,KWD,false\nassets:bank,Bank,asset,EUR,true\n"
    )
    assert load_accounts(book, path).to_pylist() == [
        {"code": "assets:till:kwd", "outcome": "opened"},
        {"code": "assets:bank", "outcome": "unchanged"},
    ]
    assert outcomes(load_accounts(book, path)) == ["unchanged", "unchanged"]
    assert book.execute(
        "SELECT exponent, may_overdraw FROM ledger.account_v1 WHERE account = 'assets:till:kwd'"
    ).fetchone() == (3, False)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("assets:bank,Bank,liability,EUR,true", "type liability instead of asset"),
        ("assets:bank,Bank,asset,JPY,true", "asset JPY instead of EUR"),
        ("assets:bank,Bank,asset,EUR,false", "may_overdraw f instead of t"),
        ("assets:bank,Other,asset,EUR,true", "a change of name"),
    ],
)
def test_a_changed_definition_is_refused_by_what_changed(
    book: Connection, tmp_path: Path, row: str, words: str
) -> None:
    with pytest.raises(ChartError, match=f"account assets:bank: .*{words}"):
        load_accounts(book, write(tmp_path, f"{ACCOUNT}\nassets:new,New,asset,EUR,true\n{row}\n"))
    assert book.execute("SELECT count(*) FROM ledger.account_v1 WHERE account = 'assets:new'").fetchone() == (
        0,
    )


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (
            "Assets Bank,Bank,asset,EUR,true",
            "row 1, column code: expected a colon path such as assets:bank:main-eur, found 'Assets Bank'",
        ),
        ("assets:x,,asset,EUR,true", "row 1, column name: expected text, found nothing"),
        (
            "assets:x,X,cash,EUR,true",
            "row 1, column type: expected one of asset, liability, equity, income, expense, found 'cash'",
        ),
        (
            "assets:x,X,asset,EURR,true",
            (
                "row 1, column asset: expected an ISO 4217 currency or an asset defined before, "
                "found 'EURR'; did you mean EUR?"
            ),
        ),
        ("assets:x,X,asset,EUR,yes", "row 1, column may_overdraw: expected true or false, found 'yes'"),
        (
            "a,A,asset,EUR,true\na,A,asset,EUR,true",
            "row 2, column code: expected each account once, found 'a' of row 1 again",
        ),
    ],
)
def test_a_bad_row_of_a_chart_is_named(book: Connection, tmp_path: Path, row: str, expected: str) -> None:
    assert problems(lambda: load_accounts(book, write(tmp_path, f"{ACCOUNT}\n{row}\n"))) == (
        f"in.csv {expected}",
    )


def test_points_are_an_asset_once_defined_and_keep_their_exponent(book: Connection, tmp_path: Path) -> None:
    define_assets(book, {"POINTS": 0})
    load_accounts(book, write(tmp_path, f"{ACCOUNT}\nliabilities:points,Points,liability,POINTS,true\n"))
    with pytest.raises(LedgerError, match="asset POINTS: the ledger holds exponent 0, found 2"):
        define_assets(book, {"POINTS": 2})
