"""Over holidays, what is called timing clears in time, and what clears in time was called timing: both in 98 of 100.

The worlds' own calendar posts the movements; the daily pipeline, from files to exceptions, knows the bank's calendar
alone. A pipeline that counts holidays as business days does not reach it, so the figures are worth something.
"""

from datetime import date
from pathlib import Path

import pytest

from dagster_project.database import Database
from dagster_project.pipeline import reconcile_source, register
from dagster_project.project import Project
from dagster_project.receiving import ingest
from dagster_project.settings import read_settings
from fixtures import hard_files
from fixtures.hard_model import HardWorld
from fixtures.hard_timing import timing_world
from ledger_core.chart import load_accounts
from ledger_core.posting import load_entries
from reconciliation.classification import TimingQuality
from reconciliation.evidence.timing import read_timing_quality
from reconciliation.formats.card_numbers import KeyedCardTokens
from reconciliation.sources import parse_sources

CHRISTMAS, EASTER = date(2025, 12, 15), date(2026, 3, 23)
LEAST_PPM = 980_000


def quality_of(world: HardWorld, url: str, folder: Path, *, calendar: str) -> TimingQuality:
    """The world through the daily pipeline, day by day, and what its timing label was worth."""
    hard_files.write(world, folder)
    settings = read_settings({}, folder / "home")
    settings.state.mkdir(parents=True)
    sources = parse_sources(hard_files.sources_text(world, calendar=calendar))
    database = Database(url=url, dagster_libpq_url=url)
    project = Project(
        settings=settings, database=database, sources=sources, card_tokens=KeyedCardTokens(bytes(range(32)))
    )
    register(project)
    with database.session("tieout_poster") as connection:
        load_accounts(connection, folder / "ledger" / "accounts.csv")
    for day in world.days:
        of_day = folder / "days" / day.isoformat()
        with database.session("tieout_poster") as connection:
            load_entries(connection, of_day / "ledger" / "entries.csv")
        ingest(project, sources["bank"], of_day / "bank" / f"bank_{day.isoformat()}.csv")
        reconcile_source(project, sources["bank"], day)
    with database.session("tieout_auditor") as connection:
        found = read_timing_quality(connection, "bank")
    assert found is not None
    return found


@pytest.mark.parametrize("start", [CHRISTMAS, EASTER], ids=["christmas", "easter"])
def test_what_is_called_timing_over_holidays_clears_in_time(
    start: date, database_url: str, tmp_path: Path
) -> None:
    world = timing_world(1, start)
    found = quality_of(world, database_url, tmp_path / "world", calendar="ECB")
    assert found.judged_count > 300
    assert found.self_cleared_count > 300
    assert found.waiting_count == 0
    assert found.precision_ppm is not None
    assert found.precision_ppm >= LEAST_PPM, found
    assert found.recall_ppm is not None
    assert found.recall_ppm >= LEAST_PPM, found
    late_or_never = {entry.entry_key for entry in world.entries}
    late_or_never -= {answer.partners[0] for answer in world.answers if answer.kind != "late"}
    long_past = {entry.entry_key for entry in world.entries if entry.day < world.days[-6]}
    missed = found.judged_count - found.cleared_in_time_count  # what nobody could know, and nothing else
    assert 0 < len(long_past & late_or_never) <= missed <= len(late_or_never)


def test_without_the_calendar_of_the_rail_the_label_is_worth_less(database_url: str, tmp_path: Path) -> None:
    world = timing_world(1, CHRISTMAS, days=14)
    found = quality_of(world, database_url, tmp_path / "world", calendar="every_day")
    assert found.precision_ppm is not None
    assert found.precision_ppm < LEAST_PPM
