"""The way in: by password, or by the word of a proxy or an identity provider.

Laws: a wrong password, an unknown name and a disabled person get the same answer after the same work; every try is
written down; after five wrong ones in a row each further one has to wait, longer each time, up to a quarter of an hour.
What was typed where the name belongs is kept only when it is a name: it may have been a password, so of all else a
digest is kept, by which it is known again.
A refusal is an answer and no error: the caller's transaction keeps the note of it.

Example:
    outcome = log_in(connection, "ada", typed, token=token, salt=salt)  # as the doorkeeper
    outcome.session_id  # None: outcome.said goes to who stands at the door
"""

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import psycopg

from ledger_core.sql import lock
from reconciliation.people.passwords import hash_password, is_outdated, password_fits, wasted_check
from reconciliation.people.registry import (
    LOGIN,
    Person,
    change_person,
    enrol,
    find_person,
    note_attempt,
    password_hash,
    refused_lately,
    set_password_text,
)
from reconciliation.people.sessions import ABSOLUTE_MINUTES, IDLE_MINUTES, open_session

FREE_TRIES: Final = 5
REMEMBERED_MINUTES: Final = 60
LONGEST_WAIT_SECONDS: Final = 900
WRONG: Final = "Name and password do not go together."
NOT_LET_IN: Final = (
    "You are known to your organisation, but nobody has let you in here; ask an administrator."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginOutcome:
    """A session, or the reason why there is none; ``wait_seconds`` when it is too early to try again."""

    session_id: int | None = None
    said: str = ""
    wait_seconds: int = 0


def log_in(
    connection: psycopg.Connection[Any],
    login: str,
    password: str,
    *,
    token: str,
    salt: bytes,
    channel: str = "browser",
    idle_minutes: int = IDLE_MINUTES,
    absolute_minutes: int = ABSOLUTE_MINUTES,
) -> LoginOutcome:
    """Open a session for who knows the password, as the doorkeeper.

    ``token`` is new and random; so is ``salt``, which is used where the hash on record is weaker than those made now.
    """
    login = login.strip().lower()
    if not LOGIN.fullmatch(login):
        wasted_check(password)
        return LoginOutcome(said=WRONG)
    lock(connection, f"login {login}", wait=True)  # of many tries at once, each is counted before the next
    person = find_person(connection, login)
    noted = login if person is not None else f"unknown:{hashlib.sha256(login.encode()).hexdigest()[:12]}"
    tries, seconds = refused_lately(connection, noted, minutes=REMEMBERED_MINUTES)
    wait_seconds = waiting_seconds(tries) - seconds
    if wait_seconds > 0:
        return LoginOutcome(
            said=f"Too many wrong tries; try again in {wait_seconds} s.", wait_seconds=wait_seconds
        )
    if not _is_theirs(connection, person, password, salt):
        note_attempt(connection, noted, "refused", channel=channel)
        return LoginOutcome(said=WRONG)
    session_id = open_session(
        connection,
        login,
        token=token,
        channel=channel,
        idle_minutes=idle_minutes,
        absolute_minutes=absolute_minutes,
    )
    note_attempt(connection, login, "opened", channel=channel)
    return LoginOutcome(session_id=session_id)


def log_in_vouched(
    connection: psycopg.Connection[Any],
    login: str,
    *,
    name: str,
    roles: tuple[str, ...] | None,
    newcomer_roles: tuple[str, ...] = (),
    channel: str,
    token: str,
    idle_minutes: int = IDLE_MINUTES,
    absolute_minutes: int = ABSOLUTE_MINUTES,
) -> LoginOutcome:
    """Open a session for whom ``channel`` (``proxy``, ``oidc``) vouches, as the doorkeeper.

    ``roles`` is what the provider says they are now, and holds from this login on; None where it says nothing: then who
    is known keeps theirs, and newcomers get ``newcomer_roles`` or are not let in.
    """
    login = login.strip().lower()
    if not LOGIN.fullmatch(login):
        return LoginOutcome(said=NOT_LET_IN)
    lock(connection, f"login {login}", wait=True)
    person = find_person(connection, login)
    first_roles = newcomer_roles if roles is None else roles
    if roles == () or (not first_roles if person is None else person.state != "active"):
        note_attempt(connection, login, "refused", channel=channel)
        return LoginOutcome(said=NOT_LET_IN)
    if person is None:
        enrol(connection, login, name=name, roles=first_roles, known_by=channel, by_whom=channel)
    elif roles is not None and set(roles) != set(person.roles):
        change_person(connection, login, roles=roles, by_whom=channel)
    session_id = open_session(
        connection,
        login,
        token=token,
        channel=channel,
        idle_minutes=idle_minutes,
        absolute_minutes=absolute_minutes,
    )
    note_attempt(connection, login, "opened", channel=channel)
    return LoginOutcome(session_id=session_id)


def waiting_seconds(tries: int) -> int:
    """How long after the last of so many wrong tries the next may come: 0 up to five, then 2, 4, 8 … 900."""
    over = tries - FREE_TRIES + 1
    return min(2**over, LONGEST_WAIT_SECONDS) if 0 < over < 10 else LONGEST_WAIT_SECONDS if over > 0 else 0


def _is_theirs(
    connection: psycopg.Connection[Any], person: Person | None, password: str, salt: bytes
) -> bool:
    """Whether an active person has this password; the same work whichever way it ends."""
    stored = None if person is None else password_hash(connection, person.login)
    if person is None or stored is None:
        wasted_check(password)
        return False
    if not password_fits(password, stored) or person.state != "active":
        return False
    if is_outdated(stored):
        text = hash_password(password, salt=salt)
        set_password_text(connection, person.login, text, by_whom=person.login)
    return True
