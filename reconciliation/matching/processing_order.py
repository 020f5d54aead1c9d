"""The order in which members were processed, as text that sorts so: what a payout's run and its cursor go by.

    2026-03-02 10:00:00.000000 charge-77 0000000001

Law: the order is a matter of the items' content alone. Decides nothing.
"""

import pyarrow as pa

from reconciliation.matching.books import Books
from reconciliation.matching.columns import Column, IntArray, kernel


def order_keys(items: pa.Table) -> Column:
    """Texts that sort as members were processed: by instant, then entry key, then line number.

    ``items`` is of ``LEDGER_ITEM_SCHEMA``, or any table with these four columns; where an instant is missing the
    business date begins it.
    """
    instants = kernel.cast(items["effective_at"], pa.timestamp("us"))
    days = kernel.cast(items["business_date"], pa.timestamp("us"))
    whole = kernel.cast(kernel.coalesce(instants, days), pa.string())
    numbers = kernel.utf8_lpad(kernel.cast(items["line_no"], pa.string()), 10, "0")
    keys = kernel.binary_join_element_wise(whole, items["entry_key"], numbers, " ")
    return keys.combine_chunks() if isinstance(keys, pa.ChunkedArray) else keys


def order_key(books: Books, row: int) -> str:
    """The order key of one ledger row: what ``MatchContext.chain_cursors`` holds."""
    return str(order_keys(books.ledger.table.slice(row, 1))[0].as_py())


def in_order(books: Books, rows: IntArray, cursor: str | None) -> tuple[IntArray, int]:
    """Ledger rows as they were processed, and how many of them up to the cursor."""
    keys = order_keys(books.ledger.table.take(rows))
    passed = 0 if cursor is None else int(kernel.sum(kernel.less_equal(keys, cursor)).as_py() or 0)
    return rows[kernel.sort_indices(keys).to_numpy()], passed
