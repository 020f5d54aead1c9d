"""NACHA batch headers (5): who pays or collects, what for, and when it settles.

Law: the settlement day that the operator wrote decides the booking date, in the year nearest to the file's; where it is
not filled yet (files on their way to the operator) the effective date, else the day the file was made.
"""

from datetime import date
from typing import Final

from ledger_core.errors import UnknownAssetError
from ledger_core.money import exponent_of
from reconciliation.formats.nacha_parts.codes import ENTRY_CLASSES, SERVICE_CLASSES
from reconciliation.formats.nacha_parts.entries import ASSET, Batch
from reconciliation.formats.nacha_parts.records import optional_day, settlement_day
from reconciliation.formats.notes import Notes
from reconciliation.formats.values import refused, shown

_CONVERTED: Final = frozenset({"FV", "VF"})  # one of the two amounts is fixed, the other follows a rate
_RATE_FOLLOWS: Final = "1"  # foreign exchange reference indicator: the reference is the rate


def read_batch(record_no: int, text: str, *, reference: str, near: date, notes: Notes) -> Batch:
    """What a 5 record says. Codes ``date``, ``structure``."""
    place = f"record {record_no} (batch header 5)"
    service_class, entry_class = text[1:4], text[50:53]
    if service_class not in SERVICE_CLASSES:
        notes.add(f"service class {shown(service_class)}, which the standard does not have", place)
    if not entry_class.strip().isalpha() or len(entry_class.strip()) != 3:
        raise refused("structure", f"{place}, entry class", "three letters such as PPD", shown(entry_class))
    if entry_class not in ENTRY_CLASSES:
        notes.add(f"entry class {shown(entry_class)}, read like PPD", place)
    effective = optional_day(text[69:75], f"{place}, effective entry date")
    settled = settlement_day(text[75:78], effective or near, f"{place}, settlement date")
    if effective is None and settled is None:
        notes.add("batches without effective and settlement date, dated by their file", place)
    number = text[87:94]
    description = text[53:63].strip()
    international = entry_class == "IAT" or text[4:10] == "IATCOR"
    foreign_asset, fx_rate = _exchange(text) if international else (None, None)
    discretionary = "" if international else text[20:40].strip()
    return Batch(
        number=number,
        entry_class=entry_class,
        service_class=service_class,
        company_name=None if international else text[4:20].strip() or None,
        company_id=text[40:50].strip(),
        description=description.upper(),
        text=tuple(one for one in (description, discretionary) if one),
        booking_day=settled or effective or near,
        effective_day=effective,
        settlement_day=settled,
        odfi=text[79:87],
        ref=f"{reference}/{number.strip()}",
        change=entry_class == "COR",
        international=international,
        foreign_asset=foreign_asset,
        fx_rate=fx_rate,
    )


def _exchange(text: str) -> tuple[str | None, str | None]:
    """Currency other than the dollar of an international batch that is converted, and the rate if it states one."""
    if text[20:22] not in _CONVERTED:
        return None, None
    others = [asset for asset in (text[63:66], text[66:69]) if asset != ASSET]
    if len(others) != 1:
        return None, None
    try:
        exponent_of(others[0])
    except UnknownAssetError:
        return None, None
    rate = text[23:38].strip() if text[22] == _RATE_FOLLOWS else ""
    return others[0], rate or None
