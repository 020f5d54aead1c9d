"""The logical files inside one BASE II file: header TC 90, batches that TC 91 closes, trailer TC 92, and their proofs.

Law: transactions count only when the trailers of their batch and of their file agree with what was read: number of
transactions and of components (TCR), trailers among them, number of monetary transactions, and the amounts of source
and destination, added up whatever their direction and currency. Batches are numbered from one. A component belongs to
the transaction of its code that stands before it. Anything else refuses the delivery, unless a person waived it.
"""

from collections import Counter
from typing import Any, Final

from reconciliation.errors import RefusedFile
from reconciliation.formats.canonical import Emit, ParsedDelivery, ReadOptions, RowWriter, Statement
from reconciliation.formats.visa_parts.dates import EPOCH_ORDINAL, day_of_century
from reconciliation.formats.visa_parts.lines import LINE_COLUMNS, LineReader, Transaction
from reconciliation.formats.visa_parts.positions import Layout
from reconciliation.formats.visa_parts.records import ASK_AGAIN, Framing, refused
from reconciliation.formats.visa_parts.settlement import AMOUNT_TYPES, SettledGroup, Settlement
from reconciliation.formats.visa_parts.signs import SignRow, Signs
from reconciliation.formats.visa_parts.totals import AssetTotals, LogicalFile, Sums

HEADER: Final = "90"
BATCH_TRAILER: Final = "91"
FILE_TRAILER: Final = "92"

_VSS: Final = "46"
_READ_COMPONENTS: Final = frozenset("015")
_TEST: Final = {"": False, "TEST": True}
_FILES_MAX: Final = 10_000
_FLAGS_MAX: Final = 20
_RETURNED: Final = frozenset({"01", "02", "03"})
_COLUMNS: Final = (
    *("statement_no", "record_no", "batch_ref", "byte_offset", "byte_length", "native_id", "settlement_date"),
    *LINE_COLUMNS,
)


class Delivery:
    """Takes the records of one physical file in order and gives the parsed delivery at its end."""

    def __init__(
        self,
        *,
        layout: Layout,
        signs: Signs,
        line_reader: LineReader,
        framing: Framing,
        emit: Emit,
        account: str | None,
        options: ReadOptions,
    ) -> None:
        self._at = {
            key: layout.at(*key)
            for key in layout.positions
            if key[0] in (HEADER, BATCH_TRAILER, FILE_TRAILER)
        }
        self._signs = signs
        self._rows: dict[tuple[str, str], SignRow] = {}
        self._line_reader = line_reader
        self._framing = framing
        self._account = account
        self._demand = options.demand
        self._lines = RowWriter(emit, _COLUMNS)
        self._settlement = Settlement(layout, options.demand)
        self._statements: dict[int, Statement] = {}
        self._statements_begun = 0
        self._references: dict[str, None] = {}
        self._unnamed = False
        self._test_mode = False
        self._open: LogicalFile | None = None
        self._transaction: Transaction | None = None
        self._not_lines: Counter[str] = Counter()

    def take(self, record_no: int, record: str) -> None:
        """The next record of 168 characters."""
        code = record[:2]
        file = self._open
        if file is None or code == HEADER:
            self._begin(record_no, record, code)
        elif code == BATCH_TRAILER:
            self._end_transaction(file)
            self._end_batch(record_no, record, file)
        elif code == FILE_TRAILER:
            self._end_transaction(file)
            self._end_file(record_no, record, file)
        elif record[3] == "0":
            self._end_transaction(file)
            self._transaction = Transaction(code, record[2], record_no, 1, {"0": record})
        else:
            self._add_component(record_no, record, code)

    def parsed(self, *, format_name: str) -> ParsedDelivery:
        """Everything taken, once the last trailer has closed; refuses a file that stops before it."""
        if self._open is not None:
            raise refused(
                "truncated",
                "end of the file",
                f"a file trailer TC {FILE_TRAILER} as the last record",
                f"none after {self._open.batches} batches",
            )
        self._lines.flush()
        notes = [
            f"{count} transactions TC {code}: counted, not lines"
            for code, count in sorted(self._not_lines.items())
        ]
        returned = sum(self._not_lines[code] for code in _RETURNED)
        if returned:
            notes.append(
                f"{returned} transactions that the scheme returned (TC 01, 02, 03): whoever sent them must know"
            )
        notes += [
            f"{count} TC 46 {what}: no lines" for what, count in sorted(self._settlement.others.items())
        ]
        notes += [f"{count} {text}" for text, count in sorted(self._line_reader.notes.items())]
        return ParsedDelivery(
            format_name=format_name,
            format_version=self._framing.name,
            file_reference=None if self._unnamed else "+".join(self._references) or None,
            test_mode=self._test_mode,
            statements=tuple(self._statements[number] for number in sorted(self._statements)),
            notes=tuple(notes),
            ids_may_repeat=False,
        )

    def _begin(self, record_no: int, record: str, code: str) -> None:
        if code != HEADER or self._open is not None:
            raise refused(
                "structure",
                f"record {record_no}",
                f"a file header TC {HEADER}"
                if self._open is None
                else f"a file trailer TC {FILE_TRAILER} first",
                f"TC {code!r}",
                "A file without its header and trailer proves nothing. " + ASK_AGAIN,
            )
        at = self._at
        text = record[at[HEADER, "-", "processing_date"]]
        file_date = day_of_century(text)
        if file_date is None:
            raise refused("date", f"record {record_no}, processing date", "a date as YYDDD", repr(text))
        option = record[at[HEADER, "-", "test_option"]].strip()
        if option not in _TEST:
            raise refused("structure", f"record {record_no}, test option", "TEST or blanks", repr(option))
        if len(self._references) >= _FILES_MAX:
            raise refused("limit", f"record {record_no}", f"at most {_FILES_MAX} logical files", "more")
        self._test_mode |= _TEST[option]
        name = f"{record[at[HEADER, '-', 'processing_bin']].strip()}-{text}"
        file_id = record[at[HEADER, "-", "file_id"]].strip()
        self._open = LogicalFile(name=name, file_id=file_id, file_date=file_date)

    def _add_component(self, record_no: int, record: str, code: str) -> None:
        transaction = self._transaction
        component = record[3]
        if transaction is None or transaction.code != code or transaction.qualifier != record[2]:
            raise refused(
                "structure",
                f"record {record_no} (TC {code}, TCR {component})",
                "the transaction that it belongs to (its TCR 0) before it",
                "none" if transaction is None else f"TC {transaction.code} of record {transaction.record_no}",
            )
        transaction.tcr_count += 1
        if component in _READ_COMPONENTS:
            if component in transaction.components:
                raise refused(
                    "structure",
                    f"record {record_no} (TC {code}, TCR {component})",
                    f"one TCR {component} in a transaction",
                    "a second one",
                )
            transaction.components[component] = record

    def _end_transaction(self, file: LogicalFile) -> None:
        """Count the transaction that is complete now, and make a line of it if it moves money."""
        transaction = self._transaction
        if transaction is None:
            return
        self._transaction = None
        batch = file.batch
        batch.transaction_count += 1
        batch.tcr_count += transaction.tcr_count
        row = self._rows.get((transaction.code, transaction.qualifier)) or self._row(transaction)
        if not row.sign:
            if transaction.code == _VSS:
                self._settlement.take(transaction.record_no, transaction.components)
            else:
                self._not_lines[transaction.code] += 1
            return
        amounts = self._line_reader.amounts(transaction)
        batch.monetary_count += 1
        batch.source_amount += amounts[0][0]
        batch.destination_amount += amounts[1][0]
        values = self._line_reader.line(transaction, row, amounts, file.file_date)
        totals = file.totals.get(values[0])
        if totals is None:
            totals = file.totals[values[0]] = AssetTotals(self._begun_statement())
        totals.movement_minor += values[1]
        totals.line_count += 1
        stride, length = self._framing.stride, self._framing.length
        self._lines.add(
            (
                totals.statement_no,
                transaction.record_no,
                f"{file.name}-{file.file_id}/{file.batches + 1}",
                (transaction.record_no - 1) * stride,
                (transaction.tcr_count - 1) * stride + length,
                None,
                None,
                *values,
            )
        )

    def _row(self, transaction: Transaction) -> SignRow:
        row = self._signs.of(transaction.code, transaction.qualifier)
        if row is None:
            raise refused(
                "structure",
                f"record {transaction.record_no}, transaction code",
                "a transaction code and qualifier that the table of signs has",
                f"{transaction.code!r} and {transaction.qualifier!r}",
                "Compare with the BASE II manual; if the code is right, give its sign in the source's table signs.",
            )
        self._rows[transaction.code, transaction.qualifier] = row
        return row

    def _end_batch(self, record_no: int, record: str, file: LogicalFile) -> None:
        batch = file.batch
        file.batches += 1
        batch.transaction_count += 1
        batch.tcr_count += 1
        self._compare(record_no, record, file, BATCH_TRAILER, batch)
        stated = self._stated(record_no, record, BATCH_TRAILER, "batch_number")
        if stated != file.batches:
            place = f"record {record_no} (TC {BATCH_TRAILER}), batch number"
            self._flag(file, refused("sequence", place, str(file.batches), str(stated)))
        file.sums.add(batch)
        file.batch = Sums()

    def _end_file(self, record_no: int, record: str, file: LogicalFile) -> None:
        if file.batch.transaction_count:
            raise refused(
                "structure",
                f"record {record_no}",
                f"a batch trailer TC {BATCH_TRAILER} after the last transactions",
                f"{file.batch.transaction_count} transactions that no trailer closes",
            )
        sums = file.sums
        sums.transaction_count += 1
        sums.tcr_count += 1
        self._compare(record_no, record, file, FILE_TRAILER, sums)
        stated = self._stated(record_no, record, FILE_TRAILER, "batch_number")
        if stated != file.batches:
            place = f"record {record_no} (TC {FILE_TRAILER}), number of batches"
            self._flag(file, refused("control_total", place, str(file.batches), str(stated)))
        self._close(record_no, file)
        self._open = None

    def _compare(self, record_no: int, record: str, file: LogicalFile, trailer: str, sums: Sums) -> None:
        for what in (
            "transaction_count",
            "tcr_count",
            "monetary_count",
            "source_amount",
            "destination_amount",
        ):
            read, stated = getattr(sums, what), self._stated(record_no, record, trailer, what)
            if read != stated:
                place = f"record {record_no} (TC {trailer}), {what.replace('_', ' ')}"
                found = f"{stated}, a difference of {stated - read}"
                self._flag(file, refused("control_total", place, f"{read}: that is what was read", found))

    def _stated(self, record_no: int, record: str, trailer: str, what: str) -> int:
        text = record[self._at[trailer, "-", what]].strip(" ")
        if text and not (text.isascii() and text.isdecimal()):
            place = f"record {record_no} (TC {trailer}), {what.replace('_', ' ')}"
            raise refused("amount", place, "digits", "other characters")
        return int(text or "0")

    def _flag(self, file: LogicalFile, refusal: RefusedFile) -> None:
        sentence = self._demand(refusal)
        if len(file.flags) < _FLAGS_MAX:
            file.flags.append(sentence)

    def _close(self, record_no: int, file: LogicalFile) -> None:
        """The statements of a logical file, those of its settlement reports after those of its transactions."""
        sums = file.sums
        # Without a file id, the trailer's figures tell two files of one day apart, and a redelivery has the same ones.
        told = file.file_id or f"{sums.tcr_count}-{sums.source_amount}-{sums.destination_amount}"
        reference = f"{file.name}-{told}"
        if reference in self._references:
            raise refused(
                "conflict",
                f"record {record_no}",
                "another file id for each logical file",
                f"{reference} again",
            )
        self._references[reference] = None
        self._unnamed |= not file.file_id
        counted = (
            f"{sums.transaction_count} transactions, {sums.tcr_count} components, {file.batches} batches"
        )
        added = f"source amounts {sums.source_amount}, destination amounts {sums.destination_amount}"
        proofs = (
            f"{counted}, as the trailers say",
            f"{sums.monetary_count} monetary transactions: {added}, as the trailers say",
        )
        for asset, totals in file.totals.items():
            self._statements[totals.statement_no] = Statement(
                statement_ref=f"{reference}/{asset}",
                account=self._account,
                asset=asset,
                sequence_no=None,
                from_date=file.file_date,
                to_date=file.file_date,
                opening_minor=None,
                closing_minor=None,
                movement_minor=totals.movement_minor,
                line_count=totals.line_count,
                proofs=() if file.flags else proofs,
                flags=tuple(file.flags),
            )
        for group in self._settlement.settled():
            self._add_settlement(group)

    def _add_settlement(self, group: SettledGroup) -> None:
        number = self._begun_statement()
        for amount_type, amount_minor in group.lines:
            values: dict[str, Any] = {
                "statement_no": number,
                "record_no": group.record_no,
                "batch_ref": group.reference,
                "byte_offset": (group.record_no - 1) * self._framing.stride,
                "byte_length": self._framing.length,
                "native_id": f"{group.reference}/{amount_type}",
                "settlement_date": group.funds_date,
                "asset": group.asset,
                "amount_minor": amount_minor,
                "booking_date": group.settlement_date,
                "kind": "settlement" if amount_type == "T" else "fee",
                "type_code": f"VSS-110-{amount_type}",
                "text": AMOUNT_TYPES[amount_type],
                "reversal": False,
            }
            for column in ("settlement_date", "booking_date"):
                day = values[column]
                values[column] = None if day is None else day.toordinal() - EPOCH_ORDINAL
            self._lines.add(tuple(values.get(column) for column in _COLUMNS))
        self._statements[number] = Statement(
            statement_ref=group.reference,
            account=self._account or group.account,
            asset=group.asset,
            sequence_no=None,
            from_date=group.from_date,
            to_date=group.settlement_date,
            opening_minor=None,
            closing_minor=None,
            movement_minor=sum(amount_minor for _, amount_minor in group.lines),
            line_count=len(group.lines),
            proofs=group.proofs,
            flags=group.flags,
        )

    def _begun_statement(self) -> int:
        self._statements_begun += 1
        return self._statements_begun - 1
