"""The columns of one line of a camt message, from its entry (``Ntry``) and at most one of its details (``TxDtls``).

Law: the direction is ``CdtDbtInd`` alone; a reversal mark is carried, never applied. References, texts and amounts come
from the level that states them, the detail first.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from reconciliation.formats.bank_transaction_code import kind_of
from reconciliation.formats.camt_fields import (
    add_card,
    add_counterparty,
    add_references,
    reason_of,
    text_of,
)
from reconciliation.formats.camt_money import add_charges, add_exchange, sign_of, unsigned_minor
from reconciliation.formats.camt_parts import Parts, amount_at
from reconciliation.formats.camt_values import instant, local_date
from reconciliation.formats.canonical import ReadOptions
from reconciliation.formats.notes import Notes
from reconciliation.formats.values import reference, refused, shown

_NO_CODES: Final[tuple[str | None, str | None]] = (None, None)
_STATUSES: Final = {"BOOK": "booked", "PDNG": "pending", "INFO": "info", "FUTR": "expected"}


@dataclass(slots=True)
class Entry:
    """One ``Ntry``, its details apart."""

    parts: Parts
    shared: dict[str, Any]  # columns that all its lines have
    status: str
    sign: int
    total_minor: int
    asset: str
    servicer_ref: str | None
    undoes: bool  # marked as a reversal: debtor and creditor are those of the original
    codes: tuple[str | None, str | None]


def entry_of(
    parts: Parts,
    *,
    shared: dict[str, Any],
    day: Callable[[bool], date | None],
    notes: Notes,
    place: str,
) -> Entry:
    """The entry that the parts of a ``Ntry`` say. ``day`` is the day of its statement, if that is certain enough for
    a booked one, for entries that state none.
    """
    if "Amt" not in parts:
        raise refused("amount", "Amt", "the amount of the entry", "none")
    amount = amount_at(parts, "Amt")
    sign = sign_of(parts.get("CdtDbtInd"), "Ntry")
    total_minor = sign * unsigned_minor(amount, "Amt")
    get = parts.get
    status = _status_of(parts, notes, place)
    valued = get("ValDt/Dt") or get("ValDt/DtTm")
    booked = get("BookgDt/Dt") or get("BookgDt/DtTm")
    value_date = local_date(valued, "ValDt") if valued else None
    reversal = "RvslInd" in parts and _flag(parts["RvslInd"])
    shared["status"] = status
    shared["asset"] = amount[1]
    shared["reversal"] = reversal
    shared["value_date"] = value_date
    if booked:
        shared["booking_date"] = local_date(booked, "BookgDt")
    else:
        shared["booking_date"] = _day_without_booking(day(status == "booked"), value_date, notes, place)
    return Entry(
        parts=parts,
        shared=shared,
        status=status,
        sign=sign,
        total_minor=total_minor,
        asset=amount[1] or "",
        servicer_ref=reference(get("AcctSvcrRef")),
        undoes=reversal,
        codes=_codes(parts) if "BkTxCd" in parts else _NO_CODES,
    )


def line_of(
    entry: Entry, detail: Parts | None, line_minor: int, options: ReadOptions, *, alone: bool
) -> dict[str, Any]:
    """Columns that are read alike for a leaf, a single detail and an entry without details."""
    tokens = options.card_tokens
    whole = entry.parts
    row = dict(entry.shared)
    row["amount_minor"] = line_minor
    raises = line_minor > 0 or (line_minor == 0 and entry.sign > 0)
    codes = entry.codes
    additional = whole.get("AddtlNtryInf") if alone else None
    returned = False
    own_ref = None
    if detail is None:
        card = source = charged = whole
        if "CardTx" in whole:
            add_references(row, {}, whole, undoes=False)
        row["text"] = text_of({}, additional, tokens, named=True)
    else:
        card = detail if "CardTx" in detail else whole
        source = detail if "AmtDtls" in detail or not alone else whole
        charged = detail if "Chrgs" in detail or not alone else whole
        if "BkTxCd" in detail:
            own_codes = _codes(detail)
            codes = own_codes if own_codes != _NO_CODES else codes
        undoes = entry.undoes
        if "RtrInf" in detail:
            returned = undoes = True
            row["reason_code"] = reason_of(detail)
        own_ref = add_references(row, detail, card, undoes=undoes)
        add_counterparty(row, detail, "Dbtr" if raises != undoes else "Cdtr", tokens)
        if "RltdDts" in detail:
            _add_dates(row, detail)
        row["text"] = text_of(detail, additional, tokens, named="ref_end_to_end" in row)
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


def _status_of(parts: Parts, notes: Notes, place: str) -> str:
    stated = parts.get("Sts") or parts.get("Sts/Cd") or parts.get("Sts/Prtry")
    if stated is None and "Sts" not in parts:
        notes.add("entries without status, read as booked", place)
        return "booked"
    status = _STATUSES.get(stated or "")
    if status is None:
        raise refused("structure", "Sts", "BOOK, PDNG, INFO or FUTR", shown(stated))
    return status


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
        row["settlement_date"] = local_date(settled, "RltdDts/IntrBkSttlmDt")
    event_at = instant(detail.get("RltdDts/TxDtTm") or detail.get("RltdDts/AccptncDtTm"))
    if event_at is not None:
        row["event_at"] = event_at
