"""How commands speak: sentences for people, JSON for scripts, tables in columns, amounts with their decimals."""

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from dagster_project.project import Project, open_project
from dagster_project.settings import Settings, read_settings
from ledger_core.money import exponent_of, format_minor
from reconciliation.sources import Source

json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


@dataclass
class Context:
    """What every command gets: the settings, and the project once one is asked for."""

    settings: Settings
    opened: Project | None = None

    @classmethod
    def from_environment(cls) -> "Context":
        """Read the environment and the current folder, once."""
        return cls(settings=read_settings(os.environ, Path.cwd()))

    @property
    def project(self) -> Project:
        """The project, opened at the first call."""
        if self.opened is None:
            self.opened = open_project(self.settings)
        return self.opened

    def chosen(self, source_id: str | None) -> Sequence[Source]:
        """The named source, or all of them, those first that others look to."""
        sources = self.project.sources
        if source_id is not None:
            return [sources[source_id]]
        return sorted(sources.sources, key=lambda source: bool(source.legs))


class Day(click.ParamType[date]):
    """A date as YYYY-MM-DD."""

    name = "date"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """The date."""
        try:
            return date.fromisoformat(str(value))
        except ValueError:
            self.fail(f"expected YYYY-MM-DD, found {value}", param, ctx)


pass_context: Callable[..., Any] = click.make_pass_decorator(Context)


def say(result: Any, sentence: str, *, as_json: bool) -> None:
    """Print the result as JSON or the sentence for people."""
    click.echo(json.dumps(result, default=_plain, sort_keys=True) if as_json else sentence)


def say_rows(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool, empty: str) -> None:
    """Print rows as a JSON list, or as aligned columns; ``empty`` when there are none."""
    listed = [dict(row) for row in rows]
    if as_json:
        click.echo(json.dumps(listed, default=_plain, sort_keys=True))
        return
    if not listed:
        click.echo(empty)
        return
    cells = [[_cell(row.get(column)) for column in columns] for row in listed]
    widths = [max(len(column), *(len(row[place]) for row in cells)) for place, column in enumerate(columns)]
    for row in ([*columns], *cells):
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def money(amount_minor: int, asset: str) -> str:
    """An amount with its decimals and its asset."""
    return f"{format_minor(amount_minor, exponent_of(asset))} {asset}"


def _cell(value: Any) -> str:
    return "" if value is None else str(_plain(value) if isinstance(value, date | datetime) else value)


def _plain(value: Any) -> Any:
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, Decimal | Path):
        return str(value)
    raise TypeError(f"no plain form for {type(value).__name__}")
