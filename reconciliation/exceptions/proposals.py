"""What people do about an exception beside talking of it: propose a decision, and judge what a colleague proposed.

Law: nothing is decided here. A proposal keeps its lines as they are now, another person judges it, and the database
refuses who may not and what no longer holds. Card numbers in what people write are masked before they are sent.

Example:
    made = propose(connection, sources, 17, "force_match", reason="same payment", actor="ada", more=["fee=E-9/2"])
    judge(connection, made.proposal_id, "approved", actor="bob").acts_from
"""

import json
import re
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final, Literal, get_args

import psycopg
from psycopg.rows import class_row

from ledger_core.sql import queries, translated_errors
from reconciliation.errors import NotTheirs, RefusedProposal, UnknownItem
from reconciliation.formats.card_numbers import masked_text
from reconciliation.sources import Source, Sources
from reconciliation.vocabulary import ALLOCATION_ROLES, SIDES

SQL: Final = queries(Path(__file__).with_suffix(".sql"))

Action = Literal["force_match", "not_duplicate", "exclude"]
Verdict = Literal["approved", "rejected"]

ACTIONS: Final[tuple[Action, ...]] = get_args(Action)

_REFUSALS: Final = {
    "TR004": UnknownItem,
    "TR007": NotTheirs,
    "TR008": RefusedProposal,
    "23514": RefusedProposal,
}
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What somebody wants decided, and what became of it; ``members`` as they were when it was made."""

    proposal_id: int
    source: str
    exception_id: int | None
    action: str
    state: str  # waiting, expired, approved, rejected, withdrawn
    members: list[dict[str, Any]]
    reason: str
    proposed_by: str
    proposed_at: datetime
    expires_on: date | None
    judged_by: str | None
    note: str | None
    judged_at: datetime | None
    acts_from: date | None  # first business date that an approved one binds


def propose(
    connection: psycopg.Connection[Any],
    sources: Sources,
    exception_id: int,
    action: Action,
    *,
    reason: str,
    actor: str,
    suggestion: int | None = None,
    more: Iterable[str] = (),
    without: Iterable[str] = (),
    expires_on: date | None = None,
) -> Proposal:
    """Ask for a decision about the lines of an exception.

    Args:
        connection: a transaction of the analyst's role.
        sources: says which accounts the exception's source reconciles.
        exception_id: its lines are the members, unless ``suggestion`` names a suggested match to take them from.
        action: ``force_match``, ``not_duplicate`` or ``exclude``.
        reason: for whoever judges it, and for the auditors.
        actor: who proposes.
        suggestion: number of a suggested match.
        more: lines to add: a line key, an entry key, or ``ENTRY_KEY/LINE_NO``; ``external:`` or ``ledger:`` before it
            says which side is meant, and ``fee=``, ``fx=`` or ``rounding=`` that it owns the difference. A line that is
            a member already gets that role.
        without: lines to leave out, named likewise.
        expires_on: last business date on which it may be approved.

    Raises:
        UnknownItem: no such exception, suggestion or line, or more than one line of that name.
        RefusedProposal: what was named cannot be decided so; the message says why.
    """
    source = sources[_source_of(connection, exception_id)]
    chosen = {line.place: line for line in _proposed_lines(connection, source, exception_id, suggestion)}
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
    wanted = {
        "source": source.id,
        "exception": exception_id,
        "action": action,
        "members": json.dumps([_as_member(line) for _, line in sorted(chosen.items())]),
        "reason": masked_text(reason),
        "actor": actor,
        "expires_on": expires_on,
    }
    with _refusals():
        row = connection.execute(SQL["propose"], wanted).fetchone()
    return _proposal(connection, row)


def judge(
    connection: psycopg.Connection[Any],
    proposal_id: int,
    verdict: Verdict,
    *,
    actor: str,
    note: str | None = None,
    acts_from: date | None = None,
) -> Proposal:
    """Approve or reject a proposal; who rejects their own takes it back. The next run carries out what was approved.

    Raises:
        UnknownItem: no such proposal, or it was judged already.
        NotTheirs: it is the judge's own.
        RefusedProposal: what it rests on has changed, or it expired; the message says what.
    """
    wanted = {
        "proposal": proposal_id,
        "verdict": verdict,
        "actor": actor,
        "note": None if note is None else masked_text(note),
        "acts_from": acts_from,
    }
    with _refusals():
        connection.execute(SQL["judge"], wanted)
    return _proposal(connection, (proposal_id,))


def list_proposals(
    connection: psycopg.Connection[Any], *, source_id: str | None = None, with_judged: bool = False
) -> list[Proposal]:
    """Proposals in the order they were made: those that wait, or all of them."""
    wanted = {"source": source_id, "with_judged": with_judged}
    return connection.cursor(row_factory=class_row(Proposal)).execute(SQL["proposals"], wanted).fetchall()


def _refusals() -> AbstractContextManager[None]:
    return translated_errors(_REFUSALS)


def _proposal(connection: psycopg.Connection[Any], row: tuple[int] | None) -> Proposal:
    wanted = {"proposal": row and row[0]}
    found = connection.cursor(row_factory=class_row(Proposal)).execute(SQL["proposal"], wanted).fetchone()
    if found is None:
        raise RuntimeError("a proposal that was just written is not there")
    return found


def _source_of(connection: psycopg.Connection[Any], exception_id: int) -> str:
    row = connection.execute(SQL["source_of"], {"exception": exception_id}).fetchone()
    if row is None:
        raise UnknownItem(
            f"exception {exception_id}: expected one that exists, found none; see `tieout exceptions list`"
        )
    return str(row[0])


def _proposed_lines(
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


def _as_member(line: NamedLine) -> dict[str, Any]:
    key, number = ("line_key", "version") if line.side == "external" else ("entry_key", "line_no")
    return {"side": line.side, key: line.key, number: line.number, "role": line.role}
