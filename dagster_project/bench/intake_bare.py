"""The least that taking a file in could cost: a bare loop over what it is made of, and a bare COPY of its rows.

Law: a bare loop looks at every record, and at nothing in it; a bare COPY writes the batches that our reader hands on,
as they come, into a table without a key.
"""

import csv
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Final

import pyarrow as pa
from lxml import etree

from dagster_project.database import Database
from ledger_core.sql import copy_in, queries
from reconciliation.formats.canonical import Format, ReadOptions

SQL: Final = queries(Path(__file__).with_name("bench.sql"))
BLOCK: Final = 1014  # bytes of a block of a clearing file, two of them padding


@dataclass(frozen=True, slots=True, kw_only=True)
class Bare:
    """Seconds of the bare loop and of the bare COPY; and of our reader, which fed the COPY, without it."""

    parse_seconds: float
    copy_seconds: float
    reader_seconds: float
    rows: int

    @property
    def seconds(self) -> float:
        """Loop and COPY, one after the other."""
        return self.parse_seconds + self.copy_seconds


def _xml(stream: BinaryIO) -> None:
    """lxml's events, each element cleared."""
    for _, element in etree.iterparse(stream, events=("end",)):
        element.clear()


def _rows(stream: BinaryIO) -> None:
    """The csv module's rows."""
    text = (line.decode() for line in stream)
    for _row in csv.reader(text):
        pass


def _lines(stream: BinaryIO) -> None:
    """Lines of text."""
    for line in stream:
        line.decode("latin-1").split("\n")


def _messages(stream: BinaryIO) -> None:
    """Messages of a blocked clearing file by their lengths."""
    data = b""
    while block := stream.read(BLOCK):
        data += block[: BLOCK - 2]
        at = 0
        while len(data) - at >= 4 and len(data) - at - 4 >= (size := int.from_bytes(data[at : at + 4])):
            if not size:
                return
            at += 4 + size
        data = data[at:]


BARE_LOOPS: Final[Mapping[str, Callable[[BinaryIO], None]]] = MappingProxyType(
    {
        "camt.053": _xml,
        "mt940": _lines,
        "mapped.csv": _rows,
        "stripe.payout_reconciliation": _rows,
        "mastercard.ipm": _messages,
        "visa.base2": _lines,
        "bai2": _lines,
        "ofx": _xml,
        "coda": _lines,
        "cfonb120": _lines,
        "nacha": _lines,
        "adyen.settlement_detail": _rows,
        "paypal.stl": _rows,
    }
)


def measure_bare(
    database: Database, path: Path, *, format_name: str, reader: Format, options: ReadOptions
) -> Bare:
    """Loop over the file; then read it again and write what comes, batch by batch, so that nothing is held."""
    started = time.perf_counter()
    with path.open("rb") as stream:
        BARE_LOOPS[format_name](stream)
    parse_seconds = time.perf_counter() - started
    copied, rows = 0.0, 0
    started = time.perf_counter()
    with database.session(None) as connection, path.open("rb") as stream:
        connection.execute(SQL["make_bare_lines"])

        def copy(batch: pa.RecordBatch) -> None:
            nonlocal copied, rows
            at = time.perf_counter()
            rows += copy_in(connection, pa.Table.from_batches([batch]), "bare_line")
            copied += time.perf_counter() - at

        reader.read(stream, options, copy)
        reader_seconds = time.perf_counter() - started - copied
        started = time.perf_counter()
    copied += time.perf_counter() - started  # the commit
    return Bare(parse_seconds=parse_seconds, copy_seconds=copied, reader_seconds=reader_seconds, rows=rows)
