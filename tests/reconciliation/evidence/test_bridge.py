"""The bridge of one account and day."""

from dataclasses import replace
from datetime import date

import pytest

from reconciliation.evidence.bridge import AccountDay, StatedBalance, proof_table, prove

FRIDAY = date(2026, 11, 13)
DAY = AccountDay(
    account="assets:bank:eur",
    asset="EUR",
    business_date=FRIDAY,
    stated=StatedBalance(to_date=FRIDAY, opening_minor=90_000, closing_minor=100_000),
    external_minor=12_345,
    movement_minor=10_000,
    ledger_start_minor=87_655,
    ledger_minor=125_000,
    open_minor={("genuine", "external"): -5_000, ("timing", "ledger"): 30_000},
    open_count={("genuine", "external"): 1, ("timing", "ledger"): 2},
    allocation_difference_minor=0,
    matched_count=4,
    line_count=7,
)


def test_what_open_lines_do_not_explain_is_unexplained() -> None:
    proof = prove(DAY)

    assert proof.basis == "stated"
    assert proof.unexplained_minor == 10_000
    assert not proof.tied_out
    assert (proof.timing_count, proof.genuine_count) == (2, 1)


def test_a_difference_that_a_match_explains_is_no_rest() -> None:
    assert prove(replace(DAY, allocation_difference_minor=10_000)).tied_out


def test_a_source_that_states_no_balance_has_the_ledgers_at_the_start_and_its_lines_since() -> None:
    proof = prove(replace(DAY, stated=None))

    assert (proof.basis, proof.opening_minor, proof.closing_minor) == ("derived", 90_000, 100_000)


def test_without_a_statement_of_the_day_the_last_one_is_carried() -> None:
    older = StatedBalance(to_date=date(2026, 11, 12), opening_minor=1, closing_minor=90_000)

    proof = prove(replace(DAY, stated=older, movement_minor=0))

    assert (proof.basis, proof.opening_minor, proof.closing_minor) == ("carried", 90_000, 90_000)


def test_an_opening_that_is_not_stated_follows_from_the_closing_and_the_days_lines() -> None:
    closing_only = StatedBalance(to_date=FRIDAY, opening_minor=None, closing_minor=100_000)

    assert prove(replace(DAY, stated=closing_only)).opening_minor == 90_000


def test_a_line_in_no_bucket_is_an_error_of_the_program() -> None:
    with pytest.raises(ValueError, match="8 lines in play, 7 in buckets"):
        prove(replace(DAY, line_count=8))


def test_a_bridge_that_does_not_add_up_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="the bridge does not add up"):
        replace(prove(DAY), unexplained_minor=0)


def test_proofs_become_a_table_in_their_order() -> None:
    first, second = prove(DAY), prove(replace(DAY, account="assets:bank:two"))

    assert proof_table([first, second])["account"].to_pylist() == ["assets:bank:eur", "assets:bank:two"]
    assert proof_table([]).num_rows == 0
