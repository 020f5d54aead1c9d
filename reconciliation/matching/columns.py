"""Names for the columns that matching works on. Text stays in Arrow, everything compared or counted is NumPy.

Arrow arrays and kernels are used untyped: their published stubs lack overloads that the library has.
"""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow.compute

IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
Column: TypeAlias = Any  # pyarrow.Array

kernel: Any = pyarrow.compute


def flags(column: Column) -> BoolArray:
    """A boolean column, null as false."""
    return np.asarray(kernel.fill_null(column, False).to_numpy(zero_copy_only=False), dtype=np.bool_)
