"""Braintree's transactions, refunds and disputes: booked when disbursed, signs settled, nothing half read."""

import contextlib
import dataclasses
import io
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.errors import RefusedFile, SourcesError
from reconciliation.formats import braintree_settlement, registry
from reconciliation.formats.canonical import LINES_PER_BATCH, WholeDelivery, read_whole
from tests.reconciliation.formats.camt_builder import OPTIONS


def amount(value: str, currency: str = "EUR") -> dict[str, str]:
    return {"value": value, "currencyCode": currency}


def payment(identification: str = "dHJ1", value: str = "25.00", **others: Any) -> dict[str, Any]:
    return {
        "id": identification,
        "legacyId": f"l{identification}",
        "orderId": f"ORD-{identification}",
        "createdAt": "2026-11-15T10:11:12.000000Z",
        "merchantAccountId": "quill_eur",
        "status": "SETTLED",
        "amount": amount(value),
        "disbursementDetails": {
            "date": "2026-11-17",
            "amount": amount(value),
            "exchangeRate": "1",
            "fundsHeld": False,
        },
        "statusHistory": [
            {"timestamp": "2026-11-15T22:00:00.000000Z", "settlementBatchId": "2026-11-15_quill_a1"},
            [],
            {"processorResponse": {"authorizationId": "A1B2C3", "retrievalReferenceNumber": "123456789012"}},
        ],
        "disputes": [],
        "refunds": None,
    } | others


def refund(value: str = "-10.00", **others: Any) -> dict[str, Any]:
    known = payment("cmVmdW5kX1", value.lstrip("-"), refundedTransaction={"id": "dHJ1", "legacyId": "ldHJ1"})
    known["disbursementDetails"]["amount"] = amount(value)
    return known | others


def dispute(*events: dict[str, Any], **others: Any) -> dict[str, Any]:
    return {
        "id": "ZGlzcHV0",
        "amountDisputed": amount("25.00"),
        "amountWon": None,
        "caseNumber": "CASE-1",
        "reason": "FRAUD",
        "receivedDate": "2026-11-16",
        "status": "OPEN",
        "statusHistory": list(events),
        "transaction": {
            "id": "dHJ1",
            "legacyId": "ldHJ1",
            "orderId": "ORD-1",
            "merchantAccountId": "quill_eur",
        },
    } | others


OBJECTS = [payment(), refund(), payment("dHJ2", "3.50")]


def read(objects: list[dict[str, Any]] | bytes, **settings: str) -> WholeDelivery:
    content = objects if isinstance(objects, bytes) else json.dumps(objects).encode()
    return read_whole(
        braintree_settlement, io.BytesIO(content), dataclasses.replace(OPTIONS, settings=settings)
    )


def refusal(objects: list[dict[str, Any]] | bytes) -> RefusedFile:
    with pytest.raises(RefusedFile) as caught:
        read(objects)
    return caught.value


def test_a_payment_is_booked_on_the_day_it_was_disbursed() -> None:
    line = read(OBJECTS).lines.to_pylist()[0]
    assert (line["amount_minor"], line["asset"], line["kind"], line["status"]) == (
        2500,
        "EUR",
        "charge",
        "booked",
    )
    assert (line["booking_date"], line["settlement_date"]) == (date(2026, 11, 17), date(2026, 11, 17))
    assert line["event_at"] == datetime(2026, 11, 15, 10, 11, 12, tzinfo=UTC)
    assert (line["native_id"], line["ref_psp"], line["ref_merchant"]) == ("dHJ1", "ldHJ1", "ORD-dHJ1")
    assert (line["ref_auth_code"], line["ref_rrn"]) == ("A1B2C3", "123456789012")
    assert (line["batch_ref"], line["type_code"]) == ("2026-11-15_quill_a1", "SETTLED")
    assert json.loads(line["other_refs"]) == {"transaction": "dHJ1"}


def test_a_refund_lowers_the_balance_whatever_its_sign() -> None:
    for value in ("-10.00", "10.00"):
        line = read([refund(value)]).lines.to_pylist()[0]
        assert (line["amount_minor"], line["kind"]) == (-1000, "refund")
        assert json.loads(line["other_refs"])["original"] == "ldHJ1"
    wrong = refusal([payment(disbursementDetails={"date": "2026-11-17", "amount": amount("-1.00")})])
    assert (wrong.code, wrong.place) == ("amount", "$[0].disbursementDetails.amount.value")


def test_each_account_day_and_currency_is_a_statement() -> None:
    other_day = payment("dHJ3")
    other_day["disbursementDetails"] |= {"date": "2026-11-18"}
    parsed = read([*OBJECTS, other_day, payment("dHJ4", merchantAccountId="quill_usd")]).parsed
    first = parsed.statements[0]
    assert [one.statement_ref for one in parsed.statements] == [
        "quill_eur:2026-11-17:EUR",
        "quill_eur:2026-11-18:EUR",
        "quill_usd:2026-11-17:EUR",
    ]
    assert (first.movement_minor, first.line_count, first.account, first.proofs) == (1850, 3, "quill_eur", ())
    assert not parsed.ids_may_repeat
    assert "states neither a payout nor totals" in parsed.notes[0]


def test_what_is_disbursed_in_another_currency_keeps_the_payment_and_the_rate() -> None:
    details = {
        "date": "2026-11-17",
        "amount": amount("27.19", "USD"),
        "exchangeRate": "1.0876",
        "fundsHeld": False,
    }
    (line,) = read([payment(disbursementDetails=details)]).lines.to_pylist()
    assert (line["amount_minor"], line["asset"]) == (2719, "USD")
    assert (line["original_amount_minor"], line["original_asset"]) == (2500, "EUR")
    assert (line["fx_rate"], line["fx_numerator"], line["fx_denominator"]) == ("1.0876", 10876, 10000)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"disbursementDetails": None}, "pending"),
        ({"status": "SUBMITTED_FOR_SETTLEMENT", "disbursementDetails": None}, "pending"),
        ({"status": "VOIDED", "disbursementDetails": None}, "info"),
        (
            {"disbursementDetails": {"date": "2026-11-17", "amount": amount("25.00"), "fundsHeld": True}},
            "pending",
        ),
    ],
)
def test_what_is_not_disbursed_does_not_count(change: dict[str, Any], status: str) -> None:
    delivery = read([payment(**change)])
    (statement,) = delivery.parsed.statements
    assert delivery.lines["status"].to_pylist() == [status]
    assert (statement.movement_minor, statement.line_count, statement.pending_count) == (0, 0, 1)
    assert statement.statement_ref == "quill_eur:not disbursed:EUR"


def test_a_dispute_takes_the_money_and_may_give_it_back() -> None:
    taken = {"status": "OPEN", "disbursementDate": "2026-11-18", "timestamp": "2026-11-17T00:00:00Z"}
    won = {"status": "WON", "disbursementDate": "2026-12-01"}
    lost = {"status": "LOST", "disbursementDate": None}
    lines = read([dispute(lost, won, taken, amountWon=amount("20.00"))]).lines.to_pylist()
    assert [(line["kind"], line["amount_minor"], line["booking_date"]) for line in lines] == [
        ("chargeback_reversal", 2000, date(2026, 12, 1)),
        ("chargeback", -2500, date(2026, 11, 18)),
    ]
    assert [line["native_id"] for line in lines] == ["ZGlzcHV0:WON:2026-12-01", "ZGlzcHV0:OPEN:2026-11-18"]
    assert (lines[1]["ref_merchant"], lines[1]["reason_code"], lines[1]["type_code"]) == (
        "ORD-1",
        "FRAUD",
        "OPEN",
    )
    assert json.loads(lines[1]["other_refs"]) == {"dispute": "CASE-1", "original": "ldHJ1"}
    (announced,) = read([dispute()]).lines.to_pylist()
    assert (announced["status"], announced["amount_minor"]) == ("info", -2500)


def test_an_array_single_objects_and_a_page_of_a_search_say_the_same() -> None:
    places = ["byte_offset", "byte_length"]
    told = read(OBJECTS).lines.drop_columns(places)
    lines = "\n".join(map(json.dumps, OBJECTS)).encode()
    edges = [{"node": node} for node in OBJECTS]
    page = {"data": {"search": {"transactions": {"pageInfo": {"hasNextPage": False}, "edges": edges}}}}
    for content in (lines, json.dumps(page).encode()):
        assert read(content).lines.drop_columns(places).equals(told)
        assert registry.recognise(content) == "braintree.settlement"
    page["data"]["search"]["transactions"]["pageInfo"] = {"hasNextPage": True}
    wrong = refusal(json.dumps(page).encode())
    assert (wrong.code, wrong.place) == ("truncated", "$[0].data.search.transactions.pageInfo")
    assert refusal(b'{"data": {"search": {}}, "errors": [1]}').code == "truncated"
    assert refusal(b'{"data": null}').code == "structure"


def test_every_object_stays_addressable_in_the_file() -> None:
    content = json.dumps(OBJECTS).encode()
    for line, told in zip(read(content).lines.to_pylist(), OBJECTS, strict=True):
        assert json.loads(content[line["byte_offset"] : line["byte_offset"] + line["byte_length"]]) == told


def test_only_the_token_and_the_ends_of_a_card_number_are_kept() -> None:
    by_parts = payment(paymentMethodSnapshot={"bin": "411111", "last4": "1111"})
    whole = payment("dHJ2", paymentMethodSnapshot={"number": "4111111111111111"})
    first, second = read([by_parts, whole]).lines.to_pylist()
    assert (first["card_token"], first["card_truncated"]) == (None, "411111******1111")
    assert second["card_truncated"] == "411111******1111"
    assert second["card_token"] == OPTIONS.card_tokens.token("4111111111111111")
    assert "4111111111111111" not in str(second)
    assert refusal([payment(paymentMethodSnapshot={"cvv": "123"})]).code == "sensitive_data"
    assert "4111111111111111" not in str(refusal([payment(createdAt="4111111111111111")]))


@pytest.mark.parametrize(
    ("change", "code", "place"),
    [
        ({"amount": amount("1E3")}, "amount", "$[0].amount.value"),
        ({"amount": amount("9" * 5_000)}, "amount", "$[0].amount.value"),
        ({"amount": {"value": [1], "currencyCode": "EUR"}}, "amount", "$[0].amount.value"),
        ({"amount": {"value": "1.00", "currencyCode": "EUX"}}, "currency", "$[0].amount.currencyCode"),
        ({"amount": {"value": "1.00"}}, "currency", "$[0].amount.currencyCode"),
        ({"amount": None}, "structure", "$[0].amount"),
        ({"disbursementDetails": []}, "structure", "$[0].disbursementDetails"),
        ({"disbursementDetails": {"date": "2026-02-30"}}, "date", "$[0].disbursementDetails.date"),
        ({"disbursementDetails": {"date": 20261116}}, "date", "$[0].disbursementDetails.date"),
        ({"disbursementDetails": {"date": "2026-11-17"}}, "structure", "$[0].disbursementDetails.amount"),
        ({"createdAt": "2026-11-15"}, "date", "$[0].createdAt"),
        ({"createdAt": "2026-11-31T10:00:00Z"}, "date", "$[0].createdAt"),
        ({"merchantAccountId": None}, "structure", "$[0].merchantAccountId"),
        ({"id": 7}, "structure", "$[0].id"),
        ({"status": ""}, "structure", "$[0].status"),
    ],
)
def test_an_object_that_cannot_be_understood_is_refused_at_its_place(
    change: dict[str, Any], code: str, place: str
) -> None:
    wrong = refusal([payment(**change)])
    assert (wrong.code, wrong.place) == (code, place)
    assert len(str(wrong)) < 400


def test_other_json_is_not_this_format() -> None:
    assert refusal(b'[{"date": "2026-11-16", "gross": "1.00"}]').code == "not_this_format"
    assert refusal(b"[1]").code == "structure"
    assert read(b"[]").parsed.statements == ()
    with pytest.raises(SourcesError, match="time_zone is not known"):
        read(OBJECTS, time_zone="UTC")


def test_what_is_worth_a_remark_is_noted() -> None:
    odd = payment(amount=amount("26.00"), disputes=[{"id": "x"}])
    notes = read([odd]).parsed.notes
    assert any("disputes told inside" in note for note in notes)
    assert any("disbursed is not the amount" in note for note in notes)


def test_an_array_cut_anywhere_is_refused() -> None:
    content = json.dumps(OBJECTS).encode()
    for size in range(len(content)):
        assert refusal(content[:size]).code in {"truncated", "structure"}


@given(st.integers(0, len(json.dumps(OBJECTS)) - 1), st.binary(max_size=3))
def test_any_edit_gives_a_delivery_or_a_refusal(place: int, edit: bytes) -> None:
    content = json.dumps(OBJECTS).encode()
    for attempt in (content[:place] + edit + content[place + 1 :], edit * 10, b"[" + edit):
        with contextlib.suppress(RefusedFile):
            read(attempt)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["id", "date", "amount", "value", "currencyCode", "status"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)


@given(
    st.sampled_from([payment(), refund(), dispute({"status": "OPEN", "disbursementDate": "2026-11-18"})]),
    st.data(),
)
def test_any_member_may_be_anything(told: dict[str, Any], data: st.DataObject) -> None:
    changed = data.draw(
        st.dictionaries(st.sampled_from([*told, "paymentMethodSnapshot"]), ANYTHING, max_size=3)
    )
    with contextlib.suppress(RefusedFile):
        read([told | changed])


def test_a_long_list_comes_in_several_batches() -> None:
    content = json.dumps([payment(f"dHJ{number}", "1.00") for number in range(21_000)]).encode()
    batches: list[int] = []
    parsed = braintree_settlement.read(
        io.BytesIO(content), OPTIONS, lambda batch: batches.append(batch.num_rows)
    )
    assert (max(batches), sum(batches)) == (LINES_PER_BATCH, 21_000)
    assert parsed.statements[0].movement_minor == 2_100_000


def test_public_files_agree_with_a_plain_reading(corpora: Path) -> None:
    paths = sorted((corpora / "psp_braintree").rglob("*.json"))
    assert len(paths) == 3
    for path in paths:
        told = json.loads(path.read_text())
        objects = told if isinstance(told, list) else [told]
        nets = [Decimal(one["disbursementDetails"]["amount"]["value"]) * 100 for one in objects]
        delivery = read(path.read_bytes())
        assert delivery.lines["amount_minor"].to_pylist() == nets
        assert sum(one.movement_minor for one in delivery.parsed.statements) == sum(nets)
