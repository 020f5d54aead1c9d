"""American Express settlement files: what each record means, what has to add up, what is refused and where."""

from dataclasses import replace
from datetime import date
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciliation.errors import RefusedFile, SourcesError
from reconciliation.formats import amex_eptrn, amex_grrcn
from reconciliation.formats.canonical import LINES_PER_BATCH, ReadOptions
from tests.reconciliation.formats.amex_builder import (
    CARD,
    OPTIONS,
    PAYMENT,
    Record,
    dispute,
    eptrn,
    eptrn_adjustment,
    eptrn_chargeback,
    eptrn_other,
    eptrn_submission,
    eptrn_summary,
    eptrn_transaction,
    framed,
    punched,
    read_eptrn,
    read_grrcn,
    rendered,
    submission,
    summary,
    transaction,
)

WAIVED = replace(OPTIONS, waived=frozenset({"balance", "control_total", "sequence"}))
ONE = framed(
    summary(gross=3000, fees=90, adjustment=-500),
    submission(gross=3000, fees=90, count=2),
    transaction(4000),
    transaction(-1000, own="ORDER-2"),
    dispute("CHARGEBACK", -700, reason="4512", words="Goods not received"),
    dispute("ADJUSTMENT", 200, words="Correction"),
)
FORMS = [
    ("fixed", "1.01"),
    (",", "1.01"),
    ("fixed", "2.01"),
    (",", "2.01"),
    ("\t", "3.01"),
    (",", "3.01"),
    ("fixed", "3.01"),
]


def refusal_of(content: str | bytes, options: ReadOptions = OPTIONS) -> RefusedFile:
    with pytest.raises(RefusedFile) as caught:
        read_grrcn(content, options)
    return caught.value


def amounts(records: list[Record], options: ReadOptions = OPTIONS) -> list[tuple[str, int, str]]:
    rows = read_grrcn(rendered(records), options).lines.to_pylist()
    return [(row["kind"], row["amount_minor"], row["status"]) for row in rows]


@pytest.mark.parametrize(("form", "version"), FORMS)
def test_a_payment_is_read_the_same_in_every_form_and_version(form: str, version: str) -> None:
    records = framed(*ONE[1:-1], version=version)
    content = rendered(records, form=form, version=version)
    whole = read_grrcn(content)
    rows = [
        {name: value for name, value in row.items() if value is not None} for row in whole.lines.to_pylist()
    ]
    booked = {
        "statement_no": 0,
        "status": "booked",
        "booking_date": date(2026, 11, 18),
        "settlement_date": date(2026, 11, 18),
        "asset": "USD",
        "fee_minor": 0,
        "reversal": False,
    }
    for row in rows:
        line = content.encode()[row.pop("byte_offset") :][: row.pop("byte_length")].decode()
        assert line == content.splitlines()[row["record_no"] - 1]
    part = booked | {"batch_ref": "P261118", "value_date": date(2026, 11, 16)}
    card = {"card_token": OPTIONS.card_tokens.token(CARD), "card_truncated": "378282*****0005"}
    charged = (
        part
        | card
        | {"type_code": "TRANSACTN", "native_id": "A" * 23, "ref_arn": "A" * 23, "ref_auth_code": "123456"}
    )
    refs = '{"invoice":"000054","merchant_id":"9000000001","scheme_transaction":"T26"}'
    disputed = part | card | {"ref_merchant": "ORDER-1"}
    cases = '{"dispute":"CB77","invoice":"000054","merchant_id":"9000000001"}'
    assert rows == [
        charged
        | {
            "record_no": 4,
            "amount_minor": 4000,
            "kind": "charge",
            "ref_merchant": "ORDER-1",
            "other_refs": refs,
        },
        charged
        | {
            "record_no": 5,
            "amount_minor": -1000,
            "kind": "refund",
            "ref_merchant": "ORDER-2",
            "other_refs": refs,
        },
        part
        | {
            "record_no": 3,
            "amount_minor": -90,
            "kind": "fee",
            "type_code": "SUBMISSION",
            "fees": '[{"amount_minor":90,"asset":"USD","included":true,"type":"commission"}]',
            "other_refs": '{"invoice":"000054","merchant_id":"9000000001"}',
        },
        disputed
        | {
            "record_no": 6,
            "amount_minor": -700,
            "kind": "chargeback",
            "type_code": "CHARGEBACK",
            "reason_code": "4512",
            "text": "Goods not received",
            "other_refs": cases,
        },
        disputed
        | {
            "record_no": 7,
            "amount_minor": 200,
            "kind": "adjustment",
            "type_code": "ADJUSTMENT",
            "text": "Correction",
            "other_refs": cases,
        },
        booked
        | {
            "record_no": 2,
            "amount_minor": -2410,
            "kind": "payout",
            "type_code": "SUMMARY",
            "ref_payout": "P261118",
        },
    ]
    assert CARD not in str(whole.lines.to_pylist())


def test_the_statement_is_the_payment_and_is_proved() -> None:
    delivery = read_grrcn(rendered(ONE)).parsed
    assert (delivery.format_name, delivery.format_version, delivery.file_reference) == (
        "amex.grrcn",
        "2.01",
        "SHOP:0000000026",
    )
    (told,) = delivery.statements
    assert (told.statement_ref, told.account, told.asset) == ("9000000001:P261118", "9000000001", "USD")
    assert (told.from_date, told.to_date) == (date(2026, 11, 18), date(2026, 11, 18))
    assert (told.opening_minor, told.closing_minor, told.movement_minor, told.line_count) == (
        None,
        None,
        0,
        6,
    )
    assert told.proofs == (
        "net 24.10 USD = gross 30.00 USD - fees 0.90 USD + adjustments -5.00 USD + opening debit balance 0.00 USD",
        "6 lines and the payout sum to 0.00 USD",
    )


def test_a_submission_without_transactions_is_one_line_with_its_fees() -> None:
    (row, payout) = read_grrcn(
        rendered(framed(summary(gross=3000, fees=90), submission(gross=3000, fees=90)))
    ).lines.to_pylist()
    assert (row["kind"], row["amount_minor"], row["fee_minor"]) == ("charge", 2910, 90)
    assert payout["amount_minor"] == -2910


def test_a_payment_without_submissions_is_one_line() -> None:
    found = amounts(framed(summary(gross=3000, fees=90, adjustment=-10)))
    assert found == [("charge", 2910, "booked"), ("adjustment", -10, "booked"), ("payout", -2900, "booked")]


def test_a_submission_in_another_currency_is_one_line_with_its_rate() -> None:
    foreign = {"subcurrency": "JPY", "submitted": 4500, "fx": "000000000666667", "count": "0000001"}
    records = framed(
        summary(gross=3000, fees=90),
        submission(gross=3000, fees=90, **foreign),
        transaction(4500, subcurrency="JPY"),
    )
    whole = read_grrcn(rendered(records))
    row = whole.lines.to_pylist()[0]
    assert (row["amount_minor"], row["fee_minor"]) == (2910, 90)
    assert (row["original_amount_minor"], row["original_asset"], row["fx_rate"]) == (
        4500,
        "JPY",
        "0.00666667",
    )
    assert (row["fx_numerator"], row["fx_denominator"]) == (666667, 100000000)
    assert "another currency" in whole.parsed.notes[0]


def test_prices_of_version_3_stand_beside_their_transaction() -> None:
    priced = ("TXNPRICING", PAYMENT | {"code": "1A", "roundedfee": 5, "roundeddiscount": 85})
    records = framed(
        summary(gross=3000, fees=90), submission(gross=3000, fees=90, count=1), transaction(3000), priced
    )
    rows = read_grrcn(rendered(records)).lines.to_pylist()
    assert rows[0]["fees"] == (
        '[{"amount_minor":85,"asset":"USD","included":false,"type":"commission"},'
        '{"amount_minor":5,"asset":"USD","included":false,"type":"processing"}]'
    )
    assert (rows[0]["amount_minor"], rows[0]["fee_minor"], rows[1]["amount_minor"]) == (3000, 0, -90)


def test_rejected_transactions_are_information() -> None:
    records = framed(
        summary(gross=3000),
        submission(gross=3000, count=1),
        transaction(3000),
        transaction(500, rejected="REJ"),
    )
    assert amounts(records) == [
        ("charge", 3000, "booked"),
        ("charge", 500, "info"),
        ("payout", -3000, "booked"),
    ]


def test_fees_that_are_collected_on_their_own_are_not_kept_back() -> None:
    records = framed(
        summary(gross=3000, fees=90, net=3000),
        submission(gross=3000, fees=90, net=3000, count=1),
        transaction(3000),
    )
    whole = read_grrcn(rendered(records))
    assert whole.lines["amount_minor"].to_pylist() == [3000, -3000]
    assert "collected on their own" in whole.parsed.notes[0]


def test_an_opening_debit_balance_takes_part_and_a_future_payment_is_expected() -> None:
    assert amounts(framed(summary(gross=3000, opening=-1000))) == [
        ("charge", 3000, "booked"),
        ("adjustment", -1000, "booked"),
        ("payout", -2000, "booked"),
    ]
    whole = read_grrcn(rendered(framed(summary(gross=3000, status="F"), version="3.01")))
    assert set(whole.lines["status"].to_pylist()) == {"expected"}
    assert (whole.parsed.statements[0].line_count, whole.parsed.statements[0].pending_count) == (0, 2)


@pytest.mark.parametrize(
    ("fee", "adjustment", "expected"),
    [
        (100, 100, ("fee", 100, "booked")),
        (100, -100, ("fee", -100, "booked")),  # the payment tells the side
        (-100, -100, ("fee", -100, "booked")),
        (100, 0, ("fee", 100, "info")),
    ],
)
def test_fees_and_revenues_are_booked_where_the_payment_has_them(
    fee: int, adjustment: int, expected: tuple[str, int, str]
) -> None:
    fee_record = (
        "FEEREVENUE",
        {k: v for k, v in PAYMENT.items() if k != "account_type"} | {"fee": fee, "words": "RENT"},
    )
    assert expected in amounts(framed(summary(gross=3000, adjustment=adjustment), fee_record))


def test_a_chargeback_that_is_taken_back_is_a_reversal() -> None:
    rows = read_grrcn(
        rendered(framed(summary(gross=0, adjustment=700), dispute("CHARGEBACK", 700)))
    ).lines.to_pylist()
    assert (rows[0]["kind"], rows[0]["reversal"]) == ("chargeback_reversal", True)


def test_a_masked_card_stays_truncated_and_has_no_token() -> None:
    records = framed(
        summary(gross=3000), submission(gross=3000, count=1), transaction(3000, card="378282XXXXX0005")
    )
    row = read_grrcn(rendered(records)).lines.to_pylist()[0]
    assert (row["card_token"], row["card_truncated"]) == (None, "378282*****0005")


def changed(position: int, **more: object) -> list[Record]:
    records = list(ONE)
    name, given = records[position]
    records[position] = (name, given | more)
    return records


@pytest.mark.parametrize(
    ("records", "place"),
    [
        (changed(1, net=2411), "line 2, payment P261118, net amount"),
        (changed(1, gross=3001, net=2411), "line 2, payment P261118, gross amount"),
        (changed(1, adjustment=-400, net=2510), "line 2, payment P261118, adjustment amount"),
        (changed(2, net=2911), "line 3, SUBMISSION, net amount"),
        (changed(2, count="0000003"), "line 3, SUBMISSION, transaction_count"),
        (changed(3, amount=4001), "line 3, SUBMISSION, gross_amount"),
        (changed(3, amount=-4000), "line 3, SUBMISSION, gross_amount"),
        (changed(5, net=-701), "line 6, net_amount"),
        (changed(5, gross=-701, net=-701), "line 2, payment P261118, adjustment amount"),
        ([*ONE[:4], *ONE[5:]], "line 3, SUBMISSION, transaction_count"),
        ([*ONE[:5], ONE[4], *ONE[5:]], "line 3, SUBMISSION, transaction_count"),
        (changed(7, records="0000000009"), "line 8, TRAILER, record_count"),
    ],
)
def test_whatever_does_not_add_up_is_refused_and_a_person_may_waive_it(
    records: list[Record], place: str
) -> None:
    found = refusal_of(rendered(records))
    assert found.code == "control_total"
    assert place in found.place
    whole = read_grrcn(rendered(records), WAIVED)
    assert any("waived: control_total" in flag for flag in whole.parsed.statements[0].flags)
    assert whole.parsed.statements[0].proofs == ()


@pytest.mark.parametrize(
    ("records", "code", "place"),
    [
        (ONE[:-1], "truncated", "the end of the file"),
        (ONE[1:], "not_this_format", "line 1"),
        ([ONE[0], *ONE[2:]], "structure", "payment_number"),
        ([*ONE[:2], *ONE[3:]], "structure", "submission"),
        ([*ONE[:2], ONE[1], *ONE[2:]], "conflict", "payment_number"),
        ([*ONE, ONE[1]], "structure", "SUMMARY"),
        (changed(7, file="0000000027"), "structure", "file_number"),
        (changed(1, currency="XXX"), "currency", "payment_currency"),
        (changed(1, date="20261131"), "date", "payment_date"),
        (changed(1, net="1E3"), "amount", "net_amount"),
        (changed(3, amount="12.50"), "amount", "transaction_amount"),
        (changed(3, rejected="Y"), "structure", "rejected"),
        (changed(0, id="OTHER"), "not_this_format", "line 1"),
    ],
)
def test_a_file_out_of_shape_is_refused_with_its_place(records: list[Record], code: str, place: str) -> None:
    found = refusal_of(rendered(records, form=","))
    assert (found.code, place in found.place) == (code, True), found
    assert refusal_of(rendered(records)).code == code


@pytest.mark.parametrize("form", ["fixed", ","])
def test_a_file_cut_anywhere_is_refused(form: str) -> None:
    content = rendered(ONE, form=form)
    for length in range(0, len(content) - 3, 7):
        assert refusal_of(content[:length]).code in {
            "truncated", "not_this_format", "structure", "control_total", "amount", "date", "currency"
        }  # fmt: skip


@pytest.mark.parametrize("end", ["\r", "\r\n"])
def test_line_ends_do_not_matter(end: str) -> None:
    found = read_grrcn(rendered(ONE, end=end)).lines
    assert found["amount_minor"].to_pylist() == read_grrcn(rendered(ONE)).lines["amount_minor"].to_pylist()


def test_hostile_content_is_refused() -> None:
    assert refusal_of(rendered(ONE).replace("ORDER-1", "ORDER\0-")).code == "unsafe"
    assert refusal_of(rendered(changed(3, amount="9" * 200_000), form=",")).code == "limit"
    assert refusal_of(rendered(ONE, form=",").replace('"ORDER-1"', '"ORDER-1')).code == "structure"
    assert refusal_of(b"").code == "not_this_format"
    tracked = changed(5, words=f"{CARD}=29121010000012300000")
    assert refusal_of(rendered(tracked)).code == "sensitive_data"


def test_a_member_corrects_the_positions_by_a_table() -> None:
    table = "record,field,start,length\nTRANSACTN,approval_code,280,10\n"
    records = framed(
        summary(gross=3000), submission(gross=3000, count=1), transaction(3000, terminal="TERM1")
    )
    row = read_grrcn(rendered(records), replace(OPTIONS, tables={"positions": table})).lines.to_pylist()[0]
    assert row["ref_auth_code"] == "TERM1"
    with pytest.raises(SourcesError, match="did you mean approval_code"):
        read_grrcn("", replace(OPTIONS, tables={"positions": table.replace("approval_code", "approval_cod")}))
    with pytest.raises(SourcesError, match="start and length"):
        read_grrcn("", replace(OPTIONS, tables={"positions": table.replace("280", "0")}))
    with pytest.raises(SourcesError, match="not known"):
        read_grrcn("", replace(OPTIONS, settings={"mode": "x"}))


def test_the_formats_are_recognised_by_their_first_record() -> None:
    for form, version in FORMS:
        assert amex_grrcn.sniff(rendered(ONE, form=form, version=version).encode())
    assert amex_eptrn.sniff(eptrn(eptrn_summary(0)).encode())
    assert not amex_grrcn.sniff(b"HEADER,20260101")
    assert not amex_eptrn.sniff(b"DFHDR 201407220536PANEUR")


def test_many_lines_leave_in_batches() -> None:
    count = LINES_PER_BATCH + 2_000
    records = framed(summary(gross=count), submission(gross=count, count=count), *([transaction(1)] * count))
    batches: list[pa.RecordBatch] = []
    delivery = amex_grrcn.read(BytesIO(rendered(records, form=",").encode()), OPTIONS, batches.append)
    assert [batch.num_rows for batch in batches] == [LINES_PER_BATCH, 2_001]
    assert delivery.statements[0].line_count == count + 1


EPTRN = eptrn(
    eptrn_summary(2410),
    eptrn_submission(3000, 90, count=2),
    eptrn_transaction(4000),
    eptrn_transaction(-1000),
    eptrn_chargeback(-700),
    eptrn_adjustment(200),
)


def test_the_older_file_has_the_same_meaning() -> None:
    whole = read_eptrn(EPTRN)
    rows = whole.lines.to_pylist()
    assert [(row["kind"], row["amount_minor"], row["record_no"]) for row in rows] == [
        ("charge", 4000, 4),
        ("refund", -1000, 5),
        ("fee", -90, 3),
        ("chargeback", -700, 6),
        ("adjustment", 200, 7),
        ("payout", -2410, 2),
    ]
    assert (rows[0]["ref_merchant"], rows[0]["card_truncated"]) == ("ORDER-1", "378282*****0005")
    assert (rows[0]["booking_date"], rows[0]["value_date"]) == (date(2026, 11, 18), date(2026, 11, 16))
    assert (rows[3]["text"], rows[4]["text"]) == ("NOT RECEIVED", "CORRECTION")
    (told,) = whole.parsed.statements
    assert (told.statement_ref, told.movement_minor, whole.parsed.format_version) == (
        "9000000001:2026320A1000",
        0,
        "EPTRN",
    )
    assert "read as USD" in whole.parsed.notes[0]
    assert CARD not in str(rows)


def test_the_currency_of_the_older_file_is_a_setting() -> None:
    assert read_eptrn(EPTRN, replace(OPTIONS, settings={"asset": "CAD"})).lines["asset"][0].as_py() == "CAD"
    for wrong in ({"asset": "XXX"}, {"assets": "USD"}):
        with pytest.raises(SourcesError):
            read_eptrn(EPTRN, replace(OPTIONS, settings=wrong))


@pytest.mark.parametrize(("fee", "side"), [(50, -1), (-50, 1)])
def test_other_fees_have_the_side_that_makes_the_payment(fee: int, side: int) -> None:
    whole = read_eptrn(eptrn(eptrn_summary(2950), eptrn_submission(3000), eptrn_other(fee)))
    row = next(row for row in whole.lines.to_pylist() if row["kind"] == "fee")
    assert (row["amount_minor"], row["text"]) == (side * fee, "TERMINAL RENT")


@pytest.mark.parametrize(
    ("before", "after", "code", "place"),
    [
        (punched(2410, 11), punched(2411, 11), "control_total", "payment amount"),
        (punched(4000, 13), punched(4001, 13), "control_total", "gross_amount"),
        (punched(2910, 11), punched(2911, 11), "control_total", "net amount"),
        (punched(2, 7), punched(3, 7), "control_total", "transaction_count"),
        ("0000008\n", "0000009\n", "control_total", "record_count"),
        (punched(4000, 13), "000000000400Z", "amount", "transaction_amount"),
        ("2026322", "2026366", "date", "payment_date"),
        ("DFTRL", "DFXXX", "structure", "record type"),
    ],
)
def test_the_older_file_has_to_add_up_too(before: str, after: str, code: str, place: str) -> None:
    assert before in EPTRN
    with pytest.raises(RefusedFile) as caught:
        read_eptrn(EPTRN.replace(before, after, 1))
    assert (caught.value.code, place in caught.value.place) == (code, True), caught.value


def test_the_older_file_needs_its_trailer() -> None:
    with pytest.raises(RefusedFile) as caught:
        read_eptrn(EPTRN[: EPTRN.index("DFTRL")])
    assert caught.value.code == "truncated"
    with pytest.raises(RefusedFile) as caught:
        read_eptrn(EPTRN[: EPTRN.index("DFTRL")] + EPTRN)
    assert caught.value.code == "truncated"


REAL = {
    "pyxmex/dummy_eptrn_raw": ("control_total", "405 transactions"),  # says 405 transactions and has one
    "paxmex/dummy_eptrn_raw": ("structure", "submission"),  # its transaction is of another payment
    "paxmex/dummy_epraw_raw": ("structure", "payment above"),  # its submission is of another payee
    "pyxmex/dummy_cbnot_raw": ("not_this_format", "CBNOT"),
    "paxmex/dummy_cbnot_raw": ("not_this_format", "CBNOT"),
    "paxmex/dummy_epa_raw": ("not_this_format", "EPA"),
}


def test_the_public_samples_are_refused_for_what_is_in_them(corpora: Path) -> None:
    found = {}
    for path in sorted((corpora / "card_amex").rglob("dummy_*")):
        with pytest.raises(RefusedFile) as caught:
            read_eptrn(path.read_bytes())
        name = "/".join(path.parts[-2:])
        found[name] = (
            caught.value.code,
            REAL[name][1] if REAL[name][1] in str(caught.value) else str(caught.value),
        )
        with pytest.raises(RefusedFile) as caught:
            read_grrcn(path.read_bytes())
        assert caught.value.code == "not_this_format"
    assert found == REAL


def test_the_sample_that_only_fails_its_totals_is_readable_when_they_are_waived(corpora: Path) -> None:
    (path,) = (corpora / "card_amex").rglob("pyxmex/dummy_eptrn_raw")
    whole = read_eptrn(path.read_bytes(), WAIVED)
    rows = [(row["kind"], row["amount_minor"]) for row in whole.lines.to_pylist()]
    assert rows == [("charge", 37305), ("charge", 12302), ("payout", -5003554), ("payout", -1234562)]
    assert all(told.flags and not told.proofs for told in whole.parsed.statements)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_give_a_delivery_or_a_refusal(content: bytes) -> None:
    for start in (
        b"",
        rendered(ONE[:1]).encode(),
        b"DFHDR111620260200000000SHOP\n",
        rendered(ONE[:2], form=",").encode(),
    ):
        read_or_refused(start + content)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["fixed", ",", "eptrn"]),
    st.integers(0, 20_000),
    st.integers(0, 40),
    st.binary(max_size=6),
)
def test_any_edit_gives_a_delivery_or_a_refusal(form: str, place: int, length: int, inserted: bytes) -> None:
    content = (EPTRN if form == "eptrn" else rendered(ONE, form=form)).encode()
    at = place % len(content)
    read_or_refused(content[:at] + inserted + content[at + length :])


def read_or_refused(content: bytes) -> None:
    for reader in (read_grrcn, read_eptrn):
        for options in (OPTIONS, WAIVED):
            try:
                whole = reader(content, options)
            except RefusedFile:
                continue
            counted = sum(told.line_count + told.pending_count for told in whole.parsed.statements)
            assert whole.lines.num_rows == counted
