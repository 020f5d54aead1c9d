"""One archive of many files, the same bytes whenever the same files go in, with a manifest and a sweep for cards.

Laws: names in order, one fixed time, one fixed way of packing; each file is measured and swept as it goes by, so that
no file is held in memory; what reads as a card number ends the work (the caller takes the draft away). The manifest is
the last file and names size and digest of all the others.
"""

import contextlib
import hashlib
import json
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO, Final, Self, cast

import numpy as np

from reconciliation.errors import ReconciliationError
from reconciliation.formats.card_numbers import holds_track_data
from reconciliation.intake.card_sweep import without_cards

MANIFEST: Final = "manifest.json"
SWEEP: Final = "card_sweep.json"
LAYOUT: Final = "tieout pack 1"
_LAST: Final = (SWEEP, MANIFEST)
_PACKED_AT: Final = (1980, 1, 1, 0, 0, 0)  # the first instant that a zip can name
_LEVEL: Final = 1  # half the time of the usual level, and a tenth more bytes
_PLAIN_FILE: Final = 0o100644 << 16
_UNIX: Final = 3
_KEPT_BACK: Final = 512  # more than the longest number with its groups, and a track
_LONGEST_LINE: Final = 1 << 22
_LABELS: Final = (b"cvv", b"cvc", b"cav2", b"cvn", b"card verification")
_DIGITS_MIN: Final = 13
_DIGIT, _BETWEEN = 1, 2
# Digits, and what parts their groups: a blank, a dash, and every byte of the longer characters that do.
_CLASSES: Final = np.array(
    [_DIGIT if 48 <= byte <= 57 else _BETWEEN if byte >= 128 or byte in b" -" else 0 for byte in range(256)],
    dtype=np.uint8,
)


class CardNumberFound(ReconciliationError):
    """A file that was to leave the house holds what reads as a card number; it was not written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """One file of the archive; ``knowledge`` is ``known_at`` where its bytes are bound by it, else ``as found``."""

    path: str
    bytes: int
    sha256: str
    knowledge: str


class Archive:
    """Writes an archive; files must come in the order of their names, and ``finish`` writes the last two."""

    def __init__(self, out: BinaryIO) -> None:
        self._zip = zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL)
        self._packed: list[Packed] = []
        self._swept_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the stream, also where the work ended half-way."""
        self._zip.close()

    @contextlib.contextmanager
    def file(self, path: str, *, knowledge: str = "known_at") -> Iterator[BinaryIO]:
        """A stream to write one file to.

        Raises:
            ValueError: the name does not come behind the last one.
            CardNumberFound: what was written reads as a card number.
        """
        if path in _LAST or (self._packed and path <= self._packed[-1].path):
            raise ValueError(
                f"{path}: expected a name behind {self._packed[-1].path if self._packed else ''}"
            )
        with self._member(path, knowledge) as stream:
            yield stream

    def text(self, path: str, text: str, *, knowledge: str = "known_at") -> None:
        """One file of a text."""
        with self.file(path, knowledge=knowledge) as stream:
            stream.write(text.encode())

    def value(self, path: str, value: object, *, knowledge: str = "known_at") -> None:
        """One file of a value in JSON, keys in order."""
        self.text(path, plain_json(value), knowledge=knowledge)

    def finish(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Write the report of the sweep and the manifest; returns the manifest."""
        report = {
            "what": "every file of this pack but this one and the manifest, as it was written",
            "looked_for": "13 to 19 digits, in one run or grouped, with prefix and length of a card scheme and a good"
            " check digit; tracks; labelled verification codes",
            "files": len(self._packed),
            "bytes": self._swept_bytes,
            "found": 0,  # a find ends the work
        }
        with self._member(SWEEP, "known_at") as stream:
            stream.write(plain_json(report).encode())
        manifest = {
            "layout": LAYOUT,
            "inputs": inputs,
            "inputs_sha256": hashlib.sha256(plain_json(inputs).encode()).hexdigest(),
            "files": [asdict(packed) for packed in self._packed],
        }
        with self._member(MANIFEST, "known_at") as stream:
            stream.write(plain_json(manifest).encode())
        return manifest

    @contextlib.contextmanager
    def _member(self, path: str, knowledge: str) -> Iterator[BinaryIO]:
        info = zipfile.ZipInfo(path, _PACKED_AT)
        info.compress_type = zipfile.ZIP_DEFLATED
        info.external_attr = _PLAIN_FILE
        info.create_system = _UNIX
        with self._zip.open(info, "w", force_zip64=True) as stream:
            measured = _Measured(path, cast(BinaryIO, stream))
            yield cast(BinaryIO, measured)
            measured.end()
        self._swept_bytes += measured.size
        self._packed.append(
            Packed(path=path, bytes=measured.size, sha256=measured.sha256.hexdigest(), knowledge=knowledge)
        )


class _Measured:
    """A stream that measures, digests and sweeps what goes through."""

    def __init__(self, path: str, out: BinaryIO) -> None:
        self._path = path
        self._out = out
        self._rest = b""
        self._line = 1
        self.size = 0
        self.sha256 = hashlib.sha256()
        self.closed = False

    def write(self, data: bytes) -> int:
        """Write on."""
        data = bytes(data)
        self.size += len(data)
        self.sha256.update(data)
        self._out.write(data)
        self._rest += data
        if len(self._rest) > 1 << 20:
            self._sweep(last=False)
        return len(data)

    def flush(self) -> None:
        """Nothing waits here."""

    def writable(self) -> bool:
        """It is."""
        return True

    def end(self) -> None:
        """Sweep what is left."""
        self._sweep(last=True)

    def _sweep(self, *, last: bool) -> None:
        cut = len(self._rest)
        if not last:
            cut = self._rest.rfind(b"\n") + 1
            if not cut and len(self._rest) > _LONGEST_LINE:
                cut = len(self._rest) - _KEPT_BACK
        part, self._rest = self._rest[:cut], self._rest[cut:]
        for number, line in _suspect_lines(part):
            if holds_card(line.decode(errors="replace")):
                raise CardNumberFound(
                    f"{self._path}, line {self._line + number}: expected no card number in a file that leaves the"
                    " house, found what reads as one; nothing was written. Look at that row, and who wrote it."
                )
        self._line += part.count(b"\n")


def _suspect_lines(part: bytes) -> Iterator[tuple[int, bytes]]:
    """Lines that need the exact look, with their numbers from 0: with digits enough in a row, or a label."""
    places = _long_runs(part)
    lowered = part.lower()
    for label in _LABELS:
        at = lowered.find(label)
        while at >= 0:
            places.append(at)
            at = lowered.find(label, at + 1)
    number, counted, end = 0, 0, -1
    for at in sorted(places):
        if at < end:
            continue  # in the line that was looked at
        start = part.rfind(b"\n", 0, at) + 1
        end = part.find(b"\n", at)
        end = len(part) if end < 0 else end
        number, counted = number + part.count(b"\n", counted, start), start
        yield number, part[start:end]


def _long_runs(part: bytes) -> list[int]:
    """Where runs begin that hold as many digits as a card number: digits, and what may part their groups."""
    classes = _CLASSES[np.frombuffer(part, dtype=np.uint8)]
    inside = np.concatenate(([False], classes != 0, [False]))
    edges = np.flatnonzero(inside[1:] != inside[:-1])
    starts, ends = edges[::2], edges[1::2]
    long = ends - starts >= _DIGITS_MIN
    starts, ends = starts[long], ends[long]
    if not len(starts):
        return []
    digits = np.concatenate(([0], np.cumsum(classes == _DIGIT)))
    found: list[int] = starts[digits[ends] - digits[starts] >= _DIGITS_MIN].tolist()
    return found


def holds_card(text: str) -> bool:
    """Whether a text holds what reads as a card number, a track or a labelled verification code."""
    return without_cards(text) != text or holds_track_data(text) is not None


def plain_json(value: object) -> str:
    """JSON for people and machines: keys in order, one item a line."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, indent=1) + "\n"
