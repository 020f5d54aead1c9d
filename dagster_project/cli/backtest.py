"""`tieout backtest`: other rules tried on past days; changes nothing."""

from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import click

from dagster_project.cli.output import Context, Day, json_option, pass_context, say, say_rows
from dagster_project.project import read_sources
from ledger_core.sql import translated_errors
from reconciliation.daily.backtest import Trial, backtest
from reconciliation.errors import SourcesError

COLUMNS = (
    "match_pass", "history", "trial", "same", "new", "gone", "contradicting", "against_people", "remade",
)  # fmt: skip


@click.command("backtest")
@click.option(
    "--rules",
    "rules_file",
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A sources file with the rules to be tried.",
)
@click.option("--from", "first", required=True, type=Day(), help="First business date.")
@click.option("--to", "last", required=True, type=Day(), help="Last business date.")
@click.option("--source", "source_id", help="This source only; all that the file describes if left out.")
@json_option
@pass_context
def backtest_command(
    context: Context, rules_file: Path, first: date, last: date, source_id: str | None, as_json: bool
) -> None:
    """What other rules would have matched in past days, and what they would have got wrong. Changes nothing.

    Exit 1 when a rule contradicts a confirmed match or makes again what people undid.

    Example: tieout backtest --rules stricter.yaml --from 2026-11-09 --to 2026-11-13 --source bank
    """
    if last < first:
        raise click.UsageError(f"--to: expected a date not before {first}, found {last}")
    tried = read_sources(rules_file)
    known = {source.id for source in context.project.sources.sources}
    chosen = [source for source in tried.sources if source_id in (None, source.id)]
    unknown = [source.id for source in chosen if source.id not in known]
    if not chosen or unknown:
        found = ", ".join(unknown) or "none"
        raise SourcesError(
            (f"{rules_file}: expected sources among {', '.join(sorted(known))}, found {found}",)
        )
    trials = []
    for source in chosen:
        current = context.project.sources[source.id]
        with (
            translated_errors(),
            context.project.database.session("tieout_matcher") as connection,
            connection.transaction(force_rollback=True),
        ):
            trials.append(backtest(connection, source, current, first=first, last=last))
    if as_json:
        say([trial_as_value(trial) for trial in trials], "", as_json=True)
    else:
        for trial in trials:
            tell_trial(trial)
    if not all(trial.is_safe for trial in trials):
        raise SystemExit(1)


def trial_as_value(trial: Trial) -> dict[str, Any]:
    """What a trial found, for programs."""
    return asdict(trial) | {"open_count": dict(trial.open_count), "is_safe": trial.is_safe}


def tell_trial(trial: Trial) -> None:
    """What a trial found, for people."""
    click.echo(
        f"{trial.source_id}, {trial.first} to {trial.last}: rules {trial.rules_digest[:12]} over history made with "
        f"{trial.history_digest[:12]} and before; nothing was changed."
    )
    say_rows(
        [asdict(one) for one in trial.passes],
        COLUMNS,
        as_json=False,
        empty="Nothing is matched, then or now.",
    )
    classes = ", ".join(f"{count} {name}" for name, count in trial.open_count.items()) or "nothing"
    click.echo(f"Suggested only: {trial.suggested}. Open at the end: {classes}.")
    click.echo(
        "Nothing that is confirmed would be contradicted.\n"
        if trial.is_safe
        else "These rules would get confirmed matches wrong; look at the columns contradicting and remade.\n"
    )
