"""Whether an id_token is the provider's word to us: signature, issuer, audience, time (OpenID Connect Core, 3.1.3.7).

Law: the algorithm is RS256, ES256 or EdDSA; `none` and those with a shared secret never count. The key is the
provider's and made for that algorithm. What does not hold gives a `RefusedLogin` whose sentence shows nothing of the
token. Does not look at the nonce's value.
"""

import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import jwt

from reconciliation.people.refusals import RefusedLogin

ALGORITHMS: Final = ("RS256", "ES256", "EdDSA")
CLOCKS_APART: Final = timedelta(seconds=60)
KEYS_LIFETIME: Final = timedelta(hours=1)
KEYS_PAUSE: Final = timedelta(
    seconds=30
)  # a token with an unknown key makes nobody ask for the keys all the time
TOKEN_CHARACTERS_MAX: Final = 100_000
_REQUIRED: Final = ("iss", "sub", "aud", "exp", "iat", "nonce")
_NOT_SOUND: Final = "The identity provider's answer does not hold ({}); begin again, or ask your operator."

Fetch = Callable[[], Mapping[str, Any]]


class TokenKeys:
    """The provider's keys, fetched again when old, or when a token names one that is not among them."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._known: list[jwt.PyJWK] = []
        self._read_at: datetime | None = None

    def key_for(self, key_id: str | None, algorithm: str, fetch: Fetch) -> jwt.PyJWK | None:
        """The key that a token names; without a name, the only one that fits."""
        with self._lock:
            if self._is_older_than(KEYS_LIFETIME):
                self._read(fetch)
            found = self._fitting(key_id, algorithm)
            if found is None and self._is_older_than(KEYS_PAUSE):
                self._read(fetch)
                found = self._fitting(key_id, algorithm)
            return found

    def _is_older_than(self, age: timedelta) -> bool:
        return self._read_at is None or self._now() - self._read_at > age

    def _read(self, fetch: Fetch) -> None:
        try:
            self._known = jwt.PyJWKSet.from_dict(dict(fetch())).keys
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
            raise RefusedLogin(_NOT_SOUND.format("its keys")) from None
        self._read_at = self._now()

    def _fitting(self, key_id: str | None, algorithm: str) -> jwt.PyJWK | None:
        fitting = [
            key
            for key in self._known
            if key.algorithm_name == algorithm
            and key.public_key_use in (None, "sig")
            and key_id in (None, key.key_id)
        ]
        return fitting[0] if len(fitting) == 1 else None


def claims_of(
    id_token: str, keys: TokenKeys, *, fetch: Fetch, issuer: str, client_id: str
) -> Mapping[str, Any]:
    """What the token says, once all of it but the nonce's value is found to hold.

    Raises:
        RefusedLogin: something does not.
    """
    if len(id_token) > TOKEN_CHARACTERS_MAX:
        raise RefusedLogin(_NOT_SOUND.format("its length"))
    try:
        header = jwt.get_unverified_header(id_token)
        algorithm = header.get("alg")
        if algorithm not in ALGORITHMS:
            raise RefusedLogin(_NOT_SOUND.format("its signature"))
        key = keys.key_for(header.get("kid"), algorithm, fetch)
        if key is None:
            raise RefusedLogin(_NOT_SOUND.format("its signature"))
        claims: dict[str, Any] = jwt.decode(
            id_token,
            key,
            algorithms=[algorithm],
            audience=client_id,
            issuer=issuer,
            leeway=CLOCKS_APART,
            options={"require": list(_REQUIRED)},
        )
    except jwt.ExpiredSignatureError:
        raise RefusedLogin(_NOT_SOUND.format("it is too old")) from None
    except jwt.InvalidAudienceError:
        raise RefusedLogin(_NOT_SOUND.format("it is for somebody else")) from None
    except jwt.InvalidSignatureError:
        raise RefusedLogin(_NOT_SOUND.format("its signature")) from None
    except (jwt.PyJWTError, ValueError, TypeError):
        raise RefusedLogin(_NOT_SOUND.format("its form")) from None
    audience = claims["aud"]
    other = claims.get("azp", client_id) != client_id
    if other or (isinstance(audience, list) and len(audience) > 1 and "azp" not in claims):
        raise RefusedLogin(_NOT_SOUND.format("it is for somebody else"))
    return claims
