"""PayPal's settlement and transaction reports: what each field means, what is proved, what is refused."""

import io
import json
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.errors import RefusedFile, SourcesError
from reconciliation.formats import paypal_stl, paypal_trr
from reconciliation.formats.canonical import LINE_SCHEMA, LINES_PER_BATCH, Format
from reconciliation.formats.registry import recognise
from tests.reconciliation.formats.camt_builder import OPTIONS
from tests.reconciliation.formats.mapped_builder import dropped
from tests.reconciliation.formats.paypal_builder import (
    ACCOUNT,
    GOOD,
    WAIVE_ALL,
    footer,
    movement,
    read,
    refusal,
    stl,
    text,
    trr,
)

STATUSES = ("S", "P", "V", "D", "F")


def test_every_field_of_a_settlement_row_reaches_its_column() -> None:
    first = read(stl()).lines.to_pylist()[0]
    assert first == {
        **dict.fromkeys(LINE_SCHEMA.names),
        "statement_no": 0,
        "record_no": 5,
        "native_id": "P1",
        "status": "booked",
        "booking_date": date(2026, 11, 16),
        "value_date": date(2026, 11, 16),
        "event_at": datetime(2026, 11, 16, 18, tzinfo=UTC),
        "amount_minor": 4999,
        "asset": "USD",
        "fee_minor": 201,
        "fees": '[{"amount_minor":201,"asset":"USD","included":true,"type":"processing"}]',
        "ref_psp": "P1",
        "ref_merchant": "order-1",
        "other_refs": '{"customer":"PAYER","instruction":"c-1","invoice":"order-1"}',
        "kind": "charge",
        "type_code": "T0006",
        "reversal": False,
        "byte_offset": first["byte_offset"],
        "byte_length": first["byte_length"],
    }
    content = text(stl())
    record = content[first["byte_offset"] :][: first["byte_length"]]
    assert record.startswith(b'"SB","P1","order-1"')
    assert record.endswith(b'""')


def test_a_refund_gives_its_fee_back_and_names_the_payment() -> None:
    refund = read(stl()).lines.to_pylist()[1]
    assert (refund["amount_minor"], refund["fee_minor"], refund["kind"]) == (-1470, -30, "refund")
    assert (refund["native_id"], refund["ref_psp"]) == ("R1", "P1")
    assert json.loads(refund["other_refs"]) == {"modification": "R1", "original": "P1"}


def test_a_withdrawal_is_a_payout_by_the_reference_that_the_bank_shows() -> None:
    payout = read(stl()).lines.to_pylist()[2]
    assert (payout["kind"], payout["amount_minor"], payout["ref_payout"]) == ("payout", -2000, "BANK77")


def test_each_currency_of_a_section_is_a_statement_with_its_balances() -> None:
    dollars, euros = read(stl()).parsed.statements
    assert (dollars.account, dollars.asset, dollars.statement_ref) == (
        ACCOUNT,
        "USD",
        f"STL 20261116 {ACCOUNT} USD",
    )
    assert (dollars.opening_minor, dollars.closing_minor, dollars.movement_minor) == (10000, 11529, 1529)
    assert (euros.opening_minor, euros.closing_minor, euros.line_count) == (10000, 10900, 1)
    assert dollars.proofs == (
        "4 rows as in row 11, SC",
        "credits 52.00, debits 35.00, fees credited 0.30 and debited 2.01 USD as in row 9, SF",
        "3 rows as in row 9, SF",
        "available balance 100.00 + 15.29 = 115.29 USD",
        "credits 52.00, debits 35.00, fees credited 0.30 and debited 2.01 USD as in row 12, RF",
        "3 rows as in row 12, RF",
        "available balance 100.00 + 15.29 = 115.29 USD",
        "4 rows as in row 14, RC",
        "4 rows as in row 15, FF",
    )
    parsed = read(stl()).parsed
    assert (parsed.format_version, parsed.file_reference) == ("009", f"STL 20261116 {ACCOUNT} 01")


@pytest.mark.parametrize(
    ("code", "direction", "kind", "reversal"),
    [
        ("T0000", "CR", "charge", False),
        ("T0001", "DR", "transfer", False),
        ("T0106", "DR", "fee", False),
        ("T0200", "CR", "adjustment", False),
        ("T0300", "CR", "transfer", False),
        ("T0400", "DR", "payout", False),
        ("T1101", "CR", "payout", True),
        ("T1106", "DR", "refund", True),
        ("T1107", "DR", "refund", False),
        ("T1108", "CR", "fee", True),
        ("T1110", "DR", "adjustment", False),
        ("T1111", "CR", "adjustment", False),
        ("T1114", "CR", "transfer", True),
        ("T1201", "DR", "chargeback", False),
        ("T1202", "CR", "chargeback_reversal", True),
        ("T1503", "DR", "adjustment", False),
        ("T1900", "CR", "adjustment", False),
        ("T9900", "CR", "adjustment", False),
    ],
)
def test_the_event_code_says_what_kind_of_line_a_row_is(
    code: str, direction: str, kind: str, reversal: bool
) -> None:
    line = read(stl([movement("100", direction, code=code)])).lines.to_pylist()[0]
    assert (line["kind"], line["reversal"], line["status"]) == (kind, reversal, "booked")
    assert line["amount_minor"] == (100 if direction == "CR" else -100)


def test_a_hold_and_its_release_leave_nothing() -> None:
    rows = [movement("700", "DR", code="T1110"), movement("700", "CR", code="T1111")]
    assert read(stl(rows)).parsed.statements[0].movement_minor == 0


@pytest.mark.parametrize(
    ("kind", "name"), [("SUB", "mandate"), ("PAP", "mandate"), ("ODR", "transaction"), ("TXN", "transaction")]
)
def test_a_reference_is_filed_by_its_type(kind: str, name: str) -> None:
    row = movement(PayPal_Reference_ID="X-1", PayPal_Reference_ID_Type=kind)
    assert json.loads(read(stl([row])).lines.column("other_refs").to_pylist()[0]) == {name: "X-1"}


def test_the_two_rows_of_a_conversion_learn_of_each_other() -> None:
    rows = [
        movement("1000", "DR", asset="EUR", code="T0200", identification="A", PayPal_Reference_ID="C1"),
        movement("1087", "CR", asset="USD", code="T0200", identification="B", PayPal_Reference_ID="C1"),
        movement("500", "DR", asset="EUR", code="T0200", identification="C", PayPal_Reference_ID="C2"),
        movement("1", asset="USD", identification="D"),
    ]
    out, back, alone, last = read(stl(rows)).lines.to_pylist()
    assert (out["original_amount_minor"], out["original_asset"]) == (-1087, "USD")
    assert (back["original_amount_minor"], back["original_asset"]) == (1000, "EUR")
    assert (back["fx_numerator"], back["fx_denominator"]) == (1087, 1000)
    assert [line["original_asset"] for line in (alone, last)] == [None, None]
    assert [line["native_id"] for line in (out, back, alone, last)] == ["A", "B", "C", "D"]


def test_an_offset_is_part_of_the_time_and_the_day_is_as_written() -> None:
    line = read(stl([movement(completed="2026/07/01 23:30:00 -0700")])).lines.to_pylist()[0]
    assert line["booking_date"] == date(2026, 7, 1)
    assert line["event_at"] == datetime(2026, 7, 2, 6, 30, tzinfo=UTC)


def test_only_status_s_of_a_transaction_report_moves_money() -> None:
    rows = [movement("100", identification=status, Transactional_Status=status) for status in STATUSES]
    rows.append(movement("100", code="T1300", Transactional_Status="S"))
    whole = read(trr(rows), reader=paypal_trr)
    assert whole.lines.column("status").to_pylist() == ["booked", "pending", "info", "info", "info", "info"]
    statement = whole.parsed.statements[0]
    assert (statement.movement_minor, statement.line_count, statement.pending_count) == (100, 1, 5)
    assert statement.proofs[0] == "6 rows as in row 11, SF"
    assert (statement.opening_minor, statement.closing_minor) == (None, None)


def test_names_and_texts_of_a_transaction_report_are_masked() -> None:
    row = movement(
        Transactional_Status="S",
        Transaction_Subject="Order 7",
        Transaction_Note="card 4111111111111111",
        First_Name="Ada",
        Last_Name="Example",
        Custom_Field="5555555555554444",
    )
    row["Payer's Account ID"] = "ada@example.org"
    line = read(trr([row]), reader=paypal_trr).lines.to_pylist()[0]
    assert line["text"] == "Order 7\ncard 411111******1111"
    assert (line["counterparty"], line["counterparty_account"]) == ("Ada Example", "ada@example.org")
    assert line["ref_merchant"] == "555555******4444"
    assert "5555555555554444" not in line["other_refs"]


@pytest.mark.parametrize(
    ("settings", "expected"), [({"implied_decimals": "iso"}, 15000), ({"implied_decimals": "2"}, 150)]
)
def test_yen_are_read_as_the_settings_say(settings: dict[str, str], expected: int) -> None:
    whole = read(stl([movement("15000", asset="JPY")]), settings=settings)
    assert whole.lines.column("amount_minor").to_pylist() == [expected]


def test_yen_that_could_be_either_are_refused_and_one_odd_amount_decides() -> None:
    found = refusal(stl([movement("15000", asset="JPY")]))
    assert (found.code, found.place) == ("currency", "row 5, Gross Transaction Amount")
    assert "implied_decimals: iso" in found.remedy
    whole = read(stl([movement("15000", asset="JPY"), movement("15001", asset="JPY")]))
    assert whole.lines.column("amount_minor").to_pylist() == [15000, 15001]


def test_an_export_that_starts_at_its_section_is_read_when_its_footers_prove_it() -> None:
    whole = read(stl(wrapped=False))
    assert [statement.closing_minor for statement in whole.parsed.statements] == [11529, 10900]
    found = refusal(stl(wrapped=False)[:-3])
    assert (found.code, found.expected) == ("control_total", "footers of the section (SF, SC)")
    waived = read(stl(wrapped=False)[:-3], waived=WAIVE_ALL)
    assert all(statement.flags and statement.opening_minor is None for statement in waived.parsed.statements)


def test_several_sections_and_files_are_statements_of_their_own() -> None:
    one, other = stl(wrapped=False, account="ONE"), stl(wrapped=False, account="TWO")
    statements = read([*one, *other]).parsed.statements
    assert [(statement.account, statement.asset) for statement in statements] == [
        ("ONE", "USD"),
        ("ONE", "EUR"),
        ("TWO", "USD"),
        ("TWO", "EUR"),
    ]
    assert refusal([*one, *one]).code == "conflict"
    part = [*stl()[:11], ["FF", "4"]]
    part[1] = ["FH", "02"]
    parsed = read(part).parsed
    assert parsed.statements[0].statement_ref == f"STL 20261116 {ACCOUNT} USD file 2"
    assert parsed.notes == ("file 2 of a report that ends in another file",)


def test_a_day_without_movements_is_a_report_without_statements() -> None:
    rows = stl()
    assert read([*rows[:3], ["SC", "0"], ["RC", "0"], ["FF", "0"]]).parsed.statements == ()
    quiet = footer("SF", [], "USD")
    statement = read([*rows[:3], quiet, ["SC", "0"], ["RC", "0"], ["FF", "0"]]).parsed.statements[0]
    assert (statement.opening_minor, statement.closing_minor, statement.line_count) == (10000, 10000, 0)


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_line_ends_and_a_byte_order_mark_say_nothing(line_end: str) -> None:
    plain = read(text(stl(), line_end=line_end)).lines.drop_columns(["byte_offset"])
    assert plain.equals(read(stl()).lines.drop_columns(["byte_offset"]))
    assert read(b"\xef\xbb\xbf" + text(stl())).lines.num_rows == len(GOOD)


def test_an_editor_that_filled_up_the_rows_is_tolerated() -> None:
    width = max(map(len, stl()))
    assert read([[*row, *[""] * (width - len(row))] for row in stl()]).lines.num_rows == len(GOOD)


@pytest.mark.parametrize("name", ["total", "available"])
def test_the_balance_that_the_rows_move_is_chosen_by_the_settings(name: str) -> None:
    rows = stl([movement("100")])
    wrong = 9 if name == "total" else 13  # the ending balance of the other pair
    for row in rows:
        if row[0] in {"SF", "RF"}:
            row[wrong] = "77"
    assert read(rows, settings={"balance": name}).parsed.statements[0].closing_minor == 10100
    found = refusal(rows, settings={"balance": "available" if name == "total" else "total"})
    assert (found.code, f"balance: {name}" in found.remedy) == ("balance", True)


def changed(rows: list[list[str]], place: int, cell: int, value: str) -> list[list[str]]:
    rows = [list(row) for row in rows]
    rows[place][cell] = value
    return rows


@pytest.mark.parametrize(
    ("place", "cell", "value", "code", "where"),
    [
        (4, 9, "5201", "control_total", "row 9, SF, gross credits"),
        (4, 8, "DR", "control_total", "row 9, SF, gross credits"),
        (4, 10, "EUR", "currency", "row 5, Fee Currency"),
        (7, 10, "GBP", "control_total", "row 10, SF, gross credits"),
        (4, 9, "1E3", "amount", "row 5, Gross Transaction Amount"),
        (4, 9, "-5200", "amount", "row 5, Gross Transaction Amount"),
        (4, 9, "52.00", "amount", "row 5, Gross Transaction Amount"),
        (4, 9, "9" * 19_000, "amount", "row 5, Gross Transaction Amount"),
        (4, 9, "9" * 200_000, "limit", "row 5"),
        (4, 9, "", "amount", "row 5, Gross Transaction Amount"),
        (4, 10, "XYZ", "currency", "row 5, Gross Transaction Amount"),
        (4, 8, "C", "structure", "row 5, Transaction Debit or Credit"),
        (4, 11, "", "structure", "row 5, Fee Debit or Credit"),
        (4, 5, "X0006", "structure", "row 5, Transaction Event Code"),
        (4, 7, "2026/02/30 10:00:00 -0800", "date", "row 5, Transaction Completion Date"),
        (4, 7, "2026-11-16", "date", "row 5, Transaction Completion Date"),
        (4, 7, "2026/11/16 10:00:00 -9900", "date", "row 5, Transaction Completion Date"),
        (8, 2, "5300", "control_total", "row 9, SF, gross credits"),
        (8, 2, "520000", "control_total", "row 9, SF, gross credits"),
        (8, 9, "11530", "balance", "row 9, SF, ending available balance"),
        (8, 7, "9999", "balance", "row 9, SF, ending available balance"),
        (8, 6, "DR", "balance", "row 9, SF, ending available balance"),
        (8, 18, "9", "control_total", "row 9, SF, count"),
        (8, 18, "x", "structure", "row 9, SF, count"),
        (10, 1, "5", "control_total", "row 11, SC, count"),
        (13, 1, "5", "control_total", "row 14, RC, count"),
        (14, 1, "5", "control_total", "row 15, FF, count"),
        (0, 0, "XX", "not_this_format", "row 1"),
        (5, 0, "XX", "structure", "row 6"),
        (3, 9, "Transaction ID", "structure", "row 4, CH"),
        (3, 9, "Gross", "not_this_format", "row 4, CH"),
        (2, 2, "2026/11/15 23:59:59 -0800", "date", "row 3, SH, end"),
    ],
)
def test_a_changed_cell_is_refused_with_its_place(
    place: int, cell: int, value: str, code: str, where: str
) -> None:
    found = refusal(changed(stl(), place, cell, value))
    assert (found.code, found.place.partition(", which")[0]) == (code, where)
    assert len(found.found) < 300


def test_a_report_cut_at_any_row_or_byte_is_refused() -> None:
    rows = stl()
    for cut in range(1, len(rows)):
        assert refusal(rows[:cut]).code in {"truncated", "control_total"}
    content = text(rows)
    for cut in range(3, len(content) - 2, 5):
        assert refusal(content[:cut]).code in {"truncated", "structure", "control_total", "not_this_format"}
    found = refusal(rows[:-1])
    assert (found.code, found.place, found.found) == ("truncated", "end of file", "RC as last row")


def test_a_dropped_or_doubled_row_is_refused() -> None:
    rows = stl()
    for place in range(4, 8):
        assert refusal([*rows[:place], *rows[place + 1 :]]).code == "control_total"
        assert refusal([*rows[: place + 1], *rows[place:]]).code == "control_total"


@pytest.mark.parametrize(
    "order", [(3, 2), (4, 3), (8, 4), (14, 13), (11, 10)], ids=["CH-SH", "SB-CH", "SF-SB", "FF-RC", "RF-SC"]
)
def test_rows_out_of_order_are_refused(order: tuple[int, int]) -> None:
    rows = stl()
    one, other = order
    rows[one], rows[other] = rows[other], rows[one]
    assert refusal(rows).code in {"structure", "control_total"}


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "not_this_format"),
        (text(stl()).replace(b"order-1", b"order\0"), "unsafe"),
        (text(stl()).replace(b'"P1","order-1"', b'"P1,"order-1"'), "structure"),
        (text(stl()).decode().encode("utf-16"), "unsafe"),
        (text(stl()).replace(b"order-1", b"ord\xe9r"), "structure"),
        (text([[*row, "x"] if row[0] == "SB" else row for row in stl()]), "structure"),
        (text([row[:-1] if row[0] == "SB" else row for row in stl()]), "structure"),
        (b"Date,Time,Gross\n", "not_this_format"),
        (text([*stl(), ["SH", "x"]]), "structure"),
    ],
)
def test_a_damaged_file_is_refused(content: bytes, code: str) -> None:
    assert refusal(content).code == code


def test_one_report_is_not_taken_for_the_other() -> None:
    rows = [movement(Transactional_Status="D")]
    found = refusal(trr(rows), reader=paypal_stl)
    assert (found.code, found.place) == ("not_this_format", "row 5, Transactional Status")
    assert refusal(stl(), reader=paypal_trr).code == "not_this_format"
    assert recognise(text(stl())) == "paypal.stl"
    assert recognise(text(trr(rows))) == "paypal.trr"


def test_failed_proofs_that_a_person_waives_leave_flags_and_no_balances() -> None:
    statements = read(changed(stl(), 4, 9, "5201"), waived=WAIVE_ALL).parsed.statements
    assert (statements[0].opening_minor, statements[0].closing_minor) == (None, None)
    assert len(statements[0].flags) == 4
    assert statements[0].flags[0].startswith("waived: control_total: row 9, SF, gross credits")
    assert statements[1].flags == ()


def test_settings_are_known_or_a_sentence() -> None:
    with pytest.raises(SourcesError, match="implied_decimals: '3' is not known; there are"):
        read(stl(), settings={"implied_decimals": "3"})


def test_many_rows_leave_in_several_batches() -> None:
    count = LINES_PER_BATCH + 500
    content = text(stl([movement("1", identification=f"T{number}") for number in range(count)]))
    sizes: list[int] = []
    parsed = paypal_stl.read(io.BytesIO(content), OPTIONS, lambda batch: sizes.append(batch.num_rows))
    assert sizes == [LINES_PER_BATCH, 500]
    assert parsed.statements[0].movement_minor == count


@given(st.data())
def test_a_report_with_any_bytes_changed_is_read_or_refused(data: st.DataObject) -> None:
    content = bytearray(text(stl()))
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    for reader in (paypal_stl, paypal_trr):
        with suppress(RefusedFile):
            reader.read(io.BytesIO(bytes(content)), OPTIONS, dropped)


@pytest.mark.parametrize("reader", [paypal_stl, paypal_trr])
@given(content=st.binary(max_size=200))
def test_random_bytes_are_refused(reader: Format, content: bytes) -> None:
    with pytest.raises(RefusedFile):
        reader.read(io.BytesIO(content), OPTIONS, dropped)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 10**9),
            st.sampled_from(["CR", "DR"]),
            st.integers(0, 10**6),
            st.sampled_from(["USD", "EUR"]),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_any_report_whose_footers_hold_is_read_whole(amounts: list[tuple[int, str, int, str]]) -> None:
    rows = [
        movement(str(gross), direction, fee=str(fee) if fee else "", asset=asset, identification=f"T{number}")
        for number, (gross, direction, fee, asset) in enumerate(amounts)
    ]
    whole = read(stl(rows))
    expected = [(gross if direction == "CR" else -gross) - fee for gross, direction, fee, _ in amounts]
    assert whole.lines.column("amount_minor").to_pylist() == expected
    total: Any = sum(statement.movement_minor for statement in whole.parsed.statements)
    assert total == sum(expected)
