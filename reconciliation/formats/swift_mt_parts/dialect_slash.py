"""Code words between slashes in :86:, as Dutch and many international banks write it: ``/TRTP/../IBAN/../REMI/..``.

ABN AMRO (TRTP, RTYP, RTRN), ING (CNTP, REMI with USTD and STRD), Rabobank (ORDP, BENM, ISDT), bunq, CBPR+ translations
(``EREF/..``, ``PREF/..`` without the first slash) and others use the same words. A value may hold slashes; a word
counts only with one on both sides. Full lines wrap inside words; short ones end where a part ends.

>>> fields("/TRTP/SEPA/IBAN/NL13TEST0123456789/NAME/J DOE/REMI/INVOICE 1/EREF/E1")["name"]
'J DOE'
"""

import re
from typing import Final

NAME: Final = "slash"

_WORDS: Final = (
    "TRTP|RTYP|IBAN|BIC|NAME|REMI|EREF|IREF|PREF|KREF|CREF|MARF|CSID|RTRN|ORDP|BENM|ADDR|ISDT|ACCW|CNTP|ACNO|ULTB|ULTC|ULTD|"
    "PURP|SVCL|TRCD|UETR|OCMT|CHGS|EXCH|BAI|ID"
)
_WORD: Final = re.compile(rf"/({_WORDS})/")
_START: Final = re.compile(rf"\s*(?:/|(?:{_WORDS})/)")
_FULL_LINE: Final = 60  # of 65 characters, less what a transport may have stripped
_TYPES: Final = frozenset({"TRTP", "RTYP"})
_PARTIES: Final = frozenset({"CNTP", "ACCW", "ORDP", "BENM"})
_KEYS: Final = {
    "IBAN": "account",
    "ACNO": "account",
    "BIC": "bic",
    "NAME": "name",
    "EREF": "end_to_end",
    "IREF": "instruction",
    "PREF": "payment_information",
    "KREF": "customer",
    "CREF": "customer",
    "MARF": "mandate",
    "CSID": "creditor_id",
    "RTRN": "return_reason",
    "UETR": "uetr",
    "OCMT": "original_amount",
    "CHGS": "charges",
    "EXCH": "exchange_rate",
}


def recognises(text: str) -> bool:
    """A slash first, or a code word and a slash."""
    return "/" in text[:8] and _START.match(text) is not None


def fields(text: str) -> dict[str, str]:
    """What the code words say; the first of a word holds, because ultimate parties come after the parties."""
    body = _joined(text) if "\n" in text else text.strip()
    if not body.startswith("/"):
        body = "/" + body
    parts = _WORD.split(body)
    if len(parts) == 1:
        return {"text": body}
    found: dict[str, str] = {}
    texts = [parts[0].strip("/ ")] if parts[0] else []
    for word, written in zip(parts[1::2], parts[2::2], strict=True):
        name, value = _KEYS.get(word), written.strip("/ ")
        if name is not None:
            if value and name not in found:
                found[name] = value
        elif word == "REMI":
            texts.insert(0, _remittance(value, found))
        elif word in _TYPES:
            texts.append(value)
        elif word in _PARTIES:
            _party(word, value, found)
    words = "\n".join([part for part in texts if part])
    if words:
        found["text"] = words
    return found


def _joined(text: str) -> str:
    """Lines as one: a full line goes on in the next without a space."""
    lines = text.split("\n")
    joined = lines[0].lstrip()
    is_full = len(lines[0]) >= _FULL_LINE
    for line in lines[1:]:
        if line:
            joined += line if is_full or line[0] in "/ " else " " + line
            is_full = len(line) >= _FULL_LINE
    return joined


def _remittance(value: str, found: dict[str, str]) -> str:
    """Text of REMI; a structured reference is told apart (ING: ``STRD/CUR/9876``)."""
    if value.startswith("USTD//"):
        return value[6:]
    if value.startswith("STRD/"):
        issuer, _, reference = value[5:].partition("/")
        found.setdefault("creditor_reference", reference.strip("/ ") or issuer)
    return value


def _party(word: str, value: str, found: dict[str, str]) -> None:
    """Account, bank and name that stand in one value."""
    if word == "ACCW":
        account, _, bank = value.partition(",")
        parts = [account, bank]
    else:
        parts = [part.strip() for part in value.split("/")]
        if parts[0] and not any(character.isdecimal() for character in parts[0]):
            parts = ["", "", parts[0]]  # a name alone
        elif word != "CNTP":
            parts.insert(1, "")  # account and name, no bank
    for name, part in zip(("account", "bic", "name"), parts, strict=False):
        if part.strip("/ "):
            found.setdefault(name, part)
