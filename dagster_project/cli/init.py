"""`tieout init`: everything that must be there before the first file."""

import click

from dagster_project.cli.output import Context, json_option, pass_context, say
from dagster_project.pipeline import initialise
from dagster_project.project import packaged_sources


@click.command()
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
