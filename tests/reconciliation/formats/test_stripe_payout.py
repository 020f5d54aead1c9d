"""Stripe's itemised payout report: every row and every payout is proved, nothing is guessed."""

import contextlib
import csv
import dataclasses
import io
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.errors import RefusedFile, SourcesError
from reconciliation.formats import registry, stripe_payout
from reconciliation.formats.canonical import ReadOptions, Statement, WholeDelivery, read_whole
from tests.reconciliation.formats.camt_builder import OPTIONS, document, statement

COLUMNS = (
    "balance_transaction_id", "source_id", "created", "available_on", "automatic_payout_effective_at", "currency",
    "gross", "fee", "net", "reporting_category", "description", "gateway_account", "automatic_payout_id",
    "payment_metadata[order_id]", "customer_facing_amount", "customer_facing_currency",
)  # fmt: skip


def row(identification: str, net: str, *, gross: str = "", fee: str = "0", **others: str) -> dict[str, str]:
    values = {
        "balance_transaction_id": f"txn_{identification}",
        "source_id": f"ch_{identification}",
        "created": "2026-11-15 10:11:12",
        "available_on": "2026-11-16 00:00:00",
        "automatic_payout_effective_at": "2026-11-17 00:00:00",
        "currency": "eur",
        "gross": gross or net,
        "fee": fee,
        "net": net,
        "reporting_category": "charge",
        "gateway_account": "acct_1",
        "automatic_payout_id": "po_1",
        "payment_metadata[order_id]": f"ORD-{identification}",
    }
    return values | others


def payout(net: str, identification: str = "po_1", **others: str) -> dict[str, str]:
    return row(
        f"p{identification}",
        net,
        reporting_category="payout",
        source_id=identification,
        automatic_payout_id=identification,
        **others,
    )


ROWS = [
    row("1", "24.05", gross="25.00", fee="0.95"),
    row("2", "-10.00", reporting_category="refund", source_id="re_2"),
    row("3", "-45.00", gross="-30.00", fee="15.00", reporting_category="dispute", source_id="dp_3"),
    row("4", "-0.5", reporting_category="fee", source_id=""),
    row("5", "100", currency="jpy", automatic_payout_id="po_2"),
    payout("31.45"),
    payout("-100", "po_2", currency="jpy"),
]


def report(rows: list[dict[str, str]], *, columns: tuple[str, ...] = COLUMNS) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def read(content: bytes, **settings: str) -> WholeDelivery:
    return read_whole(stripe_payout, io.BytesIO(content), dataclasses.replace(OPTIONS, settings=settings))


def refusal(content: bytes, **settings: str) -> RefusedFile:
    with pytest.raises(RefusedFile) as caught:
        read(content, **settings)
    return caught.value


def test_a_report_is_read_with_every_payout_proved() -> None:
    delivery = read(report(ROWS))
    euro, yen = delivery.parsed.statements
    assert (euro.statement_ref, euro.account) == ("acct_1:2026-11-17:EUR:po_1", "acct_1")
    assert euro.movement_minor == 0
    assert (euro.opening_minor, euro.closing_minor, euro.sequence_no) == (None, None, None)
    assert euro.proofs == (
        "net = gross - fee in 5 rows",
        "payout po_1: 4 rows of -31.45 EUR + payout 31.45 = 0",
    )
    assert (yen.asset, yen.line_count, yen.from_date) == ("JPY", 2, date(2026, 11, 17))
    assert delivery.parsed.notes == ()


def test_two_reports_of_a_day_are_one_statement_only_if_they_tell_of_the_same_payouts() -> None:
    def name(*payouts: str) -> str:
        rows = [
            row(f"t{place}", "10", automatic_payout_id=payout_id) for place, payout_id in enumerate(payouts)
        ]
        return read(report(rows)).parsed.statements[0].statement_ref

    assert name("po_1", "po_2") == name("po_2", "po_1", "po_1")
    assert len({name("po_1"), name("po_2"), name("po_1", "po_2")}) == 3


def test_a_row_becomes_a_line_with_its_fee_and_references() -> None:
    charge, refund, dispute, fee, yen, paid, _ = read(report(ROWS)).lines.to_pylist()
    assert (charge["amount_minor"], charge["fee_minor"], charge["kind"]) == (2405, 95, "charge")
    assert (charge["native_id"], charge["ref_psp"], charge["ref_merchant"]) == ("txn_1", "ch_1", "ORD-1")
    assert (charge["batch_ref"], charge["ref_payout"], charge["record_no"]) == ("po_1", None, 2)
    assert (charge["booking_date"], charge["value_date"]) == (date(2026, 11, 17), date(2026, 11, 16))
    assert charge["event_at"] == datetime(2026, 11, 15, 10, 11, 12, tzinfo=UTC)
    assert (dispute["amount_minor"], dispute["fee_minor"], dispute["kind"]) == (-4500, 1500, "chargeback")
    assert [refund["kind"], fee["kind"], yen["amount_minor"]] == ["refund", "fee", 100]
    assert (paid["ref_payout"], paid["ref_psp"], paid["batch_ref"], paid["kind"]) == (
        "po_1",
        None,
        None,
        "payout",
    )


def test_a_net_that_is_not_gross_less_fee_is_refused() -> None:
    wrong = refusal(report([row("1", "24.06", gross="25.00", fee="0.95")]))
    assert (wrong.code, wrong.place) == ("control_total", "row 2 (txn_1), net")
    assert wrong.expected == "24.05 EUR, the gross 25.00 less the fee 0.95"


def test_a_payout_that_is_not_the_sum_of_its_rows_is_refused_with_the_figures() -> None:
    wrong = refusal(report([*ROWS[:5], payout("31.40"), ROWS[6]]))
    assert (wrong.code, wrong.place) == ("control_total", "payout po_1 (row 7)")
    assert wrong.expected == "31.45 EUR, against its 4 rows of -31.45 EUR"
    assert wrong.found == "31.40 EUR, which leaves -0.05: a difference of -0.05 EUR"


def test_a_payout_outside_the_file_proves_nothing_and_may_be_demanded() -> None:
    assert "prove nothing" in read(report(ROWS[:4])).parsed.notes[0]
    assert refusal(report(ROWS[:4]), payout_rows="required").code == "truncated"


def test_a_payout_made_by_hand_has_no_members_to_prove() -> None:
    by_hand = payout("-5.00", "po_9") | {"automatic_payout_id": ""}
    delivery = read(report([*ROWS, by_hand]))
    assert delivery.parsed.notes == ("payout po_9: made by hand, nothing says what it consists of",)
    assert delivery.lines["ref_payout"].to_pylist()[-1] == "po_9"


def test_a_payout_that_came_back_does_not_disturb_its_own_proof() -> None:
    back = payout("-31.45") | {"balance_transaction_id": "txn_back", "reporting_category": "payout_reversal"}
    delivery = read(report([*ROWS, back]))
    assert "came back" in delivery.parsed.notes[0]
    assert delivery.lines["reversal"].to_pylist()[-1]


def test_an_id_names_one_balance_transaction_so_that_intake_refuses_a_repeated_one() -> None:
    assert not read(report(ROWS)).parsed.ids_may_repeat


def test_columns_are_found_by_name_and_the_undocumented_ones_are_noted() -> None:
    columns = (*reversed(COLUMNS), "refund_metadata[x]", "customer_email", "card_brand", "mystery")
    delivery = read(report(ROWS, columns=columns))
    assert told(delivery) == told(read(report(ROWS)))
    assert delivery.parsed.notes == ("columns that are not documented, not read: mystery",)
    assert "none called net" in str(refusal(report(ROWS, columns=tuple(set(COLUMNS) - {"net"}))))
    assert "twice" in str(refusal(report(ROWS, columns=(*COLUMNS, "fee"))))


def test_the_merchants_reference_is_read_from_the_column_that_the_source_names() -> None:
    columns = (*COLUMNS, "payment_metadata[ours]")
    content = report([ROWS[0] | {"payment_metadata[ours]": "X-1"}], columns=columns)
    named = read(content, merchant_reference_column="payment_metadata[ours]")
    assert named.lines["ref_merchant"].to_pylist() == ["X-1"]
    assert "no such column" in str(refusal(report(ROWS), merchant_reference_column="payment_metadata[ours]"))


def test_a_local_time_is_read_in_the_zone_of_the_report() -> None:
    delivery = read(report(ROWS), time_zone="Asia/Tokyo")
    assert delivery.lines["event_at"].to_pylist()[0] == datetime(2026, 11, 15, 1, 11, 12, tzinfo=UTC)
    assert delivery.lines["booking_date"].to_pylist()[0] == date(2026, 11, 17)


def test_what_the_customer_saw_in_another_currency_is_kept() -> None:
    seen = ROWS[0] | {"customer_facing_amount": "4000", "customer_facing_currency": "jpy"}
    (line,) = read(report([seen])).lines.to_pylist()
    assert (line["original_amount_minor"], line["original_asset"]) == (4000, "JPY")


def test_a_category_nobody_knows_is_an_adjustment_and_noted() -> None:
    delivery = read(report([row("1", "1", reporting_category="moon_tax")]))
    assert delivery.lines["kind"].to_pylist() == ["adjustment"]
    assert "moon_tax" in delivery.parsed.notes[1]


@pytest.mark.parametrize(
    "amount", ["1E+2000000", "NaN", "١٢", "1_000", "12.345", "1,5", "+1", "", "(1)", " 1", "9" * 5000]
)
def test_an_amount_that_is_not_plain_digits_is_refused(amount: str) -> None:
    wrong = refusal(report([ROWS[0] | {"gross": amount}]))
    assert (wrong.code, wrong.place) == ("amount", "row 2, gross")
    assert len(str(wrong)) < 400


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"currency": "zzz"}, "currency"),
        ({"currency": "€"}, "currency"),
        ({"automatic_payout_effective_at": "17/11/2026"}, "date"),
        ({"created": "2026-11-15 25:00:00"}, "date"),
        ({"automatic_payout_effective_at": "", "created": ""}, "date"),
        ({"balance_transaction_id": " "}, "structure"),
        ({"description": "x" * 20_001}, "limit"),
    ],
)
def test_a_row_that_cannot_be_understood_is_refused(change: dict[str, str], code: str) -> None:
    wrong = refusal(report([ROWS[0] | change]))
    assert wrong.code == code
    assert wrong.place.startswith("row 2")


def test_damaged_files_are_refused() -> None:
    good = report(ROWS)
    assert refusal(good.replace(b"ORD-1", b"OR\0-1")).code == "unsafe"
    assert refusal(good.replace(b"ORD-1", b"OR\xff-1")).code == "structure"
    assert refusal(good.replace(b"ORD-1", b'"ORD-1')).code == "structure"
    assert refusal(good.replace(b"ORD-1", b"ORD-1,x")).found == "17"
    assert refusal(good.rstrip(b"\n")).code == "truncated"
    assert refusal(b"").code == "truncated"
    assert refusal(b"x" * (1 + (1 << 20)) + b"\n" + good).code == "limit"
    with pytest.raises(RefusedFile, match="at most 99 bytes"):
        read_whole(stripe_payout, io.BytesIO(good), dataclasses.replace(OPTIONS, bytes_max=99))


def test_byte_order_marks_and_line_ends_change_nothing() -> None:
    plain = read(report(ROWS))
    for variant in (
        b"\xef\xbb\xbf" + report(ROWS),
        report(ROWS).replace(b"\n", b"\r\n"),
        report(ROWS).replace(b"\n", b"\r"),
    ):
        assert told(read(variant)) == told(plain)


def told(delivery: WholeDelivery, *others: str) -> list[dict[str, object]]:
    lines = delivery.lines.drop_columns(["byte_offset", "byte_length", *others])
    return list(lines.to_pylist())


def test_card_numbers_in_descriptions_are_truncated() -> None:
    (line,) = read(report([ROWS[0] | {"description": "card 5555 5555 5555 4444"}])).lines.to_pylist()
    assert line["text"] == "card 5555 55** **** 4444"


def test_settings_that_are_not_known_are_an_error_of_the_configuration() -> None:
    with pytest.raises(SourcesError, match="did you mean time_zone") as caught:
        read(report(ROWS), timezone="UTC", payout_rows="maybe")
    assert len(caught.value.problems) == 2
    with pytest.raises(SourcesError, match="not a time zone"):
        read(report(ROWS), time_zone="Mars/Olympus")


@given(st.permutations(ROWS))
def test_the_order_of_rows_changes_nothing_but_their_numbers(rows: list[dict[str, str]]) -> None:
    shuffled, plain = read(report(rows)), read(report(ROWS))
    assert by_asset(shuffled) == by_asset(plain)
    assert content_of(shuffled) == content_of(plain)


def by_asset(delivery: WholeDelivery) -> dict[str, Statement]:
    return {one.asset: one for one in delivery.parsed.statements}


def content_of(delivery: WholeDelivery) -> list[str]:
    return sorted(str(line) for line in told(delivery, "record_no", "statement_no"))


@given(st.integers(min_value=0, max_value=len(report(ROWS)) - 1))
def test_a_report_with_its_payouts_cut_anywhere_is_refused_or_lacks_whole_payouts(size: int) -> None:
    content = report([*ROWS[4:5], *ROWS[:4], ROWS[5], ROWS[6]])
    try:
        delivery = read(content[:size], payout_rows="required")
    except RefusedFile:
        return
    assert delivery.lines.num_rows == 0


@given(st.binary(max_size=300))
def test_arbitrary_bytes_never_break_the_reader(content: bytes) -> None:
    for attempt in (content, report(ROWS[:1]) + content + b"\n"):
        with contextlib.suppress(RefusedFile):
            read(attempt)


def test_public_reports_are_read_or_refused_for_what_is_wrong_with_them(corpora: Path) -> None:
    outcomes: dict[str, int | str] = {}
    for path in sorted((corpora / "psp_stripe").rglob("*.csv")):
        with path.open("rb") as stream:
            try:
                delivery = read_whole(stripe_payout, stream, OPTIONS)
                outcomes["/".join(path.parts[-3:])] = delivery.lines.num_rows
            except RefusedFile as wrong:
                outcomes["/".join(path.parts[-3:])] = wrong.code
    assert outcomes == {
        "data/test/stripe-all.csv": "not_this_format",  # payment lists, not balance transactions
        "data/test/stripe-default.csv": "not_this_format",
        "Tests/Data/payments_activity.csv": 2,
        "Tests/Data/settlement_report.csv": "control_total",  # its payout row: 24 - 0 is not 23.05
        "Tests/Data/settlement_report_giving_basket.csv": 2,
        "Tests/Data/settlement_report_with_customer_data.csv": 3,
        "stripe/incoming/payments_activity.csv": 2,
        "stripe/incoming/settlement_report.csv": "control_total",
        "stripe/incoming/settlement_report_giving_basket.csv": 2,
    }


def test_a_file_is_recognised_by_its_first_bytes() -> None:
    statement_file = document(statement(balances=""))
    assert registry.recognise(report(ROWS)) == "stripe.payout_reconciliation"
    assert registry.recognise(statement_file.encode()) == "camt.053"
    assert registry.recognise(statement_file.encode("utf-16")) == "camt.053"
    assert registry.recognise(b"date,amount\n") is None
    assert registry.recognise(b"") is None


def test_every_registered_format_offers_what_a_format_must() -> None:
    assert {"camt.053", "stripe.payout_reconciliation", "mastercard.ipm"} <= registry.FORMATS.keys()
    for module in registry.FORMATS.values():
        with pytest.raises((RefusedFile, SourcesError)):
            read_whole(
                module, io.BytesIO(b"nothing of the kind"), ReadOptions(card_tokens=OPTIONS.card_tokens)
            )


def test_every_field_that_the_report_offers_is_kept() -> None:
    columns = (
        *COLUMNS,
        "charge_id",
        "payment_intent_id",
        "invoice_number",
        "customer_id",
        "trace_id",
        "dispute_reason",
    )
    disputed = ROWS[2] | {
        "charge_id": "ch_1",
        "payment_intent_id": "pi_1",
        "invoice_number": "INV-1",
        "customer_id": "cus_1",
        "trace_id": "TRACE1",
        "dispute_reason": "fraudulent",
    }
    content = report([disputed], columns=columns)
    (line,) = read(content).lines.to_pylist()
    assert line["fees"] == '[{"amount_minor":1500,"asset":"EUR","included":true,"type":"chargeback"}]'
    assert (
        line["other_refs"] == '{"customer":"cus_1","invoice":"INV-1","original":"ch_1","transaction":"pi_1"}'
    )
    assert (line["ref_servicer"], line["reason_code"], line["type_code"]) == (
        "TRACE1",
        "fraudulent",
        "dispute",
    )
    assert (line["settlement_date"], line["status"]) == (date(2026, 11, 17), "booked")
    raw = content[line["byte_offset"] : line["byte_offset"] + line["byte_length"]]
    assert raw == content.splitlines()[1]


def test_a_payout_that_does_not_prove_may_be_waived_with_its_figures() -> None:
    wrong = report([*ROWS[:5], payout("314.50"), ROWS[6]])
    options = dataclasses.replace(OPTIONS, waived=frozenset({"control_total"}))
    euro, yen = read_whole(stripe_payout, io.BytesIO(wrong), options).parsed.statements
    assert euro.flags[0].startswith("waived: control_total: payout po_1 (row 7): expected 31.45 EUR")
    assert euro.flags[0].endswith("it is 10 times what was expected, which points to wrong minor digits")
    assert (euro.proofs, yen.flags) == (("net = gross - fee in 5 rows",), ())


def test_many_payouts_are_proved_each_and_told_in_short() -> None:
    rows = [
        one
        for number in range(150)
        for one in (row(f"c{number}", "1", automatic_payout_id=f"po_{number}"), payout("-1", f"po_{number}"))
    ]
    (statement,) = read(report(rows)).parsed.statements
    assert len(statement.proofs) == 102
    assert statement.proofs[-1] == "50 more payouts, each with its rows = 0"


def test_a_large_report_comes_in_several_batches() -> None:
    rows = [row(str(number), "1.00") for number in range(25_000)]
    batches: list[int] = []
    content = report([*rows, payout("-25000.00")])
    parsed = stripe_payout.read(io.BytesIO(content), OPTIONS, lambda batch: batches.append(batch.num_rows))
    assert sum(batches) == 25_001
    assert len(batches) > 1
    assert parsed.statements[0].movement_minor == 0


def test_verification_codes_are_refused() -> None:
    wrong = refusal(report([ROWS[0] | {"description": "CVV2: 123"}]))
    assert wrong.code == "sensitive_data"
    assert "123" not in str(wrong)


@given(st.integers(0, len(report(ROWS)) - 1), st.binary(max_size=3))
def test_any_edit_gives_a_delivery_or_a_refusal(place: int, edit: bytes) -> None:
    content = report(ROWS)
    with contextlib.suppress(RefusedFile):
        read(content[:place] + edit + content[place + 1 :])


@given(st.integers(0, len(report(ROWS)) - 1))
def test_an_amount_or_a_row_that_changes_is_noticed(place: int) -> None:
    """Whatever digit of an amount changes, the file is refused; so is one without any of its rows."""
    lines = report(ROWS).decode().splitlines(keepends=True)
    number = 1 + place % len(ROWS)
    dropped = "".join(lines[:number] + lines[number + 1 :]).encode()
    assert refusal(dropped, payout_rows="required").code in {"control_total", "truncated"}
    fields = lines[number].split(",")
    for index in (6, 7, 8):
        changed = [*fields[:index], "9" + fields[index].lstrip("-"), *fields[index + 1 :]]
        assert refusal("".join([*lines[:number], ",".join(changed), *lines[number + 1 :]]).encode())
