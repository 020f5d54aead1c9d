"""Reads Stripe's balance reports (CSV): balance change from activity, itemised, the activity report, and the
dashboard's export of the balance history, which names its columns for people.

Every balance transaction of a period on the day it was made, whatever payout it later belongs to. One line each, one
``Statement`` per currency. Law: net = gross - fee in every row. The reports state neither balances nor a number of
rows, so that one cut between two rows cannot be told; where that matters, read the payout reconciliation report. The
list of payments is no balance report: it says what became of payments, not what moved, and is refused.

Settings: ``merchant_reference_column`` (such as ``payment_metadata[order_id]``) and ``time_zone`` (the zone that the
report was run in, UTC if it was run without).

>>> sniff(b"balance_transaction_id,created,currency,gross,fee,net,reporting_category\\n")
True
"""

from collections.abc import Mapping
from typing import BinaryIO, Final

from reconciliation.formats.canonical import Emit, ParsedDelivery, ReadOptions
from reconciliation.formats.report_settings import checked_settings, header_names, raise_problems, zone_named
from reconciliation.formats.stripe_parts.columns import REQUIRED
from reconciliation.formats.stripe_parts.proofs import Proofs
from reconciliation.formats.stripe_parts.report import ReportRules, read_report

NAME: Final = "stripe.balance_activity"

_SETTINGS: Final = ("merchant_reference_column", "time_zone")
_DASHBOARD: Final = frozenset({"id", "Type", "Source", "Amount", "Fee", "Net", "Currency"})


def sniff(head: bytes) -> bool:
    """Whether the first line is a header of balance transactions, without a payout for each."""
    names = header_names(head)
    return names >= _DASHBOARD or (names.issuperset(REQUIRED) and "automatic_payout_id" not in names)


def read(stream: BinaryIO, options: ReadOptions, emit: Emit) -> ParsedDelivery:
    """Read and prove one report, or raise ``RefusedFile``; ``SourcesError`` for settings that are not known."""
    return read_report(stream, options, emit, _rules(options.settings))


def _rules(settings: Mapping[str, str]) -> ReportRules:
    problems = checked_settings(settings, _SETTINGS)
    zone = zone_named(settings, "time_zone", problems)
    raise_problems(problems, NAME)
    return ReportRules(
        format_name=NAME,
        booked_on=("created", "created_utc"),
        merchant_reference_column=settings.get("merchant_reference_column") or None,
        time_zone=zone,
        prove=_prove,
        name_statement=_named,
    )


def _prove(proofs: Proofs) -> dict[str, tuple[str, ...]]:
    proofs.note("the report says neither how many rows it has nor a balance; a row at its end may be missing")
    return {currency: tuple(sentences) for currency, sentences in proofs.prove_parts().items()}


def _named(_proofs: Proofs, _currency: str) -> str:
    return "activity"
