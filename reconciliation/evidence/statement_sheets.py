"""The statement of a day as CSV and as a workbook: the same rows, for whoever computes with them.

Laws: no text is ever run as a formula or becomes a link; in CSV amounts are whole minor units; in a workbook they are
numbers with the decimals of their asset, or text where a workbook would lose digits. The same statement gives the same
CSV to the byte; a workbook gets the date of the day for its own.

A CSV has one head for all tables: ``table`` says which one a row is of, and columns that it has not are empty.
"""

import csv
import io
from collections.abc import Callable
from datetime import datetime, time
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import xlsxwriter

from ledger_core.money import exponent_of
from reconciliation.errors import ReconciliationError
from reconciliation.evidence.spreadsheet_text import marked, shown
from reconciliation.evidence.statement import DayStatement
from reconciliation.evidence.statement_tables import Table, tables_of, title_of

_MINOR: Final = "_minor"
_DIGITS_MAX: Final = 10**15  # more than a workbook keeps of a number
_ROWS_MAX: Final = 1_048_575
_OPTIONS: Final = {
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
}


def statement_csv(statement: DayStatement) -> bytes:
    """All tables as one CSV in UTF-8."""
    tables = tables_of(statement).values()
    columns = list(dict.fromkeys(column for table in tables for column in table.columns))
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["table", *columns])
    for table in tables:
        places = [(columns.index(column) + 1, column) for column in table.columns]
        empty = [table.name, *[""] * len(columns)]
        for row in table.rows:
            cells = empty.copy()
            for place, column in places:
                cells[place] = _csv_cell(row[column])
            writer.writerow(cells)
    return out.getvalue().encode()


def statement_xlsx(statement: DayStatement) -> bytes:
    """All tables as a workbook, one sheet for each that has rows.

    Raises:
        ReconciliationError: a table is longer than a sheet can be; CSV and JSON hold it.
    """
    with TemporaryDirectory(prefix="tieout-") as folder:
        path = Path(folder) / "statement.xlsx"
        with xlsxwriter.Workbook(str(path), {**_OPTIONS, "tmpdir": folder}) as book:
            title = f"Reconciliation statement: {statement.source_id}, {statement.day}"
            book.set_properties({"title": title, "created": datetime.combine(statement.day, time())})
            formats = _Formats(book)
            for table in tables_of(statement).values():
                if table.rows:
                    _write(book.add_worksheet(table.name), table, formats)
        return path.read_bytes()


class _Formats:
    """Formats of cells, each made once."""

    def __init__(self, book: Any) -> None:
        self._book = book
        self._by_exponent: dict[int, Any] = {}
        self.head = book.add_format({"bold": True, "bottom": 1})
        self.count = book.add_format({"num_format": "0"})

    def amount(self, exponent: int) -> Any:
        if exponent not in self._by_exponent:
            decimals = f".{'0' * exponent}" if exponent else ""
            self._by_exponent[exponent] = self._book.add_format({"num_format": f"#,##0{decimals}"})
        return self._by_exponent[exponent]


def _write(sheet: Any, table: Table, formats: _Formats) -> None:
    if len(table.rows) > _ROWS_MAX:
        raise ReconciliationError(
            f"workbook, {table.name}: expected at most {_ROWS_MAX:,} rows, found {len(table.rows):,}; use CSV instead"
        )
    sheet.freeze_panes(1, 0)
    for place, column in enumerate(table.columns):
        sheet.set_column(place, place, max(10, min(len(title_of(column)) + 3, 40)))
    for place, column in enumerate(table.columns):
        sheet.write_string(0, place, title_of(column), formats.head)
    for number, row in enumerate(table.rows, start=1):
        for place, column in enumerate(table.columns):
            _write_cell(sheet, (number, place), column, row, formats)
    sheet.autofilter(0, 0, len(table.rows), len(table.columns) - 1)


def _write_cell(sheet: Any, place: tuple[int, int], column: str, row: Any, formats: _Formats) -> None:
    value = row[column]
    if value is None or value == "":
        return
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if is_number and column.endswith(_MINOR) and row.get("asset"):
        exponent = exponent_of(row["asset"])
        amount = Decimal(value).scaleb(-exponent)
        if abs(value) < _DIGITS_MAX:
            sheet.write_number(*place, amount, formats.amount(exponent))
        else:
            sheet.write_string(*place, format(amount, "f"))
    elif is_number and abs(value) < _DIGITS_MAX:
        sheet.write_number(*place, value, formats.count)
    else:
        text = marked(shown(_text(value)))
        if sheet.write_string(*place, text) != 0:
            raise ReconciliationError(
                f"workbook, row {place[0] + 1}: expected a text that a cell can hold, found {len(text):,} characters;"
                " use CSV instead"
            )


def _csv_cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return marked(_text(value))


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


WRITERS: Final[dict[str, Callable[[DayStatement], bytes]]] = {
    "csv": statement_csv,
    "xlsx": statement_xlsx,
    "json": DayStatement.canonical_bytes,
}
"""Forms of a statement for other programs: the ending of the file, and what makes its bytes."""
