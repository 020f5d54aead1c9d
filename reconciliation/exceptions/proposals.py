"""What people do about an exception beside working it: propose a decision, and judge what a colleague proposed.

Law: nothing is decided here. A proposal keeps its lines, and the entry that is to be posted, as they are now; another
person judges it; the database refuses who may not and what no longer holds. Who acts is the person whose session the
transaction entered. Card numbers in what people write are masked before they are sent.

Example:
    made = propose(connection, sources, 17, "force_match", reason_code="data_correction", reason="same payment",
        more=["fee=E-9/2"])
    judge(other_connection, made.proposal_id, "approved").acts_from
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal, get_args

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from ledger_core.sql import queries
from reconciliation.classification import BusinessCalendar
from reconciliation.errors import RefusedProposal, UnknownItem
from reconciliation.exceptions.adjustments import ChartAccount, EntryDraft, Share, adjusting_entry
from reconciliation.exceptions.doors import refusals
from reconciliation.exceptions.named_lines import chosen_lines, members_of, source_of
from reconciliation.formats.card_numbers import masked_text
from reconciliation.sources import Source, Sources

SQL: Final = queries(Path(__file__).with_suffix(".sql"))

Action = Literal["force_match", "not_duplicate", "exclude", "write_off", "book_entry"]
ReasonCode = Literal[
    "timing", "fee_not_booked", "data_correction", "duplicate", "counterparty_error", "write_off", "other"
]
Verdict = Literal["approved", "rejected"]

ACTIONS: Final[tuple[Action, ...]] = get_args(Action)
POSTING_ACTIONS: Final[tuple[Action, ...]] = ("write_off", "book_entry")
REASON_CODES: Final[tuple[ReasonCode, ...]] = get_args(ReasonCode)
NOTED_REASONS: Final[tuple[ReasonCode, ...]] = ("write_off", "other")
"""Reasons that say too little without a note."""

_TAKES_BACK: Final = "reversal_family"  # the pass that nets an entry with the one that corrects it
_NEXT_DAYS: Final = 30  # among which there is a business day, whatever the calendar


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What somebody wants decided, and what became of it; ``members`` and ``entry`` as they were when it was made."""

    proposal_id: int
    source: str
    exception_id: int | None
    action: str
    state: str  # waiting, expired, approved, rejected, withdrawn
    members: list[dict[str, Any]]
    reason_code: str
    reason: str
    proposed_by: str
    proposed_at: datetime
    expires_on: date | None
    judged_by: str | None
    note: str | None
    judged_at: datetime | None
    acts_from: date | None  # first business date that an approved one binds
    entry: dict[str, Any] | None
    stake_minor: int | None  # the money that it moves or settles, by which it is limited
    asset: str | None
    posting: str | None  # of an entry: posted, refused, or not yet
    posting_said: str | None

    @property
    def entry_key(self) -> str:
        """The key under which its entry is posted."""
        return f"proposal:{self.proposal_id}"


def propose(
    connection: psycopg.Connection[Any],
    sources: Sources,
    exception_id: int,
    action: Action,
    *,
    reason_code: ReasonCode,
    reason: str,
    version: int | None = None,
    suggestion: int | None = None,
    more: Iterable[str] = (),
    without: Iterable[str] = (),
    expires_on: date | None = None,
    entry: EntryDraft | None = None,
) -> Proposal:
    """Ask for a decision about the lines of an exception.

    Args:
        connection: a transaction of the analyst's role that entered a session.
        sources: says which accounts the exception's source reconciles.
        exception_id: its lines are the members, unless ``suggestion`` names a suggested match to take them from.
        action: one of ``ACTIONS``; those of ``POSTING_ACTIONS`` need an ``entry``, see ``draft``.
        reason_code: one of ``REASON_CODES``.
        reason: for whoever judges it, and for the auditors.
        version: the exception's as it was seen; another one is refused.
        suggestion: number of a suggested match.
        more: lines to add: a line key, an entry key, or ``ENTRY_KEY/LINE_NO``; ``external:`` or ``ledger:`` before it
            says which side is meant, and ``fee=``, ``fx=`` or ``rounding=`` that it owns the difference. A line that is
            a member already gets that role.
        without: lines to leave out, named likewise.
        expires_on: last business date on which it may be approved.
        entry: what is to be posted, frozen with the proposal.

    Raises:
        UnknownItem: no such exception, suggestion or line, or more than one line of that name.
        RefusedProposal: what was named cannot be decided so; the message says why.
        StaleView: somebody changed the exception meanwhile; the message says who and how.
        NoSession, NotAllowed: nobody acts, or may not.
    """
    if action in POSTING_ACTIONS and entry is None:
        raise RefusedProposal(f"{action}: expected the entry that is to be posted, found none")
    source = sources[source_of(connection, exception_id)]
    lines = chosen_lines(connection, source, exception_id, suggestion=suggestion, more=more, without=without)
    value = None if entry is None else entry.as_value()
    wanted = {
        "exception": exception_id,
        "version": version,
        "action": action,
        "members": Jsonb([line.as_member() for line in lines]),
        "reason_code": reason_code,
        "reason": masked_text(reason),
        "expires_on": expires_on,
        "entry": None if value is None else Jsonb(value | {"description": masked_text(value["description"])}),
        "suggestion": suggestion,
    }
    with refusals():
        row = connection.execute(SQL["propose"], wanted).fetchone()
    return read_proposal(connection, row[0] if row else 0)


def draft(
    connection: psycopg.Connection[Any],
    sources: Sources,
    exception_id: int,
    action: Action,
    *,
    shares: Sequence[Share] = (),
    suggestion: int | None = None,
    more: Iterable[str] = (),
    without: Iterable[str] = (),
    effective_date: date | None = None,
    description: str | None = None,
) -> EntryDraft:
    """The entry that would bring the chosen lines to zero, to be looked at and proposed.

    A write-off goes to the account of the source's rules. It takes effect on the last reconciled day unless told
    otherwise, or, where that day is signed, on the first business day after it.

    Raises:
        UnknownItem: no such exception, suggestion or line.
        RefusedProposal: there is no difference, or an account cannot take it.
    """
    source = sources[source_of(connection, exception_id)]
    lines = chosen_lines(connection, source, exception_id, suggestion=suggestion, more=more, without=without)
    members = members_of(connection, source, lines)
    if action == "write_off" and not shares:
        shares = [Share(account=_write_off_account(source, members[0].asset))] if members else ()
    codes = [*(member.account for member in members), *(share.account for share in shares)]
    rows = connection.execute(SQL["chart"], {"codes": codes}).fetchall()
    chart = {
        code: ChartAccount(code=code, asset=asset, is_open=is_open, is_leaf=is_leaf)
        for code, asset, is_open, is_leaf in rows
    }
    entry = adjusting_entry(
        members,
        shares=shares,
        chart=chart,
        effective_date=effective_date or _effective_date(connection, source),
        description=description or f"{action.replace('_', '-')} for exception {exception_id}",
    )
    if entry.corrects is not None and _TAKES_BACK not in source.match.passes:
        raise RefusedProposal(
            f"source {source.id}, match.passes: expected {_TAKES_BACK}, which explains an entry that takes back "
            f"{entry.corrects}, found none; add the pass, or propose the lines of both sides"
        )
    return entry


def asset_of(connection: psycopg.Connection[Any], exception_id: int) -> str:
    """The asset of an exception.

    Raises:
        UnknownItem: there is no such exception, or it is about no money.
    """
    row = connection.execute(SQL["asset_of"], {"exception": exception_id}).fetchone()
    if row is None or row[0] is None:
        raise UnknownItem(f"exception {exception_id}: expected one about an amount, found none")
    return str(row[0])


def judge(
    connection: psycopg.Connection[Any],
    proposal_id: int,
    verdict: Verdict,
    *,
    note: str | None = None,
    acts_from: date | None = None,
) -> Proposal:
    """Approve or reject a proposal; who rejects their own takes it back.

    The next run carries out what was approved; an entry is posted before.

    Raises:
        UnknownItem: no such proposal, or it was judged already.
        NotTheirs: it is the judge's own.
        NotAllowed: it is more than the judge's roles may approve.
        RefusedProposal: what it rests on has changed, or it expired; the message says what.
    """
    wanted = {
        "proposal": proposal_id,
        "verdict": verdict,
        "note": None if note is None else masked_text(note),
        "acts_from": acts_from,
    }
    with refusals():
        connection.execute(SQL["judge"], wanted)
    return read_proposal(connection, proposal_id)


def read_proposal(connection: psycopg.Connection[Any], proposal_id: int) -> Proposal:
    """A proposal as it is now.

    Raises:
        UnknownItem: there is none of that number.
    """
    cursor = connection.cursor(row_factory=class_row(Proposal))
    found = cursor.execute(SQL["proposal"], {"proposal": proposal_id}).fetchone()
    if found is None:
        raise UnknownItem(f"proposal {proposal_id}: expected one that exists, found none")
    return found


def list_proposals(
    connection: psycopg.Connection[Any], *, source_id: str | None = None, with_judged: bool = False
) -> list[Proposal]:
    """Proposals in the order they were made: those that wait, or all of them."""
    wanted = {"source": source_id, "with_judged": with_judged}
    return connection.cursor(row_factory=class_row(Proposal)).execute(SQL["proposals"], wanted).fetchall()


def _write_off_account(source: Source, asset: str) -> str:
    account = source.review.write_off.get(asset)
    if account is None:
        raise RefusedProposal(
            f"source {source.id}, review.write_off: expected an account for write-offs in {asset}, found none; name "
            "one in sources.yaml"
        )
    return account


def _effective_date(connection: psycopg.Connection[Any], source: Source) -> date:
    """The last reconciled day, or, where it is signed, the first business day after the signed ones."""
    row: tuple[date | None, date | None] | None = connection.execute(
        SQL["last_days"], {"source": source.id}
    ).fetchone()
    reconciled_to, signed_to = row or (None, None)
    if reconciled_to is None:
        raise RefusedProposal(f"source {source.id}: expected a reconciled day to book on, found none")
    if signed_to is None or signed_to < reconciled_to:
        return reconciled_to
    calendar = BusinessCalendar.of(source.calendars)
    after = signed_to + timedelta(days=1)
    first: date = calendar.business_days(after, signed_to + timedelta(days=_NEXT_DAYS))[0]
    return first
