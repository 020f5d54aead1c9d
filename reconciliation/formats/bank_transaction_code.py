"""Which kind of movement a bank's transaction code names.

Reads the ISO 20022 external code set (domain/family/sub-family, for example ``PMNT/RCDT/ESCT``), the SWIFT type codes
that older systems carry in the proprietary part (``NCHG``) and the German business transaction codes after them
(``NTRF+166``). Law: a code that is not known says nothing; the movement is then a plain transfer. The direction never
comes from here.
"""

import re
from functools import lru_cache
from typing import Final

# ISO 20022 external bank transaction sub-family codes; the same words are used across families.
_SUB_FAMILY_KINDS: Final = (
    dict.fromkeys(("CHRG", "FEES", "COMM", "COME", "COMI", "COMT", "OVCH"), "fee")
    | dict.fromkeys(("INTR",), "interest")
    | dict.fromkeys(("ADJT", "CAJT", "DAJT", "ERTA", "FLTA", "LBCA", "LBDB", "TAXE"), "adjustment")
    # unpaid, rejected or reversed payments
    | dict.fromkeys(("RRTN", "UPDD", "PRDD", "RPCR", "ARET", "UPCT", "UPCQ"), "return")
)
_SWIFT_KINDS: Final = {"CHG": "fee", "COM": "fee", "INT": "interest", "RTI": "return", "BRF": "fee"}
# German Banking Industry Committee: returned direct debits (108, 109), returned transfers (159), charges, interest.
_GERMAN_KINDS: Final = {
    "108": "return",
    "109": "return",
    "159": "return",
    "808": "fee",
    "809": "fee",
    "814": "interest",
}
_PROPRIETARY: Final = re.compile(r"[NSF]([A-Z]{3})(?:\+(\d{3}).*)?", re.ASCII)


@lru_cache(maxsize=4096)
def kind_of(domain_code: str | None, proprietary_code: str | None, *, returned: bool, raises: bool) -> str:
    """One of ``LINE_KINDS`` for a bank movement.

    A return takes money back that had come in (``chargeback``) or brings back what had gone out (``refund``);
    ``raises`` says which. ``returned`` is the message's own return block, stronger than any code.

    >>> kind_of("ACMT/MCOP/CHRG", None, returned=False, raises=False)
    'fee'
    >>> kind_of("PMNT/RDDT/UPDD", None, returned=False, raises=False)
    'chargeback'
    """
    named = "return" if returned else _named(domain_code, proprietary_code)
    if named == "return":
        return "refund" if raises else "chargeback"
    return named


def _named(domain_code: str | None, proprietary_code: str | None) -> str:
    if domain_code is not None:
        kind = _SUB_FAMILY_KINDS.get(domain_code.rpartition("/")[2])
        if kind is not None:
            return kind
    matched = _PROPRIETARY.fullmatch(proprietary_code) if proprietary_code is not None else None
    if matched is None:
        return "transfer"
    return _GERMAN_KINDS.get(matched.group(2) or "") or _SWIFT_KINDS.get(matched.group(1)) or "transfer"
