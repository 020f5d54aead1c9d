"""The way in by OpenID Connect: authorisation code flow with PKCE (OpenID Connect Core 1.0, RFC 7636, RFC 9207).

Laws: nobody comes in on an id_token that the provider's own key did not sign for us, for this very beginning (nonce),
not yet expired; a beginning is used once, by the browser that made it, within ten minutes. What goes wrong is said to
the person in a sentence without any token; tokens are kept nowhere.

State, nonce and verifier are not stored: they are made from the cookie's seed under a key of this process, so that the
cookie alone gives none of them away and a restart ends what was begun.

Example:
    url, cookie = client.begin("/exceptions")
    client.finish({"state": …, "code": …}, cookie).login  # 'ada'
"""

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import httpx2

from dagster_project.web.id_token import TokenKeys, claims_of
from dagster_project.web.review_settings import OidcSettings, is_loopback
from reconciliation.people.permissions import ROLES
from reconciliation.people.refusals import RefusedLogin
from reconciliation.people.registry import LOGIN, NAME_CHARACTERS_MAX
from reconciliation.people.sessions import RETURN_PATH, OidcIdentity

LIFETIME: Final = timedelta(minutes=10)
METADATA_LIFETIME: Final = timedelta(hours=1)
COOKIE_CHARACTERS_MAX: Final = 2_700  # 3,700 with its signature, as browsers keep 4,096
ANSWER_BYTES_MAX: Final = 1_000_000
USED_MAX: Final = 100_000  # beginnings remembered as used; far more than people log in within ten minutes
TIMEOUT: Final = httpx2.Timeout(10, connect=5)
_NO_ANSWER: Final = (
    "The identity provider does not answer as it should; try again in a minute, or ask your operator."
)
_BEGIN_AGAIN: Final = "This login was begun elsewhere or took too long; begin again."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Metadata:
    """What the provider says of itself, as far as it is needed."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    secret_in_body: bool
    names_itself: bool
    read_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class _Beginning:
    """One login on its way; all secrets come from its seed."""

    seed: str
    next_path: str
    state: str
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)


class OpenIdConnect:
    """One provider, for the life of the process; safe for many threads. Network only when somebody logs in."""

    def __init__(
        self, settings: OidcSettings, *, base_url: str, now: Callable[[], datetime], token: Callable[[], str]
    ) -> None:
        self._settings = settings
        self._return_url = base_url + RETURN_PATH
        self._now = now
        self._token = token
        self._key = token().encode()
        self._used: dict[str, datetime] = {}
        self._metadata: _Metadata | None = None
        self._lock = threading.Lock()
        self._keys = TokenKeys(now)
        self._http = httpx2.Client(
            timeout=TIMEOUT,
            follow_redirects=False,
            # A provider on this machine is not asked through somebody else's.
            trust_env=not is_loopback(urlsplit(settings.issuer).hostname),
        )

    def close(self) -> None:
        """Close the connections to the provider."""
        self._http.close()

    def begin(self, next_path: str) -> tuple[str, str]:
        """URL of the provider to go to, and the value of the cookie to come back with.

        Raises:
            RefusedLogin: the provider does not answer.
        """
        metadata = self._provider()
        until = int((self._now() + LIFETIME).timestamp())
        content = json.dumps([self._token(), until, next_path], separators=(",", ":"))
        if len(content) > COOKIE_CHARACTERS_MAX:
            content = json.dumps([self._token(), until, "/"], separators=(",", ":"))
        begun = self._beginning(content)
        challenge = _base64url(hashlib.sha256(begun.verifier.encode()).digest())
        query = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": self._return_url,
            "scope": "openid profile email",
            "state": begun.state,
            "nonce": begun.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        joint = "&" if urlsplit(metadata.authorization_endpoint).query else "?"
        url = f"{metadata.authorization_endpoint}{joint}{urlencode(query)}"
        return url, f"{_base64url(content.encode())}.{self._made_from('cookie', content)}"

    def finish(self, query: Mapping[str, str], cookie_value: str) -> OidcIdentity:
        """Whom the provider vouches for; the beginning is used up, whatever comes of it.

        Raises:
            RefusedLogin: anything does not hold.
        """
        begun = self._opened(cookie_value)
        if not hmac.compare_digest(begun.state.encode(), query.get("state", "").encode("utf-8", "replace")):
            raise RefusedLogin(_BEGIN_AGAIN)
        self._use_up(begun.seed)
        metadata = self._provider()
        issuer = query.get("iss", None if metadata.names_itself else self._settings.issuer)
        if issuer != self._settings.issuer:
            raise RefusedLogin("The answer came from another identity provider than ours; begin again.")
        if "error" in query or not query.get("code"):
            raise RefusedLogin("The identity provider did not let you in; begin again, or ask your operator.")
        id_token = self._redeemed(metadata, query["code"], begun.verifier)
        claims = claims_of(
            id_token,
            self._keys,
            fetch=lambda: self._json(self._http.build_request("GET", metadata.jwks_uri)),
            issuer=self._settings.issuer,
            client_id=self._settings.client_id,
        )
        if not hmac.compare_digest(str(claims["nonce"]).encode("utf-8", "replace"), begun.nonce.encode()):
            raise RefusedLogin("The identity provider's answer belongs to another login; begin again.")
        return _identity(claims, roles_claim=self._settings.roles_claim)

    def next_path(self, cookie_value: str) -> str:
        """The page that was wanted at the beginning; '/' for a cookie that is none of ours."""
        try:
            return self._opened(cookie_value).next_path
        except RefusedLogin:
            return "/"

    def _redeemed(self, metadata: _Metadata, code: str, verifier: str) -> str:
        """The id_token that a code stands for."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._return_url,
            "code_verifier": verifier,
        }
        secret = self._settings.client_secret
        headers = {"Accept": "application/json"}
        if secret is None or metadata.secret_in_body:
            form["client_id"] = self._settings.client_id
        if secret is not None and metadata.secret_in_body:
            form["client_secret"] = secret
        elif secret is not None:  # RFC 6749 2.3.1: both are form-encoded first
            pair = urlencode({self._settings.client_id: secret}).replace("=", ":", 1)
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        answer = self._json(
            self._http.build_request("POST", metadata.token_endpoint, data=form, headers=headers)
        )
        id_token = answer.get("id_token")
        if not isinstance(id_token, str):
            raise RefusedLogin(_NO_ANSWER)
        return id_token

    def _provider(self) -> _Metadata:
        """What the provider says of itself, read again once an hour."""
        with self._lock:
            known = self._metadata
        if known is None or self._now() - known.read_at > METADATA_LIFETIME:
            place = self._settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
            known = self._described(self._json(self._http.build_request("GET", place)))
            with self._lock:
                self._metadata = known
        return known

    def _described(self, answer: Mapping[str, Any]) -> _Metadata:
        if answer.get("issuer") != self._settings.issuer:
            raise RefusedLogin(_NO_ANSWER)
        methods = answer.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        places = {
            name: str(answer.get(name, ""))
            for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")
        }
        if not all(_is_safe(place) for place in places.values()):
            raise RefusedLogin(_NO_ANSWER)
        return _Metadata(
            **places,
            secret_in_body="client_secret_post" in methods and "client_secret_basic" not in methods,
            names_itself=answer.get("authorization_response_iss_parameter_supported") is True,
            read_at=self._now(),
        )

    def _json(self, request: httpx2.Request) -> Mapping[str, Any]:
        """The object that the provider answers with."""
        body = bytearray()
        try:
            response = self._http.send(request, stream=True)
            try:
                for part in response.iter_bytes():
                    body += part
                    if len(body) > ANSWER_BYTES_MAX:
                        raise RefusedLogin(_NO_ANSWER)
            finally:
                response.close()
            answer = json.loads(body) if response.status_code == httpx2.codes.OK else None
        except (httpx2.HTTPError, ValueError, RecursionError):
            raise RefusedLogin(_NO_ANSWER) from None
        if not isinstance(answer, dict):
            raise RefusedLogin(_NO_ANSWER)
        return answer

    def _opened(self, cookie_value: str) -> _Beginning:
        """The beginning that a cookie of ours holds, while it is fresh."""
        encoded, _, signature = cookie_value.partition(".")
        try:
            content = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
        except ValueError:
            raise RefusedLogin(_BEGIN_AGAIN) from None
        if not hmac.compare_digest(
            self._made_from("cookie", content).encode(), signature.encode("utf-8", "replace")
        ):
            raise RefusedLogin(_BEGIN_AGAIN)
        if json.loads(content)[1] < self._now().timestamp():
            raise RefusedLogin(_BEGIN_AGAIN)
        return self._beginning(content)

    def _beginning(self, content: str) -> _Beginning:
        seed, _, next_path = json.loads(content)
        return _Beginning(
            seed=seed,
            next_path=next_path,
            state=self._made_from("state", seed),
            nonce=self._made_from("nonce", seed),
            verifier=self._made_from("verifier", seed),
        )

    def _made_from(self, what: str, text: str) -> str:
        return _base64url(hmac.new(self._key, f"{what} {text}".encode(), hashlib.sha256).digest())

    def _use_up(self, seed: str) -> None:
        with self._lock:
            now = self._now()
            for old in [known for known, until in self._used.items() if until < now]:
                del self._used[old]
            if seed in self._used or len(self._used) >= USED_MAX:
                raise RefusedLogin(_BEGIN_AGAIN)
            self._used[seed] = now + LIFETIME


def _identity(claims: Mapping[str, Any], *, roles_claim: str | None) -> OidcIdentity:
    """The person that the claims tell of: the name they log in by, else a verified address, else the subject."""
    named = claims.get("preferred_username") or (
        claims.get("email") if claims.get("email_verified") is True else None
    )
    login = str(named or claims["sub"]).strip().lower()
    if not LOGIN.fullmatch(login):
        raise RefusedLogin(
            "The identity provider names you in a way that is no login here; ask your operator."
        )
    shown = "".join(sign for sign in str(claims.get("name") or login) if sign.isprintable())
    shown = shown.strip()[:NAME_CHARACTERS_MAX].strip()
    roles = None if roles_claim is None else _roles(claims, roles_claim)
    if roles == ():
        raise RefusedLogin(f"{login} has no role here; ask whoever gives out roles at the identity provider.")
    return OidcIdentity(login=login, name=shown or login, roles=roles)


def _roles(claims: Mapping[str, Any], roles_claim: str) -> tuple[str, ...]:
    """Roles of ours among what a claim holds: a list, or words with spaces between."""
    found: Any = claims.get(roles_claim)
    if found is None:
        found = claims
        for step in roles_claim.split("."):
            found = found.get(step) if isinstance(found, Mapping) else None
    words = found.split() if isinstance(found, str) else found if isinstance(found, list) else []
    return tuple(role for role in ROLES if role in words)


def _is_safe(place: str) -> bool:
    """Whether secrets may travel there."""
    try:
        parts = urlsplit(place)
    except ValueError:
        return False
    return bool(parts.hostname) and (
        parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname))
    )


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")
