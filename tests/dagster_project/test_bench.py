"""The benchmarks run on a small day and tell every figure beside its reference. How fast it was, people read."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import psycopg
import pytest
from click.testing import CliRunner

from dagster_project.bench import ledger_posting, matching_peers, review
from dagster_project.bench.figures import Figure, at_least, at_most_times, not_measured, within
from dagster_project.bench.intake import LIMIT_TIMES
from dagster_project.bench.ledger_load import p99
from dagster_project.bench.matching import marked, matching_rules, read_frames, write_frames
from dagster_project.bench.matching_frames import KINDS, frames
from dagster_project.bench.measure import Cost
from dagster_project.cli.main import root
from fixtures.large_files import FILES
from reconciliation.matching import MatchContext, match_day
from reconciliation.sources import Lag


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
    own_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(review, "ASKED", 8)
    out = tmp_path / "figures.json"
    before = databases(own_server)

    result = CliRunner().invoke(root, ["bench", "--lines", "300", "--out", str(out)], prog_name="tieout")

    told = json.loads(out.read_text())
    assert told["lines"] == 300
    names = [(figure["area"], figure["name"]) for figure in told["figures"]]
    intake = 4 * len(FILES) + len(LIMIT_TIMES) + 1
    assert len(set(names)) == len(names)
    assert Counter(area for area, _ in names) == {
        "ledger": 11,
        "intake": intake,
        "matching": 28,
        "daily": 6,
        "review": 16,
    }
    counted = ("lines", "rows", "per 100,000")  # of what should not be, there may be none
    assert all(
        figure["ratio"] > 0 or figure["unit"] in counted
        for figure in told["figures"]
        if figure["measured"] is not None
    )
    assert "amount_and_lag" in told["tables"][0]
    assert all(name in result.output for _, name in names)
    assert all(figure["kept"] for figure in told["figures"] if figure["area"] == "daily")
    missed = [figure["name"] for figure in told["figures"] if figure["kept"] is False]
    assert result.exit_code == (1 if missed else 0), result.output
    assert databases(own_server) == before


def test_set_e_has_the_shares_it_promises_and_its_answer_is_the_only_one_that_reads_so() -> None:
    made = frames(20_000, 7)
    shares = np.bincount(made.kind, minlength=len(KINDS)) / 20_000
    assert np.allclose(shares, [0.9, 0.01, 0.01, 0.01, 0.01, 0.01, 0.015, 0.015, 0.02], atol=0.005)
    ours = dict(zip(*(made.ledger[name].to_pylist() for name in ("entry_id", "ref_end_to_end")), strict=True))
    theirs = dict(
        zip(*(made.external[name].to_pylist() for name in ("line_id", "ref_end_to_end")), strict=True)
    )
    same = np.array([ours[number] == theirs[number] for number in range(20_000)])
    unharmed = np.isin(made.kind, [KINDS.index(name) for name in ("exact", "net told", "net")])
    assert (same == unharmed).mean() > 0.998  # two equal letters that change places are no harm
    assert frames(20_000, 7).external.equals(made.external)


def test_matching_set_e_finds_every_kind_and_nothing_that_is_absent(tmp_path: Path) -> None:
    write_frames(tmp_path, 3_000)
    external, ledger = read_frames(tmp_path)
    kind = np.load(tmp_path / "kind.npy")
    context = MatchContext(lag=Lag(earliest=0, expected=1, latest=3))
    explained = match_day(external, ledger, matching_rules(), context)
    right, wrong = marked(explained, kind)
    counts = np.bincount(kind, minlength=len(KINDS))
    assert wrong == 0
    assert right[-1] == 0
    assert sum(right) >= 0.99 * counts[:-1].sum()
    decided = match_day(external, ledger, matching_rules(), context, explain=False)
    assert decided.groups.drop_columns("evidence").equals(explained.groups.drop_columns("evidence"))
    assert decided.members.equals(explained.members)
    assert set(decided.groups["evidence"].to_pylist()) == {"{}"}


def test_a_tool_that_is_not_here_or_would_not_end_is_told_plainly_and_breaks_no_promise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matching_peers, "find_spec", lambda name: None if name == "splink" else object())
    cost = Cost(wall_seconds=1.0, cpu_seconds=1.0, peak_megabytes=1.0)
    told = {
        figure.name.split(", ")[-1]: figure
        for figure in matching_peers.measure_peers(tmp_path, 10_000_000, np.zeros(1, dtype=np.int64), cost)
    }
    assert (told["splink"].of, told["splink"].kept) == ("not installed", None)
    assert told["recordlinkage"].of == "at most 200,000 lines"
    assert told["splink"].as_row()["verdict"] == "NOT MEASURED"


def test_a_promise_is_missed_above_its_limit_and_kept_at_it() -> None:
    at = within(area="daily", name="a day", unit="s", measured=60.0, limit=60.0)
    above = within(area="daily", name="a day", unit="s", measured=60.1, limit=60.0)
    assert (at.kept, above.kept) == (True, False)
    assert above.as_row()["verdict"] == "MISSED"


def test_a_promise_of_more_is_missed_below_its_limit_and_kept_at_it() -> None:
    at = at_least(area="ledger", name="rate", unit="/s", measured=10.0, limit=10.0)
    below = at_least(area="ledger", name="rate", unit="/s", measured=9.9, limit=10.0)
    assert (at.kept, below.kept) == (True, False)


def test_a_promise_of_so_many_times_the_reference_is_missed_above_it_and_kept_at_it() -> None:
    def told(measured: float, times: float | None) -> Figure:
        return at_most_times(
            area="intake", name="file", unit="s", measured=measured, reference=2.0, of="bare", times=times
        )

    assert [told(4.0, 2.0).kept, told(4.1, 2.0).kept, told(4.1, None).kept] == [True, False, None]
    assert (told(4.1, 2.0).of, told(4.1, None).of) == ("bare, at most 2 x", "bare")


def test_a_promise_that_nobody_could_look_at_is_told_as_such_and_not_as_kept() -> None:
    unseen = not_measured(area="ledger", name="rate", unit="/s", limit=10.0, missing="pgbench")
    assert (unseen.kept, unseen.as_value()["ratio"]) == (False, None)
    assert (unseen.as_row()["verdict"], unseen.as_row()["of"]) == ("NOT MEASURED", "needs pgbench")


def test_without_the_load_program_every_promise_that_needs_it_is_named() -> None:
    told = ledger_posting.told([], [])
    assert [figure.name for figure in told] == [name for name, _, _ in ledger_posting.PROGRAM_LIMITS]
    assert {figure.as_row()["verdict"] for figure in told} == {"NOT MEASURED"}


def test_one_in_a_hundred_may_be_slower_than_the_p99() -> None:
    assert p99(list(range(1, 1001))) == 990
    assert p99([7]) == 7


def test_a_figure_without_a_promise_has_no_verdict() -> None:
    figure = Figure(area="ledger", name="post", unit="s", measured=3.0, reference=1.5, of="bare COPY")
    assert figure.ratio == 2.0
    assert figure.as_row()["verdict"] == ""
