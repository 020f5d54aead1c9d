"""The root command, `sources check`, and the one place that turns errors into sentences and exit codes."""

import sys
from pathlib import Path

import click

from dagster_project.cli.lazy import LazyGroup
from dagster_project.cli.output import Context, json_option, pass_context, say
from dagster_project.errors import ShellError
from dagster_project.project import read_sources
from ledger_core.errors import LedgerError
from reconciliation.errors import ReconciliationError, SourcesError

REFUSALS = (LedgerError, ReconciliationError, ShellError)
FAILED, MISUSED = 1, 2


class SentenceGroup(LazyGroup):
    """A group whose refusals are sentences, not tracebacks."""

    def invoke(self, context: click.Context) -> object:
        """Run the command; a refusal on purpose ends with exit code 1 (data) or 2 (configuration)."""
        try:
            return super().invoke(context)
        except (ShellError, SourcesError) as refusal:
            click.echo(f"tieout: {refusal}", err=True)
            raise SystemExit(MISUSED) from None
        except REFUSALS as refusal:
            click.echo(f"tieout: {refusal}", err=True)
            raise SystemExit(FAILED) from None


COMMANDS = {
    "init": "dagster_project.cli.init:init",
    "card-key": "dagster_project.cli.card_key:card_key",
    "ledger": "dagster_project.cli.ledger:ledger",
    "ingest": "dagster_project.cli.intake:ingest",
    "deliveries": "dagster_project.cli.intake:deliveries",
    "backtest": "dagster_project.cli.backtest:backtest_command",
    "reconcile": "dagster_project.cli.recon:reconcile",
    "exceptions": "dagster_project.cli.exceptions:exceptions",
    "statement": "dagster_project.cli.evidence:statement",
    "sign-off": "dagster_project.cli.evidence:sign_off",
    "export": "dagster_project.cli.export:export",
    "simulate": "dagster_project.cli.world:simulate",
    "demo": "dagster_project.cli.world:demo",
    "up": "dagster_project.cli.serve:up",
    "down": "dagster_project.cli.serve:down",
    "bench": "dagster_project.cli.bench:bench",
    "users": "dagster_project.cli.users:users",
}


@click.group(cls=SentenceGroup, commands_by_place=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tieout")
@click.pass_context
def root(context: click.Context) -> None:
    """Prove every day, to the cent, that the ledger and the outside agree.

    Example: tieout init && tieout demo
    """
    context.obj = Context.from_environment()


@root.group()
def sources() -> None:
    """The sources file: which books there are and how they are reconciled."""


@sources.command("check")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=False)
@json_option
@pass_context
def check_sources(context: Context, file: Path | None, as_json: bool) -> None:
    """Validate a sources file; every problem with its place.

    Example: tieout sources check sources.yaml
    """
    path = file or context.settings.sources
    parsed = read_sources(path)
    ids = [source.id for source in parsed.sources]
    say({"file": str(path), "sources": ids}, f"{path}: good; sources {', '.join(ids)}.", as_json=as_json)


def main() -> None:
    """Entry point of the installed command."""
    sys.exit(root(prog_name="tieout"))
