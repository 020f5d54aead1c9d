"""Builds small PayPal reports with footers that hold; shares nothing with the readers but the public types."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from reconciliation.errors import RefusedFile
from reconciliation.formats import paypal_stl
from reconciliation.formats.canonical import Format, WholeDelivery, read_whole
from tests.reconciliation.formats.camt_builder import OPTIONS

WAIVE_ALL = frozenset({"balance", "control_total", "sequence"})
ACCOUNT = "ACCT7XQ2"
STL_COLUMNS = (
    "Transaction ID",
    "Invoice ID",
    "PayPal Reference ID",
    "PayPal Reference ID Type",
    "Transaction Event Code",
    "Transaction Initiation Date",
    "Transaction Completion Date",
    "Transaction Debit or Credit",
    "Gross Transaction Amount",
    "Gross Transaction Currency",
    "Fee Debit or Credit",
    "Fee Amount",
    "Fee Currency",
    "Custom Field",
    "Consumer ID",
    "Payment Tracking ID",
    "Store ID",
    "Bank Reference ID",
)
TRR_COLUMNS = (
    *STL_COLUMNS[:13],
    "Transactional Status",
    "Transaction Subject",
    "Transaction Note",
    "Payer's Account ID",
    "Item Name",
    "Custom Field",
    "Consumer ID",
    "First Name",
    "Last Name",
    "Consumer Business Name",
    "Payment Tracking ID",
)

Movement = dict[str, str]


def movement(
    gross: str = "5200",
    direction: str = "CR",
    *,
    asset: str = "USD",
    fee: str = "",
    fee_direction: str = "DR",
    code: str = "T0006",
    identification: str = "TX1",
    completed: str = "2026/11/16 10:00:00 -0800",
    **more: str,
) -> Movement:
    """One body row by column name; ``more`` names other columns with underscores for blanks."""
    row = {
        "Transaction ID": identification,
        "Transaction Event Code": code,
        "Transaction Initiation Date": completed,
        "Transaction Completion Date": completed,
        "Transaction Debit or Credit": direction,
        "Gross Transaction Amount": gross,
        "Gross Transaction Currency": asset,
        "Fee Debit or Credit": fee_direction if fee else "",
        "Fee Amount": fee,
        "Fee Currency": asset if fee else "",
    }
    return row | {name.replace("_", " "): value for name, value in more.items()}


GOOD = (
    movement(
        "5200", fee="201", identification="P1", Invoice_ID="order-1", Custom_Field="c-1", Consumer_ID="PAYER"
    ),
    movement(
        "1500",
        "DR",
        fee="30",
        fee_direction="CR",
        code="T1107",
        identification="R1",
        PayPal_Reference_ID="P1",
        PayPal_Reference_ID_Type="TXN",
    ),
    movement("2000", "DR", code="T0400", identification="W1", Bank_Reference_ID="BANK77"),
    movement("900", asset="EUR", identification="P2"),
)


def _total(rows: Sequence[Movement], asset: str, column: str, direction_column: str, direction: str) -> int:
    return sum(
        int(row[column] or 0)
        for row in rows
        if row["Gross Transaction Currency"] == asset and row[direction_column] == direction
    )


def footer(kind: str, rows: Sequence[Movement], asset: str, *, opening: int = 10_000) -> list[str]:
    gross = "Gross Transaction Amount", "Transaction Debit or Credit"
    fee = "Fee Amount", "Fee Debit or Credit"
    totals = [_total(rows, asset, *column, way) for column in (gross, fee) for way in ("CR", "DR")]
    closing = opening + totals[0] - totals[1] + totals[2] - totals[3]
    balances = [
        ("CR" if minor >= 0 else "DR", str(abs(minor)))
        for minor in (opening, closing, opening, closing, 0, 0)
    ]
    count = sum(row["Gross Transaction Currency"] == asset for row in rows)
    return [kind, asset, *map(str, totals), *(part for balance in balances for part in balance), str(count)]


def stl(
    rows: Sequence[Movement] = GOOD,
    *,
    columns: Sequence[str] = STL_COLUMNS,
    wrapped: bool = True,
    account: str = ACCOUNT,
    day: str = "2026/11/16",
) -> list[list[str]]:
    """The rows of a whole settlement report, or of one that starts at its section header."""
    assets = list(dict.fromkeys(row["Gross Transaction Currency"] for row in rows))
    head = [["RH", f"{day} 23:59:59 -0800", "A", account, "009", ""], ["FH", "01"]]
    section = [
        ["SH", f"{day} 00:00:00 -0800", f"{day} 23:59:59 -0800", account, ""],
        ["CH", *columns],
        *(["SB", *(row.get(name, "") for name in columns)] for row in rows),
        *(footer("SF", rows, asset) for asset in assets),
        ["SC", str(len(rows))],
    ]
    tail = [*(footer("RF", rows, asset) for asset in assets), ["RC", str(len(rows))], ["FF", str(len(rows))]]
    return [*head, *section, *tail] if wrapped else section


def trr(rows: Sequence[Movement]) -> list[list[str]]:
    """The rows of a transaction report, whose footers are counts."""
    count = str(len(rows))
    return [
        ["RH", "2026/11/16 23:59:59 -0800", "A", ACCOUNT, "008", ""],
        ["FH", "01"],
        ["SH", "2026/11/16 00:00:00 -0800", "2026/11/16 23:59:59 -0800", ACCOUNT, ""],
        ["CH", *TRR_COLUMNS],
        *(["SB", *(row.get(name, "") for name in TRR_COLUMNS)] for row in rows),
        ["SF", count],
        ["SC", count],
        ["RF", count],
        ["RC", count],
        ["FF", count],
    ]


def text(rows: Sequence[Sequence[str]], *, line_end: str = "\r\n") -> bytes:
    sink = io.StringIO(newline="")
    csv.writer(sink, quoting=csv.QUOTE_ALL, lineterminator=line_end).writerows(rows)
    return sink.getvalue().encode()


def read(
    rows: Sequence[Sequence[str]] | bytes,
    *,
    reader: Format = paypal_stl,
    waived: frozenset[str] = frozenset(),
    settings: Mapping[str, str] | None = None,
) -> WholeDelivery:
    content = rows if isinstance(rows, bytes) else text(rows)
    return read_whole(reader, io.BytesIO(content), replace(OPTIONS, waived=waived, settings=settings or {}))


def refusal(
    rows: Sequence[Sequence[str]] | bytes,
    *,
    reader: Format = paypal_stl,
    settings: Mapping[str, str] | None = None,
    waived: frozenset[str] = frozenset(),
) -> RefusedFile:
    with pytest.raises(RefusedFile) as caught:
        read(rows, reader=reader, settings=settings, waived=waived)
    return caught.value
