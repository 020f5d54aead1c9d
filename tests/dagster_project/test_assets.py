"""A day through Dagster on a real database and real files: what the checks say, what the figures are, what is kept."""

import os
import time
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from dagster_project.definitions import definitions_of
from dagster_project.instance import PROCESS_TAG, fail_ghosts, instance, run_day
from dagster_project.metadata import plain
from dagster_project.pipeline import source_day
from dagster_project.processes import ProcessMark
from dagster_project.project import Project
from dagster_project.receiving import ingest_landed, landed
from ledger_core.verify import CHECKS

MONDAY, TUESDAY, SATURDAY = date(2026, 11, 9), date(2026, 11, 10), date(2026, 11, 14)
Arrive = Callable[..., None]
TABLES = ("delivery", "line", "run", "match_group", "exception_event", "balance_proof", "alert")


def materialized(project: Project, day: date) -> dg.ExecuteInProcessResult:
    """All assets of a day, on an instance that is forgotten."""
    found = definitions_of(project.sources, today=max(day, date(2026, 11, 20)))
    with dg.DagsterInstance.ephemeral() as forgotten:
        return found.resolve_job_def("all_sources_day").execute_in_process(
            partition_key=day.isoformat(),
            instance=forgotten,
            resources={"project": project},
            run_config={
                "ops": {
                    f"{source.id}__{source.id}_delivery": {"config": {"at_rest_seconds": 0}}
                    for source in project.sources.sources
                },
                "loggers": {"console": {"config": {"log_level": "ERROR"}}},
            },
        )


def failed_checks(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    """What did not pass, with its severity."""
    return {
        f"{check.asset_key.path[-1]}: {check.check_name}": check.severity.value
        for check in result.get_asset_check_evaluations()
        if not check.passed
    }


def figures(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, object]:
    """The metadata of an asset's materialisation."""
    (made,) = result.asset_materializations_for_node(f"{asset.partition('_')[0]}__{asset}")
    return {name: value.value for name, value in made.metadata.items()}


def row_counts(project: Project) -> dict[str, int]:
    with project.database.session("tieout_auditor") as connection:
        return {
            table: connection.execute(f"SELECT count(*) FROM recon.{table}").fetchone()[0]  # type: ignore[index] # noqa: S608
            for table in TABLES
        }


def test_a_faultless_day_passes_every_check_and_tells_its_figures(project: Project, arrive: Arrive) -> None:
    arrive(MONDAY)
    result = materialized(project, MONDAY)
    assert result.success
    assert len(result.get_asset_check_evaluations()) == 1 + len(CHECKS) + 3 * 7
    assert failed_checks(result) == {}
    lines = figures(result, "bank_lines")
    told = source_day(project, project.sources["bank"], MONDAY).line_count
    assert lines["Lines"] == lines["dagster/row_count"] == told > 0
    assert figures(result, "bank_delivery")["Files accepted"] == 3
    matches = figures(result, "stripe_matches")
    assert matches["Matched %"] == 100.0
    assert matches["Groups made"] == matches["Lines matched"]
    exceptions = figures(result, "stripe_exceptions")
    assert {"Open genuine", "Open timing", "Value open EUR", "Value open JPY", "Value open KWD"} <= set(
        exceptions
    )
    assert exceptions["Open genuine"] == 0
    assert (exceptions["Timing judged"], exceptions["Timing precision %"]) == (0, 100.0)
    statement = figures(result, "bank_statement")
    assert (statement["Accounts tied out"], statement["Accounts not tied out"]) == (3, 0)
    assert str(statement["Bridge"]).count("tied out") == 3
    assert all(isinstance(value, int | float | str) for value in (exceptions | statement | matches).values())


def test_a_missing_file_is_a_check_that_warns_and_an_exception_but_no_failed_run(
    project: Project, arrive: Arrive
) -> None:
    arrive(MONDAY, without="main-jpy")
    result = materialized(project, MONDAY)
    assert result.success
    failed = failed_checks(result)
    assert failed["bank_delivery: file_arrived"] == "WARN"
    assert not any(name.startswith(("stripe", "mastercard", "ledger")) for name in failed)
    assert source_day(project, project.sources["bank"], MONDAY).count(kind="missing_file") == 1

    arrive(MONDAY)  # the late one comes, the others once more
    again = materialized(project, MONDAY)
    assert failed_checks(again) == {}
    assert figures(again, "bank_delivery")["Files redelivered"] == 2
    assert source_day(project, project.sources["bank"], MONDAY).count(kind="missing_file") == 0


def test_running_a_day_again_changes_nothing(project: Project, arrive: Arrive) -> None:
    arrive(MONDAY)
    materialized(project, MONDAY)
    before = row_counts(project)
    assert materialized(project, MONDAY).success
    assert row_counts(project) == before


def test_a_file_that_proves_nothing_is_refused_and_the_rest_of_the_day_runs(
    project: Project, arrive: Arrive
) -> None:
    arrive(MONDAY)
    (statement,) = (project.settings.landing / "bank").glob("*main-eur*")
    statement.write_bytes(statement.read_bytes()[:-200])
    result = materialized(project, MONDAY)
    assert result.success
    assert figures(result, "bank_delivery")["Files rejected"] == 1
    assert [path.name for path in (statement.parent / "refused").iterdir()] == [statement.name]
    assert "bank_delivery: file_arrived" in failed_checks(result)
    assert "refused" in project.alert_file.read_text()


def test_a_closed_day_has_nothing_to_fail(project: Project, arrive: Arrive) -> None:
    for day in (MONDAY, TUESDAY):
        arrive(day)
    materialized(project, TUESDAY)
    checks = {
        f"{check.asset_key.path[-1]}: {check.check_name}": check.passed
        for check in materialized(project, SATURDAY).get_asset_check_evaluations()
    }
    assert checks["bank_delivery: file_arrived"]
    assert checks["bank_statement: tie_out"]


def test_a_file_still_being_written_and_a_hidden_draft_are_left_alone(project: Project) -> None:
    source = project.sources["bank"]
    folder = project.settings.landing / "bank"
    (folder / "camt053_2026-11-09.xml").write_text("half a statem")
    (folder / ".camt053_2026-11-10.xml").write_text("a draft")
    assert not landed(project, source, at_rest_seconds=5)
    assert list(ingest_landed(project, source, at_rest_seconds=5)) == []
    an_hour_ago = time.time() - 3600
    os.utime(folder / "camt053_2026-11-09.xml", (an_hour_ago, an_hour_ago))
    assert [path.name for path in landed(project, source, at_rest_seconds=5)] == ["camt053_2026-11-09.xml"]


def test_a_day_run_here_and_now_leaves_its_history_where_the_ui_finds_it(
    project: Project, arrive: Arrive
) -> None:
    arrive(MONDAY)
    assert run_day(project, MONDAY).success
    with instance(project) as opened:
        assert opened.telemetry_enabled is False
        (run,) = opened.get_runs()
        assert (run.job_name, run.status) == ("all_sources_day", dg.DagsterRunStatus.SUCCESS)
        event = opened.get_latest_materialization_event(dg.AssetKey(["bank", "bank_statement"]))
        assert event is not None
        assert event.asset_materialization is not None
        assert event.asset_materialization.partition == "2026-11-09"


def test_a_run_whose_process_is_gone_is_failed_and_one_that_lives_is_not(project: Project) -> None:
    gone, alive = ProcessMark(2**22 + 1, 1), ProcessMark.own()
    with instance(project) as opened:
        runs = {
            name: opened.create_run_for_job(
                definitions_of(project.sources, today=MONDAY).resolve_job_def("ledger_day"),
                status=status,
                tags=tags,
            ).run_id
            for name, status, tags in (
                ("launched", dg.DagsterRunStatus.STARTED, {}),
                ("gone", dg.DagsterRunStatus.STARTED, {PROCESS_TAG: gone.text}),
                ("alive", dg.DagsterRunStatus.STARTED, {PROCESS_TAG: alive.text}),
                ("done", dg.DagsterRunStatus.SUCCESS, {}),
            )
        }
        assert fail_ghosts(opened) == 2
        states = {name: opened.get_run_by_id(run_id).status.value for name, run_id in runs.items()}  # type: ignore[union-attr]
    assert states == {"launched": "FAILURE", "gone": "FAILURE", "alive": "STARTED", "done": "SUCCESS"}


def test_the_settings_of_dagster_are_written_once_and_then_the_users(project: Project) -> None:
    with instance(project):
        pass
    own = project.settings.state / "dagster" / "dagster.yaml"
    assert "telemetry: {enabled: false}" in own.read_text()
    own.write_text(own.read_text() + "# mine\n")
    with instance(project):
        pass
    assert own.read_text().endswith("# mine\n")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.float64("nan"), None),
        (Decimal("10E+1"), "100"),
        (MONDAY, "2026-11-09"),
        (pd.Timestamp("2026-11-09"), "2026-11-09T00:00:00"),
        (Path("a"), "a"),
        (None, None),
    ],
)
def test_what_dagster_refuses_becomes_plain(value: object, expected: object) -> None:
    assert plain(value) == expected
    assert type(plain(value)) is type(expected)
