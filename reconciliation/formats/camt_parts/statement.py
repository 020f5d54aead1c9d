"""One camt statement, report or notification, in one page or several: its chain of balances, its totals, its proofs.

Law: opening balance + booked entries = closing balance, page by page and over all pages, and every control total that
is stated agrees, or the file is refused. A statement (camt.053) that states no two balances proves nothing and is
refused; only one without entries may state a single balance. Reports and notifications may leave balances out; what
does not tie in a report within the day is flagged, since that may tell only what is new (``demand`` decides it).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from ledger_core.money import MAX_AMOUNT_MINOR, exponent_of, format_minor
from reconciliation.errors import RefusedFile
from reconciliation.formats.camt_parts.entry_parts import Parts
from reconciliation.formats.camt_parts.header import (
    CLOSING,
    INTERIM,
    OPENING,
    Balance,
    Balances,
    Header,
    Page,
)
from reconciliation.formats.camt_parts.totals import Totals, compare_summary
from reconciliation.formats.canonical import Statement
from reconciliation.formats.values import asset_of, difference_in_words, refused

Demand = Callable[[RefusedFile], str]

_AGAIN: Final = "Entries are missing, doubled or wrong; ask the bank for the statement again."


@dataclass(slots=True)
class OpenStatement:
    """A statement while its pages are read."""

    number: int
    first: Header
    demand: Demand
    balances_required: bool
    interim: bool
    page: Page | None = None  # the one read last
    page_count: int = 0
    totals: Totals = field(default_factory=Totals)
    opening: Balance | None = None
    closing: Balance | None = None
    running_minor: int | None = None  # opening balance and what was booked since
    chained: bool = True  # whether every page that was read fits the one before
    assets: dict[str, str] = field(default_factory=dict)  # each stated asset, and where first
    last_day: date | None = None
    proofs: list[str] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    summaries: list[Parts] = field(default_factory=list)  # stated totals that are not those of their page
    told: str = "no balance at all"

    @property
    def key(self) -> tuple[str | None, str | None]:
        """Account and identification."""
        return self.first.account, self.first.identification

    def continued_by(self, header: Header, page: Page | None) -> bool:
        """Whether a page is a later one of this statement. Code ``sequence`` if one between them is missing."""
        if page is None or self.page is None or (header.account, header.identification) != self.key:
            return False
        if self.page[1] or page[0] <= self.page[0]:
            return False
        if page[0] != self.page[0] + 1:
            self.flags.append(self.demand(_missing_page(self.page[0] + 1, page[0])))
        return True

    def add_page(self, header: Header, page: Page | None, balances: Balances, totals: Totals) -> None:
        """Prove one page and add it. Codes ``balance``, ``control_total``, ``currency``."""
        self.page, self.page_count = page, self.page_count + 1
        if header.account_asset:
            self.assets.setdefault(header.account_asset, "Acct/Ccy")
        for balance in balances.booked:
            self.assets.setdefault(balance.asset, f"Bal {balance.code}")
        for asset, place in totals.assets.items():
            self.assets.setdefault(asset, place)
        if not self.assets and balances.other_asset:
            self.assets[balances.other_asset] = "Bal"
        self.told = balances.told()
        asset = self._one_asset()
        self.last_day = balances.day() or header.last_day or self.last_day
        if abs(totals.movement_minor) > MAX_AMOUNT_MINOR:
            raise refused("amount", "Ntry", "a sum within 64 bits", "more")
        self._chain(balances, totals, asset)
        if header.summary:
            failed = compare_summary(header.summary, totals, asset)
            if isinstance(failed, RefusedFile):
                self.summaries.append(header.summary)
            else:
                self.proofs += failed
        self.totals.merge(totals)

    def finish(self, message_day: date | None) -> Statement:
        """The statement. Codes ``balance``, ``control_total``, ``date``, ``sequence``, ``structure``."""
        asset = next(iter(self.assets))
        if self.page_count > 1 and self.page is not None and not self.page[1]:
            self.flags.append(self.demand(_missing_page(self.page[0] + 1, None)))
        if self.page_count > 1 and self.first.page is not None and self.first.page[0] != 1:
            self.flags.append(self.demand(_missing_page(1, self.first.page[0])))
        for summary in self.summaries:
            told = compare_summary(summary, self.totals, asset)
            if isinstance(told, RefusedFile):
                self.flags.append(self.demand(told))
            else:
                self.proofs += told
        if self.balances_required and (self.opening is None or self.closing is None):
            self.flags.append(self.demand(self._no_balances()))
        if self.first.identification is None:
            raise refused("structure", "Id", "an identification of the statement", "none")
        proved = self.chained and self.opening is not None and self.closing is not None
        to_date = self.last_day or message_day or self.totals.last_date
        if to_date is None:
            raise refused("date", "Bal/Dt", "a date of the statement", "none")
        opened = self.opening.day if self.opening is not None and self.opening.code == OPENING[0] else None
        from_date = self.first.first_day or opened or self.totals.first_date or to_date
        return Statement(
            statement_ref=self._reference(),
            account=self.first.account,
            asset=asset,
            sequence_no=self.first.sequence_no,
            from_date=min(from_date, to_date),
            to_date=to_date,
            opening_minor=self.opening.amount_minor if proved and self.opening is not None else None,
            closing_minor=self.closing.amount_minor if proved and self.closing is not None else None,
            movement_minor=self.totals.movement_minor,
            line_count=self.totals.line_count,
            proofs=(*self.proofs, *self.totals.proofs()),
            flags=tuple(self.flags),
            pending_count=self.totals.pending_count,
            interim=self.interim,
        )

    def _chain(self, balances: Balances, totals: Totals, asset: str) -> None:
        """Opening balance of the page against the page before, closing balance against the entries."""
        differing = balances.differing()
        if differing is not None:
            self._fail(
                refused(
                    "balance",
                    f"Bal {differing}",
                    "one such balance",
                    "several that differ",
                    "Ask the bank which one holds.",
                )
            )
        opening, closing = balances.opening(), balances.closing()
        if not totals.entry_count and balances.booked and self.page_count == 1:
            alone = opening or closing or balances.booked[0]  # nothing was booked, so one balance is both
            opening, closing = opening or alone, closing or alone
        if opening is not None and self.running_minor is None and self.page_count == 1:
            self.opening, self.running_minor = opening, opening.amount_minor
        elif (
            opening is not None
            and self.running_minor is not None
            and opening.amount_minor != self.running_minor
        ):
            self._fail(
                _wrong(opening, self.running_minor, asset, "the balance that the page before ends with")
            )
        self.closing = closing
        if self.running_minor is None:
            return
        before_minor, self.running_minor = self.running_minor, self.running_minor + totals.movement_minor
        if closing is None:
            return
        exponent = exponent_of(asset)
        code = opening.code if opening is not None else "the page before"
        booked = format_minor(totals.movement_minor, exponent)
        if self.running_minor != closing.amount_minor:
            before = f"{code} {format_minor(before_minor, exponent)}"
            because = f"{before} and {totals.booked_count} booked entries of {booked}"
            self._fail(_wrong(closing, self.running_minor, asset, because))
            self.running_minor = closing.amount_minor
            return
        self.proofs.append(
            f"{code} {format_minor(before_minor, exponent)} + {totals.booked_count} booked entries {booked}"
            f" = {closing.code} {format_minor(closing.amount_minor, exponent)} {asset}"
        )

    def _fail(self, refusal: RefusedFile) -> None:
        self.flags.append(self.demand(refusal))
        self.chained = False

    def _one_asset(self) -> str:
        """The one currency of account, balances and entries."""
        if not self.assets:
            if self.balances_required:
                raise self._no_balances()
            raise refused("currency", "Acct/Ccy", "a currency of the account, a balance or an entry", "none")
        if len(self.assets) > 1:
            raise refused(
                "currency",
                "Acct/Ccy",
                "one currency for account, balances and entries",
                ", ".join(f"{asset[:16]} ({place})" for asset, place in list(self.assets.items())[:5]),
                "Ask the bank for one statement per currency.",
            )
        return asset_of(next(iter(self.assets)), "Acct/Ccy")

    def _no_balances(self) -> RefusedFile:
        return refused(
            "balance",
            "Bal",
            "an opening (OPBD, PRCD, ITBD) and a closing (CLBD, ITBD) booked balance",
            self.told,
            "Nothing proves that the statement is complete; ask the bank for one with booked balances.",
        )

    def _reference(self) -> str:
        """The identification; a page whose neighbours come in other files is named by its number too."""
        identification = self.first.identification or ""
        first, last = self.first.page, self.page
        if first is None or last is None or (first[0] == 1 and last[1]):
            return identification
        ends = {balance.code for balance in (self.opening, self.closing) if balance is not None}
        if ends and INTERIM not in ends and CLOSING in ends:
            return (
                identification  # its balances span the statement: what is numbered are pages of the message
            )
        return f"{identification}/page {first[0]}"


def _wrong(balance: Balance, expected_minor: int, asset: str, because: str) -> RefusedFile:
    exponent = exponent_of(asset)
    return refused(
        "balance",
        f"Bal {balance.code}",
        f"{format_minor(expected_minor, exponent)} {asset} ({because})",
        f"{format_minor(balance.amount_minor, exponent)} {asset}, "
        f"{difference_in_words(expected_minor, balance.amount_minor, asset)}",
        _AGAIN,
    )


def _missing_page(expected: int, found: int | None) -> RefusedFile:
    return refused(
        "sequence",
        "PgNb",
        f"page {expected}",
        "no further page" if found is None else f"page {found}",
        "A page of the statement is missing; ask the bank for all of them.",
    )
