"""What else makes an exception worse or milder: share, systemic cause, safeguarded money, de-minimis, confidence."""

import json
from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.classification import AmbiguousCase, UnexplainedRest, balance_breaks, severity_of
from reconciliation.classification.severity import Circumstances, assess, share_bands
from reconciliation.errors import SourcesError
from reconciliation.sources import Source, parse_sources
from reconciliation.vocabulary import EXCEPTION_CLASSES, EXCEPTION_KINDS, SEVERITIES
from tests.reconciliation.classification.situations import (
    EUR,
    EUR_2,
    TARGET,
    Item,
    all_of,
    decide,
    entry,
    line,
    only,
    source,
    subset,
)

LATE = date(2025, 3, 7)  # a payment of Tuesday 4 March is genuine from here on
LOW, MEDIUM, HIGH, CRITICAL = 1, 2, 3, 4


def judged(lines: list[Item], entries: list[Item], severity: Mapping[str, Any], **more: Any) -> Item:
    return only(decide(lines, entries, as_of=LATE, of=source(severity=severity), **more))


def payment(amount_minor: int = 20_000, **changes: Any) -> list[Item]:
    """An entry of money in that the bank does not have: a shortfall. 200.00 is medium."""
    return [entry(1, amount_minor, "PAY-1", **changes)]


def level(
    circumstances: Circumstances, *, kind: str = "missing_at_source", exposure: int = MEDIUM, **more: Any
) -> str:
    standard = {"exception_class": "genuine", "client_money_shortfall": False, "late_business_days": 0}
    return assess(kind=kind, exposure=exposure, circumstances=circumstances, **(standard | more)).severity


ASSESSED = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(sorted(EXCEPTION_KINDS)),
        "exception_class": st.sampled_from(sorted(EXCEPTION_CLASSES)),
        "exposure": st.integers(LOW, CRITICAL),
        "client_money_shortfall": st.booleans(),
        "late_business_days": st.integers(0, 20),
        "circumstances": st.builds(
            Circumstances,
            share_ppm=st.sampled_from([None, 0, 100, 10_000, 1_000_000]),
            regulatory=st.booleans(),
            is_material=st.booleans(),
            is_trifle=st.sampled_from([None, True, False]),
            systemic_count=st.sampled_from([None, 5, 300]),
            floor=st.sampled_from([None, MEDIUM, HIGH]),
        ),
    }
)


@given(what=ASSESSED)
def test_severity_follows_from_the_stored_text_of_its_factors_alone(what: dict[str, Any]) -> None:
    found = assess(**what)
    assert severity_of(json.loads(json.dumps(dict(found.factors)))) == found.severity
    assert (found.severity == "info") == (what["exception_class"] == "timing")


@pytest.mark.parametrize("name", ["share", "direction", "lateness", "class_weight", "regulatory", "systemic"])
def test_every_stored_factor_counts(name: str) -> None:
    factors = assess(
        kind="missing_at_source",
        exception_class="genuine",
        exposure=MEDIUM,
        client_money_shortfall=False,
        late_business_days=0,
    ).factors
    assert severity_of(factors) == "medium"
    assert severity_of({**factors, name: 1}) == "high"
    assert severity_of({**factors, "confidence": "low"}) == "low"
    assert severity_of({**factors, "exposure": "critical"}) == "critical"
    assert severity_of({**factors, "floor": "critical"}) == "critical"
    assert severity_of({**factors, "ceiling": "low"}) == "low"
    assert severity_of({**factors, "class": "timing"}) == "info"


@given(st.integers(-(10**18), 10**18), st.integers(-(10**18), 10**18))
def test_the_share_is_the_largest_step_that_the_exposure_reaches(exposure: int, balance: int) -> None:
    steps = [0, 100, 1_000, 10_000, 100_000, 1_000_000]
    reached = [ppm for ppm in steps if abs(exposure) * 1_000_000 >= ppm * abs(balance)]
    found = share_bands(np.array([exposure]), np.array([balance]))[0]
    assert found == (max(reached) if balance else -1)


def test_one_percent_of_what_the_account_holds_weighs_more_than_the_same_amount_of_a_large_one() -> None:
    found = [judged([], payment(), {}, balances={EUR: balance}) for balance in (2_000_000, 2_000_001, 0)]
    assert [row["severity"] for row in found] == ["high", "medium", "medium"]
    assert [row["factors"].get("exposure_share_ppm") for row in found] == [10_000, 1_000, None]
    assert judged([], payment(), {}, balances={EUR_2: 2_000_000})["severity"] == "medium"


def batch(count: int, **changes: Any) -> list[Item]:
    return [
        entry(number, 2_000, f"PAY-{number}", batch_ref="po_7", **changes) for number in range(1, count + 1)
    ]


def test_five_of_a_batch_that_are_missing_on_one_day_have_one_cause_and_weigh_more_than_four() -> None:
    four, five = (all_of(decide([], batch(count), as_of=LATE)) for count in (4, 5))
    assert {row["severity"] for row in four} == {"low"}
    assert {row["severity"] for row in five} == {"medium"}
    assert {subset(row["factors"], "systemic", "systemic_count", "systemic_net_minor") for row in five} == {
        (1, 5, -10_000)
    }
    assert not any("systemic" in row["factors"] for row in four)


def test_a_source_says_from_how_many_a_cause_is_systemic() -> None:
    found = decide([], batch(3), as_of=LATE, of=source(severity={"systemic_count": 3}))
    assert {row["factors"]["systemic_count"] for row in all_of(found)} == {3}


def test_without_a_batch_the_counterparty_is_the_cause_and_without_either_there_is_none() -> None:
    of_ada = [item | {"batch_ref": None, "counterparty": "Ada"} for item in batch(5)]
    assert {row["factors"]["systemic"] for row in all_of(decide([], of_ada, as_of=LATE))} == {1}
    of_nobody = [item | {"batch_ref": None} for item in batch(5)]
    assert not any("systemic" in row["factors"] for row in all_of(decide([], of_nobody, as_of=LATE)))


def test_another_kind_asset_or_what_is_only_timing_does_not_count_to_a_cause() -> None:
    received = [line(number, 2_000, f"INV-{number}", batch_ref="po_7") for number in (11, 12)]
    in_time = [entry(9, 2_000, "PAY-9", batch_ref="po_7", business_date=LATE)]
    found = all_of(decide(received, [*batch(4), *in_time], as_of=LATE))
    assert not any("systemic" in row["factors"] for row in found)


def test_a_mismatch_has_the_cause_of_its_line() -> None:
    lines = [line(number, 2_000, f"INV-{number}", batch_ref="po_7") for number in range(1, 6)]
    entries = [entry(number, 1_990, f"INV-{number}") for number in range(1, 6)]
    found = all_of(decide(lines, entries, as_of=LATE))
    assert {subset(row["factors"], "systemic_count", "systemic_net_minor") for row in found} == {(5, 50)}


def test_a_trifle_may_come_above_medium_only_where_it_is_systemic() -> None:
    worst = {"client_money_shortfall": True, "late_business_days": 9, "exposure": LOW}
    assert level(Circumstances(), **worst) == "medium"
    assert level(Circumstances(systemic_count=300), **worst) == "critical"


def test_a_written_de_minimis_stands_in_for_the_medium_band() -> None:
    client = {"client_money": True}
    assert judged([], payment(20_000), client)["severity"] == "high"
    milder = client | {"de_minimis_minor": {"EUR": 20_001}}
    assert subset(judged([], payment(20_000), milder), "severity") == ("medium",)
    assert judged([], payment(20_001), milder)["severity"] == "high"
    other = client | {"de_minimis_minor": {"USD": 20_001}}
    assert judged([], payment(20_000), other)["severity"] == "high"


SAFE = {"safeguarding": True, "materiality_minor": {"EUR": 5_000}}


def test_a_material_shortfall_of_safeguarded_money_is_critical_and_due_the_same_day() -> None:
    found = judged([], payment(5_001), SAFE)
    assert subset(found, "severity", "due_on") == ("critical", LATE)
    assert subset(found["factors"], "same_day", "floor", "regulatory", "late_business_days") == (
        True, "critical", 1, 1,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "entries"),
    [
        ([], payment(5_000)),  # not above the threshold
        ([line(1, 5_001, "INV-1")], []),  # a surplus
    ],
)
def test_what_is_no_material_shortfall_keeps_its_due_date(lines: list[Item], entries: list[Item]) -> None:
    found = judged(lines, entries, SAFE)
    assert found["severity"] != "critical"
    assert found["due_on"] < LATE
    assert found["factors"]["regulatory"] == 1
    assert "same_day" not in found["factors"]


def test_where_no_threshold_is_written_every_shortfall_of_safeguarded_money_is_material() -> None:
    assert judged([], payment(1), {"safeguarding": True})["severity"] == "critical"
    assert (
        judged([], payment(1), {"safeguarding": True, "materiality_minor": {"USD": 9}})["severity"]
        == "critical"
    )


def test_only_the_named_accounts_are_safeguarded_where_some_are_named() -> None:
    named = {"safeguarding_accounts": [EUR_2]}
    assert judged([], payment(), named)["severity"] == "medium"
    assert judged([], payment(account=EUR_2), named)["severity"] == "critical"


def test_timing_of_safeguarded_money_is_information_and_keeps_its_due_date() -> None:
    found = only(decide([], payment(), of=source(severity=SAFE)))
    assert subset(found, "class", "severity", "due_on") == ("timing", "info", date(2025, 3, 6))
    assert "same_day" not in found["factors"]


def test_a_balance_of_safeguarded_money_that_is_short_is_due_the_same_day() -> None:
    def broken(unexplained_minor: int) -> Item:
        rest = UnexplainedRest(
            account=EUR, asset="EUR", business_date=date(2025, 3, 4), unexplained_minor=unexplained_minor
        )
        return only(balance_breaks(rests=[rest], as_of=LATE, source=source(severity=SAFE), calendar=TARGET))

    assert subset(broken(-5_001), "severity", "due_on") == ("critical", LATE)
    assert subset(broken(5_001), "severity", "due_on") == ("critical", date(2025, 3, 4))


def test_an_account_that_is_not_the_source_s_cannot_be_safeguarded() -> None:
    text = """
version: 1
sources:
  - id: bank
    kind: bank
    format: camt.053
    start_date: 2025-03-03
    accounts: [{asset: EUR, ledger: "assets:bank:main-eur"}]
    match: {references: [{external: ref_uetr, ledger: ref_uetr}]}
    severity: {safeguarding_accounts: ["assets:bank:mian-eur"]}
"""
    with pytest.raises(
        SourcesError, match="assets:bank:mian-eur is no ledger account of this source, which are assets"
    ):
        parse_sources(text)


def test_an_ambiguous_case_is_a_band_milder_for_the_money_is_there() -> None:
    lines, entries = [line(1, 20_000, "AB-77")], [entry(1, 20_000, "AB77"), entry(2, 20_000, "AB-77")]
    case = AmbiguousCase(line_ids=(1,), ledger_lines=((1, 1), (2, 1)))
    found = judged(lines, entries, {}, ambiguous=[case])
    assert subset(found, "class", "severity") == ("review", "low")
    assert subset(found["factors"], "exposure", "confidence") == ("medium", "low")


@pytest.mark.parametrize(
    ("step", "severity"), [(Circumstances(regulatory=True), "high"), (Circumstances(floor=HIGH), "high")]
)
def test_a_regulated_account_and_a_floor_of_its_own_weigh(step: Circumstances, severity: str) -> None:
    assert level(step) == severity
    assert SEVERITIES.index(level(step)) > SEVERITIES.index(level(Circumstances()))


def test_the_defaults_of_a_source_ask_for_nothing_new() -> None:
    fresh: Source = source()
    assert (fresh.severity.safeguarding, fresh.severity.safeguarding_accounts, fresh.rails) == (False, (), ())
