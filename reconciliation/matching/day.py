"""The day step: every pass in its order over what is open, until nothing more is found.

Law: matching what is left once more finds nothing, because the step ends only when a whole round found nothing; and
what is told to be ambiguous is what that last round, which saw only open items, could not decide.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import numpy as np
import pyarrow as pa

from reconciliation.matching.assembly import assemble
from reconciliation.matching.books import Books, Side
from reconciliation.matching.columns import BoolArray, IntArray, kernel
from reconciliation.matching.context import MatchContext
from reconciliation.matching.decided import match_decided
from reconciliation.matching.declared_group import declared_pairs, match_declared_groups
from reconciliation.matching.group_search import GroupStep, find_groups
from reconciliation.matching.many_to_many import find_many_to_many
from reconciliation.matching.net_of_fee import NET_STEPS, NetStep, pair_net_of_fee
from reconciliation.matching.one_to_one import pair_by_reference
from reconciliation.matching.proposals import Outcome, Proposal, Undecided
from reconciliation.matching.result import Limit, MatchResult
from reconciliation.matching.weighed import WEIGHED_PASSES, weigh
from reconciliation.sources import LegRule, MatchPass, MatchRules, ReferencePair

_WEIGHED: Final = frozenset({"in_text", "near_reference", "amount_and_lag"})

_PassName = MatchPass | Literal["decision"]

Step = Callable[[IntArray, IntArray], Outcome]


def match_day(
    external: pa.Table, ledger: pa.Table, rules: MatchRules, context: MatchContext | None = None
) -> MatchResult:
    """Groups among the open lines of a source and the open ledger lines on its accounts, up to and including one day.

    Args:
        external: ``EXTERNAL_ITEM_SCHEMA``, in any order.
        ledger: ``LEDGER_ITEM_SCHEMA``, in any order.
        rules: passes in their order, identifying references, window in calendar days, fee schedules, bounds.
        context: the business calendar, what was learned of lags, what people decided; what they undid is never
            proposed again, and no rival to another explanation.
    """
    context = context or MatchContext()
    books = Books.open(
        Side.external(external),
        Side.ledger(ledger),
        leg="ledger",
        references=rules.references,
        window_days=rules.window_days,
        by_account=True,
    )
    passes: tuple[_PassName, ...] = rules.passes
    if context.forced:
        passes = ("decision", *passes)
    steps = [step for name in passes for step in _steps(books, name, rules, context)]
    found = _run(books, passes, steps)
    return replace(found.result, lag_counts=_lag_counts(books, found.proposals, context.business_days))


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
    return _run(books, passes, [_by_reference(books, name, rejected) for name in passes]).result


def _lag_counts(
    books: Books, proposals: Sequence[Proposal], business_days: IntArray
) -> tuple[tuple[int, int], ...]:
    """How many business days lie between the two dates of pairs that an agreeing reference confirmed."""
    lags = [np.empty(0, dtype=np.int64)]
    for proposal in proposals:
        if proposal.match_pass in ("exact", "normalised"):
            days = books.external.business_date[proposal.external.rows]
            others = books.ledger.business_date[proposal.ledger.rows]
            if len(business_days):
                days, others = (np.searchsorted(business_days, ends, side="right") for ends in (days, others))
            lags.append(days - others)
    values, counts = np.unique(np.concatenate(lags), return_counts=True)
    return tuple(zip(values.tolist(), counts.tolist(), strict=True))


def _steps(books: Books, name: _PassName, rules: MatchRules, context: MatchContext) -> Iterator[Step]:
    """The steps a pass consists of; each works on what the one before left."""
    rejected = context.rejected
    if name == "decision":
        yield lambda external, ledger: match_decided(books, external, ledger, context)
    elif name == "net_of_fee":
        for step in NET_STEPS:
            for pair in rules.references:
                if "batch_ref" in (pair.external, pair.ledger):  # a batch is a matter of declared_group
                    continue
                yield _net_of_fee(books, pair, step, rules, rejected)
    elif name == "declared_group":
        for pair in declared_pairs(rules):
            yield _declared(books, pair, rules, rejected)
    elif name in _WEIGHED:
        weighed = [each for each in rules.passes if each in _WEIGHED]
        if name == weighed[0]:  # their candidates are decided together
            yield _weighed(books, frozenset(weighed), rules, context)
    elif name == "many_to_many":
        if rules.groups:
            yield lambda external, ledger: find_many_to_many(
                books, external, ledger, rules=rules, context=context
            )
    elif name in ("key_sum", "chained_run", "window_less_few", "bounded_subset"):
        if rules.groups:
            yield _searched(books, name, rules, context)
    elif name in ("exact", "normalised"):
        weighed_later = any(weighed in rules.passes for weighed in WEIGHED_PASSES)
        yield _by_reference(books, name, rejected, hold_doubtful=weighed_later)


def _by_reference(
    books: Books, name: str, rejected: frozenset[str], *, hold_doubtful: bool = False
) -> Step:
    as_written = name == "exact"
    return lambda external, ledger: pair_by_reference(
        books, external, ledger, as_written=as_written, rejected=rejected, hold_doubtful=hold_doubtful
    )


def _weighed(books: Books, names: frozenset[str], rules: MatchRules, context: MatchContext) -> Step:
    return lambda external, ledger: weigh(
        books, external, ledger, rules=rules, context=context, passes=names
    )


def _searched(books: Books, name: GroupStep, rules: MatchRules, context: MatchContext) -> Step:
    return lambda external, ledger: find_groups(
        books, external, ledger, step=name, rules=rules, context=context
    )


def _net_of_fee(
    books: Books, pair: ReferencePair, step: NetStep, rules: MatchRules, rejected: frozenset[str]
) -> Step:
    return lambda external, ledger: pair_net_of_fee(
        books, external, ledger, pair, step=step, rules=rules, rejected=rejected
    )


def _declared(books: Books, pair: ReferencePair, rules: MatchRules, rejected: frozenset[str]) -> Step:
    return lambda external, ledger: match_declared_groups(
        books, external, ledger, pair, rules=rules, rejected=rejected
    )


@dataclass(slots=True)
class _Round:
    """What one round over all steps found."""

    proposals: list[Proposal] = field(default_factory=list)
    undecided: list[Undecided] = field(default_factory=list)
    limits: list[Limit] = field(default_factory=list)
    suggestions: list[Proposal] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Found:
    """The result, and the proposals it was made of."""

    result: MatchResult
    proposals: list[Proposal]


def _run(books: Books, passes: tuple[str, ...], steps: list[Step]) -> _Found:
    external_open = np.ones(len(books.external), dtype=np.bool_)
    ledger_open = np.ones(len(books.ledger), dtype=np.bool_)
    proposals: list[Proposal] = []
    while True:
        found = _round(steps, external_open, ledger_open)
        proposals.extend(found.proposals)
        if not found.proposals:
            limits = tuple(dict.fromkeys(found.limits))
            result = assemble(
                books, passes, proposals, found.undecided, limits, suggestions=found.suggestions
            )
            return _Found(result, proposals)


def _round(steps: list[Step], external_open: BoolArray, ledger_open: BoolArray) -> _Round:
    """Runs every step once and closes what it matched, in place."""
    found = _Round()
    for step in steps:
        if not (external_open.any() and ledger_open.any()):
            break
        outcome = step(np.flatnonzero(external_open), np.flatnonzero(ledger_open))
        for proposal in outcome.proposals:
            if len(proposal):
                found.proposals.append(proposal)
                external_open[proposal.external.rows] = False
                ledger_open[proposal.ledger.rows] = False
        found.undecided.extend(outcome.undecided)
        found.limits.extend(outcome.limits)
        found.suggestions.extend(suggestion for suggestion in outcome.suggestions if len(suggestion))
    return found
