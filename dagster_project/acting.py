"""How a command acts as a person: a short session of its own, ended as soon as the deed is done.

Law: the database is told who acts by a live session's token and by nothing else, here as in the review app. While
nobody was made by `tieout users`, an unknown name is taken at its word and written down; from then on it is refused.

Example:
    with acting(database, "ada") as connection:
        work(connection, [ItemSeen(exception_id=17, version=None)], "take")
"""

import contextlib
import os
import pwd
import secrets
from collections.abc import Iterator
from typing import Any, Final

import psycopg

from dagster_project.database import Database
from dagster_project.errors import ServerError, ShellError
from ledger_core.errors import LedgerError
from ledger_core.sql import lock
from reconciliation.errors import NoSession, UnknownItem
from reconciliation.people.registry import enrol, find_person, is_strict
from reconciliation.people.sessions import end_session, enter, open_session

ANALYST: Final = "tieout_analyst"
KNOWS_PEOPLE: Final = """
SELECT 1 FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = 'recon' AND p.proname = 'visitor'
"""
MINUTES: Final = 5
WORD_ROLES: Final = ("analyst", "approver", "controller")


@contextlib.contextmanager
def acting(
    database: Database, login: str, *, channel: str = "command line"
) -> Iterator[psycopg.Connection[Any]]:
    """A transaction of the analyst's role in which a person acts: committed at the end, rolled back by any error.

    Raises:
        UnknownItem: nobody has that login, and people are known by `tieout users`.
        RefusedPerson: the name is no login.
        NoSession: the person is disabled.
    """
    token = secrets.token_urlsafe(32)
    name = login.strip().lower()
    session_id = _session_of(database, name, token, channel)
    try:
        with database.session(ANALYST) as connection:
            if enter(connection, token) is None:
                raise NoSession(
                    f"{login}: expected the session that was just opened, found it ended; do it again"
                )
            yield connection
    finally:
        # What was done is done, or not: a session that cannot be ended now ends by itself in minutes.
        with (
            contextlib.suppress(psycopg.Error, LedgerError, ShellError),
            doorkeeping(database) as connection,
        ):
            end_session(connection, session_id, by_whom=name)


@contextlib.contextmanager
def doorkeeping(database: Database) -> Iterator[psycopg.Connection[Any]]:
    """A transaction of the role that keeps people and sessions, and does nothing else.

    Raises:
        ServerError: the database was made by an older version, which knew no people.
    """
    with database.session(None) as connection:
        if connection.execute(KNOWS_PEOPLE).fetchone() is None:
            raise ServerError(
                "database: expected the schema of this version, found an older one or none; run `tieout init`"
            )
        connection.execute("SET LOCAL ROLE tieout_doorkeeper")
        yield connection


def system_user() -> str:
    """Who runs this process, by the system's word and not by the environment's."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"user {os.getuid()}"


def _session_of(database: Database, login: str, token: str, channel: str) -> int:
    with doorkeeping(database) as connection:
        if find_person(connection, login) is None:
            lock(connection, f"login {login}", wait=True)  # of two commands at once, one writes the name down
            if find_person(connection, login) is None:
                _take_at_word(connection, login)
        return open_session(
            connection, login, token=token, channel=channel, idle_minutes=MINUTES, absolute_minutes=MINUTES
        )


def _take_at_word(connection: psycopg.Connection[Any], login: str) -> None:
    if is_strict(connection):
        raise UnknownItem(
            f"{login}: expected the login of a person, found none; `tieout users list` shows them, `tieout users add` "
            "makes one"
        )
    enrol(connection, login, name=login, roles=WORD_ROLES, known_by="command line", by_whom=system_user())
