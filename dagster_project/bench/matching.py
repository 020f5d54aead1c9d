"""Matching set E, beside a plain full-width pandas merge of the same frames on the reference.

Each contender runs in a process of its own on frames that were loaded before, so that the memory it adds is its own;
matching takes Arrow tables, the merge the same tables as pandas frames. Told twice: what the decision costs, and what
it costs with an explanation of every group. The frames are found under a folder, where the parent wrote them.
"""

import ctypes
import gc
import multiprocessing
import statistics
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa

from dagster_project.bench.figures import Figure, at_most_times, within
from dagster_project.bench.matching_end_to_end import measure_end_to_end
from dagster_project.bench.matching_frames import KINDS, SCHEDULE, frames
from dagster_project.bench.matching_peers import measure_peers
from dagster_project.bench.measure import MEGABYTE, ROUNDS, Cost, peak_megabytes, timed
from dagster_project.database import Database
from dagster_project.project import packaged_sources
from reconciliation.matching import MatchContext, MatchResult, match_day
from reconciliation.matching.columns import IntArray, kernel
from reconciliation.sources import Lag, MatchRules, parse_sources

SEED: Final = 1
CPU_TIMES: Final = 0.6  # of the merge
ADDED_MEGABYTES: Final = 1_500.0  # for a million lines
TOTAL_MEGABYTES: Final = 16 * 1024**3 / MEGABYTE
GROWTH_TIMES: Final = 11.0  # for ten times the lines
PROMISED_LINES: Final = 1_000_000
FEW: Final = 50_000  # below, a tenth is too little to measure growth on
ROUNDS_AGAIN_BELOW: Final = 2_000_000  # larger sets are measured once


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """What one contender cost, and for matching: lines matched right by kind, and how many were matched wrong."""

    cost: Cost
    held_megabytes: float  # all the process held at its height
    right: tuple[int, ...] = ()
    wrong: int = 0


def measure_matching(server: Database, lines: int) -> list[Figure]:
    """Costs, recall by kind, growth, end to end, and the peers that are installed, for ``lines`` on either side."""
    with tempfile.TemporaryDirectory(prefix="tieout-bench-") as name:
        folder = Path(name)
        kind = _frames_in(folder, lines)
        decided = _in_own_process(_decided, folder)
        explained = _in_own_process(_explained, folder)
        merged = _in_own_process(_merged, folder)
        merged_objects = _in_own_process(_merged_objects, folder)
        found = [
            *_beside_merge(lines, decided, explained, merged, merged_objects),
            *_recall(lines, kind, explained),
            *measure_peers(folder, lines, kind, merged.cost),
        ]
    if lines >= FEW:
        with tempfile.TemporaryDirectory(prefix="tieout-bench-") as name:
            _frames_in(Path(name), lines // 10)
            found.append(_growth(lines, explained, _in_own_process(_explained, Path(name))))
    return [*found, *measure_end_to_end(server, lines)]


def _frames_in(folder: Path, lines: int) -> IntArray:
    """Set E under a folder, made by a process that gives its memory back; the kind of each line."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        pool.submit(write_frames, folder, lines).result()
    kind: IntArray = np.load(folder / "kind.npy")
    return kind


def write_frames(folder: Path, lines: int) -> None:
    """Set E under a folder."""
    made = frames(lines, SEED)
    for name, table in (("external", made.external), ("ledger", made.ledger)):
        with pa.OSFile(str(folder / name), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    np.save(folder / "kind.npy", made.kind)


def read_frames(folder: Path) -> tuple[pa.Table, pa.Table]:
    """Both sides, in memory."""
    tables = []
    for name in ("external", "ledger"):
        with pa.OSFile(str(folder / name), "rb") as source:
            tables.append(pa.ipc.open_file(source).read_all().combine_chunks())
    return tables[0], tables[1]


def matching_rules() -> MatchRules:
    """The packaged bank's, and the fee that set E charges."""
    bank = parse_sources(packaged_sources(), name="packaged")["bank"].match
    return bank.model_copy(update={"fees": (SCHEDULE,)})


def _beside_merge(
    lines: int, decided: Matched, explained: Matched, merged: Matched, merged_objects: Matched
) -> list[Figure]:
    name = f"{lines:,} x {lines:,}"
    scale = max(1.0, lines / PROMISED_LINES)
    of = "pandas merge on the reference"
    found = []
    for what, ours in (("to decide", decided), ("with explanations", explained)):
        theirs = merged.cost
        found += [
            at_most_times(
                area="matching",
                name=f"{name}, {what}: processor",
                unit="s",
                measured=ours.cost.cpu_seconds,
                reference=theirs.cpu_seconds,
                of=of,
                times=CPU_TIMES,
            ),
            at_most_times(
                area="matching",
                name=f"{name}, {what}: processor, text as Python objects",
                unit="s",
                measured=ours.cost.cpu_seconds,
                reference=merged_objects.cost.cpu_seconds,
                of=f"{of}, text as pandas 2 held it",
                times=None,
            ),
            at_most_times(
                area="matching",
                name=f"{name}, {what}: wall",
                unit="s",
                measured=ours.cost.wall_seconds,
                reference=theirs.wall_seconds,
                of=of,
                times=None,
            ),
            within(
                area="matching",
                name=f"{name}, {what}: added memory",
                unit="MB",
                measured=ours.cost.peak_megabytes,
                limit=ADDED_MEGABYTES * scale,
            ),
        ]
    held = within(
        area="matching",
        name=f"{name}: all memory held",
        unit="MB",
        measured=explained.held_megabytes,
        limit=TOTAL_MEGABYTES,
    )
    return [*found, held]


def _recall(lines: int, kind: IntArray, matched: Matched) -> list[Figure]:
    """Shares of each kind that were matched right; what is matched wrong, absent lines included, has a limit."""
    counts = np.bincount(kind, minlength=len(KINDS)).tolist()
    found = [
        Figure(
            area="matching",
            name=f"{lines:,} x {lines:,}, matched right: {name}",
            unit="share",
            measured=matched.right[at] / counts[at] if counts[at] else 1.0,
            reference=1,
            of="lines of the kind",
        )
        for at, name in enumerate(KINDS[:-1])
    ]
    wrong = Figure(
        area="matching",
        name=f"{lines:,} x {lines:,}, matched wrong",
        unit="lines",
        measured=matched.wrong,
        reference=max(lines / 100_000, 1),
        of="one in 100,000",
        kept=matched.wrong <= lines / 100_000,
    )
    return [*found, wrong]


def _growth(lines: int, explained: Matched, tenth: Matched) -> Figure:
    return at_most_times(
        area="matching",
        name=f"{lines:,} x {lines:,} after {lines // 10:,} x {lines // 10:,}: processor",
        unit="s",
        measured=explained.cost.cpu_seconds,
        reference=tenth.cost.cpu_seconds,
        of="a tenth of the lines",
        times=GROWTH_TIMES,
    )


def _in_own_process(work: Callable[[Path], Matched], folder: Path) -> Matched:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, folder).result()


def _decided(folder: Path) -> Matched:
    return _matched(folder, explain=False)


def _explained(folder: Path) -> Matched:
    return _matched(folder, explain=True)


def _matched(folder: Path, *, explain: bool) -> Matched:
    external, ledger = read_frames(folder)
    rules, context = matching_rules(), MatchContext(lag=Lag(earliest=0, expected=1, latest=3))
    last: list[MatchResult] = []

    def work() -> None:
        last.clear()
        last.append(match_day(external, ledger, rules, context, explain=explain))

    cost, held = _cost(work, external.num_rows)
    right, wrong = marked(last[0], np.load(folder / "kind.npy"))
    return Matched(cost=cost, held_megabytes=held, right=right, wrong=wrong)


def marked(result: MatchResult, kind: IntArray) -> tuple[tuple[int, ...], int]:
    """Lines matched right by kind, and lines matched wrong: line and entry of one payment share their number."""
    members = result.members
    ours = kernel.equal(members["side"], "external")
    lines = members.filter(ours)["line_id"].to_numpy()
    entries = members.filter(kernel.invert(ours))["entry_id"].to_numpy()
    if len(lines) != len(entries):
        raise RuntimeError("bench: expected pairs alone in set E, found larger groups")
    right = (lines == entries) & (kind[lines] != KINDS.index("absent"))
    counts = np.bincount(kind[lines[right]], minlength=len(KINDS)).tolist()
    return tuple(counts), int((~right).sum())


def _merged(folder: Path) -> Matched:
    external, ledger = read_frames(folder)
    left, right = external.to_pandas(), ledger.to_pandas()
    del external, ledger
    return _merge(left, right)


def _merged_objects(folder: Path) -> Matched:
    left, right = (_as_objects(table.to_pandas()) for table in read_frames(folder))
    return _merge(left, right)


def _as_objects(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype(dict.fromkeys(frame.select_dtypes("str").columns, object))


def _merge(left: pd.DataFrame, right: pd.DataFrame) -> Matched:
    def work() -> None:
        if not len(left.merge(right, on="ref_end_to_end", suffixes=("_external", "_ledger"))):
            raise RuntimeError("bench: expected pairs, found none")

    cost, held = _cost(work, len(left))
    return Matched(cost=cost, held_megabytes=held)


def _cost(work: Callable[[], None], lines: int) -> tuple[Cost, float]:
    """Medians of the rounds, with what the first added to the process at its height, and all that this then held."""
    before = _settled_megabytes()
    costs: list[Cost] = [timed(work)]
    held = peak_megabytes()
    again = ROUNDS - 1 if lines < ROUNDS_AGAIN_BELOW else 0
    costs += [timed(work) for _ in range(again)]
    return (
        Cost(
            wall_seconds=statistics.median(cost.wall_seconds for cost in costs),
            cpu_seconds=statistics.median(cost.cpu_seconds for cost in costs),
            peak_megabytes=max(held - before, 0.004),  # a page at least
        ),
        held,
    )


def _settled_megabytes() -> float:
    """What the process holds once it gave back all it could, from where its height is measured anew."""
    gc.collect()
    pa.default_memory_pool().release_unused()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return peak_megabytes()
