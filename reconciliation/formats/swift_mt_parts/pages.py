"""Joins the messages (pages) of a file to statements and proves them: opening + entries = closing, page after page.

Law: a page that opens with :60M: goes on from the :62M: of the page before it, with the next page number and the same
balance; a page that is missing or out of its order is a ``sequence`` refusal, a sum that is off a ``balance`` refusal.
A file that begins or ends between two pages tells a page statement, ``<ref>/page <n>``, which has no sequence number.
"""

from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final

from ledger_core.money import MAX_AMOUNT_MINOR, exponent_of, format_minor
from reconciliation.formats.canonical import ReadOptions, Statement
from reconciliation.formats.notes import Notes
from reconciliation.formats.swift_mt_parts.balances import Balance
from reconciliation.formats.values import difference_in_words, refused

_ASK_FOR_PAGES: Final = "Ask the bank for the whole statement, or have a person waive it for this file."
_ASK_FOR_FILE: Final = "Ask the bank for a corrected file, or have a person waive it for this file."


@dataclass(slots=True)
class Message:
    """The head of one message."""

    place: str
    reference: str | None = None
    account: str | None = None
    number: int | None = None
    page: int | None = None


@dataclass(slots=True)
class Sheet:
    """A statement while its pages come in. Sums of the page are the reader's; these are of the pages before."""

    statement_no: int
    message: Message  # of the latest page
    opening: Balance
    page_opening: Balance
    closing: Balance | None = None
    movement_minor: int = 0
    line_count: int = 0
    pending_count: int = 0
    page_count: int = 1
    is_tied: bool = True
    flags: list[str] = field(default_factory=list)
    proofs: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PageSums:
    """What the entries of one page come to."""

    movement_minor: int
    line_count: int
    pending_count: int


class Pages:
    """The statements of a file."""

    def __init__(self, options: ReadOptions, notes: Notes) -> None:
        self._options = options
        self._notes = notes
        self._sheet: Sheet | None = None
        self._keys: dict[tuple[str | None, str, date], int] = {}
        self._pages: set[tuple[str | None, int, int | None, date, bool, bool]] = set()
        self.statements: list[Statement] = []

    def open(self, message: Message, opening: Balance) -> Sheet:
        """Begin a page: of the statement before it, or of a new one. Codes ``sequence``, ``balance``, ``currency``."""
        before = self._sheet
        if before is not None and before.closing is not None:
            same_account = before.message.account == message.account
            if not opening.is_final and same_account and before.message.number == message.number:
                return self._next_page(before, message, opening)
            if same_account:
                before.flags.append(self._missing_page(before, message))
            self._close_sheet(before)
        self._sheet = Sheet(len(self.statements), message, opening, opening)
        return self._sheet

    def close(self, sheet: Sheet, closing: Balance, sums: PageSums, place: str) -> None:
        """End a page with its balance proof. Codes ``balance``, ``currency``, ``amount``."""
        asset, before_minor = sheet.opening.asset, sheet.page_opening.amount_minor
        self._see_page(sheet, closing)
        if closing.asset != asset:
            raise refused("currency", place, f"{asset}, as in the opening balance", closing.asset)
        if max(abs(sums.movement_minor), abs(sheet.movement_minor + sums.movement_minor)) > MAX_AMOUNT_MINOR:
            raise refused("amount", place, "a sum of entries within 64 bits", "more")
        due_minor = before_minor + sums.movement_minor
        if due_minor != closing.amount_minor:
            expected = (
                f"{_written(due_minor, asset)}, the opening balance {_written(before_minor, asset)} and "
                f"{sums.line_count} entries of {_written(sums.movement_minor, asset)}"
            )
            found = (
                f"{_written(closing.amount_minor, asset)}, "
                f"{difference_in_words(due_minor, closing.amount_minor, asset)}"
            )
            sheet.flags.append(
                self._options.demand(refused("balance", place, expected, found, _ASK_FOR_FILE))
            )
            sheet.is_tied = False
        sheet.movement_minor += sums.movement_minor
        sheet.line_count += sums.line_count
        sheet.pending_count += sums.pending_count
        sheet.closing = closing
        if closing.is_final:
            self._close_sheet(sheet)

    def finish(self) -> None:
        """The end of the file: a page without its successor is a page statement."""
        if self._sheet is not None and self._sheet.closing is not None:
            self._close_sheet(self._sheet)

    def add(self, statement: Statement) -> None:
        """A statement that is proved elsewhere: an intraday one, which has no balances."""
        self._told(statement)

    def amend(self, proofs: tuple[str, ...], flags: tuple[str, ...]) -> None:
        """Add to the statement of the page that was closed last what its message tells after its closing balance."""
        if self._sheet is not None:
            self._sheet.proofs += proofs
            self._sheet.flags += flags
        elif self.statements:
            last = self.statements[-1]
            self.statements[-1] = replace(last, proofs=last.proofs + proofs, flags=last.flags + flags)

    def _next_page(self, sheet: Sheet, message: Message, opening: Balance) -> Sheet:
        page_before = sheet.message.page
        if page_before is not None and message.page == page_before:
            self._notes.add("pages that all have one number, joined by their balances", message.place)
        elif page_before is not None and message.page is not None and message.page != page_before + 1:
            sheet.flags.append(self._missing_page(sheet, message))
        closing = sheet.closing or sheet.opening
        if opening.asset != closing.asset:
            place = f"{message.place}, :60M:"
            raise refused("currency", place, f"{closing.asset}, as on the page before", opening.asset)
        if opening.amount_minor != closing.amount_minor:
            refusal = refused(
                "balance",
                f"{message.place}, :60M:",
                f"{_written(closing.amount_minor, closing.asset)}, the closing balance of the page before",
                f"{_written(opening.amount_minor, opening.asset)}, "
                f"{difference_in_words(closing.amount_minor, opening.amount_minor, closing.asset)}",
                _ASK_FOR_FILE,
            )
            sheet.flags.append(self._options.demand(refusal))
            sheet.is_tied = False
        sheet.message, sheet.page_opening, sheet.closing = message, opening, None
        sheet.page_count += 1
        return sheet

    def _missing_page(self, sheet: Sheet, message: Message) -> str:
        page = sheet.message.page
        expected = f"page {page + 1}" if page is not None else "the next page"
        expected += f" of statement {sheet.message.number or sheet.message.reference or 'without number'}, "
        expected += "whose page before ends with an interim balance"
        found = f"page {message.page or 'without number'} of statement {message.number or message.reference}"
        return self._options.demand(
            refused("sequence", f"{message.place}, :28C:", expected, found[:120], _ASK_FOR_PAGES)
        )

    def _close_sheet(self, sheet: Sheet) -> None:
        self._sheet = None
        closing = sheet.closing
        if closing is None:
            return
        message, opening = sheet.message, sheet.opening
        is_whole = opening.is_final and closing.is_final
        reference = reference_of(message, closing.day)
        if not is_whole:
            reference += f"/page {message.page}" if message.page is not None else "/page"
            self._notes.add("statements of which the file has only some pages", message.place)
        if sheet.is_tied:
            pages = f", {sheet.page_count} pages" if sheet.page_count > 1 else ""
            sheet.proofs.insert(
                0,
                f"opening {_written(opening.amount_minor, opening.asset)} + {sheet.line_count} entries of "
                f"{_written(sheet.movement_minor, opening.asset)} = closing "
                f"{_written(closing.amount_minor, closing.asset)}{pages}",
            )
        self._told(
            Statement(
                statement_ref=reference,
                account=message.account,
                asset=opening.asset,
                sequence_no=message.number if is_whole else None,
                from_date=min(opening.day, closing.day),
                to_date=closing.day,
                opening_minor=opening.amount_minor if sheet.is_tied else None,
                closing_minor=closing.amount_minor if sheet.is_tied else None,
                movement_minor=sheet.movement_minor,
                line_count=sheet.line_count,
                proofs=tuple(sheet.proofs),
                flags=tuple(sheet.flags),
                pending_count=sheet.pending_count,
            ),
            message.place,
        )

    def _told(self, statement: Statement, place: str = "") -> None:
        """Keep a statement. A second one of the same account, day and name is told apart by its order."""
        key = (statement.account, statement.statement_ref, statement.to_date)
        count = self._keys.get(key, 0) + 1
        self._keys[key] = count
        if count > 1:
            self._notes.add("statements of one account, day and number, counted in their order", place)
            name = f"{statement.statement_ref}#{count}"
            statement = replace(statement, statement_ref=name, sequence_no=None)
        self.statements.append(statement)

    def _see_page(self, sheet: Sheet, closing: Balance) -> None:
        """Each numbered page once. Code ``conflict``."""
        message = sheet.message
        if message.number is None:
            return
        ends = (sheet.page_opening.is_final, closing.is_final)
        page = (message.account, message.number, message.page, closing.day, *ends)
        if page in self._pages:
            raise refused(
                "conflict",
                f"{message.place}, :28C:",
                "each statement and page once",
                f"page {message.page or 'without number'} of statement {message.number} of that account and day again",
                "Ask the bank which one holds, and for a file with that one.",
            )
        self._pages.add(page)


def reference_of(message: Message, day: date) -> str:
    """How a statement is known: by year and number, or by its :20: where the bank does not number."""
    if message.number is not None:
        return f"{day.year}/{message.number}"
    return message.reference or "without number"


def _written(amount_minor: int, asset: str) -> str:
    return f"{format_minor(amount_minor, exponent_of(asset))} {asset}"
