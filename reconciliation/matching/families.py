"""Families: open rows of one purse that hang together by identifying references, and how a group of them is explained.

Two rows hang together when a configured pair of columns agrees between the sides, or when they carry the same value in
one column of their own side; references are compared normalised, and "there is none" is no reference. What names many
movements at once (a batch, a payout) holds no family together. Law: families are disjoint, are numbered by their first
member in the canonical order, and never reach across purses. Whether a family nets is not known here.

    charge (ref_merchant O-1, ref_psp ch_1), refund (ref_merchant O-1, ref_psp re_1), ledger line (ref_psp re_1): one
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from reconciliation.matching import bundles, json_text
from reconciliation.matching.books import Books, Side
from reconciliation.matching.columns import BoolArray, Column, IntArray, kernel
from reconciliation.matching.proposals import Membership
from reconciliation.matching.references import ABSENT, normalised

ORDER_COLUMNS: Final = ("ref_merchant", "ref_psp", "ref_arn")
"""What one side's lines of an order share among themselves, whether or not the other side is asked for it."""

MANY_COLUMNS: Final = ("batch_ref", "ref_payout")
"""What names many movements at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Families:
    """Rows of either side by family; a family has at least two rows, and may have all of them on one side."""

    external: Membership
    ledger: Membership
    count: int

    def __len__(self) -> int:
        return self.count

    def only(self, keep: BoolArray) -> "Families":
        """The kept families."""
        return Families(
            external=self.external.only(keep), ledger=self.ledger.only(keep), count=int(keep.sum())
        )

    def sizes(self) -> tuple[IntArray, IntArray]:
        """Rows per family on either side."""
        return self.external.sizes(self.count), self.ledger.sizes(self.count)

    def sums(self, books: Books) -> tuple[Column, Column]:
        """Exact sums per family on either side."""
        return (
            _totals(books.external, self.external, self.count),
            _totals(books.ledger, self.ledger, self.count),
        )

    def go_both_ways(self, books: Books) -> BoolArray:
        """Families in which money comes and goes: at least one amount above zero and one below."""
        found = []
        for wanted in (1, -1):
            has = np.zeros(self.count, dtype=np.bool_)
            for side, members in ((books.external, self.external), (books.ledger, self.ledger)):
                has[members.group[np.sign(side.amount_minor[members.rows]) == wanted]] = True
            found.append(has)
        return np.asarray(found[0] & found[1], dtype=np.bool_)


def find_families(books: Books, external_rows: IntArray, ledger_rows: IntArray) -> Families:
    """All families among these rows."""
    external = external_rows[books.external_purse[external_rows] != ABSENT]
    ledger = ledger_rows[books.ledger_purse[ledger_rows] != ABSENT]
    purse = np.concatenate([books.external_purse[external], books.ledger_purse[ledger]]).astype(np.int64)
    width = int(purse.max(initial=0)) + 1
    members = [np.empty(0, dtype=np.int64)]
    names = [np.empty(0, dtype=np.int64)]
    used = 0
    for link in _links(books):
        codes = _codes(books, link, external, ledger)
        at = np.flatnonzero(codes >= 0)
        name = codes[at] * width + purse[at]
        dense = np.unique(name, return_inverse=True)[1].astype(np.int64)
        members.append(at)
        names.append(dense + used)
        used += int(dense.max(initial=-1)) + 1
    label = _components(np.concatenate(members), np.concatenate(names), len(purse), used)
    together = np.flatnonzero((np.bincount(label, minlength=1) > 1)[label])
    family = _by_first(label[together])
    sides = []
    for rows, offset in ((external, 0), (ledger, len(external))):
        own = (together >= offset) & (together < offset + len(rows))
        order = np.argsort(family[own], kind="stable")
        sides.append(Membership(group=family[own][order], rows=rows[together[own][order] - offset]))
    return Families(external=sides[0], ledger=sides[1], count=int(family.max(initial=-1)) + 1)


def explained(books: Books, families: Families, match_pass: str, extra: Mapping[str, Column]) -> Column:
    """Canonical JSON per family: amounts, counts, dates, kinds, and the references that hold it together."""
    count = len(families)
    external_minor, ledger_minor = (total.astype(np.int64) for total in families.sums(books))
    dates: dict[str, Column] = {}
    for name, side, members in _sides(books, families):
        latest = np.full(count, np.iinfo(np.int32).min, dtype=np.int64)
        np.maximum.at(latest, members.group, side.business_date[members.rows])
        told = json_text.dates(np.where(members.sizes(count) > 0, latest, 0))
        dates[name] = kernel.if_else(pa.array(members.sizes(count) > 0), told, pa.scalar(None, pa.string()))
    number = json_text.numbers
    amounts = {
        "difference_minor": number(external_minor - ledger_minor),
        "external_minor": number(external_minor),
        "ledger_minor": number(ledger_minor),
    }
    counted = dict(zip(("external", "ledger"), (number(size) for size in families.sizes()), strict=True))
    return json_text.objects(
        {
            "amounts": json_text.objects(amounts),
            "counts": json_text.objects(counted),
            "dates": json_text.objects(dates),
            "kinds": _kinds(books, families),
            "pass": pa.array([f'"{match_pass}"'] * count, pa.string()),
            "references": _shared(books, families),
            **extra,
        }
    )


def listed(group: IntArray, texts: Column, count: int) -> Column:
    """Per group the JSON list of its distinct texts, each JSON itself, in their own order."""
    table = pa.table({"group": pa.array(group, pa.int64()), "text": texts}).group_by(["group", "text"])
    rows = table.aggregate([]).sort_by([("group", "ascending"), ("text", "ascending")])
    starts = np.searchsorted(rows["group"].to_numpy(), np.arange(count + 1))
    lists = pa.ListArray.from_arrays(pa.array(starts, pa.int32()), rows["text"].combine_chunks())
    return kernel.binary_join_element_wise("[", kernel.binary_join(lists, ","), "]", "")


def _sides(books: Books, families: Families) -> Iterator[tuple[str, Side, Membership]]:
    yield "external", books.external, families.external
    yield "ledger", books.ledger, families.ledger


def _links(books: Books) -> list[tuple[str | None, str | None]]:
    """Columns whose equal values hold rows together, as (external, ledger); None: the other side is not asked."""
    pairs = [
        (pair.external, pair.ledger)
        for pair in books.references
        if pair.external not in MANY_COLUMNS and pair.ledger not in MANY_COLUMNS
    ]
    own: list[tuple[str | None, str | None]] = []
    own += [(name, None) for name in ORDER_COLUMNS if name not in {external for external, _ in pairs}]
    own += [(None, name) for name in ORDER_COLUMNS if name not in {ledger for _, ledger in pairs}]
    return [*dict.fromkeys(pairs), *own]


def _values(side: Side, name: str | None, rows: IntArray) -> Column:
    """A reference column on these rows in comparable form."""
    if name is None or side.reference(name).null_count == len(side):
        return pa.nulls(len(rows), pa.string())
    return normalised(side.reference(name).take(pa.array(rows)))


def _codes(
    books: Books, link: tuple[str | None, str | None], external: IntArray, ledger: IntArray
) -> IntArray:
    """Codes of a link's values over the rows of both sides, the external ones first; -1 where there is none."""
    values = pa.concat_arrays(
        [_values(books.external, link[0], external), _values(books.ledger, link[1], ledger)]
    )
    if values.null_count == len(values):
        return np.full(len(values), -1, dtype=np.int64)
    codes = values.dictionary_encode().indices
    return np.asarray(kernel.fill_null(codes, -1).to_numpy(), dtype=np.int64)


def _components(members: IntArray, names: IntArray, count: int, name_count: int) -> IntArray:
    """The component of each of ``count`` members; two belong together that have a name in common."""
    size = count + name_count
    ones = np.ones(len(members), dtype=np.int8)
    graph = coo_array((ones, (members, names + count)), shape=(size, size))
    labels = connected_components(graph, directed=False)[1]
    return np.asarray(labels[:count], dtype=np.int64)


def _by_first(labels: IntArray) -> IntArray:
    """The labels numbered anew, in the order in which they first occur."""
    first, inverse = np.unique(labels, return_index=True, return_inverse=True)[1:]
    place = np.empty(len(first), dtype=np.int64)
    place[np.argsort(first, kind="stable")] = np.arange(len(first))
    return place[inverse]


def _totals(side: Side, members: Membership, count: int) -> Column:
    """Exact sums; unbounded integers where 64 bits might not hold them."""
    sizes = members.sizes(count)
    starts = (np.cumsum(sizes) - sizes)[sizes > 0]
    found = bundles.sums(side.amount_minor[members.rows], starts)
    total = np.zeros(count, dtype=found.dtype)
    total[sizes > 0] = found
    return total


def _kinds(books: Books, families: Families) -> Column:
    """The kinds of a family's lines, those of both sides together."""
    kinds = [
        json_text.quoted(kernel.fill_null(side.column("kind").take(pa.array(members.rows)), "unknown"))
        for _, side, members in _sides(books, families)
    ]
    group = np.concatenate([families.external.group, families.ledger.group])
    return listed(group, pa.concat_arrays(kinds), len(families))


def _shared(books: Books, families: Families) -> Column:
    """The references that at least two lines of a family share, as they are written."""
    external, ledger = families.external, families.ledger
    group = np.concatenate([external.group, ledger.group])
    groups, texts = [np.empty(0, dtype=np.int64)], [pa.array([], pa.string())]
    for link in _links(books):
        codes = _codes(books, link, external.rows, ledger.rows)
        name = group * (int(codes.max(initial=0)) + 1) + codes
        values, place, times = np.unique(name, return_inverse=True, return_counts=True)
        at = np.flatnonzero((codes >= 0) & (times > 1)[place]) if len(values) else np.empty(0, dtype=np.int64)
        if len(at):
            groups.append(group[at])
            texts.append(_named(books, link, external.rows, ledger.rows).take(pa.array(at)))
    return listed(np.concatenate(groups), pa.concat_arrays(texts), len(families))


def _named(books: Books, link: tuple[str | None, str | None], external: IntArray, ledger: IntArray) -> Column:
    """A link and the value of each row in it, as JSON."""
    written = []
    for side, name, rows in ((books.external, link[0], external), (books.ledger, link[1], ledger)):
        values = (
            pa.nulls(len(rows), pa.string()) if name is None else side.reference(name).take(pa.array(rows))
        )
        written.append(values)
    fields = {"value": json_text.quoted(pa.concat_arrays(written))}
    columns = zip(("external", "ledger"), link, strict=True)
    fields |= {side: pa.scalar(f'"{name}"') for side, name in columns if name is not None}
    return json_text.objects(fields)
