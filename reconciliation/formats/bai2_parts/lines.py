"""BAI2's 16 records as canonical lines: amount, direction, value date, references, text.

Law: minor units as written, unsigned; the type code alone says the direction. A code without one refuses the file and
says which setting would give it one. Card numbers are masked also where the bank broke them over two lines.
"""

from collections.abc import Sequence
from datetime import date
from typing import Final

from reconciliation.errors import RefusedFile
from reconciliation.formats.bai2_parts.controls import Account
from reconciliation.formats.bai2_parts.records import Record, movement_fields
from reconciliation.formats.bai2_parts.types import TypeCodes
from reconciliation.formats.canonical import ReadOptions, RowWriter
from reconciliation.formats.masked_lines import masked_lines
from reconciliation.formats.notes import Notes
from reconciliation.formats.values import (
    day_of,
    implied_minor,
    other_refs_json,
    reference,
    refused,
    short_day_of,
    shown,
)

LINE_COLUMNS: Final = (
    "statement_no",
    "record_no",
    "status",
    "booking_date",
    "value_date",
    "amount_minor",
    "asset",
    "ref_servicer",
    "ref_end_to_end",
    "other_refs",
    "text",
    "kind",
    "type_code",
    "reversal",
    "byte_offset",
    "byte_length",
)

_EPOCH: Final = date(1970, 1, 1).toordinal()
_TEXT_LENGTH_MAX: Final = 4_000
_REFERENCE_LENGTH_MAX: Final = 200
_CHECKS: Final = frozenset(
    {"255", "395", "474", "475", "522"}
)  # customer reference of a cheque is its number


def written_day(text: str, place: str) -> date:
    """A date as YYMMDD, or as YYYYMMDD where the bank writes eight digits. Code ``date``."""
    if len(text) == 8:
        return day_of(text, place, expected="a date as YYMMDD or YYYYMMDD")
    return short_day_of(text, place)


class MovementReader:
    """Adds one line per 16 record to the writer, and its amount to the account's sums."""

    def __init__(self, options: ReadOptions, writer: RowWriter, type_codes: TypeCodes, notes: Notes) -> None:
        self._masked = options.card_tokens.masked
        self._add = writer.add
        self._meaning = type_codes.meaning
        self._notes = notes
        self._record_no = 0
        self._statement_no = 0
        self._booking_days = 0
        self._asset = ""

    def open_statement(self, statement_no: int, account: Account) -> None:
        """The lines that follow are this account's."""
        self._statement_no = statement_no
        self._booking_days, self._asset = account.day.toordinal() - _EPOCH, account.asset

    def add(self, record: Record, account: Account) -> None:
        """Take one 16 record. Codes ``amount``, ``date``, ``structure``."""
        _, parts, line_no, offset, length, records = record
        place = f"line {line_no} (transaction 16)"
        fields, funds, text = movement_fields(parts, place)
        code = fields[0].strip()
        meaning = self._meaning(code)
        if meaning is None:
            raise _without_direction(code, place)
        sign, kind, reversal = meaning
        amount_text = fields[1].strip()
        amount = 0
        if amount_text or sign:
            amount = implied_minor(amount_text, f"{place}, amount of {code}", decimals=0, exponent=0)
        level = account.level
        level.total += amount
        level.records += records
        side = 0 if sign > 0 else 1
        if sign:
            account.sums[side] += amount
            account.counts[side] += 1
        else:
            account.info_count += 1
            if amount:
                self._notes.add(
                    f"amounts of type {code}, which moves nothing: in the control total only", place
                )
        customer_reference = reference(fields[4][:_REFERENCE_LENGTH_MAX])
        self._record_no += 1
        self._add(
            (
                self._statement_no,
                self._record_no,
                "booked" if sign else "info",
                self._booking_days,
                self._value_days(fields[2].strip(), funds, amount, place),
                sign * amount,
                self._asset,
                reference(fields[3][:_REFERENCE_LENGTH_MAX]),
                customer_reference,
                other_refs_json(check=customer_reference) if code in _CHECKS else None,
                masked_lines(text, self._masked)[:_TEXT_LENGTH_MAX] or None if text else None,
                kind,
                code,
                reversal,
                offset,
                length,
            )
        )

    def _value_days(self, funds: str, own: Sequence[str], amount: int, place: str) -> int | None:
        """When the funds are available, where that is one known day; in days since 1970-01-01."""
        if funds == "0":
            return self._booking_days
        if funds == "V" and own[0]:
            return written_day(own[0], f"{place}, value date").toordinal() - _EPOCH
        if funds in {"S", "D"}:
            texts = own if funds == "S" else own[2::2]
            parts = [
                implied_minor(one, f"{place}, distributed amount", decimals=0, exponent=0)
                for one in texts
                if one
            ]
            if sum(parts) != amount:
                self._notes.add("distributions over days that do not add up to their transaction", place)
        return None


def _without_direction(code: str, place: str) -> RefusedFile:
    if len(code) != 3 or not (code.isascii() and code.isdecimal()):
        return refused("structure", f"{place}, type code", "three digits", shown(code))
    return refused(
        "structure",
        f"{place}, type code",
        "100 to 399 (credit), 400 to 699 (debit), 890, or a code that the settings give a direction",
        code,
        f"Ask the bank what {code} means and name it in the settings of the source: bank_defined_credit, "
        "bank_defined_debit, or bank_defined_info if it moves no money.",
    )
