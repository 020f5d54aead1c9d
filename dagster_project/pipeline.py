"""The steps of a source's day that command line and Dagster assets both take: set up, reconcile, prove, alert.

Law: each step is one transaction under the role that may do it, so a killed step did not happen and is simply run
again. This is the edge: the clock is read here, and nothing here decides anything about money.
"""

import contextlib
import importlib.metadata
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from typing import Any

from dagster_project.posting_adjustments import post_adjustments
from dagster_project.project import Project, deliver_alerts, open_project
from dagster_project.settings import Settings
from ledger_core.balance import trial_balance
from ledger_core.sql import translated_errors
from ledger_core.verify import Check, verify
from reconciliation.alerts import Alert, write_alerts
from reconciliation.classification import BusinessCalendar, TimingQuality
from reconciliation.daily.reconcile import RunFacts, RunOutcome, reconcile, record_failure
from reconciliation.errors import AlreadyRunning
from reconciliation.evidence.chain import ChainProof, verify_chains
from reconciliation.evidence.day import AbsentFiles, SourceDay, read_absent_files, read_source_day
from reconciliation.evidence.timing import read_timing_quality
from reconciliation.intake.source_versions import register_sources
from reconciliation.sources import Source


def code_version() -> str:
    """The installed version of the product, as every run records it."""
    return importlib.metadata.version("tieout")


def initialise(settings: Settings, *, sources_text: str) -> Project:
    """Everything that must be there before the first file: folders, sources, schema, roles, rules. Safe to repeat."""
    settings.state.mkdir(parents=True, exist_ok=True)
    if not settings.sources.exists():
        settings.sources.parent.mkdir(parents=True, exist_ok=True)
        settings.sources.write_text(sources_text, encoding="utf-8")
    project = open_project(settings)
    project.database.migrate()
    register(project)
    for source in project.sources.sources:
        (settings.landing / source.id).mkdir(parents=True, exist_ok=True)
    return project


def register(project: Project) -> None:
    """Record the rules of every source, so that runs can name the version they used."""
    with translated_errors(), project.database.session("tieout_intake") as connection:
        register_sources(connection, project.sources)


def reconcile_source(
    project: Project,
    source: Source,
    as_of: date,
    *,
    actor: str = "schedule",
    wait: bool = True,
    at: datetime | None = None,
) -> RunOutcome:
    """Reconcile one source up to a business date, then deliver what alerts it put out.

    Entries that were approved meanwhile are posted first, unless nobody wants to ``wait`` for another run's end.
    The run begins now, or at another instant that is told, and the deadlines that have passed are those of then.
    A run that fails changes nothing and is recorded as failed before its error goes on.
    """
    register(project)
    if wait:
        post_adjustments(project, source_id=source.id)
    started_at = at or datetime.now(UTC)
    told: RunFacts = {"actor": actor, "code_version": code_version(), "started_at": started_at}
    now = judged_at(source, as_of, started_at)
    try:
        with (
            translated_errors(),
            project.database.session("tieout_matcher", lock_timeout_seconds=600) as connection,
        ):
            outcome = reconcile(connection, source, as_of=as_of, now=now, wait=wait, **told)
    except AlreadyRunning:
        raise
    except Exception as failure:
        # Where even this cannot be written, the first failure is still the one to tell.
        with contextlib.suppress(Exception), project.database.session("tieout_matcher") as connection:
            record_failure(connection, source, as_of=as_of, failure=type(failure).__name__, **told)
        raise
    deliver_alerts(project)
    return outcome


def source_day(project: Project, source: Source, day: date) -> SourceDay:
    """A source's business day as the books stand."""
    with translated_errors(), project.database.session("tieout_auditor") as connection:
        return read_source_day(connection, source, day)


def timing_of(
    project: Project, source: Source, *, from_date: date | None = None, to_date: date | None = None
) -> TimingQuality | None:
    """Whether what was called timing cleared, over items of these dates; None where nothing was reconciled."""
    with translated_errors(), project.database.session("tieout_auditor") as connection:
        return read_timing_quality(connection, source.id, from_date=from_date, to_date=to_date)


def chains_of(project: Project, source: Source) -> ChainProof:
    """The chains of the source's events, computed again, with what sign-offs witness."""
    with translated_errors(), project.database.session("tieout_auditor") as connection:
        return verify_chains(connection, source_id=source.id)


def is_open(source: Source, day: date) -> bool:
    """Whether a date is a business day of the source, on or after its start."""
    return day >= source.start_date and BusinessCalendar.of(source.calendars).is_business_day(day)


def judged_at(source: Source, as_of: date, now: datetime) -> datetime | None:
    """The instant by which the deadlines of files are judged: now.

    A business date ahead of the clock is an invented one, and over: None, its files count as due.
    """
    return None if as_of > now.astimezone(source.zone).date() else now


def absent_files(project: Project, source: Source, day: date, *, at: datetime | None = None) -> AbsentFiles:
    """What still has no file for a date that owes one: what is missing, and what is not yet due."""
    now = judged_at(source, day, at or datetime.now(UTC))
    with translated_errors(), project.database.session("tieout_auditor") as connection:
        return read_absent_files(connection, source, day, now=now)


def ledger_trial_balance(project: Project, day: date) -> list[dict[str, Any]]:
    """The trial balance at the end of a date, UTC: rows of ``TRIAL_BALANCE_SCHEMA``."""
    midnight = datetime.combine(day + timedelta(days=1), time_of_day(), UTC)
    with project.database.session("tieout_ledger_reader") as connection:
        return trial_balance(connection, effective_before=midnight).to_pylist()


def ledger_checks(project: Project) -> Sequence[Check]:
    """Every law of the ledger, looked at again over every posted row."""
    with project.database.session("tieout_auditor") as connection:
        return verify(connection)


def tell_failed_run(project: Project, *, run_id: str, job: str, source_id: str, day: date | None) -> int:
    """Put the alert of a failed run into the outbox, once for each run, and deliver; returns how many alerts were new.

    The reason is not repeated: an error's words may quote data, and alerts leave the house.
    """
    alert = Alert(
        cause_key=f"run:{run_id}",
        source_id=source_id,
        business_date=day,
        severity="high",
        title=f"{source_id} {day or ''}: the run of {job} failed".replace(" :", ":"),
        body=f"Job {job}, run {run_id}. Nothing of the failed step was kept; the reason is on the run's page.\n"
        "Mend it, then run the day again: what is done already stays as it is.",
        item_count=1,
    )
    with translated_errors(), project.database.session("tieout_matcher") as connection:
        written = write_alerts(connection, [alert])
    deliver_alerts(project)
    return written
