"""Reads PayPal's settlement report (STL): every movement of a day on a PayPal account, with its balances by currency.

Follows PayPal's public Settlement Report Specification, version 9 (developer.paypal.com, reports by SFTP). One
``Statement`` per section and currency, with the opening and closing balance of its footer. Law: the rows add up to
every total, count and balance that the report states, and the file ends with its footer, or it is refused. An export
that starts at a section header is read if the section's own footers prove it. Settings: ``implied_decimals`` (``iso``
or ``2``: see ``paypal_parts.amounts``), ``balance`` (``available``, the default, or ``total``: the one that the rows
move).

>>> import io, sys
>>> from reconciliation.formats.canonical import read_whole
>>> from reconciliation.formats.card_numbers import KeyedCardTokens
>>> names = "Transaction ID,Transaction Event Code,Transaction Completion Date,Transaction Debit or Credit"
>>> text = f'''SH,2026/11/16 00:00:00 -0800,2026/11/16 23:59:59 -0800,SHOP
... CH,{names},Gross Transaction Amount,Gross Transaction Currency
... SB,7AB,T0006,2026/11/16 09:00:00 -0800,CR,1250,USD
... SF,USD,1250,0,0,0,CR,0,CR,1250,1
... SC,1
... '''
>>> options = ReadOptions(card_tokens=KeyedCardTokens(bytes(32)))
>>> whole = read_whole(sys.modules[__name__], io.BytesIO(text.encode()), options)
>>> whole.parsed.statements[0].proofs[-1]
'available balance 0.00 + 12.50 = 12.50 USD'
"""

from typing import BinaryIO, Final

from reconciliation.formats.canonical import Emit, ParsedDelivery, ReadOptions
from reconciliation.formats.paypal_parts.report import looks_like, read_report

NAME: Final = "paypal.stl"


def sniff(head: bytes) -> bool:
    """Whether the head has the rows and columns of this report."""
    return looks_like(head, with_status=False)


def read(stream: BinaryIO, options: ReadOptions, emit: Emit) -> ParsedDelivery:
    """Read and prove one report, or raise ``RefusedFile``; ``SourcesError`` for settings that are not known."""
    return read_report(stream, options, emit, name=NAME, with_status=False)
