"""The faults of deliveries as operations live through them: `tieout` killed, cut off, started twice at once."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from io import BytesIO
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from dagster_project import receiving
from dagster_project.metadata import of_delivery
from dagster_project.pipeline import initialise
from dagster_project.project import Project, packaged_sources
from dagster_project.receiving import ingest, ingest_landed
from dagster_project.settings import read_settings
from fixtures import volume
from fixtures.accounts import IBAN
from fixtures.writers import camt053
from reconciliation.errors import ChangedFile, RefusedFile
from reconciliation.intake.delivery import DeliveryOutcome, take_in
from tests.reconciliation.intake.cutting_proxy import cutting_proxy

MONDAY = date(2026, 11, 9)
LINES = 1_500
Run = Callable[..., "subprocess.Popen[str]"]


def statement(path: Path, count: int = LINES, *, seed: int = 1) -> Path:
    stream = BytesIO()
    camt053.write(stream, volume.bank_statement(count, day=MONDAY, seed=seed, iban=IBAN["EUR"]), "001.08")
    path.write_bytes(stream.getvalue())
    return path


@pytest.fixture
def project(database_url: str, tmp_path: Path) -> Project:
    environment = {"TIEOUT_HOME": str(tmp_path / "home"), "TIEOUT_DATABASE_URL": database_url,
        "TIEOUT_DAGSTER_DATABASE_URL": database_url}  # fmt: skip
    return initialise(read_settings(environment, tmp_path), sources_text=packaged_sources())


@pytest.fixture
def tieout(project: Project, database_url: str, tmp_path: Path) -> Run:
    """Start a command in a process of its own, with this project's folder and database."""
    command = [sys.executable, "-c", "from dagster_project.cli.main import main; main()"]

    def run(*words: str, url: str = database_url) -> "subprocess.Popen[str]":
        environment = os.environ | {
            "TIEOUT_HOME": str(tmp_path / "home"),
            "TIEOUT_DATABASE_URL": url,
            "TIEOUT_DAGSTER_DATABASE_URL": database_url,
        }
        return subprocess.Popen(
            [*command, *words],
            cwd=tmp_path,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    return run


def said(process: "subprocess.Popen[str]") -> tuple[int, str]:
    output, _ = process.communicate(timeout=120)
    return process.returncode, output


def counted(project: Project) -> tuple[int, int]:
    """Deliveries and lines."""
    with project.database.session("tieout_auditor") as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM recon.delivery), (SELECT count(*) FROM recon.line)"
        ).fetchone()
    assert row is not None
    return row[0], row[1]


def test_a_command_killed_at_any_moment_is_simply_given_again(
    project: Project, tieout: Run, tmp_path: Path
) -> None:
    statement(tmp_path / "day.xml")
    chance = random.Random(11)
    for _ in range(3):
        process = tieout("ingest", "day.xml", "--source", "bank")
        time.sleep(chance.uniform(0.6, 1.8))
        process.send_signal(signal.SIGKILL)
        said(process)
        assert counted(project)[1] in (0, LINES)
    code, output = said(tieout("ingest", "day.xml", "--source", "bank"))
    assert code == 0
    assert "accepted" in output or "redelivered" in output
    assert counted(project)[1] == LINES


def test_two_commands_with_one_file_take_it_in_once(project: Project, tieout: Run, tmp_path: Path) -> None:
    statement(tmp_path / "day.xml")
    both = [tieout("ingest", "day.xml", "--source", "bank") for _ in range(2)]
    told = sorted(said(process) for process in both)
    assert [code for code, _ in told] == [0, 0]
    assert sorted(output.split(": ")[1] for _, output in told) == ["accepted", "redelivered"]
    assert counted(project) == (2, LINES)


def test_a_command_whose_commit_was_answered_by_silence_says_so_and_the_next_finds_it_done(
    project: Project, tieout: Run, database_url: str, tmp_path: Path
) -> None:
    statement(tmp_path / "day.xml", 20)
    with cutting_proxy(make_conninfo(database_url)) as proxied:
        code, output = said(tieout("ingest", "day.xml", "--source", "bank", url=proxied))
    assert code != 0
    assert "Traceback" not in output
    assert "connection" in output
    code, output = said(tieout("ingest", "day.xml", "--source", "bank"))
    assert (code, "redelivered" in output) == (0, True)
    assert counted(project) == (2, 20)


def changing(path: Path, change: Callable[[Path], object]) -> Callable[..., tuple[DeliveryOutcome, ...]]:
    """Takes in as always, and while it does, somebody does something to the file."""

    def meanwhile(connection: psycopg.Connection, **words: object) -> tuple[DeliveryOutcome, ...]:
        change(path)
        return take_in(connection, **words)  # type: ignore[arg-type]

    return meanwhile


def appended(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"\n")


def test_a_file_that_is_written_to_while_it_is_read_is_left_for_the_next_time(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = statement(project.settings.landing / "bank" / "camt053_day.xml", 20)
    bank = project.sources["bank"]
    with monkeypatch.context() as patched:
        patched.setattr(receiving, "take_in", changing(path, appended))
        with pytest.raises(ChangedFile, match="changed while it was read; nothing was taken in"):
            ingest(project, bank, path)
        warnings: list[str] = []
        assert list(ingest_landed(project, bank, warn=warnings.append)) == []
    assert ["camt053_day.xml" in warning for warning in warnings] == [True]
    assert path.exists()
    assert counted(project) == (0, 0)
    assert [outcome.outcome for _, outcome in ingest_landed(project, bank)] == ["accepted"]


def test_a_file_that_is_replaced_while_it_is_read_is_taken_in_as_it_was_and_the_new_one_next_time(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = statement(project.settings.landing / "bank" / "camt053_day.xml", 20)
    newer = statement(tmp_path / "newer.xml", 25)
    bank = project.sources["bank"]
    with monkeypatch.context() as patched:
        patched.setattr(receiving, "take_in", changing(path, newer.rename))
        assert [outcome.line_count for _, outcome in ingest_landed(project, bank)] == [20]
    assert path.exists()
    assert [outcome.outcome for _, outcome in ingest_landed(project, bank)] == ["corrected"]
    assert not path.exists()


def test_what_the_asset_tells_of_a_delivery_counts_notes_and_names_nobody() -> None:
    outcome = DeliveryOutcome(
        outcome="accepted", delivery_id=1, source_id="bank", file_name="day.xml", file_sha256="0", for_date=None,
        line_count=3, provisional_count=2, notes=("released by ada in spite of balance: Mr Doe rang", "2 pages joined"),
    )  # fmt: skip
    told = of_delivery([outcome], [])
    assert (told["Lines provisional"], told["Notes"]) == (2, 2)
    assert "released in spite of balance" in told["Notes of the files"].value
    assert "2 pages joined" in told["Notes of the files"].value
    assert not any(name in str(told) for name in ("by ada", "Doe"))
    quiet = of_delivery([], [])
    assert (quiet["Lines provisional"], quiet["Notes"]) == (0, 0)
    assert "Notes of the files" not in quiet


def test_a_refusal_in_an_archive_is_told_with_the_archive() -> None:
    refusal = RefusedFile(code="balance", place="statement 1", expected="1", found="2", remedy="Ask.")
    outcome = DeliveryOutcome(
        outcome="rejected", delivery_id=1, source_id="bank", file_name="day.xml", file_sha256="0", for_date=None,
        package_name="week.zip", refusal=refusal,
    )  # fmt: skip
    assert outcome.sentence.endswith("Ask. Nothing of week.zip was taken in.")
