"""Amounts, currencies and rates of IPM elements: from characters to numbers, or a refusal with the element's place.

Law: digits only, the file's exponents must be ISO 4217's, and a rate's direction is proved by the amounts it joins.
"""

from reconciliation.errors import RefusedFile
from reconciliation.formats.card_rates import Amount, decimal_rate, directed
from reconciliation.formats.currency_numbers import ASSETS_BY_NUMBER
from reconciliation.formats.mastercard_parts.framing import ASK_AGAIN, refused
from reconciliation.formats.mastercard_parts.messages import Message


def required(message: Message, element: int) -> str:
    """An element that the message must have. Code ``structure``."""
    try:
        return message.elements[element]
    except KeyError:
        raise refused(
            code="structure",
            place=f"record {message.record_no} ({message.message_type})",
            expected=f"DE {element}",
            found="none in the message",
        ) from None


def digits_of(message: Message, element: int) -> int:
    """A numeric element as an integer; refuses anything but ASCII digits. DE 4 "000000010000" gives 10000."""
    text = message.elements.get(element)
    if text is None:
        text = required(message, element)
    if not (text.isascii() and text.isdecimal()):
        raise refused(
            code="amount",
            place=f"record {message.record_no}, DE {element}",
            expected=f"{len(text)} digits",
            found="other characters",
        )
    return int(text)


def asset_of(number: str, message: Message, field: str) -> str:
    """The asset of a numeric currency code. Code ``currency``."""
    try:
        return ASSETS_BY_NUMBER[number][0]
    except KeyError:
        raise refused(
            code="currency",
            place=f"record {message.record_no}, {field}",
            expected="a numeric currency code of ISO 4217",
            found=repr(number),
        ) from None


def proved_exponents(exponents: str, record_no: int) -> frozenset[str]:
    """Currencies of PDS 0148, each stated with the exponent that ISO 4217 gives it."""
    place = f"record {record_no}, PDS 0148"
    if len(exponents) % 4 or not (exponents.isascii() and exponents.isdecimal()):
        raise refused(
            code="structure",
            place=place,
            expected="groups of three digits of currency and one of exponent",
            found="something else",
        )
    stated = {exponents[at : at + 3]: int(exponents[at + 3]) for at in range(0, len(exponents), 4)}
    for number, exponent in stated.items():
        if number in ASSETS_BY_NUMBER and ASSETS_BY_NUMBER[number][1] != exponent:
            asset, known = ASSETS_BY_NUMBER[number]
            raise refused(
                code="currency",
                place=place,
                expected=f"{known} decimals for {asset} (ISO 4217)",
                found=f"{exponent}: amounts would be wrong by a factor of {10 ** abs(known - exponent):,}",
                remedy="Ask the sender which is meant; nothing of the file was loaded.",
            )
    return frozenset(stated)


def rate_between(
    message: Message, element: int, original: Amount, own: Amount
) -> tuple[str | None, int | None, int | None]:
    """A rate as decimal text, and as the fraction that makes our amount of the original one, if it does either way."""
    text = message.elements.get(element)
    if text is None:
        return None, None, None
    digits_of(message, element)
    rate, fraction = decimal_rate(text)
    joined = None if fraction is None else directed(fraction, original, own)
    return (rate, *joined) if joined is not None else (rate, None, None)


def refused_field(
    message: Message, tag: str, expected: str, found: str, remedy: str = ASK_AGAIN
) -> RefusedFile:
    """A refusal of a private data subelement that an amount depends on."""
    return refused(
        code="amount",
        place=f"record {message.record_no}, PDS {tag}",
        expected=expected,
        found=found,
        remedy=remedy,
    )
