"""A command acts as a person by a session of its own, over as soon as the deed is done."""

import threading
from typing import Any

import psycopg
import pytest

from dagster_project.acting import acting
from dagster_project.database import Database
from reconciliation.errors import NoSession, UnknownItem
from reconciliation.people.refusals import RefusedPerson
from reconciliation.people.registry import change_person, enrol, find_person
from reconciliation.people.sessions import visitor

SESSIONS = (
    "SELECT s.login, s.channel, s.ended_by, s.expires_at - s.opened_at < '6 minutes' FROM recon.session AS s"
)


@pytest.fixture
def database(database_url: str) -> Database:
    return Database(url=database_url, dagster_libpq_url=database_url)


def sessions(database: Database) -> list[Any]:
    with database.session("tieout_doorkeeper") as connection:
        return connection.execute(SESSIONS + " ORDER BY s.session_id").fetchall()


def test_a_deed_is_done_in_a_name_until_people_are_made_and_only_in_known_names_from_then_on(
    database: Database,
) -> None:
    with acting(database, " Ada ") as connection:
        who = visitor(connection)
        assert who is not None
        assert (who.login, who.roles, who.channel) == (
            "ada",
            ("analyst", "approver", "controller"),
            "command line",
        )
        connection.execute("SELECT recon.save_filter('mine', '?status=open', NULL)")
    assert sessions(database) == [("ada", "command line", "ada", True)]
    with database.session("tieout_owner") as connection:
        person = find_person(connection, "ada")
        assert person is not None
        assert person.known_by == "command line"
    with pytest.raises(RefusedPerson, match="expected 1 to 64"), acting(database, "Ada Lovelace"):
        pass

    with database.session("tieout_doorkeeper") as connection:
        enrol(connection, "carol", name="Carol", roles=("viewer",), known_by="users", by_whom="root")
    with pytest.raises(UnknownItem, match="bob: expected the login of a person"), acting(database, "bob"):
        pass
    with (
        acting(database, "carol") as connection,
        pytest.raises(psycopg.Error, match="expected a role that may work"),
    ):
        connection.execute("SELECT recon.save_filter('mine', '?status=open', NULL)")
    with database.session("tieout_doorkeeper") as connection:
        change_person(connection, "ada", state="disabled", by_whom="root")
    with pytest.raises(NoSession, match="known and active"), acting(database, "ada"):
        pass


def test_a_session_ends_when_the_deed_fails_and_nothing_of_the_deed_stays(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), acting(database, "ada") as connection:  # noqa: PT012 - the deed, then the end
        connection.execute("SELECT recon.save_filter('mine', '?status=open', NULL)")
        _ = 1 // 0
    assert [(login, ended_by) for login, _, ended_by, _ in sessions(database)] == [("ada", "ada")]
    with acting(database, "ada") as connection:
        assert connection.execute("SELECT count(*) FROM recon.saved_filter").fetchone() == (0,)
    assert len(sessions(database)) == 2


def test_two_commands_at_once_in_a_new_name_both_act(database: Database) -> None:
    together, done = threading.Barrier(2), []

    def act() -> None:
        together.wait()
        with acting(database, "ada") as connection:
            done.append(visitor(connection))

    both = [threading.Thread(target=act) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert [who.login for who in done if who is not None] == ["ada", "ada"]
