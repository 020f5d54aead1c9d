"""Reads CODA, the Belgian banks' coded statement of account in records of 128 characters.

Public standard: Febelfin, "Coded statement of account (CODA)", version 2 as of document 2.6; versions before 2 are
refused. One ``Statement`` per header (0) to trailer (9). Law: the old balance and the movements with detail number 0000
make the new balance; the trailer's number of records, debits and credits are proved; movements are numbered without a
gap. Details of a summed movement are the lines where they add up to it. Not read: layouts of securities and credits
(their text stays). The bank's reference is informative by the standard, so lines have no id of their own. Takes no
settings.

>>> import io, sys
>>> from reconciliation.formats.canonical import ReadOptions, read_whole
>>> from reconciliation.formats.card_numbers import KeyedCardTokens
>>> rows = ["0" "0000" "161126" "123" "05".ljust(127) + "2",
...         "12001" + "BE68539007547034".ljust(34) + "EUR" "0" "000000000100000" "151126".ljust(86) + "001",
...         ("21" "0001" "0000" + "BANK-1".ljust(21) + "1" "000000000025500" "161126" "00101000" "0").ljust(115)
...         + "161126" "001" "0" "0 0",
...         ("8001" + "BE68539007547034".ljust(34) + "EUR" "0" "000000000074500" "161126").ljust(127) + "0",
...         "9".ljust(16) + "000003" "000000000025500" "000000000000000".ljust(111) + "2"]
>>> stream = io.BytesIO("\\r\\n".join(rows).encode())
>>> whole = read_whole(sys.modules[__name__], stream, ReadOptions(card_tokens=KeyedCardTokens(bytes(32))))
>>> whole.lines["amount_minor"].to_pylist(), whole.parsed.statements[0].closing_minor
([-2550], 7450)
"""

import codecs
from datetime import date
from typing import Any, BinaryIO, Final

from reconciliation.errors import RefusedFile
from reconciliation.formats.canonical import Emit, LineWriter, ParsedDelivery, ReadOptions, Statement
from reconciliation.formats.coda_parts.movement import Group, Movement
from reconciliation.formats.coda_parts.statement import (
    ACCOUNT_STRUCTURES,
    OpenStatement,
    account_of,
    signed_minor,
)
from reconciliation.formats.fixed_width import (
    Notes,
    StatementChain,
    day_month_year,
    demanded,
    number_of,
    placed,
    records,
    refuse_settings,
    tidy,
)
from reconciliation.formats.values import asset_of, refused, shown

NAME: Final = "coda"

_WIDTH: Final = 128
_RECORDS: Final = frozenset("0123489")
_MESSAGES_MAX: Final = 20  # free communications that are kept as notes
_FETCH_AGAIN: Final = "The file is cut short or damaged; fetch it again from the bank."


def sniff(head: bytes) -> bool:
    """Whether the first record is a header: zeros, a date, application code 05."""
    line = head.removeprefix(codecs.BOM_UTF8).lstrip(b"\r\n")[:_WIDTH]
    return line[:5] == b"00000" and line[5:11].isdigit() and line[14:16] == b"05"


def read(stream: BinaryIO, options: ReadOptions, emit: Emit) -> ParsedDelivery:
    """Read and prove one file, or raise ``RefusedFile``.

    ``record_no`` is the number of the line in the file that the movement begins at; its details share it.
    """
    refuse_settings(NAME, options.settings)
    notes = Notes()
    reader = _Reader(options, LineWriter(emit), notes)
    for line_no, offset, length, text in records(
        stream,
        options,
        width=_WIDTH,
        shortest=lambda text: _WIDTH if text[0] in _RECORDS else 0,
        notes=notes,
    ):
        try:
            reader.take(line_no, offset, length, text)
        except RefusedFile as refusal:
            raise placed(refusal, f"line {reader.line_no}", options) from None
    return reader.delivery()


class _Reader:
    """One record after the other; holds one movement with its details."""

    def __init__(self, options: ReadOptions, writer: LineWriter, notes: Notes) -> None:
        self._options = options
        self._writer = writer
        self._notes = notes
        self._created_on: date | None = None  # of the header that no record 1 has followed yet
        self._statement: OpenStatement | None = None
        self._group: Group | None = None
        self._statements: list[Statement] = []
        self._chain = StatementChain()
        self._file_reference: str | None = None
        self._message_count = 0
        self.line_no = 0  # of the record that is being read
        self._more_expected = False

    def take(self, line_no: int, offset: int, length: int, text: str) -> None:
        """One record."""
        self.line_no = line_no
        kind = text[0]
        if kind == "2":
            if text[1] == "1":
                self._movement(text, offset, length)
            else:
                self._go_on(text, offset + length)
        elif kind == "3":
            self._inform(text, offset + length)
        elif kind == "0":
            self._begin_file(text)
        elif kind == "1":
            self._begin_statement(text)
        elif kind == "8":
            self._close(text)
        elif kind == "4":
            self._message(text)
        elif kind == "9":
            self._end_file(text)
        else:
            known = self._statement is not None or self._statements
            raise refused(
                "structure" if known else "not_this_format", "record code (1)", "0 to 4, 8 or 9", shown(kind)
            )

    def delivery(self) -> ParsedDelivery:
        """Everything, once the file is at its end."""
        if self._statement is not None or self._created_on is not None:
            raise refused("truncated", "the end of the file", "a trailer record 9", "none", _FETCH_AGAIN)
        if not self._statements:
            raise refused("not_this_format", "the end of the file", "records 0 to 9", "none", _FETCH_AGAIN)
        if self._more_expected:
            self._notes.add(
                "the last trailer announces another statement, which is not here", f"line {self.line_no}"
            )
        self._writer.flush()
        return ParsedDelivery(
            format_name=NAME,
            format_version="2",
            file_reference=self._file_reference,
            test_mode=False,
            statements=tuple(self._statements),
            notes=self._notes.texts(),
        )

    def _begin_file(self, text: str) -> None:
        if self._statement is not None or self._created_on is not None:
            raise refused("truncated", "record 0", "a trailer record 9 before it", "none", _FETCH_AGAIN)
        if text[14:16] != "05":
            code = "structure" if self._statements else "not_this_format"
            raise refused(code, "record 0, application code (15-16)", "05", shown(text[14:16]))
        if text[127] != "2":
            raise refused(
                "structure",
                "record 0, version code (128)",
                "2",
                shown(text[127]),
                "Ask the bank for CODA version 2; earlier versions end in 2011.",
            )
        self._created_on = day_month_year(text[5:11], "record 0, creation date (6-11)")
        if text[16] == "D":
            self._notes.add("marked as a duplicate by the bank", f"line {self.line_no}")
        if text[83:88].strip(" 0"):
            what = f"a separate application ({tidy(text[83:88])}), not the account's ordinary file"
            self._notes.add(self._options.card_tokens.masked(what), f"line {self.line_no}")
        if self._file_reference is None:
            parts = (self._created_on.isoformat(), tidy(text[11:14]), tidy(text[24:34]))
            self._file_reference = self._options.card_tokens.masked("/".join(part for part in parts if part))

    def _begin_statement(self, text: str) -> None:
        created_on = self._created_on
        if created_on is None or self._statement is not None:
            raise refused(
                "structure", "record 1", "one, after a header record 0", "none or another before it"
            )
        structure = text[1]
        if structure not in ACCOUNT_STRUCTURES:
            raise refused("structure", "record 1, account structure (2)", "0, 1, 2 or 3", shown(structure))
        account, asset_text = account_of(structure, text[5:42])
        if not account:
            raise refused("structure", "record 1, account (6-42)", "an account number", "none")
        asset = asset_of(asset_text, "record 1, currency of the account")
        self._created_on = None
        self._statement = statement = OpenStatement(
            created_on=created_on,
            structure=structure,
            account=account,
            asset=asset,
            paper_no=text[2:5].strip(),
            sequence_no=number_of(text[125:128].strip() or "0", "record 1, sequence number (126-128)"),
            opened_on=day_month_year(text[58:64], "record 1, date (59-64)"),
            opening_minor=signed_minor(text[42:58], asset, "record 1, old balance (43-58)"),
        )
        broken = self._chain.break_at(
            account, asset, statement.opening_minor, "record 1, old balance (43-58)"
        )
        self._demand(broken, statement)

    def _opened(self, what: str, text: str = "") -> OpenStatement:
        """The statement that a record belongs to, before its new balance."""
        statement = self._statement
        if statement is None or statement.closing is not None:
            place = f"{what}.{text[1]}" if text else what
            if statement is None:
                raise refused("structure", place, "a record 1 before it", "none")
            raise refused("structure", place, "no such record after the new balance (8)", "one")
        return statement

    def _movement(self, text: str, offset: int, length: int) -> None:
        statement = self._opened("record 2", text)
        statement.record_count += 1
        amount_minor = signed_minor(text[31:47], statement.asset, "record 2.1, amount (32-47)")
        movement = Movement(text, amount_minor, self.line_no, offset, length)
        group = self._group
        same = group is not None and group.head.first[2:6] == text[2:6]
        # details go on at 0000 after 9999, like movements
        if text[6:10] != "0000" or (same and group is not None and group.last_detail == "9999"):
            if group is None or not same or not text[6:10].isdecimal():
                place = "record 2.1, sequence and detail number (3-10)"
                expected = "a movement with detail number 0000 before it"
                raise refused("structure", place, expected, shown(text[2:10]))
            self._write(statement, group.add(movement))
            return
        self._end_group(statement)
        self._check_sequence(statement, text[2:6])
        if amount_minor < 0:
            statement.debit_minor -= amount_minor
        else:
            statement.credit_minor += amount_minor
        self._group = Group(
            movement,
            statement_no=len(self._statements),
            asset=statement.asset,
            options=self._options,
            notes=self._notes,
        )

    def _check_sequence(self, statement: OpenStatement, found: str) -> None:
        statement.last_no = (statement.last_no + 1) % 10_000
        expected = f"{statement.last_no:04d}"
        if found != expected:
            statement.last_no = number_of(found, "record 2.1, sequence number (3-6)")
            wrong = refused(
                "sequence",
                "record 2.1, sequence number (3-6)",
                expected,
                found,
                "Movements are missing, doubled or out of order; ask the bank for the file again.",
            )
            self._demand(wrong, statement)

    def _go_on(self, text: str, end: int) -> None:
        """Records 2.2 and 2.3 of the movement before."""
        statement, group = self._opened("record 2", text), self._group
        statement.record_count += 1
        movement = None if group is None else group.current
        if movement is None or movement.first[2:10] != text[2:10] or movement.information:
            expected = "a record 2.1 of the same sequence and detail number before it"
            raise refused("structure", f"record 2.{text[1]} (1-10)", expected, shown(text[:10]))
        movement.go_on(text)
        movement.end = end

    def _inform(self, text: str, end: int) -> None:
        """Records 3.1 to 3.3 of the movement before."""
        statement, group = self._opened("record 3", text), self._group
        statement.record_count += 1
        if group is None or group.current.first[2:6] != text[2:6]:
            expected = "a movement of the same sequence number before it"
            raise refused("structure", f"record 3.{text[1]} (1-6)", expected, shown(text[:6]))
        group.current.inform(text)
        group.last_detail = text[6:10]
        group.current.end = end

    def _end_group(self, statement: OpenStatement) -> None:
        group, line_no = self._group, self.line_no
        if group is not None:
            self.line_no = group.head.line_no  # what is wrong now is wrong there
            self._write(statement, group.lines())
            self._group, self.line_no = None, line_no

    def _write(self, statement: OpenStatement, lines: list[dict[str, Any]]) -> None:
        for line in lines:
            statement.line_count += 1
            self._writer.add(**line)

    def _close(self, text: str) -> None:
        statement = self._opened("record 8")
        statement.record_count += 1
        self._end_group(statement)
        account, asset = account_of(statement.structure, text[4:41])
        if account != statement.account:
            raise refused("conflict", "record 8, account (5-41)", statement.account, shown(account))
        if asset not in (statement.asset, "   "):
            raise refused("currency", "record 8, currency of the account", statement.asset, shown(asset))
        closing_minor = signed_minor(text[41:57], statement.asset, "record 8, new balance (42-57)")
        closed_on = day_month_year(text[57:63], "record 8, date (58-63)")
        if closed_on < statement.opened_on:
            expected = f"a day on or after {statement.opened_on}"
            self._demand(refused("sequence", "record 8, date (58-63)", expected, f"{closed_on}"), statement)
        statement.closing = (closing_minor, closed_on)

    def _message(self, text: str) -> None:
        """A free communication of the bank, which belongs to no movement."""
        if self._statement is None:
            raise refused("structure", "record 4", "a record 1 before it", "none")
        message = tidy(text[32:112])
        self._message_count += 1
        if message and self._message_count <= _MESSAGES_MAX:
            what = f"the bank writes: {self._options.card_tokens.masked(message)}"
            self._notes.add(what, f"line {self.line_no}")

    def _end_file(self, text: str) -> None:
        statement = self._statement
        if statement is None:
            raise refused("structure", "record 9", "a record 1 before it", "none")
        if statement.closing is None:
            if self._group is not None:
                raise refused(
                    "truncated", "record 9", "a new balance (record 8) before it", "none", _FETCH_AGAIN
                )
            # an empty file need not repeat its balance
            statement.closing = (statement.opening_minor, max(statement.created_on, statement.opened_on))
        statement.prove(text, lambda refusal: self._demand(refusal, statement))
        ref = self._chain.ref_of(statement.account, statement.asset, statement.ref)
        self._chain.close(statement.account, statement.asset, *statement.closing)
        self._statements.append(statement.finished(ref))
        self._statement = None
        self._more_expected = text[127] == "1"

    def _demand(self, refusal: RefusedFile | None, statement: OpenStatement) -> bool:
        """Whether a proof holds; raises where it fails and was not waived."""
        if refusal is None:
            return True
        statement.flags.append(demanded(refusal, f"line {self.line_no}", self._options))
        return False
