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

OTHER_REFERENCES: Final = frozenset(
    {
        "instruction",  # instruction id of the instructing party
        "transaction",  # ISO 20022 TxId, PayPal transaction a row refers to
        "payment_information",  # batch id that the initiating party gave (PmtInfId)
        "message",
        "mandate",
        "creditor_id",  # scheme identification of a direct debit creditor
        "creditor_reference",  # structured: RF, QRR, OGM, KID
        "clearing_system",
        "check",
        "invoice",
        "customer",
        "modification",  # processor's id of a capture, refund or dispute, beside that of the payment
        "dispute",
        "original",  # the movement that this one returns, reverses or corrects
        "scheme_transaction",  # Banknet reference, Visa transaction identifier
        "stan",
        "merchant_id",
        "terminal_id",
        "trace",  # payment tracking id, NACHA trace number
        "tracking",
    }
)
"""Keys of a line's ``other_refs``: references that the ledger has no column for. Kept as evidence, searchable."""

LINE_STATUSES: Final = frozenset(
    {
        "booked",  # changes the booked balance; the only ones that are proved, matched and counted
        "pending",  # entered, not booked yet
        "expected",  # announced
        "info",
    }
)

FEE_TYPES: Final = frozenset(
    {
        "processing",
        "interchange",
        "scheme",
        "markup",
        "commission",
        "chargeback",
        "conversion",
        "tax",
        "charge",  # a bank's charge on a payment
        "other",
    }
)

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

EXCEPTION_STATUSES: Final = ("open", "taken", "proposed", "approved", "carried", "cleared", "resolved")
"""The life of an exception; the last two are closed: cleared by a match of the engine, resolved by people."""

REASON_CODES: Final = (
    "timing",
    "fee_not_booked",
    "data_correction",
    "duplicate",
    "counterparty_error",
    "write_off",
    "other",
)
"""Why people say a difference is what it is; the last two need a note."""

PROPOSAL_ACTIONS: Final = ("force_match", "not_duplicate", "exclude", "write_off", "book_entry")

PERSON_ROLES: Final = ("viewer", "analyst", "approver", "controller", "auditor", "admin")

SIDES: Final = frozenset({"external", "ledger"})

LEGS: Final = frozenset({"ledger", "payout", "settlement"})

MATCH_PASSES: Final = (
    "exact",
    "normalised",
    "net_of_fee",
    "converted",
    "declared_group",
    "reversal_family",
    "in_text",
    "near_reference",
    "amount_and_lag",
    "key_sum",
    "chained_run",
    "window_less_few",
    "bounded_subset",
    "many_to_many",
    "decision",  # people's; no rules file names it
)

MATCH_STATES: Final = frozenset({"confirmed", "suggested"})

ALLOCATION_ROLES: Final = frozenset({"principal", "fee", "fx", "rounding"})
