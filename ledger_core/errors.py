"""Every way the ledger says no, as one tree.

Messages say where, what was expected, what was found and what to do. They never carry a row's content beyond
entry keys, account codes and amounts: a message ends up in logs.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType


class LedgerError(Exception):
    """Root of everything this package raises on purpose."""


class AmountError(LedgerError, ValueError):
    """A text is not an amount of the asset it claims to be."""


class UnknownAssetError(LedgerError, LookupError):
    """An asset code has no known number of minor digits."""


class SqlFileError(LedgerError):
    """A shipped .sql file is malformed: a fault of the program, not of its input."""


class BulkCopyError(LedgerError):
    """A table cannot be moved through COPY as it is."""


class StoreError(LedgerError):
    """PostgreSQL refused or failed, and no narrower class says it better."""


class MigrationError(LedgerError):
    """The schema could not be brought to the state this program needs."""


class InputFileError(LedgerError):
    """A file of accounts or entries was refused as a whole; `problems` names every bad place."""

    def __init__(self, message: str, problems: tuple[str, ...] = ()) -> None:
        super().__init__("\n".join((message, *problems)))
        self.problems = problems


class PostingRefusedError(LedgerError):
    """The ledger did not accept an entry; nothing of the call was posted."""


class UnbalancedEntryError(PostingRefusedError):
    """The lines of an entry do not sum to zero in each asset."""


class EntryClosedError(PostingRefusedError):
    """Lines arrived without their header, in the wrong number, or for an entry posted earlier."""


class AccountError(PostingRefusedError):
    """An account is unknown, closed, or holds another asset."""


class OverdrawnError(PostingRefusedError):
    """An account that may not be overdrawn would be."""


class ReversalError(PostingRefusedError):
    """A reversal is not the exact mirror of an entry not yet reversed."""


class RequestError(PostingRefusedError):
    """The call itself is malformed: arrays of unequal length, missing values, one key with two times."""


class PeriodError(PostingRefusedError):
    """An entry takes effect in a closed period, or a period cannot be closed there."""


class TransactionError(PostingRefusedError):
    """A business transaction cannot take this step: not from its state, not any more, or not with these lines."""


class OutOfRangeError(PostingRefusedError):
    """A number does not fit the ledger's 64-bit minor units."""


class AppendOnlyError(LedgerError):
    """Somebody tried to change or remove what is posted."""


class IdempotencyConflictError(LedgerError):
    """A key was used before for other content."""


class ChartError(LedgerError):
    """A definition of an asset or account contradicts the one the ledger holds."""


# TLnnn are conditions raised by our own functions and triggers; their text is ours and safe to show.
BY_SQLSTATE: Mapping[str, type[LedgerError]] = MappingProxyType(
    {
        "TL001": UnbalancedEntryError,
        "TL002": EntryClosedError,
        "TL003": AccountError,
        "TL004": OverdrawnError,
        "TL005": AppendOnlyError,
        "TL006": ReversalError,
        "TL007": RequestError,
        "TL008": OutOfRangeError,
        "TL009": ChartError,
        "TL010": PeriodError,
        "TL011": TransactionError,
        "22003": OutOfRangeError,
        "22P02": RequestError,
        "23502": RequestError,
        "23514": RequestError,
    }
)
