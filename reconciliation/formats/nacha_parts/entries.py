"""NACHA entries (6) with their addenda (7) as canonical lines: amount, direction, dates, references, text.

Law: the direction is settled here once, from the transaction code, the number of times a return turned it round, and
the side we are on. A prenote or zero-dollar entry with money in it is refused. A card number is a token at once.
"""

from dataclasses import dataclass
from datetime import date
from typing import Final

from ledger_core.money import exponent_of
from reconciliation.formats.canonical import ReadOptions, RowWriter
from reconciliation.formats.card_numbers import CARD_LENGTH_MAX, CARD_LENGTH_MIN, truncated
from reconciliation.formats.masked_lines import masked_lines
from reconciliation.formats.nacha_parts.addenda import Addenda
from reconciliation.formats.nacha_parts.codes import (
    ACKNOWLEDGEMENTS,
    CHECK_CLASSES,
    COUNTED_CLASSES,
    Transaction,
    steps_of_return,
    transaction_of,
)
from reconciliation.formats.nacha_parts.controls import Totals
from reconciliation.formats.nacha_parts.records import Record, number_of
from reconciliation.formats.notes import Notes
from reconciliation.formats.values import other_refs_json, reference, refused, shown

LINE_COLUMNS: Final = (
    "statement_no",
    "record_no",
    "native_id",
    "status",
    "booking_date",
    "value_date",
    "settlement_date",
    "amount_minor",
    "asset",
    "original_amount_minor",
    "original_asset",
    "fx_rate",
    "ref_end_to_end",
    "ref_servicer",
    "ref_auth_code",
    "other_refs",
    "batch_ref",
    "counterparty",
    "counterparty_account",
    "text",
    "kind",
    "type_code",
    "reason_code",
    "reversal",
    "card_token",
    "card_truncated",
    "byte_offset",
    "byte_length",
)

ASSET: Final = "USD"  # entries settle in dollars, international ones too

_EPOCH: Final = date(1970, 1, 1).toordinal()
_TEXT_LENGTH_MAX: Final = 4_000
_ADDENDA_MAX: Final = 9_999


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What a batch header says of its entries."""

    number: str
    entry_class: str
    service_class: str
    company_name: str | None
    company_id: str
    description: str
    text: tuple[str, ...]  # description and discretionary data, as the lines' text begins
    booking_day: date
    effective_day: date | None
    settlement_day: date | None
    odfi: str
    ref: str
    change: bool  # notifications of change (COR), which move nothing
    international: bool  # IAT, whose entries have a layout of their own, and changes of it
    foreign_asset: str | None = None  # of an international batch with conversion
    fx_rate: str | None = None

    @property
    def advice(self) -> bool:
        """Whether the entries are an operator's advices, which have a layout of their own."""
        return self.service_class == "280" or self.entry_class == "ADV"


class EntryReader:
    """Holds one entry until its addenda are in, then writes its line and adds it to the sums of file and batch."""

    def __init__(self, options: ReadOptions, writer: RowWriter, notes: Notes, *, originator: bool) -> None:
        self.totals = Totals()  # of the batch
        self.movement_minor = 0  # of the file
        self.booked_count = 0
        self.other_count = 0
        self._tokens = options.card_tokens
        self._writer = writer
        self._notes = notes
        self._originator = originator
        self._statement_no = -1
        self._batch: Batch | None = None
        self._days: tuple[int, int, int | None] = (0, 0, None)
        self._entry: tuple[Record, Transaction, int] | None = None
        self._addenda = Addenda(international=False)
        self._trace = ""
        self._company: str | None = None  # its name as it may be shown

    def open_file(self, statement_no: int) -> None:
        """The lines that follow are of this statement."""
        self._statement_no = statement_no
        self.movement_minor = self.booked_count = self.other_count = 0

    def open_batch(self, batch: Batch) -> None:
        """The entries that follow are of this batch."""
        self.totals = Totals()
        self._batch, self._trace = batch, ""
        self._addenda = Addenda(international=batch.international)
        self._company = self._tokens.masked(batch.company_name) if batch.company_name else None
        settled = batch.settlement_day
        valued = settled or batch.effective_day or batch.booking_day
        self._days = (
            batch.booking_day.toordinal() - _EPOCH,
            valued.toordinal() - _EPOCH,
            settled.toordinal() - _EPOCH if settled else None,
        )

    def entry(self, record: Record, batch: Batch) -> None:
        """Take a 6 record. Codes ``amount``, ``structure``."""
        if self._entry is not None:
            self.finish()
        record_no, _, _, text = record
        place = f"record {record_no} (entry 6)"
        transaction = transaction_of(text[1:3], place)
        if transaction.advice is not batch.advice:
            expected = "a code of advices, 81 to 88" if batch.advice else "no code of advices"
            raise refused("structure", f"{place}, transaction code", expected, shown(text[1:3]))
        routing = text[3:11]
        if not (routing.isascii() and routing.isdecimal()):
            raise refused("structure", f"{place}, receiving institution", "8 digits", shown(routing))
        amount = number_of(text[27:39] if transaction.advice else text[29:39], f"{place}, amount")
        totals = self.totals
        totals.records += 1
        totals.routing += int(routing)
        if transaction.credit:
            totals.credits += amount
        else:
            totals.debits += amount
        self._entry = (record, transaction, amount)

    def addendum(self, record: Record) -> None:
        """Take a 7 record. Codes ``structure``, ``limit``."""
        record_no, offset, length, text = record
        place = f"record {record_no} (addenda 7)"
        if self._entry is None:
            raise refused("structure", place, "an entry 6 before its addenda", "none")
        self.totals.records += 1
        if self._addenda.count >= _ADDENDA_MAX:
            raise refused("limit", place, f"at most {_ADDENDA_MAX} addenda of an entry", "more")
        self._addenda.add(text, offset + length, place)
        named, trace = text[87:94], self._entry[0][3][87:94]
        if text[1:3] not in {"02", "98", "99"} and named != trace:
            self._notes.add("addenda that name another entry than the one before them", place)

    def finish(self) -> None:
        """Write the line of the entry that is held, if there is one."""
        held, batch = self._entry, self._batch
        if held is None or batch is None:
            return
        self._entry = None
        (record_no, offset, length, text), transaction, amount = held
        addenda = self._addenda
        place = f"record {record_no} (entry 6)"
        entry_class = batch.entry_class
        sign, status, reversal = self._direction(transaction, amount, batch, place)
        trace = text[79:94].strip()
        self._count(trace, status, sign * amount, place)
        name, identification, check, account = _parties(text, batch)
        card_token = card_truncated = original_minor = original_asset = None
        if entry_class == "SHR":
            name, card_token, card_truncated = self._card(text[54:76])
        if entry_class in ACKNOWLEDGEMENTS:
            addenda.references["original"], identification = identification, None
        masked = self._tokens.masked
        company, other_name = self._company, name
        if addenda.count or text[78] == "1":
            self._check_addenda(text, batch, place)
        if addenda.count:
            length = addenda.end - offset
            identification = addenda.receiver_id or identification
            name = other_name = addenda.receiver_name or name
            company = masked(addenda.originator_name) if addenda.originator_name else company
            original_minor, original_asset = self._original(batch, sign)
        counterparty = company
        if self._originator:
            counterparty, other_name = masked(name) if name else None, None
        lines = [line for line in (*batch.text, other_name, *addenda.text) if line]
        self._writer.add(
            (
                self._statement_no,
                record_no,
                f"{batch.ref}/{trace}" if trace.isdigit() else None,
                status,
                *self._days,
                sign * amount,
                ASSET,
                original_minor,
                original_asset,
                batch.fx_rate if original_minor is not None else None,
                identification,
                trace or None,
                addenda.auth_code,
                self._other_references(trace, check, batch, transaction),
                batch.ref,
                counterparty,
                account if self._originator else None,
                masked_lines(lines, masked)[:_TEXT_LENGTH_MAX] if lines else None,
                _kind(transaction, batch, status),
                f"{entry_class}/{text[1:3]}",
                addenda.reason_code,
                reversal,
                card_token,
                card_truncated,
                offset,
                length,
            )
        )
        if addenda.count or addenda.references:
            self._addenda = Addenda(international=batch.international)

    def _count(self, trace: str, status: str, amount_minor: int, place: str) -> None:
        if status == "booked":
            self.movement_minor += amount_minor
            self.booked_count += 1
        else:
            self.other_count += 1
        if trace <= self._trace:
            self._notes.add("trace numbers that do not ascend within their batch", place)
        self._trace = trace

    def _direction(
        self, transaction: Transaction, amount: int, batch: Batch, place: str
    ) -> tuple[int, str, bool]:
        """Sign on our account, status, and whether the line undoes another."""
        sign = 1 if transaction.credit else -1
        if transaction.advice:
            return sign, "booked", False
        reason = self._addenda.reason_code
        change = batch.change or (reason or "").startswith("C")
        steps = 1 if transaction.returned else 0
        if reason and not change:
            steps = steps_of_return(reason, place)
        if steps % 2:
            sign = -sign
        if self._originator:
            sign = -sign
        if change:
            if amount:
                self._notes.add("notifications of change with an amount, which moves nothing", place)
            return sign, "info", False
        if transaction.moves_nothing and amount:
            expected = "zero in a prenotification or zero-dollar entry"
            raise refused("amount", f"{place}, amount", expected, f"{amount} in minor units")
        moves_nothing = transaction.moves_nothing or (steps > 0 and amount == 0)
        return sign, "info" if moves_nothing else "booked", steps > 0 or batch.description == "REVERSAL"

    def _check_addenda(self, text: str, batch: Batch, place: str) -> None:
        """The entry's own word on its addenda; their number is proved by the batch."""
        count = self._addenda.count
        if (text[78] == "1") is not (count > 0):
            self._notes.add("entries whose addenda indicator says otherwise", place)
        counted = batch.entry_class in COUNTED_CLASSES
        stated = text[12:16] if batch.international else text[54:58] if counted else ""
        if stated.isdecimal() and int(stated) != count:
            self._notes.add("entries that state another number of addenda", place)

    def _card(self, field: str) -> tuple[str | None, str | None, str | None]:
        """Name, token and truncated form from the card account number of a shared network entry."""
        digits = field.strip()
        if digits.isascii() and digits.isdecimal():
            if len(digits) > CARD_LENGTH_MAX:
                digits = digits.lstrip("0")
            if CARD_LENGTH_MIN <= len(digits) <= CARD_LENGTH_MAX:
                return None, self._tokens.token(digits), truncated(digits)
        return digits or None, None, None

    def _original(self, batch: Batch, sign: int) -> tuple[int | None, str | None]:
        """What an international entry amounts to in the other currency, where its decimals are certain."""
        foreign = self._addenda.foreign_amount
        asset = batch.foreign_asset
        if not foreign or asset is None or exponent_of(asset) != 2:
            return None, None
        return sign * foreign, asset

    def _other_references(
        self, trace: str, check: str | None, batch: Batch, transaction: Transaction
    ) -> str | None:
        if not self._addenda.references and check is None:
            if transaction.credit:
                return other_refs_json(trace=trace)
            return other_refs_json(trace=trace, creditor_id=batch.company_id)
        return other_refs_json(
            trace=trace,
            check=check,
            creditor_id=None if transaction.credit else batch.company_id,
            **self._addenda.references,
        )


def _parties(text: str, batch: Batch) -> tuple[str | None, str | None, str | None, str | None]:
    """Name, identification, cheque number and account of the receiver, as the class of the batch lays them out."""
    entry_class = batch.entry_class
    if batch.international:
        return None, None, None, text[39:74].strip() or None
    if batch.advice:
        return text[54:76].strip() or None, reference(text[48:53]), None, text[12:27].strip() or None
    account = text[12:29].strip() or None
    if entry_class in CHECK_CLASSES:
        check = text[39 : 39 + CHECK_CLASSES[entry_class]].strip() or None
        return (None if entry_class == "TRC" else text[54:76].strip() or None), None, check, account
    if entry_class == "SHR":
        return None, reference(text[43:54]), None, account
    start = 58 if entry_class in COUNTED_CLASSES else 54
    end = 74 if entry_class in COUNTED_CLASSES else 76
    return text[start:end].strip() or None, reference(text[39:54]), None, account


def _kind(transaction: Transaction, batch: Batch, status: str) -> str:
    if transaction.advice:
        return "settlement"
    if status != "booked":
        return "adjustment"
    return "fee" if batch.description == "RETURN FEE" else "transfer"
