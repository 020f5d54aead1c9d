"""Remittance with SEPA keywords, as German banks write it: ``EREF+..KREF+..MREF+..SVWZ+..``, or ``EREF: .. MREF: ..``.

Also a dialect of :86: on its own, for banks that send it without numbered sub-fields. Public document: DFÜ agreement,
annex 3, chapter 8. A keyword needs no space before it, because it begins a sub-field.

>>> fields("EREF+E1\\nSVWZ+Rent")["text"]
'Rent'
"""

import re
from typing import Final

NAME: Final = "sepa"

_WORDS: Final = "EREF|KREF|MREF|CRED|DEBT|COAM|OAMT|SVWZ|ABWA|ABWE|PURP|RREF|IBAN|BIC"
_PLUS: Final = re.compile(rf"({_WORDS})\+")
_COLON: Final = re.compile(rf"(?:\A|(?<=\s))({_WORDS}): ?")
_START: Final = re.compile(rf"(?:{_WORDS})\+")
_KEYS: Final = {
    "EREF": "end_to_end",
    "KREF": "customer",
    "MREF": "mandate",
    "CRED": "creditor_id",
    "RREF": "original",
    "OAMT": "original_amount",
    "COAM": "charges",
    "IBAN": "account",
    "BIC": "bic",
}


def recognises(text: str) -> bool:
    """A keyword at the very beginning."""
    return "+" in text[3:5] and _START.match(text) is not None


def fields(text: str) -> dict[str, str]:
    """What the keywords say; lines are joined without a space."""
    return keyword_fields(text.replace("\n", ""))


def keyword_fields(remittance: str) -> dict[str, str]:
    """Values by keyword. What has no keyword of its own is text, with the other parties' names behind it."""
    parts = _PLUS.split(remittance) if "+" in remittance else None
    if parts is None or len(parts) == 1:
        parts = _COLON.split(remittance) if ": " in remittance else [remittance]
    found: dict[str, str] = {}
    text = parts[0].strip()
    for key, value in zip(parts[1::2], parts[2::2], strict=True):
        name = _KEYS.get(key)
        if name is not None:
            found[name] = value
        elif words := value.strip():
            part = words if key == "SVWZ" else f"{key} {words}"
            text = f"{text}\n{part}" if text else part
    if text:
        found["text"] = text
    return found
