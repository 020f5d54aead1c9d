"""The list over 20,000 rows: each row once, in its order, by any filter; sums that equal the rows; plans by index."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from psycopg.rows import dict_row

from ledger_core.money import ISO_4217_EXPONENTS
from reconciliation.review.conditions import AGES
from reconciliation.review.filters import CLOSED_STATUSES, ORDERS, Filter, FilterProblem
from reconciliation.review.listing import Totals, count_and_sum, read_page
from tests.reconciliation.daily.desk import MONDAY, Desk
from tests.reconciliation.review.crowd import fill
from tests.reconciliation.review.test_filters import addresses

ROWS = 20_000
TODAY = MONDAY
ME = "ada"
RANKS = {"critical": 4, "high": 3, "medium": 2, "low": 1, "info": 0}
Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Crowd:
    """A connection of the auditor's role, and all rows as plain records."""

    connection: psycopg.Connection[Any]
    records: list[Record]


@pytest.fixture(scope="module")
def crowd(make_database: Callable[..., AbstractContextManager[str]], template: str) -> Iterator[Crowd]:
    """20,000 exceptions on a database of this module's own."""
    with make_database(template) as url:
        desk = Desk(url)
        fill(desk, rows=ROWS)
        with desk.session("tieout_auditor") as connection:
            rows = connection.cursor(row_factory=dict_row).execute("SELECT e.* FROM recon.exception AS e")
            yield Crowd(connection, rows.fetchall())


def expected(crowd: Crowd, filter_: Filter) -> list[Record]:
    """The rows of a filter by a plain reading of it, in its order."""
    return sorted((row for row in crowd.records if fits(row, filter_)), key=KEYS[filter_.order])


KEYS: dict[str, Callable[[Record], Any]] = {
    "worst": lambda row: (-RANKS[row["severity"]], -value(row), row["exception_id"]),
    "value": lambda row: (-value(row), row["exception_id"]),
    "due": lambda row: (row["sla_due_on"] or date.max, row["exception_id"]),
    "age": lambda row: (row["opened_on"], row["exception_id"]),
    "newest": lambda row: -row["exception_id"],
    "cleared": lambda row: (-row["cleared_on"].toordinal(), row["exception_id"]),
}


def value(row: Record) -> int:
    """What a row is about, without its sign."""
    return abs(row["amount_minor"] or row["difference_minor"])


def fits(row: Record, wanted: Filter) -> bool:
    """Whether a row is in a list, told once more and without SQL."""
    is_open = row["cleared_on"] is None
    statuses = {"open": is_open, "closed": not is_open, "any": True}
    among = (
        (wanted.source, row["source_id"]),
        (wanted.severity, row["severity"]),
        (wanted.asset, row["asset"]),
        (wanted.kind, row["kind"]),
        (wanted.class_, row["class"]),
        (() if wanted.status == ("any",) else wanted.status, row["status"]),
    )
    people = (
        (wanted.owner.replace("me", ME) if wanted.owner == "me" else wanted.owner, row["assignee"]),
        (wanted.team, row["team"]),
    )
    return (
        statuses[wanted.looks_at]
        and all(not chosen or found in chosen for chosen, found in among)
        and all(not who or found == (None if who == "nobody" else who) for who, found in people)
        and amount_fits(row, wanted)
        and days_fit(row, wanted)
        and (not wanted.suggested or (row["best_group"] is not None) == (wanted.suggested == "yes"))
        and (row["reference"] or "").startswith(wanted.reference)
        and text_fits(row, wanted.q)
    )


def amount_fits(row: Record, wanted: Filter) -> bool:
    """Amounts in whole units of the row's asset."""
    whole = Decimal(value(row)).scaleb(-ISO_4217_EXPONENTS.get(row["asset"], 0))
    from_ = Decimal(wanted.amount_from or 0)
    return from_ <= whole and (not wanted.amount_to or whole <= Decimal(wanted.amount_to))


def days_fit(row: Record, wanted: Filter) -> bool:
    """Age, due day, days of value, opening and clearing, and snoozing."""
    first, beyond = AGES[wanted.age] if wanted.age else (0, None)
    due_on, until = row["sla_due_on"], row["snoozed_until"]
    due = {
        "": True,
        "none": due_on is None,
        "late": due_on is not None and due_on < TODAY,
        "today": due_on == TODAY,
        "week": due_on is not None and TODAY <= due_on < TODAY + timedelta(days=7),
    }
    is_snoozed = until is not None and until > TODAY
    return (
        first <= row["age_business_days"] < (beyond or 10**9)
        and (due[wanted.due] if wanted.due in due else within(due_on, wanted.due))
        and within(row["item_date"], wanted.dated)
        and within(row["opened_on"], wanted.opened)
        and (not wanted.snoozed or is_snoozed == (wanted.snoozed == "yes"))
    )


def within(day: date | None, span: str) -> bool:
    """Whether a day is one of a span's."""
    if not span:
        return True
    first, dots, last = span.partition("..")
    return day is not None and (first or "0000-01-01") <= day.isoformat() <= (
        (last or "9999-12-31") if dots else first
    )


def text_fits(row: Record, q: str) -> bool:
    """Whether a search finds a row."""
    texts = [(row[name] or "").lower() for name in ("reference", "counterparty")]
    return (
        not q or any(q.lower() in text for text in texts) or q in (row["line_key"], str(row["exception_id"]))
    )


def walked(crowd: Crowd, filter_: Filter, limit: int) -> list[int]:
    """Numbers of all rows, page after page; on the way each page is also reached from behind."""
    found: list[int] = []
    after, pages = "", 0
    while True:
        page = read_page(crowd.connection, filter_, today=TODAY, me=ME, after=after, limit=limit)
        found += [row.exception_id for row in page.rows]
        if page.before and pages % 5 == 1:
            back = read_page(crowd.connection, filter_, today=TODAY, me=ME, before=page.before, limit=limit)
            assert [row.exception_id for row in back.rows] == found[-len(page.rows) - limit :][:limit]
        if page.after is None:
            return found
        after, pages = page.after, pages + 1


def sums(records: list[Record]) -> dict[str | None, tuple[int, int, int]]:
    """Count, signed sum and sum by value, by asset."""
    found: dict[str | None, list[int]] = defaultdict(lambda: [0, 0, 0])
    for row in records:
        for place, part in enumerate((1, row["amount_minor"], value(row))):
            found[row["asset"]][place] += part
    return {asset: (count, signed, by_value) for asset, (count, signed, by_value) in found.items()}


def told(totals: Totals) -> dict[str | None, tuple[int, int, int]]:
    """The same of what the list says."""
    return {total.asset: (total.count, total.amount_minor, total.value_minor) for total in totals.by_asset}


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(filter_=addresses())
def test_walking_any_list_gives_each_row_once_and_its_sums_are_theirs(crowd: Crowd, filter_: Filter) -> None:
    rows = expected(crowd, filter_)
    limit = max(7, len(rows) // 6)
    assert walked(crowd, filter_, limit) == [row["exception_id"] for row in rows]
    assert told(count_and_sum(crowd.connection, filter_, today=TODAY, me=ME)) == sums(rows)


@pytest.mark.parametrize(
    ("status", "order"), [(status, order) for status, orders in ORDERS.items() for order in orders]
)
def test_every_order_is_walked_through_its_ties(crowd: Crowd, status: str, order: str) -> None:
    statuses = {"open": (), "closed": CLOSED_STATUSES, "any": ("any",)}
    filter_ = Filter(status=statuses[status], source=("stripe",), sort=order)
    assert walked(crowd, filter_, 30) == [row["exception_id"] for row in expected(crowd, filter_)]


def test_all_that_is_open_is_walked_fifty_by_fifty(crowd: Crowd) -> None:
    assert walked(crowd, Filter(), 50) == [row["exception_id"] for row in expected(crowd, Filter())]


def test_a_page_of_fifty_goes_forth_and_back_to_the_same_rows(crowd: Crowd) -> None:
    first = read_page(crowd.connection, Filter(), today=TODAY)
    second = read_page(crowd.connection, Filter(), today=TODAY, after=first.after or "")
    third = read_page(crowd.connection, Filter(), today=TODAY, after=second.after or "")
    assert first.before is None
    assert len(second.rows) == 50
    assert read_page(crowd.connection, Filter(), today=TODAY, before=third.before or "").rows == second.rows
    again = read_page(crowd.connection, Filter(), today=TODAY, before=second.before or "")
    assert again.rows == first.rows
    assert (
        read_page(crowd.connection, Filter(), today=TODAY, before=first.after or "") == first
    )  # not full: the first


@pytest.mark.parametrize(
    "place",
    [
        "1",
        "5_1_1",
        "4_-1_1",
        "4_1_1_1",
        "4_1_x",
        "4_1_0x1",
        "4_9223372036854775808_1",
        "4_1_" + "9" * 5000,
        "١_1_1",
        "4_1_1'",
        " 4_1_1",
    ],
)
def test_a_place_that_is_none_is_refused(crowd: Crowd, place: str) -> None:
    with pytest.raises(FilterProblem, match="after"):
        read_page(crowd.connection, Filter(), today=TODAY, after=place)
    with pytest.raises(FilterProblem, match="before"):
        read_page(crowd.connection, Filter(), today=TODAY, after="4_1_1", before="4_1_1")


class Recording(psycopg.Cursor[Any]):
    """Keeps what was asked, to ask how it would be done."""

    asked: list[tuple[bytes, Any]] = []  # noqa: RUF012 - one test at a time reads and empties it

    def execute(self, query: Any, params: Any = None, **more: Any) -> Any:
        """Ask and remember."""
        self.asked.append((query, params))
        return super().execute(query, params, **more)


def plans(crowd: Crowd, filter_: Filter, **place: str) -> list[dict[str, Any]]:
    """The steps of the plans of a page."""
    connection = crowd.connection
    Recording.asked.clear()
    connection.cursor_factory = Recording
    try:
        read_page(connection, filter_, today=TODAY, me=ME, **place)
    finally:
        connection.cursor_factory = psycopg.Cursor
    steps = []
    for query, params in Recording.asked:
        row = connection.execute(b"EXPLAIN (FORMAT JSON) " + query, params, prepare=False).fetchone()
        assert row is not None
        waiting = [row[0][0]["Plan"]]
        while waiting:
            steps.append(step := waiting.pop())
            waiting += step.get("Plans", [])
    return steps


FILTERED = [
    Filter(),
    Filter(source=("bank",)),
    Filter(status=("taken",)),
    Filter(owner="me"),
    Filter(owner="nobody"),
    Filter(team="disputes"),
    Filter(severity=("high", "low")),
    Filter(asset=("EUR",)),
    Filter(kind=("ambiguous",)),
    Filter(class_=("timing",)),
    Filter(amount_from="10"),
    Filter(asset=("EUR",), amount_from="10", amount_to="5000"),
    Filter(age="3-6"),
    Filter(due="late"),
    Filter(dated="2026-10-01.."),
    Filter(opened="2026-10-01.."),
    Filter(snoozed="no"),
    Filter(suggested="yes"),
    Filter(q="acme"),
]


@pytest.mark.parametrize("filter_", FILTERED, ids=lambda filter_: filter_.to_query() or "all open")
def test_no_plan_scans_or_sorts_the_table(crowd: Crowd, filter_: Filter) -> None:
    for order in ORDERS["open"]:
        sorted_ = filter_.but(sort=order)
        first = read_page(crowd.connection, sorted_, today=TODAY, me=ME)
        deep = read_page(crowd.connection, sorted_, today=TODAY, me=ME, after=first.after or "", limit=400)
        for place in ({}, {"after": deep.after or ""}, {"before": deep.after or ""}):
            steps = plans(crowd, sorted_, **place)
            kinds = {step["Node Type"] for step in steps}
            if not place:
                assert kinds == {"Limit", "Index Scan"}, order
            # Rows that are equal but for their number may be sorted: a range of an index, and few.
            assert kinds <= {"Limit", "Index Scan", "Bitmap Heap Scan", "Bitmap Index Scan", "Sort"}
            assert all(step["Plan Rows"] < ROWS / 100 for step in steps if step["Node Type"] == "Sort")


def test_closed_rows_and_beginnings_of_references_come_by_index(crowd: Crowd) -> None:
    for filter_ in (
        Filter(status=CLOSED_STATUSES),
        Filter(status=("resolved",), sort="newest"),
        Filter(status=("any",)),
    ):
        assert {step["Node Type"] for step in plans(crowd, filter_)} == {"Limit", "Index Scan"}
    named = plans(crowd, Filter(reference="E2E_1234"))
    assert any(step.get("Index Name") == "exception_by_reference" for step in named)
    assert "Seq Scan" not in {step["Node Type"] for step in named}


def test_a_scan_of_the_table_would_be_noticed(crowd: Crowd) -> None:
    connection = crowd.connection
    with connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL enable_indexscan = off")
        connection.execute("SET LOCAL enable_bitmapscan = off")
        assert {"Seq Scan", "Sort"} <= {step["Node Type"] for step in plans(crowd, Filter())}
