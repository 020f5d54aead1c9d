"""What the doors of people and sessions refuse, as errors with their sentences.

Law: conditions raised by our own SQL keep their words; all others are told without a value of the row.
"""

from contextlib import AbstractContextManager
from typing import Final

from ledger_core.sql import translated_errors
from reconciliation.errors import NoSession, NotAllowed, ReconciliationError, UnknownItem


class RefusedPerson(ReconciliationError):
    """What somebody wants to write about a person cannot be; nothing was written."""


class RefusedLogin(ReconciliationError):
    """Somebody may not come in; the sentence tells whoever stands at the door no more than they know."""


BY_SQLSTATE: Final[dict[str, type[Exception]]] = {
    "TR004": UnknownItem,
    "TR009": NoSession,
    "TR010": NotAllowed,
    "23503": RefusedPerson,
    "23505": RefusedPerson,
    "23514": RefusedPerson,
}


def refusals() -> AbstractContextManager[None]:
    """Turn what the database refuses into the errors above."""
    return translated_errors(BY_SQLSTATE)
