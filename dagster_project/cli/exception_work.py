"""`tieout exceptions take|give-back|assign|comment|attach|snooze|wake|carry|reopen|turn-down`: work without money.

Law: each command acts as one person, by a session of its own; many items are one deed, each with its own outcome, and
exit 1 says that not all of them were done. Decides nothing.
"""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import click

from dagster_project.acting import acting
from dagster_project.cli.output import Context, Day, json_option, pass_context, say
from dagster_project.cli.wording import NUMBER, ReasonWord, Words, by_option, ids_argument
from reconciliation.errors import UnknownItem
from reconciliation.exceptions.attachments import attach
from reconciliation.exceptions.enclosed import BYTES_MAX
from reconciliation.exceptions.work import Deed, ItemSeen, clearing_group, undo_match, work

until_option = click.option(
    "--until", required=True, type=Day(), help="It comes back by itself on this date."
)


@click.command("take")
@ids_argument
@by_option
@json_option
@pass_context
def take(context: Context, exception_ids: tuple[int, ...], actor: str, as_json: bool) -> None:
    """Make exceptions yours.

    Example: tieout exceptions take 17 18 --by ada
    """
    _do(context, exception_ids, actor, "take", f"Exception {{}} is {actor}'s.", as_json=as_json)


@click.command("give-back")
@ids_argument
@click.option("--to-previous", is_flag=True, help="To whoever had it before, whosoever it is now.")
@by_option
@json_option
@pass_context
def give_back(
    context: Context, exception_ids: tuple[int, ...], to_previous: bool, actor: str, as_json: bool
) -> None:
    """Give exceptions of yours back to nobody, or pass them back to whoever had them before.

    Example: tieout exceptions give-back 17 --by ada
    """
    deed: Deed = "pass_back" if to_previous else "give_back"
    told = "Exception {} is with whoever had it before." if to_previous else "Exception {} is nobody's."
    _do(context, exception_ids, actor, deed, told, as_json=as_json)


@click.command("assign")
@ids_argument
@click.option("--to", "person", type=Words(), metavar="NAME", help="To a person.")
@click.option("--team", type=Words(), help="To a team; none: to no team.")
@by_option
@json_option
@pass_context
def assign(
    context: Context,
    exception_ids: tuple[int, ...],
    person: str | None,
    team: str | None,
    actor: str,
    as_json: bool,
) -> None:
    """Give exceptions to a person or to a team.

    Example: tieout exceptions assign 17 18 --to bob --by ada
    """
    if (person is None) == (team is None):
        raise click.UsageError("expected one of --to NAME and --team T, found both or none")
    if person is not None:
        person = person.lower()
        _do(
            context,
            exception_ids,
            actor,
            "assign",
            f"Exception {{}} is {person}'s.",
            {"to": person},
            as_json=as_json,
        )
    else:
        told = f"Exception {{}} is with team {team}."
        team = "" if team == "none" else team
        _do(context, exception_ids, actor, "assign_team", told, {"team": team}, as_json=as_json)


@click.command("comment")
@ids_argument
@click.argument("note", type=Words())
@by_option
@json_option
@pass_context
def comment(context: Context, exception_ids: tuple[int, ...], note: str, actor: str, as_json: bool) -> None:
    """Add a comment; comments are never changed.

    Example: tieout exceptions comment 17 "asked the bank" --by ada
    """
    _do(context, exception_ids, actor, "comment", "Noted on exception {}.", {"note": note}, as_json=as_json)


@click.command("attach")
@click.argument("exception_id", type=NUMBER)
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@by_option
@json_option
@pass_context
def attach_file(context: Context, exception_id: int, file: Path, actor: str, as_json: bool) -> None:
    """Enclose a file: PDF, PNG, JPEG, text, CSV, XLSX or a mail, up to 10 MB, without card numbers.

    Example: tieout exceptions attach 17 letter.pdf --by ada
    """
    with open(file, "rb") as stream:
        content = stream.read(BYTES_MAX + 1)
    with acting(context.project.database, actor) as connection:
        number = attach(connection, exception_id, file_name=file.name, content=content)
    sentence = f"{file.name} is enclosed with exception {exception_id} as attachment {number}."
    say({"exception_id": exception_id, "attachment_id": number}, sentence, as_json=as_json)


@click.command("snooze")
@ids_argument
@until_option
@click.option("--note", type=Words())
@by_option
@json_option
@pass_context
def snooze(
    context: Context, exception_ids: tuple[int, ...], until: date, note: str | None, actor: str, as_json: bool
) -> None:
    """Put exceptions off until a date.

    Example: tieout exceptions snooze 17 --until 2026-11-20 --note "expected on the 20th" --by ada
    """
    told = f"Exception {{}} sleeps until {until}."
    _do(context, exception_ids, actor, "snooze", told, {"until": until, "note": note}, as_json=as_json)


@click.command("wake")
@ids_argument
@by_option
@json_option
@pass_context
def wake(context: Context, exception_ids: tuple[int, ...], actor: str, as_json: bool) -> None:
    """Bring back what was put off or carried.

    Example: tieout exceptions wake 17 --by ada
    """
    _do(context, exception_ids, actor, "wake", "Exception {} is back.", as_json=as_json)


@click.command("carry")
@ids_argument
@until_option
@click.option("--reason", "reason_code", required=True, type=ReasonWord())
@click.option("--note", type=Words(), help="Needed where the reason is write-off or other.")
@by_option
@json_option
@pass_context
def carry(
    context: Context,
    exception_ids: tuple[int, ...],
    until: date,
    reason_code: str,
    note: str | None,
    actor: str,
    as_json: bool,
) -> None:
    """Carry exceptions forward: they stay open, explained by a coded reason, until a date.

    Example: tieout exceptions carry 17 --until 2026-12-01 --reason timing --note "in the next batch" --by ada
    """
    told = f"Exception {{}} is carried until {until}."
    detail = {"until": until, "reason": reason_code, "note": note}
    _do(context, exception_ids, actor, "carry", told, detail, as_json=as_json)


@click.command("reopen")
@click.argument("exception_id", type=NUMBER)
@click.option("--reason", "note", required=True, type=Words())
@click.option("--reason-code", default="other", show_default=True, type=ReasonWord())
@by_option
@pass_context
def reopen(context: Context, exception_id: int, note: str, reason_code: str, actor: str) -> None:
    """Undo the match that cleared an exception; the next run brings it back with its age, and does not match it so
    again.

    Example: tieout exceptions reopen 17 --reason "other customer" --by ada
    """
    with acting(context.project.database, actor) as connection:
        group_id = clearing_group(connection, exception_id)
        if group_id is None:
            raise UnknownItem(f"exception {exception_id}: expected one that a match cleared, found none")
        undo_match(connection, group_id, reason=reason_code, note=note)
    click.echo(f"Match {group_id} is undone. Run `tieout reconcile` to bring exception {exception_id} back.")


@click.command("turn-down")
@click.argument("group_id", metavar="MATCH", type=NUMBER)
@click.option("--reason", "note", required=True, type=Words())
@click.option("--reason-code", default="other", show_default=True, type=ReasonWord())
@by_option
@pass_context
def turn_down(context: Context, group_id: int, note: str, reason_code: str, actor: str) -> None:
    """Turn a suggested match down: no later run suggests or makes it again.

    Example: tieout exceptions turn-down 12 --reason "other customer" --by ada
    """
    with acting(context.project.database, actor) as connection:
        undo_match(connection, group_id, reason=reason_code, note=note)
    click.echo(f"Match {group_id} is turned down.")


def _do(
    context: Context,
    exception_ids: tuple[int, ...],
    actor: str,
    deed: Deed,
    told: str,
    detail: Mapping[str, Any] | None = None,
    *,
    as_json: bool,
) -> None:
    """One deed on all of them, once each, and what became of each; exit 1 where one was not done."""
    items = [ItemSeen(exception_id=number) for number in dict.fromkeys(exception_ids)]
    with acting(context.project.database, actor) as connection:
        outcomes = work(connection, items, deed, detail or {})
    sentences = [
        told.format(one.exception_id) if one.is_done else f"not done: {one.said}" for one in outcomes
    ]
    say([asdict(one) for one in outcomes], "\n".join(sentences), as_json=as_json)
    if not all(one.is_done for one in outcomes):
        raise SystemExit(1)
