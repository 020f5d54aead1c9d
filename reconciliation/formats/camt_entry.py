"""One camt entry (``Ntry``) and its details (``TxDtls``): what the elements say, as plain values.

Reads every message version by local names: status, dates and parties became choices in version 7, charges moved under
``Rcrd`` in version 4, the amount of a detail moved out of ``AmtDtls`` in version 3. Nothing is computed here.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from reconciliation.formats.camt_values import (
    LOCAL,
    Amount,
    child_text,
    descend,
    path_of,
    reference,
    refused,
    text_of,
)
from reconciliation.formats.xml_stream import Element

_NO_AMOUNT: Final[Amount] = (None, None)


@dataclass(frozen=True, slots=True)
class Charge:
    """One charge record: included in the entry or not."""

    amount: Amount
    indicator: str | None
    included: bool


@dataclass(slots=True)
class Movement:
    """What an entry and a detail have in common; texts as written, None where absent."""

    field_length_max: int
    amount: Amount | None = None
    indicator: str | None = None
    servicer_ref: str | None = None
    domain_code: str | None = None
    proprietary_code: str | None = None
    instructed: Amount = _NO_AMOUNT
    transacted: Amount = _NO_AMOUNT
    rate: str | None = None
    charges: list[Charge] = field(default_factory=list)
    additional: str | None = None


@dataclass(slots=True)
class Detail(Movement):
    """One transaction below an entry."""

    references: dict[str, str | None] = field(default_factory=dict)
    parties: dict[str, str | None] = field(default_factory=dict)
    remittance: list[str | None] = field(default_factory=list)
    creditor_references: list[str] = field(default_factory=list)
    returned: bool = False
    event_text: str | None = None


@dataclass(slots=True)
class Entry(Movement):
    """One movement on the account. ``batches`` has, per ``NtryDtls``, the batch reference and its number of details."""

    entry_ref: str | None = None
    status: str | None = None
    reversal: bool = False
    booking_text: str | None = None
    value_text: str | None = None
    batches: list[tuple[str | None, int]] = field(default_factory=list)


def read_detail(element: Element, field_length_max: int) -> Detail:
    """Values of one ``TxDtls``."""
    detail = Detail(field_length_max)
    for child in element:
        reader = _DETAIL_READERS.get(LOCAL[child.tag])
        if reader is not None:
            reader(detail, child)
    return detail


def read_entry(element: Element, field_length_max: int) -> Entry:
    """Values of one ``Ntry``, its details apart."""
    entry = Entry(field_length_max)
    for child in element:
        reader = _ENTRY_READERS.get(LOCAL[child.tag])
        if reader is not None:
            reader(entry, child)
    return entry


def amount_of(element: Element, field_length_max: int) -> Amount:
    """Text and currency of an amount element."""
    return text_of(element, field_length_max), element.get("Ccy")


def _amount(movement: Movement, element: Element) -> None:
    _only_once(movement.amount, element)
    movement.amount = amount_of(element, movement.field_length_max)


def _indicator(movement: Movement, element: Element) -> None:
    _only_once(movement.indicator, element)
    movement.indicator = text_of(element, movement.field_length_max) or ""


def _servicer_ref(movement: Movement, element: Element) -> None:
    movement.servicer_ref = reference(text_of(element, movement.field_length_max))


def _additional(movement: Movement, element: Element) -> None:
    movement.additional = text_of(element, movement.field_length_max)


def _bank_transaction_code(movement: Movement, element: Element) -> None:
    for part in element:
        name = LOCAL[part.tag]
        if name == "Domn":
            codes = (("Cd",), ("Fmly", "Cd"), ("Fmly", "SubFmlyCd"))
            found = [child_text(part, path, movement.field_length_max) for path in codes]
            movement.domain_code = "/".join(code for code in found if code) or None
        elif name == "Prtry":
            movement.proprietary_code = child_text(part, ("Cd",), movement.field_length_max)


def _amount_details(movement: Movement, element: Element) -> None:
    for part in element:
        name = LOCAL[part.tag]
        for child in part:
            child_name = LOCAL[child.tag]
            if child_name == "Amt" and name == "InstdAmt":
                movement.instructed = amount_of(child, movement.field_length_max)
            elif child_name == "Amt" and name == "TxAmt":
                movement.transacted = amount_of(child, movement.field_length_max)
            elif child_name == "CcyXchg" and movement.rate is None:
                movement.rate = child_text(child, ("XchgRate",), movement.field_length_max)


def _charges(movement: Movement, element: Element) -> None:
    """Records with their own mark of inclusion (version 4 on); older charges do not say whether they are included."""
    for record in element:
        if LOCAL[record.tag] != "Rcrd":
            continue
        amount = descend(record, ("Amt",))
        if amount is not None:
            movement.charges.append(
                Charge(
                    amount_of(amount, movement.field_length_max),
                    child_text(record, ("CdtDbtInd",), movement.field_length_max),
                    child_text(record, ("ChrgInclInd",), movement.field_length_max) in {"true", "1"},
                )
            )


def _references(detail: Detail, element: Element) -> None:
    for child in element:
        name = LOCAL[child.tag]
        if name != "Prtry":  # the only one with parts of its own, and of no known meaning
            detail.references[name] = reference(text_of(child, detail.field_length_max))
    detail.servicer_ref = detail.references.get("AcctSvcrRef")


def _parties(detail: Detail, element: Element) -> None:
    for child in element:
        role = LOCAL[child.tag]
        if role in {"Dbtr", "Cdtr", "UltmtDbtr", "UltmtCdtr"}:
            detail.parties[role] = _party_name(child, detail.field_length_max)


def _party_name(party: Element, field_length_max: int) -> str | None:
    for child in party:
        name = LOCAL[child.tag]
        if name == "Nm":
            return text_of(child, field_length_max)
        if name == "Pty":
            return child_text(child, ("Nm",), field_length_max)
        if name == "Agt":
            return child_text(child, ("FinInstnId", "Nm"), field_length_max)
    return None


def _remittance(detail: Detail, element: Element) -> None:
    for child in element:
        name = LOCAL[child.tag]
        if name == "Ustrd":
            detail.remittance.append(text_of(child, detail.field_length_max))
        elif name == "Strd":
            creditor_reference = child_text(child, ("CdtrRefInf", "Ref"), detail.field_length_max)
            creditor_reference = creditor_reference or child_text(
                child, ("CdtrRefInf", "CdtrRef"), detail.field_length_max
            )
            if creditor_reference:
                detail.creditor_references.append(creditor_reference)
            detail.remittance += [
                text_of(part, detail.field_length_max) for part in child if LOCAL[part.tag] == "AddtlRmtInf"
            ]


def _returned(detail: Detail, element: Element) -> None:
    detail.returned = True
    detail.remittance += [
        text_of(part, detail.field_length_max) for part in element if LOCAL[part.tag] == "AddtlInf"
    ]


def _related_dates(detail: Detail, element: Element) -> None:
    for name in ("TxDtTm", "AccptncDtTm"):
        detail.event_text = detail.event_text or child_text(element, (name,), detail.field_length_max)


def _entry_ref(entry: Entry, element: Element) -> None:
    entry.entry_ref = reference(text_of(element, entry.field_length_max))


def _status(entry: Entry, element: Element) -> None:
    _only_once(entry.status, element)
    inner = element[0] if len(element) else element
    entry.status = text_of(inner, entry.field_length_max) or ""


def _reversal(entry: Entry, element: Element) -> None:
    text = text_of(element, entry.field_length_max)
    if text not in {"true", "false", "1", "0"}:
        raise refused(
            "structure",
            path_of(element),
            "true or false",
            repr((text or "")[:16]),
            "Ask for a corrected file.",
        )
    entry.reversal = text in {"true", "1"}


def _booking_date(entry: Entry, element: Element) -> None:
    entry.booking_text = date_text(element, entry.field_length_max)


def _value_date(entry: Entry, element: Element) -> None:
    entry.value_text = date_text(element, entry.field_length_max)


def date_text(element: Element, field_length_max: int) -> str | None:
    """Text of a date choice: ``Dt`` or ``DtTm`` below the element."""
    return child_text(element, ("Dt",), field_length_max) or child_text(element, ("DtTm",), field_length_max)


def _details_of_entry(entry: Entry, element: Element) -> None:
    """The batch that a group of details belongs to; the details themselves were read at their own end tags."""
    count, payment_information, message = 0, None, None
    for child in element:
        name = LOCAL[child.tag]
        if name == "TxDtls":
            count += 1
        elif name == "Btch":
            payment_information = reference(child_text(child, ("PmtInfId",), entry.field_length_max))
            message = reference(child_text(child, ("MsgId",), entry.field_length_max))
    entry.batches.append((payment_information or message, count))


def _only_once(seen: object, element: Element) -> None:
    if seen is not None:
        raise refused(
            "structure",
            path_of(element),
            "one element",
            "a second one",
            "Which one counts cannot be known; ask for a corrected file.",
        )


_MOVEMENT_READERS: Final[dict[str, Callable[..., None]]] = {
    "Amt": _amount,
    "CdtDbtInd": _indicator,
    "BkTxCd": _bank_transaction_code,
    "AmtDtls": _amount_details,
    "Chrgs": _charges,
}
_DETAIL_READERS: Final[dict[str, Callable[[Detail, Element], None]]] = _MOVEMENT_READERS | {
    "Refs": _references,
    "RltdPties": _parties,
    "RmtInf": _remittance,
    "RtrInf": _returned,
    "RltdDts": _related_dates,
    "AddtlTxInf": _additional,
}
_ENTRY_READERS: Final[dict[str, Callable[[Entry, Element], None]]] = _MOVEMENT_READERS | {
    "NtryRef": _entry_ref,
    "Sts": _status,
    "RvslInd": _reversal,
    "BookgDt": _booking_date,
    "ValDt": _value_date,
    "AcctSvcrRef": _servicer_ref,
    "NtryDtls": _details_of_entry,
    "AddtlNtryInf": _additional,
}
