"""Values of camt elements: text, amounts, dates and directions, each checked before it is used.

Law: an amount is plain digits in a known currency or the file is refused; a date is kept as written, never moved to
another zone. Paths in refusals are relative to the entry or statement; the caller says which one.
"""

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Final

from ledger_core.errors import AmountError, UnknownAssetError
from ledger_core.money import exponent_of, parse_amount_minor
from reconciliation.errors import RefusedFile
from reconciliation.formats.xml_stream import Element, local_name

_DATE: Final = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[T+Z-].*)?", re.ASCII | re.DOTALL)
_INSTANT: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})", re.ASCII
)
_XML_SPACE: Final = " \t\r\n"  # what XML calls white space; other blanks are characters like any other
_SIGNS: Final = {"CRDT": 1, "DBIT": -1}  # the bank's credit raises our balance
_NOT_PROVIDED: Final = frozenset({"NOTPROVIDED", "NOT PROVIDED", "NONREF", "NOREF", "NOTAVAILABLE"})

Amount = tuple[str | None, str | None]  # text and currency as written


class _LocalNames(dict[str, str]):
    """Full tag to local name, remembered: a document uses a few hundred names a million times."""

    def __missing__(self, tag: str) -> str:
        name = local_name(tag)
        if len(self) < 10_000:  # a hostile document may invent names without end
            self[tag] = name
        return name


LOCAL: Final = _LocalNames()


def text_of(element: Element, field_length_max: int) -> str | None:
    """Stripped text, None if there is none. Refuses elements where text was expected, and overlong text."""
    text = element.text
    if len(element):
        raise refused(
            "structure",
            path_of(element),
            "text",
            f"the element {LOCAL[element[0].tag]}",
            "Have the sender correct the file.",
        )
    if text is None:
        return None
    if len(text) > field_length_max:
        raise refused(
            "limit",
            path_of(element),
            f"at most {field_length_max} characters",
            f"{len(text)}",
            "Ask the sender for a corrected file.",
        )
    return text.strip(_XML_SPACE) or None


def reference(text: str | None) -> str | None:
    """A reference, or None where the sender wrote that there is none.

    >>> reference("NOTPROVIDED") is None
    True
    """
    return None if text is None or text.upper() in _NOT_PROVIDED else text


def child_text(element: Element, path: tuple[str, ...], field_length_max: int) -> str | None:
    """Text of the first descendant along these local names, or None."""
    found = descend(element, path)
    return None if found is None else text_of(found, field_length_max)


def descend(element: Element, path: tuple[str, ...]) -> Element | None:
    """First descendant along these local names."""
    for name in path:
        for child in element:
            if LOCAL[child.tag] == name:
                element = child
                break
        else:
            return None
    return element


def amount_minor(amount: Amount, path: str) -> int:
    """Minor units of an unsigned amount with its currency. Codes: ``amount``, ``currency``."""
    text, currency = amount
    if currency is None:
        raise refused(
            "currency",
            path,
            "a currency in the attribute Ccy",
            "none",
            "Ask the sender for a corrected file.",
        )
    if text is None:
        raise refused("amount", path, "an amount", "nothing", "Ask the sender for a corrected file.")
    try:
        minor = parse_amount_minor(text, exponent_of(currency))
    except UnknownAssetError:
        raise refused(
            "currency",
            path,
            "an ISO 4217 currency",
            repr(currency[:16]),
            "Ask the sender for a corrected file.",
        ) from None
    except AmountError:
        raise refused(
            "amount",
            path,
            f"plain digits with at most {exponent_of(currency)} decimals of {currency}, within 64 bits",
            repr(text[:40]),
            "Ask the sender for a corrected file.",
        ) from None
    if minor < 0:
        raise refused(
            "amount",
            path,
            "an amount without sign",
            text,
            "The direction belongs into CdtDbtInd; ask for a corrected file.",
        )
    return minor


def sign_of(indicator: str | None, path: str) -> int:
    """1 for CRDT, -1 for DBIT."""
    sign = _SIGNS.get(indicator or "")
    if sign is None:
        raise refused(
            "structure",
            f"{path}/CdtDbtInd",
            "CRDT or DBIT",
            "nothing" if indicator is None else repr(indicator[:16]),
            "Without a direction the amount means nothing; ask the sender for a corrected file.",
        )
    return sign


@lru_cache(maxsize=4096)
def local_date(text: str, path: str) -> date:
    """The calendar date as written, zone and time left aside."""
    matched = _DATE.fullmatch(text)
    try:
        if matched is not None:
            return date.fromisoformat(matched.group(1))
    except ValueError:
        pass
    raise refused(
        "date", path, "a date such as 2026-11-16", repr(text[:40]), "Ask the sender for a corrected file."
    )


def instant(text: str | None) -> datetime | None:
    """The UTC instant of a date-time with offset; None where the sender states no offset, so that none is invented."""
    if text is None or not _INSTANT.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def path_of(element: Element) -> str:
    """Local names from the statement, the entry or the root down to the element."""
    names = [LOCAL[element.tag]]
    for ancestor in element.iterancestors():
        name = LOCAL[ancestor.tag]
        if name in {"Ntry", "Stmt", "Rpt", "Ntfctn", "Document"}:
            break
        names.append(name)
    return "/".join(reversed(names[:20]))


def joined(parts: Iterable[str | None]) -> str | None:
    """Distinct parts in order of first appearance, one per line; None if there are none."""
    return "\n".join(dict.fromkeys(part for part in parts if part)) or None


def refused(code: str, place: str, expected: str, found: str, remedy: str) -> RefusedFile:
    """``RefusedFile`` by position, for a module that raises many."""
    return RefusedFile(code=code, place=place, expected=expected, found=found, remedy=remedy)
