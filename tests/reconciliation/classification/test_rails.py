"""Due windows in the union of closed days of every rail an item crosses, by the rail's own lag and cut-off."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciliation.classification import BusinessCalendar, missing_days, source_gaps
from reconciliation.errors import SourcesError
from reconciliation.sources import Source, parse_sources
from tests.reconciliation.classification.situations import (
    EUR,
    JPY,
    TARGET,
    TUESDAY,
    Item,
    all_of,
    decide,
    entry,
    line,
    only,
    source,
    subset,
)

CARDS = {
    "name": "cards",
    "kinds": ["presentment", "refund"],
    "calendars": ["US"],
    "lag": {"earliest": 1, "expected": 2, "latest": 3},
    "cut_off": "16:00:00",
}
INSTANT = {"name": "instant", "kinds": ["instant"], "lag": {"earliest": 0, "expected": 0, "latest": 0}}
RAILED = source(rails=[CARDS, INSTANT], time_zone="Europe/Berlin")
INDEPENDENCE = date(2025, 7, 3)  # a Thursday; the 4th is closed in the US, open in TARGET


def sale(**changes: Any) -> Item:
    return entry(1, 500, "ch_1", kind="presentment", **changes)


def test_a_card_sale_waits_by_the_lag_of_its_rail_and_a_transfer_by_that_of_its_source() -> None:
    card, transfer = sale(), entry(2, 500, "PAY-2")
    due = {row["entry_key"]: row["due_on"] for row in all_of(decide([], [card, transfer], of=RAILED))}
    assert due == {"E1": date(2025, 3, 7), "E2": date(2025, 3, 6)}


def test_a_payment_that_is_instant_is_late_the_next_day_and_on_no_other_rail_so_soon() -> None:
    instant = [entry(1, 500, "PAY-1", kind="instant")]
    assert only(decide([], instant, of=RAILED))["class"] == "timing"
    assert only(decide([], instant, as_of=date(2025, 3, 5), of=RAILED))["class"] == "genuine"
    assert only(decide([], instant, as_of=date(2025, 3, 5)))["class"] == "timing"


def test_a_holiday_of_the_rail_alone_moves_what_crosses_it_and_nothing_else() -> None:
    card, transfer = sale(business_date=INDEPENDENCE), entry(2, 500, "PAY-2", business_date=INDEPENDENCE)
    due = {
        row["entry_key"]: row["due_on"]
        for row in all_of(decide([], [card, transfer], as_of=INDEPENDENCE, of=RAILED))
    }
    assert due == {"E1": date(2025, 7, 9), "E2": date(2025, 7, 7)}  # without the 4th: three, and two with it


def test_lateness_counts_in_the_days_of_the_rail_and_the_factors_name_rail_and_calendar() -> None:
    short = source(
        rails=[{"name": "dollars", "kinds": ["presentment"], "calendars": ["US"], "lag": INSTANT["lag"]}]
    )
    booked = [sale(business_date=INDEPENDENCE)]
    found = only(decide([], booked, as_of=date(2025, 7, 8), of=short))
    assert found["factors"]["late_business_days"] == 2  # the 7th and the 8th
    assert found["factors"]["rail"] == "dollars"
    assert found["factors"]["calendar"].endswith("ECB + US")
    plain = only(decide([], [entry(1, 500, business_date=INDEPENDENCE)], as_of=date(2025, 7, 8), of=short))
    assert "rail" not in plain["factors"]
    assert plain["factors"]["calendar"].endswith(": ECB")


@pytest.mark.parametrize(
    ("at", "due"),
    [
        (
            datetime(2025, 3, 4, 15, 0, tzinfo=UTC),
            date(2025, 3, 7),
        ),  # 16:00 in Berlin: the cut-off is in time
        (
            datetime(2025, 3, 4, 15, 0, 1, tzinfo=UTC),
            date(2025, 3, 10),
        ),  # a second later: the next day, over a weekend
        (
            datetime(2025, 3, 7, 15, 30, tzinfo=UTC),
            date(2025, 3, 13),
        ),  # Friday after cut-off is Monday's business
        (None, date(2025, 3, 7)),  # without an instant the business date holds
    ],
)
def test_the_cut_off_of_the_rail_decides_where_its_window_begins(at: datetime | None, due: date) -> None:
    found = only(decide([], [sale(effective_at=at)], of=RAILED))
    assert found["due_on"] == due
    assert found["item_date"] == TUESDAY


def test_an_entry_in_two_currencies_waits_for_the_calendars_of_both() -> None:
    both = source(asset_calendars={"USD": ["US"], "EUR": ["ECB"], "JPY": ["JP"]})
    dollars = entry(1, 500, "FX-1", business_date=INDEPENDENCE, fx_asset="USD", fx_amount_minor=550)
    plain = entry(2, 500, "PAY-2", business_date=INDEPENDENCE)
    same = entry(3, 500, "PAY-3", business_date=INDEPENDENCE, fx_asset="EUR", fx_amount_minor=500)
    found = all_of(decide([], [dollars, plain, same], as_of=INDEPENDENCE, of=both))
    assert [row["due_on"] for row in found] == [date(2025, 7, 8), date(2025, 7, 7), date(2025, 7, 7)]


def test_of_two_assets_that_meet_the_line_s_own_closes_days_too() -> None:
    both = source(asset_calendars={"JPY": ["JP"]})
    day = date(2025, 8, 8)  # a Friday; Monday is Mountain Day in Japan
    sold = line(1, 500, "FX-1", account=JPY, asset="JPY", business_date=day, original_asset="USD")
    sold["original_amount_minor"] = 5
    assert only(decide([sold], as_of=day, of=both))["due_on"] == date(2025, 8, 12)
    plain = line(1, 500, "FX-1", account=JPY, asset="JPY", business_date=day)
    assert only(decide([plain], as_of=day, of=both))["due_on"] == date(2025, 8, 11)


def test_an_external_line_of_a_rail_gives_our_book_the_open_days_of_that_rail() -> None:
    found = only(
        decide(
            [line(1, 500, "ch_1", kind="refund", business_date=INDEPENDENCE)], as_of=INDEPENDENCE, of=RAILED
        )
    )
    assert subset(found, "class", "due_on") == ("timing", date(2025, 7, 7))


def test_a_rail_that_names_the_kind_goes_before_one_for_every_line() -> None:
    every = {"name": "every", "lag": {"earliest": 0, "expected": 3, "latest": 4}}
    for rails in ([every, INSTANT], [INSTANT, every]):
        of = source(rails=rails)
        instant, unnamed = entry(1, 5, "A-1", kind="instant"), entry(2, 5, "A-2", kind=None)
        due = [row["due_on"] for row in all_of(decide([], [instant, unnamed], of=of))]
        assert due == [TUESDAY, date(2025, 3, 10)]


def test_what_was_learned_of_the_source_speaks_for_a_slow_rail_only_inside_its_own_window() -> None:
    monthly = source(
        rails=[
            {"name": "monthly", "kinds": ["statement"], "lag": {"earliest": 15, "expected": 18, "latest": 20}}
        ]
    )
    owed = [entry(1, 500, "CARD-1", kind="statement")]
    found = only(decide([], owed, of=monthly, lag_counts=((0, 5_000), (1, 3_000), (16, 40))))
    assert found["factors"]["lag_observations"] == 40
    assert found["expected_clear_on"] == BusinessCalendar.of(["ECB"]).add_business_days(TUESDAY, 16)


@pytest.mark.parametrize("days", [0, 1, 2, 5])
def test_a_waiting_item_names_the_gap_it_waits_for(days: int) -> None:
    missing = {TUESDAY + timedelta(days=1), TUESDAY + timedelta(days=2)}
    found = only(
        decide([], [entry(1, 5, "PAY-1")], as_of=date(2025, 3, 6 + days), waiting_for_file={EUR: missing})
    )
    assert [gap["date"] for gap in found["factors"]["waits_for"]] == ["2025-03-05", "2025-03-06"]
    assert found["factors"]["clears_by_due_ppm"] > 0
    assert found["class"] == "timing"


def slow_due(days: list[date], booked: date, count: int) -> date:
    """The ``count``-th open day after the first one on or after ``booked``, by walking."""
    walked = booked
    while walked not in days:
        walked += timedelta(days=1)
    while count:
        walked += timedelta(days=1)
        count -= walked in days
    return walked


@settings(max_examples=40)
@given(
    booked=st.dates(date(2025, 6, 25), date(2025, 7, 8)),
    bounds=st.lists(st.integers(0, 4), min_size=3, max_size=3).map(sorted),
    calendars=st.sets(st.sampled_from(["US", "JP", "GB", "every_day"]), max_size=3),
    behind=st.integers(0, 20),
)
def test_a_window_is_what_walking_every_open_day_gives(
    booked: date, bounds: list[int], calendars: set[str], behind: int
) -> None:
    lag = {"earliest": bounds[0], "expected": bounds[1], "latest": bounds[2]}
    of = source(
        rails=[{"name": "rail", "kinds": ["presentment"], "calendars": sorted(calendars), "lag": lag}]
    )
    each = [BusinessCalendar.of([name]) for name in ("ECB", *calendars)]
    horizon = [date(2025, 6, 20) + timedelta(days=number) for number in range(60)]
    days = [day for day in horizon if all(calendar.is_business_day(day) for calendar in each)]
    due = slow_due(days, booked, bounds[2])
    as_of = booked + timedelta(days=behind)
    found = only(decide([], [sale(business_date=booked)], as_of=as_of, of=of))
    assert subset(found, "due_on", "class") == (due, "timing" if as_of <= due else "genuine")
    assert found["factors"]["late_business_days"] == sum(due < day <= as_of for day in days)
    if found["class"] == "timing":
        assert min(due, as_of) <= found["expected_clear_on"] <= due


@pytest.mark.parametrize(
    ("rails", "sentence"),
    [
        ("[{name: a, kinds: [fee]}, {name: b, kinds: [fee]}]", "kind fee appears twice"),
        ("[{name: a, kinds: [fee]}, {name: a, kinds: [x]}]", "rail a appears twice"),
        ("[{name: a}, {name: b}]", "kind of every line appears twice"),
        ("[{name: a, calendar: [US]}]", "the nearest known one is 'calendars'"),
        ("[{name: a, lag: {earliest: 2, expected: 1, latest: 3}}]", "earliest <= expected"),
    ],
)
def test_rails_that_compete_are_a_problem_of_the_sources_file(rails: str, sentence: str) -> None:
    with pytest.raises(SourcesError, match=sentence):
        parse_sources(FILE.replace("RAILS", rails))


FILE = """
version: 1
sources:
  - id: bank
    kind: bank
    format: camt.053
    start_date: 2025-03-03
    accounts: [{asset: EUR, ledger: "assets:bank:main-eur"}]
    match: {references: [{external: ref_uetr, ledger: ref_uetr}]}
    rails: RAILS
"""


def test_rails_that_do_not_compete_are_read() -> None:
    found: Source = parse_sources(FILE.replace("RAILS", "[{name: a, kinds: [fee]}, {name: b}]"))["bank"]
    assert [(rail.name, rail.kinds) for rail in found.rails] == [("a", ("fee",)), ("b", ())]


@pytest.mark.parametrize("per", ["account", "source"])
def test_the_gap_that_an_item_names_is_the_exception_of_that_file(per: str) -> None:
    of = source(files={"days": "business_days", "per": per}, start_date="2025-03-05")
    as_of = date(2025, 3, 5)
    waiting = missing_days(accepted=[], as_of=as_of, source=of, calendar=TARGET)
    gaps = source_gaps(accepted=[], refused=[], as_of=as_of, source=of, calendar=TARGET).exceptions
    booked = [entry(1, 5, "PAY-1", account=JPY, asset="JPY")]
    (gap,) = only(decide([], booked, as_of=as_of, of=of, waiting_for_file=waiting))["factors"]["waits_for"]
    (named,) = [row for row in gaps.to_pylist() if row["exception_key"] == gap["exception_key"]]
    assert subset(named, "kind", "item_date", "account") == ("missing_file", as_of, JPY if per == "account" else None)
