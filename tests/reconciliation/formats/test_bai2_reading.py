"""What a BAI2 report says arrives whole: accounts, balances, direction by type code, references, text, value dates."""

import dataclasses
import json
from datetime import date
from io import BytesIO

import pytest

from reconciliation.errors import SourcesError
from reconciliation.formats import bai2
from reconciliation.formats.canonical import LINE_SCHEMA, LINES_PER_BATCH, read_whole
from tests.reconciliation.formats.bai2_builder import (
    GOOD,
    account,
    delivery,
    group,
    movement,
    of_lines,
    read,
    refusal,
)
from tests.reconciliation.formats.camt_builder import OPTIONS


def only_line(content: str, **settings: str) -> dict[str, object]:
    whole = read(content, dataclasses.replace(OPTIONS, settings=settings))
    (line,) = whole.lines.to_pylist()
    assert isinstance(line, dict)
    return line


def test_a_statement_carries_account_day_balances_and_what_was_proved() -> None:
    parsed = read(GOOD).parsed
    (statement,) = parsed.statements
    assert (parsed.format_name, parsed.format_version, parsed.file_reference) == (
        "bai2",
        "2",
        "BANK:261116:7",
    )
    assert (statement.account, statement.asset, statement.statement_ref) == (
        "12345",
        "USD",
        "BANK:12345:2026-11-15:USD",
    )
    assert statement.from_date == statement.to_date == date(2026, 11, 15)
    assert (statement.opening_minor, statement.movement_minor, statement.closing_minor) == (
        10000,
        1800,
        11800,
    )
    assert (statement.line_count, statement.pending_count, statement.interim) == (2, 0, False)
    assert statement.proofs == (
        "control total 49: 25000 in 4 records",
        "closing ledger 015 118.00 USD = 118.00 USD (opening 010 100.00 and 2 movements of 18.00)",
        "control total 98: 25000, number of accounts 1, 6 records",
        "control total 99: 25000, number of groups 1, 8 records",
    )
    assert (statement.flags, parsed.notes, parsed.test_mode) == ((), (), False)


def test_each_field_of_a_transaction_is_told_and_its_bytes_are_found_again() -> None:
    line = read(GOOD).lines.to_pylist()[1]
    given = {name: value for name, value in line.items() if value is not None}
    assert given == {
        "statement_no": 0,
        "record_no": 2,
        "status": "booked",
        "booking_date": date(2026, 11, 15),
        "amount_minor": -700,
        "asset": "USD",
        "fee_minor": 0,
        "ref_servicer": "B2",
        "ref_end_to_end": "1001",
        "other_refs": '{"check":"1001"}',
        "text": "Cheque",
        "kind": "transfer",
        "type_code": "475",
        "reversal": False,
        "byte_offset": GOOD.index("16,475"),
        "byte_length": len("16,475,700,Z,B2,1001,Cheque/"),
    }


@pytest.mark.parametrize(
    ("code", "amount", "kind", "reversal"),
    [
        ("142", 2500, "transfer", False),
        ("399", 2500, "transfer", False),
        ("400", -2500, "transfer", False),
        ("699", -2500, "transfer", False),
        ("257", 2500, "transfer", True),  # ACH return of ours
        ("552", -2500, "transfer", True),  # credit reversal
        ("698", -2500, "fee", False),
        ("398", 2500, "fee", False),  # refund of a fee
        ("354", 2500, "interest", False),
        ("654", -2500, "interest", False),
        ("631", -2500, "adjustment", False),
    ],
)
def test_the_type_code_says_direction_kind_and_whether_it_undoes_another(
    code: str, amount: int, kind: str, reversal: bool
) -> None:
    line = only_line(of_lines(movement(code), amounts="010,10000,,"))
    assert (line["amount_minor"], line["kind"], line["reversal"]) == (amount, kind, reversal)


def test_information_without_money_is_told_and_never_counted() -> None:
    whole = read(of_lines(movement(), "16,890,,,,,Branch closed on Friday"))
    (statement,) = whole.parsed.statements
    booked, told = whole.lines.to_pylist()
    assert (booked["status"], told["status"], told["amount_minor"]) == ("booked", "info", 0)
    assert told["text"] == "Branch closed on Friday"
    assert (statement.line_count, statement.pending_count, statement.movement_minor) == (1, 1, 2500)


def test_codes_of_the_bank_need_a_direction_from_the_settings() -> None:
    content = of_lines(movement("905"), movement("906", "300"), movement("710", "9"), amounts="010,1,,")
    wrong = refusal(content)
    assert (wrong.code, wrong.place, wrong.found) == (
        "structure",
        "line 4 (transaction 16), type code",
        "905",
    )
    assert "bank_defined_credit" in wrong.remedy
    settings = {"bank_defined_credit": "905, 710", "bank_defined_debit": "906"}
    lines = read(content, dataclasses.replace(OPTIONS, settings=settings)).lines
    assert lines["amount_minor"].to_pylist() == [2500, -300, 9]
    settings = {"bank_defined_info": "905,906,710"}
    lines = read(content, dataclasses.replace(OPTIONS, settings=settings)).lines
    assert set(lines["status"].to_pylist()) == {"info"}


def test_settings_that_make_no_sense_are_all_named() -> None:
    settings = {
        "curency": "EUR",
        "currency": "EURO",
        "bank_defined_credit": "905,165,90",
        "bank_defined_debit": "905",
    }
    with pytest.raises(SourcesError) as caught:
        read(GOOD, dataclasses.replace(OPTIONS, settings=settings))
    assert caught.value.problems == (
        "settings of bai2: curency is not known; did you mean currency?",
        "settings of bai2: currency 'EURO' is not an ISO 4217 currency",
        "settings of bai2: bank_defined_credit: 165 has a direction already",
        "settings of bai2: bank_defined_credit: '90' is not a type code of three digits",
        "settings of bai2: bank_defined_debit: 905 has a direction already",
    )


@pytest.mark.parametrize(
    ("funds", "value_date"),
    [
        ("", None),
        ("Z", None),
        ("0", date(2026, 11, 15)),
        ("1", None),  # the next business day: which one is the calendar's to say
        ("2", None),
        ("S,1000,1000,500", None),
        ("S,,2000,500", None),
        ("V,261118,1200", date(2026, 11, 18)),
        ("V,20261118,", date(2026, 11, 18)),
        ("V,,", None),
        ("D,2,0,1000,3,1500", None),
        ("D,0", None),
    ],
)
def test_funds_types_shift_the_fields_behind_them(funds: str, value_date: date | None) -> None:
    whole = read(of_lines(movement(funds=funds)))
    (line,) = whole.lines.to_pylist()
    assert (line["ref_servicer"], line["ref_end_to_end"], line["text"]) == ("B1", "C1", "Widgets")
    assert line["value_date"] == value_date
    assert bool(whole.parsed.notes) is (funds == "D,0")  # distributions of nothing are not the amount


@pytest.mark.parametrize(
    "lines",
    [
        "16,165,2500,V,261118,,B1,C1,Wid, get/s\n88,more",
        "16,165,2500,V,261118,,B1,C1/\n88,Wid, get/s/\n88,more/",
        "16,165,2500,V,261118,,B1,C1,/\n88,Wid, get/s\n88,more/",
        "16,165,2500,V/\n88,261118,,B1/\n88,C1,Wid, get/s/  \n88,more/",
        "16,165/\n88,2500,V,261118,,B1,C1,Wid, get/s/\n88,more",
    ],
)
def test_an_88_continues_whatever_it_follows_and_text_keeps_commas_and_slashes(lines: str) -> None:
    line = only_line(of_lines(lines, total=25000))
    assert (line["amount_minor"], line["value_date"]) == (2500, date(2026, 11, 18))
    assert (line["ref_servicer"], line["ref_end_to_end"]) == ("B1", "C1")
    assert line["text"] == "Wid, get/s\nmore"
    assert line["byte_length"] == len(lines)


@pytest.mark.parametrize(
    "amounts",
    [
        "010,10000,,,015,12500,,,100,2500,1,",
        "010,10000,,,015/\n88,12500,,,100,2500,1,",  # inside a tuple
        "010,10000,,,/\n88,015,12500,,,100,2500/\n88,1,",  # a comma too many at the end
        "010,10000,,/\n88,015,12500,,/\n88,100,2500,1",
        "010/\n88,10000,,,015,/\n88,12500,,,100,2500,1",  # ",/" as mere end of the line
        "010,10000,0,V,261115,,015,12500,,S,1,2,3,100,2500,1,D,1,0,2500",
        ",,,,010,10000,,,015,12500,,,100,2500,1,Z",  # an empty tuple
        "010,+10000,,,015,12500,,,100,2500,1,",
    ],
)
def test_balances_and_summaries_are_read_wherever_the_bank_breaks_the_line(amounts: str) -> None:
    (statement,) = read(of_lines(movement(), amounts=amounts, total=27500)).parsed.statements
    assert (statement.opening_minor, statement.closing_minor) == (10000, 12500)
    assert "total credits 100: 25.00 USD in 1 movements" in statement.proofs


def test_an_overdrawn_account_has_negative_balances() -> None:
    (statement,) = read(
        of_lines(movement(), amounts="010,-10000,,,015,-7500,,", total=-15000)
    ).parsed.statements
    assert (statement.opening_minor, statement.closing_minor) == (-10000, -7500)


def test_a_summary_that_says_more_than_the_details_is_noted() -> None:
    notes = read(of_lines(movement(), amounts="010,1,,,100,9900,3,")).parsed.notes
    assert notes == (
        "total credits (100) that the account's movements do not add up to: at line 3 (account 12345)",
    )


def test_the_currency_comes_from_account_then_group_then_settings_then_dollars() -> None:
    def asset(own: str, of_group: str, **settings: str) -> object:
        content = delivery(group(account(movement(), currency=own), currency=of_group))
        return only_line(content, **settings)["asset"]

    assert asset("GBP", "EUR", currency="CHF") == "GBP"
    assert asset("", "EUR", currency="CHF") == "EUR"
    assert asset("", "", currency="CHF") == "CHF"
    assert asset("", "") == "USD"


def test_amounts_are_minor_units_of_any_currency() -> None:
    for currency in ("JPY", "KWD", "EUR"):
        assert only_line(of_lines(movement(), currency=currency))["amount_minor"] == 2500
    closing = read(of_lines(movement(), currency="KWD")).parsed.statements[0].proofs[1]
    assert closing.startswith("closing ledger 015 12.500 KWD")


@pytest.mark.parametrize(
    ("modifier", "interim"), [("", False), ("1", False), ("2", False), ("3", True), ("4", False)]
)
def test_only_same_day_interim_reports_are_interim(modifier: str, interim: bool) -> None:
    content = delivery(group(account(movement()), modifier=modifier, time="1130"))
    (statement,) = read(content).parsed.statements
    assert statement.interim is interim
    assert statement.statement_ref == "BANK:12345:2026-11-15:USD" + (":1130" if interim else "")


def test_two_interim_reports_of_one_day_and_one_file_are_two_statements() -> None:
    groups = [group(account(movement()), modifier="3", time=time) for time in ("1100", "1500")]
    assert len({one.statement_ref for one in read(delivery(*groups)).parsed.statements}) == 2


def test_a_correction_carries_the_reference_of_what_it_corrects_and_is_noted() -> None:
    first, second = (read(delivery(group(account(movement()), status=status))).parsed for status in "13")
    assert first.statements[0].statement_ref == second.statements[0].statement_ref
    assert second.notes == ("groups that correct an earlier report: at line 2 (group header 02)",)


def test_a_test_group_marks_the_whole_file() -> None:
    groups = group(account(movement())), group(account(movement(), number="9"), status="4")
    assert read(delivery(*groups)).parsed.test_mode


def test_a_group_without_date_has_the_day_the_file_was_made_and_says_so() -> None:
    parsed = read(delivery(group(account(movement()), day=""))).parsed
    assert parsed.statements[0].to_date == date(2026, 11, 16)
    assert parsed.notes == (
        "groups without as-of date, dated by the file's creation: at line 2 (group header 02)",
    )
    wrong = refusal(delivery(group(account(movement()), day=""), header="01,BANK,US,,,7,,,2/"))
    assert (wrong.code, wrong.place) == ("date", "line 2 (group header 02), as-of date")


def test_dates_may_have_a_century() -> None:
    parsed = read(
        delivery(group(account(movement()), day="20261115"), header="01,BANK,US,20261116,0600,7,,,3/")
    ).parsed
    assert (parsed.format_version, parsed.statements[0].to_date) == ("3", date(2026, 11, 15))
    assert parsed.notes == ()


def test_other_versions_and_blank_totals_of_nothing_are_noted() -> None:
    content = delivery(group(account(amounts="", total=0)), header="01,BANK,US,261116,0600,,,,1/")
    parsed = read(content.replace("49,0,", "49,,")).parsed
    assert parsed.file_reference is None
    assert parsed.notes == (
        "version '1', read as version 2: at line 1 (file header 01)",
        "control totals left blank where there is nothing to add up: at line 3 (account 12345)",
    )


def test_several_groups_and_accounts_and_files_prove_one_by_one() -> None:
    one = delivery(
        group(account(movement()), account(movement("475", "10"), number="777", amounts="")),
        group(account(movement(), currency="EUR"), day="261116"),
    )
    parsed = read(one + delivery(group(account(movement(), number="888")))).parsed
    assert [(part.account, part.movement_minor) for part in parsed.statements] == [
        ("12345", 2500),
        ("777", -10),
        ("12345", 2500),
        ("888", 2500),
    ]
    assert parsed.notes[0].startswith("further files in the same delivery")
    assert all("control total 99" in part.proofs[-1] for part in parsed.statements)


def test_line_ends_padding_and_blank_lines_change_nothing() -> None:
    good = read(GOOD)
    padded = "\n".join(line.ljust(80) for line in GOOD.splitlines())
    for variant in (
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("\n", "\r"),
        GOOD.replace("\n", "\n\n"),
        "\ufeff" + GOOD,
        padded,
        GOOD + "\x1a",
        "\n".join(line.removesuffix("/") for line in GOOD.splitlines()),
    ):
        again = read(variant)
        assert again.parsed == good.parsed
        columns = [name for name in LINE_SCHEMA.names if not name.startswith("byte_")]
        assert again.lines.select(columns).equals(good.lines.select(columns))


def test_text_in_windows_1252_is_read() -> None:
    content = of_lines(movement(text="Café Zürich")).encode("cp1252")
    assert read(content).lines["text"].to_pylist() == ["Café Zürich"]


def test_card_numbers_never_leave_the_reader() -> None:
    content = of_lines(
        movement(text="card 4111111111111111 paid") + "\n88,and 55555555/\n88,55554444 too", total=25000
    )
    (text,) = read(content).lines["text"].to_pylist()
    assert text == "card 411111******1111 paid\nand 555555**\n****4444 too"
    wrong = refusal(of_lines(movement("4111111111111111")))
    assert "4111111111111111" not in str(wrong)
    notes = read(of_lines(movement(), number="4111111111111111", amounts="100,1,,")).parsed.notes
    assert "4111111111111111" not in notes[0]


def test_lines_leave_in_batches_while_the_file_is_read() -> None:
    count = 2 * LINES_PER_BATCH + 5
    content = of_lines(
        *[movement("165", "1", bank=f"B{number}") for number in range(count)], amounts="010,0,,"
    )
    sizes: list[int] = []
    parsed = bai2.read(BytesIO(content.encode()), OPTIONS, lambda batch: sizes.append(batch.num_rows))
    assert sizes == [LINES_PER_BATCH, LINES_PER_BATCH, 5]
    assert parsed.statements[0].movement_minor == count


def test_the_format_is_recognised_by_its_first_two_records() -> None:
    assert bai2.sniff(GOOD.encode())
    assert bai2.sniff(b"\xef\xbb\xbf\r\n" + GOOD.encode())
    assert bai2.sniff(b"01,A,B,261116,0600,7,/\n88,80,,2/\n99,0,0,3/")
    for other in (b"", b"01,02,2026\n03,04,2026", b"<Document/>", b"date,amount\n01,5"):
        assert not bai2.sniff(other)


def test_a_file_without_any_account_has_no_statement() -> None:
    whole = read_whole(bai2, BytesIO(delivery().encode()), OPTIONS)
    assert (whole.parsed.statements, whole.lines.num_rows) == ((), 0)


def test_other_references_are_json() -> None:
    assert json.loads(str(only_line(of_lines(movement("475", "2500"), amounts="010,1,,"))["other_refs"])) == {
        "check": "C1"
    }
