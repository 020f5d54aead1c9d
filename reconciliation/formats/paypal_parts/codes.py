"""PayPal's transaction event codes: what kind of movement each is, and which of them undo another one.

The two digits after the T are the group, which PayPal says is enough to reconcile by; single codes stand here only
where they differ from their group. Source: developer.paypal.com, transaction event code reference (2026). No behaviour.
"""

from functools import lru_cache
from typing import Final, NamedTuple

# group: kind of a credit, kind of a debit
_GROUPS: Final = {
    "00": ("charge", "transfer"),  # payment received, payment sent
    "01": ("fee", "fee"),
    "02": ("adjustment", "adjustment"),  # currency conversion, always a pair
    "03": ("transfer", "transfer"),  # bank account to PayPal
    "04": ("payout", "payout"),  # PayPal to bank account; a credit is a withdrawal that came back
    "05": ("transfer", "transfer"),  # PayPal debit card
    "06": ("payout", "payout"),  # PayPal to credit card
    "07": ("transfer", "transfer"),  # credit card to PayPal
    "10": ("transfer", "transfer"),  # bill payment
    "11": ("adjustment", "adjustment"),
    "12": ("adjustment", "adjustment"),
    "20": ("transfer", "transfer"),  # between accounts of one owner
    "22": ("transfer", "transfer"),
}
_OTHER: Final = ("adjustment", "adjustment")

_KINDS: Final = {
    "T1101": "payout",  # withdrawal to a bank account that came back
    "T1104": "transfer",
    "T1106": "refund",  # payment taken back by PayPal
    "T1107": "refund",
    "T1108": "fee",
    "T1109": "fee",
    "T1114": "transfer",  # mass payment that came back
    "T1115": "transfer",
    "T1201": "chargeback",
    "T1202": "chargeback_reversal",
    "T1205": "chargeback_reversal",  # reimbursement of a chargeback
    "T1207": "chargeback",  # presented again in vain
    "T1208": "chargeback_reversal",
}
_REVERSALS: Final = frozenset(
    {
        "T1100",
        "T1101",
        "T1102",
        "T1103",
        "T1104",
        "T1106",
        "T1108",
        "T1109",
        "T1112",
        "T1114",
        "T1115",
        "T1202",
        "T1208",
    }
)
_MOVES_NOTHING: Final = "13"  # authorisations and what becomes of them
_REFERS_TO_PAYMENT: Final = frozenset({"11", "12"})


class Meaning(NamedTuple):
    """What one code says of its row."""

    kind: str
    reversal: bool
    moves_money: bool
    refers_to_payment: bool  # its PayPal reference is the payment that it undoes or disputes


@lru_cache(maxsize=4096)
def meaning_of(code: str, direction: str) -> Meaning | None:
    """Meaning of a code on a credit (CR) or debit (DR); None if it is no event code.

    >>> meaning_of("T1107", "DR")
    Meaning(kind='refund', reversal=False, moves_money=True, refers_to_payment=True)
    """
    if len(code) != 5 or code[0] != "T" or not (code.isascii() and code[1:].isdecimal()):
        return None
    group = code[1:3]
    credit, debit = _GROUPS.get(group, _OTHER)
    kind = _KINDS.get(code) or (credit if direction == "CR" else debit)
    refers_to_payment = group in _REFERS_TO_PAYMENT or code == "T0106"
    return Meaning(kind, code in _REVERSALS, group != _MOVES_NOTHING, refers_to_payment)
