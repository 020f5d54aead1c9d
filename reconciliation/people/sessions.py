"""Who is at work: sessions, and the way in by another party's word (OpenID Connect).

Laws: whoever acts holds the token of a live session; the database keeps its SHA-256 alone, and finds the person by it
in the same transaction in which the deed is done. Opening and ending others' sessions takes the doorkeeper's role.

Example:
    with database.session("tieout_analyst") as connection:
        visitor = enter(connection, token)  # None: nobody's token, or its session is over
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol

import psycopg
from psycopg.rows import class_row, dict_row

from ledger_core.sql import queries
from reconciliation.people.refusals import refusals

SQL: Final = queries(Path(__file__).with_suffix(".sql"))
IDLE_MINUTES: Final = 30
ABSOLUTE_MINUTES: Final = 720
RETURN_PATH: Final = "/login/back"  # where an identity provider sends people back to, below the app's address


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """The person of a live session, as they are in this very transaction."""

    login: str
    name: str
    roles: tuple[str, ...]
    team: str | None
    session_id: int
    channel: str  # browser, command line, proxy, oidc
    opened_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSession:
    """A session that can act, for lists of them."""

    session_id: int
    login: str
    channel: str
    opened_at: datetime
    seen_at: datetime
    idle_until: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcIdentity:
    """Whom an identity provider vouches for. ``roles`` is None where it was not asked about them."""

    login: str
    name: str
    roles: tuple[str, ...] | None = None


class OidcClient(Protocol):
    """The way in by OpenID Connect, as the shell builds it. Both steps raise `RefusedLogin` with a sentence.

    ``begin`` is asked by the login page, ``finish`` at ``RETURN_PATH``.
    """

    def begin(self, next_path: str) -> tuple[str, str]:
        """URL of the provider to redirect to, and the value of a cookie (HttpOnly, SameSite=Lax, ten minutes)."""
        ...

    def finish(self, query: Mapping[str, str], cookie_value: str) -> OidcIdentity:
        """Who it is, from the query of the way back and the cookie; once for each beginning."""
        ...

    def next_path(self, cookie_value: str) -> str:
        """The page that was wanted at the beginning; '/' for a cookie that is none of ours."""
        ...


def token_sha256(token: str) -> bytes:
    """What the database keeps of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def enter(connection: psycopg.Connection[Any], token: str) -> Visitor | None:
    """Act under a token until the transaction ends; who that is, or None when nobody may act by it."""
    if "\0" in token or not token.isprintable():
        return None
    with refusals():
        connection.execute(SQL["enter"], {"token": token})
        return visitor(connection)


def visitor(connection: psycopg.Connection[Any]) -> Visitor | None:
    """Who acts in this transaction, if anybody does."""
    found = connection.cursor(row_factory=dict_row).execute(SQL["visitor"]).fetchone()
    return None if found is None else Visitor(**found | {"roles": tuple(found["roles"])})


def touch(connection: psycopg.Connection[Any]) -> None:
    """The session of this transaction is in use; moves its idle limit, at most once a minute."""
    with refusals():
        connection.execute(SQL["touch"])


def leave(connection: psycopg.Connection[Any]) -> None:
    """End the session of this transaction."""
    with refusals():
        connection.execute(SQL["leave"])


def open_session(
    connection: psycopg.Connection[Any],
    login: str,
    *,
    token: str,
    channel: str,
    idle_minutes: int = IDLE_MINUTES,
    absolute_minutes: int = ABSOLUTE_MINUTES,
) -> int:
    """A new session of a person, as the doorkeeper; gives its number.

    Raises:
        NoSession: nobody active has that login.
    """
    wanted = {
        "login": login,
        "token_sha256": token_sha256(token),
        "channel": channel,
        "idle_minutes": idle_minutes,
        "absolute_minutes": absolute_minutes,
    }
    with refusals():
        row = connection.execute(SQL["open"], wanted).fetchone()
    assert row is not None  # noqa: S101 - a function always gives one row
    return int(row[0])


def end_session(connection: psycopg.Connection[Any], session_id: int, *, by_whom: str) -> None:
    """End somebody's session, as the doorkeeper."""
    with refusals():
        connection.execute(SQL["end"], {"session_id": session_id, "by_whom": by_whom})


def end_sessions_of(connection: psycopg.Connection[Any], login: str, *, by_whom: str) -> int:
    """End all sessions of a person, as the doorkeeper; how many were live."""
    with refusals():
        row = connection.execute(SQL["end_all_of"], {"login": login, "by_whom": by_whom}).fetchone()
    assert row is not None  # noqa: S101 - a function always gives one row
    return int(row[0])


def live_sessions(connection: psycopg.Connection[Any], login: str | None = None) -> list[LiveSession]:
    """Sessions that can act now, of one person or of all, as the doorkeeper."""
    return (
        connection.cursor(row_factory=class_row(LiveSession))
        .execute(SQL["live"], {"login": login})
        .fetchall()
    )
