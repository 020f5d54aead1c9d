"""A front door on a database of its own: people are made there, come in, and are sent away."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from dagster_project.database import Database
from reconciliation.people.registry import Person, change_person, enrol, set_password
from reconciliation.people.sessions import Visitor, enter, open_session

PASSWORD = "correct horse battery"
SALT = bytes(range(16))


@dataclass(frozen=True, slots=True)
class Door:
    """What a test does there, each in a transaction of its own."""

    url: str

    def session(self, role: str | None) -> AbstractContextManager[psycopg.Connection[Any]]:
        return Database(url=self.url, dagster_libpq_url=self.url).session(role)

    def make(self, login: str, *roles: str, password: str | None = None, **more: Any) -> Person:
        with self.session("tieout_doorkeeper") as connection:
            made = enrol(
                connection, login, name=login.title(), roles=roles or ("analyst",), by_whom="root",
                **{"known_by": "users"} | more,
            )  # fmt: skip
            if password is not None:
                set_password(connection, login, password, salt=SALT, by_whom="root")
            return made

    def change(self, login: str, **change: Any) -> Person:
        with self.session("tieout_doorkeeper") as connection:
            return change_person(connection, login, by_whom="root", **change)

    def open(self, login: str, token: str, **more: Any) -> int:
        with self.session("tieout_doorkeeper") as connection:
            return open_session(connection, login, token=token, channel="browser", **more)

    def who(self, token: str, role: str = "tieout_analyst") -> Visitor | None:
        with self.session(role) as connection:
            return enter(connection, token)

    def acts(self, token: str) -> bool:
        """Whether a deed is done under a token, by plain SQL as the app's own role."""
        try:
            with self.session("tieout_analyst") as connection:
                connection.execute("SELECT set_config('tieout.session', %s, true)", (token,))
                connection.execute("SELECT recon.save_filter('mine', '?status=open', NULL)")
        except psycopg.Error as refused:
            if refused.sqlstate not in ("TR009", "TR010"):
                raise
            return False
        return True

    def let_pass(self, session_id: int, minutes: int) -> None:
        """As if a session had been opened and last seen so long ago."""
        with self.session("tieout_owner") as connection:
            connection.execute(
                """
                UPDATE recon.session SET opened_at = opened_at - %(past)s::interval,
                    seen_at = seen_at - %(past)s::interval, idle_until = idle_until - %(past)s::interval,
                    expires_at = expires_at - %(past)s::interval
                WHERE session_id = %(id)s
                """,
                {"id": session_id, "past": f"{minutes} minutes"},
            )

    def refused(self, role: str | None, statement: str, *values: object) -> str:
        """The sentence by which the database refuses a statement."""
        with pytest.raises(psycopg.Error) as refused, self.session(role) as connection:
            connection.execute(statement, values or None)
        return str(refused.value)


@pytest.fixture
def door(database_url: str) -> Door:
    return Door(database_url)
