"""Amounts as integers of minor units: how many digits an asset has, text to integer, integer to text.

Law: an amount is an exact 64-bit integer from the first byte read, or it is an error. Nothing here rounds, guesses
a decimal mark, or knows a default exponent. Example: "12.34" EUR = 1234, "12.340" KWD = 12340, "12.00" JPY = 12.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from ledger_core.errors import AmountError, UnknownAssetError

MIN_AMOUNT_MINOR: Final = -(2**63) + 1  # one above the smallest bigint, so that every amount can be negated
MAX_AMOUNT_MINOR: Final = 2**63 - 1
MAX_EXPONENT: Final = 18  # 10**18 is the largest power of ten a bigint holds
_MAX_TEXT_LENGTH: Final = (
    40  # 19 digits, sign, mark and leading or trailing zeros; longer text is not an amount
)

# ISO 4217:2015, list one (maintenance agency SIX), as known in 2025; not compared with the agency's own file. Funds
# codes are included; metals and testing codes have no minor unit there and so none here.
_TWO_DIGITS: Final = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY COP
COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD
KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK
NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT
TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG
"""
# List three: withdrawn, still met in older statements.
_TWO_DIGITS_WITHDRAWN: Final = """
ANG ATS BYB CUC CYP DEM EEK FIM FRF GHC HRK IEP LTL LVL MRO MTL NLG ROL SKK SLL STD VEF ZMK ZWL
"""
_NO_DIGITS: Final = "BIF BYR CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE_DIGITS: Final = "BHD IQD JOD KWD LYD OMR TND"
_FOUR_DIGITS: Final = "CLF UYW"

ISO_4217_EXPONENTS: Final[Mapping[str, int]] = MappingProxyType(
    dict.fromkeys(_NO_DIGITS.split(), 0)
    | dict.fromkeys(_TWO_DIGITS.split() + _TWO_DIGITS_WITHDRAWN.split(), 2)
    | dict.fromkeys(_THREE_DIGITS.split(), 3)
    | dict.fromkeys(_FOUR_DIGITS.split(), 4)
)

_PATTERNS: Final = {
    mark: re.compile(rf"(-?)([0-9]+)(?:{re.escape(mark)}([0-9]+))?", re.ASCII) for mark in (".", ",")
}


def exponent_of(asset: str) -> int:
    """Number of minor digits of an ISO 4217 currency (0, 2, 3 or 4). Raises UnknownAssetError for anything else."""
    try:
        return ISO_4217_EXPONENTS[asset]
    except KeyError:
        raise UnknownAssetError(
            f"asset {asset[:16]!r} is not an ISO 4217 currency with minor units; define its exponent in the ledger"
        ) from None


def parse_amount_minor(text: str, exponent: int, *, decimal_mark: str = ".") -> int:
    """Read a plain decimal text as an integer of minor units.

    Accepted: an optional minus, ASCII digits, and optionally the mark followed by digits. Digits beyond the exponent
    must be zeros. Refused with AmountError: spaces, plus, grouping marks, exponents, a bare mark, other scripts'
    digits, anything outside 64 bits. The length is checked before any number is built.
    """
    if len(text) > _MAX_TEXT_LENGTH:
        raise AmountError(f"amount: expected at most {_MAX_TEXT_LENGTH} characters, found {len(text)}")
    pattern = _PATTERNS.get(decimal_mark)
    if pattern is None:
        raise AmountError(f"decimal mark: expected '.' or ',', found {decimal_mark!r}")
    matched = pattern.fullmatch(text)
    if matched is None:
        raise AmountError(f"amount: expected digits with {decimal_mark!r} as decimal mark, found {text!r}")
    sign, whole, fraction = matched.group(1), matched.group(2), matched.group(3) or ""
    kept, excess = fraction[: _checked(exponent)], fraction[exponent:]
    if excess.strip("0"):
        raise AmountError(f"amount: expected at most {exponent} decimals, found {text!r}")
    amount_minor = int(sign + whole + kept.ljust(exponent, "0"))
    if not MIN_AMOUNT_MINOR <= amount_minor <= MAX_AMOUNT_MINOR:
        raise AmountError(f"amount: {text!r} with {exponent} minor digits does not fit 64 bits")
    return amount_minor


def format_minor(amount_minor: int, exponent: int) -> str:
    """Write minor units as plain decimal text: (-5, 2) gives "-0.05". Reading it back gives the same integer."""
    digits = str(abs(amount_minor)).rjust(_checked(exponent) + 1, "0")
    sign = "-" if amount_minor < 0 else ""
    if exponent == 0:
        return sign + digits
    return f"{sign}{digits[:-exponent]}.{digits[-exponent:]}"


def _checked(exponent: int) -> int:
    if not 0 <= exponent <= MAX_EXPONENT:
        raise AmountError(f"exponent: expected 0 to {MAX_EXPONENT}, found {exponent}")
    return exponent
