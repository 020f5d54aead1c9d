"""Checkout.com's settlement breakdown: exact to the last fraction, and every row proved."""

import contextlib
import csv
import dataclasses
import io
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.errors import RefusedFile, SourcesError
from reconciliation.formats import checkoutcom_settlement, registry
from reconciliation.formats.canonical import WholeDelivery, read_whole
from tests.reconciliation.formats.camt_builder import OPTIONS

COLUMNS = (
    "Client Entity ID", "Client Entity Name", "Type", "Payment ID", "Reference", "Processed On", "Available On",
    "Holding Currency", "Payout ID", "Payout Date", "Gross In Holding Currency", "Deduction In Holding Currency",
    "Net In Holding Currency", "Processing Fee In Holding Currency", "Scheme Fee In Holding Currency",
    "Interchange In Holding Currency", "Tax In Holding Currency", "Reserve In Holding Currency", "Processing Currency",
    "Gross In Processing Currency", "FX Rate Applied", "Payment Method", "Acquirer Reference Number", "Action ID",
    "Processed On UTC",
)  # fmt: skip


def row(number: int, gross: str, deduction: str, net: str, **others: str) -> dict[str, str]:
    values = {
        "Client Entity ID": "ent_quill",
        "Type": "Charge",
        "Payment ID": f"pay_{number}",
        "Reference": f"ORD-{number}",
        "Processed On": "2026-11-15T10:00:00.000",
        "Available On": "2026-11-16T00:00:00.000",
        "Holding Currency": "USD",
        "Payout ID": "0000K5",
        "Payout Date": "2026-11-17",
        "Gross In Holding Currency": gross,
        "Deduction In Holding Currency": deduction,
        "Net In Holding Currency": net,
        "Processing Fee In Holding Currency": deduction,
        "Scheme Fee In Holding Currency": "0",
        "Interchange In Holding Currency": "0",
        "Tax In Holding Currency": "0",
        "Reserve In Holding Currency": "0",
        "Processing Currency": "USD",
        "Gross In Processing Currency": gross,
        "FX Rate Applied": "1",
        "Action ID": f"act_{number}",
        "Processed On UTC": "2026-11-15T18:00:00.000",
    }
    return values | {name.replace("_", " "): value for name, value in others.items()}


CHARGE = row(
    1,
    "50",
    "-1.5",
    "48.5",
    **{
        "Processing Fee In Holding Currency": "-0.9",
        "Scheme Fee In Holding Currency": "-0.4",
        "Tax In Holding Currency": "-0.1",
        "Reserve In Holding Currency": "-0.1",
        "Acquirer Reference Number": "74537604221431003881865",
    },
)
REFUND = row(2, "-10", "0", "-10", Type="Refund")
FOREIGN = row(
    3, "10.87", "0", "10.87",
    **{"Processing Currency": "EUR", "Gross In Processing Currency": "10", "FX Rate Applied": "1.0867"},
)  # fmt: skip
FEE = row(4, "0", "-2", "-2", Type="Merchant Payout")
ROWS = [CHARGE, REFUND, FOREIGN, FEE]


def report(rows: list[dict[str, str]], *, columns: tuple[str, ...] = COLUMNS) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def read(content: bytes, *, waived: bool = False, **settings: str) -> WholeDelivery:
    waivers = frozenset({"control_total"} if waived else set())
    options = dataclasses.replace(OPTIONS, settings=settings, waived=waivers)
    return read_whole(checkoutcom_settlement, io.BytesIO(content), options)


def refusal(content: bytes) -> RefusedFile:
    with pytest.raises(RefusedFile) as caught:
        read(content)
    return caught.value


def test_a_payout_is_a_statement_whose_rows_are_proved() -> None:
    parsed = read(report(ROWS)).parsed
    (statement,) = parsed.statements
    assert (statement.statement_ref, statement.account) == ("ent_quill:0000K5:USD", "ent_quill")
    assert (statement.movement_minor, statement.line_count) == (4737, 4)
    assert statement.proofs == ("gross + deduction = net in 4 rows, which sum to 47.37 USD",)
    assert "may be missing" in parsed.notes[0]


def test_a_row_becomes_a_line_with_its_fees_and_references() -> None:
    charge, refund, foreign, fee = read(report(ROWS)).lines.to_pylist()
    assert (charge["amount_minor"], charge["fee_minor"], charge["kind"]) == (4850, 150, "charge")
    assert [(one["type"], one["amount_minor"]) for one in json.loads(charge["fees"])] == [
        ("processing", 90),
        ("scheme", 40),
        ("tax", 10),
        ("other", 10),
    ]
    assert (charge["ref_psp"], charge["ref_merchant"], charge["native_id"]) == ("pay_1", "ORD-1", "act_1")
    assert (charge["batch_ref"], charge["ref_arn"]) == ("0000K5", "74537604221431003881865")
    assert (charge["booking_date"], charge["value_date"], charge["settlement_date"]) == (
        date(2026, 11, 15),
        date(2026, 11, 16),
        date(2026, 11, 17),
    )
    assert charge["event_at"] == datetime(2026, 11, 15, 18, tzinfo=UTC)
    assert (refund["amount_minor"], refund["kind"], refund["fees"]) == (-1000, "refund", None)
    assert (foreign["original_amount_minor"], foreign["original_asset"]) == (1000, "EUR")
    assert (foreign["fx_rate"], foreign["fx_numerator"], foreign["fx_denominator"]) == (
        "1.0867",
        10867,
        10000,
    )
    assert (fee["amount_minor"], fee["fee_minor"], fee["kind"], fee["ref_payout"]) == (-200, 0, "fee", None)


@pytest.mark.parametrize(
    ("rate", "fraction"),
    [("0.92022", (100000, 92022)), ("1.0867", (10867, 10000)), ("3", (None, None)), ("", (None, None))],
)
def test_a_rate_is_a_fraction_only_in_the_direction_that_the_amounts_show(
    rate: str, fraction: tuple[int | None, int | None]
) -> None:
    line = read(report([FOREIGN | {"FX Rate Applied": rate}])).lines.to_pylist()[0]
    assert (line["fx_numerator"], line["fx_denominator"]) == fraction


def test_fractions_of_minor_units_are_rounded_row_by_row_and_kept_in_the_sum() -> None:
    rows = [row(number, "1", "-0.00400001", "0.99599999") for number in range(10)]
    delivery = read(report(rows))
    lines = delivery.lines.to_pylist()
    assert [line["amount_minor"] for line in lines] == [100] * 10 + [-4]
    assert (lines[-1]["kind"], lines[-1]["type_code"], lines[-1]["record_no"]) == (
        "adjustment",
        "rounding",
        12,
    )
    (statement,) = delivery.parsed.statements
    assert (statement.movement_minor, statement.line_count) == (996, 11)
    assert "which sum to 9.9599999 USD" in statement.proofs[0]
    assert any("leave -0.04" in note for note in delivery.parsed.notes)


@given(st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=8), st.permutations(range(8)))
def test_a_statement_moves_by_the_exact_sum_whatever_the_order_of_rows(
    fines: list[int], order: list[int]
) -> None:
    def told(places: list[int]) -> tuple[list[int], int]:
        texts = [f"{Decimal(fines[place]) / 10**8:.8f}" for place in places]
        delivery = read(
            report([row(place, text, "0", text) for place, text in zip(places, texts, strict=True)])
        )
        return sorted(delivery.lines["amount_minor"].to_pylist()), delivery.parsed.statements[
            0
        ].movement_minor

    amounts, movement_minor = told(list(range(len(fines))))
    assert abs(Decimal(sum(fines)) / 10**6 - movement_minor) <= Decimal("0.5")
    assert sum(amounts) == movement_minor
    assert told([place for place in order if place < len(fines)]) == (amounts, movement_minor)


def test_payouts_and_currencies_are_statements_of_their_own() -> None:
    rows = [CHARGE, CHARGE | {"Payout ID": "0000K6"}]
    yen = row(
        9, "500", "-15", "485", **{"Holding Currency": "JPY", "Processing Currency": "JPY", "Payout ID": ""}
    )
    parsed = read(report([*rows, yen])).parsed
    assert [one.statement_ref for one in parsed.statements] == [
        "ent_quill:0000K5:USD",
        "ent_quill:0000K6:USD",
        "ent_quill:2026-11-15:JPY",
    ]


def test_a_net_that_does_not_prove_is_refused_or_waived() -> None:
    wrong = report([CHARGE | {"Net In Holding Currency": "48.50000001"}, REFUND])
    refused = refusal(wrong)
    assert (refused.code, refused.place) == ("control_total", "row 2, Net In Holding Currency")
    assert refused.expected == "the gross 50 and the deduction -1.5 in USD"
    statement = read(wrong, waived=True).parsed.statements[0]
    assert (statement.proofs, len(statement.flags)) == ((), 1)


@pytest.mark.parametrize(
    ("change", "code", "place"),
    [
        ({"Net In Holding Currency": "1E3"}, "amount", "row 2, Net In Holding Currency"),
        ({"Net In Holding Currency": "48.123456789"}, "amount", "row 2, Net In Holding Currency"),
        ({"Net In Holding Currency": ""}, "amount", "row 2, Net In Holding Currency"),
        ({"Net In Holding Currency": "9" * 5_000}, "amount", "row 2, Net In Holding Currency"),
        ({"Net In Holding Currency": "9" * 18}, "amount", "row 2, Net In Holding Currency"),
        ({"Net In Holding Currency": "-48.5"}, "control_total", "row 2, Net In Holding Currency"),
        ({"Holding Currency": "XXZ"}, "currency", "row 2, Holding Currency"),
        ({"Processing Currency": "XXZ"}, "currency", "row 2, Processing Currency"),
        (
            {"Processing Currency": "JPY", "Gross In Processing Currency": "0.5"},
            "amount",
            "row 2, Gross In Processing",
        ),
        ({"Processed On": "2026-11-31"}, "date", "row 2, Processed On"),
        ({"Processed On": ""}, "date", "row 2, Processed On"),
        ({"Available On": "soon"}, "date", "row 2, Available On"),
        ({"Client Entity ID": ""}, "structure", "row 2, Client Entity ID"),
    ],
)
def test_a_row_that_cannot_be_understood_is_refused_at_its_place(
    change: dict[str, str], code: str, place: str
) -> None:
    wrong = refusal(report([CHARGE | change, REFUND]))
    assert wrong.code == code
    assert wrong.place.startswith(place)


def test_damaged_files_and_other_reports_are_refused() -> None:
    good = report(ROWS)
    assert refusal(good.rstrip(b"\n")).code == "truncated"
    assert refusal(good.replace(b"ORD-1", b"OR\0-1")).code == "unsafe"
    assert refusal(good.replace(b"ORD-1", b'"ORD-1')).code == "structure"
    assert refusal(good.replace(b"ORD-1", b"OR\xff")).code == "structure"
    assert refusal(good.replace(b"ORD-1,", b"")).code == "structure"
    assert refusal(b"").code == "truncated"
    payouts = refusal(b"Client Entity ID,Payout ID,Payout Amount\n")
    assert (payouts.code, payouts.place) == ("not_this_format", "header row")


def test_line_ends_change_nothing_and_rows_stay_addressable() -> None:
    plain = read(report(ROWS)).lines.drop_columns(["byte_offset"])
    for variant in (report(ROWS).replace(b"\n", b"\r\n"), report(ROWS).replace(b"\n", b"\r")):
        assert read(variant).lines.drop_columns(["byte_offset"]).equals(plain)
    content = report(ROWS)
    for line in read(content).lines.to_pylist():
        raw = content[line["byte_offset"] : line["byte_offset"] + line["byte_length"]]
        assert raw == content.splitlines()[line["record_no"] - 1]


def test_the_clock_of_the_entity_may_be_named() -> None:
    local = report(ROWS, columns=COLUMNS[:-1])
    assert read(local).lines["event_at"].null_count == 4
    assert read(local, time_zone="America/Los_Angeles").lines["event_at"][0].as_py() == datetime(
        2026, 11, 15, 18, tzinfo=UTC
    )
    with pytest.raises(SourcesError, match="is not a time zone"):
        read(local, time_zone="Mars")


@given(st.integers(0, len(report(ROWS)) - 1), st.binary(max_size=3))
def test_any_edit_gives_a_delivery_or_a_refusal(place: int, edit: bytes) -> None:
    content = report(ROWS)
    for attempt in (content[:place] + edit + content[place + 1 :], edit * 20, edit + content[place:]):
        with contextlib.suppress(RefusedFile):
            read(attempt)


def test_a_large_report_comes_in_several_batches() -> None:
    content = report([row(number, "1", "-0.1", "0.9") for number in range(25_000)])
    batches: list[int] = []
    parsed = checkoutcom_settlement.read(
        io.BytesIO(content), OPTIONS, lambda batch: batches.append(batch.num_rows)
    )
    assert sum(batches) == 25_000
    assert len(batches) > 1
    assert parsed.statements[0].movement_minor == 25_000 * 90


def test_public_reports_agree_with_a_plain_reading(corpora: Path) -> None:
    paths = sorted((corpora / "psp_checkoutcom").rglob("*.csv"))
    assert len(paths) == 2
    for path in paths:
        with path.open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        delivery = read(path.read_bytes())
        nets = [Decimal(one["Net In Holding Currency"]) for one in rows]
        assert delivery.lines["amount_minor"].to_pylist() == [int(net * 100) for net in nets]
        assert delivery.parsed.statements[0].movement_minor == sum(nets) * 100


def test_a_report_is_recognised_by_its_header() -> None:
    assert registry.recognise(report(ROWS)) == "checkoutcom.settlement_breakdown"
