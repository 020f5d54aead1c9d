"""What command line and Dagster assets both do, in one place: reach the database, take files in, reconcile, alert.

Law: each step is one transaction under the role that may do it, so a killed step did not happen and is simply run
again. This is the edge: the clock is read here, files are opened here, and nothing here decides anything about money.
"""

import contextlib
import hashlib
import importlib.metadata
import re
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from importlib.resources import files
from pathlib import Path
from typing import Any

from fsspec.core import url_to_fs

from dagster_project.database import Database, reach
from dagster_project.errors import SettingsError
from dagster_project.settings import Settings
from ledger_core.balance import trial_balance
from ledger_core.sql import translated_errors
from ledger_core.verify import Check, verify
from reconciliation.alerts import Alert, deliver_waiting, write_alerts
from reconciliation.alerts.channels import Channel, FileChannel, apprise_channels
from reconciliation.classification import BusinessCalendar
from reconciliation.daily.reconcile import RunFacts, RunOutcome, reconcile, record_failure
from reconciliation.errors import AlreadyRunning, UnknownItem
from reconciliation.evidence.day import SourceDay, read_missing_files, read_source_day
from reconciliation.formats.canonical import ReadOptions
from reconciliation.formats.card_numbers import KeyedCardTokens
from reconciliation.intake.deliveries import find_delivery, find_line_record, release_delivery
from reconciliation.intake.delivery import DeliveryOutcome, take_in
from reconciliation.intake.source_versions import register_sources
from reconciliation.intake.store import DeliveryStore
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
    store: DeliveryStore | None = field(default=None, repr=False)

    @property
    def alert_file(self) -> Path:
        """Where alerts are written, besides the channels of the settings."""
        return self.settings.state / "alerts.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileState:
    """What tells a file from what it was before, without reading it."""

    size: int
    modified_ns: int


def code_version() -> str:
    """The installed version of the product, as every run records it."""
    return importlib.metadata.version("tieout")


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
            f"TIEOUT_STORE: expected a folder or a URL that an installed filesystem knows, found one that none does: {error}"
        ) from None
    return DeliveryStore(filesystem=filesystem, folder=folder)


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


def ingest(
    project: Project,
    source: Source,
    path: Path,
    *,
    for_date: date | None = None,
    format_name: str | None = None,
) -> tuple[DeliveryOutcome, ...]:
    """Take a delivery in, whole or not at all: a file, or an archive of several.

    Each outcome says accepted, redelivered, corrected or rejected and why.
    """
    options = read_options(project, source)
    with (
        translated_errors(),
        path.open("rb") as stream,
        project.database.session("tieout_intake") as connection,
    ):
        return take_in(
            connection,
            source=source,
            file_name=path.name,
            stream=stream,
            options=options,
            for_date=for_date or date_in_name(path.name),
            format_name=format_name,
            received_on=datetime.now(source.zone).date(),
            store=project.store,
        )


def landed(project: Project, source: Source, *, at_rest_seconds: int = 0) -> dict[Path, FileState]:
    """Files of a source that lie in its landing folder and were left alone for so long, in the order of their names.

    Names that begin with a dot are drafts of whoever delivers, and are left alone.
    """
    folder = project.settings.landing / source.id
    now = time.time()
    found = ((path, _state_of(path)) for path in sorted(folder.glob(source.files.pattern)))
    return {
        path: state
        for path, state in found
        if state is not None
        and not path.name.startswith(".")
        and abs(now - state.modified_ns / 1e9) >= at_rest_seconds
    }


def ingest_landed(
    project: Project, source: Source, *, at_rest_seconds: int = 0
) -> Iterator[tuple[Path, DeliveryOutcome]]:
    """Take in everything that lies in the landing folder and put it aside under ``taken`` or ``refused``.

    A kill between the two is harmless: the file is a redelivery the next time, which changes nothing. A file that
    another process has put aside meanwhile is left to it; one that was replaced while it was read stays for next time.
    """
    for path, state in landed(project, source, at_rest_seconds=at_rest_seconds).items():
        try:
            outcomes = ingest(project, source, path)
        except FileNotFoundError:
            continue
        aside = path.parent / (REFUSED if any(outcome.refusal for outcome in outcomes) else TAKEN)
        aside.mkdir(exist_ok=True)
        if _state_of(path) == state:
            with contextlib.suppress(FileNotFoundError):
                path.rename(_free_name(aside / path.name))
        for outcome in outcomes:
            yield path, outcome


def release(project: Project, delivery_id: int, *, reason: str, actor: str, path: Path | None = None) -> str:
    """Waive the proof that a refused delivery failed, and take the same bytes in again; what became of them.

    The bytes come from ``path``, or from the files put aside as refused, or from the store where nothing in them had to
    be masked. The decision stays, whether they are found or not.

    Raises:
        UnknownItem: no such delivery, or its bytes are nowhere.
        StoreError: the delivery was not refused, or for a reason that cannot be waived.
    """
    with translated_errors(), project.database.session("tieout_analyst") as connection:
        release_delivery(connection, delivery_id, reason=reason, actor=actor)
    with project.database.session("tieout_auditor") as connection:
        row = find_delivery(connection, delivery_id)
    source = project.sources[row["source"]]
    aside = project.settings.landing / source.id / REFUSED
    candidates = [path] if path else sorted(aside.iterdir()) if aside.is_dir() else []
    for candidate in candidates:
        with candidate.open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() == row["file_sha256"]:
                outcomes = ingest(project, source, candidate, for_date=row["for_date"])
                return "\n".join(outcome.sentence for outcome in outcomes)
    raise UnknownItem(
        f"delivery {delivery_id}: released; expected its bytes ({row['file_sha256'][:12]}…) "
        + (f"in {path}" if path else f"among the files put aside in {aside}")
        + ", found none. Deliver the file again, or name it: it will be taken in and flagged."
    )


def stored_record(project: Project, source: Source, line_key: str) -> bytes:
    """The bytes that a line was read from, out of the store.

    Raises:
        UnknownItem: no such line, its standard has no byte positions, or the content is not kept.
    """
    with project.database.session("tieout_auditor") as connection:
        row = find_line_record(connection, source.id, line_key)
    if project.store is None or row["byte_offset"] is None or row["byte_length"] is None:
        raise UnknownItem(
            f"line {line_key!r}: expected a place in the stored bytes of {row['file_name']}, found none; "
            f"it is record {row['record_no']} there"
        )
    return project.store.record(
        row["content_sha256"], byte_offset=row["byte_offset"], byte_length=row["byte_length"]
    )


def _state_of(path: Path) -> FileState | None:
    """Size and time of a file's last change; None when it is no file, or not there any more."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return (
        FileState(size=found.st_size, modified_ns=found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None
    )


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
    """Reconcile one source up to a business date, then deliver what alerts it put out.

    A run that fails changes nothing and is recorded as failed before its error goes on.
    """
    register(project)
    told: RunFacts = {"actor": actor, "code_version": code_version(), "started_at": datetime.now(UTC)}
    try:
        with (
            translated_errors(),
            project.database.session("tieout_matcher", lock_timeout_seconds=600) as connection,
        ):
            outcome = reconcile(connection, source, as_of=as_of, wait=wait, **told)
    except AlreadyRunning:
        raise
    except Exception as failure:
        # Where even this cannot be written, the first failure is still the one to tell.
        with contextlib.suppress(Exception), project.database.session("tieout_matcher") as connection:
            record_failure(connection, source, as_of=as_of, failure=type(failure).__name__, **told)
        raise
    deliver_alerts(project)
    return outcome


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


def source_day(project: Project, source: Source, day: date) -> SourceDay:
    """A source's business day as the books stand."""
    with translated_errors(), project.database.session("tieout_auditor") as connection:
        return read_source_day(connection, source, day)


def is_open(source: Source, day: date) -> bool:
    """Whether a date is a business day of the source, on or after its start."""
    return day >= source.start_date and BusinessCalendar.of(source.calendars).is_business_day(day)


def missing_files(project: Project, source: Source, day: date) -> Sequence[str]:
    """What still has no file for a business date: ledger accounts, or the source where one file serves all."""
    if not is_open(source, day):
        return ()
    with translated_errors(), project.database.session("tieout_auditor") as connection:
        return read_missing_files(connection, source, day)


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
