"""The weighed step: passes ``in_text``, ``near_reference`` and ``amount_and_lag`` find candidates, one choice decides.

Candidates are the union of what the named passes find and of the open lines that agree in a reference and the amount,
which the strict passes left because it was not the only explanation. Every pair is scored in bits. A pair is made when

- its amounts are equal, or their difference is the fee that a schedule predicts;
- its bits reach the logarithm of the number of its rivals and ``confirm_bits`` more, less what is known beforehand of
  a line that carries no reference: that like the lines which do it has a partner at all;
- the best choice among all competing pairs contains it, by a margin of ``margin_bits``;
- its ledger line does not wait for a line that names it: what agrees in no reference takes an entry that has one only
  when that entry is overdue.

Anything else of which more speaks for it than chance is a suggestion, with the reason and the two best alternatives;
where only the margin is missing, the lines are ambiguous. Made pairs are named after their strongest evidence.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from reconciliation.matching.amount_and_lag import find_by_amount_and_lag
from reconciliation.matching.assignment import assign
from reconciliation.matching.books import Books, Side
from reconciliation.matching.candidates import combined, limit_at, telling_columns
from reconciliation.matching.columns import BoolArray, IntArray, flags, kernel
from reconciliation.matching.context import MatchContext
from reconciliation.matching.edges import (
    EXACT,
    IN_TEXT,
    LOST_PREFIX,
    NEAR,
    NO_REFERENCE,
    NORMALISED,
    Bound,
    Edges,
    Keyed,
    agreeing,
    business_day_numbers,
    joined,
    merged,
    within_window,
)
from reconciliation.matching.near_references import find_near
from reconciliation.matching.proposals import Membership, Outcome, Proposal, Undecided, undone_pairs
from reconciliation.matching.references import ABSENT
from reconciliation.matching.result import Limit
from reconciliation.matching.same_numbers import find_same_number
from reconciliation.matching.scoring import OTHER_AMOUNT, Scores, held_against, score, vetoed
from reconciliation.matching.text_references import find_in_text
from reconciliation.matching.weighed_evidence import Weighed, proposal_of
from reconciliation.matching.weighed_suggestions import suggestions_of
from reconciliation.sources import MatchRules

WEIGHED_PASSES: Final = ("in_text", "near_reference", "amount_and_lag")
_NAME_AMONG_MILLIBITS: Final = 2_000  # below any margin that is asked for
PRESENCE_MILLIBITS: Final = 5_000  # of 32 lines that could have a partner about 31 have one


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decision:
    """Every weighed pair, what was made of it, and the component it stands in (-1: none)."""

    pairs: Weighed
    made: BoolArray
    component: IntArray
    limits: tuple[Limit, ...]


def weigh(
    books: Books,
    external_rows: IntArray,
    ledger_rows: IntArray,
    *,
    rules: MatchRules,
    context: MatchContext,
    passes: frozenset[str],
) -> Outcome:
    """Pairs, suggestions and ambiguities among the open rows; ``passes``: the candidate finders to use."""
    edges, met = _gathered(books, external_rows, ledger_rows, rules=rules, context=context, passes=passes)
    edges = _only(edges, ~vetoed(books, edges))
    scores = score(books, edges, external_rows, ledger_rows, context=context, schedules=rules.fees)
    edges, scores = _not_undone(books, context, edges, scores)
    limits, made = list(met), []
    while True:
        keep = _weight(scores) > 0
        decided = _decide(books, rules, context, _only(edges, keep), scores.only(keep))
        limits.extend(decided.limits)
        if not decided.made.any():
            break
        made.append(decided.pairs.only(decided.made))
        # what is left has fewer rivals, so it is judged once more
        external_rows = np.setdiff1d(external_rows, made[-1].edges.external, assume_unique=True)
        ledger_rows = np.setdiff1d(ledger_rows, made[-1].edges.ledger, assume_unique=True)
        keep = np.isin(edges.external, external_rows) & np.isin(edges.ledger, ledger_rows)
        edges, scores = _only(edges, keep), scores.only(keep)
        scores = held_against(books, edges, scores, external_rows, ledger_rows, context=context)
    names = _pass_names(rules)
    return Outcome(
        proposals=tuple(proposal for pairs in made for proposal in _by_pass(books, rules, pairs, names)),
        undecided=tuple(_undecided(decided, rules, names)),
        limits=tuple(dict.fromkeys(limits)),
        suggestions=suggestions_of(books, rules, decided.pairs, names),
    )


def _not_undone(books: Books, context: MatchContext, edges: Edges, scores: Scores) -> tuple[Edges, Scores]:
    """Without the pairs that people took apart."""
    ends = Membership.single(edges.external), Membership.single(edges.ledger)
    keep = ~undone_pairs(books, context.rejected, *ends, count=len(edges))
    return _only(edges, keep), scores.only(keep)


def _only(edges: Edges, keep: BoolArray) -> Edges:
    return Edges(external=edges.external[keep], ledger=edges.ledger[keep], similarity=edges.similarity[keep])


def _gathered(
    books: Books,
    external_rows: IntArray,
    ledger_rows: IntArray,
    *,
    rules: MatchRules,
    context: MatchContext,
    passes: frozenset[str],
) -> tuple[Edges, tuple[Limit, ...]]:
    """All candidates, each once, with the limits that finding them met."""
    limits = rules.limits
    found = [_agreeing_in_both(books, external_rows, ledger_rows, rules)]
    if "in_text" in passes:
        found.append(find_in_text(books, external_rows, ledger_rows, limits))
    if "near_reference" in passes:
        found.append(find_near(books, external_rows, ledger_rows, limits))
        found.append(find_same_number(books, external_rows, ledger_rows, limits))
    if "amount_and_lag" in passes:
        found.append(find_by_amount_and_lag(books, external_rows, ledger_rows, limits, context, rules.fees))
    edges = merged(*(part[0] for part in found))
    return edges, tuple(dict.fromkeys(limit for part in found for limit in part[1]))


def _agreeing_in_both(
    books: Books, external_rows: IntArray, ledger_rows: IntArray, rules: MatchRules
) -> tuple[Edges, tuple[Limit, ...]]:
    """Open rows of a purse that agree in a reference and the amount."""
    count = len(external_rows)
    money = combined(
        np.concatenate([books.external_purse[external_rows], books.ledger_purse[ledger_rows]]),
        np.concatenate([books.external.amount_minor[external_rows], books.ledger.amount_minor[ledger_rows]]),
    )
    width = int(money.max(initial=0)) + 1
    found: list[Edges] = []
    met: list[Limit] = []
    for pair in books.references:
        agreement = books.agreement(pair, as_written=False)
        ours, theirs = agreement.ledger[ledger_rows], agreement.external[external_rows]
        left = Keyed(rows=external_rows, key=np.where(theirs != ABSENT, theirs * width + money[:count], -1))
        right = Keyed(rows=ledger_rows, key=np.where(ours != ABSENT, ours * width + money[count:], -1))
        bound = Bound(match_pass=_pass_names(rules)[NORMALISED], limits=rules.limits)

        def shared(at: int, column: str = pair.external, rows: IntArray = external_rows) -> str:
            return str(books.external.reference(column)[int(rows[at])].as_py())

        external, ledger, limits = joined(books, left, right, bound, shared)
        keep = within_window(books, external, ledger)
        external, ledger = external[keep], ledger[keep]
        found.append(Edges.of(external, ledger, agreeing(books, external, ledger)))
        met.extend(limits)
    return merged(*found), tuple(met)


def _weight(scores: Scores) -> IntArray:
    """What a pair is worth where pairs compete: the lag counts half, because customers buy the same thing again and
    the days of two payments cross; dates alone decide only where one is out of the ordinary.
    """
    return scores.total - scores.lag // 2 - scores.rivals + PRESENCE_MILLIBITS


def _weight_among(scores: Scores) -> IntArray:
    """What a pair is worth beside others that compete with it: a name that agrees counts for little more than one that
    is not there, or is cut short. Who writes no name is not less likely to be the one; who writes another is.
    """
    return _weight(scores) - np.maximum(scores.counterparty - _NAME_AMONG_MILLIBITS, 0)


def _decide(
    books: Books, rules: MatchRules, context: MatchContext, edges: Edges, scores: Scores
) -> _Decision:
    """The best choice among pairs whose amounts agree, and which of it is sure enough to be made."""
    weight = _weight_among(scores)
    at = np.flatnonzero(scores.amount_is != OTHER_AMOUNT)
    chosen = assign(
        edges.external[at],
        edges.ledger[at],
        weight[at],
        external_content=_contents(books, books.external, edges.external[at]),
        ledger_content=_contents(books, books.ledger, edges.ledger[at]),
        items_max=rules.limits.component_items,
    )
    count = len(edges)
    component = np.full(count, -1, dtype=np.int64)
    component[at] = chosen.component
    is_chosen = np.zeros(count, dtype=np.bool_)
    margin = np.zeros(count, dtype=np.int64)
    twins = np.ones(count, dtype=np.int64), np.ones(count, dtype=np.int64)
    picked = at[chosen.pair]
    is_chosen[picked] = True
    margin[picked] = np.minimum(chosen.margin_millibits, _beyond_other_amounts(edges, scores, weight)[picked])
    twins[0][picked], twins[1][picked] = chosen.twins_external, chosen.twins_ledger
    needed = scores.rivals - scores.presence + rules.confirm_bits * 1_000
    rivals = _counted(edges.external, component), _counted(edges.ledger, component)
    alone = is_chosen & (rivals[0] == 1) & (rivals[1] == 1)  # nobody competes, so all of its bits count
    margin = np.where(alone, np.maximum(margin, _weight(scores)), margin)
    pairs = Weighed(
        edges=edges,
        scores=scores,
        needed=needed,
        margin=margin,
        is_chosen=is_chosen,
        waits=_waits(books, context, edges),
        rivals=rivals,
        twins=twins,
    )
    made = is_chosen & (scores.total >= needed) & (margin >= rules.margin_bits * 1_000) & ~pairs.waits
    limits = tuple(_too_large(books, rules, pairs, component, chosen.too_large))
    left_out = np.isin(component, chosen.too_large)
    return _without(_Decision(pairs=pairs, made=made, component=component, limits=limits), left_out)


def _waits(books: Books, context: MatchContext, edges: Edges) -> BoolArray:
    """Pairs without any reference whose ledger line names one that this source's lines carry, and is not overdue.

    The line that names it may still come; what only looks alike has to wait for that.
    """
    waits = np.zeros(len(edges), dtype=np.bool_)
    if context.as_of is None:
        return waits
    named = np.zeros(len(books.ledger), dtype=np.bool_)
    for pair in books.references:
        values = books.external.reference(pair.external)
        if 4 * values.null_count <= 3 * len(values):  # a quarter of the lines, at least, carry it
            named |= flags(kernel.is_valid(books.ledger.reference(pair.ledger)))
    today = business_day_numbers(context, np.array([context.as_of]))[0]
    age = today - business_day_numbers(context, books.ledger.business_date[edges.ledger])
    waits |= (edges.similarity == NO_REFERENCE) & named[edges.ledger] & (age <= context.lag.latest)
    return waits


def _without(decision: _Decision, left_out: BoolArray) -> _Decision:
    """Nothing is said of lines that compete with too many to be compared."""
    lines = np.unique(decision.pairs.edges.external[left_out])
    keep = ~np.isin(decision.pairs.edges.external, lines)
    return replace(
        decision,
        pairs=decision.pairs.only(keep),
        made=decision.made[keep],
        component=decision.component[keep],
    )


def _contents(books: Books, side: Side, rows: IntArray) -> IntArray:
    """By row: equal codes where nothing in the content tells two of these rows apart; -1 for all other rows."""
    purse = books.external_purse if side is books.external else books.ledger_purse
    at = np.unique(rows)
    codes = [purse[at], side.amount_minor[at], side.business_date[at]]
    codes.extend(side.content_codes(name, at) for name in telling_columns(books, side))
    result = np.full(len(side), -1, dtype=np.int64)
    result[at] = combined(*codes)
    return result


def _beyond_other_amounts(edges: Edges, scores: Scores, weight: IntArray) -> IntArray:
    """How much better each pair is than the best of its external line with another amount: that may be the true one."""
    best = np.zeros(int(edges.external.max(initial=-1)) + 1, dtype=np.int64)
    other = scores.amount_is == OTHER_AMOUNT
    np.maximum.at(best, edges.external[other], weight[other])
    return weight - best[edges.external]


def _counted(rows: IntArray, component: IntArray) -> IntArray:
    """For each pair the number of distinct rows in its component; 0 without one."""
    inside = np.flatnonzero(component >= 0)
    result = np.zeros(len(rows), dtype=np.int64)
    if len(inside):
        stride = int(rows.max()) + 1
        distinct = np.unique(component[inside] * stride + rows[inside]) // stride
        result[inside] = np.bincount(distinct)[component[inside]]
    return result


def _too_large(
    books: Books,
    rules: MatchRules,
    pairs: Weighed,
    component: IntArray,
    numbers: IntArray,
) -> Iterator[Limit]:
    edges, rivals = pairs.edges, pairs.rivals
    for number in numbers.tolist():
        first = int(np.flatnonzero(component == number)[0])
        yield limit_at(
            books,
            int(edges.external[first]),
            match_pass=_pass_names(rules)[int(edges.similarity[first])],
            what="component_too_large",
            counts=(int(rivals[0][first]), int(rivals[1][first])),
            limit=rules.limits.component_items,
        )


def _by_pass(books: Books, rules: MatchRules, pairs: Weighed, names: dict[int, str]) -> Iterator[Proposal]:
    """The made pairs as proposals, one for each pass that made any."""
    passes = np.array([names[similarity] for similarity in pairs.edges.similarity.tolist()], dtype=np.str_)
    for name in dict.fromkeys(names.values()):
        of_pass = passes == name
        if of_pass.any():
            yield proposal_of(books, rules, name, pairs.only(of_pass))


def _undecided(decided: _Decision, rules: MatchRules, names: dict[int, str]) -> Iterator[Undecided]:
    """Lines of which enough is known and which still have several explanations, with those that are near the best."""
    pairs = decided.pairs
    edges, total = pairs.edges, pairs.scores.total
    best = np.zeros(int(edges.external.max(initial=-1)) + 1, dtype=np.int64)
    open_ = decided.component >= 0
    np.maximum.at(best, edges.external[open_], total[open_])
    sure = open_ & pairs.is_chosen & (total >= pairs.needed)
    at = np.flatnonzero(
        open_
        & np.isin(decided.component, decided.component[sure])
        & (best[edges.external] >= pairs.needed)
        & (total >= best[edges.external] - rules.margin_bits * 1_000)
    )
    passes = np.array([names[similarity] for similarity in edges.similarity.tolist()], dtype=np.str_)
    numbers, first = np.unique(decided.component[at], return_index=True)
    of_component = dict(zip(numbers.tolist(), passes[at[first]].tolist(), strict=True))
    for name in dict.fromkeys(names.values()):
        wanted = np.array(
            [number for number in numbers.tolist() if of_component[number] == name], dtype=np.int64
        )
        if len(wanted):
            yield _told(decided, rules, name, at[np.isin(decided.component[at], wanted)])


def _told(decided: _Decision, rules: MatchRules, match_pass: str, at: IntArray) -> Undecided:
    edges = decided.pairs.edges
    number = np.unique(decided.component[at], return_inverse=True)[1]
    counts = [
        np.bincount(np.unique(number * (int(rows.max()) + 1) + rows) // (int(rows.max()) + 1))
        for rows in (edges.external[at], edges.ledger[at])
    ]
    reasons = [
        f"{ours} external and {theirs} ledger items fit one another in several ways of which none is "
        f"{rules.margin_bits} bits better than the next"
        for ours, theirs in zip(counts[0].tolist(), counts[1].tolist(), strict=True)
    ]
    return Undecided(
        match_pass=match_pass,
        external_rows=edges.external[at],
        ledger_rows=edges.ledger[at],
        component=number,
        reasons=tuple(reasons),
    )


def _pass_names(rules: MatchRules) -> dict[int, str]:
    """The pass that stands for each similarity: its own, or the next best that the rules name."""
    own = {
        EXACT: ("normalised", "exact"),
        NORMALISED: ("normalised", "exact"),
        IN_TEXT: ("in_text",),
        LOST_PREFIX: ("near_reference",),
        NEAR: ("near_reference",),
        NO_REFERENCE: ("amount_and_lag",),
    }
    return {
        similarity: next(
            (name for name in (*names, *WEIGHED_PASSES) if name in rules.passes), WEIGHED_PASSES[0]
        )
        for similarity, names in own.items()
    }
