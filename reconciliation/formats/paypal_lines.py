"""One section body row (SB) of a PayPal report as a canonical line, and the two rows of a conversion side by side.

Law: the gross amount is unsigned and its direction stands beside it, the fee's likewise; the line's amount is both
together, in one currency. A row whose status is not S, and an authorisation, moves no money.
"""

from datetime import date
from math import gcd
from typing import Any, Final

from ledger_core.money import exponent_of
from reconciliation.formats.canonical import LineWriter, ReadOptions
from reconciliation.formats.paypal_amounts import Amounts
from reconciliation.formats.paypal_codes import Meaning, meaning_of
from reconciliation.formats.paypal_rows import STATUS_COLUMN, Columns, instant_of
from reconciliation.formats.values import fees_json, joined, other_refs_json, reference, refused, shown

_WRONG_REPORT: Final = "This looks like a transaction report: its format is paypal.trr."
STATUSES: Final = {"S": "booked", "P": "pending", "V": "info", "D": "info", "F": "info"}
_BOTH_WAYS: Final = frozenset({"CR", "DR"})
_AGREEMENTS: Final = frozenset({"SUB", "PAP", "RP"})  # subscription, preapproved payment, recurring payment
_FRACTION_MAX: Final = 2**63 - 1
_TEXT_COLUMNS: Final = ("Transaction Subject", "Transaction Note", "Item Name")
_NAME_COLUMNS: Final = ("Consumer Business Name", "Shipping Name")

Figures = tuple[str, bool, int, int, date]
"""Asset, whether booked, signed gross, signed fee, booking date."""


class LineReader:
    """Makes lines of the rows under one column header."""

    def __init__(
        self, columns: Columns, *, amounts: Amounts, options: ReadOptions, with_status: bool
    ) -> None:
        self._at = columns
        self._amounts = amounts
        self._masked = options.card_tokens.masked
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
        self._reference_at = columns["PayPal Reference ID"]
        self._reference_type_at = columns["PayPal Reference ID Type"]
        self._text_at = [columns[name] for name in _TEXT_COLUMNS if name in columns]
        self._name_at = [columns[name] for name in _NAME_COLUMNS if name in columns]

    def read(self, row: list[str], place: str) -> tuple[dict[str, Any], Figures]:
        """The line of a row and its figures. Codes ``structure``, ``amount``, ``currency``, ``date``."""
        if len(row) != self._at.count:
            self._same_length(row, place)
        direction, code, asset = row[self._direction_at], row[self._code_at], row[self._asset_at]
        if direction not in _BOTH_WAYS:
            raise refused("structure", f"{place}, Transaction Debit or Credit", "CR or DR", shown(direction))
        meaning = meaning_of(code, direction)
        if meaning is None:
            raise refused("structure", f"{place}, Transaction Event Code", "T and four digits", shown(code))
        gross_minor = self._amounts.minor(row[self._gross_at], asset, f"{place}, Gross Transaction Amount")
        if direction == "DR":
            gross_minor = -gross_minor
        fee_minor = self._fee(row, asset, place)
        booking_date, completed = instant_of(row[self._completed_at], f"{place}, Transaction Completion Date")
        started_text = row[self._started_at] if self._started_at >= 0 else ""
        started = (
            instant_of(started_text, f"{place}, Transaction Initiation Date")[1]
            if started_text
            else completed
        )
        status = self._status(row, meaning, place)
        line: dict[str, Any] = {
            "status": status,
            "booking_date": booking_date,
            "value_date": booking_date,
            "event_at": started,
            "amount_minor": gross_minor + fee_minor,
            "asset": asset,
            "kind": meaning.kind,
            "type_code": code,
            "reversal": meaning.reversal,
        }
        if fee_minor:
            line["fee_minor"] = -fee_minor
            line["fees"] = fees_json((("processing", -fee_minor, asset, True),))
        self._add_references(line, row, meaning)
        if self._text_at or self._name_at:
            self._add_texts(line, row)
        return line, (asset, status == "booked", gross_minor, fee_minor, booking_date)

    def pair_key(self, row: list[str]) -> str:
        """What a conversion has in common with its other half: its reference, else its invoice. Empty for the rest."""
        if row[self._code_at][1:3] != "02":
            return ""
        return self._cell(row, self._reference_at) or self._cell(row, self._invoice_at)

    def _same_length(self, row: list[str], place: str) -> None:
        """Trailing empty cells beyond the header's are an editor's; anything else is damage."""
        while len(row) > self._at.count and not row[-1]:
            row.pop()
        if len(row) != self._at.count:
            raise refused("structure", place, f"{self._at.count} columns as in its header", str(len(row)))

    def _fee(self, row: list[str], asset: str, place: str) -> int:
        """The fee with its sign: negative where it was charged."""
        digits = row[self._fee_at] if self._fee_at >= 0 else ""
        direction = row[self._fee_direction_at] if self._fee_direction_at >= 0 else ""
        fee_asset = row[self._fee_asset_at] if self._fee_asset_at >= 0 else ""
        if not digits and not direction:
            return 0
        if direction not in _BOTH_WAYS:
            raise refused("structure", f"{place}, Fee Debit or Credit", "CR or DR", shown(direction))
        if fee_asset != asset:
            raise refused("currency", f"{place}, Fee Currency", f"{asset} as the gross", shown(fee_asset))
        fee_minor = self._amounts.minor(digits, asset, f"{place}, Fee Amount")
        return -fee_minor if direction == "DR" else fee_minor

    def _status(self, row: list[str], meaning: Meaning, place: str) -> str:
        text = row[self._status_at] if self._status_at >= 0 else ""
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

    def _add_references(self, line: dict[str, Any], row: list[str], meaning: Meaning) -> None:
        cell = self._cell
        own = reference(row[self._id_at])
        related = reference(cell(row, self._reference_at))
        related_type = cell(row, self._reference_type_at)
        payment = related if meaning.refers_to_payment and related_type in ("", "TXN") else None
        invoice = reference(cell(row, self._invoice_at))
        custom = reference(cell(row, self._at["Custom Field"]))
        bank = reference(cell(row, self._at["Bank Reference ID"]))
        merchant = invoice or custom
        line["native_id"] = own
        line["ref_psp"] = payment or own
        line["ref_merchant"] = self._masked(merchant) if merchant else None
        if meaning.kind == "payout":
            line["ref_payout"] = bank or own
        line["other_refs"] = other_refs_json(
            modification=own if payment else None,
            original=payment,
            mandate=related if related_type in _AGREEMENTS else None,
            transaction=None if payment or related_type in _AGREEMENTS else related,
            invoice=self._masked(invoice) if invoice else None,
            instruction=self._masked(custom) if custom else None,
            tracking=reference(cell(row, self._at["Payment Tracking ID"])),
            customer=reference(cell(row, self._at["Consumer ID"])),
            merchant_id=reference(cell(row, self._at["Store ID"])),
            terminal_id=reference(cell(row, self._at["Terminal ID"])),
            clearing_system=bank if meaning.kind != "payout" else None,
        )

    def _add_texts(self, line: dict[str, Any], row: list[str]) -> None:
        text = joined(row[place].strip() for place in self._text_at)
        line["text"] = self._masked(text) if text else None
        names = (row[place].strip() for place in self._name_at)
        name = next((name for name in names if name), None)
        if name is None:
            parts = (self._cell(row, self._at[part]).strip() for part in ("First Name", "Last Name"))
            name = " ".join(part for part in parts if part)
        line["counterparty"] = self._masked(name) if name else None
        payer = reference(self._cell(row, self._at["Payer's Account ID"]))
        line["counterparty_account"] = self._masked(payer) if payer else None

    @staticmethod
    def _cell(row: list[str], place: int) -> str:
        return row[place] if place >= 0 else ""


class Conversions:
    """Hands lines on; the two rows of a currency conversion, which stand one after the other, learn of each other."""

    def __init__(self, writer: LineWriter) -> None:
        self._writer = writer
        self._held: tuple[str, dict[str, Any]] | None = None

    def add(self, line: dict[str, Any], pair_key: str) -> None:
        """Write the line, or hold it until the row after it is known. ``pair_key`` is empty but for conversions."""
        held = self._held
        if not pair_key:
            if held is not None:
                self.flush()
            self._writer.add(**line)
            return
        if held is not None and held[0] == pair_key and self._are_a_pair(held[1], line):
            self._join(held[1], line)
            self.flush()
            self._writer.add(**line)
            return
        self.flush()
        self._held = (pair_key, line)

    def flush(self) -> None:
        """Write what is held."""
        if self._held is not None:
            self._writer.add(**self._held[1])
            self._held = None

    @staticmethod
    def _are_a_pair(one: dict[str, Any], other: dict[str, Any]) -> bool:
        opposite: bool = one["amount_minor"] * other["amount_minor"] < 0
        return opposite and one["asset"] != other["asset"]

    @staticmethod
    def _join(one: dict[str, Any], other: dict[str, Any]) -> None:
        for line, counter in ((one, other), (other, one)):
            line["original_amount_minor"] = -counter["amount_minor"]
            line["original_asset"] = counter["asset"]
            numerator = abs(line["amount_minor"]) * 10 ** exponent_of(counter["asset"])
            denominator = abs(counter["amount_minor"]) * 10 ** exponent_of(line["asset"])
            common = gcd(numerator, denominator)
            if max(numerator, denominator) // common <= _FRACTION_MAX:
                line["fx_numerator"], line["fx_denominator"] = numerator // common, denominator // common
