"""The severity model as a table: every factor alone, together, floored and capped."""

import numpy as np
import pytest

from reconciliation.classification.severity import assess, exposure_levels
from reconciliation.errors import ReconciliationError
from reconciliation.sources import Severity
from reconciliation.vocabulary import EXCEPTION_KINDS, SEVERITIES
from tests.reconciliation.classification.situations import date, decide, entry, line, only, source

LOW, MEDIUM, HIGH, CRITICAL = 1, 2, 3, 4


def level_of(amount_minor: int, asset: str, settings: Severity | None = None) -> str:
    assets = np.array([asset], dtype=object)
    return SEVERITIES[exposure_levels(np.array([amount_minor]), assets, settings or Severity())[0]]


@pytest.mark.parametrize(
    ("amount_minor", "asset", "level"),
    [
        (9_999, "EUR", "low"),
        (10_000, "EUR", "medium"),  # 100.00
        (-10_000, "EUR", "medium"),  # direction is another factor
        (999_999, "EUR", "medium"),
        (1_000_000, "EUR", "high"),  # 10 000.00
        (10_000_000, "EUR", "critical"),  # 100 000.00
        (99, "JPY", "low"),  # no minor digits
        (100, "JPY", "medium"),
        (99_999, "KWD", "low"),  # three minor digits
        (100_000, "KWD", "medium"),
        (-(2**63) + 1, "EUR", "critical"),
    ],
)
def test_exposure_counts_major_units_whatever_the_exponent(amount_minor: int, asset: str, level: str) -> None:
    assert level_of(amount_minor, asset) == level


def test_a_source_sets_its_own_bands() -> None:
    settings = Severity(
        medium_minor={"JPY": 15_000}, high_minor={"JPY": 1_500_000}, critical_minor={"JPY": 15_000_000}
    )
    assert [level_of(amount, "JPY", settings) for amount in (14_999, 15_000, 1_500_000, 15_000_000)] == [
        "low", "medium", "high", "critical",
    ]  # fmt: skip


def test_a_token_needs_bands_or_an_exponent() -> None:
    with pytest.raises(ReconciliationError, match="asset POINTS"):
        level_of(5, "POINTS")
    settings = Severity(medium_minor={"POINTS": 1}, high_minor={"POINTS": 10}, critical_minor={"POINTS": 100})
    assert level_of(5, "POINTS", settings) == "medium"


@pytest.mark.parametrize(
    ("kind", "exposure", "shortfall", "late", "severity"),
    [
        ("missing_at_source", LOW, False, 0, "low"),
        ("missing_at_source", MEDIUM, False, 0, "medium"),
        ("missing_at_source", HIGH, False, 0, "high"),
        ("missing_at_source", CRITICAL, False, 0, "critical"),
        ("missing_at_source", MEDIUM, True, 0, "high"),  # direction
        ("missing_at_source", MEDIUM, False, 4, "medium"),
        ("missing_at_source", MEDIUM, False, 5, "high"),  # lateness
        ("missing_at_source", MEDIUM, False, 500, "high"),  # one band at most, however old
        ("duplicate_external", MEDIUM, False, 0, "high"),  # class
        ("duplicate_ledger", MEDIUM, False, 0, "high"),
        ("sign_mismatch", MEDIUM, False, 0, "high"),
        ("conflicting_version", MEDIUM, False, 0, "high"),
        ("amount_mismatch", MEDIUM, False, 0, "medium"),
        ("duplicate_external", MEDIUM, True, 5, "critical"),  # all together, and not beyond
        ("duplicate_external", CRITICAL, True, 500, "critical"),
        ("duplicate_external", LOW, True, 500, "medium"),  # a trifle stays below high
        ("missing_in_ledger", LOW, False, 500, "medium"),
        ("missing_file", LOW, False, 0, "high"),  # floors
        ("missing_file", LOW, False, 500, "high"),
        ("control_total", LOW, False, 0, "high"),
        ("sequence_gap", LOW, False, 0, "high"),
        ("balance_break", LOW, False, 0, "critical"),
    ],
)
def test_factors_add_up_in_bands(kind: str, exposure: int, shortfall: bool, late: int, severity: str) -> None:
    found = assess(
        kind=kind,
        exception_class="genuine",
        exposure=exposure,
        client_money_shortfall=shortfall,
        late_business_days=late,
    )
    assert found.severity == severity


@pytest.mark.parametrize("kind", sorted(EXCEPTION_KINDS))
def test_timing_is_never_more_than_information(kind: str) -> None:
    found = assess(
        kind=kind,
        exception_class="timing",
        exposure=CRITICAL,
        client_money_shortfall=True,
        late_business_days=99,
    )
    assert found.severity == "info"


def test_a_shortfall_of_client_money_weighs_more_than_a_surplus() -> None:
    client = source(severity={"client_money": True})
    as_of = date(2025, 3, 7)
    short = only(
        decide([], [entry(1, 20_000, "PAY-1")], as_of=as_of, of=client)
    )  # our book has what the bank has not
    over = only(decide([line(1, 20_000, "INV-1")], as_of=as_of, of=client))
    assert (short["severity"], over["severity"]) == ("high", "medium")
    assert (short["factors"]["direction"], over["factors"]["direction"]) == (1, 0)
    assert only(decide([], [entry(1, 20_000, "PAY-1")], as_of=as_of))["severity"] == "medium"


def test_the_stored_factors_name_everything_that_made_the_severity() -> None:
    found = only(decide([], [entry(1, 12_000, "PAY-1")], as_of=date(2025, 3, 14)))
    library = found["factors"].pop("calendar")
    assert library.startswith("holidays ")
    assert found["factors"] == {
        "ceiling": None,
        "class": "genuine",
        "class_weight": 0,
        "direction": 0,
        "exposure": "medium",
        "floor": None,
        "late_business_days": 6,
        "lateness": 1,
        "why": "the source should have reported it by now",
    }
    assert found["severity"] == "high"


def test_a_mismatch_weighs_by_its_difference_and_not_by_its_amount() -> None:
    found = only(decide([line(1, 12_000_000, "INV-1")], [entry(1, 12_000_100, "INV-1")]))
    assert found["severity"] == "low"
