"""One text for one value: the JSON that digests and signatures are made of. Pure.

Law: equal values give equal bytes, on any machine and in any year: keys sorted by code point, no blanks, text as UTF-8
and not escaped, numbers only whole. What has no such form is refused and never guessed at: a fraction, an instant
without a zone, a key that is no text. Dates are written as ISO 8601, instants in UTC with six decimals.

Example: ``{"b": 1, "a": date(2026, 11, 9)}`` is ``{"a":"2026-11-09","b":1}``.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any


def canonical_bytes(value: Any) -> bytes:
    """The canonical JSON of a value that ``plain`` accepts or that is plain already.

    Raises:
        TypeError: something in it has no canonical form.
    """
    return bytes_of_plain(plain(value))


def bytes_of_plain(value: Any) -> bytes:
    """The same of a value that ``plain`` made, without looking at all of it again."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def sha256_of(value: Any) -> str:
    """SHA-256 of the canonical JSON, in hex."""
    return hashlib.sha256(canonical_bytes(value)).hexdigest()


def plain(value: Any) -> Any:
    """The value made of mappings, lists, text, whole numbers, true, false and nothing."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("canonical JSON: expected keys of text, found others")
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    raise TypeError(
        f"canonical JSON: expected whole numbers, text, dates, lists and mappings, found {type(value).__name__}"
    )


def instant(at: datetime) -> str:
    """An instant in UTC, to the microsecond."""
    if at.tzinfo is None:
        raise TypeError("canonical JSON: expected an instant with its zone, found one without")
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
