"""How many real files each reader reads, and why it refuses the others: `python -m
tests.reconciliation.formats.corpora_shares`.
"""

import csv
import os
from collections import Counter
from pathlib import Path

from reconciliation.errors import RefusedFile
from reconciliation.formats import camt_053, mastercard_ipm, stripe_payout
from reconciliation.formats.canonical import Format
from tests.reconciliation.formats.camt_builder import OPTIONS

REPOSITORY = Path(__file__).resolve().parents[3]


def shares(corpora: Path) -> dict[str, Counter[str]]:
    """Files by format and outcome: ``read``, or the code of the refusal."""
    with (corpora / "INDEX.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    return {
        "camt.053": _outcomes(
            camt_053, [corpora / row["path"] for row in rows if row["version"].startswith("camt053")]
        ),
        "Mastercard IPM": _outcomes(
            mastercard_ipm, [corpora / row["path"] for row in rows if row["format"] == "card_mc_ipm"]
        ),
        "Stripe payout reports": _outcomes(
            stripe_payout,
            [
                corpora / row["path"]
                for row in rows
                if row["format"] == "psp_stripe" and row["path"].endswith(".csv")
            ],
        ),
    }


def told(found: dict[str, Counter[str]]) -> list[str]:
    """One line for each format, as the README has it."""
    lines = []
    for name, outcomes in found.items():
        refused = ", ".join(f"{count} {code}" for code, count in outcomes.most_common() if code != "read")
        lines.append(f"{name}: {outcomes.total()} files, {outcomes['read']} read, refused: {refused}")
    return lines


def _outcomes(reader: Format, paths: list[Path]) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    for path in sorted(paths):
        try:
            with path.open("rb") as stream:
                reader.read(stream, OPTIONS, lambda batch: None)
            outcomes["read"] += 1
        except RefusedFile as refusal:
            outcomes[refusal.code] += 1
    return Counter(dict(sorted(outcomes.items())))


if __name__ == "__main__":
    folder = Path(os.environ.get("TIEOUT_CORPORA") or REPOSITORY.parent / "shared" / "corpora")
    print("\n".join(told(shares(folder))))  # noqa: T201 - it is a program
