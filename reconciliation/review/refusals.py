"""Each error as a page: which status, which title, which sentence.

Law: what people can act upon keeps its sentence; what they cannot (the database is away, a query takes too long) gets a
sentence of ours; nothing of a row, a query or a trace is shown.

Example:
    refusal_of(UnknownItem("there is no exception 7")).status  # 404
"""

import re
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg_pool import PoolClosed, PoolTimeout

from ledger_core.errors import LedgerError, StoreError
from reconciliation.errors import (
    REFUSALS_OF_PEOPLE,
    NoSession,
    NotAllowed,
    NotTheirs,
    ReconciliationError,
    RefusedProposal,
    RefusedSignOff,
    StaleView,
    UnknownItem,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What an error page says."""

    status: int
    title: str
    said: str


_TITLES: Final[tuple[tuple[type[Exception], int, str], ...]] = (
    (NoSession, 401, "Please log in"),
    (NotAllowed, 403, "Not allowed"),
    (NotTheirs, 403, "Somebody else must do this"),
    (StaleView, 409, "Changed meanwhile"),
    (UnknownItem, 404, "Not found"),
    (RefusedProposal, 422, "This does not hold"),
    (RefusedSignOff, 422, "Not to be signed yet"),
)
AWAY: Final = Refusal(
    status=503, title="The database is away", said="Nothing was changed. Try again in a moment."
)
TOO_LONG: Final = Refusal(
    status=503,
    title="This takes too long",
    said="Nothing was changed. Ask for less, or try again in a moment.",
)
BUSY: Final = Refusal(
    status=503, title="Somebody works on the same", said="Nothing was changed. Try again in a moment."
)
NO_VALUE: Final = Refusal(
    status=400,
    title="Not a value",
    said="The database cannot take a value that was sent. Nothing was changed.",
)
NO_GRANT: Final = Refusal(
    status=403, title="Not allowed", said="The database does not let this role do that."
)
OURS: Final = Refusal(
    status=500,
    title="An error of the program",
    said="Nothing was changed. Tell whoever runs this; the log says more.",
)


_BY_STATE: Final[dict[str, Refusal]] = {
    "57014": TOO_LONG,
    "55P03": BUSY,
    "40001": BUSY,
    "40P01": BUSY,
    "42501": NO_GRANT,
    "22": NO_VALUE,
    "08": AWAY,
    "53": AWAY,
    "57": AWAY,
}
"""By SQLSTATE or its class: data, connections, resources, operator."""
_STATE_IN_WORDS: Final = re.compile(r"\(\w+, ([0-9A-Z]{5})\)$")


def refusal_of(error: Exception) -> Refusal:
    """What to say about an error; ``OURS`` for what should not happen, which is to be logged."""
    if isinstance(error, psycopg.Error | StoreError):
        return _of_the_database(error)
    for kind, status, title in _TITLES:
        if isinstance(error, kind):
            return Refusal(status=status, title=title, said=_sentence(error))
    if isinstance(error, ReconciliationError):
        return Refusal(status=400, title="Cannot be done", said=_sentence(error))
    if isinstance(error, LedgerError):
        return Refusal(status=422, title="Refused by the ledger", said=_sentence(error))
    return AWAY if isinstance(error, PoolTimeout | PoolClosed) else OURS


def may_be_tried_again(error: Exception) -> bool:
    """A deadlock or two writers in each other's way: the same once more succeeds."""
    return _state_of(error) in {"40P01", "40001"}


def _of_the_database(error: psycopg.Error | StoreError) -> Refusal:
    state = _state_of(error)
    if state.startswith("T"):  # a condition of our own SQL
        found = error.diag if isinstance(error, psycopg.Error) else None
        parts = (found.message_primary, found.message_hint) if found else (str(error),)
        said = "; ".join(part for part in parts if part)
        kind = REFUSALS_OF_PEOPLE.get(state)
        return (
            refusal_of(kind(said))
            if kind
            else Refusal(status=422, title="Cannot be done", said=_sentence(said))
        )
    return _BY_STATE.get(state) or _BY_STATE.get(state[:2]) or (OURS if state else AWAY)


def _state_of(error: Exception) -> str:
    """The SQLSTATE; of an error that was already put in our words, the one these end with."""
    if isinstance(error, psycopg.Error):
        return error.sqlstate or ""
    found = _STATE_IN_WORDS.search(str(error)) if isinstance(error, StoreError) else None
    return found[1] if found else ""


def _sentence(error: Exception | str) -> str:
    text = str(error).strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?", ")")) else ".")
