"""Finds card numbers in bytes whose encoding is not known for certain, and overwrites their middle digits in place.

Digits are the same bytes in ASCII, UTF-8, Latin and Windows code pages; a blank or a dash between groups may be one
byte or several. EBCDIC has its own digits and is translated byte by byte.
"""

import re
from collections.abc import Iterator
from typing import BinaryIO, Final

import numpy as np

from reconciliation.formats.card_numbers import (
    CARD_LENGTH_MAX,
    hidden_spans,
    is_harmless,
    reads_as_card,
    verification_codes,
)

ASTERISK: Final = b"*"
EBCDIC_ASTERISK: Final = b"\x5c"
EBCDIC: Final = "cp037"
KEPT_BACK: Final = 512  # more than the longest track

# Blank, dash, and what else parts groups: no-break spaces and typographic dashes in UTF-8 and in Windows-1252.
_SEPARATORS: Final = r"[ \-\xa0\xad\x96\x97]|\xc2[\xa0\xad]|\xe2\x80[\x90-\x93\xaf]"
_LABELS: Final = (b"cvv", b"cvc", b"cvn", b"cav2", b"verification ")
_LONG_RUN: Final = re.compile("[0-9]{15,}")
_LENGTHS_OF_SCHEMES: Final = (15, 16, 19)
_DIGIT, _BETWEEN = 1, 2
_DIGITS_MIN: Final = 13
_BEFORE, _AFTER = (
    60,
    130,
)  # bytes beside a card number in which its verification code or the rest of its track stands


class Sweep:
    """Overwrites card numbers in bytes; ``line_breaks`` says whether a number may go on in the next line."""

    def __init__(self, *, line_breaks: bool) -> None:
        separators = _SEPARATORS + (r"|\r\n|\r|\n" if line_breaks else "")
        self._run = re.compile(f"[0-9](?:(?:{separators})?[0-9]){{12,}}")
        between = b" -\r\n" if line_breaks else b" -"
        self._classes = np.array(
            [
                _DIGIT if 48 <= byte <= 57 else _BETWEEN if byte >= 128 or byte in between else 0
                for byte in range(256)
            ],
            dtype=np.uint8,
        )

    def masked(self, data: bytes, *, until: int | None = None) -> bytes:
        """The bytes with what begins before ``until`` overwritten."""
        spans: list[tuple[int, int]] = []
        lowered = data.lower()  # five searches of plain bytes cost a tenth of one pattern that ignores case
        if any(label in lowered for label in _LABELS):
            spans += verification_codes(data.decode("latin-1"), beside_card=False)
        for start, end in self._suspects(data):
            single = data[start:end].strip(b" -") if end - start <= CARD_LENGTH_MAX + 2 else b""
            if single.isdigit() and not reads_as_card(single.decode("ascii")):
                continue
            hidden, _ = hidden_spans(data[start : end + _AFTER].decode("latin-1"), self._run)
            if hidden:
                spans += [(start + first, start + last) for first, last in hidden]
                before = data[max(start - _BEFORE, 0) : start].decode("latin-1")
                codes = verification_codes(before, beside_card=True)
                spans += [(start - len(before) + first, start - len(before) + last) for first, last in codes]
        if not spans:
            return data
        found = bytearray(data)
        for start, end in spans:
            if until is None or start < until:
                found[start:end] = ASTERISK * (end - start)
        return bytes(found)

    def _suspects(self, data: bytes) -> list[tuple[int, int]]:
        """Runs of digits and what may part them, with enough digits for a card number, and no single longer number."""
        classes = self._classes[np.frombuffer(data, dtype=np.uint8)]
        inside = np.concatenate(([False], classes != 0, [False]))
        edges = np.flatnonzero(inside[1:] != inside[:-1])
        starts, ends = edges[::2], edges[1::2]
        long = ends - starts >= _DIGITS_MIN
        starts, ends = starts[long], ends[long]
        if not len(starts):
            return []
        digits = np.concatenate(([0], np.cumsum(classes == _DIGIT)))
        counts = digits[ends] - digits[starts]
        reference = (counts == ends - starts) & (counts > CARD_LENGTH_MAX)
        suspect = (counts >= _DIGITS_MIN) & ~reference
        return list(zip(starts[suspect].tolist(), ends[suspect].tolist(), strict=True))


PLAIN: Final = Sweep(line_breaks=False)
LINE_BREAKS: Final = Sweep(line_breaks=True)


def masked_field(data: bytes, codec: str) -> bytes:
    """One field in a code page of single bytes, with its card numbers overwritten."""
    text = data.decode(codec)
    spans = () if is_harmless(text) else hidden_spans(text)[0]
    if not spans:
        return data
    found = bytearray(data)
    asterisk = ASTERISK if codec in ("ascii", "latin-1") else EBCDIC_ASTERISK
    for start, end in spans:
        found[start:end] = asterisk * (end - start)
    return bytes(found)


def masked_either_way(data: bytes) -> bytes:
    """Bytes that could not be read as their format: swept as ASCII, then as EBCDIC, numbers inside longer ones too.

    Fields touch there, so that a card number may have other digits before and behind it.
    """
    swept = masked_field(PLAIN.masked(data), EBCDIC)
    found = bytearray(swept)
    for codec, asterisk in (("latin-1", ASTERISK), (EBCDIC, EBCDIC_ASTERISK)):
        text = swept.decode(codec)
        for run in _LONG_RUN.finditer(text):
            for length in _LENGTHS_OF_SCHEMES:
                for start in range(run.start(), run.end() - length + 1):
                    if reads_as_card(text[start : start + length]):
                        found[start + 6 : start + length - 4] = asterisk * (length - 10)
    return bytes(found)


def swept_either_way(rest: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same for bytes that come in parts, with enough kept back that no number goes across unseen."""
    for chunk in chunks:
        data = masked_either_way(rest + chunk)
        kept = max(len(data) - KEPT_BACK, 0)
        yield data[:kept]
        rest = data[kept:]
    yield masked_either_way(rest)


def whole_reads(stream: BinaryIO, size: int) -> Iterator[bytes]:
    """Chunks of one size, the last one as long as it is; raw streams may give less at a time."""
    while True:
        parts: list[bytes] = []
        missing = size
        while missing > 0 and (part := stream.read(missing)):
            parts.append(part)
            missing -= len(part)
        if parts:
            yield b"".join(parts)
        if missing:
            return
