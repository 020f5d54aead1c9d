"""A day signed by two people: one prepares it, another reviews it, and what changes afterwards is told.

Laws: what is signed is a digest over the books as they were shown; the bytes are kept, and can be made again from the
evidence; nobody signs what they prepared, which the database holds against any caller; while an identity fails, a file
is missing or a line is in no bucket there is nothing to sign. Signed books are never altered: a later change leads to
another sign-off of the same day beside the first.

Who acts is the live session that the connection's transaction entered. Nothing here takes a name.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final, Literal

import psycopg
from psycopg.rows import class_row

from ledger_core.sql import lock, queries, translated_errors
from reconciliation.errors import REFUSALS_OF_PEOPLE, RefusedSignOff, UnknownItem
from reconciliation.evidence.knowledge import SIGN_OFF
from reconciliation.evidence.statement import DayStatement, day_statement, in_words
from reconciliation.evidence.statement_changes import changes_between
from reconciliation.sources import Source

SQL: Final = queries(Path(__file__).with_suffix(".sql"))

Verdict = Literal["signed", "refused", "withdrawn"]

_REFUSALS: Final = REFUSALS_OF_PEOPLE | {"TR008": RefusedSignOff, "23514": RefusedSignOff}


@dataclass(frozen=True, slots=True, kw_only=True)
class SignOff:
    """A day as it was put before a second person. ``state``: prepared, signed, refused, withdrawn or superseded."""

    sign_off_id: int
    source_id: str
    day: date
    known_at: str
    state: str
    content_sha256: str
    books_sha256: str
    prepared_by: str
    prepared_at: datetime
    note: str | None
    reviewed_by: str | None
    reviewed_at: datetime | None
    review_note: str | None

    @property
    def standing(self) -> bool:
        """Whether it waits for a signature, or has one that nothing superseded."""
        return self.state in ("prepared", "signed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """What stands against signing a day; ``blocks`` is false for what the signers should only know."""

    name: str
    said: str
    blocks: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A sign-off proved again. ``problems`` is empty where the kept bytes have their digest and are made again."""

    sign_off: SignOff
    problems: tuple[str, ...]
    changed: tuple[str, ...]


def obstacles_of(
    connection: psycopg.Connection[Any], source: Source, statement: DayStatement
) -> tuple[Obstacle, ...]:
    """Everything that stands against signing these books as things are now, and what the signers should know."""
    wanted = {"source": source.id, "day": statement.day}
    found = [
        Obstacle(name=name, said=said) for name, said in connection.execute(SQL["obstacles"], wanted).fetchall()
    ]
    found += [Obstacle(name="statement", said=said) for said in statement.obstacles]
    found += [
        Obstacle(name="told", said=in_words(identity), blocks=False)
        for identity in statement.failing
        if not identity["blocks"]
    ]
    waiting = statement.record["waiting_proposals"]
    if waiting:
        said = f"{len(waiting)} proposal{'s' if len(waiting) > 1 else ''} of {source.id} wait for another person"
        found.append(Obstacle(name="proposals", said=said, blocks=False))
    return tuple(found)


def prepare(
    connection: psycopg.Connection[Any], source: Source, day: date, note: str | None = None
) -> SignOff:
    """Put the day as it is known now before a second person.

    Raises:
        RefusedSignOff: something stands against it, or a sign-off of the same books stands already.
        NotAllowed: the person may not prepare days of this source.
        NoSession: the connection's transaction entered no live session.
    """
    with translated_errors(_REFUSALS):
        lock(connection, f"source:{source.id}", wait=True)  # no run, file or decision comes in between
        statement = day_statement(connection, source, day)
        against = [obstacle.said for obstacle in obstacles_of(connection, source, statement) if obstacle.blocks]
        if against:
            raise RefusedSignOff(f"{source.id} {day} cannot be signed: {'; '.join(dict.fromkeys(against))}")
        content = statement.canonical_bytes()
        row = connection.execute(
            SQL["prepare"],
            {
                "source": source.id,
                "day": day,
                "known_at": statement.known_at,
                "content": content.decode(),
                "content_sha256": hashlib.sha256(content).hexdigest(),
                "books_sha256": statement.books_sha256,
                "note": note,
            },
        ).fetchone()
    return find_sign_off(connection, _number(row))


def review(
    connection: psycopg.Connection[Any],
    source: Source,
    sign_off_id: int,
    verdict: Verdict,
    note: str | None = None,
) -> SignOff:
    """Sign what another person prepared, refuse it, or withdraw what oneself prepared; the last two with a note.

    Raises:
        UnknownItem: there is no such sign-off of the source, or it does not wait any more.
        NotTheirs: the person prepared it, or is another account of who did.
        RefusedSignOff: the books are no longer those that were prepared, or something stands against them.
        NotAllowed: the person may not review days of this source.
    """
    prepared = find_sign_off(connection, sign_off_id)
    if prepared.source_id != source.id:
        raise UnknownItem(f"sign-off {sign_off_id}: expected one of {source.id}, found one of {prepared.source_id}")
    with translated_errors(_REFUSALS):
        lock(connection, f"source:{source.id}", wait=True)
        books_now = None
        if verdict == "signed":
            statement = day_statement(connection, source, prepared.day)
            against = [obstacle.said for obstacle in obstacles_of(connection, source, statement) if obstacle.blocks]
            against += changes_between(_content(connection, sign_off_id).books, statement.books)
            if against and prepared.state == "prepared":
                told = "; ".join(dict.fromkeys(against))
                raise RefusedSignOff(f"sign-off {sign_off_id} of {source.id} {prepared.day} cannot be signed: {told}")
            books_now = statement.books_sha256
        wanted = {"sign_off": sign_off_id, "verdict": verdict, "books_sha256": books_now, "note": note}
        connection.execute(SQL["review"], wanted)
    return find_sign_off(connection, sign_off_id)


def sign_offs(
    connection: psycopg.Connection[Any], *, source_id: str | None = None, day: date | None = None
) -> tuple[SignOff, ...]:
    """Sign-offs by source, day and number."""
    return _read(connection, {"source": source_id, "day": day, "sign_off": None})


def standing_sign_off(connection: psycopg.Connection[Any], source_id: str, day: date) -> SignOff | None:
    """The sign-off of a day that waits or is signed, the latest of them; None where there is none."""
    standing = [found for found in sign_offs(connection, source_id=source_id, day=day) if found.standing]
    return standing[-1] if standing else None


def find_sign_off(connection: psycopg.Connection[Any], sign_off_id: int) -> SignOff:
    """One sign-off. Raises UnknownItem."""
    found = _read(connection, {"source": None, "day": None, "sign_off": sign_off_id})
    if not found:
        raise UnknownItem(
            f"sign-off {sign_off_id}: expected one that exists, found none; `tieout sign-off --status` lists them"
        )
    return found[0]


def signed_content(connection: psycopg.Connection[Any], sign_off_id: int) -> str:
    """The statement as it was kept with a sign-off: canonical JSON, to the byte."""
    row = connection.execute(SQL["content"], {"sign_off": sign_off_id}).fetchone()
    if row is None:
        raise UnknownItem(f"sign-off {sign_off_id}: expected one that exists, found none")
    return str(row[0])


def changes_since(
    connection: psycopg.Connection[Any], source: Source, sign_off: SignOff
) -> tuple[str, ...]:
    """What of the day's books is otherwise now than it was in a sign-off, in words."""
    now = day_statement(connection, source, sign_off.day)
    if now.books_sha256 == sign_off.books_sha256:
        return ()
    return changes_between(_content(connection, sign_off.sign_off_id).books, now.books)


def may_have_changed(connection: psycopg.Connection[Any], sign_off_id: int) -> tuple[str, ...]:
    """What came since a sign-off that touches its day, by kind alone: quick, for lists of days."""
    row = connection.execute(SQL["changed"], {"sign_off": sign_off_id}).fetchone()
    return tuple(row[0]) if row else ()


def check(connection: psycopg.Connection[Any], source: Source, sign_off: SignOff) -> Checked:
    """Prove a sign-off again: its bytes have its digest, and the evidence gives the same bytes for what it knew."""
    text = signed_content(connection, sign_off.sign_off_id)
    kept = DayStatement.from_text(text)
    problems = []
    if hashlib.sha256(text.encode()).hexdigest() != sign_off.content_sha256:
        problems.append("the bytes that were kept have another digest than the sign-off says")
    if kept.books_sha256 != sign_off.books_sha256:
        problems.append("the books in the bytes that were kept have another digest than was signed")
    asked = f"{SIGN_OFF}{sign_off.sign_off_id}"
    again = day_statement(connection, source, sign_off.day, known_at=asked)
    if again.canonical_bytes() != text.encode():
        told = changes_between(kept.books, again.books) or ("their circumstances are told otherwise",)
        problems.append(f"made again from the evidence, the statement has other bytes: {'; '.join(told)}")
    return Checked(
        sign_off=sign_off, problems=tuple(problems), changed=changes_since(connection, source, sign_off)
    )


def _content(connection: psycopg.Connection[Any], sign_off_id: int) -> DayStatement:
    return DayStatement.from_text(signed_content(connection, sign_off_id))


def _read(connection: psycopg.Connection[Any], wanted: Mapping[str, Any]) -> tuple[SignOff, ...]:
    cursor = connection.cursor(row_factory=class_row(SignOff))
    return tuple(cursor.execute(SQL["sign_offs"], wanted).fetchall())


def _number(row: tuple[Any, ...] | None) -> int:
    if row is None:
        raise RuntimeError("a sign-off got no number")
    return int(row[0])
