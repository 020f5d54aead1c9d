"""How IPM messages lie in a file: length-prefixed messages, bare ("VBS") or cut into 1014-byte blocks.

    VBS    00 00 00 F1 | message of 241 bytes | 00 00 00 9C | message of 156 bytes | ... | 00 00 00 00
    1014   the same bytes cut into blocks of 1012, each followed by 40 40; the last block filled up with 40

Law: a file is whole or refused. The zero length that ends the messages is demanded, every block is whole and ends in
its two pad bytes, and nothing follows the end but, in blocks, fill (40 or 00). Lengths are four bytes, big-endian, and
do not count themselves. Knows nothing of what a message says, except that it begins with four digits.

Sources: behaviour of the open library cardutil (MIT) and its test files; a member's own manual was not at hand.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from reconciliation.errors import RefusedFile
from reconciliation.formats.card_numbers import masked_text

MESSAGE_LENGTH_MAX: Final = 6_000
MESSAGE_LENGTH_MIN: Final = 20  # message type and both bitmaps
BLOCK: Final = 1_014
BLOCK_PAYLOAD: Final = 1_012

ASK_AGAIN: Final = "Ask the sender for the file again; nothing of it was loaded."

_PAD: Final = b"\x40\x40"
_FILL: Final = b"\x40\x00"
_LENGTH: Final = struct.Struct(">I")
_CHUNK: Final = BLOCK * 256
_ASCII_DIGITS: Final = frozenset(b"0123456789")
_EBCDIC_DIGITS: Final = frozenset(range(0xF0, 0xFA))


Frame = tuple[int, int, bytes]
"""Where a message begins in the file with its length prefix, how many bytes it takes there, and the message itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """The messages of one file in order, read as they are asked for; ``blocked`` tells the framing that was found.

    In a blocked file a frame that crosses blocks takes their pad bytes with it.
    """

    blocked: bool
    messages: Iterator[Frame]


def refused(*, code: str, place: str, expected: str, found: str, remedy: str = ASK_AGAIN) -> RefusedFile:
    """A refusal whose texts hold no full card number, whatever the file put where a figure should be."""
    return RefusedFile(
        code=code,
        place=masked_text(place),
        expected=masked_text(expected),
        found=masked_text(found),
        remedy=remedy,
    )


def open_frames(stream: BinaryIO, *, bytes_max: int) -> Frames:
    """Find out the framing from the first bytes and give the messages, each at most 6,000 bytes long.

    Iterating raises RefusedFile with codes truncated, structure, limit or not_this_format.
    """
    head = _read_fully(stream, _CHUNK)
    if not head:
        raise refused(
            code="truncated", place="file", expected="length-prefixed messages", found="an empty file"
        )
    blocked = looks_blocked(head, whole=len(head) < _CHUNK)
    chunks = _limited(head, stream, bytes_max)
    return Frames(
        blocked=blocked,
        messages=_in_blocks(_messages(_unblocked(chunks), _FILL)) if blocked else _messages(chunks, b""),
    )


def looks_blocked(head: bytes, *, whole: bool) -> bool:
    """Whether the first bytes are cut into blocks. Pad bytes alone do not tell: 40 is also EBCDIC's space.

    Where both readings are possible the one wins in which the chain of lengths holds longer.
    """
    if head[BLOCK_PAYLOAD:BLOCK] != _PAD:
        return False
    payload = b"".join(head[at : at + BLOCK_PAYLOAD] for at in range(0, len(head), BLOCK))
    return _chain_length(payload, whole) * BLOCK // BLOCK_PAYLOAD >= _chain_length(head, whole)


def starts_like_messages(head: bytes) -> bool:
    """Whether the first bytes are a message length and a message type of digits, as in every IPM file."""
    if len(head) < _LENGTH.size + MESSAGE_LENGTH_MIN:
        return False
    (length,) = _LENGTH.unpack_from(head)
    return MESSAGE_LENGTH_MIN <= length <= MESSAGE_LENGTH_MAX and _begins_with_digits(head[4:8])


def _begins_with_digits(message: bytes) -> bool:
    first_four = set(message[:4])
    return first_four <= _ASCII_DIGITS or first_four <= _EBCDIC_DIGITS


def _chain_length(data: bytes, whole: bool) -> int:
    """How far the chain of lengths holds, in bytes; a proper end counts to the end of the data."""
    at = 0
    while at + _LENGTH.size <= len(data):
        (length,) = _LENGTH.unpack_from(data, at)
        if length == 0:
            return len(data)
        start = at + _LENGTH.size
        if not MESSAGE_LENGTH_MIN <= length <= MESSAGE_LENGTH_MAX or not _begins_with_digits(
            data[start : start + 4]
        ):
            return at
        if start + length > len(data):
            return at if whole else len(data)
        at = start + length
    return at if whole else len(data)


def _read_fully(stream: BinaryIO, size: int) -> bytes:
    """As many bytes as asked for unless the stream ends; raw streams may give less at a time."""
    parts: list[bytes] = []
    while size > 0 and (part := stream.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _limited(head: bytes, stream: BinaryIO, bytes_max: int) -> Iterator[bytes]:
    """Chunks of whole blocks while the file lasts, the last one as long as it is."""
    chunk, size = head, 0
    while chunk:
        size += len(chunk)
        if size > bytes_max:
            raise refused(
                code="limit",
                place="file",
                expected=f"at most {bytes_max:,} bytes",
                found="more than that",
                remedy="Raise the limit of the source, or ask the sender to split the file.",
            )
        yield chunk
        chunk = _read_fully(stream, _CHUNK)


def _unblocked(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The payload of 1014-byte blocks."""
    blocks_before = 0
    for chunk in chunks:
        whole, rest = divmod(len(chunk), BLOCK)
        payload: list[bytes] = []
        for at in range(0, whole * BLOCK, BLOCK):
            if chunk[at + BLOCK_PAYLOAD : at + BLOCK] != _PAD:
                raise refused(
                    code="structure",
                    place=f"block {blocks_before + at // BLOCK + 1} of {BLOCK} bytes",
                    expected="pad bytes 40 40 at its end",
                    found=chunk[at + BLOCK_PAYLOAD : at + BLOCK].hex(" "),
                )
            payload.append(chunk[at : at + BLOCK_PAYLOAD])
        if rest:
            raise refused(
                code="truncated",
                place=f"block {blocks_before + whole + 1}",
                expected=f"{BLOCK} bytes",
                found=f"{rest}, then the end of the file",
            )
        blocks_before += whole
        yield b"".join(payload)


def _in_blocks(frames: Iterator[Frame]) -> Iterator[Frame]:
    """The same frames with their places in the blocked file."""
    for start, length, message in frames:
        last = start + length - 1
        begin = start + len(_PAD) * (start // BLOCK_PAYLOAD)
        yield begin, last + len(_PAD) * (last // BLOCK_PAYLOAD) + 1 - begin, message


def _messages(chunks: Iterator[bytes], fill: bytes) -> Iterator[Frame]:
    """Messages in order; demands the zero length, and only bytes of ``fill`` after it."""
    record_no, buffer, at = 1, b"", 0
    before = 0  # bytes that went before the buffer
    for chunk in chunks:
        before += at
        buffer, at = buffer[at:] + chunk, 0
        while at + _LENGTH.size <= len(buffer):
            (length,) = _LENGTH.unpack_from(buffer, at)
            if length == 0:
                _demand_fill(buffer[at + _LENGTH.size :], chunks, fill, record_no)
                return
            if not MESSAGE_LENGTH_MIN <= length <= MESSAGE_LENGTH_MAX:
                raise _wrong_length(length, record_no)
            end = at + _LENGTH.size + length
            if end > len(buffer):
                break
            yield before + at, end - at, buffer[at + _LENGTH.size : end]
            at, record_no = end, record_no + 1
    rest = len(buffer) - at
    raise refused(
        code="truncated",
        place=f"record {record_no}",
        expected="a whole message, or the zero length that ends the file",
        found=f"{rest} bytes, then the end of the file" if rest else "the end of the file",
    )


def _wrong_length(length: int, record_no: int) -> RefusedFile:
    return refused(
        code="not_this_format" if record_no == 1 else "structure",
        place=f"record {record_no}, length prefix",
        expected=f"{MESSAGE_LENGTH_MIN} to {MESSAGE_LENGTH_MAX}",
        found=f"{length:,}",
        remedy="Check that this is a Mastercard IPM file, transferred in binary mode. " + ASK_AGAIN,
    )


def _demand_fill(rest: bytes, chunks: Iterator[bytes], fill: bytes, record_no: int) -> None:
    """Refuse anything but fill after the zero length; reads on to the end of the file."""
    data = rest.strip(fill) if fill else rest
    if data:
        raise refused(
            code="structure",
            place=f"after the end marker that follows record {record_no - 1}",
            expected="nothing but fill (40 or 00)" if fill else "the end of the file",
            found=f"more data ({len(data)} bytes and maybe others)",
        )
    for chunk in chunks:
        _demand_fill(chunk, iter(()), fill, record_no)
