"""A CODA statement while it is read: what record 1 says, the sums so far, and the proofs of records 8 and 9."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from ledger_core.money import exponent_of, format_minor
from reconciliation.errors import RefusedFile
from reconciliation.formats.canonical import Statement
from reconciliation.formats.fixed_width import (
    MINOR_MAX,
    balance_proof,
    balance_refusal,
    count_refusal,
    day_after,
    number_of,
    tidy,
    total_refusal,
)
from reconciliation.formats.values import implied_minor, refused, shown

ACCOUNT_STRUCTURES: Final = {"0": (12, 13), "1": (34, 34), "2": (31, 34), "3": (34, 34)}
"""Where the account ends and the currency begins in the 37 characters of both: Belgian, foreign, their IBANs."""

_SIGNS: Final = {"0": 1, "1": -1}


@dataclass(slots=True)
class OpenStatement:
    """What is known of the statement that is being read, from record 1 on."""

    created_on: date
    structure: str
    account: str
    asset: str
    paper_no: str
    sequence_no: int
    opened_on: date
    opening_minor: int
    closing: tuple[int, date] | None = None
    record_count: int = 1  # of kinds 1, 2, 3 and 8
    last_no: int = 0  # sequence number of the last movement
    line_count: int = 0
    debit_minor: int = 0
    credit_minor: int = 0
    flags: list[str] = field(default_factory=list)
    proofs: list[str] = field(default_factory=list)

    @property
    def ref(self) -> str:
        """Day of the new balance, number of the statement on paper, number of the coded statement in its year."""
        closed_on = self.closing[1] if self.closing else self.opened_on
        return f"{closed_on}/{self.paper_no or '000'}/{self.sequence_no:03d}"

    def prove(self, trailer: str, demand: Callable[[RefusedFile | None], bool]) -> None:
        """Number of records, debits, credits, balance: each demanded, each told among the proofs."""
        place = "record 9, number of records (17-22)"
        count = number_of(trailer[16:22], place)
        if demand(count_refusal(place, "records", count, self.record_count % 1_000_000)):
            self.proofs.append(f"record 9: {self.record_count} records")
        for what, start, found_minor in (
            ("debits", 22, self.debit_minor),
            ("credits", 37, self.credit_minor),
        ):
            place = f"record 9, sum of {what} ({start + 1}-{start + 15})"
            stated_minor = signed_minor("0" + trailer[start : start + 15], self.asset, place)
            if demand(total_refusal(place, what, stated_minor, found_minor, self.asset)):
                total = f"{format_minor(found_minor, exponent_of(self.asset))} {self.asset}"
                self.proofs.append(f"record 9: {what} together {total}")
        closing_minor = self.closing[0] if self.closing else 0
        movement_minor = self.credit_minor - self.debit_minor
        if abs(movement_minor) > MINOR_MAX:
            raise refused("amount", "record 9", "movements within 64 bits", "more")
        balance = {
            "opening_minor": self.opening_minor,
            "movement_minor": movement_minor,
            "closing_minor": closing_minor,
        }
        if demand(balance_refusal("record 8, new balance (42-57)", **balance, asset=self.asset)):
            self.proofs.append(balance_proof(**balance, count=self.line_count, asset=self.asset))

    def finished(self, statement_ref: str) -> Statement:
        """The statement, with its balances if they prove."""
        closing_minor, closed_on = self.closing or (self.opening_minor, self.opened_on)
        movement_minor = self.credit_minor - self.debit_minor
        proved = self.opening_minor + movement_minor == closing_minor
        return Statement(
            statement_ref=statement_ref,
            account=self.account,
            asset=self.asset,
            sequence_no=self.sequence_no or None,
            from_date=day_after(self.opened_on, closed_on),
            to_date=closed_on,
            opening_minor=self.opening_minor if proved else None,
            closing_minor=closing_minor if proved else None,
            movement_minor=movement_minor,
            line_count=self.line_count,
            proofs=tuple(self.proofs),
            flags=tuple(self.flags),
        )


def signed_minor(text: str, asset: str, place: str) -> int:
    """Amount of a sign digit (0 credit, 1 debit) and fifteen digits, three of them decimals whatever the currency.

    >>> signed_minor("1000000000025500", "EUR", "record 2.1")
    -2550
    """
    sign = _SIGNS.get(text[0])
    if sign is None:
        raise refused("amount", place, "0 (credit) or 1 (debit) before it", shown(text[0]))
    return sign * implied_minor(text[1:], place, decimals=3, exponent=exponent_of(asset))


def account_of(structure: str, text: str) -> tuple[str, str]:
    """Account and currency of 37 characters."""
    account_end, currency_at = ACCOUNT_STRUCTURES[structure]
    return tidy(text[:account_end]), text[currency_at : currency_at + 3]
