"""Field :61: of MT940, MT942 and MT950: dates, mark, amount, type and references of one entry.

Law: the sign comes of the mark alone: C raises, D lowers, RC takes a credit back (lowers), RD a debit (raises); EC and
ED of MT942 are expected and not booked. A letter behind the mark is the funds code (the third of the currency), so that
CR is a credit in EUR and no reversal. The entry date has no year: it takes the value date's, or its neighbour's where
that is far nearer.

Tolerated, because banks send them: a decimal point, no decimal mark, nothing before or after it, no type, references
that are too long, a value date of 30 February (the bank's interest month has thirty days; the last of the month then).
"""

import re
from datetime import date, timedelta
from typing import Final

from reconciliation.formats.values import implied_minor, refused, short_day_of, shown

ENTRY: Final = re.compile(
    r"([0-9]{6})([0-9]{4})?(R?[CD]|E[CD])([A-Z])?([0-9]{1,15}+)?+(?:([,.])([0-9]*+))?+"
    r"(?: (?=[SNF][A-Z]))?+(?:(?!NONREF)([SNF][A-Z0-9 ]{3}))?([^\n]*)\n?(.*)",
    re.ASCII | re.DOTALL,
)
"""Value date, entry date, mark, funds code, whole units, decimal mark, decimals, type, references, supplementary."""

MARKS: Final = {
    "C": (1, "booked", False),
    "D": (-1, "booked", False),
    "RC": (-1, "booked", True),
    "RD": (1, "booked", True),
    "EC": (1, "expected", False),
    "ED": (-1, "expected", False),
}
"""Sign, status and reversal by the mark."""

_EPOCH: Final = date(1970, 1, 1)
_SAME_YEAR_DAYS: Final = 270  # an entry further from its value date is of the year before or after
_OWNER_LENGTH: Final = 16  # of a reference; what a bank puts behind it in columns is a name
_LOOSE_MARK: Final = re.compile(
    r" *([0-9]{6} ?(?:[0-9]{4})?) ?([ERer]?[CDcd] ?[A-Za-z]?) ?(?=[0-9,.])", re.ASCII
)
_NUMBER_GOES_ON: Final = re.compile(r"[Ee]?[-+0-9.,' ]")
_PARTS: Final = "value date, entry date, mark C, D, RC, RD, EC or ED, amount, type"


def match_entry(field: str, place: str) -> re.Match[str]:
    """The parts of a :61: (``field`` begins behind its first colon). Codes ``structure``, ``amount``.

    Small letters and blanks around the mark are what some banks print. Without a type whatever follows the amount must
    be a reference, and no further part of a number.
    """
    matched = ENTRY.match(field, 3)
    if matched is None:
        spaced = _LOOSE_MARK.match(field, 3)
        if spaced is None:
            raise refused("structure", f"{place}, :61:", _PARTS, shown(field[3:].partition("\n")[0]))
        mark = spaced.group(2).replace(" ", "").upper()
        matched = ENTRY.match(field[:3] + spaced.group(1).replace(" ", "") + mark + field[spaced.end() :], 3)
        if matched is None:
            raise refused("structure", f"{place}, :61:", _PARTS, shown(field[3:].partition("\n")[0]))
    if matched.group(8) is None:
        rest = matched.group(9)
        if (
            rest
            and not rest.startswith(("NONREF", "//"))
            and (not matched.group(6) or _NUMBER_GOES_ON.match(rest))
        ):
            found = shown(field[3:].partition("\n")[0])
            raise refused(
                "amount", f"{place}, :61: amount", "digits and a decimal comma, then the type", found
            )
    return matched


def entry_days(value_text: str, entry_text: str | None, place: str) -> tuple[int, int, bool]:
    """Booking and value date as days since 1970, and whether the value date was 30 February. Code ``date``."""
    value_day, thirty = _value_day(value_text, place)
    booking_day = value_day if entry_text is None else _nearest(value_day, entry_text, place)
    return (booking_day - _EPOCH).days, (value_day - _EPOCH).days, thirty


def plain_minor(whole: str | None, decimals: str | None, exponent: int, place: str) -> int:
    """Minor units of whole units and decimals (digits), of which either may be absent. Code ``amount``."""
    if not whole and not decimals:
        raise refused("amount", place, "an amount", "none")
    written = decimals or ""
    kept, excess = written[:exponent].ljust(exponent, "0"), written[exponent:]
    if excess.strip("0"):
        raise refused("amount", place, f"at most {exponent} decimals", shown(f"{whole or ''},{written}"))
    return implied_minor((whole or "") + kept, place, decimals=exponent, exponent=exponent)


def split_references(references: str, supplementary: str) -> tuple[str, str, str, list[str]]:
    """Owner's reference, bank's reference, the name that a bank puts in columns behind the first, and further lines."""
    owner, _, bank = references.partition("//")
    lines = [line.strip() for line in supplementary.split("\n") if line.strip()]
    if not bank and lines and lines[0].startswith("//"):
        bank = lines.pop(0)[2:]
    name = ""
    if len(owner) > _OWNER_LENGTH and owner[_OWNER_LENGTH - 1] == " ":
        owner, name = owner[:_OWNER_LENGTH], owner[_OWNER_LENGTH:].strip()
    bank = bank.strip()
    if len(bank) > _OWNER_LENGTH and " " in bank:
        bank, _, words = bank.partition(" ")
        lines.insert(0, words.strip())
    return owner.strip(), bank, name, lines


def _value_day(text: str, place: str) -> tuple[date, bool]:
    if text[2:] in {"0229", "0230"}:
        first_of_march = short_day_of(text[:2] + "0301", place)
        last = first_of_march - timedelta(days=1)
        return last, last.day < int(text[4:])
    return short_day_of(text, f"{place}, :61: value date"), False


def _nearest(value_day: date, text: str, place: str) -> date:
    """The day of month and day in the year of the value date; in the year before or after, if that is far nearer."""
    month, day = int(text[:2]), int(text[2:])
    days = []
    for year in (value_day.year, value_day.year - 1, value_day.year + 1):
        try:
            days.append(date(year, month, day))
        except ValueError:
            continue
    if not days:
        raise refused("date", f"{place}, :61: entry date", "a month and a day", shown(text))
    if days[0].year == value_day.year and abs((days[0] - value_day).days) <= _SAME_YEAR_DAYS:
        return days[0]
    return min(days, key=lambda found: abs((found - value_day).days))
