"""The list as a page: one address, small, readable without a script; queues that people keep."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from reconciliation.review.queues import BUILT_IN
from tests.reconciliation.daily.desk import Desk
from tests.reconciliation.review.crowd import fill
from tests.reconciliation.review.forms_on_pages import forms_of
from tests.reconciliation.review.hall import SAME_ORIGIN, Hall, form, open_hall

PAGE_BYTES_MAX = 30_000


@pytest.fixture(scope="module")
def client(
    make_database: Callable[..., AbstractContextManager[str]], template: str
) -> Iterator[tuple[Hall, TestClient]]:
    """The app over a crowd of 600, and its hall."""
    with make_database(template) as url, open_hall(Desk(url)) as hall, hall.client() as opened:
        fill(hall.desk, rows=600)
        yield hall, opened


@pytest.fixture
def analyst(client: tuple[Hall, TestClient]) -> Callable[..., Response]:
    """GET as an analyst; with fields, POST."""
    hall, opened = client
    token = hall.desk.token("analyst")

    def ask(path: str, fields: dict[str, str] | None = None, **headers: str) -> Response:
        told = hall.holding(token) | headers
        if fields is None:
            return opened.get(path, headers=told)
        return opened.post(path, data=form(token, fields), headers=told | SAME_ORIGIN)

    return ask


def rows_of(answer: Response) -> list[str]:
    """Numbers of the rows of a page."""
    return re.findall(r"<tr data-row tabindex=0 data-id=(\d+) data-version=\d+>", answer.text)


def test_a_page_of_fifty_rows_is_small_and_reads_without_a_script(analyst: Callable[..., Response]) -> None:
    for path in (
        "/exceptions",
        "/exceptions?status=any&asset=EUR,JPY,KWD",
        "/exceptions?class=genuine&sort=due",
    ):
        page = analyst(path)
        assert (page.status_code, len(rows_of(page))) == (200, 50)
        assert len(page.content) <= PAGE_BYTES_MAX, path
        first = rows_of(page)[0]
        behind = path.partition("?")[2].replace("&", "&amp;")
        assert f'<a href="/exceptions/{first}{"?" + behind if behind else ""}">{first}</a>' in page.text
        assert f"<input type=checkbox name=item value={first}:1 " in page.text
        columns = re.findall(r'<th scope="col"[^>]*>', page.text)
        assert len(columns) == 15
        assert page.text.count("<td>") == 50 * 15


def test_next_and_before_are_links_that_lead_forth_and_back(analyst: Callable[..., Response]) -> None:
    def link(page: Response, rel: str) -> str:
        return re.findall(rf'<a href="([^"]+)" rel="{rel}"', page.text)[0].replace("&amp;", "&")

    first = analyst("/exceptions?sort=value")
    second = analyst(link(first, "next"))
    third = analyst(link(second, "next"))
    assert 'rel="prev"' not in first.text
    assert not {*rows_of(first)} & {*rows_of(second)}
    assert rows_of(analyst(link(third, "prev"))) == rows_of(second)
    assert rows_of(analyst(link(second, "prev"))) == rows_of(first)


def test_one_list_has_one_address(analyst: Callable[..., Response]) -> None:
    given = "/exceptions?status=&source=&q=&severity=low&severity=critical&sort=worst&class=&kind="
    assert analyst(given).headers["location"] == "/exceptions?severity=critical,low"
    assert analyst("/exceptions?status=closed&after=2026-10-10_7").headers["location"] == (
        "/exceptions?status=cleared,resolved&after=2026-10-10_7"
    )
    assert analyst("/exceptions?severity=critical,low").status_code == 200
    part = analyst(given, **{"HX-Request": "true", "HX-Request-Type": "partial"})
    assert part.headers["hx-push-url"] == "/exceptions?severity=critical,low"
    assert not part.text.lstrip().startswith("<!doctype")
    assert "HX-Request" in part.headers["vary"]


def test_the_filter_form_shows_what_is_filtered_and_gives_it_back(analyst: Callable[..., Response]) -> None:
    more = "amount_from=10&age=3-6&due=late&snoozed=no&q=acme&sort=due"
    path = f"/exceptions?status=taken&source=bank&class=genuine&{more}"
    (filter_,) = [one for one in forms_of(analyst(path).text) if one.action == "/exceptions"]
    kept = {name: value for name, value in filter_.fields.items() if value}
    assert kept == {
        "q": "acme", "status": "taken", "source": "bank", "class": "genuine", "sort": "due", "amount_from": "10",
        "age": "3-6", "due": "late", "snoozed": "no",
    }  # fmt: skip
    closed = analyst("/exceptions?status=closed").headers["location"]
    (filter_,) = [one for one in forms_of(analyst(closed).text) if one.action == "/exceptions"]
    assert (filter_.fields["status"], filter_.fields["sort"]) == ("cleared,resolved", "cleared")


def test_sums_are_a_part_of_the_page_or_a_page_of_their_own(
    analyst: Callable[..., Response], client: tuple[Hall, TestClient]
) -> None:
    part = analyst("/exceptions/count?asset=KWD", **{"HX-Request": "true", "HX-Request-Type": "partial"})
    ((count, signed, value),) = client[0].desk.ask(
        "SELECT count(*), sum(amount_minor), sum(value_minor) FROM recon.exception "
        "WHERE cleared_on IS NULL AND asset = 'KWD'"
    )
    assert part.text.startswith(f'<span class="totals" role="status"><strong>{count} exceptions</strong>')
    whole, page = f"{int(value) // 1000:,}.{int(value) % 1000:03}", analyst("/exceptions/count?asset=KWD")
    assert f"{whole} KWD" in part.text
    assert f'<td class="number">{whole}' in page.text
    assert (
        f"{'-' if signed < 0 else ''}{abs(int(signed)) // 1000:,}.{abs(int(signed)) % 1000:03}" in page.text
    )
    assert (
        "<strong>0 exceptions</strong>"
        in analyst("/exceptions/count?owner=xyz", **{"HX-Request": "true"}).text
    )


def test_nothing_to_show_and_what_cannot_be_shown_say_what_to_do(analyst: Callable[..., Response]) -> None:
    assert "No exception fits this filter" in analyst("/exceptions?q=there+is+none").headers.get(
        "location", ""
    ) or ("No exception fits this filter" in analyst("/exceptions?q=there%20is%20none").text)
    bad = analyst("/exceptions?severity=critcal&q=<i>")
    assert (bad.status_code, "did you mean critical?" in bad.text) == (400, True)
    assert 'value="&lt;i&gt;"' in bad.text  # what was typed is still there
    part = analyst("/exceptions?after=x", **{"HX-Request": "true", "HX-Request-Type": "partial"})
    assert (part.status_code, "This list cannot be shown" in part.text) == (400, True)


def test_everybodys_queues_open_by_their_letter(analyst: Callable[..., Response]) -> None:
    for queue in BUILT_IN:
        assert analyst(f"/queues/{queue.letter}").headers["location"] == queue.path
    assert [(queue.letter, queue.path) for queue in BUILT_IN] == [
        ("m", "/exceptions?owner=me&snoozed=no"),
        ("u", "/exceptions?severity=critical&owner=nobody"),
        ("l", "/exceptions?due=late&sort=due"),
        ("w", "/proposals"),
        ("t", "/exceptions?class=timing&sort=age"),
        ("o", "/exceptions"),
    ]
    assert analyst("/queues/z").status_code == 404


def test_people_keep_queues_of_their_own_that_nobody_else_sees(
    analyst: Callable[..., Response], client: tuple[Hall, TestClient]
) -> None:
    hall, opened = client
    kept = analyst(
        "/queues/save", {"name": "Big <b>", "letter": "k", "query": "/exceptions?amount_from=100&status="}
    )
    assert kept.headers["location"] == "/queues"
    page = analyst("/queues")
    assert "Big &lt;b&gt;" in page.text
    assert analyst("/queues/k").headers["location"] == "/exceptions?amount_from=100"
    assert 'aria-current="true"' in analyst("/exceptions?amount_from=100").text
    assert opened.get("/queues/k", headers=hall.headers("approver")).status_code == 404
    for fields, said in (
        ({"name": "", "query": ""}, "name: expected"),
        ({"name": "x", "letter": "m", "query": ""}, "opens My open"),
        ({"name": "x", "letter": "!", "query": ""}, "letter: expected"),
        ({"name": "x", "query": "severity=none"}, "severity: expected"),
    ):
        refused = analyst("/queues/save", fields)
        assert (refused.status_code, said in refused.text) == (400, True)
    assert analyst("/queues/forget", {"name": "of somebody else"}).status_code == 404
    assert analyst("/queues/forget", {"name": "Big <b>"}).status_code == 303
    assert analyst("/queues/k").status_code == 404


def test_a_deed_is_told_once(analyst: Callable[..., Response], client: tuple[Hall, TestClient]) -> None:
    done = analyst("/queues/save", {"name": "told once", "query": ""})
    said = {"Cookie": ""}
    assert "tieout_said=Queue%20told%20once%20is%20kept." in done.headers["set-cookie"]
    client[1].cookies.clear()
    hall = client[0]
    cookie = hall.headers("analyst")["Cookie"] + "; tieout_said=Queue%20%3Cb%3E%20is%20kept."
    shown = client[1].get("/queues", headers=said | {"Cookie": cookie})
    assert '<p class="said" role="status">Queue &lt;b&gt; is kept.</p>' in shown.text
    assert 'tieout_said=""; expires=' in shown.headers["set-cookie"]


def test_viewers_see_the_list_without_its_deeds(client: tuple[Hall, TestClient]) -> None:
    hall, opened = client
    viewed = opened.get("/exceptions", headers=hall.headers("viewer")).text
    assert "Do…" not in viewed
    assert "/export/" not in viewed
    audited = opened.get("/exceptions", headers=hall.headers("auditor")).text
    assert "/export/exceptions.csv" in audited
