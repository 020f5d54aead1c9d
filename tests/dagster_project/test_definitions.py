"""The code location loads anywhere and holds what users see; a renamed asset or a lost check shows here."""

from datetime import UTC, date, datetime, time
from pathlib import Path

import dagster as dg
import pytest
import yaml

from dagster_project.definitions import definitions, definitions_of
from dagster_project.project import packaged_sources
from ledger_core.verify import CHECKS
from reconciliation.sources import parse_sources

OF_A_SOURCE = {
    "delivery": ["file_arrived"],
    "lines": [],
    "matches": ["share_matched"],
    "exceptions": ["control_totals", "history_unbroken", "nothing_critical_open", "sequence"],
    "statement": ["tie_out"],
}


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dg.Definitions:
    """The definitions as Dagster loads them: from an empty folder, without a setting or a server."""
    monkeypatch.chdir(tmp_path)
    found = definitions()
    dg.Definitions.validate_loadable(found)
    assert list(tmp_path.iterdir()) == []
    return found


def test_every_asset_has_its_checks_its_group_and_an_owner(loaded: dg.Definitions) -> None:
    specs = {spec.key.to_user_string(): spec for spec in loaded.resolve_all_asset_specs()}
    checks: dict[str, list[str]] = {key: [] for key in specs}
    for asset in loaded.resolve_asset_graph().asset_check_keys:
        checks[asset.asset_key.to_user_string()].append(asset.name)
    assert {key: sorted(names) for key, names in checks.items()} == {
        "ledger/ledger_journal": sorted(["trial_balance", *CHECKS]),
        **{
            f"{source}/{source}_{asset}": names
            for source in ("bank", "stripe", "mastercard")
            for asset, names in OF_A_SOURCE.items()
        },
    }
    for key, spec in specs.items():
        assert spec.group_name == key.partition("/")[0]
        assert spec.owners == ["team:finance-ops"]
        assert spec.kinds
        assert spec.description
        assert spec.description[0].isalpha()  # the catalog shows it raw


def test_a_day_runs_from_the_files_to_the_statement_and_the_bank_comes_before_who_pays_into_it(
    loaded: dg.Definitions,
) -> None:
    deps = {
        spec.key.to_user_string(): sorted(dep.asset_key.to_user_string() for dep in spec.deps)
        for spec in loaded.resolve_all_asset_specs()
        if spec.group_name in ("stripe", "ledger")
    }
    assert deps == {
        "ledger/ledger_journal": [],
        "stripe/stripe_delivery": [],
        "stripe/stripe_lines": ["stripe/stripe_delivery"],
        "stripe/stripe_matches": ["bank/bank_lines", "ledger/ledger_journal", "stripe/stripe_lines"],
        "stripe/stripe_exceptions": ["stripe/stripe_matches"],
        "stripe/stripe_statement": ["stripe/stripe_exceptions"],
    }


def test_jobs_schedules_and_sensors_are_there_and_running(loaded: dg.Definitions) -> None:
    repository = loaded.get_repository_def()
    sources = ("bank", "mastercard", "stripe")
    assert sorted(
        job.name for job in loaded.resolve_all_job_defs() if not job.name.startswith("__")
    ) == sorted(
        ["all_sources_day", "ledger_day", *(f"{s}_day" for s in sources), *(f"{s}_intake" for s in sources)]
    )
    assert sorted((s.name, str(s.cron_schedule), s.execution_timezone) for s in repository.schedule_defs) == [
        ("bank_day_schedule", "30 7 * * *", "Europe/Berlin"),
        ("ledger_day_schedule", "15 5 * * *", "UTC"),
        ("mastercard_day_schedule", "30 6 * * *", "UTC"),
        ("stripe_day_schedule", "30 6 * * *", "UTC"),
    ]
    assert sorted(sensor.name for sensor in repository.sensor_defs) == [
        "approved_entries", "bank_landing", "failed_runs", "ledger_feed", "mastercard_landing", "stripe_landing",
    ]  # fmt: skip
    assert {s.default_status for s in repository.schedule_defs} == {dg.DefaultScheduleStatus.RUNNING}
    assert {s.default_status for s in repository.sensor_defs} == {dg.DefaultSensorStatus.RUNNING}


@pytest.mark.parametrize(
    ("today", "first", "last"),
    [
        (date(2026, 11, 20), "2026-11-09", "2026-11-20"),
        (date(2026, 11, 9), "2026-11-09", "2026-11-09"),
        (
            date(2026, 10, 1),
            "2026-11-09",
            "2026-12-09",
        ),  # a world that lies ahead of the clock can still be run
    ],
)
def test_days_run_from_the_earliest_start_to_today_itself(today: date, first: str, last: str) -> None:
    found = definitions_of(parse_sources(packaged_sources()), today=today)
    days = found.resolve_assets_def(dg.AssetKey(["bank", "bank_lines"])).partitions_def
    assert days is not None
    keys = days.get_partition_keys(current_time=datetime.combine(today, time(12), UTC))
    assert (keys[0], keys[-1]) == (first, last)


def test_the_graph_follows_the_sources_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    described = yaml.safe_load(packaged_sources())
    described["sources"] = [{**described["sources"][0], "id": "house_bank"}]
    (tmp_path / "sources.yaml").write_text(yaml.safe_dump(described))
    monkeypatch.chdir(tmp_path)
    groups = {spec.group_name for spec in definitions().resolve_all_asset_specs()}
    assert groups == {"ledger", "house_bank"}


def test_dagsters_own_tools_find_the_code_location() -> None:
    workspace = yaml.safe_load((Path(__file__).parents[2] / "workspace.yaml").read_text())
    assert workspace == {
        "load_from": [
            {"python_module": {"module_name": "dagster_project.definitions", "location_name": "tieout"}}
        ]
    }
