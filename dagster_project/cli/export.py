"""`tieout export`: tables for people's scripts, and the pack for a regulator. The clock and the name are told here."""

import hashlib
import importlib.metadata
import json
import os
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import click

from dagster_project.acting import system_user
from dagster_project.cli.output import Context, Day, json_option, pass_context, say
from dagster_project.errors import SettingsError
from dagster_project.exports import EXPORTS, export_table
from dagster_project.pipeline import code_version
from reconciliation.evidence import independent
from reconciliation.evidence.pack import PackRequest, write_pack
from reconciliation.evidence.produced import Production

AUDITOR: Final = "tieout_auditor"
FAILED: Final = 1
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


@export.command("pack")
@click.option("--from", "from_date", required=True, type=Day(), help="First business date.")
@click.option("--to", "to_date", required=True, type=Day(), help="Last business date.")
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="A .zip file.")
@click.option("--source", "source_id", help="This source only; all of them if left out.")
@click.option(
    "--known-at", help="What was known at a moment: that of an older pack's manifest, or the pack itself."
)
@json_option
@pass_context
def export_pack(
    context: Context,
    from_date: date,
    to_date: date,
    out: Path,
    source_id: str | None,
    known_at: str | None,
    as_json: bool,
) -> None:
    """Everything about a range of days in one archive, for a regulator or an auditor.

    The same range and the same moment of knowledge make the same bytes again.

    Example: tieout export pack --from 2026-11-09 --to 2026-11-13 --out pack.zip
    """
    if out.suffix != ".zip":
        raise SettingsError(f"{out}: expected a name that ends in .zip, found {out.suffix or 'no ending'}")
    request = PackRequest(
        sources=sorted(context.chosen(source_id), key=lambda source: source.id),
        first=from_date,
        last=to_date,
        system=system(),
        components=components(),
        known_at=_moment(known_at),
    )
    draft = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file, context.project.database.session(AUDITOR) as connection:
            manifest = write_pack(file, connection, request)
        digest = _sha256(draft)
        draft.replace(out)
    except OSError as error:
        raise SettingsError(f"{out}: expected a place that can be written, found: {error.strerror}") from None
    finally:
        draft.unlink(missing_ok=True)
    told = {"file": str(out), "sha256": digest, "files": len(manifest["files"]), **manifest["inputs"]}
    say(
        told,
        f"{out}: {len(manifest['files']):,} files, sha256 {digest}\nknown at {told['known_at']}",
        as_json=as_json,
    )


@export.command("verify-pack")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@json_option
def verify_pack(file: Path, as_json: bool) -> None:
    """Check every digest of a pack, and every row count, total and digest of the tables in it.

    Needs no database; `check.py` in the pack does the same without tieout.

    Example: tieout export verify-pack pack.zip
    """
    try:
        problems = independent.check_pack(file)
    except (zipfile.BadZipFile, ValueError, KeyError, TypeError, StopIteration):
        problems = ["expected a pack that `tieout export pack` wrote, found something else or a damaged one"]
    sentence = "\n".join(f"{file}: {problem}" for problem in problems) or f"{file}: good."
    say({"file": str(file), "good": not problems, "problems": problems}, sentence, as_json=as_json)
    if problems:
        raise SystemExit(FAILED)


def _moment(text: str | None) -> str | None:
    """The moment of knowledge that is meant: in words, or by an older pack."""
    if text is None or not text.endswith(".zip"):
        return text
    try:
        with zipfile.ZipFile(text) as pack:
            return str(json.loads(pack.read(independent.MANIFEST))["inputs"]["known_at"])
    except (OSError, zipfile.BadZipFile, KeyError, ValueError) as error:
        raise SettingsError(
            f"{text}: expected a pack with a manifest, found none ({type(error).__name__})"
        ) from None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
