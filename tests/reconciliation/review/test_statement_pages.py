"""Statements in the app: the calendar counts as the dashboard does, a day is shown as evidence tells it, for ever."""

import csv
import io
import json
import re
from datetime import date, timedelta

from reconciliation.evidence.statement import day_statement
from reconciliation.review.days import GROUPS, STATES, DayState, Window, count_states, default_window
from tests.reconciliation.daily.desk import MONDAY, SOURCES, TUESDAY, WEDNESDAY, Desk, movement
from tests.reconciliation.review.app_on_desk import app_on_desk


def test_a_statement_is_shown_as_evidence_tells_it_and_old_knowledge_shows_the_old_books(desk: Desk) -> None:
    desk.post("e1", MONDAY, 5_00, ref_end_to_end="P-1")
    desk.statement(MONDAY, movement("P-1", 5_00), movement("<b>P-2", -3_00, native_id="N-2"))
    desk.run(MONDAY)
    desk.enrol("vera", "viewer")
    desk.enrol("otto", "auditor")
    with app_on_desk(desk) as app:
        vera, otto = app.browser("vera"), app.browser("otto")
        page = vera.get(f"/statements/bank/{MONDAY}")
        with desk.session("tieout_auditor") as connection:
            made = day_statement(connection, SOURCES["bank"], MONDAY)
        assert page.status_code == 200
        assert made.books_sha256 in page.text
        assert "&lt;b&gt;P-2" in page.text
        assert "<b>P-2" not in page.text
        assert "1,002.00" in page.text  # what the bank says at the end of the day
        assert "style=" not in page.text

        desk.post("e2", MONDAY, -3_00, ref_end_to_end="<b>P-2")
        desk.run(TUESDAY)
        then = otto.get(f"/statements/bank/{MONDAY}?known_at={made.known_at}&format=json")
        now = otto.get(f"/statements/bank/{MONDAY}?format=json")
        assert then.content == made.canonical_bytes()
        assert json.loads(now.content)["books"] != made.books
        assert then.headers["content-disposition"] == f'attachment; filename="statement_bank_{MONDAY}.json"'

        (as_after_the_run,) = re.findall(
            r'href="(/statements/bank/2026-11-09\?known_at=[^"]+)" title="the', page.text
        )
        assert made.books_sha256 in vera.get(as_after_the_run).text

        sheet = otto.get(f"/statements/bank/{MONDAY}?known_at={made.known_at}&format=csv")
        tables = {row["table"] for row in csv.DictReader(io.StringIO(sheet.text))}
        assert {"bridge", "open_items", "identities"} <= tables
        assert otto.get(f"/statements/bank/{MONDAY}?format=xlsx").content[:2] == b"PK"
        assert "<!doctype html>" in otto.get(f"/statements/bank/{MONDAY}?format=html").text

        wrong = {
            f"/statements/bank/{MONDAY}?format=pdf": 400,
            f"/statements/bank/{MONDAY}?known_at=yesterday": 404,
            "/statements/bank/2026-11-14": 404,  # a Saturday
            "/statements/bank/2026-02-30": 404,
            "/statements/nobody/2026-11-09": 404,
            "/statements?source=nobody": 404,
            "/statements?state=good": 400,
            "/statements?to=9999-99-99": 400,
            "/statements?to=0001-01-01": 400,
        }
        assert {path: vera.get(path).status_code for path in wrong} == wrong
        assert vera.get(f"/statements/bank/{MONDAY}?format=csv").status_code == 403


def test_the_calendar_lists_as_many_days_as_the_dashboard_counts(desk: Desk) -> None:
    desk.statement(MONDAY, movement("P-1", 5_00))
    desk.statement(WEDNESDAY, opening_minor=100_500)
    for day in (MONDAY, TUESDAY, WEDNESDAY):
        desk.run(day)
    desk.enrol("vera", "viewer")
    with app_on_desk(desk) as app:
        browser = app.browser("vera")
        board = browser.get("/").text
        links = re.findall(
            r'href="(/statements\?source=(?:bank|stripe)&amp;state=\w+&amp;to=[\d-]+)"[^>]*>(\d+)</a>', board
        )
        assert len(links) == len(SOURCES.sources) * len(GROUPS)
        for link, count in links:
            listed = browser.get(link.replace("&amp;", "&")).text
            assert listed.count("<tr data-row") == int(count), link
        assert browser.get("/statements").text.count('class="state file_missing"') >= 1


def test_every_day_has_one_state_and_is_counted_once() -> None:
    signed = DayState(
        source_id="bank", day=MONDAY, is_proved=True, tied_out=True, sign_off_id=1, signature="signed"
    )
    days = [
        signed,
        DayState(
            source_id="bank",
            day=MONDAY,
            is_proved=True,
            tied_out=True,
            signature="signed",
            changed=("lines came",),
        ),
        DayState(source_id="bank", day=MONDAY, is_proved=True, tied_out=True, missing_count=1),
        DayState(source_id="bank", day=MONDAY, is_proved=True),
        DayState(source_id="bank", day=MONDAY, is_proved=True, tied_out=True),
        DayState(source_id="bank", day=MONDAY, is_proved=True, tied_out=True, signature="prepared"),
        DayState(source_id="bank", day=MONDAY),
    ]
    assert [day.state for day in days] == [
        "signed", "changed", "file_missing", "not_tied_out", "to_sign", "prepared", "not_reconciled",
    ]  # fmt: skip
    assert count_states(days) == {"signed": 1, "changed": 1, "to_sign": 2, "blocked": 3}
    assert sorted(name for members in GROUPS.values() for name in members) == sorted(STATES)


def test_what_the_engine_matched_is_told_apart_from_what_people_decided() -> None:
    day = DayState(source_id="bank", day=MONDAY, line_count=200, matched_count=150, decided_count=2)
    assert day.matched_permille == 740
    assert DayState(source_id="bank", day=MONDAY).matched_permille is None


def test_the_window_is_five_weeks_that_hold_what_was_reconciled_last() -> None:
    window = Window.around(date(2026, 11, 25))
    assert (window.from_date, window.to_date) == (date(2026, 10, 26), date(2026, 11, 29))
    assert len(window.dates) == 35
    assert default_window([MONDAY], today=date(2026, 11, 25)) == window
    assert default_window([MONDAY], today=MONDAY + timedelta(days=90)) == Window.around(MONDAY)
    assert default_window([], today=MONDAY) == Window.around(MONDAY)
