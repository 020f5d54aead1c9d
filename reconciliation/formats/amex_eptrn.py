"""Reads American Express' older settlement files of the United States and Canada: EPTRN (with transactions) and EPRAW.

No public guide exists. What is read rests on open descriptions (Finance-AMEX-Transaction); TO CONFIRM with the member's
own guide: all positions (``amex_parts/eptrn_positions.csv``; the source's table ``positions`` corrects them) and the
sign of other fees, which is taken so that the payment adds up. Amounts carry their sign in the last digit. One
``Statement`` for each payment, proved by its submissions, disputes, fees and payout; trailers count the records. The
pan-European EPA and dispute notifications (CBNOT) are refused. Setting: ``asset`` (the files name no currency; USD, or
CAD).

>>> from io import BytesIO
>>> from reconciliation.formats.canonical import read_whole
>>> from reconciliation.formats.card_numbers import KeyedCardTokens
>>> import reconciliation.formats.amex_eptrn as amex_eptrn
>>> key = "9000000001" + "9000000001" + " " * 10 + "2026" + "320A1000"
>>> file = "DFHDR" + "111620260200000000SHOP" + chr(10)
>>> file += key + "100" + "2026320" + "0000000250{" + "00000000{" + chr(10)
>>> file += key + "210" + "2026318" * 2 + "000001" + "0000000250{" + "00000000{" + "00000{".rjust(7, "0") + "0" * 7
>>> file += "0000000250{" + chr(10) + "DFTRL" + "111620260200000000SHOP".ljust(78) + "0000004" + chr(10)
>>> whole = read_whole(amex_eptrn, BytesIO(file.encode()), ReadOptions(card_tokens=KeyedCardTokens(bytes(32))))
>>> whole.lines["kind"].to_pylist(), whole.lines["amount_minor"].to_pylist()
(['charge', 'payout'], [2500, -2500])
"""

from collections.abc import Mapping
from typing import Any, BinaryIO, Final

from ledger_core.errors import UnknownAssetError
from ledger_core.money import exponent_of
from reconciliation.errors import RefusedFile, SourcesError
from reconciliation.formats.amex_parts.payment import (
    Payment,
    PaymentLines,
    Sums,
    Where,
    check_count,
    check_net,
    check_total,
    told_fees,
    told_statement,
)
from reconciliation.formats.amex_parts.records import DAMAGED, Form, Layout, record_lines
from reconciliation.formats.amex_parts.submission import OpenSubmission, Submission
from reconciliation.formats.amex_parts.values import card_of, overpunched_minor, year_day
from reconciliation.formats.canonical import Emit, ParsedDelivery, ReadOptions
from reconciliation.formats.card_numbers import masked_text
from reconciliation.formats.notes import Notes
from reconciliation.formats.values import other_refs_json, reference, refused, shown

NAME: Final = "amex.eptrn"

_POSITIONS: Final = "amex_parts/eptrn_positions.csv"
_PAYMENTS_MAX: Final = 100_000
_HELD_MAX: Final = 5_000  # other fees of one payment
_KEY: Final = ("payee", "payment_year", "payment_number")
_AMOUNTS: Final = ("gross_amount", "discount_amount", "service_fee_amount")
_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "HEADER": ("created_on", "created_at", "file_number", "file_name"),
    "SUMMARY": (*_KEY, "payment_date", "payment_amount", "debit_balance"),
    "SUBMISSION": (
        *_KEY, "merchant", "processing_date", "invoice_number", *_AMOUNTS, "net_amount",
        "transaction_count", "transaction_count_short",
    ),
    "TRANSACTION": (
        *_KEY, "merchant", "processing_date", "invoice_number", "transaction_amount", "card_number",
        "cardmember_reference", "merchant_reference", "card_number_extended",
    ),
    "CHARGEBACK": (
        *_KEY, "merchant", "processing_date", "invoice_number", *_AMOUNTS, "net_amount", "reason_description",
    ),
    "ADJUSTMENT": (
        *_KEY, "merchant", "processing_date", "number", *_AMOUNTS, "net_amount", "reason_description", "card_number",
    ),
    "OTHER": (
        *_KEY, "processing_date", "asset_amount", "commission_amount", "fee_amount", "asset_tax_amount",
        "asset_description", "commission_description", "fee_description",
    ),
    "TRAILER": ("created_on", "file_number", "record_count"),
}  # fmt: skip
_NAMES: Final = {
    "100": "SUMMARY",
    "210": "SUBMISSION",
    "311": "TRANSACTION",
    "220": "CHARGEBACK",
    "230": "ADJUSTMENT",
    "240": "OTHER",
    "241": "OTHER",
    "250": "OTHER",
    "212": "PRICING",
    "313": "PRICING",
}


def sniff(head: bytes) -> bool:
    """Whether the first line is a header of these files, with the date right behind its mark."""
    first = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:17]
    return first.startswith(b"DFHDR") and first[5:].isdigit()


def read(stream: BinaryIO, options: ReadOptions, emit: Emit) -> ParsedDelivery:
    """Read and prove one file or raise ``RefusedFile``; ``SourcesError`` for settings and tables that are not known.

    ``record_no`` is the line. Lines are booked on the day of their payment, ``value_date`` is the day of processing,
    ``batch_ref`` the payment; the payout has ``ref_payout``.
    """
    reader = _Reader(options, emit, _asset(options.settings))
    try:
        for line_no, offset, length, text in record_lines(stream, options.bytes_max):
            reader.record((line_no, offset, length), text)
        return reader.delivery()
    except RefusedFile as refusal:
        place = refusal.place
        if reader.place and not place.startswith("line "):
            place = f"{reader.place}, {place}"
        raise RefusedFile(
            code=refusal.code,
            place=masked_text(place),
            expected=refusal.expected,
            found=masked_text(refusal.found),
            remedy=refusal.remedy,
        ) from None


def _asset(settings: Mapping[str, str]) -> str:
    problems = [
        f"settings of {NAME}: {name} is not known; did you mean asset?"
        for name in sorted(settings)
        if name != "asset"
    ]
    asset = settings.get("asset", "USD")
    try:
        exponent_of(asset)
    except UnknownAssetError:
        problems.append(f"settings of {NAME}: asset {asset[:10]!r} is not an ISO 4217 currency")
    if problems:
        raise SourcesError(tuple(problems))
    return asset


class _Reader:
    """State between records; ``place`` names the record in hand."""

    def __init__(self, options: ReadOptions, emit: Emit, asset: str) -> None:
        self.place = ""
        self._options = options
        self._masked = options.card_tokens.masked
        self._asset = asset
        layout = Layout(_POSITIONS, options.tables)
        self._picks = {name: layout.picker(name, names, Form(mark=None)) for name, names in _FIELDS.items()}
        self._lines = PaymentLines(emit)
        self._notes = Notes()
        self._open = OpenSubmission(options, self._lines)
        self._payments: dict[tuple[str, ...], Payment] = {}
        self._header: list[str] | None = None
        self._first_header: list[str] | None = None
        self._flags: list[str] = []
        self._records = 0
        self._any_transactions = False
        if "asset" not in options.settings:
            self._notes.add("currency that the file does not name, read as USD", "setting asset")

    def record(self, where: Where, text: str) -> None:
        """Take one record of the file."""
        name = {"DFHDR": "HEADER", "DFTRL": "TRAILER"}.get(text[:5]) or _NAMES.get(text[42:45], "")
        self.place = f"line {where[0]}" + (f", {name}" if name else "")
        self._records += 1
        if name == "HEADER":
            self._begin(text)
        elif self._first_header is None:
            raise _not_this_format(text)
        elif self._header is None:
            raise refused(
                "structure",
                "record type",
                "the end of the file or a further header",
                shown(text[:10]),
                DAMAGED,
            )
        elif name == "TRAILER":
            self._end(where, self._picks[name](text))
        elif not name:
            raise refused(
                "structure", "record type", f"one of {', '.join(_NAMES)}", shown(text[42:45]), DAMAGED
            )
        elif name == "PRICING":
            self._notes.add("records of prices, which are in the submissions", f"line {where[0]}")
        elif name == "TRANSACTION":
            self._transaction(where, self._picks[name](text))
        else:
            self._take(name, where, self._picks[name](text))

    def _take(self, name: str, where: Where, fields: list[str]) -> None:
        self._open.close()
        if name == "SUMMARY":
            self._summary(where, fields)
        elif name == "SUBMISSION":
            self._submission(where, fields)
        elif name == "OTHER":
            self._other(where, fields)
        else:
            self._dispute(name, where, fields)

    def _begin(self, text: str) -> None:
        if not text[5:13].strip().isdecimal() or text[5] == " ":
            raise _not_this_format(text)
        if self._header is not None:
            raise refused("truncated", "record type", "a trailer before the next header", "none", DAMAGED)
        self._header = self._picks["HEADER"](text)
        if self._first_header is None:
            self._first_header = self._header
        else:
            self._notes.add("further files in the same delivery", self.place)
        self._records = 1

    def _end(self, where: Where, fields: list[str]) -> None:
        self._open.close()
        _, _, count = fields
        if not (count.isascii() and count.isdecimal() and len(count) <= 7):
            raise refused("structure", "record_count", "a number of records", shown(count), DAMAGED)
        place = f"line {where[0]}, TRAILER, record_count"
        what = "records with header and trailer"
        self._flags += check_count(self._options, place, what, int(count), self._records)
        self._header = None

    def _summary(self, where: Where, fields: list[str]) -> None:
        *key, day, amount, balance = fields
        if tuple(key) in self._payments:
            raise refused("conflict", "payment_number", "each payment once in a file", shown(fields[2]))
        if len(self._payments) >= _PAYMENTS_MAX:
            raise refused("limit", "payment_number", f"at most {_PAYMENTS_MAX} payments", "more")
        self._payments[tuple(key)] = Payment(
            number="".join(key[1:]),
            payee=key[0],
            asset=self._asset,
            day=year_day(day, "payment_date"),
            statement_no=len(self._payments),
            where=where,
            net=overpunched_minor(amount, "payment_amount"),
            opening=overpunched_minor(balance, "debit_balance"),
            stated=Sums(),
        )

    def _payment(self, fields: list[str]) -> Payment:
        payment = self._payments.get(tuple(fields[:3]))
        if payment is None:
            raise refused(
                "structure", "payment_number", "the number of a payment above", shown(fields[2]), DAMAGED
            )
        return payment

    def _submission(self, where: Where, fields: list[str]) -> None:
        payment = self._payment(fields)
        merchant, day, invoice, *amounts, net_text, count, short_count = fields[3:]
        sums, net = _sums(amounts), overpunched_minor(net_text, "net_amount")
        if sums.fees and net == sums.gross:  # gross pay: discount and fee are for information
            self._notes.add("submissions whose fees are collected on their own", f"line {where[0]}")
            sums = Sums(gross=sums.gross)
        words = "the gross amount less discount and service fee"
        check_net(
            payment, self._options, f"line {where[0]}, SUBMISSION", sums, net=net, more=0, in_words=words
        )
        counted = count or short_count
        self._open.open(
            Submission(
                key=(*fields[:3], merchant),
                where=where,
                payment=payment,
                sums=sums,
                stated_count=overpunched_minor(counted, "transaction_count") if counted else None,
                same_currency=True,
                columns={"other_refs": other_refs_json(merchant_id=merchant, invoice=invoice or None)},
                day=year_day(day, "processing_date") if day else None,
            )
        )

    def _transaction(self, where: Where, fields: list[str]) -> None:
        merchant, day, invoice, amount, card, member, own, long_card = fields[3:]
        submission = self._open.submission
        if submission is None or submission.key != (*fields[:3], merchant):
            raise refused(
                "structure", "submission", "a transaction of the submission above it", "another", DAMAGED
            )
        submission.any_transactions = self._any_transactions = True
        value = overpunched_minor(amount, "transaction_amount")
        token, card_truncated = card_of(long_card or card, self._options.card_tokens)
        customer = reference(self._masked(member)) if member else None
        values = [
            year_day(day, "processing_date") if day else None,
            *_UNTOLD,
            reference(self._masked(own)) if own else None,
            *(None, None, None),
            other_refs_json(merchant_id=merchant, invoice=invoice or None, customer=customer),
            *(None, None, False),
            token,
            card_truncated,
        ]
        self._open.add(where, value, rejected=False, values=values)

    def _dispute(self, name: str, where: Where, fields: list[str]) -> None:
        """A chargeback or an adjustment."""
        payment = self._payment(fields)
        merchant, day, number, *amounts, net_text, words = fields[3:11]
        sums, net = _sums(amounts), overpunched_minor(net_text, "net_amount")
        if net != sums.gross - sums.fees:
            check_total(payment, self._options, f"line {where[0]}, net_amount", net, sums.gross - sums.fees)
        payment.found.adjustment += net
        token, card_truncated = card_of(fields[11] if len(fields) > 11 else "", self._options.card_tokens)
        is_chargeback = name == "CHARGEBACK"
        kind = "adjustment" if not is_chargeback else "chargeback_reversal" if net > 0 else "chargeback"
        refs = {"invoice": number} if is_chargeback else {"dispute": number}
        self._lines.add(
            payment,
            where,
            net,
            kind,
            name,
            value_date=year_day(day, "processing_date") if day else None,
            fee_minor=sums.gross - net,
            fees=told_fees(sums, payment.asset),
            other_refs=other_refs_json(merchant_id=merchant, **refs),
            text=self._masked(words) or None,
            reversal=kind == "chargeback_reversal",
            card_token=token,
            card_truncated=card_truncated,
        )

    def _other(self, where: Where, fields: list[str]) -> None:
        payment = self._payment(fields)
        if len(payment.held) >= _HELD_MAX:
            raise refused("limit", "OTHER", f"at most {_HELD_MAX} in a payment", "more")
        amount = sum(
            overpunched_minor(text, name)
            for text, name in zip(fields[4:8], _FIELDS["OTHER"][4:8], strict=True)
        )
        words = self._masked(" / ".join(filter(None, fields[8:])))
        payment.held.append((where, amount, {"text": words or None}))

    def delivery(self) -> ParsedDelivery:
        """Prove every payment, write the payouts and tell everything."""
        self.place = ""
        if self._first_header is None:
            raise _not_this_format("")
        if self._header is not None:
            raise refused("truncated", "the end of the file", "a DFTRL record", "none", DAMAGED)
        for payment in self._payments.values():
            self._close(payment)
        self._lines.flush()
        created_on, created_at, file_number, file_name = self._first_header
        return ParsedDelivery(
            format_name=NAME,
            format_version="EPTRN" if self._any_transactions else "EPRAW",
            file_reference=f"{file_name}:{created_on}:{created_at}:{file_number}",
            test_mode=False,
            statements=tuple(told_statement(payment, self._flags) for payment in self._payments.values()),
            notes=self._notes.texts(),
        )

    def _close(self, payment: Payment) -> None:
        """Demand that everything found makes the payment; the side of other fees is the one that does."""
        found = payment.found
        rest = payment.net - payment.opening - (found.gross - found.fees + found.adjustment)
        fees = sum(amount for _, amount, _ in payment.held)
        sign = -1 if fees and rest == -fees else 1
        for where, amount, more in payment.held:
            self._lines.add(payment, where, sign * amount, "fee", "OTHER", **more)
        payment.stated = found
        found.adjustment += sign * fees
        total = found.gross - found.fees + found.adjustment + payment.opening
        check_total(payment, self._options, "payment amount", payment.net, total)
        if payment.opening:
            self._lines.add(payment, payment.where, payment.opening, "adjustment", "OPENING_DEBIT_BALANCE")
        if payment.net:
            self._lines.add(
                payment, payment.where, -payment.net, "payout", "SUMMARY", ref_payout=payment.number
            )


_UNTOLD: Final[tuple[Any, ...]] = (0, None, None, None, None, None, None, None)  # fees to native id


def _sums(amounts: list[str]) -> Sums:
    return Sums(*(overpunched_minor(text, name) for text, name in zip(amounts, _AMOUNTS, strict=True)))


def _not_this_format(text: str) -> RefusedFile:
    remedy = "Deliver the file to its source."
    if "CBNOT" in text[:200]:
        remedy = "Dispute notifications (CBNOT) move no money and are not read; settlement files have the chargebacks."
    elif text.startswith("DFHDR"):
        remedy = "The pan-European file (EPA) is not read; ask American Express for GRRCN."
    return refused(
        "not_this_format", "line 1", "a DFHDR record of an EPTRN or EPRAW file", shown(text[:40]), remedy
    )
