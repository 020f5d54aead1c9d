"""Reads CFONB 120 (NTTRE1, AFB 120), the French banks' statement of account in records of 120 characters.

Public standard: CFONB, "Relevé de compte sur support informatique", July 2004, with the complements of August 2007.
One ``Statement`` per record 01 to 07; several days of an account in one file must follow one another. Law: old balance
(01) and movements (04) make the new balance (07), to the last digit; amounts carry their sign overpunched in the last
digit and their number of decimals beside the currency. The standard counts no records and ends no file: only the
balances prove it, and a file that lost its last statements whole is missed by the days it lacks. The account is written
as bank, branch and number (21 characters). Takes no settings.

>>> import io, sys
>>> from reconciliation.formats.canonical import ReadOptions, read_whole
>>> from reconciliation.formats.card_numbers import KeyedCardTokens
>>> head = "12345    00001EUR2 00012345678".ljust(30)
>>> rows = [("01" + head + "  151126").ljust(90) + "0000000001000{",
...         ("04" + head + "05161126  161126VIR ACME").ljust(90) + "0000000000255}",
...         ("07" + head + "  161126").ljust(90) + "0000000000745{"]
>>> stream = io.BytesIO("\\r\\n".join(row.ljust(120) for row in rows).encode())
>>> whole = read_whole(sys.modules[__name__], stream, ReadOptions(card_tokens=KeyedCardTokens(bytes(32))))
>>> whole.lines["amount_minor"].to_pylist(), whole.parsed.statements[0].closing_minor
([-2550], 7450)
"""

import codecs
from dataclasses import dataclass, field
from datetime import date
from typing import BinaryIO, Final

from ledger_core.money import exponent_of
from reconciliation.errors import RefusedFile
from reconciliation.formats.canonical import Emit, LineWriter, ParsedDelivery, ReadOptions, Statement
from reconciliation.formats.cfonb120_movement import Movement, kind_of, punched_minor
from reconciliation.formats.fixed_width import (
    MINOR_MAX,
    Notes,
    StatementChain,
    balance_proof,
    balance_refusal,
    day_after,
    day_month_year,
    demanded,
    placed,
    records,
    refuse_settings,
    tidy,
)
from reconciliation.formats.values import asset_of, refused, shown

NAME: Final = "cfonb120"

_WIDTH: Final = 120
_SHORTEST: Final = {"01": 104, "04": 104, "05": 48, "07": 104}
_NO_DATE: Final = frozenset({"000000", "      "})
_FETCH_AGAIN: Final = "The file is cut short or damaged; fetch it again from the bank."


def sniff(head: bytes) -> bool:
    """Whether the first record is an old balance: 01, a date, thirteen digits before the overpunched one."""
    line = head.removeprefix(codecs.BOM_UTF8).lstrip(b" \r\n")[:_WIDTH]
    return (
        line[:2] == b"01"
        and not line[40:90].strip()
        and line[90:103].isdigit()
        and not line[103:104].isdigit()
    )


def read(stream: BinaryIO, options: ReadOptions, emit: Emit) -> ParsedDelivery:
    """Read and prove one file, or raise ``RefusedFile``. ``record_no`` is the number of the line in the file."""
    refuse_settings(NAME, options.settings)
    notes = Notes()
    reader = _Reader(options, LineWriter(emit), notes)
    for line_no, offset, length, text in records(
        stream,
        options,
        width=_WIDTH,
        shortest=lambda text: _SHORTEST.get(text[:2], 0),
        notes=notes,
    ):
        try:
            reader.take(line_no, offset, length, text)
        except RefusedFile as refusal:
            raise placed(refusal, f"line {reader.line_no}", options) from None
    return reader.delivery()


@dataclass(slots=True)
class _Statement:
    """What is known of the statement that is being read. Currency and decimals may first come with a movement."""

    bank_field: str
    branch_field: str
    number_field: str
    opened_on: date
    opening_text: str
    asset: str | None
    decimals: int | None
    opening_minor: int = 0
    movement_minor: int = 0
    line_count: int = 0
    flags: list[str] = field(default_factory=list)

    @property
    def account(self) -> str:
        """Bank, branch and number as one."""
        return (self.bank_field + self.branch_field + self.number_field).replace(" ", "")


class _Reader:
    """One record after the other; holds one movement, which ends with the record after its complements."""

    def __init__(self, options: ReadOptions, writer: LineWriter, notes: Notes) -> None:
        self._options = options
        self._writer = writer
        self._notes = notes
        self._statement: _Statement | None = None
        self._movement: Movement | None = None
        self._references = ("", "")  # reference zone and entry number of the movement
        self._statements: list[Statement] = []
        self._chain = StatementChain()
        self.line_no = 0  # of the record that is being read

    def take(self, line_no: int, offset: int, length: int, text: str) -> None:
        """One record."""
        self.line_no = line_no
        kind = text[:2]
        if kind == "05":
            self._complement(text, offset + length)
            return
        self._end_movement()
        if kind == "04":
            self._begin_movement(text, offset, length)
        elif kind == "01":
            self._begin_statement(text)
        elif kind == "07":
            self._end_statement(text)
        else:
            code = "structure" if self._statement is not None or self._statements else "not_this_format"
            raise refused(code, "record code (1-2)", "01, 04, 05 or 07", shown(kind))

    def delivery(self) -> ParsedDelivery:
        """Everything, once the file is at its end."""
        if self._statement is not None:
            expected = f"a record 07 of account {self._statement.account}"
            raise refused("truncated", "the end of the file", expected, "none", _FETCH_AGAIN)
        if not self._statements:
            raise refused("not_this_format", "the end of the file", "records 01 to 07", "none", _FETCH_AGAIN)
        self._writer.flush()
        return ParsedDelivery(
            format_name=NAME,
            format_version="2004.07",
            file_reference=None,
            test_mode=False,
            statements=tuple(self._statements),
            notes=self._notes.texts(),
        )

    def _begin_statement(self, text: str) -> None:
        if self._statement is not None:
            expected = f"a record 07 of account {self._statement.account}"
            raise refused("truncated", "record 01", expected, "none", _FETCH_AGAIN)
        if not text[21:32].strip():
            raise refused("structure", "record 01, account (22-32)", "an account number", "none")
        self._statement = statement = _Statement(
            bank_field=text[2:7],
            branch_field=text[11:16],
            number_field=text[21:32],
            opened_on=day_month_year(text[34:40], "record 01, date (35-40)"),
            opening_text=text[90:104],
            asset=None,
            decimals=None,
        )
        if text[16:19].strip() and text[19] != " ":
            self._settle(statement, text)
        elif not statement.opening_text[:13].isdecimal():
            raise refused(
                "amount", "record 01, balance (91-104)", "13 digits and a last one", shown(text[90:104])
            )

    def _settle(self, statement: _Statement, text: str) -> None:
        """Currency and decimals of the statement, by the first record that states both; then the old balance."""
        asset = asset_of(text[16:19], f"record {text[:2]}, currency (17-19)")
        decimals = _decimals_of(text)
        place = "record 01, balance (91-104)"
        statement.asset, statement.decimals = asset, decimals
        statement.opening_minor = punched_minor(
            statement.opening_text, place, decimals=decimals, exponent=exponent_of(asset)
        )
        broken = self._chain.break_at(statement.account, asset, statement.opening_minor, place)
        if broken is not None:
            statement.flags.append(demanded(broken, f"line {self.line_no}", self._options))

    def _amount_minor(self, statement: _Statement, text: str, what: str) -> tuple[int, str]:
        """Amount of a record and its currency, which is the statement's."""
        if statement.asset is None:
            self._settle(statement, text)
        asset = statement.asset or ""
        if text[16:19] not in (asset, "   "):
            raise refused("currency", f"record {text[:2]}, currency (17-19)", asset, shown(text[16:19]))
        decimals = statement.decimals if text[19] == " " else _decimals_of(text)
        place = f"record {text[:2]}, {what} (91-104)"
        amount_minor = punched_minor(text[90:104], place, decimals=decimals or 0, exponent=exponent_of(asset))
        return amount_minor, asset

    def _opened(self, text: str) -> _Statement:
        """The statement that a record belongs to."""
        kind, statement = text[:2], self._statement
        if statement is None:
            raise refused("structure", f"record {kind}", "a record 01 before it", "none")
        if text[21:32] != statement.number_field:
            place = f"record {kind}, account (22-32)"
            raise refused("conflict", place, f"account {tidy(statement.number_field)}", shown(text[21:32]))
        if text[2:7] != statement.bank_field or text[11:16] != statement.branch_field:
            self._notes.add("bank or branch differs from that of record 01", f"line {self.line_no}")
        return statement

    def _begin_movement(self, text: str, offset: int, length: int) -> None:
        statement = self._opened(text)
        amount_minor, asset = self._amount_minor(statement, text, "amount")
        statement.movement_minor += amount_minor
        statement.line_count += 1
        operation, reject = text[32:34], text[40:42].strip()
        values = {
            "statement_no": len(self._statements),
            "record_no": self.line_no,
            "booking_date": day_month_year(text[34:40], "record 04, booking date (35-40)"),
            "amount_minor": amount_minor,
            "asset": asset,
            "kind": kind_of(operation, returned=bool(reject), amount_minor=amount_minor),
            "type_code": f"{operation}-{text[7:11]}".rstrip(" -"),
            "reversal": operation == "99",
            "byte_offset": offset,
            "byte_length": length,
        }
        if text[42:48] not in _NO_DATE:
            values["value_date"] = day_month_year(text[42:48], "record 04, value date (43-48)")
        if reject:
            values["reason_code"] = reject
        self._movement = Movement(values, tidy(text[48:79]))
        self._references = tidy(text[104:120]), text[81:88].strip().lstrip("0")

    def _complement(self, text: str, end: int) -> None:
        movement = self._movement
        if movement is None:
            raise refused("structure", "record 05", "a record 04 before it", "none")
        self._opened(text)
        movement.complement(text, end)

    def _end_movement(self) -> None:
        movement, line_no = self._movement, self.line_no
        if movement is not None:
            self.line_no = movement.values["record_no"]  # what is wrong now is wrong there
            self._writer.add(**movement.line(self._options, *self._references))
            self._movement, self.line_no = None, line_no

    def _end_statement(self, text: str) -> None:
        statement = self._opened(text)
        closing_minor, asset = self._amount_minor(statement, text, "balance")
        closed_on = day_month_year(text[34:40], "record 07, date (35-40)")
        place = "record 07, balance (91-104)"
        if abs(statement.movement_minor) > MINOR_MAX:
            raise refused("amount", place, "movements within 64 bits", "more")
        flags = statement.flags
        if closed_on < statement.opened_on:
            expected = f"a day on or after {statement.opened_on}"
            wrong = refused("sequence", "record 07, date (35-40)", expected, f"{closed_on}")
            flags.append(demanded(wrong, f"line {self.line_no}", self._options))
        balance = {
            "opening_minor": statement.opening_minor,
            "movement_minor": statement.movement_minor,
            "closing_minor": closing_minor,
        }
        broken = balance_refusal(place, **balance, asset=asset)
        if broken is not None:
            flags.append(demanded(broken, f"line {self.line_no}", self._options))
        self._chain.close(statement.account, asset, closing_minor, closed_on)
        self._statements.append(
            Statement(
                statement_ref=self._chain.ref_of(
                    statement.account, asset, f"{statement.opened_on}/{closed_on}"
                ),
                account=statement.account,
                asset=asset,
                sequence_no=None,
                from_date=day_after(statement.opened_on, closed_on),
                to_date=closed_on,
                opening_minor=None if broken else statement.opening_minor,
                closing_minor=None if broken else closing_minor,
                movement_minor=statement.movement_minor,
                line_count=statement.line_count,
                proofs=() if broken else (balance_proof(**balance, count=statement.line_count, asset=asset),),
                flags=tuple(flags),
            )
        )
        self._statement = None


def _decimals_of(text: str) -> int:
    """Number of decimals of the amounts of a record, one digit."""
    if text[19] not in set("0123456789"):
        raise refused("structure", f"record {text[:2]}, number of decimals (20)", "a digit", shown(text[19]))
    return int(text[19])
