"""People as the database knows them: who there is, making and changing them, their passwords, tries to come in.

Laws: a login is lower-case text that is never given again; what changes is written into history by the database in the
same transaction. Reading people takes any role of ours; everything else takes the doorkeeper's. Decides no permission.

Example:
    with database.session("tieout_doorkeeper") as connection:
        enrol(connection, "ada", name="Ada L.", roles=("analyst",), known_by="users", by_whom="root")
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg.rows import dict_row

from ledger_core.sql import lock, queries
from reconciliation.errors import UnknownItem
from reconciliation.people.passwords import hash_password, refuse_weak
from reconciliation.people.permissions import ROLES
from reconciliation.people.refusals import RefusedPerson, refusals

SQL: Final = queries(Path(__file__).with_suffix(".sql"))
LOGIN: Final = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,63}")
NAME_CHARACTERS_MAX: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A login and who is behind it. ``same_as`` names the first login of the same human, if this is a second one."""

    login: str
    name: str
    roles: tuple[str, ...]
    team: str | None
    state: str  # active, disabled
    known_by: str  # users, demo, command line, proxy, oidc
    same_as: str | None
    made_at: datetime


def find_person(connection: psycopg.Connection[Any], login: str) -> Person | None:
    """The person of a login, if there is one."""
    if not LOGIN.fullmatch(login):
        return None
    found = connection.cursor(row_factory=dict_row).execute(SQL["person"], {"login": login}).fetchone()
    return None if found is None else _person(found)


def list_people(connection: psycopg.Connection[Any]) -> list[Person]:
    """All people, by login."""
    return [_person(row) for row in connection.cursor(row_factory=dict_row).execute(SQL["people"])]


def is_strict(connection: psycopg.Connection[Any]) -> bool:
    """Whether somebody was made by `tieout users`: from then on nobody is taken at their word."""
    row = connection.execute(SQL["anybody_by_users"]).fetchone()
    return bool(row and row[0])


def enrol(
    connection: psycopg.Connection[Any],
    login: str,
    *,
    name: str,
    roles: Sequence[str],
    known_by: str,
    by_whom: str,
    team: str | None = None,
    same_as: str | None = None,
) -> Person:
    """Make a person, as the doorkeeper.

    Raises:
        RefusedPerson: the login is no login, a role is unknown, or the name is empty.
        UnknownItem: the login is somebody's already, or nobody has the login of ``same_as``.
    """
    _refuse_unfit(login, name=name, roles=roles)
    wanted = {
        "login": login,
        "name": name.strip(),
        "roles": _in_order(roles),
        "known_by": known_by,
        "team": team,
        "same_as": None if same_as is None else _human(connection, login, same_as),
        "by_whom": by_whom,
    }
    with refusals():
        connection.execute(SQL["enrol"], wanted)
    return _found(connection, login)


def change_person(
    connection: psycopg.Connection[Any],
    login: str,
    *,
    by_whom: str,
    name: str | None = None,
    roles: Sequence[str] | None = None,
    team: str | None = None,
    same_as: str | None = None,
    state: str | None = None,
) -> Person:
    """Change a person, as the doorkeeper; what is None stays, an empty team or ``same_as`` ends what was.

    Disabling ends their sessions.

    Raises:
        UnknownItem: nobody has that login.
        RefusedPerson: what is wanted cannot be.
    """
    _found(connection, login)
    _refuse_unfit(login, name="kept" if name is None else name, roles=ROLES[:1] if roles is None else roles)
    wanted = {
        "login": login,
        "name": None if name is None else name.strip(),
        "roles": None if roles is None else _in_order(roles),
        "team": team,
        "same_as": _human(connection, login, same_as) if same_as else same_as,
        "state": state,
        "by_whom": by_whom,
    }
    with refusals():
        connection.execute(SQL["change"], wanted)
    return _found(connection, login)


def set_password(
    connection: psycopg.Connection[Any], login: str, password: str, *, salt: bytes, by_whom: str
) -> None:
    """Give a person a new password, as the doorkeeper.

    Raises:
        UnknownItem: nobody has that login.
        WeakPassword: it is too short, too long, or the login itself.
    """
    _found(connection, login)
    refuse_weak(password, login=login)
    set_password_text(connection, login, hash_password(password, salt=salt), by_whom=by_whom)


def set_password_text(connection: psycopg.Connection[Any], login: str, text: str, *, by_whom: str) -> None:
    """Keep the text of a hash for a person, as the doorkeeper."""
    with refusals():
        connection.execute(
            SQL["set_password_hash"], {"login": login, "password_hash": text, "by_whom": by_whom}
        )


def password_hash(connection: psycopg.Connection[Any], login: str) -> str | None:
    """What is kept of a person's password, as the doorkeeper; None for who has none."""
    row = connection.execute(SQL["password_hash"], {"login": login}).fetchone()
    return None if row is None else str(row[0])


def note_attempt(connection: psycopg.Connection[Any], login: str, outcome: str, *, channel: str) -> None:
    """Write down that somebody tried to come in, as the doorkeeper; ``outcome`` is ``opened`` or ``refused``."""
    with refusals():
        connection.execute(SQL["note_attempt"], {"login": login, "outcome": outcome, "channel": channel})


def refused_lately(connection: psycopg.Connection[Any], login: str, *, minutes: int) -> tuple[int, int]:
    """How often a login was refused in the last minutes since it last came in, and the seconds since the last time."""
    row = connection.execute(SQL["refused_lately"], {"login": login, "minutes": minutes}).fetchone()
    assert row is not None  # noqa: S101 - an aggregate always gives one row
    return int(row[0]), int(row[1])


def history(connection: psycopg.Connection[Any], login: str | None = None) -> list[dict[str, Any]]:
    """What happened to a person, or to all, the oldest first."""
    return connection.cursor(row_factory=dict_row).execute(SQL["history"], {"login": login}).fetchall()


def _human(connection: psycopg.Connection[Any], login: str, same_as: str) -> str:
    """The first account of the human whom ``login`` is to be an account of: links never make a chain or a ring."""
    lock(connection, "accounts of people", wait=True)  # two links at once could lead to each other
    first = _found(connection, same_as)
    human = first.same_as or first.login
    others = [row[0] for row in connection.execute(SQL["accounts_of"], {"login": login})]
    if human == login or others:
        raise RefusedPerson(
            f"{login}: expected an account that no other leads to, found {', '.join(others) or same_as} leading to it; "
            f"say it the other way round: tieout users change {(others or [same_as])[0]} --same-as LOGIN"
        )
    return human


def _found(connection: psycopg.Connection[Any], login: str) -> Person:
    person = find_person(connection, login)
    if person is None:
        raise UnknownItem(f"{login}: expected the login of a person, found none; see `tieout users list`")
    return person


def _person(row: dict[str, Any]) -> Person:
    return Person(**row | {"roles": tuple(row["roles"])})


def _in_order(roles: Sequence[str]) -> list[str]:
    return [role for role in ROLES if role in roles]


def _refuse_unfit(login: str, *, name: str, roles: Sequence[str]) -> None:
    if not LOGIN.fullmatch(login):
        raise RefusedPerson(
            f"login {login!r}: expected 1 to 64 of a-z 0-9 . _ @ + - beginning with a letter or digit; choose another"
        )
    if not 1 <= len(name.strip()) <= NAME_CHARACTERS_MAX or not name.isprintable():
        raise RefusedPerson(
            f"name of {login}: expected 1 to {NAME_CHARACTERS_MAX} characters in one line, found other text"
        )
    unknown = [role for role in roles if role not in ROLES]
    if unknown or not roles:
        raise RefusedPerson(
            f"roles of {login}: expected some of {', '.join(ROLES)}, found {', '.join(unknown) or 'none'}"
        )
