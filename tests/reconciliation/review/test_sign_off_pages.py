"""Signing a day in the app: by two people, over the books that were shown, and never silently changed afterwards."""

import re
from typing import Any

from tests.reconciliation.daily.desk import MONDAY, TUESDAY, Desk, movement
from tests.reconciliation.review.app_on_desk import Browser, app_on_desk

DAY = f"/sign-off/bank/{MONDAY}"


def digest_on(page: Any) -> str:
    """The digest that a form of the page sends along."""
    found = re.search(r'name="books_sha256" value="([0-9a-f]{64})"', page.text)
    assert found, page.text
    return found.group(1)


def number_on(page: Any) -> str:
    """The number of the sign-off that the page asks to review."""
    found = re.search(r'action="/sign-off/(\d+)/review"', page.text)
    assert found, page.text
    return found.group(1)


def prepare(browser: Browser) -> Any:
    """What somebody gets who puts the day before a reviewer as they see it."""
    return browser.post(DAY, books_sha256=digest_on(browser.get(DAY)), note="looks right")


def test_a_day_is_signed_by_two_people_and_a_later_change_is_told(desk: Desk) -> None:
    desk.post("e1", MONDAY, 5_00, ref_end_to_end="P-1")
    desk.statement(MONDAY, movement("P-1", 5_00))
    desk.run(MONDAY)
    desk.enrol("ada")
    desk.enrol("ada2", "controller", same_as="ada")
    desk.enrol("kim", "controller")
    desk.enrol("vera", "viewer")
    with app_on_desk(desk) as app:
        ada, twin, kim, vera = (app.browser(login) for login in ("ada", "ada2", "kim", "vera"))
        assert "It takes the role" in vera.get(DAY).text
        assert vera.post(DAY, books_sha256="").status_code == 403
        shown = digest_on(ada.get(DAY))
        stale = ada.post(DAY, books_sha256="0" * 64)
        assert stale.status_code == 409
        assert shown[:16] in stale.text
        assert "Nobody has signed this day yet" in ada.get(DAY).text  # the refused one left nothing

        assert prepare(ada).status_code == 303
        waiting = kim.get(DAY)
        number = number_on(waiting)
        assert "looks right" in waiting.text
        for own in (ada, twin):
            assert "You prepared it" in own.get(DAY).text
            assert own.post(f"/sign-off/{number}/review", verdict="signed").status_code == 403
        assert kim.post(f"/sign-off/{number}/review", verdict="refused").status_code == 400  # why?
        assert kim.post(f"/sign-off/{number}/review", verdict="perhaps").status_code == 400
        assert kim.post("/sign-off/999/review", verdict="signed").status_code == 404
        assert kim.post(f"/sign-off/{number}/review", verdict="signed").status_code == 303
        signed = vera.get(DAY).text
        assert "The books are the same as they were then" in signed
        assert 'class="state signed">signed' in vera.get("/statements?source=bank").text

        desk.statement(MONDAY, movement("P-1", 5_00), movement("P-9", 1_00), version="b")
        desk.run(TUESDAY)
        changed = kim.get(DAY).text
        assert "Changed since sign-off" in changed
        assert "external N-P-9 (1.00 EUR)" in changed
        assert "changed since sign-off" in vera.get("/statements?source=bank").text
        as_signed = f"/statements/bank/{MONDAY}?known_at=sign-off:{number}"
        assert f'href="{as_signed}"' in changed
        assert shown in vera.get(as_signed).text


def test_what_stands_against_a_day_is_said_with_what_to_do_and_where(desk: Desk) -> None:
    desk.statement(TUESDAY, movement("P-1", 5_00))
    desk.enrol("kim", "controller")
    with app_on_desk(desk) as app:
        kim = app.browser("kim")
        page = kim.get(DAY)
        assert page.status_code == 200
        assert f"bank is not reconciled to {MONDAY}" in page.text
        assert "http://127.0.0.1:3000/assets/bank/bank_exceptions" in page.text
        assert "Not yet: see what stands against it" in page.text
        assert "The day was not proved" in kim.get(f"/statements/bank/{MONDAY}").text
        desk.run(MONDAY)
        desk.run(TUESDAY)
        page = kim.get(DAY)
        assert f"/exceptions?source=bank&amp;kind=missing_file&amp;dated={MONDAY}" in page.text
        refused = kim.post(DAY, books_sha256="0" * 64)
        assert refused.status_code == 422
        assert "no file" in refused.text
