"""Passes exact and normalised, twins and ambiguity, said as what finance would say."""

import hashlib

import pytest

from tests.reconciliation.matching.cases import ambiguous_of, external, ledger, matched, on, pairs_of, rules


def test_a_line_and_a_ledger_line_with_the_same_reference_and_amount_are_one_movement():
    theirs = [external("E1", 1250, ref_end_to_end="INV-1001", day=1)]
    ours = [ledger("L1", 1250, ref_end_to_end="INV-1001")]
    result = matched(theirs, ours)
    group = result.groups.to_pylist()[0]
    assert pairs_of(result, theirs, ours) == {frozenset({"E1", "L1"}): "exact"}
    assert (group["leg"], group["as_of"], group["asset"]) == ("ledger", on(1), "EUR")
    assert (group["external_minor"], group["ledger_minor"], group["difference_minor"]) == (1250, 1250, 0)
    assert [member["role"] for member in result.members.to_pylist()] == ["principal", "principal"]
    assert [member["allocated_minor"] for member in result.members.to_pylist()] == [1250, 1250]
    assert result.counts["exact"].groups == 1


def test_a_group_is_named_by_its_leg_and_members_alone():
    theirs = [external("E1", 1250, ref_end_to_end="INV-1001", version=3)]
    ours = [ledger("order 1", 1250, ref_end_to_end="INV-1001", line_no=2)]
    text = "ledger\nexternal:2:E1:3\nledger:7:order 1:2"
    assert matched(theirs, ours).groups["group_key"].to_pylist() == [
        hashlib.sha256(text.encode()).hexdigest()
    ]


@pytest.mark.parametrize(
    "different",
    [{"amount_minor": 1251}, {"amount_minor": -1250}, {"asset": "USD"}, {"account": "assets:bank:other"}],
)
def test_amount_with_its_sign_asset_and_account_must_be_equal(different):
    theirs = [external("E1", 1250, ref_end_to_end="INV-1001")]
    ours = [ledger("L1", 1250, ref_end_to_end="INV-1001") | different]
    result = matched(theirs, ours)
    assert result.groups.num_rows == 0
    assert result.ambiguous.num_rows == 0


def test_equal_amounts_without_a_shared_reference_are_not_a_match():
    assert matched([external("E1", 1250)], [ledger("L1", 1250)]).groups.num_rows == 0


def test_the_word_for_no_reference_is_not_a_reference():
    theirs = [external("E1", 1250, ref_end_to_end="NOTPROVIDED")]
    assert matched(theirs, [ledger("L1", 1250, ref_end_to_end="NOTPROVIDED")]).groups.num_rows == 0


@pytest.mark.parametrize(("days", "found"), [(-10, 1), (-11, 0), (10, 1), (11, 0)])
def test_dates_match_up_to_the_last_day_of_the_window_and_not_a_day_beyond(days, found):
    theirs = [external("E1", 1250, ref_end_to_end="INV-1001", day=days)]
    assert matched(theirs, [ledger("L1", 1250, ref_end_to_end="INV-1001")]).groups.num_rows == found


def test_blanks_case_and_leading_zeros_do_not_hide_a_reference():
    theirs = [external("E1", 1250, ref_end_to_end="00inv 1001")]
    ours = [ledger("L1", 1250, ref_end_to_end="INV-1001")]
    assert pairs_of(matched(theirs, ours), theirs, ours) == {frozenset({"E1", "L1"}): "normalised"}


def test_a_short_reference_counts_only_as_it_is_written():
    ours = [ledger("L1", 1250, ref_end_to_end="A-1")]
    assert matched([external("E1", 1250, ref_end_to_end="A1")], ours).groups.num_rows == 0
    assert matched([external("E1", 1250, ref_end_to_end="A-1")], ours).groups.num_rows == 1


def test_a_payout_arrives_at_the_bank_under_an_end_to_end_id_that_our_line_carries_as_payout():
    by = rules(("ref_end_to_end", "ref_end_to_end"), ("ref_end_to_end", "ref_payout"))
    theirs = [external("E1", 98000, ref_end_to_end="po_1001")]
    ours = [ledger("L1", 98000, ref_payout="po_1001")]
    assert pairs_of(matched(theirs, ours, by), theirs, ours) == {frozenset({"E1", "L1"}): "exact"}


def test_a_sale_and_its_chargeback_share_a_reference_and_are_told_apart_by_their_signs():
    by = rules(("ref_arn", "ref_arn"))
    theirs = [external("sale", 5000, ref_arn="ARN-0001"), external("back", -5000, ref_arn="ARN-0001")]
    ours = [ledger("L-", -5000, ref_arn="ARN-0001"), ledger("L+", 5000, ref_arn="ARN-0001")]
    found = pairs_of(matched(theirs, ours, by), theirs, ours)
    assert found == {frozenset({"sale", "L+"}): "exact", frozenset({"back", "L-"}): "exact"}


def test_a_different_reference_in_a_column_that_identifies_vetoes_the_match():
    by = rules(("ref_arn", "ref_arn"), ("ref_rrn", "ref_rrn"))
    theirs = [external("E1", 5000, ref_rrn="RRN-0007", ref_arn="ARN-0001")]
    other = [ledger("L1", 5000, ref_rrn="RRN-0007", ref_arn="ARN-0002")]
    absent = [ledger("L1", 5000, ref_rrn="RRN-0007")]
    otherwise_written = [ledger("L1", 5000, ref_rrn="RRN-0007", ref_arn="arn 0001")]
    assert matched(theirs, other, by).groups.num_rows == 0
    assert matched(theirs, absent, by).groups.num_rows == 1
    assert matched(theirs, otherwise_written, by).groups.num_rows == 1


def test_a_reference_that_does_not_identify_vetoes_nothing():
    by = rules(("ref_psp", "ref_psp"))
    theirs = [external("E1", 5000, ref_psp="ch_1001", ref_merchant="order 1")]
    assert (
        matched(theirs, [ledger("L1", 5000, ref_psp="ch_1001", ref_merchant="order 2")], by).groups.num_rows
        == 1
    )


def test_twins_are_paired_in_the_order_of_date_and_key():
    theirs = [
        external(key, 100, ref_end_to_end="RENT", day=day) for key, day in [("E3", 2), ("E1", 1), ("E2", 1)]
    ]
    ours = [
        ledger(key, 100, ref_end_to_end="RENT", day=day) for key, day in [("L2", 0), ("L1", 0), ("L0", 3)]
    ]
    result = matched(theirs, ours)
    expected = {
        frozenset({"E1", "L1"}): "exact",
        frozenset({"E2", "L2"}): "exact",
        frozenset({"E3", "L0"}): "exact",
    }
    assert pairs_of(result, theirs, ours) == expected
    assert result.ambiguous.num_rows == 0


def test_of_two_equal_lines_and_one_ledger_line_the_earlier_takes_it_and_the_other_stays_open():
    theirs = [
        external("E2", 100, ref_end_to_end="INV-1", day=2),
        external("E1", 100, ref_end_to_end="INV-1", day=1),
    ]
    ours = [ledger("L1", 100, ref_end_to_end="INV-1")]
    result = matched(theirs, ours)
    assert pairs_of(result, theirs, ours) == {frozenset({"E1", "L1"}): "exact"}
    assert result.ambiguous.num_rows == 0


def test_of_two_equal_ledger_entries_and_one_line_the_earlier_is_taken():
    theirs = [external("E1", 100, ref_end_to_end="INV-1", day=2)]
    ours = [ledger("L2", 100, ref_end_to_end="INV-1"), ledger("L1", 100, ref_end_to_end="INV-1")]
    assert pairs_of(matched(theirs, ours), theirs, ours) == {frozenset({"E1", "L1"}): "exact"}


def test_the_banks_own_number_of_a_line_does_not_make_a_line_booked_twice_ambiguous():
    by = rules(("ref_end_to_end", "ref_end_to_end"), ("ref_servicer", "ref_servicer"))
    theirs = [external(f"E{n}", 100, ref_end_to_end="INV-1", ref_servicer=f"BANK-000{n}") for n in (1, 2)]
    ours = [ledger("L1", 100, ref_end_to_end="INV-1"), ledger("L9", 7, ref_servicer="BANK-0009")]
    result = matched(theirs, ours, by)
    assert pairs_of(result, theirs, ours) == {frozenset({"E1", "L1"}): "exact"}
    assert result.ambiguous.num_rows == 0


def test_twins_too_far_apart_are_passed_over():
    theirs = [
        external("E1", 100, ref_end_to_end="RENT", day=0),
        external("E2", 100, ref_end_to_end="RENT", day=30),
    ]
    ours = [
        ledger("L1", 100, ref_end_to_end="RENT", day=20),
        ledger("L2", 100, ref_end_to_end="RENT", day=35),
    ]
    assert pairs_of(matched(theirs, ours), theirs, ours) == {frozenset({"E2", "L1"}): "exact"}


def test_a_reference_that_two_customers_could_have_written_is_ambiguous():
    theirs = [external("E1", 7781, ref_end_to_end="INV 7781")]
    ours = [
        ledger("L1", 7781, ref_end_to_end="INV-7781", counterparty="Ann"),
        ledger("L2", 7781, ref_end_to_end="INV7781", counterparty="Ben"),
    ]
    result = matched(theirs, ours)
    assert result.groups.num_rows == 0
    assert ambiguous_of(result, theirs, ours) == {"E1": frozenset({"L1", "L2"})}
    assert "ledger counterparty" in result.ambiguous["reason"][0].as_py()
    assert result.ambiguous["match_pass"].to_pylist() == ["normalised"]


def test_two_ways_to_write_one_reference_are_two_references_until_someone_decides():
    theirs = [external("E1", 7781, ref_end_to_end="INV 7781")]
    ours = [ledger("L1", 7781, ref_end_to_end="INV-7781"), ledger("L2", 7781, ref_end_to_end="INV7781")]
    result = matched(theirs, ours)
    assert ambiguous_of(result, theirs, ours) == {"E1": frozenset({"L1", "L2"})}


def test_the_same_amount_under_one_reference_for_two_customers_is_ambiguous():
    theirs = [external("E1", 100, ref_end_to_end="RENT")]
    ours = [
        ledger("L1", 100, ref_end_to_end="RENT", counterparty="Ann"),
        ledger("L2", 100, ref_end_to_end="RENT", counterparty="Ben"),
    ]
    result = matched(theirs, ours)
    assert ambiguous_of(result, theirs, ours) == {"E1": frozenset({"L1", "L2"})}


def test_two_lines_of_different_payers_for_one_ledger_line_are_ambiguous_together():
    theirs = [
        external("E1", 100, ref_end_to_end="RENT", counterparty="Ann"),
        external("E2", 100, ref_end_to_end="RENT", counterparty="Ben"),
    ]
    ours = [ledger("L1", 100, ref_end_to_end="RENT")]
    result = matched(theirs, ours)
    assert result.groups.num_rows == 0
    assert ambiguous_of(result, theirs, ours) == {"E1": frozenset({"L1"}), "E2": frozenset({"L1"})}
    assert len(set(result.ambiguous["ambiguity_key"].to_pylist())) == 1


def test_a_candidate_that_a_window_keeps_out_does_not_make_a_line_ambiguous():
    theirs = [external("E1", 100, ref_end_to_end="RENT")]
    ours = [
        ledger("L1", 100, ref_end_to_end="RENT", counterparty="Ann"),
        ledger("L2", 100, ref_end_to_end="RENT", counterparty="Ben", day=11),
    ]
    assert pairs_of(matched(theirs, ours), theirs, ours) == {frozenset({"E1", "L1"}): "exact"}


def test_a_pair_that_people_undid_is_not_proposed_again():
    theirs, ours = [external("E1", 100, ref_end_to_end="INV-1")], [ledger("L1", 100, ref_end_to_end="INV-1")]
    undone = frozenset(matched(theirs, ours).groups["group_key"].to_pylist())
    result = matched(theirs, ours, rejected=undone)
    assert result.groups.num_rows == 0
    assert result.ambiguous.num_rows == 0


def test_an_undone_pair_is_no_rival_to_another_explanation():
    theirs = [external("E1", 100, ref_end_to_end="RENT")]
    first = [ledger("L1", 100, ref_end_to_end="RENT", counterparty="Ann")]
    both = [*first, ledger("L2", 100, ref_end_to_end="RENT", counterparty="Ben")]
    undone = frozenset(matched(theirs, first).groups["group_key"].to_pylist())
    assert pairs_of(matched(theirs, both, rejected=undone), theirs, both) == {
        frozenset({"E1", "L2"}): "exact"
    }


def test_an_undone_pair_of_twins_leaves_the_other_ways_to_pair_them():
    theirs = [external(key, 100, ref_end_to_end="RENT") for key in ("E1", "E2")]
    ours = [ledger(key, 100, ref_end_to_end="RENT") for key in ("L1", "L2")]
    undone = frozenset(matched(theirs[1:], ours[1:]).groups["group_key"].to_pylist())
    found = pairs_of(matched(theirs, ours, rejected=undone), theirs, ours)
    assert found == {frozenset({"E1", "L2"}): "exact", frozenset({"E2", "L1"}): "exact"}


def test_a_reference_with_too_many_bearers_is_named_and_left_open():
    theirs = [external(f"E{n:03}", 100, ref_end_to_end="RENT", counterparty=f"C{n}") for n in range(501)]
    ours = [ledger(f"L{n:03}", 100, ref_end_to_end="RENT", counterparty=f"C{n}") for n in range(500)]
    result = matched(theirs, ours)
    assert result.groups.num_rows == 0
    assert str(result.limits[0]) == (
        "exact: candidate_pairs of assets:bank:main-eur EUR reference 'RENT': "
        "501 external and 500 ledger items, limit 250000; left open"
    )


def test_an_ambiguity_too_large_to_list_is_named():
    theirs = [external(f"E{n:03}", 100, ref_end_to_end="RENT", counterparty=f"C{n}") for n in range(400)]
    ours = [ledger(f"L{n:03}", 100, ref_end_to_end="RENT", counterparty=f"C{n}") for n in range(400)]
    result = matched(theirs, ours)
    assert result.ambiguous.num_rows == 0
    assert {limit.what for limit in result.limits} == {"ambiguous_candidates"}


def test_nothing_on_either_side_is_no_match_and_no_error():
    result = matched([], [])
    assert (result.groups.num_rows, result.members.num_rows, result.ambiguous.num_rows) == (0, 0, 0)
    assert matched([external("E1", 1, ref_end_to_end="INV-1")], []).groups.num_rows == 0
    assert matched([], [ledger("L1", 1, ref_end_to_end="INV-1")]).groups.num_rows == 0
