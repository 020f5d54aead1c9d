"""`tieout export`: tables for people's scripts, and the pack for a regulator. The clock and the name are told here."""

import importlib.metadata
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import click

from dagster_project.acting import system_user
from dagster_project.cli.output import Context, Day, json_option, pass_context, say
from dagster_project.exports import EXPORTS, export_table
from dagster_project.pipeline import code_version
from reconciliation.evidence.produced import Production

AUDITOR: Final = "tieout_auditor"
ABOUT: Final = {
    "lines": "External lines by booking date, every version, with the bucket each is in.",
    "matches": "Matches and suggestions with their members.",
    "exceptions": "Exceptions, with the columns that scripts rely on.",
    "statements": "The bridge of each account and day.",
    "events": "What happened to exceptions: who, when, before and after, and the link of the chain.",
    "proposals": "What people proposed, and who judged it.",
    "decisions": "What people decided, one row for each line it names.",
    "sign-offs": "Who prepared and who signed each day, over which digests.",
    "people": "Who is known, with roles, team and state.",
}


@click.group()
def export() -> None:
    """Write tables to .csv, .parquet or .xlsx, or everything of a range as a pack for a regulator.

    Example: tieout export exceptions --out exceptions.csv --source bank
    """


def _table_command(what: str) -> click.Command:
    """The command of one kind of table."""

    def run(context: Context, out: Path, as_json: bool, by: str | None, **asked: Any) -> None:
        _export_table(context, what, out, by=by, as_json=as_json, **asked)

    options: list[Callable[[Any], Any]] = [
        click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False),
            help="A .csv, .parquet or .xlsx file; the first two get a FILE.footer.json beside them."),
        click.option("--by", help="Who exports; who runs the command if left out."),
    ]  # fmt: skip
    if what != "people":
        options += [
            click.option("--source", "source_id"),
            click.option("--from", "from_date", type=Day()),
            click.option("--to", "to_date", type=Day()),
        ]
    if what == "exceptions":
        options.append(
            click.option(
                "--with-work", is_flag=True, help="Also team, reason, SLA day and cycle, as last columns."
            )
        )
    command: Any = pass_context(run)
    for option in reversed([*options, json_option]):
        command = option(command)
    doc = f"{ABOUT[what]}\n\nExample: tieout export {what} --out {what}.csv"
    return click.command(what, help=doc)(command)


for _what in EXPORTS:
    export.add_command(_table_command(_what))


def _export_table(
    context: Context,
    what: str,
    out: Path,
    *,
    by: str | None,
    as_json: bool,
    source_id: str | None = None,
    from_date: date | None = None,
    to_date: date | None = None,
    with_work: bool = False,
) -> None:
    asked = Production(
        what=what,
        query=what,
        produced_by=by or system_user(),
        produced_at=datetime.now(UTC),
        system=system(),
        source=source_id,
        first_date=from_date,
        last_date=to_date,
    )
    with context.project.database.session(AUDITOR) as connection:
        produced = export_table(connection, out, asked, with_work=with_work)
    told = {"file": str(out), "rows": produced.rows, "sha256": produced.sha256}
    say(told, f"{out}: {produced.rows:,} rows.", as_json=as_json)


def system() -> str:
    """The program and its version."""
    return f"tieout {code_version()}"


def components() -> list[dict[str, str]]:
    """Every installed package with its version, by name."""
    found = {
        (distribution.metadata["Name"] or "").lower(): distribution.version
        for distribution in importlib.metadata.distributions()
    }
    return [{"name": name, "version": version} for name, version in sorted(found.items()) if name]
