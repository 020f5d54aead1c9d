"""The supervisor of one embedded PostgreSQL server: start once, wait, check, stop.

Law: a server is started by one process at a time (file lock) and never over the data of a living one. What runs is
read from `postmaster.pid` and proved against the process's own command line, so a process id that was left behind, or
is used by another program since, is never taken for a server and never signalled. The server is a daemon of its own
session: it survives the death of whoever started it. It does not create schemas; migrations do.
"""

import contextlib
import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from dagster_project.embedded_postgres.places import Places, choose, recorded, state_folder
from dagster_project.errors import ServerError

LOGIN = "tieout"  # may create roles and databases, is no superuser: what works here works on a managed server
SUPERUSER = "postgres"
DATABASES = ("tieout", "dagster")
PORT = 5432  # names the socket file; nothing listens on the network
SOCKET_NAME = f".s.PGSQL.{PORT}"
MAJOR_VERSION = "18"
READY_SECONDS = 3600  # crash recovery of a large ledger takes long; a server that dies ends the wait at once
LEFTOVER_SECONDS = 60  # sessions of a killed server end by themselves as soon as they notice
LOG_BYTES = 10_000_000
SHARED_MEMORY_BYTES = 1_000_000_000

SETTINGS = {
    "listen_addresses": "''",
    "port": str(PORT),
    "max_connections": "100",
    "shared_buffers": "256MB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "datestyle": "'ISO, YMD'",
    "default_text_search_config": "'pg_catalog.simple'",
    "idle_in_transaction_session_timeout": "1h",
    # The log tells of the server, never of what is in it: no statements, no values, no errors of single sessions.
    "log_error_verbosity": "terse",
    "log_statement": "none",
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_checkpoints": "off",
    "log_line_prefix": "'%m [%p] '",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatus:
    """What is known of a server from outside: `accepting` is proved by a connection, not taken from a file."""

    running: bool
    accepting: bool
    process_id: int | None
    folder: Path | None
    log: Path | None


class EmbeddedPostgres:
    """The server of one home folder.

    `start`, `stop` and `status` may be called from any process of the user at any time.
    """

    def __init__(self, home: Path) -> None:
        self.home = home.resolve()

    def start(self) -> bool:
        """The server accepts connections and has its databases; says whether this call started it.

        Raises `ServerError`, naming the server's log, when it cannot be started.
        """
        with self._lock():
            places = choose(self.home)
            _refuse_foreign_data(places)
            started = not _is_running(places)
            if started:
                _prepare(places)
            _await_ready(places, _launch(places) if started else _postmaster(places))
            _create_databases(places)
            return started

    def stop(self) -> bool:
        """The server has ended in good order; says whether it was running."""
        with self._lock():
            places = recorded(self.home)
            if places is None:
                return False
            running = _is_running(places)
            if running:
                _end(places)
            with contextlib.suppress(OSError):
                places.socket_folder().rmdir()
            return running

    def status(self) -> ServerStatus:
        """What runs at this moment; starts nothing and makes nothing."""
        places = recorded(self.home)
        process_id = _postmaster(places) if places else None
        if places is None or process_id is None:
            folder, log = (places.folder, places.log) if places else (None, None)
            return ServerStatus(running=False, accepting=False, process_id=None, folder=folder, log=log)
        accepting = _refusal(places) is None
        return ServerStatus(
            running=True, accepting=accepting, process_id=process_id, folder=places.folder, log=places.log
        )

    def url(self, database: str = "tieout", user: str = LOGIN) -> str:
        """The libpq URL of one of the server's databases. Needs a server that was started once."""
        places = recorded(self.home)
        if places is None:
            raise ServerError(f"{self.home}: expected a database server, found none; run `tieout init`.")
        return _url(places, database, user)

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        with open(state_folder(self.home) / "postgres.lock", "a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _url(places: Places, database: str, user: str) -> str:
    return f"postgresql://{user}@/{database}?host={quote(str(places.socket_folder()))}&port={PORT}"


def _pid_file(places: Places) -> tuple[int, str] | None:
    """Process id and data folder as the server wrote them down, if it did."""
    try:
        lines = places.account.run("/bin/cat", places.data / "postmaster.pid").stdout.split("\n")
        return int(lines[0]), lines[1]
    except (ValueError, IndexError):
        return None


def _title(process_id: int) -> list[str]:
    """The arguments of a living process; empty when it is gone, or dead and not yet reaped."""
    try:
        text = Path(f"/proc/{process_id}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return []
    return text.rstrip("\0").split("\0") if text else []


def _is_alive(process_id: int) -> bool:
    """Whether a process exists and is not a dead one that nobody has reaped; needs no right to look into it."""
    try:
        text = Path(f"/proc/{process_id}/stat").read_bytes()
    except OSError:
        return False
    return text.rpartition(b") ")[2][:1] not in (b"Z", b"X")


def _processes(places: Places) -> list[int]:
    """Every living process of this server: each bears the server's name in its title."""
    ids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [process_id for process_id in ids if _is_of(places, _title(process_id))]


def _is_of(places: Places, title: list[str]) -> bool:
    if not title:
        return False
    postmaster = title[0].endswith("/postgres") and f"cluster_name={places.name}" in title
    return postmaster or title[0].startswith(f"postgres: {places.name}: ")


def _postmaster(places: Places) -> int | None:
    found = _pid_file(places)
    return found[0] if found and _is_of(places, _title(found[0])) else None


def _is_running(places: Places) -> bool:
    """Whether the server lives. A dead one's leftovers are waited for and its pid file is cleared away."""
    if _postmaster(places) is not None:
        return True
    deadline = time.monotonic() + LEFTOVER_SECONDS
    while left := _processes(places):
        if _postmaster(places) is not None:
            return True
        if time.monotonic() > deadline:
            raise ServerError(
                f"{places.data}: expected no process on the data of a dead server, found {left}; "
                f"end them and start again. Server log: {places.log}"
            )
        time.sleep(0.05)
    # Only now: PostgreSQL would take any program of ours that has the old process id for a living server.
    sockets = places.socket_folder()
    places.account.run(
        "/bin/rm",
        "-f",
        places.data / "postmaster.pid",
        sockets / SOCKET_NAME,
        sockets / f"{SOCKET_NAME}.lock",
    )
    return False


def _refuse_foreign_data(places: Places) -> None:
    """Refuses data of another version, and data copied or moved from under a running server."""
    version = places.account.run("/bin/cat", places.data / "PG_VERSION")
    if version.returncode == 0 and version.stdout.strip() != MAJOR_VERSION:
        raise ServerError(
            f"{places.data}: expected data of PostgreSQL {MAJOR_VERSION}, found version {version.stdout.strip()}; "
            f"dump it with that version's pg_dump and load it into a new home."
        )
    found = _pid_file(places)
    if found is None or Path(found[1]) == places.data:
        return
    process_id, origin = found
    if origin in _title(process_id):
        raise ServerError(
            f"{places.folder}: expected data at rest, found a copy of {origin} taken while its server ran (process "
            f"{process_id}), or that folder moved from under it. Moved: end that process and start again. Copied: a "
            f"running database cannot be copied file by file; remove {places.folder} to begin with an empty one."
        )


def _prepare(places: Places) -> None:
    """Data folder and settings are there."""
    for left in places.folder.glob(
        "draft-*"
    ):  # by starters that were killed, one perhaps still being written
        shutil.rmtree(left, ignore_errors=True)
    if places.account.run("/usr/bin/test", "-e", places.data / "PG_VERSION").returncode != 0:
        draft = places.folder / f"draft-{secrets.token_hex(4)}"
        # `trust` is safe here: the only way in is a socket in a folder that no other user can enter.
        done = places.account.run(
            places.program("initdb"), "-D", draft, "-U", SUPERUSER, "-A", "trust", "-E", "UTF8",
            "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--data-checksums",
            folder=places.folder,
        )  # fmt: skip
        if done.returncode != 0:
            raise _failure(places, "to make a database", done.stdout)
        done = places.account.run("/bin/mv", "-T", draft, places.data)
        if done.returncode != 0:
            raise _failure(places, "to make a database", done.stdout)
    settings = {
        **SETTINGS,
        "unix_socket_directories": f"'{places.socket_folder()}'",
        "dynamic_shared_memory_type": _shared_memory_type(),
    }
    text = "# Written at every start. Own settings: ALTER SYSTEM.\n"
    text += "".join(f"{name} = {value}\n" for name, value in settings.items())
    _write(places, "postgresql.conf", text)
    _write(places, "pg_hba.conf", "local all all trust\n")


def _shared_memory_type() -> str:
    """Files in the data folder where shared memory is scarce: containers give 64 MB, and parallel queries then fail."""
    try:
        return "posix" if shutil.disk_usage("/dev/shm").total >= SHARED_MEMORY_BYTES else "mmap"  # noqa: S108
    except OSError:
        return "mmap"


def _write(places: Places, name: str, text: str) -> None:
    path = places.data / name
    path.write_text(text)
    os.chown(path, places.account.user_id, places.account.group_id)


def _launch(places: Places) -> int:
    """The process id of a new server, which is a child of init and of no terminal."""
    if places.log.exists() and places.log.stat().st_size > LOG_BYTES:
        places.log.replace(places.log.with_suffix(".log.1"))
    # Not by pg_ctl, whose own shell would expand a `$` in a path.
    command: list[str | Path] = [
        places.program("postgres"),
        "-D",
        places.data,
        "-c",
        f"cluster_name={places.name}",
    ]
    done = places.account.run("/bin/sh", "-c", 'exec "$@" >>"$0" 2>&1 & echo $!', places.log, *command)
    if done.returncode != 0:
        raise _failure(places, "to start the server", done.stdout)
    return int(done.stdout)


def _end(places: Places) -> None:
    """The server has written everything down and is gone; open sessions are rolled back."""
    done = places.account.run(
        places.program("pg_ctl"),
        "-s",
        "-D",
        places.data,
        "stop",
        "-m",
        "fast",
        "-w",
        "-t",
        str(READY_SECONDS),
    )
    if done.returncode != 0:
        raise _failure(places, "to stop the server", done.stdout)


def _refusal(places: Places) -> str | None:
    """Why the server takes no connection at this moment; None when it does."""
    try:
        psycopg.connect(_url(places, "postgres", SUPERUSER), connect_timeout=10).close()
    except psycopg.OperationalError as error:
        return str(error).strip()
    return None


def _await_ready(places: Places, process_id: int | None) -> None:
    """Returns when connections are taken; the server may still be recovering, or die before it is ready."""
    deadline = time.monotonic() + READY_SECONDS
    while (why := _refusal(places)) is not None:
        if process_id is None or not _is_alive(process_id) or time.monotonic() > deadline:
            raise _failure(places, "to start the server", why)
        time.sleep(0.05)


def _create_databases(places: Places) -> None:
    with psycopg.connect(_url(places, "postgres", SUPERUSER), autocommit=True) as connection:
        if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (LOGIN,)).fetchone() is None:
            connection.execute(
                sql.SQL("CREATE ROLE {} LOGIN CREATEROLE CREATEDB").format(sql.Identifier(LOGIN))
            )
        present = {name for (name,) in connection.execute("SELECT datname FROM pg_database")}
        for name in DATABASES:
            if name not in present:
                create = sql.SQL("CREATE DATABASE {} OWNER {}")
                connection.execute(create.format(sql.Identifier(name), sql.Identifier(LOGIN)))


def _failure(places: Places, purpose: str, output: str) -> ServerError:
    tail = places.account.run("/usr/bin/tail", "-n", "3", places.log)
    lines = output.strip().split("\n")[-3:]
    if tail.returncode == 0:
        lines += tail.stdout.strip().split("\n")
    found = " | ".join(line.strip() for line in lines if line.strip())
    return ServerError(
        f"PostgreSQL in {places.folder}: expected {purpose}, found: {found}. Server log: {places.log}"
    )
