"""How time and memory are taken: medians of rounds, and whole commands in processes of their own.

The clock is read here. Memory is the high-water mark of the process that did the work, from the kernel's own account.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dagster_project.errors import ServerError

ROUNDS = 3
MEGABYTE = 1_000_000
COMMAND_PROGRAM = (
    "dagster_project.cli.costed"  # by name: the command line imports this package, not the other way
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a piece of work took. ``cpu_seconds`` and memory are those of our process, not of the server."""

    wall_seconds: float
    cpu_seconds: float
    peak_megabytes: float


def median_seconds(work: Callable[[int], object], *, rounds: int = ROUNDS) -> float:
    """The median wall time of some rounds; ``work`` is given the number of the round."""
    return statistics.median(timed(partial(work, number)).wall_seconds for number in range(rounds))


def timed(work: Callable[[], object]) -> Cost:
    """What one call takes in this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Cost(
        wall_seconds=time.perf_counter() - wall,
        cpu_seconds=time.process_time() - cpu,
        peak_megabytes=peak_megabytes(),
    )


def peak_megabytes() -> float:
    """The most memory this process ever held. Read from /proc: the usual call counts the parent's memory, too."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").split("\n"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / MEGABYTE
    raise RuntimeError("/proc/self/status: expected VmHWM, found none")


def run_command(words: Sequence[str], *, environment: Mapping[str, str], folder: Path) -> Cost:
    """What a whole `tieout` command takes, the start of the interpreter included.

    Raises:
        ServerError: it failed; its own words are in the message.
    """
    report = folder / "cost.json"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TIEOUT_")}
    started = time.perf_counter()
    done = subprocess.run(  # noqa: S603  our own interpreter, our own words, no shell
        [sys.executable, "-m", COMMAND_PROGRAM, str(report), *words],
        cwd=folder,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    wall_seconds = time.perf_counter() - started
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise ServerError(
            f"bench: expected `tieout {words[0]}` to succeed on an invented world, found: {said}"
        )
    told = json.loads(report.read_text(encoding="utf-8"))
    return Cost(
        wall_seconds=wall_seconds, cpu_seconds=told["cpu_seconds"], peak_megabytes=told["peak_megabytes"]
    )
