"""Finder of the pass ``near_reference``: one number behind two prefixes, or behind none.

Payers and banks drop or replace what stands before a number, and pad it to another width. Compared are the digits at
the end of a normalised reference, of the configured pairs of columns: without leading zeros if four are left, else
with them if they are six:

    INV-0012345     12 345, RE-0012345, INV12345, NO. 0012345     LOST_PREFIX        INV-0012345A     nothing

Whatever the amounts. A batch reference names many movements and is left to the finders that know of batches.
"""

from typing import Final

import numpy as np
import pyarrow as pa

from reconciliation.matching.books import Books, Side
from reconciliation.matching.columns import Column, IntArray, kernel
from reconciliation.matching.edges import (
    LOST_PREFIX,
    REFERENCE_LENGTH_MIN,
    Bound,
    Edges,
    Keyed,
    agreeing,
    joined,
    merged,
    money_codes,
    within_window,
)
from reconciliation.matching.references import NORMALISED_LENGTH_MIN, shared_codes
from reconciliation.matching.result import Limit
from reconciliation.sources import MatchLimits, ReferencePair

_NAME: Final = "near_reference"


def find_same_number(
    books: Books, external_rows: IntArray, ledger_rows: IntArray, limits: MatchLimits
) -> tuple[Edges, tuple[Limit, ...]]:
    """Pairs of open rows whose references end in the same number."""
    money = money_codes(books, external_rows, ledger_rows)
    found: list[Edges] = []
    met: list[Limit] = []
    for pair in books.references:
        if "batch_ref" in (pair.external, pair.ledger):
            continue
        external, ledger, limited = _of_pair(books, pair, (external_rows, ledger_rows), money, limits)
        keep = within_window(books, external, ledger)
        external, ledger = external[keep], ledger[keep]
        similarity = np.maximum(agreeing(books, external, ledger), LOST_PREFIX)
        found.append(Edges.of(external, ledger, similarity))
        met.extend(limited)
    return merged(*found), tuple(dict.fromkeys(met))


def numbers_of(side: Side, column: str, rows: IntArray) -> Column:
    """The number at the end of each row's reference, null where it has none of four digits, or six with its zeros."""
    values = side.normalised_at(column, rows)
    if values.null_count == len(values):
        return pa.nulls(len(values), pa.string())
    ends = kernel.struct_field(kernel.extract_regex(values, pattern=r"^N.*?(?P<number>[0-9]+)$"), "number")
    number = kernel.utf8_ltrim(ends, characters="0")
    long_enough = kernel.greater_equal(kernel.utf8_length(number), NORMALISED_LENGTH_MIN)
    padded = kernel.greater_equal(kernel.utf8_length(ends), REFERENCE_LENGTH_MIN)
    as_padded = kernel.if_else(padded, ends, pa.scalar(None, pa.string()))
    return kernel.if_else(long_enough, number, as_padded)


def _of_pair(
    books: Books,
    pair: ReferencePair,
    rows: tuple[IntArray, IntArray],
    money: tuple[IntArray, IntArray],
    limits: MatchLimits,
) -> tuple[IntArray, IntArray, tuple[Limit, ...]]:
    texts = numbers_of(books.external, pair.external, rows[0]), numbers_of(books.ledger, pair.ledger, rows[1])
    codes = shared_codes(*texts)
    width = int(max(money[0].max(initial=0), money[1].max(initial=0))) + 1
    sides = [
        Keyed(rows=of, key=np.where((code > 0) & (purse >= 0), code * width + purse, -1))
        for of, code, purse in zip(rows, codes, money, strict=True)
    ]
    bound = Bound(match_pass=_NAME, limits=limits)
    return joined(books, sides[0], sides[1], bound, lambda at: str(texts[0][at].as_py()))
