"""Hashes of passwords: the standard's own numbers, one spelling, slow by parameters that the text carries."""

import base64
import hashlib
from typing import Any

import pytest

from reconciliation.people.passwords import (
    WeakPassword,
    hash_password,
    is_outdated,
    password_fits,
    refuse_weak,
    wasted_check,
)

SALT = bytes(range(16))
GOOD = "correct horse battery"
STORED = hash_password(GOOD, salt=SALT)
# RFC 7914, section 12, the third vector; what is kept is its first 32 bytes.
RFC_HASH = "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"


def text_of(n: int, r: int, p: int, salt: bytes, hashed: bytes) -> str:
    return f"scrypt${n}${r}${p}${base64.b64encode(salt).decode()}${base64.b64encode(hashed).decode()}"


@pytest.fixture
def costs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, int]]:
    """What each hash costs, as it is really made."""
    real, seen = hashlib.scrypt, []

    def watched(*words: Any, **named: Any) -> bytes:
        seen.append((named["n"], named["r"], named["p"]))
        return real(*words, **named)

    monkeypatch.setattr(hashlib, "scrypt", watched)
    return seen


def test_the_hash_is_that_of_the_standard() -> None:
    stored = text_of(16_384, 8, 1, b"SodiumChloride", bytes.fromhex(RFC_HASH))
    assert password_fits("pleaseletmein", stored)
    assert not password_fits("pleaseletmeIn", stored)


def test_the_text_carries_its_parameters_and_another_salt_gives_another_text() -> None:
    assert STORED.startswith("scrypt$32768$8$1$AAECAwQFBgcICQoLDA0ODw==$")
    assert password_fits(GOOD, STORED)
    assert not password_fits(GOOD + " ", STORED)
    assert GOOD not in STORED
    assert hash_password(GOOD, salt=SALT[::-1]).rpartition("$")[2] != STORED.rpartition("$")[2]
    with pytest.raises(ValueError, match="16 bytes"):
        hash_password(GOOD, salt=b"short")


def test_an_accent_typed_on_another_keyboard_is_the_same_password() -> None:
    assert password_fits(
        "caf\u00e9 au lait, sans sucre", hash_password("cafe\u0301 au lait, sans sucre", salt=SALT)
    )


@pytest.mark.parametrize(
    "stored",
    ["", "scrypt", GOOD, "$".join(STORED.split("$")[:-1]), STORED.replace("scrypt", "plain"), STORED + "$",
     STORED.replace("$8$", "$\u00b2$"), STORED.replace("32768", "32767"), STORED.replace("32768", "1"),
     STORED.replace("32768", "0"), STORED.replace("32768", str(2**30)), STORED.replace("$8$", "$9999$"),
     STORED[:-4] + "****", STORED[:-8]],
)  # fmt: skip
def test_a_text_that_is_no_hash_of_ours_fits_no_password_and_costs_as_much(
    stored: str, costs: list[tuple[int, int, int]]
) -> None:
    assert not password_fits(GOOD, stored)
    assert costs == [(32_768, 8, 1)]
    assert is_outdated(stored)


def test_an_unknown_name_costs_what_a_known_one_costs(costs: list[tuple[int, int, int]]) -> None:
    wasted_check("whatever they typed")
    assert costs == [(32_768, 8, 1)]


def test_a_hash_made_with_less_work_is_made_again_and_no_other() -> None:
    assert not is_outdated(STORED)
    assert is_outdated(text_of(16_384, 8, 1, b"SodiumChloride", bytes.fromhex(RFC_HASH)))
    assert not is_outdated(STORED.replace("32768", "65536"))


@pytest.mark.parametrize(
    ("password", "found"),
    [("elevenchars", "found 11"), ("x" * 1_025, "found 1025"), ("", "found 0"), ("ada.lovelace", "the login itself"),
     ("ADA.Lovelace", "the login itself"), ("ecalevol.ada", "the login itself"), ("ababababababab", "two characters"),
     ("half a pair \ud800", "characters that are none")],
)  # fmt: skip
def test_a_weak_password_is_refused_in_a_sentence_that_does_not_show_it(password: str, found: str) -> None:
    with pytest.raises(WeakPassword, match=found) as refused:
        refuse_weak(password, login="ada.lovelace")
    assert password in ("", "ada.lovelace") or password not in str(refused.value)


def test_any_text_can_be_tried_and_none_is_cut() -> None:
    refuse_weak(GOOD, login="ada")
    for odd in ("", "\0", "\ud800", "x" * 2_000):
        assert not password_fits(odd, STORED)
    longest = "ab c" * 256
    kept = hash_password(longest, salt=SALT)
    assert password_fits(longest, kept)
    assert not password_fits(longest + "more", kept)
