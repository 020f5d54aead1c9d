"""Builds small camt files for the reader's tests; shares nothing with the reader but the public types."""

from io import BytesIO
from typing import Any

import pytest

from reconciliation.errors import RefusedFile
from reconciliation.formats import camt_052, camt_053, camt_054
from reconciliation.formats.canonical import Format, ReadOptions, WholeDelivery, read_whole
from reconciliation.formats.card_numbers import KeyedCardTokens

OPTIONS = ReadOptions(card_tokens=KeyedCardTokens(bytes(range(32))))
NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"


def balance(
    code: str, amount: str, *, side: str = "CRDT", asset: str = "EUR", day: str = "2026-11-16"
) -> str:
    indicator = f"<CdtDbtInd>{side}</CdtDbtInd>" if side else ""
    return (
        f"<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>"
        f'<Amt Ccy="{asset}">{amount}</Amt>{indicator}<Dt><Dt>{day}</Dt></Dt></Bal>'
    )


def entry(
    amount: str = "25.00",
    side: str = "CRDT",
    *,
    asset: str = "EUR",
    status: str = "<Sts><Cd>BOOK</Cd></Sts>",
    booked: str = "<BookgDt><Dt>2026-11-16</Dt></BookgDt>",
    valued: str = "<ValDt><Dt>2026-11-17</Dt></ValDt>",
    ref: str = "BANK1",
    code: str = "PMNT/RCDT/ESCT",
    details: str = "",
    more: str = "",
) -> str:
    domain, family, sub_family = code.split("/")
    servicer_ref = f"<AcctSvcrRef>{ref}</AcctSvcrRef>" if ref else ""
    return (
        f'<Ntry><Amt Ccy="{asset}">{amount}</Amt><CdtDbtInd>{side}</CdtDbtInd>{status}{booked}{valued}{servicer_ref}'
        f"<BkTxCd><Domn><Cd>{domain}</Cd><Fmly><Cd>{family}</Cd><SubFmlyCd>{sub_family}</SubFmlyCd></Fmly></Domn></BkTxCd>"
        f"{more}{details}</Ntry>"
    )


def detail(
    amount: str | None = None, *, side: str = "", asset: str = "EUR", refs: str = "", more: str = ""
) -> str:
    amount_element = f'<Amt Ccy="{asset}">{amount}</Amt>' if amount is not None else ""
    side_element = f"<CdtDbtInd>{side}</CdtDbtInd>" if side else ""
    return f"<TxDtls><Refs>{refs}</Refs>{amount_element}{side_element}{more}</TxDtls>"


def statement(
    *entries: str,
    opening: str = "100.00",
    closing: str = "125.00",
    identification: str = "S1",
    account: str = "DE89370400440532013000",
    asset: str = "EUR",
    balances: str | None = None,
    more: str = "",
) -> str:
    if balances is None:
        balances = balance("OPBD", opening, asset=asset) + balance("CLBD", closing, asset=asset)
    return (
        f"<Stmt><Id>{identification}</Id><ElctrncSeqNb>7</ElctrncSeqNb><CreDtTm>2026-11-16T20:00:00</CreDtTm>"
        f"<Acct><Id><IBAN>{account}</IBAN></Id><Ccy>{asset}</Ccy></Acct>{balances}{more}{''.join(entries)}</Stmt>"
    )


REPORTS = {  # what names each of the three messages
    camt_052: ("camt.052", "BkToCstmrAcctRpt", "Rpt"),
    camt_053: ("camt.053", "BkToCstmrStmt", "Stmt"),
    camt_054: ("camt.054", "BkToCstmrDbtCdtNtfctn", "Ntfctn"),
}


def as_message(content: str, reader: Format) -> str:
    """A camt.053 as one of the other messages."""
    name, container, element = REPORTS[reader]
    pages = {"Stmt": "StmtPgntn", "Rpt": "RptPgntn", "Ntfctn": "NtfctnPgntn"}
    return (
        content.replace("BkToCstmrStmt", container)
        .replace("StmtPgntn", pages[element])
        .replace("<Stmt>", f"<{element}>")
        .replace("</Stmt>", f"</{element}>")
        .replace("camt.053", name)
    )


def document(*statements: str, namespace: str = NAMESPACE, header: str = "<MsgId>M1</MsgId>") -> str:
    return (
        f'<Document xmlns="{namespace}"><BkToCstmrStmt><GrpHdr>{header}</GrpHdr>{"".join(statements)}'
        "</BkToCstmrStmt></Document>"
    )


def read(content: str | bytes, options: ReadOptions = OPTIONS, reader: Format = camt_053) -> WholeDelivery:
    return read_whole(reader, BytesIO(content.encode() if isinstance(content, str) else content), options)


def one(content: str | bytes, options: ReadOptions = OPTIONS, reader: Format = camt_053) -> dict[str, Any]:
    """The only line of a file."""
    (line,) = read(content, options, reader).lines.to_pylist()
    return dict(line)


def refusal(content: str | bytes, options: ReadOptions = OPTIONS, reader: Format = camt_053) -> RefusedFile:
    with pytest.raises(RefusedFile) as caught:
        read(content, options, reader)
    return caught.value


def column(delivery: WholeDelivery, name: str) -> list[object]:
    return list(delivery.lines[name].to_pylist())
