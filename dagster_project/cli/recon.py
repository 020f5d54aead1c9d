"""`tieout reconcile`, `exceptions`: the daily work without the UI."""

from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import click
from psycopg.rows import dict_row

from dagster_project.cli.lazy import LazyGroup
from dagster_project.cli.output import Context, Day, json_option, money, pass_context, say, say_rows
from dagster_project.pipeline import reconcile_source, source_day, timing_of
from ledger_core.sql import queries, translated_errors
from reconciliation.classification import TimingQuality
from reconciliation.daily.reconcile import RunOutcome
from reconciliation.errors import UnknownItem
from reconciliation.evidence.page import day_as_text, day_as_value

SQL = queries(Path(__file__).with_name("recon.sql"))
EXCEPTION_COLUMNS = (
    "exception_id", "source", "class", "kind", "severity", "status", "amount", "difference", "asset", "due_on",
    "age_business_days", "line_key", "entry_key", "assignee",
)  # fmt: skip

PROPOSALS = {
    "propose": "dagster_project.cli.proposals:propose_decision",
    "approve": "dagster_project.cli.proposals:approve_proposal",
    "reject": "dagster_project.cli.proposals:reject_proposal",
    "proposals": "dagster_project.cli.proposals:proposals_waiting",
}


@click.command()
@click.option("--as-of", required=True, type=Day(), help="Business date to reconcile up to.")
@click.option("--source", "source_id", help="This source only; all of them if left out.")
@click.option("--no-wait", is_flag=True, help="Say so at once when another run holds the source.")
@json_option
@pass_context
def reconcile(context: Context, as_of: date, source_id: str | None, no_wait: bool, as_json: bool) -> None:
    """Match, classify and prove what is open up to a date; safe to repeat.

    Example: tieout reconcile --as-of 2026-11-20
    """
    results = []
    for source in context.chosen(source_id):
        outcome = reconcile_source(context.project, source, as_of, actor="command line", wait=not no_wait)
        day = source_day(context.project, source, as_of)
        results.append(day_as_value(day) | {"run_id": outcome.run_id, "groups_made": outcome.groups_made})
        if not as_json:
            click.echo(f"{_run_in_words(outcome)}\n{day_as_text(day)}")
    if as_json:
        say(results, "", as_json=True)


@click.group(cls=LazyGroup, commands_by_place=PROPOSALS)
def exceptions() -> None:
    """What needs an explanation: list, look, take, comment, propose, approve, reopen."""


@exceptions.command("list")
@click.option("--source", "source_id")
@click.option("--class", "exception_class", type=click.Choice(["timing", "genuine", "source_gap", "review"]))
@click.option("--all", "with_cleared", is_flag=True, help="Cleared ones too.")
@json_option
@pass_context
def list_exceptions(
    context: Context, source_id: str | None, exception_class: str | None, with_cleared: bool, as_json: bool
) -> None:
    """Open exceptions, worst first.

    Example: tieout exceptions list --class genuine
    """
    wanted = {"source": source_id, "class": exception_class, "with_cleared": with_cleared}
    with context.project.database.session("tieout_auditor") as connection:
        rows = connection.cursor(row_factory=dict_row).execute(SQL["exceptions"], wanted).fetchall()
    say_rows(
        rows if as_json else map(_with_amounts, rows),
        EXCEPTION_COLUMNS,
        as_json=as_json,
        empty="Nothing is open.",
    )


@exceptions.command("show")
@click.argument("exception_id", type=int)
@json_option
@pass_context
def show_exception(context: Context, exception_id: int, as_json: bool) -> None:
    """One exception with its lines, its factors and its history.

    Example: tieout exceptions show 17
    """
    with context.project.database.session("tieout_auditor") as connection:
        cursor = connection.cursor(row_factory=dict_row)
        found = cursor.execute(SQL["exception"], {"id": exception_id}).fetchone()
        if found is None:
            raise UnknownItem(
                f"exception {exception_id}: expected one that exists, found none; see `tieout exceptions list`"
            )
        lines = cursor.execute(SQL["exception_lines"], {"id": exception_id}).fetchall()
        events = cursor.execute(SQL["exception_events"], {"id": exception_id}).fetchall()
    if as_json:
        say({**found, "lines": lines, "events": events}, "", as_json=True)
        return
    for name, value in _with_amounts(found).items():
        if value not in (None, ""):
            click.echo(f"{name:>18}  {value}")
    click.echo("\nLines")
    say_rows(
        map(_with_amounts, lines),
        ["side", "key", "business_date", "amount", "kind", "reference"],
        as_json=False,
        empty="none",
    )
    click.echo("\nHistory")
    say_rows(events, ["at", "event", "actor", "as_of", "change", "note"], as_json=False, empty="none")


@exceptions.command("timing")
@click.option("--source", "source_id", required=True)
@click.option("--from", "from_date", type=Day(), help="Items from this date on.")
@click.option("--to", "to_date", type=Day(), help="Items up to this date.")
@json_option
@pass_context
def exceptions_timing(
    context: Context, source_id: str, from_date: date | None, to_date: date | None, as_json: bool
) -> None:
    """Whether what was called timing cleared in time, and whether what cleared by itself had been called timing.

    Example: tieout exceptions timing --source bank --from 2026-11-01
    """
    source = context.project.sources[source_id]
    found = timing_of(context.project, source, from_date=from_date, to_date=to_date)
    if found is None:
        say(None, f"{source_id}: nothing has been reconciled yet.", as_json=as_json)
        return
    shares = {"precision_ppm": found.precision_ppm, "recall_ppm": found.recall_ppm}
    say({"source": source_id, **asdict(found), **shares}, _timing_in_words(source_id, found), as_json=as_json)


@exceptions.command("take")
@click.argument("exception_id", type=int)
@click.option("--by", "actor", required=True)
@pass_context
def take_exception(context: Context, exception_id: int, actor: str) -> None:
    """Make an exception yours.

    Example: tieout exceptions take 17 --by ada
    """
    _act(context, "take", {"id": exception_id, "actor": actor})
    click.echo(f"Exception {exception_id} is {actor}'s.")


@exceptions.command("comment")
@click.argument("exception_id", type=int)
@click.argument("note")
@click.option("--by", "actor", required=True)
@pass_context
def comment_exception(context: Context, exception_id: int, note: str, actor: str) -> None:
    """Add a comment; comments are never changed.

    Example: tieout exceptions comment 17 "asked the bank" --by ada
    """
    _act(context, "comment", {"id": exception_id, "note": note, "actor": actor})
    click.echo(f"Noted on exception {exception_id}.")


@exceptions.command("reopen")
@click.argument("exception_id", type=int)
@click.option("--reason", required=True)
@click.option("--by", "actor", required=True)
@pass_context
def reopen_exception(context: Context, exception_id: int, reason: str, actor: str) -> None:
    """Undo the match that cleared an exception; the next run brings it back with its age, and does not match it so
    again.

    Example: tieout exceptions reopen 17 --reason "other customer" --by ada
    """
    with context.project.database.session("tieout_auditor") as connection:
        row = connection.execute(SQL["cleared_by"], {"id": exception_id}).fetchone()
    if row is None or row[0] is None:
        raise UnknownItem(f"exception {exception_id}: expected one that a match cleared, found none")
    _act(context, "reject_match", {"group": row[0], "reason": reason, "actor": actor})
    click.echo(f"Match {row[0]} is undone. Run `tieout reconcile` to bring exception {exception_id} back.")


def _act(context: Context, action: str, wanted: dict[str, Any]) -> None:
    with translated_errors(), context.project.database.session("tieout_analyst") as connection:
        connection.execute(SQL[action], wanted)


def _with_amounts(row: dict[str, Any]) -> dict[str, Any]:
    """The row with amounts as people write them."""
    shown = dict(row)
    for name in ("amount", "difference"):
        if f"{name}_minor" in shown:
            amount_minor = shown.pop(f"{name}_minor")
            shown[name] = money(amount_minor, row["asset"]) if row.get("asset") else amount_minor
    return shown


def _timing_in_words(source_id: str, found: TimingQuality) -> str:
    return (
        f"{source_id}, as known on {found.as_of}: {found.timing_count:,} items were first called timing;"
        f" {found.not_due_count:,} are not due yet, {found.waiting_count:,} wait for a file.\n"
        f"precision  {_share(found.precision_ppm):>9}  {found.cleared_in_time_count:,} of {found.judged_count:,} past"
        " their due date were cleared by a match in time\n"
        f"recall     {_share(found.recall_ppm):>9}  {found.self_cleared_timing_count:,} of {found.self_cleared_count:,}"
        " that cleared in time by a match were called timing from the first"
    )


def _share(ppm: int | None) -> str:
    return "none" if ppm is None else f"{ppm // 10_000}.{ppm % 10_000:04d} %"


def _run_in_words(outcome: RunOutcome) -> str:
    if outcome.unchanged:
        return f"{outcome.source_id}: nothing new up to {outcome.as_of}."
    days = f"{outcome.window.first} to {outcome.window.last}" if outcome.window else str(outcome.as_of)
    undone = f", {outcome.groups_revoked:,} undone" if outcome.groups_revoked else ""
    return f"{outcome.source_id}: run {outcome.run_id} over {days}: {outcome.groups_made:,} matches made{undone}."
