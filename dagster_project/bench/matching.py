"""Matching N lines with N ledger lines, beside a pandas merge of the full-width frames on the reference.

Each side runs in a process of its own, so that the memory it adds is its own.
"""

import multiprocessing
import statistics
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from dagster_project.bench.figures import Figure
from dagster_project.bench.measure import ROUNDS, Cost, peak_megabytes, timed
from dagster_project.project import packaged_sources
from reconciliation.items import EXTERNAL_ITEM_SCHEMA, LEDGER_ITEM_SCHEMA
from reconciliation.matching import match_day
from reconciliation.sources import parse_sources

DAY = date(2026, 11, 9)
SEED = 1


def measure_matching(lines: int) -> list[Figure]:
    """Wall and processor seconds and added megabytes for ``lines`` on each side, all of which match one to one."""
    ours, merged = _in_own_process(_matched, lines), _in_own_process(_merged, lines)
    return [
        Figure(
            area="matching",
            name=f"{lines:,} x {lines:,}, {name}",
            unit=unit,
            measured=getattr(ours, attribute),
            reference=getattr(merged, attribute),
            of="pandas merge on the reference",
        )
        for name, unit, attribute in (
            ("wall", "s", "wall_seconds"),
            ("processor", "s", "cpu_seconds"),
            ("added memory", "MB", "peak_megabytes"),
        )
    ]


def _in_own_process(work: Callable[[int], Cost], lines: int) -> Cost:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, lines).result()


def _matched(lines: int) -> Cost:
    external, ledger = _books(lines)
    rules = parse_sources(packaged_sources(), name="packaged")["bank"].match

    def work() -> None:
        made = match_day(external, ledger, rules).groups.num_rows
        if made != lines:
            raise RuntimeError(f"bench: expected {lines} matches, found {made}")

    return _cost(work)


def _merged(lines: int) -> Cost:
    external, ledger = _books(lines)

    def work() -> None:
        left, right = external.to_pandas(), ledger.to_pandas()
        made = len(left.merge(right, on="ref_end_to_end", suffixes=("_external", "_ledger")))
        if made != lines:
            raise RuntimeError(f"bench: expected {lines} pairs, found {made}")

    return _cost(work)


def _cost(work: Callable[[], None]) -> Cost:
    """Medians of the rounds; memory is what the rounds added to the process at its height, at least a page."""
    before = peak_megabytes()
    costs = [timed(work) for _ in range(ROUNDS)]
    return Cost(
        wall_seconds=statistics.median(cost.wall_seconds for cost in costs),
        cpu_seconds=statistics.median(cost.cpu_seconds for cost in costs),
        peak_megabytes=max(peak_megabytes() - before, 0.004),
    )


def _books(lines: int) -> tuple[pa.Table, pa.Table]:
    """Both sides of ``lines`` payments: the same references and amounts, the ledger's in another order."""
    draw = np.random.default_rng(SEED)
    amounts = draw.integers(1, 1_000_000, lines) * draw.choice([-1, 1], lines)
    references = np.array([f"E2E-{number:012d}" for number in range(lines)])
    shared: dict[str, Any] = {
        "business_date": pa.array([DAY] * lines, pa.date32()),
        "account": ["assets:bank:main-eur"] * lines,
        "asset": ["EUR"] * lines,
        "kind": ["transfer"] * lines,
    }
    numbers = np.arange(lines)
    external = {
        "line_id": numbers,
        "line_key": np.char.add("L", numbers.astype(str)),
        "version": np.ones(lines, np.int32),
        "amount_minor": amounts,
        "fee_minor": np.zeros(lines, np.int64),
        "ref_end_to_end": references,
    }
    order = draw.permutation(lines)
    ledger = {
        "entry_id": numbers,
        "line_no": np.ones(lines, np.int32),
        "entry_key": np.char.add("E", numbers.astype(str)),
        "amount_minor": amounts[order],
        "ref_end_to_end": references[order],
    }
    return (
        _table(shared | external, EXTERNAL_ITEM_SCHEMA, lines),
        _table(shared | ledger, LEDGER_ITEM_SCHEMA, lines),
    )


def _table(columns: dict[str, Any], schema: pa.Schema, lines: int) -> pa.Table:
    return pa.table(
        [
            pa.array(columns[field.name], field.type)
            if field.name in columns
            else pa.nulls(lines, field.type)
            for field in schema
        ],
        schema=schema,
    )
