"""The laws of matching as properties, and the one-to-one passes against a naive second statement of them."""

import random
from collections import Counter
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciliation.matching import MatchResult, match_day
from reconciliation.sources import MatchRules
from tests.reconciliation.matching.cases import (
    Item,
    ambiguous_of,
    external,
    externals,
    ledger,
    ledgers,
    matched,
    pairs_of,
    rules,
    schedule,
)
from tests.reconciliation.matching.naive import naive_match

PAIRS = [
    ("ref_end_to_end", "ref_end_to_end"),
    ("ref_end_to_end", "batch_ref"),
    ("ref_servicer", "ref_servicer"),
]
ONE_TO_ONE = rules(*PAIRS, window_days=2, passes=("exact", "normalised"))
ALL_PASSES = rules(*PAIRS, window_days=2, fees=(schedule(0, 1, kind="transfer", tolerance_minor=0),))
TEXTS = st.sampled_from(
    [None, None, "INV7781", "INV-7781", "0inv 7781", "INV7782", "A1", "A-1", "NOTPROVIDED"]
)
CROWD: dict[str, st.SearchStrategy[Any]] = {  # everything collides; what differs is how it is written
    "amount_minor": st.just(100),
    "ref_end_to_end": st.sampled_from(["INV7781", "INV7781", "INV-7781", "INV7782", None]),
    "ref_servicer": st.sampled_from([None, None, "SERV1", "SERV2"]),
    "account": st.just("a"),
    "day": st.integers(0, 2),
}
ITEM: dict[str, st.SearchStrategy[Any]] = {
    "amount_minor": st.sampled_from([100, 100, 99, -1, -100]),
    "ref_end_to_end": TEXTS,
    "ref_servicer": st.sampled_from([None, None, None, "SERV1", "SERV2"]),
    "batch_ref": st.sampled_from([None, None, None, "INV7781", "BATCH1"]),
    "counterparty": st.sampled_from([None, None, None, "Ann"]),
    "account": st.sampled_from(["a", "a", "a", "b"]),
    "day": st.integers(0, 6),
}
SIMPLE = {"amount_minor": st.sampled_from([100, 99]), "day": st.integers(0, 6), "account": st.just("a")}


@st.composite
def worlds(draw: st.DrawFn, content: dict[str, Any] = ITEM, size: int = 7) -> tuple[list[Item], list[Item]]:
    """A few items of either side, alike enough to collide in every way."""
    theirs = draw(
        st.lists(st.fixed_dictionaries(content | {"fee_minor": st.sampled_from([0, 0, 1])}), max_size=size)
    )
    ours = draw(st.lists(st.fixed_dictionaries(content), max_size=size))
    entries = draw(st.lists(st.integers(0, 3), min_size=len(ours), max_size=len(ours)))
    lines = draw(st.booleans())  # one line per entry, or several
    numbered: Counter[int] = Counter()
    booked = []
    for at, (item, entry) in enumerate(zip(ours, entries, strict=True)):
        numbered[entry] += 1
        names = (f"L{entry}", numbered[entry]) if lines else (f"L{at}", 1)
        booked.append(ledger(names[0], line_no=names[1], **item))
    return [external(f"E{at}", **item) for at, item in enumerate(theirs)], booked


def shuffled(items: list[Item], seed: int) -> list[Item]:
    return random.Random(seed).sample(items, len(items))


def left_over(result: MatchResult, theirs: list[Item], ours: list[Item]) -> tuple[list[Item], list[Item]]:
    members = result.members.to_pylist()
    lines = {row["line_id"] for row in members}
    entries = {(row["entry_id"], row["line_no"]) for row in members}
    return (
        [item for item in theirs if item["line_id"] not in lines],
        [item for item in ours if (item["entry_id"], item["line_no"]) not in entries],
    )


@settings(max_examples=250, deadline=None)
@given(worlds() | worlds(CROWD))
def test_pairs_and_ambiguities_are_those_of_the_naive_statement(world):
    theirs, booked = world
    ours = [ledger(f"L{at}", **_without_names(item)) for at, item in enumerate(booked)]
    result = matched(theirs, ours, ONE_TO_ONE)
    expected = naive_match(theirs, ours, PAIRS, 2)
    assert pairs_of(result, theirs, ours) == {
        frozenset(names): name for names, name in expected.pairs.items()
    }
    assert ambiguous_of(result, theirs, ours) == {
        key: frozenset(found) for key, found in expected.ambiguous.items()
    }


def _without_names(item: Item) -> Item:
    return {
        key: value
        for key, value in item.items()
        if key not in {"entry_id", "entry_key", "line_no", "kind", "asset"}
    }


@settings(max_examples=200, deadline=None)
@given(worlds(SIMPLE | {"ref_end_to_end": st.just("RENT")}, size=12))
def test_twins_over_many_days_are_paired_as_the_naive_statement_does(world):
    theirs, booked = world
    ours = [ledger(f"L{at}", **_without_names(item)) for at, item in enumerate(booked)]
    theirs = [item | {"fee_minor": 0} for item in theirs]
    expected = naive_match(theirs, ours, PAIRS, 2)
    found = pairs_of(matched(theirs, ours, ONE_TO_ONE), theirs, ours)
    assert found == {frozenset(names): name for names, name in expected.pairs.items()}


@settings(max_examples=80, deadline=None)
@given(worlds(), st.integers(0, 1000), st.integers(1, 3))
def test_the_order_of_rows_and_their_split_into_chunks_change_nothing(world, seed, chunks):
    theirs, ours = world
    result = matched(theirs, ours, ALL_PASSES)
    mixed = externals(shuffled(theirs, seed)), ledgers(shuffled(ours, seed + 1))
    parts = [_chunked(table, chunks) for table in mixed]
    again = match_day(parts[0], parts[1], ALL_PASSES)
    assert again.groups.equals(result.groups)
    assert again.members.equals(result.members)
    assert again.ambiguous.equals(result.ambiguous)


def _chunked(table: pa.Table, chunks: int) -> pa.Table:
    size = max(1, table.num_rows // chunks)
    return pa.concat_tables([table.slice(at, size) for at in range(0, max(table.num_rows, 1), size)])


@settings(max_examples=80, deadline=None)
@given(worlds())
def test_matching_what_was_left_over_finds_nothing_more(world):
    theirs, ours = world
    first = matched(theirs, ours, ALL_PASSES)
    again = matched(*left_over(first, theirs, ours), ALL_PASSES)
    assert again.groups.num_rows == 0
    assert again.ambiguous.equals(first.ambiguous)


@settings(max_examples=80, deadline=None)
@given(worlds())
def test_nothing_is_matched_twice_and_sums_are_the_sums_of_members(world):
    theirs, ours = world
    result = matched(theirs, ours, ALL_PASSES)
    members = result.members.to_pylist()
    used = Counter((row["side"], row["line_id"], row["entry_id"], row["line_no"]) for row in members)
    assert all(count == 1 for count in used.values())
    amounts = {("external", item["line_id"], None, None): item["amount_minor"] for item in theirs}
    amounts |= {("ledger", None, item["entry_id"], item["line_no"]): item["amount_minor"] for item in ours}
    sums: Counter[tuple[str, str]] = Counter()
    for row in members:
        assert row["allocated_minor"] == amounts[row["side"], row["line_id"], row["entry_id"], row["line_no"]]
        sums[row["group_key"], row["side"]] += row["allocated_minor"]
    for group in result.groups.to_pylist():
        assert group["external_minor"] == sums[group["group_key"], "external"]
        assert group["ledger_minor"] == sums[group["group_key"], "ledger"]
        assert group["difference_minor"] == group["external_minor"] - group["ledger_minor"]
        assert group["difference_minor"] <= 0  # zero, or a fee kept back
    assert sum(count.groups for count in result.counts.values()) == result.groups.num_rows
    assert sum(count.external_items + count.ledger_items for count in result.counts.values()) == len(members)


@settings(max_examples=80, deadline=None)
@given(worlds())
def test_ambiguous_items_are_open_items(world):
    theirs, ours = world
    result = matched(theirs, ours, ALL_PASSES)
    open_theirs, open_ours = left_over(result, theirs, ours)
    ids = {(item["entry_id"], item["line_no"]) for item in open_ours}
    for row in result.ambiguous.to_pylist():
        assert row["line_id"] in {item["line_id"] for item in open_theirs}
        assert set(zip(row["entry_ids"], row["line_nos"], strict=True)) <= ids


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_unrelated_rows_lose_no_match(world):
    theirs, ours = world
    others = [_renamed(item, "line_key", "line_id") for item in theirs]
    other_entries = [_renamed(item, "entry_key", "entry_id") for item in ours]
    before = set(matched(theirs, ours, ALL_PASSES).groups["group_key"].to_pylist())
    after = set(matched(theirs + others, ours + other_entries, ALL_PASSES).groups["group_key"].to_pylist())
    assert before <= after


def _renamed(item: Item, key: str, number: str) -> Item:
    """The same movement in another book: other account, other key."""
    return item | {
        "account": f"other {item['account']}",
        key: f"other {item[key]}",
        number: item[number] + 10**15,
    }


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_what_people_undid_never_comes_back(world):
    theirs, ours = world
    undone = frozenset(matched(theirs, ours, ALL_PASSES).groups["group_key"].to_pylist())
    result = matched(theirs, ours, ALL_PASSES, rejected=undone)
    assert undone.isdisjoint(result.groups["group_key"].to_pylist())
    again = matched(*left_over(result, theirs, ours), ALL_PASSES, rejected=undone)
    assert again.groups.num_rows == 0


@settings(max_examples=60, deadline=None)
@given(worlds(SIMPLE | {"ref_end_to_end": st.sampled_from(["INV7781", "INV7782", "RENT"])}, size=12))
def test_day_after_day_gives_what_all_days_at_once_give_where_nothing_is_ambiguous(world):
    theirs, ours = world
    theirs = [item | {"fee_minor": 0} for item in theirs]
    ours = [ledger(f"L{at}", **_without_names(item)) for at, item in enumerate(ours)]
    at_once = set(matched(theirs, ours, ONE_TO_ONE).groups["group_key"].to_pylist())
    assert _day_after_day(theirs, ours, ONE_TO_ONE) == at_once


def _day_after_day(theirs: list[Item], ours: list[Item], by: MatchRules) -> set[str]:
    found: set[str] = set()
    open_theirs: list[Item] = []
    open_ours: list[Item] = []
    for day in sorted({item["business_date"] for item in theirs + ours}):
        open_theirs += [item for item in theirs if item["business_date"] == day]
        open_ours += [item for item in ours if item["business_date"] == day]
        result = matched(open_theirs, open_ours, by)
        assert all(as_of == day for as_of in result.groups["as_of"].to_pylist())
        found |= set(result.groups["group_key"].to_pylist())
        open_theirs, open_ours = left_over(result, open_theirs, open_ours)
    return found
