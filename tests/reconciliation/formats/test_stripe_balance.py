"""Stripe's balance reports: booked on the day they were made, proved row by row, and the dashboard's own export."""

import contextlib
import csv
import dataclasses
import io
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.errors import RefusedFile, SourcesError
from reconciliation.formats import registry, stripe_balance
from reconciliation.formats.canonical import WholeDelivery, read_whole
from tests.reconciliation.formats.camt_builder import OPTIONS

HEADER = (
    "balance_transaction_id,created_utc,available_on,currency,gross,fee,net,reporting_category,source_id,"
    "charge_id,payment_intent_id,description,invoice_number,customer_id,dispute_reason,customer_name"
)
ROWS = (
    "txn_1,2026-11-15 23:11:12,2026-11-18,eur,25.00,0.95,24.05,charge,ch_1,ch_1,pi_1,Top up,INV-1,cus_1,,Ada Quill",
    "txn_2,2026-11-16 08:00:00,2026-11-16,eur,-10.00,0.00,-10.00,refund,re_2,ch_1,pi_1,,,,,",
    "txn_3,2026-11-16 09:00:00,2026-11-16,eur,-25.00,15.00,-40.00,dispute,dp_3,ch_1,pi_1,,,,fraudulent,",
    "txn_4,2026-11-16 10:00:00,2026-11-16,jpy,500,20,480,charge,ch_4,ch_4,pi_4,,,,,",
)
DASHBOARD = (
    "id,Type,Source,Amount,Fee,Net,Currency,Created (UTC),Available On (UTC),Description,Transfer\n"
    "txn_1,charge,ch_1,25.00,0.95,24.05,eur,2026-11-15 10:11,2026-11-18 00:00,Top up,po_1\n"
    "txn_2,payout,po_1,-24.05,0.00,-24.05,eur,2026-11-18 00:00,2026-11-18 00:00,STRIPE PAYOUT,\n"
)


def report(*rows: str) -> bytes:
    return "\n".join((HEADER, *rows, "")).encode()


def read(content: bytes, *, waived: bool = False, **settings: str) -> WholeDelivery:
    waivers = frozenset({"control_total"} if waived else set())
    options = dataclasses.replace(OPTIONS, settings=settings, waived=waivers)
    return read_whole(stripe_balance, io.BytesIO(content), options)


def refusal(content: bytes, **settings: str) -> RefusedFile:
    with pytest.raises(RefusedFile) as caught:
        read(content, **settings)
    return caught.value


def test_a_row_is_booked_on_the_day_it_was_made_with_all_that_it_says() -> None:
    charge, refund, dispute, yen = read(report(*ROWS)).lines.to_pylist()
    assert (charge["amount_minor"], charge["fee_minor"], charge["kind"]) == (2405, 95, "charge")
    assert (charge["booking_date"], charge["value_date"]) == (date(2026, 11, 15), date(2026, 11, 18))
    assert charge["event_at"] == datetime(2026, 11, 15, 23, 11, 12, tzinfo=UTC)
    assert charge["fees"] == '[{"amount_minor":95,"asset":"EUR","included":true,"type":"processing"}]'
    assert charge["other_refs"] == '{"customer":"cus_1","invoice":"INV-1","transaction":"pi_1"}'
    assert (charge["counterparty"], charge["text"], charge["ref_merchant"]) == (
        "Ada Quill",
        "Top up",
        "INV-1",
    )
    assert refund["other_refs"] == '{"original":"ch_1","transaction":"pi_1"}'
    assert (dispute["reason_code"], dispute["fees"]) == (
        "fraudulent",
        '[{"amount_minor":1500,"asset":"EUR","included":true,"type":"chargeback"}]',
    )
    assert (yen["amount_minor"], yen["asset"], yen["statement_no"]) == (480, "JPY", 1)


def test_each_currency_is_a_statement_with_its_proof_and_what_cannot_be_proved_is_said() -> None:
    parsed = read(report(*ROWS)).parsed
    euro, yen = parsed.statements
    assert (euro.statement_ref, euro.movement_minor, euro.line_count) == ("2026-11-16:EUR:activity", -2595, 3)
    assert (euro.from_date, euro.to_date) == (date(2026, 11, 15), date(2026, 11, 16))
    assert euro.proofs == ("net = gross - fee in 3 rows",)
    assert (yen.movement_minor, parsed.ids_may_repeat) == (480, False)
    assert "may be missing" in parsed.notes[0]


def test_every_row_stays_addressable_in_the_file() -> None:
    content = report(*ROWS)
    for line in read(content).lines.to_pylist():
        raw = content[line["byte_offset"] : line["byte_offset"] + line["byte_length"]]
        assert raw.decode() == ROWS[line["record_no"] - 2]


def test_the_dashboards_export_is_read_by_its_own_names() -> None:
    delivery = read(DASHBOARD.encode())
    charge, payout = delivery.lines.to_pylist()
    assert (charge["native_id"], charge["amount_minor"], charge["batch_ref"]) == ("txn_1", 2405, "po_1")
    assert (payout["kind"], payout["ref_payout"], payout["amount_minor"]) == ("payout", "po_1", -2405)
    assert charge["event_at"] == datetime(2026, 11, 15, 10, 11, tzinfo=UTC)
    assert delivery.parsed.format_version == "dashboard"
    assert registry.recognise(DASHBOARD.encode()) == "stripe.balance_activity"


def test_a_net_that_does_not_prove_is_refused_or_waived_with_the_figures() -> None:
    wrong = report(ROWS[0].replace("24.05", "24.06"))
    assert refusal(wrong).code == "control_total"
    assert refusal(wrong).place == "row 2 (txn_1), net"
    statement = read(wrong, waived=True).parsed.statements[0]
    assert statement.proofs == ()
    assert statement.flags == (
        "waived: control_total: row 2 (txn_1), net: expected 24.05 EUR, the gross 25.00 less the fee 0.95, found 24.06",
    )


def test_the_list_of_payments_is_another_format() -> None:
    payments = b"id,created,amount,amount_refunded,currency,fee\nch_1,2026-11-15,25.00,0.00,eur,0.95\n"
    wrong = refusal(payments)
    assert (wrong.code, wrong.place) == ("not_this_format", "header row")
    assert "payout reconciliation" in wrong.remedy


@pytest.mark.parametrize(
    ("old", "new", "code", "place"),
    [
        ("24.05", "1E3", "amount", "row 2, net"),
        ("25.00,0.95", "9" * 200_000 + ",0.95", "limit", "row 2, which begins in line 2"),
        ("25.00,0.95", "9" * 4_000 + ",0.95", "amount", "row 2, gross"),
        ("eur,25.00", "eux,25.00", "currency", "row 2, currency"),
        ("eur,25.00", "usd,-25.00", "control_total", "row 2 (txn_1), net"),
        ("eur,25.00", "jpy,25.00", "amount", "row 2, fee"),
        ("2026-11-15 23", "2026-13-15 23", "date", "row 2, created_utc"),
        ("Top up", '"Top up', "structure", "row 2, which begins in line 2"),
        ("Top up", "Top\0up", "unsafe", "line 2"),
        ("INV-1,", "", "structure", "row 2"),
        ("Ada Quill\n", "Ada\xe9Quill\n", "structure", "byte 300"),
    ],
)
def test_a_damaged_row_is_refused_at_its_place(old: str, new: str, code: str, place: str) -> None:
    content = report(*ROWS).decode().replace(old, new, 1).encode("latin-1")
    wrong = refusal(content)
    assert (wrong.code, wrong.place) == (code, place)
    assert len(str(wrong)) < 500


def test_a_file_cut_inside_a_row_is_refused_everywhere() -> None:
    content = report(*ROWS)
    ends = {place + 1 for place, byte in enumerate(content) if byte == 10}
    for size in range(len(content)):
        if size not in ends:
            assert refusal(content[:size]).code in {
                "truncated",
                "structure",
                "date",
                "amount",
                "control_total",
            }


def test_card_numbers_and_verification_codes_do_not_pass() -> None:
    (line,) = read(report(ROWS[0].replace("Top up", "card 4111111111111111"))).lines.to_pylist()
    assert line["text"] == "card 411111******1111"
    wrong = refusal(report(ROWS[0].replace("txn_1", "").replace("25.00", "4111111111111111.5")))
    assert "4111111111111111" not in str(wrong)


def test_settings_that_are_not_known_are_an_error_of_the_configuration() -> None:
    with pytest.raises(SourcesError, match="payout_rows is not known"):
        read(report(*ROWS), payout_rows="required")


def test_line_ends_and_byte_order_marks_change_nothing() -> None:
    plain = read(report(*ROWS)).lines.drop_columns(["byte_offset"])
    for variant in (
        b"\xef\xbb\xbf" + report(*ROWS),
        report(*ROWS).replace(b"\n", b"\r\n"),
        report(*ROWS).replace(b"\n", b"\r"),
    ):
        assert read(variant).lines.drop_columns(["byte_offset"]).equals(plain)


@given(st.integers(0, len(report(*ROWS)) - 1), st.binary(min_size=0, max_size=3))
def test_any_edit_gives_a_delivery_or_a_refusal(place: int, edit: bytes) -> None:
    content = report(*ROWS)
    for attempt in (content[:place] + edit + content[place + 1 :], edit * 10, edit + content[place:]):
        with contextlib.suppress(RefusedFile):
            read(attempt)


def test_a_large_report_comes_in_several_batches() -> None:
    rows = [f"txn_{number},{ROWS[0].partition(',')[2]}" for number in range(25_000)]
    batches: list[int] = []
    parsed = stripe_balance.read(
        io.BytesIO(report(*rows)), OPTIONS, lambda batch: batches.append(batch.num_rows)
    )
    assert sum(batches) == 25_000
    assert len(batches) > 1
    assert parsed.statements[0].movement_minor == 25_000 * 2405


def test_public_reports_agree_with_a_plain_reading(corpora: Path) -> None:
    read_whole_ones = 0
    for path in sorted((corpora / "psp_stripe").rglob("*.csv")):
        content = path.read_bytes()
        if path.name.startswith("stripe-"):
            assert refusal(content).code == "not_this_format"
            continue
        with path.open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        if any(Decimal(row["gross"]) - Decimal(row["fee"]) != Decimal(row["net"]) for row in rows):
            assert refusal(content).code == "control_total"
        delivery = read(content, waived=True)
        assert delivery.lines.num_rows == len(rows)
        total = sum(Decimal(row["net"]) for row in rows)
        assert sum(one.movement_minor for one in delivery.parsed.statements) == total * 100
        read_whole_ones += 1
    assert read_whole_ones == 7
