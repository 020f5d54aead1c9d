"""A delivered file as it may be kept: the same bytes at the same places, but for the middle digits of card numbers.

Law: nothing moves. Every byte that is not a digit to hide is given as it came, in its place, so that a line's byte
offset finds its record in what is kept; a hidden digit becomes an asterisk in the file's own encoding. What sensitive
authentication data a file may hold (tracks, verification codes, PIN blocks) is overwritten whole. Bytes that cannot be
read as their format are swept like text. Content in which digits cannot be overwritten, because it is compressed, is
refused (``RefusedFile``, code ``unsafe``): then it must not be kept.

Files of card schemes are redacted by fields (``mastercard_parts.redaction``, ``visa_parts.redaction``); in all other
formats every run of 13 to 19 digits that reads as a card number is hidden, groups with one blank or dash between them
too.

>>> import io
>>> b"".join(redacted(io.BytesIO(b"paid,5555 5555 5555 4444,12.00"), "mapped.csv"))
b'paid,5555 55** **** 4444,12.00'
"""

import codecs
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import BinaryIO, Final

from reconciliation.errors import RefusedFile
from reconciliation.formats import mastercard_ipm, visa_base2
from reconciliation.formats.byte_sweep import KEPT_BACK, LINE_BREAKS, PLAIN, Sweep, whole_reads
from reconciliation.formats.mastercard_parts.redaction import redacted_messages
from reconciliation.formats.visa_parts.redaction import redacted_records

CHUNK_BYTES: Final = 1 << 18

_COMPRESSED: Final = frozenset({"mapped.parquet", "mapped.xlsx"})
_BROKEN_LINES: Final = ("mt9",)  # a text goes on in the next line wherever the first is full
_SEARCHED: Final = 1 << 16
_IN_RUNS: Final = frozenset(b"0123456789 -\r\n") | frozenset(range(0x80, 0x100))
_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def redacted(
    stream: BinaryIO, format_name: str, tables: Mapping[str, str] = MappingProxyType({})
) -> Iterator[bytes]:
    """The bytes of a file, in parts, with every card number's middle digits overwritten. Memory holds one chunk.

    ``tables`` are the source's own tables: where a member has corrected positions, card numbers are looked for there.

    Raises:
        RefusedFile: the format is compressed, so that nothing can be overwritten in it (code ``unsafe``).
    """
    if format_name in _COMPRESSED:
        raise RefusedFile(
            code="unsafe",
            place="file",
            expected="content in which card numbers can be overwritten",
            found=f"{format_name}, which is compressed",
            remedy="Its bytes are not kept; keep the file itself where card data may be kept.",
        )
    if format_name == mastercard_ipm.NAME:
        return redacted_messages(stream)
    if format_name == visa_base2.NAME:
        return redacted_records(stream, tables.get("positions"))
    return _swept(stream, LINE_BREAKS if format_name.startswith(_BROKEN_LINES) else PLAIN)


def _swept(stream: BinaryIO, sweep: Sweep) -> Iterator[bytes]:
    """Text chunk by chunk, cut where no card number is cut."""
    chunks = whole_reads(stream, CHUNK_BYTES)
    rest = next(chunks, b"")
    if rest.startswith(_UTF_16):
        # Of each pair of bytes one is the digit: which one, the byte order mark tells. A mark may lie: what was read as
        # pairs is read as single bytes too.
        chunks = _swept_pairs(rest, chunks, sweep, first=int(rest.startswith(codecs.BOM_UTF16_BE)))
        rest = next(chunks, b"")
    for chunk in chunks:
        data = rest + chunk
        cut = _cut(data)
        masked = sweep.masked(data, until=cut)
        yield masked[:cut]
        rest = masked[cut:]
    yield sweep.masked(rest)


def _swept_pairs(rest: bytes, chunks: Iterator[bytes], sweep: Sweep, *, first: int) -> Iterator[bytes]:
    def masked(data: bytes, until: int | None) -> bytes:
        pairs = bytearray(data)
        pairs[first::2] = sweep.masked(data[first::2], until=until)
        return bytes(pairs)

    for chunk in chunks:
        data = rest + chunk
        cut = _cut(data[first::2])
        swept = masked(data, cut)
        yield swept[: 2 * cut]
        rest = swept[2 * cut :]
    yield masked(rest, None)


def _cut(data: bytes) -> int:
    """Where to cut so that no run of digits goes across: behind another byte, if there is one."""
    limit = max(len(data) - KEPT_BACK, 0)
    for place in range(limit, max(limit - _SEARCHED, 0), -1):
        if data[place - 1] not in _IN_RUNS:
            return place
    return limit if limit > _SEARCHED else 0
