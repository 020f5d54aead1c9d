"""`tieout ledger`: charts, entries, reversals, balances; what proves, exports and publishes the books is beside it."""

import re
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
import pyarrow.compute as pc

from dagster_project.cli.lazy import LazyGroup
from dagster_project.cli.output import Context, json_option, money, pass_context, say, say_rows
from ledger_core.balance import Balance
from ledger_core.balance import balances as read_balances
from ledger_core.balance import rebase as rebase_ledger
from ledger_core.balance import rebuild as rebuild_balances
from ledger_core.balance import trial_balance as read_trial_balance
from ledger_core.chart import load_accounts
from ledger_core.money import format_minor
from ledger_core.posting import load_entries
from ledger_core.read_port import current_snapshot
from ledger_core.reversal import reverse as reverse_entry

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


class Instant(click.ParamType[datetime]):
    """ISO 8601 with a zone; a bare date means the end of that day in UTC."""

    name = "instant"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The instant, in UTC."""
        try:
            parsed = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"expected ISO 8601 such as 2026-11-20T18:00:00+01:00, found {value}", param, ctx)
        if len(str(value)) <= len("2026-11-20"):
            return parsed.replace(hour=23, minute=59, second=59, microsecond=999_999, tzinfo=UTC)
        if parsed.tzinfo is None:
            self.fail(f"expected a zone, such as +01:00 or Z, found {value}", param, ctx)
        return parsed.astimezone(UTC)


class Knowledge(click.ParamType[datetime | str]):
    """An instant, or a snapshot as the JSON of an earlier answer has it."""

    name = "instant or snapshot"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime | str:
        """The instant in UTC, or the snapshot's text."""
        parts = re.fullmatch(r"(\d{1,18}):(\d{1,18}):((?:\d{1,18}(?:,\d{1,18})*)?)", str(value))
        if parts is None:
            return Instant().convert(value, param, ctx)
        first, end, *running = map(int, re.findall(r"\d+", str(value)))
        if not 0 < first <= end or any(not first <= xid < end for xid in running):
            self.fail(f"expected a snapshot as `--json` prints it, found {value}", param, ctx)
        return str(value)


ELSEWHERE = {
    "verify": "dagster_project.cli.ledger_proof:verify",
    "close-period": "dagster_project.cli.ledger_proof:close_period",
    "seal": "dagster_project.cli.ledger_proof:seal",
    "export": "dagster_project.cli.ledger_export:export",
    "find": "dagster_project.cli.ledger_export:find",
    "transaction": "dagster_project.cli.ledger_life:transaction",
    "feed": "dagster_project.cli.ledger_feed:feed",
    "work": "dagster_project.cli.ledger_feed:work",
    "publish": "dagster_project.cli.ledger_feed:publish",
}


@click.group(cls=LazyGroup, commands_by_place=ELSEWHERE)
def ledger() -> None:
    """The double-entry ledger: load a chart, post, reverse, ask balances, verify."""


@ledger.command("accounts")
@click.argument("file", type=FILE)
@json_option
@pass_context
def load_chart(context: Context, file: Path, as_json: bool) -> None:
    """Load a chart of accounts from CSV or Parquet.

    Example: tieout ledger accounts accounts.csv
    """
    _load(context, load_accounts, file, as_json=as_json)


@ledger.command("post")
@click.argument("file", type=FILE)
@json_option
@pass_context
def post(context: Context, file: Path, as_json: bool) -> None:
    """Post journal entries from CSV or Parquet: the whole file or nothing.

    Example: tieout ledger post entries.csv
    """
    _load(context, load_entries, file, as_json=as_json)


@ledger.command("reverse")
@click.argument("entry_key")
@click.option("--reason", required=True)
@click.option("--authoriser", required=True)
@json_option
@pass_context
def reverse(context: Context, entry_key: str, reason: str, authoriser: str, as_json: bool) -> None:
    """Reverse an entry by its exact mirror, linked, with reason and authoriser.

    Example: tieout ledger reverse sale-17 --reason "booked twice" --authoriser ada
    """
    with context.project.database.session("tieout_poster") as connection:
        reversal = reverse_entry(connection, entry_key, reason=reason, authoriser=authoriser)
    word = "reversed" if reversal.is_new else "was reversed before"
    say(asdict(reversal), f"{entry_key} {word} by {reversal.entry_key}.", as_json=as_json)


@ledger.command("balance")
@click.argument("account")
@click.option("--at", type=Instant(), help="Effective up to and with this instant (a date: its end, UTC).")
@click.option(
    "--known-at", type=Knowledge(), help="As recorded by this instant, or as a stored snapshot shows it."
)
@json_option
@pass_context
def balance(
    context: Context, account: str, at: datetime | None, known_at: datetime | str | None, as_json: bool
) -> None:
    """Balances of an account or of all below a summary account, debits less credits.

    The snapshot in the JSON, given as --known-at, gives the same answer for ever; in it, a hold past its time counts as
    held until its release was recorded.

    Example: tieout ledger balance assets:bank:main-eur --at 2026-11-20
    """
    with context.project.database.session("tieout_ledger_reader") as connection:
        snapshot = known_at if isinstance(known_at, str) else current_snapshot(connection)
        found = read_balances(
            connection,
            account,
            effective_before=_after(at),
            known_at=known_at if isinstance(known_at, datetime) else None,
            seen_by=known_at if isinstance(known_at, str) else None,
        )
    rows = [asdict(row) for row in found]
    told = rows[0] if len(rows) == 1 else {"account": account, "balances": rows}
    say(told | {"snapshot": snapshot}, "\n".join(map(_in_full, found)), as_json=as_json)


@ledger.command("rebuild")
@json_option
@pass_context
def rebuild(context: Context, as_json: bool) -> None:
    """Drop every materialised balance and build it anew from the journal; postings wait meanwhile.

    Example: tieout ledger rebuild
    """
    with context.project.database.session("tieout_poster") as connection:
        accounts = rebuild_balances(connection)
    say({"accounts": accounts}, f"Balances of {accounts:,} accounts built anew.", as_json=as_json)


@ledger.command("rebase")
@json_option
@pass_context
def rebase(context: Context, as_json: bool) -> None:
    """After a dump and restore: make the ledger this server's own, before anything is posted.

    Example: tieout ledger rebase
    """
    with context.project.database.session("tieout_owner") as connection:
        accounts = rebase_ledger(connection)
    say({"accounts": accounts}, f"Rebased; balances of {accounts:,} accounts built anew.", as_json=as_json)


@ledger.command("trial-balance")
@click.option("--at", type=Instant(), help="Effective up to and with this instant (a date: its end, UTC).")
@click.option("--known-at", type=Knowledge(), metavar="SNAPSHOT", help="As a stored snapshot shows it.")
@json_option
@pass_context
def trial_balance(
    context: Context, at: datetime | None, known_at: datetime | str | None, as_json: bool
) -> None:
    """All accounts with their balances; debits equal credits in every asset.

    The snapshot in the JSON, given as --known-at, gives the same rows for ever.

    Example: tieout ledger trial-balance --at 2026-11-20
    """
    if isinstance(known_at, datetime):
        raise click.UsageError("expected --known-at as a snapshot from an earlier --json, found a time")
    with context.project.database.session("tieout_ledger_reader") as connection:
        snapshot = known_at or current_snapshot(connection)
        found = read_trial_balance(connection, effective_before=_after(at), seen_by=snapshot)
    rows = [row | {"snapshot": snapshot} for row in found.to_pylist()]
    if not as_json:
        for row in rows:
            for side in ("debit", "credit"):
                row[side] = (
                    format_minor(row[f"{side}_minor"], row["exponent"]) if row[f"{side}_minor"] else ""
                )
    say_rows(rows, ["account", "asset", "debit", "credit"], as_json=as_json, empty="The chart is empty.")
    totals: dict[str, int] = {}
    for row in rows:
        totals[row["asset"]] = totals.get(row["asset"], 0) + row["debit_minor"] - row["credit_minor"]
    uneven = {asset: rest for asset, rest in totals.items() if rest}
    if uneven:
        click.echo(
            f"Debits and credits differ: {', '.join(money(rest, a) for a, rest in uneven.items())}", err=True
        )
        raise SystemExit(1)


def _load(context: Context, load: Callable[..., pa.Table], file: Path, *, as_json: bool) -> None:
    """Load a file as the poster and tell how many of each outcome there were."""
    with context.project.database.session("tieout_poster") as connection:
        counts = _counts(load(connection, file)["outcome"])
    say(counts, f"{file.name}: {_in_words(counts)}.", as_json=as_json)


def _in_full(found: Balance) -> str:
    """One line: what happened, and where something is held or planned the other balances, too."""
    parts = {
        "pending": found.pending_minor,
        "available": found.available_minor,
        "projected": found.projected_minor,
    }
    amounts = {name: format_minor(amount, found.exponent) for name, amount in parts.items()}
    is_plain = set(parts.values()) == {found.balance_minor}
    more = "" if is_plain else "".join(f"  {name} {amount}" for name, amount in amounts.items())
    entity = "" if found.entity == "main" else f"  ({found.entity})"
    return f"{found.account}  {format_minor(found.balance_minor, found.exponent)} {found.asset}{more}{entity}"


def _after(at: datetime | None) -> datetime | None:
    """The exclusive bound just after an inclusive instant."""
    return None if at is None else at + timedelta(microseconds=1)


def _counts(outcomes: Any) -> dict[str, int]:
    return {pair["values"]: pair["counts"] for pair in pc.value_counts(outcomes).to_pylist()}


def _in_words(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(counts.items())) or "empty"
