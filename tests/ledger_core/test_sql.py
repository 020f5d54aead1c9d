"""The shared SQL helper: named queries, bulk moves that lose nothing, locks, errors without data."""

import contextlib
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger_core.errors import AppendOnlyError, BulkCopyError, SqlFileError, StoreError
from ledger_core.sql import copy_in, copy_out, lock, queries, translated_errors

SCHEMA = pa.schema(
    [
        pa.field("label", pa.string()),
        pa.field("amount_minor", pa.int64()),
        pa.field("at", pa.timestamp("us", tz="UTC")),
        pa.field("day", pa.date32()),
        pa.field("is_open", pa.bool_()),
        pa.field("rate", pa.decimal128(38, 18)),
    ]
)
TABLE = """
CREATE TEMPORARY TABLE moved (
  number integer GENERATED ALWAYS AS IDENTITY,
  label text, amount_minor bigint, at timestamptz, day date, is_open boolean, rate numeric
) ON COMMIT DROP
"""
BACK = "SELECT label, amount_minor, at, day, is_open, rate FROM moved ORDER BY number"

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0")) | st.sampled_from(
    [
        "",
        "\\.",
        "a\n\\.\nb",
        "\\N",
        '"',
        '""',
        ",",
        "\r\n",
        "\n",
        "\\",
        " ",
        "NULL",
        "\ufeff",
        "\\\n",
        "a\\,b",
    ]
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "label": st.none() | TEXTS,
            "amount_minor": st.none() | st.integers(-(2**63), 2**63 - 1),
            "at": st.none()
            | st.datetimes(datetime(1950, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001
            "day": st.none() | st.dates(date(1, 1, 1)),
            "is_open": st.none() | st.booleans(),
            "rate": st.none() | st.decimals(0, 10**15, allow_nan=False, places=18),
        }
    ),
    max_size=30,
)


@given(rows=ROWS, zone=st.sampled_from(["UTC", "Asia/Kolkata", "America/St_Johns"]))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_table_comes_back_from_the_database_as_it_went_in(
    book: psycopg.Connection, rows: list[dict[str, Any]], zone: str
) -> None:
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    with book.transaction(force_rollback=True):
        book.execute("SELECT set_config('TimeZone', %s, true)", (zone,))
        book.execute(TABLE)
        assert copy_in(book, table, "pg_temp.moved") == len(rows)
        assert copy_out(book, BACK, None, SCHEMA).equals(table)
        stored = book.execute("SELECT label FROM moved ORDER BY number").fetchall()
        assert [label for (label,) in stored] == [row["label"] for row in rows]


@pytest.mark.parametrize("label", [None, "", "\\."])
def test_a_single_column_keeps_nothing_apart_from_empty(book: psycopg.Connection, label: str | None) -> None:
    schema = pa.schema([("label", pa.string())])
    table = pa.table({"label": [label, "x", label]}, schema=schema)
    book.execute("CREATE TEMPORARY TABLE labels (label text) ON COMMIT DROP")
    copy_in(book, table, "labels")
    assert copy_out(book, "SELECT label FROM labels", None, schema).equals(table)


def test_parameters_go_into_a_bulk_query_as_values_never_as_sql(book: psycopg.Connection) -> None:
    text = "'; DROP TABLE ledger.account; -- %s {} \\"
    schema = pa.schema([("text", pa.string()), ("count", pa.int64())])
    found = copy_out(
        book, "SELECT %(text)s::text, cardinality(%(list)s::bigint[])", {"text": text, "list": [1, 2]}, schema
    )
    assert found.to_pylist() == [{"text": text, "count": 2}]


def test_a_dictionary_column_travels_as_its_values(book: psycopg.Connection) -> None:
    book.execute("CREATE TEMPORARY TABLE labels (label text) ON COMMIT DROP")
    copy_in(book, pa.table({"label": pa.array(["a", None, "a"]).dictionary_encode()}), "labels")
    assert book.execute("SELECT count(label), count(*) FROM labels").fetchone() == (2, 3)


@pytest.mark.parametrize(
    "values", [pa.array([1.5]), pa.array([[1]]), pa.array([b"x"]), pa.array([{"a": 1}])], ids=str
)
def test_what_csv_cannot_carry_exactly_is_refused(book: psycopg.Connection, values: pa.Array) -> None:
    with pytest.raises(BulkCopyError, match="column 'x'"):
        copy_in(book, pa.table({"x": values}), "moved")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("SELECT 'secret'", pa.field("x", pa.int64())),
        ("SELECT NULL", pa.field("x", pa.int64(), nullable=False)),
        ("SELECT 1, 2", pa.field("x", pa.int64())),
    ],
)
def test_a_result_that_does_not_fit_its_schema_is_an_error_that_shows_no_value(
    book: psycopg.Connection, query: str, field: pa.Field
) -> None:
    with pytest.raises(BulkCopyError) as caught:
        copy_out(book, query, None, pa.schema([field]))
    assert "secret" not in str(caught.value)


def test_another_date_style_is_refused_before_anything_is_misread(book: psycopg.Connection) -> None:
    book.execute("SET LOCAL DateStyle = 'German'")
    with pytest.raises(BulkCopyError, match="DateStyle"):
        copy_out(book, "SELECT now()", None, pa.schema([("at", pa.timestamp("us", tz="UTC"))]))


def test_queries_are_found_by_name(tmp_path: Path) -> None:
    file = tmp_path / "some.sql"
    file.write_text(
        "-- What this is for.\n\n-- name: first\nSELECT 1;\n\n-- name: second\n-- why\nSELECT 2\nFROM x;\n"
    )
    assert dict(queries(file)) == {"first": "SELECT 1", "second": "-- why\nSELECT 2\nFROM x"}


@pytest.mark.parametrize(
    "text",
    [
        "-- name: a\nSELECT 1;\n-- name: a\nSELECT 2;\n",
        "-- name: A\nSELECT 1;\n",
        "-- name:a\nSELECT 1;\n",
        "--name: a\nSELECT 1;\n",
        "-- name: a b\nSELECT 1;\n",
        "-- name: a\n\n-- name: b\nSELECT 1;\n",
        "SELECT 1;\n-- name: a\nSELECT 1;\n",
    ],
)
def test_a_malformed_file_of_queries_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.sql").write_text(text)
    with pytest.raises(SqlFileError, match=r"bad\.sql"):
        queries(tmp_path / "bad.sql")


def test_every_shipped_query_file_loads() -> None:
    package = Path(__file__).parents[2] / "ledger_core"
    named = [path for path in package.glob("*.sql") if path.with_suffix(".py").exists()]
    assert {path.name for path in package.glob("*.sql")} - {path.name for path in named} == {
        "roles.sql",
        "schema.sql",
    }
    assert all(queries(path) for path in named)


def test_a_lock_is_held_until_the_transaction_ends(book_url: str) -> None:
    with (
        contextlib.closing(psycopg.connect(book_url)) as one,
        contextlib.closing(psycopg.connect(book_url)) as other,
    ):
        assert lock(one, "reconcile.bank", wait=False)
        assert not lock(other, "reconcile.bank", wait=False)
        assert lock(other, "reconcile.stripe", wait=False)
        one.rollback()
        assert lock(other, "reconcile.bank", wait=True)


def test_an_error_of_postgresql_keeps_the_rule_and_drops_the_data(book: psycopg.Connection) -> None:
    book.execute("CREATE TEMPORARY TABLE person (name text CONSTRAINT person_name_key UNIQUE) ON COMMIT DROP")
    with pytest.raises(StoreError) as caught, translated_errors():
        book.execute("INSERT INTO person VALUES ('4111111111111111'), ('4111111111111111')")
    assert "person_name_key" in str(caught.value)
    assert "4111" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_class_is_chosen_by_constraint_then_by_state_then_by_kind_of_state(
    book: psycopg.Connection,
) -> None:
    book.execute(
        "CREATE TEMPORARY TABLE person (age integer CONSTRAINT person_age CHECK (age > 0)) ON COMMIT DROP"
    )
    chosen = []
    for classes in (
        {"person_age": KeyError, "23514": ValueError, "23": OSError},
        {"23514": ValueError, "23": OSError},
        {"23": OSError},
        {},
    ):
        with pytest.raises(Exception) as caught, translated_errors(classes), book.transaction():  # noqa: PT011
            book.execute("INSERT INTO person VALUES (-1)")
        chosen.append(caught.type)
    assert chosen == [KeyError, ValueError, OSError, StoreError]


def test_a_sentence_of_our_own_reaches_the_user(book: psycopg.Connection) -> None:
    with (
        pytest.raises(
            AppendOnlyError,
            match="DELETE is refused, rows here are only ever added; correct an entry by reversing it",
        ),
        translated_errors(),
    ):
        book.execute("DELETE FROM ledger.account")


def test_a_server_that_is_not_there_is_an_error_without_its_address() -> None:
    with pytest.raises(StoreError) as caught, translated_errors():
        psycopg.connect("host=/nowhere user=somebody")
    assert "somebody" not in str(caught.value)
