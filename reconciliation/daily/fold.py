"""One business day of the fold: match what is in play, classify what stays open, prove the balances. Pure.

Law: the state after a day is a function of the state before it and the day's lines. A line in play ends the day
either in a group or in exactly one exception; a fold that loses or doubles a line stops here and writes nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute

from reconciliation.classification import (
    AmbiguousCase,
    BusinessCalendar,
    Classified,
    balance_breaks,
    classify,
    missing_days,
    source_gaps,
)
from reconciliation.daily.rests import deliveries_until, rests_before, rests_of
from reconciliation.daily.universe import Universe
from reconciliation.daily.window import Window
from reconciliation.evidence.bridge import AccountDay, Proof, StatedBalance, prove
from reconciliation.matching import MatchContext, MatchResult, match_day
from reconciliation.sources import Source

kernel: Any = pyarrow.compute  # its stubs do not know that kernels take plain values

_LEDGER_KEY: Final = ["entry_id", "line_no"]

Taken = Callable[[pa.Table, pa.Table], tuple[pa.Table, pa.Table]]
"""Given what is open on both sides, the items matched before the window that share a reference with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What one day hands to the next: open items of both sides, and per account what the bridge carries forward.

    ``breaks`` keeps since when an account has been off by an amount: the same rest is the same break, not a new one
    each day.
    """

    open_external: pa.Table
    open_ledger: pa.Table
    matched_external: pa.Table
    matched_ledger: pa.Table
    external_minor: Mapping[str, int]
    difference_minor: Mapping[str, int]
    breaks: Mapping[tuple[str, int], date]


@dataclass(frozen=True, slots=True, kw_only=True)
class DayOutcome:
    """What a day found. ``matched_external`` and ``matched_ledger`` are the items of its groups."""

    day: date
    result: MatchResult
    matched_external: pa.Table
    matched_ledger: pa.Table
    classified: Classified
    proofs: tuple[Proof, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What stays the same over the days of a fold.

    ``taken`` answers for the days before the window; what the fold matches itself it knows. ``now`` is when the run
    began, for the deadlines of files; None takes all of them as passed.
    """

    universe: Universe
    window: Window
    source: Source
    calendar: BusinessCalendar
    taken: Taken
    now: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Play:
    """What is in play on a day, and how matching parted it."""

    external: pa.Table
    ledger: pa.Table
    result: MatchResult
    matched_external: pa.Table
    open_external: pa.Table
    matched_ledger: pa.Table
    open_ledger: pa.Table


def first_state(setting: Setting) -> State:
    """The state before the window's first day. Items brought forward enter play with the first day's own."""
    universe = setting.universe
    return State(
        open_external=universe.external.slice(0, 0),
        open_ledger=universe.ledger.slice(0, 0),
        matched_external=universe.external.slice(0, 0),
        matched_ledger=universe.ledger.slice(0, 0),
        external_minor=universe.external_before,
        difference_minor=universe.differences_before,
        breaks=rests_before(universe, setting.window.first, source=setting.source, calendar=setting.calendar),
    )


def fold_day(state: State, day: date, setting: Setting) -> tuple[State, DayOutcome]:
    """Fold one day: match what is in play, classify what stays open, prove every account."""
    play = _matched(state, day, setting)
    found, gaps, absent = _judged(state, day, play, setting)
    external_minor, difference_minor, proofs = _proved(state, day, play, found, setting)
    rests = rests_of(proofs, absent, setting.universe, state.breaks)
    breaks = balance_breaks(
        rests=rests, as_of=day, source=setting.source, calendar=setting.calendar
    ).exceptions
    after = State(
        open_external=play.open_external,
        open_ledger=play.open_ledger,
        matched_external=pa.concat_tables([state.matched_external, play.matched_external]),
        matched_ledger=pa.concat_tables([state.matched_ledger, play.matched_ledger]),
        external_minor=external_minor,
        difference_minor=difference_minor,
        breaks={(rest.account, rest.unexplained_minor): rest.business_date for rest in rests},
    )
    outcome = DayOutcome(
        day=day,
        result=play.result,
        matched_external=play.matched_external,
        matched_ledger=play.matched_ledger,
        classified=Classified(
            exceptions=pa.concat_tables([found.exceptions, gaps, breaks]), members=found.members
        ),
        proofs=proofs,
    )
    return after, outcome


def _matched(state: State, day: date, setting: Setting) -> _Play:
    universe, window = setting.universe, setting.window
    external = pa.concat_tables([state.open_external, _entering(universe.external, day, window)])
    ledger = pa.concat_tables([state.open_ledger, _entering(universe.ledger, day, window)])
    result = _dated_by_step(
        match_day(external, ledger, setting.source.match, MatchContext(rejected=universe.rejected_groups)),
        day,
        window,
    )
    matched_external, open_external = _split_external(external, result)
    matched_ledger, open_ledger = _split_ledger(ledger, result)
    return _Play(
        external=external,
        ledger=ledger,
        result=result,
        matched_external=matched_external,
        open_external=open_external,
        matched_ledger=matched_ledger,
        open_ledger=open_ledger,
    )


def _judged(state: State, day: date, play: _Play, setting: Setting) -> tuple[Classified, pa.Table, pa.Table]:
    """Exceptions of the open items with their members, those of the files, and those of the files were all due."""
    source, calendar, withdrawn = setting.source, setting.calendar, setting.universe.withdrawn
    taken_external, taken_ledger = setting.taken(play.open_external, play.open_ledger)
    accepted, refused = deliveries_until(setting.universe, day)
    found = classify(
        open_external=play.open_external,
        open_ledger=play.open_ledger,
        taken_external=pa.concat_tables([taken_external, state.matched_external, play.matched_external]),
        taken_ledger=pa.concat_tables([taken_ledger, state.matched_ledger, play.matched_ledger]),
        withdrawn=withdrawn.filter(kernel.less_equal(withdrawn["business_date"], day)),
        ambiguous=_ambiguous(play.result),
        waiting_for_file=missing_days(accepted=accepted, as_of=day, source=source, calendar=calendar),
        as_of=day,
        source=source,
        calendar=calendar,
    )

    def gaps(now: datetime | None) -> pa.Table:
        return source_gaps(
            accepted=accepted, refused=refused, as_of=day, source=source, calendar=calendar, now=now
        ).exceptions

    absent = gaps(None)
    return found, absent if setting.now is None else gaps(setting.now), absent


def _proved(
    state: State, day: date, play: _Play, found: Classified, setting: Setting
) -> tuple[dict[str, int], dict[str, int], tuple[Proof, ...]]:
    """Sums of external lines and of explained differences by account up to the day, and the bridge of each account."""
    universe = setting.universe
    movement = _sum_by_account(_dated(universe.external, day, setting.window))
    external_minor = _added(state.external_minor, movement)
    difference_minor = _added(state.difference_minor, _differences(play.result, play.matched_external))
    open_minor, open_count = _buckets(play.open_external, play.open_ledger, found)
    proofs = tuple(
        prove(
            AccountDay(
                account=account,
                asset=asset,
                business_date=day,
                stated=_stated(universe.statements, account, day),
                external_minor=external_minor.get(account, 0),
                movement_minor=movement.get(account, 0),
                ledger_start_minor=universe.ledger_start.get(account, 0),
                ledger_minor=universe.ledger_balances.get((account, day), 0),
                open_minor=open_minor.get(account, {}),
                open_count=open_count.get(account, {}),
                allocation_difference_minor=difference_minor.get(account, 0),
                matched_count=_count(play.matched_external, account) + _count(play.matched_ledger, account),
                line_count=_count(play.external, account) + _count(play.ledger, account),
            )
        )
        for account, asset in ((mapping.ledger, mapping.asset) for mapping in setting.source.accounts)
    )
    return external_minor, difference_minor, proofs


def _dated_by_step(result: MatchResult, day: date, window: Window) -> MatchResult:
    """A group whose members are all older was decided by what the day brought (a rival was taken): it is the day's.

    Else the day could be computed again without it, and it would outlive its reason.
    """
    before = _day_before(day, window)
    began = before + timedelta(days=1) if before else window.first
    place = result.groups.schema.get_field_index("as_of")
    as_of = result.groups["as_of"]
    dated = kernel.if_else(kernel.less(as_of, began), pa.scalar(day, pa.date32()), as_of)
    return replace(result, groups=result.groups.set_column(place, result.groups.schema.field(place), dated))


def _entering(items: pa.Table, day: date, window: Window) -> pa.Table:
    """Items that come into play on this day: all up to it on the first day, later those since the day before."""
    before = _day_before(day, window)
    chosen = kernel.less_equal(items["business_date"], day)
    if before is not None:
        chosen = kernel.and_(chosen, kernel.greater(items["business_date"], before))
    return items.filter(chosen)


def _dated(items: pa.Table, day: date, window: Window) -> pa.Table:
    """Items whose own date falls into this step of the window; what was brought forward moved earlier."""
    entering = _entering(items, day, window)
    return entering.filter(kernel.greater_equal(entering["business_date"], window.first))


def _day_before(day: date, window: Window) -> date | None:
    place = window.days.index(day)
    return window.days[place - 1] if place else None


def _split_external(items: pa.Table, result: MatchResult) -> tuple[pa.Table, pa.Table]:
    matched = kernel.is_in(items["line_id"], value_set=result.members["line_id"].combine_chunks().drop_null())
    return items.filter(matched), items.filter(kernel.invert(matched))


def _split_ledger(items: pa.Table, result: MatchResult) -> tuple[pa.Table, pa.Table]:
    members = result.members.filter(kernel.equal(result.members["side"], "ledger")).select(_LEDGER_KEY)
    places = items.select(_LEDGER_KEY).append_column("place", pa.array(range(items.num_rows), pa.int64()))
    taken = places.join(members, keys=_LEDGER_KEY, join_type="left semi")["place"].combine_chunks()
    matched = kernel.is_in(places["place"], value_set=taken)
    return items.filter(matched), items.filter(kernel.invert(matched))


def _ambiguous(result: MatchResult) -> tuple[AmbiguousCase, ...]:
    """Competing items by component; few, so row by row."""
    cases: dict[str, tuple[set[int], set[tuple[int, int]], str]] = {}
    for row in result.ambiguous.to_pylist():
        lines, entries, _ = cases.setdefault(row["ambiguity_key"], (set(), set(), row["reason"]))
        lines.add(row["line_id"])
        entries.update(zip(row["entry_ids"], row["line_nos"], strict=True))
    return tuple(
        AmbiguousCase(line_ids=tuple(sorted(lines)), ledger_lines=tuple(sorted(entries)), reason=reason)
        for _, (lines, entries, reason) in sorted(cases.items())
    )


def _buckets(
    open_external: pa.Table, open_ledger: pa.Table, found: Classified
) -> tuple[dict[str, dict[tuple[str, str], int]], dict[str, dict[tuple[str, str], int]]]:
    """Sums and counts of open items by account and (bucket, side). Demands every open item in exactly one exception."""
    members = found.members.join(
        found.exceptions.select(["exception_key", "class"]), keys="exception_key", join_type="inner"
    )
    sums: dict[str, dict[tuple[str, str], int]] = {}
    counts: dict[str, dict[tuple[str, str], int]] = {}
    for side, items, keys in (("external", open_external, ["line_id"]), ("ledger", open_ledger, _LEDGER_KEY)):
        chosen = members.filter(kernel.equal(members["side"], side)).select([*keys, "class"])
        placed = chosen.join(items.select([*keys, "account", "amount_minor"]), keys=keys, join_type="inner")
        if not chosen.num_rows == placed.num_rows == items.num_rows:
            raise ValueError(
                f"{items.num_rows} open {side} lines, {chosen.num_rows} in exceptions, {placed.num_rows} of them open: "
                "classification lost or doubled a line"
            )
        bucket = kernel.if_else(kernel.equal(placed["class"], "timing"), "timing", "genuine")
        totals = placed.append_column("bucket", bucket).group_by(["account", "bucket"])
        for row in totals.aggregate([("amount_minor", "sum"), ("amount_minor", "count")]).to_pylist():
            sums.setdefault(row["account"], {})[row["bucket"], side] = row["amount_minor_sum"]
            counts.setdefault(row["account"], {})[row["bucket"], side] = row["amount_minor_count"]
    return sums, counts


def _differences(result: MatchResult, matched_external: pa.Table) -> dict[str, int]:
    """Explained differences of the day's groups by account."""
    groups = result.groups.filter(kernel.not_equal(result.groups["difference_minor"], 0))
    if groups.num_rows == 0:
        return {}
    members = result.members.filter(kernel.equal(result.members["side"], "external"))
    named = (
        members.join(matched_external.select(["line_id", "account"]), keys="line_id", join_type="inner")
        .group_by("group_key")
        .aggregate([("account", "min")])
    )
    placed = groups.select(["group_key", "difference_minor"]).join(named, keys="group_key", join_type="inner")
    totals = placed.group_by("account_min").aggregate([("difference_minor", "sum")])
    return {row["account_min"]: row["difference_minor_sum"] for row in totals.to_pylist()}


def _sum_by_account(items: pa.Table) -> dict[str, int]:
    totals = items.group_by("account").aggregate([("amount_minor", "sum")])
    return {row["account"]: row["amount_minor_sum"] for row in totals.to_pylist()}


def _added(first: Mapping[str, int], second: Mapping[str, int]) -> dict[str, int]:
    return {
        account: first.get(account, 0) + second.get(account, 0) for account in first.keys() | second.keys()
    }


def _count(items: pa.Table, account: str) -> int:
    count: Any = kernel.sum(kernel.equal(items["account"], account)).as_py()
    return int(count or 0)


def _stated(statements: pa.Table, account: str, day: date) -> StatedBalance | None:
    """The latest statement of the account up to the day that states a closing balance."""
    chosen = statements.filter(
        kernel.and_(
            kernel.and_(
                kernel.equal(statements["account"], account), kernel.less_equal(statements["to_date"], day)
            ),
            kernel.is_valid(statements["closing_minor"]),
        )
    )
    if chosen.num_rows == 0:
        return None
    last = chosen.sort_by([("to_date", "ascending"), ("sequence_no", "ascending")]).slice(chosen.num_rows - 1)
    row = last.to_pylist()[0]
    return StatedBalance(
        to_date=row["to_date"], opening_minor=row["opening_minor"], closing_minor=row["closing_minor"]
    )
