"""What the statement of an account and day says, from rows that were read: items in their buckets, and the identities.

Laws: every open line is in one bucket (timing, genuine, or unjudged where no run has seen it yet); an identity that
fails is a value with words and never an error; the order of rows changes nothing. Pure.

Example: a bridge says 2 genuine external lines over -5 000, and the open lines found are 1 over -2 000:
``open external lines``, expected -5 000, found -2 000, does not hold.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import pyarrow as pa

Row = Mapping[str, Any]

BRIDGE_LINES: Final = (
    ("ledger_minor", "Balance of the ledger", 1),
    ("timing_external_minor", "plus external lines not yet in the ledger, timing", 1),
    ("genuine_external_minor", "plus external lines not in the ledger, genuine", 1),
    ("timing_ledger_minor", "less ledger lines not yet at the source, timing", -1),
    ("genuine_ledger_minor", "less ledger lines not at the source, genuine", -1),
    ("excluded_external_minor", "plus external lines excluded by decision", 1),
    ("excluded_ledger_minor", "less ledger lines excluded by decision", -1),
    ("allocation_difference_minor", "plus differences explained in matches (fees, rounding)", 1),
    ("unexplained_minor", "plus unexplained", 1),
    ("closing_minor", "Closing balance of the source", 1),
)
"""The bridge from our balance to theirs: the part, its words, and the sign with which it is added."""

SIDES: Final = ("external", "ledger")
TIMING, GENUINE, UNJUDGED = "timing", "genuine", "unjudged"
BUCKETS: Final = (TIMING, GENUINE, UNJUDGED)

_STORY_FIELDS: Final[list[Any]] = [
    pa.field("account", pa.string(), nullable=False),
    pa.field("asset", pa.string(), nullable=False),
    pa.field("amount_minor", pa.int64(), nullable=False),
    pa.field("reference", pa.string()),
    pa.field("counterparty", pa.string()),
    pa.field("judged", pa.bool_(), nullable=False),
    pa.field("told_on", pa.date32()),
    pa.field("exception_key", pa.string()),
    pa.field("opened_on", pa.date32()),
    pa.field("class", pa.string()),
    pa.field("kind", pa.string()),
    pa.field("severity", pa.string()),
    pa.field("due_on", pa.date32()),
    pa.field("reason", pa.string()),
    pa.field("assignee", pa.string()),
    pa.field("carried_until", pa.string()),
]
_NAME_FIELDS: Final[list[Any]] = [
    pa.field("key", pa.string(), nullable=False),
    pa.field("number", pa.int32(), nullable=False),
]
_EXTERNAL_DATES: Final[list[Any]] = [
    pa.field("business_date", pa.date32(), nullable=False),
    pa.field("value_date", pa.date32()),
]
_LEDGER_DATES: Final[list[Any]] = [pa.field("effective_at", pa.timestamp("us", tz="UTC"), nullable=False)]
OPEN_EXTERNAL_SCHEMA: Final = pa.schema([*_NAME_FIELDS, *_EXTERNAL_DATES, *_STORY_FIELDS])
OPEN_LEDGER_SCHEMA: Final = pa.schema([*_NAME_FIELDS, *_LEDGER_DATES, *_STORY_FIELDS])


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Two numbers that must be equal, and whether they are. ``blocks``: the day cannot be signed while they are not.

    Numbers are minor units of ``asset``, or counts where there is none.
    """

    name: str
    account: str | None
    asset: str | None
    expected: int
    found: int
    said: str
    blocks: bool = True

    @property
    def holds(self) -> bool:
        return self.expected == self.found

    def as_value(self) -> dict[str, Any]:
        """As the statement holds it."""
        return {
            "name": self.name,
            "account": self.account,
            "asset": self.asset,
            "expected": self.expected,
            "found": self.found,
            "holds": self.holds,
            "blocks": self.blocks,
            "said": self.said,
        }


def open_item(row: Row, side: str, day: date) -> dict[str, Any]:
    """An open line as the statement holds it; ``told_on`` where it was explained on a later day only.

    A line of which nothing was ever told although a run saw it came late and was matched, on a later day, by that run:
    when it was open it was a matter of time.
    """
    judged = row["judged"]
    later = judged and row["told_on"] is not None and row["told_on"] > day
    return {
        "side": side,
        "key": row["key"],
        "number": row["number"],
        "business_date": row["business_date"].isoformat(),
        "value_date": _iso(row.get("value_date")),
        "reference": row["reference"],
        "counterparty": row["counterparty"],
        "amount_minor": row["amount_minor"],
        "bucket": _bucket(row["class"]) if judged else UNJUDGED,
        "class": row["class"] if judged else None,
        "kind": row["kind"] if judged else None,
        "severity": row["severity"] if judged else None,
        "opened_on": _iso(row["opened_on"]) if judged else None,
        "due_on": _iso(row["due_on"]) if judged else None,
        "exception_key": row["exception_key"] if judged else None,
        "told_on": _iso(row["told_on"]) if later else None,
    }


def explanations_of(rows: Iterable[Row]) -> dict[str, dict[str, str]]:
    """What people said of open items, by exception key: coded reason, until when it is carried, whose it is."""
    names = ("reason", "carried_until", "assignee")
    told = {
        row["exception_key"]: {name: row[name] for name in names if row[name]}
        for row in rows
        if row["exception_key"] and row["judged"]
    }
    return {key: told[key] for key in sorted(told) if told[key]}


def in_order(items: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """External before ledger, then by date and name."""
    return sorted(items, key=lambda item: (item["side"], item["business_date"], item["key"], item["number"]))


def totals(items: Iterable[Row]) -> dict[tuple[str, str], tuple[int, int]]:
    """(side, bucket) to number and sum of open items; every pair is there."""
    found = {(side, bucket): (0, 0) for side in SIDES for bucket in BUCKETS}
    for item in items:
        count, amount_minor = found[item["side"], item["bucket"]]
        found[item["side"], item["bucket"]] = count + 1, amount_minor + item["amount_minor"]
    return found


def identities_of(account: Row, *, ledger_minor: int) -> list[Identity]:
    """What must agree about one account; ``ledger_minor`` is what our book says at the end of the day."""
    name, asset, bridge = account["account"], account["asset"], account["bridge"]
    if bridge is None:
        return [
            Identity(
                name="proved",
                account=name,
                asset=None,
                expected=1,
                found=0,
                said=f"{name}: expected a proof of the day, found none; reconcile the day",
            )
        ]
    sums = totals(account["open_items"])
    counts = account["counts"]
    unjudged = sum(sums[side, UNJUDGED][0] for side in SIDES)
    found = [
        Identity(name="tied out", account=name, asset=asset, expected=0, found=bridge["unexplained_minor"],
            said=f"{name}: what nothing explains of the difference between the two balances"),
        Identity(name="ledger balance", account=name, asset=asset, expected=bridge["ledger_minor"], found=ledger_minor,
            said=f"{name}: our balance in the proof, and in the journal; entries came after the run if they differ"),
        Identity(name="lines accounted for", account=name, asset=None, expected=0, found=unjudged,
            said=f"{name}: lines in play that no run has judged yet; reconcile the source"),
        Identity(name="counts", account=name, asset=None, expected=counts["lines"],
            found=counts["matched"] + counts["timing"] + counts["genuine"] + counts["excluded"],
            said=f"{name}: lines in play, and lines in the four buckets"),
        Identity(name="open lines", account=name, asset=None, expected=counts["timing"] + counts["genuine"],
            found=len(account["open_items"]), said=f"{name}: open lines that the proof counted, and those listed here"),
        Identity(name="matched lines", account=name, asset=None, expected=counts["matched"],
            found=sum(row["external_lines"] + row["ledger_lines"] for row in account["passes"]),
            said=f"{name}: matched lines that the proof counted, and those in the groups of the day"),
        Identity(name="allocation differences", account=name, asset=asset,
            expected=bridge["allocation_difference_minor"],
            found=sum(row["difference_minor"] for row in account["passes"]),
            said=f"{name}: differences that matches explain, in the proof and over the groups"),
    ]  # fmt: skip
    for side in SIDES:
        found += _of_side(account, side, sums)
    return found


def _of_side(
    account: Row, side: str, sums: Mapping[tuple[str, str], tuple[int, int]]
) -> list[Identity]:
    name, asset, bridge = account["account"], account["asset"], account["bridge"]
    open_minor = sum(sums[side, bucket][1] for bucket in BUCKETS)
    excluded_minor = sum(row["amount_minor"] for row in account["excluded"] if row["side"] == side)
    expected = bridge[f"timing_{side}_minor"] + bridge[f"genuine_{side}_minor"]
    found = [
        Identity(name=f"open {side} lines", account=name, asset=asset, expected=expected, found=open_minor,
            said=f"{name}: open {side} lines in the bridge, and over the lines listed here"),
        Identity(name=f"excluded {side} lines", account=name, asset=asset, expected=bridge[f"excluded_{side}_minor"],
            found=excluded_minor,
            said=f"{name}: {side} lines left out in the bridge, and those that decisions name"),
    ]  # fmt: skip
    found += [
        Identity(name=f"{bucket} {side} lines", account=name, asset=asset, expected=bridge[f"{bucket}_{side}_minor"],
            found=sums[side, bucket][1], blocks=False,
            said=f"{name}: {bucket} {side} lines in the bridge, and as they were told on the day; they differ where the"
            " day was computed again after a later file")
        for bucket in (TIMING, GENUINE)
    ]  # fmt: skip
    return found


def files_of(
    expected: Sequence[tuple[str | None, date]], received: Sequence[Row]
) -> dict[str, list[dict[str, Any]]]:
    """Files owed for the dates of the day, what came, and what did not. No account where one file serves all."""
    covered = [(row["account"], row["from_date"], row["to_date"]) for row in received]
    missing = [
        (account, owed)
        for account, owed in expected
        if not any(account in (None, of) and first <= owed <= last for of, first, last in covered)
    ]
    return {
        "expected": [{"account": account, "date": owed.isoformat()} for account, owed in expected],
        "received": [
            {name: row[name].isoformat() if isinstance(row[name], date) else row[name] for name in row}
            | {"corrected": row["version"] > 1}
            for row in received
        ],
        "missing": [{"account": account, "date": owed.isoformat()} for account, owed in missing],
    }


def _bucket(exception_class: str | None) -> str:
    return TIMING if exception_class in (TIMING, None) else GENUINE


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
