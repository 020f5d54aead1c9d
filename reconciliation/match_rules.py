"""How a source is matched: passes in their order, references that identify, fees, groups without ids, bounds.

Law: an unknown word is an error that names the nearest known one; a source that names no passes has those of its kind.
Part of ``sources.yaml``, whose door is ``reconciliation.sources``. Does not match anything.
"""

import difflib
from datetime import date
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from reconciliation.vocabulary import LINE_KINDS, REFERENCE_COLUMNS

EXTERNAL_REFERENCE_COLUMNS: Final = (*REFERENCE_COLUMNS, "batch_ref")

MatchPass = Literal[
    "exact",
    "normalised",
    "net_of_fee",
    "converted",
    "declared_group",
    "reversal_family",
    "in_text",
    "near_reference",
    "amount_and_lag",
    "key_sum",
    "chained_run",
    "window_less_few",
    "bounded_subset",
    "many_to_many",
]

_STRICT: Final[tuple[MatchPass, ...]] = ("exact", "normalised", "net_of_fee")
_WEIGHED: Final[tuple[MatchPass, ...]] = ("near_reference", "amount_and_lag")
_SEARCHED: Final[tuple[MatchPass, ...]] = (
    "key_sum", "chained_run", "window_less_few", "bounded_subset", "many_to_many",
)  # fmt: skip

PRESET_PASSES: Final[dict[str, tuple[MatchPass, ...]]] = {
    "bank": (*_STRICT, "converted", "declared_group", "reversal_family", "in_text", *_WEIGHED, *_SEARCHED),
    "processor": (*_STRICT, "converted", "declared_group", "reversal_family", *_WEIGHED),
    "card_clearing": (*_STRICT, "converted", "declared_group", "reversal_family", *_WEIGHED),
}
"""Passes of a source that names none, by its kind. A processor's and a scheme's lines carry ids and no prose; what a
bank writes has references in its text, and collections whose parts nobody names."""


class Strict(BaseModel):
    """Settings as they are written: no key that is not known, nothing changed afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _known_reference(name: str) -> str:
    if name not in EXTERNAL_REFERENCE_COLUMNS:
        near = difflib.get_close_matches(name, EXTERNAL_REFERENCE_COLUMNS, n=1)
        raise ValueError(f"no such reference column{f'; did you mean {near[0]}?' if near else ''}")
    return name


def _known_group_column(name: str) -> str:
    known = (*EXTERNAL_REFERENCE_COLUMNS, "business_date", "counterparty", "kind")
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        raise ValueError(f"no such column of ledger lines{f'; did you mean {near[0]}?' if near else ''}")
    return name


def _known_kind(name: str) -> str:
    if name not in LINE_KINDS:
        near = difflib.get_close_matches(name, LINE_KINDS, n=1)
        raise ValueError(f"no such kind of line{f'; did you mean {near[0]}?' if near else ''}")
    return name


ReferenceColumn = Annotated[str, AfterValidator(_known_reference)]
GroupColumn = Annotated[str, AfterValidator(_known_group_column)]
LineKind = Annotated[str, AfterValidator(_known_kind)]
AssetCode = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{1,11}$")]


class ReferencePair(Strict):
    """An external column and a ledger column that name the same thing when equal."""

    external: ReferenceColumn
    ledger: ReferenceColumn


class FeeSchedule(Strict):
    """What a movement should cost: parts per million of gross plus a fixed amount, by asset and kind, from a date
    on.
    """

    asset: AssetCode
    kind: LineKind = "charge"
    from_date: date = date(2000, 1, 1)
    rate_ppm: int = Field(ge=0, le=1_000_000)
    fixed_minor: int = Field(ge=0)
    tolerance_minor: int = Field(default=1, ge=0)


class GroupRule(Strict):
    """External lines of a kind that stand for many ledger lines which do not name them.

    ``by``: ledger columns whose equal values make a group of their own (``key_sum``). ``late_max``: how many members
    of a whole window may have come too late for the line (``window_less_few``).
    """

    kind: LineKind
    member_kinds: tuple[str, ...] = ()
    by: tuple[GroupColumn, ...] = ("batch_ref",)
    lag_days_max: int = Field(default=10, ge=0, le=400)
    late_max: int = Field(default=2, ge=0, le=3)


class MatchLimits(Strict):
    """Bounds of everything that can explode; each one that is met becomes an exception that names it."""

    candidate_pairs: int = Field(default=250_000, ge=1)  # of one block
    component_items: int = Field(default=2_000, ge=2)  # lines of both sides that compete with one another
    group_candidates: int = Field(default=200, ge=2)  # members a window may have
    subset_candidates: int = Field(default=36, ge=2, le=40)  # members a subset is searched among
    search_steps: int = Field(default=5_000_000, ge=1)  # of one search


class MatchRules(Strict):
    """Passes in their order, the references that identify, the windows, what confirms, and the bounds.

    ``confirm_bits``: evidence a weighed pair needs beyond the logarithm of the number of its rivals. ``margin_bits``:
    how much better than the best assignment without it. ``fx_tolerance_ppm``: how far, beyond a minor unit of
    rounding, a converted amount may be from what the ledger booked.
    """

    passes: tuple[MatchPass, ...] = ("exact", "normalised", "net_of_fee", "declared_group")
    references: tuple[ReferencePair, ...]
    window_days: int = Field(default=10, ge=0, le=400)
    group_size_max: int = Field(default=50_000, ge=2)
    fees: tuple[FeeSchedule, ...] = ()
    confirm_bits: int = Field(default=10, ge=0, le=60)
    margin_bits: int = Field(default=3, ge=0, le=60)
    fx_tolerance_ppm: int = Field(default=0, ge=0, le=100_000)
    groups: tuple[GroupRule, ...] = ()
    limits: MatchLimits = MatchLimits()
