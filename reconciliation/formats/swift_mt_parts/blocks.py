"""Cuts a file of SWIFT MT messages into its fields (``:61:...``), whatever ends its lines and whatever is around them.

Line ends may be CRLF, LF, a bare CR or FinTS's ``@@``; all become line feeds of the same length, so that byte offsets
hold. Text is Latin-1 here, one character for each byte; ``decoded_field`` says what a field means. Law: a NUL byte and
a field beyond the limit refuse the file. Memory holds one chunk.

The last two fields are kept back while more of the file is to come: what a ``:20:`` is, is seen by what follows it.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from reconciliation.formats.text_lines import decoded
from reconciliation.formats.values import refused

_CHUNK_BYTES: Final = 1 << 18
_KEPT_BACK: Final = 2
_PREAMBLE_MAX: Final = 4096
_DAMAGED: Final = "The file is damaged, incomplete or another one; fetch it again from the sender."
_FIRST_FIELD: Final = re.compile(rb"(?:\A|\n|\}):20:")
_ANY_FIELD: Final = re.compile(rb"(?:\A|\n):(?:20|25P?|28C?|60[FM]|61|62[FM]|86|34F|90[CD]):")


@dataclass(frozen=True, slots=True)
class Block:
    """Some fields in a row. ``offset`` is the byte of the first field's first character behind its colon."""

    offset: int
    fields: list[str]
    is_last: bool


def normalised(head: bytes) -> bytes:
    """The same bytes with every line end as line feeds, byte for byte in place."""
    return _plain(head.removeprefix(codecs.BOM_UTF8), _is_at_joined(head))


def first_field(plain: bytes) -> int | None:
    """Where the colon of the first ``:20:`` stands in normalised bytes; None if there is none near the start."""
    matched = _FIRST_FIELD.search(plain[: _PREAMBLE_MAX + 8])
    return None if matched is None else matched.end() - 4


def blocks(stream: BinaryIO, *, bytes_max: int, field_length_max: int) -> tuple[str, Iterator[Block]]:
    """What stands before the first field, and the fields.

    Codes ``not_this_format``, ``structure`` (a part of a message), ``unsafe``, ``limit``.
    """
    head = stream.read(_CHUNK_BYTES)
    skipped = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
    at_joined = _is_at_joined(head)
    plain = _plain(_whole_ends(head, stream, at_joined)[skipped:], at_joined)
    start = first_field(plain)
    if start is None:
        raise _no_message(plain)
    if b"\0" in plain[:start]:
        raise refused("unsafe", "before the first message", "text", "a NUL byte", _DAMAGED)
    rest = _Rest(stream, at_joined, bytes_max, field_length_max)
    return plain[:start].decode("latin-1"), rest.blocks(skipped + start + 1, plain[start + 1 :])


def decoded_field(field: str, place: str, encoding: str | None = None) -> str:
    """The text of a field: in the encoding that the source names; else UTF-8, else Windows-1252. Code ``structure``."""
    if encoding is None:
        return decoded(field.encode("latin-1"), place)
    try:
        return field.encode("latin-1").decode(encoding)
    except UnicodeDecodeError as error:
        found = f"byte 0x{error.object[error.start]:02x} at {error.start + 1}"
        raise refused("structure", place, encoding, found, _DAMAGED) from None


class _Rest:
    """Fields of everything from the first ``:20:`` on."""

    def __init__(self, stream: BinaryIO, at_joined: bool, bytes_max: int, field_length_max: int) -> None:
        self._stream = stream
        self._at_joined = at_joined
        self._bytes_max = bytes_max
        self._field_length_max = field_length_max

    def blocks(self, offset: int, plain: bytes) -> Iterator[Block]:
        read, pending = offset, ""
        while plain:
            read += len(plain)
            if read > self._bytes_max:
                raise refused(
                    "limit",
                    f"byte {self._bytes_max + 1}",
                    f"at most {self._bytes_max} bytes",
                    "more",
                    _DAMAGED,
                )
            if b"\0" in plain:
                place = f"byte {read - len(plain) + plain.index(0) + 1}"
                raise refused("unsafe", place, "text", "a NUL byte", _DAMAGED)
            fields = (pending + plain.decode("latin-1")).split("\n:")
            kept = fields[-_KEPT_BACK:]
            del fields[-_KEPT_BACK:]
            self._check_lengths(offset, fields)
            if fields:
                yield Block(offset, fields, is_last=False)
                offset += sum(map(len, fields)) + 2 * len(fields)
            self._check_lengths(offset, kept)
            pending = "\n:".join(kept)
            plain = self._more()
        yield Block(offset, pending.split("\n:"), is_last=True)

    def _more(self) -> bytes:
        chunk = self._stream.read(_CHUNK_BYTES)
        if not chunk:
            return b""
        return _plain(_whole_ends(chunk, self._stream, self._at_joined), self._at_joined)

    def _check_lengths(self, offset: int, fields: list[str]) -> None:
        limit = self._field_length_max
        if fields and max(map(len, fields)) > limit:
            for field in fields:
                if len(field) > limit:
                    place = f"byte {offset}, :{field[:4].partition(':')[0]}:"
                    raise refused("limit", place, f"at most {limit} characters a field", "more", _DAMAGED)
                offset += len(field) + 2


def _is_at_joined(head: bytes) -> bool:
    """Whether the lines are joined by ``@@``, as some FinTS programs keep them."""
    return b"@@:" in head[:_PREAMBLE_MAX] and b"\n:" not in head and b"\r:" not in head


def _whole_ends(chunk: bytes, stream: BinaryIO, at_joined: bool) -> bytes:
    """The chunk and as much more that no ``@@`` is parted."""
    while at_joined and chunk.endswith(b"@") and (more := stream.read(1)):
        chunk += more
    return chunk


def _plain(chunk: bytes, at_joined: bool) -> bytes:
    if b"\r" in chunk:
        chunk = chunk.replace(b"\r", b"\n")
    if b"\x1a" in chunk:  # ends a DOS file, also between files that were put together
        chunk = chunk.replace(b"\x1a", b"\n")
    return chunk.replace(b"@@", b"\n\n") if at_joined else chunk


def _no_message(plain: bytes) -> Exception:
    if not plain.strip():
        return refused("not_this_format", "byte 1", "a SWIFT MT statement", "an empty file", _DAMAGED)
    matched = _ANY_FIELD.search(plain[:_PREAMBLE_MAX])
    if matched is not None:
        found = matched.group().decode("latin-1").strip()
        remedy = "The file is a part of a statement; ask the sender for the whole."
        return refused("structure", "the first field", ":20:, which begins a message", found, remedy)
    return refused(
        "not_this_format",
        "byte 1",
        "a SWIFT MT statement: a line that begins with :20:",
        "none in the first 4096 bytes",
        "Check which file this is.",
    )
