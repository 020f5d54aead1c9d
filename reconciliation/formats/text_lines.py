"""Lines of a text file with their byte offsets, whatever ends them: LF, CRLF or a bare CR.

Law: no byte is dropped or guessed. A line is UTF-8, or Windows-1252 if it cannot be UTF-8; a NUL, an undefined byte and
a line beyond the limit refuse the file. The last line need not be ended: whether a file is complete is for the standard
to say. Memory holds one chunk.
"""

import codecs
from collections.abc import Iterator
from typing import BinaryIO, Final

from reconciliation.formats.values import refused

_CHUNK_BYTES: Final = 1 << 18
_DAMAGED: Final = "The file is damaged, incomplete or another one; fetch it again from the sender."


def text_lines(stream: BinaryIO, *, bytes_max: int, line_bytes_max: int) -> Iterator[tuple[int, int, str]]:
    """Byte offset, length in bytes and text of each line, without its end. Codes ``limit``, ``unsafe``, ``structure``.

    >>> import io
    >>> list(text_lines(io.BytesIO(b"one\\r\\ntwo"), bytes_max=100, line_bytes_max=10))
    [(0, 3, 'one'), (5, 3, 'two')]
    """
    lines = _byte_lines(stream, bytes_max=bytes_max, line_bytes_max=line_bytes_max)
    for line_no, (offset, line) in enumerate(lines, start=1):
        try:
            text = line.decode() if b"\0" not in line else decoded(line, f"line {line_no}")
        except UnicodeDecodeError:
            text = decoded(line, f"line {line_no}")
        yield offset, len(line), text


def decoded(line: bytes, place: str) -> str:
    """Text of one line: UTF-8, else Windows-1252. Codes ``unsafe`` (a NUL), ``structure`` (neither encoding)."""
    if b"\0" in line:
        raise refused("unsafe", place, "text", "a NUL byte", _DAMAGED)
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        pass
    try:
        return line.decode("cp1252")
    except UnicodeDecodeError as error:
        found = f"byte 0x{line[error.start]:02x} at {error.start + 1}"
        raise refused("structure", place, "UTF-8 or Windows-1252", found, _DAMAGED) from None


def _byte_lines(stream: BinaryIO, *, bytes_max: int, line_bytes_max: int) -> Iterator[tuple[int, bytes]]:
    """Lines without their ends, by offset. A byte order mark before the first one is skipped."""
    position = 0  # of the first byte of ``rest``
    line_no = 0
    rest = b""
    first = True
    while chunk := stream.read(_CHUNK_BYTES):
        if first and chunk.startswith(codecs.BOM_UTF8):
            chunk, position = chunk[3:], 3
        first = False
        rest += chunk
        if position + len(rest) > bytes_max:
            raise refused("limit", f"byte {bytes_max + 1}", f"at most {bytes_max} bytes", "more", _DAMAGED)
        # bytes.splitlines knows LF, CRLF and CR, and nothing else
        lines = rest.splitlines(keepends=True)
        # a CR may be the first half of a CRLF: the next chunk tells
        rest = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        for ended in lines:
            line_no += 1
            line = ended[:-2] if ended.endswith(b"\r\n") else ended[:-1]
            if len(line) > line_bytes_max:
                raise _too_long(line_no, line_bytes_max)
            yield position, line
            position += len(ended)
        if len(rest.removesuffix(b"\r")) > line_bytes_max:
            raise _too_long(line_no + 1, line_bytes_max)
    if rest:
        yield position, rest.removesuffix(b"\r")


def _too_long(line_no: int, line_bytes_max: int) -> Exception:
    return refused("limit", f"line {line_no}", f"at most {line_bytes_max} bytes", "more", _DAMAGED)
