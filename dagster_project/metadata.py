"""What the assets tell of themselves: numbers that plot, and a few lines of Markdown. Pure.

Law: this is the border where money may become a float, for the axis of a plot; the exact amount stands beside it as
text. Names stay the same every day and zero is a number, so that a curve has no holes. Nothing here names a person, a
reference or a path.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import dagster as dg

from dagster_project.web.links import list_address, statement_address
from ledger_core.money import exponent_of, format_minor
from reconciliation.classification import TimingQuality
from reconciliation.daily.reconcile import RunOutcome
from reconciliation.evidence.chain import ChainProof
from reconciliation.evidence.day import SourceDay
from reconciliation.evidence.page import bridge_table
from reconciliation.intake.delivery import DeliveryOutcome
from reconciliation.sources import Source

Metadata = dict[str, Any]
SHOWN_ACCOUNTS = 20
_RELEASED = re.compile(r"\Areleased by .* in spite of (\w+): .*\Z", re.DOTALL)


def plain(value: Any) -> bool | int | float | str | None:
    """A value as Dagster takes it: numpy scalars unpacked; decimals, dates and whatever else as text; NaN as None."""
    if hasattr(value, "item"):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return None if value != value else value  # noqa: PLR0124 - NaN alone differs from itself
    if isinstance(value, date | datetime):
        return value.isoformat()
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> dg.MarkdownMetadataValue:
    """A Markdown table."""
    listed = [[_cell(value) for value in row] for row in rows]
    lines = [columns, ["---"] * len(columns), *listed]
    return dg.MetadataValue.md("\n".join("| " + " | ".join(line) + " |" for line in lines))


def of_delivery(outcomes: Sequence[DeliveryOutcome], missing: Sequence[str]) -> Metadata:
    """What was taken in now, and what is still missing for the day."""
    count = dict.fromkeys(("accepted", "corrected", "redelivered", "rejected"), 0)
    for outcome in outcomes:
        count[outcome.outcome] += 1
    told = {f"Files {name}": number for name, number in count.items()}
    rows = [
        (outcome.file_name, outcome.outcome, outcome.line_count, outcome.provisional_count)
        for outcome in outcomes
    ]
    notes = [(outcome.file_name, _without_names(note)) for outcome in outcomes for note in outcome.notes]
    return {
        "Deliveries": table(["file", "outcome", "lines", "provisional"], rows),
        "dagster/row_count": len(outcomes),
        **told,
        "Files missing": len(missing),
        "Lines provisional": sum(outcome.provisional_count for outcome in outcomes),
        "Notes": len(notes),
        **({"Notes of the files": table(["file", "note"], notes)} if notes else {}),
    }


def of_lines(day: SourceDay) -> Metadata:
    """How many lines the source told for the day, and in which files."""
    rows = [(file["file_name"], file["outcome"], file["line_count"]) for file in day.files]
    return {
        "Files of the day": table(["file", "outcome", "lines"], rows),
        "dagster/row_count": day.line_count,
        "Lines": day.line_count,
        "Files": len(day.files),
    }


def of_matches(day: SourceDay, outcome: RunOutcome) -> Metadata:
    """The share matched, by pass, and what this run did."""
    rows = sorted(day.matched_by_pass.items())
    return {
        "Matched by pass": table(["pass", "lines"], rows),
        "dagster/row_count": day.matched_count,
        "Matched %": matched_percent(day),
        "Lines matched": day.matched_count,
        "Lines open": day.line_count - day.matched_count,
        "Groups made": outcome.groups_made,
        "Groups undone": outcome.groups_revoked,
        "Arrivals confirmed": outcome.legs_made,
    }


def of_exceptions(day: SourceDay, source: Source, timing: TimingQuality | None, review_url: str) -> Metadata:
    """What is open, by class, and its value by asset; how well the word timing has kept of late; where to work it."""
    opened = day.value_open()
    rows = [
        (group.exception_class, group.kind, group.severity, group.item_count, _money(group.amount_minor, group.asset))
        for group in day.exceptions
    ]
    return {
        "Open exceptions": table(["class", "kind", "severity", "count", "value"], rows),
        "Work them": dg.MetadataValue.url(list_address(review_url, source.id)),
        "dagster/row_count": day.count(),
        "Open genuine": day.count(exception_class="genuine"),
        "Open timing": day.count(exception_class="timing"),
        "Open source gaps": day.count(exception_class="source_gap"),
        "Open for review": day.count(exception_class="review"),
        "Open critical": day.count(at_least="critical"),
        "Timing judged": timing.judged_count if timing else 0,
        "Timing precision %": _percent(timing.precision_ppm if timing else None),
        "Timing recall %": _percent(timing.recall_ppm if timing else None),
        **_plotted("Value open", {asset: opened.get(asset, 0) for asset in _assets(source)}),
        "Value open": _amounts(opened),
    }


def of_chains(proof: ChainProof) -> Metadata:
    """Where the chains of events end, kept here as a witness, and the first thing that is wrong, if anything is."""
    heads = [(head.origin, head.length, head.hash) for head in proof.heads]
    faults = [(fault.origin, fault.chain_no, fault.event_id, fault.problem) for fault in proof.faults]
    return {
        "Events": proof.event_count,
        "Ends of the chains": table(["chain", "links", "last link"], heads),
        "Faults": len(faults),
        **({"What is wrong": table(["chain", "link", "event", "problem"], faults)} if faults else {}),
    }


def of_statement(day: SourceDay, review_url: str) -> Metadata:
    """Whether the day ties out, and the bridge of each account; all as it was on that day, whenever it is told."""
    unexplained: dict[str, int] = {}
    for proof in day.proofs:
        unexplained[proof.asset] = unexplained.get(proof.asset, 0) + abs(proof.unexplained_minor)
    return {
        "Bridge": dg.MetadataValue.md(bridge_table(day.proofs)),
        "Statement": dg.MetadataValue.url(statement_address(review_url, day.source_id, day.day)),
        "dagster/row_count": len(day.proofs),
        "Accounts tied out": len(day.proofs) - day.unexplained_count,
        "Accounts not tied out": day.unexplained_count,
        "Matched %": matched_percent(day),
        "Lines timing": sum(proof.timing_count for proof in day.proofs),
        "Lines genuine": sum(proof.genuine_count for proof in day.proofs),
        **_plotted("Unexplained", unexplained),
        "Unexplained": _amounts(unexplained),
    }


def of_feed(
    first: int, last: int, lines: int, days: Mapping[str, int], accounts: Mapping[str, int]
) -> Metadata:
    """What was posted at some positions of the feed: entries by UTC day of effect, and the accounts most written to."""
    most = sorted(accounts.items(), key=lambda pair: (-pair[1], pair[0]))
    return {
        "Entries": last - first + 1,
        "Lines": lines,
        "First position": first,
        "Newest position": last,
        "Days": table(["day (UTC)", "entries"], sorted(days.items())),
        "Accounts": table(["account", "entries"], most[:SHOWN_ACCOUNTS]),
        "Accounts in all": len(accounts),
    }


def of_trial_balance(rows: Sequence[Mapping[str, Any]]) -> Metadata:
    """Debits and credits by asset; ``rows`` as the ledger's trial balance tells them."""
    told = [
        (
            asset,
            format_minor(sum(row["debit_minor"] for row in listed), listed[0]["exponent"]),
            format_minor(sum(row["credit_minor"] for row in listed), listed[0]["exponent"]),
            sum(bool(row["debit_minor"] or row["credit_minor"]) for row in listed),
        )
        for asset, listed in sorted(_by_asset(rows).items())
    ]
    return {
        "Trial balance": table(["asset", "debits", "credits", "accounts in use"], told),
        "dagster/row_count": len(rows),
        "Accounts": len(rows),
        "Assets": len(told),
    }


def uneven(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Assets whose debits and credits differ, with debits less credits in minor units."""
    rests = {
        asset: sum(row["debit_minor"] - row["credit_minor"] for row in listed)
        for asset, listed in _by_asset(rows).items()
    }
    return {asset: rest for asset, rest in rests.items() if rest}


def matched_percent(day: SourceDay) -> float:
    """Share of the day's lines that are explained, in percent with one decimal; 100 where there was none to match."""
    return day.matched_count * 1000 // day.line_count / 10 if day.line_count else 100.0


def _percent(ppm: int | None) -> float:
    """Parts per million in percent, with two decimals; 100 where there was nothing to judge."""
    return 100.0 if ppm is None else ppm // 100 / 100


def _by_asset(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    listed: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        listed.setdefault(row["asset"], []).append(row)
    return listed


def _assets(source: Source) -> list[str]:
    return sorted({account.asset for account in source.accounts})


def _plotted(name: str, sums: Mapping[str, int]) -> Metadata:
    """Major units for the axis of a plot; exact figures are in the text beside."""
    return {f"{name} {asset}": minor / 10 ** exponent_of(asset) for asset, minor in sums.items()}


def _amounts(sums: Mapping[str, int]) -> str:
    return ", ".join(_money(minor, asset) for asset, minor in sums.items()) or "none"


def _money(amount_minor: int, asset: str | None) -> str:
    return "" if asset is None else f"{format_minor(amount_minor, exponent_of(asset))} {asset}"


def _without_names(note: str) -> str:
    """A note without who released a file and what they wrote about it: that is for the delivery's own page."""
    return _RELEASED.sub(r"released in spite of \1", note)


def _cell(value: object) -> str:
    """One cell: a bar would begin another one, and a file name may hold anything."""
    return str(plain(value)).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
