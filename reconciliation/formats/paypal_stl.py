"""Reads PayPal's settlement report (STL): every movement of a day on a PayPal account, with its balances by currency.

Follows PayPal's public Settlement Report Specification, version 9 (developer.paypal.com, reports by SFTP). One
``Statement`` per section and currency, with the opening and closing balance of its footer. Law: the rows add up to
every total, count and balance that the report states, and the file ends with its footer, or it is refused. An export
that starts at a section header is read if the section's own footers prove it. Settings: ``implied_decimals`` (``iso``
or ``2``: see ``paypal_amounts``), ``balance`` (``available``, the default, or ``total``: the one that the rows move).
"""

from typing import BinaryIO, Final

from reconciliation.formats.canonical import Emit, ParsedDelivery, ReadOptions
from reconciliation.formats.paypal_report import looks_like, read_report

NAME: Final = "paypal.stl"


def sniff(head: bytes) -> bool:
    """Whether the head has the rows and columns of this report."""
    return looks_like(head, with_status=False)


def read(stream: BinaryIO, options: ReadOptions, emit: Emit) -> ParsedDelivery:
    """Read and prove one report, or raise ``RefusedFile``; ``SourcesError`` for settings that are not known."""
    return read_report(stream, options, emit, name=NAME, with_status=False)
