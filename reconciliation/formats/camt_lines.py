"""The columns of one line of a camt message, from its entry (``Ntry``) and at most one of its details (``TxDtls``).

Law: the direction is ``CdtDbtInd`` alone; a reversal mark is carried, never applied. References, texts and amounts come
from the level that states them, the detail first.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
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
from reconciliation.formats.camt_tree import Amount, Tree, below, text_at
from reconciliation.formats.camt_values import instant, local_date
from reconciliation.formats.canonical import ReadOptions
from reconciliation.formats.notes import Notes
from reconciliation.formats.values import reference, refused, shown

_STATUSES: Final = {"BOOK": "booked", "PDNG": "pending", "INFO": "info", "FUTR": "expected"}


@dataclass(slots=True)
class Entry:
    """One ``Ntry``, its details apart."""

    tree: Tree
    shared: dict[str, Any]  # columns that all its lines have
    status: str
    sign: int
    total_minor: int
    asset: str
    servicer_ref: str | None
    undoes: bool  # marked as a reversal: debtor and creditor are those of the original
    codes: tuple[str | None, str | None]


def entry_of(
    tree: Tree,
    *,
    shared: dict[str, Any],
    day: Callable[[bool], date | None],
    notes: Notes,
    place: str,
) -> Entry:
    """The entry that a tree of ``Ntry`` says. ``day`` is the day of its statement, if that is certain enough for
    a booked one, for entries that state none."""
    amount: Amount | None = tree.get("Amt")
    if amount is None:
        raise refused("amount", "Amt", "the amount of the entry", "none")
    sign = sign_of(tree.get("CdtDbtInd"), "Ntry")
    total_minor = sign * unsigned_minor(amount, "Amt")
    status = _status_of(tree, notes, place)
    valued = _date_text(tree, "ValDt")
    booked = _date_text(tree, "BookgDt")
    reversal = _flag(tree, "RvslInd")
    shared["status"] = status
    shared["asset"] = amount[1]
    shared["reversal"] = reversal
    value_date = local_date(valued, "ValDt") if valued else None
    shared["value_date"] = value_date
    if booked is not None:
        shared["booking_date"] = local_date(booked, "BookgDt")
    else:
        shared["booking_date"] = _day_without_booking(day(status == "booked"), value_date, notes, place)
    return Entry(
        tree=tree,
        shared=shared,
        status=status,
        sign=sign,
        total_minor=total_minor,
        asset=amount[1] or "",
        servicer_ref=reference(text_at(tree, "AcctSvcrRef")),
        undoes=reversal,
        codes=_codes(tree),
    )


def line_of(
    entry: Entry, detail: Tree | None, line_minor: int, options: ReadOptions, *, alone: bool
) -> dict[str, Any]:
    """Columns that are read alike for a leaf, a single detail and an entry without details."""
    tokens = options.card_tokens
    row = dict(entry.shared)
    row["amount_minor"] = line_minor
    raises = line_minor > 0 or (line_minor == 0 and entry.sign > 0)
    codes = entry.codes
    additional = text_at(entry.tree, "AddtlNtryInf")
    card = below(entry.tree, "CardTx")
    returned = False
    own_ref = None
    if detail is not None:
        if "BkTxCd" in detail:
            own_codes = _codes(detail)
            codes = own_codes if own_codes != (None, None) else codes
        if "RtrInf" in detail:
            returned = True
            row["reason_code"] = reason_of(detail)
        card = below(detail, "CardTx") or card
        undoes = entry.undoes or returned
        own_ref = add_references(row, detail, card, undoes=undoes)
        add_counterparty(row, detail, "Dbtr" if raises != undoes else "Cdtr", tokens)
        if "RltdDts" in detail:
            _add_dates(row, below(detail, "RltdDts"))
        named = row.get("ref_end_to_end") is not None
        row["text"] = text_of(detail, additional if alone else None, tokens, named=named)
        source = detail if "AmtDtls" in detail else entry.tree if alone else detail
    else:
        if card:
            add_references(row, {}, card, undoes=False)
        row["text"] = text_of({}, additional, tokens, named=True)
        source = entry.tree
    if "AmtDtls" in source:
        add_exchange(row, source, line_minor, entry.asset, raises=raises)
    charged = detail if detail is not None and "Chrgs" in detail else entry.tree if alone else None
    if charged is not None and "Chrgs" in charged:
        add_charges(row, charged, line_minor, entry.asset)
    if card:
        add_card(row, card, tokens)
    row["native_id"] = own_ref or (entry.servicer_ref if alone else None)
    row["ref_servicer"] = own_ref or entry.servicer_ref
    row["kind"] = kind_of(codes[0], codes[1], returned=returned, raises=raises)
    row["type_code"] = codes[0] or codes[1]
    return row


def _status_of(tree: Tree, notes: Notes, place: str) -> str:
    stated = tree.get("Sts")
    if stated is None:
        notes.add("entries without status, read as booked", place)
        return "booked"
    if isinstance(stated, dict):
        stated = text_at(stated, "Cd") or text_at(stated, "Prtry") or ""
    status = _STATUSES.get(stated)
    if status is None:
        raise refused("structure", "Sts", "BOOK, PDNG, INFO or FUTR", shown(stated))
    return status


def _date_text(tree: Tree, name: str) -> str | None:
    """Text of a date choice, ``Dt`` or ``DtTm``."""
    choice = tree.get(name)
    if choice.__class__ is not dict:
        return None
    return text_at(choice, "Dt") or text_at(choice, "DtTm")


def _day_without_booking(day: date | None, value_date: date | None, notes: Notes, place: str) -> date:
    notes.add("entries without booking date, dated by their statement or value date", place)
    known = day or value_date
    if known is None:
        raise refused("date", "BookgDt", "a booking date", "none, and no value date")
    return known


def _flag(tree: Tree, name: str) -> bool:
    if name not in tree:
        return False
    text = text_at(tree, name)
    if text not in {"true", "false", "1", "0"}:
        raise refused("structure", name, "true or false", shown(text))
    return text in {"true", "1"}


def _codes(tree: Tree) -> tuple[str | None, str | None]:
    """Domain code as ``domain/family/sub-family``, and the proprietary code."""
    code = below(tree, "BkTxCd")
    if not code:
        return None, None
    domain = below(code, "Domn")
    stated = None
    if domain:
        family = below(domain, "Fmly")
        parts = (text_at(domain, "Cd"), text_at(family, "Cd"), text_at(family, "SubFmlyCd"))
        stated = "/".join(filter(None, parts)) or None
    proprietary = below(code, "Prtry")
    return stated, text_at(proprietary, "Cd") if proprietary else None


def _add_dates(row: dict[str, Any], dates: Tree) -> None:
    settled = text_at(dates, "IntrBkSttlmDt")
    if settled:
        row["settlement_date"] = local_date(settled, "RltdDts/IntrBkSttlmDt")
    event_at: datetime | None = instant(text_at(dates, "TxDtTm") or text_at(dates, "AccptncDtTm"))
    if event_at is not None:
        row["event_at"] = event_at
