"""What people made of suggestions, by pass and rule, and what that says about the rules.

Laws: a suggestion is counted once, by its content, and by the last word of people on it: accepted where they forced
exactly it, altered where they approved a match that began with it, turned down where they said that it must not be. A
change of rules is only ever proposed, from ``VERDICTS_MIN`` verdicts on and one bit at a time, for somebody to look at
with a trial over past days; nothing here applies it.

    amount_and_lag   24 accepted, 0 altered, 1 turned down, 3 waiting    96.0 % accepted
    confirm_bits 10 -> 9: more than 98 % of 60 verdicts accepted, most of what waited was short of bits
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import psycopg
from psycopg.rows import class_row

from ledger_core.sql import queries
from reconciliation.match_rules import MatchRules
from reconciliation.sources import Source

SQL: Final = queries(Path(__file__).with_suffix(".sql"))

VERDICTS_MIN: Final = 20
RAISED_ABOVE_PPM: Final = 100_000  # of verdicts turned down: the passes speak up too easily
LOWERED_ABOVE_PPM: Final = 980_000  # of verdicts accepted: people only repeat what the passes could have said
BITS_MAX: Final = 60  # as the rules allow
PPM: Final = 1_000_000

Setting = Literal["confirm_bits", "margin_bits"]
SETTINGS: Final[tuple[Setting, ...]] = ("confirm_bits", "margin_bits")


@dataclass(frozen=True, slots=True, kw_only=True)
class SuggestionCount:
    """Suggestions of one pass and rule that the same bound kept from being made.

    ``rule``: the references that agree. ``held_by``: confirm_bits, margin_bits, or other. ``gone``: nobody said
    anything, and the engine no longer suggests them.
    """

    match_pass: str
    rule: str
    held_by: str
    accepted: int
    altered: int
    turned_down: int
    waiting: int
    gone: int

    @property
    def verdicts(self) -> int:
        """How many of them people judged."""
        return self.accepted + self.altered + self.turned_down

    @property
    def accepted_ppm(self) -> int | None:
        """The share of the verdicts that took them as they were."""
        return share_ppm(self.accepted, self.verdicts)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleChange:
    """A setting of the matching rules that people's verdicts speak against, and why."""

    setting: Setting
    now: int
    proposed: int
    why: str

    def applied_to(self, source: Source) -> Source:
        """The source as it would be: for a trial, and for nothing else."""
        match = source.match.model_copy(update={self.setting: self.proposed})
        return source.model_copy(update={"match": match})


def read_feedback(connection: psycopg.Connection[Any], source_id: str) -> list[SuggestionCount]:
    """Every pass, rule and bound of a source that suggested anything, in order of their names."""
    cursor = connection.cursor(row_factory=class_row(SuggestionCount))
    return cursor.execute(SQL["feedback"], {"source": source_id}).fetchall()


def proposed_changes(counts: Iterable[SuggestionCount], rules: MatchRules) -> tuple[RuleChange, ...]:
    """What the verdicts say about each setting, from those suggestions that it kept from being made."""
    listed = list(counts)
    found = []
    for setting in SETTINGS:
        held = [one for one in listed if one.held_by == setting]
        change = _change(setting, getattr(rules, setting), held)
        if change is not None:
            found.append(change)
    return tuple(found)


def share_ppm(part: int, whole: int) -> int | None:
    """A share in parts per million, rounded down; None of nothing."""
    return part * PPM // whole if whole else None


def _change(setting: Setting, now: int, held: list[SuggestionCount]) -> RuleChange | None:
    verdicts = sum(one.verdicts for one in held)
    if verdicts < VERDICTS_MIN:
        return None
    accepted = sum(one.accepted for one in held)
    turned_down = sum(one.turned_down for one in held)
    short = f"of {verdicts} verdicts on suggestions short of {setting}"
    if turned_down * PPM > RAISED_ABOVE_PPM * verdicts and now < BITS_MAX:
        why = f"{turned_down} {short} turned them down, more than 10 %"
        return RuleChange(setting=setting, now=now, proposed=now + 1, why=why)
    if accepted * PPM > LOWERED_ABOVE_PPM * verdicts and now > 0:
        why = f"{accepted} {short} took them as they were, more than 98 %"
        return RuleChange(setting=setting, now=now, proposed=now - 1, why=why)
    return None
