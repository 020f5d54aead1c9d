"""Builds small IPM files for the reader's tests, byte by byte; shares no table or code with the reader."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from typing import Any

from reconciliation.formats import mastercard_ipm
from reconciliation.formats.canonical import ParsedDelivery, ReadOptions, WholeDelivery, read_whole
from reconciliation.formats.card_numbers import KeyedCardTokens

CARD = "5555555555554444"  # test numbers that schemes and processors publish; no account has them
OTHER_CARD = "5105105105105100"
CARDS = (CARD, OTHER_CARD, "2223003122003222", "6011111111111117", "4111111111111111", "378282246310005")
TOKENS = KeyedCardTokens(bytes(range(32)))
OPTIONS = ReadOptions(card_tokens=TOKENS)

FILE_ID = "0022611160000002555500017"
EUR, JPY, KWD, USD = "978", "392", "414", "840"
EXPONENTS = {EUR: "2", JPY: "0", KWD: "3", USD: "2"}

_LENGTH_DIGITS = dict.fromkeys((2, 31, 32, 33, 35, 43, 45, 93, 94, 95, 100), 2) | dict.fromkeys(
    (36, 48, 54, 55, 62, 63, 72, 105, 111, 123, 124, 125, 127), 3
)

Elements = dict[int, str]
Built = tuple[str, Elements]


def pds(**fields: str) -> str:
    """``pds(p0025="R")``: private data subelements in the order given."""
    return "".join(f"{name[1:]}{len(value):03d}{value}" for name, value in fields.items())


def fee(code: str, amount_minor: int, currency: str = EUR, settlement: str = "01") -> str:
    """One group of PDS 0146."""
    return f"00{code}{settlement}{currency}{amount_minor:012d}{currency}{amount_minor:012d}"


def sale(
    amount_minor: int = 10_000,
    *,
    currency: str = EUR,
    card: str = CARD,
    processing_code: str = "000000",
    fields: Mapping[str, str] | None = None,
    **elements: str,
) -> Built:
    """A 1240 first presentment; ``de31="…"`` adds or replaces an element."""
    exponents = "".join(
        f"{number}{EXPONENTS[number]}" for number in sorted({currency, elements.get("de50", currency)})
    )
    built: Elements = {
        2: card,
        3: processing_code,
        4: f"{amount_minor:012d}",
        12: "261115203000",
        24: "200",
        31: "74537606320000000000015",
        37: "632015000001",
        38: "A1B2C3",
        43: "BERG & TAL\\HAUPTSTR 1\\BASEL\\4051         CHE",
        48: pds(**{"p0023": "CT6", "p0148": exponents, **(fields or {})}),
        49: currency,
        63: " MCC1A2B3C1115  ",
        94: "00000255555",
    }
    built.update({int(name[2:]): value for name, value in elements.items()})
    return "1240", built


def as_type(message: Built, message_type: str, **elements: str) -> Built:
    """The same elements under another message type."""
    return message_type, message[1] | {int(name[2:]): value for name, value in elements.items()}


def header(file_id: str = FILE_ID, mode: str = "P") -> Built:
    return "1644", {24: "697", 48: pds(p0105=file_id, p0122=mode)}


def trailer(members: Sequence[Built], file_id: str = FILE_ID, **fields: str) -> Built:
    """The trailer that proves header, members and itself; ``p0301="…"`` falsifies it."""
    total = sum(int(elements[4]) for _, elements in members if 4 in elements)
    proof = {"p0105": file_id, "p0301": f"{total:016d}", "p0306": f"{len(members) + 2:08d}"}
    return "1644", {24: "695", 48: pds(**(proof | fields))}


def administrative(function: str, *, currency: str = EUR, settled_in: str = "", **fields: str) -> Built:
    """A 1644 with private data subelements; ``settled_in`` gives it a DE 50."""
    elements = {24: function, 48: pds(**fields), 49: currency}
    return "1644", elements | ({50: settled_in} if settled_in else {})


def logical_file(*members: Built, file_id: str = FILE_ID, mode: str = "P", **fields: str) -> list[Built]:
    """Header, members and trailer with message numbers from 1, unless a message has its own."""
    messages = [header(file_id, mode), *members, trailer(members, file_id, **fields)]
    return [
        (kind, {71: f"{number:08d}"} | elements) for number, (kind, elements) in enumerate(messages, start=1)
    ]


def encoded(message: Built, codec: str = "latin-1", *, hexadecimal: bool = False) -> bytes:
    """One message as bytes."""
    message_type, elements = message
    bits, body = 1 << 127, ""
    for number in sorted(elements):
        bits |= 1 << (128 - number)
        value = elements[number]
        digits = _LENGTH_DIGITS.get(number)
        body += f"{len(value):0{digits}d}{value}" if digits else value
    bitmap = bits.to_bytes(16)
    return (
        message_type.encode(codec)
        + (bitmap.hex().encode(codec) if hexadecimal else bitmap)
        + body.encode(codec)
    )


def framed(records: Sequence[bytes], *, blocked: bool = False, end: bytes = b"\0\0\0\0") -> bytes:
    """Length-prefixed records with their end marker, cut into 1014-byte blocks if asked."""
    data = b"".join(struct.pack(">I", len(record)) + record for record in records) + end
    if not blocked:
        return data
    return b"".join(
        data[at : at + 1012].ljust(1012, b"\x40") + b"\x40\x40" for at in range(0, len(data), 1012)
    )


def file_of(messages: Sequence[Built], codec: str = "latin-1", *, blocked: bool = False) -> bytes:
    return framed([encoded(message, codec) for message in messages], blocked=blocked)


def whole(data: bytes, **options: Any) -> WholeDelivery:
    return read_whole(mastercard_ipm, BytesIO(data), replace(OPTIONS, **options))


def parsed(data: bytes, **options: Any) -> ParsedDelivery:
    return whole(data, **options).parsed


def lines_of(data: bytes, **options: Any) -> list[dict[str, Any]]:
    """The lines without those of settlement."""
    rows: list[dict[str, Any]] = whole(data, **options).lines.to_pylist()
    return [row for row in rows if row["kind"] != "settlement"]
