"""OFX files: what each element means, what is refused and where, and that a file streams."""

from dataclasses import replace
from datetime import UTC, date, datetime
from io import BytesIO

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciliation.errors import RefusedFile, SourcesError
from reconciliation.formats import ofx
from reconciliation.formats.canonical import LINES_PER_BATCH
from tests.reconciliation.formats.ofx_builder import (
    CARD,
    OPTIONS,
    SGML_HEADER,
    bank,
    card,
    document,
    line,
    read,
    rendered,
    transaction,
)

ONE = document(bank(transaction()))


def refusal_of(content: str | bytes, **more: str) -> RefusedFile:
    with pytest.raises(RefusedFile) as caught:
        read(content, replace(OPTIONS, settings=more))
    return caught.value


@pytest.mark.parametrize("xml", [False, True])
def test_a_bank_transaction_becomes_a_line_with_all_that_it_states(xml: bool) -> None:
    content = document(
        bank(
            transaction(
                "-1250.07",
                TRNTYPE="CHECK",
                DTUSER="20261114093000[+1:CET]",
                DTAVAIL="20261117",
                CHECKNUM="777",
                REFNUM="R-9",
                NAME="Smith &amp; Sons",
                MEMO="Invoice 4711 &lt;paid&gt; &#8364;",
            )
        ),
        xml=xml,
    )
    row = line(content)
    begin = content.index("<STMTTRN>")
    assert {name: value for name, value in row.items() if value is not None} == {
        "statement_no": 0,
        "record_no": 1,
        "native_id": "T1",
        "status": "booked",
        "booking_date": date(2026, 11, 16),
        "value_date": date(2026, 11, 17),
        "event_at": datetime(2026, 11, 14, 8, 30, tzinfo=UTC),
        "amount_minor": -125007,
        "asset": "EUR",
        "fee_minor": 0,
        "ref_servicer": "R-9",
        "other_refs": '{"check":"777"}',
        "counterparty": "Smith & Sons",
        "text": "Invoice 4711 <paid> €",
        "kind": "transfer",
        "type_code": "CHECK",
        "reversal": False,
        "byte_offset": begin,
        "byte_length": content.index("</STMTTRN>") + len("</STMTTRN>") - begin,
    }


def test_a_statement_has_a_closing_balance_and_no_opening_one() -> None:
    delivery = read(document(bank(transaction(), transaction("-2.50", fitid="T2")), xml=True)).parsed
    assert (delivery.format_name, delivery.format_version, delivery.ids_may_repeat) == ("ofx", "211", True)
    (told,) = delivery.statements
    assert told.statement_ref == "1000200030:EUR:2026-11-01:2026-11-16"
    assert (told.account, told.asset, told.sequence_no) == ("1000200030", "EUR", None)
    assert (told.from_date, told.to_date) == (date(2026, 11, 1), date(2026, 11, 16))
    assert (told.opening_minor, told.closing_minor) == (None, 100_000)
    assert (told.movement_minor, told.line_count, told.pending_count) == (1000, 2, 0)


@pytest.mark.parametrize(
    ("balance_day", "booked", "setting", "closing_minor"),
    [
        ("20261116", "20261110", "dated", 100_000),
        ("20261112", "20261110", "dated", 100_000),  # nothing moved between the 12th and the end
        ("20261109", "20261110", "dated", None),
        ("20261118", "20261110", "dated", None),
        ("20261118", "20261110", "closing", 100_000),
        ("20261116", "20261110", "ignored", None),
        ("00000000", "20261110", "dated", None),
    ],
)
def test_the_ledger_balance_closes_the_statement_only_where_no_movement_can_lie_between(
    balance_day: str, booked: str, setting: str, closing_minor: int | None
) -> None:
    content = document(bank(transaction(day=booked), LEDGERBAL={"BALAMT": "1000.00", "DTASOF": balance_day}))
    (told,) = read(content, replace(OPTIONS, settings={"ledger_balance": setting})).parsed.statements
    assert told.closing_minor == closing_minor


def test_a_file_without_a_period_takes_it_from_its_lines() -> None:
    listed = {"STMTTRN": [transaction(day="20261110"), transaction(day="20261112", fitid="T2")]}
    (told,) = read(document(bank(BANKTRANLIST=listed, LEDGERBAL=None))).parsed.statements
    assert (told.from_date, told.to_date, told.closing_minor) == (
        date(2026, 11, 10),
        date(2026, 11, 12),
        None,
    )


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("DEBIT", "transfer"),
        ("XFER", "transfer"),
        ("INT", "interest"),
        ("DIV", "interest"),
        ("FEE", "fee"),
        ("SRVCHG", "fee"),
    ],
)
def test_the_type_gives_the_kind(code: str, kind: str) -> None:
    row = line(document(bank(transaction("-1.00", TRNTYPE=code))))
    assert (row["kind"], row["type_code"]) == (kind, code)


def test_an_unknown_type_is_an_adjustment_and_told() -> None:
    whole = read(document(bank(transaction(TRNTYPE="BARTER"))))
    assert whole.lines["kind"].to_pylist() == ["adjustment"]
    assert "type that the standard does not know" in whole.parsed.notes[0]


def test_the_sign_is_that_of_the_amount_even_where_the_type_says_otherwise() -> None:
    whole = read(document(bank(transaction("12.50", TRNTYPE="DEBIT"))))
    assert whole.lines["amount_minor"].to_pylist() == [1250]
    assert "contradicts the sign" in whole.parsed.notes[0]


@pytest.mark.parametrize(
    ("text", "asset", "minor"),
    [
        ("+12.50", "EUR", 1250),
        ("            -11,76", "BRL", -1176),
        ("100", "EUR", 10000),
        ("-0", "EUR", 0),
        (".5", "EUR", 50),
        ("12.", "EUR", 1200),
        ("1.2300", "EUR", 123),
        ("1200", "JPY", 1200),
        ("1,234", "KWD", 1234),
        ("-0.07", "EUR", -7),
        ("12345678901234.56", "EUR", 1234567890123456),
    ],
)
def test_amounts_have_a_comma_or_a_full_stop_and_the_digits_of_their_currency(
    text: str, asset: str, minor: int
) -> None:
    balance = {"BALAMT": "0", "DTASOF": "20261116"}
    assert line(document(bank(transaction(text), asset=asset, LEDGERBAL=balance)))["amount_minor"] == minor


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "$120",
        "12.345",
        "1E3",
        "1.234,56",
        "1,234",
        "1,000",
        "--1",
        "1 000.00",
        "٣",
        "9" * 200_000,
        "1.5.",
        "-",
        "-.50-",
        "--1.00",
        "+-1.00",
        "1.-5",
    ],
)
def test_an_amount_beyond_the_grammar_is_refused_with_its_place(text: str) -> None:
    found = refusal_of(document(bank(transaction(text or None))))
    assert found.code in {"amount", "limit"}
    assert "byte" in found.place


def test_grouping_is_read_where_the_settings_say_which_mark_the_bank_writes() -> None:
    comma = replace(OPTIONS, settings={"decimal_mark": ",", "ledger_balance": "ignored"})
    assert line(document(bank(transaction("-1.234.567,89"))), comma)["amount_minor"] == -123456789
    assert line(document(bank(transaction("1234,5"))), comma)["amount_minor"] == 123450
    assert refusal_of(document(bank(transaction("12.34"))), decimal_mark=",").code == "amount"


def test_a_day_is_kept_as_written_and_an_instant_needs_its_offset() -> None:
    row = line(document(bank(transaction(day="20261116233000.500[-3.5:XYZ]"))))
    assert row["booking_date"] == date(2026, 11, 16)
    assert row["event_at"] == datetime(2026, 11, 17, 3, 0, 0, 500_000, tzinfo=UTC)
    assert line(document(bank(transaction(day="20261116233000"))))["event_at"] is None


@pytest.mark.parametrize(
    "day", ["20260230", "00000000", "16.11.2026", "2026111", "20261116250000", "20261116996100[-5]", "x"]
)
def test_an_impossible_date_is_refused(day: str) -> None:
    found = refusal_of(document(bank(transaction(day=day))))
    assert (found.code, found.place.endswith("DTPOSTED")) == ("date", True)


def test_a_card_account_is_truncated_everywhere_and_its_payments_are_positive() -> None:
    whole = read(
        document(
            cards=(
                card(transaction("80.00", fitid=f"{CARD}2026", MEMO=f"payment to {CARD}", TRNTYPE="PAYMENT")),
            )
        )
    )
    (row,) = whole.lines.to_pylist()
    assert (row["amount_minor"], row["native_id"], row["text"]) == (
        8000,
        "411111******11112026",
        "payment to 411111******1111",
    )
    assert row["card_token"] == OPTIONS.card_tokens.token(CARD)
    assert row["card_truncated"] == "411111******1111"
    assert whole.parsed.statements[0].account == "411111******1111"
    assert whole.parsed.statements[0].closing_minor == -8000
    assert CARD not in str(whole)


def test_a_card_number_in_a_text_is_masked() -> None:
    assert line(document(bank(transaction(NAME=f"CARD {CARD}"))))["counterparty"] == "CARD 411111******1111"


def test_several_statements_stand_in_one_file() -> None:
    whole = read(document(bank(transaction()), bank(account="77"), cards=(card(transaction("-3.00")),)))
    assert [told.account for told in whole.parsed.statements] == ["1000200030", "77", "411111******1111"]
    assert whole.lines["statement_no"].to_pylist() == [0, 2]


def test_the_same_statement_twice_is_a_conflict() -> None:
    assert refusal_of(document(bank(transaction()), bank(transaction()))).code == "conflict"


def test_two_documents_behind_each_other_are_read_and_told() -> None:
    whole = read(ONE + document(bank(transaction("-1.00"), account="2")))
    assert whole.lines["amount_minor"].to_pylist() == [1250, -100]
    assert "further OFX documents" in whole.parsed.notes[0]


def test_the_payee_and_the_other_account_are_the_counterparty() -> None:
    more = {
        "NAME": None,
        "PAYEE": {"NAME": "Bob Ltd", "CITY": "Bern"},
        "BANKACCTTO": {"BANKID": "DEUTDEFF", "ACCTID": "55"},
    }
    row = line(document(bank(transaction(**more))))
    assert (row["counterparty"], row["counterparty_account"], row["counterparty_bic"]) == (
        "Bob Ltd",
        "55",
        "DEUTDEFF",
    )


def test_an_original_currency_gives_the_rate_to_multiply_with() -> None:
    row = line(document(bank(transaction(ORIGCURRENCY={"CURRATE": "0.92", "CURSYM": "USD"}))))
    assert (row["original_asset"], row["fx_rate"], row["original_amount_minor"]) == ("USD", "0.92", None)
    assert (row["fx_numerator"], row["fx_denominator"]) == (92, 100)


def test_an_amount_in_a_foreign_currency_is_refused_unless_the_bank_converts_it() -> None:
    content = document(bank(transaction(CURRENCY={"CURRATE": "0.92", "CURSYM": "USD"})))
    assert refusal_of(content).code == "currency"
    row = line(content, replace(OPTIONS, settings={"foreign_amounts": "converted"}))
    assert (row["amount_minor"], row["original_asset"]) == (1250, "USD")
    same = document(bank(transaction(CURRENCY={"CURRATE": "1.0", "CURSYM": "EUR"})))
    assert line(same)["original_asset"] is None


def test_corrections_name_the_original_and_a_deletion_books_nothing() -> None:
    whole = read(
        document(
            bank(
                transaction("10.00", CORRECTFITID="T0", CORRECTACTION="REPLACE"),
                transaction("5.00", fitid="T3", CORRECTFITID="T2", CORRECTACTION="DELETE"),
            )
        )
    )
    assert whole.lines["other_refs"].to_pylist() == ['{"original":"T0"}', '{"original":"T2"}']
    assert whole.lines["status"].to_pylist() == ["booked", "info"]
    (told,) = whole.parsed.statements
    assert (told.movement_minor, told.line_count, told.pending_count) == (1000, 1, 1)
    assert len(whole.parsed.notes) == 2
    assert (
        refusal_of(document(bank(transaction(CORRECTFITID="T0", CORRECTACTION="MAYBE")))).code == "structure"
    )


def test_pending_transactions_are_told_and_not_counted() -> None:
    pending = {
        "DTASOF": "20261116",
        "STMTTRNP": [{"TRNTYPE": "HOLD", "DTTRAN": "20261115", "TRNAMT": "-9.00", "NAME": "Shop"}],
    }
    whole = read(document(bank(transaction(), BANKTRANLISTP=pending)))
    assert whole.lines["status"].to_pylist() == ["booked", "pending"]
    (told,) = whole.parsed.statements
    assert (told.movement_minor, told.line_count, told.pending_count) == (1250, 1, 1)


def test_ids_can_be_left_out_for_banks_that_make_them_up() -> None:
    row = line(ONE, replace(OPTIONS, settings={"transaction_ids": "ignored"}))
    assert (row["native_id"], row["ref_servicer"]) == (None, "T1")


def test_unknown_settings_name_the_nearest_known_one() -> None:
    with pytest.raises(SourcesError, match="decimal_mark"):
        read(ONE, replace(OPTIONS, settings={"decimal_marks": ","}))
    with pytest.raises(SourcesError, match="must be one of"):
        read(ONE, replace(OPTIONS, settings={"ledger_balance": "maybe"}))


@pytest.mark.parametrize(
    ("raw", "declared", "text"),
    [
        ("Café".encode(), "1252", "Café"),  # the header is wrong
        ("Café".encode("cp1252"), "1252", "Café"),
        ("Café".encode("cp1252"), "NONE", "Café"),
        ("Кафе".encode("cp1251"), "1251", "Кафе"),
        ("Café".encode("iso-8859-15"), "ISO-8859-15", "Café"),
        ("Café".encode("cp1252"), "UTF-8", "Café"),
        ("Café".encode("cp1252"), "no-such-thing", "Café"),
    ],
)
def test_text_is_utf_8_or_what_the_header_declares_or_windows_1252(
    raw: bytes, declared: str, text: str
) -> None:
    content = ONE.replace("CHARSET:1252", f"CHARSET:{declared}").encode().replace(b"Ann Lee", raw)
    assert line(content)["counterparty"] == text


@pytest.mark.parametrize("mark", ["\r", "\n", "\r\n", ""])
def test_line_ends_do_not_matter(mark: str) -> None:
    content = document(bank(transaction(MEMO="one two")), xml=True)
    expected, found = line(content), line(content.replace("\n", mark))
    for row in (expected, found):
        del row["byte_offset"], row["byte_length"]
    assert found == expected


def test_entities_are_replaced_once_and_comments_and_cdata_are_understood() -> None:
    content = document(
        bank(transaction(MEMO="a &amp;lt; b", NAME="<![CDATA[Tom & <Jerry> &amp;]]>")), xml=True
    )
    row = line(content.replace("<FITID>", "<!-- a <TRNAMT>9.00</TRNAMT> comment --><FITID>"))
    assert (row["text"], row["counterparty"], row["amount_minor"]) == (
        "a &lt; b",
        "Tom & <Jerry> &amp;",
        1250,
    )


def test_an_unescaped_ampersand_stays_and_empty_elements_are_nothing() -> None:
    content = document(bank(transaction(NAME="AT&T", MEMO="")), xml=True).replace(
        "<FITID>", "<CHECKNUM/><FITID>"
    )
    assert line(content)["text"] == "AT&T"


@pytest.mark.parametrize(
    "insertion",
    [
        '<!DOCTYPE OFX [<!ENTITY x "999">]>',
        "<!ENTITY x SYSTEM 'file:///etc/passwd'>",
        "<!ELEMENT OFX ANY>",
        "<![INCLUDE[x]]>",
    ],
)
def test_declarations_are_refused_before_anything_is_expanded(insertion: str) -> None:
    content = document(bank(transaction("&x;")), xml=True)
    assert refusal_of(content.replace("<OFX>", insertion + "<OFX>")).code == "unsafe"
    assert refusal_of(content).code == "amount"


def test_a_reference_to_no_character_is_refused() -> None:
    for text in ("&#0;", "&#xD800;", "&#1114112;"):
        assert refusal_of(document(bank(transaction(MEMO=text)))).code == "unsafe"


def test_a_bank_that_answers_with_an_error_sent_no_statement() -> None:
    error = {"STATUS": {"CODE": "2000", "SEVERITY": "ERROR", "MESSAGE": f"no access for {CARD}"}}
    found = refusal_of(document(bank(transaction()) | error))
    assert (found.code, "2000" in found.found, CARD in found.found) == ("not_this_format", True, False)


def test_investments_are_refused_and_their_bank_transactions_read() -> None:
    def investments(*lists: dict[str, object]) -> str:
        tree = {
            "INVSTMTRS": {
                "DTASOF": "20261116",
                "CURDEF": "USD",
                "INVACCTFROM": {"BROKERID": "b", "ACCTID": "I1"},
                "INVTRANLIST": {"DTSTART": "20261101", "DTEND": "20261116"}
                | {k: v for one in lists for k, v in one.items()},
            }
        }
        return SGML_HEADER + rendered({"OFX": {"INVSTMTMSGSRSV1": {"INVSTMTTRNRS": tree}}}, xml=False)

    bought = {"BUYSTOCK": {"INVBUY": {"INVTRAN": {"FITID": "S1", "DTTRADE": "20261110"}, "UNITS": "5"}}}
    cash = {"INVBANKTRAN": {"STMTTRN": transaction(), "SUBACCTFUND": "CASH"}}
    found = refusal_of(investments(bought))
    assert (found.code, found.found) == ("not_this_format", "transactions in securities only")
    whole = read(investments(bought, cash))
    assert whole.lines["amount_minor"].to_pylist() == [1250]
    assert whole.parsed.statements[0].account == "I1"
    assert whole.parsed.notes[0].startswith("1 transactions in securities, not read")


@pytest.mark.parametrize(
    "content",
    ["", "a,b\n1,2\n", "<html><body>x</body></html>", '{"OFX": 1}', document(), "<STMTTRN></STMTTRN>"],
)
def test_what_is_no_statement_is_not_this_format(content: str) -> None:
    assert refusal_of(content).code in {"not_this_format", "structure"}


@pytest.mark.parametrize("xml", [False, True])
def test_a_file_cut_anywhere_is_refused(xml: bool) -> None:
    content = document(bank(transaction(), transaction(fitid="T2")), xml=xml)
    end = content.index("</OFX>") + len("</OFX>")
    codes = {refusal_of(content[:length]).code for length in range(content.index("<BANKMSGSRSV1>"), end)}
    assert codes <= {"truncated", "structure", "amount", "date", "not_this_format"}
    assert refusal_of(content[: content.index("</STMTTRN>")]).code == "truncated"
    assert refusal_of(content[: end - len("</OFX>")]).code == "truncated"


@pytest.mark.parametrize(
    ("before", "after", "code"),
    [
        ("</STMTTRN>\n<STMTTRN>", "<STMTTRN>", "structure"),  # an end tag is missing
        ("<TRNAMT>12.50", "<TRNAMT>12.50\n<TRNAMT>13.00", "structure"),  # two amounts in one transaction
        ("<TRNAMT>12.50\n", "", "amount"),
        ("<DTPOSTED>20261116\n", "", "date"),
        ("<CURDEF>EUR", "<CURDEF>EURO", "currency"),
        ("<CURDEF>EUR\n", "", "currency"),
        ("<ACCTID>1000200030\n", "", "structure"),
        ("</STMTRS>\n", "", "structure"),
        ("</OFX>", "</OFX>trailing text", "structure"),
        ("</STMTTRN>", "</STMTTRN>12.50", "structure"),
        ("<DTEND>20261116", "<DTEND>20261016", "date"),
        ("Ann Lee", "Ann\0Lee", "unsafe"),
        ("Ann Lee", "Ann " + "e" * 300_000, "limit"),
        ("<BALAMT>1000.00", "<BALAMT>1E3", "amount"),
    ],
)
def test_a_damaged_file_is_refused_with_the_reason(before: str, after: str, code: str) -> None:
    content = document(bank(transaction(), transaction(fitid="T2")))
    assert content.count(before) >= 1
    found = refusal_of(content.replace(before, after, 1))
    assert (found.code, bool(found.place)) == (code, True)


def test_bytes_that_are_no_text_are_allowed_behind_the_end_and_told() -> None:
    whole = read(ONE.encode() + b"\0\0")
    assert whole.lines.num_rows == 1
    assert "behind the end" in whole.parsed.notes[0]


def test_a_list_that_the_balance_ends_is_read_and_told() -> None:
    whole = read(ONE.replace("</BANKTRANLIST>\n", ""))
    assert (whole.lines.num_rows, whole.parsed.statements[0].closing_minor) == (1, 100_000)
    assert "not by their end tag" in whole.parsed.notes[0]


def test_the_format_is_recognised_by_its_header_or_outermost_element() -> None:
    assert ofx.sniff(ONE.encode())
    assert ofx.sniff(b'<?xml version="1.0"?><OFX></OFX>')
    assert not ofx.sniff(b"<Document><OFXX></OFXX></Document>")
    assert not ofx.sniff(b"\0<OFX>")


def test_many_lines_leave_in_batches() -> None:
    count = LINES_PER_BATCH + 5_000
    content = document(bank(*(transaction("-0.01", fitid=f"T{number}") for number in range(count))))
    batches: list[pa.RecordBatch] = []
    delivery = ofx.read(BytesIO(content.encode()), OPTIONS, batches.append)
    assert [batch.num_rows for batch in batches] == [LINES_PER_BATCH, 5_000]
    assert (delivery.statements[0].line_count, delivery.statements[0].movement_minor) == (count, -count)
    offset, length = batches[1]["byte_offset"][7].as_py(), batches[1]["byte_length"][7].as_py()
    record = content.encode()[offset : offset + length]
    assert record.startswith(b"<STMTTRN>")
    assert f"<FITID>T{LINES_PER_BATCH + 7}\n".encode() in record


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_give_a_delivery_or_a_refusal(content: bytes) -> None:
    read_or_refused(content)
    read_or_refused(b"<OFX><STMTRS>" + content)


@settings(max_examples=400, deadline=None)
@given(st.booleans(), st.integers(0, 10_000), st.integers(0, 60), st.binary(max_size=6))
def test_any_edit_gives_a_delivery_or_a_refusal(xml: bool, place: int, length: int, inserted: bytes) -> None:
    content = document(bank(transaction(ORIGCURRENCY={"CURRATE": "1.1", "CURSYM": "USD"})), xml=xml).encode()
    at = place % len(content)
    read_or_refused(content[:at] + inserted + content[at + length :])


def read_or_refused(content: bytes) -> None:
    try:
        whole = read(content)
    except RefusedFile:
        return
    assert whole.lines.num_rows == sum(
        told.line_count + told.pending_count for told in whole.parsed.statements
    )


class Dribbling(BytesIO):
    """A stream that gives a few bytes at a time, as a network may."""

    def __init__(self, content: bytes, size: int) -> None:
        super().__init__(content)
        self._size = size

    def read(self, size: int | None = -1) -> bytes:
        return super().read(self._size if size is None or size < 0 else min(size, self._size))


@pytest.mark.parametrize("size", [1, 2, 7, 100, 1000])
@pytest.mark.parametrize("xml", [False, True])
def test_how_the_bytes_arrive_changes_nothing(size: int, xml: bool) -> None:
    content = document(
        bank(transaction(MEMO="x"), transaction("-1.00", fitid="T2")), cards=(card(transaction()),), xml=xml
    )
    batches: list[pa.RecordBatch] = []
    ofx.read(Dribbling(content.encode(), size), OPTIONS, batches.append)
    assert pa.Table.from_batches(batches).equals(read(content).lines)


@pytest.mark.parametrize("xml", [False, True])
def test_a_comment_changes_nothing_but_the_places(xml: bool) -> None:
    content = document(bank(transaction(MEMO="x"), transaction("-1.00", fitid="T2", CHECKNUM="5")), xml=xml)
    remark = "<!-- <STMTTRN><TRNAMT>9.00</STMTTRN> -->"
    plain, remarked = (
        read(content).lines.to_pylist(),
        read(content.replace("<OFX>", remark + "<OFX>")).lines.to_pylist(),
    )
    for row in remarked:
        row["byte_offset"] -= len(remark)
    assert remarked == plain
