"""Files fetched from where a source leaves them: a folder, an object store, an SFTP server, by `fsspec`.

Law: what is fetched is whole. A file counts when it is no draft, has its marker where one is agreed, and looked the
same at two looks; it is copied under a draft's name, and gets its own only when it has the size that was listed and the
listing still says the same. What was fetched is remembered by name, size and time or tag, so a place that may only be
read is not read again, and a file that was corrected under its name is. Nothing is changed at the place. A kill at any
point loses nothing: what is fetched twice is a redelivery. A place that fails is told of once a day, and stops nothing.
"""

import contextlib
import fnmatch
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, BinaryIO, Final

from dagster_project.errors import PlaceError, SettingsError
from dagster_project.place_access import (
    FOLDERS_ARE_REAL,
    GET_IN,
    closed,
    opened,
    options_of,
    problem_of,
    protocol_of,
    read_places,
    within,
    without_user,
)
from dagster_project.place_memory import Memory, alone, keep, memory_of
from dagster_project.project import Project, deliver_alerts
from ledger_core.sql import translated_errors
from reconciliation.alerts import Alert, write_alerts
from reconciliation.file_schedule import FileSchedule
from reconciliation.sources import Source

DRAFT_ENDINGS: Final = (".part", ".partial", ".tmp", ".temp", ".filepart", ".crdownload", ".writing", "~")
LOOK_SECONDS: Final = 20  # for connecting, and for listing; a sensor's tick has a minute
LOOK_EVERY_SECONDS: Final = 60  # for sensors; banks lock out who knocks too often
HOLD_OFF_SECONDS_MAX: Final = 3600  # after failures in a row
ASK_AGAIN_SECONDS: Final = 3600  # what a run could not fetch is asked for again
TURN_SECONDS: Final = 60  # how long a run waits for another look at the place to end
FAILURES_MAX: Final = 3  # copies in one look: a server that is gone is not asked five hundred times
_BACKDATED_NS: Final = 60 * 10**9
_CHUNK_BYTES: Final = 1 << 18
_NAME_BYTES_MAX: Final = 200
_CHANGED: Final = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")
_TAGS: Final = ("ETag", "etag", "md5Hash", "content_md5")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileState:
    """What tells a file from what it was before, without reading it."""

    size: int
    modified_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a look found: files fetched now, and those at rest at the place that a run has still to fetch."""

    fetched: tuple[Path, ...] = ()
    waiting: Mapping[str, FileState] = field(default_factory=lambda: MappingProxyType({}))
    problems: tuple[PlaceError, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """A file as the place lists it."""

    path: str
    size: int
    mark: str


def is_draft(name: str) -> bool:
    """Whether a name is one of those that a file has while it is being written."""
    return name.startswith(".") or name.casefold().endswith(DRAFT_ENDINGS)


def is_whole(name: str, files: FileSchedule, *, is_there: Callable[[str], bool], marked: bool = True) -> bool:
    """Whether a file is no draft, no marker, and has its marker beside it where one is agreed and it is ``marked``."""
    if is_draft(name):
        return False
    marker = files.ready_marker
    return marker is None or (not name.endswith(marker) and (not marked or is_there(f"{name}{marker}")))


def look(project: Project, source: Source, *, at_rest_seconds: int) -> Look:
    """What waits at a source's place, for sensors: copies nothing, is over in seconds, and does not knock too often."""
    if source.files.place is None:
        return Look()
    with alone(project.settings, source) as is_alone:
        memory = memory_of(project.settings, source)
        now = time.time()
        hold_off = min(LOOK_EVERY_SECONDS << min(memory.failures, 10), HOLD_OFF_SECONDS_MAX)
        problems: tuple[PlaceError, ...] = ()
        if is_alone and abs(now - memory.looked_at) >= hold_off:
            try:
                with _opened(project, source) as filesystem:
                    listed = _listed(filesystem, source)
                _remember(memory, listed)
                problems = _too_large(source, listed)
            except PlaceError as problem:
                memory.failures += 1
                problems = (problem,)
            memory.looked_at = now
            keep(project.settings, source, memory)
        ready = _ready(memory, at_rest_seconds, source) if not memory.failures else {}
    _tell(project, source, problems)
    hour = int(now // ASK_AGAIN_SECONDS)
    return Look(waiting={name: _asked(mark, hour) for name, mark in ready.items()}, problems=problems)


def fetch(project: Project, source: Source, *, at_rest_seconds: int) -> Look:
    """Copy what is new and at rest at a source's place into its landing folder, for runs.

    What was not seen before is looked at twice, ``at_rest_seconds`` apart; with 0 one look is enough.
    """
    if source.files.place is None:
        return Look()
    for _ in range(TURN_SECONDS):
        with alone(project.settings, source) as is_alone:
            if is_alone:
                found = _fetched(project, source, at_rest_seconds)
                break
        time.sleep(1)
    else:
        return Look(problems=(_busy(source),))
    _tell(project, source, found.problems)
    return found


def free_name(path: Path, *, pattern: str = "*") -> Path | None:
    """The path itself, or the first numbered variant that does not exist; its ending and its date stay as they are.

    None where a numbered name would not be of the pattern.
    """
    packed = path.suffix.casefold() in (".gz", ".zip") and PurePosixPath(path.stem).suffix
    ending = f"{packed or ''}{path.suffix}"
    stem = path.name.removesuffix(ending)
    candidate, number = path, 1
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{stem}.{number}{ending}")
    return candidate if candidate == path or fnmatch.fnmatchcase(candidate.name, pattern) else None


def _fetched(project: Project, source: Source, at_rest_seconds: int) -> Look:
    memory = memory_of(project.settings, source)
    memory.looked_at = time.time()
    landing = project.settings.landing / source.id
    landing.mkdir(parents=True, exist_ok=True)
    for left in landing.glob(".*.fetching"):
        left.unlink(missing_ok=True)  # of a fetch that was killed; nobody else fetches now
    paths: list[Path] = []
    problems: list[PlaceError] = []
    try:
        with _opened(project, source) as filesystem:
            listed = _listed(filesystem, source)
            _remember(memory, listed)
            if len(_ready(memory, at_rest_seconds, source)) < len(_ready(memory, 0, source)):
                time.sleep(at_rest_seconds)
                listed = _listed(filesystem, source)
                _remember(memory, listed)
            problems += _too_large(source, listed)
            wanted = sorted(_ready(memory, at_rest_seconds, source))[: source.files.files_max]
            drafts = _copied(
                filesystem, source, {name: listed[name] for name in wanted}, landing, problems=problems
            )
            if drafts:
                paths = _renamed(drafts, listed, _listed(filesystem, source), memory, source)
    except PlaceError as problem:
        memory.failures += 1
        problems.append(problem)
    keep(project.settings, source, memory)
    return Look(fetched=tuple(paths), problems=tuple(problems))


@contextlib.contextmanager
def _opened(project: Project, source: Source) -> Iterator[Any]:
    """The filesystem of a source's place, open until the block ends."""
    place = source.files.place or ""
    try:
        options = options_of(place, read_places(project.settings.places_file))
    except SettingsError as error:
        raise PlaceError(f"source {source.id}: {error}") from None
    try:
        filesystem = within(LOOK_SECONDS, lambda: opened(place, options))
    except Exception as failure:  # noqa: BLE001 - any library may stand behind a URL; its words may hold a secret
        raise problem_of(source.id, place, GET_IN, failure) from None
    try:
        yield filesystem
    finally:
        closed(filesystem)


def _listed(filesystem: Any, source: Source) -> dict[str, _Entry]:
    """The files at a source's place that count, by name."""
    place = source.files.place or ""
    folder = str(filesystem._strip_protocol(place))

    def entries() -> list[dict[str, Any]]:
        filesystem.invalidate_cache()
        try:
            return list(filesystem.ls(folder, detail=True))
        except FileNotFoundError:
            bucket = folder.strip("/").partition("/")[0]
            if protocol_of(place) not in FOLDERS_ARE_REAL and bucket and filesystem.exists(bucket):
                return []
            raise

    try:
        found = within(LOOK_SECONDS, entries)
    except Exception as failure:  # noqa: BLE001 - see _opened
        raise problem_of(source.id, place, "list what is there", failure) from None
    named = {PurePosixPath(str(entry["name"])).name: entry for entry in found if entry.get("type") == "file"}
    return {
        name: _Entry(path=str(entry["name"]), size=int(entry.get("size") or 0), mark=_mark(entry))
        for name, entry in named.items()
        if fnmatch.fnmatchcase(name, source.files.pattern)
        and is_whole(name, source.files, is_there=named.__contains__)
        and name.isprintable()
        and len(name.encode()) <= _NAME_BYTES_MAX
    }


def _mark(entry: Mapping[str, Any]) -> str:
    """Size, time of change and tag of a file, as far as its place tells them."""
    changed = next((entry[key] for key in _CHANGED if entry.get(key) is not None), "")
    tag = next((entry[key] for key in _TAGS if entry.get(key) is not None), "")
    return f"{entry.get('size')}|{changed.isoformat() if isinstance(changed, datetime) else changed}|{tag}"


def _remember(memory: Memory, listed: Mapping[str, _Entry]) -> None:
    """Note what lies there; a file that is not as it was at the last look begins its rest anew."""
    now = time.time()
    known = memory.seen
    memory.seen = {
        name: known[name] if name in known and known[name][0] == entry.mark else (entry.mark, entry.size, now)
        for name, entry in listed.items()
    }
    memory.fetched = {name: mark for name, mark in memory.fetched.items() if name in listed}
    memory.failures = 0


def _ready(memory: Memory, at_rest_seconds: int, source: Source) -> dict[str, tuple[str, int]]:
    """Mark and size of what is new, not too large, and has been the same for so long."""
    now = time.time()
    return {
        name: (mark, size)
        for name, (mark, size, since) in memory.seen.items()
        if memory.fetched.get(name) != mark
        and size <= source.files.bytes_max
        and abs(now - since) >= at_rest_seconds
    }


def _copied(
    filesystem: Any,
    source: Source,
    wanted: Mapping[str, _Entry],
    landing: Path,
    *,
    problems: list[PlaceError],
) -> dict[str, Path]:
    """Drafts of files by name, each as long as it was listed; what could not be copied is added to ``problems``."""
    drafts: dict[str, Path] = {}
    failures = 0
    for name, entry in wanted.items():
        draft = landing / f".{name}.fetching"
        try:
            if _copy(filesystem, entry, draft):
                drafts[name] = draft
        except Exception as failure:  # noqa: BLE001 - see _opened
            problems.append(problem_of(source.id, source.files.place or "", f"read {name}", failure))
            failures += 1
        if name not in drafts:
            draft.unlink(missing_ok=True)
        if failures == FAILURES_MAX:
            break
    return drafts


def _copy(filesystem: Any, entry: _Entry, draft: Path) -> bool:
    """Whether the draft has come out as long as was listed; never longer than that by more than a chunk."""
    with filesystem.open(entry.path, "rb") as remote, draft.open("wb") as local:
        prefetch = getattr(remote, "prefetch", None)
        if prefetch is not None and entry.size:
            prefetch(entry.size)  # SFTP: else each 32 kB waits for the way there and back
        copied = _pour(remote, local, bytes_max=entry.size)
        local.flush()
        os.fsync(local.fileno())
    return copied == entry.size


def _pour(remote: Any, local: BinaryIO, *, bytes_max: int) -> int:
    copied = 0
    while copied <= bytes_max and (chunk := remote.read(_CHUNK_BYTES)):
        local.write(chunk)
        copied += len(chunk)
    return copied


def _renamed(
    drafts: Mapping[str, Path],
    before: Mapping[str, _Entry],
    after: Mapping[str, _Entry],
    memory: Memory,
    source: Source,
) -> list[Path]:
    """Give the drafts their names where the place still tells the same of them; else they wait for another look."""
    _remember(memory, after)
    paths = []
    backdated = time.time_ns() - _BACKDATED_NS  # it was at rest there, and need not rest again here
    for name, draft in drafts.items():
        target = free_name(draft.with_name(name), pattern=source.files.pattern)
        if target is None or name not in after or after[name].mark != before[name].mark:
            draft.unlink(missing_ok=True)
            continue
        os.utime(draft, ns=(backdated, backdated))
        draft.rename(target)
        memory.fetched[name] = after[name].mark
        paths.append(target)
    return paths


def _asked(found: tuple[str, int], hour: int) -> FileState:
    """A state that changes with the file's mark, and each hour for as long as it waits."""
    mark, size = found
    digest = hashlib.sha256(f"{mark} {hour}".encode()).digest()
    return FileState(size=size, modified_ns=int.from_bytes(digest[:6]))


def _too_large(source: Source, listed: Mapping[str, _Entry]) -> tuple[PlaceError, ...]:
    return tuple(
        PlaceError(
            f"source {source.id}, files.place {without_user(source.files.place or '')}: expected {name} to have at "
            f"most {source.files.bytes_max} bytes, found {entry.size}; raise bytes_max of the source's files, or have "
            "it split."
        )
        for name, entry in sorted(listed.items())
        if entry.size > source.files.bytes_max
    )


def _busy(source: Source) -> PlaceError:
    return PlaceError(
        f"source {source.id}, files.place {without_user(source.files.place or '')}: expected to be the only one who "
        f"looks, found another look that did not end in {TURN_SECONDS} seconds; it fetches what is there."
    )


def _tell(project: Project, source: Source, problems: tuple[PlaceError, ...]) -> None:
    """An alert of what a place does, once a day and source."""
    if not problems:
        return
    today = datetime.now(source.zone).date()
    alert = Alert(
        cause_key=f"place:{source.id}:{today}",
        source_id=source.id,
        business_date=None,
        severity="high",
        title=f"{source.id}: files cannot be fetched from their place",
        body="\n".join(str(problem) for problem in problems[:FAILURES_MAX]),
        item_count=1,
    )
    with translated_errors(), project.database.session("tieout_matcher") as connection:
        written = write_alerts(connection, [alert])
    if written:
        deliver_alerts(project)
