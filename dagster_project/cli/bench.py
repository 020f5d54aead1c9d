"""`tieout bench`: the benchmarks, each figure beside its reference in the same run."""

import json
import os
import platform
from pathlib import Path
from typing import Any

import click

from dagster_project.bench.confusion import confusion
from dagster_project.bench.daily import measure_daily
from dagster_project.bench.figures import COLUMNS, Figure
from dagster_project.bench.intake import measure_intake
from dagster_project.bench.ledger import measure_ledger
from dagster_project.bench.matching import SEED, measure_matching
from dagster_project.bench.measure import ROUNDS
from dagster_project.bench.review import measure_review
from dagster_project.cli.output import Context, json_option, pass_context, say, say_rows
from dagster_project.database import Database, reach

AREAS = ("ledger", "intake", "matching", "daily", "review")
HARD_LINES_MAX = 100_000  # of the hard world, which is told by right and wrong and not by seconds


@click.command()
@click.argument("area", type=click.Choice(AREAS), required=False)
@click.option(
    "--lines",
    default=20_000,
    show_default=True,
    type=click.IntRange(min=1),
    help="Outside lines of the day; of review, exceptions.",
)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the figures to this JSON file."
)
@json_option
@pass_context
def bench(context: Context, area: str | None, lines: int, out: Path | None, as_json: bool) -> None:
    """Measure on invented worlds in a scratch database; exit 1 when a promised limit is missed.

    Ratios are times the reference, smaller is better, or larger where it says at least. A promise that could not be
    measured counts as missed. Without an area: all of them.

    Example: tieout bench --lines 100000 --out bench.json
    """
    if out is not None and not out.parent.is_dir():
        raise click.UsageError(f"--out {out}: expected a folder that exists, found none")
    server = reach(context.settings)
    figures: list[Figure] = []
    tables: list[str] = []
    for chosen in (area,) if area else AREAS:
        click.echo(f"measuring {chosen} …", err=True)
        figures += _measured(chosen, server, lines)
        if chosen == "matching":
            click.echo("measuring the hard world …", err=True)
            hard = confusion(min(lines, HARD_LINES_MAX), SEED)
            figures += hard.figures()
            tables.append(hard.text())
    result = {
        "lines": lines,
        "rounds": ROUNDS,
        "machine": _machine(),
        "figures": [f.as_value() for f in figures],
        "tables": tables,
    }
    if out is not None:
        out.write_text(json.dumps(result, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    if as_json:
        say(result, "", as_json=True)
    else:
        say_rows(
            [figure.as_row() for figure in figures], COLUMNS, as_json=False, empty="Nothing was measured."
        )
        for table in tables:
            click.echo(f"\n{table}")
    if any(figure.kept is False for figure in figures):
        raise SystemExit(1)


def _measured(area: str, server: Database, lines: int) -> list[Figure]:
    if area == "matching":
        return measure_matching(server, lines)
    measures = {
        "ledger": measure_ledger,
        "intake": measure_intake,
        "daily": measure_daily,
        "review": measure_review,
    }
    return measures[area](server, lines)


def _machine() -> dict[str, Any]:
    return {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()}
