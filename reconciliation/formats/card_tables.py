"""Tables that card formats are driven by, as CSV text: shipped with the product, or a member's own from its manual.

Law: a table is taken whole or refused with every problem and its place (``SourcesError``). The schemes publish no
manual: what is shipped rests on open descriptions, and whoever goes live replaces it with what its own copy says.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from io import StringIO
from typing import Final

from reconciliation.errors import SourcesError

_ROWS_MAX: Final = 5_000
_TEXT_LENGTH_MAX: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """One row of a table and where it stands."""

    place: str
    values: tuple[str, ...]


def shipped_table(name: str) -> str:
    """Text of a table that comes with the product."""
    return files("reconciliation.formats").joinpath(name).read_text(encoding="utf-8")


def table_rows(text: str, columns: Sequence[str], name: str) -> list[TableRow]:
    """Rows of a CSV text with exactly these columns in its header, values stripped, empty lines left out.

    >>> table_rows("code,sign\\n05, 1\\n", ("code", "sign"), "signs")
    [TableRow(place='table signs, line 2', values=('05', '1'))]

    Raises:
        SourcesError: another header, a row of another length, no rows, or more than a table has.
    """
    expected = ",".join(columns)
    if len(text) > _TEXT_LENGTH_MAX or "\0" in text:
        raise SourcesError((f"table {name}: expected a CSV text of at most {_TEXT_LENGTH_MAX} characters",))
    rows: list[TableRow] = []
    problems: list[str] = []
    try:
        reader = csv.reader(StringIO(text.removeprefix("\ufeff")), strict=True)
        header = [cell.strip() for cell in next(reader, [])]
        if header != list(columns):
            raise SourcesError(
                (f"table {name}, line 1: expected the header {expected}, found {','.join(header)[:200]!r}",)
            )
        for cells in reader:
            place = f"table {name}, line {reader.line_num}"
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(columns):
                problems.append(f"{place}: expected {len(columns)} columns ({expected}), found {len(cells)}")
            rows.append(TableRow(place=place, values=tuple(cell.strip() for cell in cells)))
            if len(rows) > _ROWS_MAX:
                raise SourcesError((f"{place}: expected at most {_ROWS_MAX} rows, found more",))
    except csv.Error as error:
        raise SourcesError((f"table {name}: expected well-formed CSV, found: {error}",)) from None
    if not rows:
        problems.append(f"table {name}: expected rows below the header, found none")
    if problems:
        raise SourcesError(tuple(problems))
    return rows
