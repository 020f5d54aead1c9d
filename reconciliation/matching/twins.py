"""Pairing interchangeable units where not every one may be paired with every other: dates apart, or pairs people undid.

Both functions take unit numbers in canonical order and give parallel arrays of pairs. Only the few components with
such a conflict come here, one at a time.
"""

from collections import deque
from collections.abc import Callable

import numpy as np

from reconciliation.matching.columns import BoolArray, IntArray


def canonical_walk(
    external: IntArray,
    ledger: IntArray,
    external_date: IntArray,
    ledger_date: IntArray,
    *,
    window_days: int | None,
) -> tuple[IntArray, IntArray]:
    """The earliest with the earliest; one too early for all that is left is passed over. Gives the most pairs.

    window of 2 days:   external on days 1, 8     ledger on days 7, 9      gives  8-7  and leaves  1 and 9
    """
    if window_days is None:
        size = min(len(external), len(ledger))
        return external[:size], ledger[:size]
    pairs: list[tuple[int, int]] = []
    i = j = 0
    while i < len(external) and j < len(ledger):
        days = int(external_date[external[i]] - ledger_date[ledger[j]])
        if abs(days) <= window_days:
            pairs.append((int(external[i]), int(ledger[j])))
        i += days <= window_days
        j += days >= -window_days
    return _arrays(pairs)


def most_pairs(
    external: IntArray, ledger: IntArray, allowed: Callable[[IntArray, IntArray], BoolArray]
) -> tuple[IntArray, IntArray]:
    """As many allowed pairs as there can be, the earliest first (augmenting paths, searched in canonical order)."""
    owner: dict[int, int] = {}  # ledger unit -> external unit
    choices: dict[int, IntArray] = {}
    for unit in external.tolist():
        choices[unit] = ledger[allowed(np.full(len(ledger), unit), ledger)]
        _augment(unit, choices, owner)
    return _arrays(sorted((unit, counterpart) for counterpart, unit in owner.items()))


def _augment(unit: int, choices: dict[int, IntArray], owner: dict[int, int]) -> None:
    """Gives ``unit`` a ledger unit, moving owners to others where needed; leaves ``owner`` alone if that cannot be."""
    came_from: dict[int, int] = {}  # ledger unit -> external unit that reached it
    queue = deque([unit])
    while queue:
        seeker = queue.popleft()
        for counterpart in choices[seeker].tolist():
            if counterpart in came_from:
                continue
            came_from[counterpart] = seeker
            if counterpart not in owner:
                _shift(counterpart, came_from, owner, unit)
                return
            queue.append(owner[counterpart])


def _shift(free: int, came_from: dict[int, int], owner: dict[int, int], unit: int) -> None:
    """Walks back from a free ledger unit and hands each one on the way to the unit that reached it."""
    held: dict[int, int] | None = None
    while (seeker := came_from[free]) != unit:
        if held is None:
            held = {external: ledger for ledger, external in owner.items()}
        owner[free], free = seeker, held[seeker]
    owner[free] = unit


def _arrays(pairs: list[tuple[int, int]]) -> tuple[IntArray, IntArray]:
    table = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]
