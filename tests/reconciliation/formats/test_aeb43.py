"""Cuaderno 43: what each field means, what refuses a file, and that nothing else than a refusal comes of damage."""

import json
from datetime import date
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.errors import SourcesError
from reconciliation.formats import aeb43, fixed_width
from reconciliation.formats.canonical import LINES_PER_BATCH, ReadOptions
from reconciliation.formats.registry import recognise
from tests.reconciliation.formats.aeb43_builder import ACCOUNT, Item, account, aeb43_file, good_file
from tests.reconciliation.formats.camt_builder import OPTIONS
from tests.reconciliation.formats.fixed_width_builder import (
    PROOFS,
    changed,
    content_of,
    edited,
    lines_of,
    outcome_of,
    read_rows,
    refusal_of,
)

GOOD = good_file()  # rows: 11, 22, 23, 22, 23, 33, 88


def test_a_statement_states_account_period_balances_and_proofs() -> None:
    whole = read_rows(aeb43, GOOD)
    (statement,) = whole.parsed.statements
    assert (statement.account, statement.asset) == (ACCOUNT, "EUR")
    assert (statement.from_date, statement.to_date) == (date(2026, 11, 16), date(2026, 11, 16))
    assert (statement.opening_minor, statement.closing_minor) == (10_000, 11_350)
    assert (statement.movement_minor, statement.line_count) == (1_350, 2)
    assert statement.statement_ref == "2026-11-16/2026-11-16"
    assert statement.sequence_no is None
    assert statement.proofs == (
        "record 33: 1 debits, together 12.00 EUR",
        "record 33: 1 credits, together 25.50 EUR",
        "opening 100.00 + 2 movements 13.50 = closing 113.50 EUR",
    )
    assert (whole.parsed.format_name, whole.parsed.test_mode, whole.parsed.notes) == ("aeb43", False, ())


def test_a_movement_says_dates_amount_references_text_and_where_it_stands() -> None:
    first, second = lines_of(aeb43, GOOD)
    assert (first["record_no"], first["byte_offset"], first["byte_length"]) == (2, 82, 162)
    assert (first["booking_date"], first["value_date"]) == (date(2026, 11, 16), date(2026, 11, 17))
    assert (first["amount_minor"], first["asset"], first["status"]) == (2_550, "EUR", "booked")
    assert (first["ref_end_to_end"], first["ref_servicer"]) == ("INV-7", None)
    assert (first["text"], first["kind"], first["type_code"]) == (
        "TRANSFER FROM CLIENT ONE",
        "transfer",
        "04-007",
    )
    assert (second["amount_minor"], second["kind"], second["native_id"]) == (-1_200, "fee", None)
    content = content_of(GOOD)
    assert content[first["byte_offset"] :][: first["byte_length"]].startswith(b"22    0200261116")


@pytest.mark.parametrize(
    ("concept", "minor", "kind"),
    [
        ("01", -100, "transfer"),
        ("14", -100, "chargeback"),
        ("14", 100, "refund"),
        ("17", -100, "fee"),
        ("17", 100, "interest"),
        ("98", 100, "adjustment"),
        ("99", -100, "transfer"),
    ],
)
def test_the_common_concept_says_what_kind_of_movement_it_is(concept: str, minor: int, kind: str) -> None:
    (line,) = lines_of(aeb43, aeb43_file(account([Item(minor=minor, concept=concept)])))
    assert (line["kind"], line["reversal"]) == (kind, concept == "98")


def test_a_document_number_is_a_cheque_where_the_concept_says_so() -> None:
    cheque = Item(minor=-100, concept="01", document="4711")
    other = Item(minor=-100, document="4712", first_ref="000000000000", second_ref="0000000000000000")
    lines = lines_of(aeb43, aeb43_file(account([cheque, other])))
    assert [json.loads(line["other_refs"]) for line in lines] == [{"check": "4711"}, {"transaction": "4712"}]
    assert (lines[1]["ref_servicer"], lines[1]["ref_end_to_end"]) == (None, None)


def test_the_equivalent_in_a_foreign_currency_is_the_original_amount() -> None:
    item = Item(minor=-1_000, original=("840", 1_100), texts=["HOTEL"])
    yen = Item(minor=-1_000, original=("392", 180_000))
    lines = lines_of(aeb43, aeb43_file(account([item, yen])))
    assert (lines[0]["original_amount_minor"], lines[0]["original_asset"]) == (-1_100, "USD")
    assert (lines[1]["original_amount_minor"], lines[1]["original_asset"]) == (
        -1_800,
        "JPY",
    )  # two decimals, as all


def test_amounts_have_two_decimals_whatever_the_currency() -> None:
    rows = aeb43_file(account([Item(minor=25_500)], opening=100_000, currency="392"))
    whole = read_rows(aeb43, rows)
    assert whole.lines["amount_minor"].to_pylist() == [255]
    assert whole.parsed.statements[0].opening_minor == 1_000
    odd = aeb43_file(account([Item(minor=25_550)], opening=100_000, currency="392"))
    assert refusal_of(aeb43, odd).code == "amount"


def test_a_reference_that_is_a_card_number_becomes_a_token_and_is_masked_in_text() -> None:
    item = Item(minor=-100, concept="12", second_ref="4111111111111111", texts=["CARD 4111111111111111 SHOP"])
    (line,) = lines_of(aeb43, aeb43_file(account([item])))
    assert line["ref_end_to_end"] is None
    assert line["card_token"] == OPTIONS.card_tokens.token("4111111111111111")
    assert (line["card_truncated"], line["text"]) == ("411111******1111", "CARD 411111******1111 SHOP")


def test_accounts_and_days_of_one_file_are_statements_of_their_own() -> None:
    monday = account([Item(minor=100)], opening=0)
    tuesday = account([Item(minor=-30)], opening=100, first_day="261117", last_day="261117")
    other = account([], opening=-500, key="008102000007654321", currency="840")
    whole = read_rows(aeb43, aeb43_file(monday, tuesday, other))
    assert [one.closing_minor for one in whole.parsed.statements] == [100, 70, -500]
    assert [one.asset for one in whole.parsed.statements] == ["EUR", "EUR", "USD"]
    assert whole.lines["statement_no"].to_pylist() == [0, 1]


def test_a_statement_of_the_same_account_must_open_with_the_closing_balance_before() -> None:
    monday, wednesday = account([Item(minor=100)], opening=0), account([], opening=70)
    refusal = refusal_of(aeb43, aeb43_file(monday, wednesday))
    assert (refusal.code, refusal.place) == ("sequence", "line 4, record 11, opening balance (33-47)")
    assert (refusal.expected[:8], refusal.found) == ("1.00 EUR", "0.70 EUR")


def test_the_file_header_of_some_banks_and_the_letters_of_a_currency_are_read() -> None:
    rows = ["000081261116".ljust(80), *GOOD]
    assert read_rows(aeb43, rows).parsed.notes[0].startswith("a file header 00")
    assert recognise(content_of(rows)) == "aeb43"
    letters = changed(changed(GOOD, 1, 48, "EUR"), 6, 74, "EUR")
    assert read_rows(aeb43, letters).parsed.statements[0].asset == "EUR"


def test_line_ends_blank_lines_missing_padding_and_a_dos_end_mark_change_nothing() -> None:
    plain = read_rows(aeb43, GOOD).lines.drop_columns(["record_no", "byte_offset", "byte_length"])
    for content in (
        content_of(GOOD, end="\r"),
        content_of(GOOD, end="\n"),
        content_of(GOOD, end="\r\n\r\n"),
        content_of([row.rstrip() for row in GOOD]),
        content_of([row + "   " for row in GOOD]),
        content_of(GOOD) + b"\x1a",
        b"\xef\xbb\xbf" + content_of(GOOD),
    ):
        whole = read_rows(aeb43, content)
        assert whole.lines.drop_columns(["record_no", "byte_offset", "byte_length"]).equals(plain)


def test_accents_are_read_in_either_encoding_and_fields_measured_in_bytes_stay_in_place() -> None:
    rows = aeb43_file(account([Item(minor=100, texts=["PEÑA Y MUÑOZ"])]))
    expected = ["PEÑA Y MUÑOZ"]
    assert read_rows(aeb43, content_of(rows)).lines["text"].to_pylist() == expected
    assert read_rows(aeb43, content_of(rows, encoding="utf-8")).lines["text"].to_pylist() == expected
    by_bytes = [row[:-2] if "Ñ" in row else row for row in rows]
    whole = read_rows(aeb43, content_of(by_bytes, encoding="utf-8"))
    assert whole.lines["text"].to_pylist() == expected
    assert whole.parsed.notes == ("records measured in bytes of UTF-8, not in characters: first at line 3",)


@pytest.mark.parametrize(
    ("row_no", "start", "text", "code", "place"),
    [
        (2, 29, "00000000002551", "control_total", "line 6, record 33, sum of credits (45-58)"),
        (2, 28, "1", "control_total", "line 6, record 33, number of debits (21-25)"),
        (2, 28, "3", "amount", "line 2, record 22, amount (28-42)"),
        (2, 29, "000000001E3550", "amount", "line 2, record 22, amount (28-42)"),
        (2, 29, "0000000000255 ", "amount", "line 2, record 22, amount (28-42)"),
        (2, 29, "٠٠٠٠٠٠٠٠٠٠٢٥٥٠", "amount", "line 2, record 22, amount (28-42)"),
        (2, 11, "261131", "date", "line 2, record 22, operation date (11-16)"),
        (2, 17, "261332", "date", "line 2, record 22, value date (17-22)"),
        (1, 48, "999", "currency", "line 1, record 11, currency (48-50)"),
        (1, 48, "EUX", "currency", "line 1, record 11, currency (48-50)"),
        (1, 33, "1", "balance", "line 6, record 33, closing balance (59-73)"),
        (1, 21, "261117", "sequence", "line 1, record 11, last day (27-32)"),
        (1, 3, "00810200X0", "structure", "line 1, record 11, account (3-20)"),
        (6, 60, "00000000011351", "balance", "line 6, record 33, closing balance (59-73)"),
        (6, 21, "00002", "control_total", "line 6, record 33, number of debits (21-25)"),
        (6, 40, "00000", "control_total", "line 6, record 33, number of credits (40-44)"),
        (6, 26, "00000000001201", "control_total", "line 6, record 33, sum of debits (26-39)"),
        (6, 74, "840", "currency", "line 6, record 33, currency (74-76)"),
        (6, 3, "008102000001234568", "conflict", "line 6, record 33, account (3-20)"),
        (7, 21, "000005", "control_total", "line 7, record 88, number of records (21-26)"),
        (7, 21, "00000X", "structure", "line 7, record 88, number of records (21-26)"),
        (3, 1, "25", "structure", "line 3, record code (1-2)"),
        (1, 1, "22", "structure", "line 1, record 22"),
        (1, 1, "23", "structure", "line 1, record 23"),
        (1, 1, "24", "structure", "line 1, record 24"),
        (1, 1, "33", "structure", "line 1, record 33"),
        (1, 1, "xx", "not_this_format", "line 1, record code (1-2)"),
    ],
)
def test_a_field_that_was_changed_refuses_the_file(
    row_no: int, start: int, text: str, code: str, place: str
) -> None:
    content = content_of(changed(GOOD, row_no, start, text), encoding="utf-8")
    refusal = refusal_of(aeb43, content)
    assert (refusal.code, refusal.place) == (code, place)


def test_a_file_that_is_cut_anywhere_is_refused() -> None:
    content = content_of(GOOD)
    last_digit = content.index(b"000006") + 6 - 1
    for end in range(last_digit + 1):
        refusal = refusal_of(aeb43, content[:end])
        assert refusal.code in {"truncated", "structure", "not_this_format", "control_total"}, end
    for rows in range(1, len(GOOD)):
        assert refusal_of(aeb43, GOOD[:rows]).code == "truncated"
    assert refusal_of(aeb43, b"").code == "not_this_format"


@pytest.mark.parametrize("row_no", range(1, 8))
def test_a_record_that_is_missing_or_doubled_refuses_the_file(row_no: int) -> None:
    missing = GOOD[: row_no - 1] + GOOD[row_no:]
    assert refusal_of(aeb43, missing).code in {"structure", "control_total", "truncated"}
    if row_no < 7:
        doubled = GOOD[:row_no] + GOOD[row_no - 1 :]
        assert refusal_of(aeb43, doubled).code in {"structure", "control_total", "truncated"}


def test_a_total_that_is_off_by_a_power_of_ten_says_so() -> None:
    refusal = refusal_of(aeb43, changed(GOOD, 2, 29, "00000000255000"))
    assert "it is 100 times what was expected, which points to wrong minor digits" in refusal.found


def test_waived_proofs_are_flagged_and_a_balance_that_failed_is_not_stated() -> None:
    rows = changed(changed(GOOD, 6, 60, "00000000099999"), 7, 21, "000009")
    (statement,) = read_rows(aeb43, rows, waived=PROOFS).parsed.statements
    assert (statement.opening_minor, statement.closing_minor) == (None, None)
    assert [flag.split(":")[1].strip() for flag in statement.flags] == ["balance", "control_total"]
    assert "expected 999.99 EUR" in statement.flags[0]
    assert len(statement.proofs) == 2


def test_binary_endless_and_overlong_files_are_refused() -> None:
    assert refusal_of(aeb43, changed(GOOD, 3, 10, "\0")).code == "unsafe"
    assert refusal_of(aeb43, b"1" * 200_000).code == "limit"
    assert refusal_of(aeb43, [GOOD[0], GOOD[1] + "X", *GOOD[2:]]).code == "structure"
    many = [GOOD[0], GOOD[1], *[GOOD[2]] * 200, *GOOD[3:]]
    assert refusal_of(aeb43, many).code == "limit"
    assert refusal_of(aeb43, content_of(GOOD).replace(b"CHARGES", b"CHARG\x81S")).code == "structure"


def test_the_number_of_statements_in_a_file_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fixed_width, "STATEMENTS_MAX", 2)
    assert len(read_rows(aeb43, aeb43_file(account([]), account([]))).parsed.statements) == 2
    assert refusal_of(aeb43, aeb43_file(account([]), account([]), account([]))).code == "limit"


def test_a_setting_is_a_problem_of_the_sources() -> None:
    options = ReadOptions(card_tokens=OPTIONS.card_tokens, settings={"decimals": "2"})
    with pytest.raises(SourcesError, match="decimals is not known"):
        aeb43.read(None, options, print)  # type: ignore[arg-type]


def test_lines_leave_while_the_file_is_read() -> None:
    items = [Item(minor=100 + number, texts=[f"CLIENT {number}"]) for number in range(25_000)]
    sizes: list[int] = []
    rows = aeb43_file(account(items))
    parsed = aeb43.read(BytesIO(content_of(rows)), OPTIONS, lambda batch: sizes.append(batch.num_rows))
    assert (max(sizes), sum(sizes)) == (LINES_PER_BATCH, 25_000)
    assert parsed.statements[0].line_count == 25_000


@given(st.binary(max_size=400))
def test_random_bytes_are_refused(content: bytes) -> None:
    assert not hasattr(outcome_of(aeb43, content), "lines")


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4))
def test_random_edits_give_a_delivery_or_a_refusal(edits: list[tuple[int, int]]) -> None:
    outcome_of(aeb43, edited(content_of(GOOD), edits))
