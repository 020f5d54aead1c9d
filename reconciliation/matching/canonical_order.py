"""The canonical order of items: by business date, then by key as bytes, then by two whole numbers.

The order of sorting texts, found by sorting integers: of what all keys do not begin with alike, eight bytes at a time,
and only where the bytes before left items equal.

    2026-11-09 B, 2026-11-08 C, 2026-11-09 A  ->  1, 2, 0
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from reconciliation.matching.columns import BoolArray, Column, IntArray, kernel, string_buffers

_WORD: Final = 8  # bytes compared at once
_SHORT_DAYS: Final = 1 << 16  # so many days are sorted by counting


def canonical_order(days: IntArray, keys: Column, *numbers: IntArray) -> IntArray:
    """Row numbers in canonical order; ``keys`` is a ``string`` array without nulls."""
    if not len(keys):
        return np.empty(0, dtype=np.int64)
    place: IntArray | None = None
    for values in (*_words(keys), *numbers):
        place = _places(values) if place is None else _refined(place, values)
        if not _tied(place).any():
            break
    if place is None:
        raise AssertionError("a key has at least its length")
    order = np.argsort(place, kind="stable")
    shifted = (days - days.min())[order]
    if int(shifted.max()) < _SHORT_DAYS:
        return order[np.argsort(shifted.astype(np.uint16), kind="stable")]
    return order[np.argsort(shifted, kind="stable")]


def _words(keys: Column) -> Iterator[npt.NDArray[Any]]:
    """The keys as columns of integers that sort as their bytes do; at last their lengths, for those that end in NUL."""
    ends, data = string_buffers(keys)
    start, lengths = ends[:-1].astype(np.int64), np.diff(ends).astype(np.int64)
    padded = np.concatenate([data, np.zeros(_WORD, dtype=np.uint8)])
    at_every_byte: npt.NDArray[Any] = np.ndarray(
        shape=(len(padded) - _WORD + 1,), dtype=">u8", buffer=padded.data, strides=(1,)
    )
    for skipped in range(_shared_bytes(keys), int(lengths.max()), _WORD):
        left = np.clip(lengths - skipped, 0, _WORD)
        word = at_every_byte[np.minimum(start + skipped, len(padded) - _WORD)].astype(np.uint64)
        beyond = ((_WORD - left) * 8).astype(np.uint64)
        cut = (word >> np.minimum(beyond, np.uint64(63))) << np.minimum(beyond, np.uint64(63))
        yield np.where(left > 0, cut, np.uint64(0))
    yield lengths


def _shared_bytes(keys: Column) -> int:
    """How many bytes all keys begin with alike: those that the first and the last of them share."""
    ends = kernel.min_max(keys).as_py()
    low, high = ends["min"].encode(), ends["max"].encode()
    return next(
        (at for at, (ours, theirs) in enumerate(zip(low, high, strict=False)) if ours != theirs), len(low)
    )


def _places(values: npt.NDArray[Any]) -> IntArray:
    """For each row how many rows have a lower value."""
    order = np.argsort(values)
    return _counted(order, values[order])


def _counted(order: IntArray, ordered: npt.NDArray[Any]) -> IntArray:
    fresh = np.ones(len(ordered), dtype=np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=fresh[1:])
    first = np.flatnonzero(fresh)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.repeat(first, np.diff(np.append(first, len(order))))
    return place


def _tied(place: IntArray) -> BoolArray:
    """Rows whose place others share."""
    return np.asarray((np.bincount(place, minlength=len(place)) > 1)[place], dtype=np.bool_)


def _refined(place: IntArray, values: npt.NDArray[Any]) -> IntArray:
    """The places when rows that shared one are told apart by further values."""
    at = np.flatnonzero(_tied(place))
    order = at[np.lexsort((values[at], place[at]))]
    before, told = place[order], values[order]
    new_place = np.ones(len(order), dtype=np.bool_)
    np.not_equal(before[1:], before[:-1], out=new_place[1:])
    fresh = new_place.copy()
    fresh[1:] |= told[1:] != told[:-1]
    numbers = np.arange(len(order))
    begun = np.maximum.accumulate(np.where(new_place, numbers, 0))
    first = np.maximum.accumulate(np.where(fresh, numbers, 0))
    result = place.copy()
    result[order] = before + first - begun
    return result
