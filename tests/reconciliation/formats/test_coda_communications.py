"""CODA: the structured communications, one by one."""

import json
from datetime import date
from typing import Any

import pytest

from reconciliation.formats import coda
from reconciliation.formats.coda_parts.communication import has_check
from tests.reconciliation.formats.camt_builder import OPTIONS
from tests.reconciliation.formats.coda_builder import Item, statement
from tests.reconciliation.formats.fixed_width_builder import lines_of, read_rows, refusal_of


def line_of(structured: str, *, amount: int = -100_000, code: str = "00101000") -> dict[str, Any]:
    (line,) = lines_of(coda, statement([Item(amount=amount, code=code, structured=structured)]))
    line["others"] = json.loads(line["other_refs"] or "{}")
    return line


@pytest.mark.parametrize("kind", ["101", "102"])
def test_a_structured_communication_is_the_creditors_reference(kind: str) -> None:
    line = line_of(f"{kind}090933755493")
    assert (line["others"], line["text"]) == ({"creditor_reference": "090933755493"}, "+++090/9337/55493+++")


def test_wrong_check_digits_leave_it_text_with_a_note() -> None:
    whole = read_rows(coda, statement([Item(amount=10, structured="101090933755494")]))
    (line,) = whole.lines.to_pylist()
    assert (line["other_refs"], line["text"]) == (None, "+++090/9337/55494+++")
    assert whole.parsed.notes == (
        "structured communications with wrong check digits, kept as text: first at line 3",
    )


def test_the_check_of_a_multiple_of_97_is_written_97() -> None:
    assert has_check("000000009797")
    assert not has_check("000000009700")


@pytest.mark.parametrize("text", ["+++090/9337/55493+++ RENT", "RENT ***090/9337/55493***"])
def test_a_structured_communication_in_free_text_is_found(text: str) -> None:
    (line,) = lines_of(coda, statement([Item(amount=10, text=text)]))
    assert (json.loads(line["other_refs"]), line["text"]) == ({"creditor_reference": "090933755493"}, text)


def test_marks_in_free_text_without_a_valid_number_say_nothing() -> None:
    (line,) = lines_of(coda, statement([Item(amount=10, text="+++ 4 +++ **")]))
    assert (line["other_refs"], line["text"]) == (None, "+++ 4 +++ **")


def test_100_is_an_international_creditor_reference() -> None:
    line = line_of("100RF18539007547034")
    assert (line["others"], line["text"]) == ({"creditor_reference": "RF18539007547034"}, "RF18539007547034")


def test_103_is_the_number_of_a_cheque_or_of_something_else() -> None:
    assert line_of("103000000004711", code="00301000")["others"] == {"check": "4711"}
    assert line_of("103000000004711", code="00401000")["text"] == "000000004711"


def test_105_is_the_original_amount_with_rate_and_reference() -> None:
    body = "000000000100000" + "000000000108000" + "000108000000" + "USD" + "090933755493" + "US" + "0" * 15
    line = line_of("105" + body)
    assert (line["original_amount_minor"], line["original_asset"]) == (-10_800, "USD")
    assert (line["fx_rate"], line["fx_numerator"], line["fx_denominator"]) == ("1.08", 25, 27)
    assert line["others"] == {"creditor_reference": "090933755493"}
    other_way = "000000000100000" + "000000000125000" + "000080000000" + "USD"
    line = line_of("105" + other_way)
    assert (line["fx_rate"], line["fx_numerator"], line["fx_denominator"]) == ("0.8", 4, 5)


def test_105_in_the_currency_of_the_account_is_no_original_amount() -> None:
    line = line_of("105" + "000000000100000" * 2 + "000100000000" + "EUR")
    assert (line["original_asset"], line["fx_rate"]) == (None, None)


def test_105_of_a_rate_that_fits_neither_way_has_no_direction() -> None:
    line = line_of("105" + "000000000100000" + "000000000108000" + "000207000000" + "USD")
    assert (line["fx_rate"], line["fx_numerator"]) == ("2.07", None)


def test_105_with_an_unknown_currency_or_amount_refuses_the_file() -> None:
    for body, code in (
        ("000000000100000" * 2 + "0" * 12 + "USX", "currency"),
        ("1E3".rjust(30) + "0" * 12 + "USD", "amount"),
    ):
        refusal = refusal_of(coda, statement([Item(amount=10, structured="105" + body), Item(amount=10)]))
        assert (refusal.code, refusal.place.split(",")[0]) == (code, "line 3")


def test_106_tells_how_a_tax_was_calculated() -> None:
    assert (
        line_of("106" + "000000000001680" + "000000000008000" + "002100000000" + "0")["text"]
        == "21 % of 8.000 EUR"
    )
    assert line_of("106" + "000000000001680" + "000000000008000" + "0" * 12)["text"] == "8.000 EUR"


def test_108_tells_the_period_of_a_closing() -> None:
    assert line_of("108" + "0" * 42 + "011026311026")["text"] == "2026-10-01 to 2026-10-31"
    assert line_of("108" + "0" * 54)["text"] is None


def test_terminals_give_their_number_place_and_the_trace() -> None:
    total = line_of(
        "111" + "1" + "123456" + "042" + "000001161126" + "000009161126" + "0" + "SHOP".ljust(16) + "GENT"
    )
    assert (total["others"], total["text"]) == ({"terminal_id": "123456", "trace": "042"}, "SHOP GENT")
    place = "SHOP".ljust(16) + "GENT".ljust(10)
    single = line_of("11411234560420000071611261530" + "5" + place + "REF-9")
    assert (single["others"], single["text"]) == ({"terminal_id": "123456", "trace": "000007"}, "SHOP GENT")
    assert single["ref_merchant"] == "REF-9"
    cash = line_of(
        "11541111111111111119123456000008" + "1611261530000001" + "0" * 15 + " " + place + "090933755493"
    )
    assert cash["others"] == {
        "terminal_id": "123456",
        "trace": "000008",
        "creditor_reference": "090933755493",
    }
    assert cash["card_truncated"] == "411111******1111"


def test_113_is_a_card_payment_with_its_original_amount() -> None:
    head = "2" + "123456" + "000007" + "1611261530"
    shop = "SHOP".ljust(16) + "LONDON".ljust(10) + "000000000080000" + "000125000000" + "GBP"
    line = line_of("113" + "4111111111111111" + head + "5" + shop)
    assert line["card_token"] == OPTIONS.card_tokens.token("4111111111111111")
    assert (line["card_truncated"], line["text"], line["reversal"]) == (
        "411111******1111",
        "SHOP LONDON",
        False,
    )
    assert (line["original_amount_minor"], line["original_asset"]) == (-8_000, "GBP")
    assert (line["fx_numerator"], line["fx_denominator"]) == (5, 4)
    masked = line_of("113" + "411111XXXXXX1111" + head + "4" + shop, amount=100_000)
    assert (masked["card_token"], masked["card_truncated"]) == (None, "411111******1111")
    assert (masked["reversal"], masked["kind"]) == (True, "refund")
    assert line_of("113" + " " * 16 + head + "5" + shop)["card_truncated"] is None


def test_124_is_the_settlement_of_a_credit_card() -> None:
    line = line_of(
        "124" + "4111111111111111".ljust(20) + "2" + "INV-7".ljust(12) + "CUST-1".ljust(15) + "161126"
    )
    assert line["others"] == {"invoice": "INV-7", "customer": "CUST-1"}
    assert line["card_truncated"] == "411111******1111"


def test_127_is_a_direct_debit_with_mandate_creditor_and_reason() -> None:
    body = "171126110" + "BE68ZZZ0123456789".ljust(35) + "MANDATE-1".ljust(35) + "SUBSCRIPTION".ljust(62)
    line = line_of("127" + body + "0")
    assert (line["settlement_date"], line["text"]) == (date(2026, 11, 17), "SUBSCRIPTION")
    assert line["others"] == {"creditor_id": "BE68ZZZ0123456789", "mandate": "MANDATE-1"}
    assert (line["reason_code"], line["reversal"], line["kind"]) == (None, False, "transfer")
    returned = line_of("127" + body + "2MD06")
    assert (returned["reason_code"], returned["reversal"], returned["kind"]) == ("MD06", True, "chargeback")
    unpaid = line_of("127" + "000000113" + body[9:])
    assert (unpaid["settlement_date"], unpaid["reason_code"]) == (None, "3")


def test_127_with_an_impossible_date_refuses_the_file() -> None:
    refusal = refusal_of(coda, statement([Item(amount=10, structured="127311126" + "110")]))
    assert (refusal.code, refusal.place) == ("date", "line 3, communication 127, settlement date")


def test_the_text_of_an_unknown_layout_stays() -> None:
    assert line_of("199SOMETHING NEW")["text"] == "SOMETHING NEW"
    assert line_of("126DEPOSIT 4711")["text"] == "DEPOSIT 4711"


def test_card_numbers_in_text_are_masked_and_one_as_reference_becomes_a_token() -> None:
    item = Item(amount=10, text="CARD 4111111111111111", customer_ref="4111111111111111", name="SHOP")
    (line,) = lines_of(coda, statement([item]))
    assert (line["text"], line["ref_end_to_end"]) == ("CARD 411111******1111", None)
    assert line["card_token"] == OPTIONS.card_tokens.token("4111111111111111")
