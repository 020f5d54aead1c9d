"""Entries that two people agreed on go through the ledger's door: once each, under the proposal's own key.

Laws: what is posted is what was frozen with the proposal; killed between posting and recording, the next call posts
nothing and records; two at once post once. What the ledger refuses is recorded with its sentence, and the exception
goes back to its owner. Posts as the poster and records as the matcher, in a transaction each. Reconciles nothing: see
``carrying_out``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, Final, Literal

from psycopg.rows import class_row

from dagster_project.project import Project
from ledger_core.errors import PostingRefusedError
from ledger_core.posting import EntryLine, EntryRequest, post
from ledger_core.sql import queries, translated_errors
from reconciliation.errors import UnknownItem
from reconciliation.exceptions.doors import refusals
from reconciliation.sources import Source

SQL: Final = queries(Path(__file__).with_suffix(".sql"))

LOCK_SECONDS: Final = 600  # as long as a run may have the source

_NOON: Final = time(12)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An approved entry that is neither posted nor refused yet."""

    proposal_id: int
    source: str
    entry_key: str
    entry: dict[str, Any]
    reference_columns: dict[str, str] | None
    corrects_entry_key: str | None
    proposed_by: str
    approved_by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """What became of an approved entry in the ledger; ``said`` why it was refused."""

    proposal_id: int
    source_id: str
    entry_key: str
    outcome: Literal["posted", "refused"]
    said: str | None = None


def waiting_adjustments(project: Project, *, source_id: str | None = None) -> list[Waiting]:
    """Approved entries that wait for the ledger, in the order they were proposed."""
    with translated_errors(), project.database.session("tieout_auditor") as connection:
        cursor = connection.cursor(row_factory=class_row(Waiting))
        return cursor.execute(SQL["waiting"], {"source": source_id}).fetchall()


def post_adjustments(project: Project, *, source_id: str | None = None) -> list[Carried]:
    """Post what waits, of one source or of all, and record it. Safe to repeat, and at once with itself."""
    return [_carried(project, one) for one in waiting_adjustments(project, source_id=source_id)]


def request_of(one: Waiting, source: Source) -> EntryRequest:
    """What is asked of the ledger: at noon of the effective date in the source's zone, or at its cut-off if earlier.

    The first line is found by the references of the line it is for; proposer, approver and reason go with it.
    """
    day = date.fromisoformat(one.entry["effective_date"])
    at = datetime.combine(day, min(_NOON, source.cut_off), source.zone).astimezone(UTC)
    told: Mapping[str, Any] = {
        "description": str(one.entry.get("description", ""))[:1000] or None,
        "metadata": {
            "proposal_id": one.proposal_id,
            "proposed_by": one.proposed_by,
            "approved_by": one.approved_by,
            "reason": one.reason,
        },
    }
    found_by: Mapping[str, Any] = one.reference_columns or {}
    lines = [
        EntryLine(
            account=line["account"],
            amount_minor=line["amount_minor"],
            asset=line["asset"],
            detail={**told, **found_by} if place == 0 else told,
        )
        for place, line in enumerate(one.entry["lines"])
    ]
    return EntryRequest(
        entry_key=one.entry_key, effective_at=at, lines=lines, corrects=one.corrects_entry_key
    )


def _carried(project: Project, one: Waiting) -> Carried:
    """One entry through the ledger's door, and what became of it written down."""
    outcome, said = _posted(project, one)
    result = Carried(
        proposal_id=one.proposal_id,
        source_id=one.source,
        entry_key=one.entry_key,
        outcome="refused" if outcome == "refused" else "posted",
        said=said if outcome == "refused" else None,
    )
    try:
        _record(project, result)
    except UnknownItem:
        if outcome != "conflict":
            raise
        # The ledger has something else under this key than what was approved.
        result = replace(result, outcome="refused", said=said)
        _record(project, result)
    return result


def _posted(project: Project, one: Waiting) -> tuple[str, str | None]:
    """The ledger's word, and its sentence: posted, replayed, conflict or refused.

    A conflict may be what was approved, at another hour: the source's zone has changed since it was posted.
    """
    try:
        with project.database.session("tieout_poster") as connection:
            (result,) = post(connection, [request_of(one, project.sources[one.source])])
    except PostingRefusedError as refusal:
        return "refused", str(refusal)
    return result.outcome, result.detail or result.code or result.outcome


def _record(project: Project, result: Carried) -> None:
    """What became of it; whoever is faster does it. Waits while a run has the source."""
    with (
        refusals(),
        project.database.session("tieout_matcher", lock_timeout_seconds=LOCK_SECONDS) as connection,
    ):
        connection.execute("SELECT set_config('tieout.actor', 'approval', true)")
        wanted = {"proposal": result.proposal_id, "outcome": result.outcome, "said": result.said}
        connection.execute(SQL["record"], wanted)
