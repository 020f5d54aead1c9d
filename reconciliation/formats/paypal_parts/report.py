"""The rows of a PayPal report in their order: RH and FH open the report and the file, SH, CH, SB, SF and SC are a
section, RF, RC and FF close report and file. Shared by the settlement (STL) and the transaction report (TRR).

Law: a file that was opened is closed (FF), every section's footers are proved, and what has no footer proves nothing
and is refused until a person waives it. Memory holds the sums of a section, never its rows.
"""

from collections.abc import Callable
from datetime import date
from typing import BinaryIO, Final

from reconciliation.errors import RefusedFile, SourcesError
from reconciliation.formats.canonical import Emit, ParsedDelivery, ReadOptions, RowWriter, Statement
from reconciliation.formats.delimited_rows import Row
from reconciliation.formats.masked_columns import masking
from reconciliation.formats.paypal_parts.amounts import CHOICES, Amounts
from reconciliation.formats.paypal_parts.lines import LINE_COLUMNS, MASKED_COLUMNS, Conversions, LineReader
from reconciliation.formats.paypal_parts.rows import STATUS_COLUMN, Columns, instant_of, rows_of
from reconciliation.formats.paypal_parts.section import Section, with_proved
from reconciliation.formats.paypal_parts.totals import (
    Part,
    Proved,
    prove_count,
    prove_part,
    read_count,
    read_footer,
)
from reconciliation.formats.values import refused, shown

_SETTINGS: Final = {"implied_decimals": CHOICES, "balance": ("available", "total")}
_WRONG_REPORT: Final = "Check which report this is, and name its format in the sources file."
_DAMAGED: Final = "The file is damaged or incomplete; fetch it again from PayPal."

_AFTER: Final = {
    "RH": {""},
    "FH": {"", "RH"},
    "SH": {"", "RH", "FH", "SH", "CH", "SB", "SF", "SC"},
    "CH": {"", "RH", "FH", "SH"},
    "SB": {"CH", "SB"},
    "SF": {"SH", "CH", "SB", "SF"},
    "SC": {"SH", "CH", "SB", "SF"},
    "RF": {"RH", "FH", "SH", "CH", "SB", "SF", "SC", "RF"},
    "RC": {"RH", "FH", "SH", "CH", "SB", "SF", "SC", "RF"},
    "FF": {"RH", "FH", "SH", "CH", "SB", "SF", "SC", "RF", "RC"},
}
"""Which row may follow which; the empty name is the start of the file."""


def looks_like(head: bytes, *, with_status: bool) -> bool:
    """Whether a head holds the column header of one of the two reports: they differ by the column of the status."""
    text = head.removeprefix(b"\xef\xbb\xbf")
    if text[:4].lstrip(b'"')[:2] not in {b"RH", b"FH", b"SH", b"CH"}:
        return False
    names = {name.strip(b'" \r') for line in text.split(b"\n")[:8] for name in line.split(b",")}
    wanted = {b"CH", b"Transaction Event Code", b"Gross Transaction Amount"}
    return wanted <= names and (STATUS_COLUMN.encode() in names) == with_status


def read_report(
    stream: BinaryIO, options: ReadOptions, emit: Emit, *, name: str, with_status: bool
) -> ParsedDelivery:
    """Read and prove a report, or raise ``RefusedFile``; ``SourcesError`` for settings that are not known."""
    for key, value in options.settings.items():
        if value not in _SETTINGS.get(key, ()):
            known = ", ".join(f"{key} ({' or '.join(values)})" for key, values in _SETTINGS.items())
            raise SourcesError(
                (f"settings of {name}: {key}: {value[:40]!r} is not known; there are: {known}",)
            )
    reader = _Reader(options, emit, name=name, with_status=with_status)
    try:
        for row in rows_of(stream, bytes_max=options.bytes_max, field_length_max=options.field_length_max):
            reader.take(row)
        return reader.delivery()
    except RefusedFile as refusal:
        masked = options.card_tokens.masked
        raise RefusedFile(
            code=refusal.code,
            place=masked(refusal.place),
            expected=refusal.expected,
            found=masked(refusal.found),
            remedy=refusal.remedy,
        ) from None


class _Reader:
    """State between rows."""

    def __init__(self, options: ReadOptions, emit: Emit, *, name: str, with_status: bool) -> None:
        self._options = options
        self._name = name
        self._with_status = with_status
        self._writer = RowWriter(masking(emit, MASKED_COLUMNS, options.card_tokens.masked), LINE_COLUMNS)
        self._conversions = Conversions(self._writer)
        self._amounts = Amounts(options.settings.get("implied_decimals"))
        self._balance = options.settings.get("balance", "available")
        self._before = ""
        self._lines: LineReader | None = None
        self._section: Section | None = None
        self._statements: list[Statement | None] = []
        self._keys: set[str] = set()
        self._report_parts: dict[str, Part] = {}
        self._row_count = 0
        self._opened = False  # by RH or FH, which promise an FF
        self._account: str | None = None
        self._version = ""
        self._file_no = 1
        self._day: date | None = None
        self._notes: list[str] = []

    def take(self, found: Row) -> None:
        """Read one row. The rows of the body are nearly all, and have a short way."""
        row = found.fields
        kind = row[0]
        if (
            kind == "SB"
            and self._lines is not None
            and self._section is not None
            and self._before in {"CH", "SB"}
        ):
            line, figures = self._lines.read(row, f"row {found.row_no}")
            section = self._section
            asset = figures[0]
            part = section.parts.get(asset)
            if part is None:
                part = section.parts[asset] = Part(len(self._statements))
                self._statements.append(None)
            part.add(figures)
            section.row_count += 1
            line += (part.statement_no, found.row_no, found.byte_offset, found.byte_length)
            self._row_count += 1
            self._conversions.add(line, self._lines.pair_key(row))
            self._before = "SB"
            return
        place = f"row {found.row_no}"
        handler = _HANDLERS.get(kind)
        if handler is None:
            code = "not_this_format" if not self._before else "structure"
            raise refused(
                code, place, "a row that starts with RH, FH, SH, CH, SB, SF, SC, RF, RC or FF", shown(kind)
            )
        if self._before not in _AFTER[kind]:
            before = f"after {self._before}" if self._before else "at the start of the file"
            raise refused("structure", place, "rows in the order of the report", f"{kind} {before}", _DAMAGED)
        while row and not row[-1]:
            row.pop()
        handler(self, row, f"{place}, {kind}")
        self._before = kind

    def report_header(self, row: list[str], place: str) -> None:
        """RH: time of the report, window, account, version."""
        if len(row) < 5:
            raise refused(
                "structure", place, "time, window, account and version", f"{len(row) - 1} cells", _DAMAGED
            )
        instant_of(row[1], place, "time of the report")
        self._account = row[3] or None
        self._version = row[4].strip().zfill(3)[:8]
        self._opened = True

    def file_header(self, row: list[str], place: str) -> None:
        """FH: number of this file in the report."""
        self._file_no = read_count(row[1] if len(row) > 1 else "", place)
        self._opened = True

    def section_header(self, row: list[str], place: str) -> None:
        """SH: period and account."""
        self._close_section()
        if len(row) < 4:
            raise refused("structure", place, "begin, end and account", f"{len(row) - 1} cells", _DAMAGED)
        section = self._section = Section(place, row[3] or self._account)
        begin = instant_of(row[1], place, "begin")
        end = instant_of(row[2], place, "end")
        if end[1] < begin[1]:
            raise refused("date", f"{place}, end", f"an end after {row[1]}", row[2])
        section.period = (begin[0], end[0])
        self._day = self._day or end[0]
        self._lines = None

    def column_header(self, row: list[str], place: str) -> None:
        """CH: which column stands where."""
        columns = Columns(row, place)
        has_status = STATUS_COLUMN in columns
        if self._with_status and not has_status:
            raise refused("not_this_format", place, f"a column {STATUS_COLUMN!r}", "none", _WRONG_REPORT)
        if self._section is None:
            self._section = Section(place, self._account)
            self._notes.append("the report has no section header")
        self._lines = LineReader(columns, amounts=self._amounts, with_status=self._with_status)

    def section_footer(self, row: list[str], place: str) -> None:
        """SF: a count of rows (TRR), or what a currency adds up to (STL)."""
        section = self._of_section(place)
        if len(row) == 2 and row[1].isdecimal():
            section.count(row[1], place, self._options.demand)
            return
        asset, footer = read_footer(row, self._amounts, place)
        if asset in section.footers:
            raise refused(
                "structure", place, "one footer for each currency", f"{shown(asset)} again", _DAMAGED
            )
        section.footers[asset] = footer

    def section_count(self, row: list[str], place: str) -> None:
        """SC: rows of the section."""
        self._of_section(place).count(row[1] if len(row) > 1 else "", place, self._options.demand)

    def report_footer(self, row: list[str], place: str) -> None:
        """RF: a count, or a currency over all sections; the last file of a report also counts those before it."""
        self._close_section()
        if len(row) == 2 and row[1].isdecimal():
            self._count_all(row[1], place)
            return
        asset, footer = read_footer(row, self._amounts, place)
        if self._file_no > 1:
            self._notes.append(f"{place}: totals over several files, which one file cannot prove")
            return
        part = self._report_parts.get(asset) or Part(-1)
        proved = prove_part(
            part,
            rows_of_all=self._row_count,
            footer=footer,
            asset=asset,
            balance=self._balance,
            demand=self._options.demand,
        )
        self._append(proved, asset)

    def report_count(self, row: list[str], place: str) -> None:
        """RC: rows of the report."""
        self._close_section()
        self._count_all(row[1] if len(row) > 1 else "", place)

    def file_footer(self, row: list[str], place: str) -> None:
        """FF: rows of the file."""
        self._close_section()
        expected = read_count(row[1] if len(row) > 1 else "", place)
        self._append(prove_count((self._row_count,), expected, place, self._options.demand), None)
        if self._before not in {"RF", "RC"}:
            self._notes.append(f"file {self._file_no} of a report that ends in another file")

    def delivery(self) -> ParsedDelivery:
        """Everything read. Refuses a file that stops before its end."""
        if not self._before:
            raise refused(
                "not_this_format", "start of file", "rows of a PayPal report", "none", _WRONG_REPORT
            )
        if self._opened and self._before != "FF":
            raise refused(
                "truncated", "end of file", "a file footer (FF)", f"{self._before} as last row", _DAMAGED
            )
        self._close_section()
        if undecided := self._amounts.undecided():
            raise undecided
        self._conversions.flush()
        self._writer.flush()
        statements = tuple(statement for statement in self._statements if statement is not None)
        report = self._name.partition(".")[2].upper()
        return ParsedDelivery(
            format_name=self._name,
            format_version=self._version or "unstated",
            file_reference=(
                f"{report} {self._day:%Y%m%d} {self._account} {self._file_no:02}"
                if self._account and self._day
                else None
            ),
            test_mode=False,
            statements=statements,
            notes=tuple(self._notes),
        )

    def _of_section(self, place: str) -> Section:
        if self._section is None:
            raise refused("structure", place, "a section that it closes", "none", _DAMAGED)
        return self._section

    def _count_all(self, text: str, place: str) -> None:
        """A count of the rows of the report."""
        expected = read_count(text, place)
        if self._file_no > 1:
            self._notes.append(f"{place}: a count over several files, which one file cannot prove")
        else:
            self._append(prove_count((self._row_count,), expected, place, self._options.demand), None)

    def _append(self, proved: Proved, asset: str | None) -> None:
        """Add what a footer of the whole report proved to the statements of a currency, or to all."""
        of_asset = [
            index
            for index, statement in enumerate(self._statements)
            if statement is not None and asset in {None, statement.asset}
        ]
        for index in of_asset:
            before = self._statements[index]
            if before is not None:
                balances = len(of_asset) == 1 and before.opening_minor is None and not before.flags
                self._statements[index] = with_proved(before, proved, balances=balances)

    def _close_section(self) -> None:
        section, self._section, self._lines = self._section, None, None
        if section is None:
            return
        for asset in section.footers:
            if asset not in section.parts:
                section.parts[asset] = Part(len(self._statements))
                self._statements.append(None)
        series = self._name.partition(".")[2].upper()
        for statement_no, statement in section.statements(
            series=series,
            file_no=self._file_no,
            balance=self._balance,
            demand=self._options.demand,
            notes=self._notes,
        ):
            if statement.statement_ref in self._keys:
                expected = "one section for each account and period"
                raise refused("conflict", section.place, expected, "the same again", _DAMAGED)
            self._keys.add(statement.statement_ref)
            self._statements[statement_no] = statement
        for asset, part in section.parts.items():
            self._report_parts.setdefault(asset, Part(-1)).merge(part)


_HANDLERS: Final[dict[str, Callable[[_Reader, list[str], str], None]]] = {
    "RH": _Reader.report_header,
    "FH": _Reader.file_header,
    "SH": _Reader.section_header,
    "CH": _Reader.column_header,
    "SF": _Reader.section_footer,
    "SC": _Reader.section_count,
    "RF": _Reader.report_footer,
    "RC": _Reader.report_count,
    "FF": _Reader.file_footer,
}
