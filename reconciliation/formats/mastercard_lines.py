"""One financial IPM message as one canonical line: sign, net amount, fee, references, masked text.

    1240, DE 3 = 00...., DE 4 10000 in 978, PDS 0146 fee 120 with code 29    amount_minor 9880, fee_minor 120
    1442, DE 3 = 00...., DE 4 10000 in 978                                   amount_minor -10000
    1240, DE 3 = 00...., DE 4 10000 in 978, PDS 0025 R                       amount_minor -10000, reversal

Law: amounts are the file's own integers; a currency, exponent, processing code or reversal mark that is not known
refuses the file. Signs are for our balance at the scheme. Knows nothing of files, counts or checksums. See
``mastercard_ipm`` for what is common knowledge only.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from typing import Any, Final

from reconciliation.errors import RefusedFile
from reconciliation.formats.canonical import CardTokens
from reconciliation.formats.currency_numbers import ASSETS_BY_NUMBER
from reconciliation.formats.mastercard_elements import FEE_SIGNS, ORIGINATOR_SIGNS
from reconciliation.formats.mastercard_framing import ASK_AGAIN, refused
from reconciliation.formats.mastercard_messages import Message, private_fields

ELEMENTS_READ: Final = frozenset(
    {2, 3, 4, 5, 9, 12, 24, 31, 37, 38, 43, 48, 49, 50, 55, 62, 63, 71, 72, 94, 123, 124, 125}
)
"""What a line needs, and DE 55 to refuse chip data that should not be there."""

_FIELDS_READ: Final = frozenset({"0025", "0146", "0148"})
_FEE_LENGTH: Final = (
    36  # PDS 0146: type 2, code 2, settlement 2, currency 3, amount 12, the last two again as settled
)
_SETTLED_BY_SCHEME: Final = "01"
_NO_CURRENCY: Final = frozenset({"000", "   "})

_ASK_MANUAL: Final = (
    "Compare with the IPM manual; if the code is right, its sign has to be added to the tables."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """Which side of the scheme we are on, and how clock times are read."""

    acquirer_view: bool
    institution_ids: frozenset[str]
    event_zone: tzinfo


class LineReader:
    """Turns messages into column values; ``notes`` counts the tolerated oddities it met."""

    def __init__(self, *, card_tokens: CardTokens, side: Side) -> None:
        self._card_tokens = card_tokens
        self._side = side
        self._exponents_proved: dict[str, frozenset[str]] = {}
        self.notes: Counter[str] = Counter()

    def line(self, message: Message, file_date: date) -> dict[str, Any]:
        """Columns of ``LINE_SCHEMA`` for a 1240, 1442 or 1740, except those that name the file it is in."""
        elements = message.elements
        fields = private_fields(message, _FIELDS_READ)
        asset, gross_minor, original_asset, original_minor = self._amounts(message, fields.get("0148"))
        sender_sign = _sender_sign(message)
        reversal = _is_reversal(message, fields.get("0025", " "))
        our_sign = (1 if self._we_sent(message) else -1) * (-1 if reversal else 1)
        fee_minor = self._fee(message, fields["0146"], asset) * our_sign if "0146" in fields else 0
        sign = sender_sign * our_sign
        return {
            "event_at": self._event_at(message, file_date),
            "amount_minor": sign * gross_minor - fee_minor,
            "asset": asset,
            "fee_minor": fee_minor,
            "original_amount_minor": None if original_minor is None else sign * original_minor,
            "original_asset": original_asset,
            "fx_rate": None if original_asset is None else _rate(message),
            "ref_arn": self._reference(message, 31),
            "ref_rrn": self._reference(message, 37),
            "ref_auth_code": self._reference(message, 38),
            "counterparty": self._free_text(elements.get(43, "").partition("\\")[0]),
            "text": self._text(elements),
            "kind": _kind(message.message_type, sender_sign, reversal),
            "type_code": f"{message.message_type}-{elements.get(24, '')}-{elements[3][:2]}",
            "reversal": reversal,
            "card_token": elements.get(2),
            "card_truncated": message.card_truncated,
        }

    def _we_sent(self, message: Message) -> bool:
        if message.message_type == "1740":
            return message.elements.get(94, "").strip() in self._side.institution_ids
        return self._side.acquirer_view == (message.message_type == "1240")

    def _amounts(self, message: Message, exponents: str | None) -> tuple[str, int, str | None, int | None]:
        """Asset and amount as reconciled; the transaction's own where its currency differs."""
        transaction_minor = digits_of(message, 4)
        transaction_asset = self._asset(message, 49, exponents)
        if 5 not in message.elements:
            return transaction_asset, transaction_minor, None, None
        asset = self._asset(message, 50, exponents)
        if asset == transaction_asset:
            return asset, digits_of(message, 5), None, None
        return asset, digits_of(message, 5), transaction_asset, transaction_minor

    def _asset(self, message: Message, element: int, exponents: str | None) -> str:
        number = _required(message, element)
        asset = _asset_of(number, f"record {message.record_no}, DE {element}")
        if number not in self._proved(message, exponents):
            self.notes["amounts whose exponent PDS 0148 does not state: ISO 4217's was used"] += 1
        return asset

    def _proved(self, message: Message, exponents: str | None) -> frozenset[str]:
        """Currencies whose exponent PDS 0148 states, once it agrees with ISO 4217 on all that are known."""
        if exponents is None:
            return frozenset()
        proved = self._exponents_proved.get(exponents)
        if proved is None:
            proved = self._exponents_proved[exponents] = _proved_exponents(exponents, message.record_no)
        return proved

    def _fee(self, message: Message, groups: str, asset: str) -> int:
        """Fees of PDS 0146 added up: positive = the sender of the message pays."""
        if not groups or len(groups) % _FEE_LENGTH:
            raise _refused_field(
                message, "0146", f"groups of {_FEE_LENGTH} characters", f"{len(groups)} characters"
            )
        total_minor = 0
        for at in range(0, len(groups), _FEE_LENGTH):
            group = groups[at : at + _FEE_LENGTH]
            sign = FEE_SIGNS.get(group[2:4])
            if sign is None:
                raise _refused_field(
                    message, "0146", "fee processing code 19 or 29", repr(group[2:4]), _ASK_MANUAL
                )
            if group[4:6] != _SETTLED_BY_SCHEME:
                self.notes[f"fees with settlement indicator {group[4:6]!r}: taken as kept back"] += 1
            settled = group[21:24] not in _NO_CURRENCY
            number, digits = (group[21:24], group[24:36]) if settled else (group[6:9], group[9:21])
            fee_asset = _asset_of(number, f"record {message.record_no}, PDS 0146")
            if fee_asset != asset or not _all_digits(digits):
                raise _refused_field(
                    message, "0146", f"a fee of 12 digits in {asset}, the line's asset", f"one in {fee_asset}"
                )
            total_minor -= sign * int(digits)
        return total_minor

    def _event_at(self, message: Message, file_date: date) -> datetime | None:
        text = message.elements.get(12)
        if text is None or not text.strip(" 0"):
            return None
        try:
            if not _all_digits(text):
                raise ValueError
            year, month, day, hour, minute, second = (int(text[at : at + 2]) for at in range(0, 12, 2))
            century = 2000 if 2000 + year <= file_date.year + 1 else 1900
            return datetime(century + year, month, day, hour, minute, second, tzinfo=self._side.event_zone)
        except ValueError:
            raise refused(
                code="date",
                place=f"record {message.record_no}, DE 12",
                expected="a date and time as yymmddhhmmss",
                found="something else",
            ) from None

    def _reference(self, message: Message, element: int) -> str | None:
        """A reference as written, without the spaces that fill it up; a card number in it is masked."""
        text = message.elements.get(element, "").strip(" ")
        if not text.isprintable():
            raise refused(
                code="structure",
                place=f"record {message.record_no}, DE {element}",
                expected="printable characters",
                found="control characters",
            )
        return self._card_tokens.masked(text) or None

    def _free_text(self, text: str) -> str | None:
        if not text.isprintable():
            self.notes["free texts with control characters: replaced by spaces"] += 1
            text = "".join(character if character.isprintable() else " " for character in text)
        return self._card_tokens.masked(text.strip(" ")) or None

    def _text(self, elements: dict[int, str]) -> str | None:
        """Data record (DE 72), then the life cycle id (DE 63), which names the authorisation at the scheme."""
        trace = elements.get(63, "").strip(" ")
        parts = (elements.get(72, "").strip(" "), f"trace {trace}" if trace else "")
        return self._free_text("; ".join(part for part in parts if part))


def digits_of(message: Message, element: int) -> int:
    """A numeric element as an integer; refuses anything but ASCII digits. DE 4 "000000010000" gives 10000."""
    text = _required(message, element)
    if not _all_digits(text):
        raise refused(
            code="amount",
            place=f"record {message.record_no}, DE {element}",
            expected=f"{len(text)} digits",
            found="other characters",
        )
    return int(text)


def _all_digits(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _required(message: Message, element: int) -> str:
    try:
        return message.elements[element]
    except KeyError:
        raise refused(
            code="structure",
            place=f"record {message.record_no} ({message.message_type})",
            expected=f"DE {element}",
            found="none in the message",
        ) from None


def _asset_of(number: str, place: str) -> str:
    try:
        return ASSETS_BY_NUMBER[number][0]
    except KeyError:
        raise refused(
            code="currency", place=place, expected="a numeric currency code of ISO 4217", found=repr(number)
        ) from None


def _proved_exponents(exponents: str, record_no: int) -> frozenset[str]:
    place = f"record {record_no}, PDS 0148"
    if len(exponents) % 4 or not _all_digits(exponents):
        raise refused(
            code="structure",
            place=place,
            expected="groups of three digits of currency and one of exponent",
            found="something else",
        )
    stated = {exponents[at : at + 3]: int(exponents[at + 3]) for at in range(0, len(exponents), 4)}
    for number, exponent in stated.items():
        if number in ASSETS_BY_NUMBER and ASSETS_BY_NUMBER[number][1] != exponent:
            asset, known = ASSETS_BY_NUMBER[number]
            raise refused(
                code="currency",
                place=place,
                expected=f"{known} decimals for {asset} (ISO 4217)",
                found=f"{exponent}: amounts would be wrong by a factor of {10 ** abs(known - exponent):,}",
                remedy="Ask the sender which is meant; nothing of the file was loaded.",
            )
    return frozenset(stated)


def _sender_sign(message: Message) -> int:
    """1 if the message credits whoever sent it, -1 if it debits."""
    code = _required(message, 3)[:2]
    signs = ORIGINATOR_SIGNS[message.message_type]
    if code not in signs:
        raise refused(
            code="amount",
            place=f"record {message.record_no} ({message.message_type}), DE 3",
            expected=f"a processing code that begins with {', '.join(signs)}",
            found=repr(code),
            remedy=_ASK_MANUAL,
        )
    return signs[code]


def _is_reversal(message: Message, field: str) -> bool:
    mark = field[:1]
    if mark not in ("R", " "):
        raise _refused_field(message, "0025", "R or a space as reversal mark", repr(mark), _ASK_MANUAL)
    return mark == "R"


def _rate(message: Message) -> str | None:
    """DE 9 as plain decimal text: "61234567" gives "1.234567"."""
    if 9 not in message.elements:
        return None
    digits_of(message, 9)
    decimals, digits = int(message.elements[9][0]), message.elements[9][1:]
    if decimals == 0:
        return digits.lstrip("0") or "0"
    digits = digits.rjust(decimals + 1, "0")
    return f"{digits[:-decimals].lstrip('0') or '0'}.{digits[-decimals:]}"


def _kind(message_type: str, sender_sign: int, reversal: bool) -> str:
    if message_type == "1740":
        return "fee"
    if message_type == "1442":
        return "chargeback_reversal" if reversal else "chargeback"
    return "presentment" if sender_sign > 0 else "refund"


def _refused_field(
    message: Message, tag: str, expected: str, found: str, remedy: str = ASK_AGAIN
) -> RefusedFile:
    return refused(
        code="amount",
        place=f"record {message.record_no}, PDS {tag}",
        expected=expected,
        found=found,
        remedy=remedy,
    )
