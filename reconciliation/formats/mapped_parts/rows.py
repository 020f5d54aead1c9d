"""A table whose rows come one by one, with rows above and below it: where its header is, which rows are its own.

Law: the header is the row that the mapping numbers, else the first row that holds every column it names, among the
first two hundred. A row of another width refuses the file, unless the mapping has such rows skipped; then they are
counted.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

import numpy as np

from reconciliation.formats.canonical import LINES_PER_BATCH
from reconciliation.formats.mapped_parts.cells import NOT_THIS_LAYOUT, Cells
from reconciliation.formats.mapped_parts.layout import is_header
from reconciliation.formats.values import refused
from reconciliation.mapping import MappingRules

_HEADER_ROWS_MAX: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """One row; its bytes where the file has such places."""

    row_no: int
    fields: Sequence[str | None]
    byte_offset: int | None = None
    byte_length: int | None = None


class RowTable:
    """A table over rows; a kind of file that has a faster way overrides ``batches``."""

    typed_dates = typed_numbers = False

    def __init__(self, rows: Iterator[TableRow], rules: MappingRules) -> None:
        self._coming = rows
        self._rules = rules
        self._width = 0
        self._skipped = 0
        self._first: tuple[TableRow, ...] = ()  # read to see how wide a table without header is
        self._held: deque[TableRow] = deque()  # the last rows, which may be the footer

    def header(self) -> tuple[Sequence[str | None], Mapping[int, Sequence[str | None]], str]:
        """Names of the columns, the rows above, and the place of the header."""
        wanted = self._rules.table.header_row
        if wanted == 0:
            return self._without_header()
        above: dict[int, Sequence[str | None]] = {}
        for row in self._coming:
            above[row.row_no] = row.fields
            if row.row_no == wanted or (wanted is None and is_header(row.fields, self._rules)):
                self._width = len(row.fields)
                return row.fields, above, f"row {row.row_no}"
            if row.row_no >= (wanted or _HEADER_ROWS_MAX):
                break
        where = f"row {wanted}" if wanted else f"the first {_HEADER_ROWS_MAX} rows"
        found = f"none in {len(above)} rows"
        raise refused("not_this_format", where, "a header with the mapping's columns", found, NOT_THIS_LAYOUT)

    def _without_header(self) -> tuple[Sequence[str | None], Mapping[int, Sequence[str | None]], str]:
        """Columns by their places; above them are the rows down to the last one that a value is taken from."""
        above: dict[int, Sequence[str | None]] = {}
        for row in self._coming:
            if row.row_no > max(self._rules.table.skip_rows, self._rules.header_rows_used):
                self._width = len(row.fields)
                self._first = (row,)
                return [""] * self._width, above, f"row {row.row_no}"
            above[row.row_no] = row.fields
        raise refused("truncated", "row 1", "rows", "none", NOT_THIS_LAYOUT)

    def batches(self) -> Iterator[Cells]:
        """The rows between header and footer."""
        kept: list[TableRow] = []
        held = self._held
        for row in chain(self._first, self._coming):
            held.append(row)
            if len(held) > self._rules.table.footer_rows and self._is_own(held[0]):
                kept.append(held[0])
            if len(held) > self._rules.table.footer_rows:
                held.popleft()
            if len(kept) >= LINES_PER_BATCH:
                yield self.cells(kept)
                kept = []
        if kept:
            yield self.cells(kept)

    def footer(self) -> Sequence[Sequence[str | None]]:
        """The last rows of the file, as many as the mapping says."""
        return [row.fields for row in self._held]

    def notes(self) -> tuple[str, ...]:
        """Rows that were skipped for their width."""
        if not self._skipped:
            return ()
        return (f"{self._skipped} rows of another width than {self._width} skipped, as the mapping says",)

    def _is_own(self, row: TableRow) -> bool:
        if len(row.fields) == self._width:
            return True
        if self._rules.table.ragged_rows == "refuse":
            found = f"{len(row.fields)}"
            raise refused("structure", f"row {row.row_no}", f"{self._width} fields", found, NOT_THIS_LAYOUT)
        self._skipped += 1
        return False

    def cells(self, rows: Sequence[TableRow]) -> Cells:
        """Rows as columns."""
        columns = list(zip(*(row.fields for row in rows), strict=True))
        addressable = rows[0].byte_offset is not None
        return Cells(
            column=columns.__getitem__,
            row_nos=np.array([row.row_no for row in rows], dtype=np.int64),
            byte_offsets=np.array([row.byte_offset for row in rows], dtype=np.int64) if addressable else None,
            byte_lengths=np.array([row.byte_length for row in rows], dtype=np.int64) if addressable else None,
        )
