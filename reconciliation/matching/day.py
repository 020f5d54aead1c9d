"""The day step: every pass in its order over what is open, until nothing more is found.

Law: matching what is left once more finds nothing, because the step ends only when a whole round found nothing; and
what is told to be ambiguous is what that last round, which saw only open items, could not decide.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from reconciliation.matching.assembly import assemble
from reconciliation.matching.books import Books, Side
from reconciliation.matching.columns import BoolArray, kernel
from reconciliation.matching.context import MatchContext
from reconciliation.matching.edges import business_day_numbers
from reconciliation.matching.proposals import Outcome, Proposal, Undecided
from reconciliation.matching.result import Limit, MatchResult
from reconciliation.matching.steps import DECISION, Step, by_reference, steps_of
from reconciliation.sources import LegRule, MatchRules, ReferencePair


def match_day(
    external: pa.Table,
    ledger: pa.Table,
    rules: MatchRules,
    context: MatchContext | None = None,
    *,
    explain: bool = True,
) -> MatchResult:
    """Groups among the open lines of a source and the open ledger lines on its accounts, up to and including one day.

    Args:
        external: ``EXTERNAL_ITEM_SCHEMA``, in any order.
        ledger: ``LEDGER_ITEM_SCHEMA``, in any order.
        rules: passes in their order, identifying references, window in calendar days, fee schedules, bounds.
        context: the business calendar, what was learned of lags, what people decided; what they undid is never
            proposed again, and no rival to another explanation.
        explain: False leaves the evidence blank, for those who only count.
    """
    context = context or MatchContext()
    books = Books.open(
        Side.external(external),
        Side.ledger(ledger),
        leg="ledger",
        references=rules.references,
        window_days=rules.window_days,
        by_account=True,
        explains=explain,
    )
    passes = (DECISION, *rules.passes) if context.forced else rules.passes
    steps = [step for name in passes for step in steps_of(name, books, rules, context)]
    found = _run(books, passes, steps)
    return replace(found.result, lag_counts=_lag_counts(books, found.proposals, context))


def match_legs(
    payouts: pa.Table, bank: pa.Table, rule: LegRule, *, rejected: frozenset[str] = frozenset()
) -> MatchResult:
    """Pairs of a source's ``rule.kind`` lines and the lines of ``rule.with_source`` that carry the opposite amount.

    Args:
        payouts: ``EXTERNAL_ITEM_SCHEMA``, lines of the source the rule belongs to; other kinds are left out.
        bank: ``EXTERNAL_ITEM_SCHEMA``, lines of the other source.
        rule: the leg and the columns that must agree, as written first, normalised then.
        rejected: as in ``match_day``.

    Dates are not compared: the reference and the amount decide. Both members are of side external and cancel out, so
    ``external_minor``, ``ledger_minor`` and the difference are 0; the evidence has the amount.
    """
    wanted = payouts.filter(kernel.equal(payouts["kind"], rule.kind))
    books = Books.open(
        Side.external(wanted),
        Side.external(bank, mirrored=True),
        leg=rule.leg,
        references=(ReferencePair(external=rule.reference, ledger=rule.with_reference),),
        window_days=None,
        by_account=False,
    )
    passes = ("exact", "normalised")
    return _run(books, passes, [by_reference(books, name, rejected) for name in passes]).result


def _lag_counts(
    books: Books, proposals: Sequence[Proposal], context: MatchContext
) -> tuple[tuple[int, int], ...]:
    """How many business days lie between the two dates of pairs that an agreeing reference confirmed."""
    lags = [np.empty(0, dtype=np.int64)]
    for proposal in proposals:
        if proposal.match_pass in ("exact", "normalised") and proposal.evidence_millibits is None:
            days = books.external.business_date[proposal.external.rows]
            others = books.ledger.business_date[proposal.ledger.rows]
            lags.append(business_day_numbers(context, days) - business_day_numbers(context, others))
    values, counts = np.unique(np.concatenate(lags), return_counts=True)
    return tuple(zip(values.tolist(), counts.tolist(), strict=True))


@dataclass(slots=True)
class _Round:
    """What one round over all steps found."""

    proposals: list[Proposal] = field(default_factory=list)
    undecided: list[Undecided] = field(default_factory=list)
    limits: list[Limit] = field(default_factory=list)
    suggestions: list[Proposal] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a step said that made nothing, and how many items were open to it."""

    open_count: tuple[int, int]
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class _Found:
    """The result, and the proposals it was made of."""

    result: MatchResult
    proposals: list[Proposal]


def _run(books: Books, passes: tuple[str, ...], steps: list[Step]) -> _Found:
    external_open = np.ones(len(books.external), dtype=np.bool_)
    ledger_open = np.ones(len(books.ledger), dtype=np.bool_)
    proposals: list[Proposal] = []
    seen: list[_Seen | None] = [None] * len(steps)
    while True:
        found = _round(steps, seen, external_open, ledger_open)
        proposals.extend(found.proposals)
        if not found.proposals:
            limits = tuple(dict.fromkeys(found.limits))
            books.forget()
            result = assemble(
                books, passes, proposals, found.undecided, limits, suggestions=found.suggestions
            )
            return _Found(result, proposals)


def _round(
    steps: list[Step], seen: list[_Seen | None], external_open: BoolArray, ledger_open: BoolArray
) -> _Round:
    """Runs every step once and closes what it matched, in place. A step that has seen all of this says it again."""
    found = _Round()
    for number, step in enumerate(steps):
        open_count = int(external_open.sum()), int(ledger_open.sum())  # what is open only ever shrinks
        known = seen[number]
        if known is not None and known.open_count == open_count:
            outcome = known.outcome
        elif not any(open_count):
            break
        else:
            outcome = step(np.flatnonzero(external_open), np.flatnonzero(ledger_open))
        made = [proposal for proposal in outcome.proposals if len(proposal)]
        for proposal in made:
            found.proposals.append(proposal)
            external_open[proposal.external.rows] = False
            ledger_open[proposal.ledger.rows] = False
        seen[number] = None if made else _Seen(open_count, outcome)
        found.undecided.extend(outcome.undecided)
        found.limits.extend(outcome.limits)
        found.suggestions.extend(suggestion for suggestion in outcome.suggestions if len(suggestion))
    return found
