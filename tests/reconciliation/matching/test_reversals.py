"""Reversal families: what is netted inside an order, what is only suggested, and what stays open."""

import json
import random
from collections.abc import Sequence
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconciliation.matching import MatchContext, MatchResult
from reconciliation.matching.assembly import assemble
from reconciliation.matching.books import Books, Side
from reconciliation.matching.proposals import group_keys
from reconciliation.matching.reversals import match_reversal_families
from reconciliation.sources import MatchRules
from tests.reconciliation.matching.cases import (
    EUR,
    Item,
    external,
    externals,
    ledger,
    ledgers,
    on,
    pairs_of,
    rules,
)

PSP = ("ref_psp", "ref_psp")
BY = rules(PSP)
LATER = 10
"""Days after a case until its books are closed: our own book is no longer behind."""


def books_of(theirs: Sequence[Item], ours: Sequence[Item], by: MatchRules) -> Books:
    return Books.open(
        Side.external(externals(theirs)),
        Side.ledger(ledgers(ours)),
        leg="ledger",
        references=by.references,
        window_days=by.window_days,
        by_account=True,
    )


def netted(
    theirs: Sequence[Item],
    ours: Sequence[Item],
    by: MatchRules = BY,
    *,
    rejected: frozenset[str] = frozenset(),
    waited: int = LATER,
    **told: Any,
) -> MatchResult:
    """The one pass over these items and one line of another day and account, which says how far the books go."""
    theirs = [*theirs, external("far", 1, account="assets:bank:other", day=waited)]
    books = books_of(theirs, ours, by)
    outcome = match_reversal_families(
        books,
        np.arange(len(books.external)),
        np.arange(len(books.ledger)),
        rules=by,
        context=MatchContext(rejected=rejected, **told),
    )
    return assemble(
        books,
        ("reversal_family",),
        outcome.proposals,
        outcome.undecided,
        outcome.limits,
        suggestions=outcome.suggestions,
    )


def groups_of(result: MatchResult, theirs: Sequence[Item], ours: Sequence[Item]) -> set[frozenset[str]]:
    return set(pairs_of(result, theirs, ours))


def suggested_of(result: MatchResult, theirs: Sequence[Item]) -> list[set[str]]:
    lines = {item["line_id"]: item["line_key"] for item in theirs}
    groups: dict[str, set[str]] = {}
    for member in result.suggested_members.to_pylist():
        groups.setdefault(member["group_key"], set()).add(lines[member["line_id"]])
    return list(groups.values())


def charge(key: str, amount_minor: int, **changes: Any) -> Item:
    return external(key, amount_minor, **({"kind": "charge", "ref_merchant": "ORDER-1"} | changes))


def refund(key: str, amount_minor: int, **changes: Any) -> Item:
    return charge(key, amount_minor, **({"kind": "refund"} | changes))


def chargeback(key: str, amount_minor: int, **changes: Any) -> Item:
    return charge(key, amount_minor, **({"kind": "chargeback", "ref_arn": "7400"} | changes))


def representment(key: str, amount_minor: int, **changes: Any) -> Item:
    return charge(key, amount_minor, **({"kind": "chargeback_reversal", "ref_arn": "7400"} | changes))


def booked(key: str, amount_minor: int, **changes: Any) -> Item:
    return ledger(key, amount_minor, **({"ref_merchant": "ORDER-1"} | changes))


ORDER = rules(("ref_merchant", "ref_merchant"), PSP)


def test_a_sale_and_its_part_refund_that_the_source_tells_as_one_line_are_one_group():
    theirs = [external("E1", 8000, ref_merchant="order 1", kind="charge")]
    ours = [booked("L1", 10_000, ref_psp="ch_1"), booked("L2", -2000, ref_psp="re_1", day=2)]
    result = netted(theirs, ours, ORDER)
    assert groups_of(result, theirs, ours) == {frozenset({"E1", "L1", "L2"})}
    assert result.groups.select(["external_minor", "ledger_minor", "difference_minor"]).to_pylist() == [
        {"external_minor": 8000, "ledger_minor": 8000, "difference_minor": 0}
    ]
    assert result.groups["as_of"].to_pylist() == [on(2)]
    assert result.groups["solutions"].to_pylist() == [1]
    assert json.loads(result.groups["evidence"][0].as_py()) == {
        "amounts": {"difference_minor": 0, "external_minor": 8000, "ledger_minor": 8000},
        "counts": {"external": 1, "ledger": 2},
        "dates": {"external": "2026-03-02", "ledger": "2026-03-04"},
        "kinds": ["charge", "transfer"],
        "pass": "reversal_family",
        "reading": "all open lines of the family come to the same sum on both sides",
        "references": [
            {"external": "ref_merchant", "ledger": "ref_merchant", "value": "ORDER-1"},
            {"external": "ref_merchant", "ledger": "ref_merchant", "value": "order 1"},
        ],
    }


def test_lines_of_an_order_hang_together_by_what_their_own_side_knows():
    theirs = [charge("E1", 10_000, ref_psp="ch_1"), refund("E2", -4000, ref_psp="re_1")]
    ours = [ledger("L1", 6000, ref_psp="ch_1")]
    assert groups_of(netted(theirs, ours), theirs, ours) == {frozenset({"E1", "E2", "L1"})}


def test_a_family_that_does_not_net_leaves_all_its_lines_open():
    theirs = [charge("E1", 8000)]
    ours = [booked("L1", 10_000), booked("L2", -1999)]
    result = netted(theirs, ours, ORDER)
    assert result.groups.num_rows == result.suggested_groups.num_rows == 0


def test_a_refund_never_meets_the_sale_of_the_other_side():
    theirs, ours = [refund("E1", -10_000)], [booked("L1", 10_000)]
    result = netted(theirs, ours, ORDER)
    assert result.groups.num_rows == result.suggested_groups.num_rows == 0


def test_a_plain_pair_and_a_split_payment_are_no_families():
    assert netted([charge("E1", 100)], [booked("L1", 100)], ORDER).groups.num_rows == 0
    assert netted([charge("E1", 100)], [booked("L1", 60), booked("L2", 40)], ORDER).groups.num_rows == 0


@pytest.mark.parametrize("other", [{"account": "assets:bank:other"}, {"asset": "USD"}])
def test_nothing_is_netted_across_purses(other):
    theirs = [charge("E1", 8000)]
    ours = [booked("L1", 10_000), booked("L2", -2000, **other)]
    assert netted(theirs, ours, ORDER).groups.num_rows == 0


def test_no_reference_holds_no_family_together():
    nothing = {"ref_merchant": "NOTPROVIDED"}
    theirs, ours = (
        [charge("E1", 8000, **nothing)],
        [booked("L1", 10_000, **nothing), booked("L2", -2000, **nothing)],
    )
    assert netted(theirs, ours, ORDER).groups.num_rows == 0


@pytest.mark.parametrize("column", ["batch_ref", "ref_payout"])
def test_what_names_a_whole_batch_is_no_order(column):
    named = {column: "PO-77", "ref_merchant": None}
    theirs, ours = (
        [charge("E1", 8000, **named)],
        [booked("L1", 10_000, **named), booked("L2", -2000, **named)],
    )
    assert netted(theirs, ours, rules((column, column))).groups.num_rows == 0


def test_a_line_that_names_another_payment_is_no_part_of_the_family():
    theirs = [charge("E1", 8000, ref_psp="ch_0001"), charge("E2", 500, ref_psp="ch_0002")]
    ours = [booked("L1", 10_000, ref_psp="ch_0001"), booked("L2", -2000, ref_psp="ch_0001")]
    assert groups_of(netted(theirs, ours, ORDER), theirs, ours) == {frozenset({"E1", "L1", "L2"})}
    unnamed = [theirs[0], theirs[1] | {"ref_psp": None}]
    assert netted(unnamed, ours, ORDER).groups.num_rows == 0


def test_sides_that_end_further_apart_than_the_window_are_left_to_people():
    ours = [booked("L1", 10_000), booked("L2", -2000, day=4)]
    by = rules(("ref_merchant", "ref_merchant"), window_days=3)
    assert netted([charge("E1", 8000, day=1)], ours, by).groups.num_rows == 1
    assert netted([charge("E1", 8000, day=0)], ours, by).groups.num_rows == 0


def test_a_family_larger_than_a_group_may_be_is_named_as_a_limit():
    theirs = [charge("E1", 8000)]
    ours = [booked("L1", 10_000), booked("L2", -2000)]
    result = netted(theirs, ours, rules(("ref_merchant", "ref_merchant"), group_size_max=2))
    assert result.groups.num_rows == 0
    (limit,) = result.limits
    assert str(limit) == (
        "reversal_family: group_size of assets:bank:main-eur EUR reference 'ORDER-1': "
        "1 external and 2 ledger items, limit 2; left open"
    )


def test_what_people_took_apart_is_not_netted_again():
    theirs, ours = [charge("E1", 8000)], [booked("L1", 10_000), booked("L2", -2000)]
    undone = frozenset(netted(theirs, ours, ORDER).groups["group_key"].to_pylist())
    assert netted(theirs, ours, ORDER, rejected=undone).groups.num_rows == 0


def test_an_entry_and_its_reversal_come_to_nothing_without_the_source():
    ours = [
        booked("L1", 12_500),
        booked("L1", -300, line_no=2, kind="fee"),
        booked("L2", -12_500, corrects_entry_key="L1", day=3),
        booked("L2", 300, line_no=2, kind="fee", corrects_entry_key="L1", day=3),
    ]
    result = netted([], ours)
    assert groups_of(result, [], ours) == {frozenset({"L1", "L1/2", "L2", "L2/2"})}
    row = result.groups.to_pylist()[0]
    assert (row["external_minor"], row["ledger_minor"], row["asset"], row["as_of"]) == (0, 0, "EUR", on(3))
    evidence = json.loads(row["evidence"])
    assert evidence["corrections"] == [{"corrects": "L1", "entry": "L2"}]
    assert evidence["dates"] == {"ledger": "2026-03-05"}
    assert set(result.members["side"].to_pylist()) == {"ledger"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount_minor": -12_499},
        {"account": "assets:bank:other"},
        {"asset": "USD"},
        {"corrects_entry_key": "L9"},
        {"corrects_entry_key": None},
    ],
)
def test_an_entry_that_does_not_take_the_other_back_leaves_both_open(wrong):
    back = booked("L2", -12_500, corrects_entry_key="L1") | wrong
    assert netted([], [booked("L1", 12_500), back]).groups.num_rows == 0


def test_a_reversal_in_two_accounts_nets_in_each_of_them():
    other = {"account": "assets:bank:other", "line_no": 2}
    ours = [
        booked("L1", 500),
        booked("L1", -500, **other),
        booked("L2", -500, corrects_entry_key="L1"),
        booked("L2", 500, corrects_entry_key="L1", **other),
    ]
    assert groups_of(netted([], ours), [], ours) == {frozenset({"L1", "L2"}), frozenset({"L1/2", "L2/2"})}


def test_a_correction_of_a_correction_nets_only_as_a_whole():
    ours = [
        booked("L1", 100),
        booked("L2", -100, corrects_entry_key="L1"),
        booked("L3", 100, corrects_entry_key="L2"),
    ]
    assert netted([], ours).groups.num_rows == 0
    ours.append(booked("L4", -100, corrects_entry_key="L3"))
    assert groups_of(netted([], ours), [], ours) == {frozenset({"L1", "L2", "L3", "L4"})}


def test_what_both_sides_tell_is_matched_before_our_side_nets_alone():
    theirs = [charge("E1", 12_500), refund("E2", -12_500)]
    ours = [booked("L1", 12_500), booked("L2", -12_500, corrects_entry_key="L1")]
    assert groups_of(netted(theirs, ours, ORDER), theirs, ours) == {frozenset({"E1", "E2", "L1", "L2"})}


def test_a_chargeback_and_its_reversal_come_to_nothing_without_our_book():
    theirs = [chargeback("E1", -5000), representment("E2", 5000, day=4)]
    result = netted(theirs, [])
    assert groups_of(result, theirs, []) == {frozenset({"E1", "E2"})}
    assert result.suggested_groups.num_rows == 0
    assert json.loads(result.groups["evidence"][0].as_py())["kinds"] == ["chargeback", "chargeback_reversal"]


def test_a_chargeback_that_our_book_may_still_get_waits():
    theirs = [chargeback("E1", -5000), representment("E2", 5000, day=4)]
    assert netted(theirs, [], waited=5).groups.num_rows == 0
    assert netted(theirs, [], waited=6).groups.num_rows == 1
    weekend = np.array([(on(days)).toordinal() - 719163 for days in (0, 1, 2, 3, 4, 7, 8)])
    assert netted(theirs, [], waited=7, business_days=weekend).groups.num_rows == 0
    assert netted(theirs, [], waited=8, business_days=weekend).groups.num_rows == 1


def test_a_chargeback_that_our_book_has_an_open_line_of_is_left_to_both_sides():
    theirs = [chargeback("E1", -5000), representment("E2", 5000)]
    ours = [ledger("L1", -5000, ref_arn="7400")]
    assert netted(theirs, ours, rules(("ref_arn", "ref_arn"))).groups.num_rows == 0


def test_a_sale_and_its_refund_that_our_book_lacks_are_suggested_and_not_matched():
    theirs = [charge("E1", 5000), refund("E2", -5000, day=1)]
    result = netted(theirs, [])
    assert result.groups.num_rows == 0
    assert suggested_of(result, theirs) == [{"E1", "E2"}]
    evidence = json.loads(result.suggested_groups["evidence"][0].as_py())
    assert "our book has neither" in evidence["why_not_automatic"]
    assert evidence["alternatives"] == []
    undone = frozenset(result.suggested_groups["group_key"].to_pylist())
    assert netted(theirs, [], rejected=undone).suggested_groups.num_rows == 0


@pytest.mark.parametrize(
    ("kinds", "is_suggested"),
    [
        (("charge", "refund"), True),
        (("charge", "chargeback"), True),
        (("presentment", "chargeback"), True),
        (("presentment", "refund"), True),
        (("chargeback_reversal", "refund"), False),
        (("charge", "fee"), False),
        (("transfer", "transfer"), False),
        (("charge", "charge"), False),
    ],
)
def test_only_kinds_that_reverse_one_another_are_suggested(kinds, is_suggested):
    theirs = [charge("E1", 5000, kind=kinds[0]), charge("E2", -5000, kind=kinds[1])]
    result = netted(theirs, [])
    assert result.groups.num_rows == 0
    assert result.suggested_groups.num_rows == int(is_suggested)


def test_lines_that_net_as_a_whole_but_not_in_pairs_stay_open():
    theirs = [charge("E1", 5000), refund("E2", -3000), refund("E3", -2000)]
    result = netted(theirs, [])
    assert result.groups.num_rows == result.suggested_groups.num_rows == 0


def test_a_sale_charged_back_presented_again_and_charged_back_is_a_suggestion_as_a_whole():
    theirs = [
        charge("E1", 5000, kind="presentment"),
        chargeback("E2", -5000, day=1),
        representment("E3", 5000, day=2),
        chargeback("E4", -5000, day=3),
    ]
    assert suggested_of(netted(theirs, []), theirs) == [{"E1", "E2", "E3", "E4"}]
    assert suggested_of(netted(theirs[:3], []), theirs) == []


def test_a_reversal_from_before_the_chargeback_belongs_to_another_one():
    theirs = [representment("E1", 5000), chargeback("E2", -5000, day=3)]
    result = netted(theirs, [])
    assert result.groups.num_rows == 0
    assert suggested_of(result, theirs) == [{"E1", "E2"}]


COLUMNS: dict[str, st.SearchStrategy[Any]] = {
    "amount_minor": st.sampled_from([100, 100, -100, 60, -60, 40, -40, 0]),
    "ref_merchant": st.sampled_from(["ORDER-1", "order 1", "ORDER-2", None, "NOTPROVIDED"]),
    "ref_psp": st.sampled_from([None, None, "ch_0001", "ch_0002"]),
    "account": st.sampled_from([EUR, EUR, EUR, "b"]),
    "day": st.integers(0, 4),
}
THEIRS = st.fixed_dictionaries(
    COLUMNS
    | {"kind": st.sampled_from(["charge", "refund", "chargeback", "chargeback_reversal", "chargeback"])}
)
OURS = st.fixed_dictionaries(
    COLUMNS | {"corrects_entry_key": st.sampled_from([None, None, "L0", "L1", "L2"])}
)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Item], list[Item]]:
    theirs = draw(st.lists(THEIRS, max_size=5))
    ours = draw(st.lists(OURS, max_size=5))
    return (
        [external(f"E{at}", **item) for at, item in enumerate(theirs)],
        [ledger(f"L{at}", **item) for at, item in enumerate(ours)],
    )


def name_of(item: Item) -> str:
    return item["line_key"] if "line_key" in item else item["entry_key"]


def plain(text: str | None) -> str | None:
    return (
        None
        if text in (None, "NOTPROVIDED")
        else text.upper().replace("-", "").replace(" ", "").replace("_", "")
    )


def spread(items: list[Item], together: Any) -> list[list[Item]]:
    """Items as connected parts, by looking at every two."""
    parts: list[list[Item]] = []
    for item in items:
        near = [part for part in parts if any(together(item, other) for other in part)]
        parts = [part for part in parts if part not in near] + [
            [item, *(other for part in near for other in part)]
        ]
    return parts


def naive_nets(theirs: list[Item], ours: list[Item]) -> tuple[set[frozenset[str]], set[frozenset[str]]]:
    """The pass said slowly: what is netted, and what is suggested."""

    def together(one: Item, other: Item) -> bool:
        return one["account"] == other["account"] and any(
            plain(one[name]) is not None and plain(one[name]) == plain(other[name])
            for name in ("ref_merchant", "ref_psp")
        )

    def total(items: list[Item]) -> int:
        return sum(item["amount_minor"] for item in items)

    def both_ways(items: list[Item]) -> bool:
        return min(item["amount_minor"] for item in items) < 0 < max(item["amount_minor"] for item in items)

    known = {item["account"] for item in theirs}
    found, suggested, used = set(), set(), set()
    for part in spread([item for item in [*theirs, *ours] if item["account"] in known], together):
        left, right = (
            [item for item in part if ("line_key" in item) == is_line] for is_line in (True, False)
        )
        if left and right:
            left = [line for line in left if not all_differ(line, right)]
            if left and total(left) == total(right) and both_ways([*left, *right]):
                found.add(frozenset(name_of(item) for item in [*left, *right]))
                used |= {name_of(item) for item in right}
        elif left and both_ways(left) and pairable(left, DISPUTES, in_order=True):
            found.add(frozenset(name_of(item) for item in left))
        elif left and both_ways(left) and pairable(left, TAKES_BACK, in_order=False):
            suggested.add(frozenset(name_of(item) for item in left))
    free = [item for item in ours if name_of(item) not in used]

    def corrects(one: Item, other: Item) -> bool:
        return one["account"] == other["account"] and (
            one["corrects_entry_key"] == other["entry_key"] or other["corrects_entry_key"] == one["entry_key"]
        )

    for part in spread(free, corrects):
        if len(part) > 1 and total(part) == 0 and both_ways(part):
            found.add(frozenset(name_of(item) for item in part))
    return found, suggested


def all_differ(line: Item, entries: list[Item]) -> bool:
    """Whether in one column every entry has a name and none of them is the line's."""
    return any(
        plain(line[name]) is not None
        and all(plain(entry[name]) not in (None, plain(line[name])) for entry in entries)
        for name in ("ref_merchant", "ref_psp")
    )


DISPUTES = {("chargeback", "chargeback_reversal")}
TAKES_BACK = DISPUTES | {("charge", "refund"), ("charge", "chargeback")}


def pairable(lines: list[Item], allowed: set[tuple[str, str]], *, in_order: bool) -> bool:
    """Whether some way of putting the lines in pairs has opposite amounts and fitting kinds in every pair."""
    if len(lines) % 2:
        return False
    return any(
        all(
            one["amount_minor"] == -other["amount_minor"] != 0
            and ((one["kind"], other["kind"]) in allowed)
            and not (in_order and other["business_date"] < one["business_date"])
            for one, other in zip(order[::2], order[1::2], strict=True)
        )
        for order in permutations(lines)
    )


@settings(max_examples=120, deadline=None)
@example(
    (
        [
            external("E0", 100, kind="chargeback", ref_merchant="ORDER-1", ref_psp=None),
            external("E1", -100, kind="chargeback_reversal", ref_merchant="ORDER-1", ref_psp=None),
            external("E2", 0, kind="chargeback", ref_merchant="ORDER-1", ref_psp=None),
        ],
        [],
    )
)
@given(worlds())
def test_families_are_those_that_looking_at_every_two_lines_finds(world):
    theirs, ours = world
    found, suggested = naive_nets(theirs, ours)
    result = netted(theirs, ours, ORDER, waited=20)
    assert groups_of(result, theirs, ours) == found
    assert {frozenset(group) for group in suggested_of(result, theirs)} == suggested


@settings(max_examples=60, deadline=None)
@given(worlds(), st.integers(0, 999))
def test_the_order_of_rows_changes_nothing_and_groups_add_up(world, seed):
    theirs, ours = world
    chance = random.Random(seed)
    result = netted(theirs, ours, ORDER)
    again = netted(chance.sample(theirs, len(theirs)), chance.sample(ours, len(ours)), ORDER)
    for name in ("groups", "members", "suggested_groups", "suggested_members"):
        assert getattr(again, name).equals(getattr(result, name))
    sums: dict[tuple[str, str], int] = {}
    for member in [*result.members.to_pylist(), *result.suggested_members.to_pylist()]:
        key = (member["group_key"], member["side"])
        sums[key] = sums.get(key, 0) + member["allocated_minor"]
    for group in [*result.groups.to_pylist(), *result.suggested_groups.to_pylist()]:
        assert group["external_minor"] == sums.get((group["group_key"], "external"), 0)
        assert group["ledger_minor"] == sums.get((group["group_key"], "ledger"), 0)
        assert group["difference_minor"] == 0
    taken = [
        (row["side"], row["line_id"], row["entry_id"], row["line_no"]) for row in result.members.to_pylist()
    ]
    assert len(set(taken)) == len(taken)


def test_a_sum_beyond_sixty_four_bits_is_no_family_and_no_fault():
    huge = 2**62
    theirs = [charge(f"E{at}", huge) for at in range(3)]
    ours = [booked(f"L{at}", huge) for at in range(4)] + [booked("L9", -huge)]
    assert netted(theirs, ours, ORDER).groups.num_rows == 0


def test_a_group_of_one_side_is_named_by_its_members_alone():
    ours = [booked("L1", 100), booked("L2", -100, corrects_entry_key="L1")]
    books = books_of([external("E1", 5)], ours, ORDER)
    outcome = match_reversal_families(books, np.arange(1), np.arange(2), rules=ORDER, context=MatchContext())
    (proposal,) = outcome.proposals
    keys = group_keys(books, proposal.external, proposal.ledger, len(proposal))
    assert keys == netted([], ours, ORDER).groups["group_key"].to_pylist()
