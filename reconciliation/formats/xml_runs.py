"""Cuts the bytes of an XML file into what a parser must see and runs of elements that are read by their shapes.

Law: what is cut out are whole elements beside each other, parted by blanks at most; the parser sees one empty element
of the same name in their stead, as many lines high and wide, so that it counts lines as they are. From the first
comment, CDATA section or instruction behind the prolog on nothing is cut out: text that looks like a tag is none there.
"""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from reconciliation.formats.xml_shapes import ElementShapes, Shape, Texts

Found = tuple[Shape, Texts, int | None, int | None]
"""Shape, texts, byte offset and length of an element."""

_HELD_MAX: Final = 1 << 15  # of an element whose end is still to come
_BLANK: Final = " \t\r\n"
_NEVER: Final = ("<!", "<?", "\ufffe", "\uffff")  # sections, and characters that XML does not have


@dataclass(frozen=True, slots=True)
class Run:
    """Elements one after the other."""

    found: list[Found]
    stand_in: bytes
    length: int


class Runs:
    """Runs of the elements that have a shape, in a file of UTF-8 or, if ``ascii_only``, of ASCII."""

    def __init__(self, shapes: ElementShapes, *, prolog: int, ascii_only: bool) -> None:
        self._shapes = shapes
        self._prolog = prolog  # bytes of it, which are still to come
        self._ascii_only = ascii_only
        self._open = True
        self._rest = b""
        self._whole = 0  # bytes of whole characters in the text in hand
        self._offset = 0  # of the first byte of the rest

    def rest(self) -> bytes:
        """What was held back, at the end of the file."""
        rest, self._rest = self._rest, b""
        return rest

    def split(self, chunk: bytes) -> Iterator[tuple[bytes, Run | None]]:
        """Pieces of the next bytes: what the parser must see, and the run behind it."""
        if self._prolog:
            yield chunk[: self._prolog], None
            chunk, self._offset, self._prolog = chunk[self._prolog :], self._prolog, 0
        raw = self._rest + chunk if self._rest else chunk
        text = self._text(raw)
        if text is None:
            self._rest = b""
            yield raw, None
            return
        yield from self._pieces(raw, text)

    def _text(self, raw: bytes) -> str | None:
        """The characters that are whole; None from the first on that nothing may be cut out of."""
        if not self._open:
            return None
        try:
            text, whole = codecs.utf_8_decode(raw, "strict", False)
        except UnicodeDecodeError:
            self._open = False
            return None
        strange = any(
            mark[-1] in text and mark in text for mark in _NEVER
        )  # one character is found sooner than two
        self._open = not strange and not (self._ascii_only and whole != len(text))
        self._whole = whole
        return text if self._open else None

    def _pieces(self, raw: bytes, text: str) -> Iterator[tuple[bytes, Run | None]]:
        """The same places are gone through in characters, to match, and in bytes, to cut."""
        offset, start_tag, match = self._offset, self._shapes.start, self._shapes.match
        start_bytes, end_bytes = start_tag.encode(), self._shapes.end.encode()
        found: list[Found] = []
        position = began = ended = 0
        byte = fed = began_byte = ended_byte = 0
        while (start := text.find(start_tag, position)) >= 0:
            byte = raw.find(start_bytes, byte)
            matched = match(text, start)
            if matched is None:
                if self._held(text, start):
                    break
                position = start + len(start_tag)
                byte += len(start_tag)
                continue
            if found and start != ended and text[ended:start].strip(_BLANK):
                yield raw[fed:began_byte], self._run(text, began, ended, found, ended_byte - began_byte)
                found, fed = [], ended_byte
            if not found:
                began, began_byte = start, byte
            shape, texts, ended = matched
            if text[start:ended].isascii():
                ended_byte = byte + ended - start
            else:
                ended_byte = raw.find(end_bytes, byte) + len(end_bytes)
            found.append((shape, texts, offset + byte, ended_byte - byte))
            position, byte = ended, ended_byte
        if found:
            yield raw[fed:began_byte], self._run(text, began, ended, found, ended_byte - began_byte)
            fed = ended_byte
        cut = byte if start >= 0 else self._cut(raw, ended_byte)
        self._rest = raw[cut:]
        self._offset = offset + cut
        yield raw[fed:cut], None

    def _held(self, text: str, start: int) -> bool:
        """Whether the element that starts here may still become whole."""
        return text.find(self._shapes.end, start) < 0 and len(text) - start <= _HELD_MAX

    def _cut(self, raw: bytes, start: int) -> int:
        """Where the last tag begins that is not whole."""
        cut = raw.rfind(b"<", start)
        return self._whole if cut < 0 or raw.find(b">", cut) >= 0 or len(raw) - cut > _HELD_MAX else cut

    def _run(self, text: str, began: int, ended: int, found: list[Found], length: int) -> Run:
        lines = text.count("\n", began, ended)
        last = text.rfind("\n", began, ended) + 1 if lines else began
        name = self._shapes.start[:-1]
        blanks = max(ended - last - 2 - (0 if lines else len(name)), 0)
        stand_in = name + "\n" * lines + " " * blanks + "/>"
        return Run(found, stand_in.encode(), length)
