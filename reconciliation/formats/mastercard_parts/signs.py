"""Signs and kinds of IPM messages: the shipped table ``mastercard_parts/signs.csv``, and before it the rows of a
member.

    1240,200 205 282,00 01 09 12 17 18,1,presentment

says: a 1240 with one of these function codes (DE 24) and first two digits of DE 3 credits whoever sent it, and is a
presentment. Rows of message type 0146 are the fees of PDS 0146: fee type and processing code, with a type of fee as
kind. ``*`` is any code. The first row that fits decides; what no row fits is a refusal, never a guess.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from reconciliation.errors import SourcesError
from reconciliation.formats.card_tables import shipped_table, table_rows
from reconciliation.vocabulary import FEE_TYPES, LINE_KINDS

FINANCIAL: Final = ("1240", "1442", "1740")
FEES: Final = "0146"

_COLUMNS: Final = ("message_type", "function_code", "processing_code", "sign", "kind")
_SIGNS: Final[Mapping[str, int]] = {"1": 1, "+1": 1, "-1": -1}
_ANY: Final = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignRow:
    """One row: which messages it is about, 1 or -1 for whoever sent them, and what they are."""

    message_type: str
    function_codes: frozenset[str]
    processing_codes: frozenset[str]
    sign: int
    kind: str


@dataclass(frozen=True, kw_only=True)
class Signs:
    """Finds the row of a message; remembers what it found."""

    rows: tuple[SignRow, ...]

    @cached_property
    def _found(self) -> dict[tuple[str, str, str], tuple[int, str] | None]:
        return {}

    def of(self, message_type: str, function_code: str, processing_code: str) -> tuple[int, str] | None:
        """Sign for the sender and kind, None if no row fits.

        >>> signs_of(None).of("1240", "200", "20")
        (-1, 'refund')
        """
        key = (message_type, function_code, processing_code)
        try:
            return self._found[key]
        except KeyError:
            found = next(
                (
                    (row.sign, row.kind)
                    for row in self.rows
                    if row.message_type == message_type
                    and not row.function_codes.isdisjoint((function_code, _ANY))
                    and not row.processing_codes.isdisjoint((processing_code, _ANY))
                ),
                None,
            )
            if found is not None:  # unknown codes refuse the file, so that this stays as small as the table
                self._found[key] = found
            return found


def signs_of(own_table: str | None) -> Signs:
    """The shipped signs, after the rows of a member's own table where there is one; ``SourcesError`` for a bad one."""
    own = _rows(own_table, "signs") if own_table is not None else ()
    return Signs(rows=(*own, *_rows(shipped_table("mastercard_parts/signs.csv"), "mastercard_parts/signs.csv")))


def _rows(text: str, name: str) -> tuple[SignRow, ...]:
    rows: list[SignRow] = []
    problems: list[str] = []
    for row in table_rows(text, _COLUMNS, name):
        message_type, functions, codes, sign, kind = row.values
        kinds = FEE_TYPES if message_type == FEES else LINE_KINDS
        for what, good, expected in (
            ("message_type", message_type in (*FINANCIAL, FEES), ", ".join((*FINANCIAL, FEES))),
            ("function_code", _are_codes(functions), "codes with spaces between, or *"),
            ("processing_code", _are_codes(codes), "codes with spaces between, or *"),
            ("sign", sign in _SIGNS, "1 or -1"),
            ("kind", kind in kinds, ", ".join(sorted(kinds))),
        ):
            if not good:
                problems.append(f"{row.place}, column {what}: expected {expected}")
        if not problems:
            rows.append(
                SignRow(
                    message_type=message_type,
                    function_codes=frozenset(functions.split()),
                    processing_codes=frozenset(codes.split()),
                    sign=_SIGNS[sign],
                    kind=kind,
                )
            )
    if problems:
        raise SourcesError(tuple(problems))
    return tuple(rows)


def _are_codes(text: str) -> bool:
    return text == _ANY or (bool(text) and all(code.isascii() and code.isalnum() for code in text.split()))
