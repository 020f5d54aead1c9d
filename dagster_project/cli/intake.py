"""`tieout ingest` and `tieout deliveries`: what arrived, what became of it, and decisions on what was refused."""

from datetime import date
from pathlib import Path

import click
from psycopg.rows import dict_row

from dagster_project.cli.output import Context, Day, json_option, pass_context, say, say_rows
from dagster_project.project import deliver_alerts
from dagster_project.receiving import ingest as take_in_file
from dagster_project.receiving import release, stored_record
from ledger_core.sql import queries
from reconciliation.formats.registry import FORMATS
from reconciliation.intake.deliveries import list_deliveries, list_provisional

SQL = queries(Path(__file__).with_name("recon.sql"))


@click.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False)
)
@click.option("--source", "source_id", required=True, help="Id of the source that sent them.")
@click.option(
    "--date", "for_date", type=Day(), help="Business date the files are for, where they do not say."
)
@click.option(
    "--format",
    "format_name",
    type=click.Choice(sorted(FORMATS)),
    help="Read them as this; else as the source's format that knows them.",
)
@json_option
@pass_context
def ingest(
    context: Context,
    files: tuple[Path, ...],
    source_id: str,
    for_date: date | None,
    format_name: str | None,
    as_json: bool,
) -> None:
    """Take files in, plain or as gzip or zip, each whole or not at all. Exit 1 when one was rejected.

    Example: tieout ingest camt053_2026-11-20.xml --source bank
    """
    source = context.project.sources[source_id]
    results, rejected = [], False
    for path in files:
        for outcome in take_in_file(
            context.project, source, path, for_date=for_date, format_name=format_name
        ):
            rejected = rejected or outcome.refusal is not None
            results.append(
                {"file": outcome.file_name, "outcome": outcome.outcome, "sentence": outcome.sentence}
            )
            if not as_json:
                click.echo(outcome.sentence)
    deliver_alerts(context.project)
    if as_json:
        say(results, "", as_json=True)
    if rejected:
        raise SystemExit(1)


@click.group(invoke_without_command=True)
@click.option("--source", "source_id", help="Of this source only.")
@json_option
@click.pass_context
def deliveries(click_context: click.Context, source_id: str | None, as_json: bool) -> None:
    """What arrived, what was refused and why, what is missing; decisions on refused files.

    Example: tieout deliveries --source bank
    """
    if click_context.invoked_subcommand is not None:
        return
    context = click_context.find_object(Context)
    assert context is not None  # noqa: S101 - the main command makes one
    if source_id is not None:
        context.chosen(source_id)
    with context.project.database.session("tieout_auditor") as connection:
        rows = list_deliveries(connection, source_id=source_id).to_pylist()
        missing = (
            connection.cursor(row_factory=dict_row)
            .execute(SQL["missing_files"], {"source": source_id})
            .fetchall()
        )
    for absent in missing:
        rows.append({"source": absent["source"], "outcome": absent["kind"], "for_date": absent["item_date"]})
    columns = ["delivery_id", "source", "for_date", "file_name", "outcome", "line_count", "refusal"]
    say_rows(rows, columns, as_json=as_json, empty="Nothing has arrived yet.")


@deliveries.command("release")
@click.argument("delivery_id", type=int)
@click.option("--reason", required=True, help="Why the file may be taken in although a proof of it failed.")
@click.option("--by", "actor", required=True, help="Who decides.")
@click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The file, if it was moved.",
)
@json_option
@pass_context
def release_delivery(
    context: Context, delivery_id: int, reason: str, actor: str, path: Path | None, as_json: bool
) -> None:
    """Waive the balance, control total or sequence that a refused file failed, and take it in, flagged.

    Example: tieout deliveries release 17 --reason "bank confirmed: trailer wrong" --by ada
    """
    sentence = release(context.project, delivery_id, reason=reason, actor=actor, path=path)
    say({"delivery_id": delivery_id, "sentence": sentence}, sentence, as_json=as_json)


@deliveries.command("record")
@click.argument("line_key")
@click.option("--source", "source_id", required=True)
@json_option
@pass_context
def record(context: Context, line_key: str, source_id: str, as_json: bool) -> None:
    """The bytes that a line was read from, as they were delivered, card numbers masked.

    Example: tieout deliveries record ACC-2026-000123 --source bank
    """
    found = stored_record(context.project, context.project.sources[source_id], line_key)
    text = found.decode("utf-8", errors="backslashreplace")
    say({"line_key": line_key, "record": text}, text, as_json=as_json)


@deliveries.command("provisional")
@click.option("--source", "source_id", help="Of this source only.")
@json_option
@pass_context
def provisional(context: Context, source_id: str | None, as_json: bool) -> None:
    """What intraday reports and statements tell that is not booked for good; none of it is counted or matched.

    Example: tieout deliveries provisional --source bank
    """
    if source_id is not None:
        context.chosen(source_id)
    with context.project.database.session("tieout_auditor") as connection:
        rows = list_provisional(connection, source_id=source_id)
    columns = [
        "source", "account", "report_date", "status", "value_date", "amount_minor", "asset", "counterparty", "live",
        "became_line_key",
    ]  # fmt: skip
    say_rows(rows, columns, as_json=as_json, empty="Nothing is told that is not booked.")
