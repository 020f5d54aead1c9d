"""BAI2's 16 records as canonical lines: amount, direction, value date, references, text.

Law: minor units as written, unsigned; the type code alone says the direction. A code without one refuses the file and
says which setting would give it one. Card numbers are masked also where the bank broke them over two lines.
"""

from collections.abc import Sequence
from datetime import date
from typing import Final

from reconciliation.errors import RefusedFile
from reconciliation.formats.bai2_controls import Account
from reconciliation.formats.bai2_records import Record, movement_fields
from reconciliation.formats.bai2_types import TypeCodes
from reconciliation.formats.canonical import LineWriter, ReadOptions
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

_TEXT_LENGTH_MAX: Final = 4_000
_REFERENCE_LENGTH_MAX: Final = 200
_CHECKS: Final = frozenset(
    {"255", "395", "474", "475", "522"}
)  # customer reference of a cheque is its number


class MovementReader:
    """Adds one line per 16 record to the writer, and its amount to the account's sums."""

    def __init__(self, options: ReadOptions, writer: LineWriter, type_codes: TypeCodes, notes: Notes) -> None:
        self._masked = options.card_tokens.masked
        self._add = writer.add
        self._meaning = type_codes.meaning
        self._notes = notes
        self._record_no = 0
        self._statement_no = 0
        self._day = date.min
        self._asset = ""

    def open_statement(self, statement_no: int, account: Account) -> None:
        """The lines that follow are this account's."""
        self._statement_no = statement_no
        self._day, self._asset = account.day, account.asset

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
            statement_no=self._statement_no,
            record_no=self._record_no,
            status="booked" if sign else "info",
            booking_date=self._day,
            value_date=self._value_date(fields[2].strip(), funds, amount, place),
            amount_minor=sign * amount,
            asset=self._asset,
            ref_servicer=reference(fields[3][:_REFERENCE_LENGTH_MAX]),
            ref_end_to_end=customer_reference,
            other_refs=other_refs_json(check=customer_reference) if code in _CHECKS else None,
            text=self._text(text) if text else None,
            kind=kind,
            type_code=code,
            reversal=reversal,
            byte_offset=offset,
            byte_length=length,
        )

    def _value_date(self, funds: str, own: Sequence[str], amount: int, place: str) -> date | None:
        """When the funds are available, where that is one known day."""
        if funds == "0":
            return self._day
        if funds == "V" and own[0]:
            if len(own[0]) == 8:
                return day_of(own[0], f"{place}, value date", expected="a date as YYMMDD or YYYYMMDD")
            return short_day_of(own[0], f"{place}, value date")
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

    def _text(self, lines: Sequence[str]) -> str | None:
        """Lines of text as the bank broke them, without card numbers in them or across their breaks."""
        masked = self._masked
        if len(lines) == 1:
            return masked(lines[0]).strip()[:_TEXT_LENGTH_MAX] or None
        shown_lines = [masked(line) for line in lines]
        glued = "".join(shown_lines)
        hidden = masked(glued)
        if hidden != glued:
            position = 0
            for index, line in enumerate(shown_lines):
                shown_lines[index] = hidden[position : position + len(line)]
                position += len(line)
        return "\n".join(line.rstrip() for line in shown_lines).strip()[:_TEXT_LENGTH_MAX] or None


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
