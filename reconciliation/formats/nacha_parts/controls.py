"""NACHA's control records: what 8 and 9 say, against what the entries are.

Law: every batch proves its count of entries and addenda, its hash of routing numbers, its debits and its credits; the
file proves the sums of its batches and its blocks of ten. What differs is refused, or flagged where a person waived it.
"""

from dataclasses import dataclass
from typing import Final

from ledger_core.money import format_minor
from reconciliation.formats.canonical import ReadOptions
from reconciliation.formats.nacha_parts.records import number_of, total_of
from reconciliation.formats.values import difference_in_words, refused

HASH_MODULUS: Final = 10**10  # the hash fields keep the last ten digits
_REMEDY: Final = "Records are missing, doubled or changed; ask the sender for the file again."

# Where the figures stand in batch control 8 and file control 9, and in those of advice (ADV) batches and files.
_BATCH_FIELDS: Final = {
    False: ((4, 10), (10, 20), (20, 32), (32, 44)),
    True: ((4, 10), (10, 20), (20, 40), (40, 60)),
}
_FILE_FIELDS: Final = {
    False: ((13, 21), (21, 31), (31, 43), (43, 55)),
    True: ((13, 21), (21, 31), (31, 51), (51, 71)),
}
_NAMES: Final = ("entry and addenda count", "entry hash", "total debits", "total credits")


@dataclass(slots=True)
class Totals:
    """Sums of a batch while it goes by, or of a file's batch controls."""

    records: int = 0
    routing: int = 0
    debits: int = 0
    credits: int = 0
    batches: int = 0

    def figures(self) -> tuple[int, int, int, int]:
        """In the order of the control records."""
        return self.records, self.routing % HASH_MODULUS, self.debits, self.credits


def check_batch(
    found: Totals, text: str, place: str, *, advice: bool, options: ReadOptions
) -> tuple[Totals, list[str]]:
    """The totals as the batch control states them, and a flag for each that is not what the entries add up to."""
    stated, flags = _compare(found, text, _BATCH_FIELDS[advice], place, options)
    return Totals(*stated), flags


def check_file(
    found: Totals, text: str, place: str, *, advice: bool, blocks: frozenset[int], options: ReadOptions
) -> list[str]:
    """A flag for each figure of the file control that is not what its batches add up to."""
    batches = number_of(text[1:7], f"{place}, batch count")
    flags = []
    if batches != found.batches:
        flags.append(_demand(f"{place}, batch count", found.batches, batches, "", options))
    stated_blocks = number_of(text[7:13], f"{place}, block count")
    if stated_blocks not in blocks:
        flags.append(_demand(f"{place}, block count", min(blocks), stated_blocks, "", options))
    return flags + _compare(found, text, _FILE_FIELDS[advice], place, options)[1]


def in_words(totals: Totals) -> str:
    """The proved figures of a file."""
    records, routing, debit_minor, credit_minor = totals.figures()
    return (
        f"file control 9: {totals.batches} batches, {records} entries and addenda, hash {routing}, "
        f"debits {format_minor(debit_minor, 2)} and credits {format_minor(credit_minor, 2)} USD, "
        "as every batch control 8 adds up to"
    )


def _compare(
    found: Totals, text: str, fields: tuple[tuple[int, int], ...], place: str, options: ReadOptions
) -> tuple[list[int], list[str]]:
    stated, flags = [], []
    for name, (start, end), figure in zip(_NAMES, fields, found.figures(), strict=True):
        value = total_of(text[start:end], f"{place}, {name}")
        stated.append(value)
        if value != figure:
            gap = f", {difference_in_words(figure, value, 'USD')}" if name.startswith("total") else ""
            flags.append(_demand(f"{place}, {name}", figure, value, gap, options))
    return stated, flags


def _demand(place: str, expected: int, found: int, gap: str, options: ReadOptions) -> str:
    return options.demand(refused("control_total", place, f"{expected}", f"{found}{gap}", _REMEDY))
