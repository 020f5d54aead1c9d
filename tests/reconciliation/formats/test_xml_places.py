"""Byte places of elements are those of real tags, however the bytes arrive and whatever looks like a tag."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.formats.xml_places import ElementPlaces
from tests.reconciliation.formats.camt_builder import document, entry, read, statement

PIECES = {  # text of a document, and whether it is an entry
    "<Ntry>x</Ntry>": True,
    "<Ntry a='1'\n>x</Ntry >": True,
    "<Ntry/>": True,
    "<Ntry a='b' />": True,
    "<!-- <Ntry>x</Ntry> -->": False,
    "<![CDATA[<Ntry>]]>": False,
    "<?x <Ntry> ?>": False,
    "<NtryRef>x</NtryRef>": False,
    "<NtryDtls/>": False,
    "text > text": False,
    "<x><y/></x>": False,
}


@given(st.lists(st.sampled_from(sorted(PIECES)), min_size=1, max_size=12), st.integers(1, 40))
def test_places_are_those_of_the_entries_in_chunks_of_any_size(pieces: list[str], size: int) -> None:
    content = f"<a>{''.join(pieces)}</a>".encode()
    expected = []
    position = len("<a>")
    for piece in pieces:
        if PIECES[piece]:
            expected.append((position, len(piece)))
        position += len(piece)
    places = ElementPlaces("Ntry", b"<a><Ntry>")
    for start in range(0, len(content), size):
        places.feed(content[start : start + size])
    assert [places.next() for _ in expected] == expected
    assert places.next() == (None, None)


@pytest.mark.parametrize("prefix", ["", "c:", "ns-1.x:"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_every_line_of_a_file_with_comments_and_prefixes_points_at_its_own_entry(
    prefix: str, mark: bytes
) -> None:
    entries = [entry("1.00", ref=f"R{number}") for number in range(2_000)]
    plain = document(statement(*entries, closing="2100.00"))
    plain = plain.replace("<Ntry>", "<!-- <Ntry></Ntry> --><Ntry>").replace(
        "<GrpHdr>", "<?x <Ntry> ?><GrpHdr>"
    )
    if prefix:
        plain = re.sub(r"<(/?)(?=[A-Z])", rf"<\1{prefix}", plain).replace("xmlns=", f"xmlns:{prefix[:-1]}=")
        plain = plain.replace(f"<!-- <{prefix}Ntry></{prefix}Ntry> -->", "<!-- <Ntry></Ntry> -->")
    content = mark + plain.encode()
    for line in read(content).lines.to_pylist():
        raw = content[line["byte_offset"] :][: line["byte_length"]].decode()
        assert raw.startswith(f"<{prefix}Ntry>")
        assert raw.endswith(f"</{prefix}Ntry>")
        assert raw.count(f">{line['ref_servicer']}<") == 1


def test_there_are_no_places_where_characters_are_two_bytes_or_prefixes_change() -> None:
    content = document(statement(entry()))
    assert read(content.encode("utf-16")).lines["byte_offset"].to_pylist() == [None]
    other = content.replace("<Ntry>", '<c:Ntry xmlns:c="urn:c">').replace("</Ntry>", "</c:Ntry>")
    mixed = other.replace("</c:Ntry>", "</c:Ntry>" + entry("0.00", ref="X"))
    assert read(mixed).lines["byte_offset"].to_pylist() == [mixed.index("<c:Ntry"), None]
