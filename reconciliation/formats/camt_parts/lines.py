"""The columns of one line of a camt message, from its entry (``Ntry``) and at most one of its details (``TxDtls``).

Law: the direction is ``CdtDbtInd`` alone; a reversal mark is carried, never applied. References, texts and amounts come
from the level that states them, the detail first.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from reconciliation.formats.bank_transaction_code import kind_of
from reconciliation.formats.camt_parts.entry_parts import Parts, amount_at
from reconciliation.formats.camt_parts.fields import (
    add_card,
    add_counterparty,
    add_masked,
    add_references,
    reason_of,
    text_parts,
)
from reconciliation.formats.camt_parts.money import add_charges, add_exchange, sign_of, unsigned_minor
from reconciliation.formats.camt_parts.values import instant, local_date
from reconciliation.formats.canonical import LINE_SCHEMA, ReadOptions
from reconciliation.formats.notes import Notes
from reconciliation.formats.values import reference, refused, shown

COLUMNS: Final = tuple(LINE_SCHEMA.names)
BLANK_ROW: Final[dict[str, Any]] = dict.fromkeys(COLUMNS) | {"fee_minor": 0, "reversal": False}
"""A line before anything is known of it, in the order of its columns."""

_NO_CODES: Final[tuple[str | None, str | None]] = (None, None)
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_STATUSES: Final = {"BOOK": "booked", "PDNG": "pending", "INFO": "info", "FUTR": "expected"}


@dataclass(frozen=True, slots=True)
class Coded:
    """What an entry says in codes and dates: the same in many entries."""

    sign: int
    status: str
    without_status: bool
    value_date: date | None
    booking_date: date | None
    reversal: bool  # marked as one: debtor and creditor are those of the original
    codes: tuple[str | None, str | None]
    row: dict[str, Any]  # a line with all of this


CODED_PATHS: Final = frozenset(
    {
        "CdtDbtInd",
        "Sts",
        "Sts/Cd",
        "Sts/Prtry",
        "ValDt/Dt",
        "ValDt/DtTm",
        "BookgDt/Dt",
        "BookgDt/DtTm",
        "RvslInd",
    }
    | {f"BkTxCd/{name}" for name in ("Domn/Cd", "Domn/Fmly/Cd", "Domn/Fmly/SubFmlyCd", "Prtry/Cd")}
)
"""All that ``coded`` looks at."""


@dataclass(slots=True)
class Entry:
    """One ``Ntry``, its details apart."""

    parts: Parts
    coded: Coded
    shared: dict[str, Any]  # a line with the columns that all its lines have
    booking_date: date
    total_minor: int
    asset: str
    servicer_ref: str | None


def coded_of(parts: Parts) -> Coded:
    """Codes and dates of an entry, each checked."""
    if "Amt" not in parts:
        raise refused("amount", "Amt", "the amount of the entry", "none")
    get = parts.get
    sign = sign_of(get("CdtDbtInd"), "Ntry")
    stated = get("Sts") or get("Sts/Cd") or get("Sts/Prtry")
    without_status = stated is None and "Sts" not in parts
    status = "booked" if without_status else _STATUSES.get(stated or "")
    if status is None:
        raise refused("structure", "Sts", "BOOK, PDNG, INFO or FUTR", shown(stated))
    valued = get("ValDt/Dt") or get("ValDt/DtTm")
    booked = get("BookgDt/Dt") or get("BookgDt/DtTm")
    value_date = local_date(valued, "ValDt") if valued else None
    reversal = "RvslInd" in parts and _flag(parts["RvslInd"])
    booking_date = local_date(booked, "BookgDt") if booked else None
    row = BLANK_ROW | {"status": status, "reversal": reversal}
    for name, day in (("value_date", value_date), ("booking_date", booking_date)):
        row[name] = None if day is None else day.toordinal() - _EPOCH_DAY
    codes = _codes(parts) if "BkTxCd" in parts else _NO_CODES
    return Coded(sign, status, without_status, value_date, booking_date, reversal, codes, row)


def entry_of(
    parts: Parts,
    coded: Coded,
    *,
    statement_no: int,
    record_no: int,
    day: Callable[[bool], date | None],
    notes: Notes,
    place: str,
) -> Entry:
    """The entry that the parts of a ``Ntry`` say. ``day`` is the day of its statement, if that is certain enough for
    a booked one, for entries that state none.
    """
    amount = amount_at(parts, "Amt")
    total_minor = coded.sign * unsigned_minor(amount, "Amt")
    if coded.without_status:
        notes.add("entries without status, read as booked", place)
    booking_date = coded.booking_date
    row = coded.row.copy()
    if booking_date is None:
        booking_date = _day_without_booking(day(coded.status == "booked"), coded.value_date, notes, place)
        row["booking_date"] = booking_date.toordinal() - _EPOCH_DAY
    row["statement_no"] = statement_no
    row["record_no"] = record_no
    row["asset"] = asset = amount[1] or ""
    return Entry(parts, coded, row, booking_date, total_minor, asset, reference(parts.get("AcctSvcrRef")))


def line_of(
    entry: Entry, detail: Parts | None, line_minor: int, options: ReadOptions, *, alone: bool
) -> dict[str, Any]:
    """Columns that are read alike for a leaf, a single detail and an entry without details."""
    tokens = options.card_tokens
    whole = entry.parts
    coded = entry.coded
    row = entry.shared if alone else entry.shared.copy()  # one line needs no copy
    row["amount_minor"] = line_minor
    raises = line_minor > 0 or (line_minor == 0 and coded.sign > 0)
    codes = coded.codes
    additional = whole.get("AddtlNtryInf") if alone else None
    returned = False
    own_ref = None
    if detail is None:
        card = source = charged = whole
        if "CardTx" in whole:
            add_references(row, {}, whole, undoes=False)
        said = text_parts({}, additional, named=True)
    else:
        card = detail if "CardTx" in detail else whole
        source = detail if "AmtDtls" in detail or not alone else whole
        charged = detail if "Chrgs" in detail or not alone else whole
        if "BkTxCd" in detail:
            own_codes = _codes(detail)
            codes = own_codes if own_codes != _NO_CODES else codes
        undoes = coded.reversal
        if "RtrInf" in detail:
            returned = undoes = True
            row["reason_code"] = reason_of(detail)
        own_ref = add_references(row, detail, card, undoes=undoes)
        add_counterparty(row, detail, "Dbtr" if raises != undoes else "Cdtr", tokens)
        if "RltdDts" in detail:
            _add_dates(row, detail)
        said = text_parts(detail, additional, named=row["ref_end_to_end"] is not None)
    add_masked(row, said, tokens)
    if "AmtDtls" in source:
        add_exchange(row, source, line_minor, entry.asset, raises=raises)
    if "Chrgs" in charged:
        add_charges(row, charged, line_minor, entry.asset)
    if "CardTx" in card:
        add_card(row, card, tokens)
    row["native_id"] = own_ref or (entry.servicer_ref if alone else None)
    row["ref_servicer"] = own_ref or entry.servicer_ref
    row["kind"] = kind_of(codes[0], codes[1], returned=returned, raises=raises)
    row["type_code"] = codes[0] or codes[1]
    return row


def _day_without_booking(day: date | None, value_date: date | None, notes: Notes, place: str) -> date:
    notes.add("entries without booking date, dated by their statement or value date", place)
    known = day or value_date
    if known is None:
        raise refused("date", "BookgDt", "a booking date", "none, and no value date")
    return known


def _flag(text: str | None) -> bool:
    if text not in {"true", "false", "1", "0"}:
        raise refused("structure", "RvslInd", "true or false", shown(text))
    return text in {"true", "1"}


def _codes(parts: Parts) -> tuple[str | None, str | None]:
    """Domain code as ``domain/family/sub-family``, and the proprietary code."""
    get = parts.get
    codes = (get("BkTxCd/Domn/Cd"), get("BkTxCd/Domn/Fmly/Cd"), get("BkTxCd/Domn/Fmly/SubFmlyCd"))
    return "/".join(filter(None, codes)) or None, get("BkTxCd/Prtry/Cd") or None


def _add_dates(row: dict[str, Any], detail: Parts) -> None:
    settled = detail.get("RltdDts/IntrBkSttlmDt")
    if settled:
        day = local_date(settled, "RltdDts/IntrBkSttlmDt")
        row["settlement_date"] = day.toordinal() - _EPOCH_DAY
    event_at = instant(detail.get("RltdDts/TxDtTm") or detail.get("RltdDts/AccptncDtTm"))
    if event_at is not None:
        row["event_at"] = event_at
