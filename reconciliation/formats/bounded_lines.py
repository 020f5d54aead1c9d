"""Lines of a delimited text file, bounded and decoded without mercy, for the ``csv`` module.

Law: no byte is dropped or guessed. Lines are UTF-8 (a byte order mark is let through), hold no NUL, have a length limit
and are ended, the last one too: a file cut inside a row is never read. The ``csv`` module checks none of this.
"""

import codecs
from collections.abc import Iterator
from typing import BinaryIO

from reconciliation.errors import RefusedFile


def bounded_lines(stream: BinaryIO, *, bytes_max: int, line_bytes_max: int) -> Iterator[str]:
    """Each line with its end. Codes: ``limit``, ``unsafe``, ``structure`` (not UTF-8), ``truncated``."""
    bytes_read = 0
    line_no = 0
    while line := stream.readline(line_bytes_max + 1):
        line_no += 1
        bytes_read += len(line)
        place = f"line {line_no}"
        if len(line) > line_bytes_max:
            raise _refused("limit", place, f"at most {line_bytes_max} bytes", "more")
        if bytes_read > bytes_max:
            raise _refused("limit", place, f"at most {bytes_max} bytes in all", "more")
        if b"\0" in line:
            raise _refused("unsafe", place, "text", "a NUL byte")
        if not line.endswith(b"\n"):
            raise _refused("truncated", place, "a line that is ended", "the end of the file inside it")
        try:
            yield (line.removeprefix(codecs.BOM_UTF8) if line_no == 1 else line).decode("utf-8")
        except UnicodeDecodeError as error:
            found = f"byte 0x{line[error.start]:02x} at {error.start + 1}"
            raise _refused("structure", place, "UTF-8", found) from None


def _refused(code: str, place: str, expected: str, found: str) -> RefusedFile:
    return RefusedFile(
        code=code,
        place=place,
        expected=expected,
        found=found,
        remedy="The file is damaged, incomplete or another one; fetch it again from the sender.",
    )
