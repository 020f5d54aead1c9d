"""Every open item of a source on a day, each in exactly one exception: ``classify``.

The order of precedence is fixed; an item that one step explains is not looked at by the next:

     1  ambiguous            matching found several explanations that are not interchangeable        review
     2  withdrawn            shares a reference with a line that a corrected file dropped            genuine
     3  conflicting_version  pairs that share a reference (raw, then normalised), unique at both     genuine
     4  sign_mismatch        ends: the first of these that holds
     5  currency_mismatch
     6  fee_variance
     7  fx_variance
     8  amount_mismatch
     9  duplicate_external   repeats a matched line of its side, and no equal line is left for it    genuine
    10  duplicate_ledger
    11  chargeback_unbooked  an external chargeback that our book does not have                      genuine
    12  unrecorded_charge    an external line of a kind that never starts in our book (fee, interest)  genuine
    13  missing_in_ledger    external: timing until ledger_lag_latest, genuine from the day after
    14  missing_at_source    ledger: timing until lag.latest, genuine from the day after; timing as long as a file
                             in which it may stand (lag.earliest to lag.latest) has not come
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ledger_core.money import ISO_4217_EXPONENTS
from reconciliation.classification.ambiguity import ambiguous_draft
from reconciliation.classification.calendars import BusinessCalendar
from reconciliation.classification.drafts import Draft, dates_from, draft_table, joined
from reconciliation.classification.duplicates import duplicates
from reconciliation.classification.finishing import Scales, causes_of, finished
from reconciliation.classification.mismatches import (
    Items,
    external_columns,
    member_rows,
    mismatches,
    withdrawn_lines,
)
from reconciliation.classification.references import Flags, Rows, true_where
from reconciliation.classification.shapes import KEY_MARK, AmbiguousCase, Classified
from reconciliation.classification.windows import Clock, Windows, external_windows, ledger_windows
from reconciliation.items import EXTERNAL_ITEM_SCHEMA, LEDGER_ITEM_SCHEMA
from reconciliation.sources import Source

_NO_ROWS: Final[Rows] = np.zeros(0, dtype=np.int64)


def classify(
    *,
    open_external: pa.Table,
    open_ledger: pa.Table,
    taken_external: pa.Table,
    taken_ledger: pa.Table,
    withdrawn: pa.Table,
    ambiguous: Sequence[AmbiguousCase],
    waiting_for_file: Mapping[str, Collection[date]],
    as_of: date,
    source: Source,
    calendar: BusinessCalendar,
    exponents: Mapping[str, int] = ISO_4217_EXPONENTS,
    lag_counts: Sequence[tuple[int, int]] = (),
    not_duplicate: Collection[tuple[str, str]] = (),
    balances: Mapping[str, int] = MappingProxyType({}),
) -> Classified:
    """The exceptions of one source after matching day ``as_of``; every open item is a member of exactly one.

    Args:
        open_external: EXTERNAL_ITEM_SCHEMA, lines with nothing allocated in this leg; all accounts of the source.
        open_ledger: LEDGER_ITEM_SCHEMA, likewise.
        taken_external: matched lines that share an identifying reference with open ones; more do no harm.
        taken_ledger: likewise.
        withdrawn: EXTERNAL_ITEM_SCHEMA, lines that a corrected file dropped.
        ambiguous: cases from matching; items that are no longer open are left out of them, cases that share an item
            become one.
        waiting_for_file: ledger account to the business dates whose expected file has not been accepted.
        as_of: the business date that is classified; items are not later than it.
        exponents: minor digits per asset, for the default severity bands.
        lag_counts: lags in business days (external less ledger) with how often they were confirmed; for what is to be
            expected of timing items, never for what they are.
        not_duplicate: (side, natural key) of lines that people found to be no duplicates; the natural key is a line key
            or ``ledger_natural_key``.
        balances: what our book says of each account, for exposure as a share of it.

    Raises:
        ReconciliationError: an asset has neither severity bands nor a known exponent.
    """
    items = Items(
        external=open_external.cast(EXTERNAL_ITEM_SCHEMA),
        ledger=open_ledger.cast(LEDGER_ITEM_SCHEMA),
        source=source,
        calendar=calendar,
    )
    review, free_external, free_ledger = ambiguous_draft(items, ambiguous)
    withdrawals, withdrawn_ledger = withdrawn_lines(items, withdrawn.cast(EXTERNAL_ITEM_SCHEMA), free_ledger)
    free_ledger &= ~withdrawn_ledger
    pairs = mismatches(items, free_external, free_ledger)
    free_external &= ~pairs.external
    free_ledger &= ~pairs.ledger
    allowed = (free_external & ~pairs.has_equal_external, free_ledger & ~pairs.has_equal_ledger)
    repeated_external, repeated_ledger = _repeated(items, (taken_external, taken_ledger), allowed, not_duplicate)
    clock = Clock(
        source=source,
        calendar=calendar,
        as_of=as_of,
        waiting_for_file=waiting_for_file,
        lag_counts=tuple(lag_counts),
    )
    alone = [
        _external_draft(items, free_external, repeated_external, clock),
        _ledger_draft(items, free_ledger, repeated_ledger, clock),
    ]
    draft = joined([review, *withdrawals, *pairs.drafts, *alone])
    scales = Scales(source=source, calendar=calendar, as_of=as_of, exponents=exponents, balances=balances)
    return finished(draft, scales, causes=causes_of(draft, items.external, items.ledger))


def _repeated(
    items: Items,
    taken: tuple[pa.Table, pa.Table],
    allowed: tuple[Flags, Flags],
    not_duplicate: Collection[tuple[str, str]],
) -> tuple[Flags, Flags]:
    """Which allowed open lines of each side, external first, say again what a taken one has said."""
    references = items.source.match.references
    external = duplicates(
        items.external,
        taken[0].cast(EXTERNAL_ITEM_SCHEMA),
        allowed=allowed[0] & ~_decided(items.external["line_key"], "external", not_duplicate),
        references=_unique(pair.external for pair in references),
        natural_key="line_key",
        same=("kind",),
    )
    ledger = duplicates(
        items.ledger,
        taken[1].cast(LEDGER_ITEM_SCHEMA),
        allowed=allowed[1] & ~_decided(_ledger_keys(items.ledger), "ledger", not_duplicate),
        references=_unique(pair.ledger for pair in references),
        natural_key="entry_key",
        same=("counterparty",),
    )
    return external, ledger


def _external_draft(items: Items, free: Flags, repeated: Flags, clock: Clock) -> Draft:
    """External lines that are alone: duplicates, chargebacks, charges, and what our book has not yet or not at all."""
    numbers = np.flatnonzero(free)
    rows = items.external.take(numbers)
    windows = external_windows(rows, clock)
    kinds = rows["kind"].to_numpy()
    conditions = [repeated[numbers], kinds == "chargeback", np.isin(kinds, items.source.never_in_ledger)]
    names = ["duplicate_external", "chargeback_unbooked", "unrecorded_charge"]
    reasons = [
        "the source says again what a matched line has said; our book has it once",
        "the source took back money and our book does not say so",
        "a charge of the source that has to be booked",
    ]
    is_explained: Flags = np.any(conditions, axis=0)
    columns = external_columns(rows, items) | _timed(windows, is_explained)
    columns |= {
        "kind": np.select(conditions, names, default="missing_in_ledger").astype(object),
        "why": np.select(conditions, reasons, default=windows.why).astype(object),
        "difference_minor": rows["amount_minor"],
    }
    order = np.arange(len(numbers))
    return Draft(
        exceptions=draft_table(columns, len(numbers)),
        members=member_rows(items, external=(order, numbers), ledger=(_NO_ROWS, _NO_ROWS)),
    )


def _ledger_draft(items: Items, free: Flags, repeated: Flags, clock: Clock) -> Draft:
    """Ledger lines that are alone: duplicates, and what the source has not reported yet or at all."""
    numbers = np.flatnonzero(free)
    rows = items.ledger.take(numbers)
    windows = ledger_windows(rows, clock)
    is_again = repeated[numbers]
    again = "our book says again what a matched entry has said; the source has it once"
    columns = _timed(windows, is_again) | {
        "side": "ledger",
        "kind": np.where(is_again, "duplicate_ledger", "missing_at_source").astype(object),
        "why": np.where(is_again, again, windows.why),
        "account": rows["account"],
        "entry_key": rows["entry_key"],
        "entry_id": rows["entry_id"],
        "line_no": rows["line_no"],
        "natural_key": _ledger_keys(rows),
        "amount_minor": rows["amount_minor"],
        "difference_minor": -rows["amount_minor"].to_numpy(),
        "asset": rows["asset"],
        "item_date": rows["business_date"],
    }
    order = np.arange(len(numbers))
    return Draft(
        exceptions=draft_table(columns, len(numbers)),
        members=member_rows(items, external=(_NO_ROWS, _NO_ROWS), ledger=(order, numbers)),
    )


def _timed(windows: Windows, is_explained: Flags) -> dict[str, Any]:
    """Class, dates and lateness by the due window; what is explained otherwise is genuine, and clears by nobody."""
    is_timing = windows.is_timing & ~is_explained
    expected = np.where(is_timing, windows.expected_clear_on, windows.contract_clear_on)
    return {
        "class": np.where(is_timing, "timing", "genuine").astype(object),
        "due_on": dates_from(windows.due_on),
        "expected_clear_on": _only_where(dates_from(expected), ~is_explained),
        "late": windows.late,
        "calendar": windows.calendar,
        "facts": np.where(is_timing, windows.timing_facts, windows.facts),
    }


def _decided(keys: Any, side: str, decisions: Collection[tuple[str, str]]) -> Flags:
    """Which natural keys people spoke about."""
    chosen = pa.array(sorted(key for of_side, key in decisions if of_side == side), pa.string())
    return true_where(pc.is_in(keys, value_set=chosen))


def _ledger_keys(rows: pa.Table) -> Any:
    """The natural keys of ledger lines; ``ledger_natural_key`` for many."""
    parts: tuple[Any, Any, Any] = (rows["entry_key"], rows["line_no"].cast(pa.string()), KEY_MARK)
    return pc.binary_join_element_wise(*parts)


def _only_where(dates: pa.Array[Any], flags: Flags) -> pa.Array[Any]:
    nothing = pa.nulls(len(dates), pa.date32())
    kept: pa.Array[Any] = pc.if_else(pa.array(flags), dates, nothing)
    return kept


def _unique(names: Any) -> tuple[str, ...]:
    return tuple(sorted(set(names)))
