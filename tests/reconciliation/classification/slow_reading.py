"""The order of precedence read slowly, item by item, in plain Python: an oracle that shares nothing with the product.

Leaves out the due windows and the schedules of fees, which other tests look at, and ambiguous cases over shared items.
"""

import re
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

Item = dict[str, Any]
REFERENCES = ("ref_end_to_end", "ref_arn", "ref_servicer")
TAKEN_BACK = ("chargeback", "refund", "chargeback_reversal", "reversal")


def literal(text: str | None) -> str | None:
    return None if text in (None, "", "NOTPROVIDED", "NONREF") else text


def likened(text: str | None) -> str | None:
    if literal(text) is None:
        return None
    bare = re.sub(r"[^A-Z0-9]", "", str(text).upper()).lstrip("0")
    return bare if len(bare) >= 4 else None


def share(one: Item, other: Item, reading: Callable[[str | None], str | None]) -> bool:
    return any(
        reading(one.get(name)) is not None and reading(one.get(name)) == reading(other.get(name))
        for name in REFERENCES
    )


def sign(amount: int) -> int:
    return (amount > 0) - (amount < 0)


class SlowReading:
    """Names of members to the kind of their exception, in ``kinds``."""

    def __init__(
        self,
        lines: Sequence[Item],
        entries: Sequence[Item],
        taken_lines: Sequence[Item],
        taken_entries: Sequence[Item],
        withdrawn: Sequence[Item],
    ) -> None:
        self.kinds: dict[frozenset[str], str] = {}
        self.lines, self.entries = list(lines), list(entries)
        self.equal: list[Item] = []
        self._withdraw(list(withdrawn))
        self._pair()
        self._repeat(self.lines, [*lines, *taken_lines], taken_lines, key="line_key", same="kind")
        self._repeat(
            self.entries, [*entries, *taken_entries], taken_entries, key="entry_key", same="counterparty"
        )
        for item in self.lines:
            kind = {
                "chargeback": "chargeback_unbooked",
                "fee": "unrecorded_charge",
                "interest": "unrecorded_charge",
            }
            self._settle(kind.get(item["kind"], "missing_in_ledger"), item)
        for item in self.entries:
            self._settle("missing_at_source", item)

    def _settle(self, kind: str, *items: Item) -> None:
        self.kinds[frozenset(self.name(item) for item in items)] = kind

    @staticmethod
    def name(item: Item) -> str:
        return f"L{item['line_id']}" if "line_id" in item else f"E{item['entry_id']}/{item['line_no']}"

    def _candidates(
        self, lines: list[Item], reading: Callable[[str | None], str | None], *, across: bool, same_sign: bool
    ) -> list[tuple[Item, Item, list[Item]]]:
        """(line, principal, entry lines) for every entry on every account that shares a reference with the line."""
        found = []
        for line in lines:
            touched = [entry for entry in self.entries if share(line, entry, reading)]
            touched.sort(key=lambda entry: (entry["entry_id"], entry["account"]))
            groups = [
                list(group)
                for _, group in groupby(touched, key=lambda entry: (entry["entry_id"], entry["account"]))
            ]
            for parts in self._with_fees_apart(line, groups):
                principal = min(
                    parts,
                    key=lambda part: (part["kind"] == "fee", -abs(part["amount_minor"]), part["line_no"]),
                )
                place = (
                    line["asset"] != principal["asset"] if across else line["account"] == principal["account"]
                )
                alike = sign(line["amount_minor"]) == sign(principal["amount_minor"])
                back = line["kind"] in TAKEN_BACK or principal["kind"] in TAKEN_BACK or same_sign
                if place and (alike or not back):
                    found.append((line, principal, parts))
        return found

    @staticmethod
    def _with_fees_apart(line: Item, groups: list[list[Item]]) -> list[list[Item]]:
        """Entries of fees alone go with the only other entry of their account; not where the line is a fee itself."""
        alone = [group for group in groups if all(part["kind"] == "fee" for part in group)]
        if line["kind"] == "fee":
            return groups
        found = [group for group in groups if group not in alone]
        for fees in alone:
            mains = [group for group in groups if group not in alone and group[0]["account"] == fees[0]["account"]]
            if len(mains) == 1:
                place = next(at for at, group in enumerate(found) if group[0] is mains[0][0])
                found[place] = [*found[place], *fees]
            else:
                found.append(fees)
        return found

    @staticmethod
    def _unique(found: list[tuple[Item, Item, list[Item]]]) -> list[tuple[Item, Item, list[Item]]]:
        def is_alone(one: tuple[Item, Item, list[Item]]) -> bool:
            line, principal, parts = one
            rivals = [other for other in found if other is not one]
            crowded = any(other[0] is line or any(part in other[2] for part in parts) for other in rivals)
            rest = [part for part in parts if part is not principal]
            return not crowded and all(
                part["kind"] == "fee" or sign(part["amount_minor"]) != sign(principal["amount_minor"])
                for part in rest
            )

        return [one for one in found if is_alone(one)]

    def _withdraw(self, withdrawn: list[Item]) -> None:
        for reading in (literal, likened):
            for line, _, parts in self._unique(
                self._candidates(withdrawn, reading, across=False, same_sign=True)
            ):
                self._settle("withdrawn", *parts)
                withdrawn = [item for item in withdrawn if item is not line]
                self.entries = [item for item in self.entries if item not in parts]

    def _pair(self) -> None:
        lines, entries, settled = self.lines, self.entries, []
        for reading in (literal, likened):
            for line in self.lines:
                for entry in self.entries:
                    if (
                        share(line, entry, reading)
                        and line["account"] == entry["account"]
                        and line["amount_minor"] == entry["amount_minor"]
                    ):
                        self.equal += [line, entry]
            for across in (False, True):
                found = self._candidates(self.lines, reading, across=across, same_sign=False)
                for line, principal, parts in self._unique(found):
                    kind = self._kind(line, principal, parts)
                    if kind:
                        self._settle(kind, line, *parts)
                        settled += [line, *parts]
                self.lines = [item for item in self.lines if all(item is not one[0] for one in found)]
                self.entries = [item for item in self.entries if all(item not in one[2] for one in found)]
        self.lines = [item for item in lines if item not in settled]
        self.entries = [item for item in entries if item not in settled]

    @staticmethod
    def _kind(line: Item, principal: Item, parts: list[Item]) -> str | None:
        amount, booked = line["amount_minor"], principal["amount_minor"]
        total = sum(part["amount_minor"] for part in parts)
        if line["asset"] == principal["asset"] and amount == total:
            return None
        if line["version"] > 1:
            return "conflicting_version"
        if line["asset"] != principal["asset"]:
            return "currency_mismatch"
        if sign(amount) != sign(booked):
            return "sign_mismatch" if -amount in (booked, total) else None
        if amount + line["fee_minor"] == booked and (line["fee_minor"] or len(parts) > 1):
            return "fee_variance"
        if line.get("original_asset") is None or line["original_asset"] != principal.get("fx_asset"):
            return "amount_mismatch"
        alike = abs(line["original_amount_minor"]) == abs(principal["fx_amount_minor"])
        return "fx_variance" if alike else "amount_mismatch"

    def _repeat(
        self, items: list[Item], everything: list[Item], taken: Sequence[Item], *, key: str, same: str
    ) -> None:
        def repeats(item: Item, other: Item) -> bool:
            agree = all(
                item.get(name) == other.get(name) for name in ("account", "asset", "amount_minor", same)
            )
            clash = any(
                item.get(name) is not None and other.get(name) is not None and item[name] != other[name]
                for name in REFERENCES[:2]
            )
            return agree and not clash and item[key] != other[key] and share(item, other, literal)

        def returned(item: Item) -> bool:
            return any(
                other["account"] == item["account"]
                and other["amount_minor"] == -item["amount_minor"]
                and share(item, other, literal)
                for other in everything
            )

        again = [
            item
            for item in items
            if item not in self.equal and any(repeats(item, other) for other in taken) and not returned(item)
        ]
        for item in again:
            self._settle("duplicate_external" if key == "line_key" else "duplicate_ledger", item)
            items.remove(item)
