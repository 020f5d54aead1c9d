"""Takes in a delivery: one file of one source, whole or not at all.

Law: the same bytes change nothing; the same content in other bytes changes nothing; a corrected file changes only what
it touches; a file that cannot be taken in leaves a record of its refusal, an alert, and nothing else. Does not match,
and closes lines without touching their matches: undoing those is the next run's work.
"""

import hashlib
from dataclasses import dataclass
from datetime import date
from typing import Any, BinaryIO, Final

import psycopg

from ledger_core.sql import lock
from reconciliation.alerts import alert_of_refusal, write_alerts
from reconciliation.errors import AlreadyRunning, RefusedFile, SourcesError
from reconciliation.formats.canonical import ParsedDelivery, ReadOptions
from reconciliation.formats.card_numbers import masked_text
from reconciliation.formats.registry import FORMATS
from reconciliation.intake.checks import check_delivery, check_file_name, recordable_name
from reconciliation.intake.loading import Changes, Outcome, compare, run, stage, write
from reconciliation.intake.natural_keys import with_natural_keys
from reconciliation.sources import Source

_CHUNK_BYTES: Final = 1 << 20
_REFUSAL_LENGTH_MAX: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryOutcome:
    """What became of a file. Counts are of lines; ``same_as`` names the delivery that a redelivered file repeats."""

    outcome: Outcome
    delivery_id: int
    source_id: str
    file_name: str
    file_sha256: str
    for_date: date | None
    line_count: int = 0
    added_count: int = 0
    changed_count: int = 0
    withdrawn_count: int = 0
    unchanged_count: int = 0
    statement_count: int = 0
    same_as: int | None = None
    refusal: RefusedFile | None = None
    notes: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """One line for people: the file, what became of it, and why."""
        if self.refusal is not None:
            return f"{self.file_name}: rejected: {self.refusal}"
        if self.outcome == "redelivered":
            return f"{self.file_name}: redelivered: says the same as delivery {self.same_as}, nothing changed"
        if self.outcome == "corrected":
            return (
                f"{self.file_name}: corrected: {_count(self.changed_count, 'line')} changed, {self.added_count} added, "
                f"{self.withdrawn_count} withdrawn, {self.unchanged_count} unchanged"
            )
        repeated = f", {self.unchanged_count} of them known already" if self.unchanged_count else ""
        return (
            f"{self.file_name}: accepted: {_count(self.line_count, 'line')} in "
            f"{_count(self.statement_count, 'statement')}{repeated}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    source_id: str
    file_name: str
    file_sha256: str
    byte_count: int
    for_date: date | None


def take_in(
    connection: psycopg.Connection[Any],
    *,
    source: Source,
    file_name: str,
    stream: BinaryIO,
    options: ReadOptions,
    for_date: date | None = None,
    format_name: str | None = None,
) -> DeliveryOutcome:
    """Take in one file in the caller's transaction (READ COMMITTED, role ``tieout_intake``), under the source's lock.

    ``stream`` is seekable and read twice, for its digest and its content. ``for_date`` is the business date the
    deliverer named, recorded only. ``format_name`` overrides the source's format.

    Returns:
        What became of the file. A refused file is a value, not an error: its refusal is recorded and stays when the
        caller commits.

    Raises:
        AlreadyRunning: another process works on the source and the connection's lock timeout passed.
        SourcesError: the format or a natural key column does not exist.
    """
    name = format_name or source.format
    if name not in FORMATS:
        raise SourcesError(
            (f"source {source.id}: format {name!r}: expected one of {', '.join(sorted(FORMATS))}",)
        )
    try:
        lock(connection, f"source:{source.id}", wait=True)
    except psycopg.errors.LockNotAvailable:
        raise AlreadyRunning(
            f"source {source.id}: another process is taking in or reconciling; nothing was changed, run again later"
        ) from None
    digest, byte_count = _digest(stream)
    file = _File(
        source_id=source.id,
        file_name=masked_text(recordable_name(file_name)),
        file_sha256=digest,
        byte_count=byte_count,
        for_date=for_date,
    )
    parsed: ParsedDelivery | None = None
    try:
        check_file_name(file_name)
        repeated = _repeated(connection, file)
        if repeated is not None:
            return repeated
        parsed = FORMATS[name].read(stream, options)
        with connection.transaction():
            return _load(connection, source, file, parsed)
    except RefusedFile as refusal:
        return _reject(connection, file, _presentable(refusal), name, parsed)


def _load(
    connection: psycopg.Connection[Any], source: Source, file: _File, parsed: ParsedDelivery
) -> DeliveryOutcome:
    statements = check_delivery(parsed, source)
    stage(connection, statements, with_natural_keys(parsed.lines, source.natural_key))
    changes = compare(connection, source.id)
    delivery_id = _record(
        connection,
        file,
        outcome=changes.outcome,
        parsed=parsed,
        format_name=parsed.format_name,
        changes=changes,
    )
    if changes.outcome != "redelivered":
        write(connection, source.id, delivery_id, statements)
    return DeliveryOutcome(
        outcome=changes.outcome,
        delivery_id=delivery_id,
        source_id=file.source_id,
        file_name=file.file_name,
        file_sha256=file.file_sha256,
        for_date=file.for_date,
        line_count=parsed.lines.num_rows,
        added_count=changes.added_count,
        changed_count=changes.changed_count,
        withdrawn_count=changes.withdrawn_count,
        unchanged_count=changes.unchanged_count,
        statement_count=len(statements),
        same_as=changes.same_as if changes.outcome == "redelivered" else None,
        notes=parsed.notes,
    )


def _repeated(connection: psycopg.Connection[Any], file: _File) -> DeliveryOutcome | None:
    found = run(
        connection, "find_same_bytes", source_id=file.source_id, file_sha256=file.file_sha256
    ).fetchone()
    if found is None:
        return None
    same_as, line_count = found
    changes = Changes(
        added_count=0,
        changed_count=0,
        withdrawn_count=0,
        unchanged_count=line_count,
        new_statement_count=0,
        changed_statement_count=0,
        same_as=same_as,
    )
    return DeliveryOutcome(
        outcome="redelivered",
        delivery_id=_record(connection, file, outcome="redelivered", changes=changes),
        source_id=file.source_id,
        file_name=file.file_name,
        file_sha256=file.file_sha256,
        for_date=file.for_date,
        line_count=line_count,
        unchanged_count=line_count,
        same_as=same_as,
    )


def _reject(
    connection: psycopg.Connection[Any],
    file: _File,
    refusal: RefusedFile,
    format_name: str,
    parsed: ParsedDelivery | None,
) -> DeliveryOutcome:
    cause = alert_of_refusal(
        source_id=file.source_id,
        file_name=file.file_name,
        file_sha256=file.file_sha256,
        for_date=file.for_date,
        refusal=refusal,
    )
    write_alerts(connection, [cause])
    return DeliveryOutcome(
        outcome="rejected",
        delivery_id=_record(
            connection, file, outcome="rejected", parsed=parsed, format_name=format_name, refusal=refusal
        ),
        source_id=file.source_id,
        file_name=file.file_name,
        file_sha256=file.file_sha256,
        for_date=file.for_date,
        refusal=refusal,
    )


def _record(
    connection: psycopg.Connection[Any],
    file: _File,
    *,
    outcome: Outcome,
    parsed: ParsedDelivery | None = None,
    format_name: str | None = None,
    changes: Changes | None = None,
    refusal: RefusedFile | None = None,
) -> int:
    row = run(
        connection,
        "put_delivery",
        source_id=file.source_id,
        file_name=file.file_name,
        file_sha256=file.file_sha256,
        byte_count=file.byte_count,
        for_date=file.for_date,
        outcome=outcome,
        format_name=format_name,
        format_version=parsed.format_version if parsed else None,
        file_reference=parsed.file_reference if parsed else None,
        same_as=changes.same_as if changes and outcome == "redelivered" else None,
        line_count=changes.added_count + changes.changed_count + changes.unchanged_count if changes else 0,
        added_count=changes.added_count if changes else 0,
        changed_count=changes.changed_count if changes else 0,
        withdrawn_count=changes.withdrawn_count if changes else 0,
        unchanged_count=changes.unchanged_count if changes else 0,
        refusal_code=refusal.code if refusal else None,
        refusal_place=refusal.place if refusal else None,
        refusal_expected=refusal.expected if refusal else None,
        refusal_found=refusal.found if refusal else None,
        refusal_remedy=refusal.remedy if refusal else None,
        notes=list(parsed.notes) if parsed else [],
    ).fetchone()
    assert row is not None  # noqa: S101 - INSERT … RETURNING of one row
    return int(row[0])


def _digest(stream: BinaryIO) -> tuple[str, int]:
    stream.seek(0)
    digest, byte_count = hashlib.sha256(), 0
    while chunk := stream.read(_CHUNK_BYTES):
        digest.update(chunk)
        byte_count += len(chunk)
    stream.seek(0)
    return digest.hexdigest(), byte_count


def _presentable(refusal: RefusedFile) -> RefusedFile:
    """The refusal as it may be stored and shown: card numbers masked, no NUL, of bounded length."""

    def safe(text: str) -> str:
        storable = text.encode(errors="replace").decode().replace("\0", "\N{SYMBOL FOR NULL}")
        return masked_text(storable)[:_REFUSAL_LENGTH_MAX]

    return RefusedFile(
        code=refusal.code,
        place=safe(refusal.place),
        expected=safe(refusal.expected),
        found=safe(refusal.found),
        remedy=safe(refusal.remedy),
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
