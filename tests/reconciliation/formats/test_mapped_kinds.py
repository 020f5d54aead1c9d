"""Workbooks, Parquet and JSON: exact values whatever the kind of file, and packages that a stranger made to hurt."""

import io
import json
import zipfile
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import openpyxl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.errors import RefusedFile
from reconciliation.formats import mapped_json, mapped_parquet, mapped_xlsx
from reconciliation.formats.canonical import LINES_PER_BATCH
from reconciliation.formats.mapped_parts.sheet import date_text, plain_number
from tests.reconciliation.formats.mapped_builder import (
    cell,
    dropped,
    minors,
    options,
    parquet,
    read,
    refusal,
    rules,
    sheet,
    workbook,
)

HEAD = [cell("A1", "Day", kind="inlineStr"), cell("B1", "Amount", kind="inlineStr")]


def row(number: int, amount: str, *, kind: str = "n", day: str = "2026-11-16") -> list[str]:
    return [cell(f"A{number}", day, kind="inlineStr"), cell(f"B{number}", amount, kind=kind)]


# Workbooks


@pytest.mark.parametrize(
    ("text", "digits", "expected"),
    [
        ("12.5", "exact", 1250),
        ("-12.50", "exact", -1250),
        ("1.25E1", "exact", 1250),
        ("1E2", "exact", 10000),
        ("5.0000000000000003E-2", "fifteen", 5),
        ("0.30000000000000004", "fifteen", 30),
        ("1234.5600000000001", "fifteen", 123456),
        ("123456789012.99", "fifteen", 12345678901299),
    ],
)
def test_a_number_of_a_sheet_is_the_text_that_the_sheet_holds(text: str, digits: str, expected: int) -> None:
    content = workbook(sheet(HEAD, row(2, text)))
    assert minors(read(content, {"table": {"digits": digits}}, reader=mapped_xlsx)) == [expected]


@pytest.mark.parametrize("text", ["0.30000000000000004", "5.0000000000000003E-2"])
def test_digits_of_a_float_are_refused_unless_the_mapping_takes_fifteen(text: str) -> None:
    found = refusal(workbook(sheet(HEAD, row(2, text))), reader=mapped_xlsx)
    assert (found.code, found.place) == ("amount", "row 2, column 'Amount'")


@pytest.mark.parametrize("text", ["1E400", "1E+41", "9" * 50, "0x10", "1_000", "inf", "1.5E"])
def test_a_number_that_no_sheet_writes_is_refused(text: str) -> None:
    assert refusal(workbook(sheet(HEAD, row(2, text))), reader=mapped_xlsx).code == "amount"


def test_numbers_of_a_sheet_need_no_decimal_comma_but_texts_keep_theirs() -> None:
    content = workbook(sheet(HEAD, row(2, "1.234"), row(3, "1.234,50", kind="inlineStr"), row(4, "-7.5")))
    numbers = {"numbers": {"decimal_mark": ",", "grouping_mark": ".", "negative": "trailing"}}
    assert refusal(content, numbers, reader=mapped_xlsx).place == "row 2, column 'Amount'"
    content = workbook(sheet(HEAD, row(2, "1.23"), row(3, "1.234,50", kind="inlineStr"), row(4, "-7.5")))
    assert minors(read(content, numbers, reader=mapped_xlsx)) == [123, 123450, -750]


def test_a_cell_with_a_date_format_is_that_date() -> None:
    formats = ["yyyy\\-mm\\-dd", "0.00", "[$-409]d/m/yy h:mm", "&quot;days&quot; 0"]
    rows = [
        [cell("A2", "46342", style=1), cell("B2", "46342", style=2)],
        [cell("A3", "46342.75", style=3), cell("B3", "1", style=4)],
    ]
    content = workbook(sheet(HEAD, *rows), formats=formats)
    whole = read(content, {"dates": {"patterns": "%d.%m.%Y"}}, reader=mapped_xlsx)
    assert whole.lines.column("booking_date").to_pylist() == [date(2026, 11, 16)] * 2
    assert minors(whole) == [4634200, 100]
    found = refusal(workbook(sheet(HEAD, [cell("A2", "46342"), cell("B2", "1")])), reader=mapped_xlsx)
    assert (found.code, found.found) == ("date", "'46342'")


def test_days_are_counted_from_1904_where_the_workbook_says_so() -> None:
    rows = sheet(HEAD, [cell("A2", "44880", style=1), cell("B2", "1")])
    content = workbook(rows, formats=["d.m.yyyy"], workbook_settings='<workbookPr date1904="1"/>')
    whole = read(content, reader=mapped_xlsx)
    assert whole.lines.column("booking_date").to_pylist() == [date(2026, 11, 16)]


def test_texts_are_shared_inline_rich_or_escaped() -> None:
    texts = [
        "Day",
        "Amount",
        "Text",
        "2026-11-16",
        "</t></si><si><r><t>two </t></r><r><t>runs</t></r><rPh><t>no</t></rPh><t>",
    ]
    rows = [
        [cell("A1", "0", kind="s"), cell("B1", "1", kind="s"), cell("C1", "2", kind="s")],
        [cell("A2", "3", kind="s"), cell("B2", "1"), cell("C2", "5", kind="s")],
        [cell("A3", "3", kind="s"), cell("B3", "2"), cell("C3", "line_x000D_one", kind="inlineStr")],
        [cell("A4", "3", kind="s"), cell("B4", "3")],
        [cell("A5", "3", kind="s"), cell("B5", "4"), cell("C5", "1", kind="b")],
    ]
    whole = read(workbook(sheet(*rows), texts=texts), {"columns": {"text": "Text"}}, reader=mapped_xlsx)
    assert whole.lines.column("text").to_pylist() == ["two runs", "line\rone", None, "true"]


def test_a_sheet_is_named_where_there_are_several() -> None:
    content = workbook(sheet([cell("A1", "notes", kind="inlineStr")]), sheet(HEAD, row(2, "1")))
    found = refusal(content, reader=mapped_xlsx)
    assert (found.code, found.found) == ("structure", "'Sheet1', 'Sheet2'")
    assert minors(read(content, {"table": {"sheet": "Sheet2"}}, reader=mapped_xlsx)) == [100]
    assert refusal(content, {"table": {"sheet": "Sheet3"}}, reader=mapped_xlsx).code == "not_this_format"


def test_rows_and_cells_that_a_sheet_leaves_out_are_blank() -> None:
    rows = [[], HEAD, [], [cell("A4", "2026-11-16", kind="inlineStr"), cell("B4", "1")], []]
    rows[1] = [cell("A2", "Day", kind="inlineStr"), cell("B2", "Amount", kind="inlineStr")]
    whole = read(workbook(sheet(*rows)), reader=mapped_xlsx)
    assert whole.lines.column("record_no").to_pylist() == [4]
    late = workbook(
        sheet(HEAD, [cell("A2", "2026-11-16", kind="inlineStr"), cell("B2", "1"), cell("D2", "9")])
    )
    assert refusal(late, reader=mapped_xlsx).code == "structure"


def test_a_formula_is_refused_unless_its_last_result_is_taken() -> None:
    formula = '<c r="B2"><f>SUM(1,2)</f><v>3</v></c>'
    content = workbook(sheet(HEAD, [cell("A2", "2026-11-16", kind="inlineStr"), formula]))
    found = refusal(content, reader=mapped_xlsx)
    assert (found.code, found.place, found.found) == ("structure", "row 2, cell 2", "a formula")
    assert minors(read(content, {"table": {"formulas": "cached"}}, reader=mapped_xlsx)) == [300]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (workbook(sheet(HEAD, row(2, "1"), prolog='<!DOCTYPE x [<!ENTITY a "1">]>')), "unsafe"),
        (workbook(sheet(HEAD, row(2, "1")))[:-30], "structure"),
        (b"PK\3\4 and nothing more", "structure"),
        (b"Day,Amount\n", "not_this_format"),
        (workbook(sheet(HEAD, row(2, "1")), more={"xl/media/bomb.bin": b"\0" * 50_000_000}), "unsafe"),
        (workbook(sheet(HEAD, [cell("B2", "1"), cell("A2", "1")])), "structure"),
        (workbook(sheet(HEAD, [cell("A9", "1")])), "structure"),
        (workbook(sheet(HEAD, [cell("A2", "7", kind="s")])), "structure"),
        (workbook(sheet(HEAD, [cell("A2", "-1", kind="s")])), "structure"),
        (workbook(sheet(HEAD, [cell("ZZZ2", "1")])), "limit"),
        (workbook(sheet(HEAD, row(2, "1")).replace("</sheetData>", "")), "structure"),
    ],
    ids=range(11),
)
def test_a_package_that_could_hurt_is_refused(content: bytes, code: str) -> None:
    assert refusal(content, reader=mapped_xlsx).code == code


def test_two_parts_of_one_name_are_refused() -> None:
    sink = io.BytesIO(workbook(sheet(HEAD, row(2, "1"))))
    with zipfile.ZipFile(sink, "a") as package, pytest.warns(UserWarning, match="Duplicate name"):
        package.writestr("xl/worksheets/sheet1.xml", sheet(HEAD, row(2, "2")))
    assert refusal(sink.getvalue(), reader=mapped_xlsx).code == "unsafe"


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9, places=8))
def test_a_number_with_an_exponent_is_the_same_number(number: Decimal) -> None:
    text = f"{number:E}"
    exact = plain_number(text, fifteen=False)
    assert exact is not None
    assert Decimal(exact) == number
    rounded = plain_number(text, fifteen=True)
    assert rounded is not None
    assert abs(Decimal(rounded) - number) <= abs(number) * Decimal("1E-14")


@given(st.datetimes(min_value=datetime(1900, 3, 2), max_value=datetime(9990, 1, 1)))  # noqa: DTZ001
def test_a_serial_number_is_the_moment_that_a_second_reader_sees(moment: datetime) -> None:
    whole_second = moment.replace(microsecond=0)
    serial = Decimal(openpyxl.utils.datetime.to_excel(whole_second.replace(hour=0, minute=0, second=0)))
    seconds = whole_second.hour * 3600 + whole_second.minute * 60 + whole_second.second
    text = f"{serial + Decimal(seconds) / 86400:.12f}"
    found = date_text(text, from_1904=False)
    assert found == whole_second.isoformat().removesuffix("T00:00:00")


def test_a_workbook_of_a_second_writer_gives_what_a_second_reader_sees() -> None:
    book = openpyxl.Workbook()
    page = book.active
    assert page is not None
    page.append(["Day", "Amount", "Text"])
    amounts = [Decimal("12.34"), Decimal("-0.05"), Decimal("1234567.89")]
    for number, amount in enumerate(amounts):
        page.append([date(2026, 11, 16 + number), float(amount), f"text {number} & <more>"])
    sink = io.BytesIO()
    book.save(sink)
    whole = read(sink.getvalue(), {"columns": {"text": "Text"}}, reader=mapped_xlsx)
    again = openpyxl.load_workbook(io.BytesIO(sink.getvalue()), read_only=True).active
    assert again is not None
    rows = list(again.iter_rows(min_row=2, values_only=True))
    assert minors(whole) == [int(amount * 100) for amount in amounts] == [round(one[1] * 100) for one in rows]
    assert whole.lines.column("booking_date").to_pylist() == [one[0].date() for one in rows]
    assert whole.lines.column("text").to_pylist() == [one[2] for one in rows]


def test_a_long_sheet_is_read_in_batches() -> None:
    count = LINES_PER_BATCH + 5_000
    content = workbook(sheet(HEAD, *(row(number, "0.01") for number in range(2, count + 2))))
    sizes: list[int] = []
    parsed = mapped_xlsx.read(
        io.BytesIO(content), options(rules()), lambda batch: sizes.append(batch.num_rows)
    )
    assert sizes == [LINES_PER_BATCH, 5_000]
    assert parsed.statements[0].movement_minor == count


# Parquet


JOURNAL: dict[str, Any] = {
    "columns": {
        "booking_date": "effective_at",
        "event_at": "effective_at",
        "native_id": ["entry_key", "line_no"],
        "ref_end_to_end": "ref_end_to_end",
    },
    "amount": {"column": "amount_minor", "unit": "minor"},
    "asset": {"column": "asset"},
    "dates": {"patterns": "%Y-%m-%d", "time_zone": "Europe/Berlin", "local_day": True},
    "rows": [{"column": "account", "equals": "assets:bank:main-eur"}],
    "statement": {"per": "day", "account": {"column": "account"}},
}


def test_another_ledger_is_a_source_by_its_journal_entries() -> None:
    moments = [
        datetime(2026, 11, 16, 22, 30, tzinfo=UTC),
        datetime(2026, 11, 16, 23, 30, 0, 5, tzinfo=UTC),
    ] * 2
    content = parquet(
        {
            "entry_key": ["k1", "k2", "k1", "k2"],
            "line_no": pa.array([1, 1, 2, 2], pa.int32()),
            "effective_at": pa.array(moments, pa.timestamp("us", tz="UTC")),
            "account": pa.array(["assets:bank:main-eur"] * 2 + ["income:sales"] * 2).dictionary_encode(),
            "amount_minor": pa.array([12345678901234567, -250, -12345678901234567, 250], pa.int64()),
            "asset": ["EUR"] * 4,
            "ref_end_to_end": ["E-1", None, None, None],
        }
    )
    whole = read(content, JOURNAL, reader=mapped_parquet)
    first, second = whole.lines.to_pylist()
    assert (first["amount_minor"], second["amount_minor"]) == (12345678901234567, -250)
    assert (first["booking_date"], second["booking_date"]) == (date(2026, 11, 16), date(2026, 11, 17))
    assert (first["event_at"], second["event_at"]) == (moments[0], moments[1])
    assert (first["native_id"], first["ref_end_to_end"], second["ref_end_to_end"]) == ("k1/1", "E-1", None)
    assert [one.to_date for one in whole.parsed.statements] == [date(2026, 11, 16), date(2026, 11, 17)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([Decimal("12.50"), Decimal("0E-10")], pa.decimal128(20, 10)), [1250, 0]),
        (pa.array(["12.50", "-1"], pa.large_string()), [1250, -100]),
        (pa.array([12, -1], pa.int16()), [1200, -100]),
        (pa.array([12, 2**60 // 10**3], pa.uint64()), [1200, 2**60 // 10**3 * 100]),
    ],
)
def test_numbers_of_parquet_are_exact_whatever_their_type(values: Any, expected: list[int]) -> None:
    content = parquet({"Day": [date(2026, 11, 16)] * 2, "Amount": values})
    assert minors(read(content, reader=mapped_parquet)) == expected


def test_a_decimal_comma_is_for_texts_and_not_for_numbers() -> None:
    comma = {"numbers": {"decimal_mark": ","}}
    typed = parquet({"Day": ["2026-11-16"], "Amount": pa.array([Decimal("12.50")], pa.decimal128(20, 2))})
    written = parquet({"Day": ["2026-11-16"], "Amount": ["12,50"]})
    assert minors(read(typed, comma, reader=mapped_parquet)) == [1250]
    assert minors(read(written, comma, reader=mapped_parquet)) == [1250]


@pytest.mark.parametrize(
    ("columns", "code", "place"),
    [
        ({"Day": ["2026-11-16"], "Amount": [12.5]}, "structure", "column 'Amount'"),
        ({"Day": ["2026-11-16"], "Amount": [{"a": 1}]}, "structure", "column 'Amount'"),
        ({"Day": ["2026-11-16"], "Amount": [b"1"]}, "structure", "column 'Amount'"),
        ({"Day": ["2026-11-16"], "Amount": pa.array([None], pa.int64())}, "amount", "row 1, column 'Amount'"),
        ({"Day": [None], "Amount": [1]}, "date", "row 1, column 'Day'"),
        ({"Day": ["2026-11-16"], "Sum": [1]}, "not_this_format", "the schema"),
    ],
)
def test_a_column_that_is_no_exact_value_is_refused(columns: dict[str, Any], code: str, place: str) -> None:
    found = refusal(parquet(columns), reader=mapped_parquet)
    assert (found.code, found.place) == (code, place)


def test_a_parquet_file_cut_anywhere_is_refused() -> None:
    content = parquet({"Day": ["2026-11-16"] * 50, "Amount": list(range(50))})
    for cut in range(0, len(content), 7):
        assert refusal(content[:cut], reader=mapped_parquet).code in {
            "truncated",
            "not_this_format",
            "structure",
        }


def test_row_groups_are_read_one_after_the_other() -> None:
    count = 45_000
    content = parquet({"Day": ["2026-11-16"] * count, "Amount": [1] * count}, row_group_size=10_000)
    sizes: list[int] = []
    parsed = mapped_parquet.read(
        io.BytesIO(content), options(rules()), lambda batch: sizes.append(batch.num_rows)
    )
    assert sum(sizes) == count
    assert max(sizes) <= LINES_PER_BATCH
    assert parsed.statements[0].line_count == count


# JSON


DEEP: dict[str, Any] = {
    "columns": {"booking_date": "booked.on", "native_id": "id", "text": "note"},
    "amount": {"column": "sum.value"},
    "asset": {"column": "sum.currency"},
}
OBJECTS = [
    {
        "id": 7,
        "booked": {"on": "2026-11-16"},
        "sum": {"value": "12.50", "currency": "EUR"},
        "note": 'quote " é',
    },
    {
        "id": 8,
        "booked": {"on": "2026-11-17"},
        "sum": {"value": -1, "currency": "EUR"},
        "note": None,
        "more": [1],
    },
]


@pytest.mark.parametrize(
    ("content", "table"),
    [
        (json.dumps(OBJECTS), {}),
        ("\n".join(json.dumps(one) for one in OBJECTS) + "\n", {}),
        (json.dumps({"page": 1, "rows": OBJECTS}, indent=2), {"list_name": "rows"}),
        ("\ufeff" + json.dumps(OBJECTS, ensure_ascii=False), {}),
    ],
)
def test_objects_are_rows_and_paths_are_columns(content: str, table: dict[str, Any]) -> None:
    whole = read(content, DEEP, {"table": table}, reader=mapped_json)
    assert minors(whole) == [1250, -100]
    assert whole.lines.column("native_id").to_pylist() == ["7", "8"]
    assert whole.lines.column("text").to_pylist() == ['quote " é', None]
    first = whole.lines.to_pylist()[0]
    record = content.encode()[first["byte_offset"] :][: first["byte_length"]]
    assert json.loads(record) == OBJECTS[0]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ('[{"Day": "2026-11-16", "Amount": 1E3}]', "amount"),
        ('[{"Day": "2026-11-16", "Amount": NaN}]', "structure"),
        ('[{"Day": "2026-11-16", "Amount": 1, "Amount": 2}]', "structure"),
        ('[{"Day": "2026-11-16", "Amount": {"a": 1}}]', "structure"),
        ('[{"Day": "2026-11-16", "Amount": 1}', "truncated"),
        ('[{"Day": "2026-11-16", "Amount": 1},]', "structure"),
        ('[{"Day": "2026-11-16", "Amount": 1}] x', "structure"),
        ('[{"Day": "2026-11-16"}]', "amount"),
        ('[{"day": "2026-11-16", "Amount": 1}]', "date"),
        ('[{"Day": "2026-11-16\\u0000", "Amount": 1}]', "unsafe"),
        ('[{"Day": "2026-11-16", "Amount": "\\ud800"}]', "unsafe"),
        ('[{"Day": "2026-11-16", "Amount": ' + "9" * 30_000 + "}]", "limit"),
        ("[" * 100_000, "structure"),
        ('[{"a":' * 50_000, "structure"),
        ("", "truncated"),
        ("Day,Amount\n", "structure"),
        ("[1, 2]", "structure"),
    ],
)
def test_json_that_is_no_plain_table_is_refused(content: str, code: str) -> None:
    assert refusal(content, reader=mapped_json).code in {code, "limit", "structure"}


def test_json_is_read_in_batches() -> None:
    count = LINES_PER_BATCH + 1_000
    content = "\n".join('{"Day": "2026-11-16", "Amount": 0.01}' for _ in range(count))
    sizes: list[int] = []
    mapped_json.read(
        io.BytesIO(content.encode()), options(rules()), lambda batch: sizes.append(batch.num_rows)
    )
    assert sizes == [LINES_PER_BATCH, 1_000]


def test_an_empty_array_has_no_statement() -> None:
    assert read("[]", reader=mapped_json).parsed.statements == ()


def test_a_refusal_never_comes_after_lines_that_count() -> None:
    content = "\n".join('{"Day": "2026-11-16", "Amount": 0.01}' for _ in range(LINES_PER_BATCH)) + "\n{"
    with pytest.raises(RefusedFile) as caught:
        mapped_json.read(io.BytesIO(content.encode()), options(rules()), dropped)
    assert caught.value.code in {"truncated", "structure"}
