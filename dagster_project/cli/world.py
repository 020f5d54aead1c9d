"""`tieout simulate` writes an invented world; `tieout demo` runs one through the real pipeline and marks the
answers.
"""

from datetime import date
from pathlib import Path

import click

from dagster_project.cli.output import Context, Day, json_option, pass_context, say
from dagster_project.demo import run_demo
from dagster_project.errors import SettingsError
from fixtures.world import World
from fixtures.world import simulate as invent

DEMO_START = date(2026, 11, 9)


def _invent(*, seed: int, start: date, days: int, lines: int, faults: str) -> World:
    try:
        return invent(seed, start, days=days, lines=lines, faults=faults)
    except ValueError as refusal:
        raise click.UsageError(str(refusal)) from None


@click.command()
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder to write into."
)
@click.option("--seed", default=1, show_default=True)
@click.option("--days", default=5, show_default=True, type=click.IntRange(min=1))
@click.option(
    "--lines",
    default=60,
    show_default=True,
    type=click.IntRange(min=1),
    help="Outside lines per source and day.",
)
@click.option("--start", default=DEMO_START, type=Day(), show_default=True)
@click.option("--faults", default="all", show_default=True, help="all, none, or names with commas between.")
@json_option
def simulate(out: Path, seed: int, days: int, lines: int, start: date, faults: str, as_json: bool) -> None:
    """Write a world: files of three sources, the ledger's entries, and the answer key.

    Example: tieout simulate --out world --days 5 --faults missing_file,ambiguous
    """
    if out.exists() and any(out.iterdir()):
        raise SettingsError(f"{out}: expected a new or empty folder, found one with files; choose another")
    world = _invent(seed=seed, start=start, days=days, lines=lines, faults=faults)
    world.write(out)
    written = [path for path in sorted(out.rglob("*")) if path.is_file()]
    say(
        {"folder": str(out), "days": [day.isoformat() for day in world.days], "files": len(written)},
        f"{out}: {len(world.days)} business days from {world.days[0]}, {len(written)} files.",
        as_json=as_json,
    )


@click.command()
@click.option(
    "--days",
    default=5,
    show_default=True,
    type=click.IntRange(min=5),
    help="Business days; the faults need five.",
)
@click.option(
    "--lines",
    default=60,
    show_default=True,
    type=click.IntRange(min=1),
    help="Outside lines per source and day.",
)
@click.option("--seed", default=1, show_default=True)
@click.option("--start", default=DEMO_START, type=Day(), show_default=True)
@pass_context
def demo(context: Context, days: int, lines: int, seed: int, start: date) -> None:
    """Invent business days with planted faults, run the daily pipeline for each, and mark the answers.

    Exit 1 when a planted fault was not found, something else was, or a match is wrong.

    Example: tieout demo --days 5 --lines 60 --seed 1
    """
    world = _invent(seed=seed, start=start, days=days, lines=lines, faults="all")
    marked = run_demo(context.settings, world, start=start, lines=lines, tell=click.echo)
    if not marked.passed:
        raise SystemExit(1)
