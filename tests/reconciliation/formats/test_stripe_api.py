"""Balance transactions of Stripe's API: integers of minor units, every fee told, a page never taken for the whole."""

import contextlib
import dataclasses
import io
import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.errors import RefusedFile, SourcesError
from reconciliation.formats import registry, stripe_api
from reconciliation.formats.canonical import LINES_PER_BATCH, WholeDelivery, read_whole
from tests.reconciliation.formats.camt_builder import OPTIONS

CREATED = 1_794_783_600  # 2026-11-15 23:00 UTC


def moved(identification: str, amount: int, fee: int = 0, **others: Any) -> dict[str, Any]:
    return {
        "id": f"txn_{identification}",
        "object": "balance_transaction",
        "amount": amount,
        "available_on": CREATED + 3 * 86_400,
        "created": CREATED,
        "currency": "eur",
        "description": None,
        "exchange_rate": None,
        "fee": fee,
        "fee_details": [],
        "net": amount - fee,
        "reporting_category": "charge",
        "source": f"ch_{identification}",
        "status": "available",
        "type": "charge",
    } | others


CHARGE = moved(
    "1",
    2500,
    95,
    description="Top up",
    fee_details=[
        {"amount": 70, "currency": "eur", "type": "stripe_fee"},
        {"amount": 25, "currency": "eur", "type": "tax"},
    ],
)
REFUND = moved("2", -1000, reporting_category="refund", type="refund", source="re_2")
PAYOUT = moved("3", -1405, reporting_category="payout", type="payout", source="po_1")
OBJECTS = [CHARGE, REFUND, PAYOUT]


def page(objects: list[dict[str, Any]], **members: Any) -> bytes:
    return json.dumps(
        {"object": "list", "url": "/v1/x", "has_more": False, "data": objects} | members
    ).encode()


def read(content: bytes, *, waived: bool = False, **settings: str) -> WholeDelivery:
    waivers = frozenset({"control_total"} if waived else set())
    return read_whole(
        stripe_api, io.BytesIO(content), dataclasses.replace(OPTIONS, settings=settings, waived=waivers)
    )


def refusal(content: bytes, **settings: str) -> RefusedFile:
    with pytest.raises(RefusedFile) as caught:
        read(content, **settings)
    return caught.value


def test_a_balance_transaction_becomes_a_line() -> None:
    charge, refund, payout = read(page(OBJECTS)).lines.to_pylist()
    assert (charge["amount_minor"], charge["fee_minor"], charge["asset"]) == (2405, 95, "EUR")
    assert (charge["native_id"], charge["ref_psp"], charge["kind"]) == ("txn_1", "ch_1", "charge")
    assert json.loads(charge["fees"]) == [
        {"amount_minor": 70, "asset": "EUR", "included": True, "type": "processing"},
        {"amount_minor": 25, "asset": "EUR", "included": True, "type": "tax"},
    ]
    assert (charge["booking_date"], charge["value_date"]) == (date(2026, 11, 15), date(2026, 11, 18))
    assert charge["event_at"] == datetime(2026, 11, 15, 23, tzinfo=UTC)
    assert (charge["text"], charge["type_code"], charge["record_no"]) == ("Top up", "charge", 1)
    assert (refund["kind"], refund["amount_minor"]) == ("refund", -1000)
    assert (payout["kind"], payout["ref_payout"], payout["ref_psp"]) == ("payout", "po_1", None)


def test_the_day_is_the_one_of_the_zone_and_of_the_instant_that_the_source_names() -> None:
    assert read(page(OBJECTS), time_zone="Asia/Tokyo").lines["booking_date"][0].as_py() == date(2026, 11, 16)
    assert read(page(OBJECTS), booked_on="available_on").lines["booking_date"][0].as_py() == date(
        2026, 11, 18
    )


def test_a_list_an_array_and_objects_line_by_line_say_the_same() -> None:
    told = read(page(OBJECTS)).lines.drop_columns(["byte_offset"])
    lines = "\n".join(map(json.dumps, OBJECTS)).encode()
    for content in (json.dumps(OBJECTS).encode(), lines):
        assert read(content).lines.drop_columns(["byte_offset"]).equals(told)
        assert registry.recognise(content) == "stripe.api"
    for line, told_object in zip(read(lines).lines.to_pylist(), OBJECTS, strict=True):
        raw = lines[line["byte_offset"] : line["byte_offset"] + line["byte_length"]]
        assert json.loads(raw) == told_object


def test_the_objects_of_a_payout_are_proved_against_it() -> None:
    (statement,) = read(page(OBJECTS), payout="po_1").parsed.statements
    assert statement.proofs == (
        "net = amount - fee in 3 objects",
        "payout po_1: 3 objects with the payout itself = 0",
    )
    assert (statement.statement_ref, statement.movement_minor) == ("2026-11-15:EUR:po_1", 0)
    wrong = refusal(page(OBJECTS[:2]), payout="po_1")
    assert (wrong.code, wrong.place, wrong.found) == ("control_total", "payout po_1", "14.05")
    flagged = read(page(OBJECTS[:2]), payout="po_1", waived=True).parsed.statements[0]
    assert "found 14.05" in flagged.flags[0]


def test_an_expanded_source_tells_its_references_and_what_the_customer_paid() -> None:
    source = {
        "id": "dp_1",
        "object": "dispute",
        "amount": 3000,
        "currency": "usd",
        "charge": "ch_9",
        "payment_intent": {"id": "pi_9"},
        "reason": "fraudulent",
        "livemode": True,
        "metadata": {"order_id": "ORD-9"},
        "billing_details": {"name": "Ada Quill"},
    }
    (line,) = read(page([moved("1", -2760, source=source, exchange_rate=0.92)])).lines.to_pylist()
    assert (line["ref_psp"], line["ref_merchant"], line["reason_code"]) == ("dp_1", "ORD-9", "fraudulent")
    assert json.loads(line["other_refs"]) == {"original": "ch_9", "transaction": "pi_9"}
    assert (line["original_amount_minor"], line["original_asset"]) == (-3000, "USD")
    assert (line["fx_rate"], line["fx_numerator"], line["fx_denominator"]) == ("0.92", 92, 100)
    assert line["counterparty"] == "Ada Quill"


def test_a_source_in_test_mode_marks_the_file() -> None:
    assert read(page([moved("1", 1, source={"id": "ch_1", "livemode": False})])).parsed.test_mode


@pytest.mark.parametrize(
    ("currency", "amount", "amount_minor"),
    [
        ("jpy", 500, 500),
        ("kwd", 5120, 5120),
        ("isk", 500, 5),
        ("ugx", 500, 5),
        ("mga", 5, 500),
        ("huf", 500, 500),
    ],
)
def test_minor_units_are_those_of_the_api_for_each_currency(
    currency: str, amount: int, amount_minor: int
) -> None:
    delivery = read(page([moved("1", amount, currency=currency)]))
    assert delivery.lines["amount_minor"].to_pylist() == [amount_minor]


@pytest.mark.parametrize(
    ("change", "code", "place"),
    [
        ({"net": 1}, "control_total", "$.data[1].net"),
        (
            {"fee_details": [{"amount": 1, "currency": "eur", "type": "tax"}]},
            "control_total",
            "$.data[1].fee_details",
        ),
        ({"fee_details": [7]}, "structure", "$.data[1].fee_details[0]"),
        (
            {"fee_details": [{"amount": 0, "currency": "usd"}]},
            "currency",
            "$.data[1].fee_details[0].currency",
        ),
        ({"amount": "-1000"}, "amount", "$.data[1].amount"),
        ({"amount": -10.5}, "amount", "$.data[1].amount"),
        ({"amount": 10**30}, "amount", "$.data[1].amount"),
        ({"amount": True}, "amount", "$.data[1].amount"),
        ({"amount": None}, "amount", "$.data[1].amount"),
        ({"currency": "isk", "amount": -1001, "net": -1001}, "amount", "$.data[1].amount"),
        ({"currency": "zzz"}, "currency", "$.data[1].currency"),
        ({"currency": None}, "structure", "$.data[1].currency"),
        ({"created": "2026"}, "date", "$.data[1].created"),
        ({"created": [1]}, "date", "$.data[1].created"),
        ({"created": 10**15}, "date", "$.data[1].created"),
        ({"id": ""}, "structure", "$.data[1].id"),
        ({"object": "charge"}, "not_this_format", "$.data[1].object"),
    ],
)
def test_an_object_that_does_not_prove_is_refused_at_its_place(
    change: dict[str, Any], code: str, place: str
) -> None:
    wrong = refusal(page([CHARGE, REFUND | change]))
    assert (wrong.code, wrong.place) == (code, place)


def test_a_page_is_not_the_whole_list() -> None:
    wrong = refusal(page(OBJECTS, has_more=True))
    assert (wrong.code, wrong.place) == ("truncated", "$.has_more")
    assert refusal(page(OBJECTS, object="event")).code == "not_this_format"
    assert refusal(b'{"object": "list"}').code == "not_this_format"
    assert refusal(b'{"object": "balance_transaction"}').code == "structure"
    assert read(page([])).parsed.notes == ("no balance transactions",)


def test_a_file_cut_anywhere_is_refused() -> None:
    content = page(OBJECTS)
    for size in range(len(content)):
        assert refusal(content[:size]).code in {"truncated", "structure"}


def test_settings_that_are_not_known_are_an_error_of_the_configuration() -> None:
    with pytest.raises(SourcesError) as caught:
        read(page(OBJECTS), booked="x", booked_on="settled", time_zone="Mars")
    assert len(caught.value.problems) == 3


def test_card_numbers_do_not_pass() -> None:
    (line,) = read(page([moved("1", 1, description="card 4111111111111111")])).lines.to_pylist()
    assert line["text"] == "card 411111******1111"
    assert "4111111111111111" not in str(refusal(page([moved("1", 1, created="4111111111111111")])))


@given(st.integers(0, len(page(OBJECTS)) - 1), st.binary(max_size=3))
def test_any_edit_gives_a_delivery_or_a_refusal(place: int, edit: bytes) -> None:
    content = page(OBJECTS)
    for attempt in (content[:place] + edit + content[place + 1 :], edit * 10, b"[" + edit):
        with contextlib.suppress(RefusedFile):
            read(attempt)


@given(
    st.dictionaries(
        st.sampled_from([*CHARGE, "object"]),
        st.none()
        | st.booleans()
        | st.integers()
        | st.text(max_size=4)
        | st.lists(st.integers(), max_size=1)
        | st.dictionaries(
            st.sampled_from(["id", "amount", "metadata", "charge", "currency"]),
            st.text(max_size=2) | st.integers(),
        ),
        max_size=4,
    )
)
def test_any_member_may_be_anything(change: dict[str, Any]) -> None:
    with contextlib.suppress(RefusedFile):
        read(page([CHARGE | change]))


def test_a_long_list_comes_in_several_batches() -> None:
    content = page([moved(str(number), 1) for number in range(25_000)])
    batches: list[int] = []
    parsed = stripe_api.read(io.BytesIO(content), OPTIONS, lambda batch: batches.append(batch.num_rows))
    assert (max(batches), sum(batches)) == (LINES_PER_BATCH, 25_000)
    assert parsed.statements[0].movement_minor == 25_000
