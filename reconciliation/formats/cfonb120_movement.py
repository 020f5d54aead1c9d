"""One CFONB 120 movement (04) with its complements (05) as the values of a line.

Complements say what they are by a qualifier of three letters: names of the parties (NPY, NBE), references (RCN, REF,
RUM), remittance (LIB, LCC, LC2, LCS), the amount in its own currency (MMO), a charge (FEE), why it came back (RET). One
that is not known keeps its place in the text, so that nothing is lost.
"""

from typing import Any, Final

from ledger_core.money import exponent_of
from reconciliation.formats.canonical import ReadOptions
from reconciliation.formats.fixed_width import card_of, directed_rate, tidy
from reconciliation.formats.values import (
    asset_of,
    fees_json,
    implied_minor,
    joined,
    other_refs_json,
    reference,
    refused,
    shown,
)

COMPLEMENTS_MAX: Final = 500  # of one movement; the standard sends a handful

# Last digit and sign in one character (EBCDIC zoned decimal). The zeros are braces, in French code pages accented
# letters; the last pair is what those are in code page 850, read as Windows-1252.
_PUNCHED: Final = (
    {letter: (1, digit) for letter, digit in zip("{ABCDEFGHI", "0123456789", strict=True)}
    | {letter: (-1, digit) for letter, digit in zip("}JKLMNOPQR", "0123456789", strict=True)}
    | {"é": (1, "0"), "è": (-1, "0"), "\u201a": (1, "0"), "\u0160": (-1, "0")}
)

# Interbank operation codes (CFONB, "Codes opérations interbancaires"): what is returned, charged, interest, corrected.
_KINDS: Final = (
    dict.fromkeys(
        (
            "03",
            "10",
            "12",
            "26",
            "27",
            "33",
            "34",
            "38",
            "98",
            "A3",
            "A4",
            "A5",
            "A6",
            "B3",
            "B4",
            "B5",
            "B6",
        ),
        "return",
    )
    | dict.fromkeys(("62", "64", "65", "66", "67", "88"), "fee")
    | dict.fromkeys(("61", "63", "70"), "interest")
    | {"99": "adjustment"}
)
_CHEQUE: Final = "01"
_TEXTS: Final = frozenset({"LIB", "LCC", "LC2", "LEM"})
_NAMES: Final = {1: ("NPY", "NPO", "NBE", "NBU"), -1: ("NBE", "NBU", "NPY", "NPO")}
_PARTY_FIELDS: Final = {1: ("CPY", "BPY", "IPY"), -1: ("CBE", "BDB", "IBE")}  # account, bank, identification
_KEPT_AS_TEXT: Final = ("NPY", "NPO", "NBE", "NBU", "CPY", "CBE")
_COLUMNS: Final = {"REF": "ref_servicer", "RCN": "ref_end_to_end"}
_OTHERS: Final = {"RUM": "mandate", "LCS": "creditor_reference"}
_KNOWN: Final = frozenset(
    {
        "NPY",
        "NPO",
        "NBE",
        "NBU",
        "CPY",
        "CBE",
        "BPY",
        "BDB",
        "IPY",
        "IBE",
        "RET",
        "FEE",
        "MMO",
        *_COLUMNS,
        *_OTHERS,
    }
)


def punched_minor(text: str, place: str, *, decimals: int, exponent: int) -> int:
    """Minor units of fourteen characters, the last of them a digit with the sign. Code ``amount``.

    >>> punched_minor("0000000012345J", "record 04", decimals=2, exponent=2)
    -123451
    """
    punched = _PUNCHED.get(text[-1:])
    if punched is None:
        expected = "13 digits and a last one overpunched with the sign ({ A to I, } J to R)"
        raise refused("amount", place, expected, shown(text))
    return punched[0] * implied_minor(text[:-1] + punched[1], place, decimals=decimals, exponent=exponent)


def kind_of(operation: str, *, returned: bool, amount_minor: int) -> str:
    """Kind of a line by its interbank operation code and whether the bank gives a reason of rejection."""
    kind = "return" if returned else _KINDS.get(operation, "transfer")
    if kind == "return":
        return "refund" if amount_minor > 0 else "chargeback"
    return kind


class Movement:
    """Record 04 and what its complements add, until ``line`` makes it values of a line."""

    __slots__ = ("_by_qualifier", "_count", "_texts", "values")

    def __init__(self, values: dict[str, Any], label: str) -> None:
        self.values = values
        self._texts = [label]
        self._by_qualifier: dict[str, str] = {}
        self._count = 0

    def complement(self, text: str, end: int) -> None:
        """Add one record 05, which ends at byte ``end`` of the file."""
        self._count += 1
        if self._count > COMPLEMENTS_MAX:
            raise refused("limit", "record 05", f"at most {COMPLEMENTS_MAX} of one movement", "more")
        self.values["byte_length"] = end - self.values["byte_offset"]
        qualifier, content = text[45:48], text[48:118].rstrip()
        if qualifier in _KNOWN and content and qualifier not in self._by_qualifier:
            self._by_qualifier[qualifier] = content
        elif qualifier in _TEXTS or qualifier in _KNOWN:
            self._texts.append(tidy(content))
        else:
            self._texts.append(tidy(f"{qualifier} {content}"))

    def line(self, options: ReadOptions, zone: str, entry_number: str) -> dict[str, Any]:
        """The values of the line; ``zone`` and ``entry_number`` are references of record 04."""
        values = self.values
        others: dict[str, str | None] = {}
        if self._by_qualifier:
            self._add_complements(values, others, options)
        if zone:
            name = "ref_end_to_end" if values.get("ref_servicer") else "ref_servicer"
            if not values.get(name) and zone != values.get("ref_servicer"):
                values[name] = reference(zone)
        if entry_number:
            others["check" if values["type_code"][:2] == _CHEQUE else "transaction"] = entry_number
        if others:
            values["other_refs"] = other_refs_json(**others)
        values["text"] = options.card_tokens.masked(joined(self._texts) or "") or None
        for name in ("ref_servicer", "ref_end_to_end"):
            found = values.get(name)
            card = card_of(found, options.card_tokens) if found else None
            if card is not None:
                values[name] = None
                values["card_token"], values["card_truncated"] = card
        return values

    def _add_complements(
        self, values: dict[str, Any], others: dict[str, str | None], options: ReadOptions
    ) -> None:
        side = 1 if values["amount_minor"] > 0 else -1
        contents = self._by_qualifier
        for qualifier, content in contents.items():
            column = _COLUMNS.get(qualifier)
            if column is not None:
                values[column] = reference(content[:35])
            elif qualifier in _OTHERS:
                others[_OTHERS[qualifier]] = reference(content[:35])
                if qualifier == "LCS":
                    self._texts.append(tidy(content))
        self._add_parties(values, others, side, options)
        returned = contents.get("RET")
        if returned:
            self._texts.append(tidy(returned))
            values["reason_code"] = values.get("reason_code") or returned.split()[0][:4]
            values["kind"] = kind_of("", returned=True, amount_minor=values["amount_minor"])
        fee_minor = self._add_fee(values, contents.get("FEE"))
        self._add_original(values, contents.get("MMO"), fee_minor)

    def _add_parties(
        self, values: dict[str, Any], others: dict[str, str | None], side: int, options: ReadOptions
    ) -> None:
        """The other side is the payer of a credit and the payee of a debit; who else is named stays in the text."""
        contents = self._by_qualifier
        # several banks write the other side as the payer whatever the direction
        chosen = next((name for name in _NAMES[side] if name in contents), None)
        if chosen is not None:
            values["counterparty"] = options.card_tokens.masked(tidy(contents[chosen]))
        account, bank, identity = _PARTY_FIELDS[side]
        if account in contents:
            values["counterparty_account"] = tidy(contents[account])
        if bank in contents:
            values["counterparty_bic"] = _bic_of(contents[bank])
        if identity in contents:
            others["customer" if side > 0 else "creditor_id"] = reference(contents[identity][:35])
        for qualifier in _KEPT_AS_TEXT:
            if qualifier in contents and qualifier not in (chosen, account):
                self._texts.append(tidy(contents[qualifier]))

    def _add_fee(self, values: dict[str, Any], content: str | None) -> int:
        """A charge; zero where it is in another currency. Whether the amount has it inside is not said here."""
        if content is None:
            return 0
        asset, fee_minor = _amount_of(content, "record 05, FEE")
        if fee_minor:
            values["fees"] = fees_json([("charge", fee_minor, asset, False)])
        return fee_minor if asset == values["asset"] else 0

    def _add_original(self, values: dict[str, Any], content: str | None, fee_minor: int) -> None:
        """The amount in its own currency with the rate, which also tells whether a charge is inside the amount."""
        if content is None:
            return
        original_asset, original_minor = _amount_of(content, "record 05, MMO")
        asset, amount_minor = values["asset"], values["amount_minor"]
        rate = _rate_of(content)
        if original_asset == asset and rate is None:
            return
        values["original_asset"] = original_asset
        values["original_amount_minor"] = -original_minor if amount_minor < 0 else original_minor
        if rate is None:
            return
        values["fx_rate"], decimals = rate
        original = (original_minor, original_asset)
        fraction = directed_rate((amount_minor, asset), original, values["fx_rate"], decimals=decimals)
        if fraction is None and fee_minor:
            gross = (amount_minor + fee_minor, asset)
            fraction = directed_rate(gross, original, values["fx_rate"], decimals=decimals)
            if fraction is not None:
                values["fee_minor"] = fee_minor
                values["fees"] = fees_json([("charge", fee_minor, asset, True)])
        if fraction is not None:
            values["fx_numerator"], values["fx_denominator"] = fraction


def _amount_of(content: str, place: str) -> tuple[str, int]:
    """Currency and unsigned minor units: three letters, number of decimals, fourteen digits."""
    asset = asset_of(content[:3], f"{place}, currency")
    if content[3:4] not in set("0123456789"):
        raise refused("amount", place, "the number of decimals", shown(content[3:4]))
    digits, decimals, exponent = content[4:18], int(content[3:4]), exponent_of(asset)
    if digits[-1:] in _PUNCHED:
        return asset, abs(punched_minor(digits, place, decimals=decimals, exponent=exponent))
    return asset, implied_minor(digits, place, decimals=decimals, exponent=exponent)


def _rate_of(content: str) -> tuple[str, int] | None:
    """The rate as plain decimal text, and with how many decimals it is stated. None where there is none."""
    decimals, digits = content[18:19], content[19:30].strip()
    if not (decimals.isascii() and decimals.isdecimal() and digits.isascii() and digits.isdecimal()):
        return None
    places = int(decimals)
    padded = digits.rjust(places + 1, "0")
    whole, fraction = padded[: len(padded) - places].lstrip("0") or "0", padded[len(padded) - places :]
    text = f"{whole}.{fraction}".rstrip("0").rstrip(".") if places else whole
    return None if text == "0" else (text, places)


def _bic_of(content: str) -> str | None:
    words = content.split()
    word = words[0] if words else ""
    return word if len(word) in (8, 11) and word.isascii() and word.isalnum() and word[:6].isalpha() else None
