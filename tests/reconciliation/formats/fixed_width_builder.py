"""What the tests of fixed-width formats share: reading rows, expecting a refusal, random damage to a good file."""

from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest

from reconciliation.errors import RefusedFile
from reconciliation.formats.canonical import Format, WholeDelivery, read_whole
from tests.reconciliation.formats.camt_builder import OPTIONS

PROOFS = frozenset({"balance", "control_total", "sequence"})

Rows = list[str]


def content_of(rows: Sequence[str], *, end: str = "\r\n", encoding: str = "cp1252") -> bytes:
    return "".join(row + end for row in rows).encode(encoding)


def read_rows(
    reader: Format, rows: Sequence[str] | bytes, *, waived: frozenset[str] = frozenset()
) -> WholeDelivery:
    content = rows if isinstance(rows, bytes) else content_of(rows)
    return read_whole(reader, BytesIO(content), replace(OPTIONS, waived=waived))


def lines_of(reader: Format, rows: Sequence[str] | bytes) -> list[dict[str, Any]]:
    return list(read_rows(reader, rows).lines.to_pylist())


def refusal_of(
    reader: Format, rows: Sequence[str] | bytes, *, waived: frozenset[str] = frozenset()
) -> RefusedFile:
    with pytest.raises(RefusedFile) as caught:
        read_rows(reader, rows, waived=waived)
    return caught.value


def outcome_of(reader: Format, content: bytes) -> WholeDelivery | RefusedFile:
    """A delivery or a refusal that says all it must; whatever else is raised is a defect."""
    try:
        return read_rows(reader, content)
    except RefusedFile as error:
        refusal = error
    assert all((refusal.code, refusal.place, refusal.expected, refusal.found, refusal.remedy))
    return refusal


def put(row: str, start: int, text: str) -> str:
    """The row with the text from a position on, counted from 1 as the standards do."""
    return row[: start - 1] + text + row[start - 1 + len(text) :]


def changed(rows: Sequence[str], row_no: int, start: int, text: str) -> Rows:
    """The rows with one field of one row (both counted from 1) replaced."""
    return [put(row, start, text) if number == row_no else row for number, row in enumerate(rows, start=1)]


def edited(content: bytes, edits: Sequence[tuple[int, int]]) -> bytes:
    """The content with single bytes replaced, at places taken modulo its length."""
    damaged = bytearray(content)
    for place, byte in edits:
        damaged[place % len(damaged)] = byte
    return bytes(damaged)
