"""What the doors of the schema refuse, as errors of this package: whoever acts gets a sentence and nothing is written.

Every door of people acts as the live session that the transaction entered; none of them takes a name.
"""

from contextlib import AbstractContextManager
from typing import Final

from ledger_core.sql import translated_errors
from reconciliation.errors import (
    NoSession,
    NotAllowed,
    NotTheirs,
    RefusedProposal,
    RefusedSignOff,
    StaleView,
    UnknownItem,
)

REFUSALS: Final = {
    "TR004": UnknownItem,
    "TR007": NotTheirs,
    "TR008": RefusedProposal,
    "TR009": NoSession,
    "TR010": NotAllowed,
    "TR011": StaleView,
    "TR012": RefusedSignOff,
    "23514": RefusedProposal,
}


def refusals() -> AbstractContextManager[None]:
    """Turns what the database refused into the error that says so."""
    return translated_errors(REFUSALS)
