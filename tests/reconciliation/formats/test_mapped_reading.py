"""What each rule of a mapping means, on small invented files with the values written out."""

import io
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from reconciliation.errors import SourcesError
from reconciliation.formats import (
    mapped_csv,
    mapped_json,
    mapped_parquet,
    mapped_xlsx,
)
from reconciliation.formats.canonical import LINE_SCHEMA, LINES_PER_BATCH
from reconciliation.formats.registry import FORMATS, recognise
from tests.reconciliation.formats.camt_builder import OPTIONS
from tests.reconciliation.formats.mapped_builder import FOOTED, FOOTED_RULES, minors, options, read, rules

RICH = """Kontoauszug;;;;;;;;;;;;;
Konto:;DE02;;;;;;;;;;;;
Buchung;Valuta;Betrag;Währung;Art;Name;IBAN;BIC;Zweck 1;Zweck 2;Referenz;Mandat;Gebühr;Stand
16.11.2026;17.11.2026;1.250,00;EUR;Gutschrift;Muster GmbH;DE89;COBADEFF;Rechnung 7;vom Oktober;R-7;M-1;0,35;1.350,00
17.11.2026;;-49,90;EUR;Lastschrift;Strom AG;;;Abschlag;;NOTPROVIDED;;;1.300,10
"""
RICH_RULES: dict[str, Any] = {
    "proof": "running_balance",
    "table": {"delimiter": ";", "encoding": "cp1252"},
    "columns": {
        "booking_date": "Buchung",
        "value_date": "Valuta",
        "counterparty": "Name",
        "counterparty_account": "IBAN",
        "counterparty_bic": "BIC",
        "text": ["Zweck 1", "Zweck 2"],
        "ref_end_to_end": "Referenz",
        "type_code": "Art",
    },
    "other_refs": {"mandate": "Mandat"},
    "amount": {"column": "Betrag"},
    "numbers": {"decimal_mark": ",", "grouping_mark": "."},
    "dates": {"patterns": "%d.%m.%Y"},
    "asset": {"column": "Währung"},
    "kind": {"column": "Art", "values": {"Gutschrift": "transfer", "Lastschrift": "charge"}},
    "fees": [{"column": "Gebühr", "type": "charge"}],
    "running_balance": {"column": "Stand", "order": "ascending"},
    "statement": {"account": {"cell": {"part": "header", "row": 2, "column": 2}}},
}


def test_every_field_of_a_mapping_reaches_its_column() -> None:
    whole = read(RICH.encode("cp1252"), RICH_RULES)
    first, second = whole.lines.to_pylist()
    assert first == {
        **dict.fromkeys(LINE_SCHEMA.names),
        "statement_no": 0,
        "record_no": 4,
        "status": "booked",
        "booking_date": date(2026, 11, 16),
        "value_date": date(2026, 11, 17),
        "amount_minor": 125000,
        "asset": "EUR",
        "fee_minor": 35,
        "fees": '[{"amount_minor":35,"asset":"EUR","included":true,"type":"charge"}]',
        "ref_end_to_end": "R-7",
        "other_refs": '{"mandate":"M-1"}',
        "counterparty": "Muster GmbH",
        "counterparty_account": "DE89",
        "counterparty_bic": "COBADEFF",
        "text": "Rechnung 7\nvom Oktober",
        "kind": "transfer",
        "type_code": "Gutschrift",
        "reversal": False,
        "byte_offset": 142,
        "byte_length": 116,
    }
    assert (second["amount_minor"], second["kind"], second["fee_minor"]) == (-4990, "charge", 0)
    assert [
        second[name] for name in ("value_date", "ref_end_to_end", "fees", "other_refs", "counterparty_bic")
    ] == [None] * 5
    data = RICH.encode("cp1252")
    assert data[first["byte_offset"] :][: first["byte_length"]].startswith(b"16.11.2026;17.11.2026;1.250,00")


def test_a_statement_has_balances_and_the_proof_in_words() -> None:
    statement = read(RICH.encode("cp1252"), RICH_RULES).parsed.statements[0]
    assert (statement.account, statement.asset) == ("DE02", "EUR")
    assert (statement.opening_minor, statement.closing_minor, statement.movement_minor) == (
        10000,
        130010,
        120010,
    )
    assert (statement.from_date, statement.to_date) == (date(2026, 11, 16), date(2026, 11, 17))
    assert statement.statement_ref == "DE02 EUR 20261116-20261117"
    assert statement.proofs == ("running balance of 2 rows: 100.00 + 1200.10 = 1300.10 EUR",)


@pytest.mark.parametrize(
    ("numbers", "text", "expected"),
    [
        ({}, "1234.56", 123456),
        ({}, "-0.07", -7),
        ({}, ".5", 50),
        ({}, "12.3000", 1230),
        ({"decimal_mark": ","}, "1234,5", 123450),
        ({"grouping_mark": ","}, "1,234,567.89", 123456789),
        ({"grouping_mark": ","}, "1234567.89", 123456789),
        ({"decimal_mark": ",", "grouping_mark": "."}, "-1.234,56", -123456),
        ({"decimal_mark": ",", "grouping_mark": "\u00a0"}, "1\u00a0234,56", 123456),
        ({"grouping_mark": "'"}, "1'234.56", 123456),
        ({"negative": "trailing"}, "12.00-", -1200),
        ({"negative": "parentheses"}, "(12.00)", -1200),
        ({"negative": ["leading", "parentheses"]}, "-12.00", -1200),
        ({"plus": True}, "+12.00", 1200),
        ({"affixes": "$", "plus": True}, "- $12.00", -1200),
        ({"affixes": "$"}, "-$12.00", -1200),
        ({"affixes": "$"}, "$-12.00", -1200),
        ({"affixes": ["EUR", "€"]}, "12.00 EUR", 1200),
        ({"affixes": "€", "negative": "parentheses"}, "(€12.00)", -1200),
        ({"affixes": "EUR", "negative": "trailing"}, "12.00- EUR", -1200),
    ],
)
def test_an_amount_is_read_by_the_marks_and_signs_that_the_mapping_states(
    numbers: dict[str, Any], text: str, expected: int
) -> None:
    whole = read(f"Day;Amount\n2026-11-16;{text}\n", {"numbers": numbers, "table": {"delimiter": ";"}})
    assert minors(whole) == [expected]


@pytest.mark.parametrize(
    ("amount", "row", "expected"),
    [
        ({"credit": "In", "debit": "Out"}, "12.00,", 1200),
        ({"credit": "In", "debit": "Out"}, ",12.00", -1200),
        ({"credit": "In", "debit": "Out"}, "0.00,12.00", -1200),
        ({"credit": "In", "debit": "Out"}, "0.00,", 0),
        ({"credit": "In", "debit": "Out", "debit_signed": True}, ",-12.00", -1200),
        ({"credit": "In", "debit": "Out", "flip_sign": True}, "12.00,", -1200),
        (
            {"column": "In", "direction": {"column": "Out", "credit": ["C", "CR"], "debit": "D"}},
            "12.00,CR",
            1200,
        ),
        (
            {"column": "In", "direction": {"column": "Out", "credit": ["C", "CR"], "debit": "D"}},
            "12.00, D ",
            -1200,
        ),
        ({"column": "In", "unit": "minor"}, "-1200,", -1200),
        ({"column": "In", "flip_sign": True}, "-12.00,", 1200),
    ],
)
def test_a_direction_is_read_the_way_the_file_says_it(
    amount: dict[str, Any], row: str, expected: int
) -> None:
    assert minors(read(f"Day,In,Out\n2026-11-16,{row}\n", {"amount": amount})) == [expected]


def test_fees_are_taken_off_a_gross_amount_and_added_up_by_type() -> None:
    whole = read(
        "Day,Amount,Fixed,Rate,Tax\n2026-11-16,100.00,-0.25,-1.00,\n",
        {
            "amount": {"column": "Amount", "is_gross": True},
            "fees": [
                {"column": "Fixed", "paid_is": "negative"},
                {"column": "Rate", "paid_is": "negative"},
                {"column": "Tax", "type": "tax"},
            ],
        },
    )
    line = whole.lines.to_pylist()[0]
    assert (line["amount_minor"], line["fee_minor"]) == (9875, 125)
    assert line["fees"] == '[{"amount_minor":125,"asset":"EUR","included":true,"type":"processing"}]'


def test_minor_digits_are_those_of_the_currency_of_each_row() -> None:
    content = "Day,Amount,Ccy\n2026-11-16,5000,JPY\n2026-11-16,1.234,KWD\n2026-11-16,2.50,EUR\n"
    whole = read(content, {"asset": {"column": "Ccy"}})
    assert minors(whole) == [5000, 1234, 250]
    assert [statement.asset for statement in whole.parsed.statements] == ["JPY", "KWD", "EUR"]
    assert whole.lines.column("statement_no").to_pylist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("dates", "text", "expected"),
    [
        ({"patterns": "%d.%m.%Y"}, "16.11.2026", date(2026, 11, 16)),
        ({"patterns": "%-d/%-m/%y"}, "6/1/26", date(2026, 1, 6)),
        ({"patterns": "%d/%m/%y"}, "06/01/80", date(1980, 1, 6)),
        ({"patterns": "%d-%b-%Y"}, "06-Jan-2026", date(2026, 1, 6)),
        ({"patterns": "%B %d, %Y"}, "January 06, 2026", date(2026, 1, 6)),
        ({"patterns": "%Y%m%d"}, "20260106", date(2026, 1, 6)),
        ({"patterns": ["%d.%m.%Y", "%d.%m.%y"]}, "06.01.26", date(2026, 1, 6)),
        ({"patterns": "%m/%d/%Y %I:%M %p"}, "01/06/2026 12:30 AM", date(2026, 1, 6)),
        ({"patterns": "%d.%m.%Y%*"}, "06.01.2026 gebucht", date(2026, 1, 6)),
        ({"patterns": "%Y-%m-%dT%H:%M:%S%z"}, "2026-01-06T23:30:00Z", date(2026, 1, 6)),
        (
            {"patterns": "%Y-%m-%dT%H:%M:%S%z", "time_zone": "Europe/Berlin", "local_day": True},
            "2026-01-06T23:30:00Z",
            date(2026, 1, 7),
        ),
        (
            {"patterns": ["%d/%m/%Y", "%m/%d/%Y"]},
            "06/06/2026",
            date(2026, 6, 6),
        ),
    ],
)
def test_a_day_is_read_by_a_stated_pattern(dates: dict[str, Any], text: str, expected: date) -> None:
    whole = read(f"Day;Amount\n{text};1\n", {"dates": dates, "table": {"delimiter": ";"}})
    assert whole.lines.column("booking_date").to_pylist() == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-07-01 10:00:00", datetime(2026, 7, 1, 8, tzinfo=UTC)),
        ("2026-01-01 10:00:00", datetime(2026, 1, 1, 9, tzinfo=UTC)),
        ("2026-01-01 10:00:00.123456 -0330", datetime(2026, 1, 1, 13, 30, 0, 123456, tzinfo=UTC)),
    ],
)
def test_an_instant_has_its_own_offset_or_the_zone_of_the_mapping(text: str, expected: datetime) -> None:
    day, _, clock = text.partition(" ")
    whole = read(
        f"Day,Clock,Amount\n{day},{clock},1\n",
        {
            "columns": {"event_at": ["Day", "Clock"]},
            "dates": {
                "patterns": "%Y-%m-%d",
                "event_patterns": ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S.%f %z"],
                "time_zone": "Europe/Berlin",
            },
        },
    )
    assert whole.lines.column("event_at").to_pylist() == [expected]


def test_rows_that_are_not_booked_are_lines_without_weight() -> None:
    content = "Day,Amount,State\n2026-11-16,1.00,done\n2026-11-16,2.00,waiting\n2026-11-16,4.00,\n"
    status = {"column": "State", "values": {"done": "booked", "waiting": "pending", "": "info"}}
    whole = read(content, {"status": status})
    assert whole.lines.column("status").to_pylist() == ["booked", "pending", "info"]
    statement = whole.parsed.statements[0]
    assert (statement.movement_minor, statement.line_count, statement.pending_count) == (100, 1, 2)


def test_the_row_filter_leaves_rows_out_and_says_how_many() -> None:
    content = "Day,Amount,Account\n2026-11-16,1,a\n2026-11-16,2,b\n2026-11-16,3,c\n2026-11-16,,a\n"
    filters = [{"column": "Account", "not_equals": ["b"]}, {"column": "Amount", "empty": False}]
    whole = read(content, {"rows": filters})
    assert minors(whole) == [100, 300]
    assert whole.lines.column("record_no").to_pylist() == [2, 4]
    assert "2 rows left out by the mapping's row filter" in whole.parsed.notes


def test_a_statement_for_each_account_day_and_reference() -> None:
    content = (
        "Day,Amount,Account,No\n2026-11-16,1,a,7\n2026-11-16,2,b,7\n2026-11-17,3,a,7\n2026-11-16,4,a,7\n"
    )
    mapping = {
        "statement": {"per": "day", "account": {"column": "Account"}, "reference": {"column": "No"}},
    }
    whole = read(content, mapping)
    assert [(one.account, one.statement_ref, one.movement_minor) for one in whole.parsed.statements] == [
        ("a", "7 20261116", 500),
        ("b", "7 20261116", 200),
        ("a", "7 20261117", 300),
    ]
    assert whole.lines.column("statement_no").to_pylist() == [0, 1, 2, 0]


def test_a_day_has_the_balances_between_its_rows() -> None:
    content = "Day,Amount,Left\n2026-11-17,3.00,16.00\n2026-11-17,2.00,13.00\n2026-11-16,1.00,11.00\n"
    mapping = {
        "proof": "running_balance",
        "running_balance": {"column": "Left", "order": "descending"},
        "statement": {"per": "day"},
    }
    balances = [
        (one.to_date.day, one.opening_minor, one.closing_minor)
        for one in read(content, mapping).parsed.statements
    ]
    assert balances == [(17, 1100, 1600), (16, 1000, 1100)]


def test_the_running_balance_of_each_account_goes_its_own_way() -> None:
    content = "Day,Amount,Left,Account\n2026-11-16,1,11,a\n2026-11-16,5,25,b\n2026-11-16,2,13,a\n2026-11-16,-5,20,b\n"
    mapping = {
        "proof": "running_balance",
        "running_balance": {"column": "Left", "order": "ascending"},
        "statement": {"account": {"column": "Account"}},
    }
    balances = [(one.opening_minor, one.closing_minor) for one in read(content, mapping).parsed.statements]
    assert balances == [(1000, 1300), (2000, 2000)]


def test_balances_and_totals_stand_above_and_below_the_rows() -> None:
    statement = read(FOOTED, FOOTED_RULES).parsed.statements[0]
    assert (statement.opening_minor, statement.closing_minor, statement.line_count) == (10000, 12000, 2)
    assert statement.proofs == (
        "opening 100.00 + rows 20.00 = closing 120.00 EUR",
        "2 rows as the file states",
        "net 20.00 EUR as the file states",
        "credits 25.00 EUR as the file states",
        "debits 5.00 EUR as the file states",
    )


def test_a_file_without_rows_is_a_statement_where_its_period_is_stated() -> None:
    mapping = {
        "proof": "closing_balance",
        "table": {"footer_rows": 1},
        "opening": {"part": "header", "row": 1, "column": 2},
        "closing": {"part": "footer", "row": 1, "column": 2},
        "statement": {"from_date": {"part": "header", "row": 1, "column": 1}},
    }
    statement = read("2026-11-16,7.00\nDay,Amount\nEnd,7.00\n", mapping).parsed.statements[0]
    assert (statement.line_count, statement.opening_minor, statement.closing_minor) == (0, 700, 700)
    assert statement.to_date == date(2026, 11, 16)


@pytest.mark.parametrize(
    ("content", "table"),
    [
        ("Day\tAmount\n2026-11-16\t1\n", {"delimiter": "tab"}),
        ("'Day','Amount'\n'2026-11-16','1'\n", {"quote": "'"}),
        ('"Day,Amount\n2026-11-16,1\n', {"quote": "none", "header_row": 1}),
        ("\ufeffDay,Amount\n2026-11-16,1\n", {}),
        ("Day,Amount\r\n2026-11-16,1\r\n", {}),
        ("Day,Amount\r2026-11-16,1\r", {}),
        ("\n\nDay,Amount\n\n2026-11-16,1\n", {}),
        ('"Day","Amount"\n"2026-11-16","1"\n', {}),
        ("title\n2026-11-16,1\n", {"header_row": 0, "skip_rows": 1}),
    ],
)
def test_a_table_is_found_and_parted_as_the_mapping_says(content: str, table: dict[str, Any]) -> None:
    names = {"columns": {"booking_date": "#1"}, "amount": {"column": "#2"}}
    plain = "header_row" in table
    assert minors(read(content, {"table": table}, names if plain else {})) == [100]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "cp1252", "latin-1", "utf-8"])
def test_a_text_is_read_in_the_encoding_that_the_mapping_names(encoding: str) -> None:
    content = "Day,Amount,Ñame\n2026-11-16,1,Ærø\n".encode(encoding)
    whole = read(content, {"table": {"encoding": encoding}, "columns": {"counterparty": "Ñame"}})
    line = whole.lines.to_pylist()[0]
    assert line["counterparty"] == "Ærø"
    assert (line["byte_offset"] is None) == encoding.startswith("utf-16")


def test_card_numbers_leave_no_trace() -> None:
    content = "Day,Amount,Card,Text,Ref\n2026-11-16,1,4111 1111 1111 1111,paid by 4111111111111111,5555555555554444\n"
    whole = read(content, {"columns": {"card_number": "Card", "text": "Text", "ref_psp": "Ref"}})
    line = whole.lines.to_pylist()[0]
    assert line["card_token"] == OPTIONS.card_tokens.token("4111111111111111")
    assert (line["card_truncated"], line["text"]) == ("411111******1111", "paid by 411111******1111")
    assert line["ref_psp"] == "555555******4444"


def test_what_the_customer_paid_keeps_the_sign_of_the_amount() -> None:
    content = "Day,Amount,Paid,Ccy,Rate\n2026-11-16,-9.20,10.00,USD,0.92\n2026-11-16,1,,,\n"
    original = {
        "column": "Paid",
        "asset": {"column": "Ccy"},
        "rate": "Rate",
        "rate_is": "amount_per_original",
    }
    first, second = read(content, {"original": original}).lines.to_pylist()
    assert (first["original_amount_minor"], first["original_asset"], first["fx_rate"]) == (
        -1000,
        "USD",
        "0.92",
    )
    assert (first["fx_numerator"], first["fx_denominator"]) == (92, 100)
    assert [second[name] for name in ("original_amount_minor", "original_asset", "fx_rate")] == [None] * 3


def test_many_rows_leave_in_several_batches_with_bounded_sums() -> None:
    count = 12 * LINES_PER_BATCH
    content = "Day,Amount,Left\n" + "".join(f"2026-11-16,0.01,{at / 100:.2f}\n" for at in range(1, count + 1))
    batches: list[int] = []
    mapping = rules({"proof": "running_balance", "running_balance": {"column": "Left", "order": "ascending"}})
    parsed = mapped_csv.read(
        io.BytesIO(content.encode()), options(mapping), lambda batch: batches.append(batch.num_rows)
    )
    assert sum(batches) == count
    assert len(batches) > 1
    assert parsed.statements[0].closing_minor == count


def test_mapped_formats_are_registered_and_never_recognised() -> None:
    readers = {"csv": mapped_csv, "json": mapped_json, "parquet": mapped_parquet, "xlsx": mapped_xlsx}
    for name, reader in readers.items():
        assert FORMATS[f"mapped.{name}"] is reader
        assert f"mapped.{name}" == reader.NAME
        assert not reader.sniff(b"Day,Amount\n2026-11-16,1\n")
    assert recognise(b"Day,Amount\n2026-11-16,1\n") is None


def test_a_mapped_format_asks_for_its_mapping_and_knows_no_settings() -> None:
    for reader in (mapped_csv, mapped_json, mapped_parquet, mapped_xlsx):
        with pytest.raises(SourcesError, match="needs a mapping"):
            reader.read(io.BytesIO(b""), OPTIONS, print)
        with pytest.raises(SourcesError, match="delimiter is not known"):
            reader.read(io.BytesIO(b""), replace(options(rules()), settings={"delimiter": ";"}), print)
