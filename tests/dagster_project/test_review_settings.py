"""Settings of the web processes that are weak, missing or contradict each other do not start."""

from pathlib import Path

import pytest

from dagster_project.errors import SettingsError
from dagster_project.settings import read_settings
from dagster_project.web.review_settings import OidcSettings, ReviewSettings, review_settings

SECRET = "0123456789abcdef" * 4


def told(tmp_path: Path, **given: str) -> ReviewSettings:
    (tmp_path / "secret").write_text(SECRET + "\n")
    (tmp_path / "weak").write_text("a" * 64)
    (tmp_path / "short").write_text("hunter2")
    return review_settings(
        read_settings({f"TIEOUT_{name}": value for name, value in given.items()}, tmp_path)
    )


def test_without_settings_people_come_in_by_password_on_this_machine(tmp_path: Path) -> None:
    assert told(tmp_path) == ReviewSettings(
        base_url="http://127.0.0.1:8600", dagster_url="http://127.0.0.1:3000", identity="password"
    )
    other = review_settings(read_settings({}, tmp_path), review_port=9000, dagster_port=9001)
    assert (other.base_url, other.dagster_url) == ("http://127.0.0.1:9000", "http://127.0.0.1:9001")
    assert told(tmp_path, REVIEW_URL="http://[::1]:8600/").dagster_url == "http://[::1]:3000"
    assert told(tmp_path, REVIEW_URL="https://books.example").dagster_url == "https://books.example:3000"


def test_a_proxy_and_a_provider_are_taken_whole_and_their_secrets_are_not_shown(tmp_path: Path) -> None:
    proxy = told(tmp_path, IDENTITY="proxy", PROXY_HEADER="X-Remote-User", PROXY_SECRET_FILE="secret")
    assert (proxy.identity, proxy.proxy_header, proxy.proxy_secret) == ("proxy", "X-Remote-User", SECRET)
    oidc = told(
        tmp_path,
        IDENTITY="oidc",
        OIDC_ISSUER="https://id.example/realms/books",
        OIDC_CLIENT_ID="tieout",
        OIDC_SECRET_FILE="secret",
        OIDC_ROLES="realm_access.roles",
    )
    assert oidc.oidc == OidcSettings(
        issuer="https://id.example/realms/books",
        client_id="tieout",
        client_secret=SECRET,
        roles_claim="realm_access.roles",
    )
    assert SECRET not in repr(proxy) + repr(oidc)


PROXY = {"IDENTITY": "proxy", "PROXY_HEADER": "X-Remote-User", "PROXY_SECRET_FILE": "secret"}
OIDC = {"IDENTITY": "oidc", "OIDC_ISSUER": "https://id.example", "OIDC_CLIENT_ID": "tieout"}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"IDENTITY": "both"}, "TIEOUT_IDENTITY: expected password, proxy, oidc, found both"),
        (
            {"PROXY_HEADER": "X-Remote-User"},
            "expected proxy, because TIEOUT_PROXY_HEADER is set, found password",
        ),
        (PROXY | {"OIDC_ISSUER": "https://id.example"}, "expected oidc, because TIEOUT_OIDC_ISSUER is set"),
        (OIDC | {"PROXY_SECRET_FILE": "secret"}, "expected proxy, because TIEOUT_PROXY_SECRET_FILE is set"),
        (
            {"IDENTITY": "proxy", "PROXY_SECRET_FILE": "secret"},
            "TIEOUT_PROXY_HEADER: expected the name of a header",
        ),
        (PROXY | {"PROXY_HEADER": "Cookie"}, "TIEOUT_PROXY_HEADER: expected the name of a header"),
        (PROXY | {"PROXY_HEADER": "a b"}, "TIEOUT_PROXY_HEADER: expected the name of a header"),
        (
            {"IDENTITY": "proxy", "PROXY_HEADER": "X-User"},
            "TIEOUT_PROXY_SECRET_FILE: expected a file with a secret",
        ),
        (PROXY | {"PROXY_SECRET_FILE": "absent"}, "TIEOUT_PROXY_SECRET_FILE: expected a readable text"),
        (PROXY | {"PROXY_SECRET_FILE": "weak"}, "found a weaker one"),
        (PROXY | {"PROXY_SECRET_FILE": "short"}, "found a weaker one"),
        ({"IDENTITY": "oidc"}, "TIEOUT_OIDC_ISSUER: expected a value"),
        (
            {"IDENTITY": "oidc", "OIDC_ISSUER": "https://id.example"},
            "TIEOUT_OIDC_CLIENT_ID: expected a value",
        ),
        (OIDC | {"OIDC_ISSUER": "http://id.example"}, "TIEOUT_OIDC_ISSUER: expected https, found http"),
        (OIDC | {"OIDC_ROLES": "two words"}, "TIEOUT_OIDC_ROLES: expected the name of a claim"),
        (
            {"REVIEW_URL": "http://books.example"},
            "TIEOUT_REVIEW_URL: expected https, found http for books.example",
        ),
        ({"REVIEW_URL": "http://0.0.0.0:8600"}, "expected https, found http for 0.0.0.0"),
        ({"REVIEW_URL": "https://books.example/review"}, "expected an address without a path, found /review"),
        ({"REVIEW_URL": "https://ada:hunter2@books.example"}, "found something else"),
        ({"REVIEW_URL": "https://books.example:99999"}, "found something else"),
        ({"REVIEW_URL": "books.example"}, "found something else"),
        (
            {"REVIEW_URL": "https://books.example", "DAGSTER_URL": "https://dagster.example"},
            "expected the host of",
        ),
        ({"REVIEW_URL": "https://localhost", "DAGSTER_URL": "http://localhost:3000"}, "expected https like"),
    ],
)
def test_what_is_weak_or_contradicts_is_refused_in_a_sentence(
    given: dict[str, str], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError) as refused:
        told(tmp_path, **given)
    assert sentence in str(refused.value)
    assert "hunter2" not in str(refused.value)
