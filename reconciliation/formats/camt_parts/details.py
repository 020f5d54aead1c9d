"""Details of a camt entry: whether they explain it to the last unit, and the lines that follow.

Law: the lines of an entry always sum to the entry, so the balance proof over entries is a proof over lines; details
that do not add up leave the entry whole, and are noted. Counts and sums that a batch states about its details are
demanded. Of very many details a thousand are held as they were read, the others as Arrow batches.
"""

from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa

from ledger_core.money import exponent_of, format_minor
from reconciliation.formats.camt_parts.entry_parts import Parts, amount_at, each
from reconciliation.formats.camt_parts.fields import add_masked, text_parts
from reconciliation.formats.camt_parts.lines import COLUMNS, Entry, line_of
from reconciliation.formats.camt_parts.money import leaf_minor, unsigned_minor
from reconciliation.formats.canonical import LINES_PER_BATCH, Emit, ReadOptions, RowWriter
from reconciliation.formats.notes import Notes
from reconciliation.formats.values import difference_in_words, reference, refused, shown

DETAILS_HELD: Final = 1_000

_LATE: Final = frozenset({"NtryDtls", "AddtlNtryInf"})  # what comes with and after the details


class LeafRun:
    """Lines of the details of one entry, held until it is known whether they add up to it."""

    def __init__(self, entry: Entry, options: ReadOptions) -> None:
        self.entry = entry
        self.sum_minor: int | None = 0  # None once a detail has no amount in the entry's currency
        self.group_sums: list[int] = []
        self.payments: set[str] = set()  # of batches that details name themselves; two are as good as many
        self._options = options
        self._count = 0
        self._rows: list[dict[str, Any]] = []
        self._held: list[pa.RecordBatch] = []

    def add(self, detail: Parts, group: int, batch_ref: str | None) -> None:
        """Add the line of one more detail, of so many-th group."""
        own_batch = reference(detail.get("Refs/PmtInfId"))
        if own_batch and len(self.payments) < 2:
            self.payments.add(own_batch)
        if self.sum_minor is None:
            return
        entry = self.entry
        minor = leaf_minor(detail, entry.coded.sign, entry.asset)
        if minor is None:
            self.sum_minor = None
            self._rows, self._held = [], []
            return
        self.sum_minor += minor
        while len(self.group_sums) <= group:
            self.group_sums.append(0)
        self.group_sums[group] += minor
        self._count += 1
        row = line_of(entry, detail, minor, self._options, alone=False)
        if entry.servicer_ref is not None and row["native_id"] in {None, entry.servicer_ref}:
            row["native_id"] = f"{entry.servicer_ref}/{self._count}"
        row["detail_no"] = self._count
        row["batch_minor"] = entry.total_minor
        row["batch_ref"] = batch_ref or own_batch
        self._rows.append(row)
        if len(self._rows) >= LINES_PER_BATCH:
            self._hold()

    def let_go(self, entry: Entry, writer: RowWriter, emit: Emit, options: ReadOptions) -> int:
        """Let the lines go, in order, with what only the whole entry tells; gives their number."""
        said: dict[str, Any] = {"counterparty": None, "text": None}
        add_masked(said, text_parts({}, entry.parts.get("AddtlNtryInf"), named=True), options.card_tokens)
        text = said["text"]
        late = {name: entry.shared.get(name) for name in ("byte_offset", "byte_length")}
        if self._held:
            writer.flush()
            for batch in self._held:
                emit(_completed(batch, late, text))
        for row in self._rows:
            if row["text"] is None:
                row["text"] = text
            row.update(late)
            writer.add(tuple(row.values()))
        return self._count

    def _hold(self) -> None:
        packer = RowWriter(self._held.append, COLUMNS)
        for row in self._rows:
            packer.add(tuple(row.values()))
        packer.flush()
        self._rows = []


@dataclass(slots=True)
class Details:
    """Details of the entry in hand: held while they are few, a run of lines once they are many."""

    held: list[Parts] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)  # number of details of each NtryDtls that has any
    group_ref: str | None = None  # batch of the group in hand, once there is a run
    run: LeafRun | None = None

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(self.groups)

    def numbered(self) -> list[tuple[int, Parts]]:
        """Each held detail with the number of its group."""
        places = [group for group, size in enumerate(self.groups) for _ in range(size)]
        return list(zip(places, self.held, strict=False))


@dataclass(frozen=True, slots=True)
class Written:
    """What became of an entry: number of its lines, whether they are its details, flags of totals that were waived."""

    line_count: int
    by_details: bool = False
    flags: tuple[str, ...] = ()


_ONE: Final = Written(1)


def write_entry(
    entry: Entry,
    details: Details,
    *,
    writer: RowWriter,
    emit: Emit,
    options: ReadOptions,
    notes: Notes,
    place: str,
) -> Written:
    """Add the lines of one entry. Raises ``RefusedFile`` with a path relative to the entry."""
    parts = entry.parts
    if not details.groups or details.count == 1:
        only = details.held[0] if details.groups else None
        row = line_of(entry, only, entry.total_minor, options, alone=True)
        if "NtryDtls/Btch" in parts or "NtryDtls#2" in parts or "Btch" in parts:
            batches = _batches(parts)
            row["batch_ref"] = _declared(parts, batches, only)
            if only is not None and any(
                parts.get(f"{batch}/NbOfTxs") not in {None, "1"} for batch in batches
            ):
                notes.add("batches of several payments with one detail for all", place)
        elif only is not None and "Refs/PmtInfId" in only:
            row["batch_ref"] = reference(only["Refs/PmtInfId"])
        writer.add(tuple(row.values()))
        return _ONE
    if details.run is not None and not same_head(details.run.entry.parts, parts):
        raise refused(
            "structure",
            "NtryDtls",
            f"what an entry says of itself before its details, where these are over {DETAILS_HELD}",
            "some of it after them",
        )
    filled = [
        batch_ref_of(parts, f"{group}/Btch")
        for group in each(parts, "NtryDtls")
        if f"{group}/TxDtls" in parts
    ]
    run = details.run or LeafRun(entry, options)
    if details.run is None:
        for group, detail in details.numbered():
            run.add(detail, group, filled[group] or batch_ref_of(parts, "Btch"))
    flags = _prove_batches(entry, details, run, options)
    if run.sum_minor == entry.total_minor:
        return Written(run.let_go(entry, writer, emit, options), by_details=True, flags=flags)
    notes.add("details that do not add up to their entry, which is kept as one line", place)
    row = line_of(entry, None, entry.total_minor, options, alone=True)
    row["batch_ref"] = _declared(parts, _batches(parts), None) or (
        run.payments.pop() if len(run.payments) == 1 else None
    )
    writer.add(tuple(row.values()))
    return Written(1, flags=flags)


def same_head(one: Parts, other: Parts) -> bool:
    """Whether two readings of an entry agree in all but its details."""
    names = [
        name for name in one.keys() | other.keys() if name.partition("/")[0].partition("#")[0] not in _LATE
    ]
    return all(one.get(name) == other.get(name) for name in names)


def batch_ref_of(parts: Parts, batch: str) -> str | None:
    """The batch that a group of details belongs to."""
    return reference(parts.get(f"{batch}/PmtInfId")) or reference(parts.get(f"{batch}/MsgId"))


def _batches(parts: Parts) -> list[str]:
    """Paths of what the groups of details say of their batches; version 1 says it in the entry."""
    groups = [batch for group in each(parts, "NtryDtls") if (batch := f"{group}/Btch") in parts]
    return groups or (["Btch"] if "Btch" in parts else [])


def _declared(parts: Parts, batches: list[str], detail: Parts | None) -> str | None:
    """The one payment batch that all of an entry belongs to."""
    named = {ref for batch in batches if (ref := batch_ref_of(parts, batch))}
    if not named and detail is not None:
        return reference(detail.get("Refs/PmtInfId"))
    return named.pop() if len(named) == 1 else None


def _completed(batch: pa.RecordBatch, late: dict[str, Any], text: str | None) -> pa.RecordBatch:
    """A held batch with the place of its entry, and the entry's text where a detail has none."""
    for name, value in late.items():
        column = batch.schema.get_field_index(name)
        kind = batch.schema.field(column)
        values = pa.array([value] * batch.num_rows, type=kind.type)
        batch = batch.set_column(column, kind, values)
    if text is not None:
        column = batch.schema.get_field_index("text")
        batch = batch.set_column(column, batch.schema.field(column), batch.column(column).fill_null(text))
    return batch


def _prove_batches(entry: Entry, details: Details, run: LeafRun, options: ReadOptions) -> tuple[str, ...]:
    """Demand the count and the sum that each group of two details or more states."""
    flags = []
    parts = entry.parts
    groups = [group for group in each(parts, "NtryDtls") if f"{group}/TxDtls" in parts]
    for number, (group, listed) in enumerate(zip(groups, details.groups, strict=False)):
        batch = f"{group}/Btch"
        if batch not in parts or listed < 2:
            continue
        stated = parts.get(f"{batch}/NbOfTxs")
        if stated is not None and (not stated.isdecimal() or stated.lstrip("0") != str(listed)):
            wrong = refused(
                "control_total",
                f"{batch}/NbOfTxs",
                f"{listed}, as many details as are listed",
                shown(stated),
                "Details are missing or doubled; ask the bank for the file again.",
            )
            flags.append(options.demand(wrong))
            continue
        total = amount_at(parts, f"{batch}/TtlAmt")
        if total[0] is None or total[1] != entry.asset or run.sum_minor is None:
            continue
        stated_minor = unsigned_minor(total, f"{batch}/TtlAmt")
        found_minor = abs(run.group_sums[number])
        if stated_minor != found_minor:
            exponent = exponent_of(entry.asset)
            wrong = refused(
                "control_total",
                f"{batch}/TtlAmt",
                f"{format_minor(found_minor, exponent)} {entry.asset}, the sum of its {listed} details",
                f"{format_minor(stated_minor, exponent)}, "
                f"{difference_in_words(found_minor, stated_minor, entry.asset)}",
                "Details are missing, doubled or wrong; ask the bank for the file again.",
            )
            flags.append(options.demand(wrong))
    return tuple(flags)
