"""Fields of GRRCN records that are read, and values that several of them share; positions are in the table beside."""

from typing import Any, Final

from reconciliation.formats.amex_parts.payment import Sums
from reconciliation.formats.amex_parts.values import signed_minor
from reconciliation.formats.fixed_width import directed_rate

POSITIONS: Final = "amex_parts/grrcn_positions.csv"
AMOUNTS: Final = ("gross_amount", "discount_amount", "service_fee_amount", "tax_amount")
_DISPUTE: Final = (
    "payee", "payment_number", "submission_merchant", "merchant_reference", "card_number", "processing_date",
    "invoice_number", "number", "reason_code", "reason_description", *AMOUNTS, "net_amount", "batch_code",
    "bill_code",
)  # fmt: skip
FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "HEADER": ("file_number", "file_id", "file_name", "version"),
    "SUMMARY": (
        "payee", "payment_number", "payment_date", "payment_currency", "net_amount", "opening_debit_balance",
        "payment_status", *AMOUNTS, "adjustment_amount", "unique_payment_reference",
    ),
    "SUBMISSION": (
        "payee", "payment_number", "submission_merchant", "business_date", "processing_date", "invoice_number",
        "submission_currency", "exchange_rate", "gross_amount_submitted", *AMOUNTS, "net_amount", "transaction_count",
        "acceleration_fee_amount",
    ),
    "TRANSACTN": (
        "payee", "payment_number", "submission_merchant", "business_date", "processing_date", "invoice_number",
        "merchant_reference", "card_number", "transaction_amount", "transaction_id",
        "approval_code", "terminal_id", "cardmember_reference", "old_reference", "acquirer_reference", "rejected",
    ),
    "TXNPRICING": ("rounded_fee_amount", "rounded_discount_amount"),
    "CHARGEBACK": (*_DISPUTE, "acquirer_reference"),
    "ADJUSTMENT": _DISPUTE,
    "FEEREVENUE": (
        "payee", "payment_number", "fee_amount", "fee_description", "asset_amount", "asset_description",
        "asset_tax_amount", "batch_code", "bill_code",
    ),
    "TAXRECORD": ("payee", "payment_number"),
    "TRAILER": ("file_number", "record_count"),
}  # fmt: skip


def sums_of(amounts: list[str]) -> Sums:
    """Gross amount, discount, service fee and tax of a record."""
    return Sums(*(signed_minor(text, name) for text, name in zip(amounts, AMOUNTS, strict=True)))


def number_of(text: str) -> str | None:
    """A number as reference; zeros name nothing."""
    return text if text.strip("0") else None


def rate_of(digits: str, amount: int, asset: str, original: int, original_asset: str) -> dict[str, Any]:
    """An exchange rate of seven digits and eight decimals, and its direction where the amounts tell."""
    if not digits.strip("0") or not (digits.isascii() and digits.isdecimal()) or len(digits) > 15:
        return {}
    padded = digits.rjust(9, "0")
    text = f"{padded[:-8].lstrip('0') or '0'}.{padded[-8:]}".rstrip("0").rstrip(".")
    fraction = directed_rate((amount, asset), (original, original_asset), text, decimals=8)
    return {"fx_rate": text} | (
        {"fx_numerator": fraction[0], "fx_denominator": fraction[1]} if fraction is not None else {}
    )
