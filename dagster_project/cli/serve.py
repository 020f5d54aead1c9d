"""`tieout up` serves the review app, Dagster's UI and daemon, and the database; `tieout down` stops whatever runs."""

import click

from dagster_project.cli.output import Context, json_option, pass_context, say
from dagster_project.errors import ServiceError
from dagster_project.serving import serve, stop_serving
from dagster_project.web.review_settings import DAGSTER_PORT, REVIEW_PORT

Port = click.IntRange(min=1, max=65_535)


@click.command()
@click.option(
    "--dagster-port", default=DAGSTER_PORT, show_default=True, type=Port, help="Where Dagster's UI answers."
)
@click.option(
    "--review-port", default=REVIEW_PORT, show_default=True, type=Port, help="Where the review app answers."
)
@pass_context
def up(context: Context, dagster_port: int, review_port: int) -> None:
    """Serve the review app and Dagster's UI on this machine's loopback address, until Ctrl+C or `tieout down`.

    One login serves both: what `tieout users add` makes. Prepares the database first, and stops everything together.
    Exit 1 when one of the processes ended by itself.

    Example: tieout up --dagster-port 3000 --review-port 8600
    """
    try:
        serve(context.settings, dagster_port=dagster_port, review_port=review_port, tell=click.echo)
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
    say(
        {"stopped": stopped},
        f"Stopped {', '.join(stopped)}." if stopped else "Nothing was running.",
        as_json=as_json,
    )
