"""One financial IPM message as one canonical line: sign, net amount, fees, rate, references, masked text.

    1240, DE 3 = 00...., DE 4 10000 in 978, PDS 0146 fee 120 with code 29    amount_minor 9880, fee_minor 120
    1442, DE 3 = 00...., DE 4 10000 in 978                                   amount_minor -10000
    1240, DE 3 = 00...., DE 4 10000 in 978, PDS 0025 R                       amount_minor -10000, reversal

Law: amounts are the file's own integers; a currency, exponent, code or mark that is not known refuses the file. Signs
are for our balance at the scheme. Knows nothing of files, counts or checksums. See ``mastercard_ipm`` for what is
common knowledge only.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from typing import Any, Final

from reconciliation.errors import RefusedFile
from reconciliation.formats.canonical import CardTokens
from reconciliation.formats.card_numbers import CARD_LENGTH_MAX, are_harmless
from reconciliation.formats.mastercard_parts.amounts import (
    asset_of,
    digits_of,
    proved_exponents,
    rate_between,
    refused_field,
    required,
)
from reconciliation.formats.mastercard_parts.framing import refused
from reconciliation.formats.mastercard_parts.messages import Message
from reconciliation.formats.mastercard_parts.signs import FEES, Signs
from reconciliation.formats.values import fees_json, other_refs_json

ELEMENTS_READ: Final = frozenset(
    {2, 3, 4, 5, 6, 9, 10, 12, 24, 25, 31, 37, 38, 41, 42, 43, 48, 49, 50, 51, 55, 62, 63, 71, 72, 94, 95}
    | {123, 124, 125}
)
"""What a line needs, and DE 55 to refuse chip data that should not be there."""

EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()

LINE_COLUMNS: Final = (
    *("status", "asset", "amount_minor", "settlement_date", "reversal", "event_at", "fee_minor", "fees"),
    *("original_amount_minor", "original_asset", "fx_rate", "fx_numerator", "fx_denominator"),
    *("ref_arn", "ref_rrn", "ref_auth_code", "other_refs", "counterparty", "text"),
    *("kind", "type_code", "reason_code", "card_token", "card_truncated", "byte_offset", "byte_length"),
)
"""What ``LineReader.line`` gives, in its order: all of a line but what names the file it is in."""

FIELDS_READ: Final = frozenset({"0005", "0025", "0146", "0148", "0159", "0165"})

_FEE_LENGTH: Final = (
    36  # PDS 0146: type 2, code 2, settlement 2, currency 3, amount 12, the last two again as settled
)
_SETTLED_BY_SCHEME: Final = "01"
_NO_CURRENCY: Final = frozenset({"000", "   "})
_ASK_MANUAL: Final = (
    "Compare with the IPM manual; if the code is right, give its sign in the source's table signs."
)

# PDS 0165: who settles. Only what the scheme settles moves our balance there.
_SETTLED: Final = frozenset({"", "M"})
_SETTLED_ELSEWHERE: Final = {
    "B": "settled between the banks (PDS 0165 B)",
    "C": "collection only (PDS 0165 C)",
}

# PDS 0159 (settlement data) from its settlement date on: agent 11, account 28, level 1, service 10, rate class 1,
# reconciliation date 6 and cycle 2, settlement date 6 and cycle 2.
_SETTLEMENT_DATE_AT: Final = 59

_REFERENCES: Final = (31, 37, 38, 25, 95, 42, 63, 41)  # the acquirer's first: a number longer than any card's
_ASSETS_KNOWN_MAX: Final = 10_000
_DAYS_KNOWN_MAX: Final = 1_000
_TWO_DIGITS: Final = {f"{number:02d}": number for number in range(100)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """Which side of the scheme we are on, which amount is ours, and how clock times are read."""

    acquirer_view: bool
    institution_ids: frozenset[str]
    event_zone: tzinfo
    billing: bool = False  # the amount that the cardholder is billed (DE 6), not the reconciled one (DE 5)


class LineReader:
    """Turns messages into column values; ``notes`` counts the tolerated oddities it met."""

    def __init__(self, *, card_tokens: CardTokens, side: Side, signs: Signs) -> None:
        self._masked = card_tokens.masked
        self._side = side
        self._signs = signs
        self._own = (6, 51, 10) if side.billing else (5, 50, 9)
        self._assets: dict[tuple[str | None, str | None], str] = {}
        self._days: dict[str, int] = {}
        self.notes: Counter[str] = Counter()

    def line(self, message: Message, fields: dict[str, str], file_date: date) -> tuple[Any, ...]:
        """Values of ``LINE_COLUMNS`` for a 1240, 1442 or 1740; dates as days since 1970."""
        elements = message.elements
        asset, gross_minor, original_asset, original_minor = self._amounts(message, fields.get("0148"))
        sender_sign, kind = self._sign(message)
        reversal = "0025" in fields and _is_reversal(message, fields["0025"])
        our_sign = 1 if self._we_sent(message) != reversal else -1
        fees, fee_minor = (
            self._fees(message, fields["0146"], asset, our_sign) if "0146" in fields else (None, 0)
        )
        sign = sender_sign * our_sign
        rate, numerator, denominator = None, None, None
        if original_asset is not None and original_minor is not None:
            original, own = (original_minor, original_asset), (gross_minor, asset)
            rate, numerator, denominator = rate_between(message, self._own[2], original, own)
        arn, rrn, auth_code, reason, dispute, merchant, trace, terminal = self._references(message)
        return (
            self._status(message, fields),
            asset,
            sign * gross_minor - fee_minor,
            self._settlement_day(message, fields["0159"], file_date) if "0159" in fields else None,
            reversal,
            self._event_at(message, file_date),
            fee_minor,
            fees,
            None if original_minor is None else sign * original_minor,
            original_asset,
            rate,
            numerator,
            denominator,
            arn,
            rrn,
            auth_code,
            other_refs_json(
                dispute=dispute, merchant_id=merchant, scheme_transaction=trace, terminal_id=terminal
            ),
            self._free_text(elements[43].partition("\\")[0]) if 43 in elements else None,
            self._free_text(elements[72]) if 72 in elements else None,
            "chargeback_reversal" if reversal and kind == "chargeback" else kind,
            f"{message.message_type}-{elements.get(24, '')}-{elements[3][:2]}",
            reason,
            elements.get(2),
            message.card_truncated,
            message.byte_offset,
            message.byte_length,
        )

    def _references(self, message: Message) -> list[str | None]:
        """The reference elements in their order, stripped of fill; masked one by one only where that could matter."""
        get = message.elements.get
        arn, *others = texts = [get(element, "") for element in _REFERENCES]
        if are_harmless(others) and (not arn or (arn.isdecimal() and len(arn) > CARD_LENGTH_MAX)):
            return [text.strip(" ") or None for text in texts]
        return [self._reference(message, element) for element in _REFERENCES]

    def _sign(self, message: Message) -> tuple[int, str]:
        """1 if the message credits whoever sent it, -1 if it debits; and what it is."""
        function_code, code = required(message, 24), required(message, 3)[:2]
        found = self._signs.of(message.message_type, function_code, code)
        if found is None:
            raise refused(
                code="amount",
                place=f"record {message.record_no} ({message.message_type}), DE 24 and DE 3",
                expected="a function code and a processing code that the table of signs has",
                found=f"{function_code!r} and {code!r}",
                remedy=_ASK_MANUAL,
            )
        return found

    def _we_sent(self, message: Message) -> bool:
        if message.message_type == "1740":
            return message.elements.get(94, "").strip() in self._side.institution_ids
        return self._side.acquirer_view == (message.message_type == "1240")

    def _status(self, message: Message, fields: dict[str, str]) -> str:
        """Booked if the scheme settles it. What it rejected, or others settle, is seen but moves nothing."""
        if "0005" in fields:
            self.notes["messages that the scheme rejected (PDS 0005): they move nothing"] += 1
            return "info"
        mark = fields.get("0165", "")[:1].strip()
        if mark in _SETTLED:
            return "booked"
        if mark not in _SETTLED_ELSEWHERE:
            raise refused_field(message, "0165", "M, B or C as settlement indicator", repr(mark), _ASK_MANUAL)
        self.notes[f"messages {_SETTLED_ELSEWHERE[mark]}: they move nothing"] += 1
        return "info"

    def _amounts(self, message: Message, exponents: str | None) -> tuple[str, int, str | None, int | None]:
        """Asset and amount that are ours; the transaction's own where its currency differs."""
        transaction_minor = digits_of(message, 4)
        transaction_asset = self._asset(message, 49, exponents)
        amount, currency, _ = self._own
        if amount not in message.elements:
            return transaction_asset, transaction_minor, None, None
        asset = self._asset(message, currency, exponents)
        if asset == transaction_asset:
            return asset, digits_of(message, amount), None, None
        return asset, digits_of(message, amount), transaction_asset, transaction_minor

    def _asset(self, message: Message, element: int, exponents: str | None) -> str:
        """The asset of a currency element, once PDS 0148 agrees with ISO 4217 on all that it states."""
        number = message.elements.get(element)
        asset = self._assets.get((number, exponents))
        if asset is not None:
            return asset
        number = required(message, element)
        asset = asset_of(number, message, f"DE {element}")
        if exponents is None or number not in proved_exponents(exponents, message.record_no):
            self.notes["amounts whose exponent PDS 0148 does not state: ISO 4217's was used"] += 1
        elif len(self._assets) < _ASSETS_KNOWN_MAX:
            self._assets[number, exponents] = asset
        return asset

    def _fees(self, message: Message, groups: str, asset: str, our_sign: int) -> tuple[str | None, int]:
        """Fees of PDS 0146 and their sum: positive = we pay. Of a billed amount they are no part."""
        if not groups or len(groups) % _FEE_LENGTH:
            raise refused_field(
                message, "0146", f"groups of {_FEE_LENGTH} characters", f"{len(groups)} characters"
            )
        fees: list[tuple[str, int, str, bool]] = []
        included = not self._side.billing
        for at in range(0, len(groups), _FEE_LENGTH):
            group = groups[at : at + _FEE_LENGTH]
            found = self._signs.of(FEES, group[:2], group[2:4])
            if found is None:
                raise refused_field(
                    message,
                    "0146",
                    "a fee processing code of the table of signs",
                    repr(group[2:4]),
                    _ASK_MANUAL,
                )
            if group[4:6] != _SETTLED_BY_SCHEME:
                self.notes[f"fees with settlement indicator {group[4:6]!r}: taken as kept back"] += 1
            settled = group[21:24] not in _NO_CURRENCY
            number, digits = (group[21:24], group[24:36]) if settled else (group[6:9], group[9:21])
            fee_asset = asset_of(number, message, "PDS 0146")
            if (included and fee_asset != asset) or not (digits.isascii() and digits.isdecimal()):
                raise refused_field(
                    message, "0146", f"a fee of 12 digits in {asset}, the line's asset", f"one in {fee_asset}"
                )
            sign, kind = found
            fees.append((kind, -sign * our_sign * int(digits), fee_asset, included))
        return fees_json(fees), sum([fee[1] for fee in fees]) if included else 0

    def _event_at(self, message: Message, file_date: date) -> int | datetime | None:
        """The instant of DE 12; in UTC as microseconds since 1970."""
        text = message.elements.get(12)
        if text is None or not text.strip(" 0"):
            return None
        number = _TWO_DIGITS
        try:
            day = self._day(text[:6], file_date)
            hour, minute, second = number[text[6:8]], number[text[8:10]], number[text[10:12]]
            if hour > 23 or minute > 59 or second > 59:
                raise ValueError
        except (KeyError, ValueError):
            raise _not_a_date(message, "DE 12", "a date and time as yymmddhhmmss") from None
        if self._side.event_zone is UTC:
            return ((day * 24 + hour) * 3_600 + minute * 60 + second) * 1_000_000
        on = date.fromordinal(day + EPOCH_ORDINAL)
        return datetime(on.year, on.month, on.day, hour, minute, second, tzinfo=self._side.event_zone)

    def _settlement_day(self, message: Message, settlement: str, file_date: date) -> int | None:
        text = settlement[_SETTLEMENT_DATE_AT : _SETTLEMENT_DATE_AT + 6]
        if not text.strip(" 0"):
            return None
        try:
            return self._day(text, file_date)
        except (KeyError, ValueError):
            raise _not_a_date(
                message, "PDS 0159", "a settlement date as yymmdd in positions 60 to 65"
            ) from None

    def _day(self, text: str, file_date: date) -> int:
        """Days since 1970 of yymmdd; in the last century if that would be over a year after the file."""
        day = self._days.get(text)
        if day is None:
            number = _TWO_DIGITS
            year = 2000 + number[text[:2]]
            if year > file_date.year + 1:
                year -= 100
            day = date(year, number[text[2:4]], number[text[4:6]]).toordinal() - EPOCH_ORDINAL
            if len(self._days) < _DAYS_KNOWN_MAX:
                self._days[text] = day
        return day

    def _reference(self, message: Message, element: int) -> str | None:
        """A reference as written, without the spaces that fill it up; a card number in it is masked."""
        text = message.elements.get(element)
        if text is None:
            return None
        text = text.strip(" ")
        if not text.isprintable():
            raise refused(
                code="structure",
                place=f"record {message.record_no}, DE {element}",
                expected="printable characters",
                found="control characters",
            )
        return self._masked(text) or None

    def _free_text(self, text: str) -> str | None:
        if not text.isprintable():
            self.notes["free texts with control characters: replaced by spaces"] += 1
            text = "".join(character if character.isprintable() else " " for character in text)
        return self._masked(text.strip(" ")) or None


def _is_reversal(message: Message, field: str) -> bool:
    mark = field[:1]
    if mark not in ("R", " "):
        raise refused_field(message, "0025", "R or a space as reversal mark", repr(mark), _ASK_MANUAL)
    return mark == "R"


def _not_a_date(message: Message, field: str, expected: str) -> RefusedFile:
    return refused(
        code="date",
        place=f"record {message.record_no}, {field}",
        expected=expected,
        found="something else",
    )
