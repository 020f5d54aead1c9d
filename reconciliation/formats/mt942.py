"""Reads SWIFT MT942, the interim transaction report: what happened on an account since the last one, within the day.

Issued by SWIFT (Standards MT, category 9). Public documents followed: the field descriptions in its User Handbook of
2006 and 2015. One line for each :61:, one interim statement for each message. Law: the entries give the counts and sums
of :90D: and :90C: where these are stated; a report without them must have its end mark. Entries marked EC and ED are
expected, not booked. There are no balances.

Settings: ``dialect`` and ``encoding``, see ``swift_mt_parts.reader``.

>>> import io
>>> from reconciliation.formats.card_numbers import KeyedCardTokens
>>> file = b":20:R\\n:25:NL13TEST0123456789\\n:28C:1\\n:34F:EUR0,\\n:61:261116C2,5NTRFE1\\n:90C:1EUR2,5\\n-\\n"
>>> batches = []
>>> parsed = read(io.BytesIO(file), ReadOptions(card_tokens=KeyedCardTokens(bytes(range(32)))), batches.append)
>>> batches[0]["amount_minor"].to_pylist(), parsed.statements[0].interim
([250], True)
"""

from typing import BinaryIO, Final

from reconciliation.formats.canonical import Emit, ParsedDelivery, ReadOptions
from reconciliation.formats.swift_mt_parts.reader import read_messages, type_in

NAME: Final = "mt942"


def sniff(head: bytes) -> bool:
    """Whether the head is of a message with floor limits or sums and no balances, or its wrapper says MT942."""
    return type_in(head) == "942"


def read(stream: BinaryIO, options: ReadOptions, emit: Emit) -> ParsedDelivery:
    """Read and prove the file, or raise ``RefusedFile``; ``SourcesError`` for settings that are not known."""
    return read_messages(stream, options, emit, "942")
