"""`tieout statement` and `tieout sign-off`: the daily proof, and the two people who sign it.

Law: a person acts through a short session of their own and nobody signs what they prepared, here as in the review app:
the database says so. What is printed comes from the same statement that is signed.
"""

import os
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import click
import psycopg

from dagster_project.acting import acting
from dagster_project.cli.output import Context, Day, json_option, pass_context, say, say_rows
from dagster_project.errors import SettingsError
from ledger_core.sql import translated_errors
from reconciliation.errors import ReconciliationError, UnknownItem
from reconciliation.evidence import sign_off as signing
from reconciliation.evidence.statement import DayStatement, day_statement
from reconciliation.evidence.statement_page import statement_html
from reconciliation.evidence.statement_sheets import statement_csv, statement_xlsx
from reconciliation.evidence.statement_text import statement_text
from reconciliation.sources import Source

FORMATS = ("text", "html", "json", "csv", "xlsx")
STATUS_COLUMNS = (
    "sign_off_id", "source_id", "day", "state", "prepared_by", "prepared_at", "reviewed_by", "reviewed_at", "changed"
)  # fmt: skip
_NEEDED = {"--source": "source_id", "--date": "day", "--by": "actor"}


class Unproved(ReconciliationError):
    """A signed day does not prove any more; the sentences say what was expected and what was found."""


@click.command()
@click.option("--source", "source_id", required=True)
@click.option("--date", "day", required=True, type=Day())
@click.option("--format", "output", type=click.Choice(FORMATS), default="text", show_default=True)
@click.option(
    "--known-at",
    metavar="MOMENT",
    help="What was known then: a snapshot such as 812:815:813, sign-off:ID, or an instant with its zone.",
)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file; needed for xlsx."
)
@click.option(
    "--verify", is_flag=True, help="Prove the day's sign-offs again: bytes kept, digest, made again."
)
@pass_context
def statement(
    context: Context,
    source_id: str,
    day: date,
    output: str,
    known_at: str | None,
    out: Path | None,
    verify: bool,
) -> None:
    """The reconciliation statement of a source and day: balances, the bridge with every open item, files, people.

    Example: tieout statement --source bank --date 2026-11-20
    """
    source = context.project.sources[source_id]
    if output == "xlsx" and out is None and not verify:
        raise click.UsageError("a workbook goes to a file: add --out NAME.xlsx")
    with translated_errors(), context.project.database.session("tieout_auditor") as connection:
        if verify:
            _verify(connection, source, day)
            return
        found = day_statement(connection, source, day, known_at=known_at)
    content = _as_bytes(found, output)
    if out is None:
        click.echo(content.decode().removesuffix("\n"))
    else:
        _write(out, content)
        click.echo(f"{out}: {len(content):,} bytes; books sha256 {found.books_sha256}.")


@click.command("sign-off")
@click.option("--source", "source_id")
@click.option("--date", "day", type=Day())
@click.option("--by", "actor", metavar="LOGIN", help="Who acts.")
@click.option("--review", is_flag=True, help="Sign what another person prepared.")
@click.option("--refuse", is_flag=True, help="Refuse what another person prepared; with --note.")
@click.option("--withdraw", is_flag=True, help="Withdraw what you prepared; with --note.")
@click.option("--note", help="Why; needed to refuse and to withdraw.")
@click.option("--status", is_flag=True, help="List sign-offs, and what changed since.")
@json_option
@pass_context
def sign_off(context: Context, **options: Any) -> None:
    """Sign a source's day: one person prepares it, another one adds --review.

    Example: tieout sign-off --source bank --date 2026-11-20 --by ada
    """
    if options["status"]:
        _status(context, options["source_id"], options["day"], as_json=options["as_json"])
        return
    verdicts = [name for name in ("review", "refuse", "withdraw") if options[name]]
    absent = [flag for flag, name in _NEEDED.items() if not options[name]]
    if absent:
        raise click.UsageError(f"missing {', '.join(absent)}")
    if len(verdicts) > 1:
        raise click.UsageError("one of --review, --refuse and --withdraw at a time")
    source = context.project.sources[options["source_id"]]
    with acting(context.project.database, options["actor"]) as connection:
        done = _act(connection, source, options, verdicts)
        told = [] if verdicts else _told(connection, source, options["day"])
    say(asdict(done), "\n".join([_in_words(done), *told]), as_json=options["as_json"])


def _act(
    connection: psycopg.Connection[Any], source: Source, options: dict[str, Any], verdicts: list[str]
) -> signing.SignOff:
    day, note = options["day"], options["note"]
    if not verdicts:
        return signing.prepare(connection, source, day, note)
    found = signing.sign_offs(connection, source_id=source.id, day=day)
    waiting = [one for one in found if one.state == "prepared"]
    if not waiting:
        raise UnknownItem(
            f"{source.id} {day}: expected a day that somebody prepared, found none; prepare it without --{verdicts[0]}"
        )
    verdict: signing.Verdict = (
        "signed" if options["review"] else "refused" if options["refuse"] else "withdrawn"
    )
    return signing.review(connection, source, waiting[-1].sign_off_id, verdict, note)


def _told(connection: psycopg.Connection[Any], source: Source, day: date) -> list[str]:
    """What the signers should know, though nothing stands against signing."""
    found = day_statement(connection, source, day)
    return [f"  to know: {obstacle.said}" for obstacle in signing.obstacles_of(connection, source, found)]


def _status(context: Context, source_id: str | None, day: date | None, *, as_json: bool) -> None:
    sources = context.project.sources
    with translated_errors(), context.project.database.session("tieout_auditor") as connection:
        rows = []
        for found in signing.sign_offs(connection, source_id=source_id, day=day):
            changed = (
                signing.changes_since(connection, sources[found.source_id], found) if found.standing else ()
            )
            rows.append(asdict(found) | {"changed": list(changed) if as_json else _changed(changed)})
    say_rows(rows, STATUS_COLUMNS, as_json=as_json, empty="No day was put before a second person.")


def _verify(connection: psycopg.Connection[Any], source: Source, day: date) -> None:
    found = signing.sign_offs(connection, source_id=source.id, day=day)
    if not found:
        raise UnknownItem(
            f"{source.id} {day}: expected a sign-off to prove, found none; `tieout sign-off` makes one"
        )
    wrong = []
    for one in found:
        checked = signing.check(connection, source, one)
        wrong += [f"sign-off {one.sign_off_id}: {problem}" for problem in checked.problems]
        if not checked.problems:
            click.echo(
                f"Sign-off {one.sign_off_id} ({one.state}): bytes kept = digest = made again from the evidence"
                f" ({one.content_sha256})."
            )
        for change in checked.changed if one.standing else ():
            click.echo(f"  changed since: {change}")
    if wrong:
        raise Unproved(f"{source.id} {day}: {'; '.join(wrong)}")


def _in_words(done: signing.SignOff) -> str:
    name = f"Sign-off {done.sign_off_id} of {done.source_id} {done.day}"
    if done.state == "prepared":
        return (
            f"{name} is prepared by {done.prepared_by} over the books {done.books_sha256}. Another person signs it with"
            " --review."
        )
    return f"{name} is {done.state}: prepared by {done.prepared_by}, {done.state} by {done.reviewed_by}."


def _changed(changes: tuple[str, ...]) -> str:
    return "; ".join(changes) if changes else "no"


def _as_bytes(found: DayStatement, output: str) -> bytes:
    if output == "json":
        return found.canonical_bytes()
    if output == "csv":
        return statement_csv(found)
    if output == "xlsx":
        return statement_xlsx(found)
    return (statement_html(found) if output == "html" else statement_text(found)).encode()


def _write(out: Path, content: bytes) -> None:
    """Write whole or not at all: what was there before stays until the new file is complete."""
    draft = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        draft.write_bytes(content)
        draft.replace(out)
    except OSError as error:
        raise SettingsError(f"{out}: expected a place that can be written, found: {error.strerror}") from None
    finally:
        draft.unlink(missing_ok=True)
