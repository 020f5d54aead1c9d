"""Columns of a processor's report by name: amounts, days, instants and references, a whole batch of rows at a time.

Law: what is fast and what is careful read the same. A column is converted at once where every field has the plain
form; else field by field with the grammar of ``values``, so that a refusal names the row and the column.

>>> from reconciliation.formats.delimited_rows import DelimitedRows
>>> import io
>>> rows = DelimitedRows(io.BytesIO(b"currency,net\\neur,2.50\\njpy,-3\\n"))
>>> named = columns_named(rows.header(), required=("currency", "net"), remedy="Run it again.")
>>> batch = ReportColumns(next(rows.batches(2)), named)
>>> batch.minors("net", batch.assets("currency")).tolist()
[250, -3]
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from itertools import compress
from json.encoder import encode_basestring
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ledger_core.errors import AmountError
from ledger_core.money import exponent_of, parse_amount_minor
from reconciliation.formats.canonical import LINE_SCHEMA, CardTokens, Emit
from reconciliation.formats.delimited_rows import Integers, RowBatch
from reconciliation.formats.values import asset_of, minor_of, reference, refused, shown
from reconciliation.vocabulary import FEE_TYPES, OTHER_REFERENCES

_PLAIN_AMOUNT: Final = r"^-?[0-9]{1,14}(?:\.[0-9]{1,4})?$"  # fits 64 bits at any exponent up to 4
_PLAIN_FRACTION: Final = r"^-?[0-9]{1,17}(?:\.[0-9]{1,17})?$"
_DIGITS_MAX: Final = 18  # of a number that surely fits 64 bits
_DAY: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}"
_PLAIN_DAY: Final = rf"^(?:{_DAY[1:]}(?:[ T][0-9:.]+Z?)?)?$"
_PLAIN_TIME: Final = _DAY + r"[ T][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?$"
_TIME: Final = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[ T](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)(Z|[+-]\d{2}:?\d{2})?)?", re.ASCII
)
_DAY_LENGTH: Final = 10
_LONGEST_NO_REFERENCE: Final = 12  # "NOT PROVIDED"
_TEXT_LENGTH_MAX: Final = 4_000
_SAFE_SUM: Final = 2**62
ADDABLE_MAX: Final = 2**59  # several of these fit 64 bits

Texts = Sequence[str]


def columns_named(header: Sequence[str], *, required: Sequence[str], remedy: str) -> dict[str, int]:
    """Place of each column by its name. Code ``structure`` for a required one that is missing and for doubled names."""
    place = {name: index for index, name in enumerate(header)}
    missing = [name for name in required if name not in place]
    if missing:
        expected = f"the columns {', '.join(required)}"
        raise refused("structure", "header row", expected, f"none called {', '.join(missing)}", remedy)
    if len(place) != len(header):
        doubled = sorted({name for name in header if name and header.count(name) > 1})
        if doubled:
            found = f"{', '.join(doubled)[:200]} twice"
            raise refused("structure", "header row", "each column once", found, remedy)
    return place


class ReportColumns:
    """The columns of one batch. A column that the report does not have is blank."""

    def __init__(self, batch: RowBatch, named: Mapping[str, int]) -> None:
        self.batch = batch
        self.count = batch.count
        self._named = named
        self._arrays: dict[str, pa.StringArray] = {}

    def place(self, index: int, name: str) -> str:
        """How a refusal names a field."""
        return f"row {self.batch.row_nos[index]}, {name}"

    def has(self, name: str) -> bool:
        """Whether the report has such a column."""
        return name in self._named

    def texts(self, name: str) -> Texts:
        """Fields as they are."""
        index = self._named.get(name)
        return [""] * self.count if index is None else self.batch.column(index)

    def array(self, name: str) -> pa.StringArray:
        """Fields as they are, for what is done to all of them at once."""
        if name not in self._arrays:
            self._arrays[name] = pa.array(self.texts(name), pa.string())
        return self._arrays[name]

    def values(self, name: str) -> list[str | None] | None:
        """Fields without the blanks around them, None where nothing is left; None for a column that is not there."""
        if name not in self._named:
            return None
        return [text.strip() or None for text in self.texts(name)]

    def references(self, name: str) -> list[str | None] | None:
        """Like ``values``, and None where the sender wrote that there is no reference."""
        if name not in self._named:
            return None
        return [
            (reference(text) if len(text) <= _LONGEST_NO_REFERENCE else text.strip()) or None
            for text in self.texts(name)
        ]

    def assets(self, name: str) -> list[str]:
        """Currency codes in capitals. Code ``currency``."""
        texts = self.texts(name)
        known: dict[str, str] = {}
        for text in dict.fromkeys(texts):
            known[text] = asset_of(
                text.upper() if text.isascii() else text, self.place(texts.index(text), name)
            )
        return [known[text] for text in texts]

    def minors(self, name: str, assets: Sequence[str], *, blank_is_zero: bool = False) -> Integers:
        """Minor units of the amounts of a column. Code ``amount``.

        Where blank is zero, an amount may begin with its decimal mark, as in the reports that leave fields blank.
        """
        if blank_is_zero and name not in self._named:
            return np.zeros(self.count, dtype=np.int64)
        found = _plain_minors(self.array(name), assets, blank_is_zero=blank_is_zero)
        if found is not None:
            return found
        minors = []
        for index, (text, asset) in enumerate(zip(self.texts(name), assets, strict=True)):
            if blank_is_zero and not text:
                minors.append(0)
                continue
            whole = text.replace(".", "0.", 1) if blank_is_zero and text.startswith((".", "-.")) else text
            minors.append(minor_of(whole, asset, self.place(index, name)))
        return np.array(minors, dtype=np.int64)

    def decimals(self, name: str) -> int:
        """The longest fraction in a column of amounts."""
        array = self.array(name)
        return int(_fraction_lengths(array).max(initial=0))

    def scaled(self, name: str, decimals: int) -> Integers:
        """Amounts as integers of so small a unit, for a report that tells fractions of minor units. Code ``amount``."""
        array = self.array(name)
        if _all_match(array, _PLAIN_FRACTION):
            scale = decimals - _fraction_lengths(array)
            lengths = pc.binary_length(array).to_numpy(zero_copy_only=False)
            if len(scale) and scale.min() >= 0 and int((lengths + scale).max()) <= _DIGITS_MAX:
                return _digits(array) * np.power(10, scale)
        found = []
        for index, text in enumerate(self.texts(name)):
            try:
                found.append(parse_amount_minor(text, decimals))
            except AmountError:
                expected = f"plain digits with at most {decimals} decimals, within 64 bits"
                raise refused("amount", self.place(index, name), expected, shown(text)) from None
        return np.array(found, dtype=np.int64)

    def days(self, name: str) -> Any:  # Arrow date32
        """Calendar days as written, whatever time follows; null where there is none. Code ``date``."""
        array = self.array(name)
        if _all_match(array, _PLAIN_DAY):
            try:
                days = pc.utf8_slice_codeunits(array, 0, _DAY_LENGTH)
                return pc.cast(pc.if_else(_is_blank(array), None, days), pa.date32())
            except pa.ArrowInvalid:
                pass  # the careful way names the row
        texts = [text.strip() for text in self.texts(name)]
        found = [self._day(index, name, text) if text else None for index, text in enumerate(texts)]
        return pa.array(found, pa.date32())

    def instants(self, name: str, zone: tzinfo) -> Any:  # Arrow timestamp in UTC
        """Instants of local times in a zone; null where there is no time of day. Code ``date``."""
        local = _local_times(self.array(name))
        if local is not None:
            offsets = _utc_offsets(local, zone)
            if offsets is not None:
                return pa.array(local - offsets).cast(pa.timestamp("us", tz="UTC"))
        found = [self._instant(index, name, text, zone) for index, text in enumerate(self.texts(name))]
        return pa.array(found, pa.timestamp("us", tz="UTC"))

    def _day(self, index: int, name: str, text: str) -> date:
        matched = _TIME.fullmatch(text)
        day = _calendar_day(matched.group(1)) if matched is not None else None
        if day is None:
            raise refused("date", self.place(index, name), "a date such as 2026-11-16 00:00:00", shown(text))
        return day

    def _instant(self, index: int, name: str, text: str, zone: tzinfo) -> datetime | None:
        matched = _TIME.fullmatch(text.strip())
        if matched is None:
            if not text.strip():
                return None
            raise refused("date", self.place(index, name), "a date and time", shown(text))
        day, time_of_day, offset = matched.groups()
        if time_of_day is None:
            self._day(index, name, day)
            return None
        try:
            local = datetime.fromisoformat(f"{day} {time_of_day}{offset or ''}")
            if offset is not None:
                return local.astimezone(UTC)
            return (local - _utc_offset(local, zone)).replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            raise refused("date", self.place(index, name), "a date and time", shown(text)) from None


def emit_columns(emit: Emit, columns: Mapping[str, Any], *, batch: RowBatch) -> None:
    """Emit one batch of booked lines; columns left out are null. The place of each row is filled in here."""
    given = {
        "record_no": batch.row_nos,
        "byte_offset": batch.byte_offsets,
        "byte_length": batch.byte_lengths.astype(np.int32),
        **columns,
    }
    defaults: dict[str, Any] = {"fee_minor": 0, "reversal": False, "status": "booked"}
    arrays: list[pa.Array[Any]] = []
    for column in LINE_SCHEMA:
        values = given.pop(column.name, None)
        if isinstance(values, pa.Array):
            arrays.append(values)
        elif values is not None:
            arrays.append(pa.array(values, type=column.type))
        elif column.name in defaults:
            arrays.append(pa.array([defaults[column.name]] * batch.count, type=column.type))
        else:
            arrays.append(pa.nulls(batch.count, column.type))
    if given:
        raise KeyError(f"not columns of a line: {sorted(given)}")
    emit(pa.RecordBatch.from_arrays(arrays, schema=LINE_SCHEMA))


def masked_texts(
    texts: Sequence[str | None] | None, card_tokens: CardTokens, *, length_max: int = _TEXT_LENGTH_MAX
) -> list[str | None] | None:
    """Free texts with card numbers masked, each distinct one once."""
    if texts is None:
        return None
    has_digits = pc.match_substring_regex(pa.array(texts, pa.string()), r"\pN").to_pylist()
    known: dict[str | None, str | None] = {None: None}
    for text in compress(texts, has_digits):
        if text is not None and text not in known:
            known[text] = card_tokens.masked(text)
    masked = [known.get(text, text) for text in texts]
    return [text[:length_max] if text else None for text in masked]


def other_references(**references: Sequence[str | None] | None) -> list[str | None] | None:
    """What ``values.other_refs_json`` says, for a column each."""
    unknown = references.keys() - OTHER_REFERENCES
    if unknown:
        raise KeyError(f"not references: {sorted(unknown)}")
    parts = [
        [f'"{name}":{encode_basestring(text)}' if text else None for text in texts]
        for name, texts in sorted(references.items())
        if texts is not None
    ]
    if not parts:
        return None
    joined = [",".join(filter(None, row)) for row in zip(*parts, strict=True)]
    return [f"{{{one}}}" if one else None for one in joined]


def fees_included(assets: Sequence[str], **fees: Sequence[int]) -> list[str | None]:
    """What ``values.fees_json`` says of fees that the amount has inside, a column of minor units for each type."""
    unknown = fees.keys() - FEE_TYPES
    if unknown:
        raise KeyError(f"not a type of fee: {sorted(unknown)}")
    parts = [
        [
            f'{{"amount_minor":{fee_minor},"asset":"{asset}","included":true,"type":"{name}"}}'
            if fee_minor
            else None
            for fee_minor, asset in zip(minors, assets, strict=True)
        ]
        for name, minors in fees.items()
    ]
    joined = [",".join(filter(None, row)) for row in zip(*parts, strict=True)]
    return [f"[{one}]" if one else None for one in joined]


def grouped(keys: Sequence[str | None]) -> tuple[list[str | None], Integers]:
    """Distinct keys in order of first appearance, and which of them each row has."""
    encoded = pa.array(keys, pa.string()).dictionary_encode(null_encoding="encode")
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy().astype(np.int64)


def sums_by(groups: Integers, minors: Integers, count: int) -> list[int]:
    """Exact sums of each group, whatever their size."""
    if len(minors) and int(np.abs(minors).max()) < _SAFE_SUM // len(minors):
        sums = np.zeros(count, dtype=np.int64)
        np.add.at(sums, groups, minors)
        return [int(one) for one in sums]
    exact = [0] * count
    for group, minor in zip(groups.tolist(), minors.tolist(), strict=True):
        exact[group] += minor
    return exact


def bounded(minors: Integers, columns: ReportColumns, name: str) -> Integers:
    """Amounts that may be added to each other within 64 bits. Code ``amount``."""
    if len(minors) and int(np.abs(minors).max()) > ADDABLE_MAX:
        index = int(np.argmax(np.abs(minors) > ADDABLE_MAX))
        found = shown(columns.texts(name)[index])
        raise refused("amount", columns.place(index, name), f"at most {ADDABLE_MAX} minor units", found)
    return minors


def _plain_minors(array: pa.StringArray, assets: Sequence[str], *, blank_is_zero: bool) -> Integers | None:
    """All amounts at once, or None where one is not in the plain form."""
    if blank_is_zero:
        array = pc.if_else(_is_blank(array), "0", array)
    if not _all_match(array, _PLAIN_AMOUNT):
        return None
    distinct = dict.fromkeys(assets)
    exponents: Any = (
        exponent_of(next(iter(distinct)))
        if len(distinct) == 1
        else np.array([exponent_of(asset) for asset in assets], dtype=np.int64)
    )
    scale = exponents - _fraction_lengths(array)
    if len(scale) and scale.min() < 0:
        return None
    minors: Integers = _digits(array) * np.power(10, scale)
    return minors


def _fraction_lengths(array: pa.StringArray) -> Integers:
    """Number of decimals of each plain amount."""
    lengths = pc.binary_length(array).to_numpy(zero_copy_only=False).astype(np.int64)
    marks = pc.find_substring(array, ".").to_numpy(zero_copy_only=False).astype(np.int64)
    found: Integers = np.where(marks < 0, 0, lengths - marks - 1)
    return found


def _digits(array: pa.StringArray) -> Integers:
    """Plain amounts without their decimal mark."""
    found: Integers = pc.cast(pc.replace_substring(array, ".", ""), pa.int64()).to_numpy()
    return found


def _all_match(array: pa.StringArray, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(array, pattern)).as_py())


def _is_blank(array: pa.StringArray) -> pa.BooleanArray:
    return pc.equal(array, pa.scalar("", pa.string()))


def _local_times(array: pa.StringArray) -> npt.NDArray[np.datetime64] | None:
    """Plain times of day as they are written, or None where one is not plain or does not exist."""
    if not _all_match(array, _PLAIN_TIME):
        return None
    try:
        return pc.cast(array, pa.timestamp("us")).to_numpy()
    except pa.ArrowInvalid:
        return None


def _utc_offsets(local: npt.NDArray[np.datetime64], zone: tzinfo) -> npt.NDArray[np.timedelta64] | None:
    """Offset of each local time, or None where one is on a day on which it changes."""
    days, places = np.unique(local.astype("datetime64[D]"), return_inverse=True)
    steady = [_offset_of_day(day, zone) for day in days.tolist()]
    known = [offset for offset in steady if offset is not None]
    return np.array(known, dtype="timedelta64[us]")[places] if len(known) == len(steady) else None


@lru_cache(maxsize=4096)
def _calendar_day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _utc_offset(local: datetime, zone: tzinfo) -> timedelta:
    """Offset of a local time; one that comes twice is the earlier one."""
    if zone is UTC:
        return timedelta(0)
    steady = _offset_of_day(local.date(), zone)
    return steady if steady is not None else _offset_at(local, zone)


@lru_cache(maxsize=4096)
def _offset_of_day(day: date, zone: tzinfo) -> timedelta | None:
    """The offset of a day on which it does not change."""
    midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - the zone is asked below
    first = _offset_at(midnight, zone)
    last = _offset_at(midnight + timedelta(days=1) - timedelta(microseconds=1), zone)
    return first if first == last else None


def _offset_at(local: datetime, zone: tzinfo) -> timedelta:
    return local.replace(tzinfo=zone).utcoffset() or timedelta(0)
