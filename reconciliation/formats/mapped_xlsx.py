"""Reads an Excel workbook (ECMA-376, XLSX) of no standard by the mapping of its source.

Law: the package is bounded before anything is unpacked (members, sizes, ratio), no document type is let in, one sheet
is read row by row. A number is the text that the sheet holds, digit by digit, never a float; ``table.digits: fifteen``
reads it as Excel shows it, where a writer left the float's own digits. A cell with a date format is that date. A
formula refuses the file if a column of the mapping has one, unless ``table.formulas: cached`` takes its last result.
Takes no settings, only ``mapping``. Not read: XLS, encrypted files, dates before March 1900.

>>> sniff(b"PK")
False
"""

import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO, Final

from reconciliation.errors import RefusedFile
from reconciliation.formats.canonical import Emit, ParsedDelivery, ReadOptions
from reconciliation.formats.mapped_parts.cells import Cells
from reconciliation.formats.mapped_parts.layout import Layout, names_used
from reconciliation.formats.mapped_parts.rows import RowTable, TableRow
from reconciliation.formats.mapped_parts.sheet import FORMULA, Sheet
from reconciliation.formats.mapped_parts.table import read_table, rules_of
from reconciliation.formats.mapped_parts.workbook import Workbook
from reconciliation.formats.values import refused
from reconciliation.mapping import MappingRules

NAME: Final = "mapped.xlsx"

_DAMAGED: Final = "The file is damaged, incomplete or another one; fetch it again from the sender."


def sniff(head: bytes) -> bool:  # noqa: ARG001  # by contract
    """Never: only a source knows that a file is read by its mapping."""
    return False


def read(stream: BinaryIO, options: ReadOptions, emit: Emit) -> ParsedDelivery:
    """Read and prove one file by ``options.mapping``, or raise ``RefusedFile``; ``SourcesError`` without a mapping."""
    rules = rules_of(options, NAME)
    try:
        workbook = Workbook(stream, bytes_max=options.bytes_max)
        sheet = Sheet(workbook, rules, options)
        return read_table(_Table(sheet, rules), rules, options, emit, name=NAME)
    except RefusedFile:
        raise
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        ValueError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        found = repr((str(error) or type(error).__name__)[:120])
        raise refused("structure", "the workbook", "a whole package", found, _DAMAGED) from None


class _Table(RowTable):
    typed_dates = typed_numbers = True

    def __init__(self, sheet: Sheet, rules: MappingRules) -> None:
        super().__init__(self._padded(sheet), rules)
        self._used: tuple[int, ...] = ()

    def header(self) -> tuple[Sequence[str | None], Mapping[int, Sequence[str | None]], str]:
        """Names of the columns; formulas are looked for in those that the mapping uses."""
        names, above, place = super().header()
        layout = Layout(names, names_used(self._rules), place)
        self._used = tuple(layout[name] for name in names_used(self._rules))
        return names, above, place

    def cells(self, rows: Sequence[TableRow]) -> Cells:
        """Rows as columns. Code ``structure`` for a formula where a value is needed."""
        for row in rows:
            for index in self._used:
                if row.fields[index] == FORMULA:
                    place = f"row {row.row_no}, cell {index + 1}"
                    remedy = "Ask for values; or say formulas: cached in table of the mapping."
                    raise refused("structure", place, "a value", "a formula", remedy)
        return super().cells(rows)

    def _padded(self, sheet: Sheet) -> Iterator[TableRow]:
        """Rows at least as wide as the header: a sheet leaves out the empty cells at the end."""
        for row_no, fields in sheet.rows():
            yield TableRow(row_no=row_no, fields=fields + [None] * (self._width - len(fields)))
