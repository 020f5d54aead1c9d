"""Five days of an invented world with every fault, from real files to the books, marked against the world's answers."""

import csv
import json
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from shutil import copytree

import pytest

from dagster_project.pipeline import source_day
from fixtures.world import FAULTS, simulate
from reconciliation.evidence.page import day_as_value
from reconciliation.evidence.statement import day_statement
from tests.reconciliation.daily.office import FIRST_DAY, SOURCE_IDS, Finished, Office


def test_every_planted_fault_is_found_and_no_match_is_wrong(
    finished: Finished, finished_office: Office
) -> None:
    marks = finished_office.mark(finished.world.days[-1])

    assert marks.complaints == ()
    assert marks.faults_found == marks.faults_planted >= len(FAULTS)
    assert marks.matches_right == marks.matches_expected > 100
    assert marks.timing_right == marks.timing_expected > 0
    assert (marks.proofs, marks.proofs_tied) == (5 * 9, 5 * 9 - 1)


@pytest.mark.parametrize("seed", [2, 3])
def test_worlds_of_other_seeds_pass_too_when_all_their_days_are_done_at_once(
    seed: int, database_url: str, tmp_path: Path
) -> None:
    world = simulate(seed, FIRST_DAY, days=5, lines=10, faults="none")
    world.write(tmp_path / "world")
    office = Office.open(database_url, tmp_path / "home", tmp_path / "world")
    for day in world.days:
        office.post(day)
    for source_id, path in office.arrivals():
        office.ingest(source_id, path)
    office.reconcile_all(world.days[-1])

    marks = office.mark(world.days[-1])
    assert marks.complaints == ()
    assert marks.proofs_tied == marks.proofs == 5 * 9


def test_marks_complain_of_an_answer_that_is_not_so(finished_office: Office, tmp_path: Path) -> None:
    copytree(finished_office.world, tmp_path / "altered")
    key = tmp_path / "altered" / "answer_key.csv"
    rows = _read(key)
    altered = next(row for row in rows if row["kind"] == "amount_mismatch")
    altered["difference_minor"] = str(int(altered["difference_minor"]) + 1)
    _write(key, rows)
    matches = tmp_path / "altered" / "answer_matches.csv"
    pairings = _read(matches)
    first, second = list({row["native_id"]: row for row in pairings if row["leg"] == "ledger"}.values())[:2]
    first["entry_key"], second["entry_key"] = second["entry_key"], first["entry_key"]
    _write(matches, pairings)

    office = Office(finished_office.url, finished_office.home, tmp_path / "altered")
    complaints = office.mark(_last_day(office)).complaints

    assert any(text.startswith("not found: ") for text in complaints)
    assert any(text.startswith("not planted: ") for text in complaints)
    assert any(text.startswith("wrong match: ") for text in complaints)


@pytest.mark.parametrize("harm", ["an entry that was never posted", "a file that broke on its way"])
def test_marks_complain_when_something_was_lost_on_the_way(
    harm: str, finished: Finished, database_url: str, tmp_path: Path
) -> None:
    copytree(finished.folder, tmp_path / "world")
    office = Office.open(database_url, tmp_path / "home", tmp_path / "world")
    first = finished.world.days[0]
    if harm == "an entry that was never posted":
        path = tmp_path / "world" / "days" / first.isoformat() / "ledger" / "entries.csv"
        rows = _read(path)
        dropped = next(row["entry_key"] for row in rows if row["kind"] == "charge")
        _write(path, [row for row in rows if row["entry_key"] != dropped])
    else:
        path = office.files(first, "bank")[0]
        path.write_bytes(path.read_bytes()[:-200])
    for day in finished.world.days:
        office.post(day)
        for source_id in SOURCE_IDS:
            for file in office.files(day, source_id):
                office.ingest(source_id, file)
    office.reconcile_all(finished.world.days[-1])

    assert office.mark(finished.world.days[-1]).complaints


def _last_day(office: Office) -> date:
    return max(date.fromisoformat(path.name) for path in (office.world / "days").iterdir())


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _write(path: Path, rows: Iterable[dict[str, str]]) -> None:
    kept = list(rows)
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, kept[0])
        writer.writeheader()
        writer.writerows(kept)


def test_a_day_read_twice_is_told_in_the_same_bytes(finished: Finished, finished_office: Office) -> None:
    project = finished_office.project
    for source in project.sources.sources:
        for day in finished.world.days:
            first, second = (source_day(project, source, day) for _ in range(2))
            assert json.dumps(day_as_value(first)) == json.dumps(day_as_value(second))
            with project.database.session("tieout_auditor") as connection:
                told = day_statement(connection, source, day)
                again = day_statement(connection, source, day, known_at=told.known_at)
            assert told.canonical_bytes() == again.canonical_bytes()
            assert [one for one in told.failing if one["name"] != "tied out"] == []
