"""When a day runs: after its cut-off on business days, early when files land, and somebody hears when it fails."""

import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from dagster_project.automation import ask, ask_for_approved, ask_for_overdue, deadline_passed
from dagster_project.definitions import definitions_of
from dagster_project.pipeline import absent_files, judged_at, reconcile_source, source_day
from dagster_project.project import Project, packaged_sources
from dagster_project.receiving import FileState, ingest_landed
from reconciliation.errors import SourcesError
from reconciliation.sources import Source, Sources, parse_sources
from tests.dagster_project.conftest import MONDAY

BERLIN = ZoneInfo("Europe/Berlin")
FRIDAY = "2026-11-13"
MANY_YEARS = date(2028, 1, 1)


@pytest.fixture(scope="module")
def sources() -> Sources:
    return parse_sources(packaged_sources())


@pytest.fixture
def bank(sources: Sources) -> Source:
    return sources["bank"]


def tick(sources: Sources, name: str, moment: datetime) -> tuple[list[str | None], str | None]:
    """The partitions a schedule asks for at a moment, and why it asks for none."""
    repository = definitions_of(sources, today=MANY_YEARS).get_repository_def()
    with dg.build_schedule_context(scheduled_execution_time=moment, repository_def=repository) as context:
        data = repository.get_schedule_def(name).evaluate_tick(context)
    return [request.partition_key for request in data.run_requests or []], data.skip_message


@pytest.mark.parametrize(
    ("moment", "asked"),
    [
        (datetime(2026, 11, 11, 7, 30, tzinfo=BERLIN), ["2026-11-10"]),
        (datetime(2026, 11, 16, 7, 30, tzinfo=BERLIN), [FRIDAY]),  # Monday runs Friday
        (datetime(2026, 12, 28, 7, 30, tzinfo=BERLIN), ["2026-12-24"]),  # Christmas is closed
        (datetime(2027, 3, 30, 7, 30, tzinfo=BERLIN), ["2027-03-25"]),  # from Tuesday over Easter, and summer time
    ],
)
def test_a_schedule_runs_the_business_day_that_has_just_ended(
    sources: Sources, moment: datetime, asked: list[str]
) -> None:
    assert tick(sources, "bank_day_schedule", moment) == (asked, None)


@pytest.mark.parametrize(
    ("moment", "reason"),
    [
        (datetime(2026, 11, 14, 7, 30, tzinfo=BERLIN), "2026-11-14 is a closed day of ECB."),
        (datetime(2026, 12, 25, 7, 30, tzinfo=BERLIN), "2026-12-25 is a closed day of ECB."),
        (datetime(2026, 11, 9, 7, 30, tzinfo=BERLIN), "2026-11-06 is before the start of bank on 2026-11-09."),
    ],
)
def test_a_schedule_says_why_it_runs_nothing(sources: Sources, moment: datetime, reason: str) -> None:
    assert tick(sources, "bank_day_schedule", moment) == ([], reason)


def test_the_ledgers_laws_are_looked_at_every_day(sources: Sources) -> None:
    asked = tick(sources, "ledger_day_schedule", datetime(2026, 11, 15, 5, 15, tzinfo=UTC))
    assert asked == (["2026-11-14"], None)


STATE = FileState(size=10, modified_ns=1)
LATE_ON_MONDAY = datetime(2026, 11, 16, 12, tzinfo=UTC)


def asked(source: Source, *names: str, now: datetime = LATE_ON_MONDAY) -> list[tuple[str | None, str | None]]:
    requests, _ = ask(source, dict.fromkeys(names, STATE), {}, now)
    return [(request.job_name, request.partition_key) for request in requests]


def test_a_file_asks_for_the_day_that_its_name_carries(bank: Source) -> None:
    assert asked(bank, "camt053_main-eur_2026-11-12.xml", "camt053_main-jpy_20261112.xml") == [
        ("bank_day", "2026-11-12")
    ]
    assert asked(bank, "camt053_2026-11-12.xml", "camt053_2026-11-11.xml") == [
        ("bank_day", "2026-11-11"),
        ("bank_day", "2026-11-12"),
    ]


@pytest.mark.parametrize("name", ["camt053.xml", "camt053_2026-11-30.xml", "camt053_1999-01-01.xml"])
def test_a_file_without_a_usable_date_asks_for_the_last_business_day(bank: Source, name: str) -> None:
    assert asked(bank, name) == [("bank_day", FRIDAY)]


def test_before_the_hour_of_the_schedule_files_are_only_taken_in(bank: Source) -> None:
    before, after = (datetime(2026, 11, 16, 7, minute, tzinfo=BERLIN) for minute in (29, 30))
    name = "camt053_2026-11-13.xml"
    assert asked(bank, name, now=before) == [("bank_intake", FRIDAY)]
    assert asked(bank, name, now=after) == [("bank_day", FRIDAY)]


def test_what_is_remembered_is_what_still_lies_there(bank: Source) -> None:
    _, remembered = ask(bank, {"camt053_a.xml": STATE}, {"camt053_gone.xml": "1:1"}, LATE_ON_MONDAY)
    assert remembered == {"camt053_a.xml": "10:1"}


def test_the_sensor_asks_once_and_again_when_the_file_is_replaced(project: Project) -> None:
    repository = definitions_of(project.sources, today=datetime.now(UTC).date()).get_repository_def()
    sensor = repository.get_sensor_def("bank_landing")
    file = project.settings.landing / "bank" / "camt053_2026-11-10.xml"
    cursor: str | None = None

    def look() -> list[dg.RunRequest]:
        nonlocal cursor
        with dg.build_sensor_context(
            cursor=cursor, resources={"project": project}, repository_def=repository
        ) as context:
            data = sensor.evaluate_tick(context)
        cursor = data.cursor
        return list(data.run_requests or [])

    assert look() == []
    _lies_there(file, "one")
    (first,) = look()
    assert first.job_name in ("bank_day", "bank_intake")
    assert look() == []
    _lies_there(file, "another")
    (second,) = look()
    assert second.run_key != first.run_key
    file.write_text("being written")
    assert look() == []


def test_an_approved_entry_that_nobody_posts_has_its_source_s_last_day_run_once() -> None:
    days = {"bank": date(2026, 11, 13)}
    assert ask_for_approved({"bank": [3, 4]}, {}, days) == []
    (request,) = ask_for_approved({"bank": [3, 4, 5]}, {"bank": [3, 4]}, days)
    assert (request.job_name, request.partition_key) == ("bank_day", FRIDAY)
    (again,) = ask_for_approved({"bank": [3, 4]}, {"bank": [3, 4, 5]}, days)
    assert again.run_key == request.run_key
    assert ask_for_approved({"bank": [5]}, {"bank": [3, 4]}, days) == []
    assert ask_for_approved({"other": [5]}, {"other": [5]}, days) == []


def _lies_there(file: Path, text: str) -> None:
    file.write_text(text)
    os.utime(file, (time.time() - 60, time.time() - 60))


@pytest.fixture
def ephemeral() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


def test_a_failed_run_is_told_of_once(project: Project, ephemeral: dg.DagsterInstance) -> None:
    broken = project.sources["bank"].model_copy(update={"format": "no.such.format"})
    (project.settings.landing / "bank" / "camt053_2026-11-10.xml").write_text("anything")
    found = definitions_of(Sources(version=1, sources=(broken,)), today=date(2026, 11, 20))
    job = found.resolve_job_def("bank_day")
    config = {"ops": {"bank__bank_delivery": {"config": {"at_rest_seconds": 0}}}}
    wanted = {"partition_key": "2026-11-10", "instance": ephemeral, "resources": {"project": project}}
    with pytest.raises(SourcesError, match=r"no\.such\.format"):
        job.execute_in_process(run_config=config, **wanted)
    result = job.execute_in_process(run_config=config, raise_on_error=False, **wanted)
    sensor = found.get_repository_def().get_sensor_def("failed_runs")
    for _ in range(2):
        with dg.build_run_status_sensor_context(
            sensor_name="failed_runs",
            dagster_event=result.get_run_failure_event(),
            dagster_instance=ephemeral,
            dagster_run=result.dagster_run,
            resources={"project": project},
        ).for_run_failure() as context:
            sensor(context)
    with project.database.session("tieout_auditor") as connection:
        told = connection.execute("SELECT cause_key, source_id, business_date, title, body FROM recon.alert").fetchall()
    assert [row[:4] for row in told] == [
        (f"run:{result.run_id}", "bank", date(2026, 11, 10), "bank 2026-11-10: the run of bank_day failed")
    ]
    assert "no.such.format" not in told[0][4]  # the reason may quote data, and alerts leave the house
    assert project.alert_file.read_text().count("the run of bank_day failed") == 1


DEADLINE = datetime(2026, 11, 16, 7, tzinfo=BERLIN)  # of Friday's statements


@pytest.mark.parametrize(
    ("now", "passed"),
    [
        (DEADLINE - timedelta(seconds=1), (date(2026, 11, 12), datetime(2026, 11, 13, 7, tzinfo=BERLIN))),
        (DEADLINE, (date(2026, 11, 13), DEADLINE)),
        (datetime(2026, 11, 15, 12, tzinfo=BERLIN), (date(2026, 11, 12), datetime(2026, 11, 13, 7, tzinfo=BERLIN))),
        (datetime(2026, 11, 10, 6, 59, tzinfo=BERLIN), None),
    ],
)
def test_the_deadline_that_has_passed_last_is_known(
    bank: Source, now: datetime, passed: tuple[date, datetime] | None
) -> None:
    assert deadline_passed(bank, now) == passed


def test_a_deadline_that_passes_over_an_absent_file_has_its_day_run_once(project: Project) -> None:
    bank = project.sources["bank"]
    night, due = DEADLINE - timedelta(hours=3), DEADLINE.isoformat()
    first, judged = ask_for_overdue(project, bank, None, night)
    assert (first, judged) == ([], datetime(2026, 11, 13, 7, tzinfo=BERLIN).isoformat())
    assert ask_for_overdue(project, bank, judged, DEADLINE - timedelta(seconds=1)) == ([], judged)
    (request,), after = ask_for_overdue(project, bank, judged, DEADLINE)
    assert (request.job_name, request.partition_key, request.run_key, after) == (
        "bank_day", FRIDAY, f"bank {FRIDAY} due {due}", due,
    )  # fmt: skip
    assert ask_for_overdue(project, bank, after, DEADLINE + timedelta(hours=1)) == ([], due)


def test_a_deadline_that_passes_over_files_that_are_there_asks_for_nothing(
    project: Project, arrive: Callable[..., None]
) -> None:
    arrive(MONDAY)
    bank = project.sources["bank"]
    list(ingest_landed(project, bank))
    earlier, due = datetime(2026, 11, 9, 7, tzinfo=BERLIN).isoformat(), datetime(2026, 11, 10, 7, tzinfo=BERLIN)
    assert ask_for_overdue(project, bank, earlier, due) == ([], due.isoformat())


def test_the_run_at_a_deadline_tells_of_the_missing_file_and_one_before_does_not(
    project: Project, arrive: Callable[..., None]
) -> None:
    arrive(MONDAY, without="main-jpy")
    bank = project.sources["bank"]
    list(ingest_landed(project, bank))
    due = datetime(2026, 11, 10, 7, tzinfo=BERLIN)
    reconcile_source(project, bank, MONDAY, at=due - timedelta(seconds=1))
    assert source_day(project, bank, MONDAY).count(kind="missing_file") == 0
    assert absent_files(project, bank, MONDAY, at=due - timedelta(seconds=1)).awaited == ("assets:bank:main-jpy",)
    assert not project.alert_file.exists()
    reconcile_source(project, bank, MONDAY, at=due)
    assert source_day(project, bank, MONDAY).count(kind="missing_file") == 1
    assert absent_files(project, bank, MONDAY, at=due).missing == ("assets:bank:main-jpy",)
    assert "missing file" in project.alert_file.read_text()


def test_an_invented_day_ahead_of_the_clock_is_over_and_its_files_count_as_due(bank: Source) -> None:
    now = datetime(2026, 11, 10, 23, 30, tzinfo=UTC)  # the eleventh already in Berlin
    assert judged_at(bank, date(2026, 11, 11), now) == now
    assert judged_at(bank, date(2026, 11, 12), now) is None
