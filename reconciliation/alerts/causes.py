"""Which findings are worth an alert, and its words. Pure: rows in, alerts out.

Law: one alert for one cause, with count and sum; nothing of a person, a text or a reference in it, as it leaves the
house by ways that others run.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType
from typing import Any, Final

from ledger_core.money import exponent_of, format_minor
from reconciliation.errors import RefusedFile
from reconciliation.vocabulary import SEVERITIES

LOUD_CLASSES: Final = frozenset({"genuine", "review"})
"""Classes that alert from severity high on; a source gap always does."""

_HIGH: Final = SEVERITIES.index("high")


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One row of the outbox. ``sums`` maps an asset to the value concerned in minor units, signs left out."""

    cause_key: str
    source_id: str
    business_date: date | None
    severity: str
    title: str
    body: str
    item_count: int
    sums: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


def alerts_of_exceptions(
    rows: Iterable[Mapping[str, Any]], *, source_id: str, exponent: Callable[[str], int] = exponent_of
) -> list[Alert]:
    """One alert for each business date and kind among the rows that are worth one.

    ``rows`` have ``as_of``, ``kind``, ``class``, ``severity``, ``asset`` (None where nothing is counted),
    ``item_count`` and ``amount_minor``; several rows of one date and kind are added up.
    """
    causes: dict[tuple[date, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        if _is_loud(row["class"], row["severity"]):
            causes.setdefault((row["as_of"], row["kind"]), []).append(row)
    return [_of_cause(source_id, day, kind, causes[day, kind], exponent) for day, kind in sorted(causes)]


def alerts_of_lateness(
    rows: Iterable[Mapping[str, Any]], *, source_id: str, exponent: Callable[[str], int] = exponent_of
) -> list[Alert]:
    """One alert for each business date on which exceptions became late: nobody dealt with them in time.

    ``rows`` have ``as_of``, ``severity``, ``asset``, ``item_count`` and ``amount_minor``.
    """
    by_day: dict[date, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_day.setdefault(row["as_of"], []).append(row)
    return [
        _told(
            source_id,
            day,
            by_day[day],
            exponent,
            cause_key=f"late:{source_id}:{day}",
            title="not dealt with in time",
            first=f"Source {source_id}, business date {day}: past the day by which somebody deals with them.",
            details=f"tieout exceptions list --source {source_id} --late",
        )
        for day in sorted(by_day)
    ]


def alert_of_refusal(
    *, source_id: str, file_name: str, file_sha256: str, for_date: date | None, refusal: RefusedFile
) -> Alert:
    """The alert of a refused file: one for each content, however often it is delivered."""
    return Alert(
        cause_key=f"refused:{source_id}:{file_sha256}",
        source_id=source_id,
        business_date=for_date,
        severity="high",
        title=f"{source_id}: a delivery was refused ({refusal.code})",
        body="\n".join(
            (
                f"File: {file_name}",
                f"Content: SHA-256 {file_sha256}",
                f"Reason: {refusal.code}. Nothing of it was loaded; what was there before stays.",
                f"Details: tieout deliveries --source {source_id}",
            )
        ),
        item_count=1,
    )


def _is_loud(class_name: str, severity: str) -> bool:
    return class_name == "source_gap" or (class_name in LOUD_CLASSES and SEVERITIES.index(severity) >= _HIGH)


def _of_cause(
    source_id: str, day: date, kind: str, rows: Sequence[Mapping[str, Any]], exponent: Callable[[str], int]
) -> Alert:
    words = kind.replace("_", " ")
    severity = _worst(rows)
    return _told(
        source_id,
        day,
        rows,
        exponent,
        cause_key=f"exceptions:{source_id}:{day}:{kind}:{severity}",
        title=words,
        first=f"Source {source_id}, business date {day}, kind {words}, highest severity {severity}.",
        details=f"tieout exceptions list --source {source_id}",
    )


def _told(
    source_id: str,
    day: date,
    rows: Sequence[Mapping[str, Any]],
    exponent: Callable[[str], int],
    *,
    cause_key: str,
    title: str,
    first: str,
    details: str,
) -> Alert:
    """Rows of one cause added up, in words."""
    item_count = sum(int(row["item_count"]) for row in rows)
    sums: dict[str, int] = {}
    counts: dict[str, int] = {}
    for row in rows:
        asset, amount_minor = row["asset"], abs(int(row["amount_minor"]))
        if asset is not None:
            counts[asset] = counts.get(asset, 0) + int(row["item_count"])
            sums[asset] = sums.get(asset, 0) + amount_minor
    noun = "exception" if item_count == 1 else "exceptions"
    figures = [
        f"{asset}: {counts[asset]} of {format_minor(sums[asset], exponent(asset))} in all"
        for asset in sorted(sums)
    ]
    severity = _worst(rows)
    return Alert(
        cause_key=cause_key,
        source_id=source_id,
        business_date=day,
        severity=severity,
        title=f"{source_id} {day}: {item_count} {noun}, {title}, {severity}",
        body="\n".join((first, *figures, f"Details: {details}")),
        item_count=item_count,
        sums=MappingProxyType(sums),
    )


def _worst(rows: Iterable[Mapping[str, Any]]) -> str:
    return SEVERITIES[max(SEVERITIES.index(row["severity"]) for row in rows)]
