"""Reads a Parquet file of no standard by the mapping of its source: a warehouse's export, or another ledger's entries.

Law: columns keep their type until they are text, exactly: integers and decimals as digits, dates and timestamps as ISO
8601. A floating point number is no amount and refuses the file when an amount is read from it. Sizes stated in the
file's metadata are bounded before anything is unpacked; one row group is read at a time, in batches. Takes no settings,
only ``mapping``. Another ledger: map ``amount_minor`` with ``unit: minor``, ``effective_at`` as booking date.

>>> sniff(b"PAR1")
False
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet

from reconciliation.errors import RefusedFile
from reconciliation.formats.canonical import LINES_PER_BATCH, Emit, ParsedDelivery, ReadOptions
from reconciliation.formats.mapped_parts.cells import Cells, Texts
from reconciliation.formats.mapped_parts.layout import Layout, names_used
from reconciliation.formats.mapped_parts.table import no_cells_around, read_table, rules_of
from reconciliation.formats.values import refused, shown
from reconciliation.mapping import MappingRules

NAME: Final = "mapped.parquet"

kernel: Any = pyarrow.compute  # its stubs do not know that kernels take plain values

_ROW_GROUP_BYTES_MAX: Final = 1 << 31  # unpacked, all columns
_METADATA_BYTES_MAX: Final = 1 << 26
_DAMAGED: Final = "The file is damaged, incomplete or another one; fetch it again from the sender."
_DAY: Final = "%Y-%m-%d"
_TIME: Final = "%Y-%m-%dT%H:%M:%S"  # of a timestamp, with as many decimals of a second as it has


def sniff(head: bytes) -> bool:  # noqa: ARG001  # by contract
    """Never: only a source knows that a file is read by its mapping."""
    return False


def read(stream: BinaryIO, options: ReadOptions, emit: Emit) -> ParsedDelivery:
    """Read and prove one file by ``options.mapping``, or raise ``RefusedFile``; ``SourcesError`` without a mapping."""
    rules = rules_of(options, NAME)
    no_cells_around(rules, NAME)
    try:
        return read_table(_Table(stream, rules, options), rules, options, emit, name=NAME)
    except (pa.ArrowException, OSError, EOFError, UnicodeDecodeError) as error:
        found = repr(str(error).partition("\n")[0][:120])
        raise refused("structure", "the file", "readable Parquet to the last byte", found, _DAMAGED) from None


class _Table:
    typed_dates = typed_numbers = True

    def __init__(self, stream: BinaryIO, rules: MappingRules, options: ReadOptions) -> None:
        _check_ends(stream, options.bytes_max)
        self._file = pyarrow.parquet.ParquetFile(
            stream, thrift_string_size_limit=_METADATA_BYTES_MAX, thrift_container_size_limit=1_000_000
        )
        self._names = self._file.schema_arrow.names
        self._rules = rules
        self._check_sizes(options.bytes_max)

    def _check_sizes(self, bytes_max: int) -> None:
        metadata = self._file.metadata
        total = 0
        for number in range(metadata.num_row_groups):
            size = metadata.row_group(number).total_byte_size
            total += size
            if not 0 <= size <= _ROW_GROUP_BYTES_MAX or total > bytes_max:
                place = f"row group {number + 1}"
                expected = f"at most {_ROW_GROUP_BYTES_MAX} bytes unpacked, {bytes_max} in all"
                raise refused("limit", place, expected, f"{size}, {total} in all", _DAMAGED)

    def header(self) -> tuple[Sequence[str | None], Mapping[int, Sequence[str | None]], str]:
        """Names of the columns; those of structures are not among them."""
        return self._names, {}, "the schema"

    def batches(self) -> Iterator[Cells]:
        """The rows of one row group after the other, the used columns only."""
        row_no = 0
        names = names_used(self._rules)
        layout = Layout(self._names, names, "the schema")
        used = [self._names[layout[name]] for name in names]
        for batch in self._file.iter_batches(batch_size=LINES_PER_BATCH, columns=used):
            if not batch.num_rows:
                continue
            batch.validate(full=True)  # what says that it is UTF-8 may not be
            row_nos = np.arange(row_no + 1, row_no + 1 + batch.num_rows)
            row_no += batch.num_rows
            yield Cells(
                column=_Columns(batch, self._names, self._rules.numbers.decimal_mark), row_nos=row_nos
            )

    def footer(self) -> Sequence[Sequence[str | None]]:
        """There is none."""
        return []

    def notes(self) -> tuple[str, ...]:
        """Nothing is tolerated."""
        return ()


class _Columns:
    """Columns of a batch as text, made when asked for."""

    def __init__(self, batch: pa.RecordBatch, names: Sequence[str], decimal_mark: str) -> None:
        self._mark = decimal_mark
        self._batch = batch
        self._names = names

    def __call__(self, index: int) -> Texts:
        """The text of a column by its place in the schema. Code ``structure`` for a type that is no text."""
        name = self._names[index]
        return _as_text(self._batch.column(name), name, self._mark)


def _check_ends(stream: BinaryIO, bytes_max: int) -> None:
    """Parquet begins and ends with its mark; what stands before the last one is the size of the metadata."""
    size = stream.seek(0, 2)
    stream.seek(0)
    begin = stream.read(4)
    if begin != b"PAR1":
        raise refused("not_this_format", "byte 1", "PAR1, the mark of Parquet", shown(repr(begin)), _DAMAGED)
    if size > bytes_max:
        raise refused("limit", "the file", f"at most {bytes_max} bytes", f"{size}", _DAMAGED)
    stream.seek(max(size - 8, 0))
    end = stream.read(8)
    if size < 12 or end[4:] != b"PAR1":
        raise refused(
            "truncated", "end of file", "PAR1, the mark of its end", shown(repr(end[-4:])), _DAMAGED
        )
    if int.from_bytes(end[:4], "little") > min(size, _METADATA_BYTES_MAX):
        raise refused(
            "structure", "end of file", "the size of its metadata", "more than the file has", _DAMAGED
        )
    stream.seek(0)


def _as_text(values: Any, name: str, decimal_mark: str) -> Texts:
    """Exact text of a column."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        values = values.dictionary_decode()
        kind = values.type
    if pa.types.is_string(kind):
        texts: Texts = values
        return texts
    if pa.types.is_date(kind):
        return _cast(kernel.strftime(values.cast(pa.timestamp("s")), format=_DAY))
    if pa.types.is_timestamp(kind):
        zone = kind.tz
        utc = values if zone is None else values.cast(pa.timestamp(kind.unit, tz="UTC"))
        written = kernel.strftime(utc, format=_TIME if zone is None else f"{_TIME}Z")
        return _cast(written)
    if pa.types.is_decimal(kind):
        plain = [
            None if number is None else f"{number:f}".replace(".", decimal_mark)
            for number in values.to_pylist()
        ]
        return pa.array(plain, pa.string())
    exact = (pa.types.is_integer, pa.types.is_large_string, pa.types.is_boolean, pa.types.is_null)
    if any(known(kind) for known in exact) or str(kind) == "string_view":
        return _cast(values)
    raise _no_text(name, str(kind))


def _cast(values: Any) -> Texts:
    texts: Texts = values.cast(pa.string())
    return texts


def _no_text(name: str, kind: str) -> RefusedFile:
    remedy = "Have amounts written as integers of minor units, or as decimals; a float is never exact."
    expected = "text, integers, decimals, dates or timestamps"
    return refused("structure", f"column {shown(name)}", expected, kind[:40], remedy)
