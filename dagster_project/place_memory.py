"""What is remembered of a source's place between looks: what lay there, since when, and what was fetched.

Law: one process at a time looks at a place, and the memory is replaced in one step. It is a convenience and no record:
lost or damaged it costs fetching again what is still there, which is a redelivery and changes nothing.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dagster_project.settings import Settings
from reconciliation.sources import Source


@dataclass(slots=True, kw_only=True)
class Memory:
    """``seen`` maps a name to its mark (size, time of change, tag), its size, and since when it has had that mark;
    ``fetched`` to the mark it was fetched with. ``failures`` counts the looks that failed since one did not.
    """

    place: str
    seen: dict[str, tuple[str, int, float]] = field(default_factory=dict)
    fetched: dict[str, str] = field(default_factory=dict)
    looked_at: float = 0.0
    failures: int = 0


def memory_of(settings: Settings, source: Source) -> Memory:
    """What is remembered of a source's place; nothing of another place it had before, nor of what cannot be read."""
    fresh = Memory(place=source.files.place or "")
    try:
        told: Any = json.loads(_path(settings, source).read_text(encoding="utf-8"))
        known = Memory(**told)
        known.seen = {
            name: (str(mark), int(size), float(since)) for name, (mark, size, since) in known.seen.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return fresh
    return known if known.place == fresh.place else fresh


def keep(settings: Settings, source: Source, memory: Memory) -> None:
    """Remember; in one step, and on disk before anything counts on it."""
    path = _path(settings, source)
    draft = path.with_name(f".{path.name}.draft")
    with draft.open("w", encoding="utf-8") as file:
        json.dump(asdict(memory), file, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


@contextlib.contextmanager
def alone(settings: Settings, source: Source) -> Iterator[bool]:
    """Whether nobody else looks at the source's place now; until the block ends, nobody else does."""
    path = _path(settings, source).with_suffix(".lock")
    path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def _path(settings: Settings, source: Source) -> Path:
    return settings.state / "places" / f"{source.id}.json"
