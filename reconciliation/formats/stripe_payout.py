"""Reads Stripe's itemised payout reconciliation report (CSV), whatever set of its documented columns it was run with.

Public document: docs.stripe.com/reports/report-types/payout-reconciliation.

One line per balance transaction, one ``Statement`` per currency; the report states no balances. Law: net = gross - fee
in every row, and the rows of a payout and the payout itself sum to zero wherever the file holds both; else it is
refused. Worked example: charge 25.00 - 0.95 = 24.05, refund -10.00, payout -14.05, and 24.05 - 10.00 - 14.05 = 0.

Settings: ``merchant_reference_column`` (such as ``payment_metadata[order_id]``), ``time_zone`` (the zone that the
report was run in, UTC if it was run without), ``payout_rows`` (``required``: every payout must be in the file itself;
a report that holds its payouts cannot be cut between two rows unnoticed; default ``optional``).

>>> sniff(b"automatic_payout_id,balance_transaction_id,currency,gross,fee,net,reporting_category\\n")
True
"""

from collections.abc import Mapping
from typing import BinaryIO, Final

from reconciliation.formats.canonical import Emit, ParsedDelivery, ReadOptions
from reconciliation.formats.report_settings import checked_settings, header_names, raise_problems, zone_named
from reconciliation.formats.stripe_parts.columns import REQUIRED
from reconciliation.formats.stripe_parts.proofs import Proofs
from reconciliation.formats.stripe_parts.report import ReportRules, read_report

NAME: Final = "stripe.payout_reconciliation"

_SETTINGS: Final = ("merchant_reference_column", "payout_rows", "time_zone")
_PAYOUT_ROWS: Final = ("optional", "required")


def sniff(head: bytes) -> bool:
    """Whether the first line is a header with the columns that every itemised report has, and payouts."""
    names = header_names(head)
    return "automatic_payout_id" in names and names.issuperset(REQUIRED)


def read(stream: BinaryIO, options: ReadOptions, emit: Emit) -> ParsedDelivery:
    """Read and prove one report, or raise ``RefusedFile``; ``SourcesError`` for settings that are not known.

    ``record_no`` counts rows with the header as row 1. ``batch_ref`` of a row is its payout; the payout's own row has
    ``ref_payout``. A line is booked on the day of its payout, without one on the day it was made.
    """
    return read_report(stream, options, emit, _rules(options.settings))


def _rules(settings: Mapping[str, str]) -> ReportRules:
    problems = checked_settings(settings, _SETTINGS)
    payout_rows = settings.get("payout_rows", _PAYOUT_ROWS[0])
    if payout_rows not in _PAYOUT_ROWS:
        problems.append(f"payout_rows must be one of {', '.join(_PAYOUT_ROWS)}")
    zone = zone_named(settings, "time_zone", problems)
    raise_problems(problems, NAME)
    return ReportRules(
        format_name=NAME,
        booked_on=(
            "automatic_payout_effective_at",
            "automatic_payout_effective_at_utc",
            "created",
            "created_utc",
        ),
        merchant_reference_column=settings.get("merchant_reference_column") or None,
        time_zone=zone,
        prove=lambda proofs: proofs.prove(payout_rows_required=payout_rows == "required"),
        name_statement=Proofs.payouts_named,
    )
