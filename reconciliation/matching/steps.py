"""Which steps a pass consists of: each takes the rows that are open on both sides and says what it would make of them.

Law: a step closes nothing by itself; the day decides their order. The three passes that weigh evidence are one step,
for their candidates compete with one another.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, get_args

from reconciliation.matching.books import Books
from reconciliation.matching.columns import IntArray
from reconciliation.matching.context import MatchContext
from reconciliation.matching.conversion import match_converted
from reconciliation.matching.decided import match_decided
from reconciliation.matching.declared_group import declared_pairs, match_declared_groups
from reconciliation.matching.group_search import GroupStep, find_groups
from reconciliation.matching.many_to_many import find_many_to_many
from reconciliation.matching.net_of_fee import NET_STEPS, pair_net_of_fee
from reconciliation.matching.one_to_one import pair_by_reference
from reconciliation.matching.proposals import Outcome
from reconciliation.matching.reversals import match_reversal_families
from reconciliation.matching.weighed import WEIGHED_PASSES, weigh
from reconciliation.sources import MatchRules

DECISION: Final = "decision"
"""The pass that people's own matches go by."""

_GROUP_STEPS: Final[tuple[GroupStep, ...]] = get_args(GroupStep)

Step = Callable[[IntArray, IntArray], Outcome]


def steps_of(name: str, books: Books, rules: MatchRules, context: MatchContext) -> Iterator[Step]:
    """The steps of a pass, in their order."""
    if name in WEIGHED_PASSES:
        yield from _weighed(name, books, rules, context)
    elif name in _GROUP_STEPS or name == "many_to_many":
        yield from _searched(name, books, rules, context)
    else:
        yield from _STRICT[name](books, rules, context)


def by_reference(books: Books, name: str, rejected: frozenset[str], *, hold_doubtful: bool = False) -> Step:
    """Pairs by agreeing references, as they are written (``exact``) or normalised."""
    return lambda external, ledger: pair_by_reference(
        books,
        external,
        ledger,
        as_written=name == "exact",
        rejected=rejected,
        hold_doubtful=hold_doubtful,
    )


def _decided(books: Books, _: MatchRules, context: MatchContext) -> Iterator[Step]:
    yield lambda external, ledger: match_decided(books, external, ledger, context)


def _referenced(name: str, books: Books, rules: MatchRules, context: MatchContext) -> Iterator[Step]:
    """Pairs that their names contradict are left to the passes that weigh, where there are any."""
    weighed_later = any(weighed in rules.passes for weighed in WEIGHED_PASSES)
    yield by_reference(books, name, context.rejected, hold_doubtful=weighed_later)


def _net_of_fee(books: Books, rules: MatchRules, context: MatchContext) -> Iterator[Step]:
    for step in NET_STEPS:
        for pair in rules.references:
            if "batch_ref" not in (pair.external, pair.ledger):  # a batch is a matter of declared_group
                yield partial(
                    pair_net_of_fee, books, pair=pair, step=step, rules=rules, rejected=context.rejected
                )


def _declared(books: Books, rules: MatchRules, context: MatchContext) -> Iterator[Step]:
    for pair in declared_pairs(rules):
        yield partial(match_declared_groups, books, pair=pair, rules=rules, rejected=context.rejected)


def _converted(books: Books, rules: MatchRules, context: MatchContext) -> Iterator[Step]:
    for pair in rules.references:
        if "batch_ref" not in (pair.external, pair.ledger):
            yield partial(match_converted, books, pair=pair, rules=rules, context=context)


def _reversed(books: Books, rules: MatchRules, context: MatchContext) -> Iterator[Step]:
    yield partial(match_reversal_families, books, rules=rules, context=context)


def _weighed(name: str, books: Books, rules: MatchRules, context: MatchContext) -> Iterator[Step]:
    named = [each for each in rules.passes if each in WEIGHED_PASSES]
    if name == named[0]:
        yield partial(weigh, books, rules=rules, context=context, passes=frozenset(named))


def _searched(name: str, books: Books, rules: MatchRules, context: MatchContext) -> Iterator[Step]:
    if not rules.groups:
        return
    if name == "many_to_many":
        yield partial(find_many_to_many, books, rules=rules, context=context)
    for step in _GROUP_STEPS:
        if step == name:
            yield partial(find_groups, books, step=step, rules=rules, context=context)


_STRICT: Final[dict[str, Callable[[Books, MatchRules, MatchContext], Iterator[Step]]]] = {
    DECISION: _decided,
    "exact": partial(_referenced, "exact"),
    "normalised": partial(_referenced, "normalised"),
    "net_of_fee": _net_of_fee,
    "converted": _converted,
    "declared_group": _declared,
    "reversal_family": _reversed,
}
