"""Who comes in, by what proof, and what browsers and programs cannot make the app do."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from reconciliation.people.refusals import RefusedLogin
from reconciliation.people.sessions import OidcIdentity
from reconciliation.review import rendering
from reconciliation.review.security import BODY_BYTES_MAX, HEADERS, csrf_of, host_is_ours, safe_next
from tests.reconciliation.review.attacks import ATTACKS
from tests.reconciliation.review.hall import BASE_URL, PASSWORD, SAME_ORIGIN, Hall, form

DAGSTER = "http://127.0.0.1:3000"


def log_in(client: TestClient, login: str, password: str, **more: str) -> Response:
    return client.post("/login", data={"login": login, "password": password} | more, headers=SAME_ORIGIN)


def cookie_of(response: Response, name: str = "tieout") -> str:
    """What the answer says about the session's cookie, with its attributes."""
    (told,) = [told for told in response.headers.get_list("set-cookie") if told.startswith(f"{name}=")]
    return str(told)


def test_a_password_opens_a_new_session_and_ends_the_one_before(hall: Hall) -> None:
    with hall.client() as client:
        first = log_in(client, "Analyst ", PASSWORD, next="/exceptions?severity=critical")
        assert (first.status_code, first.headers["location"]) == (303, "/exceptions?severity=critical")
        told = cookie_of(first)
        assert {"HttpOnly", "Path=/", "SameSite=strict"} <= set(told.split("; "))
        assert "Secure" not in told  # by http, on this machine only
        token = client.cookies["tieout"]
        assert client.get("/exceptions").status_code == 200
        again = log_in(client, "analyst", PASSWORD)
        assert again.headers["location"] == "/"
        assert client.cookies["tieout"] != token
        client.cookies.clear()
        assert (
            client.get("/exceptions", headers=hall.holding(token)).headers["location"]
            == "/login?next=/exceptions"
        )


def test_a_cookie_from_elsewhere_is_never_taken_for_a_session(hall: Hall) -> None:
    planted = "planted by somebody"
    with hall.client() as client:
        client.cookies.set("tieout", planted, domain="127.0.0.1")
        assert log_in(client, "analyst", PASSWORD).status_code == 303
        client.cookies.clear()
        assert client.get("/exceptions", headers=hall.holding(planted)).status_code == 303


def test_by_https_the_cookie_is_bound_to_the_host_and_the_browser_keeps_to_https(hall: Hall) -> None:
    with hall.client(base_url="https://tieout.example", dagster_url=None) as client:
        answer = log_in(client, "analyst", PASSWORD)
        assert "Secure" in cookie_of(answer, "__Host-tieout").split("; ")
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        assert client.get("/exceptions").status_code == 200


def test_wrong_names_and_passwords_are_told_the_same_and_soon_have_to_wait(hall: Hall) -> None:
    hall.desk.enrol("locked")
    with hall.client() as client:
        answers = [log_in(client, login, "wrong") for login in ("locked", "nobody.here", "Not A Login", "")]
        assert {answer.status_code for answer in answers} == {401}
        assert len({re.sub(r'value="[^"]*"', "", answer.text) for answer in answers}) == 1
        statuses = [log_in(client, "locked", "wrong").status_code for _ in range(6)]
        assert statuses[:4] == [401] * 4
        waiting = log_in(client, "locked", "wrong")
        assert (waiting.status_code, 0 < int(waiting.headers["retry-after"]) <= 900) == (429, True)
        assert log_in(client, "analyst", PASSWORD).status_code == 303  # nobody else has to
        assert log_in(client, "analyst", "x" * 1025).status_code == 400
    outcomes = hall.desk.ask("SELECT outcome FROM recon.login_attempt WHERE login = 'locked'")
    assert set(outcomes) == {"refused"}


def test_logging_out_ends_the_session_here_and_in_every_copy_of_the_cookie(hall: Hall) -> None:
    token = hall.desk.token("analyst")
    with hall.client() as client:
        headers = hall.holding(token) | SAME_ORIGIN
        assert client.post("/logout", data=form(token), headers=headers).headers["location"] == "/login"
        assert client.get("/exceptions", headers=headers).status_code == 303
        late = client.post("/queues/save", data=form(token, {"name": "x"}), headers=headers)
        assert (late.status_code, "Please log in" in late.text) == (401, True)
        part = client.get("/exceptions", headers=headers | {"HX-Request": "true"})
        assert (part.status_code, part.headers["hx-redirect"]) == (401, "/login")


def test_people_end_their_other_sessions_and_nobody_elses(hall: Hall) -> None:
    mine, other, theirs = (hall.desk.token(login) for login in ("viewer", "viewer", "admin"))
    numbers = dict(hall.desk.ask("SELECT login, max(session_id) FROM recon.session GROUP BY login"))
    with hall.client() as client:
        headers = hall.holding(mine) | SAME_ORIGIN
        foreign = client.post(
            "/sessions/end", data=form(mine, {"session": numbers["admin"]}), headers=headers
        )
        assert foreign.status_code == 404
        assert client.get("/sessions", headers=hall.holding(theirs)).status_code == 200
        assert (
            client.post("/sessions/end", data=form(mine, {"session": "others"}), headers=headers).status_code
            == 303
        )
        assert client.get("/sessions", headers=hall.holding(other)).status_code == 303
        assert client.get("/sessions", headers=headers).status_code == 200


def test_a_disabled_person_is_out_at_once(hall: Hall) -> None:
    hall.desk.enrol("leaver")
    token = hall.desk.token("leaver")
    with hall.client() as client:
        assert client.get("/exceptions", headers=hall.holding(token)).status_code == 200
        with hall.desk.session("tieout_doorkeeper") as connection:
            connection.execute(
                "SELECT recon.change_person('leaver', NULL, NULL, NULL, NULL, 'disabled', 'tests')"
            )
        assert client.get("/exceptions", headers=hall.holding(token)).status_code == 303


@pytest.mark.parametrize(
    ("headers", "proof"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, True),
        ({"Sec-Fetch-Site": "same-site"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "cross-site", "Origin": BASE_URL}, True),
        ({"Origin": "http://evil.example"}, True),
        ({"Origin": "null"}, True),
        ({"Origin": "http://127.0.0.1:8600.evil.example"}, True),
        ({}, True),
        (SAME_ORIGIN, False),
        ({"Origin": BASE_URL}, False),
    ],
)
def test_nothing_is_written_for_another_site_or_without_the_field_of_the_session(
    hall: Hall, headers: Mapping[str, str], proof: bool
) -> None:
    token, stranger = hall.desk.token("analyst"), hall.desk.token("viewer")
    fields = {"name": "forged", "query": ""}
    with hall.client() as client:
        for csrf in (csrf_of(token),) if proof else ("", "x", csrf_of(stranger), "é"):
            answer = client.post(
                "/queues/save", data=fields | {"csrf": csrf}, headers=hall.holding(token) | dict(headers)
            )
            assert (answer.status_code, "Nothing was changed" in answer.text) == (403, True)
        assert (
            client.post(
                "/login", data={"login": "analyst"}, headers={"Sec-Fetch-Site": "cross-site"}
            ).status_code
            == 403
        )
    assert hall.desk.ask("SELECT name FROM recon.saved_filter WHERE name = 'forged'") == []


def test_an_old_browser_proves_the_page_by_its_origin(hall: Hall) -> None:
    token = hall.desk.token("analyst")
    with hall.client() as client:
        headers = hall.holding(token) | {"Origin": BASE_URL}
        assert (
            client.post(
                "/queues/save", data=form(token, {"name": "old browser"}), headers=headers
            ).status_code
            == 303
        )


def test_every_answer_carries_the_headers(hall: Hall) -> None:
    headers = hall.headers("analyst")
    with hall.client() as client:
        for path in (
            "/login",
            "/exceptions",
            "/exceptions?sort=x",
            "/exceptions/7",
            "/nowhere",
            "/static/style.css",
            "/static/x",
        ):
            answer = client.get(path, headers=headers)
            told = {name: answer.headers[name] for name in HEADERS}
            if answer.status_code != 200 or not path.startswith("/static"):
                assert told == HEADERS
            assert told["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")


def test_pages_hold_no_script_no_style_and_no_handler_of_their_own(hall: Hall) -> None:
    headers = hall.headers("controller")
    with hall.client() as client:
        for path in (
            "/login",
            "/",
            "/exceptions",
            "/queues",
            "/sessions",
            "/help",
            "/people",
            "/exceptions?sort=x",
        ):
            text = client.get(path, headers=headers).text
            assert not re.search(
                r"<style|\sstyle=|\son[a-z]+=|<script(?! src=\"/static/)|javascript:", text
            ), path


def test_only_hosts_that_we_are_known_by_are_answered(hall: Hall) -> None:
    with hall.client() as client:
        for host in (
            "evil.example",
            "127.0.0.1.evil.example",
            "evil.example:8600",
            "",
            "127.0.0.1:x",
            "[::1",
        ):
            assert client.get("/login", headers={"Host": host}).status_code == 421, host
        for host in ("127.0.0.1:8600", "localhost:9000", "localhost", "[::1]:8600"):
            assert client.get("/login", headers={"Host": host}).status_code == 200, host
    assert host_is_ours("tieout.example", "https://tieout.example")
    assert not host_is_ours("localhost", "https://tieout.example")
    assert host_is_ours("inner:8600", "https://tieout.example", ("inner:8600",))


def test_what_is_no_text_or_too_large_is_refused_at_the_door(hall: Hall) -> None:
    token = hall.desk.token("analyst")
    headers = hall.holding(token) | SAME_ORIGIN
    with hall.client() as client:
        for query in ("q=%00", "q=a%00b", "%00=1", "q=%ff", "q=%ED%A0%80", "q=%C0%80"):
            assert client.get(f"/exceptions?{query}", headers=headers).status_code == 400, query
        for path in ("/exceptions/%00", "/exceptions/%ff", "/static/%00"):
            assert client.get(path, headers=headers).status_code == 400, path
        assert client.get("/exceptions?q=" + "x" * 9000, headers=headers).status_code == 414
        for body in (b"name=%00", b"name=a%00b", b"%00=x"):
            sent = client.post(
                "/queues/save",
                content=b"csrf=" + csrf_of(token).encode() + b"&" + body,
                headers=headers | {"Content-Type": "application/x-www-form-urlencoded"},
            )
            assert sent.status_code == 400, body
        large = client.post("/queues/save", content=b"x" * (BODY_BYTES_MAX + 1), headers=headers)
        assert large.status_code == 413

        def in_pieces() -> Iterator[bytes]:
            yield from (b"name=" + b"x" * 1024 * 1024 for _ in range(14))

        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        assert client.post("/queues/save", content=in_pieces(), headers=headers | kind).status_code in {
            400,
            413,
        }
        odd = client.post(
            "/queues/save", content=b"{", headers=headers | {"Content-Type": "multipart/form-data"}
        )
        assert odd.status_code in {400, 403}


@pytest.mark.parametrize(
    ("wanted", "leads_to"),
    [
        ("/exceptions?sort=due", "/exceptions?sort=due"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("exceptions", "/"),
        ("", "/"),
        ("/x\r\nSet-Cookie: a=b", "/"),
        ("/\t/evil.example", "/"),
        ("http://[", "/"),
        (f"{DAGSTER}/runs/1?x=y", f"{DAGSTER}/runs/1?x=y"),
        (DAGSTER, DAGSTER),
        ("http://127.0.0.1:3001/", "/"),
        ("https://127.0.0.1:3000/", "/"),
        ("http://127.0.0.1:3000@evil.example/", "/"),
    ],
)
def test_after_the_login_nobody_is_led_off(wanted: str, leads_to: str) -> None:
    assert safe_next(wanted, dagster_url=DAGSTER) == leads_to


def test_a_path_below_dagster_stays_below_it() -> None:
    assert safe_next("https://h.example/dagster/runs", dagster_url="https://h.example/dagster") != "/"
    assert safe_next("https://h.example/dagsterx", dagster_url="https://h.example/dagster") == "/"
    assert safe_next("https://h.example/dagster/../x", dagster_url="https://h.example/dagster") == "/"
    for attack in ATTACKS:
        led = safe_next(attack, dagster_url=None)
        assert led.startswith("/")
        assert not led.startswith(("//", "/\\"))


def test_behind_a_proxy_its_word_counts_with_the_secret_only(hall: Hall) -> None:
    with hall.client(identity="proxy", proxy_header="X-Forwarded-User", proxy_secret="s" * 32) as client:
        spoken = {"X-Forwarded-User": "analyst"}
        trusted = spoken | {"X-Tieout-Proxy-Secret": "s" * 32}
        for headers in ({}, spoken, spoken | {"X-Tieout-Proxy-Secret": "wrong"}):
            assert "did not say who you are" in client.get("/login", headers=headers).text
        assert log_in(client, "analyst", PASSWORD).status_code == 403  # never two ways at once
        assert client.get("/login?next=/queues", headers=trusted).headers["location"] == "/queues"
        assert client.get("/queues", headers=trusted).status_code == 200
        assert (
            client.get("/queues", headers=spoken).status_code == 303
        )  # around the proxy, with the cookie alone
        assert client.get("/queues", headers=trusted | {"X-Forwarded-User": "viewer"}).status_code == 303
        stranger = client.get("/login", headers=trusted | {"X-Forwarded-User": "newcomer"})
        assert (stranger.status_code, "nobody has let you in" in stranger.text) == (403, True)
    with hall.client(
        identity="proxy", proxy_header="X-Forwarded-User", proxy_secret="s" * 32, newcomer_roles=("viewer",)
    ) as client:
        assert client.get("/login", headers=trusted | {"X-Forwarded-User": "Newcomer"}).status_code == 303
    assert hall.desk.ask("SELECT roles, known_by FROM recon.person WHERE login = 'newcomer'") == [
        (["viewer"], "proxy")
    ]


def test_without_a_secret_the_proxy_is_believed_over_a_unix_socket_alone(hall: Hall) -> None:
    with hall.client(identity="proxy", proxy_header="X-Forwarded-User") as client:
        answer = client.get("/login", headers={"X-Forwarded-User": "analyst", "X-Tieout-Proxy-Secret": ""})
        assert "did not say who you are" in answer.text


class Provider:
    """An identity provider's client that vouches for whom the query names."""

    def begin(self, next_path: str) -> tuple[str, str]:
        return "https://provider.example/authorize", f"kept:{next_path}"

    def finish(self, query: Mapping[str, str], cookie_value: str) -> OidcIdentity:
        if not cookie_value.startswith("kept:") or "login" not in query:
            raise RefusedLogin("The provider did not vouch for you.")
        return OidcIdentity(login=query["login"], name=query["login"].title(), roles=("analyst",))

    def next_path(self, cookie_value: str) -> str:
        return cookie_value.removeprefix("kept:")


def test_an_identity_provider_lets_people_in_who_began_here(hall: Hall) -> None:
    with hall.client(identity="oidc", oidc=Provider()) as client:
        assert "organisation" in client.get("/login").text
        began = client.get("/login?go=1&next=/queues")
        assert began.headers["location"] == "https://provider.example/authorize"
        told = cookie_of(began, "tieout_oidc")
        assert {"HttpOnly", "SameSite=lax", "Max-Age=600"} <= set(told.split("; "))
        back = client.get("/login/back?login=olga")
        assert (back.status_code, 'content="0; url=/queues"' in back.text) == (
            200,
            True,
        )  # the cookie is Strict
        assert client.get("/queues").status_code == 200
        client.cookies.clear()
        refused = client.get("/login/back?login=olga")
        assert (refused.status_code, "did not vouch" in refused.text) == (403, True)
        assert log_in(client, "analyst", PASSWORD).status_code == 403
    with hall.client() as client:
        assert client.get("/login/back?login=olga").status_code == 404


def test_two_ways_in_at_once_are_no_configuration(hall: Hall) -> None:
    for clash in (
        {"proxy_header": "X-User"},
        {"oidc": Provider()},
        {"identity": "proxy"},
        {"identity": "oidc"},
    ):
        with pytest.raises(ValueError, match="come together"), hall.client(**clash):
            pass


def test_files_come_from_a_list_and_may_be_kept_for_good_under_their_hash(hall: Hall) -> None:
    with hall.client() as client:
        for name in rendering.STATIC_TYPES:
            kept = client.get(rendering.static_url(name))
            assert "immutable" in kept.headers["cache-control"]
            assert kept.headers["content-type"] == rendering.STATIC_TYPES[name]
            assert client.get(f"/static/{name}?v=other").headers["cache-control"] == "no-cache"
            tag = {"If-None-Match": kept.headers["etag"]}
            assert client.get(f"/static/{name}", headers=tag).status_code == 304
        for name in (
            "htmx.txt",
            "../app.py",
            "..%2fapp.py",
            "%2e%2e/app.py",
            "/etc/passwd",
            "style.css/x",
            "",
        ):
            assert client.get(f"/static/{name}").status_code in {404, 307}, name


def test_the_library_of_others_is_the_one_that_was_looked_at() -> None:
    folder = Path(rendering.__file__).parent / "static"
    found = hashlib.sha256((folder / "htmx.min.js").read_bytes()).hexdigest()
    assert found == "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130"
    assert found in (folder / "htmx.txt").read_text()


def test_misleading_characters_are_shown_by_their_number() -> None:
    assert rendering.visible("a\u202egnp.exe\x00") == "a⟨U+202E⟩gnp.exe⟨U+0000⟩"
    assert rendering.visible("line\r\nline\ttab") == "line\nline\ttab"
    assert rendering.money(-123456789, "EUR") == "-1,234,567.89"
    assert rendering.money(1234, "JPY") == "1,234"
    assert rendering.money(-1234567, "KWD") == "-1,234.567"
    assert rendering.money(1000, "POINTS") == "1,000 minor"
    assert [rendering.points(bits) for bits in (None, 0, 49, 50, -12_345, 7_249)] == [
        "",
        "0.0",
        "0.0",
        "0.1",
        "-12.3",
        "7.2",
    ]
