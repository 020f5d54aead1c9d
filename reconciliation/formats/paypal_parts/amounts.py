"""Amounts of PayPal's reports: unsigned digits, the direction beside them, the decimals implied.

Law: how many decimals are implied is proved or said, never guessed. PayPal's own example writes "100,00 yen" and 100.00
dollars both as 10000, which can be read both ways; its yen reports in public test data are written with two. For a
currency of other than two minor digits the setting ``implied_decimals`` says ``iso`` or ``2``; without it, one amount
that is no whole yen in hundredths proves ``iso``, and a file in which all of them could be either is refused.
"""

from typing import Final

from ledger_core.money import MAX_AMOUNT_MINOR, exponent_of
from reconciliation.errors import RefusedFile
from reconciliation.formats.values import asset_of, implied_minor, refused

CHOICES: Final = ("iso", "2")
_PLAIN_LENGTH_MAX: Final = 18
_REMEDY: Final = (
    "Compare one of these amounts with PayPal's web site and say it in the settings of this source: "
    "implied_decimals: iso (10000 is 10000 yen) or implied_decimals: 2 (10000 is 100 yen)."
)


class Amounts:
    """Reads digits as minor units; remembers which currencies could be read both ways."""

    def __init__(self, implied_decimals: str | None) -> None:
        self._said = implied_decimals
        self._decimals: dict[str, tuple[int, int]] = {}  # asset: implied decimals, exponent
        self._open: dict[str, str] = {}  # asset that could be either: the first place it stood

    def minor(self, digits: str, asset: str, place: str, field: str) -> int:
        """Minor units. Codes ``amount``, ``currency``.

        >>> Amounts("2").minor("15000", "JPY", "row 5", "Fee Amount")
        150
        """
        known = self._decimals.get(asset)
        if known == (2, 2) and digits.isdecimal() and len(digits) <= _PLAIN_LENGTH_MAX and digits.isascii():
            return int(digits)
        place = f"{place}, {field}"
        if known is None:
            known = self._decimals[asset] = self._decimals_of(asset, place)
        decimals, exponent = known
        minor = implied_minor(digits, place, decimals=decimals, exponent=exponent)
        if self._said is None and minor and exponent != 2:
            self._weigh(asset, minor, exponent, place)
        return minor

    def _decimals_of(self, asset: str, place: str) -> tuple[int, int]:
        exponent = exponent_of(asset_of(asset, place))
        return (2 if self._said == "2" else exponent), exponent

    def _weigh(self, asset: str, minor: int, exponent: int, place: str) -> None:
        if exponent < 2 and minor % 10 ** (2 - exponent):
            self._open[asset] = ""
        else:
            self._open.setdefault(asset, place)

    def undecided(self) -> RefusedFile | None:
        """The refusal of a file whose amounts could be read both ways; None if there is no doubt."""
        for asset, place in self._open.items():
            if place:
                expected = f"that the settings say how many decimals PayPal implies for {asset}"
                return refused(
                    "currency", place, expected, "nothing, and amounts that could be both", _REMEDY
                )
        return None


def within_bounds(total: int, place: str) -> int:
    """A sum that fits 64 bits. Code ``amount``."""
    if abs(total) > MAX_AMOUNT_MINOR:
        raise refused("amount", place, "a sum within 64 bits", "more")
    return total
