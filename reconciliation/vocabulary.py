"""The closed word lists of reconciliation, equal to the database's own (a test compares them). No behaviour."""

from typing import Final

REFERENCE_COLUMNS: Final = (
    "ref_end_to_end",
    "ref_uetr",
    "ref_servicer",
    "ref_psp",
    "ref_merchant",
    "ref_payout",
    "ref_arn",
    "ref_rrn",
    "ref_auth_code",
)
"""References that identify a movement on both sides; external lines and journal lines carry the same names."""

LINE_KINDS: Final = frozenset(
    {
        "transfer",  # bank credit or debit with a counterparty
        "charge",  # processor: customer paid
        "refund",
        "chargeback",  # Stripe dispute, Mastercard 1442
        "chargeback_reversal",
        "presentment",  # card clearing: first or second presentment
        "payout",  # processor pays out: leaves the processor, arrives at the bank
        "settlement",  # net of a clearing file: leaves the scheme, arrives at the bank
        "fee",  # charged on its own, not kept back from a movement
        "interest",
        "adjustment",  # anything the standard names that is none of the above
    }
)

EXCEPTION_CLASSES: Final = frozenset({"timing", "genuine", "source_gap", "review"})

EXCEPTION_KINDS: Final = frozenset(
    {
        "missing_in_ledger",
        "missing_at_source",
        "amount_mismatch",
        "fee_variance",
        "fx_variance",
        "currency_mismatch",
        "sign_mismatch",
        "duplicate_external",
        "duplicate_ledger",
        "conflicting_version",
        "withdrawn",
        "unrecorded_charge",
        "chargeback_unbooked",
        "ambiguous",
        "missing_file",
        "sequence_gap",
        "balance_break",
        "control_total",
    }
)

SEVERITIES: Final = ("info", "low", "medium", "high", "critical")

SIDES: Final = frozenset({"external", "ledger"})

LEGS: Final = frozenset({"ledger", "payout", "settlement"})

MATCH_PASSES: Final = ("exact", "normalised", "net_of_fee", "declared_group")

ALLOCATION_ROLES: Final = frozenset({"principal", "fee", "fx", "rounding"})
