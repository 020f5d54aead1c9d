"""Where the elements of one name stand in an XML file, in bytes, beside a parser that does not say.

Law: every place is that of a real tag. Comments, CDATA sections and processing instructions are skipped, so that text
which looks like a tag is none; in any other place ``<`` begins a tag, or the parser refuses the file. Only for
encodings in which the characters of tags are one byte each. Memory holds one chunk and the places not asked for yet.
"""

import re
from collections import deque
from typing import Final

_CLOSERS: Final = {b"<!--": b"-->", b"<![CDATA[": b"]]>", b"<?": b"?>"}
_OPENER: Final = re.compile(rb"<!--|<!\[CDATA\[|<\?")
_NAME: Final = rb"(?:([A-Za-z_][\w.-]*):)?"
_TAG_END: Final = ord(">")
_LENGTH_MAX: Final = 2**31 - 1


class ElementPlaces:
    """Places of elements with one local name, under the prefix that its first one has.

    >>> places = ElementPlaces("Ntry", b"<a><Ntry>")
    >>> places.feed(b"<a><Ntry>x</Ntry><!-- <Ntry> --><Ntry/></a>")
    >>> places.next(), places.next()
    ((3, 14), (32, 7))
    """

    def __init__(self, name: str, head: bytes) -> None:
        first = re.search(rb"<" + _NAME + name.encode() + rb"[\s/>]", head)
        prefix = first.group(1) if first else None
        self.tag = tag = (prefix + b":" if prefix else b"") + name.encode()
        self.prefix = prefix.decode("latin-1") if prefix else None
        self._starts = re.compile(rb"<" + re.escape(tag) + rb"[\s/>]")
        self._ends = re.compile(rb"</" + re.escape(tag) + rb"\s*>")
        self._empty = re.compile(rb"<" + re.escape(tag) + rb"(?:\s[^<>]*)?/>")
        self._opened: deque[int] = deque()
        self._closed: deque[int] = deque()
        self._rest = b""
        self._offset = 0  # of the first byte of the rest

    def feed(self, chunk: bytes) -> None:
        """Look through the next bytes of the file."""
        text = self._rest + chunk
        text, held = _without_sections(text)
        cut = text.rfind(b"<")
        if text.find(b">", cut) >= 0 or cut < 0:
            cut = len(text)
        self._rest = text[cut:] + held
        text = text[:cut]
        offset = self._offset
        ends = [offset + found.end() for found in self._ends.finditer(text)]
        empty = []
        for found in self._starts.finditer(text):
            self._opened.append(offset + found.start())
            if text[found.end() - 1] != _TAG_END and (alone := self._empty.match(text, found.start())):
                empty.append(offset + alone.end())
        self._closed.extend(sorted(ends + empty) if empty else ends)
        self._offset = offset + cut

    def skip(self, count: int) -> None:
        """So many bytes follow that are whole elements and whose places are known."""
        self._offset += count

    def next(self) -> tuple[int | None, int | None]:
        """Offset and length of the next element."""
        if not self._opened or not self._closed:
            return None, None
        start, end = self._opened.popleft(), self._closed.popleft()
        return (start, end - start) if 0 < end - start <= _LENGTH_MAX else (None, None)


def _without_sections(text: bytes) -> tuple[bytes, bytes]:
    """Text with its comments and the like as blanks, and what must wait for the end of one that is still open."""
    if not (b"!" in text or b"?" in text):  # rarer than their pairs with the angle, so quicker to look for
        return text, b""
    parts: list[bytes] = []
    position = 0
    while (opened := _OPENER.search(text, position)) is not None:
        closer = _CLOSERS[opened.group()]
        end = text.find(closer, opened.end())
        parts.append(text[position : opened.start()])
        if end < 0:
            return b"".join(parts), text[opened.start() :]
        position = end + len(closer)
        parts.append(b" " * (position - opened.start()))
    parts.append(text[position:])
    return b"".join(parts), b""
