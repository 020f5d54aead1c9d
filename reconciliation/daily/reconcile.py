"""The door: reconcile one source up to a business date, in one transaction, under the source's lock.

Law: either everything a run found is there or nothing is; a second run of the same source waits or says so; a run
with nothing new writes nothing. The clock, the actor and the version of the code come in from the shell.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final, TypedDict

import psycopg
import pyarrow as pa

from ledger_core.read_port import current_snapshot, lines_posted_since
from ledger_core.sql import lock
from reconciliation.alerts import Alert, alerts_of_exceptions, alerts_of_lateness, write_alerts
from reconciliation.classification import BusinessCalendar, FileCalendar, business_date_of
from reconciliation.daily import book
from reconciliation.daily.deadlines import due_by_severity, newly_overdue
from reconciliation.daily.fold import DayOutcome, Setting, first_state, fold_day
from reconciliation.daily.legs import WAITS, LegOutcome, match_leg
from reconciliation.daily.universe import SQL, read_taken, read_universe
from reconciliation.daily.window import Window, last_business_day, window_of
from reconciliation.errors import AlreadyRunning, ReconciliationError
from reconciliation.sources import LegRule, Source
from reconciliation.vocabulary import EXCEPTION_KINDS

MANY_ROWS: Final = 1_000  # from so many new rows on, the planner is told at once; no result depends on it


class RunFacts(TypedDict):
    """What the shell tells of a run: who started it, with which version, when."""

    actor: str
    code_version: str
    started_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutcome:
    """What a run did. ``run_id`` is None when nothing was new and nothing was written."""

    source_id: str
    as_of: date
    run_id: int | None
    window: Window | None
    groups_made: int = 0
    groups_revoked: int = 0
    legs_made: int = 0
    waiting_in_legs: int = 0
    alerts_written: int = 0

    @property
    def unchanged(self) -> bool:
        """Whether the run found everything done already."""
        return self.run_id is None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    """How far the source was reconciled, and what its last run could see; nothing before the first run."""

    to: date | None = None
    since: str | None = None
    rules_digest: str | None = None
    started_at: datetime | None = None


def reconcile(
    connection: psycopg.Connection[Any],
    source: Source,
    *,
    as_of: date,
    actor: str,
    code_version: str,
    started_at: datetime,
    now: datetime | None = None,
    wait: bool = True,
) -> RunOutcome:
    """Match, classify and prove everything of a source that is in play up to ``as_of``; safe to repeat.

    ``connection`` is inside one transaction under the matcher's role; the caller commits. What changed on earlier days
    since the last run, late files and late postings included, is computed again from its day on. A day that is no
    business day of the source means the last one before it.
    ``now`` says which deadlines of files have passed, without it all; one that passed over an absent file is news.

    Raises:
        AlreadyRunning: another process holds the source, and ``wait`` is false or took longer than the connection's
            lock timeout.
        ReconciliationError: the database came from another server's dump.
    """
    _enter_alone(connection, source, wait=wait)
    connection.execute("SELECT set_config('tieout.actor', %s, true)", (actor,))
    _refuse_foreign_numbers(connection, source)
    calendar = BusinessCalendar.of(source.calendars)
    as_of = last_business_day(as_of, calendar)
    snapshot = current_snapshot(connection)
    done = _done(connection, source)
    window = _window(connection, source, calendar, as_of, done=done, now=now)
    run_id = book.prepare(connection)
    outcomes = _fold(connection, source, calendar, window, snapshot=snapshot, done=done, now=now)
    made = revoked = alerts = 0
    if window:
        made, revoked = _write(connection, source, calendar, run_id=run_id, window=window, outcomes=outcomes)
        alerts = write_alerts(connection, _alerts(connection, source, calendar, window))
    last = window.last if window else max(as_of, done.to or as_of)
    legs = _legs(connection, source, window, done, last=last, run_id=run_id)
    legs_made = sum(leg.made for leg in legs)
    revoked += sum(leg.revoked for leg in legs)
    anything_new = window is not None or legs_made > 0 or revoked > 0
    if anything_new:
        book.write_run(
            connection,
            {
                "run_id": run_id,
                "source": source.id,
                "business_date": last,
                "from_date": window.first if window else last,
                "state": "succeeded",
                "rules_digest": source.rules_digest,
                "calendar_version": calendar.version,
                "code_version": code_version,
                "data_snapshot": snapshot,
                "counts": _counts(outcomes) | {"legs": legs_made},
            },
            started_at=started_at,
        )
    return RunOutcome(
        source_id=source.id,
        as_of=as_of,
        run_id=run_id if anything_new else None,
        window=window,
        groups_made=made,
        groups_revoked=revoked,
        legs_made=legs_made,
        waiting_in_legs=sum(leg.waiting for leg in legs),
        alerts_written=alerts,
    )


def record_failure(
    connection: psycopg.Connection[Any],
    source: Source,
    *,
    as_of: date,
    actor: str,
    code_version: str,
    started_at: datetime,
    failure: str,
) -> None:
    """Record a run that failed, in a transaction of its own: it changed nothing, and is not forgotten.

    ``failure`` is the name of what went wrong, not its words, which may quote data.
    """
    connection.execute("SELECT set_config('tieout.actor', %s, true)", (actor,))
    book.write_run(
        connection,
        {
            "run_id": book.next_run(connection),
            "source": source.id,
            "business_date": as_of,
            "from_date": as_of,
            "state": "failed",
            "rules_digest": source.rules_digest,
            "calendar_version": BusinessCalendar.of(source.calendars).version,
            "code_version": code_version,
            "data_snapshot": current_snapshot(connection),
            "counts": {"failure": failure},
        },
        started_at=started_at,
    )


def _enter_alone(connection: psycopg.Connection[Any], source: Source, *, wait: bool) -> None:
    """Take the source's lock until the transaction ends."""
    try:
        if lock(connection, f"source:{source.id}", wait=wait):
            return
    except psycopg.errors.LockNotAvailable:
        pass
    raise AlreadyRunning(
        f"source {source.id}: expected to be alone, found another run or intake at work; nothing was changed. "
        "Wait for it, or run again later."
    )


def _refuse_foreign_numbers(connection: psycopg.Connection[Any], source: Source) -> None:
    """What a run can see is told by transaction numbers; after a dump and restore they would hide the whole journal."""
    number = _one(connection, "from_another_server", {"accounts": list(source.ledger_accounts)})
    if number is not None:
        raise ReconciliationError(
            f"source {source.id}: expected journal lines of this server's own transactions, found one of transaction "
            f"{number}, which is still to come: the database was restored from another server's dump. Nothing was "
            "changed. Move the server's counter past it (pg_resetwal --next-transaction-id and --epoch), or restore a "
            "physical backup."
        )


def _done(connection: psycopg.Connection[Any], source: Source) -> _Done:
    row = connection.execute(SQL["last_run"], {"source": source.id}).fetchone()
    return _Done(to=row[0], since=row[1], rules_digest=row[2], started_at=row[3]) if row else _Done()


def _window(
    connection: psycopg.Connection[Any],
    source: Source,
    calendar: BusinessCalendar,
    as_of: date,
    *,
    done: _Done,
    now: datetime | None,
) -> Window | None:
    """The days to compute: new ones, and those from the earliest change since the last run's snapshot."""
    changed: list[date] = []
    if done.since is not None:
        external = _changed(connection, source.id, done)
        if external is not None:
            changed.append(external)
        effective_at = lines_posted_since(connection, source.ledger_accounts, done.since)
        if effective_at is not None:
            instants = pa.array([effective_at], pa.timestamp("us", tz="UTC"))
            dates = business_date_of(instants, zone=source.zone, cut_off=source.cut_off, calendar=calendar)
            changed.append(dates[0].as_py())
        if now is not None and done.started_at is not None and done.to is not None:
            files, last = FileCalendar(source=source, calendar=calendar), max(as_of, done.to)
            overdue = newly_overdue(connection, files, last=last, since=done.started_at, now=now)
            changed += [calendar.roll_forward(overdue)] if overdue else []
    return window_of(
        start_date=source.start_date,
        as_of=as_of,
        done_to=done.to,
        changed_from=min(changed, default=None),
        calendar=calendar,
    )


def _leg_first(
    connection: psycopg.Connection[Any], source: Source, rule: LegRule, window: Window | None, done: _Done
) -> date | None:
    """From which date a leg is to be matched again: the window's, or an earlier change at the other source."""
    changed = [window.first] if window else []
    if done.since is not None and done.to is not None:
        theirs = _changed(connection, rule.with_source, done)
        if theirs is not None and theirs <= max(done.to, window.last if window else done.to):
            changed.append(max(theirs, source.start_date - WAITS))
    return min(changed, default=None)


def _legs(
    connection: psycopg.Connection[Any],
    source: Source,
    window: Window | None,
    done: _Done,
    *,
    last: date,
    run_id: int,
) -> list[LegOutcome]:
    outcomes = []
    for rule in source.legs:
        first = _leg_first(connection, source, rule, window, done)
        outcomes.append(match_leg(connection, source, rule, first=first, last=last, run_id=run_id))
    return outcomes


def _changed(connection: psycopg.Connection[Any], source_id: str, done: _Done) -> date | None:
    """The earliest date of what came from a source since the last run."""
    wanted = {"source": source_id, "since": done.since, "done_to": done.to}
    changed: date | None = _one(connection, "days_changed", wanted)
    return changed


def _fold(
    connection: psycopg.Connection[Any],
    source: Source,
    calendar: BusinessCalendar,
    window: Window | None,
    *,
    snapshot: str,
    done: _Done,
    now: datetime | None,
) -> list[DayOutcome]:
    if window is None:
        return []

    def taken(external: pa.Table, ledger: pa.Table) -> tuple[pa.Table, pa.Table]:
        return read_taken(connection, source, calendar, window, open_external=external, open_ledger=ledger)

    same_rules = done.rules_digest == source.rules_digest
    universe = read_universe(connection, source, calendar, window, snapshot, same_rules=same_rules)
    setting = Setting(universe=universe, window=window, source=source, calendar=calendar, taken=taken, now=now)
    state, outcomes = first_state(setting), []
    for day in window.days:
        state, outcome = fold_day(state, day, setting)
        outcomes.append(outcome)
    return outcomes


def _write(
    connection: psycopg.Connection[Any],
    source: Source,
    calendar: BusinessCalendar,
    *,
    run_id: int,
    window: Window,
    outcomes: Sequence[DayOutcome],
) -> tuple[int, int]:
    fallen = book.revoke_fallen(connection, source.id)
    groups = [outcome.result.groups for outcome in outcomes]
    stale, kept = book.revoke_stale(connection, source.id, "ledger", first=window.first, found=groups)
    made = 0
    team_by_kind = {kind: team for kind in EXCEPTION_KINDS if (team := source.review.team_of(kind))}
    for outcome in outcomes:
        members = book.members_with_facts(
            outcome.result.members, outcome.matched_external, outcome.matched_ledger
        )
        made += book.write_groups(connection, source.id, run_id, outcome.result.groups, members, already=kept)
        if outcome.day in window.news:
            found = outcome.classified
            book.write_exceptions(
                connection,
                source.id,
                outcome.day,
                found.exceptions,
                found.members,
                due_by_severity=due_by_severity(source.review, outcome.day, calendar),
                team_by_kind=team_by_kind,
            )
    last = outcomes[-1]
    suggested = book.members_with_facts(last.result.suggested_members, last.open_external, last.open_ledger)
    book.write_suggestions(connection, source.id, run_id, last.result.suggested_groups, suggested)
    if made + outcomes[-1].classified.exceptions.num_rows >= MANY_ROWS:
        book.refresh_statistics(connection)
    book.describe_exceptions(connection, source.id)
    lessons = {outcome.day: outcome.result.lag_counts for outcome in outcomes}
    book.write_lessons(connection, source.id, lessons, first=window.first, last=window.last)
    book.write_proofs(
        connection, source.id, run_id, (proof for outcome in outcomes for proof in outcome.proofs)
    )
    return made, fallen + stale


def _alerts(
    connection: psycopg.Connection[Any], source: Source, calendar: BusinessCalendar, window: Window
) -> list[Alert]:
    opened = book.newly_open(connection, source.id, window.news)
    day_before = {day: last_business_day(day - timedelta(days=1), calendar) for day in window.news}
    late = book.newly_late(connection, source.id, day_before)
    return [
        *alerts_of_exceptions(opened, source_id=source.id),
        *alerts_of_lateness(late, source_id=source.id),
    ]


def _counts(outcomes: Sequence[DayOutcome]) -> dict[str, Any]:
    """What the run found, by pass and by class, for the record."""
    passes: Counter[str] = Counter()
    for outcome in outcomes:
        passes.update({name: count.groups for name, count in outcome.result.counts.items()})
    last = outcomes[-1].classified.exceptions if outcomes else None
    classes = Counter(last["class"].to_pylist()) if last is not None else Counter()
    limits = [str(limit) for outcome in outcomes for limit in outcome.result.limits]
    suggested = outcomes[-1].result.suggested_groups.num_rows if outcomes else 0
    return {
        "groups": dict(passes),
        "suggested": suggested,
        "exceptions": dict(classes),
        "limits": limits,
    }


def _one(connection: psycopg.Connection[Any], query: str, wanted: dict[str, Any] | None = None) -> Any:
    row = connection.execute(SQL[query], wanted).fetchone()
    return row[0] if row else None
