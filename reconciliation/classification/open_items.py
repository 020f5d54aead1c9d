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
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ledger_core.money import ISO_4217_EXPONENTS
from reconciliation.classification.ambiguity import ambiguous_draft
from reconciliation.classification.calendars import BusinessCalendar
from reconciliation.classification.drafts import Draft, dates_from, days_of, draft_table, finished, joined
from reconciliation.classification.duplicates import duplicates
from reconciliation.classification.mismatches import (
    Items,
    external_columns,
    member_rows,
    mismatches,
    withdrawn_lines,
)
from reconciliation.classification.references import Flags, Rows
from reconciliation.classification.shapes import AmbiguousCase, Classified, ledger_natural_key
from reconciliation.items import EXTERNAL_ITEM_SCHEMA, LEDGER_ITEM_SCHEMA
from reconciliation.sources import Source

_EPOCH: Final = date(1970, 1, 1)
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
    repeated_external = duplicates(
        items.external,
        taken_external.cast(EXTERNAL_ITEM_SCHEMA),
        allowed=free_external & ~pairs.has_equal_external,
        references=_unique(pair.external for pair in source.match.references),
        natural_key="line_key",
        same=("kind",),
    )
    repeated_ledger = duplicates(
        items.ledger,
        taken_ledger.cast(LEDGER_ITEM_SCHEMA),
        allowed=free_ledger & ~pairs.has_equal_ledger,
        references=_unique(pair.ledger for pair in source.match.references),
        natural_key="entry_key",
        same=("counterparty",),
    )
    alone = [
        _external_draft(items, free_external, repeated_external, as_of),
        _ledger_draft(items, free_ledger, repeated_ledger, waiting_for_file, as_of),
    ]
    draft = joined([review, *withdrawals, *pairs.drafts, *alone])
    return finished(draft, source=source, as_of=as_of, calendar=calendar, exponents=exponents)


def _external_draft(items: Items, free: Flags, repeated: Flags, as_of: date) -> Draft:
    """External lines that are alone: duplicates, chargebacks, charges, and what our book has not yet or not at all."""
    numbers = np.flatnonzero(free)
    rows = items.external.take(numbers)
    columns = external_columns(rows, items)
    kinds = rows["kind"].to_numpy()
    is_late = days_of(columns["due_on"]) < (as_of - _EPOCH).days
    conditions = [repeated[numbers], kinds == "chargeback", np.isin(kinds, items.source.never_in_ledger)]
    names = ["duplicate_external", "chargeback_unbooked", "unrecorded_charge"]
    reasons = [
        "the source says again what a matched line has said; our book has it once",
        "the source took back money and our book does not say so",
        "a charge of the source that has to be booked",
    ]
    by_now = np.where(is_late, "our book should have it by now", "our book may still be behind")
    columns |= {
        "kind": np.select(conditions, names, default="missing_in_ledger").astype(object),
        "class": np.where(is_late | np.any(conditions, axis=0), "genuine", "timing").astype(object),
        "why": np.select(conditions, reasons, default=by_now).astype(object),
        "difference_minor": rows["amount_minor"],
    }
    columns["expected_clear_on"] = _only_where(columns["due_on"], ~np.any(conditions, axis=0))
    order = np.arange(len(numbers))
    return Draft(
        exceptions=draft_table(columns, len(numbers)),
        members=member_rows(items, external=(order, numbers), ledger=(_NO_ROWS, _NO_ROWS)),
    )


def _ledger_draft(
    items: Items, free: Flags, repeated: Flags, waiting_for_file: Mapping[str, Collection[date]], as_of: date
) -> Draft:
    """Ledger lines that are alone: duplicates, and what the source has not reported yet or at all."""
    numbers = np.flatnonzero(free)
    rows = items.ledger.take(numbers)
    windows = _due_windows(items, rows, waiting_for_file, as_of)
    is_again = repeated[numbers]
    is_timing = ~is_again & windows["is_timing"].to_numpy(dtype=bool)
    again = "our book says again what a matched entry has said; the source has it once"
    columns = {
        "side": "ledger",
        "kind": np.where(is_again, "duplicate_ledger", "missing_at_source").astype(object),
        "class": np.where(is_timing, "timing", "genuine").astype(object),
        "why": np.where(is_again, again, windows["why"].to_numpy(dtype=object)),
        "account": rows["account"],
        "entry_key": rows["entry_key"],
        "entry_id": rows["entry_id"],
        "line_no": rows["line_no"],
        "natural_key": [
            ledger_natural_key(str(key), int(line_no))
            for key, line_no in zip(rows["entry_key"].to_numpy(), rows["line_no"].to_numpy(), strict=True)
        ],
        "amount_minor": rows["amount_minor"],
        "difference_minor": -rows["amount_minor"].to_numpy(),
        "asset": rows["asset"],
        "item_date": rows["business_date"],
        "due_on": dates_from(windows["due_on"].to_numpy(dtype=np.int64)),
        "expected_clear_on": _only_where(
            dates_from(windows["expected_clear_on"].to_numpy(dtype=np.int64)), ~is_again
        ),
    }
    order = np.arange(len(numbers))
    return Draft(
        exceptions=draft_table(columns, len(numbers)),
        members=member_rows(items, external=(_NO_ROWS, _NO_ROWS), ledger=(order, numbers)),
    )


def _due_windows(
    items: Items, rows: pa.Table, waiting_for_file: Mapping[str, Collection[date]], as_of: date
) -> pd.DataFrame:
    """Per ledger row due_on, expected_clear_on (days since 1970-01-01), is_timing, why; worked out once per account and
    date."""
    calendar, lag = items.calendar, items.source.lag
    keys = pd.DataFrame({"account": rows["account"].to_pandas(), "day": days_of(rows["business_date"])})
    windows = []
    for account, number in keys.drop_duplicates().itertuples(index=False, name=None):
        day = _EPOCH + timedelta(days=int(number))
        earliest, due = (
            calendar.add_business_days(day, lag.earliest),
            calendar.add_business_days(day, lag.latest),
        )
        absent = sorted(
            {late for late in waiting_for_file.get(account, ()) if earliest <= late <= min(due, as_of)}
        )
        if absent:
            why = f"waits for the file of {', '.join(late.isoformat() for late in absent)}"
        else:
            why = (
                "the source may still report it"
                if as_of <= due
                else "the source should have reported it by now"
            )
        expected = calendar.add_business_days(day, lag.expected)
        windows.append(
            {
                "account": account,
                "day": number,
                "due_on": (due - _EPOCH).days,
                "expected_clear_on": (expected - _EPOCH).days,
                "is_timing": bool(absent) or as_of <= due,
                "why": why,
            }
        )
    known = pd.DataFrame(
        windows, columns=["account", "day", "due_on", "expected_clear_on", "is_timing", "why"]
    )
    return keys.merge(
        known.astype({"account": keys["account"].dtype, "day": np.int64}), on=["account", "day"], how="left"
    )


def _only_where(dates: pa.Array[Any], flags: Flags) -> pa.Array[Any]:
    nothing = pa.nulls(len(dates), pa.date32())
    kept: pa.Array[Any] = pc.if_else(pa.array(flags), dates, nothing)
    return kept


def _unique(names: Any) -> tuple[str, ...]:
    return tuple(sorted(set(names)))
