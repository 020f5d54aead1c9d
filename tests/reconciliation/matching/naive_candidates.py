"""The candidate finders said again, slowly: every external line against every ledger line, no code of the product."""

import re
from datetime import date
from typing import Any

Item = dict[str, Any]
Pairs = tuple[tuple[str, str], ...]
Ends = tuple[str, str]

NO_REFERENCE, NEAR, LOST_PREFIX, IN_TEXT, NORMALISED, EXACT = range(6)
REFERENCES = (
    "ref_end_to_end", "ref_uetr", "ref_servicer", "ref_psp", "ref_merchant", "ref_payout", "ref_arn",
    "ref_rrn", "ref_auth_code", "batch_ref",
)  # fmt: skip


def naive_near(theirs: list[Item], ours: list[Item], pairs: Pairs, window_days: int) -> dict[Ends, int]:
    result = {}
    for e, o in _comparable(theirs, ours, window_days):
        how = [_relation(e, o, pair, theirs, ours) for pair in pairs]
        strongest = max((relation for relation in how if relation is not None), default=None)
        if strongest is not None:
            agreed = _agreed(e, o, pairs) if strongest == NORMALISED else strongest
            result[e["line_key"], o["entry_key"]] = max(strongest, agreed)
    return result


def naive_in_text(theirs: list[Item], ours: list[Item], pairs: Pairs, window_days: int) -> dict[Ends, int]:
    result = {}
    columns = {*(ledger for _, ledger in pairs), "ref_merchant", "batch_ref"}
    for e, o in _comparable(theirs, ours, window_days):
        words = {word for name in ("text", *REFERENCES) for word in _words(_text(e, name))}
        if words & {_plain(_text(o, name)) for name in columns}:
            result[e["line_key"], o["entry_key"]] = max(IN_TEXT, _agreed(e, o, pairs))
    return result


def naive_by_amount_and_lag(
    theirs: list[Item],
    ours: list[Item],
    pairs: Pairs,
    days: list[date],
    lags: set[int],
    *,
    window_days: int,
    tolerance: int,
) -> dict[Ends, int]:
    """With a fee of 2 % and one minor unit on lines of kind charge; no pair whose identifiers contradict."""
    result = {}
    for e, o in _comparable(theirs, ours, window_days):
        gross, paid = o["amount_minor"], e["amount_minor"]
        net = gross - ((abs(gross) * 2 + 50) // 100 + 1)
        charged = e["kind"] == "charge" and abs(paid - net) <= tolerance and net * gross > 0
        may_be = business_lag(days, o["business_date"], e["business_date"]) in lags
        if may_be and (paid == gross or charged) and not _contradicts(e, o, pairs):
            result[e["line_key"], o["entry_key"]] = _agreed(e, o, pairs)
    return result


def business_lag(days: list[date], earlier: date, later: date) -> int:
    """Weekdays passed from one date to the other, a closed date standing for the next open one."""
    open_days = [day for day in days if day.weekday() < 5]
    ends = [next(day for day in open_days if day >= end) for end in (earlier, later)]
    passed = sum(min(ends) < day <= max(ends) for day in open_days)
    return passed if ends[1] >= ends[0] else -passed


def edits(a: str, b: str) -> int:
    """Substitutions, insertions, drops and swaps of neighbours from one word to the other (restricted distance)."""
    rows = [list(range(len(b) + 1))]
    for i, left in enumerate(a, 1):
        row = [i]
        for j, right in enumerate(b, 1):
            best: int = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (left != right))
            if i > 1 and j > 1 and left == b[j - 2] and a[i - 2] == right:
                best = min(best, rows[-2][j - 2] + 1)
            row.append(best)
        rows.append(row)
    return rows[-1][-1]


def _comparable(theirs: list[Item], ours: list[Item], window_days: int) -> list[tuple[Item, Item]]:
    def sign(item: Item) -> int:
        return int(item["amount_minor"] > 0) - int(item["amount_minor"] < 0)

    return [
        (e, o)
        for e in theirs
        for o in ours
        if (e["account"], e["asset"], sign(e)) == (o["account"], o["asset"], sign(o))
        and abs((e["business_date"] - o["business_date"]).days) <= window_days
    ]


def _relation(e: Item, o: Item, pair: tuple[str, str], theirs: list[Item], ours: list[Item]) -> int | None:
    left, right = _plain(_text(e, pair[0])), _plain(_text(o, pair[1]))
    if min(len(left), len(right)) < 6:
        return None
    if "batch_ref" in pair and (_carriers(e, pair[0], theirs) > 1 or _carriers(o, pair[1], ours) > 1):
        return None
    short, long = sorted((left, right), key=len)
    if left == right:
        return NORMALISED
    if long.startswith(short) or long.endswith(short):
        return LOST_PREFIX
    return NEAR if edits(left, right) == 1 else None


def _carriers(item: Item, name: str, side: list[Item]) -> int:
    def content(other: Item) -> tuple[Any, ...]:
        sign = (other["amount_minor"] > 0) - (other["amount_minor"] < 0)
        return other["account"], other["asset"], sign, _plain(_text(other, name))

    return sum(content(other) == content(item) for other in side)


def _agreed(e: Item, o: Item, pairs: Pairs) -> int:
    best = NO_REFERENCE
    for left, right in pairs:
        a, b = _text(e, left), _text(o, right)
        if a and a == b:
            best = EXACT
        elif a and b and len(_plain(a)) >= 4 and _plain(a) == _plain(b):
            best = max(best, NORMALISED)
    return best


def _contradicts(e: Item, o: Item, pairs: Pairs) -> bool:
    names = [left for left, right in pairs if left == right]
    both = [(_plain(_text(e, name)), _plain(_text(o, name))) for name in names]
    return any(min(len(a), len(b)) >= 4 and a != b for a, b in both)


def _text(item: Item, name: str) -> str:
    value = item.get(name)
    return "" if value is None or (name != "text" and value in ("NOTPROVIDED", "NONREF")) else value


def _plain(text: str) -> str:
    return "".join(letter for letter in text.upper() if letter.isalnum()).lstrip("0")


def _words(text: str) -> set[str]:
    words = set()
    for boundary in (r"\s+", r"[^\w-]+", r"[\W_]+"):
        pieces = [piece for piece in (_all(piece) for piece in re.split(boundary, text)) if piece]
        for size in (1, 2, 3):
            for first in range(len(pieces) - size + 1):
                words.add("".join(pieces[first : first + size]).lstrip("0"))
    return {word for word in words if len(word) >= 6 and any(letter.isdigit() for letter in word)}


def _all(text: str) -> str:
    return "".join(letter for letter in text.upper() if letter.isalnum())
