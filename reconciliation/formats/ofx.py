"""Reads statements by Open Financial Exchange: OFX, QFX and QBO files, 1.x in SGML and 2.x in XML, by one tag scanner.

Public document: OFX Banking Specification 2.3 (Financial Data Exchange), of which 1.0.2 to 2.2 are parts. Bank, card
and the bank transactions of investment statements, several in a file; one ``Statement`` for each. Law: read whole or
refused whole. OFX has no control totals and no opening balance: the end mark is demanded, the ledger balance is told
where it can be the closing one, and the chain of days proves the rest. No validator; securities are not read.

Settings: ``decimal_mark`` (``standard``: see ``ofx_parts.values``; ``.`` or ``,``: the mark the bank writes, grouping
allowed then), ``foreign_amounts`` (``refused``, or ``converted`` for banks that write CURRENCY where ORIGCURRENCY is
meant), ``ledger_balance`` (``dated``: the closing balance where no movement can lie between; ``closing``: always;
``ignored``), ``transaction_ids`` (``kept``, or ``ignored`` for banks that make up FITID anew in every download).

>>> from io import BytesIO
>>> from reconciliation.formats.canonical import read_whole
>>> from reconciliation.formats.card_numbers import KeyedCardTokens
>>> import reconciliation.formats.ofx as ofx
>>> file = b"<OFX><STMTRS><CURDEF>EUR<BANKACCTFROM><ACCTID>1</BANKACCTFROM><BANKTRANLIST><DTEND>20261116"
>>> file += b"<STMTTRN><TRNTYPE>CREDIT<DTPOSTED>20261116<TRNAMT>12.50<FITID>A1</STMTTRN>"
>>> file += b"</BANKTRANLIST></STMTRS></OFX>"
>>> whole = read_whole(ofx, BytesIO(file), ReadOptions(card_tokens=KeyedCardTokens(bytes(32))))
>>> whole.lines["amount_minor"].to_pylist(), whole.parsed.statements[0].account
([1250], '1')
"""

import re
from typing import BinaryIO, Final

from reconciliation.errors import RefusedFile
from reconciliation.formats.canonical import Emit, ParsedDelivery, ReadOptions, Statement
from reconciliation.formats.card_numbers import masked_text
from reconciliation.formats.notes import Notes
from reconciliation.formats.ofx_parts.lines import Lines
from reconciliation.formats.ofx_parts.statement import ACCOUNTS, OpenStatement
from reconciliation.formats.ofx_parts.tags import DAMAGED, Leaves, Texts, shown_bytes, stray_text, tags
from reconciliation.formats.ofx_parts.values import NAME, read_settings
from reconciliation.formats.values import refused, shown

__all__ = ["NAME", "read", "sniff"]

_MARK: Final = re.compile(rb"OFXHEADER|<(?:[A-Za-z]\w*:)?OFX[\s>]")
_TEXT_BYTES_PER_CHARACTER: Final = 4
_STATEMENTS: Final = frozenset({"STMTRS", "CCSTMTRS", "INVSTMTRS"})
_LISTS: Final = frozenset({"BANKTRANLIST", "BANKTRANLISTP", "INVTRANLIST"})
_TRANSACTIONS: Final = frozenset({"STMTTRN", "STMTTRNP"})
_AGGREGATES: Final = (
    frozenset(
        {"OFX", "STATUS", "LEDGERBAL", "AVAILBAL", "PAYEE", "EXTDPAYEE", "BANKACCTTO", "CCACCTTO", "CURRENCY"}
    )
    | {
        "ORIGCURRENCY",
        "IMAGEDATA",
        "BALLIST",
        "BAL",
        "INVTRAN",
        "INVBANKTRAN",
        "SONRS",
        "INVPOSLIST",
        "INVOOLIST",
    }
    | _STATEMENTS
    | ACCOUNTS
    | _LISTS
    | _TRANSACTIONS
)
"""Aggregates whose ends are demanded. Others hold nothing that is read, and their elements fall to the one around."""

_ENDS: Final = {f"/{name}": name for name in _AGGREGATES}
_DEPTH_MAX: Final = 40
_HEADERS: Final = (b"OFXHEADER", b"DATA:", b"xml", b"OFX")
_JOINED: Final = frozenset({"NAME", "MEMO", "EXTDNAME", "MESSAGE"})  # texts that come in several pieces


def sniff(head: bytes) -> bool:
    """Whether the first bytes have an OFX header or the outermost OFX element."""
    return b"\0" not in head.rstrip(b"\0") and _MARK.search(head) is not None


def read(stream: BinaryIO, options: ReadOptions, emit: Emit) -> ParsedDelivery:
    """Read one file or raise ``RefusedFile``; ``SourcesError`` for settings that are not known.

    ``record_no`` counts the transactions of the file. ``statement_ref`` is made of account, currency and period, as the
    standard numbers nothing.
    """
    reader = _Reader(options, emit)
    text_bytes_max = options.field_length_max * _TEXT_BYTES_PER_CHARACTER
    try:
        found = tags(stream, bytes_max=options.bytes_max, text_bytes_max=text_bytes_max)
        for offset, end, name, text, leaves in found:
            if leaves is not None:
                reader.whole(offset, end, leaves)
            elif name in _AGGREGATES:
                reader.open(name, offset)
                if text:
                    raise stray_text(end, text)
            elif name in _ENDS:
                reader.close(_ENDS[name], offset, end)
                if text:
                    reader.after(end, text)
            elif text:
                reader.leaf(name, end, text)
        return reader.delivery()
    except RefusedFile as refusal:
        raise RefusedFile(
            code=refusal.code,
            place=masked_text(f"{reader.place}, {refusal.place}" if reader.place else refusal.place),
            expected=refusal.expected,
            found=masked_text(refusal.found),
            remedy=refusal.remedy,
        ) from None


class _Reader:
    """What is open, innermost last: name, byte offset, elements. ``place`` names the transaction in hand."""

    def __init__(self, options: ReadOptions, emit: Emit) -> None:
        self.place = ""
        self._settings = read_settings(options.settings)
        self._tokens = options.card_tokens
        self._length_max = options.field_length_max
        self._notes = Notes()
        self._header = b""
        self._texts = Texts(b"")
        self._stack: list[tuple[str, int, Leaves]] = []
        self._leaves: Leaves = {}
        self._inner: dict[str, Leaves] = {}
        self._open: OpenStatement | None = None
        self._server_date: bytes | None = None
        self._statements: list[Statement] = []
        self._refs: set[str] = set()
        self._documents = 0
        self._securities = 0
        self._lines = Lines(emit, self._tokens, self._settings, self._notes)

    def leaf(self, name: str, end: int, text: bytes) -> None:
        """Keep an element of the aggregate in hand; of those in several pieces, all of them."""
        if not self._stack:
            self._outside(name, end, text)
            return
        if name == "?":
            return
        if name[0] == "/":
            raise stray_text(end, text)
        leaves = self._leaves
        if name not in leaves:
            leaves[name] = text
        elif name in _JOINED:
            leaves[name] = b"%b\n%b" % (leaves[name], text)
            if len(leaves[name]) > self._length_max * _TEXT_BYTES_PER_CHARACTER:
                raise refused("limit", name, f"at most {self._length_max} characters", "more", DAMAGED)
        elif self._stack[-1][0] in _TRANSACTIONS:
            raise refused("structure", f"byte {end}, {name}", "it once in a transaction", "it twice", DAMAGED)

    def _outside(self, name: str, end: int, text: bytes) -> None:
        """Text before, between and behind the documents: headers, and the bytes that end files of old."""
        if self._documents and not text.strip(b"\0\x1a\r\n "):
            self._notes.add("bytes that are no text behind the end", f"byte {end}")
        elif self._documents and not (name in {"", "?"} and text.startswith(_HEADERS)):
            raise refused("structure", f"byte {end}", "the end of the file", shown_bytes(text), DAMAGED)
        else:
            self._header += text + b"\n"

    def after(self, end: int, text: bytes) -> None:
        """Text behind the end of an aggregate: only another header may stand there."""
        if self._stack:
            raise stray_text(end, text)
        self._outside("", end, text)

    def whole(self, begin: int, end: int, leaves: Leaves) -> None:
        """A transaction of nothing but the usual elements."""
        if not self._stack or self.place:
            raise refused(
                "structure",
                f"byte {begin}",
                "a transaction in the list of a statement",
                "it elsewhere",
                DAMAGED,
            )
        self._lines.record_no += 1
        self.place = f"transaction {self._lines.record_no} at byte {begin}"
        self._transaction("STMTTRN", leaves, {}, (begin, end))
        self.place = ""

    def open(self, name: str, offset: int) -> None:
        """An aggregate begins."""
        stack = self._stack
        if not stack:
            self._begin(name, offset)
        elif len(stack) >= _DEPTH_MAX:
            raise refused(
                "limit", f"byte {offset}, {name}", f"a depth of at most {_DEPTH_MAX}", "more", DAMAGED
            )
        elif name == "LEDGERBAL" and stack[-1][0] in _LISTS:
            self._notes.add(
                "lists of transactions that end with the balance, not by their end tag", f"byte {offset}"
            )
            self.close(stack[-1][0], offset, offset)
        self._leaves = {}
        stack.append((name, offset, self._leaves))
        if name in _TRANSACTIONS:
            self._lines.record_no += 1
            self.place = f"transaction {self._lines.record_no} at byte {offset}"
            self._inner = {}
            if self._open is None or any(above[0] in _TRANSACTIONS for above in stack[:-1]):
                raise refused(
                    "structure", name, "a transaction in the list of a statement", "it elsewhere", DAMAGED
                )
        elif name in _STATEMENTS:
            if self._open is not None:
                raise refused(
                    "structure", f"byte {offset}", f"the end of {self._open.name}", f"<{name}>", DAMAGED
                )
            self._open = OpenStatement(name, self._leaves, len(self._statements))

    def _begin(self, name: str, offset: int) -> None:
        if name != "OFX":
            raise _not_ofx(f"byte {offset}", f"<{name}> outside of <OFX>")
        self._documents += 1
        self._texts = self._lines.texts = Texts(self._header)
        if self._documents > 1:
            self._notes.add("further OFX documents in the same file", f"byte {offset}")

    def close(self, name: str, offset: int, end: int) -> None:
        """An aggregate ends; it must be the innermost one."""
        stack = self._stack
        if not stack or stack[-1][0] != name:
            found = f"</{name}> where </{stack[-1][0]}> belongs" if stack else f"</{name}>"
            if not self._documents:
                raise _not_ofx(f"byte {offset}", found)
            raise refused("structure", f"byte {offset}", "aggregates that end in order", found, DAMAGED)
        _, begin, leaves = stack.pop()
        if stack:
            self._leaves = stack[-1][2]
        if name in _TRANSACTIONS:
            self._transaction(name, leaves, self._inner, (begin, end))
            self.place = ""
        elif self.place:
            self._inner[name] = leaves
        elif name in _STATEMENTS:
            self._statement()
        elif name == "STATUS":
            self._status(leaves, begin)
        elif name == "SONRS":
            self._server_date = leaves.get("DTSERVER")
        elif self._open is not None:
            self._open.part(name, leaves, begin, self._texts, self._tokens)

    def _status(self, leaves: Leaves, begin: int) -> None:
        """An answer with an error holds no statement, whatever else is in the file."""
        code, severity = leaves.get("CODE", b"0"), leaves.get("SEVERITY", b"INFO")
        if severity == b"ERROR" or (code.strip(b"0") and severity not in (b"INFO", b"WARN")):
            message = self._texts.text(leaves.get("MESSAGE", b""), "MESSAGE")
            raise refused(
                "not_this_format",
                f"byte {begin}, STATUS",
                "the answer to a request for a statement",
                f"error {shown(code.decode('ascii', 'replace'))} {message[:80]}".strip(),
                "The bank answered with an error; download the statement again.",
            )
        if code.strip(b"0"):
            self._notes.add("answers with a warning", f"byte {begin}")

    def _transaction(
        self, name: str, leaves: Leaves, inner: dict[str, Leaves], where: tuple[int, int]
    ) -> None:
        statement = self._open
        if statement is None:
            raise refused(
                "structure", name, "a transaction in the list of a statement", "it elsewhere", DAMAGED
            )
        value_minor, days, booked = self._lines.add(
            leaves,
            inner,
            statement_no=statement.number,
            account=statement.account_in_hand(),
            asset=statement.asset_in_hand(self._texts),
            where=where,
            pending=name == "STMTTRNP",
        )
        statement.add(value_minor, days, booked=booked)

    def _statement(self) -> None:
        """Close the statement in hand."""
        statement, self._open = self._open, None
        if statement is None:
            return
        self._securities += statement.securities
        if statement.name == "INVSTMTRS" and not statement.count + statement.pending:
            self._notes.add("investment statements without bank transactions, not read", statement.name)
            return
        self.place = f"statement {statement.number + 1}"
        if statement.securities:
            what = "transactions in securities, not read: the lines are not all movements of the account"
            self._notes.add(f"{statement.securities} {what}", self.place)
        told = statement.told(self._texts, self._settings, self._server_date, self._notes)
        if told.statement_ref in self._refs:
            raise refused("conflict", "account and period", "each statement once in a file", "one twice")
        self._refs.add(told.statement_ref)
        self._statements.append(told)
        self.place = ""

    def delivery(self) -> ParsedDelivery:
        """Everything read, once the end mark of the last document was found."""
        if not self._documents:
            raise _not_ofx("the start", "no <OFX>")
        if self._stack:
            self.place = ""
            raise refused("truncated", "the end of the file", f"</{self._stack[-1][0]}>", "nothing", DAMAGED)
        if not self._statements:
            found = (
                "transactions in securities only" if self._securities else "none: sign-on, profile or request"
            )
            raise refused(
                "not_this_format",
                "the end of the file",
                "a bank or card statement (STMTRS, CCSTMTRS)",
                found,
                "Download the statement of the cash account in OFX; securities and profiles are not read.",
            )
        self._lines.flush()
        return ParsedDelivery(
            format_name=NAME,
            format_version=self._texts.version,
            file_reference=None,  # NEWFILEUID and TRNUID are constants at most banks
            test_mode=False,
            statements=tuple(self._statements),
            notes=self._notes.texts(),
            ids_may_repeat=True,  # FITID is unique by the standard, and used again by several banks
        )


def _not_ofx(place: str, found: str) -> RefusedFile:
    return refused(
        "not_this_format",
        place,
        "an OFX file, beginning with <OFX>",
        found,
        "Deliver the file to its source.",
    )
