"""Matches that people made come before any of the engine's, and hold for exactly what they were made about."""

import json
from typing import Any

from reconciliation.matching import ForcedGroup, ForcedMember, MatchContext, MatchResult, match_day
from tests.reconciliation.matching.cases import external, externals, ledger, ledgers, pairs_of, rules


def forced(*members: tuple[str, str, int], roles: tuple[str, ...] = ()) -> ForcedGroup:
    named = [
        ForcedMember(side=side, key=key, number=number, role=role)
        for (side, key, number), role in zip(members, roles or ("principal",) * len(members), strict=True)
    ]
    return ForcedGroup(members=tuple(named), reason="the bank confirmed it", decided_by=("ada", "bob"))


def matched(theirs: list[Any], ours: list[Any], *groups: ForcedGroup) -> MatchResult:
    return match_day(externals(theirs), ledgers(ours), rules(), MatchContext(forced=groups))


THEIRS = [external("E1", 100), external("E2", 100, ref_end_to_end="INV-1")]
OURS = [ledger("L1", 100, ref_end_to_end="INV-1"), ledger("L2", 100)]


def test_a_pair_that_people_made_is_made_although_nothing_speaks_for_it() -> None:
    result = matched(THEIRS, OURS, forced(("external", "E1", 1), ("ledger", "L2", 1)))
    assert pairs_of(result, THEIRS, OURS) == {
        frozenset({"E1", "L2"}): "decision",
        frozenset({"E2", "L1"}): "exact",
    }


def test_a_decision_comes_before_what_the_engine_would_have_made_of_its_lines() -> None:
    result = matched(THEIRS, OURS, forced(("external", "E1", 1), ("ledger", "L1", 1)))
    assert pairs_of(result, THEIRS, OURS) == {frozenset({"E1", "L1"}): "decision"}


def test_the_explanation_says_who_decided_and_why() -> None:
    result = matched(THEIRS, OURS, forced(("external", "E1", 1), ("ledger", "L2", 1)))
    told = [json.loads(text) for text in result.groups["evidence"].to_pylist()]
    (decision,) = (one for one in told if "decided_by" in one)
    assert decision["decided_by"] == ["ada", "bob"]
    assert decision["reason"] == "the bank confirmed it"


def test_a_decision_about_another_version_of_a_line_makes_nothing() -> None:
    result = matched(THEIRS, OURS, forced(("external", "E1", 2), ("ledger", "L2", 1)))
    assert pairs_of(result, THEIRS, OURS) == {frozenset({"E2", "L1"}): "exact"}


def test_a_difference_needs_a_role_that_owns_up_to_it() -> None:
    theirs, ours = [external("E1", 97)], [ledger("L1", 100)]
    pair = (("external", "E1", 1), ("ledger", "L1", 1))
    assert matched(theirs, ours, forced(*pair)).groups.num_rows == 0
    result = matched(theirs, ours, forced(*pair, roles=("fee", "principal")))
    assert result.groups["difference_minor"].to_pylist() == [-3]
    assert result.members["role"].to_pylist() == ["fee", "principal"]


def test_lines_of_two_accounts_are_never_one_match() -> None:
    theirs, ours = [external("E1", 100)], [ledger("L1", 100, account="assets:bank:other")]
    assert matched(theirs, ours, forced(("external", "E1", 1), ("ledger", "L1", 1))).groups.num_rows == 0


def test_of_two_decisions_over_one_line_one_holds_whatever_their_order() -> None:
    first = forced(("external", "E1", 1), ("ledger", "L1", 1))
    second = forced(("external", "E1", 1), ("ledger", "L2", 1))
    results = [matched(THEIRS, OURS, *order) for order in ((first, second), (second, first))]
    assert results[0].groups.equals(results[1].groups)
    assert pairs_of(results[0], THEIRS, OURS) == {frozenset({"E1", "L1"}): "decision"}
