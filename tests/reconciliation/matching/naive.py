"""The one-to-one passes said again, slowly and separately: every pair looked at, no code in common with the product."""

import re
from dataclasses import dataclass, field
from typing import Any

Item = dict[str, Any]
Pair = tuple[str, str]

REFERENCES = (
    "ref_end_to_end",
    "ref_uetr",
    "ref_servicer",
    "ref_psp",
    "ref_merchant",
    "ref_payout",
    "ref_arn",
    "ref_rrn",
    "ref_auth_code",
    "batch_ref",
)
EXTERNAL_CONTENT = ("kind", "counterparty", "fee_minor", "original_amount_minor", "original_asset")
LEDGER_CONTENT = ("kind", "counterparty", "fx_asset", "fx_amount_minor")


@dataclass
class Naive:
    """What should come out: pairs of (line key, entry key) with their pass, and candidates of ambiguous lines."""

    pairs: dict[tuple[str, str], str] = field(default_factory=dict)
    ambiguous: dict[str, set[str]] = field(default_factory=dict)


def naive_match(theirs: list[Item], ours: list[Item], pairs: list[Pair], window_days: int) -> Naive:
    result = Naive()
    while True:
        before = len(result.pairs)
        result.ambiguous = {}
        for name in ("exact", "normalised"):
            open_theirs = [
                item for item in theirs if item["line_key"] not in {key for key, _ in result.pairs}
            ]
            open_ours = [item for item in ours if item["entry_key"] not in {key for _, key in result.pairs}]
            _one_pass(result, name, open_theirs, open_ours, pairs=pairs, window=window_days)
        if len(result.pairs) == before:
            return result


def _one_pass(
    result: Naive, name: str, theirs: list[Item], ours: list[Item], *, pairs: list[Pair], window: int
) -> None:
    edges = [(e, o) for e in theirs for o in ours if _is_candidate(e, o, pairs, window, name)]
    told = set(result.ambiguous)
    while edges:
        left, right = [edges[0][0]], [edges[0][1]]
        grown = True
        while grown:
            grown = False
            for e, o in edges:
                if (e in left) != (o in right):
                    grown = True
                    left += [] if e in left else [e]
                    right += [] if o in right else [o]
        inside = [(e, o) for e, o in edges if e in left]
        edges = [(e, o) for e, o in edges if e not in left]
        if _interchangeable(left, right, EXTERNAL_CONTENT, [(a, b) for a, b in pairs]) and _interchangeable(
            right, left, LEDGER_CONTENT, [(b, a) for a, b in pairs]
        ):
            _pair_in_order(result, name, left, right, window)
        else:
            for e, o in inside:
                if e["line_key"] not in told:
                    result.ambiguous.setdefault(e["line_key"], set()).add(o["entry_key"])


def _is_candidate(e: Item, o: Item, pairs: list[Pair], window: int, name: str) -> bool:
    if any(e[column] != o[column] for column in ("account", "asset", "amount_minor")):
        return False
    if abs((e["business_date"] - o["business_date"]).days) > window:
        return False
    for column in {theirs for theirs, ours in pairs if theirs == ours}:
        a, b = _normal(e.get(column)), _normal(o.get(column))
        if a and b and a != b:
            return False
    return any(_agree(_present(e.get(theirs)), _present(o.get(ours)), name) for theirs, ours in pairs)


def _agree(a: str | None, b: str | None, name: str) -> bool:
    if a is None or b is None:
        return False
    return a == b or (name == "normalised" and _normal(a) is not None and _normal(a) == _normal(b))


def _present(text: str | None) -> str | None:
    return None if text in (None, "", "NOTPROVIDED", "NONREF") else text


def _normal(text: str | None) -> str | None:
    """The normalised form, None if absent or too short."""
    if _present(text) is None:
        return None
    plain = re.sub("[^A-Z0-9]", "", str(text).upper()).lstrip("0")
    return plain if len(plain) >= 4 else None


def _interchangeable(own: list[Item], other: list[Item], content: tuple[str, ...], pairs: list[Pair]) -> bool:
    if any(len({item.get(column) for item in own}) > 1 for column in content):
        return False
    for column in REFERENCES:
        if len({_present(item.get(column)) for item in own}) > 1:
            compared = {column} | {theirs for mine, theirs in pairs if mine == column}
            if any(_present(item.get(name)) is not None for item in other for name in compared):
                return False
    return True


def _pair_in_order(result: Naive, name: str, left: list[Item], right: list[Item], window: int) -> None:
    left = sorted(left, key=lambda item: (item["business_date"], item["line_key"]))
    right = sorted(right, key=lambda item: (item["business_date"], item["entry_key"]))
    while left and right:
        days = (left[0]["business_date"] - right[0]["business_date"]).days
        if abs(days) <= window:
            result.pairs[left.pop(0)["line_key"], right.pop(0)["entry_key"]] = name
        elif days < 0:
            left.pop(0)
        else:
            right.pop(0)
