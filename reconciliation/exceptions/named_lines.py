"""Lines of a source by the words that people use for them: of an exception, of a suggestion, or by their keys.

Law: a word means one line or is refused, with all that it might have meant. Reads only.

    N-PAID              a line key               sale/1              line 1 of an entry
    ledger:N-PAID       the entry of that key    fee=sale/1          ... which owns the difference as a fee
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg.types.json import Jsonb

from ledger_core.sql import queries
from reconciliation.errors import UnknownItem
from reconciliation.exceptions.adjustments import Member
from reconciliation.sources import Source
from reconciliation.vocabulary import ALLOCATION_ROLES, SIDES

SQL: Final = queries(Path(__file__).with_suffix(".sql"))

_ENTRY_LINE: Final = re.compile(
    r"(?s)(.+?)\s*/\s*([0-9]{1,9})"
)  # an entry key and a line number, as lists show it


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedLine:
    """A line by content: ``key`` and ``number`` are line key and version, or entry key and line number."""

    side: str
    key: str
    number: int
    role: str = "principal"

    @property
    def place(self) -> tuple[str, str, int]:
        """What makes it the same line, whatever its role."""
        return self.side, self.key, self.number

    def __str__(self) -> str:
        number = f" version {self.number}" if self.side == "external" else f" / {self.number}"
        return f"{self.side} {self.key}{number}"

    def as_member(self) -> dict[str, Any]:
        """What the doors of the schema call it."""
        key, number = ("line_key", "version") if self.side == "external" else ("entry_key", "line_no")
        return {"side": self.side, key: self.key, number: self.number, "role": self.role}


def source_of(connection: psycopg.Connection[Any], exception_id: int) -> str:
    """The source of an exception.

    Raises:
        UnknownItem: there is no such exception.
    """
    row = connection.execute(SQL["source_of"], {"exception": exception_id}).fetchone()
    if row is None:
        raise UnknownItem(
            f"exception {exception_id}: expected one that exists, found none; see `tieout exceptions list`"
        )
    return str(row[0])


def chosen_lines(
    connection: psycopg.Connection[Any],
    source: Source,
    exception_id: int,
    *,
    suggestion: int | None = None,
    more: Iterable[str] = (),
    without: Iterable[str] = (),
) -> list[NamedLine]:
    """The lines of an exception, or of a suggested match, with those to add and without those to leave out, in order.

    Raises:
        UnknownItem: no such suggestion or line, or more than one line of that name.
    """
    chosen = {line.place: line for line in _of_the_case(connection, source, exception_id, suggestion)}
    for word in more:
        role, text = _role_and_text(word)
        line = replace(_line_called(connection, source, text), role=role)
        chosen[line.place] = line
    for word in without:
        left_out = _line_called(connection, source, word)
        if chosen.pop(left_out.place, None) is None:
            raise UnknownItem(
                f"{word}: expected one of the lines to be proposed, found {left_out}, which is not"
            )
    return [line for _, line in sorted(chosen.items())]


def members_of(
    connection: psycopg.Connection[Any], source: Source, lines: Sequence[NamedLine]
) -> list[Member]:
    """What an adjustment must know of the lines, in their order."""
    named = Jsonb([line.as_member() for line in lines])
    wanted = {"source": source.id, "accounts": list(source.ledger_accounts), "named": named}
    return [
        Member(
            side=side, key=key, account=account, asset=asset, amount_minor=amount_minor, references=references
        )
        for side, key, account, asset, amount_minor, references in connection.execute(SQL["members"], wanted)
    ]


def _of_the_case(
    connection: psycopg.Connection[Any], source: Source, exception_id: int, suggestion: int | None
) -> list[NamedLine]:
    """The lines of the exception, or of the suggested match."""
    wanted = {"exception": exception_id, "group": suggestion, "source": source.id}
    query = "exception_lines" if suggestion is None else "suggested_lines"
    rows = connection.execute(SQL[query], wanted).fetchall()
    if suggestion is not None and not rows:
        raise UnknownItem(
            f"match {suggestion}: expected one that is suggested for source {source.id}, found none; see `tieout "
            "export matches`"
        )
    return [NamedLine(side=side, key=key, number=number, role=role) for side, key, number, role in rows]


def _role_and_text(word: str) -> tuple[str, str]:
    """The role before an equals sign, if it is one, and the rest."""
    role, mark, text = word.partition("=")
    return (role, text) if mark and role in ALLOCATION_ROLES else ("principal", word)


def _line_called(connection: psycopg.Connection[Any], source: Source, word: str) -> NamedLine:
    """The one line of the source that a person's word means."""
    side, mark, text = word.partition(":")
    if not mark or side not in SIDES:
        side, text = "either", word
    numbered = _ENTRY_LINE.fullmatch(text)
    entry_key, line_no = (numbered[1], int(numbered[2])) if numbered else (None, None)
    wanted: Mapping[str, Any] = {
        "side": side,
        "source": source.id,
        "accounts": list(source.ledger_accounts),
        "word": text,
        "entry_key": entry_key,
        "line_no": line_no,
    }
    rows = connection.execute(SQL["lines_called"], wanted).fetchall()
    found = [NamedLine(side=row[0], key=row[1], number=row[2]) for row in rows]
    if len(found) != 1:
        told = ", ".join(map(str, found)) or "none"
        raise UnknownItem(
            f"{word}: expected one line of source {source.id}, found {told}. Name a line key, an entry key or "
            "ENTRY_KEY/LINE_NO, with `external:` or `ledger:` before it where both exist"
        )
    return found[0]
