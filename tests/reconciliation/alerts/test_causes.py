"""Which findings are told, and in what words."""

from datetime import date
from typing import Any

import pytest

from reconciliation.alerts import alert_of_refusal, alerts_of_exceptions
from reconciliation.errors import RefusedFile

DAY = date(2026, 11, 16)


def row(**changes: Any) -> dict[str, Any]:
    return {
        "as_of": DAY,
        "kind": "missing_in_ledger",
        "class": "genuine",
        "severity": "high",
        "asset": "EUR",
        "item_count": 2,
        "amount_minor": 123_45,
    } | changes


def test_one_alert_for_each_day_and_kind_with_counts_and_sums() -> None:
    rows = [
        row(),
        row(severity="critical", item_count=1, amount_minor=-1_00),
        row(asset="KWD", amount_minor=5),
        row(kind="fee_variance"),
        row(as_of=date(2026, 11, 17)),
    ]
    alerts = alerts_of_exceptions(rows, source_id="bank")
    assert [alert.cause_key for alert in alerts] == [
        "exceptions:bank:2026-11-16:fee_variance:high",
        "exceptions:bank:2026-11-16:missing_in_ledger:critical",
        "exceptions:bank:2026-11-17:missing_in_ledger:high",
    ]
    assert alerts[1].item_count == 5
    assert dict(alerts[1].sums) == {"EUR": 124_45, "KWD": 5}
    assert alerts[1].title == "bank 2026-11-16: 5 exceptions, missing in ledger, critical"
    assert "EUR: 3 of 124.45 in all\nKWD: 2 of 0.005 in all" in alerts[1].body


@pytest.mark.parametrize(
    ("class_name", "severity", "told"),
    [
        ("genuine", "medium", False),
        ("genuine", "high", True),
        ("review", "critical", True),
        ("review", "low", False),
        ("source_gap", "info", True),
        ("timing", "info", False),
    ],
)
def test_only_what_somebody_must_act_upon_is_told(class_name: str, severity: str, told: bool) -> None:
    rows = [row(**{"class": class_name, "severity": severity, "asset": None, "amount_minor": 0})]
    assert bool(alerts_of_exceptions(rows, source_id="bank")) is told


def test_the_content_of_a_refused_file_stays_in_the_house() -> None:
    refusal = RefusedFile(
        code="amount", place="row 7", expected="digits", found="Anna Example", remedy="Ask."
    )
    alert = alert_of_refusal(
        source_id="bank", file_name="a.xml", file_sha256="ab" * 32, for_date=DAY, refusal=refusal
    )
    assert alert.cause_key == f"refused:bank:{'ab' * 32}"
    assert "Anna" not in alert.title + alert.body
