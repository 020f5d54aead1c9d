"""Card numbers in a whole column of texts: finds the few that could hold one, and masks those one by one.

Law: every text that ``CardTokens.masked`` would change or refuse is handed to it; the others are only proved harmless
faster. A card number is at least 13 characters of digits, blanks and dashes in a row (any character beyond ASCII may be
one of these); a verification code has its label.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute

from reconciliation.formats.canonical import Emit

kernel: Any = pyarrow.compute  # its stubs do not know that kernels take plain values

Integers = npt.NDArray[np.int64]

_RUN_LENGTH_MIN: Final = 13
_CARD_LENGTH_MAX: Final = 19
_LABELS: Final = ("cv", "av2", "verification")
_STEP: Final = 6  # bytes from probe to probe; two steps fit into the shortest run
_DIGIT, _BETWEEN = 1, 2
_CLASSES: Final = np.array(
    [
        _DIGIT if 48 <= byte <= 57 else _BETWEEN if byte >= 128 or chr(byte) in " -" else 0
        for byte in range(256)
    ],
    dtype=np.uint8,
)


def masked_column(texts: pa.StringArray, mask: Callable[[str], str]) -> pa.StringArray:
    """The texts with every card number in them truncated; nulls stay null.

    >>> from reconciliation.formats.card_numbers import masked_text
    >>> masked_column(pa.array(["card 4111111111111111", "order 12", None]), masked_text).to_pylist()
    ['card 411111******1111', 'order 12', None]
    """
    suspects = _suspects(texts)
    if not len(suspects):
        return texts
    found = texts.to_pylist()
    for place in suspects.tolist():
        text = found[place]
        if text:
            found[place] = mask(text)
    return pa.array(found, type=pa.string())


def masking(emit: Emit, names: frozenset[str], mask: Callable[[str], str]) -> Emit:
    """Masks the columns of these names in every batch that goes by."""

    def masked(batch: pa.RecordBatch) -> None:
        columns: dict[str, Any] = {name: batch.column(name) for name in batch.schema.names}
        arrays: list[Any] = [
            masked_column(column, mask) if name in names else column for name, column in columns.items()
        ]
        emit(pa.RecordBatch.from_arrays(arrays, schema=batch.schema))

    return masked


def _places_of_runs(texts: pa.StringArray) -> Integers:
    """Places of the texts with a run of digits, blanks and dashes that is long enough to be a card number."""
    offsets, data = _bytes_of(texts)
    dense: Integers = np.searchsorted(offsets, _dense(data), side="right") - 1
    dense = dense[np.append(dense[:1] == dense[:1], dense[1:] != dense[:-1])]
    if not len(dense):
        return dense
    # one text below the other, so that no run goes from one into the next
    ended = kernel.binary_join_element_wise(kernel.take(texts, dense), "", "\n")
    offsets, data = _bytes_of(ended)
    places: Integers = np.unique(dense[np.searchsorted(offsets, _runs(data), side="right") - 1])
    return places


def _suspects(texts: pa.StringArray) -> Integers:
    """Places of the texts that a closer look is due to."""
    runs = _places_of_runs(texts)
    lowered = _bytes_of(texts)[1].tobytes().lower()
    if not any(label.encode() in lowered for label in _LABELS):
        return runs
    suspect = np.zeros(len(texts), dtype=bool)
    suspect[runs] = True
    words = kernel.ascii_lower(texts)
    for label in _LABELS:
        found = kernel.fill_null(kernel.match_substring(words, label), False)
        suspect |= found.to_numpy(zero_copy_only=False)
    return np.flatnonzero(suspect)


def _bytes_of(texts: pa.StringArray) -> tuple[Integers, npt.NDArray[np.uint8]]:
    """Where each text begins in the bytes of all, and those bytes."""
    _, places, content = texts.buffers()
    if places is None or content is None or not len(texts):
        return np.zeros(1, dtype=np.int64), np.empty(0, dtype=np.uint8)
    offsets = np.frombuffer(memoryview(places), dtype=np.int32)[texts.offset : texts.offset + len(texts) + 1]
    data = np.frombuffer(memoryview(content), dtype=np.uint8)[offsets[0] : offsets[-1]]
    return (offsets - offsets[0]).astype(np.int64), data


def _dense(data: npt.NDArray[np.uint8]) -> Integers:
    """Places in the long runs, and a few more: such a run fills at least one whole step between two probes."""
    if len(data) <= _STEP:
        return np.empty(0, dtype=np.int64)
    probes = _CLASSES[data[::_STEP]] != 0
    places = np.flatnonzero(probes[1:] & probes[:-1]) * _STEP
    for between in range(1, _STEP):
        places = places[_CLASSES[data[places + between]] != 0]
    return places


def _runs(data: npt.NDArray[np.uint8]) -> Integers:
    """Where a run begins that is long enough for a card number and no number of more than 19 digits."""
    classes = _CLASSES[data]
    inside = np.concatenate(([False], classes != 0, [False]))
    edges = np.flatnonzero(inside[1:] != inside[:-1])
    starts, ends = edges[::2], edges[1::2]
    long = ends - starts >= _RUN_LENGTH_MIN
    starts, ends = starts[long], ends[long]
    too_long = ends - starts > _CARD_LENGTH_MAX
    if too_long.any():
        digits = np.concatenate(([0], np.cumsum(classes == _DIGIT)))
        reference = too_long & (digits[ends] - digits[starts] == ends - starts)
        starts = starts[~reference]
    return starts
