"""What a pass proposes: groups of rows with their roles and an explanation, and the names groups go by.

A group's key is the SHA-256 of its leg and the sorted identities of its members: the same members are the same group
whatever pass, day, run or machine found them, and a group people undid is known again.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self

import numpy as np
import pyarrow as pa

from reconciliation.matching import json_text
from reconciliation.matching.books import Books
from reconciliation.matching.columns import BoolArray, Column, IntArray, kernel
from reconciliation.matching.references import ABSENT
from reconciliation.matching.result import Limit
from reconciliation.sources import ReferencePair


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """Rows by group, as flat arrays sorted by group; groups are numbered from 0."""

    group: IntArray
    rows: IntArray

    @classmethod
    def single(cls, rows: IntArray) -> Self:
        """One row in each group."""
        return cls(group=np.arange(len(rows)), rows=rows)

    def sizes(self, count: int) -> IntArray:
        """Rows per group."""
        return np.bincount(self.group, minlength=count)

    def only(self, keep: BoolArray) -> Self:
        """The kept groups, renumbered."""
        number = np.cumsum(keep) - 1
        at = keep[self.group]
        return type(self)(group=number[self.group[at]], rows=self.rows[at])


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """Groups of one pass. ``*_is_fee`` marks members, parallel to the membership, whose role is ``residual_role``; on
    the ledger's side ``ledger_residual_role``, where that is another.

    The bits are parallel to the groups, -1 where there are none; ``solutions`` counts the explanations that fit.
    """

    match_pass: str
    external: Membership
    ledger: Membership
    external_is_fee: BoolArray
    ledger_is_fee: BoolArray
    evidence: Column
    residual_role: str = "fee"
    ledger_residual_role: str | None = None
    evidence_millibits: IntArray | None = None
    margin_millibits: IntArray | None = None
    solutions: IntArray | None = None

    def __len__(self) -> int:
        return len(self.evidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Undecided:
    """Candidate rows of ambiguous components, as parallel arrays; ``reasons`` by component number."""

    match_pass: str
    external_rows: IntArray
    ledger_rows: IntArray
    component: IntArray
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one pass hands to the step: disjoint proposals, what it could not decide, the limits it met.

    ``suggestions`` are proposals that take nothing: their evidence says why they are not automatic.
    """

    proposals: tuple[Proposal, ...] = ()
    undecided: tuple[Undecided, ...] = ()
    limits: tuple[Limit, ...] = ()
    suggestions: tuple[Proposal, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """Per group: sums by side, the latest date of either side, and how many interchangeable items there were."""

    external_minor: IntArray
    ledger_minor: IntArray
    external_date: IntArray
    ledger_date: IntArray
    external_count: IntArray
    ledger_count: IntArray
    twins_external: IntArray
    twins_ledger: IntArray


def group_keys(books: Books, external: Membership, ledger: Membership, count: int) -> list[str]:
    """The key of each group: SHA-256 in hexadecimal of the leg and the sorted member identities, one per line."""
    left = books.external.identities(external.rows)
    right = books.ledger.identities(ledger.rows)
    if len(left) == len(right) == count:
        in_order = kernel.less_equal(left, right)
        low, high = kernel.if_else(in_order, left, right), kernel.if_else(in_order, right, left)
        texts = kernel.binary_join_element_wise(books.leg, low, high, "\n")
    else:
        texts = _joined_by_group(
            books.leg, np.concatenate([external.group, ledger.group]), pa.concat_arrays([left, right])
        )
    return hexadecimal_digests(texts)


def hexadecimal_digests(texts: Column) -> list[str]:
    """SHA-256 of each text. Arrow has no such kernel; the digest itself is the cost."""
    return [hashlib.sha256(str(text).encode()).hexdigest() for text in texts.to_pylist()]


def undone_pairs(
    books: Books, rejected: frozenset[str], external: Membership, ledger: Membership, *, count: int
) -> BoolArray:
    """Which groups people took apart."""
    if not rejected or not count:
        return np.zeros(count, dtype=np.bool_)
    return np.array([key in rejected for key in group_keys(books, external, ledger, count)], dtype=np.bool_)


def explanation(
    books: Books,
    match_pass: str,
    sums: Sums,
    *,
    external_rows: IntArray,
    ledger_rows: IntArray,
    pairs: Sequence[ReferencePair],
    fee: Column | None = None,
    extra: Mapping[str, Column] = MappingProxyType({}),
) -> Column:
    """Canonical JSON per group; ``*_rows`` are the rows whose references speak for it, ``fee`` is JSON itself.

    ``extra``: further keys of the object, as columns of JSON.
    """
    number, date = json_text.numbers, json_text.dates
    amounts = {
        "difference_minor": number(sums.external_minor - sums.ledger_minor),
        "external_minor": number(sums.external_minor),
        "ledger_minor": number(sums.ledger_minor),
    }
    dates = {
        "external": date(sums.external_date),
        "lag_days": number(sums.external_date - sums.ledger_date),
        "ledger": date(sums.ledger_date),
    }
    fields = {
        "amounts": json_text.objects(amounts),
        "asset": json_text.quoted(books.external.column("asset").take(external_rows)),
        "counts": json_text.objects(
            {"external": number(sums.external_count), "ledger": number(sums.ledger_count)}
        ),
        "dates": json_text.objects(dates),
        "pass": pa.array([f'"{match_pass}"'] * len(external_rows), pa.string()),
        "references": _agreeing(books, external_rows, ledger_rows, pairs),
    }
    twins = json_text.objects({"external": number(sums.twins_external), "ledger": number(sums.twins_ledger)})
    several = pa.array((sums.twins_external > 1) | (sums.twins_ledger > 1))
    fields["interchangeable"] = kernel.if_else(several, twins, pa.scalar(None, pa.string()))
    if fee is not None:
        fields["fee"] = fee
    return json_text.objects({**fields, **extra})


def _agreeing(
    books: Books, external_rows: IntArray, ledger_rows: IntArray, pairs: Sequence[ReferencePair]
) -> Column:
    """JSON list of the references that agree: as written, or only when normalised and then with both values."""
    found = []
    for pair in pairs:
        columns = {"external": pa.scalar(f'"{pair.external}"'), "ledger": pa.scalar(f'"{pair.ledger}"')}
        raw, normal = (books.agreement(pair, as_written=as_written) for as_written in (True, False))
        as_written = _agrees(raw.external[external_rows], raw.ledger[ledger_rows])
        comparable = _agrees(normal.external[external_rows], normal.ledger[ledger_rows]) & ~as_written
        if as_written.any():
            value = json_text.quoted(
                _where(as_written, books.external.reference(pair.external), external_rows)
            )
            found.append(_object_where(value, {"agree": pa.scalar('"raw"'), **columns, "value": value}))
        if comparable.any():
            ours = json_text.quoted(_where(comparable, books.ledger.reference(pair.ledger), ledger_rows))
            theirs = json_text.quoted(
                _where(comparable, books.external.reference(pair.external), external_rows)
            )
            values = {"external_value": theirs, "ledger_value": ours}
            found.append(_object_where(theirs, {"agree": pa.scalar('"normalised"'), **columns, **values}))
    return json_text.lists(found, len(external_rows))


def _agrees(left: IntArray, right: IntArray) -> BoolArray:
    return np.asarray((left == right) & (left != ABSENT), dtype=np.bool_)


def _where(keep: BoolArray, values: Column, rows: IntArray) -> Column:
    """The values of these rows, null where not kept."""
    return values.take(pa.array(rows, mask=~keep))


def _object_where(value: Column, fields: dict[str, Column]) -> Column:
    return kernel.if_else(kernel.is_valid(value), json_text.objects(fields), pa.scalar(None, pa.string()))


def _joined_by_group(leg: str, group: IntArray, texts: Column) -> Column:
    """Per group, the leg and its texts in their own order, one per line."""
    table = pa.table({"group": pa.array(group), "text": texts})
    table = table.take(kernel.sort_indices(table, sort_keys=[("group", "ascending"), ("text", "ascending")]))
    ordered = table["group"].to_numpy()
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    offsets = pa.array(np.append(starts, len(ordered)), pa.int32())
    lists = pa.ListArray.from_arrays(offsets, table["text"].combine_chunks())
    return kernel.binary_join_element_wise(leg, kernel.binary_join(lists, "\n"), "\n")
