"""Matching and classification draw the same line: what schedule or rate explains is matched, all else is a variance."""

from collections.abc import Sequence
from datetime import date

import pyarrow as pa
import pytest

from reconciliation.items import EXTERNAL_ITEM_SCHEMA, LEDGER_ITEM_SCHEMA
from reconciliation.matching import match_day
from reconciliation.sources import Source
from tests.reconciliation.classification.situations import Item, all_of, decide, entry, line, source

PASSES = ["exact", "normalised", "net_of_fee", "converted", "declared_group", "reversal_family"]
CONVERTED = {
    "original_amount_minor": 20_000,
    "original_asset": "USD",
    "kind": "presentment",
    "fx_rate": "0.9272450",
}
BOOKED = {"fx_amount_minor": 20_000, "fx_asset": "USD", "kind": "presentment"}


def rules(**changes: object) -> Source:
    return source(match=source().match.model_dump() | {"passes": PASSES} | changes)


def judged(lines: Sequence[Item], entries: Sequence[Item], of: Source) -> str:
    """The pass that matched everything, or the kind and difference of the one exception that holds everything."""
    result = match_day(
        pa.Table.from_pylist(list(lines), EXTERNAL_ITEM_SCHEMA),
        pa.Table.from_pylist(list(entries), LEDGER_ITEM_SCHEMA),
        of.match,
    )
    if result.groups.num_rows:
        assert result.members.num_rows == len(lines) + len(entries)
        return str(result.groups["match_pass"][0].as_py())
    (found,) = all_of(decide(lines, entries, of=of))
    assert len(found["members"]) == len(lines) + len(entries)
    return f"{found['kind']} {found['difference_minor']}"


@pytest.mark.parametrize(
    ("more_minor", "expected"),
    [(-2, "fx_variance 2"), (-1, "converted"), (0, "exact"), (1, "converted"), (2, "fx_variance -2")],
)
def test_a_rest_of_conversion_is_a_match_up_to_a_minor_unit_and_a_variance_beyond(
    more_minor: int, expected: str
) -> None:
    theirs, ours = [line(1, 18_545, "A1B2", **CONVERTED)], [entry(1, 18_545 + more_minor, "A1B2", **BOOKED)]
    assert judged(theirs, ours, rules()) == expected


def test_a_wrong_rate_on_the_statement_makes_a_variance_of_what_rounding_would_explain() -> None:
    wrong = [line(1, 18_545, "A1B2", **(CONVERTED | {"fx_rate": "0.9172450"}))]
    assert judged(wrong, [entry(1, 18_544, "A1B2", **BOOKED)], rules()) == "fx_variance 1"


@pytest.mark.parametrize(
    ("booked_minor", "fee_minor", "expected"),
    [
        (18_545, -300, "net_of_fee"),
        (18_544, -300, "converted"),
        (18_545, -299, "fee_variance -1"),
        (18_540, -300, "fx_variance 5"),
    ],
)
def test_fee_and_conversion_of_one_line_are_told_apart(
    booked_minor: int, fee_minor: int, expected: str
) -> None:
    theirs = [line(1, 18_245, "A1B2", fee_minor=300, **CONVERTED)]
    ours = [entry(1, booked_minor, "A1B2", **BOOKED), entry(1, fee_minor, "A1B2", line_no=2, kind="fee")]
    assert judged(theirs, ours, rules()) == expected


@pytest.mark.parametrize("kept_minor", [198, 199, 200, 201, 202, 298, 299, 300, 301, 302])
@pytest.mark.parametrize("sold_on", [date(2025, 3, 2), date(2025, 3, 3)])
def test_on_the_day_of_change_a_fee_is_matched_by_the_version_of_the_sale_alone(
    kept_minor: int, sold_on: date
) -> None:
    """2 % up to the second of March, 3 % from the third on, a minor unit of tolerance; reported on the fourth."""
    fees = [
        {"asset": "EUR", "kind": "charge", "rate_ppm": rate, "fixed_minor": 0, "from_date": first}
        for first, rate in (("2020-01-01", 20_000), ("2025-03-03", 30_000))
    ]
    due_minor = 300 if sold_on.day == 3 else 200
    theirs = [line(1, 10_000 - kept_minor, "ch_1", fee_minor=kept_minor, kind="charge")]
    ours = [entry(1, 10_000, "ch_1", kind="charge", business_date=sold_on)]
    is_due = abs(kept_minor - due_minor) <= 1
    assert judged(theirs, ours, rules(fees=fees)) == (
        "net_of_fee" if is_due else f"fee_variance {-kept_minor}"
    )
