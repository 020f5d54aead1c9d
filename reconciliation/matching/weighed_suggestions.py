"""What weighing suggests to people: for each line that got no match its best pair, the two next best, and what was
missing.

    "why_not_automatic":"17.400 bits speak for it, and against 340 rivals 18.409 are needed"

A suggestion takes nothing; an external line has one at most.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa

from reconciliation.matching import json_text
from reconciliation.matching.books import Books
from reconciliation.matching.candidates import combined
from reconciliation.matching.columns import Column, IntArray, kernel
from reconciliation.matching.proposals import Proposal
from reconciliation.matching.scoring import OTHER_AMOUNT
from reconciliation.matching.weighed_evidence import Weighed, decimal, names_of_pairs, proposal_of
from reconciliation.sources import MatchRules

_ALTERNATIVES: Final = 2


def suggestions_of(
    books: Books, rules: MatchRules, pairs: Weighed, names: dict[int, str]
) -> tuple[Proposal, ...]:
    """The best of the pairs that were not made, by external line and pass; the chosen one first, then by bits."""
    if not len(pairs.edges):
        return ()
    edges, total = pairs.edges, pairs.scores.total
    order = np.lexsort((edges.ledger, -total, ~pairs.is_chosen, edges.external))
    best = order[np.flatnonzero(np.diff(edges.external[order], prepend=-1))]
    extra = {
        "alternatives": _alternatives(books, pairs, best),
        "why_not_automatic": json_text.quoted(_reasons(books, rules, pairs.only(best))),
    }
    return tuple(_by_pass(books, rules, pairs.only(best), extra, names))


def _by_pass(
    books: Books, rules: MatchRules, pairs: Weighed, extra: dict[str, Column], names: dict[int, str]
) -> Iterator[Proposal]:
    passes = np.array([names[similarity] for similarity in pairs.edges.similarity.tolist()], dtype=np.str_)
    for name in dict.fromkeys(names.values()):
        at = np.flatnonzero(passes == name)
        if len(at):
            told = {key: column.take(pa.array(at)) for key, column in extra.items()}
            yield proposal_of(books, rules, name, pairs.only(at), extra=told)


def _alternatives(books: Books, pairs: Weighed, best: IntArray) -> Column:
    """JSON list per suggestion of the two best other pairs of either of its lines."""
    edges, total = pairs.edges, pairs.scores.total
    slots = np.concatenate([_ranked(rows, total, best) for rows in (edges.external, edges.ledger)], axis=1)
    slots[slots == best[:, None]] = -1
    worth = np.where(slots >= 0, total[slots], -np.iinfo(np.int64).max)
    order = np.lexsort((slots, -worth), axis=1)[:, :_ALTERNATIVES]
    chosen = np.take_along_axis(slots, order, axis=1)
    named = names_of_pairs(books, edges, decimal(total))
    columns = [named.take(pa.array(column, mask=column < 0)) for column in chosen.T]
    return json_text.lists(columns, len(best))


def _ranked(rows: IntArray, total: IntArray, best: IntArray) -> IntArray:
    """For each of the ``best`` pairs the strongest pairs of its row, one more than is asked for; -1 where no more."""
    order = np.lexsort((np.arange(len(rows)), -total, rows))
    line = combined(rows)
    count = np.bincount(line)
    start = np.cumsum(count) - count
    of = line[best]
    ranks = np.arange(_ALTERNATIVES + 1)
    places = np.minimum(start[of][:, None] + ranks, len(rows) - 1)
    return np.where(ranks < count[of][:, None], order[places], -1)


def _reasons(books: Books, rules: MatchRules, pairs: Weighed) -> Column:
    """What keeps each pair from being made, in a sentence."""
    scores = pairs.scores
    paid = books.external.amount_minor[pairs.edges.external]
    apart = json_text.numbers(np.abs(paid - books.ledger.amount_minor[pairs.edges.ledger]))
    amounts = kernel.binary_join_element_wise(
        "the amounts are ", apart, " minor units apart, which nothing explains", ""
    )
    bits = kernel.binary_join_element_wise(
        decimal(scores.total),
        " bits speak for it, and against its rivals ",
        decimal(pairs.needed),
        " are needed",
        "",
    )
    margin = kernel.binary_join_element_wise(
        "another choice is ",
        decimal(np.maximum(pairs.margin, 0)),
        f" bits behind it, and {rules.margin_bits} are needed",
        "",
    )
    taken = "its ledger line fits another external line better"
    waits = "its ledger line carries a reference, and a line that names it may still come in due time"
    return kernel.case_when(
        pa.StructArray.from_arrays(
            [
                pa.array(scores.amount_is == OTHER_AMOUNT),
                pa.array(scores.total < pairs.needed),
                pa.array(pairs.is_chosen & pairs.waits),
                pa.array(pairs.is_chosen),
            ],
            names=["amount", "bits", "waits", "margin"],
        ),
        amounts,
        bits,
        waits,
        margin,
        pa.array([taken] * len(scores.total), pa.string()),
    )
