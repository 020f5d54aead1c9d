"""A project of one bank at the command line, with the accounts and rules that exceptions need, and its Monday.

The bank told of 5.00 as ``PAID`` where our book has 5.09 (``sale``); it took a fee of 3.00 that we did not book; we
booked a payment of 9.00 (``ghost``) that it never made. ``N-LOST`` came for nothing we know.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from dagster_project.cli.main import root
from tests.reconciliation.daily.desk import IBAN, MONDAY, OPENING_MINOR, movement, statement_bytes

LOSSES, FEES, BANK = "expenses:write-offs", "expenses:bank-fees", "assets:bank:eur"
SOURCES = f"""
version: 1
sources:
  - id: bank
    kind: bank
    format: camt.053
    start_date: {MONDAY}
    accounts: [{{external: {IBAN}, asset: EUR, ledger: "{BANK}"}}]
    files: {{days: business_days, per: account}}
    match: {{references: [{{external: ref_end_to_end, ledger: ref_end_to_end}}]}}
    review:
      write_off: {{EUR: "{LOSSES}"}}
      entry_accounts: ["expenses"]
      limits: [{{role: approver, asset: EUR, amount_minor: 100}}]
"""
ACCOUNTS = f"""code,name,type,asset,may_overdraw
{BANK},Bank,asset,EUR,true
liabilities:customers,Customers,liability,EUR,true
{LOSSES},Written off,expense,EUR,true
{FEES},Fees,expense,EUR,true
"""
ENTRIES = """entry_key,effective_at,account,amount_minor,asset,ref_end_to_end
opening,2026-11-02T12:00:00Z,assets:bank:eur,100000,EUR,
opening,2026-11-02T12:00:00Z,liabilities:customers,-100000,EUR,
sale,2026-11-09T12:00:00Z,assets:bank:eur,509,EUR,INV-1
sale,2026-11-09T12:00:00Z,liabilities:customers,-509,EUR,INV-1
ghost,2026-11-09T12:00:00Z,assets:bank:eur,-900,EUR,OUT-1
ghost,2026-11-09T12:00:00Z,liabilities:customers,900,EUR,OUT-1
"""
LINES = (movement("PAID", 500), movement("FEE", -300), movement("LOST", 70))


@dataclass(slots=True)
class CommandDesk:
    """Runs commands in this process, where a traceback fails the test."""

    invoke: Callable[..., Result]

    def __call__(self, *words: object, expect: int = 0) -> str:
        """What a command prints."""
        result = self.invoke([str(word) for word in words])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert result.exit_code == expect, result.output
        return result.output

    def read(self, *words: object, expect: int = 0) -> Any:
        """What it prints for programs."""
        return json.loads(self(*words, "--json", expect=expect))

    def number(self, key: str) -> int:
        """The exception of a line or entry."""
        rows = self.read("exceptions", "list", "--all")
        return int(next(row["exception_id"] for row in rows if key in (row["line_key"], row["entry_key"])))

    def events(self, number: int) -> list[str]:
        """What happened to an exception, in order."""
        return [event["event"] for event in self.read("exceptions", "show", number)["events"]]

    def open_keys(self) -> list[str]:
        """What is open, by keys."""
        return sorted(row["line_key"] or row["entry_key"] for row in self.read("exceptions", "list"))


def open_desk(folder: Path) -> CommandDesk:
    """A project in a folder, with its Monday reconciled."""
    runner = CliRunner()

    def invoke(words: list[str]) -> Result:
        return runner.invoke(root, words, prog_name="tieout")

    desk = CommandDesk(invoke)
    for name, text in (("sources.yaml", SOURCES), ("accounts.csv", ACCOUNTS), ("entries.csv", ENTRIES)):
        (folder / name).write_text(text)
    desk("init")
    desk("ledger", "accounts", folder / "accounts.csv")
    desk("ledger", "post", folder / "entries.csv")
    lived(desk, folder, MONDAY)
    return desk


def lived(desk: CommandDesk, folder: Path, day: date) -> None:
    """A day of the bank, taken in and reconciled; only Monday has lines."""
    moved = sum(line.amount_minor for line in LINES)
    first = day == MONDAY
    content = statement_bytes(day, LINES if first else (), OPENING_MINOR + (0 if first else moved))
    (folder / f"{day}.xml").write_bytes(content)
    desk("ingest", folder / f"{day}.xml", "--source", "bank")
    desk("reconcile", "--as-of", day)
