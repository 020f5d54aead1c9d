"""Hashes of passwords: slow on purpose, with their parameters in the text, so that they can be raised later.

Laws: a password is in no message; comparing takes the same time wherever the difference is; an unknown name costs the
same work as a known one (``wasted_check``). scrypt is RFC 7914; 32 MB and about 0.1 s a check. Makes no salt: it is
passed in, 16 bytes.

Example:
    hash_password("correct horse battery", salt=bytes(16))  # 'scrypt$32768$8$1$AAAA…$…'
"""

import base64
import binascii
import hashlib
import hmac
import unicodedata
from typing import Final

from reconciliation.errors import ReconciliationError

SHORTEST: Final = 12
LONGEST: Final = 1024  # characters; nobody types more, and what is hashed has a bound
SALT_BYTES: Final = 16
COST: Final = (2**15, 8, 1)  # n, r, p: OWASP's row of scrypt with 32 MB
_HASH_BYTES: Final = 32
_HIGHEST_COST: Final = (2**20, 16, 8)  # a text that asks for more is none of ours


class WeakPassword(ReconciliationError):
    """A password that is too short, too long, or the login itself. The message does not show it."""


def refuse_weak(password: str, *, login: str) -> None:
    """Nothing for a password that will do.

    Raises:
        WeakPassword: it will not.
    """
    found = _normal(password)
    if not SHORTEST <= len(found) <= LONGEST:
        raise WeakPassword(
            f"password of {login}: expected {SHORTEST} to {LONGEST} characters, found {len(found)}; choose another"
        )
    if not _encoded(found):
        raise WeakPassword(
            f"password of {login}: expected text, found characters that are none; choose another"
        )
    if login.casefold() in (found.casefold(), found.casefold()[::-1]) or len(set(found)) < 3:
        raise WeakPassword(
            f"password of {login}: expected something nobody guesses, found the login itself or two characters over "
            "and over; choose another"
        )


def hash_password(password: str, *, salt: bytes) -> str:
    """The text to keep. ``salt`` is 16 random bytes, new for each password."""
    if len(salt) != SALT_BYTES:
        raise ValueError(f"a salt has {SALT_BYTES} bytes, not {len(salt)}")
    hashed = _scrypt(password, salt, COST)
    return "$".join(("scrypt", *map(str, COST), _text(salt), _text(hashed)))


def password_fits(password: str, stored: str) -> bool:
    """Whether it is the password that the text was made of; never for a text that is no hash of ours."""
    parsed = _parsed(stored)
    if parsed is None:
        wasted_check(password)
        return False
    cost, salt, expected = parsed
    return hmac.compare_digest(_scrypt(password, salt, cost), expected) and _fits_bounds(password)


def wasted_check(password: str) -> None:
    """As much work as a real check, for a name that nobody has: the answer must not come sooner."""
    hmac.compare_digest(_scrypt(password, bytes(SALT_BYTES), COST), bytes(_HASH_BYTES))


def is_outdated(stored: str) -> bool:
    """Whether it was made with less work than is asked for now; to be made again at the next good login."""
    parsed = _parsed(stored)
    return parsed is None or any(had < wanted for had, wanted in zip(parsed[0], COST, strict=True))


def _parsed(stored: str) -> tuple[tuple[int, int, int], bytes, bytes] | None:
    method, *parts = stored.split("$")
    if method != "scrypt" or len(parts) != 5:
        return None
    numbers = tuple(int(part) if part.isascii() and part.isdecimal() else 0 for part in parts[:3])
    n, r, p = numbers
    if any(not 1 <= number <= most for number, most in zip(numbers, _HIGHEST_COST, strict=True)) or n & (
        n - 1
    ):
        return None
    try:
        salt, expected = (base64.b64decode(part, validate=True) for part in parts[3:])
    except (binascii.Error, ValueError):
        return None
    return ((n, r, p), salt, expected) if n > 1 and len(expected) == _HASH_BYTES else None


def _scrypt(password: str, salt: bytes, cost: tuple[int, int, int]) -> bytes:
    n, r, p = cost
    text = _encoded(_normal(password[:LONGEST]))
    return hashlib.scrypt(text, salt=salt, n=n, r=r, p=p, maxmem=192 * r * (n + p), dklen=_HASH_BYTES)


def _fits_bounds(password: str) -> bool:
    """Whether the whole of it was looked at."""
    return len(password) <= LONGEST and bool(_encoded(password))


def _normal(password: str) -> str:
    """One spelling for what looks the same: an accent typed on another keyboard is the same password."""
    return unicodedata.normalize("NFKC", password)


def _encoded(text: str) -> bytes:
    """Its bytes; none for what is no text."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return b""


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")
