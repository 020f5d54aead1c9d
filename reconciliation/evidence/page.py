"""A source's day told in short lines, as a plain value and as Dagster's table of bridges. No query, no clock.

What people print and sign is ``statement_page``; this is for the runs themselves.
"""

from collections.abc import Iterable
from typing import Any

from ledger_core.money import exponent_of, format_minor
from reconciliation.evidence.bridge import Proof
from reconciliation.evidence.day import SourceDay


def day_as_value(day: SourceDay) -> dict[str, Any]:
    """The day as plain lists and mappings, for JSON. Amounts are integers of minor units."""
    return {
        "source": day.source_id,
        "date": day.day.isoformat(),
        "tied_out": day.tied_out,
        "files": [
            {
                "file_name": file["file_name"],
                "sha256": file["file_sha256"],
                "outcome": file["outcome"],
                "refusal": _refusal(file),
                "flags": file["flags"],
            }
            for file in day.files
        ],
        "lines": day.line_count,
        "matched_by_pass": dict(day.matched_by_pass),
        "exceptions": [
            {
                "class": group.exception_class,
                "kind": group.kind,
                "severity": group.severity,
                "asset": group.asset,
                "count": group.item_count,
                "amount_minor": group.amount_minor,
            }
            for group in day.exceptions
        ],
        "proofs": [
            {name: _plain(getattr(proof, name)) for name in Proof.__dataclass_fields__}
            for proof in day.proofs
        ],
        "alerts": day.alert_count,
    }


def day_as_text(day: SourceDay) -> str:
    """The day in a few lines for a terminal."""
    lines = [f"{day.source_id} {day.day}"]
    lines += [f"  file {file['file_name']}: {file['outcome']}{_because(file)}" for file in day.files] or [
        "  no file"
    ]
    lines.append(f"  lines {day.line_count:,}, matched {_share(day)}: {_passes(day)}")
    lines += [f"  open {line}" for line in _open_in_words(day)] or ["  nothing open"]
    lines += [f"  {_proof_in_words(proof)}" for proof in day.proofs]
    lines.append(f"  alerts {day.alert_count}")
    return "\n".join(lines)


def bridge_table(proofs: Iterable[Proof]) -> str:
    """The bridges as a small Markdown table, for Dagster's page."""
    rows = [
        f"| {proof.account} | {_amount(proof, 'ledger_minor')} | {_amount(proof, 'closing_minor')} | "
        f"{_open_amount(proof, 'timing')} | {_open_amount(proof, 'genuine')} | {_amount(proof, 'unexplained_minor')} | "
        f"{'tied out' if proof.tied_out else 'NOT tied out'} |"
        for proof in proofs
    ]
    head = "| account | ledger | source | timing | genuine | unexplained | |\n|---|--:|--:|--:|--:|--:|---|"
    return "\n".join([head, *rows])


def _proof_in_words(proof: Proof) -> str:
    state = (
        "tied out" if proof.tied_out else f"NOT tied out, unexplained {_amount(proof, 'unexplained_minor')}"
    )
    has_excluded = proof.excluded_external_minor or proof.excluded_ledger_minor
    excluded = f", excluded {_open_amount(proof, 'excluded')}" if has_excluded else ""
    return (
        f"{proof.account}: source {_amount(proof, 'closing_minor')} ({proof.basis}), "
        f"ledger {_amount(proof, 'ledger_minor')}, "
        f"timing {_open_amount(proof, 'timing')}, genuine {_open_amount(proof, 'genuine')}{excluded}: {state}"
    )


def _open_in_words(day: SourceDay) -> list[str]:
    return [
        f"{group.exception_class} {group.kind} ({group.severity}): {group.item_count:,}"
        + (
            f", {format_minor(group.amount_minor, exponent_of(group.asset))} {group.asset}"
            if group.asset
            else ""
        )
        for group in day.exceptions
    ]


def _passes(day: SourceDay) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(day.matched_by_pass.items())) or "none"


def _share(day: SourceDay) -> str:
    if not day.line_count:
        return "nothing to match"
    permille = day.matched_count * 1000 // day.line_count
    return f"{permille // 10}.{permille % 10} %"


def _because(file: Any) -> str:
    words = [words for words in (_refusal(file), file["flags"]) if words]
    return f" ({'; '.join(words)})" if words else ""


def _refusal(file: Any) -> str | None:
    if file["refusal_code"] is None:
        return None
    found = f"expected {file['refusal_expected']}, found {file['refusal_found']}"
    return f"{file['refusal_place']}: {found}. {file['refusal_remedy']}"


def _amount(proof: Proof, name: str) -> str:
    return format_minor(getattr(proof, name), exponent_of(proof.asset))


def _open_amount(proof: Proof, bucket: str) -> str:
    net = getattr(proof, f"{bucket}_external_minor") - getattr(proof, f"{bucket}_ledger_minor")
    return format_minor(net, exponent_of(proof.asset))


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value
