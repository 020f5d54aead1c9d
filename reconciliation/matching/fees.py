"""What a movement should have cost by the configured fee schedules, in integer minor units, rounded half up.

gross 100.00 EUR at 14 000 ppm + 0.20        1 400 000 000 / 1 000 000 = 140, + 20 = 160 minor units
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from reconciliation.matching import json_text
from reconciliation.matching.columns import BoolArray, Column, IntArray, kernel
from reconciliation.sources import FeeSchedule

_MILLION = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledFee:
    """Per movement: the fee its schedule gives, and which schedule (position, -1 for none)."""

    expected_minor: IntArray
    schedule: IntArray


def scheduled_fee(
    schedules: Sequence[FeeSchedule], *, asset: Column, kind: Column, days: IntArray, gross_minor: IntArray
) -> ScheduledFee:
    """The fee for movements of this asset and kind on these days (since 1970-01-01), from the version then in force."""
    expected = np.zeros(len(days), dtype=np.int64)
    chosen = np.full(len(days), -1, dtype=np.int64)
    size = np.abs(gross_minor)
    for number in sorted(range(len(schedules)), key=lambda at: (schedules[at].from_date, at)):
        schedule = schedules[number]
        same = kernel.and_(kernel.equal(asset, schedule.asset), kernel.equal(kind, schedule.kind))
        at = same.to_numpy(zero_copy_only=False) & (days >= (schedule.from_date - date(1970, 1, 1)).days)
        # whole millions apart, so that large amounts at large rates stay within 64 bits
        rest = (size % _MILLION * schedule.rate_ppm + _MILLION // 2) // _MILLION
        expected[at] = (size // _MILLION * schedule.rate_ppm + rest + schedule.fixed_minor)[at]
        chosen[at] = number
    return ScheduledFee(expected_minor=expected, schedule=chosen)


def explains(schedules: Sequence[FeeSchedule], fee: ScheduledFee, charged_minor: IntArray) -> BoolArray:
    """Where the fee charged is what the schedule gives, within its tolerance."""
    if not schedules:
        return np.zeros(len(charged_minor), dtype=np.bool_)
    tolerance = np.array([schedule.tolerance_minor for schedule in schedules], dtype=np.int64)[fee.schedule]
    return np.asarray(
        (fee.schedule >= 0) & (np.abs(charged_minor - fee.expected_minor) <= tolerance), dtype=np.bool_
    )


def schedule_fields(schedules: Sequence[FeeSchedule], fee: ScheduledFee) -> dict[str, Column]:
    """JSON text of the schedule that was applied, for the evidence. Every movement needs one."""

    def of_schedule(values: list[int]) -> Column:
        return json_text.numbers(np.array(values, dtype=np.int64)[fee.schedule])

    return {
        "expected_minor": json_text.numbers(fee.expected_minor),
        "rate_ppm": of_schedule([schedule.rate_ppm for schedule in schedules]),
        "fixed_minor": of_schedule([schedule.fixed_minor for schedule in schedules]),
        "tolerance_minor": of_schedule([schedule.tolerance_minor for schedule in schedules]),
        "schedule_from": json_text.dates(
            np.array(
                [(schedule.from_date - date(1970, 1, 1)).days for schedule in schedules], dtype=np.int64
            )[fee.schedule]
        ),
    }
