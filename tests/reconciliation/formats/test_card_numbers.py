"""Card numbers: tokens, truncation and what free text may keep."""

import base64
import copy
import hmac
import pickle
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.errors import RefusedFile
from reconciliation.formats.card_numbers import (
    TEXT_PLACE,
    KeyedCardTokens,
    holds_track_data,
    key_id_of,
    luhn_valid,
    masked_text,
    truncated,
)
from tests.reconciliation.formats.mastercard_builder import CARDS

KEY = b"an example key of thirty-two b.."
TOKENS = KeyedCardTokens(KEY)


def test_one_card_has_one_token_under_one_key() -> None:
    token = TOKENS.token("5555555555554444")
    assert token == KeyedCardTokens(KEY).token("5555555555554444")
    assert re.fullmatch(r"v1:[0-9a-f]{8}:[a-z2-7]{32}", token)


@given(key=st.binary(min_size=32, max_size=130), card=st.sampled_from(CARDS))
def test_a_token_is_the_hmac_of_the_card_number(key: bytes, card: str) -> None:
    tokens = KeyedCardTokens(key)
    digest = hmac.digest(key, b"tieout card number " + card.encode(), "sha256")
    assert tokens.token(card) == f"v1:{tokens.key_id}:{base64.b32encode(digest[:20]).decode().lower()}"


def test_another_card_or_another_key_gives_another_token() -> None:
    tokens = {TOKENS.token(card) for card in CARDS}
    assert len(tokens) == len(CARDS)
    other = KeyedCardTokens(KEY[::-1])
    assert other.token(CARDS[0]) not in tokens
    assert other.key_id != TOKENS.key_id, "tokens of a rotated key must be recognisable"


def test_after_a_rotation_the_newest_key_makes_the_tokens_and_older_ones_are_recognised() -> None:
    newest = b"a newer key of thirty-two bytes."
    rotated = KeyedCardTokens(newest, KEY)
    assert rotated.key_ids == (key_id_of(newest), TOKENS.key_id)
    assert rotated.token(CARDS[0]) == KeyedCardTokens(newest).token(CARDS[0])
    assert rotated.tokens(CARDS[0]) == (rotated.token(CARDS[0]), TOKENS.token(CARDS[0]))
    assert rotated.recognises(TOKENS.token(CARDS[1]))
    assert rotated.recognises(rotated.token(CARDS[1]))
    assert not TOKENS.recognises(rotated.token(CARDS[1]))
    for other in ("", "v1", "v2:" + TOKENS.key_id + ":abc", CARDS[0]):
        assert not rotated.recognises(other)
    with pytest.raises(ValueError, match="at least 32 bytes"):
        KeyedCardTokens(newest, b"short")


def test_a_token_holds_no_part_of_the_card_number() -> None:
    for card in CARDS:
        token = TOKENS.token(card)
        assert not any(card[at : at + 6] in token for at in range(len(card) - 5))


@pytest.mark.parametrize("key", [b"", b"short", bytes(31)])
def test_a_short_key_is_refused(key: bytes) -> None:
    with pytest.raises(ValueError, match="at least 32 bytes"):
        KeyedCardTokens(key)


def test_the_key_shows_in_no_text_and_in_no_copy() -> None:
    assert "example" not in repr(TOKENS) + str(TOKENS)
    assert not hasattr(TOKENS, "__dict__")
    for take in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="not copied"):
            take(TOKENS)


@pytest.mark.parametrize("text", ["", "5555 5555 5555 4444", "55555555555", "5" * 20, "٥" * 16])
def test_a_token_is_made_of_digits_only_and_the_refusal_repeats_nothing(text: str) -> None:
    with pytest.raises(ValueError, match="expected 12 to 19 digits") as refusal:
        TOKENS.token(text)
    assert not text or text not in str(refusal.value)


@pytest.mark.parametrize(
    ("card", "shown"),
    [
        ("5555555555554444", "555555******4444"),
        ("378282246310005", "378282*****0005"),
        ("6304000000000000000", "630400*********0000"),
        ("500000000000", None),
    ],
)
def test_a_truncated_number_keeps_first_six_and_last_four(card: str, shown: str | None) -> None:
    assert truncated(card) == shown


def test_the_luhn_digit_of_published_test_cards_is_right() -> None:
    for card in CARDS:
        assert luhn_valid(card)
        assert not luhn_valid(card[:-1] + str((int(card[-1]) + 1) % 10))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("card 5555555555554444 lost", "card 555555******4444 lost"),
        ("5555 5555 5555 4444", "5555 55** **** 4444"),
        ("5555-5555-5555-4444", "5555-55**-****-4444"),
        ("3782 822463 10005", "3782 82**** *0005"),
        ("no 12 5555555555554444 7", "no 12 555555******4444 7"),
        ("5555\u00a05555\u00a05555\u00a04444", "5555\u00a055**\u00a0****\u00a04444"),
        ("PAN5555555555554444X", "PAN555555******4444X"),
        ("5 5 5 5 5 5 5 5 5 5 5 5 4 4 4 4", "5 5 5 5 5 5 * * * * * * 4 4 4 4"),
        ("５５５５５５５５５５５５４４４４", "５５５５５５******４４４４"),
    ],
)
def test_a_card_number_in_free_text_loses_its_middle(text: str, shown: str) -> None:
    assert masked_text(text) == shown
    assert TOKENS.masked(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Invoice 2026-11-16 no 12345",
        "74537606320000000000015",  # acquirer reference number, 23 digits
        "0022611160000002555500017",  # clearing file id, 25 digits
        "5555555555554443",  # wrong check digit
        "0000000000000000",  # no scheme issues it
        "5555555555554444" * 2,  # 32 digits in one group are a reference, not a card
        "555555555555  4444",  # two spaces part two texts
        "DE89 3704 0044 0532 0130 00",
    ],
)
def test_references_dates_and_other_numbers_survive(text: str) -> None:
    assert masked_text(text) == text


neighbours = st.text(alphabet="0123456789", max_size=25)


@given(
    before=neighbours,
    card=st.sampled_from(CARDS),
    after=neighbours,
    separator=st.sampled_from(["", " ", "-"]),
)
def test_no_full_card_number_survives_whatever_groups_stand_beside_it(
    before: str, card: str, after: str, separator: str
) -> None:
    written = separator.join(card[at : at + 4] for at in range(0, len(card), 4))
    assert written not in masked_text(f"{before} {written} {after}")


@given(st.text(alphabet="0123456789 -x", max_size=80))
def test_masking_twice_changes_nothing_more_and_keeps_the_length(text: str) -> None:
    masked = masked_text(text)
    assert masked_text(masked) == masked
    assert len(masked) == len(text)
    assert all(new in (old, "*") for old, new in zip(text, masked, strict=True))


TRACK_DATA = [
    ("%B5555555555554444^DOE/JANE^29121010000012300000?", "track 1 data"),
    ("B4111111111111111^A/B^^", "track 1 data"),
    ("%B3782 822463 10005^DOE/JANE E^2912101000000000", "track 1 data"),
    (";5555555555554444=29121010000012300000?", "track 2 data"),
    ("swiped 4111111111111111=2912101 twice", "track 2 data"),
    ("4111111111111111D29121010000012300000F", "track 2 data"),
    ("CVV: 123", "a card verification code"),
    ("paid, cvc2=1234.", "a card verification code"),
    ("Card Verification Value 123", "a card verification code"),
    ("card 4111 1111 1111 1111 CVC 123", "a card verification code"),
    ("4111111111111111 security code: 9876", "a card verification code"),
]


@pytest.mark.parametrize(("text", "found"), TRACK_DATA)
def test_sensitive_authentication_data_in_a_text_refuses_the_file_and_is_shown_nowhere(
    text: str, found: str
) -> None:
    assert holds_track_data(text) == found
    with pytest.raises(RefusedFile) as caught:
        TOKENS.masked(text)
    refusal = caught.value
    assert (refusal.code, refusal.place, refusal.found) == ("sensitive_data", TEXT_PLACE, found)
    for shown in (str(refusal), masked_text(text)):
        assert not re.search(r"\d{7}|(?i:cv|code|value)\D{1,3}\d{3}", shown)
    assert len(masked_text(text)) == len(text)


@pytest.mark.parametrize(
    "text",
    [
        "CVC 2024",  # a company or a club
        "CID 1234",
        "CVV match",
        "CVV2: M",
        "cvv 100%",
        "CVV 12345",
        "security code 123",
        "card 5555555555554444 = 100.00",
        "5555555555554444=12",
        "5555555555554444=29133010000012300000",  # there is no month 13
        "1234567890123456=29121010000012300000",  # no card number
        "5555555555554444^",
    ],
)
def test_what_only_resembles_sensitive_data_is_let_through(text: str) -> None:
    assert holds_track_data(text) is None
    assert TOKENS.masked(text) == masked_text(text)


@given(st.text(max_size=60))
def test_no_text_whatever_breaks_the_masking(text: str) -> None:
    assert len(masked_text(text)) == len(text)
    if holds_track_data(text) is None:
        assert TOKENS.masked(text) == masked_text(text)
