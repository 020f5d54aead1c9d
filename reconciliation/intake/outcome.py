"""What became of a delivered file, as a value and as one sentence for people. Pure."""

from dataclasses import dataclass
from datetime import date
from typing import Literal

from reconciliation.errors import RefusedFile

Outcome = Literal["accepted", "redelivered", "corrected", "rejected"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryOutcome:
    """What became of a file. Counts are of lines; ``same_as`` names the delivery that a redelivered file repeats."""

    outcome: Outcome
    delivery_id: int
    source_id: str
    file_name: str
    file_sha256: str
    for_date: date | None
    package_name: str | None = None  # the archive it came in
    line_count: int = 0
    added_count: int = 0
    changed_count: int = 0
    withdrawn_count: int = 0
    unchanged_count: int = 0
    provisional_count: int = 0
    statement_count: int = 0
    same_as: int | None = None
    refusal: RefusedFile | None = None
    notes: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """One line for people: the file, what became of it, and why."""
        if self.refusal is not None:
            packed = f" Nothing of {self.package_name} was taken in." if self.package_name else ""
            return f"{self.file_name}: rejected: {self.refusal}{packed}"
        if self.outcome == "redelivered":
            return f"{self.file_name}: redelivered: says the same as delivery {self.same_as}, nothing changed"
        if self.outcome == "corrected":
            return (
                f"{self.file_name}: corrected: {_count(self.changed_count, 'line')} changed, {self.added_count} added, "
                f"{self.withdrawn_count} withdrawn, {self.unchanged_count} unchanged"
            )
        repeated = f", {self.unchanged_count} of them known already" if self.unchanged_count else ""
        if self.provisional_count:
            repeated += f", {self.provisional_count} more not booked for good"
        return (
            f"{self.file_name}: accepted: {_count(self.line_count, 'line')} in "
            f"{_count(self.statement_count, 'statement')}{repeated}"
        )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
