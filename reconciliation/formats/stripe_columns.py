"""Columns and categories of Stripe's itemised reports, as its documentation names them.

Source: docs.stripe.com, reports/report-types (payout reconciliation and balance change from activity, itemised) and
reports/reporting-categories. Which columns a report has is chosen when it is run; only the required ones are sure.
"""

import re
from dataclasses import dataclass
from typing import Final

from reconciliation.errors import RefusedFile

REQUIRED: Final = ("balance_transaction_id", "currency", "gross", "fee", "net", "reporting_category")
_KNOWN: Final = frozenset(
    f"""
    {" ".join(REQUIRED)}
    automatic_payout_effective_at automatic_payout_effective_at_utc automatic_payout_id available_on available_on_utc
    balance_transaction_component charge_created charge_created_utc charge_id created created_utc description
    destination_payment_id dispute_reason gateway_account invoice_id invoice_number is_link payment_intent_id
    payment_method_type regulatory_tag shipping_address_city shipping_address_country shipping_address_line1
    shipping_address_line2 shipping_address_postal_code shipping_address_state source_id statement_descriptor
    subscription_id trace_id trace_id_status transfer_id
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

# Where an account commonly keeps its own order number; sources.yaml names another with merchant_reference_column.
_MERCHANT_REFERENCES: Final = (
    "payment_metadata[order_id]",
    "payment_metadata[external_identifier]",
    "payment_metadata[merchant_reference]",
    "payment_metadata[reference]",
    "invoice_number",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Where each value stands in a row; None for a column that this report does not have."""

    count: int
    native_id: int
    currency: int
    gross: int
    fee: int
    net: int
    category: int
    source_id: int | None
    payout_id: int | None
    payout_at: int | None
    created: int | None
    created_utc: int | None
    available_on: int | None
    account: int | None
    merchant_reference: int | None
    trace_id: int | None
    customer: int | None
    description: int | None
    facing_amount: int | None
    facing_currency: int | None
    unknown: tuple[str, ...]


def columns_of(header: list[str], merchant_reference: str | None) -> Columns:
    """Find the columns by name. Code ``structure`` for a missing, doubled or misconfigured one."""
    place = {name: index for index, name in enumerate(header)}
    if len(place) != len(header):
        doubled = sorted({name for name in header if header.count(name) > 1})
        raise _refused("each column once", f"{', '.join(doubled)[:200]} twice")
    missing = [name for name in REQUIRED if name not in place]
    if missing:
        raise _refused(f"the columns {', '.join(REQUIRED)}", f"none called {', '.join(missing)}")
    if merchant_reference is not None and merchant_reference not in place:
        raise _refused(
            f"the column {merchant_reference}, named by merchant_reference_column", "no such column"
        )
    merchant_column = merchant_reference or next((name for name in _MERCHANT_REFERENCES if name in place), "")
    return Columns(
        count=len(header),
        native_id=place["balance_transaction_id"],
        currency=place["currency"],
        gross=place["gross"],
        fee=place["fee"],
        net=place["net"],
        category=place["reporting_category"],
        source_id=place.get("source_id"),
        payout_id=place.get("automatic_payout_id"),
        payout_at=place.get("automatic_payout_effective_at", place.get("automatic_payout_effective_at_utc")),
        created=place.get("created"),
        created_utc=place.get("created_utc"),
        available_on=place.get("available_on", place.get("available_on_utc")),
        account=place.get("gateway_account"),
        merchant_reference=place.get(merchant_column),
        trace_id=place.get("trace_id"),
        customer=place.get("customer_name"),
        description=place.get("description"),
        facing_amount=place.get("customer_facing_amount"),
        facing_currency=place.get("customer_facing_currency"),
        unknown=tuple(name for name in header if name not in _KNOWN and not _KNOWN_SHAPES.fullmatch(name)),
    )


def _refused(expected: str, found: str) -> RefusedFile:
    return RefusedFile(
        code="structure",
        place="header row",
        expected=expected,
        found=found,
        remedy="Run the itemised payout reconciliation report with these columns, or correct sources.yaml.",
    )
