"""NACHA addenda (7) by their type: 05 remittance, 02 terminal, 10 to 18 international, 98 change, 99 return.

Law: what an addendum says about money is only its reason code and the trace of the original entry; the rest is text and
references. Memory holds the first few thousand characters of text, whatever the number of addenda.
"""

from typing import Final

from reconciliation.formats.nacha_parts.codes import steps_of_return
from reconciliation.formats.nacha_parts.records import number_of
from reconciliation.formats.values import reference, refused, shown

_TEXT_LENGTH_MAX: Final = 4_000
_PARTIES: Final = frozenset({"11", "12", "13", "14", "15", "16", "18"})


class Addenda:
    """What the addenda of one entry said so far."""

    __slots__ = (
        "_international",
        "_length",
        "auth_code",
        "count",
        "end",
        "foreign_amount",
        "originator_name",
        "reason_code",
        "receiver_id",
        "receiver_name",
        "references",
        "text",
    )

    def __init__(self, *, international: bool) -> None:
        self._international = international
        self._length = 0
        self.count = 0
        self.end = 0
        self.auth_code: str | None = None
        self.foreign_amount = 0
        self.originator_name: str | None = None
        self.reason_code: str | None = None
        self.receiver_id: str | None = None
        self.receiver_name: str | None = None
        self.references: dict[str, str | None] = {}
        self.text: list[str] = []

    def add(self, text: str, end: int, place: str) -> None:
        """Take one addendum. Code ``structure`` for a type or reason that the standard does not have."""
        self.count += 1
        self.end = end
        kind = text[1:3]
        if kind in {"05", "17"}:
            self._say(text[3:83])
        elif kind == "02":
            self._terminal(text)
        elif kind == "10":
            if text[6:24].strip():
                self.foreign_amount = number_of(text[6:24], f"{place}, foreign payment amount")
            self.receiver_name = text[46:81].strip() or None
            self.references["transaction"] = reference(text[24:46])
            self._say(text[3:6])
        elif kind in _PARTIES:
            self._party(kind, text)
        elif kind == "98":
            self._change(text, place)
        elif kind == "99":
            self._returned(text, place)
        else:
            raise refused("structure", f"{place}, addenda type", "02, 05, 10 to 18, 98 or 99", shown(kind))

    def _say(self, *parts: str) -> None:
        for part in parts:
            if part.strip() and self._length < _TEXT_LENGTH_MAX:
                self._length += len(part)
                self.text.append(part)

    def _terminal(self, text: str) -> None:
        """02: where and how a card was used."""
        self.references["terminal_id"] = reference(text[13:19])
        self.references["stan"] = reference(text[19:25])
        self.auth_code = reference(text[29:35])
        self._say(
            " ".join(part for part in (text[35:62].strip(), text[62:77].strip(), text[77:79].strip()) if part)
        )

    def _party(self, kind: str, text: str) -> None:
        """11 to 18: originator, institutions and receiver of an international entry."""
        if kind == "11":
            self.originator_name = text[3:38].strip() or None
        elif kind == "15":
            self.receiver_id = reference(text[3:18])
        if kind in {"13", "14", "18"}:
            self._say(f"{text[3:38].strip()} {text[40:74].strip()} {text[74:77].strip()}".strip())

    def _change(self, text: str, place: str) -> None:
        """98: what was wrong with an entry, and what would be right. Refused notifications have a code of their own."""
        code = text[3:6]
        if not (code[:1] == "C" and code[1:].isascii() and code[1:].isdecimal()):
            raise refused("structure", f"{place}, change code", "C and two digits", shown(code))
        self.reason_code = code
        self.references["original"] = reference(text[6:21])
        self._say(text[35:64])

    def _returned(self, text: str, place: str) -> None:
        """99: why an entry comes back; with dishonoured and contested returns, the return before it as well."""
        code = text[3:6]
        steps = steps_of_return(code, place)
        if (
            self.reason_code
            and self.reason_code[:1] == "R"
            and steps_of_return(self.reason_code, place) > steps
        ):
            return
        self.reason_code = code
        self.references["original"] = reference(text[6:21])
        if steps == 1:
            if text[21:27].strip(" 0"):
                self._say(f"date of death {text[21:27]}")
            self._say(text[45:79] if self._international else text[35:79])  # before it the original amount
            return
        self.references["transaction"] = reference(text[38:53])
        self._say(f"returned as R{text[56:58]}" if text[56:58].strip() else "")
        if steps == 2:
            self._say(text[58:79])
        else:
            self._say(f"dishonoured as R{text[76:78]} by {text[58:73].strip()}")
