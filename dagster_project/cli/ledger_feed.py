"""`tieout ledger feed`, `work` and `publish`: the feed for people, the worker, and the relay to Kafka."""

import click

from dagster_project.cli.output import Context, json_option, pass_context, say, say_rows
from dagster_project.errors import BrokerError
from dagster_project.kafka_relay import client_settings, consumer_name, keep_publishing, publish_all
from dagster_project.ledger_worker import INTERVAL_MS, work_once
from dagster_project.ledger_worker import work as keep_working
from dagster_project.processes import stop_signals
from ledger_core import feed as ledger_feed

once_option = click.option("--once", is_flag=True, help="Do what there is to do, and end.")
interval_option = click.option(
    "--interval-ms",
    default=INTERVAL_MS,
    show_default=True,
    type=click.IntRange(min=1),
    help="The pause between rounds.",
)


@click.command("feed")
@click.option(
    "--after",
    default=0,
    show_default=True,
    type=click.IntRange(min=0),
    help="Show what comes after this position.",
)
@click.option(
    "--limit", default=100, show_default=True, type=click.IntRange(min=1, max=10_000), help="At most so many."
)
@json_option
@pass_context
def feed(context: Context, after: int, limit: int, as_json: bool) -> None:
    """Read the feed: every posted entry at its position. The same position gives the same event for ever.

    Example: tieout ledger feed --after 1200 --limit 50
    """
    with context.project.database.session("tieout_poster") as connection:
        ledger_feed.relay(connection)
    with context.project.database.session("tieout_ledger_reader") as connection:
        events = ledger_feed.read(connection, after, limit)
    if as_json:
        click.echo(f"[{', '.join(event.text for event in events)}]")  # as it is stored and sent, to the byte
        return
    rows = [{**event.body, "lines": len(event.body["lines"])} for event in events]
    say_rows(
        rows,
        ["position", "entry_key", "effective_at", "recorded_at", "lines"],
        as_json=False,
        empty="Nothing there yet.",
    )


@click.command("work")
@once_option
@interval_option
@json_option
@pass_context
def work(context: Context, once: bool, interval_ms: int, as_json: bool) -> None:
    """Keep balances folded, holds released when due, and the feed numbered, until Ctrl+C. `tieout up` runs one too.

    Example: tieout ledger work --once
    """
    url = context.project.database.url
    if once:
        done = work_once(url)
        sentence = (
            f"{done['folded']} account(s) folded, {done['released']} transaction(s) released, "
            f"feed at position {done['newest_position']}."
        )
        say(done, sentence, as_json=as_json)
        return
    with stop_signals() as stop:
        keep_working(url, stop=stop, tell=_tell, interval_seconds=interval_ms / 1000)


@click.command("publish")
@click.option("--topic", help="Instead of TIEOUT_KAFKA_TOPIC.")
@click.option(
    "--from", "after", type=click.IntRange(min=0), help="Go back, or on, to after this position first."
)
@once_option
@interval_option
@json_option
@pass_context
def publish(
    context: Context, topic: str | None, after: int | None, once: bool, interval_ms: int, as_json: bool
) -> None:
    """Send the feed to Kafka from where it was acknowledged last, each event at least once, until Ctrl+C.

    Example: tieout ledger publish --once --topic tieout.journal
    """
    client, chosen = client_settings(context.settings), topic or context.settings.kafka_topic
    url = context.project.database.url
    if after is not None:
        with context.project.database.session("tieout_poster") as connection:
            ledger_feed.relay(connection)
            ledger_feed.acknowledge(connection, consumer_name(chosen), after, rewind=True)
    with stop_signals() as stop:
        if not once:
            keep_publishing(url, client, chosen, stop=stop, tell=_tell, interval_seconds=interval_ms / 1000)
            return
        try:
            sent = publish_all(url, client, chosen, stop=stop)
        except BrokerError as error:
            click.echo(f"tieout: {error}", err=True)
            raise SystemExit(1) from None
    say({"topic": chosen, "sent": sent}, f"{sent} event(s) sent to {chosen}.", as_json=as_json)


def _tell(words: str) -> None:
    click.echo(words, err=True)
