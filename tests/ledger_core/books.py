"""A small chart and short ways to post, for tests that care about one thing only."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import sql

from ledger_core import transactions
from ledger_core.balance import Balance, balances
from ledger_core.posting import EntryLine, EntryRequest, post_lines

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
BANK, SALES, WALLET, YEN, OLD = (
    "assets:bank",
    "income:sales",
    "liabilities:wallet",
    "assets:yen",
    "assets:old",
)

CHART = """
SELECT ledger.define_assets(ARRAY['EUR', 'JPY'], ARRAY[2, 0]);
SELECT ledger.open_accounts(
  ARRAY['assets:bank', 'income:sales', 'liabilities:wallet', 'assets:yen', 'assets:old'],
  ARRAY['Bank', 'Sales', 'Wallet', 'Yen', 'Old'],
  ARRAY['asset', 'income', 'liability', 'asset', 'asset'],
  ARRAY['EUR', 'EUR', 'EUR', 'JPY', 'EUR'],
  ARRAY[true, true, false, true, true]);
SELECT ledger.close_account('assets:old', 'bank left', 'Ada');
"""


def open_chart(connection: psycopg.Connection[Any]) -> None:
    """Assets EUR and JPY; a bank, sales, a guarded wallet, a yen account, and a closed account."""
    connection.execute(CHART)


def lines(*rows: tuple[str, str, int], at: datetime = NOON, **columns: Sequence[Any]) -> pa.Table:
    """Rows of (entry_key, account, amount_minor), in the account's asset."""
    keys, accounts, amounts = zip(*rows, strict=True)
    fixed = {
        "entry_key": list(keys),
        "effective_at": pa.array([at] * len(rows), pa.timestamp("us", tz="UTC")),
        "account": list(accounts),
        "amount_minor": pa.array(amounts, pa.int64()),
        "asset": ["JPY" if account == YEN else "EUR" for account in accounts],
    }
    return pa.table(fixed | columns)


def sale(key: str, amount_minor: int = 100) -> pa.Table:
    """One balanced entry: bank against sales."""
    return lines((key, BANK, amount_minor), (key, SALES, -amount_minor))


def request(key: str, *rows: tuple[str, int] | EntryLine, at: datetime = NOON, **header: Any) -> EntryRequest:
    """An entry of (account, amount_minor) rows or lines, in the account's asset."""
    made = [
        row
        if isinstance(row, EntryLine)
        else EntryLine(account=row[0], amount_minor=row[1], asset="JPY" if row[0] == YEN else "EUR")
        for row in rows
    ]
    return EntryRequest(entry_key=key, effective_at=at, lines=made, **header)


def payment(key: str, amount_minor: int, **header: Any) -> EntryRequest:
    """The wallet's owner is paid out from the bank."""
    return request(key, (WALLET, amount_minor), (BANK, -amount_minor), **header)


def deposit(key: str, amount_minor: int, **header: Any) -> EntryRequest:
    """Money for the wallet comes in at the bank."""
    return payment(key, -amount_minor, **header)


def hold(connection: psycopg.Connection[Any], key: str, *rows: tuple[str, int], at: datetime = NOON) -> None:
    """A transaction that holds (account, amount_minor) rows, said as they will be posted."""
    by = transactions.Mover(authoriser="Ada", effective_at=at)
    assert transactions.initiate(connection, key, f"{key}:i", by).outcome == "posted"
    step = transactions.hold(connection, key, f"{key}:h", by, request(key, *rows).lines)
    assert step.outcome == "posted", step


def fund(connection: psycopg.Connection[Any], amount_minor: int, key: str = "fund") -> None:
    """Money comes in at the bank and is owed to the wallet's owner."""
    post_lines(connection, lines((key, BANK, amount_minor), (key, WALLET, -amount_minor)))


def balance(connection: psycopg.Connection[Any], account: str, **bounds: Any) -> Balance:
    """The one balance of a leaf."""
    (found,) = balances(connection, account, **bounds)
    return found


def outcomes(answer: Any) -> list[str]:
    """The outcomes of a table of them or of a list of results."""
    if isinstance(answer, pa.Table):
        return list(answer["outcome"].to_pylist())
    return [result.outcome for result in answer]


def together(url: str, count: int, work: Callable[[psycopg.Connection[Any], int], Any]) -> list[Any]:
    """Runs `work` in `count` threads with a connection each, all starting at once; returns what each gave or raised."""
    gate, answers = threading.Barrier(count), [None] * count

    def run(number: int) -> None:
        with contextlib.closing(psycopg.connect(url)) as connection:
            gate.wait()
            try:
                answers[number] = work(connection, number)
            except Exception as error:  # noqa: BLE001 - the test looks at it
                answers[number] = error  # type: ignore[call-overload]

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


@contextlib.contextmanager
def waiting(
    connection: psycopg.Connection[Any], url: str, work: Callable[[psycopg.Connection[Any]], Any]
) -> Iterator[list[Any]]:
    """Runs `work` on a connection of its own until it waits for a lock of `connection`, which the block then ends.

    Gives a list, filled after the block with what `work` gave or raised.
    """
    answers: list[Any] = []
    blocked = "SELECT pid FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))"
    thread = threading.Thread(target=lambda: answers.extend(together(url, 1, lambda c, _: work(c))))
    with contextlib.closing(psycopg.connect(url, autocommit=True)) as watcher:
        thread.start()
        while thread.is_alive() and not watcher.execute(blocked, (connection.info.backend_pid,)).fetchall():
            thread.join(0.01)
        assert thread.is_alive(), f"expected it to wait, but it ended: {answers}"
    try:
        yield answers
    finally:
        connection.rollback()
        thread.join()


def raw_entry(connection: psycopg.Connection[Any], rows: Sequence[Mapping[str, Any]], **header: Any) -> None:
    """Write an entry past the door, as the owner could: any header column, any line column, lines of one statement.

    A line's `account` is a code; its account_id and effective_at may be given in its stead.
    """
    head = {
        "entry_key": "raw",
        "request_hash": bytes(32),
        "effective_at": NOON,
        "line_count": len(rows),
    } | header
    columns = sorted(
        {name for row in rows for name in row} - {"account"} | {"line_no", "account_id", "effective_at"}
    )
    known = dict(connection.execute("SELECT code::text, account_id FROM ledger.account").fetchall())
    values = []
    for number, row in enumerate(rows, start=1):
        full = {
            "line_no": number,
            "account_id": known[row.get("account", BANK)],
            "effective_at": head["effective_at"],
        } | row
        values.append([full.get(name) for name in columns])
    parts = {
        "head": sql.SQL(", ").join(map(sql.Identifier, head)),
        "head_values": sql.SQL(", ").join(map(sql.Literal, head.values())),
        "columns": sql.SQL(", ").join(map(sql.Identifier, columns)),
        "rows": sql.SQL(", ").join(
            sql.SQL("((SELECT entry_id FROM head), {})").format(sql.SQL(", ").join(map(sql.Literal, row)))
            for row in values
        ),
    }
    statement = (
        "WITH head AS (INSERT INTO ledger.journal_entry ({head}) VALUES ({head_values}) RETURNING entry_id) "
    )
    if rows:
        statement += "INSERT INTO ledger.journal_line (entry_id, {columns}) VALUES {rows}"
    else:
        statement += "SELECT entry_id FROM head"
    connection.execute(sql.SQL(statement).format(**parts))
