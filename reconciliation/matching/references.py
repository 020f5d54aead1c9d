"""References as they are compared: raw, and normalised to upper-case letters and digits without leading zeros.

A normalised form shorter than four characters identifies nothing, so such a value is compared as it stands. The words
that ISO 20022 and SWIFT prescribe for "there is none" count as absent. Does not know which columns identify; rules
say that.

    "INV-7781", "inv 7781", "000INV7781"  ->  INV7781          "A1"  ->  compared raw          "NOTPROVIDED"  ->  absent
"""

from typing import Final

import numpy as np
import pyarrow as pa

from reconciliation.matching.columns import BoolArray, Column, IntArray, flags, kernel

NORMALISED_LENGTH_MIN: Final = 4  # below, two unrelated references agree too easily
ABSENT: Final = 0  # code of a reference that is not there
NO_REFERENCE: Final = pa.array(
    ["NOTPROVIDED", "NONREF", ""]
)  # ISO 20022 EndToEndId; SWIFT MT field 20; blank


def present(values: Column) -> Column:
    """The values, with null for every way of writing that there is no reference."""
    return kernel.if_else(kernel.is_in(values, value_set=NO_REFERENCE), pa.scalar(None, pa.string()), values)


def normalised(values: Column) -> Column:
    """Comparable forms: ``N`` and the normalised reference, or ``=`` and the raw one if that is too short."""
    upper = kernel.utf8_upper(values)
    plain = kernel.replace_substring_regex(upper, pattern=r"[^\p{L}\p{N}]", replacement="")
    stripped = kernel.utf8_ltrim(plain, characters="0")
    long_enough = kernel.greater_equal(kernel.utf8_length(stripped), NORMALISED_LENGTH_MIN)
    return kernel.if_else(
        long_enough,
        kernel.binary_join_element_wise("N", stripped, ""),
        kernel.binary_join_element_wise("=", values, ""),
    )


def is_well_formed(comparable: Column) -> BoolArray:
    """Which comparable forms (as ``normalised`` gives them) are long enough to contradict another."""
    return flags(kernel.starts_with(comparable, pattern="N"))


def shared_codes(external: Column, ledger: Column) -> tuple[IntArray, IntArray]:
    """Equal values get equal codes from 1 on, over both arrays; null, and ledger values no external line has, get 0."""
    words = kernel.unique(external.drop_null())
    return _codes(external, words), _codes(ledger, words)


def _codes(values: Column, words: Column) -> IntArray:
    if len(words) == 0 or values.null_count == len(values):
        return np.zeros(len(values), dtype=np.int64)
    positions = kernel.index_in(values, value_set=words, skip_nulls=True)
    return np.asarray(kernel.fill_null(positions, -1).to_numpy(), dtype=np.int64) + 1
