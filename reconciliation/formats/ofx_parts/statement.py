"""One OFX statement while its transactions go by: sums, account, period and balance; and what it tells at its end.

Law: only sums are kept. The ledger balance is the closing one where it is of the last day of the period, or of an
earlier day after which nothing was booked; a balance of a later day says nothing about this one.
"""

from datetime import date
from typing import Final

from reconciliation.formats.canonical import CardTokens, Statement
from reconciliation.formats.notes import Notes
from reconciliation.formats.ofx_parts.lines import Account, read_account
from reconciliation.formats.ofx_parts.tags import DAMAGED, Leaves, Texts
from reconciliation.formats.ofx_parts.values import Settings, amount_minor, day_at, moment_of
from reconciliation.formats.values import asset_of, refused

ACCOUNTS: Final = frozenset({"BANKACCTFROM", "CCACCTFROM", "INVACCTFROM"})


_NEVER: Final = 10**7


class OpenStatement:
    """A statement of which the end was not read yet. ``leaves`` are its own elements, filled while they are read."""

    __slots__ = (
        "_account", "_asset", "_balance", "_ended", "_first", "_last", "_last_booked", "_leaves", "_movement_minor",
        "_started", "count", "name", "number", "pending", "securities",
    )  # fmt: skip

    def __init__(self, name: str, leaves: Leaves, number: int) -> None:
        self.name = name
        self.number = number
        self.count = self.pending = self.securities = 0
        self._movement_minor = 0
        self._leaves = leaves
        self._account: Account | None = None
        self._asset: str | None = None
        self._started: date | None = None
        self._ended: date | None = None
        self._balance: Leaves = {}
        self._first = _NEVER  # days from 1970-01-01
        self._last = self._last_booked = -_NEVER

    def part(self, name: str, leaves: Leaves, begin: int, texts: Texts, tokens: CardTokens) -> None:
        """Take an aggregate of the statement that is no transaction. Code ``structure``."""
        if name in ACCOUNTS:
            if self._account is not None:
                raise refused(
                    "structure", f"byte {begin}, {name}", "one account in a statement", "two", DAMAGED
                )
            self._account = read_account(leaves, texts, tokens, is_card=name == "CCACCTFROM")
        elif name == "LEDGERBAL":
            self._balance = leaves
        elif name == "INVTRAN":
            self.securities += 1
        elif name in {"BANKTRANLIST", "INVTRANLIST"}:
            self._add_period(leaves)

    def _add_period(self, leaves: Leaves) -> None:
        """Period of a list; of several lists, from the first day to the last."""
        started, ended = _day(leaves.get("DTSTART"), "DTSTART"), _day(leaves.get("DTEND"), "DTEND")
        self._started = min(filter(None, (self._started, started)), default=None)
        self._ended = max(filter(None, (self._ended, ended)), default=None)

    def account_in_hand(self) -> Account:
        """The account, which stands before the transactions. Code ``structure``."""
        if self._account is None:
            raise refused("structure", self.name, "the account that the statement is of", "none", DAMAGED)
        return self._account

    def asset_in_hand(self, texts: Texts) -> str:
        """The currency, which stands before the transactions. Code ``currency``."""
        if self._asset is None:
            self._asset = asset_of(texts.text(self._leaves.get("CURDEF", b""), "CURDEF").upper(), "CURDEF")
        return self._asset

    def add(self, value_minor: int, days: int, *, booked: bool) -> None:
        """Count a line."""
        if booked:
            self._movement_minor += value_minor
            self.count += 1
            self._last_booked = max(self._last_booked, days)
        else:
            self.pending += 1
        self._first = min(self._first, days)
        self._last = max(self._last, days)

    def told(self, texts: Texts, settings: Settings, server_date: bytes | None, notes: Notes) -> Statement:
        """The statement at its end. Codes ``structure``, ``currency``, ``date``, ``amount``."""
        account, asset = self.account_in_hand(), self.asset_in_hand(texts)
        balance_raw = self._balance.get("DTASOF", b"")
        balance_day = _day(balance_raw if balance_raw.strip(b"0") else None, "LEDGERBAL, DTASOF")
        has_lines = self.count + self.pending > 0
        to_date = (
            self._ended
            or (day_at(self._last) if has_lines else None)
            or balance_day
            or _day(server_date, "DTSERVER")
        )
        if to_date is None:
            raise refused("date", "DTEND", "the period of the statement", "no date at all")
        from_date = self._started or min(day_at(self._first) if has_lines else to_date, to_date)
        if from_date > to_date:
            raise refused("date", "DTSTART", f"a day up to DTEND, {to_date}", f"{from_date}")
        return Statement(
            statement_ref=f"{account.name}:{asset}:{from_date}:{to_date}",
            account=account.name,
            asset=asset,
            sequence_no=None,
            from_date=from_date,
            to_date=to_date,
            opening_minor=None,
            closing_minor=self._closing(asset, balance_day, to_date, settings, notes),
            movement_minor=self._movement_minor,
            line_count=self.count,
            proofs=(f"complete to its end mark with {self.count} booked transactions; OFX states no totals",),
            pending_count=self.pending,
        )

    def _closing(
        self, asset: str, balance_day: date | None, to_date: date, settings: Settings, notes: Notes
    ) -> int | None:
        raw, mode = self._balance.get("BALAMT"), settings.ledger_balance
        if raw is None or mode == "ignored":
            return None
        balance_minor = amount_minor(raw, asset, settings.decimal_mark, "LEDGERBAL, BALAMT")
        if mode == "closing" or balance_day == to_date:
            return balance_minor
        if balance_day is not None and balance_day < to_date:
            last_booked = day_at(self._last_booked) if self.count else balance_day
            if last_booked <= balance_day:
                return balance_minor  # nothing moved between the two days
        notes.add("ledger balances not of the end of the period, not told", f"statement {self.number + 1}")
        return None


def _day(raw: bytes | None, place: str) -> date | None:
    return day_at(moment_of(raw, place)[0]) if raw else None
