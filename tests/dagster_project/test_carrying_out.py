"""What two people agreed on is posted once, whatever falls over in between, and its exception is resolved."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest

from dagster_project import carrying_out, posting_adjustments
from dagster_project.acting import acting
from dagster_project.carrying_out import carry_out, unseen_entries
from dagster_project.cli.output import Context
from dagster_project.definitions import definitions_of
from dagster_project.project import Project
from reconciliation.exceptions.proposals import judge
from tests.dagster_project.exceptions_desk import BANK, FEES, LOSSES, CommandDesk, lived, open_desk
from tests.reconciliation.daily.desk import MONDAY, TUESDAY


@pytest.fixture
def desk(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandDesk]:
    """A project with Monday's open items."""
    monkeypatch.setenv("TIEOUT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TIEOUT_DATABASE_URL", database_url)
    monkeypatch.setenv("TIEOUT_SOURCES", str(tmp_path / "sources.yaml"))
    monkeypatch.chdir(tmp_path)
    return open_desk(tmp_path)


@pytest.fixture
def project(desk: CommandDesk) -> Project:
    return Context.from_environment().project


def posted(url: str, entry_key: str) -> list[tuple[Any, ...]]:
    """Lines of an entry, and what it corrects."""
    with psycopg.connect(url) as connection:
        return connection.execute(
            "SELECT j.account, j.amount_minor, j.ref_end_to_end, j.corrects_entry_key FROM ledger.journal_line_v1 AS j"
            " WHERE j.entry_key = %s ORDER BY j.line_no",
            (entry_key,),
        ).fetchall()


def agreed(desk: CommandDesk, key: str, *words: object) -> int:
    """What Ada proposes about an exception; the number of the proposal."""
    number = desk.number(key)
    made = desk.read("exceptions", "propose", number, *words, "--reason", "agreed by phone", "--by", "ada")
    return int(made["proposal_id"])


def test_write_offs_and_a_missing_entry_end_with_the_day_tied_out(
    desk: CommandDesk, database_url: str, tmp_path: Path
) -> None:
    ghost, lost, paid, fee = (desk.number(key) for key in ("ghost", "N-LOST", "N-PAID", "N-FEE"))
    sale = desk.number("sale")

    amount = agreed(desk, "N-PAID", "write-off", "--with", "sale", "--reason-code", "write-off")
    missing = agreed(desk, "N-FEE", "book-entry", "--account", FEES, "--reason-code", "fee-not-booked")
    never = agreed(desk, "ghost", "write-off")
    unknown = agreed(desk, "N-LOST", "write-off")
    assert "the ledger refused" not in desk(
        "exceptions", "approve", amount, missing, never, unknown, "--by", "bob"
    )

    assert posted(database_url, f"proposal:{amount}") == [
        (BANK, -9, "PAID", None),
        (LOSSES, 9, None, None),
    ]
    assert posted(database_url, f"proposal:{missing}") == [(BANK, -300, "FEE", None), (FEES, 300, None, None)]
    assert posted(database_url, f"proposal:{never}") == [
        (BANK, 900, None, "ghost"),
        (LOSSES, -900, None, "ghost"),
    ]
    assert posted(database_url, f"proposal:{unknown}") == [
        (BANK, 70, "LOST", None),
        (LOSSES, -70, None, None),
    ]
    assert desk.open_keys() == []
    for number in (ghost, lost, paid, fee):
        assert desk.events(number) == ["opened", "proposed", "approved", "posted", "resolved"]
    assert desk.events(sale) == ["opened", "cleared"]
    (row,) = desk.read("reconcile", "--as-of", "2026-11-09")
    assert row["tied_out"] is True

    with psycopg.connect(database_url) as connection:
        before = connection.execute("SELECT count(*), max(event_id) FROM recon.exception_event").fetchone()
        entries = connection.execute("SELECT count(*) FROM ledger.journal_entry").fetchone()
    assert carry_out(Context.from_environment().project) == []
    lived(desk, tmp_path, TUESDAY)
    with psycopg.connect(database_url) as connection:
        assert (
            connection.execute("SELECT count(*), max(event_id) FROM recon.exception_event").fetchone()
            == before
        )
        assert connection.execute("SELECT count(*) FROM ledger.journal_entry").fetchone() == entries
    assert desk.open_keys() == []
    assert "as it was written" in desk("exceptions", "verify")


def test_killed_between_posting_and_recording_it_is_posted_once(
    desk: CommandDesk, project: Project, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = desk.number("N-FEE")
    proposal = agreed(desk, "N-FEE", "book-entry", "--account", FEES)

    class Killed(BaseException):
        pass

    def die(*given: object, **told: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(posting_adjustments, "_record", die)
        approved(project, proposal)
        with pytest.raises(Killed):
            carry_out(project)
    assert len(posted(database_url, f"proposal:{proposal}")) == 2
    assert desk.events(number)[-1] == "approved"

    with monkeypatch.context() as patched:
        patched.setattr(carrying_out, "reconcile_source", die)
        with pytest.raises(Killed):
            carry_out(project)
    assert desk.events(number)[-1] == "posted"
    assert unseen_entries(project) == [("bank", proposal)]
    assert looks_of_the_sensor(project, 2)[1] == [("bank_day", "2026-11-09")]

    assert [carry_out(project), carry_out(project)] == [[], []]
    assert unseen_entries(project) == []
    assert len(posted(database_url, f"proposal:{proposal}")) == 2
    assert desk.events(number) == ["opened", "proposed", "approved", "posted", "resolved"]


def test_two_at_once_post_once(desk: CommandDesk, project: Project, database_url: str) -> None:
    number = desk.number("N-FEE")
    proposal = agreed(desk, "N-FEE", "book-entry", "--account", FEES)
    approved(project, proposal)
    results: list[Any] = []
    both = [threading.Thread(target=lambda: results.append(carry_out(project))) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert [one.outcome for found in results for one in found] in (["posted"], ["posted", "posted"])
    assert len(posted(database_url, f"proposal:{proposal}")) == 2
    assert desk.events(number) == ["opened", "proposed", "approved", "posted", "resolved"]


def test_what_the_ledger_refuses_is_told_and_goes_back_to_its_owner(
    desk: CommandDesk, project: Project, database_url: str
) -> None:
    fee, lost = desk.number("N-FEE"), desk.number("N-LOST")
    desk("exceptions", "take", fee, "--by", "ada")
    closed = agreed(desk, "N-FEE", "book-entry", "--account", FEES)
    taken = agreed(desk, "N-LOST", "write-off")
    for proposal in (closed, taken):
        approved(project, proposal)
    with project.database.session("tieout_poster") as connection:
        connection.execute("SELECT ledger.close_account(%s, 'moved', 'ada')", (FEES,))
        connection.execute(
            "SELECT ledger.post_entries(%s, %s::timestamptz[], %s, %s, ARRAY['EUR', 'EUR'])",
            ([f"proposal:{taken}"] * 2, ["2026-11-09 12:00Z"] * 2, [BANK, LOSSES], [1, -1]),
        )
    first, second = carry_out(project)
    assert (first.outcome, second.outcome) == ("refused", "refused")
    assert first.said is not None
    assert FEES in first.said
    assert carry_out(project) == []

    assert desk.events(fee)[-2:] == ["approved", "posting_refused"]
    shown = desk.read("exceptions", "show", fee)
    assert (shown["status"], shown["assignee"], shown["events"][-1]["actor"]) == ("taken", "ada", "approval")
    assert FEES in shown["events"][-1]["note"]
    assert desk.read("exceptions", "show", lost)["status"] == "open"
    (row, _) = desk.read("exceptions", "proposals", "--all")
    assert (row["state"], row["posting"]) == ("approved", "refused")

    again = agreed(desk, "N-FEE", "write-off")
    assert f"entry proposal:{again} posted" in desk("exceptions", "approve", again, "--by", "bob")
    assert desk.events(fee)[-1] == "resolved"


def test_the_daily_run_posts_what_was_approved_before_it(
    desk: CommandDesk, project: Project, database_url: str
) -> None:
    proposal = agreed(desk, "N-FEE", "book-entry", "--account", FEES)
    approved(project, proposal)
    assert posted(database_url, f"proposal:{proposal}") == []
    asked = looks_of_the_sensor(project, 3)
    assert asked == [[], [("bank_day", "2026-11-09")], [("bank_day", "2026-11-09")]]
    desk("reconcile", "--as-of", "2026-11-09")
    assert len(posted(database_url, f"proposal:{proposal}")) == 2
    assert "N-FEE" not in desk.open_keys()
    assert looks_of_the_sensor(project, 2) == [[], []]


def looks_of_the_sensor(project: Project, times: int) -> list[list[tuple[str | None, str | None]]]:
    """Jobs and days that the sensor of approved entries asks for, look by look."""
    repository = definitions_of(project.sources, today=MONDAY).get_repository_def()
    sensor = repository.get_sensor_def("approved_entries")
    cursor: str | None = None
    found = []
    for _ in range(times):
        with dg.build_sensor_context(
            cursor=cursor, resources={"project": project}, repository_def=repository
        ) as context:
            data = sensor.evaluate_tick(context)
        cursor = data.cursor
        found.append([(one.job_name, one.partition_key) for one in data.run_requests or []])
    return found


def approved(project: Project, proposal: int) -> None:
    """Bob approves, and nothing is carried out yet."""
    with acting(project.database, "bob") as connection:
        judge(connection, proposal, "approved")
