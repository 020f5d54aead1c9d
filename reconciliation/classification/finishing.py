"""From drafts to finished exceptions: key, age, severity and factors, the same way for every kind.

Law: everything added here is a function of the draft's rows, the source's settings, the calendar and ``as_of``; the
order of the rows does not matter. Per distinct combination of factors one JSON text is written, not per row; only the
digest of the key is made row by row. A material shortfall of safeguarded money is due on the day itself.

Example: six entries of one payout that the source lacks, 20.00 each: ``systemic`` 1, ``systemic_count`` 6,
``systemic_net_minor`` -12000, and each of them is one band worse than alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute

from ledger_core.money import ISO_4217_EXPONENTS
from reconciliation.classification.calendars import BusinessCalendar, Days, map_days
from reconciliation.classification.drafts import DRAFT_SCHEMA, Draft, days_of, draft_table
from reconciliation.classification.references import Flags, true_where
from reconciliation.classification.severity import (
    MEDIUM,
    Circumstances,
    assess,
    exposure_levels,
    share_bands,
)
from reconciliation.classification.shapes import (
    EXCEPTION_SCHEMA,
    FAMILY_OF_KIND,
    MEMBER_SCHEMA,
    Classified,
    exception_key,
)
from reconciliation.sources import Source
from reconciliation.vocabulary import SEVERITIES

kernel: Any = pyarrow.compute  # its stubs do not know that kernels take plain values

_COPIED: Final = tuple(name for name in DRAFT_SCHEMA.names if name in EXCEPTION_SCHEMA.names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scales:
    """What exceptions are weighed by. ``balances``: what our book says of each account, in minor units, where known."""

    source: Source
    calendar: BusinessCalendar
    as_of: date
    exponents: Mapping[str, int] = field(default_factory=lambda: ISO_4217_EXPONENTS)
    balances: Mapping[str, int] = field(default_factory=dict)


def finished(draft: Draft, scales: Scales, *, causes: pa.Array[Any] | None = None) -> Classified:
    """The exceptions with keys, ages, severities and factors, sorted by key; the members sorted likewise.

    ``causes`` names per row the batch or counterparty it may share with others of its kind; null where it has none.
    """
    rows = draft.exceptions
    exception_keys = _keys(rows, scales.source.id)
    calendar, as_of = scales.calendar, scales.as_of
    ages = map_days(days_of(rows["item_date"]), lambda day: calendar.business_days_between(day, as_of))
    frame = _circumstances(rows, scales, pa.nulls(rows.num_rows, pa.string()) if causes is None else causes)
    severities, factors, same_day = _weighed(frame, scales)
    due_on = rows["due_on"].combine_chunks()
    added = {
        "exception_key": exception_keys,
        "severity": severities,
        "age_business_days": ages,
        "factors": factors,
        "due_on": kernel.if_else(pa.array(same_day, pa.bool_()), pa.scalar(as_of, pa.date32()), due_on),
    }
    columns: dict[str, Any] = {name: rows[name] for name in _COPIED} | added
    exceptions = draft_table(columns, rows.num_rows, EXCEPTION_SCHEMA)
    member_columns: dict[str, Any] = {name: draft.members[name] for name in MEMBER_SCHEMA.names[1:]}
    member_columns["exception_key"] = exception_keys.take(draft.members["draft_row"].combine_chunks())
    members = draft_table(member_columns, draft.members.num_rows, MEMBER_SCHEMA)
    return Classified(
        exceptions=exceptions.sort_by("exception_key"),
        members=members.sort_by([(name, "ascending") for name in MEMBER_SCHEMA.names]),
    )


def causes_of(draft: Draft, external: pa.Table, ledger: pa.Table) -> pa.Array[Any]:
    """Per exception the batch, else the counterparty, of the open item that names it; null where neither is known."""
    rows = draft.exceptions
    of_line = _cause(external).take(_places(rows["line_id"], external["line_id"]))
    numbers = pd.MultiIndex.from_arrays([ledger["entry_id"].to_numpy(), ledger["line_no"].to_numpy()])
    wanted = pd.MultiIndex.from_arrays(
        [kernel.fill_null(rows[name], -1).to_numpy() for name in ("entry_id", "line_no")]
    )
    places = numbers.get_indexer(wanted)
    of_entry = _cause(ledger).take(pa.array(places, pa.int64(), mask=places < 0))
    causes: pa.Array[Any] = kernel.coalesce(of_line, of_entry)
    return causes


def _cause(items: pa.Table) -> pa.Array[Any]:
    batch = kernel.binary_join_element_wise("batch", items["batch_ref"], "\x1f")
    counterparty = kernel.binary_join_element_wise("counterparty", items["counterparty"], "\x1f")
    cause: pa.Array[Any] = kernel.coalesce(batch, counterparty).combine_chunks()
    return cause


def _places(wanted: Any, known: Any) -> pa.Array[Any]:
    places: pa.Array[Any] = kernel.index_in(
        wanted, value_set=known.combine_chunks(), skip_nulls=True
    ).combine_chunks()
    return places


def _keys(rows: pa.Table, source_id: str) -> pa.Array[Any]:
    columns: list[list[Any]] = [rows[name].to_pylist() for name in ("kind", "side", "natural_key", "family")]
    kinds, sides, keys, families = columns
    return pa.array(
        [
            exception_key(source_id, side, key, family or FAMILY_OF_KIND[kind])
            for kind, side, key, family in zip(kinds, sides, keys, families, strict=True)
        ],
        pa.string(),
    )


def _circumstances(rows: pa.Table, scales: Scales, causes: pa.Array[Any]) -> pd.DataFrame:
    """Everything that severity depends on, per row; -1 and 0 stand for what is not known."""
    settings, calendar, as_of = scales.source.severity, scales.calendar, scales.as_of
    difference = rows["difference_minor"].to_numpy().astype(np.int64)
    amount = rows["amount_minor"].to_numpy().astype(np.int64)
    is_review = np.asarray(rows["class"].to_pandas() == "review", dtype=bool)
    exposure = np.where(is_review, amount, difference)  # candidates compete: only the line itself is in doubt
    assets = np.array(rows["asset"].to_pylist(), dtype=object)
    levels = exposure_levels(exposure, assets, settings, exponents=scales.exponents)
    by_source = map_days(days_of(rows["due_on"]), lambda day: calendar.business_days_between(day, as_of))
    accounts = np.array(rows["account"].to_pylist(), dtype=object)
    regulated = settings.safeguarding | np.isin(accounts.astype(str), list(settings.safeguarding_accounts))
    count, net = _systemic(rows, difference, causes, settings.systemic_count)
    return pd.DataFrame(
        {
            "class": rows["class"].to_pandas(),
            "kind": rows["kind"].to_pandas(),
            "exposure": levels,
            "shortfall": (settings.client_money | regulated) & (difference < 0),
            "late": kernel.coalesce(rows["late"], pa.array(by_source, pa.int64())).to_numpy(),
            "share": share_bands(exposure.astype(np.int64), _of_each(accounts, scales.balances)),
            "regulated": regulated,
            "material": np.abs(difference) > _of_each(assets, settings.materiality_minor),
            "trifle": _trifles(np.abs(exposure), assets, settings.de_minimis_minor, levels < MEDIUM),
            "count": count,
            "net": net,
            "floor": rows["floor"].to_pandas(),
            "calendar": rows["calendar"].to_pandas(),
            "facts": rows["facts"].to_pandas(),
            "why": rows["why"].to_pandas(),
        }
    )


def _of_each(names: Any, amounts: Mapping[str, int]) -> Days:
    """The amount of each name; 0 where it has none."""
    found: Days = np.zeros(len(names), dtype=np.int64)
    for name, amount_minor in amounts.items():
        found[names == name] = amount_minor
    return found


def _trifles(exposure: Any, assets: Any, de_minimis: Mapping[str, int], below_medium: Flags) -> Flags:
    """Exposures below the de-minimis of their asset; below the medium band where none is written."""
    written = np.isin(assets.astype(str), list(de_minimis))
    trifles: Flags = np.where(written, exposure < _of_each(assets, de_minimis), below_medium)
    return trifles


def _systemic(rows: pa.Table, difference: Days, causes: pa.Array[Any], least: int) -> tuple[Days, Days]:
    """How many exceptions of its kind, asset and cause a row is among, and their net; 0 where they are too few."""
    counted = true_where(kernel.and_(kernel.is_valid(causes), kernel.not_equal(rows["class"], "timing")))
    frame = pd.DataFrame(
        {
            "kind": rows["kind"].to_pandas(),
            "asset": rows["asset"].to_pandas(),
            "cause": causes.to_pandas(),
            "difference": difference,
        }
    )[counted]
    together = frame.groupby(["kind", "asset", "cause"], sort=False)["difference"]
    count: Days = np.zeros(len(difference), dtype=np.int64)
    net: Days = np.zeros(len(difference), dtype=np.int64)
    count[counted] = together.transform("size").to_numpy(dtype=np.int64)
    net[counted] = together.transform("sum").to_numpy(dtype=np.int64)
    few = count < least
    count[few], net[few] = 0, 0
    return count, net


def _weighed(frame: pd.DataFrame, scales: Scales) -> tuple[pa.Array[Any], pa.Array[Any], Flags]:
    """Severity, factors, and which are due the same day; one assessment per distinct combination of circumstances."""
    places = frame.groupby(list(frame.columns), sort=False, dropna=False).ngroup().to_numpy(dtype=np.int64)
    severities, factors, same_day = [], [], []
    for row in frame[~pd.Series(places).duplicated().to_numpy()].to_dict("records"):
        known = {name: value for name, value in row.items() if isinstance(value, str)}
        assessment = assess(
            kind=known["kind"],
            exception_class=known["class"],
            exposure=int(row["exposure"]),
            client_money_shortfall=bool(row["shortfall"]),
            late_business_days=int(row["late"]),
            circumstances=Circumstances(
                share_ppm=int(row["share"]) if row["share"] >= 0 else None,
                regulatory=bool(row["regulated"]),
                is_material=bool(row["material"]),
                is_trifle=bool(row["trifle"]),
                systemic_count=int(row["count"]) or None,
                systemic_net_minor=int(row["net"]) if row["count"] else None,
                floor=SEVERITIES.index(known["floor"]) if "floor" in known else None,
            ),
        )
        severities.append(assessment.severity)
        same_day.append("same_day" in assessment.factors)
        content = {
            **json.loads(known.get("facts", "{}")),
            **assessment.factors,
            "calendar": known.get("calendar", scales.calendar.version),
            "why": known["why"],
        }
        factors.append(json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False))
    picks = pa.array(places, pa.int64())
    flags: Flags = np.array(same_day, dtype=bool)[places]
    return pa.array(severities, pa.string()).take(picks), pa.array(factors, pa.string()).take(picks), flags
