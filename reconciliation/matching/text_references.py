"""Finder ``in_text``: a reference that the ledger knows stands somewhere in what the source wrote.

The texts of an external line are its narrative and every reference column, whichever the rules compare; the name of
the counterparty is none. A text is cut into words three ways: at blanks, at everything but letters, digits and
hyphens, at everything but letters and digits. Each word, and two or three neighbours joined (a blank or a line's end
inside a reference), is compared in normalised form. A word needs six characters and a digit: prose has none. The rest
is an equality join with the open references of the ledger.

    "SVWZ+Payment INV-2024\\n-0099 thanks"  ->  …, INV20240099, …   ledger ref_end_to_end "INV-2024-0099"

Does not look at amounts beyond their sign: that is for the weighing.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa

from reconciliation.matching.books import Books, Side
from reconciliation.matching.columns import BoolArray, Column, IntArray, flags, kernel
from reconciliation.matching.edges import (
    IN_TEXT,
    REFERENCE_LENGTH_MIN,
    Bound,
    Edges,
    Keyed,
    agreeing,
    joined,
    money_codes,
    within_window,
)
from reconciliation.matching.references import is_normal, normalised, present
from reconciliation.matching.result import Limit
from reconciliation.sources import EXTERNAL_REFERENCE_COLUMNS, MatchLimits

_NAME: Final = "in_text"
_BOUNDARIES: Final = (r"\s+", r"[^\p{L}\p{N}-]+", r"[^\p{L}\p{N}]+")
_NEIGHBOURS_MAX: Final = 3  # words joined; lines wrap a reference once, forms print it in groups
_DIGIT: Final = r"\p{N}"
_NOTHING: Final = np.empty(0, dtype=np.int64)
_ALWAYS_KNOWN: Final = ("ref_merchant", "batch_ref")  # what payers quote: the order or invoice, the batch


def find_in_text(
    books: Books, external_rows: IntArray, ledger_rows: IntArray, limits: MatchLimits
) -> tuple[Edges, tuple[Limit, ...]]:
    """Pairs of open rows in which a text of the external line names a reference of the ledger line."""
    known, known_at = _known(books, ledger_rows)
    words = kernel.unique(known)
    named, named_at = _named(books.external, external_rows, words)
    money = money_codes(books, external_rows, ledger_rows)
    known_codes = np.asarray(kernel.index_in(known, value_set=words).to_numpy(), dtype=np.int64)
    width = max(len(words), 1)
    left = _keyed(external_rows, money[0], named_at, named, width)
    right = _keyed(ledger_rows, money[1], known_at, known_codes, width)
    # more lines than may compete with one another could not be decided between
    bound = Bound(match_pass=_NAME, limits=limits, ledger_rows=limits.component_items)
    external, ledger, met = joined(
        books, left, right, bound, lambda at: str(words[int(left.key[at]) % width].as_py())
    )
    keep = within_window(books, external, ledger)
    external, ledger = external[keep], ledger[keep]
    similarity = np.maximum(agreeing(books, external, ledger), IN_TEXT)
    return Edges.of(external, ledger, similarity), met


def _keyed(rows: IntArray, money: IntArray, at: IntArray, words: IntArray, width: int) -> Keyed:
    """Rows under their words, a row once for each; the key holds the purse and the sign too."""
    place = np.unique(at * width + words)
    at, words = place // width, place % width
    return Keyed(rows=rows[at], key=np.where(money[at] < 0, -1, money[at] * width + words))


def _known(books: Books, rows: IntArray) -> tuple[Column, IntArray]:
    """Normalised references of ledger rows that could stand in a text, with their positions in ``rows``."""
    names = dict.fromkeys((*(pair.ledger for pair in books.references), *_ALWAYS_KNOWN))
    texts, places = [pa.array([], pa.string())], [_NOTHING]
    for name in names:
        values = books.ledger.at(name, rows)
        at = np.flatnonzero(flags(kernel.is_valid(values)))
        forms = normalised(present(values.take(pa.array(at))))
        sound = np.flatnonzero(flags(kernel.starts_with(forms, pattern="N")))
        plain = kernel.utf8_slice_codeunits(forms.take(pa.array(sound)), 1)
        telling = np.flatnonzero(_is_telling(plain))
        texts.append(plain.take(pa.array(telling)))
        places.append(at[sound[telling]])
    return pa.concat_arrays(texts), np.concatenate(places)


def _named(side: Side, rows: IntArray, words: Column) -> tuple[IntArray, IntArray]:
    """Which of the words the texts of external rows hold, as positions in ``words`` and in ``rows``."""
    found, places = [pa.array([], pa.string())], [_NOTHING]
    for name in ("text", *EXTERNAL_REFERENCE_COLUMNS):
        values = side.at(name, rows)
        at = np.flatnonzero(flags(kernel.is_valid(values)))
        if not len(at):
            continue
        upper = kernel.utf8_upper(values.take(pa.array(at)))
        whole = is_normal(upper)  # one word, however it is cut
        for boundary in _BOUNDARIES:
            for word, of in _joins(upper, boundary, words):
                found.append(word)
                places.append(at[of])
            upper, at = upper.filter(pa.array(~whole)), at[~whole]
            whole = whole[~whole]
    codes = kernel.fill_null(kernel.index_in(pa.concat_arrays(found), value_set=words), -1).to_numpy()
    hit = np.flatnonzero(codes >= 0)
    return codes[hit].astype(np.int64), np.concatenate(places)[hit]


def _joins(texts: Column, boundary: str, words: Column) -> Iterator[tuple[Column, IntArray]]:
    """What could be one of the words, of one way of cutting the texts, with positions in ``texts``."""
    pieces = kernel.split_pattern_regex(texts, pattern=boundary)
    of = np.asarray(kernel.list_parent_indices(pieces).to_numpy(), dtype=np.int64)
    distinct = kernel.list_flatten(pieces).dictionary_encode()  # prose repeats itself
    piece = np.asarray(distinct.indices.to_numpy(), dtype=np.int64)
    plain = kernel.replace_substring_regex(distinct.dictionary, pattern=r"[^\p{L}\p{N}]", replacement="")
    length = np.asarray(kernel.utf8_length(plain).to_numpy(), dtype=np.int64)
    filled = np.flatnonzero(length[piece] > 0)
    piece, of = piece[filled], of[filled]
    possible = _Possible(plain=plain, length=length, words=words)
    for count in range(1, _NEIGHBOURS_MAX + 1):
        first = np.flatnonzero(of[: max(len(of) - count + 1, 0)] == of[count - 1 :])
        first = first[possible.among([piece[first + step] for step in range(count)])]
        parts = [plain.take(pa.array(piece[first + step])) for step in range(count)]
        joined_parts = kernel.binary_join_element_wise(*parts, "")
        yield kernel.utf8_ltrim(joined_parts, characters="0"), of[first]


class _Possible:
    """Which neighbours, joined, could be a word at all, by their lengths and digits: few are, so few are joined."""

    def __init__(self, *, plain: Column, length: IntArray, words: Column) -> None:
        self._length = length
        self._digit = flags(kernel.match_substring_regex(plain, pattern=_DIGIT))
        self._zero = flags(kernel.starts_with(plain, pattern="0"))  # shorter once it is stripped
        of_words = np.asarray(kernel.utf8_length(words).to_numpy(), dtype=np.int64)
        self._known = np.bincount(of_words, minlength=1) > 0

    def among(self, parts: list[IntArray]) -> BoolArray:
        """For parallel arrays of pieces."""
        total = np.zeros(len(parts[0]), dtype=np.int64)
        digit = np.zeros(len(parts[0]), dtype=np.bool_)
        for part in parts:
            total += self._length[part]
            digit |= self._digit[part]
        known = np.append(self._known, False)[np.minimum(total, len(self._known))]
        return np.asarray(digit & (known | self._zero[parts[0]]), dtype=np.bool_)


def _is_telling(texts: Column) -> BoolArray:
    """Which texts are long enough and have a digit; what the ledger holds decides it for both sides."""
    long_enough = kernel.greater_equal(kernel.utf8_length(texts), REFERENCE_LENGTH_MIN)
    return flags(kernel.and_(long_enough, kernel.match_substring_regex(texts, pattern=_DIGIT)))
