"""The people of the demo: one for each role, with passwords made once and kept in a file for the project's owner alone.

Law: a second demo changes neither people nor passwords; where somebody made people of their own by `tieout users`, a
login that is taken stays theirs.
"""

import os
import secrets
from pathlib import Path
from typing import Final

from dagster_project.acting import doorkeeping, system_user
from dagster_project.errors import SettingsError
from dagster_project.project import Project
from reconciliation.people.passwords import SALT_BYTES
from reconciliation.people.registry import enrol, find_person, set_password

PEOPLE: Final = (
    ("ada", "Ada Lovelace", "analyst"),
    ("bob", "Bob Bemer", "approver"),
    ("carol", "Carol Shaw", "controller"),
    ("dora", "Dora Marsden", "auditor"),
    ("vera", "Vera Molnar", "viewer"),
    ("olga", "Olga Ladyzhenskaya", "admin"),
)


def introduce_people(project: Project) -> Path:
    """Everybody of the demo is known; the file that holds their passwords.

    A file that was lost is made anew, with new passwords.
    """
    path = project.settings.state / "demo_people.txt"
    has_passwords = path.exists()
    made: list[tuple[str, str, str]] = []
    with doorkeeping(project.database) as connection:
        for login, name, role in PEOPLE:
            known = find_person(connection, login)
            if known is None:
                enrol(connection, login, name=name, roles=(role,), known_by="demo", by_whom=system_user())
            elif known.known_by != "demo" or has_passwords:
                continue
            password = secrets.token_urlsafe(12)
            set_password(
                connection, login, password, salt=secrets.token_bytes(SALT_BYTES), by_whom=system_user()
            )
            made.append((login, role, password))
        if made:  # before the passwords count: a file that cannot be written keeps them from being set
            _write(path, made)
    return path


def _write(path: Path, made: list[tuple[str, str, str]]) -> None:
    """Add them to the file, which only its owner may read."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o600)
            file.writelines(f"{login:<8}{role:<12}{password}\n" for login, role, password in made)
    except OSError as error:
        raise SettingsError(
            f"{path}: expected to keep the passwords of the demo there, found {error.strerror}"
        ) from error
