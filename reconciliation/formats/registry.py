"""Which module reads which format. A new format is one line here and one module beside."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from reconciliation.formats import (
    adyen_settlement,
    aeb43,
    amex_eptrn,
    amex_grrcn,
    bai2,
    braintree_settlement,
    camt_052,
    camt_053,
    camt_054,
    cfonb120,
    checkoutcom_settlement,
    coda,
    mapped_csv,
    mapped_json,
    mapped_parquet,
    mapped_xlsx,
    mastercard_ipm,
    mt940,
    mt942,
    mt950,
    nacha,
    ofx,
    paypal_stl,
    paypal_trr,
    stripe_api,
    stripe_balance,
    stripe_payout,
    visa_base2,
)
from reconciliation.formats.canonical import Format

FORMATS: Final[Mapping[str, Format]] = MappingProxyType(
    {
        "camt.052": camt_052,
        "camt.053": camt_053,
        "camt.054": camt_054,
        "mt942": mt942,
        "mt950": mt950,
        "mt940": mt940,
        "stripe.payout_reconciliation": stripe_payout,
        "stripe.balance_activity": stripe_balance,
        "stripe.api": stripe_api,
        "adyen.settlement_detail": adyen_settlement,
        "checkoutcom.settlement_breakdown": checkoutcom_settlement,
        "braintree.settlement": braintree_settlement,
        "mastercard.ipm": mastercard_ipm,
        "visa.base2": visa_base2,
        "bai2": bai2,
        "nacha": nacha,
        "coda": coda,
        "cfonb120": cfonb120,
        "aeb43": aeb43,
        "paypal.stl": paypal_stl,
        "paypal.trr": paypal_trr,
        "ofx": ofx,
        "mapped.csv": mapped_csv,
        "mapped.json": mapped_json,
        "mapped.parquet": mapped_parquet,
        "mapped.xlsx": mapped_xlsx,
        "amex.grrcn": amex_grrcn,
        "amex.eptrn": amex_eptrn,
    }
)
"""Format name, as sources.yaml says it, to its reader."""

HEAD_BYTES: Final = 1 << 16
"""How much of a file ``recognise`` wants to see."""


def recognise(head: bytes) -> str | None:
    """Name of the first format whose mark the head of a file bears, None if no format knows it."""
    return next((name for name, module in FORMATS.items() if module.sniff(head[:HEAD_BYTES])), None)
