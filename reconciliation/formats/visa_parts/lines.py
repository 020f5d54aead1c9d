"""One BASE II transaction, with its components, as one canonical line: sign, amount, fee, dates, references.

    05 0 0 card, ARN, purchase date 1115, source 000000010000 978   amount_minor 10000
    05 0 5 transaction identifier, interchange 000000001200000 D    a fee of 1.20, beside the amount

Law: amounts are the file's own digits; a currency, a code or a date that is not known refuses the file. Years that the
file does not write are the latest that do not lie after its processing date. Knows nothing of batches or totals.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from ledger_core.money import exponent_of
from reconciliation.errors import RefusedFile
from reconciliation.formats.canonical import CardTokens
from reconciliation.formats.card_numbers import CARD_LENGTH_MAX, are_harmless, placed, truncated
from reconciliation.formats.card_rates import decimal_rate, directed
from reconciliation.formats.currency_numbers import ASSETS_BY_NUMBER
from reconciliation.formats.values import fees_json, other_refs_json
from reconciliation.formats.visa_parts.dates import EPOCH_ORDINAL, day_of_short_year, day_without_year
from reconciliation.formats.visa_parts.positions import Layout
from reconciliation.formats.visa_parts.records import refused
from reconciliation.formats.visa_parts.signs import SignRow

LINE_COLUMNS: Final = (
    *("asset", "amount_minor", "booking_date", "event_at", "fees", "original_amount_minor", "original_asset"),
    *("fx_rate", "fx_numerator", "fx_denominator", "ref_arn", "ref_auth_code", "other_refs", "counterparty"),
    *("text", "kind", "type_code", "reason_code", "reversal", "card_token", "card_truncated"),
)
"""What ``LineReader.line`` gives, in its order."""

FEE_CODES: Final = frozenset({"10", "20"})

_DAYS_KNOWN_MAX: Final = 1_000
_MICROSECONDS_A_DAY: Final = 86_400_000_000
_NO_NUMBER: Final = " 0"
_SIX_DECIMALS: Final = 6

Amount = tuple[int, str | None]
"""Minor units and asset; no asset where the currency is blank and the amount zero."""


@dataclass(slots=True)
class Transaction:
    """The components of one transaction, as far as they are read, and where it stands."""

    code: str
    qualifier: str
    record_no: int
    tcr_count: int
    components: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """Which side of the scheme we are on, and which of the two amounts is ours."""

    acquirer_view: bool
    own_bins: frozenset[str]
    amounts: str  # auto, source or destination


_Fields = dict[str, slice]
"""Slices of one component, by name."""


class LineReader:
    """Turns transactions into column values; ``notes`` counts what was tolerated."""

    def __init__(self, *, card_tokens: CardTokens, side: Side, layout: Layout) -> None:
        self._token = card_tokens.token
        self._masked: Callable[[str], str] = card_tokens.masked
        self._side = side
        self._days: dict[tuple[str, date], int] = {}
        common = (
            *("card_number", "card_extension", "destination_amount", "destination_currency"),
            *("source_amount", "source_currency", "central_processing_date", "reason_code"),
        )
        draft = (*common, "arn", "purchase_date", "merchant_name", "usage_code", "auth_code")
        fee = (*common, "event_date", "source_bin", "message_text", "transaction_id")
        self._draft = _fields(layout, "draft", "0", *draft)
        self._draft_1 = _fields(
            layout, "draft", "1", "dispute_reference", "message_text", "merchant_id", "terminal_id"
        )
        self._draft_5 = _fields(
            *(layout, "draft", "5", "transaction_id", "interchange_fee", "interchange_sign"),
            *("source_rate", "destination_rate"),
        )
        self._interchange_is_fine = layout.kind("draft", "5", "interchange_fee") == "amount6"
        self._fee = _fields(layout, "fee", "0", *fee)
        self.notes: Counter[str] = Counter()

    def amounts(self, transaction: Transaction) -> tuple[Amount, Amount]:
        """Source and destination amount, as both sides of the trailers add them up."""
        fields = self._fee if transaction.code in FEE_CODES else self._draft
        record = transaction.components["0"]
        return (
            _amount(record, fields, "source", transaction),
            _amount(record, fields, "destination", transaction),
        )

    def line(
        self, transaction: Transaction, row: SignRow, amounts: tuple[Amount, Amount], file_date: date
    ) -> tuple[Any, ...]:
        """Values of ``LINE_COLUMNS``; dates as days since 1970."""
        try:
            if transaction.code in FEE_CODES:
                return self._fee_line(transaction, row, amounts, file_date)
            return self._draft_line(transaction, row, amounts, file_date)
        except RefusedFile as refusal:
            raise placed(refusal, f"record {transaction.record_no}") from None

    def _draft_line(
        self, transaction: Transaction, row: SignRow, amounts: tuple[Amount, Amount], file_date: date
    ) -> tuple[Any, ...]:
        record, fields = transaction.components["0"], self._draft
        own, other = self._own(transaction, amounts)
        sign = row.sign if row.side == "receiver" or self._side.acquirer_view else -row.sign
        token, shortened = self._card(record, fields, transaction)
        rest = transaction.components.get("1")
        more = ("", "", "")
        text = None
        if rest is not None:
            at = self._draft_1
            more = (rest[at["dispute_reference"]], rest[at["merchant_id"]], rest[at["terminal_id"]])
            text = self._free_text(rest[at["message_text"]])
        arn, auth_code, reason, dispute, merchant, terminal = self._references(
            (record[fields["arn"]], record[fields["auth_code"]], record[fields["reason_code"]], *more),
            transaction,
        )
        fees, identifier, rate = self._payment_service(transaction, own, other, amounts[0][1])
        usage = record[fields["usage_code"]].strip()
        return (
            own[1],
            sign * own[0],
            self._processing_day(record[fields["central_processing_date"]], file_date, transaction),
            self._event_at(record[fields["purchase_date"]], file_date, transaction),
            fees,
            None if other is None else sign * other[0],
            None if other is None else other[1],
            *rate,
            arn,
            auth_code,
            other_refs_json(
                dispute=dispute if dispute and dispute.strip("0") else None,
                merchant_id=merchant,
                scheme_transaction=identifier,
                terminal_id=terminal,
            ),
            self._free_text(record[fields["merchant_name"]]),
            text,
            row.kind,
            f"{transaction.code}-{transaction.qualifier}" + (f"-{usage}" if usage else ""),
            reason if reason and reason.strip("0") else None,
            row.reversal,
            token,
            shortened,
        )

    def _fee_line(
        self, transaction: Transaction, row: SignRow, amounts: tuple[Amount, Amount], file_date: date
    ) -> tuple[Any, ...]:
        record, fields = transaction.components["0"], self._fee
        own, other = self._own(transaction, amounts)
        sign = row.sign
        if row.side == "receiver":
            sign = -sign if record[fields["source_bin"]] in self._side.own_bins else sign
        elif not self._side.acquirer_view:
            sign = -sign
        token, shortened = self._card(record, fields, transaction)
        identifier = self._reference(record[fields["transaction_id"]], transaction)
        return (
            own[1],
            sign * own[0],
            self._processing_day(record[fields["central_processing_date"]], file_date, transaction),
            self._event_at(record[fields["event_date"]], file_date, transaction),
            None,
            None if other is None else sign * other[0],
            None if other is None else other[1],
            None,
            None,
            None,
            None,
            None,
            other_refs_json(scheme_transaction=identifier if identifier and identifier.strip("0") else None),
            None,
            self._free_text(record[fields["message_text"]]),
            row.kind,
            f"{transaction.code}-{transaction.qualifier}",
            self._reason(record[fields["reason_code"]], transaction),
            row.reversal,
            token,
            shortened,
        )

    def _own(
        self, transaction: Transaction, amounts: tuple[Amount, Amount]
    ) -> tuple[tuple[int, str], tuple[int, str] | None]:
        """Our amount, and the other one where its currency is another."""
        source, destination = amounts
        wanted = self._side.amounts
        by_destination = wanted == "destination" or (
            wanted == "auto" and destination[1] is not None and destination[0] > 0
        )
        own, other = (destination, source) if by_destination else (source, destination)
        if own[1] is None:
            raise refused(
                "currency",
                f"record {transaction.record_no} (TC {transaction.code}), "
                f"{'destination' if by_destination else 'source'} currency",
                "a numeric currency code of ISO 4217",
                "blanks",
            )
        differs = other[1] is not None and other[1] != own[1]
        return (own[0], own[1]), (other[0], other[1]) if differs and other[1] is not None else None

    def _payment_service(
        self,
        transaction: Transaction,
        own: tuple[int, str],
        other: tuple[int, str] | None,
        source_asset: str | None,
    ) -> tuple[str | None, str | None, tuple[str | None, int | None, int | None]]:
        """Interchange fee, transaction identifier and rate of component 5."""
        record = transaction.components.get("5")
        if record is None:
            return None, None, (None, None, None)
        fields = self._draft_5
        identifier = self._reference(record[fields["transaction_id"]], transaction)
        identifier = identifier if identifier and identifier.strip("0") else None
        digits = record[fields["interchange_fee"]]
        fees = None
        if digits.strip(_NO_NUMBER):
            fee_asset = source_asset or own[1]
            fee_minor = self._interchange(digits, record[fields["interchange_sign"]], fee_asset, transaction)
            fees = fees_json([("interchange", fee_minor, fee_asset, False)])
        if other is None:
            return fees, identifier, (None, None, None)
        rates = (record[fields["source_rate"]], record[fields["destination_rate"]])
        return fees, identifier, _rate(rates, other, own)

    def _interchange(self, digits: str, side: str, asset: str, transaction: Transaction) -> int:
        """The fee in minor units, positive if we pay it; finer decimals are rounded, since it is no part of a sum."""
        number = _number(digits, transaction, "interchange fee")
        if self._interchange_is_fine:
            unit = 10 ** (_SIX_DECIMALS - exponent_of(asset))
            number, excess = divmod(number, unit)
            if excess:
                number += 2 * excess >= unit
                self.notes[
                    "interchange fees finer than minor digits: rounded, they are beside the amount"
                ] += 1
        if side not in ("C", "D"):
            raise refused(
                "amount",
                f"record {transaction.record_no} (TC {transaction.code}, TCR 5), interchange sign",
                "C or D",
                repr(side),
            )
        return number if side == "D" else -number

    def _card(self, record: str, fields: _Fields, transaction: Transaction) -> tuple[str | None, str | None]:
        extension = record[fields["card_extension"]]
        number = record[fields["card_number"]].strip(" ")
        if extension.strip(_NO_NUMBER):
            number += extension.rstrip(" ")
        if not number.strip("0"):
            return None, None
        try:
            return self._token(number), truncated(number)
        except ValueError:
            raise refused(
                "structure",
                f"record {transaction.record_no} (TC {transaction.code}), card number",
                "12 to 19 digits",
                f"{len(number)} characters that are not that",
            ) from None

    def _references(self, texts: tuple[str, ...], transaction: Transaction) -> list[str | None]:
        """References stripped of fill, the acquirer's first; masked one by one only where that could matter."""
        arn = texts[0]
        if are_harmless(texts[1:]) and arn.isdecimal() and len(arn) > CARD_LENGTH_MAX:
            return [text.strip(" ") or None for text in texts]
        return [self._reference(text, transaction) for text in texts]

    def _reason(self, text: str, transaction: Transaction) -> str | None:
        reason = self._reference(text, transaction)
        return reason if reason and reason.strip("0") else None

    def _reference(self, text: str, transaction: Transaction) -> str | None:
        text = text.strip(" ")
        if not text.isprintable():
            raise refused(
                "structure",
                f"record {transaction.record_no} (TC {transaction.code}), a reference",
                "printable characters",
                "control characters",
            )
        return self._masked(text) or None

    def _free_text(self, text: str) -> str | None:
        if not text.isprintable():
            self.notes["free texts with control characters: replaced by blanks"] += 1
            text = "".join(character if character.isprintable() else " " for character in text)
        return self._masked(text.strip(" ")) or None

    def _event_at(self, text: str, file_date: date, transaction: Transaction) -> int | None:
        """Midnight of the purchase date, as microseconds since 1970: the file has no time of day."""
        if not text.strip(_NO_NUMBER):
            return None
        day = self._days.get((text, file_date))
        if day is None:
            day = self._kept(text, file_date, day_without_year(text, file_date), transaction, "purchase date")
        return day * _MICROSECONDS_A_DAY

    def _processing_day(self, text: str, file_date: date, transaction: Transaction) -> int:
        """The day of central processing (YDDD), the file's own where the record names none."""
        if not text.strip(_NO_NUMBER):
            return file_date.toordinal() - EPOCH_ORDINAL
        key = "Y" + text
        day = self._days.get((key, file_date))
        if day is None:
            found = day_of_short_year(text, file_date)
            day = self._kept(key, file_date, found, transaction, "central processing date")
        return day

    def _kept(
        self, text: str, file_date: date, found: date | None, transaction: Transaction, what: str
    ) -> int:
        if found is None:
            place = f"record {transaction.record_no} (TC {transaction.code}), {what}"
            raise refused("date", place, "a date", repr(text[-4:]))
        day = found.toordinal() - EPOCH_ORDINAL
        if len(self._days) < _DAYS_KNOWN_MAX:
            self._days[text, file_date] = day
        return day


def _fields(layout: Layout, record: str, tcr: str, *names: str) -> _Fields:
    return {name: layout.at(record, tcr, name) for name in names}


def _amount(record: str, fields: _Fields, which: str, transaction: Transaction) -> Amount:
    digits, number = record[fields[f"{which}_amount"]], record[fields[f"{which}_currency"]]
    if not digits.strip(" "):
        digits = "0"
    minor = _number(digits, transaction, f"{which} amount")
    if not minor and not number.strip(_NO_NUMBER):
        return 0, None
    try:
        return minor, ASSETS_BY_NUMBER[number][0]
    except KeyError:
        raise refused(
            "currency",
            f"record {transaction.record_no} (TC {transaction.code}), {which} currency",
            "a numeric currency code of ISO 4217",
            repr(number),
        ) from None


def _number(digits: str, transaction: Transaction, what: str) -> int:
    if not (digits.isascii() and digits.isdecimal()):
        raise refused(
            "amount",
            f"record {transaction.record_no} (TC {transaction.code}), {what}",
            f"{len(digits)} digits",
            "other characters",
        )
    return int(digits)


def _rate(
    rates: tuple[str, str], other: tuple[int, str], own: tuple[int, str]
) -> tuple[str | None, int | None, int | None]:
    """The product of both rates, over the base currency, if it joins the two amounts."""
    fractions = [
        decimal_rate(rate)[1] for rate in rates if len(rate) == 8 and rate.isascii() and rate.isdecimal()
    ]
    if len(fractions) != 2 or fractions[0] is None or fractions[1] is None:
        return None, None, None
    product = (fractions[0][0] * fractions[1][0], fractions[0][1] * fractions[1][1])
    joined = directed(product, other, own)
    if joined is None or max(joined) >= 2**63:
        return None, None, None
    decimals = len(str(product[1])) - 1
    digits = str(product[0]).rjust(decimals + 1, "0")
    rate = f"{digits[:-decimals]}.{digits[-decimals:]}" if decimals else digits
    return rate, *joined
