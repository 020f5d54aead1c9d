"""Builds small MT940, MT942 and MT950 files for tests; shares nothing with the readers but the public types."""

from dataclasses import replace
from io import BytesIO

import pytest

from reconciliation.errors import RefusedFile
from reconciliation.formats import mt940
from reconciliation.formats.canonical import Format, ReadOptions, Statement, WholeDelivery, read_whole
from tests.reconciliation.formats.camt_builder import OPTIONS

ACCOUNT = "NL13TEST0123456789"
ALL_WAIVED = replace(OPTIONS, waived=frozenset({"balance", "control_total", "sequence"}))


def message(
    *fields: str,
    opening: str = ":60F:C261115EUR100,00",
    closing: str = ":62F:C261116EUR125,00",
    number: str = "7/1",
    account: str = ACCOUNT,
    reference: str = "REF1",
) -> str:
    """One bare message. The default balances are those of one credit of 25.00."""
    head = [f":20:{reference}", f":25:{account}", f":28C:{number}", opening]
    return "\n".join([*head, *fields, closing]) + "\n"


def interim(*fields: str, head: str = ":34F:EUR0,", number: str = "7/1", sums: str = "") -> str:
    """One bare MT942 with its end mark."""
    lines = [":20:INTRA1", f":25:{ACCOUNT}", f":28C:{number}", head, ":13D:2611161330+0100", *fields]
    return "\n".join([*lines, *([sums] if sums else []), "-"]) + "\n"


def wrapped(bare: str, message_type: str = "940", trailer: str = "{5:{CHK:123456789ABC}}") -> str:
    """A message in its envelope."""
    return (
        f"{{1:F01TESTNL2AXXXX0000000000}}{{2:I{message_type}TESTNL2AXXXXN}}{{4:\n"
        f"{bare.removesuffix(chr(10)).removesuffix('-').removesuffix(chr(10))}\n-}}{trailer}\n"
    )


def read(
    content: str | bytes, reader: Format = mt940, options: ReadOptions = OPTIONS, **settings: str
) -> WholeDelivery:
    data = content.encode() if isinstance(content, str) else content
    return read_whole(reader, BytesIO(data), replace(options, settings=settings))


def refusal(content: str | bytes, reader: Format = mt940, options: ReadOptions = OPTIONS) -> RefusedFile:
    with pytest.raises(RefusedFile) as caught:
        read(content, reader, options)
    return caught.value


def line(content: str | bytes, reader: Format = mt940, **settings: str) -> dict[str, object]:
    """The only line of a file."""
    (only,) = read(content, reader, **settings).lines.to_pylist()
    return dict(only)


def entry(first: str, narrative: str | None = None, *, minor: int = 2500) -> dict[str, object]:
    """The line of a statement with this one entry, whose effect on the balance of 100.00 EUR is given."""
    fields = [f":61:{first}"] + ([f":86:{narrative}"] if narrative is not None else [])
    due = 10_000 + minor
    closing = f":62F:{'C' if due >= 0 else 'D'}261116EUR{abs(due) // 100},{abs(due) % 100:02d}"
    return line(message(*fields, closing=closing))


def statements(content: str | bytes, reader: Format = mt940) -> tuple[Statement, ...]:
    return read(content, reader).parsed.statements
