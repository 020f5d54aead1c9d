"""What the command line and the Dagster assets both do, in one place: reach the database, take files in, reconcile, alert.

Law: each step is one transaction under the role that may do it, so a killed step did not happen and is simply run again. This
is the edge: the clock is read here, files are opened here, and nothing here decides anything about money.
"""

import importlib.metadata
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from importlib.resources import files
from pathlib import Path

from dagster_project.database import Database, reach
from dagster_project.errors import SettingsError
from dagster_project.settings import Settings
from ledger_core.sql import translated_errors
from reconciliation.alerts import deliver_waiting
from reconciliation.alerts.channels import Channel, FileChannel, apprise_channels
from reconciliation.daily.reconcile import RunOutcome, reconcile
from reconciliation.evidence.day import SourceDay, read_source_day
from reconciliation.formats.canonical import ReadOptions
from reconciliation.formats.card_numbers import KeyedCardTokens
from reconciliation.intake.delivery import DeliveryOutcome, take_in
from reconciliation.intake.source_versions import register_sources
from reconciliation.sources import Source, Sources, parse_sources

_DATE_IN_NAME = re.compile(r"(?<!\d)(\d{4})-?(\d{2})-?(\d{2})(?!\d)")
TAKEN, REFUSED = "taken", "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A reached database with its settings and sources."""

    settings: Settings
    database: Database
    sources: Sources
    card_tokens: KeyedCardTokens = field(repr=False)

    @property
    def alert_file(self) -> Path:
        """Where alerts are written, besides the channels of the settings."""
        return self.settings.state / "alerts.jsonl"


def code_version() -> str:
    """The installed version of the product, as every run records it."""
    return importlib.metadata.version("tieout")


def read_sources(settings: Settings) -> Sources:
    """The sources file of the project.

    Raises:
        SettingsError: there is none.
        SourcesError: it has problems.
    """
    try:
        text = settings.sources.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SettingsError(
            f"{settings.sources}: expected the sources file, found none; `tieout init` writes a commented one"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{settings.sources}: expected a readable UTF-8 text, found: {error}") from None
    return parse_sources(text, name=str(settings.sources))


def packaged_sources() -> str:
    """The commented sources file that `tieout init` writes: the demo's, every key explained."""
    return files("dagster_project").joinpath("demo_sources.yaml").read_text(encoding="utf-8")


def open_project(settings: Settings) -> Project:
    """Reach the database and read the sources; starts the embedded server if there is no other."""
    sources = read_sources(settings)
    return Project(
        settings=settings,
        database=reach(settings),
        sources=sources,
        card_tokens=KeyedCardTokens(settings.card_key()),
    )


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


def date_in_name(file_name: str) -> date | None:
    """The date a file name carries as YYYY-MM-DD or YYYYMMDD; None if it carries none."""
    for year, month, day in _DATE_IN_NAME.findall(file_name):
        try:
            return date(int(year), int(month), int(day))
        except ValueError:
            continue
    return None


def ingest(project: Project, source: Source, path: Path, *, for_date: date | None = None) -> DeliveryOutcome:
    """Take one file in, whole or not at all; the outcome says accepted, redelivered, corrected or rejected and why."""
    options = ReadOptions(card_tokens=project.card_tokens, settings=source.settings)
    with translated_errors(), path.open("rb") as stream, project.database.session("tieout_intake") as connection:
        return take_in(
            connection,
            source=source,
            file_name=path.name,
            stream=stream,
            options=options,
            for_date=for_date or date_in_name(path.name),
        )


def landed(project: Project, source: Source) -> Sequence[Path]:
    """Files of a source that lie in its landing folder, in the order of their names."""
    folder = project.settings.landing / source.id
    return sorted(path for path in folder.glob(source.files.pattern) if path.is_file())


def ingest_landed(project: Project, source: Source) -> Iterator[tuple[Path, DeliveryOutcome]]:
    """Take in everything that lies in the landing folder and put it aside under ``taken`` or ``refused``.

    A kill between the two is harmless: the file is a redelivery the next time, which changes nothing.
    """
    for path in landed(project, source):
        outcome = ingest(project, source, path)
        aside = path.parent / (REFUSED if outcome.refusal else TAKEN)
        aside.mkdir(exist_ok=True)
        path.rename(_free_name(aside / path.name))
        yield path, outcome


def _free_name(path: Path) -> Path:
    """The path itself, or the first numbered variant that does not exist: nothing put aside is ever overwritten."""
    candidate, number = path, 1
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{path.stem}.{number}{path.suffix}")
    return candidate


def reconcile_source(
    project: Project, source: Source, as_of: date, *, actor: str = "schedule", wait: bool = True
) -> RunOutcome:
    """Reconcile one source up to a business date, then deliver what alerts it put out."""
    register(project)
    with translated_errors(), project.database.session("tieout_matcher", lock_timeout_seconds=600) as connection:
        outcome = reconcile(
            connection,
            source,
            as_of=as_of,
            actor=actor,
            code_version=code_version(),
            started_at=datetime.now(UTC),
            wait=wait,
        )
    deliver_alerts(project)
    return outcome


def deliver_alerts(project: Project) -> int:
    """Hand waiting alerts to every channel; returns how many went out. A channel that fails leaves its alerts waiting."""
    channels: list[Channel] = [FileChannel(project.alert_file), *apprise_channels(project.settings.alert_urls)]
    with translated_errors():
        return deliver_waiting(lambda: project.database.session("tieout_matcher"), channels)


def source_day(project: Project, source: Source, day: date) -> SourceDay:
    """A source's business day as the books stand."""
    with translated_errors(), project.database.session("tieout_auditor") as connection:
        return read_source_day(connection, source, day)
