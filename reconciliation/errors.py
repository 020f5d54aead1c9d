"""The tree of errors of this package.

    ReconciliationError
    ├── RefusedFile            a delivery that cannot be taken in: place, expected, found, what to do
    ├── SourcesError           sources.yaml: every problem with its place
    ├── AlreadyRunning         another process works on the same source
    ├── ChangedFile            a file changed while it was being read
    ├── StoreUnavailable       what was delivered cannot be kept
    ├── UnknownItem            asked for something that is not there
    ├── NoSession              nobody is logged in, or no longer
    ├── NotAllowed             a person may not do this, by role or by limit
    ├── StaleView              somebody changed meanwhile what a person looked at: what, and who
    ├── RefusedSignOff         a day cannot be signed: what stands against it
    └── RefusedProposal        what a person proposes or approves does not hold: what stands against it
        └── NotTheirs          somebody judged a proposal, or signed a day, who may not

Bad data is a value with a place and becomes one of these at the edge; a broken program raises anything else.
"""

from typing import Final


class ReconciliationError(Exception):
    """Something the user can act upon; the message says where, what was expected, what was found, what to do."""


class RefusedFile(ReconciliationError):
    """A delivery that is refused whole. Nothing of it was loaded and what was there before stays.

    ``place`` names record, row, byte or element path; ``code`` is a short stable word such as ``control_total``,
    ``truncated``, ``not_this_format``, ``balance``, ``amount``, ``currency``, ``date``, ``unsafe``, ``test_mode``,
    ``wrong_account``, ``conflict``, ``structure``, ``limit``, ``sensitive_data``. Never holds a full card number.
    """

    def __init__(self, *, code: str, place: str, expected: str, found: str, remedy: str) -> None:
        self.code = code
        self.place = place
        self.expected = expected
        self.found = found
        self.remedy = remedy
        super().__init__(f"{place}: expected {expected}, found {found}. {remedy}")


class SourcesError(ReconciliationError):
    """The sources file has problems; ``problems`` holds each with its place, the message all of them."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class AlreadyRunning(ReconciliationError):
    """Another process is working on this source; nothing was changed. Wait for it, or run again later."""


class StoreUnavailable(ReconciliationError):
    """The place where delivered bytes are kept cannot be written; nothing was taken in."""


class ChangedFile(ReconciliationError):
    """A file changed while it was being read; nothing of it was taken in. Deliver it again once it is written."""


class UnknownItem(ReconciliationError):
    """There is nothing by that name; the message names what was asked for and what would exist."""


class NoSession(ReconciliationError):
    """Nobody is logged in, or the session has ended; nothing was written."""


class NotAllowed(ReconciliationError):
    """A person has no role that may do this, or a limit that is lower; nothing was written."""


class StaleView(ReconciliationError):
    """Somebody else changed what a person looked at before they acted; nothing was written."""


class RefusedSignOff(ReconciliationError):
    """A day cannot be signed as things are now; the message says what stands against it."""


class RefusedProposal(ReconciliationError):
    """What a person proposed, or approved, does not hold as things are now; nothing was written."""


class NotTheirs(RefusedProposal):
    """A proposal was approved by who made it, or a day signed by who prepared it; nothing was written."""


REFUSALS_OF_PEOPLE: Final = {
    "TR004": UnknownItem,
    "TR006": UnknownItem,
    "TR007": NotTheirs,
    "TR008": RefusedProposal,
    "TR009": NoSession,
    "TR010": NotAllowed,
    "TR011": StaleView,
    "TR012": RefusedSignOff,
    "23514": RefusedProposal,
}
"""What the database's doors for people say, by SQLSTATE; for ``ledger_core.sql.translated_errors``."""
