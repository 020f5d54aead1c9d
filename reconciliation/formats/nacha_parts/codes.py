"""NACHA's codes: what an entry's transaction code and addenda say about direction, money and reversal.

Law: the second digit of a transaction code decides (2 credit, 7 debit, 3 and 8 prenote, 4 and 9 zero-dollar, 1 and 6
return or notification); 8x are the operator's own advices (ADV). Each step of a return turns the money round once more:
return (R01 to R60, R80 on), dishonoured (R61 to R70), contested (R71 to R79).
"""

from dataclasses import dataclass
from typing import Final

from reconciliation.formats.values import refused, shown


@dataclass(frozen=True, slots=True)
class Transaction:
    """Meaning of a transaction code."""

    credit: (
        bool  # counts to the credit totals; also the direction on the receiver's account of a forward entry
    )
    moves_nothing: bool  # prenotes and zero-dollar entries, whose amount must be zero
    returned: bool  # an automated return or a notification of change
    advice: bool = False


def _transactions() -> dict[str, Transaction]:
    digits = {
        "1": Transaction(True, False, True),
        "2": Transaction(True, False, False),
        "3": Transaction(True, True, False),
        "4": Transaction(True, True, False),
        "6": Transaction(False, False, True),
        "7": Transaction(False, False, False),
        "8": Transaction(False, True, False),
        "9": Transaction(False, True, False),
    }
    found = {tens + unit: meaning for tens in "234" for unit, meaning in digits.items()}
    loans = {
        "51": "1",
        "52": "2",
        "53": "3",
        "54": "4",
        "55": "7",
        "56": "6",
    }  # 55 debits a loan to reverse a credit
    found |= {code: digits[unit] for code, unit in loans.items()}
    return found | {f"8{unit}": Transaction(unit % 2 == 1, False, False, True) for unit in range(1, 9)}


TRANSACTIONS: Final = _transactions()

ENTRY_CLASSES: Final = frozenset(
    "ACK ADV ARC ATX BOC CCD CIE COR CTX DNE ENR IAT MTE POP POS PPD RCK SHR TEL TRC TRX WEB XCK".split()  # noqa: SIM905
)
CHECK_CLASSES: Final = {"ARC": 15, "BOC": 15, "POP": 9, "RCK": 15, "TRC": 15, "XCK": 15}
"""Classes whose identification field starts with the serial number of a cheque, and its length."""

COUNTED_CLASSES: Final = frozenset({"ACK", "ATX", "CTX", "ENR", "TRX"})
"""Classes whose name field starts with the number of addenda."""

ACKNOWLEDGEMENTS: Final = frozenset({"ACK", "ATX"})
"""Classes whose identification field is the trace number of the entry that they acknowledge."""

SERVICE_CLASSES: Final = frozenset({"200", "220", "225", "280"})


def transaction_of(code: str, place: str) -> Transaction:
    """The meaning of a transaction code. Code ``structure``."""
    found = TRANSACTIONS.get(code)
    if found is None:
        raise refused(
            "structure", f"{place}, transaction code", "21 to 29, 31 to 39, 41 to 49, 51 to 56", shown(code)
        )
    return found


def steps_of_return(reason_code: str, place: str) -> int:
    """How often the money of the original entry turned round: 1 returned, 2 dishonoured, 3 contested."""
    digits = reason_code[1:]
    if not (reason_code[:1] == "R" and len(digits) == 2 and digits.isascii() and digits.isdecimal()):
        raise refused("structure", f"{place}, return reason code", "R and two digits", shown(reason_code))
    if "61" <= digits <= "70":
        return 2
    return 3 if "71" <= digits <= "79" else 1
