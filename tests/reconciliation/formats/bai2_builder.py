"""Builds small BAI2 files for the reader's tests; shares nothing with the reader but the public types."""

from dataclasses import dataclass
from io import BytesIO

import pytest

from reconciliation.errors import RefusedFile
from reconciliation.formats import bai2
from reconciliation.formats.canonical import ReadOptions, WholeDelivery, read_whole
from tests.reconciliation.formats.camt_builder import OPTIONS


@dataclass(frozen=True, slots=True)
class Part:
    """Physical lines with the control total that their trailer states."""

    lines: tuple[str, ...]
    total: int


def movement(
    code: str = "165",
    amount: str = "2500",
    *,
    funds: str = "Z",
    bank: str = "B1",
    customer: str = "C1",
    text: str = "Widgets",
) -> str:
    return f"16,{code},{amount},{funds},{bank},{customer},{text}/"


def account(
    *lines: str,
    number: str = "12345",
    currency: str = "USD",
    amounts: str = "010,10000,,,015,12500,,",
    total: int | None = None,
    records: int | None = None,
) -> Part:
    """An account; its total is worked out where amounts stand in plain places."""
    inner = [part for line in (f"03,{number},{currency},{amounts}/", *lines) for part in line.split("\n")]
    if total is None:
        figures = amounts.split(",")[1::4] + [line.split(",")[2] for line in lines if line.startswith("16,")]
        total = sum(int(figure) for figure in figures if figure)
    return Part((*inner, f"49,{total},{records or len(inner) + 1}/"), total)


def group(
    *accounts: Part,
    status: str = "1",
    day: str = "261115",
    time: str = "2400",
    currency: str = "USD",
    modifier: str = "2",
    originator: str = "BANK",
) -> Part:
    inner = [f"02,US,{originator},{status},{day},{time},{currency},{modifier}/"]
    inner += [line for part in accounts for line in part.lines]
    total = sum(part.total for part in accounts)
    return Part((*inner, f"98,{total},{len(accounts)},{len(inner) + 1}/"), total)


def delivery(*groups: Part, header: str = "01,BANK,US,261116,0600,7,80,,2/") -> str:
    inner = [header, *(line for part in groups for line in part.lines)]
    total = sum(part.total for part in groups)
    return "\n".join([*inner, f"99,{total},{len(groups)},{len(inner) + 1}/", ""])


def of_lines(*lines: str, **of_account: object) -> str:
    """A file with one group and one account."""
    return delivery(group(account(*lines, **of_account)))  # type: ignore[arg-type]


GOOD = of_lines(
    movement(),
    movement("475", "700", bank="B2", customer="1001", text="Cheque"),
    amounts="010,10000,,,015,11800,,",
)


def read(content: str | bytes, options: ReadOptions = OPTIONS) -> WholeDelivery:
    return read_whole(bai2, BytesIO(content.encode() if isinstance(content, str) else content), options)


def refusal(content: str | bytes, options: ReadOptions = OPTIONS) -> RefusedFile:
    with pytest.raises(RefusedFile) as caught:
        read(content, options)
    return caught.value
