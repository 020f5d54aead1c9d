"""Delimited rows: strict, bounded, with their places; the fast way and the careful way read the same."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.errors import RefusedFile
from reconciliation.formats import delimited_rows
from reconciliation.formats.delimited_rows import DelimitedRows, RowBatch


def table(content: bytes, **limits: int) -> DelimitedRows:
    return DelimitedRows(io.BytesIO(content), **limits)  # type: ignore[arg-type]


def all_rows(content: bytes, width: int) -> list[tuple[str, ...]]:
    return [row for batch in table(content).batches(width) for row in zip(*columns_of(batch), strict=True)]


def columns_of(batch: RowBatch) -> list[list[str]]:
    return [list(batch.column(index)) for index in range(batch.width)]


def refusal(content: bytes, width: int = 2, **limits: int) -> RefusedFile:
    with pytest.raises(RefusedFile) as caught:
        list(table(content, **limits).batches(width))
    return caught.value


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("quoted", [False, True])
def test_lines_may_end_in_any_of_three_ways(end: str, quoted: bool) -> None:
    cell = '"2"' if quoted else "2"
    content = end.join(["id,net", f"1,{cell}", "3,4", ""]).encode()
    rows = table(content)
    assert rows.header() == ["id", "net"]
    (batch,) = rows.batches(2)
    assert columns_of(batch) == [["1", "3"], ["2", "4"]]
    assert batch.row_nos.tolist() == [2, 3]
    assert raw(content, batch) == [f"1,{cell}".encode(), b"3,4"]
    assert rows.last_line_ended


def raw(content: bytes, batch: RowBatch) -> list[bytes]:
    places = zip(batch.byte_offsets.tolist(), batch.byte_lengths.tolist(), strict=True)
    return [content[offset : offset + length] for offset, length in places]


def test_a_field_over_several_lines_keeps_its_row_addressable() -> None:
    content = b'\xef\xbb\xbfid,text\n1,"one\ntwo"\n\n2,x\n'
    rows = table(content)
    rows.header()
    (batch,) = rows.batches(2)
    assert batch.column(1) == ["one\ntwo", "x"]
    assert batch.row_nos.tolist() == [2, 4]
    assert raw(content, batch) == [b'1,"one\ntwo"', b"2,x"]
    assert rows.blank_lines == 1


def test_rows_of_any_width_come_one_by_one() -> None:
    rows = list(table(b"a\nb,c\n").rows())
    assert [(row.row_no, row.fields, row.byte_offset, row.byte_length) for row in rows] == [
        (1, ["a"], 0, 1),
        (2, ["b", "c"], 2, 3),
    ]


def test_whether_the_last_line_was_ended_is_told() -> None:
    rows = table(b"1,2\n3,4")
    assert sum(batch.count for batch in rows.batches(2)) == 2
    assert not rows.last_line_ended


@pytest.mark.parametrize(
    ("content", "code", "place"),
    [
        (b"1,2\n3\n", "structure", "row 2"),
        (b"1,2\n3,4,5\n", "structure", "row 2"),
        (b'1,2\n3,"4\n5,6\n', "structure", "row 2, which begins in line 2"),
        (b'"1\n\n",2\n3,"4"x\n', "structure", "row 2, which begins in line 4"),
        (b"1,2\n3,\x004\n", "unsafe", "line 2"),
        (b"1,2\n3,\xff\n", "structure", "byte 7"),
        (b"1,2\n3," + b"4" * 101 + b"\n", "limit", "line 2"),
        (b"1,2\n3," + b"4" * 51 + b"\n", "limit", "row 2"),
        (b'1,2\n3,"' + b"4" * 51 + b'"\n', "limit", "row 2"),
        (b"1,2\n" * 300, "limit", "byte 1001"),
    ],
)
def test_what_is_not_a_table_is_refused_at_its_place(content: bytes, code: str, place: str) -> None:
    wrong = refusal(content, field_length_max=50, line_bytes_max=100, bytes_max=1000)
    assert (wrong.code, wrong.place) == (code, place)


def test_an_empty_file_has_no_header() -> None:
    for content in (b"", b"\n\n", b"\xef\xbb\xbf"):
        with pytest.raises(RefusedFile, match="a header row, found an empty file"):
            table(content).header()


CELLS = st.text(st.sampled_from('ab,"\n\r é\u2028\x1c'), max_size=6)
TABLES = st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=12)


def written(cell: str) -> str:
    doubled = cell.replace('"', '""')
    return f'"{doubled}"' if set(cell) & set(',"\n\r') else cell


@given(TABLES, st.sampled_from(["\n", "\r\n", "\r"]), st.integers(1, 20))
def test_whatever_was_written_is_read_at_any_size_of_chunk(
    rows: list[tuple[str, str, str]], end: str, chunk_bytes: int
) -> None:
    content = "".join(",".join(map(written, row)) + end for row in rows).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited_rows, "_CHUNK_BYTES", chunk_bytes)
        assert all_rows(content, 3) == rows
        for batch in table(content).batches(3):
            for found, row_no in zip(raw(content, batch), batch.row_nos.tolist(), strict=True):
                assert next(csv.reader(io.StringIO(found.decode(), newline=""))) == list(rows[row_no - 1])


@given(st.binary(max_size=200), st.integers(1, 20))
def test_any_bytes_are_rows_or_a_refusal(content: bytes, chunk_bytes: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited_rows, "_CHUNK_BYTES", chunk_bytes)
        try:
            assert all(batch.count for batch in table(content, line_bytes_max=50).batches(2))
            list(DelimitedRows(io.BytesIO(content), windows_1252=True).rows())
        except RefusedFile as wrong:
            assert wrong.code in {"structure", "unsafe", "limit"}  # noqa: PT017


def test_the_careful_and_the_fast_way_read_the_same() -> None:
    plain = "".join(f"{number},x{number},\n" for number in range(100_000)).encode()
    quoted = plain.replace(b"x5,", b'"x5",')
    assert all_rows(plain, 3) == all_rows(quoted, 3)
    assert len(all_rows(plain, 3)) == 100_000
