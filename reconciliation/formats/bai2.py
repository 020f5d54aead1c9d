"""Reads BAI2 balance reports: Cash Management Balance Reporting Specifications, version 2 (BAI, Technical Reference
Manual, 10/2005, free to download), and files of its successor BTRS (version 3) as far as they use the same records.

One ``Statement`` per 03 record, one line per 16. Law: all sums and counts of 49, 98 and 99 hold, opening ledger (010)
and movements give the closing ledger (015) where both are stated, and the direction comes from the type code alone.
Money without a direction, a deletion, or the same account twice for one day is refused. Availability and lists of 03
that move nothing (float, averages) are not kept.

Settings: ``currency`` (where neither account nor group state one; USD if left out), ``bank_defined_credit``,
``bank_defined_debit``, ``bank_defined_info`` (type codes outside 100 to 699, by commas, that the bank gave a meaning).

>>> import io
>>> from reconciliation.formats.card_numbers import KeyedCardTokens
>>> file = b'''01,BANK,US,261116,0600,7,,,2/
... 02,US,BANK,1,261115,2400,USD,2/
... 03,12345,,010,10000,,,015,12500,,/
... 16,165,2500,Z,B1,INV-7,Widgets
... 49,25000,3/
... 98,25000,1,5/
... 99,25000,1,7/'''
>>> delivery = read(io.BytesIO(file), ReadOptions(card_tokens=KeyedCardTokens(bytes(32))), lambda batch: None)
>>> [(one.account, one.movement_minor, one.closing_minor) for one in delivery.statements]
[('12345', 2500, 12500)]
"""

import codecs
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from difflib import get_close_matches
from typing import BinaryIO, Final

from reconciliation.errors import RefusedFile, SourcesError
from reconciliation.formats.bai2_parts.controls import Account, Level, check_count, check_total
from reconciliation.formats.bai2_parts.lines import LINE_COLUMNS, MovementReader, written_day
from reconciliation.formats.bai2_parts.records import Record, logical_records, plain_fields, summaries
from reconciliation.formats.bai2_parts.types import BANK_DEFINED, TypeCodes
from reconciliation.formats.canonical import Emit, ParsedDelivery, ReadOptions, RowWriter, Statement
from reconciliation.formats.notes import Notes
from reconciliation.formats.values import asset_of, refused, shown

NAME: Final = "bai2"

_SETTINGS: Final = ("currency", *BANK_DEFINED)
_DEFAULT_CURRENCY: Final = "USD"
_VERSIONS: Final = frozenset({"2", "3"})
_STATUSES: Final = {"1": "update", "2": "deletion", "3": "correction", "4": "test"}
_INTERIM_SAME_DAY: Final = "3"
_FIELD_LENGTH_MAX: Final = 200
_EXPECTED_NEXT: Final = {
    "": "a file header 01",
    "file": "a group header 02 or the file trailer 99",
    "group": "an account 03 or the group trailer 98",
    "account": "a transaction 16 or the account trailer 49",
}


def sniff(head: bytes) -> bool:
    """Whether the first record is a file header 01 and the next one a group header or a file trailer."""
    lines = [line.strip() for line in head.removeprefix(codecs.BOM_UTF8).splitlines()]
    codes = [line[:3] for line in lines if line and not line.startswith(b"88")]
    return codes[:1] == [b"01,"] and codes[1:2] in ([b"02,"], [b"99,"], [])


def read(stream: BinaryIO, options: ReadOptions, emit: Emit) -> ParsedDelivery:
    """Read and prove one file, or raise ``RefusedFile``; ``SourcesError`` for settings that are not known.

    ``record_no`` counts the 16 records of the file. ``statement_ref`` is originator:account:day:currency, with the time
    for interim reports; a correction (group status 3) has the one that it corrects.
    """
    reader = _Reader(options, emit, _read_settings(options.settings))
    masked = options.card_tokens.masked
    try:
        for record in logical_records(
            stream, bytes_max=options.bytes_max, record_length_max=options.field_length_max
        ):
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


def _read_settings(settings: Mapping[str, str]) -> tuple[str, TypeCodes]:
    problems = []
    for name in sorted(settings.keys() - set(_SETTINGS)):
        near = get_close_matches(name, _SETTINGS, n=1)
        problems.append(
            f"settings of {NAME}: {name} is not known" + (f"; did you mean {near[0]}?" if near else "")
        )
    currency = settings.get("currency") or _DEFAULT_CURRENCY
    try:
        asset_of(currency, "currency")
    except RefusedFile:
        problems.append(f"settings of {NAME}: currency {currency[:16]!r} is not an ISO 4217 currency")
    try:
        type_codes = TypeCodes(settings)
    except SourcesError as error:
        problems += error.problems
    if problems:
        raise SourcesError(tuple(problems))
    return currency, type_codes


@dataclass(frozen=True, slots=True)
class _Report:
    """What a group header says of the accounts below it."""

    day: date
    asset: str
    interim: bool
    originator: str
    suffix: str  # tells interim reports of one day apart


class _Reader:
    """State between records: which levels are open, their sums, and the statements that are proved so far."""

    def __init__(self, options: ReadOptions, emit: Emit, settings: tuple[str, TypeCodes]) -> None:
        self._options = options
        self._default_currency, type_codes = settings
        self._notes = Notes()
        self._writer = RowWriter(emit, LINE_COLUMNS)
        self._movements = MovementReader(options, self._writer, type_codes, self._notes)
        self._open = ""  # the innermost level that is open
        self._line_no = 0
        self._versions: list[str] = []
        self._file_reference: str | None = None
        self._file_day: tuple[str, str] = ("", "")
        self._file = self._group = Level("", 0)
        self._report = _Report(date.min, "", False, "", "")
        self._account: Account | None = None
        self._statements: list[Statement] = []
        self._keys: set[tuple[str, str]] = set()
        self._test_mode = False

    def take(self, record: Record) -> None:
        """Take the next logical record."""
        code = record[0]
        self._line_no = record[2]
        if code == "16" and self._account is not None:
            self._movements.add(record, self._account)
            return
        if self._open != _LEVELS[code]:
            place = f"line {self._line_no}, record code"
            if not self._versions:
                raise refused("not_this_format", place, "a BAI2 file header 01", code)
            raise refused("structure", place, _EXPECTED_NEXT[self._open], code)
        _HANDLERS[code](self, record)

    def delivery(self) -> ParsedDelivery:
        """Everything read. Refuses a file that does not end with its trailer."""
        if not self._versions:
            raise refused("not_this_format", "line 1", "a BAI2 file header '01,'", "an empty file")
        if self._open:
            expected = f"{_EXPECTED_NEXT[self._open]}, and a file trailer 99 at the end"
            raise refused(
                "truncated",
                f"after line {self._line_no}",
                expected,
                "the end of the file",
                "The file is not complete; fetch it again from the sender.",
            )
        self._writer.flush()
        masked = self._options.card_tokens.masked  # flags and notes name accounts
        return ParsedDelivery(
            format_name=NAME,
            format_version=self._versions[0],
            file_reference=self._file_reference,
            test_mode=self._test_mode,
            statements=tuple(
                replace(one, flags=tuple(masked(flag) for flag in one.flags)) if one.flags else one
                for one in self._statements
            ),
            notes=tuple(masked(note) for note in self._notes.texts()),
        )

    def _file_header(self, record: Record) -> None:
        """01: sender, receiver, date, time, file id, record length, block size, version."""
        place = f"line {self._line_no} (file header 01)"
        sender, _, day, time, file_id, _, _, version = self._fields(record, 8, place)
        if self._versions:
            self._notes.add("further files in the same delivery", place)
        if version not in _VERSIONS:
            self._notes.add(f"version {shown(version[:8])}, read as version 2", place)
        self._versions.append(version[:8] or "unstated")
        if day:
            written_day(day, f"{place}, creation date")
        if self._file_reference is None and file_id:
            self._file_reference = f"{sender}:{day}:{file_id}"
        self._file_day = (day, time or file_id)
        self._file = Level(place, record[5], first_statement=len(self._statements))
        self._open = "file"

    def _group_header(self, record: Record) -> None:
        """02: receiver, originator, status, as-of date, time, currency, modifier."""
        place = f"line {self._line_no} (group header 02)"
        _, originator, status, day, time, currency, modifier = self._fields(record, 7, place)
        if status not in _STATUSES:
            raise refused("structure", f"{place}, group status", "1, 2, 3 or 4", shown(status))
        if status == "2":
            raise refused(
                "conflict",
                f"{place}, group status",
                "1 (update) or 3 (correction)",
                "2: the bank deletes what it reported before",
                "Withdraw the earlier report by hand, or ask the bank for a correction of it (status 3).",
            )
        if status == "3":
            self._notes.add("groups that correct an earlier report", place)
        self._test_mode = self._test_mode or status == "4"
        if not day:
            self._notes.add("groups without as-of date, dated by the file's creation", place)
            day = self._file_day[0]
        interim = modifier == _INTERIM_SAME_DAY
        self._report = _Report(
            day=written_day(day, f"{place}, as-of date"),
            asset=asset_of(currency or self._default_currency, f"{place}, currency"),
            interim=interim,
            originator=originator,
            suffix=f":{time or self._file_day[1]}" if interim else "",
        )
        self._group = Level(place, record[5], first_statement=len(self._statements))
        self._open = "group"

    def _account_header(self, record: Record) -> None:
        """03: account, currency, then type, amount, count and funds type of each balance and summary."""
        place = f"line {self._line_no} (account 03)"
        number, currency, readings = summaries(record[1], place)
        if not number or len(number) > _FIELD_LENGTH_MAX:
            raise refused("structure", f"{place}, account number", "a number of the account", shown(number))
        place = f"line {self._line_no} (account {number[:40]})"
        report = self._report
        asset = asset_of(currency, f"{place}, currency") if currency else report.asset
        statement_ref = f"{report.originator}:{number}:{report.day.isoformat()}:{asset}{report.suffix}"
        if (number, statement_ref) in self._keys:
            raise refused(
                "conflict",
                f"{place}, as-of date",
                "each account once for a day, or once for a time in interim reports",
                f"{report.day.isoformat()} again",
                "Ask the bank which of the two reports holds, and for a file with that one.",
            )
        self._keys.add((number, statement_ref))
        account = Account(
            Level(place, record[5]), number, asset, statement_ref, report.day, report.interim, readings
        )
        self._account = account
        self._movements.open_statement(len(self._statements), account)
        self._open = "account"

    def _account_trailer(self, record: Record) -> None:
        """49: control total, number of records."""
        account = self._account
        if account is None:  # the order of levels makes this impossible
            raise refused("structure", f"line {self._line_no}", "an open account", "none")
        level, options = account.level, self._options
        level.records += record[5]
        total, count = self._fields(record, 2, f"line {self._line_no} (trailer 49)")
        account.take_balances(total)
        flag, stated = check_total(
            level, total, name="49", asset=account.asset, options=options, notes=self._notes
        )
        count_flag = check_count(level, count, level.records, name="49 number of records", options=options)
        flags = [one for one in (flag, count_flag) if one is not None]
        proofs = [] if flags else [f"control total 49: {level.total} in {level.records} records"]
        self._statements.append(account.statement(options, self._notes, (proofs, flags)))
        self._group.total += stated
        self._group.parts += 1
        self._group.records += level.records
        self._account = None
        self._open = "group"

    def _group_trailer(self, record: Record) -> None:
        """98: control total, number of accounts, number of records."""
        self._close(self._group, record, "98", "number of accounts")
        self._file.parts += 1
        self._file.records += self._group.records
        self._open = "file"

    def _file_trailer(self, record: Record) -> None:
        """99: control total, number of groups, number of records."""
        self._close(self._file, record, "99", "number of groups")
        self._open = ""

    def _close(self, level: Level, record: Record, code: str, parts_name: str) -> None:
        """Prove a group or the file, and tell it to all of its statements."""
        options = self._options
        level.records += record[5]
        total, parts, count = self._fields(record, 3, f"line {self._line_no} (trailer {code})")
        assets = {statement.asset for statement in self._statements[level.first_statement :]}
        asset = next(iter(assets)) if len(assets) == 1 else None
        flag, stated = check_total(level, total, name=code, asset=asset, options=options, notes=self._notes)
        flags = [
            flag,
            check_count(level, parts, level.parts, name=f"{code} {parts_name}", options=options),
            check_count(level, count, level.records, name=f"{code} number of records", options=options),
        ]
        told = tuple(one for one in flags if one is not None)
        words = f"control total {code}: {level.total}, {parts_name} {level.parts}, {level.records} records"
        proofs = () if told else (words,)
        for index in range(level.first_statement, len(self._statements)):
            statement = self._statements[index]
            self._statements[index] = replace(
                statement, proofs=statement.proofs + proofs, flags=statement.flags + told
            )
        if code == "98":
            self._file.total += stated

    def _fields(self, record: Record, count: int, place: str) -> list[str]:
        """The first so many fields, empty ones where the record is shorter."""
        fields = plain_fields(record[1])
        if max(map(len, fields)) > _FIELD_LENGTH_MAX:
            raise refused("limit", place, f"fields of at most {_FIELD_LENGTH_MAX} characters", "a longer one")
        return (fields + [""] * count)[:count]


_LEVELS: Final = {
    "01": "", "02": "file", "03": "group", "16": "account", "49": "account", "98": "group", "99": "file"
}  # fmt: skip
"""Which level must be the innermost open one when a record comes."""

_HANDLERS: Final[Mapping[str, Callable[[_Reader, Record], None]]] = {
    "01": _Reader._file_header,
    "02": _Reader._group_header,
    "03": _Reader._account_header,
    "49": _Reader._account_trailer,
    "98": _Reader._group_trailer,
    "99": _Reader._file_trailer,
}
