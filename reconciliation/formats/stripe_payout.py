"""Reads Stripe's itemised payout reconciliation report (CSV), whatever set of its documented columns it was run with.

One line per balance transaction, one ``Statement`` per currency; the report states no balances. Law: net = gross - fee
in every row, and the rows of a payout and the payout itself sum to zero wherever the file holds both; else it is
refused. Worked example: charge 25.00 - 0.95 = 24.05, refund -10.00, payout -14.05, and 24.05 - 10.00 - 14.05 = 0.

Settings: ``merchant_reference_column`` (such as ``payment_metadata[order_id]``), ``time_zone`` (the zone that the
report was run in, UTC if it was run without), ``payout_rows`` (``required``: every payout must be in the file itself;
a report that holds its payouts cannot be cut between two rows unnoticed; default ``optional``).
"""

import codecs
import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from difflib import get_close_matches
from functools import lru_cache
from typing import BinaryIO, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ledger_core.errors import AmountError, UnknownAssetError
from ledger_core.money import exponent_of, format_minor, parse_amount_minor
from reconciliation.errors import RefusedFile, SourcesError
from reconciliation.formats.bounded_lines import bounded_lines
from reconciliation.formats.canonical import Emit, LineWriter, ParsedDelivery, ReadOptions, Statement
from reconciliation.formats.stripe_columns import KINDS, REQUIRED, REVERSALS, Columns, columns_of
from reconciliation.formats.stripe_proofs import Proofs, refused

NAME: Final = "stripe.payout_reconciliation"

_LINE_BYTES_MAX: Final = 1 << 20  # a row has some sixty short fields; metadata values end at 500 characters
_TEXT_LENGTH_MAX: Final = 4_000
_TIME: Final = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[ T](\d{2}:\d{2}(?::\d{2})?)(?:\.\d+)?Z?)?", re.ASCII)
_CURRENCY: Final = re.compile(r"[A-Za-z]{3}", re.ASCII)
_SETTINGS: Final = ("merchant_reference_column", "payout_rows", "time_zone")
_PAYOUT_ROWS: Final = ("optional", "required")


def sniff(head: bytes) -> bool:
    """Whether the first line is a header with the columns that every itemised report has."""
    first_line = head.removeprefix(codecs.BOM_UTF8).partition(b"\n")[0]
    names = {name.strip().strip(b'"') for name in first_line.split(b",")}
    return all(name.encode() in names for name in REQUIRED)


def read(stream: BinaryIO, options: ReadOptions, emit: Emit) -> ParsedDelivery:
    """Read and prove one report, or raise ``RefusedFile``; ``SourcesError`` for settings that are not known.

    ``record_no`` counts rows with the header as row 1. ``batch_ref`` of a row is its payout; the payout's own row has
    ``ref_payout``. A line is booked on the day of its payout, without one on the day it was made.
    """
    reader = _Reader(options, _read_settings(options.settings), emit)
    place = "the start"
    try:
        lines = bounded_lines(stream, bytes_max=options.bytes_max, line_bytes_max=_LINE_BYTES_MAX)
        rows = csv.reader(lines, strict=True)
        header = next(rows, None)
        if header is None:
            raise refused("truncated", "row 1", "a header row", "an empty file")
        columns = columns_of(header, reader.settings.merchant_reference_column)
        for row_no, row in enumerate(rows, start=2):
            place = f"row {row_no}"
            reader.add(row_no, row, columns)
        return reader.delivery(columns)
    except csv.Error as error:
        raise refused("structure", f"after {place}", "well-formed CSV to the last row", str(error)) from None
    except RefusedFile as refusal:
        raise RefusedFile(
            code=refusal.code,
            place=refusal.place,
            expected=refusal.expected,
            found=options.card_tokens.masked(refusal.found),
            remedy=refusal.remedy,
        ) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settings:
    merchant_reference_column: str | None
    payout_rows_required: bool
    time_zone: tzinfo


def _read_settings(settings: Mapping[str, str]) -> _Settings:
    problems = []
    for name in sorted(settings.keys() - set(_SETTINGS)):
        near = get_close_matches(name, _SETTINGS, n=1)
        problems.append(
            f"settings of {NAME}: {name} is not known" + (f"; did you mean {near[0]}?" if near else "")
        )
    payout_rows = settings.get("payout_rows", _PAYOUT_ROWS[0])
    if payout_rows not in _PAYOUT_ROWS:
        problems.append(f"settings of {NAME}: payout_rows must be one of {', '.join(_PAYOUT_ROWS)}")
    zone: tzinfo = UTC
    try:
        zone = ZoneInfo(settings["time_zone"]) if settings.get("time_zone", "UTC") != "UTC" else UTC
    except (ZoneInfoNotFoundError, ValueError):
        problems.append(f"settings of {NAME}: time_zone {settings['time_zone']!r} is not a time zone")
    if problems:
        raise SourcesError(tuple(problems))
    return _Settings(
        merchant_reference_column=settings.get("merchant_reference_column") or None,
        payout_rows_required=payout_rows == "required",
        time_zone=zone,
    )


class _Reader:
    """Lines and sums while the rows go by."""

    def __init__(self, options: ReadOptions, settings: _Settings, emit: Emit) -> None:
        self.settings = settings
        self._options = options
        self._writer = LineWriter(emit)
        self._proofs = Proofs()
        self._numbers: dict[str, int] = {}  # statement number by currency, in order of first appearance

    def add(self, row_no: int, row: list[str], columns: Columns) -> None:
        """Check one row and add its line."""
        self._check_shape(row_no, row, columns)
        currency = row[columns.currency].upper()
        if not _CURRENCY.fullmatch(currency):
            raise refused("currency", f"row {row_no}, currency", "a currency code", repr(currency[:16]))
        fee_minor, net_minor = _checked_amounts(row_no, row, columns, currency)
        category = row[columns.category]
        source_id = _value(row, columns.source_id)
        payout_id = _value(row, columns.payout_id)
        booking_date = _booking_date(row, columns, row_no)
        self._proofs.add_to_part(currency, net_minor, booking_date, _value(row, columns.account))
        self._proofs.add_to_payout(
            payout_id, source_id, row_no=row_no, currency=currency, category=category, net_minor=net_minor
        )
        kind = KINDS.get(category)
        if kind is None:
            self._proofs.note(f"reporting category {category[:40]!r} is not known, read as adjustment")
        is_payout = kind == "payout"
        original_minor, original_asset = _original(row, columns, currency, row_no)
        self._writer.add(
            statement_no=self._numbers.setdefault(currency, len(self._numbers)),
            record_no=row_no,
            native_id=row[columns.native_id],
            booking_date=booking_date,
            value_date=_optional_day(_value(row, columns.available_on), row_no, "available_on"),
            event_at=self._event_at(row, columns, row_no),
            amount_minor=net_minor,
            asset=currency,
            fee_minor=fee_minor,
            original_amount_minor=original_minor,
            original_asset=original_asset,
            ref_psp=None if is_payout else source_id,
            ref_payout=(source_id or payout_id) if is_payout else None,
            ref_merchant=_value(row, columns.merchant_reference),
            ref_servicer=_value(row, columns.trace_id),
            batch_ref=None if is_payout else payout_id,
            counterparty=self._masked(_value(row, columns.customer)),
            text=self._masked(_value(row, columns.description)),
            kind=kind or "adjustment",
            type_code=category,
            reversal=category in REVERSALS,
        )

    def delivery(self, columns: Columns) -> ParsedDelivery:
        """Prove the payouts and return what was read, statements as their currencies first appear."""
        proofs = self._proofs.prove(payout_rows_required=self.settings.payout_rows_required)
        if columns.unknown:
            self._proofs.note(
                f"columns that are not documented, not read: {', '.join(columns.unknown)[:400]}"
            )
        statements = tuple(self._statement(currency, proofs[currency]) for currency in self._numbers)
        self._writer.flush()
        return ParsedDelivery(
            format_name=NAME,
            format_version="itemised",
            file_reference=None,  # a report has no number of its own; its statements are known by payout day
            test_mode=False,
            statements=statements,
            notes=self._proofs.notes(),
            ids_may_repeat=False,
        )

    def _statement(self, currency: str, proofs: tuple[str, ...]) -> Statement:
        part = self._proofs.parts[currency]
        account = next(iter(part.accounts)) if len(part.accounts) == 1 else None
        if len(part.accounts) > 1:
            self._proofs.note(f"{currency}: rows of several accounts, so that the statement names none")
        names = (account, part.to_date.isoformat(), currency, self._proofs.payouts_named(currency))
        return Statement(
            statement_ref=":".join(name for name in names if name),
            account=account,
            asset=currency,
            sequence_no=None,
            from_date=part.from_date,
            to_date=part.to_date,
            opening_minor=None,
            closing_minor=None,
            movement_minor=part.movement_minor,
            line_count=part.line_count,
            proofs=proofs,
        )

    def _check_shape(self, row_no: int, row: list[str], columns: Columns) -> None:
        if len(row) != columns.count:
            raise refused("structure", f"row {row_no}", f"{columns.count} fields", f"{len(row)}")
        longest, limit = max(map(len, row)), self._options.field_length_max
        if longest > limit:
            raise refused("limit", f"row {row_no}", f"at most {limit} characters a field", f"{longest}")
        native_id = row[columns.native_id]
        if not native_id.strip():
            raise refused("structure", f"row {row_no}, balance_transaction_id", "an identification", "none")

    def _event_at(self, row: list[str], columns: Columns, row_no: int) -> datetime | None:
        """The instant the transaction was made; a day without time is none."""
        utc_text, local_text = _value(row, columns.created_utc), _value(row, columns.created)
        text = utc_text or local_text
        if text is None:
            return None
        matched = _TIME.fullmatch(text)
        if matched is None or matched.group(2) is None:
            _day(text, row_no, "created")
            return None
        zone = UTC if utc_text or text.endswith("Z") else self.settings.time_zone
        try:
            local = datetime.fromisoformat(f"{matched.group(1)} {matched.group(2)}").replace(tzinfo=zone)
            return local.astimezone(UTC)
        except (ValueError, OverflowError):
            raise refused("date", f"row {row_no}, created", "a date and time", repr(text[:40])) from None

    def _masked(self, text: str | None) -> str | None:
        return self._options.card_tokens.masked(text)[:_TEXT_LENGTH_MAX] if text else None


def _value(row: list[str], column: int | None) -> str | None:
    return (row[column].strip() or None) if column is not None else None


def _checked_amounts(row_no: int, row: list[str], columns: Columns, currency: str) -> tuple[int, int]:
    """Fee and net, with net = gross - fee demanded."""
    gross_minor = _minor(row[columns.gross], currency, row_no, "gross")
    fee_minor = _minor(row[columns.fee], currency, row_no, "fee")
    net_minor = _minor(row[columns.net], currency, row_no, "net")
    if net_minor != gross_minor - fee_minor:
        right = format_minor(gross_minor - fee_minor, exponent_of(currency))
        raise refused(
            "control_total",
            f"row {row_no} ({row[columns.native_id][:40]}), net",
            f"{right} {currency}, the gross {row[columns.gross]} less the fee {row[columns.fee]}",
            row[columns.net],
        )
    return fee_minor, net_minor


def _minor(text: str, currency: str, row_no: int, name: str) -> int:
    try:
        return parse_amount_minor(text, exponent_of(currency))
    except UnknownAssetError:
        raise refused(
            "currency", f"row {row_no}, currency", "an ISO 4217 currency", repr(currency[:16])
        ) from None
    except AmountError:
        raise refused(
            "amount",
            f"row {row_no}, {name}",
            f"plain digits with at most {exponent_of(currency)} decimals of {currency}, within 64 bits",
            repr(text[:40]),
        ) from None


def _original(row: list[str], columns: Columns, currency: str, row_no: int) -> tuple[int | None, str | None]:
    """What the customer saw, where that was another currency."""
    amount = _value(row, columns.facing_amount)
    asset = (_value(row, columns.facing_currency) or "").upper()
    if amount is None or not asset or asset == currency:
        return None, None
    return _minor(amount, asset, row_no, "customer_facing_amount"), asset


def _booking_date(row: list[str], columns: Columns, row_no: int) -> date:
    for column, name in (
        (columns.payout_at, "automatic_payout_effective_at"),
        (columns.created, "created"),
        (columns.created_utc, "created_utc"),
    ):
        text = _value(row, column)
        if text is not None:
            return _day(text, row_no, name)
    raise refused("date", f"row {row_no}", "a date of the payout or of the transaction", "neither")


def _optional_day(text: str | None, row_no: int, name: str) -> date | None:
    return None if text is None else _day(text, row_no, name)


def _day(text: str, row_no: int, name: str) -> date:
    """The calendar day as written, in the zone of the report."""
    matched = _TIME.fullmatch(text)
    day = _calendar_day(matched.group(1)) if matched is not None else None
    if day is None:
        raise refused("date", f"row {row_no}, {name}", "a date such as 2026-11-16 00:00:00", repr(text[:40]))
    return day


@lru_cache(maxsize=4096)
def _calendar_day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
