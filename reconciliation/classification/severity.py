"""How bad an exception is: separate factors, added up in bands, all of them stored.

Laws: severity is a function of the stored factors alone (``severity_of``, which reads nothing else); age alone never
makes a trifle critical; timing is information, whatever else holds.

    start        exposure |difference|: below medium = low, then medium, high, critical
                 (source.severity; by default 100, 10 000 and 100 000 major units of the asset)
    + 1 band     share: one percent or more of the account's balance, where that is known
    + 1 band     direction: client or safeguarded money, and the source holds less than our book says
    + 1 band     lateness: five or more business days past the latest due date
    + 1 band     class: duplicate, sign mismatch, conflicting version (the book itself is doubtful, not only late)
    + 1 band     regulatory: an account of safeguarded money
    + 1 band     systemic: one kind with one batch or counterparty, five times a day or as often as the source says
    - 1 band     confidence is low: which line belongs to which is in doubt, not whether the money is there
    at most      medium for a trifle (below de_minimis_minor, or the medium band), unless it is systemic
    at least     critical for balance_break and for a material shortfall of safeguarded money, which is due the same
                 day; high for missing_file, control_total, sequence_gap; medium for a limit that was met
    always       info for timing: it is expected to clear by itself

Example: a duplicate payout of 12 000.00 EUR, one day late, is high by exposure and one band more by class: critical.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ledger_core.money import ISO_4217_EXPONENTS, MAX_AMOUNT_MINOR
from reconciliation.errors import ReconciliationError
from reconciliation.sources import Severity
from reconciliation.vocabulary import SEVERITIES

INFO, LOW, MEDIUM, HIGH, CRITICAL = range(len(SEVERITIES))
DEFAULT_BANDS_MAJOR: Final = (100, 10_000, 100_000)  # medium, high, critical
LATE_FROM_BUSINESS_DAYS: Final = 5
SHARE_FROM_PPM: Final = 10_000

CLASS_WEIGHTS: Final = MappingProxyType(
    dict.fromkeys(("duplicate_external", "duplicate_ledger", "sign_mismatch", "conflicting_version"), 1)
)
FLOORS: Final = MappingProxyType(
    {"balance_break": CRITICAL, "missing_file": HIGH, "control_total": HIGH, "sequence_gap": HIGH}
)
LOW_CONFIDENCE: Final = frozenset({"ambiguous"})

_SHARES: Final = ((1, 1_000_000), (10, 100_000), (100, 10_000), (1_000, 1_000), (10_000, 100))
_RAISING: Final = ("direction", "lateness", "class_weight")
_RAISING_WHERE_STORED: Final = ("share", "regulatory", "systemic")

Factor = str | int | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What else is known of an exception; nothing of it by default.

    ``share_ppm``: the largest of 100, 1 000, 10 000, 100 000 and 1 000 000 parts per million of the account's balance
    that the exposure reaches, else 0; None where no balance is known. ``systemic_count`` and ``systemic_net_minor``:
    exceptions with the same cause on the day and the sum of their differences, where they are enough to be one cause.
    ``is_trifle``: below the source's de-minimis; None takes the medium band for it. ``is_material``: a shortfall above
    the written materiality of a safeguarded account. ``floor``: a level of its own that it never falls below.
    """

    share_ppm: int | None = None
    regulatory: bool = False
    is_material: bool = False
    is_trifle: bool | None = None
    systemic_count: int | None = None
    systemic_net_minor: int | None = None
    floor: int | None = None


_NOTHING_ELSE: Final = Circumstances()


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """A severity and the factors it follows from, as they are stored."""

    severity: str
    factors: Mapping[str, Factor]


def severity_of(factors: Mapping[str, Any]) -> str:
    """The severity that stored factors stand for; needs nothing but what ``assess`` stores.

    A circumstance that is not among them did not hold.
    """
    if factors["class"] == "timing":
        return SEVERITIES[INFO]
    level = SEVERITIES.index(factors["exposure"]) + sum(factors[name] for name in _RAISING)
    level += sum(factors.get(name, 0) for name in _RAISING_WHERE_STORED)
    level -= factors.get("confidence") == "low"
    level = min(max(level, LOW), CRITICAL)
    if factors["ceiling"] is not None:
        level = min(level, SEVERITIES.index(factors["ceiling"]))
    if factors["floor"] is not None:
        level = max(level, SEVERITIES.index(factors["floor"]))
    return SEVERITIES[level]


def assess(
    *,
    kind: str,
    exception_class: str,
    exposure: int,
    client_money_shortfall: bool,
    late_business_days: int,
    circumstances: Circumstances = _NOTHING_ELSE,
) -> Assessment:
    """The severity of one combination of factors; ``exposure`` is a level as ``exposure_levels`` gives it."""
    known = circumstances
    is_systemic = known.systemic_count is not None
    is_trifle = exposure < MEDIUM if known.is_trifle is None else known.is_trifle
    same_day = known.regulatory and known.is_material and client_money_shortfall and exception_class == "genuine"
    floors = (FLOORS.get(kind), known.floor, CRITICAL if same_day else None)
    floor = max((level for level in floors if level is not None), default=None)
    factors: dict[str, Factor] = {
        "class": exception_class,
        "exposure": SEVERITIES[exposure],
        "direction": int(client_money_shortfall),
        "lateness": int(late_business_days >= LATE_FROM_BUSINESS_DAYS),
        "late_business_days": late_business_days,
        "class_weight": CLASS_WEIGHTS.get(kind, 0),
        "ceiling": SEVERITIES[MEDIUM] if is_trifle and not is_systemic else None,
        "floor": None if floor is None else SEVERITIES[floor],
    }
    holding: dict[str, Factor] = {
        "exposure_share_ppm": known.share_ppm,
        "share": int(known.share_ppm is not None and known.share_ppm >= SHARE_FROM_PPM),
        "regulatory": int(known.regulatory),
        "confidence": "low" if kind in LOW_CONFIDENCE else None,
        "same_day": same_day,
    }
    factors |= {name: value for name, value in holding.items() if value}
    if is_systemic:
        factors |= {
            "systemic": 1,
            "systemic_count": known.systemic_count,
            "systemic_net_minor": known.systemic_net_minor,
        }
    return Assessment(severity=severity_of(factors), factors=factors)


def share_bands(
    exposure_minor: npt.NDArray[np.int64], balance_minor: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """The share of the balance that each exposure reaches, as ``Circumstances`` counts it; a balance of zero tells
    nothing: -1.
    """
    exposure, balance = np.abs(exposure_minor), np.abs(balance_minor)
    reached = np.zeros(len(exposure), dtype=np.int64)
    for part, ppm in reversed(_SHARES):
        reached[exposure >= -(-balance // part)] = ppm
    reached[balance == 0] = -1
    return reached


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
