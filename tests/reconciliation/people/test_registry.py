"""People are made, changed and never removed; whatever was done to them is history that nobody changes."""

import pytest

from reconciliation.errors import UnknownItem
from reconciliation.people.passwords import WeakPassword
from reconciliation.people.refusals import RefusedPerson
from reconciliation.people.registry import (
    find_person,
    history,
    is_strict,
    list_people,
    password_hash,
    set_password,
)
from tests.reconciliation.people.conftest import PASSWORD, SALT, Door


def test_what_is_done_to_a_person_is_history_that_nobody_changes(door: Door) -> None:
    made = door.make("ada", "approver", "analyst", password=PASSWORD, team="disputes")
    assert (made.roles, made.team, made.state) == (("analyst", "approver"), "disputes", "active")
    door.change("ada", roles=("viewer",), team="")
    door.change("ada", state="disabled")
    with door.session("tieout_auditor") as connection:
        told = history(connection, "ada")
        assert history(connection, "bob") == []
        assert find_person(connection, "ADA") is None
        assert [person.login for person in list_people(connection)] == ["ada"]
    assert [(row["event"], row["actor"]) for row in told] == [
        ("enrolled", "root"), ("password", "root"), ("changed", "root"), ("changed", "root"),
    ]  # fmt: skip
    assert (told[2]["before"]["roles"], told[2]["after"]["roles"]) == (["analyst", "approver"], ["viewer"])
    assert (told[2]["before"]["team"], told[2]["after"]["team"]) == ("disputes", None)
    assert told[3]["after"]["state"] == "disabled"
    assert not [row for row in told if "scrypt" in str(row)]

    for statement in (
        "UPDATE recon.person_event SET actor = 'eve'",
        "DELETE FROM recon.person_event",
        "TRUNCATE recon.person_event",
        "DELETE FROM recon.person",
        "UPDATE recon.login_attempt SET outcome = 'opened'",
        "DELETE FROM recon.session",
    ):
        assert "is evidence" in door.refused("tieout_owner", statement), statement
    assert "still referenced" in door.refused("tieout_owner", "UPDATE recon.person SET login = 'eve'")


def test_a_login_is_given_once_and_everything_of_a_person_is_checked(door: Door) -> None:
    door.make("ada")
    door.change("ada", state="disabled")
    with pytest.raises(UnknownItem, match="expected a new login"):
        door.make("ada")
    for login in ("Ada", "", "-a", "a b", "a" * 65, "a/b", "a\n", "\u00e9va"):
        with pytest.raises(RefusedPerson, match="expected 1 to 64"):
            door.make(login)
    with pytest.raises(RefusedPerson, match="found root"):
        door.make("bob", "root")
    with pytest.raises(RefusedPerson, match="found none"):
        door.change("ada", roles=())
    for name in (" ", "a\nb", "x" * 121):
        with pytest.raises(RefusedPerson, match="characters in one line"):
            door.change("ada", name=name)
    with pytest.raises(UnknownItem, match="tieout users list"):
        door.change("bob", team="x")
    with door.session("tieout_doorkeeper") as connection:
        with pytest.raises(UnknownItem, match="bob"):
            set_password(connection, "bob", PASSWORD, salt=SALT, by_whom="root")
        with pytest.raises(WeakPassword, match="found 5"):
            set_password(connection, "ada", "short", salt=SALT, by_whom="root")
        assert password_hash(connection, "ada") is None


def test_second_accounts_lead_to_one_human_and_never_make_a_chain_or_a_ring(door: Door) -> None:
    door.make("ada")
    door.make("ada.admin", "admin", same_as="ada")
    third = door.make("ada.night", same_as="ada.admin")
    assert third.same_as == "ada"
    door.make("bob")
    for login, same_as in (("ada", "bob"), ("ada", "ada.night"), ("bob", "bob")):
        with pytest.raises(RefusedPerson, match="the other way round"):
            door.change(login, same_as=same_as)
    with pytest.raises(UnknownItem, match="nobody"):
        door.change("bob", same_as="nobody")
    assert door.change("bob", same_as="ada.night").same_as == "ada"
    with door.session("tieout_auditor") as connection:
        humans = connection.execute("SELECT DISTINCT recon.human(p.login) FROM recon.person AS p").fetchall()
    assert humans == [("ada",)]
    assert door.change("bob", same_as="").same_as is None


def test_people_are_taken_at_their_word_until_somebody_is_made_by_users(door: Door) -> None:
    for known_by in ("demo", "command line", "proxy", "oidc"):
        door.make(known_by[:4].strip(), known_by=known_by)
    with door.session("tieout_doorkeeper") as connection:
        assert not is_strict(connection)
    door.make("ada")
    with door.session("tieout_doorkeeper") as connection:
        assert is_strict(connection)
