"""`tieout simulate` writes an invented world; `tieout demo` runs one through the real pipeline and marks the
answers.
"""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import click

from dagster_project.cli.output import Context, Day, json_option, pass_context, say
from dagster_project.demo import run_demo
from dagster_project.errors import SettingsError
from fixtures import hard_files
from fixtures.hard_model import Hardness, HardWorld
from fixtures.hard_world import hard_world
from fixtures.world import World
from fixtures.world import simulate as invent

DEMO_START = date(2026, 11, 9)


def _invent(*, seed: int, start: date, days: int, lines: int, faults: str) -> World:
    try:
        return invent(seed, start, days=days, lines=lines, faults=faults)
    except ValueError as refusal:
        raise click.UsageError(str(refusal)) from None


_SHARE = click.FloatRange(0, 0.5)


def _written(out: Path, asked: Mapping[str, Any]) -> World:
    world = _invent(**{name: asked[name] for name in ("seed", "start", "days", "lines", "faults")})
    world.write(out)
    return world


def _written_hard(out: Path, asked: Mapping[str, Any]) -> HardWorld:
    hardness = Hardness(
        mangled=asked["mangled"],
        blank=asked["blank"],
        absent_inside=asked["absent"],
        absent_outside=asked["absent"],
    )
    try:
        world = hard_world(
            asked["seed"], asked["start"], days=asked["days"], lines=asked["lines"], hardness=hardness
        )
    except ValueError as refusal:
        raise click.UsageError(str(refusal)) from None
    hard_files.write(world, out)
    return world


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
@click.option(
    "--hard", is_flag=True, help="One bank source with everything that makes matching hard, instead."
)
@click.option(
    "--mangled",
    default=Hardness().mangled,
    show_default=True,
    type=_SHARE,
    help="Of a hard world: damaged references.",
)
@click.option(
    "--blank", default=Hardness().blank, show_default=True, type=_SHARE, help="Of a hard world: no reference."
)
@click.option(
    "--absent",
    default=Hardness().absent_inside,
    show_default=True,
    type=_SHARE,
    help="Of a hard world: lines that stand on one side alone, either way.",
)
@json_option
def simulate(out: Path, hard: bool, as_json: bool, **asked: Any) -> None:
    """Write a world: files of three sources, the ledger's entries, and the answer key.

    With --hard, one bank source whose references are damaged, blank or somebody else's, with payouts that name none of
    their parts, its sources.yaml, and which lines are decidable.

    Example: tieout simulate --out world --days 5 --faults missing_file,ambiguous
    """
    if out.exists() and any(out.iterdir()):
        raise SettingsError(f"{out}: expected a new or empty folder, found one with files; choose another")
    world = _written_hard(out, asked) if hard else _written(out, asked)
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
