"""Short ways through the life of a payment from the guarded wallet of `books`."""

from datetime import datetime, timedelta
from typing import Any

import psycopg

from ledger_core.posting import EntryLine, EntryRequest, post
from ledger_core.transactions import Mover, Step, history_lines, hold, initiate
from tests.ledger_core.books import NOON, SALES, WALLET, balance

HOUR = timedelta(hours=1)
ADA = Mover(authoriser="Ada", effective_at=NOON)
BOB = Mover(authoriser="Bob", effective_at=NOON + HOUR, reason="asked for")


def pay(amount_minor: int, *, fee: int = 0) -> list[EntryLine]:
    """The wallet's owner buys something: from the wallet to sales, with a fee of a line of its own if there is one."""
    rows = [(WALLET, amount_minor), (SALES, fee - amount_minor), (SALES, -fee)]
    return [EntryLine(account=code, amount_minor=amount, asset="EUR") for code, amount in rows if amount]


def begin(book: psycopg.Connection[Any], key: str = "t") -> None:
    assert initiate(book, key, f"{key}:i", ADA, kind="payment").outcome == "posted"


def held(book: psycopg.Connection[Any], key: str, amount_minor: int, **more: Any) -> Step:
    begin(book, key)
    return hold(book, key, f"{key}:h", ADA, pay(amount_minor), **more)


def wallet(book: psycopg.Connection[Any], **bounds: Any) -> tuple[int, int, int]:
    """Posted, pending and available as the owner of the wallet sees them: what is owed to them is positive."""
    found = balance(book, WALLET, **bounds)
    return -found.balance_minor, -found.pending_minor, -found.available_minor


def spend(book: psycopg.Connection[Any], key: str, amount_minor: int) -> str:
    request = EntryRequest(entry_key=key, effective_at=NOON, lines=pay(amount_minor))
    (result,) = post(book, [request])
    return result.code or result.outcome


def residue(book: psycopg.Connection[Any], key: str) -> int:
    """What a transaction has left in the held layers, in absolute minor units over all accounts."""
    rest: dict[tuple[str, str], int] = {}
    for line in history_lines(book, key):
        if line.layer != "posted":
            place = (line.account, line.layer)
            rest[place] = rest.get(place, 0) + line.amount_minor
    return sum(map(abs, rest.values()))


def now(connection: psycopg.Connection[Any]) -> datetime:
    found: datetime = connection.execute("SELECT clock_timestamp()").fetchall()[0][0]
    return found
