"""Reads Cuaderno 43 (Norma 43, AEB 43, CSB 43), the Spanish banks' statement of account in records of 80 characters.

Public standard: Asociación Española de Banca and CECA, "Información normalizada de cuenta corriente", series 43, of
June 2012. One ``Statement`` per account (records 11 to 33). Law: numbers and sums of debits and of credits, the balance
and the number of records are all stated and all proved; key 1 is a debit, 2 a credit, and nothing else has a sign. The
account is written as entity, branch and number (18 digits, without check digits). Takes no settings.

>>> import io
>>> from reconciliation.formats.canonical import ReadOptions, read_whole
>>> from reconciliation.formats.card_numbers import KeyedCardTokens
>>> rows = ["11" "0081" "0200" "0001234567" "261116" "261116" "2" "00000000010000" "978" "3" "ACME SL",
...         "22" "    " "0200" "261116" "261116" "04" "007" "2" "00000000002550" "0000000000" "000000000000",
...         "33" "0081" "0200" "0001234567" "00000" "00000000000000" "00001" "00000000002550"
...              "2" "00000000012550" "978",
...         "88" "999999999999999999" "000003"]
>>> stream = io.BytesIO("\\r\\n".join(row.ljust(80) for row in rows).encode())
>>> whole = read_whole(sys.modules[__name__], stream, ReadOptions(card_tokens=KeyedCardTokens(bytes(32))))
>>> whole.lines["amount_minor"].to_pylist(), whole.parsed.statements[0].closing_minor
([2550], 12550)
"""

import codecs
import sys  # noqa: F401 - for the example above
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, BinaryIO, Final

from ledger_core.money import exponent_of, format_minor
from reconciliation.errors import RefusedFile
from reconciliation.formats.canonical import Emit, LineWriter, ParsedDelivery, ReadOptions, Statement
from reconciliation.formats.currency_numbers import ASSETS_BY_NUMBER
from reconciliation.formats.fixed_width import (
    MINOR_MAX,
    Notes,
    StatementChain,
    balance_proof,
    balance_refusal,
    card_of,
    count_refusal,
    demanded,
    number_of,
    placed,
    records,
    refuse_settings,
    tidy,
    total_refusal,
)
from reconciliation.formats.values import (
    asset_of,
    implied_minor,
    other_refs_json,
    reference,
    refused,
    short_day_of,
    shown,
)

NAME: Final = "aeb43"

_WIDTH: Final = 80
_SHORTEST: Final = {"00": 12, "11": 50, "22": 42, "23": 4, "24": 21, "33": 76, "88": 26}
_CONCEPTS_MAX: Final = 99  # the standard allows five records 23; some banks send more, and count them
_SIGNS: Final = {"1": -1, "2": 1}
_KINDS: Final = {"14": "return", "16": "fee", "17": "fee", "98": "adjustment"}
_DOCUMENTS: Final = {"01": "check"}  # what the document number is, by common concept
_FETCH_AGAIN: Final = "The file is cut short or damaged; fetch it again from the bank."


def sniff(head: bytes) -> bool:
    """Whether the first record is an account header (11), or the rare file header (00) before one."""
    lines = head.removeprefix(codecs.BOM_UTF8).lstrip(b"\r\n").splitlines()
    while lines and lines[0][:2] == b"00" and lines[0][2:12].isdigit() and not lines[0][12:20].strip():
        del lines[0]
    return bool(lines) and lines[0][:2] == b"11" and lines[0][2:47].isdigit() and lines[0][32:33] in b"12"


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
class _Account:
    """What is known of the account that is being read."""

    key: str  # entity, branch and number, 18 digits
    asset: str
    number: str  # of the asset
    from_date: date
    to_date: date
    opening_minor: int
    flags: list[str] = field(default_factory=list)
    proofs: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=lambda: {"1": 0, "2": 0})  # by key: debits, credits
    sums_minor: dict[str, int] = field(default_factory=lambda: {"1": 0, "2": 0})


class _Reader:
    """One record after the other; holds one movement, which ends with the record after its complements."""

    def __init__(self, options: ReadOptions, writer: LineWriter, notes: Notes) -> None:
        self._options = options
        self._writer = writer
        self._notes = notes
        self._account: _Account | None = None
        self._movement: dict[str, Any] | None = None
        self._concepts: list[str] = []
        self._statements: list[Statement] = []
        self._chain = StatementChain()
        self.line_no = 0  # of the record that is being read
        self._record_count = 0  # since the last record 88
        self._ended = False

    def take(self, line_no: int, offset: int, length: int, text: str) -> None:
        """One record."""
        self.line_no = line_no
        kind = text[:2]
        if kind == "23":
            self._record_count += 1
            self._add_concept(text, offset + length)
            return
        if kind == "24":
            self._record_count += 1
            self._add_equivalent(text, offset + length)
            return
        self._end_movement()
        if kind == "22":
            self._record_count += 1
            self._begin_movement(text, offset, length)
        elif kind == "33":
            self._record_count += 1
            self._end_account(text)
        elif kind == "11":
            self._record_count += 1
            self._begin_account(text)
        elif kind == "88":
            self._end_file(text)
        elif kind == "00" and not self._record_count:
            self._notes.add(
                "a file header 00, which no public version of the standard has", f"line {line_no}"
            )
        else:
            code = "structure" if self._record_count or self._ended else "not_this_format"
            raise refused(code, "record code (1-2)", "11, 22, 23, 24, 33 or 88", shown(kind))

    def delivery(self) -> ParsedDelivery:
        """Everything, once the file is at its end."""
        if self._record_count or not self._ended:
            code = "truncated" if self._record_count else "not_this_format"
            raise refused(code, "the end of the file", "a record 88", "none", _FETCH_AGAIN)
        self._writer.flush()
        return ParsedDelivery(
            format_name=NAME,
            format_version="2012",
            file_reference=None,
            test_mode=False,
            statements=tuple(self._statements),
            notes=self._notes.texts(),
        )

    def _demand(self, refusal: RefusedFile | None, flags: list[str]) -> bool:
        """Whether a proof holds; raises where it fails and was not waived."""
        if refusal is None:
            return True
        flags.append(demanded(refusal, f"line {self.line_no}", self._options))
        return False

    def _begin_account(self, text: str) -> None:
        if self._account is not None:
            raise refused(
                "truncated", "record 11", f"a record 33 of {self._account.key}", "none", _FETCH_AGAIN
            )
        asset = _asset_of(text[47:50], "record 11, currency (48-50)")
        account = _Account(
            key=_account_of(text),
            asset=asset,
            number=text[47:50],
            from_date=short_day_of(text[20:26], "record 11, first day (21-26)"),
            to_date=short_day_of(text[26:32], "record 11, last day (27-32)"),
            opening_minor=_signed(text[32], text[33:47], asset, "record 11, opening balance (33-47)"),
        )
        if account.from_date > account.to_date:
            expected = f"a day on or after {account.from_date}"
            self._demand(
                refused("sequence", "record 11, last day (27-32)", expected, f"{account.to_date}"),
                account.flags,
            )
            account.from_date = account.to_date
        place = "record 11, opening balance (33-47)"
        self._demand(self._chain.break_at(account.key, asset, account.opening_minor, place), account.flags)
        self._account = account

    def _begin_movement(self, text: str, offset: int, length: int) -> None:
        account = self._account
        if account is None:
            raise refused("structure", "record 22", "a record 11 before it", "none")
        key = text[27]
        amount_minor = _signed(key, text[28:42], account.asset, "record 22, amount (28-42)")
        account.counts[key] += 1
        account.sums_minor[key] += abs(amount_minor)
        concept, document = text[22:24], text[42:52].strip().lstrip("0")
        self._concepts = []
        self._movement = movement = {
            "statement_no": len(self._statements),
            "record_no": self.line_no,
            "booking_date": short_day_of(text[10:16], "record 22, operation date (11-16)"),
            "value_date": short_day_of(text[16:22], "record 22, value date (17-22)"),
            "amount_minor": amount_minor,
            "asset": account.asset,
            "kind": _kind_of(concept, amount_minor),
            "type_code": f"{concept}-{text[24:27]}",
            "reversal": concept == "98",
            "byte_offset": offset,
            "byte_length": length,
        }
        if document:
            movement["other_refs"] = other_refs_json(**{_DOCUMENTS.get(concept, "transaction"): document})
        for name, start, end in (("ref_servicer", 52, 64), ("ref_end_to_end", 64, 80)):
            found = tidy(text[start:end])
            if not found.strip("0"):
                continue
            card = card_of(found, self._options.card_tokens)
            if card is None:
                movement[name] = reference(found)
            else:
                movement["card_token"], movement["card_truncated"] = card

    def _add_concept(self, text: str, end: int) -> None:
        movement = self._movement
        if movement is None:
            raise refused("structure", "record 23", "a record 22 before it", "none")
        if len(self._concepts) >= _CONCEPTS_MAX:
            raise refused("limit", "record 23", f"at most {_CONCEPTS_MAX} of one movement", "more")
        self._concepts.append(tidy(text[4:80]))
        movement["byte_length"] = end - movement["byte_offset"]

    def _add_equivalent(self, text: str, end: int) -> None:
        """What the movement was in its own currency; has no effect on the account."""
        movement = self._movement
        if movement is None or "original_asset" in movement:
            raise refused("structure", "record 24", "one after a record 22", "none or another before it")
        asset = _asset_of(text[4:7], "record 24, currency (5-7)")
        original_minor = implied_minor(
            text[7:21], "record 24, amount (8-21)", decimals=2, exponent=exponent_of(asset)
        )
        movement["byte_length"] = end - movement["byte_offset"]
        movement["original_asset"] = asset
        movement["original_amount_minor"] = (
            -original_minor if movement["amount_minor"] < 0 else original_minor
        )

    def _end_movement(self) -> None:
        if self._movement is not None:
            text = "\n".join(part for part in self._concepts if part)
            self._movement["text"] = self._options.card_tokens.masked(text) or None
            self._writer.add(**self._movement)
            self._movement = None

    def _end_account(self, text: str) -> None:
        account = self._account
        if account is None:
            raise refused("structure", "record 33", "a record 11 before it", "none")
        key, asset, flags = _account_of(text), account.asset, account.flags
        if key != account.key:
            raise refused("conflict", "record 33, account (3-20)", f"account {account.key}", key)
        if text[73:76] != account.number:
            raise refused("currency", "record 33, currency (74-76)", account.number, shown(text[73:76]))
        for side, what, start in (("1", "debits", 20), ("2", "credits", 39)):
            place = f"record 33, number of {what} ({start + 1}-{start + 5})"
            count = number_of(text[start : start + 5], place)
            # more than 99,999 movements do not fit the field, which then has the last five digits
            counted = self._demand(count_refusal(place, what, count, account.counts[side] % 100_000), flags)
            place = f"record 33, sum of {what} ({start + 6}-{start + 19})"
            sum_minor = account.sums_minor[side]
            stated_minor = _signed("2", text[start + 5 : start + 19], asset, place)
            summed = self._demand(total_refusal(place, what, stated_minor, sum_minor, asset), flags)
            if counted and summed:
                total = f"{format_minor(sum_minor, exponent_of(asset))} {asset}"
                account.proofs.append(f"record 33: {account.counts[side]} {what}, together {total}")
        self._statements.append(self._statement(account, text))
        self._account = None

    def _statement(self, account: _Account, text: str) -> Statement:
        asset, flags = account.asset, account.flags
        place = "record 33, closing balance (59-73)"
        closing_minor = _signed(text[58], text[59:73], asset, place)
        movement_minor = account.sums_minor["2"] - account.sums_minor["1"]
        if abs(movement_minor) > MINOR_MAX:
            raise refused("amount", place, "movements within 64 bits", "more")
        count = account.counts["1"] + account.counts["2"]
        balance = {
            "opening_minor": account.opening_minor,
            "movement_minor": movement_minor,
            "closing_minor": closing_minor,
        }
        proved = self._demand(balance_refusal(place, **balance, asset=asset), flags)
        if proved:
            account.proofs.append(balance_proof(**balance, count=count, asset=asset))
        self._chain.close(account.key, asset, closing_minor, account.to_date)
        return Statement(
            statement_ref=self._chain.ref_of(account.key, asset, f"{account.from_date}/{account.to_date}"),
            account=account.key,
            asset=asset,
            sequence_no=None,
            from_date=account.from_date,
            to_date=account.to_date,
            opening_minor=account.opening_minor if proved else None,
            closing_minor=closing_minor if proved else None,
            movement_minor=movement_minor,
            line_count=count,
            proofs=tuple(account.proofs),
            flags=tuple(flags),
        )

    def _end_file(self, text: str) -> None:
        if self._account is not None:
            raise refused(
                "truncated", "record 88", f"a record 33 of {self._account.key}", "none", _FETCH_AGAIN
            )
        place = "record 88, number of records (21-26)"
        flags: list[str] = []
        count = number_of(text[20:26], place)
        self._demand(count_refusal(place, "records", count, self._record_count % 1_000_000), flags)
        if flags and self._statements:
            last = self._statements[-1]
            self._statements[-1] = replace(last, flags=(*last.flags, *flags))
        self._record_count = 0
        self._ended = True


def _account_of(text: str) -> str:
    key = text[2:20]
    if not (key.isascii() and key.isdecimal()):
        raise refused("structure", f"record {text[:2]}, account (3-20)", "18 digits", shown(key))
    return key


def _asset_of(number: str, place: str) -> str:
    """Currency by its ISO 4217 number; some banks write the letters."""
    known = ASSETS_BY_NUMBER.get(number)
    if known is not None:
        return known[0]
    if number.isdecimal():
        raise refused("currency", place, "an ISO 4217 currency by its number", shown(number))
    return asset_of(number, place)


def _signed(key: str, digits: str, asset: str, place: str) -> int:
    """Amount of fourteen digits, two of them decimals whatever the currency; 1 is a debit, 2 a credit."""
    sign = _SIGNS.get(key)
    if sign is None:
        raise refused("amount", place, "1 (debit) or 2 (credit)", shown(key))
    return sign * implied_minor(digits, place, decimals=2, exponent=exponent_of(asset))


def _kind_of(concept: str, amount_minor: int) -> str:
    """By the common concept (annex 1): 14 returned items, 16 and 17 charges and interest, 98 corrections."""
    kind = _KINDS.get(concept, "transfer")
    if kind == "return":
        return "refund" if amount_minor > 0 else "chargeback"
    return "interest" if concept == "17" and amount_minor > 0 else kind
