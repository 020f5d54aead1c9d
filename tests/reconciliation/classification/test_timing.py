"""Timing or genuine: due windows in business days, promotion the day after, files that are waited for, stable keys."""

from datetime import date, timedelta

from tests.reconciliation.classification.situations import (
    EUR,
    all_of,
    decide,
    entry,
    line,
    only,
    source,
    subset,
)


def test_an_entry_is_timing_on_its_due_date_and_genuine_the_day_after() -> None:
    sent = [entry(1, -500, "PAY-1")]  # Tuesday 4 March, latest two business days later
    on_time, late = (
        only(decide([], sent, as_of=date(2025, 3, 6))),
        only(decide([], sent, as_of=date(2025, 3, 7))),
    )
    assert subset(on_time, "class", "severity") == ("timing", "info")
    assert subset(late, "class", "severity") == ("genuine", "low")
    assert on_time["exception_key"] == late["exception_key"]


def test_our_own_book_may_be_a_day_behind_the_bank() -> None:
    received = [line(1, 500, "INV-1")]
    assert only(decide(received, as_of=date(2025, 3, 5)))["class"] == "timing"
    assert only(decide(received, as_of=date(2025, 3, 6)))["class"] == "genuine"


def test_a_friday_evening_sale_is_not_late_on_monday_nor_on_wednesday() -> None:
    sale = [
        entry(1, 500, "ch_1", business_date=date(2025, 3, 10))
    ]  # after cut-off on Friday: Monday's business
    for as_of in (date(2025, 3, 10), date(2025, 3, 12)):
        found = only(decide([], sale, as_of=as_of))
        assert subset(found, "class", "due_on") == ("timing", date(2025, 3, 12))
    assert only(decide([], sale, as_of=date(2025, 3, 13)))["class"] == "genuine"


def test_may_day_does_not_count() -> None:
    sent = [entry(1, 500, "PAY-1", business_date=date(2025, 4, 30))]
    assert only(decide([], sent, as_of=date(2025, 4, 30)))["expected_clear_on"] == date(2025, 5, 2)
    found = only(decide([], sent, as_of=date(2025, 5, 5)))
    assert subset(found, "class", "due_on", "age_business_days") == ("timing", date(2025, 5, 5), 2)


def test_the_second_day_of_christmas_does_not_count() -> None:
    found = only(
        decide([], [entry(1, 500, "PAY-1", business_date=date(2025, 12, 24))], as_of=date(2025, 12, 30))
    )
    assert subset(found, "class", "due_on") == ("timing", date(2025, 12, 30))


def test_an_entry_waits_for_the_file_in_which_it_may_stand() -> None:
    found = only(
        decide(
            [], [entry(1, 500, "PAY-1")], as_of=date(2025, 3, 12), waiting_for_file={EUR: {date(2025, 3, 5)}}
        )
    )
    assert subset(found, "class", "severity", "due_on") == ("timing", "info", date(2025, 3, 6))
    assert found["factors"]["why"] == "waits for the file of 2025-03-05"
    assert found["factors"]["late_business_days"] == 4


def test_a_file_missing_after_the_due_date_or_of_another_account_excuses_nothing() -> None:
    sent = [entry(1, 500, "PAY-1")]
    for waiting in (
        {EUR: {date(2025, 3, 7)}},
        {EUR: {date(2025, 3, 3)}},
        {"assets:bank:other": {date(2025, 3, 5)}},
    ):
        assert only(decide([], sent, as_of=date(2025, 3, 12), waiting_for_file=waiting))["class"] == "genuine"


def test_lags_come_from_the_source() -> None:
    slow = source(lag={"earliest": 1, "expected": 2, "latest": 5}, ledger_lag_latest=0)
    fresh = only(decide([], [entry(1, 500, "PAY-1")], of=slow))
    assert subset(fresh, "class", "due_on", "expected_clear_on") == (
        "timing",
        date(2025, 3, 11),
        date(2025, 3, 6),
    )
    assert only(decide([], [entry(1, 500, "PAY-1")], as_of=date(2025, 3, 11), of=slow))["class"] == "timing"
    assert only(decide([line(1, 500, "INV-1")], as_of=date(2025, 3, 5), of=slow))["class"] == "genuine"


def test_the_key_of_an_exception_follows_its_cause_and_not_its_surroundings() -> None:
    received = line(1, 500, "INV-1")
    waiting = only(decide([received]))
    renumbered = only(decide([received | {"line_id": 77}], as_of=date(2025, 3, 20)))
    mismatch = only(decide([received], [entry(1, 490, "INV-1")]))
    assert waiting["exception_key"] == renumbered["exception_key"]
    assert waiting["exception_key"] != mismatch["exception_key"]
    assert only(decide([received], of=source(id="second")))["exception_key"] != waiting["exception_key"]


def test_a_quiet_day_has_no_exceptions() -> None:
    assert all_of(decide()) == []


def test_a_hundred_thousand_entries_that_wait_for_a_file_are_judged_together() -> None:
    days = [date(2025, 3, 3) + timedelta(days=number) for number in (0, 1, 2)]
    entries = [
        entry(number, 1_000 + number, f"PAY-{number:07d}", business_date=days[number % 3])
        for number in range(100_000)
    ]
    found = decide([], entries, as_of=date(2025, 3, 20), waiting_for_file={EUR: {date(2025, 3, 5)}})
    assert set(found.exceptions["class"].to_pylist()) == {"timing"}
    assert found.members.num_rows == found.exceptions.num_rows == 100_000
    assert len(set(found.exceptions["exception_key"].to_pylist())) == 100_000
