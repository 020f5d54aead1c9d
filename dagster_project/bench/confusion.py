"""What matching makes of a hard world with known answers: a table by pass and by what happened to the line.

The world is matched day by day, as the daily run does it. A line is confirmed right or wrong; or only suggested, right
if its truth is among the suggestions; or left open though decidable; or rightly open: it has no partner, its twin took
the one there is, or the files do not tell. A payout is right only with all its parts. Nothing here is measured in
seconds.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import pyarrow as pa

from dagster_project.bench.figures import Figure, at_least, within
from dagster_project.bench.hard_matching import matched_by_day
from fixtures.hard_model import Answer, HardEntry, HardWorld
from fixtures.hard_world import hard_world
from reconciliation.matching import MatchResult
from reconciliation.sources import PRESET_PASSES

START: Final = date(2026, 11, 2)
DAYS: Final = 20
WRONG_PER_100_000_MAX: Final = 1
RECALL_MIN: Final = 0.999

OUTCOMES: Final = (
    "confirmed_right",
    "confirmed_wrong",
    "suggested_right",
    "suggested_wrong",
    "open_though_decidable",
    "rightly_open",
)
Content = tuple[str, date, str, int]

_NO_PASS: Final = "-"
_LEDGER_ONLY: Final = "ledger_only"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of one line; ``others``: what it was put together with."""

    native_id: str
    kind: str
    match_pass: str
    outcome: str
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfusionRow:
    """Lines of one kind by what one pass made of them; counts are parallel to ``OUTCOMES``."""

    match_pass: str
    kind: str
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """The table, and what is counted over all of it; a decidable line is one with a partner that the files tell."""

    lines: int
    rows: tuple[ConfusionRow, ...]
    wrong: tuple[Verdict, ...]
    missed: tuple[Verdict, ...]
    decidable: int
    decidable_right: int
    absent_confirmed: int
    unique_payouts: int
    unique_payouts_right: int
    ambiguous_payouts_confirmed: int
    limits: tuple[str, ...]

    @property
    def recall(self) -> float:
        """Share of the decidable lines that were confirmed right."""
        return self.decidable_right / max(self.decidable, 1)

    @property
    def wrong_per_100_000(self) -> float:
        """Wrong confirmations in a hundred thousand lines."""
        return len(self.wrong) * 100_000 / max(self.lines, 1)

    def text(self) -> str:
        """The table for people."""
        titles = ("pass", "kind", *(name.replace("_", " ") for name in OUTCOMES))
        table = [titles, *((row.match_pass, row.kind, *map(str, row.counts)) for row in self.rows)]
        totals = [sum(row.counts[at] for row in self.rows) for at in range(len(OUTCOMES))]
        table.append(("all", "", *map(str, totals)))
        widths = [max(len(row[at]) for row in table) for at in range(len(titles))]
        lines = [
            "  ".join(
                cell.ljust(width) if at < 2 else cell.rjust(width)
                for at, (cell, width) in _numbered(row, widths)
            )
            for row in table
        ]
        return "\n".join(line.rstrip() for line in lines)

    def figures(self) -> list[Figure]:
        """What is promised of it."""
        name = f"hard world of {self.lines:,}"
        return [
            within(
                area="matching",
                name=f"{name}, wrong confirmed",
                unit="per 100,000",
                measured=self.wrong_per_100_000,
                limit=WRONG_PER_100_000_MAX,
            ),
            at_least(
                area="matching",
                name=f"{name}, recall of the decidable",
                unit="share",
                measured=self.recall,
                limit=RECALL_MIN,
            ),
            at_least(
                area="matching",
                name=f"{name}, unique payouts without ids resolved",
                unit="share",
                measured=self.unique_payouts_right / max(self.unique_payouts, 1),
                limit=1,
            ),
            at_most_none(f"{name}, ambiguous payouts confirmed", self.ambiguous_payouts_confirmed),
            at_most_none(f"{name}, absent lines confirmed", self.absent_confirmed),
        ]


def at_most_none(name: str, measured: int) -> Figure:
    """A count that must be nought; told beside one, which a ratio needs."""
    return Figure(
        area="matching",
        name=name,
        unit="lines",
        measured=measured,
        reference=1,
        of="less than",
        kept=measured == 0,
    )


def confusion(lines: int, seed: int) -> Confusion:
    """The table for a hard world of about so many lines over a month."""
    world = hard_world(seed, START, days=DAYS, lines=max(1, lines // DAYS))
    return mark(world, matched_by_day(world))


def mark(world: HardWorld, result: MatchResult) -> Confusion:
    """The result held against the answers."""
    verdicts = list(_Marker(world, result).verdicts())
    cells: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: dict.fromkeys(OUTCOMES, 0))
    for verdict in verdicts:
        cells[verdict.match_pass, verdict.kind][verdict.outcome] += 1
    of = {answer.native_id: answer for answer in world.answers}
    told = [(verdict, of.get(verdict.native_id)) for verdict in verdicts]
    decidable = [v for v, answer in told if answer and _has_to_match(answer, v)]
    unique = [v for v in decidable if v.kind.startswith("payout_")]
    wrong = tuple(v for v in verdicts if v.outcome == "confirmed_wrong")
    confirmed = [(v, answer) for v, answer in told if answer and v.outcome.startswith("confirmed")]
    return Confusion(
        lines=len(world.lines),
        rows=tuple(
            ConfusionRow(match_pass=match_pass, kind=kind, counts=tuple(counts[name] for name in OUTCOMES))
            for (match_pass, kind), counts in sorted(cells.items(), key=lambda cell: _place(cell[0]))
        ),
        wrong=wrong,
        missed=tuple(v for v in decidable if v.outcome != "confirmed_right"),
        decidable=len(decidable),
        decidable_right=sum(v.outcome == "confirmed_right" for v in decidable),
        absent_confirmed=sum(
            not answer.partners and answer.kind.startswith("absent") for _, answer in confirmed
        ),
        unique_payouts=len(unique),
        unique_payouts_right=sum(v.outcome == "confirmed_right" for v in unique),
        ambiguous_payouts_confirmed=sum(
            v.kind.startswith("payout_") and not answer.is_decidable for v, answer in confirmed
        ),
        limits=tuple(str(limit) for limit in result.limits),
    )


def _has_to_match(answer: Answer, verdict: Verdict) -> bool:
    """Whether the line has a partner that the files tell and that no twin of it took."""
    return answer.is_decidable and bool(answer.partners) and verdict.outcome != "rightly_open"


class _Marker:
    """A result beside the answers."""

    def __init__(self, world: HardWorld, result: MatchResult) -> None:
        self._world = world
        self._contents = _payout_contents(world)
        self._confirmed = _groups(result.groups, result.members)
        self._suggested = _groups(result.suggested_groups, result.suggested_members)

    def verdicts(self) -> Iterator[Verdict]:
        """One verdict for each line, and one for each confirmed group without any line."""
        confirmed, suggested = _by_line(self._confirmed), _by_line(self._suggested)
        answers = self._world.answers
        satisfied = {
            answers[line].twin_group
            for line, groups in confirmed.items()
            if answers[line].twin_group and self._is_right(groups[0])
        }
        for number, answer in enumerate(answers):
            if number in confirmed:
                yield self._verdict(answer, confirmed[number], "confirmed")
            elif answer.twin_group in satisfied:
                yield _open(answer, "rightly_open")
            elif number in suggested:
                yield self._verdict(answer, suggested[number], "suggested")
            else:
                missed = answer.is_decidable and bool(answer.partners)
                yield _open(answer, "open_though_decidable" if missed else "rightly_open")
        for group in self._confirmed:
            if not group.lines:
                yield self._told("", _LEDGER_ONLY, group, "confirmed_wrong")

    def _verdict(self, answer: Answer, groups: Sequence["_Group"], state: str) -> Verdict:
        best = next((group for group in groups if self._is_right(group)), groups[0])
        outcome = f"{state}_{'right' if self._is_right(best) else 'wrong'}"
        return self._told(answer.native_id, answer.kind, best, outcome)

    def _told(self, native_id: str, kind: str, group: "_Group", outcome: str) -> Verdict:
        return Verdict(
            native_id=native_id,
            kind=kind,
            match_pass=group.match_pass,
            outcome=outcome,
            others=tuple(self._world.entries[entry].entry_key for entry in group.entries),
        )

    def _is_right(self, group: "_Group") -> bool:
        """Whether the group is one line with what it truly is; of equal sales of one day one is as good as another."""
        if len(group.lines) != 1:
            return False
        answer = self._world.answers[group.lines[0]]
        entries = [self._world.entries[entry] for entry in group.entries]
        if answer.native_id in self._contents:
            return Counter(_content(entry) for entry in entries) == self._contents[answer.native_id]
        return len(entries) == 1 and entries[0].entry_key in answer.partners


def _open(answer: Answer, outcome: str) -> Verdict:
    return Verdict(native_id=answer.native_id, kind=answer.kind, match_pass=_NO_PASS, outcome=outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    match_pass: str
    lines: tuple[int, ...]
    entries: tuple[int, ...]


def _groups(groups: pa.Table, members: pa.Table) -> list[_Group]:
    lines: dict[str, set[int]] = defaultdict(set)
    entries: dict[str, list[int]] = defaultdict(list)
    parts: Iterable[Sequence[Any]] = zip(
        *(members[name].to_pylist() for name in ("group_key", "line_id", "entry_id")), strict=True
    )
    for key, line, entry in parts:
        if line is not None:
            lines[key].add(line)
        else:
            entries[key].append(entry)
    named: Iterable[Sequence[Any]] = zip(
        groups["group_key"].to_pylist(), groups["match_pass"].to_pylist(), strict=True
    )
    return [
        _Group(match_pass=name, lines=tuple(lines[key]), entries=tuple(entries[key])) for key, name in named
    ]


def _content(entry: HardEntry) -> Content:
    return entry.account, entry.day, entry.kind, entry.amount_minor


def _payout_contents(world: HardWorld) -> dict[str, Counter[Content]]:
    """What the parts of each payout are."""
    entries = {entry.entry_key: entry for entry in world.entries}
    return {
        answer.native_id: Counter(_content(entries[key]) for key in answer.partners)
        for line, answer in zip(world.lines, world.answers, strict=True)
        if line.kind == "payout" and answer.partners
    }


def _by_line(groups: Iterable[_Group]) -> dict[int, list[_Group]]:
    found: dict[int, list[_Group]] = defaultdict(list)
    for group in groups:
        for line in group.lines:
            found[line].append(group)
    return found


def _place(cell: tuple[str, str]) -> tuple[int, str]:
    passes = PRESET_PASSES["bank"]
    names: dict[str, int] = {name: at for at, name in enumerate(passes)}
    return names.get(cell[0], len(passes)), cell[1]


def _numbered(row: Sequence[str], widths: Sequence[int]) -> Iterator[tuple[int, tuple[str, int]]]:
    return enumerate(zip(row, widths, strict=True))
