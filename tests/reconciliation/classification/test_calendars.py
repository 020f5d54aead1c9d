"""Business calendars against hand-checked days, and business dates against a slow reading with zoneinfo, row by row."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.classification.calendars import BusinessCalendar, business_date_of
from reconciliation.errors import ReconciliationError

TARGET = BusinessCalendar.of(["ECB"])
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "America/St_Johns",
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
INSTANTS = st.integers(946_684_800_000_000, 2_208_988_800_000_000).map(  # 2000 to 2040, in microseconds
    lambda microseconds: EPOCH + timedelta(microseconds=microseconds)
)


def slow_business_date(instant: datetime, zone: ZoneInfo, cut_off: time, calendar: BusinessCalendar) -> date:
    local = instant.astimezone(zone)
    day = local.date()
    if local.time() > cut_off and cut_off < time(23, 59, 59):
        day += timedelta(days=1)
    while not calendar.is_business_day(day):
        day += timedelta(days=1)
    return day


def business_dates(
    instants: list[datetime], zone: str, cut_off: time, calendar: BusinessCalendar
) -> list[date]:
    array = pa.array(instants, type=pa.timestamp("us", tz="UTC"))
    return business_date_of(array, zone=ZoneInfo(zone), cut_off=cut_off, calendar=calendar).to_pylist()


@pytest.mark.parametrize(
    ("names", "day", "is_open"),
    [
        (["ECB"], date(2025, 5, 1), False),  # Labour Day closes TARGET
        (["ECB"], date(2025, 12, 26), False),
        (["ECB"], date(2025, 4, 18), False),  # Good Friday
        (["ECB"], date(2025, 10, 3), True),  # a German holiday; TARGET is open
        (["ECB", "DE"], date(2025, 10, 3), False),
        (["ECB", "US"], date(2025, 7, 4), False),
        (["US"], date(2025, 5, 1), True),
        (["GB/ENG"], date(2025, 8, 25), False),  # summer bank holiday of England
        (["GB"], date(2025, 8, 25), True),  # without a subdivision: what the whole kingdom shares
        (["GB/SCT"], date(2025, 8, 4), False),  # Scotland has its own, three weeks earlier
        (["GB/ENG"], date(2025, 8, 4), True),
        (["JP"], date(2025, 11, 3), False),
        (["NYSE"], date(2025, 11, 27), False),
        (["KW"], date(2025, 1, 3), False),  # a Friday: the weekend of Kuwait
        (["KW"], date(2025, 1, 5), True),  # a Sunday
        (["weekends"], date(2025, 12, 25), True),
        (["weekends"], date(2025, 12, 27), False),
        (["every_day"], date(2025, 12, 27), True),
        (["every_day", "ECB"], date(2025, 12, 27), False),  # a union of closed days
    ],
)
def test_a_day_is_open_only_if_every_named_calendar_is(names: list[str], day: date, is_open: bool) -> None:
    assert BusinessCalendar.of(names).is_business_day(day) is is_open


def test_may_day_and_the_weekend_after_it_are_stepped_over() -> None:
    assert TARGET.add_business_days(date(2025, 4, 30), 1) == date(2025, 5, 2)
    assert TARGET.add_business_days(date(2025, 4, 30), 2) == date(2025, 5, 5)


def test_christmas_and_new_year_are_stepped_over() -> None:
    assert TARGET.add_business_days(date(2025, 12, 24), 1) == date(2025, 12, 29)
    assert TARGET.add_business_days(date(2025, 12, 31), 1) == date(2026, 1, 2)


def test_counting_from_a_saturday_starts_on_monday() -> None:
    assert TARGET.add_business_days(date(2025, 3, 8), 0) == date(2025, 3, 10)
    assert TARGET.add_business_days(date(2025, 3, 8), 1) == date(2025, 3, 11)
    assert TARGET.business_days_between(date(2025, 3, 8), date(2025, 3, 10)) == 0


def test_a_calendar_does_not_depend_on_the_order_or_repetition_of_its_names() -> None:
    assert BusinessCalendar.of(["US", "ECB", "US"]) == BusinessCalendar.of(["ECB", "US"])
    assert BusinessCalendar.of(["US", "ECB"]).version.endswith(": ECB + US")
    assert BusinessCalendar.of(["ECB"]).version.startswith("holidays 0.")


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("ecb", "'ECB'"),
        ("weekend", "'weekends'"),
        ("DE/Augsbrg", "'DE/Augsburg'"),
        ("NYSEE", "'NYSE'"),
        ("every_dya", "'every_day'"),
    ],
)
def test_an_unknown_calendar_is_refused_with_the_nearest_known_name(name: str, nearest: str) -> None:
    with pytest.raises(ReconciliationError) as refusal:
        BusinessCalendar.of([name])
    assert repr(name) in str(refusal.value)
    assert f"the nearest is {nearest}" in str(refusal.value)


def test_no_calendar_at_all_is_refused() -> None:
    with pytest.raises(ReconciliationError, match="at least one name"):
        BusinessCalendar.of([])


@given(day=st.dates(date(2000, 1, 1), date(2040, 12, 31)), count=st.integers(0, 15))
def test_adding_business_days_is_undone_by_counting_them(day: date, count: int) -> None:
    reached = TARGET.add_business_days(day, count)
    assert TARGET.is_business_day(reached)
    assert TARGET.business_days_between(day, reached) == count


@given(
    instants=st.lists(INSTANTS, max_size=40),
    zone=st.sampled_from(ZONES),
    cut_off=st.times(),
    names=st.sampled_from([["ECB"], ["ECB", "US"], ["every_day"], ["weekends"]]),
)
def test_business_dates_agree_with_a_slow_reading_row_by_row(
    instants: list[datetime], zone: str, cut_off: time, names: list[str]
) -> None:
    calendar = BusinessCalendar.of(names)
    expected = [slow_business_date(instant, ZoneInfo(zone), cut_off, calendar) for instant in instants]
    assert business_dates(instants, zone, cut_off, calendar) == expected


@pytest.mark.parametrize("change", [datetime(2025, 3, 30, tzinfo=UTC), datetime(2025, 10, 26, tzinfo=UTC)])
@pytest.mark.parametrize("cut_off", [time(2, 30), time(1, 59, 59, 999_999), time(17, 0), time(0, 0)])
def test_the_days_on_which_clocks_change_agree_minute_by_minute(change: datetime, cut_off: time) -> None:
    zone, calendar = "Europe/Berlin", BusinessCalendar.of(["every_day"])
    instants = [change + timedelta(minutes=minute) for minute in range(-180, 27 * 60)]
    expected = [slow_business_date(instant, ZoneInfo(zone), cut_off, calendar) for instant in instants]
    assert business_dates(instants, zone, cut_off, calendar) == expected


def test_the_cut_off_instant_belongs_to_the_day_and_the_next_microsecond_does_not() -> None:
    at_cut_off = datetime(2025, 7, 15, 15, 0, tzinfo=UTC)  # 17:00 in Berlin in summer
    after = at_cut_off + timedelta(microseconds=1)
    assert business_dates([at_cut_off, after], "Europe/Berlin", time(17), TARGET) == [
        date(2025, 7, 15),
        date(2025, 7, 16),
    ]


def test_the_last_second_of_the_day_belongs_to_it_when_the_cut_off_is_its_end() -> None:
    last = datetime(2025, 7, 15, 23, 59, 59, 999_999, tzinfo=UTC)
    assert business_dates([last], "UTC", time(23, 59, 59), TARGET) == [date(2025, 7, 15)]


def test_a_friday_evening_sale_falls_on_monday() -> None:
    friday_evening = datetime(2025, 3, 7, 18, 30, tzinfo=UTC)  # 19:30 in Berlin, after a cut-off of 17:00
    assert business_dates([friday_evening], "Europe/Berlin", time(17), TARGET) == [date(2025, 3, 10)]


def test_instants_without_a_zone_are_refused() -> None:
    naive = pa.array([0], type=pa.timestamp("us"))
    with pytest.raises(ValueError, match="instants with a zone"):
        business_date_of(naive, zone=ZoneInfo("UTC"), cut_off=time(17), calendar=TARGET)


def test_a_hundred_thousand_instants_ask_the_zone_once_per_minute() -> None:
    start = datetime(2025, 3, 30, tzinfo=UTC)
    instants = pa.array(
        [start + timedelta(milliseconds=864 * n) for n in range(100_000)], pa.timestamp("us", tz="UTC")
    )
    dates = business_date_of(instants, zone=ZoneInfo("Europe/Berlin"), cut_off=time(17), calendar=TARGET)
    assert dates.type == pa.date32()
    assert set(dates.to_pylist()) == {date(2025, 3, 31)}  # a Sunday; its evening rolls to the same Monday
