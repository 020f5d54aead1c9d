"""Adyen's settlement details: every batch closed by its payout to the cent, or refused."""

import contextlib
import csv
import dataclasses
import io
import json
from collections import Counter
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.errors import RefusedFile, SourcesError
from reconciliation.formats import adyen_settlement, registry
from reconciliation.formats.canonical import WholeDelivery, read_whole
from tests.reconciliation.formats.camt_builder import OPTIONS

COLUMNS = (
    "Company Account", "Merchant Account", "Psp Reference", "Merchant Reference", "Payment Method", "Creation Date",
    "TimeZone", "Type", "Modification Reference", "Gross Currency", "Gross Debit (GC)", "Gross Credit (GC)",
    "Exchange Rate", "Net Currency", "Net Debit (NC)", "Net Credit (NC)", "Commission (NC)", "Markup (NC)",
    "Scheme Fees (NC)", "Interchange (NC)", "Payment Method Variant", "Modification Merchant Reference", "Batch Number",
    "Booking Date", "Booking Date TimeZone", "ARN", "Authorisation Code", "Dispute Reference", "Reserved10",
)  # fmt: skip


def row(**values: str) -> dict[str, str]:
    return {
        "Company Account": "Quill",
        "Merchant Account": "QuillShop",
        "Payment Method": "visa",
        "Creation Date": "2026-11-14 23:30:00",
        "TimeZone": "CET",
        "Net Currency": "EUR",
        "Batch Number": "41",
        "Booking Date": "2026-11-16 06:00:00",
        "Booking Date TimeZone": "CET",
    } | {name.replace("_", " "): value for name, value in values.items()}


def payment(number: int, **values: str) -> dict[str, str]:
    known = {
        "Psp Reference": f"PSP{number:013d}",
        "Merchant Reference": f"ORD-{number}",
        "Modification Reference": f"MOD{number:013d}",
        "Type": "Settled",
        "Gross Currency": "EUR",
        "Exchange Rate": "1",
    }
    return row(**known | values)  # type: ignore[arg-type]


SETTLED = payment(
    1,
    **{
        "Gross Credit (GC)": "5.00",
        "Net Credit (NC)": "4.88",
        "Markup (NC)": "0.04",
        "Scheme Fees (NC)": ".01",
        "Interchange (NC)": "0.07",
        "ARN": "74537604221431003881865",
        "Authorisation Code": "031891",
    },
)
REFUNDED = payment(
    2, Type="Refunded", **{"Gross Debit (GC)": "2.00", "Gross Credit (GC)": "9.99", "Net Debit (NC)": "2.00"}
)
FOREIGN = payment(
    3,
    **{
        "Gross Currency": "JPY",
        "Gross Credit (GC)": "1000",
        "Exchange Rate": "0.006733333333333",
        "Net Credit (NC)": "6.53",
        "Commission (NC)": "0.2",
    },
)
CHARGEBACK = payment(
    4,
    Type="Chargeback",
    **{
        "Gross Debit (GC)": "1.00",
        "Net Debit (NC)": "3.00",
        "Commission (NC)": "2",
        "Dispute Reference": "DSP4",
    },
)
FEE = row(
    Type="Fee", **{"Modification Reference": "Transaction Fees November 2026", "Net Debit (NC)": "0.41"}
)
PAYOUT = row(
    Type="MerchantPayout",
    **{"Modification Reference": "TX31415926535XT batch 41, QuillShop", "Net Debit (NC)": "6.00"},
)
ROWS = [SETTLED, REFUNDED, FOREIGN, CHARGEBACK, FEE, PAYOUT]


def report(rows: list[dict[str, str]], *, columns: tuple[str, ...] = COLUMNS) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def read(content: bytes, *, waived: bool = False, **settings: str) -> WholeDelivery:
    waivers = frozenset({"control_total"} if waived else set())
    options = dataclasses.replace(OPTIONS, settings=settings, waived=waivers)
    return read_whole(adyen_settlement, io.BytesIO(content), options)


def refusal(content: bytes, **settings: str) -> RefusedFile:
    with pytest.raises(RefusedFile) as caught:
        read(content, **settings)
    return caught.value


def test_a_batch_is_a_statement_proved_against_its_payout() -> None:
    parsed = read(report(ROWS)).parsed
    (statement,) = parsed.statements
    assert (statement.statement_ref, statement.account, statement.sequence_no) == (
        "QuillShop:41:EUR",
        "QuillShop",
        41,
    )
    assert (statement.movement_minor, statement.line_count, statement.asset) == (0, 6, "EUR")
    assert statement.proofs == ("batch 41 of QuillShop: 5 rows of 6.00 EUR + MerchantPayout -6.00 = 0",)
    assert (statement.from_date, statement.to_date) == (date(2026, 11, 16), date(2026, 11, 16))
    assert parsed.ids_may_repeat


def test_a_payment_keeps_its_fees_and_all_its_references() -> None:
    settled = read(report(ROWS)).lines.to_pylist()[0]
    assert (settled["amount_minor"], settled["fee_minor"], settled["kind"]) == (488, 12, "charge")
    assert json.loads(settled["fees"]) == [
        {"amount_minor": 4, "asset": "EUR", "included": True, "type": "markup"},
        {"amount_minor": 1, "asset": "EUR", "included": True, "type": "scheme"},
        {"amount_minor": 7, "asset": "EUR", "included": True, "type": "interchange"},
    ]
    assert (settled["ref_psp"], settled["ref_merchant"]) == ("PSP0000000000001", "ORD-1")
    assert json.loads(settled["other_refs"]) == {
        "merchant_id": "QuillShop",
        "modification": "MOD0000000000001",
    }
    assert (settled["ref_arn"], settled["ref_auth_code"]) == ("74537604221431003881865", "031891")
    assert settled["native_id"] == "PSP0000000000001:MOD0000000000001:settled:41"
    assert settled["event_at"] == datetime(2026, 11, 14, 22, 30, tzinfo=UTC)
    assert (settled["booking_date"], settled["batch_ref"]) == (date(2026, 11, 16), "41")
    assert (settled["original_asset"], settled["text"], settled["type_code"]) == (None, None, "Settled")


def test_money_in_another_currency_keeps_what_was_paid_and_the_rate() -> None:
    foreign = read(report(ROWS)).lines.to_pylist()[2]
    assert (foreign["amount_minor"], foreign["fee_minor"]) == (653, 20)
    assert (foreign["original_amount_minor"], foreign["original_asset"]) == (1000, "JPY")
    assert (foreign["fx_rate"], foreign["fx_numerator"], foreign["fx_denominator"]) == (
        "0.006733333333333",
        6733333333333,
        10**15,
    )


def test_debits_lower_the_balance_and_a_stray_credit_does_not_count() -> None:
    _, refunded, _, chargeback, fee, payout = read(report(ROWS)).lines.to_pylist()
    assert (refunded["amount_minor"], refunded["kind"]) == (-200, "refund")
    assert (chargeback["amount_minor"], chargeback["fee_minor"], chargeback["kind"]) == (
        -300,
        200,
        "chargeback",
    )
    assert json.loads(chargeback["other_refs"])["dispute"] == "DSP4"
    assert (fee["amount_minor"], fee["kind"], fee["text"]) == (-41, "fee", "Transaction Fees November 2026")
    assert (payout["kind"], payout["ref_payout"], payout["native_id"]) == ("payout", "TX31415926535XT", None)
    foreign_refund = payment(
        9,
        Type="Refunded",
        **{
            "Gross Currency": "JPY",
            "Gross Debit (GC)": "100",
            "Gross Credit (GC)": "7",
            "Net Debit (NC)": "0.61",
        },
    )
    line = read(report([foreign_refund]), waived=True).lines.to_pylist()[0]
    assert (line["original_amount_minor"], line["amount_minor"]) == (-100, -61)


@pytest.mark.parametrize(
    ("name", "kind", "reversal"),
    [
        ("ChargebackReversed", "chargeback_reversal", True),
        ("SECONDCHARGEBACK", "chargeback", False),
        ("RefundedReversed", "refund", True),
        ("PaidOut", "transfer", False),
        ("MiscCosts", "fee", False),
        ("Balancetransfer", "adjustment", False),
        ("DepositCorrection", "adjustment", False),
        ("Moonshine", "adjustment", False),
    ],
)
def test_every_type_has_its_kind(name: str, kind: str, reversal: bool) -> None:
    delivery = read(report([payment(1, Type=name)]))
    assert (delivery.lines["kind"][0].as_py(), delivery.lines["reversal"][0].as_py()) == (kind, reversal)
    assert any("moonshine" in note for note in delivery.parsed.notes) == (name == "Moonshine")


def test_each_currency_and_account_of_a_batch_is_proved_alone() -> None:
    dollars = [one | {"Net Currency": "USD", "Gross Currency": ""} for one in (SETTLED, PAYOUT)]
    wrong = refusal(report([*ROWS, *dollars]))
    assert (wrong.code, wrong.place) == ("control_total", "batch 41 of QuillShop (row 9)")
    dollars[1]["Net Debit (NC)"] = "4.88"
    parsed = read(report([*ROWS, *dollars])).parsed
    assert [one.statement_ref for one in parsed.statements] == ["QuillShop:41:EUR", "QuillShop:41:USD"]
    other = [one | {"Merchant Account": "QuillCafe"} for one in ROWS]
    assert [one.account for one in read(report([*ROWS, *other])).parsed.statements] == [
        "QuillShop",
        "QuillCafe",
    ]


def test_a_batch_may_be_carried_to_the_next_one_or_be_empty() -> None:
    carried = row(Type="Balancetransfer", **{"Net Debit (NC)": "4.88"})
    assert read(report([SETTLED, carried])).parsed.statements[0].proofs == (
        "batch 41 of QuillShop: 2 rows of 0.00 EUR, nothing to pay out",
    )
    empty = read(report([]))
    assert (empty.parsed.statements, empty.parsed.notes) == ((), ("an empty batch: no rows",))


def test_a_batch_that_does_not_prove_may_be_waived_with_its_figures() -> None:
    for rows in (ROWS[1:], ROWS[:-1], [*ROWS[:-1], PAYOUT | {"Net Debit (NC)": "60.00"}]):
        assert refusal(report(rows)).code == "control_total"
        (statement,) = read(report(rows), waived=True).parsed.statements
        assert statement.proofs == ()
        assert statement.flags[0].startswith("waived: control_total: batch 41 of QuillShop")
    assert "10 times what was expected" in statement.flags[0]


def test_an_instant_needs_a_clock() -> None:
    unknown = payment(1, TimeZone="XYZ")
    delivery = read(report([unknown, payment(2, TimeZone="PST")]))
    assert delivery.lines["event_at"].to_pylist() == [None, datetime(2026, 11, 15, 7, 30, tzinfo=UTC)]
    assert "'XYZ' is not known" in delivery.parsed.notes[0]
    named = read(report([unknown]), time_zone="Asia/Tokyo")
    assert named.lines["event_at"].to_pylist() == [datetime(2026, 11, 14, 14, 30, tzinfo=UTC)]
    with pytest.raises(SourcesError, match="did you mean time_zone"):
        read(report(ROWS), timezone="UTC")


def test_the_payments_accounting_report_is_refused_by_its_name() -> None:
    wrong = refusal(b"Merchant Account,Psp Reference,Record Type,Payable (SC)\n")
    assert (wrong.code, wrong.place) == ("not_this_format", "header row")
    assert "settlement details report" in wrong.remedy
    assert refusal(b"a,b\n").code == "structure"


def test_a_column_that_is_not_read_may_come_twice() -> None:
    twice = report(ROWS).replace(b"Payment Method Variant", b"Payment Method")
    assert read(twice).lines.num_rows == 6
    assert refusal(report(ROWS).replace(b"Company Account", b"Psp Reference")).code == "structure"


@pytest.mark.parametrize(
    ("change", "code", "place"),
    [
        ({"Net Credit (NC)": "1E3"}, "amount", "row 2, Net Credit (NC)"),
        ({"Net Credit (NC)": "4.881"}, "amount", "row 2, Net Credit (NC)"),
        ({"Net Credit (NC)": "9" * 5000}, "amount", "row 2, Net Credit (NC)"),
        ({"Net Credit (NC)": "9" * 200_000}, "limit", "row 2"),
        ({"Net Credit (NC)": str(2**60)}, "amount", "row 2, Net Credit (NC)"),
        ({"Net Credit (NC)": "4.87"}, "control_total", "batch 41 of QuillShop (row 7)"),
        ({"Net Credit (NC)": "-4.88"}, "control_total", "batch 41 of QuillShop (row 7)"),
        ({"Markup (NC)": "x"}, "amount", "row 2, Markup (NC)"),
        ({"Net Currency": "EUX"}, "currency", "row 2, Net Currency"),
        ({"Net Currency": ""}, "currency", "row 2, Net Currency"),
        ({"Gross Currency": "EUX"}, "currency", "row 2, Gross Currency"),
        ({"Creation Date": "2026-02-30 10:00:00"}, "date", "row 2, Creation Date"),
        ({"Creation Date": "", "Booking Date": ""}, "date", "row 2, Creation Date"),
        ({"Booking Date": "16/11/2026"}, "date", "row 2, Booking Date"),
        ({"Batch Number": ""}, "structure", "row 2, Batch Number"),
        ({"Merchant Account": " "}, "structure", "row 2, Merchant Account"),
    ],
)
def test_a_row_that_cannot_be_understood_is_refused_at_its_place(
    change: dict[str, str], code: str, place: str
) -> None:
    wrong = refusal(report([SETTLED | change, *ROWS[1:]]))
    assert wrong.code == code
    assert wrong.place.startswith(place)
    assert len(str(wrong)) < 500


def test_damaged_files_are_refused() -> None:
    good = report(ROWS)
    assert refusal(good.replace(b"ORD-1", b"OR\0-1")).code == "unsafe"
    assert refusal(good.replace(b"ORD-1", b"OR\xff-1")).code == "structure"
    assert refusal(good.replace(b"ORD-1", b'"ORD-1')).code == "structure"
    assert refusal(good.replace(b"ORD-1", b"ORD,1")).code == "structure"
    assert refusal(good.decode().encode("utf-16")).code in {"unsafe", "structure"}


def test_a_report_cut_anywhere_before_its_last_column_is_refused() -> None:
    content = report(ROWS).rstrip(b"\n")
    assert read(content).lines.num_rows == 6  # the payout proves it, and nothing is read from the last column
    header = content.index(b"\n") + 1
    for size in [*range(header), *range(header + 1, len(content))]:
        assert refusal(content[:size]).code in {
            "structure",
            "control_total",
            "truncated",
            "amount",
            "date",
            "currency",
        }
    read_last = report(ROWS, columns=(*COLUMNS[:-1], "Shopper Reference")).rstrip(b"\n")
    assert refusal(read_last).code == "truncated"


def test_line_ends_and_byte_order_marks_change_nothing() -> None:
    plain = read(report(ROWS)).lines.drop_columns(["byte_offset"])
    good = report(ROWS)
    for variant in (b"\xef\xbb\xbf" + good, good.replace(b"\n", b"\r\n"), good.replace(b"\n", b"\r")):
        assert read(variant).lines.drop_columns(["byte_offset"]).equals(plain)


def test_every_row_stays_addressable_in_the_file() -> None:
    content = report(ROWS)
    for line in read(content).lines.to_pylist():
        raw = content[line["byte_offset"] : line["byte_offset"] + line["byte_length"]]
        assert next(csv.reader([raw.decode()])) == [
            ROWS[line["record_no"] - 2].get(name, "") for name in COLUMNS
        ]


def test_card_numbers_do_not_pass() -> None:
    fee = FEE | {"Modification Reference": "fee for 4111111111111111"}
    lines = read(report([*ROWS[:4], fee, PAYOUT])).lines.to_pylist()
    assert lines[4]["text"] == "fee for 411111******1111"
    wrong = refusal(report([SETTLED | {"Creation Date": "4111111111111111"}]))
    assert "4111111111111111" not in str(wrong)


@given(st.permutations(ROWS))
def test_the_order_of_rows_changes_nothing(rows: list[dict[str, str]]) -> None:
    def told(delivery: WholeDelivery) -> list[str]:
        lines = delivery.lines.drop_columns(["record_no", "byte_offset"]).to_pylist()
        return sorted(str(line) for line in lines)

    assert told(read(report(rows))) == told(read(report(ROWS)))


@given(st.integers(0, len(report(ROWS)) - 1), st.binary(max_size=3))
def test_any_edit_gives_a_delivery_or_a_refusal(place: int, edit: bytes) -> None:
    content = report(ROWS)
    for attempt in (content[:place] + edit + content[place + 1 :], edit * 20, edit + content[place:]):
        with contextlib.suppress(RefusedFile):
            read(attempt)


def test_a_large_report_comes_in_several_batches() -> None:
    rows = [payment(number, **{"Net Credit (NC)": "1.00"}) for number in range(25_000)]
    content = report([*rows, PAYOUT | {"Net Debit (NC)": "25000.00"}])
    batches: list[int] = []
    parsed = adyen_settlement.read(io.BytesIO(content), OPTIONS, lambda batch: batches.append(batch.num_rows))
    assert sum(batches) == 25_001
    assert len(batches) > 1
    assert parsed.statements[0].proofs[0].startswith("batch 41 of QuillShop: 25000 rows of 25000.00 EUR")


UNPROVED = {
    "deposit_correction": "no payout in the file",
    "donation-ideal": "the payout is that of another batch, 0.76 for 5.43",
    "emptynetcredit": "a single row, no payout",
    "invoice_deduction": "two rows, no payout",
    "batch_2": "the payout is that of another batch, 0.76 for 5.43",
}


def test_public_reports_agree_with_a_plain_reading(corpora: Path) -> None:
    outcomes: Counter[str] = Counter()
    for path in sorted((corpora / "psp_adyen").rglob("*.csv")):
        content = path.read_bytes()
        if "payments_accounting" in path.name:
            assert refusal(content).code == "not_this_format"
            outcomes["another report"] += 1
            continue
        with path.open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        nets = [Decimal(one["Net Credit (NC)"] or 0) - Decimal(one["Net Debit (NC)"] or 0) for one in rows]
        expected_to_prove = not any(path.stem.endswith(name) for name in UNPROVED)
        assert (sum(nets) == 0) == expected_to_prove
        if not expected_to_prove:
            assert refusal(content).code == "control_total"
        delivery = read(content, waived=True)
        assert delivery.lines["amount_minor"].to_pylist() == [int(net * 100) for net in nets]
        assert delivery.parsed.statements[0].proofs or delivery.parsed.statements[0].flags
        outcomes["proved" if expected_to_prove else "waived"] += 1
    assert outcomes == {"another report": 3, "proved": 1, "waived": 5}


def test_a_report_is_recognised_by_its_header() -> None:
    assert registry.recognise(report(ROWS)) == "adyen.settlement_detail"
