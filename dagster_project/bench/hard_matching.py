"""A hard world as items, rules and context of the matching engine, and matched: in one step, or day by day.

Day by day is how the daily run works: what stays open is carried on, and a day learns lags and the ends of payouts'
runs from the days before it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute

from fixtures.hard_model import ASSET, FEE_FIXED_MINOR, FEE_PPM, LAG_LATEST, HardWorld, columns
from reconciliation.daily.learned import NOTHING, known_lags, moved_cursors, with_lesson
from reconciliation.items import EXTERNAL_ITEM_SCHEMA, LEDGER_ITEM_SCHEMA
from reconciliation.matching import MatchContext, MatchResult, match_day
from reconciliation.sources import PRESET_PASSES, FeeSchedule, GroupRule, Lag, MatchRules, ReferencePair

_EPOCH: Final = date(1970, 1, 1)

kernel: Any = pyarrow.compute  # its stubs do not know that kernels take plain values


def matched(world: HardWorld) -> MatchResult:
    """The world as one step, by the presets of a bank."""
    return match_day(external_items(world), ledger_items(world), hard_rules(), hard_context(world))


def matched_by_day(world: HardWorld) -> MatchResult:
    """The world day by day: all groups of all days, and what the last day suggests and leaves ambiguous.

    Quiet days follow until everything is due: what could wait for a better partner has waited.
    """
    theirs, ours = external_items(world), ledger_items(world)
    rules, context = hard_rules(), hard_context(world)
    external, ledger = theirs.slice(0, 0), ours.slice(0, 0)
    lessons, cursors = NOTHING, context.chain_cursors
    results: list[MatchResult] = []
    for day in (*world.days, *_quiet_days(world, context)):
        as_of = (day - _EPOCH).days
        external = pa.concat_tables([external, _of_day(theirs, day)])
        ledger = pa.concat_tables([ledger, _of_day(ours, day)])
        told = replace(context, as_of=as_of, lag_counts=known_lags(lessons, day), chain_cursors=cursors)
        result = match_day(external, ledger, rules, told)
        results.append(result)
        external, _ = _parted(external, "line_id", result)
        ledger, taken = _parted(ledger, "entry_id", result)
        lessons = with_lesson(lessons, day, result.lag_counts)
        cursors = moved_cursors(cursors, result, taken)
    return replace(
        results[-1],
        groups=pa.concat_tables([result.groups for result in results]),
        members=pa.concat_tables([result.members for result in results]),
        limits=tuple(dict.fromkeys(limit for result in results for limit in result.limits)),
    )


def _quiet_days(world: HardWorld, context: MatchContext) -> list[date]:
    """Business days after the world's last, until the latest lag is over."""
    last = (world.days[-1] - _EPOCH).days
    later = context.business_days[context.business_days > last][: context.lag.latest + 1]
    return [_EPOCH + timedelta(days=int(day)) for day in later]


def _of_day(items: pa.Table, day: date) -> pa.Table:
    return items.filter(kernel.equal(items["business_date"], pa.scalar(day, pa.date32())))


def _parted(items: pa.Table, name: str, result: MatchResult) -> tuple[pa.Table, pa.Table]:
    """The items that stay open, and those that some group took."""
    taken = kernel.is_in(items[name], value_set=result.members[name].combine_chunks().drop_null())
    return items.filter(kernel.invert(taken)), items.filter(taken)


def hard_rules() -> MatchRules:
    """The preset of a bank, the references and the fee that are agreed, and which lines are collections."""
    return MatchRules(
        passes=PRESET_PASSES["bank"],
        references=(ReferencePair(external="ref_end_to_end", ledger="ref_end_to_end"),),
        fees=(FeeSchedule(asset=ASSET, kind="transfer", rate_ppm=FEE_PPM, fixed_minor=FEE_FIXED_MINOR),),
        groups=(GroupRule(kind="payout", member_kinds=("charge", "refund")),),
    )


def hard_context(world: HardWorld) -> MatchContext:
    """The bank's calendar and contract; nothing was learned yet."""
    days = np.array([(day - _EPOCH).days for day in world.business_days], dtype=np.int64)
    return MatchContext(
        business_days=days, lag=Lag(earliest=0, expected=1, latest=LAG_LATEST), ledger_lag_latest=0
    )


def external_items(world: HardWorld) -> pa.Table:
    """The bank's lines as items."""
    of = columns(world.lines)
    count = len(world.lines)
    return _table(
        EXTERNAL_ITEM_SCHEMA,
        {
            "line_id": range(count),
            "line_key": of["native_id"],
            "version": [1] * count,
            "business_date": of["day"],
            "account": of["account"],
            "amount_minor": of["amount_minor"],
            "asset": [ASSET] * count,
            "fee_minor": of["fee_minor"],
            "ref_end_to_end": _told(of["reference"]),
            "counterparty": _told(of["counterparty"]),
            "kind": of["kind"],
            "text": _told(of["text"]),
        },
    )


def ledger_items(world: HardWorld) -> pa.Table:
    """The journal lines as items."""
    of = columns(world.entries)
    count = len(world.entries)
    return _table(
        LEDGER_ITEM_SCHEMA,
        {
            "entry_id": range(count),
            "line_no": [1] * count,
            "entry_key": of["entry_key"],
            "business_date": of["day"],
            "account": of["account"],
            "amount_minor": of["amount_minor"],
            "asset": [ASSET] * count,
            "kind": of["kind"],
            "ref_end_to_end": _told(of["reference"]),
            "counterparty": _told(of["counterparty"]),
            "effective_at": of["effective_at"],
            "description": _told(of["description"]),
        },
    )


def _told(values: Sequence[str]) -> list[str | None]:
    return [value or None for value in values]


def _table(schema: pa.Schema, values: Mapping[str, Iterable[Any]]) -> pa.Table:
    count = len(list(values["account"]))
    arrays = [
        pa.array(list(values[field.name]), field.type)
        if field.name in values
        else pa.nulls(count, field.type)
        for field in schema
    ]
    return pa.table(arrays, schema=schema)
