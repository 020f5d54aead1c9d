"""`tieout ledger export` and `tieout ledger find`: the general ledger as a file, and single entries again."""

import contextlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import Any, TextIO

import click

from dagster_project.books.general_ledger import Form, write_general_ledger
from dagster_project.cli.output import Context, Day, json_option, pass_context, say
from dagster_project.errors import SettingsError
from ledger_core.money import format_minor
from ledger_core.search import find_lines, find_refusal


class Snapshot(click.ParamType[str]):
    """A snapshot as an earlier export or report names it."""

    name = "snapshot"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The same text, when it can be a snapshot."""
        parts = re.fullmatch(r"(\d{1,18}):(\d{1,18}):((?:\d{1,18}(?:,\d{1,18})*)?)", str(value), re.ASCII)
        first, end, *running = map(int, re.findall(r"\d+", parts[0])) if parts else (0, 0)
        if (
            not 0 < first <= end
            or sorted(running) != running
            or any(not first <= xid < end for xid in running)
        ):
            self.fail(
                f"expected one as an earlier export names it, such as 812:815:813, found {value}", param, ctx
            )
        return str(value)


class Pair(click.ParamType[tuple[str, Any]]):
    """One key of the metadata and its value."""

    name = "key=value"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Any]:
        """The key, and the value as a text or, behind :=, as JSON."""
        if isinstance(value, tuple):
            return value
        key, mark, text = str(value).partition("=")
        if not mark or key in ("", ":"):
            self.fail(f"expected key=text or key:=JSON, found {value}", param, ctx)
        if not key.endswith(":"):
            return key, text
        try:
            return key[:-1], json.loads(text)
        except ValueError:
            self.fail(f"expected JSON behind :=, such as count:=5, found {value}", param, ctx)


@click.command("export")
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "beancount", "hledger"]),
    required=True,
    help="What to write.",
)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The file to write."
)
@click.option(
    "--by", type=click.Choice(["line", "day"]), default="line", help="CSV only: a row per line or per day."
)
@click.option("--account", help="Only this account, or all below this path.")
@click.option("--entity", help="Only accounts of this entity.")
@click.option(
    "--from", "from_day", type=Day(), help="First day (UTC); what was before is the opening balance."
)
@click.option("--to", "to_day", type=Day(), help="Last day (UTC).")
@click.option(
    "--seen-by", type=Snapshot(), help="As an earlier export saw the ledger; writes the same bytes again."
)
@json_option
@pass_context
def export(
    context: Context,
    form: str,
    out: Path,
    by: str,
    account: str | None,
    entity: str | None,
    from_day: date | None,
    to_day: date | None,
    seen_by: str | None,
    as_json: bool,
) -> None:
    """Write the general ledger: every posted line by account, or a journal for beancount or hledger.

    Journals end with every balance as an assertion: bean-check, or hledger check --strict, proves them again. A part of
    the chart balances against Equity:Elsewhere.

    Example: tieout ledger export --format beancount --out ledger.beancount --to 2026-11-30
    """
    if by == "day" and form != "csv":
        raise click.UsageError("--by day: expected with --format csv; a journal has a row per line")
    _refuse_backwards(from_day, to_day)
    with context.project.database.session("tieout_ledger_reader") as connection, _draft_of(out) as draft:
        exported = write_general_ledger(
            connection,
            draft,
            Form.CSV_BY_DAY if by == "day" else Form(form),
            account=account,
            entity=entity,
            from_day=from_day,
            to_day=to_day,
            seen_by=seen_by,
        )
    rows = f"{exported.rows:,} {'days' if by == 'day' else 'lines'} of {exported.accounts:,} accounts"
    sentence = f"{out}: {rows}; the same again with --seen-by {exported.seen_by}"
    say({"file": str(out), **asdict(exported)}, sentence, as_json=as_json)


@click.command("find")
@click.option("--reference", help="Any reference of a line (but authorisation codes), whole.")
@click.option(
    "--metadata", type=Pair(), multiple=True, help="key=text or key:=JSON in a line's metadata; repeatable."
)
@click.option("--key", "entry_key", help="The entry's key; shows also what a refused request was told.")
@click.option("--account", help="Entries with a line on this account, or below this path.")
@click.option("--from", "from_day", type=Day(), help="First day in effect (UTC).")
@click.option("--to", "to_day", type=Day(), help="Last day in effect (UTC).")
@click.option(
    "--limit", type=click.IntRange(min=1), default=100, show_default=True, help="At most so many entries."
)
@json_option
@pass_context
def find(
    context: Context,
    reference: str | None,
    metadata: tuple[tuple[str, Any], ...],
    entry_key: str | None,
    account: str | None,
    from_day: date | None,
    to_day: date | None,
    limit: int,
    as_json: bool,
) -> None:
    """Find entries of which one line is all that is asked for; show them whole, newest first.

    Example: tieout ledger find --reference ch_3Pq7 --metadata rail=sepa
    """
    if not (reference or metadata or entry_key or account or from_day or to_day):
        raise click.UsageError("expected something to look for, such as --reference or --key; see --help")
    _refuse_backwards(from_day, to_day)
    with context.project.database.session("tieout_ledger_reader") as connection:
        lines = find_lines(
            connection,
            reference=reference,
            metadata=dict(metadata),
            entry_key=entry_key,
            account=account,
            from_day=from_day,
            to_day=to_day,
            limit=limit,
        )
        refusal = find_refusal(connection, entry_key) if entry_key else None
    groups = [list(group) for _, group in groupby(lines, key=lambda line: line["entry_key"])]
    told = [_in_words(group) for group in groups]
    if refusal:
        told.append(
            f"{entry_key}  refused {refusal['recorded_at']:%Y-%m-%dT%H:%M:%SZ}: {refusal['code']}, {refusal['detail']}"
        )
    if len(groups) == limit:
        told.append(f"Perhaps there are more: these are the newest {limit:,}.")
    result = {"lines": [_said(line) for line in lines], "refusal": refusal}
    say(result, "\n".join(told) or "No entry.", as_json=as_json)


def _in_words(lines: list[dict[str, Any]]) -> str:
    head = lines[0]
    rows = [f"{head['entry_key']}  {head['effective_at'].isoformat()}"]
    for name in ("reverses_entry_key", "corrects_entry_key", "reason", "authoriser"):
        rows[0] += f"  {name.removesuffix('_entry_key')} {head[name]}" if head[name] else ""
    shown = {"kind", "description", "counterparty", "batch_ref", "metadata"}
    for line in lines:
        amount = f"{format_minor(line['amount_minor'], line['exponent'])} {line['asset']}"
        said = {
            name: value
            for name, value in _said(line).items()
            if name in shown or name[:4] in ("ref_", "fx_r")
        }
        layer = "" if line["layer"] == "posted" else f"{line['layer']}: "
        words = "  ".join(
            f"{name}={json.dumps(value, default=str, ensure_ascii=False)}" for name, value in said.items()
        )
        rows.append(f"  {layer}{line['account']}  {amount}  {words}".rstrip())
    return "\n".join(rows)


def _said(line: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in line.items() if value is not None}


def _refuse_backwards(from_day: date | None, to_day: date | None) -> None:
    if from_day and to_day and from_day > to_day:
        raise click.UsageError(f"--from {from_day}: expected no later than --to {to_day}")


@contextlib.contextmanager
def _draft_of(out: Path) -> Iterator[TextIO]:
    """A file beside ``out`` that takes its place when the block ends well; else what was there before stays."""
    draft = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        if out.exists() and not out.is_file():
            raise SettingsError(f"{out}: expected a file or nothing there, found something else")
        with open(draft, "w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(out)
    except OSError as error:
        raise SettingsError(f"{out}: expected a place that can be written, found: {error.strerror}") from None
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
