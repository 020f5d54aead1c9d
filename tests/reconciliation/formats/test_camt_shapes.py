"""Entries that are read by their shape are those that the parser would find: lines, statements, notes and refusals."""

import csv
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.errors import RefusedFile
from reconciliation.formats.camt_parts.messages import read_message
from reconciliation.formats.camt_parts.reader import MESSAGES, STATEMENT, Message
from reconciliation.formats.canonical import LINE_SCHEMA, ReadOptions
from reconciliation.formats.xml_runs import Runs
from reconciliation.formats.xml_shapes import ElementShapes, Shaped
from reconciliation.formats.xml_stream import ElementRun, ElementStream
from tests.reconciliation.formats.camt_builder import OPTIONS, detail, document, entry, statement

TEXTS = st.text(st.sampled_from("ab1 \n\t\r4é€>\"'.-/\x7f\u00a0\ufeff\U0001f600"), max_size=12)
ENTITIES = st.sampled_from(
    ["&amp;", "&lt;", "&#65;", "&quot;&gt;", "&apos;", "&amp;lt;", "&nbsp;", "]]>", "\0"]
)
PIECES = st.one_of(TEXTS, TEXTS, TEXTS, ENTITIES)
BETWEEN = st.sampled_from(["", "", "", "\n", "  ", "\r\n", "<!-- <Ntry> -->", "<?x y?>", "text", "<Other/>"])
FAR = 10**6


def outcome(content: bytes, message: Message, *, sights: int | None, options: ReadOptions = OPTIONS) -> Any:
    batches: list[pa.RecordBatch] = []
    try:
        parsed = read_message(BytesIO(content), options, batches.append, message, sights=sights)
    except RefusedFile as refused:
        return refused.code, refused.place, refused.expected, refused.found
    return parsed, pa.Table.from_batches(batches, schema=LINE_SCHEMA).to_pylist()


def assert_alike(content: bytes, message: Message = STATEMENT, options: ReadOptions = OPTIONS) -> None:
    by_tree = outcome(content, message, sights=None, options=options)
    for sights in (1, 2, FAR):
        assert outcome(content, message, sights=sights, options=options) == by_tree


def test_every_real_file_reads_the_same_by_shapes_and_by_the_tree(corpora: Path) -> None:
    with (corpora / "EXPECTED.csv").open(newline="") as stream:
        paths = [corpora / row["path"] for row in csv.DictReader(stream) if row["format"] == "camt"]
    assert len(paths) > 500
    for path in paths:
        content = path.read_bytes()
        for message in MESSAGES.values():
            if message.container.encode() in content:
                assert outcome(content, message, sights=1) == outcome(content, message, sights=None), path


@st.composite
def entries(draw: st.DrawFn) -> str:
    amount = draw(st.sampled_from(["1.00", "1.00", "7.5", ".5", "1e3", "", "-1.00", " 1.00 "]))
    details = []
    for _ in range(draw(st.integers(0, 3))):
        text = "".join(f"<Ustrd>{draw(PIECES)}</Ustrd>" for _ in range(draw(st.integers(0, 2))))
        name = draw(st.sampled_from(["<Nm>{}</Nm>", "<Pty><Nm>{}</Nm></Pty>", "<Pty/>", "<Nm></Nm>"])).format(
            draw(TEXTS)
        )
        details.append(
            detail(
                draw(st.sampled_from([None, amount, "1.00", "2.00"])),
                refs=f"<EndToEndId>{draw(PIECES)}</EndToEndId>",
                more=f"<RltdPties><Dbtr>{name}</Dbtr></RltdPties><RmtInf>{text}</RmtInf>",
            )
        )
    groups = "".join(
        f"<NtryDtls>{one}</NtryDtls>" for one in ("".join(details[:2]), "".join(details[2:])) if one
    )
    made = entry(
        amount,
        draw(st.sampled_from(["CRDT", "CRDT", "DBIT", "XXXX"])),
        asset=draw(st.sampled_from(["EUR", "EUR", "EUR", "eur", "CHF", "XQX"])),
        status=draw(st.sampled_from(["<Sts>BOOK</Sts>", "<Sts><Cd>PDNG</Cd></Sts>", "", "<Sts/>"])),
        booked=draw(
            st.sampled_from(
                ["<BookgDt><Dt>2026-11-16</Dt></BookgDt>", "", "<BookgDt><Dt>2026-02-30</Dt></BookgDt>"]
            )
        ),
        ref=draw(st.sampled_from(["", "B1", "B2 ", "4111111111111111"])),
        details=groups,
        more=draw(
            st.sampled_from(
                ["", "", "<RvslInd>true</RvslInd>", "<Amt>1</Amt>", "<A x='1'/>", "<B><B>1</B></B>"]
            )
        ),
    )
    if draw(st.integers(0, 3)) == 0:
        made = made.replace("><", draw(st.sampled_from(["> <", ">\n  <", ">\r\n<"])))
    return made


@given(st.lists(st.tuples(entries(), st.integers(1, 3), BETWEEN), min_size=1, max_size=5), st.data())
def test_invented_entries_read_the_same_by_shapes_and_by_the_tree(
    made: list[tuple[str, int, str]], data: st.DataObject
) -> None:
    total = st.sampled_from(["100.00", "101.00", "99.00", "102.00"])
    content = document(
        statement(*((one + between) * count for one, count, between in made), closing=data.draw(total))
    )
    prefix = data.draw(st.sampled_from(["", "", "", "c"]))
    if prefix:
        content = re.sub(r"<(/?)(?=[A-Z])", rf"<\1{prefix}:", content).replace("xmlns=", f"xmlns:{prefix}=")
    cut = data.draw(st.sampled_from([None, None, None, 0.9, 0.7]))
    raw = content.encode("utf-8")
    assert_alike(raw if cut is None else raw[: int(len(raw) * cut)])


@given(st.data())
def test_damaged_files_read_the_same_by_shapes_and_by_the_tree(data: st.DataObject) -> None:
    details = f"<NtryDtls>{detail('1.00', refs='<EndToEndId>E</EndToEndId>')}</NtryDtls>"
    raw = bytearray(document(statement(*[entry("1.00", details=details)] * 3, closing="103.00")).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    assert_alike(bytes(raw))


def shaped(sights: int = 1, text_max: int = 1_000) -> Shaped:
    return Shaped(planned=str, text_max=text_max, with_currency=frozenset({"Amt"}), sights=sights)


def test_entries_of_a_known_shape_do_not_reach_the_parser() -> None:
    content = document(statement(*[entry(f"{number}.00") for number in range(1, 501)], closing="125350.00"))
    stream = ElementStream(
        BytesIO(content.encode()), names=("Ntry",), located="Ntry", bytes_max=FAR, shaped=shaped(20)
    )
    by_tree, by_shape = 0, 0
    for one in stream.with_runs():
        if isinstance(one, ElementRun):
            by_shape += len(one.found)
        else:
            by_tree += 1
    assert (by_tree, by_shape) == (19, 481)


@pytest.mark.parametrize(
    "content",
    [
        "<Ntry><A>1</A></Ntry >",
        "<Ntry x='1'><A>1</A></Ntry>",
        "<Ntry><A x='1'>1</A></Ntry>",
        "<Ntry><A xmlns='urn:x'>1</A></Ntry>",
        "<Ntry><A>1</A>text</Ntry>",
        "<Ntry><A>1</B></Ntry>",
        "<Ntry><A>1</Ntry></A>",
        "<Ntry><A><B>1</A></B></Ntry>",
        "<Ntry><A>1</Ntry>",
        "<Ntry><c:A>1</c:A></Ntry>",
        "<Ntry><A><![CDATA[1]]></A></Ntry>",
        "<Ntry><A>1<!-- --></A></Ntry>",
        "<Ntry><A>1<?x?></A></Ntry>",
        "<Ntry><A>&#65;</A></Ntry>",
        "<Ntry><A>&a;</A></Ntry>",
        "<Ntry><A>1 & 2</A></Ntry>",
        "<Ntry><A>a > b</A></Ntry>",
        "<Ntry><A>\x01</A></Ntry>",
        "<Ntry><A> </A></Ntry>",
        "<Ntry><A>line\nline</A></Ntry>",
        "<Ntry>1</Ntry>",
        "<Ntry></Ntry>",
        "<Ntry><A/></Ntry>",
        "<Ntry>" + "<A>" * 30 + "1" + "</A>" * 30 + "</Ntry>",
        "<Ntry>" + "<A>1</A>" * 200 + "</Ntry>",
        "<Ntry><A>" + "1" * 1_001 + "</A></Ntry>",
        "<Ntry><A>" + "1" * 20_000 + "</A></Ntry>",
    ],
)
def test_what_is_not_plain_has_no_shape(content: str) -> None:
    shapes = ElementShapes("Ntry", shaped())
    assert shapes.match(content, 0) is None


@pytest.mark.parametrize(
    "wrong",
    [
        b"\xff",
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xc3",
        b"<!-- -->",
        b"<?x?>",
        b"<![CDATA[x]]>",
        b"\xef\xbf\xbf",
    ],
)
def test_from_what_is_no_plain_text_on_the_parser_sees_all(wrong: bytes) -> None:
    one = b"<Ntry><A>1</A></Ntry>"
    runs = Runs(ElementShapes("Ntry", shaped()), prolog=0, ascii_only=False)
    chunks = [b"<x>" + one * 3, one + wrong + one, one]
    pieces = [list(runs.split(chunk)) for chunk in chunks]
    assert [[len(run.found) for _, run in piece if run is not None] for piece in pieces] == [[3], [], []]
    assert pieces[1] + pieces[2] == [(chunks[1], None), (chunks[2], None)]


@given(
    st.lists(
        st.sampled_from(["<Ntry><A>1</A></Ntry>", "<Ntry><A>é€</A></Ntry>", "<B>ü</B>", "\n", "\U0001f600"])
    ),
    st.integers(2, 50),
)
def test_places_of_entries_are_bytes_however_they_arrive(parts: list[str], size: int) -> None:
    content = ("é<x>" + "".join(parts)).encode()
    runs = Runs(ElementShapes("Ntry", shaped()), prolog=2, ascii_only=False)
    pieces = [piece for at in range(0, len(content), size) for piece in runs.split(content[at : at + size])]
    rebuilt = b""
    for seen, run in pieces:
        rebuilt += seen
        for _, texts, offset, length in run.found if run is not None else ():
            assert offset is not None
            assert length is not None
            assert content[offset:][:length].decode() == f"<Ntry><A>{texts[0]}</A></Ntry>"
            rebuilt += content[len(rebuilt) : offset] + content[offset:][:length]
    assert rebuilt + runs.rest() == content


def test_a_file_of_ever_new_shapes_teaches_only_so_many() -> None:
    shapes = ElementShapes("Ntry", shaped())
    known = [shapes.match(f"<Ntry><A{number}>1</A{number}></Ntry>", 0) for number in range(100)]
    assert sum(one is not None for one in known) == 64
    assert shapes.match("<Ntry><A5>2</A5></Ntry>", 0) is not None


def test_texts_are_those_that_a_parser_gives() -> None:
    shapes = ElementShapes("c:Ntry", shaped())
    content = (
        '<c:Ntry>\n<c:Amt Ccy="EUR"> 1.00</c:Amt><c:B></c:B><c:C/>'
        "<c:D>a &amp;lt; b &lt;&quot;&apos;&gt;</c:D></c:Ntry>"
    )
    matched = shapes.match(f".{content}.", 1)
    assert matched is not None
    shape, texts, end = matched
    assert (shape.names, shape.groups, end) == (
        ["Amt", "B", "C", "D"],
        [(0, True), (0, False), (1, False), (3, False)],
        len(content) + 1,
    )
    assert texts == ("EUR", "1.00", None, "a &lt; b <\"'>")
