"""The logical files inside one IPM file: header, members, trailer, and what the trailer proves.

Law: a logical file counts only when its trailer agrees with what was read: file id, number of messages, sum of amounts;
message numbers rise by one from one. Then its net per asset becomes a settlement line of the opposite sign and each
asset one statement. Anything else refuses the whole delivery, unless a person waived that proof. How single messages
are read is ``mastercard_parts.lines``, what positions prove is ``mastercard_parts.positions``.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final

from reconciliation.errors import RefusedFile
from reconciliation.formats.canonical import Emit, ParsedDelivery, ReadOptions, RowWriter, Statement
from reconciliation.formats.mastercard_parts.amounts import digits_of
from reconciliation.formats.mastercard_parts.elements import (
    FUNCTION_FILE_REJECT,
    FUNCTION_HEADER,
    FUNCTION_MESSAGE_EXCEPTION,
    FUNCTION_TRAILER,
)
from reconciliation.formats.mastercard_parts.framing import ASK_AGAIN, refused
from reconciliation.formats.mastercard_parts.lines import EPOCH_ORDINAL, FIELDS_READ, LINE_COLUMNS, LineReader
from reconciliation.formats.mastercard_parts.messages import Message, private_fields
from reconciliation.formats.mastercard_parts.positions import POSITION_FIELDS, POSITION_FUNCTIONS, Positions
from reconciliation.formats.mastercard_parts.signs import FINANCIAL

ADMINISTRATIVE: Final = "1644"

_COLUMNS: Final = ("statement_no", "record_no", "native_id", "booking_date", "batch_ref", *LINE_COLUMNS)
_FILE_ID_LENGTH: Final = 25  # PDS 0105: type 3, date yymmdd, processor 11, sequence 5
_HEADER_FIELDS: Final = frozenset({"0105", "0122"})
_TRAILER_FIELDS: Final = frozenset({"0105", "0301", "0306"})
_REJECT_FIELDS: Final = frozenset({"0005", "0105", "0138", "0280"})
_REJECTS_NAMED_MAX: Final = 20
_FILES_MAX: Final = 10_000
_FLAGS_MAX: Final = 20
_TEST_MODES: Final = {"P": False, "T": True}


@dataclass(slots=True, kw_only=True)
class _AssetTotals:
    statement_no: int
    net_minor: int = 0
    line_count: int = 0
    pending_count: int = 0
    settlement_days: set[int | None] = field(default_factory=set)

    @property
    def settlement_day(self) -> int | None:
        return next(iter(self.settlement_days)) if len(self.settlement_days) == 1 else None


@dataclass(slots=True, kw_only=True)
class _LogicalFile:
    """What was read so far of a logical file whose trailer has not come yet."""

    file_id: str
    file_date: date
    message_count: int = 0
    number_expected: int = 1
    amount_sum: int = 0
    day: int = 0  # since 1970
    totals: dict[str, _AssetTotals] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)

    @property
    def sequence_no(self) -> int:
        return int(self.file_id[20:])


class Delivery:
    """Takes the messages of one physical file in order and gives the parsed delivery at its end."""

    def __init__(
        self, *, line_reader: LineReader, emit: Emit, account: str | None, options: ReadOptions
    ) -> None:
        self._line_reader = line_reader
        self._account = account
        self._lines = RowWriter(emit, _COLUMNS)
        self._demand = options.demand
        self._positions = Positions(options.demand)
        self._statements: list[Statement] = []
        self._statements_begun = 0
        self._file_ids: dict[str, None] = {}
        self._test_mode = False
        self._open: _LogicalFile | None = None
        self._administrative: Counter[str] = Counter()
        self._rejects: list[str] = []

    def take(self, message: Message) -> None:
        """The next message: a header, a member, or a trailer that proves all since the header."""
        file = self._open
        message_type = message.message_type
        function = message.elements.get(24, "") if message_type == ADMINISTRATIVE else ""
        if file is None or function == FUNCTION_HEADER:
            file = self._begun(message, function)
        file.message_count += 1
        number = digits_of(message, 71)
        if number != file.number_expected:
            self._misnumbered(message, number, file)
        file.number_expected = number + 1
        if message_type in FINANCIAL:
            self._add_line(message, file)
            return
        if message_type != ADMINISTRATIVE:
            raise refused(
                code="structure",
                place=f"record {message.record_no}, message type",
                expected=f"{', '.join(FINANCIAL)} or {ADMINISTRATIVE}",
                found=message_type,
            )
        if 4 in message.elements:
            file.amount_sum += digits_of(message, 4)
        if function == FUNCTION_TRAILER:
            self._prove(message, file)
            self._close(message, file)
        elif function != FUNCTION_HEADER:
            self._add_administrative(message, function, file)

    def parsed(self, *, format_name: str, format_version: str) -> ParsedDelivery:
        """Everything taken, once the last trailer has closed; refuses a file that stops before it."""
        if self._open is not None or not self._file_ids:
            raise refused(
                code="truncated" if self._open else "structure",
                place="end of the file",
                expected=f"a trailer {ADMINISTRATIVE}/{FUNCTION_TRAILER} as the last message",
                found="none for the last logical file" if self._open else "no message at all",
            )
        self._lines.flush()
        findings = self._positions.findings(frozenset(self._file_ids))
        statements = []
        for statement in self._statements:
            file_id = statement.statement_ref.partition("/")[0]
            flags = tuple(findings.flags.get(file_id, ())[:_FLAGS_MAX])
            proofs = tuple(findings.proofs.get(file_id, ())[:_FLAGS_MAX])
            statements.append(
                replace(statement, flags=statement.flags + flags, proofs=statement.proofs + proofs)
            )
        return ParsedDelivery(
            format_name=format_name,
            format_version=format_version,
            file_reference="+".join(self._file_ids),
            test_mode=self._test_mode,
            statements=tuple(statements),
            notes=self._notes(findings.elsewhere),
            ids_may_repeat=False,  # file id and message number
        )

    def _notes(self, elsewhere: int) -> tuple[str, ...]:
        notes = [
            f"{count} administrative messages {ADMINISTRATIVE}/{function or '?'}: counted, not lines"
            for function, count in sorted(self._administrative.items())
        ]
        if elsewhere:
            notes.append(
                f"{elsewhere} positions of files that are not in this delivery: compared with themselves"
            )
        notes += self._rejects
        notes += [f"{count} {text}" for text, count in sorted(self._line_reader.notes.items())]
        return tuple(notes)

    def _begun(self, message: Message, function: str) -> _LogicalFile:
        if function != FUNCTION_HEADER or self._open is not None:
            header = f"{ADMINISTRATIVE}/{FUNCTION_HEADER}"
            raise refused(
                code="structure",
                place=f"record {message.record_no}",
                expected=f"the file header {header}"
                if self._open is None
                else f"the trailer {ADMINISTRATIVE}/{FUNCTION_TRAILER} before another header",
                found=f"{message.message_type}/{function}"
                if function
                else f"message type {message.message_type}",
                remedy="A file without its header and trailer proves nothing. " + ASK_AGAIN,
            )
        fields = private_fields(message, _HEADER_FIELDS)
        file_id = _file_id(message, fields)
        mode = fields.get("0122", "")
        if mode not in _TEST_MODES:
            raise refused(
                code="structure",
                place=f"record {message.record_no}, PDS 0122",
                expected="P for production or T for test",
                found=repr(mode[:1]) if mode else "none",
            )
        if file_id in self._file_ids:
            raise refused(
                code="conflict",
                place=f"record {message.record_no}, PDS 0105",
                expected="another file id for each logical file",
                found=f"{file_id} again",
            )
        if len(self._file_ids) >= _FILES_MAX:
            raise refused(
                code="limit",
                place=f"record {message.record_no}",
                expected=f"at most {_FILES_MAX} logical files",
                found="more",
            )
        self._file_ids[file_id] = None
        self._test_mode |= _TEST_MODES[mode]
        file_date = _file_date(message, file_id)
        day = file_date.toordinal() - EPOCH_ORDINAL
        self._open = _LogicalFile(file_id=file_id, file_date=file_date, day=day)
        return self._open

    def _misnumbered(self, message: Message, found: int, file: _LogicalFile) -> None:
        refusal = refused(
            code="sequence",
            place=f"record {message.record_no}, DE 71",
            expected=f"message number {file.number_expected}",
            found=f"{found}: messages are missing, doubled or out of order",
        )
        self._flag(file, refusal)

    def _flag(self, file: _LogicalFile, refusal: RefusedFile) -> None:
        sentence = self._demand(refusal)
        if len(file.flags) < _FLAGS_MAX:
            file.flags.append(sentence)

    def _add_line(self, message: Message, file: _LogicalFile) -> None:
        fields = private_fields(message, FIELDS_READ)
        values = self._line_reader.line(message, fields, file.file_date)
        status, asset, amount_minor, settlement_day, reversal = values[:5]
        transaction_minor = digits_of(message, 4)
        file.amount_sum += transaction_minor
        reconciled_minor = digits_of(message, 5) if 5 in message.elements else transaction_minor
        self._positions.record(file.file_id, message, reversal, transaction_minor, reconciled_minor)
        totals = file.totals.get(asset) or self._begun_totals(file, asset)
        if status == "booked":
            totals.net_minor += amount_minor
            totals.line_count += 1
            if len(totals.settlement_days) < 2:
                totals.settlement_days.add(settlement_day)
        else:
            totals.pending_count += 1
        native_id = f"{file.file_id}/{file.message_count}"
        self._lines.add((totals.statement_no, message.record_no, native_id, file.day, file.file_id, *values))

    def _add_administrative(self, message: Message, function: str, file: _LogicalFile) -> None:
        if function in POSITION_FUNCTIONS:
            self._positions.position(message, private_fields(message, POSITION_FIELDS), file.file_id)
        elif function in (FUNCTION_MESSAGE_EXCEPTION, FUNCTION_FILE_REJECT):
            self._add_reject(message, function)
        self._administrative[function] += 1

    def _add_reject(self, message: Message, function: str) -> None:
        """A message or a file of ours that the scheme did not take: whoever sent it must know."""
        if len(self._rejects) >= _REJECTS_NAMED_MAX:
            return
        fields = private_fields(message, _REJECT_FIELDS)
        what = "a message" if function == FUNCTION_MESSAGE_EXCEPTION else "a whole file"
        named = "".join(
            f", {name} {fields[tag][:25]}"
            for tag, name in (("0280", "file"), ("0138", "message"), ("0005", "error"))
            if fields.get(tag, "").strip().isalnum()
        )
        self._rejects.append(
            f"record {message.record_no}: the scheme rejected {what} that was sent to it "
            f"({ADMINISTRATIVE}/{function}{named})"
        )

    def _begun_totals(self, file: _LogicalFile, asset: str) -> _AssetTotals:
        totals = file.totals[asset] = _AssetTotals(statement_no=self._statements_begun)
        self._statements_begun += 1
        return totals

    def _prove(self, message: Message, file: _LogicalFile) -> None:
        """The trailer's file id, message count and amount checksum against what was read."""
        fields = private_fields(message, _TRAILER_FIELDS)
        file_id = _file_id(message, fields)
        if file_id != file.file_id:
            raise refused(
                code="truncated",
                place=f"record {message.record_no}, PDS 0105",
                expected=f"the header's file id {file.file_id}",
                found=file_id,
            )
        for tag, what, read in (
            ("0306", "messages, header and trailer among them", file.message_count),
            ("0301", "as the sum of all DE 4", file.amount_sum),
        ):
            stated = fields.get(tag, "")
            is_number = stated.isascii() and stated.isdecimal()
            if not is_number or int(stated) != read:
                refusal = refused(
                    code="control_total",
                    place=f"record {message.record_no}, PDS {tag}",
                    expected=f"{read} {what}: that is what the file holds",
                    found=str(int(stated)) if is_number else "no number",
                )
                self._flag(file, refusal)

    def _close(self, message: Message, file: _LogicalFile) -> None:
        """Add the settlement lines and statements of a logical file, in the order its assets came."""
        for asset, totals in file.totals.items():
            net_minor, line_count = totals.net_minor, totals.line_count
            if net_minor:
                values = {
                    "statement_no": totals.statement_no,
                    "record_no": message.record_no,
                    "native_id": f"{file.file_id}/settlement/{asset}",
                    "booking_date": file.day,
                    "batch_ref": file.file_id,
                    "status": "booked",
                    "asset": asset,
                    "amount_minor": -net_minor,
                    "settlement_date": totals.settlement_day,
                    "reversal": False,
                    "fee_minor": 0,
                    "kind": "settlement",
                    "type_code": f"{ADMINISTRATIVE}-{FUNCTION_TRAILER}-net",
                    "byte_offset": message.byte_offset,
                    "byte_length": message.byte_length,
                }
                self._lines.add(tuple(values.get(column) for column in _COLUMNS))
            proofs = (
                f"message numbers 1 to {file.message_count} without gap (DE 71)",
                f"{file.message_count} messages, as the trailer says (PDS 0306)",
                f"amounts sum to {file.amount_sum}, as the trailer says (PDS 0301)",
                f"net of {line_count} records {net_minor}, settled by {-net_minor}",
            )
            self._statements.append(
                Statement(
                    statement_ref=f"{file.file_id}/{asset}",
                    account=self._account,
                    asset=asset,
                    sequence_no=file.sequence_no,
                    from_date=file.file_date,
                    to_date=file.file_date,
                    opening_minor=None,
                    closing_minor=None,
                    movement_minor=0,
                    line_count=line_count + bool(net_minor),
                    proofs=proofs[3:] if file.flags else proofs,
                    flags=tuple(file.flags),
                    pending_count=totals.pending_count,
                )
            )
        self._open = None


def _file_id(message: Message, fields: dict[str, str]) -> str:
    file_id = fields.get("0105", "")
    if len(file_id) != _FILE_ID_LENGTH or not (file_id.isascii() and file_id.isdecimal()):
        raise refused(
            code="structure",
            place=f"record {message.record_no}, PDS 0105",
            expected=f"a file id of {_FILE_ID_LENGTH} digits",
            found=f"{len(file_id)} characters that are not that" if file_id else "none",
        )
    return file_id


def _file_date(message: Message, file_id: str) -> date:
    try:
        return date(2000 + int(file_id[3:5]), int(file_id[5:7]), int(file_id[7:9]))
    except ValueError:
        raise refused(
            code="date",
            place=f"record {message.record_no}, PDS 0105",
            expected="a date as yymmdd in positions 4 to 9",
            found=repr(file_id[3:9]),
        ) from None
