"""The words that people see for the codes of the database: one place, so that every screen says the same. No behaviour.

Example:
    words.kind("missing_in_ledger")  # "missing in our ledger"
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

CLASSES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "timing": "timing",
        "genuine": "genuine",
        "source_gap": "source gap",
        "review": "to review",
    }
)
KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "missing_in_ledger": "missing in our ledger",
        "missing_at_source": "missing at the source",
        "amount_mismatch": "amount differs",
        "fee_variance": "fee differs",
        "fx_variance": "exchange rate differs",
        "currency_mismatch": "currency differs",
        "sign_mismatch": "opposite sign",
        "duplicate_external": "twice at the source",
        "duplicate_ledger": "twice in our ledger",
        "conflicting_version": "conflicting version",
        "withdrawn": "withdrawn by the source",
        "unrecorded_charge": "charge not booked",
        "chargeback_unbooked": "chargeback not booked",
        "ambiguous": "several fit",
        "missing_file": "file missing",
        "sequence_gap": "gap in the sequence",
        "balance_break": "balance does not follow",
        "control_total": "control total differs",
    }
)
SEVERITIES: Final = ("critical", "high", "medium", "low", "info")
STATUSES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "open": "open",
        "taken": "taken",
        "proposed": "proposed",
        "approved": "approved",
        "carried": "carried",
        "cleared": "cleared by a match",
        "resolved": "resolved",
    }
)
REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "timing": "timing",
        "fee_not_booked": "fee not booked",
        "data_correction": "data correction",
        "duplicate": "duplicate",
        "counterparty_error": "error of the counterparty",
        "write_off": "write-off",
        "other": "other (say which)",
    }
)
ACTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "force_match": "match by hand",
        "not_duplicate": "not a duplicate",
        "exclude": "exclude",
        "write_off": "write off",
        "book_entry": "book the missing entry",
    }
)
DEEDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "take": "take",
        "give_back": "give back",
        "assign": "assign",
        "assign_team": "assign to a team",
        "pass_back": "pass back to the owner before",
        "snooze": "snooze",
        "wake": "wake",
        "carry": "carry forward",
        "comment": "comment",
        "attach": "attach",
    }
)
EVENTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "opened": "opened",
        "changed": "changed",
        "cleared": "cleared by a match",
        "reopened": "opened again",
        "resolved": "resolved",
        "taken": "taken",
        "given_back": "given back",
        "assigned": "assigned",
        "snoozed": "snoozed",
        "woken": "woken",
        "carried": "carried forward",
        "commented": "comment",
        "attached": "file attached",
        "proposed": "proposed",
        "approved": "approved",
        "rejected": "rejected",
        "withdrawn": "proposal withdrawn",
        "undone": "match undone",
        "posted": "entry posted",
        "posting_refused": "posting refused by the ledger",
    }
)
OUTCOMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "done": "done",
        "stale": "changed meanwhile",
        "closed": "not open any more",
        "absent": "not there",
        "refused": "not allowed",
    }
)
PERMISSIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "look": "look at everything",
        "export": "export lists",
        "work": "work exceptions: take, assign, comment, attach, snooze, carry",
        "propose": "propose decisions",
        "judge": "approve or reject what others propose",
        "prepare": "prepare a sign-off",
        "review": "review a sign-off",
        "audit": "see the evidence of people and chains",
        "administer": "administer people",
        "operate": "start and change things in Dagster",
    }
)
SORTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "worst": "worst first",
        "value": "largest first",
        "due": "due first",
        "age": "oldest first",
        "newest": "newest first",
        "cleared": "last closed first",
    }
)


def exception_class(code: str) -> str:
    """Words for a class."""
    return CLASSES.get(code, _spaced(code))


def kind(code: str) -> str:
    """Words for a kind."""
    return KINDS.get(code, _spaced(code))


def status(code: str) -> str:
    """Words for a status."""
    return STATUSES.get(code, _spaced(code))


def reason(code: str) -> str:
    """Words for a coded reason."""
    return REASONS.get(code, _spaced(code))


def action(code: str) -> str:
    """Words for what a proposal asks for."""
    return ACTIONS.get(code, _spaced(code))


def deed(code: str) -> str:
    """Words for a deed of the command layer."""
    return DEEDS.get(code, _spaced(code))


def event(code: str) -> str:
    """Words for an event in a history."""
    return EVENTS.get(code, _spaced(code))


def outcome(code: str) -> str:
    """Words for the outcome of one item of a bulk."""
    return OUTCOMES.get(code, _spaced(code))


def permission(code: str) -> str:
    """Words for what a role may do."""
    return PERMISSIONS.get(code, _spaced(code))


def plural(count: int, one: str, many: str = "") -> str:
    """Count and noun: ``1 exception``, ``2,000 exceptions``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def _spaced(code: str) -> str:
    return code.replace("_", " ")
