"""JSON objects one by one: whole or refused, numbers as text, in bounded memory."""

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.errors import RefusedFile
from reconciliation.formats import json_records as module
from reconciliation.formats.json_records import Envelope, JsonRecord, json_records


def records(content: bytes, **limits: int) -> list[JsonRecord]:
    return list(json_records(io.BytesIO(content), "data", **limits))


def refusal(content: bytes, **limits: int) -> RefusedFile:
    with pytest.raises(RefusedFile) as caught:
        records(content, **limits)
    return caught.value


def test_a_list_may_stand_alone_in_an_object_or_line_by_line() -> None:
    envelope = Envelope(members={})
    around = b'{"object": "list", "data": [{"a": 1}, {"a": 2}], "has_more": false}'
    found = list(json_records(io.BytesIO(around), "data", envelope=envelope))
    assert [record.value for record in found] == [{"a": "1"}, {"a": "2"}]
    assert (envelope.kind, envelope.members) == ("object", {"object": "list", "has_more": False})
    assert [record.place for record in found] == ["$.data[0]", "$.data[1]"]
    assert [record.value for record in records(b'\xef\xbb\xbf [{"a":1},\r{"a":2}] ')] == [
        {"a": "1"},
        {"a": "2"},
    ]
    assert [record.value for record in records(b'{"a":1}\n{"a":{"data":[]}}')] == [
        {"a": "1"},
        {"a": {"data": []}},
    ]
    assert records(b"[]") == records(b'{"data": []}') == []


def test_every_record_stays_addressable_in_the_file() -> None:
    content = '[{"a": "é"},  {"b": "𝄞", "c": 1e5}]'.encode()
    for record in records(content):
        raw = content[record.byte_offset : record.byte_offset + record.byte_length]
        assert json.loads(raw, parse_float=str) == record.value
    assert records(content)[1].value["c"] == "1e5"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "truncated"),
        (b" ", "truncated"),
        (b"[", "truncated"),
        (b'[{"a": 1}', "truncated"),
        (b'[{"a": 1},', "truncated"),
        (b'[{"a": "x', "truncated"),
        (b'{"data": [{"a": 1}]', "truncated"),
        (b'{"data": [{"a": 1}], "x', "truncated"),
        (b'[{"a": 1}] x', "structure"),
        (b'[{"a": 1}{"a": 2}]', "structure"),
        (b'[{"a": 1},]', "structure"),
        (b"[1]", "structure"),
        (b"null", "structure"),
        (b'[{"a": NaN}]', "structure"),
        (b'[{"a": 1, "a": 2}]', "structure"),
        (b'[{"a" 1, "bbbbbbbbbbbbbbbbbbbbbbbbbbbbb": 2}]', "structure"),
        (b'{"data": [], "x": 1, "x": 2}', "structure"),
        (b"[" * 100_000, "structure"),
        (b'[{"a": ' + b"[" * 100_000, "structure"),
        (b'[{"a": "\xff"}]', "structure"),
        (b'[{"a": "\0"}]', "unsafe"),
        ('[{"a": 1}]'.encode("utf-16"), "unsafe"),
        (b'[{"a": "' + b"x" * 60 + b'"}]', "limit"),
        (b'[{"a": "' + b"x" * 300, "limit"),
        (b"[" + b" " * 3000 + b"]", "limit"),
    ],
)
def test_what_is_not_whole_json_is_refused(content: bytes, code: str) -> None:
    bytes_max = 2000 if len(content) < 5000 else 1 << 20
    assert refusal(content, field_length_max=50, record_bytes_max=200, bytes_max=bytes_max).code == code


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.lists(st.dictionaries(st.text(max_size=3), JSON, max_size=4), max_size=5),
    st.integers(1, 40),
    st.booleans(),
)
def test_whatever_was_written_is_read_at_any_size_of_chunk(
    rows: list[dict[str, Any]], chunk_bytes: int, escaped: bool
) -> None:
    array = json.dumps(rows, ensure_ascii=escaped)
    lines = "\n".join(json.dumps(row, ensure_ascii=escaped) for row in rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CHUNK_BYTES", chunk_bytes)
        expected = [json.loads(json.dumps(row), parse_int=str) for row in rows]
        contents = [array, f'{{"x": {array}, "data": {array}, "y": -12345678}}']
        if rows and not isinstance(rows[0].get("data"), list):
            contents.append(lines)
        for content in contents:
            encoded = content.encode("utf-8", "surrogatepass") if escaped else content.encode()
            assert [record.value for record in records(encoded)] == expected


@given(st.binary(max_size=100), st.integers(1, 20))
def test_any_bytes_are_records_or_a_refusal(content: bytes, chunk_bytes: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CHUNK_BYTES", chunk_bytes)
        for attempt in (content, b'[{"a": 1}' + content, b'{"data": [{"a": "' + content):
            try:
                records(attempt)
            except RefusedFile as wrong:
                assert wrong.code in {"structure", "truncated", "unsafe", "limit"}  # noqa: PT017


@given(st.integers(0, 60))
def test_a_list_cut_anywhere_is_refused(size: int) -> None:
    content = b'{"object": "list", "data": [{"a": 1, "b": "xy"}, {"a": 22}]}'
    if size < len(content):
        assert refusal(content[:size]).code in {"truncated", "structure"}


def test_memory_follows_neither_the_file_nor_its_number_of_records() -> None:
    row = b'{"a": 1, "b": "' + b"x" * 100 + b'"}'
    content = b'{"data": [' + b",".join([row] * 50_000) + b"]}"
    assert sum(1 for _ in json_records(io.BytesIO(content), "data")) == 50_000


def test_half_of_a_surrogate_pair_is_no_text() -> None:
    whole = b'[{"a": "x\\ud83d\\ude00"}]'
    assert [record.value for record in json_records(io.BytesIO(whole), "data")] == [{"a": "x\U0001f600"}]
    with pytest.raises(RefusedFile) as caught:
        list(json_records(io.BytesIO(b'[{"a": "x\\ud83d"}]'), "data"))
    assert (caught.value.code, caught.value.place) == ("structure", "$[0]")
