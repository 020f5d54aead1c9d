"""Groups without ids: confirmed when there is one explanation and never otherwise, against trying everything."""

import itertools
import random
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciliation.matching import subset_sums
from reconciliation.matching.group_search import GroupStep
from reconciliation.matching.processing_order import order_key, order_keys
from reconciliation.matching.proposals import group_keys
from reconciliation.sources import MatchLimits
from tests.reconciliation.matching.cases import Item, on
from tests.reconciliation.matching.group_cases import (
    Found,
    Solutions,
    books_of,
    content,
    group_rules,
    member,
    naive_subsets,
    naive_windows,
    payout,
    search,
    uncontested,
)

STEPS: tuple[GroupStep, ...] = ("key_sum", "chained_run", "window_less_few", "bounded_subset")


def test_a_batch_that_sums_to_the_line_is_confirmed() -> None:
    ours = [
        member("L1", 10_00, batch_ref="K1"),
        member("L2", 20_00, batch_ref="K1"),
        member("L3", 40_00, batch_ref="K2"),
    ]
    found = search("key_sum", [payout("P", 30_00, day=1)], ours)
    assert found.confirmed == {"P": {"L1", "L2"}}
    assert found.evidence["P"]["search"] == {
        "candidates": 2,
        "key": {"batch_ref": "K1"},
        "solutions": 1,
        "step": "key_sum",
    }


def test_a_batch_that_reaches_beyond_the_line_is_not_complete() -> None:
    ours = [member("L1", 10_00, batch_ref="K"), member("L2", 20_00, batch_ref="K")]
    late = [member("L3", 5_00, batch_ref="K", day=2)]
    assert search("key_sum", [payout("P", 30_00, day=1)], ours + late).confirmed == {}
    assert search("key_sum", [payout("P", 35_00, day=1)], ours + late).confirmed == {}
    assert search("key_sum", [payout("P", 35_00, day=2)], ours + late).confirmed == {"P": {"L1", "L2", "L3"}}


def test_two_batches_of_one_sum_are_a_suggestion_with_the_count() -> None:
    ours = [member("L1", 30_00, batch_ref="K1"), member("L2", 30_00, batch_ref="K2")]
    found = search("key_sum", [payout("P", 30_00)], ours)
    assert (found.confirmed, found.suggested) == ({}, {"P": 2})
    assert found.evidence["P"]["why_not_automatic"] == "2 sets of members explain the line equally well"
    assert found.evidence["P"]["alternatives"] == [{"external": "P", "ledger": "L2"}]


def test_two_lines_that_want_one_batch_get_none_of_it() -> None:
    ours = [member("L1", 30_00, batch_ref="K1")]
    found = search("key_sum", [payout("P1", 30_00), payout("P2", 30_00)], ours)
    assert (found.confirmed, found.suggested) == ({}, {"P1": 1, "P2": 1})
    assert "another line" in found.evidence["P1"]["why_not_automatic"]


def test_a_rest_of_a_minor_unit_for_each_member_is_only_suggested() -> None:
    ours = [member("L1", 10_00, batch_ref="K1"), member("L2", 20_00, batch_ref="K1")]
    assert search("key_sum", [payout("P", 30_02)], ours).suggested == {"P": 1}
    assert search("key_sum", [payout("P", 30_03)], ours).suggested == {}
    assert search("key_sum", [payout("P", 30_02)], ours).confirmed == {}


@pytest.mark.parametrize("step", STEPS)
def test_members_of_other_purses_other_days_and_other_kinds_explain_nothing(step: GroupStep) -> None:
    good = [member("L1", 1_234_10, batch_ref="K1"), member("L2", 2_020_03, batch_ref="K1", minute=1)]
    line = payout("P", 3_254_13, day=3)
    assert search(step, [line], good).confirmed == {"P": {"L1", "L2"}}
    for changes in (
        {"account": "assets:bank:other"},
        {"asset": "USD"},
        {"business_date": on(4)},
        {"kind": "fee"},
    ):
        spoiled = [good[0], good[1] | changes]
        assert search(step, [line], spoiled, group_rules(member_kinds=("charge",))).confirmed == {}, changes
    assert search(step, [payout("P", 3_254_13, day=3)], good, group_rules(lag_days_max=2)).confirmed == {}


@pytest.mark.parametrize("step", STEPS)
def test_a_group_that_people_took_apart_is_never_proposed_again(step: GroupStep) -> None:
    line, ours = (
        payout("P", 3_254_13),
        [member("L1", 1_234_10, batch_ref="K"), member("L2", 2_020_03, batch_ref="K")],
    )
    first = search(step, [line], ours)
    (proposal,) = first.outcome.proposals
    keys = group_keys(books_of([line], ours), proposal.external, proposal.ledger, 1)
    again = search(step, [line], ours, rejected=frozenset(keys))
    assert (again.confirmed, again.suggested) == ({}, {})


@pytest.mark.parametrize("step", STEPS)
def test_a_member_that_another_open_line_names_is_not_taken_without_people(step: GroupStep) -> None:
    line, ours = (
        payout("P", 3_254_13),
        [member("L1", 1_234_10, batch_ref="K"), member("L2", 2_020_03, batch_ref="K")],
    )
    other = payout("E", 2_020_99, ref_end_to_end="INVOICE-77") | {"kind": "transfer"}
    ours[1]["ref_end_to_end"] = "INVOICE-77"
    found = search(step, [line, other], ours)
    assert (found.confirmed, found.suggested) == ({}, {"P": 1})
    assert "another open line names" in found.evidence["P"]["why_not_automatic"]


@pytest.mark.parametrize("step", STEPS)
def test_a_line_whose_own_reference_no_member_knows_is_not_matched_without_people(step: GroupStep) -> None:
    line = payout("P", 3_254_13, ref_end_to_end="SOMETHING-ELSE")
    ours = [member("L1", 1_234_10, batch_ref="K"), member("L2", 2_020_03, batch_ref="K")]
    assert search(step, [line], ours).confirmed == {"P": {"L1", "L2"}}
    for number, item in enumerate(ours):
        item["ref_end_to_end"] = f"INVOICE-{number}"
    assert search(step, [line], ours).suggested == {"P": 1}


@pytest.mark.parametrize("step", STEPS)
def test_without_a_rule_or_without_payouts_nothing_is_searched(step: GroupStep) -> None:
    ours = [member("L1", 1_234_10, batch_ref="K")]
    other = payout("P", 1_234_10) | {"kind": "transfer"}
    assert search(step, [other], ours).confirmed == {}
    assert search(step, [payout("P", 0)], [member("L1", 0, batch_ref="K")]).confirmed == {}


def test_runs_follow_one_another_from_the_cursor_on() -> None:
    ours = [
        member(f"L{at}", amount, minute=at)
        for at, amount in enumerate((1_00, 10_00, 20_00, 5_00, 7_00, 9_00))
    ]
    books = books_of([payout("P1", 30_00)], ours)
    lines = [payout("P1", 30_00, day=1), payout("P2", 12_00, day=2), payout("P3", 99_00, day=3)]
    found = search("chained_run", lines, ours, cursor=order_key(books, 0))
    assert found.confirmed == {"P1": {"L1", "L2"}, "P2": {"L3", "L4"}}
    assert found.evidence["P2"]["search"]["start"] == "known"


def test_a_run_that_does_not_start_at_the_cursor_is_none() -> None:
    ours = [member(f"L{at}", amount, minute=at) for at, amount in enumerate((1_00, 10_00, 20_00))]
    cursor = order_key(books_of([payout("P", 1)], ours), 0)
    assert search("chained_run", [payout("P", 20_00)], ours, cursor=cursor).confirmed == {}
    assert search("chained_run", [payout("P", 20_00)], ours, cursor=cursor).suggested == {}


def test_the_end_of_a_run_is_not_guessed_when_a_refund_cancels_what_follows() -> None:
    amounts = (10_00, 20_00, 5_00, -5_00)
    ours = [member(f"L{at}", amount, minute=at) for at, amount in enumerate(amounts)]
    found = search("chained_run", [payout("P", 30_00)], ours, cursor="")
    assert (found.confirmed, found.suggested) == ({}, {"P": 2})


def test_lines_of_one_day_are_chained_in_the_one_order_that_fits() -> None:
    ours = [member(f"L{at}", amount, minute=at) for at, amount in enumerate((10_00, 20_00, 7_00))]
    lines = [payout("A", 7_00), payout("B", 30_00)]  # by key the wrong order
    assert search("chained_run", lines, ours, cursor="").confirmed == {"A": {"L2"}, "B": {"L0", "L1"}}
    both = [payout("A", 10_00), payout("B", 30_00)]
    found = search("chained_run", both, ours, cursor="")
    assert (found.confirmed, set(found.suggested)) == ({}, {"A", "B"})


def _long_chain(largest: int) -> tuple[list[Item], list[Item], dict[str, frozenset[str]]]:
    draw = random.Random(5)
    amounts = [draw.randint(100, largest) * (-1 if at % 17 == 0 else 1) for at in range(2_000)]
    ours = [member(f"L{at:05d}", amount, minute=at % 700, day=at // 700) for at, amount in enumerate(amounts)]
    cuts = ((0, 640), (640, 1_300), (1_300, 2_000))
    lines = [payout(f"P{at}", sum(amounts[first:last]), day=3 + at) for at, (first, last) in enumerate(cuts)]
    runs = {
        f"P{at}": frozenset(f"L{number:05d}" for number in range(first, last))
        for at, (first, last) in enumerate(cuts)
    }
    return lines, ours, runs


def test_a_chain_of_two_thousand_members_is_found_from_its_cursor() -> None:
    lines, ours, runs = _long_chain(900_00)
    assert search("chained_run", lines, ours, cursor="").confirmed == runs


def test_a_run_without_a_cursor_is_confirmed_only_where_chance_would_not_give_one() -> None:
    lines, ours, runs = _long_chain(9_000_000_00)
    found = search("chained_run", lines[1:], ours)
    assert found.confirmed == {"P1": runs["P1"], "P2": runs["P2"]}
    assert [found.evidence[line]["search"]["start"] for line in ("P1", "P2")] == ["searched", "known"]
    lines, ours, _ = _long_chain(90_00)
    found = search("chained_run", lines[1:2], ours)
    assert (found.confirmed, set(found.suggested)) == ({}, {"P1"})
    assert found.evidence["P1"]["search"]["expected_accidental"] > "0.05"


def test_a_run_that_may_as_well_end_later_and_leave_one_out_is_not_confirmed() -> None:
    ours = [member(f"L{at}", amount, minute=at) for at, amount in enumerate((10_00, 20_00, 31_17, 20_00))]
    line = payout("P", 61_17)  # L0 L1 L2, or all but L1
    for item, name in ((ours[1], "anna"), (ours[3], "bert")):
        item["counterparty"] = name
    found = search("chained_run", [line], ours, cursor="")
    assert (found.confirmed, found.suggested) == ({}, {"P": 1})
    assert "whole windows less a few" in found.evidence["P"]["why_not_automatic"]
    assert search("window_less_few", [line], ours, cursor="").suggested == {"P": 2}
    ours[3]["counterparty"] = "anna"
    assert search("chained_run", [line], ours, cursor="").confirmed == {"P": {"L0", "L1", "L2"}}


def test_the_only_subset_is_not_confirmed_where_chance_gives_one_too_often() -> None:
    ours = [member(f"L{at}", amount) for at, amount in enumerate((31_11, 27_43, 45_17, 52_39, 77_83, 61_57))]
    line = payout("P", 31_11 + 45_17 + 77_83)
    found = search("bounded_subset", [line], ours)
    assert (found.confirmed, found.suggested) == ({}, {"P": 1})
    assert "chance alone gives 0.00" in found.evidence["P"]["why_not_automatic"]
    assert search("bounded_subset", [line], ours, group_rules(confirm_bits=0)).confirmed == {
        "P": {"L0", "L2", "L4"}
    }


def test_order_keys_sort_as_members_were_processed() -> None:
    ours = [
        member("B", 1, minute=1),
        member("A", 1, minute=2),
        member("A 0", 1, minute=2),
        member("C", 1, minute=0),
    ]
    ours.append(member("C", 1, minute=0, line_no=10) | {"entry_id": 9})
    ours.append(member("C", 1, minute=0, line_no=9) | {"entry_id": 9})
    books = books_of([], ours)
    keys = order_keys(books.ledger.table).to_pylist()
    names = [(row["entry_key"], row["line_no"]) for row in books.ledger.table.to_pylist()]
    ordered = [name for _, name in sorted(zip(keys, names, strict=True))]
    assert ordered[:4] == [("C", 1), ("C", 9), ("C", 10), ("B", 1)]
    assert keys == [order_key(books, row) for row in range(len(ours))]


def test_a_window_less_its_late_members_is_confirmed_and_names_them() -> None:
    amounts = (311_17, 222_29, 87_41, 139_03, 58_77)
    ours = [member(f"L{at}", amount, minute=at) for at, amount in enumerate(amounts)]
    for late in ((), (4,), (1, 3)):
        total = sum(amount for at, amount in enumerate(amounts) if at not in late)
        found = search("window_less_few", [payout("P", total, day=2)], ours)
        assert found.confirmed == {"P": {f"L{at}" for at in range(5) if at not in late}}
        assert found.evidence["P"]["search"]["left_out"] == [f"L{at}" for at in late]
    three = [payout("P", 311_17 + 222_29, day=2)]
    assert search("window_less_few", three, ours).confirmed == {}
    assert search("window_less_few", three, ours, group_rules(late_max=3)).confirmed == {"P": {"L0", "L1"}}


def test_which_of_alike_members_came_late_makes_no_difference_and_the_last_stays() -> None:
    ours = [member(f"L{at}", 50_00, counterparty="shop") for at in range(3)] + [member("M", 73_11)]
    line = payout("P", 50_00 + 50_00 + 73_11)
    assert search("window_less_few", [line], ours).confirmed == {"P": {"L0", "L1", "M"}}
    ours[1]["counterparty"] = "somebody else"
    found = search("window_less_few", [line], ours)
    assert (found.confirmed, found.suggested) == ({}, {"P": 2})


def test_a_reference_that_the_other_side_could_answer_tells_members_apart() -> None:
    ours = [member(f"L{at}", 50_00, ref_end_to_end=f"ORDER-{at}") for at in range(2)] + [member("M", 73_11)]
    line = payout("P", 50_00 + 73_11)
    assert search("window_less_few", [line], ours).confirmed == {"P": {"L0", "M"}}
    answer = payout("E", 1_00, ref_end_to_end="SOMETHING") | {"kind": "transfer"}
    assert search("window_less_few", [line, answer], ours).suggested == {"P": 2}


def test_lines_that_share_alike_members_are_given_one_each() -> None:
    ours = [member("L1", 5_000_00), member("L2", 5_000_00), member("M", 7_311_13), member("N", 9_977_29)]
    lines = [payout("P1", 12_311_13), payout("P2", 14_977_29)]
    assert search("bounded_subset", lines, ours).confirmed == {"P1": {"L1", "M"}, "P2": {"L2", "N"}}
    assert search("bounded_subset", lines, [ours[0], *ours[2:]]).confirmed == {}


def test_a_subset_is_not_searched_for_where_chance_would_give_one() -> None:
    draw = random.Random(3)
    ours = [member(f"L{at:02d}", draw.randint(10_00, 90_00)) for at in range(20)]
    line = payout("P", sum(item["amount_minor"] for item in ours[:8]))
    found = search("bounded_subset", [line], ours)
    assert (found.confirmed, found.suggested, found.limits) == ({}, {}, [])


def test_a_payout_with_two_explanations_is_suggested_with_the_count() -> None:
    ours = [
        member("L1", 30_000_00),
        member("L2", 20_000_00),
        member("L3", 50_000_00),
        member("L4", 90_000_00),
    ]
    found = search("bounded_subset", [payout("P", 50_000_00)], ours)
    assert (found.confirmed, found.suggested) == ({}, {"P": 2})
    assert found.evidence["P"]["search"]["solutions"] == 2
    assert len(found.evidence["P"]["alternatives"]) == 1


def test_every_bound_that_is_met_is_named() -> None:
    ours = [member(f"L{at}", 1_000_00 + 37_13 * 2**at, batch_ref=f"K{at % 2}") for at in range(8)]
    line = payout("P", sum(item["amount_minor"] for item in ours[:5]))
    small = {"subset_candidates": 5, "group_candidates": 3}
    by = group_rules(limits=MatchLimits(**small), late_max=3)
    assert search("bounded_subset", [line], ours, by).limits == ["subset_candidates"]
    assert search("window_less_few", [line], ours, by).limits == ["group_candidates"]
    stepped = group_rules(limits=MatchLimits(search_steps=2), late_max=3)
    for step in ("bounded_subset", "window_less_few", "chained_run"):
        assert search(step, [line], ours, stepped).limits == ["search_steps"]
    assert search("bounded_subset", [line], ours).confirmed == {"P": {f"L{at}" for at in range(5)}}


def test_sums_beyond_sixty_four_bits_stay_exact() -> None:
    huge = 2**62
    ours = [
        member("L1", huge),
        member("L2", huge),
        member("L3", huge),
        member("L4", -huge),
        member("L5", 7_13),
    ]
    assert search("window_less_few", [payout("P", huge + 7_13)], ours).confirmed == {
        "P": {"L1", "L2", "L4", "L5"}  # three alike, of which the last came late
    }
    assert search("bounded_subset", [payout("P", huge + 7_13)], ours).suggested == {"P": 2}
    assert search("chained_run", [payout("P", huge - 1)], ours, cursor="").confirmed == {}
    assert search("chained_run", [payout("P", huge)], ours[1:3], cursor="").confirmed == {"P": {"L2"}}
    for step in STEPS:
        assert (
            search(step, [payout("P", -(2**63) + 7_13)], ours).confirmed == {}
        )  # what 64 bits would make of it


amounts = st.integers(-40, 60)


@given(st.lists(st.tuples(amounts, st.integers(1, 3)), min_size=1, max_size=5), st.integers(-60, 120))
@settings(max_examples=150, deadline=None)
def test_subsets_are_counted_as_trying_all_of_them_counts(
    classes: list[tuple[int, int]], target: int
) -> None:
    values = np.array([amount for amount, _ in classes], dtype=np.int64)
    sizes = np.array([size for _, size in classes], dtype=np.int64)
    choices = [np.array(choice) for choice in np.ndindex(*(sizes + 1))]
    fitting = [choice for choice in choices if int((choice * values).sum()) == target]
    found = subset_sums.subsets(values, sizes, target)
    assert found.count == len(fitting)
    assert {tuple(choice) for choice in found.first} <= {tuple(choice) for choice in fitting}
    assert len({tuple(choice) for choice in found.first}) == min(len(fitting), subset_sums.EXPLICIT_MAX)
    assert found.most.tolist() == (np.max(fitting, axis=0).tolist() if fitting else [0] * len(values))
    if target:
        assert subset_sums.reachable(np.repeat(values, sizes), target) or not fitting
    for few in range(4):
        out = [choice for choice in fitting if choice.sum() == few]
        assert subset_sums.left_out(values, sizes, target, few).count == len(out)


price = st.sampled_from((4_999_00, 9_999_00, 14_998_00, -4_999_00, 20_011_17, 7_321_43, 5_000_00))
items = st.lists(
    st.tuples(price, st.integers(0, 2), st.sampled_from(("shop", "market"))), min_size=1, max_size=8
)
picks = st.lists(st.tuples(st.sets(st.integers(0, 7), min_size=1), st.integers(2, 4)), min_size=1, max_size=3)


def _case(
    drawn: list[tuple[int, int, str]], chosen: list[tuple[set[int], int]]
) -> tuple[list[Item], list[Item]]:
    ours = [
        member(f"L{at}", amount, day=day, minute=at, counterparty=name)
        for at, (amount, day, name) in enumerate(drawn)
    ]
    sums = [sum(ours[at]["amount_minor"] for at in places if at < len(ours)) for places, _ in chosen]
    lines = [payout(f"P{at}", total, day=chosen[at][1]) for at, total in enumerate(sums) if total]
    return lines, ours


def _agrees(
    found: Found, lines: list[Item], ours: list[Item], naive: Callable[[Item, list[Item]], Solutions]
) -> None:
    """Confirmed is what stays when certain groups are taken round by round; the rest is suggested with its count."""
    left, open_lines = list(ours), list(lines)
    confirmed: dict[str, Counter[tuple[Any, ...]]] = {}
    while True:
        solutions = {line["line_key"]: naive(line, left) for line in open_lines}
        fresh = uncontested({line: sets for line, sets in solutions.items() if sets}, left)
        if not fresh:
            break
        confirmed |= fresh
        open_lines = [line for line in open_lines if line["line_key"] not in fresh]
        for taken in fresh.values():
            for kind in taken.elements():
                left.remove(next(item for item in left if content(item) == kind))
    by_key = {item["entry_key"]: item for item in ours}
    assert {
        line: Counter(content(by_key[key]) for key in members) for line, members in found.confirmed.items()
    } == confirmed
    assert found.suggested == {line: len(sets) for line, sets in solutions.items() if sets}
    keys = [key for members in found.confirmed.values() for key in members]
    assert len(keys) == len(set(keys))


@given(items, picks, st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_subsets_of_lines_are_confirmed_exactly_when_they_are_the_only_explanation(
    drawn: list[tuple[int, int, str]], chosen: list[tuple[set[int], int]], shuffle: random.Random
) -> None:
    lines, ours = _case(drawn, chosen)
    found = search("bounded_subset", lines, ours, group_rules(lag_days_max=3))
    _agrees(found, lines, ours, lambda line, left: naive_subsets(line, left, 3))
    shuffle.shuffle(lines)
    shuffle.shuffle(ours)
    again = search("bounded_subset", lines, ours, group_rules(lag_days_max=3))
    assert (again.confirmed, again.suggested, again.evidence) == (
        found.confirmed,
        found.suggested,
        found.evidence,
    )


@given(items, picks, st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_windows_less_few_are_confirmed_exactly_when_they_are_the_only_explanation(
    drawn: list[tuple[int, int, str]], chosen: list[tuple[set[int], int]], shuffle: random.Random
) -> None:
    lines, ours = _case(drawn, chosen)
    found = search("window_less_few", lines, ours, group_rules(lag_days_max=3))
    _agrees(found, lines, ours, lambda line, left: naive_windows(line, left, 3, 2))
    shuffle.shuffle(lines)
    shuffle.shuffle(ours)
    again = search("window_less_few", lines, ours, group_rules(lag_days_max=3))
    assert (again.confirmed, again.suggested, again.evidence) == (
        found.confirmed,
        found.suggested,
        found.evidence,
    )


@given(
    items,
    st.lists(st.integers(1, 4), min_size=1, max_size=3),
    st.booleans(),
    st.randoms(use_true_random=False),
)
@settings(max_examples=80, deadline=None)
def test_a_known_start_leaves_one_run_or_none(
    drawn: list[tuple[int, int, str]], lengths: list[int], is_spoiled: bool, shuffle: random.Random
) -> None:
    ours = [member(f"L{at}", amount, minute=at) for at, (amount, _, _) in enumerate(drawn)]
    cuts = np.minimum(np.cumsum([0, *lengths]), len(ours)).tolist()
    sums = [sum(item["amount_minor"] for item in ours[a:b]) for a, b in itertools.pairwise(cuts)]
    lines = [payout(f"P{at}", total + is_spoiled, day=at) for at, total in enumerate(sums)]
    lines = [line for line in lines if line["amount_minor"]]
    expected: dict[str, set[str]] = {}
    start = 0
    for number, line in enumerate(lines):
        prefix = np.cumsum([item["amount_minor"] for item in ours[start:]]).tolist()
        ends = [at + 1 for at, total in enumerate(prefix) if total == line["amount_minor"]]
        if len(ends) != 1 or len(naive_windows(line, ours[start:], 10, 2)) > 1:
            lines = lines[: number + 1]  # what comes after a broken chain is a matter of chance
            break
        expected[line["line_key"]] = {item["entry_key"] for item in ours[start : start + ends[0]]}
        start += ends[0]
    shuffle.shuffle(ours)
    shuffle.shuffle(lines)
    if lines:
        assert search("chained_run", lines, ours, cursor="").confirmed == expected


def test_members_that_come_before_the_earliest_day_are_left_to_others() -> None:
    ours = [member("OLD", 11_11, day=0), member("L1", 500_17, day=9), member("L2", 300_23, day=10)]
    line = payout("P", 800_40) | {"business_date": on(10) + timedelta(days=1)}
    assert search("window_less_few", [line], ours, group_rules(lag_days_max=5)).confirmed == {
        "P": {"L1", "L2"}
    }
