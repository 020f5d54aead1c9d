"""References as they are compared: raw, and normalised to upper-case letters and digits without leading zeros.

A normalised form shorter than four characters identifies nothing, so such a value is compared as it stands. The words
that ISO 20022 and SWIFT prescribe for "there is none" count as absent. Does not know which columns identify; rules
say that.

    "INV-7781", "inv 7781", "000INV7781"  ->  INV7781          "A1"  ->  compared raw          "NOTPROVIDED"  ->  absent
"""

from typing import Final

import numpy as np
import pyarrow as pa

from reconciliation.matching.columns import BoolArray, Column, IntArray, flags, kernel, string_buffers

NORMALISED_LENGTH_MIN: Final = 4  # below, two unrelated references agree too easily
ABSENT: Final = 0  # code of a reference that is not there
NO_REFERENCE: Final = pa.array(
    ["NOTPROVIDED", "NONREF", ""]
)  # ISO 20022 EndToEndId; SWIFT MT field 20; blank


_OF_NO_REFERENCE: Final = np.array([0, 6, 11])  # bytes of the above
_IS_ODD: Final = np.isin(
    np.arange(256), np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", np.uint8), invert=True
)  # bytes that no normal form is written with, or of which there are several forms
_FEW: Final = 8  # from so many in one on, a part is rewritten by itself


def present(values: Column) -> Column:
    """The values, with null for every way of writing that there is no reference."""
    if values.null_count == len(values):
        return values
    if not np.isin(np.diff(string_buffers(values)[0]), _OF_NO_REFERENCE).any():
        return values
    return kernel.if_else(kernel.is_in(values, value_set=NO_REFERENCE), pa.scalar(None, pa.string()), values)


def normalised(values: Column) -> Column:
    """Comparable forms: ``N`` and the normalised reference, or ``=`` and the raw one if that is too short."""
    normal = is_normal(values)
    unusual = np.flatnonzero(~normal)
    if len(unusual) * _FEW > len(values):
        return _rewritten(values)
    forms = kernel.binary_join_element_wise("N", values, "")
    if not len(unusual):
        return forms
    return kernel.replace_with_mask(forms, pa.array(~normal), _rewritten(values.take(pa.array(unusual))))


def is_normal(values: Column) -> BoolArray:
    """Which values are written in normal form already; an absent one is, too."""
    if not len(values) or values.null_count == len(values):
        return np.ones(len(values), dtype=np.bool_)
    ends, data = string_buffers(values)
    result = np.asarray(np.diff(ends) >= NORMALISED_LENGTH_MIN, dtype=np.bool_)
    if len(data):
        result &= data[np.minimum(ends[:-1], len(data) - 1)] != ord("0")
        odd = np.flatnonzero(_IS_ODD[data[ends[0] : ends[-1]]]) + ends[0]
        result[np.searchsorted(ends, odd, side="right") - 1] = False
    if values.null_count:
        result |= flags(kernel.is_null(values))
    return result


def _rewritten(values: Column) -> Column:
    upper = kernel.utf8_upper(values)
    plain = kernel.replace_substring_regex(upper, pattern=r"[^\p{L}\p{N}]", replacement="")
    stripped = kernel.utf8_ltrim(plain, characters="0")
    long_enough = kernel.greater_equal(kernel.utf8_length(stripped), NORMALISED_LENGTH_MIN)
    return kernel.if_else(
        long_enough,
        kernel.binary_join_element_wise("N", stripped, ""),
        kernel.binary_join_element_wise("=", values, ""),
    )


def is_well_formed(values: Column) -> BoolArray:
    """Which references are, once normalised, long enough to contradict another."""
    found = is_normal(values)
    unusual = np.flatnonzero(~found)
    found[unusual] = flags(kernel.starts_with(_rewritten(values.take(pa.array(unusual))), pattern="N"))
    if values.null_count:
        found &= flags(kernel.is_valid(values))
    return found


def shared_codes(external: Column, ledger: Column) -> tuple[IntArray, IntArray]:
    """Equal values get equal codes from 1 on, over both arrays; null, and ledger values no external line has, get 0."""
    words = kernel.unique(external.drop_null())
    return _codes(external, words), _codes(ledger, words)


def _codes(values: Column, words: Column) -> IntArray:
    if len(words) == 0 or values.null_count == len(values):
        return np.zeros(len(values), dtype=np.int64)
    positions = kernel.index_in(values, value_set=words, skip_nulls=True)
    return np.asarray(kernel.fill_null(positions, -1).to_numpy(), dtype=np.int64) + 1
