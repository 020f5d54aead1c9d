"""The root command, `init` and `sources check`, and the one place that turns errors into sentences and exit codes."""

import sys
from pathlib import Path

import click

from dagster_project.cli import ledger_export, ledger_feed, ledger_life, ledger_proof
from dagster_project.cli.bench import bench
from dagster_project.cli.card_key import card_key
from dagster_project.cli.intake import deliveries, ingest
from dagster_project.cli.ledger import ledger
from dagster_project.cli.output import Context, json_option, pass_context, say
from dagster_project.cli.recon import exceptions, export, reconcile, statement
from dagster_project.cli.serve import down, up
from dagster_project.cli.world import demo, simulate
from dagster_project.errors import ShellError
from dagster_project.pipeline import initialise, packaged_sources, read_sources
from ledger_core.errors import LedgerError
from reconciliation.errors import ReconciliationError, SourcesError

REFUSALS = (LedgerError, ReconciliationError, ShellError)
FAILED, MISUSED = 1, 2


class SentenceGroup(click.Group):
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


@click.group(cls=SentenceGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tieout")
@click.pass_context
def root(context: click.Context) -> None:
    """Prove every day, to the cent, that the ledger and the outside agree.

    Example: tieout init && tieout demo
    """
    context.obj = Context.from_environment()


@root.command()
@json_option
@pass_context
def init(context: Context, as_json: bool) -> None:
    """Start or reach the database, migrate it, write and load the sources. Safe to repeat.

    Example: tieout init
    """
    project = initialise(context.settings, sources_text=packaged_sources())
    ids = [source.id for source in project.sources.sources]
    result = {"database": (project.database.embedded is None and "yours") or "embedded", "sources": ids}
    say(
        result,
        f"Ready: {result['database']} database, sources {', '.join(ids)} from {context.settings.sources}.",
        as_json=as_json,
    )


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


for command in (
    ledger_proof.verify,
    ledger_proof.close_period,
    ledger_proof.seal,
    ledger_export.export,
    ledger_export.find,
    ledger_life.transaction,
    ledger_feed.feed,
    ledger_feed.work,
    ledger_feed.publish,
):
    ledger.add_command(command)
for command in (
    card_key,
    ledger,
    ingest,
    deliveries,
    reconcile,
    exceptions,
    statement,
    export,
    simulate,
    demo,
    up,
    down,
    bench,
):
    root.add_command(command)


def main() -> None:
    """Entry point of the installed command."""
    sys.exit(root(prog_name="tieout"))
