"""Objects of a JSON array, or of JSON lines, one by one with their byte offsets, in bounded memory.

Law: numbers stay the text they were written as, no key comes twice in an object, NaN and the like do not exist, text
is UTF-8. An array must be closed and nothing may follow it; an object over a limit refuses the file. Read with the
``json`` module object by object, so that memory holds one chunk and one object.

>>> import io
>>> [(record.place, record.value) for record in json_records(io.BytesIO(b'{"data": [{"a": 1.50}, {"a": 2}]}'), "data")]
[('$.data[0]', {'a': '1.50'}), ('$.data[1]', {'a': '2'})]
"""

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, NoReturn

from reconciliation.errors import RefusedFile
from reconciliation.formats.values import refused, shown

_CHUNK_BYTES: Final = 1 << 18
_LONGEST_TOKEN: Final = 16  # a literal or an escape that the end of a chunk cuts
_DAMAGED: Final = "The file is damaged, incomplete or another one; fetch it again from the sender."
# what the end of a file may leave of a literal, a number or an escape
_CUT: Final = re.compile(r"[ \t\r\n]*[A-Za-z0-9.+-]*\Z|\\u?[0-9A-Fa-f]*\Z")
_BLANK: Final = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonRecord:
    """One object with its place."""

    place: str
    record_no: int  # 1-based
    byte_offset: int
    byte_length: int
    value: dict[str, Any]


@dataclass(slots=True)
class Envelope:
    """What stood around the list: the other members of the outermost object. Complete when all records are read."""

    members: dict[str, Any]
    kind: str = "lines"  # "array", "object" around a list, or "lines"


def json_records(
    stream: BinaryIO,
    list_name: str,
    *,
    envelope: Envelope | None = None,
    bytes_max: int = 2**33,
    record_bytes_max: int = 1 << 20,
    field_length_max: int = 20_000,
) -> Iterator[JsonRecord]:
    """Each object of a bare array, of the list of that name in an outer object, or of objects one after another.

    Codes: ``structure``, ``truncated``, ``limit``, ``unsafe``.
    """
    text = _Text(stream, bytes_max=bytes_max, record_bytes_max=record_bytes_max)
    reader = _Reader(text, field_length_max)
    around = envelope if envelope is not None else Envelope(members={})
    first = text.peek()
    if first == "":
        raise refused("truncated", "byte 1", "a JSON document", "an empty file", _DAMAGED)
    if first == "[":
        around.kind = "array"
        yield from reader.array("$")
    elif first == "{" and reader.is_around(list_name):
        around.kind = "object"
        yield from reader.members_around(list_name, around)
    else:
        yield from reader.one_after_another()
        return
    if text.peek() != "":
        raise text.wrong("the end of the file after the document", shown(text.peek()))


class _Text:
    """Decoded text with a window that slides; positions are known in bytes."""

    def __init__(self, stream: BinaryIO, *, bytes_max: int, record_bytes_max: int) -> None:
        self.record_bytes_max = record_bytes_max
        self.window, self.at = "", 0
        self._stream, self._bytes_max = stream, bytes_max
        self._decoder = codecs.getincrementaldecoder("utf-8")("strict")
        self._offset = 0  # byte offset of the first character of the window
        self._bytes_read = 0
        self._ended = False
        self._offset_at = 0  # the place in the window up to which bytes were counted, and their number
        self._counted = 0

    def more(self) -> bool:
        """Load another chunk, dropping what is behind; False at the end of the file."""
        if self._ended:
            return False
        self._offset = self.byte_offset()
        self.window, self.at = self.window[self.at :], 0
        self._offset_at = self._counted = 0
        chunk = self._stream.read(_CHUNK_BYTES)
        if self._bytes_read == 0 and chunk.startswith(codecs.BOM_UTF8):
            chunk = chunk.removeprefix(codecs.BOM_UTF8)
            self._offset = self._bytes_read = len(codecs.BOM_UTF8)
        self._ended = not chunk
        self._bytes_read += len(chunk)
        if self._bytes_read > self._bytes_max:
            raise refused(
                "limit", f"byte {self._bytes_max + 1}", f"at most {self._bytes_max} bytes", "more", _DAMAGED
            )
        if b"\0" in chunk:
            byte_no = self._bytes_read - len(chunk) + chunk.index(b"\0") + 1
            raise refused("unsafe", f"byte {byte_no}", "text", "a NUL byte", _DAMAGED)
        try:
            self.window += self._decoder.decode(chunk, final=self._ended)
        except UnicodeDecodeError:
            place = f"bytes {self._bytes_read - len(chunk) + 1} to {self._bytes_read}"
            raise refused("structure", place, "UTF-8", "other bytes", _DAMAGED) from None
        return not self._ended

    def peek(self) -> str:
        """The next character that is not blank, without taking it; empty at the end of the file."""
        while True:
            found = _BLANK.match(self.window, self.at)
            self.at = found.end() if found is not None else self.at
            if self.at < len(self.window):
                return self.window[self.at]
            if not self.more() and self.at >= len(self.window):
                return ""

    def take(self, expected: str) -> str:
        """The next character, one of those expected."""
        character = self.peek()
        if character == "":
            raise refused(
                "truncated", f"byte {self.byte_offset() + 1}", f"one of {expected}", "the end", _DAMAGED
            )
        if character not in expected:
            raise self.wrong(f"one of {expected}", shown(character))
        self.at += 1
        return character

    def byte_offset(self) -> int:
        """Offset in bytes of the place where reading stands."""
        self._counted += len(self.window[self._offset_at : self.at].encode("utf-8", "surrogatepass"))
        self._offset_at = self.at
        return self._offset + self._counted

    def wrong(self, expected: str, found: str) -> RefusedFile:
        """A refusal at this place."""
        return refused("structure", f"byte {self.byte_offset() + 1}", expected, found, _DAMAGED)


class _Reader:
    """Values of a text, each whole."""

    def __init__(self, text: _Text, field_length_max: int) -> None:
        self._text = text
        self._field_length_max = field_length_max
        self._record_no = 0
        self._decode = json.JSONDecoder(
            parse_float=NumberText,
            parse_int=NumberText,
            parse_constant=_no_constant,
            object_pairs_hook=_members_once,
        ).raw_decode

    def is_around(self, name: str) -> bool:
        """Whether the object that begins here has a list of that name, or is too long to be one record."""
        text = self._text
        while True:
            try:
                value, _ = self._decode(text.window, text.at)
                return isinstance(value.get(name), list)
            except json.JSONDecodeError:
                if len(text.window) - text.at > text.record_bytes_max:
                    return True
                if not text.more():
                    return re.match(rf'[^{{}}\[\]]*{{[^{{}}\[\]]*"{name}"\s*:\s*\[', text.window) is not None
            except (RecursionError, _UnfitError):
                return False

    def array(self, path: str) -> Iterator[JsonRecord]:
        """The objects of the array that begins here."""
        self._text.take("[")
        if self._text.peek() == "]":
            self._text.take("]")
            return
        index = 0
        while True:
            yield self._record(f"{path}[{index}]")
            index += 1
            if self._text.take(",]") == "]":
                return

    def members_around(self, list_name: str, around: Envelope) -> Iterator[JsonRecord]:
        """The objects of the list in the outer object; its other members go to the envelope."""
        self._text.take("{")
        seen = False
        while True:
            if self._text.peek() != '"':
                raise self._text.wrong("a member", shown(self._text.peek()))
            name = str(self._value("$"))
            self._text.take(":")
            if name in around.members or (name == list_name and seen):
                raise self._text.wrong("each member once", shown(name))
            if name == list_name:
                seen = True
                yield from self.array(f"$.{list_name}")
            else:
                self._text.peek()
                around.members[name] = self._value(f"$.{name[:40]}")
            if self._text.take(",}") == "}":
                break
        if not seen:
            raise refused("structure", "$", f"a list called {list_name}", "none", _DAMAGED)

    def one_after_another(self) -> Iterator[JsonRecord]:
        """Objects with nothing but blanks between them."""
        while self._text.peek() != "":
            yield self._record(f"$[{self._record_no}]")

    def _record(self, place: str) -> JsonRecord:
        if self._text.peek() == "":
            raise refused("truncated", place, "an object", "the end of the file", _DAMAGED)
        offset = self._text.byte_offset()
        value = self._value(place)
        if not isinstance(value, dict):
            raise refused("structure", place, "an object", type(value).__name__, _DAMAGED)
        self._record_no += 1
        length = self._text.byte_offset() - offset
        if length > self._field_length_max and _longest(value) > self._field_length_max:
            raise refused(
                "limit", place, f"at most {self._field_length_max} characters a field", "more", _DAMAGED
            )
        return JsonRecord(
            place=place, record_no=self._record_no, byte_offset=offset, byte_length=length, value=value
        )

    def _value(self, place: str) -> Any:
        """The value that begins at the place where reading stands."""
        text = self._text
        while True:
            wrong: json.JSONDecodeError | None = None
            try:
                value, end = self._decode(text.window, text.at)
            except json.JSONDecodeError as error:
                wrong = error
            except (RecursionError, _UnfitError) as error:
                raise refused("structure", place, "a plain JSON value", str(error)[:100], _DAMAGED) from None
            else:
                length = end - text.at
                # a number at the end of the window may go on in the next chunk
                if text.window[end - 1] in '"}]' or end < len(text.window) or not text.more():
                    if text.window.find("\\u", text.at, end) >= 0 and not _is_text(value):
                        raise refused("structure", place, "text", "half of a surrogate pair", _DAMAGED)
                    text.at += length
                    return value
                continue
            if not _may_go_on(wrong, len(text.window)):
                raise self._malformed(place, wrong)
            if len(text.window) - text.at > text.record_bytes_max:
                raise refused("limit", place, f"at most {text.record_bytes_max} characters", "more", _DAMAGED)
            remaining = len(text.window) - wrong.pos
            if not text.more():
                if wrong.msg.startswith("Unterminated string") or not _CUT.sub("", text.window[-remaining:]):
                    found = "the end of the file inside it"
                    raise refused("truncated", place, "a whole JSON value", found, _DAMAGED)
                raise self._malformed(place, wrong)

    def _malformed(self, place: str, error: json.JSONDecodeError) -> RefusedFile:
        found = f"{error.msg}, {error.lineno - 1} lines and {error.colno} characters on"
        return refused("structure", place, "well-formed JSON", found, _DAMAGED)


class NumberText(str):
    """A JSON number as it is written."""

    __slots__ = ()


class _UnfitError(ValueError):
    """Well-formed enough for the json module, but not for money."""


def _no_constant(text: str) -> NoReturn:
    raise _UnfitError(f"{text}, which is no JSON number")


def _members_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _UnfitError("a member twice")
    return members


def _may_go_on(error: json.JSONDecodeError, window_length: int) -> bool:
    """Whether more text could make the value whole."""
    return error.msg.startswith("Unterminated string") or error.pos >= window_length - _LONGEST_TOKEN


def _is_text(value: Any) -> bool:
    """Whether every string in a value is Unicode text: an escape may write half of a pair, which is none."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _longest(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return max(map(_longest, members), default=0)
