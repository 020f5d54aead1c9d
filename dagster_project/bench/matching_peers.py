"""Other tools on the same frames, each only where it is installed (`pip install 'tieout[bench]'`): a probabilistic
linker, a linker by features, a comparer. Told plainly where they are not there or where a set is too large for them.

Each runs in a process of its own under the settings its documentation proposes for such data; what it proposes is
marked by the same answers as ours. A pair counts as right when line and entry are of one payment.
"""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from dagster_project.bench.figures import Figure
from dagster_project.bench.measure import Cost, peak_megabytes, timed
from reconciliation.matching.columns import IntArray

LINES_MAX: Final = {"datacompy": 2_000_000, "recordlinkage": 200_000, "splink": 200_000}
"""Beyond, the tool takes many minutes or gigabytes on two cores."""

_LAGS: Final = range(4)
_COLUMNS: Final = ["number", "reference", "amount", "day", "party"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """What a tool took and found."""

    cost: Cost
    right: int
    wrong: int


def measure_peers(folder: Path, lines: int, kind: IntArray, merge: Cost) -> list[Figure]:
    """Processor seconds beside the merge, and the shares that were matched right, of every tool that is here."""
    has_partner = int((kind != kind.max(initial=0)).sum())
    found = []
    for name, work in _TOOLS.items():
        if find_spec(name) is None:
            found.append(_untold(name, lines, "not installed"))
        elif lines > LINES_MAX[name]:
            found.append(_untold(name, lines, f"at most {LINES_MAX[name]:,} lines"))
        else:
            found += _figures(name, lines, _in_own_process(work, folder), has_partner, merge)
    return found


def _untold(name: str, lines: int, why: str) -> Figure:
    return Figure(
        area="matching", name=f"{lines:,} x {lines:,}, {name}", unit="s", measured=None, reference=1, of=why
    )


def _figures(name: str, lines: int, peer: Peer, has_partner: int, merge: Cost) -> list[Figure]:
    title = f"{lines:,} x {lines:,}, {name}"
    return [
        Figure(
            area="matching",
            name=f"{title}: processor",
            unit="s",
            measured=peer.cost.cpu_seconds,
            reference=merge.cpu_seconds,
            of="pandas merge on the reference",
        ),
        Figure(
            area="matching",
            name=f"{title}: added memory",
            unit="MB",
            measured=peer.cost.peak_megabytes,
            reference=merge.peak_megabytes,
            of="pandas merge on the reference",
        ),
        Figure(
            area="matching",
            name=f"{title}: matched right",
            unit="share",
            measured=peer.right / max(has_partner, 1),
            reference=1,
            of="lines with a partner",
        ),
        Figure(
            area="matching",
            name=f"{title}: matched wrong",
            unit="lines",
            measured=peer.wrong,
            reference=max(lines / 100_000, 1),
            of="one in 100,000",
        ),
    ]


def _in_own_process(work: Callable[[Path], Peer], folder: Path) -> Peer:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, folder).result()


def _frames(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What a linker needs of both sides: number, reference, amount, day, counterparty."""
    found = []
    for name, number in (("external", "line_id"), ("ledger", "entry_id")):
        with pa.OSFile(str(folder / name), "rb") as source:
            table = pa.ipc.open_file(source).read_all()
        columns = [
            table[of] for of in (number, "ref_end_to_end", "amount_minor", "business_date", "counterparty")
        ]
        columns[3] = columns[3].cast(pa.int32())
        found.append(pa.table(columns, names=_COLUMNS).to_pandas())
    return found[0], found[1]


def _marked(folder: Path, cost: Cost, left: IntArray, right: IntArray) -> Peer:
    kind = np.load(folder / "kind.npy")
    left, right = left.astype(np.int64), right.astype(np.int64)
    is_right = (left == right) & (kind[left] != kind.max())
    return Peer(cost=cost, right=int(is_right.sum()), wrong=int((~is_right).sum()))


def _measured(folder: Path, work: Callable[[], tuple[IntArray, IntArray]]) -> Peer:
    found: list[tuple[IntArray, IntArray]] = []
    before = peak_megabytes()
    cost = timed(lambda: found.append(work()))
    added = Cost(
        wall_seconds=cost.wall_seconds,
        cpu_seconds=cost.cpu_seconds,
        peak_megabytes=max(cost.peak_megabytes - before, 0.004),
    )
    return _marked(folder, added, *found[0])


def _best(pairs: pd.DataFrame) -> tuple[IntArray, IntArray]:
    """Greedy: of pairs with a score the best first, each end once."""
    pairs = pairs.sort_values(["score", "left", "right"], ascending=[False, True, True], kind="stable")
    taken: tuple[set[int], set[int]] = (set(), set())
    chosen: list[tuple[int, int]] = []
    for one, other in zip(pairs["left"].tolist(), pairs["right"].tolist(), strict=True):
        if one not in taken[0] and other not in taken[1]:
            taken[0].add(one)
            taken[1].add(other)
            chosen.append((one, other))
    table = np.array(chosen, dtype=np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _datacompy(folder: Path) -> Peer:
    """It joins two frames on a key and compares the columns: it finds what has the reference, and says what differs."""
    import datacompy  # noqa: PLC0415 - an optional extra

    left, right = _frames(folder)

    def work() -> tuple[IntArray, IntArray]:
        compared: Any = datacompy.PandasCompare(left, right, join_columns="reference")
        rows = compared.intersect_rows
        return rows["number_df1"].to_numpy(), rows["number_df2"].to_numpy()

    return _measured(folder, work)


def _recordlinkage(folder: Path) -> Peer:
    """Blocks on the reference, on amount and counterparty, on amount and day at each lag; Jaro-Winkler; greedy."""
    import recordlinkage  # noqa: PLC0415 - an optional extra

    left, right = _frames(folder)

    def work() -> tuple[IntArray, IntArray]:
        index = recordlinkage.Index()
        index.block("reference")
        index.block(["amount", "party"])
        candidates = index.index(left, right)
        for lag in _LAGS:
            shifted = recordlinkage.Index()
            shifted.block(["amount", "day"])
            candidates = candidates.union(shifted.index(left.assign(day=left["day"] - lag), right))
        compare = recordlinkage.Compare()
        compare.string("reference", "reference", method="jarowinkler", label="reference")
        compare.string("party", "party", method="jarowinkler", label="party")
        compare.exact("amount", "amount", label="amount")
        features = compare.compute(candidates, left, right)
        score = features["reference"] * 2 + features["party"] + features["amount"]
        keep = score[score >= 3.2]
        ends = [keep.index.get_level_values(level).to_numpy() for level in (0, 1)]
        return _best(
            pd.DataFrame(
                {
                    "left": left["number"].to_numpy()[ends[0]],
                    "right": right["number"].to_numpy()[ends[1]],
                    "score": keep.to_numpy(),
                }
            )
        )

    return _measured(folder, work)


def _splink(folder: Path) -> Peer:
    """Probabilities learned from the frames themselves on DuckDB; blocks as above; the best link of each end."""
    import splink.comparison_library as compared  # noqa: PLC0415 - an optional extra
    from splink import DuckDBAPI, Linker, SettingsCreator, block_on  # noqa: PLC0415

    left, right = _frames(folder)

    def work() -> tuple[IntArray, IntArray]:
        lags = [f"l.amount = r.amount and l.day - {lag} = r.day" for lag in _LAGS]
        settings = SettingsCreator(
            link_type="link_only",
            unique_id_column_name="number",
            blocking_rules_to_generate_predictions=[
                block_on("reference"),
                block_on("amount", "party"),
                *lags,
            ],
            comparisons=[
                compared.JaroWinklerAtThresholds("reference", [0.95, 0.85]),
                compared.ExactMatch("amount").configure(term_frequency_adjustments=True),
                compared.JaroWinklerAtThresholds("party", [0.92]),
            ],
        )
        api = DuckDBAPI()
        linker: Any = Linker([api.register(left), api.register(right)], settings)
        linker.training.estimate_probability_two_random_records_match([block_on("reference")], recall=0.9)
        linker.training.estimate_u_using_random_sampling(max_pairs=1_000_000, seed=1)
        linker.training.estimate_parameters_using_expectation_maximisation(block_on("amount"))
        linker.training.estimate_parameters_using_expectation_maximisation(block_on("reference"))
        pairs = linker.inference.predict(threshold_match_probability=0.5).as_pandas_dataframe()
        return _best(
            pairs.rename(columns={"number_l": "left", "number_r": "right", "match_probability": "score"})
        )

    return _measured(folder, work)


_TOOLS: Final[dict[str, Callable[[Path], Peer]]] = {
    "datacompy": _datacompy,
    "recordlinkage": _recordlinkage,
    "splink": _splink,
}
