"""One business day of the fold: match what is in play, classify what stays open, prove the balances. Pure.

Law: the state after a day is a function of the state before it and the day's lines. A line in play ends the day
either in a group or in exactly one exception; a fold that loses or doubles a line stops here and writes nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import date, datetime, timedelta
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute

from reconciliation.classification import (
    AmbiguousCase,
    BusinessCalendar,
    Classified,
    LimitNote,
    balance_breaks,
    classify,
    limit_exceptions,
    missing_days,
    source_gaps,
)
from reconciliation.daily.excluded import added_minor, parted
from reconciliation.daily.learned import Lessons, business_days, known_lags, moved_cursors, with_lesson
from reconciliation.daily.reckoning import added, buckets, count, differences, stated, sum_by_account
from reconciliation.daily.rests import deliveries_until, rests_before, rests_of
from reconciliation.daily.universe import Universe
from reconciliation.daily.window import Window
from reconciliation.evidence.bridge import AccountDay, Proof, prove
from reconciliation.matching import MatchContext, MatchResult, match_day
from reconciliation.sources import Source

kernel: Any = pyarrow.compute  # its stubs do not know that kernels take plain values

_LEDGER_KEY: Final = ["entry_id", "line_no"]
_EPOCH: Final = date(1970, 1, 1)

Taken = Callable[[pa.Table, pa.Table], tuple[pa.Table, pa.Table]]
"""Given what is open on both sides, the items matched before the window that share a reference with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What one day hands to the next: open items of both sides, and per account what the bridge carries forward.

    ``breaks`` keeps since when an account has been off by an amount: the same rest is the same break, not a new one
    each day. ``excluded_minor`` is keyed by (account, side), ``lessons`` is what the days before confirmed of lags,
    ``cursors`` how far the runs of payouts reached in each account.
    """

    open_external: pa.Table
    open_ledger: pa.Table
    matched_external: pa.Table
    matched_ledger: pa.Table
    external_minor: Mapping[str, int]
    difference_minor: Mapping[str, int]
    breaks: Mapping[tuple[str, int], date]
    excluded_minor: Mapping[tuple[str, str], int]
    lessons: Lessons
    cursors: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DayOutcome:
    """What a day found. ``matched_external`` and ``matched_ledger`` are the items of its groups, ``open_external`` and
    ``open_ledger`` those that stay open.
    """

    day: date
    result: MatchResult
    matched_external: pa.Table
    matched_ledger: pa.Table
    open_external: pa.Table
    open_ledger: pa.Table
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
    excluded_external: pa.Table
    excluded_ledger: pa.Table
    excluded_minor: Mapping[tuple[str, str], int]


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
        excluded_minor=universe.excluded_before,
        lessons=universe.lessons,
        cursors=universe.cursors,
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
        excluded_minor=play.excluded_minor,
        lessons=with_lesson(state.lessons, day, play.result.lag_counts),
        cursors=moved_cursors(state.cursors, play.result, play.matched_ledger),
    )
    outcome = DayOutcome(
        day=day,
        result=play.result,
        matched_external=play.matched_external,
        matched_ledger=play.matched_ledger,
        open_external=play.open_external,
        open_ledger=play.open_ledger,
        classified=Classified(
            exceptions=pa.concat_tables([found.exceptions, gaps, breaks, _limits(play.result, day, setting)]),
            members=found.members,
        ),
        proofs=proofs,
    )
    return after, outcome


def _matched(state: State, day: date, setting: Setting) -> _Play:
    universe, window = setting.universe, setting.window
    external = pa.concat_tables([state.open_external, _entering(universe.external, day, window)])
    ledger = pa.concat_tables([state.open_ledger, _entering(universe.ledger, day, window)])
    excluded = universe.decisions.excluded
    theirs = parted(external, excluded, side="external", day=day)
    ours = parted(ledger, excluded, side="ledger", day=day)
    result = _dated_by_step(
        match_day(theirs.in_play, ours.in_play, setting.source.match, _context(state, day, setting)),
        day,
        window,
    )
    matched_external, open_external = _split_external(theirs.in_play, result)
    matched_ledger, open_ledger = _split_ledger(ours.in_play, result)
    return _Play(
        external=external,
        ledger=ledger,
        result=result,
        matched_external=matched_external,
        open_external=open_external,
        matched_ledger=matched_ledger,
        open_ledger=open_ledger,
        excluded_external=theirs.leaving,
        excluded_ledger=ours.leaving,
        excluded_minor=added_minor(
            added_minor(state.excluded_minor, "external", theirs.leaving), "ledger", ours.leaving
        ),
    )


def _context(state: State, day: date, setting: Setting) -> MatchContext:
    """What matching is told on this day: decisions up to it, and what the days before it taught."""
    source, decisions = setting.source, setting.universe.decisions
    return MatchContext(
        as_of=(day - _EPOCH).days,
        business_days=business_days(setting.calendar, source.start_date, setting.window.last),
        lag_counts=known_lags(state.lessons, day),
        lag=source.lag,
        ledger_lag_latest=source.ledger_lag_latest,
        chain_cursors=state.cursors,
        forced=tuple(forced.group for forced in decisions.forced if forced.as_of <= day),
        rejected=decisions.rejected,
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
        lag_counts=known_lags(state.lessons, day),
        not_duplicate=[item.name for item in setting.universe.decisions.not_duplicate if item.as_of <= day],
        balances={
            account: balance_minor
            for (account, end), balance_minor in setting.universe.ledger_balances.items()
            if end == day
        },
    )

    def gaps(now: datetime | None) -> pa.Table:
        return source_gaps(
            accepted=accepted, refused=refused, as_of=day, source=source, calendar=calendar, now=now
        ).exceptions

    absent = gaps(None)
    return found, absent if setting.now is None else gaps(setting.now), absent


def _proved(
    state: State,
    day: date,
    play: _Play,
    found: Classified,
    setting: Setting,
) -> tuple[dict[str, int], dict[str, int], tuple[Proof, ...]]:
    """Sums of external lines and of explained differences by account up to the day, and the bridge of each account."""
    universe = setting.universe
    movement = sum_by_account(_dated(universe.external, day, setting.window))
    external_minor = added(state.external_minor, movement)
    difference_minor = added(state.difference_minor, differences(play.result, play.matched_external))
    open_minor, open_count = buckets(play.open_external, play.open_ledger, found)
    excluded_count = (play.excluded_external, play.excluded_ledger)
    proofs = tuple(
        prove(
            AccountDay(
                account=account,
                asset=asset,
                business_date=day,
                stated=stated(universe.statements, account, day),
                external_minor=external_minor.get(account, 0),
                movement_minor=movement.get(account, 0),
                ledger_start_minor=universe.ledger_start.get(account, 0),
                ledger_minor=universe.ledger_balances.get((account, day), 0),
                open_minor=open_minor.get(account, {}),
                open_count=open_count.get(account, {}),
                excluded_external_minor=play.excluded_minor.get((account, "external"), 0),
                excluded_ledger_minor=play.excluded_minor.get((account, "ledger"), 0),
                excluded_count=sum(count(items, account) for items in excluded_count),
                allocation_difference_minor=difference_minor.get(account, 0),
                matched_count=count(play.matched_external, account) + count(play.matched_ledger, account),
                line_count=count(play.external, account) + count(play.ledger, account),
            )
        )
        for account, asset in ((mapping.ledger, mapping.asset) for mapping in setting.source.accounts)
    )
    return external_minor, difference_minor, proofs


def _limits(result: MatchResult, day: date, setting: Setting) -> pa.Table:
    """Bounds that matching met on this day, as exceptions."""
    names = [field.name for field in fields(LimitNote)]
    notes = [LimitNote(**{name: getattr(limit, name) for name in names}) for limit in result.limits]
    found: pa.Table = limit_exceptions(notes, as_of=day, source=setting.source, calendar=setting.calendar)
    return found


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
