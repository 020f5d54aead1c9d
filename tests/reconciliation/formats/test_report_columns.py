"""Columns at a time and fields one by one say the same; a refusal names the row."""

import io
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger_core.money import exponent_of
from reconciliation.errors import RefusedFile
from reconciliation.formats.delimited_rows import DelimitedRows
from reconciliation.formats.report_columns import (
    ReportColumns,
    bounded,
    columns_named,
    fees_included,
    masked_texts,
    other_references,
    sums_by,
)
from reconciliation.formats.values import fees_json, minor_of, other_refs_json
from tests.reconciliation.formats.camt_builder import OPTIONS

ASSETS = st.sampled_from(["EUR", "JPY", "KWD", "CLF"])
AMOUNTS = st.from_regex(r"-?[0-9]{1,17}(\.[0-9]{1,6})?", fullmatch=True) | st.sampled_from(
    ["", "1E3", ".5", "9" * 50]
)


def columns(*rows: str, header: str = "a,b") -> ReportColumns:
    table = DelimitedRows(io.BytesIO("\n".join((header, *rows, "")).encode()))
    names = table.header()
    named = columns_named(names, required=(), remedy="Run it again.")
    return ReportColumns(next(table.batches(len(names))), named)


@given(st.lists(st.tuples(AMOUNTS, ASSETS), min_size=1, max_size=5))
def test_amounts_of_a_column_are_those_of_the_grammar(rows: list[tuple[str, str]]) -> None:
    table = columns(*(f"{amount},{asset}" for amount, asset in rows))
    try:
        expected = [minor_of(amount, asset, "x") for amount, asset in rows]
    except RefusedFile as wrong:
        with pytest.raises(RefusedFile) as caught:
            table.minors("a", table.assets("b"))
        assert (caught.value.code, caught.value.expected) == (wrong.code, wrong.expected)  # noqa: PT017
    else:
        assert table.minors("a", table.assets("b")).tolist() == expected


@given(st.lists(st.tuples(st.integers(-(10**13), 10**13), ASSETS), min_size=1, max_size=5))
def test_plain_amounts_are_exact(rows: list[tuple[int, str]]) -> None:
    table = columns(*(f"{amount},{asset}" for amount, asset in rows))
    found = table.minors("a", table.assets("b")).tolist()
    assert found == [amount * 10 ** exponent_of(asset) for amount, asset in rows]


def test_amounts_may_be_blank_or_begin_with_their_mark_where_the_report_does_so() -> None:
    table = columns(".91,x", ",x", "-.5,x")
    assert table.minors("a", ["EUR"] * 3, blank_is_zero=True).tolist() == [91, 0, -50]
    assert table.minors("c", ["EUR"] * 3, blank_is_zero=True).tolist() == [0, 0, 0]
    with pytest.raises(RefusedFile, match="row 2, a"):
        table.minors("a", ["EUR"] * 3)
    with pytest.raises(RefusedFile, match="row 3, a: expected at most"):
        bounded(columns("1,x", f"{2**60},x").minors("a", ["JPY", "JPY"]), columns("1,x", f"{2**60},x"), "a")


TIMES = st.sampled_from(
    [
        "",
        "2026-11-16",
        "2026-11-16 10:11",
        "2026-11-16T10:11:12.123456",
        "2026-03-29 02:30:00",
        "2026-11-16 10:11:12Z",
    ]
)


@given(st.lists(TIMES, min_size=1, max_size=4))
def test_days_and_instants_do_not_depend_on_their_neighbours(texts: list[str]) -> None:
    table = columns(*(f"{text},x" for text in texts))
    zone = ZoneInfo("Europe/Berlin")
    alone = [columns(f"{text},x") for text in texts]
    assert table.days("a").to_pylist() == [one.days("a")[0].as_py() for one in alone]
    assert table.instants("a", zone).to_pylist() == [one.instants("a", zone)[0].as_py() for one in alone]


def test_a_local_time_is_read_in_its_zone_and_the_first_of_two_is_meant() -> None:
    table = columns(
        "2026-11-16 10:00:00,x", "2026-10-25 02:30:00,x", "2026-11-16T10:00:00+02:00,x", "2026-11-16,x"
    )
    assert table.instants("a", ZoneInfo("Europe/Berlin")).to_pylist() == [
        datetime(2026, 11, 16, 9, tzinfo=UTC),
        datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
        datetime(2026, 11, 16, 8, tzinfo=UTC),
        None,
    ]
    assert table.days("a").to_pylist()[1] == date(2026, 10, 25)


@pytest.mark.parametrize(
    "text", ["2026-02-30", "16.11.2026", "2026-11-16 25:00:00", "2026-11-1", "x", "٢٠٢٦-11-16"]
)
def test_what_is_no_date_is_refused_with_its_row(text: str) -> None:
    with pytest.raises(RefusedFile) as caught:
        columns("2026-11-16,x", f"{text},x").instants("a", UTC)
    assert (caught.value.code, caught.value.place) == ("date", "row 3, a")


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(-(2**63) + 1, 2**63 - 1)), max_size=6))
def test_sums_are_exact_whatever_their_size(rows: list[tuple[int, int]]) -> None:
    groups = np.array([group for group, _ in rows], dtype=np.int64)
    minors = np.array([minor for _, minor in rows], dtype=np.int64)
    expected = [sum(minor for group, minor in rows if group == place) for place in range(3)]
    assert sums_by(groups, minors, 3) == expected


@given(st.text(max_size=5), st.text(max_size=5), st.integers(-5, 5))
def test_fees_and_references_are_written_as_everywhere(invoice: str, customer: str, fee: int) -> None:
    found = other_references(invoice=[invoice, None], customer=[customer, None])
    assert found == [other_refs_json(invoice=invoice, customer=customer), None]
    assert fees_included(["EUR"], tax=[fee]) == [fees_json([("tax", fee, "EUR", True)] if fee else [])]
    with pytest.raises(KeyError):
        other_references(order=["x"])
    with pytest.raises(KeyError):
        fees_included(["EUR"], toll=[1])


def test_only_card_numbers_are_masked() -> None:
    texts = ["card 4111111111111111", "plain", None, "", "order 12", "card 4111111111111111"]
    masked = "card 411111******1111"
    assert masked_texts(texts, OPTIONS.card_tokens) == [masked, "plain", None, None, "order 12", masked]
    assert masked_texts(None, OPTIONS.card_tokens) is None


def test_columns_are_found_by_name_once_each() -> None:
    with pytest.raises(RefusedFile, match="none called c"):
        columns_named(["a", "b"], required=("a", "c"), remedy="Run it again.")
    with pytest.raises(RefusedFile, match="a twice"):
        columns_named(["a", "a"], required=(), remedy="Run it again.")
