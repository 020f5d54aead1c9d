"""The transaction codes of CODA (Febelfin, enclosure II) as far as they say what kind of movement it is.

A code has eight digits: type (1), family (2), transaction (2), category (3). The direction never comes from here: it is
the sign of the record. A code that is not known says nothing; the movement is then a plain transfer.
"""

from functools import lru_cache
from typing import Final

SUMMED: Final = frozenset("12")
"""Types of a movement that sums others: by the customer, by the bank."""

PARTS: Final = frozenset("89")
"""Types of a detail that explains one movement (gross, charges, tax), and is no movement of its own."""

_FEES: Final = frozenset({"80"})  # families: costs and commissions charged on their own
_CLOSING: Final = frozenset({"35"})
_COSTS: Final = frozenset({"37", "38", "87"})  # transactions, in every family; 38 in family 41 alone
_CORRECTIONS: Final = frozenset({"49", "99"})

# Family and transaction of what came back: unpaid, claimed back, not carried out, reversed.
_RETURNS: Final = frozenset(
    {"0154", "0254", "0309", "0338", "0360", "0362", "0503", "0505", "0554", "0556", "0558"}
    | {"0705", "0707", "4307", "4362", "4705", "4707"}
)

_INTEREST: Final = frozenset({"001", "002", "016", "024", "028", "059", "428"})
_TAXES: Final = frozenset({"011", "019", "049", "051", "427", "429", "430", "435", "436", "437", "438"})
_CONVERSION: Final = frozenset({"012", "025"})
_COMMISSIONS: Final = frozenset({"003", "006", "013", "014", "026", "037", "209", "404", "408", "418"})
_PRINCIPAL: Final = frozenset(
    {"000", "050", "055", "057", "058", "063", "065", "066", "067", "068", "069", "070", "071", "100"}
)


@lru_cache(maxsize=4096)
def kind_of(code: str, *, returned: bool, raises: bool) -> str:
    """One of ``LINE_KINDS``. ``returned`` is the mark of an R-transaction, stronger than any code.

    >>> kind_of("08002000", returned=False, raises=False)
    'fee'
    >>> kind_of("00503000", returned=False, raises=False)
    'chargeback'
    """
    family, transaction, category = code[1:3], code[3:5], code[5:8]
    if returned or family + transaction in _RETURNS:
        return "refund" if raises else "chargeback"
    if transaction in _CORRECTIONS:
        return "adjustment"
    if category in _INTEREST:
        return "interest"
    if family in _FEES or transaction in ("37", "87") or (family == "41" and transaction in _COSTS):
        return "fee"
    if category not in _PRINCIPAL and fee_type_of(category) is not None:
        return "fee"
    return "interest" if family in _CLOSING else "transfer"


@lru_cache(maxsize=1024)
def fee_type_of(category: str) -> str | None:
    """Type of fee of a category, None where it is the amount itself, its interest or not known.

    >>> fee_type_of("011")
    'tax'
    """
    if category in _TAXES:
        return "tax"
    if category in _CONVERSION:
        return "conversion"
    if category in _COMMISSIONS:
        return "commission"
    if category in _INTEREST or category in _PRINCIPAL or not category.isdecimal():
        return None
    # 1 to 74 are fees by name, 200 to 214 and 400 to 420 those of documentary credit and collection, 700 on the bank's
    number = int(category)
    return "charge" if number <= 74 or 200 <= number <= 431 else None
