"""The calendar of files: for which dates a file is owed, from which instant an absent one is overdue."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from reconciliation.classification import (
    AcceptedStatement,
    BusinessCalendar,
    FileCalendar,
    RefusedDelivery,
    missing_days,
    source_gaps,
)
from reconciliation.sources import Source
from tests.reconciliation.classification.situations import EUR, JPY, TARGET, all_of, source

BERLIN = ZoneInfo("Europe/Berlin")
MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY, SATURDAY, SUNDAY = (date(2025, 3, day) for day in range(3, 10))
NEXT_MONDAY = date(2025, 3, 10)
SECOND = timedelta(seconds=1)


def bank(*accounts: dict[str, Any], calendars: tuple[str, ...] = ("ECB",), **files: Any) -> Source:
    return source(
        accounts=list(accounts) or [{"asset": "EUR", "ledger": EUR}],
        files={"days": "business_days", "per": "account", "deadline": "07:00:00"} | files,
        time_zone="Europe/Berlin",
        calendars=list(calendars),
    )


def owed(of: Source, first: date, last: date, account: str = EUR) -> list[date]:
    calendar = FileCalendar(source=of, calendar=BusinessCalendar.of(of.calendars))
    return list(calendar.owed(account, first, last))


def due(of: Source, day: date, account: str = EUR) -> datetime:
    return FileCalendar(source=of, calendar=BusinessCalendar.of(of.calendars)).due_at(account, day)


def told(
    of: Source, now: datetime, *accepted: AcceptedStatement, as_of: date = TUESDAY
) -> list[tuple[Any, ...]]:
    found = source_gaps(accepted=accepted, refused=(), as_of=as_of, source=of, calendar=TARGET, now=now)
    return [(row["kind"], row["account"], row["item_date"]) for row in all_of(found)]


def statement(day: date, account: str = EUR) -> AcceptedStatement:
    return AcceptedStatement(account=account, to_date=day)


def test_a_file_that_is_absent_is_missing_at_its_deadline_and_not_a_second_before() -> None:
    deadline = datetime(2025, 3, 5, 7, tzinfo=BERLIN)
    assert told(bank(), deadline - SECOND, statement(MONDAY)) == []
    assert told(bank(), deadline, statement(MONDAY)) == [("missing_file", EUR, TUESDAY)]
    assert told(bank(), deadline, statement(MONDAY), statement(TUESDAY)) == []


def test_the_deadline_is_on_the_wall_clock_of_the_source_in_summer_and_in_winter() -> None:
    assert due(bank(), TUESDAY).astimezone(UTC) == datetime(2025, 3, 5, 6, tzinfo=UTC)
    assert due(bank(), date(2025, 6, 3)).astimezone(UTC) == datetime(2025, 6, 4, 5, tzinfo=UTC)


def test_fridays_file_is_due_on_monday_and_the_one_before_easter_on_tuesday() -> None:
    assert due(bank(), FRIDAY).date() == NEXT_MONDAY
    assert due(bank(), date(2025, 4, 17)).date() == date(2025, 4, 22)


def test_a_file_for_a_closed_date_is_due_with_the_business_day_that_the_date_belongs_to() -> None:
    daily = bank(days="every_day")
    assert owed(daily, FRIDAY, NEXT_MONDAY) == [FRIDAY, SATURDAY, SUNDAY, NEXT_MONDAY]
    assert {due(daily, day).date() for day in (SATURDAY, SUNDAY, NEXT_MONDAY)} == {date(2025, 3, 11)}


def test_a_source_that_never_closes_owes_a_file_for_each_day_on_the_next() -> None:
    daily = bank(calendars=("every_day",))
    assert owed(daily, FRIDAY, NEXT_MONDAY) == [FRIDAY, SATURDAY, SUNDAY, NEXT_MONDAY]
    assert due(daily, SATURDAY) == datetime(2025, 3, 9, 7, tzinfo=BERLIN)


def test_weekdays_are_owed_as_they_are_listed_but_not_on_holidays() -> None:
    weekly = bank(days=["thu", "mon"])
    assert owed(weekly, MONDAY, NEXT_MONDAY) == [MONDAY, THURSDAY, NEXT_MONDAY]
    easter_monday = date(2025, 4, 21)
    assert owed(weekly, date(2025, 4, 17), date(2025, 4, 24)) == [date(2025, 4, 17), date(2025, 4, 24)]
    assert easter_monday not in owed(weekly, MONDAY, date(2025, 5, 1))
    assert owed(bank(days=["sat"]), MONDAY, NEXT_MONDAY) == [SATURDAY]


def test_each_account_may_be_owed_other_files_until_another_hour() -> None:
    both = bank(
        {"asset": "EUR", "ledger": EUR},
        {"asset": "JPY", "ledger": JPY, "files": {"days": ["tue"], "deadline": "11:00:00"}},
    )
    assert (owed(both, MONDAY, FRIDAY), owed(both, MONDAY, FRIDAY, JPY)) == (
        [MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY],
        [TUESDAY],
    )
    at_nine = datetime(2025, 3, 5, 9, tzinfo=BERLIN)
    assert told(both, at_nine, statement(MONDAY)) == [("missing_file", EUR, TUESDAY)]
    at_eleven = datetime(2025, 3, 5, 11, tzinfo=BERLIN)
    assert told(both, at_eleven, statement(MONDAY)) == [
        ("missing_file", EUR, TUESDAY),
        ("missing_file", JPY, TUESDAY),
    ]


def test_an_account_may_owe_nothing_while_the_others_do() -> None:
    both = bank({"asset": "EUR", "ledger": EUR}, {"asset": "JPY", "ledger": JPY, "files": {"days": "none"}})
    assert missing_days(accepted=[], as_of=MONDAY, source=both, calendar=TARGET) == {EUR: (MONDAY,)}


def test_what_may_stand_in_a_file_that_is_not_yet_due_waits_for_it_all_the_same() -> None:
    assert missing_days(accepted=[statement(MONDAY)], as_of=TUESDAY, source=bank(), calendar=TARGET) == {
        EUR: (TUESDAY,)
    }


@pytest.mark.parametrize(("code", "kinds"), [("control_total", ["control_total"]), ("not_this_format", [])])
def test_before_the_deadline_a_file_that_does_not_prove_is_told_and_another_refusal_waits(
    code: str, kinds: list[str]
) -> None:
    found = source_gaps(
        accepted=[statement(MONDAY)],
        refused=[RefusedDelivery(for_date=TUESDAY, code=code)],
        as_of=TUESDAY,
        source=bank(),
        calendar=TARGET,
        now=datetime(2025, 3, 5, 6, tzinfo=BERLIN),
    )
    assert [row["kind"] for row in all_of(found)] == kinds


def test_a_number_that_jumps_over_days_for_which_no_file_is_owed_is_a_gap() -> None:
    weekly = bank(days=["mon"])
    jumped = [
        AcceptedStatement(account=EUR, to_date=MONDAY, sequence_no=1),
        AcceptedStatement(account=EUR, to_date=NEXT_MONDAY, sequence_no=3),
    ]
    found = source_gaps(
        accepted=jumped, refused=(), as_of=NEXT_MONDAY, source=weekly, calendar=TARGET, now=None
    )
    assert [row["kind"] for row in all_of(found)] == ["sequence_gap"]
