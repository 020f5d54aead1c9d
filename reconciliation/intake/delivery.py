"""Takes in a delivery: a file of one source, or an archive of several, whole or not at all.

Law: the same bytes change nothing, whatever they came packed in; the same content in other bytes changes nothing; a
corrected file changes only what it touches; a file that cannot be taken in leaves a record of its refusal, an alert,
and nothing else. Does not match, and closes lines without touching their matches: undoing those is the next run's work.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, BinaryIO, Final

import psycopg

from ledger_core.sql import lock, savepoint
from reconciliation.alerts import alert_of_refusal, write_alerts
from reconciliation.errors import AlreadyRunning, RefusedFile, SourcesError
from reconciliation.formats.canonical import ParsedDelivery, ReadOptions
from reconciliation.formats.card_numbers import masked_text
from reconciliation.formats.registry import FORMATS, HEAD_BYTES, recognise
from reconciliation.intake.card_sweep import CardSweep
from reconciliation.intake.chain import chain_notes, refuse_told_otherwise
from reconciliation.intake.checks import check_delivery, check_file_name, recordable_name
from reconciliation.intake.deliveries import SQL
from reconciliation.intake.loading import Changes, load
from reconciliation.intake.natural_keys import DEFAULT_KEY
from reconciliation.intake.outcome import DeliveryOutcome, Outcome
from reconciliation.intake.packaging import unpacked
from reconciliation.intake.staging import Staging, prove
from reconciliation.intake.store import DeliveryStore
from reconciliation.sources import Source

__all__ = ["DeliveryOutcome", "take_in"]

_CHUNK_BYTES: Final = 1 << 20
_REFUSAL_LENGTH_MAX: Final = 2_000
_NEVER_STORED: Final = frozenset({"sensitive_data", "unsafe", "limit"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    source_id: str
    file_name: str
    file_sha256: str  # of what was delivered: of the archive, if it came in one
    content_sha256: str
    package_name: str | None
    byte_count: int
    for_date: date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Intake:
    """What one call works with."""

    connection: psycopg.Connection[Any]
    source: Source
    options: ReadOptions
    format_name: str | None
    received_on: date | None
    store: DeliveryStore | None


def take_in(
    connection: psycopg.Connection[Any],
    *,
    source: Source,
    file_name: str,
    stream: BinaryIO,
    options: ReadOptions,
    for_date: date | None = None,
    format_name: str | None = None,
    received_on: date | None = None,
    store: DeliveryStore | None = None,
) -> tuple[DeliveryOutcome, ...]:
    """Take in one delivery in the caller's transaction (READ COMMITTED, role ``tieout_intake``), the source locked.

    ``stream`` is seekable and read more than once. ``for_date`` is the business date the deliverer named, recorded
    only. ``format_name`` overrides what the source's formats would say. ``received_on`` bounds the dates of the file.
    What was read is kept in ``store``, card numbers excepted.

    Returns:
        What became of each file: one, or those of an archive, of which all are taken in or none. A refused file is a
        value, not an error: its refusal is recorded and stays when the caller commits.

    Raises:
        AlreadyRunning: another process works on the source and the connection's lock timeout passed.
        SourcesError: the format or a natural key column does not exist.
    """
    _demand_known(source, format_name)
    _lock(connection, source)
    intake = _Intake(
        connection=connection,
        source=source,
        options=options,
        format_name=format_name,
        received_on=received_on,
        store=store,
    )
    packed = _described(intake, stream, file_name, for_date)
    outcomes: list[DeliveryOutcome] = []
    refused: list[tuple[_File, RefusedFile]] = []
    try:
        with savepoint(connection):
            for content in unpacked(stream, file_name, bytes_max=options.bytes_max):
                file = packed
                if content.package_name is not None:
                    digest, byte_count = _digest(content.stream)
                    file = replace(
                        packed,
                        file_name=masked_text(recordable_name(content.file_name)),
                        content_sha256=digest,
                        package_name=masked_text(recordable_name(content.package_name)),
                        byte_count=byte_count,
                    )
                try:
                    check_file_name(content.file_name)
                    outcomes.append(_take_in_one(intake, file, content.stream))
                except RefusedFile as refusal:
                    refused.append((file, refusal))
            if refused:
                raise _Nothing
    except _Nothing:
        return tuple(_reject(intake, file, refusal) for file, refusal in refused)
    except RefusedFile as refusal:  # of the archive itself
        return (_reject(intake, packed, refusal),)
    return tuple(outcomes)


class _Nothing(Exception):
    """Something of the delivery was refused: nothing of it stays."""


def _demand_known(source: Source, format_name: str | None) -> None:
    for name in (format_name,) if format_name else source.formats:
        if name not in FORMATS:
            raise SourcesError(
                (f"source {source.id}: format {name!r}: expected one of {', '.join(sorted(FORMATS))}",)
            )


def _lock(connection: psycopg.Connection[Any], source: Source) -> None:
    try:
        lock(connection, f"source:{source.id}", wait=True)
    except psycopg.errors.LockNotAvailable:
        raise AlreadyRunning(
            f"source {source.id}: another process is taking in or reconciling; nothing was changed, run again later"
        ) from None


def _described(intake: _Intake, stream: BinaryIO, file_name: str, for_date: date | None) -> _File:
    digest, byte_count = _digest(stream)
    return _File(
        source_id=intake.source.id,
        file_name=masked_text(recordable_name(file_name)),
        file_sha256=digest,
        content_sha256=digest,
        package_name=None,
        byte_count=byte_count,
        for_date=for_date,
    )


def _take_in_one(intake: _Intake, file: _File, stream: BinaryIO) -> DeliveryOutcome:
    """Read and load one content; raises ``RefusedFile`` with what was there before untouched."""
    repeated = _repeated(intake, file)
    if repeated is not None:
        return repeated
    stream.seek(0)
    head = stream.read(HEAD_BYTES)
    name = _format_of(intake, head)
    stream.seek(0)
    released = _released(intake, file)
    options = replace(intake.options, waived=frozenset(released))
    try:
        with savepoint(intake.connection):
            sweep = CardSweep(options.card_tokens)
            with Staging(intake.connection, intake.source.natural_key, sweep) as staging:
                parsed = sweep.delivery(FORMATS[name].read(stream, options, staging.take))
            if name in intake.source.intraday and name != intake.source.format:
                parsed = _within_the_day(parsed)
            outcome = _load(intake, file, parsed, tuple(released.values()))
    except RefusedFile as refusal:
        if refusal.code not in _NEVER_STORED:
            _keep(intake, file, stream, name)
        raise _explained(refusal, head, name) from None
    _keep(intake, file, stream, name)
    return outcome


def _format_of(intake: _Intake, head: bytes) -> str:
    """The named format; else the one of the source's formats that knows the file; else the source's first."""
    if intake.format_name:
        return intake.format_name
    known = [name for name in intake.source.formats if FORMATS[name].sniff(head)]
    return known[0] if known else intake.source.format


def _explained(refusal: RefusedFile, head: bytes, name: str) -> RefusedFile:
    """Says which format a file has that was delivered as another one, however far its reader came."""
    other = recognise(head)
    if other in (None, name) or FORMATS[name].sniff(head):
        return refusal
    if name.startswith("mapped.") and refusal.code != "not_this_format":
        return refusal  # nobody recognises a mapped file, so that another format's mark says little
    return RefusedFile(
        code="not_this_format",
        place=refusal.place,
        expected=refusal.expected,
        found=f"{refusal.found}; it looks like {other}",
        remedy=f"Deliver it to the source whose files are {other}, or name the format in sources.yaml.",
    )


def _within_the_day(parsed: ParsedDelivery) -> ParsedDelivery:
    """What a further format of the source tells is of the day, whatever it is elsewhere: it never counts twice."""
    if all(statement.interim for statement in parsed.statements):
        return parsed
    note = f"{parsed.format_name} is an intraday format of this source: its lines are provisional and never count"
    statements = tuple(replace(statement, interim=True) for statement in parsed.statements)
    return replace(parsed, statements=statements, notes=(*parsed.notes, note))


def _released(intake: _Intake, file: _File) -> dict[str, str]:
    """Codes that people waived for these bytes, each with the note that goes with the delivery."""
    rows = intake.connection.execute(
        SQL["find_released_codes"], {"source_id": file.source_id, "content_sha256": file.content_sha256}
    ).fetchall()
    return {code: f"released by {actor} in spite of {code}: {reason}" for code, actor, reason in rows}


def _keep(intake: _Intake, file: _File, stream: BinaryIO, format_name: str) -> None:
    """Put the bytes into the store, card numbers excepted; what cannot be redacted is not kept."""
    if intake.store is not None:
        stream.seek(0)
        intake.store.keep(file.content_sha256, stream, format_name, intake.options.tables)


def _load(intake: _Intake, file: _File, parsed: ParsedDelivery, released: Sequence[str]) -> DeliveryOutcome:
    statements = check_delivery(parsed, intake.source, received_on=intake.received_on)
    notes = prove(
        intake.connection,
        statements,
        natural_key=intake.source.natural_key,
        ids_may_repeat=parsed.ids_may_repeat,
    )
    refuse_told_otherwise(intake.connection, intake.source.id, parsed.format_name)
    chain = chain_notes(intake.connection, intake.source.id)
    parsed = replace(parsed, notes=(*released, *parsed.notes, *notes, *chain))

    def record(changes: Changes) -> int:
        return _record(intake, file, outcome=changes.outcome, parsed=parsed, changes=changes)

    ids_hold = not parsed.ids_may_repeat or tuple(intake.source.natural_key) != DEFAULT_KEY
    delivery_id, changes = load(
        intake.connection, intake.source.id, statements, record, ids_hold=ids_hold
    )
    return DeliveryOutcome(
        outcome=changes.outcome,
        delivery_id=delivery_id,
        source_id=file.source_id,
        file_name=file.file_name,
        file_sha256=file.file_sha256,
        for_date=file.for_date,
        package_name=file.package_name,
        line_count=changes.added_count + changes.changed_count + changes.unchanged_count,
        added_count=changes.added_count,
        changed_count=changes.changed_count,
        withdrawn_count=changes.withdrawn_count,
        unchanged_count=changes.unchanged_count,
        provisional_count=changes.provisional_count,
        statement_count=len(statements),
        same_as=changes.same_as if changes.outcome == "redelivered" else None,
        notes=parsed.notes,
    )


def _repeated(intake: _Intake, file: _File) -> DeliveryOutcome | None:
    found = intake.connection.execute(
        SQL["find_same_bytes"], {"source_id": file.source_id, "content_sha256": file.content_sha256}
    ).fetchone()
    if found is None:
        return None
    same_as, line_count = found
    changes = Changes(unchanged_count=line_count, same_as=same_as)
    return DeliveryOutcome(
        outcome="redelivered",
        delivery_id=_record(intake, file, outcome="redelivered", changes=changes),
        source_id=file.source_id,
        file_name=file.file_name,
        file_sha256=file.file_sha256,
        for_date=file.for_date,
        package_name=file.package_name,
        line_count=line_count,
        unchanged_count=line_count,
        same_as=same_as,
    )


def _reject(intake: _Intake, file: _File, refusal: RefusedFile) -> DeliveryOutcome:
    shown = _presentable(refusal)
    cause = alert_of_refusal(
        source_id=file.source_id,
        file_name=file.file_name,
        file_sha256=file.content_sha256,
        for_date=file.for_date,
        refusal=shown,
    )
    write_alerts(intake.connection, [cause])
    return DeliveryOutcome(
        outcome="rejected",
        delivery_id=_record(intake, file, outcome="rejected", refusal=shown),
        source_id=file.source_id,
        file_name=file.file_name,
        file_sha256=file.file_sha256,
        for_date=file.for_date,
        package_name=file.package_name,
        refusal=shown,
    )


def _record(
    intake: _Intake,
    file: _File,
    *,
    outcome: Outcome,
    parsed: ParsedDelivery | None = None,
    changes: Changes | None = None,
    refusal: RefusedFile | None = None,
) -> int:
    changes = changes or Changes()
    row = intake.connection.execute(
        SQL["put_delivery"],
        {
            "source_id": file.source_id,
            "file_name": file.file_name,
            "file_sha256": file.file_sha256,
            "content_sha256": file.content_sha256,
            "package_name": file.package_name,
            "byte_count": file.byte_count,
            "for_date": file.for_date,
            "outcome": outcome,
            "format_name": parsed.format_name if parsed else intake.format_name or intake.source.format,
            "format_version": parsed.format_version if parsed else None,
            "file_reference": parsed.file_reference if parsed else None,
            "same_as": changes.same_as if outcome == "redelivered" else None,
            "line_count": changes.added_count + changes.changed_count + changes.unchanged_count,
            "added_count": changes.added_count,
            "changed_count": changes.changed_count,
            "withdrawn_count": changes.withdrawn_count,
            "unchanged_count": changes.unchanged_count,
            "provisional_count": 0 if outcome == "redelivered" else changes.provisional_count,
            "refusal_code": refusal.code if refusal else None,
            "refusal_place": refusal.place if refusal else None,
            "refusal_expected": refusal.expected if refusal else None,
            "refusal_found": refusal.found if refusal else None,
            "refusal_remedy": refusal.remedy if refusal else None,
            "notes": list(parsed.notes) if parsed else [],
        },
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
