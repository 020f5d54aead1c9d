"""CODA: what the records of a statement and its movements mean."""

import json
from datetime import date
from io import BytesIO

import pytest

from reconciliation.formats import coda
from reconciliation.formats.canonical import LINES_PER_BATCH
from reconciliation.formats.registry import recognise
from tests.reconciliation.formats.camt_builder import OPTIONS
from tests.reconciliation.formats.coda_builder import ACCOUNT, Item, good_file, statement
from tests.reconciliation.formats.fixed_width_builder import content_of, lines_of, put, read_rows

GOOD = good_file()  # rows: 0, 1, 2.1, 2.2, 2.3, 2.1, 8, 9


def test_a_statement_states_account_period_number_balances_and_proofs() -> None:
    whole = read_rows(coda, GOOD)
    (one,) = whole.parsed.statements
    assert (one.account, one.asset, one.sequence_no) == (ACCOUNT, "EUR", 7)
    assert (one.from_date, one.to_date) == (
        date(2026, 11, 16),
        date(2026, 11, 16),
    )  # the old balance is of the eve
    assert (one.opening_minor, one.closing_minor) == (10_000, 11_349)
    assert (one.movement_minor, one.line_count) == (1_349, 2)
    assert one.statement_ref == "2026-11-16/001/007"
    assert one.proofs == (
        "record 9: 6 records",
        "record 9: debits together 12.01 EUR",
        "record 9: credits together 25.50 EUR",
        "opening 100.00 + 2 movements 13.49 = closing 113.49 EUR",
    )
    assert (whole.parsed.format_name, whole.parsed.format_version) == ("coda", "2")
    assert (whole.parsed.file_reference, whole.parsed.notes) == ("2026-11-16/123/FILE-1", ())


def test_a_movement_says_dates_amount_counterparty_references_and_where_it_stands() -> None:
    first, second = lines_of(coda, GOOD)
    assert (first["record_no"], first["detail_no"], first["byte_offset"], first["byte_length"]) == (
        3,
        None,
        260,
        388,
    )
    assert (first["booking_date"], first["value_date"]) == (date(2026, 11, 16), date(2026, 11, 16))
    assert (first["amount_minor"], first["asset"], first["status"]) == (2_550, "EUR", "booked")
    assert (first["counterparty"], first["counterparty_account"]) == ("CLIENT", "BE22313215646432")
    assert (first["counterparty_bic"], first["text"]) == ("GEBABEBB", "INVOICE 7")
    assert (first["ref_end_to_end"], first["ref_servicer"], first["native_id"]) == ("E2E-7", "BANK-1", None)
    assert (first["kind"], first["type_code"], first["reversal"]) == ("transfer", "00150000", False)
    assert (second["amount_minor"], second["kind"], second["record_no"]) == (-1_201, "fee", 6)
    content = content_of(GOOD)
    assert content[first["byte_offset"] :].startswith(b"2100010000BANK-1")


def test_an_unknown_value_date_is_none() -> None:
    (line,) = lines_of(coda, statement([Item(amount=10, valued="000000")]))
    assert (line["value_date"], line["booking_date"]) == (None, date(2026, 11, 16))


@pytest.mark.parametrize(
    ("account", "number", "asset"),
    [
        ("0{number}539007547034 EUR0BE".ljust(46), "539007547034", "EUR"),
        ("1{number}" + "NL-4711-12".ljust(34) + "USD", "NL-4711-12", "USD"),
        ("2{number}" + ACCOUNT.ljust(34) + "EUR", ACCOUNT, "EUR"),
        ("3{number}" + "NL91ABNA0417164300".ljust(34) + "GBP", "NL91ABNA0417164300", "GBP"),
    ],
)
def test_the_account_stands_where_its_structure_says(account: str, number: str, asset: str) -> None:
    (one,) = read_rows(coda, statement([Item(amount=10)], account=account)).parsed.statements
    assert (one.account, one.asset) == (number, asset)


def test_amounts_have_three_decimals_whatever_the_currency() -> None:
    dinars = statement([Item(amount=2_555)], account="2{number}" + ACCOUNT.ljust(34) + "KWD")
    yen = statement([Item(amount=255_000)], account="2{number}" + ACCOUNT.ljust(34) + "JPY")
    assert [line["amount_minor"] for line in lines_of(coda, dinars) + lines_of(coda, yen)] == [2_555, 255]


def test_details_of_a_summed_movement_are_the_lines_if_they_add_up_to_it() -> None:
    details = [
        Item(amount=250_000, code="50550000", bank_ref="D-1", customer_ref="E2E-1", name="CLIENT ONE"),
        Item(amount=750_000, code="50550000", bank_ref="D-2", customer_ref="E2E-2", name="CLIENT TWO"),
    ]
    batch = Item(amount=1_000_000, code="10550000", customer_ref="BATCH-1", details=details)
    whole = read_rows(coda, statement([batch, Item(amount=10)]))
    lines = whole.lines.to_pylist()
    assert [line["amount_minor"] for line in lines] == [25_000, 75_000, 1]
    assert [line["detail_no"] for line in lines] == [1, 2, None]
    assert [line["batch_minor"] for line in lines] == [100_000, 100_000, None]
    assert [line["batch_ref"] for line in lines] == ["BATCH-1", "BATCH-1", None]
    assert [line["record_no"] for line in lines] == [3, 3, 11]
    assert [line["ref_end_to_end"] for line in lines] == ["E2E-1", "E2E-2", None]
    assert whole.parsed.statements[0].line_count == 3
    content = content_of(statement([batch, Item(amount=10)]))
    assert content[lines[1]["byte_offset"] :].startswith(b"2100010002D-2")


def test_details_that_do_not_add_up_leave_their_movement_one_line() -> None:
    details = [Item(amount=250_000, code="50550000"), Item(amount=740_000, code="50550000")]
    whole = read_rows(coda, statement([Item(amount=1_000_000, code="10550000", details=details)]))
    assert whole.lines["amount_minor"].to_pylist() == [100_000]
    assert whole.parsed.notes == (
        "details that do not add up to their movement, which is kept as one line: first at line 3",
    )


def test_a_summed_movement_without_details_is_one_line_of_its_batch() -> None:
    batch = Item(amount=-500_000, code="10107000", bank_ref="B-1", customer_ref="PAYROLL-1")
    (line,) = lines_of(coda, statement([batch]))
    assert (line["amount_minor"], line["batch_ref"], line["ref_end_to_end"]) == (-50_000, "PAYROLL-1", None)
    assert (line["detail_no"], line["batch_minor"]) == (None, None)


def test_parts_of_a_movement_are_its_fees_and_never_lines() -> None:
    parts = [
        Item(amount=1_000_000, code="84150100"),
        Item(amount=-5_000, code="84150013"),
        Item(amount=-1_050, code="84150011"),
        Item(amount=-2_000, code="84150012"),
        Item(amount=-500, code="84150015"),
    ]
    (line,) = lines_of(coda, statement([Item(amount=991_450, code="34150000", details=parts)]))
    assert (line["amount_minor"], line["fee_minor"]) == (99_145, 855)  # gross 1000.00
    assert line["byte_length"] == 6 * 130 - 2  # the movement with its parts
    assert [(fee["type"], fee["amount_minor"], fee["included"]) for fee in json.loads(line["fees"])] == [
        ("commission", 500, True),
        ("tax", 105, True),
        ("conversion", 200, True),
        ("charge", 50, True),
    ]


def test_a_debit_with_charges_has_them_inside_and_a_charge_keeps_nothing_back() -> None:
    payment = [Item(amount=-100_000, code="84101100"), Item(amount=-5_000, code="84101013")]
    charge = [Item(amount=-8_000, code="83537100"), Item(amount=-1_680, code="83537011")]
    rows = statement(
        [
            Item(amount=-105_000, code="34101000", details=payment),
            Item(amount=-9_680, code="33537000", details=charge),
        ]
    )
    first, second = lines_of(coda, rows)
    assert (first["amount_minor"], first["fee_minor"], first["kind"]) == (-10_500, 500, "transfer")
    assert (second["amount_minor"], second["fee_minor"], second["kind"]) == (-968, 0, "fee")
    assert json.loads(second["fees"])[0]["type"] == "tax"


def test_parts_that_do_not_add_up_are_not_fees() -> None:
    parts = [Item(amount=1_000_000, code="84150100"), Item(amount=-5_000, code="84150013")]
    whole = read_rows(coda, statement([Item(amount=990_000, code="34150000", details=parts)]))
    assert whole.lines["fee_minor"].to_pylist() == [0]
    assert whole.parsed.notes == (
        "parts that do not add up to their movement, not read as fees: first at line 3",
    )


def test_a_detail_may_have_parts_of_its_own() -> None:
    rows = statement(
        [
            Item(
                amount=1_995_000,
                code="20150000",
                details=[
                    Item(amount=995_000, code="70150000"),
                    Item(amount=1_000_000, code="90150100"),
                    Item(amount=-5_000, code="90150013"),
                    Item(amount=1_000_000, code="60150000"),
                ],
            )
        ]
    )
    lines = lines_of(coda, rows)
    assert [(line["amount_minor"], line["fee_minor"]) for line in lines] == [(99_500, 500), (100_000, 0)]


@pytest.mark.parametrize(
    ("code", "amount", "kind"),
    [
        ("00150000", 10, "transfer"),
        ("00137000", -10, "fee"),
        ("00187000", 10, "fee"),
        ("08002000", -10, "fee"),
        ("03501000", -10, "interest"),
        ("03537000", -10, "fee"),
        ("00503000", -10, "chargeback"),
        ("00505000", -10, "chargeback"),
        ("00154000", 10, "refund"),
        ("00149000", -10, "adjustment"),
        ("03050001", 10, "interest"),
        ("00101011", -10, "fee"),
        ("04150000", 10, "transfer"),
        ("04138000", -10, "fee"),
        ("0XX01000", -10, "transfer"),
    ],
)
def test_the_transaction_code_says_what_kind_of_movement_it_is(code: str, amount: int, kind: str) -> None:
    (line,) = lines_of(coda, statement([Item(amount=amount, code=code)]))
    assert (line["kind"], line["type_code"]) == (kind, code)


def test_an_r_transaction_is_a_return_with_its_reason() -> None:
    returned = Item(amount=-10_000, code="00550000", r_type="2", r_reason="AC04")
    back = Item(amount=10_000, r_type="1", r_reason="RR01")
    first, second = lines_of(coda, statement([returned, back]))
    assert (first["kind"], first["reversal"], first["reason_code"]) == ("chargeback", True, "AC04")
    assert (second["kind"], second["reversal"], second["reason_code"]) == ("refund", True, "RR01")


@pytest.mark.parametrize(
    ("field", "account"),
    [
        ("BE22313215646432                  EUR", "BE22313215646432"),
        ("539007547034 EUR0BE", "539007547034"),
        ("NL91 ABNA 0417", "NL91 ABNA 0417"),
        ("GB29NWBK60161331926819 GBP", "GB29NWBK60161331926819"),
    ],
)
def test_the_account_of_the_other_side_is_read_without_its_currency(field: str, account: str) -> None:
    (line,) = lines_of(coda, statement([Item(amount=10, account=field)]))
    assert line["counterparty_account"] == account


def test_information_records_complete_name_and_text_over_their_three_parts() -> None:
    information = [
        ("1", "001" + "CLIENT WITH A NAME LONGER THAN THIRTY-FIVE CHARACTERS".ljust(70) + "STREET 1"),
        ("0", ("FIRST " * 12).ljust(73) + "SECOND".ljust(105) + "THIRD"),
        ("1", "002" + "FROM THE BANK".ljust(35) + "AND ITS LINE TWO"),
        ("1", "008" + "ULTIMATE SA".ljust(70)),
        ("1", "006" + "DISCOUNT".ljust(30) + "EUR" + "000000000001500" + "1" + "006"),
        ("1", "007" + "0000012" + "050000" + "000000000600000"),
        ("1", "010" + "SECURITIES AS THEY STAND"),
    ]
    item = Item(amount=10, name="CLIENT WITH A NAME LONGER THAN THIR", text="HELLO", information=information)
    (line,) = lines_of(coda, statement([item]))
    assert line["counterparty"] == "CLIENT WITH A NAME LONGER THAN THIRTY-FIVE CHARACTERS"
    assert line["text"].split("\n") == [
        "HELLO",
        "FIRST FIRST FIRST FIRST FIRST FIRST FIRST FIRST FIRST FIRST FIRST FIRST SECOND THIRD",
        "FROM THE BANK",
        "AND ITS LINE TWO",
        "ULTIMATE SA",
        "DISCOUNT -1.500 EUR",
        "12 x 50.000 = 600.000 EUR",
        "SECURITIES AS THEY STAND",
    ]


def test_free_communications_of_the_bank_and_the_duplicate_mark_are_noted() -> None:
    rows = statement([], messages=["NEW TARIFFS FROM JANUARY"], header="D".ljust(9), last=False)
    rows[0] = put(rows[0], 84, "00042")
    assert read_rows(coda, rows).parsed.notes == (
        "marked as a duplicate by the bank: first at line 1",
        "a separate application (00042), not the account's ordinary file: first at line 1",
        "the bank writes: NEW TARIFFS FROM JANUARY: first at line 4",
        "the last trailer announces another statement, which is not here: first at line 5",
    )


def test_an_empty_file_without_new_balance_keeps_the_old_one_to_its_creation() -> None:
    (one,) = read_rows(coda, statement([], closing_record=False, created="201126")).parsed.statements
    assert (one.opening_minor, one.closing_minor, one.line_count) == (10_000, 10_000, 0)
    assert (one.from_date, one.to_date) == (date(2026, 11, 16), date(2026, 11, 20))


def test_statements_of_one_file_follow_one_another() -> None:
    monday = statement([Item(amount=1_000)], opening=0, last=False)
    tuesday = statement(
        [Item(amount=-300)], opening=1_000, sequence="008", first_day="161126", last_day="171126"
    )
    whole = read_rows(coda, [*monday, *tuesday])
    assert [(one.sequence_no, one.closing_minor) for one in whole.parsed.statements] == [(7, 100), (8, 70)]
    assert whole.lines["statement_no"].to_pylist() == [0, 1]
    assert whole.parsed.notes == ()


def test_after_movement_9999_numbers_go_on_at_0000() -> None:
    whole = read_rows(coda, statement([Item(amount=10)] * 10_005))
    assert whole.lines.num_rows == 10_005


def test_more_details_than_are_held_leave_early_and_must_add_up() -> None:
    details = [Item(amount=10, code="50550000")] * 20_010
    rows = statement([Item(amount=200_100, code="10550000", details=details)])
    sizes: list[int] = []
    parsed = coda.read(BytesIO(content_of(rows)), OPTIONS, lambda batch: sizes.append(batch.num_rows))
    assert (max(sizes), sum(sizes)) == (LINES_PER_BATCH, 20_010)
    assert parsed.statements[0].line_count == 20_010
    numbers = read_rows(coda, rows).lines["detail_no"].to_pylist()
    assert numbers == list(range(1, 20_011))


def test_lines_leave_while_the_file_is_read() -> None:
    rows = statement([Item(amount=1_000 + 10 * number, text=f"CLIENT {number}") for number in range(25_000)])
    sizes: list[int] = []
    parsed = coda.read(BytesIO(content_of(rows)), OPTIONS, lambda batch: sizes.append(batch.num_rows))
    assert (max(sizes), sum(sizes)) == (LINES_PER_BATCH, 25_000)
    assert parsed.statements[0].line_count == 25_000


def test_line_ends_blank_lines_and_a_byte_order_mark_change_nothing() -> None:
    places = ["record_no", "byte_offset", "byte_length"]
    plain = read_rows(coda, GOOD).lines.drop_columns(places)
    for content in (
        content_of(GOOD, end="\r"),
        content_of(GOOD, end="\n\n"),
        content_of([row + "  " for row in GOOD]),
        content_of(GOOD).rstrip(),
        content_of(GOOD) + b"\x1a",
        b"\xef\xbb\xbf" + content_of(GOOD),
    ):
        assert recognise(content) == "coda"
        assert read_rows(coda, content).lines.drop_columns(places).equals(plain)


def test_accents_are_read_in_either_encoding_and_fields_measured_in_bytes_stay_in_place() -> None:
    rows = statement([Item(amount=10, text="DÉCOMPTE ÉTÉ")])
    for encoding in ("cp1252", "utf-8"):
        assert read_rows(coda, content_of(rows, encoding=encoding)).lines["text"].to_pylist() == [
            "DÉCOMPTE ÉTÉ"
        ]
    by_bytes = [row.replace("DÉCOMPTE ÉTÉ   ", "DÉCOMPTE ÉTÉ") for row in rows]
    assert read_rows(coda, content_of(by_bytes, encoding="utf-8")).lines["text"].to_pylist() == [
        "DÉCOMPTE ÉTÉ"
    ]
