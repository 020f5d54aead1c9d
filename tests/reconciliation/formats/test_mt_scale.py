"""Large MT files stream: lines leave in batches, and memory follows neither the file nor a statement."""

import tracemalloc
from collections.abc import Iterator
from io import RawIOBase

import pyarrow as pa
import pytest

from reconciliation.formats import mt940
from reconciliation.formats.canonical import LINES_PER_BATCH
from tests.reconciliation.formats.camt_builder import OPTIONS

LINES = 60_000


class Pieces(RawIOBase):
    """A file that is written while it is read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        while len(self._rest) < size and (piece := next(self._pieces, b"")):
            self._rest += piece
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


def large_file(lines: int) -> Iterator[bytes]:
    yield b":20:R1\r\n:25:NL13TEST0123456789\r\n:28C:1/1\r\n:60F:C261115EUR0,00\r\n"
    for number in range(lines):
        yield (
            f":61:2611161116C0,{number % 100:02d}NTRFE2E{number}//B{number}\r\n"
            f":86:166?00CREDIT?20EREF+E2E{number}?21SVWZ+Invoice {number}?32J DOE {number % 977}\r\n"
        ).encode()
    total = sum(number % 100 for number in range(lines))
    yield f":62F:C261116EUR{total // 100},{total % 100:02d}\r\n-\r\n".encode()


def test_lines_leave_in_batches_while_the_file_is_read() -> None:
    sizes: list[int] = []
    parsed = mt940.read(Pieces(large_file(LINES)), OPTIONS, lambda batch: sizes.append(batch.num_rows))
    assert (max(sizes), sum(sizes)) == (LINES_PER_BATCH, LINES)
    assert parsed.statements[0].line_count == LINES


def test_memory_does_not_follow_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciliation.formats.canonical.LINES_PER_BATCH", 500)
    monkeypatch.setattr("reconciliation.formats.swift_mt_parts.blocks._CHUNK_BYTES", 1 << 14)

    def peak_of(lines: int) -> int:
        tracemalloc.start()
        mt940.read(Pieces(large_file(lines)), OPTIONS, lambda _: None)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak_of(100)
    assert peak_of(8_000) < 1.2 * peak_of(2_000)


def test_record_numbers_and_bytes_hold_over_all_batches() -> None:
    content = b"".join(large_file(25_000))
    batches: list[pa.RecordBatch] = []
    mt940.read(Pieces(iter([content])), OPTIONS, batches.append)
    lines = pa.Table.from_batches(batches)
    assert lines["record_no"].to_pylist() == list(range(1, 25_001))
    for row in lines.take([0, 1_234, 19_999, 20_000, 24_999]).to_pylist():
        raw = content[row["byte_offset"] :][: row["byte_length"]].decode()
        assert raw.startswith(":61:2611161116C0,")
        assert raw.rstrip().endswith(f"?32J DOE {(row['record_no'] - 1) % 977}")
        assert f"//{row['ref_servicer']}\r\n" in raw
