"""Rows of a mapped file as columns of text, and the small steps on whole columns that every field shares.

Law: a cell is text or nothing; blanks around it say nothing. What is done to a column is what would be done to each of
its cells, and a refusal names the row and the column of the first cell that is at fault.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute

from reconciliation.errors import RefusedFile
from reconciliation.formats.mapped_parts.numbers import BLANKS, Integers
from reconciliation.formats.values import reference, refused, shown

Booleans = npt.NDArray[np.bool_]
Texts = pa.StringArray

kernel: Any = pyarrow.compute  # its stubs do not know that kernels take plain values
NOT_THIS_LAYOUT: Final = "Check which file this is; if the sender changed the layout, change the mapping."
_LIKE_NO_REFERENCE: Final = r"^(?i:NOT ?PROVIDED|NON?REF|NOTAVAILABLE|N/A|NULL|NONE)$"

Parsed = TypeVar("Parsed", date, datetime, str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """Rows as columns; ``row_nos`` count from the first row of the file, bytes where the file has such places."""

    column: Callable[[int], Sequence[str | None] | Texts]
    row_nos: Integers
    byte_offsets: Integers | None = None
    byte_lengths: Integers | None = None


class Rows:
    """The rows of one batch that are lines; columns are made when asked for, and kept."""

    def __init__(self, cells: Cells, names: Sequence[str]) -> None:
        self.cells = cells
        self.row_nos = cells.row_nos
        self._names = names
        self._kept: Integers | None = None
        self._known: dict[int, Texts] = {}

    def __len__(self) -> int:
        return len(self.row_nos)

    def keep(self, mask: Booleans) -> None:
        """Go on with these rows only."""
        if mask.all():
            return
        places = np.flatnonzero(mask)
        self._kept = places if self._kept is None else self._kept[places]
        self.row_nos = self.row_nos[places]
        self._known = {index: kernel.take(column, places) for index, column in self._known.items()}

    def kept(self, values: Integers | None) -> Integers | None:
        """A value of each row of the batch, for the rows that are kept."""
        return values if values is None or self._kept is None else values[self._kept]

    def column(self, index: int) -> Texts:
        """Cells of a column without the blanks around them; an empty one is an empty text."""
        known = self._known.get(index)
        if known is None:
            known = self._known[index] = self._made(index)
        return known

    def _made(self, index: int) -> Texts:
        raw = self.cells.column(index)
        try:
            texts: Texts = raw if isinstance(raw, pa.StringArray) else pa.array(raw, type=pa.string())
        except (UnicodeEncodeError, pa.ArrowInvalid):
            raise refused(
                "unsafe", f"column {self.name(index)}", "text that is Unicode", "what is not"
            ) from None
        if self._kept is not None:
            texts = kernel.take(texts, self._kept)
        if texts.null_count:
            texts = kernel.fill_null(texts, "")
        trimmed: Texts = kernel.utf8_trim(texts, characters=BLANKS)
        return trimmed

    def name(self, index: int) -> str:
        """How a refusal names a column."""
        name = self._names[index]
        return repr(name[:40]) if name else f"#{index + 1}"

    def place(self, row: int, index: int) -> str:
        """How a refusal names a cell."""
        return f"row {self.row_nos[row]}, column {self.name(index)}"


def each(rows: Rows, index: int, texts: Texts, parse: Callable[[str, str], Parsed]) -> list[Parsed | None]:
    """Parse every text of a column, each different one once; empty ones are None."""
    encoded = texts.dictionary_encode()
    unique = encoded.dictionary.to_pylist()
    codes = encoded.indices.to_numpy()
    parsed: list[Parsed | None] = []
    for code, text in enumerate(unique):
        if not text:
            parsed.append(None)
            continue
        try:
            parsed.append(parse(text, ""))
        except RefusedFile:
            row = int(np.argmax(codes == code))
            parsed.append(parse(text, rows.place(row, index)))
    return [parsed[code] for code in codes.tolist()]


def translated(rows: Rows, index: int, values: dict[str, str], default: str | None, what: str) -> list[str]:
    """The word that each cell stands for. Code ``structure`` for a word that the mapping does not know."""

    def word(text: str, place: str) -> str:
        found = values.get(text, default)
        if found is None:
            expected = f"a word that the mapping's {what} knows"
            raise refused("structure", place, expected, shown(text), "Add the word to the mapping.")
        return found

    words = each(rows, index, rows.column(index), word)
    if None in words:
        empty = values.get("", default)
        if empty is None:
            place = rows.place(words.index(None), index)
            raise refused("structure", place, f"a word that the mapping's {what} knows", "nothing")
        return [empty if found is None else found for found in words]
    return [found for found in words if found is not None]


def joined(rows: Rows, indexes: Sequence[int], separator: str) -> Texts:
    """Several columns as one text, without the empty ones; null where all are empty."""
    if len(indexes) == 1:
        texts = rows.column(indexes[0])
    else:
        parts = [_null_if_empty(rows.column(index)) for index in indexes]
        texts = kernel.binary_join_element_wise(*parts, separator, null_handling="skip")
    return _null_if_empty(texts)


def references(texts: Texts) -> Texts:
    """References; null where the sender wrote that there is none."""
    suspect = kernel.fill_null(kernel.match_substring_regex(texts, _LIKE_NO_REFERENCE), False)
    if not kernel.any(suspect).as_py():
        return texts
    return pa.array([reference(text) for text in texts.to_pylist()], type=pa.string())


def _null_if_empty(texts: Texts) -> Texts:
    empty = kernel.equal(texts, "")
    if not kernel.any(empty).as_py():
        return texts
    filled: Texts = kernel.if_else(empty, pa.scalar(None, pa.string()), texts)
    return filled
