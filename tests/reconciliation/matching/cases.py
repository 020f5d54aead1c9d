"""Factories of open items and rules that take only what matters to a case; no behaviour of their own."""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Any

import pyarrow as pa

from reconciliation.items import EXTERNAL_ITEM_SCHEMA, LEDGER_ITEM_SCHEMA
from reconciliation.matching import MatchContext, MatchResult, match_day
from reconciliation.sources import FeeSchedule, LegRule, MatchRules, ReferencePair

Item = dict[str, Any]
Pair = tuple[str, str]

DAY = date(2026, 3, 2)
EUR = "assets:bank:main-eur"


def on(days: int) -> date:
    """A business date, counted from the first day of the case."""
    return DAY + timedelta(days=days)


def external(key: str, amount_minor: int, **changes: Any) -> Item:
    """An external line; ``day`` counts from the first day of the case."""
    item: Item = {
        "line_id": sum(ord(letter) * 257**at for at, letter in enumerate(key[:6])),
        "line_key": key,
        "version": 1,
        "business_date": on(changes.pop("day", 0)),
        "account": EUR,
        "amount_minor": amount_minor,
        "asset": "EUR",
        "fee_minor": 0,
        "kind": "transfer",
    }
    return item | changes


def ledger(key: str, amount_minor: int, **changes: Any) -> Item:
    """A ledger line; entries of one key share an id."""
    item: Item = {
        "entry_id": sum(ord(letter) * 257**at for at, letter in enumerate(key[:6])),
        "line_no": 1,
        "entry_key": key,
        "business_date": on(changes.pop("day", 0)),
        "account": EUR,
        "amount_minor": amount_minor,
        "asset": "EUR",
        "kind": "transfer",
    }
    return item | changes


def externals(items: Iterable[Item]) -> pa.Table:
    return pa.Table.from_pylist(list(items), EXTERNAL_ITEM_SCHEMA)


def ledgers(items: Iterable[Item]) -> pa.Table:
    return pa.Table.from_pylist(list(items), LEDGER_ITEM_SCHEMA)


def rules(*pairs: Pair, **changes: Any) -> MatchRules:
    """Rules over these reference pairs; by default the end-to-end id of both sides."""
    named = pairs or (("ref_end_to_end", "ref_end_to_end"),)
    references = tuple(ReferencePair(external=theirs, ledger=ours) for theirs, ours in named)
    return MatchRules(references=references, **changes)


def schedule(rate_ppm: int, fixed_minor: int, **changes: Any) -> FeeSchedule:
    return FeeSchedule(asset="EUR", rate_ppm=rate_ppm, fixed_minor=fixed_minor, **changes)


PAYOUT_LEG = LegRule(
    leg="payout", kind="payout", reference="ref_payout", with_source="bank", with_reference="ref_end_to_end"
)


def matched(
    theirs: Sequence[Item],
    ours: Sequence[Item],
    by: MatchRules | None = None,
    *,
    rejected: frozenset[str] = frozenset(),
) -> MatchResult:
    return match_day(externals(theirs), ledgers(ours), by or rules(), MatchContext(rejected=rejected))


def pairs_of(result: MatchResult, theirs: Sequence[Item], ours: Sequence[Item]) -> dict[frozenset[str], str]:
    """Groups as the keys of their members, with the pass that found each: ``{"E1", "L1"}: "exact"``."""
    lines = {item["line_id"]: item["line_key"] for item in theirs}
    entries = {(item["entry_id"], item["line_no"]): _ledger_name(item) for item in ours}
    groups: dict[str, set[str]] = {}
    for member in result.members.to_pylist():
        is_line = member["side"] == "external"
        name = lines[member["line_id"]] if is_line else entries[member["entry_id"], member["line_no"]]
        groups.setdefault(member["group_key"], set()).add(name)
    passes = dict(
        zip(result.groups["group_key"].to_pylist(), result.groups["match_pass"].to_pylist(), strict=True)
    )
    return {frozenset(names): passes[key] for key, names in groups.items()}


def ambiguous_of(
    result: MatchResult, theirs: Sequence[Item], ours: Sequence[Item]
) -> dict[str, frozenset[str]]:
    """Ambiguous external lines with their candidates, by key."""
    lines = {item["line_id"]: item["line_key"] for item in theirs}
    entries = {(item["entry_id"], item["line_no"]): _ledger_name(item) for item in ours}
    found = {}
    for row in result.ambiguous.to_pylist():
        candidates = zip(row["entry_ids"], row["line_nos"], strict=True)
        found[lines[row["line_id"]]] = frozenset(entries[candidate] for candidate in candidates)
    return found


def _ledger_name(item: Item) -> str:
    return item["entry_key"] if item["line_no"] == 1 else f"{item['entry_key']}/{item['line_no']}"
