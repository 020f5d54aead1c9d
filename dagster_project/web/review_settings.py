"""What the settings mean for the two web processes, the review app and the guard; weak or clashing ones are refused.

Laws: people say who they are in one way, never in two; over a network they are asked by https alone; whoever may name a
person in a header proves by a secret that they are the proxy. Both processes listen on the loopback address; what is
named here is where people reach them, through a proxy of the user's own where that is another machine. A secret is read
from its file once and is in no `repr` and no message.

Example:
    review_settings(settings, review_port=8600, dagster_port=3000).base_url  # 'http://127.0.0.1:8600'
"""

import ipaddress
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, get_args
from urllib.parse import urlsplit

from dagster_project.errors import SettingsError
from dagster_project.settings import Settings

Identity = Literal["password", "proxy", "oidc"]

IDENTITIES: Final[tuple[Identity, ...]] = get_args(Identity)
LOOPBACK: Final = "127.0.0.1"
REVIEW_PORT, DAGSTER_PORT = 8600, 3000
SHORTEST_SECRET: Final = 32
_HEADER: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{1,63}")
_CLAIM: Final = re.compile(r"[!-~]{1,200}")
# What a browser sends by itself, or a page can make it send: no proof of a person.
_HEADERS_OF_BROWSERS: Final = frozenset(
    ("accept", "accept-encoding", "accept-language", "authorization", "connection", "content-length", "content-type",
     "cookie", "host", "origin", "referer", "user-agent")
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcSettings:
    """An identity provider and who we are there. ``roles_claim`` is a claim, or a path of them with dots between."""

    issuer: str
    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    roles_claim: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewSettings:
    """Where people reach the app and Dagster's UI, and how they say who they are."""

    base_url: str
    dagster_url: str
    identity: Identity
    proxy_header: str | None = None
    proxy_secret: str | None = field(default=None, repr=False)
    oidc: OidcSettings | None = None


def review_settings(
    settings: Settings, *, review_port: int = REVIEW_PORT, dagster_port: int = DAGSTER_PORT
) -> ReviewSettings:
    """What both processes need to know. Reads the files of secrets.

    Raises:
        SettingsError: a setting is weak, missing, or contradicts another.
    """
    base_url = _public_url(
        "TIEOUT_REVIEW_URL", settings.review_url or f"http://{LOOPBACK}:{review_port}", with_path=False
    )
    dagster_url = _public_url(
        "TIEOUT_DAGSTER_URL", settings.dagster_url or _beside(base_url, dagster_port), with_path=False
    )
    if urlsplit(base_url).hostname != urlsplit(dagster_url).hostname:
        raise SettingsError(
            f"TIEOUT_DAGSTER_URL: expected the host of TIEOUT_REVIEW_URL, {urlsplit(base_url).hostname}, found "
            f"{urlsplit(dagster_url).hostname}; one login serves both only where browsers see one host"
        )
    if urlsplit(base_url).scheme != urlsplit(dagster_url).scheme:
        raise SettingsError(
            f"TIEOUT_DAGSTER_URL: expected {urlsplit(base_url).scheme} like TIEOUT_REVIEW_URL, found "
            f"{urlsplit(dagster_url).scheme}"
        )
    identity = _identity(settings.identity)
    _refuse_two_identities(settings)
    return ReviewSettings(
        base_url=base_url,
        dagster_url=dagster_url,
        identity=identity,
        proxy_header=_proxy_header(settings) if settings.identity == "proxy" else None,
        proxy_secret=_secret("TIEOUT_PROXY_SECRET_FILE", settings.proxy_secret_file)
        if settings.identity == "proxy"
        else None,
        oidc=_oidc(settings) if settings.identity == "oidc" else None,
    )


def is_loopback(host: str | None) -> bool:
    """Whether a host is this machine for itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _identity(word: str) -> Identity:
    for known in IDENTITIES:
        if word == known:
            return known
    raise SettingsError(f"TIEOUT_IDENTITY: expected {', '.join(IDENTITIES)}, found {word}")


def _refuse_two_identities(settings: Settings) -> None:
    """What belongs to another identity than the one chosen is a mistake that somebody would rely on."""
    given = {
        "proxy": {
            "TIEOUT_PROXY_HEADER": settings.proxy_header,
            "TIEOUT_PROXY_SECRET_FILE": settings.proxy_secret_file,
        },
        "oidc": {
            "TIEOUT_OIDC_ISSUER": settings.oidc_issuer,
            "TIEOUT_OIDC_CLIENT_ID": settings.oidc_client_id,
            "TIEOUT_OIDC_SECRET_FILE": settings.oidc_secret_file,
            "TIEOUT_OIDC_ROLES": settings.oidc_roles,
        },
    }
    for identity, values in given.items():
        found = [name for name, value in values.items() if value is not None]
        if found and settings.identity != identity:
            raise SettingsError(
                f"TIEOUT_IDENTITY: expected {identity}, because {' and '.join(found)} is set, found "
                f"{settings.identity}; people say who they are in one way only: unset what is not meant"
            )


def _public_url(name: str, text: str, *, with_path: bool) -> str:
    """The URL without a slash at its end."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    plain = not (parts.username or parts.password or parts.query or parts.fragment)
    if parts.scheme not in ("http", "https") or not host or not plain or port == 0 or not text.isprintable():
        raise SettingsError(f"{name}: expected https://host[:port], found something else")
    if parts.path.strip("/") and not with_path:
        raise SettingsError(
            f"{name}: expected an address without a path, found {parts.path}; give it a host or port of its own"
        )
    if parts.scheme == "http" and not is_loopback(host):
        raise SettingsError(
            f"{name}: expected https, found http for {host}: passwords and sessions would cross the network in the "
            "clear. Put a proxy with TLS before it, or use 127.0.0.1."
        )
    return text.rstrip("/")


def _beside(base_url: str, dagster_port: int) -> str:
    """Dagster's UI on the same host, where nobody said where it is."""
    parts = urlsplit(base_url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}:{dagster_port}"


def _proxy_header(settings: Settings) -> str:
    header = settings.proxy_header
    if header is None or not _HEADER.fullmatch(header) or header.lower() in _HEADERS_OF_BROWSERS:
        raise SettingsError(
            "TIEOUT_PROXY_HEADER: expected the name of a header that the proxy sets and takes from nobody, such as "
            f"X-Remote-User, found {header or 'none'}"
        )
    return header


def _oidc(settings: Settings) -> OidcSettings:
    if settings.oidc_issuer is None or settings.oidc_client_id is None:
        missing = "TIEOUT_OIDC_ISSUER" if settings.oidc_issuer is None else "TIEOUT_OIDC_CLIENT_ID"
        raise SettingsError(f"{missing}: expected a value, because TIEOUT_IDENTITY is oidc, found none")
    if settings.oidc_roles is not None and not _CLAIM.fullmatch(settings.oidc_roles):
        raise SettingsError("TIEOUT_OIDC_ROLES: expected the name of a claim, found other text")
    _public_url("TIEOUT_OIDC_ISSUER", settings.oidc_issuer, with_path=True)
    secret_file = settings.oidc_secret_file
    return OidcSettings(
        issuer=settings.oidc_issuer,  # as given: it is compared letter by letter
        client_id=settings.oidc_client_id,
        client_secret=None
        if secret_file is None
        else _secret("TIEOUT_OIDC_SECRET_FILE", secret_file, shortest=8),
        roles_claim=settings.oidc_roles,
    )


def _secret(name: str, path: Path | None, *, shortest: int = SHORTEST_SECRET) -> str:
    if path is None:
        raise SettingsError(
            f"{name}: expected a file with a secret of at least {shortest} characters, found none; make one with: "
            "openssl rand -hex 32"
        )
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{name}: expected a readable text at {path}, found none") from error
    if len(secret) < shortest or not secret.isascii() or not secret.isprintable() or len(set(secret)) < 6:
        raise SettingsError(
            f"{name}: expected a secret of at least {shortest} characters that nobody guesses at {path}, found a "
            "weaker one; make one with: openssl rand -hex 32"
        )
    return secret
