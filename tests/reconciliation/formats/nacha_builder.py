"""Builds small NACHA files for the reader's tests; shares nothing with the reader but the public types."""

from dataclasses import dataclass
from io import BytesIO

import pytest

from reconciliation.errors import RefusedFile
from reconciliation.formats import nacha
from reconciliation.formats.canonical import ReadOptions, WholeDelivery, read_whole
from tests.reconciliation.formats.camt_builder import OPTIONS

ODFI = "09100001"
NINES = "9" * 94


@dataclass(frozen=True, slots=True)
class Part:
    """Records of a batch, with what its control record states."""

    records: tuple[str, ...]
    counted: int
    routing: int
    debit_minor: int
    credit_minor: int


def fitted(record: str) -> str:
    assert len(record) <= 94, record
    return record.ljust(94)


def entry(
    code: str = "27",
    amount: int = 2500,
    *,
    number: int = 1,
    identification: str = "INV-7",
    name: str = "ANN BUYER",
    addenda: str = "0",
    routing: str = "021000021",
    account: str = "123456789",
    trace: str = "",
) -> str:
    return fitted(
        f"6{code}{routing}{account:<17}{amount:010d}{identification:<15}{name:<22}  {addenda}"
        f"{trace or f'{ODFI}{number:07d}'}"
    )


def remittance(text: str, *, number: int = 1, sequence: int = 1) -> str:
    return fitted(f"705{text:<80}{sequence:04d}{number:07d}")


def returned(reason: str, original: str, *, rest: str = "", trace: str = "021000020000001") -> str:
    """A 99 or, for a change code, a 98: reason, original trace, six blanks, original institution, the rest."""
    kind = "98" if reason.startswith("C") else "99"
    return fitted(f"7{kind}{reason}{original:<15}{'':6}{'02100002'}{rest:<44}{trace}")


def header(
    *,
    service: str = "200",
    entry_class: str = "PPD",
    company: str = "SHOP",
    discretionary: str = "",
    company_id: str = "1234567890",
    description: str = "ORDERS",
    effective: str = "261117",
    settled: str = "   ",
    number: int = 1,
    start: str | None = None,
) -> str:
    names = f"{company:<16}{discretionary:<20}" if start is None else start
    return fitted(
        f"5{service}{names}{company_id:<10}{entry_class}{description:<10}{'261116'}{effective:<6}{settled}1{ODFI}{number:07d}"
    )


def batch(*records: str, head: str | None = None, number: int = 1, **changes: int) -> Part:
    """A batch with its control record; ``changes`` are figures that it states instead of the right ones."""
    head = head or header(number=number)
    entries = [record for record in records if record[0] == "6"]
    advice = head[50:53] == "ADV"
    amounts = {True: 0, False: 0}
    for record in entries:
        credit = record[2] in "1357" if advice else record[2] in "1234"
        amounts[credit] += int(record[27:39] if advice else record[29:39])
    counted = changes.get("counted", len(records))
    routing = changes.get("routing", sum(int(record[3:11]) for record in entries) % 10**10)
    debit_minor = changes.get("debit_minor", amounts[False])
    credit_minor = changes.get("credit_minor", amounts[True])
    digits = 20 if advice else 12
    company = "" if advice else f"{head[40:50]}"
    control = (
        f"8{head[1:4]}{counted:06d}{routing:010d}{debit_minor:0{digits}d}{credit_minor:0{digits}d}{company}"
    )
    records_all = (head, *records, fitted(f"{control:<79}{head[79:94]}"))
    return Part(records_all, counted, routing, debit_minor, credit_minor)


def delivery(
    *batches: Part,
    filled: bool = True,
    first: str = "101 09100001912345678902611160600A094101BANK                   SHOP",
    advice: bool = False,
    **changes: int,
) -> str:
    """A file, filled with nines to a multiple of ten records; ``changes`` as for a batch."""
    records = [fitted(first), *(record for part in batches for record in part.records)]
    blocks = changes.get("blocks", -(-(len(records) + 1) // 10))
    counted = changes.get("counted", sum(part.counted for part in batches))
    routing = changes.get("routing", sum(part.routing for part in batches) % 10**10)
    debit_minor = changes.get("debit_minor", sum(part.debit_minor for part in batches))
    credit_minor = changes.get("credit_minor", sum(part.credit_minor for part in batches))
    digits = 20 if advice else 12
    records.append(
        fitted(
            f"9{changes.get('batches', len(batches)):06d}{blocks:06d}{counted:08d}{routing:010d}"
            f"{debit_minor:0{digits}d}{credit_minor:0{digits}d}"
        )
    )
    while filled and len(records) % 10:
        records.append(NINES)
    return "\n".join(records) + "\n"


GOOD = delivery(
    batch(entry(), entry("22", 700, number=2, addenda="1"), remittance("REFUND OF INV-6", number=2)),
    batch(entry("37", 10, number=3), number=2),
)


def read(content: str | bytes, options: ReadOptions = OPTIONS) -> WholeDelivery:
    return read_whole(nacha, BytesIO(content.encode() if isinstance(content, str) else content), options)


def refusal(content: str | bytes, options: ReadOptions = OPTIONS) -> RefusedFile:
    with pytest.raises(RefusedFile) as caught:
        read(content, options)
    return caught.value
