"""What the doors of the schema refuse, as errors of this package: whoever acts gets a sentence and nothing is written.

Every door of people acts as the live session that the transaction entered; none of them takes a name.
"""

from contextlib import AbstractContextManager

from ledger_core.sql import translated_errors
from reconciliation.errors import REFUSALS_OF_PEOPLE


def refusals() -> AbstractContextManager[None]:
    """Turns what the database refused into the error that says so."""
    return translated_errors(REFUSALS_OF_PEOPLE)
