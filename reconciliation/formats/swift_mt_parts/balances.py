"""Balances, numbers, floor limits and sums of MT940, MT942 and MT950: every field but :61: and :86:.

Law: a field that is there is read by its grammar or refuses the file; no currency and no sign is guessed.

>>> balance_of("C261116EUR1250,5", "message 1, :60F:").amount_minor
125050
"""

import re
from dataclasses import dataclass
from datetime import date
from typing import Final

from ledger_core.money import exponent_of
from reconciliation.formats.swift_mt_parts.entry import plain_minor
from reconciliation.formats.values import asset_of, refused, short_day_of, shown

_BALANCE: Final = re.compile(
    r"([CDcd])([0-9]{6}) ?([A-Za-z]{3}) ?(?:0{0,20}(?=[0-9]))?([0-9]{1,15})?(?:[,.]([0-9]{0,18}))?", re.ASCII
)
_FLOOR: Final = re.compile(r"([A-Z]{3}) ?([DC])? ?([0-9]{1,15})?(?:[,.]([0-9]{0,18}))?", re.ASCII)
_SUM: Final = re.compile(r"([0-9]{1,5})? ?([A-Z]{3}) ?([0-9]{1,18})?(?:[,.]([0-9]{0,18}))?", re.ASCII)
_NUMBER: Final = re.compile(r"([0-9]{0,18})(?: ?/ ?([0-9]{1,18}))?", re.ASCII)
_CURRENCY_BEHIND: Final = re.compile(r"(.*[0-9]) ?([A-Z]{3})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """A booked balance: signed, of a day."""

    is_final: bool  # F: of the statement; M: of a page
    day: date
    asset: str
    amount_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """What :90D: or :90C: states; the count may be left out."""

    count: int | None
    asset: str
    amount_minor: int


def balance_of(value: str, place: str, *, is_final: bool = True) -> Balance:
    """Mark, date, currency and amount. Codes ``structure``, ``date``, ``currency``, ``amount``."""
    matched = _BALANCE.fullmatch(value.strip())
    if matched is None:
        raise refused(
            "structure", place, "mark, date, currency and amount, such as C261116EUR1250,00", shown(value)
        )
    mark, day_text, asset_text, whole, decimals = matched.groups()
    day = short_day_of(day_text, place)
    asset = asset_of(asset_text.upper(), place)
    amount_minor = plain_minor(whole, decimals, exponent_of(asset), place)
    sign = 1 if mark in "Cc" else -1
    return Balance(is_final=is_final, day=day, asset=asset, amount_minor=sign * amount_minor)


def floor_of(value: str, place: str) -> tuple[str, str, int]:
    """Currency, ``D``, ``C`` or both, and the limit below which entries are left out. Codes as a balance."""
    matched = _FLOOR.fullmatch(value.strip())
    if matched is None:
        raise refused("structure", place, "currency, D or C, and an amount, such as EURD0,", shown(value))
    asset_text, side, whole, decimals = matched.groups()
    asset = asset_of(asset_text, place)
    return asset, side or "DC", plain_minor(whole, decimals, exponent_of(asset), place)


def sums_of(value: str, place: str) -> Sums:
    """Number and sum of entries. Codes as a balance."""
    matched = _SUM.fullmatch(value.strip())
    if matched is None:
        raise refused("structure", place, "count, currency and sum, such as 2EUR150,00", shown(value))
    count, asset_text, whole, decimals = matched.groups()
    asset = asset_of(asset_text, place)
    amount_minor = plain_minor(whole, decimals, exponent_of(asset), place)
    return Sums(count=int(count) if count else None, asset=asset, amount_minor=amount_minor)


def number_of(value: str) -> tuple[int | None, int | None] | None:
    """Number and page of a statement; 0 and nothing are none. None where the field has another shape."""
    matched = _NUMBER.fullmatch(value.strip())
    if matched is None:
        return None
    number, page = matched.groups()
    return (int(number) or None) if number else None, (int(page) or None) if page else None


def account_of(value: str) -> str | None:
    """Account as the bank writes it, without the currency that some put behind it."""
    account = value.partition("\n")[0].strip()
    matched = _CURRENCY_BEHIND.fullmatch(account)
    return (matched.group(1) if matched is not None else account) or None
