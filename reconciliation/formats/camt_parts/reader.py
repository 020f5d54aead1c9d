"""State of reading one camt message: what its elements mean in the order in which they end.

Law: a page belongs to the statement before it only if account and identification agree and its number follows; an
entry belongs to the page it stands in. ``place`` always names the element in hand, for refusals.
"""

import re
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from reconciliation.errors import RefusedFile
from reconciliation.formats.camt_parts.details import (
    DETAILS_HELD,
    Details,
    LeafRun,
    batch_ref_of,
    write_entry,
)
from reconciliation.formats.camt_parts.entry_parts import Parts, each, name_of, parts_of, texts_at
from reconciliation.formats.camt_parts.header import Balances, Header, Page, header_of, page_of
from reconciliation.formats.camt_parts.lines import COLUMNS, Coded, coded_of, entry_of
from reconciliation.formats.camt_parts.shapes import EntryPlan
from reconciliation.formats.camt_parts.statement import OpenStatement
from reconciliation.formats.camt_parts.totals import Totals
from reconciliation.formats.camt_parts.values import local_date
from reconciliation.formats.canonical import Emit, ParsedDelivery, ReadOptions, RowWriter, Statement
from reconciliation.formats.notes import Notes
from reconciliation.formats.values import refused
from reconciliation.formats.xml_stream import Element, ElementRun, ElementStream, forget_before, release

_VERSION: Final = re.compile(r"camt\.05[234]\.(\d{3}\.\d{2})", re.ASCII)
_VERSIONS_KNOWN: Final = frozenset(f"001.{number:02}" for number in range(2, 15))
_TEST_MARK: Final = re.compile(r"SPS/[^/]*/TEST", re.ASCII)  # Swiss payment standards, group header
_DETAIL: Final = frozenset({"TxDtls"})
_OWN_EVENTS: Final = frozenset({"Ntry", "Bal"})
_NO_DETAILS: Final = Details()
_WHICH: Final = "Check which message this is, and register the file under its own format."


@dataclass(frozen=True, slots=True)
class Message:
    """What tells the three messages apart."""

    name: str
    container: str  # version 1 carried its number behind the name
    element: str
    balances_required: bool = False
    interim: bool = False


REPORT: Final = Message("camt.052", "BkToCstmrAcctRpt", "Rpt", interim=True)
STATEMENT: Final = Message("camt.053", "BkToCstmrStmt", "Stmt", balances_required=True)
NOTIFICATION: Final = Message("camt.054", "BkToCstmrDbtCdtNtfctn", "Ntfctn")

MESSAGES: Final = {message.element: message for message in (REPORT, STATEMENT, NOTIFICATION)}
"""Each message by its repeated element."""


class CamtReader:
    """Takes the elements of one file as they end."""

    def __init__(self, options: ReadOptions, emit: Emit, message: Message) -> None:
        self.place = ""
        self.elements: ElementStream | None = None
        self._options = options
        self._interim = replace(options, waived=options.waived | {"balance"})
        self._emit = emit
        self._message = message
        self._limit = options.field_length_max
        self._writer = RowWriter(emit, COLUMNS)
        self._notes = Notes()
        self._statements: list[Statement] = []
        self._keys: set[tuple[str | None, str]] = set()
        self._entry_no = 0
        self._details = Details()
        self._group: Element | None = None  # NtryDtls of the details in hand
        self._totals = Totals()  # of the page in hand
        self._balances = Balances()
        self._page: Element | None = None  # in hand: its first entry has been met
        self._open: OpenStatement | None = None
        self._days: tuple[date | None, date | None] | None = (
            None  # of that page, read when an entry asks for them
        )
        self._tag = ""
        self._file_reference: str | None = None
        self._message_page: Page | None = None
        self._message_day: date | None = None
        self._test_mode = False

    def application_header(self, element: Element) -> None:
        """The header before the message may mark a repeat."""
        parts = parts_of(element, self._limit)
        for name in ("CpyDplct", "PssblDplct"):
            text = parts.get(name)
            if text and text != "false":
                what = f"marked as a repeat in the application header ({name} {text[:10]})"
                self._notes.add(what, "AppHdr")

    def group_header(self, element: Element) -> None:
        """Message id, page and test mark."""
        parts = parts_of(element, self._limit)
        self._message_page = page_of(parts, "MsgPgntn") if "MsgPgntn" in parts else None
        made = parts.get("CreDtTm")
        self._message_day = local_date(made, "GrpHdr/CreDtTm") if made else None
        self._test_mode |= any(map(_TEST_MARK.fullmatch, texts_at(parts, "AddtlInf")))
        if self._file_reference is None:
            self._file_reference = parts.get("MsgId") or None
        else:
            self._notes.add("further messages in the same file", f"after {self._entry_no} entries")

    def balance(self, element: Element) -> None:
        """A balance of the page in hand."""
        parent = element.getparent()
        if parent is not None and name_of(parent) == self._message.element:
            self.place = f"statement {self._number() + 1}"
            self._balances.add(parts_of(element, self._limit), self._notes, self.place)
            self.place = ""
            release(element)
            forget_before(element, parent)

    def detail(self, element: Element) -> None:
        """Keep the values of a detail until its entry ends, and free the element."""
        try:
            self._take_detail(element)
        except RefusedFile:
            self.place = f"statement {self._number() + 1}, entry {self._entry_no + 1}"
            raise

    def _take_detail(self, element: Element) -> None:
        group = element.getparent()
        if group is None or name_of(group) != "NtryDtls":
            raise refused("structure", "TxDtls", "details below NtryDtls", "them elsewhere")
        details = self._details
        if group is not self._group:
            entry = group.getparent()
            if entry is None or name_of(entry) != "Ntry":
                raise refused("structure", "TxDtls", "details below an entry", "them elsewhere")
            self._group = group
            details.groups.append(0)
            if details.run is not None:
                details.group_ref = batch_ref_of(parts_of(group, self._limit, without=_DETAIL), "Btch")
        details.groups[-1] += 1
        parts = parts_of(element, self._limit)
        release(element)
        forget_before(element, group)
        if len(details.held) < DETAILS_HELD:
            details.held.append(parts)
            return
        run = details.run or self._start_run(group)
        run.add(parts, len(details.groups) - 1, details.group_ref)

    def entry(self, element: Element) -> None:
        """Add the lines of an entry, and free the one before it."""
        self._entry_no += 1
        opened = self._page_of(element)
        self.place = f"statement {opened.number + 1}, entry {self._entry_no}"
        parts = parts_of(element, self._limit)
        located = self.elements.location(element) if self.elements is not None else (None, None)
        details = self._details
        if details.groups:
            self._details, self._group = Details(), None
        self._name_place(parts)
        self._add_entry(parts, coded_of(parts), details, opened, located)
        release(element)
        if self._page is not None:
            forget_before(element, self._page)
        self.place = ""

    def run(self, run: ElementRun) -> None:
        """Add the lines of entries that stand one after the other and were read by their shapes."""
        self._entry_no += 1
        opened = self._page_of(run.stand_in)
        if self._details.groups:
            raise refused("structure", "Ntry", "an entry beside another", "one inside another")
        named = f"statement {opened.number + 1}, entry "
        for number, (shape, texts, offset, length) in enumerate(run.found, start=self._entry_no):
            self._entry_no = number
            self.place = f"{named}{number}"
            plan: EntryPlan = shape.plan
            parts, coded, held = plan.parts(texts)
            self._name_place(parts)
            if coded is None:
                coded = coded_of(parts)
                plan.remember(texts, coded)
            details = Details(held, plan.groups) if held else _NO_DETAILS
            self._add_entry(parts, coded, details, opened, (offset, length))
        release(run.stand_in)
        if self._page is not None:
            forget_before(run.stand_in, self._page)
        self.place = ""

    def _name_place(self, parts: Parts) -> None:
        named = parts.get("AcctSvcrRef") or parts.get("NtryRef")
        if named:
            self.place = f"{self.place} ({named[:40]})"

    def _add_entry(
        self,
        parts: Parts,
        coded: Coded,
        details: Details,
        opened: OpenStatement,
        located: tuple[int | None, int | None],
    ) -> None:
        place = self.place
        entry = entry_of(
            parts,
            coded,
            statement_no=opened.number,
            record_no=self._entry_no,
            day=self._page_day,
            notes=self._notes,
            place=place,
        )
        entry.shared["byte_offset"], entry.shared["byte_length"] = located
        written = write_entry(
            entry,
            details,
            writer=self._writer,
            emit=self._emit,
            options=self._options,
            notes=self._notes,
            place=place,
        )
        self._totals.add(entry, written.line_count, place, by_details=written.by_details)
        if written.flags:
            opened.flags += map(self._options.card_tokens.masked, written.flags)

    def page(self, element: Element) -> None:
        """End of a statement or of one page of it: prove it."""
        self.place = f"statement {self._number() + 1}"
        self._demand_message(element)
        container = element.getparent()
        told = "" if container is None else name_of(container)
        if not re.fullmatch(self._message.container + r"(V\d\d)?", told):
            expected = f"{self._message.element} below {self._message.container}"
            raise refused("not_this_format", name_of(element), expected, "it elsewhere", _WHICH)
        opened = self._begun(element)
        self._tag = self._tag or element.tag
        header = self._header_of(element)
        self.place = self._named(opened.number, header)
        if (header.account, header.identification) != opened.key:
            raise refused("structure", "Id", "identification and account before the entries", "them after")
        if header.copy_mark is not None:
            self._notes.add(f"marked as a repeat (CpyDplctInd {header.copy_mark[:10]})", self.place)
        opened.add_page(header, header.page or self._message_page, self._balances, self._totals)
        self._totals, self._balances, self._page, self._days = Totals(), Balances(), None, None
        release(element)
        self.place = ""

    def delivery(self, namespace: str) -> ParsedDelivery:
        """Everything read. Refuses a document without any statement."""
        self._finish()
        if not self._statements:
            expected = f"at least one {self._message.element}"
            raise refused("not_this_format", "Document", expected, "none", _WHICH)
        self._writer.flush()
        found = _VERSION.search(namespace) or _VERSION.search(self._tag)
        version = found.group(1) if found else "unstated"
        if version not in _VERSIONS_KNOWN:
            self._notes.add(f"message version {version}, read by the names of its elements", "Document")
        return ParsedDelivery(
            format_name=self._message.name,
            format_version=version,
            file_reference=self._file_reference,
            test_mode=self._test_mode,
            statements=tuple(self._statements),
            notes=tuple(map(self._options.card_tokens.masked, self._notes.texts())),
        )

    def _page_of(self, entry: Element) -> OpenStatement:
        """The statement that an entry stands in."""
        parent = entry.getparent()
        if parent is None:
            raise refused("structure", "Ntry", f"an entry below {self._message.element}", "it elsewhere")
        return self._begun(parent)

    def _begun(self, element: Element) -> OpenStatement:
        """The statement that a page belongs to: the one before, if the page continues it, or a new one."""
        if element is self._page and self._open is not None:
            return self._open
        self._demand_message(element)
        header = self._header_of(element)
        page = header.page or self._message_page
        self._page = element
        if self._open is not None and self._open.continued_by(header, page):
            return self._open
        self._finish()
        self._open = OpenStatement(
            number=len(self._statements),
            first=replace(header, page=page),
            demand=self._demand,
            balances_required=self._message.balances_required,
            interim=self._message.interim,
        )
        return self._open

    def _finish(self) -> None:
        """The statement before is whole."""
        opened, self._open = self._open, None
        if opened is None:
            return
        outer, self.place = self.place, self._named(opened.number, opened.first)
        statement = opened.finish(self._message_day)
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
        if not statement.proofs and not statement.flags:
            self._notes.add("statements in which nothing proves that they are complete", self.place)
        self.place = outer

    def _start_run(self, group: Element) -> LeafRun:
        """Turn the held details into lines: there are too many to hold as they are."""
        element = group.getparent()
        if element is None:
            raise refused("structure", "TxDtls", "details below an entry", "them elsewhere")
        opened = self._page_of(element)
        parts = parts_of(element, self._limit)
        entry = entry_of(
            parts,
            coded_of(parts),
            statement_no=opened.number,
            record_no=self._entry_no + 1,
            day=self._page_day,
            notes=Notes(),
            place=self.place,
        )
        details = self._details
        run = details.run = LeafRun(entry, self._options)
        groups = [path for path in each(parts, "NtryDtls") if f"{path}/TxDtls" in parts]
        refs = [batch_ref_of(parts, f"{path}/Btch") for path in groups]
        details.group_ref = refs[len(details.groups) - 1]  # later groups may have been parsed already
        details.groups[-1] -= 1  # the one that is to come
        for number, held in details.numbered():
            run.add(held, number, refs[number])
        details.groups[-1] += 1
        return run

    def _page_day(self, booked: bool) -> date | None:
        """The day of the page in hand, for entries that state none; for booked ones only if it covers but one."""
        if self._days is None and self._page is not None:
            header = self._header_of(self._page)
            self._days = self._balances.period(header, self._message_day)
        first, last = self._days or (None, None)
        return last if not booked or first == last else None

    def _header_of(self, page: Element) -> Header:
        return header_of(parts_of(page, self._limit, without=_OWN_EVENTS), self._options.card_tokens)

    def _demand_message(self, element: Element) -> None:
        name = name_of(element)
        if name == self._message.element:
            return
        if name in MESSAGES:
            raise refused("not_this_format", name, self._message.name, MESSAGES[name].name, _WHICH)
        self.place = f"entry {self._entry_no}"
        raise refused("structure", "Ntry", f"an entry below {self._message.element}", "it elsewhere")

    def _named(self, number: int, header: Header) -> str:
        identification = (header.identification or "without id")[:40]
        return f"statement {number + 1} ({identification}, account {(header.account or 'not stated')[:40]})"

    def _number(self) -> int:
        return len(self._statements) + (self._open is not None and self._page is None)

    def _demand(self, refusal: RefusedFile) -> str:
        """Of an interim report only what is new may be told, so that its balances need not tie: that is flagged."""
        if self._message.interim and refusal.code == "balance":
            told = self._interim.demand(refusal).replace("waived: ", "not demanded within the day: ", 1)
            return self._options.card_tokens.masked(told)
        return self._options.card_tokens.masked(self._options.demand(refusal))
