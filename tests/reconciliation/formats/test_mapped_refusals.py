"""Damage and doubt in mapped files: refused with code, row and column, never read otherwise and never a crash."""

import dataclasses
import io
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger_core.money import exponent_of, format_minor
from reconciliation.errors import RefusedFile
from reconciliation.formats import (
    mapped_csv,
    mapped_json,
    mapped_parquet,
    mapped_xlsx,
)
from reconciliation.formats.canonical import WAIVABLE_CODES, Format, read_whole
from reconciliation.formats.card_numbers import masked_text
from reconciliation.formats.mapped_parts.numbers import Numbers
from reconciliation.formats.masked_columns import masked_column
from reconciliation.mapping import MappingRules, NumberRules
from tests.reconciliation.formats.mapped_builder import (
    FOOTED,
    FOOTED_RULES,
    WAIVE_ALL,
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

GOOD = "Day,Amount,Left\n2026-11-16,10.00,110.00\n2026-11-17,-4.00,106.00\n2026-11-18,1.50,107.50\n"
RUNNING: dict[str, Any] = {
    "proof": "running_balance",
    "table": {"open_end": False},
    "running_balance": {"column": "Left", "order": "ascending"},
}


def test_the_good_file_is_good() -> None:
    assert minors(read(GOOD, RUNNING)) == [1000, -400, 150]


@pytest.mark.parametrize(
    ("old", "new", "code", "place"),
    [
        ("10.00", "1E3", "amount", "row 2, column 'Amount'"),
        ("10.00", "9" * 200_000, "limit", "row 2"),
        ("10.00", "9" * 59, "amount", "row 2, column 'Amount'"),
        ("10.00", "99999999999999999.00", "amount", "row 2, column 'Amount'"),
        ("10.00", "10.005", "amount", "row 2, column 'Amount'"),
        ("10.00", "1,000.00", "structure", "row 2"),
        ("10.00", "+10.00", "amount", "row 2, column 'Amount'"),
        ("10.00", "(10.00)", "amount", "row 2, column 'Amount'"),
        ("10.00", "10.00-", "amount", "row 2, column 'Amount'"),
        ("10.00", "1 0.00", "amount", "row 2, column 'Amount'"),
        ("10.00", "10..00", "amount", "row 2, column 'Amount'"),
        ("10.00", "NaN", "amount", "row 2, column 'Amount'"),
        ("10.00", "", "amount", "row 2, column 'Amount'"),
        ("10.00", "١٠.00", "amount", "row 2, column 'Amount'"),
        ("-4.00", "4.00", "balance", "row 3, column 'Left'"),
        ("-4.00", "-40.00", "balance", "row 3, column 'Left'"),
        ("2026-11-17,-4.00,106.00\n", "", "balance", "row 3, column 'Left'"),
        ("106.00", "106.01", "balance", "row 3, column 'Left'"),
        ("2026-11-17", "2026-02-30", "date", "row 3, column 'Day'"),
        ("2026-11-17", "17.11.2026", "date", "row 3, column 'Day'"),
        ("2026-11-17", "", "date", "row 3, column 'Day'"),
        ("2026-11-17", "2026-11-17 12:00", "date", "row 3, column 'Day'"),
        ("Amount", "Amuont", "not_this_format", "the first 200 rows"),
        ("Left\n", "Left,Left\n", "not_this_format", "row 1"),
        ("110.00\n", "110.00,x\n", "structure", "row 2"),
        ("110.00", '"110.00', "structure", "row 2"),
        ("107.50\n", "107.50", "truncated", "end of file"),
        ("Day", "\0Day", "unsafe", "line 1"),
    ],
)
def test_damage_is_refused_with_its_place(old: str, new: str, code: str, place: str) -> None:
    found = refusal(GOOD.replace(old, new, 1), RUNNING)
    assert (found.code, found.place[: len(place)]) == (code, place)
    assert len(found.found) < 300


def test_a_file_cut_at_any_byte_is_never_read_as_whole() -> None:
    """All but the cuts behind a row, which only a total or a closing balance can tell."""
    data = GOOD.encode()
    ends = {at + 1 for at, byte in enumerate(data) if byte == 10}
    for cut in range(len(data)):
        if cut not in ends:
            assert refusal(data[:cut], RUNNING).code in {"truncated", "structure", "not_this_format"}, cut


def test_rows_in_another_order_break_the_running_balance_and_a_person_may_waive_it() -> None:
    head, *rows = GOOD.splitlines(keepends=True)
    swapped = head + rows[1] + rows[0] + rows[2]
    found = refusal(swapped, RUNNING)
    assert (found.code, found.place) == ("balance", "row 3, column 'Left'")
    assert found.expected == "116.00 EUR after 106.00 before it"
    whole = read(swapped, RUNNING, waived=WAIVE_ALL)
    statement = whole.parsed.statements[0]
    assert (statement.movement_minor, statement.opening_minor, statement.closing_minor) == (750, None, None)
    assert len(statement.flags) == 1


def test_a_break_between_two_batches_is_seen() -> None:
    count = 120_000
    rows = [f"2026-11-16,0.01,{at / 100:.2f}\n" for at in range(1, count + 1)]
    broken = 70_000
    rows[broken] = "2026-11-16,0.02,700.01\n"
    found = refusal("Day,Amount,Left\n" + "".join(rows), RUNNING)
    assert (found.code, found.place) == ("balance", f"row {broken + 2}, column 'Left'")


def test_days_that_are_torn_apart_have_no_balances_of_their_own() -> None:
    content = "Day,Amount,Left\n2026-11-16,1,1\n2026-11-17,2,3\n2026-11-16,4,7\n"
    found = refusal(content, RUNNING, {"statement": {"per": "day"}})
    assert found.code == "sequence"


@pytest.mark.parametrize(
    ("old", "new", "code", "place"),
    [
        ("Rows,2", "Rows,3", "control_total", "footer row 1, cell 2 (count)"),
        ("net,20.00", "net,200.00", "control_total", "footer row 1, cell 4 (net)"),
        ("in 25.00", "in 24.00", "control_total", "footer row 2, cell 1 (credits)"),
        ("out 5.00", "out -5.00", "control_total", "footer row 2, cell 2 (debits)"),
        ("Closing,120.00", "Closing,121.00", "balance", "footer row 2, cell 4"),
        ("Opening,100.00", "Opening,10.00", "balance", "footer row 2, cell 4"),
        ("2026-11-16,25.00,,\n", "", "balance", "footer row 2, cell 4"),
        ("in 25.00", "25.00", "structure", "footer row 2, cell 1"),
        ("Rows,2", "Rows,two", "structure", "footer row 1, cell 2"),
        ("Closing,120.00\n", "Closing\n", "structure", "footer row 2, cell 4"),
    ],
)
def test_totals_and_balances_of_the_file_are_demanded(old: str, new: str, code: str, place: str) -> None:
    content = FOOTED.replace(old, new, 1)
    found = refusal(content, FOOTED_RULES)
    assert (found.code, found.place) == (code, place)
    if code in WAIVABLE_CODES:
        statement = read(content, FOOTED_RULES, waived=WAIVE_ALL).parsed.statements[0]
        assert statement.flags
        assert (statement.opening_minor is None) == (code == "balance")


def test_a_total_that_is_off_by_a_power_of_ten_says_so() -> None:
    found = refusal(FOOTED.replace("net,20.00", "net,2000.00"), FOOTED_RULES)
    assert "it is one 100th of what was expected, which points to wrong minor digits" in found.found


@pytest.mark.parametrize(
    ("change", "row", "code", "place"),
    [
        ({"amount": {"credit": "A", "debit": "B"}}, "1.00,2.00", "amount", "row 2, column 'B'"),
        ({"amount": {"credit": "A", "debit": "B"}}, ",", "amount", "row 2, column 'A'"),
        ({"amount": {"credit": "A", "debit": "B"}}, ",-2.00", "amount", "row 2, column 'B'"),
        (
            {"amount": {"column": "A", "direction": {"column": "B", "credit": "C", "debit": "D"}}},
            "1.00,E",
            "structure",
            "row 2, column 'B'",
        ),
        (
            {"amount": {"column": "A", "direction": {"column": "B", "credit": "C", "debit": "D"}}},
            "-1.00,D",
            "amount",
            "row 2, column 'A'",
        ),
        ({"amount": {"column": "A"}, "asset": {"column": "B"}}, "1.00,", "currency", "row 2, column 'B'"),
        ({"amount": {"column": "A"}, "asset": {"column": "B"}}, "1.00,eur", "currency", "row 2, column 'B'"),
        ({"amount": {"column": "A"}, "asset": {"column": "B"}}, "1.00,XXX", "currency", "row 2, column 'B'"),
        ({"amount": {"column": "A"}, "asset": {"column": "B"}}, "1.50,JPY", "amount", "row 2, column 'A'"),
        (
            {"amount": {"column": "A"}, "kind": {"column": "B", "values": {"x": "fee"}}},
            "1.00,y",
            "structure",
            "row 2, column 'B'",
        ),
        (
            {"amount": {"column": "A"}, "status": {"column": "B", "values": {"x": "booked"}}},
            "1.00,",
            "structure",
            "row 2, column 'B'",
        ),
        (
            {"amount": {"column": "A"}, "columns": {"card_number": "B"}},
            "1.00,12x",
            "structure",
            "row 2, column 'B'",
        ),
        ({"amount": {"column": "A"}, "columns": {"text": "B"}}, "1.00,CVV: 123", "sensitive_data", "a text"),
        ({"amount": {"column": "A", "unit": "minor"}}, "1.00,", "amount", "row 2, column 'A'"),
        ({"amount": {"column": "A"}, "fees": [{"column": "B"}]}, "1.00,x", "amount", "row 2, column 'B'"),
    ],
)
def test_what_the_mapping_does_not_know_is_refused(
    change: dict[str, Any], row: str, code: str, place: str
) -> None:
    found = refusal(f"Day,A,B\n2026-11-16,{row}\n", change)
    assert (found.code, found.place[: len(place)]) == (code, place)


def test_a_day_that_fits_two_patterns_with_two_meanings_is_refused() -> None:
    found = refusal("Day,Amount\n05/06/2026,1\n", {"dates": {"patterns": ["%d/%m/%Y", "%m/%d/%Y"]}})
    assert (found.code, found.found) == ("date", "'05/06/2026', which fits two of them")


def test_a_time_without_zone_is_no_instant() -> None:
    dates = {"patterns": "%Y-%m-%d", "event_patterns": "%Y-%m-%d"}
    assert (
        refusal("Day,Amount\n2026-11-16,1\n", {"columns": {"event_at": "Day"}, "dates": dates}).code == "date"
    )


def test_an_encoding_that_was_not_said_is_refused() -> None:
    content = "Day,Amount,Name\n2026-11-16,1,Æ\n"
    assert refusal(content.encode("cp1252")).code == "structure"
    assert refusal(content.encode("utf-16")).code == "unsafe"
    assert refusal(content.encode(), {"table": {"encoding": "utf-16"}}).code in {
        "structure",
        "not_this_format",
    }


def test_a_refusal_shows_no_card_number() -> None:
    found = refusal("Day,Amount\n2026-11-16,4111111111111111x\n")
    assert "411111******1111" in found.found
    assert "4111111111111111" not in str(found)


GRAMMARS = [
    NumberRules(),
    NumberRules(decimal_mark=",", grouping_mark="."),
    NumberRules(grouping_mark=",", negative=("leading", "parentheses"), plus=True, affixes=("$", "EUR")),
    NumberRules(decimal_mark=",", grouping_mark=" ", negative=("trailing",), affixes=("kr",)),
]


@given(
    st.sampled_from(GRAMMARS),
    st.sampled_from(["EUR", "JPY", "KWD"]),
    st.sampled_from(["major", "minor"]),
    st.lists(
        st.one_of(
            st.text(alphabet="0123456789.,-+() $EURkr\u00a0", max_size=14),
            st.from_regex(r"-?[0-9]{1,3}(,[0-9]{3}){0,2}(\.[0-9]{1,4})?", fullmatch=True),
            st.from_regex(r"[0-9]{1,3}([. ][0-9]{3}){0,2}(,[0-9]{1,4})?-?", fullmatch=True),
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_a_column_of_amounts_says_what_each_amount_says(
    grammar: NumberRules, asset: str, unit: str, texts: list[str]
) -> None:
    numbers = Numbers(grammar, unit=unit)
    together = numbers.minors(pa.array([text.strip(" \u00a0") for text in texts]), asset)
    try:
        singly = [numbers.minor(text, asset, "here") for text in texts]
    except RefusedFile:
        assert together is None
    else:
        assert together is None or together.tolist() == singly


@given(st.integers(-(10**15), 10**15), st.sampled_from(["EUR", "JPY", "KWD"]))
def test_an_amount_that_is_written_out_comes_back(minor: int, asset: str) -> None:
    text = format_minor(minor, exponent_of(asset))
    assert Numbers(NumberRules(), unit="major").minors(pa.array([text]), asset).tolist() == [minor]


PIECES = [
    "4111111111111111",
    "4111 1111 1111 1111",
    "5555-5555-5555-4444",
    "378282246310005",
    "00000000000000000000",
    "CVV2: 123",
    "cvc 123",
    "=29121010000012300000",
    "12345",
    " ",
    "-",
    "é",
    "x",
    "",
]


@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=4).map("".join) | st.none(), max_size=6))
def test_a_column_is_masked_as_each_text_is(texts: list[str | None]) -> None:
    column = pa.array(["first", *texts], type=pa.string())[1:]
    expected = [None if text is None else masked_text(text) for text in texts]
    assert masked_column(column, masked_text).to_pylist() == expected


def seeds() -> list[tuple[Format, bytes]]:
    cells = [[cell("A1", "Day", kind="inlineStr"), cell("B1", "Amount", kind="inlineStr")]]
    cells += [[cell("A2", "2026-11-16", kind="inlineStr"), cell("B2", "12.5")]]
    return [
        (mapped_csv, b'Day,Amount\n2026-11-16,"12.50"\n2026-11-17,-1.00\n'),
        (mapped_json, b'[{"Day": "2026-11-16", "Amount": 12.50}, {"Day": "2026-11-17", "Amount": "-1.00"}]'),
        (mapped_parquet, parquet({"Day": ["2026-11-16"], "Amount": ["12.50"]})),
        (mapped_xlsx, workbook(sheet(*cells))),
    ]


@pytest.mark.parametrize(("reader", "seed"), seeds(), ids=["csv", "json", "parquet", "xlsx"])
@given(data=st.data())
def test_a_file_with_any_bytes_changed_is_read_or_refused(
    reader: Format, seed: bytes, data: st.DataObject
) -> None:
    changed = bytearray(seed)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(changed) - 1))
        action = data.draw(st.sampled_from(["set", "cut", "insert"]))
        if action == "set":
            changed[place] = data.draw(st.integers(0, 255))
        elif action == "cut":
            del changed[place : place + data.draw(st.integers(1, 20))]
        else:
            changed[place:place] = data.draw(st.binary(min_size=1, max_size=6))
        if not changed:
            break
    with suppress(RefusedFile):
        reader.read(io.BytesIO(bytes(changed)), options(rules()), dropped)


@pytest.mark.parametrize("reader", [mapped_csv, mapped_json, mapped_parquet, mapped_xlsx])
@given(content=st.binary(max_size=300))
def test_random_bytes_are_read_or_refused(reader: Format, content: bytes) -> None:
    with suppress(RefusedFile):
        reader.read(io.BytesIO(content), options(rules()), dropped)


def test_the_limits_of_the_source_hold() -> None:
    limited = dataclasses.replace(options(rules()), bytes_max=20)
    for reader, seed in seeds():
        with pytest.raises(RefusedFile) as caught:
            reader.read(io.BytesIO(seed), limited, dropped)
        assert caught.value.code == "limit"


def test_damage_far_down_is_found_as_surely_as_at_the_top() -> None:
    generator = random.Random(7)
    rows = [
        f"2026-11-{generator.randint(1, 28):02},{generator.randint(-(10**6), 10**6) / 100:.2f}\n"
        for _ in range(50_000)
    ]
    rows[40_000] = "2026-11-31,1.00\n"
    found = refusal("Day,Amount\n" + "".join(rows))
    assert (found.code, found.place) == ("date", "row 40002, column 'Day'")


def test_parquet_text_that_is_no_utf_8_is_refused(tmp_path: Path) -> None:
    day, amount = pa.array(["2026-11-16"]), pa.array(["12.50"])
    broken = pa.Array.from_buffers(pa.string(), 1, [None, *pa.array([b"12.50\xff"]).buffers()[1:]])
    path = tmp_path / "broken.parquet"
    pyarrow.parquet.write_table(pa.table({"Day": day, "Amount": amount, "Text": broken}), path)
    told = MappingRules.model_validate(
        {
            "proof": "none",
            "columns": {"booking_date": "Day", "text": "Text"},
            "amount": {"column": "Amount"},
            "dates": {"patterns": "%Y-%m-%d"},
            "asset": {"fixed": "EUR"},
        }
    )
    with path.open("rb") as stream, pytest.raises(RefusedFile) as caught:
        read_whole(mapped_parquet, stream, options(told))
    assert caught.value.code == "structure"
