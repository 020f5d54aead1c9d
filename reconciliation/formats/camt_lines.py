"""Turns a booked camt entry into external lines: its details where they explain it to the last unit, else itself.

Law: the lines of an entry always sum to the entry, so the balance proof over entries is a proof over lines. The
direction is ``CdtDbtInd`` alone; a reversal mark is carried, never applied. References, texts and amounts come from the
level that states them, the detail first.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from ledger_core.money import MAX_AMOUNT_MINOR
from reconciliation.formats.bank_transaction_code import kind_of
from reconciliation.formats.camt_entry import Charge, Detail, Entry, Movement
from reconciliation.formats.camt_values import (
    Amount,
    amount_minor,
    instant,
    joined,
    local_date,
    reference,
    refused,
    sign_of,
)
from reconciliation.formats.canonical import LineWriter, ReadOptions

_TEXT_LENGTH_MAX: Final = 4_000  # remittance is 140 characters a piece; the file itself stays the evidence
_RATE: Final = re.compile(r"\d{1,18}(?:\.\d{1,18})?", re.ASCII)
# Whose name is the other side: on an ordinary credit the debtor. Returns and reversals keep the roles of the original.
_COUNTERPARTY: Final = {1: ("Dbtr", "UltmtDbtr"), -1: ("Cdtr", "UltmtCdtr")}


@dataclass(slots=True)
class Notes:
    """Tolerated deviations: how often each was seen and where first."""

    _seen: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add(self, what: str, place: str) -> None:
        """Count one more of ``what``."""
        count, first = self._seen.get(what, (0, place))
        self._seen[what] = (count + 1, first)

    def texts(self) -> tuple[str, ...]:
        """One sentence per deviation, in order of first appearance."""
        return tuple(
            f"{what}: {count} times, first at {first}" for what, (count, first) in self._seen.items()
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryPlace:
    """Where an entry stands and what applies if it states no booking date of its own."""

    statement_no: int
    entry_no: int  # within the file, 1-based: the record number of all its lines
    name: str  # for notes: "statement 1, entry 3"
    statement_date: date | None  # the day a one-day statement is for


@dataclass(frozen=True, slots=True, kw_only=True)
class BookedEntry:
    """An entry that moved the balance."""

    amount_minor: int
    asset: str
    booking_date: date
    line_count: int


def add_lines(
    entry: Entry,
    details: Sequence[Detail],
    place: EntryPlace,
    *,
    writer: LineWriter,
    options: ReadOptions,
    notes: Notes,
) -> BookedEntry:
    """Add the lines of one booked entry. Raises ``RefusedFile`` with a path relative to the entry."""
    if entry.amount is None:
        raise refused(
            "amount", "Amt", "the amount of the entry", "none", "Ask the sender for a corrected file."
        )
    sign = sign_of(entry.indicator, "Ntry")
    total_minor = sign * amount_minor(entry.amount, "Amt")
    asset = entry.amount[1] or ""
    booking_date = _booking_date(entry, place, notes)
    shared = {
        "statement_no": place.statement_no,
        "record_no": place.entry_no,
        "booking_date": booking_date,
        "value_date": local_date(entry.value_text, "ValDt") if entry.value_text else None,
        "asset": asset,
        "reversal": entry.reversal,
    }
    batches = [batch for batch, count in entry.batches for _ in range(count)]
    amounts = _leaf_amounts(details, sign, asset)
    if len(details) > 1 and amounts is not None and sum(amounts) == total_minor:
        for index, (detail, leaf_minor) in enumerate(zip(details, amounts, strict=True)):
            native_id = detail.servicer_ref if detail.servicer_ref != entry.servicer_ref else None
            if native_id is None and entry.servicer_ref is not None:
                native_id = f"{entry.servicer_ref}/{index + 1}"
            writer.add(
                **shared,
                **_fields(entry, detail, leaf_minor, options),
                native_id=native_id,
                batch_ref=batches[index] or detail.references.get("PmtInfId"),
                fee_minor=_fee_minor(detail.charges, asset),
            )
        return BookedEntry(
            amount_minor=total_minor, asset=asset, booking_date=booking_date, line_count=len(details)
        )
    if len(details) > 1:
        notes.add("details that do not add up to their entry, which is kept as one line", place.name)
    only = details[0] if len(details) == 1 else None
    declared = {batch for batch, _ in entry.batches} | {
        detail.references.get("PmtInfId") for detail in details
    }
    declared.discard(None)
    writer.add(
        **shared,
        **_fields(entry, only, total_minor, options),
        native_id=(only.servicer_ref if only else None) or entry.servicer_ref,
        batch_ref=_batch_of(entry, declared),
        fee_minor=_fee_minor((only.charges if only else None) or entry.charges, asset),
    )
    return BookedEntry(amount_minor=total_minor, asset=asset, booking_date=booking_date, line_count=1)


def _booking_date(entry: Entry, place: EntryPlace, notes: Notes) -> date:
    if entry.booking_text is not None:
        return local_date(entry.booking_text, "BookgDt")
    notes.add("entries without booking date, dated by their statement or value date", place.name)
    if place.statement_date is not None:
        return place.statement_date
    if entry.value_text is not None:
        return local_date(entry.value_text, "ValDt")
    raise refused(
        "date", "BookgDt", "a booking date", "none, and no value date", "Ask the sender for a corrected file."
    )


def _leaf_amounts(details: Sequence[Detail], entry_sign: int, asset: str) -> list[int] | None:
    """Signed amounts of all details in the entry's currency, or None if one has none."""
    amounts = []
    for detail in details:
        amount: Amount | None = detail.amount or detail.transacted
        if amount is None or amount[0] is None or amount[1] != asset:
            return None
        sign = entry_sign if detail.indicator is None else sign_of(detail.indicator, "TxDtls")
        amounts.append(sign * amount_minor(amount, "TxDtls/Amt"))
    return amounts


def _batch_of(entry: Entry, declared: set[str | None]) -> str | None:
    """The one payment batch that the whole entry belongs to."""
    batches = {batch for batch, _ in entry.batches if batch is not None}
    if len(batches) == 1:
        return batches.pop()
    return next(iter(declared)) if not batches and len(declared) == 1 else None


def _fields(entry: Entry, detail: Detail | None, line_minor: int, options: ReadOptions) -> dict[str, object]:
    """Columns that are read alike for a leaf, a single detail and an entry without details."""
    source: Movement = detail or entry
    raises = line_minor > 0 or (line_minor == 0 and entry.indicator == "CRDT")
    references = detail.references if detail else {}
    end_to_end = references.get("EndToEndId")
    uetr = references.get("UETR")
    domain, proprietary = source.domain_code, source.proprietary_code
    if domain is None and proprietary is None:
        domain, proprietary = entry.domain_code, entry.proprietary_code
    asset = (entry.amount or (None, None))[1]
    original_minor, original_asset = _original(source, asset) or _original(entry, asset) or (None, None)
    creditor_references = detail.creditor_references if detail else []
    return {
        "amount_minor": line_minor,
        "event_at": instant(detail.event_text) if detail else None,
        "original_amount_minor": None
        if original_minor is None
        else original_minor
        if raises
        else -original_minor,
        "original_asset": original_asset,
        "fx_rate": _rate(source.rate or entry.rate),
        "ref_end_to_end": end_to_end,
        "ref_uetr": uetr.lower() if uetr else None,
        "ref_servicer": source.servicer_ref or entry.servicer_ref,
        "ref_merchant": reference(creditor_references[0]) if len(creditor_references) == 1 else None,
        "counterparty": _counterparty(entry, detail, raises, options),
        "text": _text(entry, detail, end_to_end, options),
        "kind": kind_of(domain, proprietary, returned=bool(detail and detail.returned), raises=raises),
        "type_code": domain or proprietary,
    }


def _original(movement: Movement, asset: str | None) -> tuple[int, str] | None:
    """Amount and currency before conversion, where they differ from the account's."""
    for amount, path in ((movement.instructed, "AmtDtls/InstdAmt"), (movement.transacted, "AmtDtls/TxAmt")):
        if amount[0] is not None and amount[1] is not None and amount[1] != asset:
            return amount_minor(amount, path), amount[1]
    return None


def _rate(text: str | None) -> str | None:
    if text is not None and not _RATE.fullmatch(text):
        raise refused(
            "amount",
            "CcyXchg/XchgRate",
            "a plain decimal number",
            repr(text[:40]),
            "Ask the sender for a corrected file.",
        )
    return text


def _fee_minor(charges: Sequence[Charge], asset: str) -> int:
    """What the entry's amount already contains of charges, positive when it cost us."""
    total_minor = 0
    for charge in charges:
        if charge.included and charge.amount[1] == asset:
            sign = sign_of(charge.indicator or "DBIT", "Chrgs/Rcrd")
            total_minor -= sign * amount_minor(charge.amount, "Chrgs/Rcrd/Amt")
    if abs(total_minor) > MAX_AMOUNT_MINOR:
        raise refused(
            "amount", "Chrgs", "a sum within 64 bits", "more", "Ask the sender for a corrected file."
        )
    return total_minor


def _counterparty(entry: Entry, detail: Detail | None, raises: bool, options: ReadOptions) -> str | None:
    if detail is None or not detail.parties:
        return None
    original_roles = entry.reversal or detail.returned
    roles = _COUNTERPARTY[1 if raises != original_roles else -1]
    name = next((detail.parties[role] for role in roles if detail.parties.get(role)), None)
    return options.card_tokens.masked(name) if name else None


def _text(entry: Entry, detail: Detail | None, end_to_end: str | None, options: ReadOptions) -> str | None:
    """Remittance, creditor references, the bank's words; without end-to-end id the payment's other references."""
    parts: list[str | None] = []
    if detail is not None:
        parts += detail.remittance
        parts += detail.creditor_references
        parts.append(detail.additional)
        if end_to_end is None:
            parts += [detail.references.get(name) for name in ("InstrId", "TxId", "ChqNb", "MndtId")]
    parts.append(entry.additional)
    text = joined(parts)
    return options.card_tokens.masked(text)[:_TEXT_LENGTH_MAX] if text else None
