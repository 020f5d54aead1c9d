"""`tieout reconcile`: the daily work without the UI."""

from datetime import date

import click

from dagster_project.cli.output import Context, Day, json_option, pass_context, say
from dagster_project.pipeline import reconcile_source, source_day
from reconciliation.daily.reconcile import RunOutcome
from reconciliation.evidence.page import day_as_text, day_as_value


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


def _run_in_words(outcome: RunOutcome) -> str:
    if outcome.unchanged:
        return f"{outcome.source_id}: nothing new up to {outcome.as_of}."
    days = f"{outcome.window.first} to {outcome.window.last}" if outcome.window else str(outcome.as_of)
    undone = f", {outcome.groups_revoked:,} undone" if outcome.groups_revoked else ""
    return f"{outcome.source_id}: run {outcome.run_id} over {days}: {outcome.groups_made:,} matches made{undone}."
