"""How a law of the ledger is broken past the doors, by hand, and how the object that keeps it is taken away."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from tests.ledger_core.books import BANK, NOON, SALES, raw_entry

Connection = psycopg.Connection[Any]
Deed = Callable[[Connection], object]
GOOD = ({"account": BANK, "amount_minor": 5}, {"account": SALES, "amount_minor": -5})
HASH = bytes(32)
NO_LINE_LAWS = "DROP TRIGGER journal_line_laws ON ledger.journal_line"


@dataclass(frozen=True, kw_only=True)
class Case:
    """Breaks one law. `law` refuses; `remove` takes its object away; `alarm` is the check that fails then."""

    law: str
    remove: str
    do: Deed
    alarm: str | None = None
    name: str = ""

    def __str__(self) -> str:
        return self.name or self.law


def row(table: str, **columns: Any) -> Deed:
    """Puts one row into a table, as its owner could."""
    parts = {
        "table": sql.Identifier(table),
        "names": sql.SQL(", ").join(map(sql.Identifier, columns)),
        "values": sql.SQL(", ").join(map(sql.Literal, columns.values())),
    }
    text = "INSERT INTO ledger.{table} ({names}) OVERRIDING SYSTEM VALUE VALUES ({values})"
    return lambda c: c.execute(sql.SQL(text).format(**parts))


def rows(*deeds: Deed) -> Deed:
    """One after the other."""
    return lambda c: [deed(c) for deed in deeds]


def key(table: str, law: str, *deeds: Deed, alarm: str | None = None, name: str = "") -> Case:
    """A law kept by a constraint of a table."""
    remove = f"ALTER TABLE ledger.{table} DROP CONSTRAINT {law} CASCADE"
    return Case(law=law, remove=remove, do=rows(*deeds), alarm=alarm, name=name)


def domain(domain_name: str, law: str, do: Deed, name: str = "") -> Case:
    """A law kept by a constraint of a domain."""
    return Case(law=law, remove=f"ALTER DOMAIN ledger.{domain_name} DROP CONSTRAINT {law}", do=do, name=name)


def line_law(
    law: str, lines: Any, *, alarm: str | None, name: str, before: Deed | None = None, **header: Any
) -> Case:
    """A law kept by the statement trigger over lines."""
    entry: Deed = lambda c: raw_entry(c, lines, **header)  # noqa: E731
    return Case(
        law=law, remove=NO_LINE_LAWS, do=rows(before, entry) if before else entry, alarm=alarm, name=name
    )


def entry_id(connection: Connection, entry_key: str) -> int:
    """The id of a posted entry."""
    query = "SELECT entry_id FROM ledger.journal_entry WHERE entry_key = %s"
    found = connection.execute(query, (entry_key,)).fetchone()
    assert found is not None
    return int(found[0])


def reversal(amounts: tuple[int, ...], accounts: tuple[str, ...] = (BANK, SALES), **header: Any) -> Deed:
    """A hand-made reversal of the sale that every case starts with."""
    lines = [{"account": on, "amount_minor": amount} for on, amount in zip(accounts, amounts, strict=True)]
    said = {"reason": "typo", "authoriser": "Ada"} | header
    return lambda c: raw_entry(c, lines, **{"reverses_entry_id": entry_id(c, "sale")} | said)


def two_more_lines(connection: Connection) -> None:
    """A balanced pair joins an entry posted before."""
    connection.execute(
        "INSERT INTO ledger.journal_line (entry_id, line_no, account_id, amount_minor, effective_at) "
        "SELECT entry_id, line_no + 2, account_id, amount_minor, effective_at FROM ledger.journal_line "
        "WHERE entry_id = %s",
        (entry_id(connection, "sale"),),
    )


def detail(**columns: Any) -> Deed:
    """Something said of the sale's first line."""
    return lambda c: row("journal_line_detail", **{"entry_id": entry_id(c, "sale"), "line_no": 1} | columns)(
        c
    )


def account(**columns: Any) -> Deed:
    given = {"code": "assets:new", "name": "New", "type": "asset", "asset": "EUR", "entity": "main"}
    return row("account", **given | {"may_overdraw": True, "is_leaf": True} | columns)


def closure(account_id: int, **columns: Any) -> Deed:
    return row("account_closure", **{"account_id": account_id, "reason": "r", "authoriser": "a"} | columns)


def header(**columns: Any) -> Deed:
    """The header of a refused request."""
    given = {"entry_key": "raw", "request_hash": HASH, "effective_at": NOON, "line_count": 0}
    return row("journal_entry", **given | columns)


def period(starts_at: str, ends_at: str) -> Deed:
    return row("period", starts_at=starts_at, ends_at=ends_at, reason="month", authoriser="Ada")


def seal(**columns: Any) -> Deed:
    given = {"ends_at": "2026-01-01Z", "format_version": 1, "entry_count": 0, "root": HASH, "seal": HASH}
    return row("period_seal", **given | columns)


def quote(quote_key: str = "q", **columns: Any) -> Deed:
    given = {"quote_key": quote_key, "from_asset": "EUR", "to_asset": "JPY", "rate": 160, "purpose": "locked"}
    times = {"origin": "ecb", "quoted_at": NOON, "expires_at": "infinity"}
    return row("fx_quote", **given | times | columns)


def transaction(transaction_id: int = 1, transaction_key: str = "t") -> Deed:
    return row(
        "business_transaction", transaction_id=transaction_id, transaction_key=transaction_key, kind="p"
    )


def event(
    event_no: int, previous_state: str, state: str, entry_key: str | None = None, **columns: Any
) -> Deed:
    """A step of transaction 1 by hand."""

    def do(connection: Connection) -> None:
        given = {"transaction_id": 1, "event_no": event_no, "previous_state": previous_state, "state": state}
        said = {"event_key": f"{event_no} {state}", "request_hash": HASH, "authoriser": "Ada"}
        money = {"entry_id": entry_id(connection, entry_key)} if entry_key else {}
        row("transaction_event", **given | said | money | columns)(connection)

    return do


def mirror(
    name: str, amounts: tuple[int, ...], accounts: tuple[str, ...] = (BANK, SALES), **header: Any
) -> Case:
    """A reversal that is none."""
    deed, law = reversal(amounts, accounts, **header), "journal_line_reversal_mirrors"
    return Case(law=law, remove=NO_LINE_LAWS, do=deed, alarm="reversal_mirror", name=name)


def id_of(connection: Connection, code: str) -> int:
    """The id of an account."""
    found = connection.execute("SELECT account_id FROM ledger.account WHERE code = %s", (code,)).fetchone()
    assert found is not None
    return int(found[0])
