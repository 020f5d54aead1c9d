"""Pass ``many_to_many``: several external lines and several ledger lines that only together make sense. Suggests only.

Lines of a rule's kind and their possible members are one set when they share a counterparty, or a key of the rule, in
one purse and within its days. A small set is divided into groups of equal sums so that the fewest lines stay open,
then into as many groups as possible, then with the least lag. All groups of equal sums are listed first, in exact
integers; a solver with a bound on its nodes, never on time, chooses among them and says whether the choice is proved.

    lines 30.00, 12.00, 8.00     members 25.00, 5.00, 20.00     30.00 = 25.00 + 5.00 and 12.00 + 8.00 = 20.00

Law: nothing is confirmed here, and what people took apart is not suggested again. Sets that are too large are limits.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csc_array, csr_array
from scipy.sparse.csgraph import connected_components

from reconciliation.matching.books import Books
from reconciliation.matching.candidates import combined, counted_up, equal_pairs
from reconciliation.matching.columns import BoolArray, Column, IntArray, kernel
from reconciliation.matching.context import MatchContext
from reconciliation.matching.group_windows import Search, decimal_text
from reconciliation.matching.many_evidence import Division, suggestion
from reconciliation.matching.proposals import Membership, Outcome, Proposal, undone_pairs
from reconciliation.matching.references import shared_codes
from reconciliation.matching.result import Limit
from reconciliation.matching.subset_sums import exact
from reconciliation.sources import MatchRules

EXTERNAL_MAX: Final = 12
LEDGER_MAX: Final = 24
_GROUPS_MAX: Final = 4_000  # groups of equal sums that the solver chooses among
_NODES_MAX: Final = (
    1_000  # of the solver's tree; at 4 000 groups it has hardly ever needed more than the first
)
_STEPS_EACH: Final = 8  # bytes-sized pieces of work for each subset: its sum, its days, its place

Amounts = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Set:
    """Rows that may belong together; ``linked[e, l]``: this line and this member may share a group."""

    external: IntArray
    ledger: IntArray
    linked: BoolArray


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subsets:
    """Subsets of one side as bits of their lines, with exact sums and their first and last days."""

    bits: IntArray
    sum_minor: Amounts
    earliest: IntArray
    latest: IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class _Groups:
    """Groups of equal sums, as bits of either side. ``is_cut``: larger ones were not looked at."""

    external: IntArray
    ledger: IntArray
    lag_days: IntArray
    is_cut: bool


def find_many_to_many(
    books: Books,
    external_rows: IntArray,
    ledger_rows: IntArray,
    *,
    rules: MatchRules,
    context: MatchContext,
) -> Outcome:
    """Suggested groups of several lines on both sides over every rule of ``rules.groups``."""
    suggestions: list[Proposal] = []
    limits: list[Limit] = []
    for rule in rules.groups:
        search = Search.open(
            "many_to_many",
            books,
            rule,
            external_rows=external_rows,
            ledger_rows=ledger_rows,
            rules=rules,
            context=context,
        )
        for one in _sets(search, limits):
            division = _divided(search, one, limits)
            if division is not None:
                suggestions.append(suggestion(books, division))
    return Outcome(limits=tuple(dict.fromkeys(limits)), suggestions=tuple(suggestions))


def _sets(search: Search, limits: list[Limit]) -> Iterator[_Set]:
    """Connected sets with several lines, in canonical order; those that are too large are named."""
    payouts, members = search.payouts, np.sort(search.members)
    if not len(payouts) or not len(members):
        return
    left, right = _links(search, payouts, members, limits)
    size = len(payouts) + len(members)
    graph = csr_array((np.ones(len(left), dtype=np.int8), (left, right + len(payouts))), shape=(size, size))
    number = connected_components(graph, directed=False)[1]
    lines = np.bincount(number[: len(payouts)], minlength=size)
    for component in dict.fromkeys(number[: len(payouts)].tolist()):
        if lines[component] < 2:
            continue
        at_external = np.flatnonzero(number[: len(payouts)] == component)
        at_ledger = np.flatnonzero(number[len(payouts) :] == component)
        if len(at_external) > EXTERNAL_MAX or len(at_ledger) > LEDGER_MAX:
            limits.append(_too_large(search, int(payouts[at_external[0]]), len(at_external), len(at_ledger)))
            continue
        inside = np.isin(left, at_external)
        linked = np.zeros((len(at_external), len(at_ledger)), dtype=np.bool_)
        linked[np.searchsorted(at_external, left[inside]), np.searchsorted(at_ledger, right[inside])] = True
        yield _Set(external=payouts[at_external], ledger=members[at_ledger], linked=linked)


def _too_large(search: Search, payout: int, external_count: int, ledger_count: int) -> Limit:
    limit = search.limit(payout, "component_items", members=ledger_count, limit=EXTERNAL_MAX + LEDGER_MAX)
    return Limit(
        match_pass=limit.match_pass,
        what=limit.what,
        account=limit.account,
        asset=limit.asset,
        reference=limit.reference,
        external_count=external_count,
        ledger_count=ledger_count,
        limit=limit.limit,
    )


def _links(
    search: Search, payouts: IntArray, members: IntArray, limits: list[Limit]
) -> tuple[IntArray, IntArray]:
    """Places of lines and members that share a counterparty or the rule's key, in one purse and within its days."""
    books, bound = search.books, search.rules.limits.candidate_pairs
    edges = [np.empty(0, dtype=np.int64)]
    for names in dict.fromkeys((("counterparty",), search.rule.by)):
        keys = combined_keys(search, payouts, members, names)
        size = int(max(keys[0].max(), keys[1].max(), 0)) + 1
        counts = [np.bincount(side[side >= 0], minlength=size) for side in keys]
        for code in np.flatnonzero(counts[0] * counts[1] > bound).tolist():
            first = int(payouts[np.flatnonzero(keys[0] == code)[0]])
            limits.append(search.limit(first, "candidate_pairs", members=int(counts[1][code]), limit=bound))
            keys = (np.where(keys[0] == code, -1, keys[0]), keys[1])
        left, right = equal_pairs(*keys)
        edges.append(left * len(members) + right)
    edge = np.unique(np.concatenate(edges))
    left, right = edge // len(members), edge % len(members)
    lag = books.external.business_date[payouts[left]] - books.ledger.business_date[members[right]]
    keep = (lag >= 0) & (lag <= search.rule.lag_days_max) & ~search.barred(payouts[left], members[right])
    return left[keep], right[keep]


def combined_keys(
    search: Search, payouts: IntArray, members: IntArray, names: tuple[str, ...]
) -> tuple[IntArray, IntArray]:
    """Codes of (purse, columns) over both sides, equal where all agree; -1 where one is missing."""
    books = search.books
    codes = [np.concatenate([books.external_purse[payouts], books.ledger_purse[members]])]
    present = np.ones(len(codes[0]), dtype=np.bool_)
    for name in names:
        ours = books.external.column(name).take(pa.array(payouts))
        theirs = books.ledger.column(name).take(pa.array(members))
        code = np.concatenate(shared_codes(_plain(ours), _plain(theirs)))
        present &= code != 0
        codes.append(code)
    key = np.where(present, combined(*codes), -1)
    return key[: len(payouts)], key[len(payouts) :]


def _plain(values: Column) -> Column:
    """Texts without case and outer blanks; empty is missing."""
    texts = kernel.utf8_trim_whitespace(kernel.utf8_lower(kernel.cast(values, pa.string())))
    return kernel.if_else(kernel.equal(texts, ""), pa.scalar(None, pa.string()), texts)


def _divided(search: Search, one: _Set, limits: list[Limit]) -> Division | None:
    """The division of one set into groups; None where nothing sums."""
    groups = _groups(search, one)
    if groups.is_cut:
        limits.append(
            search.limit(
                int(one.external[0]),
                "search_steps",
                members=len(one.ledger),
                limit=search.rules.limits.search_steps,
            )
        )
    if not len(groups.external):
        return None
    chosen, gap_micro = _chosen(search, one, groups)
    if chosen is None or not len(chosen):
        return None
    parts = [
        (one.external[_places(int(groups.external[at]))], one.ledger[_places(int(groups.ledger[at]))])
        for at in chosen.tolist()
    ]
    parts.sort(key=lambda part: int(part[0][0]))
    return Division(
        groups=tuple(parts),
        external_count=len(one.external),
        ledger_count=len(one.ledger),
        considered=len(groups.external),
        proof="optimal" if gap_micro == 0 else f"gap {decimal_text(gap_micro)} left",
        is_cut=groups.is_cut,
    )


def _groups(search: Search, one: _Set) -> _Groups:
    """Groups of equal sums within the links, that people did not take apart; as large as the bounds allow."""
    lines, members = len(one.external), len(one.ledger)
    steps = search.rules.limits.search_steps // _STEPS_EACH
    most = [_size_within(lines, steps), _size_within(members, steps)]
    while (found := _of_sizes(search, one, most, steps)) is None:
        most[0 if most[1] == 1 else 1] -= 1
    is_cut = most[0] < lines or most[1] < members
    external, ledger = found.external, found.ledger
    spoiled = _is_spoiled(search, one, external, ledger)
    return _Groups(
        external=external[~spoiled], ledger=ledger[~spoiled], lag_days=found.lag_days[~spoiled], is_cut=is_cut
    )


def _of_sizes(search: Search, one: _Set, most: list[int], steps: int) -> _Groups | None:
    """Groups of up to so many lines and members; None if there are too many of them, as long as any can be spared."""
    books, can_spare = search.books, max(most) > 1
    ours = _subsets(
        books.external.amount_minor[one.external], books.external.business_date[one.external], most[0]
    )
    theirs = _subsets(books.ledger.amount_minor[one.ledger], books.ledger.business_date[one.ledger], most[1])
    order = np.argsort(theirs.sum_minor, kind="stable")
    ordered = theirs.sum_minor[order]
    first = np.searchsorted(ordered, ours.sum_minor, side="left")
    count = np.searchsorted(ordered, ours.sum_minor, side="right") - first
    if can_spare and int(count.sum()) > steps:
        return None
    at, to = np.repeat(np.arange(len(count)), count), order[counted_up(first, count)]
    allowed = _linked_to_all(one, ours.bits)
    keep = ((theirs.bits[to] & ~allowed[at]) == 0) & (np.abs(ours.sum_minor[at]) < 2**63)
    at, to = at[keep], to[keep]
    if can_spare and len(at) > _GROUPS_MAX:
        return None
    return _Groups(
        external=ours.bits[at],
        ledger=theirs.bits[to],
        lag_days=ours.latest[at] - theirs.earliest[to],
        is_cut=False,
    )


def _linked_to_all(one: _Set, bits: IntArray) -> IntArray:
    """Per subset of lines the members, as bits, to which each of its lines is linked."""
    links = one.linked @ np.left_shift(np.ones(len(one.ledger), dtype=np.int64), np.arange(len(one.ledger)))
    allowed = np.full(len(bits), -1, dtype=np.int64)
    for place, members in enumerate(links.tolist()):
        allowed = np.where(bits >> place & 1, allowed & members, allowed)
    return allowed


def _size_within(members: int, steps: int) -> int:
    """The most members of a subset so that there are no more subsets than steps; at least one."""
    total, size, choices = 0, 0, 1
    while size < members:
        choices = choices * (members - size) // (size + 1)
        total += choices
        if total > steps and size:
            break
        size += 1
    return size


def _subsets(amounts: IntArray, days: IntArray, most: int) -> _Subsets:
    """All subsets of one to ``most`` lines, by size and then by place."""
    values = exact(amounts)
    highest = np.arange(len(values))
    level = _Subsets(
        bits=np.left_shift(np.ones(len(values), dtype=np.int64), highest),
        sum_minor=values,
        earliest=days,
        latest=days,
    )
    levels = [level]
    for _ in range(1, min(most, len(values))):
        more = len(values) - 1 - highest
        parent = np.repeat(np.arange(len(highest)), more)
        highest = counted_up(highest + 1, more)
        level = _Subsets(
            bits=level.bits[parent] | np.left_shift(np.ones(len(highest), dtype=np.int64), highest),
            sum_minor=level.sum_minor[parent] + values[highest],
            earliest=np.minimum(level.earliest[parent], days[highest]),
            latest=np.maximum(level.latest[parent], days[highest]),
        )
        levels.append(level)
    return _Subsets(
        bits=np.concatenate([each.bits for each in levels]),
        sum_minor=np.concatenate([each.sum_minor for each in levels]),
        earliest=np.concatenate([each.earliest for each in levels]),
        latest=np.concatenate([each.latest for each in levels]),
    )


def _is_spoiled(search: Search, one: _Set, external: IntArray, ledger: IntArray) -> BoolArray:
    """Groups that people took apart, and pairs that name each other's absence."""
    spoiled = np.zeros(len(external), dtype=np.bool_)
    pair = np.flatnonzero(((external & (external - 1)) == 0) & ((ledger & (ledger - 1)) == 0))
    lines = one.external[np.array([_places(bits)[0] for bits in external[pair].tolist()], dtype=np.int64)]
    members = one.ledger[np.array([_places(bits)[0] for bits in ledger[pair].tolist()], dtype=np.int64)]
    spoiled[pair] = search.books.contradicts(lines, members)
    if search.context.rejected and len(external):
        sides = [_membership(one.external, external), _membership(one.ledger, ledger)]
        spoiled |= undone_pairs(search.books, search.context.rejected, *sides, count=len(external))
    return spoiled


def _membership(rows: IntArray, bits: IntArray) -> Membership:
    places = [_places(each) for each in bits.tolist()]
    sizes = np.array([len(each) for each in places], dtype=np.int64)
    flat = np.concatenate([*places, np.empty(0, dtype=np.int64)])
    return Membership(group=np.repeat(np.arange(len(bits)), sizes), rows=rows[flat])


def _chosen(search: Search, one: _Set, groups: _Groups) -> tuple[IntArray | None, int]:
    """Disjoint groups: fewest lines left open, then most groups, then least lag; and the gap in millionths."""
    count, lines = len(groups.external), len(one.external)
    sides = [(groups.external, 0, lines), (groups.ledger, lines, len(one.ledger))]
    covers = [
        (np.flatnonzero(bits >> place & 1), offset + place)
        for bits, offset, size in sides
        for place in range(size)
    ]
    columns = np.concatenate([at for at, _ in covers])
    rows = np.repeat([row for _, row in covers], [len(at) for at, _ in covers])
    matrix = csc_array(
        (np.ones(len(rows), dtype=np.int64), (rows, columns)), shape=(lines + len(one.ledger), count)
    )
    sizes = np.asarray(matrix.sum(axis=0), dtype=np.int64)
    one_more_group = lines * search.rule.lag_days_max + 1
    one_line_less_open = one_more_group * (lines + 1)
    worth = sizes * one_line_less_open + one_more_group - groups.lag_days
    solved: Any = milp(
        -worth,
        integrality=np.ones(count, dtype=np.int64),
        bounds=Bounds(0, 1),
        constraints=LinearConstraint(matrix, -np.inf, 1),
        options={"node_limit": _NODES_MAX, "mip_rel_gap": 0},
    )
    if solved.x is None:
        return None, 0
    gap = int(np.rint(np.minimum(solved.mip_gap, 1) * 1_000_000))
    return np.flatnonzero(solved.x > 0.5), 0 if solved.status == 0 else max(gap, 1)


def _places(bits: int) -> IntArray:
    return np.array([place for place in range(bits.bit_length()) if bits >> place & 1], dtype=np.int64)
