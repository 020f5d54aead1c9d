"""One measured figure beside its reference."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

COLUMNS = ("area", "figure", "measured", "unit", "reference", "of", "ratio", "verdict")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """``measured`` and ``reference`` in ``unit``, both medians of the same number of rounds unless ``of`` is a limit.

    ``kept`` says whether a promised limit is kept; None where the reference is no limit but a measure. ``measured`` is
    None where something needed was not there; ``of`` then says what, and a limit counts as missed.
    """

    area: str
    name: str
    unit: str
    measured: float | None
    reference: float
    of: str
    kept: bool | None = None

    @property
    def ratio(self) -> float | None:
        """How many times the reference."""
        return None if self.measured is None else self.measured / self.reference

    def as_value(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "ratio": None if self.ratio is None else round(self.ratio, 4)}

    def as_row(self) -> Mapping[str, str]:
        """For people."""
        verdict = {None: "", True: "kept", False: "MISSED"}[self.kept]
        return {
            "area": self.area,
            "figure": self.name,
            "measured": "-" if self.measured is None else f"{self.measured:,.3f}",
            "unit": self.unit,
            "reference": f"{self.reference:,.3f}",
            "of": self.of,
            "ratio": "-" if self.ratio is None else f"{self.ratio:.2f}",
            "verdict": "NOT MEASURED" if self.measured is None else verdict,
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


def at_least(*, area: str, name: str, unit: str, measured: float, limit: float) -> Figure:
    """A figure that must not be below a promised limit."""
    return Figure(
        area=area,
        name=name,
        unit=unit,
        measured=measured,
        reference=limit,
        of="at least",
        kept=measured >= limit,
    )


def at_most_times(
    *, area: str, name: str, unit: str, measured: float, reference: float, of: str, times: float | None
) -> Figure:
    """A figure that must not be more than so many times its reference; without ``times`` there is no such limit."""
    return Figure(
        area=area,
        name=name,
        unit=unit,
        measured=measured,
        reference=reference,
        of=of if times is None else f"{of}, at most {times:g} x",
        kept=None if times is None else measured <= times * reference,
    )


def not_measured(*, area: str, name: str, unit: str, limit: float, missing: str) -> Figure:
    """A promise that nobody could look at, because ``missing`` was not there: told as not kept."""
    return Figure(
        area=area,
        name=name,
        unit=unit,
        measured=None,
        reference=limit,
        of=f"needs {missing}",
        kept=False,
    )
