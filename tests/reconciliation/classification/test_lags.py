"""When an item will clear: learned lags over the contract's, and never more than that."""

from datetime import date
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.classification.lags import (
    PRIOR_EXPECTED,
    PRIOR_LATER,
    PRIOR_WITHIN,
    Forecast,
    LagCounts,
    forecast,
)
from reconciliation.sources import Lag
from tests.reconciliation.classification.situations import (
    EUR,
    TUESDAY,
    decide,
    entry,
    line,
    only,
    source,
    subset,
)

CONTRACT = Lag(earliest=0, expected=1, latest=2)
LEARNED = ((0, 70), (1, 20), (2, 5), (3, 3))
PAYMENT = [entry(1, -500, "PAY-1")]  # of Tuesday 4 March
WEDNESDAY, THURSDAY, FRIDAY = date(2025, 3, 5), date(2025, 3, 6), date(2025, 3, 7)


def drawn_from(lags: LagCounts, passed: int, awaited: set[int]) -> Forecast:
    """The same by counting marbles: one per observation and pseudo-observation, those that are out thrown away."""
    marbles = [lag for lag, count in lags.counts.items() for _ in range(count)]
    left = [lag for lag in marbles if lag > passed or lag in awaited]
    in_time = [lag for lag in left if lag <= lags.contract.latest]
    most = max((in_time.count(lag) for lag in in_time), default=0)
    expected = min((lag for lag in in_time if in_time.count(lag) == most), default=lags.contract.latest)

    def share(count: int) -> int:
        return int(Fraction(count * 1_000_000, len(left)) + Fraction(1, 2)) if left else 0

    return Forecast(
        expected_lag=expected,
        by_due_ppm=share(len(in_time)),
        by_expected_ppm=share(sum(lag <= expected for lag in in_time)),
    )


@given(
    seen=st.lists(st.tuples(st.integers(-3, 12), st.integers(0, 40)), max_size=6),
    bounds=st.lists(st.integers(0, 6), min_size=3, max_size=3).map(sorted),
    passed=st.integers(-1, 14),
    awaited=st.sets(st.integers(0, 6), max_size=2),
)
def test_a_forecast_is_what_counting_every_observation_gives(
    seen: list[tuple[int, int]], bounds: list[int], passed: int, awaited: set[int]
) -> None:
    contract = Lag(earliest=bounds[0], expected=bounds[1], latest=bounds[2])
    lags = LagCounts.of(contract, seen)
    found = forecast(lags, passed=passed, awaited=awaited)
    assert found == drawn_from(lags, passed, awaited)
    assert found.expected_lag <= contract.latest
    assert 0 <= found.by_expected_ppm <= found.by_due_ppm <= 1_000_000
    assert found == forecast(LagCounts.of(contract, list(reversed(seen))), passed=passed, awaited=awaited)


def test_the_contract_speaks_where_nothing_is_learned() -> None:
    lags = LagCounts.of(CONTRACT, [])
    assert lags.counts == {0: PRIOR_WITHIN, 1: PRIOR_EXPECTED, 2: PRIOR_WITHIN, 3: PRIOR_LATER}
    assert lags.observations == 0
    assert forecast(lags, passed=0) == Forecast(
        expected_lag=1, by_due_ppm=857_143, by_expected_ppm=571_429
    )  # 6 and 4 of 7


def test_what_was_seen_outweighs_the_contract_as_it_grows() -> None:
    early = LagCounts.of(CONTRACT, [(0, 3)])
    assert forecast(early, passed=-1).expected_lag == 0  # 5 against 4
    assert forecast(LagCounts.of(CONTRACT, [(0, 1)]), passed=-1).expected_lag == 1  # 3 against 4


def test_the_example_of_the_module_holds() -> None:
    assert forecast(LagCounts.of(CONTRACT, LEARNED), passed=1) == Forecast(
        expected_lag=2, by_due_ppm=636_364, by_expected_ppm=636_364
    )


def test_a_bank_that_answers_the_same_day_makes_an_entry_expected_that_day_while_its_statement_is_out() -> (
    None
):
    found = only(decide([], PAYMENT, waiting_for_file={EUR: {TUESDAY}}, lag_counts=LEARNED))
    assert found["expected_clear_on"] == TUESDAY
    assert found["factors"]["clears_by_expected_ppm"] == 672_897  # 72 of 107


def test_what_has_not_cleared_by_today_is_expected_later() -> None:
    days = []
    for as_of in (TUESDAY, WEDNESDAY):
        found = only(decide([], PAYMENT, as_of=as_of, lag_counts=LEARNED))
        days.append(subset(found, "class", "expected_clear_on", "due_on"))
    assert days == [("timing", WEDNESDAY, THURSDAY), ("timing", THURSDAY, THURSDAY)]


def test_on_the_due_date_with_the_file_there_nothing_is_left_to_hope_for_and_the_label_keeps_its_word() -> (
    None
):
    found = only(decide([], PAYMENT, as_of=THURSDAY, lag_counts=LEARNED))
    assert subset(found, "class", "expected_clear_on") == ("timing", THURSDAY)
    assert found["factors"]["clears_by_due_ppm"] == 0


@pytest.mark.parametrize("learned", [(), LEARNED, ((9, 10_000),), ((0, 10_000),)])
def test_nothing_learned_moves_the_due_date_or_the_class(learned: Any) -> None:
    for as_of, of_class in ((THURSDAY, "timing"), (FRIDAY, "genuine")):
        found = only(decide([], PAYMENT, as_of=as_of, lag_counts=learned))
        assert subset(found, "class", "due_on") == (of_class, THURSDAY)


def test_the_factors_say_how_much_was_learned() -> None:
    found = only(decide([], PAYMENT, lag_counts=LEARNED))
    assert found["factors"]["lag_observations"] == 98
    assert found["factors"]["clears_by_due_ppm"] == 885_714  # lag 0 is over; 24 and 7 of 24, 7 and 4
    assert "lag_observations" not in only(decide([], PAYMENT, as_of=FRIDAY, lag_counts=LEARNED))["factors"]


def test_our_own_book_is_expected_by_the_lags_it_had_behind_the_source() -> None:
    slow = source(ledger_lag_latest=3)
    received = [line(1, 500, "INV-1")]
    fresh = only(decide(received, of=slow))
    assert subset(fresh, "class", "expected_clear_on", "due_on") == ("timing", FRIDAY, FRIDAY)
    learned = (
        (-1, 50),
        (-2, 5),
        (0, 900),
        (2, 900),
    )  # the source after our book says nothing of our book after it
    found = only(decide(received, of=slow, lag_counts=learned))
    assert subset(found, "expected_clear_on", "due_on") == (WEDNESDAY, FRIDAY)
    assert found["factors"]["lag_observations"] == 955


def test_a_genuine_item_keeps_the_day_the_contract_expected_it_on() -> None:
    found = only(decide([], PAYMENT, as_of=FRIDAY, lag_counts=LEARNED))
    assert subset(found, "class", "expected_clear_on") == ("genuine", WEDNESDAY)
