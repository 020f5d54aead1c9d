"""One worked example per kind of exception, and who wins where two could."""

from datetime import date

import pytest

from reconciliation.classification import AmbiguousCase, Classified
from tests.reconciliation.classification.situations import (
    EUR_2,
    JPY,
    decide,
    entry,
    kinds,
    line,
    only,
    source,
    subset,
)

FRIDAY = date(2025, 3, 7)
FACTS = (
    "class",
    "kind",
    "side",
    "line_key",
    "entry_key",
    "line_no",
    "amount_minor",
    "difference_minor",
    "members",
)


def why(classified: Classified) -> str:
    """The reason of the one exception there is."""
    return str(only(classified)["factors"]["why"])


def test_money_that_nobody_booked_is_missing_in_the_ledger() -> None:
    found = only(decide([line(1, 73_215, "INV-1")], as_of=date(2025, 3, 6)))
    assert subset(found, *FACTS) == (
        "genuine", "missing_in_ledger", "external", "L1", None, None, 73_215, 73_215, ["L1"],
    )  # fmt: skip
    assert subset(found, "due_on", "expected_clear_on", "age_business_days") == (
        date(2025, 3, 5),
        date(2025, 3, 5),
        2,
    )


def test_a_payment_the_bank_never_executed_is_missing_at_the_source() -> None:
    found = only(decide([], [entry(1, -41_890, "PAY-1")], as_of=FRIDAY))
    assert subset(found, *FACTS) == (
        "genuine", "missing_at_source", "ledger", None, "E1", 1, -41_890, 41_890, ["E1/1"],
    )  # fmt: skip
    assert subset(found, "due_on", "expected_clear_on", "age_business_days") == (
        date(2025, 3, 6),
        date(2025, 3, 5),
        3,
    )


def test_two_swapped_digits_are_an_amount_mismatch_of_the_difference() -> None:
    found = only(decide([line(1, 120_500, "INV-2")], [entry(1, 125_000, "INV-2")]))
    assert subset(found, *FACTS) == (
        "genuine", "amount_mismatch", "external", "L1", "E1", 1, 120_500, -4_500, ["E1/1", "L1"],
    )  # fmt: skip
    assert found["expected_clear_on"] is None


def test_a_reference_written_differently_still_shows_the_mismatch() -> None:
    assert kinds(decide([line(1, 900, "inv 0077-1")], [entry(1, 901, "INV-00771")])) == [
        ("amount_mismatch", ["E1/1", "L1"])
    ]


def test_a_fee_that_is_not_the_booked_one_is_a_fee_variance_with_the_fee_line() -> None:
    sale = line(1, 9_700, "ch_1", fee_minor=300, kind="charge")
    gross, fee = entry(1, 10_000, "ch_1", kind="charge"), entry(1, -290, "ch_1", line_no=2, kind="fee")
    found = only(decide([sale], [fee, gross]))
    assert subset(found, *FACTS) == (
        "genuine", "fee_variance", "external", "L1", "E1", 1, 9_700, -10, ["E1/1", "E1/2", "L1"],
    )  # fmt: skip


def test_a_fee_kept_back_from_an_entry_without_a_fee_line_is_a_fee_variance() -> None:
    sale = line(1, 9_700, "ch_1", fee_minor=300, kind="charge")
    found = only(decide([sale], [entry(1, 10_000, "ch_1")]))
    assert subset(found, "kind", "difference_minor") == ("fee_variance", -300)


def test_a_net_that_follows_the_schedule_shows_the_fee_that_does_not() -> None:
    fees = [
        {"asset": "EUR", "kind": "charge", "rate_ppm": 50_000, "fixed_minor": 0},
        {"asset": "EUR", "kind": "charge", "rate_ppm": 14_000, "fixed_minor": 25, "from_date": "2025-01-01"},
    ]
    rules = source().match.model_dump() | {"fees": fees}
    sale = line(1, 9_800, "ch_1", fee_minor=200, kind="charge")  # gross 100.00; 1.4 % + 0.25 gives 1.65
    found = only(decide([sale], [entry(1, 9_835, "ch_1", kind="charge")], of=source(match=rules)))
    assert subset(found, "kind", "difference_minor") == ("fee_variance", -35)


def test_another_rate_for_the_same_dollars_is_an_fx_variance() -> None:
    sale = line(1, 18_545, "A1B2", original_amount_minor=20_000, original_asset="USD", kind="presentment")
    booked = entry(1, 18_400, "A1B2", fx_amount_minor=20_000, fx_asset="USD")
    found = only(decide([sale], [booked]))
    assert subset(found, "kind", "amount_minor", "difference_minor") == ("fx_variance", 18_545, 145)


def test_the_reason_of_a_fee_variance_says_what_was_kept_back_and_what_was_expected() -> None:
    sale = line(1, 9_700, "ch_1", fee_minor=300, kind="charge")
    gross, fee = entry(1, 10_000, "ch_1", kind="charge"), entry(1, -290, "ch_1", line_no=2, kind="fee")
    assert why(decide([sale], [gross, fee])) == (
        "gross 100.00 EUR agrees; the source kept back 3.00 EUR, our book has 2.90 EUR, no schedule applies: "
        "overcharged by 0.10 EUR against our book"
    )
    assert why(decide([sale], [gross, fee | {"amount_minor": -310}])).endswith(
        "undercharged by 0.10 EUR against our book"
    )


@pytest.mark.parametrize(
    ("rate_ppm", "booked_minor", "verdict"),
    [
        (29_000, -290, "gives 2.90 EUR: overcharged by 0.10 EUR"),
        (31_000, -310, "gives 3.10 EUR: undercharged by 0.10 EUR"),
        (30_000, -290, "gives 3.00 EUR: charged as agreed, our book has 0.10 EUR less"),
        (30_000, -310, "gives 3.00 EUR: charged as agreed, our book has 0.10 EUR more"),
    ],
)
def test_the_schedule_says_who_is_wrong_about_a_fee(rate_ppm: int, booked_minor: int, verdict: str) -> None:
    fees = [
        {"asset": "EUR", "kind": "charge", "rate_ppm": rate_ppm, "fixed_minor": 0, "from_date": "2025-01-01"}
    ]
    of = source(match=source().match.model_dump() | {"fees": fees})
    sale = line(1, 9_700, "ch_1", fee_minor=300, kind="charge")
    gross = entry(1, 10_000, "ch_1", kind="charge")
    fee = entry(1, booked_minor, "ch_1", line_no=2, kind="fee")
    assert why(decide([sale], [gross, fee], of=of)).endswith(f", the schedule from 2025-01-01 on {verdict}")


@pytest.mark.parametrize(
    ("sold_on", "net_minor", "expected"),
    [(date(2025, 3, 2), 9_800, "fee_variance"), (date(2025, 3, 3), 9_800, "amount_mismatch"),
     (date(2025, 3, 2), 9_700, "amount_mismatch"), (date(2025, 3, 3), 9_700, "fee_variance")],
)  # fmt: skip
def test_on_the_day_of_change_the_version_of_the_day_of_the_sale_counts(
    sold_on: date, net_minor: int, expected: str
) -> None:
    """2 % until the second of March, 3 % from the third; the source reports on the fourth, and kept back 2.50."""
    versions = [("2020-01-01", 20_000), ("2025-03-03", 30_000)]
    fees = [
        {"asset": "EUR", "kind": "charge", "rate_ppm": rate, "fixed_minor": 0, "from_date": first}
        for first, rate in versions
    ]
    of = source(match=source().match.model_dump() | {"fees": fees})
    sale = line(1, 9_750, "ch_1", fee_minor=250, kind="charge")
    booked = entry(1, net_minor, "ch_1", kind="charge", business_date=sold_on)
    assert kinds(decide([sale], [booked], of=of)) == [(expected, ["E1/1", "L1"])]


def test_a_fee_that_an_entry_of_its_own_books_belongs_to_the_sale_it_was_taken_from() -> None:
    sale = line(1, 9_700, "ch_1", fee_minor=300, kind="charge")
    entries = [entry(1, 10_000, "ch_1", kind="charge"), entry(2, -290, "ch_1", kind="fee")]
    found = only(decide([sale], entries))
    assert subset(found, "kind", "difference_minor", "members") == (
        "fee_variance", -10, ["E1/1", "E2/1", "L1"],
    )  # fmt: skip


def test_a_fee_apart_joins_nobody_where_two_sales_could_have_it() -> None:
    sale = line(1, 9_700, "ch_1", fee_minor=300, kind="charge")
    entries = [
        entry(1, 10_000, "ch_1", kind="charge"),
        entry(2, 10_000, "ch_1", kind="charge"),
        entry(3, -290, "ch_1", kind="fee"),
    ]
    assert [kind for kind, _ in kinds(decide([sale], entries))] == [
        "missing_at_source", "missing_at_source", "missing_at_source", "missing_in_ledger",
    ]  # fmt: skip


def test_a_fee_line_of_the_source_meets_the_fee_and_not_the_sale() -> None:
    charged = line(1, -300, "ch_1", kind="fee")
    assert kinds(decide([charged], [entry(2, -290, "ch_1", kind="fee")])) == [
        ("amount_mismatch", ["E2/1", "L1"])
    ]


def test_the_reason_of_an_fx_variance_says_both_amounts_and_both_rates() -> None:
    original = {"original_amount_minor": 20_000, "original_asset": "USD", "kind": "presentment"}
    sale = line(1, 18_545, "A1B2", fx_rate="0.9272450", **original)
    booked = entry(1, 18_400, "A1B2", fx_amount_minor=20_000, fx_asset="USD", fx_rate="0.920000000000000000")
    assert why(decide([sale], [booked])) == (
        "original 200.00 USD agrees; the source made 185.45 EUR of it at 0.9272450, our book 184.00 EUR at 0.92: "
        "1.45 EUR more than booked"
    )


@pytest.mark.parametrize(
    ("rate", "said"),
    [
        ({"fx_rate": "0.9172450"}, "made 185.45 EUR of it at 0.9172450, which gives 183.45 EUR, our book"),
        ({"fx_rate": "1.0902214"}, "made 185.45 EUR of it at 1.0902214, which gives 183.45 EUR, our book"),
        (
            {"fx_numerator": 3, "fx_denominator": 4},
            "made 185.45 EUR of it at 3/4, which gives 150.00 EUR, our book",
        ),
        ({}, "made 185.45 EUR of it at no stated rate, our book"),
    ],
)
def test_a_rate_that_does_not_give_the_sources_amount_is_said(rate: dict[str, object], said: str) -> None:
    original = {"original_amount_minor": 20_000, "original_asset": "USD", "kind": "presentment"}
    booked = entry(1, 18_500, "A1B2", fx_amount_minor=20_000, fx_asset="USD")
    assert said in why(decide([line(1, 18_545, "A1B2", **original, **rate)], [booked]))


def test_amounts_in_assets_without_known_digits_are_told_in_minor_units() -> None:
    sale = line(1, 97, "ch_1", fee_minor=3, kind="charge", asset="GEM", account=JPY)
    booked = entry(1, 100, "ch_1", asset="GEM", account=JPY)
    assert why(decide([sale], [booked], exponents={"GEM": 0})).startswith(
        "gross 100 minor units of GEM agrees"
    )


def test_a_sale_in_yen_booked_in_euro_is_a_currency_mismatch() -> None:
    sale = line(1, 5_340, "ch_9", asset="JPY", account=JPY)
    found = only(decide([sale], [entry(1, 5_340, "ch_9")]))
    assert subset(found, *FACTS) == (
        "genuine", "currency_mismatch", "external", "L1", "E1", 1, 5_340, 5_340, ["E1/1", "L1"],
    )  # fmt: skip
    assert subset(found, "asset", "account") == ("JPY", JPY)


def test_an_entry_on_the_same_account_is_preferred_to_one_of_another_asset() -> None:
    lines, entries = (
        [line(1, 500, "X-100")],
        [entry(1, 510, "X-100"), entry(2, 500, "X-100", asset="JPY", account=JPY)],
    )
    assert kinds(decide(lines, entries)) == [
        ("amount_mismatch", ["E1/1", "L1"]),
        ("missing_at_source", ["E2/1"]),
    ]


def test_another_account_of_the_same_asset_is_no_counterpart() -> None:
    found = kinds(decide([line(1, 500, "X-100")], [entry(1, 510, "X-100", account=EUR_2)]))
    assert found == [("missing_at_source", ["E1/1"]), ("missing_in_ledger", ["L1"])]


def test_money_that_left_booked_as_money_that_came_is_a_sign_mismatch() -> None:
    found = only(decide([line(1, -36_640, "PAY-2")], [entry(1, 36_640, "PAY-2")]))
    assert subset(found, "kind", "amount_minor", "difference_minor") == ("sign_mismatch", -36_640, -73_280)


def test_opposite_direction_and_another_amount_is_no_explanation() -> None:
    found = kinds(decide([line(1, -500, "X-100")], [entry(1, 510, "X-100")]))
    assert found == [("missing_at_source", ["E1/1"]), ("missing_in_ledger", ["L1"])]


@pytest.mark.parametrize("kind", ["chargeback", "refund", "chargeback_reversal"])
def test_money_taken_back_never_meets_the_sale_itself(kind: str) -> None:
    found = kinds(decide([line(1, -500, "ARN-1", kind=kind)], [entry(1, 500, "ARN-1", kind="presentment")]))
    assert "sign_mismatch" not in dict(found)
    assert len(found) == 2


def test_a_sale_and_its_chargeback_share_a_reference_and_are_told_apart() -> None:
    lines = [
        line(1, 500, ref_arn="74000001", kind="presentment"),
        line(2, -500, ref_arn="74000001", kind="chargeback"),
    ]
    found = kinds(decide(lines, [entry(1, 490, ref_arn="74000001", kind="presentment")]))
    assert found == [("amount_mismatch", ["E1/1", "L1"]), ("chargeback_unbooked", ["L2"])]


def test_a_second_line_for_a_payment_already_matched_is_a_duplicate_at_the_source() -> None:
    again = line(2, -58_230, "PAY-3", ref_servicer="S2")
    found = only(decide([again], taken_lines=[line(1, -58_230, "PAY-3", ref_servicer="S1")]))
    assert subset(found, *FACTS) == (
        "genuine", "duplicate_external", "external", "L2", None, None, -58_230, -58_230, ["L2"],
    )  # fmt: skip


def test_a_second_entry_for_a_transfer_already_matched_is_a_duplicate_in_the_ledger() -> None:
    again = entry(2, 91_475, "INV-3", counterparty="Ada")
    found = only(decide([], [again], taken_entries=[entry(1, 91_475, "INV-3", counterparty="Ada")]))
    assert subset(found, *FACTS) == (
        "genuine", "duplicate_ledger", "ledger", None, "E2", 1, 91_475, -91_475, ["E2/1"],
    )  # fmt: skip


def test_another_customer_or_another_reference_beside_the_shared_one_is_no_duplicate() -> None:
    taken = [entry(1, 500, "INV-3", counterparty="Ada", ref_arn="A-0001")]
    assert kinds(decide([], [entry(2, 500, "INV-3", counterparty="Bea")], taken_entries=taken)) == [
        ("missing_at_source", ["E2/1"])
    ]
    other = [entry(2, 500, "INV-3", counterparty="Ada", ref_arn="A-0002")]
    assert kinds(decide([], other, taken_entries=taken)) == [("missing_at_source", ["E2/1"])]


def test_a_duplicate_with_an_equal_entry_left_for_it_is_only_waiting() -> None:
    lines, entries = (
        [line(2, 500, "INV-3")],
        [entry(2, 500, "INV-3")],
    )  # far apart in time, so no pass matched them
    found = kinds(decide(lines, entries, taken_lines=[line(1, 500, "INV-3")]))
    assert found == [("missing_at_source", ["E2/1"]), ("missing_in_ledger", ["L2"])]


def test_a_sale_presented_again_after_its_chargeback_is_no_duplicate() -> None:
    sale = line(1, 500, ref_arn="74000001", kind="presentment")
    chargeback = line(2, -500, ref_arn="74000001", kind="chargeback")
    again = line(3, 500, ref_arn="74000001", kind="presentment")
    assert kinds(decide([again], taken_lines=[sale, chargeback])) == [("missing_in_ledger", ["L3"])]


def test_a_corrected_line_that_disagrees_is_a_conflicting_version_before_anything_else() -> None:
    for corrected in (line(1, 140_800, "INV-4", version=2), line(1, -148_000, "INV-4", version=2)):
        found = only(decide([corrected], [entry(1, 148_000, "INV-4")]))
        assert found["kind"] == "conflicting_version"


def test_an_entry_whose_line_a_corrected_file_dropped_is_withdrawn() -> None:
    found = only(decide([], [entry(1, 26_500, "INV-5")], withdrawn=[line(7, 26_500, "INV-5")]))
    assert subset(found, *FACTS) == (
        "genuine", "withdrawn", "external", "L7", "E1", 1, 26_500, -26_500, ["E1/1"],
    )  # fmt: skip


def test_a_withdrawn_line_explains_an_entry_before_another_line_does() -> None:
    found = kinds(
        decide([line(1, 26_400, "INV-5")], [entry(1, 26_500, "INV-5")], withdrawn=[line(7, 26_500, "INV-5")])
    )
    assert found == [("missing_in_ledger", ["L1"]), ("withdrawn", ["E1/1"])]


@pytest.mark.parametrize("kind", ["fee", "interest"])
def test_a_charge_of_the_source_is_unrecorded_at_once(kind: str) -> None:
    found = only(decide([line(1, -3_500, kind=kind)]))
    assert subset(found, "class", "kind", "difference_minor") == ("genuine", "unrecorded_charge", -3_500)


def test_a_charge_booked_with_another_amount_is_a_mismatch_and_not_unrecorded() -> None:
    found = only(decide([line(1, -3_500, "FEE-03", kind="fee")], [entry(1, -3_400, "FEE-03", kind="fee")]))
    assert found["kind"] == "amount_mismatch"


def test_a_chargeback_that_nobody_booked_is_genuine_at_once() -> None:
    found = only(decide([line(1, -6_600, ref_arn="74000002", kind="chargeback")]))
    assert subset(found, "class", "kind", "amount_minor") == ("genuine", "chargeback_unbooked", -6_600)


def test_a_reference_that_fits_two_invoices_is_one_ambiguous_case_with_all_who_compete() -> None:
    lines, entries = (
        [line(1, 84_900, "INV 7781")],
        [entry(1, 84_900, "INV-7781"), entry(2, 84_900, "INV7781")],
    )
    case = AmbiguousCase(line_ids=(1,), ledger_lines=((2, 1), (1, 1)), reason="two customers")
    found = only(decide(lines, entries, ambiguous=[case]))
    assert subset(found, "class", "kind", "line_key", "amount_minor", "difference_minor", "members") == (
        "review", "ambiguous", "L1", 84_900, -84_900, ["E1/1", "E2/1", "L1"],
    )  # fmt: skip
    assert found["factors"]["why"] == "two customers"


def test_ambiguous_cases_that_share_an_entry_are_one_case() -> None:
    lines = [line(1, 500, "AB-77"), line(2, 500, "AB-77")]
    cases = [AmbiguousCase(line_ids=(number,), ledger_lines=((1, 1), (number + 1, 1))) for number in (1, 2)]
    entries = [entry(number, 500, "AB77") for number in (1, 2, 3)]
    found = only(decide(lines, entries, ambiguous=cases))
    assert subset(found, "line_key", "members") == ("L1", ["E1/1", "E2/1", "E3/1", "L1", "L2"])


def test_an_ambiguous_case_that_is_decided_on_one_side_falls_away() -> None:
    case = AmbiguousCase(line_ids=(99,), ledger_lines=((1, 1),))
    assert kinds(decide([], [entry(1, 500, "AB-77")], ambiguous=[case])) == [("missing_at_source", ["E1/1"])]


def test_several_candidates_for_a_mismatch_leave_everybody_alone() -> None:
    found = kinds(decide([line(1, 500, "INV-6")], [entry(1, 490, "INV-6"), entry(2, 480, "INV-6")]))
    assert found == [
        ("missing_at_source", ["E1/1"]),
        ("missing_at_source", ["E2/1"]),
        ("missing_in_ledger", ["L1"]),
    ]


def test_a_crowd_under_the_literal_reference_is_not_resolved_by_a_likeness() -> None:
    entries = [entry(1, 490, "INV-6"), entry(2, 480, "INV-6"), entry(3, 470, "INV6")]
    assert "amount_mismatch" not in dict(kinds(decide([line(1, 500, "INV-6")], entries)))


def test_a_reference_that_everybody_writes_identifies_nobody() -> None:
    found = kinds(decide([line(1, 500, "NOTPROVIDED")], [entry(1, 490, "NOTPROVIDED")]))
    assert found == [("missing_at_source", ["E1/1"]), ("missing_in_ledger", ["L1"])]


def test_an_entry_that_books_money_taken_back_never_meets_a_payment_of_the_other_direction() -> None:
    found = kinds(decide([line(1, 500, "ARN-1")], [entry(1, -500, "ARN-1", kind="chargeback")]))
    assert found == [("missing_at_source", ["E1/1"]), ("missing_in_ledger", ["L1"])]


def test_a_reference_on_more_than_twenty_lines_identifies_nobody() -> None:
    crowd = [line(number, -500, "ARN-1", kind="chargeback") for number in range(2, 22)]
    sale, booked = line(1, 500, "ARN-1", kind="presentment"), entry(1, 490, "ARN-1")
    assert dict(kinds(decide([sale, *crowd[1:]], [booked]))).get("amount_mismatch") == ["E1/1", "L1"]
    assert "amount_mismatch" not in dict(kinds(decide([sale, *crowd], [booked])))
