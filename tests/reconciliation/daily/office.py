"""The demo's three sources at work on the files of an invented world, through the calls of the shell."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from dagster_project.database import Database
from dagster_project.demo_marks import Marks, mark
from dagster_project.pipeline import reconcile_source, register
from dagster_project.project import Project, packaged_sources
from dagster_project.receiving import ingest
from dagster_project.settings import read_settings
from fixtures.world import World
from ledger_core.chart import load_accounts
from ledger_core.posting import load_entries
from reconciliation.daily.reconcile import RunOutcome
from reconciliation.formats.card_numbers import KeyedCardTokens
from reconciliation.intake.delivery import DeliveryOutcome
from reconciliation.sources import parse_sources

FIRST_DAY = date(2026, 11, 9)
SOURCES = parse_sources(packaged_sources())
SOURCE_IDS = tuple(source.id for source in SOURCES.sources)


@dataclass(frozen=True, slots=True)
class Office:
    """A project on one database, and the folder of the world whose files reach it."""

    url: str
    home: Path
    world: Path

    @classmethod
    def open(cls, url: str, home: Path, world: Path) -> "Office":
        """With the rules registered and the chart of accounts loaded."""
        office = cls(url, home, world)
        register(office.project)
        with office.project.database.session("tieout_poster") as connection:
            load_accounts(connection, world / "ledger" / "accounts.csv")
        return office

    @property
    def project(self) -> Project:
        """What the shell's calls want."""
        settings = read_settings({}, self.home)
        settings.state.mkdir(parents=True, exist_ok=True)
        return Project(
            settings=settings,
            database=Database(url=self.url, dagster_libpq_url=self.url),
            sources=SOURCES,
            card_tokens=KeyedCardTokens(bytes(range(32))),
        )

    def post(self, day: date) -> None:
        """Load what our own book says of a day."""
        with self.project.database.session("tieout_poster") as connection:
            load_entries(connection, self.world / "days" / day.isoformat() / "ledger" / "entries.csv")

    def files(self, day: date, source_id: str) -> list[Path]:
        """What arrives from a source by the run of a day."""
        return sorted((self.world / "days" / day.isoformat() / source_id).glob("*"))

    def arrivals(self) -> Iterator[tuple[str, Path]]:
        """Every file of the world with its source, in the order of arrival."""
        for folder in sorted((self.world / "days").iterdir()):
            for source_id in SOURCE_IDS:
                for path in sorted((folder / source_id).glob("*")):
                    yield source_id, path

    def ingest(self, source_id: str, path: Path) -> DeliveryOutcome:
        """Take one file in."""
        (outcome,) = ingest(self.project, SOURCES[source_id], path)
        return outcome

    def reconcile(self, day: date, source_id: str) -> RunOutcome:
        """Reconcile a source up to a day."""
        return reconcile_source(self.project, SOURCES[source_id], day)

    def reconcile_all(self, day: date) -> list[RunOutcome]:
        """Every source, in the order of the sources file."""
        return [self.reconcile(day, source_id) for source_id in SOURCE_IDS]

    def business_day(self, day: date) -> None:
        """Post, take in and reconcile what belongs to a day."""
        self.post(day)
        for source_id in SOURCE_IDS:
            for path in self.files(day, source_id):
                self.ingest(source_id, path)
        self.reconcile_all(day)

    def mark(self, last_day: date) -> Marks:
        """What the marks say."""
        return mark(self.project, self.world, last_day=last_day)


@dataclass(frozen=True, slots=True)
class Finished:
    """A world, the folder it was written to, and the name of the database in which its five days are done."""

    world: World
    folder: Path
    template: str
