"""Amount before conversion, charges and rate of an MT entry, where it tells them (OCMT, CHGS, EXCH; OAMT, COAM).

Law: these are words of the bank, so that arithmetic says what they mean: a charge is in the amount only if original and
charge give the amount, and a rate has the direction in which the original gives the amount; else both stay open. What
is not a plain amount is left alone: it cannot refuse a file.

>>> exchange_of({"original_amount": "USD11,00", "exchange_rate": "1,1"}, 1000, "EUR")
(0, None, 1100, 'USD', '1.1', 10, 11)
"""

import re
from math import gcd
from typing import Final

from ledger_core.money import ISO_4217_EXPONENTS
from reconciliation.formats.values import exact_rate, fees_json

Exchange = tuple[int, str | None, int | None, str | None, str | None, int | None, int | None]
"""fee_minor, fees, original_amount_minor, original_asset, fx_rate, fx_numerator, fx_denominator."""

_AMOUNT: Final = re.compile(r"([A-Z]{3})? ?([0-9]{1,15})(?:[,.]([0-9]{0,5}))?", re.ASCII)


def exchange_of(details: dict[str, str], line_minor: int, asset: str) -> Exchange:
    """What the bank tells of an entry of ``line_minor`` (signed) in ``asset``."""
    sign = -1 if line_minor < 0 else 1
    original = _amount(details.get("original_amount"), asset)
    charge = _amount(details.get("charges"), asset)
    original_minor, original_asset = original or (None, None)
    rate_text = details.get("exchange_rate", "").strip(" /").replace(",", ".") or None
    rate = exact_rate(rate_text)
    charge_minor = charge[0] if charge is not None and charge[1] == asset else 0
    net_minor = abs(line_minor) - charge_minor if sign < 0 else abs(line_minor) + charge_minor
    included = charge_minor > 0 and original_asset == asset and original_minor == net_minor
    numerator = denominator = None
    if rate is not None and original is not None and original[1] != asset:
        for gross_minor in dict.fromkeys((abs(line_minor), net_minor)):
            fraction = _direction(rate, original, gross_minor, asset)
            if fraction is not None:
                numerator, denominator = fraction
                included = included or (charge_minor > 0 and gross_minor == net_minor)
                break
    fees = (
        fees_json([("charge", charge[0], charge[1], included)]) if charge is not None and charge[0] else None
    )
    is_other = original_minor is not None and original_asset != asset
    return (
        charge_minor if included else 0,
        fees,
        sign * original_minor if is_other and original_minor is not None else None,
        original_asset if is_other else None,
        rate_text if rate is not None else None,
        numerator,
        denominator,
    )


def _amount(text: str | None, asset: str) -> tuple[int, str] | None:
    """Minor units and asset; the line's own asset where none is named."""
    matched = _AMOUNT.fullmatch(text.strip(" /")) if text else None
    if matched is None:
        return None
    named = matched.group(1) or asset
    exponent, decimals = ISO_4217_EXPONENTS.get(named), matched.group(3) or ""
    if exponent is None or decimals[exponent:].strip("0"):
        return None
    return int(matched.group(2) + decimals[:exponent].ljust(exponent, "0")), named


def _direction(
    rate: tuple[int, int], original: tuple[int, str], gross_minor: int, asset: str
) -> tuple[int, int] | None:
    """Numerator and denominator by which the original gives the amount to the last unit; None if neither way does."""
    original_minor, original_asset = original
    shift = ISO_4217_EXPONENTS[asset] - ISO_4217_EXPONENTS[original_asset]
    for numerator, denominator in (rate, rate[::-1]):
        over = original_minor * numerator * 10 ** max(shift, 0)
        under = denominator * 10 ** max(-shift, 0)
        if abs(2 * over - 2 * gross_minor * under) <= under:  # the nearest unit
            common = gcd(numerator, denominator)
            return numerator // common, denominator // common
    return None
