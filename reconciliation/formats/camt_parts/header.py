"""What one page of a camt statement, report or notification says about itself: identification, period, balances.

Available, forward and other balances are never used: they are not what was booked.
"""

from dataclasses import dataclass, field
from datetime import date
from typing import Final

from reconciliation.formats.camt_parts.entry_parts import Parts, amount_at
from reconciliation.formats.camt_parts.fields import account_in
from reconciliation.formats.camt_parts.money import sign_of, unsigned_minor
from reconciliation.formats.camt_parts.values import local_date
from reconciliation.formats.canonical import CardTokens
from reconciliation.formats.notes import Notes
from reconciliation.formats.values import refused, shown

OPENING: Final = ("OPBD", "PRCD")
CLOSING: Final = "CLBD"
INTERIM: Final = "ITBD"  # ends one page of a statement and opens the next

_BOOKED: Final = frozenset({*OPENING, CLOSING, INTERIM})
_PAGES: Final = ("StmtPgntn", "RptPgntn", "NtfctnPgntn")
_SEQUENCE_DIGITS_MAX: Final = 18

Page = tuple[int, bool]
"""Number of a page, and whether it is the last."""


@dataclass(frozen=True, slots=True)
class Balance:
    """A booked balance."""

    code: str
    amount_minor: int
    asset: str
    day: date | None


@dataclass(slots=True)
class Balances:
    """Balances of one page: the booked ones, and what the others were."""

    booked: list[Balance] = field(default_factory=list)
    other_codes: list[str] = field(default_factory=list)  # the first few, for refusals
    other_asset: str | None = None

    def add(self, parts: Parts, notes: Notes, place: str) -> None:
        """Add one ``Bal``."""
        code = parts.get("Tp/CdOrPrtry/Cd") or parts.get("Tp/CdOrPrtry/Prtry")
        amount = amount_at(parts, "Amt")
        if code not in _BOOKED:
            if len(self.other_codes) < 8:
                self.other_codes.append((code or "one without code")[:35])
            self.other_asset = self.other_asset or amount[1]
            return
        minor = unsigned_minor(amount, f"Bal {code}/Amt")
        indicator = parts.get("CdtDbtInd") if "CdtDbtInd" in parts else "CRDT"
        if "CdtDbtInd" not in parts:
            notes.add("balances without CdtDbtInd, read as credit", place)
        day_text = parts.get("Dt/Dt") or parts.get("Dt/DtTm")
        self.booked.append(
            Balance(
                code=code,
                amount_minor=sign_of(indicator, f"Bal {code}") * minor,
                asset=amount[1] or "",
                day=local_date(day_text, f"Bal {code}/Dt") if day_text else None,
            )
        )

    def opening(self) -> Balance | None:
        """The balance that the first entry follows."""
        stated = [balance for code in OPENING for balance in self.booked if balance.code == code]
        interim = self._interim(also=CLOSING)
        return next(iter(stated or interim), None)

    def closing(self) -> Balance | None:
        """The balance that the last entry leads to."""
        stated = [balance for balance in self.booked if balance.code == CLOSING]
        interim = self._interim(also=OPENING[0], or_else=OPENING[1])
        return next(reversed(stated or interim), None)

    def differing(self) -> str | None:
        """Code of a balance that may stand once and stands several times with other amounts."""
        for code in (*OPENING, CLOSING):
            if len({balance.amount_minor for balance in self.booked if balance.code == code}) > 1:
                return code
        return None

    def day(self) -> date | None:
        """The day of the closing balance."""
        days = [balance.day for balance in self.booked if balance.code in {CLOSING, INTERIM}]
        return days[-1] if days else None

    def period(self, header: "Header", message_day: date | None) -> tuple[date | None, date | None]:
        """First and last day that a page is for."""
        last = self.day() or header.last_day or message_day
        opened = [balance.day for balance in self.booked if balance.code == OPENING[0]]
        return header.first_day or (opened[0] if opened else last), last

    def told(self) -> str:
        """Which balances there are, for a refusal."""
        found = [*(balance.code for balance in self.booked), *self.other_codes]
        return f"only {', '.join(found[:8])}" if found else "no balance at all"

    def _interim(self, *, also: str, or_else: str = "") -> list[Balance]:
        """Interim balances, where one may open a later page or close an earlier one; two do both."""
        interim = [balance for balance in self.booked if balance.code == INTERIM]
        other_end = any(balance.code in {also, or_else} for balance in self.booked)
        return interim if other_end or len(interim) > 1 else []


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a page says of itself, as far as it has been read."""

    identification: str | None
    account: str | None
    account_asset: str | None
    sequence_no: int | None
    first_day: date | None  # of its period
    last_day: date | None  # of its period, else the day it was made
    copy_mark: str | None
    page: Page | None
    summary: Parts


def header_of(parts: Parts, tokens: CardTokens) -> Header:
    """Header of the parts of a statement, report or notification."""
    get = parts.get
    first = get("FrToDt/FrDtTm") or get("FrToDt/FrDt")
    last = get("FrToDt/ToDtTm") or get("FrToDt/ToDt")
    made = get("CreDtTm")
    page = next((name for name in _PAGES if name in parts), None)
    return Header(
        identification=get("Id") or None,
        account=account_in(parts, "Acct", tokens),
        account_asset=get("Acct/Ccy") or None,
        sequence_no=_sequence_no(get("ElctrncSeqNb") or get("LglSeqNb")),
        first_day=local_date(first, "FrToDt") if first else None,
        last_day=local_date(last, "FrToDt") if last else local_date(made, "CreDtTm") if made else None,
        copy_mark=get("CpyDplctInd") or None,
        page=page_of(parts, page) if page else None,
        summary={path: text for path, text in parts.items() if path.startswith("TxsSummry/")},
    )


def page_of(parts: Parts, path: str) -> Page:
    """Page number, 1 if it is not stated, and whether it is the last one."""
    text = parts.get(f"{path}/PgNb") or "1"
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise refused("structure", f"{path}/PgNb", "a number of a page", shown(text))
    return int(text), parts.get(f"{path}/LastPgInd") in {"true", "1"}


def _sequence_no(text: str | None) -> int | None:
    """Zeros say that the sender does not number."""
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= _SEQUENCE_DIGITS_MAX):
        raise refused("structure", "ElctrncSeqNb", "a number", shown(text))
    return int(text) or None
