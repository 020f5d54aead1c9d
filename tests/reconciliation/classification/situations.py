"""Factories of open items and settings that take only what matters to a case; no behaviour of their own."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any

import pyarrow as pa

from reconciliation.classification import AmbiguousCase, BusinessCalendar, Classified, classify
from reconciliation.items import EXTERNAL_ITEM_SCHEMA, LEDGER_ITEM_SCHEMA
from reconciliation.sources import Source

EUR, JPY, EUR_2 = "assets:bank:main-eur", "assets:bank:main-jpy", "assets:bank:second-eur"
TARGET = BusinessCalendar.of(["ECB"])
TUESDAY = date(2025, 3, 4)
Item = dict[str, Any]


def source(**changes: Any) -> Source:
    """A bank with three accounts; lag 0, 1, 2; our own book may be one day behind."""
    settings: dict[str, Any] = {
        "id": "bank",
        "kind": "bank",
        "format": "camt.053",
        "accounts": [
            {"asset": "EUR", "ledger": EUR},
            {"asset": "JPY", "ledger": JPY},
            {"asset": "EUR", "ledger": EUR_2},
        ],
        "start_date": "2025-03-03",
        "match": {
            "references": [
                {"external": "ref_end_to_end", "ledger": "ref_end_to_end"},
                {"external": "ref_arn", "ledger": "ref_arn"},
                {"external": "ref_servicer", "ledger": "ref_servicer"},
            ],
        },
        "files": {"days": "business_days", "per": "account"},
    }
    return Source.model_validate(settings | changes)


def line(number: int, amount_minor: int, reference: str | None = None, **changes: Any) -> Item:
    """An external line L<number> of Tuesday 4 March 2025 on the EUR account."""
    standard: Item = {
        "line_id": number,
        "line_key": f"L{number}",
        "version": 1,
        "business_date": TUESDAY,
        "account": EUR,
        "amount_minor": amount_minor,
        "asset": "EUR",
        "fee_minor": 0,
        "ref_end_to_end": reference,
        "kind": "transfer",
    }
    return standard | changes


def entry(number: int, amount_minor: int, reference: str | None = None, **changes: Any) -> Item:
    """A ledger line: line 1 of entry E<number>, of Tuesday 4 March 2025, on the EUR account."""
    standard: Item = {
        "entry_id": number,
        "line_no": 1,
        "entry_key": f"E{number}",
        "business_date": TUESDAY,
        "account": EUR,
        "amount_minor": amount_minor,
        "asset": "EUR",
        "ref_end_to_end": reference,
        "kind": "transfer",
    }
    return standard | changes


def decide(
    lines: Sequence[Item] = (),
    entries: Sequence[Item] = (),
    *,
    taken_lines: Sequence[Item] = (),
    taken_entries: Sequence[Item] = (),
    withdrawn: Sequence[Item] = (),
    ambiguous: Sequence[AmbiguousCase] = (),
    waiting_for_file: Mapping[str, Collection[date]] | None = None,
    as_of: date = TUESDAY,
    of: Source | None = None,
    **learned_and_decided: Any,
) -> Classified:
    """``classify`` over items written as above."""
    return classify(
        open_external=pa.Table.from_pylist(list(lines), EXTERNAL_ITEM_SCHEMA),
        open_ledger=pa.Table.from_pylist(list(entries), LEDGER_ITEM_SCHEMA),
        taken_external=pa.Table.from_pylist(list(taken_lines), EXTERNAL_ITEM_SCHEMA),
        taken_ledger=pa.Table.from_pylist(list(taken_entries), LEDGER_ITEM_SCHEMA),
        withdrawn=pa.Table.from_pylist(list(withdrawn), EXTERNAL_ITEM_SCHEMA),
        ambiguous=ambiguous,
        waiting_for_file=waiting_for_file or {},
        as_of=as_of,
        source=of or source(),
        calendar=TARGET,
        **learned_and_decided,
    )


def only(classified: Classified) -> Item:
    """The one exception there is, its factors read, its members added as L<id> and E<id>/<line>."""
    rows = all_of(classified)
    assert len(rows) == 1, [(row["kind"], row["members"]) for row in rows]
    return rows[0]


def all_of(classified: Classified) -> list[Item]:
    """All exceptions, by kind and members."""
    members: dict[str, list[str]] = {}
    for member in classified.members.to_pylist():
        name = (
            f"L{member['line_id']}"
            if member["side"] == "external"
            else f"E{member['entry_id']}/{member['line_no']}"
        )
        members.setdefault(member["exception_key"], []).append(name)
    rows = [
        row
        | {"factors": json.loads(row["factors"]), "members": sorted(members.get(row["exception_key"], []))}
        for row in classified.exceptions.to_pylist()
    ]
    return sorted(rows, key=lambda row: (row["kind"], row["members"]))


def kinds(classified: Classified) -> list[tuple[str, list[str]]]:
    """Kind and members of all exceptions."""
    return [(row["kind"], row["members"]) for row in all_of(classified)]


def subset(row: Item, *names: str) -> tuple[Any, ...]:
    """Some columns of a row."""
    return tuple(row[name] for name in names)
