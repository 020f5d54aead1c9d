"""What the rows of a section add up to, and what its footers say they add up to.

Law: every total, count and balance that a footer states is demanded. opening + credits - debits - fees charged + fees
given back = closing, by the available balance; every row that moves money is in it, holds and their releases too.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from ledger_core.money import exponent_of, format_minor
from reconciliation.errors import RefusedFile
from reconciliation.formats.paypal_parts.amounts import Amounts, within_bounds
from reconciliation.formats.paypal_parts.lines import Figures
from reconciliation.formats.values import difference_in_words, refused, shown

Demand = Callable[[RefusedFile], str]

_COUNT_LENGTH_MAX: Final = 18
_REMEDY: Final = "Fetch the report again from PayPal; if it says the same, ask PayPal."


@dataclass(slots=True)
class Part:
    """The rows of one currency in a section."""

    statement_no: int
    row_count: int = 0  # whatever their status
    line_count: int = 0  # booked
    credit_minor: int = 0
    debit_minor: int = 0
    fee_credit_minor: int = 0
    fee_debit_minor: int = 0
    first_date: date | None = None
    last_date: date | None = None

    @property
    def movement_minor(self) -> int:
        """Effect of the booked rows on the balance."""
        return self.credit_minor - self.debit_minor + self.fee_credit_minor - self.fee_debit_minor

    @property
    def totals(self) -> tuple[int, int, int, int]:
        """Credits, debits, fees given back, fees charged."""
        return self.credit_minor, self.debit_minor, self.fee_credit_minor, self.fee_debit_minor

    def add(self, figures: Figures) -> None:
        """Count one row."""
        _, booked, gross_minor, fee_minor, booking_date = figures
        self.row_count += 1
        if self.first_date is None or self.last_date is None:
            self.first_date = self.last_date = booking_date
        elif booking_date < self.first_date:
            self.first_date = booking_date
        elif booking_date > self.last_date:
            self.last_date = booking_date
        if not booked:
            return
        self.line_count += 1
        if gross_minor >= 0:
            self.credit_minor += gross_minor
        else:
            self.debit_minor -= gross_minor
        if fee_minor >= 0:
            self.fee_credit_minor += fee_minor
        else:
            self.fee_debit_minor -= fee_minor

    def merge(self, other: "Part") -> None:
        """Count the rows of another section."""
        self.row_count += other.row_count
        self.line_count += other.line_count
        self.credit_minor += other.credit_minor
        self.debit_minor += other.debit_minor
        self.fee_credit_minor += other.fee_credit_minor
        self.fee_debit_minor += other.fee_debit_minor


@dataclass(frozen=True, slots=True, kw_only=True)
class Footer:
    """What a footer row states of one currency. Balances by name, each at the beginning and at the end."""

    place: str
    totals: tuple[int, int, int, int]
    balances: dict[str, tuple[int, int]]
    row_count: int | None


_TOTALS: Final = ("gross credits", "gross debits", "fees credited", "fees debited")
_BALANCES: Final = ("available", "total", "payable")


def read_footer(cells: list[str], amounts: Amounts, place: str) -> tuple[str, Footer]:
    """Currency and figures of a footer row: four totals, up to three pairs of balances, a count.

    Codes ``structure``, ``amount``, ``currency``.
    """
    if len(cells) < 6:
        raise refused("structure", place, "a currency and four totals", f"{len(cells) - 1} cells", _REMEDY)
    asset = cells[1]
    first, second, third, fourth = (
        amounts.minor(cells[2 + index], asset, place, name) for index, name in enumerate(_TOTALS)
    )
    rest = cells[6:]
    pairs = len(rest) // 2
    if pairs not in {0, 2, 4, 6}:
        raise refused("structure", place, "balances in pairs of beginning and end", f"{len(rest)} more cells")
    signed = [
        _signed(rest[2 * index], amounts.minor(rest[2 * index + 1], asset, place, "balance"), place)
        for index in range(pairs)
    ]
    balances = {
        name: (signed[2 * index], signed[2 * index + 1]) for index, name in enumerate(_BALANCES[: pairs // 2])
    }
    count = read_count(rest[-1], place) if len(rest) % 2 else None
    return asset, Footer(
        place=place, totals=(first, second, third, fourth), balances=balances, row_count=count
    )


def read_count(text: str, place: str) -> int:
    """A count of rows. Code ``structure``."""
    if not text.isascii() or not text.isdecimal() or len(text) > _COUNT_LENGTH_MAX:
        raise refused("structure", f"{place}, count", "a number of rows", shown(text), _REMEDY)
    return int(text)


def _signed(direction: str, minor: int, place: str) -> int:
    if direction not in {"CR", "DR"}:
        raise refused("structure", f"{place}, balance", "CR or DR", shown(direction), _REMEDY)
    return minor if direction == "CR" else -minor


@dataclass(slots=True)
class Proved:
    """What came of the proofs of one statement: in words, in sentences of what was waived, and the balances."""

    proofs: list[str] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    opening_minor: int | None = None
    closing_minor: int | None = None

    def add(self, other: "Proved") -> None:
        """Take over what else was proved."""
        self.proofs += other.proofs
        self.flags += other.flags
        if self.opening_minor is None:
            self.opening_minor, self.closing_minor = other.opening_minor, other.closing_minor


def prove_part(
    part: Part, *, rows_of_all: int, footer: Footer, asset: str, balance: str, demand: Demand
) -> Proved:
    """Totals, count and the named balance. Codes ``control_total``, ``balance``."""
    proved = Proved()
    _prove_totals(part.totals, footer, asset, proved, demand)
    if footer.row_count is not None:
        # the count beside a currency is met as the rows of it and as the rows of all
        proved.add(prove_count((part.row_count, rows_of_all), footer.row_count, footer.place, demand))
    proved.add(_prove_balance(part.movement_minor, footer, asset, balance, demand))
    return proved


def prove_count(found: tuple[int, ...], expected: int, place: str, demand: Demand) -> Proved:
    """A count against the rows; ``found`` may hold several readings of what is counted, the usual one first."""
    if expected in found:
        return Proved(proofs=[f"{expected} rows as in {place}"])
    refusal = refused("control_total", f"{place}, count", f"{expected} rows", f"{found[0]} rows", _REMEDY)
    return Proved(flags=[demand(refusal)])


def _prove_totals(
    found: tuple[int, int, int, int], footer: Footer, asset: str, proved: Proved, demand: Demand
) -> None:
    credit, debit, fee_credit, fee_debit = told = footer.totals
    exponent = exponent_of(asset)
    # both orders of the two fee totals are met; which fee is whose is proved by the rows either way
    if found in (told, (credit, debit, fee_debit, fee_credit)):
        figures = [format_minor(minor, exponent) for minor in found]
        proved.proofs.append(
            f"credits {figures[0]}, debits {figures[1]}, fees credited {figures[2]} and debited {figures[3]} "
            f"{asset} as in {footer.place}"
        )
        return
    wrong = next(index for index in range(4) if found[index] != told[index])
    difference = difference_in_words(told[wrong], found[wrong], asset)
    refusal = refused(
        "control_total",
        f"{footer.place}, {_TOTALS[wrong]}",
        f"{format_minor(told[wrong], exponent)} {asset}",
        f"{format_minor(found[wrong], exponent)} in the rows, {difference}",
        _REMEDY,
    )
    proved.flags.append(demand(refusal))


def _prove_balance(movement_minor: int, footer: Footer, asset: str, name: str, demand: Demand) -> Proved:
    pair = footer.balances.get(name)
    if pair is None:
        return Proved()
    opening_minor, closing_minor = pair
    reached = within_bounds(opening_minor + movement_minor, footer.place)
    exponent = exponent_of(asset)
    if reached == closing_minor:
        words = (
            f"{name} balance {format_minor(opening_minor, exponent)} + {format_minor(movement_minor, exponent)} = "
            f"{format_minor(closing_minor, exponent)} {asset}"
        )
        return Proved([words], [], opening_minor, closing_minor)
    remedy = _REMEDY
    for other, (begin, end) in footer.balances.items():
        if other not in {name, "payable"} and begin + movement_minor == end and begin != end:
            remedy = f"The {other} balance does follow: say balance: {other} in the settings of this source."
    difference = difference_in_words(closing_minor, reached, asset)
    refusal = refused(
        "balance",
        f"{footer.place}, ending {name} balance",
        f"{format_minor(closing_minor, exponent)} {asset}",
        f"{format_minor(reached, exponent)} by the rows, {difference}",
        remedy,
    )
    return Proved(flags=[demand(refusal)])
