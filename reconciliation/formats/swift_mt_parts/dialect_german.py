"""The German dialect of :86:, also of Austrian, Polish and Triodos files: ``166?00BOOKING TEXT?20EREF+...?32NAME``.

Three digits of the German Banking Industry Committee's business transaction code (GVC), then numbered sub-fields parted
by the fourth character, which is ``?`` in most banks and ``>`` or ``<`` in some: 00 booking text, 20 to 29 and 60 to 69
remittance, 30 and 31 bank and account of the other side, 32 and 33 its name, 34 text key extension. Lines wrap inside
words, so they are joined without a space. Public document: DFÜ agreement, annex 3, chapter 8 (MT940).

>>> fields("166?00GUTSCHRIFT?20EREF+E1?21SVWZ+Rent?32MRS DOE")["end_to_end"]
'E1'
"""

from typing import Final

from reconciliation.formats.swift_mt_parts.sepa_keywords import keyword_fields

NAME: Final = "german"

_SEPARATORS: Final = "?><"
_REMITTANCE: Final = frozenset(f"{tens}{ones}" for tens in "26" for ones in range(10))
_CODES: Final = frozenset(f"{number:02d}" for number in range(100))
_RETURNS: Final = frozenset({"108", "109", "159"})  # returned direct debits and transfers: 34 says why


def recognises(text: str) -> bool:
    """Three digits, a separator, two digits."""
    return (
        text[3:4] in _SEPARATORS and len(text) > 5 and text[:3].isdecimal() and text[4:6].strip().isdecimal()
    )


def fields(text: str) -> dict[str, str]:
    """What the sub-fields say. A separator that no sub-field number follows belongs to the text."""
    body = text.replace("\n", "")
    parts = body[4:].split(body[3])
    slots = {part[:2]: part[2:] for part in parts}
    if len(slots) != len(parts) or not slots.keys() <= _CODES:
        slots = _slots_one_by_one(parts, body[3])
    remittance = "".join([value for code, value in slots.items() if code in _REMITTANCE])
    found = keyword_fields(remittance)
    found["business_code"] = body[:3]
    booking_text = slots.get("00")
    if booking_text:
        words = found.get("text")
        found["text"] = f"{words}\n{booking_text.strip()}" if words else booking_text.strip()
    name = slots.get("32", "") + slots.get("33", "")
    if name:
        found["name"] = name
    account = slots.get("38") or slots.get("31")
    if account:
        found["account"] = account
    bank = slots.get("30")
    if bank:
        found["bic"] = bank
    if body[:3] in _RETURNS and slots.get("34"):
        found["return_reason"] = slots["34"]
    return found


def _slots_one_by_one(parts: list[str], separator: str) -> dict[str, str]:
    """Sub-fields that come more than once, and separators inside a text, are put together."""
    slots: dict[str, str] = {}
    last = ""
    for part in parts:
        code = part[:2]
        if code in _CODES:
            slots[code] = slots.get(code, "") + part[2:]
            last = code
        elif last:
            slots[last] += separator + part
    return slots
