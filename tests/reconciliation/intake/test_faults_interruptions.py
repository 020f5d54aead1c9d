"""Killed, cut off, doubled, changed underneath: a delivery is whole or not there, and doing it again is right."""

import gzip
import io
import random
import subprocess
import sys
import time
from pathlib import Path

import fsspec
import psycopg
import pytest
from psycopg import Connection

from fixtures import volume
from fixtures.writers import camt053
from reconciliation.intake.deliveries import list_deliveries
from reconciliation.intake.store import DeliveryStore
from tests.reconciliation.intake.builder import (
    BANK,
    IBAN,
    Entry,
    bank_file,
    bank_statement,
    current_lines,
    deliver,
    keys_and_amounts,
)
from tests.reconciliation.intake.cutting_proxy import cutting_proxy
from tests.reconciliation.intake.fault_files import FIRST_DAY, unkept_statements

REPOSITORY = Path(__file__).resolve().parents[3]
LINES = 4_000
SMALL = bank_file(bank_statement(Entry(100, "A1"), Entry(200, "A2")))


@pytest.fixture(scope="module")
def large_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "day.xml"
    stream = io.BytesIO()
    camt053.write(stream, volume.bank_statement(LINES, day=FIRST_DAY, iban=IBAN), "001.08")
    path.write_bytes(stream.getvalue())
    return path


def at_work(url: str, path: Path) -> "subprocess.Popen[str]":
    """A process that has opened the file and waits for a line to begin."""
    command = [sys.executable, "-m", "tests.reconciliation.intake.doomed_intake", url, str(path)]
    process = subprocess.Popen(
        command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def begin(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_an_intake_killed_at_any_moment_is_whole_or_not_there_and_is_done_again(
    store: Connection, database_url: str, large_file: Path
) -> None:
    chance = random.Random(7)
    killed = 0
    for _ in range(5):
        with at_work(database_url, large_file) as process:
            begin(process)
            time.sleep(chance.uniform(0.0, 0.7))
            process.kill()
            killed += process.wait() < 0
        assert len(current_lines(store)) in (0, LINES)
        assert list_deliveries(store, outcome="rejected").num_rows == 0
    assert killed
    outcome = deliver(store, large_file.read_bytes())
    assert outcome.outcome in ("accepted", "redelivered")
    assert len(current_lines(store)) == LINES
    assert unkept_statements(store, BANK) == []
    assert deliver(store, large_file.read_bytes()).outcome == "redelivered"


def test_two_processes_with_the_same_file_take_it_in_once(
    store: Connection, database_url: str, large_file: Path
) -> None:
    with at_work(database_url, large_file) as one, at_work(database_url, large_file) as other:
        for process in (one, other):
            begin(process)
        said = sorted(process.communicate()[0] for process in (one, other))
    assert said == ["accepted\n", "redelivered\n"]
    assert len(current_lines(store)) == LINES


def test_a_commit_whose_answer_is_lost_is_a_redelivery_the_next_time(
    store: Connection, database_url: str
) -> None:
    with cutting_proxy(database_url) as proxied:
        for number in range(5):
            content = bank_file(
                bank_statement(Entry(100 + number, f"A{number}"), day=f"2026-11-{16 + number}")
            )
            with (
                psycopg.connect(proxied, autocommit=True) as unlucky,
                pytest.raises(psycopg.OperationalError),
            ):
                deliver(unlucky, content)
            again = deliver(store, content)
            assert again.outcome == "redelivered"
            assert again.line_count == 1
    assert sorted(keys_and_amounts(store)) == [f"A{number}" for number in range(5)]


def test_a_commit_that_never_reached_the_server_did_not_happen(store: Connection, database_url: str) -> None:
    with (
        cutting_proxy(database_url, before=True) as proxied,
        psycopg.connect(proxied, autocommit=True) as unlucky,
        pytest.raises(psycopg.OperationalError),
    ):
        deliver(unlucky, SMALL)
    assert deliver(store, SMALL).outcome == "accepted"


def test_a_correction_whose_answer_is_lost_is_a_redelivery_packed_or_not(
    store: Connection, database_url: str
) -> None:
    deliver(store, SMALL)
    corrected = bank_file(bank_statement(Entry(100, "A1"), Entry(250, "A2")), message_id="M2")
    with (
        cutting_proxy(database_url) as proxied,
        psycopg.connect(proxied, autocommit=True) as unlucky,
        pytest.raises(psycopg.OperationalError),
    ):
        deliver(unlucky, gzip.compress(corrected), file_name="b.xml.gz")
    assert deliver(store, corrected).outcome == "redelivered"
    assert keys_and_amounts(store) == {"A1": (1, 100), "A2": (2, 250)}


def test_the_store_never_keeps_other_bytes_than_its_digest_says(tmp_path: Path) -> None:
    kept = DeliveryStore(filesystem=fsspec.filesystem("file"), folder=str(tmp_path / "kept"))
    other = bank_file(bank_statement(Entry(999, "A9")), message_id="M9")
    assert not kept.keep("0" * 64, io.BytesIO(other), "camt.053", {})
    assert not kept.holds("0" * 64)
    assert [path for path in (tmp_path / "kept").rglob("*") if path.is_file()] == []
