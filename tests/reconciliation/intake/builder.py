"""Small bank and processor files as text, a source for each, and what the store holds afterwards."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from io import BytesIO
from typing import Any

import psycopg
from psycopg import sql

from reconciliation.formats.canonical import ReadOptions
from reconciliation.formats.card_numbers import KeyedCardTokens
from reconciliation.intake import DeliveryOutcome, take_in
from reconciliation.sources import Source, parse_sources

IBAN = "DE89370400440532013000"
OPTIONS = ReadOptions(card_tokens=KeyedCardTokens(bytes(range(32))))
SOURCES = parse_sources(f"""
version: 1
sources:
  - id: bank
    kind: bank
    format: camt.053
    start_date: 2026-11-01
    accounts:
      - {{external: {IBAN}, asset: EUR, ledger: "assets:bank:main-eur"}}
      - {{external: {IBAN}, asset: JPY, ledger: "assets:bank:main-jpy"}}
    match: {{references: [{{external: ref_end_to_end, ledger: ref_end_to_end}}]}}
  - id: stripe
    kind: processor
    format: stripe.payout_reconciliation
    start_date: 2026-11-01
    accounts:
      - {{asset: EUR, ledger: "assets:processor:stripe-eur"}}
    match: {{references: [{{external: ref_psp, ledger: ref_psp}}]}}
""")
BANK, STRIPE = SOURCES["bank"], SOURCES["stripe"]
EVIDENCE = ("delivery", "statement", "line", "line_closure", "alert")


@dataclass(frozen=True)
class Entry:
    """One booked entry of a bank statement, in cents."""

    amount_minor: int
    ref: str = ""
    text: str = ""
    end_to_end: str = ""

    def xml(self, day: str, asset: str) -> str:
        side = "CRDT" if self.amount_minor >= 0 else "DBIT"
        ref = f"<AcctSvcrRef>{self.ref}</AcctSvcrRef>" if self.ref else ""
        refs = f"<Refs><EndToEndId>{self.end_to_end}</EndToEndId></Refs>" if self.end_to_end else ""
        text = f"<RmtInf><Ustrd>{self.text}</Ustrd></RmtInf>" if self.text else ""
        details = f"<NtryDtls><TxDtls>{refs}{text}</TxDtls></NtryDtls>" if refs or text else ""
        return (
            f'<Ntry><Amt Ccy="{asset}">{money(abs(self.amount_minor), asset)}</Amt><CdtDbtInd>{side}</CdtDbtInd>'
            f"<Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>{day}</Dt></BookgDt><ValDt><Dt>{day}</Dt></ValDt>{ref}"
            "<BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>RCDT</Cd><SubFmlyCd>ESCT</SubFmlyCd></Fmly></Domn></BkTxCd>"
            f"{details}</Ntry>"
        )


def money(amount_minor: int, asset: str) -> str:
    return str(amount_minor) if asset == "JPY" else f"{amount_minor // 100}.{amount_minor % 100:02}"


def bank_statement(
    *entries: Entry,
    day: str = "2026-11-16",
    ref: str = "",
    opening_minor: int = 10_000,
    closing_minor: int | None = None,
    asset: str = "EUR",
    account: str = IBAN,
) -> str:
    closing = (
        opening_minor + sum(entry.amount_minor for entry in entries)
        if closing_minor is None
        else closing_minor
    )
    balances = "".join(
        f'<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy="{asset}">{money(abs(minor), asset)}</Amt>'
        f"<CdtDbtInd>{'CRDT' if minor >= 0 else 'DBIT'}</CdtDbtInd><Dt><Dt>{day}</Dt></Dt></Bal>"
        for code, minor in (("OPBD", opening_minor), ("CLBD", closing))
    )
    return (
        f"<Stmt><Id>{ref or 'S-' + day}</Id><CreDtTm>{day}T20:00:00</CreDtTm><Acct><Id><IBAN>{account}</IBAN></Id>"
        f"<Ccy>{asset}</Ccy></Acct>{balances}{''.join(entry.xml(day, asset) for entry in entries)}</Stmt>"
    )


def bank_file(*statements: str, message_id: str = "M1", additional: str = "") -> bytes:
    extra = f"<AddtlInf>{additional}</AddtlInf>" if additional else ""
    return (
        '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt>'
        f"<GrpHdr><MsgId>{message_id}</MsgId><CreDtTm>2026-11-17T01:00:00</CreDtTm>{extra}</GrpHdr>"
        f"{''.join(statements)}</BkToCstmrStmt></Document>"
    ).encode()


@dataclass(frozen=True)
class Charge:
    """A customer's payment at the processor, in cents, paid out on ``day``."""

    balance_id: str
    gross_minor: int
    fee_minor: int = 0
    day: str = "2026-11-16"


def stripe_file(*charges: Charge) -> bytes:
    header = (
        "balance_transaction_id,created,currency,gross,fee,net,reporting_category,source_id,"
        "automatic_payout_id,automatic_payout_effective_at"
    )
    rows = []
    for charge in charges:
        gross, fee = money(charge.gross_minor, "EUR"), money(charge.fee_minor, "EUR")
        net = money(charge.gross_minor - charge.fee_minor, "EUR")
        rows.append(
            f"{charge.balance_id},{charge.day} 10:00:00,eur,{gross},{fee},{net},charge,"
            f"ch_{charge.balance_id},po_{charge.day},{charge.day} 00:00:00"
        )
    return ("\n".join((header, *rows)) + "\n").encode()


def deliver(
    connection: psycopg.Connection[Any],
    content: bytes,
    *,
    source: Source = BANK,
    file_name: str = "statement.xml",
    for_date: date | None = None,
    **more: Any,
) -> DeliveryOutcome:
    """One file in a transaction of its own, under the intake's role."""
    (outcome,) = deliver_all(
        connection, content, source=source, file_name=file_name, for_date=for_date, **more
    )
    return outcome


def deliver_all(
    connection: psycopg.Connection[Any],
    content: bytes,
    *,
    source: Source = BANK,
    file_name: str = "statement.xml",
    **more: Any,
) -> tuple[DeliveryOutcome, ...]:
    """One delivery, which may be an archive of several files."""
    with connection.transaction():
        connection.execute("SET LOCAL ROLE tieout_intake")
        return take_in(
            connection, source=source, file_name=file_name, stream=BytesIO(content), options=OPTIONS, **more
        )


CURRENT = """
    SELECT l.line_key, l.version, l.amount_minor, l.booking_date, l.text, l.line_id FROM recon.line AS l
    WHERE l.source_id = %s AND NOT EXISTS (SELECT FROM recon.line_closure AS c WHERE c.line_id = l.line_id)
    ORDER BY l.line_key
"""


def current_lines(connection: psycopg.Connection[Any], source: Source = BANK) -> list[tuple[Any, ...]]:
    """Key, version, amount, booking date, text and row id of the lines that speak."""
    return connection.execute(CURRENT, (source.id,)).fetchall()


def keys_and_amounts(
    connection: psycopg.Connection[Any], source: Source = BANK
) -> dict[str, tuple[int, int]]:
    """Key to version and amount of the lines that speak."""
    return {row[0]: (row[1], row[2]) for row in current_lines(connection, source)}


def closures(connection: psycopg.Connection[Any]) -> list[tuple[str, str, int]]:
    """Key, reason and amount of every line that was closed."""
    return connection.execute(
        "SELECT l.line_key, c.reason, l.amount_minor FROM recon.line_closure AS c "
        "JOIN recon.line AS l USING (line_id) ORDER BY 1, 2, 3"
    ).fetchall()


def digests(connection: psycopg.Connection[Any], tables: Sequence[str] = EVIDENCE[1:]) -> dict[str, str]:
    """A digest of all rows of each table."""
    query = sql.SQL("SELECT to_jsonb(t)::text FROM {} AS t ORDER BY 1")
    rows = {
        table: connection.execute(query.format(sql.Identifier("recon", table))).fetchall() for table in tables
    }
    return {table: hashlib.sha256(str(found).encode()).hexdigest() for table, found in rows.items()}
