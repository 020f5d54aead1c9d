"""Small values that many standards share: amounts, assets, dates, rates, references, fees; and their refusals.

Law: text becomes a value by a plain grammar with a length limit, or the file is refused with place, expected and found.
Nothing here rounds, guesses or knows a standard. No refusal shows more than forty characters of a field; the caller
masks card numbers in what it shows.
"""

import re
from collections.abc import Iterable
from datetime import date
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Final

from ledger_core.errors import AmountError, UnknownAssetError
from ledger_core.money import (
    ISO_4217_EXPONENTS,
    MAX_AMOUNT_MINOR,
    exponent_of,
    format_minor,
    parse_amount_minor,
)
from reconciliation.errors import RefusedFile
from reconciliation.vocabulary import FEE_TYPES, OTHER_REFERENCES

ASK_AGAIN: Final = "Ask the sender for a corrected file."

_FOUND_LENGTH_MAX: Final = 40
_DIGITS: Final = re.compile(r"[0-9]{1,18}", re.ASCII)
_ASSET: Final = re.compile(r"[A-Z]{3}", re.ASCII)
_RATE: Final = re.compile(r"[0-9]{0,9}(?:[.,][0-9]{0,16})?", re.ASCII)
_PLAIN_LENGTH_MAX: Final = 18  # fits 64 bits whatever the digits
_RATE_TERM_MAX: Final = 2**63 - 1
_NOT_PROVIDED: Final = frozenset(
    {"NOTPROVIDED", "NOT PROVIDED", "NONREF", "NOREF", "NOTAVAILABLE", "N/A", "NULL", "NONE"}
)
_RATIOS: Final = (10, 100, 1000)


def refused(code: str, place: str, expected: str, found: str, remedy: str = ASK_AGAIN) -> RefusedFile:
    """``RefusedFile`` by position, for a module that raises many."""
    return RefusedFile(code=code, place=place, expected=expected, found=found, remedy=remedy)


def shown(text: str | None) -> str:
    """A field as a refusal may show it: quoted, at most forty characters."""
    return "nothing" if not text else repr(text[:_FOUND_LENGTH_MAX])


@lru_cache(maxsize=512)
def asset_of(text: str | None, place: str) -> str:
    """An ISO 4217 code in capitals, as it is. Code ``currency``."""
    if text is not None and _ASSET.fullmatch(text):
        try:
            exponent_of(text)
        except UnknownAssetError:
            pass
        else:
            return text
    raise refused("currency", place, "an ISO 4217 currency", shown(text))


def minor_of(text: str | None, asset: str, place: str, *, decimal_mark: str = ".") -> int:
    """Minor units of a plain decimal text, with a minus or without. Codes ``amount``, ``currency``.

    >>> minor_of("12,5", "EUR", "row 1", decimal_mark=",")
    1250
    """
    exponent = ISO_4217_EXPONENTS.get(asset)
    if text and exponent is not None and len(text) <= _PLAIN_LENGTH_MAX and text.isascii():
        # as most amounts are: no sign, all their decimals
        whole, mark, fraction = text.partition(decimal_mark)
        decimals = fraction.isdecimal() if mark else not exponent
        if decimals and whole.isdecimal() and len(fraction) == exponent:
            return int(whole + fraction)
    try:
        exponent = exponent_of(asset)
        return parse_amount_minor(text or "", exponent, decimal_mark=decimal_mark)
    except UnknownAssetError:
        raise refused("currency", place, "an ISO 4217 currency", shown(asset)) from None
    except AmountError:
        raise refused(
            "amount",
            place,
            f"plain digits with at most {exponent} decimals of {asset}, within 64 bits",
            shown(text),
        ) from None


def implied_minor(digits: str, place: str, *, decimals: int, exponent: int) -> int:
    """Minor units of unsigned digits with so many implied decimals, which may be more or fewer than the asset has.

    Code ``amount`` for anything but 1 to 18 digits, and where decimals beyond the exponent are not zero.

    >>> implied_minor("000000012500", "record 2", decimals=3, exponent=2)
    1250
    """
    if _DIGITS.fullmatch(digits) is None:
        raise refused("amount", place, "1 to 18 digits", shown(digits))
    number = int(digits)
    if decimals <= exponent:
        minor: int = number * 10 ** (exponent - decimals)
    else:
        minor, excess = divmod(number, 10 ** (decimals - exponent))
        if excess:
            raise refused("amount", place, f"at most {exponent} decimals", f"{decimals} in {shown(digits)}")
    if minor > MAX_AMOUNT_MINOR:
        raise refused("amount", place, "an amount within 64 bits", shown(digits))
    return minor


def day_of(text: str, place: str, *, expected: str = "a date") -> date:
    """The date of eight digits YYYYMMDD or of YYYY-MM-DD. Code ``date``."""
    day = _plain_day(text)
    if day is None:
        raise refused("date", place, expected, shown(text))
    return day


def short_day_of(text: str, place: str, *, expected: str = "a date as YYMMDD") -> date:
    """The date of six digits YYMMDD; 80 to 99 are of the last century. Code ``date``."""
    century = "19" if text[:2] >= "80" else "20"
    day = _plain_day(century + text) if len(text) == 6 else None
    if day is None:
        raise refused("date", place, expected, shown(text))
    return day


@lru_cache(maxsize=4096)
def _plain_day(text: str) -> date | None:
    compact = text.replace("-", "") if len(text) == 10 and text[4] == text[7] == "-" else text
    if len(compact) != 8 or not (compact.isascii() and compact.isdecimal()):
        return None
    try:
        return date(int(compact[:4]), int(compact[4:6]), int(compact[6:]))
    except ValueError:
        return None


def exact_rate(text: str | None) -> tuple[int, int] | None:
    """A decimal text as a fraction in lowest decimal terms; None for anything that is not a positive plain decimal.

    >>> exact_rate("1.0875")
    (10875, 10000)
    """
    if not text or _RATE.fullmatch(text) is None:
        return None
    whole, _, fraction = text.replace(",", ".").partition(".")
    fraction = fraction.rstrip("0")
    if not (whole + fraction).strip("0"):
        return None
    numerator, denominator = int(whole + fraction), 10 ** len(fraction)
    return (numerator, denominator) if numerator <= _RATE_TERM_MAX else None


def reference(text: str | None) -> str | None:
    """A reference without the blanks around it, or None where the sender wrote that there is none.

    >>> reference("NONREF") is None
    True
    """
    stripped = text.strip() if text else ""
    return None if not stripped or stripped.upper() in _NOT_PROVIDED else stripped


def joined(parts: Iterable[str | None]) -> str | None:
    """Distinct parts in order of first appearance, one per line; None if there are none."""
    return "\n".join(dict.fromkeys(part for part in parts if part)) or None


def fees_json(fees: Iterable[tuple[str, int, str, bool]]) -> str | None:
    """Fees as JSON: type, minor units (positive: we paid it), asset, whether the line's amount has it inside already.

    >>> fees_json([("interchange", 12, "EUR", True)])
    '[{"amount_minor":12,"asset":"EUR","included":true,"type":"interchange"}]'
    """
    rows: list[str] = []
    for kind, amount_minor, asset, included in fees:
        if kind not in FEE_TYPES:
            raise KeyError(f"not a type of fee: {kind}")
        flag = "true" if included else "false"
        rows.append(
            f'{{"amount_minor":{amount_minor},"asset":{encode_basestring(asset)},"included":{flag},"type":"{kind}"}}'
        )
    return f"[{','.join(rows)}]" if rows else None


def other_refs_json(**references: str | None) -> str | None:
    """References beyond the ledger's own columns as JSON, by the names of ``OTHER_REFERENCES``; empty ones left out."""
    if not OTHER_REFERENCES.issuperset(references):
        raise KeyError(f"not references: {sorted(references.keys() - OTHER_REFERENCES)}")
    given = [f'"{name}":{encode_basestring(text)}' for name, text in sorted(references.items()) if text]
    return f"{{{','.join(given)}}}" if given else None


def difference_in_words(expected_minor: int, found_minor: int, asset: str) -> str:
    """How far a total is off, and the ratio that tells of wrong minor digits where there is one.

    >>> difference_in_words(1250, 125000, "EUR")
    'a difference of 1237.50 EUR; it is 100 times what was expected, which points to wrong minor digits'
    """
    exponent = exponent_of(asset)
    words = f"a difference of {format_minor(found_minor - expected_minor, exponent)} {asset}"
    for ratio in _RATIOS:
        if expected_minor and found_minor == expected_minor * ratio:
            return f"{words}; it is {ratio} times what was expected, which points to wrong minor digits"
        if found_minor and expected_minor == found_minor * ratio:
            return f"{words}; it is one {ratio}th of what was expected, which points to wrong minor digits"
    return words
