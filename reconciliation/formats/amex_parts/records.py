"""Records of American Express files: fields by position or by column, from a table that a member may correct.

Law: a field is where the table puts it. Positions are public knowledge (open programs that agree), not American
Express' own guide: whoever goes live compares the table with its own copy, and gives what differs as the source's table
``positions`` (CSV: record,field,start,length; start counts from 1). In delimited files the columns stand in the order
of the positions; files of version 1 lack those named filler, files of version 3 those named old. A record that ends
before its last fields has them blank.
"""

import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import BinaryIO, Final

from reconciliation.errors import SourcesError
from reconciliation.formats.card_tables import shipped_table, table_rows
from reconciliation.formats.text_lines import text_lines
from reconciliation.formats.values import refused

Pick = Callable[[str], list[str]]
"""Fields of one record, without the blanks around them, in the order they were asked for."""

DAMAGED: Final = "The file is damaged, incomplete or another one; fetch it again from American Express."
LINE_BYTES_MAX: Final = 8_192

_COLUMNS: Final = ("record", "field", "start", "length")
_POSITION_MAX: Final = 4_000
_BLANKS: Final = " \t\x1a"


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How the records of one file are written: at positions (no mark), or as columns parted by a mark."""

    mark: str | None
    has_fillers: bool = True  # since version 2
    has_old: bool = True  # until version 2


class Layout:
    """Positions of all fields of all records."""

    def __init__(self, shipped_name: str, tables: Mapping[str, str]) -> None:
        self._spans = _spans(shipped_table(shipped_name), "shipped")
        if "positions" in tables:
            self._replace(_spans(tables["positions"], "positions"))

    def picker(self, record: str, fields: tuple[str, ...], form: Form) -> Pick:
        """What takes these fields out of a line of the file."""
        spans = self._spans[record]
        if form.mark is None:
            places = [(spans[name][0] - 1, spans[name][0] - 1 + spans[name][1]) for name in fields]
            return lambda line: [line[begin:end].strip() for begin, end in places]
        left_out = tuple(
            prefix for prefix, has in (("filler", form.has_fillers), ("old", form.has_old)) if not has
        )
        names = [name for name in spans if not name.startswith(left_out)]
        order = sorted(names, key=lambda name: spans[name])
        indices = [order.index(name) if name in order else -1 for name in fields]
        count, mark = max(indices) + 1, form.mark

        def pick(line: str) -> list[str]:
            cells = cells_of(line, mark)
            if len(cells) < count:
                cells += [""] * (count - len(cells))
            return [cells[index].strip() if index >= 0 else "" for index in indices]

        return pick

    def _replace(self, given: dict[str, dict[str, tuple[int, int]]]) -> None:
        problems = []
        for record, spans in given.items():
            known = self._spans.get(record, {})
            for name, span in spans.items():
                if name in known:
                    known[name] = span
                    continue
                near = get_close_matches(name, known, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                problems.append(f"table positions: {record} {name} is not a field that is read{hint}")
        if problems:
            raise SourcesError(tuple(problems))


def cells_of(line: str, mark: str) -> list[str]:
    """Columns of a delimited line, quoted or not. Code ``structure``.

    >>> cells_of('"TRAILER","0000000026",""', ",")
    ['TRAILER', '0000000026', '']
    """
    if line.startswith('"') and line.endswith('"') and len(line) > 1:
        cells = line[1:-1].split(f'"{mark}"')
        if line.count('"') == 2 * len(cells):
            return cells
    elif '"' not in line:
        return line.split(mark)
    try:
        return next(csv.reader([line], delimiter=mark, strict=True), [])
    except csv.Error as error:
        raise refused("structure", "columns", "well-formed columns", str(error), DAMAGED) from None


def record_lines(stream: BinaryIO, bytes_max: int) -> Iterator[tuple[int, int, int, str]]:
    """Line number, byte offset, length in bytes and text of every line that is not blank."""
    lines = text_lines(stream, bytes_max=bytes_max, line_bytes_max=LINE_BYTES_MAX)
    for line_no, (offset, length, text) in enumerate(lines, start=1):
        if text.strip(_BLANKS):
            yield line_no, offset, length, text


def _spans(text: str, name: str) -> dict[str, dict[str, tuple[int, int]]]:
    spans: dict[str, dict[str, tuple[int, int]]] = {}
    problems = []
    for row in table_rows(text, _COLUMNS, name):
        record, field, *numbers = row.values
        plain = all(one.isascii() and one.isdecimal() and len(one) <= 4 for one in numbers)
        if not plain or not 1 <= int(numbers[0]) <= _POSITION_MAX:
            problems.append(f"{row.place}: expected start and length up to {_POSITION_MAX}")
            continue
        spans.setdefault(record, {})[field] = (int(numbers[0]), int(numbers[1]))
    if problems:
        raise SourcesError(tuple(problems))
    return spans
