"""Who may come in and what they may do, for those who audit it: people, second logins, sessions, what was changed.

Law: this page shows and changes nothing; people are changed by `tieout users` alone. No hash and no token is read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from psycopg.rows import dict_row
from starlette.responses import Response

from ledger_core.sql import queries
from reconciliation.people.permissions import DEEDS, MAY, ROLES
from reconciliation.people.registry import Person, list_people
from reconciliation.review.web import Page, Visit

SQL: Final = queries(Path(__file__).with_suffix(".sql"))
ATTEMPT_DAYS: Final = 30
CHANGES_SHOWN: Final = 50
_KNOWN_BY: Final = {
    "users": "tieout users",
    "demo": "the demo",
    "command line": "a name given on the command line",
    "proxy": "the trusted proxy",
    "oidc": "the identity provider",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonRow:
    """A person with their last session; None where they never came in."""

    person: Person
    known_by: str
    last_opened_at: datetime | None
    last_seen_at: datetime | None
    last_channel: str | None


def people(visit: Visit) -> Response:
    """Everybody, what each role may, and the latest changes."""
    wanted = {"now": visit.now, "days": ATTEMPT_DAYS, "limit": CHANGES_SHOWN}
    cursor = visit.connection.cursor(row_factory=dict_row)
    sessions = {row["login"]: row for row in cursor.execute(SQL["last_sessions"], wanted)}
    rows = [_row(person, sessions.get(person.login, {})) for person in list_people(visit.connection)]
    return visit.page(
        "people.html",
        rows=rows,
        active_count=sum(row.person.state == "active" for row in rows),
        permissions=[(deed, [role in MAY[deed] for role in ROLES]) for deed in DEEDS],
        roles=ROLES,
        attempts=cursor.execute(SQL["refused_attempts"], wanted).fetchall(),
        attempt_days=ATTEMPT_DAYS,
        changes=[
            row | {"said": _change(row["before"], row["after"])}
            for row in cursor.execute(SQL["changes"], wanted).fetchall()
        ],
        changes_shown=CHANGES_SHOWN,
    )


def _row(person: Person, session: Mapping[str, Any]) -> PersonRow:
    return PersonRow(
        person=person,
        known_by=_KNOWN_BY.get(person.known_by, person.known_by),
        last_opened_at=session.get("last_opened_at"),
        last_seen_at=session.get("last_seen_at"),
        last_channel=session.get("last_channel"),
    )


def _change(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> list[tuple[str, str, str]]:
    """What differs, as name, before and after."""
    old, new = before or {}, after or {}
    return [
        (name, _told(old.get(name)), _told(new.get(name)))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name) and name not in {"login", "made_at"}
    ]


def _told(value: Any) -> str:
    if value is None or value == []:
        return "–"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


PAGES: Final = (Page(path="/people", handler=people, deed="audit"),)
