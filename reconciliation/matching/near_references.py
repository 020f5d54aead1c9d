"""Finder ``near_reference``: references that one slip of a hand or one cut of a field keeps from being equal.

Compared are the normalised forms (so case, blanks and leading zeros are no difference) of the configured pairs of
columns, six characters at least, whatever the amounts:

    NORMALISED, EXACT   equal                                             INV-10017   inv 10017
    NEAR                one character other, missing, too many, swapped   INV10017    INV10071
    LOST_PREFIX         one is the end or the beginning of the other      77-INV10017 INV10017

Every comparison is an equality join of 64-bit hashes of a reference with one position blanked, left out or swapped,
or of its ends; whatever the hashes bring together is then compared character by character. A batch reference names a
movement only where one open line on either side carries it, and is used only there.

Law: all distinct references are compared with all, within one account, asset and sign; if that gives more pairs than
memory allows, they are too dense to be near, nothing but the equal ones is given, and a limit says so.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from reconciliation.matching.books import Books, Side
from reconciliation.matching.candidates import counted_up, limit_at
from reconciliation.matching.columns import BoolArray, Column, IntArray, flags, kernel
from reconciliation.matching.edges import (
    EDGES_MAX,
    LOST_PREFIX,
    NEAR,
    NORMALISED,
    REFERENCE_LENGTH_MIN,
    Bound,
    Edges,
    Keyed,
    agreeing,
    cap_for,
    joined,
    merged,
    money_codes,
    within_window,
)
from reconciliation.matching.result import Limit
from reconciliation.sources import MatchLimits, ReferencePair

_NAME: Final = "near_reference"
_VERIFIED_AT_ONCE: Final = 1 << 16  # pairs; bounds what is gathered to compare them
_BASE: Final = (
    0x9E3779B97F4A7C15  # of the polynomial in the characters; odd, so no character is lost in 64 bits
)
_MONEY_BASE: Final = 0xC2B2AE3D27D4EB4F  # tells equal references in two purses apart

_Hashes = npt.NDArray[np.uint64]
_Letters = npt.NDArray[np.uint32]
_Ends = tuple[IntArray, IntArray]


class _TooDense(Exception):
    """More pairs than ``EDGES_MAX``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shelf:
    """Distinct references of one length. ``whole``: their hashes, in which purse and sign are mixed."""

    unit: IntArray
    money: IntArray
    letters: _Letters
    whole: _Hashes

    @property
    def length(self) -> int:
        return int(self.letters.shape[1])

    def column(self, at: int) -> _Hashes:
        """The characters at one position."""
        return self.letters[:, at].astype(np.uint64)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Library:
    """References of one side: numbered units of equal text, purse and sign, and the rows of each, by unit."""

    rows: Keyed
    texts: Column  # of each unit
    money: IntArray  # of each unit
    size: IntArray  # rows of each unit
    shelves: dict[int, _Shelf]


@dataclass(slots=True)
class _Found:
    """Verified pairs of units, as they come."""

    external: list[IntArray] = field(default_factory=list)
    ledger: list[IntArray] = field(default_factory=list)
    similarity: list[IntArray] = field(default_factory=list)
    count: int = 0

    def add(self, ends: _Ends, similarity: int) -> None:
        self.external.append(ends[0])
        self.ledger.append(ends[1])
        self.similarity.append(np.full(len(ends[0]), similarity, dtype=np.int64))
        self.count += len(ends[0])
        if self.count > EDGES_MAX:
            raise _TooDense

    def edges(self) -> Edges:
        nothing = [np.empty(0, dtype=np.int64)]
        parts = (self.external, self.ledger, self.similarity)
        return Edges.of(*(np.concatenate(nothing + part) for part in parts))


def find_near(
    books: Books, external_rows: IntArray, ledger_rows: IntArray, limits: MatchLimits
) -> tuple[Edges, tuple[Limit, ...]]:
    """Pairs of open rows that a configured pair of references says are the same, or nearly so."""
    money = money_codes(books, external_rows, ledger_rows)
    edges: list[Edges] = []
    met: list[Limit] = []
    for pair in books.references:
        libraries = (
            _library(books.external, pair.external, external_rows, money[0]),
            _library(books.ledger, pair.ledger, ledger_rows, money[1]),
        )
        for found, limited in _of_pair(books, pair, libraries, limits):
            edges.append(found)
            met.extend(limited)
    return merged(*edges), tuple(dict.fromkeys(met))


def _of_pair(
    books: Books, pair: ReferencePair, libraries: tuple[_Library, _Library], limits: MatchLimits
) -> Iterator[tuple[Edges, tuple[Limit, ...]]]:
    if "batch_ref" in (pair.external, pair.ledger):
        libraries = _single(libraries[0]), _single(libraries[1])
    if not (libraries[0].shelves and libraries[1].shelves):
        return
    yield _equal(books, libraries, limits)
    found = _Found()
    try:
        _search(*libraries, found)
    except _TooDense:
        counts = len(libraries[0].rows.rows), len(libraries[1].rows.rows)
        first = int(libraries[0].rows.rows.min())
        what = "candidate_pairs"
        limit = limit_at(books, first, match_pass=_NAME, what=what, counts=counts, limit=EDGES_MAX)
        yield merged(), (replace(limit, reference=""),)
        return
    yield _rows_of(books, libraries, found.edges(), limits)


def _library(side: Side, name: str, rows: IntArray, money: IntArray) -> _Library:
    """The references of these rows that are long enough to be near another."""
    forms = side.normalised_at(name, rows)
    sound = flags(kernel.starts_with(forms, pattern="N"))
    sound &= flags(kernel.greater(kernel.utf8_length(forms), REFERENCE_LENGTH_MIN)) & (money >= 0)
    rows, money = rows[sound], money[sound]
    texts = kernel.utf8_slice_codeunits(forms.filter(pa.array(sound)), 1)
    codes = np.asarray(texts.dictionary_encode().indices.to_numpy(), dtype=np.int64)
    width = int(money.max(initial=0)) + 1
    _, first, unit = np.unique(codes * width + money, return_index=True, return_inverse=True)
    order = np.argsort(unit, kind="stable")
    texts = texts.take(pa.array(first))
    lengths = np.asarray(kernel.utf8_length(texts).to_numpy(), dtype=np.int64)
    return _Library(
        rows=Keyed(rows=rows[order], key=unit[order]),
        texts=texts,
        money=money[first],
        size=np.bincount(unit, minlength=len(first)),
        shelves={
            int(length): _shelf(texts, money[first], np.flatnonzero(lengths == length))
            for length in np.unique(lengths)
        },
    )


def _shelf(texts: Column, money: IntArray, units: IntArray) -> _Shelf:
    words = np.array(texts.take(pa.array(units)).to_pylist())
    letters = words.view(np.uint32).reshape(len(units), -1)
    whole = money[units].astype(np.uint64) * np.uint64(_MONEY_BASE)
    for at in range(letters.shape[1]):
        whole += letters[:, at].astype(np.uint64) * _power(letters.shape[1] - 1 - at)
    return _Shelf(unit=units, money=money[units], letters=letters, whole=whole)


def _power(exponent: int) -> np.uint64:
    return np.uint64(pow(_BASE, exponent, 1 << 64))


def _single(library: _Library) -> _Library:
    """The references that one row alone carries."""
    alone = library.size == 1
    shelves = {}
    for length, shelf in library.shelves.items():
        keep = alone[shelf.unit]
        if keep.any():
            shelves[length] = _Shelf(
                unit=shelf.unit[keep],
                money=shelf.money[keep],
                letters=shelf.letters[keep],
                whole=shelf.whole[keep],
            )
    at = alone[library.rows.key]
    rows = Keyed(rows=library.rows.rows[at], key=library.rows.key[at])
    return replace(library, rows=rows, shelves=shelves)


def _equal(
    books: Books, libraries: tuple[_Library, _Library], limits: MatchLimits
) -> tuple[Edges, tuple[Limit, ...]]:
    """Pairs of rows with equal references."""
    words = kernel.unique(libraries[0].texts)
    keyed = []
    for library in libraries:
        code = kernel.fill_null(kernel.index_in(library.texts, value_set=words), -1).to_numpy()
        key = np.where(code < 0, -1, library.money * len(words) + code)
        keyed.append(Keyed(rows=library.rows.rows, key=key[library.rows.key]))
    left = keyed[0]
    bound = Bound(match_pass=_NAME, limits=limits)
    external, ledger, met = joined(
        books, left, keyed[1], bound, lambda at: str(words[int(left.key[at]) % len(words)].as_py())
    )
    keep = within_window(books, external, ledger)
    external, ledger = external[keep], ledger[keep]
    return Edges.of(external, ledger, np.maximum(agreeing(books, external, ledger), NORMALISED)), met


def _search(external: _Library, ledger: _Library, found: _Found) -> None:
    """All pairs of units one edit apart, or one the end of the other."""
    for length, shelf in external.shelves.items():
        if length in ledger.shelves:
            _substituted(shelf, ledger.shelves[length], found)
            _swapped(shelf, ledger.shelves[length], found)
        if length - 1 in ledger.shelves:
            for ends in _dropped(shelf, ledger.shelves[length - 1]):
                found.add(ends, NEAR)
        for ends in _cut(shelf, ledger.shelves):
            found.add(ends, LOST_PREFIX)
    for length, shelf in ledger.shelves.items():
        if length - 1 in external.shelves:
            for ends in _dropped(shelf, external.shelves[length - 1]):
                found.add(ends[::-1], NEAR)
        for ends in _cut(shelf, external.shelves):
            found.add(ends[::-1], LOST_PREFIX)


def _substituted(left: _Shelf, right: _Shelf, found: _Found) -> None:
    """One position differs: equal once it is blanked on both sides."""
    for at in range(left.length):
        power = _power(left.length - 1 - at)
        blanked = [shelf.whole - shelf.column(at) * power for shelf in (left, right)]
        ends = _meeting(blanked[0], blanked[1])
        keep = _verified(left, right, ends, lambda a, b: (a != b).sum(axis=1) == 1)
        found.add(_units(left, right, keep), NEAR)


def _swapped(left: _Shelf, right: _Shelf, found: _Found) -> None:
    """Two neighbours changed places."""
    for at in range(left.length - 1):
        first, second = left.column(at), left.column(at + 1)
        moved = (second - first) * _power(left.length - 1 - at) + (first - second) * _power(
            left.length - 2 - at
        )
        ends = _meeting(left.whole + moved, right.whole)

        def swapped(a: _Letters, b: _Letters, at: int = at) -> BoolArray:
            crossed = (a[:, at] == b[:, at + 1]) & (a[:, at + 1] == b[:, at]) & (a[:, at] != a[:, at + 1])
            return np.asarray(crossed & ((a != b).sum(axis=1) == 2))

        found.add(_units(left, right, _verified(left, right, ends, swapped)), NEAR)


def _dropped(longer: _Shelf, shorter: _Shelf) -> Iterator[_Ends]:
    """The shorter one is the longer without one position."""
    before = np.zeros(len(longer.unit), dtype=np.uint64)  # hash of what stands left of the position
    for at in range(longer.length):
        through = before * np.uint64(_BASE) + longer.column(at)
        without = longer.whole - (through - before) * _power(longer.length - 1 - at)
        # what stands left has moved one place to the right, which is one power less
        ends = _meeting(without, shorter.whole)

        def dropped(a: _Letters, b: _Letters, at: int = at) -> BoolArray:
            kept = np.delete(a, at, axis=1)
            return np.asarray((kept == b).all(axis=1))

        yield _units(longer, shorter, _verified(longer, shorter, ends, dropped))
        before = through


def _cut(longer: _Shelf, shelves: dict[int, _Shelf]) -> Iterator[_Ends]:
    """A shorter one is the beginning or the end of the longer."""
    purse = longer.money.astype(np.uint64) * np.uint64(_MONEY_BASE)
    plain = longer.whole - purse
    through = np.zeros(len(longer.unit), dtype=np.uint64)
    for at in range(longer.length - 1):
        through = through * np.uint64(_BASE) + longer.column(at)
        size, rest = at + 1, longer.length - at - 1
        if size in shelves:
            ends = _meeting(through + purse, shelves[size].whole)
            keep = _verified(longer, shelves[size], ends, lambda a, b: (a[:, : b.shape[1]] == b).all(axis=1))
            yield _units(longer, shelves[size], keep)
        if rest in shelves:
            ends = _meeting(plain - through * _power(rest) + purse, shelves[rest].whole)
            keep = _verified(longer, shelves[rest], ends, lambda a, b: (a[:, -b.shape[1] :] == b).all(axis=1))
            yield _units(longer, shelves[rest], keep)


def _meeting(left: _Hashes, right: _Hashes) -> _Ends:
    """Positions with equal hashes."""
    order = np.argsort(right, kind="stable")
    ordered = right[order]
    first = np.searchsorted(ordered, left)
    at = np.flatnonzero(ordered[np.minimum(first, len(ordered) - 1)] == left)
    first = first[at]
    count = np.searchsorted(ordered, left[at], side="right") - first
    if int(count.sum()) > EDGES_MAX:
        raise _TooDense
    return np.repeat(at, count), order[counted_up(first, count)]


def _verified(
    left: _Shelf, right: _Shelf, ends: _Ends, holds: Callable[[_Letters, _Letters], BoolArray]
) -> _Ends:
    """The pairs of positions whose purses and signs are equal and whose characters really stand so."""
    keep = left.money[ends[0]] == right.money[ends[1]]
    for start in range(0, len(keep), _VERIFIED_AT_ONCE):
        part = slice(start, start + _VERIFIED_AT_ONCE)
        keep[part] &= holds(left.letters[ends[0][part]], right.letters[ends[1][part]])
    return ends[0][keep], ends[1][keep]


def _units(left: _Shelf, right: _Shelf, ends: _Ends) -> _Ends:
    return left.unit[ends[0]], right.unit[ends[1]]


def _rows_of(
    books: Books, libraries: tuple[_Library, _Library], units: Edges, limits: MatchLimits
) -> tuple[Edges, tuple[Limit, ...]]:
    """Pairs of units as pairs of their rows; two references that too many lines carry are a limit."""
    counts = libraries[0].size[units.external], libraries[1].size[units.ledger]
    sizes = counts[0] * counts[1]
    cap = cap_for(sizes, limits.candidate_pairs)
    met = []
    for at in np.flatnonzero(sizes > cap):
        unit = int(units.external[at])
        rows = libraries[0].rows
        found = limit_at(
            books,
            int(rows.rows[np.searchsorted(rows.key, unit)]),
            match_pass=_NAME,
            what="block_too_large",
            counts=(int(counts[0][at]), int(counts[1][at])),
            limit=cap,
        )
        met.append(replace(found, reference=str(libraries[0].texts[unit].as_py())))
    fitting = sizes <= cap
    ends = units.external[fitting], units.ledger[fitting]
    external, ledger, pair = _spread(ends, (libraries[0].rows, libraries[1].rows))
    keep = within_window(books, external, ledger)
    similarity = units.similarity[fitting][pair]
    return Edges.of(external[keep], ledger[keep], similarity[keep]), tuple(met)


def _spread(units: _Ends, rows: tuple[Keyed, Keyed]) -> tuple[IntArray, IntArray, IntArray]:
    """Pairs of units as pairs of the rows under them, with the number of the pair."""
    starts = [np.searchsorted(side.key, at) for side, at in zip(rows, units, strict=True)]
    ends = [np.searchsorted(side.key, at, side="right") for side, at in zip(rows, units, strict=True)]
    counts = [end - start for start, end in zip(starts, ends, strict=True)]
    pair = np.repeat(np.arange(len(units[0])), counts[0])
    each = counts[1][pair]
    left = np.repeat(counted_up(starts[0], counts[0]), each)
    right = counted_up(starts[1][pair], each)
    return rows[0].rows[left], rows[1].rows[right], np.repeat(pair, each)
