"""How bad an exception is: separate factors, added up in bands, all of them stored.

Law: severity is a function of the stored factors alone, and age alone never makes a trifle critical.

    start        exposure |difference|: below medium = low, then medium, high, critical
                 (source.severity; by default 100, 10 000 and 100 000 major units of the asset)
    + 1 band     direction: client money, and the source holds less than our book says
    + 1 band     lateness: five or more business days past due
    + 1 band     class: duplicate, sign mismatch, conflicting version (the book itself is doubtful, not only late)
    at most      medium, if the exposure is below medium
    at least     critical for balance_break; high for missing_file, control_total, sequence_gap
    always       info for timing: it is expected to clear by itself

Example: a duplicate payout of 12 000.00 EUR, one day late, is high by exposure and one band more by class: critical.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

from ledger_core.money import ISO_4217_EXPONENTS, MAX_AMOUNT_MINOR
from reconciliation.errors import ReconciliationError
from reconciliation.sources import Severity
from reconciliation.vocabulary import SEVERITIES

INFO, LOW, MEDIUM, HIGH, CRITICAL = range(len(SEVERITIES))
DEFAULT_BANDS_MAJOR: Final = (100, 10_000, 100_000)  # medium, high, critical
LATE_FROM_BUSINESS_DAYS: Final = 5

CLASS_WEIGHTS: Final = MappingProxyType(
    dict.fromkeys(("duplicate_external", "duplicate_ledger", "sign_mismatch", "conflicting_version"), 1)
)
FLOORS: Final = MappingProxyType(
    {"balance_break": CRITICAL, "missing_file": HIGH, "control_total": HIGH, "sequence_gap": HIGH}
)

Factor = str | int | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """A severity and the factors it follows from, as they are stored."""

    severity: str
    factors: Mapping[str, Factor]


def exposure_levels(
    exposure_minor: npt.NDArray[np.int64],
    assets: npt.NDArray[np.object_],
    settings: Severity,
    *,
    exponents: Mapping[str, int] = ISO_4217_EXPONENTS,
) -> npt.NDArray[np.int64]:
    """The level (LOW to CRITICAL) that each exposure stands for; ``assets`` holds None where there is nothing at stake.

    Raises:
        ReconciliationError: an asset has neither bands in the source's settings nor a known exponent.
    """
    levels = np.full(len(exposure_minor), LOW, dtype=np.int64)
    for asset in sorted({asset for asset in assets if asset is not None}):
        rows = assets == asset
        bands = _bands_minor(asset, settings, exponents)
        levels[rows] = LOW + np.searchsorted(bands, np.abs(exposure_minor[rows]), side="right")
    return levels


def assess(
    *, kind: str, exception_class: str, exposure: int, client_money_shortfall: bool, late_business_days: int
) -> Assessment:
    """The severity of one combination of factors; ``exposure`` is a level as ``exposure_levels`` gives it."""
    direction = int(client_money_shortfall)
    lateness = int(late_business_days >= LATE_FROM_BUSINESS_DAYS)
    weight = CLASS_WEIGHTS.get(kind, 0)
    floor = FLOORS.get(kind)
    ceiling = MEDIUM if exposure < MEDIUM else None
    level = min(exposure + direction + lateness + weight, CRITICAL)
    if ceiling is not None:
        level = min(level, ceiling)
    if floor is not None:
        level = max(level, floor)
    if exception_class == "timing":
        level = INFO
    return Assessment(
        severity=SEVERITIES[level],
        factors={
            "exposure": SEVERITIES[exposure],
            "direction": direction,
            "lateness": lateness,
            "late_business_days": late_business_days,
            "class_weight": weight,
            "ceiling": None if ceiling is None else SEVERITIES[ceiling],
            "floor": None if floor is None else SEVERITIES[floor],
        },
    )


def _bands_minor(asset: str, settings: Severity, exponents: Mapping[str, int]) -> npt.NDArray[np.int64]:
    stated = [
        table.get(asset) for table in (settings.medium_minor, settings.high_minor, settings.critical_minor)
    ]
    bands = []
    for band_minor, major in zip(stated, DEFAULT_BANDS_MAJOR, strict=True):
        if band_minor is None and asset not in exponents:
            raise ReconciliationError(
                f"severity of asset {asset}: expected its exponent or bands in sources.yaml, found neither; "
                "add medium_minor, high_minor and critical_minor for it under severity"
            )
        bands.append(
            band_minor if band_minor is not None else min(major * 10 ** exponents[asset], MAX_AMOUNT_MINOR)
        )
    return np.maximum.accumulate(
        np.array(bands, dtype=np.int64)
    )  # a medium set above the default high moves it
