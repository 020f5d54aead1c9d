"""Values in American Express files: amounts with a sign before them or in their last digit, days of the year, cards.

Law: digits become minor units by the currency's own decimals, or the file is refused. A card number becomes a token and
its truncated form; one that American Express has masked stays truncated.
"""

import re
from datetime import date, timedelta
from functools import lru_cache
from typing import Final

from ledger_core.money import exponent_of, format_minor
from reconciliation.formats.canonical import CardTokens
from reconciliation.formats.card_numbers import truncated
from reconciliation.formats.values import difference_in_words, refused, shown

_MASKED_CARD: Final = re.compile(r"([0-9]{6})[X*]{2,9}([0-9]{4})", re.ASCII)
_OVERPUNCHED: Final = {
    **{character: (1, str(digit)) for digit, character in enumerate("{ABCDEFGHI")},
    **{character: (-1, str(digit)) for digit, character in enumerate("}JKLMNOPQR")},
    **{str(digit): (1, str(digit)) for digit in range(10)},
}
_EXPECTED_SIGNED: Final = "a blank or a minus and up to 15 digits"


def signed_minor(text: str, place: str) -> int:
    """Minor units of digits with a minus before them, or nothing; blank is zero. Code ``amount``.

    >>> signed_minor("-000000000000800", "SUMMARY, adjustment_amount")
    -800
    """
    digits = text.removeprefix("-")
    if digits.isdecimal() and digits.isascii() and len(digits) <= 18:
        return -int(digits) if digits is not text else int(digits)
    if not text:
        return 0
    raise refused("amount", place, _EXPECTED_SIGNED, shown(text))


def overpunched_minor(text: str, place: str) -> int:
    """Minor units of digits of which the last one carries the sign: ``{`` and A to I plus, ``}`` and J to R minus.

    >>> overpunched_minor("0000003450N", "SUBMISSION, gross_amount")
    -34505
    """
    last = _OVERPUNCHED.get(text[-1:])
    digits = text[:-1] + last[1] if last else ""
    if last is None or not (digits.isascii() and digits.isdecimal()) or len(digits) > 18:
        if not text:
            return 0
        raise refused(
            "amount", place, "digits, the last one overpunched with the sign ({ A-I, } J-R)", shown(text)
        )
    return last[0] * int(digits)


@lru_cache(maxsize=1024)
def year_day(text: str, place: str) -> date:
    """The date of seven digits YYYYDDD. Code ``date``.

    >>> year_day("2026320", "SUMMARY, payment_date")
    datetime.date(2026, 11, 16)
    """
    if len(text) == 7 and text.isascii() and text.isdecimal() and text[:4] != "0000":
        first, days = date(int(text[:4]), 1, 1), int(text[4:])
        if 1 <= days <= (366 if first.year % 4 == 0 and (first.year % 100 or first.year % 400 == 0) else 365):
            return first + timedelta(days=days - 1)
    raise refused("date", place, "a date as YYYYDDD", shown(text))


def card_of(text: str, tokens: CardTokens) -> tuple[str | None, str | None]:
    """Token and truncated form of a card number; of a masked one, the truncated form; of anything else, neither."""
    if text.isascii() and text.isdecimal() and 12 <= len(text) <= 19 and text.strip("0"):
        return tokens.token(text), truncated(text)
    matched = _MASKED_CARD.fullmatch(text)
    return None, f"{matched.group(1)}{'*' * (len(text) - 10)}{matched.group(2)}" if matched else None


def money(minor: int, asset: str) -> str:
    """An amount for people.

    >>> money(-80, "USD")
    '-0.80 USD'
    """
    return f"{format_minor(minor, exponent_of(asset))} {asset}"


def off_by(expected_minor: int, found_minor: int, asset: str) -> str:
    """A figure that was found, and how far it is off."""
    return f"{money(found_minor, asset)}, {difference_in_words(expected_minor, found_minor, asset)}"
