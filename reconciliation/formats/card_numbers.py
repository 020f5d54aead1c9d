"""Card numbers leave the product's memory at the parser's edge: keyed token, truncated form, masked free text.

Law: no full card number is stored, logged or shown, and nobody without the key can test a guessed number against a
token. The keys come from the shell and live outside the database; this module neither finds nor keeps them anywhere.

What counts as a card number in free text: 13 to 19 digits, in one run or in groups parted by one space or hyphen, with
a length and prefix that a card scheme issues and a good Luhn digit. A group of more than 19 digits is a reference (a
23-digit acquirer reference number, a 25-digit file id) and stays as it is, so references survive. An IBAN or an order
number may read as a card number by chance (one in ten of those with a fitting prefix): its middle is masked too.

Sensitive authentication data (tracks of the magnetic stripe, card verification codes) may not be kept after a payment
is authorised, not even encrypted (PCI DSS 4.0.1, requirement 3.3). A text that a reader masks refuses its file when it
holds any: ``KeyedCardTokens.masked`` raises, so that no reader can forget it. ``masked_text`` blots it out instead, for
what is shown to people.

>>> masked_text("paid with 5555 5555 5555 4444, ref 74537604221431003881865")
'paid with 5555 55** **** 4444, ref 74537604221431003881865'
>>> masked_text("5555555555554444=29121010000012300000")
'555555******4444*********************'
"""

import hashlib
import hmac
import re
from collections.abc import Iterable
from typing import Final, NoReturn

from reconciliation.errors import RefusedFile

KEY_LENGTH_MIN: Final = 32  # bytes; shorter than the digest would be the weakest part (RFC 2104, section 3)
CARD_LENGTH_MIN: Final = 12  # Maestro; ISO/IEC 7812 allows up to 19
CARD_LENGTH_MAX: Final = 19
TEXT_PLACE: Final = "a text of the file"
"""Place of a refusal by ``KeyedCardTokens.masked``, which knows no other; a reader may put the record before it."""

_VERSION: Final = "v1"
_TOKEN_BYTES: Final = (
    20  # 160 bits of the digest; base32, because long runs of digits in hex look like card numbers
)
_BASE32: Final = "abcdefghijklmnopqrstuvwxyz234567"
_BASE32_PAIRS: Final = tuple(first + second for first in _BASE32 for second in _BASE32)  # ten bits each
_SHIFTS: Final = tuple(range(8 * _TOKEN_BYTES - 10, -1, -10))
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

_LENGTHS: Final = {
    f"{prefix:04d}": lengths
    for low, high, lengths in _ISSUER_RANGES
    for prefix in range(int(low[:4]), int(high[:4]) + 1)
}
"""Lengths that are issued, by the first four digits: every range begins and ends at a full hundred."""

_BETWEEN: Final = " \u00a0\u202f\\-\u2010\u2011\u2012\u2013"
_ASCII_SUSPECT: Final = re.compile(r"[0-9][0-9 -]{11,}[0-9]")
_SUSPECT: Final = re.compile(rf"\d[\d{_BETWEEN}]{{11,}}\d")
_DIGIT_RUN: Final = re.compile(rf"\d(?:[{_BETWEEN}]?\d){{{_TEXT_LENGTH_MIN - 1},}}")
_DIGIT_GROUP: Final = re.compile(r"\d+")
_CARD_DIGITS: Final = re.compile(rf"[0-9]{{{CARD_LENGTH_MIN},{CARD_LENGTH_MAX}}}", re.ASCII)
_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)  # a doubled digit, less nine when it has two
_LUHN_PAIRS: Final = {f"{pair:02d}": _DOUBLED[pair // 10] + pair % 10 for pair in range(100)}

# After the number: a separator, expiry YYMM, a service code of three digits, then what the issuer put there.
_TRACK_2_REST: Final = re.compile(r"[=Dd]\d\d(?:0[1-9]|1[0-2])\d{3}[0-9A-F]*\??")
_TRACK_1_REST: Final = re.compile(r"\^[^^\n]{2,26}\^(?:\d\d(?:0[1-9]|1[0-2])\d{3}|\^)[^?\n]{0,60}\??")
_VERIFICATION: Final = re.compile(
    r"\b(?:cvv2?|cvc2|cav2|cvn2|card verification (?:code|number|value))[\s:=#.-]{1,3}\d{3,4}(?![\d%])",
    re.IGNORECASE,
)
_VERIFICATION_OF_A_CARD: Final = re.compile(
    r"\b(?:cvc|cvn|cid|csc|security code)[\s:=#.-]{1,3}\d{3,4}(?![\d%])", re.IGNORECASE
)
"""Labels that mean other things too, so that they count only beside a card number."""


class KeyedCardTokens:
    """Card tokens under the newest key: equal numbers give equal tokens, another key gives another token.

    A token reads ``v1:<key id>:<base32>``: 160 bits of HMAC-SHA-256 over the digits. The key id is a digest of the
    key: tokens of the ``older`` keys (newest first) are recognised by it when keys were rotated, and ``tokens`` gives
    what a card was called under each of them. Keys under 32 bytes are a ValueError.

    >>> tokens = KeyedCardTokens(bytes(range(32)))
    >>> tokens.token("5555555555554444").split(":")[:2] == ["v1", tokens.key_id]
    True
    """

    __slots__ = ("_digests", "_prefix", "key_id")

    def __init__(self, key: bytes, *older: bytes) -> None:
        for one in (key, *older):
            if len(one) < KEY_LENGTH_MIN:
                raise ValueError(f"card key: expected at least {KEY_LENGTH_MIN} bytes, found {len(one)}")
        self._digests = {key_id_of(one): _KeyedDigest(one) for one in (key, *older)}
        self.key_id = key_id_of(key)
        self._prefix = f"{_VERSION}:{self.key_id}:"

    @property
    def key_ids(self) -> tuple[str, ...]:
        """Ids of all keys, newest first."""
        return tuple(self._digests)

    def token(self, card_number: str) -> str:
        """Token of 12 to 19 ASCII digits; anything else is a ValueError that does not repeat the text."""
        if _CARD_DIGITS.fullmatch(card_number) is None:
            raise ValueError(
                f"card number: expected {CARD_LENGTH_MIN} to {CARD_LENGTH_MAX} digits, "
                f"found {len(card_number)} characters that are not that"
            )
        return self._prefix + self._digests[self.key_id].of(card_number)

    def tokens(self, card_number: str) -> tuple[str, ...]:
        """The card's token under every key, newest first: by these its lines are found whenever they were read."""
        newest = self.token(card_number)
        older = (
            f"{_VERSION}:{key_id}:{digest.of(card_number)}"
            for key_id, digest in self._digests.items()
            if key_id != self.key_id
        )
        return (newest, *older)

    def recognises(self, token: str) -> bool:
        """Whether the token was made under one of these keys, as far as its key id tells."""
        version, _, rest = token.partition(":")
        return version == _VERSION and rest.partition(":")[0] in self._digests

    def masked(self, text: str) -> str:
        """Free text with every card number truncated; see ``masked_text``.

        Raises:
            RefusedFile: the text holds track data or a card verification code (code ``sensitive_data``).
        """
        if len(text) < _LABELLED_LENGTH_MIN or is_harmless(text):
            return text
        masked, sensitive = _masked(text)
        if sensitive is not None:
            raise RefusedFile(
                code="sensitive_data",
                place=TEXT_PLACE,
                expected="no sensitive authentication data",
                found=sensitive,
                remedy="Destroy this copy of the file and tell whoever sent it; "
                "a file without such data can be taken in.",
            )
        return masked

    def __repr__(self) -> str:
        return f"KeyedCardTokens(key_id={self.key_id!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("card tokens hold a key and are not copied or pickled")


def placed(refusal: RefusedFile, place: str) -> RefusedFile:
    """A refusal by ``masked`` with the record before its place; any other as it is."""
    if refusal.place != TEXT_PLACE:
        return refusal
    return RefusedFile(
        code=refusal.code,
        place=f"{place}, {TEXT_PLACE}",
        expected=refusal.expected,
        found=refusal.found,
        remedy=refusal.remedy,
    )


def key_id_of(key: bytes) -> str:
    """The public name of a key: eight hex digits of a digest, by which its tokens are recognised."""
    return hmac.digest(key, b"tieout key id", "sha256").hex()[:8]


def truncated(card_number: str) -> str | None:
    """First six and last four digits with asterisks between; None under 13 digits, where that would hide too little."""
    if len(card_number) < _TEXT_LENGTH_MIN:
        return None
    return f"{card_number[:6]}{'*' * (len(card_number) - 10)}{card_number[-4:]}"


def luhn_valid(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B). ASCII digits only."""
    if len(digits) % 2:
        digits = "0" + digits
    return sum([_LUHN_PAIRS[digits[at : at + 2]] for at in range(0, len(digits), 2)]) % 10 == 0


def reads_as_card(digits: str) -> bool:
    """Whether 13 to 19 ASCII digits have a prefix and length that a scheme issues, and a good check digit."""
    lengths = _LENGTHS.get(digits[:4])
    return lengths is not None and len(digits) in lengths and luhn_valid(digits)


def masked_text(text: str) -> str:
    """Free text with every card number in it truncated to first six and last four; groups and all else stay.

    Track data loses all that follows the number, a labelled verification code its digits. Never raises.

    >>> masked_text("5105-1051-0510-5100")
    '5105-10**-****-5100'
    """
    return text if is_harmless(text) else _masked(text)[0]


def holds_track_data(text: str) -> str | None:
    """What sensitive authentication data a text holds, in words; None if it holds none.

    >>> holds_track_data("%B5555555555554444^DOE/JANE^29121010000012300000?")
    'track 1 data'
    >>> holds_track_data("CVV2: 123")
    'a card verification code'
    """
    return _masked(text)[1]


class _KeyedDigest:
    """HMAC-SHA-256 (RFC 2104) whose two keyed beginnings are computed once: every card of a file goes by."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        block = (key if len(key) <= 64 else hashlib.sha256(key).digest()).ljust(64, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block) + b"tieout card number ")
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    def of(self, card_number: str) -> str:
        """The first 160 bits in base32."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(card_number.encode())
        outer.update(inner.digest())
        bits = int.from_bytes(outer.digest()[:_TOKEN_BYTES])
        return "".join([_BASE32_PAIRS[bits >> shift & 1023] for shift in _SHIFTS])


_LABELLED_LENGTH_MIN: Final = len(
    "CVV 123"
)  # nothing shorter is masked: many fields are codes of a few characters


def is_harmless(text: str) -> bool:
    """Whether a quick look proves that there is nothing to mask, as in nearly every text: it goes by every field."""
    if (_ASCII_SUSPECT if text.isascii() else _SUSPECT).search(text) is not None:
        return len(text) > CARD_LENGTH_MAX and text.isdecimal()
    return not _may_be_labelled(text)


def are_harmless(texts: Iterable[str]) -> bool:
    """Whether one quick look proves that several texts have nothing to mask and are printable.

    >>> are_harmless(["TERM0001", "632015000001"]), are_harmless(["TERM0001", "4111111111111111"])
    (True, False)
    """
    joined = "|".join(texts)  # a mark that no run of digits and no label goes across
    return joined.isprintable() and is_harmless(joined)


def _may_be_labelled(text: str) -> bool:
    lowered = text.lower()
    return "cv" in lowered or "av2" in lowered or "verification" in lowered


def _masked(text: str) -> tuple[str, str | None]:
    """The text without card numbers, and what sensitive data it held."""
    spans, sensitive = hidden_spans(text)
    if not spans:
        return text, None
    characters = list(text)
    for start, end in spans:
        characters[start:end] = "*" * (end - start)
    return "".join(characters), sensitive


def hidden_spans(
    text: str, digit_run: re.Pattern[str] = _DIGIT_RUN
) -> tuple[list[tuple[int, int]], str | None]:
    """Places to overwrite so that no card number and no sensitive data stays, and which of the latter there is.

    ``digit_run`` says what a run of groups is, for texts whose groups are parted otherwise. Spans may overlap.

    >>> hidden_spans("card 5555555555554444")
    ([(11, 17)], None)
    """
    sensitive: str | None = None
    spans: list[tuple[int, int]] = []
    for run in digit_run.finditer(text):
        for hidden, end in _cards_in(text, run):
            spans += hidden
            rest, found = _track_after(text, end)
            if found is not None:
                spans.append(rest)
                sensitive = found
    codes = verification_codes(text, beside_card=bool(spans))
    if codes:
        spans += codes
        sensitive = sensitive or "a card verification code"
    return spans, sensitive


def verification_codes(text: str, *, beside_card: bool) -> list[tuple[int, int]]:
    """Places of labelled verification codes; beside a card number, labels count too that mean other things else."""
    labels = [*_VERIFICATION.finditer(text)] if _may_be_labelled(text) else []
    labels += _VERIFICATION_OF_A_CARD.finditer(text) if beside_card else ()
    return [
        group.span()
        for label in labels
        for group in _DIGIT_GROUP.finditer(text, label.end() - 4, label.end())
    ]


def _cards_in(text: str, run: re.Match[str]) -> list[tuple[list[tuple[int, int]], int]]:
    """Each span of whole groups of a run that reads as a card number: what to hide of it, and its end.

    Spans may overlap when groups repeat; a digit is shown only if every span over it shows it.
    """
    start, end = run.span()
    if text[start:end].isdecimal():  # one group: by far the most frequent
        single = end - start <= CARD_LENGTH_MAX and reads_as_card(_ascii(text[start:end]))
        return [([(start + 6, end - 4)], end)] if single else []
    cards: list[tuple[list[tuple[int, int]], int]] = []
    groups = [group.span() for group in _DIGIT_GROUP.finditer(text, start, end)]
    for first in range(len(groups)):
        digits = ""
        for last in range(first, len(groups)):
            digits += text[slice(*groups[last])]
            if len(digits) > CARD_LENGTH_MAX:
                break
            if len(digits) >= _TEXT_LENGTH_MIN and reads_as_card(_ascii(digits)):
                places = [place for group in groups[first : last + 1] for place in range(*group)]
                cards.append(([(place, place + 1) for place in places[6:-4]], groups[last][1]))
    return cards


def _track_after(text: str, end: int) -> tuple[tuple[int, int], str | None]:
    """Where the rest of a track lies that follows a card number, and which track it is."""
    mark = text[end : end + 1]
    if mark and mark in "=Dd":
        track_2 = _TRACK_2_REST.match(text, end)
        if track_2 is not None:
            return track_2.span(), "track 2 data"
    elif mark == "^":
        track_1 = _TRACK_1_REST.match(text, end)
        if track_1 is not None:
            return track_1.span(), "track 1 data"
    return (end, end), None


def _ascii(digits: str) -> str:
    return digits if digits.isascii() else "".join(str(int(digit)) for digit in digits)
