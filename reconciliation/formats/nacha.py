"""Reads ACH files by the Nacha Operating Rules, appendix "ACH Record Format Specifications" (outline of the records in
the public developer guide of nacha.org), with line ends or without, all standard entry classes.

One ``Statement`` per file, in USD and without balances (it tells payments, not an account); its account is the file's
immediate origin, its date the day the file was made. One line per entry 6. Law: every batch and file control is proved:
counts, hash, debits, credits, blocks. Prenotes, zero-dollar entries and notifications of change are lines of status
``info``. Does not check that institutions exist, nor that a class may carry what it carries.

Settings: ``side``: ``receiver`` (default: our account is the one that entries name, a credit raises it) or
``originator`` (we sent the entries, or get the returns of what we sent: the signs are the other way round).

>>> import io
>>> from reconciliation.formats.card_numbers import KeyedCardTokens
>>> lines = (
...     "101 09100001912345678902611160600A094101BANK                   SHOP",
...     "5225SHOP                                1234567890PPDORDERS    261116261117   1091000010000001",
...     "627021000021123456789        0000002500INV-7          ANN BUYER               0091000010000001",
...     "822500000100021000020000000025000000000000001234567890                         091000010000001",
...     "9000001000001000000010002100002000000002500000000000000",
... )
>>> file = io.BytesIO("\\n".join(line.ljust(94) for line in lines).encode())
>>> delivery = read(file, ReadOptions(card_tokens=KeyedCardTokens(bytes(32))), lambda batch: None)
>>> delivery.statements[0].movement_minor, delivery.notes
(-2500, ())
"""

from collections.abc import Mapping
from datetime import date
from difflib import get_close_matches
from typing import BinaryIO, Final

from ledger_core.money import MAX_AMOUNT_MINOR
from reconciliation.errors import RefusedFile, SourcesError
from reconciliation.formats.canonical import Emit, ParsedDelivery, ReadOptions, RowWriter, Statement
from reconciliation.formats.nacha_parts.batches import read_batch
from reconciliation.formats.nacha_parts.controls import Totals, check_batch, check_file, in_words
from reconciliation.formats.nacha_parts.entries import ASSET, LINE_COLUMNS, Batch, EntryReader
from reconciliation.formats.nacha_parts.records import Record, optional_day, records, unknown_record
from reconciliation.formats.notes import Notes
from reconciliation.formats.values import refused, shown

NAME: Final = "nacha"

_SIDES: Final = ("receiver", "originator")
_BLOCK: Final = 10


def sniff(head: bytes) -> bool:
    """Whether the first record is a file header: type 1, priority 01, record size 094."""
    first = head.lstrip(b"\xef\xbb\xbf\r\n")
    return first[:3] == b"101" and first[34:37] == b"094"


def read(stream: BinaryIO, options: ReadOptions, emit: Emit) -> ParsedDelivery:
    """Read and prove one file, or raise ``RefusedFile``; ``SourcesError`` for settings that are not known.

    ``record_no`` is the number of the entry's 6 record in the file. ``native_id`` is file, batch and trace number:
    origin:destination:date:time:modifier/batch/trace; ``batch_ref`` the same without the trace number.
    """
    originator = _side_of(options.settings) == "originator"
    reader = _Reader(options, emit, originator=originator)
    masked = options.card_tokens.masked
    try:
        for record in records(stream, reader.notes, bytes_max=options.bytes_max):
            reader.take(record)
        return reader.delivery()
    except RefusedFile as refusal:
        raise RefusedFile(
            code=refusal.code,
            place=masked(refusal.place),
            expected=masked(refusal.expected),
            found=masked(refusal.found),
            remedy=refusal.remedy,
        ) from None


def _side_of(settings: Mapping[str, str]) -> str:
    problems = []
    for name in sorted(settings.keys() - {"side"}):
        near = get_close_matches(name, ("side",), n=1)
        problems.append(
            f"settings of {NAME}: {name} is not known" + (f"; did you mean {near[0]}?" if near else "")
        )
    side = settings.get("side", _SIDES[0])
    if side not in _SIDES:
        problems.append(f"settings of {NAME}: side must be one of {', '.join(_SIDES)}, found {side[:16]!r}")
    if problems:
        raise SourcesError(tuple(problems))
    return side


class _Reader:
    """State between records: the file and the batch that are open, their sums, the statements that are proved."""

    def __init__(self, options: ReadOptions, emit: Emit, *, originator: bool) -> None:
        self.notes = Notes()
        self._options = options
        self._writer = RowWriter(emit, LINE_COLUMNS)
        self._entries = EntryReader(options, self._writer, self.notes, originator=originator)
        self._statements: list[Statement] = []
        self._references: set[str] = set()
        self._record_no = 0
        self._first_no = 0  # of the file that is open
        self._state = "start"
        self._header = ""
        self._reference = ""
        self._day = date.min
        self._batch: Batch | None = None
        self._totals = Totals()
        self._control = ""
        self._control_no = self._last_no = 0  # of the file control, and of the last record of nines after it
        self._advice = False
        self._test_mode = False
        self._flags: list[str] = []

    def take(self, record: Record) -> None:
        """Take the next record."""
        record_no, _, _, text = record
        self._record_no = record_no
        kind = text[0]
        batch = self._batch
        if batch is not None:
            if kind == "6":
                self._entries.entry(record, batch)
            elif kind == "7":
                self._entries.addendum(record)
            elif kind == "8":
                self._close_batch(record_no, text, batch)
            else:
                raise self._unexpected(text, "6, 7 or 8 within a batch")
        elif self._state == "file":
            self._between_batches(record_no, text)
        elif kind == "1" and self._state in {"start", "filled"}:
            self._open_file(record_no, text)
        elif self._state == "start":
            raise refused("not_this_format", f"record {record_no}", "a file header 1", shown(text))
        elif text.strip("9"):
            raise self._unexpected(text, "nothing but records of nines after the file control 9")
        else:
            self._last_no = record_no

    def _between_batches(self, record_no: int, text: str) -> None:
        if text[0] == "5":
            self._open_batch(record_no, text)
        elif text[0] == "9" and text.strip("9 "):
            self._control, self._state = text, "filled"
            self._control_no = self._last_no = record_no
        else:
            raise self._unexpected(text, "a batch header 5 or the file control 9")

    def _unexpected(self, text: str, expected: str) -> RefusedFile:
        if text.strip("9") == "" and self._state == "file":
            return refused(
                "truncated",
                f"record {self._record_no}",
                f"{expected}, and a file control 9 at the end",
                "a record of nines",
                "The file is not complete; fetch it again from the sender.",
            )
        return unknown_record(self._record_no, text, expected)

    def _open_file(self, record_no: int, text: str) -> None:
        """1: destination, origin, date, time, modifier, record size, blocking factor, format, names, reference."""
        place = f"record {record_no} (file header 1)"
        if self._state == "filled":
            self._close_file()
            self.notes.add("further files in the same delivery", place)
        if text[34:37] != "094":
            raise refused("not_this_format", f"{place}, record size", "094", shown(text[34:37]))
        if text[37:39] != "10" or text[39] != "1":
            self.notes.add(f"blocking factor and format code {text[37:40]!r}, read as '101'", place)
        day = optional_day(text[23:29], f"{place}, creation date")
        if day is None:
            raise refused("date", f"{place}, creation date", "a date as YYMMDD", shown(text[23:29]))
        destination, origin = text[3:13].strip(), text[13:23].strip()
        self._reference = f"{origin}:{destination}:{text[23:29]}:{text[29:33].strip()}:{text[33].strip()}"
        if self._reference in self._references:
            found = f"{self._reference} again"
            raise refused(
                "conflict", place, "each file once in a delivery", found, "Deliver each file by itself."
            )
        self._references.add(self._reference)
        self._test_mode = self._test_mode or text[86:94].strip().upper().startswith("TEST")
        self._header, self._day, self._first_no, self._state = text, day, record_no, "file"
        self._totals, self._advice, self._flags = Totals(), False, []
        self._entries.open_file(len(self._statements))

    def _open_batch(self, record_no: int, text: str) -> None:
        batch = read_batch(record_no, text, reference=self._reference, near=self._day, notes=self.notes)
        if batch.advice and not self._advice and self._totals.batches:
            self.notes.add("advices and payments in one file", f"record {record_no} (batch header 5)")
        self._advice = self._advice or batch.advice
        self._batch = batch
        self._entries.open_batch(batch)

    def _close_batch(self, record_no: int, text: str, batch: Batch) -> None:
        """8: service class, count, hash, debits, credits, company, institution, batch number."""
        self._entries.finish()
        place = f"record {record_no} (batch control 8 of batch {batch.number.strip()})"
        flags = []
        for name, stated, opened, code in (
            ("service class", text[1:4], batch.service_class, "control_total"),
            (
                "company id",
                text[44:54].strip() if not batch.advice else "",
                batch.company_id,
                "control_total",
            ),
            ("originating institution", text[79:87], batch.odfi, "control_total"),
            ("batch number", text[87:94], batch.number, "sequence"),
        ):
            if stated != opened and (stated.strip() or name != "company id"):
                flags.append(
                    self._options.demand(
                        refused(code, f"{place}, {name}", f"{opened!r} as in its batch header", shown(stated))
                    )
                )
        stated_totals, more = check_batch(
            self._entries.totals, text, place, advice=batch.advice, options=self._options
        )
        self._flags += flags + more
        totals = self._totals
        totals.batches += 1
        totals.records += stated_totals.records
        totals.routing += stated_totals.routing
        totals.debits += stated_totals.debits
        totals.credits += stated_totals.credits
        self._batch = None

    def _close_file(self) -> None:
        """9, once the records of nines after it are counted."""
        place = f"record {self._control_no} (file control 9)"
        written = self._control_no - self._first_no + 1
        filled = self._last_no - self._first_no + 1
        blocks = frozenset({-(-written // _BLOCK), -(-filled // _BLOCK)})
        flags = self._flags + check_file(
            self._totals, self._control, place, advice=self._advice, blocks=blocks, options=self._options
        )
        entries = self._entries
        if abs(entries.movement_minor) > MAX_AMOUNT_MINOR:
            raise refused("amount", place, "a sum of entries within 64 bits", "a larger one")
        masked = self._options.card_tokens.masked
        self._statements.append(
            Statement(
                statement_ref=self._reference,
                account=self._header[13:23].strip() or None,
                asset=ASSET,
                sequence_no=None,
                from_date=self._day,
                to_date=self._day,
                opening_minor=None,
                closing_minor=None,
                movement_minor=entries.movement_minor,
                line_count=entries.booked_count,
                proofs=() if flags else (in_words(self._totals),),
                flags=tuple(masked(flag) for flag in flags),
                pending_count=entries.other_count,
            )
        )

    def delivery(self) -> ParsedDelivery:
        """Everything read. Refuses a file that does not end with its control record."""
        if self._state == "start":
            raise refused("not_this_format", "record 1", "a file header 1", "an empty file")
        if self._state != "filled":
            expected = "6, 7 or 8 and a file control 9" if self._batch else "5 or a file control 9"
            raise refused(
                "truncated",
                f"after record {self._record_no}",
                expected,
                "the end of the file",
                "The file is not complete; fetch it again from the sender.",
            )
        self._close_file()
        self._writer.flush()
        return ParsedDelivery(
            format_name=NAME,
            format_version="094",
            file_reference=self._statements[0].statement_ref,
            test_mode=self._test_mode,
            statements=tuple(self._statements),
            notes=tuple(self._options.card_tokens.masked(note) for note in self.notes.texts()),
        )
