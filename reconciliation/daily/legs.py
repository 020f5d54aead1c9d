"""The legs between two sources: a processor's payout and a scheme's settlement, met by the bank's line.

Law: a line is taken once in each leg. These groups prove that money which left one source reached the other; they say
nothing of the ledger, whose own lines are matched in the leg ``ledger``.
"""

from datetime import date
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute

from ledger_core.sql import copy_out
from reconciliation.daily import book
from reconciliation.daily.universe import SQL
from reconciliation.items import EXTERNAL_ITEM_SCHEMA
from reconciliation.matching import match_legs
from reconciliation.sources import LegRule, Source

kernel: Any = pyarrow.compute  # its stubs do not know that kernels take plain values


def match_leg(
    connection: psycopg.Connection[Any], source: Source, rule: LegRule, *, as_of: date, run_id: int
) -> tuple[int, int]:
    """Match one leg up to a day; returns the groups made and the lines of ``source`` that still wait for the bank.

    The caller holds the locks of both sources and has made the temporary tables.
    """
    ours = _open_in_leg(connection, source.id, rule, kind=rule.kind, start=source.start_date, as_of=as_of)
    if ours.num_rows == 0:
        return 0, 0
    earliest = kernel.min(ours["business_date"]).as_py()
    theirs = _open_in_leg(connection, rule.with_source, rule, kind=None, start=earliest, as_of=as_of)
    undone = connection.execute(SQL["rejected_groups"], {"source": source.id}).fetchall()
    result = match_legs(ours, theirs, rule, rejected=frozenset(key for (key,) in undone))
    items = pa.concat_tables([ours, theirs]).select(["line_id", "business_date", "account"])
    members = result.members.join(items, keys="line_id", join_type="inner")
    members = members.append_column("entry_key", pa.nulls(members.num_rows, pa.string()))
    made = book.write_groups(connection, source.id, run_id, result.groups, members)
    met = kernel.is_in(ours["line_id"], value_set=result.members["line_id"].combine_chunks())
    return made, ours.num_rows - int(kernel.sum(met).as_py() or 0)


def _open_in_leg(
    connection: psycopg.Connection[Any],
    source_id: str,
    rule: LegRule,
    *,
    kind: str | None,
    start: date,
    as_of: date,
) -> pa.Table:
    wanted = {"source": source_id, "leg": rule.leg, "kind": kind, "start_date": start, "last": as_of}
    return copy_out(connection, SQL["open_in_leg"], wanted, EXTERNAL_ITEM_SCHEMA)
