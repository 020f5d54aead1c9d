"""Which column of a file stands where, by the names that a mapping uses, and what it says of values outside the rows.

Law: a name stands for exactly one column; one that is missing or stands twice refuses the file, with the nearest name.
"""

import difflib
from collections.abc import Mapping, Sequence
from typing import Final

from reconciliation.formats.mapped_parts.cells import NOT_THIS_LAYOUT
from reconciliation.formats.mapped_parts.numbers import BLANKS
from reconciliation.formats.values import refused, shown
from reconciliation.mapping import Cell, MappingRules

_COLUMNS_MAX: Final = 2_000


def names_used(rules: MappingRules) -> list[str]:
    """Every column that a mapping names, once each."""
    amount = rules.amount
    values = (rules.asset, rules.statement.account, rules.statement.reference)
    names: list[str | None] = [
        *(name for columns in rules.columns.values() for name in columns),
        *(name for columns in rules.other_refs.values() for name in columns),
        *(name for value in values if value is not None for name in value.column or ()),
        amount.column,
        amount.credit,
        amount.debit,
        amount.direction.column if amount.direction else None,
        rules.kind.column,
        rules.status.column if rules.status else None,
        *(fee.column for fee in rules.fees),
        rules.running_balance.column if rules.running_balance else None,
        *(row_filter.column for row_filter in rules.rows),
    ]
    if rules.original is not None:
        names += [rules.original.column, rules.original.rate, *(rules.original.asset.column or ())]
    return list(dict.fromkeys(name for name in names if name is not None))


def is_header(cells: Sequence[str | None], rules: MappingRules) -> bool:
    """Whether a row holds every column that the mapping names by a header."""
    names = [name for name in names_used(rules) if not name.startswith("#")]
    return bool(names) and set(names) <= {(cell or "").strip(BLANKS) for cell in cells}


class Layout:
    """Places of columns by name.

    >>> Layout(["Date", "Amount", ""], ["Amount", "#1"], "row 1")["Amount"]
    1
    """

    def __init__(self, header: Sequence[str | None], used: Sequence[str], place: str) -> None:
        self.names = [(name or "").strip(BLANKS) for name in header]
        if len(self.names) > _COLUMNS_MAX:
            raise refused(
                "limit", place, f"at most {_COLUMNS_MAX} columns", f"{len(self.names)}", NOT_THIS_LAYOUT
            )
        self._places = {name: self._place(name, place) for name in used}

    def __getitem__(self, name: str) -> int:
        return self._places[name]

    def _place(self, name: str, place: str) -> int:
        count = self.names.count(name)
        if count == 1:
            return self.names.index(name)
        if count > 1:
            found = f"it {count} times; name it by its place, such as #{self.names.index(name) + 1}"
            raise refused("not_this_format", place, f"one column {name!r}", found, NOT_THIS_LAYOUT)
        if (
            name.startswith("#")
            and name[1:].isdecimal()
            and len(name) < 6
            and 1 <= int(name[1:]) <= len(self.names)
        ):
            return int(name[1:]) - 1
        near = difflib.get_close_matches(name, [known for known in self.names if known], n=1)
        found = f"none; the nearest is {shown(near[0])}" if near else f"none among {len(self.names)}"
        raise refused("not_this_format", place, f"a column {name!r}", found, NOT_THIS_LAYOUT)


class Surroundings:
    """Values that stand above the rows, and below them once the rows are read."""

    def __init__(self, header: Mapping[int, Sequence[str | None]]) -> None:
        self._header = header
        self.footer: Sequence[Sequence[str | None]] = ()

    def text(self, cell: Cell) -> str:
        """The text of a cell, without what the mapping says stands around it. Code ``structure``."""
        place = f"{cell.part} row {cell.row}, cell {cell.column}"
        if cell.part == "header":
            row = self._header.get(cell.row)
        else:
            row = self.footer[cell.row - 1] if cell.row <= len(self.footer) else None
        if row is None or cell.column > len(row):
            raise refused("structure", place, "a value", "no such cell", NOT_THIS_LAYOUT)
        text = (row[cell.column - 1] or "").strip(BLANKS)
        if not text.startswith(cell.after) or not text.endswith(cell.before):
            expected = f"a value after {cell.after!r} and before {cell.before!r}"
            raise refused("structure", place, expected, shown(text), NOT_THIS_LAYOUT)
        text = text.removeprefix(cell.after).removesuffix(cell.before).strip(BLANKS)
        if not text:
            raise refused("structure", place, "a value", "nothing", NOT_THIS_LAYOUT)
        return text
