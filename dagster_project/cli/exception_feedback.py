"""`tieout exceptions feedback`: what people made of suggestions, and what it says about the rules.

Law: changes nothing. A change of rules is shown with a trial over past days, for somebody to write into sources.yaml.
"""

from dataclasses import asdict
from datetime import date
from typing import Any

import click

from dagster_project.cli.backtest import tell_trial, trial_as_value
from dagster_project.cli.exceptions import share
from dagster_project.cli.output import Context, Day, json_option, pass_context, say, say_rows
from ledger_core.sql import translated_errors
from reconciliation.daily.backtest import Trial, backtest
from reconciliation.exceptions.feedback import RuleChange, proposed_changes, read_feedback
from reconciliation.sources import Source

COLUMNS = (
    "source", "match_pass", "rule", "held_by", "accepted", "altered", "turned_down", "waiting", "gone",
    "accepted_share",
)  # fmt: skip


@click.command("feedback")
@click.option("--source", "source_id", help="This source only; all of them if left out.")
@click.option("--backtest", "with_trial", is_flag=True, help="Try what is proposed on past days.")
@click.option("--from", "first", type=Day(), help="First business date of the trial.")
@click.option("--to", "last", type=Day(), help="Last business date of the trial.")
@json_option
@pass_context
def show_feedback(
    context: Context,
    source_id: str | None,
    with_trial: bool,
    first: date | None,
    last: date | None,
    as_json: bool,
) -> None:
    """Suggestions that people accepted and turned down, by pass and rule, and changes of the rules that this speaks
    for; with a trial of each over past days. Changes nothing.

    Example: tieout exceptions feedback --source bank --backtest --from 2026-11-09 --to 2026-11-13
    """
    days = (first, last) if first and last and first <= last else None
    if with_trial and days is None:
        raise click.UsageError("--backtest: expected --from and, not before it, --to")
    rows: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    told: list[tuple[Source, RuleChange, Trial | None]] = []
    for source in context.chosen(source_id):
        with translated_errors(), context.project.database.session("tieout_auditor") as connection:
            counts = read_feedback(connection, source.id)
        listed = [
            asdict(one) | {"source": source.id, "verdicts": one.verdicts, "accepted_ppm": one.accepted_ppm}
            for one in counts
        ]
        changes = proposed_changes(counts, source.match)
        trials = [
            tried_change(context, source, one, *days) if with_trial and days else None for one in changes
        ]
        told += [(source, one, trial) for one, trial in zip(changes, trials, strict=True)]
        rows += listed
        results.append(
            {
                "source": source.id,
                "suggestions": listed,
                "proposed_changes": [
                    asdict(one) | {"trial": None if trial is None else trial_as_value(trial)}
                    for one, trial in zip(changes, trials, strict=True)
                ],
            }
        )
    if as_json:
        say(results, "", as_json=True)
        return
    shown = [row | {"accepted_share": share(row["accepted_ppm"])} for row in rows]
    say_rows(shown, COLUMNS, as_json=False, empty="Nothing was suggested.")
    for source, change, trial in told:
        click.echo(
            f"\n{source.id}, match.{change.setting}: {change.now} -> {change.proposed} is proposed: {change.why}. "
            "Whoever agrees writes it into sources.yaml."
        )
        if trial is not None:
            tell_trial(trial)
    if rows and not told:
        click.echo("\nNo change of the rules is proposed.")


def tried_change(context: Context, source: Source, change: RuleChange, first: date, last: date) -> Trial:
    """The change on past days; what the trial writes is rolled back."""
    with (
        translated_errors(),
        context.project.database.session("tieout_matcher") as connection,
        connection.transaction(force_rollback=True),
    ):
        return backtest(connection, change.applied_to(source), source, first=first, last=last)
