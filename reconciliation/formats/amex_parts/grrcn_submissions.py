"""Submissions, transactions and prices of a GRRCN file, from their fields."""

from typing import Any

from reconciliation.formats.amex_parts.grrcn_fields import number_of, rate_of, sums_of
from reconciliation.formats.amex_parts.payment import Payment, PaymentLines, Sums, Where, check_net
from reconciliation.formats.amex_parts.records import DAMAGED
from reconciliation.formats.amex_parts.submission import OpenSubmission, Submission
from reconciliation.formats.amex_parts.values import card_of, signed_minor
from reconciliation.formats.canonical import ReadOptions
from reconciliation.formats.notes import Notes
from reconciliation.formats.values import asset_of, day_of, other_refs_json, reference, refused, shown

_OTHER_POSITIONS = "The file has other columns than were known; give them as the source's table positions."


class Submissions:
    """Reads what stands between two payments."""

    def __init__(self, options: ReadOptions, lines: PaymentLines, notes: Notes) -> None:
        self._options = options
        self._tokens = options.card_tokens
        self._open = OpenSubmission(options, lines)
        self._notes = notes

    def close(self) -> None:
        """No further transaction of the submission in hand."""
        self._open.close()

    def begin(self, payment: Payment, where: Where, fields: list[str]) -> None:
        """A submission begins."""
        payee, number, merchant, business_day, day, invoice, currency, rate, submitted = fields[:9]
        *amounts, net_text, count, acceleration = fields[9:]
        sums, net = sums_of(amounts), signed_minor(net_text, "net_amount")
        sums.service_fee += self._acceleration(payment, sums, net, acceleration)
        words = "the gross amount less discount, service fee and tax"
        place = f"line {where[0]}, SUBMISSION"
        check_net(payment, self._options, place, sums, net=net, more=0, in_words=words)
        asset = asset_of(currency, "submission_currency") if currency else payment.asset
        columns: dict[str, Any] = {
            "other_refs": other_refs_json(merchant_id=merchant, invoice=number_of(invoice))
        }
        if asset != payment.asset:
            original = signed_minor(submitted, "gross_amount_submitted")
            columns |= {"original_amount_minor": original, "original_asset": asset}
            columns |= rate_of(rate, sums.gross, payment.asset, original, asset)
        self._open.open(
            Submission(
                key=(payee, number, merchant, business_day, invoice),
                where=where,
                payment=payment,
                sums=sums,
                stated_count=int(count)
                if count.isascii() and count.isdecimal() and len(count) <= 9
                else None,
                same_currency=asset == payment.asset,
                columns=columns,
                day=day_of(day, "processing_date") if day else None,
            )
        )

    def _acceleration(self, payment: Payment, sums: Sums, net: int, text: str) -> int:
        """Fee of a payment before its day, where the net amount has it (Mexico, Argentina)."""
        fee = signed_minor(text, "acceleration_fee_amount")
        return fee if fee and not payment.fees_apart and net == sums.gross - sums.fees - fee else 0

    def transaction(self, where: Where, fields: list[str]) -> None:
        """A transaction of the submission above it."""
        payee, number, merchant, business_day, day, invoice = fields[:6]
        own, card, amount, scheme_id, approval, terminal, member, old_ref, arn, rejected = fields[6:]
        submission = self._open.submission
        if submission is None or submission.key != (payee, number, merchant, business_day, invoice):
            raise refused(
                "structure", "submission", "a transaction of the submission above it", "another", DAMAGED
            )
        submission.any_transactions = True
        value = signed_minor(amount, "transaction_amount")
        is_rejected = rejected == "REJ"
        if rejected and not is_rejected:
            raise refused("structure", "rejected", "REJ or nothing", shown(rejected), _OTHER_POSITIONS)
        if not submission.same_currency:
            what = "transactions in another currency than their payment, told by their submission"
            self._notes.add(what, f"line {where[0]}")
            submission.count += not is_rejected
            return
        masked = self._tokens.masked
        token, card_truncated = card_of(card, self._tokens)
        acquirer_ref = reference(arn or old_ref)
        other_refs = other_refs_json(
            scheme_transaction=number_of(scheme_id),
            terminal_id=terminal,
            merchant_id=merchant,
            customer=reference(masked(member)) if member else None,
            invoice=number_of(invoice),
        )
        values = [
            day_of(day, "processing_date") if day else None,
            *_UNTOLD,
            acquirer_ref,
            reference(masked(own)) if own else None,
            None,
            acquirer_ref,
            approval or None,
            other_refs,
            None,
            "REJ" if is_rejected else None,
            False,
            token,
            card_truncated,
        ]
        self._open.add(where, value, rejected=is_rejected, values=values)

    def price(self, fields: list[str]) -> None:
        """Prices of the transaction above, in whole minor units since version 3 only; six decimals are not told."""
        fee, discount = fields
        fees = ("commission", discount, "rounded_discount_amount"), ("processing", fee, "rounded_fee_amount")
        for kind, text, name in fees:
            if not self._open.add_fee(kind, signed_minor(text, name)):
                if self._open.submission is not None and not self._open.submission.same_currency:
                    return
                raise refused("structure", "record type", "a transaction before its prices", "none", DAMAGED)


_UNTOLD = (0, None, None, None, None, None, None)  # fees, original amount and rate of a transaction
