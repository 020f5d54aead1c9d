"""Hard worlds with known answers: next to nothing wrong is confirmed, next to nothing decidable is missed.

The numbers are promises of the product. What is decidable is judged from the rows alone by ``fixtures.hard_answers``,
which knows nothing of the engine; the bench measures the same at a hundred thousand lines.
"""

from dataclasses import replace

import pytest

from dagster_project.bench.confusion import DAYS, OUTCOMES, START, Confusion, mark
from dagster_project.bench.hard_matching import matched, matched_by_day
from fixtures.hard_model import HardWorld
from fixtures.hard_world import hard_world
from reconciliation.matching import MatchResult

LINES = 20_000
WRONG_PER_100_000_MAX = 1
RECALL_MIN_PER_MILLE = 999


class Marked:
    """A world, what matching made of it day by day, and the marks."""

    def __init__(self, seed: int) -> None:
        self.world = hard_world(seed, START, days=DAYS, lines=LINES // DAYS)
        self.result = matched_by_day(self.world)
        self.marks = mark(self.world, self.result)


@pytest.fixture(scope="module", params=[1, 2])
def marked(request: pytest.FixtureRequest) -> Marked:
    return Marked(request.param)


@pytest.fixture(scope="module")
def in_one_step() -> Confusion:
    world = hard_world(3, START, days=DAYS, lines=LINES // DAYS)
    return mark(world, matched(world))


def told(marks: Confusion) -> str:
    return "\n".join([marks.text(), *map(str, marks.wrong[:20]), *map(str, marks.missed[:60])])


def test_no_more_than_one_of_a_hundred_thousand_is_confirmed_wrong(marked: Marked) -> None:
    marks = marked.marks
    assert len(marks.wrong) * 100_000 <= WRONG_PER_100_000_MAX * marks.lines, told(marks)


def test_nearly_all_that_is_decidable_is_confirmed_right(marked: Marked) -> None:
    marks = marked.marks
    assert marks.decidable > 0.9 * marks.lines
    assert marks.decidable_right * 1_000 >= RECALL_MIN_PER_MILLE * marks.decidable, told(marks)


def test_no_line_that_truly_has_no_entry_is_confirmed(marked: Marked) -> None:
    assert sum(answer.kind.startswith("absent") for answer in marked.world.answers) > 300
    assert marked.marks.absent_confirmed == 0, told(marked.marks)


def test_payouts_without_ids_are_resolved_whenever_unique(marked: Marked) -> None:
    marks = marked.marks
    assert marks.unique_payouts > 50
    assert marks.unique_payouts_right == marks.unique_payouts, told(marks)


def test_payouts_with_several_explanations_are_never_confirmed(marked: Marked) -> None:
    several = [
        answer
        for answer in marked.world.answers
        if answer.kind.startswith("payout_") and not answer.is_decidable
    ]
    assert len(several) > 5
    assert marked.marks.ambiguous_payouts_confirmed == 0, told(marked.marks)


def test_a_backlog_in_one_step_confirms_nothing_wrong_either(in_one_step: Confusion) -> None:
    assert len(in_one_step.wrong) * 100_000 <= WRONG_PER_100_000_MAX * in_one_step.lines, told(in_one_step)
    assert in_one_step.absent_confirmed == 0
    assert in_one_step.ambiguous_payouts_confirmed == 0


def test_a_backlog_in_one_step_resolves_what_is_decidable(in_one_step: Confusion) -> None:
    decidable, right = in_one_step.decidable, in_one_step.decidable_right
    assert right * 1_000 >= RECALL_MIN_PER_MILLE * decidable, told(in_one_step)
    assert in_one_step.unique_payouts_right == in_one_step.unique_payouts, told(in_one_step)


def test_the_table_counts_every_line_once(marked: Marked) -> None:
    marks = marked.marks
    by_lines = [row for row in marks.rows if row.kind != "ledger_only"]
    assert sum(sum(row.counts) for row in by_lines) == len(marked.world.lines)
    kinds = {row.kind for row in by_lines}
    assert kinds == {answer.kind for answer in marked.world.answers}
    assert all(len(row.counts) == len(OUTCOMES) for row in marks.rows)
    assert marks.text().splitlines()[-1].split()[1:] == [
        str(sum(row.counts[at] for row in marks.rows)) for at in range(len(OUTCOMES))
    ]


def swapped(world: HardWorld, result: MatchResult) -> MatchResult:
    """Two confirmed pairs with each other's entries."""
    members = result.members.to_pylist()
    pairs = [row for row in members if row["side"] == "ledger" and row["line_no"] == 1]
    plain = {entry.entry_key for entry in world.entries if entry.kind == "transfer"}
    first, second = [row for row in pairs if world.entries[row["entry_id"]].entry_key in plain][:2]
    first["entry_id"], second["entry_id"] = second["entry_id"], first["entry_id"]
    return replace(result, members=type(result.members).from_pylist(members, result.members.schema))


def test_two_pairs_made_crosswise_are_two_wrong_ones(marked: Marked) -> None:
    marks = mark(marked.world, swapped(marked.world, marked.result))
    assert len(marks.wrong) == len(marked.marks.wrong) + 2
    assert marks.decidable_right == marked.marks.decidable_right - 2
    wrong, recall = marks.figures()[:2]
    assert wrong.kept is False
    assert wrong.measured is not None
    assert wrong.measured > WRONG_PER_100_000_MAX
    assert recall.measured is not None
    assert recall.measured == marks.decidable_right / marks.decidable


def test_who_matches_nothing_is_right_about_nothing_decidable(marked: Marked) -> None:
    nothing = replace(
        marked.result,
        groups=marked.result.groups.slice(0, 0),
        members=marked.result.members.slice(0, 0),
        suggested_groups=marked.result.suggested_groups.slice(0, 0),
        suggested_members=marked.result.suggested_members.slice(0, 0),
    )
    marks = mark(marked.world, nothing)
    assert (len(marks.wrong), marks.decidable_right, marks.unique_payouts_right) == (0, 0, 0)
    assert [figure.kept for figure in marks.figures()] == [True, False, False, True, True]
