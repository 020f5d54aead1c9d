"""The app's pages in a real browser: keys, places that are kept, work without the script, what everybody can read."""

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.chromium import Errors, person
from tests.browser.office import PASSWORD, BrowserOffice

CONTRAST = {"runOnly": ["color-contrast"]}
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}


def numbers(page: Page) -> list[str]:
    """The exceptions that a page of the list shows."""
    return [str(row.get_attribute("data-id")) for row in page.locator("tr[data-row]").all()]


def broken(axe: Axe, page: Page, rules: dict[str, object]) -> list[str]:
    """Rules that a page breaks, and where."""
    found = axe.run(page, options=rules).response["violations"]
    return [f"{page.url} {rule['id']}: {node['html'][:160]}" for rule in found for node in rule["nodes"]]


def current(page: Page) -> str | None:
    """The one row that keys act on, which also has the focus."""
    row = page.locator("tr[data-row][aria-current]")
    expect(row).to_have_count(1)
    return row.get_attribute("data-id")


@pytest.fixture
def ada(office: BrowserOffice, chromium: Browser) -> Iterator[tuple[Page, Errors]]:
    """An analyst's browser."""
    with person(chromium) as (page, errors):
        office.come_in(page, "ada")
        yield page, errors


def test_the_list_is_walked_by_keys_and_every_place_is_found_again(
    office: BrowserOffice, ada: tuple[Page, Errors]
) -> None:
    page, _ = ada
    page.goto(office.address + "/exceptions")
    first = numbers(page)
    assert len(first) == 50
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    assert current(page) == first[1]
    assert page.evaluate("() => document.activeElement.dataset.id") == first[1]  # seen by who sees no colour

    page.keyboard.press("Enter")
    page.wait_for_url(f"**/exceptions/{first[1]}*")
    page.keyboard.press("n")  # the next of the same list
    page.wait_for_url(f"**/exceptions/{first[2]}*")
    page.keyboard.press("Escape")
    page.wait_for_url("**/exceptions")
    assert numbers(page) == first
    assert current(page) == first[1]

    page.keyboard.press("x")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("X")
    expect(page.locator("#chosen")).to_have_text("With the 3 selected:")

    page.keyboard.press("n")
    page.wait_for_url("**/exceptions?after=*")
    second = numbers(page)
    assert len(second) == 50
    assert not set(first) & set(second)
    page.reload()
    assert numbers(page) == second
    page.keyboard.press("b")
    page.wait_for_url(lambda url: "after" not in url)
    assert numbers(page) == first
    page.go_back()
    page.wait_for_url("**/exceptions?after=*")
    assert numbers(page) == second


def test_a_filter_is_an_address_that_gives_the_same_rows_to_everybody(
    office: BrowserOffice, ada: tuple[Page, Errors], chromium: Browser
) -> None:
    page, _ = ada
    page.goto(office.address + "/exceptions")
    page.keyboard.press("/")
    page.keyboard.type("LONE-01")
    page.keyboard.press("Enter")
    page.wait_for_url("**/exceptions?*")
    assert page.url == office.address + "/exceptions?q=LONE-01"  # what is not asked is not in the address
    found = numbers(page)
    assert len(found) == 10
    expect(page.locator("#rows")).to_contain_text("10 exceptions")
    page.locator("tr[data-row] a").first.click()
    page.go_back()
    assert numbers(page) == found
    page.reload()
    assert numbers(page) == found
    with person(chromium) as (other, _):
        office.come_in(other, "vera")
        other.goto(page.url)
        assert numbers(other) == found
        expect(other.get_by_role("button", name="Do…", exact=True)).to_have_count(
            0
        )  # who looks is offered no deed


def test_a_queue_opens_in_two_keys_and_help_tells_them_all(
    office: BrowserOffice, ada: tuple[Page, Errors]
) -> None:
    page, _ = ada
    page.goto(office.address + "/exceptions")
    page.keyboard.press("g")
    page.keyboard.press("m")
    page.wait_for_url("**/exceptions?*owner=me*")
    page.keyboard.press("?")
    page.wait_for_url("**/help")
    told = set(" ".join(page.locator("kbd").all_inner_texts()).replace("/ ", "").split())
    assert {*"jkxXaupyrcsnbg?", "Enter", "Esc"} - told == set()


def test_all_of_it_works_by_links_and_forms_where_no_script_runs(
    office: BrowserOffice, chromium: Browser
) -> None:
    with person(chromium, scripts=False) as (page, _):
        page.goto(office.address + "/exceptions?q=LONE-100")
        page.get_by_label("Name").fill("ada")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        assert page.url == office.address + "/exceptions?q=LONE-100"  # where she wanted to go
        page.get_by_role("link", name="Count and sums").click()
        page.go_back()
        page.locator("tr[data-row] a").click()
        owner = page.locator("dt", has_text="Owner").locator("xpath=following-sibling::dd")
        page.get_by_role("button", name="Take").click()
        expect(owner).to_have_text("ada")
        page.get_by_label("Comment").fill("Asked the branch.")
        page.get_by_role("button", name="Comment").click()
        expect(page.get_by_text("Asked the branch.")).to_be_visible()
        page.get_by_text("Snooze").first.click()
        page.get_by_role("button", name="Give back").click()
        expect(owner).to_have_text("nobody")
        page.get_by_role("link", name="List").click()
        page.get_by_label("Search").fill("")
        page.get_by_role("button", name="Show").click()
        page.get_by_role("link", name="Next").first.click()
        assert "after=" in page.url
        page.get_by_role("button", name="Log out").click()
        page.goto(office.address + "/exceptions")
        assert "/login" in page.url


def test_no_words_of_a_page_can_run(office: BrowserOffice, ada: tuple[Page, Errors]) -> None:
    page, errors = ada
    page.goto(office.address + "/exceptions")
    page.evaluate(
        """() => {
            const script = document.createElement("script")
            script.textContent = "window.ran = 1"
            document.body.append(script)
        }"""
    )
    assert page.evaluate("() => window.ran") is None
    errors.expect("Content Security Policy")


def test_every_page_can_be_read_by_everybody(office: BrowserOffice, chromium: Browser) -> None:
    differs, alone = office.exception_of("INV-2"), office.exception_of("THEIRS-3")
    paths = (
        "/",
        "/exceptions?q=LONE-10",
        "/exceptions?status=cleared&severity=critical",
        "/exceptions?amount_from=x",
        f"/exceptions/{differs}",
        f"/exceptions/{alone}",
        f"/exceptions/{alone}/group",
        "/exceptions/999999",
        "/queues",
        "/proposals",
        "/statements",
        "/statements/bank/2026-11-09",
        "/sign-off/bank/2026-11-09",
        "/feedback",
        "/people",
        "/sessions",
        "/help",
        "/login",
    )
    axe, found = Axe(), []
    with person(chromium) as (page, errors):
        office.come_in(page, "cora")
        for path in paths:
            page.emulate_media(color_scheme="light")
            page.goto(office.address + path)
            found += broken(axe, page, RULES)
            if path in ("/", f"/exceptions/{differs}", "/proposals"):  # every colour there is, at night too
                page.emulate_media(color_scheme="dark")
                found += broken(axe, page, CONTRAST)
        errors.found = [
            told for told in errors.found if "the server responded with a status of 4" not in told
        ]
    assert not found, "\n".join(found)
