"""`tieout ledger verify`, `seal` and `close-period` as people and scripts meet them."""

import json
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result

from dagster_project.cli.main import root
from tests.ledger_core.books import fund, open_chart

Tieout = Callable[..., Result]


@pytest.fixture
def tieout(
    connection: psycopg.Connection, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Tieout:
    """Runs `tieout ledger` in this process on a small ledger with one entry; a traceback fails the test."""
    open_chart(connection)
    fund(connection, 100)
    connection.commit()
    monkeypatch.setenv("TIEOUT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TIEOUT_DATABASE_URL", database_url)
    monkeypatch.chdir(tmp_path)

    def run(*words: str, expect: int = 0, group: tuple[str, ...] = ("ledger",)) -> Result:
        result = CliRunner().invoke(root, [*group, *words], prog_name="tieout")
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert result.exit_code == expect, result.output
        return result

    run("init", group=())
    return run


def close(tieout: Tieout, ends_at: str, expect: int = 0) -> str:
    words = ("close-period", ends_at, "--reason", "reported", "--authoriser", "Ada")
    return tieout(*words, expect=expect).output


def test_a_period_is_closed_sealed_kept_outside_and_proved(tieout: Tieout, tmp_path: Path) -> None:
    assert close(tieout, "2026-01-16") == "The time before 2026-01-16T00:00:00+00:00 closed.\n"
    assert "was closed before" in close(tieout, "2026-01-16T01:00:00+01:00")
    (row,) = json.loads(tieout("seal", "--json", "--out", "kept.json").output)
    assert (row["ends_at"], row["entry_count"], row["format_version"]) == ("2026-01-16T00:00:00+00:00", 1, 1)
    assert json.loads((tmp_path / "kept.json").read_text()) == [row]
    plain = json.loads(tieout("verify", "--json").output)
    checks = json.loads(tieout("verify", "--json", "--seals", "kept.json").output)
    assert {check["outcome"] for check in checks} == {"ok"}
    assert [check["code"] for check in checks] == [*(check["code"] for check in plain), "seals_kept"]
    tieout("verify", "--seal", f"2026-01-16={row['seal']}", "--seals", "kept.json")


def test_a_seal_that_is_another_fails(tieout: Tieout) -> None:
    close(tieout, "2026-01-16")
    tieout("seal")
    output = tieout("verify", "--seal", f"2026-01-16={'0' * 64}", expect=1).output
    assert "its seal is another" in output


def test_a_period_cannot_end_before_the_newest_one_or_in_the_future(tieout: Tieout) -> None:
    close(tieout, "2026-01-16")
    for ends_at in ("2026-01-15", "2999-01-01"):
        assert "expected an end after" in close(tieout, ends_at, expect=1)


@pytest.mark.parametrize(
    "words",
    [
        ("close-period", "2026-01-16T00:00:00", "--reason", "r", "--authoriser", "a"),
        ("close-period", "tomorrow", "--reason", "r", "--authoriser", "a"),
        ("verify", "--seal", "2026-01-16=xyz"),
        ("verify", "--seal", "0" * 64),
        ("verify", "--seals", "absent.json"),
    ],
)
def test_what_cannot_be_read_is_a_question_of_usage(tieout: Tieout, words: tuple[str, ...]) -> None:
    tieout(*words, expect=2)


@pytest.mark.parametrize("text", ["[]", "{", '{"ends_at": 1}', '[{"ends_at": "2026-01-16", "seal": "00"}]'])
def test_a_file_without_seals_proves_nothing(tieout: Tieout, tmp_path: Path, text: str) -> None:
    (tmp_path / "kept.json").write_text(text)
    assert "expected seals" in tieout("verify", "--seals", "kept.json", expect=2).output


def test_two_seals_of_one_period_contradict_each_other(tieout: Tieout) -> None:
    words = ("--seal", f"2026-01-16={'0' * 64}", "--seal", f"2026-01-16={'1' * 64}")
    assert "two that differ" in tieout("verify", *words, expect=2).output
