"""The one code location: assets, checks, jobs, schedules and sensors, made from the sources file.

Loads anywhere: without settings, without a database, without a sources file (the packaged one then shows the graph).
Reads nothing but the sources file and today's date.
"""

import os
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg

from dagster_project.assets import business_days, ledger_assets, source_assets
from dagster_project.automation import jobs, schedules, sensors
from dagster_project.project import packaged_sources, read_sources
from dagster_project.resources import project_resource
from dagster_project.settings import read_settings
from reconciliation.sources import Sources, parse_sources


@dg.definitions
def definitions() -> dg.Definitions:
    """The definitions of this environment's sources."""
    settings = read_settings(os.environ, Path.cwd())
    sources = read_sources(settings.sources) if settings.sources.exists() else parse_sources(packaged_sources())
    return definitions_of(sources, today=datetime.now(UTC).date())


def definitions_of(sources: Sources, *, today: date) -> dg.Definitions:
    """The definitions of some sources, with business dates up to ``today``."""
    days = business_days(sources, today)
    assets = [asset for source in sources.sources for asset in source_assets(source, days)]
    all_jobs = jobs(sources)
    return dg.Definitions(
        assets=[*ledger_assets(days), *assets],
        jobs=list(all_jobs.values()),
        schedules=schedules(sources, all_jobs),
        sensors=sensors(sources, all_jobs),
        resources={"project": project_resource},
        executor=dg.in_process_executor,
    )
