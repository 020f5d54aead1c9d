"""The statement of a day in a few short lines, for a terminal and for scripts that read lines. Pure.

Example:
    bank 2026-11-13
      file camt053_2026-11-13.xml: accepted
      lines 42, matched 36 (85.7 %): exact 30, key_sum 6
      open timing missing_at_source (info): 4, 120.00 EUR
      assets:bank:eur: source 1002.00 (stated), ledger 1250.00, timing -120.00, genuine 0.00: tied out
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ledger_core.money import exponent_of, format_minor
from reconciliation.evidence.statement import DayStatement
from reconciliation.evidence.statement_parts import TIMING, UNJUDGED


def statement_text(statement: DayStatement) -> str:
    """The statement in short lines."""
    return "\n".join([f"{statement.source_id} {statement.day}", *(f"  {line}" for line in _lines(statement))])


def _lines(statement: DayStatement) -> Iterator[str]:
    yield from _files(statement)
    yield _matched(statement)
    yield from _open(statement)
    yield from (_account(account) for account in statement.accounts)
    waiting, alerts = len(statement.record["waiting_proposals"]), len(statement.record["alerts"])
    if waiting:
        yield f"proposals that wait {waiting:,}"
    yield f"alerts {alerts:,}"
    yield from (f"cannot be signed: {said}" for said in statement.obstacles)


def _files(statement: DayStatement) -> Iterator[str]:
    deliveries = statement.record["deliveries"]
    flags = {file["file_name"]: "; ".join(file["flags"]) for file in statement.books["files"]["received"]}
    for delivery in deliveries:
        reasons = [flags.get(delivery["file_name"], ""), _refusal(delivery)]
        because = "; ".join(filter(None, reasons))
        yield f"file {delivery['file_name']}: {delivery['outcome']}{f' ({because})' if because else ''}"
    if not deliveries:
        yield "no file"
    for missing in statement.books["files"]["missing"]:
        yield f"missing file of {missing['account'] or statement.source_id} for {missing['date']}"


def _refusal(delivery: Mapping[str, Any]) -> str:
    if delivery["refusal_code"] is None:
        return ""
    found = f"expected {delivery['refusal_expected']}, found {delivery['refusal_found']}"
    return f"{delivery['refusal_place']}: {found}"


def _matched(statement: DayStatement) -> str:
    counts: Counter[str] = Counter()
    passes: Counter[str] = Counter()
    for account in statement.accounts:
        counts.update(account["counts"] or {})
        passes.update({row["match_pass"]: row["external_lines"] + row["ledger_lines"] for row in account["passes"]})
    if not counts["lines"]:
        return "lines 0, nothing to match"
    permille = counts["matched"] * 1000 // counts["lines"]
    told = ", ".join(f"{name} {count:,}" for name, count in sorted(passes.items()) if count) or "none"
    return f"lines {counts['lines']:,}, matched {counts['matched']:,} ({permille // 10}.{permille % 10} %): {told}"


def _open(statement: DayStatement) -> Iterator[str]:
    counts: Counter[tuple[str, str, str, str]] = Counter()
    sums: Counter[tuple[str, str, str, str]] = Counter()
    for account in statement.accounts:
        for item in account["open_items"]:
            if item["bucket"] == UNJUDGED:
                key = (UNJUDGED, "line", "no run has seen it", account["asset"])
            else:
                key = (item["class"] or TIMING, item["kind"] or "line", item["severity"] or "info", account["asset"])
            counts[key] += 1
            sums[key] += abs(item["amount_minor"])
    for row in statement.books["exceptions_without_lines"]:
        key = (row["class"], row["kind"], row["severity"], row["asset"] or "")
        counts[key] += 1
        sums[key] += abs(row["amount_minor"])
    for key in sorted(counts):
        exception_class, kind, severity, asset = key
        money = f", {_money(sums[key], asset)} {asset}" if asset else ""
        yield f"open {exception_class} {kind} ({severity}): {counts[key]:,}{money}"
    if not counts:
        yield "nothing open"


def _account(account: Mapping[str, Any]) -> str:
    name, asset, bridge = account["account"], account["asset"], account["bridge"]
    if bridge is None:
        return f"{name}: not proved"

    def net(bucket: str) -> str:
        return _money(bridge[f"{bucket}_external_minor"] - bridge[f"{bucket}_ledger_minor"], asset)

    has_excluded = bridge["excluded_external_minor"] or bridge["excluded_ledger_minor"]
    excluded = f", excluded {net('excluded')}" if has_excluded else ""
    rest = bridge["unexplained_minor"]
    state = f"NOT tied out, unexplained {_money(rest, asset)}" if rest else "tied out"
    return (
        f"{name}: source {_money(account['closing_minor'], asset)} ({account['basis']}), ledger"
        f" {_money(bridge['ledger_minor'], asset)}, timing {net('timing')}, genuine {net('genuine')}"
        f"{excluded}: {state}"
    )


def _money(amount_minor: int, asset: str) -> str:
    return format_minor(amount_minor, exponent_of(asset))
