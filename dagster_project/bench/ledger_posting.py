"""How fast the ledger takes entries: one at a time by many clients, into one shared account, in batches, combined.

Every round runs all cases, and a bare commit of two rows before and after them, so that what else the machine does
falls on all alike. A folder runs beside, as it is deployed. Ratios are taken in each round; medians of rounds are told.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median

from dagster_project.bench.figures import Figure, at_least, not_measured, within
from dagster_project.bench.ledger_load import (
    POSTER,
    SQL,
    Load,
    folder_beside,
    load_program,
    posting_session,
    run_load,
    server_cpu_seconds,
)
from dagster_project.bench.measure import ROUNDS
from dagster_project.database import Database
from dagster_project.errors import ServerError
from ledger_core.combiner import Combiner
from ledger_core.posting import EntryLine, EntryRequest

CLIENTS = 8
BATCH_ENTRIES = 1000
WALLETS = 512  # the rest of them belongs to the long account
AT = datetime(2026, 11, 1, tzinfo=UTC)
PROGRAM_LIMITS = (  # what is promised of the loads of many clients
    ("single posting, 8 clients, of bare commits", "x", 0.40),
    ("hot account, of disjoint", "x", 0.90),
    ("p99 hot account, of disjoint", "x", 1.3),
    ("batch of 1,000, of single posting, 1 client", "x", 10.0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batches:
    """Some batches on one connection; CPU is the server process's own, None where it cannot be seen."""

    per_second: float
    cpu_microseconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """All loads of one round; bare is the mean of the runs around them."""

    bare_per_second: float
    disjoint: Load
    hot: Load
    single: Load


def measure_posting(server: Database, lines: int) -> list[Figure]:
    """The promises about posting; the scratch ledger's wallets are open and funded."""
    program = load_program()
    transactions = max(10, lines // 10)
    with folder_beside(server):
        if program is not None:
            _round(program, server, 0, max(10, transactions // 4))
        _post_batches(server, 0, 2)
        rounds, batches, combined = [], [], []
        for number in range(ROUNDS):
            if program is not None:
                rounds.append(_round(program, server, number, transactions))
            batches.append(_post_batches(server, number + 1, max(2, lines // 1000)))
            combined.append(_post_combined(server, number, transactions))
    with posting_session(server) as connection:
        refused = (connection.execute(SQL["count_refusals"]).fetchone() or (0,))[0]
    if refused:
        raise ServerError(f"bench: expected every entry of the loads to be posted, found {refused} refused")
    return [*told(rounds, batches), _cpu(batches), _combined(rounds, combined)]


def _round(program: str, server: Database, number: int, transactions: int) -> Round:
    """Bare, disjoint, hot, bare, and one client alone; every other round has hot first."""

    def load(name: str, role: str | None = POSTER, clients: int = CLIENTS) -> Load:
        return run_load(program, server, name, clients=clients, transactions=transactions, role=role)

    before = load("load_bare", None)
    first, second = ("load_disjoint", "load_hot") if number % 2 == 0 else ("load_hot", "load_disjoint")
    loads = {first: load(first), second: load(second)}
    after = load("load_bare", None)
    return Round(
        bare_per_second=(before.per_second + after.per_second) / 2,
        disjoint=loads["load_disjoint"],
        hot=loads["load_hot"],
        single=load("load_disjoint", clients=1),
    )


def _post_batches(server: Database, number: int, batches: int) -> Batches:
    """Entries of two lines, paid by as many guarded accounts as there are; a batch is one call and one commit."""
    sent = [_batch(f"b{number}-{batch}") for batch in range(batches)]
    with posting_session(server) as connection:
        connection.prepare_threshold = 0
        cpu, started = server_cpu_seconds(connection), time.perf_counter()
        for batch in sent:
            row = connection.execute(SQL["post_batch"], batch, binary=True).fetchone()
            if row != (BATCH_ENTRIES,):
                raise ServerError(
                    f"bench: expected a batch of {BATCH_ENTRIES} entries to be posted, found {row}"
                )
        seconds, used = time.perf_counter() - started, server_cpu_seconds(connection)
    entries = batches * BATCH_ENTRIES
    microseconds = None if cpu is None or used is None else (used - cpu) / entries * 1_000_000
    return Batches(per_second=entries / seconds, cpu_microseconds=microseconds)


def _batch(name: str) -> Mapping[str, Sequence[object]]:
    places = range(BATCH_ENTRIES)
    payees = [(place + WALLETS // 2) % WALLETS for place in places]
    return {
        "entry_key": [f"{name}-{place}" for place in places for _ in range(2)],
        "effective_at": [AT] * (2 * BATCH_ENTRIES),
        "account": [
            f"wallet:{wallet}"
            for place, payee in zip(places, payees, strict=True)
            for wallet in (place % WALLETS, payee)
        ],
        "amount_minor": [5, -5] * BATCH_ENTRIES,
        "asset": ["EUR"] * (2 * BATCH_ENTRIES),
    }


def _post_combined(server: Database, number: int, transactions: int) -> float:
    """Entries per second of eight threads that post one at a time through one combiner."""
    failed: list[object] = []

    def client(place: int, combiner: Combiner) -> None:
        lines = (
            EntryLine(account=f"wallet:{place * 64}", amount_minor=5, asset="EUR"),
            EntryLine(account=f"wallet:{place * 64 + 32}", amount_minor=-5, asset="EUR"),
        )
        for turn in range(transactions):
            request = EntryRequest(entry_key=f"c{number}-{place}-{turn}", effective_at=AT, lines=lines)
            try:
                result = combiner.post_one(request)
            except Exception as error:  # noqa: BLE001  a thread's error is told by the one who waits for it
                failed.append(error)
                return
            if result.outcome != "posted":
                failed.append(result)
                return

    with posting_session(server) as connection, Combiner(lambda: connection) as combiner:
        threads = [threading.Thread(target=client, args=(place, combiner)) for place in range(CLIENTS)]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.perf_counter() - started
    if failed:
        raise ServerError(f"bench: expected the combiner to post every entry, found {failed[0]}")
    return CLIENTS * transactions / seconds


def told(rounds: Sequence[Round], batches: Sequence[Batches]) -> list[Figure]:
    """The figures of rounds; without any, what they would have shown."""
    if not rounds:
        return [
            not_measured(area="ledger", name=name, unit=unit, limit=limit, missing="pgbench")
            for name, unit, limit in PROGRAM_LIMITS
        ]
    plain = Figure(
        area="ledger",
        name="single posting, 8 clients",
        unit="/s",
        measured=median(r.disjoint.per_second for r in rounds),
        reference=median(r.bare_per_second for r in rounds),
        of="bare two-row commit",
    )
    values = (
        median(r.disjoint.per_second / r.bare_per_second for r in rounds),
        median(r.hot.per_second / r.disjoint.per_second for r in rounds),
        median(r.hot.p99_milliseconds / r.disjoint.p99_milliseconds for r in rounds),
        median(b.per_second / r.single.per_second for r, b in zip(rounds, batches, strict=True)),
    )
    figures = [plain]
    for (name, unit, limit), measured in zip(PROGRAM_LIMITS, values, strict=True):
        judge = within if name.startswith("p99") else at_least
        figures.append(judge(area="ledger", name=name, unit=unit, measured=measured, limit=limit))
    return figures


def _cpu(batches: Sequence[Batches]) -> Figure:
    name = "server CPU per entry, batches of 1,000"
    seen = [batch.cpu_microseconds for batch in batches if batch.cpu_microseconds is not None]
    if not seen:
        return not_measured(
            area="ledger", name=name, unit="us", limit=35.0, missing="a server on this machine"
        )
    return within(area="ledger", name=name, unit="us", measured=median(seen), limit=35.0)


def _combined(rounds: Sequence[Round], combined: Sequence[float]) -> Figure:
    """Beside the same clients without a combiner; without pgbench, beside itself."""
    alone = median(r.disjoint.per_second for r in rounds) if rounds else median(combined)
    return Figure(
        area="ledger",
        name="single posting, 8 threads, combined",
        unit="/s",
        measured=median(combined),
        reference=alone,
        of="8 clients, not combined" if rounds else "itself: needs pgbench",
    )
