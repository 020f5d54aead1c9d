"""The product's own Dagster instance: its folder, its settings, and running a day in this very process.

Law: the folder is the project's own and never the person's `DAGSTER_HOME`; telemetry is off before anything of Dagster
starts. A run whose process is gone is failed and its slots are given back: nothing else would ever end it.
"""

import os
from datetime import UTC, date, datetime
from importlib.resources import files
from pathlib import Path

import dagster as dg
from sqlalchemy import make_url

from dagster_project.assets.source import DeliveryConfig, key_of
from dagster_project.automation import ALL_SOURCES
from dagster_project.definitions import definitions_of
from dagster_project.processes import ProcessMark
from dagster_project.project import Project
from dagster_project.settings import Settings

STATEMENT_TIMEOUT_MILLISECONDS = 60_000
PROCESS_TAG = "tieout/process"
UNFINISHED = (
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)  # queued ones are left to the daemon, which will start them


def dagster_home(settings: Settings) -> Path:
    """Dagster's folder of the project, with its `dagster.yaml`: written when there is none, left alone afterwards."""
    home = settings.state / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    own = home / "dagster.yaml"
    if not own.exists():
        own.write_text(files("dagster_project").joinpath("dagster.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    return home


def dagster_environment(project: Project) -> dict[str, str]:
    """What Dagster's processes need in their environment to use the project's instance. May hold a password."""
    return {
        "DAGSTER_HOME": str(dagster_home(project.settings)),
        "DAGSTER_PG_URL": _unhurried(project.database.dagster_url),
        "DAGSTER_DISABLE_TELEMETRY": "yes",
    }


def instance(project: Project) -> dg.DagsterInstance:
    """The instance, a context manager, with its tables at Dagster's newest revision."""
    environment = dagster_environment(project)
    home = environment.pop("DAGSTER_HOME")  # for children; this process may have one of its own
    os.environ.update(environment)  # `dagster.yaml` names the URL by its variable
    opened = dg.DagsterInstance.from_config(home)
    for storage in (opened.run_storage, opened.event_log_storage, opened.schedule_storage):
        revisions = storage.alembic_version() if storage else None
        if revisions and revisions[0] != revisions[1]:
            opened.upgrade()
            break
    # Else every event of a run opens a connection of its own, five hundred for a day of three sources.
    opened.optimize_for_webserver(
        statement_timeout=STATEMENT_TIMEOUT_MILLISECONDS, pool_recycle=3600, max_overflow=20
    )
    return opened


def _unhurried(url: str) -> str:
    """The same database, where a crash may cost the last second: right for Dagster's history, never for the ledger."""
    parsed = make_url(url)
    options = f"{parsed.query.get('options', '')} -c synchronous_commit=off".strip()
    return parsed.update_query_dict({"options": options}).render_as_string(hide_password=False)


def run_day(project: Project, day: date, job: str = ALL_SOURCES) -> dg.ExecuteInProcessResult:
    """Run a business date here and now, as the daemon would, with its history in the real instance.

    Takes in whatever has landed, however new. Raises what a step raises.
    """
    today = max(day, datetime.now(UTC).date())
    with instance(project) as opened:
        resolved = definitions_of(project.sources, today=today).resolve_job_def(job)
        names = {key.to_python_identifier() for key in resolved.asset_layer.selected_asset_keys}
        at_once = {"config": DeliveryConfig(at_rest_seconds=0).model_dump()}
        deliveries = (key_of(source.id, "delivery").to_python_identifier() for source in project.sources.sources)
        return resolved.execute_in_process(
            run_config={
                "ops": {name: at_once for name in deliveries if name in names},
                "loggers": {"console": {"config": {"log_level": "ERROR"}}},
            },
            partition_key=day.isoformat(),
            instance=opened,
            resources={"project": project},
            tags={PROCESS_TAG: ProcessMark.own().text},
        )


def fail_ghosts(opened: dg.DagsterInstance) -> int:
    """Fail the runs that a crash left unfinished and give back their slots; returns how many.

    To be called while no daemon and no code server of this project is alive: every unfinished run is then a ghost,
    unless it runs in a process of its own that lives.
    """
    ghosts = 0
    for run in opened.get_runs(filters=dg.RunsFilter(statuses=list(UNFINISHED))):
        process = ProcessMark.parse(run.tags.get(PROCESS_TAG, ""))
        if process is not None and process.is_alive:
            continue
        opened.report_run_failed(run, "The process of this run is gone; run the day again.")
        opened.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        ghosts += 1
    return ghosts
