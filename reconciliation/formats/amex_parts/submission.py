"""A submission of American Express charges while its transactions go by, whichever file tells of it.

Law: the transactions of a submission add up to its gross amount, and their number is the one stated; rejected ones
count for neither. A submission without transactions, or in another currency than its payment, is one line.
"""

from dataclasses import dataclass, field
from datetime import date
from typing import Any

from reconciliation.formats.amex_parts.payment import (
    COLUMNS,
    Payment,
    PaymentLines,
    Sums,
    Where,
    check_count,
    check_total,
    told_fees,
)
from reconciliation.formats.canonical import ReadOptions
from reconciliation.formats.values import fees_json

_FEES_PLACE = COLUMNS.index("fees") - COLUMNS.index("value_date")


@dataclass(slots=True, kw_only=True)
class Submission:
    """A submission as its record states it, and what was found of it so far."""

    key: tuple[str, ...]
    where: Where
    payment: Payment
    sums: Sums
    stated_count: int | None
    same_currency: bool
    columns: dict[str, Any]  # of its line, if it becomes one, and of the line of its fees
    day: date | None
    gross: int = 0
    count: int = 0
    any_transactions: bool = False


@dataclass(slots=True)
class _Held:
    """A transaction that waits for the prices behind it."""

    where: Where
    amount: int
    status: str
    values: list[Any]
    fees: list[tuple[str, int, str, bool]] = field(default_factory=list)


class OpenSubmission:
    """The submission in hand and its last transaction."""

    def __init__(self, options: ReadOptions, lines: PaymentLines) -> None:
        self.submission: Submission | None = None
        self._options = options
        self._lines = lines
        self._held: _Held | None = None

    def open(self, submission: Submission) -> None:
        """A submission begins. Whether it becomes a line, the next record tells."""
        self.close()
        payment, sums = submission.payment, submission.sums
        payment.found.gross += sums.gross
        payment.found.discount += sums.discount
        payment.found.service_fee += sums.service_fee
        payment.found.tax += sums.tax
        payment.submissions += 1
        self.submission = submission

    def add(self, where: Where, amount: int, *, rejected: bool, values: list[Any]) -> None:
        """A transaction of it; ``values`` are the columns from ``value_date`` on."""
        self.release()
        if self.submission is None:
            raise LookupError("no submission is open")
        if not rejected:
            self.submission.gross += amount
            self.submission.count += 1
        self._held = _Held(where, amount, "info" if rejected else "", values)

    def add_fee(self, kind: str, amount: int) -> bool:
        """A fee of the last transaction, told beside it; whether there is one."""
        if self._held is None or self.submission is None:
            return False
        if amount:
            self._held.fees.append((kind, amount, self.submission.payment.asset, False))
        return True

    def release(self) -> None:
        """Write the last transaction."""
        held, self._held = self._held, None
        if held is None or self.submission is None:
            return
        if held.fees:
            held.values[_FEES_PLACE] = fees_json(held.fees)
        self._lines.add_row(
            self.submission.payment,
            held.where,
            held.amount,
            kind="refund" if held.amount < 0 else "charge",
            type_code="TRANSACTN",
            status=held.status,
            values=tuple(held.values),
        )

    def close(self) -> None:
        """Prove a submission and write its line, or the fees beside its transactions."""
        self.release()
        submission, self.submission = self.submission, None
        if submission is None:
            return
        payment, sums, where = submission.payment, submission.sums, submission.where
        place = f"line {where[0]}, SUBMISSION"
        if submission.any_transactions and submission.stated_count is not None:
            stated, found = submission.stated_count, submission.count
            payment.flags += check_count(
                self._options, f"{place}, transaction_count", "transactions", stated, found
            )
        kept = Sums() if payment.fees_apart else sums
        if submission.any_transactions and submission.same_currency:
            if submission.gross != sums.gross:
                check_total(payment, self._options, f"{place}, gross_amount", sums.gross, submission.gross)
            self._lines.add_fees(
                payment, where, kept, "SUBMISSION", value_date=submission.day, **submission.columns
            )
            return
        self._lines.add(
            payment,
            where,
            sums.gross - kept.fees,
            "refund" if sums.gross < 0 else "charge",
            "SUBMISSION",
            value_date=submission.day,
            fee_minor=kept.fees,
            fees=told_fees(kept, payment.asset),
            **submission.columns,
        )
