"""`tieout backtest` at the command line: what other rules change, in words and as JSON; bad input is a sentence."""

import json
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result

from dagster_project.acting import acting
from dagster_project.cli.main import root
from dagster_project.database import Database
from reconciliation.exceptions.work import undo_match
from tests.reconciliation.daily.desk import IBAN, MONDAY, movement, statement_bytes
from tests.reconciliation.daily.stored import every_row

Tieout = Callable[..., Result]
SOURCES = f"""
version: 1
sources:
  - id: bank
    kind: bank
    format: camt.053
    start_date: {MONDAY}
    accounts: [{{external: {IBAN}, asset: EUR, ledger: "assets:bank:eur"}}]
    files: {{days: business_days, per: account}}
    match:
      references: [{{external: ref_end_to_end, ledger: ref_end_to_end}}]
"""
ACCOUNTS = """code,name,type,asset,may_overdraw
assets:bank:eur,Bank,asset,EUR,true
liabilities:customers,Customers,liability,EUR,true
"""
ENTRIES = """entry_key,effective_at,account,amount_minor,asset,ref_end_to_end
opening,2026-11-02T12:00:00Z,assets:bank:eur,100000,EUR,
opening,2026-11-02T12:00:00Z,liabilities:customers,-100000,EUR,
sale,2026-11-09T12:00:00Z,assets:bank:eur,500,EUR,INV-0001
sale,2026-11-09T12:00:00Z,liabilities:customers,-500,EUR,INV-0001
other,2026-11-09T12:00:00Z,assets:bank:eur,700,EUR,INV-0002
other,2026-11-09T12:00:00Z,liabilities:customers,-700,EUR,INV-0002
"""
WORDS = ("backtest", "--rules", "tried.yaml", "--from", str(MONDAY), "--to", str(MONDAY))


@pytest.fixture
def tieout(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Tieout:
    """Run a command in this process, where a traceback fails the test; a day was lived and matched."""
    monkeypatch.setenv("TIEOUT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TIEOUT_DATABASE_URL", database_url)
    monkeypatch.setenv("TIEOUT_SOURCES", str(tmp_path / "sources.yaml"))
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()

    def run(*words: str, expect: int = 0) -> Result:
        result = runner.invoke(root, words, prog_name="tieout")
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert result.exit_code == expect, result.output
        return result

    for name, text in (("sources.yaml", SOURCES), ("accounts.csv", ACCOUNTS), ("entries.csv", ENTRIES)):
        (tmp_path / name).write_text(text)
    lines = [movement("INV-0001", 500), movement("inv 0002", 700)]
    (tmp_path / "monday.xml").write_bytes(statement_bytes(MONDAY, lines))
    run("init")
    run("ledger", "accounts", "accounts.csv")
    run("ledger", "post", "entries.csv")
    run("ingest", "monday.xml", "--source", "bank")
    run("reconcile", "--as-of", str(MONDAY))
    return run


def tried(tmp_path: Path, passes: str) -> None:
    text = SOURCES.replace("      references", f"      passes: [{passes}]\n      references")
    (tmp_path / "tried.yaml").write_text(text)


def test_stricter_rules_lose_a_match_and_the_books_do_not_change(
    tieout: Tieout, tmp_path: Path, database_url: str
) -> None:
    tried(tmp_path, "exact")
    with psycopg.connect(database_url) as connection:
        before = every_row(connection)
        (told,) = json.loads(tieout(*WORDS, "--json").stdout)
        assert every_row(connection) == before
    found = {one["match_pass"]: (one["history"], one["same"], one["gone"]) for one in told["passes"]}
    assert found == {"exact": (1, 1, 0), "normalised": (1, 0, 1)}
    assert told["is_safe"] is True


def test_rules_that_make_again_what_people_undid_are_not_safe(
    tieout: Tieout, tmp_path: Path, database_url: str
) -> None:
    with psycopg.connect(database_url) as connection:
        (group_id,) = connection.execute(
            "SELECT g.group_id FROM recon.match_group AS g WHERE g.match_pass = 'normalised'"
        ).fetchone() or (0,)
    with acting(Database(url=database_url, dagster_libpq_url=database_url), "ada") as connection:
        undo_match(connection, group_id, reason="data_correction", note="other customer")
    tieout("reconcile", "--as-of", str(MONDAY))
    tried(tmp_path, "exact, normalised")
    told = tieout(*WORDS, expect=1).output
    assert "remade" in told
    assert "would get confirmed matches wrong" in told


def test_the_table_says_that_nothing_was_changed(tieout: Tieout, tmp_path: Path) -> None:
    tried(tmp_path, "exact, normalised")
    told = tieout(*WORDS).stdout
    assert "nothing was changed" in told
    assert "normalised" in told


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--to", "2026-11-08"), "expected a date not before"),
        (("--source", "stripe"), "expected sources among bank, found none"),
    ],
)
def test_bad_input_is_a_sentence(
    tieout: Tieout, tmp_path: Path, words: tuple[str, ...], sentence: str
) -> None:
    tried(tmp_path, "exact")
    assert sentence in " ".join(tieout(*WORDS, *words, expect=2).output.split())


def test_a_pass_that_does_not_exist_is_named_with_those_that_do(tieout: Tieout, tmp_path: Path) -> None:
    tried(tmp_path, "exactly")
    assert "near_reference" in tieout(*WORDS, expect=2).output


def test_days_without_business_are_a_sentence(tieout: Tieout, tmp_path: Path) -> None:
    tried(tmp_path, "exact")
    told = tieout("backtest", "--rules", "tried.yaml", "--from", "2026-11-07", "--to", "2026-11-08", expect=1)
    assert "expected business days" in told.output
