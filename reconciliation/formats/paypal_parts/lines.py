"""One section body row (SB) of a PayPal report as a canonical line, and the two rows of a conversion side by side.

Law: the gross amount is unsigned and its direction stands beside it, the fee's likewise; the line's amount is both
together, in one currency. A row whose status is not S, and an authorisation, moves no money.
"""

from datetime import date
from functools import lru_cache
from json.encoder import encode_basestring
from math import gcd
from typing import Any, Final

from ledger_core.money import exponent_of
from reconciliation.formats.canonical import RowWriter
from reconciliation.formats.paypal_parts.amounts import Amounts
from reconciliation.formats.paypal_parts.codes import Meaning, meaning_of
from reconciliation.formats.paypal_parts.rows import STATUS_COLUMN, Columns, instant_of
from reconciliation.formats.values import fees_json, joined, reference, refused, shown

STATUSES: Final = {"S": "booked", "P": "pending", "V": "info", "D": "info", "F": "info"}
LINE_COLUMNS: Final = (
    "amount_minor",
    "asset",
    "original_amount_minor",
    "original_asset",
    "fx_numerator",
    "fx_denominator",
    "status",
    "booking_date",
    "value_date",
    "event_at",
    "fee_minor",
    "fees",
    "kind",
    "type_code",
    "reversal",
    "native_id",
    "ref_psp",
    "ref_merchant",
    "ref_payout",
    "other_refs",
    "text",
    "counterparty",
    "counterparty_account",
    "statement_no",
    "record_no",
    "byte_offset",
    "byte_length",
)
"""What a line is made of, in this order; the last four are the caller's."""

MASKED_COLUMNS: Final = frozenset(
    {"ref_merchant", "other_refs", "text", "counterparty", "counterparty_account"}
)
"""Columns of texts that the merchant or the payer wrote, in which a card number may stand."""

_WRONG_REPORT: Final = "This looks like a transaction report: its format is paypal.trr."
_BOTH_WAYS: Final = frozenset({"CR", "DR"})
_AGREEMENTS: Final = frozenset({"SUB", "PAP", "RP"})  # subscription, preapproved payment, recurring payment
_FRACTION_MAX: Final = 2**63 - 1
_REFERENCE_LENGTH_MIN: Final = 13  # shorter ones may say that there is none
_TEXT_COLUMNS: Final = ("Transaction Subject", "Transaction Note", "Item Name")
_NAME_COLUMNS: Final = ("Consumer Business Name", "Shipping Name")
Figures = tuple[str, bool, int, int, date]
"""Asset, whether booked, signed gross, signed fee, booking date."""


class LineReader:
    """Makes lines of the rows under one column header."""

    def __init__(self, columns: Columns, *, amounts: Amounts, with_status: bool) -> None:
        self._at = columns
        self._minor = amounts.minor
        self._with_status = with_status
        self._id_at = columns["Transaction ID"]
        self._code_at = columns["Transaction Event Code"]
        self._started_at = columns["Transaction Initiation Date"]
        self._completed_at = columns["Transaction Completion Date"]
        self._direction_at = columns["Transaction Debit or Credit"]
        self._gross_at = columns["Gross Transaction Amount"]
        self._asset_at = columns["Gross Transaction Currency"]
        self._fee_direction_at = columns["Fee Debit or Credit"]
        self._fee_at = columns["Fee Amount"]
        self._fee_asset_at = columns["Fee Currency"]
        self._status_at = columns[STATUS_COLUMN]
        self._invoice_at = columns["Invoice ID"]
        self._custom_at = columns["Custom Field"]
        self._bank_at = columns["Bank Reference ID"]
        self._reference_at = columns["PayPal Reference ID"]
        self._reference_type_at = columns["PayPal Reference ID Type"]
        self._customer_at = columns["Consumer ID"]
        self._store_at = columns["Store ID"]
        self._terminal_at = columns["Terminal ID"]
        self._tracking_at = columns["Payment Tracking ID"]
        self._text_at = [columns[name] for name in _TEXT_COLUMNS if name in columns]
        self._name_at = [columns[name] for name in _NAME_COLUMNS if name in columns]
        self._given_name_at = [columns[name] for name in ("First Name", "Last Name") if name in columns]
        self._payer_at = columns["Payer's Account ID"]
        self._has_texts = bool(self._text_at or self._name_at or self._given_name_at)

    def read(self, row: list[str], place: str) -> tuple[list[Any], Figures]:
        """The line of a row, without the last four columns, and its figures.

        Codes ``structure``, ``amount``, ``currency``, ``date``, ``not_this_format``.
        """
        row.append("")  # stands at place -1: what a column that is not there holds
        if len(row) != self._at.count + 1:
            self._same_length(row, place)
        direction, code, asset = row[self._direction_at], row[self._code_at], row[self._asset_at]
        meaning = meaning_of(code, direction)
        if direction not in _BOTH_WAYS:
            raise refused("structure", f"{place}, Transaction Debit or Credit", "CR or DR", shown(direction))
        if meaning is None:
            raise refused("structure", f"{place}, Transaction Event Code", "T and four digits", shown(code))
        gross_minor = self._minor(row[self._gross_at], asset, place, "Gross Transaction Amount")
        if direction == "DR":
            gross_minor = -gross_minor
        fee_minor = self._fee(row, asset, place)
        completed_text, started_text = row[self._completed_at], row[self._started_at]
        booking_date, event_at = instant_of(completed_text, place, "Transaction Completion Date")
        if started_text and started_text != completed_text:
            event_at = instant_of(started_text, place, "Transaction Initiation Date")[1]
        status = self._status(row, meaning, place)
        texts = self._texts(row) if self._has_texts else (None, None, None)
        line = [
            gross_minor + fee_minor,
            asset,
            None,
            None,
            None,
            None,
            status,
            booking_date,
            booking_date,
            event_at,
            -fee_minor,
            _fees_text(-fee_minor, asset) if fee_minor else None,
            meaning.kind,
            code,
            meaning.reversal,
            *self._references(row, meaning),
            *texts,
        ]
        return line, (asset, status == "booked", gross_minor, fee_minor, booking_date)

    def pair_key(self, row: list[str]) -> str:
        """What a conversion has in common with its other half: its reference, else its invoice. Empty for the rest."""
        if row[self._code_at][1:3] != "02":
            return ""
        return row[self._reference_at] or row[self._invoice_at]

    def _same_length(self, row: list[str], place: str) -> None:
        """Trailing empty cells beyond the header's are an editor's; anything else is damage."""
        while len(row) > self._at.count + 1 and not row[-2]:
            row.pop()
        if len(row) != self._at.count + 1:
            expected = f"{self._at.count} columns as in its header"
            raise refused("structure", place, expected, f"{len(row) - 1}")

    def _fee(self, row: list[str], asset: str, place: str) -> int:
        """The fee with its sign: negative where it was charged."""
        digits, direction = row[self._fee_at], row[self._fee_direction_at]
        if not digits and not direction:
            return 0
        if direction not in _BOTH_WAYS:
            raise refused("structure", f"{place}, Fee Debit or Credit", "CR or DR", shown(direction))
        if row[self._fee_asset_at] != asset:
            found = shown(row[self._fee_asset_at])
            raise refused("currency", f"{place}, Fee Currency", f"{asset} as the gross", found)
        fee_minor = self._minor(digits, asset, place, "Fee Amount")
        return -fee_minor if direction == "DR" else fee_minor

    def _status(self, row: list[str], meaning: Meaning, place: str) -> str:
        text = row[self._status_at]
        if self._with_status:
            status = STATUSES.get(text)
            if status is None:
                raise refused("structure", f"{place}, {STATUS_COLUMN}", "S, P, V, D or F", shown(text))
        elif text:
            expected = "no status: a settlement report has settled movements only"
            raise refused(
                "not_this_format", f"{place}, {STATUS_COLUMN}", expected, shown(text), _WRONG_REPORT
            )
        else:
            status = "booked"
        return status if meaning.moves_money or status != "booked" else "info"

    def _references(self, row: list[str], meaning: Meaning) -> tuple[str | None, ...]:
        """Own id, the payment it belongs to, the merchant's, the payout's, and all others as JSON."""
        own, related = _reference(row[self._id_at]), _reference(row[self._reference_at])
        related_type = row[self._reference_type_at]
        invoice, custom = _reference(row[self._invoice_at]), _reference(row[self._custom_at])
        bank = _reference(row[self._bank_at])
        payment = agreement = transaction = payout = None
        if related:
            if related_type in _AGREEMENTS:
                agreement = related
            elif meaning.refers_to_payment and related_type in {"", "TXN"}:
                payment = related
            else:
                transaction = related
        if meaning.kind == "payout":
            payout, bank = bank or own, None
        named = (
            ("clearing_system", bank),
            ("customer", row[self._customer_at]),
            ("instruction", custom),
            ("invoice", invoice),
            ("mandate", agreement),
            ("merchant_id", row[self._store_at]),
            ("modification", own if payment else None),
            ("original", payment),
            ("terminal_id", row[self._terminal_at]),
            ("tracking", row[self._tracking_at]),
            ("transaction", transaction),
        )
        others = [f'"{name}":{encode_basestring(text)}' for name, text in named if text]
        return own, payment or own, invoice or custom, payout, f"{{{','.join(others)}}}" if others else None

    def _texts(self, row: list[str]) -> tuple[str | None, str | None, str | None]:
        """Description, name of the other side, and what PayPal knows it by."""
        text = joined([row[place].strip() for place in self._text_at])
        name = next((row[place] for place in self._name_at if row[place].strip()), "").strip()
        if not name:
            name = " ".join(row[place].strip() for place in self._given_name_at).strip()
        return text, name or None, _reference(row[self._payer_at])


@lru_cache(maxsize=4096)
def _fees_text(fee_minor: int, asset: str) -> str | None:
    return fees_json((("processing", fee_minor, asset, True),))


def _reference(text: str) -> str | None:
    return reference(text) if len(text) < _REFERENCE_LENGTH_MIN and text else text.strip() or None


class Conversions:
    """Hands lines on; the two rows of a currency conversion, which stand one after the other, learn of each other."""

    def __init__(self, writer: RowWriter) -> None:
        self._writer = writer
        self._held: tuple[str, list[Any]] | None = None

    def add(self, line: list[Any], pair_key: str) -> None:
        """Write the line, or hold it until the row after it is known. ``pair_key`` is empty but for conversions."""
        held = self._held
        if held is None and not pair_key:
            self._writer.add(tuple(line))
            return
        if held is not None and held[0] == pair_key and _are_a_pair(held[1], line):
            _join(held[1], line)
            pair_key = ""
        self.flush()
        if pair_key:
            self._held = (pair_key, line)
        else:
            self._writer.add(tuple(line))

    def flush(self) -> None:
        """Write what is held."""
        if self._held is not None:
            self._writer.add(tuple(self._held[1]))
            self._held = None


def _are_a_pair(one: list[Any], other: list[Any]) -> bool:
    """Whether money left one currency and came in another."""
    opposite: bool = one[0] * other[0] < 0
    return opposite and one[1] != other[1]


def _join(one: list[Any], other: list[Any]) -> None:
    for line, counter in ((one, other), (other, one)):
        numerator = abs(line[0]) * 10 ** exponent_of(counter[1])
        denominator = abs(counter[0]) * 10 ** exponent_of(line[1])
        common = gcd(numerator, denominator)
        line[2], line[3] = -counter[0], counter[1]
        if max(numerator, denominator) // common <= _FRACTION_MAX:
            line[4], line[5] = numerator // common, denominator // common
