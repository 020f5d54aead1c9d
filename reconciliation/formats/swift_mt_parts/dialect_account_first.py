"""The other side's account at the beginning of :86: (ASN, SNS, RegioBank), or in a line of its own (Knab).

``NL13TEST0123456789 j doe`` and then the remittance in lines of 65 characters that wrap inside words; Knab writes
``REK: NL13TEST0123456789/NAAM: J DOE`` after the remittance.

>>> fields("NL13TEST0123456789 j doe\\nInvoice 1")["name"]
'j doe'
"""

import re
from typing import Final

NAME: Final = "account_first"

_FIRST: Final = re.compile(r"([A-Z]{2}[0-9]{2}[A-Z0-9]{9,30})(?: +([^\n]*))?(?:\n|\Z)", re.ASCII)
_LABELLED: Final = re.compile(r"(?:\A|\n)REK: ?([A-Z0-9]{5,34})/NAAM: ?([^\n]*)", re.ASCII)


def recognises(text: str) -> bool:
    """An IBAN first, or Knab's two labels."""
    if text[2:4].isdecimal() and _FIRST.match(text) is not None:
        return True
    return "/NAAM: " in text and _LABELLED.search(text) is not None


def fields(text: str) -> dict[str, str]:
    """Account, name and the rest."""
    labelled = _LABELLED.search(text)
    if labelled is not None:
        remittance = text[: labelled.start()] + "\n" + text[labelled.end() :]
        lines = [line.strip() for line in remittance.split("\n")]
        found = {"account": labelled.group(1), "name": labelled.group(2)}
        words = "\n".join(line for line in lines if line)
    else:
        first = _FIRST.match(text)
        if first is None:
            return {"text": text}
        found = {"account": first.group(1), "name": first.group(2) or ""}
        words = " ".join(text[first.end() :].replace("\n", "").split())
    if words:
        found["text"] = words
    return {name: value for name, value in found.items() if value}
