"""Real bank exports of public projects, each read by a mapping written for it: count and total of the lines, and the
proof where the file has one. Files whose figures do not follow from each other are refused for it.
"""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from reconciliation.errors import RefusedFile
from reconciliation.formats import mapped_csv, mapped_xlsx
from tests.reconciliation.formats.mapped_builder import WAIVE_ALL, minors, read, refusal

OCA = "OCA+bank-statement-import/account_statement_import_sheet_file/tests/fixtures"
BEANGULP = "beancount+beangulp/examples/tests"
BEANCOUNT_IMPORT = "jbms+beancount-import/testdata/source"
BELGIAN = "wimverstuyf+php-belgianbankstatement-parser/tests/Samples"
CSV2OFX = "reubano+csv2ofx/data/test"
GOLDEN = "sebastienrousseau+bankstatementparser/tests/test_data/golden"
HLEDGER = "simonmichael+hledger/examples"

DECIMAL_COMMA = {"numbers": {"decimal_mark": ",", "grouping_mark": "."}}
SEMICOLON = {"table": {"delimiter": ";"}}
BELFIUS: dict[str, Any] = {
    **DECIMAL_COMMA,
    **SEMICOLON,
    "columns": {
        "booking_date": "Boekingsdatum",
        "value_date": "Valutadatum",
        "native_id": ["Rekening", "Transactienummer"],
        "counterparty": "Naam tegenpartij bevat",
        "counterparty_account": "Rekening tegenpartij",
        "text": ["Transactie", "Mededelingen"],
    },
    "amount": {"column": "Bedrag"},
    "asset": {"column": "Devies"},
    "dates": {"patterns": ["%d/%m/%Y", "%d/%m/%y"]},
    "statement": {"account": {"column": "Rekening"}},
}
HLEDGER_SAMPLE: dict[str, Any] = {
    "columns": {"booking_date": "#1", "text": "#2"},
    "amount": {"column": "#3"},
    "dates": {"patterns": "%Y/%-m/%-d"},
    "table": {"header_row": 1},
}

CASES: list[tuple[str, dict[str, Any], int, int]] = [
    (
        f"{BEANGULP}/csvbank/statement.csv",
        {
            "proof": "running_balance",
            "columns": {"booking_date": "Posting Date", "text": "Description", "type_code": "Type"},
            "dates": {"patterns": "%-m/%-d/%Y"},
            "asset": {"fixed": "USD"},
            "kind": {"column": "Details", "values": {"DEBIT": "transfer", "CREDIT": "transfer"}},
            "running_balance": {"column": "Balance", "order": "descending"},
        },
        6,
        -149016,
    ),
    (
        f"{BEANGULP}/utrade/UTrade20140713.csv",
        {
            "proof": "running_balance",
            "columns": {"booking_date": "DATE", "text": "DESCRIPTION", "native_id": "REF #"},
            "amount": {"column": "AMOUNT"},
            "fees": [{"column": "FEES", "type": "commission"}],
            "asset": {"fixed": "USD"},
            "running_balance": {"column": "BALANCE", "order": "ascending"},
        },
        14,
        -2663625,
    ),
    (
        f"{BELGIAN}/sample9_triodos.csv",
        {
            **DECIMAL_COMMA,
            "proof": "running_balance",
            "columns": {"booking_date": "Date", "counterparty": "CounterpartyName", "text": "Communication"},
            "dates": {"patterns": "%d-%m-%Y"},
            "statement": {"account": {"column": "Account"}},
            "running_balance": {"column": "Balance", "order": "ascending"},
        },
        6,
        14783,
    ),
    (
        f"{BELGIAN}/sample4_kbc.csv",
        {
            **DECIMAL_COMMA,
            **SEMICOLON,
            "columns": {"booking_date": "Datum", "value_date": "Valuta", "text": "Vrije mededeling"},
            "amount": {"credit": "credit", "debit": "debet", "debit_signed": True},
            "asset": {"column": "Munt"},
            "dates": {"patterns": "%d/%m/%Y"},
            "other_refs": {"creditor_reference": "gestructureerde mededeling"},
            "statement": {"reference": {"column": "Afschriftnummer"}},
        },
        4,
        27982,
    ),
    (f"{BELGIAN}/sample5_belfius.csv", BELFIUS, 2, 118566),
    (
        f"{BELGIAN}/sample6_belfius.csv",
        {**BELFIUS, "closing": {"part": "header", "row": 10, "column": 2, "before": "EUR"}},
        2,
        118566,
    ),
    (f"{BELGIAN}/sample7_belfius.csv", BELFIUS, 2, 118566),
    (
        f"{CSV2OFX}/outbank.csv",
        {
            **DECIMAL_COMMA,
            **SEMICOLON,
            "columns": {
                "booking_date": "Date",
                "value_date": "Value Date",
                "counterparty": "Name",
                "counterparty_account": "Number",
                "counterparty_bic": "Bank",
                "text": "Reason",
                "ref_end_to_end": "SEPA Reference",
            },
            "other_refs": {"mandate": "Mandate Identification", "creditor_id": "Originator Identifier"},
            "asset": {"column": "Currency"},
            "dates": {"patterns": "%-m/%-d/%y"},
            "statement": {"account": {"column": "Account"}},
        },
        4,
        -3589,
    ),
    (
        f"{CSV2OFX}/payoneer.csv",
        {
            "columns": {
                "booking_date": "Transaction Date",
                "native_id": "Transaction ID",
                "text": "Description",
            },
            "amount": {"credit": "Credit Amount", "debit": "Debit Amount"},
            "asset": {"column": "Currency"},
            "dates": {"patterns": "%d/%m/%Y"},
            "status": {"column": "Status", "values": {"Completed": "booked", "Pending": "pending"}},
        },
        2,
        2000,
    ),
    (
        f"{CSV2OFX}/ingesp.csv",
        {
            "columns": {"booking_date": "date", "text": ["class", "subcategory", "desc"]},
            "amount": {"column": "amount"},
            "dates": {"patterns": "%d/%m/%Y"},
        },
        10,
        35021,
    ),
    (
        f"{CSV2OFX}/creditunion.csv",
        {
            "columns": {
                "booking_date": "Date",
                "counterparty": "Description",
                "ref_merchant": "Check Number",
            },
            "dates": {"patterns": "%-m/%-d/%y"},
            "asset": {"fixed": "USD"},
        },
        8,
        46500000,
    ),
    (
        f"{CSV2OFX}/xero.csv",
        {
            "columns": {"booking_date": "JournalDate", "ref_merchant": "Reference", "text": "Description"},
            "amount": {"column": "NetAmount"},
            "dates": {"patterns": "%d-%b-%y"},
            "asset": {"fixed": "USD"},
            "rows": [{"column": "AccountName", "equals": "Income"}],
        },
        5,
        -32200000,
    ),
    (
        f"{CSV2OFX}/capitalone.csv",
        {
            "columns": {
                "booking_date": "Posted Date",
                "value_date": "Transaction Date",
                "text": "Description",
            },
            "amount": {"credit": "Credit", "debit": "Debit"},
            "asset": {"fixed": "USD"},
        },
        2,
        0,
    ),
    (
        f"{BEANCOUNT_IMPORT}/venmo/transactions.csv",
        {
            "columns": {
                "booking_date": "Datetime",
                "event_at": "Datetime",
                "native_id": "ID",
                "text": "Note",
                "counterparty": "To",
            },
            "amount": {"column": "Amount (total)"},
            "numbers": {"affixes": "$", "plus": True, "grouping_mark": ","},
            "dates": {
                "patterns": "%Y-%m-%dT%H:%M:%S",
                "event_patterns": "%Y-%m-%dT%H:%M:%S",
                "time_zone": "America/New_York",
            },
            "asset": {"fixed": "USD"},
            "kind": {"column": "Type", "values": {"Standard Transfer": "payout"}, "default": "transfer"},
            "status": {"column": "Status", "values": {"Complete": "booked", "Issued": "booked"}},
        },
        11,
        -92708,
    ),
    (
        f"{BEANCOUNT_IMPORT}/mint/mint.csv",
        {
            "columns": {"booking_date": "Date", "text": ["Description", "Original Description"]},
            "amount": {
                "direction": {"column": "Transaction Type", "credit": "credit", "debit": "debit"},
                "column": "Amount",
            },
            "dates": {"patterns": "%-m/%d/%Y"},
            "asset": {"fixed": "USD"},
            "statement": {"account": {"column": "Account Name"}},
        },
        3,
        -245,
    ),
    (
        f"{BEANCOUNT_IMPORT}/generic_importer/csv/generic_statement.csv",
        {"columns": {"booking_date": "Date", "text": "Description"}, "asset": {"fixed": "INR"}},
        6,
        80000,
    ),
    (
        f"{BEANCOUNT_IMPORT}/schwab_csv/test_basic/transactions/EAC_Checking_Transactions_20201223-160009.CSV",
        {
            "table": {"ragged_rows": "skip"},
            "columns": {"booking_date": "Date", "text": "Description", "type_code": "Type"},
            "other_refs": {"check": "Check #"},
            "amount": {"credit": "Deposit (+)", "debit": "Withdrawal (-)"},
            "numbers": {"affixes": "$", "grouping_mark": ","},
            "dates": {"patterns": "%m/%d/%Y"},
            "asset": {"fixed": "USD"},
        },
        12,
        2248117,
    ),
    (
        f"{BEANCOUNT_IMPORT}/schwab_csv/test_basic/transactions/Brokerage_Transactions_20201115-180021.CSV",
        {
            "table": {"ragged_rows": "skip"},
            "columns": {"booking_date": "Date", "text": ["Action", "Description"]},
            "numbers": {"affixes": "$"},
            "dates": {"patterns": ["%m/%d/%Y", "%m/%d/%Y as of %*"]},
            "asset": {"fixed": "USD"},
            "rows": [{"column": "Amount", "empty": False}],
        },
        16,
        2686596,
    ),
    (
        f"{GOLDEN}/csv_european_decimals.csv",
        {
            **DECIMAL_COMMA,
            **SEMICOLON,
            "columns": {"booking_date": "Buchungstag", "text": "Verwendungszweck", "native_id": "Ref"},
            "amount": {"column": "Betrag"},
            "asset": {"column": "CCY"},
            "statement": {"account": {"column": "IBAN"}},
        },
        3,
        226094,
    ),
    (
        f"{GOLDEN}/csv_french_headers.csv",
        {
            "numbers": {"decimal_mark": ","},
            **SEMICOLON,
            "columns": {"booking_date": "Date opération", "text": "Libellé", "native_id": "Référence"},
            "amount": {"credit": "Crédit", "debit": "Débit"},
            "asset": {"column": "Devise"},
        },
        3,
        226094,
    ),
    (
        f"{GOLDEN}/csv_spanish_headers.csv",
        {
            **DECIMAL_COMMA,
            **SEMICOLON,
            "columns": {"booking_date": "Fecha", "text": "Concepto", "native_id": "Referencia"},
            "amount": {"column": "Importe"},
            "asset": {"column": "Moneda"},
            "statement": {"account": {"column": "Cuenta"}},
        },
        3,
        226094,
    ),
    (f"{HLEDGER}/sample.csv", HLEDGER_SAMPLE, 3, 2000),
    (f"{HLEDGER}/sample.fr.utf8.csv", HLEDGER_SAMPLE, 3, 2000),
    (
        f"{HLEDGER}/sample.fr.cp1252.csv",
        {**HLEDGER_SAMPLE, "table": {"encoding": "cp1252", "header_row": 1}},
        3,
        2000,
    ),
    (
        f"{HLEDGER}/sample.fr.iso88591.csv",
        {**HLEDGER_SAMPLE, "table": {"encoding": "latin-1", "header_row": 1}},
        3,
        2000,
    ),
    (
        f"{HLEDGER}/sample.journal.csv",
        {
            "columns": {"booking_date": "date", "text": "description", "native_id": ["txnidx", "account"]},
            "amount": {"column": "amount"},
            "asset": {"column": "commodity", "values": {"$": "USD"}},
            "rows": [{"column": "account", "equals": "assets:bank:checking"}],
            "statement": {"account": {"fixed": "assets:bank:checking"}},
        },
        4,
        0,
    ),
    (
        f"{CSV2OFX}/amazon.csv",
        {
            "columns": {"booking_date": "date", "ref_merchant": "order id", "text": "items"},
            "amount": {"column": "total", "flip_sign": True},
            "asset": {"fixed": "USD"},
            "rows": [{"column": "total", "empty": False}, {"column": "total", "not_equals": "total"}],
        },
        3,
        -4576,
    ),
    (
        f"{OCA}/empty_statement_en.csv",
        {"columns": {"booking_date": "Date"}, "asset": {"column": "Currency"}},
        0,
        0,
    ),
]


@pytest.mark.parametrize(("path", "mapping", "count", "total"), CASES, ids=[case[0] for case in CASES])
def test_a_real_export_is_read_by_a_mapping_written_for_it(
    corpora: Path, path: str, mapping: dict[str, Any], count: int, total: int
) -> None:
    whole = read((corpora / "bank_csv" / path).read_bytes(), mapping)
    assert (len(minors(whole)), sum(minors(whole))) == (count, total)
    assert sum(statement.line_count for statement in whole.parsed.statements) == count
    proofs = [proof for statement in whole.parsed.statements for proof in statement.proofs]
    assert bool(proofs) == (mapping.get("proof", "none") != "none")


OCA_SPLIT: dict[str, Any] = {
    "proof": "closing_balance",
    "table": {"footer_rows": 1, "header_row": 5},
    "columns": {"booking_date": "Date", "native_id": "Operation Number", "text": ["Label", "Detail"]},
    "amount": {"credit": "Credit", "debit": "Debit", "debit_signed": True},
    "numbers": {"decimal_mark": ",", "plus": True},
    "dates": {"patterns": ["%d/%m/%y", "%d/%m/%Y"]},
    "asset": {"cell": {"part": "header", "row": 2, "column": 3, "after": ":"}},
    "opening": {"part": "footer", "row": 1, "column": 5},
    "closing": {"part": "header", "row": 4, "column": 5},
    "statement": {
        "account": {"cell": {"part": "header", "row": 2, "column": 1, "after": "Account Number :"}},
        "from_date": {"part": "header", "row": 1, "column": 3, "after": "Download start date :"},
        "to_date": {"part": "header", "row": 1, "column": 4, "after": "Download end date :"},
    },
}


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_a_sheet_whose_balances_are_two_cents_apart_is_refused_and_a_person_may_take_it(
    corpora: Path, kind: str
) -> None:
    content = (corpora / "bank_csv" / OCA / f"meta_data_separated_credit_debit.{kind}").read_bytes()
    reader = mapped_xlsx if kind == "xlsx" else mapped_csv
    refused = refusal(content, OCA_SPLIT, reader=reader)
    assert (refused.code, refused.place, refused.expected) == (
        "balance",
        "header row 4, cell 5",
        "31070.11 EUR",
    )
    assert refused.found == "31070.09 by the rows, a difference of -0.02 EUR"
    whole = read(content, OCA_SPLIT, reader=reader, waived=WAIVE_ALL)
    assert minors(whole) == [-5000, -10000, -8068, 130000]
    statement = whole.parsed.statements[0]
    assert (statement.account, statement.asset) == ("08088804068", "EUR")
    assert (statement.opening_minor, statement.closing_minor, len(statement.flags)) == (None, None, 1)


def test_an_empty_workbook_has_no_lines(corpora: Path) -> None:
    content = (corpora / "bank_csv" / OCA / "empty_statement_en.xlsx").read_bytes()
    mapping = {"columns": {"booking_date": "Date"}, "asset": {"column": "Currency"}}
    assert minors(read(content, mapping, reader=mapped_xlsx)) == []


@pytest.mark.parametrize(
    ("path", "mapping", "code", "place"),
    [
        (
            f"{GOLDEN}/csv_garbled_amount.csv",
            {"columns": {"booking_date": "Date"}},
            "amount",
            "row 3, column 'Amount'",
        ),
        (
            "simonmichael+hledger/hledger/test/errors/csvdateparse.csv",
            {
                "table": {"header_row": 0, "skip_rows": 2},
                "columns": {"booking_date": "#1"},
                "amount": {"column": "#2"},
            },
            "amount",
            "row 3, column #2",
        ),
        (
            f"{HLEDGER}/sample.fr.cp1252.csv",
            {"columns": {"booking_date": "Date"}, "amount": {"column": "Montant"}},
            "structure",
            "byte",
        ),
        (f"{BELGIAN}/sample4_kbc.csv", BELFIUS, "not_this_format", "the first 200 rows"),
        (
            f"{BELGIAN}/sample4_kbc.csv",
            {
                **CASES[3][1],
                "proof": "running_balance",
                "statement": {},
                "running_balance": {"column": "Saldo", "order": "descending"},
            },
            "balance",
            "row 3, column 'Saldo'",
        ),
    ],
)
def test_what_does_not_fit_its_mapping_is_refused_with_row_and_column(
    corpora: Path, path: str, mapping: dict[str, Any], code: str, place: str
) -> None:
    refused = refusal((corpora / "bank_csv" / path).read_bytes(), mapping)
    assert refused.code == code
    assert refused.place.startswith(place)


@pytest.mark.parametrize(
    ("path", "column", "arguments"),
    [
        (f"{BEANGULP}/csvbank/statement.csv", "Amount", {"index_col": False}),
        (f"{BEANGULP}/utrade/UTrade20140713.csv", "AMOUNT", {}),
        (f"{BELGIAN}/sample9_triodos.csv", "Amount", {"decimal": ",", "thousands": "."}),
        (f"{BELGIAN}/sample4_kbc.csv", "Bedrag", {"sep": ";", "decimal": ","}),
        (f"{BELGIAN}/sample6_belfius.csv", "Bedrag", {"sep": ";", "decimal": ",", "skiprows": 12}),
        (f"{CSV2OFX}/outbank.csv", "Amount", {"sep": ";", "decimal": ","}),
        (f"{CSV2OFX}/ingesp.csv", "amount", {}),
        (f"{CSV2OFX}/creditunion.csv", "Amount", {"lineterminator": "\r"}),
        (f"{GOLDEN}/csv_european_decimals.csv", "Betrag", {"sep": ";", "decimal": ",", "thousands": "."}),
        (f"{HLEDGER}/sample.fr.cp1252.csv", "Montant", {"encoding": "cp1252"}),
    ],
)
def test_a_second_reader_sees_the_same_amounts(
    corpora: Path, path: str, column: str, arguments: dict[str, Any]
) -> None:
    """pandas reads them as floats, which is enough for so few digits."""
    file = corpora / "bank_csv" / path
    mapping = next(case[1] for case in CASES if case[0] == path)
    seen = pd.read_csv(file, **arguments)[column]
    assert minors(read(file.read_bytes(), mapping)) == [round(float(amount) * 100) for amount in seen]


def test_every_file_of_the_folder_is_read_or_refused_by_any_mapping(corpora: Path) -> None:
    """Whatever the mapping, a file is a delivery or a refusal."""
    files = [path for path in sorted((corpora / "bank_csv").rglob("*")) if path.is_file()]
    assert len(files) > 60
    outcomes = 0
    for path in files:
        for _, mapping, _, _ in CASES[:12]:
            for reader in (mapped_csv, mapped_xlsx):
                try:
                    read(path.read_bytes(), mapping, reader=reader)
                except RefusedFile as refused:
                    outcomes += bool(refused.place)
                else:
                    outcomes += 1
    assert outcomes == len(files) * 24
