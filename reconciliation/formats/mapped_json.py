"""Reads JSON of no standard by the mapping of its source: an array of objects, one below ``table.list_name`` in an
outer object, or one object per line.

Law: RFC 8259 in UTF-8, object by object in bounded memory. Numbers are taken as they are written, never as floats; a
name that stands twice in an object, NaN and a NUL refuse the file. A value in an object within the object is named by
its path (``amount.value``); what is no text, number or truth value there is no value of a line. Takes no settings.

>>> import io, sys
>>> from reconciliation.formats.canonical import ReadOptions, read_whole
>>> from reconciliation.formats.card_numbers import KeyedCardTokens
>>> rules = MappingRules.model_validate({
...     "proof": "none", "columns": {"booking_date": "day"}, "amount": {"column": "sum.value"},
...     "asset": {"column": "sum.currency"}, "dates": {"patterns": "%Y-%m-%d"}})
>>> options = ReadOptions(card_tokens=KeyedCardTokens(bytes(32)), mapping=rules)
>>> text = b'[{"day": "2026-11-16", "sum": {"value": -12.50, "currency": "EUR"}}]'
>>> read_whole(sys.modules[__name__], io.BytesIO(text), options).lines.column("amount_minor").to_pylist()
[-1250]
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, BinaryIO, Final

import numpy as np

from reconciliation.formats.canonical import LINES_PER_BATCH, Emit, ParsedDelivery, ReadOptions
from reconciliation.formats.json_records import JsonRecord, NumberText, json_records
from reconciliation.formats.mapped_parts.cells import NOT_THIS_LAYOUT, Cells
from reconciliation.formats.mapped_parts.layout import names_used
from reconciliation.formats.mapped_parts.table import no_cells_around, read_table, rules_of
from reconciliation.formats.values import refused
from reconciliation.mapping import MappingRules

NAME: Final = "mapped.json"

_STEP: Final = "."  # between the names of a path


def sniff(head: bytes) -> bool:  # noqa: ARG001  # by contract
    """Never: only a source knows that a file is read by its mapping."""
    return False


def read(stream: BinaryIO, options: ReadOptions, emit: Emit) -> ParsedDelivery:
    """Read and prove one file by ``options.mapping``, or raise ``RefusedFile``; ``SourcesError`` without a mapping."""
    rules = rules_of(options, NAME)
    no_cells_around(rules, NAME)
    return read_table(_Table(stream, rules, options), rules, options, emit, name=NAME)


class _Table:
    typed_dates = False
    typed_numbers = True

    def __init__(self, stream: BinaryIO, rules: MappingRules, options: ReadOptions) -> None:
        self._records = json_records(
            stream,
            rules.table.list_name or "",
            bytes_max=options.bytes_max,
            field_length_max=options.field_length_max,
        )
        self._names = names_used(rules)
        self._mark = rules.numbers.decimal_mark

    def header(self) -> tuple[Sequence[str | None], Mapping[int, Sequence[str | None]], str]:
        """The paths that the mapping names; which of them an object has is its own affair."""
        return self._names, {}, "the mapping"

    def batches(self) -> Iterator[Cells]:
        """Objects in batches. Code ``not_this_format`` for a file in which no object has any of the paths."""
        paths = [tuple(name.split(_STEP)) for name in self._names]
        found_any, count = False, 0
        while records := list(islice(self._records, LINES_PER_BATCH)):
            count += len(records)
            columns = [[_value_at(record, path, self._mark) for record in records] for path in paths]
            found_any = found_any or any(map(any, columns))
            yield Cells(
                column=columns.__getitem__,
                row_nos=np.array([record.record_no for record in records], dtype=np.int64),
                byte_offsets=np.array([record.byte_offset for record in records], dtype=np.int64),
                byte_lengths=np.array([record.byte_length for record in records], dtype=np.int64),
            )
        if count and not found_any:
            expected = f"objects with the mapping's names, such as {self._names[0][:40]!r}"
            raise refused("not_this_format", "the file", expected, f"{count} without", NOT_THIS_LAYOUT)

    def footer(self) -> Sequence[Sequence[str | None]]:
        """There is none."""
        return []

    def notes(self) -> tuple[str, ...]:
        """Nothing is tolerated."""
        return ()


def _value_at(record: JsonRecord, path: tuple[str, ...], decimal_mark: str) -> str | None:
    value: Any = record.value
    for step in path:
        if not isinstance(value, dict):
            return None
        value = value.get(step)
    if isinstance(value, NumberText):
        return value.replace(".", decimal_mark)
    if isinstance(value, str):
        if "\0" in value:
            raise refused("unsafe", f"{record.place}, {_STEP.join(path)[:40]}", "text", "a NUL")
        return value
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    place = f"{record.place}, {_STEP.join(path)[:40]}"
    raise refused("structure", place, "a text, a number or a truth value", "an object or a list")
