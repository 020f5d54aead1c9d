"""The same tables as a workbook: rows on the first sheet, the footer on the second. In constant memory.

Laws: every text is a cell of text, never a formula, never a link, and marked all the same, for a sheet that is saved as
CSV carries it on; numbers are numbers with the decimals of their column. A workbook keeps fifteen digits of a number: a
longer one is a text, so that no digit is lost. What a workbook cannot hold is refused, never cut.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, Final

import pyarrow as pa
import xlsxwriter

from reconciliation.errors import ReconciliationError
from reconciliation.evidence.produced import Produced, Production, Proof, Rows, parts, sheet_table
from reconciliation.evidence.spreadsheet_text import marked, marked_table

SHEET_ROWS_MAX: Final = 1_048_575  # besides the header
CELL_UNITS_MAX: Final = 32_767  # of UTF-16
_DIGITS_MAX: Final = 10**15
_NO_INSTANT: Final = datetime(1980, 1, 1, tzinfo=UTC)  # a workbook must name one
_FIRST_DATE: Final = date(1901, 1, 1)  # workbooks count days from 1900, which they take for a leap year
_OPTIONS: Final = {
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
    "default_date_format": "yyyy-mm-dd",
}


class UnfitForWorkbook(ReconciliationError):
    """More rows, or a longer text, than a workbook can hold; nothing was written. CSV and JSON hold it."""


def write_xlsx(out: BinaryIO, rows: Rows, production: Production) -> Produced:
    """Write rows and footer as a workbook.

    Raises:
        UnfitForWorkbook: too many rows, or too long a text.
    """
    proof = Proof(rows.schema)
    with TemporaryDirectory(prefix="tieout-") as folder:
        path = Path(folder) / "book.xlsx"
        book = xlsxwriter.Workbook(str(path), {**_OPTIONS, "tmpdir": folder})
        try:
            made_at = production.produced_at or _NO_INSTANT
            told = {"title": f"tieout: {production.what}", "created": made_at.replace(tzinfo=None, microsecond=0)}
            book.set_properties(told)
            sheet = book.add_worksheet("rows")
            _write_rows(book, sheet, rows, proof)
            produced = proof.of(production)
            _write_footer(book.add_worksheet("footer"), produced)
        finally:
            book.close()
        with path.open("rb") as made:
            while chunk := made.read(1 << 20):
                out.write(chunk)
    return produced


def _write_rows(book: Any, sheet: Any, rows: Rows, proof: Proof) -> None:
    bold = book.add_format({"bold": True, "bottom": 1})
    sheet.freeze_panes(1, 0)
    for column, field in enumerate(rows.schema):
        sheet.set_column(column, column, max(10, min(len(field.name) + 3, 30)))
    for column, field in enumerate(rows.schema):
        sheet.write_string(0, column, field.name, bold)
    writers = [_writer(book, sheet, field.type) for field in rows.schema]
    count = 0
    for table in parts(rows):
        told = sheet_table(table)
        proof.add(told)
        if count + told.num_rows > SHEET_ROWS_MAX:
            raise UnfitForWorkbook(
                f"workbook: expected at most {SHEET_ROWS_MAX:,} rows, found more; export CSV instead"
            )
        columns = [column.to_pylist() for column in marked_table(told).columns]
        for row, cells in enumerate(zip(*columns, strict=True), start=count + 1):
            for column, (write, cell) in enumerate(zip(writers, cells, strict=True)):
                if cell is not None and cell != "":
                    write(row, column, cell)
        count += told.num_rows
    sheet.autofilter(0, 0, count, max(len(rows.schema) - 1, 0))


def _writer(book: Any, sheet: Any, kind: pa.DataType) -> Callable[[int, int, Any], None]:
    """How cells of a type are written."""
    decimals = kind.scale if pa.types.is_decimal(kind) else 0
    number = book.add_format({"num_format": f"0.{'0' * decimals}" if decimals else "0"})
    day = book.add_format({"num_format": "yyyy-mm-dd"})

    def write_text(row: int, column: int, cell: object) -> None:
        text = str(cell)
        if len(text) > CELL_UNITS_MAX // 2 and len(text.encode("utf-16-le")) // 2 > CELL_UNITS_MAX:
            raise UnfitForWorkbook(
                f"workbook, row {row + 1} column {column + 1}: expected a text of at most {CELL_UNITS_MAX:,} "
                f"characters, found {len(text):,}; export CSV or JSON instead"
            )
        sheet.write_string(row, column, text)

    def write_number(row: int, column: int, cell: Any) -> None:
        if abs(cell) * 10**decimals < _DIGITS_MAX:
            sheet.write_number(row, column, cell, number)
        else:
            sheet.write_string(row, column, str(cell))

    def write_date(row: int, column: int, cell: date) -> None:
        if cell >= _FIRST_DATE:
            sheet.write_datetime(row, column, cell, day)
        else:
            sheet.write_string(row, column, cell.isoformat())

    def write_truth(row: int, column: int, cell: bool) -> None:
        sheet.write_string(row, column, "true" if cell else "false")

    if pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        return write_number
    if pa.types.is_boolean(kind):
        return write_truth
    return write_date if pa.types.is_date(kind) else write_text


def _write_footer(sheet: Any, produced: Produced) -> None:
    sheet.set_column(0, 0, 40)
    sheet.set_column(1, 1, 90)
    for row, (name, value) in enumerate(_footer_cells(produced)):
        sheet.write_string(row, 0, name)
        sheet.write_string(row, 1, value)


def _footer_cells(produced: Produced) -> Iterator[tuple[str, str]]:
    """Names and values of the footer as text, for amounts may have more digits than a number keeps."""
    for name, value in produced.items():
        told = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
        yield marked(name), marked(told)
