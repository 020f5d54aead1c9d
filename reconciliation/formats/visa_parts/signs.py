"""Signs and kinds of BASE II transaction codes: the shipped ``visa_parts/signs.csv``, and before it the rows of a
member.

    06,*,acquirer,-1,refund,no

says: a credit voucher of any qualifier lowers the acquirer's balance, and is no reversal. Side ``receiver`` is signed
for whoever gets the file (fee collections and disbursements go both ways); ``none`` with sign 0 moves nothing. The
first row that fits decides; what no row fits is a refusal, never a guess.
"""

from dataclasses import dataclass
from typing import Final

from reconciliation.errors import SourcesError
from reconciliation.formats.card_tables import TableRow, shipped_table, table_rows
from reconciliation.vocabulary import LINE_KINDS

_COLUMNS: Final = ("transaction_code", "qualifier", "side", "sign", "kind", "reversal")
_SIDES: Final = ("acquirer", "receiver", "none")
_SIGNS: Final = {"1": 1, "+1": 1, "-1": -1, "0": 0}
_ANY: Final = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignRow:
    """One row: which transactions it is about, and what they do."""

    transaction_codes: frozenset[str]
    qualifiers: frozenset[str]
    side: str
    sign: int
    kind: str
    reversal: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """Finds the row of a transaction."""

    rows: tuple[SignRow, ...]

    def of(self, transaction_code: str, qualifier: str) -> SignRow | None:
        """The first row that fits, None if none does.

        >>> signs_of(None).of("26", "0").sign
        1
        """
        return next(
            (
                row
                for row in self.rows
                if transaction_code in row.transaction_codes
                and not row.qualifiers.isdisjoint((qualifier, _ANY))
            ),
            None,
        )


def signs_of(own_table: str | None) -> Signs:
    """The shipped signs, after the rows of a member's own table where there is one; ``SourcesError`` for a bad one."""
    own = _rows(own_table, "signs") if own_table is not None else ()
    return Signs(rows=(*own, *_rows(shipped_table("visa_parts/signs.csv"), "visa_parts/signs.csv")))


def _rows(text: str, name: str) -> tuple[SignRow, ...]:
    rows: list[SignRow] = []
    problems: list[str] = []
    for row in table_rows(text, _COLUMNS, name):
        found = _problems(row)
        problems += found
        if not found:
            codes, qualifiers, side, sign, kind, reversal = row.values
            rows.append(
                SignRow(
                    transaction_codes=frozenset(codes.split()),
                    qualifiers=frozenset(qualifiers.split()),
                    side=side,
                    sign=_SIGNS[sign],
                    kind=kind,
                    reversal=reversal == "yes",
                )
            )
    if problems:
        raise SourcesError(tuple(problems))
    return tuple(rows)


def _problems(row: TableRow) -> list[str]:
    codes, qualifiers, side, sign, kind, reversal = row.values
    checks = (
        ("transaction_code", _all(codes, 2), "codes of two digits with spaces between"),
        ("qualifier", qualifiers == _ANY or _all(qualifiers, 1), "digits with spaces between, or *"),
        ("side", side in _SIDES, ", ".join(_SIDES)),
        ("sign", sign in _SIGNS and (side == "none") == (sign == "0"), "1 or -1, and 0 with side none only"),
        ("kind", kind in LINE_KINDS, ", ".join(sorted(LINE_KINDS))),
        ("reversal", reversal in ("yes", "no"), "yes or no"),
    )
    return [f"{row.place}, column {what}: expected {expected}" for what, good, expected in checks if not good]


def _all(text: str, length: int) -> bool:
    codes = text.split()
    return bool(codes) and all(code.isascii() and code.isdecimal() and len(code) == length for code in codes)
