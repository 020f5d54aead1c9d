"""Mastercard IPM bytes without card numbers: by element where a message can be read, swept where it cannot.

Card number (DE 2) keeps its first six and last four digits; tracks and PIN blocks (DE 35, 36, 45, 52) are overwritten
whole, and so are card number and tracks in chip data (DE 55, tags 5A, 56, 57, 9F6B, binary: bytes FF). All other text,
subelements one by one, loses what reads as a card number. Lengths, bitmaps and blocks stay as they are.
"""

from collections.abc import Iterator
from typing import BinaryIO, Final

from reconciliation.formats.byte_sweep import (
    ASTERISK,
    EBCDIC_ASTERISK,
    masked_either_way,
    masked_field,
    swept_either_way,
    whole_reads,
)
from reconciliation.formats.mastercard_parts.elements import (
    ELEMENTS,
    PRIVATE_DATA_ELEMENTS,
    SENSITIVE_ELEMENTS,
    Form,
)
from reconciliation.formats.mastercard_parts.framing import (
    BLOCK,
    BLOCK_PAYLOAD,
    MESSAGE_LENGTH_MAX,
    MESSAGE_LENGTH_MIN,
    looks_blocked,
)
from reconciliation.formats.mastercard_parts.messages import ASCII, EBCDIC, encoding_of

_CHUNK: Final = BLOCK * 256
_CHIP_TAGS: Final = frozenset({0x5A, 0x56, 0x57, 0x99, 0x9F1F, 0x9F20, 0x9F6B})
_SHORTEST_CARD: Final = 13


def redacted_messages(stream: BinaryIO) -> Iterator[bytes]:
    """The bytes of an IPM file in parts; see ``redaction.redacted``."""
    chunks = whole_reads(stream, _CHUNK)
    head = next(chunks, b"")
    if not looks_blocked(head, whole=len(head) < _CHUNK):
        yield from _redacted_frames(_after(head, chunks))
        return
    pads: list[bytes] = []
    payload = b""
    for part in _redacted_frames(_payloads(_after(head, chunks), pads)):
        payload += part
        whole = len(payload) // BLOCK_PAYLOAD
        yield b"".join(
            payload[at * BLOCK_PAYLOAD : (at + 1) * BLOCK_PAYLOAD] + pads[at] for at in range(whole)
        )
        del pads[:whole]
        payload = payload[whole * BLOCK_PAYLOAD :]
    yield payload + b"".join(pads)


def _after(head: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield head
    yield from chunks


def _payloads(chunks: Iterator[bytes], pads: list[bytes]) -> Iterator[bytes]:
    """What blocks carry; their pad bytes, whatever they are, go to ``pads``."""
    for chunk in chunks:
        blocks = [chunk[at : at + BLOCK] for at in range(0, len(chunk), BLOCK)]
        pads += [block[BLOCK_PAYLOAD:] for block in blocks]
        yield b"".join(block[:BLOCK_PAYLOAD] for block in blocks)


def _redacted_frames(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Length-prefixed messages, each redacted; from the first length that is none, everything is swept."""
    buffer = b""
    for chunk in chunks:
        buffer += chunk
        parts: list[bytes] = []
        at = 0
        while at + 4 <= len(buffer):
            length = int.from_bytes(buffer[at : at + 4])
            if not MESSAGE_LENGTH_MIN <= length <= MESSAGE_LENGTH_MAX:
                yield b"".join(parts)
                yield from swept_either_way(buffer[at:], chunks)
                return
            end = at + 4 + length
            if end > len(buffer):
                break
            parts.append(buffer[at : at + 4] + redacted_message(buffer[at + 4 : end]))
            at = end
        buffer = buffer[at:]
        yield b"".join(parts)
    yield buffer[:4] + redacted_message(buffer[4:])


def redacted_message(message: bytes) -> bytes:
    """One message, element by element as far as its bitmap and lengths can be followed; what is left is swept."""
    codec = encoding_of(message, EBCDIC[0])
    if codec is None or len(message) < MESSAGE_LENGTH_MIN:
        return masked_either_way(message)
    asterisk = ASTERISK if codec == ASCII else EBCDIC_ASTERISK
    places, rest = _places(message, codec)
    found = bytearray(message)
    for element, start, end in places:
        if element == 2:
            if end - start > 10:
                found[start + 6 : end - 4] = asterisk * (end - start - 10)
        elif element in SENSITIVE_ELEMENTS:
            found[start:end] = asterisk * (end - start)
        elif element == 55:
            found[start:end] = _redacted_chip(message[start:end])
        elif element in PRIVATE_DATA_ELEMENTS:
            found[start:end] = _redacted_fields(message[start:end], codec)
        elif end - start >= _SHORTEST_CARD:
            found[start:end] = masked_field(message[start:end], codec)
    found[rest:] = masked_either_way(message[rest:])
    return bytes(found)


def _places(message: bytes, codec: str) -> tuple[list[tuple[int, int, int]], int]:
    """Element, first byte and end of each value, and where the message cannot be followed any further."""
    text = message.decode(codec)
    try:
        bits, at = int(text[4:36], 16), 36  # bitmap as hexadecimal digits
    except ValueError:
        bits, at = int.from_bytes(message[4:20]), 20
    places: list[tuple[int, int, int]] = []
    for element in range(2, 129):
        if not bits >> (128 - element) & 1:
            continue
        if element not in ELEMENTS:
            break
        form, length = ELEMENTS[element]
        start = at + form.value
        if form is not Form.FIXED:
            digits = text[at:start]
            if not (digits.isascii() and digits.isdecimal()):
                break
            length = int(digits)
        if start + length > len(message):
            break
        places.append((element, start, start + length))
        at = start + length
    return places, at


def _redacted_fields(data: bytes, codec: str) -> bytes:
    """Private data subelements, each value by itself; swept whole where they cannot be told apart."""
    text = data.decode(codec)
    parts: list[bytes] = []
    at = 0
    while at < len(text):
        length = text[at + 4 : at + 7]
        if not (length.isascii() and length.isdecimal() and len(length) == 3):
            return masked_field(data, codec)
        start, end = at + 7, at + 7 + int(length)
        parts += [data[at:start], masked_field(data[start:end], codec)]
        at = end
    return b"".join(parts) if at == len(text) else masked_field(data, codec)


def _redacted_chip(data: bytes) -> bytes:
    """BER-TLV chip data whose card number and tracks are overwritten; from what cannot be followed on, all of it."""
    found = bytearray(data)
    at = 0
    while at < len(data):
        tag, at = data[at], at + 1
        if tag & 0x1F == 0x1F and at < len(data):
            tag, at = tag << 8 | data[at], at + 1
        if at >= len(data) or data[at] > 0x7F or at + 1 + data[at] > len(data):
            found[at:] = b"\xff" * (len(data) - at)
            break
        start, end = at + 1, at + 1 + data[at]
        if tag in _CHIP_TAGS:
            found[start:end] = b"\xff" * (end - start)
        at = end
    return bytes(found)
