"""Files that arrive: looked at, taken in, put aside; refused ones released; the bytes of a line found again.

Law: each delivery is one transaction, so a killed one did not happen and is simply taken in again. A file that may
still be being written is left alone, and nothing that was put aside is ever overwritten.
"""

import contextlib
import hashlib
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO

from dagster_project.acting import acting
from dagster_project.places import FileState, fetch, free_name, is_whole
from dagster_project.project import Project, read_options
from ledger_core.sql import translated_errors
from reconciliation.errors import REFUSALS_OF_PEOPLE, ChangedFile, UnknownItem
from reconciliation.intake.deliveries import find_delivery, find_line_record, release_delivery
from reconciliation.intake.delivery import DeliveryOutcome, take_in
from reconciliation.sources import Source

_DATE_IN_NAME = re.compile(r"(?<!\d)(\d{4})-?(\d{2})-?(\d{2})(?!\d)")
TAKEN, REFUSED = "taken", "refused"


def date_in_name(file_name: str) -> date | None:
    """The date a file name carries as YYYY-MM-DD or YYYYMMDD; None if it carries none."""
    for year, month, day in _DATE_IN_NAME.findall(file_name):
        try:
            return date(int(year), int(month), int(day))
        except ValueError:
            continue
    return None


def ingest(
    project: Project,
    source: Source,
    path: Path,
    *,
    for_date: date | None = None,
    format_name: str | None = None,
) -> tuple[DeliveryOutcome, ...]:
    """Take a delivery in, whole or not at all: a file, or an archive of several.

    Each outcome says accepted, redelivered, corrected or rejected and why.

    Raises:
        ChangedFile: somebody wrote into the file while it was being read; nothing of it was taken in.
    """
    with path.open("rb") as stream:
        before = _written(stream)

        def demand_unchanged() -> None:
            if _written(stream) != before:
                raise ChangedFile(
                    f"{path.name}: expected a file that nobody writes to, found that it changed while it was read; "
                    "nothing was taken in. Deliver it again once it is written, or have it renamed into place."
                )

        for_date = for_date or date_in_name(path.name)
        return _ingest(
            project, source, stream, path.name, for_date=for_date, format_name=format_name, proof=demand_unchanged
        )


def _ingest(
    project: Project,
    source: Source,
    stream: BinaryIO,
    file_name: str,
    *,
    for_date: date | None,
    format_name: str | None = None,
    proof: Callable[[], None] = lambda: None,
) -> tuple[DeliveryOutcome, ...]:
    """Take in what a stream holds; all of it is undone where ``proof`` raises at the end."""
    options = read_options(project, source)
    with translated_errors(), project.database.session("tieout_intake") as connection:
        outcomes = take_in(
            connection,
            source=source,
            file_name=file_name,
            stream=stream,
            options=options,
            for_date=for_date,
            format_name=format_name,
            received_on=datetime.now(source.zone).date(),
            store=project.store,
        )
        proof()
        return outcomes


def landed(project: Project, source: Source, *, at_rest_seconds: int = 0) -> dict[Path, FileState]:
    """Files of a source that lie in its landing folder and were left alone for so long, in the order of their names.

    Drafts are left alone, by their names. Files that are put here need their marker where one is agreed; those that
    are fetched have proved it at their place.
    """
    folder = project.settings.landing / source.id
    now = time.time()
    marked = source.files.place is None
    found = ((path, _state_of(path)) for path in sorted(folder.glob(source.files.pattern)))
    return {
        path: state
        for path, state in found
        if state is not None
        and is_whole(path.name, source.files, is_there=partial(_lies_beside, path), marked=marked)
        and abs(now - state.modified_ns / 1e9) >= at_rest_seconds
    }


def ingest_landed(
    project: Project,
    source: Source,
    *,
    at_rest_seconds: int = 0,
    warn: Callable[[str], None] = lambda _: None,
) -> Iterator[tuple[Path, DeliveryOutcome]]:
    """Fetch what waits at the source's place, take in all that lies in the landing folder, and put it aside under
    ``taken`` or ``refused``. What is wrong with the place is said to ``warn``, and keeps nothing from being taken in.

    A kill between the two is harmless: the file is a redelivery the next time, which changes nothing. A file that
    another process has put aside meanwhile is left to it; one that was replaced while it was read stays for next time.
    """
    for problem in fetch(project, source, at_rest_seconds=at_rest_seconds).problems:
        warn(str(problem))
    for path, state in landed(project, source, at_rest_seconds=at_rest_seconds).items():
        try:
            outcomes = ingest(project, source, path)
        except FileNotFoundError:
            continue
        except ChangedFile as changed:
            warn(str(changed))
            continue
        aside = path.parent / (REFUSED if any(outcome.refusal for outcome in outcomes) else TAKEN)
        if _state_of(path) == state:
            _put_aside(path, aside)
            if source.files.ready_marker is not None:
                _put_aside(path.with_name(f"{path.name}{source.files.ready_marker}"), aside)
        for outcome in outcomes:
            yield path, outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """A decision on a refused delivery, in words, and what became of its files after it."""

    decision: str
    outcomes: tuple[DeliveryOutcome, ...]


def release(
    project: Project, delivery_id: int, *, reason: str, actor: str, path: Path | None = None
) -> Released:
    """Waive the proof that a refused delivery failed, and take the same bytes in again.

    The bytes come from ``path``, or from the files put aside as refused, or from the store where nothing in them had to
    be masked. The decision stays, whether they are found or not; the first one holds.

    Raises:
        UnknownItem: no such delivery, or its bytes are nowhere.
        StoreError: the delivery was not refused, or for a reason that cannot be waived.
    """
    with translated_errors(REFUSALS_OF_PEOPLE), acting(project.database, actor) as connection:
        release_delivery(connection, delivery_id, reason=reason)
    with project.database.session("tieout_auditor") as connection:
        row = find_delivery(connection, delivery_id)
    decision = f"delivery {delivery_id}: {row['refusal_code']} waived by {row['released_by']}: {row['release_reason']}"
    if (row["released_by"], row["release_reason"]) != (actor.strip().lower(), reason):
        decision += "; that was decided before, and stays"
    source = project.sources[row["source"]]
    aside = project.settings.landing / source.id / REFUSED
    candidates = [path] if path else sorted(aside.iterdir()) if aside.is_dir() else []
    for candidate in candidates:
        if _digest(candidate) == row["file_sha256"]:
            outcomes = ingest(project, source, candidate, for_date=row["for_date"])
            if path is None and not any(outcome.refusal for outcome in outcomes):
                _put_aside(candidate, aside.with_name(TAKEN))
            return Released(decision=decision, outcomes=outcomes)
    kept = None
    if path is None and row["package_name"] is None and project.store is not None:
        kept = project.store.whole(row["content_sha256"])
    if kept is not None:
        outcomes = _ingest(project, source, kept, row["file_name"], for_date=row["for_date"])
        return Released(decision=decision, outcomes=outcomes)
    name = row["package_name"] or row["file_name"]
    place = f"in {path}, found other ones" if path else f"in {aside} or in the store, found them in neither"
    raise UnknownItem(
        f"{decision}; expected the bytes of {name} (SHA-256 {row['file_sha256'][:12]}…) {place}. The decision is "
        f"recorded: deliver that file again, or name it with --file, and it will be taken in and flagged."
    )


def stored_record(project: Project, source: Source, line_key: str) -> bytes:
    """The bytes that a line was read from, out of the store.

    Raises:
        UnknownItem: no such line, its standard has no byte positions, or the content is not kept.
    """
    with project.database.session("tieout_auditor") as connection:
        row = find_line_record(connection, source.id, line_key)
    if project.store is None or row["byte_offset"] is None or row["byte_length"] is None:
        raise UnknownItem(
            f"line {line_key!r}: expected a place in the stored bytes of {row['file_name']}, found none; "
            f"it is record {row['record_no']} there"
        )
    return project.store.record(
        row["content_sha256"], byte_offset=row["byte_offset"], byte_length=row["byte_length"]
    )


def _written(stream: BinaryIO) -> tuple[int, int]:
    """Size and time of the last write to an open file, wherever its name leads meanwhile."""
    found = os.fstat(stream.fileno())
    return found.st_size, found.st_mtime_ns


def _state_of(path: Path) -> FileState | None:
    """Size and time of a file's last change; None when it is no file, or not there any more."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return (
        FileState(size=found.st_size, modified_ns=found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None
    )


def _digest(path: Path) -> str | None:
    """The SHA-256 of a file; None when it is none."""
    if not path.is_file():
        return None
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _lies_beside(path: Path, name: str) -> bool:
    return path.with_name(name).exists()


def _put_aside(path: Path, aside: Path) -> None:
    """Move a file, if it is still there, to a name that is free: nothing put aside is ever overwritten."""
    aside.mkdir(exist_ok=True)
    target = free_name(aside / path.name)
    if target is not None:
        with contextlib.suppress(FileNotFoundError):
            path.rename(target)
