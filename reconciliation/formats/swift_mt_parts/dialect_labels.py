"""Labels with a colon in :86:, as ABN AMRO's unstructured files write it: ``SEPA OVERBOEKING  IBAN: ..  NAAM: ..``.

Columns are padded with blanks and full lines wrap inside words.

>>> fields("SEPA OVERBOEKING     IBAN: NL13TEST0123456789\\nNAAM: J DOE\\nOMSCHRIJVING: INVOICE 1")["name"]
'J DOE'
"""

import re
from typing import Final

NAME: Final = "labels"

_LABEL: Final = re.compile(
    r"(IBAN|BIC|NAAM|OMSCHRIJVING|KENMERK|MACHTIGING|INCASSANT|BETALINGSKENM\.|ID DEBITEUR): "
)
_KEYS: Final = {
    "IBAN": "account",
    "BIC": "bic",
    "NAAM": "name",
    "KENMERK": "end_to_end",
    "MACHTIGING": "mandate",
    "INCASSANT": "creditor_id",
    "BETALINGSKENM.": "creditor_reference",
}


def recognises(text: str) -> bool:
    """An account and a name under their labels."""
    return "IBAN: " in text and "NAAM: " in text


def fields(text: str) -> dict[str, str]:
    """What the labels say; what stands before the first is the kind of payment, in words."""
    parts = _LABEL.split(text.replace("\n", ""))
    found: dict[str, str] = {}
    texts = []
    for label, value in zip(parts[1::2], parts[2::2], strict=True):
        name, words = _KEYS.get(label), " ".join(value.split())
        if name is not None:
            found.setdefault(name, words)
        else:
            texts.append(words)
    texts.append(" ".join(parts[0].split()))
    found["text"] = "\n".join(part for part in texts if part)
    return found
