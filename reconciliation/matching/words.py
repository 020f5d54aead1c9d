"""The distinct references of several columns, each known by one number, and by a second one for what they come to when
normalised. Texts are hashed once, however many columns and passes compare them, and only unusual ones are rewritten.

    external "INV-1", "INV1"   ledger "inv 1"      written: 0, 1, 2      normalised: all the same

Decides nothing; which columns identify is for the rules.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa

from reconciliation.matching.columns import BoolArray, Column, IntArray, flags, kernel
from reconciliation.matching.references import ABSENT, is_normal, normalised


@dataclass(frozen=True, slots=True)
class Words:
    """``codes[column]`` are places in ``words``, -1 for none. ``forms`` is filled when first asked for."""

    words: Column
    codes: dict[str, IntArray]
    _forms: list[tuple[IntArray, BoolArray]]

    @classmethod
    def of(cls, columns: dict[str, Column]) -> Self:
        """The words of these columns of text."""
        codes: dict[str, IntArray] = {name: np.empty(0, dtype=np.int64) for name in columns}
        filled = {name: column for name, column in columns.items() if len(column)}
        if not filled:
            return cls(pa.array([], pa.string()), codes, [])
        encoded: Column = pa.chunked_array(list(filled.values()), pa.string()).dictionary_encode()
        for name, chunk in zip(filled, encoded.chunks, strict=True):  # they have one dictionary
            codes[name] = np.asarray(kernel.fill_null(chunk.indices, -1).to_numpy())
        return cls(encoded.chunk(0).dictionary, codes, [])

    def __contains__(self, name: str) -> bool:
        return name in self.codes

    def shared_codes(self, external: str, ledger: str, *, as_written: bool) -> tuple[IntArray, IntArray]:
        """Equal values get equal codes from 1 on; null, and ledger values no external line has, get ``ABSENT``."""
        number = np.arange(len(self.words)) if as_written else self._normal()[0]
        left, right = (np.append(number, -1)[self.codes[name]] for name in (external, ledger))
        known = np.zeros(int(number.max(initial=-1)) + 2, dtype=np.bool_)
        known[left] = True
        known[-1] = False  # where the absent ones fell
        # numbered anew, so that the codes are no larger than the external side's words are many
        place = np.where(known, np.cumsum(known), ABSENT)
        return place[left], place[right]

    def is_well_formed(self, name: str) -> BoolArray:
        """Where a column holds a word that is long enough, once normalised, to contradict another."""
        return np.asarray(np.append(self._normal()[1], False)[self.codes[name]], dtype=np.bool_)

    def _normal(self) -> tuple[IntArray, BoolArray]:
        """For each word the number of its comparable form, and whether that is well formed; a word that is its own
        form keeps its number.
        """
        if not self._forms:
            self._forms.append(self._numbered_forms())
        return self._forms[0]

    def _numbered_forms(self) -> tuple[IntArray, BoolArray]:
        count = len(self.words)
        numbers = np.arange(count)
        unusual = np.flatnonzero(~is_normal(self.words))
        if not len(unusual):
            return numbers, np.ones(count, dtype=np.bool_)
        forms = normalised(self.words.take(pa.array(unusual)))
        own_text = kernel.starts_with(
            forms, pattern="N"
        )  # the others are compared as they stand, after a "="
        texts = kernel.if_else(own_text, kernel.utf8_slice_codeunits(forms, 1), forms)
        encoded = texts.dictionary_encode()
        normal = np.ones(count, dtype=np.bool_)
        normal[unusual] = False
        same = kernel.fill_null(kernel.index_in(self.words, value_set=encoded.dictionary), -1).to_numpy()
        meets = normal & (same >= 0)
        numbers[meets] = count + same[meets]
        numbers[unusual] = count + encoded.indices.to_numpy()
        sound = normal
        sound[unusual] = flags(own_text)
        return numbers, sound


def shared_row_codes(external: Sequence[Column], ledger: Sequence[Column]) -> tuple[IntArray, IntArray]:
    """Codes of the rows of parallel columns of few values: equal rows, equal codes from 1 on, over both sides; rows of
    the ledger's that no external one equals get ``ABSENT``.
    """
    left, right = np.zeros(len(external[0]), dtype=np.int64), np.zeros(len(ledger[0]), dtype=np.int64)
    for ours, theirs in zip(external, ledger, strict=True):
        words = Words.of({"external": ours, "ledger": theirs})
        width = len(words.words)
        rank = np.empty(width, dtype=np.int64)  # by text: the rows may come in any order
        rank[kernel.array_sort_indices(words.words).to_numpy()] = np.arange(width)
        left = left * width + rank[words.codes["external"]]
        right = right * width + rank[words.codes["ledger"]]
    known = np.zeros(int(max(left.max(initial=-1), right.max(initial=-1))) + 1, dtype=np.bool_)
    known[left] = True
    place = np.where(known, np.cumsum(known), ABSENT)
    return place[left], place[right]
