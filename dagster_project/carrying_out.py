"""What two people agreed on is carried out: entries are posted, and the days they touch reconciled again.

Law: safe to repeat and at once with itself: an entry is posted once, a day that is reconciled again changes nothing;
killed anywhere in between, the next call does what is left. A refused entry stops nothing else. Called after an
approval, and by whoever wants to be sure.
"""

from datetime import date
from pathlib import Path
from typing import Final

from dagster_project.pipeline import reconcile_source
from dagster_project.posting_adjustments import Carried, post_adjustments
from dagster_project.project import Project
from ledger_core.sql import queries, translated_errors

SQL: Final = queries(Path(__file__).with_suffix(".sql"))

__all__ = ["Carried", "carry_out", "last_reconciled", "unseen_entries"]


def carry_out(project: Project, *, source_id: str | None = None) -> list[Carried]:
    """Post approved entries, of one source or of all, and reconcile the sources to their last reconciled day whose
    entries or decisions no run has seen.

    Returns what became of each entry, in the order they were proposed.
    """
    carried = post_adjustments(project, source_id=source_id)
    touched = {one.source_id for one in carried if one.outcome == "posted"}
    for source in project.sources.sources:
        if source_id not in (None, source.id):
            continue
        left = (
            source.id in touched
            or unseen_entries(project, source_id=source.id)
            or _has_unseen_decisions(project, source.id)
        )
        if left and (day := last_reconciled(project, source.id)) is not None:
            reconcile_source(project, source, day, actor="approval")
    return carried


def unseen_entries(project: Project, *, source_id: str | None = None) -> list[tuple[str, int]]:
    """Source and proposal of posted entries that no run has seen, though they are of a day that is reconciled."""
    with translated_errors(), project.database.session("tieout_auditor") as connection:
        rows = connection.execute(SQL["unseen_entries"], {"source": source_id}).fetchall()
    return [(str(source), int(proposal)) for source, proposal in rows]


def last_reconciled(project: Project, source_id: str) -> date | None:
    """The last business date to which a source was reconciled; None where it never was."""
    with translated_errors(), project.database.session("tieout_auditor") as connection:
        row: tuple[date | None] | None = connection.execute(
            SQL["last_reconciled"], {"source": source_id}
        ).fetchone()
    return row[0] if row else None


def _has_unseen_decisions(project: Project, source_id: str) -> bool:
    with translated_errors(), project.database.session("tieout_auditor") as connection:
        row = connection.execute(SQL["unseen_decisions"], {"source": source_id}).fetchone()
    return bool(row and row[0])
