"""Lines that say again what a line of the same side, already matched, has said.

A duplicate has another natural key, the same account, asset, amount and (external) kind or (ledger) counterparty,
shares an identifying reference, and contradicts it in none. Two references do not count as contradiction: the
servicer's own number, which a second booking always changes, and the batch, which may well be another one.

Not a duplicate: a line whose way back is on record too. A charge, its chargeback and the representment of the charge
are three lines, the third equal to the first; so are an entry, its reversal and the entry posted again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reconciliation.classification.references import Flags, Rows, shared_rows, true_where

_MAY_DIFFER: Final = frozenset({"ref_servicer", "batch_ref"})


def duplicates(
    open_items: pa.Table,
    taken_items: pa.Table,
    *,
    allowed: Flags,
    references: Sequence[str],
    natural_key: str,
    same: Sequence[str],
) -> Flags:
    """Which allowed rows of ``open_items`` repeat a row of ``taken_items`` (same schema).

    ``references`` are the identifying columns of this side, ``natural_key`` the column that must differ, ``same`` the
    columns that must agree (null agrees with null).
    """
    everyone = np.ones(taken_items.num_rows, dtype=bool)
    pairs = [(name, name) for name in references]
    edges = shared_rows(
        open_items, taken_items, pairs, left_allowed=allowed, right_allowed=everyone, normalised=False
    )
    repeated = _agree(open_items, taken_items, edges, ("account", "asset", "amount_minor", *same))
    repeated &= ~_equal(open_items, taken_items, edges, natural_key)
    for name in references:
        if name not in _MAY_DIFFER:
            repeated &= ~_contradicts(open_items, taken_items, edges, name)
    found: Flags = np.zeros(open_items.num_rows, dtype=bool)
    found[edges[0][repeated]] = True
    return found & ~_returned(open_items, taken_items, found, pairs)


def _returned(
    open_items: pa.Table, taken_items: pa.Table, suspects: Flags, pairs: Sequence[tuple[str, str]]
) -> Flags:
    """Which suspects share a reference with a line of the opposite amount on the same account."""
    everything = pa.concat_tables([open_items, taken_items])
    edges = shared_rows(
        open_items,
        everything,
        pairs,
        left_allowed=suspects,
        right_allowed=np.ones(everything.num_rows, dtype=bool),
        normalised=False,
    )
    amounts, others = open_items["amount_minor"].to_numpy(), everything["amount_minor"].to_numpy()
    back = _equal(open_items, everything, edges, "account") & (amounts[edges[0]] == -others[edges[1]])
    found: Flags = np.zeros(open_items.num_rows, dtype=bool)
    found[edges[0][back]] = True
    return found


def _agree(left: pa.Table, right: pa.Table, edges: tuple[Rows, Rows], names: Sequence[str]) -> Flags:
    agreed: Flags = np.ones(len(edges[0]), dtype=bool)
    for name in names:
        both_null = pc.and_(pc.is_null(_at(left, name, edges[0])), pc.is_null(_at(right, name, edges[1])))
        agreed &= _equal(left, right, edges, name) | true_where(both_null)
    return agreed


def _equal(left: pa.Table, right: pa.Table, edges: tuple[Rows, Rows], name: str) -> Flags:
    return true_where(pc.equal(_at(left, name, edges[0]), _at(right, name, edges[1])))


def _contradicts(left: pa.Table, right: pa.Table, edges: tuple[Rows, Rows], name: str) -> Flags:
    return true_where(pc.not_equal(_at(left, name, edges[0]), _at(right, name, edges[1])))


def _at(table: pa.Table, name: str, rows: Rows) -> Any:
    return table[name].combine_chunks().take(rows)
