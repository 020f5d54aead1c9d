"""What every test may ask for: a real PostgreSQL, a migrated database of its own, the corpora.

The server is the product's own embedded one, started once a session and taken down even when the session is killed;
with `TIEOUT_TEST_DATABASE_URL` it is the server named there; its login needs CREATEDB, CREATEROLE and SET ON PARAMETER
session_replication_role, and its superuser is `postgres`. Each test's database is a copy of a template that was
migrated once. Nothing here is a double.
"""

import collections
import contextlib
import functools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import psycopg
import pytest
from playwright.sync_api import Browser
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from dagster_project.database import migrate
from dagster_project.embedded_postgres import LOGIN, EmbeddedPostgres
from dagster_project.embedded_postgres.places import Account
from tests.browser.chromium import executable, running
from tests.ledger_core.books import open_chart

REPOSITORY = Path(__file__).resolve().parent.parent
CORPORA = Path(os.environ.get("TIEOUT_CORPORA") or REPOSITORY.parent / "shared" / "corpora")
IN_CI = bool(os.environ.get("CI"))
DATABASE_FIXTURES = {"postgres_url", "database_url", "empty_database_url", "connection"}

hypothesis.settings.register_profile(
    "tieout",
    deadline=None,
    derandomize=IN_CI,
    max_examples=50 if IN_CI else 100,  # the same ones at each run there: more would find nothing new
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("tieout")

# Waits for the end of its input, which comes however this process ends, then takes the server and its folder away.
UNDERTAKER = """
import shutil, sys
from pathlib import Path
from dagster_project.embedded_postgres import EmbeddedPostgres
from dagster_project.embedded_postgres.places import Account
sys.stdin.read()
EmbeddedPostgres(Path(sys.argv[1])).stop()
shutil.rmtree(sys.argv[1])
"""

not_run: dict[str, collections.Counter[str]] = {}


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Iterator[None]:
    """Marks the tests that need a database or a browser; sets aside what cannot run here, to name it at the end."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if DATABASE_FIXTURES & fixtures:
            item.add_marker("database")
        if "chromium" in fixtures:
            item.add_marker("browser")
    yield  # pytest itself looks at -m and -k
    kept, aside = [], []
    for item in items:
        reason = why_not(item)
        (aside if reason else kept).append(item)
        if reason:
            name = item.nodeid.partition("[")[0]
            not_run.setdefault(reason, collections.Counter())[name] += 1
    if aside:
        config.hook.pytest_deselected(items=aside)
        items[:] = kept


def why_not(item: pytest.Item) -> str | None:
    """Why a test cannot run here, if it cannot. In CI absent corpora, or no browser, are a failure, not a reason."""
    if "corpora" in getattr(item, "fixturenames", ()) and not CORPORA.is_dir() and not IN_CI:
        return f"real files expected in {CORPORA}; set TIEOUT_CORPORA"
    if "hledger" in getattr(item, "fixturenames", ()) and shutil.which("hledger") is None:
        return "needs hledger; on Debian: apt install hledger"
    if "chromium" in getattr(item, "fixturenames", ()) and not IN_CI and executable() is None:
        return "needs Chromium; on Debian: apt install chromium"
    if item.get_closest_marker("root") and not may_become_others():
        return "needs root, and a checkout that other users may enter"
    return None


@functools.cache
def may_become_others() -> bool:
    """Whether these tests can run this checkout's Python as another user."""
    if os.geteuid() != 0:
        return False
    nobody = Account(user_id=65534, group_id=65534)
    return (
        nobody.run(
            "/usr/bin/env", sys.executable, "-c", "import psycopg, dagster_project", folder=REPOSITORY
        ).returncode
        == 0
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says in red what was not run, and why."""
    if not_run:
        count = sum(names.total() for names in not_run.values())
        terminalreporter.section(f"{count} NOT RUN", red=True, bold=True)
        for reason, names in not_run.items():
            terminalreporter.line(f"{reason}:")
            for name, times in names.items():
                terminalreporter.line(f"  {name}" + (f" ({times})" if times > 1 else ""))


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of real files from public projects."""
    assert CORPORA.is_dir(), f"{CORPORA}: expected the corpora, found nothing; set TIEOUT_CORPORA"
    return CORPORA


@pytest.fixture(autouse=True, scope="session")
def own_environment(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No setting of the person who runs the tests reaches them, and Dagster tells nobody about it."""
    for name in [name for name in os.environ if name.startswith("TIEOUT_")]:
        if name not in ("TIEOUT_TEST_DATABASE_URL", "TIEOUT_CORPORA"):
            del os.environ[name]
    folder = tmp_path_factory.mktemp("dagster")
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\nnux: {enabled: false}\n")
    os.environ["DAGSTER_HOME"] = str(folder)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A real browser. Not for longer than a module: Playwright's loop runs in this thread while it is open."""
    with running() as browser:
        yield browser


@pytest.fixture(scope="session")
def postgres_url(own_environment: None) -> Iterator[str]:
    """A server to make databases on: its maintenance database, as a login that may create roles and databases."""
    if given := os.environ.get("TIEOUT_TEST_DATABASE_URL"):
        yield given
        return
    home = Path(tempfile.mkdtemp(prefix="tieout tests ", dir=quick_folder()))
    home.chmod(0o711)  # as root, the server's account must pass through
    undertaker = [sys.executable, "-c", UNDERTAKER, home]
    with subprocess.Popen(undertaker, stdin=subprocess.PIPE, start_new_session=True, cwd=REPOSITORY):
        server = EmbeddedPostgres(home)
        server.start()
        with psycopg.connect(server.url("postgres", "postgres"), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET max_wal_size = '256MB'")
            connection.execute("SELECT pg_reload_conf()")
            # A few tests pull the laws' teeth, to see that it is noticed.
            connection.execute(f"GRANT SET ON PARAMETER session_replication_role TO {LOGIN}")
        yield server.url()


@pytest.fixture(scope="session")
def superuser_url(postgres_url: str) -> str:
    """The same server as its superuser, which the product never is."""
    return make_conninfo(postgres_url, user="postgres", dbname="postgres")


def quick_folder() -> Path | None:
    """Memory where there is plenty, else the usual place: making and dropping databases is all waiting for the disk."""
    memory = Path("/dev/shm")
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    plenty = (
        memory.is_dir() and os.access(memory, os.W_OK) and min(free, shutil.disk_usage(memory).free) > 6e9
    )
    return memory if plenty else None


@pytest.fixture(scope="session")
def make_database(postgres_url: str) -> Callable[..., contextlib.AbstractContextManager[str]]:
    """Makes a database, empty or from a template, gives its URL, and drops it at the end."""
    count = 0

    @contextlib.contextmanager
    def make(template: str = "template0") -> Iterator[str]:
        nonlocal count
        count += 1
        name = f"tieout_test_{os.getpid()}_{count}"
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                    sql.Identifier(name), sql.Identifier(template)
                )
            )
            try:
                yield make_conninfo(postgres_url, dbname=name)
            finally:
                drop_database(connection, name)

    return make


def drop_database(connection: psycopg.Connection, name: str) -> None:
    """Also while an autovacuum worker looks at it, which a login that is no superuser may not send away."""
    drop = sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
    for attempt in range(100):
        try:
            connection.execute(drop)
            return
        except psycopg.errors.InsufficientPrivilege:
            if attempt == 99:
                raise
            time.sleep(0.1)


@pytest.fixture(scope="session")
def template(make_database: Callable[..., contextlib.AbstractContextManager[str]]) -> Iterator[str]:
    """The name of a database with both schemas, from the migrations."""
    with make_database() as url:
        migrate(url)
        yield str(conninfo_to_dict(url)["dbname"])


@pytest.fixture
def empty_database_url(make_database: Callable[..., contextlib.AbstractContextManager[str]]) -> Iterator[str]:
    """A database of the test's own with nothing in it."""
    with make_database() as url:
        yield url


@pytest.fixture
def database_url(
    make_database: Callable[..., contextlib.AbstractContextManager[str]], template: str
) -> Iterator[str]:
    """A database of the test's own with both schemas and no rows of ours."""
    with make_database(template) as url:
        yield url


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    """A psycopg connection to `database_url` in a transaction, as the login that is a member of all roles."""
    with contextlib.closing(psycopg.connect(database_url)) as opened:
        yield opened


@pytest.fixture(scope="session")
def book_url(
    make_database: Callable[..., contextlib.AbstractContextManager[str]], template: str
) -> Iterator[str]:
    """One database with the chart of `books`, for all tests that commit nothing."""
    with make_database(template) as url:
        with psycopg.connect(url) as connection:
            open_chart(connection)
        yield url


@pytest.fixture
def book(book_url: str) -> Iterator[psycopg.Connection]:
    """A connection to that database; whatever the test does is rolled back."""
    with contextlib.closing(psycopg.connect(book_url)) as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def own_book(connection: psycopg.Connection) -> psycopg.Connection:
    """The same chart, committed in a database of the test's own."""
    open_chart(connection)
    connection.commit()
    return connection
