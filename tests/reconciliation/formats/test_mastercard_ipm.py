"""What a clearing file means: signs, fees, currencies, references, settlement."""

import json
from datetime import UTC, date, datetime
from io import BytesIO

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.errors import SourcesError
from reconciliation.formats import mastercard_ipm
from reconciliation.formats.canonical import LINE_SCHEMA, read_whole
from reconciliation.vocabulary import LINE_KINDS
from tests.reconciliation.formats.mastercard_builder import (
    CARD,
    CARDS,
    EUR,
    FILE_ID,
    JPY,
    KWD,
    OPTIONS,
    OTHER_CARD,
    TOKENS,
    USD,
    as_type,
    encoded,
    fee,
    file_of,
    framed,
    lines_of,
    logical_file,
    parsed,
    sale,
    whole,
)

SECOND_FILE_ID = "0022611160000002555500018"


def without_bytes(lines: pa.Table) -> pa.Table:
    return lines.drop_columns(["byte_offset", "byte_length"])


def test_a_presentment_raises_our_balance_by_its_amount_less_the_fee_kept_back() -> None:
    (line,) = lines_of(file_of(logical_file(sale(10_000, fields={"p0146": fee("29", 120)}))))
    assert (line["amount_minor"], line["fee_minor"], line["asset"]) == (9_880, 120, "EUR")
    assert (line["kind"], line["type_code"], line["reversal"]) == ("presentment", "1240-200-00", False)


def test_every_reference_of_a_presentment_is_kept_as_text() -> None:
    (line,) = lines_of(file_of(logical_file(sale())))
    assert line["ref_arn"] == "74537606320000000000015"
    assert line["ref_rrn"] == "632015000001"
    assert line["ref_auth_code"] == "A1B2C3"
    assert line["batch_ref"] == FILE_ID
    assert line["native_id"] == f"{FILE_ID}/2"
    assert line["record_no"] == 2
    assert line["counterparty"] == "BERG & TAL"
    assert line["text"] is None
    assert json.loads(line["other_refs"]) == {"scheme_transaction": "MCC1A2B3C1115"}


def test_a_line_is_booked_on_the_date_of_its_file_and_happened_at_the_local_time() -> None:
    data = file_of(logical_file(sale()))
    (line,) = lines_of(data)
    assert line["booking_date"] == date(2026, 11, 16)
    assert line["event_at"] == datetime(2026, 11, 15, 20, 30, tzinfo=UTC)
    (zurich,) = lines_of(data, settings={"event_time_zone": "Europe/Zurich"})
    assert zurich["event_at"] == datetime(2026, 11, 15, 19, 30, tzinfo=UTC)


def test_the_card_number_becomes_a_token_and_a_truncated_form() -> None:
    lines = lines_of(file_of(logical_file(sale(), sale(card=OTHER_CARD), sale())))
    assert [line["card_truncated"] for line in lines] == [
        "555555******4444",
        "510510******5100",
        "555555******4444",
    ]
    assert lines[0]["card_token"] == TOKENS.token(CARD) == lines[2]["card_token"] != lines[1]["card_token"]


@pytest.mark.parametrize(
    ("message", "kind", "amount_minor", "reversal"),
    [
        (sale(500), "presentment", 500, False),
        (sale(500, de24="205"), "presentment", 500, False),
        (sale(500, processing_code="010000"), "presentment", 500, False),
        (sale(500, processing_code="200000"), "refund", -500, False),
        (sale(500, processing_code="280000"), "refund", -500, False),
        (sale(500, fields={"p0025": "R261114"}), "presentment", -500, True),
        (sale(500, processing_code="200000", fields={"p0025": "R261114"}), "refund", 500, True),
        (sale(500, fields={"p0025": "       "}), "presentment", 500, False),
        (as_type(sale(500), "1442", de24="450"), "chargeback", -500, False),
        (as_type(sale(500, processing_code="200000"), "1442", de24="450"), "chargeback", 500, False),
        (
            as_type(sale(500, fields={"p0025": "R261114"}), "1442", de24="450"),
            "chargeback_reversal",
            500,
            True,
        ),
        (as_type(sale(500, processing_code="190000"), "1740", de24="783"), "fee", -500, False),
        (as_type(sale(500, processing_code="290000"), "1740", de24="783"), "fee", 500, False),
    ],
)
def test_the_sign_follows_who_sent_the_message_and_whom_it_credits(
    message: tuple[str, dict[int, str]], kind: str, amount_minor: int, reversal: bool
) -> None:
    data = file_of(logical_file(message))
    (line,) = lines_of(data)
    assert (line["kind"], line["amount_minor"], line["reversal"]) == (kind, amount_minor, reversal)
    assert kind in LINE_KINDS
    (issuer,) = lines_of(data, acquirer_view=False)
    assert issuer["amount_minor"] == (amount_minor if kind == "fee" else -amount_minor)


def test_a_fee_collection_we_sent_ourselves_has_the_opposite_sign() -> None:
    data = file_of(logical_file(as_type(sale(500, processing_code="190000"), "1740", de24="700")))
    (line,) = lines_of(data, settings={"institution_ids": "00000011111, 00000255555"})
    assert line["amount_minor"] == 500


def test_fees_add_up_and_a_credited_fee_is_negative() -> None:
    fees = fee("29", 120) + fee("29", 30) + fee("19", 200)
    (line,) = lines_of(file_of(logical_file(sale(10_000, fields={"p0146": fees}))))
    assert (line["fee_minor"], line["amount_minor"]) == (-50, 10_050)


def test_a_reversal_gives_back_fee_and_amount_alike() -> None:
    fields = {"p0146": fee("29", 120)}
    lines = lines_of(file_of(logical_file(sale(fields=fields), sale(fields=fields | {"p0025": "R261114"}))))
    assert sum(line["amount_minor"] for line in lines) == 0
    assert sum(line["fee_minor"] for line in lines) == 0


def test_an_issuer_who_is_debited_a_fee_with_a_chargeback_leaves_it_to_us() -> None:
    chargeback = as_type(sale(10_000, fields={"p0146": fee("29", 75)}), "1442", de24="450")
    (line,) = lines_of(file_of(logical_file(chargeback)))
    assert (line["fee_minor"], line["amount_minor"]) == (-75, -9_925)


def test_a_fee_with_no_settled_currency_counts_in_its_own() -> None:
    group = f"002901{EUR}{120:012d}000{0:012d}"
    (line,) = lines_of(file_of(logical_file(sale(fields={"p0146": group}))))
    assert line["fee_minor"] == 120


def test_a_foreign_sale_is_reconciled_in_our_currency_and_keeps_what_the_customer_paid() -> None:
    foreign = sale(10_850, currency=USD, de5=f"{10_000:012d}", de50=EUR, de9="70921659")
    (line,) = lines_of(file_of(logical_file(foreign)))
    assert (line["amount_minor"], line["asset"]) == (10_000, "EUR")
    assert (line["original_amount_minor"], line["original_asset"]) == (10_850, "USD")
    assert line["fx_rate"] == "0.0921659"


def test_a_foreign_refund_has_the_same_sign_in_both_currencies() -> None:
    foreign = sale(150, currency=KWD, processing_code="200000", de5=f"{450:012d}", de50=EUR, de9="03000000")
    (line,) = lines_of(file_of(logical_file(foreign)))
    assert (line["amount_minor"], line["original_amount_minor"], line["original_asset"]) == (
        -450,
        -150,
        "KWD",
    )
    assert line["fx_rate"] == "3000000"


@pytest.mark.parametrize(
    ("de9", "rate"), [("61234567", "1.234567"), ("71234567", "0.1234567"), ("91234567", "0.001234567"),
                      ("10000015", "1.5"), ("00000000", "0")]
)  # fmt: skip
def test_a_rate_is_its_digits_with_the_stated_decimals(de9: str, rate: str) -> None:
    message = sale(100, currency=USD, de5=f"{90:012d}", de50=EUR, de9=de9)
    (line,) = lines_of(file_of(logical_file(message)))
    assert line["fx_rate"] == rate


def test_a_sale_in_our_own_currency_names_no_rate_and_no_original() -> None:
    (line,) = lines_of(file_of(logical_file(sale(500, de5=f"{500:012d}", de50=EUR, de9="61000000"))))
    assert line["original_amount_minor"] is line["original_asset"] is line["fx_rate"] is None


@pytest.mark.parametrize(("currency", "asset"), [(JPY, "JPY"), (KWD, "KWD")])
def test_amounts_of_currencies_with_no_or_three_decimals_are_taken_as_they_are(
    currency: str, asset: str
) -> None:
    (line,) = lines_of(file_of(logical_file(sale(123_456, currency=currency))))
    assert (line["amount_minor"], line["asset"]) == (123_456, asset)


def test_each_asset_of_a_file_is_settled_by_its_net_and_returns_to_zero() -> None:
    delivery = whole(
        file_of(
            logical_file(
                sale(10_000, fields={"p0146": fee("29", 120)}),
                sale(7_000, currency=JPY),
                sale(4_000, processing_code="200000"),
            )
        )
    )
    settlements = [row for row in delivery.lines.to_pylist() if row["kind"] == "settlement"]
    assert [(row["asset"], row["amount_minor"], row["native_id"]) for row in settlements] == [
        ("EUR", -5_880, f"{FILE_ID}/settlement/EUR"),
        ("JPY", -7_000, f"{FILE_ID}/settlement/JPY"),
    ]
    assert {row["batch_ref"] for row in settlements} == {FILE_ID}
    assert [(s.asset, s.movement_minor, s.line_count, s.sequence_no) for s in delivery.parsed.statements] == [
        ("EUR", 0, 3, 17),
        ("JPY", 0, 2, 17),
    ]


def test_a_file_whose_net_is_zero_has_nothing_to_settle() -> None:
    delivery = whole(file_of(logical_file(sale(500), sale(500, processing_code="200000"))))
    assert delivery.lines.column("kind").to_pylist() == ["presentment", "refund"]
    assert [(s.movement_minor, s.line_count) for s in delivery.parsed.statements] == [(0, 2)]


def test_a_statement_names_its_file_its_proofs_and_no_balances() -> None:
    (statement,) = parsed(file_of(logical_file(sale(10_000))), settings={"account": "ICA 1234"}).statements
    assert (statement.statement_ref, statement.account) == (f"{FILE_ID}/EUR", "ICA 1234")
    assert (statement.from_date, statement.to_date) == (date(2026, 11, 16), date(2026, 11, 16))
    assert statement.opening_minor is statement.closing_minor is None
    assert statement.proofs == (
        "message numbers 1 to 3 without gap (DE 71)",
        "3 messages, as the trailer says (PDS 0306)",
        "amounts sum to 10000, as the trailer says (PDS 0301)",
        "net of 1 records 10000, settled by -10000",
    )


def test_two_logical_files_in_one_are_two_statements_numbered_each_from_one() -> None:
    messages = logical_file(sale(100)) + logical_file(sale(200), sale(300), file_id=SECOND_FILE_ID)
    delivery = whole(file_of(messages))
    assert [(s.statement_ref, s.line_count, s.sequence_no) for s in delivery.parsed.statements] == [
        (f"{FILE_ID}/EUR", 2, 17),
        (f"{SECOND_FILE_ID}/EUR", 3, 18),
    ]
    assert delivery.parsed.file_reference == f"{FILE_ID}+{SECOND_FILE_ID}"
    assert delivery.lines.column("statement_no").to_pylist() == [0, 0, 1, 1, 1]
    assert delivery.lines.column("record_no").to_pylist() == [2, 3, 5, 6, 7]


def test_a_file_without_movements_is_accepted_with_no_statement() -> None:
    delivery = whole(file_of(logical_file()))
    assert (delivery.parsed.statements, delivery.lines.num_rows, delivery.parsed.file_reference) == (
        (),
        0,
        FILE_ID,
    )


def test_a_test_file_says_so() -> None:
    assert parsed(file_of(logical_file(sale(), mode="T"))).test_mode
    assert not parsed(file_of(logical_file(sale()))).test_mode
    assert parsed(file_of(logical_file(sale()) + logical_file(file_id=SECOND_FILE_ID, mode="T"))).test_mode


def test_administrative_messages_are_counted_and_are_no_lines() -> None:
    addendum = ("1644", {24: "696", 48: "0023003CT6"})
    delivery = parsed(file_of(logical_file(sale(), addendum, addendum)))
    assert delivery.notes == ("2 administrative messages 1644/696: counted, not lines",)
    assert delivery.statements[0].line_count == 2


def test_what_is_tolerated_is_noted() -> None:
    unstated = sale(fields={"p0148": "8402", "p0146": fee("29", 5, settlement="02")}, de72="A\x07B")
    delivery = whole(file_of(logical_file(unstated)))
    assert delivery.parsed.notes == (
        "1 amounts whose exponent PDS 0148 does not state: ISO 4217's was used",
        "1 fees with settlement indicator '02': taken as kept back",
        "1 free texts with control characters: replaced by spaces",
    )
    assert delivery.lines.column("text").to_pylist()[0] == "A B"


@pytest.mark.parametrize("codec", ["latin-1", "cp500"])
@pytest.mark.parametrize("blocked", [False, True])
def test_encoding_and_blocking_make_no_difference(codec: str, blocked: bool) -> None:
    messages = logical_file(*(sale(number, de72=" " * number) for number in range(1, 40)))
    plain = whole(file_of(messages))
    delivery = whole(file_of(messages, codec, blocked=blocked))
    assert without_bytes(delivery.lines).equals(without_bytes(plain.lines))
    assert delivery.parsed.statements == plain.parsed.statements
    assert delivery.parsed.format_version == ("1014" if blocked else "vbs")


def test_the_other_ebcdic_code_page_is_read_when_the_source_says_so() -> None:
    data = file_of(logical_file(sale(de43="CAFÉ [X]!\\STREET\\CITY\\")), "cp037")
    assert lines_of(data, settings={"ebcdic": "cp037"})[0]["counterparty"] == "CAFÉ [X]!"
    assert lines_of(data)[0]["counterparty"] != "CAFÉ [X]!"


def test_hexadecimal_bitmaps_are_read_too() -> None:
    messages = logical_file(sale(), sale(700))
    for codec in ("latin-1", "cp500"):
        data = framed([encoded(message, codec, hexadecimal=True) for message in messages])
        assert without_bytes(whole(data).lines).equals(without_bytes(whole(file_of(messages)).lines))


def test_an_ebcdic_file_with_spaces_where_pad_bytes_would_be_is_not_taken_for_blocked() -> None:
    messages = logical_file(sale(1, de72=" " * 900), sale(2, de72=" " * 900), sale(3))
    data = file_of(messages, "cp500")
    assert data[1012:1014] == b"\x40\x40", "the trap is set"
    assert parsed(data).format_version == "vbs"


def test_a_file_is_read_from_a_stream_that_gives_little_at_a_time() -> None:
    class Slow(BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size or 1, 700))

    data = file_of(logical_file(*(sale(number) for number in range(1, 30))), blocked=True)
    assert read_whole(mastercard_ipm, Slow(data), OPTIONS).lines.equals(whole(data).lines)


def test_the_first_bytes_tell_an_ipm_file_from_others() -> None:
    for codec in ("latin-1", "cp500"):
        assert mastercard_ipm.sniff(file_of(logical_file(sale()), codec)[:64])
    for head in (
        b"",
        b"<?xml version='1.0'?><Document/>",
        b"id,created,amount\n" * 9,
        bytes(64),
        b"\x40" * 64,
    ):
        assert not mastercard_ipm.sniff(head)


def test_unknown_settings_are_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(SourcesError) as refusal:
        parsed(b"", settings={"ebcdik": "cp500", "ebcdic": "utf-8", "event_time_zone": "Mars/Olympus"})
    assert refusal.value.problems == (
        "settings of mastercard.ipm: ebcdic must be one of cp500, cp037, found 'utf-8'",
        "settings of mastercard.ipm: ebcdik is not known; did you mean ebcdic?",
        "settings of mastercard.ipm: event_time_zone 'Mars/Olympus' is not a time zone",
    )


@st.composite
def sales(draw: st.DrawFn) -> tuple[tuple[str, dict[int, str]], int, int, str]:
    """A sale or refund with what its line must say: amount, fee, asset."""
    number, asset = draw(st.sampled_from([(EUR, "EUR"), (JPY, "JPY"), (KWD, "KWD"), (USD, "USD")]))
    gross_minor = draw(st.integers(0, 10**12 - 1))
    paid, given = draw(st.integers(0, 10**6)), draw(st.integers(0, 10**6))
    refund, reversal = draw(st.booleans()), draw(st.booleans())
    message = sale(
        gross_minor,
        currency=number,
        card=draw(st.sampled_from(CARDS)),
        processing_code="200000" if refund else "000000",
        fields={
            "p0146": fee("29", paid, number) + fee("19", given, number),
            "p0025": "R261114" if reversal else " 261114",
        },
        de72=draw(st.text(alphabet="AB -/.", max_size=200)) or "X",
    )
    fee_minor = (paid - given) * (-1 if reversal else 1)
    sign = (-1 if refund else 1) * (-1 if reversal else 1)
    return message, sign * gross_minor - fee_minor, fee_minor, asset


@given(st.lists(sales(), max_size=25), st.sampled_from(["latin-1", "cp500", "cp037"]), st.booleans())
def test_any_file_comes_back_as_it_was_written(
    drawn: list[tuple[tuple[str, dict[int, str]], int, int, str]], codec: str, blocked: bool
) -> None:
    data = file_of(logical_file(*(message for message, *_ in drawn)), codec, blocked=blocked)
    delivery = whole(data, settings={"ebcdic": "cp037"} if codec == "cp037" else {})
    assert delivery.lines.schema.equals(LINE_SCHEMA)
    rows = [row for row in delivery.lines.to_pylist() if row["kind"] != "settlement"]
    assert [(row["amount_minor"], row["fee_minor"], row["asset"]) for row in rows] == [
        (amount_minor, fee_minor, asset) for _, amount_minor, fee_minor, asset in drawn
    ]
    for number, statement in enumerate(delivery.parsed.statements):
        of_statement = [row for row in delivery.lines.to_pylist() if row["statement_no"] == number]
        assert len(of_statement) == statement.line_count
        assert sum(row["amount_minor"] for row in of_statement) == statement.movement_minor == 0
