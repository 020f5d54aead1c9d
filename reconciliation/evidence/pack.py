"""The pack for a regulator: everything about some sources and days in one archive, with a manifest of digests.

Laws: the same range and the same moment of knowledge give the same bytes, whoever makes it again and whenever, but for
what is told as found (grants, settings, components), which the manifest names as such; large tables stream through and
are never held whole; nothing is written that reads as a card number. Reads only, and says facts, no judgement.

    with open("pack.zip", "wb") as out:
        manifest = write_pack(out, connection, PackRequest(sources=sources, first=day, last=day, system="tieout 0.1.0"))
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

import psycopg
import pyarrow as pa
import pyarrow.compute
from psycopg.rows import dict_row

from ledger_core.sql import copy_out, queries
from reconciliation.errors import UnknownItem
from reconciliation.evidence import independent
from reconciliation.evidence.chain import ChainProof, verify_chains
from reconciliation.evidence.differences import changed
from reconciliation.evidence.knowledge import snapshot_of
from reconciliation.evidence.pack_archive import SWEEP, Archive
from reconciliation.evidence.pack_questions import answered, readme
from reconciliation.evidence.pack_tables import EXCEPTIONS, FOUND, INDEX, MISSING_FILES, TABLES, PackTable
from reconciliation.evidence.produced import Production, instant, write_csv
from reconciliation.evidence.statement import DayStatement, day_statement
from reconciliation.evidence.statement_page import statement_html
from reconciliation.people.permissions import DEEDS, ROLES
from reconciliation.sources import Source

kernel: Any = pyarrow.compute  # its stubs do not know that kernels take plain values

SQL: Final = queries(Path(__file__).with_suffix(".sql"))
EXCEPTIONS_AT_ONCE: Final = 5_000
_ABSENT_KINDS: Final = ("missing_file", "sequence_gap")
_BETWEEN: Final = "@"  # a moment of knowledge is a snapshot, and the instant of it

Task = Callable[[Archive], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class PackRequest:
    """What goes in. ``known_at`` is that of an older manifest, a snapshot, or None for now; ``components`` are the
    installed packages, which only the shell knows.
    """

    sources: Sequence[Source]
    first: date
    last: date
    system: str
    components: Sequence[Mapping[str, str]] = ()
    known_at: str | None = None


@dataclass(slots=True)
class _Pack:
    """One pack in the making."""

    connection: psycopg.Connection[Any]
    request: PackRequest
    seen: str
    until: datetime
    exceptions: pa.Table
    chains: ChainProof
    signed: dict[tuple[str, date], dict[str, Any]] = field(default_factory=dict)
    index: list[dict[str, Any]] = field(default_factory=list)

    @property
    def known_at(self) -> str:
        return f"{self.seen}{_BETWEEN}{instant(self.until)}"


def write_pack(out: BinaryIO, connection: psycopg.Connection[Any], request: PackRequest) -> dict[str, Any]:
    """Write the archive; returns its manifest.

    Raises:
        UnknownItem: the range is empty, or its moment of knowledge is not over.
        CardNumberFound: something in it reads as a card number; what was written so far is to be thrown away.
    """
    if request.first > request.last:
        raise UnknownItem(f"pack: expected a first day up to {request.last}, found {request.first}")
    pack = _begin(connection, request)
    tasks = _tasks(pack)
    with Archive(out) as archive:
        for path in sorted(tasks):
            tasks[path][1](archive)
        return archive.finish(_inputs(pack))


def _begin(connection: psycopg.Connection[Any], request: PackRequest) -> _Pack:
    snapshot, _, at = (request.known_at or "").partition(_BETWEEN)
    seen = str(snapshot_of(connection, "", request.last, snapshot or None))
    until = _instant_of(connection, at)
    ids = [source.id for source in request.sources]
    proofs = [verify_chains(connection, source_id=source, known_at=seen) for source in ids]
    chains = ChainProof(
        heads=tuple(head for proof in proofs for head in proof.heads),
        faults=tuple(fault for proof in proofs for fault in proof.faults),
    )
    wanted = {"sources": ids, "first": request.first, "last": request.last, "seen": seen}
    exceptions = copy_out(connection, SQL[EXCEPTIONS.query], wanted, EXCEPTIONS.schema)
    return _Pack(connection, request, seen, until, exceptions, chains)


def _instant_of(connection: psycopg.Connection[Any], text: str) -> datetime:
    if not text:
        row = connection.execute(SQL["now"]).fetchone()
        assert row is not None  # noqa: S101 - a clock always says something
        at: datetime = row[0]
        return at
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        given = None
    if given is None or given.tzinfo is None:
        raise UnknownItem(f"known at …@{text}: expected an instant with its zone, as a manifest names it")
    return given


def _inputs(pack: _Pack) -> dict[str, Any]:
    """What the pack was made of: who has these has the pack."""
    request = pack.request
    components = "\n".join(f"{one['name']} {one['version']}" for one in request.components)
    return {
        "sources": [source.id for source in request.sources],
        "from": request.first.isoformat(),
        "to": request.last.isoformat(),
        "known_at": pack.known_at,
        "system": request.system,
        "components_sha256": hashlib.sha256(components.encode()).hexdigest(),
        "chain_heads": pack.chains.as_value()["heads"],
    }


def _tasks(pack: _Pack) -> dict[str, tuple[str, Task]]:
    """Every file by its path: what it says, and how it is written."""
    tasks: dict[str, tuple[str, Task]] = {}
    for table in TABLES:
        tasks[table.path] = table.says, _table_task(pack, table)
    tasks[EXCEPTIONS.path] = EXCEPTIONS.says, _rows_task(pack, EXCEPTIONS, lambda: pack.exceptions)
    tasks[MISSING_FILES.path] = MISSING_FILES.says, _rows_task(pack, MISSING_FILES, lambda: _missing(pack))
    tasks |= _sign_off_tasks(pack)
    tasks |= _statement_tasks(pack)
    tasks |= _rule_tasks(pack)
    tasks["chain/verification.json"] = (
        "the chains of events, computed again link by link, and where they ended",
        lambda archive: archive.value("chain/verification.json", pack.chains.as_value()),
    )
    tasks["check.py"] = (
        "checks this pack, and any export, with Python alone: python3 check.py pack.zip",
        lambda archive: archive.text(
            "check.py", Path(independent.__file__).read_text(encoding="utf-8"), knowledge=FOUND
        ),
    )
    tasks["software/components.csv"] = "the program's components with their versions", _components_task(pack)
    last = {
        "README.md": "what is asked, and which file answers it",
        "questions.json": "the same for machines",
        SWEEP: "that no file of this pack holds a card number",
        independent.MANIFEST: "size and digest of every file, and what the pack was made of",
    }
    says = {path: told for path, (told, _) in tasks.items()} | last
    tasks["README.md"] = (
        last["README.md"],
        lambda archive: archive.text("README.md", readme(_head(pack), says, set(says))),
    )
    tasks["questions.json"] = (
        last["questions.json"],
        lambda archive: archive.value("questions.json", answered(set(says))),
    )
    return tasks


def _head(pack: _Pack) -> list[str]:
    request = pack.request
    sound = "sound" if pack.chains.sound else "NOT sound, see `chain/verification.json`"
    sources = ", ".join(source.id for source in request.sources)
    return [
        "# Reconciliation records",
        "",
        f"Sources {sources}; business days {request.first} to {request.last}; as known at `{pack.known_at}`;",
        f"made by {request.system}.",
        "",
        f"Chains of events: {pack.chains.event_count:,} links computed again, {sound}.",
        f"Exceptions open on some day of the range: {pack.exceptions.num_rows:,}.",
        "",
        "The same command with `--known-at` and the words above makes the same bytes again, but for what the",
        "manifest calls `as found`. CSV files end with a footer in lines that begin with `#`. Amounts are whole",
        "minor units; instants are UTC.",
    ]


def _wanted(pack: _Pack) -> dict[str, Any]:
    request = pack.request
    return {
        "sources": [source.id for source in request.sources],
        "first": request.first,
        "last": request.last,
        "seen": pack.seen,
        "until": pack.until,
        "deeds": list(DEEDS),
        "roles": list(ROLES),
        "exceptions": pack.exceptions.column("exception_id").to_pylist(),
    }


def _table_task(pack: _Pack, table: PackTable) -> Task:
    if table.by_exception:
        return _rows_task(
            pack, table, lambda: pa.RecordBatchReader.from_batches(table.schema, _batches(pack, table))
        )
    return _rows_task(
        pack, table, lambda: copy_out(pack.connection, SQL[table.query], _wanted(pack), table.schema)
    )


def _batches(pack: _Pack, table: PackTable) -> Iterator[pa.RecordBatch]:
    """The table for some exceptions after the others."""
    wanted = _wanted(pack)
    numbers = wanted["exceptions"]
    for start in range(0, len(numbers), EXCEPTIONS_AT_ONCE):
        some = wanted | {"exceptions": numbers[start : start + EXCEPTIONS_AT_ONCE]}
        yield from copy_out(pack.connection, SQL[table.query], some, table.schema).to_batches()


def _rows_task(pack: _Pack, table: PackTable, rows: Callable[[], pa.Table | pa.RecordBatchReader]) -> Task:
    production = Production(
        what=table.path.removesuffix(".csv"),
        query=table.says,
        system=pack.request.system,
        source=" ".join(source.id for source in pack.request.sources),
        first_date=pack.request.first,
        last_date=pack.request.last,
        known_at=pack.known_at if table.knowledge != FOUND else None,
    )

    def write(archive: Archive) -> None:
        with archive.file(table.path, knowledge=table.knowledge) as stream:
            write_csv(stream, rows(), production, exact=True)

    return write


def _missing(pack: _Pack) -> pa.Table:
    absent = kernel.is_in(pack.exceptions.column("kind"), value_set=pa.array(_ABSENT_KINDS))
    return pack.exceptions.filter(absent).select(MISSING_FILES.schema.names)


def _sign_off_tasks(pack: _Pack) -> dict[str, tuple[str, Task]]:
    """The statement of each sign-off, word for word as it was signed."""
    tasks: dict[str, tuple[str, Task]] = {}
    for row in _rows(pack, "sign_offs"):
        key = row["source_id"], row["business_date"]
        if row["state"] == "signed":
            pack.signed[key] = row
        path = f"sign_offs/{row['source_id']}/{row['business_date']}-{row['sign_off_id']}.json"
        says = f"what {row['prepared_by']} prepared: its sha256 is {row['content_sha256']}"
        tasks[path] = says, _content_task(pack, path, row["sign_off_id"])
    return tasks


def _content_task(pack: _Pack, path: str, sign_off_id: int) -> Task:
    def write(archive: Archive) -> None:
        row = pack.connection.execute(SQL["signed_content"], {"sign_off": sign_off_id}).fetchone()
        archive.text(path, row[0] if row else "")

    return write


def _statement_tasks(pack: _Pack) -> dict[str, tuple[str, Task]]:
    """The statement of each day as a page and as JSON, and after all of them their index."""
    tasks: dict[str, tuple[str, Task]] = {}
    sources = {source.id: source for source in pack.request.sources}
    for row in _rows(pack, "proved_days"):
        source, day = sources[row["source_id"]], row["business_date"]
        base = f"statements/{source.id}/{day}"
        told = _Told(pack, source, day)
        name = f"the statement of {source.id} on {day}"
        tasks[f"{base}.html"] = f"{name}, for reading and printing", told.html_task(f"{base}.html")
        tasks[f"{base}.json"] = f"{name}, in the bytes that are signed", told.json_task(f"{base}.json")
    tasks[INDEX.path] = (
        INDEX.says,
        _rows_task(pack, INDEX, lambda: pa.Table.from_pylist(pack.index, INDEX.schema)),
    )
    return tasks


class _Told:
    """One statement, made when its first file is due and let go after its second."""

    def __init__(self, pack: _Pack, source: Source, day: date) -> None:
        self._pack, self._source, self._day = pack, source, day
        self._statement: DayStatement | None = None

    def html_task(self, path: str) -> Task:
        """The page; it comes first in the order of names."""

        def write(archive: Archive) -> None:
            pack = self._pack
            self._statement = day_statement(pack.connection, self._source, self._day, known_at=pack.seen)
            archive.text(path, statement_html(self._statement))

        return write

    def json_task(self, path: str) -> Task:
        """The bytes, and the row of the index."""

        def write(archive: Archive) -> None:
            statement, self._statement = self._statement, None
            assert statement is not None  # noqa: S101 - the page was written just before
            with archive.file(path) as stream:
                stream.write(statement.canonical_bytes())
            signed = self._pack.signed.get((self._source.id, self._day))
            self._pack.index.append(_index_row(self._source.id, self._day, statement, signed))

        return write


def _index_row(
    source: str, day: date, statement: DayStatement, signed: Mapping[str, Any] | None
) -> dict[str, Any]:
    return {
        "source": source,
        "business_date": day,
        "tied_out": statement.tied_out,
        "sha256": statement.sha256,
        "books_sha256": statement.books_sha256,
        "sign_off_id": signed["sign_off_id"] if signed else None,
        "signed_books_sha256": signed["books_sha256"] if signed else None,
        "same_books": signed["books_sha256"] == statement.books_sha256 if signed else None,
    }


def _rule_tasks(pack: _Pack) -> dict[str, tuple[str, Task]]:
    """Each version of the rules word for word, and what changed from one to the next."""
    tasks: dict[str, tuple[str, Task]] = {}
    changes: list[dict[str, Any]] = []
    before: dict[str, Any] = {}
    for row in _rows(pack, "rule_texts"):
        source, digest, definition = row["source_id"], row["rules_digest"], row["definition"]
        path = f"rules/definitions/{source}-{digest}.json"
        tasks[path] = (
            f"the rules of {source} that {row['loaded_by']} loaded at {instant(row['loaded_at'])}",
            _value_task(path, definition),
        )
        if source in before:
            told = {"source": source, "loaded_at": instant(row["loaded_at"]), "loaded_by": row["loaded_by"]}
            changes.append(told | {"rules_digest": digest, "changed": changed(before[source], definition)})
        before[source] = definition
    tasks["rules/changes.json"] = (
        "what changed from each version of the rules to the next, key by key",
        _value_task("rules/changes.json", changes),
    )
    return tasks


def _value_task(path: str, value: object) -> Task:
    return lambda archive: archive.value(path, value)


def _components_task(pack: _Pack) -> Task:
    schema = pa.schema([pa.field("name", pa.string()), pa.field("version", pa.string())])
    table = PackTable(
        path="software/components.csv",
        query="components",
        says="the program's components with their versions",
        schema=schema,
        knowledge=FOUND,
    )
    return _rows_task(
        pack, table, lambda: pa.Table.from_pylist(list(map(dict, pack.request.components)), schema)
    )


def _rows(pack: _Pack, name: str) -> list[dict[str, Any]]:
    return pack.connection.cursor(row_factory=dict_row).execute(SQL[name], _wanted(pack)).fetchall()
