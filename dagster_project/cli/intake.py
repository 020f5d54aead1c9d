"""`tieout ingest` and `tieout deliveries`: what arrived, what became of it, and decisions on what was refused."""

from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
from psycopg.rows import dict_row

from dagster_project.cli.output import Context, Day, json_option, money, pass_context, say, say_rows
from dagster_project.project import deliver_alerts
from dagster_project.receiving import ingest as take_in_file
from dagster_project.receiving import release, stored_record
from ledger_core.sql import queries
from reconciliation.formats.canonical import WAIVABLE_CODES
from reconciliation.formats.registry import FORMATS
from reconciliation.intake.chain import CONTINUED
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
    pa.set_memory_pool(pa.system_memory_pool())  # gives back what a batch held; Arrow's own keeps 40 MB more
    source = context.project.sources[source_id]
    results, rejected = [], False
    for path in files:
        for outcome in take_in_file(
            context.project, source, path, for_date=for_date, format_name=format_name
        ):
            rejected = rejected or outcome.refusal is not None
            results.append(
                {
                    "file": outcome.file_name,
                    "outcome": outcome.outcome,
                    "sentence": outcome.sentence,
                    "delivery_id": outcome.delivery_id,
                    "archive": outcome.package_name,
                    "lines": outcome.line_count,
                    "provisional": outcome.provisional_count,
                    "notes": list(outcome.notes),
                }
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
        rows.append(
            {
                "source": absent["source"],
                "outcome": absent["kind"],
                "for_date": absent["item_date"],
                "account": absent["account"],
                "notes": absent["why"],
            }
        )
    if as_json:
        say(rows, "", as_json=True)
        return
    columns = ["delivery_id", "source", "for_date", "file", "outcome", "lines", "provisional", "remark"]
    say_rows(map(_shown, rows), columns, as_json=False, empty="Nothing has arrived yet.")


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """A delivery for people: its file with the archive it came in, and what is to be said about it."""
    packed = f" in {row['package_name']}" if row.get("package_name") else ""
    return {
        **row,
        "file": f"{row['file_name']}{packed}" if row.get("file_name") else None,
        "lines": row.get("line_count"),
        "provisional": row.get("provisional_count") or None,
        "remark": "; ".join(_remarks(row)),
    }


def _remarks(row: Mapping[str, Any]) -> Iterator[str]:
    """What somebody may have to act upon; that a statement continues the one before is as it should be."""
    if row["outcome"] == "redelivered":
        yield f"says the same as delivery {row['same_as']}"
    if row["outcome"] == "corrected":
        yield f"{row['changed_count']} changed, {row['added_count']} added, {row['withdrawn_count']} withdrawn"
    if row["outcome"] == "rejected":
        waivable = f", waivable by: tieout deliveries release {row['delivery_id']}"
        yield f"{row['refusal_code']}{waivable if row['refusal_code'] in WAIVABLE_CODES else ''}: {row['refusal']}"
    if row.get("account"):
        yield str(row["account"])
    yield from (note for note in (row.get("notes") or "").split("; ") if note and not note.endswith(CONTINUED))


def _said(_context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Something, not nothing: a decision without a name or a reason is none."""
    if not value.strip():
        raise click.BadParameter("expected some words, found none", param=parameter)
    return value.strip()


@deliveries.command("release")
@click.argument("delivery_id", type=int)
@click.option(
    "--reason", required=True, callback=_said, help="Why the file may be taken in although a proof of it failed."
)
@click.option("--by", "actor", required=True, callback=_said, help="Who decides.")
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

    The decision is recorded for exactly these bytes. Exit 1 when the file is refused again, for another reason.

    Example: tieout deliveries release 17 --reason "bank confirmed: trailer wrong" --by ada
    """
    done = release(context.project, delivery_id, reason=reason, actor=actor, path=path)
    deliver_alerts(context.project)
    told = [done.decision, *(outcome.sentence for outcome in done.outcomes)]
    say({"delivery_id": delivery_id, "sentence": "\n".join(told)}, "\n".join(told), as_json=as_json)
    if any(outcome.refusal for outcome in done.outcomes):
        raise SystemExit(1)


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
    if as_json:
        say(rows, "", as_json=True)
        return
    columns = ["source", "account", "report_date", "status", "value_date", "amount", "counterparty", "state"]
    told = ({**row, "amount": money(row["amount_minor"], row["asset"]), "state": _state(row)} for row in rows)
    say_rows(told, columns, as_json=False, empty="Nothing is told that is not booked.")


def _state(row: Mapping[str, Any]) -> str:
    """Whether a provisional line still waits for its statement, or what became of it."""
    if row["live"]:
        return "waits for its statement"
    return f"booked as {row['became_line_key']}" if row["became_line_key"] else "replaced by its statement"
