"""`tieout ledger transaction`: the life of a business transaction, step by step, with what each step posted."""

from dataclasses import asdict

import click

from dagster_project.cli.output import Context, json_option, pass_context, say
from ledger_core.errors import TransactionError
from ledger_core.money import format_minor
from ledger_core.transactions import Event, EventLine, history, history_lines


@click.command("transaction")
@click.argument("key")
@json_option
@pass_context
def transaction(context: Context, key: str, as_json: bool) -> None:
    """Show the steps of a business transaction with the lines they posted.

    Example: tieout ledger transaction payment-17
    """
    with context.project.database.session("tieout_ledger_reader") as connection:
        events, lines = history(connection, key), history_lines(connection, key)
    if not events:
        raise TransactionError(f"transaction {key!r}: expected one that was initiated, found none")
    result = {
        "transaction": key,
        "events": [asdict(event) for event in events],
        "lines": [asdict(line) for line in lines],
    }
    told = [_told(event, [line for line in lines if line.event_no == event.event_no]) for event in events]
    say(result, "\n".join(told), as_json=as_json)


def _told(event: Event, lines: list[EventLine]) -> str:
    """A step in words, its lines below it."""
    notes = [
        f"until {event.expires_at:%Y-%m-%d %H:%M:%SZ}" if event.expires_at else "",
        f"at quote {event.quote_key}" if event.quote_key else "",
        f"because: {event.reason}" if event.reason else "",
    ]
    head = f"{event.event_no}  {event.state}  {event.recorded_at:%Y-%m-%d %H:%M:%SZ}  by {event.authoriser}"
    rows = [
        f"     {line.account}  {line.layer}  {format_minor(line.amount_minor, line.exponent)} {line.asset}"
        f"{f'  {line.kind}' if line.kind else ''}"
        for line in lines
    ]
    return "\n".join(["  ".join([head, *filter(None, notes)]), *rows])
