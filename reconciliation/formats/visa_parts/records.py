"""How BASE II records lie in a file: 168 characters each (CTF) or 170 (ITF), ASCII or EBCDIC, line ends or none.

Law: all records are of one length and end alike, and nothing is trimmed: a blank at a record's end is a part of it. In
an ITF record two characters of the centre stand after the transaction code; they are taken out, so that positions are
the same in both. Which of all this it is, the first records tell.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from reconciliation.errors import RefusedFile
from reconciliation.formats.card_numbers import masked_text
from reconciliation.formats.visa_parts.positions import RECORD_LENGTH

ITF_LENGTH: Final = 170
ASCII: Final = "latin-1"
EBCDIC: Final = ("cp500", "cp037")
ASK_AGAIN: Final = "Ask the sender for the file again; nothing of it was loaded."

_ENDS: Final = {
    ASCII: (b"", b"\n", b"\r\n", b"\r"),
    EBCDIC[0]: (b"", b"\x15", b"\x25", b"\x0d\x25", b"\x0d\x15", b"\x0d", b"\n", b"\r\n"),
}
_CONTROLS: Final = {ASCII: (b"\n", b"\r"), EBCDIC[0]: (b"\x15", b"\x25", b"\x0d")}
_RECORDS_LOOKED_AT: Final = 4
_RECORDS_PER_CHUNK: Final = 2_048
_HEADER: Final = "90"


@dataclass(frozen=True, slots=True, kw_only=True)
class Framing:
    """Length of a record without its end, the end, and the code page family."""

    length: int
    end: bytes
    codec: str

    @property
    def stride(self) -> int:
        """Bytes from one record to the next."""
        return self.length + len(self.end)

    @property
    def name(self) -> str:
        """``ctf`` or ``itf``."""
        return "itf" if self.length == ITF_LENGTH else "ctf"


def refused(code: str, place: str, expected: str, found: str, remedy: str = ASK_AGAIN) -> RefusedFile:
    """A refusal whose texts hold no full card number, whatever the file put where a figure should be."""
    return RefusedFile(
        code=code,
        place=masked_text(place),
        expected=masked_text(expected),
        found=masked_text(found),
        remedy=remedy,
    )


def framing_of(head: bytes) -> Framing | None:
    """How the records of a file lie that begins so; None if it does not begin like BASE II."""
    codec = next((codec for codec in (ASCII, EBCDIC[0]) if head[:2] == _HEADER.encode(codec)), None)
    if codec is None:
        return None
    for length in (RECORD_LENGTH, ITF_LENGTH):
        for end in _ENDS[codec]:
            framing = Framing(length=length, end=end, codec=codec)
            if _fits(head, framing):
                return framing
    return None


def _fits(head: bytes, framing: Framing) -> bool:
    """Whether the first records begin with a transaction code and a component number, and end alike."""
    if not framing.end and any(end in head for end in _CONTROLS[framing.codec]):
        return False
    seen = 0
    component = 3 + framing.length - RECORD_LENGTH
    for number in range(1, _RECORDS_LOOKED_AT):
        at = number * framing.stride
        if at + component >= len(head):
            break
        begin = head[at : at + component + 1].decode(framing.codec)
        if not head.startswith(framing.end, at - len(framing.end)):
            return False
        if not (begin[:2].isdecimal() and (begin[-1].isalnum() or begin[-1] == " ")):
            return False
        seen += 1
    return seen > 0


def _begins_with_header(head: bytes) -> bool:
    return any(head[:2] == _HEADER.encode(codec) for codec in _ENDS)


def records_of(stream: BinaryIO, *, bytes_max: int, ebcdic: str) -> tuple[Framing, Iterator[str]]:
    """The framing that was found, and the records in order as 168 characters each.

    Codes: ``not_this_format``, ``truncated``, ``structure``, ``limit``.
    """
    head = _read_fully(stream, ITF_LENGTH * _RECORDS_PER_CHUNK)
    framing = framing_of(head)
    if framing is None:
        short = not head or (len(head) < 2 * RECORD_LENGTH and _begins_with_header(head))
        raise refused(
            "truncated" if short else "not_this_format",
            "record 2" if short else "record 1",
            "a BASE II file: a header TC 90, then records of 168 or 170 characters, alike ended",
            "the end of the file" if short else "something else",
            "Check that this is a Visa clearing file, transferred in binary mode, not trimmed or padded.",
        )
    return framing, _records(head, stream, framing, bytes_max=bytes_max, ebcdic=ebcdic)


def _records(
    head: bytes, stream: BinaryIO, framing: Framing, *, bytes_max: int, ebcdic: str
) -> Iterator[str]:
    codec = ebcdic if framing.codec != ASCII else ASCII
    length, stride, end = framing.length, framing.stride, framing.end.decode(codec)
    is_itf = length == ITF_LENGTH
    read, record_no, rest = 0, 0, b""
    chunk = head
    while chunk:
        read += len(chunk)
        if read > bytes_max:
            raise refused("limit", f"byte {bytes_max + 1}", f"at most {bytes_max} bytes", "more")
        data = rest + chunk
        whole = len(data) // stride * stride
        text, rest = data[:whole].decode(codec), data[whole:]
        for at in range(0, whole, stride):
            record_no += 1
            if end and text[at + length : at + stride] != end:
                raise _wrong_length(record_no, length)
            yield text[at : at + 2] + text[at + 4 : at + length] if is_itf else text[at : at + length]
        chunk = _read_fully(stream, stride * _RECORDS_PER_CHUNK)
    if len(rest) == length:  # the last record need not be ended
        text = rest.decode(codec)
        yield text[:2] + text[4:] if is_itf else text
    elif rest.strip(b"\r\n\x15\x25\x1a"):
        raise refused(
            "truncated", f"record {record_no + 1}", f"{length} characters", f"{len(rest)} bytes, then the end"
        )


def _wrong_length(record_no: int, length: int) -> RefusedFile:
    return refused(
        "structure",
        f"record {record_no}",
        f"{length} characters, ended like the first record",
        "a record of another length or with another end",
        "Check that the file was transferred in binary mode and that blanks at line ends were kept.",
    )


def _read_fully(stream: BinaryIO, size: int) -> bytes:
    """As many bytes as asked for unless the stream ends; raw streams may give less at a time."""
    parts: list[bytes] = []
    while size > 0 and (part := stream.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
