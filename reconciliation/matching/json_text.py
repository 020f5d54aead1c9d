"""Canonical JSON for whole columns at once: sorted keys, no blanks, text as it is, only what JSON demands escaped.

The same text ``json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)`` would give per row.
"""

import json
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from reconciliation.matching.columns import Column, kernel


def quoted(values: Column) -> Column:
    """JSON strings of a string column; null stays null."""
    has_control = kernel.any(kernel.match_substring_regex(values, pattern=r"[\x00-\x1f]")).as_py()
    if has_control:  # never in sound data; correct and slow
        return pa.array(
            [None if v is None else json.dumps(v, ensure_ascii=False) for v in values.to_pylist()],
            pa.string(),
        )
    escaped = kernel.replace_substring(values, pattern="\\", replacement="\\\\")
    escaped = kernel.replace_substring(escaped, pattern='"', replacement='\\"')
    return kernel.binary_join_element_wise('"', escaped, '"', "")


def numbers(values: npt.NDArray[np.int64]) -> Column:
    """JSON integers of an integer column."""
    return kernel.cast(pa.array(values, pa.int64()), pa.string())


def dates(days: npt.NDArray[np.int64]) -> Column:
    """JSON strings ``"2026-01-31"`` of days since 1970-01-01."""
    return quoted(kernel.cast(pa.array(days.astype(np.int32), pa.int32()).cast(pa.date32()), pa.string()))


def objects(fields: Mapping[str, Column]) -> Column:
    """One JSON object per row from columns of JSON text; a null leaves its key out. Columns have equal length."""
    parts = [
        kernel.binary_join_element_wise(f"{json.dumps(key)}:", fields[key], "") for key in sorted(fields)
    ]
    inner = kernel.binary_join_element_wise(*parts, ",", null_handling="skip")
    return kernel.binary_join_element_wise("{", inner, "}", "")


def lists(items: list[Column], length: int) -> Column:
    """One JSON list per row from columns of JSON text, in the order given; a null leaves its item out."""
    if not items:
        return pa.array(["[]"] * length, pa.string())
    # the blank at the end: Arrow drops a row of which every value is skipped
    inner = kernel.binary_join_element_wise(*items, "", ",", null_handling="skip")
    return kernel.binary_join_element_wise("[", kernel.utf8_rtrim(inner, characters=","), "]", "")
