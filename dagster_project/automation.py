"""When things run: a job and a schedule for each source, a sensor on each landing folder and one on the ledger's feed,
an alert for a failed run.

Law: the schedule is the promise, the sensor an early start; both are safe to repeat. Before the hour of the schedule a
sensor only takes files in, since a day that is judged before its files are there is judged twice; after it, a
late file has its day reconciled at once. New entries start no run, since every day that is run reads the journal as it
then is; they are observed, with the days and accounts they changed. When a deadline of files passes over one that is
absent, the sensor has the day run, so that the missing file is told of then, and not before. Entries that were approved
and not posted, or posted and not reconciled, because whoever should have was killed, have their source's last day run.
Statuses are RUNNING by default: whoever serves this wants it to run.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import dagster as dg

from dagster_project.assets.ledger import JOURNAL
from dagster_project.assets.source import DeliveryConfig, key_of
from dagster_project.carrying_out import last_reconciled, unseen_entries
from dagster_project.metadata import of_feed
from dagster_project.pipeline import absent_files, tell_failed_run
from dagster_project.places import FileState, look
from dagster_project.posting_adjustments import waiting_adjustments
from dagster_project.project import Project
from dagster_project.receiving import date_in_name, landed
from ledger_core import feed
from reconciliation.classification import BusinessCalendar, FileCalendar
from reconciliation.sources import Source, Sources

ALL_SOURCES = "all_sources_day"
LEDGER_DAY = "ledger_day"
LEDGER_HOUR = "15 5 * * *"  # UTC; before the first source of the demo
LONGEST_CLOSURE_DAYS = 60
SENSOR_SECONDS = 20
EVENTS_PER_READ = 2_000
EVENTS_PER_TICK = 50_000  # some seconds of a tick's minute; the rest comes with the next
RETRY_TAG = "dagster/retry_number"
PARTITION_TAG = "dagster/partition"
SOURCE_TAG = "recon/source"

Job = Any  # Dagster does not export the type of an asset job
AT_REST_SECONDS = DeliveryConfig().at_rest_seconds


def jobs(sources: Sources) -> dict[str, Job]:
    """Every job by its name: a day of each source, its intake alone, a day of the ledger, a day of everything."""
    everything = dg.AssetSelection.all()
    found = [
        _job(LEDGER_DAY, dg.AssetSelection.groups("ledger"), "ledger", "The ledger's trial balance and laws."),
        _job(ALL_SOURCES, everything, "all", "The ledger and every source, for one business date."),
    ]
    for source in sources.sources:
        day = dg.AssetSelection.groups(source.id)
        intake = dg.AssetSelection.assets(key_of(source.id, "delivery"), key_of(source.id, "lines"))
        found.append(_job(day_job(source), day, source.id, f"A business date of {source.id}, from files to statement."))
        found.append(_job(intake_job(source), intake, source.id, f"What has landed of {source.id} is taken in."))
    return {job.name: job for job in found}


def day_job(source: Source) -> str:
    """Name of the job that runs a source's day."""
    return f"{source.id}_day"


def intake_job(source: Source) -> str:
    """Name of the job that takes in a source's files."""
    return f"{source.id}_intake"


def schedules(sources: Sources, all_jobs: Mapping[str, Job]) -> Sequence[dg.ScheduleDefinition]:
    """One for each source, and one for the ledger."""
    return [_ledger_schedule(all_jobs), *(_source_schedule(source, all_jobs) for source in sources.sources)]


def sensors(sources: Sources, all_jobs: Mapping[str, Job]) -> Sequence[dg.SensorDefinition]:
    """One for each landing folder, for the ledger's feed, for approved entries, and one that tells of failed runs."""
    landing = (_landing_sensor(source, all_jobs) for source in sources.sources)
    return [failed_runs, ledger_feed, _approvals_sensor(sources, all_jobs), *landing]


def business_day_before(calendar: BusinessCalendar, day: date) -> date:
    """The last business day before a date."""
    return calendar.business_days(day - timedelta(days=LONGEST_CLOSURE_DAYS), day - timedelta(days=1))[-1]


def run_time(source: Source, calendar: BusinessCalendar, day: date) -> datetime:
    """When a business date of a source is run: on the next business day, in the source's zone."""
    after = calendar.roll_forward(day + timedelta(days=1))
    return datetime.combine(after, _hour(source), source.zone)


def deadline_passed(source: Source, now: datetime) -> tuple[date, datetime] | None:
    """The latest deadline of files that has passed, and the business date it was for; None before the first one.

    Files for closed dates are due with the business date that these belong to.
    """
    calendar = BusinessCalendar.of(source.calendars)
    files = FileCalendar(source=source, calendar=calendar)
    day = calendar.roll_forward(now.astimezone(source.zone).date())
    for _ in range(2):  # today's deadline, or else the one of the last business day before
        day = business_day_before(calendar, day)
        passed = [due for account in files.places if (due := files.due_at(account, day)) <= now]
        if passed and day >= source.start_date:
            return day, max(passed)
    return None


def owed_for(source: Source, day: date) -> tuple[date, ...]:
    """The dates whose files are due with a business date, owed by any account: its own, and closed ones before it."""
    calendar = BusinessCalendar.of(source.calendars)
    files = FileCalendar(source=source, calendar=calendar)
    first = business_day_before(calendar, day) + timedelta(days=1)
    return tuple(sorted({owed for account in files.places for owed in files.owed(account, first, day)}))


def ask(
    source: Source, files: Mapping[str, FileState], seen: Mapping[str, str], now: datetime
) -> tuple[list[dg.RunRequest], dict[str, str]]:
    """What a landing folder asks for, and what is remembered of it.

    ``files`` maps the names of files at rest to their states, ``seen`` those that were asked for to their states then.
    One request for each business date: the date a file's name carries, else the last business day before ``now``.
    """
    calendar = BusinessCalendar.of(source.calendars)
    today = now.astimezone(source.zone).date()
    remembered = {name: f"{state.size}:{state.modified_ns}" for name, state in files.items()}
    new: dict[date, list[str]] = {}
    for name, state in remembered.items():
        if seen.get(name) != state:
            named = date_in_name(name)
            known = named is not None and source.start_date <= named <= today
            day = named if named is not None and known else business_day_before(calendar, today)
            new.setdefault(max(day, source.start_date), []).append(f"{name} {state}")
    requests = [
        dg.RunRequest(
            run_key=f"{source.id} {day} {hashlib.sha256(' '.join(names).encode()).hexdigest()}",
            job_name=day_job(source) if now >= run_time(source, calendar, day) else intake_job(source),
            partition_key=day.isoformat(),
        )
        for day, names in sorted(new.items())
    ]
    return requests, remembered


def ask_for_overdue(
    project: Project, source: Source, judged: str | None, now: datetime
) -> tuple[list[dg.RunRequest], str | None]:
    """The run that a passed deadline asks for where a file is absent, and the deadline that was judged, once each.

    Nothing is asked for at the first look, since what passed before is the schedule's, nor where the schedule runs the
    day at the same hour anyway.
    """
    passed = deadline_passed(source, now)
    if passed is None or passed[1].isoformat() == judged:
        return [], judged
    day, due_at = passed
    if judged is None or due_at.timetz().replace(tzinfo=None) == _hour(source):
        return [], due_at.isoformat()
    absent = any(absent_files(project, source, owed, at=now).missing for owed in owed_for(source, day))
    if not absent:
        return [], due_at.isoformat()
    request = dg.RunRequest(
        run_key=f"{source.id} {day} due {due_at.isoformat()}",
        job_name=day_job(source),
        partition_key=day.isoformat(),
    )
    return [request], due_at.isoformat()


def ask_for_approved(
    waiting: Mapping[str, Sequence[int]], seen: Mapping[str, Sequence[int]], days: Mapping[str, date]
) -> list[dg.RunRequest]:
    """The runs that approved entries ask for which nobody carried out between two looks: their sources' last days.

    ``waiting`` and ``seen`` are proposals by source, now and at the look before. Whoever approves has them posted at
    once, so that what is only seen once is under way.
    """
    requests = []
    for source_id, proposals in sorted(waiting.items()):
        left = sorted(set(proposals) & set(seen.get(source_id, ())))
        if left and source_id in days:
            request = dg.RunRequest(
                run_key=f"{source_id} approved {' '.join(map(str, left))}",
                job_name=f"{source_id}_day",
                partition_key=days[source_id].isoformat(),
            )
            requests.append(request)
    return requests


@dg.run_failure_sensor(
    name="failed_runs",
    description="Puts the alert of a failed run into the outbox, once, and delivers it.",
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=SENSOR_SECONDS,
)
def failed_runs(context: dg.RunFailureSensorContext, project: dg.ResourceParam[Project]) -> None:
    """Tell of a failed run; a second attempt after a killed process has been told of by the first."""
    run = context.dagster_run
    if int(run.tags.get(RETRY_TAG, "0")):
        return
    day = run.tags.get(PARTITION_TAG)
    tell_failed_run(
        project,
        run_id=run.run_id,
        job=run.job_name,
        source_id=run.tags.get(SOURCE_TAG, "all"),
        day=date.fromisoformat(day) if day else None,
    )


@dg.sensor(
    name="ledger_feed",
    description="Entries posted since the last look are observed on the journal: how many, which days and accounts.",
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=SENSOR_SECONDS,
)
def ledger_feed(context: dg.SensorEvaluationContext, project: dg.ResourceParam[Project]) -> dg.SensorResult:
    """Observe what is new in the feed; the cursor is the position up to which it was seen."""
    with project.database.session("tieout_poster") as connection:
        newest = feed.relay(connection)  # nothing may be running that does it
    seen = int(context.cursor or 0)
    after = seen if seen <= newest else 0  # further than the feed: this is another ledger
    last = min(newest, after + EVENTS_PER_TICK)
    if last == after:
        return dg.SensorResult(skip_reason="Nothing new was posted.", cursor=str(last))
    lines, days, accounts = 0, Counter[str](), Counter[str]()
    with project.database.session("tieout_ledger_reader") as connection:
        for position in range(after, last, EVENTS_PER_READ):
            for event in feed.read(connection, position, min(EVENTS_PER_READ, last - position)):
                body = event.body
                days[body["effective_at"][: len("2026-11-20")]] += 1
                lines += len(body["lines"])
                accounts.update({line["account"] for line in body["lines"]})
    observed = dg.AssetObservation(
        JOURNAL,
        description=f"{last - after:,} entries posted, up to position {last:,}.",
        metadata=of_feed(after + 1, last, lines, days, accounts),
    )
    return dg.SensorResult(asset_events=[observed], cursor=str(last))


def _job(name: str, selection: dg.AssetSelection, source_id: str, description: str) -> Job:
    return dg.define_asset_job(
        name, selection=selection, description=description, run_tags={SOURCE_TAG: source_id}
    )


def _hour(source: Source) -> time:
    return source.schedule_after or source.files.deadline


def _ledger_schedule(all_jobs: Mapping[str, Job]) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=f"{LEDGER_DAY}_schedule",
        cron_schedule=LEDGER_HOUR,
        execution_timezone="UTC",
        job=all_jobs[LEDGER_DAY],
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="The ledger's laws, every day, for the day before.",
    )
    def ledger_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        day = context.scheduled_execution_time.astimezone(UTC).date() - timedelta(days=1)
        return dg.RunRequest(run_key=f"ledger {day}", partition_key=day.isoformat())

    return ledger_schedule


def _source_schedule(source: Source, all_jobs: Mapping[str, Job]) -> dg.ScheduleDefinition:
    calendar = BusinessCalendar.of(source.calendars)
    hour = _hour(source)

    @dg.schedule(
        name=f"{day_job(source)}_schedule",
        cron_schedule=f"{hour.minute} {hour.hour} * * *",
        execution_timezone=source.time_zone,
        job=all_jobs[day_job(source)],
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"The business day of {source.id} that has just ended, on every business day.",
    )
    def source_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        today = context.scheduled_execution_time.astimezone(source.zone).date()
        if not calendar.is_business_day(today):
            return dg.SkipReason(f"{today} is a closed day of {', '.join(source.calendars)}.")
        day = business_day_before(calendar, today)
        if day < source.start_date:
            return dg.SkipReason(f"{day} is before the start of {source.id} on {source.start_date}.")
        return dg.RunRequest(run_key=f"{source.id} {day}", partition_key=day.isoformat())

    return source_schedule


def _approvals_sensor(sources: Sources, all_jobs: Mapping[str, Job]) -> dg.SensorDefinition:
    @dg.sensor(
        name="approved_entries",
        jobs=[all_jobs[day_job(source)] for source in sources.sources],
        minimum_interval_seconds=SENSOR_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Entries that were approved and not carried out: their source's last day is run, which does.",
    )
    def approved_entries(context: dg.SensorEvaluationContext, project: dg.ResourceParam[Project]) -> dg.SensorResult:
        waiting: dict[str, list[int]] = {}
        half_done = [(one.source, one.proposal_id) for one in waiting_adjustments(project)]
        for name, proposal_id in sorted({*half_done, *unseen_entries(project)}):
            waiting.setdefault(name, []).append(proposal_id)
        days = {name: day for name in waiting if (day := last_reconciled(project, name)) is not None}
        requests = ask_for_approved(waiting, json.loads(context.cursor or "{}"), days)
        return dg.SensorResult(
            run_requests=requests,
            cursor=json.dumps(waiting, sort_keys=True),
            skip_reason=None if requests else "Nothing that was approved waits for the ledger.",
        )

    return approved_entries


def _landing_sensor(source: Source, all_jobs: Mapping[str, Job]) -> dg.SensorDefinition:
    @dg.sensor(
        name=f"{source.id}_landing",
        jobs=[all_jobs[day_job(source)], all_jobs[intake_job(source)]],
        minimum_interval_seconds=SENSOR_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            f"Files of {source.id} that have landed, or wait at their place, and are at rest are taken in; after the "
            "hour of the schedule their business date is run too."
        ),
    )
    def landing(context: dg.SensorEvaluationContext, project: dg.ResourceParam[Project]) -> dg.SensorResult:
        files = landed(project, source, at_rest_seconds=AT_REST_SECONDS)
        cursor, now = json.loads(context.cursor or "{}"), datetime.now(UTC)
        found = look(project, source, at_rest_seconds=AT_REST_SECONDS)
        states = {**found.waiting, **{path.name: state for path, state in files.items()}}
        requests, remembered = ask(source, states, cursor.get("files", {}), now)
        overdue, judged = ask_for_overdue(project, source, cursor.get("judged"), now)
        requests += overdue
        return dg.SensorResult(
            run_requests=requests,
            cursor=json.dumps({"files": remembered, "judged": judged}, sort_keys=True),
            skip_reason=None if requests else " ".join(["Nothing new has landed.", *map(str, found.problems)]),
        )

    return landing
