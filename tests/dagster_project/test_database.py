"""Where the data lives is found, checked, and entered one transaction at a time."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy
from psycopg.conninfo import conninfo_to_dict

from dagster_project.database import Database, libpq_url, reach
from dagster_project.embedded_postgres import EmbeddedPostgres
from dagster_project.errors import ServerError, SettingsError
from dagster_project.settings import Settings, read_settings


@pytest.fixture
def embedded() -> Iterator[Settings]:
    """Settings without a database URL; the server they make is taken down at the end."""
    with tempfile.TemporaryDirectory(prefix="tieout home ") as name:
        Path(name).chmod(0o711)
        yield read_settings({}, Path(name))
        EmbeddedPostgres(Path(name)).stop()


@pytest.fixture
def database(database_url: str) -> Database:
    return reach(read_settings({"TIEOUT_DATABASE_URL": database_url}, Path("/")))


def test_without_a_url_the_embedded_server_is_started_and_both_databases_answer_every_driver(
    embedded: Settings,
) -> None:
    database = reach(embedded)
    assert database.started_here
    assert database.embedded is not None
    assert not reach(embedded).started_here
    with psycopg.connect(database.url) as connection:
        assert connection.info.dbname == "tieout"
    for url, driver, name in (
        (database.sqlalchemy_url, "psycopg", "tieout"),
        (database.dagster_url, "psycopg2", "dagster"),
    ):
        engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
        with engine.connect() as opened:
            assert engine.driver == driver
            assert opened.scalar(sqlalchemy.text("SELECT current_database()")) == name


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
def test_a_server_that_could_lose_what_it_confirmed_is_refused(setting: str, embedded: Settings) -> None:
    server = EmbeddedPostgres(embedded.home)
    server.start()
    with psycopg.connect(server.url("tieout", "postgres"), autocommit=True) as connection:
        connection.execute(f"ALTER SYSTEM SET {setting} = off")
    server.stop()
    with pytest.raises(
        ServerError, match=f"expected {setting} = on, found off: a crash could lose posted entries"
    ):
        reach(embedded)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg", "postgresql+psycopg2"])
def test_a_url_may_name_any_driver(scheme: str, database_url: str) -> None:
    parts = conninfo_to_dict(database_url)
    url = f"{scheme}://{parts['user']}@/{parts['dbname']}?host={parts['host']}"
    reached = reach(read_settings({"TIEOUT_DATABASE_URL": url}, Path("/")))
    assert reached.embedded is None
    with reached.session(None) as connection:
        assert connection.info.dbname == parts["dbname"]


def test_urls_keep_their_password_for_the_drivers_and_hide_it_from_people() -> None:
    url = libpq_url(
        "host=server port=5433 user=someone password='p@ss/w:rd' dbname=books sslmode=require", "here"
    )
    database = Database(url=url, dagster_libpq_url=url)
    parsed = sqlalchemy.make_url(database.sqlalchemy_url)
    assert (parsed.drivername, parsed.password, parsed.query["host"]) == (
        "postgresql+psycopg",
        "p@ss/w:rd",
        "server",
    )
    assert parsed.query["sslmode"] == "require"
    assert sqlalchemy.make_url(database.dagster_url).drivername == "postgresql+psycopg2"
    assert "p@ss" not in repr(database)


def test_a_server_that_is_not_there_is_named_without_its_password(tmp_path: Path) -> None:
    settings = read_settings(
        {"TIEOUT_DATABASE_URL": f"postgresql://me:hunter2@/books?host={tmp_path}"}, tmp_path
    )
    with pytest.raises(ServerError, match="dbname=books: expected a PostgreSQL server") as refusal:
        reach(settings)
    assert "hunter2" not in str(refusal.value)


def test_something_that_is_no_url_is_refused_and_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="TIEOUT_DATABASE_URL: expected postgresql://") as refusal:
        reach(read_settings({"TIEOUT_DATABASE_URL": "mysql://me:hunter2@server"}, tmp_path))
    assert "hunter2" not in str(refusal.value)


def test_migrating_twice_is_migrating_once_and_makes_dagsters_database(empty_database_url: str) -> None:
    name = f"{conninfo_to_dict(empty_database_url)['dbname']}_dagster"
    settings = {
        "TIEOUT_DATABASE_URL": empty_database_url,
        "TIEOUT_DAGSTER_DATABASE_URL": psycopg.conninfo.make_conninfo(empty_database_url, dbname=name),
    }
    database = reach(read_settings(settings, Path("/")))
    try:
        for _ in range(2):
            database.migrate()
            with database.session(None) as connection:
                schemas = connection.execute(
                    "SELECT nspname FROM pg_namespace WHERE nspname IN ('ledger', 'recon')"
                )
                assert sorted(schemas) == [("ledger",), ("recon",)]
        with psycopg.connect(database.dagster_libpq_url) as connection:
            assert connection.info.dbname == name
    finally:
        with psycopg.connect(empty_database_url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def test_a_session_is_one_transaction_under_one_role(database: Database) -> None:
    with database.session(
        "tieout_auditor", lock_timeout_seconds=7, statement_timeout_seconds=70
    ) as connection:
        row = connection.execute(
            """
            SELECT current_user, current_setting('lock_timeout'), current_setting('statement_timeout'),
                   current_setting('TimeZone')
            """
        ).fetchone()
        assert row == ("tieout_auditor", "7s", "70s", "UTC")
        with pytest.raises(psycopg.ProgrammingError):
            connection.commit()  # the role would fall away with it
    assert connection.closed


def test_a_session_is_kept_at_its_end_and_undone_by_an_error(database: Database) -> None:
    with database.session(None) as connection:
        connection.execute("CREATE TABLE note (text text)")
    with contextlib.suppress(ZeroDivisionError), database.session(None) as connection:
        connection.execute("INSERT INTO note VALUES ('undone')")
        raise ZeroDivisionError
    with database.session(None) as connection:
        assert connection.execute("SELECT count(*) FROM note").fetchone() == (0,)


def test_an_unknown_role_is_refused(database: Database) -> None:
    with (
        pytest.raises(psycopg.errors.InvalidParameterValue),
        database.session('nobody"; DROP SCHEMA ledger; --'),
    ):
        pass
