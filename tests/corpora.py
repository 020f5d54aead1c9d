"""What becomes of every real file: `make corpora` prints it per format and repository, with a summary per format.

Each file is recognised, or read as what its folder says it is; read as it stands, else with its failed proof waived,
else refused. What is read is compared with what independent readers found (`EXPECTED.csv`).
"""

import csv
import io
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TypeVar

import pyarrow.compute as pc

from reconciliation.errors import RefusedFile
from reconciliation.formats.canonical import WAIVABLE_CODES, WholeDelivery, read_whole
from reconciliation.formats.registry import FORMATS, HEAD_BYTES, recognise
from tests.reconciliation.formats.camt_builder import OPTIONS

Key = TypeVar("Key", str, tuple[str, str])

REPOSITORY = Path(__file__).resolve().parents[1]

READERS: Mapping[str, tuple[str, ...]] = {
    "aeb43": ("aeb43",),
    "bai2": ("bai2",),
    "camt": ("camt.053", "camt.052", "camt.054"),
    "card_amex": ("amex.eptrn", "amex.grrcn"),
    "card_mc_ipm": ("mastercard.ipm",),
    "card_visa_ctf": ("visa.base2",),
    "cfonb120": ("cfonb120",),
    "coda": ("coda",),
    "mt94x": ("mt940", "mt942", "mt950"),
    "nacha": ("nacha",),
    "ofx": ("ofx",),
    "psp_adyen": ("adyen.settlement_detail",),
    "psp_braintree": ("braintree.settlement",),
    "psp_checkoutcom": ("checkoutcom.settlement_breakdown",),
    "psp_paypal": ("paypal.stl", "paypal.trr"),
    "psp_stripe": ("stripe.payout_reconciliation", "stripe.balance_activity", "stripe.api"),
}
"""Folder to the readers of its formats; files of other folders are for mapped sources and have no standard to prove."""

SAMPLES = frozenset({"entries", "no-entries", "fragment", "investment-only"})  # what INDEX.csv calls content


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A real file and what is known of it; ``expected`` is empty where no independent reader spoke."""

    folder: str
    repository: str
    path: Path
    content: str
    confidence: str
    expected: tuple[int, int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """``outcome`` is ``proved``, ``flagged`` or the code of the refusal; ``flag`` the code that had to be waived."""

    sample: Sample
    format_name: str
    outcome: str
    flag: str = ""
    refusal: RefusedFile | None = None
    whole: WholeDelivery | None = None

    @property
    def agrees(self) -> bool | None:
        """Whether count and total are those that independent readers found; None where there is nothing to compare."""
        if self.whole is None or self.sample.expected is None:
            return None
        return self.sample.expected in set(_counted(self.whole))


def samples(corpora: Path) -> Iterator[Sample]:
    """Every file that is a sample of a format we read, in the order of the index."""
    with (corpora / "EXPECTED.csv").open(newline="", encoding="utf-8") as stream:
        expected = {row["path"]: row for row in csv.DictReader(stream)}
    with (corpora / "INDEX.csv").open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            if row["format"] in READERS and row["content"] in SAMPLES:
                known = expected.get(row["path"], {})
                agreed = known.get("confidence", "").startswith("consensus")
                yield Sample(
                    folder=row["format"],
                    repository=row["repo"],
                    path=corpora / row["path"],
                    content=row["content"],
                    confidence=known.get("confidence", ""),
                    expected=(int(known["lines"]), int(known["signed_minor"])) if agreed else None,
                )


def result_of(sample: Sample) -> Result:
    """Read one file as `tieout ingest` would, and once more with its proof waived where that was what failed."""
    content = sample.path.read_bytes()
    known = recognise(content[:HEAD_BYTES])
    name = known if known in READERS[sample.folder] else READERS[sample.folder][0]
    try:
        whole = read_whole(FORMATS[name], io.BytesIO(content), OPTIONS)
    except RefusedFile as refusal:
        first = refusal
    else:
        return Result(sample=sample, format_name=name, outcome="proved", whole=whole)
    if first.code not in WAIVABLE_CODES:
        return Result(sample=sample, format_name=name, outcome=first.code, refusal=first)
    try:
        whole = read_whole(FORMATS[name], io.BytesIO(content), replace(OPTIONS, waived=WAIVABLE_CODES))
    except RefusedFile as second:
        return Result(sample=sample, format_name=name, outcome=second.code, refusal=second)
    return Result(
        sample=sample, format_name=name, outcome="flagged", flag=first.code, refusal=first, whole=whole
    )


@cache
def results(corpora: Path) -> Sequence[Result]:
    """The results of all samples, read once."""
    return tuple(result_of(sample) for sample in samples(corpora))


def summary(found: Iterable[Result]) -> list[str]:
    """One line for each folder: how many files are read and proved, flagged, refused and why; how many agree."""
    lines = []
    for folder, group in sorted(_by(found, lambda result: result.sample.folder).items()):
        lines.append(f"{folder}: {_told(group)}")
    return lines


def table(found: Iterable[Result]) -> list[str]:
    """One line for each folder and repository."""
    groups = _by(found, lambda result: (result.sample.folder, result.sample.repository))
    return [
        f"{folder:16} {repository:60} {_told(group)}"
        for (folder, repository), group in sorted(groups.items())
    ]


def _told(group: Sequence[Result]) -> str:
    outcomes = Counter(result.outcome for result in group)
    refused = ", ".join(
        f"{count} {code}" for code, count in sorted(outcomes.items()) if code not in ("proved", "flagged")
    )
    compared = [result.agrees for result in group if result.agrees is not None]
    parts = [
        f"{len(group)} {'file' if len(group) == 1 else 'files'}",
        f"{outcomes['proved']} read and proved",
        f"{outcomes['flagged']} read with a flag",
        f"refused: {refused or 'none'}",
    ]
    if compared:
        parts.append(f"{sum(compared)} of {len(compared)} as independent readers say")
    return "; ".join(parts)


def _counted(whole: WholeDelivery) -> Iterator[tuple[int, int]]:
    """Entries and their total, of what is booked and of everything told: independent readers count one or the other."""
    lines = whole.lines
    for told in (lines, lines.filter(pc.equal(lines["status"], "booked"))):
        entries = set(zip(told["statement_no"].to_pylist(), told["record_no"].to_pylist(), strict=True))
        total_minor = sum(told["amount_minor"].to_pylist())
        yield len(entries), total_minor
        yield told.num_rows, total_minor


def _by(found: Iterable[Result], key: Callable[[Result], Key]) -> dict[Key, list[Result]]:
    groups: dict[Key, list[Result]] = defaultdict(list)
    for result in found:
        groups[key(result)].append(result)
    return groups


def main() -> int:
    """Print the tables; 1 where a file that is read disagrees with the independent readers."""
    folder = Path(os.environ.get("TIEOUT_CORPORA") or REPOSITORY.parent / "shared" / "corpora")
    if not folder.is_dir():
        sys.stderr.write(f"{folder}: expected the real files, found none; set TIEOUT_CORPORA\n")
        return 2
    found = results(folder)
    sys.stdout.write("\n".join([*table(found), "", *summary(found)]) + "\n")
    wrong = [result for result in found if result.agrees is False]
    for result in wrong:
        sys.stderr.write(f"disagrees: {result.sample.path}: {result.outcome}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
