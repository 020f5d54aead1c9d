"""Lines of an exchange: at the locked rate when it is held, with gain or loss against another when it settles.

Laws: what the customer pays and gets is computed once, at the locked rate, and is the same in both; every rounding
leaves the fraction with the house; each asset sums to zero, or there are no lines. Rates are between major units, as in
quotes, and exact. Pure: no database, no clock, no float.

With A minor units sold, in minor units of the target asset: the target account gets floor(A x locked), its position
gives floor(A x settlement), the gain is floor(A x (settlement - locked)), a loss where negative, and what is left of
the fractions, 0 or 1, is the rounding. So gain + rounding is exactly what the position gave and the target did not get.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final

from ledger_core.errors import OutOfRangeError, RequestError, UnbalancedEntryError
from ledger_core.money import MAX_AMOUNT_MINOR, MAX_EXPONENT
from ledger_core.posting import EntryLine

_RATE_DECIMALS: Final = 18  # what the ledger keeps of a rate; the rest would have to be rounded
_RATE_LIMIT: Final = 10**20


def minor_rate(rate: Decimal | int, from_exponent: int, to_exponent: int) -> Fraction:
    """Minor units of one asset for one minor unit of the other: a rate of 150 from EUR (2) to JPY (0) is 3/2.

    Raises RequestError for a rate that is not positive, below 10**20 and of at most 18 decimals, or an exponent outside
    0 to 18.
    """
    if type(rate) not in (Decimal, int) or not Decimal(rate).is_finite() or not 0 < rate < _RATE_LIMIT:
        raise RequestError(f"rate: expected a decimal number above 0 and below 10**20, found {rate!r}")
    exact = Fraction(rate)
    if 10**_RATE_DECIMALS % exact.denominator:
        raise RequestError(f"rate: expected at most {_RATE_DECIMALS} decimals, found {rate}")
    for exponent in (from_exponent, to_exponent):
        if not 0 <= exponent <= MAX_EXPONENT:
            raise RequestError(f"exponent: expected 0 to {MAX_EXPONENT}, found {exponent}")
    return exact * Fraction(10) ** (to_exponent - from_exponent)


def amount_needed(wanted_minor: int, rate: Decimal | int, from_exponent: int, to_exponent: int) -> int:
    """The least to sell, in minor units, that gives at least `wanted_minor` of the other asset."""
    return -int(-wanted_minor // minor_rate(rate, from_exponent, to_exponent))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """An asset of the exchange with its exponent, and the account of our position in it."""

    code: str
    exponent: int
    position: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What the customer pays on top, in the asset sold: a spread or a fee, on an account of its own."""

    kind: str
    account: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Legs:
    """Lines of one entry; cannot exist unless they sum to zero in each asset and fit 64 bits."""

    lines: tuple[EntryLine, ...]

    def __post_init__(self) -> None:
        totals: Counter[str] = Counter()
        for line in self.lines:
            totals[line.asset] += line.amount_minor
            if abs(line.amount_minor) > MAX_AMOUNT_MINOR:
                raise OutOfRangeError(
                    f"exchange: an amount of {line.asset} does not fit 64 bits of minor units"
                )
        for asset, total in totals.items():
            if total:
                raise UnbalancedEntryError(f"exchange: {asset} must sum to 0 minor units, found {total}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """`amount_minor` of one asset sold for another at a locked rate.

    `source` and `target` are what we owe the customer (credit accounts): the source is debited, the target credited.
    Gain and rounding are accounts in the target asset. Raises RequestError where an amount is not positive or too small
    to be worth one minor unit, OutOfRangeError where one does not fit 64 bits.
    """

    source: str
    target: str
    sold: Asset
    bought: Asset
    amount_minor: int
    locked_rate: Decimal
    gain: str
    rounding: str
    charges: tuple[Charge, ...] = ()

    def __post_init__(self) -> None:
        if self.sold.code == self.bought.code:
            raise RequestError(f"exchange: expected two assets, found {self.sold.code} twice")
        if min([self.amount_minor, *(charge.amount_minor for charge in self.charges)]) <= 0:
            raise RequestError("exchange: expected positive amounts of minor units")
        if self.target_minor < 1:
            raise RequestError(
                f"exchange: {self.amount_minor} minor units of {self.sold.code} are worth less than one of "
                f"{self.bought.code}"
            )
        self.hold()

    @property
    def source_minor(self) -> int:
        """What the customer pays in all."""
        return self.amount_minor + sum(charge.amount_minor for charge in self.charges)

    @property
    def target_minor(self) -> int:
        """What the customer gets: the value at the locked rate, without its fraction."""
        return int(self._value(self.locked_rate) // 1)

    def hold(self) -> Legs:
        """The lines to hold: all that the customer pays and gets, at the locked rate."""
        return Legs(self._customer(self.locked_rate, self.target_minor))

    def settlement(self, rate: Decimal) -> Legs:
        """The lines to settle, at the rate of the market now: those of the hold, gain or loss, and rounding."""
        value, locked = self._value(rate), self._value(self.locked_rate)
        given, gain = int(value // 1), int((value - locked) // 1)
        rounding = given - self.target_minor - gain
        house = [
            EntryLine(
                account=account, amount_minor=-amount_minor, asset=self.bought.code, detail={"kind": kind}
            )
            for account, kind, amount_minor in (
                (self.gain, "fx_gain" if gain > 0 else "fx_loss", gain),
                (self.rounding, "fx_rounding", rounding),
            )
            if amount_minor
        ]
        return Legs((*self._customer(rate, given), *house))

    def _value(self, rate: Decimal) -> Fraction:
        return self.amount_minor * minor_rate(rate, self.sold.exponent, self.bought.exponent)

    def _customer(self, rate: Decimal, given: int) -> tuple[EntryLine, ...]:
        sold, bought = self.sold, self.bought
        rated = {"kind": "fx_position", "fx_rate": str(rate)}
        took = {**rated, "fx_asset": bought.code, "fx_amount_minor": given}
        gave = {**rated, "fx_asset": sold.code, "fx_amount_minor": -self.amount_minor}
        rows: list[tuple[str, int, str, Mapping[str, object]]] = [
            (self.source, self.source_minor, sold.code, {"kind": "exchange"}),
            *((c.account, -c.amount_minor, sold.code, {"kind": c.kind}) for c in self.charges),
            (sold.position, -self.amount_minor, sold.code, took),
            (bought.position, given, bought.code, gave),
            (self.target, -self.target_minor, bought.code, {"kind": "exchange"}),
        ]
        return tuple(
            EntryLine(account=account, amount_minor=amount_minor, asset=asset, detail=detail)
            for account, amount_minor, asset, detail in rows
            if amount_minor
        )
