"""The explanation of pairs that were weighed: canonical JSON with every feature's bits, and why one is only suggested.

    "bits":{"amount":"14.024","counterparty":"0.000","lag":"3.170",…,"margin":"12.500","needed":"21.877",…}

Writes what it is given; weighs and decides nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from reconciliation.matching import fees, json_text
from reconciliation.matching.books import Books
from reconciliation.matching.columns import BoolArray, Column, IntArray, kernel
from reconciliation.matching.edges import EXACT, IN_TEXT, LOST_PREFIX, NEAR, Edges
from reconciliation.matching.proposals import Membership, Proposal, Sums, explanation
from reconciliation.matching.scoring import NET_AMOUNT, Scores, net_fee
from reconciliation.sources import MatchRules

_LIKENESS: Final = {
    NEAR: "one slip apart",
    LOST_PREFIX: "one is part of the other, or one number with another prefix",
    IN_TEXT: "named in the text",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """Pairs with all that their explanation needs; parallel arrays."""

    edges: Edges
    scores: Scores
    needed: IntArray  # millibits
    margin: IntArray  # millibits; meaningful where ``is_chosen``
    is_chosen: BoolArray
    waits: BoolArray  # the ledger line may still be claimed by its own reference
    rivals: tuple[IntArray, IntArray]  # lines of either side in the component
    twins: tuple[IntArray, IntArray]

    def only(self, at: IntArray | BoolArray) -> "Weighed":
        """These pairs, in this order."""
        edges = Edges(
            external=self.edges.external[at],
            ledger=self.edges.ledger[at],
            similarity=self.edges.similarity[at],
        )
        return Weighed(
            edges=edges,
            scores=self.scores.only(at),
            needed=self.needed[at],
            margin=self.margin[at],
            is_chosen=self.is_chosen[at],
            waits=self.waits[at],
            rivals=(self.rivals[0][at], self.rivals[1][at]),
            twins=(self.twins[0][at], self.twins[1][at]),
        )


def proposal_of(
    books: Books,
    rules: MatchRules,
    match_pass: str,
    pairs: Weighed,
    *,
    extra: Mapping[str, Column] | None = None,
) -> Proposal:
    """The pairs as groups of a pass, in canonical order of the external line; ``extra``: columns of JSON, parallel."""
    order = np.argsort(pairs.edges.external, kind="stable")
    pairs = pairs.only(order)
    left, right = pairs.edges.external, pairs.edges.ledger
    ones = np.ones(len(left), dtype=np.int64)
    sums = Sums(
        external_minor=books.external.amount_minor[left],
        ledger_minor=books.ledger.amount_minor[right],
        external_date=books.external.business_date[left],
        ledger_date=books.ledger.business_date[right],
        external_count=ones,
        ledger_count=ones,
        twins_external=pairs.twins[0],
        twins_ledger=pairs.twins[1],
    )
    is_net = pairs.scores.amount_is == NET_AMOUNT
    fields = {"bits": bits_of(pairs), "component": _component(pairs), "likeness": _likeness(pairs)}
    fields |= {name: column.take(pa.array(order)) for name, column in (extra or {}).items()}
    evidence = explanation(
        books,
        match_pass,
        sums,
        external_rows=left,
        ledger_rows=right,
        pairs=books.references,
        fee=_fee(books, rules, pairs, is_net) if is_net.any() else None,
        extra=fields,
    )
    return Proposal(
        match_pass=match_pass,
        external=Membership.single(left),
        ledger=Membership.single(right),
        external_is_fee=is_net,
        ledger_is_fee=np.zeros(len(left), dtype=np.bool_),
        evidence=evidence,
        evidence_millibits=np.maximum(pairs.scores.total, 0),
        margin_millibits=np.where(pairs.is_chosen, np.maximum(pairs.margin, 0), -1),
        solutions=ones,
    )


def bits_of(pairs: Weighed) -> Column:
    """JSON object per pair: every feature, the total, what was needed, and the margin where the pair was chosen."""
    scores = pairs.scores
    fields = {
        "amount": scores.amount,
        "counterparty": scores.counterparty,
        "lag": scores.lag,
        "needed": pairs.needed,
        "presence": scores.presence,
        "reference": scores.reference,
        "rivals": scores.rivals,
        "total": scores.total,
    }
    texts = {name: json_text.quoted(decimal(values)) for name, values in fields.items()}
    texts["margin"] = _where(json_text.quoted(decimal(pairs.margin)), pairs.is_chosen)
    return json_text.objects(texts)


def decimal(millibits: IntArray) -> Column:
    """Bits with three digits after the point."""
    size = np.abs(millibits)
    whole = kernel.cast(pa.array(size // 1_000), pa.string())
    rest = kernel.utf8_lpad(kernel.cast(pa.array(size % 1_000), pa.string()), width=3, padding="0")
    sign = kernel.if_else(pa.array(millibits < 0), "-", "")
    return kernel.binary_join_element_wise(kernel.binary_join_element_wise(sign, whole, ""), rest, ".")


def names_of_pairs(books: Books, edges: Edges, bits: Column) -> Column:
    """JSON object per pair that names its two items by their keys, with their total."""
    ours, theirs = pa.array(edges.ledger), pa.array(edges.external)
    fields = {
        "bits": json_text.quoted(bits),
        "external": json_text.quoted(books.external.column("line_key").take(theirs)),
        "ledger": json_text.quoted(books.ledger.column("entry_key").take(ours)),
        "ledger_line_no": kernel.cast(books.ledger.column("line_no").take(ours), pa.string()),
    }
    return json_text.objects(fields)


def _component(pairs: Weighed) -> Column:
    counted = json_text.objects(
        {"external": json_text.numbers(pairs.rivals[0]), "ledger": json_text.numbers(pairs.rivals[1])}
    )
    return _where(counted, pairs.rivals[0] > 0)


def _likeness(pairs: Weighed) -> Column:
    words = [_LIKENESS.get(similarity) for similarity in range(EXACT + 1)]
    return json_text.quoted(kernel.take(pa.array(words, pa.string()), pa.array(pairs.edges.similarity)))


def _where(column: Column, keep: BoolArray) -> Column:
    return kernel.if_else(pa.array(keep), column, pa.scalar(None, pa.string()))


def _fee(books: Books, rules: MatchRules, pairs: Weighed, is_net: BoolArray) -> Column:
    """JSON object of the fee that is the difference, null where the amounts are equal."""
    predicted = net_fee(books, pairs.edges.external, pairs.edges.ledger, rules.fees)
    booked = books.ledger.amount_minor[pairs.edges.ledger]
    fields = {
        "external_fee_minor": json_text.numbers(booked - books.external.amount_minor[pairs.edges.external]),
        "external_gross_minor": json_text.numbers(booked),
        **fees.schedule_fields(rules.fees, predicted),
    }
    return _where(json_text.objects(fields), is_net)
