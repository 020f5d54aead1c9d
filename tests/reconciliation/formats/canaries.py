"""Card numbers planted into every field of a file, and the search for them in whatever comes of it."""

import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

VISA, MASTERCARD = "4111111111111111", "5555555555554444"  # test numbers; no account has them
WRITINGS = (VISA, "5555-5555-5555-4444", "4111 1111 1111 1111", MASTERCARD)
FIXED_WIDTH = frozenset(
    {"mastercard.ipm", "visa.base2", "nacha", "coda", "cfonb120", "aeb43", "amex.grrcn", "amex.eptrn"}
)
COMPRESSED = frozenset({"mapped.parquet", "mapped.xlsx"})

_FIELD = re.compile(rb"[A-Za-z0-9][A-Za-z0-9 .+_-]{2,}")
_STEP = 7  # bytes; no field of sixteen escapes
# Alone, as far as digits go: of a longer row of digits nobody can say that sixteen of them are a card.
_FOUND = re.compile(
    "|".join(rf"(?<!\d){'[ -]?'.join(number)}(?!\d)" for number in (VISA, MASTERCARD)),
)


def places(name: str, content: bytes, length: int) -> list[tuple[int, int]]:
    """Where a file can hold a number of that length: each field, or each stretch of a fixed record."""
    if name not in FIXED_WIDTH:
        return [field.span() for field in _FIELD.finditer(content)]
    return [
        (at, at + length)
        for at in range(0, len(content) - length, _STEP)
        if name == "mastercard.ipm" or b"\n" not in content[at : at + length]
    ]


def planted(name: str, content: bytes, writing: str, codec: str = "latin-1") -> Iterator[bytes]:
    """The file once for each of its places, with the number there."""
    number = writing.encode(codec)
    for start, end in places(name, content, len(number)):
        yield content[:start] + number + content[end:]


def holds_card(value: object) -> bool:
    """Whether a planted number stands in a value as text, in whatever groups."""
    return _FOUND.search(str(value)) is not None


def leaks(lines: pa.Table) -> dict[str, Any]:
    """Columns of texts with a planted number, each with one of the values."""
    found = {}
    for column in lines.schema:
        if pa.types.is_string(column.type) and column.name != "fees":  # these are amounts
            hits = [text for text in lines[column.name].to_pylist() if holds_card(text or "")]
            if hits:
                found[column.name] = hits[0]
    return found
