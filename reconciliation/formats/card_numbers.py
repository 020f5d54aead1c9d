"""Card numbers leave the product's memory at the parser's edge: keyed token, truncated form, masked free text.

Law: no full card number is stored, logged or shown, and nobody without the key can test a guessed number against a
token. The key comes from the shell and lives outside the database; this module neither finds nor keeps it anywhere.

What counts as a card number in free text: 13 to 19 digits, in one run or in groups parted by one space or hyphen, with
a length and prefix that a card scheme issues and a good Luhn digit. A group of more than 19 digits is a reference (a
23-digit acquirer reference number, a 25-digit file id) and stays as it is, so references survive. An IBAN or an order
number may read as a card number by chance (one in ten of those with a fitting prefix): its middle is masked too.

>>> masked_text("paid with 5555 5555 5555 4444, ref 74537604221431003881865")
'paid with 5555 55** **** 4444, ref 74537604221431003881865'
"""

import base64
import hmac
import re
from collections.abc import Iterator
from typing import Final, NoReturn

KEY_LENGTH_MIN: Final = 32  # bytes; shorter than the digest would be the weakest part (RFC 2104, section 3)
CARD_LENGTH_MIN: Final = 12  # Maestro; ISO/IEC 7812 allows up to 19
CARD_LENGTH_MAX: Final = 19

_VERSION: Final = "v1"
_TOKEN_BYTES: Final = (
    20  # 160 bits of the digest; base32, because long runs of digits in hex look like card numbers
)
_TEXT_LENGTH_MIN: Final = 13  # shorter numbers in free text are far more often something else

# Six-digit ranges and the lengths their schemes issue (public knowledge, ISO/IEC 7812 issuers; generous on purpose).
_ISSUER_RANGES: Final = (
    ("100000", "199999", frozenset({15})),  # UATP
    ("220000", "220499", frozenset(range(16, 20))),  # Mir
    ("222100", "272099", frozenset({16})),  # Mastercard
    ("300000", "305999", frozenset(range(14, 20))),  # Diners
    ("308800", "358999", frozenset(range(15, 20))),  # JCB, American Express 34
    ("360000", "369999", frozenset(range(14, 20))),  # Diners
    ("370000", "379999", frozenset({15})),  # American Express
    ("380000", "399999", frozenset(range(14, 20))),  # Diners
    ("400000", "499999", frozenset({13, 16, 17, 18, 19})),  # Visa
    ("500000", "509999", frozenset(range(13, 20))),  # Maestro and domestic schemes
    ("510000", "559999", frozenset({16})),  # Mastercard
    ("560000", "699999", frozenset(range(13, 20))),  # Maestro, Discover, UnionPay, RuPay
    ("810000", "829999", frozenset({16, 17, 18, 19})),  # UnionPay, RuPay
    ("979200", "979299", frozenset({16})),  # Troy
)

_BETWEEN: Final = " \u00a0\u202f\\-\u2010\u2011\u2012\u2013"
_DIGIT_RUN: Final = re.compile(rf"\d(?:[{_BETWEEN}]?\d){{{_TEXT_LENGTH_MIN - 1},}}")
_DIGIT_GROUP: Final = re.compile(r"\d+")
_CARD_DIGITS: Final = re.compile(rf"[0-9]{{{CARD_LENGTH_MIN},{CARD_LENGTH_MAX}}}", re.ASCII)
_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)  # a doubled digit, less nine when it has two


class KeyedCardTokens:
    """Card tokens under one key: equal numbers give equal tokens, another key gives another token.

    A token reads ``v1:<key id>:<base32>``: 160 bits of HMAC-SHA-256 over the digits. The key id is a digest of the
    key, so that tokens of an older key are recognised when keys are rotated. Keys under 32 bytes are a ValueError.
    """

    __slots__ = ("_key", "key_id")

    def __init__(self, key: bytes) -> None:
        if len(key) < KEY_LENGTH_MIN:
            raise ValueError(f"card key: expected at least {KEY_LENGTH_MIN} bytes, found {len(key)}")
        self._key = bytes(key)
        self.key_id = hmac.digest(self._key, b"tieout key id", "sha256").hex()[:8]

    def token(self, card_number: str) -> str:
        """Token of 12 to 19 ASCII digits; anything else is a ValueError that does not repeat the text."""
        if _CARD_DIGITS.fullmatch(card_number) is None:
            raise ValueError(
                f"card number: expected {CARD_LENGTH_MIN} to {CARD_LENGTH_MAX} digits, "
                f"found {len(card_number)} characters that are not that"
            )
        digest = hmac.digest(self._key, b"tieout card number " + card_number.encode(), "sha256")
        return f"{_VERSION}:{self.key_id}:{base64.b32encode(digest[:_TOKEN_BYTES]).decode().lower()}"

    def masked(self, text: str) -> str:
        """Free text with every card number truncated; see ``masked_text``."""
        return masked_text(text)

    def __repr__(self) -> str:
        return f"KeyedCardTokens(key_id={self.key_id!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("card tokens hold a key and are not copied or pickled")


def truncated(card_number: str) -> str | None:
    """First six and last four digits with asterisks between; None under 13 digits, where that would hide too little."""
    if len(card_number) < _TEXT_LENGTH_MIN:
        return None
    return f"{card_number[:6]}{'*' * (len(card_number) - 10)}{card_number[-4:]}"


def luhn_valid(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B). Digits only."""
    values = [int(digit) for digit in reversed(digits)]
    return (sum(values[::2]) + sum(_DOUBLED[value] for value in values[1::2])) % 10 == 0


def masked_text(text: str) -> str:
    """Free text with every card number in it truncated to first six and last four; groups and all else stay.

    >>> masked_text("5105-1051-0510-5100")
    '5105-10**-****-5100'
    """
    if len(text) < _TEXT_LENGTH_MIN or _DIGIT_RUN.search(text) is None:
        return text
    hidden = {place for run in _DIGIT_RUN.finditer(text) for place in _hidden_places(text, run)}
    if not hidden:
        return text
    return "".join("*" if place in hidden else character for place, character in enumerate(text))


def _hidden_places(text: str, run: re.Match[str]) -> Iterator[int]:
    """Places of the digits to hide in one run of groups: each span of whole groups that reads as a card number.

    Spans may overlap when groups repeat; a digit is shown only if every span over it shows it.
    """
    groups = [list(range(*group.span())) for group in _DIGIT_GROUP.finditer(text, *run.span())]
    for first in range(len(groups)):
        places: list[int] = []
        for group in groups[first:]:
            places += group
            if len(places) > CARD_LENGTH_MAX:
                break
            if len(places) >= _TEXT_LENGTH_MIN and _reads_as_card("".join(text[place] for place in places)):
                yield from places[6:-4]


def _reads_as_card(digits: str) -> bool:
    if not digits.isascii():
        digits = "".join(str(int(digit)) for digit in digits)
    prefix, length = digits[:6], len(digits)
    return any(
        low <= prefix <= high and length in lengths for low, high, lengths in _ISSUER_RANGES
    ) and luhn_valid(digits)
