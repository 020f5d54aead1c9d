"""Keeps the bytes of every delivery, by their digest, in a folder or an object store; card numbers excepted.

Law: what is kept is what was delivered, byte for byte and place for place, but for the middle digits of card numbers,
so that a line's byte offset finds its record years later. An object is written once and never replaced. Content that
cannot be redacted safely is not kept. The filesystem comes from the shell (any that `fsspec` knows).
"""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from reconciliation.errors import RefusedFile, StoreUnavailable, UnknownItem
from reconciliation.formats.redaction import redacted

RECORD_BYTES_MAX: Final = 1 << 20
_CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryStore:
    """Objects below ``folder`` of an `fsspec` filesystem."""

    filesystem: Any  # fsspec has no types
    folder: str
    draft_suffix: str = ""  # what tells this process's drafts from those of others

    def keep(
        self, content_sha256: str, stream: BinaryIO, format_name: str, tables: Mapping[str, str]
    ) -> bool:
        """Keep what a stream holds, redacted by the source's own tables. Safe to repeat and to be killed in.

        Returns:
            Whether it is kept; False where it could not be redacted, or is not what ``content_sha256`` says: then
            somebody wrote into it meanwhile.

        Raises:
            StoreUnavailable: the place cannot be written.
        """
        path = self._path(content_sha256)
        try:
            if self.filesystem.exists(path):
                return True
            self.filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
            draft = f"{path}.draft{self.draft_suffix}"
            try:
                with self.filesystem.open(draft, "wb") as file:
                    for part in redacted(stream, format_name, tables):
                        file.write(part)
                unchanged = _digest(stream) == content_sha256
            except RefusedFile:
                unchanged = False
            if not unchanged:
                self.filesystem.rm(draft)
                return False
            self.filesystem.mv(draft, path)
        except OSError as error:
            raise StoreUnavailable(
                f"delivery store: expected to keep {content_sha256[:12]}…, found {type(error).__name__}; nothing was "
                "taken in. Make the place of TIEOUT_STORE writable and take the file in again."
            ) from error
        return True

    def holds(self, content_sha256: str) -> bool:
        """Whether the content is kept."""
        return bool(self.filesystem.exists(self._path(content_sha256)))

    def record(self, content_sha256: str, *, byte_offset: int, byte_length: int) -> bytes:
        """The bytes of one record.

        Raises:
            UnknownItem: the content is not kept.
        """
        if not self.holds(content_sha256):
            raise UnknownItem(f"content {content_sha256}: expected it in the store, found none")
        with self.filesystem.open(self._path(content_sha256), "rb") as file:
            file.seek(byte_offset)
            return bytes(file.read(min(byte_length, RECORD_BYTES_MAX)))

    def whole(self, content_sha256: str) -> BinaryIO | None:
        """The content as it was delivered; None where it is not kept, or was redacted and so is not the same."""
        if not self.holds(content_sha256):
            return None
        with self.filesystem.open(self._path(content_sha256), "rb") as file:
            content = bytes(file.read())
        return io.BytesIO(content) if hashlib.sha256(content).hexdigest() == content_sha256 else None

    def _path(self, content_sha256: str) -> str:
        return f"{self.folder.rstrip('/')}/{content_sha256[:2]}/{content_sha256}"


def _digest(stream: BinaryIO) -> str:
    stream.seek(0)
    digest = hashlib.sha256()
    while chunk := stream.read(_CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()
