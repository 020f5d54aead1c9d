"""Where each field of a BASE II record lies: the shipped ``visa_parts/positions.csv``, corrected by a member's own
table.

    draft,0,arn,27,23,text

says: component 0 of a sale, credit, cash draft or chargeback has the acquirer reference number in positions 27 to 49.
Positions count from 1 in the record of 168 characters. Records: 90, 91 and 92 by their transaction code, ``draft`` (05
06 07 and their chargebacks and reversals), ``fee`` (10, 20), ``vss`` (46, every report), ``vss2`` and ``vss4`` (46 by
report subgroup). A member's table has the same columns and gives only the rows that its own manual has otherwise.

Law: a field that is not known, another kind, an overlap or a place outside the record is a ``SourcesError`` that names
the row. Positions come from open programs and public descriptions; none was checked against the scheme's manual.
"""

from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final

from reconciliation.errors import SourcesError
from reconciliation.formats.card_tables import shipped_table, table_rows

RECORD_LENGTH: Final = 168

Key = tuple[str, str, str]
"""Record, component (TCR) and field."""

_COLUMNS: Final = ("record", "tcr", "field", "start", "length", "kind")
_TABLE: Final = "visa_parts/positions.csv"

_LENGTHS: Final = MappingProxyType(
    {
        "amount": (1, 18),  # minor units of the currency beside it
        "amount6": (7, 24),  # major units with six decimals
        "card": (1, 19),
        "count": (1, 18),  # a plain number
        "currency": (3, 3),  # numeric, ISO 4217
        "date_ccyyddd": (7, 7),
        "date_mmdd": (4, 4),
        "date_yddd": (4, 4),
        "date_yyddd": (5, 5),
        "rate": (8, 8),
        "side": (1, 2),  # C or CR, D or DB
        "text": (1, RECORD_LENGTH),
    }
)
_KINDS_ALIKE: Final = frozenset({"amount", "amount6"})  # a manual may say either of an amount
_OVERLAYS: Final = {
    "vss2": "vss",
    "vss4": "vss",
}  # these lie in the same record as the fields of every report


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """One row: first position, number of positions, kind, and where the row stands."""

    start: int
    length: int
    kind: str
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """All positions, checked."""

    positions: MappingProxyType[Key, Position]

    def at(self, record: str, tcr: str, field: str) -> slice:
        """The field's characters in a record of 168.

        >>> layout_of(None).at("draft", "0", "arn")
        slice(26, 49, None)
        """
        position = self.positions[record, tcr, field]
        return slice(position.start - 1, position.start - 1 + position.length)

    def kind(self, record: str, tcr: str, field: str) -> str:
        """The field's kind."""
        return self.positions[record, tcr, field].kind


def layout_of(own_table: str | None) -> Layout:
    """The shipped layout, or it with the rows of a member's own table in their places."""
    shipped = _shipped()
    if own_table is None:
        return shipped
    own = _positions(own_table, "positions", known=shipped.positions)
    merged = {**shipped.positions, **own}
    _demand_apart(merged)
    return Layout(positions=MappingProxyType(merged))


@cache
def _shipped() -> Layout:
    positions = _positions(shipped_table(_TABLE), _TABLE, known=None)
    _demand_apart(positions)
    return Layout(positions=MappingProxyType(positions))


def _positions(text: str, name: str, *, known: MappingProxyType[Key, Position] | None) -> dict[Key, Position]:
    positions: dict[Key, Position] = {}
    problems: list[str] = []
    for row in table_rows(text, _COLUMNS, name):
        record, tcr, field, start, length, kind = row.values
        key = (record, tcr, field)
        if known is not None and key not in known:
            problems.append(
                f"{row.place}: {record} {tcr} {field}: not a field of {_TABLE}, which names all there are"
            )
            continue
        if key in positions:
            problems.append(f"{row.place}: {record} {tcr} {field}: given twice")
        alike = {kind, known[key].kind} if known is not None else {kind}
        if kind not in _LENGTHS or not (len(alike) == 1 or alike <= _KINDS_ALIKE):
            expected = known[key].kind if known is not None else ", ".join(_LENGTHS)
            problems.append(f"{row.place}, column kind: expected {expected}, found {kind[:40]!r}")
            continue
        first = 3 if record == "90" else 5  # transaction code, qualifier and component number stand before
        if not (_is_number(start) and first <= int(start) <= RECORD_LENGTH):
            problems.append(
                f"{row.place}, column start: expected {first} to {RECORD_LENGTH}, found {start[:40]!r}"
            )
            continue
        shortest, longest = _LENGTHS[kind]
        longest = min(longest, RECORD_LENGTH + 1 - int(start))
        if not (_is_number(length) and shortest <= int(length) <= longest):
            problems.append(
                f"{row.place}, column length: expected {shortest} to {longest} for {kind} at {start}, "
                f"found {length[:40]!r}"
            )
            continue
        positions[key] = Position(start=int(start), length=int(length), kind=kind, place=row.place)
    if problems:
        raise SourcesError(tuple(problems))
    return positions


def _demand_apart(positions: dict[Key, Position]) -> None:
    """No two fields of a record share a position."""
    problems: list[str] = []
    taken: dict[tuple[str, str, int], tuple[str, str]] = {}
    for (record, tcr, field), position in sorted(positions.items(), key=lambda item: item[0][0]):
        for place in range(position.start, position.start + position.length):
            other = taken.get((record, tcr, place)) or taken.get((_OVERLAYS.get(record, record), tcr, place))
            if other is not None:
                problems.append(
                    f"{position.place}: {record} {tcr} {field}: position {place} belongs to {other[0]} ({other[1]})"
                )
                break
            taken[record, tcr, place] = (field, position.place)
    if problems:
        raise SourcesError(tuple(problems))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 3
