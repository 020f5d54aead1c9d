"""Sales whose source kept back a fee: what matches, and what is left for people."""

from datetime import date

import pytest

from reconciliation.matching import MatchResult
from tests.reconciliation.matching.cases import (
    Item,
    ambiguous_of,
    external,
    ledger,
    matched,
    on,
    pairs_of,
    rules,
    schedule,
)

PSP = ("ref_psp", "ref_psp")
THREE_PERCENT = rules(PSP, fees=(schedule(30_000, 0, tolerance_minor=0),))


def charge(key: str = "E1", *, net_minor: int = 9700, fee_minor: int = 300, **changes: object) -> Item:
    return external(
        key, net_minor, **({"fee_minor": fee_minor, "kind": "charge", "ref_psp": "ch_1001"} | changes)
    )


def sale(key: str, *amounts_minor: int, **changes: object) -> list[Item]:
    """An entry: the sale, then its fees."""
    return [
        ledger(
            key,
            amount,
            line_no=number,
            **({"kind": "charge" if number == 1 else "fee", "ref_psp": "ch_1001"} | changes),
        )
        for number, amount in enumerate(amounts_minor, start=1)
    ]


def roles(result: MatchResult) -> list[tuple[str, int, str]]:
    return [(row["side"], row["allocated_minor"], row["role"]) for row in result.members.to_pylist()]


def test_the_net_equals_sale_and_fee_of_one_entry():
    theirs, ours = [charge(day=1)], sale("L1", 10_000, -300)
    result = matched(theirs, ours, rules(PSP))
    assert pairs_of(result, theirs, ours) == {frozenset({"E1", "L1", "L1/2"}): "net_of_fee"}
    assert roles(result) == [
        ("external", 9700, "principal"),
        ("ledger", 10_000, "principal"),
        ("ledger", -300, "fee"),
    ]
    assert result.groups["difference_minor"].to_pylist() == [0]


def test_the_net_equals_a_sale_and_a_fee_that_another_entry_booked():
    theirs = [charge()]
    ours = sale("L1", 10_000) + sale("fee", -300, kind="fee", day=1)
    result = matched(theirs, ours, THREE_PERCENT)
    assert pairs_of(result, theirs, ours) == {frozenset({"E1", "L1", "fee"}): "net_of_fee"}
    assert result.groups["as_of"].to_pylist() == [on(1)]


def test_the_refund_of_a_sale_does_not_disturb_it_though_they_share_a_reference():
    theirs = [charge(), charge("E2", net_minor=-10_000, fee_minor=0, kind="refund")]
    ours = sale("L1", 10_000, -300) + sale("back", -10_000)
    found = pairs_of(matched(theirs, ours, THREE_PERCENT), theirs, ours)
    assert found == {frozenset({"E1", "L1", "L1/2"}): "net_of_fee", frozenset({"E2", "back"}): "exact"}


def test_a_fee_that_the_schedule_explains_is_the_difference_of_the_match():
    theirs, ours = [charge()], sale("L1", 10_000)
    result = matched(theirs, ours, THREE_PERCENT)
    assert pairs_of(result, theirs, ours) == {frozenset({"E1", "L1"}): "net_of_fee"}
    assert result.groups["difference_minor"].to_pylist() == [-300]
    assert roles(result) == [("external", 9700, "fee"), ("ledger", 10_000, "principal")]


@pytest.mark.parametrize(("fee_minor", "found"), [(298, 0), (299, 1), (300, 1), (301, 1), (302, 0)])
def test_the_schedule_allows_its_tolerance_and_no_more(fee_minor, found):
    by = rules(PSP, fees=(schedule(30_000, 0, tolerance_minor=1),))
    theirs = [charge(net_minor=10_000 - fee_minor, fee_minor=fee_minor)]
    assert matched(theirs, sale("L1", 10_000), by).groups.num_rows == found


def test_a_scheduled_fee_is_rounded_half_up():
    by = rules(PSP, fees=(schedule(15_000, 20, tolerance_minor=0),))
    half = [charge(net_minor=100 - 22, fee_minor=22)]  # 1.5 + 20 = 21.5
    assert matched(half, sale("L1", 100), by).groups.num_rows == 1


def test_the_schedule_in_force_on_the_day_of_the_sale_counts():
    by = rules(
        PSP,
        fees=(
            schedule(50_000, 0, tolerance_minor=0, from_date=on(1)),
            schedule(30_000, 0, tolerance_minor=0, from_date=date(2020, 1, 1)),
        ),
    )
    assert matched([charge(day=2)], sale("L1", 10_000, day=0), by).groups.num_rows == 1
    assert matched([charge(day=2)], sale("L1", 10_000, day=1), by).groups.num_rows == 0


@pytest.mark.parametrize("other", [{"kind": "refund"}, {"asset": "USD"}])
def test_a_schedule_of_another_kind_or_asset_explains_nothing(other):
    theirs = [charge() | other]
    ours = sale("L1", 10_000) if "kind" in other else sale("L1", 10_000, **other)
    assert matched(theirs, ours, THREE_PERCENT).groups.num_rows == 0


def test_a_fee_that_our_book_has_otherwise_is_left_to_people():
    assert matched([charge()], sale("L1", 10_000, -250), THREE_PERCENT).groups.num_rows == 0


def test_a_fee_booked_otherwise_by_another_entry_is_left_to_people():
    ours = sale("L1", 10_000) + sale("fee", -250, kind="fee")
    assert matched([charge()], ours, THREE_PERCENT).groups.num_rows == 0


def test_a_fee_without_any_schedule_is_left_to_people():
    assert matched([charge()], sale("L1", 10_000), rules(PSP)).groups.num_rows == 0


def test_a_dispute_costs_amount_and_fee():
    theirs = [external("E1", -11_500, fee_minor=1500, kind="chargeback", ref_psp="dp_1001")]
    ours = [
        ledger("L1", -10_000, kind="chargeback", ref_psp="dp_1001"),
        ledger("L1", -1500, line_no=2, kind="fee", ref_psp="dp_1001"),
    ]
    found = pairs_of(matched(theirs, ours, rules(PSP)), theirs, ours)
    assert found == {frozenset({"E1", "L1", "L1/2"}): "net_of_fee"}


def test_a_sale_booked_twice_with_its_fee_is_matched_once_by_the_earlier_entry():
    theirs, ours = [charge()], sale("L1", 10_000, -300) + sale("L2", 10_000, -300)
    result = matched(theirs, ours, THREE_PERCENT)
    assert pairs_of(result, theirs, ours) == {frozenset({"E1", "L1", "L1/2"}): "net_of_fee"}
    assert result.ambiguous.num_rows == 0


def test_two_different_entries_that_both_give_the_net_are_ambiguous_with_all_their_lines():
    theirs, ours = [charge()], sale("L1", 10_000, -300) + sale("L2", 9900, -200)
    result = matched(theirs, ours, rules(PSP))
    assert result.groups.num_rows == 0
    assert ambiguous_of(result, theirs, ours) == {"E1": frozenset({"L1", "L1/2", "L2", "L2/2"})}


def test_an_entry_of_a_whole_days_sales_is_taken_apart_by_reference():
    theirs = [charge(), charge("E2", ref_psp="ch_1002", net_minor=4850, fee_minor=150)]
    ours = [
        *sale("day", 10_000, -300),
        ledger("day", 5000, line_no=3, kind="charge", ref_psp="ch_1002"),
        ledger("day", -150, line_no=4, kind="fee", ref_psp="ch_1002"),
    ]
    found = pairs_of(matched(theirs, ours, rules(PSP)), theirs, ours)
    assert found == {
        frozenset({"E1", "day", "day/2"}): "net_of_fee",
        frozenset({"E2", "day/3", "day/4"}): "net_of_fee",
    }


def test_a_line_of_the_entry_with_another_identifying_reference_vetoes_it():
    by = rules(PSP, ("ref_arn", "ref_arn"))
    theirs = [charge(ref_arn="ARN-0001")]
    ours = sale("L1", 10_000, -300, ref_arn="ARN-0002")
    assert matched(theirs, ours, by).groups.num_rows == 0


def test_an_entry_with_more_lines_than_the_limit_is_named_and_left_open():
    by = rules(PSP, group_size_max=2)
    result = matched([charge()], sale("L1", 10_000, -200, -100), by)
    assert result.groups.num_rows == 0
    assert (result.limits[0].what, result.limits[0].ledger_count, result.limits[0].limit) == (
        "group_size",
        3,
        2,
    )


def test_an_undone_group_of_sale_and_fee_is_not_proposed_again():
    theirs, ours = [charge()], sale("L1", 10_000, -300)
    undone = frozenset(matched(theirs, ours, rules(PSP)).groups["group_key"].to_pylist())
    assert matched(theirs, ours, rules(PSP), rejected=undone).groups.num_rows == 0


def test_very_large_amounts_are_added_exactly():
    huge = 2**62
    theirs = [external("E1", huge - 2, fee_minor=2, kind="charge", ref_psp="ch_1001")]
    ours = sale("L1", huge, -2)
    assert matched(theirs, ours, rules(PSP)).groups["ledger_minor"].to_pylist() == [huge - 2]
    assert (
        matched(
            [charge(net_minor=0, fee_minor=0)], sale("L1", huge, huge, huge, huge), rules(PSP)
        ).groups.num_rows
        == 0
    )
