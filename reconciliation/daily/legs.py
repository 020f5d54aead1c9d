"""The legs between two sources: a processor's payout and a scheme's settlement, met by the bank's line.

Law: a line is taken once in each leg, and who is taken by whom follows from the data alone: a leg is a fold over dates,
and what changed on either side is folded again from its date on. These groups prove that money which left one source
reached the other; they say nothing of the ledger, whose own lines are matched in the leg ``ledger``.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Final

import psycopg
import pyarrow as pa
import pyarrow.compute

from ledger_core.sql import copy_out
from reconciliation.daily import book
from reconciliation.daily.universe import SQL
from reconciliation.exceptions.decisions import read_decisions
from reconciliation.items import EXTERNAL_ITEM_SCHEMA
from reconciliation.matching import MatchResult, match_legs
from reconciliation.sources import LegRule, Source

kernel: Any = pyarrow.compute  # its stubs do not know that kernels take plain values

WAITS: Final = timedelta(days=7)
"""How long before our line the other source's may be dated: money arrives after it left, but for zones and weekends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LegOutcome:
    """Groups made and revoked, and lines of the source that still wait for the other one."""

    made: int = 0
    revoked: int = 0
    waiting: int


def match_leg(
    connection: psycopg.Connection[Any],
    source: Source,
    rule: LegRule,
    *,
    first: date | None,
    last: date,
    run_id: int,
) -> LegOutcome:
    """Match one leg from ``first`` to ``last``; without ``first`` nothing changed and only what waits is counted.

    The caller holds the lock of the source and has made the temporary tables. Lines of the other source that come
    meanwhile are news for the next run.
    """
    ours = _open_in_leg(
        connection, source, rule, of=source.id, start=source.start_date, first=first or date.max, last=last
    )
    if first is None:
        return LegOutcome(waiting=ours.num_rows)
    theirs = _open_in_leg(
        connection, source, rule, of=rule.with_source, start=first - WAITS, first=first, last=last
    )
    undone = read_decisions(connection, source.id, until=last).rejected
    found = list(_fold(ours, theirs, rule, first=first, rejected=undone))
    revoked, kept = book.revoke_stale(
        connection, source.id, rule.leg, first=first, found=[result.groups for result in found]
    )
    items = pa.concat_tables([ours, theirs]).select(["line_id", "business_date", "account"])
    made, met = 0, 0
    for result in found:
        members = result.members.join(items, keys="line_id", join_type="inner")
        members = members.append_column("entry_key", pa.nulls(members.num_rows, pa.string()))
        made += book.write_groups(connection, source.id, run_id, result.groups, members, already=kept)
        met += result.groups.num_rows  # each takes one line of ours
    return LegOutcome(made=made, revoked=revoked, waiting=ours.num_rows - met)


def _fold(
    ours: pa.Table, theirs: pa.Table, rule: LegRule, *, first: date, rejected: frozenset[str]
) -> Iterator[MatchResult]:
    """What each date settles, in order. A group decided by what a date brought is dated by it."""
    dates: Any = pa.chunked_array(
        [*ours["business_date"].chunks, *theirs["business_date"].chunks], pa.date32()
    )
    for day in sorted(day for day in dates.unique().to_pylist() if day >= first):
        result = match_legs(
            ours.filter(kernel.less_equal(ours["business_date"], day)),
            theirs.filter(
                kernel.and_(
                    kernel.less_equal(theirs["business_date"], day),
                    kernel.greater_equal(theirs["business_date"], day - WAITS),
                )
            ),
            rule,
            rejected=rejected,
        )
        if result.groups.num_rows:
            taken = result.members["line_id"].combine_chunks()
            ours, theirs = (
                items.filter(kernel.invert(kernel.is_in(items["line_id"], value_set=taken)))
                for items in (ours, theirs)
            )
            place = result.groups.schema.get_field_index("as_of")
            dated = pa.array([day] * result.groups.num_rows, pa.date32())
            groups = result.groups.set_column(place, result.groups.schema.field(place), dated)
            yield replace(result, groups=groups)


def _open_in_leg(
    connection: psycopg.Connection[Any],
    source: Source,
    rule: LegRule,
    *,
    of: str,
    start: date,
    first: date,
    last: date,
) -> pa.Table:
    """Lines of one side that no group before ``first`` has taken."""
    wanted = {
        "source": of,
        "leg": rule.leg,
        "leg_of": source.id,
        "kind": rule.kind if of == source.id else None,
        "start_date": start,
        "first": first,
        "last": last,
    }
    return copy_out(connection, SQL["open_in_leg"], wanted, EXTERNAL_ITEM_SCHEMA)
