"""What a pass proposes: groups of rows with their roles and an explanation, and the names groups go by.

A group's key is the SHA-256 of its leg and the sorted identities of its members: the same members are the same group
whatever pass, day, run or machine found them, and a group people undid is known again.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Self

import numpy as np
import pyarrow as pa

from reconciliation.matching import json_text
from reconciliation.matching.books import Books
from reconciliation.matching.columns import BoolArray, Column, IntArray, kernel
from reconciliation.matching.references import ABSENT
from reconciliation.matching.result import Limit
from reconciliation.sources import ReferencePair

_AT_ONCE: Final = 250_000  # groups whose texts are written together; bounds memory, changes nothing
_HEXADECIMAL: Final = np.frombuffer("".join(f"{byte:02x}" for byte in range(256)).encode(), np.uint16)


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

    def only(self, part: slice) -> Self:
        """The sums of a run of groups."""
        return type(self)(**{name: getattr(self, name)[part] for name in self.__slots__})


def group_keys(books: Books, external: Membership, ledger: Membership, count: int) -> list[str]:
    """The key of each group: SHA-256 in hexadecimal of the leg and the sorted member identities, one per line."""
    found: list[str] = group_key_column(books, external, ledger, count).to_pylist()
    return found


def group_key_column(books: Books, external: Membership, ledger: Membership, count: int) -> Column:
    """As ``group_keys``, as a column."""
    if not len(external.rows) == len(ledger.rows) == count:
        left = books.external.identities(external.rows)
        right = books.ledger.identities(ledger.rows)
        texts = _joined_by_group(
            books.leg, np.concatenate([external.group, ledger.group]), pa.concat_arrays([left, right])
        )
        return digests(texts)
    parts = [pa.array([], pa.string())]
    for start in range(0, count, _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        parts.append(digests(_texts_of_pairs(books, external.rows[part], ledger.rows[part])))
    return pa.concat_arrays(parts)


def _texts_of_pairs(books: Books, external_rows: IntArray, ledger_rows: IntArray) -> Column:
    if books.external.name < books.ledger.name:  # then so are all their identities
        parts = [
            *books.external.identity_parts(external_rows),
            "\n",
            *books.ledger.identity_parts(ledger_rows),
        ]
        return kernel.binary_join_element_wise(f"{books.leg}\n", *parts, "")
    left, right = books.external.identities(external_rows), books.ledger.identities(ledger_rows)
    in_order = kernel.less_equal(left, right)
    low, high = kernel.if_else(in_order, left, right), kernel.if_else(in_order, right, left)
    return kernel.binary_join_element_wise(books.leg, low, high, "\n")


def digests(texts: Column) -> Column:
    """SHA-256 of each text in hexadecimal. Arrow has no such kernel; the digest itself is the cost."""
    made = b"".join([hashlib.sha256(text).digest() for text in kernel.cast(texts, pa.binary()).to_pylist()])
    letters = _HEXADECIMAL[np.frombuffer(made, np.uint8)]
    ends = np.arange(len(texts) + 1, dtype=np.int32) * 64
    return pa.StringArray.from_buffers(len(texts), pa.py_buffer(ends.data), pa.py_buffer(letters.data))


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

    ``extra``: further keys of the object, as columns of JSON. Many groups are one chunk after the other.
    """
    count = len(external_rows)
    if not books.explains:
        return pa.repeat("{}", count)
    more = dict(extra) if fee is None else {**extra, "fee": fee}
    parts = []
    for start in range(0, max(count, 1), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        fields: dict[str, json_text.Field] = {
            **_circumstances(sums.only(part)),
            "asset": _quoted_assets(books, external_rows[part]),
            "pass": f'"{match_pass}"',
            "references": _agreeing(books, external_rows[part], ledger_rows[part], pairs),
            **{name: column[part] for name, column in more.items()},
        }
        parts.append(json_text.objects(fields))
    return parts[0] if len(parts) == 1 else pa.chunked_array(parts)


def _circumstances(sums: Sums) -> dict[str, json_text.Field]:
    """What of the explanation follows from amounts, dates and counts."""
    number = json_text.numbers_or_one
    several = (sums.twins_external > 1) | (sums.twins_ledger > 1)
    found: dict[str, json_text.Field] = {
        "amounts": {
            "difference_minor": number(sums.external_minor - sums.ledger_minor),
            "external_minor": json_text.numbers(sums.external_minor),
            "ledger_minor": json_text.numbers(sums.ledger_minor),
        },
        "counts": {"external": number(sums.external_count), "ledger": number(sums.ledger_count)},
        "dates": {
            "external": json_text.dates(sums.external_date),
            "lag_days": number(sums.external_date - sums.ledger_date),
            "ledger": json_text.dates(sums.ledger_date),
        },
    }
    if several.any():
        twins = json_text.objects(
            {
                "external": json_text.numbers(sums.twins_external),
                "ledger": json_text.numbers(sums.twins_ledger),
            }
        )
        found["interchangeable"] = kernel.if_else(pa.array(several), twins, pa.scalar(None, pa.string()))
    return found


def _quoted_assets(books: Books, external_rows: IntArray) -> Column | str:
    codes, words = books.external.coded("asset")
    quoted = json_text.quoted(words)
    return str(quoted[0]) if len(words) == 1 else quoted.take(pa.array(codes[external_rows]))


def _agreeing(
    books: Books, external_rows: IntArray, ledger_rows: IntArray, pairs: Sequence[ReferencePair]
) -> Column:
    """JSON list of the references that agree: as written, or only when normalised and then with both values."""
    found = []
    for pair in pairs:
        columns = {"external": f'"{pair.external}"', "ledger": f'"{pair.ledger}"'}
        raw = books.agreement(pair, as_written=True)
        as_written = _agrees(raw.external[external_rows], raw.ledger[ledger_rows])
        comparable = np.zeros(len(as_written), dtype=np.bool_)
        at = np.flatnonzero(~as_written & (raw.external[external_rows] != ABSENT))
        if len(at):
            normal = books.agreement(pair, as_written=False)
            comparable[at] = _agrees(normal.external[external_rows[at]], normal.ledger[ledger_rows[at]])
        theirs = books.external.reference(pair.external)
        if as_written.any():
            found.append(
                _object_where(as_written, {"agree": '"raw"', **columns}, value=(theirs, external_rows))
            )
        if comparable.any():
            ours = books.ledger.reference(pair.ledger), ledger_rows
            fields = {"agree": '"normalised"', **columns}
            found.append(
                _object_where(comparable, fields, external_value=(theirs, external_rows), ledger_value=ours)
            )
    return json_text.lists(found, len(external_rows))


def _agrees(left: IntArray, right: IntArray) -> BoolArray:
    return np.asarray((left == right) & (left != ABSENT), dtype=np.bool_)


def _object_where(keep: BoolArray, fields: dict[str, str], **values: tuple[Column, IntArray]) -> Column:
    """Objects of the fields and of the values of these rows, where kept; null elsewhere."""
    mask = None if keep.all() else ~keep
    taken: dict[str, Column | str] = {
        name: json_text.quoted(column.take(pa.array(rows, mask=mask)))
        for name, (column, rows) in values.items()
    }
    parts: list[Column | str] = []
    for name, value in sorted({**fields, **taken}.items()):
        parts += ["," if parts else "{", f'"{name}":', value]
    return kernel.binary_join_element_wise(*json_text.merged([*parts, "}"]), "")  # null where a value is


def _joined_by_group(leg: str, group: IntArray, texts: Column) -> Column:
    """Per group, the leg and its texts in their own order, one per line."""
    table = pa.table({"group": pa.array(group), "text": texts})
    table = table.take(kernel.sort_indices(table, sort_keys=[("group", "ascending"), ("text", "ascending")]))
    ordered = table["group"].to_numpy()
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    offsets = pa.array(np.append(starts, len(ordered)), pa.int32())
    lists = pa.ListArray.from_arrays(offsets, table["text"].combine_chunks())
    return kernel.binary_join_element_wise(leg, kernel.binary_join(lists, "\n"), "\n")
