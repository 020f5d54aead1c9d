"""The benchmarks run on a small day and tell every figure beside its reference. How fast it was, people read."""

import json
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from dagster_project.bench.figures import Figure, within
from dagster_project.cli.main import root


@pytest.fixture
def own_server(postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A project whose server is the tests'; it was never set up, as benchmarks need nothing of it but the server."""
    monkeypatch.setenv("TIEOUT_HOME", str(tmp_path))
    monkeypatch.setenv("TIEOUT_DATABASE_URL", postgres_url)
    return postgres_url


def databases(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        return {
            row[0]
            for row in connection.execute(
                "SELECT datname FROM pg_database WHERE datname LIKE 'tieout_bench%'"
            )
        }


def test_every_figure_is_told_beside_its_reference_and_nothing_is_left_behind(
    own_server: str, tmp_path: Path
) -> None:
    out = tmp_path / "figures.json"
    before = databases(own_server)

    result = CliRunner().invoke(root, ["bench", "--lines", "300", "--out", str(out)], prog_name="tieout")

    assert result.exit_code == 0, result.output
    told = json.loads(out.read_text())
    assert told["lines"] == 300
    names = [(figure["area"], figure["name"]) for figure in told["figures"]]
    assert len(set(names)) == len(names) == 1 + 3 + 3 + 6
    assert [area for area, _ in names] == ["ledger"] + ["intake"] * 3 + ["matching"] * 3 + ["daily"] * 6
    assert all(figure["ratio"] > 0 for figure in told["figures"])
    assert all(name in result.output for _, name in names)
    assert all(figure["kept"] for figure in told["figures"] if figure["area"] == "daily")
    assert databases(own_server) == before


def test_what_does_not_exist_is_not_measured(own_server: str) -> None:
    result = CliRunner().invoke(root, ["bench", "review"], prog_name="tieout")
    assert result.exit_code == 2
    assert "there is no review app yet" in result.output


def test_a_promise_is_missed_above_its_limit_and_kept_at_it() -> None:
    at = within(area="daily", name="a day", unit="s", measured=60.0, limit=60.0)
    above = within(area="daily", name="a day", unit="s", measured=60.1, limit=60.0)
    assert (at.kept, above.kept) == (True, False)
    assert above.as_row()["verdict"] == "MISSED"


def test_a_figure_without_a_promise_has_no_verdict() -> None:
    figure = Figure(area="ledger", name="post", unit="s", measured=3.0, reference=1.5, of="bare COPY")
    assert figure.ratio == 2.0
    assert figure.as_row()["verdict"] == ""
