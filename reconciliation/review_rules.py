"""What ``sources.yaml`` says about people: who signs and approves, where exceptions go, by when they are dealt with.

Law: the database reads the same rules from the source's stored version and holds them; what stands here is only their
form. Knows no person.
"""

from typing import Final, Literal

from pydantic import BaseModel, Field, field_validator

from reconciliation.match_rules import AssetCode, Strict
from reconciliation.vocabulary import EXCEPTION_KINDS

LimitReason = Literal[
    "force_match", "not_duplicate", "exclude", "write_off", "book_entry",
    "timing", "fee_not_booked", "data_correction", "duplicate", "counterparty_error", "other",
]  # fmt: skip
"""An action or a coded reason that a limit may be for."""


class SignOff(Strict):
    """Who may sign a day: role names."""

    preparer: Literal["analyst", "approver", "controller"] = "analyst"
    reviewer: Literal["approver", "controller"] = "controller"


class ApprovalLimit(Strict):
    """Up to how much a role may approve in an asset; for one action or coded reason alone where ``reason`` names it."""

    role: Literal["approver", "controller"]
    asset: AssetCode
    amount_minor: int = Field(ge=0)
    reason: LimitReason | None = None


class TeamRule(Strict):
    """Exceptions of these kinds (any, if none are named) go to a team; of several rules the first that fits."""

    team: str = Field(min_length=1, max_length=60)
    kinds: tuple[str, ...] = ()

    @field_validator("kinds")
    @classmethod
    def _known(cls, kinds: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [kind for kind in kinds if kind not in EXCEPTION_KINDS]
        if unknown:
            raise ValueError(f"unknown kind {unknown[0]}; known are {', '.join(sorted(EXCEPTION_KINDS))}")
        return kinds


class SlaDays(Strict):
    """Business days within which somebody deals with an exception, by severity; ``info`` has no deadline."""

    critical: int = Field(default=1, ge=0, le=60)
    high: int = Field(default=2, ge=0, le=60)
    medium: int = Field(default=5, ge=0, le=60)
    low: int = Field(default=10, ge=0, le=60)


class Review(Strict):
    """What people may do about the source's exceptions.

    ``write_off``: account that takes what is written off, by asset. ``entry_accounts``: accounts, or paths above them,
    that a missing entry may be booked against; any where none is named.
    """

    write_off: dict[AssetCode, str] = Field(default_factory=dict)
    entry_accounts: tuple[str, ...] = ()
    limits: tuple[ApprovalLimit, ...] = ()
    teams: tuple[TeamRule, ...] = ()
    sla_days: SlaDays = SlaDays()

    def team_of(self, kind: str) -> str | None:
        """The team that exceptions of a kind go to, if a rule names one."""
        return next((rule.team for rule in self.teams if not rule.kinds or kind in rule.kinds), None)


REVIEW_MODELS: Final[tuple[type[BaseModel], ...]] = (SignOff, ApprovalLimit, TeamRule, SlaDays, Review)
"""All models of this module, for the message about an unknown key."""
