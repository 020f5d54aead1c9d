"""Whether what was called timing cleared: counts by hand, a slow count, and the traps of the measure."""

import random
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.classification import TIMING_ITEM_SCHEMA, TimingQuality, timing_quality

DUE, TODAY = date(2025, 3, 6), date(2025, 3, 10)
Row = dict[str, Any]


def item(first_class: str = "timing", cleared_on: date | None = DUE, count: int = 1, **changes: Any) -> Row:
    standard: Row = {"is_waiting": False, "due_on": DUE}
    return {"first_class": first_class, "cleared_on": cleared_on, "item_count": count} | standard | changes


def measured(*rows: Row, as_of: date = TODAY) -> TimingQuality:
    return timing_quality(pa.Table.from_pylist(list(rows), TIMING_ITEM_SCHEMA), as_of=as_of)


def test_the_example_of_the_module_holds() -> None:
    found = measured(item(count=196), item(cleared_on=None, count=3), item(cleared_on=None, is_waiting=True))
    assert (found.timing_count, found.judged_count, found.waiting_count) == (200, 199, 1)
    assert found.precision_ppm == 984_925
    assert found.recall_ppm == 1_000_000


@pytest.mark.parametrize(
    ("row", "precision_ppm", "recall_ppm"),
    [
        (item(), 1_000_000, 1_000_000),
        (item(cleared_on=DUE - timedelta(days=1)), 1_000_000, 1_000_000),
        (item(cleared_on=DUE + timedelta(days=1)), 0, None),  # it came, but late
        (item(cleared_on=None), 0, None),
        (item("genuine"), None, 0),  # called genuine, and it cleared by itself in time
        (item("review"), None, 0),
        (item("genuine", cleared_on=None), None, None),
        (item(cleared_on=None, due_on=TODAY), None, None),  # its day is not over
        (item(cleared_on=TODAY, due_on=TODAY), None, 1_000_000),
        (item(due_on=None), None, None),
        (item("genuine", cleared_on=None, is_waiting=True), None, None),
    ],
)
def test_each_fate_of_an_item_counts_as_it_should(
    row: Row, precision_ppm: int | None, recall_ppm: int | None
) -> None:
    found = measured(row)
    assert (found.precision_ppm, found.recall_ppm) == (precision_ppm, recall_ppm)


def test_a_label_that_calls_everything_timing_pays_with_its_precision_and_one_that_never_does_with_its_recall() -> (
    None
):
    fates = (DUE, DUE, DUE, None)
    generous = measured(*[item("timing", cleared_on=fate) for fate in fates])
    mean = measured(*[item("genuine", cleared_on=fate) for fate in fates])
    assert (generous.precision_ppm, generous.recall_ppm) == (750_000, 1_000_000)
    assert (mean.precision_ppm, mean.recall_ppm) == (None, 0)


def test_without_items_there_is_no_share_and_not_a_full_one() -> None:
    assert (measured().precision_ppm, measured().recall_ppm) == (None, None)


DATES = st.one_of(st.none(), st.dates(date(2025, 3, 1), date(2025, 3, 14)))
ROWS = st.lists(
    st.builds(
        item,
        st.sampled_from(["timing", "genuine", "review"]),
        DATES,
        st.integers(1, 5),
        due_on=DATES,
        is_waiting=st.booleans(),
    ),
    max_size=12,
)


@given(rows=ROWS, as_of=st.dates(date(2025, 3, 1), date(2025, 3, 14)), seed=st.integers(0, 99))
def test_the_measure_is_a_slow_count_of_items_in_any_order(rows: list[Row], as_of: date, seed: int) -> None:
    each = [row for row in rows for _ in range(row["item_count"])]
    timing = [row for row in each if row["first_class"] == "timing"]
    judged = [row for row in timing if row["due_on"] and row["due_on"] < as_of and not row["is_waiting"]]
    cleared = [
        row for row in each if row["due_on"] and row["cleared_on"] and row["cleared_on"] <= row["due_on"]
    ]
    found = measured(*rows, as_of=as_of)
    assert found == measured(*random.Random(seed).sample(rows, len(rows)), as_of=as_of)
    assert found == measured(*[row | {"item_count": 1} for row in each], as_of=as_of)
    assert found.timing_count == len(timing) == found.judged_count + found.not_due_count + found.waiting_count
    assert (found.judged_count, found.self_cleared_count) == (len(judged), len(cleared))
    assert found.cleared_in_time_count == sum(any(row is one for one in cleared) for row in judged)
    assert found.self_cleared_timing_count == sum(row["first_class"] == "timing" for row in cleared)
