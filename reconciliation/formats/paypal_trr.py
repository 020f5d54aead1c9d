"""Reads PayPal's transaction detail report (TRR): every transaction of a day, whether it moves the balance or not.

Follows PayPal's public Transaction Detail Report Specification (developer.paypal.com, reports by SFTP). One
``Statement`` per section and currency; the report states no balances, only counts, and totals in some versions. Law:
only status S moves money (P is pending; V, D and F are information), and every count and total is proved. The
settlement report proves more; take this one where names and texts are wanted. Settings as for the settlement report.
"""

from typing import BinaryIO, Final

from reconciliation.formats.canonical import Emit, ParsedDelivery, ReadOptions
from reconciliation.formats.paypal_parts.report import looks_like, read_report

NAME: Final = "paypal.trr"


def sniff(head: bytes) -> bool:
    """Whether the head has the rows and columns of this report."""
    return looks_like(head, with_status=True)


def read(stream: BinaryIO, options: ReadOptions, emit: Emit) -> ParsedDelivery:
    """Read and prove one report, or raise ``RefusedFile``; ``SourcesError`` for settings that are not known."""
    return read_report(stream, options, emit, name=NAME, with_status=True)
