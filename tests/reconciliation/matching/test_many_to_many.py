"""Several lines against several members: suggestions that leave the fewest open, against trying every division."""

import itertools
import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciliation.matching import MatchContext
from reconciliation.matching.many_to_many import find_many_to_many
from reconciliation.matching.proposals import Outcome, group_keys
from reconciliation.sources import MatchLimits, MatchRules
from tests.reconciliation.matching.cases import Item
from tests.reconciliation.matching.group_cases import books_of, group_rules, member, payout

Group = tuple[frozenset[str], frozenset[str]]


def divide(
    theirs: Sequence[Item],
    ours: Sequence[Item],
    by: MatchRules | None = None,
    *,
    rejected: frozenset[str] = frozenset(),
) -> tuple[set[Group], list[dict[str, Any]], Outcome]:
    books = books_of(theirs, ours)
    outcome = find_many_to_many(
        books,
        np.arange(len(theirs)),
        np.arange(len(ours)),
        rules=by or group_rules(),
        context=MatchContext(rejected=rejected),
    )
    assert outcome.proposals == ()
    lines = books.external.column("line_key").to_pylist()
    entries = books.ledger.column("entry_key").to_pylist()
    groups, evidence = set(), []
    for proposal in outcome.suggestions:
        for at in range(len(proposal)):
            external = proposal.external.rows[proposal.external.group == at].tolist()
            ledger = proposal.ledger.rows[proposal.ledger.group == at].tolist()
            groups.add((frozenset(lines[row] for row in external), frozenset(entries[row] for row in ledger)))
            evidence.append(json.loads(proposal.evidence[at].as_py()))
    return groups, evidence, outcome


def group(lines: str, entries: str) -> Group:
    return frozenset(lines.split()), frozenset(entries.split())


def shop(item: Item) -> Item:
    return item | {"counterparty": "shop"}


def test_lines_and_members_of_one_counterparty_are_divided_into_groups_of_equal_sums() -> None:
    lines = [
        shop(payout("P1", 30_00, day=1)),
        shop(payout("P2", 12_00, day=1)),
        shop(payout("P3", 8_00, day=2)),
    ]
    ours = [shop(member("L1", 25_00)), shop(member("L2", 5_00)), shop(member("L3", 20_00, day=1))]
    groups, evidence, outcome = divide(lines, ours)
    assert groups == {group("P1", "L1 L2"), group("P2 P3", "L3")}
    assert evidence[0]["search"] == {
        "candidates": 6,
        "considered": 3,
        "is_cut": False,
        "proof": "optimal",
        "step": "many_to_many",
    }
    assert evidence[0]["why_not_automatic"] == (
        "which of 3 lines and 3 members belong together is for people to say; "
        "this division is proved to leave the fewest open"
    )
    assert outcome.limits == ()


def test_counterparties_days_and_purses_part_what_may_belong_together() -> None:
    lines = [shop(payout("P1", 30_00, day=1)), shop(payout("P2", 12_00, day=1))]
    ours = [shop(member("L1", 21_00)), shop(member("L2", 21_00))]
    assert divide(lines, ours)[0] == {group("P1 P2", "L1 L2")}
    for changes in ({"counterparty": "market"}, {"account": "assets:bank:other"}, {"amount_minor": 22_00}):
        assert divide(lines, [ours[0], ours[1] | changes])[0] == set()
    assert divide(lines, [ours[0], shop(member("L2", 21_00, day=2))])[0] == set()
    assert divide(lines, ours, group_rules(member_kinds=("refund",)))[0] == set()


def test_a_key_of_the_rule_joins_lines_without_a_counterparty() -> None:
    lines = [payout("P1", 30_00, batch_ref="K"), payout("P2", 12_00, batch_ref="K")]
    ours = [
        member("L1", 20_00, batch_ref="K"),
        member("L2", 22_00, batch_ref="K"),
        member("L3", 10_00, batch_ref="J"),
    ]
    assert divide(lines, ours)[0] == {group("P1 P2", "L1 L2")}


def test_a_division_that_people_took_apart_gives_way_to_the_next_best() -> None:
    lines = [shop(payout("P1", 30_00)), shop(payout("P2", 12_00))]
    ours = [shop(member("L1", 30_00)), shop(member("L2", 12_00))]
    groups, _, outcome = divide(lines, ours)
    assert groups == {group("P1", "L1"), group("P2", "L2")}
    (proposal,) = outcome.suggestions
    keys = group_keys(books_of(lines, ours), proposal.external, proposal.ledger, 2)
    assert divide(lines, ours, rejected=frozenset(keys[:1]))[0] == {group("P1 P2", "L1 L2")}


def test_a_set_that_is_too_large_is_named_and_left_to_people() -> None:
    lines = [shop(payout(f"P{at:02d}", 10_00 + at)) for at in range(13)]
    groups, _, outcome = divide(lines, [shop(member("L", 10_00))])
    assert groups == set()
    (limit,) = outcome.limits
    assert (limit.what, limit.external_count, limit.ledger_count) == ("component_items", 13, 1)


def test_alike_lines_by_the_dozen_are_divided_in_pairs_and_what_was_not_looked_at_is_named() -> None:
    lines = [shop(payout(f"P{at:02d}", 50_00)) for at in range(12)]
    ours = [shop(member(f"L{at:02d}", 50_00)) for at in range(24)]
    groups, evidence, outcome = divide(lines, ours)
    assert len(groups) == 12
    assert [limit.what for limit in outcome.limits] == ["search_steps"]
    assert evidence[0]["search"]["is_cut"]


def test_the_largest_set_is_divided_within_its_bounds() -> None:
    draw = random.Random(11)
    amounts = [draw.randint(10_00, 900_00) for _ in range(24)]
    ours = [shop(member(f"L{at:02d}", amount)) for at, amount in enumerate(amounts)]
    lines = [shop(payout(f"P{at:02d}", amounts[at] + amounts[at + 12])) for at in range(12)]
    groups, evidence, _ = divide(lines, ours)
    assert sum(len(members) for _, members in groups) == 24
    assert evidence[0]["search"]["proof"] == "optimal"


def test_a_bound_on_steps_cuts_the_size_of_groups_and_is_named() -> None:
    lines = [shop(payout("P1", 30_00)), shop(payout("P2", 12_00))]
    ours = [shop(member(f"L{at}", 7_00)) for at in range(6)]
    assert divide(lines, ours)[0] == {group("P1 P2", "L0 L1 L2 L3 L4 L5")}
    groups, _, outcome = divide(lines, ours, group_rules(limits=MatchLimits(search_steps=100)))
    assert groups == set()
    assert [limit.what for limit in outcome.limits] == ["search_steps"]


def _divisions(groups: list[Group], taken: frozenset[str] = frozenset()) -> Iterator[list[Group]]:
    yield []
    for at, one in enumerate(groups):
        members = one[0] | one[1]
        if not members & taken:
            for rest in _divisions(groups[at + 1 :], taken | members):
                yield [one, *rest]


def _best(lines: list[Item], ours: list[Item], lag_days: int) -> tuple[int, int, int]:
    """Lines left open, groups as a negative count, and lag of the best division, by trying all."""
    groups, lag = [], {}
    for some in _subsets(lines):
        for others in _subsets(ours):
            days = [(a["business_date"] - b["business_date"]).days for a in some for b in others]
            even = sum(item["amount_minor"] for item in some) == sum(item["amount_minor"] for item in others)
            if even and min(days) >= 0 and max(days) <= lag_days:
                one = (frozenset(a["line_key"] for a in some), frozenset(b["entry_key"] for b in others))
                groups.append(one)
                lag[one] = max(days)
    return min(
        (
            len(lines) + len(ours) - sum(len(a) + len(b) for a, b in chosen),
            -len(chosen),
            sum(lag[one] for one in chosen),
        )
        for chosen in _divisions(groups)
    )


def _subsets(items: list[Item]) -> Iterator[tuple[Item, ...]]:
    for size in range(1, len(items) + 1):
        yield from itertools.combinations(items, size)


side = st.lists(
    st.tuples(st.sampled_from((1_00, 2_00, 3_00, 4_50, -1_00)), st.integers(0, 2)), min_size=2, max_size=4
)


@given(side, side, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_no_division_leaves_fewer_open_in_more_groups_with_less_lag(
    theirs: list[tuple[int, int]], ours: list[tuple[int, int]], shuffle: random.Random
) -> None:
    lines = [shop(payout(f"P{at}", amount, day=day + 1)) for at, (amount, day) in enumerate(theirs)]
    members = [shop(member(f"L{at}", amount, day=day)) for at, (amount, day) in enumerate(ours)]
    members.append(shop(member("LINK", 77_77_77)))  # keeps all in one set
    by = group_rules(lag_days_max=3)
    groups, evidence, _ = divide(lines, members, by)
    by_key = {item.get("entry_key", item.get("line_key", "")): item for item in lines + members}
    lag = 0
    for some, others in groups:
        assert sum(by_key[key]["amount_minor"] for key in some) == sum(
            by_key[key]["amount_minor"] for key in others
        )
        last = max(by_key[key]["business_date"] for key in some)
        lag += (last - min(by_key[key]["business_date"] for key in others)).days
    left = len(lines) + len(members) - sum(len(some) + len(others) for some, others in groups)
    assert (left, -len(groups), lag) == _best(lines, members, 3)
    assert all(each["search"]["proof"] == "optimal" for each in evidence)
    shuffle.shuffle(lines)
    shuffle.shuffle(members)
    assert divide(lines, members, by)[:2] == (groups, evidence)
