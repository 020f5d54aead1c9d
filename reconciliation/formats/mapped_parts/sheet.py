"""Rows of one sheet of a workbook as text: shared and inline texts, exact numbers, dates by their format.

Law: a number is the decimal text that the sheet holds, with an exponent written out; only a mapping that says
``digits: fifteen`` has it rounded to the fifteen digits that Excel works with. Rows, columns and numbers have limits.
"""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

from reconciliation.formats.canonical import ReadOptions
from reconciliation.formats.mapped_parts.workbook import Workbook, forget, text_of
from reconciliation.formats.values import refused, shown
from reconciliation.formats.xml_stream import Element, local_name
from reconciliation.mapping import MappingRules

FORMULA: Final = "= (a formula)"
"""Stands where a cell was calculated and the mapping does not take calculated values."""

_ROWS_MAX: Final = 1 << 20  # of a sheet (ECMA-376)
_COLUMNS_MAX: Final = 1 << 11  # of a table; a sheet may have 16,384
_NUMBER: Final = re.compile(r"(-?)([0-9]{1,40})(?:\.([0-9]{1,60}))?(?:[Ee]([+-]?[0-9]{1,3}))?", re.ASCII)
_EXPONENT_MAX: Final = 40
_PRECISION: Final = 15
_REFERENCE: Final = re.compile(r"([A-Z]{1,3})([0-9]{1,7})", re.ASCII)
_DAY_0: Final = datetime(1899, 12, 30)  # noqa: DTZ001  # a sheet knows no zones
_DAY_0_OF_1904: Final = datetime(1904, 1, 1)  # noqa: DTZ001
_FIRST_REAL_DAY: Final = 61  # 1 March 1900: Excel counts a 29 February before it
_SERIAL_MAX: Final = 2_958_465  # 31 December 9999
_SECONDS: Final = 86_400


class Sheet:
    """Reads the sheet that the mapping names."""

    def __init__(self, workbook: Workbook, rules: MappingRules, options: ReadOptions) -> None:
        self._workbook = workbook
        self._part = workbook.part_of(rules.table.sheet)
        self._texts = workbook.shared_texts()
        self._date_styles = workbook.date_styles()
        self._mark = rules.numbers.decimal_mark
        self._cached = rules.table.formulas == "cached"
        self._fifteen = rules.table.digits == "fifteen"
        self._field_length_max = options.field_length_max

    def rows(self) -> Iterator[tuple[int, list[str | None]]]:
        """Number and cells of every row that is not blank, without the empty cells at its end."""
        before = 0
        for element in self._workbook.elements(self._part, ("row",)):
            number = element.get("r")
            row_no = before + 1 if number is None else _count(number, "row", _ROWS_MAX)
            if row_no <= before:
                raise refused("structure", f"row {row_no}", f"a row after row {before}", "it again")
            before = row_no
            fields = self._fields(element, row_no)
            forget(element)
            if fields:
                yield row_no, fields

    def _fields(self, element: Element, row_no: int) -> list[str | None]:
        fields: list[str | None] = []
        for cell in element:
            if local_name(str(cell.tag)) != "c":
                continue
            reference = cell.get("r")
            column = len(fields) if reference is None else _column(reference, row_no)
            place = f"row {row_no}, cell {column + 1}"
            if column < len(fields):
                raise refused("structure", place, "cells in their order", "one again")
            if column >= _COLUMNS_MAX:
                raise refused("limit", place, f"at most {_COLUMNS_MAX} columns", "more")
            text = self._text(cell, place)
            if text:
                if len(text) > self._field_length_max:
                    raise refused("limit", place, f"at most {self._field_length_max} characters", "more")
                fields += [None] * (column - len(fields))
                fields.append(text)
        return fields

    def _text(self, cell: Element, place: str) -> str | None:
        value: str | None = None
        inline: Element | None = None
        for part in cell:
            name = local_name(str(part.tag))
            if name == "v":
                value = part.text
            elif name == "is":
                inline = part
            elif name == "f" and not self._cached:
                return FORMULA
        kind = cell.get("t", "n")
        if kind == "inlineStr":
            return None if inline is None else text_of(inline)
        if value is None:
            return None
        if kind == "s":
            number = _count(value, place, len(self._texts) - 1, least=0)
            return self._texts[number]
        if kind == "n":
            return self._number(value, cell.get("s", "0"), place)
        if kind == "b":
            return "true" if value == "1" else "false"
        return value  # a formula's text, an ISO date, an error such as #N/A

    def _number(self, text: str, style: str, place: str) -> str:
        plain = plain_number(text.strip(), fifteen=self._fifteen)
        if plain is None:
            raise refused("amount", place, "a plain number", shown(text))
        if style.isdecimal() and len(style) < 7 and int(style) in self._date_styles:
            found = date_text(
                plain_number(text.strip(), fifteen=True) or plain, from_1904=self._workbook.from_1904
            )
            if found is not None:
                return found
        return plain.replace(".", self._mark)


@lru_cache(maxsize=4096)
def plain_number(text: str, *, fifteen: bool) -> str | None:
    """A number without its exponent, exactly, or with the fifteen digits that count; None if it is none.

    >>> plain_number("5.0000000000000003E-2", fifteen=False), plain_number("5.0000000000000003E-2", fifteen=True)
    ('0.050000000000000003', '0.05')
    """
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    sign, whole, fraction, exponent = (
        found.group(1),
        found.group(2),
        found.group(3) or "",
        int(found.group(4) or 0),
    )
    if abs(exponent) > _EXPONENT_MAX:
        return None
    if not exponent and not fifteen:
        return text
    digits, decimals = whole + fraction, len(fraction) - exponent
    if fifteen:
        digits, decimals = _rounded(digits, decimals)
    if decimals < 0:
        digits, decimals = digits + "0" * -decimals, 0
    digits = digits.lstrip("0").rjust(decimals + 1, "0")
    if not decimals:
        return sign + digits
    tail = digits[-decimals:]
    if fifteen:
        tail = tail.rstrip("0")
    return f"{sign}{digits[:-decimals]}.{tail}" if tail else sign + digits[:-decimals]


def _rounded(digits: str, decimals: int) -> tuple[str, int]:
    """At most fifteen significant digits, the last one rounded half up."""
    digits = digits.lstrip("0") or "0"
    excess = len(digits) - _PRECISION
    if excess <= 0:
        return digits, decimals
    kept = int(digits[:_PRECISION]) + (digits[_PRECISION] >= "5")
    return str(kept), decimals - excess


@lru_cache(maxsize=4096)
def date_text(serial: str, *, from_1904: bool) -> str | None:
    """The day, and the time if it has one, that a serial number of days stands for; None if it stands for none.

    >>> date_text("46342.5", from_1904=False)
    '2026-11-16T12:00:00'
    """
    whole, _, fraction = serial.partition(".")
    if whole.startswith("-") or len(whole) > 7:
        return None
    days = int(whole)
    seconds = (
        (int(fraction) * _SECONDS * 2 + 10 ** len(fraction)) // (2 * 10 ** len(fraction)) if fraction else 0
    )
    first = 0 if from_1904 else _FIRST_REAL_DAY
    if not first <= days <= _SERIAL_MAX - 1_500:
        return None
    moment = (_DAY_0_OF_1904 if from_1904 else _DAY_0) + timedelta(days=days, seconds=seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S" if seconds % _SECONDS else "%Y-%m-%d")


def _count(text: str, place: str, largest: int, *, least: int = 1) -> int:
    if text.isascii() and text.isdecimal() and len(text) < 9 and least <= int(text) <= largest:
        return int(text)
    raise refused("structure", place, f"a number from {least} to {largest}", shown(text))


@lru_cache(maxsize=8192)
def _letters(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number - 1


def _column(reference: str, row_no: int) -> int:
    found = _REFERENCE.fullmatch(reference)
    if found is None or int(found.group(2)) != row_no:
        raise refused("structure", f"row {row_no}", "cells of this row", shown(reference))
    return _letters(found.group(1))
