"""`tieout exceptions list|show|timing|verify`: what is open, and everything about one of them.

Law: reads only; the lists of commands and pages rest on the same questions. What people do about exceptions is in the
modules beside this one, imported when asked for.
"""

from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import click
from psycopg.rows import dict_row

from dagster_project.cli.lazy import LazyGroup
from dagster_project.cli.output import Context, Day, json_option, money, pass_context, say, say_rows
from dagster_project.cli.wording import NUMBER, Words
from dagster_project.pipeline import timing_of
from ledger_core.sql import queries
from reconciliation.classification import TimingQuality
from reconciliation.errors import UnknownItem
from reconciliation.exceptions.work import chain_problems
from reconciliation.review.candidates import Candidate
from reconciliation.review.detail import read_case
from reconciliation.vocabulary import EXCEPTION_KINDS, SEVERITIES

SQL = queries(Path(__file__).with_suffix(".sql"))
CONTRACT_COLUMNS = (
    "exception_id", "source", "opened_on", "as_of", "class", "kind", "severity", "status", "side", "line_key",
    "entry_key", "line_no", "amount_minor", "difference_minor", "asset", "due_on", "expected_clear_on",
    "age_business_days", "assignee", "cleared_by_group",
)  # fmt: skip
SHOWN_COLUMNS = (
    "exception_id", "source", "class", "kind", "severity", "status", "amount", "difference", "asset", "due_on",
    "sla_due_on", "age_business_days", "line_key", "entry_key", "assignee", "team",
)  # fmt: skip
STATUSES = ("open", "taken", "proposed", "approved", "carried", "cleared", "resolved")
SHOWN_SUMS = 8  # reasons of a candidate on a line

HERE = "dagster_project.cli"
COMMANDS = {
    "take": f"{HERE}.exception_work:take",
    "give-back": f"{HERE}.exception_work:give_back",
    "assign": f"{HERE}.exception_work:assign",
    "comment": f"{HERE}.exception_work:comment",
    "attach": f"{HERE}.exception_work:attach_file",
    "snooze": f"{HERE}.exception_work:snooze",
    "wake": f"{HERE}.exception_work:wake",
    "carry": f"{HERE}.exception_work:carry",
    "reopen": f"{HERE}.exception_work:reopen",
    "turn-down": f"{HERE}.exception_work:turn_down",
    "propose": f"{HERE}.proposals:propose_decision",
    "approve": f"{HERE}.proposals:approve_proposals",
    "reject": f"{HERE}.proposals:reject_proposals",
    "proposals": f"{HERE}.proposals:proposals_waiting",
    "feedback": f"{HERE}.exception_feedback:show_feedback",
}


@click.group(cls=LazyGroup, commands_by_place=COMMANDS)
def exceptions() -> None:
    """What needs an explanation: list, look, take, comment, propose, approve, reopen."""


def _several(*words: str) -> click.Choice[str]:
    return click.Choice(words)


@exceptions.command("list")
@click.option("--source", "source_id")
@click.option("--class", "classes", multiple=True, type=_several("timing", "genuine", "source_gap", "review"))
@click.option("--kind", "kinds", multiple=True, type=_several(*sorted(EXCEPTION_KINDS)))
@click.option("--severity", "severities", multiple=True, type=_several(*SEVERITIES))
@click.option("--status", "statuses", multiple=True, type=_several(*STATUSES))
@click.option("--owner", type=Words(), help="Whose they are; none: nobody's.")
@click.option("--team", type=Words(), help="Which team's; none: no team's.")
@click.option("--late", "is_late", is_flag=True, help="Those that should have been dealt with by now.")
@click.option("--all", "with_closed", is_flag=True, help="Cleared and resolved ones too.")
@json_option
@pass_context
def list_exceptions(
    context: Context,
    source_id: str | None,
    classes: tuple[str, ...],
    kinds: tuple[str, ...],
    severities: tuple[str, ...],
    statuses: tuple[str, ...],
    owner: str | None,
    team: str | None,
    is_late: bool,
    with_closed: bool,
    as_json: bool,
) -> None:
    """Open exceptions, worst first. Options that can be given several times take any of their values.

    Example: tieout exceptions list --class genuine --severity critical --severity high --owner none
    """
    if source_id is not None:
        source_id = context.project.sources[source_id].id
    wanted: dict[str, Any] = {
        "source": source_id,
        "classes": list(classes) or None,
        "kinds": list(kinds) or None,
        "severities": list(severities) or None,
        "statuses": list(statuses) or None,
        "owner": owner and owner.lower(),
        "team": team,
        "late_on": datetime.now(UTC).date() if is_late else None,
        "with_closed": with_closed or bool({"cleared", "resolved"} & set(statuses)),
    }
    with context.project.database.session("tieout_auditor") as connection:
        rows = connection.cursor(row_factory=dict_row).execute(SQL["exceptions"], wanted).fetchall()
    say_rows(
        ({name: row[name] for name in CONTRACT_COLUMNS} for row in rows)
        if as_json
        else map(with_amounts, rows),
        SHOWN_COLUMNS,
        as_json=as_json,
        empty="Nothing is open.",
    )


@exceptions.command("show")
@click.argument("exception_id", type=NUMBER)
@json_option
@pass_context
def show_exception(context: Context, exception_id: int, as_json: bool) -> None:
    """One exception: its lines, what it may be matched with and why no pass did, its enclosures and its history.

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
        case = read_case(connection, context.project.sources, exception_id)
    candidates = [_candidate(one) for one in case.candidates]
    enclosures = [asdict(one) for one in case.enclosures]
    if as_json:
        told = {
            **found,
            "lines": lines,
            "events": events,
            "candidates": candidates,
            "attachments": enclosures,
        }
        say(told, "", as_json=True)
        return
    for name, value in with_amounts(found).items():
        if value not in (None, ""):
            click.echo(f"{name:>18}  {value}")
    line_columns = ["side", "key", "business_date", "amount", "kind", "reference"]
    _table("Lines", list(map(with_amounts, lines)), line_columns)
    _table("Candidates", candidates, ["match", "lines", "score", "reasons", "why_not_automatic"])
    if enclosures:
        _table("Enclosed", enclosures, ["attachment_id", "file_name", "byte_count", "uploaded_by", "sha256"])
    _table("History", events, ["at", "event", "actor", "as_of", "change", "reason", "note"])


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


@exceptions.command("verify")
@json_option
@pass_context
def verify_history(context: Context, as_json: bool) -> None:
    """Compute the chains of all events again; exit 1 when the history is not as it was written.

    Example: tieout exceptions verify
    """
    with context.project.database.session("tieout_auditor") as connection:
        problems = chain_problems(connection)
        chains = connection.cursor(row_factory=dict_row).execute(SQL["chains"]).fetchall()
    sentence = "\n".join(
        [
            f"{one['source_id']}, {one['origin']}: {one['length']:,} events, head {one['head'][:16]}…"
            for one in chains
        ]
        + [
            "The history is as it was written."
            if not problems
            else f"{len(problems):,} places are not as they were."
        ]
    )
    if problems:
        first = problems[0]
        sentence += (
            f" The first: {first.source_id}, {first.origin}, link {first.chain_no}, event {first.event_id}: "
            f"{first.problem}."
        )
    told = {"chains": chains, "problems": [asdict(one) for one in problems]}
    say(told, sentence, as_json=as_json)
    if problems:
        raise SystemExit(1)


def with_amounts(row: dict[str, Any]) -> dict[str, Any]:
    """The row with amounts as people write them."""
    shown = dict(row)
    for name in ("amount", "difference"):
        if f"{name}_minor" in shown:
            amount_minor = shown.pop(f"{name}_minor")
            shown[name] = money(amount_minor, row["asset"]) if row.get("asset") else amount_minor
    return shown


def _table(title: str, rows: list[dict[str, Any]], columns: list[str]) -> None:
    click.echo(f"\n{title}")
    say_rows(rows, columns, as_json=False, empty="none")


def _candidate(one: Candidate) -> dict[str, Any]:
    """A candidate with its reasons in words; points are thousandths of a bit."""
    reasons = [f"{reason.words} {_points(reason.points)}" for reason in one.reasons]
    return {
        "match": one.group_id,
        "lines": ", ".join(line.name for line in one.sides.lines),
        "score": _points(one.score),
        "reasons": " · ".join(reasons[:SHOWN_SUMS]),
        "why_not_automatic": one.why_not,
    }


def _points(millipoints: int) -> str:
    sign = "-" if millipoints < 0 else ""
    return f"{sign}{abs(millipoints) // 1000}.{abs(millipoints) % 1000:03d}"


def _timing_in_words(source_id: str, found: TimingQuality) -> str:
    return (
        f"{source_id}, as known on {found.as_of}: {found.timing_count:,} items were first called timing;"
        f" {found.not_due_count:,} are not due yet, {found.waiting_count:,} wait for a file.\n"
        f"precision  {share(found.precision_ppm):>9}  {found.cleared_in_time_count:,} of {found.judged_count:,} past"
        " their due date were cleared by a match in time\n"
        f"recall     {share(found.recall_ppm):>9}  {found.self_cleared_timing_count:,} of {found.self_cleared_count:,}"
        " that cleared in time by a match were called timing from the first"
    )


def share(ppm: int | None) -> str:
    """A share of a million as people write it."""
    return "none" if ppm is None else f"{ppm // 10_000}.{ppm % 10_000:04d} %"
