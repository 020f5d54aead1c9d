"""Values of OFX elements: amounts, moments, kinds; and the settings of the reader.

Amounts (OFX 2.2, section 3.2.9.1) have an optional sign and a comma or a full stop as decimal mark, and no grouping.
Both marks are read as they are; where a comma stands before exactly three digits it may be grouping all the same, and
the setting ``decimal_mark`` has to say. Moments (3.2.8.2): ``YYYYMMDDHHMMSS.XXX[offset:name]``, the offset in hours.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from functools import lru_cache
from typing import Final

from ledger_core.money import exponent_of
from reconciliation.errors import SourcesError
from reconciliation.formats.values import day_of, minor_of, refused, shown

NAME: Final = "ofx"

KINDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        (
            "CREDIT", "DEBIT", "DEP", "ATM", "POS", "XFER", "CHECK", "PAYMENT", "CASH", "DIRECTDEP", "DIRECTDEBIT",
            "REPEATPMT", "HOLD", "OTHER",
        ),
        "transfer",
    ),
    "INT": "interest",
    "DIV": "interest",  # what a credit union pays on shares; a dividend of a security is no bank transaction
    "FEE": "fee",
    "SRVCHG": "fee",
}  # fmt: skip
"""``TRNTYPE`` to kind."""

_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "decimal_mark": ("standard", ".", ","),
    "foreign_amounts": ("refused", "converted"),
    "ledger_balance": ("dated", "closing", "ignored"),
    "transaction_ids": ("kept", "ignored"),
}
_AMOUNT: Final = re.compile(r"([+-]?)([0-9]{0,19})(?:([.,])([0-9]{0,19}))?", re.ASCII)
_GROUPED: Final = {
    ",": re.compile(r"([+-]?[0-9]{1,3}(?:\.[0-9]{3}){1,5})(,[0-9]{1,4})", re.ASCII),
    ".": re.compile(r"([+-]?[0-9]{1,3}(?:,[0-9]{3}){1,5})(\.[0-9]{1,4})", re.ASCII),
}
_MOMENT: Final = re.compile(
    r"(\d{8})(?:(\d{4}|\d{6})(\.\d{1,9})?)?\s*(?:\[\s*([+-]?\d{1,2}(?:[.:]\d{1,2})?)\s*(?::[^\]]{0,40})?\])?",
    re.ASCII,
)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_ORDINAL: Final = EPOCH.toordinal()
_MICROSECOND: Final = timedelta(microseconds=1)
_OFFSET_HOURS_MAX: Final = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What sources.yaml may say of an OFX source; the module docstring of ``ofx`` explains each."""

    decimal_mark: str | None
    foreign_amounts_converted: bool
    ledger_balance: str
    transaction_ids_kept: bool


def read_settings(settings: Mapping[str, str]) -> Settings:
    """The settings, or ``SourcesError`` with every problem."""
    problems = []
    for name in sorted(settings):
        if name not in _CHOICES:
            near = get_close_matches(name, _CHOICES, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            problems.append(f"settings of {NAME}: {name} is not known{hint}")
        elif settings[name] not in _CHOICES[name]:
            problems.append(f"settings of {NAME}: {name} must be one of {', '.join(_CHOICES[name])}")
    if problems:
        raise SourcesError(tuple(problems))
    chosen = {name: settings.get(name, choices[0]) for name, choices in _CHOICES.items()}
    return Settings(
        decimal_mark=None if chosen["decimal_mark"] == "standard" else chosen["decimal_mark"],
        foreign_amounts_converted=chosen["foreign_amounts"] == "converted",
        ledger_balance=chosen["ledger_balance"],
        transaction_ids_kept=chosen["transaction_ids"] == "kept",
    )


def amount_minor(raw: bytes, asset: str, decimal_mark: str | None, place: str) -> int:
    """Minor units of an amount. Codes ``amount``, ``currency``.

    >>> amount_minor(b"-11,76", "BRL", None, "TRNAMT"), amount_minor(b"+.5", "EUR", None, "TRNAMT")
    (-1176, 50)
    """
    if len(raw) <= 18 and raw[-3:-2] == b"." and decimal_mark != ",":
        digits = raw[:-3].removeprefix(b"-") + raw[-2:]
        if len(digits) > 2 and digits.isdigit() and exponent_of(asset) == 2:
            return (
                -int(digits) if raw[0] == 45 else int(digits)
            )  # 45 is the minus; nearly all amounts look so
    text = raw.decode("ascii", "replace")
    if decimal_mark is not None and len(text) <= 40 and (grouped := _GROUPED[decimal_mark].fullmatch(text)):
        text = grouped.group(1).replace("," if decimal_mark == "." else ".", "") + grouped.group(2)
    matched = _AMOUNT.fullmatch(text) if len(text) <= 40 else None
    if matched is None or not (matched.group(2) or matched.group(4)):
        return minor_of(text, asset, place)  # refuses with what the grammar expects
    sign, whole, mark, fraction = matched.groups()
    if mark and decimal_mark and mark != decimal_mark:
        raise refused("amount", place, f"{decimal_mark!r} as decimal mark, as the settings say", shown(text))
    if mark == "," and decimal_mark is None and len(fraction) == 3 and exponent_of(asset) != 3:
        raise refused(
            "amount",
            place,
            "a comma as decimal mark",
            f"{shown(text)}, where it may be grouping",
            "Say in the settings of the source which decimal_mark the bank writes.",
        )
    plain = f"{'-' if sign == '-' else ''}{whole or '0'}"
    return minor_of(f"{plain}.{fraction}" if fraction else plain, asset, place)


@lru_cache(maxsize=16_384)
def moment_of(raw: bytes, place: str) -> tuple[int, int | None]:
    """Days from 1970-01-01 to the calendar day as written; microseconds, if time and offset are stated. Code ``date``.

    >>> moment_of(b"20261116020000[-5:EST]", "DTPOSTED")
    (20773, 1794812400000000)
    >>> EPOCH + timedelta(microseconds=1794812400000000)
    datetime.datetime(2026, 11, 16, 7, 0, tzinfo=datetime.timezone.utc)
    """
    text = raw.decode("ascii", "replace")
    matched = _MOMENT.fullmatch(text) if len(text) <= 80 else None
    if matched is None:
        raise refused("date", place, "a date as YYYYMMDD, time and offset behind it or not", shown(text))
    day_text, time_text, fraction, offset_text = matched.groups()
    day = day_of(day_text, place)
    days = day.toordinal() - EPOCH_ORDINAL
    if time_text is None:
        return days, None
    hours, minutes, seconds = int(time_text[:2]), int(time_text[2:4]), int(time_text[4:] or 0)
    if hours > 24 or minutes > 59 or seconds > 60:  # 24:00 and leap seconds are written
        raise refused("date", place, "a time of day as HHMMSS", shown(text))
    offset = None if offset_text is None else _offset(offset_text)
    if offset is None:
        return days, None
    local = timedelta(hours=hours, minutes=minutes, seconds=seconds) + timedelta(days=days) - offset
    return days, local // _MICROSECOND + int((fraction or ".0")[1:7].ljust(6, "0"))


def day_at(days: int) -> date:
    """The date so many days from 1970-01-01."""
    return date.fromordinal(days + EPOCH_ORDINAL)


def _offset(text: str) -> timedelta | None:
    """Hours east of UTC, with a fraction (-3.5) or minutes (-3:30); None beyond what clocks show."""
    sign = -1 if text.startswith("-") else 1
    hours, mark, rest = text.lstrip("+-").replace(":", ".:").partition(".")
    minutes = int(rest[1:]) if rest.startswith(":") else int(rest.ljust(2, "0")) * 60 // 100 if mark else 0
    if int(hours) > _OFFSET_HOURS_MAX or minutes > 59:
        return None
    return sign * timedelta(hours=int(hours), minutes=minutes)
