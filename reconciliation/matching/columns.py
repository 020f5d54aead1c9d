"""Names for the columns that matching works on. Text stays in Arrow, everything compared or counted is NumPy.

Arrow arrays and kernels are used untyped: their published stubs lack overloads that the library has.
"""

from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow.compute

IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
Column: TypeAlias = Any  # pyarrow.Array

kernel: Any = pyarrow.compute

_SPARSE: Final = 4  # a table of so many places for each value is cheaper than sorting the values


def flags(column: Column) -> BoolArray:
    """A boolean column, null as false."""
    return np.asarray(kernel.fill_null(column, False).to_numpy(zero_copy_only=False), dtype=np.bool_)


def distinct(values: IntArray) -> IntArray:
    """The values ascending, each once. ``np.unique`` gives the same, by hashing, many times slower on large columns."""
    ordered = np.sort(values)
    if len(ordered) > 1:
        fresh = np.ones(len(ordered), dtype=np.bool_)
        np.not_equal(ordered[1:], ordered[:-1], out=fresh[1:])
        ordered = ordered[fresh]
    return ordered


def ranks(values: IntArray) -> IntArray:
    """For each value its place among the distinct ones."""
    if not len(values):
        return np.empty(0, dtype=np.int64)
    low, high = int(values.min()), int(values.max())
    if high - low >= _SPARSE * len(values):
        return np.asarray(np.unique(values, return_inverse=True)[1], dtype=np.int64)
    shifted = values - low
    place = np.cumsum(np.bincount(shifted, minlength=high - low + 1) > 0) - 1
    return np.asarray(place[shifted], dtype=np.int64)


def string_buffers(texts: Column) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    """Where each text begins, with the end of the last, and the bytes of all; of a ``string`` array without a copy."""
    buffers = texts.buffers()
    ends = np.frombuffer(buffers[1], np.int32, len(texts) + 1, texts.offset * 4)
    data = buffers[2]
    return ends, np.frombuffer(b"" if data is None else data, np.uint8)
