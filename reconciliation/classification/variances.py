"""What a fee or a conversion should have been, what it was, and who is off: in words, for the people who settle it.

Law: the version of a fee schedule that was in force on the day of the sale counts, which is the day of our entry; of
rates only those that the two sides booked are named. Exact integers. Decides no kind, see ``pairs``.

Example: gross 100.00 EUR agrees; the source kept back 3.00 EUR, our book has 2.90 EUR, the schedule from 2025-01-01 on
gives 2.90 EUR: overcharged by 0.10 EUR.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ledger_core.money import ISO_4217_EXPONENTS, format_minor
from reconciliation.classification.calendars import Days
from reconciliation.sources import FeeSchedule

_PARTS_PER_MILLION: Final = 1_000_000
_EPOCH: Final = date(1970, 1, 1)
_RATE: Final = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,18})?", re.ASCII)

Minor = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduled:
    """Per movement the fee that the schedule in force gives, and that schedule's place; -1 and 0 where none applies."""

    fee_minor: Minor
    place: npt.NDArray[np.int64]

    def within_tolerance(self, fees: Sequence[FeeSchedule], fee_minor: Minor) -> npt.NDArray[np.bool_]:
        """Where a schedule applies and gives this fee, but for its tolerance."""
        if not fees:
            return np.zeros(len(fee_minor), dtype=np.bool_)
        tolerance = np.array([fee.tolerance_minor for fee in fees], dtype=np.int64)[self.place]
        near = np.abs(fee_minor - self.fee_minor) <= tolerance
        return np.asarray((self.place >= 0) & near, dtype=np.bool_)


def scheduled(facts: pa.Table, days: Days, gross: Minor, fees: Sequence[FeeSchedule]) -> Scheduled:
    """The fees of external lines (EXTERNAL_ITEM_SCHEMA) for sales of these days (since 1970-01-01), rounded half up."""
    assets, kinds = facts["asset"].to_numpy(), facts["kind"].to_numpy()
    size = np.abs(gross)
    expected: Minor = np.zeros(len(gross), dtype=np.int64)
    place = np.full(len(gross), -1, dtype=np.int64)
    for number in sorted(
        range(len(fees)), key=lambda at: (fees[at].from_date, at)
    ):  # a later version replaces
        schedule = fees[number]
        applies = (assets == schedule.asset) & (kinds == schedule.kind)
        applies &= days >= (schedule.from_date - _EPOCH).days
        # In two steps, so that no product leaves 64 bits.
        whole, rest = size // _PARTS_PER_MILLION, size % _PARTS_PER_MILLION
        rest_fee = (rest * schedule.rate_ppm + _PARTS_PER_MILLION // 2) // _PARTS_PER_MILLION
        fee = whole * schedule.rate_ppm + rest_fee + schedule.fixed_minor
        expected[applies], place[applies] = fee[applies], number
    return Scheduled(fee_minor=expected, place=place)


def fee_reasons(
    lines: pa.Table, booked: pa.Table, booked_total: Minor, fees: Sequence[FeeSchedule]
) -> list[str]:
    """Why each pair is a fee variance: what was kept back, what is booked, what the schedule gives.

    ``booked``: our principal lines; ``booked_total``: the sums of our lines, fees and all.
    """
    kept = lines["fee_minor"].to_numpy().astype(np.int64)
    gross = lines["amount_minor"].to_numpy().astype(np.int64) + kept
    days: Days = booked["business_date"].cast(pa.int32()).to_numpy().astype(np.int64)
    due = scheduled(lines, days, gross, fees)
    is_due = due.within_tolerance(fees, kept)
    columns = zip(
        lines["asset"].to_pylist(),
        gross.tolist(),
        kept.tolist(),
        (gross - booked_total).tolist(),
        due.fee_minor.tolist(),
        due.place.tolist(),
        is_due.tolist(),
        strict=True,
    )
    return [
        _fee_reason(
            _Fee(asset=asset, gross_minor=total, kept_minor=theirs, booked_minor=ours, due_minor=agreed),
            fees[place] if place >= 0 else None,
            is_due=right,
        )
        for asset, total, theirs, ours, agreed, place, right in columns
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fee:
    """One fee by its three sayings: the source's, our book's, the schedule's."""

    asset: str
    gross_minor: int
    kept_minor: int
    booked_minor: int
    due_minor: int


def _fee_reason(fee: _Fee, schedule: FeeSchedule | None, *, is_due: bool) -> str:
    asset, above_minor = fee.asset, fee.kept_minor - fee.booked_minor
    told = (
        f"gross {_money(fee.gross_minor, asset)} agrees; the source kept back {_money(fee.kept_minor, asset)}, "
        f"our book has {_money(fee.booked_minor, asset)}"
    )
    if schedule is None:
        return f"{told}, no schedule applies: {_charged(above_minor, asset)} against our book"
    since = schedule.from_date.isoformat()
    told += f", the schedule from {since} on gives {_money(fee.due_minor, asset)}"
    if is_due:
        by = f"{_money(abs(above_minor), asset)} {'less' if above_minor > 0 else 'more'}"
        return f"{told}: charged as agreed, our book has {by}"
    return f"{told}: {_charged(fee.kept_minor - fee.due_minor, asset)}"


def _charged(more_minor: int, asset: str) -> str:
    return f"{'over' if more_minor > 0 else 'under'}charged by {_money(abs(more_minor), asset)}"


def rate_reasons(lines: pa.Table, booked: pa.Table, booked_total: Minor) -> list[str]:
    """Why each pair is an FX variance: what the source made of the original amount at its rate, and what we made."""
    rows = zip(lines.to_pylist(), booked.to_pylist(), booked_total.tolist(), strict=True)
    return [_rate_reason(line, entry, total) for line, entry, total in rows]


def _rate_reason(line: dict[str, Any], entry: dict[str, Any], total_minor: int) -> str:
    asset, size_minor = line["asset"], abs(line["amount_minor"] + line["fee_minor"])
    gives_minor = _nearest(line, size_minor)
    fraction = (
        f"{line['fx_numerator']}/{line['fx_denominator']}" if line["fx_numerator"] else "no stated rate"
    )
    told = (
        f"original {_money(abs(line['original_amount_minor']), line['original_asset'])} agrees; the source made "
        f"{_money(size_minor, asset)} of it at {line['fx_rate'] or fraction}"
    )
    if gives_minor is not None and abs(gives_minor - size_minor) > 1:
        told += f", which gives {_money(gives_minor, asset)}"
    told += f", our book {_money(abs(entry['amount_minor']), asset)}"
    if entry["fx_rate"]:
        told += f" at {_trimmed(entry['fx_rate'])}"
    more_minor = size_minor - abs(entry["amount_minor"])
    if more_minor:
        told += f": {_money(abs(more_minor), asset)} {'more' if more_minor > 0 else 'less'} than booked"
    booked_minor = entry["amount_minor"] - total_minor
    if booked_minor != line["fee_minor"]:
        kept, booked = _money(line["fee_minor"], asset), _money(booked_minor, asset)
        told += f"; the fee kept back is {kept}, {booked} is booked"
    return told


def _nearest(line: dict[str, Any], size_minor: int) -> int | None:
    """What the stated rate makes of the original amount; of a rate in words the way round that comes nearer."""
    steps = [ISO_4217_EXPONENTS.get(line[name] or "") for name in ("asset", "original_asset")]
    if steps[0] is None or steps[1] is None:
        return None
    given = [
        (2 * above * abs(line["original_amount_minor"]) * 10 ** steps[0] + below * 10 ** steps[1])
        // (2 * below * 10 ** steps[1])
        for above, below in _rates(line)
    ]
    return min(given, key=lambda minor: (abs(minor - size_minor), minor), default=None)


def _rates(line: dict[str, Any]) -> Iterable[tuple[int, int]]:
    if line["fx_numerator"] and line["fx_denominator"]:
        return [(line["fx_numerator"], line["fx_denominator"])]
    text = line["fx_rate"] or ""
    if not _RATE.fullmatch(text) or not text.strip("0."):
        return []
    whole, _, decimals = text.partition(".")
    fraction = int(whole + decimals), 10 ** len(decimals)
    return [fraction, fraction[::-1]]


def _trimmed(rate: str) -> str:
    return rate.rstrip("0").rstrip(".") if "." in rate else rate


def _money(amount_minor: int, asset: str) -> str:
    digits = ISO_4217_EXPONENTS.get(asset)
    if digits is None:
        return f"{amount_minor} minor units of {asset}"
    return f"{format_minor(amount_minor, digits)} {asset}"
