"""What of a day's books is otherwise than it was, in words. Pure.

Law: equal books give no words, and books that differ give some; however many lines differ, a few are named and the rest
is counted. What is compared is the signed part alone, so that comments and owners are no change.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from ledger_core.money import exponent_of, format_minor
from reconciliation.evidence.canonical_json import sha256_of
from reconciliation.evidence.statement_parts import BRIDGE_LINES

Books = Mapping[str, Any]

NAMED_MAX: Final = 10
_WORDS: Final = {name: words for name, words, _ in BRIDGE_LINES} | {
    "opening_minor": "Opening balance of the source",
    "movement_minor": "Movement at the source",
    "ledger_opening_minor": "Opening balance of the ledger",
    "ledger_movement_minor": "Movement of the ledger",
    "ledger_closing_minor": "Closing balance of the ledger by the journal",
}
_LISTS: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "exceptions_without_lines": lambda row: f"{row['kind']} of {row['account'] or 'the source'}, {row['item_date']}",
    "decisions": lambda row: f"{row['kind']} by {row['proposed_by']} and {row['approved_by']}: {row['reason']}",
}


def changes_between(before: Books, now: Books) -> tuple[str, ...]:
    """Sentences about what differs; none where nothing does."""
    told: list[str] = []
    was = {account["account"]: account for account in before["accounts"]}
    found = {account["account"]: account for account in now["accounts"]}
    told += [f"{name}: the account is no longer reconciled" for name in sorted(was.keys() - found.keys())]
    told += [f"{name}: the account was not reconciled then" for name in sorted(found.keys() - was.keys())]
    for name in sorted(was.keys() & found.keys()):
        told += _of_account(was[name], found[name])
    told += _of_files(before["files"], now["files"])
    for name, words in _LISTS.items():
        told += _of_list(name.replace("_", " "), before[name], now[name], words)
    if not told and sha256_of(before) != sha256_of(now):
        told.append("the books are told otherwise, though no balance, line, file or decision differs")
    return tuple(told)


def _of_account(was: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    name, asset = now["account"], now["asset"]
    if (was["bridge"] is None) != (now["bridge"] is None):
        return [f"{name}: {'not proved then' if was['bridge'] is None else 'no longer proved'}"]
    told = []
    for column, words in _WORDS.items():
        old, new = _amount(was, column), _amount(now, column)
        if old != new and old is not None and new is not None:
            told.append(f"{name}: {words}: {_money(new, asset)}, was {_money(old, asset)}")
    if was["basis"] != now["basis"]:
        told.append(f"{name}: the source's balance is {now['basis']}, was {was['basis']}")
    if was["counts"] != now["counts"]:
        pairs = ((key, was["counts"][key], now["counts"][key]) for key in now["counts"])
        told.append(f"{name}: " + ", ".join(f"{key} {new}, was {old}" for key, old, new in pairs if old != new))
    return told + _of_items(name, asset, was, now)


def _of_items(name: str, asset: str, was: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    told = []
    for part in ("open_items", "excluded"):
        state = "open" if part == "open_items" else "left out"
        before = {(row["side"], row["key"], row["number"]): row for row in was[part]}
        after = {(row["side"], row["key"], row["number"]): row for row in now[part]}
        gone = [before[key] for key in sorted(before.keys() - after.keys())]
        new = [after[key] for key in sorted(after.keys() - before.keys())]
        told += _named(f"{name}: no longer {state}", gone, asset) + _named(f"{name}: {state} now", new, asset)
        both = [after[key] for key in sorted(before.keys() & after.keys()) if before[key] != after[key]]
        told += _named(f"{name}: {state} as before, but told otherwise", both, asset)
    old_passes, new_passes = ({row["match_pass"]: row for row in part["passes"]} for part in (was, now))
    differ = sorted(
        key for key in old_passes.keys() | new_passes.keys() if old_passes.get(key) != new_passes.get(key)
    )
    return told + [f"{name}: matches of the pass {key} differ" for key in differ]


def _named(words: str, rows: list[Mapping[str, Any]], asset: str) -> list[str]:
    if not rows:
        return []
    names = [f"{row['side']} {row['key']} ({_money(row['amount_minor'], asset)})" for row in rows[:NAMED_MAX]]
    more = f", and {len(rows) - NAMED_MAX} more" if len(rows) > NAMED_MAX else ""
    return [f"{words}: {', '.join(names)}{more}"]


def _of_files(was: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    told = _of_list("files", was["received"], now["received"], _file)
    told += _of_list("files that are owed", was["expected"], now["expected"], _owed)
    return told + _of_list("missing files", was["missing"], now["missing"], _owed)


def _file(row: Mapping[str, Any]) -> str:
    return f"{row['file_name']} for {row['account']} (sha256 {row['file_sha256']})"


def _owed(row: Mapping[str, Any]) -> str:
    return f"{row['account'] or 'the source'} {row['date']}"


def _of_list(
    words: str,
    was: Iterable[Mapping[str, Any]],
    now: Iterable[Mapping[str, Any]],
    name: Callable[[Mapping[str, Any]], str],
) -> list[str]:
    before, after = ({sha256_of(row): name(row) for row in rows} for rows in (was, now))
    told = []
    for prefix, names in (
        ("gone", sorted(before[key] for key in before.keys() - after.keys())),
        ("new", sorted(after[key] for key in after.keys() - before.keys())),
    ):
        if names:
            more = f", and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else ""
            told.append(f"{words}, {prefix}: {'; '.join(names[:NAMED_MAX])}{more}")
    return told


def _amount(account: Mapping[str, Any], column: str) -> int | None:
    amount: int | None = account[column] if column in account else (account["bridge"] or {}).get(column)
    return amount


def _money(amount_minor: int, asset: str) -> str:
    return f"{format_minor(amount_minor, exponent_of(asset))} {asset}"
