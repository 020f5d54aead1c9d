"""What an analyst needs to see of one exception: facts, both sides, candidates, history, proposals, enclosures.

Laws: everything is read in one transaction, each list by an index and with a bound that is told when it is met; lines
of both books come in canonical order. Decides nothing, writes nothing; pages and words are made elsewhere.

Example:
    case = read_case(connection, sources, 17)
    case.own.difference_minor, [candidate.why_not for candidate in case.candidates]
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg.rows import class_row

from ledger_core.sql import queries
from reconciliation.errors import SourcesError, UnknownItem
from reconciliation.exceptions.attachments import Attachment, attachments_of
from reconciliation.review.book_lines import LINES_MAX, Bookkeeper
from reconciliation.review.candidates import Candidate, candidates_of
from reconciliation.review.side_by_side import BookLine, Sides
from reconciliation.sources import Source, Sources

SQL: Final = queries(Path(__file__).with_suffix(".sql"))
EVENTS_MAX: Final = 200

Connection = psycopg.Connection[Any]
_RAISED: Final = (
    ("share", "one percent or more of the account's balance"),
    ("direction", "the source holds less than our book says"),
    ("class_weight", "the book itself is in doubt, not only late"),
    ("regulatory", "an account of safeguarded money"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExceptionRow:
    """An exception as it is stored; ``last_event`` is the newest event of its history."""

    exception_id: int
    source: str
    opened_on: date
    as_of: date
    exception_class: str
    kind: str
    severity: str
    status: str
    side: str
    line_key: str | None
    entry_key: str | None
    line_no: int | None
    account: str | None
    amount_minor: int
    difference_minor: int
    asset: str | None
    item_date: date
    due_on: date | None
    sla_due_on: date | None
    expected_clear_on: date | None
    age_business_days: int
    assignee: str | None
    team: str | None
    snoozed_until: date | None
    carried_until: date | None
    reason: str | None
    cycle: int
    cleared_by_group: int | None
    cleared_on: date | None
    factors: dict[str, Any]
    version: int
    reference: str | None
    counterparty: str | None
    last_event: int | None

    @property
    def is_open(self) -> bool:
        """Whether anything can still be done about it."""
        return self.cleared_on is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One step of its life, with the link that it has in its chain."""

    event_id: int
    event: str
    actor: str
    as_of: date
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    reason: str | None
    note: str | None
    at: datetime
    hash: str | None
    origin: str | None
    chain_no: int | None

    @property
    def changes(self) -> tuple[tuple[str, Any, Any], ...]:
        """What differs before and after: name, before, after."""
        old, new = self.before or {}, self.after or {}
        if not self.before or not self.after:
            return ()
        names = sorted(set(old) | set(new))
        return tuple((name, old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name))


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalLine:
    """A proposal about it, in a list."""

    proposal_id: int
    action: str
    state: str
    proposed_by: str
    proposed_at: datetime
    judged_by: str | None
    judged_at: datetime | None
    reason: str
    reason_code: str
    note: str | None
    posting: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """All of it. ``line_count`` may be more than the lines that are shown."""

    row: ExceptionRow
    own: Sides
    line_count: int
    candidates: tuple[Candidate, ...]
    near_is_cut: bool
    events: tuple[Event, ...]
    enclosures: tuple[Attachment, ...]
    proposals: tuple[ProposalLine, ...]
    factors: tuple[tuple[str, str], ...]

    def candidate(self, name: str) -> Candidate | None:
        """The candidate of that name, if it still is one."""
        return next((one for one in self.candidates if one.name == name), None)

    @property
    def comments(self) -> tuple[Event, ...]:
        """What people said, the newest first."""
        return tuple(event for event in self.events if event.event == "commented")

    @property
    def waiting(self) -> ProposalLine | None:
        """The newest proposal that waits for somebody."""
        return next((one for one in self.proposals if one.state == "waiting"), None)


def read_case(connection: Connection, sources: Sources, exception_id: int) -> Case:
    """Everything about an exception.

    Raises:
        UnknownItem: there is none of that number.
    """
    row = read_row(connection, exception_id)
    bookkeeper = Bookkeeper(connection, row.source, source_of(sources, row.source))
    places = bookkeeper.of_exception(exception_id)
    own = Sides.of(
        settled(bookkeeper, row.cleared_by_group)
        if row.cleared_by_group
        else bookkeeper.lines(places).values()
    )
    near, near_is_cut = _near(bookkeeper, row, own) if row.is_open else ([], False)
    suggestions = bookkeeper.suggestions(places) if row.is_open else []
    return Case(
        row=row,
        own=own,
        line_count=_count(connection, exception_id) if len(places) >= LINES_MAX else len(own.lines),
        candidates=candidates_of(own, suggestions, near) if row.is_open else (),
        near_is_cut=near_is_cut,
        events=events_since(connection, exception_id),
        enclosures=tuple(attachments_of(connection, exception_id)),
        proposals=_proposals(connection, exception_id),
        factors=factors_in_words(row.factors),
    )


def settled(bookkeeper: Bookkeeper, group_id: int) -> list[BookLine]:
    """The lines of a match; that they are in it stands in nobody's way."""
    mine = f"is in match {group_id}"
    lines = bookkeeper.members([group_id]).get(group_id, ())
    return [replace(line, problem=None) if line.problem == mine else line for line in lines]


def read_row(connection: Connection, exception_id: int) -> ExceptionRow:
    """The exception itself."""
    cursor = connection.cursor(row_factory=class_row(ExceptionRow))
    found = cursor.execute(SQL["exception"], {"exception": exception_id}).fetchone()
    if found is None:
        raise UnknownItem(f"exception {exception_id}: expected one that exists, found none")
    return found


def events_since(connection: Connection, exception_id: int, after: int = 0) -> tuple[Event, ...]:
    """Its history, the newest first, from after an event on."""
    wanted = {"exception": exception_id, "after": after, "most": EVENTS_MAX}
    cursor = connection.cursor(row_factory=class_row(Event))
    return tuple(cursor.execute(SQL["events"], wanted).fetchall())


def source_of(sources: Sources, source_id: str) -> Source | None:
    """The source as it is configured; None where it is not any more."""
    try:
        return sources[source_id]
    except SourcesError:
        return None


def factors_in_words(factors: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """What made the severity, step by step: how much it moved, and why."""
    if factors.get("class") == "timing":
        return (("info", "it is expected to clear by itself"),)
    late = factors.get("late_business_days")
    told = [(str(factors.get("exposure") or "low"), "by the money at stake")]
    told += [("+1", words) for name, words in _RAISED if factors.get(name)]
    if factors.get("lateness"):
        told.append(("+1", f"{late} business days past its due date"))
    if factors.get("systemic"):
        told.append(("+1", f"the same cause {factors.get('systemic_count')} times on the day"))
    if factors.get("confidence") == "low":
        told.append(("-1", "which lines belong together is in doubt, not whether the money is there"))
    if factors.get("ceiling"):
        told.append((f"at most {factors['ceiling']}", "a trifle, whatever its age"))
    if factors.get("floor"):
        told.append((f"at least {factors['floor']}", "by its kind"))
    return tuple(told)


def _near(bookkeeper: Bookkeeper, row: ExceptionRow, own: Sides) -> tuple[list[BookLine], bool]:
    """Open lines that would bring the difference to zero: ours where the source has more, theirs where we have."""
    total = next((total for total in own.totals if total.difference_minor), None)
    if total is None or len(own.totals) > 1:
        return [], False
    lines: list[BookLine] = []
    is_cut = False
    wanted = (
        ("ledger", total.difference_minor, own.external),
        ("external", -total.difference_minor, own.ledger),
    )
    for side, missing_minor, others in wanted:
        if not others:
            continue  # a match needs both sides
        found, cut = bookkeeper.near(
            row.exception_id, asset=total.asset, wanted_minor=missing_minor, sides=[side], day=row.item_date
        )
        lines += found
        is_cut |= cut
    return lines, is_cut


def _count(connection: Connection, exception_id: int) -> int:
    row = connection.execute(SQL["member_count"], {"exception": exception_id}).fetchone()
    return int(row[0]) if row else 0


def _proposals(connection: Connection, exception_id: int) -> tuple[ProposalLine, ...]:
    cursor = connection.cursor(row_factory=class_row(ProposalLine))
    return tuple(cursor.execute(SQL["proposals_of"], {"exception": exception_id}).fetchall())


def accounts_for(connection: Connection, asset: str, source: Source | None) -> list[tuple[str, str]]:
    """Accounts that a missing entry of the source could be booked against, with their names."""
    wanted = {
        "asset": asset,
        "reconciled": list(source.ledger_accounts) if source else [],
        "allowed": list(source.review.entry_accounts) if source else [],
    }
    return [(account, name) for account, name in connection.execute(SQL["accounts"], wanted)]


def people_to_assign(connection: Connection) -> list[tuple[str, str]]:
    """Logins and names of whom work can be given to."""
    return [(login, name) for login, name, _ in connection.execute(SQL["people"])]
