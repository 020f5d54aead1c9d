"""Two people decide at the command line: proposed, listed, approved or rejected; bad input is a sentence."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dagster_project.cli.main import root
from tests.reconciliation.daily.desk import IBAN, MONDAY, movement, statement_bytes

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
    match: {{references: [{{external: ref_end_to_end, ledger: ref_end_to_end}}]}}
"""
ACCOUNTS = """code,name,type,asset,may_overdraw
assets:bank:eur,Bank,asset,EUR,true
liabilities:customers,Customers,liability,EUR,true
"""
ENTRIES = """entry_key,effective_at,account,amount_minor,asset,ref_end_to_end
opening,2026-11-02T12:00:00Z,assets:bank:eur,100000,EUR,
opening,2026-11-02T12:00:00Z,liabilities:customers,-100000,EUR,
sale,2026-11-09T12:00:00Z,assets:bank:eur,512,EUR,INV-1
sale,2026-11-09T12:00:00Z,liabilities:customers,-512,EUR,INV-1
"""


@pytest.fixture
def tieout(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Tieout:
    """Run a command in this process, where a traceback fails the test; a day was lived that left two items open."""
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
    (tmp_path / "monday.xml").write_bytes(statement_bytes(MONDAY, [movement("PAID", 500)]))
    run("init")
    run("ledger", "accounts", "accounts.csv")
    run("ledger", "post", "entries.csv")
    run("ingest", "monday.xml", "--source", "bank")
    run("reconcile", "--as-of", str(MONDAY))
    return run


def open_line(tieout: Tieout) -> str:
    """Number of the exception of the bank's line."""
    listed: list[dict[str, Any]] = json.loads(tieout("exceptions", "list", "--json").output)
    return str(next(row["exception_id"] for row in listed if row["line_key"] == "N-PAID"))


def test_a_match_that_two_people_make_clears_the_exceptions(tieout: Tieout) -> None:
    number = open_line(tieout)
    words = ("exceptions", "propose", number, "force-match", "--with")
    refused = tieout(*words, "sale", "--reason", "same payment", "--by", "ada", expect=1)
    assert "differ by -12 minor units" in refused.output
    made = tieout(*words, "fee=sale/1", "--reason", "same payment", "--by", "ada")
    assert "Proposal 1: force-match of N-PAID (5.00 EUR), sale/1 as fee (5.12 EUR)" in made.output

    waiting = tieout("exceptions", "proposals", "--source", "bank").output
    assert "same payment" in waiting
    (row,) = json.loads(tieout("exceptions", "proposals", "--json").output)
    assert (row["proposal_id"], row["state"], row["proposed_by"]) == (1, "waiting", "ada")

    own = tieout("exceptions", "approve", "1", "--by", "ada", expect=1)
    assert "expected the approval of another person" in own.output
    approved = json.loads(tieout("exceptions", "approve", "1", "--by", "bob", "--json").output)
    assert (approved["state"], approved["judged_by"], approved["acts_from"]) == (
        "approved",
        "bob",
        str(MONDAY),
    )
    assert "No proposal waits." in tieout("exceptions", "proposals").output

    tieout("reconcile", "--as-of", str(MONDAY))
    assert "Nothing is open." in tieout("exceptions", "list").output
    shown = json.loads(tieout("exceptions", "show", number, "--json").output)
    assert [event["event"] for event in shown["events"]] == ["opened", "proposed", "approved", "resolved"]
    tieout("export", "matches", "--out", "matches.csv")
    assert "decision" in Path("matches.csv").read_text()


def test_a_proposal_is_rejected_or_taken_back(tieout: Tieout) -> None:
    number = open_line(tieout)
    words = ("exceptions", "propose", number)
    tieout(*words, "exclude", "--reason", "not ours", "--by", "ada")
    tieout(*words, "not-duplicate", "--reason", "two coffees", "--by", "ada", "--expires", "2026-12-01")
    assert (
        "Proposal 1 is rejected."
        in tieout("exceptions", "reject", "1", "--reason", "it is", "--by", "bob").output
    )
    taken_back = tieout("exceptions", "reject", "2", "--reason", "wrong line", "--by", "ada", "--json")
    assert json.loads(taken_back.output)["state"] == "withdrawn"
    everything = json.loads(tieout("exceptions", "proposals", "--all", "--json").output)
    assert [(row["state"], row["expires_on"]) for row in everything] == [
        ("rejected", None),
        ("withdrawn", "2026-12-01"),
    ]
    tieout("exceptions", "approve", "1", "--by", "eve", expect=1)


def test_bad_input_is_answered_with_a_sentence_and_its_exit_code(tieout: Tieout) -> None:
    number, by = open_line(tieout), ("--by", "ada")
    because = ("--reason", "r", *by)
    for words, code, sentence in (
        (("propose", "999", "exclude", *because), 1, "exception 999"),
        (("propose", str(2**70), "exclude", *because), 2, "not in the range"),
        (("propose", number, "forget", *because), 2, "not-duplicate"),
        (("propose", number, "exclude", "--reason", " ", *by), 2, "expected some words"),
        (("propose", number, "exclude", "--reason", "a\udcffb", *by), 2, "UTF-8"),
        (("propose", number, "exclude", *because, "--expires", "soon"), 2, "YYYY-MM-DD"),
        (("propose", number, "force-match", "--with", "nowhere", *because), 1, "nowhere"),
        (("propose", number, "force-match", "--with", "sale/99999999999", *because), 1, "sale/99999999999"),
        (("propose", number, "force-match", "--suggestion", "5", *because), 1, "match 5"),
        (("propose", number, "force-match", *because), 1, "one side alone"),
        (("approve", "7", *by), 1, "proposal 7"),
        (("approve", "0", *by), 2, "not in the range"),
        (("approve", "7"), 2, "--by"),
        (("reject", "7", *because), 1, "proposal 7"),
        (("reject", "7", *by), 2, "--reason"),
        (("proposals", "--source", "banks"), 2, "banks"),
    ):
        output = tieout("exceptions", *words, expect=code).output
        assert sentence in output.replace("\n", " "), output
        assert "Traceback" not in output
