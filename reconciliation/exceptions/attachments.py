"""Files that people enclose with an exception: looked at, kept by content in the database, given out as they came.

Law: what is kept is what ``enclosed`` recognised; equal bytes are kept once. Nothing is ever shown from here: whoever
serves a file does so as a download.

Example:
    attach(connection, 17, file_name="letter.pdf", content=content)
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg.rows import class_row

from ledger_core.sql import queries
from reconciliation.errors import UnknownItem
from reconciliation.exceptions.doors import refusals
from reconciliation.exceptions.enclosed import recognised

SQL: Final = queries(Path(__file__).with_suffix(".sql"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """What was enclosed, by whom and when; ``sha256`` in hexadecimal."""

    attachment_id: int
    exception_id: int
    file_name: str
    media_type: str
    byte_count: int
    sha256: str
    uploaded_by: str
    uploaded_at: datetime


def attach(
    connection: psycopg.Connection[Any],
    exception_id: int,
    *,
    file_name: str,
    content: bytes,
    media_type: str | None = None,  # noqa: ARG001 - what a browser says; the bytes say it themselves
) -> int:
    """Enclose a file with an exception; returns the attachment's number.

    Raises:
        RefusedProposal: it is not taken; the message says why.
        UnknownItem: there is no such exception.
        NoSession, NotAllowed: nobody acts, or may not.
    """
    clean, found_type = recognised(file_name, content)
    wanted = {"exception": exception_id, "name": clean, "type": found_type, "content": content}
    with refusals():
        row = connection.execute(SQL["attach"], wanted).fetchone()
    if row is None:
        raise RuntimeError("the door of attachments gave no number")
    return int(row[0])


def attachments_of(connection: psycopg.Connection[Any], exception_id: int) -> list[Attachment]:
    """What was enclosed with an exception, the oldest first."""
    cursor = connection.cursor(row_factory=class_row(Attachment))
    return cursor.execute(SQL["attachments"], {"exception": exception_id}).fetchall()


def read_attachment(connection: psycopg.Connection[Any], attachment_id: int) -> tuple[Attachment, bytes]:
    """One of them with its bytes.

    Raises:
        UnknownItem: there is none of that number.
    """
    cursor = connection.cursor(row_factory=class_row(Attachment))
    found = cursor.execute(SQL["attachment"], {"attachment": attachment_id}).fetchone()
    content = connection.execute(SQL["content"], {"attachment": attachment_id}).fetchone()
    if found is None or content is None:
        raise UnknownItem(f"attachment {attachment_id}: expected one that exists, found none")
    return found, bytes(content[0])
