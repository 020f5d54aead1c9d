"""Groups without ids: a payout line and the open ledger lines whose sum it is, found by structure and by search.

Law: a group is confirmed only when it is the only explanation of its payout line, nothing in the references speaks
against it, and no other payout line could claim its members; only exact sums are confirmed. Everything else that
fits is a suggestion that takes nothing and says why it is not automatic. What people took apart is neither proposed
nor a rival. Each step repeats until it finds nothing more, so one line that is explained may decide the next.

    line 30.00, members 10.00 + 20.00                        one explanation: confirmed
    line 30.00, members 10.00 + 20.00 and 12.00 + 18.00      two: the first is suggested, solutions 2
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
import pyarrow as pa

from reconciliation.matching import json_text
from reconciliation.matching.books import Books
from reconciliation.matching.bundles import is_fee_kind
from reconciliation.matching.chained_runs import chained_runs
from reconciliation.matching.columns import BoolArray, Column, IntArray, kernel
from reconciliation.matching.context import MatchContext
from reconciliation.matching.group_windows import Finding, Findings, Search
from reconciliation.matching.key_sums import key_sums
from reconciliation.matching.processing_order import order_keys
from reconciliation.matching.proposals import Membership, Outcome, Proposal, Sums, explanation
from reconciliation.matching.result import Limit
from reconciliation.matching.window_sums import bounded_subset, window_less_few
from reconciliation.sources import GroupRule, MatchRules

GroupStep = Literal["key_sum", "chained_run", "window_less_few", "bounded_subset"]

_STEPS: Final[dict[str, Callable[[Search], Findings]]] = {
    "key_sum": key_sums,
    "chained_run": chained_runs,
    "window_less_few": window_less_few,
    "bounded_subset": bounded_subset,
}
_BY_CONTENT: Final = frozenset({"window_less_few", "bounded_subset"})
_KEYS_TOLD: Final = 5  # entry keys of an alternative that are written out

Cursors = dict[GroupRule, dict[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decided:
    """Findings of one round that stand, those that are only suggested with the reason, and the bounds met."""

    confirmed: tuple[Finding, ...]
    suggested: tuple[tuple[Finding, str], ...]
    limits: tuple[Limit, ...]
    rules: tuple[GroupRule, ...]  # parallel to ``confirmed``


def find_groups(
    books: Books,
    external_rows: IntArray,
    ledger_rows: IntArray,
    *,
    step: GroupStep,
    rules: MatchRules,
    context: MatchContext,
) -> Outcome:
    """Groups of one step over every rule of ``rules.groups``; rows are open rows in canonical order."""
    proposals: list[Proposal] = []
    cursors: Cursors = {rule: dict(context.chain_cursors) for rule in rules.groups}
    while True:
        decided = _round(
            books, external_rows, ledger_rows, step=step, rules=rules, context=context, cursors=cursors
        )
        if not decided.confirmed:
            reasons = [reason for _, reason in decided.suggested]
            suggested = [finding for finding, _ in decided.suggested]
            suggestions = (_proposal(books, step, suggested, reasons),) if suggested else ()
            return Outcome(proposals=tuple(proposals), limits=decided.limits, suggestions=suggestions)
        proposals.append(_proposal(books, step, decided.confirmed, None))
        external_rows = np.setdiff1d(external_rows, proposals[-1].external.rows)
        ledger_rows = np.setdiff1d(ledger_rows, proposals[-1].ledger.rows)
        if step == "chained_run":
            _move_on(books, decided, cursors)


def _round(
    books: Books,
    external_rows: IntArray,
    ledger_rows: IntArray,
    *,
    step: GroupStep,
    rules: MatchRules,
    context: MatchContext,
    cursors: Cursors,
) -> _Decided:
    searches: list[tuple[Search, Finding]] = []
    limits: list[Limit] = []
    for rule in rules.groups:
        search = Search.open(
            step,
            books,
            rule,
            external_rows=external_rows,
            ledger_rows=ledger_rows,
            rules=rules,
            context=replace(context, chain_cursors=cursors[rule]),
        )
        if len(search.payouts) and len(search.members):
            found = _STEPS[step](search)
            searches.extend((search, finding) for finding in found.findings)
            limits.extend(found.limits)
    searches.sort(key=lambda pair: pair[1].payout)
    return _decided(_once(searches), tuple(dict.fromkeys(limits)), by_content=step in _BY_CONTENT)


def _once(found: Sequence[tuple[Search, Finding]]) -> list[tuple[Search, Finding]]:
    """Each payout line with each set of members once; different sets by different rules are rival explanations."""
    by_payout: dict[int, list[tuple[Search, Finding]]] = {}
    for search, finding in found:
        known = by_payout.setdefault(finding.payout, [])
        if not any(np.array_equal(other.members, finding.members) for _, other in known):
            known.append((search, finding))
    several = "rules for groups explain the line in different ways"
    return [
        (search, replace(finding, why=several) if len(known) > 1 else finding)
        for known in by_payout.values()
        for search, finding in known
    ]


def _decided(
    found: Sequence[tuple[Search, Finding]], limits: tuple[Limit, ...], *, by_content: bool
) -> _Decided:
    contested = _contested(found, by_content=by_content)
    confirmed: list[Finding] = []
    rules: list[GroupRule] = []
    suggested: list[tuple[Finding, str]] = []
    met = list(limits)
    standing: set[int] = set()
    taken: set[int] = set()
    for (search, finding), is_contested in zip(found, contested.tolist(), strict=True):
        bound = search.rules.group_size_max
        if len(finding.members) >= bound:
            met.append(search.limit(finding.payout, "group_size", members=len(finding.members), limit=bound))
            continue
        reason = _reason(finding, standing, is_contested=is_contested)
        if reason is not None:
            suggested.append((finding, reason))
            continue
        final = replace(finding, members=_free(search, finding.members, taken))
        if search.is_undone(final.payout, final.members):
            continue
        confirmed.append(final)
        rules.append(search.rule)
        standing.add(final.payout)
        taken.update(final.members.tolist())
    return _Decided(
        confirmed=tuple(confirmed), suggested=tuple(suggested), limits=tuple(met), rules=tuple(rules)
    )


def _reason(finding: Finding, standing: set[int], *, is_contested: bool) -> str | None:
    """Why a finding is not automatic; None when it is."""
    if finding.solutions > 1:
        return f"{finding.solutions} sets of members explain the line equally well"
    if finding.why is not None:
        return finding.why
    if is_contested:
        return "another line of the source claims some of the same members"
    if finding.after is not None and finding.after not in standing:
        return "the run that this one starts behind is not certain"
    return None


def _contested(found: Sequence[tuple[Search, Finding]], *, by_content: bool) -> BoolArray:
    """Findings that take of some unit of which all findings together take more than there is."""
    if not found:
        return np.empty(0, dtype=np.bool_)
    size = len(found[0][0].books.ledger)
    available = np.ones(size, dtype=np.int64)
    if by_content:
        available[:] = 0
        for search in {id(search): search for search, _ in found}.values():
            available = np.maximum(available, np.bincount(search.alike[search.alike >= 0], minlength=size))
    demand = np.zeros(size, dtype=np.int64)
    for _, finding in found:
        demand[finding.claimed] += finding.claimed_count
    short = demand > available
    return np.array([short[finding.claimed].any() for _, finding in found], dtype=np.bool_)


def _free(search: Search, members: IntArray, taken: set[int]) -> IntArray:
    """The members, with the first free alike line for each that an earlier group of the round took."""
    lost = [row for row in members.tolist() if row in taken]
    if not lost:
        return members
    kept = set(members.tolist()) - set(lost)
    for row in lost:
        alike = np.flatnonzero(search.alike == search.alike[row]).tolist()
        kept.add(next(other for other in alike if other not in taken and other not in kept))
    return np.array(sorted(kept), dtype=np.int64)


def _move_on(books: Books, decided: _Decided, cursors: Cursors) -> None:
    """Cursors behind the runs that were confirmed, by rule."""
    for finding, rule in zip(decided.confirmed, decided.rules, strict=True):
        account = books.external.column("account")[finding.payout].as_py()
        last = kernel.max(order_keys(books.ledger.table.take(finding.members))).as_py()
        cursors[rule][account] = max(cursors[rule].get(account, ""), last)


def _proposal(
    books: Books, step: GroupStep, findings: Sequence[Finding], reasons: Sequence[str] | None
) -> Proposal:
    payouts = np.array([finding.payout for finding in findings], dtype=np.int64)
    sizes = np.array([len(finding.members) for finding in findings], dtype=np.int64)
    rows = np.concatenate([np.sort(finding.members) for finding in findings])
    first = rows[np.cumsum(sizes) - sizes]
    ones = np.ones(len(findings), dtype=np.int64)
    days = books.ledger.business_date
    sums = Sums(
        external_minor=books.external.amount_minor[payouts],
        ledger_minor=np.array(
            [sum(books.ledger.amount_minor[finding.members].tolist()) for finding in findings], dtype=np.int64
        ),
        external_date=books.external.business_date[payouts],
        ledger_date=np.array([days[finding.members].max() for finding in findings], dtype=np.int64),
        external_count=ones,
        ledger_count=sizes,
        twins_external=ones,
        twins_ledger=ones,
    )
    extra = {"search": _json([_searched(step, finding) for finding in findings])}
    if reasons is not None:
        extra["why_not_automatic"] = json_text.quoted(pa.array(reasons, pa.string()))
        extra["alternatives"] = _json([_alternatives(books, finding) for finding in findings])
    evidence = explanation(books, step, sums, external_rows=payouts, ledger_rows=first, pairs=[], extra=extra)
    return Proposal(
        match_pass=step,
        external=Membership.single(payouts),
        ledger=Membership(group=np.repeat(np.arange(len(findings)), sizes), rows=rows),
        external_is_fee=np.zeros(len(findings), dtype=np.bool_),
        ledger_is_fee=is_fee_kind(books.ledger)[rows],
        evidence=evidence,
        solutions=np.array([finding.solutions for finding in findings], dtype=np.int64),
    )


def _searched(step: GroupStep, finding: Finding) -> object:
    return {
        "step": step,
        "candidates": finding.candidates,
        "solutions": finding.solutions,
        **finding.details,
    }


def _alternatives(books: Books, finding: Finding) -> object:
    """Up to two further explanations, by the entries in which they differ from the one suggested."""
    line = books.external.column("line_key")[finding.payout].as_py()
    told = []
    for rows in finding.others[:2]:
        fresh = np.setdiff1d(rows, finding.members)
        keys = books.ledger.column("entry_key").take(fresh[:_KEYS_TOLD]).to_pylist()
        more = len(fresh) - len(keys)
        told.append({"external": line, "ledger": ", ".join(keys) + (f" and {more} more" if more else "")})
    return told


def _json(values: Sequence[object]) -> Column:
    return pa.array(
        [json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False) for value in values],
        pa.string(),
    )
