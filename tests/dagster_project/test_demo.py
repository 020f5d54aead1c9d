"""The demo as a newcomer runs it: through Dagster, twice, and with marks that can fail."""

import json
import shutil
from datetime import date
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result

from dagster_project.cli.main import root
from dagster_project.demo_marks import mark
from dagster_project.project import open_project
from dagster_project.settings import read_settings

CONTENT = """
SELECT 'group ' || group_key || state FROM recon.match_v1
UNION ALL SELECT 'exception ' || exception_key || class || kind || severity || status || opened_on
        || coalesce(cleared_on::text, '') FROM recon.exception_v1
UNION ALL SELECT 'event ' || exception_id || event || as_of FROM recon.exception_event
UNION ALL SELECT 'proof ' || account || business_date || closing_minor || unexplained_minor FROM recon.balance_proof
UNION ALL SELECT 'line ' || line_key || version || coalesce(status, '') FROM recon.line_v1
UNION ALL SELECT 'alert ' || cause_key FROM recon.alert
UNION ALL SELECT 'run ' || run_id FROM recon.run
UNION ALL SELECT 'journal ' || entry_key || line_no FROM ledger.journal_line_v1
ORDER BY 1
"""


def content_of(url: str) -> list[tuple[str]]:
    with psycopg.connect(url) as connection:
        return connection.execute(CONTENT).fetchall()


def test_the_demo_finds_everything_as_planted_and_running_it_again_changes_nothing(
    database_url: str, empty_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {
        "TIEOUT_HOME": str(tmp_path / "home"),
        "TIEOUT_DATABASE_URL": database_url,
        "TIEOUT_DAGSTER_DATABASE_URL": empty_database_url,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def demo(*words: str) -> Result:
        return CliRunner().invoke(root, ["demo", "--lines", "8", *words], prog_name="tieout")

    first = demo()
    assert first.exit_code == 0, first.output
    assert "planted faults found in their class and kind: 24 of 24" in first.output
    assert "wrong ones: 0" in first.output
    assert "Everything as planted." in first.output
    alerts = [
        json.loads(line) for line in (tmp_path / "home/.tieout/alerts.jsonl").read_text().split("\n") if line
    ]
    assert any("critical" in alert["title"] for alert in alerts)
    before = content_of(database_url)

    second = demo()
    assert second.exit_code == 0, second.output
    assert content_of(database_url) == before

    another = demo("--seed", "2")
    assert another.exit_code == 2
    assert "expected the demo with seed 1" in another.output

    spoil_the_marks(environment, tmp_path)


def spoil_the_marks(environment: dict[str, str], folder: Path) -> None:
    """The alarm works: an answer key that asks for more, or for less, is complained about."""
    project = open_project(read_settings(environment, folder))
    world = folder / "home/.tieout/demo/world"
    last_day = date.fromisoformat(max((world / "days").iterdir()).name)
    shutil.copytree(world, folder / "spoilt")
    key = (world / "answer_key.csv").read_text().split("\n")
    for spoilt, complaint in (
        ([key[0], *key[2:]], "not planted"),
        ([line.replace(",genuine,amount_mismatch,", ",genuine,fee_variance,") for line in key], "not found"),
    ):
        (folder / "spoilt" / "answer_key.csv").write_text("\n".join(spoilt))
        marks = mark(project, folder / "spoilt", last_day=last_day)
        assert not marks.passed
        assert any(text.startswith(complaint) for text in marks.complaints)
    (folder / "spoilt" / "answer_key.csv").write_text("\n".join(key))
    matches = (world / "answer_matches.csv").read_text().split("\n")
    (folder / "spoilt" / "answer_matches.csv").write_text("\n".join([matches[0], *matches[2:]]))
    marks = mark(project, folder / "spoilt", last_day=last_day)
    assert any(text.startswith("wrong match") for text in marks.complaints)
