"""Limits that matching met, as exceptions for people: which bound, how many lines stayed open, what to do.

Law: nothing is cut in silence. Such an exception has no members, for the lines it speaks of are open and in exceptions
of their own; it goes away with the day on which the bound is not met. Notes about the same place are one exception.

Example: 30 payouts and 9 000 entries of one account share a batch, 250 000 pairs are allowed: one exception of class
``review`` that says so and asks for a reference that tells them apart, or a higher ``match.limits.candidate_pairs``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

from ledger_core.money import ISO_4217_EXPONENTS
from reconciliation.classification.calendars import BusinessCalendar
from reconciliation.classification.drafts import MEMBER_DRAFT_SCHEMA, Draft, draft_table
from reconciliation.classification.finishing import Scales, finished
from reconciliation.classification.shapes import KEY_MARK, LimitNote
from reconciliation.sources import MatchLimits, Source
from reconciliation.vocabulary import SEVERITIES

_FAMILY: Final = "limit"
_FLOOR: Final = SEVERITIES[2]  # medium: what was not looked for is not explained
_SETTINGS: Final = {name: f"match.limits.{name}" for name in MatchLimits.model_fields} | {
    "group_size": "match.group_size_max"
}


def limit_exceptions(
    limits: Sequence[LimitNote],
    *,
    as_of: date,
    source: Source,
    calendar: BusinessCalendar,
    exponents: Mapping[str, int] = ISO_4217_EXPONENTS,
) -> Any:
    """One exception (EXCEPTION_SCHEMA, without members) per place where a bound was met on the day."""
    places: dict[str, list[LimitNote]] = {}
    for note in limits:
        key = KEY_MARK.join([note.match_pass, note.what, note.account, note.asset, note.reference])
        places.setdefault(key, []).append(note)
    rows = [_row(key, notes, as_of) for key, notes in sorted(places.items())]
    columns = {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}
    draft = Draft(exceptions=draft_table(columns, len(rows)), members=MEMBER_DRAFT_SCHEMA.empty_table())
    scales = Scales(source=source, calendar=calendar, as_of=as_of, exponents=exponents)
    return finished(draft, scales).exceptions


def _row(key: str, notes: Sequence[LimitNote], as_of: date) -> dict[str, Any]:
    """The exception of one place, by its largest note."""
    note = max(
        notes, key=lambda each: (each.external_count + each.ledger_count, each.external_count, each.limit)
    )
    setting = _SETTINGS.get(note.what)
    about = f" of reference {note.reference!r}" if note.reference else ""
    remedy = "give these lines a reference that tells them apart"
    facts = {
        "bound": note.what,
        "external_count": note.external_count,
        "ledger_count": note.ledger_count,
        "limit": note.limit,
        "match_pass": note.match_pass,
        "met": len(notes),
        "setting": setting,
    }
    return {
        "class": "review",
        "kind": "ambiguous",
        "side": "external",
        "account": note.account or None,
        "asset": note.asset or None,
        "amount_minor": 0,
        "difference_minor": 0,
        "item_date": as_of,
        "due_on": as_of,
        "natural_key": key,
        "family": _FAMILY,
        "floor": _FLOOR,
        "facts": json.dumps(facts, sort_keys=True, separators=(",", ":")),
        "why": (
            f"{note.match_pass} met its limit of {note.limit} {note.what.replace('_', ' ')}{about}:"
            f" {note.external_count} external and {note.ledger_count} ledger lines were left open;"
            f" {remedy}{f', or raise {setting} in sources.yaml' if setting else ''}"
        ),
    }
