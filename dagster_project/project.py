"""A project as every command and asset finds it: settings, database, sources, the key of the card tokens, the store.

Law: what is wrong with a project is said when it is opened, not when the first file arrives. This is the edge: files
are opened here, and nothing here decides anything.
"""

import secrets
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from fsspec.core import url_to_fs

from dagster_project.database import Database, reach
from dagster_project.errors import SettingsError
from dagster_project.place_access import check_places
from dagster_project.settings import Settings
from ledger_core.sql import translated_errors
from reconciliation.alerts import deliver_waiting
from reconciliation.alerts.channels import Channel, FileChannel, apprise_channels
from reconciliation.formats.canonical import ReadOptions
from reconciliation.formats.card_numbers import KeyedCardTokens
from reconciliation.intake.store import DeliveryStore
from reconciliation.sources import Source, Sources, parse_sources


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A reached database with its settings and sources."""

    settings: Settings
    database: Database
    sources: Sources
    card_tokens: KeyedCardTokens = field(repr=False)
    store: DeliveryStore | None = field(default=None, repr=False)

    @property
    def alert_file(self) -> Path:
        """Where alerts are written, besides the channels of the settings."""
        return self.settings.state / "alerts.jsonl"


def read_sources(path: Path) -> Sources:
    """The sources that a file describes.

    Raises:
        SettingsError: there is none, or it cannot be read as text.
        SourcesError: it has problems.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SettingsError(
            f"{path}: expected the sources file, found none; `tieout init` writes a commented one"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: expected a readable UTF-8 text, found: {error}") from None
    return parse_sources(text, name=str(path))


def packaged_sources() -> str:
    """The commented sources file that `tieout init` writes: the demo's, every key explained."""
    return files("dagster_project").joinpath("demo_sources.yaml").read_text(encoding="utf-8")


def open_project(settings: Settings) -> Project:
    """Reach the database and read the sources; starts the embedded server if there is no other."""
    sources = read_sources(settings.sources)
    check_places(sources, settings.places_file, landing=settings.landing)
    project = Project(
        settings=settings,
        database=reach(settings),
        sources=sources,
        store=open_store(settings.store),
        card_tokens=KeyedCardTokens(*settings.card_keys()),
    )
    alert_channels(project)  # a route that leads nowhere is said now, not when the first alert waits
    return project


def open_store(place: str) -> DeliveryStore:
    """The store of delivered bytes at a folder or a URL.

    Raises:
        SettingsError: no filesystem knows the URL, or the package that would is not installed.
    """
    try:
        filesystem, folder = url_to_fs(place)
    except (ImportError, ValueError) as error:
        raise SettingsError(
            f"TIEOUT_STORE: expected a folder or a URL that an installed filesystem knows, found neither: {error}"
        ) from None
    return DeliveryStore(filesystem=filesystem, folder=folder, draft_suffix=f"-{secrets.token_hex(4)}")


def read_options(project: Project, source: Source) -> ReadOptions:
    """What a source's reader is given: its settings, its tables' texts, its mapping, the key of the card tokens.

    Raises:
        SettingsError: a table's file is not there, or is no text.
    """
    tables = {}
    for name, file_name in source.tables.items():
        path = project.settings.sources.parent / file_name
        try:
            tables[name] = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(
                f"source {source.id}, tables.{name}: expected a UTF-8 text at {path}, found: {error}"
            ) from None
    return ReadOptions(
        card_tokens=project.card_tokens, settings=source.settings, tables=tables, mapping=source.mapping
    )


def alert_channels(project: Project) -> list[Channel]:
    """The plain file and every channel of the settings.

    Raises:
        SettingsError: a source names a channel that is none of them: its alerts would wait for ever.
    """
    channels: list[Channel] = [
        FileChannel(project.alert_file),
        *apprise_channels(project.settings.alert_urls),
    ]
    known = [channel.name for channel in channels]
    for source in project.sources.sources:
        unknown = [name for name in source.alerts if name not in known]
        if unknown:
            raise SettingsError(
                f"source {source.id}, alerts: expected some of {', '.join(known)} (the file, and TIEOUT_ALERT_URLS by "
                f"scheme and place), found {', '.join(unknown)}"
            )
    return channels


def deliver_alerts(project: Project) -> int:
    """Hand waiting alerts to the channels of their source; returns how many went out.

    A channel that fails leaves its alerts waiting.
    """
    channels = alert_channels(project)
    routes = {source.id: source.alerts for source in project.sources.sources if source.alerts}
    with translated_errors():
        return deliver_waiting(lambda: project.database.session("tieout_matcher"), channels, routes=routes)
