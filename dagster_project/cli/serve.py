"""`tieout up` serves Dagster's UI, its daemon and the database; `tieout down` stops whatever runs."""

import click

from dagster_project.cli.output import Context, json_option, pass_context, say
from dagster_project.errors import ServiceError
from dagster_project.serving import serve, stop_serving

Port = click.IntRange(min=1, max=65_535)


@click.command()
@click.option("--dagster-port", default=3000, show_default=True, type=Port, help="Where Dagster's UI answers.")
@click.option(
    "--review-port",
    default=8600,
    show_default=True,
    type=Port,
    help="Kept for the analysts' review app, which is not part of this version: nothing answers there yet.",
)
@pass_context
def up(context: Context, dagster_port: int, review_port: int) -> None:
    """Serve Dagster's UI and daemon on this machine's loopback address, until Ctrl+C or `tieout down`.

    Prepares the database first, and stops everything together. Exit 1 when one of the processes ended by itself.

    Example: tieout up --dagster-port 3000
    """
    del review_port
    try:
        serve(context.settings, dagster_port=dagster_port, tell=click.echo)
    except ServiceError as error:
        click.echo(f"tieout: {error}", err=True)
        raise SystemExit(1) from None


@click.command()
@json_option
@pass_context
def down(context: Context, as_json: bool) -> None:
    """Stop a running `tieout up` and the embedded database server; safe when nothing runs.

    Example: tieout down
    """
    stopped = stop_serving(context.settings)
    say({"stopped": stopped}, f"Stopped {', '.join(stopped)}." if stopped else "Nothing was running.", as_json=as_json)
