"""The weighed step from open items to matches: what it makes, what it only suggests, and why."""

import json
from random import Random
from typing import Any

import numpy as np
import pytest

from reconciliation.matching import MatchContext, MatchResult, match_day
from reconciliation.matching.books import Books, Side
from reconciliation.matching.weighed import weigh
from reconciliation.sources import MatchRules
from tests.reconciliation.matching.cases import (
    external,
    externals,
    ledger,
    ledgers,
    pairs_of,
    rules,
    schedule,
)

Item = dict[str, Any]
PASSES = ("exact", "normalised", "in_text", "near_reference", "amount_and_lag")
RULES = rules(passes=PASSES)
NAMES = [
    f"{first} {last}"
    for first in ("Ada", "Bo", "Cyd", "Dan", "Eve")
    for last in ("Stone", "Wood", "Hill", "Lake")
]


def matched(
    theirs: list[Item], ours: list[Item], by: MatchRules = RULES, context: MatchContext | None = None
) -> MatchResult:
    return match_day(externals(theirs), ledgers(ours), by, context or MatchContext())


def told(result: MatchResult) -> list[dict[str, Any]]:
    return [json.loads(str(text)) for text in result.groups["evidence"].to_pylist()]


def suggested(result: MatchResult) -> list[dict[str, Any]]:
    return [json.loads(str(text)) for text in result.suggested_groups["evidence"].to_pylist()]


def test_a_slip_of_the_hand_in_a_reference_is_seen_through() -> None:
    theirs = [external("E1", 8_312, day=1, ref_end_to_end="INV-10071")]
    ours = [ledger("L1", 8_312, ref_end_to_end="INV-10017"), ledger("L2", 8_313, ref_end_to_end="INV-10072")]
    result = matched(theirs, ours)
    assert pairs_of(result, theirs, ours) == {frozenset({"E1", "L1"}): "near_reference"}
    assert told(result)[0]["likeness"] == "one slip apart"


def test_a_reference_in_the_text_is_found_there() -> None:
    theirs = [external("E1", 8_312, day=1, text="Thanks for INV-10017, regards")]
    ours = [ledger("L1", 8_312, ref_end_to_end="INV-10017")]
    assert pairs_of(matched(theirs, ours), theirs, ours) == {frozenset({"E1", "L1"}): "in_text"}


@pytest.mark.parametrize("written", ["RE-0010017", "10017", "No 10 017"])
def test_a_number_behind_another_prefix_is_the_same_number(written: str) -> None:
    theirs = [external("E1", 8_312, day=1, ref_end_to_end=written)]
    ours = [
        ledger("L1", 8_312, ref_end_to_end="INV-0010017"),
        ledger("L2", 8_312, ref_end_to_end="INV-0010018"),
    ]
    assert pairs_of(matched(theirs, ours), theirs, ours) == {frozenset({"E1", "L1"}): "near_reference"}


def test_an_odd_amount_at_the_agreed_lag_is_enough_where_nothing_competes() -> None:
    theirs, ours = [external("E1", 8_312, day=1)], [ledger("L1", 8_312)]
    assert pairs_of(matched(theirs, ours), theirs, ours) == {frozenset({"E1", "L1"}): "amount_and_lag"}


def test_a_price_point_alone_is_not_enough() -> None:
    theirs, ours = [external("E1", 999, day=1)], [ledger("L1", 999)]
    result = matched(theirs, ours)
    assert result.groups.num_rows == 0
    assert suggested(result)[0]["why_not_automatic"] == (
        "9.234 bits speak for it, and against its rivals 10.000 are needed"
    )


def test_the_bits_are_told_and_stored() -> None:
    theirs, ours = [external("E1", 8_312, day=1)], [ledger("L1", 8_312)]
    result = matched(theirs, ours)
    assert told(result)[0]["bits"] == {
        "amount": "10.000",
        "counterparty": "0.000",
        "lag": "3.234",
        "margin": "16.617",
        "needed": "10.000",
        "presence": "0.000",
        "reference": "0.000",
        "rivals": "0.000",
        "total": "13.234",
    }
    assert told(result)[0]["component"] == {"external": 1, "ledger": 1}
    group = result.groups.to_pylist()[0]
    assert (group["evidence_millibits"], group["margin_millibits"], group["solutions"]) == (13_234, 16_617, 1)


def test_two_equal_candidates_are_left_to_people_with_both_named() -> None:
    theirs = [external("E1", 8_312, day=1, ref_end_to_end="INV-1001X")]
    ours = [
        ledger(f"L{at}", 8_312, ref_end_to_end=f"INV-1001{at}", counterparty=f"Customer {at}")
        for at in range(2)
    ]
    ours += [ledger(f"M{at:03}", 20_003 + at, day=30) for at in range(400)]
    result = matched(theirs, ours, rules(passes=PASSES, confirm_bits=5))
    assert result.groups.num_rows == 0
    (suggestion,) = suggested(result)
    assert suggestion["why_not_automatic"] == "another choice is 0.000 bits behind it, and 3 are needed"
    assert [other["ledger"] for other in suggestion["alternatives"]] == ["L1"]
    assert len(result.ambiguous.to_pylist()[0]["entry_ids"]) == 2


def test_twins_that_nothing_tells_apart_are_paired_in_order() -> None:
    theirs = [external(f"E{at}", 8_312, day=1, counterparty="Ada Byron") for at in range(3)]
    ours = [ledger(f"L{at}", 8_312, counterparty="Ada Byron") for at in range(2)]
    result = matched(theirs, ours)
    assert pairs_of(result, theirs, ours) == {
        frozenset({"E0", "L0"}): "amount_and_lag",
        frozenset({"E1", "L1"}): "amount_and_lag",
    }
    assert told(result)[0]["interchangeable"] == {"external": 3, "ledger": 2}


def test_two_payments_of_one_customer_for_one_price_are_not_told_apart_by_ordinary_days() -> None:
    theirs = [external(f"E{at}", 8_312, day=2 + at, counterparty="Ada Byron") for at in range(2)]
    ours = [
        ledger(f"L{at}", 8_312, day=at, counterparty="Ada Byron", ref_end_to_end=f"INV-1001{at}")
        for at in range(2)
    ]
    ours += [ledger(f"M{at:03}", 20_003 + at, day=30) for at in range(400)]
    result = matched(theirs, ours)
    assert (result.groups.num_rows, result.suggested_groups.num_rows) == (0, 2)


def test_twins_of_two_customers_are_no_twins() -> None:
    theirs = [external(f"E{at}", 8_312, day=1) for at in range(2)]
    ours = [ledger(f"L{at}", 8_312, counterparty=name) for at, name in enumerate(("Ada Byron", "Elif Demir"))]
    assert matched(theirs, ours).groups.num_rows == 0


def test_a_pair_that_people_took_apart_is_neither_made_nor_suggested() -> None:
    theirs, ours = [external("E1", 8_312, day=1)], [ledger("L1", 8_312)]
    key = str(matched(theirs, ours).groups["group_key"].to_pylist()[0])
    result = matched(theirs, ours, context=MatchContext(rejected=frozenset({key})))
    assert (result.groups.num_rows, result.suggested_groups.num_rows) == (0, 0)


def test_what_a_fee_schedule_leaves_is_a_match_with_the_fee_as_its_difference() -> None:
    theirs = [external("E1", 9_841, day=1, kind="charge")]
    ours = [ledger("L1", 10_001, kind="charge")]
    result = matched(theirs, ours, rules(passes=PASSES, fees=(schedule(14_000, 20),)))
    assert result.groups["difference_minor"].to_pylist() == [-160]
    assert sorted(map(str, result.members["role"].to_pylist())) == ["fee", "principal"]
    assert told(result)[0]["fee"]["expected_minor"] == 160


def test_an_agreeing_name_and_reference_never_make_up_for_another_amount() -> None:
    theirs = [external("E1", 8_312, day=1, ref_end_to_end="INV-10017", counterparty="Ada Byron")]
    ours = [ledger("L1", 8_321, ref_end_to_end="INV-10017", counterparty="Ada Byron")]
    result = matched(theirs, ours)
    assert result.groups.num_rows == 0
    assert (
        suggested(result)[0]["why_not_automatic"]
        == "the amounts are 9 minor units apart, which nothing explains"
    )


def shop(count: int) -> tuple[list[Item], list[Item]]:
    """Lines with consecutive references and price points, all of which arrive as they were sent."""
    theirs, ours = [], []
    for at in range(count):
        name = NAMES[at % len(NAMES)]
        ours.append(ledger(f"L{at:04}", 999, ref_end_to_end=f"INV-{20_000 + at}", counterparty=name))
        theirs.append(
            external(f"E{at:04}", 999, day=1, ref_end_to_end=f"INV-{20_000 + at}", counterparty=name)
        )
    return theirs, ours


def test_a_reference_that_became_somebody_elses_is_not_believed_against_the_name() -> None:
    theirs, ours = shop(400)
    theirs[7]["ref_end_to_end"] = "INV-20070"  # digits swapped: that is another's, whose line is not here yet
    ours[7]["counterparty"] = theirs[7]["counterparty"] = "Zoe Quist"
    del theirs[70]
    result = matched(theirs, ours)
    pairs = pairs_of(result, theirs, ours)
    assert frozenset({"E0007", "L0070"}) not in pairs
    assert pairs[frozenset({"E0007", "L0007"})] == "near_reference"
    assert len(pairs) == 399
    trusting = matched(theirs, ours, rules(passes=("exact",)))
    assert frozenset({"E0007", "L0070"}) in pairs_of(trusting, theirs, ours)


def hard(seed: int) -> tuple[list[Item], list[Item]]:
    rng = Random(seed)
    theirs, ours = shop(60)
    for at, (line, entry) in enumerate(zip(theirs, ours, strict=True)):
        line["amount_minor"] = entry["amount_minor"] = rng.choice([999, 1_499, 7_001 + at])
        damage = rng.randrange(6)
        if damage == 0:
            line["ref_end_to_end"] = None
        elif damage == 1:
            line["ref_end_to_end"] = f"INV-2{rng.randrange(10)}0{at:02}"
        elif damage == 2:
            line["counterparty"] = None
    return [line for line in theirs if rng.random() < 0.9], [entry for entry in ours if rng.random() < 0.9]


@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_rows_changes_nothing_to_the_byte(seed: int) -> None:
    theirs, ours = hard(seed)
    first = matched(theirs, ours)
    rng = Random(seed)
    rng.shuffle(theirs)
    rng.shuffle(ours)
    again = matched(theirs, ours)
    for name in ("groups", "members", "suggested_groups", "suggested_members", "ambiguous"):
        assert getattr(first, name).equals(getattr(again, name))


@pytest.mark.parametrize("seed", range(4))
def test_as_many_unrelated_lines_of_another_account_lose_no_match(seed: int) -> None:
    theirs, ours = hard(seed)
    unrelated_theirs = [
        external(f"U{at}", 50_000 + at, account="assets:bank:other") for at in range(len(theirs))
    ]
    unrelated_ours = [ledger(f"V{at}", 90_000 + at, account="assets:bank:other") for at in range(len(ours))]
    alone = pairs_of(matched(theirs, ours), theirs, ours)
    both_theirs, both_ours = theirs + unrelated_theirs, ours + unrelated_ours
    both = pairs_of(matched(both_theirs, both_ours), both_theirs, both_ours)
    assert alone.items() <= both.items()


@pytest.mark.parametrize("seed", range(4))
def test_nobody_is_matched_with_somebody_else(seed: int) -> None:
    theirs, ours = hard(seed)
    pairs = pairs_of(matched(theirs, ours), theirs, ours)
    assert len(pairs) > 30
    strangers = {pair for pair in pairs if len({name[1:] for name in pair}) > 1}
    assert {next(iter(pairs[pair] for pair in strangers), None)} <= {None, "exact"}


def test_a_component_too_large_for_an_answer_is_a_limit_and_stays_open() -> None:
    theirs = [external(f"E{at:02}", 8_312, day=1, ref_end_to_end=f"REF-X{at:02}") for at in range(12)]
    ours = [ledger(f"L{at:02}", 8_312, day=at % 3, counterparty=f"Customer {at}") for at in range(12)]
    by = rules(passes=PASSES, confirm_bits=0, limits={"component_items": 3})
    opened = Books.open(
        Side.external(externals(theirs)),
        Side.ledger(ledgers(ours)),
        leg="ledger",
        references=by.references,
        window_days=10,
        by_account=True,
    )
    outcome = weigh(
        opened,
        np.arange(12),
        np.arange(12),
        rules=by,
        context=MatchContext(lag_counts=((1, 1), (0, 1), (-1, 1))),
        passes=frozenset({"amount_and_lag"}),
    )
    assert not outcome.proposals
    assert [limit.what for limit in outcome.limits] == ["component_too_large"]
    assert not outcome.suggestions
