"""What a Visa clearing file means: signs, amounts, fees, dates, references, framings, proofs."""

import json
from datetime import UTC, date, datetime
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.errors import RefusedFile, SourcesError
from reconciliation.formats import visa_base2
from reconciliation.formats.canonical import LINE_SCHEMA, LINES_PER_BATCH
from reconciliation.vocabulary import LINE_KINDS
from tests.reconciliation.formats.visa_builder import (
    ARN,
    CARD,
    CARDS,
    EUR,
    JPY,
    KWD,
    OPTIONS,
    OTHER_CARD,
    TOKENS,
    USD,
    encoded,
    fee_collection,
    file_of,
    header,
    lines_of,
    logical_file,
    parsed,
    record,
    sale,
    whole,
)

MERCHANT = ("000000", "SECOND ATTEMPT", "MERIDIAN0000001", "TERM0001")
PAYMENT = ("123456789012345", f"{1_200_000:015d}", "D", "0" * 8, "0" * 8)


def test_every_field_of_a_sale_is_kept() -> None:
    (line,) = lines_of(file_of(sale(10_000, merchant=MERCHANT, payment=PAYMENT, more="7")))
    assert {name: value for name, value in line.items() if value is not None} == {
        "statement_no": 0,
        "record_no": 2,
        "status": "booked",
        "booking_date": date(2026, 11, 16),
        "event_at": datetime(2026, 11, 15, tzinfo=UTC),
        "amount_minor": 10_000,
        "asset": "EUR",
        "fee_minor": 0,
        "fees": '[{"amount_minor":120,"asset":"EUR","included":false,"type":"interchange"}]',
        "ref_arn": ARN,
        "ref_auth_code": "A1B2C3",
        "other_refs": '{"merchant_id":"MERIDIAN0000001","scheme_transaction":"123456789012345",'
        '"terminal_id":"TERM0001"}',
        "batch_ref": "400000-26320-001/1",
        "counterparty": "BERG & TAL",
        "text": "SECOND ATTEMPT",
        "kind": "presentment",
        "type_code": "05-0-1",
        "reversal": False,
        "card_token": TOKENS.token(CARD),
        "card_truncated": "411111******1111",
        "byte_offset": 169,
        "byte_length": 3 * 169 + 168,
    }


@pytest.mark.parametrize(
    ("code", "kind", "amount_minor", "reversal"),
    [
        ("05", "presentment", 500, False),
        ("06", "refund", -500, False),
        ("07", "presentment", 500, False),
        ("15", "chargeback", -500, False),
        ("16", "chargeback", 500, False),
        ("17", "chargeback", -500, False),
        ("25", "presentment", -500, True),
        ("26", "refund", 500, True),
        ("27", "presentment", -500, True),
        ("35", "chargeback_reversal", 500, True),
        ("36", "chargeback_reversal", -500, True),
        ("37", "chargeback_reversal", 500, True),
    ],
)
def test_the_sign_follows_the_transaction_code_and_our_side(
    code: str, kind: str, amount_minor: int, reversal: bool
) -> None:
    data = file_of(sale(500, code=code, reason="30"))
    (line,) = lines_of(data)
    assert (line["kind"], line["amount_minor"], line["reversal"]) == (kind, amount_minor, reversal)
    assert line["reason_code"] == "30"
    assert kind in LINE_KINDS
    (issuer,) = lines_of(data, acquirer_view=False)
    assert issuer["amount_minor"] == -amount_minor


@pytest.mark.parametrize(("code", "amount_minor"), [("10", -700), ("20", 700)])
def test_fees_between_members_are_signed_for_whoever_gets_the_file(code: str, amount_minor: int) -> None:
    data = file_of(fee_collection(700, code=code))
    for acquirer_view in (True, False):
        (line,) = lines_of(data, acquirer_view=acquirer_view)
        assert (line["kind"], line["amount_minor"], line["text"]) == ("fee", amount_minor, "SERVICE FEE")
        assert (line["reason_code"], line["card_token"]) == ("0240", None)
        assert line["event_at"] == datetime(2026, 11, 14, tzinfo=UTC)
    (sent,) = lines_of(data, settings={"own_bins": "499999, 400001"})
    assert sent["amount_minor"] == -amount_minor


def test_a_dispute_keeps_its_reference() -> None:
    (line,) = lines_of(file_of(sale(500, code="15", qualifier="2", merchant=("123456", "", "", ""))))
    assert json.loads(line["other_refs"]) == {"dispute": "123456"}
    assert line["type_code"] == "15-2-1"


def test_the_destination_amount_is_ours_where_the_file_has_one() -> None:
    foreign = sale(10_850, source_currency=USD, destination_minor=10_000, destination_currency=EUR)
    data = file_of(foreign)
    (line,) = lines_of(data)
    assert (line["amount_minor"], line["asset"]) == (10_000, "EUR")
    assert (line["original_amount_minor"], line["original_asset"]) == (10_850, "USD")
    (by_source,) = lines_of(data, settings={"amounts": "source"})
    assert (by_source["amount_minor"], by_source["asset"]) == (10_850, "USD")
    assert (by_source["original_amount_minor"], by_source["original_asset"]) == (10_000, "EUR")
    (same,) = lines_of(file_of(sale(500, destination_minor=500, destination_currency=EUR)))
    assert (same["amount_minor"], same["original_asset"]) == (500, None)


@pytest.mark.parametrize(
    ("rates", "fx"),
    [
        (("61085000", "60889416"), (None, None, None)),  # joins the amounts neither way
        (("71000000", "79216590"), (None, None, None)),
        (("61000000", "79216590"), ("0.921659", 921_659, 1_000_000)),
        (("61085000", "61000000"), ("1.085", 1_000, 1_085)),
        (("00000000", "61000000"), (None, None, None)),
        (("        ", "61000000"), (None, None, None)),
    ],
)
def test_both_rates_together_are_a_fraction_where_they_join_the_amounts(
    rates: tuple[str, str], fx: tuple[str | None, int | None, int | None]
) -> None:
    payment = ("123456789012345", "0" * 15, " ", *rates)
    foreign = sale(
        10_850, source_currency=USD, destination_minor=10_000, destination_currency=EUR, payment=payment
    )
    (line,) = lines_of(file_of(foreign))
    assert (line["fx_rate"], line["fx_numerator"], line["fx_denominator"]) == fx
    if fx[1] is not None and fx[2] is not None:
        assert abs(10_850 * fx[1] - 10_000 * fx[2]) <= fx[2]


@pytest.mark.parametrize(
    ("digits", "side", "fee_minor", "notes"),
    [
        (1_234_567, "D", 123, 1),
        (1_235_000, "C", -124, 1),
        (1_230_000, "D", 123, 0),
    ],
)
def test_an_interchange_fee_has_six_decimals_and_is_rounded_beside_the_amount(
    digits: int, side: str, fee_minor: int, notes: int
) -> None:
    delivery = whole(file_of(sale(500, payment=("1" * 15, f"{digits:015d}", side, "", ""))))
    (line,) = delivery.lines.to_pylist()
    assert json.loads(line["fees"])[0]["amount_minor"] == fee_minor
    assert (line["amount_minor"], line["fee_minor"]) == (500, 0)
    assert len(delivery.parsed.notes) == notes


def test_a_member_whose_manual_has_the_fee_in_minor_units_says_so_in_the_table() -> None:
    table = "record,tcr,field,start,length,kind\ndraft,5,interchange_fee,92,15,amount\n"
    (line,) = lines_of(
        file_of(sale(500, payment=("1" * 15, f"{123:015d}", "D", "", ""))), tables={"positions": table}
    )
    assert json.loads(line["fees"])[0]["amount_minor"] == 123


@pytest.mark.parametrize(("currency", "asset"), [(JPY, "JPY"), (KWD, "KWD")])
def test_amounts_of_currencies_with_no_or_three_decimals_are_taken_as_they_are(
    currency: str, asset: str
) -> None:
    (line,) = lines_of(file_of(sale(123_456, source_currency=currency)))
    assert (line["amount_minor"], line["asset"]) == (123_456, asset)


@pytest.mark.parametrize(
    ("day", "purchased", "processed", "event", "booked"),
    [
        ("26001", "1231", "5365", date(2025, 12, 31), date(2025, 12, 31)),
        ("30002", "1231", "9365", date(2029, 12, 31), date(2029, 12, 31)),
        ("29365", "1231", "0001", date(2029, 12, 31), date(2030, 1, 1)),
        ("28060", "0229", "8060", date(2028, 2, 29), date(2028, 2, 29)),
        ("26320", "0229", "6320", date(2024, 2, 29), date(2026, 11, 16)),
        ("26320", "1117", "6321", date(2026, 11, 17), date(2026, 11, 17)),
        ("26320", "1118", "    ", date(2025, 11, 18), date(2026, 11, 16)),
        ("26320", "0000", "0000", None, date(2026, 11, 16)),
    ],
)
def test_dates_without_a_year_are_resolved_by_the_date_of_the_file(
    day: str, purchased: str, processed: str, event: date | None, booked: date
) -> None:
    records = logical_file([sale(purchased=purchased, processed=processed)], head=header(day=day))
    (line,) = lines_of(encoded(records))
    assert line["booking_date"] == booked
    assert (line["event_at"] and line["event_at"].date()) == event


def test_a_card_number_of_nineteen_digits_has_its_last_three_in_the_extension() -> None:
    card = "6304000000000000123"
    (line,) = lines_of(file_of(sale(card=card)))
    assert (line["card_token"], line["card_truncated"]) == (TOKENS.token(card), "630400*********0123")


def test_each_asset_is_a_statement_with_its_proofs() -> None:
    records = logical_file(
        [sale(1_000), sale(300, code="06"), sale(7_000, source_currency=JPY)], [sale(50), fee_collection(20)]
    )
    delivery = parsed(encoded(records), settings={"account": "BIN 400000"})
    assert [(s.statement_ref, s.asset, s.movement_minor, s.line_count) for s in delivery.statements] == [
        ("400000-26320-001/EUR", "EUR", 730, 4),
        ("400000-26320-001/JPY", "JPY", 7_000, 1),
    ]
    (statement, _) = delivery.statements
    assert statement.proofs == (
        "8 transactions, 8 components, 2 batches, as the trailers say",
        "5 monetary transactions: source amounts 8370, destination amounts 0, as the trailers say",
    )
    assert (statement.account, statement.from_date, statement.sequence_no) == (
        "BIN 400000",
        date(2026, 11, 16),
        None,
    )
    assert (delivery.file_reference, delivery.format_version) == ("400000-26320-001", "ctf")
    assert delivery.ids_may_repeat is False


def test_files_that_have_no_id_are_told_apart_by_what_their_trailers_say() -> None:
    nameless = header(file_id="   ")
    first = parsed(encoded(logical_file([sale(100)], head=nameless)))
    second = parsed(encoded(logical_file([sale(200)], head=nameless)))
    assert first.file_reference is second.file_reference is None
    assert first.statements[0].statement_ref != second.statements[0].statement_ref
    assert parsed(encoded(logical_file([sale(100)], head=nameless))).statements == first.statements


def test_several_files_may_follow_each_other() -> None:
    records = logical_file([sale(100)]) + logical_file([sale(200)], head=header(file_id="002"))
    delivery = whole(encoded(records))
    assert delivery.parsed.file_reference == "400000-26320-001+400000-26320-002"
    assert delivery.lines["statement_no"].to_pylist() == [0, 1]
    assert delivery.lines["record_no"].to_pylist() == [2, 6]


def test_transactions_that_move_nothing_are_counted() -> None:
    text = [record((1, "5000"), (20, "HELLO"))]
    returned = [record((1, "0100"))]
    delivery = parsed(file_of(sale(100), text, text, returned))
    assert delivery.notes == (
        "1 transactions TC 01: counted, not lines",
        "2 transactions TC 50: counted, not lines",
        "1 transactions that the scheme returned (TC 01, 02, 03): whoever sent them must know",
    )
    assert delivery.statements[0].line_count == 1


def test_a_file_without_movements_is_accepted_and_a_test_file_says_so() -> None:
    delivery = parsed(encoded(logical_file()))
    assert (delivery.statements, delivery.test_mode) == ((), False)
    assert parsed(encoded(logical_file([sale()], head=header(test="TEST")))).test_mode


def test_a_large_file_leaves_in_batches_and_its_lines_come_in_order() -> None:
    data = file_of(*(sale(number) for number in range(1, 20_501)))
    batches: list[pa.RecordBatch] = []
    delivery = visa_base2.read(BytesIO(data), OPTIONS, batches.append)
    sizes = [batch.num_rows for batch in batches]
    assert (max(sizes), sum(sizes)) == (LINES_PER_BATCH, 20_500)
    lines = pa.Table.from_batches(batches, schema=LINE_SCHEMA)
    assert lines["amount_minor"].to_pylist() == list(range(1, 20_501))
    assert delivery.statements[0].movement_minor == sum(range(1, 20_501))


def test_unknown_settings_are_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(SourcesError) as refusal:
        parsed(
            b"", settings={"amount": "source", "amounts": "billing", "ebcdic": "utf-8"}, tables={"sign": ""}
        )
    assert refusal.value.problems == (
        "settings of visa.base2: amount is not known; did you mean amounts?",
        "settings of visa.base2: amounts must be one of auto, source, destination, found 'billing'",
        "settings of visa.base2: ebcdic must be one of cp500, cp037, found 'utf-8'",
        "tables of visa.base2: sign is not known; did you mean signs?",
    )


def test_the_public_file_is_refused_because_its_components_were_left_out(corpora: Path) -> None:
    (path,) = corpora.glob("card_visa_ctf/**/*.ctf")
    data = path.read_bytes()
    with pytest.raises(RefusedFile) as caught:
        parsed(data)
    assert (caught.value.code, caught.value.place) == ("control_total", "record 3 (TC 91), tcr count")
    assert (caught.value.expected, caught.value.found) == ("2: that is what was read", "4, a difference of 2")
    delivery = whole(data, waived=frozenset({"control_total"}))
    (line,) = delivery.lines.to_pylist()
    assert (line["amount_minor"], line["asset"]) == (995, "GBP")
    assert len(delivery.parsed.statements[0].flags) == 2


def independently(data: bytes) -> list[tuple[str, int, str, str, str, str]]:
    """Code, amount, currency, ARN, merchant and identifier of each sale by plain positions, line by line."""
    found: list[tuple[str, int, str, str, str, str]] = []
    for line in data.decode("latin-1").split("\n"):
        if line[:2] in ("05", "06", "15", "25") and line[3:4] == "0":
            found.append((line[:2], int(line[76:88]), line[88:91], line[26:49], "", ""))
        elif line[3:4] == "1" and found:
            found[-1] = (*found[-1][:4], line[80:95].strip(), found[-1][5])
        elif line[3:4] == "5" and found:
            found[-1] = (*found[-1][:5], line[4:19])
    return found


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["05", "06", "15", "25"]),
            st.integers(0, 10**12 - 1),
            st.sampled_from([EUR, JPY, KWD, USD]),
            st.sampled_from(CARDS),
            st.booleans(),
        ),
        max_size=20,
    )
)
def test_any_file_comes_back_as_plain_positions_read_it(
    drawn: list[tuple[str, int, str, str, bool]],
) -> None:
    data = file_of(
        *(
            sale(minor, code=code, source_currency=currency, card=card, **(
                {"merchant": MERCHANT, "payment": PAYMENT} if more else {}
            ))  # type: ignore[arg-type]
            for code, minor, currency, card, more in drawn
        )
    )  # fmt: skip
    delivery = whole(data)
    signs = {"05": 1, "06": -1, "15": -1, "25": -1}
    assets = {EUR: "EUR", JPY: "JPY", KWD: "KWD", USD: "USD"}
    rows = delivery.lines.to_pylist()
    expected = independently(data)
    assert len(rows) == len(expected) == len(drawn)
    for row, (code, minor, currency, arn, merchant, identifier), (_, _, _, card, _) in zip(
        rows, expected, drawn, strict=True
    ):
        references = json.loads(row["other_refs"] or "{}")
        assert (row["amount_minor"], row["asset"], row["ref_arn"]) == (
            signs[code] * minor,
            assets[currency],
            arn,
        )
        assert references.get("merchant_id", "") == merchant
        assert references.get("scheme_transaction", "") == identifier
        assert row["card_token"] == TOKENS.token(card)
    for number, statement in enumerate(delivery.parsed.statements):
        amounts = [row["amount_minor"] for row in rows if row["statement_no"] == number]
        assert (sum(amounts), len(amounts)) == (statement.movement_minor, statement.line_count)


def test_no_card_number_reaches_the_result_wherever_the_file_has_it() -> None:
    everywhere = sale(
        name=f"SHOP {CARD}", merchant=("000000", f"CALLED ABOUT {OTHER_CARD} AGAIN", CARD[:15], "TERM0001")
    )
    delivery = whole(file_of(everywhere, fee_collection(1, card=CARD, text=f"FEE FOR {OTHER_CARD}")))
    shown = repr(delivery.parsed) + repr(delivery.lines.to_pylist())
    assert not any(card in shown for card in CARDS)
