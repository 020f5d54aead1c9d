"""Columns and categories of Stripe's itemised reports, as its documentation names them.

Source: docs.stripe.com, reports/report-types (payout reconciliation and balance change from activity, itemised) and
reports/reporting-categories. Which columns a report has is chosen when it is run; only the required ones are sure.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from reconciliation.formats.report_columns import columns_named
from reconciliation.formats.values import refused

REQUIRED: Final = ("balance_transaction_id", "currency", "gross", "fee", "net", "reporting_category")
_KNOWN: Final = frozenset(
    f"""
    {" ".join(REQUIRED)}
    automatic_payout_effective_at automatic_payout_effective_at_utc automatic_payout_id available_on available_on_utc
    balance_transaction_component charge_created charge_created_utc charge_id created created_utc description
    destination_payment_id dispute_reason gateway_account invoice_id invoice_number is_link payment_intent_id
    payment_method_type regulatory_tag shipping_address_city shipping_address_country shipping_address_line1
    shipping_address_line2 shipping_address_postal_code shipping_address_state source_id statement_descriptor
    subscription_id trace_id trace_id_status transfer_id type
    """.split()
)
_KNOWN_SHAPES: Final = re.compile(
    r"(card|connected_account|customer)(_[a-z0-9_]+)?|(payment|refund|transfer)_metadata\[.+\]"
)

KINDS: Final = {
    "charge": "charge",
    "charge_failure": "refund",
    "refund": "refund",
    "refund_failure": "refund",
    "partial_capture_reversal": "refund",
    "dispute": "chargeback",
    "dispute_reversal": "chargeback_reversal",
    "fee": "fee",
    "network_cost": "fee",
    "stripe_fee": "fee",
    "payout": "payout",
    "payout_reversal": "payout",
    "transfer": "transfer",
    "transfer_reversal": "transfer",
    "topup": "transfer",
    "topup_reversal": "transfer",
} | dict.fromkeys(
    (
        *("advance", "advance_funding", "anticipation_repayment", "connect_collection_transfer"),
        *("connect_reserved_funds", "contribution", "financing_paydown", "financing_paydown_reversal"),
        *("financing_payout", "financing_payout_reversal", "issuing_authorization_hold"),
        *("issuing_authorization_release", "issuing_dispute", "issuing_transaction", "other_adjustment"),
        *(
            "platform_earning",
            "platform_earning_refund",
            "risk_reserved_funds",
            "tax",
            "unreconciled_customer_funds",
        ),
    ),
    "adjustment",
)
"""Kind of line by reporting category; a category that is not here is an adjustment and noted."""

REVERSALS: Final = frozenset(
    {
        "charge_failure",
        "dispute_reversal",
        "payout_reversal",
        "refund_failure",
        "topup_reversal",
        "transfer_reversal",
    }
)
"""Categories that undo an earlier movement."""

CATEGORY_BY_TYPE: Final = {
    "charge": "charge",
    "payment": "charge",
    "payment_refund": "refund",
    "payment_failure_refund": "charge_failure",
    "payment_reversal": "charge_failure",
    "payment_unreconciled": "unreconciled_customer_funds",
    "refund": "refund",
    "refund_failure": "refund_failure",
    "payout": "payout",
    "payout_cancel": "payout_reversal",
    "payout_failure": "payout_reversal",
    "transfer": "transfer",
    "transfer_cancel": "transfer_reversal",
    "transfer_failure": "transfer_reversal",
    "transfer_refund": "transfer_reversal",
    "application_fee": "platform_earning",
    "application_fee_refund": "platform_earning_refund",
    "stripe_fee": "fee",
    "stripe_fx_fee": "fee",
    "network_cost": "network_cost",
    "tax_fee": "tax",
    "topup": "topup",
    "topup_reversal": "topup_reversal",
    "adjustment": "other_adjustment",
    "advance": "advance",
    "advance_funding": "advance_funding",
    "anticipation_repayment": "anticipation_repayment",
    "contribution": "contribution",
    "issuing_authorization_hold": "issuing_authorization_hold",
    "issuing_authorization_release": "issuing_authorization_release",
    "issuing_dispute": "issuing_dispute",
    "issuing_transaction": "issuing_transaction",
    "reserve_transaction": "risk_reserved_funds",
    "reserved_funds": "risk_reserved_funds",
}
"""Reporting category by the older balance transaction type, for what states only that."""

# Where an account commonly keeps its own order number; sources.yaml names another with merchant_reference_column.
_MERCHANT_REFERENCES: Final = (
    "payment_metadata[order_id]",
    "payment_metadata[external_identifier]",
    "payment_metadata[merchant_reference]",
    "payment_metadata[reference]",
    "invoice_number",
)
_REMEDY: Final = "Run the itemised report with these columns, or correct sources.yaml."

# The dashboard's own export of the balance history names its columns for people.
_DASHBOARD_NAMES: Final = {
    "id": "balance_transaction_id",
    "Type": "type",
    "Source": "source_id",
    "Amount": "gross",
    "Fee": "fee",
    "Net": "net",
    "Currency": "currency",
    "Created (UTC)": "created_utc",
    "Available On (UTC)": "available_on_utc",
    "Description": "description",
    "Customer Facing Amount": "customer_facing_amount",
    "Customer Facing Currency": "customer_facing_currency",
    "Transfer": "automatic_payout_id",
    "Transfer Date (UTC)": "automatic_payout_effective_at_utc",
}


def report_names(header: Sequence[str]) -> list[str]:
    """The header by the names of the itemised reports, whichever of the two kinds of export it is."""
    if {"id", "Type", "Net", "Currency"} <= set(header):
        return [_DASHBOARD_NAMES.get(name, name) for name in header]
    return list(header)


def report_columns(header: Sequence[str], merchant_reference: str | None, *, category: str) -> dict[str, int]:
    """Place of each column by name. Code ``structure`` for a missing, doubled or misconfigured one.

    Code ``not_this_format`` for the list of payments, which holds what became of them instead of what moved.
    """
    if {"id", "amount", "amount_refunded", "currency"} <= set(header):
        raise refused(
            "not_this_format",
            "header row",
            "a report of balance transactions",
            "the list of payments: their state, with refunds summed up and no day for them",
            "Export the balance change from activity, itemised, or the payout reconciliation report.",
        )
    required = (*REQUIRED[:-1], category)
    named = columns_named(header, required=required, remedy=_REMEDY)
    if merchant_reference is not None and merchant_reference not in named:
        expected = f"the column {merchant_reference}, named by merchant_reference_column"
        raise refused("structure", "header row", expected, "no such column", _REMEDY)
    return named


def merchant_reference_column(named: Mapping[str, int], merchant_reference: str | None) -> str:
    """The column that holds the merchant's own reference; empty if none does."""
    return merchant_reference or next((name for name in _MERCHANT_REFERENCES if name in named), "")


def undocumented(header: Sequence[str]) -> list[str]:
    """Columns that the documentation does not name."""
    return [name for name in header if name not in _KNOWN and not _KNOWN_SHAPES.fullmatch(name)]
