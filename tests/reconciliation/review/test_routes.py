"""Every route of the table: who may, what it does with what nobody should send, and that none is forgotten."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from httpx2 import Response
from psycopg_pool import PoolTimeout
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from ledger_core.errors import StoreError
from reconciliation.errors import StaleView
from reconciliation.people.permissions import DEEDS, ROLES, permits
from reconciliation.review.app import PAGES, WITHOUT_SESSION, create_app
from reconciliation.review.filters import NAMES
from reconciliation.review.refusals import AWAY, OURS, may_be_tried_again, refusal_of
from reconciliation.review.web import ANYONE, Page, Visit
from tests.reconciliation.daily.desk import MONDAY, TUESDAY, Desk, movement
from tests.reconciliation.review.attacks import ATTACKS
from tests.reconciliation.review.crowd import fill
from tests.reconciliation.review.forms_on_pages import forms_of, harm_in
from tests.reconciliation.review.hall import SAME_ORIGIN, Hall, form, open_hall

ATTACKS_EACH = 2
"""Of the attacks, so many go through each field; over all fields each attack is used many times."""

LISTS = (
    "/exceptions",
    "/exceptions/count",
    "/",
    *(f"/export/exceptions.{way}" for way in ("csv", "xlsx", "json")),
)
BESIDE_FORMS = {
    "/exceptions": ("after", "before"),
    "/exceptions/{exception_id}": ("pick", "find", "shown", "line", "amount"),
    "/login": ("next", "go"),
    "/login/back": ("code", "state"),
    "/queues": ("query",),
    "/statements": ("source", "from", "to", "after"),
    "/statements/{source}/{date}": ("known_at", "format"),
    "/feedback": ("source", "days"),
    "/feedback/trial": ("source", "change", "days"),
    "/proposals": ("after", "before"),
}
"""What links of ours put into addresses that no form holds, and what might be tried there."""


@dataclass(frozen=True, slots=True)
class House:
    """The hall with two days of work in it, and what stands for the names in paths."""

    hall: Hall
    places: dict[str, str]

    def path(self, page: Page) -> str:
        """A page's address in this world."""
        return re.sub(r"\{(\w+)\}", lambda found: self.places[found[1]], page.path)


@pytest.fixture(scope="module")
def house(make_database: Callable[..., AbstractContextManager[str]], template: str) -> Iterator[House]:
    """A bank's Monday and Tuesday, a proposal, a file, a match, and a crowd for the list to show."""
    with make_database(template) as url, open_hall(Desk(url)) as hall:
        desk = hall.desk
        desk.post("sale", MONDAY, 512, ref_end_to_end="INV-1")
        desk.post("paid", MONDAY, 700, ref_end_to_end="INV-2")
        desk.statement(MONDAY, movement("PAID", 500), movement("INV-2", 700))
        desk.run(MONDAY)
        desk.statement(TUESDAY, opening_minor=101_200)
        desk.run(TUESDAY)
        fill(desk, rows=120)
        with desk.session(None) as connection:
            connection.execute(
                "UPDATE recon.exception SET reference = %s, counterparty = %s, team = %s, version = version + 1 "
                "WHERE exception_key LIKE 'crowd %%'",
                ("</td><script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "<i>team</i>"),
            )
        (exception_id,) = desk.ask(
            "SELECT exception_id FROM recon.exception WHERE side = 'external' AND exception_key NOT LIKE 'crowd %%'"
        )
        (group_id,) = desk.ask("SELECT min(group_id) FROM recon.match_group")
        ids = {
            "exception_id": exception_id,
            "group_id": group_id,
            "attachment_id": 1,
            "proposal_id": 1,
            "id": 1,
        }
        places = {name: str(value) for name, value in ids.items()}
        yield House(
            hall,
            places | {"source": "bank", "date": MONDAY.isoformat(), "day": MONDAY.isoformat(), "letter": "o"},
        )


def ask(client: TestClient, page: Page, path: str, token: str, **fields: str) -> Response:
    """A request as our own page would send it."""
    headers = {"Cookie": f"tieout={token}"} | SAME_ORIGIN
    if page.methods == ("POST",):
        return client.post(path, data=form(token, fields), headers=headers)
    return client.get(path, params=fields or None, headers=headers)


@pytest.mark.parametrize("role", ROLES)
def test_each_role_reaches_what_its_deeds_permit_and_nothing_else(house: House, role: str) -> None:
    token = house.hall.desk.token(role)
    numbers = {
        name: "9999999" for name in house.places if name.endswith("id")
    }  # there is none: nothing is done
    far = House(house.hall, house.places | numbers)
    with house.hall.client() as client:
        for page in PAGES:
            if page.path == "/logout":
                continue
            answer = ask(client, page, far.path(page), token)
            told = (role, page.methods, page.path, answer.status_code)
            assert answer.status_code < 500, told
            if page.deed != ANYONE and not permits((role,), page.deed):
                assert answer.status_code == 403, told
                assert "may not do this; it takes" in answer.text, told
            elif page.deed != ANYONE:
                assert "may not do this; it takes" not in answer.text, told
                assert answer.status_code != 401, told


def test_without_a_session_every_page_leads_to_the_login(house: House) -> None:
    with house.hall.client() as client:
        for page in PAGES:
            if page.deed == ANYONE:
                continue
            for token in ("", "invented", "x" * 5000, "\u00e9", "a b;c"):
                headers = (
                    {"Cookie": f"tieout={token}".encode("latin-1")} | SAME_ORIGIN if token else SAME_ORIGIN
                )
                if page.methods == ("POST",):
                    answer = client.post(house.path(page), data={"csrf": "x"}, headers=headers)
                    assert answer.status_code == 401, page.path
                else:
                    answer = client.get(house.path(page), headers=headers)
                    assert answer.status_code == 303, page.path
                    assert answer.headers["location"].startswith("/login"), page.path


def test_a_route_without_a_deed_cannot_be_served(house: House) -> None:
    def show(visit: Visit) -> PlainTextResponse:
        return PlainTextResponse("x")

    with pytest.raises(ValueError, match="no deed ''"):
        Page(path="/x", handler=show, deed="")
    with pytest.raises(ValueError, match="no deed 'wrok'"):
        Page(path="/x", handler=show, deed="wrok")
    with pytest.raises(ValueError, match="one method"):
        Page(path="/x", handler=show, deed="look", methods=("GET", "POST"))
    with pytest.raises(ValueError, match="plain names"):
        Page(path="/x/{id:int}", handler=show, deed="look")
    with pytest.raises(ValueError, match="pages without a session"):
        create_app(house.hall.config, (*PAGES, Page(path="/open", handler=show, deed=ANYONE)))


def test_the_routes_are_the_table_and_the_files(house: House) -> None:
    routes = [route for route in create_app(house.hall.config).routes if isinstance(route, Route)]
    assert len(routes) == len(create_app(house.hall.config).routes) == len(PAGES) + 1
    served = sorted(
        (route.path, method) for route in routes for method in (route.methods or set()) - {"HEAD"}
    )
    assert served == sorted([*((page.path, page.methods[0]) for page in PAGES), ("/static/{name}", "GET")])
    assert len(set(served)) == len(served)  # no page hides another one
    assert {page.path for page in PAGES if page.deed == ANYONE} == WITHOUT_SESSION
    assert {page.deed for page in PAGES} <= {*DEEDS, ANYONE}


def test_writing_is_by_post_alone(house: House) -> None:
    token = house.hall.desk.token("controller")
    headers = house.hall.holding(token) | SAME_ORIGIN
    getting = {page.path for page in PAGES if page.methods == ("GET",)}
    with house.hall.client() as client:
        for page in PAGES:
            if page.methods == ("POST",) and page.path not in getting:
                # A path of numbers and words may lead to another page, which only shows that there is nothing.
                assert client.get(house.path(page), headers=headers).status_code in {404, 405}, page.path
            if page.methods == ("POST",):
                assert page.reads_form, page.path  # else the field of the session could not be there
            assert client.request("DELETE", house.path(page), headers=headers).status_code == 405, page.path
        odd = client.get("/nowhere", headers=headers)
        assert (odd.status_code, "Not found" in odd.text) == (404, True)


def test_numbers_and_days_that_are_none_are_not_there(house: House) -> None:
    token = house.hall.desk.token("controller")
    odd = (
        "0",
        "-1",
        "x",
        "1e3",
        "9223372036854775808",
        "9" * 4400,
        "1'",
        "%3Cb%3E",
        "2026-02-30",
        "٣",
        " ",
        "1%0A",
    )
    with house.hall.client() as client:
        for page in PAGES:
            for name in re.findall(r"\{(\w+)\}", page.path):
                for value in odd:
                    path = House(house.hall, house.places | {name: value}).path(page)
                    answer = ask(client, page, path, token)
                    assert 300 <= answer.status_code < 500 or page.path.startswith("/queues"), (
                        page.path,
                        name,
                        value,
                    )
                    assert "<b>" not in answer.text


def fields_of_routes(house: House, client: TestClient, token: str) -> dict[tuple[str, str], dict[str, str]]:
    """Each route that takes something: the address in this world, and its fields with what they begin with."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for page in PAGES:
        if page.methods == ("GET",):
            answer = ask(client, page, house.path(page), token)
            if "text/html" in answer.headers.get("content-type", ""):
                for one in forms_of(answer.text):
                    action = (one.action or house.path(page)).partition("?")[0]
                    found.setdefault((one.method, action), {}).update(one.fields)
    for path in LISTS:
        found.setdefault(("GET", path), {}).update(dict.fromkeys(NAMES, ""))
    for page in PAGES:
        key = (page.methods[0], house.path(page))
        if page.path in BESIDE_FORMS and key[0] == "GET":
            found.setdefault(key, {}).update(dict.fromkeys(BESIDE_FORMS[page.path], ""))
    return found


def test_attack_strings_through_every_field_never_break_a_page_or_reach_one_unescaped(house: House) -> None:
    token = house.hall.desk.token("controller")
    used, turn = set(), 0
    with house.hall.client() as client:
        routes = fields_of_routes(house, client, token)
        sent_to = {path for _, path in routes}
        for page in PAGES:  # none is forgotten: what takes a form has one on some page, or is named above
            if page.methods == ("POST",) and house.path(page) not in sent_to | {"/sessions/end"}:
                routes[page.methods[0], house.path(page)] = {
                    "note": "",
                    "name": "",
                    "item": "",
                    "verdict": "",
                }
        for (method, path), fields in sorted(routes.items()):
            for name in sorted({*fields, "csrf", "unheard_of"} - ({"csrf"} if method == "GET" else set())):
                if path == "/logout" or (path == "/login" and name in {"login", "password"}):
                    continue
                for _ in range(ATTACKS_EACH):
                    turn += 1
                    attack = ATTACKS[(turn * 89) % len(ATTACKS)]
                    used.add(attack)
                    attacked = {
                        field: value for field, value in fields.items() if value and field != "version"
                    }
                    attacked |= {"csrf": form(token)["csrf"]} if method == "POST" else {}
                    attacked[name] = attack
                    headers = house.hall.holding(token) | SAME_ORIGIN
                    if method == "POST":
                        answer = client.post(path, data=attacked, headers=headers)
                    else:
                        answer = client.get(path, params=attacked, headers=headers)
                    refuse_harm(answer, attack, (method, path, name, attack[:60]))
    assert turn > 400
    assert used == set(ATTACKS)


def refuse_harm(answer: Response, attack: str, told: object) -> None:
    """After an attack: the app answered, without an error of its own, and without the attack's markup."""
    assert answer.status_code < 500, told
    if "text/html" in answer.headers.get("content-type", ""):
        assert not re.search(r"<[a-z!?/]", attack) or attack.strip() not in answer.text, told
        assert harm_in(answer.text) == [], told
        shown = re.sub(r'value="[^"]*"|<textarea.*?</textarea>', "", answer.text, flags=re.DOTALL)
        assert "\u202e" not in shown, told  # a field gives back what was typed, all else shows its number


def test_what_files_brought_is_shown_and_never_run(house: House) -> None:
    token = house.hall.desk.token("controller")
    with house.hall.client() as client:
        for path in ("/exceptions", "/exceptions?q=script", "/exceptions?status=any", "/"):
            text = client.get(path, headers=house.hall.holding(token)).text
            assert not re.search(r"<script>|<img|<i>team", text), path
        assert (
            "&lt;/td&gt;&lt;script&gt;alert(1)"
            in client.get("/exceptions", headers=house.hall.holding(token)).text
        )


def test_harm_on_a_page_would_be_noticed() -> None:
    for attack in (
        "<script>x</script>",
        "<p onclick=x>",
        "<a href='javascript:x'>",
        "<img src=x>",
        "<p style=x>",
        "<x-y>",
    ):
        assert harm_in(f"<p>{attack}</p>"), attack


def test_errors_of_every_kind_say_what_to_do_and_nothing_of_the_inside() -> None:
    assert refusal_of(StaleView("bob took it")).status == 409
    assert refusal_of(PoolTimeout("no connection")) == AWAY
    assert refusal_of(ZeroDivisionError("secret of a row")) == OURS
    told = {"22003": 400, "57014": 503, "55P03": 503, "42501": 403, "57P01": 503, "08006": 503, "42703": 500}
    for state, status in told.items():  # as the driver tells it, and in our own words
        error = (
            psycopg.errors.lookup(state)("secret of a row")
            if state != "08006"
            else StoreError(f"x (y, {state})")
        )
        assert refusal_of(error).status == status
        assert refusal_of(StoreError(f"database: refused (SomeError, {state})")).status == status
    assert may_be_tried_again(StoreError("database: refused (DeadlockDetected, 40P01)"))
    assert (
        refusal_of(StoreError("database: the connection failed or was used wrongly (OperationalError)"))
        == AWAY
    )
    assert "secret" not in OURS.said


def test_a_database_that_is_away_is_told_as_such(house: House, caplog: pytest.LogCaptureFixture) -> None:
    def fails(visit: Visit) -> PlainTextResponse:
        visit.connection.execute(f"SELECT pg_sleep(9) {visit.request.query_params.get('x', '')}")
        return PlainTextResponse("x")

    def breaks(visit: Visit) -> PlainTextResponse:
        raise RuntimeError(f"canary {visit.request.url.path}")

    pages = (
        *PAGES,
        Page(path="/slow", handler=fails, deed="look", seconds=1),
        Page(path="/broken", handler=breaks, deed="look"),
    )
    headers: dict[str, Any] = house.hall.headers("viewer")
    with TestClient(create_app(house.hall.config, pages), base_url=house.hall.config.base_url) as client:
        slow = client.get("/slow", headers=headers)
        assert (slow.status_code, "takes too long" in slow.text) == (503, True)
        broken = client.get("/broken", headers=headers)
        assert (broken.status_code, "canary" in broken.text, "canary" in caplog.text) == (500, False, True)
        assert (
            client.get("/exceptions", headers=headers).status_code == 200
        )  # the connection is as good as new


def test_a_deadlock_is_tried_again_and_nobody_hears_of_it(house: House) -> None:
    tries: list[Request] = []

    def stumbles(visit: Visit) -> PlainTextResponse:
        tries.append(visit.request)
        if len(tries) < 3:
            visit.connection.execute("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40P01'; END $$")
        return PlainTextResponse("done")

    pages = (Page(path="/x", handler=stumbles, deed="look"),)
    with TestClient(create_app(house.hall.config, pages), base_url=house.hall.config.base_url) as client:
        assert client.get("/x", headers=house.hall.headers("viewer")).text == "done"
    assert len(tries) == 3
