"""Files that are missing, unproved or out of sequence, and balances that do not tie: one exception per cause."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import pytest

from reconciliation.classification import (
    AcceptedStatement,
    RefusedDelivery,
    UnexplainedRest,
    balance_breaks,
    missing_days,
    source_gaps,
)
from reconciliation.sources import Source
from tests.reconciliation.classification.situations import (
    EUR,
    JPY,
    TARGET,
    Item,
    all_of,
    only,
    source,
    subset,
)

MONDAY, TUESDAY, WEDNESDAY = date(2025, 3, 3), date(2025, 3, 4), date(2025, 3, 5)
ONE_ACCOUNT = source(accounts=[{"asset": "EUR", "ledger": EUR}])
ONE_FILE = source(
    accounts=[{"asset": "EUR", "ledger": EUR}, {"asset": "JPY", "ledger": JPY}],
    files={"days": "business_days", "per": "source"},
)
FACTS = (
    "class",
    "kind",
    "severity",
    "side",
    "account",
    "item_date",
    "amount_minor",
    "difference_minor",
    "line_key",
)


def gaps(
    accepted: Sequence[AcceptedStatement],
    refused: Sequence[RefusedDelivery] = (),
    *,
    as_of: date = WEDNESDAY,
    of: Source = ONE_ACCOUNT,
) -> Any:
    return source_gaps(accepted=accepted, refused=refused, as_of=as_of, source=of, calendar=TARGET)


def statement(day: date, number: int | None = None, account: str | None = EUR) -> AcceptedStatement:
    return AcceptedStatement(account=account, to_date=day, sequence_no=number)


def test_a_day_without_its_statement_is_one_missing_file() -> None:
    found = only(gaps([statement(MONDAY), statement(WEDNESDAY)]))
    assert subset(found, *FACTS) == (
        "source_gap", "missing_file", "high", "external", EUR, TUESDAY, 0, 0, None,
    )  # fmt: skip
    assert subset(found, "asset", "members", "age_business_days") == ("EUR", [], 1)


def test_each_account_is_owed_its_own_statement() -> None:
    both = source(accounts=[{"asset": "EUR", "ledger": EUR}, {"asset": "JPY", "ledger": JPY}])
    found = only(gaps([statement(MONDAY, account=EUR)], as_of=MONDAY, of=both))
    assert subset(found, "account", "asset") == (JPY, "JPY")


def test_one_file_for_the_source_serves_all_its_accounts() -> None:
    days = [statement(MONDAY, account=EUR), statement(WEDNESDAY, account=JPY)]
    found = only(gaps(days, of=ONE_FILE))
    assert subset(found, "kind", "account", "asset", "item_date") == ("missing_file", None, None, TUESDAY)
    assert missing_days(accepted=days, as_of=WEDNESDAY, source=ONE_FILE, calendar=TARGET) == {
        EUR: (TUESDAY,),
        JPY: (TUESDAY,),
    }


def test_weekends_and_holidays_owe_no_statement() -> None:
    easter = source(accounts=[{"asset": "EUR", "ledger": EUR}], start_date="2025-04-17")
    days = [
        statement(date(2025, 4, 17)),
        statement(date(2025, 4, 22)),
    ]  # Good Friday to Easter Monday between them
    assert all_of(gaps(days, as_of=date(2025, 4, 22), of=easter)) == []


def test_a_statement_over_several_days_serves_them_all() -> None:
    whole = AcceptedStatement(account=EUR, from_date=MONDAY, to_date=WEDNESDAY)
    assert all_of(gaps([whole])) == []


def test_a_source_without_a_schedule_owes_nothing() -> None:
    free = source(accounts=[{"asset": "EUR", "ledger": EUR}], files={"days": "none", "per": "account"})
    assert all_of(gaps([], of=free)) == []
    assert missing_days(accepted=[], as_of=WEDNESDAY, source=free, calendar=TARGET) == {}


@pytest.mark.parametrize("code", ["control_total", "balance"])
def test_a_file_whose_totals_do_not_prove_is_a_control_total_instead_of_missing(code: str) -> None:
    good = [statement(MONDAY), statement(WEDNESDAY)]
    unproved = only(gaps(good, [RefusedDelivery(for_date=TUESDAY, code=code, account=EUR)]))
    assert subset(unproved, "class", "kind", "severity", "item_date") == (
        "source_gap",
        "control_total",
        "high",
        TUESDAY,
    )
    assert unproved["exception_key"] == only(gaps(good))["exception_key"]


def test_a_file_refused_for_another_reason_is_missing_and_the_reason_is_kept() -> None:
    found = only(
        gaps(
            [statement(MONDAY), statement(WEDNESDAY)],
            [RefusedDelivery(for_date=TUESDAY, code="not_this_format")],
        )
    )
    assert found["kind"] == "missing_file"
    assert "not_this_format" in found["factors"]["why"]


def test_a_refused_file_is_forgotten_when_a_good_one_is_accepted() -> None:
    refused = [RefusedDelivery(for_date=TUESDAY, code="control_total", account=EUR)]
    assert all_of(gaps([statement(MONDAY), statement(TUESDAY), statement(WEDNESDAY)], refused)) == []


def test_a_number_that_jumps_though_no_day_is_missing_is_a_sequence_gap() -> None:
    found = only(gaps([statement(MONDAY, 41), statement(TUESDAY, 43), statement(WEDNESDAY, 44)]))
    assert subset(found, *FACTS) == (
        "source_gap", "sequence_gap", "high", "external", EUR, TUESDAY, 0, 0, None,
    )  # fmt: skip


def test_a_jump_over_a_missing_day_is_not_a_second_exception() -> None:
    found = only(gaps([statement(MONDAY, 41), statement(WEDNESDAY, 43)]))
    assert found["kind"] == "missing_file"


def test_a_jump_further_than_the_missing_days_is_a_sequence_gap_too() -> None:
    found = all_of(gaps([statement(MONDAY, 41), statement(WEDNESDAY, 44)]))
    assert [row["kind"] for row in found] == ["missing_file", "sequence_gap"]


def test_files_of_one_source_are_counted_together_whatever_account_they_name() -> None:
    found = [
        statement(day, number, account)
        for number, day in enumerate((MONDAY, TUESDAY), 7)
        for account in (EUR, JPY)
    ]
    assert all_of(gaps(found, as_of=TUESDAY, of=ONE_FILE)) == []


@pytest.mark.parametrize(
    ("numbers", "has_gap"), [((250, 1), False), ((250, 2), True), ((250, 249), True), ((250, 250), True)]
)
def test_numbers_may_begin_again_at_one_but_not_run_backwards(
    numbers: tuple[int, int], has_gap: bool
) -> None:
    found = all_of(gaps([statement(MONDAY, numbers[0]), statement(TUESDAY, numbers[1])], as_of=TUESDAY))
    assert [row["kind"] for row in found] == ["sequence_gap"] * has_gap


def test_numbers_that_begin_again_in_a_new_year_still_may_not_skip() -> None:
    turn = source(accounts=[{"asset": "EUR", "ledger": EUR}], start_date="2025-12-31")
    days = [statement(date(2025, 12, 31), 250), statement(date(2026, 1, 2), 2)]
    assert only(gaps(days, as_of=date(2026, 1, 2), of=turn))["kind"] == "sequence_gap"


def test_the_order_of_arrival_changes_nothing() -> None:
    days = [statement(MONDAY, 41), statement(WEDNESDAY, 44)]
    assert gaps(days).exceptions.equals(gaps(days[::-1]).exceptions)


def test_a_balance_that_does_not_tie_is_genuine_and_critical_however_small() -> None:
    rest = UnexplainedRest(account=JPY, asset="JPY", business_date=TUESDAY, unexplained_minor=-1)
    found: Item = only(balance_breaks(rests=[rest], as_of=WEDNESDAY, source=ONE_FILE, calendar=TARGET))
    assert subset(found, *FACTS) == (
        "genuine", "balance_break", "critical", "external", JPY, TUESDAY, -1, -1, None,
    )  # fmt: skip
