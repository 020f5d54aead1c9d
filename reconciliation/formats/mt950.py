"""Reads SWIFT MT950, the statement message between banks: MT940 without :86:.

Issued by SWIFT (Standards MT, category 9). Public documents followed: the field descriptions in its User Handbook of
2006 and 2015. One line for each :61:, one statement for each :28C: number, its pages joined. Law: opening balance +
entries = closing balance, page by page and unbroken. An :86: that a bank sends all the same is read.

Settings: ``dialect`` and ``encoding``, see ``swift_mt_parts.reader``.

>>> import io
>>> from reconciliation.formats.card_numbers import KeyedCardTokens
>>> file = b":20:R\\n:25:123\\n:28C:1\\n:60F:C261115EUR1,\\n:61:261116C2,5S103E1//B1\\n:62F:C261116EUR3,5\\n"
>>> batches = []
>>> parsed = read(io.BytesIO(file), ReadOptions(card_tokens=KeyedCardTokens(bytes(range(32)))), batches.append)
>>> batches[0]["amount_minor"].to_pylist(), parsed.statements[0].closing_minor
([250], 350)
"""

from typing import BinaryIO, Final

from reconciliation.formats.canonical import Emit, ParsedDelivery, ReadOptions
from reconciliation.formats.swift_mt_parts.reader import read_messages, type_in

NAME: Final = "mt950"


def sniff(head: bytes) -> bool:
    """Whether the wrapper in the head says MT950; without one it cannot be told from MT940."""
    return type_in(head) == "950"


def read(stream: BinaryIO, options: ReadOptions, emit: Emit) -> ParsedDelivery:
    """Read and prove the file, or raise ``RefusedFile``; ``SourcesError`` for settings that are not known."""
    return read_messages(stream, options, emit, "950")
