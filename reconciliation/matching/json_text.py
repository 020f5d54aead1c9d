"""Canonical JSON for whole columns at once: sorted keys, no blanks, text as it is, only what JSON demands escaped.

The same text ``json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)`` would give per row.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from reconciliation.matching.columns import Column, IntArray, kernel, string_buffers

Field: TypeAlias = "Column | str | Mapping[str, Field]"
"""What an object may hold: a column of JSON, one JSON text for all rows, or an object of its own."""

_CONTROL_BELOW: Final = 32
_DAYS_MAX: Final = 40_000  # dates are written once for each day of such a span, and taken from there


def quoted(values: Column) -> Column:
    """JSON strings of a string column; null stays null."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if len(values) and values.null_count < len(values):
        ends, data = string_buffers(values)
        written = data[ends[0] : ends[-1]]
        if (written < _CONTROL_BELOW).any():  # never in sound data; correct and slow
            return pa.array(
                [None if v is None else json.dumps(v, ensure_ascii=False) for v in values.to_pylist()],
                pa.string(),
            )
        for sign, escaped in (("\\", "\\\\"), ('"', '\\"')):
            if (written == ord(sign)).any():
                values = kernel.replace_substring(values, pattern=sign, replacement=escaped)
    return kernel.binary_join_element_wise('"', values, '"', "")


def numbers(values: npt.NDArray[np.int64]) -> Column:
    """JSON integers of an integer column."""
    return kernel.cast(pa.array(values, pa.int64()), pa.string())


def numbers_or_one(values: npt.NDArray[np.int64]) -> "Column | str":
    """As ``numbers``; one text where all are equal."""
    if len(values) and (values == values[0]).all():
        return str(values[0])
    return numbers(values)


def dates(days: npt.NDArray[np.int64]) -> Column:
    """JSON strings ``"2026-01-31"`` of days since 1970-01-01."""
    if not len(days):
        return pa.array([], pa.string())
    low, high = int(days.min()), int(days.max())
    if high - low < min(_DAYS_MAX, len(days)):
        return _dates(np.arange(low, high + 1)).take(pa.array(days - low))
    return _dates(days)


def _dates(days: IntArray) -> Column:
    return quoted(kernel.cast(pa.array(days.astype(np.int32), pa.int32()).cast(pa.date32()), pa.string()))


def objects(fields: Mapping[str, Field]) -> Column:
    """One JSON object per row; a null leaves its key out. Columns have equal length, and at least one is none of the
    one-for-all texts.
    """
    return kernel.binary_join_element_wise(*merged(["{", *_members(fields), "}"]), "")


def merged(parts: "Sequence[Column | str]") -> "list[Column | str]":
    """The parts with neighbouring texts as one."""
    found: list[Column | str] = []
    for part in parts:
        if isinstance(part, str) and found and isinstance(found[-1], str):
            found[-1] += part
        else:
            found.append(part)
    return found


def _members(fields: Mapping[str, Field]) -> "Iterator[Column | str]":
    """Keys, values and commas in order, as columns and as texts for all rows."""
    sure = [key for key in sorted(fields) if not _has_nulls(fields[key])]
    for key in sorted(fields):
        field = _plain(fields[key])
        name = f"{json.dumps(key)}:"
        if key in sure:
            yield name if key == sure[0] else f",{name}"
            if isinstance(field, Mapping):
                yield "{"
                yield from _members(field)
                yield "}"
            else:
                yield field
        elif sure:
            around = (f",{name}", "") if key > sure[0] else (name, ",")
            yield _blank_for_null(kernel.binary_join_element_wise(around[0], field, around[1], ""))
    if not sure:
        yield _all_uncertain(fields)


def _has_nulls(field: Field) -> bool:
    if isinstance(field, pa.Scalar):
        return not field.is_valid
    return not isinstance(field, str | Mapping) and field.null_count > 0


def _plain(field: Field) -> Field:
    return str(field.as_py()) if isinstance(field, pa.Scalar) and field.is_valid else field


def _blank_for_null(values: Column) -> Column:
    return kernel.fill_null(values, "")


def _all_uncertain(fields: Mapping[str, Field]) -> Column:
    parts = [
        kernel.binary_join_element_wise(f"{json.dumps(key)}:", fields[key], "") for key in sorted(fields)
    ]
    return _joined(parts) if parts else ""


def _joined(parts: list[Column]) -> Column:
    # the blank at the end: Arrow drops a row of which every value is skipped
    inner = kernel.binary_join_element_wise(*parts, "", ",", null_handling="skip")
    return kernel.utf8_rtrim(inner, characters=",")


def lists(items: list[Column], length: int) -> Column:
    """One JSON list per row from columns of JSON text, in the order given; a null leaves its item out."""
    if not items:
        return pa.array(["[]"] * length, pa.string())
    if len(items) == 1 and not items[0].null_count:
        return kernel.binary_join_element_wise("[", items[0], "]", "")
    return kernel.binary_join_element_wise("[", _joined(items), "]", "")
