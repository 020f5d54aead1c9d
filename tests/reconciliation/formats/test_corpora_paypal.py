"""Real PayPal files of public projects. All of them were cut or edited by hand, so none proves as it is: each is
refused for the reason told here, and what a person may waive is then read as a second, simpler reader reads it.
"""

import csv
from pathlib import Path

import pytest

from reconciliation.errors import RefusedFile
from reconciliation.formats import paypal_stl, paypal_trr
from reconciliation.formats.canonical import Format
from reconciliation.formats.registry import recognise
from tests.reconciliation.formats.paypal_builder import WAIVE_ALL, read, refusal

SMASHPIG = "wikimedia+wikimedia-fundraising-SmashPig/PaymentProviders/PayPal/Tests/Data"
CRM = "wikimedia+wikimedia-fundraising-crm/ext/wmf-civicrm/tests/phpunit/Civi/WMFAudit/data/Paypal"
TOOLS = "wikimedia+wikimedia-fundraising-tools/audit/paypal/tests/data"

# its footers state other figures than its rows; it has none; it was cut before the end that its header promises
SETTLEMENTS = {
    f"{SMASHPIG}/stl.csv": "control_total",
    f"{SMASHPIG}/stl_dr_payment.csv": "control_total",
    f"{SMASHPIG}/stl_chargeback_reversal.csv": "control_total",
    f"{SMASHPIG}/stl_chargeback_with_fee.csv": "control_total",
}
TRANSACTIONS = {
    **{
        f"{SMASHPIG}/trr_{name}.csv": "control_total"
        for name in (
            "dr_payment",
            "express_checkout_donation",
            "express_checkout_donation_denied",
            "express_checkout_recurring_donation",
            "express_checkout_recurring_refund",
            "express_checkout_refund",
            "express_with_non_data_rows",
            "give_lively",
            "giving_fund",
            "grant",
            "gravy_donation",
            "void",
        )
    },
    f"{CRM}/trr_file/paypal/incoming/trr_paypal_express_donation.csv": "control_total",
    f"{CRM}/trr_grant/paypal/incoming/trr_grant.csv": "control_total",
    f"{TOOLS}/express_checkout_donation.csv": "control_total",
    f"{TOOLS}/gravy_donation.csv": "control_total",
    f"{CRM}/trr_recur_payment/paypal/incoming/TRR-20260125.01.008.CSV": "truncated",
}
# the same figures as their owners' tests expect: yen are written with two decimals
YEN = {"implied_decimals": "2"}


def second_reader(path: Path) -> tuple[int, dict[str, int]]:
    """Booked rows and net minor units by currency, with yen in hundredths, by csv and nothing else."""
    header: list[str] = []
    count = 0
    totals: dict[str, int] = {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        for cells in csv.reader(file):
            if cells and cells[0] == "CH":
                header = cells
            elif cells and cells[0] == "SB":
                row = dict(zip(header, cells, strict=False))
                if (
                    row.get("Transactional Status", "") not in {"", "S"}
                    or row["Transaction Event Code"][:3] == "T13"
                ):
                    continue
                count += 1
                gross = int(row["Gross Transaction Amount"]) * (
                    1 if row["Transaction Debit or Credit"] == "CR" else -1
                )
                fee = int(row["Fee Amount"] or 0) * (1 if row["Fee Debit or Credit"] == "CR" else -1)
                asset = row["Gross Transaction Currency"]
                totals[asset] = totals.get(asset, 0) + gross + fee
    return count, totals


@pytest.mark.parametrize(
    ("path", "reader", "code"),
    [
        *((path, paypal_stl, code) for path, code in SETTLEMENTS.items()),
        *((path, paypal_trr, code) for path, code in TRANSACTIONS.items()),
    ],
)
def test_a_real_report_is_refused_for_its_reason_and_read_when_that_is_waived(
    corpora: Path, path: str, reader: Format, code: str
) -> None:
    file = corpora / "psp_paypal" / path
    content = file.read_bytes()
    assert refusal(content, reader=reader, settings=YEN).code == code
    if code == "truncated":
        assert refusal(content, reader=reader, settings=YEN, waived=WAIVE_ALL).code == code
        return
    whole = read(content, reader=reader, settings=YEN, waived=WAIVE_ALL)
    booked = [line for line in whole.lines.to_pylist() if line["status"] == "booked"]
    count, totals = second_reader(file)
    assert len(booked) == count == sum(statement.line_count for statement in whole.parsed.statements)
    found = {
        statement.asset: statement.movement_minor * (100 if statement.asset == "JPY" else 1)
        for statement in whole.parsed.statements
        if statement.line_count
    }
    assert found == totals
    assert all(statement.flags for statement in whole.parsed.statements)


def test_a_reader_is_recognised_by_the_columns_of_its_report(corpora: Path) -> None:
    edited = {
        "stl_chargeback_reversal.csv",
        "stl_chargeback_with_fee.csv",
    }  # with the columns of the other report
    for name, paths in (("paypal.stl", SETTLEMENTS), ("paypal.trr", TRANSACTIONS)):
        for path in paths:
            if Path(path).name not in edited:
                assert recognise((corpora / "psp_paypal" / path).read_bytes()) == name


def test_other_files_of_paypal_are_not_these_reports(corpora: Path) -> None:
    """Subscription reports, activity downloads and notifications."""
    folder = corpora / "psp_paypal"
    others = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and str(path.relative_to(folder)) not in SETTLEMENTS | TRANSACTIONS
    ]
    assert len(others) == 9
    for path in others:
        for reader in (paypal_stl, paypal_trr):
            assert refusal(path.read_bytes(), reader=reader).code == "not_this_format"


def test_yen_of_real_reports_could_be_either_and_are_refused_until_the_settings_say(corpora: Path) -> None:
    content = (corpora / "psp_paypal" / SMASHPIG / "trr_express_checkout_refund.csv").read_bytes()
    with pytest.raises(RefusedFile, match="how many decimals PayPal implies for JPY"):
        read(content, reader=paypal_trr, waived=WAIVE_ALL)
    assert read(content, reader=paypal_trr, waived=WAIVE_ALL, settings=YEN).lines.column(
        "fee_minor"
    ).to_pylist() == [-43]
