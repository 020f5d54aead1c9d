"""Reads SWIFT MT940, the customer statement message, as banks send it: wrapped or bare, with the :86: of many banks.

Issued by SWIFT (Standards MT, category 9). Public documents followed: the field descriptions in its User Handbook of
2006 and 2015 and, for :86:, the banks' own pages (see ``swift_mt_parts.dialects``). One line for each :61:, one
statement for each :28C: number, its pages joined. Law: opening balance + entries = closing balance, page by page and
unbroken. It tells no batch apart: MT940 has none. ``native_id`` stays empty, because a bank's reference may come again.

Settings: ``dialect`` and ``encoding``, see ``swift_mt_parts.reader``.

>>> import io
>>> from reconciliation.formats.card_numbers import KeyedCardTokens
>>> file = b":20:R\\n:25:NL13TEST0123456789\\n:28C:1\\n:60F:C261115EUR1,\\n:61:261116C2,5NTRFE1\\n:62F:C261116EUR3,5\\n"
>>> batches = []
>>> parsed = read(io.BytesIO(file), ReadOptions(card_tokens=KeyedCardTokens(bytes(range(32)))), batches.append)
>>> batches[0]["amount_minor"].to_pylist(), parsed.statements[0].closing_minor
([250], 350)
"""

from typing import BinaryIO, Final

from reconciliation.formats.canonical import Emit, ParsedDelivery, ReadOptions
from reconciliation.formats.swift_mt_parts.reader import read_messages, type_in

NAME: Final = "mt940"


def sniff(head: bytes) -> bool:
    """Whether the head has a :20: and further fields of a statement, and names no other message."""
    return type_in(head) == "940"


def read(stream: BinaryIO, options: ReadOptions, emit: Emit) -> ParsedDelivery:
    """Read and prove the file, or raise ``RefusedFile``; ``SourcesError`` for settings that are not known."""
    return read_messages(stream, options, emit, "940")
