"""Movements in another asset: the statement's own rate explains them, or they are left to people."""

import json
import random
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger_core.money import ISO_4217_EXPONENTS
from reconciliation.matching import MatchContext, MatchResult
from reconciliation.matching.assembly import assemble
from reconciliation.matching.books import Books, Side
from reconciliation.matching.conversion import match_converted
from reconciliation.sources import MatchRules, ReferencePair
from tests.reconciliation.matching.cases import (
    Item,
    ambiguous_of,
    external,
    externals,
    ledger,
    ledgers,
    on,
    pairs_of,
    rules,
)

ARN = ("ref_arn", "ref_arn")
BY = rules(ARN)
RATE = "0.9272450"
SOURCE_MINOR = 18_545
"""200.00 dollars at RATE: 185.449 euro."""


def paid(key: str = "E1", amount_minor: int = SOURCE_MINOR, **changes: Any) -> Item:
    """A card sale of 200.00 dollars, converted by the scheme at its rate."""
    told = {
        "kind": "presentment",
        "ref_arn": "7400-0001",
        "original_amount_minor": 20_000,
        "original_asset": "USD",
        "fx_rate": RATE,
    }
    return external(key, amount_minor, **(told | changes))


def booked(key: str = "L1", amount_minor: int = SOURCE_MINOR - 1, **changes: Any) -> Item:
    told = {"kind": "presentment", "ref_arn": "7400 0001", "fx_amount_minor": 20_000, "fx_asset": "USD"}
    return ledger(key, amount_minor, **(told | changes))


def fee(key: str = "L1", amount_minor: int = -300, **changes: Any) -> Item:
    return ledger(key, amount_minor, **({"line_no": 2, "kind": "fee", "ref_arn": "7400 0001"} | changes))


def converted(
    theirs: Sequence[Item], ours: Sequence[Item], by: MatchRules = BY, rejected: frozenset[str] = frozenset()
) -> MatchResult:
    """The one pass over these items."""
    books = Books.open(
        Side.external(externals(theirs)),
        Side.ledger(ledgers(ours)),
        leg="ledger",
        references=by.references,
        window_days=by.window_days,
        by_account=True,
    )
    outcome = match_converted(
        books,
        np.arange(len(theirs)),
        np.arange(len(ours)),
        ReferencePair(external="ref_arn", ledger="ref_arn"),
        rules=by,
        context=MatchContext(rejected=rejected),
    )
    return assemble(books, ("converted",), outcome.proposals, outcome.undecided, outcome.limits)


def count(*items: Item, by: MatchRules = BY) -> int:
    """Groups found among one external line and ledger lines."""
    return converted(items[:1], items[1:], by).groups.num_rows


def test_a_minor_unit_of_rounding_is_the_difference_of_the_match():
    theirs, ours = [paid()], [booked(day=2)]
    result = converted(theirs, ours)
    assert pairs_of(result, theirs, ours) == {frozenset({"E1", "L1"}): "converted"}
    assert result.groups["difference_minor"].to_pylist() == [1]
    assert result.groups["as_of"].to_pylist() == [on(2)]
    assert result.members["role"].to_pylist() == ["fx", "principal"]
    assert result.members["allocated_minor"].to_pylist() == [SOURCE_MINOR, SOURCE_MINOR - 1]
    evidence = json.loads(result.groups["evidence"][0].as_py())
    assert evidence["fx"] == {
        "booked_minor": 18_545,
        "expected_minor": 18_545,
        "ledger_minor": 18_544,
        "original_asset": "USD",
        "original_minor": 20_000,
        "rate": RATE,
        "rest_minor": 1,
        "tolerance_minor": 1,
    }
    assert evidence["references"][0]["agree"] == "normalised"


@pytest.mark.parametrize(("ledger_minor", "found"), [(-2, 0), (-1, 1), (0, 1), (1, 1), (2, 0)])
def test_one_minor_unit_is_allowed_and_no_more(ledger_minor, found):
    assert count(paid(), booked(amount_minor=SOURCE_MINOR + ledger_minor)) == found


@pytest.mark.parametrize(
    ("ppm", "rest", "found"), [(500, 9, 1), (500, 10, 0), (485, 8, 1), (485, 9, 0), (1, 1, 1)]
)
def test_the_configured_share_allows_more(ppm, rest, found):
    by = rules(ARN, fx_tolerance_ppm=ppm)  # 500 ppm of 185.45 are 9.27 minor units
    assert count(paid(), booked(amount_minor=SOURCE_MINOR - rest), by=by) == found


@pytest.mark.parametrize(("source_minor", "found"), [(18_543, 0), (18_544, 1), (18_545, 1), (18_546, 0)])
def test_the_rate_on_the_statement_must_give_the_statements_amount(source_minor, found):
    """185.449: 185.44 and 185.45 are within a minor unit, 185.43 and 185.46 are not."""
    assert count(paid(amount_minor=source_minor), booked(amount_minor=source_minor)) == found


def test_a_wrong_rate_explains_nothing_though_both_sides_agree_to_the_cent():
    assert count(paid(fx_rate="0.9372450"), booked()) == 0
    assert count(paid(fx_rate=None), booked()) == 0
    assert count(paid(fx_rate="about 0.93"), booked()) == 0


def test_our_own_rate_is_never_asked():
    later = booked(amount_minor=18_400, fx_rate="0.92")
    assert count(paid(), later) == 0
    assert count(paid(fx_rate=None), booked(fx_rate=RATE)) == 0


def test_a_rate_as_text_may_be_meant_either_way_and_a_fraction_only_its_own():
    assert count(paid(fx_rate="1.0784636"), booked()) == 1
    assert count(paid(fx_rate=None, fx_numerator=9_272_450, fx_denominator=10_000_000), booked()) == 1
    assert count(paid(fx_rate=None, fx_numerator=10_000_000, fx_denominator=9_272_450), booked()) == 0


def test_the_fraction_counts_where_text_and_fraction_disagree():
    fraction = {"fx_numerator": 9_272_450, "fx_denominator": 10_000_000}
    assert count(paid(fx_rate="0.5", **fraction), booked()) == 1
    assert count(paid(fx_numerator=1, fx_denominator=2), booked()) == 0


@pytest.mark.parametrize(
    ("original_minor", "original", "rate", "amount_minor", "asset"),
    [
        (12_000, "JPY", "160.5", 7477, "EUR"),  # 74.766: no minor digits there
        (12_345, "EUR", "0.334567", 41_302, "KWD"),  # 41.3022: three minor digits here
        (-10_000, "USD", "0.75", -7500, "EUR"),
        (900_000_000_000_000_000, "JPY", "0.000001", 90_000_000_000_000, "EUR"),
    ],
)
def test_minor_digits_of_both_assets_are_counted(original_minor, original, rate, amount_minor, asset):
    line = paid(
        amount_minor=amount_minor,
        asset=asset,
        original_amount_minor=original_minor,
        original_asset=original,
        fx_rate=rate,
    )
    entry = booked(
        amount_minor=amount_minor + 1, asset=asset, fx_amount_minor=original_minor, fx_asset=original
    )
    assert count(line, entry) == 1
    assert count(line | {"original_asset": "GBP"}, entry | {"fx_asset": "GBP"}) == int(
        original in ("USD", "EUR")
    )


def test_an_asset_whose_minor_digits_nobody_knows_is_explained_by_nothing():
    assert count(paid(original_asset="TOKEN"), booked(fx_asset="TOKEN")) == 0


@pytest.mark.parametrize(
    "other",
    [
        {"fx_amount_minor": 20_001},
        {"fx_amount_minor": None},
        {"fx_asset": "GBP"},
        {"amount_minor": -SOURCE_MINOR},
        {"ref_arn": "7400-0002"},
        {"account": "assets:bank:other"},
        {"asset": "CHF"},
        {"day": 11},
    ],
)
def test_another_original_amount_sign_reference_purse_or_time_is_no_match(other):
    assert count(paid(), booked(**other)) == 0


def test_the_sign_of_the_original_amount_in_our_book_tells_nothing():
    assert count(paid(), booked(fx_amount_minor=-20_000)) == 1


def test_a_fee_kept_back_from_the_converted_amount_is_the_one_our_entry_books():
    theirs = [paid(amount_minor=SOURCE_MINOR - 300, fee_minor=300)]
    ours = [booked(), fee()]
    result = converted(theirs, ours)
    assert pairs_of(result, theirs, ours) == {frozenset({"E1", "L1", "L1/2"}): "converted"}
    assert result.members["role"].to_pylist() == ["fx", "principal", "fee"]
    assert result.groups["difference_minor"].to_pylist() == [1]
    assert json.loads(result.groups["evidence"][0].as_py())["fx"]["fee_minor"] == 300
    assert converted(theirs, [booked(), fee(amount_minor=-299)]).groups.num_rows == 0
    assert converted(theirs, [booked()]).groups.num_rows == 0
    assert converted([paid()], ours).groups.num_rows == 0


def test_an_entry_with_two_converted_lines_says_nothing_of_one():
    assert count(paid(), booked(), booked(line_no=2)) == 0


def test_what_people_took_apart_is_not_made_again():
    undone = frozenset(converted([paid()], [booked()]).groups["group_key"].to_pylist())
    assert converted([paid()], [booked()], rejected=undone).groups.num_rows == 0


def test_two_entries_that_converted_otherwise_are_ambiguous():
    theirs, ours = [paid()], [booked("L1"), booked("L2", SOURCE_MINOR + 1)]
    result = converted(theirs, ours)
    assert result.groups.num_rows == 0
    assert ambiguous_of(result, theirs, ours) == {"E1": frozenset({"L1", "L2"})}


def test_two_lines_that_were_converted_otherwise_are_ambiguous():
    theirs = [paid("E1"), paid("E2", SOURCE_MINOR - 1)]
    result = converted(theirs, [booked()])
    assert result.groups.num_rows == 0
    assert set(ambiguous_of(result, theirs, [booked()])) == {"E1", "E2"}


def test_twins_are_matched_once_by_the_earlier():
    theirs, ours = [paid()], [booked("L2", day=1), booked("L1")]
    assert pairs_of(converted(theirs, ours), theirs, ours) == {frozenset({"E1", "L1"}): "converted"}


def test_an_identifier_that_contradicts_is_evidence_against():
    by = rules(ARN, ("ref_rrn", "ref_rrn"))
    assert count(paid(ref_rrn="RRN-0001"), booked(ref_rrn="RRN-0001"), by=by) == 1
    assert count(paid(ref_rrn="RRN-0001"), booked(ref_rrn="RRN-0002"), by=by) == 0


RATES = st.tuples(st.integers(1, 3_000), st.sampled_from([10, 100, 1000]))


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Item], list[Item]]:
    """Conversions that are right or off by a little, under few references."""
    theirs, ours = [], []
    for at in range(draw(st.integers(1, 4))):
        original_minor, (above, below) = draw(st.integers(1, 3_000)), draw(RATES)
        original, asset = draw(st.sampled_from(["USD", "JPY", "KWD"])), draw(st.sampled_from(["EUR", "JPY"]))
        exact = value_of(original_minor, original, asset, Fraction(above, below))
        reference = f"7400-{draw(st.integers(1, 3)):04d}"
        sign = draw(st.sampled_from([1, 1, -1]))
        amount_minor = sign * max(round(exact) + draw(st.sampled_from([0, 0, 0, 1, -1, 2])), 1)
        said = {"fx_rate": str(above / below)} if draw(st.booleans()) else {"fx_rate": None}
        if said["fx_rate"] is None:
            said |= {"fx_numerator": above, "fx_denominator": below}
        theirs.append(
            paid(
                f"E{at}",
                amount_minor,
                asset=asset,
                original_amount_minor=sign * original_minor,
                original_asset=original,
                ref_arn=reference,
                **said,
            )
        )
        ours.append(
            booked(
                f"L{at}",
                amount_minor + draw(st.sampled_from([0, 1, -1, 2])),
                asset=asset,
                fx_amount_minor=original_minor,
                fx_asset=original,
                ref_arn=reference,
            )
        )
    return theirs, ours


def value_of(original_minor: int, original: str, asset: str, rate: Fraction) -> Fraction:
    """An original amount in minor units of the asset."""
    return (
        Fraction(original_minor * 10 ** ISO_4217_EXPONENTS[asset], 10 ** ISO_4217_EXPONENTS[original]) * rate
    )


def may_pair(line: Item, entry: Item) -> bool:
    """The pass said slowly, with fractions."""
    if line["fx_rate"] is not None:
        rates = [Fraction(line["fx_rate"]), 1 / Fraction(line["fx_rate"])]
    else:
        rates = [Fraction(line["fx_numerator"], line["fx_denominator"])]
    size, original = abs(line["amount_minor"]), abs(line["original_amount_minor"])
    explained = any(
        abs(value_of(original, line["original_asset"], line["asset"], rate) - size) <= 1 for rate in rates
    )
    return (
        explained
        and line["original_asset"] != line["asset"]
        and line["original_asset"] == entry["fx_asset"]
        and original == entry["fx_amount_minor"]
        and line["asset"] == entry["asset"]
        and line["ref_arn"] == entry["ref_arn"]
        and line["amount_minor"] * entry["amount_minor"] > 0
        and abs(line["amount_minor"] - entry["amount_minor"]) <= 1
    )


@settings(max_examples=150, deadline=None)
@given(worlds())
def test_pairs_are_those_that_are_alone_at_both_ends(world):
    theirs, ours = world
    edges = [
        (line["line_key"], entry["entry_key"]) for line in theirs for entry in ours if may_pair(line, entry)
    ]
    alone = {
        frozenset(edge)
        for edge in edges
        if sum(edge[0] == other[0] or edge[1] == other[1] for other in edges) == 1
    }
    found = set(pairs_of(converted(theirs, ours), theirs, ours))
    assert alone <= found
    assert all(tuple(sorted(group)) in edges for group in found)


@settings(max_examples=40, deadline=None)
@given(worlds(), st.integers(0, 999))
def test_the_order_of_rows_changes_nothing_and_groups_add_up(world, seed):
    theirs, ours = world
    chance = random.Random(seed)
    result = converted(theirs, ours)
    again = converted(chance.sample(theirs, len(theirs)), chance.sample(ours, len(ours)))
    assert again.groups.equals(result.groups)
    assert again.members.equals(result.members)
    sums: dict[tuple[str, str], int] = {}
    for member in result.members.to_pylist():
        key = (member["group_key"], member["side"])
        sums[key] = sums.get(key, 0) + member["allocated_minor"]
    for group in result.groups.to_pylist():
        assert group["external_minor"] == sums[group["group_key"], "external"]
        assert group["ledger_minor"] == sums[group["group_key"], "ledger"]
        assert abs(group["difference_minor"]) <= 1
