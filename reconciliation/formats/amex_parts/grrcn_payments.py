"""Payments of a GRRCN file: what their summaries state, disputes, fees; and their proof at the end of the file.

Law: a payment is what its submissions, disputes and fees add up to; its payout takes all of it away.
"""

from typing import Final

from reconciliation.formats.amex_parts.grrcn_fields import number_of, sums_of
from reconciliation.formats.amex_parts.payment import (
    Payment,
    PaymentLines,
    Sums,
    Where,
    check_net,
    check_total,
    told_fees,
)
from reconciliation.formats.amex_parts.records import DAMAGED
from reconciliation.formats.amex_parts.values import card_of, signed_minor
from reconciliation.formats.canonical import ReadOptions
from reconciliation.formats.notes import Notes
from reconciliation.formats.values import asset_of, day_of, other_refs_json, reference, refused, shown

_PAYMENTS_MAX: Final = 100_000
_HELD_MAX: Final = 5_000  # fees and revenues of one payment


class Payments:
    """All payments of the file, by payee and number; sums only."""

    def __init__(self, options: ReadOptions, lines: PaymentLines, notes: Notes) -> None:
        self._options = options
        self._tokens = options.card_tokens
        self._lines = lines
        self._notes = notes
        self._payments: dict[tuple[str, str], Payment] = {}

    def take(self, name: str, where: Where, fields: list[str]) -> None:
        """Take one record that is neither submission nor transaction."""
        if name == "SUMMARY":
            self._summary(where, fields)
        elif name in {"CHARGEBACK", "ADJUSTMENT"}:
            self._dispute(where, fields, chargeback=name == "CHARGEBACK")
        elif name == "FEEREVENUE":
            self._fee_revenue(where, fields)
        else:
            self._tax_record(where, fields)

    def told(self) -> tuple[Payment, ...]:
        """The payments in the order of the file."""
        return tuple(self._payments.values())

    def _summary(self, where: Where, fields: list[str]) -> None:
        """A payment begins."""
        payee, number, day, currency, net, opening, status, *amounts, adjustment, _ = fields
        key = (payee, number)
        if key in self._payments:
            raise refused("conflict", "payment_number", "each payment once in a file", shown(number))
        if len(self._payments) >= _PAYMENTS_MAX:
            raise refused("limit", "payment_number", f"at most {_PAYMENTS_MAX} payments", "more")
        stated = sums_of(amounts)
        stated.adjustment = signed_minor(adjustment, "adjustment_amount")
        payment = Payment(
            number=number,
            payee=payee,
            asset=asset_of(currency, "payment_currency"),
            day=day_of(day, "payment_date", expected="a date as YYYYMMDD"),
            statement_no=len(self._payments),
            where=where,
            net=signed_minor(net, "net_amount"),
            opening=signed_minor(opening, "opening_debit_balance"),
            stated=stated,
            status="expected" if status == "F" else "booked",  # F: a payment of a later day
        )
        more = stated.adjustment + payment.opening
        payment.fees_apart = stated.fees != 0 and payment.net == stated.gross + more
        if payment.fees_apart:
            self._notes.add("payments whose fees are collected on their own", f"line {where[0]}")
        words = (
            "the gross amount less discount, service fee and tax, with adjustments and opening debit balance"
        )
        check_net(payment, self._options, payment.place, stated, net=payment.net, more=more, in_words=words)
        self._payments[key] = payment

    def named(self, payee: str, number: str) -> Payment:
        """The payment of a record below it. Code ``structure``."""
        payment = self._payments.get((payee, number))
        if payment is None:
            raise refused(
                "structure", "payment_number", "the number of a payment above", shown(number), DAMAGED
            )
        return payment

    def _dispute(self, where: Where, fields: list[str], *, chargeback: bool) -> None:
        """A chargeback or an adjustment."""
        payee, number, merchant, own, card, day, invoice, case, reason, words = fields[:10]
        payment = self.named(payee, number)
        sums, net = sums_of(fields[10:14]), signed_minor(fields[14], "net_amount")
        if net != sums.gross - sums.fees:
            check_total(payment, self._options, f"line {where[0]}, net_amount", net, sums.gross - sums.fees)
        payment.found.adjustment += net
        payment.adjustments += 1
        token, card_truncated = card_of(card, self._tokens)
        kind = "adjustment" if not chargeback else "chargeback_reversal" if net > 0 else "chargeback"
        self._lines.add(
            payment,
            where,
            net,
            kind,
            "CHARGEBACK" if chargeback else "ADJUSTMENT",
            value_date=day_of(day, "processing_date") if day else None,
            fee_minor=sums.gross - net,
            fees=told_fees(sums, payment.asset),
            native_id=None,  # numbers of cases come again when they are reversed
            ref_merchant=reference(self._tokens.masked(own)) if own else None,
            ref_arn=reference(fields[17]) if len(fields) > 17 else None,
            other_refs=other_refs_json(
                dispute=number_of(case), merchant_id=merchant, invoice=number_of(invoice)
            ),
            text=self._tokens.masked(words) or None,
            reason_code=reason or "/".join(filter(None, fields[15:17])) or None,
            reversal=kind == "chargeback_reversal",
            card_token=token,
            card_truncated=card_truncated,
        )

    def _fee_revenue(self, where: Where, fields: list[str]) -> None:
        """A fee or revenue. Whether the payment has it, and its side, the sums of the payment tell at its end."""
        payee, number, fee, description, asset, asset_description, asset_tax, *codes = fields
        payment = self.named(payee, number)
        if len(payment.held) >= _HELD_MAX:
            raise refused("limit", "FEEREVENUE", f"at most {_HELD_MAX} in a payment", "more")
        amounts = ((fee, "fee_amount"), (asset, "asset_amount"), (asset_tax, "asset_tax_amount"))
        amount = sum(signed_minor(text, name) for text, name in amounts)
        words = self._tokens.masked(" / ".join(filter(None, (description, asset_description))))
        reason = "/".join(filter(None, codes)) or None
        payment.held.append((where, amount, {"text": words or None, "reason_code": reason}))

    def _tax_record(self, where: Where, fields: list[str]) -> None:
        """Taxes explained (Argentina); the amounts are those of the submissions and the payment."""
        self.named(*fields)
        self._notes.add("tax records, explained by the tax of their payment", f"line {where[0]}")

    def close(self, payment: Payment) -> None:
        """Prove a payment and write what its records did not, its payout last."""
        stated, found, add = payment.stated, payment.found, self._lines.add
        kept = Sums() if payment.fees_apart else stated
        if payment.submissions:
            for name in ("gross", "discount", "service_fee", "tax"):
                check_total(
                    payment, self._options, f"{name} amount", getattr(stated, name), getattr(found, name)
                )
        elif stated.gross or kept.fees:
            fees = told_fees(kept, payment.asset)
            amount = stated.gross - kept.fees
            add(payment, payment.where, amount, "charge", "SUMMARY", fee_minor=kept.fees, fees=fees)
        self._close_adjustments(payment)
        if payment.opening:
            add(payment, payment.where, payment.opening, "adjustment", "OPENING_DEBIT_BALANCE")
        if payment.net:
            add(payment, payment.where, -payment.net, "payout", "SUMMARY", ref_payout=payment.number)

    def _close_adjustments(self, payment: Payment) -> None:
        """Adjustments, and the side of fees and revenues: booked if the payment has them, else information."""
        rest = payment.stated.adjustment - payment.found.adjustment
        fees = sum(amount for _, amount, _ in payment.held)
        sign = -1 if fees and rest == -fees else 1
        booked = bool(payment.held) and rest == sign * fees
        for where, amount, more in payment.held:
            self._lines.add(
                payment, where, sign * amount, "fee", "FEEREVENUE", status="" if booked else "info", **more
            )
        if payment.held and not booked:
            self._notes.add(
                "fees and revenues that are not in the payment, told as information", payment.place
            )
        if booked:
            return
        if rest and not payment.adjustments and not payment.held:
            self._lines.add(payment, payment.where, rest, "adjustment", "SUMMARY")
            return
        check_total(
            payment, self._options, "adjustment amount", payment.stated.adjustment, payment.found.adjustment
        )
