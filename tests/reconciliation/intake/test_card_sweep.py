"""The last look before the store: what is a card number in a reference, what is not, and that names stay names."""

import random
from dataclasses import replace
from io import BytesIO

import psycopg
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import Connection, sql

from reconciliation.errors import RefusedFile
from reconciliation.formats.canonical import LINE_SCHEMA, ParsedDelivery
from reconciliation.formats.card_numbers import KeyedCardTokens
from reconciliation.intake import take_in
from reconciliation.intake.card_sweep import SWEPT_COLUMNS, CardSweep, account_without_cards, without_cards
from tests.reconciliation.formats.mastercard_builder import CARDS
from tests.reconciliation.intake.builder import (
    OPTIONS,
    STRIPE,
    Charge,
    Entry,
    bank_file,
    bank_statement,
    current_lines,
    deliver,
    stripe_file,
)

TOKENS = KeyedCardTokens(bytes(range(32)))
CARD, TWIN = "4000000000020000", "4000000000100000"  # good numbers that look alike when truncated


def table(**columns: list[str]) -> pa.Table:
    """Lines with these columns; all else is empty or zero."""
    count = len(next(iter(columns.values())))
    empty = {pa.string(): "", pa.bool_(): False}
    arrays = [
        pa.array(columns[field.name])
        if field.name in columns
        else pa.nulls(count, field.type)
        if field.nullable
        else pa.array([empty.get(field.type, 0)] * count).cast(pa.int32()).cast(field.type)
        if pa.types.is_date(field.type)
        else pa.array([empty.get(field.type, 0)] * count, type=field.type)
        for field in LINE_SCHEMA
    ]
    return pa.table(arrays, schema=LINE_SCHEMA)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("4111111111111111", "411111******1111"),
        ("ORDER/5555555555554444/7", "ORDER/555555******4444/7"),
        ("card4111111111111111x", "card411111******1111x"),
        ("4111 1111 1111 1111", "4111 11** **** 1111"),
        ("4111-1111-1111-1111-001", "4111-11**-****-1111-001"),
        ("1234-4111-1111-1111-1111", "1234-4111-11**-****-1111"),
        ("3782 822463 10005", "3782 82**** *0005"),
        ("4111\u00a01111\u00a01111\u00a01111", "4111\u00a011**\u00a0****\u00a01111"),
        ("４１１１１１１１１１１１１１１１", "４１１１１１******１１１１"),
        ("4111111111111111 5555555555554444", "411111******1111 555555******4444"),
    ],
)
def test_a_card_number_in_a_reference_loses_its_middle(text: str, shown: str) -> None:
    assert without_cards(text) == shown
    assert without_cards(shown) == shown
    lines = CardSweep(TOKENS).lines(table(ref_merchant=["ORDER-1", text, "ORDER-2"]))
    assert lines["ref_merchant"].to_pylist() == ["ORDER-1", shown, "ORDER-2"]


@pytest.mark.parametrize(
    "text",
    [
        "74537606320000000000015",  # acquirer reference number, 23 digits
        "0022611160000002555500017",  # clearing file id, 25 digits
        "4111111111111112",  # wrong check digit
        "8515131751004933",  # no scheme issues it
        "411111111111111",  # fifteen digits, of a scheme that issues none as short
        "20261116101112",
        "4111-11111111-1111",  # nobody groups a card like that
        "4111 1111  1111 1111",
        "d4111111111111111a1b2c3d4e5f60708",  # a digest
        "abcd4111-1111-4111-9111-411111111111",  # a UUID
    ],
)
def test_other_references_stay_as_they_are(text: str) -> None:
    assert without_cards(text) == text


def test_an_iban_stays_an_iban_and_a_merchant_id_a_merchant_id() -> None:
    iban = "BE66000000100082"
    assert without_cards(iban) != iban, "its digits read as a card number"
    assert account_without_cards(iban) == iban
    assert account_without_cards(None) is None
    assert account_without_cards("4111111111111111") == "411111******1111"
    refs = '{"merchant_id":"600000000000004","stan":"1"}'
    swept = CardSweep(TOKENS).lines(table(other_refs=[refs], counterparty_account=[iban]))
    assert swept["other_refs"].to_pylist() == [refs]
    assert swept["counterparty_account"].to_pylist() == [iban]


def test_a_number_behind_an_escaped_control_character_is_found_too() -> None:
    swept = CardSweep(TOKENS).lines(table(other_refs=['{"invoice":"\\u00014111111111111111"}']))
    assert swept["other_refs"].to_pylist() == ['{"invoice":"\\u0001411111******1111"}']


def test_the_delivery_says_how_many_were_found_and_where_and_never_which() -> None:
    sweep = CardSweep(TOKENS)
    sweep.lines(table(ref_merchant=["4111111111111111"] * 3, native_id=["4111111111111111", "a", "b"]))
    parsed = ParsedDelivery(
        format_name="mt940",
        format_version="1",
        file_reference="4111111111111111",
        test_mode=False,
        statements=(),
        notes=("seen: 4111 1111 1111 1111",),
    )
    swept = sweep.delivery(parsed)
    seen, counted = swept.notes
    assert seen == "seen: 4111 11** **** 1111"
    assert counted.endswith("were truncated: 1 in file_reference, 1 in native_id, 3 in ref_merchant")
    assert CardSweep(TOKENS).delivery(replace(parsed, file_reference="F1", notes=())).notes == ()


@pytest.mark.parametrize("column", [name for name in SWEPT_COLUMNS if name not in ("fx_rate", "other_refs")])
@pytest.mark.parametrize("secret", ["4111111111111111=29121010000012300000", "CVV2: 123"])
def test_sensitive_authentication_data_in_a_reference_refuses_the_file(column: str, secret: str) -> None:
    lines = table(**{column: ["harmless", secret]})
    with pytest.raises(RefusedFile) as caught:
        CardSweep(TOKENS).lines(lines)
    assert caught.value.code == "sensitive_data"
    assert caught.value.place == f"record 0, {column}"
    assert "4111" not in str(caught.value)


@given(
    parts=st.lists(
        st.one_of(
            st.sampled_from(CARDS), st.text(alphabet="0123456789abcdef -/", max_size=20), st.text(max_size=5)
        ),
        max_size=4,
    )
)
def test_looking_at_a_whole_column_finds_what_looking_at_each_text_finds(parts: list[str]) -> None:
    text = "".join(parts).replace("\0", "")
    try:
        alone = CardSweep(TOKENS).swept(text, "ref_psp")
        lines = CardSweep(TOKENS).lines(table(ref_psp=["x", text, "12345"]))
    except RefusedFile:
        return
    assert lines["ref_psp"].to_pylist() == ["x", alone, "12345"]
    assert without_cards(alone) == alone, "once is enough"


def test_two_cards_that_look_alike_when_truncated_stay_two_lines_in_any_order(store: Connection) -> None:
    charges = [Charge(CARD, 1_000), Charge(TWIN, 2_500), Charge("txn_3", 300)]
    outcome = deliver(store, stripe_file(*charges), source=STRIPE, file_name="report.csv")
    assert outcome.outcome == "accepted"
    assert any("2 in native_id" in note for note in outcome.notes)
    keys = {row[0]: row[2] for row in current_lines(store, STRIPE)}
    assert sorted(keys.values()) == [300, 1_000, 2_500]
    assert sum(key.startswith("400000******0000~") for key in keys) == 2
    random.Random(7).shuffle(charges)
    again = deliver(store, stripe_file(*charges), source=STRIPE, file_name="again.csv")
    assert again.outcome == "redelivered"
    corrected = [Charge(CARD, 1_000), Charge(TWIN, 2_600), Charge("txn_3", 300)]
    changed = deliver(store, stripe_file(*corrected), source=STRIPE, file_name="corrected.csv")
    assert (changed.outcome, changed.changed_count, changed.unchanged_count) == ("corrected", 1, 2)


def test_under_a_new_key_such_a_line_gets_a_new_name_and_counts_once(store: Connection) -> None:
    charges = [Charge(CARD, 1_000), Charge(TWIN, 2_500)]
    deliver(store, stripe_file(*charges), source=STRIPE, file_name="report.csv")
    before = current_lines(store, STRIPE)
    rotated = replace(OPTIONS, card_tokens=KeyedCardTokens(bytes(range(1, 33)), bytes(range(32))))
    with store.transaction():
        (outcome,) = take_in(
            store,
            source=STRIPE,
            file_name="again.csv",
            stream=BytesIO(stripe_file(*reversed(charges))),
            options=rotated,
        )
    assert outcome.withdrawn_count == outcome.added_count
    after = current_lines(store, STRIPE)
    assert sorted(row[2] for row in after) == sorted(row[2] for row in before)


def breach(store: Connection, column: str) -> None:
    store.execute(
        sql.SQL(
            "INSERT INTO recon.line (source_id, xid, line_key, version, statement_id, record_no, account, booking_date,"
            " amount_minor, asset, fee_minor, {}, kind, reversal, content_digest)"
            " SELECT source_id, xid, 'X', 1, statement_id, 1, account, booking_date, amount_minor, asset, 0,"
            " '5555555555554444', kind, false, content_digest FROM recon.line LIMIT 1"
        ).format(sql.Identifier(column))
    )


@pytest.mark.parametrize(
    "column", ["native_id", "ref_merchant", "ref_psp", "ref_end_to_end", "batch_ref", "counterparty_account"]
)
def test_the_database_refuses_a_reference_that_is_a_card_number(store: Connection, column: str) -> None:
    deliver(store, bank_file(bank_statement(Entry(100, "A1"))))
    with pytest.raises(psycopg.errors.CheckViolation, match="no_card_numbers"):
        breach(store, column)
    store.execute("ALTER TABLE recon.line DROP CONSTRAINT line_references_are_no_card_numbers")
    breach(store, column)


@given(text=st.one_of(st.sampled_from(CARDS), st.from_regex(r"[2-6][0-9]{12,18}", fullmatch=True)))
def test_what_the_database_would_refuse_the_sweep_has_truncated(text: str) -> None:
    assert without_cards(text) == text or "*" in without_cards(text)
