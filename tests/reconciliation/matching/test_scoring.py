"""Bits written out for small cases: what each feature is worth, what is worth nothing, and what is a veto."""

from datetime import date
from typing import Any

import numpy as np
import pytest

from reconciliation.matching import MatchContext
from reconciliation.matching.books import Books, Side
from reconciliation.matching.counterparties import (
    ABBREVIATED,
    ABSENT,
    DIFFERENT,
    EQUAL,
    SIMILAR,
    doubtful,
    relations,
    weights_of,
)
from reconciliation.matching.edges import EXACT, IN_TEXT, LOST_PREFIX, NEAR, NO_REFERENCE, Edges
from reconciliation.matching.scoring import (
    EQUAL_AMOUNT,
    NET_AMOUNT,
    OTHER_AMOUNT,
    Scores,
    lag_millibits,
    rivals_of,
    score,
    vetoed,
)
from reconciliation.sources import Lag, ReferencePair
from tests.reconciliation.matching.cases import external, externals, ledger, ledgers, rules, schedule

Item = dict[str, Any]
PLAIN = rules().references


def books(
    theirs: list[Item], ours: list[Item], references: tuple[ReferencePair, ...] = PLAIN, window_days: int = 10
) -> Books:
    return Books.open(
        Side.external(externals(theirs)),
        Side.ledger(ledgers(ours)),
        leg="ledger",
        references=references,
        window_days=window_days,
        by_account=True,
    )


def one_edge(similarity: int, external_row: int = 0, ledger_row: int = 0) -> Edges:
    rows = (np.array([row], dtype=np.int64) for row in (external_row, ledger_row, similarity))
    return Edges(**dict(zip(("external", "ledger", "similarity"), rows, strict=True)))


def scored(opened: Books, edges: Edges, context: MatchContext | None = None, fees: Any = ()) -> Scores:
    rows = np.arange(len(opened.external)), np.arange(len(opened.ledger))
    return score(opened, edges, *rows, context=context or MatchContext(), schedules=fees)


def test_an_amount_seen_once_in_a_small_book_is_worth_ten_bits() -> None:
    assert (
        scored(books([external("E1", 8_312)], [ledger("L1", 8_312)]), one_edge(NO_REFERENCE)).amount == 10_000
    )


def test_an_amount_that_ends_as_prices_do_is_worth_six_where_little_was_seen() -> None:
    assert scored(books([external("E1", 999)], [ledger("L1", 999)]), one_edge(NO_REFERENCE)).amount == 6_000


def test_a_price_point_is_worth_little_and_a_rare_amount_much() -> None:
    ours = [ledger(f"L{at:04}", 999, counterparty=f"Customer {at}") for at in range(1_024)]
    ours += [ledger(f"M{at:04}", 10_001 + at) for at in range(1_024)]
    opened = books([external("E1", 999), external("E2", 10_001)], ours)
    assert (
        scored(opened, one_edge(NO_REFERENCE)).amount == 1_000
    )  # 1 023 of 2 048 others, and one for good measure
    assert scored(opened, one_edge(NO_REFERENCE, 1, 1_024)).amount == 11_000


def test_twins_do_not_make_their_own_amount_common() -> None:
    ours = [ledger(f"L{at}", 8_312) for at in range(4)]
    assert scored(books([external("E1", 8_312)], ours), one_edge(NO_REFERENCE)).amount == 10_000
    told_apart = [ledger(f"L{at}", 8_312, counterparty=f"Customer {at}") for at in range(4)]
    assert (
        scored(books([external("E1", 8_312)], told_apart), one_edge(NO_REFERENCE)).amount == 413
    )  # log2(4 / 3)


def test_a_net_amount_is_a_bit_less_and_any_other_speaks_strongly_against() -> None:
    opened = books([external("E1", 9_841, kind="charge")], [ledger("L1", 10_001, kind="charge")])
    fees = (schedule(14_000, 20),)  # 140 + 20
    found = scored(opened, one_edge(NO_REFERENCE), fees=fees)
    assert found.amount_is.tolist() == [NET_AMOUNT]
    assert found.amount.tolist() == [9_000]
    found = scored(opened, one_edge(NO_REFERENCE))
    assert found.amount_is.tolist() == [OTHER_AMOUNT]
    assert found.amount.tolist() == [-10_000]


def test_a_fee_that_the_line_itself_denies_explains_nothing() -> None:
    opened = books(
        [external("E1", 9_841, kind="charge", fee_minor=17)], [ledger("L1", 10_001, kind="charge")]
    )
    assert scored(opened, one_edge(NO_REFERENCE), fees=(schedule(14_000, 20),)).amount_is == OTHER_AMOUNT


@pytest.mark.parametrize(
    ("similarity", "theirs", "bits"),
    [
        (EXACT, "INV-10017", 10_000),
        (IN_TEXT, None, 8_000),
        (LOST_PREFIX, "10017", 8_000),
        (NEAR, "INV-10071", 8_000),
    ],
)
def test_a_reference_is_worth_less_the_less_of_it_arrived(
    similarity: int, theirs: str | None, bits: int
) -> None:
    opened = books([external("E1", 1, ref_end_to_end=theirs)], [ledger("L1", 1, ref_end_to_end="INV-10017")])
    assert scored(opened, one_edge(similarity)).reference == bits


def test_a_near_reference_is_worth_less_where_many_are_near() -> None:
    ours = [ledger(f"L{at}", 100 + at, ref_end_to_end=f"INV-1001{at}") for at in range(8)]
    opened = books([external("E1", 100, ref_end_to_end="INV-1001X")], ours)
    every = np.arange(8, dtype=np.int64)
    dense = Edges(external=every * 0, ledger=every, similarity=every * 0 + NEAR)
    assert scored(opened, dense).reference.tolist() == [0] * 8
    assert scored(opened, one_edge(NEAR)).reference == 8_000


def test_a_reference_that_many_lines_share_is_worth_little() -> None:
    ours = [ledger(f"L{at:04}", 10_000 + at, ref_end_to_end="SUBSCRIPTION") for at in range(1_024)]
    opened = books([external("E1", 10_000, ref_end_to_end="SUBSCRIPTION")], ours)
    assert scored(opened, one_edge(EXACT)).reference == 0


def test_what_is_absent_is_worth_nothing() -> None:
    opened = books(
        [external("E1", 100)], [ledger("L1", 100, ref_end_to_end="INV-1", counterparty="Ada Byron")]
    )
    found = scored(opened, one_edge(NO_REFERENCE))
    assert found.reference.tolist() == found.counterparty.tolist() == [0]


def test_a_different_reference_is_a_veto_unless_it_is_one_slip_away_or_named_in_the_text() -> None:
    ours = [ledger("L1", 100, ref_end_to_end="INV-10017")]
    far = books([external("E1", 100, ref_end_to_end="INV-99999")], ours)
    assert vetoed(far, one_edge(NO_REFERENCE)).tolist() == [True]
    assert vetoed(far, one_edge(NEAR)).tolist() == [True]
    assert vetoed(far, one_edge(IN_TEXT)).tolist() == [False]
    for near in ("INV-10071", "INV-1001", "10017", "RE-0010017"):
        opened = books([external("E1", 100, ref_end_to_end=near)], ours)
        assert vetoed(opened, one_edge(NEAR)).tolist() == [False]


def test_a_reference_near_in_one_column_does_not_excuse_a_difference_in_another() -> None:
    pairs = rules(("ref_end_to_end", "ref_end_to_end"), ("ref_arn", "ref_arn")).references
    theirs = [external("E1", 100, ref_end_to_end="INV-10071", ref_arn="74999999999999999999999")]
    ours = [ledger("L1", 100, ref_end_to_end="INV-10017", ref_arn="74111111111111111111111")]
    assert vetoed(books(theirs, ours, pairs), one_edge(NEAR)).tolist() == [True]


def test_rivals_are_the_open_lines_of_the_account_within_the_window() -> None:
    ours = [
        ledger("L1", 1, day=0),
        ledger("L2", 2, day=9),
        ledger("L3", 3, day=11),
        ledger("L4", 4, account="a:b"),
    ]
    opened = books([external("E1", 1), external("E2", 1, day=20), external("E3", 1, account="a:c")], ours)
    every = np.arange(4)
    assert rivals_of(opened, np.arange(3), every).tolist() == [2, 1, 1]  # canonical order: E1, E3, E2
    assert rivals_of(opened, np.array([0]), every[1:]).tolist() == [1]


def test_an_agreed_lag_speaks_for_a_pair_and_another_against_it() -> None:
    context = MatchContext(lag=Lag(earliest=0, expected=1, latest=2))
    lags = lag_millibits(np.array([1, 2, 0, -1, 7]), context, window_days=10)
    assert lags[0] > lags[1] == lags[2] > 0 > lags[4]
    assert lags[3] < lags[2]


def test_a_source_that_always_takes_three_days_teaches_that() -> None:
    context = MatchContext(lag=Lag(earliest=0, expected=1, latest=2), lag_counts=((3, 980),))
    lags = lag_millibits(np.array([1, 3]), context, window_days=10)
    assert lags.tolist() == [-2_409, 4_363]  # 8.96 and 980.06 of 1 000, in a window of 21


def test_business_days_are_counted_where_they_are_known() -> None:
    friday, monday = 4, 7  # from Monday, 2 March 2026
    first = (date(2026, 3, 2) - date(1970, 1, 1)).days
    calendar = np.array([first + day for day in range(14) if day % 7 < 5], dtype=np.int64)
    opened = books([external("E1", 100, day=monday)], [ledger("L1", 100, day=friday)])
    counted = scored(opened, one_edge(NO_REFERENCE), MatchContext(business_days=calendar)).lag
    assert counted > scored(opened, one_edge(NO_REFERENCE), MatchContext()).lag


@pytest.mark.parametrize(
    ("theirs", "ours", "relation"),
    [
        ("Müller & Söhne GmbH", "MUELLER SOEHNE", EQUAL),
        ("Smith, John", "Mr. John Smith", EQUAL),
        ("J. Smith", "John Smith", ABBREVIATED),
        ("SMITH JO", "John Smith", ABBREVIATED),
        ("Acme Tradi", "ACME TRADING LTD", ABBREVIATED),
        ("IBM", "International Business Machines", ABBREVIATED),
        ("Anna Schmitt", "Anna Schmidt", SIMILAR),
        ("Anna Schmidt", "Elif Demir", DIFFERENT),
        ("J. S.", "John Smith", DIFFERENT),
        (None, "John Smith", ABSENT),
        ("...", "John Smith", ABSENT),
    ],
)
def test_names_relate_as_people_would_say(theirs: str | None, ours: str, relation: int) -> None:
    opened = books([external("E1", 1, counterparty=theirs)], [ledger("L1", 1, counterparty=ours)])
    assert relations(opened, np.array([0]), np.array([0])).tolist() == [relation]


def taught(theirs: str | None, count: int = 400) -> Books:
    """Lines joined by their references; the names of both sides are one, or of the other side always ``theirs``."""
    names = [
        f"{first} {last}" for first in ("Ada", "Bo", "Cyd", "Dan") for last in map(str, range(1_000, 1_100))
    ]
    lines = [
        external(f"E{at:04}", at + 1, ref_end_to_end=f"REF-{at:05}", counterparty=theirs or names[at % 400])
        for at in range(count)
    ]
    return books(
        lines,
        [
            ledger(f"L{at:04}", at + 1, ref_end_to_end=f"REF-{at:05}", counterparty=names[at % 400])
            for at in range(count)
        ],
    )


def test_a_source_whose_names_always_agree_punishes_a_difference() -> None:
    opened = taught(None)
    assert weights_of(opened)[DIFFERENT] < -7_000
    assert doubtful(opened, np.array([0, 0]), np.array([0, 250])).tolist() == [False, True]


def test_a_source_whose_names_never_agree_says_nothing_by_them() -> None:
    opened = taught("Payments Processing Company")
    assert abs(weights_of(opened)[DIFFERENT]) < 200
    assert not doubtful(opened, np.array([0]), np.array([250])).any()


def test_names_of_nobody_are_never_doubtful() -> None:
    opened = books([external("E1", 1)], [ledger("L1", 1, counterparty="Ada Byron")])
    assert not doubtful(opened, np.array([0]), np.array([0])).any()


def test_equal_amounts_are_equal_whatever_the_fee_schedules_say() -> None:
    opened = books([external("E1", 100, kind="charge")], [ledger("L1", 100, kind="charge")])
    assert scored(opened, one_edge(NO_REFERENCE), fees=(schedule(14_000, 20),)).amount_is == EQUAL_AMOUNT


def test_a_line_without_a_reference_has_the_credit_of_those_that_found_their_partner() -> None:
    theirs = [external(f"E{at:02}", at + 1, ref_end_to_end=f"REF-{at:05}") for at in range(15)] + [
        external("F1", 99)
    ]
    ours = [ledger(f"L{at:02}", at + 1, ref_end_to_end=f"REF-{at:05}") for at in range(15)] + [
        ledger("M1", 99)
    ]
    opened = books(theirs, ours)
    closed = np.array([15], dtype=np.int64)  # only F1 and M1 are left
    found = score(
        opened, one_edge(NO_REFERENCE, 15, 15), closed, closed, context=MatchContext(), schedules=()
    )
    assert found.presence.tolist() == [4_000]
    assert scored(opened, one_edge(NO_REFERENCE, 15, 15)).presence.tolist() == [0]
    assert scored(opened, one_edge(EXACT)).presence.tolist() == [0]
