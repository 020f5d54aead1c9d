"""What is posted is observed on the journal's asset, once, with its days and accounts, however ticks are cut."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import psycopg
import pytest

from dagster_project import automation
from dagster_project.assets.ledger import JOURNAL
from dagster_project.definitions import definitions_of
from dagster_project.instance import instance
from dagster_project.project import Project
from ledger_core.posting import post_lines
from tests.ledger_core.books import BANK, NOON, WALLET, lines, open_chart, sale

Look = Callable[[str | None], str]


@pytest.fixture
def history(project: Project) -> Iterator[dg.DagsterInstance]:
    """Dagster's own, on its database."""
    with project.database.session("tieout_poster") as connection:
        open_chart(connection)
    with instance(project) as opened:
        yield opened


@pytest.fixture
def look(project: Project, history: dg.DagsterInstance) -> Look:
    """One tick from a cursor, its events reported as the daemon does; gives the cursor of the next."""
    repository = definitions_of(project.sources, today=datetime.now(UTC).date()).get_repository_def()
    sensor = repository.get_sensor_def("ledger_feed")

    def tick(cursor: str | None) -> str:
        with dg.build_sensor_context(
            cursor=cursor, instance=history, resources={"project": project}, repository_def=repository
        ) as context:
            data = sensor.evaluate_tick(context)
        assert not data.run_requests  # a posting starts no run
        for event in data.asset_events:
            history.report_runless_asset_event(event)
        assert data.cursor is not None
        return data.cursor

    return tick


def post(project: Project, *keys: str, at: datetime = NOON) -> None:
    with project.database.session("tieout_poster") as connection:
        for key in keys:
            post_lines(
                connection, sale(key) if at == NOON else lines((key, BANK, 1), (key, WALLET, -1), at=at)
            )


def observed(history: dg.DagsterInstance) -> list[dict[str, object]]:
    """Metadata of the journal's observations, oldest first."""
    found = history.fetch_observations(JOURNAL, limit=100).records
    return [
        {name: value.value for name, value in record.asset_observation.metadata.items()}
        for record in reversed(found)
        if record.asset_observation is not None
    ]


def test_new_entries_are_observed_once_even_where_nothing_else_numbers_the_feed(
    project: Project, history: dg.DagsterInstance, look: Look
) -> None:
    assert look(None) == "0"
    assert observed(history) == []
    post(project, "a", "b")
    post(project, "c", at=NOON + timedelta(days=1))
    cursor = look("0")
    assert (cursor, look(cursor)) == ("3", "3")
    (told,) = observed(history)
    assert (told["Entries"], told["Lines"], told["First position"], told["Newest position"]) == (3, 6, 1, 3)
    assert told["Days"] == "| day (UTC) | entries |\n| --- | --- |\n| 2026-01-15 | 2 |\n| 2026-01-16 | 1 |"
    assert str(told["Accounts"]).splitlines()[2:] == [
        "| assets:bank | 3 |", "| income:sales | 2 |", "| liabilities:wallet | 1 |",
    ]  # fmt: skip
    post(project, "d")
    look(cursor)
    assert [(row["First position"], row["Newest position"]) for row in observed(history)] == [(1, 3), (4, 4)]


def test_what_is_too_much_for_one_tick_comes_with_the_next_and_nothing_twice(
    project: Project, history: dg.DagsterInstance, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(automation, "EVENTS_PER_TICK", 5)
    monkeypatch.setattr(automation, "EVENTS_PER_READ", 2)
    post(project, *(f"entry {number}" for number in range(12)))
    cursor: str | None = None
    for _ in range(4):
        cursor = look(cursor)
    assert cursor == "12"
    assert [(row["First position"], row["Newest position"]) for row in observed(history)] == [
        (1, 5),
        (6, 10),
        (11, 12),
    ]
    assert sum(int(str(row["Entries"])) for row in observed(history)) == 12


def test_a_cursor_of_another_ledger_begins_anew(
    project: Project, history: dg.DagsterInstance, look: Look
) -> None:
    post(project, "a")
    assert look("5000") == "1"
    assert len(observed(history)) == 1


def test_a_tick_that_fails_keeps_the_cursor(
    project: Project, history: dg.DagsterInstance, look: Look
) -> None:
    post(project, "a")
    with psycopg.connect(project.database.url) as connection:
        connection.execute("REVOKE EXECUTE ON FUNCTION ledger.read_feed FROM tieout_ledger_reader")
    with pytest.raises(Exception, match="InsufficientPrivilege"):
        look("0")
    with psycopg.connect(project.database.url) as connection:
        connection.execute("GRANT EXECUTE ON FUNCTION ledger.read_feed TO tieout_ledger_reader")
    assert look("0") == "1"
    assert len(observed(history)) == 1
