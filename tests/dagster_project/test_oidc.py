"""Logging in through an identity provider: a real one on loopback, good logins and everything that must not be one."""

import base64
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from dagster_project.web.oidc import OpenIdConnect
from dagster_project.web.review_settings import OidcSettings
from reconciliation.people.refusals import RefusedLogin
from reconciliation.people.sessions import OidcClient, OidcIdentity
from tests.dagster_project.identity_provider import CLIENT_ID, CLIENT_SECRET, KEYS, Provider


class Clock:
    """The client's own, so that a test can let time pass."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@pytest.fixture
def provider() -> Iterator[Provider]:
    opened = Provider()
    yield opened
    opened.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(provider: Provider, clock: Clock) -> Iterator[OpenIdConnect]:
    opened = made(provider, clock)
    yield opened
    opened.close()


def made(provider: Provider, clock: Clock, **settings: Any) -> OpenIdConnect:
    said = {"issuer": provider.issuer, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET} | settings
    return OpenIdConnect(
        OidcSettings(**said), base_url="http://127.0.0.1:8600", now=clock, token=secrets.token_urlsafe
    )


def log_in(client: OidcClient, provider: Provider, **changed: str) -> OidcIdentity:
    url, cookie = client.begin("/exceptions?status=open")
    return client.finish(provider.consent(url, **changed), cookie)


@pytest.mark.parametrize("algorithm", sorted(KEYS))
def test_who_logs_in_at_the_provider_is_known_here_by_login_and_name(
    algorithm: str, provider: Provider, client: OpenIdConnect
) -> None:
    provider.algorithm = algorithm
    expected = OidcIdentity(login="ada", name="Ada L.", roles=None)
    assert log_in(client, provider) == expected
    assert log_in(client, provider) == expected
    assert [path for path in provider.asked if path != "/token"] == [
        "/realm/.well-known/openid-configuration",
        "/realm/keys",
    ]


def test_the_browser_carries_no_secret_of_the_login(provider: Provider, client: OpenIdConnect) -> None:
    url, cookie = client.begin("/")
    asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    assert asked["redirect_uri"] == "http://127.0.0.1:8600/login/back"
    assert asked["state"] != asked["nonce"] != asked["code_challenge"]
    held = base64.urlsafe_b64decode(cookie.partition(".")[0] + "==").decode()
    assert not [value for value in asked.values() if value in held]
    assert len(client.begin("/" + "\u00e9" * 1900)[1]) < 4_000  # browsers drop longer ones
    assert CLIENT_SECRET not in repr(OidcSettings(issuer="i", client_id="c", client_secret=CLIENT_SECRET))


OF_ANOTHER = {"nonce": "of another login"}
CHEATS: dict[str, tuple[dict[str, Any], str]] = {
    "another login's nonce": ({"claims": OF_ANOTHER}, "belongs to another login"),
    "another app's token": ({"claims": {"aud": "another-app"}}, "for somebody else"),
    "a token for several, not for us": ({"claims": {"aud": [CLIENT_ID, "other"], "azp": "other"}}, "somebody else"),
    "a token for several, unsaid for whom": ({"claims": {"aud": [CLIENT_ID, "other"]}}, "for somebody else"),
    "an expired token": ({"claims": {"exp": 1_700_000_000}}, "too old"),
    "a token of the future": ({"claims": {"iat": 4_000_000_000}}, "its form"),
    "a token of another issuer": ({"claims": {"iss": "https://elsewhere.example"}}, "its form"),
    "no nonce": ({"without": ("nonce",)}, "its form"),
    "no end": ({"without": ("exp",)}, "its form"),
    "no signature": ({"algorithm": "none"}, "its signature"),
    "a shared secret": ({"algorithm": "HS256"}, "its signature"),
    "a name that is no login": ({"claims": {"preferred_username": "ada/../bob"}}, "no login here"),
    "keys on a page that anybody reads": ({"metadata": {"jwks_uri": "http://elsewhere.example/keys"}}, "not answer"),
    "an issuer that is not itself": ({"metadata": {"issuer": "https://elsewhere.example"}}, "not answer"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHEATS)
def test_what_does_not_hold_lets_nobody_in(name: str, provider: Provider, client: OpenIdConnect) -> None:
    cheat, sentence = CHEATS[name]
    for attribute, value in cheat.items():
        setattr(provider, attribute, provider.claims | value if attribute == "claims" else value)
    with pytest.raises(RefusedLogin, match=sentence) as refused:
        log_in(client, provider)
    assert "eyJ" not in str(refused.value)


def test_a_token_that_another_key_signed_is_refused_and_a_new_key_of_the_provider_is_found(
    provider: Provider, client: OpenIdConnect, clock: Clock
) -> None:
    log_in(client, provider)
    theirs = dict(provider.keys)
    provider.keys["RS256"] = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    with pytest.raises(RefusedLogin, match="its signature"):
        log_in(client, provider)  # under the name of a key that is known
    provider.key_ids["RS256"] = "RS256-2"
    with pytest.raises(RefusedLogin, match="its signature"):
        log_in(client, provider)  # keys were just fetched: strangers do not make us ask all the time
    clock.ahead += timedelta(seconds=31)
    assert log_in(client, provider).login == "ada"
    assert theirs["ES256"] is provider.keys["ES256"]


def test_a_beginning_is_used_once_by_its_own_browser_within_ten_minutes(
    provider: Provider, client: OpenIdConnect, clock: Clock
) -> None:
    url, cookie = client.begin("/exceptions?status=open")
    answer = provider.consent(url)
    assert client.next_path(cookie) == "/exceptions?status=open"
    other_url, other_cookie = client.begin("/")
    for wrong in (other_cookie, "", "AAAA.AAAA", cookie[:-1], cookie.replace(".", "A."), "\u00e9.\ud800"):
        with pytest.raises(RefusedLogin, match="begin again"):
            client.finish(answer, wrong)
        assert client.next_path(wrong) == "/"
    with pytest.raises(RefusedLogin, match="begin again"):
        client.finish(answer | {"state": "\ud800"}, cookie)
    assert client.finish(answer, cookie).login == "ada"
    with pytest.raises(RefusedLogin, match="begin again"):
        client.finish(provider.consent(url), cookie)  # the provider would agree; we do not
    clock.ahead += timedelta(minutes=11)
    with pytest.raises(RefusedLogin, match="took too long"):
        client.finish(provider.consent(other_url), other_cookie)
    clock.ahead = timedelta()
    stranger = made(provider, clock)
    with pytest.raises(RefusedLogin, match="begin again"):
        stranger.finish(provider.consent(other_url), other_cookie)  # another process, another key
    stranger.close()


def test_an_answer_of_another_provider_and_a_refusal_are_told_apart(
    provider: Provider, client: OpenIdConnect
) -> None:
    with pytest.raises(RefusedLogin, match="another identity provider"):
        log_in(client, provider, iss="https://elsewhere.example")
    url, cookie = client.begin("/")
    answer = provider.consent(url)
    del answer["iss"]  # the provider said that it names itself
    with pytest.raises(RefusedLogin, match="another identity provider"):
        client.finish(answer, cookie)
    with pytest.raises(RefusedLogin, match="did not let you in"):
        log_in(client, provider, error="access_denied", error_description="<script>")
    with pytest.raises(RefusedLogin, match="not answer as it should"):
        log_in(client, provider, code="made up")
    assert log_in(client, provider).login == "ada"


def test_an_intercepted_code_is_worth_nothing_without_the_verifier(
    provider: Provider, client: OpenIdConnect, clock: Clock
) -> None:
    url, _ = client.begin("/")
    stolen = provider.consent(url)["code"]
    own_url, own_cookie = client.begin("/")
    with pytest.raises(RefusedLogin, match="not answer as it should"):
        client.finish(provider.consent(own_url, code=stolen), own_cookie)


@pytest.mark.parametrize(
    ("claim", "value", "expected"),
    [
        ("roles", ["approver", "analyst", "root"], ("analyst", "approver")),
        ("realm_access.roles", {"roles": ["viewer"]}, ("viewer",)),
        ("https://books.example/roles", "auditor admin", ("auditor", "admin")),
    ],
)
def test_roles_come_from_a_claim_in_any_of_its_usual_forms(
    claim: str, value: object, expected: tuple[str, ...], provider: Provider, clock: Clock
) -> None:
    name = claim if "/" in claim else claim.partition(".")[0]
    provider.claims[name] = value
    client = made(provider, clock, roles_claim=claim)
    assert log_in(client, provider).roles == expected
    provider.claims[name] = ["nothing of ours"]
    with pytest.raises(RefusedLogin, match="ada has no role here"):
        log_in(client, provider)
    client.close()


def test_an_address_names_a_person_only_where_the_provider_verified_it(
    provider: Provider, client: OpenIdConnect
) -> None:
    provider.claims = {"sub": "u-7", "email": "Ada@Books.example", "email_verified": False}
    assert log_in(client, provider).login == "u-7"
    provider.claims["email_verified"] = True
    assert log_in(client, provider).login == "ada@books.example"


def test_a_provider_that_is_away_or_babbles_gives_a_sentence(provider: Provider, clock: Clock) -> None:
    client = made(provider, clock)
    client.begin("/")
    clock.ahead += timedelta(hours=2)  # what it says of itself is asked again
    provider.metadata = {"padding": "x" * 1_100_000}
    with pytest.raises(RefusedLogin, match="does not answer as it should"):
        client.begin("/")
    provider.close()
    with pytest.raises(RefusedLogin, match="does not answer as it should"):
        client.begin("/")
    client.close()
