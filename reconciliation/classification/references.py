"""Which rows of two tables share an identifying reference.

Two readings: raw (the same text) and normalised (upper case, letters and digits only, leading zeros dropped), so that
"INV-0077" and "inv 0077" meet, and "0001234" meets "1234". A normalised form shorter than four characters identifies
nothing. Neither does a reference on more than ``BLOCK_MAX`` rows of one table: not following it bounds the work.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

BLOCK_MAX: Final = 20
NORMALISED_LENGTH_MIN: Final = 4
# What systems write where there is no reference; ISO 20022 asks for NOTPROVIDED, SWIFT for NONREF.
_PLACEHOLDERS: Final = pa.array(["NOTPROVIDED", "NONREF", ""])

Rows = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def shared_rows(
    left: pa.Table,
    right: pa.Table,
    pairs: Sequence[tuple[str, str]],
    *,
    left_allowed: Flags,
    right_allowed: Flags,
    normalised: bool,
) -> tuple[Rows, Rows]:
    """Row numbers (left, right) of all pairs of allowed rows that share a reference by one of the column ``pairs``.

    Each pair of rows once, in ascending order.
    """
    found = [
        _equal_values(
            _readable(left[left_column], left_allowed, normalised),
            _readable(right[right_column], right_allowed, normalised),
        )
        for left_column, right_column in sorted(set(pairs))
    ]
    empty: Rows = np.zeros(0, dtype=np.int64)
    lefts = np.concatenate([empty, *[rows for rows, _ in found]])
    rights = np.concatenate([empty, *[rows for _, rows in found]])
    each_once = np.unique(lefts * max(right.num_rows, 1) + rights)
    return each_once // max(right.num_rows, 1), each_once % max(right.num_rows, 1)


def normalised_references(column: Any) -> Any:
    """Each reference in upper case without anything but letters and digits and without leading zeros; empty if nothing
    is left, null stays null."""
    upper = pc.utf8_upper(column)
    bare = pc.replace_substring_regex(upper, pattern=r"[^\p{L}\p{N}]", replacement="")
    return pc.utf8_ltrim(bare, characters="0")


def true_where(condition: Any) -> Flags:
    """A condition of Arrow as flags; unknown is false."""
    flags: Flags = pc.fill_null(condition, False).to_numpy(zero_copy_only=False).astype(np.bool_)
    return flags


def _readable(column: Any, allowed: Flags, normalised: bool) -> tuple[Any, Rows]:
    """The references worth comparing, with the rows they stand on."""
    whole = column.combine_chunks()
    rows = np.flatnonzero(allowed & true_where(pc.is_valid(whole)))
    values = whole.take(rows)
    kept = pc.invert(pc.is_in(values, value_set=_PLACEHOLDERS))
    if normalised:
        values = normalised_references(values)
        kept = pc.and_(kept, pc.greater_equal(pc.utf8_length(values), pa.scalar(NORMALISED_LENGTH_MIN)))
    return values.filter(kept), rows[true_where(kept)]


def _equal_values(left: tuple[Any, Rows], right: tuple[Any, Rows]) -> tuple[Rows, Rows]:
    """Rows with equal values, neither side holding a value on more than BLOCK_MAX rows."""
    words = pc.unique(left[0].filter(pc.is_in(left[0], value_set=right[0])))
    left_codes, left_rows = _coded(left, words)
    right_codes, right_rows = _coded(right, words)
    left_counts, right_counts = (
        np.bincount(codes, minlength=len(words)) for codes in (left_codes, right_codes)
    )
    few = (left_counts <= BLOCK_MAX) & (right_counts <= BLOCK_MAX)
    left_rows, left_codes = left_rows[few[left_codes]], left_codes[few[left_codes]]
    in_blocks = np.argsort(right_codes, kind="stable")
    starts = np.cumsum(right_counts) - right_counts
    partners = right_counts[left_codes]
    # The n-th partner of a row is the n-th row of its block on the right.
    nth = np.arange(partners.sum()) - np.repeat(np.cumsum(partners) - partners, partners)
    places = np.repeat(starts[left_codes], partners) + nth
    return np.repeat(left_rows, partners), right_rows[in_blocks[places]]


def _coded(side: tuple[Any, Rows], words: Any) -> tuple[Rows, Rows]:
    """The place of each value among ``words`` and its row; values that are not among them are left out."""
    values, rows = side
    codes = pc.fill_null(pc.index_in(values, value_set=words), -1).to_numpy().astype(np.int64)
    return codes[codes >= 0], rows[codes >= 0]
