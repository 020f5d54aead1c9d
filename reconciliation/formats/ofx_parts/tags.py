"""Tags of an OFX file as they stream by, SGML (1.x, elements without end tags) and XML (2.x) alike, and its texts.

Law: no byte is dropped, and nothing is expanded. A declaration (DOCTYPE, ENTITY) refuses the file, and so do a NUL that
is not at the very end, a text beyond the limit and a character reference that names no character. Text is UTF-8
wherever it can be, as a header is often wrong about that; else what the header declares, else Windows-1252. Memory
holds one chunk.
"""

import codecs
import re
from collections.abc import Iterator
from typing import BinaryIO, Final

from reconciliation.formats.values import refused, shown

Leaves = dict[str, bytes]
"""Elements of one aggregate with their texts, as bytes."""

Tag = tuple[int, int, str, bytes, Leaves | None]
"""Byte offset of ``<``, byte offset behind ``>``, name in capitals (``/NAME`` at the end), text up to the next tag. A
transaction of nothing but the usual elements comes whole, with them, as they are nearly all of a file."""

DAMAGED: Final = "The file is damaged, incomplete or another one; download it again."

_CHUNK_BYTES: Final = 1 << 18
_BEGIN: Final = b"<STMTTRN>"
_END: Final = b"</STMTTRN>"
_USUAL: Final = (
    "TRNTYPE",
    "DTPOSTED",
    "DTUSER",
    "DTAVAIL",
    "TRNAMT",
    "FITID",
    "CHECKNUM",
    "REFNUM",
    "NAME",
    "MEMO",
)
_PLAIN: Final = {name.encode(): name for name in _USUAL}
_PLAIN_ENDS: Final = frozenset(f"/{name}>".encode() for name in _USUAL)
_NAME_BYTES_MAX: Final = 500  # attributes of the outermost XML element included
_NAMES_MAX: Final = 5_000  # distinct tags; the standard knows some six hundred
_SPECIAL_BYTES_MAX: Final = 1 << 16
_NAME: Final = re.compile(rb"(/?)(?:[A-Za-z][\w.-]*:)?([A-Za-z][\w.-]*)(?:\s[^/]*|\s.*[^/])?(/?)", re.DOTALL)
_ENTITY: Final = re.compile(
    r"&(?:#([0-9]{1,7})|#[xX]([0-9A-Fa-f]{1,6})|(amp|lt|gt|quot|apos|nbsp));", re.ASCII
)
_NAMED: Final = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'", "nbsp": " "}
_DECLARED: Final = (
    re.compile(rb"CHARSET:\s*([A-Za-z0-9_-]{1,20}?)(?=COMPRESSION|\s|<|\Z)"),
    re.compile(rb"""encoding\s*=\s*["']([A-Za-z0-9_-]{1,20})["']"""),
)
_VERSION: Final = re.compile(rb"""(?<![A-Z])VERSION\s*[:=]\s*["']?(\d{3})(?!\d)""")


class Texts:
    """Bytes of an element to text. Knows what the header declared."""

    def __init__(self, header: bytes) -> None:
        matched = _VERSION.search(header)
        self.version = matched.group(1).decode() if matched else "unknown"
        self._codec = _declared_codec(header)

    def text(self, raw: bytes, place: str) -> str:
        """Text with its entities replaced once, on one line. Codes ``structure``, ``unsafe``."""
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            text = self._single_bytes(raw, place)
        if "&" in text:
            text = _ENTITY.sub(lambda matched: _character(matched, place), text)
        if "\n" in text or "\r" in text:
            text = " ".join(text.split())
        return text

    def _single_bytes(self, raw: bytes, place: str) -> str:
        for codec in (self._codec, "cp1252"):
            try:
                return raw.decode(codec)
            except UnicodeDecodeError:
                continue
        raise refused(
            "structure", place, f"text in UTF-8, {self._codec} or Windows-1252", "other bytes", DAMAGED
        )


def tags(stream: BinaryIO, *, bytes_max: int, text_bytes_max: int) -> Iterator[Tag]:
    """Every tag in turn. The first one comes with the name ``""`` and has the text before all tags.

    Codes ``limit``, ``unsafe``, ``structure``, ``truncated``. Comments are passed over, instructions come by the name
    ``?``; a text in several pieces comes by the name of its tag again.

    >>> import io
    >>> found = tags(io.BytesIO(b"<OFX><NAME>A & B<FID/></OFX>"), bytes_max=99, text_bytes_max=99)
    >>> [(name, text) for _, _, name, text, _ in found]
    [('', b''), ('OFX', b''), ('NAME', b'A & B'), ('/OFX', b'')]
    """
    names: dict[bytes, str] = {}
    last = ""
    parts = _parts(stream, bytes_max=bytes_max, text_bytes_max=text_bytes_max)
    for begin, part, leaves in parts:
        if leaves is not None:
            last = "/STMTTRN"
            yield begin, begin + len(part), "STMTTRN", b"", leaves
            continue
        inside, closed, text = part.partition(b">")
        name = names.get(inside)
        if name is None:
            if begin < 0:
                yield 0, len(part), "", part, None
                continue
            if inside[:1] in {b"!", b"?"}:
                yield from _special(begin, part, parts, last)
                continue
            if not closed:
                raise refused(
                    "structure", f"byte {begin}", "a tag that is closed", shown_bytes(part), DAMAGED
                )
            if len(names) >= _NAMES_MAX:
                raise refused(
                    "limit", f"byte {begin}", f"at most {_NAMES_MAX} different tags", "more", DAMAGED
                )
            name = names[inside] = _normal_name(inside, begin)
        if name:
            last = name
            yield begin, begin + len(inside) + 2, name, text.strip(), None
        elif text.strip():  # behind an empty element
            raise stray_text(begin, text)


def stray_text(offset: int, text: bytes) -> Exception:
    """The refusal of text that belongs to no element."""
    return refused(
        "structure", f"byte {offset}", "text within an element", shown_bytes(text.strip()), DAMAGED
    )


def shown_bytes(raw: bytes) -> str:
    """A few bytes of the file as a refusal may show them."""
    return shown(raw[:60].decode("ascii", "backslashreplace"))


def _buffers(stream: BinaryIO, bytes_max: int) -> Iterator[tuple[int, bytes]]:
    """The file in pieces that begin with ``<``, but for the first one. Memory holds one, or one text beyond it."""
    position, rest = 0, b""
    while chunk := stream.read(_CHUNK_BYTES):
        if b"\0" in chunk and (b"\0" in chunk.rstrip(b"\0") or stream.read(1).strip(b"\0")):
            place = f"byte {position + len(rest) + chunk.index(0)}"
            raise refused("unsafe", place, "text in a single-byte encoding or UTF-8", "a NUL byte", DAMAGED)
        data = rest + chunk
        if position + len(data) > bytes_max:
            raise refused("limit", f"byte {bytes_max}", f"at most {bytes_max} bytes", "more", DAMAGED)
        cut = max(data.rfind(b"<"), 0)
        rest = data[cut:]
        if len(rest) > 2 * _CHUNK_BYTES:
            raise refused("limit", f"byte {position + cut}", "a text of limited length", "more", DAMAGED)
        if cut:
            yield position, data[:cut]
        position += cut
    yield position, rest


def _parts(
    stream: BinaryIO, *, bytes_max: int, text_bytes_max: int
) -> Iterator[tuple[int, bytes, Leaves | None]]:
    """Byte offset of a ``<`` and what follows it up to the next one; the text before the first one has offset -1.

    Where no comment or declaration can be, a plain transaction comes in one piece.
    """
    any_special, header = False, True
    for begin, buffer in _buffers(stream, bytes_max):
        position, data = begin, buffer
        if header:
            text, _, _ = buffer.partition(b"<")
            yield -1, text, None
            position, data, header = len(text), buffer[len(text) :], False
        any_special = any_special or b"<!" in data
        first, *blocks = (data,) if any_special else data.split(_BEGIN)
        yield from _single_parts(position, first, text_bytes_max)
        position += len(first)
        for block in blocks:
            inner, closed, after = block.partition(_END)
            leaves = _plain_leaves(inner) if closed and len(inner) <= text_bytes_max else None
            if leaves is None:
                yield from _single_parts(position, _BEGIN + block, text_bytes_max)
            else:
                whole = len(_BEGIN) + len(inner) + len(_END)
                yield position, _BEGIN + inner + _END, leaves
                if after.strip():
                    yield from _single_parts(position + whole, after, text_bytes_max)
            position += len(_BEGIN) + len(block)


def _single_parts(begin: int, data: bytes, text_bytes_max: int) -> Iterator[tuple[int, bytes, None]]:
    text, *parts = data.split(b"<")
    if text.strip():
        raise stray_text(begin, text)
    position = begin + len(text)
    for part in parts:
        if len(part) > text_bytes_max:
            raise refused("limit", f"byte {position}", f"a text of at most {text_bytes_max}", "more", DAMAGED)
        yield position, part, None
        position += len(part) + 1


def _plain_leaves(inner: bytes) -> Leaves | None:
    """Elements of a transaction; None unless every one is usual, stands once and holds plain text."""
    text, *parts = inner.split(b"<")
    if text.strip():
        return None
    leaves: Leaves = {}
    name_of = _PLAIN.get
    for part in parts:
        if part.startswith(b"/"):
            if part.rstrip() not in _PLAIN_ENDS:
                return None
            continue
        inside, closed, text = part.partition(b">")
        name, text = name_of(inside), text.strip()
        if name is None or not closed or name in leaves:
            return None
        if text:
            leaves[name] = text
    return leaves


def _special(
    begin: int, part: bytes, parts: Iterator[tuple[int, bytes, Leaves | None]], last: str
) -> Iterator[Tag]:
    """Text of a CDATA section, or behind a comment, as one more text of the last tag. Declarations are refused."""
    for mark, end in ((b"!--", b"-->"), (b"![CDATA[", b"]]>"), (b"?", b"?>")):
        if not part.startswith(mark):
            continue
        whole = part[len(mark) :]
        while end not in whole:
            more = next(parts, None)
            if more is None or more[2] is not None or len(whole) > _SPECIAL_BYTES_MAX:
                expected = f"the end of what begins with <{mark.decode()}"
                raise refused("truncated", f"byte {begin}", expected, "none", DAMAGED)
            whole += b"<" + more[1]
        inside, _, text = whole.partition(end)
        if mark == b"?":
            yield begin, begin, "?", inside, None
        elif mark == b"![CDATA[":
            yield begin, begin, last, inside.replace(b"&", b"&amp;").strip(), None
        if text.strip():
            yield begin, begin, last, text.strip(), None
        return
    raise refused(
        "unsafe",
        f"byte {begin}",
        "no DOCTYPE, ENTITY or other declaration",
        shown_bytes(b"<" + part),
        "OFX needs none; ask the sender for a file without it.",
    )


def _normal_name(inside: bytes, offset: int) -> str:
    matched = _NAME.fullmatch(inside) if len(inside) <= _NAME_BYTES_MAX else None
    if matched is None:
        raise refused("structure", f"byte {offset}", "a tag", shown_bytes(b"<" + inside + b">"), DAMAGED)
    end, name, empty = matched.groups()
    return "" if empty else (end + name).decode("ascii", "replace").upper()


def _declared_codec(header: bytes) -> str:
    for pattern in _DECLARED:
        if matched := pattern.search(header):
            name = matched.group(1).decode().lower()
            name = {"1252": "cp1252", "none": "cp1252"}.get(name, f"cp{name}" if name.isdecimal() else name)
            try:
                return codecs.lookup(name).name if "utf" not in name else "cp1252"
            except LookupError:
                continue
    return "cp1252"


def _character(matched: re.Match[str], place: str) -> str:
    decimal, hexadecimal, named = matched.groups()
    if named:
        return _NAMED[named]
    number = int(decimal) if decimal else int(hexadecimal, 16)
    if number in {9, 10, 13}:
        return " "
    if number < 32 or 0x7F <= number <= 0x9F or 0xD800 <= number <= 0xDFFF or number > 0x10FFFF:
        raise refused("unsafe", place, "a reference to a character", shown(matched.group()), DAMAGED)
    return chr(number)
