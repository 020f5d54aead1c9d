"""Reads bank statements by ISO 20022 camt.053 (BankToCustomerStatement), versions 2 to 14, bare or in an envelope.

One ``Statement`` per ``Stmt``, proved by its balances; lines are the booked entries, split into their details where
these add up. Law: the file is read whole or refused whole, with place and reason. Elements are read by local name while
they stream by, so memory follows the lines and not the document. Not a schema validator: a quarter of real files break
the schema and still balance.
"""

import re
from collections.abc import Callable
from datetime import date
from typing import BinaryIO, Final

from reconciliation.errors import RefusedFile, SourcesError
from reconciliation.formats.camt_entry import Detail, Entry, read_detail, read_entry
from reconciliation.formats.camt_lines import EntryPlace, Notes, add_lines
from reconciliation.formats.camt_statement import (
    Header,
    Totals,
    close_statement,
    read_header,
    read_page,
    single_day,
)
from reconciliation.formats.camt_values import LOCAL, child_text, descend, refused
from reconciliation.formats.canonical import Emit, LineWriter, ParsedDelivery, ReadOptions, Statement
from reconciliation.formats.xml_stream import Element, decoded_head, release, stream_elements

NAME: Final = "camt.053"

_CONTAINER: Final = re.compile(r"BkToCstmrStmt(V\d\d)?")  # version 1 carried its number in the name
_HEADERS: Final = ("GrpHdr", "AppHdr")
_OTHER_REPORTS: Final = {"Rpt": "camt.052", "Ntfctn": "camt.054"}
_VERSION: Final = re.compile(r"camt\.053\.(\d{3}\.\d{2})", re.ASCII)
_VERSIONS_KNOWN: Final = frozenset(f"001.{number:02}" for number in range(2, 15))
_TEST_MARK: Final = re.compile(r"SPS/[^/]*/TEST", re.ASCII)  # Swiss payment standards, group header
_STATUSES_NOT_BOOKED: Final = frozenset({"PDNG", "INFO", "FUTR"})


def sniff(head: bytes) -> bool:
    """Whether the first bytes look like a camt.053, by namespace or container."""
    text = decoded_head(head)
    return "camt.053" in text or "BkToCstmrStmt" in text


def read(stream: BinaryIO, options: ReadOptions, emit: Emit) -> ParsedDelivery:
    """Read and prove one file, or raise ``RefusedFile``.

    ``SourcesError`` for settings, of which this format has none. ``record_no`` of a line is the number of its entry in
    the file, so that the entries can be counted from the lines.
    """
    if options.settings:
        raise SourcesError(
            tuple(f"settings of {NAME}: {name} is not known" for name in sorted(options.settings))
        )
    reader = _Reader(options, emit)
    try:
        for element in stream_elements(
            stream, names=("Stmt", "Ntry", "TxDtls", *_HEADERS, *_OTHER_REPORTS), bytes_max=options.bytes_max
        ):
            _HANDLERS[LOCAL[element.tag]](reader, element)
        return reader.delivery()
    except RefusedFile as refusal:
        raise RefusedFile(
            code=refusal.code,
            place=options.card_tokens.masked(
                f"{reader.place}, {refusal.place}" if reader.place else refusal.place
            ),
            expected=refusal.expected,
            found=options.card_tokens.masked(refusal.found),
            remedy=refusal.remedy,
        ) from None


class _Reader:
    """State between elements. ``place`` names the element in hand for refusals."""

    def __init__(self, options: ReadOptions, emit: Emit) -> None:
        self.place = ""
        self._options = options
        self._limit = options.field_length_max
        self._writer = LineWriter(emit)
        self._notes = Notes()
        self._statements: list[Statement] = []
        self._keys: set[tuple[str | None, str]] = set()
        self._details: list[Detail] = []
        self._entry_no = 0
        self._totals = Totals()
        self._header: Header | None = None  # of the statement in hand, read early for its date
        self._version = ""
        self._file_reference: str | None = None
        self._message_page: tuple[str, bool] | None = None
        self._test_mode = False

    def group_header(self, element: Element) -> None:
        """Message id, page and test mark; the application header before it may mark a repeat."""
        if LOCAL[element.tag] == "AppHdr":
            for name in ("CpyDplct", "PssblDplct"):
                text = child_text(element, (name,), self._limit)
                if text is not None and text != "false":
                    self._notes.add(
                        f"marked as a repeat in the application header ({name} {text[:10]})", "AppHdr"
                    )
            return
        if self._file_reference is not None:
            self._notes.add("further messages in the same file", f"after {len(self._statements)} statements")
            return
        self._file_reference = child_text(element, ("MsgId",), self._limit)
        self._test_mode = bool(_TEST_MARK.fullmatch(child_text(element, ("AddtlInf",), self._limit) or ""))
        page = descend(element, ("MsgPgntn",))
        self._message_page = None if page is None else read_page(page, self._limit)

    def detail(self, element: Element) -> None:
        """Keep the values of a detail until its entry ends, and free the element."""
        self._details.append(read_detail(element, self._limit))
        release(element)

    def entry(self, element: Element) -> None:
        """Add the lines of an entry, and free the one before it."""
        self._entry_no += 1
        self.place = f"statement {len(self._statements) + 1}, entry {self._entry_no}"
        parent = element.getparent()
        if parent is not None and LOCAL[parent.tag] in _OTHER_REPORTS:
            self.other_report(parent)
        if parent is None or LOCAL[parent.tag] != "Stmt":
            raise refused(
                "structure", "Ntry", "an entry below a statement", "it elsewhere", "Ask for a corrected file."
            )
        entry = read_entry(element, self._limit)
        if entry.entry_ref or entry.servicer_ref:
            self.place += f" ({(entry.servicer_ref or entry.entry_ref or '')[:40]})"
        details, self._details = self._details, []
        if len(details) != sum(count for _, count in entry.batches):
            raise refused(
                "structure", "TxDtls", "details below NtryDtls", "them elsewhere", "Ask for a corrected file."
            )
        if self._is_booked(entry):
            where = EntryPlace(
                statement_no=len(self._statements),
                entry_no=self._entry_no,
                name=self.place,
                statement_date=None if entry.booking_text else self._statement_date(parent),
            )
            booked = add_lines(
                entry, details, where, writer=self._writer, options=self._options, notes=self._notes
            )
            self._totals.add(booked, entry.indicator or "", self.place)
        else:
            self._totals.pending_count += 1
        release(element)
        before = element.getprevious()
        if before is not None and LOCAL[before.tag] == "Ntry":
            parent.remove(before)
        self.place = ""

    def statement(self, element: Element) -> None:
        """Prove the statement and start the next one."""
        self.place = f"statement {len(self._statements) + 1}"
        container = element.getparent()
        if container is None or not _CONTAINER.fullmatch(LOCAL[container.tag]):
            raise refused(
                "not_this_format",
                "Stmt",
                "a statement below BkToCstmrStmt",
                "it elsewhere",
                "Check which message this is.",
            )
        self._version = self._version or self._version_of(element.tag)
        header = read_header(element, self._limit, self._notes, self.place)
        account = (header.account or "not stated")[:40]
        self.place += f" ({(header.statement_id or 'without id')[:40]}, account {account})"
        if header.copy_text is not None:
            self._notes.add(f"marked as a repeat (CpyDplctInd {header.copy_text[:10]})", self.place)
        statement = close_statement(header, self._totals, self._message_page)
        key = (statement.account, statement.statement_ref)
        if key in self._keys:
            raise refused(
                "conflict",
                "Id",
                "each statement once",
                "the same account and identification again",
                "Ask the bank which one holds, and for a file with that one.",
            )
        self._keys.add(key)
        self._statements.append(statement)
        self._totals, self._header = Totals(), None
        release(element)
        self.place = ""

    def other_report(self, element: Element) -> None:
        """A report or a notification is another message, with other rules."""
        name = LOCAL[element.tag]
        raise refused(
            "not_this_format", name, NAME, _OTHER_REPORTS[name], "Register the file under its own format."
        )

    def delivery(self) -> ParsedDelivery:
        """Everything read. Refuses a document without any statement."""
        if not self._statements:
            raise refused(
                "not_this_format", "Document", "at least one Stmt", "none", "Check which message this is."
            )
        self._writer.flush()
        return ParsedDelivery(
            format_name=NAME,
            format_version=self._version,
            file_reference=self._file_reference,
            test_mode=self._test_mode,
            statements=tuple(self._statements),
            notes=self._notes.texts(),
        )

    def _is_booked(self, entry: Entry) -> bool:
        if entry.status == "BOOK":
            return True
        if entry.status is None:
            self._notes.add("entries without status, read as booked", self.place)
            return True
        if entry.status in _STATUSES_NOT_BOOKED:
            return False
        raise refused(
            "structure",
            "Sts",
            "BOOK, PDNG, INFO or FUTR",
            repr(entry.status[:16]),
            "Ask for a corrected file.",
        )

    def _statement_date(self, statement: Element) -> date | None:
        if self._header is None:
            self._header = read_header(statement, self._limit, Notes(), self.place)
        return single_day(self._header)

    def _version_of(self, tag: str) -> str:
        found = _VERSION.search(tag)
        version = found.group(1) if found else "unstated"
        if version not in _VERSIONS_KNOWN:
            self._notes.add(f"message version {version}, read by the names of its elements", self.place)
        return version


_HANDLERS: Final[dict[str, Callable[[_Reader, Element], None]]] = {
    "GrpHdr": _Reader.group_header,
    "AppHdr": _Reader.group_header,
    "TxDtls": _Reader.detail,
    "Ntry": _Reader.entry,
    "Stmt": _Reader.statement,
    "Rpt": _Reader.other_report,
    "Ntfctn": _Reader.other_report,
}
