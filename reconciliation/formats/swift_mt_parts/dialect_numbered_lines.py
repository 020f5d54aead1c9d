"""Field :NS: after :61:, which Sberbank and older German programs send in place of :86:. Its lines begin with a number.

01 to 14 remittance, 15 and 16 name of the other side, 17 booking text. The reader hands it on with ``NS:`` before it.

>>> fields("NS:01Invoice 1\\n15J DOE")["name"]
'J DOE'
"""

from typing import Final

NAME: Final = "numbered_lines"

_REMITTANCE: Final = frozenset(f"{number:02d}" for number in range(1, 15))


def recognises(text: str) -> bool:
    """The reader's own mark."""
    return text.startswith("NS:")


def fields(text: str) -> dict[str, str]:
    """Remittance and name by line numbers."""
    remittance: list[str] = []
    name, booking_text = "", ""
    for line in text[3:].split("\n"):
        code, value = line[:2], line[2:].strip()
        if code in _REMITTANCE:
            remittance.append(value)
        elif code in {"15", "16"}:
            name += value
        elif code == "17":
            booking_text = value
    words = "\n".join(part for part in [*remittance, booking_text] if part)
    return {key: value for key, value in (("text", words), ("name", name)) if value}
