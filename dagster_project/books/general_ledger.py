"""The general ledger as a file: CSV by line or by day, and journals that beancount and hledger read and check.

Laws: only what happened (layer posted) is written, as far as one snapshot shows it, so that the same call writes the
same bytes again. Every account must end with what `ledger.balances` says of it: the lines are added up here, and
journals carry the balances as assertions. Memory grows with accounts and the longest entry, not with the number of
lines. Opens no files.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import partial
from itertools import chain, groupby
from pathlib import Path
from typing import Any, Final, NamedTuple, TextIO

import psycopg

from dagster_project.books.plain_text import ELSEWHERE, Account, Beancount, Hledger, Posting
from ledger_core.errors import AccountError, OutOfRangeError, RequestError, StoreError
from ledger_core.read_port import REFERENCE_COLUMNS
from ledger_core.sql import queries, translated_errors

_SQL: Final = queries(Path(__file__).with_suffix(".sql"))
_TEXTS: Final = ("kind", "description", "counterparty", *REFERENCE_COLUMNS)
_DETAILS: Final = (*_TEXTS, "fx_rate", "fx_asset", "fx_amount_minor", "metadata")

# Rows end by CR LF, as RFC 4180 says. An opening row per account, then one row per line, ordered by account,
# effective_at and entry. debit_minor, credit_minor: minor units, one of the two; amount: signed, debit positive, with
# the asset's decimals; balance: after this row, likewise. effective_at: UTC, on an opening row the beginning of the
# first day asked for.
LINE_COLUMNS: Final = (
    "row", "account", "entity", "asset", "effective_at", "balance_minor", "balance", "entry_key", "line_no",
    "debit_minor", "credit_minor", "amount", "reverses_entry_key", "corrects_entry_key", *_DETAILS,
)  # fmt: skip
# One row per account and UTC day with lines; an account without lines has one row without a day.
DAY_COLUMNS: Final = (
    "account", "entity", "asset", "day", "opening_minor", "debit_minor", "credit_minor", "closing_minor",
    "opening", "debit", "credit", "closing",
)  # fmt: skip


class Form(StrEnum):
    """What may be written."""

    CSV = "csv"
    CSV_BY_DAY = "csv-by-day"
    BEANCOUNT = "beancount"
    HLEDGER = "hledger"


@dataclass(frozen=True)
class Exported:
    """What was written: how many accounts, lines (or days), and the snapshot under which the same bytes come again."""

    accounts: int
    rows: int
    seen_by: str


def write_general_ledger(
    connection: psycopg.Connection[Any],
    out: TextIO,
    form: Form,
    *,
    account: str | None = None,
    entity: str | None = None,
    from_day: date | None = None,
    to_day: date | None = None,
    seen_by: str | None = None,
) -> Exported:
    """Write the posted lines of the chart, or of an account and all below it, or of an entity, to ``out``.

    Days are UTC and included; None means without that bound. ``seen_by`` is the snapshot of an earlier export or
    report; without it everything that is committed counts. Open ``out`` as UTF-8 with newline="".

    Raises:
        AccountError: no account is what was asked for.
        RequestError: the snapshot lies ahead of the database.
        OutOfRangeError: a day that journals cannot say (before year 1, after 9999-12-30).
        StoreError: the lines do not add up to the balances; what was written is not to be used.
    """
    wanted = {
        "account": account,
        "entity": entity,
        "from_day": from_day,
        "to_day": to_day,
        "seen_by": seen_by,
    }
    with translated_errors():
        known = connection.execute(_SQL["snapshot"], wanted).fetchone()
        if known is None or known[1]:
            raise RequestError(f"snapshot {seen_by}: expected one of this database, found one ahead of it")
        wanted["seen_by"] = known[0]
        found = connection.execute(_SQL["accounts"], wanted).fetchall()
        if not found and (account is not None or entity is not None):
            asked = " of entity ".join(repr(part) for part in (account or "any", entity) if part)
            raise AccountError(f"account {asked}: expected an account of the chart, found none")
        accounts = {row[0]: Account(*(*row[:6], *map(int, row[6:]))) for row in found}
        book = _Book(connection, wanted, accounts)
        _WRITERS[form](book, out)
    return Exported(len(accounts), book.row_count, known[0])


class _Line(NamedTuple):
    entry_id: str
    account: str
    amount_minor: int
    effective_at: str
    entry_key: str
    line_no: str
    reverses: str | None
    corrects: str | None
    details: Sequence[str | None]

    def first_of(self, name: str) -> str:
        return self.details[_DETAILS.index(name)] or ""


@dataclass
class _Book:
    """The accounts asked for, their lines as a stream, and the proof that both say the same."""

    connection: psycopg.Connection[Any]
    wanted: dict[str, Any]
    accounts: dict[str, Account]
    row_count: int = 0

    def lines(self, *, by_account: bool) -> Iterator[_Line]:
        changes = dict.fromkeys(self.accounts, 0)
        for row in self._rows("lines", by_account=by_account):
            line = _Line._make((*row[:2], int(row[2]), *row[3:8], row[8:]))
            changes[line.account] += line.amount_minor
            yield line
        self._tie_out(changes)

    def days(self) -> Iterator[tuple[str, str, int, int]]:
        changes = dict.fromkeys(self.accounts, 0)
        for code, day, debit_minor, credit_minor in self._rows("days"):
            changes[code] += int(debit_minor) - int(credit_minor)
            yield code, day, int(debit_minor), int(credit_minor)
        self._tie_out(changes)

    def _rows(self, query: str, **more: bool) -> Iterator[tuple[Any, ...]]:
        is_whole = self.wanted["account"] is None and self.wanted["entity"] is None
        wanted = self.wanted | more | {"codes": None if is_whole else list(self.accounts)}
        with self.connection.cursor() as cursor, cursor.copy(_SQL[query], wanted) as copy:
            for row in copy.rows():
                self.row_count += 1
                yield row

    def _tie_out(self, changes: dict[str, int]) -> None:
        for account in self.accounts.values():
            if (added_up := account.opening_minor + changes[account.code]) != account.closing_minor:
                raise StoreError(
                    f"account {account.code}: expected lines that add up to its balance of {account.closing_minor} "
                    f"minor units, found {added_up}; run tieout ledger verify"
                )


def _write_csv(book: _Book, out: TextIO) -> None:
    writer = csv.writer(out)
    writer.writerow(LINE_COLUMNS)
    from_day = book.wanted["from_day"]
    for account, lines in _per_account(book, book.lines(by_account=True), 1):
        whose = (account.code, _defused(account.entity), account.asset)
        balance_minor = account.opening_minor
        empty = [None] * (len(LINE_COLUMNS) - 7)
        opened_at = from_day and f"{from_day}T00:00:00Z"
        writer.writerow(("opening", *whose, opened_at, balance_minor, account.decimal(balance_minor), *empty))
        for line in lines:
            minor = line.amount_minor
            balance_minor += minor
            balance = (f"{line.effective_at}Z", balance_minor, account.decimal(balance_minor))
            amount = (minor if minor > 0 else None, -minor if minor < 0 else None, account.decimal(minor))
            texts = map(_defused, (line.reverses, line.corrects, *line.details[: len(_TEXTS)]))
            said = (*texts, *line.details[len(_TEXTS) :])
            writer.writerow(
                ("line", *whose, *balance, _defused(line.entry_key), line.line_no, *amount, *said)
            )


def _write_days(book: _Book, out: TextIO) -> None:
    writer = csv.writer(out)
    writer.writerow(DAY_COLUMNS)
    for account, days in _per_account(book, book.days(), 0):
        closing_minor = account.opening_minor
        for _, day, debit_minor, credit_minor in days or [("", "", 0, 0)]:
            opening_minor, closing_minor = closing_minor, closing_minor + debit_minor - credit_minor
            amounts = (opening_minor, debit_minor, credit_minor, closing_minor)
            whose = (account.code, _defused(account.entity), account.asset)
            writer.writerow((*whose, day, *amounts, *map(account.decimal, amounts)))


def _per_account(book: _Book, rows: Iterator[Any], place: int) -> Iterator[tuple[Account, Iterable[Any]]]:
    """Every account with its rows of a stream that comes in the accounts' order; () without any."""
    groups = groupby(rows, key=lambda row: row[place])
    code, members = next(groups, (None, iter(())))
    for account in book.accounts.values():
        if account.code == code:
            yield account, members
            code, members = next(groups, (None, iter(())))
        else:
            yield account, ()


def _defused(text: str | None) -> str | None:
    """A text that a spreadsheet would take for a formula gets an apostrophe in front."""
    return f"'{text}" if text and re.match(r"\s*[=+\-@＝＋－＠]", text) else text


def _write_journal(book: _Book, out: TextIO, dialect: Beancount | Hledger) -> None:
    """In order of time: the head, opening balances as an entry, the entries, closing balances as assertions."""
    accounts = book.accounts.values()
    from_day, to_day = book.wanted["from_day"], book.wanted["to_day"]
    lines = book.lines(by_account=False)
    first = next(lines, None)
    day = _journal_day(str(from_day or (first and first.effective_at) or to_day or "1970-01-01"))
    out.write(f"; General ledger, as far as snapshot {book.wanted['seen_by']} shows it.\n")
    out.writelines(dialect.head(day, {account.asset: account.exponent for account in accounts}, accounts))
    opening = [(account, account.opening_minor, ()) for account in accounts if account.opening_minor]
    if opening:
        out.writelines(dialect.entry(day, "", "Opening balances", {}, _postings(book, opening)))
    for _, members in groupby(chain([first] if first else [], lines), key=lambda line: line.entry_id):
        entry = list(members)
        head, day = entry[0], _journal_day(entry[0].effective_at)
        said = {"entry_key": head.entry_key, "effective_at": f"{head.effective_at}Z"}
        said |= {
            key: text for key, text in (("reverses", head.reverses), ("corrects", head.corrects)) if text
        }
        payee, narration = (
            next(filter(None, (line.first_of(name) for line in entry)), "")
            for name in ("counterparty", "description")
        )
        moves = [(book.accounts[line.account], line.amount_minor, line.details) for line in entry]
        out.writelines(dialect.entry(day, payee, narration, said, _postings(book, moves)))
    closing = [(account, account.closing_minor, ()) for account in accounts]
    out.writelines(dialect.closing(_journal_day(str(to_day or day)), _postings(book, closing)))


def _postings(book: _Book, moves: Sequence[tuple[Account, int, Sequence[str | None]]]) -> Iterator[Posting]:
    """The moves as postings; in a part of the chart with what they lack to zero, elsewhere."""
    rests: defaultdict[str, int] = defaultdict(int)
    decimals: dict[str, Account] = {}
    for account, minor, details in moves:
        said = [(name, text) for name, text in zip(_DETAILS, details, strict=False) if text is not None]
        yield Posting(account.journal_name, account.decimal(minor), account.asset, said)
        rests[account.asset] -= minor
        decimals[account.asset] = account
    if book.wanted["account"] is not None:
        for asset, rest in rests.items():
            if rest:
                yield Posting(ELSEWHERE, decimals[asset].decimal(rest), asset)


def _journal_day(text: str) -> str:
    day = text.partition("T")[0]
    if len(day) != len("2026-11-20") or text.endswith("BC") or day > "9999-12-30":
        raise OutOfRangeError(f"day {text}: expected one from 0001-01-01 to 9999-12-30 for a journal")
    return day


_WRITERS: Final[dict[Form, Callable[[_Book, TextIO], None]]] = {
    Form.CSV: _write_csv,
    Form.CSV_BY_DAY: _write_days,
    Form.BEANCOUNT: partial(_write_journal, dialect=Beancount()),
    Form.HLEDGER: partial(_write_journal, dialect=Hledger()),
}
