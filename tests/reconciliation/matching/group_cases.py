"""Payout lines with members that do not name them, and the searches said again by trying everything."""

import itertools
import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from reconciliation.matching import MatchContext
from reconciliation.matching.books import Books, Side
from reconciliation.matching.group_search import GroupStep, find_groups
from reconciliation.matching.proposals import Outcome, Proposal
from reconciliation.sources import GroupRule, MatchLimits, MatchRules, ReferencePair
from tests.reconciliation.matching.cases import DAY, Item, external, externals, ledger, ledgers

REFERENCES = (ReferencePair(external="ref_end_to_end", ledger="ref_end_to_end"),)


def payout(key: str, amount_minor: int, **changes: Any) -> Item:
    return external(key, amount_minor, kind="payout", **changes)


def member(key: str, amount_minor: int, *, minute: int = 0, **changes: Any) -> Item:
    """A ledger line; ``minute`` is its place in the processor's order within its day."""
    day = changes.get("day", 0)
    at = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC) + timedelta(days=day, minutes=minute)
    return ledger(key, amount_minor, kind="charge", effective_at=at, **changes)


def group_rules(*, limits: MatchLimits | None = None, confirm_bits: int = 10, **changes: Any) -> MatchRules:
    """Rules with one rule for payouts; further arguments are that rule's."""
    rule = GroupRule(kind="payout", **changes)
    return MatchRules(
        references=REFERENCES, groups=(rule,), limits=limits or MatchLimits(), confirm_bits=confirm_bits
    )


def books_of(theirs: Sequence[Item], ours: Sequence[Item]) -> Books:
    return Books.open(
        Side.external(externals(theirs)),
        Side.ledger(ledgers(ours)),
        leg="ledger",
        references=REFERENCES,
        window_days=10,
        by_account=True,
    )


@dataclass
class Found:
    """What a step found, by key: members of confirmed groups, solutions and evidence of both kinds."""

    confirmed: dict[str, frozenset[str]] = field(default_factory=dict)
    suggested: dict[str, int] = field(default_factory=dict)
    evidence: dict[str, dict[str, Any]] = field(default_factory=dict)
    limits: list[str] = field(default_factory=list)
    outcome: Outcome = field(default_factory=Outcome)


def search(
    step: GroupStep,
    theirs: Sequence[Item],
    ours: Sequence[Item],
    by: MatchRules | None = None,
    *,
    cursor: str | None = None,
    rejected: frozenset[str] = frozenset(),
) -> Found:
    books = books_of(theirs, ours)
    cursors = {} if cursor is None else {theirs[0]["account"]: cursor}
    outcome = find_groups(
        books,
        np.arange(len(theirs)),
        np.arange(len(ours)),
        step=step,
        rules=by or group_rules(),
        context=MatchContext(chain_cursors=cursors, rejected=rejected),
    )
    return found_in(books, outcome)


def found_in(books: Books, outcome: Outcome) -> Found:
    found = Found(limits=[limit.what for limit in outcome.limits], outcome=outcome)
    for proposal in outcome.proposals:
        for line, members, solutions, evidence in _groups(books, proposal):
            assert line not in found.confirmed
            assert solutions == 1
            found.confirmed[line], found.evidence[line] = members, evidence
    for proposal in outcome.suggestions:
        for line, _, solutions, evidence in _groups(books, proposal):
            found.suggested[line], found.evidence[line] = solutions, evidence
    return found


def _groups(books: Books, proposal: Proposal) -> Iterable[tuple[str, frozenset[str], int, dict[str, Any]]]:
    lines = books.external.column("line_key").to_pylist()
    entries = books.ledger.column("entry_key").to_pylist()
    assert proposal.solutions is not None
    for at in range(len(proposal)):
        (line,) = proposal.external.rows[proposal.external.group == at].tolist()
        rows = proposal.ledger.rows[proposal.ledger.group == at].tolist()
        evidence = json.loads(proposal.evidence[at].as_py())
        yield lines[line], frozenset(entries[row] for row in rows), int(proposal.solutions[at]), evidence


def content(item: Item) -> tuple[Any, ...]:
    """What tells a member from another: all but its key and its minute."""
    told = (
        "amount_minor",
        "business_date",
        "kind",
        "counterparty",
        "batch_ref",
        "ref_payout",
        "corrects_entry_key",
    )
    return tuple(str(item.get(name)) for name in told)


def in_window(line: Item, ours: Iterable[Item], lag_days: int) -> list[Item]:
    days = [(line["business_date"] - item["business_date"]).days for item in ours]
    return [item for item, day in zip(ours, days, strict=True) if 0 <= day <= lag_days]


Solutions = dict[frozenset[tuple[tuple[Any, ...], int]], list[Item]]


def _by_content(chosen: Iterable[Sequence[Item]]) -> Solutions:
    distinct: Solutions = {}
    for items in chosen:
        distinct.setdefault(frozenset(Counter(map(content, items)).items()), list(items))
    return distinct


def naive_subsets(line: Item, ours: Sequence[Item], lag_days: int) -> Solutions:
    """Every set of members that sums to the line, unless chance alone would give one."""
    window = in_window(line, ours, lag_days)
    amounts = [item["amount_minor"] for item in window]
    if not window or expected(amounts, line["amount_minor"]) > 0.05:
        return {}
    sets = (
        chosen
        for size in range(1, len(window) + 1)
        for chosen in itertools.combinations(window, size)
        if sum(item["amount_minor"] for item in chosen) == line["amount_minor"]
    )
    return _by_content(sets)


def naive_windows(line: Item, ours: Sequence[Item], lag_days: int, late_max: int) -> Solutions:
    """Everything up to a day, less as few as will do."""
    window = in_window(line, ours, lag_days)
    days = sorted({item["business_date"] for item in window})
    for late in range(late_max + 1):
        sets = []
        for day in days:
            until = [item for item in window if item["business_date"] <= day]
            for out in itertools.combinations(range(len(until)), late):
                chosen = [item for at, item in enumerate(until) if at not in out]
                if chosen and sum(item["amount_minor"] for item in chosen) == line["amount_minor"]:
                    sets.append(chosen)
        if sets:
            return _by_content([*sets, *_runs(line, window)])
    return {}


def _runs(line: Item, window: list[Item]) -> Iterable[list[Item]]:
    """What was processed from the first member on until the sum is the line's, another way to leave some out."""
    ordered = sorted(window, key=lambda item: (item["effective_at"], item["entry_key"]))
    for end in range(1, len(ordered) + 1):
        if sum(item["amount_minor"] for item in ordered[:end]) == line["amount_minor"]:
            yield ordered[:end]


def expected(amounts: Sequence[int], target: int) -> float:
    spread = math.sqrt(sum(amount * amount for amount in amounts)) / 2
    off = (target - sum(amounts) / 2) / spread
    return 2 ** len(amounts) * math.exp(-off * off / 2) / math.sqrt(2 * math.pi) / spread


def uncontested(solutions: dict[str, Solutions], ours: Sequence[Item]) -> dict[str, Counter[tuple[Any, ...]]]:
    """Lines with one explanation, none of whose members are wanted more often than they are there."""
    there = Counter(map(content, ours))
    wanted: Counter[tuple[Any, ...]] = Counter()
    for sets in solutions.values():
        most: Counter[tuple[Any, ...]] = Counter()
        for chosen in sets:
            most |= Counter(dict(chosen))
        wanted += most
    return {
        line: Counter(dict(next(iter(sets))))
        for line, sets in solutions.items()
        if len(sets) == 1 and all(wanted[kind] <= there[kind] for kind, _ in next(iter(sets)))
    }
