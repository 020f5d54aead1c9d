"""One measured figure beside its reference."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

COLUMNS = ("area", "figure", "measured", "unit", "reference", "of", "ratio", "verdict")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """``measured`` and ``reference`` in ``unit``, both medians of the same number of rounds unless ``of`` is a limit.

    ``kept`` says whether a promised limit is kept; None where the reference is no limit but a measure.
    """

    area: str
    name: str
    unit: str
    measured: float
    reference: float
    of: str
    kept: bool | None = None

    @property
    def ratio(self) -> float:
        """How many times the reference."""
        return self.measured / self.reference

    def as_value(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "ratio": round(self.ratio, 4)}

    def as_row(self) -> Mapping[str, str]:
        """For people."""
        return {
            "area": self.area,
            "figure": self.name,
            "measured": f"{self.measured:.3f}",
            "unit": self.unit,
            "reference": f"{self.reference:.3f}",
            "of": self.of,
            "ratio": f"{self.ratio:.2f}",
            "verdict": {None: "", True: "kept", False: "MISSED"}[self.kept],
        }


def within(*, area: str, name: str, unit: str, measured: float, limit: float) -> Figure:
    """A figure that must not be above a promised limit."""
    return Figure(
        area=area,
        name=name,
        unit=unit,
        measured=measured,
        reference=limit,
        of="limit",
        kept=measured <= limit,
    )
