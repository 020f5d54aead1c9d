"""Streams the elements of an XML document that a stranger wrote.

Law: nothing outside the document is ever read and nothing inside it is ever expanded. A document type declaration is
refused before the parser sees a byte of it, in every encoding that is let in; size, depth and text nodes are bounded
(depth 256 and 10 MB of text are the parser's own limits, left in force). Memory follows the elements the caller keeps.
Elements that are many and alike may be read past the parser, by shapes that prove them well-formed (``xml_shapes``): it
sees one empty element in their stead. Does not validate against a schema and knows no message.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final, cast

from lxml import etree

from reconciliation.errors import RefusedFile
from reconciliation.formats.xml_places import ElementPlaces
from reconciliation.formats.xml_runs import Found, Runs
from reconciliation.formats.xml_shapes import ElementShapes, Shaped

Element = etree._Element  # lxml offers no public name for it

_CHUNK_BYTES: Final = 1 << 16
_PROLOG_BYTES_MAX: Final = (
    1 << 16
)  # declaration and comments before the root; real files need a few hundred bytes
_QUIET_BYTES_MAX: Final = 1 << 26  # without an element that can be freed; a parser keeps what nobody frees
_WHITE_SPACE: Final = " \t\r\n"
_DEFAULT_NAMESPACE: Final = re.compile(
    rb"""(?<=\s)xmlns=(?:"|')(urn:iso:std:iso:20022:tech:xsd:camt\.05\d\.\d{3}\.\d{2})(?:"|')"""
)
# Encodings in which the prolog can be read as it stands; others (UTF-7, EBCDIC, UTF-32) could hide a declaration.
_ASCII_LIKE: Final = re.compile(
    r"utf-?8|(us-)?ascii|iso-8859-\d{1,2}|latin-?1|(windows-|cp)125\d", re.ASCII | re.IGNORECASE
)
_SHAPED: Final = frozenset(
    {"utf-8", "utf8", "ascii", "us-ascii"}
)  # as Python's codecs and the parser read alike
_ENCODING: Final = re.compile(r"""<\?xml[^>]*?\sencoding\s*=\s*["']([^"']*)["']""")


def local_name(tag: str) -> str:
    """Element name without its namespace.

    >>> local_name("{urn:iso:std:iso:20022:tech:xsd:camt.053.001.08}Ntry")
    'Ntry'
    """
    return tag.rpartition("}")[2]


def decoded_head(head: bytes) -> str:
    """The first bytes as text, for recognising a document: UTF-16 by its mark or zero bytes, else one byte each."""
    return (
        head.decode(_wide_encoding(head) or "latin-1", errors="replace")
        .removeprefix("\ufeff")
        .removeprefix("ï»¿")
    )


@dataclass(frozen=True, slots=True)
class ElementRun:
    """Located elements one after the other, read by their shapes, and the empty element that stands for them all."""

    stand_in: Element
    found: list[Found]


class ElementStream:
    """Every element with one of some local names, at its end tag, while the document is still being read.

    Elements with the name ``located`` may come in runs, if ``shaped`` says how. The caller clears what it no longer
    needs. Comments and processing instructions are dropped. The message's own default namespace is blanked out before
    parsing (``namespace`` has it): elements are known by local name, and short names are read almost twice as fast.
    Raises ``RefusedFile``: ``unsafe`` (document type, hidden encoding), ``limit``, ``truncated`` (the document just
    ends), ``structure``.
    """

    def __init__(
        self,
        stream: BinaryIO,
        *,
        names: tuple[str, ...],
        located: str,
        bytes_max: int,
        shaped: Shaped | None = None,
    ) -> None:
        self._stream = stream
        self._bytes_max = bytes_max
        self._parser = etree.XMLPullParser(
            events=("end",),
            tag=tuple(f"{{*}}{name}" for name in names),
            resolve_entities=False,
            load_dtd=False,
            no_network=True,
            huge_tree=False,
            collect_ids=False,
            remove_comments=True,
            remove_pis=True,
            remove_blank_text=True,
        )
        head = read_full(stream, _PROLOG_BYTES_MAX)
        encoding, root = _check_prolog(head)
        self._places = None if _wide_encoding(head) else ElementPlaces(located, head)
        self._head, self.namespace = _without_default_namespace(head)
        self._runs: Runs | None = None
        if shaped is not None and self._places is not None and encoding.lower() in _SHAPED:
            shapes = ElementShapes(self._places.tag.decode(), shaped)
            self._runs = Runs(shapes, prolog=root, ascii_only="ascii" in encoding.lower())
        self._quiet_bytes = 0

    def __iter__(self) -> Iterator[Element]:
        """Elements one by one; a stream that was told of shapes is read ``with_runs``."""
        for one in self.with_runs():
            if isinstance(one, ElementRun):
                raise TypeError("a run of elements: read this stream by with_runs")
            yield one

    def with_runs(self) -> Iterator[Element | ElementRun]:
        """Elements, and runs of the located ones."""
        bytes_read = 0
        chunk = self._head
        while chunk:
            bytes_read += len(chunk)
            if bytes_read > self._bytes_max:
                raise _limit(f"byte {self._bytes_max + 1}", f"at most {self._bytes_max} bytes")
            self._quiet_bytes += len(chunk)
            if self._runs is None:
                yield from self._parsed(chunk)
            else:
                yield from self._passed(self._runs, chunk)
            if self._quiet_bytes > _QUIET_BYTES_MAX:
                raise _limit(
                    f"byte {bytes_read}", f"an element of the message every {_QUIET_BYTES_MAX} bytes"
                )
            chunk = read_full(self._stream, _CHUNK_BYTES)
        if self._runs is not None and (rest := self._runs.rest()):
            yield from self._parsed(rest)
        try:
            root = self._parser.close()
        except etree.XMLSyntaxError as error:
            yield from self._ended()
            raise _not_well_formed(error, at_end=True) from None
        yield from self._ended()
        if root.getroottree().docinfo.internalDTD is not None:
            raise _document_type()

    def _parsed(self, content: bytes) -> Iterator[Element]:
        """Elements that end in the next bytes, whose places are looked for."""
        if self._places is not None:
            self._places.feed(content)
        return self._fed(content)

    def _fed(self, content: bytes) -> Iterator[Element]:
        try:
            self._parser.feed(content)
        except etree.XMLSyntaxError as error:
            yield from self._ended()  # what came before is looked at first, however the bytes arrived
            raise _not_well_formed(error, at_end=False) from None
        yield from self._ended()
        failed = self._parser.feed_error_log.last_error
        if (
            failed is not None and failed.level == etree.ErrorLevels.FATAL
        ):  # an undeclared entity is no exception
            raise _malformed("structure", (failed.line, failed.column), failed.message)

    def _ended(self) -> Iterator[Element]:
        for _, element in self._parser.read_events():
            self._quiet_bytes = 0
            yield cast(
                "Element", element
            )  # the stubs also know events of namespaces, which are not asked for

    def _passed(self, runs: Runs, chunk: bytes) -> Iterator[Element | ElementRun]:
        """The same, with runs of elements that the parser does not see."""
        for content, run in runs.split(chunk):
            if content:
                yield from self._parsed(content)
            if run is None:
                continue
            if self._places is not None:
                self._places.skip(run.length)
            for element in self._fed(run.stand_in):
                located = self._places is not None and element.prefix == self._places.prefix
                yield ElementRun(element, run.found if located else [_nowhere(found) for found in run.found])

    def location(self, element: Element) -> tuple[int | None, int | None]:
        """Byte offset and length of the located element that ended just now; to be asked once for each."""
        if self._places is None:
            return None, None
        if element.prefix != self._places.prefix:
            self._places = None  # not the elements that were looked for
            return None, None
        return self._places.next()


def release(element: Element) -> None:
    """Free what is below an element that has been read. Its tail stays: the parser may still be writing to it."""
    element.clear(keep_tail=True)  # type: ignore[call-arg]  # the stubs are older than the argument


def forget_before(element: Element, parent: Element) -> None:
    """Free the element before one that has been read, if it is of the same kind."""
    before = element.getprevious()
    if before is not None and before.tag == element.tag:
        parent.remove(before)


def _nowhere(found: Found) -> Found:
    shape, texts, _, _ = found
    return shape, texts, None, None


def _without_default_namespace(head: bytes) -> tuple[bytes, str]:
    """The head with the message's namespace declaration as blanks, byte for byte, and the namespace."""
    found = _DEFAULT_NAMESPACE.search(head)
    if found is None:
        return head, ""
    blank = b" " * (found.end() - found.start())
    return head[: found.start()] + blank + head[found.end() :], found.group(1).decode("ascii")


def read_full(stream: BinaryIO, size: int) -> bytes:
    """So many bytes, or all that are left, even from a stream that gives a few at a time."""
    parts: list[bytes] = []
    missing = size
    while missing and (part := stream.read(missing)):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _wide_encoding(head: bytes) -> str | None:
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return None
    if head.startswith((codecs.BOM_UTF16_LE, b"<\0")):
        return "utf-16-le"
    if head.startswith((codecs.BOM_UTF16_BE, b"\0<")):
        return "utf-16-be"
    return None


def _check_prolog(head: bytes) -> tuple[str, int]:
    """Let nothing but the declaration, comments and instructions stand before the root element.

    Gives the encoding, and where the root stands as far as characters are bytes.
    """
    text = decoded_head(head)
    declared = _ENCODING.match(text)
    encoding = declared.group(1) if declared else "utf-8"
    wide = _wide_encoding(head) is not None
    allowed = (
        encoding.lower().startswith("utf-16") if wide and declared else bool(_ASCII_LIKE.fullmatch(encoding))
    )
    if not allowed:
        raise RefusedFile(
            code="unsafe",
            place="XML declaration",
            expected="an encoding that can be checked before parsing (UTF-8, UTF-16, ISO-8859, Windows-125x)",
            found=repr(encoding[:40]),
            remedy="Have the sender deliver UTF-8.",
        )
    position = 0
    while True:
        while position < len(text) and text[position] in _WHITE_SPACE:
            position += 1
        closing = (
            "-->" if text.startswith("<!--", position) else "?>" if text.startswith("<?", position) else None
        )
        if closing is None:
            break
        end = text.find(closing, position)
        if end < 0:
            position = len(text)
            break
        position = end + len(closing)
    if text.startswith("<!", position):
        raise _document_type()
    if position >= len(text) and len(head) >= _PROLOG_BYTES_MAX:
        raise RefusedFile(
            code="limit",
            place="before the root element",
            expected=f"the root element within {_PROLOG_BYTES_MAX} bytes",
            found="none",
            remedy="Have the sender drop the comments before the document.",
        )
    if not text.startswith("<", position):
        raise RefusedFile(
            code="truncated" if position >= len(text) else "not_this_format",
            place="start of file",
            expected="an XML document",
            found="the end of the file" if position >= len(text) else "something else",
            remedy="Check which file this is, and ask for it again if it was cut off.",
        )
    return encoding, position + (3 if head.startswith(codecs.BOM_UTF8) else 0)


def _limit(place: str, expected: str) -> RefusedFile:
    return RefusedFile(
        code="limit",
        place=place,
        expected=expected,
        found="more",
        remedy="Ask for smaller files, or raise bytes_max of this source.",
    )


def _document_type() -> RefusedFile:
    return RefusedFile(
        code="unsafe",
        place="before the root element",
        expected="no document type declaration",
        found="DOCTYPE",
        remedy="Payment messages have none; treat the file as an attack until the sender explains it.",
    )


def _not_well_formed(error: etree.XMLSyntaxError, *, at_end: bool) -> RefusedFile:
    message = (error.msg or "something else").partition(", line")[0].strip()
    return _malformed("truncated" if at_end else "structure", error.position, message)


def _malformed(code: str, position: tuple[int, int], found: str) -> RefusedFile:
    line, column = position
    return RefusedFile(
        code=code,
        place=f"line {line}, column {column}",
        expected="well-formed XML to the last byte",
        found=found[:160],
        remedy="The file is damaged or incomplete; fetch it again from the sender.",
    )
