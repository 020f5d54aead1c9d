"""The one-to-one choice: equal to trying every choice, blind to order, and exact about what it would cost to differ."""

from collections.abc import Iterator
from itertools import permutations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciliation.matching.assignment import MARGIN_MAX_MILLIBITS, Assigned, assign

Edge = tuple[int, int, int]


def assigned(
    edges: list[Edge],
    external: list[int] | None = None,
    ledger: list[int] | None = None,
    items_max: int = 2_000,
) -> Assigned:
    """The choice; contents tell every row apart unless they are given by row."""
    table = np.array(sorted(edges), dtype=np.int64).reshape(-1, 3)
    size = int(table[:, :2].max(initial=0)) + 1
    own = np.arange(size, dtype=np.int64)
    return assign(
        table[:, 0],
        table[:, 1],
        table[:, 2],
        external_content=own if external is None else np.array(external, dtype=np.int64),
        ledger_content=own if ledger is None else np.array(ledger, dtype=np.int64),
        items_max=items_max,
    )


def chosen(edges: list[Edge], found: Assigned) -> dict[tuple[int, int], int]:
    """Chosen pairs with their margins."""
    named = sorted(edges)
    return {
        named[at][:2]: margin
        for at, margin in zip(found.pair.tolist(), found.margin_millibits.tolist(), strict=True)
    }


def choices(edges: list[Edge]) -> Iterator[tuple[Edge, ...]]:
    """Every set of pairs in which no row is twice."""
    if not edges:
        yield ()
        return
    first, rest = edges[0], edges[1:]
    yield from choices(rest)
    for others in choices([edge for edge in rest if edge[0] != first[0] and edge[1] != first[1]]):
        yield (first, *others)


def worth(choice: tuple[Edge, ...]) -> int:
    return sum(weight for _, _, weight in choice)


def components(edges: list[Edge]) -> list[list[Edge]]:
    left = list(edges)
    found = []
    while left:
        part, left = [left[0]], left[1:]
        while more := [edge for edge in left if any(edge[0] == e[0] or edge[1] == e[1] for e in part)]:
            part += more
            left = [edge for edge in left if edge not in more]
        found.append(sorted(part))
    return found


def is_sound(edge: Edge, edges: list[Edge]) -> bool:
    rivals = [other for other in edges if other[0] == edge[0] or other[1] == edge[1]]
    return 2 * edge[2] >= max(other[2] for other in rivals)


@st.composite
def cases(draw: st.DrawFn) -> list[Edge]:
    ours, theirs = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    weights = st.integers(1, draw(st.sampled_from([3, 20, 40_000])))
    pairs = draw(
        st.sets(st.tuples(st.integers(0, ours - 1), st.integers(0, theirs - 1)), min_size=1, max_size=12)
    )
    return [(left, right, draw(weights)) for left, right in sorted(pairs)]


@given(cases(), st.sampled_from([2_000, 4]))
@settings(max_examples=250, deadline=None)
def test_the_choice_and_its_margins_are_those_of_trying_every_choice(
    edges: list[Edge], items_max: int
) -> None:
    found = assigned(edges, items_max=items_max)
    assert not len(found.too_large)
    pairs = chosen(edges, found)
    for part in components(edges):
        every = list(choices(part))
        sound = {edge for edge in part if is_sound(edge, part)}
        best = max((len(sound & set(choice)), worth(choice)) for choice in every)
        mine = [edge for edge in part if edge[:2] in pairs]
        assert (len(sound & set(mine)), worth(tuple(mine))) == best
        for edge in mine:
            without = max(worth(choice) for choice in every if edge not in choice)
            margin = min(best[1] - without, MARGIN_MAX_MILLIBITS)
            if margin > 0:
                assert pairs[edge[:2]] == margin
            else:
                assert pairs[edge[:2]] <= 0


@given(
    cases(),
    st.lists(st.integers(0, 1), min_size=5, max_size=5),
    st.lists(st.integers(0, 1), min_size=5, max_size=5),
)
@settings(max_examples=150, deadline=None)
def test_a_margin_counts_choices_among_kinds_of_lines_and_not_among_twins(
    edges: list[Edge], external: list[int], ledger: list[int]
) -> None:
    kinds = {(external[left], ledger[right]): weight for left, right, weight in edges}
    full = [
        (left, right, kinds[external[left], ledger[right]])
        for left in range(3)
        for right in range(3)
        if (external[left], ledger[right]) in kinds
    ]
    if not full:
        return
    found = assigned(full, external, ledger)
    for part in components(full):
        every = list(choices(part))
        mine = tuple(edge for edge in part if edge[:2] in chosen(full, found))
        for left, right, _ in mine:
            kind = external[left], ledger[right]

            def over(choice: tuple[Edge, ...], kind: tuple[int, int] = kind) -> int:
                return sum((external[a], ledger[b]) == kind for a, b, _ in choice)

            less = max(worth(choice) for choice in every if over(choice) < over(mine))
            margin = min(worth(mine) - less, MARGIN_MAX_MILLIBITS)
            told = max(chosen(full, found)[left, right], 0)
            assert told <= max(margin, 0)
            if worth(mine) == max(map(worth, every)):
                assert told == max(margin, 0)


def test_best_first_would_leave_a_line_open_that_the_choice_pairs() -> None:
    edges = [(0, 0, 9_000), (0, 1, 8_000), (1, 0, 8_000)]
    assert chosen(edges, assigned(edges)) == {(0, 1): 7_000, (1, 0): 7_000}


def test_one_sound_pair_is_not_given_up_for_two_that_hardly_are() -> None:
    edges = [(0, 0, 20_000), (0, 1, 2_000), (1, 0, 3_000)]
    assert chosen(edges, assigned(edges)) == {(0, 0): 15_000}


def test_two_equal_candidates_leave_no_margin() -> None:
    edges = [(0, 0, 9_000), (0, 1, 9_000)]
    assert chosen(edges, assigned(edges)) == {(0, 0): 0}


def test_two_equal_candidates_that_nothing_tells_apart_leave_the_whole_margin_and_the_first_is_taken() -> (
    None
):
    edges = [(0, 0, 9_000), (0, 1, 9_000)]
    found = assigned(edges, ledger=[7, 7])
    assert chosen(edges, found) == {(0, 0): 9_000}
    assert (found.twins_external.tolist(), found.twins_ledger.tolist()) == ([1], [2])


def test_a_thousand_twins_are_paired_in_canonical_order() -> None:
    edges = [(left, right, 5_000) for left in range(60) for right in range(50)]
    pairs = chosen(edges, assigned(edges, [0] * 60, [0] * 60, items_max=10))
    assert pairs == {(at, at): 5_000 for at in range(50)}


def test_lines_of_other_components_change_nothing() -> None:
    edges = [(0, 0, 9_000), (0, 1, 8_000), (1, 0, 8_000), (2, 2, 4_000)]
    more = [(left + 10, right + 10, weight) for left, right, weight in edges]
    alone, both = chosen(edges, assigned(edges)), chosen(edges + more, assigned(edges + more))
    assert alone == {pair: margin for pair, margin in both.items() if pair in alone}
    assert len(both) == 2 * len(alone)


def test_renumbering_rows_in_their_order_gives_the_same_choice() -> None:
    edges = [(0, 0, 5_000), (0, 1, 4_000), (1, 0, 4_000), (1, 2, 6_000), (2, 2, 5_500)]
    spread = [(3 * left + 1, 2 * right + 5, weight) for left, right, weight in edges]
    again = {
        (3 * left + 1, 2 * right + 5): margin
        for (left, right), margin in chosen(edges, assigned(edges)).items()
    }
    assert chosen(spread, assigned(spread)) == again


def test_the_order_in_which_twins_of_two_kinds_stand_decides_nothing_but_who_is_first() -> None:
    weights = {(0, 0): 9_000, (0, 1): 7_000, (1, 0): 6_000}
    totals = set()
    for kinds in permutations([0, 0, 1]):
        edges = [
            (left, right, weights[kinds[left], right])
            for left in range(3)
            for right in range(2)
            if (kinds[left], right) in weights
        ]
        found = assigned(edges, external=list(kinds))
        totals.add(tuple(sorted(chosen(edges, found).values())))
    assert len(totals) == 1


def test_a_component_beyond_the_bounds_is_left_whole_and_named() -> None:
    edges = [(left, right, 5_000 + left + right) for left in range(12) for right in range(12)]
    found = assigned([*edges, (20, 20, 1_000)], items_max=4)
    assert found.too_large.tolist() == [0]
    assert chosen([*edges, (20, 20, 1_000)], found) == {(20, 20): 1_000}
