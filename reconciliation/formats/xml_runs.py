"""Cuts the bytes of an XML file into what a parser must see and runs of elements that are read by their shapes.

Law: what is cut out are whole elements beside each other, parted by blanks at most; the parser sees one empty element
of the same name in their stead, as many lines high and wide, so that it counts lines as they are. From the first
comment, CDATA section or instruction behind the prolog on nothing is cut out: text that looks like a tag is none there.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from reconciliation.formats.xml_shapes import ElementShapes, Shape, Texts

Found = tuple[Shape, Texts, int | None, int | None]
"""Shape, texts, byte offset and length of an element."""

_HELD_MAX: Final = 1 << 15  # of an element whose end is still to come
_BLANK: Final = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class Run:
    """Elements one after the other."""

    found: list[Found]
    stand_in: bytes
    length: int


class Runs:
    """Runs of the elements that have a shape."""

    def __init__(self, shapes: ElementShapes, *, prolog: int) -> None:
        self._shapes = shapes
        self._prolog = prolog  # bytes of it that are still to come
        self._open = True
        self._rest = b""
        self._offset = 0  # of the first byte of the rest

    def rest(self) -> bytes:
        """What was held back, at the end of the file."""
        rest, self._rest = self._rest, b""
        return rest

    def split(self, chunk: bytes) -> Iterator[tuple[bytes, Run | None]]:
        """Pieces of the next bytes: what the parser must see, and the run behind it."""
        text = self._rest + chunk if self._rest else chunk
        first, self._prolog = self._prolog, 0
        if self._open and (text.find(b"<!", first) >= 0 or text.find(b"<?", first) >= 0):
            self._open = False
        if not self._open:
            self._rest = b""
            yield text, None
            return
        fed, position, offset = 0, first, self._offset
        start_tag, match = self._shapes.start, self._shapes.match
        found: list[Found] = []
        began = ended = position
        while True:
            start = text.find(start_tag, position)
            if start < 0:
                break
            matched = match(text, start)
            if matched is None:
                if self._held(text, start):
                    break
                position = start + len(start_tag)
                continue
            if found and start != ended and text[ended:start].strip(_BLANK):
                yield text[fed:began], self._run(text, began, ended, found)
                found, fed = [], ended
            if not found:
                began = start
            shape, texts, ended = matched
            found.append((shape, texts, offset + start, ended - start))
            position = ended
        if found:
            yield text[fed:began], self._run(text, began, ended, found)
            fed = ended
        cut = start if start >= 0 else self._cut(text, fed)
        self._rest = text[cut:]
        self._offset = offset + cut
        yield text[fed:cut], None

    def _held(self, text: bytes, start: int) -> bool:
        """Whether the element that starts here may still become whole."""
        return text.find(self._shapes.end, start) < 0 and len(text) - start <= _HELD_MAX

    def _cut(self, text: bytes, start: int) -> int:
        """Where the last tag begins that is not whole."""
        cut = text.rfind(b"<", start)
        return len(text) if cut < 0 or text.find(b">", cut) >= 0 or len(text) - cut > _HELD_MAX else cut

    def _run(self, text: bytes, began: int, ended: int, found: list[Found]) -> Run:
        lines = text.count(b"\n", began, ended)
        last = text.rfind(b"\n", began, ended) + 1 if lines else began
        width = len(text[last:ended].decode(errors="replace"))
        name = self._shapes.start[:-1]
        blanks = max(width - 2 - (0 if lines else len(name)), 0)
        return Run(found, name + b"\n" * lines + b" " * blanks + b"/>", ended - began)
