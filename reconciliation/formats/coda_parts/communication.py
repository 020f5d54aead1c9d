"""The communications of CODA: what a movement (2.1 to 2.3) and its information records (3.1 to 3.3) say in words.

A communication is free text, or has a type of three digits and a layout (Febelfin, enclosure III). Each known layout
becomes references, original amount, card and text; of an unknown one the text stays. Amounts in it have three decimals,
rates eight.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from ledger_core.money import exponent_of, format_minor
from reconciliation.formats.canonical import CardTokens
from reconciliation.formats.card_numbers import truncated
from reconciliation.formats.fixed_width import Notes, day_month_year, directed_rate, tidy
from reconciliation.formats.values import asset_of, implied_minor, reference

_CARD_LENGTHS: Final = range(12, 20)
_NO_DATE: Final = frozenset({"000000", "      ", ""})
_REVERSED_PURCHASE: Final = "4"


class Said:
    """What the communications of one movement add to its line."""

    __slots__ = (
        "amount_minor",
        "asset",
        "card_tokens",
        "cheque",
        "name",
        "notes",
        "others",
        "place",
        "texts",
        "values",
    )

    def __init__(
        self,
        *,
        amount_minor: int,
        asset: str,
        place: str,
        cheque: bool,
        card_tokens: CardTokens,
        notes: Notes,
    ) -> None:
        self.amount_minor = amount_minor
        self.asset = asset
        self.place = place
        self.card_tokens = card_tokens
        self.cheque = cheque
        self.notes = notes
        self.values: dict[str, Any] = {}
        self.others: dict[str, str | None] = {}
        self.texts: list[str] = []
        self.name = ""  # of the counterparty, by an information record: up to 70 characters

    def movement(self, zone: str, *, structured: bool) -> None:
        """The communication of a movement."""
        if not structured:
            text = tidy(zone)
            self.texts.append(text)
            if "++" in text or "**" in text:
                self._find_structured(text)
            return
        layout = _MOVEMENT.get(zone[:3])
        if layout is None:
            self.texts.append(tidy(zone[3:]))
        else:
            layout(self, zone[3:])

    def information(self, zone: str, *, structured: bool) -> None:
        """The communication of an information record."""
        layout = _INFORMATION.get(zone[:3]) if structured else None
        if layout is None:
            self.texts.append(tidy(zone[3:] if structured else zone))
        else:
            layout(self, zone[3:])

    def card(self, field: str) -> None:
        """A field for a card number, whole or masked."""
        number = field.strip()
        if number.isascii() and number.isdecimal() and number.strip("0") and len(number) in _CARD_LENGTHS:
            self.values["card_token"] = self.card_tokens.token(number)
            self.values["card_truncated"] = truncated(number)
            return
        middle = number[6:-4]
        if middle and (number[:6] + number[-4:]).isdecimal() and number.isascii() and not middle.strip("xX*"):
            self.values["card_truncated"] = f"{number[:6]}{'*' * len(middle)}{number[-4:]}"

    def original(self, amount: str, rate: str, currency: str, account_minor: int) -> None:
        """The amount in its own currency, where that is another one; ``account_minor`` is what it came to here."""
        asset = currency.strip()
        if not asset or asset == self.asset or not amount.strip().strip("0"):
            return
        asset = asset_of(asset, "communication, currency")
        original_minor = _minor(amount, asset)
        values = self.values
        values["original_asset"] = asset
        values["original_amount_minor"] = -original_minor if self.amount_minor < 0 else original_minor
        rate_text = decimal_text(rate, 8)
        if rate_text is None:
            return
        values["fx_rate"] = rate_text
        fraction = directed_rate((account_minor, self.asset), (original_minor, asset), rate_text, decimals=8)
        if fraction is not None:
            values["fx_numerator"], values["fx_denominator"] = fraction

    def structured_reference(self, digits: str) -> None:
        """The twelve digits of a Belgian structured communication; a wrong check leaves them text."""
        if not digits.strip().strip("0"):
            return
        if not (digits.isascii() and digits.isdecimal() and len(digits) == 12):
            self.texts.append(tidy(digits))
            return
        self.texts.append(f"+++{digits[:3]}/{digits[3:7]}/{digits[7:]}+++")
        if has_check(digits):
            self.others["creditor_reference"] = digits
        else:
            self.notes.add("structured communications with wrong check digits, kept as text", self.place)

    def _find_structured(self, text: str) -> None:
        for mark in ("+++", "***"):
            written = text.partition(mark)[2].partition(mark)[0].replace("/", "")
            if len(written) == 12 and written.isascii() and written.isdecimal() and has_check(written):
                self.others["creditor_reference"] = written


def has_check(digits: str) -> bool:
    """Whether the last two of twelve digits are the first ten modulo 97, a remainder of 0 written 97.

    >>> has_check("090933755493")
    True
    """
    return (int(digits[:10]) % 97 or 97) == int(digits[10:])


def decimal_text(digits: str, places: int) -> str | None:
    """Implied decimals as plain text without padding; None for blanks, zero and what is no number.

    >>> decimal_text("000108750000", 8)
    '1.0875'
    """
    if not (digits.isascii() and digits.isdecimal()) or not digits.strip("0"):
        return None
    whole, fraction = digits[:-places].lstrip("0") or "0", digits[-places:].rstrip("0")
    return f"{whole}.{fraction}" if fraction else whole


def _minor(digits: str, asset: str) -> int:
    return implied_minor(digits, "communication, amount", decimals=3, exponent=exponent_of(asset))


def _amount_text(digits: str, asset: str) -> str:
    """An amount with three implied decimals for people to read; as it stands where it is no number."""
    exponent = 3
    if digits.isascii() and digits.isdecimal():
        return f"{format_minor(int(digits), exponent)} {asset}".strip()
    return tidy(digits)


def _creditor_reference(said: Said, body: str) -> None:  # 100, ISO 11649
    text = tidy(body[:25])
    said.others["creditor_reference"] = reference(text)
    said.texts.append(text)


def _structured(said: Said, body: str) -> None:  # 101 and 102
    said.structured_reference(body[:12])


def _number(said: Said, body: str) -> None:  # 103: of a cheque, a card, a bill
    number = tidy(body[:12])
    if said.cheque:
        said.others["check"] = number.lstrip("0") or None
    else:
        said.texts.append(number)


def _original(said: Said, body: str) -> None:  # 105
    gross_minor = _minor(body[:15], said.asset) if body[:15].strip() else 0
    said.original(body[15:30], body[30:42], body[42:45], gross_minor or said.amount_minor)
    said.structured_reference(body[45:57])


def _calculation(said: Said, body: str) -> None:  # 106: of VAT, withholding tax, commission
    percent = decimal_text(body[30:42], 8)
    basis = _amount_text(body[15:30], said.asset)
    said.texts.append(f"{percent} % of {basis}" if percent else basis)


def _closing(said: Said, body: str) -> None:  # 108
    if body[42:48] not in _NO_DATE and body[48:54] not in _NO_DATE:
        said.texts.append(f"{_day(body[42:48])} to {_day(body[48:54])}")


def _terminal_total(said: Said, body: str) -> None:  # 111
    said.others["terminal_id"] = tidy(body[1:7])
    said.others["trace"] = tidy(body[7:10])
    said.texts.append(tidy(body[35:61]))


def _terminal_debit(said: Said, body: str) -> None:  # 113
    said.card(body[:16])
    said.others["terminal_id"] = tidy(body[17:23])
    said.others["trace"] = tidy(body[23:29])
    if body[39:40] == _REVERSED_PURCHASE:
        said.values["reversal"] = True
    said.texts.append(tidy(body[40:66]))
    said.original(body[66:81], body[81:93], body[93:96], said.amount_minor)


def _terminal_credit(said: Said, body: str) -> None:  # 114
    said.others["terminal_id"] = tidy(body[1:7])
    said.others["trace"] = tidy(body[10:16])
    said.texts.append(tidy(body[27:53]))
    said.values["ref_merchant"] = reference(said.card_tokens.masked(tidy(body[53:69])))


def _terminal_cash(said: Said, body: str) -> None:  # 115
    said.card(body[:16])
    said.others["terminal_id"] = tidy(body[17:23])
    said.others["trace"] = tidy(body[23:29])
    said.texts.append(tidy(body[61:87]))
    said.structured_reference(body[87:99])


def _credit_card(said: Said, body: str) -> None:  # 124
    said.card(body[:20])
    said.others["invoice"] = reference(body[21:33])
    said.others["customer"] = reference(body[33:48])


def _direct_debit(said: Said, body: str) -> None:  # 127
    if body[:6] not in _NO_DATE:
        said.values["settlement_date"] = day_month_year(body[:6], "communication 127, settlement date")
    said.others["creditor_id"] = reference(body[9:44])
    said.others["mandate"] = reference(body[44:79])
    said.texts.append(tidy(body[79:141]))
    refused_for, r_type, reason = body[8:9], body[141:142].strip(), reference(body[142:146])
    if r_type not in ("", "0"):
        said.values["reversal"] = True
    if reason or refused_for not in ("", " ", "0"):
        said.values["reason_code"] = reason or refused_for


def _counterparty(said: Said, body: str) -> None:  # 001
    said.name = tidy(body[:70])


def _ultimate(said: Said, body: str) -> None:  # 008 and 009
    said.texts.append(tidy(body[:70]))


def _detail_amount(said: Said, body: str) -> None:  # 006
    sign = "-" if body[48:49] == "1" else ""
    said.texts.append(f"{tidy(body[:30])} {sign}{_amount_text(body[33:48], body[30:33])}")


def _cash(said: Said, body: str) -> None:  # 007
    said.texts.append(
        f"{body[:7].lstrip('0 ')} x {_amount_text(body[7:13], '')} = {_amount_text(body[13:28], said.asset)}"
    )


def _lines_of_35(said: Said, body: str) -> None:  # 002, 004, 005
    said.texts += [tidy(body[start : start + 35]) for start in range(0, 140, 35)]


def _day(text: str) -> str:
    return day_month_year(text, "communication, date").isoformat()


_MOVEMENT: Final[Mapping[str, Callable[[Said, str], None]]] = MappingProxyType(
    {
        "100": _creditor_reference,
        "101": _structured,
        "102": _structured,
        "103": _number,
        "105": _original,
        "106": _calculation,
        "108": _closing,
        "111": _terminal_total,
        "113": _terminal_debit,
        "114": _terminal_credit,
        "115": _terminal_cash,
        "124": _credit_card,
        "127": _direct_debit,
    }
)
_INFORMATION: Final[Mapping[str, Callable[[Said, str], None]]] = MappingProxyType(
    {
        "001": _counterparty,
        "002": _lines_of_35,
        "004": _lines_of_35,
        "005": _lines_of_35,
        "006": _detail_amount,
        "007": _cash,
        "008": _ultimate,
        "009": _ultimate,
    }
)
