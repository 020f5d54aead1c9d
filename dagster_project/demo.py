"""The demo: an invented world, day by day, through the real files, ledger, Dagster jobs and database, marked at the
end.

Law: the marks compare what the pipeline left in the database with the world's own answer key; nothing is looked up
there before. Running it again finds everything done and changes nothing; another world in the same project is
refused.
"""

import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

from dagster_project.demo_marks import Marks, mark
from dagster_project.demo_people import introduce_people
from dagster_project.errors import SettingsError
from dagster_project.instance import run_day
from dagster_project.pipeline import initialise, source_day
from dagster_project.project import Project, packaged_sources
from dagster_project.settings import Settings
from fixtures.world import World
from ledger_core.chart import load_accounts
from ledger_core.posting import load_entries
from reconciliation.evidence.page import day_as_text

Tell = Callable[[str], None]


def run_demo(settings: Settings, world: World, *, start: date, lines: int, tell: Tell) -> Marks:
    """Run every day of a world through the daily pipeline, tell each, and mark the outcome."""
    folder = settings.state / "demo"
    _refuse_another_world(
        folder, {"seed": world.seed, "start": start.isoformat(), "days": len(world.days), "lines": lines}
    )
    project = initialise(settings, sources_text=_demo_sources(start))
    world.write(folder / "world")
    with project.database.session("tieout_poster") as connection:
        load_accounts(connection, folder / "world" / "ledger" / "accounts.csv")
    for day in world.days:
        _arrive(project, folder / "world" / "days" / day.isoformat())
        run_day(project, day)
        tell(_told(project, day))
    marks = mark(project, folder / "world", last_day=world.days[-1])
    tell(marks.told())
    tell(f"People of the demo, with their passwords: {introduce_people(project)}")
    return marks


def _arrive(project: Project, folder: Path) -> None:
    """What comes in on a day: our own entries are posted, the files of the sources land."""
    with project.database.session("tieout_poster") as connection:
        load_entries(connection, folder / "ledger" / "entries.csv")
    for source in project.sources.sources:
        landing = project.settings.landing / source.id
        landing.mkdir(parents=True, exist_ok=True)
        for path in sorted((folder / source.id).glob("*")):
            draft = landing / f".{path.name}.part"
            shutil.copyfile(path, draft)
            draft.rename(landing / path.name)


def _told(project: Project, day: date) -> str:
    days = (source_day(project, source, day) for source in project.sources.sources)
    return "\n".join([f"\n== {day}", *(day_as_text(told) for told in days)])


def _demo_sources(start: date) -> str:
    return packaged_sources().replace("start_date: 2026-11-09", f"start_date: {start.isoformat()}")


def _refuse_another_world(folder: Path, world: dict[str, object]) -> None:
    """One project holds one demo: its ledger and the answers belong together."""
    marker = folder / "world.json"
    if marker.exists():
        found = json.loads(marker.read_text(encoding="utf-8"))
        if found != world:
            raise SettingsError(
                f"{folder}: expected the demo with {_in_words(found)}, found a wish for {_in_words(world)}; set "
                "TIEOUT_HOME to a new folder for another one"
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    marker.write_text(json.dumps(world), encoding="utf-8")


def _in_words(world: dict[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in world.items())
