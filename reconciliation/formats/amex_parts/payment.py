"""One American Express payment: what its parts add up to, what it was said to be, and the lines that it settles.

Law: net = gross - discount - service fee - tax + adjustments + opening debit balance, in the payment and in its parts,
to the last unit. A payment whose fees are collected on their own (gross pay) has them for information: then net = gross
+ adjustments + opening debit balance. The lines of a payment and its payout sum to zero. Only sums are held.
"""

from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from reconciliation.formats.amex_parts.values import money, off_by
from reconciliation.formats.canonical import Emit, ReadOptions, RowWriter, Statement
from reconciliation.formats.values import fees_json, refused

COLUMNS: Final = (
    "statement_no", "record_no", "byte_offset", "byte_length", "status", "booking_date", "settlement_date", "asset",
    "batch_ref", "amount_minor", "kind", "type_code", "value_date", "fee_minor", "fees", "original_amount_minor",
    "original_asset", "fx_rate", "fx_numerator", "fx_denominator", "native_id", "ref_merchant", "ref_payout", "ref_arn",
    "ref_auth_code", "other_refs", "text", "reason_code", "reversal", "card_token", "card_truncated",
)  # fmt: skip
_DEFAULTS: Final[tuple[Any, ...]] = tuple(
    {"fee_minor": 0, "reversal": False}.get(name) for name in COLUMNS[COLUMNS.index("value_date") :]
)
_PLACES: Final = {name: place for place, name in enumerate(COLUMNS[COLUMNS.index("value_date") :])}
_MISSING: Final = "Records are missing, doubled or altered; ask American Express for the file again."

Where = tuple[int, int, int]
"""Line number, byte offset, length in bytes of a record."""


@dataclass(slots=True)
class Sums:
    """Amounts of a payment or a submission, in minor units of the payment's currency; fees are positive where we pay"""

    gross: int = 0
    discount: int = 0
    service_fee: int = 0
    tax: int = 0
    adjustment: int = 0

    @property
    def fees(self) -> int:
        """Everything kept back."""
        return self.discount + self.service_fee + self.tax


@dataclass(slots=True, kw_only=True)
class Payment:
    """A payment as its summary states it (``stated``), and what was found of it so far."""

    number: str
    payee: str
    asset: str
    day: date
    statement_no: int
    where: Where
    net: int
    opening: int
    stated: Sums
    status: str = "booked"
    fees_apart: bool = False  # gross pay: fees are collected on their own
    found: Sums = field(default_factory=Sums)
    submissions: int = 0
    adjustments: int = 0
    movement: int = 0
    count: int = 0
    others: int = 0  # lines that are not booked
    held: list[tuple[Where, int, dict[str, Any]]] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)

    @property
    def place(self) -> str:
        """How refusals name it."""
        return f"line {self.where[0]}, payment {self.number[:20]}"


class PaymentLines:
    """Writes lines of payments."""

    def __init__(self, emit: Emit) -> None:
        self._writer = RowWriter(emit, COLUMNS)

    def add(
        self,
        payment: Payment,
        where: Where,
        amount: int,
        kind: str,
        type_code: str,
        *,
        status: str = "",
        **more: Any,
    ) -> None:
        """Write one line; ``more`` are columns from ``value_date`` on."""
        values = list(_DEFAULTS)
        for name, value in more.items():
            values[_PLACES[name]] = value
        self.add_row(
            payment, where, amount, kind=kind, type_code=type_code, status=status, values=tuple(values)
        )

    def add_row(
        self,
        payment: Payment,
        where: Where,
        amount: int,
        *,
        kind: str,
        type_code: str,
        status: str,
        values: tuple[Any, ...],
    ) -> None:
        """Write one line, the columns from ``value_date`` on in their order."""
        status = status or payment.status
        if status == "booked":
            payment.movement += amount
            payment.count += 1
        else:
            payment.others += 1
        self._writer.add(
            (
                payment.statement_no,
                where[0],
                where[1],
                where[2],
                status,
                payment.day,
                payment.day,
                payment.asset,
                None if kind == "payout" else payment.number,
                amount,
                kind,
                type_code,
                *values,
            )
        )

    def add_fees(self, payment: Payment, where: Where, fees: Sums, type_code: str, **more: Any) -> None:
        """Write what was kept back of a submission or payment as one line, if anything was."""
        if fees.fees or fees.discount or fees.service_fee:
            self.add(
                payment, where, -fees.fees, "fee", type_code, fees=told_fees(fees, payment.asset), **more
            )

    def flush(self) -> None:
        """Emit the last lines."""
        self._writer.flush()


def told_fees(fees: Sums, asset: str) -> str | None:
    """Fees of a line as JSON, those that are not zero."""
    given = (("commission", fees.discount), ("processing", fees.service_fee), ("tax", fees.tax))
    return fees_json([(kind, amount, asset, True) for kind, amount in given if amount])


def check_net(
    payment: Payment, options: ReadOptions, place: str, fees: Sums, *, net: int, more: int, in_words: str
) -> None:
    """Demand net = gross - fees + more of a record. Code ``control_total``."""
    expected = fees.gross - (0 if payment.fees_apart else fees.fees) + more
    if net != expected:
        flag = options.demand(
            refused(
                "control_total",
                f"{place}, net amount",
                f"{money(expected, payment.asset)}, {in_words}",
                off_by(expected, net, payment.asset),
                _MISSING,
            )
        )
        payment.flags.append(flag)


def check_total(payment: Payment, options: ReadOptions, name: str, stated: int, found: int) -> None:
    """Demand that the parts of a payment add up to what it states. Code ``control_total``."""
    if stated != found:
        flag = options.demand(
            refused(
                "control_total",
                f"{payment.place}, {name}",
                f"{money(stated, payment.asset)}, as stated, to be the sum of its records",
                off_by(stated, found, payment.asset),
                _MISSING,
            )
        )
        payment.flags.append(flag)


def check_count(options: ReadOptions, place: str, what: str, stated: int, found: int) -> list[str]:
    """Demand a number of records. Code ``control_total``; the sentence to flag where that was waived."""
    if stated == found:
        return []
    refusal = refused("control_total", place, f"{stated} {what}, as stated", f"{found}", _MISSING)
    return [options.demand(refusal)]


def told_statement(payment: Payment, file_flags: list[str]) -> Statement:
    """The statement of a payment at the end of the file."""
    stated, asset = payment.stated, payment.asset
    kept = "0 (collected on their own)" if payment.fees_apart else money(stated.fees, asset)
    proof = (
        f"net {money(payment.net, asset)} = gross {money(stated.gross, asset)} - fees {kept} + adjustments "
        f"{money(stated.adjustment, asset)} + opening debit balance {money(payment.opening, asset)}"
    )
    proofs = (proof, f"{payment.count} lines and the payout sum to {money(payment.movement, asset)}")
    flags = (*payment.flags, *file_flags)
    return Statement(
        statement_ref=f"{payment.payee}:{payment.number}",
        account=payment.payee,
        asset=asset,
        sequence_no=None,
        from_date=payment.day,
        to_date=payment.day,
        opening_minor=None,
        closing_minor=None,
        movement_minor=payment.movement,
        line_count=payment.count,
        proofs=() if flags else proofs,
        flags=flags,
        pending_count=payment.others,
    )
