"""Two people sign a day at the command line, in every form of the statement; what is refused is a sentence."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dagster_project.cli.main import root
from tests.dagster_project.test_cli_proposals import ACCOUNTS, ENTRIES, SOURCES
from tests.reconciliation.daily.desk import MONDAY, movement, statement_bytes

Tieout = Callable[..., Result]
DAY = ("--source", "bank", "--date", str(MONDAY))


@pytest.fixture
def tieout(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Tieout:
    """Run a command in this process, where a traceback fails the test; books are open and no day was lived."""
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
    (tmp_path / "monday.xml").write_bytes(statement_bytes(MONDAY, [movement("INV-1", 512), movement("LATE", 500)]))
    corrected = statement_bytes(MONDAY, [movement("INV-1", 512), movement("LATE", 501)], version="b")
    (tmp_path / "corrected.xml").write_bytes(corrected)
    run("init")
    run("ledger", "accounts", "accounts.csv")
    run("ledger", "post", "entries.csv")
    return run


def test_two_people_sign_a_day_and_a_later_file_asks_for_two_signatures_more(tieout: Tieout, tmp_path: Path) -> None:
    told = tieout("sign-off", *DAY, "--by", "ada", expect=1)
    assert "bank 2026-11-09 cannot be signed: " in told.output
    assert "bank is not reconciled to 2026-11-09" in told.output
    assert "no file for 2026-11-09" in told.output

    tieout("ingest", "monday.xml", "--source", "bank")
    tieout("reconcile", "--as-of", str(MONDAY))
    tieout("sign-off", *DAY, "--by", "ben", "--review", expect=1)
    told = tieout("sign-off", *DAY, "--by", "Ada", "--note", "all timing")
    assert "Sign-off 1 of bank 2026-11-09 is prepared by ada over the books " in told.output
    told = tieout("sign-off", *DAY, "--by", "ada", "--review", expect=1)
    assert "expected the signature of another person, found ada, who prepared it" in told.output
    told = tieout("sign-off", *DAY, "--by", "ben", "--refuse", expect=1)
    assert "Traceback" not in told.output
    assert "signed by ben" in tieout("sign-off", *DAY, "--by", "ben", "--review").output
    assert "made again from the evidence" in tieout("statement", *DAY, "--verify").output
    signed = tieout("statement", *DAY, "--known-at", "sign-off:1", "--format", "json").output

    tieout("ingest", "corrected.xml", "--source", "bank")
    tieout("reconcile", "--as-of", str(MONDAY))
    assert tieout("statement", *DAY, "--known-at", "sign-off:1", "--format", "json").output == signed
    told = tieout("statement", *DAY, "--verify")
    assert "changed since: assets:bank:eur: Closing balance of the source: 1010.13 EUR, was 1010.12 EUR" in told.output
    (row,) = json.loads(tieout("sign-off", "--status", "--json").output)
    assert (row["state"], row["prepared_by"], row["reviewed_by"]) == ("signed", "ada", "ben")
    assert any("files, new: corrected.xml" in change for change in row["changed"])

    tieout("sign-off", *DAY, "--by", "ben")
    assert "withdrawn by ben" in tieout("sign-off", *DAY, "--by", "ben", "--withdraw", "--note", "too early").output
    tieout("sign-off", *DAY, "--by", "ben")
    assert "refused by ada" in tieout("sign-off", *DAY, "--by", "ada", "--refuse", "--note", "look again").output
    tieout("sign-off", *DAY, "--by", "ben")
    tieout("sign-off", *DAY, "--by", "ada", "--review")
    states = [row["state"] for row in json.loads(tieout("sign-off", "--status", "--json").output)]
    assert states == ["superseded", "withdrawn", "refused", "signed"]
    told = tieout("sign-off", *DAY, "--by", "cleo", expect=1)
    assert "sign-off 4 of the same books is signed" in told.output

    table = list(csv.DictReader(io.StringIO(tieout("statement", *DAY, "--format", "csv").output)))
    items = [row for row in table if row["table"] == "open_items"]
    assert [(row["key"], row["amount_minor"], row["bucket"]) for row in items] == [("N-LATE", "501", "timing")]
    out = tmp_path / "day.xlsx"
    tieout("statement", *DAY, "--format", "xlsx", "--out", str(out))
    assert out.read_bytes()[:2] == b"PK"
    assert "NOT" not in tieout("statement", *DAY).output


REFUSED = (
    (("statement", *DAY, "--format", "xlsx"), 2, "add --out NAME.xlsx"),
    (("statement", *DAY, "--known-at", "yesterday"), 1, "expected an instant with its zone"),
    (("statement", *DAY, "--known-at", "2026-11-09T12:00:00"), 1, "expected an instant with its zone"),
    (("statement", *DAY, "--known-at", "2026-11-09T12:00:00Z"), 1, "that was over by then, found none"),
    (("statement", *DAY, "--known-at", "sign-off:9"), 1, "expected a sign-off of bank 2026-11-09, found none"),
    (("statement", *DAY, "--known-at", "9:99999999:"), 1, "expected a moment that is over"),
    (("statement", *DAY, "--known-at", "9:4:"), 1, "expected an instant with its zone"),
    (("statement", *DAY, "--verify"), 1, "expected a sign-off to prove, found none"),
    (("statement", "--source", "bank", "--date", "2026-11-14"), 1, "belongs to 2026-11-16"),
    (("statement", "--source", "bank", "--date", "2026-11-06"), 1, "when the source starts"),
    (("statement", *DAY, "--out", "nowhere/day.txt"), 2, "expected a place that can be written"),
    (("sign-off", *DAY), 2, "missing --by"),
    (("sign-off", *DAY, "--by", "ada", "--review", "--refuse"), 2, "at a time"),
    (("sign-off", *DAY, "--by", "ada", "--withdraw"), 1, "expected a day that somebody prepared, found none"),
)


def test_what_cannot_be_shown_or_signed_is_told_in_a_sentence(tieout: Tieout) -> None:
    for words, expect, said in REFUSED:
        assert said in " ".join(tieout(*words, expect=expect).output.split()), words
