"""What arrives, as operations meet it on the command line: taken in, listed with what is to be said, released."""

import csv
import gzip
import json
import re
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from io import BytesIO
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dagster_project.cli.main import root
from fixtures import volume
from fixtures.accounts import IBAN
from fixtures.model import BankLine
from fixtures.world import simulate
from fixtures.writers import camt053

Tieout = Callable[..., Result]
MONDAY = date(2026, 11, 9)


@pytest.fixture
def home(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder of its own on a database of its own."""
    monkeypatch.setenv("TIEOUT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TIEOUT_DATABASE_URL", database_url)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture
def tieout(home: Path) -> Tieout:
    """Run a command in this process; a traceback fails the test."""
    runner = CliRunner()

    def run(*words: str, expect: int = 0) -> Result:
        result = runner.invoke(root, words, prog_name="tieout")
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert result.exit_code == expect, result.output
        return result

    run("init")
    return run


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days of an invented bank, and one of its files with a closing balance that does not tie."""
    folder = tmp_path_factory.mktemp("bank")
    simulate(7, MONDAY, days=2, lines=6, faults="none").write(folder / "world")
    for path in (folder / "world" / "days").rglob("camt053_main-eur_*.xml"):
        shutil.copy(path, folder / path.name)
    good = (folder / "camt053_main-eur_2026-11-10.xml").read_text()
    untied, count = re.subn(r'(<Cd>CLBD</Cd>.*?<Amt Ccy="EUR">)', r"\g<1>9", good, flags=re.DOTALL)
    assert count == 1
    (folder / "untied_2026-11-10.xml").write_text(untied)
    return folder


def listed(tieout: Tieout) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = json.loads(tieout("deliveries", "--source", "bank", "--json").output)
    return rows


def refused(tieout: Tieout, files: Path) -> str:
    """The number of a delivery that was refused because it does not tie."""
    tieout("ingest", str(files / "untied_2026-11-10.xml"), "--source", "bank", expect=1)
    (row,) = (row for row in listed(tieout) if row["outcome"] == "rejected")
    assert row["refusal_code"] == "balance"
    return str(row["delivery_id"])


def test_the_list_says_what_came_in_which_archive_and_what_is_to_be_said_about_it(
    tieout: Tieout, files: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "days.zip", "w") as archive:
        archive.write(files / "camt053_main-eur_2026-11-09.xml", "camt053_main-eur_2026-11-09.xml")
    tieout("ingest", "days.zip", "--source", "bank")
    tieout("ingest", str(files / "camt053_main-eur_2026-11-09.xml"), "--source", "bank")
    tieout("ingest", str(files / "camt053_main-eur_2026-11-10.xml"), "--source", "bank")
    refused(tieout, files)
    output = tieout("deliveries").output
    header, first, again, second, bad = output.splitlines()[:5]
    assert header.split() == [
        "delivery_id",
        "source",
        "for_date",
        "file",
        "outcome",
        "lines",
        "provisional",
        "remark",
    ]
    assert "camt053_main-eur_2026-11-09.xml in days.zip" in first
    assert "no balance before it to continue yet" in first
    assert "says the same as delivery 1" in again
    assert second.split()[-2:] == ["accepted", "12"]  # continues the one before: nothing to say
    assert "balance, waivable by: tieout deliveries release 4: " in bad
    assert "expected" in bad
    assert "found" in bad


def test_an_archive_with_a_bad_file_says_that_nothing_of_it_was_taken_in(
    tieout: Tieout, files: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "days.zip", "w") as archive:
        archive.write(files / "camt053_main-eur_2026-11-09.xml", "good.xml")
        archive.write(files / "untied_2026-11-10.xml", "bad.xml")
    said = tieout("ingest", "days.zip", "--source", "bank", expect=1).output
    assert "bad.xml: rejected: " in said
    assert "Nothing of days.zip was taken in." in said
    (row,) = listed(tieout)
    assert (row["file_name"], row["package_name"]) == ("bad.xml", "days.zip")
    tieout("deliveries", "release", str(row["delivery_id"]), "--reason", "asked", "--by", "ada", expect=1)
    said = tieout(
        "deliveries",
        "release",
        str(row["delivery_id"]),
        "--reason",
        "asked",
        "--by",
        "ada",
        "--file",
        "days.zip",
    ).output
    assert "good.xml: accepted" in said
    assert "bad.xml: accepted" in said


def test_a_refused_file_is_released_from_the_store_and_flagged_on_the_page_of_its_day(
    tieout: Tieout, files: Path
) -> None:
    number = refused(tieout, files)
    said = tieout(
        "deliveries", "release", number, "--reason", "the bank: a typing error", "--by", "ada"
    ).output
    assert f"delivery {number}: balance waived by ada: the bank: a typing error" in said
    assert "untied_2026-11-10.xml: accepted" in said
    assert "released by ada in spite of balance" in tieout("deliveries").output
    tieout("ledger", "accounts", str(files / "world" / "ledger" / "accounts.csv"))
    tieout("reconcile", "--as-of", "2026-11-10", "--source", "bank")
    for form in ("text", "html"):
        page = tieout("statement", "--source", "bank", "--date", "2026-11-10", "--format", form).output
        assert "waived: balance" in page


def test_a_second_decision_on_a_released_file_changes_nothing_and_says_so(
    tieout: Tieout, files: Path
) -> None:
    number = refused(tieout, files)
    tieout("deliveries", "release", number, "--reason", "first", "--by", "ada")
    said = tieout("deliveries", "release", number, "--reason", "second", "--by", "bob").output
    assert "balance waived by ada: first; that was decided before, and stays" in said
    assert "redelivered" in said


def test_a_file_put_aside_as_refused_is_put_aside_as_taken_once_it_is_released(
    tieout: Tieout, files: Path, home: Path
) -> None:
    number = refused(tieout, files)
    aside = home / ".tieout" / "landing" / "bank" / "refused"
    aside.mkdir(parents=True)
    (aside / "a folder").mkdir()
    shutil.copy(files / "untied_2026-11-10.xml", aside)
    tieout("deliveries", "release", number, "--reason", "asked", "--by", "ada")
    assert [path.name for path in aside.iterdir()] == ["a folder"]
    assert (aside.with_name("taken") / "untied_2026-11-10.xml").exists()


def test_a_decision_on_a_file_that_is_nowhere_is_kept_and_says_what_to_do(
    tieout: Tieout, files: Path, home: Path
) -> None:
    number = refused(tieout, files)
    shutil.rmtree(home / ".tieout" / "deliveries")
    words = ("deliveries", "release", number, "--reason", "asked", "--by", "ada")
    said = tieout(*words, expect=1).output
    assert "expected the bytes of untied_2026-11-10.xml" in said
    assert "The decision is recorded: deliver that file again" in said
    other = str(files / "camt053_main-eur_2026-11-10.xml")
    assert "found other ones" in tieout(*words, "--file", other, expect=1).output
    assert "accepted" in tieout(*words, "--file", str(files / "untied_2026-11-10.xml")).output


@pytest.mark.parametrize(
    ("command", "code", "sentence"),
    [
        ("999999 --reason r --by ada", 1, "delivery 999999: expected one that was refused, found none"),
        ("1 --reason r --by ada", 1, "expected one that was refused, found accepted"),
        ("2 --reason r --by ada", 1, "What cannot be read, or belongs elsewhere, cannot be waived."),
        ("1 --reason= --by ada", 2, "expected some words, found none"),
        ("1 --reason r --by=", 2, "expected some words, found none"),
        ("1 --reason r", 2, "Missing option '--by'"),
        ("one --reason r --by ada", 2, "is not a valid integer"),
    ],
)
def test_what_cannot_be_released_is_answered_with_the_reason(
    tieout: Tieout, files: Path, command: str, code: int, sentence: str
) -> None:
    tieout("ingest", str(files / "camt053_main-eur_2026-11-09.xml"), "--source", "bank")
    Path("bad.xml").write_text("<nothing/>")
    tieout("ingest", "bad.xml", "--source", "bank", expect=1)
    said = tieout("deliveries", "release", *command.split(" "), expect=code).output
    assert sentence in " ".join(said.split())
    assert len(listed(tieout)) == 2


def test_the_bytes_of_a_line_are_found_again(tieout: Tieout, files: Path, tmp_path: Path) -> None:
    path = files / "camt053_main-eur_2026-11-09.xml"
    (tmp_path / "day.xml.gz").write_bytes(gzip.compress(path.read_bytes()))
    tieout("ingest", "day.xml.gz", "--source", "bank")
    tieout("export", "lines", "--out", "lines.csv", "--source", "bank")
    row = (tmp_path / "lines.csv").read_text().splitlines()[1]
    key = row.split(",")[1].strip('"')
    record = tieout("deliveries", "record", key, "--source", "bank").output
    assert record.strip().startswith("<Ntry>")
    assert record.strip() in path.read_text()
    missing = tieout("deliveries", "record", "no-such-line", "--source", "bank", expect=1).output
    assert "no-such-line" in missing
    tieout("deliveries", "record", key, "--source", "banks", expect=2)


def test_provisional_lines_are_listed_until_the_statement_comes(
    tieout: Tieout, files: Path, home: Path
) -> None:
    sources = home / ".tieout" / "sources.yaml"
    text = sources.read_text()
    sources.write_text(text.replace("intraday: [camt.052]", "intraday: [camt.052, mt940]"))
    assert "Nothing is told that is not booked." in tieout("deliveries", "provisional").output
    (home.parent / "morning.sta").write_text(
        ":20:AM\r\n:25:DE08999900010000101978\r\n:28C:1/1\r\n:60F:C261109EUR0,\r\n"
        ":61:2611091109C12,50NTRFNONREF//B1\r\n:86:166?20SVWZ+paid\r\n:62F:C261109EUR12,50\r\n-\r\n"
    )
    said = tieout("ingest", "morning.sta", "--source", "bank").output
    assert "accepted: 0 lines in 1 statement, 1 more not booked for good" in said
    row = tieout("deliveries", "provisional", "--source", "bank").output.splitlines()[1]
    assert "12.50 EUR" in row
    assert "waits" in row
    assert "intraday format" in tieout("deliveries").output
    tieout("ingest", str(files / "camt053_main-eur_2026-11-09.xml"), "--source", "bank")
    row = tieout("deliveries", "provisional", "--source", "bank").output.splitlines()[1]
    assert "replaced by its statement" in row


def two_sales(path: Path, *amounts: int, version: str = "") -> Path:
    """A statement of Monday with lines for INV-1, INV-2, ..., as many as amounts."""
    lines = [
        BankLine(day=0, asset="EUR", amount_minor=amount, native_id=f"N{number}", end_to_end=f"INV-{number}")
        for number, amount in enumerate(amounts, start=1)
    ]
    pattern = volume.bank_statement(0, day=MONDAY, iban=IBAN["EUR"])
    told = replace(
        pattern,
        lines=lines,
        opening_minor=0,
        closing_minor=sum(amounts),
        message_id=f"{pattern.message_id}{version}",
    )
    stream = BytesIO()
    camt053.write(stream, told, "001.08")
    path.write_bytes(stream.getvalue())
    return path


def test_a_correction_undoes_at_the_next_run_what_it_touches(
    tieout: Tieout, files: Path, tmp_path: Path
) -> None:
    rows = ["entry_key,effective_at,account,amount_minor,asset,kind,ref_end_to_end"]
    for number, amount in ((1, 500), (2, 700)):
        at = f"sale-{number},{MONDAY}T12:00:00+00:00"
        rows.append(f"{at},assets:bank:main-eur,{amount},EUR,sale,INV-{number}")
        rows.append(f"{at},liabilities:customers:pool-eur,{-amount},EUR,sale,")
    (tmp_path / "entries.csv").write_text("\n".join(rows) + "\n")
    two_sales(tmp_path / "day.xml", 500, 700)
    two_sales(tmp_path / "corrected.xml", 500, 710, version="b")

    tieout("ledger", "accounts", str(files / "world" / "ledger" / "accounts.csv"))
    tieout("ledger", "post", "entries.csv")
    tieout("ingest", "day.xml", "--source", "bank")
    assert "2 matches made" in tieout("reconcile", "--as-of", str(MONDAY), "--source", "bank").output
    assert (
        "corrected: 1 line changed, 0 added, 0 withdrawn, 1 unchanged"
        in tieout("ingest", "corrected.xml", "--source", "bank").output
    )
    assert "1 undone" in tieout("reconcile", "--as-of", str(MONDAY), "--source", "bank").output
    tieout("export", "matches", "--out", "matches.csv", "--source", "bank")
    with (tmp_path / "matches.csv").open(newline="") as file:
        told = {(row["entry_key"] or row["line_key"], row["state"]) for row in csv.DictReader(file)}
    assert told == {("N1", "confirmed"), ("sale-1", "confirmed"), ("N2", "revoked"), ("sale-2", "revoked")}
