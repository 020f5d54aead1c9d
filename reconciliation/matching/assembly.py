"""Puts what the passes proposed into the tables of a result. Decides nothing."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from reconciliation.matching.books import Books
from reconciliation.matching.columns import BoolArray, Column, IntArray, kernel
from reconciliation.matching.proposals import Membership, Proposal, Undecided, digests, group_key_column
from reconciliation.matching.result import (
    AMBIGUOUS_SCHEMA,
    GROUP_SCHEMA,
    MEMBER_SCHEMA,
    Limit,
    MatchResult,
    PassCount,
)


def assemble(
    books: Books,
    passes: Sequence[str],
    proposals: Sequence[Proposal],
    undecided: Sequence[Undecided],
    limits: tuple[Limit, ...],
    *,
    suggestions: Sequence[Proposal] = (),
) -> MatchResult:
    """The result of one step; groups in the order in which they were found, members external first."""
    counts = dict.fromkeys(passes, PassCount())
    for proposal in proposals:
        before = counts[proposal.match_pass]
        counts[proposal.match_pass] = PassCount(
            groups=before.groups + len(proposal),
            external_items=before.external_items + len(proposal.external.rows),
            ledger_items=before.ledger_items + len(proposal.ledger.rows),
        )
    groups, members = _tables(books, proposals, "confirmed")
    suggested_groups, suggested_members = _tables(books, suggestions, "suggested")
    return MatchResult(
        groups=groups,
        members=members,
        suggested_groups=suggested_groups,
        suggested_members=suggested_members,
        ambiguous=_ambiguous(books, undecided),
        counts=counts,
        limits=limits,
    )


def _between_sources(books: Books) -> bool:
    return books.ledger.name == "external"


def _tables(books: Books, proposals: Sequence[Proposal], state: str) -> tuple[pa.Table, pa.Table]:
    """Groups and members; what several passes suggest is told once, by the first."""
    groups = [GROUP_SCHEMA.empty_table()]
    members = [MEMBER_SCHEMA.empty_table()]
    told: set[str] = set()
    for proposal in proposals:
        keys = group_key_column(books, proposal.external, proposal.ledger, len(proposal))
        found = _groups(books, proposal, keys, state), _members(books, proposal, keys)
        if state == "suggested":
            known = pa.array(sorted(told), pa.string())
            found = (_unknown(found[0], known), _unknown(found[1], known))
            told.update(str(key) for key in found[0]["group_key"].to_pylist())
        groups.append(found[0])
        members.append(found[1])
    return pa.concat_tables(groups), pa.concat_tables(members)


def _unknown(rows: pa.Table, known: Column) -> pa.Table:
    return rows.filter(kernel.invert(kernel.is_in(rows["group_key"], value_set=known)))


def _groups(books: Books, proposal: Proposal, keys: Column, state: str) -> pa.Table:
    count = len(proposal)
    external, ledger = proposal.external, proposal.ledger
    external_minor = _sums(books.external.amount_minor, external, count)
    ledger_minor = _sums(books.ledger.amount_minor, ledger, count)
    if _between_sources(books):  # both members are external and cancel out; the ledger has no part in it
        external_minor, ledger_minor = external_minor - ledger_minor, np.zeros(count, dtype=np.int64)
    as_of = np.full(count, np.iinfo(np.int32).min, dtype=np.int64)
    for side, members in ((books.external, external), (books.ledger, ledger)):
        np.maximum.at(as_of, members.group, side.business_date[members.rows])
    columns = {
        "group_key": keys,
        "leg": pa.repeat(books.leg, count),
        "match_pass": pa.repeat(proposal.match_pass, count),
        "as_of": pa.array(as_of.astype(np.int32), pa.int32()).cast(pa.date32()),
        "asset": _assets(books, proposal),
        "external_minor": pa.array(external_minor),
        "ledger_minor": pa.array(ledger_minor),
        "difference_minor": pa.array(external_minor - ledger_minor),
        "evidence": proposal.evidence,
        "state": pa.repeat(state, count),
        "evidence_millibits": _where_weighed(proposal.evidence_millibits, count),
        "margin_millibits": _where_weighed(proposal.margin_millibits, count),
        "solutions": _where_weighed(proposal.solutions, count),
    }
    return pa.table(columns, schema=GROUP_SCHEMA)


def _assets(books: Books, proposal: Proposal) -> Column:
    """The asset of each group, by its first external member; by the first of the ledger where it has no other."""
    numbers = np.arange(len(proposal))
    named = proposal.external.sizes(len(proposal)) > 0
    external = proposal.external.rows[np.searchsorted(proposal.external.group, numbers[named])]
    codes, words = books.external.coded("asset")
    found = words.take(pa.array(codes[external]))
    if named.all():
        return found
    ledger = proposal.ledger.rows[np.searchsorted(proposal.ledger.group, numbers[~named])]
    place = np.empty(len(proposal), dtype=np.int64)
    place[named] = np.arange(len(external))
    place[~named] = np.arange(len(ledger)) + len(external)
    ours = books.ledger.column("asset").take(pa.array(ledger))
    return pa.concat_arrays([found, ours]).take(pa.array(place))


def _where_weighed(values: IntArray | None, count: int) -> Column:
    """The figures of the groups, null where there are none."""
    if values is None:
        return pa.nulls(count, pa.int64())
    return pa.array(values, mask=values < 0)


def _sums(amounts: IntArray, members: Membership, count: int) -> IntArray:
    total = np.zeros(count, dtype=np.int64)
    np.add.at(total, members.group, amounts[members.rows])
    return total


def _members(books: Books, proposal: Proposal, keys: Column) -> pa.Table:
    """Members group by group, external first."""
    external, ledger = proposal.external.rows, proposal.ledger.rows
    group = np.concatenate([proposal.external.group, proposal.ledger.group])
    order = _by_group(group, len(external))
    ours = np.asarray(order < len(external), dtype=np.bool_)
    mirrored = -1 if _between_sources(books) else 1
    allocated = np.concatenate(
        [books.external.amount_minor[external], books.ledger.amount_minor[ledger] * mirrored]
    )
    lines = books.external.integers("line_id")[external]
    blank = np.zeros(len(external), dtype=np.int64)
    if _between_sources(books):
        ids = np.concatenate([lines, books.ledger.integers("line_id")[ledger]])
        identity = {
            "line_id": pa.array(ids[order]),
            "entry_id": pa.nulls(len(order), pa.int64()),
            "line_no": pa.nulls(len(order), pa.int32()),
        }
    else:
        theirs = {name: books.ledger.integers(name)[ledger] for name in ("entry_id", "line_no")}
        entries, numbers = (np.concatenate([blank, theirs[name]])[order] for name in theirs)
        ids = np.concatenate([lines, np.zeros(len(ledger), dtype=np.int64)])
        identity = {
            "line_id": pa.array(ids[order], mask=~ours),
            "entry_id": pa.array(entries, mask=ours),
            "line_no": pa.array(numbers.astype(np.int32), mask=ours),
        }
    columns = identity | {
        "group_key": keys.take(pa.array(group[order])),
        "side": pa.array([books.ledger.name, books.external.name]).take(ours.astype(np.int64)),
        "allocated_minor": pa.array(allocated[order]),
        "asset": _member_assets(books, proposal, order),
        "role": _roles(proposal, order),
    }
    return pa.table({name: columns[name] for name in MEMBER_SCHEMA.names}, schema=MEMBER_SCHEMA)


def _by_group(group: IntArray, external: int) -> IntArray:
    """Places of the members group by group; of pairs, which most groups are, without sorting."""
    if 2 * external == len(group) and np.array_equal(group[:external], group[external:]):
        numbers = np.arange(len(group)).reshape(2, -1)
        if (np.diff(group[:external]) > 0).all():
            return np.asarray(numbers.T.ravel(), dtype=np.int64)
    return np.argsort(group, kind="stable")


def _member_assets(books: Books, proposal: Proposal, order: IntArray) -> Column:
    (ours, our_words), (theirs, their_words) = books.external.coded("asset"), books.ledger.coded("asset")
    codes = np.concatenate([ours[proposal.external.rows], theirs[proposal.ledger.rows] + len(our_words)])
    return pa.concat_arrays([our_words, their_words]).take(pa.array(codes[order]))


def _other_items(books: Books, rows: Column) -> dict[str, Column]:
    """Identity columns of the other side's items."""
    blank = pa.nulls(len(rows), pa.int64())
    asset = books.ledger.column("asset").take(rows)
    if _between_sources(books):
        lines = books.ledger.column("line_id").take(rows)
        return {"line_id": lines, "entry_id": blank, "line_no": blank.cast(pa.int32()), "asset": asset}
    entries, numbers = (books.ledger.column(name).take(rows) for name in ("entry_id", "line_no"))
    return {"line_id": blank, "entry_id": entries, "line_no": numbers, "asset": asset}


def _roles(proposal: Proposal, order: IntArray) -> Column:
    role = proposal.residual_role
    words = pa.array(["principal", role, proposal.ledger_residual_role or role])
    places = np.concatenate(
        [proposal.external_is_fee.astype(np.int8), proposal.ledger_is_fee.astype(np.int8) * 2]
    )
    return words.take(pa.array(places[order]))


def _ambiguous(books: Books, undecided: Sequence[Undecided]) -> pa.Table:
    """One row per external line; a line ambiguous in several passes is told of by the first, which is the strictest."""
    told: set[int] = set()
    tables = [AMBIGUOUS_SCHEMA.empty_table()]
    for one in undecided:
        fresh = ~np.isin(one.external_rows, np.array(sorted(told), dtype=np.int64))
        told.update(one.external_rows.tolist())
        if fresh.any():
            tables.append(_ambiguous_of_pass(books, one, fresh))
    return pa.concat_tables(tables).combine_chunks()


def _ambiguous_of_pass(books: Books, one: Undecided, fresh: BoolArray) -> pa.Table:
    keys: Column = _component_keys(books, one)
    order = np.flatnonzero(fresh)
    order = order[np.lexsort((one.ledger_rows[order], one.external_rows[order]))]
    rows = one.external_rows[order]
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    offsets = pa.array(np.append(starts, len(rows)), pa.int32())
    other = _other_items(books, pa.array(one.ledger_rows[order]))
    component = pa.array(one.component[order][starts])
    nothing = pa.ListArray.from_arrays(
        pa.array([0] * (len(starts) + 1), pa.int32()), pa.array([], pa.int64())
    )
    lists = {
        name: pa.ListArray.from_arrays(offsets, other[name]) for name in ("line_id", "entry_id", "line_no")
    }
    between = _between_sources(books)
    columns = {
        "ambiguity_key": keys.take(component),
        "line_id": books.external.column("line_id").take(rows[starts]),
        "match_pass": pa.array([one.match_pass] * len(starts), pa.string()),
        "entry_ids": nothing if between else lists["entry_id"],
        "line_nos": nothing.cast(pa.list_(pa.int32())) if between else lists["line_no"],
        "candidate_line_ids": lists["line_id"] if between else nothing,
        "reason": kernel.take(pa.array(one.reasons, pa.string()), component),
    }
    return pa.table(columns, schema=AMBIGUOUS_SCHEMA)


def _component_keys(books: Books, one: Undecided) -> Column:
    """A name for each component from its items alone, made as group keys are."""
    sides = []
    for rows in (one.external_rows, one.ledger_rows):
        pairs = np.unique(np.stack([one.component, rows]), axis=1)
        sides.append(Membership(group=pairs[0], rows=pairs[1]))
    keys = group_key_column(books, sides[0], sides[1], len(one.reasons))
    return digests(kernel.binary_join_element_wise("ambiguous", keys, "\n"))
