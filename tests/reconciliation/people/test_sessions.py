"""Who holds the token of a live session acts, and nobody else: not by a name, not by SQL, not a minute too long."""

import pytest

from reconciliation.errors import NoSession
from reconciliation.people.sessions import (
    end_session,
    end_sessions_of,
    enter,
    leave,
    live_sessions,
    touch,
    visitor,
)
from tests.reconciliation.people.conftest import Door


def test_a_session_acts_until_it_is_ended_idle_or_old_or_its_person_is_disabled(door: Door) -> None:
    door.make("ada", "analyst", "approver", team="disputes")
    ids = {
        name: door.open("ada", f"token {name}") for name in ("live", "ended", "left", "idle", "old", "busy")
    }
    found = door.who("token live")
    assert found is not None
    assert (found.login, found.name, found.roles, found.team) == (
        "ada",
        "Ada",
        ("analyst", "approver"),
        "disputes",
    )
    assert (found.session_id, found.channel) == (ids["live"], "browser")
    assert all(door.acts(f"token {name}") for name in ids)

    with door.session("tieout_doorkeeper") as connection:
        end_session(connection, ids["ended"], by_whom="ada")
    with door.session("tieout_analyst") as connection:
        enter(connection, "token left")
        leave(connection)
        assert visitor(connection) is None
    door.let_pass(ids["idle"], 31)
    door.let_pass(ids["old"], 29)
    with door.session("tieout_auditor") as connection:  # only looking keeps a session open too
        enter(connection, "token old")
        touch(connection)
    door.let_pass(ids["busy"], 20)
    assert door.acts("token old")
    door.let_pass(ids["old"], 29)
    assert door.acts("token old")
    door.let_pass(ids["old"], 720 - 58)  # twelve hours after it was opened, however busy it was
    for name in ("ended", "left", "idle", "old"):
        assert door.who(f"token {name}") is None, name
        assert not door.acts(f"token {name}"), name
    assert door.acts("token live")
    assert door.acts("token busy")

    door.change("ada", roles=("viewer",))  # roles are those of now, not those of the login
    assert not door.acts("token live")
    now = door.who("token live")
    assert now is not None
    assert now.roles == ("viewer",)
    door.change("ada", state="disabled")
    assert door.who("token live") is None
    with pytest.raises(NoSession, match="known and active"):
        door.open("ada", "another token")
    door.change("ada", state="active", roles=("analyst",))
    assert not door.acts("token live")  # what was ended stays ended


def test_sessions_are_listed_and_ended_by_person(door: Door) -> None:
    door.make("ada")
    door.make("bob")
    for token in ("one", "two"):
        door.open("ada", token)
    door.let_pass(door.open("ada", "idle"), 31)
    door.open("bob", "three")
    with door.session("tieout_doorkeeper") as connection:
        assert [session.login for session in live_sessions(connection)] == ["ada", "ada", "bob"]
        assert {session.channel for session in live_sessions(connection, "ada")} == {"browser"}
        assert end_sessions_of(connection, "ada", by_whom="root") >= 2
        assert live_sessions(connection, "ada") == []
    assert not door.acts("one")
    assert door.acts("three")


def test_nobody_acts_by_sql_without_a_live_token_and_nobody_reads_what_would_make_one(door: Door) -> None:
    door.make("ada")
    door.open("ada", "the token")
    assert door.acts("the token")
    for made_up in ("", "ada", "the token ", "The token", "\u00e9"):
        assert not door.acts(made_up)
        assert door.who(made_up) is None
    for odd in ("\0", "\ud800", "a\nb"):
        assert door.who(odd) is None

    for role in ("tieout_analyst", "tieout_auditor", "tieout_matcher", "tieout_intake", "tieout_poster"):
        for statement in (
            "SELECT * FROM recon.credential",
            "SELECT token_sha256 FROM recon.session",
            "UPDATE recon.session SET ended_at = NULL",
            "INSERT INTO recon.person (login, name, roles, known_by) VALUES ('eve', 'Eve', '{admin}', 'users')",
            "UPDATE recon.person SET roles = '{admin}'",
            "SELECT recon.enrol('eve', 'Eve', '{admin}', 'users')",
            "SELECT recon.change_person('ada', NULL, '{admin}', NULL, NULL, NULL, 'eve')",
            "SELECT recon.set_password_hash('ada', 'scrypt$', 'eve')",
            "SELECT recon.open_session('ada', sha256('mine'), 'browser', 30, 30)",
        ):
            assert "permission denied" in door.refused(role, statement), (role, statement)
    for statement in (
        "SELECT * FROM recon.exception",
        "SELECT * FROM ledger.journal_line_v1",
        "SELECT recon.work('{1}', NULL, 'take', '{}')",
        "SELECT recon.judge_proposal(1, 'approved')",
        "UPDATE recon.session SET ended_at = NULL",
        "UPDATE recon.credential SET password_hash = 'scrypt$'",
        "DELETE FROM recon.session",
    ):
        assert "permission denied" in door.refused("tieout_doorkeeper", statement), statement


def test_a_token_is_kept_as_its_hash_alone_and_holds_for_one_transaction(door: Door) -> None:
    door.make("ada")
    door.open("ada", "the token")
    with door.session("tieout_doorkeeper") as connection:
        row = connection.execute("SELECT s::text FROM recon.session AS s").fetchone()
        assert row is not None
        assert "the token" not in row[0]
        assert b"the token".hex() not in row[0]
    with door.session("tieout_analyst") as connection:
        assert enter(connection, "the token") is not None
        assert enter(connection, "another") is None
        assert visitor(connection) is None  # the last word counts
    with door.session("tieout_analyst") as connection:
        assert visitor(connection) is None
