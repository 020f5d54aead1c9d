"""Drafts of what is wrong between two sides that name the same thing: withdrawn lines, then the six mismatches.

Withdrawn lines come first, for a ledger line whose evidence was taken back needs no other explanation. Then raw
references before normalised ones, and within each the same account before other assets. Rows that had candidates in a
stronger look, unique or not, are out of the weaker ones: a crowd there is not resolved by a poorer likeness.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from reconciliation.classification.calendars import BusinessCalendar, map_days
from reconciliation.classification.drafts import (
    MEMBER_DRAFT_SCHEMA,
    Draft,
    dates_from,
    days_of,
    draft_table,
)
from reconciliation.classification.pairs import (
    Columns,
    Pairs,
    candidates,
    equal_rows,
    integers,
    pair_kinds,
    sums,
)
from reconciliation.classification.references import Flags, Rows, shared_rows, true_where
from reconciliation.classification.variances import fee_reasons, rate_reasons
from reconciliation.sources import Source

WHY: Final = {
    "withdrawn": "a corrected file no longer holds the line that this entry was booked for",
    "conflicting_version": "a corrected file changed the line and our book does not hold the changed amount",
    "sign_mismatch": "same reference and amount, opposite direction",
    "currency_mismatch": "same reference, booked in another asset",
    "amount_mismatch": "same reference, another amount",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """The open items of both sides and the settings they are judged by."""

    external: pa.Table
    ledger: pa.Table
    source: Source
    calendar: BusinessCalendar

    @property
    def reference_pairs(self) -> list[tuple[str, str]]:
        """Identifying references as (external column, ledger column)."""
        return [(pair.external, pair.ledger) for pair in self.source.match.references]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """Drafts with the open rows they explain, and rows that an equal open line of the other side stands beside."""

    drafts: tuple[Draft, ...]
    external: Flags
    ledger: Flags
    has_equal_external: Flags
    has_equal_ledger: Flags


def external_columns(rows: pa.Table, items: Items) -> dict[str, Any]:
    """Draft columns of exceptions that are about external lines, due when our own book should have them."""
    days = days_of(rows["business_date"])
    latest = items.source.ledger_lag_latest
    return {
        "side": "external",
        "account": rows["account"],
        "line_key": rows["line_key"],
        "line_id": rows["line_id"],
        "natural_key": rows["line_key"],
        "amount_minor": rows["amount_minor"],
        "asset": rows["asset"],
        "item_date": rows["business_date"],
        "due_on": dates_from(map_days(days, lambda day: items.calendar.add_business_days(day, latest))),
    }


def member_rows(items: Items, *, external: tuple[Rows, Rows], ledger: tuple[Rows, Rows]) -> pa.Table:
    """Members of a draft from pairs of (draft row, item row)."""
    external_rows = items.external.take(external[1])
    ledger_rows = items.ledger.take(ledger[1])
    tables = [
        draft_table(
            {"draft_row": external[0], "side": "external", "line_id": external_rows["line_id"]},
            len(external[0]),
            MEMBER_DRAFT_SCHEMA,
        ),
        draft_table(
            {
                "draft_row": ledger[0],
                "side": "ledger",
                "entry_id": ledger_rows["entry_id"],
                "line_no": ledger_rows["line_no"],
            },
            len(ledger[0]),
            MEMBER_DRAFT_SCHEMA,
        ),
    ]
    return pa.concat_tables(tables)


def withdrawn_lines(items: Items, withdrawn: pa.Table, free_ledger: Flags) -> tuple[list[Draft], Flags]:
    """Drafts for free ledger lines sharing a reference with exactly one withdrawn line; and which lines those are."""
    free, waiting = free_ledger.copy(), np.ones(withdrawn.num_rows, dtype=bool)
    external, ledger = Columns.of(withdrawn), Columns.of(items.ledger)
    drafts = []
    for normalised in (False, True):
        edges = shared_rows(
            withdrawn,
            items.ledger,
            items.reference_pairs,
            left_allowed=waiting,
            right_allowed=free,
            normalised=normalised,
        )
        pairs = candidates(edges, external, ledger, items.ledger, across_assets=False, same_sign=True).pairs
        kinds = np.full(len(pairs.external), "withdrawn", dtype=object)
        drafts.append(_draft(items, withdrawn, ledger, pairs, kinds, line_is_open=False))
        waiting[pairs.external] = False
        free[pairs.member] = False
    return drafts, free_ledger & ~free


def mismatches(items: Items, free_external: Flags, free_ledger: Flags) -> Explained:
    """Drafts for free lines of both sides that share a reference, have no other candidate, and disagree."""
    external, ledger = Columns.of(items.external), Columns.of(items.ledger)
    left, right = free_external.copy(), free_ledger.copy()
    done_left, done_right = np.zeros_like(left), np.zeros_like(right)
    equal_left, equal_right = np.zeros_like(left), np.zeros_like(right)
    drafts: list[Draft] = []
    for normalised in (False, True):
        edges = shared_rows(
            items.external,
            items.ledger,
            items.reference_pairs,
            left_allowed=left,
            right_allowed=right,
            normalised=normalised,
        )
        equals = equal_rows(edges, external, ledger)
        equal_left |= equals[0]
        equal_right |= equals[1]
        for across_assets in (False, True):
            among = left[edges[0]] & right[edges[1]]
            seen = candidates(
                (edges[0][among], edges[1][among]),
                external,
                ledger,
                items.ledger,
                across_assets=across_assets,
            )
            kinds = pair_kinds(
                seen.pairs,
                external_table=items.external,
                external=external,
                ledger_table=items.ledger,
                ledger=ledger,
                fees=items.source.match.fees,
            )
            wrong = np.array([kind is not None for kind in kinds], dtype=bool)
            pairs = seen.pairs.kept(wrong)
            drafts.append(_draft(items, items.external, ledger, pairs, kinds[wrong], line_is_open=True))
            done_left[pairs.external] = True
            done_right[pairs.member] = True
            left &= ~seen.seen_external
            right &= ~seen.seen_ledger
    return Explained(
        drafts=tuple(drafts),
        external=done_left,
        ledger=done_right,
        has_equal_external=equal_left,
        has_equal_ledger=equal_right,
    )


def _draft(
    items: Items,
    lines: pa.Table,
    ledger: Columns,
    pairs: Pairs,
    kinds: npt.NDArray[np.object_],
    *,
    line_is_open: bool,
) -> Draft:
    """One exception per pair; ``lines`` is the table that ``pairs.external`` counts in."""
    rows, booked = lines.take(pairs.external), items.ledger.take(pairs.principal)
    total = sums(pairs, ledger)
    amount = integers(rows["amount_minor"]) if line_is_open else np.zeros_like(total)
    same_asset = true_where(pc.equal(rows["asset"], booked["asset"]))
    columns = external_columns(rows, items) | {
        "class": "genuine",
        "kind": list(kinds),
        "why": _reasons(kinds, rows, booked, total, items),
        "entry_key": booked["entry_key"],
        "entry_id": booked["entry_id"],
        "line_no": booked["line_no"],
        # Minor units of two assets do not add up: there the external line alone is what differs.
        "difference_minor": np.where(same_asset, amount - total, amount),
    }
    numbers = np.arange(len(pairs.external))
    own = numbers if line_is_open else numbers[:0]
    return Draft(
        exceptions=draft_table(columns, len(numbers)),
        members=member_rows(
            items, external=(own, pairs.external[: len(own)]), ledger=(pairs.member_pair, pairs.member)
        ),
    )


def _reasons(
    kinds: npt.NDArray[np.object_], rows: pa.Table, booked: pa.Table, total: Any, items: Items
) -> list[str]:
    """What is wrong with each pair; of a fee or a conversion with what was expected and what was found."""
    reasons = [WHY.get(kind, "") for kind in kinds]
    fee, rate = (np.flatnonzero(kinds == kind) for kind in ("fee_variance", "fx_variance"))
    told = fee_reasons(rows.take(fee), booked.take(fee), total[fee], items.source.match.fees)
    told += rate_reasons(rows.take(rate), booked.take(rate), total[rate])
    for place, reason in zip([*fee, *rate], told, strict=True):
        reasons[place] = reason
    return reasons
