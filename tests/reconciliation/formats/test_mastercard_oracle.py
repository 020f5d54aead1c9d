"""The decoder against cardutil, an open library that we did not write."""

from collections.abc import Iterator
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from cardutil import iso8583, mciipm
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciliation.errors import RefusedFile
from reconciliation.formats.card_numbers import truncated
from reconciliation.formats.mastercard_parts.framing import open_frames
from reconciliation.formats.mastercard_parts.messages import ASCII, Message, decoded_messages, private_fields
from tests.reconciliation.formats.mastercard_builder import (
    CARDS,
    EUR,
    OPTIONS,
    TOKENS,
    USD,
    encoded,
    fee,
    file_of,
    logical_file,
    parsed,
    sale,
)

_NUMERIC = {4: 12, 5: 12, 6: 12, 9: 8, 10: 8, 26: 4, 71: 8}  # cardutil turns these into integers


def ours(data: bytes) -> list[Message]:
    frames = open_frames(BytesIO(data), bytes_max=OPTIONS.bytes_max)
    return list(decoded_messages(frames.messages, card_tokens=TOKENS))


def theirs(data: bytes, codec: str, *, blocked: bool) -> Iterator[dict[str, Any]]:
    yield from mciipm.IpmReader(BytesIO(data), encoding=codec, blocked=blocked)


def as_text(number: int, value: object, codec: str) -> str:
    """cardutil's typed value as the characters it stood for."""
    if isinstance(value, bytes):
        return value.decode(codec)
    if isinstance(value, datetime):
        return value.strftime("%y%m%d%H%M%S")
    return f"{value:0{_NUMERIC[number]}d}" if isinstance(value, int) else str(value)


def compare(data: bytes, codec: str, *, blocked: bool) -> int:
    """Every element and subelement equal; gives the number of messages."""
    expected = list(theirs(data, codec, blocked=blocked))
    found = ours(data)
    assert len(found) == len(expected)
    for message, other in zip(found, expected, strict=True):
        assert message.message_type == other["MTI"]
        elements = {
            int(key[2:]): value for key, value in other.items() if key[2:].isdigit() and key.startswith("DE")
        }
        assert message.elements.keys() == elements.keys()
        for number, value in elements.items():
            if number == 2:
                assert message.elements[2] == TOKENS.token(value)
                assert message.card_truncated == truncated(value)
            else:
                assert message.elements[number] == as_text(number, value, codec), f"DE {number}"
        tags = {key[3:]: value for key, value in other.items() if key.startswith("PDS")}
        assert private_fields(message, tags) == tags
    return len(found)


CORPUS = [
    ("ascii.15msg.1014", ASCII, True),
    ("ascii.15msg.vbs", ASCII, False),
    ("ebcdic.15msg.1014", "cp500", True),
    ("ebcdic.15msg.vbs", "cp500", False),
]


@pytest.mark.parametrize(("name", "codec", "blocked"), CORPUS)
def test_the_public_messages_decode_as_cardutil_decodes_them(
    corpora: Path, name: str, codec: str, blocked: bool
) -> None:
    (path,) = corpora.glob(f"card_mc_ipm/**/*{name}.ipm")
    assert compare(path.read_bytes(), codec, blocked=blocked) == 15


@pytest.mark.parametrize("name", [name for name, *_ in CORPUS])
def test_the_public_files_are_refused_because_they_have_no_header(corpora: Path, name: str) -> None:
    (path,) = corpora.glob(f"card_mc_ipm/**/*{name}.ipm")
    with pytest.raises(RefusedFile) as caught:
        parsed(path.read_bytes())
    assert (caught.value.code, caught.value.place) == ("structure", "record 1")
    assert caught.value.expected == "the file header 1644/697"
    assert caught.value.found == "message type 1144"


printable = st.text(alphabet=st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1)


@st.composite
def rich_sales(draw: st.DrawFn) -> tuple[str, dict[int, str]]:
    """A sale with any of the elements that clearing files carry."""
    optional = {
        "de5": st.just("000000000900"),
        "de6": st.just("000000000901"),
        "de9": st.just("61234567"),
        "de14": st.just("2912"),
        "de22": st.just("810090810000"),
        "de25": st.just("1400"),
        "de26": st.integers(1000, 9999).map(str),
        "de30": st.just("0" * 24),
        "de32": st.just("00000255555"),
        "de33": st.just("255555"),
        "de40": st.just("201"),
        "de41": st.just("TERM0001"),
        "de42": st.just("MERIDIAN0000001"),
        "de50": st.just(EUR),
        "de51": st.just(USD),
        "de54": st.just("0000978C000000000100"),
        "de62": st.just("0165001M0177002N "),
        "de72": printable.map(lambda text: text[:900]),
        "de73": st.just("261116"),
        "de93": st.just("00000000999"),
        "de95": st.just("0123456789"),
        "de100": st.just("00000255555"),
        "de123": st.just("01910012"),
        "de127": st.just("NETWORK"),
    }
    chosen = draw(st.fixed_dictionaries({}, optional=optional))
    return sale(
        draw(st.integers(0, 10**12 - 1)),
        card=draw(st.sampled_from(CARDS)),
        fields={"p0146": fee("29", 12)},
        **chosen,
    )


@settings(max_examples=60)
@given(st.lists(rich_sales(), min_size=1, max_size=12), st.sampled_from([ASCII, "cp500"]), st.booleans())
def test_generated_files_decode_as_cardutil_decodes_them(
    members: list[tuple[str, dict[int, str]]], codec: str, blocked: bool
) -> None:
    data = file_of(logical_file(*members), codec, blocked=blocked)
    assert compare(data, codec, blocked=blocked) == len(members) + 2


@pytest.mark.parametrize("codec", [ASCII, "cp500"])
@pytest.mark.parametrize("blocked", [False, True])
def test_a_file_that_cardutil_wrote_is_read_and_proved(codec: str, blocked: bool) -> None:
    stream = BytesIO()
    writer = mciipm.IpmWriter(stream, encoding=codec, blocked=blocked)
    for message_type, elements in logical_file(*(sale(number) for number in range(100, 130))):
        written: dict[str, Any] = {"MTI": message_type}
        for number, value in elements.items():
            if number == 12:
                written["DE12"] = datetime.strptime(value, "%y%m%d%H%M%S")  # noqa: DTZ007 - as cardutil wants it
            elif number == 48:
                at = 0
                while at < len(value):
                    end = at + 7 + int(value[at + 4 : at + 7])
                    written[f"PDS{value[at : at + 4]}"] = value[at + 7 : end]
                    at = end
            else:
                written[f"DE{number}"] = int(value) if number in _NUMERIC else value
        writer.write(written)
    writer.close()
    (statement,) = parsed(stream.getvalue()).statements
    assert statement.line_count == 31
    assert statement.proofs[2] == f"amounts sum to {sum(range(100, 130))}, as the trailer says (PDS 0301)"


def test_hexadecimal_bitmaps_decode_as_cardutil_decodes_them() -> None:
    record = encoded(logical_file(sale())[1], hexadecimal=True)
    (message,) = decoded_messages([(0, 4 + len(record), record)], card_tokens=TOKENS)
    other = iso8583.loads(record, encoding=ASCII, hex_bitmap=True)
    assert message.elements.keys() == {
        int(key[2:]) for key in other if key.startswith("DE") and key[2:].isdigit()
    }
    assert (message.elements[31], message.elements[48]) == (other["DE31"], other["DE48"])
