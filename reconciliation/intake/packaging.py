"""Unpacks a delivery: gzip and zip, within limits. What is inside is what counts; the packing changes nothing.

Law: nothing is written anywhere while unpacking, and nothing grows without a limit: bytes, ratio, members. A workbook
is a zip, too, and stays as it is. Encrypted, nested and damaged archives are refused, with the member's name.
"""

import gzip
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO, Final

from reconciliation.errors import RefusedFile

RATIO_MAX: Final = 500  # statements shrink to a twentieth; a bomb grows a thousandfold
RATIO_COUNTS_FROM_BYTES: Final = 50_000_000  # smaller contents harm nobody
MEMBERS_MAX: Final = 1_000

_GZIP: Final = b"\x1f\x8b"
_ZIP: Final = b"PK\x03\x04"
_WORKBOOK_PART: Final = "[Content_Types].xml"
_ENCRYPTED: Final = 0x1
_CHUNK_BYTES: Final = 1 << 18
_REMEDY: Final = "Have the sender deliver plain, gzip or zip files, one level deep and not encrypted."


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """One file of a delivery. ``package_name`` is the archive it came in, None for a file that came as it is."""

    file_name: str
    package_name: str | None
    stream: BinaryIO  # seekable, and read more than once


def unpacked(stream: BinaryIO, file_name: str, *, bytes_max: int) -> Iterator[Content]:
    """The files of a delivery in the archive's order; a plain file is itself. ``stream`` is seekable.

    Raises:
        RefusedFile: ``unsafe`` (encrypted, nested, bomb), ``limit``, ``truncated`` or ``structure`` (damaged).
    """
    stream.seek(0)
    mark = stream.read(4)
    packed_bytes = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    if mark.startswith(_GZIP):
        inner = file_name.removesuffix(".gz").removesuffix(".GZ") or file_name
        yield _checked(
            _bounded(gzip.GzipFile(fileobj=stream), inner, packed_bytes, bytes_max), inner, file_name
        )
    elif mark == _ZIP:
        yield from _members(stream, file_name, bytes_max)
    else:
        yield Content(file_name=file_name, package_name=None, stream=stream)


def _members(stream: BinaryIO, file_name: str, bytes_max: int) -> Iterator[Content]:
    try:
        archive = zipfile.ZipFile(stream)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
        raise _refused(
            "truncated", "archive", "a whole zip archive", "one that is damaged or cut off"
        ) from None
    infos = archive.infolist()
    if any(info.filename == _WORKBOOK_PART for info in infos):
        stream.seek(0)
        yield Content(file_name=file_name, package_name=None, stream=stream)
        return
    kept = [info for info in infos if not info.is_dir() and not info.filename.startswith("__MACOSX/")]
    if not kept:
        raise _refused("structure", "archive", "at least one file", "none")
    if len(kept) > MEMBERS_MAX:
        raise _refused("limit", "archive", f"at most {MEMBERS_MAX} files", f"{len(kept)}")
    for info in kept:
        name = PurePosixPath(info.filename.replace("\\", "/")).name or "_"
        if info.flag_bits & _ENCRYPTED:
            raise _refused(
                "unsafe", f"member {name[:60]}", "a file that is not encrypted", "an encrypted one"
            )
        try:
            opened = archive.open(info)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError):
            raise _refused("structure", f"member {name[:60]}", "a readable member", "a damaged one") from None
        bounded = _bounded(opened, name, info.compress_size, bytes_max)
        yield _checked(bounded, name, file_name)


def _checked(stream: BinaryIO, name: str, package_name: str) -> Content:
    mark = stream.read(4)
    stream.seek(0)
    if mark.startswith(_GZIP) or mark == _ZIP:
        raise _refused("unsafe", f"member {name[:60]}", "a plain file inside the archive", "another archive")
    return Content(file_name=name, package_name=package_name, stream=stream)


def _bounded(inner: object, name: str, packed_bytes: int, bytes_max: int) -> BinaryIO:
    bounded: BinaryIO = _Bounded(inner, name, packed_bytes, bytes_max)  # type: ignore[assignment]  # what readers use of it
    return bounded


class _Bounded(io.RawIOBase):
    """Reads an unpacking stream; refuses what grows too far and turns its errors into refusals."""

    def __init__(self, inner: object, name: str, packed_bytes: int, bytes_max: int) -> None:
        self._inner: BinaryIO = inner  # type: ignore[assignment]  # GzipFile and ZipExtFile
        self._name = name
        self._bytes_max = min(bytes_max, max(RATIO_COUNTS_FROM_BYTES, packed_bytes * RATIO_MAX))

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Up to ``size`` bytes; all of them, within the limit, without."""
        if size is None or size < 0:
            parts = []
            while part := self.read(_CHUNK_BYTES):
                parts.append(part)
            return b"".join(parts)
        return self._taken(lambda: self._inner.read(size))

    def readline(self, size: int | None = -1) -> bytes:
        """The next line, or ``size`` bytes of it."""
        return self._taken(lambda: self._inner.readline(-1 if size is None else size))

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; back means unpacking anew from the start."""
        return self._inner.seek(offset, whence)

    def tell(self) -> int:
        """How many bytes were unpacked up to here."""
        return self._inner.tell()

    def _taken(self, read: Callable[[], bytes]) -> bytes:
        try:
            part = read()
        except EOFError:
            raise _refused("truncated", self._name[:60], "the archive's end", "it cut off") from None
        except (OSError, zlib.error, zipfile.BadZipFile) as error:
            found = type(error).__name__
            raise _refused("structure", self._name[:60], "an undamaged archive", found) from None
        if self._inner.tell() > self._bytes_max:
            raise _refused("limit", self._name[:60], f"at most {self._bytes_max} bytes unpacked", "more")
        return part


def _refused(code: str, place: str, expected: str, found: str) -> RefusedFile:
    return RefusedFile(code=code, place=place, expected=expected, found=found, remedy=_REMEDY)
