"""The embedded server: started once whoever asks, survives deaths, refuses what it must. Real servers, real kills."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from dagster_project.embedded_postgres import EmbeddedPostgres, places
from dagster_project.errors import ServerError

REPOSITORY = Path(__file__).resolve().parents[2]
START = (
    "from pathlib import Path; import sys; from dagster_project.embedded_postgres import EmbeddedPostgres; "
)


def python(code: str, *arguments: object, **options: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", START + code, *(str(argument) for argument in arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY, **options)  # type: ignore[call-overload,no-any-return]


@pytest.fixture
def home() -> Iterator[Path]:
    """A home with a space in its path that the server's account can reach; its server is taken down at the end."""
    with tempfile.TemporaryDirectory(prefix="tieout home ") as name:
        Path(name).chmod(0o711)
        yield Path(name)
        EmbeddedPostgres(Path(name)).stop()


@pytest.fixture
def server(home: Path) -> EmbeddedPostgres:
    started = EmbeddedPostgres(home)
    assert started.start()
    return started


def write_down(server: EmbeddedPostgres, *notes: str) -> None:
    with psycopg.connect(server.url()) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS note (text text)")
        for note in notes:
            connection.execute("INSERT INTO note VALUES (%s)", (note,))


def notes(server: EmbeddedPostgres) -> list[str]:
    with psycopg.connect(server.url()) as connection:
        return [text for (text,) in connection.execute("SELECT text FROM note ORDER BY text")]


def kill(server: EmbeddedPostgres) -> int:
    process_id = server.status().process_id
    assert process_id is not None
    os.kill(process_id, signal.SIGKILL)
    return process_id


def test_four_starters_at_once_make_one_server(home: Path) -> None:
    starters = [python("print(EmbeddedPostgres(Path(sys.argv[1])).start())", home) for _ in range(4)]
    answers = sorted(starter.communicate(timeout=120)[0].strip() for starter in starters)
    assert answers == ["False", "False", "False", "True"]
    with psycopg.connect(EmbeddedPostgres(home).url()) as connection:
        assert connection.info.server_version // 10_000 == 18


def test_a_started_server_is_found_and_not_started_again(server: EmbeddedPostgres) -> None:
    before = server.status()
    assert before.running
    assert before.accepting
    assert EmbeddedPostgres(server.home).start() is False
    assert server.status() == before


def test_the_server_has_both_databases_and_no_way_in_but_its_socket(server: EmbeddedPostgres) -> None:
    for database in ("tieout", "dagster"):
        with psycopg.connect(server.url(database)) as connection:
            assert connection.execute(
                """
                SELECT current_database(), current_setting('listen_addresses'), current_setting('data_checksums'),
                       current_setting('fsync'), current_setting('full_page_writes'),
                       current_setting('synchronous_commit'),
                       current_setting('server_encoding'), current_setting('log_statement'),
                       datlocprovider, datlocale, rolsuper
                  FROM pg_database, pg_roles
                 WHERE datname = current_database() AND rolname = current_user
                """
            ).fetchone() == (database, "", "on", "on", "on", "on", "UTF8", "none", "b", "C.UTF-8", False)
            folder = Path(connection.info.host)
            assert folder.stat().st_mode & 0o777 == 0o700
            assert len(os.fsencode(folder / ".s.PGSQL.5432")) < 108


def test_stop_stops_and_the_next_start_finds_the_data(server: EmbeddedPostgres) -> None:
    write_down(server, "kept")
    url = server.url()
    assert server.stop() is True
    assert server.stop() is False
    assert not server.status().running
    assert server.start() is True
    assert server.url() == url
    assert notes(server) == ["kept"]


def test_a_killed_server_recovers_with_everything_it_confirmed(server: EmbeddedPostgres) -> None:
    write_down(server, *(f"note {number:03}" for number in range(200)))
    with contextlib.closing(psycopg.connect(server.url())) as unfinished:
        unfinished.execute("INSERT INTO note VALUES ('never confirmed')")
        kill(server)
        assert EmbeddedPostgres(server.home).start() is True
    assert notes(server) == [f"note {number:03}" for number in range(200)]


def test_a_starter_that_is_killed_leaves_the_server_up_and_the_data_safe(home: Path) -> None:
    code = """
        import time, psycopg
        server = EmbeddedPostgres(Path(sys.argv[1]))
        server.start()
        with psycopg.connect(server.url()) as connection:
            connection.execute("CREATE TABLE note AS SELECT 'kept' AS text")
        print("done", flush=True)
        time.sleep(600)
    """
    with python("\n" + textwrap.dedent(code), home, start_new_session=True) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == "done\n"
        os.killpg(starter.pid, signal.SIGKILL)  # with its whole group, as a closing terminal would
    server = EmbeddedPostgres(home)
    assert server.status().accepting
    assert server.start() is False
    assert notes(server) == ["kept"]


def test_a_start_killed_half_way_is_finished_by_the_next(home: Path) -> None:
    server = EmbeddedPostgres(home)
    for seconds in (0.15, 0.3, 0.45, 0.6, 0.75):
        with python("EmbeddedPostgres(Path(sys.argv[1])).start()", home) as starter:
            time.sleep(seconds)
            starter.kill()
    server.start()
    assert server.status().accepting
    write_down(server, "works")
    assert notes(server) == ["works"]


def test_a_pid_file_whose_number_another_program_has_now_is_not_taken_for_a_server(
    server: EmbeddedPostgres,
) -> None:
    write_down(server, "kept")
    kill(server)
    bystander = subprocess.Popen(
        ["sleep", "600"], **as_owner_of(server)
    )  # PostgreSQL itself would be deceived by it
    try:
        pid_file = data_of(server) / "postmaster.pid"
        lines = pid_file.read_text().split("\n")
        pid_file.write_text("\n".join([str(bystander.pid), *lines[1:]]))
        assert not server.status().running
        assert server.stop() is False
        assert server.start() is True
        assert notes(server) == ["kept"]
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_data_copied_from_under_a_running_server_are_refused(
    server: EmbeddedPostgres, tmp_path: Path
) -> None:
    copy = server.home.with_name(server.home.name + " copy")
    subprocess.run(["cp", "-a", server.home, copy], check=True)
    try:
        with pytest.raises(ServerError, match="a running database cannot be copied file by file"):
            EmbeddedPostgres(copy).start()
        server.stop()
        shutil.rmtree(copy)
        subprocess.run(["cp", "-a", server.home, copy], check=True)
        assert server.start()
        assert EmbeddedPostgres(copy).start()  # at rest it may be copied, and has a server of its own
        assert EmbeddedPostgres(copy).url() != server.url()
    finally:
        EmbeddedPostgres(copy).stop()
        shutil.rmtree(copy)


def test_a_server_that_cannot_start_says_why_and_where_its_log_is(server: EmbeddedPostgres) -> None:
    server.stop()
    (data_of(server) / "global" / "pg_control").rename(data_of(server) / "global" / "pg_control.away")
    with pytest.raises(
        ServerError, match=r"expected to start the server, found: .*pg_control.* Server log: .*server\.log"
    ):
        server.start()


def test_data_of_another_version_are_refused(server: EmbeddedPostgres) -> None:
    server.stop()
    (data_of(server) / "PG_VERSION").write_text("16\n")
    with pytest.raises(ServerError, match="expected data of PostgreSQL 18, found version 16"):
        server.start()


def test_the_log_holds_nothing_of_what_is_stored(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("CREATE TABLE card (number text PRIMARY KEY, CHECK (number <> 'secret'))")
        connection.execute("INSERT INTO card VALUES ('holder 4711')")
        for value in ("holder 4711", "secret"):
            with pytest.raises(psycopg.IntegrityError):
                connection.execute("INSERT INTO card VALUES (%s)", (value,))
    log = server.status().log
    assert log is not None
    text = log.read_text()
    assert "ready to accept connections" in text
    assert "4711" not in text
    assert "secret" not in text


def test_a_long_and_strange_path_is_no_hindrance(home: Path) -> None:
    deep = home / ("a long folder name " * 6) / "it's; here & there"
    deep.mkdir(parents=True)
    server = EmbeddedPostgres(deep)
    try:
        assert server.start()
        write_down(server, "kept")
        kill(server)
        assert server.start()
        assert notes(server) == ["kept"]
    finally:
        server.stop()


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / ".tieout").write_text("a file where the folder should be")
    with pytest.raises(ServerError, match=r"\.tieout: expected"):
        EmbeddedPostgres(tmp_path).start()


def test_a_server_that_was_never_started_has_no_url(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="run `tieout init`"):
        EmbeddedPostgres(tmp_path).url()
    assert list(tmp_path.iterdir()) == []


def data_of(server: EmbeddedPostgres) -> Path:
    folder = server.status().folder
    assert folder is not None
    return folder / "data"


def as_owner_of(server: EmbeddedPostgres) -> dict[str, int]:
    found = data_of(server).stat()
    return {"user": found.st_uid, "group": found.st_gid} if os.geteuid() == 0 else {}


def test_places_are_remembered(home: Path) -> None:
    places.state_folder(home)
    first = places.choose(home)
    assert places.choose(home) == first == places.recorded(home)
