"""The chains of events, computed again outside the database: what was changed, put in, taken out, or cut off.

Laws: each link is SHA-256 of the link before it and of SHA-256 of its event's text; the first rests on SHA-256 of
nothing. An event's text is its fields, each as its length in bytes, a colon and its text, or a minus where there is
nothing, with commas between: version 1, number, exception, event, actor, business date, before, after, reason, note,
instant. A chain alone cannot know that its end was cut off: for that, witnesses are kept elsewhere (sign-offs, packs,
Dagster), each saying where a chain ended once. Shares nothing with the database's own verification but the rows.

    event_text(["7", "3", "opened", ...]) begins with 1:1,1:7,1:3,6:opened,
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg
import pyarrow as pa
import pyarrow.compute
from psycopg.rows import dict_row

from ledger_core.sql import copy_out, queries

kernel: Any = pyarrow.compute  # its stubs do not know that kernels take plain values

SQL: Final = queries(Path(__file__).with_name("chain.sql"))
VERSION: Final = "1"
START: Final = hashlib.sha256(b"").digest()
LINKS_AT_ONCE: Final = 20_000
_OWN: Final = 5  # columns of a link's own, before those of its event
_FIELDS: Final = (
    "event_no",
    "exception_id",
    "event",
    "actor",
    "as_of",
    "before",
    "after",
    "reason",
    "note",
    "at",
)
_LINK_COLUMNS: Final[dict[str, pa.DataType]] = {
    "chain_no": pa.int64(),
    "event_id": pa.int64(),
    "hash": pa.string(),
    "gone": pa.bool_(),
    "of_source": pa.string(),
    **dict.fromkeys(_FIELDS, pa.string()),
}
_LINKS: Final = pa.schema(_LINK_COLUMNS)
_FAULTS_MAX: Final = 100  # the first of a chain says it; the rest follows from it


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where a chain ended: its number of links and the last one's hash, in hex."""

    source: str
    origin: str
    length: int
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainFault:
    """The first thing that is wrong in a chain, or an event that is in none."""

    source: str
    origin: str
    chain_no: int | None
    event_id: int | None
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainProof:
    """What a verification found; sound where there is no fault."""

    heads: tuple[Head, ...]
    faults: tuple[ChainFault, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults

    @property
    def event_count(self) -> int:
        """Links that were computed again."""
        return sum(head.length for head in self.heads)

    def as_value(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "sound": self.sound,
            "events": self.event_count,
            "heads": [_value(head) for head in self.heads],
            "faults": [_value(fault) for fault in self.faults],
        }


def event_text(fields: Sequence[str | None]) -> str:
    """What of an event is under the chain; ``fields`` are the ten of the module, in order."""
    return ",".join("-" if text is None else f"{len(text.encode())}:{text}" for text in (VERSION, *fields))


def next_hash(before: bytes, text: str) -> bytes:
    """The link of an event behind a link."""
    return hashlib.sha256(before + hashlib.sha256(text.encode()).digest()).digest()


def read_heads(
    connection: psycopg.Connection[Any], *, source_id: str | None = None, known_at: str | None = None
) -> tuple[Head, ...]:
    """Where the chains end, as known at a snapshot; for what keeps them as witnesses."""
    wanted = {"source": source_id, "known_at": known_at}
    rows = connection.cursor(row_factory=dict_row).execute(SQL["heads"], wanted).fetchall()
    return tuple(map(_head, rows))


def verify_chains(
    connection: psycopg.Connection[Any],
    *,
    source_id: str | None = None,
    known_at: str | None = None,
    witnesses: Iterable[Head] = (),
) -> ChainProof:
    """Compute every link again and compare it, the kept ends and the witnesses.

    Some links at a time go through: memory does not grow with the number of events. ``witnesses`` are ends that were
    known once; those of sign-offs are read besides.
    """
    wanted = {"source": source_id, "known_at": known_at}
    seen = [*witnesses, *_signed_witnesses(connection, wanted)]
    marks: dict[tuple[str, str], dict[int, set[str]]] = {}
    for witness in seen:
        if source_id in (None, witness.source):
            told = marks.setdefault((witness.source, witness.origin), {})
            told.setdefault(witness.length, set()).add(witness.hash)
    chains: dict[tuple[str, str], _Chain] = {}
    for head in read_heads(connection, source_id=source_id, known_at=known_at):
        key = head.source, head.origin
        chains[key] = _Chain(*key, marks.get(key, {}))
        for start in range(0, head.length + 1, LINKS_AT_ONCE):
            some = {"chain_source": head.source, "chain_origin": head.origin, "from_no": start}
            some |= {"before_no": start + LINKS_AT_ONCE, "known_at": known_at}
            chains[key].add(copy_out(connection, SQL["links"], some, _LINKS))
    for key, mark in marks.items():
        chains.setdefault(key, _Chain(*key, mark))
    faults = [fault for chain in chains.values() for fault in chain.end()]
    if known_at is None:
        faults += _against_kept_heads(connection, wanted, chains)
    faults += [
        ChainFault(
            source=source, origin="unknown", chain_no=None, event_id=event_id, problem="it is in no chain"
        )
        for source, event_id in connection.execute(SQL["unlinked"], wanted).fetchmany(_FAULTS_MAX)
    ]
    heads = tuple(chain.head for _, chain in sorted(chains.items()) if chain.length)
    return ChainProof(heads=heads, faults=tuple(sorted(faults, key=_place)))


class _Chain:
    """One chain as it goes by."""

    def __init__(self, source: str, origin: str, marks: Mapping[int, set[str]]) -> None:
        self._name = source, origin
        self._marks = dict(marks)
        self._fault: ChainFault | None = None
        self._last = START
        self.length = 0

    @property
    def head(self) -> Head:
        """Where it ends."""
        return Head(source=self._name[0], origin=self._name[1], length=self.length, hash=self._last.hex())

    def add(self, links: pa.Table) -> None:
        """The next links."""
        own = zip(*(links.column(name).to_pylist() for name in _LINKS.names[:_OWN]), strict=True)
        for (chain_no, event_id, kept, gone, of_source), text in zip(own, _texts(links), strict=True):
            expected = next_hash(self._last, text)
            if chain_no != self.length + 1:
                self._found(
                    chain_no, event_id, f"expected link {self.length + 1}, found the links before it gone"
                )
            elif gone:
                self._found(chain_no, event_id, "its event is gone")
            elif of_source != self._name[0]:
                self._found(chain_no, event_id, f"its event is of source {of_source}")
            elif expected.hex() != kept:
                self._found(chain_no, event_id, "its event is not what was linked, or the link was changed")
            elif self._marks.pop(chain_no, {kept}) != {kept}:
                self._found(chain_no, event_id, "a witness says that another link was here")
            self.length, self._last = chain_no, bytes.fromhex(kept)

    def end(self) -> Iterator[ChainFault]:
        """What is wrong with it, if anything is."""
        cut = [length for length in self._marks if length > self.length]
        if self._fault is None and cut:
            self._found(
                self.length + 1, None, f"the end was cut off: a witness says that it had {max(cut)} links"
            )
        if self._fault is not None:
            yield self._fault

    def _found(self, chain_no: int, event_id: int | None, problem: str) -> None:
        if self._fault is None:
            self._fault = ChainFault(
                source=self._name[0],
                origin=self._name[1],
                chain_no=chain_no,
                event_id=event_id,
                problem=problem,
            )


def _against_kept_heads(
    connection: psycopg.Connection[Any], wanted: Mapping[str, Any], chains: Mapping[tuple[str, str], _Chain]
) -> list[ChainFault]:
    rows = connection.cursor(row_factory=dict_row).execute(SQL["kept_heads"], wanted).fetchall()
    kept = {(row["source_id"], row["origin"]): _head(row) for row in rows}
    none = _Chain("", "", {})
    return [
        ChainFault(
            source=key[0],
            origin=key[1],
            chain_no=head.length if (head := kept.get(key)) else None,
            event_id=None,
            problem="the chain does not end with the head that is kept",
        )
        for key in sorted({*kept, *(key for key, chain in chains.items() if chain.length)})
        if _end(kept.get(key)) != _end(chains.get(key, none).head)
    ]


def _end(head: Head | None) -> tuple[int, str]:
    return (head.length, head.hash) if head is not None and head.length else (0, "")


def _signed_witnesses(connection: psycopg.Connection[Any], wanted: Mapping[str, Any]) -> list[Head]:
    rows = connection.cursor(row_factory=dict_row).execute(SQL["witnesses"], wanted).fetchall()
    return [_head(row) for row in rows if row["length"]]


def _texts(links: pa.Table) -> list[str]:
    """``event_text`` of many events at once."""
    told = []
    for column in links.select(_FIELDS).columns:
        sized = kernel.binary_join_element_wise(kernel.binary_length(column).cast(pa.string()), column, ":")
        told.append(kernel.fill_null(sized, "-"))
    texts: list[str] = kernel.binary_join_element_wise(event_text([]), *told, ",").to_pylist()
    return texts


def _head(row: Mapping[str, Any]) -> Head:
    return Head(source=row["source_id"], origin=row["origin"], length=row["length"], hash=row["hash"])


def _place(fault: ChainFault) -> tuple[str, str, int, int]:
    return fault.source, fault.origin, fault.chain_no or 0, fault.event_id or 0


def _value(told: Head | ChainFault) -> dict[str, Any]:
    names = type(told).__dataclass_fields__
    return {name: getattr(told, name) for name in names}
