"""The proof of an MT942: its entries against the numbers and sums that :90D: and :90C: state.

Law: count and sum of debits and of credits hold exactly, with the expected entries (EC, ED) or without them: the
standard leaves that open. A floor limit (:34F:) above zero leaves entries out of the file: then the sums may be larger
by as many entries as the count says, each below the limit; that is noted. Anything else is a ``control_total`` refusal.
"""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Final

from ledger_core.money import exponent_of, format_minor
from reconciliation.formats.canonical import ReadOptions
from reconciliation.formats.notes import Notes
from reconciliation.formats.swift_mt_parts.balances import Sums
from reconciliation.formats.swift_mt_parts.entry import MARKS
from reconciliation.formats.values import difference_in_words, refused

_ASK: Final = "Ask the bank for the report again, or have a person waive it for this file."
_EPOCH: Final = date(1970, 1, 1)
_SIDES: Final = {"D": -1, "C": 1}


class MessageTotals:
    """What the entries of one message come to: ``by_mark`` has, by the mark of :61:, their number and signed sum."""

    __slots__ = ("by_mark", "first_day", "last_day")

    def __init__(self) -> None:
        self.by_mark: dict[str, list[int]] = {mark: [0, 0] for mark in MARKS}
        self.first_day: int | None = None  # booking days since 1970, of all entries
        self.last_day: int | None = None

    def see_day(self, day: int) -> None:
        """A booking day of an entry."""
        if self.first_day is None or self.last_day is None:
            self.first_day = self.last_day = day
        elif day < self.first_day:
            self.first_day = day
        elif day > self.last_day:
            self.last_day = day

    def days(self) -> tuple[date, date] | None:
        """First and last booking date; None without entries."""
        if self.first_day is None or self.last_day is None:
            return None
        return _EPOCH + timedelta(self.first_day), _EPOCH + timedelta(self.last_day)

    def booked(self) -> tuple[int, int]:
        """Number and signed sum of the booked entries."""
        return self._of(lambda mark: MARKS[mark][1] == "booked")

    def expected_count(self) -> int:
        """Number of the entries that are not booked."""
        return self._of(lambda mark: MARKS[mark][1] != "booked")[0]

    def side(self, side: str) -> tuple[tuple[int, int], tuple[int, int]]:
        """Number and sum (positive) of the entries of ``D`` or ``C``: of the booked ones, and of all."""
        sign = _SIDES[side]
        booked = self._of(lambda mark: MARKS[mark][:2] == (sign, "booked"))
        whole = self._of(lambda mark: MARKS[mark][0] == sign)
        return (booked[0], sign * booked[1]), (whole[0], sign * whole[1])

    def _of(self, is_one: Callable[[str], bool]) -> tuple[int, int]:
        found = [totals for mark, totals in self.by_mark.items() if is_one(mark)]
        return sum(count for count, _ in found), sum(minor for _, minor in found)


def prove_sums(
    side: str,
    stated: Sums,
    totals: MessageTotals,
    floor_minor: int,
    place: str,
    *,
    options: ReadOptions,
    notes: Notes,
) -> tuple[str | None, str | None]:
    """The proof in words, or the flag of a proof that failed and was waived."""
    without, whole = totals.side(side)
    exponent = exponent_of(stated.asset)
    for count, sum_minor in (without, whole):
        if sum_minor == stated.amount_minor and stated.count in {None, count}:
            words = f"{count} entries of {format_minor(sum_minor, exponent)} {stated.asset}"
            return f"{place} {words}, as stated", None
    missing_count, missing_minor = (stated.count or 0) - without[0], stated.amount_minor - without[1]
    if 0 < missing_minor <= missing_count * floor_minor:
        notes.add(
            f"entries below the floor limit of {format_minor(floor_minor, exponent)} {stated.asset}", place
        )
        return None, None
    refusal = refused(
        "control_total",
        place,
        f"{'any number of' if stated.count is None else stated.count} entries of "
        f"{format_minor(stated.amount_minor, exponent)} {stated.asset}",
        f"{without[0]} of {format_minor(without[1], exponent)} {stated.asset}, "
        f"{difference_in_words(stated.amount_minor, without[1], stated.asset)}",
        _ASK,
    )
    return None, options.demand(refusal)
