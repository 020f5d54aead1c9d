"""`tieout users`: people made, changed and sent away by command; passwords are seen once or never."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dagster_project.acting import system_user
from dagster_project.cli.main import root
from dagster_project.database import Database
from dagster_project.demo_people import PEOPLE, introduce_people
from dagster_project.project import Project
from reconciliation.people.login import log_in
from reconciliation.people.registry import is_strict
from reconciliation.people.sessions import enter

Tieout = Callable[..., Result]
PASSWORD = "correct horse battery"


@pytest.fixture
def tieout(project: Project, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Tieout:
    """Run a command in this process; a traceback fails the test."""
    monkeypatch.setenv("TIEOUT_HOME", str(project.settings.home))
    monkeypatch.setenv("TIEOUT_DATABASE_URL", database_url)
    runner = CliRunner()

    def run(*words: str, expect: int = 0, typed: str = "") -> Result:
        result = runner.invoke(root, ["users", *words], input=typed, prog_name="tieout")
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert result.exit_code == expect, result.output
        return result

    return run


def comes_in(database: Database, login: str, password: str, mark: str) -> bool:
    with database.session("tieout_doorkeeper") as connection:
        return log_in(connection, login, password, token=mark, salt=bytes(16)).session_id is not None


def is_in(database: Database, mark: str) -> bool:
    with database.session("tieout_auditor") as connection:
        return enter(connection, mark) is not None


def value_of(result: Result) -> Any:
    return json.loads(result.stdout)


def test_a_person_is_made_changed_and_sent_away_by_command(project: Project, tieout: Tieout) -> None:
    database = project.database
    assert "Nobody is known yet" in tieout("list").output
    added = tieout(
        "add", "ada", "--name", "Ada L.", "--role", "analyst", "--role", "approver", "--team", "disputes"
    )
    assert added.output.startswith("ada is known as analyst, approver.\nPassword, shown this once: ")
    made_up = added.output.strip().rpartition(" ")[2]
    assert len(made_up) == 24
    assert comes_in(database, "ada", made_up, "first")
    tieout("add", "bob", "--role", "viewer", "--password-file", "-", typed=PASSWORD + "\n")
    assert comes_in(database, "bob", PASSWORD, "second")

    listed = value_of(tieout("list", "--json"))
    assert [(row["login"], row["name"], row["roles"], row["team"], row["has_password"]) for row in listed] == [
        ("ada", "Ada L.", ["analyst", "approver"], "disputes", True), ("bob", "bob", ["viewer"], None, True),
    ]  # fmt: skip
    assert "analyst, approver" in tieout("list").output
    assert (
        tieout("change", "ada", "--role", "controller", "--team", "").output == "ada is Ada L., controller.\n"
    )
    assert value_of(tieout("change", "bob", "--same-as", "ada", "--json"))["same_as"] == "ada"

    assert [row["login"] for row in value_of(tieout("sessions", "--json"))] == ["ada", "bob"]
    assert tieout("sessions", "ada", "--end").output == "1 session ended.\n"
    assert (is_in(database, "first"), is_in(database, "second")) == (False, True)
    assert tieout("disable", "bob").output == "bob is disabled; 1 session ended.\n"
    assert not is_in(database, "second")
    assert not comes_in(database, "bob", PASSWORD, "third")
    assert tieout("enable", "bob").output == "bob may come in as viewer.\n"
    assert comes_in(database, "bob", PASSWORD, "fourth")
    changed = value_of(tieout("password", "bob", "--json"))
    assert not is_in(database, "fourth")
    assert comes_in(database, "bob", changed["password"], "fifth")
    assert "Nobody is in." not in tieout("sessions").output

    told = value_of(tieout("history", "bob", "--json"))
    assert [row["event"] for row in told] == [
        "enrolled",
        "password",
        "changed",
        "changed",
        "changed",
        "password",
    ]
    assert {row["actor"] for row in told} == {system_user()}
    said = tieout("history").output
    assert "team disputes -> -" in said
    assert "roles analyst+approver -> controller" in said
    for secret in (made_up, PASSWORD, changed["password"], "scrypt"):
        assert secret not in said + tieout("list", "--json").output + tieout("sessions", "--json").output


def test_what_cannot_be_is_a_sentence_and_changes_nothing(
    project: Project, tieout: Tieout, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("hunter2\n")
    refusals = {
        ("add", "ada"): (2, "expected --role at least once"),
        ("add", "ada", "--role", "king"): (2, "king"),
        ("add", "Ada", "--role", "viewer"): (1, "login 'Ada': expected 1 to 64"),
        ("add", "ada", "--role", "viewer", "--same-as", "bob"): (1, "bob: expected the login of a person"),
        ("add", "ada", "--role", "viewer", "--password-file", str(secret)): (
            1,
            "expected 12 to 1024 characters",
        ),
        ("add", "ada", "--role", "viewer", "--password-file", str(tmp_path)): (2, "directory"),
        ("add", "ada", "--role", "viewer", "--password-file", "-"): (1, "password of standard input"),
        ("change", "ada"): (2, "expected something to change"),
        ("change", "ada", "--role", "viewer"): (1, "see `tieout users list`"),
        ("disable", "ada"): (1, "see `tieout users list`"),
        ("enable", "a b"): (1, "see `tieout users list`"),
        ("password", "ada"): (1, "see `tieout users list`"),
    }
    for words, (code, sentence) in refusals.items():
        said = tieout(*words, expect=code).output
        assert sentence in said, said
        assert "hunter2" not in said
    assert value_of(tieout("list", "--json")) == []
    tieout("add", "ada", "--role", "viewer")
    assert "expected a new login" in tieout("add", "ada", "--role", "admin", expect=1).output
    assert value_of(tieout("list", "--json"))[0]["roles"] == ["viewer"]
    secret.write_bytes(b"\xff\xfe" * 20)
    assert "readable text" in tieout("password", "ada", "--password-file", str(secret), expect=2).output


def test_a_database_of_an_older_version_is_named_with_what_to_do(
    tieout: Tieout, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIEOUT_DATABASE_URL", empty_database_url)
    for words in (("list",), ("add", "ada", "--role", "viewer")):
        assert "run `tieout init`" in tieout(*words, expect=2).output


def test_where_a_proxy_says_who_somebody_is_nobody_gets_a_password_unasked(
    tieout: Tieout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIEOUT_IDENTITY", "proxy")
    added = value_of(tieout("add", "ada", "--role", "viewer", "--json"))
    assert "password" not in added
    assert value_of(tieout("list", "--json"))[0]["has_password"] is False


def test_the_people_of_the_demo_are_made_once_and_their_passwords_are_the_owners_alone(
    project: Project, tieout: Tieout
) -> None:
    path = introduce_people(project)
    assert path == project.settings.state / "demo_people.txt"
    assert path.stat().st_mode & 0o777 == 0o600
    kept = path.read_text()
    known = [line.split() for line in kept.splitlines()]
    assert [(login, role) for login, role, _ in known] == [(login, role) for login, _, role in PEOPLE]
    assert comes_in(project.database, *known[0][::2], "ada is in")
    assert not comes_in(project.database, known[0][0], known[1][2], "ada is not")
    assert introduce_people(project) == path
    assert path.read_text() == kept
    assert is_in(project.database, "ada is in")
    assert {row["known_by"] for row in value_of(tieout("list", "--json"))} == {"demo"}
    with project.database.session("tieout_doorkeeper") as connection:
        assert not is_strict(connection)
    path.unlink()
    introduce_people(project)
    again = [line.split() for line in path.read_text().splitlines()]
    assert [line[:2] for line in again] == [line[:2] for line in known]
    assert comes_in(project.database, *again[0][::2], "ada again")
