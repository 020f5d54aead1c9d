"""A whole case without a mouse, from the login of one person to the signature of another, under the strict policy."""

import contextlib
import re
import time
from collections.abc import Iterator

from playwright.sync_api import Browser, Page, expect

from ledger_core.balance import balances
from tests.browser.chromium import person
from tests.browser.office import PASSWORD, WRITE_OFFS, BrowserOffice

DAY = "2026-11-09"
TABS_MAX = 60


@contextlib.contextmanager
def at_the_keyboard(office: BrowserOffice, chromium: Browser, login: str, path: str) -> Iterator[Page]:
    """Somebody who typed an address and logged in by keys alone; whatever they do with a mouse fails."""
    with person(chromium) as (page, _):
        page.goto(office.address + path)
        expect(page.locator("input[name=login]")).to_be_focused()
        page.keyboard.type(login)
        page.keyboard.press("Tab")
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url(office.address + path)
        yield page


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until what the selector finds has the focus, and can be seen to have it."""
    for _ in range(TABS_MAX):
        if page.evaluate("(it) => document.activeElement.matches(it)", selector):
            outline = page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none", f"{selector}: focus cannot be seen"
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{selector}: not reached by {TABS_MAX} tabs")


def open_by_keys(page: Page, reference: str) -> str:
    """Search for a reference and open the one row that there is; gives the address of the exception."""
    page.keyboard.press("/")
    page.keyboard.press("Control+a")
    page.keyboard.type(reference)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/exceptions?q={reference}")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/exceptions/*?q=*")
    return page.url.partition("?")[0]


def press_and_read(page: Page, key: str, words: str) -> None:
    """A key, and what the app said it did."""
    page.keyboard.press(key)
    expect(page.get_by_role("status").filter(has_text=words)).to_be_visible()


def judged_by_keys(page: Page, number: int) -> None:
    """Open a proposal that waits and approve it."""
    page.goto(page.url.split("/proposals")[0] + "/proposals")
    row = page.locator(f'tr[data-row][data-href="/proposals/{number}"]')
    while row.get_attribute("aria-current") is None:
        page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/proposals/{number}")
    page.keyboard.press("y")
    expect(page.locator(".chips")).to_contain_text("approved")


def test_a_case_goes_from_open_to_signed_by_keys_alone(office: BrowserOffice, chromium: Browser) -> None:
    with at_the_keyboard(office, chromium, "ada", "/exceptions") as ada:
        pair = open_by_keys(ada, "THEIRS-3")
        press_and_read(ada, "a", "Taken")
        ada.keyboard.press("1")  # the candidate, which nothing but its amount ties to the line
        ada.wait_for_url("**pick=*")
        expect(ada.locator(".difference")).to_contain_text("0.00")
        press_and_read(ada, "p", "waits for another person")

        ada.goto(office.address + "/exceptions")
        short = open_by_keys(ada, "INV-2")
        ada.keyboard.press("w")
        tab_to(ada, "#write-off-note")
        ada.keyboard.type("Less than the charge of asking for it.")
        tab_to(ada, "details[open] button")
        press_and_read(ada, "Enter", "waits for another person")

        ada.goto(office.address + "/proposals/2")
        expect(ada.get_by_text("You proposed this.")).to_be_visible()
        expect(ada.get_by_role("button", name="Approve")).to_have_count(0)
        refused = ada.request.post(
            office.address + "/proposals/2/approve",
            form={"csrf": ada.locator('input[name="csrf"]').first.get_attribute("value") or ""},
            headers={"Sec-Fetch-Site": "same-origin"},
        )
        assert refused.status == 403

    with at_the_keyboard(office, chromium, "ben", "/proposals") as ben:
        judged_by_keys(ben, 1)
        judged_by_keys(ben, 2)
        deadline = time.monotonic() + 60
        while "entry posted" not in ben.locator(".chips").inner_text():  # carried out behind the answer
            assert time.monotonic() < deadline
            ben.reload()
        for address in (short, pair):  # and the day reconciled with what was decided
            ben.goto(address)
            while ben.get_by_text(re.compile(r"Closed on .* by match")).count() == 0:
                assert time.monotonic() < deadline
                ben.reload()
    with office.desk.session("tieout_poster") as connection:
        (written_off,) = balances(connection, WRITE_OFFS)
        assert written_off.balance_minor == 37

    with at_the_keyboard(office, chromium, "ada", f"/sign-off/bank/{DAY}") as ada:
        ada.keyboard.press("c")
        ada.keyboard.type("One write-off.")
        ada.keyboard.press("Escape")
        ada.keyboard.press("p")
        expect(ada.get_by_text("You prepared it: another person signs.")).to_be_visible()
        expect(ada.get_by_role("button", name="Sign")).to_have_count(0)
    with at_the_keyboard(office, chromium, "cora", f"/sign-off/bank/{DAY}") as cora:
        cora.keyboard.press("y")
        expect(cora.get_by_role("heading", name="Signed", exact=True)).to_be_visible()
        expect(cora.get_by_text("The books are the same as they were then.")).to_be_visible()
