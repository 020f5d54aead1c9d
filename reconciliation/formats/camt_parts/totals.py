"""Counts and sums of the entries of a camt statement, and the totals that the sender states about them.

Law: every count and sum that ``TxsSummry`` states is demanded: it is that of all entries, or of the booked ones.
"""

from dataclasses import dataclass, field
from datetime import date
from typing import Final

from ledger_core.money import exponent_of, format_minor
from reconciliation.errors import RefusedFile
from reconciliation.formats.camt_parts.entry_parts import Parts
from reconciliation.formats.camt_parts.lines import Entry
from reconciliation.formats.camt_parts.money import sign_of
from reconciliation.formats.values import minor_of, refused

_GROUPS: Final = (("TtlNtries", (1, -1)), ("TtlCdtNtries", (1,)), ("TtlDbtNtries", (-1,)))


@dataclass(slots=True)
class Totals:
    """What the entries of a statement, or of one page, add up to. Unsigned sums and counts by direction."""

    booked_sums: dict[int, int] = field(default_factory=lambda: {1: 0, -1: 0})
    booked_counts: dict[int, int] = field(default_factory=lambda: {1: 0, -1: 0})
    other_sums: dict[int, int] = field(default_factory=lambda: {1: 0, -1: 0})
    other_counts: dict[int, int] = field(default_factory=lambda: {1: 0, -1: 0})
    line_count: int = 0
    pending_count: int = 0  # lines that are not booked
    by_details: int = 0  # entries that their details explain
    details: int = 0
    assets: dict[str, str] = field(default_factory=dict)  # asset -> first entry that has it
    first_date: date | None = None
    last_date: date | None = None

    @property
    def movement_minor(self) -> int:
        """Booked credits less booked debits."""
        return self.booked_sums[1] - self.booked_sums[-1]

    @property
    def booked_count(self) -> int:
        """Booked entries."""
        return self.booked_counts[1] + self.booked_counts[-1]

    @property
    def entry_count(self) -> int:
        """Entries of any status."""
        return self.booked_count + self.other_counts[1] + self.other_counts[-1]

    def add(self, entry: Entry, line_count: int, place: str, *, by_details: bool) -> None:
        """Add one entry, of any status."""
        minor, sign = abs(entry.total_minor), entry.coded.sign
        if entry.coded.status == "booked":
            self.booked_sums[sign] += minor
            self.booked_counts[sign] += 1
            self.line_count += line_count
            self.seen(entry.booking_date)
        else:
            self.other_sums[sign] += minor
            self.other_counts[sign] += 1
            self.pending_count += line_count
        if by_details:
            self.by_details += 1
            self.details += line_count
        if entry.asset not in self.assets:
            self.assets[entry.asset] = place

    def merge(self, page: "Totals") -> None:
        """Add the totals of a page."""
        for mine, theirs in (
            (self.booked_sums, page.booked_sums),
            (self.booked_counts, page.booked_counts),
            (self.other_sums, page.other_sums),
            (self.other_counts, page.other_counts),
        ):
            for sign, value in theirs.items():
                mine[sign] += value
        self.line_count += page.line_count
        self.pending_count += page.pending_count
        self.by_details += page.by_details
        self.details += page.details
        for asset, place in page.assets.items():
            self.assets.setdefault(asset, place)
        self.seen(page.first_date)
        self.seen(page.last_date)

    def seen(self, day: date | None) -> None:
        """Widen the period that entries were booked in."""
        if day is not None:
            self.first_date = day if self.first_date is None else min(self.first_date, day)
            self.last_date = day if self.last_date is None else max(self.last_date, day)

    def proofs(self) -> tuple[str, ...]:
        """What the details proved."""
        if not self.by_details:
            return ()
        return (f"{self.by_details} entries = the sums of their {self.details} details",)


def compare_summary(summary: Parts, totals: Totals, asset: str) -> list[str] | RefusedFile:
    """Compare the totals that the sender states with the entries; gives the proofs, or what is wrong."""
    told = _compared(summary, totals.booked_sums, totals.booked_counts, asset, "as booked here")
    if isinstance(told, RefusedFile) and (totals.other_counts[1] or totals.other_counts[-1]):
        sums = {sign: totals.booked_sums[sign] + totals.other_sums[sign] for sign in (1, -1)}
        counts = {sign: totals.booked_counts[sign] + totals.other_counts[sign] for sign in (1, -1)}
        told = _compared(summary, sums, counts, asset, "of any status here")
    return told


def _compared(
    summary: Parts, sums: dict[int, int], counts: dict[int, int], asset: str, which: str
) -> list[str] | RefusedFile:
    exponent = exponent_of(asset)
    proofs = []
    for name, signs in _GROUPS:
        group = f"TxsSummry/{name}"
        if group not in summary:
            continue
        count, sum_minor = sum(counts[sign] for sign in signs), sum(sums[sign] for sign in signs)
        stated_count, stated_sum = summary.get(f"{group}/NbOfNtries"), summary.get(f"{group}/Sum")
        wrong = bool(stated_count) and stated_count is not None and _number(stated_count) != count
        if stated_sum:
            # a plain number without direction; some senders write what was debited with a minus
            wrong = wrong or abs(minor_of(stated_sum, asset, f"{group}/Sum")) != sum_minor
        if wrong:
            return refused(
                "control_total",
                group,
                f"{count} entries of {format_minor(sum_minor, exponent)} {asset} {which}",
                f"{(stated_count or 'no count')[:20]} entries of {(stated_sum or 'no sum')[:40]}",
                "Entries are missing or doubled; ask the bank for the statement again.",
            )
        proofs.append(f"{name}: {stated_count or 'no count'} entries, sum {stated_sum or 'not stated'}")
    return _net_compared(summary, sums, asset, proofs)


def _net_compared(
    summary: Parts, sums: dict[int, int], asset: str, proofs: list[str]
) -> list[str] | RefusedFile:
    """The net of all entries: a record of its own from version 4 on, two elements of the group before."""
    group = "TxsSummry/TtlNtries"
    record = f"{group}/TtlNetNtry"
    path = f"{record}/Amt" if record in summary else f"{group}/TtlNetNtryAmt"
    indicator = summary.get(f"{record if record in summary else group}/CdtDbtInd")
    text = summary.get(path)
    if not text:
        return proofs
    net_minor = abs(minor_of(text, asset, path))
    if net_minor and indicator:
        net_minor *= sign_of(indicator, group)
    found_minor = sums[1] - sums[-1]
    if net_minor != (found_minor if indicator else abs(found_minor)):
        exponent = exponent_of(asset)
        return refused(
            "control_total",
            path,
            f"{format_minor(found_minor, exponent)} {asset}, the net of the entries here",
            format_minor(net_minor, exponent),
            "Entries are missing or doubled; ask the bank for the statement again.",
        )
    return [*proofs, f"net of all entries {text}"]


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 18 else None
