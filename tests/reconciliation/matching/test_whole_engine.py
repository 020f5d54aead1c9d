"""All passes together on worlds made hard on purpose: order, chunks, surrogate ids and strangers change nothing."""

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest

from dagster_project.bench.confusion import START
from dagster_project.bench.hard_matching import external_items, hard_context, hard_rules, ledger_items
from fixtures.hard_world import HardWorld, hard_world
from reconciliation.matching import MatchResult, match_day


@pytest.fixture(scope="module")
def world() -> HardWorld:
    return hard_world(5, START, days=8, lines=120)


@pytest.fixture(scope="module")
def found(world: HardWorld) -> MatchResult:
    return matched(world, external_items(world), ledger_items(world))


def matched(world: HardWorld, external: pa.Table, ledger: pa.Table) -> MatchResult:
    return match_day(external, ledger, hard_rules(), hard_context(world))


def by_content(result: MatchResult) -> list[pa.Table]:
    """What a result says, without the surrogate ids that its members go by, in one order."""
    sides = []
    for groups, members in (
        (result.groups, result.members),
        (result.suggested_groups, result.suggested_members),
    ):
        named = members.select(["group_key", "side", "allocated_minor", "asset", "role"])
        sides += [
            groups.sort_by("group_key"),
            named.sort_by([(name, "ascending") for name in named.column_names]),
        ]
    return sides


def same(first: MatchResult, second: MatchResult) -> bool:
    pairs = zip(by_content(first), by_content(second), strict=True)
    return all(one.equals(other) for one, other in pairs) and first.limits == second.limits


def shuffled(items: pa.Table, seed: int) -> pa.Table:
    return items.take(pa.array(np.random.default_rng(seed).permutation(items.num_rows)))


def test_the_world_keeps_every_pass_busy(found: MatchResult) -> None:
    made = {name for name, count in found.counts.items() if count.groups}
    assert {
        "exact",
        "normalised",
        "net_of_fee",
        "in_text",
        "near_reference",
        "amount_and_lag",
        "chained_run",
    } <= made
    assert found.suggested_groups.num_rows


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_order_of_the_rows_changes_nothing(world: HardWorld, found: MatchResult, seed: int) -> None:
    external, ledger = shuffled(external_items(world), seed), shuffled(ledger_items(world), seed + 10)
    assert same(matched(world, external, ledger), found)


def test_files_split_or_merged_change_nothing(world: HardWorld, found: MatchResult) -> None:
    external, ledger = external_items(world), ledger_items(world)
    split = [
        pa.concat_tables([items.slice(0, 7), items.slice(7, 400), items.slice(407)])
        for items in (external, ledger)
    ]
    assert split[0]["line_id"].num_chunks > 1
    assert same(matched(world, *split), found)


def test_other_surrogate_ids_change_nothing(world: HardWorld, found: MatchResult) -> None:
    tables = []
    for items, name in ((external_items(world), "line_id"), (ledger_items(world), "entry_id")):
        ids = np.asarray(items[name].to_numpy())
        place = items.schema.get_field_index(name)
        tables.append(items.set_column(place, items.schema.field(name), pa.array(10**9 - ids * 3)))
    assert same(matched(world, *tables), found)


def test_what_the_groups_take_adds_up_and_nothing_is_taken_twice(found: MatchResult) -> None:
    members = (
        found.members.group_by(["group_key", "side"]).aggregate([("allocated_minor", "sum")]).to_pylist()
    )
    sums = {(row["group_key"], row["side"]): row["allocated_minor_sum"] for row in members}
    for row in found.groups.to_pylist():
        assert sums.get((row["group_key"], "external"), 0) == row["external_minor"]
        assert sums.get((row["group_key"], "ledger"), 0) == row["ledger_minor"]
    lines = found.members["line_id"].drop_null().to_pylist()
    entries = list(zip(*(found.members[name].to_pylist() for name in ("entry_id", "line_no")), strict=True))
    entries = [pair for pair in entries if pair[0] is not None]
    assert len(lines) == len(set(lines))
    assert len(entries) == len(set(entries))


def test_strangers_lose_nobody_a_match_that_references_made(world: HardWorld, found: MatchResult) -> None:
    external, ledger = external_items(world), ledger_items(world)
    strange = [moved(external, "line_id", "line_key"), moved(ledger, "entry_id", "entry_key")]
    more = matched(world, pa.concat_tables([external, strange[0]]), pa.concat_tables([ledger, strange[1]]))
    strict = {
        row["group_key"]
        for row in found.groups.to_pylist()
        if row["match_pass"] in ("exact", "normalised", "net_of_fee") and row["evidence_millibits"] is None
    }
    assert strict
    assert strict <= set(more.groups["group_key"].to_pylist())


def moved(items: pa.Table, identity: str, key: str) -> pa.Table:
    """The same lines two years later, under other names: nobody's rivals."""
    rows = items.to_pylist()
    for row in rows:
        row[identity] += 10**8
        row[key] = f"stranger {row[key]}"
        row["business_date"] += timedelta(days=730)
        for name, value in row.items():
            if name.startswith("ref_") and value:
                row[name] = f"{value}-STRANGER"
    return pa.Table.from_pylist(rows, items.schema)
