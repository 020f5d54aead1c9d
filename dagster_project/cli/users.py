"""`tieout users`: who may come in, what their roles let them do, their passwords and sessions.

Laws: everything runs under the doorkeeper's role, which can do nothing else, and names the system's user as the one who
did it; no password is ever an argument, and a generated one is printed once and kept as a hash. Nobody is removed: a
person who leaves is disabled, and what they did keeps their name.
"""

import secrets
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from dagster_project.acting import doorkeeping, system_user
from dagster_project.cli.output import Context, json_option, pass_context, say, say_rows
from reconciliation.people.passwords import SALT_BYTES, refuse_weak
from reconciliation.people.permissions import ROLES
from reconciliation.people.registry import (
    Person,
    change_person,
    enrol,
    history,
    list_people,
    password_hash,
    set_password,
)
from reconciliation.people.sessions import end_sessions_of, live_sessions

COLUMNS = ("login", "name", "roles", "team", "state", "known_by", "same_as", "password")
SESSION_COLUMNS = ("session_id", "login", "channel", "opened_at", "seen_at", "idle_until", "expires_at")

role_option = click.option(
    "--role",
    "roles",
    multiple=True,
    type=click.Choice(ROLES),
    help="What they are; give it more than once for more.",
)
team_option = click.option("--team", help="The team whose exceptions come to them.")
same_as_option = click.option("--same-as", metavar="LOGIN", help="The first login of the same human.")
password_option = click.option(
    "--password-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True),
    help="A file whose first line is the password, - for the standard input; one is made up without it.",
)


@click.group()
def users() -> None:
    """People: who may come in, what they may do, their passwords and sessions."""


@users.command("add")
@click.argument("login")
@click.option("--name", help="The person's name; the login if left out.")
@role_option
@team_option
@same_as_option
@password_option
@json_option
@pass_context
def add_user(
    context: Context,
    login: str,
    name: str | None,
    roles: tuple[str, ...],
    team: str | None,
    same_as: str | None,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """Make a person. Without --password-file a password is made up and printed once; where people come in by a proxy or
    an identity provider, none.

    From the first person on, no command takes an unknown name at its word.

    Example: tieout users add ada --name "Ada L." --role analyst --role approver
    """
    if not roles:
        raise click.UsageError(f"expected --role at least once, one of {', '.join(ROLES)}")
    password, made_up = _password(password_file, wanted=context.settings.identity == "password")
    with doorkeeping(context.project.database) as connection:
        person = enrol(
            connection, login, name=name or login, roles=roles, known_by="users", team=team, same_as=same_as,
            by_whom=system_user(),
        )  # fmt: skip
        if password is not None:
            set_password(
                connection, login, password, salt=secrets.token_bytes(SALT_BYTES), by_whom=system_user()
            )
    shown = {"password": password} if made_up else {}
    said = f"{login} is known as {', '.join(person.roles)}."
    say(_row(person) | shown, f"{said}{_told(password, made_up)}", as_json=as_json)


@users.command("list")
@json_option
@pass_context
def list_users(context: Context, as_json: bool) -> None:
    """All people with their roles, by login.

    Example: tieout users list --json
    """
    with doorkeeping(context.project.database) as connection:
        rows = [
            _row(person) | {"has_password": password_hash(connection, person.login) is not None}
            for person in list_people(connection)
        ]
    shown = rows if as_json else [_for_people(row) for row in rows]
    say_rows(shown, COLUMNS, as_json=as_json, empty="Nobody is known yet; tieout users add LOGIN --role ROLE")


@users.command("change")
@click.argument("login")
@click.option("--name", help="Another name of the same person.")
@role_option
@team_option
@same_as_option
@json_option
@pass_context
def change_user(
    context: Context,
    login: str,
    name: str | None,
    roles: tuple[str, ...],
    team: str | None,
    same_as: str | None,
    as_json: bool,
) -> None:
    """Change a person; the roles given take the place of those they had. An empty --team or --same-as ends what was.

    Example: tieout users change ada --role approver --team disputes
    """
    if not roles and (name, team, same_as) == (None, None, None):
        raise click.UsageError("expected something to change: --name, --role, --team or --same-as")
    with doorkeeping(context.project.database) as connection:
        person = change_person(
            connection, login, name=name, roles=roles or None, team=team, same_as=same_as, by_whom=system_user()
        )  # fmt: skip
    say(_row(person), f"{login} is {person.name}, {', '.join(person.roles)}.", as_json=as_json)


@users.command("disable")
@click.argument("login")
@json_option
@pass_context
def disable_user(context: Context, login: str, as_json: bool) -> None:
    """Let a person in no more; their sessions end at once, and what they did stays theirs.

    Example: tieout users disable ada
    """
    with doorkeeping(context.project.database) as connection:
        live = len(live_sessions(connection, login))
        person = change_person(connection, login, state="disabled", by_whom=system_user())
    said = f"{login} is disabled; {_counted(live, 'session')} ended."
    say(_row(person) | {"sessions_ended": live}, said, as_json=as_json)


@users.command("enable")
@click.argument("login")
@json_option
@pass_context
def enable_user(context: Context, login: str, as_json: bool) -> None:
    """Let a disabled person in again, with the roles and the password they had.

    Example: tieout users enable ada
    """
    with doorkeeping(context.project.database) as connection:
        person = change_person(connection, login, state="active", by_whom=system_user())
    say(_row(person), f"{login} may come in as {', '.join(person.roles)}.", as_json=as_json)


@users.command("password")
@click.argument("login")
@password_option
@json_option
@pass_context
def change_password(context: Context, login: str, password_file: Path | None, as_json: bool) -> None:
    """Give a person a new password; their sessions end. Without --password-file one is made up and printed once.

    Example: tieout users password ada --password-file - < secret.txt
    """
    password, made_up = _password(password_file, wanted=True)
    assert password is not None  # noqa: S101 - one is wanted
    with doorkeeping(context.project.database) as connection:
        set_password(connection, login, password, salt=secrets.token_bytes(SALT_BYTES), by_whom=system_user())
    shown = {"login": login} | ({"password": password} if made_up else {})
    say(shown, f"{login} has a new password.{_told(password, made_up)}", as_json=as_json)


@users.command("sessions")
@click.argument("login", required=False)
@click.option("--end", is_flag=True, help="End them: of LOGIN, or of everybody.")
@json_option
@pass_context
def user_sessions(context: Context, login: str | None, end: bool, as_json: bool) -> None:
    """Who is in: live sessions of a person, or of all.

    Example: tieout users sessions ada --end
    """
    with doorkeeping(context.project.database) as connection:
        found = live_sessions(connection, login)
        if end:
            for known in sorted({session.login for session in found}):
                end_sessions_of(connection, known, by_whom=system_user())
    rows = [asdict(session) for session in found]
    if end:
        say({"ended": rows}, f"{_counted(len(rows), 'session')} ended.", as_json=as_json)
    else:
        say_rows(rows, SESSION_COLUMNS, as_json=as_json, empty="Nobody is in.")


@users.command("history")
@click.argument("login", required=False)
@json_option
@pass_context
def user_history(context: Context, login: str | None, as_json: bool) -> None:
    """What was done to people's accounts, by whom and when; nothing in it ever changes.

    Example: tieout users history ada
    """
    with doorkeeping(context.project.database) as connection:
        rows = history(connection, login)
    shown = rows if as_json else [row | {"change": _change(row)} for row in rows]
    say_rows(
        shown, ("at", "login", "event", "actor", "change"), as_json=as_json, empty="Nothing was done yet."
    )


def _password(file: Path | None, *, wanted: bool) -> tuple[str | None, bool]:
    """The password of a file, or one made up where one is wanted; and whether it was made up."""
    if file is None:
        return (secrets.token_urlsafe(18), True) if wanted else (None, False)
    place = "standard input" if str(file) == "-" else str(file)
    if place == "standard input" and sys.stdin.isatty():
        return click.prompt("Password", hide_input=True, confirmation_prompt=True), False
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{place}: expected a password as readable text, found none") from error
    password = text.split("\n", 1)[0].removesuffix("\r")
    refuse_weak(password, login=place)
    return password, False


def _row(person: Person) -> dict[str, Any]:
    return asdict(person) | {"roles": list(person.roles)}


def _for_people(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"roles": ", ".join(row["roles"]), "password": "yes" if row["has_password"] else "no"}


def _change(row: dict[str, Any]) -> str:
    before, after = row["before"] or {}, row["after"] or {}
    return ", ".join(
        f"{key} {_word(before.get(key))} -> {_word(value)}"
        for key, value in sorted(after.items())
        if before.get(key) != value
    )


def _word(value: Any) -> str:
    return "-" if value is None else "+".join(value) if isinstance(value, list) else str(value)


def _told(password: str | None, made_up: bool) -> str:
    return f"\nPassword, shown this once: {password}" if made_up else ""


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
