"""Conversion rates as card schemes write them: a digit that counts decimals, then seven digits.

Law: a rate becomes a fraction only in the direction in which it makes our amount of the other one; where it does so
neither way the fraction is left out, since a wrong direction is worse than none.
"""

from functools import lru_cache
from typing import Final

from ledger_core.money import exponent_of
from reconciliation.formats.values import exact_rate

Amount = tuple[int, str]
"""Minor units and asset."""

_SLACK: Final = 1_000
"""A rate of seven digits joins two amounts within a thousandth, one minor unit aside; turned round it does not."""


@lru_cache(maxsize=4096)
def decimal_rate(digits: str) -> tuple[str, tuple[int, int] | None]:
    """Eight digits as plain decimal text and as a fraction, None where that is zero.

    >>> decimal_rate("61234567")
    ('1.234567', (1234567, 1000000))
    """
    decimals, number = int(digits[0]), digits[1:]
    if decimals == 0:
        rate = number.lstrip("0") or "0"
    else:
        number = number.rjust(decimals + 1, "0")
        rate = f"{number[:-decimals].lstrip('0') or '0'}.{number[-decimals:]}"
    return rate, exact_rate(rate)


def directed(fraction: tuple[int, int], original: Amount, own: Amount) -> tuple[int, int] | None:
    """The fraction, turned round if need be, that makes our amount of the original one, in major units.

    >>> directed((4, 5), (1000, "USD"), (800, "EUR"))
    (4, 5)
    >>> directed((5, 4), (1000, "USD"), (800, "EUR"))
    (4, 5)
    >>> directed((9, 4), (1000, "USD"), (800, "EUR")) is None
    True
    """
    numerator, denominator = fraction
    unit = 10 ** exponent_of(original[1])
    amount, paid = own[0] * unit, original[0] * 10 ** exponent_of(own[1])
    slack = amount // _SLACK + unit
    if abs(paid * numerator - amount * denominator) <= slack * denominator:
        return numerator, denominator
    if abs(paid * denominator - amount * numerator) <= slack * numerator:
        return denominator, numerator
    return None
