"""`tieout ledger`: charts, entries, reversals, balances and the check of the laws."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
import pyarrow.compute as pc

from dagster_project.cli.output import Context, json_option, money, pass_context, say, say_rows
from ledger_core.balance import balance as read_balance
from ledger_core.balance import trial_balance as read_trial_balance
from ledger_core.chart import load_accounts
from ledger_core.money import format_minor
from ledger_core.posting import load_entries
from ledger_core.reversal import reverse as reverse_entry
from ledger_core.verify import CheckOutcome
from ledger_core.verify import verify as run_checks

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


@click.group()
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
@click.option("--known-at", type=Instant(), help="As recorded by this instant.")
@json_option
@pass_context
def balance(
    context: Context, account: str, at: datetime | None, known_at: datetime | None, as_json: bool
) -> None:
    """Balance of an account, debits less credits.

    Example: tieout ledger balance assets:bank:main-eur --at 2026-11-20
    """
    with context.project.database.session("tieout_ledger_reader") as connection:
        found = read_balance(connection, account, effective_before=_after(at), known_at=known_at)
    amount = format_minor(found.balance_minor, found.exponent)
    say(asdict(found), f"{account}  {amount} {found.asset}", as_json=as_json)


@ledger.command("trial-balance")
@click.option("--at", type=Instant(), help="Effective up to and with this instant (a date: its end, UTC).")
@json_option
@pass_context
def trial_balance(context: Context, at: datetime | None, as_json: bool) -> None:
    """All accounts with their balances; debits equal credits in every asset.

    Example: tieout ledger trial-balance --at 2026-11-20
    """
    with context.project.database.session("tieout_ledger_reader") as connection:
        rows = read_trial_balance(connection, effective_before=_after(at)).to_pylist()
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


@ledger.command("verify")
@json_option
@pass_context
def verify(context: Context, as_json: bool) -> None:
    """Check every law again over every posted row. Exit 1 when one fails or could not be run.

    Example: tieout ledger verify
    """
    with context.project.database.session("tieout_auditor") as connection:
        checks = run_checks(connection)
    rows = [{**asdict(check), "outcome": check.outcome.value} for check in checks]
    say_rows(rows, ["outcome", "code", "name", "offences", "detail"], as_json=as_json, empty="No checks.")
    if any(check.outcome is not CheckOutcome.OK for check in checks):
        raise SystemExit(1)


def _load(context: Context, load: Callable[..., pa.Table], file: Path, *, as_json: bool) -> None:
    """Load a file as the poster and tell how many of each outcome there were."""
    with context.project.database.session("tieout_poster") as connection:
        counts = _counts(load(connection, file)["outcome"])
    say(counts, f"{file.name}: {_in_words(counts)}.", as_json=as_json)


def _after(at: datetime | None) -> datetime | None:
    """The exclusive bound just after an inclusive instant."""
    return None if at is None else at + timedelta(microseconds=1)


def _counts(outcomes: Any) -> dict[str, int]:
    return {pair["values"]: pair["counts"] for pair in pc.value_counts(outcomes).to_pylist()}


def _in_words(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(counts.items())) or "empty"
