"""Columns, types and time zones of Adyen's settlement details report, as its documentation names them.

Source: docs.adyen.com, reporting/settlement-reconciliation/transaction-level/settlement-details-report (2025).
"""

from typing import Final

REQUIRED: Final = (
    "Merchant Account",
    "Psp Reference",
    "Merchant Reference",
    "Creation Date",
    "TimeZone",
    "Type",
    "Modification Reference",
    "Net Currency",
    "Net Debit (NC)",
    "Net Credit (NC)",
    "Batch Number",
)
READ: Final = frozenset(
    {
        *REQUIRED,
        "ARN",
        "Authorisation Code",
        "Booking Date",
        "Commission (NC)",
        "Dispute Reference",
        "Exchange Rate",
        "Gross Credit (GC)",
        "Gross Currency",
        "Gross Debit (GC)",
        "Interchange (NC)",
        "Markup (NC)",
        "Merchant Order Reference",
        "Modification Merchant Reference",
        "Scheme Fees (NC)",
        "Shopper Reference",
    }
)
FEES: Final = {
    "commission": "Commission (NC)",
    "markup": "Markup (NC)",
    "scheme": "Scheme Fees (NC)",
    "interchange": "Interchange (NC)",
}
"""Type of fee to its column. Either the commission is filled or the other three are."""

_KINDS: Final = {
    "charge": "settled settledbulk settledinstallment settledininstallments settledexternally settledreversed",
    "refund": "refunded refundedbulk refundedexternally refundedininstallments refundedreversed",
    "chargeback": "chargeback secondchargeback chargebackexternally",
    "chargeback_reversal": "chargebackreversed chargebackreversedexternally",
    "payout": "merchantpayout",
    "transfer": "paidout paidoutreversed bppaidout merchantpayin internalcompanypayout cashmanagementdeposit",
    "fee": "fee misccosts paymentcost invoicededuction authorisationschemefee",
    "adjustment": "advancement balancetransfer bankinstructionreturned depositcorrection epapaid manualcorrected"
    " matchedstatement reserveadjustment",
}
KINDS: Final = {name: kind for kind, names in _KINDS.items() for name in names.split()}
"""Kind of line by type in lower case; a type that is not here is an adjustment and noted."""

REVERSALS: Final = frozenset(
    {
        *("bankinstructionreturned", "chargebackreversed", "chargebackreversedexternally", "paidoutreversed"),
        *("refundedreversed", "settledreversed"),
    }
)
"""Types that undo an earlier movement."""

PAYOUT: Final = "merchantpayout"

ZONES: Final = {
    "AEDT": "Australia/Sydney",
    "AEST": "Australia/Sydney",
    "BRT": "America/Sao_Paulo",
    "BST": "Europe/London",
    "CDT": "America/Chicago",
    "CEST": "Europe/Amsterdam",
    "CET": "Europe/Amsterdam",
    "CST": "America/Chicago",
    "EDT": "America/New_York",
    "EEST": "Europe/Helsinki",
    "EET": "Europe/Helsinki",
    "EST": "America/New_York",
    "GMT": "Europe/London",
    "GST": "Asia/Dubai",
    "HKT": "Asia/Hong_Kong",
    "IST": "Asia/Kolkata",
    "JST": "Asia/Tokyo",
    "MDT": "America/Denver",
    "MSK": "Europe/Moscow",
    "MST": "America/Denver",
    "NZDT": "Pacific/Auckland",
    "NZST": "Pacific/Auckland",
    "PDT": "America/Los_Angeles",
    "PST": "America/Los_Angeles",
    "SGT": "Asia/Singapore",
    "UTC": "UTC",
}
"""Place whose clock an abbreviation stands for. Reports write summer times with the winter's name (the sample of the
documentation has June in CET), so that the offset goes by the date, not by the name."""
