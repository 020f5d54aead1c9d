"""A filter's parts as conditions of SQL: constants of one table, and the values that are bound to them.

Laws: no text that anybody sent becomes part of a query; what a beginning or a part holds of ``%`` and ``_`` stands for
itself; an amount is compared exactly, whatever the digits of the asset.

Example:
    somebody("owner", "nobody")  # [("owner_nobody", {})]
"""

import re
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, Final

from ledger_core.money import ISO_4217_EXPONENTS

AGES: Final[Mapping[str, tuple[int, int | None]]] = {
    "0": (0, 1),
    "1-2": (1, 3),
    "3-6": (3, 7),
    "7-29": (7, 30),
    "30+": (30, None),
}
"""Bands of business days: name, first day, first day beyond."""
DUES: Final = ("late", "today", "week", "none")
NOBODY: Final = "nobody"
DAY: Final = r"\d{4}-\d{2}-\d{2}"
SPAN: Final = re.compile(rf"({DAY})|({DAY})?\.\.({DAY})?", re.ASCII)

Part = tuple[str, dict[str, Any]]
_BIGINT: Final = 2**63 - 1

# Minor digits by asset as SQL knows them: what ISO does not name has none, as everywhere on our screens.
_SCALE: Final = (
    "power(10::numeric, CASE WHEN e.asset = ANY (%(assets_2)s) THEN 2 WHEN e.asset = ANY (%(assets_3)s) THEN 3 "
    "WHEN e.asset = ANY (%(assets_4)s) THEN 4 ELSE 0 END)"
)
CONDITIONS: Final[Mapping[str, str]] = {
    "open": "e.cleared_on IS NULL",
    "closed": "e.cleared_on IS NOT NULL",
    "status": "e.status = %(status)s",
    "status_among": "e.status = ANY (%(status)s)",
    "source": "e.source_id = %(source)s",
    "source_among": "e.source_id = ANY (%(source)s)",
    "severity": "e.severity_rank = %(severity)s",
    "severity_among": "e.severity_rank = ANY (%(severity)s)",
    "asset": "e.asset = %(asset)s",
    "asset_among": "e.asset = ANY (%(asset)s)",
    "kind": "e.kind = %(kind)s",
    "kind_among": "e.kind = ANY (%(kind)s)",
    "class": "e.class = %(class)s",
    "class_among": "e.class = ANY (%(class)s)",
    "owner": "e.assignee = %(owner)s",
    "owner_nobody": "e.assignee IS NULL",
    "team": "e.team = %(team)s",
    "team_nobody": "e.team IS NULL",
    "amount_from": "e.value_minor >= %(amount_from)s",
    "amount_to": "e.value_minor <= %(amount_to)s",
    "amount_from_any": f"e.value_minor >= %(amount_from)s * {_SCALE}",
    "amount_to_any": f"e.value_minor <= %(amount_to)s * {_SCALE}",
    "age_from": "e.age_business_days >= %(age_from)s",
    "age_before": "e.age_business_days < %(age_before)s",
    "due_from": "e.due_key >= %(due_from)s",
    "due_before": "e.due_key < %(due_before)s",
    "due_none": "e.sla_due_on IS NULL",
    "due_some": "e.sla_due_on IS NOT NULL",
    "dated_from": "e.item_date >= %(dated_from)s",
    "dated_before": "e.item_date < %(dated_before)s",
    "opened_from": "e.opened_on >= %(opened_from)s",
    "opened_before": "e.opened_on < %(opened_before)s",
    "cleared_from": "e.cleared_on >= %(cleared_from)s",
    "cleared_before": "e.cleared_on < %(cleared_before)s",
    "snoozed_yes": "e.snoozed_until > %(today)s",
    "snoozed_no": "(e.snoozed_until IS NULL OR e.snoozed_until <= %(today)s)",
    "suggested_yes": "e.best_group IS NOT NULL",
    "suggested_no": "e.best_group IS NULL",
    "reference": "e.reference LIKE %(reference)s",
    "q": "(e.reference ILIKE %(q_within)s OR e.counterparty ILIKE %(q_within)s OR e.line_key = %(q)s "
    "OR e.entry_key = %(q)s OR e.exception_id = %(q_number)s)",
}


def among(name: str, chosen: list[Any]) -> Iterator[Part]:
    """One of some values; a single one as an equation, so that an index behind it keeps its order."""
    if len(chosen) == 1:
        yield name, {name: chosen[0]}
    elif chosen:
        yield f"{name}_among", {name: chosen}


def somebody(name: str, who: str) -> Iterator[Part]:
    """A person or team, or nobody."""
    if who == NOBODY:
        yield f"{name}_nobody", {}
    elif who:
        yield name, {name: who}


def amounts(amount_from: str, amount_to: str, assets: tuple[str, ...]) -> Iterator[Part]:
    """From and to, in whole units; in minor units of the asset where there is only one."""
    for name, text in (("amount_from", amount_from), ("amount_to", amount_to)):
        if text and len(assets) == 1:
            scaled = Decimal(text).scaleb(ISO_4217_EXPONENTS.get(assets[0], 0))
            rounding = ROUND_CEILING if name == "amount_from" else ROUND_FLOOR
            yield name, {name: min(int(scaled.to_integral_value(rounding)), _BIGINT)}
        elif text:
            digits = {f"assets_{count}": _assets_of(count) for count in (2, 3, 4)}
            yield f"{name}_any", {name: Decimal(text)} | digits


def age(band: str) -> Iterator[Part]:
    """A band of business days."""
    if band:
        first, beyond = AGES[band]
        yield "age_from", {"age_from": first}
        if beyond is not None:
            yield "age_before", {"age_before": beyond}


def due(word: str, today: date) -> Iterator[Part]:
    """Late, today, within seven days from today, without a due day, or days."""
    if word == "none":
        yield "due_none", {}
    elif word == "late":
        yield "due_before", {"due_before": today}
    elif word in {"today", "week"}:
        yield "due_from", {"due_from": today}
        yield "due_before", {"due_before": today + timedelta(days=1 if word == "today" else 7)}
    elif word:
        yield from span("due", word)
        yield "due_some", {}


def span(name: str, text: str) -> Iterator[Part]:
    """A day, or from and to, both of them within."""
    if not text:
        return
    first, _, last = text.partition("..") if ".." in text else (text, "", text)
    if first:
        yield f"{name}_from", {f"{name}_from": date.fromisoformat(first)}
    if last and last != date.max.isoformat():
        yield f"{name}_before", {f"{name}_before": date.fromisoformat(last) + timedelta(days=1)}


def beginning(text: str) -> Iterator[Part]:
    """How the reference begins."""
    if text:
        yield "reference", {"reference": escaped(text) + "%"}


def search(text: str) -> Iterator[Part]:
    """Within reference or counterparty, or a key or number."""
    if text:
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
        yield "q", {"q": text, "q_within": f"%{escaped(text)}%", "q_number": number}


def escaped(text: str) -> str:
    """Text that stands for itself in LIKE."""
    return text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")


def _assets_of(digits: int) -> list[str]:
    return [asset for asset, count in ISO_4217_EXPONENTS.items() if count == digits]
