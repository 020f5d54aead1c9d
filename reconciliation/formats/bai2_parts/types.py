"""BAI2 type codes: which way a detail code moves the account, and what kind of movement it is.

Law: 100 to 399 are credits and 400 to 699 are debits, as appendix A of the standard has it; no other code has a
direction of its own. The bank's own codes (900 to 999) and the loan codes (700 to 799) get one from the source's
settings or the file is refused; 890 tells something and moves nothing.

>>> TypeCodes().meaning("475")
(-1, 'transfer', False)
"""

from collections.abc import Iterable, Mapping
from typing import Final

from reconciliation.errors import SourcesError

_REVERSED: Final = frozenset(
    {123, 252, 255, 257, 258, 261, 266, 395, 423, 552, 555, 557, 558, 561, 566, 694}
)  # a movement that undoes one told earlier: returns, rejects, reversals
_CREDIT_ADJUSTMENTS: Final = frozenset(
    {118, 172, 189, 196, 254, 268, 276, 278, 357, 358, 363, 368, 372, 376, 381, 383, 386, 388, 397}
)
_DEBIT_ADJUSTMENTS: Final = frozenset(
    {408, 468, 489, 496, 554, 568, 578, 631, 634, 663, 668, 672, 676, 681, 683, 686, 688, 695}
)
_FEES: Final = frozenset({224, 384, 398, 524, 564, 567, 661, 684, 698})
_INTEREST: Final = frozenset({242, 346, 354, 359, 654, 659})

BANK_DEFINED: Final[Mapping[str, tuple[int, str]]] = {
    "bank_defined_credit": (1, "credits"),
    "bank_defined_debit": (-1, "debits"),
    "bank_defined_info": (0, "no movements"),
}
"""Settings that list type codes without a direction of their own, separated by commas."""


def _kind_of(number: int) -> str:
    if number in _FEES:
        return "fee"
    if number in _INTEREST:
        return "interest"
    return "adjustment" if number in _CREDIT_ADJUSTMENTS | _DEBIT_ADJUSTMENTS else "transfer"


def _standard() -> dict[str, tuple[int, str, bool]]:
    codes = {
        str(number): (1 if number < 400 else -1, _kind_of(number), number in _REVERSED)
        for number in range(100, 700)
    }
    return codes | {"890": (0, "adjustment", False)}


_STANDARD: Final = _standard()


class TypeCodes:
    """The standard's codes together with those that the source's settings give a direction."""

    __slots__ = ("_meanings",)

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        """Raises SourcesError for lists that are not codes, contradict each other or the standard."""
        self._meanings = dict(_STANDARD)
        problems: list[str] = []
        for name, (sign, _) in BANK_DEFINED.items():
            for code in _codes_of((settings or {}).get(name, "")):
                if len(code) != 3 or not (code.isascii() and code.isdecimal()):
                    problems.append(f"{name}: {code[:16]!r} is not a type code of three digits")
                elif code in self._meanings:
                    problems.append(f"{name}: {code} has a direction already")
                else:
                    self._meanings[code] = (sign, "transfer" if sign else "adjustment", False)
        if problems:
            raise SourcesError(tuple(f"settings of bai2: {problem}" for problem in problems))

    def meaning(self, code: str) -> tuple[int, str, bool] | None:
        """Sign (0 where nothing moves), kind of line, whether it undoes another; None if nobody says."""
        return self._meanings.get(code)


def _codes_of(text: str) -> Iterable[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
