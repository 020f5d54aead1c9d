"""Other rules over past days: what they would match, what they would not, what they would get wrong. Writes nothing.

Law: the trial is the fold that a run makes, over the same days from the same open items, under the rules to be tried;
only what is done with the outcome differs. Confirmed history is what is held against it: a group that takes a line
which history gave to others contradicts it, and a group that people undid would be made once more.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Final

import psycopg
import pyarrow as pa
import pyarrow.compute

from ledger_core.read_port import current_snapshot
from ledger_core.sql import copy_out, queries
from reconciliation.classification import BusinessCalendar
from reconciliation.daily.fold import DayOutcome, Setting, first_state, fold_day
from reconciliation.daily.universe import read_taken, read_universe
from reconciliation.daily.window import Window
from reconciliation.errors import ReconciliationError
from reconciliation.sources import Source

SQL: Final = queries(Path(__file__).with_suffix(".sql"))

kernel: Any = pyarrow.compute  # its stubs do not know that kernels take plain values

_MEMBER_FIELDS: Final[list[Any]] = [
    pa.field("group_key", pa.string(), nullable=False),
    pa.field("match_pass", pa.string(), nullable=False),
    pa.field("side", pa.string(), nullable=False),
    pa.field("line_id", pa.int64()),
    pa.field("entry_id", pa.int64()),
    pa.field("line_no", pa.int32()),
]
HISTORY_SCHEMA: Final = pa.schema(_MEMBER_FIELDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class PassTrial:
    """Groups of one pass: as history has them and as the trial makes them.

    ``same``: word for word the same members. ``new``: the trial alone makes them, of lines that are open in history.
    ``contradicting``: it gives a line to others than history does; ``against_people``: where people had decided.
    ``remade``: people undid exactly this group. ``gone``: history has them, the trial does not.
    """

    match_pass: str
    history: int = 0
    trial: int = 0
    same: int = 0
    new: int = 0
    contradicting: int = 0
    against_people: int = 0
    remade: int = 0
    gone: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What other rules would do to a source's days; ``open_count`` by exception class at the end of the last day."""

    source_id: str
    first: date
    last: date
    rules_digest: str
    history_digest: str
    passes: tuple[PassTrial, ...]
    suggested: int
    open_count: Mapping[str, int]

    @property
    def is_safe(self) -> bool:
        """Whether the rules contradict nothing that is confirmed, and remake nothing that people undid."""
        return not any(one.contradicting or one.remade for one in self.passes)


def backtest(
    connection: psycopg.Connection[Any], tried: Source, current: Source, *, first: date, last: date
) -> Trial:
    """Fold the business days from ``first`` to ``last`` under the rules of ``tried``, and hold history against it.

    ``connection`` is in a transaction that the caller rolls back; it makes temporary tables and writes to nothing else.

    Raises:
        ReconciliationError: the days are before the source's start or none is a business day, or the two sources do not
            reconcile the same accounts.
    """
    calendar = BusinessCalendar.of(tried.calendars)
    if tried.ledger_accounts != current.ledger_accounts:
        raise ReconciliationError(
            f"source {tried.id}: expected rules for the accounts {', '.join(current.ledger_accounts)}, found "
            f"{', '.join(tried.ledger_accounts)}; a trial compares rules over the same lines"
        )
    days = calendar.business_days(max(first, current.start_date), last)
    if not days:
        raise ReconciliationError(
            f"source {tried.id}: expected business days from {current.start_date} on, found none from {first} to {last}"
        )
    tried = tried.model_copy(update={"start_date": current.start_date})
    window = Window(first=max(first, current.start_date), days=days)
    outcomes, rejected = _folded(connection, tried, calendar, window)
    history = copy_out(
        connection, SQL["history"], {"source": current.id, "first": window.first}, HISTORY_SCHEMA
    )
    classes = [str(name) for name in outcomes[-1].classified.exceptions["class"].to_pylist()]
    return Trial(
        source_id=current.id,
        first=window.first,
        last=window.last,
        rules_digest=tried.rules_digest,
        history_digest=current.rules_digest,
        passes=compared(found_members(outcomes), history, rejected),
        suggested=outcomes[-1].result.suggested_groups.num_rows,
        open_count={name: classes.count(name) for name in sorted(set(classes))},
    )


def _folded(
    connection: psycopg.Connection[Any], source: Source, calendar: BusinessCalendar, window: Window
) -> tuple[list[DayOutcome], frozenset[str]]:
    """The days under the rules as they are tried: what people undid is left open to be made again, and told."""

    def taken(external: pa.Table, ledger: pa.Table) -> tuple[pa.Table, pa.Table]:
        return read_taken(connection, source, calendar, window, open_external=external, open_ledger=ledger)

    snapshot = current_snapshot(connection)
    universe = read_universe(connection, source, calendar, window, snapshot, same_rules=True)
    rejected = universe.decisions.rejected
    universe = replace(universe, decisions=replace(universe.decisions, rejected=frozenset()))
    setting = Setting(universe=universe, window=window, source=source, calendar=calendar, taken=taken)
    state, outcomes = first_state(setting), []
    for day in window.days:
        state, outcome = fold_day(state, day, setting)
        outcomes.append(outcome)
    return outcomes, rejected


def found_members(outcomes: Iterable[DayOutcome]) -> pa.Table:
    """Members of the groups that the days made, in ``HISTORY_SCHEMA``."""
    tables = [HISTORY_SCHEMA.empty_table()]
    for outcome in outcomes:
        named = outcome.result.groups.select(["group_key", "match_pass"])
        members = outcome.result.members.join(named, keys="group_key", join_type="inner")
        tables.append(members.select(HISTORY_SCHEMA.names).cast(HISTORY_SCHEMA))
    return pa.concat_tables(tables)


def compared(found: pa.Table, history: pa.Table, rejected: frozenset[str]) -> tuple[PassTrial, ...]:
    """The trial's members held against history's, by the pass that made each; both tables in ``HISTORY_SCHEMA``."""
    ours, theirs = _passes(found), _passes(history)
    contradicting, against_people = _conflicts(found, history)
    trials: dict[str, dict[str, int]] = {}

    def counted(match_pass: str, name: str) -> None:
        counts = trials.setdefault(match_pass, {})
        counts[name] = counts.get(name, 0) + 1

    for key, match_pass in theirs.items():
        counted(match_pass, "history")
        if key not in ours:
            counted(match_pass, "gone")
    for key, match_pass in ours.items():
        counted(match_pass, "trial")
        if key in theirs:
            counted(match_pass, "same")
            continue
        if key in rejected:
            counted(match_pass, "remade")
        if key in contradicting:
            counted(match_pass, "contradicting")
            if key in against_people:
                counted(match_pass, "against_people")
        elif key not in rejected:
            counted(match_pass, "new")
    return tuple(PassTrial(match_pass=name, **trials[name]) for name in sorted(trials))


def _passes(members: pa.Table) -> dict[str, str]:
    """The pass of every group."""
    groups = members.group_by("group_key").aggregate([("match_pass", "min")])
    return {str(row["group_key"]): str(row["match_pass_min"]) for row in groups.to_pylist()}


def _conflicts(found: pa.Table, history: pa.Table) -> tuple[frozenset[str], frozenset[str]]:
    """Groups that take a line which history gave to another group; and those where people had given it."""
    any_of: set[str] = set()
    people: set[str] = set()
    for side, keys in (("external", ["line_id"]), ("ledger", ["entry_id", "line_no"])):
        mine, given = (
            members.filter(kernel.equal(members["side"], side)).select([*keys, "group_key", "match_pass"])
            for members in (found, history)
        )
        both = mine.join(given, keys=keys, join_type="inner", right_suffix="_of_history")
        other = both.filter(kernel.not_equal(both["group_key"], both["group_key_of_history"]))
        any_of.update(map(str, other["group_key"].to_pylist()))
        decided = other.filter(kernel.equal(other["match_pass_of_history"], "decision"))
        people.update(map(str, decided["group_key"].to_pylist()))
    return frozenset(any_of), frozenset(people)
