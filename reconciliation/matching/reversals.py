"""Pass ``reversal_family``: charge, refund, chargeback and representment of one order, netted inside their family.

Confirmed only where the whole open family has one reading:

1. both sides: everything the source has of it and everything we have come to the same sum, and money goes both ways;
2. our side alone: entries and the entries that take them back (``corrects_entry_key``) come to nothing;
3. the source's alone, our book having no open line of it: chargebacks and their reversals take each other back, amount
   for amount and none before its chargeback, and our book had the days it may be behind to book them.

A sale and its refund that our book both lacks are suggested only: what was earned and given back would be missing from
it. A family that does not net leaves all its lines open, to be judged line by line. Law: never across purses, never a
part of a family, and so never a refund with its sale across the sides. An external line whose own reference every line
of ours contradicts is no part of it.

    source +80.00 (O-1)     ledger +100.00 and -20.00 (O-1)           1: one group of three
    ledger +125.00, then -125.00 correcting it                        2: one group of two, nothing of the source
    source -50.00 chargeback, +50.00 chargeback_reversal              3: one group of two, nothing of ours
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from reconciliation.matching import json_text
from reconciliation.matching.books import Books, Side
from reconciliation.matching.candidates import combined
from reconciliation.matching.columns import BoolArray, Column, IntArray, kernel
from reconciliation.matching.context import MatchContext
from reconciliation.matching.families import MANY_COLUMNS, Families, explained, find_families, listed
from reconciliation.matching.proposals import Membership, Outcome, Proposal, undone_pairs
from reconciliation.matching.references import ABSENT
from reconciliation.matching.result import Limit
from reconciliation.sources import EXTERNAL_REFERENCE_COLUMNS, MatchRules

_NAME: Final = "reversal_family"
_SALES: Final = ("charge", "presentment")
_READINGS: Final = {
    "both": "all open lines of the family come to the same sum on both sides",
    "ours": "our entries and those that take them back come to nothing; the source has no part in it",
    "theirs": "chargebacks and their reversals take each other back; our book has no open line of them",
    "sale": "what the source took and gave back comes to nothing; our book has no open line of it",
}
_WHY_NOT: Final = (
    "our book has neither the movement nor its way back: netted here, both would stay out of what was earned and "
    "what was given back"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    """What every step asks for."""

    books: Books
    rules: MatchRules
    context: MatchContext

    def allowed(self, families: Families, keep: BoolArray) -> tuple[Families, tuple[Limit, ...]]:
        """The kept families that are not too large and that people did not take apart."""
        sizes = families.sizes()
        small = sizes[0] + sizes[1] <= self.rules.group_size_max
        limits = tuple(
            _limit(self.books, families, int(at), self.rules.group_size_max)
            for at in np.flatnonzero(keep & ~small)
        )
        found = families.only(keep & small)
        undone = undone_pairs(
            self.books, self.context.rejected, found.external, found.ledger, count=len(found)
        )
        return found.only(~undone), limits


def match_reversal_families(
    books: Books,
    external_rows: IntArray,
    ledger_rows: IntArray,
    *,
    rules: MatchRules,
    context: MatchContext,
) -> Outcome:
    """Families among the open rows that net, and those a person may net."""
    search = _Search(books=books, rules=rules, context=context)
    if not _goes_both_ways(books, external_rows, ledger_rows):
        return Outcome()
    families = find_families(books, external_rows, ledger_rows)
    both, too_large = _of_both_sides(search, families)
    free = np.setdiff1d(ledger_rows, both.ledger.rows)
    ours, of_ours = _corrections(search, free)
    theirs, sales, of_theirs = _of_the_source(search, families)
    found = [
        _proposal(books, both, "both", {}),
        _proposal(books, ours, "ours", {"corrections": _corrected(books, ours)} if len(ours) else {}),
        _proposal(books, theirs, "theirs", {}),
    ]
    why_not = {"why_not_automatic": json_text.quoted(pa.array([_WHY_NOT] * len(sales), pa.string()))}
    suggested = _proposal(books, sales, "sale", why_not | {"alternatives": pa.array(["[]"] * len(sales))})
    return Outcome(
        proposals=tuple(proposal for proposal in found if len(proposal)),
        limits=(*too_large, *of_ours, *of_theirs),
        suggestions=(suggested,) if len(suggested) else (),
    )


def _goes_both_ways(books: Books, external_rows: IntArray, ledger_rows: IntArray) -> bool:
    """Whether anything at all could be netted."""
    signs = np.sign(
        np.concatenate([books.external.amount_minor[external_rows], books.ledger.amount_minor[ledger_rows]])
    )
    return bool((signs > 0).any() and (signs < 0).any())


def _of_both_sides(search: _Search, families: Families) -> tuple[Families, tuple[Limit, ...]]:
    """Families whose complete sums agree; only the latest dates must lie within the window, disputes take months."""
    books = search.books
    whole = families.only((families.sizes()[0] > 0) & (families.sizes()[1] > 0))
    if not len(whole):
        return whole, ()
    part = ~_contradicted(books, whole)
    whole = Families(
        external=Membership(group=whole.external.group[part], rows=whole.external.rows[part]),
        ledger=whole.ledger,
        count=len(whole),
    )
    sums = whole.sums(books)
    keep = (sums[0] == sums[1]) & (np.abs(sums[0]) < 2**63) & (whole.sizes()[0] > 0)
    keep = np.asarray(keep, dtype=np.bool_) & whole.go_both_ways(books)
    if books.window_days is not None:
        latest = [
            _latest(side, members, len(whole))
            for side, members in ((books.external, whole.external), (books.ledger, whole.ledger))
        ]
        keep &= np.abs(latest[0] - latest[1]) <= books.window_days
    return search.allowed(whole, keep)


def _contradicted(books: Books, families: Families) -> BoolArray:
    """External members whose own well-formed reference differs from that of every ledger line of the family."""
    external, ledger = families.external, families.ledger
    found = np.zeros(len(external.rows), dtype=np.bool_)
    for column in books.own_name_columns():
        if column in MANY_COLUMNS:
            continue
        agreement, sound_external, sound_ledger = books.well_formed(column)
        blank = np.bincount(ledger.group[~sound_ledger[ledger.rows]], minlength=len(families)) > 0
        width = int(agreement.external.max(initial=0)) + 1
        codes = agreement.ledger[ledger.rows]
        named = (ledger.group * width + codes)[codes != ABSENT]
        shared = np.isin(external.group * width + agreement.external[external.rows], named)
        found |= sound_external[external.rows] & ~blank[external.group] & ~shared
    return found


def _corrections(search: _Search, rows: IntArray) -> tuple[Families, tuple[Limit, ...]]:
    """Open entries that hang together by what they correct, and come to nothing in one purse."""
    ledger = search.books.ledger
    nothing = _ledger_families(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))
    corrects = ledger.at("corrects_entry_key", rows)
    if corrects.null_count == len(corrects):
        return nothing, ()
    keys = ledger.at("entry_key", rows)
    linked = kernel.or_(
        kernel.is_in(keys, value_set=corrects.drop_null()),
        kernel.is_in(corrects, value_set=keys, skip_nulls=True),
    )
    at = np.flatnonzero(linked.to_numpy(zero_copy_only=False))
    if not len(at):
        return nothing, ()
    rows, keys, corrects = rows[at], keys.take(pa.array(at)), corrects.take(pa.array(at))
    purse = combined(*(ledger.content_codes(name, rows) for name in ("account", "asset")))
    names = kernel.unique(keys)
    entry = kernel.index_in(keys, value_set=names).to_numpy()
    earlier = kernel.fill_null(kernel.index_in(corrects, value_set=names, skip_nulls=True), -1).to_numpy()
    node = purse * len(names) + entry
    known, place = np.unique(node, return_inverse=True)
    target = purse * len(names) + earlier
    link = np.flatnonzero((earlier >= 0) & np.isin(target, known))  # corrected in this purse, and open
    pairs = place[link], np.searchsorted(known, target[link])
    graph = coo_array((np.ones(len(link), dtype=np.int8), pairs), shape=(len(known), len(known)))
    label = connected_components(graph, directed=False)[1].astype(np.int64)[place]
    found = _ledger_families(rows, label)
    entries = np.unique(np.stack([label, entry]), axis=1)[0]
    several = np.bincount(np.unique(entries, return_inverse=True)[1], minlength=len(found)) > 1
    keep = several & np.asarray(found.sums(search.books)[1] == 0, dtype=np.bool_)
    return search.allowed(found, keep & found.go_both_ways(search.books))


def _ledger_families(rows: IntArray, label: IntArray) -> Families:
    group = np.unique(label, return_inverse=True)[1].astype(np.int64)
    order = np.lexsort((rows, group))
    nothing = np.empty(0, dtype=np.int64)
    return Families(
        external=Membership(group=nothing, rows=nothing),
        ledger=Membership(group=group[order], rows=rows[order]),
        count=int(group.max(initial=-1)) + 1,
    )


def _corrected(books: Books, families: Families) -> Column:
    """Which entry corrects which, per family."""
    at = pa.array(families.ledger.rows)
    fields = {
        "corrects": json_text.quoted(books.ledger.column("corrects_entry_key").take(at)),
        "entry": json_text.quoted(books.ledger.column("entry_key").take(at)),
    }
    correcting = np.flatnonzero(np.asarray(kernel.is_valid(fields["corrects"])))
    texts = json_text.objects(fields).take(pa.array(correcting))
    return listed(families.ledger.group[correcting], texts, len(families))


def _of_the_source(search: _Search, families: Families) -> tuple[Families, Families, tuple[Limit, ...]]:
    """Families our book has no open line of: those that chargebacks and their reversals make up, and the others."""
    books = search.books
    sizes = families.sizes()
    alone = families.only((sizes[1] == 0) & families.go_both_ways(books))
    if not len(alone):
        return alone, alone, ()
    settled = _settled(search, alone)
    bucket, of_family = _buckets(books, alone)
    kinds = _Kinds.of(books, alone.external.rows)
    disputes = _in_all(kinds.are_disputes(bucket), of_family, alone)
    nets = _in_all(kinds.take_back(bucket), of_family, alone)
    confirmed, too_large = search.allowed(alone, settled & disputes)
    suggested, _ = search.allowed(alone, settled & nets & ~disputes)
    return confirmed, suggested, too_large


def _buckets(books: Books, families: Families) -> tuple[IntArray, IntArray]:
    """A number per member for its family and size, and the family of each such number."""
    members = families.external
    size = np.abs(books.external.amount_minor[members.rows])
    bucket = combined(members.group, size)
    of_family = np.empty(int(bucket.max()) + 1, dtype=np.int64)
    of_family[bucket] = members.group
    return bucket, of_family


def _in_all(holds: BoolArray, of_family: IntArray, families: Families) -> BoolArray:
    """Families in which something holds for every bucket."""
    broken = np.bincount(of_family[~holds], minlength=len(families))
    return np.asarray(broken == 0, dtype=np.bool_)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kinds:
    """External lines by what they do: sell, give back, take back by force, and take that back."""

    sign: IntArray
    day: IntArray
    is_sale: BoolArray
    is_refund: BoolArray
    is_chargeback: BoolArray
    is_representment: BoolArray

    @classmethod
    def of(cls, books: Books, rows: IntArray) -> "_Kinds":
        """The kinds of these rows."""
        kind = books.external.column("kind").take(pa.array(rows))

        def among(*names: str) -> BoolArray:
            return np.asarray(kernel.is_in(kind, value_set=pa.array(names)), dtype=np.bool_)

        return cls(
            sign=np.sign(books.external.amount_minor[rows]),
            day=books.external.business_date[rows],
            is_sale=among(*_SALES),
            is_refund=among("refund"),
            is_chargeback=among("chargeback"),
            is_representment=among("chargeback_reversal"),
        )

    def take_back(self, bucket: IntArray) -> BoolArray:
        """Buckets whose lines all go in pairs of opposite sign, one of which can take the other back.

        A refund takes back a sale only, a reversal of a chargeback that alone, a chargeback either of the two. A line
        of nothing takes nothing back.
        """
        forward = self.is_sale | self.is_representment
        known = forward | self.is_refund | self.is_chargeback
        count = int(bucket.max()) + 1
        holds = np.bincount(bucket[~known | (self.sign == 0)], minlength=count) == 0
        for sign in (1, -1):
            ahead, back = self.sign == sign, self.sign == -sign
            holds &= _equally_many(bucket, ahead & forward, back & known & ~forward, count)
            refunds = np.bincount(bucket[back & self.is_refund], minlength=count)
            holds &= refunds <= np.bincount(bucket[ahead & self.is_sale], minlength=count)
        return np.asarray(holds, dtype=np.bool_)

    def are_disputes(self, bucket: IntArray) -> BoolArray:
        """Buckets of chargebacks and their reversals alone, as many of either, none reversed before it came."""
        count = int(bucket.max()) + 1
        known = (self.is_chargeback | self.is_representment) & (self.sign != 0)
        holds = np.bincount(bucket[~known], minlength=count) == 0
        for sign in (1, -1):
            back, ahead = (
                self.is_chargeback & (self.sign == -sign),
                self.is_representment & (self.sign == sign),
            )
            holds &= _equally_many(bucket, back, ahead, count)
            parts = [np.flatnonzero(chosen & holds[bucket]) for chosen in (back, ahead)]
            first, then = (part[np.lexsort((self.day[part], bucket[part]))] for part in parts)
            holds[bucket[first[self.day[then] < self.day[first]]]] = False
        return np.asarray(holds, dtype=np.bool_)


def _equally_many(bucket: IntArray, one: BoolArray, other: BoolArray, count: int) -> BoolArray:
    found = np.bincount(bucket[one], minlength=count) == np.bincount(bucket[other], minlength=count)
    return np.asarray(found, dtype=np.bool_)


def _settled(search: _Search, families: Families) -> BoolArray:
    """Families that our book would have by now: younger ones it may still book, and both ways at once."""
    books, days = search.books, search.context.business_days
    newest = max(int(side.business_date.max(initial=0)) for side in (books.external, books.ledger))
    latest = _latest(books.external, families.external, len(families))
    passed = newest - latest
    if len(days):
        passed = np.searchsorted(days, newest, side="right") - np.searchsorted(days, latest, side="right")
    return np.asarray(passed > search.context.ledger_lag_latest, dtype=np.bool_)


def _latest(side: Side, members: Membership, count: int) -> IntArray:
    latest = np.full(count, np.iinfo(np.int32).min, dtype=np.int64)
    np.maximum.at(latest, members.group, side.business_date[members.rows])
    return latest


def _limit(books: Books, families: Families, number: int, limit: int) -> Limit:
    """A family too large to be one group, named by its first line."""
    sizes = families.sizes()
    side, members = (books.external, families.external)
    if not sizes[0][number]:
        side, members = books.ledger, families.ledger
    row = int(members.rows[np.searchsorted(members.group, number)])

    def value(name: str) -> Any:
        return side.reference(name)[row].as_py()

    return Limit(
        match_pass=_NAME,
        what="group_size",
        account=side.column("account")[row].as_py(),
        asset=side.column("asset")[row].as_py(),
        reference=next((found for name in EXTERNAL_REFERENCE_COLUMNS if (found := value(name))), ""),
        external_count=int(sizes[0][number]),
        ledger_count=int(sizes[1][number]),
        limit=limit,
    )


def _proposal(books: Books, families: Families, reading: str, extra: dict[str, Column]) -> Proposal:
    count = len(families)
    if not count:
        evidence: Column = pa.array([], pa.string())
    else:
        said = pa.array([f'"{_READINGS[reading]}"'] * count, pa.string())
        evidence = explained(books, families, _NAME, {"reading": said, **extra})
    return Proposal(
        match_pass=_NAME,
        external=families.external,
        ledger=families.ledger,
        external_is_fee=np.zeros(len(families.external.rows), dtype=np.bool_),
        ledger_is_fee=np.zeros(len(families.ledger.rows), dtype=np.bool_),
        evidence=evidence,
        solutions=np.ones(count, dtype=np.int64),
    )
