"""The sources of the intake's benchmark: each format twice, so that one database can take the same file in twice."""

from typing import Any, Final

import yaml

from fixtures import accounts, large_files
from fixtures.writers import adyen_csv, paypal_csv

AGAIN: Final = "_2"

_EXTERNAL: Final = {
    "camt.053": accounts.IBAN["EUR"],
    "mt940": accounts.IBAN["EUR"],
    "mapped.csv": accounts.IBAN["EUR"],
    "ofx": accounts.IBAN["EUR"],
    "coda": large_files.BELGIAN_IBAN,
    "cfonb120": large_files.FRENCH_ACCOUNT,
    "stripe.payout_reconciliation": accounts.STRIPE_ACCOUNT,
    "adyen.settlement_detail": adyen_csv.MERCHANT,
    "paypal.stl": paypal_csv.ACCOUNT,
}
_DOLLARS: Final = ("bai2", "nacha")
_CARDS: Final = ("mastercard.ipm", "visa.base2")
_MAPPING: Final[dict[str, Any]] = {
    "proof": "running_balance",
    "columns": {
        "booking_date": "Booking date",
        "value_date": "Value date",
        "native_id": "Bank reference",
        "ref_end_to_end": "End-to-end reference",
        "counterparty": "Counterparty",
        "counterparty_account": "Counterparty account",
        "text": "Purpose",
    },
    "amount": {"column": "Amount"},
    "dates": {"patterns": "%Y-%m-%d"},
    "asset": {"column": "Currency"},
    "running_balance": {"column": "Balance", "order": "ascending"},
    "statement": {"account": {"column": "Account"}},
}


def source_id(format_name: str) -> str:
    """The id of a format's first source; the second is this with ``AGAIN`` behind it."""
    return format_name.replace(".", "_")


def sources_text() -> str:
    """A sources file for every format that is measured."""
    sources = [
        _source(name, source_id(name) + suffix) for name in large_files.FILES for suffix in ("", AGAIN)
    ]
    return yaml.safe_dump({"version": 1, "sources": sources}, sort_keys=False)


def _source(format_name: str, own_id: str) -> dict[str, Any]:
    asset = "USD" if format_name in _DOLLARS else "EUR"
    account = {"asset": asset, "ledger": f"assets:{own_id}:main"}
    if format_name in _EXTERNAL:
        account["external"] = _EXTERNAL[format_name]
    source: dict[str, Any] = {
        "id": own_id,
        "kind": "card_clearing" if format_name in _CARDS else "bank",
        "format": format_name,
        "start_date": "2026-11-01",
        "accounts": [account],
        "match": {"references": [{"external": "ref_end_to_end", "ledger": "ref_end_to_end"}]},
    }
    if format_name == "mapped.csv":
        source["mapping"] = _MAPPING
    return source
