"""CFONB 120: what each field means, what refuses a file, and that nothing else than a refusal comes of damage."""

import json
from datetime import date
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.errors import SourcesError
from reconciliation.formats import cfonb120
from reconciliation.formats.canonical import LINES_PER_BATCH, ReadOptions
from reconciliation.formats.registry import recognise
from tests.reconciliation.formats.camt_builder import OPTIONS
from tests.reconciliation.formats.cfonb120_builder import (
    ACCOUNT,
    Item,
    balance,
    good_file,
    punched,
    statement,
)
from tests.reconciliation.formats.fixed_width_builder import (
    PROOFS,
    changed,
    content_of,
    edited,
    lines_of,
    outcome_of,
    put,
    read_rows,
    refusal_of,
)

GOOD = good_file()  # rows: 01, 04, 05, 05, 04, 07


def line_of(*complements: tuple[str, str], minor: int = -10_500) -> dict[str, object]:
    (line,) = lines_of(cfonb120, statement([Item(minor=minor, complements=list(complements))]))
    return line


def test_a_statement_states_account_period_balances_and_proof() -> None:
    whole = read_rows(cfonb120, GOOD)
    (one,) = whole.parsed.statements
    assert (one.account, one.asset, one.sequence_no) == (ACCOUNT, "EUR", None)
    assert (one.from_date, one.to_date) == (
        date(2026, 11, 16),
        date(2026, 11, 16),
    )  # the old balance is of the eve
    assert (one.opening_minor, one.closing_minor) == (10_000, 11_349)
    assert (one.movement_minor, one.line_count) == (1_349, 2)
    assert one.statement_ref == "2026-11-15/2026-11-16"
    assert one.proofs == ("opening 100.00 + 2 movements 13.49 = closing 113.49 EUR",)
    assert (whole.parsed.format_name, whole.parsed.format_version) == ("cfonb120", "2004.07")


def test_a_movement_says_dates_amount_parties_and_where_it_stands() -> None:
    first, second = lines_of(cfonb120, GOOD)
    assert (first["record_no"], first["byte_offset"], first["byte_length"]) == (2, 122, 364)
    assert (first["booking_date"], first["value_date"]) == (date(2026, 11, 16), date(2026, 11, 17))
    assert (first["amount_minor"], first["asset"], first["status"]) == (2_550, "EUR", "booked")
    assert (first["counterparty"], first["ref_end_to_end"], first["text"]) == (
        "CLIENT ONE",
        "INV-7",
        "VIR ACME",
    )
    assert (first["kind"], first["type_code"], first["native_id"]) == ("transfer", "05-0001", None)
    assert (second["amount_minor"], second["kind"], second["type_code"]) == (-1_201, "fee", "62-0117")


@pytest.mark.parametrize("last", range(10))
@pytest.mark.parametrize("sign", [1, -1])
def test_the_last_digit_carries_the_sign(sign: int, last: int) -> None:
    minor = sign * (120 + last)
    (line,) = lines_of(cfonb120, statement([Item(minor=minor)]))
    assert line["amount_minor"] == minor


@pytest.mark.parametrize(
    ("encoding", "zero", "minor"),
    [
        ("cp1252", "é", 2_550),
        ("cp1252", "è", -2_550),
        ("utf-8", "é", 2_550),
        ("utf-8", "è", -2_550),
        ("cp850", "é", 2_550),
        ("cp850", "è", -2_550),
    ],
)
def test_accented_letters_are_the_zeros_of_french_code_pages(encoding: str, zero: str, minor: int) -> None:
    rows = statement([Item(minor=minor, punch=f"0000000000255{zero}")])
    assert read_rows(cfonb120, content_of(rows, encoding=encoding)).lines["amount_minor"].to_pylist() == [
        minor
    ]


def test_the_record_says_how_many_decimals_its_amounts_have() -> None:
    rows = statement([Item(minor=25_500)], opening=1_000_000, decimals="3")
    whole = read_rows(cfonb120, rows)
    assert whole.lines["amount_minor"].to_pylist() == [2_550]
    assert whole.parsed.statements[0].opening_minor == 100_000
    yen = read_rows(cfonb120, statement([Item(minor=255)], opening=1_000, currency="JPY", decimals="0"))
    assert (yen.lines["amount_minor"].to_pylist(), yen.parsed.statements[0].opening_minor) == ([255], 1_000)
    assert refusal_of(cfonb120, statement([Item(minor=25_505)], decimals="3")).code == "amount"


def test_a_balance_without_currency_takes_that_of_the_first_movement() -> None:
    rows = [put(row, 17, "    ") if row[:2] in ("01", "07") else row for row in GOOD]
    (one,) = read_rows(cfonb120, rows).parsed.statements
    assert (one.asset, one.opening_minor, one.closing_minor) == ("EUR", 10_000, 11_349)
    bare = [put(row, 17, "    ") for row in statement([])]
    refusal = refusal_of(cfonb120, bare)
    assert (refusal.code, refusal.place) == ("currency", "line 2, record 07, currency (17-19)")


def test_several_days_of_an_account_in_one_file_are_statements_that_follow_one_another() -> None:
    monday = statement([Item(minor=100)], opening=0)
    tuesday = statement([Item(minor=-30)], opening=100, first_day="161126", last_day="171126")
    whole = read_rows(cfonb120, [*monday, "", *tuesday])
    assert [(one.from_date.day, one.to_date.day, one.closing_minor) for one in whole.parsed.statements] == [
        (16, 16, 100),
        (17, 17, 70),
    ]
    assert whole.lines["statement_no"].to_pylist() == [0, 1]
    refusal = refusal_of(cfonb120, [*tuesday, *monday])
    assert (refusal.code, refusal.place) == ("sequence", "line 4, record 01, balance (91-104)")
    other = statement([Item(minor=-30)], opening=5, number="00087654321")
    assert len(read_rows(cfonb120, [*monday, *other, *tuesday]).parsed.statements) == 3


def test_two_statements_of_one_account_and_day_keep_names_of_their_own() -> None:
    first, second = statement([Item(minor=100)], opening=0), statement([], opening=100)
    refs = [one.statement_ref for one in read_rows(cfonb120, [*first, *second]).parsed.statements]
    assert refs == ["2026-11-15/2026-11-16", "2026-11-15/2026-11-16/2"]


def test_a_file_may_reach_back_into_the_last_century() -> None:
    rows = statement(
        [Item(minor=100, booked="311299", valued="010100")], first_day="301299", last_day="311299"
    )
    (line,) = lines_of(cfonb120, rows)
    assert (line["booking_date"], line["value_date"]) == (date(1999, 12, 31), date(2000, 1, 1))


def test_complements_give_references_parties_and_text() -> None:
    line = line_of(
        ("NPY", "OURSELVES"),
        ("NBE", "SUPPLIER SA"),
        ("CBE", "FR7612345000010001234567890"),
        ("BDB", "AGRIFRPPXXX"),
        ("IBE", "FR12ZZZ123456"),
        ("RUM", "MANDATE-1"),
        ("RCN", "E2E-1".ljust(35) + "RENT"),
        ("REF", "BANK-1"),
        ("LCC", "INVOICE 7"),
        ("LC2", "AND INVOICE 8"),
        ("LCS", "RF18539007547034"),
        ("XYZ", "SOMETHING NEW"),
    )
    assert (line["counterparty"], line["counterparty_account"]) == (
        "SUPPLIER SA",
        "FR7612345000010001234567890",
    )
    assert (line["counterparty_bic"], line["ref_end_to_end"], line["ref_servicer"]) == (
        "AGRIFRPPXXX",
        "E2E-1",
        "BANK-1",
    )
    assert json.loads(str(line["other_refs"])) == {
        "creditor_id": "FR12ZZZ123456",
        "creditor_reference": "RF18539007547034",
        "mandate": "MANDATE-1",
    }
    assert str(line["text"]).split("\n") == [
        "VIR ACME",
        "INVOICE 7",
        "AND INVOICE 8",
        "XYZ SOMETHING NEW",
        "RF18539007547034",
        "OURSELVES",
    ]


def test_who_pays_us_is_the_payer_and_his_identification_is_a_customer() -> None:
    line = line_of(("NPY", "CLIENT"), ("NBE", "OURSELVES"), ("CPY", "FR76999"), ("IPY", "C-17"), minor=100)
    assert (line["counterparty"], line["counterparty_account"]) == ("CLIENT", "FR76999")
    assert json.loads(str(line["other_refs"])) == {"customer": "C-17"}
    assert line_of(("NPY", "TELECOM"))["counterparty"] == "TELECOM"  # a debit of a bank that knows no payee


def test_reference_zone_and_entry_number_of_the_movement_are_references() -> None:
    cheque = Item(minor=-100, code="010001", entry="0004711")
    transfer = Item(minor=-100, zone="ZONE-1", entry="0000012")
    both = Item(minor=-100, zone="ZONE-2", complements=[("REF", "BANK-2")])
    lines = lines_of(cfonb120, statement([cheque, transfer, both]))
    assert [line["ref_servicer"] for line in lines] == [None, "ZONE-1", "BANK-2"]
    assert [line["ref_end_to_end"] for line in lines] == [None, None, "ZONE-2"]
    assert [line["other_refs"] for line in lines] == ['{"check":"4711"}', '{"transaction":"12"}', None]


def test_an_amount_in_its_own_currency_has_a_rate_and_its_direction() -> None:
    line = line_of(("MMO", "USD2000000000114002" + "00000000108"))
    assert (line["original_amount_minor"], line["original_asset"]) == (-11_400, "USD")
    assert line["fx_rate"] == "1.08"
    assert (line["fx_numerator"], line["fx_denominator"]) == (None, None)  # 114.00 / 1.08 is not 105.00
    line = line_of(("MMO", "USD2000000000113404" + "00000010800"), minor=-10_500)
    assert (line["fx_rate"], line["fx_numerator"], line["fx_denominator"]) == ("1.08", 25, 27)
    line = line_of(("MMO", "JPY0000000000180000" + "       "), minor=-10_500)
    assert (line["original_amount_minor"], line["fx_rate"]) == (-18_000, None)


def test_a_charge_is_inside_the_amount_where_the_rate_proves_it() -> None:
    charge = ("FEE", "EUR200000000000500")
    line = line_of(charge, ("MMO", "USD2000000000110002" + "00000000110"))
    assert (line["fee_minor"], line["amount_minor"]) == (
        500,
        -10_500,
    )  # 110.00 USD at 1.10 are 100.00, and 5.00
    assert json.loads(str(line["fees"])) == [
        {"amount_minor": 500, "asset": "EUR", "included": True, "type": "charge"}
    ]
    line = line_of(charge)
    assert (line["fee_minor"], json.loads(str(line["fees"]))[0]["included"]) == (0, False)


def test_a_return_is_told_by_its_code_by_a_reason_of_rejection_or_by_its_complement() -> None:
    rows = statement(
        [
            Item(minor=-100, code="B30001"),
            Item(minor=100, code="A30001"),
            Item(minor=-100, reject="04"),
            Item(minor=100, complements=[("RET", "AC04 20 COMPTE CLOS")]),
            Item(minor=100, code="610001"),
            Item(minor=100, code="990001"),
        ]
    )
    lines = lines_of(cfonb120, rows)
    assert [line["kind"] for line in lines] == [
        "chargeback",
        "refund",
        "chargeback",
        "refund",
        "interest",
        "adjustment",
    ]
    assert [line["reason_code"] for line in lines] == [None, None, "04", "AC04", None, None]
    assert [line["reversal"] for line in lines] == [False] * 5 + [True]


def test_card_numbers_are_masked_in_text_and_tokens_as_references() -> None:
    line = line_of(("LIB", "CARTE 4111111111111111"), ("RCN", "4111111111111111"))
    assert (line["text"], line["ref_end_to_end"]) == ("VIR ACME\nCARTE 411111******1111", None)
    assert line["card_token"] == OPTIONS.card_tokens.token("4111111111111111")


def test_line_ends_blank_lines_missing_padding_and_a_dos_end_mark_change_nothing() -> None:
    places = ["record_no", "byte_offset", "byte_length"]
    plain = read_rows(cfonb120, GOOD).lines.drop_columns(places)
    for content in (
        content_of(GOOD, end="\r"),
        content_of(GOOD, end="\n\n"),
        content_of([row.rstrip() for row in GOOD]),
        content_of([row + " " for row in GOOD]),
        content_of(["", " " * 120, *GOOD]) + b"\x1a",
        b"\xef\xbb\xbf" + content_of(GOOD),
    ):
        assert recognise(content) == "cfonb120"
        assert read_rows(cfonb120, content).lines.drop_columns(places).equals(plain)


def test_another_branch_than_that_of_the_old_balance_is_noted() -> None:
    whole = read_rows(cfonb120, changed(GOOD, 5, 12, "00009"))
    assert whole.parsed.notes == ("bank or branch differs from that of record 01: first at line 5",)


@pytest.mark.parametrize(
    ("row_no", "start", "text", "code", "place"),
    [
        (2, 91, "0000000000255A", "balance", "line 6, record 07, balance (91-104)"),
        (2, 104, "}", "balance", "line 6, record 07, balance (91-104)"),
        (2, 104, "0", "amount", "line 2, record 04, amount (91-104)"),
        (2, 91, "00000000001E3{", "amount", "line 2, record 04, amount (91-104)"),
        (2, 91, "0000000000 55{", "amount", "line 2, record 04, amount (91-104)"),
        (2, 17, "USD", "currency", "line 2, record 04, currency (17-19)"),
        (1, 17, "XXX", "currency", "line 1, record 01, currency (17-19)"),
        (6, 17, "USD", "currency", "line 6, record 07, currency (17-19)"),
        (2, 20, "X", "structure", "line 2, record 04, number of decimals (20)"),
        (2, 20, "3", "balance", "line 6, record 07, balance (91-104)"),
        (1, 91, "0000000000999{", "balance", "line 6, record 07, balance (91-104)"),
        (6, 91, "0000000001134{", "balance", "line 6, record 07, balance (91-104)"),
        (1, 35, "311126", "date", "line 1, record 01, date (35-40)"),
        (2, 35, "3A1126", "date", "line 2, record 04, booking date (35-40)"),
        (2, 43, "290227", "date", "line 2, record 04, value date (43-48)"),
        (6, 35, "000000", "date", "line 6, record 07, date (35-40)"),
        (6, 35, "141126", "sequence", "line 6, record 07, date (35-40)"),
        (2, 22, "00012345679", "conflict", "line 2, record 04, account (22-32)"),
        (3, 22, "00012345679", "conflict", "line 3, record 05, account (22-32)"),
        (6, 22, "00012345679", "conflict", "line 6, record 07, account (22-32)"),
        (1, 22, "           ", "structure", "line 1, record 01, account (22-32)"),
        (1, 1, "04", "structure", "line 1, record 04"),
        (1, 1, "05", "structure", "line 1, record 05"),
        (1, 1, "07", "structure", "line 1, record 07"),
        (1, 1, "99", "not_this_format", "line 1, record code (1-2)"),
        (4, 1, "03", "structure", "line 4, record code (1-2)"),
        (5, 1, "01", "truncated", "line 5, record 01"),
    ],
)
def test_a_field_that_was_changed_refuses_the_file(
    row_no: int, start: int, text: str, code: str, place: str
) -> None:
    refusal = refusal_of(cfonb120, changed(GOOD, row_no, start, text))
    assert (refusal.code, refusal.place) == (code, place)


@pytest.mark.parametrize(
    ("qualifier", "content", "code", "place"),
    [
        ("FEE", "EUX200000000000500", "currency", "line 2, record 05, FEE, currency"),
        ("MMO", "USD", "amount", "line 2, record 05, MMO"),
        ("MMO", "USD2" + "1E3".rjust(14, "0"), "amount", "line 2, record 05, MMO"),
    ],
)
def test_a_complement_with_an_impossible_amount_refuses_the_file(
    qualifier: str, content: str, code: str, place: str
) -> None:
    rows = statement([Item(minor=-100, complements=[(qualifier, content)])])
    refusal = refusal_of(cfonb120, rows)
    assert (refusal.code, refusal.place) == (code, place)


def test_a_file_that_is_cut_anywhere_is_refused() -> None:
    content = content_of(GOOD).rstrip()
    for end in range(len(content)):
        refusal = refusal_of(cfonb120, content[:end])
        assert refusal.code in {"truncated", "not_this_format", "structure"}, end
    for rows in range(1, len(GOOD)):
        refusal = refusal_of(cfonb120, GOOD[:rows])
        assert (refusal.code, refusal.place) == ("truncated", "the end of the file")


@pytest.mark.parametrize("row_no", [1, 2, 5, 6])
def test_a_movement_or_balance_that_is_missing_or_doubled_refuses_the_file(row_no: int) -> None:
    missing, doubled = GOOD[: row_no - 1] + GOOD[row_no:], GOOD[:row_no] + GOOD[row_no - 1 :]
    assert refusal_of(cfonb120, missing).code in {"structure", "balance", "truncated"}
    assert refusal_of(cfonb120, doubled).code in {"structure", "balance", "truncated"}


def test_a_balance_that_is_off_by_a_power_of_ten_says_so() -> None:
    refusal = refusal_of(
        cfonb120,
        [balance("01", 0, "151126"), *statement([Item(minor=250)])[1:2], balance("07", 25, "161126")],
    )
    assert refusal.code == "balance"
    assert "it is 10 times what was expected" in refusal.found


def test_waived_proofs_are_flagged_and_a_balance_that_failed_is_not_stated() -> None:
    rows = changed(GOOD, 6, 91, punched(99_999))
    (one,) = read_rows(cfonb120, rows, waived=PROOFS).parsed.statements
    assert (one.opening_minor, one.closing_minor, one.movement_minor) == (None, None, 1_349)
    assert one.proofs == ()
    (flag,) = one.flags
    assert flag.startswith(
        "waived: balance: line 6, record 07, balance (91-104): expected 999.99 EUR, as stated,"
    )
    assert flag.endswith("found 100.00 + 13.49 = 113.49 EUR, a difference of -886.50 EUR")


def test_binary_endless_and_overlong_files_are_refused() -> None:
    assert refusal_of(cfonb120, changed(GOOD, 3, 60, "\0")).code == "unsafe"
    assert refusal_of(cfonb120, b"0" * 200_000).code == "limit"
    assert refusal_of(cfonb120, [GOOD[0], GOOD[1] + "X", *GOOD[2:]]).code == "structure"
    assert refusal_of(cfonb120, [*GOOD[:2], *[GOOD[2]] * 501, *GOOD[4:]]).code == "limit"
    assert refusal_of(cfonb120, content_of(GOOD).replace(b"CLIENT", b"CLI\x90NT")).code == "structure"


def test_a_setting_is_a_problem_of_the_sources() -> None:
    options = ReadOptions(card_tokens=OPTIONS.card_tokens, settings={"decimals": "2"})
    with pytest.raises(SourcesError, match="decimals is not known"):
        cfonb120.read(BytesIO(), options, print)


def test_lines_leave_while_the_file_is_read() -> None:
    items = [Item(minor=100 + number, label=f"CLIENT {number}") for number in range(25_000)]
    sizes: list[int] = []
    stream = BytesIO(content_of(statement(items)))
    parsed = cfonb120.read(stream, OPTIONS, lambda batch: sizes.append(batch.num_rows))
    assert (max(sizes), sum(sizes)) == (LINES_PER_BATCH, 25_000)
    assert parsed.statements[0].line_count == 25_000


@given(st.binary(max_size=400))
def test_random_bytes_are_refused(content: bytes) -> None:
    assert not hasattr(outcome_of(cfonb120, content), "lines")


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4))
def test_random_edits_give_a_delivery_or_a_refusal(edits: list[tuple[int, int]]) -> None:
    outcome_of(cfonb120, edited(content_of(GOOD), edits))
