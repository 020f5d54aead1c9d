"""The dashboard: every number is the list that it opens, whatever is open and whatever is filtered."""

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import psycopg
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse

from reconciliation.review.dashboard import Dashboard, Figure, read_dashboard
from reconciliation.review.filters import OPEN_STATUSES, Filter
from reconciliation.review.listing import count_and_sum, read_page
from reconciliation.review.web import Page, Visit
from reconciliation.vocabulary import EXCEPTION_CLASSES, EXCEPTION_KINDS, SEVERITIES
from tests.reconciliation.daily.desk import MONDAY, SOURCES, TUESDAY, Desk, movement
from tests.reconciliation.review.app_on_desk import NOW, app_on_desk

TODAY = NOW.date()
INSERT = """
    INSERT INTO recon.exception (exception_key, source_id, opened_on, as_of, item_date, class, kind, severity, status,
        side, asset, amount_minor, difference_minor, age_business_days, assignee, sla_due_on, cleared_on, factors)
    VALUES (%(key)s, %(source)s, %(opened_on)s, %(opened_on)s, %(opened_on)s, %(class)s, %(kind)s, %(severity)s,
        %(status)s, 'external', %(asset)s, %(amount_minor)s, %(difference_minor)s, %(age)s, %(assignee)s, %(due)s,
        %(cleared_on)s, '{}')
"""
ROWS_PER_WORLD = 150
CHOICES: dict[str, list[Any]] = {
    "source": ["bank", "stripe"],
    "class": sorted(EXCEPTION_CLASSES),
    "kind": ["missing_file", *sorted(EXCEPTION_KINDS)],
    "severity": list(SEVERITIES),
    "status": [*OPEN_STATUSES, "cleared"],
    "asset": ["EUR", "JPY", "KWD", None],
    "amount_minor": [0, 1, -1, 37, -5000, 2**62, -(2**62)],
    "difference_minor": [0, 2, -3, 2**62],
    "age": [0, 1, 2, 3, 6, 7, 29, 30, 31, 400],
    "assignee": [None, "ada", "kim"],
    "due": [None, *(TODAY + timedelta(days=days) for days in (-3, -1, 0, 1))],
}
"""What a world's exceptions are drawn from: every bound of a band and every day around today among it."""
BASES = st.builds(
    Filter,
    source=st.sampled_from([(), ("bank",), ("stripe",), ("bank", "stripe")]),
    asset=st.sampled_from([(), ("EUR",), ("JPY",), ("EUR", "KWD")]),
)


def insert_world(connection: psycopg.Connection[Any], seed: int) -> None:
    """Write exceptions as the engine would, each as old as it says."""
    dice = random.Random(seed)
    rows = [{name: dice.choice(values) for name, values in CHOICES.items()} for _ in range(ROWS_PER_WORLD)]
    for number, row in enumerate(rows):
        row["key"] = f"k{number}"
        row["opened_on"] = TODAY - timedelta(days=row["age"])
        row["severity"] = "info" if row["class"] == "timing" else row["severity"]
        row["cleared_on"] = TODAY if row["status"] == "cleared" else None
    connection.execute("SET ROLE tieout_matcher")
    connection.cursor().executemany(INSERT, rows)
    connection.execute("SET ROLE tieout_auditor")


def figures(board: Dashboard) -> Iterator[Figure]:
    """Every figure that the page shows."""
    yield from (board.everything, board.at_risk, board.late, board.unassigned, board.waiting, board.missing)
    yield board.oldest
    for lines in board.breakdowns.values():
        yield from (line.figure for line in lines)
    for state in board.sources:
        yield from (state.figure, state.at_risk, state.missing)


def test_every_number_is_the_count_and_the_sums_of_the_list_it_opens(desk: Desk) -> None:
    @given(st.integers(0, 2**32), BASES)
    @settings(max_examples=12)
    def holds(seed: int, base: Filter) -> None:
        with psycopg.connect(desk.url) as connection:
            insert_world(connection, seed)
            board = read_dashboard(connection, SOURCES.sources, base, today=TODAY)
            for figure in figures(board):
                listed = Filter.from_query(
                    urlsplit(figure.path).query
                )  # the address itself, as a browser sends it
                totals = count_and_sum(connection, listed, today=TODAY)
                sums = {total.asset: total.value_minor for total in totals.by_asset if total.asset}
                assert (figure.item_count, figure.sums) == (totals.count, sums), figure.path
                for asset, amount_minor in figure.sums.items():
                    (of_asset,) = count_and_sum(connection, listed.but(asset=(asset,)), today=TODAY).by_asset
                    assert of_asset.value_minor == amount_minor
            oldest = read_page(connection, board.oldest.filter, today=TODAY).rows[:1]
            assert [row.age_days for row in oldest] == ([board.oldest.age_max] if oldest else [])
            for code in ("class", "severity", "age", "status", "kind"):
                assert (
                    sum(line.figure.item_count for line in board.breakdowns[code])
                    == board.everything.item_count
                )
            connection.rollback()

    holds()


def test_the_page_tells_what_is_open_and_how_far_each_source_is(desk: Desk) -> None:
    desk.statement(MONDAY, movement("P-1", 5_00), movement("P-2", -3_00))
    desk.post("e1", MONDAY, 5_00, ref_end_to_end="P-1")
    desk.run(MONDAY)
    desk.run(TUESDAY)
    desk.enrol("vera", "viewer")
    with app_on_desk(desk) as app:
        browser = app.browser("vera")
        page = browser.get("/")
        assert page.status_code == 200
        assert 'href="/statements/bank/2026-11-10">2026-11-10</a>' in page.text
        assert "<title>Matched without people at bank</title>" in page.text
        assert "style=" not in page.text
        assert browser.get("/?source=bank&asset=EUR").status_code == 200
        refused = browser.get("/?source=bank&sauce=x")
        assert refused.status_code == 400
        assert "did you mean source?" in refused.text
        assert app.client.get("/", follow_redirects=False).status_code == 303


def test_a_steady_page_sees_one_moment_however_long_it_takes(desk: Desk) -> None:
    desk.enrol("vera", "viewer")
    count = "SELECT count(*) FROM recon.person"

    def twice(visit: Visit) -> PlainTextResponse:
        before = visit.connection.execute(count).fetchone()
        desk.enrol(f"new{visit.request.url.path[1:]}")
        after = visit.connection.execute(count).fetchone()
        return PlainTextResponse("same" if before == after else "moved")

    pages = [
        Page(path="/steady", handler=twice, deed="look", steady=True),
        Page(path="/moving", handler=twice, deed="look"),
    ]
    with app_on_desk(desk, pages=pages) as app:
        browser = app.browser("vera")
        assert [browser.get("/steady").text, browser.get("/moving").text] == ["same", "moved"]
