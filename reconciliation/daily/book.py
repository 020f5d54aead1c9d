"""Writes the difference a run makes: groups revoked and added, exceptions moved on, proofs added, alerts put out.

Law: what is already there and still true is not touched, so that running again writes nothing; everything goes in
bulk and in the caller's transaction. Decides nothing.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

import psycopg
import pyarrow as pa
import pyarrow.compute
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from ledger_core.sql import copy_in, queries
from reconciliation.daily.learned import Lessons
from reconciliation.evidence.bridge import Proof, proof_table

SQL: Final = queries(Path(__file__).with_suffix(".sql"))

kernel: Any = pyarrow.compute  # its stubs do not know that kernels take plain values

_MEMBER_FACTS: Final = ["entry_key", "business_date", "account"]


def revoke_fallen(connection: psycopg.Connection[Any], source_id: str) -> int:
    """Revoke live groups, of any leg, that rest on closed lines of the source; returns how many."""
    fallen = [row[0] for row in connection.execute(SQL["groups_on_closed_lines"], {"source": source_id})]
    _revoke(connection, fallen, "a line it rested on was superseded or withdrawn")
    return len(fallen)


def revoke_stale(
    connection: psycopg.Connection[Any], source_id: str, leg: str, *, first: date, found: Iterable[pa.Table]
) -> tuple[int, frozenset[str]]:
    """Revoke live groups of a leg, dated ``first`` or later, that are not ``found`` word for word; returns how many,
    and the keys of those that stay.
    """
    wanted = {"source": source_id, "leg": leg, "first": first}
    live = [row[0] for row in connection.execute(SQL["live_groups"], wanted)]
    if not live:
        return 0, frozenset()
    connection.execute("TRUNCATE incoming_group")
    for groups in found:
        copy_in(connection, groups, "incoming_group")
    kept = dict(connection.execute(SQL["groups_still_made"], {"groups": live}).fetchall())
    stale = [group_id for group_id in live if group_id not in kept]
    _revoke(connection, stale, "matched again from changed data: this explanation is no longer made")
    return len(stale), frozenset(kept.values())


def write_groups(
    connection: psycopg.Connection[Any],
    source_id: str,
    run_id: int,
    groups: pa.Table,
    members: pa.Table,
    *,
    already: frozenset[str] = frozenset(),
) -> int:
    """Add the groups whose keys are not ``already`` there; returns how many. ``members`` carries the facts of its
    items.
    """
    fresh = groups.filter(
        kernel.invert(kernel.is_in(groups["group_key"], value_set=pa.array(sorted(already), pa.string())))
    )
    if fresh.num_rows == 0:
        return 0
    kept = members.join(fresh.select(["group_key"]), keys="group_key", join_type="left semi")
    connection.execute("TRUNCATE incoming_group, incoming_member")
    copy_in(connection, fresh, "incoming_group")
    copy_in(connection, _numbered(kept), "incoming_member")
    connection.execute(SQL["write_groups"], {"source": source_id, "run_id": run_id})
    return fresh.num_rows


def members_with_facts(members: pa.Table, items_external: pa.Table, items_ledger: pa.Table) -> pa.Table:
    """Members of groups with the entry key, business date and account of their items."""
    external = members.filter(kernel.equal(members["side"], "external")).join(
        items_external.select(["line_id", "business_date", "account"]),
        keys="line_id",
        join_type="inner",
    )
    ledger = members.filter(kernel.equal(members["side"], "ledger")).join(
        items_ledger.select(["entry_id", "line_no", *_MEMBER_FACTS]),
        keys=["entry_id", "line_no"],
        join_type="inner",
    )
    columns = [*members.column_names, *_MEMBER_FACTS]
    external = external.append_column("entry_key", pa.nulls(external.num_rows, pa.string()))
    return pa.concat_tables([external.select(columns), ledger.select(columns)])


def write_suggestions(
    connection: psycopg.Connection[Any], source_id: str, run_id: int, groups: pa.Table, members: pa.Table
) -> int:
    """Put the suggestions of the last day in the place of those before; returns how many are new.

    They take nothing: their members are not live. One that is still made, word for word, stays.
    """
    live = [row[0] for row in connection.execute(SQL["live_suggestions"], {"source": source_id})]
    kept: dict[int, str] = {}
    if live:
        connection.execute("TRUNCATE incoming_group")
        copy_in(connection, groups, "incoming_group")
        kept = dict(connection.execute(SQL["groups_still_made"], {"groups": live}).fetchall())
    gone = [group_id for group_id in live if group_id not in kept]
    _revoke(connection, gone, "no longer suggested")
    return write_groups(
        connection, source_id, run_id, groups, members, already=frozenset(kept.values())
    )


def write_lessons(
    connection: psycopg.Connection[Any], source_id: str, lessons: Lessons, *, first: date, last: date
) -> None:
    """What the days of the window confirmed of lags, in the place of what was there."""
    connection.execute(SQL["forget_lessons"], {"source": source_id, "first": first, "last": last})
    for day, counts in lessons.items():
        lags, observations = [lag for lag, _ in counts], [often for _, often in counts]
        wanted = {"source": source_id, "day": day, "lags": lags, "observations": observations}
        connection.execute(SQL["write_lesson"], wanted)


def write_exceptions(
    connection: psycopg.Connection[Any],
    source_id: str,
    as_of: date,
    exceptions: pa.Table,
    members: pa.Table,
    *,
    due_by_severity: Mapping[str, date],
    team_by_kind: Mapping[str, str],
) -> None:
    """Move the source's exceptions to a day: known ones on, new ones in, vanished ones cleared, back again reopened.

    ``due_by_severity`` says by when somebody deals with what is new, back or of another severity on this day.
    """
    dues = {severity: day.isoformat() for severity, day in due_by_severity.items()}
    wanted = {
        "source": source_id,
        "as_of": as_of,
        "sla": json.dumps(dues),
        "teams": json.dumps(dict(team_by_kind)),
    }
    connection.execute(SQL["empty_exceptions"])
    copy_in(connection, exceptions, "incoming_exception")
    copy_in(connection, members, "incoming_exception_member")
    for step in (
        "remove_members",
        "update_exceptions",
        "clear_exceptions",
        "insert_exceptions",
        "insert_members",
        "remember_members",
        "return_to_owner",
    ):
        connection.execute(SQL[step], wanted)


def describe_exceptions(connection: psycopg.Connection[Any], source_id: str) -> None:
    """Write what the open exceptions are listed by: the reference of their lines, and the best suggested match."""
    connection.execute(SQL["describe_exceptions"], {"source": source_id})


def write_proofs(
    connection: psycopg.Connection[Any], source_id: str, run_id: int, proofs: Iterable[Proof]
) -> None:
    """Add the proofs that say something new."""
    copy_in(connection, proof_table(list(proofs)), "incoming_proof")
    connection.execute(SQL["write_proofs"], {"source": source_id, "run_id": run_id})


def prepare(connection: psycopg.Connection[Any]) -> int:
    """Make the temporary tables of a run and take its number."""
    for tables in ("incoming_tables", "incoming_exceptions", "incoming_proofs"):
        connection.execute(SQL[tables])
    return next_run(connection)


def next_run(connection: psycopg.Connection[Any]) -> int:
    """The number of a new run."""
    row = connection.execute(SQL["next_run"]).fetchone()
    if row is None:
        raise RuntimeError("a sequence gave no number")
    return int(row[0])


def newly_open(
    connection: psycopg.Connection[Any], source_id: str, days: Iterable[date]
) -> list[dict[str, Any]]:
    """What became a cause for alarm on these days, by cause: counts and sums alone."""
    rows = connection.cursor(row_factory=dict_row).execute(
        SQL["newly_open"], {"source": source_id, "days": list(days)}
    )
    return rows.fetchall()


def newly_late(
    connection: psycopg.Connection[Any], source_id: str, day_before: Mapping[date, date]
) -> list[dict[str, Any]]:
    """What nobody dealt with in time, by the day on which that became so; each day has its business day before."""
    wanted = {"source": source_id, "days": list(day_before), "days_before": list(day_before.values())}
    return connection.cursor(row_factory=dict_row).execute(SQL["newly_late"], wanted).fetchall()


def refresh_statistics(connection: psycopg.Connection[Any]) -> None:
    """Tell the planner what a large run wrote; no result depends on it."""
    connection.execute(SQL["refresh_statistics"])


def write_run(connection: psycopg.Connection[Any], run: Mapping[str, Any], *, started_at: datetime) -> None:
    """Record the run with all versions that decided it."""
    connection.execute(SQL["write_run"], {**run, "counts": Jsonb(run["counts"]), "started_at": started_at})


def _revoke(connection: psycopg.Connection[Any], group_ids: list[int], reason: str) -> None:
    if group_ids:
        connection.execute(SQL["revoke_groups"], {"groups": group_ids, "reason": reason})


def _numbered(members: pa.Table) -> pa.Table:
    """Members with ``member_no`` from 1 within their group, external side first, in a fixed order."""
    ordered = members.sort_by(
        [(name, "ascending") for name in ("group_key", "side", "line_id", "entry_id", "line_no")]
    ).combine_chunks()
    keys = ordered["group_key"].to_numpy(zero_copy_only=False)
    starts = kernel.fill_null(
        kernel.not_equal(ordered["group_key"], pa.array([None, *keys[:-1]], pa.string())), True
    )
    places = pa.array(range(ordered.num_rows), pa.int64())
    first = kernel.fill_null_forward(kernel.if_else(starts, places, None))
    return ordered.append_column("member_no", kernel.add(kernel.subtract(places, first), 1).cast(pa.int32()))
