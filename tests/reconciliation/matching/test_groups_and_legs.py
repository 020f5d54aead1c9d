"""Declared groups, and the legs between two sources."""

import pytest

from reconciliation.matching import match_legs
from tests.reconciliation.matching.cases import (
    PAYOUT_LEG,
    external,
    externals,
    ledger,
    matched,
    on,
    pairs_of,
    rules,
)

E2E = ("ref_end_to_end", "ref_end_to_end")


def collection(*amounts_minor: int, **changes: object) -> list[dict[str, object]]:
    """Our lines of one direct debit collection, each with a reference of its own."""
    return [
        ledger(f"L{n}", amount, **({"batch_ref": "BATCH-77", "ref_end_to_end": f"MANDATE-000{n}"} | changes))
        for n, amount in enumerate(amounts_minor)
    ]


def test_one_bank_entry_and_the_lines_of_its_batch_are_one_group():
    theirs, ours = [external("E1", 29_500, batch_ref="BATCH-77", day=1)], collection(10_000, 12_000, 7500)
    result = matched(theirs, ours)
    assert pairs_of(result, theirs, ours) == {frozenset({"E1", "L0", "L1", "L2"}): "declared_group"}
    assert result.groups["as_of"].to_pylist() == [on(1)]
    assert result.members["allocated_minor"].to_pylist() == [29_500, 10_000, 12_000, 7500]


def test_a_batch_less_its_declared_fee_is_a_match_with_that_difference():
    theirs, ours = (
        [external("E1", 29_400, fee_minor=100, batch_ref="BATCH-77")],
        collection(10_000, 12_000, 7500),
    )
    result = matched(theirs, ours)
    assert result.groups["difference_minor"].to_pylist() == [-100]
    assert result.members["role"].to_pylist() == ["fee", "principal", "principal", "principal"]


def test_a_batch_whose_sum_does_not_tie_is_not_matched_in_part():
    theirs = [external("E1", 22_000, batch_ref="BATCH-77")]
    assert matched(theirs, collection(10_000, 12_000, 7500)).groups.num_rows == 0


def test_a_collection_booked_under_the_end_to_end_id_of_the_batch_is_a_group():
    theirs, ours = (
        [external("E1", 17_500, ref_end_to_end="BATCH-77")],
        collection(10_000, 7500, ref_end_to_end=None),
    )
    by = rules(E2E, ("ref_end_to_end", "batch_ref"))
    assert pairs_of(matched(theirs, ours, by), theirs, ours) == {
        frozenset({"E1", "L0", "L1"}): "declared_group"
    }


def test_many_lines_and_many_ledger_lines_of_a_batch_are_one_group():
    theirs = [external("E1", 15_000, batch_ref="BATCH-77"), external("E2", 2500, batch_ref="BATCH-77")]
    ours = collection(10_000, 7500)
    assert pairs_of(matched(theirs, ours), theirs, ours) == {
        frozenset({"E1", "E2", "L0", "L1"}): "declared_group"
    }


def test_a_payment_we_lack_and_one_they_lack_do_not_become_a_group_because_they_share_a_batch():
    theirs = [external("E1", 10_000, batch_ref="BATCH-77", ref_end_to_end="MANDATE-0099")]
    assert matched(theirs, collection(10_000)).groups.num_rows == 0


def test_batches_of_other_accounts_and_assets_are_other_batches():
    theirs = [external("E1", 17_500, batch_ref="BATCH-77")]
    assert matched(theirs, collection(10_000, 7500, account="assets:bank:other")).groups.num_rows == 0
    assert matched(theirs, collection(10_000, 7500, asset="USD")).groups.num_rows == 0


def test_a_batch_of_long_ago_is_another_batch():
    theirs = [external("E1", 17_500, batch_ref="BATCH-77", day=11)]
    assert matched(theirs, collection(10_000, 7500)).groups.num_rows == 0


def test_a_batch_larger_than_the_limit_is_named_and_left_open():
    theirs = [external("E1", 29_500, batch_ref="BATCH-77")]
    result = matched(theirs, collection(10_000, 12_000, 7500), rules(group_size_max=3))
    assert result.groups.num_rows == 0
    told = (
        "declared_group: group_size of assets:bank:main-eur EUR reference 'BATCH-77': "
        "1 external and 3 ledger items, limit 3; left open"
    )
    assert [str(limit) for limit in result.limits] == [told]


def test_an_undone_batch_is_not_proposed_again():
    theirs, ours = [external("E1", 17_500, batch_ref="BATCH-77")], collection(10_000, 7500)
    undone = frozenset(matched(theirs, ours).groups["group_key"].to_pylist())
    assert matched(theirs, ours, rejected=undone).groups.num_rows == 0


def test_a_line_is_no_longer_ambiguous_once_a_batch_has_explained_its_other_candidate():
    theirs = [external("E1", 10_000, ref_end_to_end="RENT"), external("E2", 17_500, batch_ref="BATCH-77")]
    ours = [
        ledger("Ann", 10_000, ref_end_to_end="RENT", counterparty="Ann"),
        ledger("Ben", 10_000, ref_end_to_end="RENT", counterparty="Ben", batch_ref="BATCH-77"),
        ledger("L3", 7500, batch_ref="BATCH-77"),
    ]
    result = matched(theirs, ours)
    assert pairs_of(result, theirs, ours) == {
        frozenset({"E2", "Ben", "L3"}): "declared_group",
        frozenset({"E1", "Ann"}): "exact",
    }
    assert result.ambiguous.num_rows == 0


def test_a_pass_that_is_not_configured_finds_nothing():
    theirs, ours = [external("E1", 17_500, batch_ref="BATCH-77")], collection(10_000, 7500)
    result = matched(theirs, ours, rules(passes=("exact", "normalised")))
    assert result.groups.num_rows == 0
    assert list(result.counts) == ["exact", "normalised"]


def payout(key: str, amount_minor: int, reference: str, **changes: object) -> dict[str, object]:
    kept = {"kind": "payout", "account": "assets:processor", "ref_payout": reference}
    return external(key, amount_minor, **(kept | changes))


@pytest.mark.parametrize(("written", "match_pass"), [("po_1001", "exact"), ("PO-1001", "normalised")])
def test_a_payout_meets_its_arrival_at_the_bank(written, match_pass):
    payouts = [payout("P1", -98_000, "po_1001"), payout("C1", 98_000, "po_1001", kind="charge")]
    bank = [
        external("B1", 98_000, ref_end_to_end=written, day=1),
        external("B2", -98_000, ref_end_to_end=written),
    ]
    result = match_legs(externals(payouts), externals(bank), PAYOUT_LEG)
    group = result.groups.to_pylist()[0]
    assert (group["leg"], group["match_pass"], group["as_of"]) == ("payout", match_pass, on(1))
    assert (group["external_minor"], group["ledger_minor"], group["difference_minor"]) == (0, 0, 0)
    members = [(row["side"], row["line_id"], row["allocated_minor"]) for row in result.members.to_pylist()]
    assert members == [("external", payouts[0]["line_id"], -98_000), ("external", bank[0]["line_id"], 98_000)]


def test_a_payout_of_another_amount_or_asset_is_not_its_arrival():
    payouts = externals([payout("P1", -98_000, "po_1001")])
    assert (
        match_legs(
            payouts, externals([external("B1", 97_999, ref_end_to_end="po_1001")]), PAYOUT_LEG
        ).groups.num_rows
        == 0
    )
    other = externals([external("B1", 98_000, ref_end_to_end="po_1001", asset="USD")])
    assert match_legs(payouts, other, PAYOUT_LEG).groups.num_rows == 0


def test_two_different_arrivals_of_one_payout_are_ambiguous():
    payouts = [payout("P1", -98_000, "po_1001")]
    bank = [external(key, 98_000, ref_end_to_end="po_1001", counterparty=key) for key in ("B1", "B2")]
    result = match_legs(externals(payouts), externals(bank), PAYOUT_LEG)
    row = result.ambiguous.to_pylist()[0]
    assert result.groups.num_rows == 0
    assert (row["line_id"], row["entry_ids"]) == (payouts[0]["line_id"], [])
    assert row["candidate_line_ids"] == [line["line_id"] for line in bank]


def test_an_undone_leg_is_not_proposed_again():
    payouts, bank = (
        externals([payout("P1", -5, "po_1001")]),
        externals([external("B1", 5, ref_end_to_end="po_1001")]),
    )
    undone = frozenset(match_legs(payouts, bank, PAYOUT_LEG).groups["group_key"].to_pylist())
    assert len(undone) == 1
    assert match_legs(payouts, bank, PAYOUT_LEG, rejected=undone).groups.num_rows == 0
